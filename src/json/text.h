/*
 * text.h - a JSON string's inside, still escaped: what stands between the quotes.
 *
 * Most texts of a conversation are only copied from one JSON document into another.
 * They stay slices of the first one, escapes and all, and are written as they are.
 *
 * Contract
 *   Bytes      a valid inside of a JSON string in UTF-8, that may stand in an SSE data line: no
 *              lone surrogate escape, no raw U+0085, U+2028 or U+2029 (EW4.2, EW3.6).  Two texts
 *              put one behind the other are a text again.
 *   Ownership  none; as struct str.
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "json_edit.h"
#include "str.h"

struct text {
    const char *p;
    size_t n;
};

/* A literal that needs no escape, or holds its escapes already. */
#define TEXT(literal) ((struct text){ "" literal, sizeof(literal) - 1 })

/* A string node's text (edits included): a slice of the document, or a mended copy in the
 * arena.  The empty text when n is NULL or no string. */
struct text text_of(struct json_edit *e, struct arena *a, struct json_node *n);
/* What stands between a string node's quotes, untouched; for text_join(). */
struct str text_inside(struct json_edit *e, struct json_node *n);
/* Escapes; invalid UTF-8 becomes U+FFFD. */
struct text text_escape(struct arena *a, struct str plain);
/* Unescapes: a slice when the text has no escape. */
struct str text_plain(struct arena *a, struct text t);

struct text text_cat(struct arena *a, struct text x, struct text y);
bool text_blank(struct text t); /* empty, or white space only (space \t \n \r, escaped or not) */
struct text text_trim_start(struct text t);               /* the same white space off its start */
struct text text_trim_end(struct text t);                 /* and off its end */
bool text_starts(struct text t, struct str plain);        /* plain: ASCII without escapes */
bool text_starts_nocase(struct text t, struct str plain); /* the same */
size_t text_chars(struct text t);                         /* Unicode characters */
void text_add(struct buf *out, struct text t);

/* A stream's deltas may cut a character in two: a surrogate pair (EW3.6), or the bytes of one
 * (EW3.5), which are marks then (json_relax()).  text_join() gives what can be shown of delta
 * behind what was held, and keeps in *held what the next delta may complete.  delta is the inside
 * of a string as the upstream sent it, lone halves and marks included. */
struct text_held {
    char escapes[18]; /* \ud83d, or at most 3 marks */
    uint8_t n;        /* bytes of it */
};
struct text text_join(struct text_held *held, struct arena *a, struct str raw_inside);
/* What is still held at the end of the part: U+FFFD or nothing. */
struct text text_join_end(struct text_held *held);

/* ---- for the files of this layer ---- */

/* The first place in a string's inside that may not stand in a text, and what to write there. */
struct text_flaw {
    size_t at, n;
    char instead[6];
    size_t instead_n;
};
bool text_flaw_find(struct str inside, struct text_flaw *ret_flaw);

#endif

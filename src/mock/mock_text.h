/*
 * mock_text.h - texts the simulator makes: pieces to stream, JSON by template, arguments
 * that fit a schema.
 *
 * Contract
 *   Ownership  pieces and texts live in the arena given.
 *   UTF-8      valid input gives valid pieces: no piece ends inside a character.
 */
#ifndef MOCK_TEXT_H
#define MOCK_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <yyjson.h>

#include "arena.h"
#include "buf.h"
#include "str.h"

/* A text with the places where it is cut. */
struct mock_pieces {
    struct str text;
    size_t *ends; /* piece i is text[ends[i - 1], ends[i]) */
    size_t n;
};

/* Cuts after blanks, and inside of words longer than piece_bytes. */
struct mock_pieces mock_cut(struct arena *a, struct str text, size_t piece_bytes);
struct str mock_piece(const struct mock_pieces *p, size_t i);
void mock_pieces_keep(struct mock_pieces *p, size_t n);  /* drops all but the first n */
struct str mock_clip(struct str text, size_t max_bytes); /* its beginning, whole characters */

/*
 * Writes fmt with these replaced: $s a struct str as a JSON string, $r a struct str as it
 * is, $u a uint64_t.
 */
void mock_json(struct buf *out, const char *fmt, ...);

/* A value of any JSON type as compact text; "null" for NULL. */
struct str mock_raw(struct arena *a, yyjson_val *val);

/* A value that fits the JSON schema (object, required members, first of enum ...); word: what free
 * strings are. */
void mock_fill_schema(struct buf *out, yyjson_val *schema, struct str word);
/* The same as the tool's arguments. */
void mock_fill_arguments(struct buf *out, struct str tool, yyjson_val *schema, struct str word);
/* The input of a custom tool, which is free text. */
struct str mock_tool_input(struct str tool);
/* Whether this is the tool's name, or ends in it behind "__", as a namespace stands before it. */
bool mock_is_tool(struct str name, struct str asked);

#endif

/*
 * json_out.h - writes JSON text into a buf, member by member.
 *
 * Contract
 *   Output     no white space outside strings; commas are put where they belong.
 *   Order      the caller's.  The caller closes what it opens.
 *   Texts      json_out_str() takes any bytes and escapes them as json_write_str() does;
 *              json_out_text() takes a text that is escaped already (text.h);
 *              json_out_raw() takes one valid JSON value and leaves out the white space
 *              between its tokens (EW4.3 of protocols.md), lone surrogates become \ufffd.
 *   Limits     those of the buf; check its overflow once at the end.
 */
#ifndef JSON_OUT_H
#define JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "str.h"
#include "text.h"

struct json_out {
    struct buf *buf;
    bool comma; /* a value stands before the next one in this container */
};

void json_out_init(struct json_out *o, struct buf *buf);

void json_out_object(struct json_out *o);                /* { */
void json_out_object_end(struct json_out *o);            /* } */
void json_out_array(struct json_out *o);                 /* [ */
void json_out_array_end(struct json_out *o);             /* ] */
void json_out_name(struct json_out *o, struct str name); /* a member's; any bytes */

void json_out_str(struct json_out *o, struct str plain);
void json_out_text(struct json_out *o, struct text text);
void json_out_raw(struct json_out *o, struct str value);
/* The elements of an array, as json_compact() gives one, into the array that is open. */
void json_out_elements(struct json_out *o, struct str array);
void json_out_i64(struct json_out *o, int64_t n);
void json_out_bool(struct json_out *o, bool b);
void json_out_null(struct json_out *o);

/* name and value in one call */
void json_out_member_str(struct json_out *o, struct str name, struct str plain);
void json_out_member_text(struct json_out *o, struct str name, struct text text);
void json_out_member_raw(struct json_out *o, struct str name, struct str value);
void json_out_member_i64(struct json_out *o, struct str name, int64_t n);
void json_out_member_bool(struct json_out *o, struct str name, bool b);
void json_out_member_null(struct json_out *o, struct str name);

/* A string put together of several pieces: begin, add any number, end. */
void json_out_string_begin(struct json_out *o);
void json_out_string_add(struct json_out *o, struct text piece);
void json_out_string_end(struct json_out *o);

/* One valid JSON value without the white space between its tokens; a slice when it has none
 * (and no lone surrogate), else a text in the arena. */
struct str json_compact(struct arena *a, struct str value);

#endif

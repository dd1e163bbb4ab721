/*
 * json.h - reading JSON: strict validation with a position, over yyjson.
 *
 * Contract
 *   Input      RFC 8259 in UTF-8, no BOM, one value, then only white space.
 *   Errors     E_BAD_JSON with the byte offset and the reason (never content).
 *   Values     a lone surrogate (an escape like \ud800) is read as U+FFFD.  A number that fits
 *              neither 64 bits nor a double is a yyjson raw value: its text.
 *   Limits     depth JSON_DEPTH_MAX levels; size: the caller's.
 *   Cost       linear in the size of the text.
 *   Ownership  json_parse()'s document is freed with yyjson_doc_free(); its strings
 *              are copies, so it may outlive the text.
 */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

#include "arena.h"
#include "buf.h"
#include "must.h"
#include "str.h"

enum { JSON_DEPTH_MAX = 1024 };

struct json_error {
    size_t offset;
    const char *reason; /* static */
    bool too_deep;      /* over JSON_DEPTH_MAX, not malformed */
};

int json_parse(struct str text, yyjson_doc **ret_doc, struct json_error *ret_error)
    MUST_CHECK; /* ret_error may be NULL */

/* Validation alone: the same verdict, and no document, no allocation unless it fails. */
int json_check(struct str text, struct json_error *ret_error) MUST_CHECK;
bool json_is_valid(struct str text); /* the same without the reason */
size_t json_values(struct str text); /* how many values, of valid text; at most n / 2 + 1 */
size_t json_items(struct str text);  /* values and names of members; likewise */

/* Members by name, of duplicates the last one; NULL (or the empty str, false) when absent or
 * of another type. */
yyjson_val *json_member(yyjson_val *object, struct str name);
struct str json_str(yyjson_val *string); /* slices the document */
struct str json_member_str(yyjson_val *object, struct str name);
bool json_member_true(yyjson_val *object, struct str name);
bool json_member_u64(yyjson_val *object, struct str name,
                     uint64_t *ret_n); /* any spelling of an integer */

/* Mends what upstreams are known to get wrong (EW3.3, EW3.5 of protocols.md): NaN and Infinity
 * become null, raw control characters in strings are escaped, invalid UTF-8 becomes U+FFFD.
 * Where a string begins or ends inside a character its bytes, at most 3, stay as marks: another
 * string may hold the rest.  All readers take a mark for the lone surrogate that it is; text.h
 * makes characters of marks again.  The result, in the arena, is JSON only if the rest was. */
struct str json_relax(struct arena *a, struct str text);

/* A mark is \uDc and the byte in small hex digits: valid JSON, in a spelling that no serialiser
 * uses. */
enum { JSON_MARK_BYTES = 6 };
/* The byte that is marked at p, or 0: there is no mark. */
unsigned char json_mark_at(const char *p, const char *end);

/* Writing: appends s as a JSON string with its quotes.  Escapes the quote, the
 * backslash, U+0000..1F, and U+0085, U+2028, U+2029 (they break SSE readers).
 * Invalid UTF-8 becomes U+FFFD. */
void json_write_str(struct buf *out, struct str s);
void json_write_inside(struct buf *out, struct str s); /* the same without the quotes */
struct str json_quote(struct arena *a, struct str s);  /* the same, as an arena text */
/* How many bytes at the beginning of s are written as they are. */
size_t json_plain_run(struct str s);
/* Bytes of the UTF-8 sequence that s, not empty, begins with; of its longest sound beginning when
 * it is not valid. */
size_t json_utf8_length(struct str s, bool *ret_valid);
/* How many bytes at the end of s are a sound beginning of a UTF-8 sequence that is not whole. */
size_t json_cut_bytes(struct str s);

#endif

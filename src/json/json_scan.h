/*
 * json_scan.h - walking over JSON text that json_parse() has accepted.
 *
 * Contract
 *   Input      valid JSON.  On other text the result is unspecified, but no byte at
 *              or after `end` is read.
 *   Cost       linear; no recursion, no allocation.
 */
#ifndef JSON_SCAN_H
#define JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "str.h"

const char *json_skip_space(const char *p, const char *end);
const char *json_skip_string(const char *p, const char *end); /* p is at the quote */
const char *json_skip_value(const char *p, const char *end);

/* The first control character, quote, backslash or byte above 0x7f.  Any bytes. */
const char *json_skip_plain(const char *p, const char *end);

/* Decodes the escape sequence at p (a backslash inside a string), a surrogate pair
 * being one; a lone surrogate gives U+FFFD.  Returns what follows it. */
const char *json_unescape_one(const char *p, const char *end, char ret_utf8[4], size_t *ret_n);

/* Is the string (with its quotes) this text, after unescaping? */
bool json_quoted_is(struct str quoted, struct str text);

#endif

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

static inline const char *json_skip_space(const char *p, const char *end)
{
    while (p < end && *p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

const char *json_skip_string(const char *p, const char *end); /* p is at the quote */
const char *json_skip_value(const char *p, const char *end);

/* The first control character, quote, backslash or byte above 0x7f.  Any bytes. */
const char *json_skip_plain(const char *p, const char *end);

/* Decodes the escape sequence at p (a backslash inside a string), a surrogate pair
 * being one; a lone surrogate gives U+FFFD.  Returns what follows it. */
const char *json_unescape_one(const char *p, const char *end, char ret_utf8[4], size_t *ret_n);

bool json_quoted_equals(struct str quoted, struct str text);

/* Is the string (with its quotes) this text, after unescaping?  An escape is longer than what it
 * stands for, so where the two first differ the string must have a backslash. */
static inline bool json_quoted_is(struct str quoted, struct str text)
{
    if (quoted.n < text.n + 2)
        return false;
    const char *inner = quoted.p + 1;
    size_t i = 0;
    while (i < text.n && inner[i] == text.p[i] && inner[i] != '\\')
        i++;
    if (inner[i] == '\\') /* at worst i is at the end quote */
        return json_quoted_equals(quoted, text);
    return i == text.n && quoted.n == text.n + 2;
}

/* What is looked for in an object, and its raw value; empty when it is not there. */
struct json_wanted {
    struct str name;
    struct str raw; /* of duplicate members the last one's */
    size_t items;   /* of an array */
    bool twice;
};

/* Fills in all that the object has.  raw: any value; what is no object has no members. */
void json_look(struct str raw, struct json_wanted *wanted, size_t n);

/* Has any object in there a member of this name?  raw: any value, or empty. */
bool json_has_name(struct str raw, struct str name);

/* The first element, raw; empty when there is none or raw is no array. */
struct str json_first_of(struct str raw);

#endif

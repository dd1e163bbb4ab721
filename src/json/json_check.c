/*
 * Validation without a document.  Most texts are only checked, and then walked over by
 * json_edit: a second copy of their strings and values would be memory and time for nothing.
 */
#include <string.h>

#include "json.h"
#include "json_scan.h"

/* The containers that are open: one bit each, set for an object. */
struct levels {
    uint64_t objects[JSON_DEPTH_MAX / 64];
    unsigned depth;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && is_digit(*p))
        p++;
    return p;
}

/* All of these return what follows, or NULL when the text is not valid. */

static const char *check_number(const char *p, const char *end)
{
    p += *p == '-';
    if (p == end || !is_digit(*p))
        return NULL;
    p = *p == '0' ? p + 1 : skip_digits(p, end);
    if (p < end && *p == '.') {
        const char *from = ++p;
        p = skip_digits(p, end);
        if (p == from)
            return NULL;
    }
    if (p < end && (*p | 0x20) == 'e') {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        const char *from = p;
        p = skip_digits(p, end);
        if (p == from)
            return NULL;
    }
    return p;
}

static const char *check_word(const char *p, const char *end)
{
    struct str word = *p == 't' ? S("true") : *p == 'f' ? S("false") : S("null");
    if ((size_t)(end - p) < word.n || memcmp(p, word.p, word.n) != 0)
        return NULL;
    return p + word.n;
}

static const char *check_escape(const char *p, const char *end)
{
    if (end - p < 2)
        return NULL;
    if (p[1] != 'u')
        return memchr("\"\\/bfnrt", p[1], 8) != NULL ? p + 2 : NULL;
    if (end - p < 6)
        return NULL;
    for (int i = 2; i < 6; i++)
        if (!is_digit(p[i]) && ((p[i] | 0x20) < 'a' || (p[i] | 0x20) > 'f'))
            return NULL;
    return p + 6; /* a lone surrogate is valid (RFC 8259, 8.2) */
}

static bool is_tail(const char *p)
{
    return ((unsigned char)*p & 0xc0) == 0x80;
}

/* One character of two bytes or more (RFC 3629). */
static const char *check_utf8(const char *p, const char *end)
{
    unsigned char a = (unsigned char)*p, b = end - p >= 2 ? (unsigned char)p[1] : 0;
    if (a < 0xc2 || a > 0xf4 || (b & 0xc0) != 0x80)
        return NULL;
    if (a < 0xe0)
        return p + 2;
    if (a < 0xf0) {
        bool bad = (a == 0xe0 && b < 0xa0) || (a == 0xed && b > 0x9f);
        return !bad && end - p >= 3 && is_tail(p + 2) ? p + 3 : NULL;
    }
    bool bad = (a == 0xf0 && b < 0x90) || (a == 0xf4 && b > 0x8f);
    return !bad && end - p >= 4 && is_tail(p + 2) && is_tail(p + 3) ? p + 4 : NULL;
}

/* p is at the quote. */
static const char *check_string(const char *p, const char *end)
{
    for (p++; p != NULL;) {
        p = json_skip_plain(p, end);
        if (p == end || (unsigned char)*p < 0x20)
            return NULL;
        if (*p == '"')
            return p + 1;
        if (*p == '\\')
            p = check_escape(p, end);
        else
            while (p != NULL && p < end && (unsigned char)*p >= 0x80)
                p = check_utf8(p, end);
    }
    return NULL;
}

static const char *check_scalar(const char *p, const char *end)
{
    if (*p == '"')
        return check_string(p, end);
    if (*p == 't' || *p == 'f' || *p == 'n')
        return check_word(p, end);
    return check_number(p, end);
}

static bool in_object(const struct levels *l)
{
    return l->depth > 0 && (l->objects[(l->depth - 1) / 64] >> (l->depth - 1) % 64 & 1) != 0;
}

static bool open_level(struct levels *l, bool object)
{
    if (l->depth == JSON_DEPTH_MAX)
        return false;
    uint64_t bit = (uint64_t)1 << l->depth % 64;
    uint64_t *word = &l->objects[l->depth++ / 64];
    *word = object ? *word | bit : *word & ~bit;
    return true;
}

/* A member's name and its colon; nothing in an array. */
static const char *check_name(const char *p, const char *end)
{
    if (p == end || *p != '"' || (p = check_string(p, end)) == NULL)
        return NULL;
    p = json_skip_space(p, end);
    return p < end && *p == ':' ? json_skip_space(p + 1, end) : NULL;
}

/* p is behind a value: closes what ends there.  Goes on to the next value, or to the end. */
static const char *check_after(struct levels *l, const char *p, const char *end)
{
    for (p = json_skip_space(p, end); l->depth > 0; p = json_skip_space(p, end)) {
        bool object = in_object(l);
        if (p == end)
            return NULL;
        if (*p == ',') {
            p = json_skip_space(p + 1, end);
            return object ? check_name(p, end) : p;
        }
        if (*p++ != (object ? '}' : ']'))
            return NULL;
        l->depth--;
    }
    return p;
}

/* p is at a value: goes into it, or behind it. */
static const char *check_value(struct levels *l, const char *p, const char *end, bool *ret_inside)
{
    *ret_inside = false;
    if (*p != '{' && *p != '[')
        return check_scalar(p, end);
    bool object = *p == '{';
    if (!open_level(l, object))
        return NULL;
    p = json_skip_space(p + 1, end);
    if (p < end && *p == (object ? '}' : ']'))
        return p; /* check_after() closes it */
    *ret_inside = true;
    return object ? check_name(p, end) : p;
}

bool json_is_valid(struct str text)
{
    struct levels l = { .depth = 0 };
    const char *end = text.n > 0 ? text.p + text.n : text.p;
    const char *p = text.n > 0 ? json_skip_space(text.p, end) : end;
    do {
        bool inside = true;
        while (inside) {
            if (p == NULL || p == end)
                return false;
            p = check_value(&l, p, end, &inside);
        }
        if (p != NULL)
            p = check_after(&l, p, end);
    } while (p != NULL && l.depth > 0);
    return p != NULL && p == end;
}

static size_t count_values(struct str text, bool and_names)
{
    const char *p = text.p, *end = p + text.n;
    size_t n = 1;
    while (p < end) {
        if (*p == '"') {
            p = json_skip_string(p, end);
            continue;
        }
        char c = *p++;
        if (c == '[' || c == '{') {
            p = json_skip_space(p, end);
            n += p < end && *p != ']' && *p != '}';
        } else {
            n += c == ',' || (c == ':' && and_names);
        }
    }
    return n;
}

size_t json_values(struct str text)
{
    return count_values(text, false);
}

size_t json_items(struct str text)
{
    return count_values(text, true);
}

int json_check(struct str text, struct json_error *ret_error)
{
    yyjson_doc *doc;
    if (json_is_valid(text))
        return 0;
    int r = json_parse(text, &doc, ret_error); /* it says why */
    if (r == 0)
        yyjson_doc_free(doc);
    return r;
}

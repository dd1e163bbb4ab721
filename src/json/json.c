#include "json.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "json_scan.h"
#include "mem.h"

static void *alc_malloc(void *unused, size_t size)
{
    (void)unused;
    return mem_alloc(size);
}

static void *alc_realloc(void *unused, void *p, size_t old_size, size_t size)
{
    (void)unused;
    (void)old_size;
    return mem_realloc(p, size);
}

static void alc_free(void *unused, void *p)
{
    (void)unused;
    free(p);
}

/* yyjson's reader copies the text before it writes to it; its signature is not const
 * only because of the in-place mode. */
static yyjson_doc *read_text(const char *p, size_t n, yyjson_read_err *ret_err)
{
    static const yyjson_alc alc = { alc_malloc, alc_realloc, alc_free, NULL };
    return yyjson_read_opts((char *)(uintptr_t)p, n, YYJSON_READ_BIGNUM_AS_RAW, &alc, ret_err);
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* The value of the \uXXXX at p, or 0 when there is none.  The text is not validated. */
static unsigned u_escape(const char *p, const char *end)
{
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return 0;
    unsigned n = 0;
    for (int i = 2; i < 6; i++) {
        if (!is_hex(p[i]))
            return 0;
        n = n << 4 | (unsigned)(p[i] <= '9' ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
    }
    return n;
}

/* Overwrites escapes of lone surrogates by \ufffd, which is as long.  Outside of strings
 * a backslash is an error anyway, so strings need not be found. */
static bool fix_surrogates(char *p, const char *end)
{
    bool fixed = false;
    while (p < end && (p = memchr(p, '\\', (size_t)(end - p))) != NULL) {
        unsigned c = u_escape(p, end);
        if (c < 0xd800 || c > 0xdfff) {
            p += end - p < 2 ? 1 : 2;
            continue;
        }
        unsigned low = c < 0xdc00 ? u_escape(p + 6, end) : 0;
        if (low >= 0xdc00 && low <= 0xdfff) {
            p += 12;
            continue;
        }
        memcpy(p, "\\ufffd", 6);
        fixed = true;
        p += 6;
    }
    return fixed;
}

/* RFC 8259 allows lone surrogates (s8.2), yyjson does not: a second try without them. */
static yyjson_doc *read_fixed(struct str text, yyjson_read_err *ret_err)
{
    yyjson_doc *doc = NULL;
    char *copy = mem_dup(text.p, text.n);
    if (fix_surrogates(copy, copy + text.n))
        doc = read_text(copy, text.n, ret_err);
    free(copy);
    return doc;
}

/* Offset of the first bracket that is nested too deeply, or text.n. */
static size_t find_too_deep(struct str text)
{
    const char *p = text.p, *end = text.p + text.n;
    size_t depth = 0;
    while (p < end) {
        if (*p == '"') {
            p = json_skip_string(p, end);
            continue;
        }
        if (*p == '[' || *p == '{') {
            if (++depth > JSON_DEPTH_MAX)
                return (size_t)(p - text.p);
        } else if (*p == ']' || *p == '}') {
            depth--;
        }
        p++;
    }
    return text.n;
}

static int bad(struct json_error *ret_error, size_t offset, const char *reason)
{
    if (ret_error != NULL)
        *ret_error = (struct json_error){ .offset = offset, .reason = reason };
    return E_BAD_JSON;
}

static int too_deep(struct json_error *ret_error, size_t offset)
{
    int e = bad(ret_error, offset, "nested too deeply");
    if (ret_error != NULL)
        ret_error->too_deep = true;
    return e;
}

int json_parse(struct str text, yyjson_doc **ret_doc, struct json_error *ret_error)
{
    must(ret_doc != NULL);
    if (text.n == 0)
        return bad(ret_error, 0, "the text is empty");

    yyjson_read_err err = { 0 };
    yyjson_doc *doc = read_text(text.p, text.n, &err);
    if (doc == NULL && err.code == YYJSON_READ_ERROR_INVALID_STRING)
        doc = read_fixed(text, &err);
    if (doc == NULL)
        return bad(ret_error, err.pos < text.n ? err.pos : text.n, err.msg);

    /* A level needs a value, so most texts need no second look. */
    if (yyjson_doc_get_val_count(doc) > JSON_DEPTH_MAX) {
        size_t deep = find_too_deep(text);
        if (deep < text.n) {
            yyjson_doc_free(doc);
            return too_deep(ret_error, deep);
        }
    }
    *ret_doc = doc;
    return 0;
}

yyjson_val *json_member(yyjson_val *object, struct str name)
{
    yyjson_val *found = NULL, *key;
    yyjson_obj_iter it;
    if (!yyjson_obj_iter_init(object, &it))
        return NULL;
    while ((key = yyjson_obj_iter_next(&it)) != NULL)
        if (str_eq(json_str(key), name))
            found = yyjson_obj_iter_get_val(key);
    return found;
}

struct str json_str(yyjson_val *string)
{
    if (!yyjson_is_str(string))
        return (struct str){ NULL, 0 };
    return (struct str){ yyjson_get_str(string), yyjson_get_len(string) };
}

struct str json_member_str(yyjson_val *object, struct str name)
{
    return json_str(json_member(object, name));
}

bool json_member_true(yyjson_val *object, struct str name)
{
    return yyjson_is_true(json_member(object, name));
}

bool json_member_u64(yyjson_val *object, struct str name, uint64_t *ret_n)
{
    yyjson_val *v = json_member(object, name);
    if (yyjson_is_uint(v) || (yyjson_is_sint(v) && yyjson_get_sint(v) == 0)) { /* -0 */
        *ret_n = yyjson_get_uint(v);
        return true;
    }
    if (!yyjson_is_real(v))
        return false;
    double x = yyjson_get_real(v);
    if (!(x >= 0 && x < 0x1p64) || x != (double)(uint64_t)x)
        return false;
    *ret_n = (uint64_t)x;
    return true;
}

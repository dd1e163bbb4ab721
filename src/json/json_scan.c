#include "json_scan.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "bytes16.h"
#include "must.h"

/* The quote at q is data when an odd number of backslashes stands before it.  Each
 * run of backslashes has one byte behind it, so all these looks back are linear. */
static bool is_escaped(const char *begin, const char *q)
{
    const char *p = q;
    while (p > begin && p[-1] == '\\')
        p--;
    return ((q - p) & 1) != 0;
}

/* Most strings are names and other short words: memchr() would cost more than it finds. */
static const char *find_quote(const char *p, const char *end)
{
    if (end - p >= 16) {
        unsigned at = bytes16_first(bytes16_load(p) == '"');
        p += at;
        if (at < 16)
            return p;
    }
    return p < end ? memchr(p, '"', (size_t)(end - p)) : NULL;
}

const char *json_skip_string(const char *p, const char *end)
{
    must(p < end);
    const char *begin = ++p, *q = find_quote(p, end);
    for (;;) {
        must(q != NULL); /* the text was not validated */
        if (!is_escaped(begin, q))
            return q + 1;
        p = q + 1;
        q = p < end ? memchr(p, '"', (size_t)(end - p)) : NULL;
    }
}

/* Sixteen bytes at once, then eight: most texts are plain ASCII, and this is what makes copying
 * them cheap.
 * The lowest mark is exact, for only a marked byte borrows from the one above it. */
const char *json_skip_plain(const char *p, const char *end)
{
    const uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
    for (; end - p >= 16; p += 16) {
        bytes16 v = bytes16_load(p);
        unsigned at = bytes16_first((v < 0x20) | (v == '"') | (v == '\\'));
        if (at < 16)
            return p + at;
    }
    while (end - p >= 8) {
        uint64_t x;
        memcpy(&x, p, sizeof(x));
        x = le64toh(x);
        uint64_t quotes = x ^ (ones * '"'), slashes = x ^ (ones * '\\');
        uint64_t marks = (x | (x - ones * 0x20) | (quotes - ones) | (slashes - ones)) & highs;
        if (marks != 0)
            return p + __builtin_ctzll(marks) / 8;
        p += 8;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\')
        p++;
    return p;
}

/* *ret_commas: between what it consists of. */
static inline const char *skip_container(const char *p, const char *end, size_t *ret_commas)
{
    /* '"' 1, '[' '{' 2, ']' '}' 3, ',' 4 */
    static const unsigned char kinds[256] = {
        ['"'] = 1, ['['] = 2, ['{'] = 2, [']'] = 3, ['}'] = 3, [','] = 4,
    };
    size_t depth = 0, commas = 0;
    while (p < end) {
        unsigned char kind = kinds[(unsigned char)*p];
        if (kind == 1) {
            p = json_skip_string(p, end);
            continue;
        }
        p++;
        if (kind == 2)
            depth++;
        else if (kind == 3 && --depth == 0)
            break;
        else
            commas += kind == 4 && depth == 1;
    }
    *ret_commas = commas;
    return p;
}

const char *json_skip_value(const char *p, const char *end)
{
    must(p < end);
    if (*p == '"')
        return json_skip_string(p, end);
    size_t commas;
    if (*p == '{' || *p == '[')
        return skip_container(p, end, &commas);
    while (p < end && *p != ',' && *p != ']' && *p != '}' && *p > ' ')
        p++;
    return p;
}

static uint32_t hex4(const char *p)
{
    uint32_t n = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t c = (unsigned char)p[i];
        n = n << 4 | (c <= '9' ? c - '0' : ((c | 0x20) - 'a' + 10) & 0xf);
    }
    return n;
}

static size_t encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

const char *json_unescape_one(const char *p, const char *end, char ret_utf8[4], size_t *ret_n)
{
    static const char shorts[] = "b\bf\fn\nr\rt\t";
    must(end - p >= 2);
    char kind = p[1];
    if (kind != 'u') {
        const char *hit = kind == '"' || kind == '\\' || kind == '/' ? NULL : strchr(shorts, kind);
        ret_utf8[0] = hit != NULL ? hit[1] : kind;
        *ret_n = 1;
        return p + 2;
    }
    must(end - p >= 6);
    uint32_t c = hex4(p + 2);
    p += 6;
    if (c >= 0xd800 && c <= 0xdfff) {
        uint32_t low = c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' ? hex4(p + 2) : 0;
        if (low >= 0xdc00 && low <= 0xdfff) {
            c = 0x10000 + ((c - 0xd800) << 10 | (low - 0xdc00));
            p += 6;
        } else {
            c = 0xfffd;
        }
    }
    *ret_n = encode(c, ret_utf8);
    return p;
}

static bool unescaped_is(const char *p, const char *end, struct str text)
{
    size_t at = 0;
    while (p < end) {
        char utf8[4] = { *p };
        size_t n = 1;
        p = *p == '\\' ? json_unescape_one(p, end, utf8, &n) : p + 1;
        if (n > text.n - at || memcmp(utf8, text.p + at, n) != 0)
            return false;
        at += n;
    }
    return at == text.n;
}

bool json_quoted_equals(struct str quoted, struct str text)
{
    must(quoted.n >= 2);
    struct str inner = { quoted.p + 1, quoted.n - 2 };
    bool escapes = str_index(inner, '\\') < inner.n;
    return escapes ? unescaped_is(inner.p, inner.p + inner.n, text) : str_eq(inner, text);
}

static const char *skip_array(const char *p, const char *end, size_t *ret_items)
{
    const char *first = json_skip_space(p + 1, end);
    bool empty = first < end && *first == ']';
    size_t commas = 0;
    p = skip_container(p, end, &commas);
    *ret_items = empty ? 0 : commas + 1;
    return p;
}

void json_look(struct str raw, struct json_wanted *wanted, size_t n)
{
    if (raw.n == 0 || raw.p[0] != '{')
        return;
    const char *end = raw.p + raw.n, *p = json_skip_space(raw.p + 1, end);
    while (p < end && *p != '}') {
        struct str name = { p, 0 };
        p = json_skip_string(p, end);
        name.n = (size_t)(p - name.p);
        p = json_skip_space(p, end) + 1; /* the colon */
        p = json_skip_space(p, end);
        const char *value = p;
        size_t items = 0;
        p = *p == '[' ? skip_array(p, end, &items) : json_skip_value(p, end);
        for (size_t i = 0; i < n; i++) {
            if (!json_quoted_is(name, wanted[i].name))
                continue;
            wanted[i].twice |= wanted[i].raw.n > 0;
            wanted[i].raw = (struct str){ value, (size_t)(p - value) };
            wanted[i].items = items;
        }
        p = json_skip_space(p, end);
        if (p < end && *p == ',')
            p = json_skip_space(p + 1, end);
    }
}

bool json_has_name(struct str raw, struct str name)
{
    const char *p = raw.p, *end = raw.n > 0 ? p + raw.n : p;
    while (p < end) {
        const char *from = p;
        if (*p++ != '"')
            continue;
        p = json_skip_string(from, end);
        if (!json_quoted_is((struct str){ from, (size_t)(p - from) }, name))
            continue;
        p = json_skip_space(p, end);
        if (p < end && *p == ':')
            return true;
    }
    return false;
}

struct str json_first_of(struct str raw)
{
    if (raw.n == 0 || raw.p[0] != '[')
        return S("");
    const char *end = raw.p + raw.n, *p = json_skip_space(raw.p + 1, end);
    if (p == end || *p == ']')
        return S("");
    return (struct str){ p, (size_t)(json_skip_value(p, end) - p) };
}

#include "json.h"

#include <string.h>

#include "json_scan.h"

/* Length of the UTF-8 sequence at p, at most n bytes; when it is not valid, of its
 * longest valid beginning, at least 1 (Unicode 3.9, table 3-7: one U+FFFD each). */
static size_t utf8_length(const unsigned char *p, size_t n, bool *ret_valid)
{
    size_t want = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    unsigned min = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned max = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    *ret_valid = false;
    if ((p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4)
        return 1;
    for (size_t i = 1; i < want; i++) {
        if (i == n || p[i] < min || p[i] > max)
            return i;
        min = 0x80;
        max = 0xbf;
    }
    *ret_valid = true;
    return want;
}

static void write_control(struct buf *out, unsigned char c)
{
    static const char shorts[32] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
    };
    static const char hex[] = "0123456789abcdef";
    if (shorts[c] != 0)
        buf_add(out, (struct str){ (const char[2]){ '\\', shorts[c] }, 2 });
    else
        buf_add(out, (struct str){
                         (const char[6]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 0xf] }, 6 });
}

/* How many bytes at p need no escape.  *ret_special is the length of what follows,
 * *ret_valid whether that is valid UTF-8. */
static size_t plain_run(const unsigned char *p, size_t n, size_t *ret_special, bool *ret_valid)
{
    size_t i = 0;
    *ret_special = 0;
    *ret_valid = true;
    while (i < n) {
        if (p[i] < 0x80) {
            i = (size_t)(json_skip_plain((const char *)p + i, (const char *)p + n) -
                         (const char *)p);
            if (i == n || p[i] >= 0x80)
                continue;
            *ret_special = 1;
            break;
        }
        size_t len = utf8_length(p + i, n - i, ret_valid);
        bool ends_line = (len == 2 && p[i] == 0xc2 && p[i + 1] == 0x85) ||
                         (len == 3 && p[i] == 0xe2 && p[i + 1] == 0x80 && (p[i + 2] | 1) == 0xa9);
        if (!*ret_valid || ends_line) {
            *ret_special = len;
            break;
        }
        i += len;
    }
    return i;
}

static void write_special(struct buf *out, const unsigned char *p, size_t n, bool valid)
{
    if (!valid)
        buf_add(out, S("\xef\xbf\xbd"));
    else if (n == 1 && p[0] < 0x20)
        write_control(out, p[0]);
    else if (n == 1)
        buf_add(out, (struct str){ (const char[2]){ '\\', (char)p[0] }, 2 });
    else if (n == 2)
        buf_add(out, S("\\u0085"));
    else
        buf_add(out, p[2] == 0xa8 ? S("\\u2028") : S("\\u2029"));
}

size_t json_utf8_length(struct str s, bool *ret_valid)
{
    return utf8_length((const unsigned char *)s.p, s.n, ret_valid);
}

size_t json_cut_bytes(struct str s)
{
    for (size_t n = 1; n < 4 && n <= s.n; n++) {
        const unsigned char *p = (const unsigned char *)s.p + s.n - n;
        bool valid;
        if ((*p & 0xc0) == 0x80)
            continue; /* not yet at the first byte */
        bool begins = *p >= 0xc2 && *p <= 0xf4;
        return begins && utf8_length(p, n, &valid) == n && !valid ? n : 0;
    }
    return 0;
}

size_t json_plain_run(struct str s)
{
    size_t special;
    bool valid;
    return plain_run((const unsigned char *)s.p, s.n, &special, &valid);
}

void json_write_inside(struct buf *out, struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;
    while (i < s.n) {
        size_t special;
        bool valid;
        size_t plain = plain_run(p + i, s.n - i, &special, &valid);
        buf_add(out, (struct str){ s.p + i, plain });
        i += plain;
        if (special > 0)
            write_special(out, p + i, special, valid);
        i += special;
    }
}

void json_write_str(struct buf *out, struct str s)
{
    if (s.n == 0) { /* which may have no place */
        buf_add(out, S("\"\""));
        return;
    }
    if (json_skip_plain(s.p, s.p + s.n) == s.p + s.n) { /* as names are */
        char *to = buf_reserve(out, s.n + 2);
        if (to == NULL)
            return;
        to[0] = '"';
        memcpy(to + 1, s.p, s.n);
        to[s.n + 1] = '"';
        buf_commit(out, s.n + 2);
        return;
    }
    buf_add_byte(out, '"');
    json_write_inside(out, s);
    buf_add_byte(out, '"');
}

struct str json_quote(struct arena *a, struct str s)
{
    size_t special;
    bool valid;
    if (plain_run((const unsigned char *)s.p, s.n, &special, &valid) == s.n)
        return arena_join(a, S("\""), s, S("\""));
    struct buf out;
    buf_init(&out, SIZE_MAX);
    json_write_str(&out, s);
    struct str quoted = arena_str(a, buf_str(&out));
    buf_done(&out);
    return quoted;
}

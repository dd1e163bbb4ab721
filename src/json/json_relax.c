#include <string.h>

#include "json.h"

/* A word that some serialisers write where JSON has no number. */
static size_t odd_number(struct str rest)
{
    static const struct str words[] = { S_INIT("NaN"), S_INIT("Infinity"), S_INIT("-Infinity"),
                                        S_INIT("-NaN") };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_starts(rest, words[i]))
            return words[i].n;
    return 0;
}

static const char mark_begin[] = "\\uDc", mark_hex[] = "0123456789abcdef";

unsigned char json_mark_at(const char *p, const char *end)
{
    if (end - p < JSON_MARK_BYTES || memcmp(p, mark_begin, 4) != 0)
        return 0;
    const char *high = memchr(mark_hex + 8, p[4], 8), *low = memchr(mark_hex, p[5], 16);
    if (high == NULL || low == NULL)
        return 0;
    return (unsigned char)((high - mark_hex) << 4 | (low - mark_hex));
}

static void write_marks(struct buf *out, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        buf_add(out, S("\\uDc"));
        buf_add_byte(out, mark_hex[c >> 4]);
        buf_add_byte(out, mark_hex[c & 0xf]);
    }
}

/* How many bytes at the beginning of s can only go on with a character. */
static size_t rest_bytes(struct str s)
{
    size_t n = 0;
    while (n < 3 && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* The string that begins at p (a quote): its inside, mended. Returns what follows it. */
static const char *relax_string(struct buf *out, const char *p, const char *end)
{
    const char *q = p + 1;
    while (q < end && *q != '"')
        q += *q == '\\' && q + 1 < end ? 2 : 1;
    buf_add_byte(out, '"');
    struct str inside = { p + 1, (size_t)(q - p - 1) };
    size_t rest = rest_bytes(inside), cut = json_cut_bytes(inside);
    const char *plain_end = q - cut;
    write_marks(out, p + 1, rest);
    for (const char *run = p + 1 + rest; run < plain_end;) {
        const char *stop = run;
        while (stop < plain_end && *stop != '\\')
            stop++;
        json_write_inside(out, (struct str){ run, (size_t)(stop - run) });
        run = stop;
        if (run < plain_end) { /* an escape sequence stays as it is; the text may end inside it */
            size_t n = run + 1 < plain_end ? 2 : 1;
            buf_add(out, (struct str){ run, n });
            run += n;
        }
    }
    write_marks(out, plain_end, cut);
    if (q < end)
        buf_add_byte(out, '"');
    return q < end ? q + 1 : end;
}

struct str json_relax(struct arena *a, struct str text)
{
    struct buf out;
    buf_init(&out, SIZE_MAX / 2);
    const char *p = text.p, *end = text.p + text.n;
    while (p < end) {
        size_t odd = *p == '"' ? 0 : odd_number((struct str){ p, (size_t)(end - p) });
        if (*p == '"') {
            p = relax_string(&out, p, end);
        } else if (odd > 0) {
            buf_add(&out, S("null"));
            p += odd;
        } else {
            buf_add_byte(&out, *p++);
        }
    }
    struct str result = arena_str(a, buf_str(&out));
    buf_done(&out);
    return result;
}

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

/* The string that begins at p (a quote): its inside, mended. Returns what follows it. */
static const char *relax_string(struct buf *out, const char *p, const char *end)
{
    const char *q = p + 1;
    while (q < end && *q != '"')
        q += *q == '\\' && q + 1 < end ? 2 : 1;
    buf_add_byte(out, '"');
    for (const char *run = p + 1; run < q;) {
        const char *stop = run;
        while (stop < q && *stop != '\\')
            stop++;
        json_write_inside(out, (struct str){ run, (size_t)(stop - run) });
        run = stop;
        if (run < q) { /* an escape sequence stays as it is; the text may end inside it */
            size_t n = run + 1 < q ? 2 : 1;
            buf_add(out, (struct str){ run, n });
            run += n;
        }
    }
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

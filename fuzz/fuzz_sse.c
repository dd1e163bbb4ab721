/*
 * Checks: the decoder gives the same events and the same error for the whole input and for
 * the chopped one; the splitter counts the same bytes; where the splitter sees a
 * boundary, decoding the two halves apart gives the same events as decoding the whole.
 * The first byte of the input chooses the pieces' length and the limit.
 */
#include <stddef.h>
#include <stdint.h>

#include "pieces_check.h"
#include "sse.h"

enum { LIMIT_SMALL = 24, LIMIT_LARGE = 1 << 20 };

static int on_event(void *ctx, const struct sse_event *ev)
{
    struct buf *out = ctx;
    must(ev->data.n > 0);
    must(str_index(ev->name, '\n') == ev->name.n);
    must(str_index(ev->data, '\r') == ev->data.n);
    buf_addf(out, "%zu,%zu:", ev->name.n, ev->data.n);
    buf_add(out, ev->name);
    buf_add(out, ev->data);
    return 0;
}

static int decode(void *ctx, struct str in, size_t step, struct buf *out)
{
    const size_t *limit_bytes = ctx;
    struct sse_decoder d;
    int e = 0;
    sse_decoder_init(&d, *limit_bytes, on_event, out);
    for (size_t at = 0; e == 0 && at < in.n; at += step)
        e = sse_decoder_feed(&d, str_slice(in, at, at + step));
    must(!d.line.overflow && !d.name.overflow && !d.data.overflow);
    int last = sse_decoder_end(&d);
    must(e == 0 || last == e);
    sse_decoder_done(&d);
    return last;
}

static size_t split(struct str in, size_t step)
{
    struct sse_splitter s;
    size_t counted = 0;
    sse_splitter_init(&s);
    for (size_t at = 0; at < in.n; at += step) {
        struct str piece = str_slice(in, at, at + step);
        size_t n = sse_split(&s, piece);
        must(n <= piece.n);
        if (n > 0)
            counted = at + n;
        must(sse_at_boundary(&s) == (counted == at + piece.n));
    }
    return counted;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return 0;
    size_t step = bytes[0] % 16 + 1;
    size_t limit_bytes = bytes[0] & 0x80 ? LIMIT_SMALL : LIMIT_LARGE;
    struct str in = { (const char *)bytes + 1, n - 1 };
    struct buf whole, halves;
    int e = pieces_check(decode, &limit_bytes, in, step, &whole);

    size_t at = split(in, in.n + 1);
    must(split(in, step) == at);
    buf_init(&halves, SIZE_MAX);
    if (e == 0) {
        must(decode(&limit_bytes, str_slice(in, 0, at), in.n + 1, &halves) == 0);
        must(decode(&limit_bytes, str_slice(in, at, in.n), in.n + 1, &halves) == 0);
        must(str_eq(buf_str(&whole), buf_str(&halves)));
    }
    buf_done(&whole);
    buf_done(&halves);
    return 0;
}

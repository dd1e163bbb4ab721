/*
 * Checks: the whole stream and the chopped one fold alike, also in their errors; a result is one
 * JSON object; errors stay; what is kept stays under a small limit.
 * The first byte of the input chooses the protocol, the pieces' length and the limit.
 */
#include <stddef.h>
#include <stdint.h>

#include "body_check.h"
#include "err.h"
#include "fold.h"
#include "pieces_check.h"

enum { LIMIT_SMALL = 600, LIMIT_LARGE = 1 << 20 };

static void describe_error(const struct fold *f, struct buf *out)
{
    int status;
    struct str type, message;
    if (!fold_error(f, &status, &type, &message))
        return;
    must(status >= 400);
    must(type.n > 0);
    must(message.n > 0);
    buf_addf(out, "%d,%zu:", status, type.n);
    buf_add(out, type);
    buf_add(out, message);
}

struct setup {
    enum protocol protocol;
    size_t limit_bytes;
};

static int fold(void *ctx, struct str in, size_t step, struct buf *out)
{
    const struct setup *setup = ctx;
    struct fold *f = fold_new(setup->protocol, setup->limit_bytes);
    int e = 0;
    for (size_t at = 0; e == 0 && at < in.n; at += step)
        e = fold_feed(f, str_slice(in, at, at + step));
    int last = fold_end(f);
    must(e == 0 || last == e);
    if (last == 0)
        fold_result(f, out);
    else
        describe_error(f, out);
    fold_free(f);
    return last;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return 0;
    struct setup setup = { .protocol = bytes[0] & 0x40 ? PROTOCOL_RESPONSES : PROTOCOL_MESSAGES,
                           .limit_bytes = bytes[0] & 0x80 ? LIMIT_SMALL : LIMIT_LARGE };
    struct str in = { (const char *)bytes + 1, n - 1 };
    struct buf out;
    int e = pieces_check(fold, &setup, in, bytes[0] % 16 + 1, &out);
    must(e == 0 || e == E_UPSTREAM_STREAM || e == E_UPSTREAM_EVENT);
    if (e == 0)
        body_check(buf_str(&out));
    buf_done(&out);
    return 0;
}

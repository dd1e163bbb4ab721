/*
 * Checks: any bytes as any coding, or list of two, end within the limits; what decodes at
 * once decodes to the same bytes in pieces (or is E_TOO_LARGE there: the ratio is taken
 * over the bytes that have come).  The first byte chooses the coding, the second the pieces.
 */
#include <stddef.h>
#include <stdint.h>

#include "coding.h"
#include "err.h"

enum { LIMIT_BYTES = 3 << 20 };

static const struct str names[] = {
    S_INIT("gzip"),     S_INIT("deflate"), S_INIT("br"),         S_INIT("zstd"),
    S_INIT("identity"), S_INIT("gzip,br"), S_INIT("zstd, gzip"), S_INIT("deflate,zstd"),
};

static int add(void *ctx, struct str bytes)
{
    must(bytes.n > 0);
    buf_add(ctx, bytes);
    return 0;
}

static int decode_in_pieces(struct str name, struct str in, size_t step, struct buf *out)
{
    struct coding *c;
    int e = coding_new(name, LIMIT_BYTES, add, out, &c);
    must(e == 0);
    for (size_t at = 0; e == 0 && at < in.n; at += step)
        e = coding_feed(c, str_slice(in, at, at + step));
    int last = coding_end(c);
    must(e == 0 || last == e);
    coding_free(c);
    return last;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n < 2)
        return 0;
    struct str name = names[bytes[0] % ARRAY_LEN(names)];
    size_t step = bytes[1] % 32 + 1;
    struct str in = { (const char *)bytes + 2, n - 2 };
    struct buf whole, pieces;
    buf_init(&whole, SIZE_MAX);
    buf_init(&pieces, SIZE_MAX);

    int e = coding_decode(name, in, LIMIT_BYTES, &whole);
    must(e == 0 || e == E_BAD_CODING || e == E_TOO_LARGE);
    must(buf_len(&whole) <= LIMIT_BYTES);
    must(buf_len(&whole) <= (1 << 20) + 100 * in.n);
    int e2 = decode_in_pieces(name, in, step, &pieces);
    must(e < 0 ? e2 < 0
               : e2 == 0 || e2 == E_TOO_LARGE); /* of two faults either may be seen first */
    if (e == 0 && e2 == 0)
        must(str_eq(buf_str(&whole), buf_str(&pieces)));
    buf_done(&whole);
    buf_done(&pieces);
    return 0;
}

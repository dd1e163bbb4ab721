/*
 * pieces_check.h - whole and chopped, an input gives the same result and the same output.
 */
#ifndef PIECES_CHECK_H
#define PIECES_CHECK_H

#include "buf.h"
#include "must.h"

/* Feeds `in` in pieces of `step` bytes and describes in `out` what came. */
typedef int pieces_feed(void *ctx, struct str in, size_t step, struct buf *out);

/* ret_out is the caller's to free. */
static inline int pieces_check(pieces_feed *feed, void *ctx, struct str in, size_t step,
                               struct buf *ret_out)
{
    struct buf chopped;
    buf_init(ret_out, SIZE_MAX);
    buf_init(&chopped, SIZE_MAX);
    int e = feed(ctx, in, in.n + 1, ret_out);
    must(feed(ctx, in, step, &chopped) == e);
    must(str_eq(buf_str(ret_out), buf_str(&chopped)));
    buf_done(&chopped);
    return e;
}

#endif

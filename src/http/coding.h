/*
 * coding.h - content codings: gzip (x-gzip), deflate (zlib or raw), br, zstd, identity.
 *
 * Contract
 *   Input      any split of the coded bytes.
 *   Output     decoded bytes as soon as they are known, through on_bytes().
 *   Limits     decoded bytes at most limit_bytes (E_TOO_LARGE), and beyond the first
 *              MiB at most 100 times the coded bytes fed so far (E_TOO_LARGE); both hold
 *              between two codings of a list as well.  A zstd window over 8 MiB
 *              is E_BAD_CODING (RFC 9659).
 *   Lists      "gzip, zstd" (at most 2 codings) are undone in reverse order.
 *   Whole      several gzip members or zstd frames in a row are one text; any other
 *              byte after the end is E_BAD_CODING.  No byte at all is the empty text:
 *              some servers label empty bodies.
 *   Errors     E_UNKNOWN_CODING, E_BAD_CODING, E_TOO_LARGE; sticky.
 */
#ifndef CODING_H
#define CODING_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "must.h"
#include "str.h"

typedef int coding_on_bytes(void *ctx, struct str bytes);

struct coding;

bool coding_is_identity(struct str name); /* empty, identity, or white space */
int coding_new(struct str names, size_t limit_bytes, coding_on_bytes *on_bytes, void *ctx,
               struct coding **ret_coding) MUST_CHECK;
int coding_feed(struct coding *c, struct str bytes) MUST_CHECK;
int coding_end(struct coding *c) MUST_CHECK; /* E_BAD_CODING when the input was cut */
void coding_free(struct coding *c);

/* All at once, into out. */
int coding_decode(struct str names, struct str bytes, size_t limit_bytes, struct buf *out)
    MUST_CHECK;

#endif

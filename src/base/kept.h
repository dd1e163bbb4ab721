/*
 * kept.h - memory for what lives as long as one request: blocks of a few sizes are kept when they
 * are given back, for the next one who takes that size.
 *
 * malloc() would cut them up and join them again for every request, and a thousand requests at
 * once would leave its heap in pieces.
 *
 * Contract
 *   Input      any size; kept are powers of two, from 64 bytes to 16 KiB, and large ones.
 *   Ownership  a block is malloc()'s: free() may end it instead of kept_give().
 *   Limits     256 KiB of each size are kept, 2.3 MiB in all, and KEPT_LARGE blocks of
 * KEPT_LARGE_BYTES to KEPT_LARGE_BYTES_MAX, until kept_free_all(). Failure    out of memory aborts.
 *   Threads    each keeps its own; any may give back what another has taken.
 *   Checks     AddressSanitizer has to see blocks die: none are kept under it.
 */
#ifndef KEPT_H
#define KEPT_H

#include <stddef.h>

enum { KEPT_LARGE = 2, KEPT_LARGE_BYTES = 512 << 10, KEPT_LARGE_BYTES_MAX = 2 << 20 };

void *kept_take(size_t bytes);         /* not zeroed */
void kept_give(void *p, size_t bytes); /* as taken; NULL is fine */
void kept_free_all(void);

#endif

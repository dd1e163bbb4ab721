/*
 * slab.h - memory for objects of one size that live long.
 *
 * Contract
 *   Why        what a stream keeps for minutes lies together, in blocks of its own.  On malloc's
 *              heap the short-lived heads and bodies between would leave it in pieces: after a
 *              burst of requests most of it would be free, and none of it could be given back.
 *   Ownership  as malloc: slab_take() gives zeroed memory, slab_give() takes it back.
 *   Limits     blocks of 64 KiB.  An empty one goes back to the system unless it is the slab's
 *              last; eight wait for slab_free_spare() first.
 *   Errors     out of memory aborts the process, as in mem.h.
 *   Threads    all slabs of a process are used by one thread.
 *   Tests      AddressSanitizer shall see each object live and die: there it is malloc().
 */
#ifndef SLAB_H
#define SLAB_H

#include <stddef.h>
#include <stdint.h>

#include "list.h"

enum { SLAB_BLOCK_BYTES = 64 << 10, SLAB_ALIGN_BYTES = 16 };

struct slab {
    struct list open; /* blocks with room */
    size_t object_bytes;
};

/* static struct slab conns = SLAB_OF(conns, struct conn); */
#define SLAB_OF(name, T)                                                                 \
    {                                                                                    \
        .open = { &(name).open, &(name).open },                                          \
        .object_bytes = (sizeof(T) + SLAB_ALIGN_BYTES - 1) & ~(SLAB_ALIGN_BYTES - 1ull), \
    }

void *slab_take(struct slab *s); /* never NULL */
void slab_give(void *object);    /* to the slab that it came from; takes NULL */
void slab_free_spare(void);      /* the empty blocks that are kept for the next burst */

#endif

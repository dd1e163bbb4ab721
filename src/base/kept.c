#include "kept.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define KEEPS_BLOCKS false
#elif defined(__has_feature)
#define KEEPS_BLOCKS (!__has_feature(address_sanitizer) && !__has_feature(memory_sanitizer))
#else
#define KEEPS_BLOCKS true
#endif

enum { FIRST_BITS = 6, RANKS = 9, KEPT_BYTES = 256 << 10 };

struct block {
    struct block *next;
};

static _Thread_local struct {
    struct block *first;
    size_t bytes;
} kept[RANKS];

/* RANKS: of a size that is not kept. */
static unsigned rank_of(size_t bytes)
{
    size_t least = (size_t)1 << FIRST_BITS;
    bool power = bytes >= least && (bytes & (bytes - 1)) == 0;
    unsigned rank = power ? (unsigned)__builtin_ctzll(bytes) - FIRST_BITS : RANKS;
    return KEEPS_BLOCKS && rank < RANKS ? rank : RANKS;
}

void *kept_take(size_t bytes)
{
    unsigned rank = rank_of(bytes);
    struct block *b = rank < RANKS ? kept[rank].first : NULL;
    if (b == NULL)
        return mem_alloc(bytes);
    kept[rank].first = b->next;
    kept[rank].bytes -= bytes;
    return b;
}

void kept_give(void *p, size_t bytes)
{
    unsigned rank = rank_of(bytes);
    struct block *b = p;
    if (b == NULL || rank == RANKS || kept[rank].bytes + bytes > KEPT_BYTES) {
        free(b);
        return;
    }
    b->next = kept[rank].first;
    kept[rank].first = b;
    kept[rank].bytes += bytes;
}

void kept_free_all(void)
{
    for (int rank = 0; rank < RANKS; rank++) {
        while (kept[rank].first != NULL) {
            struct block *b = kept[rank].first;
            kept[rank].first = b->next;
            free(b);
        }
        kept[rank].bytes = 0;
    }
}

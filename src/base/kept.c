#include "kept.h"

#include <malloc.h>
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

/* Blocks of whole bodies: a fresh one costs a page fault for every 4 KiB. */
static _Thread_local struct {
    void *p;
    size_t bytes;
} spare[KEPT_LARGE];

/* RANKS: of a size that is not kept. */
static unsigned rank_of(size_t bytes)
{
    size_t least = (size_t)1 << FIRST_BITS;
    bool power = bytes >= least && (bytes & (bytes - 1)) == 0;
    unsigned rank = power ? (unsigned)__builtin_ctzll(bytes) - FIRST_BITS : RANKS;
    return KEEPS_BLOCKS && rank < RANKS ? rank : RANKS;
}

static void free_large(void)
{
    for (int i = 0; i < KEPT_LARGE; i++) {
        free(spare[i].p);
        spare[i].p = NULL;
    }
}

/* One that is not much larger.  When none is, they go: the peak is of what is used. */
static void *take_large(size_t bytes)
{
    for (int i = 0; i < KEPT_LARGE; i++) {
        void *p = spare[i].p;
        if (p == NULL || spare[i].bytes < bytes || spare[i].bytes / 2 > bytes)
            continue;
        spare[i].p = NULL;
        return p;
    }
    free_large();
    return mem_alloc(bytes);
}

static void give_large(void *p)
{
    size_t bytes = malloc_usable_size(p); /* it may have been taken for less */
    for (int i = 0; i < KEPT_LARGE && bytes <= KEPT_LARGE_BYTES_MAX; i++) {
        if (spare[i].p != NULL)
            continue;
        spare[i].p = p;
        spare[i].bytes = bytes;
        return;
    }
    free(p);
}

void *kept_take(size_t bytes)
{
    unsigned rank = rank_of(bytes);
    struct block *b = rank < RANKS ? kept[rank].first : NULL;
    if (KEEPS_BLOCKS && bytes >= KEPT_LARGE_BYTES)
        return take_large(bytes);
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
    if (KEEPS_BLOCKS && b != NULL && bytes >= KEPT_LARGE_BYTES) {
        give_large(p);
        return;
    }
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
    free_large();
    for (int rank = 0; rank < RANKS; rank++) {
        while (kept[rank].first != NULL) {
            struct block *b = kept[rank].first;
            kept[rank].first = b->next;
            free(b);
        }
        kept[rank].bytes = 0;
    }
}

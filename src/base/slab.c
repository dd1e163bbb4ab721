#include "slab.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mem.h"
#include "must.h"

#if defined(__SANITIZE_ADDRESS__)
#define IN_BLOCKS false
#elif defined(__has_feature)
#define IN_BLOCKS (!__has_feature(address_sanitizer) && !__has_feature(memory_sanitizer))
#else
#define IN_BLOCKS true
#endif

enum { REGION_BYTES = 16 * SLAB_BLOCK_BYTES, SPARE_BLOCKS_MAX = 8 };

/* A block begins at a multiple of its size, so that an object tells its block. */
struct block {
    struct list link; /* owner->open, unless it is full */
    struct slab *owner;
    void *free;          /* given back; each begins with the next one's address */
    size_t used, carved; /* objects; those beyond `carved` have never been used */
    _Alignas(max_align_t) char bytes[];
};

/* Empty ones of all slabs: requests come in bursts, and a block that comes and goes with each
 * costs two system calls and its page faults. */
static struct list spare = { &spare, &spare };
static size_t spare_n;

static size_t capacity(const struct slab *s)
{
    return (SLAB_BLOCK_BYTES - sizeof(struct block)) / s->object_bytes;
}

static void unmap(char *at, size_t bytes)
{
    if (bytes > 0)
        must(munmap(at, bytes) == 0);
}

/* Blocks are cut from larger pieces of address space; what is not used costs nothing. */
static char *block_bytes(void)
{
    static char *region, *end;
    if (region == end) {
        size_t bytes = REGION_BYTES + SLAB_BLOCK_BYTES;
        char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            mem_exhausted();
        size_t gap = (0 - (uintptr_t)p) & (SLAB_BLOCK_BYTES - 1);
        unmap(p, gap);
        unmap(p + gap + REGION_BYTES, SLAB_BLOCK_BYTES - gap);
        region = p + gap;
        end = region + REGION_BYTES;
    }
    region += SLAB_BLOCK_BYTES;
    return region - SLAB_BLOCK_BYTES;
}

static struct block *block_new(struct slab *s)
{
    struct block *b;
    if (spare_n > 0) {
        b = list_first(&spare, struct block, link);
        list_remove(&b->link);
        spare_n--;
    } else {
        b = (struct block *)(void *)block_bytes();
    }
    *b = (struct block){ .owner = s };
    list_init(&b->link);
    list_append(&s->open, &b->link);
    return b;
}

void *slab_take(struct slab *s)
{
    if (!IN_BLOCKS)
        return mem_zalloc(s->object_bytes);
    struct block *b =
        list_empty(&s->open) ? block_new(s) : list_first(&s->open, struct block, link);
    void *p = b->free;
    if (p != NULL)
        memcpy(&b->free, p, sizeof(b->free));
    else
        p = b->bytes + b->carved++ * s->object_bytes;
    if (++b->used == capacity(s))
        list_remove(&b->link);
    return memset(p, 0, s->object_bytes);
}

void slab_give(void *object)
{
    if (!IN_BLOCKS || object == NULL) {
        free(object);
        return;
    }
    uintptr_t at = (uintptr_t)object & ~(uintptr_t)(SLAB_BLOCK_BYTES - 1);
    struct block *b = (struct block *)at;
    struct slab *s = b->owner;
    must(b->used > 0);
    if (b->used-- == capacity(s)) /* it is filled first: others may become empty */
        list_prepend(&s->open, &b->link);
    memcpy(object, &b->free, sizeof(b->free));
    b->free = object;
    bool last = s->open.next == &b->link && s->open.prev == &b->link;
    if (b->used == 0 && !last) {
        list_remove(&b->link);
        if (spare_n < SPARE_BLOCKS_MAX) {
            list_prepend(&spare, &b->link);
            spare_n++;
        } else {
            unmap((char *)b, SLAB_BLOCK_BYTES);
        }
    }
}

void slab_free_spare(void)
{
    while (spare_n > 0) {
        struct block *b = list_first(&spare, struct block, link);
        list_remove(&b->link);
        spare_n--;
        unmap((char *)b, SLAB_BLOCK_BYTES);
    }
}

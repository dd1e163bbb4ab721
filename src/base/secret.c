/*
 * Small blocks come from regions of 64 KiB in sizes of powers of two, and wait in a list of their
 * size to be used again; a large one has pages of its own.
 */
#include "secret.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "mem.h"
#include "must.h"

enum {
    REGION_BYTES = 64 * 1024,
    PAGE_BYTES = 4096,
    SMALLEST_SHIFT = 6,
    SIZES = 7, /* 64 bytes to 4 KiB, struct block included */
    LARGE = SIZES,
};

struct block {
    struct block *next; /* while it is free */
    size_t size;        /* asked for */
    unsigned class;     /* LARGE: alone in its pages */
    _Alignas(max_align_t) char bytes[];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of all below */
static struct block *free_blocks[SIZES];
static char *region; /* where the next blocks come from */
static size_t region_left_bytes;
static bool unlocked;

static size_t class_bytes(unsigned class)
{
    return (size_t)1 << (SMALLEST_SHIFT + class);
}

static size_t large_bytes(size_t size)
{
    return (sizeof(struct block) + size + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static void *pages_new(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        mem_exhausted();
    if (mlock(p, bytes) < 0)
        unlocked = true;
    (void)madvise(p, bytes, MADV_DONTDUMP);
    (void)madvise(p, bytes, MADV_WIPEONFORK);
    return p;
}

static struct block *small_new(unsigned class)
{
    struct block *b = free_blocks[class];
    if (b != NULL) {
        free_blocks[class] = b->next;
        return b;
    }
    if (region_left_bytes < class_bytes(class)) {
        region = pages_new(REGION_BYTES); /* what was left of the old one stays unused */
        region_left_bytes = REGION_BYTES;
    }
    b = (struct block *)(void *)region;
    region += class_bytes(class);
    region_left_bytes -= class_bytes(class);
    return b;
}

void *secret_alloc(size_t size)
{
    must(size < SIZE_MAX / 2);
    unsigned class = 0;
    while (class < LARGE && class_bytes(class) < sizeof(struct block) + size)
        class ++;
    must(pthread_mutex_lock(&mutex) == 0);
    struct block *b = class < LARGE ? small_new(class) : pages_new(large_bytes(size));
    must(pthread_mutex_unlock(&mutex) == 0);
    b->next = NULL;
    b->size = size;
    b->class = class;
    return b->bytes;
}

char *secret_strndup(const char *p, size_t n)
{
    char *copy = secret_alloc(n + 1);
    if (n > 0)
        memcpy(copy, p, n);
    return copy;
}

void secret_free(void *p)
{
    if (p == NULL)
        return;
    struct block *b = container_of(p, struct block, bytes);
    explicit_bzero(b->bytes, b->size);
    if (b->class == LARGE) {
        must(munmap(b, large_bytes(b->size)) == 0);
        return;
    }
    must(pthread_mutex_lock(&mutex) == 0);
    b->next = free_blocks[b->class];
    free_blocks[b->class] = b;
    must(pthread_mutex_unlock(&mutex) == 0);
}

void secret_clear_registers(void)
{
    static const char zeros[8192]; /* libc has a way of its own for each range of sizes */
    static char to[sizeof(zeros)];
    void *(*volatile copy)(void *, const void *, size_t) = memmove;
    for (size_t n = 1; n <= sizeof(zeros); n *= 2) {
        copy(to, zeros, n);
        copy(to, zeros, n + n / 2 <= sizeof(zeros) ? n + n / 2 : n);
        copy(to + sizeof(to) - n, zeros, n);
    }
}

bool secret_locked(void)
{
    return !unlocked;
}

#include "secret.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "mem.h"
#include "must.h"

enum { REGION_BYTES = 64 * 1024, PAGE_BYTES = 4096 };

struct block {
    size_t size;
    _Alignas(max_align_t) char bytes[];
};

/* At the beginning of its own pages. */
struct region {
    struct region *older;
    size_t size, used; /* bytes, this struct included */
    size_t blocks;     /* not freed */
    _Alignas(max_align_t) char bytes[];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of the two below */
static struct region *newest;
static bool unlocked;

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static struct region *region_new(size_t need)
{
    size_t size = round_up(sizeof(struct region) + need, PAGE_BYTES);
    if (size < REGION_BYTES)
        size = REGION_BYTES;
    struct region *r = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (r == MAP_FAILED)
        mem_exhausted();
    if (mlock(r, size) < 0)
        unlocked = true;
    (void)madvise(r, size, MADV_DONTDUMP);
    (void)madvise(r, size, MADV_WIPEONFORK);
    r->size = size;
    r->used = sizeof(*r);
    r->older = newest;
    newest = r;
    return r;
}

void *secret_alloc(size_t size)
{
    must(size < SIZE_MAX / 2);
    size_t need = round_up(sizeof(struct block) + size, _Alignof(max_align_t));
    must(pthread_mutex_lock(&mutex) == 0);
    struct region *r = newest;
    if (r == NULL || r->size - r->used < need)
        r = region_new(need);
    struct block *b = (struct block *)(void *)((char *)r + r->used);
    r->used += need;
    r->blocks++;
    b->size = size;
    must(pthread_mutex_unlock(&mutex) == 0);
    return b->bytes;
}

char *secret_strndup(const char *p, size_t n)
{
    char *copy = secret_alloc(n + 1);
    if (n > 0)
        memcpy(copy, p, n);
    return copy;
}

static struct region **find_region(const char *p)
{
    struct region **at = &newest;
    while (*at != NULL &&
           ((uintptr_t)p < (uintptr_t)*at || (uintptr_t)p - (uintptr_t)*at >= (*at)->size))
        at = &(*at)->older;
    must(*at != NULL);
    return at;
}

void secret_free(void *p)
{
    if (p == NULL)
        return;
    struct block *b = container_of(p, struct block, bytes);
    explicit_bzero(b->bytes, b->size);
    must(pthread_mutex_lock(&mutex) == 0);
    struct region **at = find_region(p), *r = *at;
    must(r->blocks > 0);
    if (--r->blocks == 0) {
        *at = r->older;
        must(munmap(r, r->size) == 0);
    }
    must(pthread_mutex_unlock(&mutex) == 0);
}

bool secret_locked(void)
{
    return !unlocked;
}

#include "mem.h"

#include <limits.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kept.h"
#include "must.h"

_Noreturn void must_fail(const char *cond, const char *file, int line)
{
    fprintf(stderr, "%s:%d: must(%s) failed\n", file, line, cond);
    abort();
}

_Noreturn void mem_exhausted(void)
{
    fputs("out of memory\n", stderr);
    abort();
}

static void *checked(void *p)
{
    if (p == NULL)
        mem_exhausted();
    return p;
}

void *mem_alloc(size_t size)
{
    return checked(malloc(size > 0 ? size : 1));
}

void *mem_zalloc(size_t size)
{
    enum { SMALL_BYTES_MAX = 1024 };
    if (size > SMALL_BYTES_MAX)
        return checked(calloc(1, size));
    /* glibc's calloc() goes around the thread's cache of small pieces */
    return memset(mem_alloc(size), 0, size);
}

void *mem_realloc(void *p, size_t size)
{
    return checked(realloc(p, size > 0 ? size : 1));
}

/* --- core files --- */

extern char end[]; /* of the program's variables: the heap begins somewhere behind */
static bool hidden;

void mem_hide(void)
{
    enum { PAGE_BYTES = 4096 };
    uintptr_t from = ((uintptr_t)end + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    if (!hidden) {
        hidden = true;
        /* One heap for all sizes and threads, far ahead of its use. */
        (void)mallopt(M_MMAP_MAX, 0);
        (void)mallopt(M_ARENA_MAX, 1);
        (void)mallopt(M_TRIM_THRESHOLD, INT_MAX);
        (void)mallopt(M_TOP_PAD, MEM_HIDDEN_BYTES);
        void *volatile more = mem_alloc(1 << 20); /* more than it has by now */
        free(more);
    }
    /* ENOMEM tells of the gap before the heap; the rest has been done. */
    (void)madvise((void *)from, (uintptr_t)sbrk(0) - from, MADV_DONTDUMP);
}

void mem_keep(void)
{
    (void)mallopt(M_TRIM_THRESHOLD, INT_MAX);
    if (!hidden)
        (void)mallopt(M_MMAP_THRESHOLD, KEPT_LARGE_BYTES);
}

void mem_give_back(void)
{
    malloc_trim(hidden ? MEM_HIDDEN_BYTES : 0);
}

void *mem_dup(const void *p, size_t size)
{
    void *copy = mem_alloc(size);
    if (size > 0)
        memcpy(copy, p, size);
    return copy;
}

char *mem_strndup(const char *p, size_t n)
{
    char *copy = mem_alloc(n + 1);
    if (n > 0)
        memcpy(copy, p, n);
    copy[n] = '\0';
    return copy;
}

#include "arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "kept.h"
#include "secret.h"

/*
 * A chunk has one of RANKS sizes, header included, or, for an object that is larger than
 * they are, a size of its own.  They double, so that a small arena stays small.
 */
enum { RANK_FIRST_BYTES = 512, RANKS = 6 };

struct arena_chunk {
    struct arena_chunk *older;
    size_t size;   /* header included */
    size_t unused; /* at its end, once it is not the newest any more */
    _Alignas(max_align_t) char bytes[];
};

static size_t rank_bytes(int rank)
{
    return (size_t)RANK_FIRST_BYTES << rank;
}

static struct arena_chunk *chunk_new(const struct arena *a, size_t size)
{
    struct arena_chunk *c = a->kind == ARENA_SECRET ? secret_alloc(size) : kept_take(size);
    c->size = size;
    return c;
}

static void chunk_free(const struct arena *a, struct arena_chunk *c)
{
    if (a->kind == ARENA_SECRET) {
        secret_free(c);
        return;
    }
    if (a->kind == ARENA_WIPED)
        explicit_bzero(c->bytes, c->size - sizeof(*c) - c->unused);
    kept_give(c, c->size);
}

void arena_init(struct arena *a, size_t limit_bytes)
{
    *a = (struct arena){ .limit_bytes = limit_bytes };
}

void arena_init_wiped(struct arena *a, size_t limit_bytes)
{
    *a = (struct arena){ .limit_bytes = limit_bytes, .kind = ARENA_WIPED };
}

void arena_init_secret(struct arena *a, size_t limit_bytes)
{
    *a = (struct arena){ .limit_bytes = limit_bytes, .kind = ARENA_SECRET };
}

static void begin(struct arena *a)
{
    a->used_bytes = 0;
    a->free = a->lent;
    a->left = a->lent_bytes;
}

void arena_lend(struct arena *a, char *bytes, size_t n)
{
    must(a->used_bytes == 0);
    a->lent = bytes;
    a->lent_bytes = n;
    begin(a);
}

void arena_reset(struct arena *a)
{
    if (a->chunks != NULL)
        a->chunks->unused = a->left;
    while (a->chunks != NULL) {
        struct arena_chunk *c = a->chunks;
        a->chunks = c->older;
        chunk_free(a, c);
    }
    if (a->lent != NULL && a->kind == ARENA_WIPED)
        explicit_bzero(a->lent, a->lent_bytes);
    begin(a);
}

void arena_done(struct arena *a)
{
    arena_reset(a);
}

/* The rank of the next chunk: as much as the arena holds already, and the object itself. */
static int rank_for(const struct arena *a, size_t bytes)
{
    size_t wanted = sizeof(struct arena_chunk) + bytes;
    int rank = 0;
    while (rank + 1 < RANKS && rank_bytes(rank) < a->used_bytes)
        rank++;
    while (rank < RANKS && rank_bytes(rank) < wanted)
        rank++;
    return rank;
}

char *arena_more(struct arena *a, size_t bytes)
{
    int rank = rank_for(a, bytes);
    size_t size = rank < RANKS ? rank_bytes(rank) : sizeof(struct arena_chunk) + bytes;
    must(size >= bytes);
    struct arena_chunk *c = chunk_new(a, size);
    size_t left = size - sizeof(*c) - bytes;
    if (a->chunks != NULL && left < a->left) { /* the newest one's free space is not lost */
        c->unused = left;
        c->older = a->chunks->older;
        a->chunks->older = c;
        return c->bytes;
    }
    if (a->chunks != NULL)
        a->chunks->unused = a->left;
    c->older = a->chunks;
    a->chunks = c;
    a->free = c->bytes + bytes;
    a->left = left;
    return c->bytes;
}

void *arena_alloc(struct arena *a, size_t count, size_t size, size_t align)
{
    size_t bytes;
    must(!__builtin_mul_overflow(count, size, &bytes));
    must(align <= _Alignof(max_align_t));
    size_t gap = (0 - (uintptr_t)a->free) & (align - 1);
    if (gap > a->left) { /* the next chunk is aligned */
        a->left = 0;
    } else if (gap > 0) { /* free is NULL before the first chunk */
        a->free += gap;
        a->left -= gap;
    }
    return memset(arena_bytes(a, bytes), 0, bytes);
}

char *arena_cstr(struct arena *a, struct str s)
{
    char *p = arena_bytes(a, s.n + 1);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

struct str arena_str(struct arena *a, struct str s)
{
    return (struct str){ arena_cstr(a, s), s.n };
}

struct str arena_lower(struct arena *a, struct str s)
{
    char *p = arena_bytes(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++)
        p[i] = (char)str_lower_byte((unsigned char)s.p[i]);
    p[s.n] = '\0';
    return (struct str){ p, s.n };
}

struct str arena_cat(struct arena *a, struct str x, struct str y)
{
    return arena_join(a, x, y);
}

struct str arena_cat_all(struct arena *a, const struct str *parts, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += parts[i].n;
    char *p = arena_bytes(a, bytes + 1), *to = p;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].n > 0)
            memcpy(to, parts[i].p, parts[i].n);
        to += parts[i].n;
    }
    *to = '\0';
    return (struct str){ p, bytes };
}

struct str arena_u64(struct arena *a, uint64_t n)
{
    char digits[STR_U64_MAX];
    return arena_str(a, str_u64(n, digits));
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(small, sizeof(small), fmt, args);
    va_end(args);
    must(n >= 0);
    char *p = arena_bytes(a, (size_t)n + 1);
    if ((size_t)n < sizeof(small))
        memcpy(p, small, (size_t)n + 1);
    else
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return (struct str){ p, (size_t)n };
}

#include "arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "secret.h"

/* Chunks double from the first to the largest, so that a small arena stays small. */
enum { CHUNK_FIRST_BYTES = 512 - 48, CHUNK_MOST_BYTES = 16384 - 48 };

struct arena_chunk {
    struct arena_chunk *older;
    size_t used, cap;
    _Alignas(max_align_t) char bytes[];
};

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

static void free_chunk(const struct arena *a, struct arena_chunk *c)
{
    if (a->kind == ARENA_SECRET) {
        secret_free(c);
        return;
    }
    if (a->kind == ARENA_WIPED)
        explicit_bzero(c->bytes, c->used);
    free(c);
}

void arena_reset(struct arena *a)
{
    while (a->chunks != NULL) {
        struct arena_chunk *c = a->chunks;
        a->chunks = c->older;
        free_chunk(a, c);
    }
    a->used_bytes = 0;
}

void arena_done(struct arena *a)
{
    arena_reset(a);
}

/* A large object gets a chunk of its own behind the newest one, so that the
 * newest one's free space is not lost. */
static struct arena_chunk *chunk_for(struct arena *a, size_t bytes)
{
    size_t usual = a->used_bytes < CHUNK_FIRST_BYTES  ? CHUNK_FIRST_BYTES
                   : a->used_bytes < CHUNK_MOST_BYTES ? a->used_bytes
                                                      : CHUNK_MOST_BYTES;
    bool large = bytes > usual;
    size_t size = sizeof(struct arena_chunk) + (large ? bytes : usual);
    struct arena_chunk *c = a->kind == ARENA_SECRET ? secret_alloc(size) : mem_alloc(size);
    c->used = 0;
    c->cap = large ? bytes : usual;
    if (large && a->chunks != NULL) {
        c->older = a->chunks->older;
        a->chunks->older = c;
    } else {
        c->older = a->chunks;
        a->chunks = c;
    }
    return c;
}

void *arena_alloc(struct arena *a, size_t count, size_t size, size_t align)
{
    size_t bytes;
    must(!__builtin_mul_overflow(count, size, &bytes));
    must(align <= _Alignof(max_align_t));
    must(bytes <= a->limit_bytes - a->used_bytes);

    struct arena_chunk *c = a->chunks;
    size_t at = c != NULL ? (c->used + align - 1) & ~(align - 1) : 0;
    if (c == NULL || at > c->cap || bytes > c->cap - at) {
        c = chunk_for(a, bytes);
        at = 0;
    }
    c->used = at + bytes;
    a->used_bytes += bytes;
    memset(c->bytes + at, 0, bytes);
    return c->bytes + at;
}

char *arena_cstr(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1, 1, 1);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return p;
}

struct str arena_str(struct arena *a, struct str s)
{
    return (struct str){ arena_cstr(a, s), s.n };
}

struct str arena_lower(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1, 1, 1);
    for (size_t i = 0; i < s.n; i++)
        p[i] = (char)str_lower_byte((unsigned char)s.p[i]);
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
    char *p = arena_alloc(a, bytes + 1, 1, 1), *to = p;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].n > 0)
            memcpy(to, parts[i].p, parts[i].n);
        to += parts[i].n;
    }
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
    char *p = arena_alloc(a, (size_t)n + 1, 1, 1);
    if ((size_t)n < sizeof(small))
        memcpy(p, small, (size_t)n);
    else
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return (struct str){ p, (size_t)n };
}

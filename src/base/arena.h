/*
 * arena.h - memory that is freed all at once.
 *
 * Contract
 *   Owner      one request, one configuration, or one test.
 *   Lifetime   results live until arena_done() or arena_reset().  There is no
 *              free() for one object.
 *   Failure    never returns NULL.  Out of memory aborts; so does crossing the
 *              limit given to arena_init(), because every input is bounded
 *              before it gets here.
 *   Secrets    arena_init_secret(): in secret.h's pages.  arena_init_wiped(): in usual ones that
 *              are zeroed when freed; for what holds keys for a short time.
 *   First      arena_lend() gives the arena its first bytes: of an object that lives as long.
 *   Cost       a pointer bump; chunks of 512 bytes at first, 16 KiB at last, which
 *              kept.h keeps for the next arenas.
 *   Threads    all arenas of a process are used by one thread.
 */
#ifndef ARENA_H
#define ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "must.h"
#include "str.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    char *free;                 /* in the newest, `left` bytes */
    size_t left;
    size_t used_bytes; /* in all chunks */
    size_t limit_bytes;
    char *lent; /* see arena_lend(); NULL: none */
    size_t lent_bytes;
    enum arena_kind { ARENA_USUAL, ARENA_WIPED, ARENA_SECRET } kind;
};

#define arena_new(a, T, count) ((T *)arena_alloc((a), (count), sizeof(T), _Alignof(T)))

void arena_init(struct arena *a, size_t limit_bytes);
void arena_init_wiped(struct arena *a, size_t limit_bytes);
void arena_init_secret(struct arena *a, size_t limit_bytes);
/* To a new arena: these are used before any chunk, and stay the caller's. */
void arena_lend(struct arena *a, char *bytes, size_t n);
void arena_reset(struct arena *a);
void arena_done(struct arena *a); /* may be called twice */

/* Zeroed memory for count objects. */
void *arena_alloc(struct arena *a, size_t count, size_t size, size_t align);

char *arena_more(struct arena *a, size_t bytes); /* from a new chunk */

/* n bytes, neither zeroed nor aligned. */
static inline char *arena_bytes(struct arena *a, size_t n)
{
    must(n <= a->limit_bytes - a->used_bytes);
    a->used_bytes += n;
    if (n > a->left || a->free == NULL)
        return arena_more(a, n);
    char *p = a->free;
    a->free += n;
    a->left -= n;
    return p;
}

struct str arena_str(struct arena *a, struct str s);   /* a copy */
char *arena_cstr(struct arena *a, struct str s);       /* a copy with NUL */
struct str arena_lower(struct arena *a, struct str s); /* ASCII lower-case copy */
struct str arena_cat(struct arena *a, struct str x, struct str y);
struct str arena_cat_all(struct arena *a, const struct str *parts, size_t n);
/* All of the strs given, one behind the other: arena_join(a, S("["), x, S("]")). */
#define arena_join(a, ...)                                  \
    arena_cat_all((a), (const struct str[]){ __VA_ARGS__ }, \
                  sizeof((const struct str[]){ __VA_ARGS__ }) / sizeof(struct str))
struct str arena_u64(struct arena *a, uint64_t n); /* decimal */
struct str arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif

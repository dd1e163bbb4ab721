#include "h2_mem.h"

#include <stdint.h>
#include <string.h>

#include "kept.h"
#include "must.h"

/* nghttp2 does not say how long a piece is that it gives back. */
struct piece {
    size_t size; /* this head included */
    _Alignas(max_align_t) char bytes[];
};

enum { SIZE_FIRST_BYTES = 64, SIZE_DOUBLED_MAX = 16 * 1024 };

static void *take(size_t n, void *user)
{
    (void)user;
    must(n <= SIZE_MAX - sizeof(struct piece));
    size_t wanted = n + sizeof(struct piece), size = SIZE_FIRST_BYTES;
    while (size < wanted && size < SIZE_DOUBLED_MAX)
        size *= 2;
    if (size < wanted)
        size = wanted;
    struct piece *p = kept_take(size);
    p->size = size;
    return p->bytes;
}

static struct piece *piece_of(void *bytes)
{
    return (struct piece *)(void *)((char *)bytes - offsetof(struct piece, bytes));
}

static void give(void *bytes, void *user)
{
    (void)user;
    if (bytes == NULL)
        return;
    struct piece *p = piece_of(bytes);
    explicit_bzero(p->bytes, p->size - sizeof(*p));
    kept_give(p, p->size);
}

static void *take_zeroed(size_t n, size_t size, void *user)
{
    size_t bytes;
    must(!__builtin_mul_overflow(n, size, &bytes));
    return memset(take(bytes, user), 0, bytes);
}

static void *take_again(void *bytes, size_t n, void *user)
{
    size_t had = bytes != NULL ? piece_of(bytes)->size - sizeof(struct piece) : 0;
    if (bytes != NULL && n <= had)
        return bytes;
    void *more = take(n, user);
    if (had > 0)
        memcpy(more, bytes, had);
    give(bytes, user);
    return more;
}

nghttp2_mem *h2_mem(void)
{
    static nghttp2_mem mem = { NULL, take, give, take_zeroed, take_again };
    return &mem;
}

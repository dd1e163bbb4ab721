/*
 * buf.h - a growable byte queue with a limit given at birth.
 *
 * Contract
 *   Ownership  owns its bytes; buf_done() frees them and may be called twice.
 *   Limits     never holds more than limit_bytes.  An add that would cross it
 *              adds nothing and sets `overflow`, which stays set until
 *              buf_clear(); check it once at the end.
 *   Layout     bytes are added at the end and consumed from the front.
 *   Lifetime   a str from buf_str() dies at the next add, consume or done.
 *   Memory     an empty buf holds none after buf_clear() or when the last byte
 *              is consumed.
 */
#ifndef BUF_H
#define BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "must.h"
#include "str.h"

struct buf {
    char *p;         /* allocation */
    size_t from, to; /* live bytes are p[from..to) */
    size_t cap;
    size_t high; /* below it bytes were used before; what is behind both it and `to` never was */
    size_t limit_bytes;
    bool overflow;
    bool wiped; /* bytes are zeroed before their memory is freed; set it after buf_init() */
};

void buf_init(struct buf *b, size_t limit_bytes);
void buf_done(struct buf *b);
void buf_clear(struct buf *b); /* empties it, frees the memory, clears overflow */

static inline size_t buf_len(const struct buf *b)
{
    return b->to - b->from;
}

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){ str_place(b->p, b->from), b->to - b->from };
}

/* buf_add() and buf_reserve() when there is no room. */
void buf_add_slow(struct buf *b, struct str s);
char *buf_reserve_slow(struct buf *b, size_t n);

static inline void buf_add(struct buf *b, struct str s)
{
    if (s.n == 0)
        return;
    if (s.n > b->cap - b->to || b->overflow || b->to - b->from + s.n > b->limit_bytes) {
        buf_add_slow(b, s);
        return;
    }
    memcpy(b->p + b->to, s.p, s.n);
    b->to += s.n;
}

static inline void buf_add_byte(struct buf *b, char c)
{
    buf_add(b, (struct str){ &c, 1 });
}

void buf_add_u64(struct buf *b, uint64_t n); /* decimal */
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Room for at least n more bytes at the end, or NULL (and overflow) when the
 * limit forbids it.  Write there, then buf_commit() how many. */
static inline char *buf_reserve(struct buf *b, size_t n)
{
    if (n > b->cap - b->to || b->overflow || n == 0 || b->to - b->from + n > b->limit_bytes)
        return buf_reserve_slow(b, n);
    return b->p + b->to;
}

static inline void buf_commit(struct buf *b, size_t n)
{
    must(n <= b->cap - b->to);
    b->to += n;
}

/* Moves the bytes of `from`, which is done afterwards, to the end of b; without a copy when b is
 * empty. */
void buf_add_buf(struct buf *b, struct buf *from);

void buf_consume(struct buf *b, size_t n);  /* from the front; n <= buf_len */
void buf_truncate(struct buf *b, size_t n); /* keeps the first n */

/* Moves the bytes out: the caller frees the result with free(). */
char *buf_take(struct buf *b, size_t *ret_n);

#endif

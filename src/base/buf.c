#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kept.h"
#include "mem.h"

enum { BUF_MIN_CAP = 256, BUF_DOUBLE_BYTES = 16 * 1024 };

void buf_init(struct buf *b, size_t limit_bytes)
{
    *b = (struct buf){ .limit_bytes = limit_bytes };
}

/* The end moves back and leaves a tail. */
static void mark_high(struct buf *b)
{
    b->high = b->high > b->to ? b->high : b->to;
}

static void free_bytes(struct buf *b)
{
    if (b->wiped && b->p != NULL)
        explicit_bzero(b->p, b->high > b->to ? b->high : b->to);
    kept_give(b->p, b->cap);
    b->high = 0;
}

void buf_done(struct buf *b)
{
    free_bytes(b);
    *b = (struct buf){ .limit_bytes = b->limit_bytes, .wiped = b->wiped };
}

void buf_clear(struct buf *b)
{
    buf_done(b);
}

/* Long ones grow by half, queues of stalled clients being such, or to what is asked for. */
static size_t grown_cap(const struct buf *b, size_t needed)
{
    size_t cap = b->cap < BUF_MIN_CAP ? BUF_MIN_CAP : b->cap;
    while (cap < needed && cap < BUF_DOUBLE_BYTES)
        cap *= 2;
    if (cap >= needed)
        return cap;
    cap += cap / 2;
    return cap < needed ? needed : cap;
}

char *buf_reserve_slow(struct buf *b, size_t n)
{
    size_t len = b->to - b->from;
    if (b->overflow || n > b->limit_bytes || len > b->limit_bytes - n) {
        b->overflow = true;
        return NULL;
    }
    if (b->p != NULL && n <= b->cap - b->to)
        return b->p + b->to;
    if (b->p != NULL && n <= b->cap - len && b->from >= len) {
        mark_high(b);
        memmove(b->p, b->p + b->from, len); /* half or more is consumed: slide */
    } else {
        size_t cap = grown_cap(b, len + n);
        char *p = kept_take(cap);
        if (len > 0)
            memcpy(p, b->p + b->from, len);
        free_bytes(b);
        b->p = p;
        b->cap = cap;
    }
    b->from = 0;
    b->to = len;
    return b->p + b->to;
}

void buf_add_slow(struct buf *b, struct str s)
{
    char *at = buf_reserve(b, s.n);
    if (at == NULL)
        return;
    memcpy(at, s.p, s.n);
    b->to += s.n;
}

void buf_add_buf(struct buf *b, struct buf *from)
{
    size_t n = buf_len(from);
    if (n > 0 && buf_len(b) == 0 && !b->overflow && n <= b->limit_bytes) {
        free_bytes(b);
        b->p = from->p;
        b->from = from->from;
        b->to = from->to;
        b->cap = from->cap;
        b->high = from->high;
        b->wiped |= from->wiped;
        from->p = NULL;
    } else {
        buf_add(b, buf_str(from));
    }
    buf_done(from);
}

void buf_add_u64(struct buf *b, uint64_t n)
{
    char digits[STR_U64_MAX];
    buf_add(b, str_u64(n, digits));
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list args, again;
    size_t room = b->p != NULL && !b->overflow ? b->cap - b->to : 0;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(room > 0 ? b->p + b->to : NULL, room, fmt, args);
    va_end(args);
    must(n >= 0);
    if (room > 0)
        b->high = b->cap; /* what was cut stands there */
    char *at = buf_reserve(b, (size_t)n + 1);
    if (at != NULL) {
        if ((size_t)n >= room) /* it was cut, or there was nowhere to put it */
            vsnprintf(at, (size_t)n + 1, fmt, again);
        b->to += (size_t)n;
    }
    va_end(again);
}

void buf_consume(struct buf *b, size_t n)
{
    must(n <= b->to - b->from);
    b->from += n;
    if (b->from == b->to) {
        free_bytes(b);
        b->p = NULL;
        b->from = b->to = b->cap = 0;
    }
}

void buf_truncate(struct buf *b, size_t n)
{
    must(n <= b->to - b->from);
    mark_high(b);
    b->to = b->from + n;
}

char *buf_take(struct buf *b, size_t *ret_n)
{
    size_t n = b->to - b->from;
    if (b->from > 0)
        memmove(b->p, b->p + b->from, n);
    char *p = b->p != NULL ? b->p : mem_alloc(1);
    b->p = NULL;
    buf_done(b);
    *ret_n = n;
    return p;
}

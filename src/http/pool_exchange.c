/*
 * The life of one exchange, whatever the HTTP version.
 */
#include "pool_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "must.h"
#include "slab.h"

bool exchange_running(const struct exchange *x)
{
    return x->state == EXCHANGE_STARTED || x->state == EXCHANGE_READY;
}

static void drop_head(struct exchange *x)
{
    x->head = NULL;
    if (!x->head_copy)
        return;
    arena_done(&x->head_copy->arena);
    free(x->head_copy);
    x->head_copy = NULL;
}

/* Out of the waiters or off its conn. */
static void leave(struct exchange *x)
{
    if (x->state == EXCHANGE_WAITING) {
        x->origin->waiting--;
        drop_head(x);
    }
    list_remove(&x->link);
}

static void exchange_free(void *ctx)
{
    struct exchange *x = ctx;
    free(x->failure);
    slab_give(x);
}

static void bury(struct exchange *x)
{
    must(x->state != EXCHANGE_DEAD);
    leave(x);
    x->state = EXCHANGE_DEAD;
    x->pool->exchanges--;
    loop_defer(x->pool->loop, exchange_free, x);
}

void exchange_wait(struct exchange *x)
{
    must(x->state == EXCHANGE_WAITING);
    struct exchange_head *copy = mem_new(struct exchange_head);
    arena_init_wiped(&copy->arena, POOL_HEAD_BYTES);
    http_head_copy(x->head, &copy->arena, &copy->head);
    x->head = &copy->head;
    x->head_copy = copy;
}

/* --- starting --- */

static void ready_later(void *ctx)
{
    exchange_ready(ctx);
}

void exchange_start(struct exchange *x, struct pool_conn *c)
{
    must(x->state == EXCHANGE_WAITING);
    leave(x);
    x->state = EXCHANGE_STARTED;
    x->conn = c;
    x->read_mark = c->bytes_read;
    list_append(&c->exchanges, &x->link);
    loop_defer(x->pool->loop, ready_later, x);
}

void exchange_ready(struct exchange *x)
{
    if (x->state != EXCHANGE_STARTED)
        return;
    x->state = EXCHANGE_READY;
    if (x->handler->on_ready)
        x->handler->on_ready(x->ctx);
}

struct str exchange_next_piece(struct exchange *x)
{
    struct str piece = str_slice(x->body, 0, POOL_PIECE_BYTES);
    x->body = str_slice(x->body, piece.n, x->body.n);
    return piece;
}

/* --- ending --- */

void exchange_finish(struct exchange *x)
{
    struct origin *o = x->origin;
    must(exchange_running(x));
    if (o->retry_tenths < POOL_RETRY_TENTHS_MAX)
        o->retry_tenths += POOL_RETRY_TENTHS_PER_REPLY;
    bury(x);
    x->handler->on_end(x->ctx);
}

static void fail_now(void *ctx)
{
    struct exchange *x = ctx;
    if (x->state != EXCHANGE_FAILING)
        return; /* cancelled meanwhile */
    const struct exchange_failure *f = x->failure;
    bury(x);
    x->handler->on_fail(x->ctx, f->err, (struct str){ f->reason, f->reason_n }, f->unprocessed);
}

void exchange_fail_reason(struct exchange *x, int err, struct str reason, bool unprocessed)
{
    must(err < 0);
    must(x->state < EXCHANGE_FAILING);
    struct exchange_failure *f = mem_new(struct exchange_failure);
    f->err = err;
    f->unprocessed = unprocessed;
    reason = str_slice(reason, 0, sizeof(f->reason));
    f->reason_n = reason.n;
    if (reason.n > 0)
        memcpy(f->reason, reason.p, reason.n);
    if (x->conn) {
        f->major = x->conn->ops->major;
        struct str remote = str_slice(exchange_remote(x), 0, sizeof(f->remote));
        f->remote_n = remote.n;
        if (remote.n > 0)
            memcpy(f->remote, remote.p, remote.n);
    }
    leave(x);
    x->failure = f;
    x->conn = NULL;
    x->state = EXCHANGE_FAILING;
    loop_defer(x->pool->loop, fail_now, x);
}

void exchange_fail(struct exchange *x, int err, const char *cause, bool unprocessed)
{
    char text[POOL_REASON_BYTES];
    struct str host = x->origin->settings.host;
    int n = snprintf(text, sizeof(text), STR_FMT ": %s", STR_ARG(host), cause);
    must(n >= 0);
    size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    exchange_fail_reason(x, err, (struct str){ text, len }, unprocessed);
}

/* --- what the caller does with it --- */

void exchange_write(struct exchange *x, struct str bytes)
{
    if (x->state >= EXCHANGE_FAILING || bytes.n == 0)
        return; /* on_fail() is on its way */
    must(x->state == EXCHANGE_READY);
    must(x->send == SEND_STREAMED);
    if (x->streamed_left >= 0) {
        must(bytes.n <= (uint64_t)x->streamed_left); /* it would be read as the next request */
        x->streamed_left -= (int64_t)bytes.n;
    }
    x->conn->ops->write(x, bytes);
}

void exchange_write_end(struct exchange *x)
{
    if (x->state >= EXCHANGE_FAILING)
        return;
    must(x->state == EXCHANGE_READY);
    must(x->send == SEND_STREAMED);
    must(x->streamed_left <= 0); /* all that content-length promised */
    x->send = SEND_SENT;
    x->conn->ops->write_end(x);
}

bool exchange_body_taken(const struct exchange *x)
{
    return x->body.n == 0;
}

size_t exchange_queued(const struct exchange *x)
{
    return exchange_running(x) ? x->conn->ops->queued(x) : 0;
}

void exchange_cancel(struct exchange *x)
{
    if (x->state == EXCHANGE_DEAD)
        return; /* inside its own on_end() or on_fail() */
    struct pool_conn *c = exchange_running(x) ? x->conn : NULL;
    bury(x);
    if (c)
        c->ops->cancel(x);
}

void exchange_pause(struct exchange *x)
{
    if (x->paused || x->state >= EXCHANGE_FAILING)
        return;
    x->paused = true;
    if (exchange_running(x))
        x->conn->ops->pause(x);
}

void exchange_resume(struct exchange *x)
{
    if (!x->paused || x->state >= EXCHANGE_FAILING)
        return;
    x->paused = false;
    if (exchange_running(x))
        x->conn->ops->resume(x);
}

void exchange_widen(struct exchange *x)
{
    if (exchange_running(x))
        x->conn->ops->widen(x);
}

struct str exchange_remote(const struct exchange *x)
{
    if (x->conn && x->conn->conn)
        return conn_remote(x->conn->conn);
    if (x->failure)
        return (struct str){ x->failure->remote, x->failure->remote_n };
    return (struct str){ 0 };
}

int exchange_major(const struct exchange *x)
{
    if (x->conn)
        return x->conn->ops->major;
    return x->failure ? x->failure->major : 0;
}

bool exchange_reused(const struct exchange *x)
{
    return x->reused;
}

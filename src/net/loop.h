/*
 * loop.h - one event loop per process, over libuv.
 *
 * Contract
 *   Threads    everything that takes a loop runs on its thread.
 *   Time       loop_now_ns() is the monotonic time of this loop turn (cached).
 *   Timeouts   a timeout is a struct inside its owner.  timeout_set() arms or
 *              re-arms it; timeout_clear() is safe on an idle one and takes
 *              effect at once, so the owner may be freed right after.  Accuracy
 *              about 1 ms.  The callback runs with the timeout idle.
 *   Deferring  loop_defer() calls fn(ctx) at the end of this loop turn (after
 *              all I/O callbacks and before the next poll), in the order of the
 *              calls.  Objects with callbacks are freed this way, never inside one.
 *              What is deferred or written at the end of a turn still belongs
 *              to that turn, up to LOOP_ROUNDS_MAX rounds; then I/O has its turn.
 *   Signals    loop_init() ignores SIGPIPE: OpenSSL writes with write(2).
 *   Scratch    loop->scratch is a read buffer shared by all conns of the loop;
 *              its bytes live until the callback that got them returns.
 */
#ifndef LOOP_H
#define LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "list.h"

enum { LOOP_SCRATCH_BYTES = 65536, LOOP_ROUNDS_MAX = 16 };

struct timeout;
typedef void timeout_fn(void *ctx);
typedef void loop_deferred_fn(void *ctx);

struct timeout {
    int64_t due_ns;
    size_t index; /* in the loop's heap, from 1; 0 is idle */
    timeout_fn *fn;
    void *ctx;
};

struct loop {
    uv_loop_t uv;
    uv_timer_t timer;      /* drives the heap */
    uv_check_t check;      /* end of turn: flushes conns, then runs the deferred */
    uv_prepare_t prepare;  /* the same for work queued outside I/O callbacks */
    struct timeout **heap; /* from 1; earliest first */
    size_t heap_len, heap_cap;
    bool in_timeouts;                 /* a timeout set now waits for the next turn */
    int64_t armed_ns;                 /* what the timer is set to; 0 when it is not */
    struct list dirty;                /* conns with bytes to flush at the end of the turn */
    void (*flush)(struct list *item); /* flushes one of them; set by conn_new() */
    struct loop_deferred *deferred;
    size_t deferred_len, deferred_cap;
    char *scratch;       /* LOOP_SCRATCH_BYTES */
    size_t queued_bytes; /* in the queues of all conns */
};

void loop_init(struct loop *l);
void loop_run(struct loop *l); /* until loop_stop() */
void loop_stop(struct loop *l);
/* Everything must be freed before, but for conns that conn_finish() let linger: they end now. */
void loop_done(struct loop *l);

int64_t loop_now_ns(const struct loop *l);
void loop_defer(struct loop *l, loop_deferred_fn *fn, void *ctx);

void timeout_init(struct timeout *t, timeout_fn *fn, void *ctx);
void timeout_set(struct loop *l, struct timeout *t, int64_t after_ns); /* from now */
void timeout_clear(struct loop *l, struct timeout *t);
bool timeout_armed(const struct timeout *t);

#endif

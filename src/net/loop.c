#include "loop.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "mem.h"
#include "must.h"
#include "secret.h"

struct loop_deferred {
    loop_deferred_fn *fn;
    void *ctx;
};

/* Timeouts: a binary heap, earliest at 1. */

static void heap_put(struct loop *l, size_t i, struct timeout *t)
{
    l->heap[i] = t;
    t->index = i;
}

static void heap_up(struct loop *l, size_t i, struct timeout *t)
{
    for (; i > 1 && l->heap[i / 2]->due_ns > t->due_ns; i /= 2)
        heap_put(l, i, l->heap[i / 2]);
    heap_put(l, i, t);
}

static void heap_down(struct loop *l, size_t i, struct timeout *t)
{
    for (;;) {
        size_t child = i * 2;
        if (child > l->heap_len)
            break;
        if (child < l->heap_len && l->heap[child + 1]->due_ns < l->heap[child]->due_ns)
            child++;
        if (l->heap[child]->due_ns >= t->due_ns)
            break;
        heap_put(l, i, l->heap[child]);
        i = child;
    }
    heap_put(l, i, t);
}

void timeout_init(struct timeout *t, timeout_fn *fn, void *ctx)
{
    must(fn != NULL);
    *t = (struct timeout){ .fn = fn, .ctx = ctx };
}

void timeout_set(struct loop *l, struct timeout *t, int64_t after_ns)
{
    must(t->fn != NULL);
    timeout_clear(l, t);
    /* A callback that re-arms itself with 0 must not hold the loop. */
    int64_t least = l->in_timeouts ? 1 : 0;
    int64_t now = loop_now_ns(l);
    if (after_ns < least)
        after_ns = least;
    t->due_ns = after_ns > INT64_MAX - now ? INT64_MAX : now + after_ns;
    if (l->heap_len + 1 >= l->heap_cap) {
        l->heap_cap = l->heap_cap == 0 ? 64 : l->heap_cap * 2;
        l->heap = mem_realloc(l->heap, l->heap_cap * sizeof(*l->heap));
    }
    l->heap_len++;
    heap_up(l, l->heap_len, t);
}

void timeout_clear(struct loop *l, struct timeout *t)
{
    size_t i = t->index;
    if (i == 0)
        return;
    must(i <= l->heap_len);
    must(l->heap[i] == t);
    t->index = 0;
    struct timeout *last = l->heap[l->heap_len--];
    if (last == t)
        return;
    if (i > 1 && l->heap[i / 2]->due_ns > last->due_ns)
        heap_up(l, i, last);
    else
        heap_down(l, i, last);
}

bool timeout_armed(const struct timeout *t)
{
    return t->index != 0;
}

static void run_timeouts(uv_timer_t *timer)
{
    struct loop *l = timer->data;
    int64_t now = loop_now_ns(l);
    l->armed_ns = 0;
    l->in_timeouts = true;
    while (l->heap_len > 0 && l->heap[1]->due_ns <= now) {
        struct timeout *t = l->heap[1];
        timeout_clear(l, t);
        t->fn(t->ctx);
    }
    l->in_timeouts = false;
}

/* Sets the timer to the earliest timeout; at once when work is left over. */
static void arm_timer(struct loop *l)
{
    bool work_left = l->deferred_len > 0 || !list_empty(&l->dirty);
    if (l->heap_len == 0 && !work_left)
        return; /* a timer that fires for nothing does no harm */
    int64_t now = loop_now_ns(l);
    int64_t due = work_left ? now : l->heap[1]->due_ns;
    if (l->armed_ns == due && !work_left)
        return;
    int64_t wait = due <= now ? 0 : due - now;
    uint64_t wait_ms = (uint64_t)(wait / NS_PER_MS) + (wait % NS_PER_MS != 0);
    must(uv_timer_start(&l->timer, run_timeouts, wait_ms, 0) == 0);
    l->armed_ns = due;
}

/* The end of the turn. */

static void flush_dirty(struct loop *l)
{
    struct list batch;
    if (list_empty(&l->dirty))
        return;
    list_init(&batch);
    list_append(&l->dirty, &batch); /* the batch takes the place of the head */
    list_remove(&l->dirty);
    while (!list_empty(&batch)) {
        struct list *item = batch.next;
        list_remove(item);
        l->flush(item);
    }
}

static void run_deferred(struct loop *l)
{
    struct loop_deferred *batch = l->deferred;
    size_t n = l->deferred_len;
    size_t cap = l->deferred_cap;
    if (n == 0)
        return;
    l->deferred = NULL;
    l->deferred_len = l->deferred_cap = 0;
    for (size_t i = 0; i < n; i++)
        batch[i].fn(batch[i].ctx);
    if (l->deferred == NULL && cap <= 1024) { /* keep the array for the next turn */
        l->deferred = batch;
        l->deferred_cap = cap;
    } else {
        free(batch);
    }
}

static void end_turn(struct loop *l)
{
    for (int round = 0; round < LOOP_ROUNDS_MAX; round++) {
        if (l->deferred_len == 0 && list_empty(&l->dirty))
            return;
        flush_dirty(l);
        run_deferred(l);
    }
}

static void on_check(uv_check_t *check)
{
    end_turn(check->data);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct loop *l = prepare->data;
    end_turn(l);
    arm_timer(l); /* here, once a turn, instead of at every timeout_set() */
}

void loop_init(struct loop *l)
{
    memset(l, 0, sizeof(*l));
    list_init(&l->dirty);
    l->scratch = secret_alloc(LOOP_SCRATCH_BYTES); /* keys pass through it */
    signal(SIGPIPE, SIG_IGN);
    must(uv_loop_init(&l->uv) == 0);
    must(uv_timer_init(&l->uv, &l->timer) == 0);
    must(uv_check_init(&l->uv, &l->check) == 0);
    must(uv_prepare_init(&l->uv, &l->prepare) == 0);
    l->uv.data = l->timer.data = l->check.data = l->prepare.data = l;
    must(uv_check_start(&l->check, on_check) == 0);
    must(uv_prepare_start(&l->prepare, on_prepare) == 0);
}

void loop_run(struct loop *l)
{
    uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l)
{
    uv_stop(&l->uv);
}

/* Timeouts that nobody is left to clear are those of conns that linger: they end now. */
static void give_up_waiting(struct loop *l)
{
    while (l->heap_len > 0) {
        struct timeout *t = l->heap[1];
        timeout_clear(l, t);
        t->fn(t->ctx);
    }
}

void loop_done(struct loop *l)
{
    while (l->deferred_len > 0 || !list_empty(&l->dirty))
        end_turn(l);
    give_up_waiting(l);
    while (l->deferred_len > 0 || !list_empty(&l->dirty))
        end_turn(l);
    uv_close((uv_handle_t *)&l->timer, NULL);
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    while (l->deferred_len > 0) /* what close callbacks have left */
        end_turn(l);
    must(l->heap_len == 0);
    must(uv_loop_close(&l->uv) == 0);
    free(l->heap);
    free(l->deferred);
    secret_free(l->scratch);
    memset(l, 0, sizeof(*l));
}

int64_t loop_now_ns(const struct loop *l)
{
    return (int64_t)uv_now(&l->uv) * NS_PER_MS;
}

void loop_defer(struct loop *l, loop_deferred_fn *fn, void *ctx)
{
    must(fn != NULL);
    if (l->deferred_len == l->deferred_cap) {
        l->deferred_cap = l->deferred_cap == 0 ? 16 : l->deferred_cap * 2;
        l->deferred = mem_realloc(l->deferred, l->deferred_cap * sizeof(*l->deferred));
    }
    l->deferred[l->deferred_len++] = (struct loop_deferred){ fn, ctx };
}

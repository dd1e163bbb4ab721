/*
 * pool_rig.h - for test_pool*.c: a loop, a pool, scripted servers on loopback in the same
 * process, and a record of what each exchange was told.
 */
#ifndef POOL_RIG_H
#define POOL_RIG_H

#include "unit.h"

#include <stdio.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "loop.h"
#include "pool.h"
#include "pool_server.h"
#include "tls.h"

struct rig {
    struct loop loop;
    struct pool *pool;
    struct server server, other;
    struct origin *origin, *other_origin;
    struct timeout guard;
    int waiting_for; /* results before rig_run() returns */
    bool inside;     /* a pool function is on the stack: no callback may come */
    char order[64];  /* names of exchanges in the order in which they ended */
    struct got *gots;
};

/* What an exchange was told; lives until rig_free(). */
struct got {
    struct rig *rig;
    struct got *next;
    struct exchange *x;
    char name;
    int ready, heads, ends, fails, drains;
    int status, err;
    bool unprocessed, reused;
    int major;
    char reason[256], remote[64];
    struct buf body;
    void (*on_body)(struct got *g);
    void (*on_ready)(struct got *g);
    void (*on_drain)(struct got *g);
};

static inline void rig_note(struct got *g)
{
    struct rig *r = g->rig;
    assert_false(r->inside);
    size_t n = strlen(r->order);
    assert_true(n + 1 < sizeof(r->order));
    r->order[n] = g->name;
    if (--r->waiting_for == 0)
        loop_stop(&r->loop);
}

static inline void got_ready(void *ctx)
{
    struct got *g = ctx;
    assert_false(g->rig->inside);
    assert_int_equal(g->heads, 0);
    g->ready++;
    if (g->on_ready)
        g->on_ready(g);
}

static inline void got_head(void *ctx, const struct http_head *head)
{
    struct got *g = ctx;
    assert_int_equal(g->ready, 1);
    g->heads++;
    g->status = head->status;
    g->major = exchange_major(g->x);
    struct str remote = exchange_remote(g->x);
    assert_true(remote.n > 0);
    assert_true(remote.n < sizeof(g->remote));
    memcpy(g->remote, remote.p, remote.n);
}

static inline void got_body(void *ctx, struct str bytes)
{
    struct got *g = ctx;
    assert_int_equal(g->heads, 1);
    buf_add(&g->body, bytes);
    if (g->on_body)
        g->on_body(g);
}

static inline void got_end(void *ctx)
{
    struct got *g = ctx;
    assert_int_equal(g->ends + g->fails, 0);
    g->reused = exchange_reused(g->x);
    g->ends++;
    g->x = NULL;
    rig_note(g);
}

static inline void got_fail(void *ctx, int err, struct str reason, bool unprocessed)
{
    struct got *g = ctx;
    assert_int_equal(g->ends + g->fails, 0);
    g->reused = exchange_reused(g->x);
    g->fails++;
    g->err = err;
    g->unprocessed = unprocessed;
    snprintf(g->reason, sizeof(g->reason), STR_FMT, STR_ARG(reason));
    g->x = NULL;
    rig_note(g);
}

static inline void got_drain(void *ctx)
{
    struct got *g = ctx;
    g->drains++;
    if (g->on_drain)
        g->on_drain(g);
}

static const struct exchange_handler got_handler = {
    .on_ready = got_ready,
    .on_head = got_head,
    .on_body = got_body,
    .on_end = got_end,
    .on_fail = got_fail,
    .on_drain = got_drain,
};

/* --- the rig --- */

static inline void rig_too_long(void *ctx)
{
    (void)ctx;
    fail_msg("the test hangs");
}

static inline void rig_stop(void *ctx)
{
    loop_stop(&((struct rig *)ctx)->loop);
}

/* Until n exchanges have ended. */
static inline void rig_run(struct rig *r, int n)
{
    r->waiting_for = n;
    timeout_init(&r->guard, rig_too_long, r);
    timeout_set(&r->loop, &r->guard, 20 * NS_PER_S);
    loop_run(&r->loop);
    timeout_clear(&r->loop, &r->guard);
}

/* For things that have no callback. */
static inline void rig_wait_ms(struct rig *r, int ms)
{
    r->waiting_for = 0;
    timeout_init(&r->guard, rig_stop, r);
    timeout_set(&r->loop, &r->guard, ms * NS_PER_MS);
    loop_run(&r->loop);
}

static const struct pool_settings rig_settings = {
    .conns_max = 8,
    .idle_max = 8,
    .waiting_max = 8,
    .idle_ns = 60 * NS_PER_S,
    .connect_ns = 5 * NS_PER_S,
    .dns_ttl_ns = NS_PER_S,
    .reply_header_bytes = 65536,
};

static inline struct rig *rig_new(const struct pool_settings *settings, script_fn *script)
{
    struct rig *r = mem_new(struct rig);
    loop_init(&r->loop);
    server_start(&r->server, &r->loop);
    server_start(&r->other, &r->loop);
    r->server.script = r->other.script = script;
    r->pool = pool_new(&r->loop, settings);
    struct origin_settings o = { .name = S("main"), .host = S("127.0.0.1") };
    o.port = r->server.port;
    r->origin = pool_add_origin(r->pool, &o);
    o.port = r->other.port;
    r->other_origin = pool_add_origin(r->pool, &o);
    return r;
}

static inline void rig_free(struct rig *r)
{
    pool_free(r->pool);
    rig_wait_ms(r, 1);
    server_stop(&r->server);
    server_stop(&r->other);
    rig_wait_ms(r, 1);
    loop_done(&r->loop);
    while (r->gots) {
        struct got *g = r->gots;
        r->gots = g->next;
        buf_done(&g->body);
        free(g);
    }
    free(r);
}

static inline struct got *rig_open(struct rig *r, char name, struct exchange_request request)
{
    struct got *g = mem_new(struct got);
    *g = (struct got){ .rig = r, .name = name, .next = r->gots };
    r->gots = g;
    buf_init(&g->body, RIG_TEXT_BYTES);
    struct http_head head = {
        .method = S("POST"),
        .target = S("/x"),
        .authority = S("unit.test"),
        .content_length = -1,
    };
    if (!request.head) {
        if (!request.streamed && !request.body.p)
            head.method = S("GET");
        request.head = &head;
    }
    if (!request.origin)
        request.origin = r->origin;
    r->inside = true;
    g->x = pool_open(r->pool, &request, &got_handler, g);
    r->inside = false;
    return g;
}

static inline struct got *rig_get(struct rig *r, char name)
{
    return rig_open(r, name, (struct exchange_request){ 0 });
}

/* The same, until it (or another) has ended. */
static inline struct got *rig_fetch(struct rig *r, char name)
{
    struct got *g = rig_get(r, name);
    rig_run(r, 1);
    return g;
}

static inline void rig_cancel(struct rig *r, struct got *g)
{
    r->inside = true;
    exchange_cancel(g->x);
    r->inside = false;
    g->x = NULL;
}

static inline struct pool_counts rig_counts(struct rig *r)
{
    struct pool_counts c;
    pool_count(r->pool, &c);
    return c;
}

#endif

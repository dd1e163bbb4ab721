/*
 * stress.h - for test_stress.c: the plan of an exchange, its three parts and the whole; the
 * random numbers and the bytes that they decide.
 */
#ifndef STRESS_H
#define STRESS_H

#include "unit.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "listener.h"
#include "loop.h"
#include "pool.h"
#include "server.h"
#include "tls.h"

enum {
    KINDS = 4, /* below */
    TRIPS = 350,
    AT_ONCE = 40,
    CONNS_MAX = 24,
    GUARD_S = 60,
    PIECE_MAX = 50 * 1000,
};

enum kind { PLAIN_H1, PLAIN_H2, TLS_H2, TLS_H1 };

/* What goes wrong upstream. */
enum fault {
    FAULT_NONE,
    FAULT_EARLY, /* replies before it has read the request body */
    FAULT_SLOW,  /* begins late */
    FAULT_ABORT, /* inside the reply body */
    FAULT_RESET, /* the whole conn, inside the reply */
    FAULT_RESET_AT_ONCE,
    FAULTS,
};

struct stress;

struct trip { /* one client's exchange, and the plan of all that is to happen to it */
    struct stress *t;
    uint32_t number;
    enum kind front, upstream;
    enum fault fault;
    bool streamed, request_length, reply_length;
    size_t request_bytes, reply_bytes, break_at, cancel_at;
    struct exchange *x;
    struct buf body;
    size_t sent, got;
    int status, ends;
    struct timeout timer;
    bool paused, cancels;
};

struct hop { /* the proxy between */
    struct stress *t;
    struct trip *trip;
    struct server_stream *s; /* NULL: let go */
    struct exchange *x;
    struct http_head head;
    struct arena arena;
    struct buf body;
    size_t given;
    int tries;
    bool ready, complete, answered, x_ended;
};

struct stay { /* at the upstream */
    struct trip *trip;
    struct stress *t;
    struct server_stream *s;
    size_t got, sent;
    struct timeout timer;
    bool replying, complete, paused;
};

struct stress {
    struct loop loop;
    struct timeout guard, rotation, tick;
    uint32_t random;
    bool harsh; /* conns are reset, too */
    SSL_CTX *server_tls[2], *client_tls;
    char cert[64], key[64];
    struct server_limits front_limits, upstream_limits;
    struct server *front[KINDS], *upstream[KINDS];
    struct server *old[TRIPS * 4]; /* upstreams that drain */
    int listening[KINDS];          /* of the upstreams, for the next one */
    int olds, drained;
    struct pool *clients, *upstreams;
    struct origin *to_front[KINDS], *to_upstream[KINDS];
    struct trip trip[TRIPS];
    int opened, ended, hops, stays, ok, failed, cancelled, retried;
};

static inline uint32_t random_below(struct stress *t, uint32_t n)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 17;
    t->random ^= t->random << 5;
    return t->random % n;
}

static inline bool one_in(struct stress *t, uint32_t n)
{
    return random_below(t, n) == 0;
}

static inline size_t random_size(struct stress *t)
{
    static const uint32_t up_to[] = { 1, 100, 3000, 20000, 70000, 400000 };
    return random_below(t, up_to[random_below(t, 6)]);
}

/* The bytes of a body: any shift, loss or mix-up shows. */
static inline char pattern(uint32_t seed, size_t i)
{
    return (char)(seed * 37 + i * 7 + (i >> 8) * 31 + (i >> 16) * 13);
}

static inline void fill(struct buf *b, uint32_t seed, size_t from, size_t n)
{
    char *p = buf_reserve(b, n);
    for (size_t i = 0; i < n; i++)
        p[i] = pattern(seed, from + i);
    buf_commit(b, n);
}

static inline void check(struct str bytes, uint32_t seed, size_t from)
{
    for (size_t i = 0; i < bytes.n; i++)
        if (bytes.p[i] != pattern(seed, from + i))
            fail_msg("exchange %u: byte %zu is wrong", seed / 2, from + i);
}

static inline void check_limits(struct stress *t)
{
    struct pool_counts n;
    pool_count(t->upstreams, &n);
    assert_true(n.connecting + n.idle + n.busy <= CONNS_MAX);
    pool_count(t->clients, &n);
    assert_true(n.connecting + n.idle + n.busy <= CONNS_MAX);
}

#endif

/*
 * The conns of a pool: opened, lent, kept idle, closed; and which exchange gets which.
 */
#include "pool_internal.h"

#include <errno.h>

#include "err.h"
#include "must.h"
#include "slab.h"

static struct slab pool_conns = SLAB_OF(pool_conns, struct pool_conn);

/*                from:                    to: CONNECTING IDLE BUSY DRAINING CLOSING */
static const bool may_move[POOL_STATES][POOL_STATES] = {
    [POOL_CONNECTING] = { [POOL_IDLE] = true, [POOL_CLOSING] = true },
    [POOL_IDLE] = { [POOL_BUSY] = true, [POOL_DRAINING] = true, [POOL_CLOSING] = true },
    [POOL_BUSY] = { [POOL_IDLE] = true, [POOL_DRAINING] = true, [POOL_CLOSING] = true },
    [POOL_DRAINING] = { [POOL_CLOSING] = true },
};

/* The state is the list: nothing else links, unlinks or sets c->state. */
static void move(struct pool_conn *c, enum pool_state to)
{
    struct pool *p = c->pool;
    must(may_move[c->state][to]);
    if (c->state == POOL_CONNECTING)
        c->origin->connecting--;
    list_remove(&c->link);
    p->count[c->state]--;
    c->state = to;
    list_append(&p->in[to], &c->link);
    p->count[to]++;
    if (to == POOL_DRAINING || to == POOL_CLOSING)
        list_remove(&c->shared);
}

static int conns_open(const struct pool *p)
{
    return p->count[POOL_CONNECTING] + p->count[POOL_IDLE] + p->count[POOL_BUSY] +
           p->count[POOL_DRAINING];
}

/* --- the end of a conn --- */

static void conn_free(void *ctx)
{
    struct pool_conn *c = ctx;
    must(c->state == POOL_CLOSING);
    if (c->ops)
        c->ops->free(c);
    list_remove(&c->link);
    c->pool->count[POOL_CLOSING]--;
    slab_give(c);
}

void pool_close(struct pool_conn *c)
{
    struct pool *p = c->pool;
    must(list_empty(&c->exchanges));
    if (c->connecting)
        connect_cancel(c->connecting);
    c->connecting = NULL;
    if (c->ops && c->ops->goodbye)
        c->ops->goodbye(c);
    if (c->conn)
        conn_close(c->conn);
    c->conn = NULL;
    move(c, POOL_CLOSING);
    loop_defer(p->loop, conn_free, c);
    pool_kick(p);
}

void pool_drain(struct pool_conn *c)
{
    if (c->state == POOL_DRAINING || c->state == POOL_CLOSING)
        return;
    move(c, POOL_DRAINING);
    pool_kick(c->pool);
}

void pool_lose(struct pool_conn *c, int err, const char *cause, bool retry)
{
    bool unsent = pool_unsent(c);
    list_each (it, tmp, &c->exchanges) {
        struct exchange *x = list_entry(it, struct exchange, link);
        bool silent = c->bytes_read == x->read_mark;
        exchange_fail(x, err, cause, retry && silent && (x->reused || unsent));
    }
    pool_close(c);
}

/* --- idle conns --- */

static struct pool_conn *oldest_idle(struct pool *p)
{
    return list_empty(&p->in[POOL_IDLE]) ? NULL
                                         : list_first(&p->in[POOL_IDLE], struct pool_conn, link);
}

static void arm_idle_timer(struct pool *p)
{
    const struct pool_conn *c = oldest_idle(p);
    if (!c || timeout_armed(&p->idle_timer))
        return;
    int64_t left_ns = c->idle_since_ns + p->settings.idle_ns - loop_now_ns(p->loop);
    timeout_set(p->loop, &p->idle_timer, left_ns > 0 ? left_ns : 0);
}

void pool_on_idle_timer(void *ctx)
{
    struct pool *p = ctx;
    int64_t now_ns = loop_now_ns(p->loop);
    struct pool_conn *c;
    while ((c = oldest_idle(p)) && c->idle_since_ns + p->settings.idle_ns <= now_ns)
        pool_close(c);
    arm_idle_timer(p);
}

static void trim_idle(struct pool *p)
{
    while (p->count[POOL_IDLE] > p->settings.idle_max)
        pool_close(oldest_idle(p));
}

/* The end of the turn decides whether it stays idle: it may be for a waiter. */
void pool_give_back(struct pool_conn *c)
{
    move(c, POOL_IDLE);
    c->idle_since_ns = loop_now_ns(c->pool->loop);
    pool_kick(c->pool);
}

/* --- opening --- */

/* The exchanges that this conn was for.  Those that merely wait for room stay. */
static void fail_waiters(struct origin *o, int err, struct str reason)
{
    if (o->shares ? o->connecting > 1 : o->waiting < o->connecting)
        return; /* other conns are being opened for them */
    list_each (it, tmp, &o->pool->waiters) {
        struct exchange *x = list_entry(it, struct exchange, link);
        if (x->origin != o)
            continue;
        exchange_fail_reason(x, err, reason, true);
        if (!o->shares)
            return;
    }
}

/* One HTTP/2 conn has turned out to be enough. */
static void close_surplus(struct origin *o)
{
    if (!o->shares || o->waiting > 0)
        return;
    list_each (it, tmp, &o->pool->in[POOL_CONNECTING]) {
        struct pool_conn *c = list_entry(it, struct pool_conn, link);
        if (c->origin == o)
            pool_close(c);
    }
}

static void on_connected(void *ctx, int err, struct conn *conn, struct str reason)
{
    struct pool_conn *c = ctx;
    struct origin *o = c->origin;
    c->connecting = NULL;
    if (err < 0) {
        fail_waiters(o, err == -ETIMEDOUT ? E_UPSTREAM_CONNECT : err, reason);
        pool_close(c);
        return;
    }
    c->conn = conn;
    conn_limit_reads(conn, POOL_READ_BYTES);
    c->serial = ++c->pool->serial;

    o->shares = o->settings.tls ? str_eq(conn_alpn(conn), S("h2")) : o->settings.prior_h2;
    c->ops = o->shares ? &client_h2 : &client_h1;
    if (o->shares)
        list_append(&o->shared, &c->shared);
    pool_give_back(c);
    if (o->named)
        pool_watch_name(o);
    c->ops->open(c);
    pool_serve(c->pool); /* now, so that it counts as new for a fresh exchange */
    close_surplus(o);
    c->used = true;
}

static void open_conn(struct origin *o)
{
    struct pool *p = o->pool;
    struct pool_conn *c = slab_take(&pool_conns);
    c->pool = p;
    c->origin = o;
    c->state = POOL_CONNECTING;
    list_init(&c->shared);
    list_init(&c->exchanges);
    list_append(&p->in[POOL_CONNECTING], &c->link);
    p->count[POOL_CONNECTING]++;
    o->connecting++;

    const struct origin_settings *s = &o->settings;
    struct connect_target target = {
        .host = s->host,
        .port = s->port,
        .tls = s->tls,
        .offer_h2 = s->tls,
        .proxy = s->proxy,
        .proxy_host = s->proxy_host,
        .proxy_port = s->proxy_port,
        .proxy_user = s->proxy_user,
        .proxy_password = s->proxy_password,
        .sessions = &o->sessions,
    };
    c->connecting =
        connect_start(p->loop, p->dns, s->tls_client != NULL ? s->tls_client : p->settings.tls,
                      &target, p->settings.connect_ns, on_connected, c);
}

/* A conn that nobody waits for. */
static struct pool_conn *surplus(struct pool *p)
{
    list_each (it, tmp, &p->in[POOL_CONNECTING]) {
        struct pool_conn *c = list_entry(it, struct pool_conn, link);
        if (c->origin->connecting > c->origin->waiting)
            return c;
    }
    return NULL;
}

/* Room for one more conn; an idle conn goes for it when there must. */
static bool make_room(struct pool *p)
{
    if (conns_open(p) < p->settings.conns_max)
        return true;
    struct pool_conn *c = oldest_idle(p);
    if (!c)
        c = surplus(p);
    if (!c)
        return false;
    pool_close(c);
    return conns_open(p) < p->settings.conns_max;
}

/* --- exchanges get conns --- */

static struct pool_conn *find_shared(const struct exchange *x)
{
    list_each (it, tmp, &x->origin->shared) {
        struct pool_conn *c = list_entry(it, struct pool_conn, shared);
        if ((!x->fresh || c->serial > x->serial) && c->ops->room(c) > 0)
            return c;
    }
    return NULL;
}

/* The HTTP/1 conn that has been idle for the shortest time. */
static struct pool_conn *find_idle(const struct exchange *x)
{
    struct list *idle = &x->pool->in[POOL_IDLE];
    for (struct list *it = idle->prev, *tmp = it->prev; it != idle; it = tmp, tmp = it->prev) {
        struct pool_conn *c = list_entry(it, struct pool_conn, link);
        if (c->origin != x->origin || c->ops->major != 1 || (x->fresh && c->used))
            continue;
        if (!c->used || !conn_is_stale(c->conn))
            return c;
        pool_close(c);
    }
    return NULL;
}

static bool start(struct pool_conn *c, struct exchange *x)
{
    struct http_head h = *x->head;
    h.scheme = x->origin->settings.tls ? S("https") : S("http");
    h.content_length = x->body_bytes < 0 ? -1 : x->body_bytes;
    h.has_body = x->body_bytes != -2;
    x->reused = c->used;
    if (!c->ops->start(c, x, &h))
        return false;
    exchange_start(x, c);
    c->used = true;
    if (c->state == POOL_IDLE)
        move(c, POOL_BUSY);
    return true;
}

/* True when a conn has taken it. */
static bool place(struct exchange *x)
{
    for (;;) {
        struct pool_conn *c = find_shared(x);
        if (!c)
            c = find_idle(x);
        if (!c)
            return false;
        if (start(c, x))
            return true;
    }
}

/* One walk over the waiters, in order.  Returns how many have neither a conn nor one that is
 * being opened for them. */
int pool_serve(struct pool *p)
{
    int stuck = 0;
    list_each (it, tmp, &p->origins) {
        list_entry(it, struct origin, link)->promised = 0;
    }
    list_each (it, tmp, &p->waiters) {
        struct exchange *x = list_entry(it, struct exchange, link);
        struct origin *o = x->origin;
        if (place(x))
            continue;
        if (o->promised < o->connecting || (o->shares && o->connecting > 0))
            o->promised++;
        else if (make_room(p)) {
            open_conn(o);
            o->promised++;
        } else
            stuck++;
    }
    return stuck;
}

static void serve_later(void *ctx)
{
    struct pool *p = ctx;
    p->serve_queued = false;
    if (p->closed)
        return;
    pool_serve(p);
    trim_idle(p);
    arm_idle_timer(p);
}

void pool_kick(struct pool *p)
{
    if (p->serve_queued || p->closed)
        return;
    p->serve_queued = true;
    loop_defer(p->loop, serve_later, p);
}

void pool_write(struct pool_conn *c, struct str bytes)
{
    c->bytes_given += bytes.n;
    conn_write(c->conn, bytes);
}

void pool_write_buf(struct pool_conn *c, struct buf *bytes)
{
    c->bytes_given += buf_len(bytes);
    conn_write_buf(c->conn, bytes);
}

bool pool_unsent(const struct pool_conn *c)
{
    return !c->conn || conn_queued(c->conn) >= c->bytes_given;
}

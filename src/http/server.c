/*
 * server.c - the listener, the conns and what both HTTP versions have in common.
 *
 * A conn begins OPENING: TLS waits for its handshake and takes the version from ALPN;
 * clear text waits until the first bytes are, or can no longer become, the preface of
 * HTTP/2.  The bytes seen until then are a prefix of that preface, so a count keeps them.
 *
 * There are two ways out.  server_conn_drop() ends a conn at once.  server_conn_shut()
 * keeps it, deaf, until its queue is in the kernel's hands, so that draining the server
 * does not cut replies short; conn_finish() then does the lingering.
 */
#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"
#include "mem.h"
#include "server_internal.h"
#include "slab.h"

static struct slab client_conns = SLAB_OF(client_conns, struct server_conn);

enum {
    LINGER_MS = 1000,
    DISCARD_BYTES = 64 * 1024,
    CLOSING_POLL_MS = 10, /* at first; no event tells that a short queue is written */
    DRAIN_GRACE_MS = 1000,
    HURRY_MS = 1000,
    ROOM_LOOKS = 64,
};

/* --- conns --- */

static void say_drained(void *ctx)
{
    struct server *s = ctx;

    s->drain_pending = false;
    if (s->on_drained && s->conns_len == 0)
        s->on_drained(s->drained_ctx);
}

static void check_drained(struct server *s)
{
    if (!s->draining || s->conns_len > 0 || s->drain_pending)
        return;
    s->drain_pending = true;
    loop_defer(s->loop, say_drained, s);
}

static void free_conn(void *ctx)
{
    struct server_conn *c = ctx;

    if (c->version)
        c->version->done(c);
    slab_give(c);
}

/* The conn is over: out of the list, and freed at the end of the turn. */
static void retire_conn(struct server_conn *c)
{
    struct server *s = c->server;

    must(c->state != SERVER_CONN_CLOSED);
    c->state = SERVER_CONN_CLOSED;
    timeout_clear(s->loop, &c->timer);
    list_remove(&c->link);
    s->conns_len--;
    address_counts_give(c->address);
    c->address = NULL;
    if (s->listener)
        listener_resume(s->listener);
    loop_defer(s->loop, free_conn, c);
    check_drained(s);
}

void server_conn_drop(struct server_conn *c, bool reset)
{
    if (c->state == SERVER_CONN_CLOSED)
        return;
    retire_conn(c);
    if (reset)
        conn_reset(c->conn);
    else
        conn_close(c->conn);
    if (c->version)
        c->version->gone(c);
}

void server_conn_refused(struct server_conn *c, enum refusal reason, struct server_stream *s)
{
    const struct server_refusal why = { .reason = reason,
                                        .remote = conn_remote(c->conn),
                                        .user = s ? s->user : NULL };

    if (reason != REFUSAL_NONE)
        c->server->handler->on_refused(c->server->ctx, &why, NULL, NULL, NULL);
}

void server_conn_shut(struct server_conn *c, bool reset)
{
    must(c->state == SERVER_CONN_OPENING || c->state == SERVER_CONN_SERVING);
    c->state = SERVER_CONN_CLOSING;
    c->reset_at_end = reset;
    conn_resume(c->conn, CONN_PAUSE_OWNER);
    conn_resume(c->conn, CONN_PAUSE_PIPELINE);
    timeout_clear(c->server->loop, &c->timer);
    c->since_ns = loop_now_ns(c->server->loop);
    server_conn_run_later(c);
}

static void finish_conn(struct server_conn *c)
{
    retire_conn(c);
    if (c->reset_at_end)
        conn_reset(c->conn);
    else
        conn_finish(c->conn, LINGER_MS);
    if (c->version)
        c->version->gone(c); /* HTTP/2 streams that were ended but never sent */
}

static void closing_tick(struct server_conn *c)
{
    int64_t now = loop_now_ns(c->server->loop);

    if (conn_queued(c->conn) == 0)
        finish_conn(c);
    else if (now < server_conn_stall_due(c) &&
             (!c->hurry || now - c->since_ns < HURRY_MS * NS_PER_MS))
        timeout_set(c->server->loop, &c->timer,
                    CLOSING_POLL_MS * NS_PER_MS + (now - c->since_ns) / 8);
    else {
        if (!c->hurry)
            server_conn_refused(c, REFUSAL_SLOW_READ, NULL);
        server_conn_drop(c, true);
    }
}

static void on_timer(void *ctx)
{
    struct server_conn *c = ctx;

    if (c->state == SERVER_CONN_OPENING) {
        server_conn_refused(c, conn_is_tls(c->conn) ? REFUSAL_TLS : REFUSAL_SLOW_HEAD, NULL);
        server_conn_drop(c, false);
    } else if (c->state == SERVER_CONN_CLOSING)
        closing_tick(c);
    else
        c->version->tick(c);
}

static void run_now(void *ctx)
{
    struct server_conn *c = ctx;

    c->run_pending = false;
    if (c->state == SERVER_CONN_SERVING)
        c->version->run(c);
    else if (c->state == SERVER_CONN_CLOSING)
        closing_tick(c);
}

void server_conn_run_later(struct server_conn *c)
{
    if (c->run_pending || c->state == SERVER_CONN_CLOSED)
        return; /* closed: one stream's on_gone() may touch another, which has not been told yet */
    c->run_pending = true;
    loop_defer(c->server->loop, run_now, c);
}

void server_conn_write(struct server_conn *c, struct str bytes)
{
    if (conn_queued(c->conn) == 0)
        c->write_since_ns = loop_now_ns(c->server->loop);
    conn_write(c->conn, bytes);
}

void server_conn_write_buf(struct server_conn *c, struct buf *bytes)
{
    if (conn_queued(c->conn) == 0)
        c->write_since_ns = loop_now_ns(c->server->loop);
    conn_write_buf(c->conn, bytes);
}

void server_conn_arm(struct server_conn *c, int64_t due_ns)
{
    int64_t now = loop_now_ns(c->server->loop);

    if (due_ns == INT64_MAX || (timeout_armed(&c->timer) && c->timer.due_ns <= due_ns))
        return;
    timeout_set(c->server->loop, &c->timer, due_ns > now ? due_ns - now : 0);
}

int64_t server_conn_stall_due(const struct server_conn *c)
{
    int64_t since = conn_last_write_ns(c->conn);

    if (conn_queued(c->conn) == 0)
        return INT64_MAX;
    if (since < c->write_since_ns)
        since = c->write_since_ns;
    return since + c->server->limits->write_ns;
}

/* --- opening --- */

static const struct str preface = S_INIT("PRI * HTTP/2.0");

static void serve(struct server_conn *c, const struct server_version *version)
{
    must(c->state == SERVER_CONN_OPENING);
    c->state = SERVER_CONN_SERVING;
    c->version = version;
    timeout_clear(c->server->loop, &c->timer);
    version->open(c);
}

static void detect(struct server_conn *c, struct str bytes)
{
    size_t n = preface.n - c->preface_seen;
    struct str seen = { preface.p, c->preface_seen };
    bool same;

    if (n > bytes.n)
        n = bytes.n;
    same = memcmp(bytes.p, preface.p + c->preface_seen, n) == 0;
    if (same && c->preface_seen + n < preface.n) {
        c->preface_seen += (unsigned)n;
        return;
    }
    serve(c, same ? &server_h2_version : &server_h1_version);
    if (seen.n > 0)
        c->version->read(c, seen);
    if (c->state == SERVER_CONN_SERVING)
        c->version->read(c, bytes);
}

static void on_open(void *ctx)
{
    struct server_conn *c = ctx;

    if (c->state != SERVER_CONN_OPENING || !conn_is_tls(c->conn))
        return;
    serve(c, str_eq(conn_alpn(c->conn), S("h2")) ? &server_h2_version : &server_h1_version);
}

static void on_read(void *ctx, struct str bytes)
{
    struct server_conn *c = ctx;

    if (bytes.n == 0)
        return;
    if (c->state == SERVER_CONN_OPENING) {
        detect(c, bytes);
    } else if (c->state == SERVER_CONN_SERVING) {
        c->version->read(c, bytes);
    } else {
        c->discarded += bytes.n;
        if (c->discarded > DISCARD_BYTES)
            conn_pause(c->conn, CONN_PAUSE_OWNER);
    }
}

static void on_drain(void *ctx)
{
    struct server_conn *c = ctx;

    if (c->state == SERVER_CONN_SERVING)
        c->version->drain(c);
}

static void on_end(void *ctx, int err)
{
    struct server_conn *c = ctx;

    if (err == 0 && c->state == SERVER_CONN_CLOSING)
        return; /* half-closed: it may still read */
    if (err == E_UPSTREAM_TLS && c->state == SERVER_CONN_OPENING)
        server_conn_refused(c, REFUSAL_TLS, NULL);
    if (err == 0 && c->state == SERVER_CONN_SERVING && !c->version->is_open(c))
        server_conn_shut(c, false); /* a reply that was ended may be queued */
    else
        server_conn_drop(c, false);
}

static const struct conn_handler conn_callbacks = { on_open, on_read, on_drain, on_end };

static void retire(struct server_conn *c)
{
    if (c->state == SERVER_CONN_OPENING)
        server_conn_drop(c, false);
    else if (c->state == SERVER_CONN_SERVING)
        c->version->retire(c);
}

bool server_is_full(const struct server *s)
{
    return s->conns_len >= (size_t)s->limits->conns_max;
}

static bool waits_for_request(struct server_conn *c)
{
    if (c->state != SERVER_CONN_SERVING || !c->asked || c->version->is_open(c))
        return false;
    return c->version != &server_h2_version || c->h2.goaway_ns == 0; /* else it is on its way out */
}

/* One that merely waits for its next request leaves, so that others need not wait for 75 s.  Looks
 * at a few conns only, at others the next time. */
static void make_room(struct server *s)
{
    for (int i = 0; i < ROOM_LOOKS; i++) {
        struct server_conn *c = list_first(&s->conns, struct server_conn, link);
        list_remove(&c->link);
        list_append(&s->conns, &c->link);
        if (waits_for_request(c)) {
            retire(c);
            return;
        }
    }
}

/* False: its address has as many conns as it may have. */
static bool take_address(struct server *s, int fd, struct address_count **ret_count)
{
    char remote[CONN_REMOTE_BYTES];
    struct address address;

    if (!s->addresses)
        return true;
    conn_format_remote(fd, remote);
    if (!address_read(str_of(remote), &address))
        return true; /* a Unix socket, or it has left already */
    *ret_count = address_counts_take(s->addresses, &address, s->limits->conns_per_address_max);
    if (*ret_count)
        return true;
    const struct server_refusal why = { .reason = REFUSAL_ADDRESS, .remote = str_of(remote) };
    s->handler->on_refused(s->ctx, &why, NULL, NULL, NULL);
    return false;
}

static void accept_conn(struct server *s, int fd, struct address_count *address)
{
    struct server_conn *c = slab_take(&client_conns);
    SSL *ssl = NULL;

    if (s->tls) {
        ssl = SSL_new(s->tls);
        must(ssl); /* out of memory */
        SSL_set_accept_state(ssl);
    }
    c->server = s;
    c->address = address;
    c->since_ns = loop_now_ns(s->loop);
    list_init(&c->link);
    list_append(&s->conns, &c->link);
    s->conns_len++;
    c->number = ++s->conns_accepted;
    timeout_init(&c->timer, on_timer, c);
    timeout_set(s->loop, &c->timer, s->limits->header_ns);
    c->conn = conn_new(s->loop, fd, ssl, &conn_callbacks, c);
    conn_end_early(c->conn);
    if (server_is_full(s)) {
        listener_pause(s->listener);
        make_room(s);
    }
}

static void on_accept(void *ctx, int fd)
{
    struct address_count *address = NULL;

    if (take_address(ctx, fd, &address))
        accept_conn(ctx, fd, address);
    else
        close(fd);
}

/* --- the server --- */

static void retire_all(void *ctx)
{
    struct server *s = ctx;

    list_each (it, tmp, &s->conns)
        retire(list_entry(it, struct server_conn, link));
}

struct server *server_new(struct loop *l, int fd, SSL_CTX *tls, const struct server_limits *limits,
                          const struct server_handler *handler, void *ctx)
{
    struct server *s = mem_new(struct server);

    must(limits->conns_max > 0);
    must(handler->on_refused);
    s->loop = l;
    s->tls = tls;
    s->limits = limits;
    s->handler = handler;
    s->ctx = ctx;
    list_init(&s->conns);
    if (limits->conns_per_address_max > 0)
        s->addresses = address_counts_new();
    timeout_init(&s->drain_grace, retire_all, s);
    s->listener = listener_new(l, fd, on_accept, s);
    return s;
}

void server_use_reserve(struct server *s)
{
    listener_use_reserve(s->listener);
}

void server_drain(struct server *s, void (*on_drained)(void *ctx), void *ctx)
{
    s->on_drained = on_drained;
    s->drained_ctx = ctx;
    if (!s->draining) {
        s->draining = true;
        listener_free(s->listener);
        s->listener = NULL;
        /* A conn that is new was opened for a request that may be on its way: to close it
         * now would fail that request, and clients do not try again on a new conn. */
        timeout_set(s->loop, &s->drain_grace, DRAIN_GRACE_MS * NS_PER_MS);
        list_each (it, tmp, &s->conns) {
            struct server_conn *c = list_entry(it, struct server_conn, link);
            if (c->asked)
                retire(c);
        }
    }
    check_drained(s);
}

void server_free(struct server *s)
{
    if (!s)
        return;
    s->on_drained = NULL;
    s->draining = true;
    if (s->listener)
        listener_free(s->listener);
    s->listener = NULL;
    timeout_clear(s->loop, &s->drain_grace);
    while (!list_empty(&s->conns))
        server_conn_drop(list_first(&s->conns, struct server_conn, link), false);
    address_counts_free(s->addresses);
    loop_defer(s->loop, free, s);
}

size_t server_conns(const struct server *s)
{
    return s->conns_len;
}

size_t server_streams(const struct server *s)
{
    return s->streams_len;
}

/*
 * The steps of an attempt to connect, in order of travel:
 *
 *   RESOLVE_TARGET  SOCKS5 only: the proxy is told an address      [connect_start]
 *   RESOLVE         the addresses of the proxy or the origin       [resolve]
 *   RACE            TCP to these addresses, staggered              [on_resolved]
 *   TUNNEL          through the proxy, if there is one             [connected]
 *   HANDSHAKE       TLS, or the first turn of a plain conn         [connected, on_read]
 *   DONE            on_done() has come, or the owner cancelled     [release]
 */
#include "connect.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arena.h"
#include "buf.h"
#include "clock.h"
#include "err.h"
#include "mem.h"
#include "must.h"
#include "tunnel.h"

enum {
    STAGGER_MS = 250, /* rfc8305,s8: Connection Attempt Delay */
    REASON_BYTES_MAX = 1024,
    KEEPALIVE_IDLE_S = 60,
};

enum connect_step {
    CONNECT_RESOLVE_TARGET,
    CONNECT_RESOLVE,
    CONNECT_RACE,
    CONNECT_TUNNEL,
    CONNECT_HANDSHAKE,
    CONNECT_DONE,
};

/* One socket on its way to one address. */
struct attempt {
    uv_poll_t poll;
    struct connecting *owner;
    int fd;
};

struct connecting {
    struct loop *loop;
    struct dns *dns;
    SSL_CTX *tls;
    connect_fn *on_done;
    void *ctx;
    struct connect_target target; /* its texts are in the arena */
    struct arena arena;
    enum connect_step step;
    struct timeout deadline, stagger;
    struct dns_query *query;
    struct sockaddr_storage target_address; /* SOCKS5 */
    struct dns_answer answer;
    int next;                                    /* of answer, to be tried */
    struct attempt *attempts[DNS_ADDRESSES_MAX]; /* by address; NULL: over, or not begun */
    int last_error;                              /* -errno of the newest failure */
    struct tunnel tunnel;
    struct conn *conn;
    struct buf reason;
};

static void set_step(struct connecting *c, enum connect_step step)
{
    must(step > c->step);
    c->step = step;
}

static bool has_proxy(const struct connecting *c)
{
    return c->target.proxy != CONNECT_DIRECT;
}

static void free_attempt(uv_handle_t *handle)
{
    free(handle->data);
}

/* Ends one attempt; returns its socket when keep_fd, else closes it. */
static int end_attempt(struct connecting *c, int i, bool keep_fd)
{
    struct attempt *a = c->attempts[i];
    if (a == NULL)
        return -1;
    c->attempts[i] = NULL;
    uv_close((uv_handle_t *)&a->poll, free_attempt);
    if (keep_fd)
        return a->fd;
    close(a->fd);
    return -1;
}

static void free_connecting(void *ctx)
{
    struct connecting *c = ctx;
    tunnel_done(&c->tunnel);
    buf_done(&c->reason);
    arena_done(&c->arena);
    free(c);
}

/* Lets go of everything but the conn. */
static void release(struct connecting *c)
{
    set_step(c, CONNECT_DONE);
    timeout_clear(c->loop, &c->deadline);
    timeout_clear(c->loop, &c->stagger);
    dns_cancel(c->query);
    c->query = NULL;
    for (int i = 0; i < DNS_ADDRESSES_MAX; i++)
        end_attempt(c, i, false);
    loop_defer(c->loop, free_connecting, c);
}

static void fail(struct connecting *c, int err)
{
    must(err < 0);
    release(c);
    if (c->conn != NULL)
        conn_close(c->conn);
    c->conn = NULL;
    c->on_done(c->ctx, err, NULL, buf_str(&c->reason));
}

static void succeed(struct connecting *c)
{
    struct conn *conn = c->conn;
    release(c);
    c->conn = NULL;
    c->on_done(c->ctx, 0, conn, (struct str){ 0 });
}

static void add_place(struct connecting *c, bool proxy)
{
    struct str host = proxy ? c->target.proxy_host : c->target.host;
    buf_addf(&c->reason, "%s" STR_FMT ":%u", proxy ? "the proxy " : "", STR_ARG(host),
             proxy ? c->target.proxy_port : c->target.port);
}

/* The end of a conn before it was handed over. */

static void fail_handshake(struct connecting *c, int err)
{
    struct str text = conn_error_text(c->conn);
    if (!c->target.tls) {
        buf_add(&c->reason, S("cannot connect to "));
        add_place(c, false);
        buf_addf(&c->reason, ": %s", err < 0 ? strerror(-err) : "connection closed");
        fail(c, E_UPSTREAM_CONNECT);
        return;
    }
    buf_add(&c->reason, S("TLS handshake with "));
    add_place(c, false);
    buf_add(&c->reason, S(" failed: "));
    if (text.n > 0)
        buf_add(&c->reason, text);
    else
        buf_add(&c->reason, err < 0 ? str_of(strerror(-err)) : S("connection closed"));
    fail(c, E_UPSTREAM_TLS);
}

static void on_end(void *ctx, int err)
{
    struct connecting *c = ctx;
    if (c->step == CONNECT_HANDSHAKE) {
        fail_handshake(c, err);
        return;
    }
    must(c->step == CONNECT_TUNNEL);
    add_place(c, true);
    buf_addf(&c->reason, " closed the connection: %s", err < 0 ? strerror(-err) : "no reply");
    fail(c, E_UPSTREAM_PROXY);
}

static SSL *new_ssl(struct connecting *c)
{
    must(c->tls != NULL);
    return tls_client_ssl(c->tls, c->target.host, c->target.offer_h2, c->target.sessions);
}

static void tunnel_failed(struct connecting *c, int err)
{
    buf_add(&c->reason, S(" ("));
    add_place(c, true);
    buf_add(&c->reason, S(" to "));
    add_place(c, false);
    buf_add(&c->reason, S(")"));
    fail(c, err);
}

static void send_to_proxy(struct connecting *c)
{
    conn_write(c->conn, buf_str(&c->tunnel.out));
    buf_clear(&c->tunnel.out);
}

static void on_open(void *ctx)
{
    struct connecting *c = ctx;
    if (c->step == CONNECT_HANDSHAKE) {
        succeed(c);
        return;
    }
    must(c->step == CONNECT_TUNNEL);
    bool by_address = c->target.proxy == CONNECT_SOCKS5;
    int e =
        tunnel_start(&c->tunnel, &c->target, by_address ? &c->target_address : NULL, &c->reason);
    if (e < 0)
        tunnel_failed(c, e);
    else
        send_to_proxy(c);
}

static void on_read(void *ctx, struct str bytes)
{
    struct connecting *c = ctx;
    must(c->step == CONNECT_TUNNEL); /* later a conn reads only once it is handed over */
    if (conn_queued(c->conn) > 0) {
        buf_add(&c->reason, S("the proxy answered before it was asked"));
        tunnel_failed(c, E_UPSTREAM_PROXY);
        return;
    }
    int r = tunnel_feed(&c->tunnel, bytes, &c->reason);
    if (r < 0) {
        tunnel_failed(c, r);
        return;
    }
    send_to_proxy(c);
    if (r == 0)
        return;
    if (!c->target.tls) {
        succeed(c);
        return;
    }
    set_step(c, CONNECT_HANDSHAKE);
    conn_start_tls(c->conn, new_ssl(c));
}

static const struct conn_handler conn_events = { on_open, on_read, NULL, on_end };

static void connected(struct connecting *c, int fd)
{
    SSL *ssl = !has_proxy(c) && c->target.tls ? new_ssl(c) : NULL;
    set_step(c, has_proxy(c) ? CONNECT_TUNNEL : CONNECT_HANDSHAKE);
    c->conn = conn_new(c->loop, fd, ssl, &conn_events, c);
    conn_wipe_writes(c->conn);
}

/* The race. */

static void on_attempt(uv_poll_t *poll, int status, int events);

static void set_options(int fd)
{
    int one = 1;
    int idle_s = KEEPALIVE_IDLE_S;
    /* Comfort: a conn without them still works. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
}

static int start_attempt(struct connecting *c, int i)
{
    const struct sockaddr_storage *address = &c->answer.address[i];
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    set_options(fd);
    if (connect(fd, (const struct sockaddr *)address, c->answer.len[i]) < 0 &&
        errno != EINPROGRESS) {
        int e = -errno;
        close(fd);
        return e;
    }
    struct attempt *a = mem_new(struct attempt);
    a->owner = c;
    a->fd = fd;
    must(uv_poll_init(&c->loop->uv, &a->poll, fd) == 0);
    a->poll.data = a;
    must(uv_poll_start(&a->poll, UV_WRITABLE, on_attempt) == 0);
    c->attempts[i] = a;
    return 0;
}

static bool any_attempt(const struct connecting *c)
{
    for (int i = 0; i < c->answer.n; i++)
        if (c->attempts[i] != NULL)
            return true;
    return false;
}

/* This machine is out of ports, descriptors or memory for sockets: nothing the upstream did. */
static bool is_our_lack(int e)
{
    return e == -EADDRNOTAVAIL || e == -EMFILE || e == -ENFILE || e == -ENOBUFS || e == -ENOMEM;
}

/* Starts on the next address that lets itself be started on. */
static void next_attempt(struct connecting *c)
{
    timeout_clear(c->loop, &c->stagger);
    while (c->next < c->answer.n) {
        int e = start_attempt(c, c->next++);
        if (e == 0) {
            if (c->next < c->answer.n)
                timeout_set(c->loop, &c->stagger, STAGGER_MS * NS_PER_MS);
            return;
        }
        c->last_error = e;
    }
    if (any_attempt(c))
        return;
    buf_add(&c->reason, S("cannot connect to "));
    add_place(c, has_proxy(c));
    buf_addf(&c->reason, ": %s", strerror(-c->last_error));
    fail(c, is_our_lack(c->last_error) ? E_NO_CAPACITY : E_UPSTREAM_CONNECT);
}

static void on_stagger(void *ctx)
{
    next_attempt(ctx);
}

static void on_attempt(uv_poll_t *poll, int status, int events)
{
    struct attempt *a = poll->data;
    struct connecting *c = a->owner;
    int e = 0;
    socklen_t n = sizeof(e);
    int i = 0;
    (void)events;
    while (c->attempts[i] != a)
        i++;
    if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &e, &n) < 0)
        e = errno;
    if (e == 0 && status < 0)
        e = ECONNREFUSED; /* libuv saw EPOLLERR without a reason */
    if (e != 0) {
        c->last_error = -e;
        end_attempt(c, i, false);
        next_attempt(c);
        return;
    }
    int fd = end_attempt(c, i, true);
    timeout_clear(c->loop, &c->stagger);
    for (int k = 0; k < c->answer.n; k++)
        end_attempt(c, k, false);
    connected(c, fd);
}

/* Names. */

static void on_resolved(void *ctx, int err, const struct dns_answer *answer);

static void resolve(struct connecting *c)
{
    bool proxy = has_proxy(c) && c->step == CONNECT_RESOLVE;
    c->query = dns_find(c->dns, proxy ? c->target.proxy_host : c->target.host,
                        proxy ? c->target.proxy_port : c->target.port, on_resolved, c);
}

/* A proxy tries one address only, and more of them have no IPv6 than no IPv4. */
static const struct sockaddr_storage *address_for_proxy(const struct dns_answer *answer)
{
    for (int i = 0; i < answer->n; i++)
        if (answer->address[i].ss_family == AF_INET)
            return &answer->address[i];
    return &answer->address[0];
}

static void on_resolved(void *ctx, int err, const struct dns_answer *answer)
{
    struct connecting *c = ctx;
    c->query = NULL;
    if (err < 0) {
        buf_add(&c->reason, S("cannot resolve the name of "));
        add_place(c, has_proxy(c) && c->step == CONNECT_RESOLVE);
        fail(c, E_UPSTREAM_DNS);
    } else if (c->step == CONNECT_RESOLVE_TARGET) {
        c->target_address = *address_for_proxy(answer);
        set_step(c, CONNECT_RESOLVE);
        resolve(c);
    } else {
        c->answer = *answer;
        set_step(c, CONNECT_RACE);
        next_attempt(c);
    }
}

static void on_deadline(void *ctx)
{
    static const char *const doing[] = {
        [CONNECT_RESOLVE_TARGET] = "resolving its name",
        [CONNECT_RESOLVE] = "resolving its name",
        [CONNECT_RACE] = "connecting",
        [CONNECT_TUNNEL] = "waiting for the proxy",
        [CONNECT_HANDSHAKE] = "the TLS handshake",
    };
    struct connecting *c = ctx;
    must(c->step < CONNECT_DONE);
    buf_add(&c->reason, S("cannot connect to "));
    add_place(c, false);
    buf_addf(&c->reason, ": timed out while %s", doing[c->step]);
    fail(c, -ETIMEDOUT);
}

static void copy_target(struct connecting *c, const struct connect_target *target)
{
    arena_init_wiped(&c->arena, SIZE_MAX / 4);
    c->target = *target;
    c->target.host = arena_str(&c->arena, target->host);
    c->target.proxy_host = arena_str(&c->arena, target->proxy_host);
    if (target->proxy_user.p != NULL) {
        c->target.proxy_user = arena_str(&c->arena, target->proxy_user);
        if (c->target.proxy_user.p == NULL)
            c->target.proxy_user = S(""); /* an empty name is not none */
        c->target.proxy_password = arena_str(&c->arena, target->proxy_password);
    }
}

struct connecting *connect_start(struct loop *l, struct dns *dns, SSL_CTX *tls,
                                 const struct connect_target *target, int64_t timeout_ns,
                                 connect_fn *on_done, void *ctx)
{
    must(on_done != NULL);
    struct connecting *c = mem_new(struct connecting);
    c->loop = l;
    c->dns = dns;
    c->tls = tls;
    c->on_done = on_done;
    c->ctx = ctx;
    copy_target(c, target);
    buf_init(&c->reason, REASON_BYTES_MAX);
    timeout_init(&c->deadline, on_deadline, c);
    timeout_init(&c->stagger, on_stagger, c);
    timeout_set(l, &c->deadline, timeout_ns);
    c->step = CONNECT_RESOLVE_TARGET;
    if (target->proxy != CONNECT_SOCKS5)
        set_step(c, CONNECT_RESOLVE);
    resolve(c);
    return c;
}

void connect_cancel(struct connecting *c)
{
    if (c == NULL)
        return;
    release(c);
    if (c->conn != NULL)
        conn_close(c->conn);
    c->conn = NULL;
}

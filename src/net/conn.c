/*
 * The states of a conn:
 *
 *   OPENING  -> OPEN     handshake complete, or first end of turn  [become_open]
 *   OPEN     -> OPENING  TLS starts inside a tunnel                [conn_start_tls]
 *   OPENING, OPEN -> DRAINING  owner is done, bytes are queued     [conn_finish]
 *   DRAINING -> LINGERING      queue empty, FIN sent               [drained]
 *   any      -> CLOSED         [conn_close, conn_reset, conn_finish when it is over]
 *
 * Reading has an end of its own (enum conn_reading), because TCP can be half-closed.
 *
 * epoll interest is added eagerly and dropped lazily, when an event comes that
 * nobody wants: a pause and resume around each request costs no system call.
 */
#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "list.h"
#include "must.h"
#include "slab.h"
#include "wire.h"

enum {
    READS_PER_TURN = 4,
    LINGER_BYTES_MAX = 64 * 1024,
    WINDOW_AFTER_BYTES = 1024 * 1024, /* read; before, the kernel's window is small by itself */
};

enum conn_state {
    CONN_OPENING,
    CONN_OPEN,
    CONN_DRAINING,
    CONN_LINGERING,
    CONN_CLOSED,
};

enum conn_reading {
    CONN_READS,
    CONN_READS_LAST, /* FIN stands behind unread bytes; met while paused */
    CONN_READ_ENDED, /* on_end() has come */
};

struct conn {
    uv_poll_t poll;
    struct loop *loop;
    struct list dirty;    /* in loop->dirty while the end of the turn must look at it */
    struct timeout timer; /* OPEN: read again; DRAINING, LINGERING: give up */
    struct wire wire;
    struct buf out;
    size_t out_counted; /* of it, in loop->queued_bytes */
    const struct conn_handler *handler;
    void *ctx;
    int64_t last_write_ns, linger_ms;
    size_t discarded_bytes; /* while lingering */
    size_t read_bytes_max, read_bytes;
    enum conn_state state;
    enum conn_reading reading;
    int events; /* what the poll handle waits for */
    unsigned paused;
    int error;        /* the first; on_end() has it or will */
    int socket_error; /* from SO_ERROR, told when the bytes before it are read */
    bool error_told, was_high, write_blocked;
    bool end_early; /* the owner asked for it */
    char remote[CONN_REMOTE_BYTES];
};

static struct slab conns = SLAB_OF(conns, struct conn);

static void update_interest(struct conn *c, bool drop);

static void mark_dirty(struct conn *c)
{
    if (list_empty(&c->dirty))
        list_append(&c->loop->dirty, &c->dirty);
}

static void count_queue(struct conn *c)
{
    c->loop->queued_bytes += buf_len(&c->out) - c->out_counted;
    c->out_counted = buf_len(&c->out);
}

/* Tells on_end(), each kind once.  May end the conn. */
static void end(struct conn *c, int err)
{
    if (c->state != CONN_OPENING && c->state != CONN_OPEN)
        return; /* the owner has let go */
    if (c->error_told || (err == 0 && c->reading == CONN_READ_ENDED))
        return;
    c->reading = CONN_READ_ENDED;
    if (err != 0) {
        c->error = c->error != 0 ? c->error : err;
        c->error_told = true;
        buf_clear(&c->out);
        count_queue(c);
    }
    c->handler->on_end(c->ctx, c->error_told ? c->error : 0);
}

/* Bytes that OpenSSL holds are invisible to epoll. */
static void read_again(struct conn *c)
{
    if (c->state == CONN_OPEN && wire_has_pending(&c->wire))
        timeout_set(c->loop, &c->timer, 0);
}

static void count_read(struct conn *c, size_t n)
{
    bool before = c->read_bytes >= WINDOW_AFTER_BYTES;
    c->read_bytes += n;
    if (!before && c->read_bytes >= WINDOW_AFTER_BYTES)
        wire_bound_window(&c->wire);
}

/* True when there may be more. */
static bool read_some(struct conn *c)
{
    for (int i = 0; i < READS_PER_TURN; i++) {
        if (c->state != CONN_OPEN || c->reading == CONN_READ_ENDED || c->paused != 0)
            return false;
        ssize_t n = wire_read(&c->wire, c->loop->scratch, c->read_bytes_max);
        if (n == -EAGAIN)
            return false;
        if (n <= 0) {
            end(c, n < 0 ? (int)n : c->socket_error);
            return false;
        }
        count_read(c, (size_t)n);
        c->handler->on_read(c->ctx, (struct str){ c->loop->scratch, (size_t)n });
        if (c->wire.read_dry)
            return false; /* most likely empty; epoll says so if not */
    }
    read_again(c);
    return true;
}

/* The socket has failed: what came before, like an early reply, is all in the kernel and no
 * event will tell of it. */
static void read_rest(struct conn *c)
{
    while (read_some(c))
        ;
}

/* FIN has come while paused: it is told now unless bytes stand before it. */
static void look_for_end(struct conn *c)
{
    c->reading = CONN_READS_LAST;
    int e = wire_peek(&c->wire);
    if (c->end_early && e > 0)
        e = 0;
    if (e <= 0 && e != -EAGAIN)
        end(c, e);
}

/* Writes what it can.  Callbacks that are due wait for the end of the turn. */
static void push(struct conn *c)
{
    size_t before = buf_len(&c->out);
    c->write_blocked = false;
    while (buf_len(&c->out) > 0) {
        ssize_t n = wire_write(&c->wire, buf_str(&c->out));
        if (n == -EAGAIN) {
            c->write_blocked = true;
            break;
        }
        if (n < 0) {
            c->error = c->error != 0 ? c->error : (int)n;
            buf_clear(&c->out);
            count_queue(c);
            mark_dirty(c);
            return;
        }
        buf_consume(&c->out, (size_t)n);
    }
    if (buf_len(&c->out) != before)
        c->last_write_ns = loop_now_ns(c->loop);
    count_queue(c);
    if (c->state == CONN_OPEN && c->was_high && buf_len(&c->out) <= CONN_LOW_BYTES)
        mark_dirty(c);
}

static bool is_deaf(const struct conn *c)
{
    return c->discarded_bytes > LINGER_BYTES_MAX;
}

/* What is over the limit stays unread.  It makes close() send an RST, which destroys what the
 * other side has not read yet, so that waits for its end or the time, too. */
static void linger(struct conn *c)
{
    must(c->state == CONN_LINGERING);
    for (int i = 0; i < READS_PER_TURN && !is_deaf(c); i++) {
        ssize_t n = wire_discard(&c->wire, c->loop->scratch, LOOP_SCRATCH_BYTES);
        if (n == -EAGAIN)
            return;
        if (n <= 0) {
            conn_close(c);
            return;
        }
        c->discarded_bytes += (size_t)n;
    }
}

static void drained(struct conn *c)
{
    must(c->state == CONN_DRAINING);
    c->state = CONN_LINGERING;
    wire_finish(&c->wire);
    if (c->linger_ms <= 0) {
        conn_close(c);
        return;
    }
    timeout_set(c->loop, &c->timer, c->linger_ms * NS_PER_MS);
    linger(c);
}

static void drain(struct conn *c)
{
    size_t before = buf_len(&c->out);
    push(c);
    if (c->error != 0) {
        conn_close(c);
        return;
    }
    if (buf_len(&c->out) == 0)
        drained(c);
    else if (buf_len(&c->out) != before || !timeout_armed(&c->timer))
        timeout_set(c->loop, &c->timer, CONN_DRAIN_STALL_MS * NS_PER_MS);
}

static void become_open(struct conn *c)
{
    must(c->state == CONN_OPENING);
    c->state = CONN_OPEN;
    if (buf_len(&c->out) > 0)
        mark_dirty(c);
    read_again(c); /* they may stand behind the handshake already */
    c->handler->on_open(c->ctx);
}

static void open_plain(void *ctx)
{
    struct conn *c = ctx;
    if (c->state == CONN_DRAINING) {
        mark_dirty(c);
    } else if (c->state == CONN_OPENING) {
        become_open(c);
        update_interest(c, false);
    }
}

static void handshake(struct conn *c)
{
    int e = wire_handshake(&c->wire);
    if (e == 0)
        become_open(c);
    else if (e != -EAGAIN)
        end(c, e);
}

static void on_timer(void *ctx)
{
    struct conn *c = ctx;
    if (c->state == CONN_OPEN) {
        (void)read_some(c);
        update_interest(c, false);
    } else if (c->state != CONN_OPENING) {
        conn_close(c);
    }
}

static void write_failed(struct conn *c)
{
    if (c->socket_error == 0)
        c->socket_error = c->error;
    read_rest(c);
    end(c, c->error);
}

/* The end of the turn: conns with something queued, or a callback due. */
static void flush_at_end_of_turn(struct list *item)
{
    struct conn *c = list_entry(item, struct conn, dirty);
    if (c->state == CONN_DRAINING) {
        drain(c);
    } else if (c->state == CONN_OPEN) {
        if (buf_len(&c->out) > 0 && !c->write_blocked)
            push(c);
        if (c->error != 0) {
            write_failed(c);
        } else if (c->was_high && buf_len(&c->out) <= CONN_LOW_BYTES) {
            c->was_high = false;
            if (c->handler->on_drain != NULL)
                c->handler->on_drain(c->ctx);
        }
    }
    update_interest(c, false);
}

static int wanted_events(const struct conn *c)
{
    const struct wire *w = &c->wire;
    switch (c->state) {
    case CONN_OPENING:
        if (w->ssl == NULL || c->error_told)
            return 0;
        return w->read_wants_write ? UV_WRITABLE : UV_READABLE;
    case CONN_OPEN: {
        int events = 0;
        if (c->reading != CONN_READ_ENDED && c->paused == 0)
            events |= w->read_wants_write ? UV_READABLE | UV_WRITABLE : UV_READABLE;
        if (c->reading == CONN_READS)
            events |= UV_DISCONNECT;
        if (c->write_blocked && buf_len(&c->out) > 0)
            events |= w->write_wants_read ? UV_READABLE : UV_WRITABLE;
        return events;
    }
    case CONN_DRAINING:
        return w->write_wants_read ? UV_READABLE : UV_WRITABLE;
    case CONN_LINGERING:
        return is_deaf(c) ? UV_DISCONNECT : UV_READABLE;
    case CONN_CLOSED:
        break;
    }
    return 0;
}

/* A failed socket: the error waits for the bytes before it, if anyone reads. */
static void socket_failed(struct conn *c)
{
    c->events = 0; /* libuv has stopped the handle */
    int e = wire_socket_error(&c->wire);
    if (c->socket_error == 0)
        c->socket_error = e != 0 ? e : -ECONNRESET;
    if (c->state == CONN_OPENING && c->wire.ssl != NULL)
        handshake(c); /* an alert may tell more than the socket */
    read_rest(c);
    if (c->state == CONN_DRAINING || c->state == CONN_LINGERING)
        conn_close(c);
    else if (c->reading != CONN_READ_ENDED || c->error != 0 || buf_len(&c->out) > 0)
        end(c, c->socket_error); /* else, after a half-close, the next write tells */
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct conn *c = poll->data;
    if (status < 0) {
        socket_failed(c);
        return;
    }
    switch (c->state) {
    case CONN_OPENING:
        if (c->wire.ssl != NULL && !c->error_told)
            handshake(c);
        break;
    case CONN_OPEN:
        if (c->write_blocked)
            push(c);
        if (c->paused == 0)
            (void)read_some(c);
        else if ((events & UV_DISCONNECT) != 0 && c->reading != CONN_READ_ENDED)
            look_for_end(c);
        break;
    case CONN_DRAINING:
        drain(c);
        break;
    case CONN_LINGERING:
        if (is_deaf(c) && (events & UV_DISCONNECT) != 0)
            conn_close(c);
        else
            linger(c);
        break;
    case CONN_CLOSED:
        break;
    }
    update_interest(c, (events & ~wanted_events(c)) != 0);
}

/* drop: also give up what is not wanted any more. */
static void update_interest(struct conn *c, bool drop)
{
    if (c->state == CONN_CLOSED)
        return;
    int wanted = wanted_events(c);
    int events = drop ? wanted : c->events | wanted;
    if (events == c->events)
        return;
    c->events = events;
    if (events == 0)
        must(uv_poll_stop(&c->poll) == 0);
    else
        must(uv_poll_start(&c->poll, events, on_poll) == 0);
}

void conn_format_remote(int fd, char ret[CONN_REMOTE_BYTES])
{
    struct sockaddr_storage a;
    socklen_t n = sizeof(a);
    char ip[INET6_ADDRSTRLEN] = "";
    ret[0] = '\0';
    if (getpeername(fd, (struct sockaddr *)&a, &n) < 0)
        return;
    if (a.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&a;
        inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
        snprintf(ret, CONN_REMOTE_BYTES, "%s:%u", ip, ntohs(in->sin_port));
    } else if (a.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&a;
        inet_ntop(AF_INET6, &in->sin6_addr, ip, sizeof(ip));
        snprintf(ret, CONN_REMOTE_BYTES, "[%s]:%u", ip, ntohs(in->sin6_port));
    } else {
        snprintf(ret, CONN_REMOTE_BYTES, "unix");
    }
}

struct conn *conn_new(struct loop *l, int fd, SSL *ssl, const struct conn_handler *h, void *ctx)
{
    must(h != NULL);
    struct conn *c = slab_take(&conns);
    c->loop = l;
    c->handler = h;
    c->ctx = ctx;
    c->read_bytes_max = LOOP_SCRATCH_BYTES;
    c->last_write_ns = loop_now_ns(l);
    l->flush = flush_at_end_of_turn;
    list_init(&c->dirty);
    timeout_init(&c->timer, on_timer, c);
    buf_init(&c->out, SIZE_MAX / 4);
    wire_init(&c->wire, fd, ssl);
    must(uv_poll_init(&l->uv, &c->poll, fd) == 0);
    c->poll.data = c;
    conn_format_remote(fd, c->remote);
    if (ssl == NULL)
        loop_defer(l, open_plain, c);
    /* A client speaks first: waiting for the socket to be writable starts it. */
    else if (!SSL_is_server(ssl))
        c->wire.read_wants_write = true;
    update_interest(c, false);
    return c;
}

void conn_start_tls(struct conn *c, SSL *ssl)
{
    must(c->state == CONN_OPEN);
    must(c->wire.ssl == NULL);
    must(buf_len(&c->out) == 0);
    if (c->reading == CONN_READ_ENDED) {
        SSL_free(ssl);
        return; /* on_end() has said so */
    }
    wire_init(&c->wire, c->wire.fd, ssl);
    c->state = CONN_OPENING;
    c->wire.read_wants_write = true;
    update_interest(c, false);
}

void conn_set_handler(struct conn *c, const struct conn_handler *h, void *ctx)
{
    must(h != NULL);
    c->handler = h;
    c->ctx = ctx;
}

void conn_wipe_writes(struct conn *c)
{
    c->out.wiped = true;
}

void conn_limit_reads(struct conn *c, size_t bytes)
{
    must(bytes > 0);
    must(bytes <= LOOP_SCRATCH_BYTES);
    c->read_bytes_max = bytes;
}

static bool may_write(const struct conn *c)
{
    return c->error == 0 && (c->state == CONN_OPENING || c->state == CONN_OPEN);
}

static void queue_grew(struct conn *c)
{
    count_queue(c);
    if (buf_len(&c->out) > CONN_HIGH_BYTES)
        c->was_high = true;
    if (c->state == CONN_OPEN && !c->write_blocked)
        mark_dirty(c);
}

void conn_write(struct conn *c, struct str bytes)
{
    if (bytes.n == 0 || !may_write(c))
        return;
    buf_add(&c->out, bytes);
    queue_grew(c);
}

void conn_write_buf(struct conn *c, struct buf *bytes)
{
    if (buf_len(bytes) == 0 || !may_write(c)) {
        buf_done(bytes);
        return;
    }
    buf_add_buf(&c->out, bytes);
    queue_grew(c);
}

size_t conn_queued(const struct conn *c)
{
    return buf_len(&c->out);
}

void conn_flush(struct conn *c)
{
    if (c->state != CONN_OPEN || c->error != 0 || buf_len(&c->out) == 0)
        return;
    push(c);
    if (c->write_blocked)
        mark_dirty(c); /* for its interest */
}

void conn_end_early(struct conn *c)
{
    c->end_early = true;
}

void conn_pause(struct conn *c, unsigned reason)
{
    c->paused |= reason;
}

void conn_resume(struct conn *c, unsigned reason)
{
    if ((c->paused & reason) == 0)
        return;
    c->paused &= ~reason;
    if (c->paused != 0 || c->state != CONN_OPEN || c->reading == CONN_READ_ENDED)
        return;
    read_again(c);
    update_interest(c, false);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    /* Behind open_plain(), which may still be deferred. */
    loop_defer(c->loop, slab_give, c);
}

static void close_now(struct conn *c, bool reset)
{
    if (c->state == CONN_CLOSED)
        return;
    bool orderly = c->state == CONN_OPEN && buf_len(&c->out) == 0 && c->error == 0;
    c->state = CONN_CLOSED;
    timeout_clear(c->loop, &c->timer);
    list_remove(&c->dirty);
    buf_done(&c->out);
    count_queue(c);
    uv_close((uv_handle_t *)&c->poll, on_poll_closed); /* before the fd goes */
    wire_close(&c->wire, orderly, reset);
}

void conn_close(struct conn *c)
{
    close_now(c, false);
}

void conn_reset(struct conn *c)
{
    close_now(c, true);
}

void conn_finish(struct conn *c, int64_t linger_ms)
{
    if (c->state != CONN_OPENING && c->state != CONN_OPEN)
        return;
    bool never_open = c->state == CONN_OPENING && c->wire.ssl != NULL;
    if (c->error != 0 || never_open) {
        conn_close(c);
        return;
    }
    timeout_clear(c->loop, &c->timer);
    c->linger_ms = linger_ms;
    c->state = CONN_DRAINING;
    mark_dirty(c);
}

bool conn_is_tls(const struct conn *c)
{
    return c->wire.ssl != NULL;
}

bool conn_is_resumed(const struct conn *c)
{
    return c->wire.ssl != NULL && SSL_session_reused(c->wire.ssl) == 1;
}

struct str conn_alpn(const struct conn *c)
{
    const unsigned char *p = NULL;
    unsigned n = 0;
    if (c->wire.ssl != NULL)
        SSL_get0_alpn_selected(c->wire.ssl, &p, &n);
    return (struct str){ (const char *)p, n };
}

struct str conn_remote(const struct conn *c)
{
    return str_of(c->remote);
}

bool conn_is_to(const struct conn *c, const struct sockaddr_storage *address)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof(a);
    if (getpeername(c->wire.fd, (struct sockaddr *)&a, &n) < 0 || a.ss_family != address->ss_family)
        return false;
    if (a.ss_family == AF_INET6) {
        const struct sockaddr_in6 *x = (const struct sockaddr_in6 *)&a;
        const struct sockaddr_in6 *y = (const struct sockaddr_in6 *)address;
        return x->sin6_port == y->sin6_port &&
               memcmp(&x->sin6_addr, &y->sin6_addr, sizeof(x->sin6_addr)) == 0;
    }
    const struct sockaddr_in *x = (const struct sockaddr_in *)&a;
    const struct sockaddr_in *y = (const struct sockaddr_in *)address;
    return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
}

struct loop *conn_loop(const struct conn *c)
{
    return c->loop;
}

int64_t conn_last_write_ns(const struct conn *c)
{
    return c->last_write_ns;
}

bool conn_is_stale(const struct conn *c)
{
    if (c->state != CONN_OPEN || c->reading == CONN_READ_ENDED || c->error != 0)
        return true;
    char byte;
    ssize_t n = recv(c->wire.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n >= 0 || (errno != EAGAIN && errno != EINTR);
}

struct str conn_error_text(const struct conn *c)
{
    return str_of(c->wire.error_text);
}

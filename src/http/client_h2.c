/*
 * Exchanges on an HTTP/2 conn: as many at once as the server allows.
 *
 * h2_pull() and what ends conns run outside h2_feed() only: exchange functions that are called
 * inside its callbacks (or anywhere) queue a pump() for the end of the turn.
 */
#include "pool_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "mem.h"
#include "must.h"

enum { PULL_BYTES = 64 * 1024 };
#define SILENCE_NS (15 * NS_PER_S)

struct client_h2 {
    struct h2 *codec;
    size_t streams; /* open ones, and those that were cancelled and are not closed yet */
    struct timeout silence;
    int64_t last_read_ns;
    bool pinged; /* since the last byte was read */
    bool pump_queued;
};

/* --- output --- */

/* After the GOAWAY that says why. */
static void break_off(struct pool_conn *c)
{
    char cause[64];
    int n = snprintf(cause, sizeof(cause), "broke the HTTP/2 protocol (%s)",
                     refusal_row(h2_refusal(c->h2->codec))->label);
    must(n > 0);
    conn_flush(c->conn);
    pool_lose(c, E_UPSTREAM_PROTOCOL, cause, false);
}

/* What has happened may have ended the conn or freed it for others. */
static void settle(struct pool_conn *c)
{
    struct client_h2 *h = c->h2;
    if (h2_finished(h->codec)) /* with exchanges on it: by an error that nghttp2 has found */
        break_off(c);
    else if (h->streams > 0)
        return;
    else if (c->state == POOL_DRAINING)
        pool_close(c);
    else if (c->state == POOL_BUSY)
        pool_give_back(c);
}

static void pull(struct pool_conn *c)
{
    /* Up to and over the mark, so that on_drain() is sure to come. */
    while (conn_queued(c->conn) <= CONN_HIGH_BYTES) {
        struct buf out;
        buf_init(&out, 2 * (size_t)PULL_BYTES + POOL_HEAD_BYTES);
        out.wiped = true; /* HEADERS have a key; HPACK hides nothing */
        h2_pull(c->h2->codec, &out, PULL_BYTES);
        must(!out.overflow);
        size_t n = buf_len(&out);
        if (n > 0)
            pool_write_buf(c, &out);
        buf_done(&out);
        if (n == 0 || c->state == POOL_CLOSING)
            return;
    }
}

static void pump(struct pool_conn *c)
{
    if (c->state == POOL_CLOSING)
        return;
    pull(c);
    if (c->state != POOL_CLOSING)
        settle(c);
}

static void pump_later(void *ctx)
{
    struct pool_conn *c = ctx;
    c->h2->pump_queued = false;
    pump(c);
}

static void queue_pump(struct pool_conn *c)
{
    if (c->h2->pump_queued || c->state == POOL_CLOSING)
        return;
    c->h2->pump_queued = true;
    loop_defer(c->pool->loop, pump_later, c);
}

/* --- keepalive --- */

static void watch_silence(struct pool_conn *c, int64_t after_ns)
{
    timeout_set(c->pool->loop, &c->h2->silence, after_ns);
}

/* A network that drops a conn silently is noticed here (rfc9113,s6.7). */
static void on_silence(void *ctx)
{
    struct pool_conn *c = ctx;
    struct client_h2 *h = c->h2;
    if (h->streams == 0)
        return; /* the next exchange arms it again */
    int64_t silent_ns = loop_now_ns(c->pool->loop) - h->last_read_ns;
    if (silent_ns < SILENCE_NS) {
        watch_silence(c, SILENCE_NS - silent_ns);
    } else if (h->pinged) {
        pool_lose(c, E_UPSTREAM_CLOSED, "no answer to an HTTP/2 ping", false);
    } else {
        h->pinged = true;
        h2_ping(h->codec);
        watch_silence(c, SILENCE_NS);
        pump(c);
    }
}

/* --- the request --- */

static void send_body(struct exchange *x)
{
    while (x->send == SEND_WHOLE && h2_queued(x->stream) <= H2_HIGH_BYTES) {
        struct str piece = exchange_next_piece(x);
        if (piece.n == 0) {
            x->send = SEND_SENT;
            if (x->body_bytes != -2)
                h2_write_end(x->stream);
        } else
            h2_write(x->stream, piece);
    }
}

static bool start(struct pool_conn *c, struct exchange *x, const struct http_head *head)
{
    struct client_h2 *h = c->h2;
    queue_pump(c);
    x->stream = h2_submit_request(h->codec, head, x->body_bytes != -2, x);
    if (!x->stream) {
        pool_drain(c); /* stream ids are used up, or GOAWAY */
        return false;
    }
    h->streams++;
    if (!timeout_armed(&h->silence)) {
        h->last_read_ns = loop_now_ns(c->pool->loop);
        h->pinged = false;
        watch_silence(c, SILENCE_NS);
    }
    x->conn = c;
    send_body(x);
    return true;
}

static void write_body(struct exchange *x, struct str bytes)
{
    h2_write(x->stream, bytes);
    queue_pump(x->conn);
}

static void write_end(struct exchange *x)
{
    h2_write_end(x->stream);
    queue_pump(x->conn);
}

static size_t queued(const struct exchange *x)
{
    return h2_queued(x->stream);
}

/* --- the reply --- */

static void consume_unread(struct exchange *x)
{
    if (x->unread_bytes > 0)
        h2_consume(x->stream, x->unread_bytes);
    x->unread_bytes = 0;
}

/* The stream lives on without its exchange until it is closed. */
static void detach(struct exchange *x)
{
    consume_unread(x); /* the conn's window is shared with others */
    h2_stream_set_user(x->stream, NULL);
    x->stream = NULL;
}

static struct exchange *exchange_of(void *ctx, struct h2_stream *s)
{
    const struct pool_conn *c = ctx;
    return c->state == POOL_CLOSING ? NULL : h2_stream_user(s);
}

static void on_reply_head(void *ctx, struct h2_stream *s, const struct http_head *head)
{
    struct exchange *x = exchange_of(ctx, s);
    if (!x)
        return;
    exchange_ready(x);
    if (exchange_running(x))
        x->handler->on_head(x->ctx, head);
}

static void on_reply_body(void *ctx, struct h2_stream *s, struct str bytes)
{
    struct exchange *x = exchange_of(ctx, s);
    if (!x) {
        h2_consume(s, bytes.n);
        return;
    }
    x->unread_bytes += bytes.n;
    x->handler->on_body(x->ctx, bytes);
    if (x->stream && !x->paused) /* it neither ended nor paused the exchange, which lives on */
        consume_unread(x);       /* until the end of the turn in any case */
}

static void on_reply_end(void *ctx, struct h2_stream *s)
{
    struct exchange *x = exchange_of(ctx, s);
    if (!x)
        return;
    bool sent = x->send == SEND_SENT && h2_queued(s) == 0;
    detach(x);
    if (!sent)
        h2_reset(s, H2_CANCEL);
    exchange_finish(x);
}

static void on_stream_drain(void *ctx, struct h2_stream *s)
{
    struct exchange *x = exchange_of(ctx, s);
    if (!x)
        return;
    if (x->send == SEND_WHOLE) {
        send_body(x);
        queue_pump(x->conn);
    } else if (x->send == SEND_STREAMED && x->handler->on_drain)
        x->handler->on_drain(x->ctx);
}

static void on_stream_close(void *ctx, struct h2_stream *s, uint32_t error, bool unprocessed)
{
    struct pool_conn *c = ctx;
    struct exchange *x = exchange_of(c, s);
    c->h2->streams--;
    if (c->state != POOL_CLOSING)
        pool_kick(c->pool); /* a place for a waiter */
    if (!x)
        return;
    detach(x);
    if (h2_is_at_fault(s)) {
        exchange_fail(x, E_UPSTREAM_PROTOCOL, "sent a malformed HTTP/2 reply", false);
        return;
    }
    char cause[96];
    int n = snprintf(cause, sizeof(cause), "%s (HTTP/2 error code %lu)",
                     unprocessed ? "refused the stream" : "reset the stream", (unsigned long)error);
    must(n > 0);
    exchange_fail(x, unprocessed ? E_UPSTREAM_REFUSED : E_UPSTREAM_CLOSED, cause, unprocessed);
}

static void on_goaway(void *ctx)
{
    pool_drain(ctx);
}

/* --- the conn --- */

static size_t room(const struct pool_conn *c)
{
    const struct client_h2 *h = c->h2;
    size_t allowed = h2_streams_allowed(h->codec); /* beyond those that are open */
    size_t max = POOL_STREAMS_MAX;
    if (h2_streams_max(h->codec) == SIZE_MAX && c->origin->streams_max < max)
        max = c->origin->streams_max;
    size_t ours = h->streams < max ? max - h->streams : 0;
    return allowed < ours ? allowed : ours;
}

/* What SETTINGS allow: for the waiters now, and for the next conn until its own have come.
 * Without the latter all that one conn has refused would be refused by the next. */
static void learn_streams_max(struct pool_conn *c)
{
    struct origin *o = c->origin;
    size_t max = h2_streams_max(c->h2->codec);
    if (max == SIZE_MAX)
        return;
    o->streams_max = max > 0 ? max : 1; /* 0 would never be tried again */
    if (o->waiting > 0 && room(c) > 0)
        pool_kick(c->pool);
}

static void on_read(void *ctx, struct str bytes)
{
    struct pool_conn *c = ctx;
    c->bytes_read += bytes.n;
    c->h2->last_read_ns = loop_now_ns(c->pool->loop);
    c->h2->pinged = false;
    h2_set_now(c->h2->codec, c->h2->last_read_ns);
    int err = h2_feed(c->h2->codec, bytes);
    if (c->state == POOL_CLOSING)
        return;
    if (err < 0) {
        pull(c);
        break_off(c);
        return;
    }
    learn_streams_max(c);
    pump(c);
}

static void on_end(void *ctx, int err)
{
    bool system = err < 0 && err > E_BASE_;
    pool_lose(ctx, E_UPSTREAM_CLOSED,
              system ? strerror(-err)
                     : "closed the HTTP/2 connection before the reply was complete",
              true);
}

static void on_drain(void *ctx)
{
    pump(ctx);
}

static void open_client(struct pool_conn *c)
{
    static const struct conn_handler conn_handler = {
        .on_read = on_read,
        .on_drain = on_drain,
        .on_end = on_end,
    };
    static const struct h2_handler reply_handler = {
        .on_head = on_reply_head,
        .on_body = on_reply_body,
        .on_end = on_reply_end,
        .on_drain = on_stream_drain,
        .on_stream_close = on_stream_close,
        .on_goaway = on_goaway,
    };
    c->h2 = mem_new(struct client_h2);
    timeout_init(&c->h2->silence, on_silence, c);
    c->h2->codec = h2_new(H2_CLIENT, &c->pool->h2_limits, &reply_handler, c);
    conn_set_handler(c->conn, &conn_handler, c);
    queue_pump(c); /* the preface */
}

static void goodbye(struct pool_conn *c)
{
    timeout_clear(c->pool->loop, &c->h2->silence);
    if (c->state != POOL_IDLE)
        return;
    h2_goaway(c->h2->codec);
    pull(c);
    conn_flush(c->conn);
}

static void free_client(struct pool_conn *c)
{
    h2_free(c->h2->codec);
    free(c->h2);
}

static void cancel(struct exchange *x)
{
    struct h2_stream *s = x->stream;
    detach(x);
    h2_reset(s, H2_CANCEL);
    queue_pump(x->conn);
}

static void pause_reading(struct exchange *x)
{
    (void)x; /* on_reply_body() no longer opens the windows */
}

static void resume_reading(struct exchange *x)
{
    consume_unread(x);
    queue_pump(x->conn);
}

static void widen(struct exchange *x)
{
    if (!x->stream)
        return;
    h2_widen(x->stream);
    queue_pump(x->conn);
}

const struct client_ops client_h2 = CLIENT_OPS(2, goodbye);

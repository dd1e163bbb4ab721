/*
 * An exchange on an HTTP/1.1 conn: one at a time.
 */
#include "pool_internal.h"

#include <string.h>

#include "buf.h"
#include "err.h"
#include "must.h"
#include "slab.h"

/* What most heads fit in, and a body that is queued behind one in the same piece of memory. */
enum { HEAD_BYTES = 1000, BODY_BYTES = 16 * 1024 };

struct client_h1 {
    struct h1 codec;
    struct exchange *x; /* NULL between exchanges */
    bool complete;      /* the reply is; x has not been told yet */
};

static struct slab clients = SLAB_OF(clients, struct client_h1);

/* --- the request --- */

static void send_body(struct exchange *x)
{
    struct pool_conn *c = x->conn;
    while (x->send == SEND_WHOLE && conn_queued(c->conn) <= CONN_HIGH_BYTES) {
        struct str piece = exchange_next_piece(x);
        if (piece.n == 0)
            x->send = SEND_SENT;
        else
            pool_write(c, piece);
    }
}

static bool start(struct pool_conn *c, struct exchange *x, const struct http_head *head)
{
    struct client_h1 *h = c->h1;
    must(!h->x);
    struct buf out;
    buf_init(&out, POOL_HEAD_BYTES);
    out.wiped = true; /* it has a key */
    (void)buf_reserve(&out, HEAD_BYTES + (x->body.n < BODY_BYTES ? x->body.n : 0));
    h1_next(&h->codec, head->method);
    h1_write_request(&out, head, x->body_bytes);
    must(!out.overflow);
    pool_write_buf(c, &out);
    h->x = x;
    h->complete = false;
    x->conn = c;
    if (x->paused)
        conn_pause(c->conn, CONN_PAUSE_OWNER);
    send_body(x);
    return true;
}

static void write_body(struct exchange *x, struct str bytes)
{
    if (x->body_bytes >= 0) {
        pool_write(x->conn, bytes);
        return;
    }
    struct buf out;
    buf_init(&out, bytes.n + 64);
    h1_write_chunk(&out, bytes);
    must(!out.overflow);
    pool_write_buf(x->conn, &out);
}

static void write_end(struct exchange *x)
{
    if (x->body_bytes >= 0)
        return;
    struct buf out;
    buf_init(&out, 64);
    h1_write_last_chunk(&out);
    must(!out.overflow);
    pool_write_buf(x->conn, &out);
}

static size_t queued(const struct exchange *x)
{
    return conn_queued(x->conn->conn);
}

/* --- the reply --- */

/* The reply is complete.  may_keep: nothing came behind it. */
static void finish(struct pool_conn *c, bool may_keep)
{
    struct client_h1 *h = c->h1;
    struct exchange *x = h->x;
    bool sent = x->send == SEND_SENT && conn_queued(c->conn) == 0;
    h->x = NULL;
    list_remove(&x->link);
    if (may_keep && sent && c->state == POOL_BUSY && h1_keep_alive(&h->codec)) {
        conn_resume(c->conn, CONN_PAUSE_OWNER);
        pool_give_back(c);
    } else
        pool_close(c);
    exchange_finish(x);
}

static void on_read(void *ctx, struct str bytes)
{
    struct pool_conn *c = ctx;
    struct client_h1 *h = c->h1;
    c->bytes_read += bytes.n;
    if (!h->x) { /* nobody asked */
        pool_close(c);
        return;
    }
    ssize_t used = h1_feed(&h->codec, bytes);
    if (c->state == POOL_CLOSING)
        return; /* cancelled inside a callback */
    if (used < 0)
        pool_lose(c, (int)used, h1_error_text(&h->codec), false);
    else if (h->complete)
        finish(c, (size_t)used == bytes.n);
}

static const char *end_cause(const struct pool_conn *c, int err, bool silent)
{
    if (err < 0 && err > E_BASE_)
        return strerror(-err);
    if (err < 0)
        return conn_error_text(c->conn).n > 0 ? "TLS failed" : err_row(err)->text;
    return silent ? "closed the connection before a reply"
                  : "closed the connection inside the reply";
}

static void on_end(void *ctx, int err)
{
    struct pool_conn *c = ctx;
    struct client_h1 *h = c->h1;
    if (!h->x) {
        pool_close(c);
        return;
    }
    bool silent = h1_idle(&h->codec);
    int closed = err < 0 ? E_UPSTREAM_CLOSED : h1_eof(&h->codec);
    if (c->state == POOL_CLOSING)
        return; /* cancelled inside a callback */
    if (h->complete)
        finish(c, false);
    else
        pool_lose(c, closed < 0 ? closed : E_UPSTREAM_CLOSED, end_cause(c, err, silent), true);
}

static void on_drain(void *ctx)
{
    struct pool_conn *c = ctx;
    struct exchange *x = c->h1->x;
    if (!x)
        return;
    if (x->send == SEND_WHOLE)
        send_body(x);
    else if (x->send == SEND_STREAMED && x->handler->on_drain)
        x->handler->on_drain(x->ctx);
}

static void on_reply_head(void *ctx, const struct http_head *head)
{
    struct exchange *x = ((struct pool_conn *)ctx)->h1->x;
    exchange_ready(x);
    if (exchange_running(x))
        x->handler->on_head(x->ctx, head);
}

static void on_reply_body(void *ctx, struct str bytes)
{
    struct exchange *x = ((struct pool_conn *)ctx)->h1->x;
    if (x && exchange_running(x))
        x->handler->on_body(x->ctx, bytes);
}

static void on_reply_end(void *ctx)
{
    ((struct pool_conn *)ctx)->h1->complete = true;
}

/* --- the conn --- */

static void open_client(struct pool_conn *c)
{
    static const struct conn_handler conn_handler = {
        .on_read = on_read,
        .on_drain = on_drain,
        .on_end = on_end,
    };
    static const struct h1_handler reply_handler = {
        .on_head = on_reply_head,
        .on_body = on_reply_body,
        .on_end = on_reply_end,
    };
    c->h1 = slab_take(&clients);
    h1_init(&c->h1->codec, H1_CLIENT, &c->pool->h1_limits, &reply_handler, c);
    conn_set_handler(c->conn, &conn_handler, c);
}

static void free_client(struct pool_conn *c)
{
    h1_done(&c->h1->codec);
    slab_give(c->h1);
}

static size_t room(const struct pool_conn *c)
{
    return c->h1->x ? 0 : 1;
}

static void cancel(struct exchange *x)
{
    struct pool_conn *c = x->conn;
    c->h1->x = NULL;
    h1_stop(&c->h1->codec); /* we may be inside its h1_feed() */
    pool_close(c);
}

static void pause_reading(struct exchange *x)
{
    conn_pause(x->conn->conn, CONN_PAUSE_OWNER);
}

static void resume_reading(struct exchange *x)
{
    conn_resume(x->conn->conn, CONN_PAUSE_OWNER);
}

static void widen(struct exchange *x)
{
    (void)x; /* the kernel sees to it */
}

const struct client_ops client_h1 = CLIENT_OPS(1, NULL);

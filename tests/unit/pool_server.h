/*
 * pool_server.h - scripted upstreams for test_pool*.c: raw HTTP/1.1 bytes or the HTTP/2 codec,
 * with or without TLS, in the loop of the test.
 */
#ifndef POOL_SERVER_H
#define POOL_SERVER_H

#include "unit.h"

#include "buf.h"
#include "conn.h"
#include "h2.h"
#include "listener.h"
#include "loop.h"

enum { RIG_CONNS_MAX = 16, RIG_TEXT_BYTES = 64 * 1024 * 1024 };

struct server;

/* One accepted conn. */
struct served {
    struct server *server;
    struct conn *conn; /* NULL when closed by this side */
    struct buf in;
    int number;   /* from 0, in order of arrival */
    int requests; /* for the script's use */
    bool ended;   /* the pool's side has closed */
    struct h2 *h2;
    struct h2_limits limits;
    struct h2_stream *stream; /* the newest one */
    int streams_closed;
    uint32_t stream_error;
};

/* Called whenever bytes have come (HTTP/1). */
typedef void script_fn(struct served *s);

struct server {
    struct loop *loop;
    struct listener *listener;
    uint16_t port;
    SSL_CTX *tls;
    script_fn *script;
    const struct h2_handler *h2_handler;
    uint32_t streams_max;
    struct served conns[RIG_CONNS_MAX];
    int n;
};

static inline void served_say(struct served *s, const char *text)
{
    conn_write(s->conn, str_of(text));
}

static inline void served_close(struct served *s)
{
    if (s->conn)
        conn_finish(s->conn, 0);
    s->conn = NULL;
}

static inline void served_pull(struct served *s)
{
    while (s->conn) {
        struct buf out;
        buf_init(&out, 4 * 1024 * 1024);
        h2_pull(s->h2, &out, 65536);
        size_t n = buf_len(&out);
        conn_write(s->conn, buf_str(&out));
        buf_done(&out);
        if (n == 0)
            return;
    }
}

static inline void served_read(void *ctx, struct str bytes)
{
    struct served *s = ctx;
    if (s->h2) {
        assert_int_equal(h2_feed(s->h2, bytes), 0);
        served_pull(s);
        return;
    }
    buf_add(&s->in, bytes);
    if (s->server->script)
        s->server->script(s);
}

static inline void served_end(void *ctx, int err)
{
    (void)err;
    struct served *s = ctx;
    s->ended = true;
    conn_close(s->conn);
    s->conn = NULL;
}

static inline void served_open(void *ctx)
{
    (void)ctx;
}

static const struct conn_handler served_handler = {
    .on_open = served_open,
    .on_read = served_read,
    .on_end = served_end,
};

static inline void server_accept(void *ctx, int fd)
{
    struct server *v = ctx;
    assert_true(v->n < RIG_CONNS_MAX);
    struct served *s = &v->conns[v->n];
    s->server = v;
    s->number = v->n++;
    buf_init(&s->in, RIG_TEXT_BYTES);
    SSL *ssl = NULL;
    if (v->tls) {
        ssl = SSL_new(v->tls);
        SSL_set_accept_state(ssl);
    }
    s->conn = conn_new(v->loop, fd, ssl, &served_handler, s);
    if (v->h2_handler) {
        s->limits = (struct h2_limits){ .header_bytes = 65536,
                                        .field_bytes = 65536,
                                        .target_bytes = 8192,
                                        .fields_max = 100,
                                        .streams_max = v->streams_max ? v->streams_max : 100 };
        s->h2 = h2_new(H2_SERVER, &s->limits, v->h2_handler, s);
        served_pull(s);
    }
}

static inline void server_start(struct server *v, struct loop *l)
{
    int fd = -1;
    struct buf error;
    buf_init(&error, 1000);
    v->loop = l;
    assert_int_equal(listener_open(S("127.0.0.1"), 0, &fd, &error), 0);
    v->port = listener_port(fd);
    v->listener = listener_new(l, fd, server_accept, v);
    buf_done(&error);
}

static inline void server_stop(struct server *v)
{
    if (v->listener)
        listener_free(v->listener);
    for (int i = 0; i < v->n; i++) {
        if (v->conns[i].conn)
            conn_close(v->conns[i].conn);
        v->conns[i].conn = NULL;
        h2_free(v->conns[i].h2);
        buf_done(&v->conns[i].in);
    }
    SSL_CTX_free(v->tls);
}

#endif

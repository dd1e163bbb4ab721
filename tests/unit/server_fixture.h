/*
 * server_fixture.h - a server on loopback, an application that records what it is
 * told, and raw clients, all in one thread: turn() runs the loop once.
 */
#ifndef SERVER_FIXTURE_H
#define SERVER_FIXTURE_H

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "conn.h"
#include "err.h"
#include "listener.h"
#include "server.h"
#include "server_limits.h"
#include "tls.h"

enum { EXCHANGES_MAX = 64, TURNS_MAX = 20000 };

enum app_mode {
    APP_ECHO,     /* answers at the end of the request: "METHOD target body" */
    APP_HOLD,     /* the test answers */
    APP_REFUSE,   /* 413 in on_request */
    APP_ABORT,    /* aborts at the first body byte */
    APP_CONTINUE, /* server_continue(), then as ECHO */
    APP_PAUSE,    /* pauses in each on_body */
};

struct exchange {
    struct server_stream *s;
    char method[16], target[64];
    struct buf body;
    int ended, gone, drains, pieces;
    struct fixture *fixture;
};

struct fixture {
    struct loop loop;
    struct server *server;
    struct server_limits limits;
    uint16_t port;
    enum app_mode mode;
    struct exchange x[EXCHANGES_MAX];
    int n;
    int drained;
    enum refusal refused; /* the newest */
    SSL_CTX *tls, *client_tls;
    char cert[64], key[64];
};

struct client {
    struct fixture *f;
    int fd;
    SSL *ssl;
    struct buf in;
    bool eof;
    int err; /* errno of a failed read */
};

static inline void answer(struct server_stream *s, int status, struct str body)
{
    struct arena a;
    struct http_headers headers = { 0 };

    arena_init(&a, 4096);
    http_add(&headers, &a, S("content-type"), S("text/plain"));
    server_head(s, status, &headers, (int64_t)body.n);
    server_write(s, body);
    server_end(s);
    arena_done(&a);
}

/* The head of a reply whose body the test writes. */
static inline void begin_reply(struct server_stream *s, int status, int64_t length)
{
    const struct http_headers none = { 0 };

    server_head(s, status, &none, length);
}

static inline void echo(struct exchange *x)
{
    struct buf out;

    buf_init(&out, 1 << 26);
    buf_addf(&out, "%s %s ", x->method, x->target);
    buf_add(&out, buf_str(&x->body));
    answer(x->s, 200, buf_str(&out));
    buf_done(&out);
}

static inline void app_request(void *ctx, struct server_stream *s, const struct http_head *head)
{
    struct fixture *f = ctx;
    must(f->n < EXCHANGES_MAX);
    struct exchange *x = &f->x[f->n++];

    x->s = s;
    x->fixture = f;
    snprintf(x->method, sizeof(x->method), STR_FMT, STR_ARG(head->method));
    snprintf(x->target, sizeof(x->target), STR_FMT, STR_ARG(head->target));
    buf_init(&x->body, 1 << 26);
    server_set_user(s, x);
    if (f->mode == APP_REFUSE)
        answer(s, 413, S("too large"));
    if (f->mode == APP_CONTINUE)
        server_continue(s);
}

static inline void app_body(void *user, struct str bytes)
{
    struct exchange *x = user;

    buf_add(&x->body, bytes);
    x->pieces++;
    if (x->fixture->mode == APP_ABORT)
        server_abort(x->s);
    if (x->fixture->mode == APP_PAUSE)
        server_pause(x->s);
}

static inline void app_end(void *user)
{
    struct exchange *x = user;

    x->ended++;
    if (x->fixture->mode == APP_ECHO || x->fixture->mode == APP_CONTINUE)
        echo(x);
}

static inline void app_drain(void *user)
{
    ((struct exchange *)user)->drains++;
}

static inline void app_gone(void *user)
{
    ((struct exchange *)user)->gone++;
}

static inline void app_refused(void *ctx, const struct server_refusal *why, struct arena *a,
                               struct http_headers *headers, struct buf *body)
{
    struct fixture *f = ctx;

    f->refused = why->reason;
    if (!body)
        return;
    http_add(headers, a, S("x-refused"), S("1"));
    buf_addf(body, "{\"error\":\"%s\"}", err_row(refusal_row(why->reason)->err)->name);
}

static const struct server_handler app = { app_request, app_body, app_end,
                                           app_drain,   app_gone, app_refused };

static inline void on_drained(void *ctx)
{
    ((struct fixture *)ctx)->drained++;
}

static inline void fixture_tls(struct fixture *f)
{
    struct buf error;

    buf_init(&error, 4096);
    snprintf(f->cert, sizeof(f->cert), "/tmp/test_server.%d.crt", (int)getpid());
    snprintf(f->key, sizeof(f->key), "/tmp/test_server.%d.key", (int)getpid());
    assert_int_equal(tls_self_signed(f->cert, f->key), 0);
    assert_int_equal(tls_server_new(f->cert, f->key, &f->tls, &error), 0);
    assert_int_equal(tls_client_new(f->cert, &f->client_tls, &error), 0);
    buf_done(&error);
}

static inline struct fixture *fixture_new(bool tls)
{
    struct fixture *f = mem_new(struct fixture);
    struct buf error;
    int fd = -1;

    buf_init(&error, 4096);
    loop_init(&f->loop);
    f->limits = default_limits();
    assert_int_equal(listener_open(S("127.0.0.1"), 0, &fd, &error), 0);
    f->port = listener_port(fd);
    if (tls)
        fixture_tls(f);
    f->server = server_new(&f->loop, fd, f->tls, &f->limits, &app, f);
    buf_done(&error);
    return f;
}

static inline void turn(struct fixture *f)
{
    uv_run(&f->loop.uv, UV_RUN_NOWAIT);
}

/* Runs the loop until cond holds; fails the test when it never does. */
#define wait_until(f, cond)               \
    do {                                  \
        int left_ = TURNS_MAX;            \
        while (!(cond) && left_-- > 0) {  \
            turn(f);                      \
            if (left_ < TURNS_MAX - 100)  \
                usleep(500);              \
        }                                 \
        if (!(cond))                      \
            fail_msg("never: %s", #cond); \
    } while (0)

static inline void fixture_free(struct fixture *f)
{
    server_free(f->server);
    for (int i = 0; i < 20; i++)
        turn(f);
    loop_done(&f->loop);
    for (int i = 0; i < f->n; i++)
        buf_done(&f->x[i].body);
    SSL_CTX_free(f->tls);
    SSL_CTX_free(f->client_tls);
    if (f->cert[0]) {
        unlink(f->cert);
        unlink(f->key);
    }
    free(f);
}

/* --- clients --- */

static inline void client_open(struct client *c, struct fixture *f)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(f->port) };

    *c = (struct client){ .f = f };
    buf_init(&c->in, 1 << 27);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(c->fd >= 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)), 0);
}

static inline void client_tls(struct client *c, bool h2)
{
    int e = 0;

    c->ssl = tls_client_ssl(c->f->client_tls, S("localhost"), h2, NULL);
    assert_int_equal(SSL_set_fd(c->ssl, c->fd), 1);
    wait_until(c->f, (e = SSL_connect(c->ssl)) == 1);
}

static inline void client_close(struct client *c)
{
    SSL_free(c->ssl);
    c->ssl = NULL;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    buf_done(&c->in);
}

static inline ssize_t client_try_send(struct client *c, struct str s)
{
    if (c->ssl) {
        int n = SSL_write(c->ssl, s.p, (int)s.n);
        return n > 0 ? n : -EAGAIN;
    }
    ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL);
    return n >= 0 ? n : -errno;
}

static inline void client_send(struct client *c, struct str s)
{
    for (int i = 0; s.n > 0 && i < TURNS_MAX; i++) {
        ssize_t n = client_try_send(c, s);
        if (n > 0)
            s = str_slice(s, (size_t)n, s.n);
        else if (n != -EAGAIN)
            fail_msg("send: %s", strerror((int)-n));
        turn(c->f);
    }
    assert_int_equal(s.n, 0);
}

/* Reads what is there. */
static inline void client_read(struct client *c)
{
    char bytes[65536];

    while (!c->eof) {
        ssize_t n;
        if (c->ssl) {
            n = SSL_read(c->ssl, bytes, sizeof(bytes));
            if (n <= 0 && SSL_get_error(c->ssl, (int)n) == SSL_ERROR_WANT_READ)
                return;
        } else {
            n = recv(c->fd, bytes, sizeof(bytes), 0);
            if (n < 0 && errno == EAGAIN)
                return;
            if (n < 0)
                c->err = errno;
        }
        if (n <= 0)
            c->eof = true;
        else
            buf_add(&c->in, (struct str){ bytes, (size_t)n });
    }
}

/* The usual beginning of a test, a server and its client, and its end. */
static inline struct fixture *fixture_open(struct client *c, enum app_mode mode)
{
    struct fixture *f = fixture_new(false);

    f->mode = mode;
    client_open(c, f);
    return f;
}

static inline void fixture_close(struct client *c)
{
    struct fixture *f = c->f;

    client_close(c);
    fixture_free(f);
}

/* Whether the first request, and no other, has come whole. */
static inline bool is_asked(const struct fixture *f)
{
    return f->n == 1 && f->x[0].ended == 1;
}

/* Sends the first request and waits until the application has it. */
static inline void client_ask(struct client *c, struct str request)
{
    client_send(c, request);
    wait_until(c->f, is_asked(c->f));
}

static inline bool client_has(struct client *c, struct str text)
{
    client_read(c);
    return str_contains(buf_str(&c->in), text);
}

static inline bool client_eof(struct client *c)
{
    client_read(c);
    return c->eof;
}

/* One whole reply with content-length; its body in ret. */
static inline bool client_reply(struct client *c, struct str *ret_head, struct str *ret_body)
{
    uint64_t n = 0;

    client_read(c);
    struct str all = buf_str(&c->in);
    size_t end = str_find(all, S("\r\n\r\n"));
    if (end == all.n)
        return false;
    *ret_head = str_slice(all, 0, end + 4);
    size_t at = str_find(*ret_head, S("content-length: "));
    if (at < ret_head->n) {
        struct str rest = str_slice(*ret_head, at + 16, ret_head->n);
        assert_int_equal(str_to_u64(str_slice(rest, 0, str_find(rest, S("\r\n"))), &n), 0);
    }
    *ret_body = str_slice(all, end + 4, end + 4 + (size_t)n);
    return ret_body->n == n;
}

/* Waits for a reply, checks how it begins and its body, and takes it off. */
static inline void expect_reply(struct client *c, struct str status, struct str body)
{
    struct str head = { 0 }, got = { 0 };

    wait_until(c->f, client_reply(c, &head, &got));
    assert_str(str_slice(head, 0, status.n), status);
    assert_str(got, body);
    buf_consume(&c->in, head.n + got.n);
}

#endif

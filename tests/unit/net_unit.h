/*
 * net_unit.h - what the tests of src/net share: a loop with a guard, both ends
 * of a conn with a record of what they were told, and TLS contexts.
 */
#ifndef NET_UNIT_H
#define NET_UNIT_H

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
#include "loop.h"
#include "tls.h"

#define MAYBE_UNUSED __attribute__((unused))

enum side_action { SIDE_NOTHING, SIDE_CLOSE, SIDE_RESET, SIDE_FINISH };

struct side {
    struct conn *c; /* NULL once the owner has closed it */
    struct buf in;
    int opens, reads, drains, ends, err;
    char error_text[128];
    bool echo;
    enum side_action at_open, at_read, at_drain, at_end;
    bool gone; /* no callback may come any more */
};

struct rig {
    struct loop loop;
    struct timeout guard, tick;
    struct side a, b; /* a: client, b: server */
    SSL_CTX *client, *server;
    struct tls_sessions sessions;
    char cert[64], key[64];
};

static void side_act(struct side *s, enum side_action action)
{
    struct conn *c = s->c;
    if (action == SIDE_NOTHING)
        return;
    s->gone = true;
    s->c = NULL;
    if (action == SIDE_CLOSE)
        conn_close(c);
    else if (action == SIDE_RESET)
        conn_reset(c);
    else
        conn_finish(c, 1000);
}

static void side_open(void *ctx)
{
    struct side *s = ctx;
    assert_false(s->gone);
    s->opens++;
    side_act(s, s->at_open);
}

static void side_read(void *ctx, struct str bytes)
{
    struct side *s = ctx;
    assert_false(s->gone);
    assert_true(bytes.n > 0);
    s->reads++;
    if (s->echo)
        conn_write(s->c, bytes);
    buf_add(&s->in, bytes);
    side_act(s, s->at_read);
}

static void side_drain(void *ctx)
{
    struct side *s = ctx;
    assert_false(s->gone);
    assert_true(conn_queued(s->c) <= CONN_LOW_BYTES);
    s->drains++;
    side_act(s, s->at_drain);
}

static void side_end(void *ctx, int err)
{
    struct side *s = ctx;
    assert_false(s->gone);
    s->ends++;
    s->err = err;
    snprintf(s->error_text, sizeof(s->error_text), STR_FMT, STR_ARG(conn_error_text(s->c)));
    side_act(s, s->at_end);
}

static const struct conn_handler side_handler = { side_open, side_read, side_drain, side_end };

static void guard_fired(void *ctx)
{
    (void)ctx;
    fail_msg("nothing happened for 10 s");
}

/* Again and again: uv_run() may run it and then poll. */
static void ticked(void *ctx)
{
    struct rig *r = ctx;
    timeout_set(&r->loop, &r->tick, NS_PER_MS);
}

static MAYBE_UNUSED void rig_init(struct rig *r)
{
    memset(r, 0, sizeof(*r));
    buf_init(&r->a.in, 1 << 30);
    buf_init(&r->b.in, 1 << 30);
    loop_init(&r->loop);
    timeout_init(&r->guard, guard_fired, r);
    timeout_set(&r->loop, &r->guard, 10 * NS_PER_S);
    timeout_init(&r->tick, ticked, r);
}

static MAYBE_UNUSED void rig_init_tls(struct rig *r)
{
    struct buf error;
    rig_init(r);
    buf_init(&error, 1000);
    snprintf(r->cert, sizeof(r->cert), "/tmp/ccp_unit_%d_cert.pem", (int)getpid());
    snprintf(r->key, sizeof(r->key), "/tmp/ccp_unit_%d_key.pem", (int)getpid());
    assert_int_equal(tls_self_signed(r->cert, r->key), 0);
    assert_int_equal(tls_server_new(r->cert, r->key, &r->server, &error), 0);
    assert_int_equal(tls_client_new(r->cert, &r->client, &error), 0);
    buf_done(&error);
}

static void side_done(struct side *s)
{
    if (s->c != NULL)
        conn_close(s->c);
    s->c = NULL;
    s->gone = true;
    buf_done(&s->in);
}

static MAYBE_UNUSED void rig_done(struct rig *r)
{
    side_done(&r->a);
    side_done(&r->b);
    timeout_clear(&r->loop, &r->guard);
    timeout_clear(&r->loop, &r->tick);
    loop_done(&r->loop);
    tls_sessions_done(&r->sessions);
    SSL_CTX_free(r->client);
    SSL_CTX_free(r->server);
    if (r->cert[0] != '\0') {
        unlink(r->cert);
        unlink(r->key);
    }
}

/* One turn of the loop; what the end of a turn does may be all a test waits
 * for, so it does not sleep long. */
static MAYBE_UNUSED void rig_turn(struct rig *r)
{
    if (!timeout_armed(&r->tick))
        timeout_set(&r->loop, &r->tick, NS_PER_MS);
    uv_run(&r->loop.uv, UV_RUN_ONCE);
}

/* Turns until the condition holds. */
#define rig_until(r, condition) \
    do {                        \
        rig_turn(r);            \
    } while (!(condition))

/* Turns for a while, to see that something does not happen. */
static void after_a_while(void *ctx)
{
    *(bool *)ctx = true;
}

static MAYBE_UNUSED void rig_idle(struct rig *r, int64_t ms)
{
    bool over = false;
    struct timeout t;
    timeout_init(&t, after_a_while, &over);
    timeout_set(&r->loop, &t, ms * NS_PER_MS);
    rig_until(r, over);
}

/* Two connected TCP sockets. */
static MAYBE_UNUSED void tcp_pair(int *ret_client, int *ret_server)
{
    struct buf error;
    int listening = -1;
    struct sockaddr_in a;
    socklen_t n = sizeof(a);
    buf_init(&error, 1000);
    assert_int_equal(listener_open(S("127.0.0.1"), 0, &listening, &error), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&a, &n), 0);
    *ret_client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(*ret_client, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(fcntl(*ret_client, F_SETFL, O_NONBLOCK), 0);
    do
        *ret_server = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (*ret_server < 0 && errno == EAGAIN);
    assert_true(*ret_server >= 0);
    close(listening);
    /* as listener and connect do; TLS tickets are a second small write */
    int one = 1;
    assert_int_equal(setsockopt(*ret_server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
    assert_int_equal(setsockopt(*ret_client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
    buf_done(&error);
}

/* Both sides of one conn, plain, or TLS when the rig has contexts. */
static MAYBE_UNUSED void rig_connect_as(struct rig *r, const char *name, bool offer_h2)
{
    int client = -1;
    int server = -1;
    SSL *client_ssl = NULL;
    SSL *server_ssl = NULL;
    tcp_pair(&client, &server);
    if (r->server != NULL) {
        client_ssl = tls_client_ssl(r->client, str_of(name), offer_h2, &r->sessions);
        server_ssl = SSL_new(r->server);
        SSL_set_accept_state(server_ssl);
    }
    r->a.c = conn_new(&r->loop, client, client_ssl, &side_handler, &r->a);
    r->b.c = conn_new(&r->loop, server, server_ssl, &side_handler, &r->b);
}

static MAYBE_UNUSED void rig_connect(struct rig *r)
{
    rig_connect_as(r, "localhost", true);
}

#endif

/*
 * The server over real sockets: HTTP/2, in clear text and over TLS.  The client is
 * h2.c in its other role.
 */
#include "server_fixture.h"

#include "h2.h"
#include "server_internal.h"

enum { CALLS_MAX = 32 };

struct call {
    struct h2_stream *s; /* NULL once closed */
    int status;
    struct buf body;
    int ended, closed;
    uint32_t error;
};

struct h2_client {
    struct client c;
    struct h2 *h2;
    struct buf out;
    struct call calls[CALLS_MAX];
    int n, goaways;
    bool hold; /* windows stay closed */
};

static void call_head(void *ctx, struct h2_stream *s, const struct http_head *head)
{
    (void)ctx;
    ((struct call *)h2_stream_user(s))->status = head->status;
}

static void call_body(void *ctx, struct h2_stream *s, struct str bytes)
{
    struct h2_client *h = ctx;

    buf_add(&((struct call *)h2_stream_user(s))->body, bytes);
    if (!h->hold)
        h2_consume(s, bytes.n);
}

static void call_end(void *ctx, struct h2_stream *s)
{
    (void)ctx;
    ((struct call *)h2_stream_user(s))->ended++;
}

static void call_drain(void *ctx, struct h2_stream *s)
{
    (void)ctx;
    (void)s;
}

static void call_close(void *ctx, struct h2_stream *s, uint32_t error, bool unprocessed)
{
    struct call *call = h2_stream_user(s);

    (void)ctx;
    (void)unprocessed;
    call->closed++;
    call->error = error;
    call->s = NULL;
}

static void call_goaway(void *ctx)
{
    ((struct h2_client *)ctx)->goaways++;
}

static const struct h2_handler client_callbacks = { call_head,  call_body,   call_end, call_drain,
                                                    call_close, call_goaway, NULL };
static const struct h2_limits client_limits = { .header_bytes = 65536,
                                                .fields_max = 100,
                                                .streams_max = 100 };

static void h2_client_open(struct h2_client *h, struct fixture *f)
{
    *h = (struct h2_client){ .n = 0 };
    client_open(&h->c, f);
    if (f->tls) {
        client_tls(&h->c, true);
        const unsigned char *alpn = NULL;
        unsigned n = 0;
        SSL_get0_alpn_selected(h->c.ssl, &alpn, &n);
        assert_str(((struct str){ (const char *)alpn, n }), S("h2"));
    }
    buf_init(&h->out, 1 << 28);
    h->h2 = h2_new(H2_CLIENT, &client_limits, &client_callbacks, h);
}

static void h2_client_close(struct h2_client *h)
{
    h2_free(h->h2);
    client_close(&h->c);
    buf_done(&h->out);
    for (int i = 0; i < h->n; i++)
        buf_done(&h->calls[i].body);
}

/* The usual beginning of a test, and its end. */
static struct fixture *h2_fixture(struct h2_client *h, enum app_mode mode)
{
    struct fixture *f = fixture_new(false);

    f->mode = mode;
    h2_client_open(h, f);
    return f;
}

static void h2_fixture_close(struct h2_client *h)
{
    struct fixture *f = h->c.f;

    h2_client_close(h);
    fixture_free(f);
}

static struct call *call(struct h2_client *h, struct str method, struct str target, bool has_body)
{
    must(h->n < CALLS_MAX);
    struct call *call = &h->calls[h->n++];
    struct http_head head = { .method = method,
                              .target = target,
                              .scheme = S("http"),
                              .authority = S("localhost"),
                              .content_length = -1,
                              .has_body = has_body };

    buf_init(&call->body, 1 << 28);
    call->s = h2_submit_request(h->h2, &head, has_body, call);
    assert_non_null(call->s);
    return call;
}

static struct call *get(struct h2_client *h, const char *target)
{
    return call(h, S("GET"), str_of(target), false);
}

static struct call *post(struct h2_client *h, const char *target)
{
    return call(h, S("POST"), str_of(target), true);
}

/* Moves bytes both ways as far as they go; always true. */
static bool h2_client_move(struct h2_client *h)
{
    h2_pull(h->h2, &h->out, 1 << 20);
    while (buf_len(&h->out) > 0) {
        ssize_t n = client_try_send(&h->c, buf_str(&h->out));
        if (n <= 0)
            break;
        buf_consume(&h->out, (size_t)n);
    }
    client_read(&h->c);
    if (buf_len(&h->c.in) > 0)
        assert_int_equal(h2_feed(h->h2, buf_str(&h->c.in)), 0);
    buf_clear(&h->c.in);
    return true;
}

#define h2_wait(h, cond) wait_until((h)->c.f, h2_client_move(h) && (cond))

/* Moves and turns for a while, to see that nothing more happens. */
static void h2_settle(struct h2_client *h)
{
    for (int i = 0; i < 50; i++) {
        h2_client_move(h);
        turn(h->c.f);
    }
}

static struct str big_text(struct buf *b, size_t n)
{
    buf_init(b, 1 << 28);
    while (buf_len(b) < n)
        buf_addf(b, "%zu,", buf_len(b));
    return buf_str(b);
}

/* --- exchanges --- */

static void exchanges(bool tls)
{
    struct fixture *f = fixture_new(tls);
    struct h2_client h;
    struct buf big;
    struct str text = big_text(&big, 3 << 20);

    h2_client_open(&h, f);
    struct call *a = get(&h, "/a");
    struct call *b = post(&h, "/b");
    struct call *c = call(&h, S("HEAD"), S("/c"), false);
    h2_write(b->s, text);
    h2_write_end(b->s);
    h2_wait(&h, a->closed && b->closed && c->closed);
    assert_int_equal(a->status, 200);
    assert_str(buf_str(&a->body), S("GET /a "));
    assert_int_equal(buf_len(&b->body), text.n + 8);
    assert_str(str_slice(buf_str(&b->body), 8, buf_len(&b->body)), text);
    assert_int_equal(c->status, 200);
    assert_int_equal(buf_len(&c->body), 0);
    assert_int_equal(a->error | b->error | c->error, H2_NO_ERROR);
    assert_int_equal(server_streams(f->server), 0);
    assert_int_equal(server_conns(f->server), 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(f->x[i].gone, 0);
    buf_done(&big);
    h2_client_close(&h);
    wait_until(f, server_conns(f->server) == 0);
    fixture_free(f);
}

/* Goal: prior knowledge in clear text; bodies larger than all windows, both ways. */
static void exchanges_in_clear_text(void **state)
{
    (void)state;
    exchanges(false);
}

static void exchanges_over_tls(void **state)
{
    (void)state;
    exchanges(true);
}

/* Goal: HTTP/1.1 over TLS when ALPN says so. */
static void http1_over_tls(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(true);
    struct client c;

    client_open(&c, f);
    client_tls(&c, false);
    for (int i = 0; i < 2; i++) {
        client_send(&c, S("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"));
        expect_reply(&c, S("HTTP/1.1 200 OK\r\n"), S("POST /b hello"));
    }
    f->mode = APP_HOLD;
    client_send(&c, S("GET /c HTTP/1.1\r\nHost: x\r\n\r\n"));
    wait_until(f, f->n == 3 && f->x[2].ended == 1);
    assert_true(server_is_tls(f->x[2].s));
    assert_int_equal(server_major(f->x[2].s), 1);
    assert_true(str_starts(server_remote(f->x[2].s), S("127.0.0.1:")));
    client_close(&c);
    wait_until(f, f->x[2].gone == 1);
    fixture_free(f);
}

/* Goal: the preface is recognised wherever it is cut. */
static void the_preface_may_be_cut(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);

    for (size_t cut = 1; cut < 24; cut++) {
        struct h2_client h;
        h2_client_open(&h, f);
        struct call *a = get(&h, "/a");
        h2_pull(h.h2, &h.out, 1 << 20);
        client_send(&h.c, str_slice(buf_str(&h.out), 0, cut));
        buf_consume(&h.out, cut);
        turn(f);
        h2_wait(&h, a->closed);
        assert_int_equal(a->status, 200);
        h2_client_close(&h);
    }
    fixture_free(f);
}

/* --- ends --- */

/* Goal: a reply before the end of the request is whole, then NO_ERROR resets. */
static void an_early_reply_resets_with_no_error(void **state)
{
    (void)state;
    struct h2_client h;
    struct fixture *f = h2_fixture(&h, APP_REFUSE);
    struct buf big;
    struct str text = big_text(&big, 2 << 20);

    struct call *a = post(&h, "/a");
    h2_write(a->s, text);
    h2_wait(&h, a->closed);
    assert_int_equal(a->status, 413);
    assert_str(buf_str(&a->body), S("too large"));
    assert_int_equal(a->ended, 1);
    assert_int_equal(a->error, H2_NO_ERROR);
    assert_int_equal(f->x[0].gone + f->x[0].pieces + f->x[0].ended, 0);
    assert_int_equal(server_streams(f->server), 0);
    f->mode = APP_ECHO; /* the conn goes on, its window whole */
    struct call *b = post(&h, "/b");
    h2_write(b->s, text);
    h2_write_end(b->s);
    h2_wait(&h, b->closed);
    assert_int_equal(buf_len(&b->body), text.n + 8);
    buf_done(&big);
    h2_fixture_close(&h);
}

/* Goal: an early reply leaves the client some bytes to end its request in peace. */
static void an_early_reply_lets_a_short_request_end(void **state)
{
    (void)state;
    struct h2_client h;
    struct fixture *f = h2_fixture(&h, APP_REFUSE);

    struct call *a = post(&h, "/a");
    h2_wait(&h, a->ended);
    h2_settle(&h);
    assert_int_equal(a->closed, 0);
    h2_write(a->s, S("some"));
    h2_settle(&h);
    assert_int_equal(a->closed, 0);
    h2_write_end(a->s);
    h2_wait(&h, a->closed);
    assert_int_equal(a->status, 413);
    assert_int_equal(a->error, H2_NO_ERROR);
    assert_int_equal(f->x[0].gone + f->x[0].pieces + f->x[0].ended, 0);
    h2_wait(&h, server_streams(f->server) == 0);
    h2_fixture_close(&h);
}

/* Goal: one that does not end it is stopped after a second. */
static void an_early_reply_ends_an_idle_request(void **state)
{
    (void)state;
    struct h2_client h;
    struct fixture *f = h2_fixture(&h, APP_REFUSE);

    struct call *a = post(&h, "/a");
    h2_wait(&h, a->closed);
    assert_int_equal(a->ended, 1);
    assert_int_equal(a->error, H2_NO_ERROR);
    assert_int_equal(server_streams(f->server), 0);
    h2_fixture_close(&h);
}

/* Goal: what was queued arrives before the reset of an abort. */
static void abort_comes_behind_the_queue(void **state)
{
    (void)state;
    struct h2_client h;
    struct fixture *f = h2_fixture(&h, APP_HOLD);

    struct call *a = get(&h, "/a");
    struct call *b = get(&h, "/b");
    h2_wait(&h, f->n == 2 && f->x[1].ended == 1);
    begin_reply(f->x[0].s, 200, -1);
    server_write(f->x[0].s, S("part"));
    server_abort(f->x[0].s);
    server_abort(f->x[1].s);
    h2_wait(&h, a->closed && b->closed);
    assert_int_equal(a->error, H2_INTERNAL_ERROR);
    assert_str(buf_str(&a->body), S("part"));
    assert_int_equal(a->ended, 0);
    assert_int_equal(b->error, H2_INTERNAL_ERROR);
    assert_int_equal(b->status, 0);
    assert_int_equal(f->x[0].gone + f->x[1].gone, 0);
    h2_fixture_close(&h);
}

/* Goal: the same when the queue has to wait for the client's window. */
static void abort_waits_for_the_window(void **state)
{
    (void)state;
    struct h2_client h;
    struct fixture *f = h2_fixture(&h, APP_HOLD);
    struct buf big;
    struct str text = big_text(&big, 3 << 20);

    h.hold = true;
    struct call *a = get(&h, "/a");
    h2_wait(&h, is_asked(f));
    begin_reply(f->x[0].s, 200, -1);
    server_write(f->x[0].s, text);
    server_abort(f->x[0].s);
    h2_settle(&h);
    assert_int_equal(a->closed, 0);
    h.hold = false;
    h2_consume(a->s, buf_len(&a->body));
    h2_wait(&h, a->closed);
    assert_int_equal(a->error, H2_INTERNAL_ERROR);
    assert_str(buf_str(&a->body), text);
    assert_int_equal(f->x[0].gone, 0);
    buf_done(&big);
    h2_fixture_close(&h);
}

/* Goal: abort inside on_body. */
static void abort_inside_a_callback(void **state)
{
    (void)state;
    struct h2_client h;
    struct fixture *f = h2_fixture(&h, APP_ABORT);

    struct call *a = post(&h, "/a");
    h2_write(a->s, S("abc"));
    h2_write_end(a->s);
    h2_wait(&h, a->closed);
    assert_int_equal(a->error, H2_INTERNAL_ERROR);
    assert_int_equal(f->x[0].pieces, 1);
    assert_int_equal(f->x[0].ended + f->x[0].gone, 0);
    h2_fixture_close(&h);
}

/* Goal: a reset stream is told as gone, alone; a lost conn tells all that are open. */
static void lost_streams_and_lost_conns_are_told(void **state)
{
    (void)state;
    struct h2_client h;
    struct fixture *f = h2_fixture(&h, APP_HOLD);

    struct call *a = get(&h, "/a");
    get(&h, "/b");
    post(&h, "/c");
    h2_wait(&h, f->n == 3);
    h2_reset(a->s, H2_CANCEL);
    h2_wait(&h, f->x[0].gone == 1);
    assert_int_equal(f->x[1].gone + f->x[2].gone, 0);
    h2_client_close(&h);
    wait_until(f, f->x[1].gone == 1 && f->x[2].gone == 1);
    assert_int_equal(server_conns(f->server), 0);
    assert_int_equal(server_streams(f->server), 0);
    assert_int_equal(f->x[0].gone, 1);
    fixture_free(f);
}

/* --- back-pressure --- */

/* Goal: a closed window fills the stream's queue; on_drain() comes when it opens. */
static void drain_comes_when_the_window_opens(void **state)
{
    (void)state;
    struct h2_client h;
    struct fixture *f = h2_fixture(&h, APP_HOLD);
    struct buf big;
    struct str text = big_text(&big, 64 * 1024);
    size_t sent = 0;

    h.hold = true;
    struct call *a = get(&h, "/a");
    h2_wait(&h, is_asked(f));
    begin_reply(f->x[0].s, 200, -1);
    while (server_queued(f->x[0].s) <= H2_HIGH_BYTES) {
        server_write(f->x[0].s, text);
        sent += text.n;
        must(sent < 64 << 20);
        h2_settle(&h);
    }
    assert_int_equal(f->x[0].drains, 0);
    h.hold = false;
    h2_consume(a->s, buf_len(&a->body));
    h2_wait(&h, f->x[0].drains == 1);
    server_end(f->x[0].s);
    h2_wait(&h, a->closed);
    assert_int_equal(buf_len(&a->body), sent);
    buf_done(&big);
    h2_fixture_close(&h);
}

/* Goal: with all windows open but nobody reading the socket, bytes wait in the streams'
 * queues, not in the conn's; when it is read all of them come. */
static void a_full_socket_fills_the_streams(void **state)
{
    (void)state;
    enum { STREAMS = 14 };
    struct h2_client h;
    struct fixture *f = h2_fixture(&h, APP_HOLD);
    struct buf big;
    struct str text = big_text(&big, 1000 * 1000);
    size_t waiting = 0;
    int closed = 0;

    for (int i = 0; i < STREAMS; i++)
        get(&h, "/a");
    h2_wait(&h, f->n == STREAMS && f->x[STREAMS - 1].ended == 1);
    h2_settle(&h);
    for (int i = 0; i < STREAMS; i++) {
        begin_reply(f->x[i].s, 200, (int64_t)text.n);
        server_write(f->x[i].s, text);
    }
    for (int i = 0; i < 50; i++)
        turn(f);
    for (int i = 0; i < STREAMS; i++) {
        waiting += server_queued(f->x[i].s);
        server_end(f->x[i].s);
    }
    assert_true(waiting > 1 << 20);
    while (closed < STREAMS) {
        h2_wait(&h, h.calls[closed].closed);
        assert_str(buf_str(&h.calls[closed].body), text);
        closed++;
    }
    buf_done(&big);
    h2_fixture_close(&h);
}

/* Goal: a paused upload stops at the stream's window; the rest comes after resume. */
static void a_paused_body_stops_at_the_window(void **state)
{
    (void)state;
    struct h2_client h;
    struct fixture *f = h2_fixture(&h, APP_PAUSE);
    struct buf big;
    struct str text = big_text(&big, 2 << 20);

    struct call *a = post(&h, "/a");
    h2_write(a->s, text);
    h2_write_end(a->s);
    h2_wait(&h, f->n == 1 && f->x[0].pieces > 0);
    h2_settle(&h);
    assert_true(buf_len(&f->x[0].body) <= 300 * 1024);
    f->mode = APP_ECHO;
    server_resume(f->x[0].s);
    h2_wait(&h, a->closed);
    assert_int_equal(buf_len(&a->body), text.n + 8);
    buf_done(&big);
    h2_fixture_close(&h);
}

/* Goal: a stream whose window stays closed for write_ns is reset and told; the conn and
 * its other streams go on. */
static void a_stalled_stream_is_reset(void **state)
{
    (void)state;
    struct h2_client h;
    struct fixture *f = h2_fixture(&h, APP_HOLD);
    struct buf big;
    struct str text = big_text(&big, 2 << 20);

    f->limits.write_ns = 60 * NS_PER_MS;
    h.hold = true;
    struct call *a = get(&h, "/a");
    h2_wait(&h, is_asked(f));
    begin_reply(f->x[0].s, 200, -1);
    server_write(f->x[0].s, text);
    h2_wait(&h, a->closed);
    assert_int_equal(a->error, H2_CANCEL);
    assert_int_equal(f->x[0].gone, 1);
    h.hold = false;
    f->mode = APP_ECHO;
    struct call *b = get(&h, "/b");
    h2_wait(&h, b->closed);
    assert_str(buf_str(&b->body), S("GET /b "));
    buf_done(&big);
    h2_fixture_close(&h);
}

/* --- conns --- */

/* Goal: a head over the limits and an unknown expectation are answered as in HTTP/1; the conn
 * and its HPACK tables go on. */
static void refused_heads_are_answered(void **state)
{
    (void)state;
    struct h2_client h;
    struct fixture *f = h2_fixture(&h, APP_ECHO);
    struct http_header many[120];
    struct http_header expect = { S("expect"), S("a miracle") };
    struct http_head head = { .method = S("GET"),
                              .target = S("/x"),
                              .scheme = S("http"),
                              .authority = S("localhost"),
                              .content_length = -1 };

    for (size_t i = 0; i < 120; i++)
        many[i] = (struct http_header){ S("x-indexed"), S("value") };
    for (int i = 0; i < 3; i++) {
        struct call *c = &h.calls[h.n++];
        buf_init(&c->body, 1 << 20);
        head.headers = i == 0 ? (struct http_headers){ many, 120, 120 }
                              : (struct http_headers){ &expect, i == 1, i == 1 };
        c->s = h2_submit_request(h.h2, &head, false, c);
        h2_wait(&h, c->closed == 1);
        assert_int_equal(c->status, i == 0 ? 431 : i == 1 ? 417 : 200);
        assert_int_equal(c->error, H2_NO_ERROR);
    }
    assert_str(buf_str(&h.calls[0].body), S("{\"error\":\"HEADERS_TOO_LARGE\"}"));
    assert_int_equal(f->n, 1);
    assert_int_equal(server_streams(f->server), 0);

    /* with a body under way: the reply is whole, then NO_ERROR */
    head.headers = (struct http_headers){ many, 120, 120 };
    struct call *c = &h.calls[h.n++];
    buf_init(&c->body, 1 << 20);
    c->s = h2_submit_request(h.h2, &head, true, c);
    h2_wait(&h, c->closed == 1);
    assert_int_equal(c->status, 431);
    assert_int_equal(c->ended, 1);
    assert_int_equal(c->error, H2_NO_ERROR);
    h2_fixture_close(&h);
}

static struct server_stream *other_stream;

static void gone_touches_another(void *user)
{
    struct exchange *x = user;
    x->gone++;
    if (x->s != other_stream)
        server_write(other_stream, S("more"));
}

/* Goal: on_gone() may call server functions on the other streams of a lost conn. */
static void gone_may_touch_other_streams(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct server_handler handler = app;
    struct http_headers none = { 0 };
    struct h2_client h;

    handler.on_gone = gone_touches_another;
    f->server->handler = &handler;
    f->mode = APP_HOLD;
    h2_client_open(&h, f);
    get(&h, "/1");
    get(&h, "/2");
    h2_wait(&h, f->n == 2);
    other_stream = f->x[1].s;
    server_head(other_stream, 200, &none, -1);
    h2_settle(&h);
    h2_client_close(&h);
    wait_until(f, f->x[1].gone == 1);
    assert_int_equal(f->x[0].gone, 1);
    fixture_free(f);
}

/* Goal: GOAWAY, open streams finish, then the conn ends and the drain is told. */
static void drain_lets_streams_finish(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct h2_client h, idle;

    f->mode = APP_HOLD;
    h2_client_open(&h, f);
    h2_client_open(&idle, f);
    struct call *a = get(&h, "/a");
    h2_wait(&idle, server_conns(f->server) == 2);
    h2_wait(&h, is_asked(f));
    server_drain(f->server, on_drained, f);
    h2_wait(&h, h.goaways == 1);
    h2_wait(&idle, idle.c.eof);
    assert_int_equal(f->drained, 0);
    echo(&f->x[0]);
    h2_wait(&h, a->closed && h.c.eof);
    assert_str(buf_str(&a->body), S("GET /a "));
    wait_until(f, f->drained == 1);
    h2_client_close(&h);
    h2_client_close(&idle);
    fixture_free(f);
}

/* Goal: an idle conn gets GOAWAY and ends; one with an open stream stays. */
static void idle_conns_end(void **state)
{
    (void)state;
    struct h2_client h;
    struct fixture *f = h2_fixture(&h, APP_ECHO);

    f->limits.keepalive_ns = 40 * NS_PER_MS;
    f->mode = APP_HOLD;
    struct call *a = get(&h, "/a");
    h2_wait(&h, is_asked(f));
    usleep(100 * 1000);
    h2_settle(&h);
    assert_false(h.c.eof);
    echo(&f->x[0]);
    h2_wait(&h, a->closed);
    h2_wait(&h, h.c.eof);
    assert_int_equal(h.goaways, 1);
    assert_int_equal(h.c.err, 0);
    wait_until(f, server_conns(f->server) == 0);
    h2_fixture_close(&h);
}

/* Goal: bytes that are no HTTP/2 end the conn, with GOAWAY, and tell open streams. */
static void garbage_ends_the_conn(void **state)
{
    (void)state;
    struct h2_client h;
    struct fixture *f = h2_fixture(&h, APP_HOLD);

    get(&h, "/a");
    h2_wait(&h, is_asked(f));
    client_send(&h.c, S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"));
    h2_wait(&h, h.c.eof);
    assert_int_equal(h.goaways, 1);
    assert_int_equal(f->x[0].gone, 1);
    wait_until(f, server_conns(f->server) == 0);
    h2_fixture_close(&h);
}

/* Goal: server_free() with open streams. */
static void free_tells_open_streams(void **state)
{
    (void)state;
    struct h2_client h;
    struct fixture *f = h2_fixture(&h, APP_HOLD);

    get(&h, "/a");
    get(&h, "/b");
    h2_wait(&h, f->n == 2);
    server_free(f->server);
    f->server = NULL;
    assert_int_equal(f->x[0].gone + f->x[1].gone, 2);
    h2_fixture_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchanges_in_clear_text),
        cmocka_unit_test(exchanges_over_tls),
        cmocka_unit_test(http1_over_tls),
        cmocka_unit_test(the_preface_may_be_cut),
        cmocka_unit_test(an_early_reply_resets_with_no_error),
        cmocka_unit_test(an_early_reply_lets_a_short_request_end),
        cmocka_unit_test(an_early_reply_ends_an_idle_request),
        cmocka_unit_test(abort_comes_behind_the_queue),
        cmocka_unit_test(abort_waits_for_the_window),
        cmocka_unit_test(abort_inside_a_callback),
        cmocka_unit_test(lost_streams_and_lost_conns_are_told),
        cmocka_unit_test(drain_comes_when_the_window_opens),
        cmocka_unit_test(a_full_socket_fills_the_streams),
        cmocka_unit_test(a_paused_body_stops_at_the_window),
        cmocka_unit_test(a_stalled_stream_is_reset),
        cmocka_unit_test(refused_heads_are_answered),
        cmocka_unit_test(gone_may_touch_other_streams),
        cmocka_unit_test(drain_lets_streams_finish),
        cmocka_unit_test(idle_conns_end),
        cmocka_unit_test(garbage_ends_the_conn),
        cmocka_unit_test(free_tells_open_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

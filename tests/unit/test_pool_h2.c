/*
 * Goal: exchanges over HTTP/2: many on one conn, and what ends them.
 */
#include "pool_rig.h"

/* --- the server --- */

static void reply_small(struct h2_stream *s)
{
    struct http_headers none = { 0 };
    h2_submit_reply(s, 200, &none, -1, true);
    h2_write(s, S("ok"));
    h2_write_end(s);
}

static void no_head(void *ctx, struct h2_stream *s, const struct http_head *head)
{
    (void)head;
    ((struct served *)ctx)->stream = s;
    ((struct served *)ctx)->requests++;
}

static void body_in(void *ctx, struct h2_stream *s, struct str bytes)
{
    struct served *v = ctx;
    buf_add(&v->in, bytes);
    h2_consume(s, bytes.n);
}

static void end_nothing(void *ctx, struct h2_stream *s)
{
    (void)ctx;
    (void)s;
}

static void end_reply(void *ctx, struct h2_stream *s)
{
    (void)ctx;
    reply_small(s);
}

static void stream_closed(void *ctx, struct h2_stream *s, uint32_t error, bool unprocessed)
{
    (void)unprocessed;
    struct served *v = ctx;
    v->streams_closed++;
    v->stream_error = error;
    if (v->stream == s)
        v->stream = NULL;
}

static void refuse(void *ctx, struct h2_stream *s)
{
    (void)ctx;
    h2_reset(s, H2_REFUSED_STREAM);
}

static void break_off(void *ctx, struct h2_stream *s)
{
    (void)ctx;
    h2_reset(s, H2_INTERNAL_ERROR);
}

enum { BIG_BYTES = 5 * 1024 * 1024 };

static void reply_big(void *ctx, struct h2_stream *s)
{
    (void)ctx;
    struct http_headers none = { 0 };
    h2_submit_reply(s, 200, &none, -1, true);
    char *big = mem_zalloc(BIG_BYTES);
    h2_write(s, (struct str){ big, BIG_BYTES });
    free(big);
    h2_write_end(s);
}

static void goaway_then_reply(void *ctx, struct h2_stream *s)
{
    struct served *v = ctx;
    if (v->requests == 1)
        h2_goaway(v->h2);
    reply_small(s);
}

#define SERVER(name, end)                   \
    static const struct h2_handler name = { \
        .on_head = no_head,                 \
        .on_body = body_in,                 \
        .on_end = end,                      \
        .on_drain = end_nothing,            \
        .on_stream_close = stream_closed,   \
    }
SERVER(replies, end_reply);
SERVER(silent, end_nothing);
SERVER(refuses, refuse);
SERVER(breaks_off, break_off);
SERVER(replies_big, reply_big);
SERVER(goes_away, goaway_then_reply);

static void use_prior_h2(struct rig *r)
{
    struct origin_settings o = {
        .name = S("h2"), .host = S("127.0.0.1"), .port = r->server.port, .prior_h2 = true
    };
    r->origin = pool_add_origin(r->pool, &o);
}

static struct rig *rig_h2(const struct h2_handler *handler, uint32_t streams_max)
{
    struct rig *r = rig_new(&rig_settings, NULL);
    r->server.h2_handler = handler;
    r->server.streams_max = streams_max;
    use_prior_h2(r);
    return r;
}

static void assert_ok(const struct got *g)
{
    if (g->fails)
        fail_msg("exchange %c failed: %s", g->name, g->reason);
    assert_int_equal(g->ends, 1);
    assert_int_equal(g->status, 200);
    assert_int_equal(g->major, 2);
}

/* --- the tests --- */

static void many_exchanges_share_one_conn(void **state)
{
    (void)state;
    struct rig *r = rig_h2(&replies, 100);
    struct got *g[20];
    for (int i = 0; i < 20; i++)
        g[i] = rig_get(r, (char)('a' + i));
    assert_int_equal(rig_counts(r).connecting, 1);
    rig_run(r, 20);
    for (int i = 0; i < 20; i++) {
        assert_ok(g[i]);
        assert_str(buf_str(&g[i]->body), S("ok"));
    }
    assert_int_equal(r->server.n, 1);
    rig_wait_ms(r, 20);
    assert_int_equal(rig_counts(r).idle, 1);
    rig_free(r);
}

/* Goal: over the server's stream limit another conn is opened. */
static void a_full_conn_is_not_waited_for(void **state)
{
    (void)state;
    struct rig *r = rig_h2(&silent, 1);
    struct got *a = rig_get(r, 'a');
    rig_wait_ms(r, 50);
    struct got *b = rig_get(r, 'b');
    rig_wait_ms(r, 50);
    assert_int_equal(r->server.n, 2);
    assert_int_equal(rig_counts(r).busy, 2);
    for (int i = 0; i < 2; i++) {
        reply_small(r->server.conns[i].stream);
        served_pull(&r->server.conns[i]);
    }
    rig_run(r, 2);
    assert_ok(a);
    assert_ok(b);
    rig_wait_ms(r, 20);
    assert_int_equal(rig_counts(r).idle, 2);
    rig_free(r);
}

/* Goal: a retry does not meet the conn again that has just failed it, but retries share one. */
static void fresh_takes_a_newer_conn(void **state)
{
    (void)state;
    struct rig *r = rig_h2(&replies, 100);
    struct got *g[4];
    g[0] = rig_fetch(r, 'a');
    for (int i = 1; i < 4; i++)
        g[i] = rig_open(r, (char)('a' + i), (struct exchange_request){ .fresh = true });
    rig_run(r, 3);
    assert_int_equal(r->server.n, 2);
    for (int i = 0; i < 4; i++) {
        assert_ok(g[i]);
    }
    rig_free(r);
}

static void bodies_go_up_whole_and_streamed(void **state)
{
    (void)state;
    struct rig *r = rig_h2(&replies, 100);
    char *big = mem_zalloc(BIG_BYTES);
    struct got *a = rig_open(r, 'a', (struct exchange_request){ .body = { big, BIG_BYTES } });
    rig_run(r, 1);
    assert_ok(a);
    assert_int_equal(buf_len(&r->server.conns[0].in), BIG_BYTES);
    free(big);
    rig_free(r);
}

static size_t pushed_bytes;

static void push(struct got *g)
{
    static const char zeros[50000];
    while (pushed_bytes < BIG_BYTES && exchange_queued(g->x) <= H2_HIGH_BYTES) {
        g->rig->inside = true;
        exchange_write(g->x, (struct str){ zeros, sizeof(zeros) });
        g->rig->inside = false;
        pushed_bytes += sizeof(zeros);
    }
    if (pushed_bytes >= BIG_BYTES && pushed_bytes < SIZE_MAX) {
        exchange_write_end(g->x);
        pushed_bytes = SIZE_MAX;
    }
}

static void a_streamed_body_waits_for_windows(void **state)
{
    (void)state;
    struct rig *r = rig_h2(&replies, 100);
    pushed_bytes = 0;
    struct got *a =
        rig_open(r, 'a', (struct exchange_request){ .streamed = true, .streamed_bytes = -1 });
    a->on_ready = a->on_drain = push;
    rig_run(r, 1);
    assert_ok(a);
    assert_true(a->drains > 0);
    assert_true(buf_len(&r->server.conns[0].in) >= BIG_BYTES);
    rig_free(r);
}

static void pause_once(struct got *g)
{
    g->on_body = NULL;
    exchange_pause(g->x);
}

/* Goal: a paused stream stops at its window, others go on, and resuming gets the rest. */
static void a_paused_stream_does_not_stop_others(void **state)
{
    (void)state;
    struct rig *r = rig_h2(&replies_big, 100);
    struct got *a = rig_get(r, 'a');
    a->on_body = pause_once;
    rig_wait_ms(r, 200);
    assert_int_equal(a->heads, 1);
    assert_true(buf_len(&a->body) <= 2 * 1024 * 1024);
    struct got *b = rig_fetch(r, 'b');
    assert_ok(b);
    assert_int_equal(buf_len(&b->body), BIG_BYTES);
    exchange_resume(a->x);
    rig_run(r, 1);
    assert_ok(a);
    assert_int_equal(buf_len(&a->body), BIG_BYTES);
    assert_int_equal(r->server.n, 1);
    rig_free(r);
}

/* Goal: nor do more paused streams than the connection's window has room for. */
static void many_paused_streams_do_not_stop_others(void **state)
{
    enum { PAUSED_N = 20 };
    struct got *paused[PAUSED_N];
    (void)state;
    struct rig *r = rig_h2(&replies_big, 100);
    for (int i = 0; i < PAUSED_N; i++) {
        paused[i] = rig_get(r, (char)('a' + i));
        paused[i]->on_body = pause_once;
    }
    rig_wait_ms(r, 300);
    struct got *other = rig_fetch(r, 'z');
    assert_ok(other);
    assert_int_equal(buf_len(&other->body), BIG_BYTES);
    assert_int_equal(r->server.n, 1);
    for (int i = 0; i < PAUSED_N; i++)
        exchange_resume(paused[i]->x);
    rig_run(r, PAUSED_N);
    for (int i = 0; i < PAUSED_N; i++)
        assert_int_equal(buf_len(&paused[i]->body), BIG_BYTES);
    rig_free(r);
}

/* Goal: cancelling resets the stream with CANCEL and leaves the conn in service. */
static void cancel_resets_the_stream(void **state)
{
    (void)state;
    struct rig *r = rig_h2(&silent, 100);
    struct got *a = rig_get(r, 'a');
    rig_wait_ms(r, 50);
    rig_cancel(r, a);
    rig_wait_ms(r, 50);
    assert_int_equal(a->ends + a->fails, 0);
    assert_int_equal(r->server.conns[0].streams_closed, 1);
    assert_int_equal(r->server.conns[0].stream_error, H2_CANCEL);
    assert_int_equal(rig_counts(r).idle, 1);
    struct got *b = rig_get(r, 'b');
    rig_wait_ms(r, 50);
    reply_small(r->server.conns[0].stream);
    served_pull(&r->server.conns[0]);
    rig_run(r, 1);
    assert_ok(b);
    assert_true(b->reused);
    rig_free(r);
}

static void cancel_inside(struct got *g)
{
    g->on_body = NULL;
    rig_cancel(g->rig, g);
    loop_stop(&g->rig->loop);
}

/* Goal: what a cancelled stream had in flight does not eat the conn's window: 40 times
 * up to 1 MiB would be more than the window has. */
static void cancelled_bytes_give_their_window_back(void **state)
{
    (void)state;
    struct rig *r = rig_h2(&replies_big, 100);
    for (int i = 0; i < 40; i++) {
        struct got *a = rig_get(r, 'a');
        a->on_body = cancel_inside;
        rig_run(r, 1);
    }
    struct got *b = rig_fetch(r, 'b');
    assert_ok(b);
    assert_int_equal(buf_len(&b->body), BIG_BYTES);
    assert_int_equal(r->server.n, 1);
    rig_free(r);
}

/* A SETTINGS frame with SETTINGS_MAX_CONCURRENT_STREAMS. */
static void say_streams_max(struct served *v, char max)
{
    char frame[] = { 0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, max };
    conn_write(v->conn, (struct str){ frame, sizeof(frame) });
}

/* Goal: SETTINGS that allow more streams serve those who wait; the next conn begins with what
 * the newest SETTINGS said, instead of with a hundred streams to be refused. */
static void settings_rule_who_waits(void **state)
{
    (void)state;
    struct pool_settings settings = rig_settings;
    settings.conns_max = 1;
    struct rig *r = rig_new(&settings, NULL);
    use_prior_h2(r);
    struct got *g[5];
    g[0] = rig_get(r, 'a');
    rig_wait_ms(r, 30);
    say_streams_max(&r->server.conns[0], 1);
    rig_wait_ms(r, 30);
    for (int i = 1; i < 5; i++)
        g[i] = rig_get(r, (char)('a' + i));
    rig_wait_ms(r, 30);
    assert_int_equal(rig_counts(r).waiting, 4);
    say_streams_max(&r->server.conns[0], 3);
    rig_wait_ms(r, 30);
    assert_int_equal(rig_counts(r).waiting, 2);

    served_close(&r->server.conns[0]);
    rig_run(r, 3);
    rig_wait_ms(r, 30);
    assert_int_equal(r->server.n, 2);
    assert_int_equal(rig_counts(r).waiting, 0);
    for (int i = 0; i < 3; i++) {
        g[i] = rig_get(r, (char)('f' + i));
    }
    assert_int_equal(rig_counts(r).waiting, 2);
    for (int i = 0; i < 5; i++) {
        rig_cancel(r, g[i]);
    }
    rig_free(r);
}

static void resets_say_whether_it_was_processed(void **state)
{
    (void)state;
    struct rig *r = rig_h2(&refuses, 100);
    struct got *a = rig_fetch(r, 'a');
    assert_int_equal(a->err, E_UPSTREAM_REFUSED);
    assert_true(a->unprocessed);
    rig_free(r);

    r = rig_h2(&breaks_off, 100);
    a = rig_fetch(r, 'a');
    assert_int_equal(a->err, E_UPSTREAM_CLOSED);
    assert_false(a->unprocessed);
    assert_non_null(strstr(a->reason, "error code 2"));
    rig_free(r);
}

/* Goal: after GOAWAY the open exchange finishes, and the next one takes a new conn. */
static void goaway_takes_the_conn_out_of_service(void **state)
{
    (void)state;
    struct rig *r = rig_h2(&goes_away, 100);
    struct got *a = rig_fetch(r, 'a');
    assert_ok(a);
    struct got *b = rig_fetch(r, 'b');
    assert_ok(b);
    assert_int_equal(r->server.n, 2);
    rig_free(r);
}

/* Goal: a conn that dies takes all its exchanges with it, each told once. */
static void a_lost_conn_fails_all_its_exchanges(void **state)
{
    (void)state;
    struct rig *r = rig_h2(&silent, 100);
    struct got *g[3];
    for (int i = 0; i < 3; i++)
        g[i] = rig_get(r, (char)('a' + i));
    rig_wait_ms(r, 50);
    conn_reset(r->server.conns[0].conn);
    r->server.conns[0].conn = NULL;
    rig_run(r, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(g[i]->err, E_UPSTREAM_CLOSED);
        assert_false(g[i]->unprocessed);
    }
    assert_int_equal(rig_counts(r).busy, 0);
    rig_free(r);
}

static void say_garbage(struct served *s)
{
    served_say(s, "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
}

static void a_server_without_h2_is_a_protocol_error(void **state)
{
    (void)state;
    struct rig *r = rig_h2(NULL, 0);
    r->server.script = say_garbage;
    struct got *a = rig_fetch(r, 'a');
    assert_int_equal(a->err, E_UPSTREAM_PROTOCOL);
    rig_free(r);
}

static void free_with_open_streams(void **state)
{
    (void)state;
    struct rig *r = rig_h2(&silent, 100);
    struct got *a = rig_get(r, 'a');
    struct got *b = rig_get(r, 'b');
    rig_wait_ms(r, 50);
    pool_free(r->pool);
    r->pool = NULL;
    rig_run(r, 2);
    assert_int_equal(a->err, E_CLOSED);
    assert_int_equal(b->err, E_CLOSED);
    rig_free(r);
}

/* --- TLS --- */

/* Goal: ALPN decides for HTTP/2; conns that were being opened beside it are given up. */
static void alpn_chooses_h2(void **state)
{
    (void)state;
    char cert[] = "/tmp/pool_cert_XXXXXX", key[] = "/tmp/pool_key_XXXXXX";
    int cert_fd = mkstemp(cert), key_fd = mkstemp(key);
    assert_true(cert_fd >= 0);
    assert_true(key_fd >= 0);
    close(cert_fd);
    close(key_fd);
    assert_int_equal(tls_self_signed(cert, key), 0);
    struct buf error;
    buf_init(&error, 1000);
    struct pool_settings settings = rig_settings;
    assert_int_equal(tls_client_new(cert, &settings.tls, &error), 0);
    struct rig *r = rig_new(&settings, NULL);
    assert_int_equal(tls_server_new(cert, key, &r->server.tls, &error), 0);
    r->server.h2_handler = &replies;
    struct origin_settings o = {
        .name = S("tls"), .host = S("localhost"), .port = r->server.port, .tls = true
    };
    r->origin = pool_add_origin(r->pool, &o);
    struct got *g[3];
    for (int i = 0; i < 3; i++)
        g[i] = rig_get(r, (char)('a' + i));
    assert_int_equal(rig_counts(r).connecting, 3);
    rig_run(r, 3);
    for (int i = 0; i < 3; i++) {
        assert_ok(g[i]);
    }
    assert_int_equal(rig_counts(r).connecting, 0);
    rig_wait_ms(r, 50);
    assert_int_equal(rig_counts(r).idle, 1);
    rig_free(r);
    SSL_CTX_free(settings.tls);
    buf_done(&error);
    unlink(cert);
    unlink(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_exchanges_share_one_conn),
        cmocka_unit_test(a_full_conn_is_not_waited_for),
        cmocka_unit_test(fresh_takes_a_newer_conn),
        cmocka_unit_test(bodies_go_up_whole_and_streamed),
        cmocka_unit_test(a_streamed_body_waits_for_windows),
        cmocka_unit_test(a_paused_stream_does_not_stop_others),
        cmocka_unit_test(many_paused_streams_do_not_stop_others),
        cmocka_unit_test(cancel_resets_the_stream),
        cmocka_unit_test(cancelled_bytes_give_their_window_back),
        cmocka_unit_test(settings_rule_who_waits),
        cmocka_unit_test(resets_say_whether_it_was_processed),
        cmocka_unit_test(goaway_takes_the_conn_out_of_service),
        cmocka_unit_test(a_lost_conn_fails_all_its_exchanges),
        cmocka_unit_test(a_server_without_h2_is_a_protocol_error),
        cmocka_unit_test(free_with_open_streams),
        cmocka_unit_test(alpn_chooses_h2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

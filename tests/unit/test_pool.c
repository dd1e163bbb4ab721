/*
 * Goal: exchanges over HTTP/1.1, and the pool's limits, over real loopback sockets.
 */
#include "pool_rig.h"

#define OK_REPLY "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

/* Takes whole bodiless requests off s->in; how many there were. */
static int take_requests(struct served *s)
{
    int n = 0;
    for (;;) {
        struct str in = buf_str(&s->in);
        size_t end = str_find(in, S("\r\n\r\n"));
        if (end == in.n)
            return n;
        buf_consume(&s->in, end + 4);
        n++;
    }
}

static void answer_ok(struct served *s)
{
    for (int n = take_requests(s); n > 0; n--)
        served_say(s, OK_REPLY);
}

static void answer_never(struct served *s)
{
    (void)s;
}

static void assert_ok(const struct got *g)
{
    if (g->fails)
        fail_msg("exchange %c failed: %s", g->name, g->reason);
    assert_int_equal(g->ends, 1);
    assert_int_equal(g->ready, 1);
    assert_int_equal(g->status, 200);
}

static struct rig *rig_narrow(int conns_max, int waiting_max, script_fn *script)
{
    struct pool_settings settings = rig_settings;
    settings.conns_max = conns_max;
    settings.waiting_max = waiting_max;
    return rig_new(&settings, script);
}

/* Goal: a clean reply frees the conn for the next exchange. */
static void keep_alive_reuses_the_conn(void **state)
{
    (void)state;
    struct rig *r = rig_new(&rig_settings, answer_ok);
    struct got *a = rig_get(r, 'a');
    assert_int_equal(exchange_major(a->x), 0);
    assert_int_equal(rig_counts(r).connecting, 1);
    rig_run(r, 1);
    assert_ok(a);
    assert_str(buf_str(&a->body), S("ok"));
    assert_false(a->reused);
    assert_int_equal(a->major, 1);
    assert_int_equal(rig_counts(r).idle, 1);
    struct got *b = rig_get(r, 'b');
    assert_int_equal(rig_counts(r).busy, 1);
    rig_run(r, 1);
    assert_ok(b);
    assert_true(b->reused);
    assert_int_equal(r->server.n, 1);
    rig_free(r);
}

/* Goal: conns_max holds; waiters are served in order; over waiting_max fails, and later. */
static void waiters_are_served_in_order_up_to_a_limit(void **state)
{
    (void)state;
    struct rig *r = rig_narrow(1, 2, answer_ok);
    struct got *g[4];
    for (int i = 0; i < 4; i++)
        g[i] = rig_get(r, (char)('a' + i));
    rig_run(r, 4);
    assert_string_equal(r->order, "dabc");
    for (int i = 0; i < 3; i++)
        assert_ok(g[i]);
    assert_int_equal(g[3]->err, E_NO_CAPACITY);
    assert_int_equal(r->server.n, 1);
    rig_free(r);
}

/* Goal: an exchange may be cancelled between its failure and on_fail(). */
static void cancel_after_the_failure(void **state)
{
    (void)state;
    struct rig *r = rig_narrow(1, 0, answer_ok);
    struct got *a = rig_get(r, 'a');
    struct got *b = rig_get(r, 'b');
    rig_cancel(r, b);
    rig_run(r, 1);
    assert_ok(a);
    assert_int_equal(b->ends + b->fails, 0);
    rig_free(r);
}

/* Goal: a full pool closes an idle conn of another origin instead of letting an exchange wait. */
static void an_idle_conn_makes_room_for_another_origin(void **state)
{
    (void)state;
    struct rig *r = rig_narrow(1, 8, answer_ok);
    rig_fetch(r, 'a');
    struct got *b = rig_open(r, 'b', (struct exchange_request){ .origin = r->other_origin });
    rig_run(r, 1);
    assert_ok(b);
    assert_true(r->server.conns[0].ended);
    assert_int_equal(rig_counts(r).idle, 1);
    rig_free(r);
}

/* Goal: idle conns go after idle_ns, and above idle_max. */
static void idle_conns_expire(void **state)
{
    (void)state;
    struct pool_settings settings = rig_settings;
    settings.idle_max = 1;
    settings.idle_ns = 30 * NS_PER_MS;
    struct rig *r = rig_new(&settings, answer_ok);
    rig_get(r, 'a');
    rig_get(r, 'b');
    rig_run(r, 2);
    assert_int_equal(r->server.n, 2);
    assert_int_equal(rig_counts(r).idle, 1);
    rig_wait_ms(r, 200);
    assert_int_equal(rig_counts(r).idle, 0);
    assert_true(r->server.conns[0].ended);
    assert_true(r->server.conns[1].ended);
    rig_free(r);
}

static void answer_once_then_close(struct served *s)
{
    if (take_requests(s) == 0)
        return;
    if (s->number > 0 || s->requests++ == 0)
        served_say(s, OK_REPLY);
    else
        served_close(s);
}

/* Goal: a reused conn that closes before the first byte is `unprocessed`; fresh helps. */
static void a_stale_conn_is_reported_as_unprocessed(void **state)
{
    (void)state;
    struct rig *r = rig_new(&rig_settings, answer_once_then_close);
    rig_fetch(r, 'a');
    struct got *b = rig_fetch(r, 'b');
    assert_int_equal(b->err, E_UPSTREAM_CLOSED);
    assert_true(b->unprocessed);
    assert_true(b->reused);
    struct got *c = rig_open(r, 'c', (struct exchange_request){ .fresh = true });
    rig_run(r, 1);
    assert_ok(c);
    assert_false(c->reused);
    rig_free(r);
}

static void answer_half_the_second_time(struct served *s)
{
    if (take_requests(s) == 0)
        return;
    served_say(s, s->requests == 0 ? OK_REPLY : "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no");
    if (s->requests++ > 0)
        served_close(s);
}

/* Goal: once a reply byte has come, even a reused conn's end says nothing about processing. */
static void half_a_reply_is_not_unprocessed(void **state)
{
    (void)state;
    struct rig *r = rig_new(&rig_settings, answer_half_the_second_time);
    rig_fetch(r, 'a');
    struct got *b = rig_fetch(r, 'b');
    assert_int_equal(b->err, E_UPSTREAM_CLOSED);
    assert_true(b->reused);
    assert_false(b->unprocessed);
    rig_free(r);
}

/* Goal: fresh leaves a good idle conn alone. */
static void fresh_takes_no_idle_conn(void **state)
{
    (void)state;
    struct rig *r = rig_new(&rig_settings, answer_ok);
    rig_fetch(r, 'a');
    struct got *b = rig_open(r, 'b', (struct exchange_request){ .fresh = true });
    rig_run(r, 1);
    assert_ok(b);
    assert_false(b->reused);
    assert_int_equal(r->server.n, 2);
    rig_free(r);
}

/* What a server does with the only request, and what must come of it. */
static const struct bad_reply {
    const char *bytes;
    bool close;
    int err;
    const char *reason;
} bad_replies[] = {
    { "", true, E_UPSTREAM_CLOSED, "closed the connection before a reply" },
    { "HTTP/1.1 200 OK\r\ncontent-le", true, E_UPSTREAM_CLOSED, "inside the reply" },
    { "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345", true, E_UPSTREAM_CLOSED,
      "inside the reply" },
    { "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n", true,
      E_UPSTREAM_CLOSED, "inside the reply" },
    { "SSH-2.0-OpenSSH_9.2\r\n", false, E_UPSTREAM_PROTOCOL, "127.0.0.1" },
    { "HTTP/1.1 200 OK\r\ncontent-length: 1x\r\n\r\n", false, E_UPSTREAM_PROTOCOL, "127.0.0.1" },
};
static const struct bad_reply *bad_reply;

static void answer_badly(struct served *s)
{
    if (take_requests(s) == 0)
        return;
    served_say(s, bad_reply->bytes);
    if (bad_reply->close)
        served_close(s);
}

/* Goal: on a fresh conn no failure is `unprocessed`; the conn is gone afterwards. */
static void bad_replies_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_replies); i++) {
        bad_reply = &bad_replies[i];
        struct rig *r = rig_new(&rig_settings, answer_badly);
        struct got *a = rig_fetch(r, 'a');
        assert_int_equal(a->fails, 1);
        assert_int_equal(a->err, bad_reply->err);
        assert_false(a->unprocessed);
        assert_non_null(strstr(a->reason, bad_reply->reason));
        assert_int_equal(rig_counts(r).idle + rig_counts(r).busy, 0);
        rig_free(r);
    }
}

static const char *last_words;

static void answer_last_words(struct served *s)
{
    if (take_requests(s) > 0)
        served_say(s, last_words);
}

/* Goal: after bytes behind the reply, or `connection: close`, the conn is not used again. */
static void replies_that_end_the_conn(void **state)
{
    (void)state;
    static const char *const words[] = {
        OK_REPLY "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        last_words = words[i];
        struct rig *r = rig_new(&rig_settings, answer_last_words);
        struct got *a = rig_fetch(r, 'a');
        assert_ok(a);
        assert_str(buf_str(&a->body), S("ok"));
        assert_int_equal(rig_counts(r).idle, 0);
        rig_free(r);
    }
}

static void answer_until_close(struct served *s)
{
    if (take_requests(s) == 0)
        return;
    served_say(s, "HTTP/1.1 200 OK\r\n\r\nall of it");
    served_close(s);
}

static void a_reply_may_end_with_the_conn(void **state)
{
    (void)state;
    struct rig *r = rig_new(&rig_settings, answer_until_close);
    struct got *a = rig_fetch(r, 'a');
    assert_ok(a);
    assert_str(buf_str(&a->body), S("all of it"));
    rig_free(r);
}

/* --- request bodies --- */

enum { BIG_BYTES = 3 * 1024 * 1024 };

static char *big_body(void)
{
    char *p = mem_alloc(BIG_BYTES);
    for (size_t i = 0; i < BIG_BYTES; i++)
        p[i] = (char)('a' + i % 23);
    return p;
}

static void answer_when_all_is_there(struct served *s)
{
    struct str in = buf_str(&s->in);
    size_t head = str_find(in, S("\r\n\r\n")) + 4;
    if (in.n >= head + BIG_BYTES)
        served_say(s, OK_REPLY);
}

static void assert_big_body(const struct served *s)
{
    struct str in = buf_str(&s->in);
    size_t head = str_find(in, S("\r\n\r\n")) + 4;
    assert_true(str_contains(str_slice(in, 0, head), S("content-length: 3145728\r\n")));
    char *want = big_body();
    assert_true(str_eq(str_slice(in, head, in.n), (struct str){ want, BIG_BYTES }));
    free(want);
}

static void a_whole_body_goes_out_in_pieces(void **state)
{
    (void)state;
    struct rig *r = rig_new(&rig_settings, answer_when_all_is_there);
    char *body = big_body();
    struct got *a = rig_open(r, 'a', (struct exchange_request){ .body = { body, BIG_BYTES } });
    rig_run(r, 1);
    assert_ok(a);
    assert_big_body(&r->server.conns[0]);
    free(body);
    rig_free(r);
}

static size_t pushed_bytes;

/* Writes until the queue is high, goes on at on_drain. */
static void push_big_body(struct got *g)
{
    char *body = big_body();
    while (pushed_bytes < BIG_BYTES && exchange_queued(g->x) <= CONN_HIGH_BYTES) {
        struct str piece =
            str_slice((struct str){ body, BIG_BYTES }, pushed_bytes, pushed_bytes + 50000);
        pushed_bytes += piece.n;
        g->rig->inside = true;
        exchange_write(g->x, piece);
        g->rig->inside = false;
    }
    if (pushed_bytes == BIG_BYTES) {
        pushed_bytes++;
        exchange_write_end(g->x);
    }
    free(body);
}

static void a_streamed_body_waits_for_the_queue(void **state)
{
    (void)state;
    struct rig *r = rig_new(&rig_settings, answer_when_all_is_there);
    pushed_bytes = 0;
    struct got *a = rig_open(
        r, 'a', (struct exchange_request){ .streamed = true, .streamed_bytes = BIG_BYTES });
    a->on_ready = a->on_drain = push_big_body;
    rig_run(r, 1);
    assert_ok(a);
    assert_true(a->drains > 0);
    assert_big_body(&r->server.conns[0]);
    rig_free(r);
}

static void write_two_chunks(struct got *g)
{
    exchange_write(g->x, S("one"));
    exchange_write(g->x, S("three"));
    exchange_write_end(g->x);
}

static void answer_after_last_chunk(struct served *s)
{
    if (str_ends(buf_str(&s->in), S("0\r\n\r\n")))
        served_say(s, OK_REPLY);
}

static void a_body_of_unknown_length_is_chunked(void **state)
{
    (void)state;
    struct rig *r = rig_new(&rig_settings, answer_after_last_chunk);
    struct got *a =
        rig_open(r, 'a', (struct exchange_request){ .streamed = true, .streamed_bytes = -1 });
    a->on_ready = write_two_chunks;
    rig_run(r, 1);
    assert_ok(a);
    struct str in = buf_str(&r->server.conns[0].in);
    assert_true(str_contains(in, S("transfer-encoding: chunked\r\n")));
    assert_true(str_ends(in, S("\r\n\r\n3\r\none\r\n5\r\nthree\r\n0\r\n\r\n")));
    assert_int_equal(rig_counts(r).idle, 1);
    rig_free(r);
}

/* Goal: a reply before the end of the request is delivered, and costs the conn. */
static void an_early_reply_ends_the_exchange(void **state)
{
    (void)state;
    struct rig *r = rig_new(&rig_settings, answer_ok);
    struct got *a =
        rig_open(r, 'a', (struct exchange_request){ .streamed = true, .streamed_bytes = 10 });
    rig_run(r, 1);
    assert_ok(a);
    assert_int_equal(rig_counts(r).idle, 0);
    rig_free(r);
}

static void refuse_early(struct served *s)
{
    if (s->requests++ > 0)
        return;
    served_say(s, "HTTP/1.1 413 No\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno");
    served_close(s);
}

/* Goal: the reply of a server that does not want the body, and closes, is not lost. */
static void a_refused_upload_gets_its_reply(void **state)
{
    (void)state;
    struct rig *r = rig_new(&rig_settings, refuse_early);
    char *body = big_body();
    struct got *a = rig_open(r, 'a', (struct exchange_request){ .body = { body, BIG_BYTES } });
    rig_run(r, 1);
    assert_int_equal(a->ends, 1);
    assert_int_equal(a->status, 413);
    free(body);
    rig_free(r);
}

/* --- pausing, cancelling, closing --- */

static void answer_big(struct served *s)
{
    if (take_requests(s) == 0)
        return;
    char *body = big_body();
    served_say(s, "HTTP/1.1 200 OK\r\ncontent-length: 3145728\r\n\r\n");
    conn_write(s->conn, (struct str){ body, BIG_BYTES });
    free(body);
}

static void pause_once(struct got *g)
{
    g->on_body = NULL;
    exchange_pause(g->x);
}

static void a_paused_reply_waits(void **state)
{
    (void)state;
    struct rig *r = rig_new(&rig_settings, answer_big);
    struct got *a = rig_get(r, 'a');
    a->on_body = pause_once;
    rig_wait_ms(r, 100);
    assert_int_equal(a->heads, 1);
    assert_true(buf_len(&a->body) <= LOOP_SCRATCH_BYTES);
    exchange_resume(a->x);
    rig_run(r, 1);
    assert_ok(a);
    char *want = big_body();
    assert_true(str_eq(buf_str(&a->body), (struct str){ want, BIG_BYTES }));
    free(want);
    rig_free(r);
}

static void cancel_inside(struct got *g)
{
    g->on_body = NULL;
    rig_cancel(g->rig, g);
    loop_stop(&g->rig->loop);
}

static void assert_silent(const struct got *g)
{
    assert_int_equal(g->ends + g->fails, 0);
}

/* Goal: a cancelled exchange hears nothing more; its conn is closed at once. */
static void cancel_while_receiving(void **state)
{
    (void)state;
    struct rig *r = rig_new(&rig_settings, answer_big);
    struct got *a = rig_get(r, 'a');
    a->on_body = cancel_inside;
    rig_run(r, 1);
    rig_wait_ms(r, 50);
    assert_silent(a);
    assert_true(r->server.conns[0].ended);
    rig_free(r);
}

/* Goal: the conn that was being opened for a cancelled exchange serves the next waiter. */
static void cancel_while_connecting(void **state)
{
    (void)state;
    struct rig *r = rig_narrow(1, 8, answer_ok);
    struct got *a = rig_get(r, 'a');
    struct got *b = rig_get(r, 'b');
    rig_cancel(r, a);
    rig_run(r, 1);
    assert_silent(a);
    assert_ok(b);
    assert_int_equal(r->server.n, 1);
    rig_free(r);
}

/* Goal: cancelling a sending exchange makes room for a waiting one; a cancelled waiter is skipped.
 */
static void cancel_while_sending_and_waiting(void **state)
{
    (void)state;
    struct rig *r = rig_narrow(1, 8, answer_ok);
    struct got *a =
        rig_open(r, 'a', (struct exchange_request){ .streamed = true, .streamed_bytes = 10 });
    r->server.script = answer_never;
    struct got *b = rig_get(r, 'b');
    struct got *c = rig_get(r, 'c');
    rig_wait_ms(r, 50);
    assert_int_equal(a->ready, 1);
    rig_cancel(r, b);
    r->server.script = answer_ok;
    rig_cancel(r, a);
    rig_run(r, 1);
    assert_ok(c);
    assert_silent(a);
    assert_silent(b);
    rig_free(r);
}

/* Goal: a surplus conn being opened does not keep another origin waiting. */
static void a_conn_nobody_waits_for_makes_room(void **state)
{
    (void)state;
    struct rig *r = rig_narrow(1, 0, answer_ok);
    struct got *a = rig_get(r, 'a');
    rig_cancel(r, a);
    struct got *b = rig_open(r, 'b', (struct exchange_request){ .origin = r->other_origin });
    rig_run(r, 1);
    assert_ok(b);
    rig_free(r);
}

static void a_refused_connect_fails_its_exchange(void **state)
{
    (void)state;
    struct rig *r = rig_new(&rig_settings, answer_ok);
    listener_free(r->server.listener);
    r->server.listener = NULL;
    rig_wait_ms(r, 1);
    struct got *a = rig_fetch(r, 'a');
    assert_int_equal(a->err, E_UPSTREAM_CONNECT);
    assert_true(a->unprocessed);
    assert_non_null(strstr(a->reason, "127.0.0.1"));
    assert_int_equal(rig_counts(r).connecting, 0);
    rig_free(r);
}

/* Goal: pool_free() ends waiting, connecting and running exchanges, each once. */
static void free_ends_what_is_open(void **state)
{
    (void)state;
    struct rig *r = rig_narrow(2, 8, answer_never);
    struct got *g[4];
    g[0] = rig_get(r, 'a');
    rig_wait_ms(r, 50);
    for (int i = 1; i < 4; i++)
        g[i] = rig_get(r, (char)('a' + i));
    rig_cancel(r, g[3]);
    r->inside = true;
    pool_free(r->pool);
    r->inside = false;
    r->pool = NULL;
    rig_run(r, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(g[i]->err, E_CLOSED);
    }
    assert_silent(g[3]);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keep_alive_reuses_the_conn),
        cmocka_unit_test(waiters_are_served_in_order_up_to_a_limit),
        cmocka_unit_test(cancel_after_the_failure),
        cmocka_unit_test(an_idle_conn_makes_room_for_another_origin),
        cmocka_unit_test(idle_conns_expire),
        cmocka_unit_test(a_stale_conn_is_reported_as_unprocessed),
        cmocka_unit_test(half_a_reply_is_not_unprocessed),
        cmocka_unit_test(fresh_takes_no_idle_conn),
        cmocka_unit_test(bad_replies_fail),
        cmocka_unit_test(replies_that_end_the_conn),
        cmocka_unit_test(a_reply_may_end_with_the_conn),
        cmocka_unit_test(a_whole_body_goes_out_in_pieces),
        cmocka_unit_test(a_streamed_body_waits_for_the_queue),
        cmocka_unit_test(a_body_of_unknown_length_is_chunked),
        cmocka_unit_test(an_early_reply_ends_the_exchange),
        cmocka_unit_test(a_refused_upload_gets_its_reply),
        cmocka_unit_test(a_paused_reply_waits),
        cmocka_unit_test(cancel_while_receiving),
        cmocka_unit_test(cancel_while_connecting),
        cmocka_unit_test(cancel_while_sending_and_waiting),
        cmocka_unit_test(a_conn_nobody_waits_for_makes_room),
        cmocka_unit_test(a_refused_connect_fails_its_exchange),
        cmocka_unit_test(free_ends_what_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

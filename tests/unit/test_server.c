/*
 * The server over real sockets, HTTP/1.
 */
#include "server_fixture.h"

/* --- exchanges --- */

/* Goal: several requests on one conn, with and without body. */
static void keeps_the_conn_between_requests(void **state)
{
    (void)state;
    struct client c;
    struct fixture *f = fixture_open(&c, APP_ECHO);

    client_send(&c, S("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"));
    expect_reply(&c, S("HTTP/1.1 200 OK\r\n"), S("GET /a "));
    client_send(&c, S("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"));
    expect_reply(&c, S("HTTP/1.1 200 OK\r\n"), S("POST /b hello"));
    client_send(&c, S("POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n"));
    expect_reply(&c, S("HTTP/1.1 200 OK\r\n"), S("POST /c abcdefg"));
    assert_int_equal(server_conns(f->server), 1);
    assert_int_equal(server_streams(f->server), 0);
    assert_false(client_eof(&c));
    client_send(&c, S("GET /d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    wait_until(f, client_eof(&c));
    assert_true(client_has(&c, S("connection: close\r\n")));
    assert_int_equal(f->x[3].gone, 0);
    wait_until(f, server_conns(f->server) == 0);
    fixture_close(&c);
}

/* Goal: the same result wherever the network cuts the bytes, the first ones (which could
 * be HTTP/2's preface) included. */
static void every_cut_gives_the_same_reply(void **state)
{
    (void)state;
    struct client c;
    struct fixture *f = fixture_open(&c, APP_ECHO);
    const struct str in = S("PUT /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "3\r\nabc\r\n0\r\n\r\n");

    for (size_t i = 0; i < in.n; i++)
        client_send(&c, str_slice(in, i, i + 1));
    expect_reply(&c, S("HTTP/1.1 200 OK\r\n"), S("PUT /p abc"));
    for (size_t cut = 1; cut < 40; cut++) {
        buf_done(&f->x[0].body);
        f->n = 0;
        client_send(&c, str_slice(in, 0, cut));
        turn(f);
        client_send(&c, str_slice(in, cut, in.n));
        expect_reply(&c, S("HTTP/1.1 200 OK\r\n"), S("PUT /p abc"));
    }
    fixture_close(&c);
}

/* Goal: pipelined requests wait, in order, until the one before is answered. */
static void pipelined_requests_wait(void **state)
{
    (void)state;
    struct client c;
    struct fixture *f = fixture_open(&c, APP_HOLD);

    client_send(&c, S("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
                      "GET /3 HTTP/1.1\r\nHost: x\r\n\r\n"));
    for (int i = 0; i < 3; i++) {
        wait_until(f, f->n == i + 1 && f->x[i].ended == 1);
        for (int k = 0; k < 10; k++)
            turn(f);
        assert_int_equal(f->n, i + 1);
        echo(&f->x[i]);
    }
    expect_reply(&c, S("HTTP/1.1 200 OK\r\n"), S("GET /1 "));
    expect_reply(&c, S("HTTP/1.1 200 OK\r\n"), S("GET /2 "));
    expect_reply(&c, S("HTTP/1.1 200 OK\r\n"), S("GET /3 "));
    fixture_close(&c);
}

/* Goal: HEAD and 204 have no body, whatever is written; the conn stays in step. */
static void replies_without_body(void **state)
{
    (void)state;
    struct client c;
    struct fixture *f = fixture_open(&c, APP_ECHO);

    client_send(&c, S("HEAD /h HTTP/1.1\r\nHost: x\r\n\r\n"));
    wait_until(f, client_has(&c, S("\r\n\r\n")));
    assert_true(client_has(&c, S("content-length: 8\r\n")));
    assert_true(str_ends(buf_str(&c.in), S("\r\n\r\n")));
    buf_clear(&c.in);
    f->mode = APP_HOLD;
    client_send(&c, S("GET /n HTTP/1.1\r\nHost: x\r\n\r\n"));
    wait_until(f, f->n == 2 && f->x[1].ended == 1);
    begin_reply(f->x[1].s, 204, -1);
    server_write(f->x[1].s, S("not sent"));
    server_end(f->x[1].s);
    wait_until(f, client_has(&c, S("\r\n\r\n")));
    assert_false(client_has(&c, S("transfer-encoding")));
    assert_true(str_ends(buf_str(&c.in), S("\r\n\r\n")));
    buf_clear(&c.in);
    f->mode = APP_ECHO;
    client_send(&c, S("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"));
    expect_reply(&c, S("HTTP/1.1 200 OK\r\n"), S("GET /a "));
    fixture_close(&c);
}

/* Goal: 100 comes when the application allows it, not before. */
static void continue_is_sent_when_allowed(void **state)
{
    (void)state;
    struct client c;
    struct fixture *f = fixture_open(&c, APP_HOLD);

    client_send(&c, S("POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                      "Expect: 100-continue\r\n\r\n"));
    wait_until(f, f->n == 1);
    assert_false(client_has(&c, S("100")));
    server_continue(f->x[0].s);
    server_continue(f->x[0].s);
    wait_until(f, client_has(&c, S("\r\n\r\n")));
    assert_str(buf_str(&c.in), S("HTTP/1.1 100 Continue\r\n\r\n"));
    buf_clear(&c.in);
    client_send(&c, S("hi"));
    wait_until(f, f->x[0].ended == 1);
    echo(&f->x[0]);
    expect_reply(&c, S("HTTP/1.1 200 OK\r\n"), S("POST /e hi"));
    fixture_close(&c);
}

/* tcpi_data_segs_in; the kernel's struct tcp_info has it, glibc's has not. */
static unsigned data_segments_in(int fd)
{
    char info[256] = { 0 };
    socklen_t n = sizeof(info);
    uint32_t segments = 0;

    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &n), 0);
    assert_true(n >= 156);
    memcpy(&segments, info + 152, sizeof(segments));
    return segments;
}

/* Goal: many small writes of one turn leave in one segment, as chunks. */
static void a_turn_is_one_write(void **state)
{
    (void)state;
    struct client c;
    struct fixture *f = fixture_open(&c, APP_HOLD);

    client_ask(&c, S("GET /s HTTP/1.1\r\nHost: x\r\n\r\n"));
    begin_reply(f->x[0].s, 200, -1);
    for (int i = 0; i < 200; i++)
        server_write(f->x[0].s, S("ab"));
    server_write(f->x[0].s, S(""));
    server_end(f->x[0].s);
    wait_until(f, client_has(&c, S("2\r\nab\r\n0\r\n\r\n")));
    assert_int_equal(data_segments_in(c.fd), 1);
    assert_true(client_has(&c, S("transfer-encoding: chunked\r\n")));
    fixture_close(&c);
}

/* Goal: an HTTP/1.0 client gets a body that ends with the conn, never chunks. */
static void http_1_0_gets_no_chunks(void **state)
{
    (void)state;
    struct client c;
    struct fixture *f = fixture_open(&c, APP_HOLD);

    client_ask(&c, S("GET /s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    begin_reply(f->x[0].s, 200, -1);
    server_write(f->x[0].s, S("one"));
    server_write(f->x[0].s, S("two"));
    server_end(f->x[0].s);
    wait_until(f, client_eof(&c));
    assert_true(str_ends(buf_str(&c.in), S("\r\n\r\nonetwo")));
    assert_false(client_has(&c, S("chunked")));
    assert_int_equal(c.err, 0);
    fixture_close(&c);
}

/* --- back-pressure --- */

/* Goal: what the client does not read is queued and counted; on_drain() comes once it
 * reads. */
static void drain_comes_when_the_client_reads(void **state)
{
    (void)state;
    struct client c;
    struct fixture *f = fixture_open(&c, APP_HOLD);
    char *piece = mem_zalloc(4096);
    size_t sent = 0;

    client_ask(&c, S("GET /big HTTP/1.1\r\nHost: x\r\n\r\n"));
    begin_reply(f->x[0].s, 200, 64 << 20);
    while (server_queued(f->x[0].s) <= CONN_HIGH_BYTES) {
        server_write(f->x[0].s, (struct str){ piece, 4096 }); /* below the mark by itself */
        sent += 4096;
        must(sent < 64 << 20);
        turn(f);
    }
    assert_int_equal(f->x[0].drains, 0);
    wait_until(f, (client_read(&c), f->x[0].drains == 1));
    assert_true(server_queued(f->x[0].s) <= CONN_LOW_BYTES);
    free(piece);
    client_close(&c);
    wait_until(f, f->x[0].gone == 1);
    fixture_free(f);
}

/* Goal: a paused body stops in the middle of a read; resume gives the rest, whole. */
static void a_paused_body_waits(void **state)
{
    (void)state;
    struct client c;
    struct fixture *f = fixture_open(&c, APP_PAUSE);

    client_send(&c, S("POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\nGET /q HTTP/1.1\r\nHost: x\r\n\r\n"));
    for (int i = 1; i <= 3; i++) {
        wait_until(f, f->n == 1 && f->x[0].pieces == i);
        for (int k = 0; k < 10; k++)
            turn(f);
        assert_int_equal(f->x[0].pieces, i);
        server_resume(f->x[0].s);
    }
    wait_until(f, f->x[0].ended == 1);
    echo(&f->x[0]);
    expect_reply(&c, S("HTTP/1.1 200 OK\r\n"), S("POST /p abc"));
    f->mode = APP_ECHO;
    wait_until(f, f->n == 2 && f->x[1].ended == 1);
    echo(&f->x[1]);
    expect_reply(&c, S("HTTP/1.1 200 OK\r\n"), S("GET /q "));
    fixture_close(&c);
}

/* --- clients that go away --- */

/* Goal: in every phase of an exchange its user hears at once that the client is gone. */
static void a_lost_client_is_told_in_every_phase(void **state)
{
    (void)state;
    static const struct {
        enum app_mode mode;
        int how; /* 0: close, 1: half-close, 2: reset */
        struct str in;
    } t[] = {
        { APP_HOLD, 0, S_INIT("GET / HTTP/1.1\r\nHost: x\r\n\r\n") },
        { APP_HOLD, 1, S_INIT("GET / HTTP/1.1\r\nHost: x\r\n\r\n") },
        { APP_HOLD, 2, S_INIT("GET / HTTP/1.1\r\nHost: x\r\n\r\n") },
        { APP_HOLD, 0, S_INIT("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\n") },
        { APP_HOLD, 2, S_INIT("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\n") },
        { APP_HOLD, 0, S_INIT("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc") },
        { APP_PAUSE, 0, S_INIT("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc") },
        { APP_PAUSE, 2, S_INIT("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc") },
    };

    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct client c;
        struct fixture *f = fixture_open(&c, t[i].mode);

        client_send(&c, t[i].in);
        wait_until(f, f->n == 1 && (f->x[0].ended == 1 || f->x[0].pieces > 0));
        for (int k = 0; k < 5; k++)
            turn(f);
        assert_int_equal(f->x[0].gone, 0);
        if (t[i].how == 1)
            assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
        if (t[i].how == 2)
            assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 },
                                        sizeof(struct linger)),
                             0);
        if (t[i].how != 1)
            client_close(&c);
        wait_until(f, f->x[0].gone == 1);
        assert_int_equal(server_conns(f->server), 0);
        assert_int_equal(server_streams(f->server), 0);
        assert_int_equal(f->n, 1);
        fixture_close(&c);
    }
}

/* Goal: the same when more stands unread before the client's end than one read takes. */
static void a_lost_client_is_told_behind_unread_bytes(void **state)
{
    (void)state;
    struct client c;
    struct fixture *f = fixture_open(&c, APP_PAUSE);
    const struct str filler = { mem_zalloc(100000), 100000 };

    client_send(&c, S("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\nabc"));
    wait_until(f, f->n == 1 && f->x[0].pieces == 1);
    client_send(&c, filler);
    assert_int_equal(f->x[0].pieces, 1);
    client_close(&c);
    wait_until(f, f->x[0].gone == 1);
    assert_int_equal(f->x[0].pieces, 1);
    free((void *)(uintptr_t)filler.p);
    fixture_free(f);
}

/* Goal: a client that half-closes behind a request that has been answered still gets the
 * whole answer. */
static void a_finished_reply_survives_a_half_close(void **state)
{
    (void)state;
    struct client c;
    struct fixture *f = fixture_open(&c, APP_HOLD);
    const struct str big = { mem_zalloc(8 << 20), 8 << 20 };

    client_ask(&c, S("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"));
    answer(f->x[0].s, 200, big);
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    for (int i = 0; i < 10; i++)
        turn(f);
    expect_reply(&c, S("HTTP/1.1 200 OK\r\n"), big);
    wait_until(f, client_eof(&c));
    assert_int_equal(c.err, 0);
    assert_int_equal(f->x[0].gone, 0);
    wait_until(f, server_conns(f->server) == 0);
    free((void *)(uintptr_t)big.p);
    fixture_close(&c);
}

/* --- replies that end early or badly --- */

/* Goal: a client that is still sending can go on and read the refusal. */
static void an_early_reply_is_readable(void **state)
{
    (void)state;
    struct client c;
    struct fixture *f = fixture_open(&c, APP_REFUSE);
    const struct str filler = { mem_zalloc(16384), 16384 };

    client_send(&c, S("POST /u HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n"));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(client_try_send(&c, filler), 16384);
        for (int k = 0; k < 5; k++)
            turn(f);
    }
    wait_until(f, client_has(&c, S("connection: close\r\n")));
    expect_reply(&c, S("HTTP/1.1 413 "), S("too large"));
    wait_until(f, client_eof(&c));
    assert_int_equal(c.err, 0);
    wait_until(f, server_conns(f->server) == 0);
    assert_int_equal(f->n, 1);
    assert_int_equal(f->x[0].gone + f->x[0].ended + f->x[0].pieces, 0);
    free((void *)(uintptr_t)filler.p);
    fixture_close(&c);
}

/* Goal: abort inside on_body ends everything, and no callback follows. */
static void abort_inside_a_callback(void **state)
{
    (void)state;
    struct client c;
    struct fixture *f = fixture_open(&c, APP_ABORT);

    client_send(&c, S("POST /u HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "1\r\na\r\n1\r\nb\r\n0\r\n\r\n"));
    wait_until(f, client_eof(&c));
    assert_int_equal(buf_len(&c.in), 0);
    assert_int_equal(f->x[0].pieces, 1);
    assert_int_equal(f->x[0].ended + f->x[0].gone, 0);
    assert_int_equal(server_streams(f->server), 0);
    fixture_close(&c);
}

/* Goal: an aborted reply looks broken: no last chunk; without framing, a reset. */
static void an_aborted_reply_looks_broken(void **state)
{
    (void)state;

    for (int minor = 0; minor < 2; minor++) {
        struct client c;
        struct fixture *f = fixture_open(&c, APP_HOLD);

        client_send(&c,
                    minor ? S("GET / HTTP/1.1\r\nHost: x\r\n\r\n") : S("GET / HTTP/1.0\r\n\r\n"));
        wait_until(f, f->n == 1 && f->x[0].ended == 1);
        begin_reply(f->x[0].s, 200, -1);
        server_write(f->x[0].s, S("part"));
        wait_until(f, client_has(&c, S("part")));
        server_abort(f->x[0].s);
        wait_until(f, client_eof(&c));
        assert_false(client_has(&c, S("0\r\n\r\n")));
        assert_int_equal(c.err, minor ? 0 : ECONNRESET);
        assert_int_equal(f->x[0].gone, 0);
        fixture_close(&c);
    }
}

/* Goal: a body shorter than announced ends as an abort, a longer one is cut. */
static void the_announced_length_is_kept(void **state)
{
    (void)state;
    struct client c;
    struct fixture *f = fixture_open(&c, APP_HOLD);

    client_ask(&c, S("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"));
    begin_reply(f->x[0].s, 200, 3);
    server_write(f->x[0].s, S("abcdef"));
    server_end(f->x[0].s);
    expect_reply(&c, S("HTTP/1.1 200 OK\r\n"), S("abc"));
    assert_int_equal(buf_len(&c.in), 0);
    wait_until(f, f->n == 2 && f->x[1].ended == 1);
    begin_reply(f->x[1].s, 200, 5);
    server_write(f->x[1].s, S("abc"));
    server_end(f->x[1].s);
    wait_until(f, client_eof(&c));
    assert_true(str_ends(buf_str(&c.in), S("\r\n\r\nabc")));
    fixture_close(&c);
}

/* --- requests that are refused here --- */

static struct str repeat(struct arena *a, struct str before, size_t n, struct str after)
{
    char *p = arena_alloc(a, n, 1, 1);
    memset(p, 'a', n);
    return arena_cat(a, arena_cat(a, before, (struct str){ p, n }), after);
}

/* Goal: bad requests get their status and the application's body, then the conn ends. */
static void bad_requests_are_refused(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    const struct {
        struct str in, status, body;
    } t[] = {
        { S("GET / HTTP/1.1\nHost: x\n\n"), S("HTTP/1.1 400 "), S("{\"error\":\"BAD_REQUEST\"}") },
        { S("GET / HTTP/1.1\r\n\r\n"), S("HTTP/1.1 400 "), S("{\"error\":\"BAD_REQUEST\"}") },
        { S("PRI * HTTP/2.1\r\n\r\n"), S("HTTP/1.1 "), S("") },
        { S("GET / HTTP/1.2\r\nHost: x\r\n\r\n"), S("HTTP/1.1 505 "),
          S("{\"error\":\"HTTP_VERSION\"}") },
        { repeat(&a, S("GET /"), 9000, S(" HTTP/1.1\r\nHost: x\r\n\r\n")), S("HTTP/1.1 414 "),
          S("{\"error\":\"URI_TOO_LONG\"}") },
        { repeat(&a, S("GET / HTTP/1.1\r\nHost: x\r\nA: "), 40000, S("\r\n\r\n")),
          S("HTTP/1.1 431 "), S("{\"error\":\"HEADERS_TOO_LARGE\"}") },
    };

    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct client c;
        struct fixture *f = fixture_open(&c, APP_ECHO);
        struct str head = { 0 }, body = { 0 };

        client_send(&c, t[i].in);
        wait_until(f, client_reply(&c, &head, &body));
        assert_str(str_slice(head, 0, t[i].status.n), t[i].status);
        if (t[i].body.n > 0)
            assert_str(body, t[i].body);
        assert_true(str_contains(head, S("x-refused: 1\r\n")));
        assert_true(str_contains(head, S("connection: close\r\n")));
        wait_until(f, client_eof(&c));
        assert_int_equal(c.err, 0);
        assert_int_equal(f->n, 0);
        fixture_close(&c);
    }
    arena_done(&a);
}

/* Goal: what is not HTTP gets no answer, and the conn ends. */
static void what_is_not_http_gets_no_answer(void **state)
{
    (void)state;
    struct client c;
    struct fixture *f = fixture_open(&c, APP_ECHO);

    client_send(&c, S("INVALID CONNECTION PREFACE\r\n\r\n"));
    wait_until(f, client_eof(&c));
    assert_int_equal(c.err, 0);
    assert_int_equal(buf_len(&c.in), 0);
    assert_int_equal(f->n, 0);
    fixture_close(&c);
}

/* Goal: a body that turns out malformed is told as gone, and answered while it can be;
 * the good request before a bad one is answered first. */
static void bad_bodies_and_bad_second_requests(void **state)
{
    (void)state;
    struct client c;
    struct fixture *f = fixture_open(&c, APP_ECHO);

    client_send(&c, S("GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\n"
                      "Transfer-Encoding: chunked\r\n\r\nxyz\r\n"));
    expect_reply(&c, S("HTTP/1.1 200 OK\r\n"), S("GET /a "));
    expect_reply(&c, S("HTTP/1.1 400 "), S("{\"error\":\"BAD_REQUEST\"}"));
    wait_until(f, client_eof(&c));
    assert_int_equal(f->x[1].gone, 1);
    assert_int_equal(f->x[1].ended, 0);
    fixture_close(&c);
}

/* --- time --- */

/* Goal: slow heads and slow bodies get 408, idle conns end without a word. */
static void slow_clients_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct str in, status;
        int gone;
    } t[] = {
        { S_INIT(""), S_INIT(""), 0 },
        { S_INIT("GET / HT"), S_INIT("HTTP/1.1 408 "), 0 },
        { S_INIT("P"), S_INIT(""), 0 },
        { S_INIT("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"),
          S_INIT("HTTP/1.1 408 "), 1 },
    };

    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct client c;
        struct fixture *f = fixture_open(&c, APP_HOLD);

        f->limits.header_ns = 30 * NS_PER_MS;
        f->limits.body_grace_ns = 30 * NS_PER_MS;
        client_send(&c, t[i].in);
        wait_until(f, client_eof(&c));
        assert_str(str_slice(buf_str(&c.in), 0, t[i].status.n), t[i].status);
        assert_int_equal(t[i].status.n == 0, buf_len(&c.in) == 0);
        assert_int_equal(f->n, t[i].gone);
        assert_int_equal(f->x[0].gone, t[i].gone);
        fixture_close(&c);
    }
}

/* Goal: an idle conn ends after keepalive_ns; a client that does not read for write_ns
 * is gone. */
static void idle_and_stalled_conns_end(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct client c;
    char *piece = mem_zalloc(65536);

    f->limits.keepalive_ns = 30 * NS_PER_MS;
    f->limits.write_ns = 50 * NS_PER_MS;
    client_open(&c, f);
    client_send(&c, S("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"));
    expect_reply(&c, S("HTTP/1.1 200 OK\r\n"), S("GET /a "));
    wait_until(f, client_eof(&c));
    client_close(&c);
    f->mode = APP_HOLD;
    client_open(&c, f);
    client_send(&c, S("GET /b HTTP/1.1\r\nHost: x\r\n\r\n"));
    wait_until(f, f->n == 2 && f->x[1].ended == 1);
    begin_reply(f->x[1].s, 200, -1);
    /* on a slow machine it may be gone before the mark is reached */
    while (f->x[1].gone == 0 && server_queued(f->x[1].s) <= CONN_HIGH_BYTES) {
        server_write(f->x[1].s, (struct str){ piece, 65536 });
        turn(f);
    }
    wait_until(f, f->x[1].gone == 1);
    assert_int_equal(server_streams(f->server), 0);
    free(piece);
    client_close(&c);
    fixture_free(f);
}

/* --- the server --- */

/* Goal: draining ends idle conns, lets an open exchange finish (and say close), accepts
 * nothing, and tells when all is over. */
static void drain_lets_exchanges_finish(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct client idle, busy;

    f->mode = APP_HOLD;
    client_open(&idle, f);
    client_open(&busy, f);
    client_send(&busy, S("GET /b HTTP/1.1\r\nHost: x\r\n\r\n"));
    wait_until(f, f->n == 1 && server_conns(f->server) == 2);
    server_drain(f->server, on_drained, f);
    wait_until(f, client_eof(&idle));
    assert_int_equal(f->drained, 0);
    echo(&f->x[0]);
    struct str head = { 0 }, body = { 0 };
    wait_until(f, client_reply(&busy, &head, &body));
    assert_true(str_contains(head, S("connection: close\r\n")));
    assert_str(body, S("GET /b "));
    wait_until(f, client_eof(&busy));
    wait_until(f, f->drained == 1);
    for (int i = 0; i < 10; i++)
        turn(f);
    assert_int_equal(f->drained, 1);
    client_close(&idle);
    client_close(&busy);
    fixture_free(f);
}

/* Goal: a conn that was opened just before draining began may still ask, once. */
static void drain_serves_new_conns(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct client late, silent;
    struct str head = { 0 }, body = { 0 };

    client_open(&late, f);
    client_open(&silent, f);
    wait_until(f, server_conns(f->server) == 2);
    server_drain(f->server, on_drained, f);
    for (int i = 0; i < 10; i++)
        turn(f);
    client_send(&late, S("GET /late HTTP/1.1\r\nHost: x\r\n\r\n"));
    wait_until(f, client_reply(&late, &head, &body));
    assert_true(str_contains(head, S("connection: close\r\n")));
    assert_str(body, S("GET /late "));
    wait_until(f, client_eof(&late));
    assert_int_equal(f->drained, 0);
    wait_until(f, client_eof(&silent));
    wait_until(f, f->drained == 1);
    client_close(&late);
    client_close(&silent);
    fixture_free(f);
}

/* Goal: accepting pauses at conns_max and goes on below. */
static void conns_are_limited(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(false);
    struct client c[3];

    f->limits.conns_max = 2;
    for (int i = 0; i < 3; i++)
        client_open(&c[i], f);
    wait_until(f, server_conns(f->server) == 2);
    assert_true(client_try_send(&c[2], S("GET /3 HTTP/1.1\r\nHost: x\r\n\r\n")) > 0);
    for (int i = 0; i < 20; i++)
        turn(f);
    assert_int_equal(server_conns(f->server), 2);
    assert_int_equal(f->n, 0);
    client_close(&c[0]);
    expect_reply(&c[2], S("HTTP/1.1 200 OK\r\n"), S("GET /3 "));
    client_close(&c[1]);
    client_close(&c[2]);
    fixture_free(f);
}

/* Goal: server_free() tells open exchanges, also from inside a callback's turn. */
static void free_tells_open_exchanges(void **state)
{
    (void)state;
    struct client c;
    struct fixture *f = fixture_open(&c, APP_HOLD);

    client_send(&c, S("GET /b HTTP/1.1\r\nHost: x\r\n\r\n"));
    wait_until(f, f->n == 1);
    server_free(f->server);
    f->server = NULL;
    assert_int_equal(f->x[0].gone, 1);
    wait_until(f, client_eof(&c));
    fixture_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_conn_between_requests),
        cmocka_unit_test(every_cut_gives_the_same_reply),
        cmocka_unit_test(pipelined_requests_wait),
        cmocka_unit_test(replies_without_body),
        cmocka_unit_test(continue_is_sent_when_allowed),
        cmocka_unit_test(a_turn_is_one_write),
        cmocka_unit_test(http_1_0_gets_no_chunks),
        cmocka_unit_test(drain_comes_when_the_client_reads),
        cmocka_unit_test(a_paused_body_waits),
        cmocka_unit_test(a_lost_client_is_told_in_every_phase),
        cmocka_unit_test(a_lost_client_is_told_behind_unread_bytes),
        cmocka_unit_test(a_finished_reply_survives_a_half_close),
        cmocka_unit_test(an_early_reply_is_readable),
        cmocka_unit_test(abort_inside_a_callback),
        cmocka_unit_test(an_aborted_reply_looks_broken),
        cmocka_unit_test(the_announced_length_is_kept),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(what_is_not_http_gets_no_answer),
        cmocka_unit_test(bad_bodies_and_bad_second_requests),
        cmocka_unit_test(slow_clients_are_refused),
        cmocka_unit_test(idle_and_stalled_conns_end),
        cmocka_unit_test(drain_lets_exchanges_finish),
        cmocka_unit_test(drain_serves_new_conns),
        cmocka_unit_test(conns_are_limited),
        cmocka_unit_test(free_tells_open_exchanges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

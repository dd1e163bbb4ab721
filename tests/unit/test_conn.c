/* Unit tests of conns over real loopback sockets, plain and TLS. */
#include "net_unit.h"

#include "conn.c"

/* Every test below that takes a rig runs twice: plain and TLS. */
typedef void rig_test(struct rig *r);

static void run_plain(rig_test *test)
{
    struct rig r;
    rig_init(&r);
    test(&r);
    rig_done(&r);
}

static void run_tls(rig_test *test)
{
    struct rig r;
    rig_init_tls(&r);
    test(&r);
    rig_done(&r);
}

/* Both sides open, and TLS tickets read: closing before that sends an RST. */
static void rig_open(struct rig *r)
{
    rig_connect(r);
    rig_until(r, r->a.opens == 1 && r->b.opens == 1);
    rig_idle(r, 5);
}

#define BOTH(name)                      \
    static void name##_plain(void **st) \
    {                                   \
        (void)st;                       \
        run_plain(name);                \
    }                                   \
    static void name##_tls(void **st)   \
    {                                   \
        (void)st;                       \
        run_tls(name);                  \
    }

/* Goal: on_open on both sides, bytes come back, a close is told as a clean end. */
static void echo(struct rig *r)
{
    r->b.echo = true;
    rig_open(r);
    conn_write(r->a.c, S("hello, "));
    conn_write(r->a.c, S("world"));
    rig_until(r, buf_len(&r->a.in) == 12);
    assert_str(buf_str(&r->a.in), S("hello, world"));
    assert_int_equal(conn_is_tls(r->a.c), r->server != NULL);
    assert_str(conn_alpn(r->b.c), r->server != NULL ? S("h2") : S(""));
    assert_true(str_starts(conn_remote(r->b.c), S("127.0.0.1:")));
    side_act(&r->a, SIDE_CLOSE);
    rig_until(r, r->b.ends == 1);
    assert_int_equal(r->b.err, 0);
    assert_int_equal(r->b.opens, 1);
}
BOTH(echo)

/* Goal: bytes written before on_open are kept and sent after it. */
static void write_before_open(struct rig *r)
{
    rig_connect(r);
    conn_write(r->a.c, S("early"));
    rig_until(r, buf_len(&r->b.in) == 5);
    assert_str(buf_str(&r->b.in), S("early"));
}
BOTH(write_before_open)

static void fill(struct conn *c, size_t n, size_t from)
{
    char *p = mem_alloc(n);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)((from + i) * 31 >> 3);
    conn_write(c, (struct str){ p, n });
    free(p);
}

static void check_filled(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != (char)(i * 31 >> 3))
            fail_msg("byte %zu of %zu differs", i, s.n);
}

/* Goal: 8 MiB arrive whole and in order; while the reader is paused the queue
 * stays with the writer, and on_drain comes when it has fallen. */
static void large_with_pause(struct rig *r)
{
    enum { TOTAL = 8 << 20, PIECE = 1 << 20 };
    rig_open(r);
    conn_pause(r->b.c, CONN_PAUSE_OWNER);
    conn_pause(r->b.c, CONN_PAUSE_PIPELINE);
    for (size_t at = 0; at < TOTAL; at += PIECE)
        fill(r->a.c, PIECE, at);
    rig_idle(r, 50);
    assert_int_equal(buf_len(&r->b.in), 0);
    assert_true(conn_queued(r->a.c) > 0);
    assert_int_equal(r->a.drains, 0);
    conn_resume(r->b.c, CONN_PAUSE_OWNER);
    rig_idle(r, 20);
    assert_int_equal(buf_len(&r->b.in), 0); /* the other reason still holds */
    conn_resume(r->b.c, CONN_PAUSE_PIPELINE);
    rig_until(r, buf_len(&r->b.in) >= TOTAL);
    assert_int_equal(buf_len(&r->b.in), TOTAL);
    check_filled(buf_str(&r->b.in));
    assert_int_equal(r->a.drains, 1);
    assert_int_equal(conn_queued(r->a.c), 0);
    assert_null(r->a.c->out.p); /* an idle conn holds no buffer */
}
BOTH(large_with_pause)

/* Goal: both directions at once do not lock one another up. */
static void large_both_ways(struct rig *r)
{
    enum { TOTAL = 4 << 20 };
    r->b.echo = true;
    rig_connect(r);
    fill(r->a.c, TOTAL, 0);
    rig_until(r, buf_len(&r->a.in) >= TOTAL);
    check_filled(buf_str(&r->a.in));
    assert_int_equal(r->a.drains, 1);
}
BOTH(large_both_ways)

/* Goal: conn_finish() delivers all that is queued and then the end; the
 * finished side is told nothing any more. */
static void finish_delivers(struct rig *r)
{
    enum { TOTAL = 2 << 20 };
    rig_open(r);
    fill(r->a.c, TOTAL, 0);
    side_act(&r->a, SIDE_FINISH);
    conn_write(r->b.c, S("ignored"));
    rig_until(r, r->b.ends == 1);
    assert_int_equal(r->b.err, 0);
    assert_int_equal(buf_len(&r->b.in), TOTAL);
    check_filled(buf_str(&r->b.in));
    side_act(&r->b, SIDE_CLOSE);
    rig_idle(r, 20);
}
BOTH(finish_delivers)

/* Goal: a side that has said it is done can still be answered (half-close). */
static void half_close(struct rig *r)
{
    int client = -1;
    int server = -1;
    tcp_pair(&client, &server);
    r->b.c = conn_new(&r->loop, server, NULL, &side_handler, &r->b);
    assert_int_equal(send(client, "ask", 3, 0), 3);
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    rig_until(r, r->b.ends == 1);
    assert_str(buf_str(&r->b.in), S("ask"));
    assert_int_equal(r->b.err, 0);
    conn_write(r->b.c, S("answer"));
    rig_idle(r, 5);
    char got[16];
    assert_int_equal(recv(client, got, sizeof(got), 0), 6);
    assert_int_equal(r->b.ends, 1);
    close(client);
}

static void test_half_close(void **state)
{
    (void)state;
    run_plain(half_close);
}

/* Goal: an RST is told as an error, once. */
static void reset_is_told(struct rig *r)
{
    rig_open(r);
    side_act(&r->a, SIDE_RESET);
    rig_until(r, r->b.ends > 0);
    assert_int_equal(r->b.err, -ECONNRESET);
    rig_idle(r, 5);
    assert_int_equal(r->b.ends, 1);
}
BOTH(reset_is_told)

/* Goal: a paused conn still learns of an RST. */
static void reset_while_paused(struct rig *r)
{
    rig_open(r);
    conn_pause(r->b.c, CONN_PAUSE_PIPELINE);
    side_act(&r->a, SIDE_RESET);
    rig_until(r, r->b.ends > 0);
    assert_int_equal(r->b.err, -ECONNRESET);
}
BOTH(reset_while_paused)

/* Goal: a paused conn learns of a clean end when nothing stands before it. */
static void end_while_paused(struct rig *r)
{
    rig_open(r);
    conn_pause(r->b.c, CONN_PAUSE_PIPELINE);
    side_act(&r->a, SIDE_CLOSE);
    rig_until(r, r->b.ends > 0);
    assert_int_equal(r->b.err, 0);
}
BOTH(end_while_paused)

/* Goal: bytes before a clean end are not lost, nor told, while paused; the
 * loop does not spin meanwhile. */
static void data_then_end_while_paused(struct rig *r)
{
    rig_open(r);
    conn_pause(r->b.c, CONN_PAUSE_PIPELINE);
    conn_write(r->a.c, S("last words"));
    side_act(&r->a, SIDE_FINISH);
    rig_idle(r, 20);
    bool over = false;
    int turns = 0;
    struct timeout t;
    timeout_init(&t, after_a_while, &over);
    timeout_set(&r->loop, &t, 30 * NS_PER_MS);
    timeout_clear(&r->loop, &r->tick);
    while (!over) {
        uv_run(&r->loop.uv, UV_RUN_ONCE);
        turns++;
    }
    assert_true(turns < 10);
    assert_int_equal(r->b.ends, 0);
    assert_int_equal(buf_len(&r->b.in), 0);
    conn_resume(r->b.c, CONN_PAUSE_PIPELINE);
    rig_until(r, r->b.ends == 1);
    assert_str(buf_str(&r->b.in), S("last words"));
    assert_int_equal(r->b.err, 0);
}
BOTH(data_then_end_while_paused)

/* Goal: writing to a side that is gone is an error told once, not SIGPIPE. */
static void write_after_peer_closed(struct rig *r)
{
    rig_open(r);
    side_act(&r->a, SIDE_CLOSE);
    rig_until(r, r->b.ends == 1);
    for (int i = 0; i < 5 && r->b.err == 0; i++) {
        conn_write(r->b.c, S("anyone there?"));
        rig_idle(r, 5);
    }
    assert_int_equal(r->b.ends, 2);
    assert_true(r->b.err == -EPIPE || r->b.err == -ECONNRESET);
    conn_write(r->b.c, S("still?"));
    assert_int_equal(conn_queued(r->b.c), 0);
    rig_idle(r, 5);
    assert_int_equal(r->b.ends, 2);
}
BOTH(write_after_peer_closed)

/* Goal: a conn may be ended inside each of its callbacks, in each way, and
 * is told nothing afterwards (checked in side_*; ASan sees the memory). */
static void end_in_callbacks(struct rig *r)
{
    for (enum side_action action = SIDE_CLOSE; action <= SIDE_FINISH; action++) {
        for (int where = 0; where < 4; where++) {
            struct side *b = &r->b;
            *b = (struct side){ .in = b->in };
            r->a = (struct side){ .in = r->a.in };
            b->at_open = where == 0 ? action : SIDE_NOTHING;
            b->at_read = where == 1 ? action : SIDE_NOTHING;
            b->at_drain = where == 2 ? action : SIDE_NOTHING;
            b->at_end = where == 3 ? action : SIDE_NOTHING;
            rig_connect(r);
            conn_write(r->a.c, S("x"));
            fill(b->c, where == 2 ? 8 << 20 : 1, 0);
            if (where == 3) {
                rig_until(r, b->opens == 1 && buf_len(&b->in) > 0);
                side_act(&r->a, SIDE_CLOSE);
            }
            rig_until(r, b->c == NULL);
            if (r->a.c != NULL)
                side_act(&r->a, SIDE_CLOSE);
            rig_idle(r, 2);
            buf_clear(&b->in);
            buf_clear(&r->a.in);
        }
    }
}
BOTH(end_in_callbacks)

/* Goal: bytes that stand before an RST still come; a conn that is finished in
 * their callback is not told about the RST. */
static void data_then_reset(struct rig *r)
{
    for (enum side_action action = SIDE_NOTHING; action <= SIDE_FINISH; action++) {
        int client = -1;
        int server = -1;
        struct linger none = { .l_onoff = 1, .l_linger = 0 };
        tcp_pair(&client, &server);
        r->b = (struct side){ .in = r->b.in, .at_read = action };
        r->b.c = conn_new(&r->loop, server, NULL, &side_handler, &r->b);
        rig_until(r, r->b.opens == 1);
        assert_int_equal(send(client, "bye", 3, 0), 3);
        setsockopt(client, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
        close(client);
        rig_idle(r, 5);
        assert_str(buf_str(&r->b.in), S("bye"));
        if (action == SIDE_NOTHING) {
            assert_int_equal(r->b.err, -ECONNRESET);
            side_act(&r->b, SIDE_CLOSE);
        }
        buf_clear(&r->b.in);
    }
}

/* Goal: when a write fails, what the other side said before it closed (an early reply)
 * still comes, and only then the error. */
static void data_before_failed_write(struct rig *r)
{
    int client = -1;
    int server = -1;
    tcp_pair(&client, &server);
    r->b.c = conn_new(&r->loop, server, NULL, &side_handler, &r->b);
    rig_until(r, r->b.opens == 1);
    conn_write(r->b.c, S("much of a body"));
    rig_idle(r, 5);
    assert_int_equal(send(client, "413", 3, 0), 3);
    close(client); /* with unread bytes: RST */
    conn_write(r->b.c, S("more of it"));
    rig_until(r, r->b.ends == 1); /* the write fails before the loop polls */
    assert_str(buf_str(&r->b.in), S("413"));
    assert_true(r->b.err < 0);
}

static void test_data_before_failed_write(void **state)
{
    (void)state;
    run_plain(data_before_failed_write);
}

/* Goal: after a half-close, an RST that meets queued bytes is told: they will never leave. */
static void reset_after_half_close(struct rig *r)
{
    int client = -1;
    int server = -1;
    struct linger none = { .l_onoff = 1, .l_linger = 0 };
    tcp_pair(&client, &server);
    r->b.c = conn_new(&r->loop, server, NULL, &side_handler, &r->b);
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    rig_until(r, r->b.ends == 1);
    char *much = mem_zalloc(1 << 24);
    conn_write(r->b.c, (struct str){ much, 1 << 24 });
    free(much);
    rig_idle(r, 20);
    assert_true(conn_queued(r->b.c) > 0);
    setsockopt(client, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close(client);
    rig_until(r, r->b.ends == 2);
    assert_true(r->b.err < 0);
    assert_int_equal(conn_queued(r->b.c), 0);
}

static void test_reset_after_half_close(void **state)
{
    (void)state;
    run_plain(reset_after_half_close);
}

static void test_data_then_reset(void **state)
{
    (void)state;
    run_plain(data_then_reset);
}

/* Goal: a conn closed in the turn that made it is never told anything. */
static void close_at_once(struct rig *r)
{
    rig_connect(r);
    side_act(&r->a, SIDE_CLOSE);
    side_act(&r->b, SIDE_FINISH);
    rig_idle(r, 5);
    assert_int_equal(r->a.opens + r->b.opens, 0);
}
BOTH(close_at_once)

/* Goal: a stale idle conn is seen before the loop has looked at it. */
static void stale(struct rig *r)
{
    rig_open(r);
    rig_idle(r, 10);
    assert_false(conn_is_stale(r->b.c));
    side_act(&r->a, SIDE_CLOSE);
    uv_sleep(5);
    assert_true(conn_is_stale(r->b.c));
}
BOTH(stale)

/* Goal: input over the limit does not make a lingering conn send an RST at once: that would
 * destroy the reply that the other side has not read yet. */
static void linger_leaves_the_reply(struct rig *r)
{
    char got[16];
    int client = -1;
    int server = -1;
    tcp_pair(&client, &server);
    r->b.c = conn_new(&r->loop, server, NULL, &side_handler, &r->b);
    rig_until(r, r->b.opens == 1);
    conn_pause(r->b.c, CONN_PAUSE_OWNER);
    char *body = mem_zalloc(200 * 1000);
    assert_int_equal(send(client, body, 200 * 1000, 0), 200 * 1000);
    free(body);
    conn_write(r->b.c, S("413"));
    side_act(&r->b, SIDE_FINISH);
    rig_idle(r, 20);
    assert_int_equal(recv(client, got, sizeof(got), 0), 3);
    assert_int_equal(recv(client, got, sizeof(got), 0), 0); /* FIN, no RST */
    close(client);
}

static void test_linger_leaves_the_reply(void **state)
{
    (void)state;
    run_plain(linger_leaves_the_reply);
}

/* Goal: a lingering conn goes away by itself when the other side stays. */
static void linger_ends(struct rig *r)
{
    rig_open(r);
    struct conn *c = r->a.c;
    r->a.c = NULL;
    r->a.gone = true;
    conn_finish(c, 20);
    rig_until(r, r->b.ends == 1);
    rig_idle(r, 40);
    conn_write(r->b.c, S("too late"));
    rig_idle(r, 5);
    conn_write(r->b.c, S("surely"));
    rig_until(r, r->b.ends == 2);
}
BOTH(linger_ends)

static void stop_loop(void *ctx)
{
    loop_stop(ctx);
}

/* Goal: loop_done() does not wait for the other side of a lingering conn. */
static void test_linger_ends_with_the_loop(void **state)
{
    (void)state;
    struct side s = { 0 };
    struct loop l;
    struct timeout enough;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    loop_init(&l);
    timeout_init(&enough, stop_loop, &l);
    struct conn *c = conn_new(&l, fds[0], NULL, &side_handler, &s);
    conn_finish(c, 3600 * 1000);
    timeout_set(&l, &enough, 5 * NS_PER_MS);
    loop_run(&l);
    loop_done(&l);
    char byte;
    assert_int_equal(read(fds[1], &byte, 1), 0);
    close(fds[1]);
}

/* Goal: a name the certificate does not have fails with a reason to act on. */
static void tls_wrong_name(struct rig *r)
{
    rig_connect_as(r, "example.com", true);
    rig_until(r, r->a.ends == 1 && r->b.ends == 1);
    assert_int_equal(r->a.err, E_UPSTREAM_TLS);
    assert_int_equal(r->a.opens, 0);
    assert_string_equal(r->a.error_text, "hostname mismatch: the certificate is for another name");
    assert_int_equal(r->b.opens, 0);
}

static void test_tls_wrong_name(void **state)
{
    (void)state;
    run_tls(tls_wrong_name);
}

/* Goal: addresses are checked against the certificate's addresses. */
static void tls_address(struct rig *r)
{
    rig_connect_as(r, "127.0.0.1", true);
    rig_until(r, r->a.opens == 1);
    side_act(&r->a, SIDE_CLOSE);
    rig_until(r, r->b.ends == 1);
    side_act(&r->b, SIDE_CLOSE);
    r->a.gone = r->b.gone = false;
    rig_connect_as(r, "127.0.0.2", true);
    rig_until(r, r->a.ends == 1);
    assert_string_equal(r->a.error_text, "hostname mismatch: the certificate is for another name");
}

static void test_tls_address(void **state)
{
    (void)state;
    run_tls(tls_address);
}

/* Goal: a certificate nobody vouches for is refused. */
static void tls_unknown_ca(struct rig *r)
{
    struct buf error;
    buf_init(&error, 1000);
    SSL_CTX_free(r->client);
    r->client = NULL;
    assert_int_equal(tls_client_new(NULL, &r->client, &error), 0);
    rig_connect(r);
    rig_until(r, r->a.ends == 1);
    assert_int_equal(r->a.err, E_UPSTREAM_TLS);
    assert_string_equal(r->a.error_text, "self-signed certificate");
    buf_done(&error);
}

static void test_tls_unknown_ca(void **state)
{
    (void)state;
    run_tls(tls_unknown_ca);
}

static int stored(SSL_CTX *ctx)
{
    return sk_X509_OBJECT_num(X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx)));
}

static int verified(SSL_CTX *ctx, X509 *cert)
{
    X509_STORE_CTX *v = X509_STORE_CTX_new();
    assert_int_equal(X509_STORE_CTX_init(v, SSL_CTX_get_cert_store(ctx), cert, NULL), 1);
    int ok = X509_verify_cert(v);
    X509_STORE_CTX_free(v);
    return ok;
}

/* Goal: the system's store costs what is asked of it: one certificate for an issuer that it has,
 * all of them only for one that its directory does not have. */
static void tls_system_store(struct rig *r)
{
    struct buf error;
    SSL_CTX *ctx;
    FILE *f = fopen(X509_get_default_cert_file(), "r");
    if (f == NULL)
        return; /* no system store here */
    X509 *own = PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    assert_non_null(own);
    unsetenv(X509_get_default_cert_file_env());
    unsetenv(X509_get_default_cert_dir_env());
    buf_init(&error, 1000);
    assert_int_equal(tls_client_new(NULL, &ctx, &error), 0);
    tls_client_warm(ctx);
    assert_int_equal(stored(ctx), 0);
    assert_int_equal(verified(ctx, own), 1);
    int few = stored(ctx);
    assert_int_equal(verified(ctx, SSL_CTX_get0_certificate(r->server)), 0);
    int all = stored(ctx);
    assert_true(all >= few);
    assert_int_equal(verified(ctx, own), 1);
    assert_int_equal(verified(ctx, SSL_CTX_get0_certificate(r->server)), 0);
    assert_int_equal(stored(ctx), all);
    if (access(X509_get_default_cert_dir(), R_OK) == 0)
        assert_in_range(few, 1, 3);
    X509_free(own);
    SSL_CTX_free(ctx);
    buf_done(&error);
}

static void test_tls_system_store(void **state)
{
    (void)state;
    run_tls(tls_system_store);
}

/* The n-th conn, from 1; whether it resumed is seen on both sides. */
static void connect_once(struct rig *r, int n, bool resumed)
{
    r->b.echo = true;
    rig_connect_as(r, "localhost", false);
    conn_write(r->a.c, S("x")); /* the ticket comes behind the handshake */
    rig_until(r, buf_len(&r->a.in) == 1);
    assert_str(conn_alpn(r->a.c), S("http/1.1"));
    assert_int_equal(conn_is_resumed(r->a.c), resumed);
    assert_int_equal(conn_is_resumed(r->b.c), resumed);
    side_act(&r->a, SIDE_CLOSE);
    rig_until(r, r->b.ends == n);
    side_act(&r->b, SIDE_CLOSE);
    buf_clear(&r->a.in);
    r->a.gone = r->b.gone = false;
}

/* Goal: http/1.1 alone can be offered; the second handshake resumes the first. */
static void tls_resumption(struct rig *r)
{
    for (int i = 0; i < 3; i++)
        connect_once(r, i + 1, i > 0);
}

/* Goal: a ticket is worth nothing once its key was replaced, and the next one works again. */
static void tls_rotation(struct rig *r)
{
    static const bool rotates[] = { false, false, true, false };
    for (int i = 0; i < (int)ARRAY_LEN(rotates); i++) {
        if (rotates[i])
            tls_server_rotate(r->server, S("secret"), i);
        connect_once(r, i + 1, i > 0 && !rotates[i]);
    }
}

/* Goal: records that are in the kernel together are one read, and what is over its limit follows
 * without another byte from the other side. */
static void tls_small_records(struct rig *r)
{
    enum { RECORDS = 30, BYTES = 1000, LIMIT = 16 * 1024 };
    char bytes[BYTES];
    memset(bytes, 'x', BYTES);
    rig_open(r);
    conn_limit_reads(r->b.c, LIMIT);
    conn_pause(r->b.c, CONN_PAUSE_OWNER);
    for (int i = 0; i < RECORDS; i++) {
        conn_write(r->a.c, (struct str){ bytes, BYTES });
        conn_flush(r->a.c);
    }
    rig_idle(r, 20);
    assert_int_equal(r->b.reads, 0);
    conn_resume(r->b.c, CONN_PAUSE_OWNER);
    rig_until(r, buf_len(&r->b.in) == (size_t)RECORDS * BYTES);
    assert_int_equal(r->b.reads, 2);
}

static void test_tls_small_records(void **state)
{
    (void)state;
    run_tls(tls_small_records);
}

static void test_tls_resumption(void **state)
{
    (void)state;
    run_tls(tls_resumption);
}

static void test_tls_rotation(void **state)
{
    (void)state;
    run_tls(tls_rotation);
}

/* Goal: junk instead of TLS ends the conn with an error, not with on_open. */
static void tls_junk(struct rig *r)
{
    int client = -1;
    int server = -1;
    SSL *ssl = SSL_new(r->server);
    SSL_set_accept_state(ssl);
    tcp_pair(&client, &server);
    r->b.c = conn_new(&r->loop, server, ssl, &side_handler, &r->b);
    assert_int_equal(send(client, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
    rig_until(r, r->b.ends == 1);
    assert_int_equal(r->b.err, E_UPSTREAM_TLS);
    assert_string_equal(r->b.error_text, "http request");
    close(client);
}

static void test_tls_junk(void **state)
{
    (void)state;
    run_tls(tls_junk);
}

/* Goal: files that do not load are named with a reason. */
static void test_tls_files(void **state)
{
    (void)state;
    struct buf error;
    SSL_CTX *ctx = NULL;
    buf_init(&error, 1000);
    assert_int_equal(tls_server_new("/nonexistent.pem", "/x", &ctx, &error), -EINVAL);
    assert_str(buf_str(&error),
               S("/nonexistent.pem: cannot load the certificate: No such file or directory"));
    buf_clear(&error);
    assert_int_equal(tls_client_new("/nonexistent.pem", &ctx, &error), -EINVAL);
    assert_true(str_starts(buf_str(&error), S("/nonexistent.pem: ")));
    assert_null(ctx);
    buf_done(&error);
}

/* Goal: an idle plain conn stays small. */
static void test_conn_size(void **state)
{
    (void)state;
    assert_true(sizeof(struct conn) < 512);
}

#define BOTH_TESTS(name) cmocka_unit_test(name##_plain), cmocka_unit_test(name##_tls)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_TESTS(echo),
        BOTH_TESTS(write_before_open),
        BOTH_TESTS(large_with_pause),
        BOTH_TESTS(large_both_ways),
        BOTH_TESTS(finish_delivers),
        BOTH_TESTS(reset_is_told),
        BOTH_TESTS(reset_while_paused),
        BOTH_TESTS(end_while_paused),
        BOTH_TESTS(data_then_end_while_paused),
        BOTH_TESTS(write_after_peer_closed),
        BOTH_TESTS(end_in_callbacks),
        BOTH_TESTS(close_at_once),
        BOTH_TESTS(stale),
        BOTH_TESTS(linger_ends),
        cmocka_unit_test(test_linger_ends_with_the_loop),
        cmocka_unit_test(test_linger_leaves_the_reply),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_data_then_reset),
        cmocka_unit_test(test_data_before_failed_write),
        cmocka_unit_test(test_reset_after_half_close),
        cmocka_unit_test(test_tls_wrong_name),
        cmocka_unit_test(test_tls_address),
        cmocka_unit_test(test_tls_unknown_ca),
        cmocka_unit_test(test_tls_system_store),
        cmocka_unit_test(test_tls_resumption),
        cmocka_unit_test(test_tls_rotation),
        cmocka_unit_test(test_tls_small_records),
        cmocka_unit_test(test_tls_junk),
        cmocka_unit_test(test_tls_files),
        cmocka_unit_test(test_conn_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

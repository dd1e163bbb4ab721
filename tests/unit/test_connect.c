/* Unit tests of connecting: DNS, several addresses, proxies, TLS.  The names
 * are put into the cache by hand, so that no resolver is asked. */
#include "net_unit.h"

#include <arpa/inet.h>

#include "connect.h"
#include "dns.c"

struct outcome {
    int calls, err;
    struct conn *conn;
    char reason[256];
    bool close_it; /* inside on_done */
};

/* A server that plays a list of replies, one per read, then TLS if asked. */
struct fake {
    struct rig *rig;
    int fd;
    uint16_t port;
    struct listener *listener;
    int accepted;
    struct conn *c;
    struct buf in;
    const struct str *replies;
    size_t reply_n, reply_next;
    bool tls_first, tls_after;
};

static void fake_tls(struct fake *f)
{
    SSL *ssl = SSL_new(f->rig->server);
    SSL_set_accept_state(ssl);
    conn_start_tls(f->c, ssl);
}

static void fake_open(void *ctx)
{
    (void)ctx;
}

static void fake_read(void *ctx, struct str bytes)
{
    struct fake *f = ctx;
    buf_add(&f->in, bytes);
    if (f->reply_next < f->reply_n) {
        conn_write(f->c, f->replies[f->reply_next++]);
        conn_flush(f->c);
        if (f->reply_next == f->reply_n && f->tls_after)
            fake_tls(f);
    }
}

static void fake_end(void *ctx, int err)
{
    struct fake *f = ctx;
    (void)err;
    conn_close(f->c);
    f->c = NULL;
}

static const struct conn_handler fake_handler = { fake_open, fake_read, NULL, fake_end };

static void fake_accept(void *ctx, int fd)
{
    struct fake *f = ctx;
    SSL *ssl = NULL;
    f->accepted++;
    if (f->c != NULL)
        conn_close(f->c);
    if (f->tls_first) {
        ssl = SSL_new(f->rig->server);
        SSL_set_accept_state(ssl);
    }
    f->c = conn_new(&f->rig->loop, fd, ssl, &fake_handler, f);
}

static void fake_init(struct fake *f, struct rig *r, struct str host)
{
    struct buf error;
    memset(f, 0, sizeof(*f));
    buf_init(&error, 1000);
    buf_init(&f->in, 1 << 20);
    f->rig = r;
    assert_int_equal(listener_open(host, 0, &f->fd, &error), 0);
    f->port = listener_port(f->fd);
    f->listener = listener_new(&r->loop, f->fd, fake_accept, f);
    buf_done(&error);
}

static void fake_done(struct fake *f)
{
    listener_free(f->listener);
    if (f->c != NULL)
        conn_close(f->c);
    buf_done(&f->in);
}

static void done(void *ctx, int err, struct conn *conn, struct str reason)
{
    struct outcome *o = ctx;
    o->calls++;
    o->err = err;
    snprintf(o->reason, sizeof(o->reason), STR_FMT, STR_ARG(reason));
    if (conn == NULL)
        return;
    conn_set_handler(conn, &fake_handler, NULL);
    if (o->close_it)
        conn_close(conn);
    else
        o->conn = conn;
}

/* Puts addresses into the cache. */
static void know(struct dns *d, struct str host, const char *const *addresses, int n)
{
    struct name *name = find_name(d, host);
    for (int i = 0; i < n; i++) {
        struct dns_answer one;
        assert_true(parse_literal(str_of(addresses[i]), &one));
        add_address(&name->answer, (struct sockaddr *)&one.address[0], one.len[0]);
    }
    name->answered_ns = loop_now_ns(d->loop);
}

struct scene {
    struct rig rig;
    struct fake server;
    struct dns *dns;
    struct outcome outcome;
    struct connect_target target;
};

static void scene_init(struct scene *s, bool tls)
{
    memset(s, 0, sizeof(*s));
    if (tls)
        rig_init_tls(&s->rig);
    else
        rig_init(&s->rig);
    fake_init(&s->server, &s->rig, S("127.0.0.1"));
    s->dns = dns_new(&s->rig.loop, 60 * NS_PER_S, 0);
    s->target = (struct connect_target){
        .host = S("127.0.0.1"), .port = s->server.port, .tls = tls, .sessions = &s->rig.sessions
    };
}

static struct connecting *scene_start(struct scene *s)
{
    return connect_start(&s->rig.loop, s->dns, s->rig.client, &s->target, 2 * NS_PER_S, done,
                         &s->outcome);
}

static void scene_run(struct scene *s)
{
    s->outcome = (struct outcome){ .close_it = s->outcome.close_it };
    scene_start(s);
    assert_int_equal(s->outcome.calls, 0);
    rig_until(&s->rig, s->outcome.calls == 1);
}

static void scene_done(struct scene *s)
{
    if (s->outcome.conn != NULL)
        conn_close(s->outcome.conn);
    dns_free(s->dns);
    fake_done(&s->server);
    rig_idle(&s->rig, 2);
    assert_true(s->outcome.calls <= 1);
    rig_done(&s->rig);
}

/* Goal: a literal address, plain; the conn works, also when closed at once. */
static void test_plain(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, false);
    scene_run(&s);
    assert_int_equal(s.outcome.err, 0);
    conn_write(s.outcome.conn, S("hi"));
    rig_until(&s.rig, buf_len(&s.server.in) == 2);
    conn_close(s.outcome.conn);
    s.outcome.conn = NULL;
    s.outcome.close_it = true;
    scene_run(&s);
    scene_done(&s);
}

/* Goal: TLS with ALPN; the second conn to the origin resumes the session. */
static void test_tls(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, true);
    s.server.tls_first = true;
    s.target.offer_h2 = true;
    for (int i = 0; i < 2; i++) {
        scene_run(&s);
        assert_int_equal(s.outcome.err, 0);
        assert_str(conn_alpn(s.outcome.conn), S("h2"));
        assert_int_equal(conn_is_resumed(s.outcome.conn), i == 1);
        rig_idle(&s.rig, 10); /* the ticket */
        conn_close(s.outcome.conn);
        s.outcome.conn = NULL;
    }
    scene_done(&s);
}

/* Goal: a wrong name is E_UPSTREAM_TLS with host and cause. */
static void test_tls_wrong_name(void **state)
{
    (void)state;
    static const char *const addresses[] = { "127.0.0.1" };
    struct scene s;
    char want[200];
    scene_init(&s, true);
    s.server.tls_first = true;
    know(s.dns, S("wrong.example"), addresses, 1);
    s.target.host = S("wrong.example");
    scene_run(&s);
    assert_int_equal(s.outcome.err, E_UPSTREAM_TLS);
    snprintf(want, sizeof(want),
             "TLS handshake with wrong.example:%u failed: hostname mismatch: "
             "the certificate is for another name",
             s.server.port);
    assert_string_equal(s.outcome.reason, want);
    scene_done(&s);
}

/* Goal: the second address is tried when the first refuses. */
static void test_second_address(void **state)
{
    (void)state;
    static const char *const addresses[] = { "127.0.0.2", "127.0.0.1" };
    struct scene s;
    scene_init(&s, false);
    know(s.dns, S("two.example"), addresses, 2);
    s.target.host = S("two.example");
    scene_run(&s);
    assert_int_equal(s.outcome.err, 0);
    assert_true(str_starts(conn_remote(s.outcome.conn), S("127.0.0.1:")));
    scene_done(&s);
}

/* Sockets that fill the queue of a listening address: who comes next hangs. */
enum { HOLE_SOCKETS = 4 };

static void hole_open(int fds[HOLE_SOCKETS], const char *ip, uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    assert_int_equal(inet_pton(AF_INET, ip, &a.sin_addr), 1);
    for (int i = 0; i < HOLE_SOCKETS; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int one = 1;
    setsockopt(fds[0], SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    assert_int_equal(bind(fds[0], (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fds[0], 0), 0);
    for (int i = 1; i < HOLE_SOCKETS; i++)
        assert_true(connect(fds[i], (struct sockaddr *)&a, sizeof(a)) == 0 || errno == EINPROGRESS);
}

static void hole_close(int fds[HOLE_SOCKETS])
{
    for (int i = 0; i < HOLE_SOCKETS; i++)
        close(fds[i]);
}

/* Goal: an address that hangs does not hold up the next one. */
static void test_hanging_address(void **state)
{
    (void)state;
    static const char *const addresses[] = { "127.0.0.3", "127.0.0.1" };
    struct scene s;
    int hole[HOLE_SOCKETS];
    scene_init(&s, false);
    hole_open(hole, "127.0.0.3", s.server.port);
    know(s.dns, S("hang.example"), addresses, 2);
    s.target.host = S("hang.example");
    int64_t before = loop_now_ns(&s.rig.loop);
    scene_run(&s);
    assert_int_equal(s.outcome.err, 0);
    assert_true(loop_now_ns(&s.rig.loop) - before >= 250 * NS_PER_MS);
    hole_close(hole);
    scene_done(&s);
}

/* Goal: the deadline ends what hangs, with a reason. */
static void test_deadline(void **state)
{
    (void)state;
    struct scene s;
    int hole[HOLE_SOCKETS];
    scene_init(&s, false);
    hole_open(hole, "127.0.0.3", s.server.port);
    s.target.host = S("127.0.0.3");
    connect_start(&s.rig.loop, s.dns, NULL, &s.target, 20 * NS_PER_MS, done, &s.outcome);
    rig_until(&s.rig, s.outcome.calls == 1);
    assert_int_equal(s.outcome.err, -ETIMEDOUT);
    assert_non_null(strstr(s.outcome.reason, "timed out while connecting"));
    hole_close(hole);
    scene_done(&s);
}

/* Goal: when all addresses refuse, the reason says so. */
static void test_refused(void **state)
{
    (void)state;
    struct scene s;
    char want[100];
    scene_init(&s, false);
    s.target.host = S("127.0.0.2");
    scene_run(&s);
    assert_int_equal(s.outcome.err, E_UPSTREAM_CONNECT);
    snprintf(want, sizeof(want), "cannot connect to 127.0.0.2:%u: Connection refused",
             s.server.port);
    assert_string_equal(s.outcome.reason, want);
    scene_done(&s);
}

/* Goal: an impossible name is E_UPSTREAM_DNS, later. */
static void test_no_name(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, false);
    s.target.host = S("");
    scene_run(&s);
    assert_int_equal(s.outcome.err, E_UPSTREAM_DNS);
    scene_done(&s);
}

/* Goal: cancelled in every turn of its life, it tells nothing and leaks nothing. */
static void test_cancel(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, true);
    s.server.tls_first = true;
    for (int turns = 0; turns < 12; turns++) {
        s.outcome = (struct outcome){ .close_it = true };
        struct connecting *c = scene_start(&s);
        for (int i = 0; i < turns && s.outcome.calls == 0; i++)
            rig_turn(&s.rig);
        if (s.outcome.calls > 0)
            break;
        connect_cancel(c);
        rig_idle(&s.rig, 3);
        assert_int_equal(s.outcome.calls, 0);
    }
    scene_done(&s);
}

static void scene_proxy(struct scene *s, enum connect_proxy proxy, const struct str *replies,
                        size_t n)
{
    s->target.proxy = proxy;
    s->target.proxy_host = S("127.0.0.1");
    s->target.proxy_port = s->server.port;
    s->target.port = 443;
    s->server.replies = replies;
    s->server.reply_n = n;
}

/* Goal: TLS over a CONNECT tunnel; the name checked is the origin's. */
static void test_connect_proxy_tls(void **state)
{
    (void)state;
    static const struct str replies[] = { S_INIT("HTTP/1.1 200 OK\r\n\r\n") };
    struct scene s;
    scene_init(&s, true);
    scene_proxy(&s, CONNECT_HTTP, replies, 1);
    s.server.tls_after = true;
    s.target.host = S("localhost");
    scene_run(&s);
    assert_string_equal(s.outcome.reason, "");
    assert_int_equal(s.outcome.err, 0);
    assert_str(buf_str(&s.server.in),
               S("CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n"));
    conn_write(s.outcome.conn, S("inside"));
    rig_until(&s.rig, str_ends(buf_str(&s.server.in), S("inside")));
    scene_done(&s);
}

/* Goal: a proxy that wants a password is E_UPSTREAM_PROXY with the status, and
 * the reason has no password in it. */
static void test_connect_proxy_407(void **state)
{
    (void)state;
    static const struct str replies[] = { S_INIT("HTTP/1.1 407 Who?\r\n\r\n") };
    struct scene s;
    scene_init(&s, false);
    scene_proxy(&s, CONNECT_HTTP, replies, 1);
    s.target.host = S("origin.example");
    s.target.proxy_user = S("user");
    s.target.proxy_password = S("hunter2");
    scene_run(&s);
    assert_int_equal(s.outcome.err, E_UPSTREAM_PROXY);
    assert_non_null(strstr(s.outcome.reason, "407"));
    assert_non_null(strstr(s.outcome.reason, "origin.example:443"));
    assert_null(strstr(s.outcome.reason, "hunter2"));
    scene_done(&s);
}

/* Goal: SOCKS5 resolves here, SOCKS5H there; both plain and with TLS. */
static void test_socks(void **state)
{
    (void)state;
    static const char *const addresses[] = { "::9", "9.8.7.6" };
    static const struct str replies[] = {
        S_INIT("\x05\x00"),
        S_INIT("\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"),
    };
    struct scene s;
    scene_init(&s, true);
    scene_proxy(&s, CONNECT_SOCKS5, replies, 2);
    know(s.dns, S("origin.example"), addresses, 2);
    s.target.host = S("origin.example");
    s.target.tls = false;
    scene_run(&s);
    assert_int_equal(s.outcome.err, 0);
    assert_str(buf_str(&s.server.in), S("\x05\x01\x00"
                                        "\x05\x01\x00\x01\x09\x08\x07\x06\x01\xbb"));
    conn_close(s.outcome.conn);
    s.outcome.conn = NULL;
    buf_clear(&s.server.in);
    scene_proxy(&s, CONNECT_SOCKS5H, replies, 2);
    s.server.reply_next = 0;
    s.server.tls_after = true;
    s.target.host = S("localhost");
    s.target.tls = true;
    scene_run(&s);
    assert_string_equal(s.outcome.reason, "");
    assert_true(str_ends(buf_str(&s.server.in), S("\x09localhost\x01\xbb")));
    scene_done(&s);
}

/* Goal: a proxy that hangs up is E_UPSTREAM_PROXY. */
static void test_proxy_hangs_up(void **state)
{
    (void)state;
    static const struct str replies[] = { S_INIT("\x05") };
    struct scene s;
    scene_init(&s, false);
    scene_proxy(&s, CONNECT_SOCKS5H, replies, 1);
    scene_start(&s);
    rig_until(&s.rig, buf_len(&s.server.in) > 0);
    conn_close(s.server.c);
    s.server.c = NULL;
    rig_until(&s.rig, s.outcome.calls == 1);
    assert_int_equal(s.outcome.err, E_UPSTREAM_PROXY);
    assert_non_null(strstr(s.outcome.reason, "closed the connection"));
    scene_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_tls_wrong_name),
        cmocka_unit_test(test_second_address),
        cmocka_unit_test(test_hanging_address),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_name),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_connect_proxy_tls),
        cmocka_unit_test(test_connect_proxy_407),
        cmocka_unit_test(test_socks),
        cmocka_unit_test(test_proxy_hangs_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

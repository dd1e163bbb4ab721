/* Unit tests of the codec that opens tunnels through proxies. */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "err.h"
#include "tunnel.h"

static struct connect_target target_of(enum connect_proxy proxy, struct str host)
{
    return (struct connect_target){
        .host = host, .port = 443, .proxy = proxy, .proxy_host = S("proxy"), .proxy_port = 3128
    };
}

/* One exchange: what must be sent, then what the proxy answers. */
struct turn {
    struct str sent, reply;
};

/* Runs the turns, each reply cut at `cut` (0: byte by byte); the last result. */
static int run(const struct connect_target *target, const struct turn *turns, size_t n, size_t cut,
               struct buf *reason)
{
    struct tunnel t;
    struct sockaddr_storage address = { .ss_family = AF_INET };
    ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(0x01020304);
    bool by_address = target->proxy == CONNECT_SOCKS5;
    int r = tunnel_start(&t, target, by_address ? &address : NULL, reason);
    for (size_t i = 0; i < n && r == 0; i++) {
        assert_str(buf_str(&t.out), turns[i].sent);
        buf_clear(&t.out);
        struct str reply = turns[i].reply;
        size_t step = cut == 0 ? 1 : cut;
        for (size_t at = 0; at < reply.n && r >= 0;) {
            size_t to = cut == 0 || at == 0 ? at + step : reply.n;
            r = tunnel_feed(&t, str_slice(reply, at, to), reason);
            at = to;
        }
    }
    tunnel_done(&t);
    return r;
}

/* Every cut of the replies gives the wanted result. */
static void check(const struct connect_target *target, const struct turn *turns, size_t n, int want,
                  const char *want_reason)
{
    struct buf reason;
    size_t longest = 1;
    for (size_t i = 0; i < n; i++)
        longest = turns[i].reply.n > longest ? turns[i].reply.n : longest;
    for (size_t cut = 0; cut <= longest; cut++) {
        buf_init(&reason, 1000);
        assert_int_equal(run(target, turns, n, cut, &reason), want);
        assert_str(buf_str(&reason), str_of(want_reason));
        buf_done(&reason);
    }
}

static void test_connect_accepted(void **state)
{
    (void)state;
    struct connect_target target = target_of(CONNECT_HTTP, S("api.example.com"));
    struct turn turn = {
        S("CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n"),
        S("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"),
    };
    check(&target, &turn, 1, 1, "");
    turn.reply = S("HTTP/1.0 200\r\n\r\n");
    check(&target, &turn, 1, 1, "");
}

static void test_connect_with_password_and_ipv6(void **state)
{
    (void)state;
    struct connect_target target = target_of(CONNECT_HTTP, S("::1"));
    target.proxy_user = S("Aladdin");
    target.proxy_password = S("open sesame");
    struct turn turn = {
        S("CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n"
          "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"),
        S("HTTP/1.1 407 No\r\n\r\n"),
    };
    check(&target, &turn, 1, E_UPSTREAM_PROXY,
          "the proxy answered 407: it wants other credentials");
}

static void test_connect_refused(void **state)
{
    (void)state;
    static const struct {
        struct str reply;
        const char *reason;
    } cases[] = {
        { S_INIT("HTTP/1.1 502 Bad Gateway\r\n\r\n"), "the proxy answered 502" },
        { S_INIT("HTTP/1.1 100 Continue\r\n\r\n"), "the proxy answered 100" },
        { S_INIT("HTTP/2 200 OK\r\n\r\n"), "the proxy's reply is not HTTP/1" },
        { S_INIT("HTTP/1.1 2x0 OK\r\n\r\n"), "the proxy's reply is not HTTP/1" },
        { S_INIT("HTTP/1.1 2000 OK\r\n\r\n"), "the proxy's reply is not HTTP/1" },
        { S_INIT("HTTP/1.1 20\r\n\r\n"), "the proxy's reply is not HTTP/1" },
        { S_INIT("\r\n\r\n"), "the proxy's reply is not HTTP/1" },
        { S_INIT("HTTP/1.1 200 OK\r\n\r\nsurprise"), "the proxy sent bytes behind its reply" },
    };
    struct connect_target target = target_of(CONNECT_HTTP, S("h"));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct turn turn = { S("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"), cases[i].reply };
        check(&target, &turn, 1, E_UPSTREAM_PROXY, cases[i].reason);
    }
}

/* Goal: a head is taken up to the limit and not beyond, however it comes. */
static void test_connect_head_limit(void **state)
{
    (void)state;
    struct connect_target target = target_of(CONNECT_HTTP, S("h"));
    char head[TUNNEL_HEAD_BYTES_MAX + 1];
    memset(head, 'a', sizeof(head));
    memcpy(head, "HTTP/1.1 200 ", 13);
    for (size_t n = TUNNEL_HEAD_BYTES_MAX; n <= sizeof(head); n++) {
        memcpy(head + n - 4, "\r\n\r\n", 4);
        for (size_t cut = 0; cut <= n; cut += 4096) {
            struct turn turn = { S("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"), { head, n } };
            struct buf reason;
            buf_init(&reason, 1000);
            assert_int_equal(run(&target, &turn, 1, cut, &reason),
                             n <= TUNNEL_HEAD_BYTES_MAX ? 1 : E_UPSTREAM_PROXY);
            buf_done(&reason);
        }
        memset(head + n - 4, 'a', 4);
    }
}

/* Goal: no byte of a host name can start a second header. */
static void test_host_injection(void **state)
{
    (void)state;
    struct connect_target target = target_of(CONNECT_HTTP, S("a\r\nX: y"));
    check(&target, NULL, 0, E_UPSTREAM_PROXY, "the host name has impossible bytes");
}

static void test_socks_without_password(void **state)
{
    (void)state;
    struct connect_target target = target_of(CONNECT_SOCKS5, S("example.com"));
    struct turn turns[] = {
        { S("\x05\x01\x00"), S("\x05\x00") },
        { S("\x05\x01\x00\x01\x01\x02\x03\x04\x01\xbb"),
          S("\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00") },
    };
    check(&target, turns, 2, 1, "");
    turns[1].reply = S("\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00");
    check(&target, turns, 2, E_UPSTREAM_PROXY, "the SOCKS5 proxy answered 5: connection refused");
    turns[1].reply = S("\x05\x00\x00\x09\x00\x00");
    check(&target, turns, 2, E_UPSTREAM_PROXY, "the SOCKS5 proxy's reply is malformed");
    turns[0].reply = S("\x05\xff");
    check(&target, turns, 1, E_UPSTREAM_PROXY,
          "the SOCKS5 proxy wants another kind of authentication");
    turns[0].reply = S("\x05\x02"); /* not offered */
    check(&target, turns, 1, E_UPSTREAM_PROXY,
          "the SOCKS5 proxy wants another kind of authentication");
    turns[0].reply = S("HTTP/1.1 400");
    check(&target, turns, 1, E_UPSTREAM_PROXY, "the proxy does not speak SOCKS5");
}

static void test_socks_with_password_and_name(void **state)
{
    (void)state;
    struct connect_target target = target_of(CONNECT_SOCKS5H, S("example.com"));
    target.proxy_user = S("u");
    target.proxy_password = S("pw");
    struct turn turns[] = {
        { S("\x05\x02\x00\x02"), S("\x05\x02") },
        { S("\x01\x01u\x02pw"), S("\x01\x00") },
        { S("\x05\x01\x00\x03\x0b"
            "example.com\x01\xbb"),
          S("\x05\x00\x00\x03\x02ok\x00\x00") },
    };
    check(&target, turns, 3, 1, "");
    turns[1].reply = S("\x01\x01");
    check(&target, turns, 2, E_UPSTREAM_PROXY, "the SOCKS5 proxy refused user and password");
}

/* Goal: a proxy cannot answer what has not been sent yet. */
static void test_socks_early_answer(void **state)
{
    (void)state;
    struct connect_target target = target_of(CONNECT_SOCKS5H, S("h"));
    struct tunnel t;
    struct buf reason;
    buf_init(&reason, 1000);
    assert_int_equal(tunnel_start(&t, &target, NULL, &reason), 0);
    buf_clear(&t.out);
    assert_int_equal(
        tunnel_feed(&t, S("\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"), &reason),
        E_UPSTREAM_PROXY);
    assert_str(buf_str(&reason), S("the proxy answered before it was asked"));
    tunnel_done(&t);
    buf_done(&reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_accepted),
        cmocka_unit_test(test_connect_with_password_and_ipv6),
        cmocka_unit_test(test_connect_refused),
        cmocka_unit_test(test_connect_head_limit),
        cmocka_unit_test(test_host_injection),
        cmocka_unit_test(test_socks_without_password),
        cmocka_unit_test(test_socks_with_password_and_name),
        cmocka_unit_test(test_socks_early_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Goal: URLs are cut at the right places, ambiguous ones are refused, NO_PROXY lists match
 * what other programs match.
 */
#include "unit.h"

#include "url.c"

static struct url parsed(struct str text)
{
    struct url u;
    const char *why = "";
    if (url_parse(text, &u, &why) < 0)
        fail_msg("%.*s: %s", (int)text.n, text.p, why);
    return u;
}

static void parts_are_found(void **state)
{
    (void)state;
    struct url u = parsed(S("https://us%40er:p%3Aw@api.example.com:8443/v1/x?a=b?c"));
    assert_str(u.scheme, S("https"));
    assert_str(u.user, S("us%40er"));
    assert_str(u.password, S("p%3Aw"));
    assert_str(u.host, S("api.example.com"));
    assert_int_equal(u.port, 8443);
    assert_str(u.path, S("/v1/x"));
    assert_str(u.query, S("a=b?c"));
    assert_false(u.host_is_ipv6);

    u = parsed(S("http://127.0.0.1"));
    assert_null(u.user.p);
    assert_null(u.password.p);
    assert_null(u.query.p);
    assert_int_equal(u.port, 0);
    assert_str(u.path, S(""));

    u = parsed(S("socks5h://u@[::1]:1080"));
    assert_str(u.scheme, S("socks5h"));
    assert_str(u.user, S("u"));
    assert_null(u.password.p);
    assert_str(u.host, S("::1"));
    assert_true(u.host_is_ipv6);
    assert_int_equal(u.port, 1080);

    u = parsed(S("http://:@h?"));
    assert_non_null(u.user.p);
    assert_non_null(u.password.p);
    assert_non_null(u.query.p);
    assert_str(u.query, S(""));
    assert_str(parsed(S("http://h?q=/x@y:1")).host, S("h"));
    assert_str(parsed(S("http://example.com./")).host, S("example.com."));
}

static void doubtful_ones_are_refused(void **state)
{
    (void)state;
    const struct str bad[] = {
        S(""),
        S("example.com"),
        S("://h"),
        S("1x://h"),
        S("http:///path"),
        S("http://"),
        S("http://u@"),
        S("http://h:0"),
        S("http://h:65536"),
        S("http://h:1x"),
        S("http://h:-1"),
        S("http://a@b@c"),
        S("http://h\\@evil"),
        S("http://h/#frag"),
        S("http://h/a b"),
        S("http://h/\r\nx"),
        S("http://h/\xc3\xa4"),
        S("http://[::1"),
        S("http://[::1]x"),
        S("http://[127.0.0.1]"),
        S("http://[fe80::1%25eth0]"),
        S("http://[]"),
        S("http://1.2.3"),
        S("http://127.1"),
        S("http://0x7f.1"),
        S("http://1.2.3.4.5"),
        S("http://256.1.1.1"),
        S("http://a..b"),
        S("http://.a"),
        S("http://a.."),
        S("http://."),
        S("http://a%2eb"),
        S("http://::1"),
        S("http://a\0b"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct url u = { .port = 7 };
        const char *why = NULL;
        if (url_parse(bad[i], &u, &why) != -EINVAL)
            fail_msg("accepted: %.*s", (int)bad[i].n, bad[i].p);
        assert_non_null(why);
        assert_int_equal(u.port, 7); /* written only on success */
    }
}

static void decoding(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 10000);
    assert_str(url_decode(S("a%40b%3a%2F"), &a), S("a@b:/"));
    assert_str(url_decode(S("plain"), &a), S("plain"));
    assert_str(url_decode(S("%"), &a), S("%"));
    assert_str(url_decode(S("%4"), &a), S("%4"));
    assert_str(url_decode(S("%4g%zz%41"), &a), S("%4g%zzA"));
    assert_str(url_decode(S("%2541"), &a), S("%41")); /* once only */
    arena_done(&a);
}

static void no_proxy_lists(void **state)
{
    (void)state;
    static const struct {
        struct str list, host;
        uint16_t port;
        bool match;
    } rows[] = {
        { S_INIT(""), S_INIT("h"), 80, false },
        { S_INIT("*"), S_INIT("h"), 80, true },
        { S_INIT("a.com, b.com"), S_INIT("B.com"), 80, true },
        { S_INIT("a.com b.com"), S_INIT("x.b.com"), 80, true },
        { S_INIT("b.com"), S_INIT("xb.com"), 80, false },
        { S_INIT(".b.com"), S_INIT("b.com"), 80, true },
        { S_INIT("*.b.com"), S_INIT("x.y.b.com."), 80, true },
        { S_INIT("b.com."), S_INIT("b.com"), 80, true },
        { S_INIT("b.com"), S_INIT("com"), 80, false },
        { S_INIT("b.com:81"), S_INIT("b.com"), 80, false },
        { S_INIT("b.com:80"), S_INIT("b.com"), 80, true },
        { S_INIT("b.com:x"), S_INIT("b.com"), 80, false },
        { S_INIT("*:80"), S_INIT("h"), 80, true },
        { S_INIT("127.0.0.1"), S_INIT("127.0.0.1"), 80, true },
        { S_INIT("0.1"), S_INIT("127.0.0.1"), 80, false },
        { S_INIT("10.0.0.0/8"), S_INIT("10.200.3.4"), 80, true },
        { S_INIT("10.0.0.0/8"), S_INIT("11.0.0.0"), 80, false },
        { S_INIT("10.0.0.0/9"), S_INIT("10.128.0.0"), 80, false },
        { S_INIT("10.0.0.0/33"), S_INIT("10.0.0.0"), 80, false },
        { S_INIT("0.0.0.0/0"), S_INIT("8.8.8.8"), 80, true },
        { S_INIT("0.0.0.0/0"), S_INIT("::1"), 80, false },
        { S_INIT("::1"), S_INIT("0:0:0:0:0:0:0:1"), 80, true },
        { S_INIT("[::1]:80"), S_INIT("::1"), 80, true },
        { S_INIT("[::1]:81"), S_INIT("::1"), 80, false },
        { S_INIT("[::1]x"), S_INIT("::1"), 80, false },
        { S_INIT("fd00::/8"), S_INIT("fd12::3"), 80, true },
        { S_INIT("localhost"), S_INIT("localhost"), 80, true },
        { S_INIT(".,*.,:80"), S_INIT("h"), 80, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (url_no_proxy(rows[i].list, rows[i].host, rows[i].port) != rows[i].match)
            fail_msg("row %zu: \"%s\" and \"%s\"", i, rows[i].list.p, rows[i].host.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_found),
        cmocka_unit_test(doubtful_ones_are_refused),
        cmocka_unit_test(decoding),
        cmocka_unit_test(no_proxy_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Unit tests of the DNS cache.  Only "localhost" and impossible names are
 * looked up, so that no server is asked. */
#include "net_unit.h"

#include <arpa/inet.h>

#include "dns.c"

struct got {
    int calls, err;
    struct dns_answer answer;
};

static void note(void *ctx, int err, const struct dns_answer *answer)
{
    struct got *g = ctx;
    g->calls++;
    g->err = err;
    if (err == 0)
        g->answer = *answer;
}

static void scene(struct rig *r, struct dns **ret_dns, int64_t ttl_ns)
{
    rig_init(r);
    *ret_dns = dns_new(&r->loop, ttl_ns, 3600 * NS_PER_S);
}

static struct got ask(struct rig *r, struct dns *d, struct str host)
{
    struct got g = { .calls = 0 };
    dns_find(d, host, 80, note, &g);
    assert_int_equal(g.calls, 0); /* never inside dns_find() */
    rig_until(r, g.calls == 1);
    return g;
}

/* Goal: literals need no look-up and carry the port. */
static void test_literals(void **state)
{
    (void)state;
    struct rig r;
    struct dns *d;
    scene(&r, &d, NS_PER_S);
    struct got g = ask(&r, d, S("127.0.0.1"));
    assert_int_equal(g.err, 0);
    assert_int_equal(g.answer.n, 1);
    struct sockaddr_in *in = (struct sockaddr_in *)&g.answer.address[0];
    assert_int_equal(in->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    assert_int_equal(in->sin_port, htons(80));
    g = ask(&r, d, S("[::1]"));
    assert_int_equal(g.answer.address[0].ss_family, AF_INET6);
    g = ask(&r, d, S("::1"));
    assert_int_equal(((struct sockaddr_in6 *)&g.answer.address[0])->sin6_port, htons(80));
    assert_int_equal(d->name_count, 0);
    dns_free(d);
    rig_done(&r);
}

/* Goal: a second look-up within the ttl asks nobody; equal ones under way share. */
static void test_cache_and_sharing(void **state)
{
    (void)state;
    struct rig r;
    struct dns *d;
    struct got a = { .calls = 0 };
    struct got b = { .calls = 0 };
    scene(&r, &d, 60 * NS_PER_S);
    dns_find(d, S("localhost"), 80, note, &a);
    struct lookup *first = list_first(&d->names, struct name, link)->lookup;
    dns_find(d, S("LocalHost"), 81, note, &b);
    assert_int_equal(d->name_count, 1);
    assert_ptr_equal(list_first(&d->names, struct name, link)->lookup, first);
    rig_until(&r, a.calls == 1 && b.calls == 1);
    assert_int_equal(a.err, 0);
    assert_true(a.answer.n >= 1);
    struct got c = { .calls = 0 };
    dns_find(d, S("localhost"), 80, note, &c);
    assert_null(list_first(&d->names, struct name, link)->lookup);
    rig_until(&r, c.calls == 1);
    assert_int_equal(c.answer.n, a.answer.n);
    dns_free(d);
    rig_done(&r);
}

/* A name whose last good answer is that old; its next look-up fails. */
static struct got ask_old(struct rig *r, struct dns *d, int64_t age_ns)
{
    struct dns_answer one;
    assert_true(parse_literal(S("10.0.0.1"), &one));
    /* a name over 63 bytes between dots never leaves libuv or the resolver */
    struct name *name = find_name(
        d, S("aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggg.invalid"));
    name->answer = one;
    name->answered_ns = loop_now_ns(&r->loop) - age_ns;
    return ask(r, d, (struct str){ name->text, name->n });
}

/* Goal: after the ttl the last good answer stands in for a failed look-up, for an hour. */
static void test_last_good(void **state)
{
    (void)state;
    struct rig r;
    struct dns *d;
    scene(&r, &d, NS_PER_S);
    assert_int_equal(ask_old(&r, d, 1800 * NS_PER_S).err, 0);
    if (loop_now_ns(&r.loop) > 3700 * NS_PER_S) /* else the clock is too young to test it */
        assert_int_equal(ask_old(&r, d, 3700 * NS_PER_S).err, E_UPSTREAM_DNS);
    dns_free(d);
    rig_done(&r);
}

/* Goal: names that cannot be are an error, later. */
static void test_impossible_names(void **state)
{
    (void)state;
    struct rig r;
    struct dns *d;
    char longest[300];
    scene(&r, &d, NS_PER_S);
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(ask(&r, d, S("")).err, E_UPSTREAM_DNS);
    assert_int_equal(ask(&r, d, S("a\0b")).err, E_UPSTREAM_DNS);
    assert_int_equal(ask(&r, d, (struct str){ longest, sizeof(longest) }).err, E_UPSTREAM_DNS);
    assert_int_equal(d->name_count, 0);
    dns_free(d);
    rig_done(&r);
}

/* Goal: a cancelled query is never told, whatever it waits for; freeing the
 * cache under a look-up is safe. */
static void test_cancel_and_free(void **state)
{
    (void)state;
    struct rig r;
    struct dns *d;
    struct got g = { .calls = 0 };
    scene(&r, &d, NS_PER_S);
    dns_cancel(dns_find(d, S("127.0.0.1"), 80, note, &g));
    dns_cancel(dns_find(d, S("localhost"), 80, note, &g));
    dns_find(d, S("localhost"), 80, note, &g);
    dns_free(d);
    rig_idle(&r, 20);
    assert_int_equal(g.calls, 0);
    rig_done(&r);
}

/* Goal: families take turns, IPv6 first, up to the limit. */
static void test_interleave(void **state)
{
    (void)state;
    struct sockaddr_in in[6];
    struct sockaddr_in6 in6[6];
    struct addrinfo ai[12];
    memset(in, 0, sizeof(in));
    memset(in6, 0, sizeof(in6));
    memset(ai, 0, sizeof(ai));
    for (int i = 0; i < 6; i++) {
        in[i].sin_family = AF_INET;
        in6[i].sin6_family = AF_INET6;
        ai[i] = (struct addrinfo){ .ai_family = AF_INET,
                                   .ai_addr = (struct sockaddr *)&in[i],
                                   .ai_addrlen = sizeof(in[i]),
                                   .ai_next = &ai[i + 1] };
        ai[i + 6] = (struct addrinfo){ .ai_family = AF_INET6,
                                       .ai_addr = (struct sockaddr *)&in6[i],
                                       .ai_addrlen = sizeof(in6[i]),
                                       .ai_next = i < 5 ? &ai[i + 7] : NULL };
    }
    struct dns_answer a;
    interleave(&a, ai);
    assert_int_equal(a.n, DNS_ADDRESSES_MAX);
    for (int i = 0; i < a.n; i++)
        assert_int_equal(a.address[i].ss_family, i % 2 == 0 ? AF_INET6 : AF_INET);
    interleave(&a, &ai[11]);
    assert_int_equal(a.n, 1);
    interleave(&a, NULL);
    assert_int_equal(a.n, 0);
}

/* Goal: 256 names, the least recently used goes. */
static void test_lru(void **state)
{
    (void)state;
    struct rig r;
    struct dns *d;
    char host[16];
    scene(&r, &d, NS_PER_S);
    for (int i = 0; i < NAMES_MAX; i++) {
        snprintf(host, sizeof(host), "n%d", i);
        assert_non_null(find_name(d, str_of(host)));
    }
    struct name *zero = find_name(d, S("n0"));
    struct name *two = find_name(d, S("n2"));
    assert_non_null(find_name(d, S("another"))); /* takes the place of n1 */
    assert_int_equal(d->name_count, NAMES_MAX);
    assert_ptr_equal(find_name(d, S("n0")), zero);
    assert_ptr_equal(find_name(d, S("N2")), two);
    assert_int_equal(find_name(d, S("n1"))->answered_ns, 0);
    dns_free(d);
    rig_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals),
        cmocka_unit_test(test_cache_and_sharing),
        cmocka_unit_test(test_last_good),
        cmocka_unit_test(test_impossible_names),
        cmocka_unit_test(test_cancel_and_free),
        cmocka_unit_test(test_interleave),
        cmocka_unit_test(test_lru),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

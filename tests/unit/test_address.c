/* Unit tests of client addresses and of the conns that each has. */
#include "unit.h"

#include "address.h"

static bool same(struct str a, struct str b)
{
    struct address x, y;
    assert_true(address_read(a, &x));
    assert_true(address_read(b, &y));
    return memcmp(&x, &y, sizeof(x)) == 0;
}

/* Goal: IPv4 counts by address, IPv6 by /64, ports never. */
static void test_who_is_the_same(void **state)
{
    (void)state;
    assert_true(same(S("10.0.0.1:1"), S("10.0.0.1:65535")));
    assert_true(same(S("10.0.0.1:1"), S("[::ffff:10.0.0.1]:2")));
    assert_false(same(S("10.0.0.1:1"), S("10.0.0.2:1")));
    assert_false(same(S("[::ffff:10.0.0.1]:2"), S("[::ffff:10.0.0.2]:2")));
    assert_true(same(S("[2001:db8:0:1::1]:1"), S("[2001:db8:0:1:ffff::9]:2")));
    assert_true(same(S("[fe80::1%eth0]:1"), S("[fe80::2]:1")));
    assert_false(same(S("[2001:db8:0:1::1]:1"), S("[2001:db8:0:2::1]:1")));
}

static void test_no_address(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "unix", ":1", "[]:1", "1.2.3:4", "host:1", "[::1" };
    struct address a;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_false(address_read(str_of(texts[i]), &a));
}

/* Goal: limit - 1, limit, limit + 1; each address for itself; nothing stays when all are gone. */
static void test_counts(void **state)
{
    (void)state;
    struct address_counts *t = address_counts_new();
    struct address_count *rows[3000];
    struct address a;
    assert_true(address_read(S("10.0.0.1:1"), &a));
    for (int i = 0; i < 3; i++) {
        rows[i] = address_counts_take(t, &a, 3);
        assert_non_null(rows[i]);
    }
    assert_null(address_counts_take(t, &a, 3));
    address_counts_give(rows[0]);
    rows[0] = address_counts_take(t, &a, 3);
    assert_non_null(rows[0]);
    for (int i = 3; i < 3000; i++) { /* more than there are buckets */
        a.bytes[14] = (unsigned char)(i >> 8);
        a.bytes[15] = (unsigned char)i;
        rows[i] = address_counts_take(t, &a, 1);
        assert_non_null(rows[i]);
        assert_null(address_counts_take(t, &a, 1));
    }
    for (int i = 0; i < 3000; i++)
        address_counts_give(rows[i]);
    address_counts_give(NULL);
    address_counts_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_the_same),
        cmocka_unit_test(test_no_address),
        cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "lockout.c"

#include <stdio.h>

#include "unit.h"

#include "clock.h"

enum { MAX = 5 };
static const int64_t window = 60 * NS_PER_S;

static struct lockout *l;

static int setup(void **state)
{
    (void)state;
    l = lockout_new(MAX, window);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lockout_free(l);
    return 0;
}

static void fail_times(const char *remote, int n, int64_t now_ns)
{
    for (int i = 0; i < n; i++)
        (void)lockout_fail(l, str_of(remote), now_ns);
}

static bool is_closed(const char *remote, int64_t now_ns)
{
    return lockout_left_ns(l, str_of(remote), now_ns) > 0;
}

/* One below the limit, the limit, one above. */
static void test_limit(void **state)
{
    (void)state;
    for (int i = 1; i < MAX; i++)
        assert_false(lockout_fail(l, S("1.2.3.4:5"), 10));
    assert_false(is_closed("1.2.3.4:5", 10));
    assert_true(lockout_fail(l, S("1.2.3.4:6"), 20));
    assert_true(lockout_left_ns(l, S("1.2.3.4:7"), 20) == window);
    assert_false(lockout_fail(l, S("1.2.3.4:5"), 30)); /* told once, and it does not last longer */
    assert_true(lockout_left_ns(l, S("1.2.3.4:7"), 30) == window - 10);
    assert_false(is_closed("1.2.3.5:5", 30));
}

/* Open again at the end of its time, with all its tries. */
static void test_end(void **state)
{
    (void)state;
    fail_times("1.2.3.4:5", MAX, 0);
    assert_true(is_closed("1.2.3.4:5", window - 1));
    assert_false(is_closed("1.2.3.4:5", window));
    fail_times("1.2.3.4:5", MAX - 1, window);
    assert_false(is_closed("1.2.3.4:5", window));
    fail_times("1.2.3.4:5", 1, window);
    assert_true(is_closed("1.2.3.4:5", window));
}

/* Failures are counted within one window. */
static void test_window(void **state)
{
    (void)state;
    fail_times("1.2.3.4:5", MAX - 1, 0);
    fail_times("1.2.3.4:5", MAX - 1, window);
    assert_false(is_closed("1.2.3.4:5", window));
    fail_times("1.2.3.4:5", 1, 2 * window - 1);
    assert_true(is_closed("1.2.3.4:5", 2 * window - 1));
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *fails, *asks;
        bool same;
    } rows[] = {
        { "[2001:db8::1]:5", "[2001:db8::1]:6", true },
        { "[2001:db8::1]:5", "[2001:db8:0:0:ffff::2]:6", true }, /* its /64 */
        { "[2001:db8::1]:5", "[2001:db8:0:1::1]:6", false },
        { "[::ffff:9.9.9.9]:5", "9.9.9.9:6", true },
        { "[::ffff:9.9.9.9]:5", "[::ffff:9.9.9.8]:6", false }, /* not one /64 for all of IPv4 */
        { "[::1]:5", "127.0.0.1:5", false },
        { "[fe80::1%eth0]:5", "[fe80::2%eth1]:5", true },
        { "", "", false },
        { "nonsense", "nonsense", false },
        { "[::1:5", "[::1:5", true }, /* as far as it goes */
        { "999.1.1.1:5", "999.1.1.1:5", false },
        { "1.2.3.4", "1.2.3.4", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct lockout *own = lockout_new(1, window);
        (void)lockout_fail(own, str_of(rows[i].fails), 1);
        if ((lockout_left_ns(own, str_of(rows[i].asks), 1) > 0) != rows[i].same)
            fail_msg("row %zu: %s, %s", i, rows[i].fails, rows[i].asks);
        lockout_free(own);
    }
}

/* However many addresses there are, the table is the same size; a closed one is not pushed out by
 * others that fail once, and a new one always finds a place. */
static void test_many_addresses(void **state)
{
    (void)state;
    char remote[32];
    int closed = 0;
    fail_times("200.0.0.1:1", MAX, 1);
    for (unsigned i = 0; i < 10 * LOCKOUT_ADDRESSES_MAX; i++) {
        snprintf(remote, sizeof(remote), "10.%u.%u.%u:1", i >> 16, i >> 8 & 255, i & 255);
        fail_times(remote, 1, 2);
    }
    assert_true(is_closed("200.0.0.1:1", 3));
    for (unsigned i = 0; i < 10 * LOCKOUT_ADDRESSES_MAX; i++) {
        snprintf(remote, sizeof(remote), "11.%u.%u.%u:1", i >> 16, i >> 8 & 255, i & 255);
        fail_times(remote, MAX, 4);
        closed += is_closed(remote, 4);
    }
    assert_int_equal(closed, 10 * LOCKOUT_ADDRESSES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_window, setup, teardown),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test_setup_teardown(test_many_addresses, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

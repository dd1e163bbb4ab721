/*
 * Goal: identifiers depend on every part of the key, on nothing else, and have the promised
 * form.  The values themselves are pinned by test_adapter_vectors.c.
 */
#include "unit.h"

#include "arena.h"
#include "session.h"

static struct session_key base_key(void)
{
    return (struct session_key){ .secret = S("s"),
                                 .adapter = S("a"),
                                 .scope = SESSION_CONVERSATION,
                                 .window_s = 3600,
                                 .unix_s = 7200,
                                 .credential = S("k"),
                                 .conversation = S("c") };
}

static void each_part_counts(void **state)
{
    struct arena a;
    struct session_key base = base_key(), k[7];
    (void)state;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(k); i++)
        k[i] = base;
    k[0].secret = S("t");
    k[1].adapter = S("b");
    k[2].scope = SESSION_KEY;
    k[3].unix_s = 10800;
    k[4].credential = S("l");
    k[5].conversation = S("d");
    k[6].window_s = 1800;
    for (size_t i = 0; i < ARRAY_LEN(k); i++) {
        assert_false(str_eq(session_uuid(&a, &k[i]), session_uuid(&a, &base)));
        assert_false(str_eq(session_user_id(&a, &k[i]), session_user_id(&a, &base)));
    }
    base.unix_s = 10799; /* the end of the same window */
    struct session_key start = base_key();
    assert_str(session_uuid(&a, &base), session_uuid(&a, &start));
    arena_done(&a);
}

/* Goal: identifiers that are kept, found again or displaced by others are those of before. */
static void more_callers_than_are_kept(void **state)
{
    enum { CALLERS = 5000 };
    static char first[CALLERS][40];
    struct arena a;
    (void)state;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < CALLERS; i++) {
            arena_init(&a, 1 << 20);
            struct session_key k = base_key();
            k.scope = SESSION_KEY;
            k.credential = arena_printf(&a, "sk-%d", i);
            struct str id = session_uuid(&a, &k);
            assert_int_equal(id.n, 36);
            if (round == 0)
                memcpy(first[i], id.p, id.n);
            assert_memory_equal(first[i], id.p, id.n);
            assert_str(session_uuid(&a, &k), id);
            arena_done(&a);
        }
    for (int i = 1; i < CALLERS; i++)
        assert_memory_not_equal(first[i], first[i - 1], 36);
}

/* Goal: a scope looks at no more than its name says. */
static void a_scope_ignores_the_rest(void **state)
{
    struct arena a;
    struct session_key k = base_key(), other = base_key();
    (void)state;
    arena_init(&a, 1 << 20);
    k.scope = other.scope = SESSION_KEY;
    other.conversation = S("x");
    assert_str(session_uuid(&a, &other), session_uuid(&a, &k));
    k.scope = other.scope = SESSION_GLOBAL;
    other.credential = S("");
    assert_str(session_uuid(&a, &other), session_uuid(&a, &k));
    arena_done(&a);
}

static void the_form_is_kept(void **state)
{
    struct arena a;
    struct session_key k = base_key();
    (void)state;
    arena_init(&a, 1 << 20);
    for (k.unix_s = 0; k.unix_s < 200 * 3600; k.unix_s += 3600) {
        struct str u = session_uuid(&a, &k), id = session_user_id(&a, &k);
        struct str head =
            arena_printf(&a, "user_proxy_account__session_%lld-", (long long)(k.unix_s / 3600));
        uint64_t n;
        assert_int_equal(u.n, 36);
        assert_int_equal(u.p[14], '8');
        assert_non_null(strchr("89ab", u.p[19]));
        assert_true(u.p[8] == '-' && u.p[13] == '-' && u.p[18] == '-' && u.p[23] == '-');
        assert_true(str_starts(id, head));
        assert_int_equal(str_to_u64(str_slice(id, head.n, id.n), &n), 0);
        assert_true(n < UINT64_C(1) << 48);
    }
    arena_done(&a);
}

static void the_fingerprint_is_short(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 16);
    assert_str(session_fingerprint(&a, S("")), S("e3b0c442"));
    assert_str(session_fingerprint(&a, S("abc")), S("ba7816bf"));
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_counts),         cmocka_unit_test(more_callers_than_are_kept),
        cmocka_unit_test(a_scope_ignores_the_rest), cmocka_unit_test(the_form_is_kept),
        cmocka_unit_test(the_fingerprint_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

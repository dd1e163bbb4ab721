/*
 * Goal: str, buf, arena and list do what their headers promise at the edges.
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "arena.h"
#include "buf.h"
#include "err.h"
#include "hash.h"
#include "list.h"

static void glob_matches_like_a_shell(void **state)
{
    (void)state;
    assert_true(str_glob(S("claude-*-4-?*"), S("claude-sonnet-4-5")));
    assert_true(str_glob(S("GPT-*"), S("gpt-5")));
    assert_true(str_glob(S("*"), S("")));
    assert_false(str_glob(S("?"), S("")));
    assert_false(str_glob(S("a*b"), S("acd")));
    assert_true(str_glob(S("a*b*c"), S("aXbYbZc")));
}

static void numbers_are_whole_and_bounded(void **state)
{
    (void)state;
    uint64_t n = 7;
    assert_int_equal(str_to_u64(S("18446744073709551615"), &n), 0);
    assert_true(n == UINT64_MAX);
    assert_int_equal(str_to_u64(S("18446744073709551616"), &n), -ERANGE);
    assert_int_equal(str_to_u64(S(""), &n), -EINVAL);
    assert_int_equal(str_to_u64(S("+5"), &n), -EINVAL);
    double x = 0;
    assert_int_equal(str_to_double(S("1.5e3"), &x), 0);
    assert_true(x == 1500.0);
    assert_int_equal(str_to_double(S("nan"), &x), -EINVAL);
    assert_int_equal(str_to_double(S("1 "), &x), -EINVAL);
}

/* Goal: FIPS 180-4's hash, in lower case hex, cut to any even or odd number of digits. */
static void hashes_are_sha256(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 4096);
    struct str empty = S("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    struct str abc = S("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(str_eq(hash_text(&a, (struct str){ NULL, 0 }), empty));
    assert_true(str_eq(hash_text(&a, S("abc")), abc));
    char digits[8] = "xxxxxxx";
    hash_hex(S("abc"), digits, 5);
    assert_string_equal(digits, "ba781xx");
    assert_true(str_eq(hex_text(&a, (const unsigned char *)"\x00\xa9", 2), S("00a9")));
    arena_done(&a);
}

static void next_splits(void **state)
{
    (void)state;
    struct str rest = S("a,,b"), part;
    assert_true(str_next(&rest, ',', &part));
    assert_str(part, S("a"));
    assert_true(str_next(&rest, ',', &part));
    assert_str(part, S(""));
    assert_true(str_next(&rest, ',', &part));
    assert_str(part, S("b"));
    assert_false(str_next(&rest, ',', &part));
}

/* Goal: the limit holds and stays; what was there before is kept. */
static void buf_stops_at_its_limit(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    buf_add(&b, S("12345"));
    buf_add(&b, S("678901"));
    assert_true(b.overflow);
    buf_add(&b, S("x"));
    assert_str(buf_str(&b), S("12345"));
    buf_clear(&b);
    assert_false(b.overflow);
    assert_int_equal(buf_len(&b), 0);
    buf_done(&b);
}

/* Goal: adding and consuming in any rhythm is a queue.  Method: a long run
 * against a counter. */
static void buf_is_a_queue(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    unsigned char in = 0, out = 0;
    for (int round = 0; round < 2000; round++) {
        for (int i = 0; i < (round * 7) % 60; i++)
            buf_add_byte(&b, (char)in++);
        size_t take = (size_t)((round * 5) % 50);
        if (take > buf_len(&b))
            take = buf_len(&b);
        struct str s = buf_str(&b);
        for (size_t i = 0; i < take; i++)
            assert_int_equal((unsigned char)s.p[i], out++);
        buf_consume(&b, take);
    }
    assert_false(b.overflow);
    buf_done(&b);
    assert_null(b.p);
}

static void arena_keeps_alignment_and_small_chunks_after_large_ones(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    char *one = arena_alloc(&a, 1, 1, 1);
    double *d = arena_new(&a, double, 3);
    assert_int_equal((uintptr_t)d % _Alignof(double), 0);
    char *big = arena_alloc(&a, 100000, 1, 1);
    char *two = arena_alloc(&a, 1, 1, 1);
    assert_true(two - one > 0 && two - one < 4096);
    memset(big, 'x', 100000);
    assert_str(arena_printf(&a, "%d-%s", 5, "ok"), S("5-ok"));
    arena_done(&a);
}

static void errors_have_rows(void **state)
{
    (void)state;
    assert_int_equal(err_row(E_NO_CAPACITY)->http_status, 503);
    assert_int_equal(err_row(-ECONNRESET)->http_status, 500);
    for (int e = E_BASE_ + 1; e < E_END_; e++)
        assert_non_null(err_row(e)->text);
}

static void secrets_compare_whole(void **state)
{
    (void)state;
    assert_true(str_eq_secret(S("abc"), S("abc")));
    assert_false(str_eq_secret(S("abc"), S("abd")));
    assert_false(str_eq_secret(S("abcabc"), S("abc")));
    assert_false(str_eq_secret(S("a"), S("")));
    assert_true(str_eq_secret(S(""), S("")));
}

/* Goal: RFC 4231's cases 1, 2 and 6 (a key longer than a block), one behind the other: nothing
 * stays of the key before; and the empty key of section 2 of RFC 2104. */
static void hmac_is_rfc_4231(void **state)
{
    char eleven[20], long_key[131];
    memset(eleven, 0x0b, sizeof(eleven));
    memset(long_key, 0xaa, sizeof(long_key));
    const struct {
        struct str key, text;
        const char *hex;
    } rows[] = {
        { { eleven, sizeof(eleven) },
          S("Hi There"),
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
        { S("Jefe"), S("what do ya want for nothing?"),
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
        { { long_key, sizeof(long_key) },
          S("Test Using Larger Than Block-Size Key - Hash Key First"),
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
        { S(""), S(""), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" },
    };
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 10);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        unsigned char mac[HASH_BYTES];
        hash_hmac(rows[i].key, rows[i].text, mac);
        assert_true(str_eq(hex_text(&a, mac, sizeof(mac)), str_of(rows[i].hex)));
    }
    arena_done(&a);
}

/* Goal: parts are copied in their order, empty ones too; numbers to their last digit. */
/* Lent bytes come first, are zeroed at the end of a wiped arena, and serve again. */
static void arena_begins_with_what_is_lent(void **state)
{
    (void)state;
    char first[64];
    struct arena a;
    memset(first, 'x', sizeof(first));
    arena_init_wiped(&a, 1 << 20);
    arena_lend(&a, first, sizeof(first));
    char *one = arena_cstr(&a, S("secret"));
    char *big = arena_cstr(&a, S("0123456789012345678901234567890123456789012345678901234567890"));
    assert_ptr_equal(one, first);
    assert_true(big < first || big >= first + sizeof(first));
    assert_string_equal(one, "secret");
    arena_reset(&a);
    for (size_t i = 0; i < sizeof(first); i++)
        assert_int_equal(first[i], 0);
    assert_ptr_equal(arena_bytes(&a, 1), first);
    arena_done(&a);
}

static void arena_joins_parts(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 10);
    struct str none = { NULL, 0 };
    assert_true(str_eq(arena_join(&a, S("["), none, S("x,"), S("y]")), S("[x,y]")));
    assert_true(str_eq(arena_join(&a, none), S("")));
    assert_true(str_eq(arena_u64(&a, 0), S("0")));
    assert_true(str_eq(arena_u64(&a, UINT64_MAX), S("18446744073709551615")));
    arena_done(&a);
}

/* Goal: bytes of one buf come behind those of another, moved or copied; nothing is left behind,
 * and a limit holds for moved bytes too. */
/* Goal: a word is found in every place, in either case, and what only begins like it is none. */
static void words_are_found_in_either_case(void **state)
{
    (void)state;
    char text[48];
    for (size_t n = 4; n <= sizeof(text); n++)
        for (size_t at = 0; at + 4 <= n; at++) {
            struct str s = { text, n };
            memset(text, at % 2 == 0 ? 'k' : '@', sizeof(text));
            memcpy(text + at, "kE-x", 4);
            assert_true(str_contains_nocase(s, S("Ke-X")));
            assert_true(str_contains_nocase(s, S("-X")));
            assert_false(str_contains_nocase(s, S("ke-y")));
            assert_false(str_contains_nocase(s, S("`")));
            assert_false(str_contains_nocase(str_slice(s, 0, at + 3), S("ke-x")));
            assert_false(str_contains_nocase(s, S("\rx"))); /* '-' but for the bit of letters */
        }
    assert_true(str_contains_nocase(S(""), S("")));
    assert_false(str_contains_nocase(S(""), S("a")));
    assert_true(str_contains_nocase(S("0123456789abcdef\xff"), S("\xff")));
}

static void buf_takes_over_a_buf(void **state)
{
    struct buf to, from;
    (void)state;
    buf_init(&to, 10);
    buf_init(&from, 100);
    buf_add(&from, S("x12345"));
    buf_consume(&from, 1);
    const char *memory = buf_str(&from).p;
    buf_add_buf(&to, &from);
    assert_true(buf_str(&to).p == memory);
    assert_int_equal(buf_len(&from), 0);
    buf_add(&from, S("678"));
    buf_add_buf(&to, &from);
    assert_true(str_eq(buf_str(&to), S("12345678")));
    buf_add(&from, S("9ab"));
    buf_add_buf(&to, &from);
    assert_true(to.overflow);
    assert_true(str_eq(buf_str(&to), S("12345678")));
    buf_clear(&to);
    buf_add(&from, S("12345678901"));
    buf_add_buf(&to, &from);
    assert_true(to.overflow);
    assert_int_equal(buf_len(&to), 0);
    buf_done(&to);
    buf_done(&from);
}

/* Goal: whatever the sizes, objects do not overlap, stand aligned, and are zeroed although their
 * chunks have been somebody's before; bytes of a large one do not cost a small one its room. */
static void arena_objects_stand_apart(void **state)
{
    static const size_t sizes[] = { 1, 7, 100, 500, 470, 3000, 0, 20000, 16, 16384, 5, 1024 };
    (void)state;
    for (int round = 0; round < 3; round++) {
        char *objects[ARRAY_LEN(sizes)];
        struct arena a;
        arena_init(&a, 1 << 20);
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            assert_true(((uintptr_t)arena_new(&a, double, 1) & (_Alignof(double) - 1)) == 0);
            objects[i] = arena_new(&a, char, sizes[i]);
            assert_non_null(objects[i]);
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(objects[i][k], 0);
            if (sizes[i] > 0)
                memset(objects[i], (int)i + 1, sizes[i]);
        }
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(objects[i][k], (int)i + 1);
        arena_done(&a);
        arena_done(&a);
    }
}

/* Goal: every length of number, and zeros wherever they stand, as printf() has them. */
static void numbers_are_written(void **state)
{
    (void)state;
    for (uint64_t power = 1, i = 0; i < 20; i++, power *= 10)
        for (uint64_t digit = 0; digit < 12; digit++)
            for (uint64_t below = 0; below < 2; below++) {
                uint64_t n = power * digit - below;
                char digits[STR_U64_MAX], want[24];
                int length = snprintf(want, sizeof(want), "%llu", (unsigned long long)n);
                assert_str(str_u64(n, digits), ((struct str){ want, (size_t)length }));
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_written),
        cmocka_unit_test(glob_matches_like_a_shell),
        cmocka_unit_test(numbers_are_whole_and_bounded),
        cmocka_unit_test(hashes_are_sha256),
        cmocka_unit_test(hmac_is_rfc_4231),
        cmocka_unit_test(arena_joins_parts),
        cmocka_unit_test(words_are_found_in_either_case),
        cmocka_unit_test(buf_takes_over_a_buf),
        cmocka_unit_test(arena_objects_stand_apart),
        cmocka_unit_test(buf_stops_at_its_limit),
        cmocka_unit_test(next_splits),
        cmocka_unit_test(buf_is_a_queue),
        cmocka_unit_test(arena_keeps_alignment_and_small_chunks_after_large_ones),
        cmocka_unit_test(arena_begins_with_what_is_lent),
        cmocka_unit_test(errors_have_rows),
        cmocka_unit_test(secrets_compare_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

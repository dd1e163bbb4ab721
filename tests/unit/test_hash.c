/*
 * Goal: SipHash is what OpenSSL knows by that name, and the keyed hash differs where its input
 * does.
 */
#include "unit.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "hash.h"

static void openssl_siphash(const unsigned char key[16], struct str s, unsigned char ret[16])
{
    size_t n = 0, size = HASH_SHORT_BYTES;
    OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                            OSSL_PARAM_construct_end() };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    assert_non_null(mac);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    assert_non_null(ctx);
    assert_int_equal(EVP_MAC_init(ctx, key, 16, params), 1);
    assert_int_equal(EVP_MAC_update(ctx, (const unsigned char *)s.p, s.n), 1);
    assert_int_equal(EVP_MAC_final(ctx, ret, &n, 16), 1);
    assert_int_equal(n, 16);
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
}

static void siphash_is_openssls(void **state)
{
    unsigned char key[16], want[16], got[16];
    char text[100];
    uint64_t words[2] = { UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908) };
    (void)state;
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (unsigned char)i;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7);
    for (size_t n = 0; n <= sizeof(text); n++) {
        openssl_siphash(key, (struct str){ text, n }, want);
        hash_siphash(words, (struct str){ text, n }, got);
        assert_memory_equal(got, want, sizeof(want));
    }
}

static void a_short_hash_is_of_its_input(void **state)
{
    unsigned char a[HASH_SHORT_BYTES], b[HASH_SHORT_BYTES];
    (void)state;
    hash_short(S("a"), a);
    hash_short(S("a"), b);
    assert_memory_equal(a, b, sizeof(a));
    hash_short(S("b"), b);
    assert_memory_not_equal(a, b, sizeof(a));
}

/* Goal: every byte is drawn anew, and none beyond. */
static void random_bytes_fill_what_was_asked_for(void **state)
{
    unsigned char bytes[HASH_RANDOM_MAX + 1] = { 0 }, ever[HASH_RANDOM_MAX + 1] = { 0 };
    (void)state;
    for (int round = 0; round < 20; round++) {
        hash_random(bytes, HASH_RANDOM_MAX);
        for (size_t i = 0; i < sizeof(bytes); i++)
            ever[i] |= bytes[i];
    }
    for (size_t i = 0; i < HASH_RANDOM_MAX; i++)
        assert_int_not_equal(ever[i], 0);
    assert_int_equal(ever[HASH_RANDOM_MAX], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash_is_openssls),
        cmocka_unit_test(a_short_hash_is_of_its_input),
        cmocka_unit_test(random_bytes_fill_what_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

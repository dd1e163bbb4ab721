#include "client_keys.c"

#include "unit.h"

static void load(struct config *c, const char *keys)
{
    struct buf error;
    const struct config_option option = { "PROXY_API_KEYS", keys };
    char line[256];
    snprintf(line, sizeof(line), "PROXY_API_KEYS=%s", keys);
    char *environment[] = { line, NULL };
    buf_init(&error, 1024);
    assert_int_equal(config_load(c, NULL, false, environment, &option, 1, &error), 0);
    buf_done(&error);
}

static bool has(const struct client_keys *k, const char *key)
{
    return client_keys_has(k, str_of(key));
}

static void check_keys(const struct client_keys *k)
{
    assert_true(has(k, "key-one"));
    assert_true(has(k, "key-two"));
    assert_true(has(k, "z"));
    assert_false(has(k, ""));
    assert_false(has(k, "key-on"));
    assert_false(has(k, "key-onf"));
    assert_false(has(k, "key-one "));
    assert_false(has(k, "Key-one"));
    assert_false(has(k, "key-one,key-two"));
    assert_false(has(k, "zz"));
}

/* The same keys are found in a plain list and in a sealed one. */
static void test_both_forms(void **state)
{
    (void)state;
    struct config c;
    struct client_keys *k = client_keys_new(S(" key-one,  key-two ,,z, "));
    check_keys(k);
    client_keys_free(k);
    load(&c, " key-one,  key-two ,,z, ");
    client_keys_seal(&c);
    k = client_keys_new(c.proxy_api_keys);
    assert_int_equal(k->n, 3);
    check_keys(k);
    client_keys_free(k);
    config_done(&c);
}

/* Nothing of a sealed configuration has a key, whatever it is handed to. */
static void test_nothing_is_left(void **state)
{
    (void)state;
    struct config c;
    struct buf bytes;
    struct str text;
    load(&c, "key-one,key-two");
    assert_false(config_text(&c, S("PROXY_API_KEYS"), &text));
    client_keys_seal(&c);
    buf_init(&bytes, 1 << 20);
    config_encode(&c, &bytes);
    assert_false(str_contains(buf_str(&bytes), S("key-one")));
    assert_false(str_contains(buf_str(&bytes), S("key-two")));
    assert_false(config_text(&c, S("PROXY_API_KEYS"), &text));
    buf_done(&bytes);
    config_done(&c);
}

/* Each start has its own: hashes of two can not be compared. */
static void test_sealing(void **state)
{
    (void)state;
    struct config a, b;
    load(&a, "key-one");
    load(&b, "key-one");
    client_keys_seal(&a);
    client_keys_seal(&b);
    assert_int_equal(a.proxy_api_keys.n, b.proxy_api_keys.n);
    assert_false(str_eq(a.proxy_api_keys, b.proxy_api_keys));
    char *sealed = strdup(a.text[CONFIG_proxy_api_keys]);
    client_keys_seal(&a); /* twice is once */
    assert_string_equal(a.text[CONFIG_proxy_api_keys], sealed);
    free(sealed);
    config_done(&a);
    config_done(&b);
}

/* An empty list asks for no key; one of commas only lets nobody in. */
static void test_empty(void **state)
{
    (void)state;
    struct config c;
    assert_null(client_keys_new(S("")));
    assert_null(client_keys_new(S("  ")));
    client_keys_free(NULL);
    load(&c, "");
    client_keys_seal(&c);
    assert_int_equal(c.proxy_api_keys.n, 0);
    config_done(&c);
    load(&c, " , ");
    client_keys_seal(&c);
    struct client_keys *k = client_keys_new(c.proxy_api_keys);
    assert_non_null(k);
    assert_false(has(k, ""));
    assert_false(has(k, ","));
    client_keys_free(k);
    config_done(&c);
}

/* What is no sealed list lets nobody in. */
static void test_broken_seal(void **state)
{
    (void)state;
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    static const char *const texts[] = { "hmac-sha256:", "hmac-sha256::", "hmac-sha256:key-one",
                                         "hmac-sha256:key:key-one,key-one" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct client_keys *k = client_keys_new(str_of(texts[i]));
        assert_non_null(k);
        assert_int_equal(k->n, 0);
        assert_false(has(k, "key-one"));
        assert_false(has(k, ""));
        client_keys_free(k);
    }
    char text[512];
    snprintf(text, sizeof(text), "hmac-sha256:%s:,g%s,%.63s,%s", zeros, zeros + 1, zeros, zeros);
    struct client_keys *k = client_keys_new(str_of(text));
    assert_int_equal(k->n, 1);
    client_keys_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_forms),  cmocka_unit_test(test_nothing_is_left),
        cmocka_unit_test(test_sealing),     cmocka_unit_test(test_empty),
        cmocka_unit_test(test_broken_seal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

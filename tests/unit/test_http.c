/*
 * Goal: the list of headers and the syntax checks that both codecs share.
 */
#include "unit.h"

#include <string.h>

#include <errno.h>

#include "http.h"

static void headers_are_found_joined_replaced(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    struct http_headers h = { .n = 0 };
    http_add(&h, &a, S("vary"), S(""));
    http_add(&h, &a, S("x"), S("1"));
    http_add(&h, &a, S("vary"), S("origin"));
    assert_str(http_join(&h, S("vary"), &a), S(", origin"));
    assert_str(http_join(&h, S("x"), &a), S("1"));
    assert_str(http_join(&h, S("none"), &a), S(""));
    assert_int_equal(http_count(&h, S("vary")), 2);
    assert_null(http_find(&h, S("Vary")));
    http_set(&h, &a, S("vary"), S("accept"));
    assert_int_equal(h.n, 2);
    assert_str(*http_find(&h, S("vary")), S("accept"));
    for (int i = 0; i < 100; i++)
        http_add(&h, &a, S("y"), arena_printf(&a, "%d", i));
    assert_str(h.v[101].value, S("99"));
    http_remove(&h, S("y"));
    assert_int_equal(h.n, 2);
    arena_done(&a);
}

/* Goal: a copy shares no byte with what it was made from. */
static void a_head_copy_stands_alone(void **state)
{
    (void)state;
    struct arena a, b;
    arena_init(&a, 1 << 20);
    arena_init(&b, 1 << 20);
    struct http_head from = { .method = arena_str(&a, S("GET")),
                              .target = arena_str(&a, S("/x")),
                              .authority = arena_str(&a, S("h")),
                              .content_length = 7 };
    http_add(&from.headers, &a, arena_str(&a, S("n")), arena_str(&a, S("v")));
    struct http_head to;
    http_head_copy(&from, &b, &to);
    arena_done(&a);
    assert_str(to.method, S("GET"));
    assert_str(to.target, S("/x"));
    assert_str(to.headers.v[0].value, S("v"));
    assert_int_equal(to.content_length, 7);
    arena_done(&b);
}

struct row {
    bool ok;
    struct str text;
};

static void authorities(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { true, S_INIT("h") },
        { true, S_INIT("api.example.com:443") },
        { true, S_INIT("127.0.0.1:80") },
        { true, S_INIT("[::1]:8080") },
        { true, S_INIT("[::1]") },
        { false, S_INIT("") },
        { false, S_INIT("a b") },
        { false, S_INIT("a@b") },
        { false, S_INIT("a/b") },
        { false, S_INIT("h:") },
        { false, S_INIT("h:x") },
        { false, S_INIT("h:65536") },
        { false, S_INIT(":80") },
        { false, S_INIT("[::1") },
        { false, S_INIT("[]") },
        { false, S_INIT("[::1]x") },
        { false, S_INIT("a\0b") },
        { false, S_INIT("\xc3\xa4") },
        { false, S_INIT("a:1:2") },
        { false, S_INIT("a?b") },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (http_authority_ok(rows[i].text) != rows[i].ok)
            fail_msg("authority \"" STR_FMT "\"", STR_ARG(rows[i].text));
}

static void targets(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { true, S_INIT("/") },      { true, S_INIT("/a?b=%00") }, { true, S_INIT("*") },
        { true, S_INIT("/../x") },  { false, S_INIT("") },        { false, S_INIT("a") },
        { false, S_INIT("/a b") },  { false, S_INIT("/#") },      { false, S_INIT("/%00") },
        { false, S_INIT("/\x80") }, { false, S_INIT("/\x7f") },   { false, S_INIT("/\0") },
        { false, S_INIT("*x") },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (http_target_ok(rows[i].text) != rows[i].ok)
            fail_msg("target \"" STR_FMT "\"", STR_ARG(rows[i].text));
}

static void small_checks(void **state)
{
    (void)state;
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";
    for (int c = 0; c < 256; c++) {
        const char byte = (char)c;
        bool lower = c != 0 && strchr(token, c) != NULL, upper = c >= 'A' && c <= 'Z';
        assert_int_equal(http_name_ok((struct str){ &byte, 1 }), lower || upper);
        assert_int_equal(http_lower_name_ok((struct str){ &byte, 1 }), lower);
    }
    assert_true(http_lower_name_ok(S("x_a-1")));
    assert_false(http_lower_name_ok(S("x_A-1")));
    assert_false(http_lower_name_ok(S("")));
    assert_true(http_name_ok(S("x_A-1")));
    assert_false(http_name_ok(S("")));
    assert_false(http_name_ok(S("x@y")));
    assert_false(http_name_ok(S("a\0")));
    assert_true(http_value_ok(S("a\tb \xff")));
    assert_false(http_value_ok(S("a\r")));
    assert_false(http_value_ok(S("a\x7f")));
    assert_true(http_is_hop(S("te")));
    assert_false(http_is_hop(S("x")));
    assert_true(http_has_token(S("a , Close"), S("close")));
    assert_false(http_has_token(S("closed"), S("close")));
    assert_string_equal(http_reason(404), "Not Found");
    assert_string_equal(http_reason(799), "");
    int64_t n = 0;
    assert_int_equal(http_content_length(S("9223372036854775807"), &n), 0);
    assert_true(n == INT64_MAX);
    assert_int_equal(http_content_length(S("9223372036854775808"), &n), -EINVAL);
    assert_int_equal(http_content_length(S("-1"), &n), -EINVAL);
}

/* Goal: whatever its length and wherever it stands, no control byte passes, and nothing else
 * is taken for one. */
static void each_byte_of_a_value_counts(void **state)
{
    char text[40];
    (void)state;
    for (size_t n = 1; n <= sizeof(text); n++)
        for (size_t at = 0; at < n; at++)
            for (unsigned c = 0; c < 256; c++) {
                memset(text, '\x80' + (char)at, sizeof(text));
                text[at] = (char)c;
                bool bad = (c < 0x20 && c != '\t') || c == 0x7f;
                assert_int_equal(http_value_ok((struct str){ text, n }), !bad);
            }
    assert_true(http_value_ok(S("")));
}

static void check_name_with(char c, size_t at, size_t n)
{
    static const char capitals[] = "AbCdE-f9HiJkLmNoPqRsTuVw", small[] = "abcde-f9hijklmnopqrstuvw";
    const char token[] = "!#$%&'*+-.^_`|~";
    char name[sizeof(capitals)];
    memcpy(name, capitals, sizeof(name));
    name[at] = c;
    struct str s = { name, n };
    char lower = (char)str_lower_byte((unsigned char)c);
    bool ok = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
              (c != '\0' && strchr(token, c) != NULL);
    assert_int_equal(http_name_ok(s), ok);
    assert_int_equal(http_name_to_lower(name, n), ok);
    if (!ok)
        return;
    assert_true(http_lower_name_ok(s));
    assert_int_equal(name[at], lower);
    name[at] = small[at];
    assert_memory_equal(name, small, n);
    assert_memory_equal(name + n, capitals + n, sizeof(name) - n); /* not touched */
}

/* Goal: whatever its length, a name becomes lower case, and every byte that is none of a token
 * spoils it wherever it stands. */
static void each_byte_of_a_name_counts(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 24; n++)
        for (size_t at = 0; at < n; at++)
            for (unsigned c = 0; c < 256; c++)
                check_name_with((char)c, at, n);
    assert_false(http_name_to_lower(NULL, 0));
}

static void hop_by_hop_fields_are_known(void **state)
{
    static const char *const names[] = {
        "connection", "keep-alive", "proxy-connection",   "transfer-encoding",   "te",
        "trailer",    "upgrade",    "proxy-authenticate", "proxy-authorization",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct str name = str_of(names[i]);
        assert_true(http_is_hop(name));
        assert_false(http_is_hop(str_slice(name, 0, name.n - 1)));
        assert_false(http_is_hop(str_slice(name, 1, name.n)));
    }
    assert_false(http_is_hop(S("")));
    assert_false(
        http_is_hop(S("a-name-of-sixty-four-bytes-that-must-not-be-shifted-by-its-length")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_found_joined_replaced),
        cmocka_unit_test(a_head_copy_stands_alone),
        cmocka_unit_test(authorities),
        cmocka_unit_test(targets),
        cmocka_unit_test(small_checks),
        cmocka_unit_test(each_byte_of_a_value_counts),
        cmocka_unit_test(each_byte_of_a_name_counts),
        cmocka_unit_test(hop_by_hop_fields_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

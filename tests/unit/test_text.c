/*
 * Goal: a text is what may stand between quotes in any JSON and any SSE line; texts keep their
 * bytes unless they must not; looks see through escapes; deltas may be cut anywhere.
 */
#include "unit.h"

#include "arena_fixture.h"
#include "json.h"
#include "text.c"

#define E(hex) "\\u" hex /* an escape that the compiler leaves alone */
#define BAD E("fffd")

static struct str as_str(struct text t)
{
    return (struct str){ t.p, t.n };
}

static struct text of_quoted(struct str quoted)
{
    struct json_edit e;
    json_edit_init(&e, &arena, quoted);
    return text_of(&e, &arena, json_root(&e));
}

struct row {
    struct str from, to;
};

/* What is in order stays a slice; what is not is replaced and all around it is kept. */
static void text_of_mends(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { S_INIT(""), S_INIT("") },
        { S_INIT("a\\n\\\"\\/" E("0000") E("00e9")), S_INIT("a\\n\\\"\\/" E("0000") E("00e9")) },
        { S_INIT(E("d83d") E("de00")), S_INIT(E("d83d") E("de00")) },
        { S_INIT("\xe2\x82\xac\xc2\xa0\xf0\x9f\x98\x80"),
          S_INIT("\xe2\x82\xac\xc2\xa0\xf0\x9f\x98\x80") },
        { S_INIT(E("2028") "\\\\ud800"), S_INIT(E("2028") "\\\\ud800") },
        { S_INIT(E("d83d")), S_INIT(BAD) },
        { S_INIT("x" E("DE00") "y"), S_INIT("x" BAD "y") },
        { S_INIT(E("d83d") E("d83d") E("de00") E("de00")), S_INIT(BAD E("d83d") E("de00") BAD) },
        { S_INIT(E("d83d") E("0041")), S_INIT(BAD E("0041")) },
        { S_INIT(E("d83d") "\\\\"), S_INIT(BAD "\\\\") },
        { S_INIT("\\\\" E("d83d")), S_INIT("\\\\" BAD) },
        { S_INIT("12345678\xc2\x85\xe2\x80\xa8\xe2\x80\xa9"
                 "12345678"),
          S_INIT("12345678" E("0085") E("2028") E("2029") "12345678") },
        { S_INIT("1234567890\n\r\t\x01\x1f"), S_INIT("1234567890\\n\\r\\t" E("0001") E("001f")) },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str quoted = arena_printf(&arena, "\"" STR_FMT "\"", STR_ARG(rows[i].from));
        struct text got = of_quoted(quoted);
        assert_str(as_str(got), rows[i].to);
        if (str_eq(rows[i].from, rows[i].to))
            assert_ptr_equal(got.p, quoted.p + 1);
    }
}

/* Every place in a word must be looked at: eight bytes are skipped at once. */
static void text_of_sees_every_byte(void **state)
{
    (void)state;
    for (int at = 0; at < 24; at++) {
        for (int c = 1; c < 0x100; c++) {
            char in[26] = "abcdefghijklmnopqrstuvwx";
            in[at] = (char)c;
            struct text_flaw flaw = { 0 };
            bool found = text_flaw_find((struct str){ in, 24 }, &flaw);
            assert_int_equal(found, c < 0x20);
            assert_true(!found || flaw.at == (size_t)at);
        }
    }
}

static void text_of_takes_strings_only(void **state)
{
    (void)state;
    assert_int_equal(of_quoted(S("17")).n, 0);
    struct json_edit e;
    json_edit_init(&e, &arena, S("{}"));
    assert_int_equal(text_of(&e, &arena, NULL).n, 0);
    assert_int_equal(text_inside(&e, json_root(&e)).n, 0);
}

static void escape_and_plain(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { S_INIT(""), S_INIT("") },
        { S_INIT("plain \xc3\xa9"), S_INIT("plain \xc3\xa9") },
        { S_INIT("\"\\\n\x01"), S_INIT("\\\"\\\\\\n" E("0001")) },
        { S_INIT("\xe2\x80\xa8"), S_INIT(E("2028")) },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct text t = text_escape(&arena, rows[i].from);
        assert_str(as_str(t), rows[i].to);
        assert_str(text_plain(&arena, t), rows[i].from);
    }
    assert_str(as_str(text_escape(&arena, S("a\xff"
                                            "b"))),
               S("a\xef\xbf\xbd"
                 "b"));
    assert_str(text_plain(&arena, TEXT("a" E("d83d") E("de00") "\\/b")), S("a\xf0\x9f\x98\x80/b"));
    struct str slice = S("slice");
    assert_ptr_equal(text_escape(&arena, slice).p, slice.p);
    assert_ptr_equal(text_plain(&arena, (struct text){ slice.p, slice.n }).p, slice.p);
}

static void blank_and_trim(void **state)
{
    (void)state;
    static const struct {
        struct text text, trimmed;
    } rows[] = {
        { { "", 0 }, { "", 0 } },
        { { NULL, 0 }, { "", 0 } },
        { { " \\n\\t\\r" E("0020") E("000A"), 19 }, { "", 0 } },
        { { "a\\n ", 4 }, { "a", 1 } },
        { { "a\\\\n", 4 }, { "a\\\\n", 4 } },       /* a backslash, then n */
        { { "a\\\\\\n", 5 }, { "a\\\\", 3 } },      /* a backslash, then a line feed */
        { { "a\xc2\xa0", 3 }, { "a\xc2\xa0", 3 } }, /* U+00A0 is a character */
        { { "a" E("00a0"), 7 }, { "a" E("00a0"), 7 } },
        { { " a", 2 }, { " a", 2 } },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct text got = text_trim_end(rows[i].text);
        assert_str(as_str(got), as_str(rows[i].trimmed));
        assert_int_equal(text_blank(rows[i].text), rows[i].trimmed.n == 0);
        assert_int_equal(text_blank(text_trim_start(rows[i].text)), rows[i].trimmed.n == 0);
    }
}

static void looks(void **state)
{
    (void)state;
    assert_str(as_str(text_trim_start(TEXT(" \\n" E("0020") "a \\n"))), S("a \\n"));
    assert_str(as_str(text_trim_start(TEXT("\\\\n"))), S("\\\\n"));
    assert_true(text_starts(TEXT("x-anthropic"), S("x-")));
    assert_true(text_starts(TEXT(E("0078") "-a"), S("x-a")));
    assert_false(text_starts(TEXT("x"), S("x-")));
    assert_false(text_starts(TEXT("X-"), S("x-")));
    assert_true(text_starts_nocase(TEXT("X-" E("0041")), S("x-a")));
    assert_false(text_starts(TEXT("\xf8-"), S("x-")));
    assert_true(text_starts(TEXT(""), S("")));
    assert_int_equal(text_chars(TEXT("a\xc3\xa9\xf0\x9f\x98\x80\\n" E("d83d") E("de00"))), 5);
    assert_int_equal(text_chars((struct text){ NULL, 0 }), 0);
    struct text x = TEXT("x"), none = { NULL, 0 };
    assert_ptr_equal(text_cat(&arena, x, none).p, x.p);
    assert_ptr_equal(text_cat(&arena, none, x).p, x.p);
    assert_str(as_str(text_cat(&arena, x, TEXT("\\n"))), S("x\\n"));
}

/* Every length around the sixteen bytes that are looked at together. */
static void counts_characters(void **state)
{
    const struct text chars[] = {
        TEXT("a"),        TEXT("\xe4\xb8\xad"), TEXT("\\n"),
        TEXT("\xc3\xa9"), TEXT(E("00e9")),      TEXT("\xf0\x9f\x98\x80"),
        TEXT("\\\\"),     TEXT("\x7f"),         TEXT(E("d83d") E("de00"))
    };
    (void)state;
    for (size_t first = 0; first < ARRAY_LEN(chars); first++) {
        for (size_t step = 0; step < ARRAY_LEN(chars); step++) {
            struct text t = { NULL, 0 };
            for (size_t n = 0; n < 60; n++) {
                assert_int_equal(text_chars(t), n);
                t = text_cat(&arena, t, chars[(first + n * step) % ARRAY_LEN(chars)]);
            }
        }
    }
}

static struct str join_cut(struct str whole, size_t cut)
{
    struct text_held held = { .n = 0 };
    struct text x = text_join(&held, &arena, str_slice(whole, 0, cut));
    x = text_cat(&arena, x, text_join(&held, &arena, S("")));
    x = text_cat(&arena, x, text_join(&held, &arena, str_slice(whole, cut, whole.n)));
    struct str got = as_str(text_cat(&arena, x, text_join_end(&held)));
    assert_int_equal(held.n, 0);
    return got;
}

/* Method: cut between every two escapes; all cuts give what the whole gives. */
static void join_every_cut(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { S_INIT(E("d83d") E("de00")), S_INIT(E("d83d") E("de00")) },
        { S_INIT(E("d83d") E("d83d") E("de00") E("de00")), S_INIT(BAD E("d83d") E("de00") BAD) },
        { S_INIT(E("d83d") E("0041")), S_INIT(BAD E("0041")) },
        { S_INIT("\\\\" E("D83D") E("DE00") "\\\\" E("d83d")),
          S_INIT("\\\\" E("D83D") E("DE00") "\\\\" BAD) },
        { S_INIT("\\\\ud83d"), S_INIT("\\\\ud83d") },
        { S_INIT("abc\\n\xe2\x80\xa8"), S_INIT("abc\\n" E("2028")) },
        { S_INIT(E("Dce4") E("Dcb8") E("Dcad")), S_INIT("\xe4\xb8\xad") },
        { S_INIT("a" E("Dcf0") E("Dc9f") E("Dc98") E("Dc80") "b"), S_INIT("a\xf0\x9f\x98\x80"
                                                                          "b") },
        { S_INIT(E("Dce4") E("Dcb8") "x" E("Dce4")), S_INIT(BAD "x" BAD) },
        { S_INIT(E("Dcb8") E("Dcad") E("Dce4") E("Dce4")), S_INIT(BAD BAD BAD BAD) },
        { S_INIT(E("Dce2") E("Dc80") E("Dca9")), S_INIT(E("2029")) },
        { S_INIT(E("Dcc2") E("Dc85") E("Dce4") E("0041")), S_INIT(E("0085") BAD E("0041")) },
        { S_INIT("\\\\uDce4\\\\" E("Dce4")), S_INIT("\\\\uDce4\\\\" BAD) },
        { S_INIT(E("d83d") E("Dce4") E("Dce4")), S_INIT(E("d83d") E("Dce4") BAD) },
        { S_INIT(E("d83d") E("Dcf0") E("Dcf0") E("Dc9f") E("Dc98")),
          S_INIT(E("d83d") E("Dcf0") BAD) },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str whole = rows[i].from;
        const char *p = whole.p, *end = whole.p + whole.n;
        for (;;) {
            assert_str(join_cut(whole, (size_t)(p - whole.p)), rows[i].to);
            if (p == end)
                break;
            bool escape = *p == '\\', raw = (unsigned char)*p >= 0x80;
            p += escape ? (p[1] == 'u' ? 6 : 2) : raw ? 3 : 1;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_of_mends, setup, teardown),
        cmocka_unit_test_setup_teardown(text_of_sees_every_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(text_of_takes_strings_only, setup, teardown),
        cmocka_unit_test_setup_teardown(escape_and_plain, setup, teardown),
        cmocka_unit_test_setup_teardown(blank_and_trim, setup, teardown),
        cmocka_unit_test_setup_teardown(looks, setup, teardown),
        cmocka_unit_test_setup_teardown(counts_characters, setup, teardown),
        cmocka_unit_test_setup_teardown(join_every_cut, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

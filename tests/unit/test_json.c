/*
 * Goal: json_parse() takes RFC 8259 and nothing else, and says where it stopped;
 * json_check() agrees with it;
 * json_write_str() writes what every reader takes.
 */
#include "unit.h"

#include "err.h"
#include "json.h"
#include "json_scan.h"

static int parse(struct str text, struct json_error *ret_error)
{
    yyjson_doc *doc = NULL;
    int e = json_parse(text, &doc, ret_error);
    assert_true((e == 0) == (doc != NULL));
    struct json_error checked = { .offset = 0 };
    assert_int_equal(json_is_valid(text), e == 0);
    assert_int_equal(json_check(text, &checked), e);
    if (e < 0 && ret_error != NULL)
        assert_int_equal(checked.offset, ret_error->offset);
    yyjson_doc_free(doc);
    return e;
}

/* What json_values() says of a valid text is what a document of it holds. */
static void check_values(struct str text)
{
    yyjson_doc *doc = NULL;
    assert_int_equal(json_parse(text, &doc, NULL), 0);
    size_t names = 0, n = yyjson_doc_get_val_count(doc);
    yyjson_val *v = yyjson_doc_get_root(doc);
    for (size_t i = 0; i < n; i++)
        names += yyjson_is_obj(&v[i]) ? yyjson_obj_size(&v[i]) : 0;
    assert_int_equal(json_values(text), n - names);
    assert_int_equal(json_items(text), n);
    yyjson_doc_free(doc);
}

/* Goal: a look finds raw values, of duplicates the last, and says so; names are compared
 * unescaped, and what is no object has none. */
static void a_look_finds_members(void **state)
{
    static const struct {
        struct str text, a, b;
        bool a_twice;
    } cases[] = {
        { S_INIT("{}"), S_INIT(""), S_INIT(""), false },
        { S_INIT("{\"a\":1}"), S_INIT("1"), S_INIT(""), false },
        { S_INIT("{ \"b\" : [1,{\"a\":2}] , \"a\"\n:\t\"}\" }"), S_INIT("\"}\""),
          S_INIT("[1,{\"a\":2}]"), false },
        { S_INIT("{\"a\":1,\"\\u0061\":{\"b\":3},\"c\":null}"), S_INIT("{\"b\":3}"), S_INIT(""),
          true },
        { S_INIT("{\"a\":\"\",\"b\":\"\"}"), S_INIT("\"\""), S_INIT("\"\""), false },
        { S_INIT("[\"a\",1]"), S_INIT(""), S_INIT(""), false },
        { S_INIT("\"a\""), S_INIT(""), S_INIT(""), false },
        { S_INIT(""), S_INIT(""), S_INIT(""), false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json_wanted w[] = { { .name = S("a") }, { .name = S("b") } };
        json_look(cases[i].text, w, 2);
        assert_str(w[0].raw, cases[i].a);
        assert_str(w[1].raw, cases[i].b);
        assert_int_equal(w[0].twice, cases[i].a_twice);
        assert_false(w[1].twice);
    }
    static const struct {
        struct str text;
        size_t items;
    } lists[] = {
        { S_INIT("{\"a\":[]}"), 0 },
        { S_INIT("{\"a\": [ ] }"), 0 },
        { S_INIT("{\"a\":[[]]}"), 1 },
        { S_INIT("{\"a\":[\",,\",[1,2],{\"b\":[1,2]} ,3]}"), 4 },
        { S_INIT("{\"a\":{\"b\":1,\"c\":2}}"), 0 },
        { S_INIT("{\"a\":[1,2],\"a\":[1,2,3]}"), 3 },
        { S_INIT("{\"a\":[1,2],\"a\":1}"), 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct json_wanted w = { .name = S("a") };
        json_look(lists[i].text, &w, 1);
        assert_int_equal(w.items, lists[i].items);
    }
    assert_true(json_has_name(S("[{\"a\":[{\"b\" : 1}]}]"), S("b")));
    assert_true(json_has_name(S("{\"\\u0062\":1}"), S("b")));
    assert_false(json_has_name(S("[\"b\",{\"a\":\"b\"},\"\\\"b\\\":\"]"), S("b")));
    assert_false(json_has_name((struct str){ NULL, 0 }, S("b")));
    assert_str(json_first_of(S("[ {\"a\":[1]} , 2]")), S("{\"a\":[1]}"));
    assert_str(json_first_of(S("[]")), S(""));
    assert_str(json_first_of(S("[ ]")), S(""));
    assert_str(json_first_of(S("{\"a\":1}")), S(""));
    assert_str(json_first_of(S("")), S(""));
}

/* Goal: a name is compared unescaped, wherever an escape stands and whatever it stands for. */
static void names_are_compared_unescaped(void **state)
{
    static const struct {
        struct str quoted, text;
        bool same;
    } cases[] = {
        { S_INIT("\"\""), S_INIT(""), true },
        { S_INIT("\"a\""), S_INIT(""), false },
        { S_INIT("\"ab\""), S_INIT("ab"), true },
        { S_INIT("\"ab\""), S_INIT("abc"), false },
        { S_INIT("\"abc\""), S_INIT("ab"), false },
        { S_INIT("\"ac\""), S_INIT("ab"), false },
        { S_INIT("\"\\u0061b\""), S_INIT("ab"), true },
        { S_INIT("\"a\\u0062\""), S_INIT("ab"), true },
        { S_INIT("\"a\\u0063\""), S_INIT("ab"), false },
        { S_INIT("\"ab\\u0063\""), S_INIT("ab"), false },
        { S_INIT("\"a\\\"\""), S_INIT("a\""), true },
        { S_INIT("\"a\\\\\""), S_INIT("a\\"), true },
        { S_INIT("\"a\\n\""), S_INIT("a\\n"), false },
        { S_INIT("\"a\\n\""), S_INIT("a\n"), true },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (json_quoted_is(cases[i].quoted, cases[i].text) != cases[i].same)
            fail_msg("case %zu", i);
}

static void values_are_counted(void **state)
{
    (void)state;
    check_values(S("1"));
    check_values(S(" [ ] "));
    check_values(S("{\"a\":{},\"b\":[ 1 , 2,[3]],\"c\":\"x,[{\\\"\"}"));
    check_values(S("[[],[[]],{},{\"[\":\"]\"},null,-1.5e3,true]"));
}

static void good_texts(void **state)
{
    (void)state;
    static const struct str texts[] = {
        S_INIT("{}"),
        S_INIT(" \t\r\n[ ] \n"),
        S_INIT("null"),
        S_INIT("-0"),
        S_INIT("1e999"),
        S_INIT("123456789012345678901234567890"),
        S_INIT("\"\\u0000\\ud83d\\ude00\\/\""),
        S_INIT("\"\\ud800\""), /* lone surrogates are in the grammar */
        S_INIT("[\"\\udc00\\ud800x\\ud800\\u0041\"]"),
        S_INIT("\"\xf4\x8f\xbf\xbf\x7f\""),
        S_INIT("{\"a\":1,\"a\":2}"),
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_equal(parse(texts[i], NULL), 0);
}

static void bad_texts(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        size_t offset;
    } rows[] = {
        { S_INIT(""), 0 },
        { S_INIT("  "), 0 },
        { S_INIT("\xef\xbb\xbf{}"), 0 },
        { S_INIT("{} x"), 3 },
        { S_INIT("{}\0"), 2 },
        { S_INIT("[1,]"), 2 },
        { S_INIT("{\"a\":1,}"), 6 },
        { S_INIT("{'a':1}"), 1 },
        { S_INIT("[01]"), 1 },
        { S_INIT("[+1]"), 1 },
        { S_INIT("[.5]"), 1 },
        { S_INIT("[1.]"), 3 },
        { S_INIT("[0x1]"), 2 },
        { S_INIT("[NaN]"), 1 },
        { S_INIT("[1]//"), 3 },
        { S_INIT("\"a\nb\""), 2 },
        { S_INIT("\"\\x\""), 2 },
        { S_INIT("\"\\u12g4\""), 1 },
        { S_INIT("\"\xc0\x80\""), 1 },         /* overlong */
        { S_INIT("\"\xe0\x80\x80\""), 1 },     /* overlong */
        { S_INIT("\"\xed\xa0\x80\""), 1 },     /* an encoded surrogate */
        { S_INIT("\"\xf4\x90\x80\x80\""), 1 }, /* above U+10FFFF */
        { S_INIT("\"\xe2\x82\""), 1 },
        { S_INIT("[\"\\ud800\",x]"), 10 }, /* the second try keeps the offsets */
        { S_INIT("[\"\\ud800\\"), 9 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json_error error = { .offset = 99 };
        assert_int_equal(parse(rows[i].text, &error), E_BAD_JSON);
        assert_non_null(error.reason);
        if (error.offset != rows[i].offset)
            fail_msg("row %zu: offset %zu, want %zu (%s)", i, error.offset, rows[i].offset,
                     error.reason);
    }
}

/* Goal: a text is bad at every cut, and the offset is inside of it. */
static void every_cut_is_an_error(void **state)
{
    (void)state;
    struct str text = S("{\"a\":[1,-2.5e3,\"x\\u00e9\\n\xc3\xa9\"],\"b\":{\"c\":null,\"d\":true}}");
    for (size_t cut = 0; cut < text.n; cut++) {
        char *copy = mem_dup(text.p, cut + 1); /* for the sanitizer to see over-reads */
        struct json_error error;
        assert_int_equal(parse((struct str){ copy, cut }, &error), E_BAD_JSON);
        assert_true(error.offset <= cut);
        free(copy);
    }
    assert_int_equal(parse(text, NULL), 0);
}

static int parse_nested(size_t levels, struct json_error *ret_error)
{
    char *text = mem_alloc(2 * levels);
    memset(text, '[', levels);
    memset(text + levels, ']', levels);
    int e = parse((struct str){ text, 2 * levels }, ret_error);
    free(text);
    return e;
}

static void depth_has_a_limit(void **state)
{
    (void)state;
    struct json_error error;
    assert_int_equal(parse_nested(JSON_DEPTH_MAX, &error), 0);
    assert_int_equal(parse_nested(JSON_DEPTH_MAX + 1, &error), E_BAD_JSON);
    assert_int_equal(error.offset, JSON_DEPTH_MAX);
    assert_int_equal(parse_nested(1000000, &error), E_BAD_JSON);
}

/* Goal: many values in a flat text do not count as depth; brackets in strings neither. */
static void width_is_no_depth(void **state)
{
    (void)state;
    char text[6 * 2000 + 2] = "[";
    for (size_t i = 0; i < 2000; i++)
        memcpy(text + 1 + 6 * i, "\"[\\\"\",", 6);
    text[6 * 2000] = ']';
    assert_int_equal(parse((struct str){ text, 6 * 2000 + 1 }, NULL), 0);
}

static void members_are_found(void **state)
{
    (void)state;
    yyjson_doc *doc;
    struct str text =
        S("{\"s\":\"old\",\"\\u0073\":\"a\\ud800b\",\"t\":true,\"z\\u0000z\":1,\"n\":null}");
    assert_int_equal(json_parse(text, &doc, NULL), 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_str(json_member_str(root, S("s")), S("a\xef\xbf\xbd"
                                                "b"));
    assert_str(json_member_str(root, S("t")), S(""));
    assert_str(json_member_str(root, S("missing")), S(""));
    assert_true(json_member_true(root, S("t")));
    assert_false(json_member_true(root, S("n")));
    assert_non_null(json_member(root, S("z\0z")));
    assert_null(json_member(root, S("z")));
    assert_null(json_member(NULL, S("z")));
    assert_null(json_member(json_member(root, S("t")), S("z")));
    yyjson_doc_free(doc);
}

static void integers_in_any_spelling(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        bool is;
        uint64_t n;
    } rows[] = {
        { S_INIT("{\"n\":5}"), true, 5 },
        { S_INIT("{\"n\":1e3}"), true, 1000 },
        { S_INIT("{\"n\":10.0}"), true, 10 },
        { S_INIT("{\"n\":-0}"), true, 0 },
        { S_INIT("{\"n\":18446744073709551615}"), true, UINT64_MAX },
        { S_INIT("{\"n\":18446744073709551616}"), false, 7 },
        { S_INIT("{\"n\":1e300}"), false, 7 },
        { S_INIT("{\"n\":1e999}"), false, 7 },
        { S_INIT("{\"n\":-1}"), false, 7 },
        { S_INIT("{\"n\":1.5}"), false, 7 },
        { S_INIT("{\"n\":\"5\"}"), false, 7 },
        { S_INIT("{\"m\":5}"), false, 7 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        yyjson_doc *doc;
        uint64_t n = 7;
        assert_int_equal(json_parse(rows[i].text, &doc, NULL), 0);
        assert_int_equal(json_member_u64(yyjson_doc_get_root(doc), S("n"), &n), rows[i].is);
        assert_true(n == rows[i].n);
        yyjson_doc_free(doc);
    }
}

static void strings_are_escaped(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    assert_str(json_quote(&a, (struct str){ NULL, 0 }), S("\"\"")); /* no place */
    assert_str(json_quote(&a, S("")), S("\"\""));
    assert_str(json_quote(&a, S("a/b\x7f \"q\" \\")), S("\"a/b\x7f \\\"q\\\" \\\\\""));
    assert_str(json_quote(&a, S("\b\f\n\r\t\0\x1f")), S("\"\\b\\f\\n\\r\\t\\u0000\\u001f\""));
    assert_str(json_quote(&a, S("\xc2\x85\xe2\x80\xa8\xe2\x80\xa9")),
               S("\"\\u0085\\u2028\\u2029\""));
    assert_str(json_quote(&a, S("\xc2\x86\xe2\x80\xaa\xf0\x9f\x98\x80")),
               S("\"\xc2\x86\xe2\x80\xaa\xf0\x9f\x98\x80\""));
    arena_done(&a);
}

/* Goal: one U+FFFD for each longest beginning of a sequence (Unicode 3.9, table 3-8). */
static void invalid_utf8_is_replaced(void **state)
{
    (void)state;
#define R "\xef\xbf\xbd"
    struct arena a;
    arena_init(&a, 1 << 20);
    assert_str(json_quote(&a, S("\x61\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64")),
               S("\"a" R R R "b" R "c" R R "d\""));
    assert_str(json_quote(&a, S("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82")), S("\"" R R R R R R R R "\""));
    assert_str(json_quote(&a, S("\xed\xa0\x80\xf4\x91\xff")), S("\"" R R R R R R "\""));
    assert_str(json_quote(&a, S("\xe2\x80")), S("\"" R "\""));
    arena_done(&a);
#undef R
}

/* Goal: what upstreams get wrong is mended, the rest stays, and any text may be given. */
static void odd_texts_are_relaxed(void **state)
{
    (void)state;
    static const struct str rows[][2] = {
        { S_INIT("{\"a\":NaN,\"b\":-Infinity,\"c\":Infinity}"),
          S_INIT("{\"a\":null,\"b\":null,\"c\":null}") },
        { S_INIT("\"NaN\\n\tx\""), S_INIT("\"NaN\\n\\tx\"") },
        { S_INIT("\"a\xff"
                 "b\xe4\xb8\""),
          S_INIT("\"a\xef\xbf\xbd"
                 "b\\uDce4\\uDcb8\"") },
        { S_INIT("[\"\x80\xbf\x80\x80z\xf0\x9f\x98\"]"),
          S_INIT("[\"\\uDc80\\uDcbf\\uDc80\xef\xbf\xbdz\\uDcf0\\uDc9f\\uDc98\"]") },
        { S_INIT("\"\xc0\xed\xa0\""), S_INIT("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"") },
        { S_INIT("{\"a\\\"b\":[1.50,true,\"\\u00e4\"]}"),
          S_INIT("{\"a\\\"b\":[1.50,true,\"\\u00e4\"]}") },
    };
    struct arena a;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_str(json_relax(&a, rows[i][0]), rows[i][1]);
        for (size_t cut = 0; cut <= rows[i][0].n; cut++) { /* on the heap: ASan sees its end */
            char *copy = mem_dup(rows[i][0].p, cut);
            json_relax(&a, (struct str){ copy, cut });
            free(copy);
        }
    }
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_texts_are_relaxed),
        cmocka_unit_test(good_texts),
        cmocka_unit_test(bad_texts),
        cmocka_unit_test(every_cut_is_an_error),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(width_is_no_depth),
        cmocka_unit_test(members_are_found),
        cmocka_unit_test(a_look_finds_members),
        cmocka_unit_test(names_are_compared_unescaped),
        cmocka_unit_test(values_are_counted),
        cmocka_unit_test(integers_in_any_spelling),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(invalid_utf8_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

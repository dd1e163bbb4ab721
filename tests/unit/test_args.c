/*
 * Goal: arguments of calls keep every byte that means something, nothing is repaired, and what
 * no object can hold comes back as it was (C1.7).
 */
#include "unit.h"

#include "arena_fixture.h"
#include "args.c"

struct row {
    struct str from, to;
};

static void object_of_arguments(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { S_INIT(""), S_INIT("{}") },
        { S_INIT(" \n"), S_INIT("{}") },
        { S_INIT("null"), S_INIT("{}") },
        { S_INIT(" null "), S_INIT("{}") },
        { S_INIT("{ \"z\" : 12345678901234567890, \"a\":1.0,\"z\":1e400 }"),
          S_INIT("{\"z\":12345678901234567890,\"a\":1.0,\"z\":1e400}") },
        { S_INIT("\"{\\\"a\\\": 1}\""), S_INIT("{\"a\":1}") },
        { S_INIT("{\"a\":"), S_INIT("{\"__ccp_raw_arguments\":\"{\\\"a\\\":\"}") },
        { S_INIT("[1,2]"), S_INIT("{\"__ccp_raw_arguments\":\"[1,2]\"}") },
        { S_INIT("\"x\""), S_INIT("{\"__ccp_raw_arguments\":\"\\\"x\\\"\"}") },
        { S_INIT("7"), S_INIT("{\"__ccp_raw_arguments\":\"7\"}") },
        { S_INIT("{} {}"), S_INIT("{\"__ccp_raw_arguments\":\"{} {}\"}") },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_str(args_object(&arena, rows[i].from), rows[i].to);
    struct str object = S("{\"a\":1}");
    assert_ptr_equal(args_object(&arena, object).p, object.p);
}

static void text_of_input(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { S_INIT(""), S_INIT("{}") },
        { S_INIT("null"), S_INIT("{}") },
        { S_INIT("{ \"a\": [ 1 ] }"), S_INIT("{\"a\":[1]}") },
        { S_INIT("\"{\\\"a\\\":1}\""), S_INIT("{\"a\":1}") },
        { S_INIT("\"x\""), S_INIT("\"x\"") },
        { S_INIT("[ 1 ]"), S_INIT("[1]") },
        { S_INIT("{ \"__ccp_raw_arguments\" : \"{\\\"a\\\":\" }"), S_INIT("{\"a\":") },
        { S_INIT("{\"__ccp_raw_arguments\":\"x\",\"b\":1}"),
          S_INIT("{\"__ccp_raw_arguments\":\"x\",\"b\":1}") },
        { S_INIT("{\"__ccp_raw_arguments\":1}"), S_INIT("{\"__ccp_raw_arguments\":1}") },
        { S_INIT("{ }"), S_INIT("{}") },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_str(args_text(&arena, rows[i].from), rows[i].to);
}

/* E42: what was no object goes there and back unchanged. */
static void raw_arguments_come_back(void **state)
{
    (void)state;
    static const struct str texts[] = { S_INIT("{\"a\":"), S_INIT("[1, 2]"), S_INIT("a\nb\\\"") };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_str(args_text(&arena, args_object(&arena, texts[i])), texts[i]);
}

static void custom_tools(void **state)
{
    (void)state;
    assert_str(args_wrap(&arena, S("a\n\"")), S("{\"input\":\"a\\n\\\"\"}"));
    static const struct row rows[] = {
        { S_INIT("{\"input\":\"*** Begin\\n\"}"), S_INIT("*** Begin\n") },
        { S_INIT("{\"x\":\"y\",\"input\":\"i\"}"), S_INIT("i") },
        { S_INIT("{\"patch\":\"p\"}"), S_INIT("p") },
        { S_INIT("{\"a\":\"p\",\"b\":\"q\"}"), S_INIT("{\"a\":\"p\",\"b\":\"q\"}") },
        { S_INIT("{\"input\":7}"), S_INIT("{\"input\":7}") },
        { S_INIT("{}"), S_INIT("{}") },
        { S_INIT("*** Begin"), S_INIT("*** Begin") },
        { S_INIT("\"s\""), S_INIT("\"s\"") },
        { S_INIT(""), S_INIT("") },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_str(args_unwrap(&arena, rows[i].from), rows[i].to);
}

static void wrapped_values(void **state)
{
    (void)state;
    assert_str(args_unwrap_value(&arena, S(" {\"value\": [1, 2] }")), S("[1, 2]"));
    assert_str(args_unwrap_value(&arena, S("{\"x\":1}")), S("{\"x\":1}"));
    assert_str(args_unwrap_value(&arena, S("{\"value\":")), S("{\"value\":"));
    assert_str(args_unwrap_value(&arena, S("[1]")), S("[1]"));
}

static bool complete(struct str escaped, size_t cut)
{
    struct args_scan s = { 0 };
    args_scan_feed(&s, (struct text){ escaped.p, cut });
    args_scan_feed(&s, (struct text){ escaped.p + cut, escaped.n - cut });
    return s.complete;
}

/* Method: cut behind every escape; nothing but the whole is complete. */
static void scan_every_cut(void **state)
{
    (void)state;
    static const struct {
        struct str text; /* as between quotes */
        bool complete;
    } rows[] = {
        { S_INIT(""), false },
        { S_INIT("{}"), true },
        { S_INIT("{\\\"a\\\":[1,{\\\"b\\\":\\\"}\\\"}]} \\n"), true },
        { S_INIT("{\\\"a\\\":\\\"\\\\\\\"}\\\"}"), true },
        { S_INIT("{\\\"a\\\":\\\"\\\\\\\"}"), false },
        { S_INIT("\\\"x\\\""), true },
        { S_INIT("{}{"), false },
        { S_INIT("{}{}"), false },
        { S_INIT("}{"), false },
        { S_INIT("\\u007b\\u007D"), true },
        { S_INIT("{\\\"\xc3\xa9\\ud83d\\ude00\\\":1"), false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t cut = 0;
        while (cut < rows[i].text.n) {
            bool escape = rows[i].text.p[cut] == '\\';
            cut += escape ? (rows[i].text.p[cut + 1] == 'u' ? 6 : 2) : 1;
            assert_int_equal(complete(rows[i].text, cut), rows[i].complete);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(object_of_arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(text_of_input, setup, teardown),
        cmocka_unit_test_setup_teardown(raw_arguments_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(custom_tools, setup, teardown),
        cmocka_unit_test_setup_teardown(wrapped_values, setup, teardown),
        cmocka_unit_test_setup_teardown(scan_every_cut, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

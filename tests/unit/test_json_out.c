/*
 * Goal: what json_out writes is JSON without white space, commas where they belong, and raw
 * values keep every byte of their strings but what must not be in them.
 */
#include "unit.h"

#include "arena_fixture.h"
#include "json.h"
#include "json_out.c"

#define E(hex) "\\u" hex

static void members_and_elements(void **state)
{
    (void)state;
    struct buf buf;
    struct json_out o;
    buf_init(&buf, 1 << 16);
    json_out_init(&o, &buf);
    json_out_object(&o);
    json_out_member_str(&o, S("s\n"), S("a\"\xff"));
    json_out_member_text(&o, S("t"), TEXT("a\\n"));
    json_out_member_raw(&o, S("r"), S(" { \"a b\" : [ 1.50 , true ] } "));
    json_out_member_i64(&o, S("n"), INT64_MIN);
    json_out_name(&o, S("list"));
    json_out_array(&o);
    json_out_array(&o);
    json_out_array_end(&o);
    json_out_object(&o);
    json_out_object_end(&o);
    json_out_i64(&o, 7);
    json_out_string_begin(&o);
    json_out_string_add(&o, TEXT("x"));
    json_out_string_add(&o, TEXT("\\n"));
    json_out_string_end(&o);
    json_out_bool(&o, false);
    json_out_array_end(&o);
    json_out_member_bool(&o, S("b"), true);
    json_out_member_null(&o, S("z"));
    json_out_object_end(&o);
    assert_str(buf_str(&buf),
               S("{\"s\\n\":\"a\\\"\xef\xbf\xbd\",\"t\":\"a\\n\",\"r\":{\"a b\":[1.50,true]},"
                 "\"n\":-9223372036854775808,\"list\":[[],{},7,\"x\\n\",false],\"b\":true,"
                 "\"z\":null}"));
    buf_done(&buf);
}

/* json_compact() and json_out_raw() give the same; a slice when there is nothing to do. */
static void raw_values(void **state)
{
    (void)state;
    static const struct {
        struct str from, to;
    } rows[] = {
        { S_INIT("{\"a\":[1,2e3,\" \\\" \"]}"), S_INIT("{\"a\":[1,2e3,\" \\\" \"]}") },
        { S_INIT("1"), S_INIT("1") },
        { S_INIT("\"\""), S_INIT("\"\"") },
        { S_INIT(" [ ] "), S_INIT("[]") },
        { S_INIT("{ \"a\"\t:\r\n[ 1 , 2 ] , \"a\" : \" , \" }"),
          S_INIT("{\"a\":[1,2],\"a\":\" , \"}") },
        { S_INIT("{\"" E("d800") "\":\"x" E("d83d") E("de00") E("dc00") "y\"}"),
          S_INIT("{\"" E("fffd") "\":\"x" E("d83d") E("de00") E("fffd") "y\"}") },
        { S_INIT("[\"\xe2\x80\xa8\",\"\xe2\x80\xa9\xc2\x85\"]"),
          S_INIT("[\"" E("2028") "\",\"" E("2029") E("0085") "\"]") },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str got = json_compact(&arena, rows[i].from);
        assert_str(got, rows[i].to);
        if (str_eq(str_trim(rows[i].from), rows[i].to))
            assert_true(got.p >= rows[i].from.p && got.p <= rows[i].from.p + 1);
        struct buf buf;
        struct json_out o;
        buf_init(&buf, 1 << 16);
        json_out_init(&o, &buf);
        json_out_raw(&o, rows[i].from);
        assert_str(buf_str(&buf), rows[i].to);
        buf_done(&buf);
    }
}

/* White space around the value only: a slice without it. */
static void trimmed_value_is_a_slice(void **state)
{
    (void)state;
    struct str from = S(" {\"a\":1}\n");
    assert_ptr_equal(json_compact(&arena, from).p, from.p + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(members_and_elements, setup, teardown),
        cmocka_unit_test_setup_teardown(raw_values, setup, teardown),
        cmocka_unit_test_setup_teardown(trimmed_value_is_a_slice, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

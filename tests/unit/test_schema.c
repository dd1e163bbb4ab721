/*
 * Goal: schemas come out as C1.6 of protocols.md says, and what no rule names stays as it was.
 * Method: tables of schema in, schema out.
 */
#include "unit.h"

#include "arena_fixture.h"
#include "json.h"
#include "schema.h"

struct row {
    const char *in, *out;
    bool wrapped;
};

static void check_json(struct str text)
{
    yyjson_doc *doc;
    assert_int_equal(json_parse(text, &doc, NULL), 0);
    yyjson_doc_free(doc);
}

static void check(struct str (*f)(struct arena *, struct str, bool *), const struct row *row)
{
    bool wrapped;
    struct str out = f(&arena, str_of(row->in), &wrapped);
    check_json(out);
    assert_str(out, str_of(row->out));
    assert_int_equal(wrapped, row->wrapped);
}

/* E50: no schema is an object without properties; what is one only gets what is missing. */
static void test_messages_root(void **state)
{
    static const struct row rows[] = {
        { "", "{\"type\":\"object\",\"properties\":{}}", false },
        { "null", "{\"type\":\"object\",\"properties\":{}}", false },
        { "true", "{\"type\":\"object\",\"properties\":{}}", false },
        { "[]", "{\"type\":\"object\",\"properties\":{}}", false },
        { "{}", "{\"type\":\"object\",\"properties\":{}}", false },
        { " { \"$schema\" : \"x\", \"title\" : \"a  b\" } ",
          "{\"type\":\"object\",\"title\":\"a  b\",\"properties\":{}}", false },
        { "{\"type\":null,\"properties\":null}", "{\"type\":\"object\",\"properties\":{}}", false },
        { "{\"type\":[\"null\",\"object\"],\"properties\":{\"a\":{\"minimum\":1.50}}}",
          "{\"type\":\"object\",\"properties\":{\"a\":{\"minimum\":1.50}}}", false },
        { "{\"type\":\"object\",\"properties\":{\"o\":{\"type\":\"object\"}},\"required\":[]}",
          "{\"type\":\"object\",\"properties\":{\"o\":{\"type\":\"object\"}},\"required\":[]}",
          false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(schema_for_messages, &rows[i]);
}

/* A root of another type is wrapped, and pointers into it stay right. */
static void test_messages_wrap(void **state)
{
    static const struct row rows[] = {
        { "{\"$schema\":\"x\",\"type\":\"string\"}",
          "{\"type\":\"object\",\"properties\":{\"value\":{\"type\":\"string\"}},"
          "\"required\":[\"value\"]}",
          true },
        { "{\"type\":[\"string\",\"null\"]}",
          "{\"type\":\"object\",\"properties\":{\"value\":{\"type\":[\"string\",\"null\"]}},"
          "\"required\":[\"value\"]}",
          true },
        { "{\"$defs\":{\"X\":{}},\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/X\"}}",
          "{\"type\":\"object\",\"properties\":{\"value\":{\"type\":\"array\",\"items\":"
          "{\"$ref\":\"#/$defs/X\"}}},\"required\":[\"value\"],\"$defs\":{\"X\":{}}}",
          true },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(schema_for_messages, &rows[i]);
}

/* E51, E52: pointers and unions at the root. */
static void test_messages_unions(void **state)
{
    static const struct row rows[] = {
        { "{\"$ref\":\"#/$defs/X\",\"$defs\":{\"X\":{\"type\":\"object\",\"properties\":"
          "{\"a\":{}},\"required\":[\"a\"]}}}",
          "{\"type\":\"object\",\"properties\":{\"a\":{}},\"required\":[\"a\"],\"$defs\":{\"X\":"
          "{\"type\":\"object\",\"properties\":{\"a\":{}},\"required\":[\"a\"]}}}",
          false },
        { "{\"$ref\":\"#/$defs/none\"}", "{\"type\":\"object\",\"properties\":{}}", false },
        { "{\"$ref\":\"#/$defs/X\",\"$defs\":{\"X\":{\"$ref\":\"#/$defs/X\"}}}",
          "{\"type\":\"object\",\"$defs\":{\"X\":{\"$ref\":\"#/$defs/X\"}},\"properties\":{}}",
          false },
        { "{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},"
          "\"b\":{}},\"required\":[\"a\"]},{\"type\":\"string\"},{\"properties\":{\"a\":{},"
          "\"c\":{}}}]}",
          "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{},\"c\":{}}}",
          false },
        { "{\"type\":\"object\",\"properties\":{\"a\":{}},\"required\":[\"a\"],\"allOf\":["
          "{\"properties\":{\"a\":{\"x\":1},\"b\":{}},\"required\":[\"b\",\"a\"]}]}",
          "{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{}},\"required\":[\"a\",\"b\"]}",
          false },
        { "{\"oneOf\":[{\"$ref\":\"#/$defs/X\"}],\"$defs\":{\"X\":{\"properties\":{\"q\":{}}}}}",
          "{\"type\":\"object\",\"$defs\":{\"X\":{\"properties\":{\"q\":{}}}},"
          "\"properties\":{\"q\":{}}}",
          false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(schema_for_messages, &rows[i]);
}

/* E53, and the same at every object inside; a property may have any name. */
static void test_openai(void **state)
{
    static const char *const rows[][2] = {
        { "", "{\"type\":\"object\",\"properties\":{}}" },
        { "{\"type\":\"object\",\"$schema\":\"x\"}", "{\"type\":\"object\",\"properties\":{}}" },
        { "{\"type\":\"object\",\"properties\":{\"type\":{\"type\":\"object\"},\"l\":{\"items\":"
          "{\"type\":\"object\"}},\"e\":{\"enum\":[{\"type\":\"object\"}]}}}",
          "{\"type\":\"object\",\"properties\":{\"type\":{\"type\":\"object\",\"properties\":{}},"
          "\"l\":{\"items\":{\"type\":\"object\",\"properties\":{}}},"
          "\"e\":{\"enum\":[{\"type\":\"object\"}]}}}" },
        { "{\"anyOf\":[{\"type\":\"object\"}],\"$schema\":1}",
          "{\"type\":\"object\",\"anyOf\":[{\"type\":\"object\",\"properties\":{}}],"
          "\"properties\":{}}" },
        { "{\"$ref\":\"#/$defs/X\"}", "{\"$ref\":\"#/$defs/X\"}" },
        { "{\"type\":\"string\"}", "{\"type\":\"string\"}" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_str(schema_for_openai(&arena, str_of(rows[i][0])), str_of(rows[i][1]));
}

/* E150: what structured output does not take is noted where the model reads it. */
static void test_output(void **state)
{
    static const struct row rows[] = {
        { "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\",\"minimum\":0,"
          "\"description\":\"a \\\"n\\\"\",\"maximum\":9},\"s\":{\"type\":\"string\","
          "\"pattern\":\"^\\\"\\\\d\"},\"minimum\":{\"type\":\"object\"}}}",
          "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\","
          "\"description\":\"a \\\"n\\\"\\nminimum: 0, maximum: 9\"},\"s\":{\"type\":\"string\","
          "\"description\":\"pattern: ^\\\"\\\\d\"},\"minimum\":{\"type\":\"object\","
          "\"additionalProperties\":false}},\"additionalProperties\":false}",
          false },
        { "{\"type\":\"object\",\"properties\":{\"a\":{\"oneOf\":[{\"type\":\"array\","
          "\"minItems\":2,\"items\":{\"format\":\"uuid\"}},{\"minItems\":1,\"format\":\"x\"}]},"
          "\"r\":{\"$ref\":\"#/$defs/R\",\"description\":\"d\",\"x\":1}},"
          "\"$defs\":{\"R\":{\"properties\":{},\"additionalProperties\":true}}}",
          "{\"type\":\"object\",\"properties\":{\"a\":{\"anyOf\":[{\"type\":\"array\","
          "\"items\":{\"format\":\"uuid\"},\"description\":\"minItems: 2\"},"
          "{\"minItems\":1,\"description\":\"format: x\"}]},\"r\":{\"$ref\":\"#/$defs/R\"}},"
          "\"$defs\":{\"R\":{\"properties\":{},\"additionalProperties\":false}},"
          "\"additionalProperties\":false}",
          false },
        { "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{}}}",
          "{\"type\":\"object\",\"properties\":{\"value\":{\"type\":\"array\",\"items\":"
          "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}}},"
          "\"required\":[\"value\"],\"additionalProperties\":false}",
          true },
        { "{\"anyOf\":[{\"type\":\"string\",\"not\":{\"const\":1}}]}",
          "{\"type\":\"object\",\"properties\":{\"value\":{\"anyOf\":[{\"type\":\"string\","
          "\"description\":\"not: {\\\"const\\\":1}\"}]}},\"required\":[\"value\"],"
          "\"additionalProperties\":false}",
          true },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(schema_for_output, &rows[i]);
}

/* A2.5: each object names all its properties as required and takes no others. */
static void test_strict(void **state)
{
    static const struct {
        const char *schema;
        bool strict;
    } rows[] = {
        { "", false },
        { "{\"type\":\"object\",\"properties\":{}}", false },
        { "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}", true },
        { "{\"type\":\"object\",\"properties\":{\"a\":{}},\"required\":[\"a\"],"
          "\"additionalProperties\":false}",
          true },
        { "{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{}},\"required\":[\"a\"],"
          "\"additionalProperties\":false}",
          false },
        { "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"object\",\"properties\":{}}},"
          "\"required\":[\"a\"],\"additionalProperties\":false}",
          false },
        { "{\"type\":\"object\",\"properties\":{\"a\":{\"allOf\":[]}},\"required\":[\"a\"],"
          "\"additionalProperties\":false}",
          false },
        { "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":true}", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (schema_is_strict(&arena, str_of(rows[i].schema)) != rows[i].strict)
            fail_msg("%s", rows[i].schema);
}

/* E197: 500 levels inside a tool's schema, and a great many branches, are no trouble. */
static void test_large(void **state)
{
    struct buf b;
    bool wrapped;
    (void)state;
    buf_init(&b, 64 << 20);
    for (int i = 0; i < 500; i++)
        buf_add(&b, S("{\"type\":\"object\",\"properties\":{\"a\":"));
    buf_add(&b, S("{}"));
    for (int i = 0; i < 500; i++)
        buf_add(&b, S("}}"));
    struct str deep = buf_str(&b);
    assert_str(schema_for_messages(&arena, deep, &wrapped), deep);
    assert_str(schema_for_openai(&arena, deep), deep);
    assert_false(schema_is_strict(&arena, deep));
    assert_int_equal(schema_for_output(&arena, deep, &wrapped).n,
                     deep.n + 500 * strlen(",\"additionalProperties\":false"));
    buf_clear(&b);
    buf_add(&b, S("{\"anyOf\":["));
    for (int i = 0; i < 50000; i++)
        buf_addf(&b, "%s{\"properties\":{\"p%d\":{}}}", i > 0 ? "," : "", i);
    buf_add(&b, S("]}"));
    assert_true(str_ends(schema_for_messages(&arena, buf_str(&b), &wrapped), S("\"p49999\":{}}}")));
    buf_done(&b);
}

/* Many pointers to one large definition cost its size once: else this takes half a minute. */
static void test_many_pointers(void **state)
{
    struct buf b;
    bool wrapped;
    (void)state;
    buf_init(&b, 64 << 20);
    buf_add(&b, S("{\"$defs\":{\"X\":{\"properties\":{\"p\":{}"));
    for (int i = 0; i < 20000; i++)
        buf_addf(&b, ",\"p%d\":{}", i);
    buf_add(&b, S("},\"required\":[\"p\"]}},\"allOf\":[{}"));
    for (int i = 0; i < 20000; i++)
        buf_add(&b, S(",{\"$ref\":\"#/$defs/X\"}"));
    buf_add(&b, S("]}"));
    struct str out = schema_for_messages(&arena, buf_str(&b), &wrapped);
    assert_true(str_ends(out, S("\"p19999\":{}},\"required\":[\"p\"]}")));
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_messages_root, setup, teardown),
        cmocka_unit_test_setup_teardown(test_messages_wrap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_messages_unions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_openai, setup, teardown),
        cmocka_unit_test_setup_teardown(test_output, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strict, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_pointers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

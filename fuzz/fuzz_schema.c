/*
 * Goal: whatever JSON a client calls a schema, each upstream gets one that it takes.
 * Method: what comes out is JSON of the promised form, and doing it again changes nothing.
 */
#include "schema.h"

#include "json.h"
#include "json_edit.h"

static void check_json(struct str text)
{
    yyjson_doc *doc;
    must(json_parse(text, &doc, NULL) == 0);
    yyjson_doc_free(doc);
}

/* {"type":"object","properties":{...}} and no keyword that is refused at the root */
static void check_object(struct arena *a, struct str text)
{
    struct json_edit e;
    check_json(text);
    json_edit_init(&e, a, text);
    struct json_node *root = json_root(&e);
    must(json_type(root) == JSON_OBJECT);
    must(str_eq(json_string(&e, json_find(&e, root, S("type"))), S("object")));
    must(json_type(json_find(&e, root, S("properties"))) == JSON_OBJECT);
    must(json_find(&e, root, S("$ref")) == NULL);
}

static void check_messages(struct arena *a, struct str schema)
{
    static const struct str unions[] = { S_INIT("anyOf"), S_INIT("oneOf"), S_INIT("allOf") };
    bool wrapped;
    struct json_edit e;
    struct str once = schema_for_messages(a, schema, &wrapped);
    check_object(a, once);
    json_edit_init(&e, a, once);
    for (size_t i = 0; i < ARRAY_LEN(unions); i++)
        must(wrapped || json_find(&e, json_root(&e), unions[i]) == NULL);
    must(str_eq(schema_for_messages(a, once, &wrapped), once));
    must(!wrapped);
}

/* Keywords that are refused stand nowhere but where they are no keywords. */
static void check_output(struct arena *a, struct str schema)
{
    bool wrapped;
    struct json_edit e;
    struct str once = schema_for_output(a, schema, &wrapped);
    check_object(a, once);
    json_edit_init(&e, a, once);
    struct json_node *root = json_root(&e);
    must(json_find(&e, root, S("minimum")) == NULL);
    must(json_find(&e, root, S("oneOf")) == NULL);
    must(str_eq(json_raw(&e, json_find(&e, root, S("additionalProperties"))), S("false")));
    must(str_eq(schema_for_output(a, once, &wrapped), once));
    must(!wrapped);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    struct str schema = { (const char *)bytes, n };
    struct arena a;
    yyjson_doc *doc;
    arena_init(&a, SIZE_MAX);
    if (n > 0 && json_parse(schema, &doc, NULL) == 0) {
        yyjson_doc_free(doc);
        check_messages(&a, schema);
        check_output(&a, schema);
        struct str once = schema_for_openai(&a, schema);
        check_json(once);
        must(str_eq(schema_for_openai(&a, once), once));
        must(!schema_is_strict(&a, schema) || schema_is_strict(&a, once));
    }
    arena_done(&a);
    return 0;
}

/*
 * Goal: json_parse() agrees with yyjson, json_check() with it, the trusting scanner with both, and
 * what json_quote() writes reads back as what it was.
 */
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "json.h"
#include "json_edit.h"

static void check_quote(struct arena *a, struct str s)
{
    yyjson_doc *doc;
    must(json_parse(json_quote(a, s), &doc, NULL) == 0);
    must(str_eq(json_str(yyjson_doc_get_root(doc)), s));
    yyjson_doc_free(doc);
}

/* The same tree, seen by the two readers.  As deep as JSON_DEPTH_MAX. */
static void compare(struct json_edit *e, struct json_node *n, yyjson_val *v)
{
    struct json_node *child = json_type(n) == JSON_ARRAY ? NULL : json_first(e, n);
    struct json_walk walk;
    size_t i, count;
    yyjson_val *name, *value;
    switch (json_type(n)) {
    case JSON_OBJECT:
        must(yyjson_is_obj(v));
        yyjson_obj_foreach(v, i, count, name, value)
        {
            must(str_eq(json_name(e, child), json_str(name)));
            must(json_raw(e, json_find(e, n, json_str(name))).p >= json_raw(e, child).p);
            compare(e, child, value);
            child = json_next(child);
        }
        must(child == NULL);
        break;
    case JSON_ARRAY:
        must(yyjson_is_arr(v));
        json_walk_begin(&walk, e, n);
        yyjson_arr_foreach(v, i, count, value)
        {
            child = json_walk_next(&walk);
            must(child != NULL);
            compare(e, child, value);
        }
        must(json_walk_next(&walk) == NULL);
        json_walk_done(&walk);
        break;
    case JSON_STRING:
        must(yyjson_is_str(v));
        must(str_eq(json_string(e, n), json_str(v)));
        check_quote(e->arena, json_str(v));
        break;
    case JSON_NUMBER:
        must(yyjson_is_num(v) || yyjson_is_raw(v));
        break;
    case JSON_BOOL:
        must(yyjson_is_bool(v));
        must(json_is_true(n) == yyjson_is_true(v));
        break;
    case JSON_NULL:
        must(yyjson_is_null(v));
        break;
    }
}

static void check_tree(struct arena *a, struct str text, yyjson_doc *doc)
{
    struct json_edit e;
    json_edit_init(&e, a, text);
    e.eager = (unsigned)(text.n % 8);
    compare(&e, json_root(&e), yyjson_doc_get_root(doc));
    must(!json_edit_changed(&e));
    must(json_edit_text(&e).p == text.p);
    must(json_equal(text, text, true));
    must(json_equal(text, text, false));
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    struct arena a;
    arena_init(&a, SIZE_MAX);
    struct str text = { (const char *)bytes, n };
    struct json_error error = { 0 };
    yyjson_doc *doc = NULL, *theirs = yyjson_read((const char *)bytes, n, 0);
    int result = json_parse(text, &doc, &error);
    must(json_is_valid(text) == (result == 0));
    must(json_check(text, NULL) == result);
    struct str relaxed = json_relax(&a, text); /* what is right stays what it is */
    if (result == 0) {
        must(json_is_valid(relaxed) && json_equal(text, relaxed, true));
        check_tree(&a, text, doc);
        yyjson_doc_free(doc);
    } else {
        must(result == E_BAD_JSON);
        must(error.offset <= n);
        must(error.reason != NULL);
        must(theirs == NULL || strcmp(error.reason, "nested too deeply") == 0);
    }
    yyjson_doc_free(theirs);

    /* Any bytes become a valid text, and quoting what that says changes nothing. */
    must(json_parse(json_quote(&a, text), &doc, NULL) == 0);
    check_quote(&a, json_str(yyjson_doc_get_root(doc)));
    yyjson_doc_free(doc);
    arena_done(&a);
    return 0;
}

/*
 * Goal: an edit changes the bytes it names and no other.
 * Method: each row is a text, a short script and the text that must come out.
 */
#include "unit.h"

#include "arena_fixture.h"
#include "json.h"
#include "json_edit.h"

static struct json_edit edit;

/* A copy in its own allocation, for the sanitizer to see over-reads. */
static void open_text(struct str text)
{
    yyjson_doc *doc;
    assert_int_equal(json_parse(text, &doc, NULL), 0);
    yyjson_doc_free(doc);
    json_edit_init(&edit, &arena, text);
}

static struct json_node *at(const char *pointer)
{
    return json_at(&edit, str_of(pointer));
}

/*
 * One command: an op, a pointer, up to two arguments, with '|' between.
 *   r PTR RAW   replace      - PTR       remove       s PTR NAME RAW  set
 *   a PTR RAW   append       p PTR RAW   prepend      m PTR NAME RAW  prepend member
 *   n PTR NAME  rename       t           text so far  w PTR           raw of a node
 */
static void run(const char *command)
{
    struct str rest = str_of(command), op, pointer = S(""), x = S(""), y = S("");
    assert_true(str_next(&rest, '|', &op));
    str_next(&rest, '|', &pointer);
    str_next(&rest, '|', &x);
    str_next(&rest, '|', &y);
    struct json_node *n = json_at(&edit, pointer);
    assert_non_null(n);
    switch (op.p[0]) {
    case 'r':
        json_replace(&edit, n, x);
        break;
    case '-':
        json_remove(&edit, n);
        break;
    case 's':
        assert_non_null(json_set(&edit, n, x, y));
        break;
    case 'a':
        assert_non_null(json_append(&edit, n, x));
        break;
    case 'p':
        assert_non_null(json_prepend(&edit, n, x));
        break;
    case 'm':
        assert_non_null(json_prepend_member(&edit, n, x, y));
        break;
    case 'n':
        json_rename(&edit, n, x);
        break;
    case 't':
        (void)json_edit_text(&edit);
        break;
    case 'w':
        (void)json_raw(&edit, n);
        break;
    default:
        fail_msg("no such op: %s", command);
    }
}

struct row {
    const char *text;
    const char *script[6];
    const char *want;
};

static void run_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        open_text(str_of(rows[i].text));
        for (size_t j = 0; j < ARRAY_LEN(rows[i].script) && rows[i].script[j] != NULL; j++)
            run(rows[i].script[j]);
        struct str got = json_edit_text(&edit);
        assert_str(got, str_of(rows[i].want));
        yyjson_doc *doc;
        assert_int_equal(json_parse(got, &doc, NULL), 0);
        yyjson_doc_free(doc);
    }
}

static void removal(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "{ \"a\":1, \"b\":2, \"c\":3 }", { "-|/a" }, "{ \"b\":2, \"c\":3 }" },
        { "{ \"a\":1, \"b\":2, \"c\":3 }", { "-|/b" }, "{ \"a\":1, \"c\":3 }" },
        { "{ \"a\":1, \"b\":2, \"c\":3 }", { "-|/c" }, "{ \"a\":1, \"b\":2 }" },
        { "{ \"a\":1, \"b\":2, \"c\":3 }", { "-|/a", "-|/b" }, "{ \"c\":3 }" },
        { "{ \"a\":1, \"b\":2, \"c\":3 }", { "-|/b", "-|/a" }, "{ \"c\":3 }" },
        { "{ \"a\":1, \"b\":2, \"c\":3 }", { "-|/c", "-|/b" }, "{ \"a\":1 }" },
        { "{ \"a\":1, \"b\":2, \"c\":3 }", { "-|/a", "-|/c" }, "{ \"b\":2 }" },
        { "{ \"a\":1, \"b\":2 }", { "-|/b", "-|/a" }, "{ }" },
        { "{\"a\":1}", { "-|/a" }, "{}" },
        { "{\n  \"a\": 1,\n  \"b\": 2\n}\n", { "-|/a" }, "{\n  \"b\": 2\n}\n" },
        { "{\n  \"a\": 1,\n  \"b\": 2\n}\n", { "-|/b" }, "{\n  \"a\": 1\n}\n" },
        { "[1 , 2 , 3]", { "-|/1" }, "[1 , 3]" },
        { "[1,2,3]", { "-|/0", "-|/0", "-|/0" }, "[]" },
        { "[[1,2],[3,4]]", { "-|/0/0", "-|/1/1" }, "[[2],[3]]" },
        { "[{\"a\":\",]}\",\"b\":1}]", { "-|/0/b" }, "[{\"a\":\",]}\"}]" },
    };
    run_rows(rows, ARRAY_LEN(rows));
}

static void insertion(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "{}", { "s||a|1" }, "{\"a\":1}" },
        { "{ }", { "s||a|1" }, "{\"a\":1 }" },
        { "{}", { "m||a|1", "m||b|2" }, "{\"b\":2,\"a\":1}" },
        { "{\n \"x\": 1\n}", { "s||a|[ 2 ]" }, "{\n \"x\": 1,\"a\":[ 2 ]\n}" },
        { "{\n \"x\": 1\n}", { "m||a|2" }, "{\"a\":2,\n \"x\": 1\n}" },
        { "[]", { "a||1", "a||2", "p||0" }, "[0,1,2]" },
        { "[ 5 ]", { "a||1", "p||0" }, "[0, 5,1 ]" },
        { "[5, 6]", { "-|/0", "p||0" }, "[0, 6]" },
        { "[5 ,6]", { "-|/0", "p||0" }, "[0,6]" },
        { "[5]", { "-|/0", "a||1", "-|/0", "a||2" }, "[2]" },
        { "{}", { "s||q\"\n|null" }, "{\"q\\\"\\n\":null}" },
        { "{\"a\":{}}",
          { "s|/a|b|{}", "s|/a/b|c|[]", "a|/a/b/c|1" },
          "{\"a\":{\"b\":{\"c\":[1]}}}" },
        { "{\"a\":1}", { "s||b| 2 " }, "{\"a\":1,\"b\":2}" },
    };
    run_rows(rows, ARRAY_LEN(rows));
}

static void replacement(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { " {\"a\" : 1 , \"b\":2}\n", { "r|/a|\"x\"" }, " {\"a\" : \"x\" , \"b\":2}\n" },
        { "{\"a\":1,\"b\":2}", { "s||a|3" }, "{\"a\":3,\"b\":2}" },
        { "{\"a\":1,\"a\":2}", { "s||a|3" }, "{\"a\":1,\"a\":3}" },
        { "{\"\\u0061\":1}", { "s||a|3" }, "{\"\\u0061\":3}" },
        { " 1 ", { "r||[]", "a||2" }, " [2] " },
        /* a new value can be looked into and edited again */
        { "{\"a\":1}", { "r|/a|{ \"b\": [1, 2] }", "-|/a/b/0" }, "{\"a\":{ \"b\": [ 2] }}" },
        { "{\"a\":[1]}", { "-|/a/0", "r|/a|[7,8]", "-|/a/0" }, "{\"a\":[8]}" },
        /* a text taken in between is no end */
        { "[[1],[2]]", { "a|/0|3", "t", "a|/1|4", "t", "a|/0|5" }, "[[1,3,5],[2,4]]" },
        { "[[[1]]]", { "a|/0/0|2", "w|/0", "a|/0/0|3", "w|/0/0", "a|/0|4" }, "[[[1,2,3],4]]" },
        { "{\"a\" :1}", { "n|/a|b" }, "{\"b\" :1}" },
        { "{\"a\":1,\"b\":2}", { "n|/a|c", "r|/c|5" }, "{\"c\":5,\"b\":2}" },
    };
    run_rows(rows, ARRAY_LEN(rows));
}

/* Goal: no edit, or edits without effect, give the caller's own pointer back. */
static void nothing_changed(void **state)
{
    (void)state;
    struct str text = S(" {\"a\":[1, {\"b\":1.0}], \"c\" : \"x\"} ");
    open_text(text);
    json_replace(&edit, at("/a/1/b"), S("1.0"));
    json_set(&edit, json_root(&edit), S("c"), S("\"x\""));
    json_rename(&edit, at("/c"), S("c"));
    assert_false(json_edit_changed(&edit));
    assert_ptr_equal(json_edit_text(&edit).p, text.p);

    json_remove(&edit, json_append(&edit, at("/a"), S("9")));
    json_remove(&edit, json_prepend(&edit, at("/a"), S("9")));
    json_remove(&edit, json_prepend_member(&edit, json_root(&edit), S("z"), S("9")));
    assert_ptr_equal(json_edit_text(&edit).p, text.p);

    json_replace(&edit, at("/a/1/b"), S("1"));
    assert_true(json_edit_changed(&edit));
    assert_str(json_edit_text(&edit), S(" {\"a\":[1, {\"b\":1}], \"c\" : \"x\"} "));
}

/* Goal: a handle of a node that is gone does no harm. */
static void stale_handles(void **state)
{
    (void)state;
    open_text(S("{\"a\":{\"b\":{\"c\":1}},\"d\":2}"));
    struct json_node *b = at("/a/b"), *c = at("/a/b/c"), *d = at("/d");
    json_replace(&edit, at("/a"), S("{\"n\":[5]}"));
    json_remove(&edit, b);
    json_replace(&edit, c, S("9"));
    json_set(&edit, b, S("x"), S("1"));
    assert_null(json_parent(b));
    json_remove(&edit, d);
    json_remove(&edit, d);
    json_replace(&edit, d, S("3"));
    assert_str(json_edit_text(&edit), S("{\"a\":{\"n\":[5]}}"));
    assert_str(json_raw(&edit, b), S("{\"c\":9,\"x\":1}"));
}

static void loops_may_remove(void **state)
{
    (void)state;
    open_text(S("[1, 2, 3, 4]"));
    for (struct json_node *n = json_first(&edit, json_root(&edit)); n != NULL; n = json_next(n))
        if (!str_eq(json_raw(&edit, n), S("3")))
            json_remove(&edit, n);
    assert_str(json_edit_text(&edit), S("[ 3]"));
}

static void names_compare_unescaped(void **state)
{
    (void)state;
    open_text(S("{\"mo\\u0064el\":1,\"\\ud83d\\uDE00\":2,\"\\ud800\":3,\"a\\/\\\\b\":4,"
                "\"x\":5,\"x\":6,\"\\n\":7,\"\\ud800\\u0041\":8,\"\":9}"));
    struct json_node *root = json_root(&edit);
    assert_str(json_raw(&edit, json_find(&edit, root, S("model"))), S("1"));
    assert_str(json_raw(&edit, json_find(&edit, root, S("\xf0\x9f\x98\x80"))), S("2"));
    assert_str(json_raw(&edit, json_find(&edit, root, S("\xef\xbf\xbd"))), S("3"));
    assert_str(json_raw(&edit, json_find(&edit, root, S("a/\\b"))), S("4"));
    assert_str(json_raw(&edit, json_find(&edit, root, S("x"))), S("6"));
    assert_str(json_raw(&edit, json_find(&edit, root, S("\n"))), S("7"));
    assert_str(json_raw(&edit, json_find(&edit, root,
                                         S("\xef\xbf\xbd"
                                           "A"))),
               S("8"));
    assert_str(json_raw(&edit, json_find(&edit, root, S(""))), S("9"));
    assert_null(json_find(&edit, root, S("\\n")));
    assert_null(json_find(&edit, root, S("mode")));
    assert_str(json_name(&edit, json_first(&edit, root)), S("model"));
}

static void values_and_types(void **state)
{
    (void)state;
    open_text(S("[null,true,false,-1.5e2,\"a\\u00e9\\\"\\ud834\\udd1e\\t.\",[ ],{}]"));
    struct json_node *n = json_first(&edit, json_root(&edit));
    static const enum json_type types[] = { JSON_NULL,   JSON_BOOL,  JSON_BOOL,  JSON_NUMBER,
                                            JSON_STRING, JSON_ARRAY, JSON_OBJECT };
    for (size_t i = 0; i < ARRAY_LEN(types); i++, n = json_next(n))
        assert_int_equal(json_type(n), types[i]);
    assert_null(n);
    assert_true(json_is_true(at("/1")));
    assert_false(json_is_true(at("/2")));
    double x = 0;
    assert_true(json_number(at("/3"), &x));
    assert_true(x == -150.0);
    assert_false(json_number(at("/4"), &x));
    assert_str(json_string(&edit, at("/4")), S("a\xc3\xa9\"\xf0\x9d\x84\x9e\t."));
    assert_str(json_string(&edit, at("/3")), S(""));
    assert_int_equal(json_count(&edit, json_root(&edit)), 7);
    assert_null(json_first(&edit, at("/5")));
    assert_null(json_first(&edit, at("/0")));
    assert_null(json_first(&edit, NULL));
    assert_null(json_set(&edit, at("/5"), S("a"), S("1")));
    assert_null(json_append(&edit, at("/6"), S("1")));
    assert_ptr_equal(json_parent(at("/5")), json_root(&edit));
}

static void pointers(void **state)
{
    (void)state;
    open_text(S("{\"a\":[10,[20]],\"\":{\"\":1},\"m/n\":2,\"~1\":3,\"-\":4,\"0\":5}"));
    assert_ptr_equal(at(""), json_root(&edit));
    assert_str(json_raw(&edit, at("/a/0")), S("10"));
    assert_str(json_raw(&edit, at("/a/1/0")), S("20"));
    assert_str(json_raw(&edit, at("/a/-")), S("[20]"));
    assert_str(json_raw(&edit, at("//")), S("1"));
    assert_str(json_raw(&edit, at("/m~1n")), S("2"));
    assert_str(json_raw(&edit, at("/~01")), S("3"));
    assert_str(json_raw(&edit, at("/-")), S("4"));
    assert_str(json_raw(&edit, at("/0")), S("5"));
    static const char *const missing[] = {
        "a",   "/b",  "/a/2", "/a/00",  "/a/01", "/a/+1", "/a/",
        "/~2", "/a~", "/m/n", "/a/0/0", "/a/*",  "/a/0/", "/a/99999999999999999999"
    };
    for (size_t i = 0; i < ARRAY_LEN(missing); i++)
        if (at(missing[i]) != NULL)
            fail_msg("found %s", missing[i]);
}

/* Goal: a deep tree is edited at its bottom, without the stack and without reading the
 * text once per level. */
static void deep_texts(void **state)
{
    (void)state;
    enum { LEVELS = JSON_DEPTH_MAX };
    char text[2 * LEVELS], pointer[2 * LEVELS + 1] = "", want[2 * LEVELS + 1];
    memset(text, '[', LEVELS);
    memset(text + LEVELS, ']', LEVELS);
    for (size_t i = 0; i + 1 < LEVELS; i++)
        memcpy(pointer + 2 * i, "/0", 2);
    pointer[2 * (LEVELS - 1)] = '\0';
    memcpy(want, text, LEVELS);
    want[LEVELS] = '7';
    memcpy(want + LEVELS + 1, text + LEVELS, LEVELS);
    open_text((struct str){ text, sizeof(text) });
    assert_non_null(json_append(&edit, at(pointer), S("7")));
    assert_str(json_edit_text(&edit), ((struct str){ want, 2 * LEVELS + 1 }));
}

static void equality(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool ordered, unordered;
    } rows[] = {
        { "1.0", "1", true, true },
        { "1e3", "1000", true, true },
        { "-0", "0.000", true, true },
        { "0e5", "0", true, true },
        { "0.00123", "1.23E-3", true, true },
        { "12300e-4", "1.2300", true, true },
        { "100", "1", false, false },
        { "-1", "1", false, false },
        { "10.5", "105", false, false },
        { "1.01", "1.1", false, false },
        { "123456789012345678901", "123456789012345678902", false, false },
        { "123456789012345678901", "123456789012345678901.0", true, true },
        { "1e400", "10e399", true, true },
        { "\"a\"", "\"\\u0061\"", true, true },
        { "\"a\"", "\"b\"", false, false },
        { "\"1\"", "1", false, false },
        { "true", "false", false, false },
        { "null", "false", false, false },
        { " [ ] ", "[]", true, true },
        { "[]", "{}", false, false },
        { "[1,2]", "[2,1]", false, false },
        { "[1]", "[1,1]", false, false },
        { "{\"a\":1,\"b\":[{}]}", "{\"b\":[{}],\"a\":1.0}", false, true },
        { "{\"a\":1,\"b\":2}", "{\"\\u0061\":1,\"b\":2}", true, true },
        { "{\"a\":1}", "{\"a\":1,\"b\":2}", false, false },
        { "{\"a\":1}", "{\"b\":1}", false, false },
        { "{\"a\":0,\"a\":1}", "{\"a\":1}", false, true },
        { "{\"a\":{\"b\":[1,{\"c\":null}]}}", "{\"a\":{\"b\":[1,{\"c\":0}]}}", false, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str a = str_of(rows[i].a), b = str_of(rows[i].b);
        bool ok = json_equal(a, b, true) == rows[i].ordered &&
                  json_equal(b, a, true) == rows[i].ordered &&
                  json_equal(a, b, false) == rows[i].unordered &&
                  json_equal(b, a, false) == rows[i].unordered;
        if (!ok)
            fail_msg("%s and %s", rows[i].a, rows[i].b);
    }
}

/* Goal: a long value moves into a new member without a copy. */
static void kept_value(void **state)
{
    (void)state;
    open_text(S("{\"content\": \"hello\" }"));
    struct json_node *content = at("/content");
    struct str text = json_raw(&edit, content);
    json_replace(&edit, content, S("[{\"type\":\"text\"}]"));
    struct json_node *kept = json_add_kept(&edit, json_first(&edit, content), S("text"), text);
    assert_ptr_equal(json_raw(&edit, kept).p, edit.text.p + 12);
    assert_str(json_edit_text(&edit),
               S("{\"content\": [{\"type\":\"text\",\"text\":\"hello\"}] }"));
}

static void expect_walk(struct json_node *list, const char *const *wanted)
{
    struct json_walk w;
    json_walk_begin(&w, &edit, list);
    for (; *wanted != NULL; wanted++) {
        struct json_node *n = json_walk_next(&w);
        assert_non_null(n);
        assert_str(json_raw(&edit, n), str_of(*wanted));
        assert_ptr_equal(json_parent(n), list);
    }
    assert_null(json_walk_next(&w));
    assert_null(json_walk_next(&w));
    json_walk_done(&w);
}

/* Goal: a walk gives what the tree holds, whether the tree is there already or not. */
static void walks(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *wanted[5];
    } rows[] = {
        { "[]", { NULL } },
        { " [ ] ", { NULL } },
        { "[1]", { "1" } },
        { "[ 1 ,\t\"]\" , [ 2, 3 ],{\"a\" : [\"}\"] }\n]",
          { "1", "\"]\"", "[ 2, 3 ]", "{\"a\" : [\"}\"] }" } },
        { "[{},{\"a\":{\"b\":{}}},[],null]", { "{}", "{\"a\":{\"b\":{}}}", "[]", "null" } },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        open_text(str_of(rows[i].text));
        expect_walk(at(""), rows[i].wanted);
        expect_walk(at(""), rows[i].wanted);
        (void)json_first(&edit, at(""));
        expect_walk(at(""), rows[i].wanted);
    }
    static const char *const none[] = { NULL };
    open_text(S("{\"a\":1}"));
    expect_walk(NULL, none);
    expect_walk(at(""), none);
    expect_walk(at("/a"), none);
}

/* Goal: what is found below a child is its own, walks inside of walks too; an early end of one
 * leaves the tree as it was, and no memory is kept for what was gone over. */
static void walks_inside_walks(void **state)
{
    (void)state;
    open_text(S("[{\"a\":[{\"n\":1},{\"n\":{\"m\":2}}]},{\"a\":[{\"n\":3}]},5]"));
    struct json_walk outer, inner;
    struct json_node *n, *m;
    struct buf seen;
    size_t used = 0;
    buf_init(&seen, 1000);
    json_walk_begin(&outer, &edit, at(""));
    while ((n = json_walk_next(&outer)) != NULL && json_type(n) == JSON_OBJECT) {
        used = used == 0 ? arena.used_bytes : used;
        json_walk_begin(&inner, &edit, json_find(&edit, n, S("a")));
        while ((m = json_walk_next(&inner)) != NULL)
            buf_add(&seen, json_raw(&edit, json_find(&edit, m, S("n"))));
        json_walk_done(&inner);
        assert_str(json_name(&edit, json_first(&edit, n)), S("a"));
    }
    json_walk_done(&outer);
    assert_str(buf_str(&seen), S("1{\"m\":2}3"));
    assert_int_equal(arena.used_bytes, used);
    assert_str(json_raw(&edit, at("/1/a/0/n")), S("3"));
    buf_done(&seen);
}

/* Goal: nodes that are made during a walk over known children stay, too. */
static void walks_over_what_is_known(void **state)
{
    (void)state;
    open_text(S("[{\"a\":[1]}]"));
    struct json_walk w;
    struct json_node *first = json_first(&edit, at(""));
    json_walk_begin(&w, &edit, at(""));
    struct json_node *n = json_find(&edit, json_walk_next(&w), S("a"));
    json_walk_done(&w);
    assert_str(json_raw(&edit, json_first(&edit, n)), S("1"));
    assert_str(json_raw(&edit, n), S("[1]"));
    assert_str(json_name(&edit, n), S("a"));
    assert_ptr_equal(json_parent(n), first);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(removal),
        TEST(insertion),
        TEST(replacement),
        TEST(nothing_changed),
        TEST(stale_handles),
        TEST(loops_may_remove),
        TEST(names_compare_unescaped),
        TEST(values_and_types),
        TEST(pointers),
        TEST(deep_texts),
        TEST(equality),
        TEST(kept_value),
        TEST(walks),
        TEST(walks_inside_walks),
        TEST(walks_over_what_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Goal: every test vector of docs/adapters.md holds (JSON equality with member order; byte
 * identity where nothing is to change).
 * Method: one run per line of tests/vectors/adapters.jsonl.  A line of a kind that is
 * not known here, or a member that nobody looked at, fails the test.
 */
#include "adapter_unit.h"

#include <stdio.h>

#include "condition.h"
#include "session.h"

enum { LINES = 86 };

/* One line; members are ticked off as they are used. */
struct vector {
    int line;
    struct json_edit tree;
    struct arena arena;
    struct str seen[32];
    size_t seen_n;
    struct rules_test t;
};

static struct json_node *member(struct vector *v, const char *name)
{
    struct json_node *n = json_find(&v->tree, json_root(&v->tree), str_of(name));
    if (n != NULL && v->seen_n < ARRAY_LEN(v->seen))
        v->seen[v->seen_n++] = str_of(name);
    return n;
}

static bool has(struct vector *v, const char *name)
{
    return json_find(&v->tree, json_root(&v->tree), str_of(name)) != NULL;
}

static struct str text(struct vector *v, const char *name)
{
    struct json_node *n = member(v, name);
    return n != NULL ? json_string(&v->tree, n) : S("");
}

static struct str raw(struct vector *v, const char *name)
{
    struct json_node *n = member(v, name);
    return n != NULL ? json_raw(&v->tree, n) : S("");
}

#define check(v, cond)                                 \
    do {                                               \
        if (!(cond))                                   \
            fail_msg("line %d: %s", (v)->line, #cond); \
    } while (0)

static void check_json(struct vector *v, struct str got, struct str want)
{
    if (!json_equal(got, want, true))
        fail_msg("line %d: got %.*s, want %.*s", v->line, STR_ARG(got), STR_ARG(want));
}

static enum protocol protocol_of(struct vector *v)
{
    struct str name = text(v, "protocol");
    for (int p = 0; p < PROTOCOL_COUNT; p++)
        if (str_eq(name, str_of(protocol_name((enum protocol)p))))
            return (enum protocol)p;
    check(v, name.n == 0);
    return PROTOCOL_MESSAGES;
}

static void take_headers(struct vector *v, const char *name)
{
    struct json_node *n = member(v, name);
    for (struct json_node *h = json_first(&v->tree, n); h != NULL; h = json_next(h))
        http_add(&v->t.headers, &v->t.arena, json_name(&v->tree, h), json_string(&v->tree, h));
}

static void check_headers(struct vector *v, const char *name)
{
    struct json_node *want = member(v, name);
    for (struct json_node *h = json_first(&v->tree, want); h != NULL; h = json_next(h))
        assert_str(http_join(&v->t.headers, json_name(&v->tree, h), &v->t.arena),
                   json_string(&v->tree, h));
    check(v, v->t.headers.n == json_count(&v->tree, want));
}

/* The whole path of a condition: read in a file, then tested. */
static void run_cond(struct vector *v)
{
    struct rules_test *t = &v->t;
    enum adapter_reason reason;
    take_headers(v, "headers");
    rules_protocol(t, protocol_of(v));
    if (has(v, "body"))
        rules_body(t, raw(v, "body"));
    rules_load(t, arena_printf(&t->arena,
                               "{\"adapters\":[{\"name\":\"t\",\"priority\":1000,"
                               "\"match\":" STR_FMT "}]}",
                               STR_ARG(raw(v, "cond"))));
    bool got = str_eq(adapter_name(adapter_select(t->set, &t->r, &reason)), S("t"));
    check(v, got == json_is_true(member(v, "result")));
}

static void take_settings(struct vector *v)
{
    struct json_node *env = member(v, "env");
    for (struct json_node *n = json_first(&v->tree, env); n != NULL; n = json_next(n))
        rules_set(&v->t, json_name(&v->tree, n), json_string(&v->tree, n));
}

/* What before_bytes, before or when_body give, or NULL p. */
static struct str body_before(struct vector *v)
{
    if (has(v, "before_bytes"))
        return text(v, "before_bytes");
    if (has(v, "when_body"))
        return raw(v, "when_body");
    return has(v, "before") ? raw(v, "before") : (struct str){ NULL, 0 };
}

static void check_body(struct vector *v, struct str before)
{
    struct str got = json_edit_text(&v->t.edit);
    if (has(v, "after_bytes"))
        assert_str(got, text(v, "after_bytes"));
    if (!has(v, "after"))
        return;
    struct str after = raw(v, "after");
    check_json(v, got, after);
    if (!json_equal(before, after, true))
        check(v, v->t.r.changes_n > 0);
    else if (v->t.r.upstream_protocol == v->t.r.protocol)
        check(v, v->t.r.changes_n == 0);
    if (json_equal(before, after, true))
        assert_str(got, before);
}

static void check_decisions(struct vector *v)
{
    struct adapter_request *r = &v->t.r;
    if (has(v, "client_gets")) {
        assert_str(text(v, "client_gets"), S("application/json"));
        check(v, r->force_stream);
    }
    if (has(v, "upstream_path")) {
        assert_str(text(v, "upstream_path"), S("/v1/responses"));
        check(v, r->upstream_protocol == PROTOCOL_RESPONSES);
    }
    if (has(v, "reply_shape"))
        assert_str(text(v, "reply_shape"), str_of(protocol_name(r->protocol)));
    if (has(v, "reply_status")) {
        double status = 0;
        check(v, json_number(member(v, "reply_status"), &status));
        check(v, r->reject_status == (int)status);
        struct json_node *error = json_find(&v->tree, member(v, "reply"), S("error"));
        assert_str(r->reject_message,
                   json_string(&v->tree, json_find(&v->tree, error, S("message"))));
    } else {
        check(v, r->reject_status == 0);
    }
}

static void run_action(struct vector *v)
{
    struct rules_test *t = &v->t;
    struct str name = has(v, "adapter") ? text(v, "adapter") : S("t");
    struct str before = body_before(v), action = raw(v, "action");
    bool is_raw = str_contains(action, S("\"op\":\"raw\""));
    take_settings(v);
    take_headers(v, "before_headers");
    rules_protocol(t, protocol_of(v));
    if (before.p != NULL)
        rules_body(t, before);
    rules_load(t, arena_printf(&t->arena,
                               "{\"version\":1,\"adapters\":[{\"name\":\"" STR_FMT
                               "\",\"actions\":[" STR_FMT "]}]}",
                               STR_ARG(name), STR_ARG(action)));
    const struct adapter *a = rules_named(t, name);
    adapter_apply(t->set, a, &t->r);
    check(v, t->r.raw == is_raw);
    check(v, adapter_is_raw(a) == is_raw);
    if (before.p != NULL)
        check_body(v, before);
    if (has(v, "after_headers"))
        check_headers(v, "after_headers");
    check_decisions(v);
}

static void run_detect(struct vector *v)
{
    struct rules_test *t = &v->t;
    enum adapter_reason reason;
    take_headers(v, "detect");
    rules_protocol(t, protocol_of(v));
    rules_body(t, has(v, "body") ? raw(v, "body") : S("{}"));
    rules_load(t, (struct str){ NULL, 0 });
    assert_str(adapter_name(adapter_select(t->set, &t->r, &reason)), text(v, "adapter"));
}

static void run_whole(struct vector *v)
{
    struct rules_test *t = &v->t;
    struct str before = raw(v, "before");
    if (!has(v, "prompt"))
        rules_set(t, S("CLAUDE_SYSTEM_PROMPT"), S(""));
    else
        assert_str(text(v, "prompt"), S("default"));
    rules_protocol(t, protocol_of(v));
    rules_body(t, before);
    rules_load(t, (struct str){ NULL, 0 });
    adapter_apply(t->set, rules_named(t, text(v, "run")), &t->r);
    check_body(v, before);
}

static void run_session(struct vector *v)
{
    static const struct {
        const char *name;
        int64_t seconds;
    } windows[] = { { "1h", 3600 }, { "12h", 43200 }, { "24h", 86400 }, { "7d", 604800 } };
    struct session_key k = { .secret = text(v, "secret"),
                             .adapter = text(v, "adapter"),
                             .credential = text(v, "credential") };
    struct str scope = text(v, "scope"), window = text(v, "window");
    double unix_s = 0;
    check(v, json_number(member(v, "unix"), &unix_s));
    k.unix_s = (int64_t)unix_s;
    k.scope = str_eq(scope, S("global")) ? SESSION_GLOBAL
              : str_eq(scope, S("key"))  ? SESSION_KEY
                                         : SESSION_CONVERSATION;
    for (size_t i = 0; i < ARRAY_LEN(windows); i++)
        if (str_eq(window, str_of(windows[i].name)))
            k.window_s = windows[i].seconds;
    k.conversation = arena_printf(&v->arena, STR_FMT "\n" STR_FMT, STR_ARG(text(v, "system")),
                                  STR_ARG(text(v, "first_user")));
    check(v, has(v, "user_id") || has(v, "uuid"));
    if (has(v, "user_id"))
        assert_str(session_user_id(&v->arena, &k), text(v, "user_id"));
    if (has(v, "uuid"))
        assert_str(session_uuid(&v->arena, &k), text(v, "uuid"));
}

static const struct {
    const char *member; /* that only this kind has */
    void (*run)(struct vector *v);
} kinds[] = {
    { "cond", run_cond }, { "action", run_action },  { "detect", run_detect },
    { "run", run_whole }, { "secret", run_session },
};

static void check_all_seen(struct vector *v)
{
    struct json_node *root = json_root(&v->tree);
    for (struct json_node *m = json_first(&v->tree, root); m != NULL; m = json_next(m)) {
        size_t i = 0;
        while (i < v->seen_n && !str_eq(v->seen[i], json_name(&v->tree, m)))
            i++;
        if (i == v->seen_n)
            fail_msg("line %d: nobody looked at %.*s", v->line, STR_ARG(json_name(&v->tree, m)));
    }
}

static void run_line(int line, struct str json)
{
    struct vector v = { .line = line };
    yyjson_doc *doc;
    size_t k = 0;
    assert_int_equal(json_parse(json, &doc, NULL), 0);
    yyjson_doc_free(doc);
    arena_init(&v.arena, 1 << 24);
    json_edit_init(&v.tree, &v.arena, json);
    rules_begin(&v.t);
    while (k < ARRAY_LEN(kinds) && !has(&v, kinds[k].member))
        k++;
    if (k == ARRAY_LEN(kinds))
        fail_msg("line %d: a vector of no known kind", line);
    kinds[k].run(&v);
    check_all_seen(&v);
    rules_end(&v.t);
    arena_done(&v.arena);
}

static void every_vector_holds(void **state)
{
    char *line = NULL;
    size_t cap = 0;
    int n = 0;
    ssize_t got;
    (void)state;
    FILE *f = fopen("tests/vectors/adapters.jsonl", "r");
    assert_non_null(f);
    while ((got = getline(&line, &cap, f)) > 0)
        run_line(++n, str_trim((struct str){ line, (size_t)got }));
    free(line);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(n, LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Goal: a rules file is read strictly: every fault names the file and its place, and
 * every limit holds; what is right takes effect.
 */
#include "adapter_unit.h"

#include <stdio.h>
#include <unistd.h>

/* Loads text as a file of that name; the message, or "" when it loads. */
static struct str load(struct rules_test *t, const char *file, struct str text)
{
    adapters_free(t->set);
    t->set = NULL;
    buf_clear(&t->error);
    int e = adapters_parse(&t->config, str_of(file), text, &t->set, &t->error);
    assert_int_equal(e<0, buf_len(&t->error)> 0);
    assert_int_equal(e < 0, t->set == NULL);
    return buf_str(&t->error);
}

#define A(rest) "{\"adapters\":[{\"name\":\"x\"," rest "}]}"
#define ACT(rest) A("\"actions\":[{\"op\":\"raw\"}]},{\"name\":\"y\",\"actions\":[" rest "]")
#define WHEN(c) ACT("{\"op\":\"chat_shapes\",\"when\":" c "}")
static const struct {
    const char *text, *at;
} faults[] = {
    { "{\"adapters\":[", "f: line 1: not valid JSON at byte 13: " },
    { "[]", "f: (root): must be an object" },
    { "{}", "f: (root): needs the member adapters" },
    { "{\"version\":2,\"adapters\":[]}", "f: /version: " },
    { "{\"adapters\":[],\"x/y~\":1}", "f: /x~1y~0: unknown member" },
    { "{\"adapters\":[],\"adapters\":[]}", "f: /adapters: given twice" },
    { "{\"adapters\":[{}]}", "f: /adapters/0: needs a name" },
    { "{\"adapters\":[{\"name\":\"A\"}]}", "f: /adapters/0/name: " },
    { "{\"adapters\":[{\"name\":\"a\"},{\"name\":\"a\"}]}", "f: /adapters/1/name: a second" },
    { A("\"priority\":1001"), "f: /adapters/0/priority: " },
    { A("\"priority\":-999"), "f: /adapters/0/priority: " },
    { A("\"priority\":1.5"), "f: /adapters/0/priority: " },
    { A("\"service\":[\"gpt\"]"), "f: /adapters/0/service/0: must be one of" },
    { A("\"service\":[]"), "f: /adapters/0/service: names no" },
    { A("\"aliases\":[\"a-b\"]"), "f: /adapters/0/aliases: alias 0" },
    { A("\"enabled\":1"), "f: /adapters/0/enabled: " },
    { A("\"version\":1"), "f: /adapters/0/version: " },
    { A("\"speed\":1"), "f: /adapters/0/speed: unknown member" },
    { "{\"adapters\":[{\"name\":\"default\",\"enabled\":false}]}", "f: /adapters/0: the default" },
    /* conditions */
    { A("\"match\":{}"), "f: /adapters/0/match: is not a condition" },
    { A("\"match\":{\"upstream\":\"chat\"}"), "f: /adapters/0/match/upstream: is for" },
    { A("\"match\":{\"header\":\"a b\",\"present\":true}"), "f: /adapters/0/match/header: " },
    { A("\"match\":{\"header\":\"a\"}"), "f: /adapters/0/match: needs a test" },
    { A("\"match\":{\"header\":\"a\",\"prefix\":\"b\",\"equals\":\"c\"}"),
      "f: /adapters/0/match: has more than one test" },
    { A("\"match\":{\"header\":\"a\",\"type\":\"null\"}"), "f: /adapters/0/match/type: unknown" },
    { A("\"match\":{\"any\":[{\"path\":{\"contains\":\"x\"}}]}"),
      "f: /adapters/0/match/any/0/path/contains: unknown" },
    { A("\"match\":{\"all\":[],\"any\":[]}"), "f: /adapters/0/match/any: a second condition" },
    { A("\"match\":{\"protocol\":\"grpc\"}"), "f: /adapters/0/match/protocol: must be one of" },
    { A("\"match\":{\"body\":\"a\",\"present\":true}"), "f: /adapters/0/match/body: " },
    { A("\"match\":{\"body\":\"/a\",\"type\":\"text\"}"), "f: /adapters/0/match/type: " },
    { A("\"match\":{\"model\":\"\"}"), "f: /adapters/0/match/model: " },
    { WHEN("{\"not\":[]}"), "f: /adapters/1/actions/0/when/not: must be an object" },
    /* actions */
    { ACT("{}"), "f: /adapters/1/actions/0: needs the member op" },
    { ACT("{\"op\":\"sudo\"}"), "f: /adapters/1/actions/0/op: unknown op" },
    { ACT("{\"op\":\"set\",\"path\":\"/a\"}"),
      "f: /adapters/1/actions/0: op set needs the member value" },
    { ACT("{\"op\":\"set\",\"path\":\"\",\"value\":1}"), "f: /adapters/1/actions/0/path: " },
    { ACT("{\"op\":\"set\",\"path\":\"/a~2\",\"value\":1}"), "f: /adapters/1/actions/0/path: " },
    { ACT("{\"op\":\"set\",\"path\":\"/a\",\"value\":1,\"if\":\"maybe\"}"),
      "f: /adapters/1/actions/0/if: must be one of: always, absent, absent_or_null, present" },
    { ACT("{\"op\":\"remove\",\"paths\":[\"/a\",1]}"), "f: /adapters/1/actions/0/paths/1: " },
    { ACT("{\"op\":\"remove\",\"paths\":[],\"path\":\"/a\"}"),
      "f: /adapters/1/actions/0/path: unknown member of op remove" },
    { ACT("{\"op\":\"rename\",\"from\":\"/a/b\",\"to\":\"/c/b\"}"),
      "f: /adapters/1/actions/0: from" },
    { ACT("{\"op\":\"clamp\",\"path\":\"/a\"}"), "f: /adapters/1/actions/0: needs min or max" },
    { ACT("{\"op\":\"clamp\",\"path\":\"/a\",\"min\":\"1\"}"), "f: /adapters/1/actions/0/min: " },
    { ACT("{\"op\":\"clamp\",\"path\":\"/a\",\"min\":2,\"max\":1}"),
      "f: /adapters/1/actions/0: min" },
    { ACT("{\"op\":\"system\",\"mode\":\"append\"}"),
      "f: /adapters/1/actions/0: needs one of text" },
    { ACT("{\"op\":\"system\",\"mode\":\"append\",\"text_file\":\"/nonexistent/p\"}"),
      "f: /adapters/1/actions/0/text_file: cannot be read: /nonexistent/p: No such file" },
    { ACT("{\"op\":\"system\",\"mode\":\"append\",\"text_file\":\"/dev/zero\"}"),
      "f: /adapters/1/actions/0/text_file: cannot be read" },
    { ACT("{\"op\":\"merge_tools\",\"file\":\"/nonexistent\"}"),
      "f: /adapters/1/actions/0/file: " },
    { ACT("{\"op\":\"merge_tools\",\"tools\":[1]}"), "f: /adapters/1/actions/0/tools: tool 0" },
    { ACT("{\"op\":\"model_map\",\"map\":{\"a\":1}}"), "f: /adapters/1/actions/0/map/a: " },
    { ACT("{\"op\":\"session\",\"target\":\"user\",\"scope\":\"key\",\"window\":\"1h\"}"),
      "f: /adapters/1/actions/0/target: " },
    { ACT("{\"op\":\"header_set\",\"name\":\"content-length\",\"value\":\"1\"}"),
      "f: /adapters/1/actions/0/name: " },
    { ACT("{\"op\":\"header_set\",\"name\":\"a\",\"value\":\"b\\nc\"}"),
      "f: /adapters/1/actions/0/value: " },
    { ACT("{\"op\":\"header_remove\",\"names\":[\"a\",\"x*y\"]}"),
      "f: /adapters/1/actions/0/names/1: " },
    { ACT("{\"op\":\"header_token\",\"name\":\"a\",\"add\":[\"b,c\"]}"),
      "f: /adapters/1/actions/0/add: " },
    { ACT("{\"op\":\"upstream\"}"), "f: /adapters/1/actions/0: needs protocol or name" },
    { ACT("{\"op\":\"upstream\",\"name\":\"x\"}"),
      "f: /adapters/1/actions/0/name: no upstream of this name" },
    { ACT("{\"op\":\"reject\",\"status\":200,\"message\":\"m\"}"),
      "f: /adapters/1/actions/0/status: " },
    { ACT("{\"op\":\"chat_shapes\"},{\"op\":\"raw\"}"), "f: /adapters/1/actions/1: raw must be" },
};

/* Goal: the message begins with the file and the JSON Pointer of the fault. */
static void faults_name_their_place(void **state)
{
    struct rules_test t;
    (void)state;
    rules_begin(&t);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct str got = load(&t, "f", str_of(faults[i].text));
        if (!str_starts(got, str_of(faults[i].at)))
            fail_msg("%s: got \"%.*s\"", faults[i].text, STR_ARG(got));
    }
    rules_end(&t);
}

/* n times the text and a number, with commas, between the two ends. */
static struct str repeated(struct rules_test *t, const char *head, const char *each,
                           const char *each_end, size_t n, const char *tail)
{
    struct buf b CLEANUP(buf_done);
    buf_init(&b, 1 << 22);
    buf_add(&b, str_of(head));
    for (size_t i = 0; i < n; i++) {
        buf_add(&b, i > 0 ? S(",") : S(""));
        buf_addf(&b, "%s%zu%s", each, i, each_end);
    }
    buf_add(&b, str_of(tail));
    return arena_str(&t->arena, buf_str(&b));
}

static struct str nots(struct rules_test *t, size_t n)
{
    struct str c = S("{\"protocol\":\"chat\"}");
    for (size_t i = 1; i < n; i++)
        c = arena_printf(&t->arena, "{\"not\":" STR_FMT "}", STR_ARG(c));
    return arena_printf(&t->arena, "{\"adapters\":[{\"name\":\"t\",\"match\":" STR_FMT "}]}",
                        STR_ARG(c));
}

/* Goal: each limit lets its number through and refuses one more. */
static void limits_hold(void **state)
{
    struct rules_test t;
    const char *head = "{\"adapters\":[", *each = "{\"name\":\"a", *end = "\"}", *tail = "]}";
    const char *act_head = "{\"adapters\":[{\"name\":\"t\",\"actions\":[";
    const char *act = "{\"op\":\"remove\",\"paths\":[\"/a", *act_end = "\"]}";
    const char *act_tail = "]}]}";
    (void)state;
    rules_begin(&t);
    assert_str(load(&t, "f", repeated(&t, head, each, end, 256, tail)), S(""));
    assert_true(
        str_starts(load(&t, "f", repeated(&t, head, each, end, 257, tail)), S("f: /adapters: ")));
    assert_str(load(&t, "f", repeated(&t, act_head, act, act_end, 64, act_tail)), S(""));
    assert_true(str_starts(load(&t, "f", repeated(&t, act_head, act, act_end, 65, act_tail)),
                           S("f: /adapters/0/actions: ")));
    assert_str(load(&t, "f", nots(&t, 8)), S(""));
    assert_true(str_contains(load(&t, "f", nots(&t, 9)), S("deeper than 8")));

    struct buf big CLEANUP(buf_done);
    buf_init(&big, 1 << 22);
    buf_add(&big, S("{\"adapters\":[]}"));
    while (buf_len(&big) < 1 << 20)
        buf_add_byte(&big, ' ');
    assert_str(load(&t, "f", buf_str(&big)), S(""));
    buf_add_byte(&big, ' ');
    assert_true(str_starts(load(&t, "f", buf_str(&big)), S("f: larger than")));
    rules_end(&t);
}

static char path[] = "/tmp/test_adapter_XXXXXX";

static const char *write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return path;
}

/* Goal: YAML says the same as JSON; what has no JSON meaning is refused with its line. */
static void yaml_is_read(void **state)
{
    static const struct {
        const char *text, *at;
    } bad[] = {
        { "adapters: [\n", "f.yaml: line 2: " },
        { "adapters: &a []\n", "f.yaml: line 1: anchors" },
        { "a: [x]\nadapters: *a\n", "f.yaml: line 2: aliases" },
        { "adapters: !!seq []\n", "f.yaml: line 1: anchors" },
        { "? [a]\n: b\n", "f.yaml: line 1: a key must be" },
        { "adapters: []\n---\nadapters: []\n", "f.yaml: line 2: only one document" },
        { "adapters: []\nadapters: []\n", "f.yaml: /adapters: given twice" },
        { "", "f.yaml: line 1: the file is empty" },
    };
    struct rules_test t;
    enum adapter_reason reason;
    (void)state;
    rules_begin(&t);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct str got = load(&t, "f.yaml", str_of(bad[i].text));
        if (!str_starts(got, str_of(bad[i].at)))
            fail_msg("%s: got \"%.*s\"", bad[i].text, STR_ARG(got));
    }
    assert_str(
        load(&t, "f.yaml",
             S("# comment\nadapters:\n- name: mybot\n  version: \"2.0\"\n  priority: 60\n"
               "  match: {header: user-agent, product: mybot}\n  actions:\n"
               "  - {op: set, path: /n, value: 1.50}\n  - {op: set, path: /s, value: \"1\"}\n"
               "  - op: set\n    path: /o\n    value: {a: [~, true, 0x10, yes]}\n"
               "  - op: system\n    mode: prepend\n    text: |\n      Two\n      lines\n")),
        S(""));
    http_add(&t.headers, &t.arena, S("user-agent"), S("MyBot/1"));
    rules_body(&t, S("{}"));
    const struct adapter *a = adapter_select(t.set, &t.r, &reason);
    assert_str(adapter_name(a), S("mybot"));
    assert_str(adapter_version(a), S("2.0"));
    assert_int_equal(reason, ADAPTER_BY_HEADER);
    adapter_apply(t.set, a, &t.r);
    assert_str(json_edit_text(&t.edit),
               S("{\"n\":1.50,\"s\":\"1\",\"o\":{\"a\":[null,true,\"0x10\",\"yes\"]},"
                 "\"system\":[{\"type\":\"text\",\"text\":\"Two\\nlines\\n\"}]}"));
    rules_end(&t);
}

/* Goal: ${NAME} comes from the settings; unset is empty; other dollars stay. */
static void variables_are_replaced(void **state)
{
    struct rules_test t;
    (void)state;
    rules_begin(&t);
    rules_set(&t, S("MODELS"), S("m1"));
    assert_str(
        rules_run(&t, PROTOCOL_RESPONSES,
                  S("[{\"op\":\"system\",\"mode\":\"replace\","
                    "\"text\":\"a ${MODELS} ${NO_SUCH_SETTING}$ ${1} ${MODELS\"},"
                    "{\"op\":\"header_set\",\"name\":\"X-M\",\"value\":\"v-${MODELS}\"},"
                    "{\"op\":\"header_set\",\"name\":\"x-n\",\"value\":\"${NO_SUCH_SETTING}\"}]"),
                  S("{}")),
        S("{\"instructions\":\"a m1 $ ${1} ${MODELS\"}"));
    assert_str(http_join(&t.headers, S("x-m"), &t.arena), S("v-m1"));
    assert_int_equal(t.r.extra_headers, 1);
    rules_end(&t);
}

/* Goal: files named by settings are read at load, and one that is missing is an error. */
static void files_of_settings_are_read(void **state)
{
    struct rules_test t;
    (void)state;
    rules_begin(&t);
    rules_set(&t, S("CLAUDE_SYSTEM_PROMPT_FILE"), str_of(write_file("From a file.\n")));
    rules_body(&t, S("{\"messages\":[]}"));
    rules_load(&t, (struct str){ NULL, 0 });
    adapter_apply(t.set, rules_named(&t, S("cherry_studio")), &t.r);
    assert_true(str_contains(json_edit_text(&t.edit), S("\"text\":\"From a file.\"")));
    rules_set(&t, S("CLAUDE_SYSTEM_PROMPT_FILE"), S("/nonexistent"));
    assert_true(
        str_starts(load(&t, "f", S("{\"adapters\":[]}")), S("CLAUDE_SYSTEM_PROMPT_FILE: ")));
    rules_set(&t, S("CLAUDE_SYSTEM_PROMPT_FILE"), S(""));
    rules_set(&t, S("CODEX_TOOLS_FILE"), str_of(write_file("[{\"name\":\"t\"}]")));
    assert_str(load(&t, "f", S("{\"adapters\":[]}")), S(""));
    rules_set(&t, S("CODEX_TOOLS_FILE"), str_of(write_file("{\"name\":\"t\"}")));
    assert_true(
        str_starts(load(&t, "f", S("{\"adapters\":[]}")), S("built-in adapters: /adapters/")));
    rules_end(&t);
}

/* Goal: adapters_load() reads the file that ADAPTERS_FILE names. */
static void the_file_is_read(void **state)
{
    struct rules_test t;
    (void)state;
    rules_begin(&t);
    rules_set(&t, S("ADAPTERS_FILE"), str_of(write_file("{\"adapters\":[{\"name\":\"mine\"}]}")));
    assert_int_equal(adapters_load(&t.config, &t.set, &t.error), 0);
    (void)rules_named(&t, S("mine"));
    adapters_free(t.set);
    t.set = NULL;
    rules_set(&t, S("ADAPTERS_FILE"), str_of(write_file("")));
    assert_true(adapters_load(&t.config, &t.set, &t.error) < 0);
    rules_set(&t, S("ADAPTERS_FILE"), S("/nonexistent/rules.json"));
    buf_clear(&t.error);
    assert_true(adapters_load(&t.config, &t.set, &t.error) < 0);
    assert_str(buf_str(&t.error),
               S("ADAPTERS_FILE: /nonexistent/rules.json: No such file or directory"));
    adapters_free(NULL);
    rules_end(&t);
}

/* Goal: a file's adapter replaces the built-in one; ties keep file order, file first; a disabled
 * one is listed but not used. */
static void sets_are_put_together(void **state)
{
    struct rules_test t;
    enum adapter_reason reason;
    struct buf list CLEANUP(buf_done);
    (void)state;
    buf_init(&list, 1 << 16);
    rules_begin(&t);
    rules_load(&t,
               S("{\"adapters\":[{\"name\":\"zed\",\"enabled\":false},"
                 "{\"name\":\"one\",\"match\":{\"header\":\"user-agent\",\"product\":\"Cursor\"}},"
                 "{\"name\":\"two\",\"match\":{\"header\":\"user-agent\",\"product\":\"Cursor\"}},"
                 "{\"name\":\"cx\",\"priority\":1000,\"service\":[\"codex\"],"
                 "\"match\":{\"protocol\":\"messages\"}}]}"));
    http_set(&t.headers, &t.arena, S("user-agent"), S("Cursor/1"));
    assert_str(adapter_name(adapter_select(t.set, &t.r, &reason)), S("one"));
    http_set(&t.headers, &t.arena, S("user-agent"), S("Zed/1"));
    assert_str(adapter_name(adapter_select(t.set, &t.r, &reason)), S("default"));
    assert_int_equal(reason, ADAPTER_BY_DEFAULT);
    t.r.service = SERVICE_CODEX;
    assert_str(adapter_name(adapter_select(t.set, &t.r, &reason)), S("cx"));
    assert_int_equal(reason, ADAPTER_BY_PROTOCOL);
    adapters_describe(t.set, &list);
    assert_true(
        str_starts(buf_str(&list), S("{\"adapters\":[{\"name\":\"cx\",\"version\":\"1.0.0\","
                                     "\"priority\":1000,\"service\":[\"codex\"],"
                                     "\"source\":\"file\",\"enabled\":true},")));
    assert_true(
        str_contains(buf_str(&list), S("{\"name\":\"zed\",\"version\":\"1.0.0\",\"priority\":50,"
                                       "\"service\":[\"claude\",\"codex\"],"
                                       "\"source\":\"file\",\"enabled\":false}")));
    assert_true(
        str_ends(buf_str(&list), S("{\"name\":\"default\",\"version\":\"1.0.0\",\"priority\":-999,"
                                   "\"service\":[\"claude\",\"codex\"],"
                                   "\"source\":\"builtin\",\"enabled\":true}]}")));
    rules_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_name_their_place),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(yaml_is_read),
        cmocka_unit_test(variables_are_replaced),
        cmocka_unit_test(files_of_settings_are_read),
        cmocka_unit_test(the_file_is_read),
        cmocka_unit_test(sets_are_put_together),
    };
    int fd = mkstemp(path);
    if (fd < 0 || close(fd) < 0)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    return failed;
}

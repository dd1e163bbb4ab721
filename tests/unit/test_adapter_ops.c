/*
 * Goal: what each op does where the document's vectors say nothing: odd spacing, paths with
 * '*' and '-', values the client set, duplicates, bodies of the wrong shape.
 * Method: tables of protocol, actions, body before and exact bytes after.
 */
#include "adapter_unit.h"

#define M PROTOCOL_MESSAGES
#define C PROTOCOL_CHAT
#define R PROTOCOL_RESPONSES
#define SAME NULL /* byte for byte, and no change is told */

struct row {
    enum protocol protocol;
    const char *action, *before, *after;
};

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct rules_test t;
        rules_begin(&t);
        struct str actions = arena_printf(&t.arena, "[%s]", rows[i].action);
        struct str got = rules_run(&t, rows[i].protocol, actions, str_of(rows[i].before));
        struct str want = str_of(rows[i].after != SAME ? rows[i].after : rows[i].before);
        if (!str_eq(got, want) || (t.r.changes_n > 0) != (rows[i].after != SAME))
            fail_msg("%s on %s: got %.*s, %zu changes", rows[i].action, rows[i].before,
                     STR_ARG(got), t.r.changes_n);
        rules_end(&t);
    }
}

static void members_by_path(void **state)
{
    static const struct row rows[] = {
        { M, "{\"op\":\"set\",\"path\":\"/a\",\"value\":{\"k\": 1}}", "{ \"b\" : 1.0 }",
          "{ \"b\" : 1.0,\"a\":{\"k\": 1} }" },
        { M, "{\"op\":\"set\",\"path\":\"/a/b/c\",\"value\":1}", "{}",
          "{\"a\":{\"b\":{\"c\":1}}}" },
        { M, "{\"op\":\"set\",\"path\":\"/a/b\",\"value\":1}", "{\"a\":null}", SAME },
        { M, "{\"op\":\"set\",\"path\":\"/a/0/c\",\"value\":1}", "{}", SAME },
        { M, "{\"op\":\"set\",\"path\":\"/a/2\",\"value\":1}", "{\"a\":[0,0]}", SAME },
        { M, "{\"op\":\"set\",\"path\":\"/a/1\",\"value\":1}", "{\"a\":[0, 0]}", "{\"a\":[0, 1]}" },
        { M, "{\"op\":\"set\",\"path\":\"/a/-\",\"value\":1}", "{\"a\":[0,0]}", "{\"a\":[0,1]}" },
        { M, "{\"op\":\"set\",\"path\":\"/a/*/x\",\"value\":1}", "{\"a\":[{},2,{\"x\":0}]}",
          "{\"a\":[{\"x\":1},2,{\"x\":1}]}" },
        { M, "{\"op\":\"set\",\"path\":\"/n\",\"value\":1}", "{\"n\": 1.0}", SAME },
        { M, "{\"op\":\"set\",\"path\":\"/n\",\"value\":1,\"if\":\"present\"}", "{}", SAME },
        { M, "{\"op\":\"set\",\"path\":\"/n\",\"value\":1,\"if\":\"present\"}", "{\"n\":null}",
          "{\"n\":1}" },
        { M, "{\"op\":\"set\",\"path\":\"/n\",\"value\":1,\"if\":\"absent\"}", "{\"n\":null}",
          SAME },
        { M, "{\"op\":\"remove\",\"paths\":[\"/a/*/b\",\"/c/-\",\"/d/0\"]}",
          "{\"a\":[{\"b\":1},{\"b\":2,\"x\":3}], \"c\":[1,2], \"d\":[7,8]}",
          "{\"a\":[{},{\"x\":3}], \"c\":[1], \"d\":[8]}" },
        { M, "{\"op\":\"remove\",\"paths\":[\"/x\"]}", "{\"x\":1,\"y\":2,\"x\":3}", "{\"y\":2}" },
        { M, "{\"op\":\"remove\",\"paths\":[\"/*\"]}", "{\"x\":1,\"*\":2}", "{\"x\":1}" },
        { M, "{\"op\":\"remove\",\"paths\":[\"/x/y\"]}", "{\"x\":[1]}", SAME },
        { M, "{\"op\":\"rename\",\"from\":\"/a\",\"to\":\"/b\"}", "{\"a\" : 1,\"c\":2}",
          "{\"b\" : 1,\"c\":2}" },
        { M, "{\"op\":\"rename\",\"from\":\"/a\",\"to\":\"/b\"}", "{\"a\":1,\"b\":2}",
          "{\"b\":2}" },
        { M, "{\"op\":\"rename\",\"from\":\"/m/*/a\",\"to\":\"/m/*/b\"}",
          "{\"m\":[{\"a\":1},{\"b\":1}]}", "{\"m\":[{\"b\":1},{\"b\":1}]}" },
        { M, "{\"op\":\"clamp\",\"path\":\"/t\",\"min\":0,\"max\":1}", "{\"t\":-0.5}",
          "{\"t\":0}" },
        { M, "{\"op\":\"clamp\",\"path\":\"/t\",\"min\":0,\"max\":1}", "{\"t\":1.0}", SAME },
        { M, "{\"op\":\"clamp\",\"path\":\"/t\",\"min\":0,\"max\":1}", "{\"t\":\"5\"}", SAME },
        { M, "{\"op\":\"coerce_bool\",\"path\":\"/s\"}", "{\"s\":1}", "{\"s\":true}" },
        { M, "{\"op\":\"coerce_bool\",\"path\":\"/s\"}", "{\"s\":\"\"}", "{\"s\":false}" },
        { M, "{\"op\":\"coerce_bool\",\"path\":\"/s\"}", "{\"s\":\"yes\"}", SAME },
        { M, "{\"op\":\"coerce_bool\",\"path\":\"/s\"}", "{\"s\":[]}", SAME },
        { M, "{\"op\":\"coerce_bool\",\"path\":\"/s\"}", "{\"s\" : false}", SAME },
        { M, "{\"op\":\"one_of\",\"keep\":\"/a\",\"drop\":[\"/b\",\"/c\"]}", "{\"a\":null,\"b\":1}",
          SAME },
        { M, "{\"op\":\"one_of\",\"keep\":\"/a\",\"drop\":[\"/b\",\"/c\"]}",
          "{\"c\":1,\"a\":0,\"b\":1}", "{\"a\":0}" },
        { M, "{\"op\":\"strip_keys\",\"keys\":[\"ke\"]}", "{\"a\":{\"\\u006be\":1}}",
          "{\"a\":{}}" },
        { M, "{\"op\":\"strip_keys\",\"keys\":[\"a/b\"]}", "{\"a\":{\"a\\/b\":1}}", "{\"a\":{}}" },
        { M, "{\"op\":\"strip_keys\",\"keys\":[\"\xc3\xa9\"]}", "{\"a\":{\"\\u00e9\":1}}",
          "{\"a\":{}}" },
        { M, "{\"op\":\"strip_keys\",\"keys\":[\"ke\"]}", "{\"a\":[{\"b\":1}, 2]}", SAME },
        { M, "{\"op\":\"strip_keys\",\"keys\":[\"k\"]}",
          "{\"k\":1,\"a\":[{\"k\":{\"k\":2},\"b\":[[{\"k\":3, "
          "\"c\":4}]]}],\"input\":{\"k\":5},\"p\":{\"parameters\":{\"k\":6}}}",
          "{\"a\":[{\"b\":[[{ \"c\":4}]]}],\"input\":{\"k\":5},\"p\":{\"parameters\":{\"k\":6}}}" },
        { M, "{\"op\":\"strip_keys\",\"keys\":[\"k\"],\"under\":[\"/m/*\",\"/input\"]}",
          "{\"k\":1,\"m\":[{\"k\":1},{\"k\":2}],\"input\":[{\"k\":3}]}",
          "{\"k\":1,\"m\":[{},{}],\"input\":[{}]}" },
        { M, "{\"op\":\"model_map\",\"map\":{\"GPT-?\":\"a\",\"*\":\"b\"}}",
          "{\"model\":\"gpt-5\"}", "{\"model\":\"a\"}" },
        { M, "{\"op\":\"model_map\",\"map\":{\"x\":\"a\"}}", "{\"model\":\"gpt-5\"}", SAME },
        { M, "{\"op\":\"model_map\",\"map\":{\"*\":\"same\"}}", "{\"model\" : \"same\"}", SAME },
        { M, "{\"op\":\"force_stream\"}", "{\"stream\" : true}", SAME },
        { C, "{\"op\":\"force_stream\"}", "{}", SAME },
    };
    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void prompts(void **state)
{
    static const struct row rows[] = {
        { M, "{\"op\":\"system\",\"mode\":\"prepend\",\"text\":\" \\n\"}", "{}", SAME },
        { M, "{\"op\":\"system\",\"mode\":\"append\",\"text\":\"B\"}", "{\"system\":\"A\"}",
          "{\"system\":[{\"type\":\"text\",\"text\":\"A\"},{\"type\":\"text\",\"text\":\"B\"}]}" },
        { M, "{\"op\":\"system\",\"mode\":\"append\",\"text\":\"B\"}", "{\"system\":\"\"}",
          "{\"system\":[{\"type\":\"text\",\"text\":\"B\"}]}" },
        { M, "{\"op\":\"system\",\"mode\":\"append\",\"text\":\"B\"}", "{\"system\":null}",
          "{\"system\":[{\"type\":\"text\",\"text\":\"B\"}]}" },
        { M, "{\"op\":\"system\",\"mode\":\"append\",\"text\":\"B\"}", "{\"system\":\"B\"}", SAME },
        { M, "{\"op\":\"system\",\"mode\":\"append\",\"text\":\"B\",\"once\":false}",
          "{\"system\":\"B\"}",
          "{\"system\":[{\"type\":\"text\",\"text\":\"B\"},{\"type\":\"text\",\"text\":\"B\"}]}" },
        { M, "{\"op\":\"system\",\"mode\":\"prepend\",\"text\":\"B\"}", "{\"system\":{\"x\":1}}",
          SAME },
        { M, "{\"op\":\"system\",\"mode\":\"prepend\",\"text\":\"B\",\"cache\":true}",
          "{\"system\":[{\"cache_control\":{}},{\"cache_control\":{}}],\"tools\":[{\"cache_"
          "control\":{}}],"
          "\"messages\":[{\"content\":[{\"cache_control\":{}}]}]}",
          "{\"system\":[{\"type\":\"text\",\"text\":\"B\"},{\"cache_control\":{}},{\"cache_"
          "control\":{}}],\"tools\":[{\"cache_control\":{}}],"
          "\"messages\":[{\"content\":[{\"cache_control\":{}}]}]}" },
        { R, "{\"op\":\"system\",\"mode\":\"append\",\"text\":\"B\"}", "{\"instructions\":\"A\"}",
          "{\"instructions\":\"A\\n\\nB\"}" },
        { R, "{\"op\":\"system\",\"mode\":\"append\",\"text\":\"B\"}", "{\"instructions\":null}",
          "{\"instructions\":\"B\"}" },
        { R, "{\"op\":\"system\",\"mode\":\"append\",\"text\":\"B\"}", "{\"instructions\":\"B\"}",
          SAME },
        { R, "{\"op\":\"system\",\"mode\":\"append\",\"text\":\"B\"}", "{\"instructions\":[]}",
          SAME },
        { C, "{\"op\":\"system\",\"mode\":\"prepend\",\"text\":\"B\"}",
          "{\"messages\":[{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"B\"}]}]}",
          SAME },
        { C, "{\"op\":\"system\",\"mode\":\"append\",\"text\":\"B\"}",
          "{\"messages\":[{\"role\":\"system\",\"content\":\"A\"},{\"role\":\"user\",\"content\":"
          "\"u\"}]}",
          "{\"messages\":[{\"role\":\"system\",\"content\":\"A\\n\\nB\"},{\"role\":\"user\","
          "\"content\":\"u\"}]}" },
        { C, "{\"op\":\"system\",\"mode\":\"append\",\"text\":\"B\"}",
          "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"}]}",
          "{\"messages\":[{\"role\":\"system\",\"content\":\"B\"},{\"role\":\"user\",\"content\":"
          "\"u\"}]}" },
        { C, "{\"op\":\"system\",\"mode\":\"replace\",\"text\":\"B\"}",
          "{\"messages\":[{\"role\":\"developer\",\"content\":\"A\"},{\"role\":\"user\","
          "\"content\":\"u\"}]}",
          "{\"messages\":[{\"role\":\"system\",\"content\":\"B\"},{\"role\":\"user\",\"content\":"
          "\"u\"}]}" },
        { C, "{\"op\":\"system\",\"mode\":\"prepend\",\"text\":\"B\"}", "{\"input\":\"x\"}", SAME },
        { M, "{\"op\":\"hoist_system\"}",
          "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"developer\","
          "\"content\":[{\"type\":\"text\",\"text\":\"D\",\"cache_control\":{}}]}]}",
          "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"}],\"system\":[{\"type\":\"text\","
          "\"text\":\"D\",\"cache_control\":{}}]}" },
        { M, "{\"op\":\"hoist_system\"}", "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"}]}",
          SAME },
    };
    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void thinking_and_cache(void **state)
{
    static const struct row rows[] = {
        { M, "{\"op\":\"normalize_thinking\"}",
          "{\"thinking\":{\"enabled\":false,\"budget_tokens\":5,\"display\":\"x\"},\"top_k\":1}",
          "{\"thinking\":{\"type\":\"disabled\",\"display\":\"x\"},\"top_k\":1}" },
        { M, "{\"op\":\"normalize_thinking\"}",
          "{\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":\"x\"},\"top_p\":0.94}",
          "{\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}}" },
        { M, "{\"op\":\"normalize_thinking\"}",
          "{\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":10}}",
          "{\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}}" },
        { M, "{\"op\":\"normalize_thinking\"}",
          "{\"thinking\":{\"type\":\"adaptive\"},\"top_p\":0.95,\"temperature\":1.0}", SAME },
        { M, "{\"op\":\"normalize_thinking\"}",
          "{\"thinking\":{\"type\":\"adaptive\"},\"temperature\":0}",
          "{\"thinking\":{\"type\":\"adaptive\"}}" },
        { M, "{\"op\":\"normalize_thinking\"}",
          "{\"max_tokens\":1025,\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}}",
          SAME },
        { M, "{\"op\":\"normalize_thinking\"}",
          "{\"max_tokens\":1024,\"temperature\":0,\"thinking\":{\"type\":\"enabled\"}}",
          "{\"max_tokens\":1024,\"temperature\":0}" },
        { M, "{\"op\":\"normalize_thinking\"}", "{\"thinking\":true}", SAME },
        { M, "{\"op\":\"cache_control_last\",\"ttl\":\"1h\"}",
          "{\"messages\":[{\"content\":\"a\"}]}",
          "{\"messages\":[{\"content\":[{\"type\":\"text\",\"text\":\"a\",\"cache_control\":{"
          "\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]}]}" },
        { M, "{\"op\":\"cache_control_last\"}",
          "{\"messages\":[{\"content\":[{\"type\":\"text\",\"text\":\"\"}]}]}", SAME },
        { M, "{\"op\":\"cache_control_last\"}", "{\"messages\":[]}", SAME },
        { M, "{\"op\":\"cache_control_last\"}", "{\"messages\":[{\"content\":[]}]}", SAME },
        { M, "{\"op\":\"cache_control_last\"}",
          "{\"tools\":[{\"cache_control\":{}},{\"cache_control\":{}}],\"system\":[{\"cache_"
          "control\":{}},{\"cache_control\":{}}],\"messages\":[{\"content\":\"a\"}]}",
          SAME },
        { M, "{\"op\":\"cache_control_last\"}",
          "{\"messages\":[{\"content\":[{\"type\":\"tool_result\",\"content\":[{\"type\":\"text\","
          "\"cache_control\":{}}]}]},{\"content\":\"a\"}]}",
          SAME },
        { M, "{\"op\":\"cache_control_last\"}",
          "{\"tools\":[{\"cache_control\":{}}],\"messages\":[{\"content\":[{\"type\":\"tool_"
          "result\"}]}]}",
          "{\"tools\":[{\"cache_control\":{}}],\"messages\":[{\"content\":[{\"type\":\"tool_"
          "result\",\"cache_control\":{\"type\":\"ephemeral\"}}]}]}" },
    };
    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static const struct row turn_rows[] = {
    { M, "{\"op\":\"drop_messages\",\"role\":\"assistant\",\"equals\":\";\"}",
      "{\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\";\"}]}"
      ",{\"role\":\"user\",\"content\":\";\"}]}",
      "{\"messages\":[{\"role\":\"user\",\"content\":\";\"}]}" },
    { C, "{\"op\":\"drop_messages\",\"role\":\"assistant\",\"equals\":\";\"}",
      "{\"messages\":[{\"role\":\"assistant\",\"content\":\";\",\"tool_calls\":[{}]}]}", SAME },
    { R, "{\"op\":\"map_roles\",\"map\":{\"system\":\"developer\"}}",
      "{\"input\":[{\"role\":\"system\"},{\"role\":\"user\"},1]}",
      "{\"input\":[{\"role\":\"developer\"},{\"role\":\"user\"},1]}" },
    { R, "{\"op\":\"normalize_input\"}",
      "{\"input\":[\"hi\",{\"role\":\"user\",\"content\":[]},{\"content\":\"x\"}]}",
      "{\"input\":[{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_"
      "text\",\"text\":\"hi\"}]},"
      "{\"type\":\"message\",\"role\":\"user\",\"content\":[]},{\"content\":\"x\"}]}" },
    { R, "{\"op\":\"environment_context\"}", "{\"input\":[]}", SAME },
    { R, "{\"op\":\"reasoning_defaults\",\"summary\":\"auto\",\"include_encrypted\":true}",
      "{\"reasoning\":{\"summary\":null},\"include\":[\"x\"],\"store\":false}",
      "{\"reasoning\":{\"summary\":null},\"include\":[\"x\",\"reasoning.encrypted_content\"],"
      "\"store\":false}" },
    { R, "{\"op\":\"reasoning_defaults\",\"summary\":\"auto\",\"include_encrypted\":true}",
      "{\"store\":false}", SAME },
    { R, "{\"op\":\"reasoning_defaults\",\"include_encrypted\":true}", "{\"reasoning\":{}}", SAME },
    { C, "{\"op\":\"lift_reasoning\"}", "{\"reasoning\":{\"effort\":\"high\",\"max_tokens\":1}}",
      "{\"reasoning_effort\":\"high\"}" },
    { C, "{\"op\":\"lift_reasoning\"}",
      "{\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":4095}}",
      "{\"reasoning_effort\":\"low\"}" },
    { C, "{\"op\":\"lift_reasoning\"}", "{\"reasoning\":{\"max_tokens\":16384}}",
      "{\"reasoning_effort\":\"high\"}" },
    { C, "{\"op\":\"lift_reasoning\"}",
      "{\"extra_body\":{\"google\":{\"thinking_config\":{\"thinking_budget\":4096}}}}",
      "{\"reasoning_effort\":\"medium\"}" },
    { C, "{\"op\":\"lift_reasoning\"}", "{\"thinking_budget\":-1}", "{}" },
    { C, "{\"op\":\"lift_reasoning\"}", "{\"enable_thinking\":false,\"thinking_budget\":9000}",
      "{}" },
    { C, "{\"op\":\"lift_reasoning\"}", "{\"reasoning_effort\":null}", SAME },
    { C, "{\"op\":\"chat_shapes\"}", "{\"messages\":[{\"role\":\"user\",\"content\":[]}]}",
      "{\"messages\":[{\"role\":\"user\",\"content\":\"\"}]}" },
    { C, "{\"op\":\"chat_shapes\"}",
      "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}], "
      "\"tool_choice\":\"auto\"}",
      SAME },
    { C, "{\"op\":\"chat_shapes\"}",
      "{\"input\":[],\"tools\":[{\"type\":\"function\",\"name\":\"f\"}]}", SAME },
    { M, "{\"op\":\"chat_shapes\"}", "{\"tools\":[{\"type\":\"function\",\"name\":\"f\"}]}", SAME },
    { C,
      "{\"op\":\"merge_tools\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}}"
      ",{\"type\":\"x\"}]}",
      "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\",\"d\":1}},{\"type\" : "
      "\"x\"}]}",
      SAME },
    { R,
      "{\"op\":\"merge_tools\",\"tools\":[{\"name\":\"a\",\"n\":1},{\"name\":\"b\"}],"
      "\"conflict\":\"file\"}",
      "{\"tools\":[{\"name\":\"a\"},{\"name\":\"c\"}]}",
      "{\"tools\":[{\"name\":\"a\",\"n\":1},{\"name\":\"c\"},{\"name\":\"b\"}]}" },
    { R, "{\"op\":\"merge_tools\",\"tools\":[{\"name\":\"a\"}],\"conflict\":\"both\"}",
      "{\"tools\":[{\"name\":\"a\"}]}", "{\"tools\":[{\"name\":\"a\"},{\"name\":\"a\"}]}" },
    { R,
      "{\"op\":\"merge_tools\",\"tools\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"place\":"
      "\"first\"}",
      "{\"tools\":null}", "{\"tools\":[{\"name\":\"a\"},{\"name\":\"b\"}]}" },
    { R, "{\"op\":\"merge_tools\",\"tools\":[{\"name\":\"a\"}]}", "{\"tools\":\"x\"}", SAME },
    { M,
      "{\"op\":\"session\",\"target\":\"metadata.user_id\",\"scope\":\"global\",\"window\":"
      "\"7d\"}",
      "{\"metadata\":{\"user_id\":\"u\"}}", SAME },
    { M,
      "{\"op\":\"session\",\"target\":\"prompt_cache_key\",\"scope\":\"global\",\"window\":"
      "\"7d\"}",
      "{}", SAME },
    { R,
      "{\"op\":\"session\",\"target\":\"prompt_cache_key\",\"scope\":\"global\",\"window\":"
      "\"7d\"}",
      "{\"prompt_cache_key\":\"k\"}", SAME },
};

static void turns_and_tools(void **state)
{
    (void)state;
    check_rows(turn_rows, ARRAY_LEN(turn_rows));
}

/* Goal: header ops with headers given twice, and what they count as added. */
static void headers(void **state)
{
    static const struct {
        const char *action, *want; /* all of x after it, joined by '|' */
        size_t added;
    } rows[] = {
        { "{\"op\":\"header_set\",\"name\":\"x\",\"value\":\"new\"}", "new", 0 },
        { "{\"op\":\"header_default\",\"name\":\"x\",\"value\":\"new\"}", "a,b|b, C", 0 },
        { "{\"op\":\"header_default\",\"name\":\"y\",\"value\":\"new\"}", "a,b|b, C", 1 },
        { "{\"op\":\"header_remove\",\"names\":[\"X*\"]}", "", 0 },
        { "{\"op\":\"header_remove\",\"names\":[\"x-*\"]}", "a,b|b, C", 0 },
        { "{\"op\":\"header_token\",\"name\":\"x\",\"add\":[\"A\"]}", "a,b,C", 0 },
        { "{\"op\":\"header_token\",\"name\":\"x\",\"add\":[\"d\"],\"remove\":[\"B\",\"c\"]}",
          "a,d", 0 },
        { "{\"op\":\"header_token\",\"name\":\"x\",\"remove\":[\"a\",\"b\",\"c\"]}", "", 0 },
        { "{\"op\":\"header_token\",\"name\":\"y\",\"remove\":[\"a\"]}", "a,b|b, C", 0 },
        { "{\"op\":\"header_token\",\"name\":\"y\",\"add\":[\"q\"]}", "a,b|b, C", 1 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct rules_test t;
        struct str got = S("");
        rules_begin(&t);
        http_add(&t.headers, &t.arena, S("x"), S("a,b"));
        http_add(&t.headers, &t.arena, S("x"), S("b, C"));
        (void)rules_run(&t, M, arena_printf(&t.arena, "[%s]", rows[i].action), S("{}"));
        for (size_t h = 0; h < t.headers.n; h++)
            if (str_eq(t.headers.v[h].name, S("x")))
                got = arena_printf(&t.arena, STR_FMT "%s" STR_FMT, STR_ARG(got),
                                   got.n > 0 ? "|" : "", STR_ARG(t.headers.v[h].value));
        if (!str_eq(got, str_of(rows[i].want)) || t.r.extra_headers != rows[i].added)
            fail_msg("%s: got %.*s, %zu added", rows[i].action, STR_ARG(got), t.r.extra_headers);
        rules_end(&t);
    }
}

/* Goal: changes lists each op once and in order; `when` sees the upstream of that moment;
 * nothing runs after a reject. */
static void a_list_of_actions(void **state)
{
    struct rules_test t;
    (void)state;
    rules_begin(&t);
    assert_str(
        rules_run(
            &t, C,
            S("[{\"op\":\"set\",\"path\":\"/a\",\"value\":1},"
              "{\"op\":\"set\",\"path\":\"/b\",\"value\":1,\"when\":{\"upstream\":\"responses\"}},"
              "{\"op\":\"upstream\",\"protocol\":\"responses\",\"name\":\"claude\"},"
              "{\"op\":\"set\",\"path\":\"/c\",\"value\":1,\"when\":{\"upstream\":\"responses\"}},"
              "{\"op\":\"remove\",\"paths\":[\"/none\"]},"
              "{\"op\":\"reject\",\"status\":429,\"message\":\"No.\",\"when\":{\"body\":\"/"
              "c\",\"type\":\"number\"}},"
              "{\"op\":\"set\",\"path\":\"/d\",\"value\":1}]"),
            S("{}")),
        S("{\"a\":1,\"c\":1}"));
    assert_int_equal(t.r.changes_n, 2);
    assert_str(t.r.changes[0], S("set"));
    assert_str(t.r.changes[1], S("upstream"));
    assert_int_equal(t.r.upstream_protocol, R);
    assert_int_equal(t.r.protocol, C);
    assert_str(t.r.upstream_name, S("claude"));
    assert_int_equal(t.r.reject_status, 429);
    assert_str(t.r.reject_message, S("No."));
    rules_end(&t);
}

/* Goal: without a body header rules decide, and body rules say that they wanted it. */
static void the_body_is_asked_for(void **state)
{
    struct rules_test t;
    enum adapter_reason reason;
    (void)state;
    rules_begin(&t);
    rules_load(&t, (struct str){ NULL, 0 });
    http_add(&t.headers, &t.arena, S("user-agent"), S("claude-cli/1"));
    const struct adapter *a = adapter_select(t.set, &t.r, &reason);
    assert_str(adapter_name(a), S("claude_code"));
    assert_true(adapter_is_raw(a) && adapter_keeps_vendor_headers(a) && adapter_has_actions(a));
    assert_false(t.r.body_needed);
    http_set(&t.headers, &t.arena, S("user-agent"), S("curl/8"));
    a = adapter_select(t.set, &t.r, &reason);
    assert_true(adapter_is_default(a));
    assert_true(t.r.body_needed);
    adapter_apply(t.set, a, &t.r); /* does nothing */
    assert_int_equal(t.r.changes_n, 0);
    rules_body(&t, S("{\"system\":\"You are Cline, x\"}"));
    assert_str(adapter_name(adapter_select(t.set, &t.r, &reason)), S("cline"));
    assert_false(t.r.body_needed);
    assert_int_equal(reason, ADAPTER_BY_BODY);
    rules_end(&t);
}

/* Goal: a conversation's name is that of the request as received. */
static void the_conversation_is_taken_first(void **state)
{
    static const char *const first[] = {
        "{\"op\":\"chat_shapes\"}",
        "{\"op\":\"set\",\"path\":\"/"
        "instructions\",\"value\":\"x\"},{\"op\":\"header_remove\",\"names\":[\"session_id\"]}"
    };
    struct str got[4];
    struct arena keep;
    (void)state;
    arena_init(&keep, 1 << 16);
    for (size_t i = 0; i < 4; i++) {
        struct rules_test t;
        rules_begin(&t);
        if (i >= 2)
            http_add(&t.headers, &t.arena, S("session_id"), S("s"));
        (void)rules_run(&t, R,
                        arena_printf(&t.arena,
                                     "[%s,{\"op\":\"session\",\"target\":\"prompt_cache_key\","
                                     "\"scope\":\"conversation\",\"window\":\"1h\"}]",
                                     first[i % 2]),
                        S("{\"instructions\":\"i\",\"input\":\"u\"}"));
        got[i] = arena_str(&keep, json_string(&t.edit, json_at(&t.edit, S("/prompt_cache_key"))));
        assert_int_equal(got[i].n, 36);
        rules_end(&t);
    }
    assert_str(got[1], got[0]);
    assert_str(got[3], got[2]);
    assert_false(str_eq(got[0], got[2]));
    arena_done(&keep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_by_path),
        cmocka_unit_test(prompts),
        cmocka_unit_test(thinking_and_cache),
        cmocka_unit_test(turns_and_tools),
        cmocka_unit_test(headers),
        cmocka_unit_test(a_list_of_actions),
        cmocka_unit_test(the_body_is_asked_for),
        cmocka_unit_test(the_conversation_is_taken_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

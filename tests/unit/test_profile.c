/*
 * Goal: what a model on an upstream takes comes out as protocols.md 0.5 and A1.4 say; overrides
 * win, and a wrong one is named with what it should be.
 */
#include "profile.c"

#include "unit.h"

struct run {
    struct profile p;
    struct buf error;
    int e;
};

static void run(struct run *r, const char *name, const char *host, const char *model,
                const struct profile_override *overrides, size_t n)
{
    r->p = (struct profile){ 0 };
    buf_init(&r->error, 1024);
    r->e =
        profile_resolve(&r->p, str_of(name), str_of(host), str_of(model), overrides, n, &r->error);
}

static struct profile resolved(const char *name, const char *host, const char *model)
{
    struct run r;
    run(&r, name, host, model, NULL, 0);
    assert_int_equal(r.e, 0);
    assert_int_equal(buf_len(&r.error), 0);
    buf_done(&r.error);
    return r.p;
}

static struct profile with(const char *setting, const char *value)
{
    struct run r;
    struct profile_override o = { str_of(setting), str_of(value) };
    run(&r, NULL, "gateway.example", "m", &o, 1);
    assert_int_equal(r.e, 0);
    assert_int_equal(profile_check(&o, &r.error), 0);
    buf_done(&r.error);
    return r.p;
}

static void refused(const char *setting, const char *value, const char *want)
{
    struct run r;
    struct profile_override o = { str_of(setting), str_of(value) };
    run(&r, NULL, "", "m", &o, 1);
    assert_int_equal(r.e, -EINVAL);
    assert_str(buf_str(&r.error), str_of(want));
    buf_clear(&r.error);
    assert_int_equal(profile_check(&o, &r.error), -EINVAL);
    assert_str(buf_str(&r.error), str_of(want));
    buf_done(&r.error);
}

#define BIT(name) (1u << CHAT_EFFORT_##name)
#define LOW_TO_MAX (BIT(LOW) | BIT(MEDIUM) | BIT(HIGH) | BIT(XHIGH) | BIT(MAX))

static void an_unknown_model_on_an_unknown_host_gets_the_defaults(void **state)
{
    (void)state;
    struct profile p = resolved("", "gateway.example", "m");
    assert_str(p.name, S("default"));
    assert_str(p.anthropic_version, S("2023-06-01"));
    assert_true(p.anthropic_sampling);
    assert_int_equal(p.anthropic_thinking, THINKING_ADAPTIVE | THINKING_DISABLED);
    assert_int_equal(p.anthropic_effort, LOW_TO_MAX);
    assert_false(p.anthropic_mid_system);
    assert_int_equal(p.anthropic_structured, STRUCTURED_NATIVE);
    assert_int_equal(p.anthropic_default_max_tokens, 32000);
    assert_int_equal(p.anthropic_max_tokens, -1);
    assert_false(p.anthropic_auto_cache);
    assert_false(p.anthropic_unsigned_thinking);
    assert_false(p.chat_max_completion_tokens);
    assert_false(p.chat_developer_role);
    assert_int_equal(p.chat_reasoning_replay, REPLAY_NEVER);
    assert_int_equal(p.chat_thinking_switch, SWITCH_REASONING_EFFORT);
    assert_true(p.chat_stream_usage);
    assert_false(p.chat_tool_media);
    assert_false(p.chat_custom_tools);
    assert_true(p.chat_json_schema);
    assert_true(p.chat_strict);
    assert_true(p.chat_null_content);
    assert_true(p.chat_parallel);
    assert_true(p.responses_include_encrypted);
    assert_false(p.responses_store);
    assert_str(p.responses_summary, S("auto"));
    assert_int_equal(p.openai_effort, BIT(NONE) | BIT(MINIMAL) | LOW_TO_MAX);
    assert_false(p.openai_cache_fields);
    assert_true(p.openai_reasoning);
    assert_true(p.openai_sampling);
    assert_true(p.openai_prompt_user);
}

static void profiles_are_found_by_name_and_by_host(void **state)
{
    (void)state;
    static const struct {
        const char *host, *name;
    } cases[] = {
        { "api.anthropic.com", "anthropic" },
        { "api.openai.com", "openai" },
        { "eu.api.openai.com", "openai" },
        { "api.deepseek.com", "deepseek" },
        { "api.moonshot.cn", "kimi" },
        { "api.z.ai", "glm" },
        { "api.minimax.io", "minimax" },
        { "openrouter.ai", "openrouter" },
        { "api.groq.com", "groq" },
        { "ollama", "ollama" },
        { "me.openai.azure.com", "azure" },
        { "evilapi.openai.com", "default" },
        { "api.openai.com.evil.io", "default" },
        { "dashscope.aliyuncs.com", "qwen" },
        { "", "default" },
        { "127.0.0.1", "default" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_str(resolved("", cases[i].host, "m").name, str_of(cases[i].name));
    assert_str(resolved("vllm", "api.openai.com", "m").name, S("vllm"));
    assert_true(profile_exists(S("llamacpp")));
    assert_false(profile_exists(S("Nobody")));
    assert_false(profile_exists(S("")));

    struct run r;
    run(&r, "nobody", "api.openai.com", "m", NULL, 0);
    assert_int_equal(r.e, -EINVAL);
    assert_str(buf_str(&r.error), S("no such profile: nobody"));
    buf_done(&r.error);
}

/* Every row of the tables is read, so that a mistake in one stops here and not in a proxy. */
static void every_profile_and_family_can_be_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(builtins); i++) {
        for (size_t k = 0; k < ARRAY_LEN(families); k++) {
            struct profile p;
            apply_initial(&p);
            apply_builtin(&p, families[k].settings);
            apply_builtin(&p, builtins[i].settings);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t k = 0; k < i; k++)
            assert_false(str_eq(rows[i].name, rows[k].name));
    }
}

static void profiles_differ_where_the_vendors_do(void **state)
{
    (void)state;
    assert_true(resolved("anthropic", "", "m").anthropic_auto_cache);
    assert_true(resolved("openai", "", "m").chat_custom_tools);
    assert_true(resolved("openai", "", "m").openai_cache_fields);
    struct profile p = resolved("deepseek", "", "deepseek-chat");
    assert_int_equal(p.chat_reasoning_replay, REPLAY_TOOL_TURNS);
    assert_int_equal(p.chat_thinking_switch, SWITCH_THINKING_TYPE);
    assert_false(p.chat_json_schema);
    assert_int_equal(resolved("qwen", "", "q").chat_thinking_switch, SWITCH_ENABLE_THINKING);
    assert_int_equal(resolved("vllm", "", "q").chat_thinking_switch, SWITCH_TEMPLATE_KWARGS);
    assert_int_equal(resolved("openrouter", "", "q").chat_thinking_switch, SWITCH_REASONING_OBJECT);
    assert_int_equal(resolved("minimax", "", "q").chat_thinking_switch, SWITCH_NONE);
    assert_false(resolved("llamacpp", "", "q").chat_null_content);
}

static void claude_families_are_those_of_the_table(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        int64_t max;
        unsigned thinking, effort;
        bool by_default, sampling, one, forced, mid_system;
    } cases[] = {
        { "claude-3-haiku-20240307", 4096, 0, 0, 0, 1, 0, 1, 0 },
        { "claude-sonnet-4-20250514", 64000, 6, 0, 0, 1, 1, 0, 0 },
        { "claude-opus-4-1-20250805", 32000, 6, 0, 0, 1, 1, 0, 0 },
        { "us.anthropic.claude-sonnet-4-5-v1:0", 64000, 6, 0, 0, 1, 1, 0, 0 },
        { "anthropic/claude-haiku-4.5", 64000, 6, 0, 0, 1, 1, 0, 0 },
        { "claude-opus-4-6", 128000, 7, LOW_TO_MAX & ~BIT(XHIGH), 0, 1, 1, 0, 0 },
        { "claude-sonnet-4-6", 128000, 7, LOW_TO_MAX & ~BIT(XHIGH), 0, 1, 1, 0, 0 },
        { "claude-opus-4-7", 128000, 5, LOW_TO_MAX, 0, 0, 0, 0, 0 },
        { "claude-opus-4-8", 128000, 5, LOW_TO_MAX, 0, 0, 0, 1, 1 },
        { "claude-sonnet-5-5", 128000, 5, LOW_TO_MAX, 1, 0, 0, 1, 1 },
        { "claude-opus-5", 128000, 5, LOW_TO_MAX, 1, 0, 0, 1, 1 },
        { "claude-fable-5", 128000, 1, LOW_TO_MAX, 1, 0, 0, 1, 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct profile p = resolved("anthropic", "", cases[i].model);
        assert_int_equal(p.anthropic_max_tokens, cases[i].max);
        assert_int_equal(p.anthropic_thinking, cases[i].thinking);
        assert_int_equal(p.anthropic_effort, cases[i].effort);
        assert_int_equal(p.anthropic_thinks_by_default, cases[i].by_default);
        assert_int_equal(p.anthropic_sampling, cases[i].sampling);
        assert_int_equal(p.anthropic_one_sampling, cases[i].one);
        assert_int_equal(p.anthropic_forced_tool_with_thinking, cases[i].forced);
        assert_int_equal(p.anthropic_mid_system, cases[i].mid_system);
    }
}

static void openai_families_follow_the_name_rule(void **state)
{
    (void)state;
    static const char *const reasons[] = { "o1",    "o3-mini",          "o4-mini",
                                           "gpt-5", "gpt-6.1",          "codex-mini-latest",
                                           "GPT-5", "openai/gpt-5-mini" };
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        struct profile p = resolved("openai", "", reasons[i]);
        assert_true(p.chat_max_completion_tokens);
        assert_true(p.chat_developer_role);
        assert_true(p.openai_reasoning);
        assert_false(p.openai_sampling);
    }
    struct profile p = resolved("openai", "", "gpt-4o");
    assert_false(p.chat_max_completion_tokens);
    assert_false(p.openai_reasoning);
    assert_true(p.openai_sampling);
    p = resolved("openai", "", "gpt-5-chat-latest");
    assert_false(p.openai_reasoning);
    assert_true(p.openai_sampling);
    assert_false(resolved("openai", "", "llama-o1").chat_developer_role);
}

static void overrides_win_over_profile_and_family(void **state)
{
    (void)state;
    assert_true(with("chat.max_field", "max_completion_tokens").chat_max_completion_tokens);
    assert_true(with("responses.store", "true").responses_store);
    assert_true(with("chat.top_k", "on").chat_top_k);
    assert_str(with("responses.summary", "none").responses_summary, S(""));
    assert_str(with("responses.summary", "auto").responses_summary, S("auto"));
    assert_int_equal(with("openai.effort", "none,high").openai_effort, BIT(NONE) | BIT(HIGH));
    assert_int_equal(with("openai.effort", "low, high").openai_effort, BIT(LOW) | BIT(HIGH));
    assert_int_equal(with("anthropic.effort", "all").anthropic_effort, LOW_TO_MAX);
    assert_int_equal(with("anthropic.thinking", "none").anthropic_thinking, 0);
    assert_int_equal(with("anthropic.thinking", "between_tools").anthropic_thinking,
                     THINKING_BETWEEN_TOOLS);
    assert_int_equal(with("anthropic.max_tokens", "5").anthropic_max_tokens, 5);
    assert_int_equal(with("anthropic.max_tokens", "unknown").anthropic_max_tokens, -1);
    assert_int_equal(with("anthropic.structured", "tool").anthropic_structured, STRUCTURED_TOOL);

    struct run r;
    struct profile_override two[] = { { S("anthropic.sampling"), S("yes") },
                                      { S("anthropic.max_tokens"), S("auto") } };
    run(&r, "anthropic", "", "claude-opus-5", two, 2);
    assert_int_equal(r.e, 0);
    assert_true(r.p.anthropic_sampling);
    assert_int_equal(r.p.anthropic_max_tokens, 128000);
    buf_done(&r.error);
}

static void a_version_without_sampling_turns_it_off(void **state)
{
    (void)state;
    assert_false(with("anthropic.version", "2026-10-21").anthropic_sampling);
    assert_true(with("anthropic.version", "2025-01-01").anthropic_sampling);
    struct run r;
    struct profile_override two[] = { { S("anthropic.version"), S("2026-10-21") },
                                      { S("anthropic.sampling"), S("yes") } };
    run(&r, "", "", "m", two, 2);
    assert_true(r.p.anthropic_sampling);
    buf_done(&r.error);
}

static void wrong_overrides_are_named(void **state)
{
    (void)state;
    refused("chat.nothing", "1", "no such setting: chat.nothing");
    refused("", "1", "no such setting: ");
    refused("chat.strict", "maybe", "chat.strict must be one of no,yes,auto");
    refused("chat.strict", "", "chat.strict must be one of no,yes,auto");
    refused("chat.max_field", "yes",
            "chat.max_field must be one of max_tokens,max_completion_tokens,auto");
    refused("anthropic.effort", "minimal",
            "anthropic.effort must be all, auto, or some of low,medium,high,xhigh,max");
    refused("anthropic.max_tokens", "0",
            "anthropic.max_tokens must be a number from 1 to 2147483647");
    refused("anthropic.max_tokens", "99999999999",
            "anthropic.max_tokens must be a number from 1 to 2147483647");
    refused("responses.summary", "long",
            "responses.summary must be one of none,auto,concise,detailed");
    refused("anthropic.version", "a\r\nb", "anthropic.version must be 1 to 64 visible characters");
    refused("anthropic.version", "", "anthropic.version must be 1 to 64 visible characters");
}

static void the_nearest_effort_is_at_or_below(void **state)
{
    (void)state;
    unsigned set = BIT(NONE) | BIT(LOW) | BIT(HIGH);
    assert_int_equal(effort_nearest(set, CHAT_EFFORT_NONE), CHAT_EFFORT_NONE);
    assert_int_equal(effort_nearest(set, CHAT_EFFORT_MINIMAL), CHAT_EFFORT_LOW);
    assert_int_equal(effort_nearest(set, CHAT_EFFORT_MEDIUM), CHAT_EFFORT_LOW);
    assert_int_equal(effort_nearest(set, CHAT_EFFORT_MAX), CHAT_EFFORT_HIGH);
    assert_int_equal(effort_nearest(BIT(MEDIUM), CHAT_EFFORT_NONE), CHAT_EFFORT_MEDIUM);
    assert_int_equal(effort_nearest(BIT(NONE), CHAT_EFFORT_HIGH), CHAT_EFFORT_ABSENT);
    assert_int_equal(effort_nearest(0, CHAT_EFFORT_HIGH), CHAT_EFFORT_ABSENT);
    assert_int_equal(effort_nearest(set, CHAT_EFFORT_ABSENT), CHAT_EFFORT_ABSENT);
}

static void efforts_have_names(void **state)
{
    (void)state;
    for (int e = CHAT_EFFORT_NONE; e < CHAT_EFFORT_COUNT; e++)
        assert_int_equal(effort_of(effort_name((enum chat_effort)e)), e);
    assert_str(effort_name(CHAT_EFFORT_ABSENT), S(""));
    assert_str(effort_name(CHAT_EFFORT_XHIGH), S("xhigh"));
    assert_int_equal(effort_of(S("")), CHAT_EFFORT_COUNT);
    assert_int_equal(effort_of(S("Low")), CHAT_EFFORT_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_model_on_an_unknown_host_gets_the_defaults),
        cmocka_unit_test(profiles_are_found_by_name_and_by_host),
        cmocka_unit_test(every_profile_and_family_can_be_read),
        cmocka_unit_test(profiles_differ_where_the_vendors_do),
        cmocka_unit_test(claude_families_are_those_of_the_table),
        cmocka_unit_test(openai_families_follow_the_name_rule),
        cmocka_unit_test(overrides_win_over_profile_and_family),
        cmocka_unit_test(a_version_without_sampling_turns_it_off),
        cmocka_unit_test(wrong_overrides_are_named),
        cmocka_unit_test(the_nearest_effort_is_at_or_below),
        cmocka_unit_test(efforts_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

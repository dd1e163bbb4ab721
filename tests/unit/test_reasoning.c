/*
 * Goal: effort, thinking, limits and sampling reach each model in words that it takes (C1.8, C1.9,
 * C1.14 of protocols.md).
 * Method: tables; a profile is filled by hand for each kind of model.
 */
#include "unit.h"

#include "chat_fixture.h"
#include "err.h"
#include "reasoning.h"

#define EFFORT(x) (1u << CHAT_EFFORT_##x)
#define EFFORTS_4 (EFFORT(LOW) | EFFORT(MEDIUM) | EFFORT(HIGH) | EFFORT(MAX))

enum model { ADAPTIVE, BUDGET, ALWAYS, PLAIN };

static void use_model(enum model model)
{
    static const unsigned thinking[] = {
        [ADAPTIVE] = THINKING_ADAPTIVE | THINKING_DISABLED,
        [BUDGET] = THINKING_ENABLED | THINKING_DISABLED,
        [ALWAYS] = THINKING_ADAPTIVE,
        [PLAIN] = 0,
    };
    conv.profile = (struct profile){
        .anthropic_thinking = thinking[model],
        .anthropic_thinks_by_default = model == ALWAYS,
        .anthropic_effort = model == ADAPTIVE || model == ALWAYS ? EFFORTS_4 : 0,
        .anthropic_sampling = true,
        .anthropic_max_tokens = -1,
        .anthropic_default_max_tokens = 32000,
    };
}

static struct reasoning_messages ask(enum chat_effort effort, int64_t max_tokens)
{
    struct reasoning_messages r;
    struct chat_tool_choice choice = { 0 };
    conv.request.reasoning.effort = effort;
    assert_int_equal(reasoning_for_messages(&conv, max_tokens, &choice, &r), 0);
    return r;
}

static void check_warnings(const char *want)
{
    assert_str(buf_str(&conv.warnings), str_of(want));
}

/* The table of C1.8, column by column. */
static void test_effort_to_messages(void **state)
{
    (void)state;
    static const struct {
        enum model model;
        enum chat_effort effort;
        enum chat_thinking thinking;
        int64_t budget;
        enum chat_effort sent;
        const char *warnings;
    } rows[] = {
        { ADAPTIVE, CHAT_EFFORT_ABSENT, CHAT_THINKING_ABSENT, 0, CHAT_EFFORT_ABSENT, "" },
        { ADAPTIVE, CHAT_EFFORT_NONE, CHAT_THINKING_DISABLED, 0, CHAT_EFFORT_ABSENT, "" },
        { ADAPTIVE, CHAT_EFFORT_MINIMAL, CHAT_THINKING_ADAPTIVE, 0, CHAT_EFFORT_LOW, "" },
        { ADAPTIVE, CHAT_EFFORT_LOW, CHAT_THINKING_ADAPTIVE, 0, CHAT_EFFORT_LOW, "" },
        { ADAPTIVE, CHAT_EFFORT_XHIGH, CHAT_THINKING_ADAPTIVE, 0, CHAT_EFFORT_HIGH, "" },
        { ADAPTIVE, CHAT_EFFORT_MAX, CHAT_THINKING_ADAPTIVE, 0, CHAT_EFFORT_MAX, "" },
        { BUDGET, CHAT_EFFORT_ABSENT, CHAT_THINKING_ABSENT, 0, CHAT_EFFORT_ABSENT, "" },
        { BUDGET, CHAT_EFFORT_NONE, CHAT_THINKING_DISABLED, 0, CHAT_EFFORT_ABSENT, "" },
        { BUDGET, CHAT_EFFORT_MINIMAL, CHAT_THINKING_BUDGET, 1024, CHAT_EFFORT_ABSENT, "" },
        { BUDGET, CHAT_EFFORT_LOW, CHAT_THINKING_BUDGET, 2048, CHAT_EFFORT_ABSENT, "" },
        { BUDGET, CHAT_EFFORT_MEDIUM, CHAT_THINKING_BUDGET, 8192, CHAT_EFFORT_ABSENT, "" },
        { BUDGET, CHAT_EFFORT_HIGH, CHAT_THINKING_BUDGET, 24576, CHAT_EFFORT_ABSENT, "" },
        { BUDGET, CHAT_EFFORT_XHIGH, CHAT_THINKING_BUDGET, 32768, CHAT_EFFORT_ABSENT, "" },
        { BUDGET, CHAT_EFFORT_MAX, CHAT_THINKING_BUDGET, 64000, CHAT_EFFORT_ABSENT, "" },
        /* E87 */
        { ALWAYS, CHAT_EFFORT_NONE, CHAT_THINKING_ABSENT, 0, CHAT_EFFORT_LOW,
          "degraded:reasoning.effort" },
        { PLAIN, CHAT_EFFORT_NONE, CHAT_THINKING_ABSENT, 0, CHAT_EFFORT_ABSENT, "" },
        { PLAIN, CHAT_EFFORT_HIGH, CHAT_THINKING_ABSENT, 0, CHAT_EFFORT_ABSENT,
          "dropped:reasoning.effort" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        conv_reset(PROTOCOL_RESPONSES, PROTOCOL_MESSAGES);
        use_model(rows[i].model);
        struct reasoning_messages r = ask(rows[i].effort, 100000);
        assert_int_equal(r.thinking, rows[i].thinking);
        assert_int_equal(r.effort, rows[i].sent);
        if (r.thinking == CHAT_THINKING_BUDGET)
            assert_int_equal(r.budget_tokens, rows[i].budget);
        assert_int_equal(r.active, rows[i].model == ALWAYS ||
                                       r.thinking == CHAT_THINKING_ADAPTIVE ||
                                       r.thinking == CHAT_THINKING_BUDGET);
        assert_false(r.summarized);
        check_warnings(rows[i].warnings);
    }
}

/* E88: the budget is at most three quarters of the limit, and at least 1,024. */
static void test_budget(void **state)
{
    (void)state;
    conv_reset(PROTOCOL_RESPONSES, PROTOCOL_MESSAGES);
    use_model(BUDGET);
    assert_int_equal(ask(CHAT_EFFORT_HIGH, 2000).budget_tokens, 1500);
    assert_int_equal(ask(CHAT_EFFORT_HIGH, 2003).budget_tokens, 1502);
    assert_int_equal(ask(CHAT_EFFORT_HIGH, 1366).budget_tokens, 1024);
    assert_int_equal(ask(CHAT_EFFORT_HIGH, INT64_MAX).budget_tokens, 24576);
    check_warnings("");
    struct reasoning_messages r = ask(CHAT_EFFORT_HIGH, 1000);
    assert_int_equal(r.thinking, CHAT_THINKING_ABSENT);
    assert_false(r.active);
    check_warnings("dropped:reasoning.effort");
}

/* There is to be reasoning text to show, but not for who does not show it. */
static void test_summarized(void **state)
{
    (void)state;
    static const struct {
        enum protocol client;
        const char *summary;
        bool want;
    } rows[] = { { PROTOCOL_CHAT, "", true },
                 { PROTOCOL_RESPONSES, "", false },
                 { PROTOCOL_RESPONSES, "auto", true } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        conv_reset(rows[i].client, PROTOCOL_MESSAGES);
        use_model(ADAPTIVE);
        conv.request.reasoning.summary = str_of(rows[i].summary);
        assert_int_equal(ask(CHAT_EFFORT_LOW, 9000).summarized, rows[i].want);
    }
}

/* E64: what was not asked for gives way, thinking or the choice. */
static void test_forced_tool(void **state)
{
    (void)state;
    static const struct {
        enum model model;
        bool can;
        enum chat_effort effort;
        enum chat_thinking thinking;
        enum chat_choice choice;
        const char *warnings;
    } rows[] = {
        { ADAPTIVE, false, CHAT_EFFORT_HIGH, CHAT_THINKING_ADAPTIVE, CHAT_CHOICE_AUTO,
          "degraded:tool_choice" },
        { ADAPTIVE, true, CHAT_EFFORT_HIGH, CHAT_THINKING_ADAPTIVE, CHAT_CHOICE_ANY, "" },
        { ADAPTIVE, false, CHAT_EFFORT_NONE, CHAT_THINKING_DISABLED, CHAT_CHOICE_ANY, "" },
        { ADAPTIVE, false, CHAT_EFFORT_ABSENT, CHAT_THINKING_ABSENT, CHAT_CHOICE_ANY, "" },
        { ALWAYS, false, CHAT_EFFORT_ABSENT, CHAT_THINKING_ABSENT, CHAT_CHOICE_AUTO,
          "degraded:tool_choice" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct reasoning_messages r;
        struct chat_tool_choice choice = { .kind = CHAT_CHOICE_ANY };
        conv_reset(PROTOCOL_RESPONSES, PROTOCOL_MESSAGES);
        use_model(rows[i].model);
        conv.profile.anthropic_forced_tool_with_thinking = rows[i].can;
        conv.request.reasoning.effort = rows[i].effort;
        assert_int_equal(reasoning_for_messages(&conv, 9000, &choice, &r), 0);
        assert_int_equal(r.thinking, rows[i].thinking);
        assert_int_equal(choice.kind, rows[i].choice);
        check_warnings(rows[i].warnings);
    }
    /* on by default, and may be turned off */
    struct reasoning_messages r;
    struct chat_tool_choice choice = { .kind = CHAT_CHOICE_TOOL };
    conv_reset(PROTOCOL_RESPONSES, PROTOCOL_MESSAGES);
    use_model(ADAPTIVE);
    conv.profile.anthropic_thinks_by_default = true;
    assert_int_equal(reasoning_for_messages(&conv, 9000, &choice, &r), 0);
    assert_int_equal(r.thinking, CHAT_THINKING_DISABLED);
    assert_int_equal(choice.kind, CHAT_CHOICE_TOOL);
    assert_false(r.active);
}

/* E91 and the rest of the table for OpenAI. */
static void test_thinking_to_openai(void **state)
{
    (void)state;
    const unsigned all = EFFORTS_4 | EFFORT(NONE) | EFFORT(XHIGH), some = EFFORTS_4;
    const struct {
        enum chat_thinking thinking;
        int64_t budget;
        enum chat_effort effort;
        unsigned accepted;
        enum chat_effort want;
        const char *warnings;
    } rows[] = {
        { CHAT_THINKING_ABSENT, 0, CHAT_EFFORT_ABSENT, all, CHAT_EFFORT_ABSENT, "" },
        { CHAT_THINKING_DISABLED, 0, CHAT_EFFORT_ABSENT, all, CHAT_EFFORT_NONE, "" },
        { CHAT_THINKING_DISABLED, 0, CHAT_EFFORT_HIGH, some, CHAT_EFFORT_LOW, "degraded:thinking" },
        { CHAT_THINKING_BETWEEN_TOOLS, 0, CHAT_EFFORT_ABSENT, all, CHAT_EFFORT_NONE, "" },
        { CHAT_THINKING_ADAPTIVE, 0, CHAT_EFFORT_ABSENT, all, CHAT_EFFORT_HIGH, "" },
        { CHAT_THINKING_ADAPTIVE, 0, CHAT_EFFORT_LOW, all, CHAT_EFFORT_LOW, "" },
        { CHAT_THINKING_ABSENT, 0, CHAT_EFFORT_XHIGH, some, CHAT_EFFORT_HIGH, "" },
        { CHAT_THINKING_BUDGET, 4096, CHAT_EFFORT_ABSENT, all, CHAT_EFFORT_LOW, "" },
        { CHAT_THINKING_BUDGET, 4097, CHAT_EFFORT_ABSENT, all, CHAT_EFFORT_MEDIUM, "" },
        { CHAT_THINKING_BUDGET, 16385, CHAT_EFFORT_ABSENT, all, CHAT_EFFORT_HIGH, "" },
        { CHAT_THINKING_BUDGET, 28673, CHAT_EFFORT_ABSENT, all, CHAT_EFFORT_XHIGH, "" },
        { CHAT_THINKING_BUDGET, 48001, CHAT_EFFORT_ABSENT, all, CHAT_EFFORT_MAX, "" },
        { CHAT_THINKING_ADAPTIVE, 0, CHAT_EFFORT_LOW, 0, CHAT_EFFORT_ABSENT, "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum chat_effort effort;
        conv_reset(PROTOCOL_MESSAGES, PROTOCOL_CHAT);
        conv.profile.openai_reasoning = true;
        conv.profile.openai_effort = rows[i].accepted;
        conv.request.reasoning = (struct chat_reasoning_ask){
            .thinking = rows[i].thinking,
            .budget_tokens = rows[i].budget,
            .effort = rows[i].effort,
        };
        assert_int_equal(reasoning_for_openai(&conv, &effort), 0);
        assert_int_equal(effort, rows[i].want);
        check_warnings(rows[i].warnings);
        conv.profile.openai_reasoning = false;
        assert_int_equal(reasoning_for_openai(&conv, &effort), 0);
        assert_int_equal(effort, CHAT_EFFORT_ABSENT);
    }
}

/* E89, E90: temperature and top_p for Messages. */
static void test_sampling_to_messages(void **state)
{
    (void)state;
    static const struct {
        bool takes, one, thinking;
        const char *body, *temperature, *top_p, *warnings;
    } rows[] = {
        { true, false, false, "{\"temperature\":0.30000000000000004,\"top_p\":5e-1}",
          "0.30000000000000004", "5e-1", "" },
        { true, false, false, "{\"temperature\":1.7,\"top_p\":0.9}", "1", "0.9",
          "clamped:temperature" },
        { true, true, false, "{\"temperature\":0.2,\"top_p\":0.9}", "0.2", "", "dropped:top_p" },
        { true, true, false, "{\"top_p\":0.9}", "", "0.9", "" },
        { true, false, true, "{\"temperature\":0.2,\"top_p\":0.9}", "", "",
          "dropped:temperature, dropped:top_p" },
        { true, true, true, "{\"temperature\":0.2,\"top_p\":0.95}", "", "0.95",
          "dropped:temperature" },
        { false, false, false, "{\"temperature\":0.2,\"top_p\":0.99}", "", "",
          "dropped:temperature, dropped:top_p" },
        { false, false, false, "{}", "", "", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct reasoning_sampling s;
        conv_reset(PROTOCOL_CHAT, PROTOCOL_MESSAGES);
        conv.profile.anthropic_sampling = rows[i].takes;
        conv.profile.anthropic_one_sampling = rows[i].one;
        conv_params(str_of(rows[i].body));
        assert_int_equal(reasoning_sampling(&conv, rows[i].thinking, &s), 0);
        assert_str(s.temperature, str_of(rows[i].temperature));
        assert_str(s.top_p, str_of(rows[i].top_p));
        check_warnings(rows[i].warnings);
    }
}

/* The same for OpenAI: reasoning models take none, unless they do not reason. */
static void test_sampling_to_openai(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct reasoning_sampling s;
        conv_reset(PROTOCOL_MESSAGES, PROTOCOL_RESPONSES);
        conv.profile.openai_sampling = i == 0;
        conv.profile.openai_reasoning = true;
        conv.profile.openai_effort = EFFORT(NONE) | EFFORT(HIGH);
        conv.request.reasoning.thinking = i == 2 ? CHAT_THINKING_DISABLED : CHAT_THINKING_ADAPTIVE;
        conv_params(S("{\"temperature\":0.2,\"top_p\":0.9}"));
        assert_int_equal(reasoning_sampling(&conv, false, &s), 0);
        assert_str(s.temperature, i == 1 ? S("") : S("0.2"));
        assert_str(s.top_p, i == 1 ? S("") : S("0.9"));
        check_warnings(i == 1 ? "dropped:temperature, dropped:top_p" : "");
    }
    /* between the two OpenAI protocols they are passed on by others */
    struct reasoning_sampling s;
    conv_reset(PROTOCOL_CHAT, PROTOCOL_RESPONSES);
    conv_params(S("{\"temperature\":0.2}"));
    assert_int_equal(reasoning_sampling(&conv, false, &s), 0);
    assert_str(s.temperature, S(""));
    check_warnings("");
}

/* E147: Messages always gets a limit, no more than the model's. */
static void test_max_tokens(void **state)
{
    (void)state;
    static const struct {
        enum protocol client, upstream;
        int64_t asked, most, want;
        const char *body, *warnings;
    } rows[] = {
        { PROTOCOL_CHAT, PROTOCOL_MESSAGES, -1, -1, 32000, "{}", "" },
        { PROTOCOL_CHAT, PROTOCOL_MESSAGES, -1, 64000, 64000, "{}", "" },
        { PROTOCOL_CHAT, PROTOCOL_MESSAGES, 9, 64000, 9, "{\"max_tokens\":9}", "" },
        { PROTOCOL_CHAT, PROTOCOL_MESSAGES, 64001, 64000, 64000, "{\"max_tokens\":64001}",
          "clamped:max_tokens" },
        { PROTOCOL_CHAT, PROTOCOL_MESSAGES, 64001, 64000, 64000,
          "{\"max_completion_tokens\":64001}", "clamped:max_completion_tokens" },
        { PROTOCOL_RESPONSES, PROTOCOL_MESSAGES, 64001, 64000, 64000,
          "{\"max_output_tokens\":64001}", "clamped:max_output_tokens" },
        { PROTOCOL_CHAT, PROTOCOL_RESPONSES, -1, 64000, -1, "{}", "" },
        { PROTOCOL_MESSAGES, PROTOCOL_CHAT, 99999, 64000, 99999, "{\"max_tokens\":99999}", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t n;
        conv_reset(rows[i].client, rows[i].upstream);
        conv.profile.anthropic_default_max_tokens = 32000;
        conv.profile.anthropic_max_tokens = rows[i].most;
        conv.request.max_tokens = rows[i].asked;
        conv_params(str_of(rows[i].body));
        assert_int_equal(reasoning_max_tokens(&conv, &n), 0);
        assert_int_equal(n, rows[i].want);
        check_warnings(rows[i].warnings);
    }
}

/* In strict mode a loss is an error and nothing is given back. */
static void test_strict(void **state)
{
    (void)state;
    int64_t n = 7;
    conv_reset(PROTOCOL_CHAT, PROTOCOL_MESSAGES);
    conv.options.strict = true;
    conv.profile.anthropic_max_tokens = 10;
    conv.request.max_tokens = 11;
    assert_int_equal(reasoning_max_tokens(&conv, &n), E_BAD_REQUEST);
    assert_int_equal(n, 7);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, conv_setup, conv_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_effort_to_messages),
        TEST(test_budget),
        TEST(test_summarized),
        TEST(test_forced_tool),
        TEST(test_thinking_to_openai),
        TEST(test_sampling_to_messages),
        TEST(test_sampling_to_openai),
        TEST(test_max_tokens),
        TEST(test_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

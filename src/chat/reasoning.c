#include "reasoning.h"

#include "params.h"

enum { BUDGET_MIN = 1024 };

/* ---- words ---- */

/* What an effort is in tokens, for models that take budgets. */
static const int64_t budgets[CHAT_EFFORT_COUNT] = {
    [CHAT_EFFORT_MINIMAL] = 1024, [CHAT_EFFORT_LOW] = 2048,    [CHAT_EFFORT_MEDIUM] = 8192,
    [CHAT_EFFORT_HIGH] = 24576,   [CHAT_EFFORT_XHIGH] = 32768, [CHAT_EFFORT_MAX] = 64000,
};

/* And back: the largest budget that still is this effort. */
static enum chat_effort effort_of_budget(int64_t tokens)
{
    return tokens <= 4096    ? CHAT_EFFORT_LOW
           : tokens <= 16384 ? CHAT_EFFORT_MEDIUM
           : tokens <= 28672 ? CHAT_EFFORT_HIGH
           : tokens <= 48000 ? CHAT_EFFORT_XHIGH
                             : CHAT_EFFORT_MAX;
}

/* The effort that the client asked for, in whatever words; NONE: it wants no thinking. */
static enum chat_effort effort_asked(const struct chat_reasoning_ask *ask)
{
    switch (ask->thinking) {
    case CHAT_THINKING_DISABLED:
    case CHAT_THINKING_BETWEEN_TOOLS:
        return CHAT_EFFORT_NONE;
    case CHAT_THINKING_ADAPTIVE:
        return ask->effort != CHAT_EFFORT_ABSENT ? ask->effort : CHAT_EFFORT_HIGH;
    case CHAT_THINKING_BUDGET:
        return effort_of_budget(ask->budget_tokens);
    case CHAT_THINKING_ABSENT:
        break;
    }
    return ask->effort;
}

static bool has_param(const struct convert *c, enum chat_param p)
{
    return params_node(c, p) != NULL;
}

/* What the client called it, for warnings. */
static struct str asked_path(const struct convert *c)
{
    if (c->options.client == PROTOCOL_MESSAGES)
        return c->request.reasoning.thinking != CHAT_THINKING_ABSENT ? S("thinking")
                                                                     : S("output_config.effort");
    return has_param(c, CHAT_PARAM_EFFORT) ? S("reasoning_effort") : S("reasoning.effort");
}

/* ---- Messages upstreams ---- */

static bool takes(const struct convert *c, unsigned thinking)
{
    return (c->profile.anthropic_thinking & thinking) != 0;
}

/* As little thinking as the model can do. */
static void think_not(const struct convert *c, struct reasoning_messages *r)
{
    const struct profile *p = &c->profile;
    bool say = p->anthropic_thinks_by_default && takes(c, THINKING_DISABLED);
    *r = (struct reasoning_messages){
        .thinking = say ? CHAT_THINKING_DISABLED : CHAT_THINKING_ABSENT,
        .active = p->anthropic_thinks_by_default && !say,
    };
}

static int ask_none(struct convert *c, struct reasoning_messages *r)
{
    bool between = c->request.reasoning.thinking == CHAT_THINKING_BETWEEN_TOOLS;
    think_not(c, r);
    if (between && takes(c, THINKING_BETWEEN_TOOLS))
        r->thinking = CHAT_THINKING_BETWEEN_TOOLS;
    else if (takes(c, THINKING_DISABLED))
        r->thinking = CHAT_THINKING_DISABLED;
    else if (r->active) { /* it cannot be kept from it */
        r->effort = effort_nearest(c->profile.anthropic_effort, CHAT_EFFORT_LOW);
        return convert_warn(c, "degraded", asked_path(c));
    }
    r->active = r->active && r->thinking == CHAT_THINKING_ABSENT;
    return 0;
}

/* Responses clients that ask for no summary would not show it. */
static bool wants_summary(const struct convert *c)
{
    const struct chat_reasoning_ask *ask = &c->request.reasoning;
    if (ask->display_omitted)
        return false;
    return c->options.client != PROTOCOL_RESPONSES || ask->summary.n > 0;
}

static int ask_budget(struct convert *c, enum chat_effort effort, int64_t max_tokens,
                      struct reasoning_messages *r)
{
    const struct chat_reasoning_ask *ask = &c->request.reasoning;
    int64_t budget = ask->thinking == CHAT_THINKING_BUDGET ? ask->budget_tokens : budgets[effort];
    int64_t room = max_tokens / 4 * 3 + max_tokens % 4 * 3 / 4;
    budget = budget < room ? budget : room;
    if (budget < BUDGET_MIN) {
        think_not(c, r);
        return convert_warn(c, "dropped", asked_path(c));
    }
    *r = (struct reasoning_messages){ .thinking = CHAT_THINKING_BUDGET,
                                      .budget_tokens = budget,
                                      .active = true };
    return 0;
}

static int ask_effort(struct convert *c, enum chat_effort effort, int64_t max_tokens,
                      struct reasoning_messages *r)
{
    if (takes(c, THINKING_ADAPTIVE)) {
        *r = (struct reasoning_messages){
            .thinking = CHAT_THINKING_ADAPTIVE,
            .summarized = wants_summary(c),
            .effort = effort_nearest(c->profile.anthropic_effort,
                                     effort == CHAT_EFFORT_MINIMAL ? CHAT_EFFORT_LOW : effort),
            .active = true,
        };
        return 0;
    }
    if (takes(c, THINKING_ENABLED))
        return ask_budget(c, effort, max_tokens, r);
    think_not(c, r);
    return convert_warn(c, "dropped", asked_path(c));
}

/* Thinking and a forced tool together: what the client did not ask for gives way. */
static int settle_forced(struct convert *c, enum chat_effort asked, struct chat_tool_choice *choice,
                         struct reasoning_messages *r)
{
    bool forced = choice->kind == CHAT_CHOICE_ANY || choice->kind == CHAT_CHOICE_TOOL;
    if (!r->active || !forced || c->profile.anthropic_forced_tool_with_thinking)
        return 0;
    if (asked == CHAT_EFFORT_ABSENT)
        think_not(c, r);
    if (!r->active)
        return 0;
    choice->kind = CHAT_CHOICE_AUTO;
    return convert_warn(c, "degraded", S("tool_choice"));
}

int reasoning_for_messages(struct convert *c, int64_t max_tokens, struct chat_tool_choice *choice,
                           struct reasoning_messages *ret)
{
    enum chat_effort asked = effort_asked(&c->request.reasoning);
    struct reasoning_messages r = { .active = c->profile.anthropic_thinks_by_default };
    int rc = 0;
    if (asked == CHAT_EFFORT_NONE)
        rc = ask_none(c, &r);
    else if (asked != CHAT_EFFORT_ABSENT)
        rc = ask_effort(c, asked, max_tokens, &r);
    if (rc == 0)
        rc = settle_forced(c, asked, choice, &r);
    if (rc == 0)
        *ret = r;
    return rc;
}

/* ---- Chat and Responses upstreams ---- */

int reasoning_for_openai(struct convert *c, enum chat_effort *ret)
{
    enum chat_effort asked = effort_asked(&c->request.reasoning);
    enum chat_effort effort = effort_nearest(c->profile.openai_effort, asked);
    int rc = 0;
    if (!c->profile.openai_reasoning)
        effort = CHAT_EFFORT_ABSENT;
    else if (asked == CHAT_EFFORT_NONE && effort != CHAT_EFFORT_NONE)
        rc = convert_warn(c, "degraded", asked_path(c));
    if (rc == 0)
        *ret = effort;
    return rc;
}

/* ---- temperature and top_p ---- */

static int drop(struct convert *c, enum chat_param p, struct str *value)
{
    if (value->n == 0)
        return 0;
    *value = S("");
    return convert_warn(c, "dropped", params_name(p, c->options.client));
}

static double number_of(struct convert *c, enum chat_param p)
{
    double x;
    struct json_node *n = params_node(c, p);
    return n != NULL && json_number(n, &x) ? x : 0;
}

static int clamp(struct convert *c, enum chat_param p, struct str *value)
{
    if (value->n == 0 || number_of(c, p) <= 1)
        return 0;
    *value = S("1");
    return convert_warn(c, "clamped", params_name(p, c->options.client));
}

static int sampling_for_messages(struct convert *c, bool thinking, struct reasoning_sampling *s)
{
    const struct profile *p = &c->profile;
    int rc = 0;
    if (!p->anthropic_sampling || thinking)
        rc = drop(c, CHAT_PARAM_TEMPERATURE, &s->temperature);
    if (rc == 0 && (!p->anthropic_sampling || (p->anthropic_one_sampling && s->temperature.n > 0) ||
                    (thinking && number_of(c, CHAT_PARAM_TOP_P) < 0.95)))
        rc = drop(c, CHAT_PARAM_TOP_P, &s->top_p);
    if (rc == 0)
        rc = clamp(c, CHAT_PARAM_TEMPERATURE, &s->temperature);
    if (rc == 0)
        rc = clamp(c, CHAT_PARAM_TOP_P, &s->top_p);
    return rc;
}

/* A reasoning model takes them when it is told not to reason. */
static int sampling_for_openai(struct convert *c, struct reasoning_sampling *s)
{
    enum chat_effort effort = CHAT_EFFORT_ABSENT;
    int rc = c->profile.openai_sampling ? 0 : reasoning_for_openai(c, &effort);
    if (rc < 0 || c->profile.openai_sampling || effort == CHAT_EFFORT_NONE)
        return rc;
    rc = drop(c, CHAT_PARAM_TEMPERATURE, &s->temperature);
    return rc < 0 ? rc : drop(c, CHAT_PARAM_TOP_P, &s->top_p);
}

/* Where a member is passed on under its own name (params.def) nobody looks at it. */
static struct str coded(struct convert *c, enum chat_param p)
{
    bool is_coded = params_fate(p, c->options.client, c->options.upstream) == FATE_CODE;
    return is_coded ? params_raw(c, p) : S("");
}

int reasoning_sampling(struct convert *c, bool thinking_active, struct reasoning_sampling *ret)
{
    struct reasoning_sampling s = { .temperature = coded(c, CHAT_PARAM_TEMPERATURE),
                                    .top_p = coded(c, CHAT_PARAM_TOP_P) };
    int rc = c->options.upstream == PROTOCOL_MESSAGES
                 ? sampling_for_messages(c, thinking_active, &s)
                 : sampling_for_openai(c, &s);
    if (rc == 0)
        *ret = s;
    return rc;
}

/* ---- the limit ---- */

int reasoning_max_tokens(struct convert *c, int64_t *ret)
{
    const struct profile *p = &c->profile;
    int64_t n = c->request.max_tokens;
    if (c->options.upstream == PROTOCOL_MESSAGES && n < 0)
        n = p->anthropic_max_tokens > 0 ? p->anthropic_max_tokens : p->anthropic_default_max_tokens;
    if (c->options.upstream == PROTOCOL_MESSAGES && p->anthropic_max_tokens > 0 &&
        n > p->anthropic_max_tokens) {
        enum chat_param said = has_param(c, CHAT_PARAM_MAX_COMPLETION) ? CHAT_PARAM_MAX_COMPLETION
                                                                       : CHAT_PARAM_MAX_TOKENS;
        n = p->anthropic_max_tokens;
        int rc = convert_warn(c, "clamped", params_name(said, c->options.client));
        if (rc < 0)
            return rc;
    }
    *ret = n;
    return 0;
}

#include "messages_request.h"

#include "hash.h"
#include "params.h"
#include "reasoning.h"
#include "schema.h"
#include "tools.h"

enum { MARKS_MAX = 4, STOPS_MAX = 8191, USER_ID_CHARS_MAX = 256 };

static const struct str json_tool_name = S_INIT("json_output");

/* What is decided before the first byte is written. */
struct plan {
    int64_t max_tokens;
    struct chat_tool_choice choice;
    struct reasoning_messages thinking;
    struct reasoning_sampling sampling;
    struct str output_schema;                   /* output_config.format */
    struct str tool_schema;                     /* of the tool that stands for the output format */
    struct text instruction;                    /* a system block that stands for it */
    uint32_t tool_skip, system_skip, turn_skip; /* cache marks that are too many */
    bool auto_cache;
};

/* What the client calls the setting, for warnings. */
static struct str client_name(const struct convert *c, const enum chat_param *params, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (params_node(c, params[i]) != NULL)
            return params_name(params[i], c->options.client);
    return S("output_format");
}

static struct str format_name(const struct convert *c)
{
    static const enum chat_param params[] = { CHAT_PARAM_RESPONSE_FORMAT, CHAT_PARAM_TEXT,
                                              CHAT_PARAM_OUTPUT_CONFIG };
    return client_name(c, params, ARRAY_LEN(params));
}

/* ---- output format ---- */

static int plan_instruction(struct convert *c, struct plan *p)
{
    static const struct text object = {
        "Respond with a single JSON object and nothing else.",
        sizeof("Respond with a single JSON object and nothing else.") - 1
    };
    p->instruction = object;
    if (c->request.format.schema.n > 0) {
        struct text schema = text_escape(c->temp, c->request.format.schema);
        struct text head =
            text_cat(c->temp, object, TEXT(" It must be valid against this JSON schema:\\n"));
        p->instruction = text_cat(c->temp, head, schema);
    }
    return convert_warn(c, "degraded", format_name(c));
}

/* Has the client a tool of the name that the injected one would have? */
static bool json_tool_taken(const struct convert *c)
{
    for (const struct chat_tool *t = c->request.tools; t != NULL; t = t->next)
        if (str_eq(t->upstream_name, json_tool_name))
            return true;
    return false;
}

static int plan_format(struct convert *c, struct plan *p)
{
    bool by_tool = c->profile.anthropic_structured == STRUCTURED_TOOL;
    const struct chat_output_format *format = &c->request.format;
    bool wrapped = false;
    if (format->kind == CHAT_FORMAT_TEXT)
        return 0;
    if (format->kind == CHAT_FORMAT_JSON_OBJECT ||
        c->profile.anthropic_structured == STRUCTURED_NONE || (by_tool && json_tool_taken(c)))
        return plan_instruction(c, p);
    if (by_tool) {
        p->tool_schema = schema_for_messages(c->temp, format->schema, &wrapped);
        /* with tools of the client's own the model must still be able to call these */
        p->choice.kind = c->request.tools == NULL ? CHAT_CHOICE_TOOL : CHAT_CHOICE_ANY;
        p->choice.name = json_tool_name;
        c->json_tool = true;
    } else {
        p->output_schema = schema_for_output(c->temp, format->schema, &wrapped);
    }
    c->unwrap_value = wrapped;
    return wrapped && c->client_streams ? convert_warn(c, "degraded", format_name(c)) : 0;
}

/* ---- thinking ---- */

static int plan_thinking(struct convert *c, struct plan *p)
{
    int r = reasoning_for_messages(c, p->max_tokens, &p->choice, &p->thinking);
    if (r < 0 || p->thinking.thinking != CHAT_THINKING_BUDGET || !messages_bare_calls(c))
        return r;
    /* "Expected `thinking` or `redacted_thinking`, but found `tool_use`" */
    bool say = c->profile.anthropic_thinks_by_default || c->options.drop_reasoning;
    p->thinking = (struct reasoning_messages){
        .thinking = say ? CHAT_THINKING_DISABLED : CHAT_THINKING_ABSENT,
        .effort = p->thinking.effort,
    };
    return convert_warn(c, "degraded", S("thinking"));
}

/* ---- cache marks ---- */

static uint32_t take(uint32_t *from, uint32_t most)
{
    uint32_t n = *from < most ? *from : most;
    *from -= n;
    return n;
}

/* The last four stay, in the order of the prompt: tools, system, messages. */
static void plan_marks(struct convert *c, struct plan *p)
{
    struct chat_message *turns = messages_after_system(c);
    uint32_t tools = 0, system = messages_count_marks(c->request.messages, turns);
    uint32_t all, over;
    for (const struct chat_tool *t = c->request.tools; t != NULL; t = t->next)
        tools += t->cache != CHAT_CACHE_NONE;
    all = tools + system + messages_count_marks(turns, NULL);
    over = all > MARKS_MAX ? all - MARKS_MAX : 0;
    p->tool_skip = take(&over, tools);
    p->system_skip = take(&over, system);
    p->turn_skip = over;
    p->auto_cache = all == 0 && c->profile.anthropic_auto_cache;
}

static int make_plan(struct convert *c, struct plan *p)
{
    *p = (struct plan){ .choice = c->request.choice };
    int r = messages_prepare_turns(c);
    if (r == 0)
        r = reasoning_max_tokens(c, &p->max_tokens);
    if (r == 0)
        r = plan_format(c, p);
    if (r == 0)
        r = plan_thinking(c, p);
    if (r == 0)
        r = reasoning_sampling(c, p->thinking.active, &p->sampling);
    plan_marks(c, p);
    return r;
}

/* ---- system ---- */

static int write_system(struct convert *c, struct json_out *o, const struct plan *p)
{
    const struct chat_message *end = messages_after_system(c), *m = c->request.messages;
    struct messages_writer w = { c, o, p->system_skip };
    while (m != end && m->blocks == NULL)
        m = m->next;
    if (m == end && p->instruction.n == 0)
        return 0;
    json_out_name(o, S("system"));
    json_out_array(o);
    for (; m != end; m = m->next) {
        int r = messages_write_blocks(&w, m->blocks);
        if (r < 0)
            return r;
    }
    if (p->instruction.n > 0) {
        json_out_object(o);
        json_out_member_str(o, S("type"), S("text"));
        json_out_member_text(o, S("text"), p->instruction);
        json_out_object_end(o);
    }
    json_out_array_end(o);
    return 0;
}

/* ---- tools ---- */

static void write_raw(struct json_out *o, struct str name, struct str raw)
{
    if (raw.n > 0)
        json_out_member_raw(o, name, raw);
}

static void write_tool(struct messages_writer *w, const struct chat_tool *t)
{
    struct json_out *o = w->o;
    json_out_object(o);
    if (t->kind == CHAT_TOOL_WEB_SEARCH) {
        json_out_member_str(o, S("type"), S("web_search_20250305"));
        json_out_member_str(o, S("name"), S("web_search"));
        write_raw(o, S("max_uses"), t->max_uses);
        write_raw(o, S("allowed_domains"), t->allowed_domains);
        write_raw(o, S("blocked_domains"), t->blocked_domains);
        write_raw(o, S("user_location"), t->user_location);
    } else {
        struct text description = tools_description(w->c, t);
        json_out_member_str(o, S("name"), t->upstream_name);
        if (description.n > 0)
            json_out_member_text(o, S("description"), description);
        json_out_member_raw(o, S("input_schema"), tools_schema(w->c, t));
        if (t->strict == CHAT_TRUE && w->c->profile.anthropic_strict_tools)
            json_out_member_bool(o, S("strict"), true);
    }
    messages_write_mark(w, t->cache);
    json_out_object_end(o);
}

static void write_tools(struct convert *c, struct json_out *o, const struct plan *p)
{
    struct messages_writer w = { c, o, p->tool_skip };
    if (c->request.tools == NULL && p->tool_schema.n == 0)
        return;
    json_out_name(o, S("tools"));
    json_out_array(o);
    for (const struct chat_tool *t = c->request.tools; t != NULL; t = t->next)
        write_tool(&w, t);
    if (p->tool_schema.n > 0) {
        json_out_object(o);
        json_out_member_str(o, S("name"), json_tool_name);
        json_out_member_str(o, S("description"), S("Gives the answer in the format asked for."));
        json_out_member_raw(o, S("input_schema"), p->tool_schema);
        json_out_object_end(o);
    }
    json_out_array_end(o);
}

static void write_choice(struct convert *c, struct json_out *o, const struct plan *p)
{
    static const struct str types[] = {
        [CHAT_CHOICE_ABSENT] = S_INIT("auto"), [CHAT_CHOICE_AUTO] = S_INIT("auto"),
        [CHAT_CHOICE_ANY] = S_INIT("any"),     [CHAT_CHOICE_NONE] = S_INIT("none"),
        [CHAT_CHOICE_TOOL] = S_INIT("tool"),
    };
    const struct chat_tool_choice *choice = &p->choice;
    if (c->request.tools == NULL && p->tool_schema.n == 0)
        return;
    if (choice->kind == CHAT_CHOICE_ABSENT && !choice->no_parallel)
        return;
    json_out_name(o, S("tool_choice"));
    json_out_object(o);
    json_out_member_str(o, S("type"), types[choice->kind]);
    if (choice->kind == CHAT_CHOICE_TOOL)
        json_out_member_str(o, S("name"), choice->name);
    if (choice->no_parallel && choice->kind != CHAT_CHOICE_NONE)
        json_out_member_bool(o, S("disable_parallel_tool_use"), true);
    json_out_object_end(o);
}

/* ---- settings ---- */

static void write_thinking(struct json_out *o, const struct reasoning_messages *thinking)
{
    static const struct str types[] = {
        [CHAT_THINKING_ABSENT] = S_INIT(""),
        [CHAT_THINKING_DISABLED] = S_INIT("disabled"),
        [CHAT_THINKING_ADAPTIVE] = S_INIT("adaptive"),
        [CHAT_THINKING_BUDGET] = S_INIT("enabled"),
        [CHAT_THINKING_BETWEEN_TOOLS] = S_INIT("between_tools"),
    };
    if (thinking->thinking == CHAT_THINKING_ABSENT)
        return;
    json_out_name(o, S("thinking"));
    json_out_object(o);
    json_out_member_str(o, S("type"), types[thinking->thinking]);
    if (thinking->thinking == CHAT_THINKING_BUDGET)
        json_out_member_i64(o, S("budget_tokens"), thinking->budget_tokens);
    if (thinking->summarized)
        json_out_member_str(o, S("display"), S("summarized"));
    json_out_object_end(o);
}

static void write_output_config(struct json_out *o, const struct plan *p)
{
    if (p->thinking.effort == CHAT_EFFORT_ABSENT && p->output_schema.n == 0)
        return;
    json_out_name(o, S("output_config"));
    json_out_object(o);
    if (p->thinking.effort != CHAT_EFFORT_ABSENT)
        json_out_member_str(o, S("effort"), effort_name(p->thinking.effort));
    if (p->output_schema.n > 0) {
        json_out_name(o, S("format"));
        json_out_object(o);
        json_out_member_str(o, S("type"), S("json_schema"));
        json_out_member_raw(o, S("schema"), p->output_schema);
        json_out_object_end(o);
    }
    json_out_object_end(o);
}

/* Blank sequences are refused upstream. */
static int write_stop(struct convert *c, struct json_out *o)
{
    const struct chat_request *req = &c->request;
    uint32_t written = 0;
    for (uint32_t i = 0; i < req->stop_count; i++) {
        if (text_blank(req->stop[i]) || written == STOPS_MAX) {
            int r = convert_warn(c, "dropped", params_name(CHAT_PARAM_STOP, c->options.client));
            if (r < 0)
                return r;
            continue;
        }
        if (written++ == 0) {
            json_out_name(o, S("stop_sequences"));
            json_out_array(o);
        }
        json_out_text(o, req->stop[i]);
    }
    if (written > 0)
        json_out_array_end(o);
    return 0;
}

static void write_user(struct convert *c, struct json_out *o)
{
    struct text id = c->request.safety_identifier;
    if (id.n == 0)
        id = c->request.user_id;
    if (id.n == 0)
        return;
    json_out_name(o, S("metadata"));
    json_out_object(o);
    json_out_name(o, S("user_id"));
    if (text_chars(id) > USER_ID_CHARS_MAX)
        json_out_str(o, hash_text(c->temp, text_plain(c->temp, id)));
    else
        json_out_text(o, id);
    json_out_object_end(o);
}

/* All protocols' words for a tier, and what Messages has for each. */
static int write_tier(struct convert *c, struct json_out *o)
{
    static const struct tier {
        struct str word;
        struct str tier; /* service_tier */
        bool fast;       /* speed: fast */
    } tiers[] = {
        { S_INIT("auto"), S_INIT(""), false },
        { S_INIT("default"), S_INIT("standard_only"), false },
        { S_INIT("standard_only"), S_INIT("standard_only"), false },
        { S_INIT("priority"), S_INIT(""), true },
        { S_INIT("fast"), S_INIT(""), true },
        { S_INIT("ultrafast"), S_INIT(""), true },
    };
    struct str word = params_str(c, CHAT_PARAM_SERVICE_TIER);
    if (word.n == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(tiers); i++) {
        if (!str_eq(word, tiers[i].word) || (tiers[i].fast && !c->profile.anthropic_fast))
            continue;
        if (tiers[i].tier.n > 0)
            json_out_member_str(o, S("service_tier"), tiers[i].tier);
        if (tiers[i].fast)
            json_out_member_str(o, S("speed"), S("fast"));
        return 0;
    }
    return convert_warn(c, "dropped", S("service_tier"));
}

/* What token counting has no use for, and refuses. */
static int write_generation(struct convert *c, struct json_out *o, const struct plan *p)
{
    int r = write_stop(c, o);
    write_raw(o, S("temperature"), p->sampling.temperature);
    write_raw(o, S("top_p"), p->sampling.top_p);
    write_user(c, o);
    if (r == 0)
        r = write_tier(c, o);
    if (r == 0 && c->request.wants_logprobs)
        r = convert_warn(c, "dropped", S("logprobs"));
    if (c->asks_stream)
        json_out_member_bool(o, S("stream"), true);
    return r;
}

int messages_encode_request(struct convert *c, struct json_out *o)
{
    struct plan plan;
    int r = make_plan(c, &plan);
    if (r < 0)
        return r;
    struct messages_writer turns = { c, o, plan.turn_skip };
    json_out_object(o);
    json_out_member_str(o, S("model"), c->model_sent);
    if (!c->options.count_only)
        json_out_member_i64(o, S("max_tokens"), plan.max_tokens);
    r = write_system(c, o, &plan);
    json_out_name(o, S("messages"));
    if (r == 0)
        r = messages_write_turns(&turns);
    if (r < 0)
        return r;
    write_tools(c, o, &plan);
    write_choice(c, o, &plan);
    write_thinking(o, &plan.thinking);
    write_output_config(o, &plan);
    if (!c->options.count_only)
        r = write_generation(c, o, &plan);
    params_encode(c, o);
    if (plan.auto_cache) {
        json_out_name(o, S("cache_control"));
        json_out_object(o);
        json_out_member_str(o, S("type"), S("ephemeral"));
        json_out_object_end(o);
    }
    json_out_object_end(o);
    return r;
}

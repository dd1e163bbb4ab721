#include "completions_request.h"

#include "hash.h"
#include "member.h"
#include "params.h"
#include "reasoning.h"
#include "schema.h"
#include "tools.h"

enum { STOPS_MAX = 4, ID_CHARS_MAX = 64 };

/* ---- helpers ---- */

/* The client's own name of what it sent: of the first that is there. */
static struct str sent_as(struct convert *c, const enum chat_param *params, size_t count,
                          struct str otherwise)
{
    for (size_t i = 0; i < count; i++)
        if (params_node(c, params[i]) != NULL)
            return params_name(params[i], c->options.client);
    return otherwise;
}

/* Rows that params_encode() writes are not ours. */
static bool is_coded(const struct convert *c, enum chat_param p)
{
    return params_fate(p, c->options.client, c->options.upstream) == FATE_CODE;
}

/* At most 64 characters; else its SHA-256 in hex. */
static struct text short_id(struct convert *c, struct text id)
{
    if (text_chars(id) <= ID_CHARS_MAX)
        return id;
    struct str hash = hash_text(c->temp, text_plain(c->temp, id));
    return (struct text){ hash.p, hash.n };
}

/* ---- tools ---- */

static int write_strict(struct convert *c, struct json_out *o, const struct chat_tool *t,
                        struct str schema, int64_t n)
{
    if (t->strict == CHAT_ABSENT || !c->profile.chat_strict)
        return 0;
    bool strict = t->strict == CHAT_TRUE && schema_is_strict(c->temp, schema);
    json_out_member_bool(o, S("strict"), strict);
    if (t->strict == CHAT_TRUE && !strict)
        return convert_warn(c, "degraded", chat_path(c, S("tools"), n, S("strict")));
    return 0;
}

static int write_function(struct convert *c, struct json_out *o, const struct chat_tool *t,
                          int64_t n)
{
    struct str schema = tools_schema(c, t);
    struct text description = tools_description(c, t);
    json_out_member_str(o, S("type"), S("function"));
    json_out_name(o, S("function"));
    json_out_object(o);
    json_out_member_str(o, S("name"), t->upstream_name);
    if (description.n > 0)
        json_out_member_text(o, S("description"), description);
    if (schema.n > 0)
        json_out_member_raw(o, S("parameters"), schema);
    int r = write_strict(c, o, t, schema, n);
    json_out_object_end(o);
    return r;
}

static void write_custom(struct json_out *o, const struct chat_tool *t)
{
    json_out_member_str(o, S("type"), S("custom"));
    json_out_name(o, S("custom"));
    json_out_object(o);
    json_out_member_str(o, S("name"), t->upstream_name);
    if (t->description.n > 0)
        json_out_member_text(o, S("description"), t->description);
    if (t->grammar_syntax.n > 0) {
        json_out_name(o, S("format"));
        json_out_object(o);
        json_out_member_str(o, S("type"), S("grammar"));
        json_out_name(o, S("grammar"));
        json_out_object(o);
        json_out_member_text(o, S("definition"), t->grammar);
        json_out_member_str(o, S("syntax"), t->grammar_syntax);
        json_out_object_end(o);
        json_out_object_end(o);
    }
    json_out_object_end(o);
}

static int write_tool(struct convert *c, struct json_out *o, const struct chat_tool *t, int64_t n)
{
    int r = 0;
    json_out_object(o);
    if (tools_upstream_kind(c, t->kind) == CHAT_TOOL_CUSTOM)
        write_custom(o, t);
    else
        r = write_function(c, o, t, n);
    json_out_object_end(o);
    return r;
}

/* {"type":"approximate","city":..} -> {"type":"approximate","approximate":{"city":..}} */
static void write_location(struct convert *c, struct json_out *o, struct str raw)
{
    struct json_edit e;
    json_edit_init(&e, c->temp, raw);
    json_out_name(o, S("user_location"));
    json_out_object(o);
    json_out_member_str(o, S("type"), S("approximate"));
    json_out_name(o, S("approximate"));
    json_out_object(o);
    for (struct json_node *n = json_first(&e, json_root(&e)); n != NULL; n = json_next(n)) {
        struct str name = json_name(&e, n);
        if (!str_eq(name, S("type")) && json_type(n) != JSON_NULL)
            json_out_member_raw(o, name, json_raw(&e, n));
    }
    json_out_object_end(o);
    json_out_object_end(o);
}

static int write_web_search(struct convert *c, struct json_out *o, const struct chat_tool *t)
{
    json_out_name(o, S("web_search_options"));
    json_out_object(o);
    if (t->context_size.n > 0)
        json_out_member_raw(o, S("search_context_size"), t->context_size);
    if (t->user_location.n > 0 && t->user_location.p[0] == '{')
        write_location(c, o, t->user_location);
    json_out_object_end(o);
    if (t->allowed_domains.n > 0 || t->blocked_domains.n > 0)
        return convert_warn(c, "dropped", S("tools.web_search.domains"));
    return t->max_uses.n > 0 ? convert_warn(c, "dropped", S("tools.web_search.max_uses")) : 0;
}

/* ---- the choice of a tool ---- */

static void write_named(struct json_out *o, bool custom, struct str name)
{
    struct str type = custom ? S("custom") : S("function");
    json_out_object(o);
    json_out_member_str(o, S("type"), type);
    json_out_name(o, type);
    json_out_object(o);
    json_out_member_str(o, S("name"), name);
    json_out_object_end(o);
    json_out_object_end(o);
}

static struct str choice_word(enum chat_choice kind)
{
    return kind == CHAT_CHOICE_ANY    ? S("required")
           : kind == CHAT_CHOICE_NONE ? S("none")
                                      : S("auto");
}

static void write_allowed(struct convert *c, struct json_out *o)
{
    json_out_object(o);
    json_out_member_str(o, S("type"), S("allowed_tools"));
    json_out_name(o, S("allowed_tools"));
    json_out_object(o);
    json_out_member_str(o, S("mode"), choice_word(c->request.choice.kind));
    json_out_name(o, S("tools"));
    json_out_array(o);
    for (const struct chat_tool *const *t = tools_allowed(c); *t != NULL; t++)
        if ((*t)->kind != CHAT_TOOL_WEB_SEARCH)
            write_named(o, tools_upstream_kind(c, (*t)->kind) == CHAT_TOOL_CUSTOM,
                        (*t)->upstream_name);
    json_out_array_end(o);
    json_out_object_end(o);
    json_out_object_end(o);
}

static int write_choice(struct convert *c, struct json_out *o)
{
    const struct chat_tool_choice *choice = &c->request.choice;
    if (choice->kind == CHAT_CHOICE_TOOL && choice->tool_kind == CHAT_TOOL_WEB_SEARCH)
        return convert_warn(c, "degraded", S("tool_choice"));
    if (choice->kind == CHAT_CHOICE_ABSENT)
        return 0;
    json_out_name(o, S("tool_choice"));
    if (choice->has_allowed)
        write_allowed(c, o);
    else if (choice->kind == CHAT_CHOICE_TOOL)
        write_named(o, tools_upstream_kind(c, choice->tool_kind) == CHAT_TOOL_CUSTOM, choice->name);
    else
        json_out_str(o, choice_word(choice->kind));
    return 0;
}

static int write_parallel(struct convert *c, struct json_out *o)
{
    const struct chat_tool_choice *choice = &c->request.choice;
    if (!choice->parallel_given && !choice->no_parallel)
        return 0;
    if (c->profile.chat_parallel)
        json_out_member_bool(o, S("parallel_tool_calls"), !choice->no_parallel);
    else if (choice->no_parallel)
        return convert_warn(c, "dropped", S("parallel_tool_calls"));
    return 0;
}

static int write_tools(struct convert *c, struct json_out *o)
{
    const struct chat_tool *search = NULL;
    int64_t count = 0;
    int r = 0;
    for (const struct chat_tool *t = c->request.tools; t != NULL && r == 0; t = t->next) {
        if (t->kind == CHAT_TOOL_WEB_SEARCH) {
            search = t;
            continue;
        }
        if (count++ == 0) {
            json_out_name(o, S("tools"));
            json_out_array(o);
        }
        r = write_tool(c, o, t, count - 1);
    }
    if (count > 0) {
        json_out_array_end(o);
        r = r < 0 ? r : write_choice(c, o);
        r = r < 0 ? r : write_parallel(c, o);
    }
    bool may_search =
        c->profile.chat_web_search_options && c->request.choice.kind != CHAT_CHOICE_NONE;
    if (r == 0 && search != NULL && may_search)
        r = write_web_search(c, o, search);
    return r;
}

/* ---- reasoning ---- */

static void write_thinking_type(struct json_out *o, struct str name, struct str type)
{
    json_out_name(o, name);
    json_out_object(o);
    json_out_member_str(o, S("type"), type);
    json_out_object_end(o);
}

static void write_reasoning_object(struct convert *c, struct json_out *o, enum chat_effort effort)
{
    const struct chat_reasoning_ask *ask = &c->request.reasoning;
    json_out_name(o, S("reasoning"));
    json_out_object(o);
    if (effort == CHAT_EFFORT_NONE)
        json_out_member_bool(o, S("enabled"), false);
    else if (ask->thinking == CHAT_THINKING_BUDGET && ask->effort == CHAT_EFFORT_ABSENT)
        json_out_member_i64(o, S("max_tokens"), ask->budget_tokens);
    else
        json_out_member_str(o, S("effort"), effort_name(effort));
    json_out_object_end(o);
}

/* By the upstream's switch (A2.9). */
static void write_effort(struct convert *c, struct json_out *o, enum chat_effort effort)
{
    bool on = effort != CHAT_EFFORT_NONE;
    if (effort == CHAT_EFFORT_ABSENT)
        return;
    switch (c->profile.chat_thinking_switch) {
    case SWITCH_NONE:
        break;
    case SWITCH_REASONING_EFFORT:
        json_out_member_str(o, S("reasoning_effort"), effort_name(effort));
        break;
    case SWITCH_THINKING_TYPE:
        write_thinking_type(o, S("thinking"), on ? S("enabled") : S("disabled"));
        break;
    case SWITCH_ENABLE_THINKING:
        json_out_member_bool(o, S("enable_thinking"), on);
        break;
    case SWITCH_TEMPLATE_KWARGS:
        json_out_name(o, S("chat_template_kwargs"));
        json_out_object(o);
        json_out_member_bool(o, S("enable_thinking"), on);
        json_out_object_end(o);
        break;
    case SWITCH_REASONING_OBJECT:
        write_reasoning_object(c, o, effort);
        break;
    }
}

static int write_reasoning_and_sampling(struct convert *c, struct json_out *o)
{
    enum chat_effort effort = CHAT_EFFORT_ABSENT;
    struct reasoning_sampling sampling = { 0 };
    int r = reasoning_for_openai(c, &effort);
    if (r < 0)
        return r;
    write_effort(c, o, effort);
    r = reasoning_sampling(c, effort > CHAT_EFFORT_NONE, &sampling);
    if (r < 0)
        return r;
    if (sampling.temperature.n > 0 && is_coded(c, CHAT_PARAM_TEMPERATURE))
        json_out_member_raw(o, S("temperature"), sampling.temperature);
    if (sampling.top_p.n > 0 && is_coded(c, CHAT_PARAM_TOP_P))
        json_out_member_raw(o, S("top_p"), sampling.top_p);
    return 0;
}

/* ---- the form of the answer ---- */

static bool format_degrades(const struct convert *c)
{
    return c->request.format.kind == CHAT_FORMAT_JSON_SCHEMA && !c->profile.chat_json_schema;
}

/* What the system text says in place of a schema. */
static struct text format_note(struct convert *c)
{
    struct text schema = text_escape(c->temp, c->request.format.schema);
    if (!format_degrades(c))
        return TEXT("");
    return text_cat(c->temp,
                    TEXT("Respond with a single JSON object that matches this JSON schema and "
                         "nothing else:\\n"),
                    schema);
}

static void write_schema(struct convert *c, struct json_out *o)
{
    const struct chat_output_format *f = &c->request.format;
    bool strict =
        f->strict == CHAT_ABSENT ? schema_is_strict(c->temp, f->schema) : f->strict == CHAT_TRUE;
    json_out_member_str(o, S("type"), S("json_schema"));
    json_out_name(o, S("json_schema"));
    json_out_object(o);
    json_out_member_text(o, S("name"), f->name.n > 0 ? f->name : TEXT("output"));
    if (f->description.n > 0)
        json_out_member_text(o, S("description"), f->description);
    if (f->schema.n > 0) {
        json_out_member_raw(o, S("schema"), f->schema);
        json_out_member_bool(o, S("strict"), strict);
    }
    json_out_object_end(o);
}

static int write_format(struct convert *c, struct json_out *o)
{
    static const enum chat_param sources[] = { CHAT_PARAM_OUTPUT_CONFIG, CHAT_PARAM_OUTPUT_FORMAT,
                                               CHAT_PARAM_TEXT };
    const struct chat_output_format *f = &c->request.format;
    if (f->kind == CHAT_FORMAT_TEXT)
        return 0;
    json_out_name(o, S("response_format"));
    json_out_object(o);
    if (f->kind == CHAT_FORMAT_JSON_SCHEMA && !format_degrades(c))
        write_schema(c, o);
    else
        json_out_member_str(o, S("type"), S("json_object"));
    json_out_object_end(o);
    if (!format_degrades(c))
        return 0;
    return convert_warn(c, "degraded",
                        sent_as(c, sources, ARRAY_LEN(sources), S("response_format")));
}

/* ---- scalars ---- */

static int write_limit(struct convert *c, struct json_out *o)
{
    int64_t max = -1;
    if (c->options.count_only)
        return 0;
    int r = reasoning_max_tokens(c, &max);
    if (r == 0 && max >= 0)
        json_out_member_i64(
            o, c->profile.chat_max_completion_tokens ? S("max_completion_tokens") : S("max_tokens"),
            max);
    return r;
}

static int write_top_k(struct convert *c, struct json_out *o)
{
    if (params_node(c, CHAT_PARAM_TOP_K) == NULL)
        return 0;
    if (!c->profile.chat_top_k)
        return convert_warn(c, "dropped", S("top_k"));
    json_out_member_raw(o, S("top_k"), params_raw(c, CHAT_PARAM_TOP_K));
    return 0;
}

static int write_stop(struct convert *c, struct json_out *o)
{
    uint32_t count = c->request.stop_count < STOPS_MAX ? c->request.stop_count : STOPS_MAX;
    if (count == 0)
        return 0;
    json_out_name(o, S("stop"));
    json_out_array(o);
    for (uint32_t i = 0; i < count; i++)
        json_out_text(o, c->request.stop[i]);
    json_out_array_end(o);
    if (c->request.stop_count == count)
        return 0;
    return convert_warn(c, "dropped", params_name(CHAT_PARAM_STOP, c->options.client));
}

static void write_logprobs(struct convert *c, struct json_out *o)
{
    bool top = params_node(c, CHAT_PARAM_TOP_LOGPROBS) != NULL;
    if (!c->request.wants_logprobs)
        return;
    json_out_member_bool(o, S("logprobs"), true);
    if (top && is_coded(c, CHAT_PARAM_TOP_LOGPROBS))
        json_out_member_raw(o, S("top_logprobs"), params_raw(c, CHAT_PARAM_TOP_LOGPROBS));
}

/* auto is what absence means. */
static void write_tier(struct convert *c, struct json_out *o)
{
    struct str tier = params_str(c, CHAT_PARAM_SERVICE_TIER);
    if (str_eq(params_str(c, CHAT_PARAM_SPEED), S("fast")))
        tier = S("priority");
    else if (str_eq(tier, S("standard_only")))
        tier = S("default");
    else if (str_eq(tier, S("ultrafast")))
        tier = S("fast");
    if (tier.n > 0 && !str_eq(tier, S("auto")))
        json_out_member_str(o, S("service_tier"), tier);
}

/* Only what the client did not say itself in these members. */
static void write_user(struct convert *c, struct json_out *o)
{
    const struct chat_request *q = &c->request;
    if (q->user_id.n > 0 && c->profile.openai_prompt_user &&
        params_node(c, CHAT_PARAM_USER) == NULL &&
        params_node(c, CHAT_PARAM_SAFETY_IDENTIFIER) == NULL)
        json_out_member_text(o, S("user"), short_id(c, q->user_id));
    if (q->session.n > 0 && c->profile.openai_cache_fields &&
        params_node(c, CHAT_PARAM_CACHE_KEY) == NULL)
        json_out_member_text(o, S("prompt_cache_key"), short_id(c, q->session));
}

static void write_stream(struct convert *c, struct json_out *o)
{
    if (!c->asks_stream || c->options.count_only)
        return;
    json_out_member_bool(o, S("stream"), true);
    if (!c->profile.chat_stream_usage)
        return;
    json_out_name(o, S("stream_options"));
    json_out_object(o);
    json_out_member_bool(o, S("include_usage"), true);
    json_out_object_end(o);
}

static int write_scalars(struct convert *c, struct json_out *o)
{
    if (params_node(c, CHAT_PARAM_VERBOSITY) != NULL &&
        params_fate(CHAT_PARAM_VERBOSITY, c->options.client, c->options.upstream) != FATE_PASS)
        json_out_member_raw(o, S("verbosity"), params_raw(c, CHAT_PARAM_VERBOSITY));
    int r = write_top_k(c, o);
    if (r == 0)
        r = write_stop(c, o);
    if (r < 0)
        return r;
    write_logprobs(c, o);
    write_tier(c, o);
    write_user(c, o);
    params_encode(c, o);
    write_stream(c, o);
    return 0;
}

static int write_messages(struct convert *c, struct json_out *o)
{
    return completions_encode_messages(c, o, format_note(c));
}

int completions_encode_request(struct convert *c, struct json_out *o)
{
    static int (*const steps[])(struct convert * c, struct json_out * o) = {
        write_messages, write_limit,   write_tools, write_reasoning_and_sampling,
        write_format,   write_scalars,
    };
    int r = 0;
    json_out_object(o);
    json_out_member_str(o, S("model"), c->model_sent);
    for (size_t i = 0; i < ARRAY_LEN(steps) && r == 0; i++)
        r = steps[i](c, o);
    json_out_object_end(o);
    return r;
}

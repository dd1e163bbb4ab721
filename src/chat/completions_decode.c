#include "completions_request.h"

#include "member.h"
#include "params.h"
#include "tools.h"

/* ---- tools ---- */

static struct chat_tool *add_tool(struct convert *c, struct json_node *body,
                                  struct json_node *outer, enum chat_tool_kind kind)
{
    struct chat_tool *t = chat_add_tool(c);
    t->kind = kind;
    t->name = member_str(c, body, S("name"));
    t->description = member_text(c, body, S("description"));
    t->strict = CHAT_ABSENT;
    t->cache = completions_cache(c, outer);
    if (t->cache == CHAT_CACHE_NONE)
        t->cache = completions_cache(c, body);
    return t;
}

static int add_function(struct convert *c, struct json_node *body, struct json_node *outer,
                        struct str path)
{
    if (member_str(c, body, S("name")).n == 0)
        return convert_reject(c, chat_path(c, path, -1, S("name")),
                              "must be a string that is not empty");
    struct chat_tool *t = add_tool(c, body, outer, CHAT_TOOL_FUNCTION);
    t->schema = member_raw(c, body, S("parameters"));
    t->strict = member_tri(c, body, S("strict"));
    return 0;
}

static int add_custom(struct convert *c, struct json_node *body, struct json_node *outer,
                      struct str path)
{
    if (member_str(c, body, S("name")).n == 0)
        return convert_reject(c, chat_path(c, path, -1, S("name")),
                              "must be a string that is not empty");
    struct chat_tool *t = add_tool(c, body, outer, CHAT_TOOL_CUSTOM);
    struct json_node *grammar = member_node(c, member_node(c, body, S("format")), S("grammar"));
    t->grammar_syntax = member_str(c, grammar, S("syntax"));
    t->grammar = member_text(c, grammar, S("definition"));
    return 0;
}

static int decode_tool(struct convert *c, struct json_node *e, int64_t n)
{
    struct str path = chat_path(c, S("tools"), n, S(""));
    if (json_type(e) != JSON_OBJECT)
        return convert_reject(c, path, "must be an object");
    struct str type = member_str(c, e, S("type"));
    if (type.n == 0 || str_eq(type, S("function")))
        return add_function(c, member_node(c, e, S("function")), e,
                            chat_path(c, path, -1, S("function")));
    if (str_eq(type, S("custom")))
        return add_custom(c, member_node(c, e, S("custom")), e,
                          chat_path(c, path, -1, S("custom")));
    return tools_leave_out(c, path);
}

/* {"type":"approximate","approximate":{..}}; the neutral form is flat. */
static struct str flat_location(struct convert *c, struct json_node *location)
{
    struct json_node *inner = member_node(c, location, S("approximate"));
    if (inner == NULL || json_type(inner) != JSON_OBJECT)
        return json_compact(c->temp, location == NULL ? S("") : json_raw(&c->doc, location));
    struct buf buf;
    struct json_out o;
    buf_init(&buf, SIZE_MAX);
    json_out_init(&o, &buf);
    json_out_object(&o);
    json_out_member_str(&o, S("type"), S("approximate"));
    for (struct json_node *e = json_first(&c->doc, inner); e != NULL; e = json_next(e)) {
        struct str name = json_name(&c->doc, e);
        if (json_type(e) != JSON_NULL && !str_eq(name, S("type")))
            json_out_member_raw(&o, name, json_raw(&c->doc, e));
    }
    json_out_object_end(&o);
    struct str raw = arena_str(c->temp, buf_str(&buf));
    buf_done(&buf);
    return raw;
}

static void decode_web_search(struct convert *c)
{
    struct json_node *options = params_node(c, CHAT_PARAM_WEB_SEARCH_OPTIONS);
    if (options == NULL)
        return;
    struct chat_tool *t = chat_add_tool(c);
    t->kind = CHAT_TOOL_WEB_SEARCH;
    t->name = S("web_search");
    t->strict = CHAT_ABSENT;
    t->context_size = member_raw(c, options, S("search_context_size"));
    t->user_location = flat_location(c, member_node(c, options, S("user_location")));
}

static int decode_tools(struct convert *c)
{
    struct json_node *tools = params_node(c, CHAT_PARAM_TOOLS);
    struct json_node *functions = params_node(c, CHAT_PARAM_FUNCTIONS);
    struct json_walk w;
    struct json_node *tool;
    int64_t n = 0;
    int r = 0;
    member_walk(c, tools, &w);
    while (r == 0 && (tool = json_walk_next(&w)) != NULL)
        r = decode_tool(c, tool, n++);
    json_walk_done(&w);
    n = 0;
    for (struct json_node *e = json_first(&c->doc, functions); e != NULL && r == 0;
         e = json_next(e))
        r = add_function(c, e, e, chat_path(c, S("functions"), n++, S("")));
    if (r < 0)
        return r;
    c->request.legacy_functions = functions != NULL && tools == NULL;
    decode_web_search(c);
    return 0;
}

/* ---- tool_choice, function_call, parallel_tool_calls ---- */

static int choice_of_word(struct convert *c, struct str word, enum chat_choice *ret,
                          struct str path)
{
    if (str_eq(word, S("auto")))
        *ret = CHAT_CHOICE_AUTO;
    else if (str_eq(word, S("none")))
        *ret = CHAT_CHOICE_NONE;
    else if (str_eq(word, S("required")))
        *ret = CHAT_CHOICE_ANY;
    else
        return convert_reject(c, path, "must be none, auto or required");
    return 0;
}

/* "function":{"name"} or, as Responses writes it, the name itself. */
static struct str chosen_name(struct convert *c, struct json_node *n, struct str type)
{
    struct json_node *inner = member_node(c, n, type);
    return member_str(c, inner == NULL ? n : inner, S("name"));
}

static int decode_allowed(struct convert *c, struct json_node *n)
{
    struct chat_tool_choice *choice = &c->request.choice;
    struct json_node *allowed = member_node(c, n, S("allowed_tools"));
    struct json_node *tools = member_node(c, allowed, S("tools"));
    if (tools == NULL || json_type(tools) != JSON_ARRAY)
        return convert_reject(c, S("tool_choice.allowed_tools.tools"), "must be an array");
    choice->has_allowed = true;
    choice->allowed = arena_new(c->temp, struct str, json_count(&c->doc, tools) + 1);
    for (struct json_node *e = json_first(&c->doc, tools); e != NULL; e = json_next(e)) {
        struct str name = chosen_name(c, e, member_str(c, e, S("type")));
        if (name.n > 0)
            choice->allowed[choice->allowed_count++] = name;
    }
    return choice_of_word(c, member_str(c, allowed, S("mode")), &choice->kind,
                          S("tool_choice.allowed_tools.mode"));
}

static int decode_choice_object(struct convert *c, struct json_node *n)
{
    struct chat_tool_choice *choice = &c->request.choice;
    struct str type = member_str(c, n, S("type"));
    if (str_eq(type, S("allowed_tools")))
        return decode_allowed(c, n);
    choice->kind = CHAT_CHOICE_TOOL;
    if (!str_eq(type, S("function")) && !str_eq(type, S("custom"))) {
        choice->type = type;
        return 0;
    }
    choice->tool_kind = str_eq(type, S("custom")) ? CHAT_TOOL_CUSTOM : CHAT_TOOL_FUNCTION;
    choice->name = chosen_name(c, n, type);
    if (choice->name.n == 0)
        return convert_reject(c, chat_path(c, S("tool_choice"), -1, type),
                              "must have a name that is not empty");
    return 0;
}

static int decode_legacy_choice(struct convert *c, struct json_node *n)
{
    struct chat_tool_choice *choice = &c->request.choice;
    if (json_type(n) == JSON_STRING)
        return choice_of_word(c, json_string(&c->doc, n), &choice->kind, S("function_call"));
    choice->kind = CHAT_CHOICE_TOOL;
    choice->tool_kind = CHAT_TOOL_FUNCTION;
    choice->name = member_str(c, n, S("name"));
    if (choice->name.n == 0)
        return convert_reject(c, S("function_call.name"), "must be a string that is not empty");
    return 0;
}

static int decode_choice(struct convert *c)
{
    struct json_node *n = params_node(c, CHAT_PARAM_TOOL_CHOICE);
    struct json_node *legacy = params_node(c, CHAT_PARAM_FUNCTION_CALL);
    struct json_node *parallel = params_node(c, CHAT_PARAM_PARALLEL);
    struct chat_tool_choice *choice = &c->request.choice;
    choice->parallel_given = parallel != NULL;
    choice->no_parallel = parallel != NULL && !json_is_true(parallel);
    if (n != NULL && json_type(n) == JSON_STRING)
        return choice_of_word(c, json_string(&c->doc, n), &choice->kind, S("tool_choice"));
    if (n != NULL)
        return decode_choice_object(c, n);
    return legacy == NULL ? 0 : decode_legacy_choice(c, legacy);
}

/* ---- other settings ---- */

static int effort_word(struct convert *c, struct str word, struct str path)
{
    enum chat_effort effort = effort_of(word);
    if (effort == CHAT_EFFORT_COUNT)
        return convert_warn(c, "dropped", path);
    c->request.reasoning.effort = effort;
    return 0;
}

/* reasoning_effort, or OpenRouter's reasoning object. */
static int decode_reasoning(struct convert *c)
{
    struct json_node *reasoning = params_node(c, CHAT_PARAM_REASONING);
    struct chat_reasoning_ask *ask = &c->request.reasoning;
    if (params_node(c, CHAT_PARAM_EFFORT) != NULL)
        return effort_word(c, params_str(c, CHAT_PARAM_EFFORT), S("reasoning_effort"));
    if (member_node(c, reasoning, S("effort")) != NULL)
        return effort_word(c, member_str(c, reasoning, S("effort")), S("reasoning.effort"));
    enum chat_tri enabled = member_tri(c, reasoning, S("enabled"));
    int64_t budget = member_i64(c, reasoning, S("max_tokens"));
    if (enabled == CHAT_FALSE) {
        ask->effort = CHAT_EFFORT_NONE;
    } else if (budget > 0) {
        ask->thinking = CHAT_THINKING_BUDGET;
        ask->budget_tokens = budget;
    } else if (enabled == CHAT_TRUE) {
        ask->effort = CHAT_EFFORT_MEDIUM; /* what OpenRouter does */
    }
    return 0;
}

static int decode_format(struct convert *c)
{
    struct json_node *format = params_node(c, CHAT_PARAM_RESPONSE_FORMAT), *schema;
    struct chat_output_format *f = &c->request.format;
    f->strict = CHAT_ABSENT;
    if (format == NULL || member_is(c, format, S("type"), S("text")))
        return 0;
    if (member_is(c, format, S("type"), S("json_object"))) {
        f->kind = CHAT_FORMAT_JSON_OBJECT;
        return 0;
    }
    if (!member_is(c, format, S("type"), S("json_schema")))
        return convert_reject(c, S("response_format.type"),
                              "must be text, json_object or json_schema");
    int r = member_need(c, format, S("json_schema"), JSON_OBJECT, S("response_format"), &schema);
    if (r < 0)
        return r;
    if (schema == NULL)
        return convert_reject(c, S("response_format.json_schema"), "is missing");
    f->kind = CHAT_FORMAT_JSON_SCHEMA;
    f->name = member_text(c, schema, S("name"));
    f->description = member_text(c, schema, S("description"));
    f->schema = member_raw(c, schema, S("schema"));
    f->strict = member_tri(c, schema, S("strict"));
    return 0;
}

static int decode_stop(struct convert *c)
{
    struct json_node *n = params_node(c, CHAT_PARAM_STOP);
    if (n == NULL)
        return 0;
    bool list = json_type(n) == JSON_ARRAY;
    if (!list && json_type(n) != JSON_STRING)
        return convert_reject(c, S("stop"), "must be a string or an array of strings");
    c->request.stop = arena_new(c->temp, struct text, list ? json_count(&c->doc, n) + 1 : 1);
    for (struct json_node *e = list ? json_first(&c->doc, n) : n; e != NULL;
         e = list ? json_next(e) : NULL) {
        if (json_type(e) != JSON_STRING)
            return convert_reject(c, S("stop"), "must be a string or an array of strings");
        c->request.stop[c->request.stop_count++] = text_of(&c->doc, c->temp, e);
    }
    return 0;
}

/* 0 is the default, so it says nothing. */
static int warn_penalty(struct convert *c, enum chat_param p)
{
    double x = 0;
    struct json_node *n = params_node(c, p);
    if (n == NULL || (json_number(n, &x) && x == 0))
        return 0;
    return convert_warn(c, "dropped", params_name(p, PROTOCOL_CHAT));
}

/* What no neutral form has. */
static int decode_limits(struct convert *c)
{
    struct json_node *modalities = params_node(c, CHAT_PARAM_MODALITIES);
    if (params_integer(c, CHAT_PARAM_N) > 1)
        return convert_reject(c, S("n"), "must be 1 for the upstream of this model");
    for (struct json_node *e = json_first(&c->doc, modalities); e != NULL; e = json_next(e))
        if (str_eq(json_string(&c->doc, e), S("audio")))
            return convert_reject(c, S("modalities"),
                                  "audio is not supported by the upstream of this model");
    int r = warn_penalty(c, CHAT_PARAM_FREQUENCY_PENALTY);
    return r < 0 ? r : warn_penalty(c, CHAT_PARAM_PRESENCE_PENALTY);
}

static void decode_scalars(struct convert *c)
{
    struct chat_request *q = &c->request;
    q->max_tokens = params_integer(c, CHAT_PARAM_MAX_COMPLETION);
    if (q->max_tokens < 0)
        q->max_tokens = params_integer(c, CHAT_PARAM_MAX_TOKENS);
    q->stream = params_true(c, CHAT_PARAM_STREAM);
    q->include_usage =
        member_true(c, params_node(c, CHAT_PARAM_STREAM_OPTIONS), S("include_usage"));
    q->wants_logprobs = params_true(c, CHAT_PARAM_LOGPROBS);
    q->user_id = params_text(c, CHAT_PARAM_USER);
    q->safety_identifier = params_text(c, CHAT_PARAM_SAFETY_IDENTIFIER);
}

int completions_decode_request(struct convert *c, struct json_node *root)
{
    static int (*const steps[])(struct convert * c) = {
        decode_limits, decode_tools, decode_choice, decode_reasoning, decode_format, decode_stop,
    };
    int r = 0;
    (void)root; /* its members are in c->request.params */
    decode_scalars(c);
    for (size_t i = 0; i < ARRAY_LEN(steps) && r == 0; i++)
        r = steps[i](c);
    return r < 0 ? r : completions_decode_messages(c, params_node(c, CHAT_PARAM_MESSAGES));
}

void completions_adopt_request(struct convert *c, struct json_node *root)
{
    struct json_node *options = member_node(c, root, S("stream_options"));
    c->include_usage = member_true(c, options, S("include_usage"));
    c->legacy_functions =
        member_node(c, root, S("functions")) != NULL && member_node(c, root, S("tools")) == NULL;
}

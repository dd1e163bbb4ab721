/* A client's Responses request: its settings.  Items, contents and tools have their own files. */
#include "codec.h"

#include "member.h"
#include "params.h"
#include "responses_request.h"

/* What the reply object must repeat (0.6). */
static const enum chat_param echoed[] = {
    CHAT_PARAM_INSTRUCTIONS,   CHAT_PARAM_TOOLS,        CHAT_PARAM_TOOL_CHOICE,
    CHAT_PARAM_PARALLEL,       CHAT_PARAM_TEMPERATURE,  CHAT_PARAM_TOP_P,
    CHAT_PARAM_MAX_COMPLETION, CHAT_PARAM_METADATA,     CHAT_PARAM_REASONING,
    CHAT_PARAM_TEXT,           CHAT_PARAM_TRUNCATION,   CHAT_PARAM_USER,
    CHAT_PARAM_CACHE_KEY,      CHAT_PARAM_SERVICE_TIER, CHAT_PARAM_SAFETY_IDENTIFIER,
    CHAT_PARAM_MAX_TOOL_CALLS, CHAT_PARAM_TOP_LOGPROBS,
};

/* From the body, not from params: what the upstream does not get is repeated all the same. */
static void keep_echo(struct convert *c, struct json_node *root)
{
    c->echo = arena_new(&c->arena, struct str, CHAT_PARAM_COUNT);
    for (size_t i = 0; i < ARRAY_LEN(echoed); i++) {
        struct str name = params_name(echoed[i], PROTOCOL_RESPONSES);
        c->echo[echoed[i]] = arena_str(&c->arena, member_raw(c, root, name));
    }
}

int responses_read_effort(struct convert *c, struct json_node *reasoning, struct str path)
{
    struct json_node *effort;
    int r = member_need(c, reasoning, S("effort"), JSON_STRING, path, &effort);
    if (r < 0 || effort == NULL)
        return r;
    enum chat_effort e = effort_of(json_string(&c->doc, effort));
    if (e == CHAT_EFFORT_COUNT)
        return convert_warn(c, "dropped", chat_path(c, path, -1, S("effort")));
    c->request.reasoning.effort = e;
    return 0;
}

static int read_reasoning(struct convert *c)
{
    struct json_node *reasoning = params_node(c, CHAT_PARAM_REASONING);
    struct str summary = member_str(c, reasoning, S("summary"));
    if (summary.n == 0)
        summary = member_str(c, reasoning, S("generate_summary"));
    c->request.reasoning.summary = summary;
    return responses_read_effort(c, reasoning, S("reasoning"));
}

static int read_schema(struct convert *c, struct json_node *format, struct str path)
{
    struct json_node *schema;
    int r = member_need(c, format, S("schema"), JSON_OBJECT, path, &schema);
    if (r < 0)
        return r;
    c->request.format = (struct chat_output_format){
        .kind = CHAT_FORMAT_JSON_SCHEMA,
        .name = member_text(c, format, S("name")),
        .description = member_text(c, format, S("description")),
        .schema = member_raw(c, format, S("schema")),
        .strict = member_tri(c, format, S("strict")),
    };
    return 0;
}

int responses_read_format(struct convert *c, struct json_node *text, struct str path)
{
    struct json_node *format;
    int r = member_need(c, text, S("format"), JSON_OBJECT, path, &format);
    if (r < 0 || format == NULL)
        return r;
    struct str format_path = chat_path(c, path, -1, S("format"));
    struct str type = member_str(c, format, S("type"));
    if (str_eq(type, S("json_schema")))
        return read_schema(c, format, format_path);
    c->request.format = (struct chat_output_format){ .strict = CHAT_ABSENT };
    if (str_eq(type, S("json_object")))
        c->request.format.kind = CHAT_FORMAT_JSON_OBJECT;
    else if (!str_eq(type, S("text")))
        return convert_reject(c, chat_path(c, format_path, -1, S("type")),
                              "must be text, json_object or json_schema");
    return 0;
}

/* Chat has the same setting as a member of its own; an upstream without it loses it. */
static int read_verbosity(struct convert *c)
{
    struct json_node *verbosity;
    int r = member_need(c, params_node(c, CHAT_PARAM_TEXT), S("verbosity"), JSON_STRING, S("text"),
                        &verbosity);
    if (r < 0 || verbosity == NULL)
        return r;
    if (params_name(CHAT_PARAM_VERBOSITY, c->options.upstream).n == 0)
        return convert_warn(c, "dropped", S("text.verbosity"));
    c->request.params[CHAT_PARAM_VERBOSITY] = verbosity;
    return 0;
}

static int read_include(struct convert *c)
{
    struct json_node *include = params_node(c, CHAT_PARAM_INCLUDE);
    int r = 0;
    for (struct json_node *n = json_first(&c->doc, include); n != NULL && r == 0;
         n = json_next(n)) {
        struct str what = json_string(&c->doc, n);
        if (str_eq(what, S("message.output_text.logprobs")))
            c->request.wants_logprobs = true;
        else if (!str_eq(what, S("reasoning.encrypted_content")))
            r = convert_warn(c, "dropped", S("include"));
    }
    return r;
}

static void read_user(struct convert *c)
{
    struct chat_request *q = &c->request;
    q->safety_identifier = params_text(c, CHAT_PARAM_SAFETY_IDENTIFIER);
    q->user_id = q->safety_identifier;
    if (q->user_id.n == 0)
        q->user_id = params_text(c, CHAT_PARAM_USER);
}

static int read_settings(struct convert *c)
{
    struct chat_request *q = &c->request;
    q->max_tokens = params_integer(c, CHAT_PARAM_MAX_COMPLETION);
    q->stream = params_true(c, CHAT_PARAM_STREAM);
    q->format.strict = CHAT_ABSENT;
    read_user(c);
    int r = read_reasoning(c);
    if (r == 0)
        r = responses_read_format(c, params_node(c, CHAT_PARAM_TEXT), S("text"));
    if (r == 0)
        r = read_verbosity(c);
    if (r == 0)
        r = read_include(c);
    if (params_integer(c, CHAT_PARAM_TOP_LOGPROBS) > 0)
        q->wants_logprobs = true;
    return r;
}

static void add_string(struct convert *c, enum chat_role role, struct text text, bool instructions)
{
    struct chat_message *m = chat_add_message(c, role);
    m->is_string = true;
    m->instructions = instructions;
    chat_add_block(c, m, CHAT_TEXT)->text = text;
}

static int read_input(struct convert *c)
{
    struct text instructions = params_text(c, CHAT_PARAM_INSTRUCTIONS);
    if (instructions.n > 0)
        add_string(c, CHAT_SYSTEM, instructions, true);
    struct json_node *input = params_node(c, CHAT_PARAM_INPUT);
    if (input == NULL)
        return convert_reject(c, S("input"), "is required");
    if (json_type(input) == JSON_ARRAY)
        return responses_read_items(c, input);
    add_string(c, CHAT_USER, params_text(c, CHAT_PARAM_INPUT), false);
    return 0;
}

int responses_decode_request(struct convert *c, struct json_node *root)
{
    if (params_true(c, CHAT_PARAM_BACKGROUND))
        return convert_reject(c, S("background"), "is not supported by the upstream of this model");
    keep_echo(c, root);
    int r = read_settings(c);
    if (r == 0)
        r = responses_read_tools(c, params_node(c, CHAT_PARAM_TOOLS), S("tools"));
    if (r == 0)
        r = responses_read_choice(c);
    return r < 0 ? r : read_input(c);
}

void responses_adopt_request(struct convert *c, struct json_node *root)
{
    keep_echo(c, root);
    c->wants_web_search = true; /* its own protocol: a search is there because it was wanted */
}

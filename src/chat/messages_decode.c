#include "messages_request.h"

#include "hash.h"
#include "json.h"
#include "member.h"
#include "params.h"

enum { SESSION_CHARS_MAX = 64 };

/* ---- metadata ---- */

/* The member session_id of a user id that is a JSON object; empty when it is none. */
static struct str session_member(struct arena *a, struct str user_id)
{
    yyjson_doc *doc;
    struct str session = S("");
    if (!str_starts(str_trim(user_id), S("{")) || json_parse(user_id, &doc, NULL) < 0)
        return session;
    session = arena_str(a, json_member_str(yyjson_doc_get_root(doc), S("session_id")));
    yyjson_doc_free(doc);
    return session;
}

static struct str session_of(struct arena *a, struct str user_id)
{
    struct str mark = S("_session_"), rest = user_id, session = S("");
    for (size_t at = str_find(rest, mark); at < rest.n; at = str_find(rest, mark))
        session = rest = str_slice(rest, at + mark.n, rest.n);
    if (session.n == 0)
        session = session_member(a, user_id);
    return session.n > SESSION_CHARS_MAX ? hash_text(a, session) : session;
}

static void decode_metadata(struct convert *c)
{
    struct json_node *metadata = params_node(c, CHAT_PARAM_METADATA);
    struct str user_id = member_str(c, metadata, S("user_id"));
    c->request.user_id = member_text(c, metadata, S("user_id"));
    c->request.session = text_escape(c->temp, session_of(c->temp, user_id));
}

/* ---- thinking, effort, format ---- */

static int decode_thinking(struct convert *c)
{
    static const struct {
        struct str type;
        enum chat_thinking thinking;
    } kinds[] = {
        { S_INIT("adaptive"), CHAT_THINKING_ADAPTIVE },
        { S_INIT("enabled"), CHAT_THINKING_BUDGET },
        { S_INIT("disabled"), CHAT_THINKING_DISABLED },
        { S_INIT("between_tools"), CHAT_THINKING_BETWEEN_TOOLS },
    };
    struct json_node *n = params_node(c, CHAT_PARAM_THINKING), *budget;
    struct chat_reasoning_ask *ask = &c->request.reasoning;
    if (n == NULL)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (member_is(c, n, S("type"), kinds[i].type))
            ask->thinking = kinds[i].thinking;
    if (ask->thinking == CHAT_THINKING_ABSENT)
        return convert_reject(c, S("thinking.type"),
                              "must be adaptive, enabled, disabled or between_tools");
    ask->display_omitted = member_is(c, n, S("display"), S("omitted"));
    if (ask->thinking != CHAT_THINKING_BUDGET)
        return 0;
    int r = member_need(c, n, S("budget_tokens"), JSON_NUMBER, S("thinking"), &budget);
    ask->budget_tokens = member_i64(c, n, S("budget_tokens"));
    if (r == 0 && ask->budget_tokens < 0)
        r = convert_reject(c, S("thinking.budget_tokens"), "is required");
    return r;
}

static int decode_format(struct convert *c, struct json_node *n, struct str path)
{
    struct chat_output_format *format = &c->request.format;
    struct json_node *schema;
    if (!member_is(c, n, S("type"), S("json_schema")))
        return convert_reject(c, chat_path(c, path, -1, S("type")), "must be json_schema");
    int r = member_need(c, n, S("schema"), JSON_OBJECT, path, &schema);
    if (r == 0 && schema == NULL)
        r = convert_reject(c, chat_path(c, path, -1, S("schema")), "is required");
    if (r < 0)
        return r;
    format->kind = CHAT_FORMAT_JSON_SCHEMA;
    format->name = TEXT("output"); /* Messages has no name, the others need one */
    format->schema = json_compact(c->temp, json_raw(&c->doc, schema));
    return 0;
}

static int decode_output_config(struct convert *c)
{
    struct json_node *config = params_node(c, CHAT_PARAM_OUTPUT_CONFIG);
    struct json_node *old_format = params_node(c, CHAT_PARAM_OUTPUT_FORMAT);
    struct json_node *effort = NULL, *format = NULL;
    int r = member_need(c, config, S("effort"), JSON_STRING, S("output_config"), &effort);
    if (r == 0)
        r = member_need(c, config, S("format"), JSON_OBJECT, S("output_config"), &format);
    if (r < 0)
        return r;
    if (effort != NULL) {
        c->request.reasoning.effort = effort_of(json_string(&c->doc, effort));
        if (c->request.reasoning.effort == CHAT_EFFORT_COUNT)
            return convert_reject(c, S("output_config.effort"), "unknown effort");
    }
    c->request.format.strict = CHAT_ABSENT;
    if (format != NULL)
        r = decode_format(c, format, S("output_config.format"));
    else if (old_format != NULL)
        r = decode_format(c, old_format, S("output_format"));
    if (r == 0 && member_node(c, config, S("task_budget")) != NULL)
        r = convert_warn(c, "dropped", S("output_config.task_budget"));
    return r;
}

/* ---- the rest ---- */

static int decode_stop(struct convert *c)
{
    struct json_node *list = params_node(c, CHAT_PARAM_STOP);
    struct chat_request *req = &c->request;
    if (list == NULL)
        return 0;
    if (json_type(list) != JSON_ARRAY)
        return convert_reject(c, S("stop_sequences"), "must be an array of strings");
    req->stop = arena_new(c->temp, struct text, json_count(&c->doc, list) + 1);
    for (struct json_node *n = json_first(&c->doc, list); n != NULL; n = json_next(n)) {
        if (json_type(n) != JSON_STRING)
            return convert_reject(c, S("stop_sequences"), "must be an array of strings");
        req->stop[req->stop_count++] = text_of(&c->doc, c->temp, n);
    }
    return 0;
}

static int decode_thread(struct convert *c)
{
    struct json_node *thread = params_node(c, CHAT_PARAM_THREAD);
    if (thread == NULL)
        return 0;
    if (!member_is(c, thread, S("type"), S("create")))
        return convert_reject(c, S("thread"), "a thread cannot be continued at this upstream");
    return convert_warn(c, "dropped", S("thread"));
}

int messages_decode_request(struct convert *c, struct json_node *root)
{
    (void)root; /* params_decode() has read its members */
    c->request.max_tokens = params_integer(c, CHAT_PARAM_MAX_TOKENS);
    decode_metadata(c);
    int r = messages_decode_tools(c); /* before blocks that add further ones */
    if (r == 0)
        r = messages_decode_conversation(c);
    if (r == 0)
        r = decode_thinking(c);
    if (r == 0)
        r = decode_output_config(c);
    if (r == 0)
        r = decode_stop(c);
    if (r == 0)
        r = decode_thread(c);
    return r;
}

void messages_adopt_request(struct convert *c, struct json_node *root)
{
    (void)root;
    c->wants_web_search = true; /* its own protocol: a search is there because it was wanted */
}

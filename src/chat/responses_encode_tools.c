/* Tools and the choice among them for an upstream of Responses. */
#include "responses_request.h"

#include "schema.h"
#include "tools.h"

static void write_name(struct convert *c, struct json_out *o, const struct chat_tool *t)
{
    struct text description = tools_description(c, t);
    json_out_member_str(o, S("name"), t->upstream_name);
    if (description.n > 0)
        json_out_member_text(o, S("description"), description);
}

static struct str member_path(struct convert *c, int64_t index, struct str name)
{
    return chat_path(c, S("tools"), index, name);
}

/* strict is always said: left out, the vendor tries it by itself (E54). */
static int write_function(struct convert *c, struct json_out *o, const struct chat_tool *t,
                          int64_t index)
{
    struct str schema = tools_schema(c, t);
    if (schema.n == 0)
        schema = schema_for_openai(c->temp, schema);
    bool strict = t->strict == CHAT_TRUE && schema_is_strict(c->temp, schema);
    json_out_member_str(o, S("type"), S("function"));
    write_name(c, o, t);
    json_out_member_raw(o, S("parameters"), schema);
    json_out_member_bool(o, S("strict"), strict);
    if (t->strict == CHAT_TRUE && !strict)
        return convert_warn(c, "degraded", member_path(c, index, S("strict")));
    return 0;
}

static void write_custom(struct convert *c, struct json_out *o, const struct chat_tool *t)
{
    json_out_member_str(o, S("type"), S("custom"));
    write_name(c, o, t);
    if (t->grammar_syntax.n == 0)
        return;
    json_out_name(o, S("format"));
    json_out_object(o);
    json_out_member_str(o, S("type"), S("grammar"));
    json_out_member_str(o, S("syntax"), t->grammar_syntax);
    json_out_member_text(o, S("definition"), t->grammar);
    json_out_object_end(o);
}

static int write_web_search(struct convert *c, struct json_out *o, const struct chat_tool *t,
                            int64_t index)
{
    json_out_member_str(o, S("type"), S("web_search"));
    if (t->allowed_domains.n > 0) {
        json_out_name(o, S("filters"));
        json_out_object(o);
        json_out_member_raw(o, S("allowed_domains"), t->allowed_domains);
        json_out_object_end(o);
    }
    if (t->context_size.n > 0)
        json_out_member_raw(o, S("search_context_size"), t->context_size);
    if (t->user_location.n > 0)
        json_out_member_raw(o, S("user_location"), t->user_location);
    int r = 0;
    if (t->blocked_domains.n > 0)
        r = convert_warn(c, "dropped", member_path(c, index, S("blocked_domains")));
    if (r == 0 && t->max_uses.n > 0)
        r = convert_warn(c, "dropped", member_path(c, index, S("max_uses")));
    return r;
}

static int write_tool(struct convert *c, struct json_out *o, const struct chat_tool *t,
                      int64_t index)
{
    int r = 0;
    json_out_object(o);
    if (t->kind == CHAT_TOOL_WEB_SEARCH)
        r = write_web_search(c, o, t, index);
    else if (tools_upstream_kind(c, t->kind) == CHAT_TOOL_CUSTOM)
        write_custom(c, o, t);
    else
        r = write_function(c, o, t, index);
    json_out_object_end(o);
    return r;
}

/* ---- the choice ---- */

static void write_pointer(struct convert *c, struct json_out *o, enum chat_tool_kind kind,
                          struct str upstream_name)
{
    bool custom = tools_upstream_kind(c, kind) == CHAT_TOOL_CUSTOM;
    json_out_object(o);
    if (kind == CHAT_TOOL_WEB_SEARCH) {
        json_out_member_str(o, S("type"), S("web_search"));
    } else {
        json_out_member_str(o, S("type"), custom ? S("custom") : S("function"));
        json_out_member_str(o, S("name"), upstream_name);
    }
    json_out_object_end(o);
}

static struct str mode_name(enum chat_choice kind)
{
    static const struct str names[] = {
        [CHAT_CHOICE_ABSENT] = S_INIT("auto"),   [CHAT_CHOICE_AUTO] = S_INIT("auto"),
        [CHAT_CHOICE_ANY] = S_INIT("required"),  [CHAT_CHOICE_NONE] = S_INIT("none"),
        [CHAT_CHOICE_TOOL] = S_INIT("required"),
    };
    return names[kind];
}

static void write_allowed(struct convert *c, struct json_out *o)
{
    json_out_object(o);
    json_out_member_str(o, S("type"), S("allowed_tools"));
    json_out_member_str(o, S("mode"), mode_name(c->request.choice.kind));
    json_out_name(o, S("tools"));
    json_out_array(o);
    for (const struct chat_tool *const *t = tools_allowed(c); *t != NULL; t++)
        write_pointer(c, o, (*t)->kind, (*t)->upstream_name);
    json_out_array_end(o);
    json_out_object_end(o);
}

static void write_choice(struct convert *c, struct json_out *o)
{
    const struct chat_tool_choice *choice = &c->request.choice;
    if (choice->kind == CHAT_CHOICE_ABSENT && !choice->has_allowed)
        return;
    json_out_name(o, S("tool_choice"));
    if (choice->has_allowed && choice->kind != CHAT_CHOICE_NONE)
        write_allowed(c, o);
    else if (choice->kind == CHAT_CHOICE_TOOL)
        write_pointer(c, o, choice->tool_kind, choice->name);
    else
        json_out_str(o, mode_name(choice->kind));
}

/* Without tools none of the three is sent: they are refused then (E61). */
int responses_write_tools(struct convert *c, struct json_out *o)
{
    const struct chat_request *q = &c->request;
    int64_t index = 0;
    int r = 0;
    if (q->tools == NULL)
        return 0;
    json_out_name(o, S("tools"));
    json_out_array(o);
    for (const struct chat_tool *t = q->tools; t != NULL && r == 0; t = t->next)
        r = write_tool(c, o, t, index++);
    json_out_array_end(o);
    write_choice(c, o);
    if (q->choice.parallel_given)
        json_out_member_bool(o, S("parallel_tool_calls"), !q->choice.no_parallel);
    return r;
}

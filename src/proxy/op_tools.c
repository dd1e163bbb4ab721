/* Tools: the operator's, and the shapes that Chat Completions wants. */
#include "action_ops.h"

#include "edit.h"
#include "json.h"

/* ---- chat_shapes ---- */

/* {members of object but for `type`} as text, `format` repaired. */
static struct str rest_of(struct adapter_request *r, struct json_node *object, bool format);

/* {"type":"grammar","syntax":...} has its members under `grammar`. */
static struct str nested_format(struct adapter_request *r, struct json_node *format)
{
    struct json_edit *e = r->edit;
    if (!edit_is_type(format, JSON_OBJECT) ||
        !str_eq(edit_text(e, format, S("type")), S("grammar")) ||
        json_find(e, format, S("grammar")) != NULL)
        return json_raw(e, format);
    return arena_printf(r->arena, "{\"type\":\"grammar\",\"grammar\":" STR_FMT "}",
                        STR_ARG(rest_of(r, format, false)));
}

static struct str rest_of(struct adapter_request *r, struct json_node *object, bool format)
{
    struct json_edit *e = r->edit;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, SIZE_MAX);
    for (struct json_node *m = json_first(e, object); m != NULL; m = json_next(m)) {
        struct str name = json_name(e, m);
        if (str_eq(name, S("type")))
            continue;
        buf_add_byte(&out, buf_len(&out) > 0 ? ',' : '{');
        json_write_str(&out, name);
        buf_add_byte(&out, ':');
        buf_add(&out, format && str_eq(name, S("format")) ? nested_format(r, m) : json_raw(e, m));
    }
    buf_add(&out, buf_len(&out) > 0 ? S("}") : S("{}"));
    return arena_str(r->arena, buf_str(&out));
}

/* {type:T,name,...} -> {type:T,T:{name,...}} */
static bool nest(struct adapter_request *r, struct json_node *n, struct str type)
{
    struct json_edit *e = r->edit;
    if (!edit_is_type(n, JSON_OBJECT) || !str_eq(edit_text(e, n, S("type")), type) ||
        json_find(e, n, type) != NULL || json_find(e, n, S("name")) == NULL)
        return false;
    struct str rest = rest_of(r, n, str_eq(type, S("custom")));
    return edit_replace(e, n,
                        arena_printf(r->arena,
                                     "{\"type\":\"" STR_FMT "\",\"" STR_FMT "\":" STR_FMT "}",
                                     STR_ARG(type), STR_ARG(type), STR_ARG(rest)));
}

static bool repair_content(struct json_edit *e, struct json_node *message)
{
    struct json_node *content = json_find(e, message, S("content"));
    if (!edit_is_type(content, JSON_ARRAY) || json_first(e, content) != NULL)
        return false;
    bool calls = !edit_absent(json_find(e, message, S("tool_calls"))) &&
                 str_eq(edit_text(e, message, S("role")), S("assistant"));
    return edit_replace(e, content, calls ? S("null") : S("\"\""));
}

bool op_chat_shapes(const struct action *a, struct adapter_request *r)
{
    struct json_edit *e = r->edit;
    struct json_node *messages = edit_member(e, S("messages"));
    struct json_node *tools = edit_member(e, S("tools"));
    bool changed = false;
    (void)a;
    /* a Responses body on the chat path: its shapes are right as they are */
    if (messages == NULL && edit_member(e, S("input")) != NULL)
        return false;
    if (edit_is_type(messages, JSON_ARRAY))
        for (struct json_node *m = json_first(e, messages); m != NULL; m = json_next(m))
            changed |= repair_content(e, m);
    if (edit_is_type(tools, JSON_ARRAY))
        for (struct json_node *t = json_first(e, tools); t != NULL; t = json_next(t))
            changed |= nest(r, t, S("function")) || nest(r, t, S("custom"));
    return nest(r, edit_member(e, S("tool_choice")), S("function")) || changed;
}

/* ---- merge_tools ---- */

struct str op_tool_name(struct json_edit *e, struct json_node *tool)
{
    static const struct str inner[] = { S_INIT("function"), S_INIT("custom") };
    struct str name = edit_text(e, tool, S("name"));
    for (size_t i = 0; i < ARRAY_LEN(inner) && name.n == 0; i++) {
        struct json_node *n = json_find(e, tool, inner[i]);
        name = n != NULL ? edit_text(e, n, S("name")) : name;
    }
    return name;
}

/* One of the client's tools.  Their names are looked up once: clients send hundreds. */
struct client_tool {
    struct json_node *node;
    struct str name;
};

struct client_tools {
    struct client_tool *v;
    size_t n;
};

static struct client_tools client_tools(struct adapter_request *r, struct json_node *list)
{
    struct json_edit *e = r->edit;
    struct client_tools tools = { arena_new(r->arena, struct client_tool, json_count(e, list) + 1),
                                  0 };
    for (struct json_node *t = json_first(e, list); t != NULL; t = json_next(t))
        tools.v[tools.n++] = (struct client_tool){ t, op_tool_name(e, t) };
    return tools;
}

/* The client's tool of the same name; for a nameless one, an equal one. */
static struct json_node *same_tool(struct json_edit *e, const struct client_tools *tools,
                                   const struct action_tool *tool)
{
    for (size_t i = 0; i < tools->n; i++) {
        const struct client_tool *c = &tools->v[i];
        bool same = str_eq(c->name, tool->name);
        if (same && (tool->name.n > 0 || json_equal(json_raw(e, c->node), tool->raw, false)))
            return c->node;
    }
    return NULL;
}

bool op_merge_tools(const struct action *a, struct adapter_request *r)
{
    struct json_edit *e = r->edit;
    struct json_node *list = edit_member(e, S("tools"));
    bool changed = false, first = a->place == ACTION_FIRST;
    if (a->tools_n == 0 || (!edit_absent(list) && json_type(list) != JSON_ARRAY))
        return false;
    if (edit_absent(list))
        list = json_set(e, json_root(e), S("tools"), S("[]"));
    struct client_tools clients = client_tools(r, list);
    for (size_t i = 0; i < a->tools_n; i++) {
        const struct action_tool *tool = &a->tools[first ? a->tools_n - 1 - i : i];
        struct json_node *same = a->conflict != ACTION_BOTH ? same_tool(e, &clients, tool) : NULL;
        if (same == NULL)
            changed |= (first ? json_prepend(e, list, tool->raw)
                              : json_append(e, list, tool->raw)) != NULL;
        else if (a->conflict == ACTION_FILE)
            changed |= edit_replace(e, same, tool->raw);
    }
    return changed;
}

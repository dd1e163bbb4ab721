/* The ops on messages (Messages, Chat Completions) and items (Responses). */
#include "action_ops.h"

#include "edit.h"
#include "json.h"
#include "request_text.h"

/* ---- hoist_system ---- */

/* A list in `system` to append to; NULL when there can be none. */
static struct json_node *system_list(struct adapter_request *r)
{
    struct json_edit *e = r->edit;
    struct json_node *n = edit_member(e, S("system"));
    struct str raw = S("[]");
    if (edit_is_type(n, JSON_ARRAY))
        return n;
    if (!edit_absent(n) && !edit_is_type(n, JSON_STRING))
        return NULL;
    if (edit_is_type(n, JSON_STRING) && json_string(e, n).n > 0)
        raw = arena_printf(r->arena, "[" STR_FMT "]",
                           STR_ARG(edit_text_block(r->arena, json_raw(e, n), false)));
    return json_set(e, json_root(e), S("system"), raw);
}

static void hoist_content(struct adapter_request *r, struct json_node *list,
                          struct json_node *content)
{
    struct json_edit *e = r->edit;
    if (edit_is_type(content, JSON_STRING) && json_string(e, content).n > 0)
        (void)json_append(e, list, edit_text_block(r->arena, json_raw(e, content), false));
    if (!edit_is_type(content, JSON_ARRAY))
        return;
    for (struct json_node *b = json_first(e, content); b != NULL; b = json_next(b))
        if (edit_text(e, b, S("text")).n > 0)
            (void)json_append(e, list, json_raw(e, b));
}

bool op_hoist_system(const struct action *a, struct adapter_request *r)
{
    struct json_edit *e = r->edit;
    struct json_node *messages = request_turns(r), *list = NULL, *next;
    (void)a;
    for (struct json_node *m = json_first(e, messages); m != NULL; m = next) {
        next = json_next(m);
        if (!request_role_is_system(e, m))
            continue;
        if (list == NULL && (list = system_list(r)) == NULL)
            return false;
        hoist_content(r, list, json_find(e, m, S("content")));
        json_remove(e, m);
    }
    return list != NULL;
}

/* ---- drop_messages, map_roles ---- */

/* The whole content is text, and it is that one. */
static bool whole_text_is(struct adapter_request *r, struct json_node *content, struct str text)
{
    struct json_edit *e = r->edit;
    if (!edit_is_type(content, JSON_ARRAY))
        return edit_is_text(e, content, text);
    for (struct json_node *b = json_first(e, content); b != NULL; b = json_next(b)) {
        struct str part = edit_text(e, b, S("text"));
        if (!str_eq(edit_text(e, b, S("type")), S("text")) || !str_starts(text, part))
            return false;
        text = str_slice(text, part.n, text.n);
    }
    return text.n == 0;
}

bool op_drop_messages(const struct action *a, struct adapter_request *r)
{
    struct json_edit *e = r->edit;
    bool changed = false;
    struct json_node *next;
    for (struct json_node *m = json_first(e, request_turns(r)); m != NULL; m = next) {
        next = json_next(m);
        if (!str_eq(edit_text(e, m, S("role")), a->role) ||
            !edit_absent(json_find(e, m, S("tool_calls"))) || /* more than a text */
            !whole_text_is(r, json_find(e, m, S("content")), a->equals))
            continue;
        json_remove(e, m);
        changed = true;
    }
    return changed;
}

static bool map_role(const struct action *a, struct adapter_request *r, struct json_node *role)
{
    struct str name = json_string(r->edit, role);
    for (size_t i = 0; i < a->map_n; i++)
        if (str_eq(a->map[i].from, name))
            return !str_eq(a->map[i].to, name) &&
                   edit_replace(r->edit, role, json_quote(r->arena, a->map[i].to));
    return false;
}

bool op_map_roles(const struct action *a, struct adapter_request *r)
{
    bool changed = false;
    struct json_node *turns = request_turns(r);
    for (struct json_node *m = json_first(r->edit, turns); m != NULL; m = json_next(m)) {
        struct json_node *role = json_find(r->edit, m, S("role"));
        changed |= edit_is_type(role, JSON_STRING) && map_role(a, r, role);
    }
    return changed;
}

/* ---- normalize_input ---- */

static struct str text_blocks(struct arena *a, struct str raw_string, bool output)
{
    return arena_printf(a, "[{\"type\":\"%s\",\"text\":" STR_FMT "}]",
                        output ? "output_text" : "input_text", STR_ARG(raw_string));
}

static struct str user_item(struct arena *a, struct str raw_string)
{
    return arena_printf(a, "{\"type\":\"message\",\"role\":\"user\",\"content\":" STR_FMT "}",
                        STR_ARG(text_blocks(a, raw_string, false)));
}

static bool normalize_item(struct adapter_request *r, struct json_node *item)
{
    struct json_edit *e = r->edit;
    bool changed = false;
    if (json_type(item) == JSON_STRING)
        return edit_replace(e, item, user_item(r->arena, json_raw(e, item)));
    struct json_node *type = json_find(e, item, S("type"));
    struct json_node *role = json_find(e, item, S("role"));
    if (type == NULL && role != NULL)
        changed = json_prepend_member(e, item, S("type"), S("\"message\"")) != NULL;
    else if (!edit_is_text(e, type, S("message")))
        return false;
    struct json_node *content = json_find(e, item, S("content"));
    if (!edit_is_type(content, JSON_STRING))
        return changed;
    bool output = edit_is_text(e, role, S("assistant"));
    return edit_replace(e, content, text_blocks(r->arena, json_raw(e, content), output));
}

bool op_normalize_input(const struct action *a, struct adapter_request *r)
{
    struct json_edit *e = r->edit;
    struct json_node *input = edit_member(e, S("input"));
    bool changed = false;
    (void)a;
    if (edit_is_type(input, JSON_STRING))
        return edit_replace(e, input,
                            arena_printf(r->arena, "[" STR_FMT "]",
                                         STR_ARG(user_item(r->arena, json_raw(e, input)))));
    for (struct json_node *i = json_first(e, request_turns(r)); i != NULL; i = json_next(i))
        changed |= normalize_item(r, i);
    return changed;
}

/* ---- environment_context ---- */

static struct str xml_escaped(struct arena *a, struct str s)
{
    struct str out = S("");
    for (size_t i = 0; i < s.n; i++) {
        struct str c = str_slice(s, i, i + 1);
        if (c.p[0] == '&')
            c = S("&amp;");
        else if (c.p[0] == '<')
            c = S("&lt;");
        else if (c.p[0] == '>')
            c = S("&gt;");
        else if (c.p[0] == '"')
            c = S("&quot;");
        out = arena_cat(a, out, c);
    }
    return out;
}

struct str op_environment_item(const struct config *c, struct arena *scratch, struct arena *keep)
{
    const struct {
        const char *tag;
        struct str value;
    } lines[] = {
        { "cwd", c->codex_env_cwd },
        { "approval_policy", c->codex_env_approval_policy },
        { "sandbox_mode", c->codex_env_sandbox_mode },
        { "network_access", c->codex_env_network_access },
        { "shell", c->codex_env_shell },
    };
    if (!str_eq_nocase(c->codex_env_context, S("on")))
        return S("");
    struct str text = S("<environment_context>\n");
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct str value = xml_escaped(scratch, str_slice(lines[i].value, 0, 4096));
        text = arena_printf(scratch, STR_FMT "  <%s>" STR_FMT "</%s>\n", STR_ARG(text),
                            lines[i].tag, STR_ARG(value), lines[i].tag);
    }
    text = arena_cat(scratch, text, S("</environment_context>"));
    return arena_str(keep, user_item(scratch, json_quote(scratch, text)));
}

static bool has_context(struct json_edit *e, struct json_node *item)
{
    struct str tag = S("<environment_context>");
    struct json_node *content = json_find(e, item, S("content"));
    if (json_type(item) == JSON_STRING)
        return str_contains(json_string(e, item), tag);
    if (edit_is_type(content, JSON_STRING))
        return str_contains(json_string(e, content), tag);
    for (struct json_node *b = json_first(e, content); b != NULL; b = json_next(b))
        if (json_type(b) == JSON_OBJECT && str_contains(edit_text(e, b, S("text")), tag))
            return true;
    return false;
}

bool op_environment_context(const struct action *a, struct adapter_request *r)
{
    struct json_edit *e = r->edit;
    struct json_node *input = edit_member(e, S("input"));
    if (a->raw.n == 0 || input == NULL)
        return false;
    if (json_type(input) == JSON_STRING)
        return !has_context(e, input) &&
               edit_replace(e, input,
                            arena_printf(r->arena, "[" STR_FMT "," STR_FMT "]", STR_ARG(a->raw),
                                         STR_ARG(user_item(r->arena, json_raw(e, input)))));
    if (json_type(input) != JSON_ARRAY)
        return false;
    for (struct json_node *i = json_first(e, input); i != NULL; i = json_next(i))
        if (has_context(e, i))
            return false;
    return json_prepend(e, input, a->raw) != NULL;
}

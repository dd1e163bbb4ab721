#include "request_text.h"

enum { CONVERSATION_PART_MAX = 1024 };

/* A string, or the first text of a list of blocks. */
static struct str first_text(struct json_edit *e, struct json_node *content)
{
    if (content == NULL || json_type(content) != JSON_ARRAY)
        return content != NULL ? json_string(e, content) : S("");
    for (struct json_node *b = json_first(e, content); b != NULL; b = json_next(b)) {
        struct json_node *text = json_find(e, b, S("text"));
        if (text != NULL && json_type(text) == JSON_STRING)
            return json_string(e, text);
    }
    return S("");
}

static struct str role_of(struct json_edit *e, struct json_node *message)
{
    struct json_node *role = json_find(e, message, S("role"));
    return role != NULL ? json_string(e, role) : S("");
}

bool request_role_is_system(struct json_edit *e, struct json_node *message)
{
    struct str role = role_of(e, message);
    return str_eq(role, S("system")) || str_eq(role, S("developer"));
}

struct json_node *request_turns(struct adapter_request *r)
{
    struct str name = r->protocol == PROTOCOL_RESPONSES ? S("input") : S("messages");
    struct json_node *n = json_find(r->edit, json_root(r->edit), name);
    return n != NULL && json_type(n) == JSON_ARRAY ? n : NULL;
}

static struct str first_of(struct adapter_request *r, bool system)
{
    struct json_node *turns = request_turns(r);
    for (struct json_node *m = json_first(r->edit, turns); m != NULL; m = json_next(m)) {
        bool hit =
            system ? request_role_is_system(r->edit, m) : str_eq(role_of(r->edit, m), S("user"));
        if (hit)
            return first_text(r->edit, json_find(r->edit, m, S("content")));
    }
    return S("");
}

struct str request_system_text(struct adapter_request *r)
{
    struct str text = S("");
    if (r->edit == NULL)
        return text;
    struct json_node *root = json_root(r->edit);
    if (r->protocol == PROTOCOL_MESSAGES)
        return first_text(r->edit, json_find(r->edit, root, S("system")));
    if (r->protocol == PROTOCOL_RESPONSES)
        text = first_text(r->edit, json_find(r->edit, root, S("instructions")));
    return text.n > 0 ? text : first_of(r, true);
}

static struct str first_user_text(struct adapter_request *r)
{
    struct json_node *input = json_find(r->edit, json_root(r->edit), S("input"));
    if (r->protocol == PROTOCOL_RESPONSES && input != NULL && json_type(input) == JSON_STRING)
        return json_string(r->edit, input);
    return first_of(r, false);
}

struct str request_conversation(struct adapter_request *r)
{
    static const struct str names[] = { S_INIT("x-claude-code-session-id"), S_INIT("session_id"),
                                        S_INIT("x-opencode-session"),
                                        S_INIT("x-openwebui-chat-id") };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct str *value = http_find(r->headers, names[i]);
        if (value != NULL && value->n > 0)
            return *value;
    }
    struct str system = str_slice(request_system_text(r), 0, CONVERSATION_PART_MAX);
    struct str user = r->edit != NULL ? first_user_text(r) : S("");
    user = str_slice(user, 0, CONVERSATION_PART_MAX);
    return arena_cat(r->arena, arena_cat(r->arena, system, S("\n")), user);
}

/* The operator's prompt, in each protocol's place for it. */
#include "action_ops.h"

#include "edit.h"
#include "json.h"
#include "request_text.h"

enum { CACHE_MARKS_MAX = 4 }; /* of the Messages API */

/* A string, or a list of blocks of which one holds exactly that text. */
static bool holds(struct json_edit *e, struct json_node *content, struct str text)
{
    if (edit_is_text(e, content, text))
        return true;
    for (struct json_node *b = json_first(e, content); b != NULL; b = json_next(b))
        if (json_type(b) == JSON_OBJECT && edit_is_text(e, json_find(e, b, S("text")), text))
            return true;
    return false;
}

/* "[x,y]" in the order of the mode. */
static struct str pair(struct arena *a, int mode, struct str operators, struct str clients)
{
    bool first = mode == ACTION_PREPEND;
    return arena_join(a, S("["), first ? operators : clients, S(","), first ? clients : operators,
                      S("]"));
}

static bool system_messages(const struct action *a, struct adapter_request *r)
{
    struct json_edit *e = r->edit;
    struct json_node *system = edit_member(e, S("system"));
    bool string = edit_is_type(system, JSON_STRING), list = edit_is_type(system, JSON_ARRAY);
    if ((!string && !list && !edit_absent(system)) || (a->once && holds(e, system, a->text)))
        return false;

    /* a fifth mark would make the upstream refuse the request */
    bool cache = a->cache && op_cache_marks(r) < CACHE_MARKS_MAX;
    struct str block = edit_text_block(r->arena, json_quote(r->arena, a->text), cache);
    struct str alone = arena_join(r->arena, S("["), block, S("]"));
    bool empty = edit_absent(system) || (string && json_string(e, system).n == 0);
    if (empty || a->mode == ACTION_REPLACE)
        return json_set(e, json_root(e), S("system"), alone) != NULL;
    if (list)
        return (a->mode == ACTION_PREPEND ? json_prepend(e, system, block)
                                          : json_append(e, system, block)) != NULL;
    struct str clients = edit_text_block(r->arena, json_raw(e, system), false);
    return edit_replace(e, system, pair(r->arena, a->mode, block, clients));
}

static struct str joined(const struct action *a, struct arena *arena, struct str old)
{
    if (old.n == 0 || a->mode == ACTION_REPLACE)
        return a->text;
    bool first = a->mode == ACTION_PREPEND;
    return arena_join(arena, first ? a->text : old, S("\n\n"), first ? old : a->text);
}

static bool system_responses(const struct action *a, struct adapter_request *r)
{
    struct json_edit *e = r->edit;
    struct json_node *n = edit_member(e, S("instructions"));
    if (!edit_absent(n) && !edit_is_type(n, JSON_STRING))
        return false;
    struct str old = edit_absent(n) ? S("") : json_string(e, n);
    if (str_eq(old, a->text))
        return false;
    struct str raw = json_quote(r->arena, joined(a, r->arena, old));
    return json_set(e, json_root(e), S("instructions"), raw) != NULL;
}

/* To the end of the last of the system messages that open the conversation. */
static bool append_chat(const struct action *a, struct adapter_request *r, struct json_node *last)
{
    struct json_edit *e = r->edit;
    struct json_node *content = json_find(e, last, S("content"));
    struct str raw = json_quote(r->arena, a->text);
    if (edit_is_type(content, JSON_ARRAY))
        return json_append(e, content, edit_text_block(r->arena, raw, false)) != NULL;
    if (edit_is_type(content, JSON_STRING))
        raw = json_quote(r->arena, joined(a, r->arena, json_string(e, content)));
    return json_set(e, last, S("content"), raw) != NULL;
}

static bool system_chat(const struct action *a, struct adapter_request *r)
{
    struct json_edit *e = r->edit;
    struct json_node *messages = request_turns(r), *last = NULL;
    bool leading = true;
    if (messages == NULL)
        return false;
    for (struct json_node *m = json_first(e, messages); m != NULL; m = json_next(m)) {
        bool system = request_role_is_system(e, m);
        if (system && a->once && holds(e, json_find(e, m, S("content")), a->text))
            return false;
        leading = leading && system;
        last = leading ? m : last;
    }
    if (a->mode == ACTION_APPEND && last != NULL)
        return append_chat(a, r, last);
    for (struct json_node *m = json_first(e, messages), *next; m != NULL; m = next) {
        next = json_next(m);
        if (a->mode == ACTION_REPLACE && request_role_is_system(e, m))
            json_remove(e, m);
    }
    struct str message = arena_join(r->arena, S("{\"role\":\"system\",\"content\":"),
                                    json_quote(r->arena, a->text), S("}"));
    return json_prepend(e, messages, message) != NULL;
}

bool op_system(const struct action *a, struct adapter_request *r)
{
    if (str_trim(a->text).n == 0)
        return false;
    switch (r->protocol) {
    case PROTOCOL_MESSAGES:
        return system_messages(a, r);
    case PROTOCOL_RESPONSES:
        return system_responses(a, r);
    default:
        return system_chat(a, r);
    }
}

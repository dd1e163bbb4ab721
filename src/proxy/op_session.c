/* Fills a session identifier that the client left out. */
#include "action_ops.h"

#include "edit.h"
#include "json.h"
#include "session.h"

static struct session_key key_of(const struct action *a, const struct adapter_request *r)
{
    static const int64_t windows[] = { 3600, 12 * 3600, 24 * 3600, 7 * 24 * 3600 };
    must((size_t)a->window < ARRAY_LEN(windows));
    return (struct session_key){
        .secret = r->session_secret,
        .adapter = a->adapter,
        .scope = (enum session_scope)a->scope,
        .window_s = windows[a->window],
        .unix_s = r->unix_s,
        .credential = r->credential,
        .conversation = r->conversation,
    };
}

static bool is_unset(struct json_edit *e, struct json_node *n)
{
    return edit_absent(n) || edit_is_text(e, n, S(""));
}

static bool fill_user_id(struct adapter_request *r, const struct session_key *k)
{
    struct json_edit *e = r->edit;
    struct json_node *metadata = edit_member(e, S("metadata"));
    if (!edit_absent(metadata) &&
        (json_type(metadata) != JSON_OBJECT || !is_unset(e, json_find(e, metadata, S("user_id")))))
        return false;
    struct str id = json_quote(r->arena, session_user_id(r->arena, k));
    if (!edit_absent(metadata))
        return json_set(e, metadata, S("user_id"), id) != NULL;
    struct str raw = arena_join(r->arena, S("{\"user_id\":"), id, S("}"));
    return json_set(e, json_root(e), S("metadata"), raw) != NULL;
}

static bool fill_cache_key(struct adapter_request *r, const struct session_key *k)
{
    struct json_edit *e = r->edit;
    if (!is_unset(e, edit_member(e, S("prompt_cache_key"))))
        return false;
    struct str id = json_quote(r->arena, session_uuid(r->arena, k));
    return json_set(e, json_root(e), S("prompt_cache_key"), id) != NULL;
}

bool op_session(const struct action *a, struct adapter_request *r)
{
    struct session_key k = key_of(a, r);
    if (a->target == ACTION_USER_ID)
        return r->protocol == PROTOCOL_MESSAGES && fill_user_id(r, &k);
    return r->protocol == PROTOCOL_RESPONSES && fill_cache_key(r, &k);
}

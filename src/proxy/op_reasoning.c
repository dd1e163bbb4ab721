/* Reasoning: the Responses API's members, and vendors' spellings in chat bodies. */
#include "action_ops.h"

#include "edit.h"
#include "json.h"

/* ---- reasoning_defaults ---- */

static bool include_encrypted(struct json_edit *e)
{
    struct str value = S("reasoning.encrypted_content");
    struct str raw = S("\"reasoning.encrypted_content\"");
    struct json_node *include = edit_member(e, S("include"));
    if (edit_absent(include))
        return json_set(e, json_root(e), S("include"), S("[\"reasoning.encrypted_content\"]")) !=
               NULL;
    if (json_type(include) != JSON_ARRAY)
        return false;
    for (struct json_node *n = json_first(e, include); n != NULL; n = json_next(n))
        if (edit_is_text(e, n, value))
            return false;
    return json_append(e, include, raw) != NULL;
}

bool op_reasoning_defaults(const struct action *a, struct adapter_request *r)
{
    struct json_edit *e = r->edit;
    struct json_node *reasoning = edit_member(e, S("reasoning"));
    struct json_node *store = edit_member(e, S("store"));
    bool changed = false;
    if (!edit_is_type(reasoning, JSON_OBJECT))
        return false;
    if (a->summary.n > 0 && json_find(e, reasoning, S("summary")) == NULL)
        changed = json_set(e, reasoning, S("summary"), json_quote(r->arena, a->summary)) != NULL;
    if (a->include_encrypted && edit_is_type(store, JSON_BOOL) && !json_is_true(store))
        changed |= include_encrypted(e);
    return changed;
}

/* ---- lift_reasoning ---- */

static const struct str vendor_members[] = {
    S_INIT("thinking"),           S_INIT("enable_thinking"),   S_INIT("thinking_budget"),
    S_INIT("enable_reasoning"),   S_INIT("disable_reasoning"), S_INIT("chat_template_kwargs"),
    S_INIT("incremental_output"), S_INIT("reasoning"),         S_INIT("extra_body"),
};

static bool is_false(struct json_edit *e, struct str pointer)
{
    struct json_node *n = json_at(e, pointer);
    return edit_is_type(n, JSON_BOOL) && !json_is_true(n);
}

static bool is_off(struct json_edit *e)
{
    struct json_node *disable = json_at(e, S("/disable_reasoning"));
    return is_false(e, S("/enable_thinking")) || is_false(e, S("/enable_reasoning")) ||
           (disable != NULL && json_is_true(disable)) ||
           edit_is_text(e, json_at(e, S("/thinking/type")), S("disabled"));
}

/* The first effort that is named; "off" words come out empty. */
static bool named_effort(struct json_edit *e, struct str *ret_effort)
{
    static const struct str places[] = { S_INIT("/reasoning/effort"),
                                         S_INIT("/extra_body/reasoning_effort") };
    static const struct str off[] = { S_INIT("off"), S_INIT("none"), S_INIT("disabled") };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct json_node *n = json_at(e, places[i]);
        if (!edit_is_type(n, JSON_STRING))
            continue;
        *ret_effort = json_string(e, n);
        for (size_t k = 0; k < ARRAY_LEN(off); k++)
            if (str_eq(*ret_effort, off[k]))
                *ret_effort = S("");
        return true;
    }
    return false;
}

static struct str effort_of_budget(struct json_edit *e)
{
    static const struct str places[] = {
        S_INIT("/thinking/budget_tokens"), S_INIT("/thinking_budget"),
        S_INIT("/reasoning/max_tokens"), S_INIT("/extra_body/thinking_budget"),
        S_INIT("/extra_body/google/thinking_config/thinking_budget")
    };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct json_node *n = json_at(e, places[i]);
        double x;
        if (n == NULL || !json_number(n, &x))
            continue;
        if (x < 1)
            return S("");
        return x < 4096 ? S("low") : x < 16384 ? S("medium") : S("high");
    }
    return S("");
}

bool op_lift_reasoning(const struct action *a, struct adapter_request *r)
{
    struct json_edit *e = r->edit;
    struct str effort = S("");
    bool changed = false;
    (void)a;
    if (edit_member(e, S("reasoning_effort")) == NULL && !named_effort(e, &effort) && !is_off(e))
        effort = effort_of_budget(e);
    for (size_t i = 0; i < ARRAY_LEN(vendor_members); i++)
        changed |= edit_remove_named(e, json_root(e), vendor_members[i]);
    if (effort.n > 0)
        changed |=
            json_set(e, json_root(e), S("reasoning_effort"), json_quote(r->arena, effort)) != NULL;
    return changed;
}

/* The Messages API's own rules: extended thinking and cache breakpoints. */
#include "action_ops.h"

#include "edit.h"
#include "json.h"
#include "json_scan.h"
#include "request_text.h"

enum { BUDGET_MIN = 1024, CACHE_MARKS_MAX = 4 };

/* ---- normalize_thinking ---- */

/* {"enabled":...} as some applications write it. */
static bool repair_enabled(struct json_edit *e, struct json_node *thinking)
{
    struct json_node *flag = json_find(e, thinking, S("enabled"));
    if (!edit_is_type(flag, JSON_BOOL) || json_find(e, thinking, S("type")) != NULL)
        return false;
    bool on = json_is_true(flag);
    json_rename(e, flag, S("type"));
    json_replace(e, flag, on ? S("\"enabled\"") : S("\"disabled\""));
    (void)edit_remove_named(e, thinking, S("enabled"));
    if (!on)
        (void)edit_remove_named(e, thinking, S("budget_tokens"));
    return true;
}

/* The largest integer below x; of numbers without room for a budget, 0. */
static double below(double x)
{
    if (x <= BUDGET_MIN)
        return 0;
    if (x > 9e15) /* beyond, doubles are integers far apart */
        return x;
    double whole = (double)(int64_t)x;
    return whole < x ? whole : whole - 1;
}

/* The budget, made at least BUDGET_MIN and below max_tokens; thinking goes when
 * there is no room for both. */
static bool repair_budget(struct adapter_request *r, struct json_node *thinking)
{
    struct json_edit *e = r->edit;
    struct json_node *n = json_find(e, thinking, S("budget_tokens"));
    struct json_node *max = edit_member(e, S("max_tokens"));
    double budget = 0, limit = 0;
    bool ok = n != NULL && json_number(n, &budget) && budget >= BUDGET_MIN;
    if (!ok)
        budget = BUDGET_MIN;
    if (max != NULL && json_number(max, &limit) && budget >= limit) {
        budget = below(limit);
        ok = false;
    }
    if (ok)
        return false;
    if (budget < BUDGET_MIN)
        return edit_remove_named(e, json_root(e), S("thinking"));
    return json_set(e, thinking, S("budget_tokens"), arena_printf(r->arena, "%.0f", budget)) !=
           NULL;
}

/* Sampling members that the API refuses beside thinking. */
static bool repair_sampling(struct json_edit *e)
{
    struct json_node *root = json_root(e);
    struct json_node *temperature = edit_member(e, S("temperature"));
    struct json_node *top_p = edit_member(e, S("top_p"));
    double x;
    bool changed = edit_remove_named(e, root, S("top_k"));
    if (temperature != NULL && !(json_number(temperature, &x) && x == 1))
        changed |= edit_remove_named(e, root, S("temperature"));
    if (top_p != NULL && json_number(top_p, &x) && x < 0.95)
        changed |= edit_remove_named(e, root, S("top_p"));
    return changed;
}

bool op_normalize_thinking(const struct action *a, struct adapter_request *r)
{
    struct json_edit *e = r->edit;
    struct json_node *thinking = edit_member(e, S("thinking"));
    (void)a;
    if (!edit_is_type(thinking, JSON_OBJECT))
        return false;
    bool changed = repair_enabled(e, thinking);
    if (str_eq(edit_text(e, thinking, S("type")), S("enabled")))
        changed |= repair_budget(r, thinking);
    struct str type = edit_text(e, edit_member(e, S("thinking")), S("type"));
    if (str_eq(type, S("enabled")) || str_eq(type, S("adaptive")))
        changed |= repair_sampling(e);
    return changed;
}

/* ---- cache_control_last ---- */

static size_t marks_in(struct json_edit *e, struct json_node *list, int depth)
{
    struct json_walk w;
    struct json_node *b;
    size_t n = 0;
    json_walk_begin(&w, e, list);
    while ((b = json_walk_next(&w)) != NULL) {
        n += !edit_absent(json_find(e, b, S("cache_control")));
        if (depth > 0) /* a message's blocks, a tool result's blocks */
            n += marks_in(e, json_find(e, b, S("content")), depth - 1);
    }
    json_walk_done(&w);
    return n;
}

/* Most bodies have none, which is seen without a node for each of their values. */
static size_t marks_below(struct json_edit *e, struct json_node *list, int depth)
{
    return json_has_name(json_raw(e, list), S("cache_control")) ? marks_in(e, list, depth) : 0;
}

static size_t message_marks(struct adapter_request *r)
{
    return marks_below(r->edit, request_turns(r), 2);
}

static size_t prefix_marks(struct adapter_request *r)
{
    return marks_below(r->edit, edit_member(r->edit, S("tools")), 0) +
           marks_below(r->edit, edit_member(r->edit, S("system")), 0);
}

size_t op_cache_marks(struct adapter_request *r)
{
    return prefix_marks(r) + message_marks(r);
}

static bool is_eligible(struct json_edit *e, struct json_node *block)
{
    struct str type = edit_text(e, block, S("type"));
    if (!edit_is_type(block, JSON_OBJECT) || str_eq(type, S("thinking")) ||
        str_eq(type, S("redacted_thinking")))
        return false;
    return !str_eq(type, S("text")) || edit_text(e, block, S("text")).n > 0;
}

bool op_cache_control_last(const struct action *a, struct adapter_request *r)
{
    struct json_edit *e = r->edit;
    if (prefix_marks(r) >= CACHE_MARKS_MAX || message_marks(r) > 0)
        return false;
    struct json_node *message = json_last(e, request_turns(r));
    struct json_node *content = message != NULL ? json_find(e, message, S("content")) : NULL;
    if (content == NULL)
        return false;
    struct str mark = S("{\"type\":\"ephemeral\"}");
    if (a->ttl.n > 0)
        mark = arena_join(r->arena, S("{\"type\":\"ephemeral\",\"ttl\":"),
                          json_quote(r->arena, a->ttl), S("}"));
    struct str text = json_raw(e, content);
    if (json_type(content) == JSON_STRING && !str_eq(text, S("\"\""))) {
        json_replace(e, content, S("[{\"type\":\"text\"}]"));
        json_add_kept(e, json_first(e, content), S("text"), text); /* it may be most of the body */
        return json_set(e, json_first(e, content), S("cache_control"), mark) != NULL;
    }
    struct json_node *block = json_last(e, content);
    if (json_type(content) != JSON_ARRAY || !is_eligible(e, block))
        return false;
    return json_set(e, block, S("cache_control"), mark) != NULL;
}

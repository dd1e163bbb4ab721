/* The ops that write, delete and repair members by their path. */
#include "action_ops.h"

#include "edit.h"
#include "json.h"

/* ---- set ---- */

/* The value inside objects for the tokens that are missing; p NULL when one of them
 * can only name an array's element. */
static struct str nested(const struct action *a, struct adapter_request *r, size_t from)
{
    struct str raw = a->raw;
    for (size_t i = a->path.n; i-- > from;) {
        struct str token = a->path.tokens[i];
        if (str_eq(token, S("*")) || str_eq(token, S("-")) || pointer_is_index(token))
            return (struct str){ NULL, 0 };
        raw = arena_printf(r->arena, "{" STR_FMT ":" STR_FMT "}",
                           STR_ARG(json_quote(r->arena, token)), STR_ARG(raw));
    }
    return raw;
}

static bool set_missing(const struct action *a, struct adapter_request *r, struct json_node *object,
                        size_t i)
{
    struct str raw = nested(a, r, i + 1);
    if (a->if_ == ACTION_PRESENT || raw.p == NULL)
        return false;
    return json_set(r->edit, object, a->path.tokens[i], raw) != NULL;
}

static bool set_existing(const struct action *a, struct adapter_request *r, struct json_node *n)
{
    if (a->if_ == ACTION_ABSENT || (a->if_ == ACTION_ABSENT_OR_NULL && !edit_absent(n)))
        return false;
    if (json_equal(json_raw(r->edit, n), a->raw, true))
        return false;
    return edit_replace(r->edit, n, a->raw);
}

/* Recursion by tokens of the path. */
static bool set_at(const struct action *a, struct adapter_request *r, struct json_node *n, size_t i)
{
    if (i == a->path.n)
        return set_existing(a, r, n);
    struct str token = a->path.tokens[i];
    if (json_type(n) == JSON_OBJECT) {
        struct json_node *child = json_find(r->edit, n, token);
        return child != NULL ? set_at(a, r, child, i + 1) : set_missing(a, r, n, i);
    }
    if (json_type(n) != JSON_ARRAY)
        return false;
    if (!str_eq(token, S("*"))) {
        struct json_node *item = pointer_element(r->edit, n, token);
        return item != NULL && set_at(a, r, item, i + 1);
    }
    bool changed = false;
    for (struct json_node *c = json_first(r->edit, n); c != NULL; c = json_next(c))
        changed |= set_at(a, r, c, i + 1);
    return changed;
}

bool op_set(const struct action *a, struct adapter_request *r)
{
    return set_at(a, r, json_root(r->edit), 0);
}

/* ---- remove, one_of, rename ---- */

static bool remove_node(struct json_edit *e, struct json_node *n, void *arg)
{
    struct json_node *parent = json_parent(n);
    (void)arg;
    if (json_type(parent) == JSON_OBJECT)
        return edit_remove_named(e, parent, json_name(e, n));
    json_remove(e, n);
    return true;
}

bool op_remove(const struct action *a, struct adapter_request *r)
{
    bool changed = false;
    for (size_t i = 0; i < a->paths_n; i++)
        changed |= pointer_each(r->edit, &a->paths[i], remove_node, NULL);
    return changed;
}

static bool not_null(struct json_edit *e, struct json_node *n, void *arg)
{
    (void)e, (void)arg;
    return json_type(n) != JSON_NULL;
}

bool op_one_of(const struct action *a, struct adapter_request *r)
{
    return pointer_any(r->edit, &a->path, not_null, NULL) && op_remove(a, r);
}

static bool rename_node(struct json_edit *e, struct json_node *n, void *arg)
{
    const struct action *a = arg;
    struct json_node *parent = json_parent(n);
    struct str to = pointer_name(&a->to);
    if (json_type(parent) != JSON_OBJECT)
        return false;
    struct str from = json_name(e, n);
    if (str_eq(from, to))
        return false;
    if (json_find(e, parent, to) == NULL)
        json_rename(e, n, to);
    (void)edit_remove_named(e, parent, from);
    return true;
}

bool op_rename(const struct action *a, struct adapter_request *r)
{
    struct action copy = *a; /* the callback's argument is not const */
    return pointer_each(r->edit, &a->path, rename_node, &copy);
}

/* ---- clamp, coerce_bool ---- */

static bool clamp_node(struct json_edit *e, struct json_node *n, void *arg)
{
    const struct action *a = arg;
    double x, bound;
    if (!json_number(n, &x))
        return false;
    if (a->min.n > 0 && str_to_double(a->min, &bound) == 0 && x < bound)
        return edit_replace(e, n, a->min);
    if (a->max.n > 0 && str_to_double(a->max, &bound) == 0 && x > bound)
        return edit_replace(e, n, a->max);
    return false;
}

bool op_clamp(const struct action *a, struct adapter_request *r)
{
    struct action copy = *a;
    return pointer_each(r->edit, &a->path, clamp_node, &copy);
}

static bool coerce_node(struct json_edit *e, struct json_node *n, void *arg)
{
    double x = -1;
    bool number = json_number(n, &x);
    struct str s = json_string(e, n);
    if (json_type(n) == JSON_NULL)
        return remove_node(e, n, arg);
    if (str_eq(s, S("true")) || str_eq(s, S("1")) || (number && x == 1))
        return edit_replace(e, n, S("true"));
    bool no =
        json_type(n) == JSON_STRING && (s.n == 0 || str_eq(s, S("false")) || str_eq(s, S("0")));
    return (no || (number && x == 0)) && edit_replace(e, n, S("false"));
}

bool op_coerce_bool(const struct action *a, struct adapter_request *r)
{
    return pointer_each(r->edit, &a->path, coerce_node, NULL);
}

/* ---- strip_keys ---- */

static bool in_list(const struct str_list *list, struct str s)
{
    for (size_t i = 0; i < list->n; i++)
        if (str_eq(list->v[i], s))
            return true;
    return false;
}

/* Members whose content is the application's own: schemas and arguments. */
static bool is_opaque(struct str name)
{
    static const struct str names[] = { S_INIT("input"), S_INIT("input_schema"),
                                        S_INIT("parameters"), S_INIT("arguments"),
                                        S_INIT("schema") };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

/* The node after n in a walk of top's inside that does not enter n. */
static struct json_node *after(struct json_node *n, struct json_node *top)
{
    while (n != top) {
        struct json_node *next = json_next(n);
        if (next != NULL)
            return next;
        n = json_parent(n);
    }
    return NULL;
}

/* ASCII that JSON may only spell as it is, or as \u00XX. */
static bool is_plain(struct str key)
{
    for (size_t i = 0; i < key.n; i++)
        if ((unsigned char)key.p[i] < ' ' || (unsigned char)key.p[i] > '~' || key.p[i] == '"' ||
            key.p[i] == '\\' || key.p[i] == '/')
            return false;
    return true;
}

/* False only when no member of that text can have such a name: most bodies need no walk,
 * which would make a node for each of their values. */
static bool may_hold(struct str raw, const struct str_list *keys)
{
    for (size_t i = 0; i < keys->n; i++)
        if (!is_plain(keys->v[i]) || str_contains(raw, keys->v[i]))
            return true;
    return str_contains(raw, S("\\u00"));
}

static bool strip_node(struct json_edit *e, struct json_node *top, void *arg)
{
    const struct str_list *keys = arg;
    bool changed = false;
    struct json_node *next;
    if (!may_hold(json_raw(e, top), keys))
        return false;
    for (struct json_node *n = json_first(e, top); n != NULL; n = next) {
        bool member = json_type(json_parent(n)) == JSON_OBJECT;
        struct str name = member ? json_name(e, n) : S("");
        bool gone = member && in_list(keys, name);
        struct json_node *child = gone || (member && is_opaque(name)) ? NULL : json_first(e, n);
        next = child != NULL ? child : after(n, top);
        if (gone)
            json_remove(e, n);
        changed |= gone;
    }
    return changed;
}

bool op_strip_keys(const struct action *a, struct adapter_request *r)
{
    struct str_list keys = a->drop;
    bool changed = false;
    for (size_t i = 0; i < a->paths_n; i++)
        changed |= pointer_each(r->edit, &a->paths[i], strip_node, &keys);
    return changed;
}

/* ---- model_map, force_stream ---- */

bool op_model_map(const struct action *a, struct adapter_request *r)
{
    struct json_node *n = edit_member(r->edit, S("model"));
    if (!edit_is_type(n, JSON_STRING))
        return false;
    struct str model = json_string(r->edit, n);
    for (size_t i = 0; i < a->map_n; i++) {
        if (!str_glob(a->map[i].from, model))
            continue;
        return !str_eq(a->map[i].to, model) &&
               edit_replace(r->edit, n, json_quote(r->arena, a->map[i].to));
    }
    return false;
}

bool op_force_stream(const struct action *a, struct adapter_request *r)
{
    struct json_node *n = edit_member(r->edit, S("stream"));
    (void)a;
    if (n != NULL && json_is_true(n))
        return false;
    r->force_stream = true;
    return json_set(r->edit, json_root(r->edit), S("stream"), S("true")) != NULL;
}

/*
 * Schemas are edited, not printed anew: what no rule names stays as it was.  Only where schemas
 * stand is looked for keywords: a property may be called "minimum", an enum may hold anything.
 */
#include "schema.h"

#include "json_edit.h"
#include "json_out.h"
#include "names.h"

#define EMPTY_OBJECT "{\"type\":\"object\",\"properties\":{}"

/* Pointers that lead to pointers; more is a loop or a joke. */
enum { REF_HOPS_MAX = 8 };

/* Branches of a root's unions that may be pointers: each costs a walk through the schema. */
enum { REF_BRANCHES_MAX = 128 };

/* ---- looking at a schema ---- */

/* A member that is null counts as absent. */
static struct json_node *member(struct json_edit *e, struct json_node *object, struct str name)
{
    struct json_node *n = json_find(e, object, name);
    return n == NULL || json_type(n) == JSON_NULL ? NULL : n;
}

static struct json_node *member_of_type(struct json_edit *e, struct json_node *object,
                                        struct str name, enum json_type type)
{
    struct json_node *n = member(e, object, name);
    return n == NULL || json_type(n) != type ? NULL : n;
}

/* All of that name, or an earlier one would count now. */
static void remove_member(struct json_edit *e, struct json_node *object, struct str name)
{
    for (struct json_node *m = json_first(e, object); m != NULL; m = json_next(m))
        if (str_eq(json_name(e, m), name))
            json_remove(e, m);
}

enum root_type { ROOT_UNTYPED, ROOT_OBJECT, ROOT_OBJECT_TOO /* among others */, ROOT_OTHER };

static enum root_type type_of(struct json_edit *e, struct json_node *schema)
{
    struct json_node *type = member(e, schema, S("type"));
    if (type == NULL)
        return ROOT_UNTYPED;
    if (json_type(type) == JSON_STRING)
        return str_eq(json_string(e, type), S("object")) ? ROOT_OBJECT : ROOT_OTHER;
    for (struct json_node *t = json_first(e, type); t != NULL; t = json_next(t))
        if (str_eq(json_string(e, t), S("object")))
            return ROOT_OBJECT_TOO;
    return ROOT_OTHER;
}

static bool is_object(struct json_edit *e, struct json_node *schema)
{
    enum root_type type = type_of(e, schema);
    return type == ROOT_OBJECT || type == ROOT_OBJECT_TOO ||
           (type == ROOT_UNTYPED && member(e, schema, S("properties")) != NULL);
}

/* What a {"$ref":"#/..."} points to; NULL when it is no such thing. */
static struct json_node *ref_target(struct json_edit *e, struct json_node *schema)
{
    struct str ref = json_string(e, member(e, schema, S("$ref")));
    if (!str_starts(ref, S("#/")))
        return NULL;
    struct json_node *n = json_at(e, str_slice(ref, 1, ref.n));
    return n == NULL || json_type(n) != JSON_OBJECT ? NULL : n;
}

/* ---- writing a new one ---- */

static void out_begin(struct json_out *o, struct buf *buf)
{
    buf_init(buf, SIZE_MAX);
    json_out_init(o, buf);
}

static struct str out_end(struct arena *a, struct buf *buf)
{
    struct str text = arena_str(a, buf_str(buf));
    must(!buf->overflow);
    buf_done(buf);
    return text;
}

static void out_members(struct json_out *o, struct json_edit *e, struct json_node *object,
                        struct names *seen)
{
    for (struct json_node *m = json_first(e, object); m != NULL; m = json_next(m))
        if (names_add(seen, json_name(e, m)))
            json_out_member_raw(o, json_name(e, m), json_raw(e, m));
}

/* Puts the target of the root's $ref in its place; what else stands at the root ($defs) stays. */
static bool inline_root_once(struct json_edit *e)
{
    struct json_node *root = json_root(e), *target = ref_target(e, root);
    if (target == NULL || target == root)
        return false;
    struct names seen;
    struct json_out o;
    struct buf buf;
    names_init(&seen, e->arena);
    out_begin(&o, &buf);
    json_out_object(&o);
    out_members(&o, e, target, &seen);
    remove_member(e, root, S("$ref"));
    out_members(&o, e, root, &seen);
    json_out_object_end(&o);
    json_edit_init(e, e->arena, out_end(e->arena, &buf));
    return true;
}

static void inline_root(struct json_edit *e)
{
    for (int i = 0; i < REF_HOPS_MAX && inline_root_once(e); i++)
        ;
    remove_member(e, json_root(e), S("$ref")); /* leads nowhere */
}

/* {"value":schema}.  Definitions move up with the pointers to them. */
static struct str wrap(struct json_edit *e, bool closed)
{
    static const struct str defs[] = { S_INIT("$defs"), S_INIT("definitions") };
    struct str moved[ARRAY_LEN(defs)] = { { 0 } };
    for (size_t i = 0; i < ARRAY_LEN(defs); i++) {
        moved[i] = json_raw(e, json_find(e, json_root(e), defs[i]));
        remove_member(e, json_root(e), defs[i]);
    }
    struct json_out o;
    struct buf buf;
    out_begin(&o, &buf);
    json_out_object(&o);
    json_out_member_str(&o, S("type"), S("object"));
    json_out_name(&o, S("properties"));
    json_out_object(&o);
    json_out_member_raw(&o, S("value"), json_edit_text(e));
    json_out_object_end(&o);
    json_out_member_raw(&o, S("required"), S("[\"value\"]"));
    if (closed)
        json_out_member_bool(&o, S("additionalProperties"), false);
    for (size_t i = 0; i < ARRAY_LEN(defs); i++)
        if (moved[i].n > 0)
            json_out_member_raw(&o, defs[i], moved[i]);
    json_out_object_end(&o);
    return out_end(e->arena, &buf);
}

/* ---- unions at the root ---- */

static const struct str unions[] = { S_INIT("anyOf"), S_INIT("oneOf"), S_INIT("allOf") };

static bool has_union(struct json_edit *e, struct json_node *schema)
{
    for (size_t i = 0; i < ARRAY_LEN(unions); i++)
        if (member(e, schema, unions[i]) != NULL)
            return true;
    return false;
}

static void merge_required(struct json_out *o, struct json_edit *e, struct json_node *schema,
                           struct names *seen)
{
    struct json_node *list = member_of_type(e, schema, S("required"), JSON_ARRAY);
    for (struct json_node *r = json_first(e, list); r != NULL; r = json_next(r))
        if (json_type(r) == JSON_STRING && names_add(seen, json_string(e, r)))
            json_out_str(o, json_string(e, r));
}

/* What has been gathered from the root and its branches so far. */
struct merge {
    struct json_out properties, required;
    struct names known, needed;
    struct names targets; /* that were merged; many pointers to one must not cost its size each */
    int refs_left;
};

/* The schema that a branch is or points to; NULL when there is nothing to merge. */
static struct json_node *branch_schema(struct json_edit *e, struct json_node *branch,
                                       struct merge *m)
{
    if (json_type(branch) != JSON_OBJECT)
        return NULL;
    if (member(e, branch, S("$ref")) != NULL) {
        struct json_node *target = m->refs_left-- > 0 ? ref_target(e, branch) : NULL;
        struct str key = { (const char *)&target, sizeof(target) };
        if (target == NULL || names_find(&m->targets, key) != NULL)
            return NULL;
        (void)names_add(&m->targets, arena_str(e->arena, key));
        branch = target;
    }
    return type_of(e, branch) == ROOT_OTHER ? NULL : branch;
}

static void merge_branches(struct json_edit *e, struct str keyword, struct merge *m)
{
    struct json_node *list = member_of_type(e, json_root(e), keyword, JSON_ARRAY);
    names_init(&m->targets, e->arena);
    for (struct json_node *b = json_first(e, list); b != NULL; b = json_next(b)) {
        struct json_node *branch = branch_schema(e, b, m);
        if (branch == NULL)
            continue;
        out_members(&m->properties, e, member_of_type(e, branch, S("properties"), JSON_OBJECT),
                    &m->known);
        if (str_eq(keyword, S("allOf")))
            merge_required(&m->required, e, branch, &m->needed);
    }
}

static void merge_unions(struct json_edit *e)
{
    struct json_node *root = json_root(e);
    struct merge m = { .refs_left = REF_BRANCHES_MAX };
    struct buf properties, required;
    if (!has_union(e, root))
        return;
    names_init(&m.known, e->arena);
    names_init(&m.needed, e->arena);
    out_begin(&m.properties, &properties);
    out_begin(&m.required, &required);
    json_out_object(&m.properties);
    json_out_array(&m.required);
    out_members(&m.properties, e, member_of_type(e, root, S("properties"), JSON_OBJECT), &m.known);
    merge_required(&m.required, e, root, &m.needed);
    for (size_t i = 0; i < ARRAY_LEN(unions); i++)
        merge_branches(e, unions[i], &m);
    json_out_object_end(&m.properties);
    json_out_array_end(&m.required);
    json_set(e, root, S("properties"), out_end(e->arena, &properties));
    struct str names = out_end(e->arena, &required);
    if (!str_eq(names, S("[]")) || json_find(e, root, S("required")) != NULL)
        json_set(e, root, S("required"), names);
    for (size_t i = 0; i < ARRAY_LEN(unions); i++)
        remove_member(e, root, unions[i]);
}

/* ---- all schemas inside a schema ---- */

/* Keywords with schemas in them: one, a list of them, or, as a map, one for each name. */
static const struct place {
    struct str name;
    bool map;
} places[] = {
    { S_INIT("properties"), true },
    { S_INIT("items"), false },
    { S_INIT("anyOf"), false },
    { S_INIT("oneOf"), false },
    { S_INIT("allOf"), false },
    { S_INIT("$defs"), true },
    { S_INIT("definitions"), true },
    { S_INIT("additionalProperties"), false },
    { S_INIT("patternProperties"), true },
    { S_INIT("dependentSchemas"), true },
    { S_INIT("prefixItems"), false },
    { S_INIT("additionalItems"), false },
    { S_INIT("contains"), false },
    { S_INIT("propertyNames"), false },
    { S_INIT("unevaluatedItems"), false },
    { S_INIT("unevaluatedProperties"), false },
    { S_INIT("not"), false },
    { S_INIT("if"), false },
    { S_INIT("then"), false },
    { S_INIT("else"), false },
};

struct todo {
    struct todo *below;
    struct json_node *schema;
};

static void push(struct json_edit *e, struct todo **stack, struct json_node *n)
{
    if (json_type(n) != JSON_OBJECT)
        return;
    struct todo *t = arena_new(e->arena, struct todo, 1);
    *t = (struct todo){ *stack, n };
    *stack = t;
}

static void push_inside(struct json_edit *e, struct todo **stack, struct json_node *schema)
{
    for (struct json_node *m = json_first(e, schema); m != NULL; m = json_next(m)) {
        enum json_type type = json_type(m);
        if (type != JSON_OBJECT && type != JSON_ARRAY)
            continue;
        struct str name = json_name(e, m);
        for (size_t i = 0; i < ARRAY_LEN(places); i++) {
            if (!str_eq(places[i].name, name))
                continue;
            if (type == JSON_OBJECT && !places[i].map)
                push(e, stack, m);
            else if ((type == JSON_OBJECT) == places[i].map)
                for (struct json_node *s = json_first(e, m); s != NULL; s = json_next(s))
                    push(e, stack, s);
            break;
        }
    }
}

/* Visits every schema, the outer ones first, until visit() says false.  Depth is the input's, so
 * no recursion. */
static bool walk(struct json_edit *e, bool (*visit)(struct json_edit *, struct json_node *))
{
    struct todo *stack = NULL;
    push(e, &stack, json_root(e));
    while (stack != NULL) {
        struct json_node *schema = stack->schema;
        stack = stack->below;
        if (!visit(e, schema))
            return false;
        push_inside(e, &stack, schema);
    }
    return true;
}

/* ---- parameters of tools ---- */

/* False: no object, so nothing to keep. */
static bool open_object(struct json_edit *e, struct arena *a, struct str schema)
{
    schema = json_compact(a, str_trim(schema));
    json_edit_init(e, a, schema.n > 0 ? schema : S("null"));
    if (json_type(json_root(e)) != JSON_OBJECT)
        return false;
    remove_member(e, json_root(e), S("$schema"));
    return true;
}

static void set_object(struct json_edit *e)
{
    struct json_node *root = json_root(e);
    enum root_type type = type_of(e, root);
    if (type == ROOT_UNTYPED) {
        remove_member(e, root, S("type")); /* null */
        json_prepend_member(e, root, S("type"), S("\"object\""));
    } else if (type != ROOT_OBJECT) {
        json_set(e, root, S("type"), S("\"object\""));
    }
    if (member_of_type(e, root, S("properties"), JSON_OBJECT) == NULL)
        json_set(e, root, S("properties"), S("{}"));
}

struct str schema_for_messages(struct arena *a, struct str schema, bool *ret_wrapped)
{
    struct json_edit e;
    *ret_wrapped = false;
    if (!open_object(&e, a, schema))
        return S(EMPTY_OBJECT "}");
    inline_root(&e);
    if (type_of(&e, json_root(&e)) == ROOT_OTHER) {
        *ret_wrapped = true;
        return wrap(&e, false);
    }
    merge_unions(&e);
    set_object(&e);
    return json_edit_text(&e);
}

static bool add_properties(struct json_edit *e, struct json_node *schema)
{
    if (type_of(e, schema) == ROOT_OBJECT && member(e, schema, S("properties")) == NULL)
        json_set(e, schema, S("properties"), S("{}"));
    return true;
}

struct str schema_for_openai(struct arena *a, struct str schema)
{
    struct json_edit e;
    if (!open_object(&e, a, schema))
        return S(EMPTY_OBJECT "}");
    /* A root that is no object, or stands elsewhere, is the client's business. */
    if (type_of(&e, json_root(&e)) != ROOT_OTHER && member(&e, json_root(&e), S("$ref")) == NULL)
        set_object(&e);
    walk(&e, add_properties);
    return json_edit_text(&e);
}

/* ---- structured output ---- */

static const struct str not_taken[] = {
    S_INIT("minimum"),
    S_INIT("maximum"),
    S_INIT("exclusiveMinimum"),
    S_INIT("exclusiveMaximum"),
    S_INIT("multipleOf"),
    S_INIT("minLength"),
    S_INIT("maxLength"),
    S_INIT("pattern"),
    S_INIT("maxItems"),
    S_INIT("uniqueItems"),
    S_INIT("minProperties"),
    S_INIT("maxProperties"),
    S_INIT("not"),
    S_INIT("if"),
    S_INIT("then"),
    S_INIT("else"),
};

static const struct str formats[] = {
    S_INIT("date-time"), S_INIT("time"), S_INIT("date"), S_INIT("duration"), S_INIT("email"),
    S_INIT("hostname"),  S_INIT("uri"),  S_INIT("ipv4"), S_INIT("ipv6"),     S_INIT("uuid"),
};

static bool among(struct str s, const struct str *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(s, list[i]))
            return true;
    return false;
}

static bool is_taken(struct json_edit *e, struct json_node *m)
{
    double x;
    struct str name = json_name(e, m);
    if (str_eq(name, S("minItems")))
        return !json_number(m, &x) || x <= 1;
    if (str_eq(name, S("format")))
        return among(json_string(e, m), formats, ARRAY_LEN(formats));
    if (str_eq(name, S("oneOf"))) /* next to an anyOf, or it were renamed */
        return false;
    return !among(name, not_taken, ARRAY_LEN(not_taken));
}

/* Takes out what is not taken, and says so in *notes. */
static void take_out(struct json_edit *e, struct json_node *schema, struct buf *notes)
{
    for (struct json_node *m = json_first(e, schema); m != NULL; m = json_next(m)) {
        if (is_taken(e, m))
            continue;
        struct text value = json_type(m) == JSON_STRING ? text_of(e, e->arena, m)
                                                        : text_escape(e->arena, json_raw(e, m));
        if (buf_len(notes) > 0)
            buf_add(notes, S(", "));
        text_add(notes, text_escape(e->arena, json_name(e, m)));
        buf_add(notes, S(": "));
        text_add(notes, value);
        json_remove(e, m);
    }
}

/* The model reads them, so that it may still keep to what is not enforced. */
static void add_notes(struct json_edit *e, struct json_node *schema, struct buf *notes)
{
    struct text old = text_of(e, e->arena, member(e, schema, S("description")));
    struct text added = { buf_str(notes).p, buf_str(notes).n };
    struct json_out o;
    struct buf raw;
    out_begin(&o, &raw);
    json_out_string_begin(&o);
    json_out_string_add(&o, old);
    if (old.n > 0)
        json_out_string_add(&o, TEXT("\\n"));
    json_out_string_add(&o, added);
    json_out_string_end(&o);
    json_set(e, schema, S("description"), out_end(e->arena, &raw));
}

static bool clean(struct json_edit *e, struct json_node *schema)
{
    if (member_of_type(e, schema, S("$ref"), JSON_STRING) != NULL) {
        for (struct json_node *m = json_first(e, schema); m != NULL; m = json_next(m))
            if (!str_eq(json_name(e, m), S("$ref")))
                json_remove(e, m);
        return true;
    }
    struct json_node *one_of = json_find(e, schema, S("oneOf"));
    if (one_of != NULL && json_find(e, schema, S("anyOf")) == NULL)
        json_rename(e, one_of, S("anyOf"));
    struct buf notes;
    buf_init(&notes, SIZE_MAX);
    take_out(e, schema, &notes);
    if (buf_len(&notes) > 0)
        add_notes(e, schema, &notes);
    buf_done(&notes);
    if (is_object(e, schema))
        json_set(e, schema, S("additionalProperties"), S("false"));
    return true;
}

struct str schema_for_output(struct arena *a, struct str schema, bool *ret_wrapped)
{
    struct json_edit e;
    *ret_wrapped = false;
    if (!open_object(&e, a, schema))
        return S(EMPTY_OBJECT ",\"additionalProperties\":false}");
    inline_root(&e);
    struct json_node *root = json_root(&e);
    *ret_wrapped = !is_object(&e, root) &&
                   (type_of(&e, root) == ROOT_OTHER || has_union(&e, root) ||
                    member(&e, root, S("enum")) != NULL || member(&e, root, S("const")) != NULL);
    if (*ret_wrapped)
        json_edit_init(&e, a, wrap(&e, true));
    else
        set_object(&e);
    walk(&e, clean);
    return json_edit_text(&e);
}

/* ---- the strict subset ---- */

static const struct str not_strict[] = {
    S_INIT("oneOf"),
    S_INIT("allOf"),
    S_INIT("not"),
    S_INIT("if"),
    S_INIT("then"),
    S_INIT("else"),
    S_INIT("patternProperties"),
    S_INIT("dependentRequired"),
    S_INIT("dependentSchemas"),
};

static bool is_strict(struct json_edit *e, struct json_node *schema)
{
    for (struct json_node *m = json_first(e, schema); m != NULL; m = json_next(m))
        if (among(json_name(e, m), not_strict, ARRAY_LEN(not_strict)))
            return false;
    if (!is_object(e, schema))
        return true;
    struct json_node *more = member_of_type(e, schema, S("additionalProperties"), JSON_BOOL);
    if (more == NULL || json_is_true(more))
        return false;
    struct names required;
    names_init(&required, e->arena);
    struct json_node *n = json_first(e, member_of_type(e, schema, S("required"), JSON_ARRAY));
    for (; n != NULL; n = json_next(n))
        names_add(&required, json_string(e, n));
    n = json_first(e, member_of_type(e, schema, S("properties"), JSON_OBJECT));
    for (; n != NULL; n = json_next(n))
        if (names_find(&required, json_name(e, n)) == NULL)
            return false;
    return true;
}

bool schema_is_strict(struct arena *a, struct str schema)
{
    struct json_edit e;
    return open_object(&e, a, schema) && type_of(&e, json_root(&e)) == ROOT_OBJECT &&
           member(&e, json_root(&e), S("anyOf")) == NULL && walk(&e, is_strict);
}

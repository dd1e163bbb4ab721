#include "member.h"

#include <math.h>

struct json_node *member_node(struct convert *c, struct json_node *object, struct str name)
{
    struct json_node *n = object == NULL ? NULL : json_find(&c->doc, object, name);
    if (c->options.explain && n != NULL)
        json_note(n);
    return n == NULL || json_type(n) == JSON_NULL ? NULL : n;
}

struct str member_str(struct convert *c, struct json_node *object, struct str name)
{
    struct json_node *n = member_node(c, object, name);
    return n == NULL ? S("") : json_string(&c->doc, n);
}

struct text member_text(struct convert *c, struct json_node *object, struct str name)
{
    return text_of(&c->doc, c->temp, member_node(c, object, name));
}

struct str member_inside(struct convert *c, struct json_node *object, struct str name)
{
    return text_inside(&c->doc, member_node(c, object, name));
}

struct str member_raw(struct convert *c, struct json_node *object, struct str name)
{
    struct json_node *n = member_node(c, object, name);
    return n == NULL ? S("") : json_compact(c->temp, json_raw(&c->doc, n));
}

struct str member_elements(struct convert *c, struct json_node *object, struct str name)
{
    struct json_node *n = member_node(c, object, name);
    if (n == NULL || json_type(n) != JSON_ARRAY || json_first(&c->doc, n) == NULL)
        return S("");
    return json_compact(c->temp, json_raw(&c->doc, n));
}

bool member_is(struct convert *c, struct json_node *object, struct str name, struct str value)
{
    struct json_node *n = member_node(c, object, name);
    return n != NULL && json_type(n) == JSON_STRING && str_eq(json_string(&c->doc, n), value);
}

bool member_true(struct convert *c, struct json_node *object, struct str name)
{
    struct json_node *n = member_node(c, object, name);
    return n != NULL && json_is_true(n);
}

enum chat_tri member_tri(struct convert *c, struct json_node *object, struct str name)
{
    struct json_node *n = member_node(c, object, name);
    if (n == NULL || json_type(n) != JSON_BOOL)
        return CHAT_ABSENT;
    return json_is_true(n) ? CHAT_TRUE : CHAT_FALSE;
}

int64_t member_i64(struct convert *c, struct json_node *object, struct str name)
{
    double x;
    struct json_node *n = member_node(c, object, name);
    if (n == NULL || !json_number(n, &x) || isnan(x))
        return -1;
    if (x <= 0)
        return 0;
    return x >= 9e15 ? INT64_C(9000000000000000) : (int64_t)x;
}

void member_walk(struct convert *c, struct json_node *list, struct json_walk *w)
{
    if (c->options.explain)
        (void)json_first(&c->doc, list);
    json_walk_begin(w, &c->doc, list);
}

static const char *type_name(enum json_type type)
{
    static const char *const names[] = {
        [JSON_NULL] = "null",       [JSON_BOOL] = "a boolean", [JSON_NUMBER] = "a number",
        [JSON_STRING] = "a string", [JSON_ARRAY] = "an array", [JSON_OBJECT] = "an object",
    };
    return names[type];
}

int member_need(struct convert *c, struct json_node *object, struct str name, enum json_type type,
                struct str path, struct json_node **ret)
{
    struct json_node *n = member_node(c, object, name);
    if (n != NULL && json_type(n) != type)
        return convert_reject(c, chat_path(c, path, -1, name), "must be %s", type_name(type));
    *ret = n;
    return 0;
}

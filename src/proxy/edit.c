#include "edit.h"

bool edit_absent(const struct json_node *n)
{
    return n == NULL || json_type(n) == JSON_NULL;
}

bool edit_is_type(const struct json_node *n, enum json_type type)
{
    return n != NULL && json_type(n) == type;
}

bool edit_is_text(struct json_edit *e, struct json_node *n, struct str text)
{
    return edit_is_type(n, JSON_STRING) && str_eq(json_string(e, n), text);
}

struct json_node *edit_member(struct json_edit *e, struct str name)
{
    return json_find(e, json_root(e), name);
}

struct str edit_text(struct json_edit *e, struct json_node *object, struct str name)
{
    struct json_node *n = json_find(e, object, name);
    return n != NULL ? json_string(e, n) : S("");
}

bool edit_replace(struct json_edit *e, struct json_node *n, struct str raw)
{
    if (str_eq(json_raw(e, n), raw))
        return false;
    json_replace(e, n, raw);
    return true;
}

bool edit_remove_named(struct json_edit *e, struct json_node *object, struct str name)
{
    bool changed = false;
    if (!edit_is_type(object, JSON_OBJECT) || json_find(e, object, name) == NULL)
        return false;
    struct json_node *next;
    for (struct json_node *n = json_first(e, object); n != NULL; n = next) {
        next = json_next(n);
        if (!str_eq(json_name(e, n), name))
            continue;
        json_remove(e, n);
        changed = true;
    }
    return changed;
}

struct str edit_text_block(struct arena *a, struct str raw_string, bool cache)
{
    return arena_join(a, S("{\"type\":\"text\",\"text\":"), raw_string,
                      cache ? S(",\"cache_control\":{\"type\":\"ephemeral\"}}") : S("}"));
}

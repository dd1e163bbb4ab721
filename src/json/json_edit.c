#include "json_edit.h"

#include <string.h>

#include "json.h"
#include "json_node.h"
#include "json_scan.h"

void json_edit_init(struct json_edit *e, struct arena *a, struct str text)
{
    *e = (struct json_edit){ .arena = a, .nodes = a, .text = text };
    e->root = json_node_new(e, NULL);
    json_node_set_raw(e->root, str_trim(text));
}

bool json_edit_changed(const struct json_edit *e)
{
    return e->changed;
}

/* Text on its way out.  Without p it is only counted. */
struct sink {
    char *p;
    size_t n;
};

static void put(struct sink *out, struct str s)
{
    if (out->p != NULL && s.n > 0)
        memcpy(out->p + out->n, s.p, s.n);
    out->n += s.n;
}

static void put_begin(struct sink *out, struct json_node *n)
{
    if (out->p != NULL)
        n->raw.p = out->p + out->n;
    put(out, n->type == JSON_OBJECT ? S("{") : S("["));
}

/* A written node is not stale any more: its new text is a part of what was written. */
static void put_end(struct sink *out, struct json_node *n)
{
    put(out, n->tail);
    put(out, n->type == JSON_OBJECT ? S("}") : S("]"));
    if (out->p == NULL)
        return;
    n->raw.n = (size_t)(out->p + out->n - n->raw.p);
    n->stale = false;
}

static void put_before(struct sink *out, const struct json_node *n)
{
    bool comma = n->sep.n > 0 && (n->sep.p[0] == ',' || str_index(n->sep, ',') < n->sep.n);
    if (n->prev != NULL && !comma)
        put(out, S(","));
    put(out, n->sep);
    put(out, n->name);
    put(out, n->mid);
}

/* Descends into stale nodes only; the tree itself is the stack. */
static void put_node(struct sink *out, struct json_node *top)
{
    struct json_node *n = top;
    for (;;) {
        if (n->stale) {
            put_begin(out, n);
            if (n->first != NULL) {
                n = n->first;
                put_before(out, n);
                continue;
            }
            put_end(out, n);
        } else {
            put(out, n->raw);
        }
        while (n != top && n->next == NULL) {
            n = n->parent;
            put_end(out, n);
        }
        if (n == top)
            return;
        n = n->next;
        put_before(out, n);
    }
}

struct str json_raw(struct json_edit *e, struct json_node *n)
{
    if (n == NULL)
        return (struct str){ NULL, 0 };
    if (n->stale) {
        struct sink out = { NULL, 0 };
        put_node(&out, n);
        out = (struct sink){ arena_bytes(e->arena, out.n), 0 };
        put_node(&out, n);
    }
    return n->raw;
}

/* Like json_raw() of the root, but with the white space around it. */
struct str json_edit_text(struct json_edit *e)
{
    if (!e->changed)
        return e->text;
    struct str raw = json_raw(e, e->root), old = str_trim(e->text);
    if (str_eq(raw, old))
        return e->text; /* edits that undid one another */
    if (old.n == e->text.n)
        return raw;
    size_t before = (size_t)(old.p - e->text.p);
    struct str head = arena_cat(e->arena, str_slice(e->text, 0, before), raw);
    return arena_cat(e->arena, head, str_slice(e->text, before + old.n, e->text.n));
}

/* The text of n's container, and of all around it, has to be put together again. */
static void touch(struct json_edit *e, struct json_node *n)
{
    if (n == e->root)
        e->changed = true;
    for (n = n->parent; n != NULL && !n->stale; n = n->parent) {
        n->stale = true;
        if (n == e->root)
            e->changed = true;
    }
}

/* raw lives as long as the tree. */
static struct json_node *insert_kept(struct json_edit *e, struct json_node *parent, struct str name,
                                     struct str raw, bool front)
{
    struct json_node *n = json_node_new(e, parent);
    if (parent->type == JSON_OBJECT) {
        n->name = json_quote(e->arena, name);
        n->mid = S(":");
    }
    json_node_set_raw(n, raw);
    json_node_index(e, parent);
    json_node_link(n, front);
    touch(e, n);
    return n;
}

static struct json_node *insert(struct json_edit *e, struct json_node *parent, struct str name,
                                struct str raw, bool front)
{
    return insert_kept(e, parent, name, arena_str(e->arena, str_trim(raw)), front);
}

struct json_node *json_set(struct json_edit *e, struct json_node *object, struct str name,
                           struct str raw)
{
    if (object == NULL || object->type != JSON_OBJECT)
        return NULL;
    struct json_node *n = json_find(e, object, name);
    if (n == NULL)
        return insert(e, object, name, raw, false);
    json_replace(e, n, raw);
    return n;
}

struct json_node *json_add_kept(struct json_edit *e, struct json_node *object, struct str name,
                                struct str raw)
{
    must(object->type == JSON_OBJECT);
    return insert_kept(e, object, name, raw, false);
}

struct json_node *json_append(struct json_edit *e, struct json_node *array, struct str raw)
{
    if (array == NULL || array->type != JSON_ARRAY)
        return NULL;
    return insert(e, array, S(""), raw, false);
}

struct json_node *json_prepend(struct json_edit *e, struct json_node *array, struct str raw)
{
    if (array == NULL || array->type != JSON_ARRAY)
        return NULL;
    return insert(e, array, S(""), raw, true);
}

struct json_node *json_prepend_member(struct json_edit *e, struct json_node *object,
                                      struct str name, struct str raw)
{
    if (object == NULL || object->type != JSON_OBJECT)
        return NULL;
    return insert(e, object, name, raw, true);
}

void json_replace(struct json_edit *e, struct json_node *n, struct str raw)
{
    raw = str_trim(raw);
    if (!n->stale && str_eq(n->raw, raw))
        return;
    /* Whoever still holds an old child must not reach the new text with it. */
    for (struct json_node *child = n->first; child != NULL; child = child->next)
        child->parent = NULL;
    json_node_set_raw(n, arena_str(e->arena, raw));
    touch(e, n);
}

/* The comma goes with the removed child; the new first child gives up its own. */
void json_remove(struct json_edit *e, struct json_node *n)
{
    must(n != e->root);
    if (n->parent == NULL)
        return; /* is removed already, or was inside a replaced value */
    if (n->prev == NULL && n->next != NULL) {
        struct str *sep = &n->next->sep;
        size_t comma = str_index(*sep, ',');
        if (comma < sep->n)
            *sep = str_slice(*sep, comma + 1, sep->n);
    }
    touch(e, n);
    json_node_unlink(n);
}

void json_rename(struct json_edit *e, struct json_node *member, struct str name)
{
    must(member->name.n > 0);
    if (json_quoted_is(member->name, name))
        return;
    member->name = json_quote(e->arena, name);
    touch(e, member);
}

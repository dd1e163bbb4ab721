#include "json_node.h"

#include <string.h>

#include "json.h"
#include "json_scan.h"
#include "text.h"

/* From this depth on all levels below are found at once, or walking a whole tree would
 * read the text as often as it is deep. */
enum { DEEP_FROM = 16 };

enum { NODES_AT_ONCE = 8 };

static enum json_type type_of(char c)
{
    switch (c) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
    case 'f':
        return JSON_BOOL;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

static bool is_container(const struct json_node *n)
{
    return n->type == JSON_OBJECT || n->type == JSON_ARRAY;
}

static struct str span(const char *from, const char *to)
{
    return (struct str){ from, (size_t)(to - from) };
}

struct json_node *json_node_new(struct json_edit *e, struct json_node *parent)
{
    if (e->spare_n == 0) {
        e->spare_n = NODES_AT_ONCE;
        e->spare = arena_new(e->nodes, struct json_node, NODES_AT_ONCE);
    }
    struct json_node *n = &e->spare[--e->spare_n];
    n->parent = parent;
    n->depth = parent != NULL && parent->depth < UINT16_MAX ? (uint16_t)(parent->depth + 1) : 0;
    return n;
}

void json_node_link(struct json_node *n, bool front)
{
    struct json_node *parent = n->parent;
    n->prev = front ? NULL : parent->last;
    n->next = front ? parent->first : NULL;
    *(n->prev != NULL ? &n->prev->next : &parent->first) = n;
    *(n->next != NULL ? &n->next->prev : &parent->last) = n;
}

void json_node_unlink(struct json_node *n)
{
    struct json_node *parent = n->parent;
    *(n->prev != NULL ? &n->prev->next : &parent->first) = n->next;
    *(n->next != NULL ? &n->next->prev : &parent->last) = n->prev;
    n->parent = NULL;
    n->prev = NULL;
}

void json_node_set_raw(struct json_node *n, struct str raw)
{
    must(raw.n > 0);
    n->raw = raw;
    n->type = (uint8_t)type_of(raw.p[0]);
    n->indexed = !is_container(n);
    n->stale = false;
    n->first = n->last = NULL;
}

/* A child begins at p, behind the separator.  Returns where its value begins. */
static const char *add_child(struct json_edit *e, struct json_node *parent, const char *sep,
                             const char *p, const char *end)
{
    struct json_node *n = json_node_new(e, parent);
    n->sep = span(sep, p);
    if (parent->type == JSON_OBJECT) {
        const char *name_end = json_skip_string(p, end);
        n->name = span(p, name_end);
        p = json_skip_space(name_end, end) + 1;
        p = json_skip_space(p, end);
        n->mid = span(name_end, p);
    }
    must(p < end);
    json_node_set_raw(n, span(p, p + 1));
    json_node_link(n, false);
    return p;
}

static bool is_looked_into(const struct json_edit *e, const struct json_node *n, bool deep)
{
    unsigned eager = n->type == JSON_OBJECT ? e->eager_objects : 0;
    return is_container(n) && (deep || n->depth <= e->eager || n->depth <= eager);
}

void json_node_index(struct json_edit *e, struct json_node *n)
{
    if (n->indexed)
        return;
    bool deep = n->depth >= DEEP_FROM;
    const char *end = n->raw.p + n->raw.n;
    const char *p = n->raw.p + 1, *sep = p;
    struct json_node *at = n; /* the container that p is in */
    for (;;) {
        p = json_skip_space(p, end);
        must(p < end);
        if (*p == ',') {
            p++;
            continue;
        }
        if (*p == ']' || *p == '}') {
            at->tail = span(sep, p++);
            at->indexed = true;
            at->raw.n = (size_t)(p - at->raw.p);
            if (at == n)
                return;
            at = at->parent;
        } else {
            p = add_child(e, at, sep, p, end);
            if (is_looked_into(e, at->last, deep)) {
                at = at->last;
                p++;
            } else {
                const char *from = p;
                p = json_skip_value(p, end);
                at->last->raw = span(from, p);
            }
        }
        sep = p;
    }
}

/* ---- walks ---- */

void json_walk_begin(struct json_walk *w, struct json_edit *e, struct json_node *list)
{
    *w = (struct json_walk){ .edit = e, .list = list, .outer = *e };
    arena_init(&w->own, SIZE_MAX);
    if (list == NULL || list->type != JSON_ARRAY)
        return;
    if (list->indexed) {
        w->child = list->first;
        return;
    }
    w->p = list->raw.p + 1;
    e->nodes = &w->own;
    e->spare_n = 0;
    e->eager_objects = list->depth + 2U;
}

/* The element at p; what it consists of is found out at once. */
static struct json_node *read_element(struct json_walk *w, const char *p, const char *end)
{
    struct json_node *n = json_node_new(w->edit, w->list);
    json_node_set_raw(n, span(p, end));
    if (n->type == JSON_OBJECT)
        json_node_index(w->edit, n);
    else
        json_node_set_raw(n, span(p, json_skip_value(p, end)));
    return n;
}

struct json_node *json_walk_next(struct json_walk *w)
{
    struct json_node *n = w->child;
    if (w->p == NULL) {
        w->child = n != NULL ? n->next : NULL;
        return n;
    }
    const char *end = w->list->raw.p + w->list->raw.n;
    const char *p = json_skip_space(w->p, end);
    if (*p == ',')
        p = json_skip_space(p + 1, end);
    w->p = p;
    if (*p == ']')
        return NULL;
    arena_reset(&w->own);
    w->edit->spare_n = 0;
    n = read_element(w, p, end);
    w->p = n->raw.p + n->raw.n;
    return n;
}

void json_walk_done(struct json_walk *w)
{
    if (w->p == NULL)
        return;
    w->edit->nodes = w->outer.nodes;
    w->edit->eager_objects = w->outer.eager_objects;
    w->edit->spare = w->outer.spare;
    w->edit->spare_n = w->outer.spare_n;
    arena_done(&w->own);
}

struct str json_unescape(struct arena *a, struct str quoted)
{
    must(quoted.n >= 2);
    return text_plain(a, (struct text){ quoted.p + 1, quoted.n - 2 });
}

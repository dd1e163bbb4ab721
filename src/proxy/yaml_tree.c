#include "yaml_tree.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

struct reader {
    struct arena *arena;
    struct yaml_tree *open[YAML_TREE_DEPTH_MAX]; /* containers, outermost first */
    size_t depth, nodes, documents;
    struct yaml_tree *root;
    bool has_key; /* of the mapping on top: its value comes next */
    struct str key;
    struct yaml_place key_place;
    struct yaml_fault fault; /* reason NULL: none */
};

static struct yaml_place place_of(const yaml_mark_t *mark)
{
    return (struct yaml_place){ mark->line + 1, mark->column + 1 };
}

static void fail(struct reader *r, const yaml_mark_t *mark, const char *reason)
{
    if (r->fault.reason == NULL)
        r->fault = (struct yaml_fault){ place_of(mark), reason };
}

/* Those that YAML takes by an escape only: C0 and C1, U+FEFF, U+FFFE and U+FFFF. */
static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char *p = (const unsigned char *)s.p + i; /* whole UTF-8 characters */
        if (p[0] < ' ' || p[0] == 127 || (p[0] == 0xc2 && p[1] < 0xa0))
            return true;
        if (p[0] == 0xef && ((p[1] == 0xbb && p[2] == 0xbf) || (p[1] == 0xbf && p[2] >= 0xbe)))
            return true;
    }
    return false;
}

static bool is_none(const yaml_event_t *ev, struct str s)
{
    return ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (s.n == 0 || str_eq(s, S("~")) || str_eq(s, S("null")));
}

static bool is_key(const struct reader *r)
{
    return r->depth > 0 && r->open[r->depth - 1]->kind == YAML_TREE_MAP && !r->has_key;
}

static void take_key(struct reader *r, const yaml_event_t *ev, struct str s)
{
    for (const struct yaml_tree *n = r->open[r->depth - 1]->first; n != NULL; n = n->next) {
        if (str_eq(n->key, s))
            fail(r, &ev->start_mark, "this key is there twice");
    }
    r->has_key = true;
    r->key = arena_str(r->arena, s);
    r->key_place = place_of(&ev->start_mark);
}

/* A new node at its place in the tree. */
static struct yaml_tree *add(struct reader *r, const yaml_event_t *ev, enum yaml_tree_kind kind)
{
    if (r->nodes++ == YAML_TREE_NODES_MAX)
        fail(r, &ev->start_mark, "too many values");
    struct yaml_tree *n = arena_new(r->arena, struct yaml_tree, 1);
    n->kind = kind;
    n->place = place_of(&ev->start_mark);
    if (r->depth == 0) {
        r->root = n;
        return n;
    }
    struct yaml_tree *in = r->open[r->depth - 1];
    if (r->has_key) {
        n->key = r->key;
        n->place = r->key_place;
        r->has_key = false;
    }
    if (in->last != NULL)
        in->last->next = n;
    else
        in->first = n;
    in->last = n;
    return n;
}

static void take_scalar(struct reader *r, const yaml_event_t *ev)
{
    struct str s = { (const char *)ev->data.scalar.value, ev->data.scalar.length };
    if (ev->data.scalar.anchor != NULL || ev->data.scalar.tag != NULL)
        fail(r, &ev->start_mark, "anchors and tags are not supported");
    else if (has_control(s))
        fail(r, &ev->start_mark, "a text has a control character or a line end");
    else if (is_key(r))
        take_key(r, ev, s);
    else if (is_none(ev, s))
        add(r, ev, YAML_TREE_NONE);
    else
        add(r, ev, YAML_TREE_TEXT)->text = arena_str(r->arena, s);
}

static void take_start(struct reader *r, const yaml_event_t *ev, enum yaml_tree_kind kind,
                       bool decorated)
{
    if (decorated)
        fail(r, &ev->start_mark, "anchors and tags are not supported");
    else if (is_key(r))
        fail(r, &ev->start_mark, "a key must be a plain text");
    else if (r->depth == YAML_TREE_DEPTH_MAX)
        fail(r, &ev->start_mark, "nested too deeply");
    else {
        struct yaml_tree *n = add(r, ev, kind);
        r->open[r->depth++] = n;
    }
}

static void take_event(struct reader *r, const yaml_event_t *ev)
{
    switch (ev->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++r->documents > 1)
            fail(r, &ev->start_mark, "only one document is allowed");
        break;
    case YAML_ALIAS_EVENT:
        fail(r, &ev->start_mark, "aliases are not supported");
        break;
    case YAML_SCALAR_EVENT:
        take_scalar(r, ev);
        break;
    case YAML_SEQUENCE_START_EVENT:
        take_start(r, ev, YAML_TREE_LIST,
                   ev->data.sequence_start.anchor != NULL || ev->data.sequence_start.tag != NULL);
        break;
    case YAML_MAPPING_START_EVENT:
        take_start(r, ev, YAML_TREE_MAP,
                   ev->data.mapping_start.anchor != NULL || ev->data.mapping_start.tag != NULL);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        must(r->depth > 0);
        r->depth--;
        break;
    default:
        break; /* stream start and end, document end */
    }
}

static void read_events(struct reader *r, yaml_parser_t *parser)
{
    bool end = false;
    while (!end && r->fault.reason == NULL) {
        yaml_event_t ev;
        if (!yaml_parser_parse(parser, &ev)) {
            fail(r, &parser->problem_mark,
                 parser->problem != NULL ? parser->problem : "not valid YAML");
            return;
        }
        end = ev.type == YAML_STREAM_END_EVENT;
        take_event(r, &ev);
        if (ev.type == YAML_SCALAR_EVENT) /* a key, perhaps */
            explicit_bzero(ev.data.scalar.value, ev.data.scalar.length);
        yaml_event_delete(&ev);
    }
}

int yaml_tree_read(struct arena *a, struct str text, const struct yaml_tree **ret_root,
                   struct yaml_fault *ret_fault)
{
    static const struct yaml_tree empty = { .kind = YAML_TREE_NONE, .place = { 1, 1 } };
    struct reader r = { .arena = a };
    yaml_parser_t parser;
    must(yaml_parser_initialize(&parser));
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.n > 0 ? text.p : ""),
                                 text.n);
    read_events(&r, &parser);
    explicit_bzero(parser.buffer.start, (size_t)(parser.buffer.end - parser.buffer.start));
    explicit_bzero(parser.raw_buffer.start,
                   (size_t)(parser.raw_buffer.end - parser.raw_buffer.start));
    yaml_parser_delete(&parser);
    if (r.fault.reason != NULL) {
        *ret_fault = r.fault;
        return -EINVAL;
    }
    *ret_root = r.root != NULL ? r.root : &empty;
    return 0;
}

const struct yaml_tree *yaml_tree_member(const struct yaml_tree *map, struct str key)
{
    const struct yaml_tree *n = map->kind == YAML_TREE_MAP ? map->first : NULL;
    for (; n != NULL; n = n->next) {
        if (str_eq(n->key, key))
            return n->kind == YAML_TREE_NONE ? NULL : n;
    }
    return NULL;
}

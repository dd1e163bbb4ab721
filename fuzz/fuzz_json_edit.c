/*
 * Goal: edits do what the same edits do to a tree in memory, and touch no other byte.
 * Method: the input is a stream of choices: first a text is made of it, then edits.  Each
 * edit is done three times:
 *   - in one tree that lives through all edits,
 *   - in a fresh tree over the text so far, where the changed span is known,
 *   - in a yyjson document.
 * All three must agree, byte for byte or value for value.
 */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "json_edit.h"

enum { TEXT_MAX = 16 << 10, EDITS_MAX = 40 };

struct choices {
    const unsigned char *p, *end;
};

static unsigned choose(struct choices *c, unsigned below)
{
    return c->p < c->end ? *c->p++ % below : 0;
}

static void put_space(struct choices *c, struct buf *out)
{
    static const char *const spaces[] = { "", "", " ", "\n  ", "\t\r\n" };
    buf_add(out, str_of(spaces[choose(c, ARRAY_LEN(spaces))]));
}

/* Each row spells one name. */
static const char *const names[][3] = {
    { "\"a\"", "\"\\u0061\"", "\"\\u0061\"" },
    { "\"b\\n\"", "\"\\u0062\\n\"", "\"b\\u000A\"" },
    { "\"\\\"],\"", "\"\\u0022],\"", "\"\\\"\\u005d,\"" },
    { "\"\xf0\x9f\x98\x80\"", "\"\\ud83d\\ude00\"", "\"\\uD83D\\uDE00\"" },
    { "\"\"", "\"\"", "\"\"" },
    { "\"\xc3\xa9\\\\\"", "\"\\u00e9\\\\\"", "\"\\u00E9\\u005c\"" },
};
static const char *const plain_names[] = {
    "a", "b\n", "\"],", "\xf0\x9f\x98\x80", "", "\xc3\xa9\\",
};

static void put_value(struct choices *c, struct buf *out, unsigned depth);

static void put_children(struct choices *c, struct buf *out, unsigned depth, bool object)
{
    unsigned count = choose(c, ARRAY_LEN(names)), from = choose(c, ARRAY_LEN(names));
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            buf_add_byte(out, ',');
        put_space(c, out);
        if (object) {
            buf_add(out, str_of(names[(from + i) % ARRAY_LEN(names)][choose(c, 3)]));
            put_space(c, out);
            buf_add_byte(out, ':');
            put_space(c, out);
        }
        put_value(c, out, depth + 1);
        put_space(c, out);
    }
}

static void put_value(struct choices *c, struct buf *out, unsigned depth)
{
    static const char *const scalars[] = {
        "null",  "true", "false",  "0",        "-1.50e+3",
        "1e999", "\"\"", "\"]}\"", "\"\\\\\"", "\"\\\",\\u00e9\"",
        "[]",    "{}",   "[ ]",    "{ }",
    };
    unsigned kind = choose(c, depth < 20 && buf_len(out) < TEXT_MAX / 2 ? 6 : 2);
    if (kind < 2) {
        buf_add(out, str_of(scalars[choose(c, ARRAY_LEN(scalars))]));
        return;
    }
    bool object = kind < 4;
    buf_add_byte(out, object ? '{' : '[');
    if (choose(c, 8) == 0)
        put_space(c, out);
    else
        put_children(c, out, depth, object);
    buf_add_byte(out, object ? '}' : ']');
}

/* One edit, so that it can be done to several trees. */
struct edit {
    enum edit_op { EDIT_REPLACE, EDIT_REMOVE, EDIT_ADD, EDIT_PREPEND, EDIT_RENAME, EDIT_END_ } op;
    unsigned char path[24]; /* choices of a child on each level */
    unsigned path_len;
    struct str name, raw;
};

struct model {
    yyjson_mut_doc *doc;
    yyjson_mut_val *parent, *value;
    size_t index;
};

static yyjson_mut_val *model_child(yyjson_mut_val *v, size_t i)
{
    if (yyjson_mut_is_arr(v))
        return yyjson_mut_arr_get(v, i);
    yyjson_mut_obj_iter it;
    yyjson_mut_obj_iter_init(v, &it);
    for (size_t at = 0; at < i; at++)
        yyjson_mut_obj_iter_next(&it);
    return yyjson_mut_obj_iter_get_val(yyjson_mut_obj_iter_next(&it));
}

static void model_walk(struct model *m, const struct edit *edit)
{
    m->parent = NULL;
    m->value = yyjson_mut_doc_get_root(m->doc);
    for (unsigned i = 0; i < edit->path_len; i++) {
        size_t count = yyjson_mut_is_arr(m->value) ? yyjson_mut_arr_size(m->value)
                                                   : yyjson_mut_obj_size(m->value);
        if (count == 0)
            return;
        m->index = edit->path[i] % count;
        m->parent = m->value;
        m->value = model_child(m->value, m->index);
    }
}

static yyjson_mut_val *model_value(struct model *m, struct str raw)
{
    yyjson_doc *doc;
    must(json_parse(raw, &doc, NULL) == 0);
    yyjson_mut_val *v = yyjson_val_mut_copy(m->doc, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return v;
}

static yyjson_mut_val *model_name(struct model *m, struct str name)
{
    return yyjson_mut_strncpy(m->doc, name.p, name.n);
}

/* Replaces the i-th child or removes it (value is NULL): by building the container anew,
 * for this must not depend on anything clever. */
static void model_put(struct model *m, size_t i, yyjson_mut_val *name, yyjson_mut_val *value)
{
    bool object = yyjson_mut_is_obj(m->parent);
    yyjson_mut_val *copy = yyjson_mut_val_mut_copy(m->doc, m->parent);
    size_t count = object ? yyjson_mut_obj_size(copy) : yyjson_mut_arr_size(copy);
    yyjson_mut_obj_iter it = { 0 };
    if (object)
        yyjson_mut_obj_iter_init(copy, &it);
    (void)(object ? yyjson_mut_obj_clear(m->parent) : yyjson_mut_arr_clear(m->parent));
    for (size_t at = 0; at < count; at++) {
        yyjson_mut_val *key = object ? yyjson_mut_obj_iter_next(&it) : NULL;
        yyjson_mut_val *v = model_child(copy, at);
        yyjson_mut_val *new_v = yyjson_mut_val_mut_copy(m->doc, at == i ? value : v);
        if (at == i && value == NULL)
            continue;
        if (object)
            yyjson_mut_obj_add(
                m->parent, at == i && name != NULL ? name : yyjson_mut_val_mut_copy(m->doc, key),
                new_v);
        else
            yyjson_mut_arr_append(m->parent, new_v);
    }
}

static void model_replace(struct model *m, yyjson_mut_val *value)
{
    if (m->parent == NULL)
        yyjson_mut_doc_set_root(m->doc, value);
    else
        model_put(m, m->index, NULL, value);
}

static yyjson_mut_val *model_find(yyjson_mut_val *object, struct str name)
{
    return yyjson_mut_obj_getn(object, name.p, name.n);
}

/* False when the edit makes no sense here: then it is not done to the trees either. */
static bool model_edit(struct model *m, const struct edit *edit)
{
    model_walk(m, edit);
    yyjson_mut_val *v = m->value;
    switch (edit->op) {
    case EDIT_REPLACE:
        model_replace(m, model_value(m, edit->raw));
        return true;
    case EDIT_REMOVE:
        if (m->parent == NULL)
            return false;
        model_put(m, m->index, NULL, NULL);
        return true;
    case EDIT_RENAME:
        if (!yyjson_mut_is_obj(m->parent) || model_find(m->parent, edit->name) != NULL)
            return false;
        model_put(m, m->index, model_name(m, edit->name), v);
        return true;
    case EDIT_ADD:
        if (yyjson_mut_is_arr(v))
            return yyjson_mut_arr_append(v, model_value(m, edit->raw));
        if (!yyjson_mut_is_obj(v))
            return false;
        if (model_find(v, edit->name) == NULL)
            return yyjson_mut_obj_add(v, model_name(m, edit->name), model_value(m, edit->raw));
        m->parent = v;
        for (m->index = 0; model_child(v, m->index) != model_find(v, edit->name); m->index++)
            ;
        model_put(m, m->index, NULL, model_value(m, edit->raw));
        return true;
    case EDIT_PREPEND:
        if (yyjson_mut_is_arr(v))
            return yyjson_mut_arr_prepend(v, model_value(m, edit->raw));
        if (!yyjson_mut_is_obj(v) || model_find(v, edit->name) != NULL)
            return false;
        return yyjson_mut_obj_insert(v, model_name(m, edit->name), model_value(m, edit->raw), 0);
    case EDIT_END_:
        break;
    }
    return false;
}

static struct json_node *walk(struct json_edit *e, const struct edit *edit)
{
    struct json_node *n = json_root(e);
    for (unsigned i = 0; i < edit->path_len; i++) {
        size_t count = json_count(e, n);
        if (count == 0)
            break;
        n = json_first(e, n);
        for (size_t at = edit->path[i] % count; at > 0; at--)
            n = json_next(n);
    }
    return n;
}

static void tree_edit(struct json_edit *e, struct json_node *n, const struct edit *edit)
{
    bool object = json_type(n) == JSON_OBJECT;
    switch (edit->op) {
    case EDIT_REPLACE:
        json_replace(e, n, edit->raw);
        break;
    case EDIT_REMOVE:
        json_remove(e, n);
        break;
    case EDIT_RENAME:
        json_rename(e, n, edit->name);
        break;
    case EDIT_ADD:
        must((object ? json_set(e, n, edit->name, edit->raw) : json_append(e, n, edit->raw)) !=
             NULL);
        break;
    case EDIT_PREPEND:
        must((object ? json_prepend_member(e, n, edit->name, edit->raw)
                     : json_prepend(e, n, edit->raw)) != NULL);
        break;
    case EDIT_END_:
        break;
    }
}

/* What the edit is to leave alone: all before `head` and all from `tail` on. */
struct hole {
    size_t head, tail;
};

/* In a fresh tree a raw text is a slice of the whole one. */
static struct hole hole_of(struct json_edit *e, struct json_node *n, const struct edit *edit)
{
    struct json_node *object = json_type(n) == JSON_OBJECT ? n : NULL;
    if (edit->op == EDIT_ADD && json_find(e, object, edit->name) != NULL)
        n = json_find(e, object, edit->name);
    else if (edit->op == EDIT_ADD || edit->op == EDIT_PREPEND)
        object = NULL;
    struct str raw = json_raw(e, n);
    size_t from = (size_t)(raw.p - e->text.p), to = from + raw.n;
    if (edit->op == EDIT_REPLACE || (edit->op == EDIT_ADD && object != NULL))
        return (struct hole){ from, to };
    if (edit->op == EDIT_PREPEND)
        return (struct hole){ from + 1, from + 1 };
    if (edit->op == EDIT_ADD) {
        struct json_node *last = json_last(e, n);
        struct str end = json_raw(e, last);
        size_t at = last != NULL ? (size_t)(end.p - e->text.p) + end.n : from + 1;
        return (struct hole){ at, at };
    }
    /* Removed or renamed: between the neighbours' values, or the container's ends. */
    raw = json_raw(e, json_parent(n));
    struct str next = json_raw(e, json_next(n));
    struct hole hole = { (size_t)(raw.p - e->text.p) + 1, to };
    for (struct json_node *b = json_first(e, json_parent(n)); b != n; b = json_next(b))
        hole.head = (size_t)(json_raw(e, b).p - e->text.p) + json_raw(e, b).n;
    if (edit->op == EDIT_RENAME)
        hole.tail = from;
    else if (next.p != NULL && json_first(e, json_parent(n)) == n)
        hole.tail = to + str_index(str_slice(e->text, to, e->text.n), ',') + 1;
    return hole;
}

static void check_hole(struct str old, struct str new, struct hole hole)
{
    must(new.n >= hole.head + (old.n - hole.tail));
    must(str_eq(str_slice(new, 0, hole.head), str_slice(old, 0, hole.head)));
    must(str_ends(new, str_slice(old, hole.tail, old.n)));
}

/* Same names, values and order. */
static void check_model(struct model *m, struct str text)
{
    yyjson_doc *doc;
    must(json_parse(text, &doc, NULL) == 0);
    size_t n, want_n;
    char *got = yyjson_write(doc, 0, &n), *want = yyjson_mut_write(m->doc, 0, &want_n);
    must(got != NULL && want != NULL);
    must(str_eq((struct str){ got, n }, (struct str){ want, want_n }));
    must(json_equal(text, (struct str){ want, want_n }, true));
    must(json_equal((struct str){ got, n }, text, false));
    free(got);
    free(want);
    yyjson_doc_free(doc);
}

static void choose_edit(struct choices *c, struct arena *a, struct edit *ret_edit)
{
    struct edit edit = { .op = (enum edit_op)choose(c, EDIT_END_) };
    edit.path_len = choose(c, sizeof(edit.path));
    for (unsigned i = 0; i < edit.path_len; i++)
        edit.path[i] = (unsigned char)choose(c, 256);
    edit.name = str_of(plain_names[choose(c, ARRAY_LEN(plain_names))]);
    struct buf raw;
    buf_init(&raw, 2 * TEXT_MAX);
    put_value(c, &raw, 16);
    must(!raw.overflow);
    edit.raw = arena_str(a, buf_str(&raw));
    buf_done(&raw);
    *ret_edit = edit;
}

static void run(struct choices *c, struct arena *a, struct str text)
{
    yyjson_doc *doc;
    must(json_parse(text, &doc, NULL) == 0);
    struct model m = { .doc = yyjson_doc_mut_copy(doc, NULL) };
    yyjson_doc_free(doc);
    struct json_edit all;
    json_edit_init(&all, a, text);
    for (int i = 0; i < EDITS_MAX && c->p < c->end; i++) {
        struct edit edit;
        choose_edit(c, a, &edit);
        if (!model_edit(&m, &edit))
            continue;
        struct json_edit one;
        json_edit_init(&one, a, text);
        struct json_node *n = walk(&one, &edit);
        struct hole hole = hole_of(&one, n, &edit);
        tree_edit(&one, n, &edit);
        struct str new = json_edit_text(&one);
        must(one.changed || new.p == text.p);
        check_hole(text, new, hole);
        check_model(&m, new);
        tree_edit(&all, walk(&all, &edit), &edit);
        if (choose(c, 4) == 0)
            must(str_eq(json_edit_text(&all), new));
        text = new;
    }
    must(str_eq(json_edit_text(&all), text));
    yyjson_mut_doc_free(m.doc);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    struct choices c = { bytes, bytes + n };
    struct arena a;
    struct buf text;
    arena_init(&a, SIZE_MAX);
    buf_init(&text, 4 * TEXT_MAX);
    put_space(&c, &text);
    put_value(&c, &text, 0);
    put_space(&c, &text);
    if (!text.overflow)
        run(&c, &a, arena_str(&a, buf_str(&text)));
    buf_done(&text);
    arena_done(&a);
    return 0;
}

/* What the decoder has looked at carries a sign (member_node()); what has none was left out.  A
 * value in which it looked at nothing was read as a whole: a schema, say. */
#include "codec.h"
#include "convert.h"
#include "names.h"

enum {
    LINES_MAX = 1000,
    PATH_BYTES_MAX = 400,
    LABEL_BYTES_MAX = 40,
    LEVELS_MAX = 16, /* decoders look at fewer */
};

struct walk {
    struct json_edit *doc;
    struct names lines; /* those that were written */
    unsigned line_count;
    struct buf path, *out;
};

static void walk_object(struct walk *w, struct json_node *object, int level);

/* A name is the client's and goes to a terminal. */
static void add_plain(struct buf *out, struct str s)
{
    s = str_slice(s, 0, LABEL_BYTES_MAX);
    for (size_t i = 0; i < s.n; i++)
        buf_add_byte(out, s.p[i] > ' ' && s.p[i] < 0x7f ? s.p[i] : '_');
}

/* The type of an element that is an object, or its role. */
static struct str label_of(struct walk *w, struct json_node *n)
{
    struct json_node *type = json_find(w->doc, n, S("type"));
    return json_string(w->doc, type != NULL ? type : json_find(w->doc, n, S("role")));
}

static void walk_array(struct walk *w, struct json_node *array, int level)
{
    size_t length = buf_len(&w->path);
    for (struct json_node *n = json_first(w->doc, array); n != NULL; n = json_next(n)) {
        if (json_type(n) != JSON_OBJECT || !json_has_noted(n))
            continue;
        buf_add_byte(&w->path, '[');
        add_plain(&w->path, label_of(w, n));
        buf_add_byte(&w->path, ']');
        walk_object(w, n, level);
        buf_truncate(&w->path, length);
    }
}

static void write_line(struct walk *w, const char *fate)
{
    struct str line = arena_printf(w->doc->arena, "%-48.*s %s\n", STR_ARG(buf_str(&w->path)), fate);
    if (w->line_count == LINES_MAX || !names_add(&w->lines, line))
        return;
    buf_add(w->out, line);
    if (++w->line_count == LINES_MAX)
        buf_add(w->out, S("(more)\n"));
}

static void walk_object(struct walk *w, struct json_node *object, int level)
{
    size_t length = buf_len(&w->path);
    if (level > LEVELS_MAX || length > PATH_BYTES_MAX)
        return;
    for (struct json_node *n = json_first(w->doc, object); n != NULL; n = json_next(n)) {
        buf_addf(&w->path, "%s", length > 0 ? "." : "");
        add_plain(&w->path, json_name(w->doc, n));
        if (level > 0 && json_type(n) != JSON_NULL) /* the top level is a table: params.def */
            write_line(w, json_noted(n) ? "read" : "left out");
        if (json_type(n) == JSON_ARRAY)
            walk_array(w, n, level + 1);
        else if (json_has_noted(n))
            walk_object(w, n, level + 1);
        buf_truncate(&w->path, length);
    }
}

void convert_explain(struct convert *c, struct buf *out)
{
    struct walk w = { .doc = &c->doc, .out = out };
    names_init(&w.lines, c->doc.arena);
    buf_init(&w.path, 4096);
    walk_object(&w, json_root(&c->doc), 0);
    buf_done(&w.path);
}

#include "model_name.h"

#include <stdint.h>

#include "arena.h"
#include "json.h"
#include "json_edit.h"

/* In which member of an event's object the model stands; empty: in the object itself. */
static const struct str holders[PROTOCOL_COUNT] = {
    [PROTOCOL_MESSAGES] = S_INIT("message"),
    [PROTOCOL_CHAT] = S_INIT(""),
    [PROTOCOL_RESPONSES] = S_INIT("response"),
};

/* Most events do not name the model: they are not parsed. */
static bool may_name_it(struct str json)
{
    return str_contains(json, S("\"model\"")) || str_contains(json, S("\\u00"));
}

static bool is_json(struct str text)
{
    yyjson_doc *doc;
    if (json_parse(text, &doc, NULL) < 0)
        return false;
    yyjson_doc_free(doc);
    return true;
}

static void write_json(struct str json, struct str holder, struct str raw_name, struct buf *out)
{
    struct arena a;
    struct json_edit e;
    if (!may_name_it(json) || !is_json(json)) {
        buf_add(out, json);
        return;
    }
    arena_init(&a, SIZE_MAX / 2); /* the text is bounded */
    json_edit_init(&e, &a, json);
    struct json_node *object = json_root(&e);
    if (holder.n > 0)
        object = json_find(&e, object, holder);
    struct json_node *model = json_find(&e, object, S("model"));
    if (model != NULL && json_type(model) == JSON_STRING)
        json_replace(&e, model, raw_name);
    buf_add(out, json_edit_text(&e));
    arena_done(&a);
}

void model_name_in_body(struct str body, struct str raw_name, struct buf *out)
{
    write_json(body, S(""), raw_name, out);
}

static size_t line_end(struct str s)
{
    size_t lf = str_index(s, '\n'), cr = str_index(str_slice(s, 0, lf), '\r');
    return cr < lf ? cr : lf;
}

void model_name_in_events(enum protocol p, struct str events, struct str raw_name, struct buf *out)
{
    struct str rest = events;
    while (rest.n > 0) {
        size_t n = line_end(rest);
        struct str line = str_slice(rest, 0, n);
        if (str_starts(line, S("data:"))) {
            struct str json = str_trim(str_slice(line, 5, n));
            size_t before = json.n > 0 ? (size_t)(json.p - line.p) : n;
            buf_add(out, str_slice(line, 0, before));
            write_json(json, holders[p], raw_name, out);
            buf_add(out, str_slice(line, before + json.n, n));
        } else {
            buf_add(out, line);
        }
        size_t end = n < rest.n ? n + 1 : n;
        buf_add(out, str_slice(rest, n, end));
        rest = str_slice(rest, end, rest.n);
    }
}

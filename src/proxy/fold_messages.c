/*
 * The stream of Anthropic Messages, protocols.md B1.  The message is a tree over
 * message_start.message that message_delta edits.  A content block is what
 * content_block_start said and, for each member that deltas build, the pieces of its text as they
 * stand in the deltas: still escaped, so that nothing is rewritten and an escaped surrogate pair
 * may come in two pieces.
 */
#include <assert.h>

#include "err.h"
#include "fold_internal.h"

enum {
    /* What one edit of the message costs in the arena besides its texts. */
    EDIT_BYTES = 256,
};

enum delta_how {
    DELTA_APPEND,  /* a string that grows */
    DELTA_REPLACE, /* a string: the last one counts */
    DELTA_JSON,    /* strings that are one JSON object together */
    DELTA_ELEMENT, /* an element of an array */
};

struct delta_row {
    struct str kind;
    struct str from, to; /* members of the delta and of the block */
    enum delta_how how;
};

static const struct delta_row deltas[] = {
    { S_INIT("text_delta"), S_INIT("text"), S_INIT("text"), DELTA_APPEND },
    { S_INIT("input_json_delta"), S_INIT("partial_json"), S_INIT("input"), DELTA_JSON },
    { S_INIT("thinking_delta"), S_INIT("thinking"), S_INIT("thinking"), DELTA_APPEND },
    { S_INIT("signature_delta"), S_INIT("signature"), S_INIT("signature"), DELTA_REPLACE },
    { S_INIT("citations_delta"), S_INIT("citation"), S_INIT("citations"), DELTA_ELEMENT },
    { S_INIT("compaction_delta"), S_INIT("content"), S_INIT("content"), DELTA_APPEND },
    { S_INIT("compaction_delta"), S_INIT("encrypted_content"), S_INIT("encrypted_content"),
      DELTA_REPLACE },
};
static_assert(ARRAY_LEN(deltas) <= FOLD_GROWN_MAX, "every row of deltas needs a buf in fold_part");

/* --- events --- */

static struct json_node *event_member(struct fold_event *ev, struct str name)
{
    return json_find(&ev->edit, json_root(&ev->edit), name);
}

static int message_start(struct fold *f, struct fold_event *ev)
{
    yyjson_val *message = json_member(ev->root, S("message"));
    yyjson_val *usage = json_member(message, S("usage"));
    if (f->state != FOLD_START || fold_small(message) < 0)
        return E_UPSTREAM_EVENT;
    if (yyjson_is_obj(usage) && fold_small(usage) < 0)
        return E_UPSTREAM_EVENT;
    struct str raw = json_raw(&ev->edit, event_member(ev, S("message")));
    int e = fold_keep(f, raw.n);
    if (e < 0)
        return e;
    buf_add(&f->reply, raw);
    json_edit_init(&f->message, &f->arena, buf_str(&f->reply));
    f->state = FOLD_OPEN;
    return 0;
}

static int block_start(struct fold *f, struct fold_event *ev)
{
    if (fold_small(json_member(ev->root, S("content_block"))) < 0)
        return E_UPSTREAM_EVENT;
    struct str raw = json_raw(&ev->edit, event_member(ev, S("content_block")));
    return fold_part_add(f, ev, S("index"), raw);
}

static int grow(struct fold *f, struct buf *to, enum delta_how how, struct str raw)
{
    int e = fold_keep(f, raw.n);
    if (e < 0)
        return e;
    if (how == DELTA_REPLACE)
        buf_clear(to);
    if (how == DELTA_ELEMENT && buf_len(to) > 0)
        buf_add_byte(to, ',');
    buf_add(to, how == DELTA_ELEMENT ? raw : str_slice(raw, 1, raw.n - 1));
    return 0;
}

static int block_delta(struct fold *f, struct fold_event *ev)
{
    struct fold_part *part = fold_part_find(f, ev, S("index"));
    yyjson_val *delta = json_member(ev->root, S("delta"));
    if (part == NULL || fold_small(delta) < 0)
        return E_UPSTREAM_EVENT;
    struct str kind = json_member_str(delta, S("type"));
    for (size_t i = 0; i < ARRAY_LEN(deltas); i++) {
        const struct delta_row *row = &deltas[i];
        if (!str_eq(kind, row->kind))
            continue;
        struct json_node *n = json_find(&ev->edit, event_member(ev, S("delta")), row->from);
        if (n == NULL || (row->how != DELTA_ELEMENT && json_type(n) != JSON_STRING))
            continue;
        int e = grow(f, &part->grown[i], row->how, json_raw(&ev->edit, n));
        if (e < 0)
            return e;
    }
    return 0;
}

static int set_member(struct fold *f, struct json_node *object, struct str name, struct str raw)
{
    int e = fold_keep(f, name.n + raw.n + EDIT_BYTES);
    if (e == 0)
        json_set(&f->message, object, name, raw);
    return e;
}

/* Null takes nothing away: in usage it means "unchanged", and a stop reason once given stays. */
static int merge(struct fold *f, struct json_node *into, struct fold_event *ev,
                 struct json_node *from)
{
    for (struct json_node *n = json_first(&ev->edit, from); n != NULL; n = json_next(n)) {
        struct str name = json_name(&ev->edit, n);
        if (json_type(n) == JSON_NULL && json_find(&f->message, into, name) != NULL)
            continue;
        int e = set_member(f, into, name, json_raw(&ev->edit, n));
        if (e < 0)
            return e;
    }
    return json_count(&f->message, into) <= FOLD_MEMBERS_MAX ? 0 : E_UPSTREAM_EVENT;
}

static int merge_usage(struct fold *f, struct fold_event *ev)
{
    struct json_node *root = json_root(&f->message);
    struct json_node *from = event_member(ev, S("usage"));
    struct json_node *into = json_find(&f->message, root, S("usage"));
    if (from == NULL || json_type(from) != JSON_OBJECT)
        return 0;
    if (fold_small(json_member(ev->root, S("usage"))) < 0)
        return E_UPSTREAM_EVENT;
    if (into != NULL && json_type(into) == JSON_OBJECT)
        return merge(f, into, ev, from);
    return set_member(f, root, S("usage"), json_raw(&ev->edit, from));
}

static int message_delta(struct fold *f, struct fold_event *ev)
{
    struct json_node *root = json_root(&f->message);
    yyjson_val *delta = json_member(ev->root, S("delta"));
    if (yyjson_is_obj(delta)) {
        int e = fold_small(delta);
        if (e == 0)
            e = merge(f, root, ev, event_member(ev, S("delta")));
        if (e < 0)
            return e;
    }
    struct json_node *management = event_member(ev, S("context_management"));
    if (management != NULL) {
        int e = set_member(f, root, S("context_management"), json_raw(&ev->edit, management));
        if (e < 0)
            return e;
    }
    if (json_member_str(delta, S("stop_reason")).n > 0)
        f->state = FOLD_FINISHED;
    return merge_usage(f, ev);
}

static int message_stop(struct fold *f, struct fold_event *ev)
{
    (void)ev;
    f->state = FOLD_ENDED;
    return 0;
}

int fold_messages_event(struct fold *f, struct fold_event *ev)
{
    static const struct {
        struct str kind;
        int (*run)(struct fold *f, struct fold_event *ev);
    } rows[] = {
        { S_INIT("content_block_delta"), block_delta }, { S_INIT("message_start"), message_start },
        { S_INIT("content_block_start"), block_start }, { S_INIT("message_delta"), message_delta },
        { S_INIT("message_stop"), message_stop },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!str_eq(ev->kind, rows[i].kind))
            continue;
        if (f->state == FOLD_START && rows[i].run != message_start)
            return E_UPSTREAM_EVENT;
        return rows[i].run(f, ev);
    }
    return 0;
}

/* --- the result --- */

static bool is_object_text(struct str text)
{
    yyjson_doc *doc;
    if (json_parse(text, &doc, NULL) < 0)
        return false;
    bool is_object = yyjson_is_obj(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return is_object;
}

/* The text of a JSON string. */
static struct str unquote(struct arena *a, struct str quoted)
{
    struct json_edit e;
    json_edit_init(&e, a, quoted);
    return json_string(&e, json_root(&e));
}

/* protocols.md C1.7.  Nothing broken is repaired: a guessed argument can make a tool do something
 * that nobody asked for. */
static struct str input_object(struct arena *a, struct str text)
{
    text = str_trim(text);
    if (text.n == 0 || str_eq(text, S("null")))
        return S("{}");
    if (is_object_text(text))
        return text;
    yyjson_doc *doc;
    if (text.p[0] == '"' && json_parse(text, &doc, NULL) == 0) { /* encoded twice */
        yyjson_doc_free(doc);
        struct str inner = unquote(a, text);
        if (is_object_text(inner))
            return inner;
    }
    struct str quoted = json_quote(a, text);
    return arena_cat(a, arena_cat(a, S("{\"__ccp_raw_arguments\":"), quoted), S("}"));
}

static struct str join3(struct arena *a, struct str x, struct str y, struct str z)
{
    return arena_cat(a, arena_cat(a, x, y), z);
}

/* The member's new value: what the block started with (or NULL) and what deltas added. */
static struct str grown_value(struct json_edit *e, struct json_node *started, enum delta_how how,
                              struct str pieces)
{
    struct arena *a = e->arena;
    struct str raw = json_raw(e, started);
    if (how == DELTA_JSON)
        return input_object(a, unquote(a, join3(a, S("\""), pieces, S("\""))));
    if (how == DELTA_ELEMENT) {
        if (started == NULL || json_type(started) != JSON_ARRAY)
            return join3(a, S("["), pieces, S("]"));
        struct str head = str_trim(str_slice(raw, 0, raw.n - 1));
        return join3(a, head.n > 1 ? arena_cat(a, head, S(",")) : head, pieces, S("]"));
    }
    if (how == DELTA_APPEND && started != NULL && json_type(started) == JSON_STRING)
        return join3(a, str_slice(raw, 0, raw.n - 1), pieces, S("\""));
    return join3(a, S("\""), pieces, S("\""));
}

/* Clients read the input of a tool call unasked. */
static void complete_input(struct json_edit *e, struct json_node *block)
{
    if (!str_ends(json_string(e, json_find(e, block, S("type"))), S("tool_use")))
        return;
    struct json_node *input = json_find(e, block, S("input"));
    if (input == NULL || json_type(input) != JSON_OBJECT)
        json_set(e, block, S("input"), S("{}"));
}

static void write_block(const struct fold_part *part, struct buf *out)
{
    struct arena a;
    struct json_edit e;
    arena_init(&a, SIZE_MAX);
    json_edit_init(&e, &a, buf_str(&part->start));
    struct json_node *block = json_root(&e);
    for (size_t i = 0; i < ARRAY_LEN(deltas); i++) {
        struct str pieces = buf_str(&part->grown[i]);
        if (pieces.n == 0)
            continue;
        struct json_node *started = json_find(&e, block, deltas[i].to);
        json_set(&e, block, deltas[i].to, grown_value(&e, started, deltas[i].how, pieces));
    }
    complete_input(&e, block);
    buf_add(out, json_edit_text(&e));
    arena_done(&a);
}

void fold_messages_result(struct fold *f, struct buf *out)
{
    struct json_node *root = json_root(&f->message);
    struct json_node *content = json_find(&f->message, root, S("content"));
    if (f->part_count > 0 || content == NULL || json_type(content) != JSON_ARRAY) {
        struct buf blocks;
        buf_init(&blocks, SIZE_MAX);
        buf_add_byte(&blocks, '[');
        for (size_t i = 0; i < f->part_count; i++) {
            if (i > 0)
                buf_add_byte(&blocks, ',');
            write_block(f->parts[i], &blocks);
        }
        buf_add_byte(&blocks, ']');
        json_set(&f->message, root, S("content"), buf_str(&blocks));
        buf_done(&blocks);
    }
    buf_add(out, json_edit_text(&f->message));
}

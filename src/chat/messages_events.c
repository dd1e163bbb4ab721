/*
 * The reply of an Anthropic Messages upstream: A1.9, B1, C1.11 of protocols.md.
 *
 * A whole message is read as a stream whose blocks come complete: block_open() takes what
 * content the block has from the beginning, which in a real stream is nothing.
 */
#include "args.h"
#include "codec.h"
#include "emit.h"
#include "err.h"
#include "error.h"
#include "json.h"
#include "member.h"

enum { OPEN_BLOCKS_MAX = 1024 };

enum block_kind { BLOCK_TEXT, BLOCK_THINKING, BLOCK_REDACTED, BLOCK_CALL, BLOCK_SEARCH };

struct block {
    struct block *next;
    int64_t index;
    enum block_kind kind;
    uint32_t part;
    bool has_delta;
    bool closed; /* its stop is held until the next event tells whether it was cut off (E116) */
    struct text_held held;
    struct buf text;   /* THINKING: the exact text; SEARCH: its input, plain */
    struct buf opaque; /* THINKING: signature; REDACTED: data; CALL: arguments that came whole */
};

/* Counters as Messages counts them: the three of the input add up. */
struct counters {
    int64_t input, creation, read, output, thinking;
};

struct decoder {
    struct block *open, *unused;
    unsigned open_count;
    struct counters counters;
    bool started, stopped;
    enum stop_reason stop;
    struct buf stop_sequence, explanation, category;
};

const size_t messages_decoder_size = sizeof(struct decoder);

void messages_decoder_init(struct convert *c, void *decoder)
{
    struct decoder *d = decoder;
    size_t limit = c->options.reply_limit_bytes;
    d->counters = (struct counters){ -1, -1, -1, -1, -1 };
    buf_init(&d->stop_sequence, limit);
    buf_init(&d->explanation, limit);
    buf_init(&d->category, limit);
}

void messages_decoder_done(void *decoder)
{
    struct decoder *d = decoder;
    for (struct block *b = d->open; b != NULL; b = b->next) {
        buf_done(&b->text);
        buf_done(&b->opaque);
    }
    buf_done(&d->stop_sequence);
    buf_done(&d->explanation);
    buf_done(&d->category);
}

static struct text buf_text(const struct buf *b)
{
    struct str s = buf_str(b);
    return (struct text){ s.p, s.n };
}

static int overflow(const struct buf *b)
{
    return b->overflow ? E_UPSTREAM_EVENT : 0;
}

/* ---- the message as a whole ---- */

static int start(struct convert *c, struct decoder *d, struct json_node *message)
{
    if (d->started)
        return 0;
    d->started = true;
    struct chat_event ev = { .kind = EVENT_START };
    ev.start.id = member_str(c, message, S("id"));
    ev.start.model = member_str(c, message, S("model"));
    ev.start.created = -1;
    ev.start.service_tier = member_str(c, member_node(c, message, S("usage")), S("service_tier"));
    return emit(c, &ev);
}

static void restate(struct convert *c, struct json_node *usage, struct str name, int64_t *counter)
{
    int64_t n = member_i64(c, usage, name);
    if (n >= 0)
        *counter = n;
}

static int64_t known(int64_t n)
{
    return n < 0 ? 0 : n;
}

static int usage(struct convert *c, struct decoder *d, struct json_node *node)
{
    struct counters *n = &d->counters;
    if (node == NULL)
        return 0;
    restate(c, node, S("input_tokens"), &n->input);
    restate(c, node, S("cache_creation_input_tokens"), &n->creation);
    restate(c, node, S("cache_read_input_tokens"), &n->read);
    restate(c, node, S("output_tokens"), &n->output);
    restate(c, member_node(c, node, S("output_tokens_details")), S("thinking_tokens"),
            &n->thinking);

    struct chat_event ev = { .kind = EVENT_USAGE, .usage = usage_unknown };
    if (n->input >= 0 || n->creation >= 0 || n->read >= 0)
        ev.usage.prompt = known(n->input) + known(n->creation) + known(n->read);
    ev.usage.cache_read = n->read;
    ev.usage.cache_write = n->creation;
    ev.usage.output = n->output;
    ev.usage.reasoning = n->thinking;
    return emit(c, &ev);
}

static enum stop_reason stop_of(struct str word)
{
    static const struct str names[] = {
#define STOP(id, messages, chat, status, reason) S_INIT(messages),
#include "stops.def"
#undef STOP
    };
    for (int i = 0; i < STOP_COUNT; i++) {
        if (str_eq(names[i], word))
            return (enum stop_reason)i;
    }
    return STOP_END;
}

static int keep(struct buf *b, struct str s)
{
    buf_clear(b);
    buf_add(b, s);
    return overflow(b);
}

/* node: a message or a message_delta's delta.  The last stop reason wins. */
static int stop_reason(struct convert *c, struct decoder *d, struct json_node *node, bool must_have)
{
    struct str word = member_str(c, node, S("stop_reason"));
    if (word.n == 0 && !must_have)
        return 0;
    struct json_node *details = member_node(c, node, S("stop_details"));
    struct text sequence = member_text(c, node, S("stop_sequence"));
    struct text explanation = member_text(c, details, S("explanation"));
    d->stopped = true;
    d->stop = stop_of(word);
    int e = keep(&d->stop_sequence, (struct str){ sequence.p, sequence.n });
    if (e == 0)
        e = keep(&d->explanation, (struct str){ explanation.p, explanation.n });
    if (e == 0)
        e = keep(&d->category, member_str(c, details, S("category")));
    return e;
}

/* ---- blocks ---- */

static struct block *block_find(struct decoder *d, int64_t index)
{
    struct block *b = d->open;
    while (b != NULL && b->index != index)
        b = b->next;
    return b;
}

static struct block *block_new(struct convert *c, struct decoder *d, int64_t index)
{
    if (d->open_count == OPEN_BLOCKS_MAX)
        return NULL;
    struct block *b = d->unused;
    if (b != NULL)
        d->unused = b->next;
    else
        b = arena_new(&c->arena, struct block, 1);
    *b = (struct block){ .index = index, .next = d->open };
    buf_init(&b->text, c->options.reply_limit_bytes);
    buf_init(&b->opaque, c->options.reply_limit_bytes);
    d->open = b;
    d->open_count++;
    return b;
}

static void block_drop(struct decoder *d, struct block *b)
{
    struct block **at = &d->open;
    while (*at != b)
        at = &(*at)->next;
    *at = b->next;
    buf_done(&b->text);
    buf_done(&b->opaque);
    b->next = d->unused;
    d->unused = b;
    d->open_count--;
}

static int thinking(struct convert *c, struct block *b, struct str inside)
{
    text_add(&b->text, text_join(&b->held, c->temp, inside));
    int e = overflow(&b->text);
    return e == 0 ? emit_delta(c, b->part, inside) : e;
}

static int citation(struct convert *c, struct block *b, struct json_node *node)
{
    struct chat_event ev = { .kind = EVENT_CITATION, .part = b->part };
    ev.citation.url = member_text(c, node, S("url"));
    ev.citation.title = member_text(c, node, S("title"));
    ev.citation.from = ev.citation.to = -1;
    /* places in the client's own documents have no URL; nobody else can show them */
    return ev.citation.url.n == 0 ? 0 : emit(c, &ev);
}

static int citations(struct convert *c, struct block *b, struct json_node *list)
{
    int e = 0;
    for (struct json_node *n = json_first(&c->doc, list); e == 0 && n != NULL; n = json_next(n))
        e = citation(c, b, n);
    return e;
}

static int piece(struct convert *c, struct block *b, struct str inside)
{
    if (inside.n == 0)
        return 0;
    b->has_delta = true;
    return emit_delta(c, b->part, inside);
}

/* `input` that is there at a block's start: {} in streams, the arguments in whole messages. */
static int keep_input(struct convert *c, struct block *b, struct json_node *node)
{
    struct json_node *input = member_node(c, node, S("input"));
    if (input == NULL || (json_type(input) == JSON_OBJECT && json_first(&c->doc, input) == NULL))
        return 0;
    struct str raw = member_raw(c, node, S("input"));
    buf_add(&b->opaque, b->kind == BLOCK_CALL ? args_text(c->temp, raw) : raw);
    return overflow(&b->opaque);
}

/* What a block holds from the beginning. */
static int block_content(struct convert *c, struct block *b, struct json_node *node)
{
    struct text opaque = { 0 };
    struct str inside;
    int e = 0;
    switch (b->kind) {
    case BLOCK_TEXT:
        e = piece(c, b, member_inside(c, node, S("text")));
        return e == 0 ? citations(c, b, member_node(c, node, S("citations"))) : e;
    case BLOCK_THINKING:
        inside = member_inside(c, node, S("thinking"));
        if (inside.n > 0)
            e = thinking(c, b, inside);
        opaque = member_text(c, node, S("signature"));
        break;
    case BLOCK_REDACTED:
        opaque = member_text(c, node, S("data"));
        break;
    case BLOCK_CALL:
    case BLOCK_SEARCH:
        return keep_input(c, b, node);
    }
    text_add(&b->opaque, opaque);
    return e == 0 ? overflow(&b->opaque) : e;
}

static const struct {
    struct str type;
    enum block_kind kind;
    enum part_kind part;
} block_kinds[] = {
    { S_INIT("text"), BLOCK_TEXT, PART_TEXT },
    { S_INIT("thinking"), BLOCK_THINKING, PART_REASONING },
    { S_INIT("redacted_thinking"), BLOCK_REDACTED, PART_REASONING },
    { S_INIT("tool_use"), BLOCK_CALL, PART_CALL },
    { S_INIT("server_tool_use"), BLOCK_SEARCH, PART_SEARCH },
};

/* Blocks of other kinds are left out: nothing is open under their index. */
static int block_open(struct convert *c, struct decoder *d, int64_t index, struct json_node *node)
{
    struct str type = member_str(c, node, S("type"));
    size_t i = 0;
    while (i < ARRAY_LEN(block_kinds) && !str_eq(block_kinds[i].type, type))
        i++;
    if (i == ARRAY_LEN(block_kinds))
        return 0;
    if (block_kinds[i].kind == BLOCK_SEARCH && !member_is(c, node, S("name"), S("web_search")))
        return 0;

    struct block *b = block_new(c, d, index);
    if (b == NULL)
        return E_UPSTREAM_EVENT;
    b->kind = block_kinds[i].kind;
    b->part = emit_next_part(c);
    struct chat_event ev = { .kind = EVENT_PART_START, .part = b->part };
    ev.part_start.kind = block_kinds[i].part;
    if (b->kind == BLOCK_CALL || b->kind == BLOCK_SEARCH) {
        ev.part_start.call_id = member_str(c, node, S("id"));
        ev.part_start.name = member_str(c, node, S("name"));
        ev.part_start.tool = b->kind == BLOCK_CALL ? CHAT_TOOL_FUNCTION : CHAT_TOOL_WEB_SEARCH;
    }
    int e = emit(c, &ev);
    return e == 0 ? block_content(c, b, node) : e;
}

static int block_delta(struct convert *c, struct block *b, struct json_node *delta)
{
    struct str type = member_str(c, delta, S("type"));
    if (b->kind == BLOCK_TEXT && str_eq(type, S("text_delta")))
        return piece(c, b, member_inside(c, delta, S("text")));
    if (b->kind == BLOCK_TEXT && str_eq(type, S("citations_delta")))
        return citation(c, b, member_node(c, delta, S("citation")));
    if (b->kind == BLOCK_THINKING && str_eq(type, S("thinking_delta")))
        return thinking(c, b, member_inside(c, delta, S("thinking")));
    if (b->kind == BLOCK_THINKING && str_eq(type, S("signature_delta"))) {
        buf_clear(&b->opaque); /* a second one replaces the first, as in the SDK */
        text_add(&b->opaque, member_text(c, delta, S("signature")));
        return overflow(&b->opaque);
    }
    if (b->kind == BLOCK_CALL && str_eq(type, S("input_json_delta")))
        return piece(c, b, member_inside(c, delta, S("partial_json")));
    if (b->kind == BLOCK_SEARCH && str_eq(type, S("input_json_delta"))) {
        buf_add(&b->text, member_str(c, delta, S("partial_json")));
        return overflow(&b->text);
    }
    return 0;
}

static int search_query(struct convert *c, struct block *b)
{
    struct str input = buf_len(&b->text) > 0 ? buf_str(&b->text) : buf_str(&b->opaque);
    yyjson_doc *doc;
    if (input.n == 0 || json_parse(input, &doc, NULL) < 0)
        return 0;
    struct text query = text_escape(c->temp, json_member_str(yyjson_doc_get_root(doc), S("query")));
    int e = query.n == 0 ? 0 : emit_delta(c, b->part, (struct str){ query.p, query.n });
    yyjson_doc_free(doc);
    return e;
}

static int block_close(struct convert *c, struct decoder *d, struct block *b, bool cut)
{
    struct chat_proof proof = { 0 };
    int e = 0;
    if (b->kind == BLOCK_THINKING) {
        text_add(&b->text, text_join_end(&b->held));
        e = overflow(&b->text);
        proof.kind = buf_len(&b->opaque) > 0 ? CHAT_PROOF_THINKING : CHAT_PROOF_NONE;
        proof.thinking = buf_text(&b->text);
        proof.opaque = buf_text(&b->opaque);
    } else if (b->kind == BLOCK_REDACTED) {
        proof.kind = CHAT_PROOF_REDACTED;
        proof.opaque = buf_text(&b->opaque);
    } else if (b->kind == BLOCK_SEARCH) {
        e = search_query(c, b);
    } else if (b->kind == BLOCK_CALL && !b->has_delta && buf_len(&b->opaque) > 0) {
        struct text t = text_escape(c->temp, buf_str(&b->opaque));
        e = emit_delta(c, b->part, (struct str){ t.p, t.n });
    }
    if (e == 0)
        e = emit_stop(c, b->part, &proof, cut);
    block_drop(d, b);
    return e;
}

/* ---- events ---- */

/* In the order in which they were opened. */
static int close_blocks(struct convert *c, struct decoder *d, bool open_too, bool cut)
{
    int e = 0;
    while (e == 0) {
        struct block *first = NULL;
        for (struct block *b = d->open; b != NULL; b = b->next)
            first = b->closed || open_too ? b : first;
        if (first == NULL)
            break;
        e = block_close(c, d, first, cut);
    }
    return e;
}

static int finish(struct convert *c, struct decoder *d)
{
    bool cut = d->stop == STOP_LENGTH || d->stop == STOP_CONTEXT || d->stop == STOP_REFUSAL;
    int e = start(c, d, NULL);
    if (e == 0)
        e = close_blocks(c, d, true, cut);
    struct chat_event ev = { .kind = EVENT_FINISH };
    ev.finish.reason = d->stop;
    ev.finish.stop_sequence = buf_text(&d->stop_sequence);
    ev.finish.explanation = buf_text(&d->explanation);
    ev.finish.category = buf_str(&d->category);
    if (e == 0)
        e = emit(c, &ev);
    return e == 0 ? emit_end(c) : e;
}

static int message_start(struct convert *c, struct decoder *d, struct json_node *root)
{
    struct json_node *message = member_node(c, root, S("message"));
    if (d->started)
        return 0;
    int e = start(c, d, message);
    return e == 0 ? usage(c, d, member_node(c, message, S("usage"))) : e;
}

static int message_delta(struct convert *c, struct decoder *d, struct json_node *root)
{
    int e = start(c, d, NULL);
    if (e == 0)
        e = usage(c, d, member_node(c, root, S("usage")));
    if (e == 0)
        e = stop_reason(c, d, member_node(c, root, S("delta")), false);
    emit_begin(c); /* the finish itself waits for message_stop: the last reason wins */
    return e;
}

static int content_block_start(struct convert *c, struct decoder *d, struct json_node *root)
{
    int64_t index = member_i64(c, root, S("index"));
    struct block *before = block_find(d, index);
    if (before != NULL)
        before->closed = true;
    int e = start(c, d, NULL);
    if (e == 0)
        e = close_blocks(c, d, false, false);
    return e == 0 ? block_open(c, d, index, member_node(c, root, S("content_block"))) : e;
}

static int content_block_delta(struct convert *c, struct decoder *d, struct json_node *root)
{
    struct block *b = block_find(d, member_i64(c, root, S("index")));
    return b == NULL || b->closed ? 0 : block_delta(c, b, member_node(c, root, S("delta")));
}

static int content_block_stop(struct convert *c, struct decoder *d, struct json_node *root)
{
    struct block *b = block_find(d, member_i64(c, root, S("index")));
    if (b != NULL)
        b->closed = true;
    return 0;
}

static int message_stop(struct convert *c, struct decoder *d, struct json_node *root)
{
    (void)root;
    return finish(c, d); /* without a stop reason: a natural end */
}

static int error(struct convert *c, struct json_node *root)
{
    struct event_error e;
    error_of(&c->doc, c->temp, root, 0, &e);
    return emit_error(c, e.status, e.type, e.code, e.message);
}

int messages_decode_event(struct convert *c, void *decoder, struct str name, struct json_node *root)
{
    static const struct {
        struct str type;
        int (*run)(struct convert *c, struct decoder *d, struct json_node *root);
    } rows[] = {
        { S_INIT("message_start"), message_start },
        { S_INIT("content_block_start"), content_block_start },
        { S_INIT("content_block_delta"), content_block_delta },
        { S_INIT("content_block_stop"), content_block_stop },
        { S_INIT("message_delta"), message_delta },
        { S_INIT("message_stop"), message_stop },
    };
    struct str type = member_str(c, root, S("type"));
    if (type.n == 0)
        type = name;
    if (str_eq(name, S("error")) || str_eq(type, S("error")))
        return error(c, root);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (str_eq(rows[i].type, type))
            return rows[i].run(c, decoder, root);
    }
    return 0;
}

int messages_decode_end(struct convert *c, void *decoder, bool done_marker)
{
    struct decoder *d = decoder;
    (void)done_marker;
    if (c->ended)
        return 0;
    return d->stopped ? finish(c, d) : E_UPSTREAM_STREAM;
}

int messages_decode_body(struct convert *c, void *decoder, struct json_node *root)
{
    struct decoder *d = decoder;
    struct json_node *content = member_node(c, root, S("content"));
    if (content == NULL || json_type(content) != JSON_ARRAY)
        return E_UPSTREAM_EVENT;

    int e = start(c, d, root);
    if (e == 0)
        e = usage(c, d, member_node(c, root, S("usage")));
    int64_t index = 0;
    for (struct json_node *n = json_first(&c->doc, content); e == 0 && n != NULL;
         n = json_next(n), index++) {
        e = close_blocks(c, d, true, false);
        if (e == 0)
            e = block_open(c, d, index, n);
    }
    if (e == 0)
        e = stop_reason(c, d, root, true);
    return e == 0 ? finish(c, d) : e;
}

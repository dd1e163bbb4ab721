#include "codec.h"

#include "emit.h"
#include "err.h"
#include "error.h"
#include "member.h"
#include "responses_items.h"

/* The reply so far. */
struct reader {
    struct items items;
    bool started, ended;
};

const size_t responses_decoder_size = sizeof(struct reader);

void responses_decoder_init(struct convert *c, void *decoder)
{
    (void)c;
    *(struct reader *)decoder = (struct reader){ .started = false };
}

void responses_decoder_done(void *decoder)
{
    struct reader *d = decoder;
    items_done(&d->items);
}

/* ---- start and end ---- */

static int start(struct convert *c, struct reader *d, struct json_node *response)
{
    if (d->started)
        return 0;
    d->started = true;
    return emit_start(c, response, S("created_at"));
}

static int usage(struct convert *c, struct json_node *n)
{
    if (n == NULL || json_type(n) != JSON_OBJECT)
        return 0;
    struct json_node *in = member_node(c, n, S("input_tokens_details"));
    struct json_node *out = member_node(c, n, S("output_tokens_details"));
    struct chat_event ev = { .kind = EVENT_USAGE };
    ev.usage = (struct event_usage){
        .prompt = member_i64(c, n, S("input_tokens")),
        .cache_read = member_i64(c, in, S("cached_tokens")),
        .cache_write = member_i64(c, in, S("cache_write_tokens")),
        .output = member_i64(c, n, S("output_tokens")),
        .reasoning = member_i64(c, out, S("reasoning_tokens")),
    };
    int64_t total = member_i64(c, n, S("total_tokens"));
    /* servers that count reasoning apart (C1.11) */
    if (ev.usage.reasoning > ev.usage.output && ev.usage.output >= 0 && ev.usage.prompt >= 0 &&
        total == ev.usage.prompt + ev.usage.output + ev.usage.reasoning)
        ev.usage.output += ev.usage.reasoning;
    return emit(c, &ev);
}

/* root: whatever holds the error. */
static int fail(struct convert *c, struct reader *d, struct json_node *root)
{
    struct event_error e;
    error_of(&c->doc, c->temp, root, 0, &e);
    if (e.status == 502) /* only a code, and an unknown one (C3.5) */
        e.status = str_contains(e.code, S("image")) ? 400 : 500;
    d->ended = true;
    return emit_error(c, e.status, e.type, e.code, e.message);
}

/* A response that says it failed; perhaps not why. */
static int fail_response(struct convert *c, struct reader *d, struct json_node *response)
{
    if (member_node(c, response, S("error")) != NULL)
        return fail(c, d, response);
    d->ended = true;
    return emit_error(c, 500, S(""), S(""), S("the upstream could not complete the reply"));
}

static enum stop_reason stop_of(struct convert *c, const struct reader *d, struct str status,
                                struct json_node *response)
{
    struct json_node *details = member_node(c, response, S("incomplete_details"));
    if (!str_eq(status, S("incomplete")))
        return d->items.client_call ? STOP_TOOL : STOP_END;
    if (member_is(c, details, S("reason"), S("max_output_tokens")))
        return STOP_LENGTH;
    return member_is(c, details, S("reason"), S("content_filter")) ? STOP_REFUSAL : STOP_END;
}

/* A whole response object, of the terminal event or of a plain reply. */
static int finish(struct convert *c, struct reader *d, struct str status,
                  struct json_node *response)
{
    bool cut = str_eq(status, S("incomplete"));
    struct json_node *output = member_node(c, response, S("output"));
    int64_t at = 0;
    int r = start(c, d, response);
    for (struct json_node *n = json_first(&c->doc, output); n != NULL && r == 0;
         n = json_next(n), at++) {
        struct item *it = items_match(c, &d->items, at, n);
        r = it == NULL ? E_UPSTREAM_EVENT : item_whole(c, &d->items, it, n);
    }
    if (r == 0)
        r = items_finish(c, &d->items, cut);
    if (r == 0)
        r = usage(c, member_node(c, response, S("usage")));
    if (r < 0)
        return r;
    struct chat_event ev = { .kind = EVENT_FINISH };
    ev.finish.reason = stop_of(c, d, status, response);
    ev.finish.filtered = ev.finish.reason == STOP_REFUSAL;
    r = emit(c, &ev);
    d->ended = true;
    return r < 0 ? r : emit_end(c);
}

/* ---- events ---- */

struct row {
    struct str type;
    int (*take)(struct convert *c, struct reader *d, const struct row *row, struct json_node *root);
    struct str member; /* pieces: where the text is; terminal events: the status they mean */
    struct str number; /* pieces: the index within the item */
    enum item_family family;
    bool whole;
};

static struct item *item_of(struct convert *c, struct reader *d, struct json_node *root)
{
    struct json_node *item = member_node(c, root, S("item"));
    struct str id = item != NULL ? member_str(c, item, S("id")) : member_str(c, root, S("item_id"));
    return items_get(c, &d->items, member_i64(c, root, S("output_index")), id);
}

static int on_begin(struct convert *c, struct reader *d, const struct row *row,
                    struct json_node *root)
{
    (void)row;
    return start(c, d, member_node(c, root, S("response")));
}

static int on_item(struct convert *c, struct reader *d, const struct row *row,
                   struct json_node *root)
{
    struct json_node *node = member_node(c, root, S("item"));
    struct item *it = item_of(c, d, root);
    if (it == NULL || node == NULL || json_type(node) != JSON_OBJECT)
        return E_UPSTREAM_EVENT;
    return row->whole ? item_whole(c, &d->items, it, node) : item_added(c, &d->items, it, node);
}

static int on_piece(struct convert *c, struct reader *d, const struct row *row,
                    struct json_node *root)
{
    struct item *it = item_of(c, d, root);
    if (it == NULL)
        return E_UPSTREAM_EVENT;
    struct event_delta delta = { .raw = member_inside(c, root, row->member) };
    if (row->family == FAMILY_TEXT)
        delta.logprobs = member_elements(c, root, S("logprobs"));
    return item_piece(c, it, row->family, member_i64(c, root, row->number), &delta, row->whole);
}

static int on_annotation(struct convert *c, struct reader *d, const struct row *row,
                         struct json_node *root)
{
    (void)row;
    struct item *it = item_of(c, d, root);
    return it == NULL ? E_UPSTREAM_EVENT
                      : item_annotation(c, it, member_node(c, root, S("annotation")));
}

static int on_end(struct convert *c, struct reader *d, const struct row *row,
                  struct json_node *root)
{
    struct json_node *response = member_node(c, root, S("response"));
    struct str status = member_str(c, response, S("status"));
    if (status.n == 0 || str_eq(status, S("in_progress")) || str_eq(status, S("queued")))
        status = row->member; /* the event knows better */
    if (str_eq(status, S("failed")) || str_eq(status, S("cancelled")))
        return fail_response(c, d, response);
    return finish(c, d, status, response);
}

/* Documented flat, in reality nested: both are read (B3). */
static int on_error(struct convert *c, struct reader *d, const struct row *row,
                    struct json_node *root)
{
    (void)row;
    return fail(c, d, root);
}

#define PIECE(type, member, number, family, whole)                                        \
    {                                                                                     \
        S_INIT("response." type), on_piece, S_INIT(member), S_INIT(number), family, whole \
    }
#define OTHER(type, take, member, whole)                                               \
    {                                                                                  \
        S_INIT("response." type), take, S_INIT(member), S_INIT(""), FAMILY_NONE, whole \
    }

static const struct row rows[] = {
    PIECE("output_text.delta", "delta", "content_index", FAMILY_TEXT, false),
    PIECE("function_call_arguments.delta", "delta", "", FAMILY_ARGUMENTS, false),
    PIECE("reasoning_summary_text.delta", "delta", "summary_index", FAMILY_SUMMARY, false),
    PIECE("reasoning_text.delta", "delta", "content_index", FAMILY_REASONING, false),
    PIECE("custom_tool_call_input.delta", "delta", "", FAMILY_INPUT, false),
    PIECE("refusal.delta", "delta", "content_index", FAMILY_REFUSAL, false),
    PIECE("output_text.done", "text", "content_index", FAMILY_TEXT, true),
    PIECE("function_call_arguments.done", "arguments", "", FAMILY_ARGUMENTS, true),
    PIECE("reasoning_summary_text.done", "text", "summary_index", FAMILY_SUMMARY, true),
    PIECE("reasoning_text.done", "text", "content_index", FAMILY_REASONING, true),
    PIECE("custom_tool_call_input.done", "input", "", FAMILY_INPUT, true),
    PIECE("refusal.done", "refusal", "content_index", FAMILY_REFUSAL, true),
    OTHER("output_text.annotation.added", on_annotation, "", false),
    OTHER("output_item.added", on_item, "", false),
    OTHER("output_item.done", on_item, "", true),
    OTHER("created", on_begin, "", false),
    OTHER("queued", on_begin, "", false),
    OTHER("in_progress", on_begin, "", false),
    OTHER("completed", on_end, "completed", false),
    OTHER("incomplete", on_end, "incomplete", false),
    OTHER("failed", on_end, "failed", false),
    OTHER("cancelled", on_end, "cancelled", false),
};

int responses_decode_event(struct convert *c, void *decoder, struct str event,
                           struct json_node *root)
{
    struct reader *d = decoder;
    struct str type = member_str(c, root, S("type"));
    if (d->ended)
        return 0;
    if (type.n == 0 && event.n == 0 && member_node(c, root, S("error")) != NULL)
        type = S("error");
    if (type.n == 0)
        type = event;
    if (str_eq(event, S("error")) || str_eq(type, S("error")))
        return on_error(c, d, NULL, root);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (str_eq(rows[i].type, type)) {
            bool ends = rows[i].take == on_end; /* may fail before anything began */
            int r = ends ? 0 : start(c, d, member_node(c, root, S("response")));
            return r < 0 ? r : rows[i].take(c, d, &rows[i], root);
        }
    return 0;
}

/* Only a terminal event ends a reply (C5). */
int responses_decode_end(struct convert *c, void *decoder, bool done_marker)
{
    struct reader *d = decoder;
    (void)c;
    (void)done_marker;
    return d->ended ? 0 : E_UPSTREAM_STREAM;
}

int responses_decode_body(struct convert *c, void *decoder, struct json_node *root)
{
    struct reader *d = decoder;
    struct json_node *output = member_node(c, root, S("output"));
    struct json_node *error = member_node(c, root, S("error"));
    struct str status = member_str(c, root, S("status"));
    if (error != NULL || str_eq(status, S("failed")) || str_eq(status, S("cancelled")))
        return fail_response(c, d, root);
    if (output == NULL || json_type(output) != JSON_ARRAY || str_eq(status, S("queued")) ||
        str_eq(status, S("in_progress")))
        return E_UPSTREAM_EVENT;
    return finish(c, d, status, root);
}

#include "codec.h"

#include <string.h>

#include "emit.h"
#include "err.h"
#include "error.h"
#include "responses_object.h"

/* A stream under way. */
struct writer {
    struct reply reply; /* the events so far: the last one repeats the whole reply */
    struct responses_output out;
    struct responses_item **of_part; /* by the part's number; NULL: not emitted yet */
    uint32_t cap;
    struct responses_item *message; /* the last one, while it is open */
    bool begun, said;
    uint64_t sequence;
    struct buf *json; /* the event at hand; c->json */
    struct json_out o;
};

const size_t responses_encoder_size = sizeof(struct writer);

void responses_encoder_init(struct convert *c, void *encoder)
{
    struct writer *w = encoder;
    reply_init(&w->reply, &c->arena, c->options.reply_limit_bytes);
    w->json = &c->json;
}

void responses_encoder_done(void *encoder)
{
    struct writer *w = encoder;
    reply_done(&w->reply);
}

/* ---- one event ---- */

static struct json_out *event_begin(struct writer *w, struct str type)
{
    json_out_init(&w->o, w->json);
    json_out_object(&w->o);
    json_out_member_str(&w->o, S("type"), type);
    json_out_member_i64(&w->o, S("sequence_number"), (int64_t)w->sequence++);
    return &w->o;
}

static void event_end(struct convert *c, struct writer *w, struct str type)
{
    json_out_object_end(&w->o);
    emit_sse(c, type, w->json);
}

static void response_event(struct convert *c, struct writer *w, struct str type, struct str status,
                           const struct event_error *error)
{
    struct json_out *o = event_begin(w, type);
    json_out_name(o, S("response"));
    responses_object_write(c, o, &w->reply, &w->out, status, error);
    event_end(c, w, type);
}

static void item_event(struct convert *c, struct writer *w, const struct responses_item *it,
                       struct str type, enum responses_status status)
{
    struct json_out *o = event_begin(w, type);
    json_out_member_i64(o, S("output_index"), it->index);
    json_out_name(o, S("item"));
    responses_item_write(c, o, it, status);
    event_end(c, w, type);
}

static void item_added(struct convert *c, struct writer *w, struct responses_item *it)
{
    responses_item_emit(c, &w->out, it);
    item_event(c, w, it, S("response.output_item.added"), RESPONSES_IN_PROGRESS);
}

static void item_done(struct convert *c, struct writer *w, struct responses_item *it)
{
    it->state = RESPONSES_DONE;
    item_event(c, w, it, S("response.output_item.done"),
               it->cut ? RESPONSES_INCOMPLETE : RESPONSES_COMPLETED);
}

/* An event about a piece of an item; number: content_index, summary_index or none. */
static struct json_out *piece_begin(struct writer *w, const struct responses_item *it,
                                    struct str type, struct str number, uint32_t value)
{
    struct json_out *o = event_begin(w, type);
    json_out_member_str(o, S("item_id"), it->id);
    json_out_member_i64(o, S("output_index"), it->index);
    if (number.n > 0)
        json_out_member_i64(o, number, value);
    return o;
}

static void piece_text(struct convert *c, struct writer *w, const struct responses_item *it,
                       struct str type, struct str number, uint32_t value, struct str member,
                       struct text text)
{
    struct json_out *o = piece_begin(w, it, type, number, value);
    json_out_member_text(o, member, text);
    event_end(c, w, type);
}

/* ---- messages ---- */

/* Where the content part at hand begins: the pieces of the last kind. */
static const struct responses_piece *content_first(const struct responses_item *it)
{
    const struct responses_piece *first = it->pieces;
    for (const struct responses_piece *p = first; p != NULL; p = p->next)
        if (p->part->kind != first->part->kind)
            first = p;
    return first;
}

static bool content_is_refusal(const struct responses_item *it)
{
    return it->last == NULL || it->last->part->kind == PART_REFUSAL;
}

static void content_open(struct convert *c, struct writer *w, struct responses_item *it)
{
    struct str type = S("response.content_part.added");
    struct json_out *o = piece_begin(w, it, type, S("content_index"), it->content_index);
    json_out_member_raw(
        o, S("part"),
        content_is_refusal(it)
            ? S("{\"type\":\"refusal\",\"refusal\":\"\"}")
            : S("{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[],\"logprobs\":[]}"));
    event_end(c, w, type);
    it->content_open = true;
    it->annotation_index = 0;
    it->chars = 0;
}

static void content_close(struct convert *c, struct writer *w, struct responses_item *it)
{
    bool refusal = content_is_refusal(it);
    const struct responses_piece *first = content_first(it);
    struct str type = refusal ? S("response.refusal.done") : S("response.output_text.done");
    struct json_out *o = piece_begin(w, it, type, S("content_index"), it->content_index);
    json_out_name(o, refusal ? S("refusal") : S("text"));
    if (first == NULL)
        json_out_text(o, it->refusal);
    else
        responses_run_write(o, first);
    if (!refusal)
        responses_run_logprobs(o, first);
    event_end(c, w, type);
    type = S("response.content_part.done");
    o = piece_begin(w, it, type, S("content_index"), it->content_index);
    json_out_name(o, S("part"));
    responses_content_write(c, o, it, first);
    event_end(c, w, type);
    it->content_open = false;
    it->content_index++;
}

static void content_delta(struct convert *c, struct writer *w, struct responses_item *it,
                          struct text text, struct str logprobs)
{
    bool refusal = content_is_refusal(it);
    struct str type = refusal ? S("response.refusal.delta") : S("response.output_text.delta");
    struct json_out *o = piece_begin(w, it, type, S("content_index"), it->content_index);
    json_out_member_text(o, S("delta"), text);
    if (!refusal)
        json_out_member_raw(o, S("logprobs"), logprobs.n > 0 ? logprobs : S("[]"));
    event_end(c, w, type);
}

static void message_close(struct convert *c, struct writer *w, struct responses_item *it)
{
    if (it->content_open)
        content_close(c, w, it);
    item_done(c, w, it);
    if (w->message == it)
        w->message = NULL;
}

/* The item of a text part, at its first text. */
static struct responses_item *message_for(struct convert *c, struct writer *w,
                                          const struct reply_part *p)
{
    struct responses_item *it = w->message;
    w->said = true;
    if (it != NULL && responses_continues(it, p)) {
        if (it->last->part->kind != p->kind && it->content_open)
            content_close(c, w, it);
        responses_item_add(c, it, p);
    } else {
        if (it != NULL && it->last->part->stopped)
            message_close(c, w, it);
        else if (it != NULL)
            it->closing = true;
        it = responses_item_new(c, p);
        w->message = it;
        item_added(c, w, it);
    }
    if (!it->content_open)
        content_open(c, w, it);
    return it;
}

/* An item of another kind begins: one item at a time, where the upstream lets us. */
static void message_leave(struct convert *c, struct writer *w)
{
    struct responses_item *it = w->message;
    if (it == NULL)
        return;
    w->message = NULL;
    if (it->last == NULL || it->last->part->stopped)
        message_close(c, w, it);
    else
        it->closing = true;
}

static void text_stop(struct convert *c, struct writer *w, struct responses_item *it,
                      const struct reply_part *p)
{
    struct str type = S("response.output_text.annotation.added");
    for (const struct reply_citation *a = p->citations; a != NULL; a = a->next) {
        struct json_out *o = piece_begin(w, it, type, S("content_index"), it->content_index);
        json_out_member_i64(o, S("annotation_index"), it->annotation_index++);
        json_out_name(o, S("annotation"));
        responses_annotation_write(o, p, a, it->chars);
        event_end(c, w, type);
    }
    it->chars += text_chars(reply_part_text(p));
    it->cut = p->cut;
    if (it->closing)
        message_close(c, w, it);
}

/* ---- the other items ---- */

static bool is_custom(const struct reply_part *p)
{
    return p->tool == CHAT_TOOL_CUSTOM;
}

/* Items that only exist whole. */
static bool comes_whole(const struct reply_part *p)
{
    return p->kind == PART_SEARCH ||
           (p->kind == PART_CALL && !is_custom(p) && p->tool != CHAT_TOOL_FUNCTION &&
            p->tool != CHAT_TOOL_WEB_SEARCH);
}

static void reasoning_close(struct convert *c, struct writer *w, struct responses_item *it)
{
    struct text text = reply_part_text(it->part);
    if (text.n > 0) {
        struct str type = S("response.reasoning_summary_part.done");
        piece_text(c, w, it, S("response.reasoning_summary_text.done"), S("summary_index"), 0,
                   S("text"), text);
        struct json_out *o = piece_begin(w, it, type, S("summary_index"), 0);
        json_out_name(o, S("part"));
        json_out_object(o);
        json_out_member_str(o, S("type"), S("summary_text"));
        json_out_member_text(o, S("text"), text);
        json_out_object_end(o);
        event_end(c, w, type);
    }
    item_done(c, w, it);
}

static void call_close(struct convert *c, struct writer *w, struct responses_item *it)
{
    struct text text = reply_part_text(it->part);
    if (is_custom(it->part)) {
        piece_text(c, w, it, S("response.custom_tool_call_input.done"), S(""), 0, S("input"), text);
    } else {
        if (text.n == 0 && !it->cut)
            text = TEXT("{}");
        piece_text(c, w, it, S("response.function_call_arguments.done"), S(""), 0, S("arguments"),
                   text);
    }
    item_done(c, w, it);
}

static void item_close(struct convert *c, struct writer *w, struct responses_item *it)
{
    if (comes_whole(it->part)) {
        item_added(c, w, it);
        item_done(c, w, it);
    } else if (it->part->kind == PART_REASONING) {
        reasoning_close(c, w, it);
    } else {
        call_close(c, w, it);
    }
}

/* ---- events ---- */

static void begin(struct convert *c, struct writer *w)
{
    if (w->begun)
        return;
    w->begun = true;
    if (c->reply_id.n == 0) /* it failed before it began */
        c->reply_id = emit_make_id(c, S("resp_"), S(""));
    response_event(c, w, S("response.created"), S("in_progress"), NULL);
    response_event(c, w, S("response.in_progress"), S("in_progress"), NULL);
}

static struct responses_item **slot_of(struct convert *c, struct writer *w, uint32_t part)
{
    if (part >= w->cap) {
        uint32_t cap = w->cap == 0 ? 16 : w->cap * 2;
        while (cap <= part)
            cap *= 2;
        struct responses_item **list = arena_new(&c->arena, struct responses_item *, cap);
        if (w->cap > 0)
            memcpy(list, w->of_part, w->cap * sizeof(struct responses_item *));
        w->of_part = list;
        w->cap = cap;
    }
    return &w->of_part[part];
}

static void part_start(struct convert *c, struct writer *w, uint32_t part)
{
    const struct reply_part *p = w->reply.parts[part];
    struct responses_item **slot = slot_of(c, w, part);
    if (responses_hides(c, p))
        return;
    if (responses_is_text(p))
        return; /* an empty text is nothing */
    message_leave(c, w);
    *slot = responses_item_new(c, p);
    if (!comes_whole(p))
        item_added(c, w, *slot);
}

static void delta(struct convert *c, struct writer *w, uint32_t part,
                  const struct event_delta *from)
{
    const struct reply_part *p = w->reply.parts[part];
    struct text text = from->text;
    struct responses_item **slot = slot_of(c, w, part);
    if (text.n == 0 && from->logprobs.n == 0)
        return;
    if (responses_is_text(p)) {
        if (*slot == NULL)
            *slot = message_for(c, w, p);
        content_delta(c, w, *slot, text, from->logprobs);
        return;
    }
    if (*slot == NULL || comes_whole(p))
        return;
    if (p->kind == PART_REASONING) {
        if (reply_part_text(p).n == text.n) { /* the first */
            struct str type = S("response.reasoning_summary_part.added");
            struct json_out *o = piece_begin(w, *slot, type, S("summary_index"), 0);
            json_out_member_raw(o, S("part"), S("{\"type\":\"summary_text\",\"text\":\"\"}"));
            event_end(c, w, type);
        }
        piece_text(c, w, *slot, S("response.reasoning_summary_text.delta"), S("summary_index"), 0,
                   S("delta"), text);
    } else {
        piece_text(c, w, *slot,
                   is_custom(p) ? S("response.custom_tool_call_input.delta")
                                : S("response.function_call_arguments.delta"),
                   S(""), 0, S("delta"), text);
    }
}

static void part_stop(struct convert *c, struct writer *w, uint32_t part)
{
    const struct reply_part *p = w->reply.parts[part];
    struct responses_item *it = *slot_of(c, w, part);
    if (it == NULL)
        return;
    if (responses_is_text(p)) {
        text_stop(c, w, it, p);
        return;
    }
    it->cut = p->cut;
    item_close(c, w, it);
}

/* Everything is stopped. */
static void finish(struct convert *c, struct writer *w)
{
    message_leave(c, w);
    if (w->reply.stop != STOP_REFUSAL || w->reply.filtered || w->said)
        return;
    struct responses_item *it = responses_item_new(c, NULL);
    it->refusal = responses_declined(&w->reply);
    it->cut = true;
    item_added(c, w, it);
    content_open(c, w, it);
    content_delta(c, w, it, it->refusal, S(""));
    message_close(c, w, it);
}

static void finish_response(struct convert *c, struct writer *w)
{
    if (str_eq(responses_status_of(&w->reply), S("incomplete")))
        response_event(c, w, S("response.incomplete"), S("incomplete"), NULL);
    else
        response_event(c, w, S("response.completed"), S("completed"), NULL);
}

static void fail(struct convert *c, struct writer *w, const struct event_error *error)
{
    begin(c, w);
    struct json_out *o = &w->o;
    json_out_init(o, w->json);
    json_out_object(o);
    json_out_member_str(o, S("type"), S("error"));
    json_out_name(o, S("error"));
    json_out_object(o);
    json_out_member_str(o, S("type"), error_type(PROTOCOL_RESPONSES, error));
    json_out_member_str(o, S("code"), error_response_code(error));
    json_out_member_str(o, S("message"), error->message);
    json_out_member_null(o, S("param"));
    json_out_object_end(o);
    json_out_member_i64(o, S("sequence_number"), (int64_t)w->sequence++);
    event_end(c, w, S("error"));
    response_event(c, w, S("response.failed"), S("failed"), error);
}

int responses_encode_event(struct convert *c, void *encoder, const struct chat_event *ev)
{
    struct writer *w = encoder;
    int r = ev->kind == EVENT_ERROR ? 0 : reply_add(&w->reply, ev);
    if (r < 0)
        return r;
    switch (ev->kind) {
    case EVENT_START:
        begin(c, w);
        break;
    case EVENT_PART_START:
        part_start(c, w, ev->part);
        break;
    case EVENT_DELTA:
        delta(c, w, ev->part, &ev->delta);
        break;
    case EVENT_PART_STOP:
        part_stop(c, w, ev->part);
        break;
    case EVENT_CITATION: /* shown when its part stops: then its range is known */
    case EVENT_USAGE:
        break;
    case EVENT_FINISH:
        finish(c, w);
        break;
    case EVENT_END:
        finish_response(c, w);
        break;
    case EVENT_ERROR:
        fail(c, w, &ev->error);
        break;
    }
    return w->json->overflow ? E_UPSTREAM_EVENT : 0;
}

/*
 * The stream to a Chat Completions client: A2.7, B2, C4.3, C4.4 of protocols.md.
 *
 * Each event becomes at most one chunk as it comes: calls may be open together, so nothing
 * has to be queued.  Citations wait for the last chunk.
 */
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "completions_reply.h"
#include "emit.h"
#include "err.h"
#include "mem.h"

struct part {
    enum part_kind kind;
    enum chat_tool_kind tool;
    uint32_t number;  /* CALL: k; REASONING: the piece's number */
    bool has_delta;   /* something was sent for it */
    bool own_item;    /* text that begins another item than the text before */
    int64_t from, to; /* TEXT: where it stands in `content`, in characters */
};

struct note { /* a citation; its texts stand behind it */
    struct note *next;
    uint32_t part;
    int64_t from, to;
    struct text url, title;
};

struct encoder {
    struct buf *json; /* the event at hand; c->json */
    struct str model, service_tier;
    int64_t created;
    struct part *parts;
    uint32_t part_count, part_cap;
    uint32_t call_count, reasoning_count;
    int64_t chars; /* of `content` so far */
    bool has_text, has_reasoning, refused;
    struct buf item; /* the Responses item of the last text or reasoning */
    struct note *notes, *last_note;
    size_t notes_bytes;
};

const size_t completions_encoder_size = sizeof(struct encoder);

void completions_encoder_init(struct convert *c, void *encoder)
{
    struct encoder *e = encoder;
    e->json = &c->json;
    buf_init(&e->item, c->options.reply_limit_bytes);
}

void completions_encoder_done(void *encoder)
{
    struct encoder *e = encoder;
    while (e->notes != NULL) {
        struct note *n = e->notes;
        e->notes = n->next;
        free(n);
    }
    free(e->parts);
    buf_done(&e->item);
}

/* ---- chunks ---- */

static void chunk_head(struct convert *c, struct encoder *e, struct json_out *o)
{
    json_out_init(o, e->json);
    completions_write_head(o, c->reply_id, S("chat.completion.chunk"), e->created, e->model);
}

/* Up to the inside of `delta`. */
static void delta_begin(struct convert *c, struct encoder *e, struct json_out *o)
{
    chunk_head(c, e, o);
    completions_write_choice(o, S("delta"));
}

/* From behind `delta` to the end.  finish: empty for none. */
static void choice_end(struct convert *c, struct encoder *e, struct json_out *o, struct str finish)
{
    if (finish.n > 0)
        json_out_member_str(o, S("finish_reason"), finish);
    else
        json_out_member_null(o, S("finish_reason"));
    json_out_object_end(o);
    json_out_array_end(o);
    if (c->include_usage)
        json_out_member_null(o, S("usage"));
    if (e->service_tier.n > 0)
        json_out_member_str(o, S("service_tier"), e->service_tier);
    json_out_object_end(o);
    emit_sse(c, S(""), e->json);
}

static void delta_end(struct convert *c, struct encoder *e, struct json_out *o, struct str finish)
{
    json_out_object_end(o);
    choice_end(c, e, o, finish);
}

/* logprobs: empty for none. */
static void send_text(struct convert *c, struct encoder *e, struct str name, struct text gap,
                      struct text text, struct str logprobs)
{
    struct json_out o;
    delta_begin(c, e, &o);
    json_out_name(&o, name);
    json_out_string_begin(&o);
    json_out_string_add(&o, gap);
    json_out_string_add(&o, text);
    json_out_string_end(&o);
    json_out_object_end(&o);
    if (logprobs.n > 0) {
        completions_logprobs_begin(&o);
        json_out_elements(&o, logprobs);
        completions_logprobs_end(&o);
    }
    choice_end(c, e, &o, S(""));
}

/* ---- calls ---- */

/* tool_calls:[{"index":k,..  or, for old clients, nothing. */
static void call_begin(struct convert *c, struct json_out *o, const struct part *p)
{
    if (c->legacy_functions) {
        json_out_name(o, S("function_call"));
        return;
    }
    json_out_name(o, S("tool_calls"));
    json_out_array(o);
    json_out_object(o);
    json_out_member_i64(o, S("index"), p->number);
}

static void call_end(struct convert *c, struct json_out *o)
{
    if (c->legacy_functions)
        return;
    json_out_object_end(o);
    json_out_array_end(o);
}

/* The old form has room for one call. */
static bool call_hidden(const struct convert *c, const struct part *p)
{
    return c->legacy_functions && p->number > 0;
}

static void call_start(struct convert *c, struct encoder *e, const struct part *p,
                       const struct chat_event *ev)
{
    bool custom = p->tool == CHAT_TOOL_CUSTOM;
    struct json_out o;
    if (call_hidden(c, p))
        return;
    delta_begin(c, e, &o);
    call_begin(c, &o, p);
    if (!c->legacy_functions) {
        json_out_member_str(&o, S("id"), ev->part_start.call_id);
        json_out_member_str(&o, S("type"), custom ? S("custom") : S("function"));
        json_out_name(&o, custom ? S("custom") : S("function"));
    }
    json_out_object(&o);
    json_out_member_str(&o, S("name"), ev->part_start.name);
    json_out_member_str(&o, custom ? S("input") : S("arguments"), S(""));
    json_out_object_end(&o);
    call_end(c, &o);
    delta_end(c, e, &o, S(""));
}

static void call_delta(struct convert *c, struct encoder *e, struct part *p, struct text piece)
{
    bool custom = p->tool == CHAT_TOOL_CUSTOM;
    struct json_out o;
    if (call_hidden(c, p))
        return;
    p->has_delta = true;
    delta_begin(c, e, &o);
    call_begin(c, &o, p);
    if (!c->legacy_functions)
        json_out_name(&o, custom ? S("custom") : S("function"));
    json_out_object(&o);
    json_out_member_text(&o, custom ? S("input") : S("arguments"), piece);
    json_out_object_end(&o);
    call_end(c, &o);
    delta_end(c, e, &o, S(""));
}

/* ---- events ---- */

static void start(struct convert *c, struct encoder *e, const struct chat_event *ev)
{
    struct json_out o;
    e->model = arena_str(&c->arena, ev->start.model);
    e->service_tier = arena_str(&c->arena, completions_service_tier(ev->start.service_tier));
    e->created = ev->start.created;
    delta_begin(c, e, &o);
    json_out_member_str(&o, S("role"), S("assistant"));
    json_out_member_str(&o, S("content"), S(""));
    delta_end(c, e, &o, S(""));
}

static void part_start(struct convert *c, struct encoder *e, const struct chat_event *ev)
{
    must(ev->part == e->part_count);
    if (e->part_count == e->part_cap) {
        e->part_cap = e->part_cap == 0 ? 8 : e->part_cap * 2;
        e->parts = mem_realloc(e->parts, e->part_cap * sizeof(struct part));
    }
    struct part *p = &e->parts[e->part_count++];
    *p = (struct part){ .kind = ev->part_start.kind, .tool = ev->part_start.tool };
    p->from = p->to = e->chars;
    if (p->kind == PART_TEXT || p->kind == PART_REASONING) {
        struct str item = ev->part_start.item_id;
        p->own_item = item.n > 0 && !str_eq(item, buf_str(&e->item));
        buf_clear(&e->item);
        buf_add(&e->item, item);
    }
    if (p->kind == PART_REASONING)
        p->number = e->reasoning_count++;
    if (p->kind == PART_CALL) {
        p->number = e->call_count++;
        call_start(c, e, p, ev);
    }
}

static void text_delta(struct convert *c, struct encoder *e, struct part *p,
                       const struct event_delta *from)
{
    struct text text = from->text;
    bool reasoning = p->kind == PART_REASONING;
    bool *any = reasoning ? &e->has_reasoning : &e->has_text;
    struct text gap = TEXT("");
    if (!p->has_delta && *any)
        gap = completions_gap(p->kind, p->own_item);
    if (!reasoning) {
        e->chars += (int64_t)text_chars(gap);
        p->from = p->has_delta ? p->from : e->chars;
        e->chars += (int64_t)text_chars(text);
        p->to = e->chars;
    }
    p->has_delta = *any = true;
    send_text(c, e, reasoning ? S("reasoning_content") : S("content"), gap, text, from->logprobs);
}

static void delta(struct convert *c, struct encoder *e, const struct chat_event *ev)
{
    struct part *p = &e->parts[ev->part];
    switch (p->kind) {
    case PART_TEXT:
    case PART_REASONING:
        text_delta(c, e, p, &ev->delta);
        return;
    case PART_REFUSAL:
        e->refused = true;
        send_text(c, e, S("refusal"), TEXT(""), ev->delta.text, S(""));
        return;
    case PART_CALL:
        call_delta(c, e, p, ev->delta.text);
        return;
    case PART_SEARCH:
        return;
    }
}

static int citation(struct convert *c, struct encoder *e, const struct chat_event *ev)
{
    const struct event_citation *from = &ev->citation;
    size_t size = sizeof(struct note) + from->url.n + from->title.n;
    if (size > c->options.reply_limit_bytes - e->notes_bytes)
        return E_UPSTREAM_EVENT;
    e->notes_bytes += size;
    struct note *n = mem_alloc(size);
    char *bytes = (char *)(n + 1);
    *n = (struct note){ .part = ev->part, .from = from->from, .to = from->to };
    n->url = (struct text){ bytes, from->url.n };
    n->title = (struct text){ bytes + from->url.n, from->title.n };
    if (from->url.n > 0)
        memcpy(bytes, from->url.p, from->url.n);
    if (from->title.n > 0)
        memcpy(bytes + from->url.n, from->title.p, from->title.n);
    if (e->last_note == NULL)
        e->notes = n;
    else
        e->last_note->next = n;
    e->last_note = n;
    return 0;
}

static void part_stop(struct convert *c, struct encoder *e, const struct chat_event *ev)
{
    struct part *p = &e->parts[ev->part];
    struct json_out o;
    if (p->kind == PART_CALL && p->tool != CHAT_TOOL_CUSTOM && !p->has_delta) {
        call_delta(c, e, p, TEXT("{}")); /* E109 */
    } else if (p->kind == PART_REASONING && completions_has_details(&ev->part_stop.proof)) {
        delta_begin(c, e, &o);
        json_out_name(&o, S("reasoning_details"));
        json_out_array(&o);
        completions_write_details(&o, &c->scratch, &ev->part_stop.proof, p->number);
        json_out_array_end(&o);
        delta_end(c, e, &o, S(""));
    }
}

static void write_notes(struct encoder *e, struct json_out *o)
{
    if (e->notes == NULL)
        return;
    json_out_name(o, S("annotations"));
    json_out_array(o);
    for (const struct note *n = e->notes; n != NULL; n = n->next) {
        const struct part *p = &e->parts[n->part];
        completions_write_annotation(o, n->url, n->title, n->from < 0 ? p->from : p->from + n->from,
                                     n->to < 0 ? p->to : p->from + n->to);
    }
    json_out_array_end(o);
}

static void finish(struct convert *c, struct encoder *e, const struct chat_event *ev)
{
    struct text why = ev->finish.explanation;
    struct json_out o;
    if (ev->finish.reason == STOP_REFUSAL && !ev->finish.filtered && !e->refused)
        send_text(c, e, S("refusal"), TEXT(""), why.n > 0 ? why : completions_refusal, S(""));
    delta_begin(c, e, &o);
    write_notes(e, &o);
    delta_end(c, e, &o, completions_finish_reason(c, ev->finish.reason));
}

static void end(struct convert *c, struct encoder *e)
{
    struct json_out o;
    if (c->include_usage && completions_has_usage(&c->usage)) {
        chunk_head(c, e, &o);
        json_out_array_end(&o);
        json_out_name(&o, S("usage"));
        completions_write_usage(&o, &c->usage);
        if (e->service_tier.n > 0)
            json_out_member_str(&o, S("service_tier"), e->service_tier);
        json_out_object_end(&o);
        emit_sse(c, S(""), e->json);
    }
    buf_add(e->json, S("[DONE]"));
    emit_sse(c, S(""), e->json);
}

/* No [DONE] behind it: nobody may take the reply for a complete one (C5). */
static void error(struct convert *c, struct encoder *e, const struct chat_event *ev)
{
    (void)convert_error_write(PROTOCOL_CHAT, &ev->error, S(""), e->json);
    emit_sse(c, S(""), e->json);
}

int completions_encode_event(struct convert *c, void *encoder, const struct chat_event *ev)
{
    struct encoder *e = encoder;
    int r = 0;
    switch (ev->kind) {
    case EVENT_START:
        start(c, e, ev);
        break;
    case EVENT_PART_START:
        part_start(c, e, ev);
        break;
    case EVENT_DELTA:
        delta(c, e, ev);
        break;
    case EVENT_CITATION:
        r = citation(c, e, ev);
        break;
    case EVENT_PART_STOP:
        part_stop(c, e, ev);
        break;
    case EVENT_USAGE:
        break; /* c->usage has it */
    case EVENT_FINISH:
        finish(c, e, ev);
        break;
    case EVENT_END:
        end(c, e);
        break;
    case EVENT_ERROR:
        error(c, e, ev);
        break;
    }
    return r == 0 && e->item.overflow ? E_UPSTREAM_EVENT : r;
}

/*
 * The stream to a Messages client: B1, C4.1, C4.2 of protocols.md.
 *
 * Only one block may be open, while the upstream's parts may run side by side.  So the part
 * whose block is open is written as it comes, and the others wait with what they have; when
 * the block is closed, the first one in the upstream's order that has something to show is next.  A
 * block is closed when its part stops, or, of a call, when its arguments are one complete JSON
 * value and another part waits.
 *
 * A part, from its start to its stop:
 *     QUIET → READY [it has something to show] → OPEN [its turn] → CLOSED
 *     QUIET → CLOSED [it never had]
 */
#include <stdlib.h>

#include "args.h"
#include "codec.h"
#include "emit.h"
#include "err.h"
#include "mem.h"
#include "messages_reply.h"

enum part_state { PART_QUIET, PART_READY, PART_OPEN, PART_CLOSED };

struct part {
    struct part *next; /* in the order of their blocks, until closed */
    uint32_t number;
    int64_t place; /* the upstream's; 0: behind all that were there */
    enum part_kind kind;
    enum part_state state;
    bool stopped;
    bool has_text;
    bool redacted;
    struct str id, name; /* of a call or search; behind the struct */
    struct buf waiting;  /* text that its block has not had yet */
    struct buf opaque;   /* signature or data */
    struct args_scan scan;
};

struct encoder {
    struct buf *json;    /* the event at hand; c->json */
    struct part **parts; /* by number; NULL when the part is over */
    uint32_t part_count, part_cap;
    struct part *first; /* not closed */
    struct part *open;  /* whose block is */
    uint32_t ready_count;
    uint32_t next_index;
    size_t waiting_bytes;
    bool refused;
    struct buf refusal;
    struct messages_stop stop; /* texts in c->arena */
};

const size_t messages_encoder_size = sizeof(struct encoder);

void messages_encoder_init(struct convert *c, void *encoder)
{
    struct encoder *e = encoder;
    e->json = &c->json;
    buf_init(&e->refusal, c->options.reply_limit_bytes);
}

static void part_free(struct part *p)
{
    if (p == NULL)
        return;
    buf_done(&p->waiting);
    buf_done(&p->opaque);
    free(p);
}

void messages_encoder_done(void *encoder)
{
    struct encoder *e = encoder;
    for (uint32_t i = 0; i < e->part_count; i++)
        part_free(e->parts[i]);
    free(e->parts);
    buf_done(&e->refusal);
}

static struct text buf_text(const struct buf *b)
{
    struct str s = buf_str(b);
    return (struct text){ s.p, s.n };
}

/* ---- blocks ---- */

/* {"type":T,"index":N   and the caller goes on. */
static void block_event(struct encoder *e, struct json_out *o, struct str type, uint32_t index)
{
    json_out_init(o, e->json);
    json_out_object(o);
    json_out_member_str(o, S("type"), type);
    json_out_member_i64(o, S("index"), index);
}

static void block_begin(struct encoder *e, struct json_out *o)
{
    block_event(e, o, S("content_block_start"), e->next_index);
    json_out_name(o, S("content_block"));
}

static void block_begun(struct convert *c, struct encoder *e, struct json_out *o)
{
    json_out_object_end(o);
    emit_sse(c, S("content_block_start"), e->json);
}

static void block_end(struct convert *c, struct encoder *e)
{
    struct json_out o;
    block_event(e, &o, S("content_block_stop"), e->next_index);
    json_out_object_end(&o);
    emit_sse(c, S("content_block_stop"), e->json);
    e->next_index++;
}

/* What most events of a stream are: written without looking at what never changes. */
static void block_delta(struct convert *c, struct encoder *e, struct str type, struct str name,
                        struct text text)
{
    buf_add(c->out, S("event: content_block_delta\n"
                      "data: {\"type\":\"content_block_delta\",\"index\":"));
    buf_add_u64(c->out, e->next_index);
    buf_add(c->out, S(",\"delta\":{\"type\":\""));
    buf_add(c->out, type);
    buf_add(c->out, S("\",\""));
    buf_add(c->out, name);
    buf_add(c->out, S("\":\""));
    text_add(c->out, text);
    buf_add(c->out, S("\"}}\n\n"));
}

static void write_input(struct json_out *o)
{
    json_out_name(o, S("input"));
    json_out_object(o);
    json_out_object_end(o);
}

static void write_start(struct json_out *o, const struct part *p)
{
    json_out_object(o);
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL:
        json_out_member_str(o, S("type"), S("text"));
        json_out_member_str(o, S("text"), S(""));
        break;
    case PART_REASONING:
        if (p->redacted) {
            json_out_member_str(o, S("type"), S("redacted_thinking"));
            json_out_member_text(o, S("data"), buf_text(&p->opaque));
            break;
        }
        json_out_member_str(o, S("type"), S("thinking"));
        json_out_member_str(o, S("thinking"), S(""));
        json_out_member_str(o, S("signature"), S(""));
        break;
    case PART_CALL:
        json_out_member_str(o, S("type"), S("tool_use"));
        json_out_member_str(o, S("id"), p->id);
        json_out_member_str(o, S("name"), p->name);
        write_input(o);
        break;
    case PART_SEARCH:
        messages_write_search(o, p->id);
        write_input(o);
        break;
    }
    json_out_object_end(o);
}

static void write_delta(struct convert *c, struct encoder *e, const struct part *p,
                        struct text text)
{
    struct text input;
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL:
        block_delta(c, e, S("text_delta"), S("text"), text);
        return;
    case PART_REASONING:
        block_delta(c, e, S("thinking_delta"), S("thinking"), text);
        return;
    case PART_CALL:
        block_delta(c, e, S("input_json_delta"), S("partial_json"), text);
        return;
    case PART_SEARCH:
        /* JSON inside of a JSON string: the query is escaped twice */
        input = text_escape(&c->scratch, (struct str){ text.p, text.n });
        input = text_cat(&c->scratch, TEXT("{\\\"query\\\":\\\""), input);
        input = text_cat(&c->scratch, input, TEXT("\\\"}"));
        block_delta(c, e, S("input_json_delta"), S("partial_json"), input);
        return;
    }
}

static void write_search_result(struct convert *c, struct encoder *e, const struct part *p)
{
    struct json_out o;
    block_begin(e, &o);
    messages_write_search_result(&o, p->id);
    block_begun(c, e, &o);
    block_end(c, e);
}

/* ---- whose turn it is ---- */

static void set_state(struct encoder *e, struct part *p, enum part_state state)
{
    must(state > p->state);
    if (p->state == PART_READY)
        e->ready_count--;
    if (state == PART_READY)
        e->ready_count++;
    p->state = state;
}

static void make_ready(struct encoder *e, struct part *p)
{
    if (p->state == PART_QUIET)
        set_state(e, p, PART_READY);
}

static void open_part(struct convert *c, struct encoder *e, struct part *p)
{
    struct json_out o;
    set_state(e, p, PART_OPEN);
    e->open = p;
    block_begin(e, &o);
    write_start(&o, p);
    block_begun(c, e, &o);
    if (buf_len(&p->waiting) > 0)
        write_delta(c, e, p, buf_text(&p->waiting));
    e->waiting_bytes -= buf_len(&p->waiting);
    buf_clear(&p->waiting);
}

/* Takes it out of the list; it stays known until it is stopped. */
static void close_part(struct convert *c, struct encoder *e, struct part *p)
{
    if (p->state == PART_OPEN) {
        if (p->kind == PART_REASONING && !p->redacted && buf_len(&p->opaque) > 0)
            block_delta(c, e, S("signature_delta"), S("signature"), buf_text(&p->opaque));
        block_end(c, e);
        if (p->kind == PART_SEARCH)
            write_search_result(c, e, p);
        e->open = NULL;
    }
    set_state(e, p, PART_CLOSED);
    struct part **at = &e->first;
    for (; *at != p; at = &(*at)->next)
        must(*at != NULL);
    *at = p->next;
    if (p->stopped) {
        e->parts[p->number] = NULL;
        part_free(p);
    }
}

static struct part *first_ready(struct encoder *e)
{
    struct part *p = e->first;
    while (p != NULL && p->state != PART_READY)
        p = p->next;
    return p;
}

static void pump(struct convert *c, struct encoder *e)
{
    for (;;) {
        struct part *p = e->open;
        if (p == NULL) {
            p = first_ready(e);
            if (p == NULL)
                return;
            open_part(c, e, p);
        }
        bool complete = p->kind == PART_CALL && p->scan.complete && e->ready_count > 0;
        if (!p->stopped && !complete)
            return;
        close_part(c, e, p);
    }
}

/* ---- events ---- */

static void start(struct convert *c, struct encoder *e, const struct chat_event *ev)
{
    struct json_out o;
    json_out_init(&o, e->json);
    json_out_object(&o);
    json_out_member_str(&o, S("type"), S("message_start"));
    json_out_name(&o, S("message"));
    json_out_object(&o);
    json_out_member_str(&o, S("id"), ev->start.id);
    json_out_member_str(&o, S("type"), S("message"));
    json_out_member_str(&o, S("role"), S("assistant"));
    json_out_member_str(&o, S("model"), ev->start.model);
    json_out_name(&o, S("content"));
    json_out_array(&o);
    json_out_array_end(&o);
    json_out_member_null(&o, S("stop_reason"));
    json_out_member_null(&o, S("stop_sequence"));
    json_out_name(&o, S("usage"));
    messages_write_usage(&o, &usage_unknown); /* the numbers come with message_delta */
    json_out_object_end(&o);
    json_out_object_end(&o);
    emit_sse(c, S("message_start"), e->json);
}

static char *append(char *to, struct str s, struct str *ret)
{
    *ret = (struct str){ to, s.n };
    for (size_t i = 0; i < s.n; i++)
        to[i] = s.p[i];
    return to + s.n;
}

static struct part *part_new(struct convert *c, const struct chat_event *ev)
{
    struct str id = ev->part_start.call_id;
    if (ev->part_start.kind == PART_SEARCH)
        id = messages_search_id(&c->scratch, id, ev->part_start.item_id);
    struct part *p = mem_zalloc(sizeof(*p) + id.n + ev->part_start.name.n);
    p->number = ev->part;
    p->place = ev->part_start.place;
    p->kind = ev->part_start.kind;
    char *end = append((char *)(p + 1), id, &p->id);
    append(end, ev->part_start.name, &p->name);
    buf_init(&p->waiting, c->options.reply_limit_bytes);
    buf_init(&p->opaque, c->options.reply_limit_bytes);
    return p;
}

/* Among those that wait for a block. */
static void enqueue(struct encoder *e, struct part *p)
{
    struct part **at = &e->first;
    while (*at != NULL && ((*at)->state == PART_OPEN || p->place == 0 || (*at)->place <= p->place))
        at = &(*at)->next;
    p->next = *at;
    *at = p;
}

static void part_start(struct convert *c, struct encoder *e, const struct chat_event *ev)
{
    must(ev->part == e->part_count);
    if (e->part_count == e->part_cap) {
        e->part_cap = e->part_cap == 0 ? 8 : e->part_cap * 2;
        e->parts = mem_realloc(e->parts, e->part_cap * sizeof(struct part *));
    }
    struct part *p = part_new(c, ev);
    e->parts[e->part_count++] = p;
    enqueue(e, p);
    if (p->kind == PART_CALL)
        make_ready(e, p);
    pump(c, e);
}

/* White space between calls is no text (C4.1). */
static bool is_noise(const struct encoder *e, const struct part *p, struct text text)
{
    bool is_text = p->kind == PART_TEXT || p->kind == PART_REFUSAL;
    bool in_call = e->open != NULL && e->open->kind == PART_CALL;
    return is_text && in_call && p->state == PART_QUIET && text_blank(text);
}

static int delta(struct convert *c, struct encoder *e, const struct chat_event *ev)
{
    struct part *p = e->parts[ev->part];
    struct text text = ev->delta.text;
    must(p != NULL);
    if (text.n == 0) /* only token probabilities, which Messages has no place for */
        return 0;
    if (p->state == PART_CLOSED || is_noise(e, p, text) ||
        (p->kind == PART_SEARCH && !c->wants_web_search))
        return 0;
    p->has_text = true;
    if (p->kind == PART_CALL)
        args_scan_feed(&p->scan, text);
    if (p->kind == PART_REFUSAL) {
        e->refused = true;
        text_add(&e->refusal, text);
    }
    if (p->state == PART_OPEN) {
        write_delta(c, e, p, text);
    } else {
        if (text.n > c->options.reply_limit_bytes - e->waiting_bytes)
            return E_UPSTREAM_EVENT;
        e->waiting_bytes += text.n;
        text_add(&p->waiting, text);
        if (p->kind != PART_SEARCH) /* its query comes whole, before its stop */
            make_ready(e, p);
    }
    pump(c, e);
    return e->refusal.overflow ? E_UPSTREAM_EVENT : 0;
}

static int part_stop(struct convert *c, struct encoder *e, const struct chat_event *ev)
{
    struct part *p = e->parts[ev->part];
    must(p != NULL);
    p->stopped = true;
    if (p->state == PART_CLOSED) {
        e->parts[ev->part] = NULL;
        part_free(p);
        return 0;
    }
    if (p->kind == PART_REASONING) {
        struct messages_reasoning r =
            messages_reasoning_of(c, &c->scratch, &ev->part_stop.proof, p->has_text);
        p->redacted = r.redacted && p->state != PART_OPEN;
        text_add(&p->opaque, r.opaque);
        if (p->opaque.overflow)
            return E_UPSTREAM_EVENT;
        if (r.shown)
            make_ready(e, p);
    } else if (p->kind == PART_SEARCH && c->wants_web_search) {
        make_ready(e, p);
    }
    if (p->state == PART_QUIET)
        close_part(c, e, p);
    pump(c, e);
    return 0;
}

static struct text copy(struct arena *a, struct text t)
{
    struct str s = arena_str(a, (struct str){ t.p, t.n });
    return (struct text){ s.p, s.n };
}

static void finish(struct convert *c, struct encoder *e, const struct chat_event *ev)
{
    struct arena *a = &c->arena;
    must(e->first == NULL);
    e->stop.reason = ev->finish.reason;
    e->stop.sequence = copy(a, ev->finish.stop_sequence);
    e->stop.explanation = copy(a, ev->finish.explanation);
    e->stop.category = arena_str(a, ev->finish.category);
    if (e->refused && e->stop.reason == STOP_END)
        e->stop.reason = STOP_REFUSAL;
    if (e->stop.explanation.n == 0)
        e->stop.explanation = buf_text(&e->refusal);
}

/* Only now: usage may come behind the finish. */
static void end(struct convert *c, struct encoder *e)
{
    struct json_out o;
    json_out_init(&o, e->json);
    json_out_object(&o);
    json_out_member_str(&o, S("type"), S("message_delta"));
    json_out_name(&o, S("delta"));
    json_out_object(&o);
    messages_write_stop(&o, &e->stop, false);
    json_out_object_end(&o);
    json_out_name(&o, S("usage"));
    messages_write_usage(&o, &c->usage);
    json_out_object_end(&o);
    emit_sse(c, S("message_delta"), e->json);
    buf_add(e->json, S("{\"type\":\"message_stop\"}"));
    emit_sse(c, S("message_stop"), e->json);
}

static void error(struct convert *c, struct encoder *e, const struct chat_event *ev)
{
    (void)convert_error_write(PROTOCOL_MESSAGES, &ev->error, S(""), e->json);
    emit_sse(c, S("error"), e->json);
}

int messages_encode_event(struct convert *c, void *encoder, const struct chat_event *ev)
{
    struct encoder *e = encoder;
    switch (ev->kind) {
    case EVENT_START:
        start(c, e, ev);
        return 0;
    case EVENT_PART_START:
        part_start(c, e, ev);
        return 0;
    case EVENT_DELTA:
        return delta(c, e, ev);
    case EVENT_CITATION:
        return 0; /* a citation here needs an encrypted_index that nobody else has */
    case EVENT_PART_STOP:
        return part_stop(c, e, ev);
    case EVENT_USAGE:
        return 0; /* c->usage has it */
    case EVENT_FINISH:
        finish(c, e, ev);
        return 0;
    case EVENT_END:
        end(c, e);
        return 0;
    case EVENT_ERROR:
        error(c, e, ev);
        return 0;
    }
    return E_INTERNAL;
}

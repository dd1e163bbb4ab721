#include "emit.h"

#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "err.h"
#include "flow.h"
#include "hash.h"
#include "mem.h"
#include "member.h"
#include "tools.h"
#include "turns.h"

void flow_done(struct flow *f)
{
    for (uint32_t i = 0; i < f->part_count; i++)
        buf_done(&f->parts[i].held);
    free(f->parts);
}

/* ---- to the client's side ---- */

static int write_reply(struct convert *c)
{
    struct json_out o;
    json_out_init(&o, c->out);
    c->client->encode_reply(c, &c->reply, &o);
    return c->out->overflow ? E_UPSTREAM_EVENT : 0;
}

static int forward(struct convert *c, const struct chat_event *ev)
{
    if (c->client_streams) {
        int r = c->client->encode_event(c, c->encoder, ev);
        return r < 0 ? r : c->out->overflow ? E_UPSTREAM_EVENT : 0;
    }
    int r = reply_add(&c->reply, ev);
    if (r == 0 && ev->kind == EVENT_END)
        r = write_reply(c);
    return r;
}

static int forward_delta(struct convert *c, uint32_t part, struct text text, struct str logprobs)
{
    if (text.n == 0 && logprobs.n == 0)
        return 0;
    struct chat_event ev = { .kind = EVENT_DELTA, .part = part };
    ev.delta.text = text;
    ev.delta.logprobs = logprobs;
    return forward(c, &ev);
}

void emit_begin(struct convert *c)
{
    c->begun = c->begun || c->client_streams;
}

void emit_finish_known(struct convert *c)
{
    c->finish_known = true;
    emit_begin(c);
}

/* ---- events ---- */

static int on_start(struct convert *c, const struct chat_event *from)
{
    static const struct str prefixes[PROTOCOL_COUNT] = { S_INIT("msg_"), S_INIT("chatcmpl-"),
                                                         S_INIT("resp_") };
    struct chat_event ev = *from;
    if (c->flow->started)
        return 0; /* a second one changes nothing */
    c->flow->started = true;
    c->reply_id = emit_make_id(c, prefixes[c->options.client], from->start.id);
    ev.start.id = c->reply_id;
    if (from->start.model.n == 0 || !str_eq(c->model, c->model_sent))
        ev.start.model = c->model;
    if (from->start.created < 0)
        ev.start.created = c->options.now_s;
    c->created = c->client_streams;
    return forward(c, &ev);
}

/* Upstreams that number their calls anew, and ids that the client's protocol does not take. */
static struct str call_id(struct convert *c, struct str id)
{
    struct flow *f = c->flow;
    if (id.n == 0)
        id = turns_make_id(c->temp, c->reply_id, f->call_count);
    else if (!turns_id_legal(id, c->options.client))
        id = turns_fix_id(c->temp, id, c->options.client);
    /* the third of the same id does not try what the ones before it have taken */
    for (uint32_t again = 2;; again = again == 2 ? f->part_count + 3 : again + 1) {
        unsigned char digest[HASH_BYTES];
        uint64_t hash;
        bool taken = false;
        hash_sha256(id, digest);
        memcpy(&hash, digest, sizeof hash);
        for (uint32_t i = 0; i < f->part_count && !taken; i++)
            taken = f->parts[i].kind == PART_CALL && f->parts[i].call_hash == hash;
        f->parts[f->part_count].call_hash = hash;
        if (!taken)
            return id;
        id = turns_fix_id(c->temp, arena_printf(c->temp, STR_FMT "#%u", STR_ARG(id), again),
                          c->options.client);
    }
}

/* Names and kinds of a call become what the client declared. */
static void map_call(struct convert *c, struct flow_part *p, struct chat_event *ev)
{
    const struct convert_tool *tool = tools_find(c, ev->part_start.name);
    enum chat_tool_kind sent = ev->part_start.tool, declared = sent;
    if (c->json_tool && str_eq(ev->part_start.name, S("json_output"))) {
        p->kind = ev->part_start.kind = PART_TEXT;
        return;
    }
    if (tool != NULL) {
        ev->part_start.name = tool->name;
        ev->part_start.space = tool->space;
        declared = tool->kind;
    } else if (c->options.client == PROTOCOL_MESSAGES) {
        declared = CHAT_TOOL_FUNCTION;
    }
    ev->part_start.tool = declared;
    ev->part_start.call_id = call_id(c, ev->part_start.call_id);
    c->flow->call_count++;
    if (sent != CHAT_TOOL_CUSTOM && declared == CHAT_TOOL_CUSTOM)
        p->shape = FLOW_UNWRAP_TEXT;
    else if (sent == CHAT_TOOL_CUSTOM && declared != CHAT_TOOL_CUSTOM)
        p->shape = FLOW_WRAP_TEXT;
    else if (tool != NULL && tool->wrapped)
        p->shape = FLOW_UNWRAP_VALUE;
}

static int on_part_start(struct convert *c, const struct chat_event *from)
{
    struct flow *f = c->flow;
    struct chat_event ev = *from;
    if (ev.part != f->part_count || f->part_count == FLOW_PARTS_MAX)
        return ev.part != f->part_count ? E_INTERNAL : E_UPSTREAM_EVENT;
    if (f->part_count == f->part_cap) {
        f->part_cap = f->part_cap == 0 ? 8 : f->part_cap * 2;
        f->parts = mem_realloc(f->parts, f->part_cap * sizeof *f->parts);
    }
    struct flow_part *p = &f->parts[f->part_count];
    *p = (struct flow_part){ .kind = ev.part_start.kind, .open = true };
    buf_init(&p->held, c->options.reply_limit_bytes);
    if (ev.part_start.kind == PART_CALL)
        map_call(c, p, &ev);
    if (p->kind == PART_TEXT && c->unwrap_value && !c->client_streams)
        p->shape = FLOW_UNWRAP_VALUE;
    f->part_count++;
    f->open_count++;
    emit_begin(c);
    return forward(c, &ev);
}

static struct flow_part *open_part(struct convert *c, uint32_t part)
{
    struct flow_part *p = part < c->flow->part_count ? &c->flow->parts[part] : NULL;
    return p != NULL && p->open ? p : NULL;
}

/* A text that is reshaped is not made of the upstream's tokens any more. */
static int pass_text(struct convert *c, struct flow_part *p, uint32_t part, struct text text,
                     struct str logprobs)
{
    if (p->shape == FLOW_AS_IS)
        return forward_delta(c, part, text, logprobs);
    c->flow->held_bytes += text.n;
    text_add(&p->held, text);
    return p->held.overflow || c->flow->held_bytes > c->options.reply_limit_bytes ? E_UPSTREAM_EVENT
                                                                                  : 0;
}

static int on_delta(struct convert *c, const struct chat_event *ev)
{
    struct flow_part *p = open_part(c, ev->part);
    if (p == NULL)
        return E_INTERNAL;
    struct text text = text_join(&p->half, c->temp, ev->delta.raw);
    return pass_text(c, p, ev->part, text, ev->delta.logprobs);
}

/* What was held back, in the client's shape. */
static struct text reshape(struct convert *c, const struct flow_part *p)
{
    struct str s = buf_str(&p->held);
    struct str plain = text_plain(c->temp, (struct text){ s.p, s.n });
    if (p->shape == FLOW_UNWRAP_TEXT)
        plain = args_unwrap(c->temp, plain);
    else if (p->shape == FLOW_WRAP_TEXT)
        plain = args_wrap(c->temp, plain);
    else
        plain = args_unwrap_value(c->temp, plain);
    return text_escape(c->temp, plain);
}

static int on_part_stop(struct convert *c, const struct chat_event *ev)
{
    struct flow_part *p = open_part(c, ev->part);
    if (p == NULL)
        return E_INTERNAL;
    int r = pass_text(c, p, ev->part, text_join_end(&p->half), S(""));
    if (r == 0 && p->shape != FLOW_AS_IS)
        r = forward_delta(c, ev->part, reshape(c, p), S(""));
    c->flow->held_bytes -= buf_len(&p->held);
    buf_done(&p->held);
    p->open = false;
    c->flow->open_count--;
    return r < 0 ? r : forward(c, ev);
}

/* Upstreams mix up "stop" and "tool_calls" (C1.13). */
static enum stop_reason stop_mended(const struct convert *c, enum stop_reason reason)
{
    bool calls = c->flow->call_count > 0;
    if (reason == STOP_END && calls)
        return STOP_TOOL;
    if ((reason == STOP_TOOL || reason == STOP_FUNCTION) && !calls)
        return STOP_END;
    return reason == STOP_FUNCTION ? STOP_TOOL : reason;
}

static int on_finish(struct convert *c, const struct chat_event *from)
{
    struct chat_event ev = *from;
    if (c->flow->open_count > 0 || c->finished)
        return E_INTERNAL;
    ev.finish.reason = stop_mended(c, from->finish.reason);
    c->finished = true;
    emit_begin(c);
    return forward(c, &ev);
}

static int on_end(struct convert *c, const struct chat_event *ev)
{
    if (!c->finished)
        return E_INTERNAL;
    int r = forward(c, ev);
    if (r == 0)
        c->begun = c->ended = true;
    return r;
}

int emit(struct convert *c, const struct chat_event *ev)
{
    if (c->ended)
        return 0;
    if (ev->kind != EVENT_START && ev->kind != EVENT_ERROR && !c->flow->started)
        return E_INTERNAL;
    switch (ev->kind) {
    case EVENT_START:
        return on_start(c, ev);
    case EVENT_PART_START:
        return c->finished ? E_INTERNAL : on_part_start(c, ev);
    case EVENT_DELTA:
        return on_delta(c, ev);
    case EVENT_CITATION:
        return open_part(c, ev->part) == NULL ? E_INTERNAL : forward(c, ev);
    case EVENT_PART_STOP:
        return on_part_stop(c, ev);
    case EVENT_USAGE:
        usage_merge(&c->usage, &ev->usage);
        return forward(c, ev);
    case EVENT_FINISH:
        return on_finish(c, ev);
    case EVENT_END:
        return on_end(c, ev);
    case EVENT_ERROR:
        return emit_error(c, ev->error.status, ev->error.type, ev->error.code, ev->error.message);
    }
    return E_INTERNAL;
}

int emit_start(struct convert *c, struct json_node *object, struct str created)
{
    struct chat_event ev = { .kind = EVENT_START };
    ev.start.id = member_str(c, object, S("id"));
    ev.start.model = member_str(c, object, S("model"));
    ev.start.created = member_i64(c, object, created);
    ev.start.service_tier = member_str(c, object, S("service_tier"));
    return emit(c, &ev);
}

int emit_part(struct convert *c, enum part_kind kind, uint32_t *ret_part)
{
    struct chat_event ev = { .kind = EVENT_PART_START, .part = emit_next_part(c) };
    ev.part_start.kind = kind;
    *ret_part = ev.part;
    return emit(c, &ev);
}

int emit_delta(struct convert *c, uint32_t part, struct str raw_inside)
{
    return emit_text(c, part, raw_inside, S(""));
}

int emit_text(struct convert *c, uint32_t part, struct str raw_inside, struct str logprobs)
{
    struct chat_event ev = { .kind = EVENT_DELTA, .part = part };
    ev.delta.raw = raw_inside;
    ev.delta.logprobs = logprobs;
    return emit(c, &ev);
}

int emit_stop(struct convert *c, uint32_t part, const struct chat_proof *proof, bool cut)
{
    struct chat_event ev = { .kind = EVENT_PART_STOP, .part = part };
    if (proof != NULL)
        ev.part_stop.proof = *proof;
    ev.part_stop.cut = cut;
    return emit(c, &ev);
}

int emit_end(struct convert *c)
{
    return emit(c, &(struct chat_event){ .kind = EVENT_END });
}

int emit_error(struct convert *c, int status, struct str type, struct str code, struct str message)
{
    if (c->ended)
        return 0;
    c->failed = c->ended = true;
    c->failure = (struct event_error){ .status = status,
                                       .type = arena_str(&c->arena, type),
                                       .code = arena_str(&c->arena, code),
                                       .message = arena_str(&c->arena, message) };
    if (!c->begun)
        return E_UPSTREAM_STREAM;
    struct chat_event ev = { .kind = EVENT_ERROR };
    ev.error = c->failure;
    return c->client->encode_event(c, c->encoder, &ev);
}

uint32_t emit_next_part(const struct convert *c)
{
    return c->flow->part_count;
}

void emit_sse(struct convert *c, struct str type, struct buf *json)
{
    if (type.n > 0) {
        buf_add(c->out, S("event: "));
        buf_add(c->out, type);
        buf_add_byte(c->out, '\n');
    }
    buf_add(c->out, S("data: "));
    buf_add(c->out, buf_str(json));
    buf_add(c->out, S("\n\n"));
    buf_truncate(json, 0);
}

struct str emit_make_id(struct convert *c, struct str prefix, struct str upstream_id)
{
    static const struct str prefixes[] = { S_INIT("chatcmpl-"), S_INIT("resp_"), S_INIT("msg_") };
    enum { ID_BYTES_MAX = 64 };
    struct str id = upstream_id;
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (str_starts(id, prefixes[i])) {
            id = str_slice(id, prefixes[i].n, id.n);
            break;
        }
    if (id.n == 0)
        id = c->options.reply_id;
    id = str_slice(id, 0, ID_BYTES_MAX);
    char *p = arena_cstr(&c->arena, id);
    for (size_t i = 0; i < id.n; i++) {
        unsigned char b = (unsigned char)p[i];
        bool plain = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
                     b == '_' || b == '-';
        if (!plain)
            p[i] = '_';
    }
    return arena_cat(&c->arena, prefix, (struct str){ p, id.n });
}

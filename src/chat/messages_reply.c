#include "messages_reply.h"

#include "args.h"
#include "envelope.h"
#include "turns.h"

/* ---- reasoning ---- */

struct messages_reasoning messages_reasoning_of(struct convert *c, struct arena *a,
                                                const struct chat_proof *proof, bool has_text)
{
    struct messages_reasoning r = { .shown = has_text };
    switch (proof->kind) {
    case CHAT_PROOF_NONE:
        break;
    case CHAT_PROOF_THINKING:
        r.shown = true;
        r.opaque = proof->opaque;
        break;
    case CHAT_PROOF_REDACTED:
        r.shown = r.redacted = true;
        r.opaque = proof->opaque;
        break;
    case CHAT_PROOF_ITEM:
        if (proof->opaque.n == 0)
            break;
        r.shown = true;
        r.redacted = !has_text;
        r.opaque = envelope_wrap(c, a, proof);
        break;
    case CHAT_PROOF_DETAILS:
        r.shown = has_text || proof->raw.n > 0;
        r.redacted = !has_text;
        if (r.shown)
            r.opaque = envelope_wrap(c, a, proof);
        break;
    }
    return r;
}

/* ---- usage, stop ---- */

static int64_t known(int64_t n, int64_t max)
{
    return n < 0 ? 0 : n > max ? max : n;
}

void messages_write_usage(struct json_out *o, const struct event_usage *u)
{
    int64_t prompt = known(u->prompt, INT64_MAX);
    int64_t read = known(u->cache_read, prompt);
    int64_t write = known(u->cache_write, prompt - read);
    json_out_object(o);
    json_out_member_i64(o, S("input_tokens"), prompt - read - write);
    json_out_member_i64(o, S("cache_creation_input_tokens"), write);
    json_out_member_i64(o, S("cache_read_input_tokens"), read);
    json_out_member_i64(o, S("output_tokens"), known(u->output, INT64_MAX));
    if (u->reasoning >= 0) {
        json_out_name(o, S("output_tokens_details"));
        json_out_object(o);
        json_out_member_i64(o, S("thinking_tokens"), u->reasoning);
        json_out_object_end(o);
    }
    json_out_object_end(o);
}

static struct str stop_name(enum stop_reason reason)
{
    static const struct str names[] = {
#define STOP(id, messages, chat, status, reason) S_INIT(messages),
#include "stops.def"
#undef STOP
    };
    must(reason < STOP_COUNT);
    return names[reason];
}

void messages_write_stop(struct json_out *o, const struct messages_stop *stop, bool whole)
{
    bool refused = stop->reason == STOP_REFUSAL;
    json_out_member_str(o, S("stop_reason"), stop_name(stop->reason));
    if (stop->reason == STOP_SEQUENCE)
        json_out_member_text(o, S("stop_sequence"), stop->sequence);
    else
        json_out_member_null(o, S("stop_sequence"));
    if (!refused) {
        if (whole)
            json_out_member_null(o, S("stop_details"));
        return;
    }
    json_out_name(o, S("stop_details"));
    json_out_object(o);
    json_out_member_str(o, S("type"), S("refusal"));
    if (stop->category.n > 0)
        json_out_member_str(o, S("category"), stop->category);
    else
        json_out_member_null(o, S("category"));
    if (stop->explanation.n > 0)
        json_out_member_text(o, S("explanation"), stop->explanation);
    else
        json_out_member_null(o, S("explanation"));
    json_out_object_end(o);
}

/* ---- searches ---- */

struct str messages_search_id(struct arena *a, struct str call_id, struct str item_id)
{
    struct str id = call_id.n > 0 ? call_id : item_id;
    if (!str_starts(id, S("srvtoolu_")))
        id = arena_cat(a, S("srvtoolu_"), id);
    return turns_fix_id(a, id, PROTOCOL_MESSAGES);
}

void messages_write_search(struct json_out *o, struct str id)
{
    json_out_member_str(o, S("type"), S("server_tool_use"));
    json_out_member_str(o, S("id"), id);
    json_out_member_str(o, S("name"), S("web_search"));
}

void messages_write_search_result(struct json_out *o, struct str id)
{
    json_out_object(o);
    json_out_member_str(o, S("type"), S("web_search_tool_result"));
    json_out_member_str(o, S("tool_use_id"), id);
    json_out_name(o, S("content"));
    json_out_array(o);
    json_out_array_end(o);
    json_out_object_end(o);
}

/* ---- the whole reply ---- */

/* White space between calls is no text (C4.1). */
static void write_text(struct json_out *o, struct text text, bool behind_call)
{
    if (text.n == 0 || (behind_call && text_blank(text)))
        return;
    json_out_object(o);
    json_out_member_str(o, S("type"), S("text"));
    json_out_member_text(o, S("text"), text);
    json_out_object_end(o);
}

static void write_reasoning(struct convert *c, struct json_out *o, const struct reply_part *p)
{
    struct text text = reply_part_text(p);
    struct messages_reasoning r = messages_reasoning_of(c, &c->scratch, &p->proof, text.n > 0);
    if (!r.shown)
        return;
    json_out_object(o);
    if (r.redacted) {
        json_out_member_str(o, S("type"), S("redacted_thinking"));
        json_out_member_text(o, S("data"), r.opaque);
    } else {
        json_out_member_str(o, S("type"), S("thinking"));
        json_out_member_text(o, S("thinking"), text);
        json_out_member_text(o, S("signature"), r.opaque);
    }
    json_out_object_end(o);
}

static void write_call(struct convert *c, struct json_out *o, const struct reply_part *p)
{
    struct str arguments = text_plain(&c->scratch, reply_part_text(p));
    json_out_object(o);
    json_out_member_str(o, S("type"), S("tool_use"));
    json_out_member_str(o, S("id"), p->call_id);
    json_out_member_str(o, S("name"), p->name);
    struct str object = args_object(&c->scratch, arguments);
    if (args_were_raw(object))
        convert_note(c, "degraded", S("arguments"));
    json_out_member_raw(o, S("input"), object);
    json_out_object_end(o);
}

static void write_search(struct convert *c, struct json_out *o, const struct reply_part *p)
{
    struct str id = messages_search_id(&c->scratch, p->call_id, p->item_id);
    if (!c->wants_web_search)
        return;
    json_out_object(o);
    messages_write_search(o, id);
    json_out_name(o, S("input"));
    json_out_object(o);
    json_out_member_text(o, S("query"), reply_part_text(p));
    json_out_object_end(o);
    json_out_object_end(o);
    messages_write_search_result(o, id);
}

/* A refusal's text is its explanation too (C1.13). */
static struct messages_stop stop_of(struct convert *c, const struct reply *r)
{
    struct messages_stop stop = { r->stop, r->stop_sequence, r->explanation, r->category };
    struct buf said;
    buf_init(&said, SIZE_MAX);
    for (uint32_t i = 0; i < r->part_count; i++)
        if (r->parts[i]->kind == PART_REFUSAL)
            text_add(&said, reply_part_text(r->parts[i]));
    if (buf_len(&said) > 0 && stop.reason == STOP_END)
        stop.reason = STOP_REFUSAL;
    if (stop.explanation.n == 0) {
        struct str s = arena_str(&c->scratch, buf_str(&said));
        stop.explanation = (struct text){ s.p, s.n };
    }
    buf_done(&said);
    return stop;
}

void messages_encode_reply(struct convert *c, const struct reply *reply, struct json_out *o)
{
    struct messages_stop stop = stop_of(c, reply);
    json_out_object(o);
    json_out_member_str(o, S("id"), reply->id);
    json_out_member_str(o, S("type"), S("message"));
    json_out_member_str(o, S("role"), S("assistant"));
    json_out_member_str(o, S("model"), reply->model);
    json_out_name(o, S("content"));
    json_out_array(o);
    bool behind_call = false;
    for (uint32_t i = 0; i < reply->part_count; i++) {
        const struct reply_part *p = reply->parts[i];
        switch (p->kind) {
        case PART_TEXT:
        case PART_REFUSAL:
            write_text(o, reply_part_text(p), behind_call);
            break;
        case PART_REASONING:
            write_reasoning(c, o, p);
            break;
        case PART_CALL:
            write_call(c, o, p);
            behind_call = true;
            break;
        case PART_SEARCH:
            write_search(c, o, p);
            break;
        }
    }
    json_out_array_end(o);
    messages_write_stop(o, &stop, true);
    json_out_name(o, S("usage"));
    messages_write_usage(o, &reply->usage);
    json_out_object_end(o);
}

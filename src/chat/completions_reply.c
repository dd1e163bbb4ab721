#include "completions_reply.h"

const struct text completions_refusal = { "The model declined to answer.",
                                          sizeof("The model declined to answer.") - 1 };

/* ---- reasoning_details ---- */

bool completions_has_details(const struct chat_proof *proof)
{
    switch (proof->kind) {
    case CHAT_PROOF_THINKING:
    case CHAT_PROOF_REDACTED:
    case CHAT_PROOF_ITEM:
        return true;
    case CHAT_PROOF_DETAILS:
        return proof->raw.n > 0;
    case CHAT_PROOF_NONE:
        break;
    }
    return false;
}

static void details_end(struct json_out *o, struct str format, uint32_t index)
{
    json_out_member_str(o, S("format"), format);
    json_out_member_i64(o, S("index"), index);
    json_out_object_end(o);
}

static void write_encrypted(struct json_out *o, struct text data, struct text id)
{
    json_out_object(o);
    json_out_member_str(o, S("type"), S("reasoning.encrypted"));
    json_out_member_text(o, S("data"), data);
    if (id.n > 0)
        json_out_member_text(o, S("id"), id);
}

/* One entry for each part of the summary, so that a client that returns them returns the item. */
static void write_item(struct json_out *o, struct arena *a, struct str item, uint32_t index)
{
    struct json_edit e;
    json_edit_init(&e, a, item);
    struct json_node *root = json_root(&e);
    struct text id = text_of(&e, a, json_find(&e, root, S("id")));
    struct text data = text_of(&e, a, json_find(&e, root, S("encrypted_content")));
    for (struct json_node *n = json_first(&e, json_find(&e, root, S("summary"))); n != NULL;
         n = json_next(n)) {
        json_out_object(o);
        json_out_member_str(o, S("type"), S("reasoning.summary"));
        json_out_member_text(o, S("summary"), text_of(&e, a, json_find(&e, n, S("text"))));
        if (id.n > 0)
            json_out_member_text(o, S("id"), id);
        details_end(o, S("openai-responses-v1"), index);
    }
    if (data.n > 0) {
        write_encrypted(o, data, id);
        details_end(o, S("openai-responses-v1"), index);
    }
}

/* A Chat upstream's own entries. */
static void write_entries(struct json_out *o, struct arena *a, struct str array)
{
    struct json_edit e;
    json_edit_init(&e, a, array);
    for (struct json_node *n = json_first(&e, json_root(&e)); n != NULL; n = json_next(n))
        json_out_raw(o, json_raw(&e, n));
}

void completions_write_details(struct json_out *o, struct arena *a, const struct chat_proof *proof,
                               uint32_t index)
{
    switch (proof->kind) {
    case CHAT_PROOF_THINKING:
        json_out_object(o);
        json_out_member_str(o, S("type"), S("reasoning.text"));
        json_out_member_text(o, S("text"), proof->thinking);
        json_out_member_text(o, S("signature"), proof->opaque);
        details_end(o, S("anthropic-claude-v1"), index);
        return;
    case CHAT_PROOF_REDACTED:
        write_encrypted(o, proof->opaque, TEXT(""));
        details_end(o, S("anthropic-claude-v1"), index);
        return;
    case CHAT_PROOF_ITEM:
        write_item(o, a, proof->raw, index);
        return;
    case CHAT_PROOF_DETAILS:
        if (proof->raw.n > 0)
            write_entries(o, a, proof->raw);
        return;
    case CHAT_PROOF_NONE:
        return;
    }
}

/* ---- annotations, log probabilities, usage, words ---- */

void completions_write_annotation(struct json_out *o, struct text url, struct text title,
                                  int64_t from, int64_t to)
{
    json_out_object(o);
    json_out_member_str(o, S("type"), S("url_citation"));
    json_out_name(o, S("url_citation"));
    json_out_object(o);
    json_out_member_text(o, S("url"), url);
    json_out_member_text(o, S("title"), title);
    json_out_member_i64(o, S("start_index"), from);
    json_out_member_i64(o, S("end_index"), to);
    json_out_object_end(o);
    json_out_object_end(o);
}

void completions_logprobs_begin(struct json_out *o)
{
    json_out_name(o, S("logprobs"));
    json_out_object(o);
    json_out_name(o, S("content"));
    json_out_array(o);
}

void completions_logprobs_end(struct json_out *o)
{
    json_out_array_end(o);
    json_out_member_null(o, S("refusal"));
    json_out_object_end(o);
}

bool completions_has_usage(const struct event_usage *u)
{
    return u->prompt >= 0 || u->output >= 0;
}

static int64_t known(int64_t n)
{
    return n < 0 ? 0 : n;
}

void completions_write_usage(struct json_out *o, const struct event_usage *u)
{
    json_out_object(o);
    json_out_member_i64(o, S("prompt_tokens"), known(u->prompt));
    json_out_member_i64(o, S("completion_tokens"), known(u->output));
    json_out_member_i64(o, S("total_tokens"), known(u->prompt) + known(u->output));
    json_out_name(o, S("prompt_tokens_details"));
    json_out_object(o);
    json_out_member_i64(o, S("cached_tokens"), known(u->cache_read));
    json_out_member_i64(o, S("cache_write_tokens"), known(u->cache_write));
    json_out_object_end(o);
    json_out_name(o, S("completion_tokens_details"));
    json_out_object(o);
    json_out_member_i64(o, S("reasoning_tokens"), known(u->reasoning));
    json_out_object_end(o);
    json_out_object_end(o);
}

struct str completions_finish_reason(const struct convert *c, enum stop_reason stop)
{
    static const struct str names[] = {
#define STOP(id, messages, chat, status, reason) S_INIT(chat),
#include "stops.def"
#undef STOP
    };
    must(stop < STOP_COUNT);
    return names[stop == STOP_TOOL && c->legacy_functions ? STOP_FUNCTION : stop];
}

struct str completions_service_tier(struct str upstream_word)
{
    return str_eq(upstream_word, S("standard")) ? S("default") : upstream_word;
}

struct text completions_gap(enum part_kind kind, bool own_item)
{
    if (own_item)
        return TEXT("\\n\\n");
    return kind == PART_REASONING ? TEXT("\\n") : TEXT("");
}

/* ---- the whole reply ---- */

/* Texts that become one string. */
struct joint {
    bool any;
    struct str item; /* of the last text */
};

/* What stands before this text, which is not empty. */
static struct text joint_gap(struct joint *j, const struct reply_part *p)
{
    struct text gap = TEXT("");
    if (j->any)
        gap = completions_gap(p->kind, p->item_id.n > 0 && !str_eq(p->item_id, j->item));
    *j = (struct joint){ true, p->item_id };
    return gap;
}

/* Texts of a kind as one string. */
static void write_joined(struct json_out *o, const struct reply *r, enum part_kind kind)
{
    struct joint joint = { .any = false };
    json_out_string_begin(o);
    for (uint32_t i = 0; i < r->part_count; i++) {
        const struct reply_part *p = r->parts[i];
        struct text t = reply_part_text(p);
        if (p->kind != kind || t.n == 0)
            continue;
        json_out_string_add(o, joint_gap(&joint, p));
        json_out_string_add(o, t);
    }
    json_out_string_end(o);
}

static bool has_text(const struct reply *r, enum part_kind kind)
{
    for (uint32_t i = 0; i < r->part_count; i++)
        if (r->parts[i]->kind == kind && buf_len(&r->parts[i]->text) > 0)
            return true;
    return false;
}

static uint32_t count(const struct reply *r, enum part_kind kind)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->part_count; i++)
        n += r->parts[i]->kind == kind;
    return n;
}

static void write_content(struct json_out *o, const struct reply *r)
{
    bool refused = has_text(r, PART_REFUSAL);
    json_out_name(o, S("content"));
    if (has_text(r, PART_TEXT) || (!refused && count(r, PART_CALL) == 0))
        write_joined(o, r, PART_TEXT);
    else
        json_out_null(o);
    json_out_name(o, S("refusal"));
    if (refused)
        write_joined(o, r, PART_REFUSAL);
    else if (r->stop == STOP_REFUSAL && !r->filtered)
        json_out_text(o, r->explanation.n > 0 ? r->explanation : completions_refusal);
    else
        json_out_null(o);
}

static void write_annotations(struct json_out *o, const struct reply *r)
{
    struct joint joint = { .any = false };
    int64_t base = 0; /* characters of `content` before this text */
    bool any = false;
    for (uint32_t i = 0; i < r->part_count; i++) {
        const struct reply_part *p = r->parts[i];
        if (p->kind != PART_TEXT || buf_len(&p->text) == 0)
            continue;
        base += (int64_t)text_chars(joint_gap(&joint, p));
        int64_t end = base + (int64_t)text_chars(reply_part_text(p));
        for (const struct reply_citation *n = p->citations; n != NULL; n = n->next) {
            if (!any) {
                json_out_name(o, S("annotations"));
                json_out_array(o);
            }
            any = true;
            completions_write_annotation(o, n->url, n->title, n->from < 0 ? base : base + n->from,
                                         n->to < 0 ? end : base + n->to);
        }
        base = end;
    }
    if (any)
        json_out_array_end(o);
}

static void write_reasoning(struct convert *c, struct json_out *o, const struct reply *r)
{
    uint32_t index = 0; /* the piece's number */
    bool any = false;
    if (has_text(r, PART_REASONING)) {
        json_out_name(o, S("reasoning_content"));
        write_joined(o, r, PART_REASONING);
    }
    for (uint32_t i = 0; i < r->part_count; i++) {
        const struct reply_part *p = r->parts[i];
        if (p->kind != PART_REASONING)
            continue;
        if (completions_has_details(&p->proof)) {
            if (!any) {
                json_out_name(o, S("reasoning_details"));
                json_out_array(o);
            }
            any = true;
            completions_write_details(o, &c->scratch, &p->proof, index);
        }
        index++;
    }
    if (any)
        json_out_array_end(o);
}

static void write_call(struct json_out *o, const struct reply_part *p, bool legacy)
{
    struct text arguments = reply_part_text(p);
    bool custom = p->tool == CHAT_TOOL_CUSTOM;
    if (!legacy) {
        json_out_object(o);
        json_out_member_str(o, S("id"), p->call_id);
        json_out_member_str(o, S("type"), custom ? S("custom") : S("function"));
        json_out_name(o, custom ? S("custom") : S("function"));
    }
    if (arguments.n == 0 && !custom)
        arguments = TEXT("{}");
    json_out_object(o);
    json_out_member_str(o, S("name"), p->name);
    json_out_member_text(o, custom ? S("input") : S("arguments"), arguments);
    json_out_object_end(o);
    if (!legacy)
        json_out_object_end(o);
}

static void write_calls(struct convert *c, struct json_out *o, const struct reply *r)
{
    if (count(r, PART_CALL) == 0)
        return;
    json_out_name(o, c->legacy_functions ? S("function_call") : S("tool_calls"));
    if (!c->legacy_functions)
        json_out_array(o);
    for (uint32_t i = 0; i < r->part_count; i++) {
        if (r->parts[i]->kind != PART_CALL)
            continue;
        write_call(o, r->parts[i], c->legacy_functions);
        if (c->legacy_functions)
            return; /* the old form has room for one */
    }
    json_out_array_end(o);
}

static void write_logprobs(struct json_out *o, const struct reply *r)
{
    bool any = false;
    for (uint32_t i = 0; i < r->part_count; i++) {
        const struct buf *entries = &r->parts[i]->logprobs;
        if (buf_len(entries) == 0)
            continue;
        if (!any)
            completions_logprobs_begin(o);
        any = true;
        json_out_elements(o, buf_str(entries));
    }
    if (any)
        completions_logprobs_end(o);
    else
        json_out_member_null(o, S("logprobs"));
}

void completions_write_head(struct json_out *o, struct str id, struct str object, int64_t created,
                            struct str model)
{
    json_out_object(o);
    json_out_member_str(o, S("id"), id);
    json_out_member_str(o, S("object"), object);
    json_out_member_i64(o, S("created"), created);
    json_out_member_str(o, S("model"), model);
    json_out_name(o, S("choices"));
    json_out_array(o);
}

void completions_write_choice(struct json_out *o, struct str content)
{
    json_out_object(o);
    json_out_member_i64(o, S("index"), 0);
    json_out_name(o, content);
    json_out_object(o);
}

void completions_encode_reply(struct convert *c, const struct reply *reply, struct json_out *o)
{
    completions_write_head(o, reply->id, S("chat.completion"), reply->created, reply->model);
    completions_write_choice(o, S("message"));
    json_out_member_str(o, S("role"), S("assistant"));
    write_content(o, reply);
    write_annotations(o, reply);
    write_reasoning(c, o, reply);
    write_calls(c, o, reply);
    json_out_object_end(o);
    write_logprobs(o, reply);
    json_out_member_str(o, S("finish_reason"), completions_finish_reason(c, reply->stop));
    json_out_object_end(o);
    json_out_array_end(o);
    if (completions_has_usage(&reply->usage)) {
        json_out_name(o, S("usage"));
        completions_write_usage(o, &reply->usage);
    }
    if (reply->service_tier.n > 0)
        json_out_member_str(o, S("service_tier"), completions_service_tier(reply->service_tier));
    json_out_object_end(o);
}

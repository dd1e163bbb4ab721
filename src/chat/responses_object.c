#include "responses_object.h"

#include "args.h"
#include "emit.h"
#include "envelope.h"
#include "error.h"

/* ---- kinds ---- */

static const struct tool_row {
    struct str type, prefix;
} tool_rows[CHAT_TOOL_KIND_COUNT] = {
    [CHAT_TOOL_FUNCTION] = { S_INIT("function_call"), S_INIT("fc_") },
    [CHAT_TOOL_CUSTOM] = { S_INIT("custom_tool_call"), S_INIT("ctc_") },
    [CHAT_TOOL_LOCAL_SHELL] = { S_INIT("local_shell_call"), S_INIT("lsh_") },
    [CHAT_TOOL_SHELL] = { S_INIT("shell_call"), S_INIT("sh_") },
    [CHAT_TOOL_APPLY_PATCH] = { S_INIT("apply_patch_call"), S_INIT("apc_") },
    [CHAT_TOOL_SEARCH] = { S_INIT("tool_search_call"), S_INIT("tsc_") },
    [CHAT_TOOL_WEB_SEARCH] = { S_INIT("function_call"), S_INIT("fc_") },
};

bool responses_is_text(const struct reply_part *p)
{
    return p->kind == PART_TEXT || p->kind == PART_REFUSAL;
}

bool responses_hides(const struct convert *c, const struct reply_part *p)
{
    return p->kind == PART_SEARCH && !c->wants_web_search;
}

/* ---- items ---- */

void responses_item_add(struct convert *c, struct responses_item *message,
                        const struct reply_part *p)
{
    struct responses_piece *piece = arena_new(&c->arena, struct responses_piece, 1);
    piece->part = p;
    if (message->last == NULL)
        message->pieces = piece;
    else
        message->last->next = piece;
    message->last = piece;
}

struct responses_item *responses_item_new(struct convert *c, const struct reply_part *p)
{
    struct responses_item *it = arena_new(&c->arena, struct responses_item, 1);
    it->message = p == NULL || responses_is_text(p);
    if (!it->message)
        it->part = p;
    else if (p != NULL)
        responses_item_add(c, it, p);
    return it;
}

bool responses_continues(const struct responses_item *message, const struct reply_part *p)
{
    const struct reply_part *last = message->last == NULL ? NULL : message->last->part;
    if (!message->message || message->closing || message->state == RESPONSES_DONE || last == NULL)
        return false;
    /* two messages of an upstream that has items stay two */
    bool other = last->item_id.n > 0 && p->item_id.n > 0 && !str_eq(last->item_id, p->item_id);
    return last->stopped && !other;
}

/* An item that its maker can only take back under its own id (0.7) keeps that. */
static bool is_native(const struct reply_part *p)
{
    return p->kind == PART_REASONING && p->item_id.n > 0;
}

static struct str item_prefix(const struct responses_item *it)
{
    if (it->message)
        return S("msg_");
    if (it->part->kind == PART_REASONING)
        return S("rs_");
    return it->part->kind == PART_SEARCH ? S("ws_") : tool_rows[it->part->tool].prefix;
}

void responses_item_emit(struct convert *c, struct responses_output *out, struct responses_item *it)
{
    struct str x = c->reply_id;
    struct str prefix = item_prefix(it);
    if (str_starts(x, S("resp_")))
        x = str_slice(x, 5, x.n);
    it->index = out->count++;
    if (!it->message && is_native(it->part))
        it->id = it->part->item_id;
    else
        it->id =
            arena_printf(&c->arena, STR_FMT STR_FMT "_%u", STR_ARG(prefix), STR_ARG(x), it->index);
    it->state = RESPONSES_SHOWN;
    if (out->last == NULL)
        out->items = it;
    else
        out->last->next = it;
    out->last = it;
}

/* ---- messages ---- */

void responses_annotation_write(struct json_out *o, const struct reply_part *p,
                                const struct reply_citation *citation, size_t before)
{
    int64_t from = citation->from < 0 ? 0 : citation->from;
    int64_t to = citation->from < 0 || citation->to < 0 ? (int64_t)text_chars(reply_part_text(p))
                                                        : citation->to;
    json_out_object(o);
    json_out_member_str(o, S("type"), S("url_citation"));
    json_out_member_i64(o, S("start_index"), (int64_t)before + from);
    json_out_member_i64(o, S("end_index"), (int64_t)before + to);
    json_out_member_text(o, S("url"), citation->url);
    json_out_member_text(o, S("title"), citation->title);
    json_out_object_end(o);
}

void responses_run_write(struct json_out *o, const struct responses_piece *piece)
{
    enum part_kind kind = piece->part->kind;
    json_out_string_begin(o);
    for (; piece != NULL && piece->part->kind == kind; piece = piece->next)
        json_out_string_add(o, reply_part_text(piece->part));
    json_out_string_end(o);
}

void responses_run_logprobs(struct json_out *o, const struct responses_piece *piece)
{
    json_out_name(o, S("logprobs"));
    json_out_array(o);
    for (; piece != NULL && piece->part->kind == PART_TEXT; piece = piece->next)
        if (buf_len(&piece->part->logprobs) > 0)
            json_out_elements(o, buf_str(&piece->part->logprobs));
    json_out_array_end(o);
}

static void refusal_write(struct json_out *o)
{
    json_out_object(o);
    json_out_member_str(o, S("type"), S("refusal"));
    json_out_name(o, S("refusal"));
}

const struct responses_piece *responses_content_write(struct convert *c, struct json_out *o,
                                                      const struct responses_item *it,
                                                      const struct responses_piece *piece)
{
    (void)c;
    enum part_kind kind = piece == NULL ? PART_REFUSAL : piece->part->kind;
    const struct responses_piece *first = piece;
    size_t before = 0;
    if (kind == PART_REFUSAL) {
        refusal_write(o);
        if (piece == NULL)
            json_out_text(o, it->refusal);
        else
            responses_run_write(o, first);
        json_out_object_end(o);
        while (piece != NULL && piece->part->kind == kind)
            piece = piece->next;
        return piece;
    }
    json_out_object(o);
    json_out_member_str(o, S("type"), S("output_text"));
    json_out_name(o, S("text"));
    responses_run_write(o, first);
    json_out_name(o, S("annotations"));
    json_out_array(o);
    for (; piece != NULL && piece->part->kind == kind; piece = piece->next) {
        const struct reply_part *p = piece->part;
        for (const struct reply_citation *a = p->citations; a != NULL; a = a->next)
            responses_annotation_write(o, p, a, before);
        before += text_chars(reply_part_text(p));
    }
    json_out_array_end(o);
    responses_run_logprobs(o, first);
    json_out_object_end(o);
    return piece;
}

static void message_write(struct convert *c, struct json_out *o, const struct responses_item *it,
                          struct str status)
{
    const struct responses_piece *piece = it->pieces;
    json_out_member_str(o, S("id"), it->id);
    json_out_member_str(o, S("type"), S("message"));
    json_out_member_str(o, S("role"), S("assistant"));
    json_out_member_str(o, S("status"), status);
    json_out_name(o, S("content"));
    json_out_array(o);
    if (!str_eq(status, S("in_progress"))) {
        if (piece == NULL)
            responses_content_write(c, o, it, NULL);
        while (piece != NULL)
            piece = responses_content_write(c, o, it, piece);
    }
    json_out_array_end(o);
}

/* ---- the other items ---- */

static void reasoning_write(struct convert *c, struct json_out *o, const struct responses_item *it,
                            enum responses_status status)
{
    const struct reply_part *p = it->part;
    struct text text = reply_part_text(p);
    struct text proof = { NULL, 0 };
    json_out_member_str(o, S("id"), it->id);
    json_out_member_str(o, S("type"), S("reasoning"));
    json_out_name(o, S("summary"));
    json_out_array(o);
    if (status != RESPONSES_IN_PROGRESS && text.n > 0) {
        json_out_object(o);
        json_out_member_str(o, S("type"), S("summary_text"));
        json_out_member_text(o, S("text"), text);
        json_out_object_end(o);
    }
    json_out_array_end(o);
    if (status != RESPONSES_IN_PROGRESS && p->stopped)
        proof = p->proof.kind == CHAT_PROOF_ITEM ? p->proof.opaque
                                                 : envelope_wrap(c, &c->scratch, &p->proof);
    if (proof.n > 0)
        json_out_member_text(o, S("encrypted_content"), proof);
    else
        json_out_member_null(o, S("encrypted_content"));
    if (status == RESPONSES_INCOMPLETE)
        json_out_member_str(o, S("status"), S("incomplete"));
}

static void search_write(struct json_out *o, const struct responses_item *it, struct str status)
{
    struct text query = reply_part_text(it->part);
    json_out_member_str(o, S("id"), it->id);
    json_out_member_str(o, S("type"), S("web_search_call"));
    json_out_member_str(o, S("status"), status);
    json_out_name(o, S("action"));
    json_out_object(o);
    json_out_member_str(o, S("type"), S("search"));
    json_out_member_text(o, S("query"), query);
    json_out_name(o, S("queries"));
    json_out_array(o);
    json_out_text(o, query);
    json_out_array_end(o);
    json_out_object_end(o);
}

/* What the arguments of a fixed schema (C1.5) are called in the item's action.  Clients read the
 * action strictly: one member of another type would cost them the whole call. */
static const struct action_member {
    enum chat_tool_kind tool;
    enum json_type type;            /* of arrays and objects all members are strings */
    struct str from, to, otherwise; /* otherwise: JSON; empty: left out */
} action_members[] = {
    { CHAT_TOOL_SHELL, JSON_ARRAY, S_INIT("commands"), S_INIT("commands"), S_INIT("[]") },
    { CHAT_TOOL_SHELL, JSON_NUMBER, S_INIT("timeout_ms"), S_INIT("timeout_ms"), S_INIT("null") },
    { CHAT_TOOL_SHELL, JSON_NUMBER, S_INIT("max_output_length"), S_INIT("max_output_length"),
      S_INIT("null") },
    { CHAT_TOOL_LOCAL_SHELL, JSON_ARRAY, S_INIT("command"), S_INIT("command"), S_INIT("[]") },
    { CHAT_TOOL_LOCAL_SHELL, JSON_OBJECT, S_INIT("env"), S_INIT("env"), S_INIT("{}") },
    { CHAT_TOOL_LOCAL_SHELL, JSON_STRING, S_INIT("workdir"), S_INIT("working_directory"),
      S_INIT("") },
    { CHAT_TOOL_LOCAL_SHELL, JSON_NUMBER, S_INIT("timeout_ms"), S_INIT("timeout_ms"), S_INIT("") },
};

static bool action_fits(struct json_edit *e, struct json_node *n, enum json_type type)
{
    if (json_type(n) != type)
        return false;
    if (type != JSON_ARRAY && type != JSON_OBJECT)
        return true;
    for (struct json_node *m = json_first(e, n); m != NULL; m = json_next(m))
        if (json_type(m) != JSON_STRING)
            return false;
    return true;
}

static void action_member_write(struct json_edit *e, struct json_out *o,
                                const struct action_member *m)
{
    struct json_node *n = json_find(e, json_root(e), m->from);
    if (n != NULL && action_fits(e, n, m->type)) {
        json_out_member_raw(o, m->to, json_raw(e, n));
    } else if (n != NULL && m->type == JSON_ARRAY && json_type(n) == JSON_STRING) {
        json_out_name(o, m->to); /* one that stands for a list of one */
        json_out_array(o);
        json_out_raw(o, json_raw(e, n));
        json_out_array_end(o);
    } else if (m->otherwise.n > 0) {
        json_out_member_raw(o, m->to, m->otherwise);
    }
}

static void builtin_write(struct convert *c, struct json_out *o, const struct reply_part *p)
{
    struct json_edit e;
    struct str arguments = args_object(&c->scratch, text_plain(&c->scratch, reply_part_text(p)));
    if (p->tool == CHAT_TOOL_APPLY_PATCH) {
        json_out_member_raw(o, S("operation"), arguments);
        return;
    }
    if (p->tool == CHAT_TOOL_SEARCH) {
        json_out_member_str(o, S("execution"), S("client"));
        json_out_member_raw(o, S("arguments"), arguments);
        return;
    }
    json_edit_init(&e, &c->scratch, arguments);
    json_out_name(o, S("action"));
    json_out_object(o);
    if (p->tool == CHAT_TOOL_LOCAL_SHELL)
        json_out_member_str(o, S("type"), S("exec"));
    for (size_t i = 0; i < ARRAY_LEN(action_members); i++)
        if (action_members[i].tool == p->tool)
            action_member_write(&e, o, &action_members[i]);
    json_out_object_end(o);
}

static void call_write(struct convert *c, struct json_out *o, const struct responses_item *it,
                       enum responses_status status, struct str status_name)
{
    const struct reply_part *p = it->part;
    struct text text = reply_part_text(p);
    bool custom = p->tool == CHAT_TOOL_CUSTOM;
    json_out_member_str(o, S("id"), it->id);
    json_out_member_str(o, S("type"), tool_rows[p->tool].type);
    json_out_member_str(o, S("call_id"), p->call_id);
    if (custom || p->tool == CHAT_TOOL_FUNCTION || p->tool == CHAT_TOOL_WEB_SEARCH) {
        json_out_member_str(o, S("name"), p->name);
        if (p->space.n > 0)
            json_out_member_str(o, S("namespace"), p->space);
        if (status == RESPONSES_IN_PROGRESS)
            text = TEXT("");
        else if (text.n == 0 && !custom && status == RESPONSES_COMPLETED)
            text = TEXT("{}");
        json_out_member_text(o, custom ? S("input") : S("arguments"), text);
    } else {
        builtin_write(c, o, p);
    }
    json_out_member_str(o, S("status"), status_name);
}

void responses_item_write(struct convert *c, struct json_out *o, const struct responses_item *it,
                          enum responses_status status)
{
    static const struct str names[] = {
        [RESPONSES_IN_PROGRESS] = S_INIT("in_progress"),
        [RESPONSES_COMPLETED] = S_INIT("completed"),
        [RESPONSES_INCOMPLETE] = S_INIT("incomplete"),
    };
    json_out_object(o);
    if (it->message)
        message_write(c, o, it, names[status]);
    else if (it->part->kind == PART_REASONING)
        reasoning_write(c, o, it, status);
    else if (it->part->kind == PART_SEARCH)
        search_write(o, it, names[status]);
    else
        call_write(c, o, it, status, names[status]);
    json_out_object_end(o);
}

/* ---- the response ---- */

struct str responses_status_of(const struct reply *reply)
{
    static const struct str status[] = {
#define STOP(id, messages, chat, status, reason) S_INIT(status),
#include "stops.def"
#undef STOP
    };
    return status[reply->stop];
}

static struct str incomplete_reason(const struct reply *reply)
{
    static const struct str reasons[] = {
#define STOP(id, messages, chat, status, reason) S_INIT(reason),
#include "stops.def"
#undef STOP
    };
    return reasons[reply->stop];
}

struct text responses_declined(const struct reply *reply)
{
    return reply->explanation.n > 0 ? reply->explanation : TEXT("The model declined to answer.");
}

static void usage_write(struct json_out *o, const struct event_usage *u)
{
    int64_t in = u->prompt < 0 ? 0 : u->prompt, out = u->output < 0 ? 0 : u->output;
    json_out_name(o, S("usage"));
    json_out_object(o);
    json_out_member_i64(o, S("input_tokens"), in);
    json_out_name(o, S("input_tokens_details"));
    json_out_object(o);
    json_out_member_i64(o, S("cached_tokens"), u->cache_read < 0 ? 0 : u->cache_read);
    json_out_member_i64(o, S("cache_write_tokens"), u->cache_write < 0 ? 0 : u->cache_write);
    json_out_object_end(o);
    json_out_member_i64(o, S("output_tokens"), out);
    json_out_name(o, S("output_tokens_details"));
    json_out_object(o);
    json_out_member_i64(o, S("reasoning_tokens"), u->reasoning < 0 ? 0 : u->reasoning);
    json_out_object_end(o);
    json_out_member_i64(o, S("total_tokens"), in + out);
    json_out_object_end(o);
}

static void echo(const struct convert *c, struct json_out *o, struct str name, enum chat_param p,
                 struct str otherwise)
{
    struct str raw = c->echo != NULL ? c->echo[p] : S("");
    json_out_member_raw(o, name, raw.n > 0 ? raw : otherwise);
}

static void service_tier(const struct convert *c, struct json_out *o, const struct reply *reply)
{
    if (str_eq(reply->service_tier, S("standard")))
        json_out_member_str(o, S("service_tier"), S("default"));
    else if (reply->service_tier.n > 0)
        json_out_member_str(o, S("service_tier"), reply->service_tier);
    else
        echo(c, o, S("service_tier"), CHAT_PARAM_SERVICE_TIER, S("\"default\""));
}

/* Items are written as done in a finished reply; in a broken one those that are not are cut. */
static void output_write(struct convert *c, struct json_out *o, const struct responses_output *out)
{
    json_out_name(o, S("output"));
    json_out_array(o);
    for (const struct responses_item *it = out->items; it != NULL; it = it->next)
        responses_item_write(c, o, it,
                             it->cut || it->state != RESPONSES_DONE ? RESPONSES_INCOMPLETE
                                                                    : RESPONSES_COMPLETED);
    json_out_array_end(o);
}

static void head_write(struct convert *c, struct json_out *o, const struct reply *reply,
                       struct str status, const struct event_error *error)
{
    json_out_member_str(o, S("id"), c->reply_id);
    json_out_member_str(o, S("object"), S("response"));
    json_out_member_i64(o, S("created_at"), reply->created > 0 ? reply->created : c->options.now_s);
    json_out_member_str(o, S("status"), status);
    json_out_member_bool(o, S("background"), false);
    json_out_name(o, S("error"));
    if (error != NULL) {
        json_out_object(o);
        json_out_member_str(o, S("code"), error_response_code(error));
        json_out_member_str(o, S("message"), error->message);
        json_out_object_end(o);
    } else {
        json_out_null(o);
    }
    json_out_name(o, S("incomplete_details"));
    if (str_eq(status, S("incomplete"))) {
        json_out_object(o);
        json_out_member_str(o, S("reason"), incomplete_reason(reply));
        json_out_object_end(o);
    } else {
        json_out_null(o);
    }
}

void responses_object_write(struct convert *c, struct json_out *o, const struct reply *reply,
                            const struct responses_output *out, struct str status,
                            const struct event_error *error)
{
    static const struct str null = S_INIT("null");
    json_out_object(o);
    head_write(c, o, reply, status, error);
    echo(c, o, S("instructions"), CHAT_PARAM_INSTRUCTIONS, null);
    echo(c, o, S("max_output_tokens"), CHAT_PARAM_MAX_COMPLETION, null);
    echo(c, o, S("max_tool_calls"), CHAT_PARAM_MAX_TOOL_CALLS, null);
    json_out_member_str(o, S("model"), reply->model.n > 0 ? reply->model : c->model);
    output_write(c, o, out);
    echo(c, o, S("parallel_tool_calls"), CHAT_PARAM_PARALLEL, S("true"));
    json_out_member_null(o, S("previous_response_id"));
    echo(c, o, S("prompt_cache_key"), CHAT_PARAM_CACHE_KEY, null);
    echo(c, o, S("reasoning"), CHAT_PARAM_REASONING, S("{\"effort\":null,\"summary\":null}"));
    echo(c, o, S("safety_identifier"), CHAT_PARAM_SAFETY_IDENTIFIER, null);
    service_tier(c, o, reply);
    json_out_member_bool(o, S("store"), false);
    echo(c, o, S("temperature"), CHAT_PARAM_TEMPERATURE, S("1.0"));
    echo(c, o, S("text"), CHAT_PARAM_TEXT, S("{\"format\":{\"type\":\"text\"}}"));
    echo(c, o, S("tool_choice"), CHAT_PARAM_TOOL_CHOICE, S("\"auto\""));
    echo(c, o, S("tools"), CHAT_PARAM_TOOLS, S("[]"));
    echo(c, o, S("top_logprobs"), CHAT_PARAM_TOP_LOGPROBS, S("0"));
    echo(c, o, S("top_p"), CHAT_PARAM_TOP_P, S("1.0"));
    echo(c, o, S("truncation"), CHAT_PARAM_TRUNCATION, S("\"disabled\""));
    bool counted = reply->usage.prompt >= 0 || reply->usage.output >= 0;
    if (str_eq(status, S("in_progress")) || (error != NULL && !counted))
        json_out_member_null(o, S("usage"));
    else
        usage_write(o, &reply->usage);
    echo(c, o, S("user"), CHAT_PARAM_USER, null);
    echo(c, o, S("metadata"), CHAT_PARAM_METADATA, S("{}"));
    json_out_object_end(o);
}

/* ---- the plain reply ---- */

void responses_encode_reply(struct convert *c, const struct reply *reply, struct json_out *o)
{
    struct responses_output out = { .count = 0 };
    bool said = false;
    for (uint32_t i = 0; i < reply->part_count; i++) {
        const struct reply_part *p = reply->parts[i];
        bool text = responses_is_text(p);
        if (responses_hides(c, p) || (text && reply_part_text(p).n == 0))
            continue;
        said = said || text;
        if (text && out.last != NULL && responses_continues(out.last, p)) {
            responses_item_add(c, out.last, p);
        } else {
            if (out.last != NULL)
                out.last->state = RESPONSES_DONE;
            responses_item_emit(c, &out, responses_item_new(c, p));
        }
        out.last->cut = p->cut;
    }
    if (reply->stop == STOP_REFUSAL && !reply->filtered && !said) {
        struct responses_item *it = responses_item_new(c, NULL);
        it->refusal = responses_declined(reply);
        it->cut = true;
        responses_item_emit(c, &out, it);
    }
    for (struct responses_item *it = out.items; it != NULL; it = it->next)
        it->state = RESPONSES_DONE;
    responses_object_write(c, o, reply, &out, responses_status_of(reply), NULL);
}

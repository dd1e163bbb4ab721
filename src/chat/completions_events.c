/*
 * The reply of a Chat Completions upstream: A2.7, A2.9, B2, C1.13, C4.1, C4.6 of protocols.md.
 *
 * A whole reply is read as one chunk whose choice has a `message` instead of a `delta`.
 */
#include "codec.h"
#include "completions_calls.h"
#include "completions_details.h"
#include "completions_think.h"
#include "emit.h"
#include "err.h"
#include "error.h"
#include "member.h"

/* BEGIN → RUNNING [start] → FINISHED [finish]: a reason is known, and what was open is stopped.
 * Some backends send one with every chunk, so other parts may come until the end. */
enum decoder_state { DECODER_BEGIN, DECODER_RUNNING, DECODER_FINISHED };

struct decoder {
    enum decoder_state state;
    bool open; /* a text, refusal or reasoning part is */
    enum part_kind kind;
    uint32_t part;
    int64_t chars, part_from; /* of `content`, for citations */
    struct completions_calls calls;
    struct completions_details details;
    struct think think;
    struct text_held think_held;
    struct str logprobs; /* of the chunk at hand, until its text has them */
    struct event_usage usage;
    bool usage_new;
    enum stop_reason stop;     /* FINISHED: the last one that came */
    struct text stop_sequence; /* one of c->stop, or empty */
    bool reasons_plainly;      /* in a member of its own: the details only repeat it */
};

const size_t completions_decoder_size = sizeof(struct decoder);

void completions_decoder_init(struct convert *c, void *decoder)
{
    struct decoder *d = decoder;
    completions_details_init(&d->details, c->options.reply_limit_bytes);
}

void completions_decoder_done(void *decoder)
{
    struct decoder *d = decoder;
    completions_calls_done(&d->calls);
    completions_details_done(&d->details);
}

static void set_state(struct decoder *d, enum decoder_state state)
{
    must(state > d->state);
    d->state = state;
}

static int start(struct convert *c, struct decoder *d, struct json_node *root)
{
    if (d->state != DECODER_BEGIN)
        return 0;
    set_state(d, DECODER_RUNNING);
    return emit_start(c, root, S("created"));
}

/* ---- text and reasoning ---- */

static int close_part(struct convert *c, struct decoder *d, bool cut)
{
    struct chat_proof proof = { 0 };
    if (!d->open)
        return 0;
    d->open = false;
    if (d->kind == PART_REASONING) {
        proof.kind = CHAT_PROOF_DETAILS;
        proof.raw = completions_details_take(c, &d->details);
    }
    return emit_stop(c, d->part, &proof, cut);
}

static int want(struct convert *c, struct decoder *d, enum part_kind kind)
{
    if (d->open && d->kind == kind)
        return 0;
    int e = close_part(c, d, false);
    if (e == 0)
        e = emit_part(c, kind, &d->part);
    d->open = e == 0;
    d->kind = kind;
    d->part_from = d->chars;
    return e;
}

static int add(struct convert *c, struct decoder *d, enum part_kind kind, struct str inside)
{
    struct str logprobs = S("");
    if (inside.n == 0)
        return 0;
    int e = want(c, d, kind);
    if (kind == PART_TEXT) {
        d->chars += (int64_t)text_chars((struct text){ inside.p, inside.n });
        logprobs = d->logprobs;
        d->logprobs = S("");
    }
    return e == 0 ? emit_text(c, d->part, inside, logprobs) : e;
}

/* What no text took: of a token that ends no character, or of the token that ends the text; of
 * tokens of a call or of reasoning it is dropped. */
static int logprobs_rest(struct convert *c, struct decoder *d, struct json_node *delta)
{
    struct json_node *content = member_node(c, delta, S("content"));
    struct str rest = d->logprobs;
    bool begins = d->state == DECODER_RUNNING && !d->open && d->calls.count == 0 &&
                  content != NULL && json_type(content) == JSON_STRING &&
                  text_inside(&c->doc, content).n == 0;
    d->logprobs = S("");
    if (rest.n == 0 || (d->open ? d->kind != PART_TEXT : !begins))
        return 0;
    int e = want(c, d, PART_TEXT);
    return e == 0 ? emit_text(c, d->part, S(""), rest) : e;
}

struct think_target {
    struct convert *c;
    struct decoder *d;
};

static int on_think_piece(void *ctx, bool reasoning, struct str piece)
{
    struct think_target *to = ctx;
    struct text t = text_escape(to->c->temp, piece);
    return add(to->c, to->d, reasoning ? PART_REASONING : PART_TEXT, (struct str){ t.p, t.n });
}

static int content_text(struct convert *c, struct decoder *d, struct str inside)
{
    struct think_target to = { c, d };
    if (!c->profile.chat_think_tags)
        return add(c, d, PART_TEXT, inside);
    struct text t = text_join(&d->think_held, c->temp, inside);
    return think_feed(&d->think, text_plain(c->temp, t), on_think_piece, &to);
}

static int content_end(struct convert *c, struct decoder *d)
{
    struct think_target to = { c, d };
    if (!c->profile.chat_think_tags)
        return 0;
    struct str rest = text_plain(c->temp, text_join_end(&d->think_held));
    int e = think_feed(&d->think, rest, on_think_piece, &to);
    return e == 0 ? think_end(&d->think, on_think_piece, &to) : e;
}

/* Mistral: {"type":"thinking","thinking":[{"type":"text","text":..}]} */
static int content_thinking(struct convert *c, struct decoder *d, struct json_node *part)
{
    int e = 0;
    struct json_node *list = member_node(c, part, S("thinking"));
    for (struct json_node *n = json_first(&c->doc, list); e == 0 && n != NULL; n = json_next(n))
        e = add(c, d, PART_REASONING, member_inside(c, n, S("text")));
    return e;
}

static int content(struct convert *c, struct decoder *d, struct json_node *node)
{
    int e = 0;
    if (node == NULL || json_type(node) != JSON_ARRAY)
        return content_text(c, d, text_inside(&c->doc, node));
    for (struct json_node *n = json_first(&c->doc, node); e == 0 && n != NULL; n = json_next(n)) {
        if (member_is(c, n, S("type"), S("thinking")))
            e = content_thinking(c, d, n);
        else if (member_is(c, n, S("type"), S("refusal")))
            e = add(c, d, PART_REFUSAL, member_inside(c, n, S("refusal")));
        else
            e = content_text(c, d, member_inside(c, n, S("text")));
    }
    return e;
}

/* The same text may stand in up to three members: it counts once (E82), also when the details come
 * after it, as we ourselves send them. */
static int reasoning(struct convert *c, struct decoder *d, struct json_node *delta)
{
    unsigned read = c->profile.chat_reasoning_out;
    struct json_node *details =
        read & REASONING_DETAILS ? member_node(c, delta, S("reasoning_details")) : NULL;
    struct json_node *first = json_first(&c->doc, details);
    struct str inside = S("");
    if (read & REASONING_CONTENT)
        inside = member_inside(c, delta, S("reasoning_content"));
    if (inside.n == 0 && (read & REASONING_TEXT))
        inside = member_inside(c, delta, S("reasoning"));
    d->reasons_plainly = d->reasons_plainly || inside.n > 0;
    int e = first == NULL ? 0 : want(c, d, PART_REASONING);
    for (struct json_node *n = first; e == 0 && n != NULL; n = json_next(n)) {
        e = completions_details_add(c, &d->details, n);
        if (e == 0 && !d->reasons_plainly)
            e = add(c, d, PART_REASONING, text_inside(&c->doc, completions_details_text(c, n)));
    }
    return e == 0 ? add(c, d, PART_REASONING, inside) : e;
}

static int64_t place(struct convert *c, const struct decoder *d, struct json_node *node,
                     struct str name)
{
    int64_t n = member_i64(c, node, name);
    return n < d->part_from ? -1 : n - d->part_from;
}

static int annotations(struct convert *c, struct decoder *d, struct json_node *list)
{
    int e = 0;
    for (struct json_node *n = json_first(&c->doc, list); e == 0 && n != NULL; n = json_next(n)) {
        struct json_node *citation = member_node(c, n, S("url_citation"));
        struct chat_event ev = { .kind = EVENT_CITATION, .part = d->part };
        if (citation == NULL)
            continue;
        if (!d->open || d->kind != PART_TEXT) {
            convert_note(c, "dropped", S("annotations")); /* the client has its text's end */
            continue;
        }
        ev.citation.url = member_text(c, citation, S("url"));
        ev.citation.title = member_text(c, citation, S("title"));
        ev.citation.from = place(c, d, citation, S("start_index"));
        ev.citation.to = place(c, d, citation, S("end_index"));
        e = emit(c, &ev);
    }
    return e;
}

/* ---- calls ---- */

static int calls(struct convert *c, struct decoder *d, struct json_node *delta, bool whole)
{
    struct json_node *list = member_node(c, delta, S("tool_calls"));
    struct json_node *legacy = member_node(c, delta, S("function_call"));
    struct json_node *first = json_first(&c->doc, list);
    if (first == NULL && (legacy == NULL || json_type(legacy) != JSON_OBJECT))
        return 0;
    int e = content_end(c, d);
    if (e == 0)
        e = close_part(c, d, false);
    int64_t place = 0;
    for (struct json_node *n = first; e == 0 && n != NULL; n = json_next(n))
        if (json_type(n) == JSON_OBJECT)
            e = completions_calls_feed(c, &d->calls, n, whole ? place++ : -1);
    if (e == 0 && legacy != NULL)
        e = completions_calls_feed_legacy(c, &d->calls, legacy);
    return e;
}

/* ---- usage ---- */

static int64_t first_known(int64_t a, int64_t b)
{
    return a >= 0 ? a : b;
}

static void usage(struct convert *c, struct decoder *d, struct json_node *node)
{
    if (node != NULL && json_type(node) == JSON_ARRAY)
        node = json_last(&c->doc, node);
    if (node == NULL || json_type(node) != JSON_OBJECT)
        return;
    struct json_node *in = member_node(c, node, S("prompt_tokens_details"));
    struct json_node *out = member_node(c, node, S("completion_tokens_details"));
    struct event_usage u = usage_unknown;
    int64_t hit = member_i64(c, node, S("prompt_cache_hit_tokens"));
    int64_t miss = member_i64(c, node, S("prompt_cache_miss_tokens"));
    int64_t total = member_i64(c, node, S("total_tokens"));
    u.prompt = first_known(member_i64(c, node, S("prompt_tokens")),
                           hit >= 0 && miss >= 0 ? hit + miss : -1);
    u.cache_read = first_known(member_i64(c, in, S("cached_tokens")),
                               first_known(hit, member_i64(c, node, S("cached_tokens"))));
    u.cache_write = member_i64(c, in, S("cache_write_tokens"));
    u.output = member_i64(c, node, S("completion_tokens"));
    u.reasoning = member_i64(c, out, S("reasoning_tokens"));
    /* some count reasoning beside the output, not in it */
    if (u.output >= 0 && u.reasoning > 0 &&
        total == first_known(u.prompt, 0) + u.output + u.reasoning)
        u.output += u.reasoning;
    d->usage = u;
    d->usage_new = true;
}

static int give_usage(struct convert *c, struct decoder *d)
{
    if (!d->usage_new || d->state == DECODER_BEGIN)
        return 0;
    d->usage_new = false;
    return emit(c, &(struct chat_event){ .kind = EVENT_USAGE, .usage = d->usage });
}

/* ---- the end ---- */

static const struct {
    struct str word;
    enum stop_reason reason;
} stops[] = {
#define STOP(id, messages, chat, status, reason) { S_INIT(chat), STOP_##id },
#include "stops.def"
#undef STOP
    { S_INIT("max_tokens"), STOP_LENGTH },
};

static enum stop_reason stop_of(struct str word)
{
    for (size_t i = 0; i < ARRAY_LEN(stops); i++)
        if (str_eq(stops[i].word, word))
            return stops[i].reason;
    return STOP_END;
}

/* vLLM and SGLang name the string that matched. */
static struct text matched_stop(struct convert *c, struct json_node *choice)
{
    static const struct str names[] = { S_INIT("matched_stop"), S_INIT("stop_reason") };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct str word = member_str(c, choice, names[i]);
        for (uint32_t k = 0; word.n > 0 && k < c->stop_count; k++)
            if (str_eq(text_plain(c->temp, c->stop[k]), word))
                return c->stop[k];
    }
    return TEXT("");
}

/* Stops what is open.  Of a reply that was broken off the last part is cut, and every call whose
 * arguments are not complete. */
static int close_all(struct convert *c, struct decoder *d)
{
    bool cut = d->stop == STOP_LENGTH || d->stop == STOP_REFUSAL;
    int e = content_end(c, d);
    bool in_call = !d->open;
    if (e == 0)
        e = close_part(c, d, cut);
    return e == 0 ? completions_calls_finish(c, &d->calls, cut, cut && in_call) : e;
}

static int finish(struct convert *c, struct decoder *d, struct json_node *choice, struct str word)
{
    if (str_eq(word, S("error")))
        return emit_error(c, 502, S("server_error"), S(""), S("the upstream reported an error"));
    if (str_eq(word, S("insufficient_system_resource")))
        return emit_error(c, 503, S("server_error"), S(""), S("the upstream is overloaded"));
    d->stop = stop_of(word);
    d->stop_sequence = matched_stop(c, choice);
    if (d->stop == STOP_END && d->stop_sequence.n > 0)
        d->stop = STOP_SEQUENCE;
    if (d->state == DECODER_FINISHED)
        return 0;
    set_state(d, DECODER_FINISHED);
    emit_finish_known(c);
    return close_all(c, d);
}

static int end(struct convert *c, struct decoder *d)
{
    struct chat_event ev = { .kind = EVENT_FINISH };
    ev.finish.reason = d->stop;
    ev.finish.filtered = d->stop == STOP_REFUSAL;
    ev.finish.stop_sequence = d->stop_sequence;
    int e = close_all(c, d);
    if (e == 0)
        e = give_usage(c, d);
    if (e == 0)
        e = emit(c, &ev);
    return e == 0 ? emit_end(c) : e;
}

/* ---- chunks ---- */

/* Reads a delta, or a message. */
static int delta(struct convert *c, struct decoder *d, struct json_node *node, bool whole)
{
    int e = reasoning(c, d, node);
    if (e == 0)
        e = content(c, d, member_node(c, node, S("content")));
    if (e == 0) /* of the text, which a refusal ends */
        e = annotations(c, d, member_node(c, node, S("annotations")));
    if (e == 0)
        e = add(c, d, PART_REFUSAL, member_inside(c, node, S("refusal")));
    return e == 0 ? calls(c, d, node, whole) : e;
}

static int choice_delta(struct convert *c, struct decoder *d, struct json_node *choice)
{
    struct json_node *node = member_node(c, choice, S("delta"));
    bool whole = node == NULL;
    if (whole)
        node = member_node(c, choice, S("message"));
    d->logprobs = member_elements(c, member_node(c, choice, S("logprobs")), S("content"));
    int e = delta(c, d, node, whole);
    return e == 0 ? logprobs_rest(c, d, node) : e;
}

/* In a stream a choice that is not the first is ignored; a whole reply's lowest one is read. */
static struct json_node *choice_of(struct convert *c, struct json_node *choices, bool lowest)
{
    struct json_node *found = NULL;
    int64_t found_index = lowest ? INT64_MAX : 1;
    for (struct json_node *n = json_first(&c->doc, choices); n != NULL; n = json_next(n)) {
        int64_t index = first_known(member_i64(c, n, S("index")), 0);
        if (json_type(n) != JSON_OBJECT || index >= found_index)
            continue;
        found = n;
        found_index = index;
    }
    return found;
}

static int error(struct convert *c, struct json_node *root)
{
    struct event_error e;
    error_of(&c->doc, c->temp, root, 0, &e);
    return emit_error(c, e.status, e.type, e.code, e.message);
}

int completions_decode_event(struct convert *c, void *decoder, struct str name,
                             struct json_node *root)
{
    struct decoder *d = decoder;
    if (str_eq(name, S("error")) || member_node(c, root, S("error")) != NULL)
        return error(c, root);
    struct json_node *choices = member_node(c, root, S("choices"));
    struct json_node *choice = choice_of(c, choices, false);
    usage(c, d, member_node(c, root, S("usage")));
    usage(c, d, member_node(c, choice, S("usage")));

    int e = choice == NULL ? 0 : start(c, d, root);
    if (e == 0 && choice != NULL) {
        struct str word = member_str(c, choice, S("finish_reason"));
        e = choice_delta(c, d, choice);
        if (e == 0 && word.n > 0)
            e = finish(c, d, choice, word);
    }
    bool last =
        d->state == DECODER_FINISHED && d->usage_new && json_first(&c->doc, choices) == NULL;
    if (e == 0)
        e = give_usage(c, d);
    return e == 0 && last ? end(c, d) : e;
}

int completions_decode_end(struct convert *c, void *decoder, bool done_marker)
{
    struct decoder *d = decoder;
    int e = 0;
    if (d->state == DECODER_BEGIN)
        return E_UPSTREAM_STREAM;
    if (d->state == DECODER_RUNNING) {
        /* no finish_reason at all, but the end was marked */
        if (!done_marker || !completions_calls_complete(&d->calls))
            return E_UPSTREAM_STREAM;
        e = finish(c, d, NULL, S("stop"));
    }
    return e == 0 ? end(c, d) : e;
}

int completions_decode_body(struct convert *c, void *decoder, struct json_node *root)
{
    struct decoder *d = decoder;
    struct json_node *choice = choice_of(c, member_node(c, root, S("choices")), true);
    if (choice == NULL)
        return E_UPSTREAM_EVENT;
    usage(c, d, member_node(c, root, S("usage")));
    usage(c, d, member_node(c, choice, S("usage")));
    int e = start(c, d, root);
    if (e == 0)
        e = choice_delta(c, d, choice);
    if (e == 0)
        e = finish(c, d, choice, member_str(c, choice, S("finish_reason")));
    return e == 0 ? end(c, d) : e;
}

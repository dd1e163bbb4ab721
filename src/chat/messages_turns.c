#include "messages_request.h"

#include <string.h>

#include "args.h"
#include "envelope.h"
#include "json.h"
#include "media.h"
#include "tools.h"

static bool is_system(const struct chat_message *m)
{
    return m->role == CHAT_SYSTEM || m->role == CHAT_DEVELOPER;
}

struct chat_message *messages_after_system(const struct convert *c)
{
    struct chat_message *m = c->request.messages;
    while (m != NULL && is_system(m))
        m = m->next;
    return m;
}

/* ---- preparing: which blocks stay ---- */

/* *ret_keep: it goes upstream.  Without a proof it is its text, which may not be blank. */
static int reasoning_goes(struct convert *c, const struct chat_reasoning *reasoning, bool *ret_keep)
{
    enum chat_proof_kind kind = reasoning->proof.kind;
    bool proven = kind == CHAT_PROOF_THINKING || kind == CHAT_PROOF_REDACTED;
    int r = envelope_may_send(c, &reasoning->proof, ret_keep);
    if (r == 0 && !proven && text_blank(reasoning->text))
        *ret_keep = false;
    return r;
}

static int block_stays(struct convert *c, struct chat_block *b, bool *ret_stays)
{
    *ret_stays = true;
    if (b->kind == CHAT_REASONING)
        return reasoning_goes(c, &b->reasoning, ret_stays);
    if (b->kind == CHAT_TEXT || b->kind == CHAT_REFUSAL)
        *ret_stays = !text_blank(b->text);
    return 0;
}

static int prune(struct convert *c, struct chat_message *m)
{
    struct chat_block **at = &m->blocks;
    m->last = NULL;
    while (*at != NULL) {
        struct chat_block *b = *at;
        bool stays;
        int r = block_stays(c, b, &stays);
        if (r < 0)
            return r;
        if (stays) {
            m->last = b;
            at = &b->next;
        } else {
            *at = b->next;
        }
    }
    return 0;
}

/* ---- preparing: later system messages ---- */

static size_t copy(char *to, size_t at, struct text piece)
{
    if (to != NULL && piece.n > 0)
        memcpy(to + at, piece.p, piece.n);
    return at + piece.n;
}

/* Called twice: to measure, then to write. */
static size_t put_reminder(char *to, const struct chat_message *m)
{
    size_t n = copy(to, 0, TEXT("<system-reminder>"));
    for (const struct chat_block *b = m->blocks; b != NULL; b = b->next)
        if (b->kind == CHAT_TEXT) {
            n = copy(to, n, TEXT("\\n"));
            n = copy(to, n, b->text);
        }
    return copy(to, n, TEXT("\\n</system-reminder>"));
}

static void make_reminder(struct convert *c, struct chat_message *m)
{
    size_t n = put_reminder(NULL, m);
    char *p = arena_new(c->temp, char, n);
    put_reminder(p, m);
    enum chat_cache cache = m->last->cache;
    m->role = CHAT_USER;
    m->blocks = m->last = NULL;
    struct chat_block *b = chat_add_block(c, m, CHAT_TEXT);
    b->text = (struct text){ p, n };
    b->cache = cache;
}

/* One without blocks is not written, and parts nothing. */
static bool is_answer(const struct chat_message *m)
{
    return m->role == CHAT_ASSISTANT && m->blocks != NULL;
}

/* A run: what stands between two assistant messages.  Its system messages stay ones when the model
 * takes them and when they end it, behind a user's (A1.3); the others become reminders. */
static void place_system(struct convert *c, struct chat_message *run)
{
    struct chat_message *tail = NULL;
    bool user_seen = false;
    for (struct chat_message *m = run; m != NULL && !is_answer(m); m = m->next) {
        if (m->blocks == NULL)
            continue;
        if (!is_system(m)) {
            user_seen = true;
            tail = NULL;
        } else if (tail == NULL && user_seen) {
            tail = m;
        }
    }
    if (!c->profile.anthropic_mid_system)
        tail = NULL;
    for (struct chat_message *m = run; m != NULL && !is_answer(m) && m != tail; m = m->next)
        if (is_system(m) && m->blocks != NULL)
            make_reminder(c, m);
}

static void trim_end(struct convert *c)
{
    struct chat_message *m = c->request.last;
    if (m == NULL || m->role != CHAT_ASSISTANT || m->last == NULL)
        return;
    if (m->last->kind == CHAT_TEXT || m->last->kind == CHAT_REFUSAL)
        m->last->text = text_trim_end(m->last->text);
}

int messages_prepare_turns(struct convert *c)
{
    for (struct chat_message *m = c->request.messages; m != NULL; m = m->next) {
        int r = prune(c, m);
        if (r < 0)
            return r;
    }
    struct chat_message *m = messages_after_system(c);
    while (m != NULL) {
        place_system(c, m);
        while (m != NULL && !is_answer(m))
            m = m->next;
        while (m != NULL && is_answer(m))
            m = m->next;
    }
    trim_end(c);
    return 0;
}

bool messages_bare_calls(const struct convert *c)
{
    const struct chat_message *last = NULL;
    bool calls = false, thinking = false;
    for (const struct chat_message *m = c->request.messages; m != NULL; m = m->next)
        if (m->role == CHAT_ASSISTANT && m->blocks != NULL)
            last = m;
    for (const struct chat_block *b = last != NULL ? last->blocks : NULL; b != NULL; b = b->next) {
        calls = calls || b->kind == CHAT_CALL;
        thinking = thinking || b->kind == CHAT_REASONING;
    }
    return calls && !thinking;
}

/* ---- cache marks ---- */

static uint32_t count_blocks(const struct chat_block *b)
{
    uint32_t n = 0;
    for (; b != NULL; b = b->next) {
        n += b->cache != CHAT_CACHE_NONE && b->kind != CHAT_REASONING;
        if (b->kind == CHAT_RESULT && !b->result.is_string)
            n += count_blocks(b->result.blocks);
    }
    return n;
}

uint32_t messages_count_marks(const struct chat_message *from, const struct chat_message *to)
{
    uint32_t n = 0;
    for (const struct chat_message *m = from; m != to; m = m->next)
        n += count_blocks(m->blocks);
    return n;
}

void messages_write_mark(struct messages_writer *w, enum chat_cache cache)
{
    if (cache == CHAT_CACHE_NONE)
        return;
    if (w->skip > 0) {
        w->skip--;
        return;
    }
    json_out_name(w->o, S("cache_control"));
    json_out_object(w->o);
    json_out_member_str(w->o, S("type"), S("ephemeral"));
    if (cache == CHAT_CACHE_LONG)
        json_out_member_str(w->o, S("ttl"), S("1h"));
    json_out_object_end(w->o);
}

/* ---- blocks ---- */

static void begin_block(struct messages_writer *w, struct str type)
{
    json_out_object(w->o);
    json_out_member_str(w->o, S("type"), type);
}

static void write_text(struct messages_writer *w, struct text text, enum chat_cache cache)
{
    begin_block(w, S("text"));
    json_out_member_text(w->o, S("text"), text);
    messages_write_mark(w, cache);
    json_out_object_end(w->o);
}

static void write_base64(struct json_out *o, struct str type, struct text data)
{
    json_out_member_str(o, S("type"), S("base64"));
    json_out_member_str(o, S("media_type"), type);
    json_out_member_text(o, S("data"), data);
}

static void write_url(struct json_out *o, struct text url)
{
    json_out_member_str(o, S("type"), S("url"));
    json_out_member_text(o, S("url"), url);
}

/* File ids are the vendor's that gave them, which is never this one. */
static int reject_file_id(struct convert *c, const struct chat_media *m)
{
    return convert_reject(c, m->path, "a file id means nothing to the upstream of this model");
}

static int write_image(struct messages_writer *w, struct chat_media *m, enum chat_cache cache)
{
    if (m->source == CHAT_MEDIA_FILE_ID)
        return reject_file_id(w->c, m);
    if (m->source == CHAT_MEDIA_BASE64) {
        int r = media_check_image(w->c, m);
        if (r < 0)
            return r;
    }
    begin_block(w, S("image"));
    json_out_name(w->o, S("source"));
    json_out_object(w->o);
    if (m->source == CHAT_MEDIA_URL)
        write_url(w->o, m->payload);
    else
        write_base64(w->o, m->type, m->payload);
    json_out_object_end(w->o);
    messages_write_mark(w, cache);
    json_out_object_end(w->o);
    return 0;
}

static void write_document(struct messages_writer *w, const struct chat_media *m,
                           enum chat_cache cache)
{
    begin_block(w, S("document"));
    json_out_name(w->o, S("source"));
    json_out_object(w->o);
    if (m->source == CHAT_MEDIA_URL) {
        write_url(w->o, m->payload);
    } else if (m->source == CHAT_MEDIA_PLAIN) {
        json_out_member_str(w->o, S("type"), S("text"));
        json_out_member_str(w->o, S("media_type"), S("text/plain"));
        json_out_member_text(w->o, S("data"), m->payload);
    } else {
        write_base64(w->o, S("application/pdf"), m->payload);
    }
    json_out_object_end(w->o);
    if (m->name.n > 0)
        json_out_member_text(w->o, S("title"), m->name);
    if (m->context.n > 0)
        json_out_member_text(w->o, S("context"), m->context);
    messages_write_mark(w, cache);
    json_out_object_end(w->o);
}

static int write_file(struct messages_writer *w, struct chat_media *m, enum chat_cache cache)
{
    struct chat_media document = *m;
    int r = 0;
    if (m->source == CHAT_MEDIA_FILE_ID)
        return reject_file_id(w->c, m);
    if (m->source != CHAT_MEDIA_PLAIN && media_is_image(m))
        return write_image(w, m, cache);
    bool as_it_is = m->source == CHAT_MEDIA_PLAIN || media_is_pdf(m) ||
                    (m->source == CHAT_MEDIA_URL && m->type.n == 0);
    if (!as_it_is) {
        if (m->source != CHAT_MEDIA_BASE64 || !media_is_textual(m))
            return convert_reject(w->c, m->path, "the upstream takes no files of this type");
        document.source = CHAT_MEDIA_PLAIN;
        r = media_plain(w->c, m, &document.payload);
    }
    if (r < 0)
        return r;
    if (document.source == CHAT_MEDIA_PLAIN && text_blank(document.payload))
        document.payload = TEXT("(empty)"); /* blank data is a 400 as blank text is */
    write_document(w, &document, cache);
    return 0;
}

static void write_reasoning(struct messages_writer *w, const struct chat_reasoning *reasoning)
{
    const struct chat_proof *proof = &reasoning->proof;
    if (proof->kind == CHAT_PROOF_REDACTED) {
        begin_block(w, S("redacted_thinking"));
        json_out_member_text(w->o, S("data"), proof->opaque);
    } else {
        bool is_signed = proof->kind == CHAT_PROOF_THINKING;
        begin_block(w, S("thinking"));
        json_out_member_text(w->o, S("thinking"), is_signed ? proof->thinking : reasoning->text);
        json_out_member_text(w->o, S("signature"), is_signed ? proof->opaque : TEXT(""));
    }
    json_out_object_end(w->o);
}

/* The input in the shape of the schema that the tool was declared with. */
static void write_input(struct messages_writer *w, const struct chat_call *call)
{
    struct arena *a = w->c->temp;
    const struct convert_tool *tool = tools_find(w->c, call->name);
    json_out_name(w->o, S("input"));
    if (call->kind == CHAT_TOOL_CUSTOM) {
        json_out_raw(w->o, args_wrap(a, call->arguments));
    } else if (tool != NULL && tool->wrapped && json_is_valid(call->arguments)) {
        json_out_object(w->o);
        json_out_member_raw(w->o, S("value"), call->arguments);
        json_out_object_end(w->o);
    } else {
        struct str object = args_object(a, call->arguments);
        if (args_were_raw(object))
            convert_note(w->c, "degraded", S("arguments"));
        json_out_raw(w->o, object);
    }
}

static void write_call(struct messages_writer *w, const struct chat_call *call,
                       enum chat_cache cache)
{
    begin_block(w, S("tool_use"));
    json_out_member_str(w->o, S("id"), call->id);
    json_out_member_str(w->o, S("name"), call->name);
    write_input(w, call);
    messages_write_mark(w, cache);
    json_out_object_end(w->o);
}

static bool has_content(const struct chat_block *b)
{
    for (; b != NULL; b = b->next)
        if (b->kind != CHAT_TEXT || !text_blank(b->text))
            return true;
    return false;
}

static int write_result(struct messages_writer *w, const struct chat_result *result,
                        enum chat_cache cache)
{
    const struct chat_block *b = result->blocks;
    int r = 0;
    begin_block(w, S("tool_result"));
    json_out_member_str(w->o, S("tool_use_id"), result->call_id);
    json_out_name(w->o, S("content"));
    if (!has_content(b)) {
        /* "content cannot be empty if `is_error` is true" */
        json_out_text(w->o, result->is_error                 ? TEXT("(empty)")
                            : result->is_string && b != NULL ? b->text
                                                             : TEXT(""));
    } else if (result->is_string) {
        json_out_text(w->o, b->text);
    } else {
        json_out_array(w->o);
        r = messages_write_blocks(w, b);
        json_out_array_end(w->o);
    }
    if (result->is_error)
        json_out_member_bool(w->o, S("is_error"), true);
    messages_write_mark(w, cache);
    json_out_object_end(w->o);
    return r;
}

static int write_block(struct messages_writer *w, const struct chat_block *b)
{
    struct chat_media media;
    switch (b->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL:
        if (!text_blank(b->text))
            write_text(w, b->text, b->cache);
        return 0;
    case CHAT_IMAGE:
        media = b->media;
        return write_image(w, &media, b->cache);
    case CHAT_FILE:
        media = b->media;
        return write_file(w, &media, b->cache);
    case CHAT_REASONING:
        write_reasoning(w, &b->reasoning);
        return 0;
    case CHAT_CALL:
        write_call(w, &b->call, b->cache);
        return 0;
    case CHAT_RESULT:
        return write_result(w, &b->result, b->cache);
    }
    return 0;
}

int messages_write_blocks(struct messages_writer *w, const struct chat_block *b)
{
    for (; b != NULL; b = b->next) {
        int r = write_block(w, b);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- turns ---- */

enum which { WHICH_ALL, WHICH_RESULTS, WHICH_OTHERS };

/* The blocks of the messages from `from` to `to`; of a user's turn the results come first. */
static int write_some(struct messages_writer *w, const struct chat_message *from,
                      const struct chat_message *to, enum which which)
{
    for (const struct chat_message *m = from; m != to; m = m->next)
        for (const struct chat_block *b = m->blocks; b != NULL; b = b->next) {
            if (which != WHICH_ALL && (b->kind == CHAT_RESULT) != (which == WHICH_RESULTS))
                continue;
            int r = write_block(w, b);
            if (r < 0)
                return r;
        }
    return 0;
}

static int write_turn(struct messages_writer *w, struct str role, const struct chat_message *from,
                      const struct chat_message *to, bool results_first)
{
    const struct chat_message *m = from;
    int r = 0;
    while (m != to && m->blocks == NULL)
        m = m->next;
    if (m == to)
        return 0;
    json_out_object(w->o);
    json_out_member_str(w->o, S("role"), role);
    json_out_name(w->o, S("content"));
    json_out_array(w->o);
    if (results_first)
        r = write_some(w, from, to, WHICH_RESULTS);
    if (r == 0)
        r = write_some(w, from, to, results_first ? WHICH_OTHERS : WHICH_ALL);
    json_out_array_end(w->o);
    json_out_object_end(w->o);
    return r;
}

enum side { SIDE_USER, SIDE_ASSISTANT, SIDE_SYSTEM };

static enum side side_of(const struct chat_message *m)
{
    if (is_system(m))
        return SIDE_SYSTEM;
    return m->role == CHAT_ASSISTANT ? SIDE_ASSISTANT : SIDE_USER;
}

int messages_write_turns(struct messages_writer *w)
{
    static const struct str roles[] = { S_INIT("user"), S_INIT("assistant"), S_INIT("system") };
    const struct chat_message *m = messages_after_system(w->c), *to;
    json_out_array(w->o);
    while (m != NULL) {
        enum side side = side_of(m);
        for (to = m->next; to != NULL && (to->blocks == NULL || side_of(to) == side); to = to->next)
            ;
        int r = write_turn(w, roles[side], m, to, side == SIDE_USER);
        if (r < 0)
            return r;
        m = to;
    }
    json_out_array_end(w->o);
    return 0;
}

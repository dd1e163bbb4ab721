#include "completions_request.h"

#include "args.h"
#include "envelope.h"
#include "media.h"
#include "tools.h"

enum { MARKS_MAX = 4 };

struct writer {
    struct convert *c;
    struct json_out *o;
    struct text note; /* for the end of the system text; emptied when written */
};

static bool is_system(const struct chat_message *m)
{
    return m->role == CHAT_SYSTEM || m->role == CHAT_DEVELOPER;
}

static bool is_media(const struct chat_block *b)
{
    return (b->kind == CHAT_IMAGE || b->kind == CHAT_FILE) && b->media.source != CHAT_MEDIA_PLAIN;
}

static bool holds_media(const struct chat_block *blocks)
{
    for (const struct chat_block *b = blocks; b != NULL; b = b->next)
        if (is_media(b))
            return true;
    return false;
}

/* ---- cache marks: the last four are sent ---- */

static bool may_mark(const struct chat_message *m)
{
    return m->role != CHAT_ASSISTANT;
}

/* A result has one mark: its own or one of its blocks'. */
static void lift_marks(struct chat_block *b)
{
    if (b->kind != CHAT_RESULT)
        return;
    for (struct chat_block *inner = b->result.blocks; inner != NULL; inner = inner->next) {
        if (inner->cache != CHAT_CACHE_NONE)
            b->cache = inner->cache;
        inner->cache = CHAT_CACHE_NONE;
    }
}

static void keep_last_marks(struct convert *c)
{
    uint32_t count = 0;
    for (struct chat_message *m = c->request.messages; m != NULL; m = m->next)
        for (struct chat_block *b = m->blocks; b != NULL; b = b->next) {
            lift_marks(b);
            count += may_mark(m) && b->cache != CHAT_CACHE_NONE;
        }
    uint32_t drop = !c->profile.openai_cache_fields ? count
                    : count > MARKS_MAX             ? count - MARKS_MAX
                                                    : 0;
    for (struct chat_message *m = c->request.messages; m != NULL; m = m->next)
        for (struct chat_block *b = m->blocks; b != NULL; b = b->next) {
            if (!may_mark(m) || b->cache == CHAT_CACHE_NONE || drop == 0)
                continue;
            b->cache = CHAT_CACHE_NONE;
            drop--;
        }
}

static void write_mark(struct json_out *o, enum chat_cache cache)
{
    if (cache == CHAT_CACHE_NONE)
        return;
    json_out_name(o, S("prompt_cache_breakpoint"));
    json_out_object(o);
    json_out_member_str(o, S("mode"), S("explicit"));
    json_out_object_end(o);
}

/* ---- parts ---- */

static void write_text_part(struct json_out *o, struct text text, enum chat_cache cache)
{
    json_out_object(o);
    json_out_member_str(o, S("type"), S("text"));
    json_out_member_text(o, S("text"), text);
    write_mark(o, cache);
    json_out_object_end(o);
}

static void write_image(struct writer *w, const struct chat_media *m)
{
    struct json_out *o = w->o;
    json_out_member_str(o, S("type"), S("image_url"));
    json_out_name(o, S("image_url"));
    json_out_object(o);
    json_out_member_text(o, S("url"),
                         m->source == CHAT_MEDIA_URL ? m->payload : media_data_url(w->c->temp, m));
    if (m->detail.n > 0)
        json_out_member_str(o, S("detail"), m->detail);
    json_out_object_end(o);
}

static void write_file(struct writer *w, const struct chat_media *m)
{
    struct json_out *o = w->o;
    json_out_member_str(o, S("type"), S("file"));
    json_out_name(o, S("file"));
    json_out_object(o);
    if (m->source == CHAT_MEDIA_FILE_ID) {
        json_out_member_text(o, S("file_id"), m->payload);
    } else {
        json_out_member_text(o, S("filename"),
                             m->name.n > 0     ? m->name
                             : media_is_pdf(m) ? TEXT("document.pdf")
                                               : TEXT("document"));
        json_out_member_text(o, S("file_data"), media_data_url(w->c->temp, m));
    }
    json_out_object_end(o);
}

static int write_media(struct writer *w, const struct chat_block *b)
{
    const struct chat_media *m = &b->media;
    bool image = m->source != CHAT_MEDIA_FILE_ID && (b->kind == CHAT_IMAGE || media_is_image(m));
    if (!image && m->source == CHAT_MEDIA_URL)
        return convert_reject(w->c, m->path, "the upstream of this model takes no file URLs");
    if (m->source == CHAT_MEDIA_FILE_ID && (b->kind == CHAT_IMAGE || !w->c->options.same_vendor))
        return convert_reject(w->c, m->path,
                              "a file id means nothing to the upstream of this model");
    json_out_object(w->o);
    if (image)
        write_image(w, m);
    else
        write_file(w, m);
    write_mark(w->o, b->cache);
    json_out_object_end(w->o);
    return 0;
}

static int write_part(struct writer *w, const struct chat_block *b)
{
    if (is_media(b))
        return write_media(w, b);
    if (b->kind == CHAT_IMAGE || b->kind == CHAT_FILE)
        write_text_part(w->o, media_document_text(w->c, &b->media), b->cache);
    else if (b->kind == CHAT_TEXT || b->kind == CHAT_REFUSAL)
        write_text_part(w->o, b->text, b->cache);
    return 0;
}

/* ---- system messages ---- */

/* The texts, joined by line ends, without the quotes. */
static void add_system_text(struct json_out *o, const struct chat_message *m, bool *begun)
{
    for (const struct chat_block *b = m->blocks; b != NULL; b = b->next) {
        if (b->kind != CHAT_TEXT || b->text.n == 0)
            continue;
        if (*begun)
            json_out_string_add(o, TEXT("\\n"));
        json_out_string_add(o, b->text);
        *begun = true;
    }
}

struct system_look {
    bool text, mark;
};

static struct system_look look_at_system(const struct chat_message *from,
                                         const struct chat_message *to)
{
    struct system_look look = { 0 };
    for (const struct chat_message *m = from; m != to; m = m->next)
        for (const struct chat_block *b = m->blocks; b != NULL; b = b->next)
            if (b->kind == CHAT_TEXT && b->text.n > 0) {
                look.text = true;
                look.mark |= b->cache != CHAT_CACHE_NONE;
            }
    return look;
}

static void write_system_parts(struct writer *w, const struct chat_message *from,
                               const struct chat_message *to)
{
    json_out_array(w->o);
    for (const struct chat_message *m = from; m != to; m = m->next)
        for (const struct chat_block *b = m->blocks; b != NULL; b = b->next)
            if (b->kind == CHAT_TEXT && b->text.n > 0)
                write_text_part(w->o, b->text, b->cache);
    if (w->note.n > 0)
        write_text_part(w->o, w->note, CHAT_CACHE_NONE);
    json_out_array_end(w->o);
}

/* One message of the system messages from..to, and of the note. */
static void write_system(struct writer *w, const struct chat_message *from,
                         const struct chat_message *to)
{
    struct json_out *o = w->o;
    struct system_look look = look_at_system(from, to);
    bool begun = false;
    if (!look.text && w->note.n == 0)
        return;
    json_out_object(o);
    json_out_member_str(o, S("role"),
                        w->c->profile.chat_developer_role ? S("developer") : S("system"));
    json_out_name(o, S("content"));
    if (look.mark) {
        write_system_parts(w, from, to);
    } else {
        json_out_string_begin(o);
        for (const struct chat_message *m = from; m != to; m = m->next)
            add_system_text(o, m, &begun);
        if (begun && w->note.n > 0)
            json_out_string_add(o, TEXT("\\n"));
        json_out_string_add(o, w->note);
        json_out_string_end(o);
    }
    json_out_object_end(o);
    w->note = TEXT("");
}

/* ---- results ---- */

/* Its text: `Error: `, texts and documents by line ends, a line that stands for media. */
static void write_result_text(struct writer *w, const struct chat_result *r, bool media_line)
{
    struct json_out *o = w->o;
    const struct chat_block *b = r->blocks;
    bool begun = false;
    while (b != NULL && is_media(b))
        b = b->next;
    struct text first = b == NULL ? TEXT("") : b->kind == CHAT_TEXT ? b->text : b->media.payload;
    json_out_string_begin(o);
    if (r->is_error && !text_starts_nocase(first, S("error")))
        json_out_string_add(o, TEXT("Error: "));
    for (; b != NULL; b = b->next) {
        if (is_media(b))
            continue;
        if (begun)
            json_out_string_add(o, TEXT("\\n"));
        json_out_string_add(o, b->kind == CHAT_TEXT ? b->text : b->media.payload);
        begun = true;
    }
    if (media_line)
        json_out_string_add(o, begun ? TEXT("\\n[media attached below]")
                                     : TEXT("[media attached below]"));
    json_out_string_end(o);
}

static int write_result_parts(struct writer *w, const struct chat_block *result, bool media)
{
    struct json_out *o = w->o;
    bool text = false;
    int r = 0;
    for (const struct chat_block *b = result->result.blocks; b != NULL; b = b->next)
        text |= !is_media(b);
    json_out_array(o);
    if (text || result->result.is_error || !media) {
        json_out_object(o);
        json_out_member_str(o, S("type"), S("text"));
        json_out_name(o, S("text"));
        write_result_text(w, &result->result, false);
        write_mark(o, result->cache);
        json_out_object_end(o);
    }
    for (const struct chat_block *b = result->result.blocks; b != NULL && r == 0; b = b->next)
        if (media && is_media(b))
            r = write_media(w, b);
    json_out_array_end(o);
    return r;
}

static int write_result(struct writer *w, const struct chat_block *b)
{
    struct json_out *o = w->o;
    bool media = holds_media(b->result.blocks), inside = media && w->c->profile.chat_tool_media;
    int r = 0;
    json_out_object(o);
    json_out_member_str(o, S("role"), S("tool"));
    json_out_member_str(o, S("tool_call_id"), b->result.call_id);
    json_out_name(o, S("content"));
    if (inside || (b->cache != CHAT_CACHE_NONE && !media))
        r = write_result_parts(w, b, inside);
    else
        write_result_text(w, &b->result, media);
    json_out_object_end(o);
    return r;
}

/* What the results' `[media attached below]` speaks of. */
static int write_result_media(struct writer *w, const struct chat_message *results)
{
    struct arena *a = w->c->temp;
    int r = 0;
    for (const struct chat_block *b = results->blocks; b != NULL && r == 0; b = b->next) {
        if (b->kind != CHAT_RESULT || !holds_media(b->result.blocks))
            continue;
        struct text head =
            text_cat(a, TEXT("Media returned by tool call "), text_escape(a, b->result.call_id));
        write_text_part(w->o, text_cat(a, head, TEXT(":")), CHAT_CACHE_NONE);
        for (const struct chat_block *m = b->result.blocks; m != NULL && r == 0; m = m->next)
            if (is_media(m))
                r = write_media(w, m);
    }
    return r;
}

/* ---- the user's side ---- */

static void write_reminder(struct json_out *o, const struct chat_message *m)
{
    bool begun = false;
    json_out_string_begin(o);
    json_out_string_add(o, TEXT("<system-reminder>\\n"));
    add_system_text(o, m, &begun);
    json_out_string_add(o, TEXT("\\n</system-reminder>"));
    json_out_string_end(o);
}

static int write_user_parts(struct writer *w, const struct chat_message *m)
{
    int r = 0;
    if (is_system(m)) {
        json_out_object(w->o);
        json_out_member_str(w->o, S("type"), S("text"));
        json_out_name(w->o, S("text"));
        write_reminder(w->o, m);
        json_out_object_end(w->o);
        return 0;
    }
    for (const struct chat_block *b = m->blocks; b != NULL && r == 0; b = b->next)
        r = write_part(w, b);
    return r;
}

static bool says_something(const struct chat_message *m)
{
    return is_system(m) ? look_at_system(m, m->next).text : m->blocks != NULL;
}

/* One message: the media of results (may be NULL), then the messages from..to. */
static int write_user(struct writer *w, const struct chat_message *results,
                      const struct chat_message *from, const struct chat_message *to)
{
    struct json_out *o = w->o;
    int r = 0;
    uint32_t count = 0;
    for (const struct chat_message *m = from; m != to; m = m->next)
        count += says_something(m);
    if (count == 0 && results == NULL)
        return 0;
    json_out_object(o);
    json_out_member_str(o, S("role"), S("user"));
    json_out_name(o, S("content"));
    bool single = results == NULL && count == 1 && from->next == to;
    if (single && is_system(from)) {
        write_reminder(o, from);
    } else if (single && from->blocks->next == NULL && from->blocks->kind == CHAT_TEXT &&
               from->blocks->cache == CHAT_CACHE_NONE) {
        json_out_text(o, from->blocks->text);
    } else {
        json_out_array(o);
        if (results != NULL)
            r = write_result_media(w, results);
        for (const struct chat_message *m = from; m != to && r == 0; m = m->next)
            if (says_something(m))
                r = write_user_parts(w, m);
        json_out_array_end(o);
    }
    json_out_object_end(o);
    return r;
}

/* The end of what becomes one user message: system messages that may not stand there join their
 * neighbours, all others stay apart. */
static const struct chat_message *user_end(const struct writer *w, const struct chat_message *from)
{
    bool reminder = false;
    const struct chat_message *end = from;
    if (w->c->profile.chat_system_first_only)
        for (; end != NULL && (end->role == CHAT_USER || is_system(end)); end = end->next)
            reminder |= is_system(end);
    if (reminder)
        return end;
    return from != NULL && from->role == CHAT_USER ? from->next : from;
}

/* Results and what the user says behind them; *m becomes what follows. */
static int write_user_side(struct writer *w, const struct chat_message **m)
{
    const struct chat_message *results = NULL, *from = *m;
    int r = 0;
    if (from->role == CHAT_TOOL) {
        for (const struct chat_block *b = from->blocks; b != NULL && r == 0; b = b->next) {
            if (b->kind != CHAT_RESULT)
                continue;
            r = write_result(w, b);
            if (!w->c->profile.chat_tool_media && holds_media(b->result.blocks))
                results = from;
        }
        from = from->next;
    }
    *m = user_end(w, from);
    return r < 0 ? r : write_user(w, results, from, *m);
}

/* ---- assistant messages ---- */

struct assistant_look {
    bool text, refusal, call, thought;
};

static struct assistant_look look_at_assistant(const struct chat_message *m)
{
    struct assistant_look look = { 0 };
    for (const struct chat_block *b = m->blocks; b != NULL; b = b->next) {
        look.text |= b->kind == CHAT_TEXT && b->text.n > 0;
        look.refusal |= b->kind == CHAT_REFUSAL && b->text.n > 0;
        look.call |= b->kind == CHAT_CALL;
        look.thought |= b->kind == CHAT_REASONING && b->reasoning.text.n > 0;
    }
    return look;
}

/* All texts of one kind as one string. */
static void write_joined(struct json_out *o, const struct chat_message *m,
                         enum chat_block_kind kind)
{
    json_out_string_begin(o);
    for (const struct chat_block *b = m->blocks; b != NULL; b = b->next)
        if (b->kind == kind)
            json_out_string_add(o, b->text);
    json_out_string_end(o);
}

static void write_thoughts(struct json_out *o, const struct chat_message *m)
{
    bool begun = false;
    json_out_name(o, S("reasoning_content"));
    json_out_string_begin(o);
    for (const struct chat_block *b = m->blocks; b != NULL; b = b->next) {
        if (b->kind != CHAT_REASONING || b->reasoning.text.n == 0)
            continue;
        if (begun)
            json_out_string_add(o, TEXT("\\n"));
        json_out_string_add(o, b->reasoning.text);
        begun = true;
    }
    json_out_string_end(o);
}

/* The entries of one block's reasoning_details. */
static void write_details(struct writer *w, struct str raw, bool *begun)
{
    struct json_edit e;
    json_edit_init(&e, w->c->temp, raw);
    if (json_type(json_root(&e)) != JSON_ARRAY)
        return;
    for (struct json_node *n = json_first(&e, json_root(&e)); n != NULL; n = json_next(n)) {
        if (!*begun) {
            json_out_name(w->o, S("reasoning_details"));
            json_out_array(w->o);
            *begun = true;
        }
        json_out_raw(w->o, json_raw(&e, n));
    }
}

/* A2.9: some upstreams need it back, others refuse the unknown member. */
static int write_reasoning(struct writer *w, const struct chat_message *m,
                           struct assistant_look look)
{
    struct convert *c = w->c;
    enum profile_replay replay = c->profile.chat_reasoning_replay;
    bool wanted = replay == REPLAY_ALWAYS || (replay == REPLAY_TOOL_TURNS && look.call);
    bool text = look.thought && !c->options.drop_reasoning, begun = false;
    if (wanted && text)
        write_thoughts(w->o, m);
    else if (wanted && look.call)
        json_out_member_str(w->o, S("reasoning_content"), S(""));
    for (const struct chat_block *b = m->blocks; b != NULL; b = b->next) {
        bool may = false;
        if (b->kind != CHAT_REASONING || b->reasoning.proof.kind == CHAT_PROOF_NONE)
            continue;
        int r = envelope_may_send(c, &b->reasoning.proof, &may);
        if (r < 0)
            return r;
        if (may && wanted && text && b->reasoning.proof.raw.n > 0 &&
            b->reasoning.proof.kind == CHAT_PROOF_DETAILS)
            write_details(w, b->reasoning.proof.raw, &begun);
    }
    if (begun)
        json_out_array_end(w->o);
    return 0;
}

static void write_call(struct writer *w, const struct chat_call *call)
{
    struct json_out *o = w->o;
    struct arena *a = w->c->temp;
    bool custom = tools_upstream_kind(w->c, call->kind) == CHAT_TOOL_CUSTOM;
    struct str arguments = call->arguments;
    if (call->kind == CHAT_TOOL_CUSTOM && !custom)
        arguments = args_wrap(a, arguments);
    else if (!custom && str_trim(arguments).n == 0)
        arguments = S("{}"); /* E217 */
    json_out_object(o);
    json_out_member_str(o, S("id"), call->id);
    json_out_member_str(o, S("type"), custom ? S("custom") : S("function"));
    json_out_name(o, custom ? S("custom") : S("function"));
    json_out_object(o);
    json_out_member_str(o, S("name"), call->name);
    json_out_member_str(o, custom ? S("input") : S("arguments"), arguments);
    json_out_object_end(o);
    json_out_object_end(o);
}

static void write_calls(struct writer *w, const struct chat_message *m)
{
    json_out_name(w->o, S("tool_calls"));
    json_out_array(w->o);
    for (const struct chat_block *b = m->blocks; b != NULL; b = b->next)
        if (b->kind == CHAT_CALL)
            write_call(w, &b->call);
    json_out_array_end(w->o);
}

static int write_assistant(struct writer *w, const struct chat_message *m)
{
    struct json_out *o = w->o;
    struct assistant_look look = look_at_assistant(m);
    if (!look.text && !look.refusal && !look.call) /* E5 */
        return 0;
    json_out_object(o);
    json_out_member_str(o, S("role"), S("assistant"));
    json_out_name(o, S("content"));
    if (look.text || !w->c->profile.chat_null_content)
        write_joined(o, m, CHAT_TEXT);
    else
        json_out_null(o);
    int r = write_reasoning(w, m, look);
    if (look.refusal) {
        json_out_name(o, S("refusal"));
        write_joined(o, m, CHAT_REFUSAL);
    }
    if (look.call)
        write_calls(w, m);
    json_out_object_end(o);
    if (r == 0 && m->next == NULL && !look.call)
        r = convert_warn(w->c, "degraded", S("prefill"));
    return r;
}

int completions_encode_messages(struct convert *c, struct json_out *o, struct text note)
{
    struct writer w = { .c = c, .o = o, .note = note };
    const struct chat_message *m = c->request.messages;
    bool first_only = c->profile.chat_system_first_only, leading = true;
    int r = 0;
    keep_last_marks(c);
    json_out_name(o, S("messages"));
    json_out_array(o);
    if (note.n > 0 && (m == NULL || !is_system(m)))
        write_system(&w, NULL, NULL);
    while (m != NULL && r == 0) {
        leading = leading && is_system(m);
        if (m->role == CHAT_ASSISTANT) {
            r = write_assistant(&w, m);
            m = m->next;
        } else if (is_system(m) && (leading || !first_only)) {
            const struct chat_message *from = m;
            do
                m = m->next;
            while (first_only && m != NULL && is_system(m));
            write_system(&w, from, m);
        } else {
            r = write_user_side(&w, &m);
        }
    }
    json_out_array_end(o);
    return r;
}

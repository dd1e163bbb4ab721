/* The conversation as `instructions` and `input` (C2.2, C2.4). */
#include "responses_request.h"

#include "envelope.h"
#include "media.h"
#include "tools.h"

enum { BREAKPOINTS_MAX = 4 };

struct writer {
    struct convert *c;
    struct json_out *o;
    uint32_t breakpoints_left_out; /* only the last ones are sent */
};

/* ---- media ---- */

static void write_breakpoint(struct json_out *o)
{
    json_out_name(o, S("prompt_cache_breakpoint"));
    json_out_object(o);
    json_out_member_str(o, S("mode"), S("explicit"));
    json_out_object_end(o);
}

static void write_image(struct convert *c, struct json_out *o, const struct chat_media *m)
{
    json_out_member_str(o, S("type"), S("input_image"));
    if (m->source == CHAT_MEDIA_FILE_ID)
        json_out_member_text(o, S("file_id"), m->payload);
    else
        json_out_member_text(o, S("image_url"),
                             m->source == CHAT_MEDIA_URL ? m->payload : media_data_url(c->temp, m));
    json_out_member_str(o, S("detail"), m->detail.n > 0 ? m->detail : S("auto"));
}

static void write_file(struct convert *c, struct json_out *o, const struct chat_media *m)
{
    json_out_member_str(o, S("type"), S("input_file"));
    if (m->source == CHAT_MEDIA_FILE_ID) {
        json_out_member_text(o, S("file_id"), m->payload);
    } else if (m->source == CHAT_MEDIA_URL) {
        json_out_member_text(o, S("file_url"), m->payload);
    } else {
        struct text name = media_is_pdf(m) ? TEXT("document.pdf") : TEXT("document");
        json_out_member_text(o, S("filename"), m->name.n > 0 ? m->name : name);
        json_out_member_text(o, S("file_data"), media_data_url(c->temp, m));
    }
}

static void write_text_part(struct json_out *o, struct str type, struct text text)
{
    json_out_member_str(o, S("type"), type);
    json_out_member_text(o, S("text"), text);
}

static int write_media(struct writer *w, const struct chat_block *b, bool breakpoint)
{
    const struct chat_media *m = &b->media;
    struct json_out *o = w->o;
    bool image = b->kind == CHAT_IMAGE || (m->source == CHAT_MEDIA_BASE64 && media_is_image(m));
    if (m->source == CHAT_MEDIA_FILE_ID && !w->c->options.same_vendor)
        return convert_reject(w->c, m->path,
                              "a file id means nothing to the upstream of this model");
    json_out_object(o);
    if (m->source == CHAT_MEDIA_PLAIN)
        write_text_part(o, S("input_text"), media_document_text(w->c, m));
    else if (image)
        write_image(w->c, o, m);
    else
        write_file(w->c, o, m);
    if (breakpoint)
        write_breakpoint(o);
    json_out_object_end(o);
    return 0;
}

/* ---- messages ---- */

static void begin_message(struct json_out *o, struct str role)
{
    json_out_object(o);
    json_out_member_str(o, S("type"), S("message"));
    json_out_member_str(o, S("role"), role);
    json_out_name(o, S("content"));
}

/* The vendor's own cache field: made for who asked by another protocol's marks. */
static bool takes_breakpoint(struct writer *w, const struct chat_block *b)
{
    if (b->cache == CHAT_CACHE_NONE || !w->c->profile.openai_cache_fields)
        return false;
    if (w->breakpoints_left_out == 0)
        return true;
    w->breakpoints_left_out--;
    return false;
}

static void write_input_text(struct writer *w, struct text text, bool breakpoint)
{
    if (text.n == 0)
        return;
    json_out_object(w->o);
    write_text_part(w->o, S("input_text"), text);
    if (breakpoint)
        write_breakpoint(w->o);
    json_out_object_end(w->o);
}

static int write_input_part(struct writer *w, const struct chat_block *b)
{
    bool breakpoint = takes_breakpoint(w, b);
    if (b->kind == CHAT_IMAGE || b->kind == CHAT_FILE)
        return write_media(w, b, breakpoint);
    if (b->kind == CHAT_TEXT)
        write_input_text(w, b->text, breakpoint);
    return 0;
}

static int write_input_message(struct writer *w, const struct chat_message *m)
{
    int r = 0;
    bool user = m->role == CHAT_USER;
    begin_message(w->o, user ? S("user") : S("developer"));
    if (user && m->is_string && m->blocks != NULL) {
        json_out_text(w->o, m->blocks->text);
    } else {
        json_out_array(w->o);
        for (const struct chat_block *b = m->blocks; b != NULL && r == 0; b = b->next)
            r = write_input_part(w, b);
        json_out_array_end(w->o);
    }
    json_out_object_end(w->o);
    return r;
}

/* ---- the assistant's turn ---- */

static void write_call(struct writer *w, const struct chat_call *call)
{
    struct json_out *o = w->o;
    bool custom = tools_upstream_kind(w->c, call->kind) == CHAT_TOOL_CUSTOM;
    json_out_object(o);
    json_out_member_str(o, S("type"), custom ? S("custom_tool_call") : S("function_call"));
    json_out_member_str(o, S("call_id"), call->id);
    json_out_member_str(o, S("name"), call->name);
    if (custom)
        json_out_member_str(o, S("input"), call->arguments);
    else /* several backends parse arguments and fail on the empty string (E217) */
        json_out_member_str(o, S("arguments"),
                            str_trim(call->arguments).n > 0 ? call->arguments : S("{}"));
    json_out_object_end(o);
}

static void write_output_part(struct json_out *o, const struct chat_block *b)
{
    json_out_object(o);
    if (b->kind == CHAT_TEXT) {
        write_text_part(o, S("output_text"), b->text);
        json_out_name(o, S("annotations"));
        json_out_array(o);
        json_out_array_end(o);
    } else {
        json_out_member_str(o, S("type"), S("refusal"));
        json_out_member_text(o, S("refusal"), b->text);
    }
    json_out_object_end(o);
}

static bool is_output_part(const struct chat_block *b)
{
    return (b->kind == CHAT_TEXT || b->kind == CHAT_REFUSAL) && b->text.n > 0;
}

/* A run of texts is one message; reasoning that is not sent does not cut it. */
static void begin_output(struct json_out *o, bool *open)
{
    if (*open)
        return;
    begin_message(o, S("assistant"));
    json_out_array(o);
    *open = true;
}

static void end_output(struct json_out *o, bool *open)
{
    if (!*open)
        return;
    json_out_array_end(o);
    json_out_object_end(o);
    *open = false;
}

static int may_send(struct writer *w, const struct chat_proof *proof, bool *ret_may)
{
    int r = envelope_may_send(w->c, proof, ret_may);
    if (proof->kind != CHAT_PROOF_ITEM || proof->raw.n == 0)
        *ret_may = false;
    return r;
}

/* The last block that becomes an item: reasoning behind it has led to nothing, and the vendor
 * refuses it without the item that it led to (E93). */
static const struct chat_block *last_item(const struct chat_message *m)
{
    const struct chat_block *last = NULL;
    for (const struct chat_block *b = m->blocks; b != NULL; b = b->next)
        if (is_output_part(b) || b->kind == CHAT_CALL)
            last = b;
    return last;
}

static int write_reasoning(struct writer *w, const struct chat_block *b, bool led, bool *open)
{
    bool may = false;
    int r = may_send(w, &b->reasoning.proof, &may);
    if (r < 0 || !may || !led)
        return r;
    end_output(w->o, open);
    json_out_raw(w->o, b->reasoning.proof.raw);
    return 0;
}

static int write_assistant(struct writer *w, const struct chat_message *m)
{
    const struct chat_block *last = last_item(m);
    bool open = false, led = last != NULL;
    int r = 0;
    for (const struct chat_block *b = m->blocks; b != NULL && r == 0; b = b->next) {
        if (is_output_part(b)) {
            begin_output(w->o, &open);
            write_output_part(w->o, b);
        } else if (b->kind == CHAT_CALL) {
            end_output(w->o, &open);
            write_call(w, &b->call);
        } else if (b->kind == CHAT_REASONING) {
            r = write_reasoning(w, b, led, &open);
        } else if (b->kind == CHAT_IMAGE || b->kind == CHAT_FILE) {
            r = convert_reject(w->c, b->media.path, "cannot stand in an assistant message");
        }
        led = led && b != last;
    }
    end_output(w->o, &open);
    return r;
}

/* ---- results ---- */

static bool only_text(const struct chat_block *b)
{
    while (b != NULL && b->kind == CHAT_TEXT)
        b = b->next;
    return b == NULL;
}

/* A result that is an error says so in its text: there is no other place (E28). */
static struct text error_mark(const struct chat_result *result)
{
    const struct chat_block *b = result->blocks;
    while (b != NULL && b->kind == CHAT_TEXT && b->text.n == 0)
        b = b->next;
    bool said = b != NULL && b->kind == CHAT_TEXT && text_starts_nocase(b->text, S("error"));
    return result->is_error && !said ? TEXT("Error: ") : TEXT("");
}

static void write_joined(struct json_out *o, const struct chat_block *b, struct text mark)
{
    bool first = true;
    json_out_string_begin(o);
    json_out_string_add(o, mark);
    for (; b != NULL; b = b->next) {
        if (b->text.n == 0)
            continue;
        if (!first)
            json_out_string_add(o, TEXT("\\n"));
        json_out_string_add(o, b->text);
        first = false;
    }
    json_out_string_end(o);
}

static int write_output_array(struct writer *w, const struct chat_result *result, struct text mark)
{
    int r = 0;
    json_out_array(w->o);
    if (mark.n > 0 && result->blocks->kind != CHAT_TEXT) {
        json_out_object(w->o);
        write_text_part(w->o, S("input_text"), TEXT("Error:"));
        json_out_object_end(w->o);
        mark.n = 0;
    }
    for (const struct chat_block *b = result->blocks; b != NULL && r == 0; b = b->next) {
        if (b->kind == CHAT_TEXT) {
            write_input_text(w, text_cat(w->c->temp, mark, b->text), false);
            mark.n = 0;
        } else {
            r = write_media(w, b, false);
        }
    }
    json_out_array_end(w->o);
    return r;
}

static int write_result(struct writer *w, const struct chat_result *result)
{
    struct text mark = error_mark(result);
    bool custom = tools_upstream_kind(w->c, result->kind) == CHAT_TOOL_CUSTOM;
    int r = 0;
    json_out_object(w->o);
    json_out_member_str(w->o, S("type"),
                        custom ? S("custom_tool_call_output") : S("function_call_output"));
    json_out_member_str(w->o, S("call_id"), result->call_id);
    json_out_name(w->o, S("output"));
    if (only_text(result->blocks) && (!result->is_parts || result->blocks == NULL))
        write_joined(w->o, result->blocks, mark);
    else
        r = write_output_array(w, result, mark);
    json_out_object_end(w->o);
    return r;
}

static int write_results(struct writer *w, const struct chat_message *m)
{
    int r = 0;
    for (const struct chat_block *b = m->blocks; b != NULL && r == 0; b = b->next)
        if (b->kind == CHAT_RESULT)
            r = write_result(w, &b->result);
    return r;
}

/* ---- the conversation ---- */

static bool is_system(const struct chat_message *m)
{
    return m != NULL && (m->role == CHAT_SYSTEM || m->role == CHAT_DEVELOPER);
}

/* The first system message, when it was the client's instructions or stands there alone. */
static const struct chat_message *instructions_of(const struct chat_request *q)
{
    const struct chat_message *m = q->messages;
    if (!is_system(m) || !only_text(m->blocks))
        return NULL;
    return m->instructions || !is_system(m->next) ? m : NULL;
}

static void write_instructions(struct json_out *o, const struct chat_message *m)
{
    bool begun = false;
    for (const struct chat_block *b = m->blocks; b != NULL; b = b->next) {
        if (b->text.n == 0)
            continue;
        if (begun) {
            json_out_string_add(o, TEXT("\\n"));
        } else {
            json_out_name(o, S("instructions"));
            json_out_string_begin(o);
        }
        json_out_string_add(o, b->text);
        begun = true;
    }
    if (begun)
        json_out_string_end(o);
}

static uint32_t count_breakpoints(const struct chat_request *q, const struct chat_message *skip)
{
    uint32_t count = 0;
    for (const struct chat_message *m = q->messages; m != NULL; m = m->next) {
        if (m == skip || (m->role != CHAT_USER && !is_system(m)))
            continue;
        for (const struct chat_block *b = m->blocks; b != NULL; b = b->next)
            count += b->cache != CHAT_CACHE_NONE;
    }
    return count;
}

static int write_message(struct writer *w, const struct chat_message *m)
{
    switch (m->role) {
    case CHAT_ASSISTANT:
        return write_assistant(w, m);
    case CHAT_TOOL:
        return write_results(w, m);
    default:
        return write_input_message(w, m);
    }
}

int responses_write_input(struct convert *c, struct json_out *o)
{
    const struct chat_message *instructions = instructions_of(&c->request);
    uint32_t marks = count_breakpoints(&c->request, instructions);
    struct writer w = {
        .c = c,
        .o = o,
        .breakpoints_left_out = marks > BREAKPOINTS_MAX ? marks - BREAKPOINTS_MAX : 0,
    };
    int r = 0;
    if (instructions != NULL)
        write_instructions(o, instructions);
    json_out_name(o, S("input"));
    json_out_array(o);
    for (const struct chat_message *m = c->request.messages; m != NULL && r == 0; m = m->next)
        if (m != instructions)
            r = write_message(&w, m);
    json_out_array_end(o);
    return r;
}

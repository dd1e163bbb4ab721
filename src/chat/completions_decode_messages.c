#include "completions_request.h"

#include "args.h"
#include "media.h"
#include "member.h"

enum { LEGACY_KEPT = 64 }; /* calls a role:"function" message may answer, newest ones */

/* Sets of roles that may hold a kind of part. */
enum {
    IN_SYSTEM = 1 << CHAT_SYSTEM,
    IN_USER = 1 << CHAT_USER,
    IN_ASSISTANT = 1 << CHAT_ASSISTANT,
    IN_TOOL = 1 << CHAT_TOOL,
};

struct decoder {
    struct convert *c;
    struct str base; /* messages.<n> */
    unsigned role;   /* IN_ */
    struct {
        struct str name, id;
    } legacy[LEGACY_KEPT]; /* a ring */
    uint32_t legacy_count;
};

/* Where blocks go: the end of a message, or of a result. */
struct sink {
    struct chat_message *message;
    struct chat_block **tail; /* NULL: to the message */
};

static struct chat_block *add_block(struct decoder *d, struct sink *s, enum chat_block_kind kind)
{
    if (s->tail == NULL)
        return chat_add_block(d->c, s->message, kind);
    struct chat_block *b = chat_new_block(d->c, kind);
    *s->tail = b;
    s->tail = &b->next;
    return b;
}

enum chat_cache completions_cache(struct convert *c, struct json_node *object)
{
    struct json_node *mark = member_node(c, object, S("cache_control"));
    if (mark == NULL)
        mark = member_node(c, object, S("prompt_cache_breakpoint"));
    if (mark == NULL || json_type(mark) != JSON_OBJECT)
        return CHAT_CACHE_NONE;
    struct str ttl = member_str(c, mark, S("ttl"));
    return str_eq(ttl, S("1h")) || str_eq(ttl, S("12h")) ? CHAT_CACHE_LONG : CHAT_CACHE_SHORT;
}

/* ---- parts of content ---- */

static struct str part_path(struct decoder *d, int64_t n, struct str name)
{
    return chat_path(d->c, chat_path(d->c, d->base, -1, S("content")), n, name);
}

static int need_text(struct decoder *d, struct json_node *part, int64_t n, struct str name,
                     struct text *ret)
{
    struct json_node *value = member_node(d->c, part, name);
    if (value == NULL || json_type(value) != JSON_STRING)
        return convert_reject(d->c, part_path(d, n, name), "must be a string");
    *ret = text_of(&d->c->doc, d->c->temp, value);
    return 0;
}

static int part_text(struct decoder *d, struct sink *s, struct json_node *part, int64_t n)
{
    struct text text;
    int r = need_text(d, part, n, S("text"), &text);
    if (r < 0)
        return r;
    struct chat_block *b = add_block(d, s, CHAT_TEXT);
    b->text = text;
    b->cache = completions_cache(d->c, part);
    return 0;
}

static int part_refusal(struct decoder *d, struct sink *s, struct json_node *part, int64_t n)
{
    struct text text;
    int r = need_text(d, part, n, S("refusal"), &text);
    if (r < 0)
        return r;
    add_block(d, s, CHAT_REFUSAL)->text = text;
    return 0;
}

static int part_image(struct decoder *d, struct sink *s, struct json_node *part, int64_t n)
{
    struct convert *c = d->c;
    struct json_node *image = member_node(c, part, S("image_url"));
    struct json_node *url = image; /* loose clients send the bare URL */
    if (image != NULL && json_type(image) == JSON_OBJECT)
        url = member_node(c, image, S("url"));
    if (url == NULL || json_type(url) != JSON_STRING)
        return convert_reject(c, part_path(d, n, S("image_url.url")), "must be a string");
    struct chat_block *b = add_block(d, s, CHAT_IMAGE);
    b->cache = completions_cache(c, part);
    b->media.path = part_path(d, n, S(""));
    if (url != image)
        b->media.detail = member_str(c, image, S("detail"));
    return media_of_url(c, &b->media, text_of(&c->doc, c->temp, url));
}

static int part_file(struct decoder *d, struct sink *s, struct json_node *part, int64_t n)
{
    struct convert *c = d->c;
    struct json_node *file = member_node(c, part, S("file"));
    struct text data = member_text(c, file, S("file_data"));
    struct text id = member_text(c, file, S("file_id"));
    if (data.n == 0 && id.n == 0)
        return convert_reject(c, part_path(d, n, S("file")), "must have file_data or file_id");
    struct chat_block *b = add_block(d, s, CHAT_FILE);
    b->cache = completions_cache(c, part);
    b->media.path = part_path(d, n, S(""));
    b->media.name = member_text(c, file, S("filename"));
    if (data.n > 0)
        return media_of_file_data(c, &b->media, data);
    b->media.source = CHAT_MEDIA_FILE_ID;
    b->media.payload = id;
    return 0;
}

/* Mistral: the thinking is a list of texts inside a part. */
static int part_thinking(struct decoder *d, struct sink *s, struct json_node *part, int64_t n)
{
    struct convert *c = d->c;
    struct json_node *thinking = member_node(c, part, S("thinking"));
    struct text text = text_of(&c->doc, c->temp, thinking);
    (void)n;
    if (thinking != NULL && json_type(thinking) == JSON_ARRAY)
        for (struct json_node *e = json_first(&c->doc, thinking); e != NULL; e = json_next(e))
            text = text_cat(c->temp, text, member_text(c, e, S("text")));
    if (text.n > 0)
        add_block(d, s, CHAT_REASONING)->reasoning.text = text;
    return 0;
}

static const struct part_row {
    struct str type;
    unsigned roles;
    int (*decode)(struct decoder *d, struct sink *s, struct json_node *part, int64_t n);
} part_rows[] = {
    { S_INIT("text"), IN_SYSTEM | IN_USER | IN_ASSISTANT | IN_TOOL, part_text },
    { S_INIT("image_url"), IN_USER | IN_TOOL, part_image },
    { S_INIT("file"), IN_USER | IN_TOOL, part_file },
    { S_INIT("refusal"), IN_ASSISTANT, part_refusal },
    { S_INIT("thinking"), IN_ASSISTANT, part_thinking },
};

static int decode_part(struct decoder *d, struct sink *s, struct json_node *part, int64_t n)
{
    struct convert *c = d->c;
    if (json_type(part) == JSON_STRING) { /* E24 */
        add_block(d, s, CHAT_TEXT)->text = text_of(&c->doc, c->temp, part);
        return 0;
    }
    if (json_type(part) != JSON_OBJECT)
        return convert_reject(c, part_path(d, n, S("")), "must be an object");
    struct str type = member_str(c, part, S("type"));
    for (size_t i = 0; i < ARRAY_LEN(part_rows); i++)
        if (str_eq(part_rows[i].type, type) && (part_rows[i].roles & d->role) != 0)
            return part_rows[i].decode(d, s, part, n);
    return convert_reject(c, part_path(d, n, S("type")),
                          "\"" STR_FMT "\" is not supported here by the upstream of this model",
                          STR_ARG(str_slice(type, 0, 64)));
}

/* String, list of parts, or null. */
static int decode_content(struct decoder *d, struct sink *s, struct json_node *message,
                          bool *ret_is_string)
{
    struct convert *c = d->c;
    struct json_node *content = member_node(c, message, S("content"));
    *ret_is_string = content != NULL && json_type(content) == JSON_STRING;
    if (content == NULL)
        return 0;
    if (*ret_is_string) {
        add_block(d, s, CHAT_TEXT)->text = text_of(&c->doc, c->temp, content);
        return 0;
    }
    if (json_type(content) != JSON_ARRAY)
        return convert_reject(c, chat_path(c, d->base, -1, S("content")),
                              "must be a string or an array");
    struct json_walk w;
    struct json_node *e;
    int64_t n = 0;
    int r = 0;
    member_walk(c, content, &w);
    while (r == 0 && (e = json_walk_next(&w)) != NULL)
        r = decode_part(d, s, e, n++);
    json_walk_done(&w);
    return r;
}

/* ---- reasoning of assistant messages (A2.9) ---- */

static void add_claude(struct convert *c, struct chat_message *m, struct json_node *entry,
                       bool *restored)
{
    struct text signature = member_text(c, entry, S("signature"));
    struct text data = member_text(c, entry, S("data"));
    struct chat_reasoning r = { 0 };
    if (member_is(c, entry, S("type"), S("reasoning.text")) && signature.n > 0) {
        r.text = r.proof.thinking = member_text(c, entry, S("text"));
        r.proof.kind = CHAT_PROOF_THINKING;
        r.proof.opaque = signature;
    } else if (member_is(c, entry, S("type"), S("reasoning.encrypted")) && data.n > 0) {
        r.proof.kind = CHAT_PROOF_REDACTED;
        r.proof.opaque = data;
    } else {
        return;
    }
    chat_add_block(c, m, CHAT_REASONING)->reasoning = r;
    *restored = true;
}

/* Entries of one item share an index, and OpenAI's stream helpers make one entry of these: members
 * that both have then stand there twice, one behind the other.  How often does `s` hold `one`
 * and nothing else? */
static size_t times(struct str s, struct str one)
{
    size_t n = one.n > 0 && s.n % one.n == 0 ? s.n / one.n : 0;
    for (size_t i = 0; i < n; i++)
        if (!str_eq(str_slice(s, i * one.n, (i + 1) * one.n), one))
            return 0;
    return n;
}

static size_t item_entries(struct convert *c, struct json_node *entry)
{
    return times(member_str(c, entry, S("format")), S("openai-responses-v1"));
}

static struct str item_id(struct convert *c, struct json_node *entry)
{
    struct str id = member_str(c, entry, S("id"));
    size_t n = item_entries(c, entry);
    struct str one = n > 0 ? str_slice(id, 0, id.n / n) : id;
    return times(id, one) == n ? one : id;
}

/* The item as Responses made it, without status (0.7 (5)). */
static struct str build_item(struct convert *c, struct json_node *first, struct json_node *end,
                             struct text data)
{
    struct buf buf;
    struct json_out o;
    buf_init(&buf, SIZE_MAX);
    json_out_init(&o, &buf);
    json_out_object(&o);
    json_out_member_str(&o, S("id"), item_id(c, first));
    json_out_member_str(&o, S("type"), S("reasoning"));
    json_out_name(&o, S("summary"));
    json_out_array(&o);
    for (struct json_node *e = first; e != end; e = json_next(e)) {
        if (member_node(c, e, S("summary")) == NULL)
            continue;
        json_out_object(&o);
        json_out_member_str(&o, S("type"), S("summary_text"));
        json_out_member_text(&o, S("text"), member_text(c, e, S("summary")));
        json_out_object_end(&o);
    }
    json_out_array_end(&o);
    json_out_member_text(&o, S("encrypted_content"), data);
    json_out_object_end(&o);
    struct str item = arena_str(c->temp, buf_str(&buf));
    buf_done(&buf);
    return item;
}

/* Entries of one item stand together and share its id.  Gives what follows them. */
static struct json_node *add_item(struct convert *c, struct chat_message *m,
                                  struct json_node *first, bool *restored)
{
    struct str id = item_id(c, first);
    struct text data = TEXT(""), summary = TEXT("");
    struct json_node *e = first;
    for (; e != NULL && json_type(e) == JSON_OBJECT; e = json_next(e)) {
        if (item_entries(c, e) == 0 || !str_eq(item_id(c, e), id))
            break;
        if (member_node(c, e, S("data")) != NULL)
            data = member_text(c, e, S("data"));
        if (member_node(c, e, S("summary")) == NULL)
            continue;
        if (summary.n > 0)
            summary = text_cat(c->temp, summary, TEXT("\\n\\n"));
        summary = text_cat(c->temp, summary, member_text(c, e, S("summary")));
    }
    if (data.n > 0) {
        struct chat_reasoning *r = &chat_add_block(c, m, CHAT_REASONING)->reasoning;
        r->text = summary;
        r->proof.kind = CHAT_PROOF_ITEM;
        r->proof.opaque = data;
        r->proof.raw = build_item(c, first, e, data);
        *restored = true;
    }
    return e;
}

/* The readable text of details that prove nothing. */
static struct text details_text(struct convert *c, struct json_node *details)
{
    struct text text = TEXT("");
    for (struct json_node *e = json_first(&c->doc, details); e != NULL; e = json_next(e)) {
        struct text more = member_text(c, e, S("text"));
        if (more.n == 0)
            more = member_text(c, e, S("summary"));
        if (text.n > 0 && more.n > 0)
            text = text_cat(c->temp, text, TEXT("\\n"));
        text = text_cat(c->temp, text, more);
    }
    return text;
}

static void decode_reasoning(struct convert *c, struct chat_message *m, struct json_node *message)
{
    bool restored = false;
    struct json_node *details = member_node(c, message, S("reasoning_details"));
    for (struct json_node *e = json_first(&c->doc, details); e != NULL;) {
        if (item_entries(c, e) > 0) {
            e = add_item(c, m, e, &restored);
            continue;
        }
        if (member_is(c, e, S("format"), S("anthropic-claude-v1")))
            add_claude(c, m, e, &restored);
        e = json_next(e);
    }
    if (restored) /* reasoning_content says the same once more */
        return;
    struct text text = member_text(c, message, S("reasoning_content"));
    if (text.n == 0)
        text = member_text(c, message, S("reasoning"));
    if (text.n == 0)
        text = details_text(c, details);
    if (text.n > 0)
        chat_add_block(c, m, CHAT_REASONING)->reasoning.text = text;
}

/* ---- calls ---- */

static struct str arguments_of(struct convert *c, struct json_node *function)
{
    struct json_node *n = member_node(c, function, S("arguments"));
    if (n == NULL || json_type(n) == JSON_STRING)
        return n == NULL ? S("") : json_string(&c->doc, n);
    return args_text(c->temp, json_raw(&c->doc, n)); /* loose clients: an object */
}

static int decode_call(struct decoder *d, struct chat_message *m, struct json_node *e, int64_t n)
{
    struct convert *c = d->c;
    struct str path = chat_path(c, d->base, -1, S("tool_calls"));
    struct str type = member_str(c, e, S("type"));
    bool custom = str_eq(type, S("custom"));
    if (!custom && type.n > 0 && !str_eq(type, S("function")))
        return convert_reject(c, chat_path(c, path, n, S("type")), "must be function or custom");
    struct json_node *body = member_node(c, e, custom ? S("custom") : S("function"));
    struct str name = member_str(c, body, S("name"));
    if (name.n == 0)
        return convert_reject(c,
                              chat_path(c, path, n, custom ? S("custom.name") : S("function.name")),
                              "must be a string that is not empty");
    struct chat_call *call = &chat_add_block(c, m, CHAT_CALL)->call;
    call->id = member_str(c, e, S("id"));
    call->name = name;
    call->kind = custom ? CHAT_TOOL_CUSTOM : CHAT_TOOL_FUNCTION;
    call->arguments = custom ? member_str(c, body, S("input")) : arguments_of(c, body);
    return 0;
}

/* function_call: its calls have no ids, results name the function (C2.3 (9)). */
static int decode_legacy_call(struct decoder *d, struct chat_message *m, struct json_node *message)
{
    struct convert *c = d->c;
    struct json_node *function;
    int r = member_need(c, message, S("function_call"), JSON_OBJECT, d->base, &function);
    if (r < 0 || function == NULL)
        return r;
    struct str name = member_str(c, function, S("name"));
    if (name.n == 0)
        return convert_reject(c, chat_path(c, d->base, -1, S("function_call.name")),
                              "must be a string that is not empty");
    struct chat_call *call = &chat_add_block(c, m, CHAT_CALL)->call;
    call->id = arena_printf(c->temp, "call_fn_%u", d->legacy_count + 1);
    call->name = name;
    call->legacy = true;
    call->arguments = arguments_of(c, function);
    d->legacy[d->legacy_count % LEGACY_KEPT].name = name;
    d->legacy[d->legacy_count % LEGACY_KEPT].id = call->id;
    d->legacy_count++;
    return 0;
}

/* The latest call of that name; the name itself, which no call has, when there is none. */
static struct str legacy_id(const struct decoder *d, struct str name)
{
    uint32_t kept = d->legacy_count < LEGACY_KEPT ? d->legacy_count : LEGACY_KEPT;
    for (uint32_t i = 1; i <= kept; i++)
        if (str_eq(d->legacy[(d->legacy_count - i) % LEGACY_KEPT].name, name))
            return d->legacy[(d->legacy_count - i) % LEGACY_KEPT].id;
    return name;
}

static int decode_calls(struct decoder *d, struct chat_message *m, struct json_node *message)
{
    struct convert *c = d->c;
    struct json_node *calls;
    int64_t n = 0;
    int r = member_need(c, message, S("tool_calls"), JSON_ARRAY, d->base, &calls);
    if (r < 0)
        return r;
    struct json_walk w;
    struct json_node *e;
    member_walk(c, calls, &w);
    while (r == 0 && (e = json_walk_next(&w)) != NULL)
        r = decode_call(d, m, e, n++);
    json_walk_done(&w);
    return r < 0 ? r : decode_legacy_call(d, m, message);
}

/* ---- messages ---- */

static int decode_assistant(struct decoder *d, struct json_node *message)
{
    struct convert *c = d->c;
    if (member_node(c, message, S("audio")) != NULL)
        return convert_reject(c, chat_path(c, d->base, -1, S("audio")),
                              "is not supported by the upstream of this model");
    struct chat_message *m = chat_add_message(c, CHAT_ASSISTANT);
    struct sink s = { .message = m };
    decode_reasoning(c, m, message);
    int r = decode_content(d, &s, message, &m->is_string);
    if (r < 0)
        return r;
    struct text refusal = member_text(c, message, S("refusal"));
    if (refusal.n > 0)
        chat_add_block(c, m, CHAT_REFUSAL)->text = refusal;
    return decode_calls(d, m, message);
}

static int decode_result(struct decoder *d, struct json_node *message, bool legacy)
{
    struct convert *c = d->c;
    struct chat_block *b = chat_add_block(c, chat_add_message(c, CHAT_TOOL), CHAT_RESULT);
    struct sink s = { .tail = &b->result.blocks };
    b->cache = completions_cache(c, message);
    if (legacy) {
        b->result.name = member_str(c, message, S("name"));
        b->result.call_id = legacy_id(d, b->result.name);
    } else {
        b->result.call_id = member_str(c, message, S("tool_call_id"));
    }
    int r = decode_content(d, &s, message, &b->result.is_string);
    b->result.is_parts = !b->result.is_string;
    return r;
}

static int decode_plain(struct decoder *d, struct json_node *message, enum chat_role role)
{
    struct chat_message *m = chat_add_message(d->c, role);
    struct sink s = { .message = m };
    return decode_content(d, &s, message, &m->is_string);
}

static int decode_role(struct decoder *d, struct json_node *message, struct str role)
{
    d->role = IN_SYSTEM;
    if (str_eq(role, S("system")))
        return decode_plain(d, message, CHAT_SYSTEM);
    if (str_eq(role, S("developer")))
        return decode_plain(d, message, CHAT_DEVELOPER);
    d->role = IN_USER;
    if (str_eq(role, S("user")))
        return decode_plain(d, message, CHAT_USER);
    d->role = IN_ASSISTANT;
    if (str_eq(role, S("assistant")))
        return decode_assistant(d, message);
    d->role = IN_TOOL;
    if (str_eq(role, S("tool")))
        return decode_result(d, message, false);
    if (str_eq(role, S("function")))
        return decode_result(d, message, true);
    return convert_reject(d->c, chat_path(d->c, d->base, -1, S("role")),
                          "must be system, developer, user, assistant, tool or function");
}

static int decode_message(struct decoder *d, struct json_node *message)
{
    struct convert *c = d->c;
    if (json_type(message) != JSON_OBJECT)
        return convert_reject(c, d->base, "must be an object");
    int r = decode_role(d, message, member_str(c, message, S("role")));
    if (r < 0)
        return r;
    enum chat_cache cache = completions_cache(c, message);
    if (cache != CHAT_CACHE_NONE && c->request.last->last != NULL)
        c->request.last->last->cache = cache; /* C1.14: the message's mark is its last block's */
    return 0;
}

int completions_decode_messages(struct convert *c, struct json_node *messages)
{
    struct decoder d = { .c = c };
    struct json_walk w;
    struct json_node *e;
    int64_t n = 0;
    int r = 0;
    member_walk(c, messages, &w);
    while (r == 0 && (e = json_walk_next(&w)) != NULL) {
        d.base = chat_path(c, S("messages"), n++, S(""));
        r = decode_message(&d, e);
    }
    json_walk_done(&w);
    if (r == 0 && n == 0)
        r = convert_reject(c, S("messages"), "must be an array that is not empty");
    return r;
}

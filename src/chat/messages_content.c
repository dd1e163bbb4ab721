#include "messages_request.h"

#include "args.h"
#include "envelope.h"
#include "media.h"
#include "member.h"
#include "params.h"

enum { /* where a block may stand */
       IN_SYSTEM = 1,
       IN_USER = 2,
       IN_ASSISTANT = 4,
       IN_RESULT = 8,
       IN_DOCUMENT = 16,
};

/* Where decoded blocks go: into a message, which is made with its first block, or a result. */
struct place {
    unsigned in;
    enum chat_role role;
    struct chat_message *message;
    struct chat_block **tail; /* IN_RESULT: where the next block is linked */
    struct chat_block *added; /* the newest block */
};

typedef int decode_block(struct convert *c, struct place *p, struct json_node *n, struct str path);

static struct chat_block *add(struct convert *c, struct place *p, enum chat_block_kind kind)
{
    if (p->tail != NULL) {
        p->added = *p->tail = chat_new_block(c, kind);
        p->tail = &p->added->next;
        return p->added;
    }
    if (p->message == NULL)
        p->message = chat_add_message(c, p->role);
    return p->added = chat_add_block(c, p->message, kind);
}

static void add_text(struct convert *c, struct place *p, struct text text)
{
    if (text.n > 0)
        add(c, p, CHAT_TEXT)->text = text;
}

/* A member that must be there. */
static int need(struct convert *c, struct json_node *n, struct str name, enum json_type type,
                struct str path, struct json_node **ret)
{
    int r = member_need(c, n, name, type, path, ret);
    if (r == 0 && *ret == NULL)
        r = convert_reject(c, chat_path(c, path, -1, name), "is required");
    return r;
}

static int need_text(struct convert *c, struct json_node *n, struct str name, struct str path,
                     struct text *ret)
{
    struct json_node *member;
    int r = need(c, n, name, JSON_STRING, path, &member);
    if (r == 0)
        *ret = text_of(&c->doc, c->temp, member);
    return r;
}

static int decode_text(struct convert *c, struct place *p, struct json_node *n, struct str path)
{
    struct text text = TEXT("");
    int r = need_text(c, n, S("text"), path, &text);
    if (r == 0)
        add_text(c, p, text);
    return r;
}

static int decode_blocks(struct convert *c, struct place *p, struct json_node *list,
                         struct str path);

/* ---- media ---- */

/* A source that is not the document's own kinds, text and content. */
static int decode_source(struct convert *c, struct json_node *source, struct chat_media *m,
                         struct str path)
{
    int r;
    if (member_is(c, source, S("type"), S("base64"))) {
        m->source = CHAT_MEDIA_BASE64;
        m->type = arena_lower(c->temp, member_str(c, source, S("media_type")));
        return need_text(c, source, S("data"), path, &m->payload);
    }
    if (member_is(c, source, S("type"), S("url"))) {
        struct text url = TEXT("");
        r = need_text(c, source, S("url"), path, &url);
        return r < 0 ? r : media_of_url(c, m, url);
    }
    if (member_is(c, source, S("type"), S("file"))) {
        m->source = CHAT_MEDIA_FILE_ID;
        return need_text(c, source, S("file_id"), path, &m->payload);
    }
    struct str type = str_slice(member_str(c, source, S("type")), 0, 64);
    return convert_reject(c, chat_path(c, path, -1, S("type")), "unknown source \"" STR_FMT "\"",
                          STR_ARG(type));
}

static int decode_image(struct convert *c, struct place *p, struct json_node *n, struct str path)
{
    struct json_node *source;
    struct chat_media m = { .path = path };
    int r = need(c, n, S("source"), JSON_OBJECT, path, &source);
    if (r == 0)
        r = decode_source(c, source, &m, chat_path(c, path, -1, S("source")));
    if (r == 0)
        add(c, p, CHAT_IMAGE)->media = m;
    return r;
}

/* A document made of blocks: they stand there themselves. */
static int decode_document_content(struct convert *c, struct place *p, struct json_node *source,
                                   struct str path)
{
    struct json_node *content = member_node(c, source, S("content"));
    if (content != NULL && json_type(content) == JSON_STRING) {
        add_text(c, p, text_of(&c->doc, c->temp, content));
        return 0;
    }
    path = chat_path(c, path, -1, S("content"));
    if (content == NULL || json_type(content) != JSON_ARRAY)
        return convert_reject(c, path, "must be a string or an array");
    unsigned in = p->in;
    p->in = IN_DOCUMENT;
    int r = decode_blocks(c, p, content, path);
    p->in = in;
    return r;
}

static int decode_document(struct convert *c, struct place *p, struct json_node *n, struct str path)
{
    struct json_node *source;
    struct chat_media m = { .path = path };
    int r = need(c, n, S("source"), JSON_OBJECT, path, &source);
    if (r < 0)
        return r;
    struct str source_path = chat_path(c, path, -1, S("source"));
    if (member_is(c, source, S("type"), S("content")))
        return decode_document_content(c, p, source, source_path);
    m.name = member_text(c, n, S("title"));
    m.context = member_text(c, n, S("context"));
    if (member_is(c, source, S("type"), S("text"))) {
        m.source = CHAT_MEDIA_PLAIN;
        m.type = S("text/plain");
        r = need_text(c, source, S("data"), source_path, &m.payload);
    } else {
        r = decode_source(c, source, &m, source_path);
    }
    if (r == 0)
        add(c, p, CHAT_FILE)->media = m;
    return r;
}

static int decode_search_result(struct convert *c, struct place *p, struct json_node *n,
                                struct str path)
{
    struct text title = member_text(c, n, S("title")), source = member_text(c, n, S("source"));
    struct json_node *content;
    int r = need(c, n, S("content"), JSON_ARRAY, path, &content);
    if (r < 0)
        return r;
    if (title.n > 0 && source.n > 0)
        title = text_cat(c->temp, title, TEXT("\\n"));
    add_text(c, p, text_cat(c->temp, title, source));
    unsigned in = p->in;
    p->in = IN_DOCUMENT;
    r = decode_blocks(c, p, content, chat_path(c, path, -1, S("content")));
    p->in = in;
    return r;
}

/* ---- reasoning ---- */

/* value: what stands where the opaque proof belongs; native: what it is when it is no envelope. */
static int add_reasoning(struct convert *c, struct place *p, struct text text, struct text value,
                         struct chat_proof native)
{
    struct chat_proof proof = native;
    if (envelope_open(c, c->temp, value, &proof) && proof.kind == CHAT_PROOF_NONE)
        return convert_warn(c, "dropped", S("reasoning"));
    struct chat_block *b = add(c, p, CHAT_REASONING);
    b->reasoning.text = text;
    b->reasoning.proof = proof;
    return 0;
}

static int decode_thinking(struct convert *c, struct place *p, struct json_node *n, struct str path)
{
    struct text thinking = TEXT(""), signature = TEXT("");
    int r = need_text(c, n, S("thinking"), path, &thinking);
    if (r == 0)
        r = need_text(c, n, S("signature"), path, &signature);
    if (r < 0)
        return r;
    struct chat_proof native = { .kind = signature.n > 0 ? CHAT_PROOF_THINKING : CHAT_PROOF_NONE,
                                 .thinking = thinking,
                                 .opaque = signature };
    return add_reasoning(c, p, thinking, signature, native);
}

static int decode_redacted(struct convert *c, struct place *p, struct json_node *n, struct str path)
{
    struct text data = TEXT("");
    int r = need_text(c, n, S("data"), path, &data);
    if (r < 0)
        return r;
    struct chat_proof native = { .kind = CHAT_PROOF_REDACTED, .opaque = data };
    return add_reasoning(c, p, TEXT(""), data, native);
}

/* ---- calls ---- */

static int decode_call(struct convert *c, struct place *p, struct json_node *n, struct str path)
{
    struct json_node *name, *id;
    int r = need(c, n, S("name"), JSON_STRING, path, &name);
    if (r == 0)
        r = member_need(c, n, S("id"), JSON_STRING, path, &id);
    if (r < 0)
        return r;
    struct chat_block *b = add(c, p, CHAT_CALL);
    b->call.kind = CHAT_TOOL_FUNCTION;
    b->call.id = member_str(c, n, S("id"));
    b->call.name = json_string(&c->doc, name);
    b->call.arguments = args_text(c->temp, member_raw(c, n, S("input")));
    return 0;
}

static int decode_result(struct convert *c, struct place *p, struct json_node *n, struct str path)
{
    struct json_node *id, *content = member_node(c, n, S("content"));
    int r = member_need(c, n, S("tool_use_id"), JSON_STRING, path, &id);
    if (r < 0)
        return r;
    struct chat_block *b = add(c, p, CHAT_RESULT);
    struct place in = { .in = IN_RESULT, .tail = &b->result.blocks };
    b->result.call_id = member_str(c, n, S("tool_use_id"));
    b->result.is_error = member_true(c, n, S("is_error"));
    b->result.is_string = content == NULL || json_type(content) == JSON_STRING;
    path = chat_path(c, path, -1, S("content"));
    if (b->result.is_string)
        add(c, &in, CHAT_TEXT)->text = text_of(&c->doc, c->temp, content);
    else if (json_type(content) == JSON_ARRAY)
        r = decode_blocks(c, &in, content, path);
    else
        r = convert_reject(c, path, "must be a string or an array");
    return r;
}

static int decode_reference(struct convert *c, struct place *p, struct json_node *n,
                            struct str path)
{
    struct text name = TEXT("");
    int r = need_text(c, n, S("tool_name"), path, &name);
    if (r == 0)
        add_text(c, p, text_cat(c->temp, TEXT("Tool loaded: "), name));
    return r;
}

/* ---- beta blocks ---- */

/* The summary takes the place of everything before it but the instructions. */
static int decode_compaction(struct convert *c, struct place *p, struct json_node *n,
                             struct str path)
{
    struct text text = member_text(c, n, S("content"));
    struct chat_request *req = &c->request;
    if (text_blank(text))
        return convert_reject(c, chat_path(c, path, -1, S("content")),
                              "a compaction without text means nothing to this upstream");
    bool keep = req->messages != NULL && req->messages->instructions;
    req->last = keep ? req->messages : NULL;
    req->message_count = keep ? 1 : 0;
    if (keep)
        req->messages->next = NULL;
    else
        req->messages = NULL;
    struct chat_message *m = chat_add_message(c, CHAT_USER);
    chat_add_block(c, m, CHAT_TEXT)->text = text;
    p->message = NULL; /* what follows the block begins a new message */
    return convert_warn(c, "degraded", path);
}

static int decode_tool_addition(struct convert *c, struct place *p, struct json_node *n,
                                struct str path)
{
    (void)p;
    struct json_node *tool = member_node(c, n, S("tool"));
    struct json_node *definition = member_node(c, tool, S("definition"));
    int r = 0;
    if (definition != NULL)
        r = messages_decode_tool(c, definition, chat_path(c, path, -1, S("tool.definition")));
    return r < 0 ? r : convert_warn(c, definition != NULL ? "moved" : "dropped", path);
}

static int decode_warned(struct convert *c, struct place *p, struct json_node *n, struct str path)
{
    (void)p;
    (void)n;
    return convert_warn(c, "dropped", path);
}

/* Their effect is in the texts already. */
static int decode_ignored(struct convert *c, struct place *p, struct json_node *n, struct str path)
{
    (void)c;
    (void)p;
    (void)n;
    (void)path;
    return 0;
}

/* Content that only the vendor can read. */
static int decode_refused(struct convert *c, struct place *p, struct json_node *n, struct str path)
{
    (void)p;
    struct str type = member_str(c, n, S("type"));
    return convert_reject(c, chat_path(c, path, -1, S("type")),
                          "\"" STR_FMT "\" is not supported by the upstream of this model",
                          STR_ARG(type));
}

/* ---- any block ---- */

#define ANYWHERE (IN_SYSTEM | IN_USER | IN_ASSISTANT)

static const struct block_row {
    struct str type;
    unsigned in;
    decode_block *decode;
} block_rows[] = {
    { S_INIT("text"), ANYWHERE | IN_RESULT | IN_DOCUMENT, decode_text },
    { S_INIT("tool_use"), IN_ASSISTANT, decode_call },
    { S_INIT("tool_result"), IN_USER, decode_result },
    { S_INIT("thinking"), IN_ASSISTANT, decode_thinking },
    { S_INIT("redacted_thinking"), IN_ASSISTANT, decode_redacted },
    { S_INIT("image"), IN_USER | IN_RESULT | IN_DOCUMENT, decode_image },
    { S_INIT("document"), IN_USER | IN_RESULT, decode_document },
    { S_INIT("search_result"), IN_USER | IN_RESULT, decode_search_result },
    { S_INIT("tool_reference"), IN_RESULT, decode_reference },
    { S_INIT("browser_state"), IN_USER | IN_RESULT, decode_refused },
    { S_INIT("container_upload"), IN_USER, decode_refused },
    { S_INIT("server_tool_use"), ANYWHERE, decode_ignored },
    { S_INIT("web_search_tool_result"), ANYWHERE, decode_ignored },
    { S_INIT("web_fetch_tool_result"), ANYWHERE, decode_ignored },
    { S_INIT("code_execution_tool_result"), ANYWHERE, decode_ignored },
    { S_INIT("bash_code_execution_tool_result"), ANYWHERE, decode_ignored },
    { S_INIT("text_editor_code_execution_tool_result"), ANYWHERE, decode_ignored },
    { S_INIT("tool_search_tool_result"), ANYWHERE, decode_ignored },
    { S_INIT("mcp_tool_use"), ANYWHERE, decode_ignored },
    { S_INIT("mcp_tool_result"), ANYWHERE, decode_ignored },
    { S_INIT("mcp_tool_listing"), ANYWHERE, decode_ignored },
    { S_INIT("advisor_tool_result"), ANYWHERE, decode_ignored },
    { S_INIT("fallback"), ANYWHERE, decode_ignored },
    { S_INIT("compaction"), ANYWHERE, decode_compaction },
    { S_INIT("tool_addition"), ANYWHERE, decode_tool_addition },
    { S_INIT("tool_removal"), ANYWHERE, decode_warned },
};

static const struct block_row *find_row(struct str type)
{
    for (size_t i = 0; i < ARRAY_LEN(block_rows); i++)
        if (str_eq(block_rows[i].type, type))
            return &block_rows[i];
    return NULL;
}

enum chat_cache messages_cache(struct convert *c, struct json_node *n)
{
    struct json_node *mark = member_node(c, n, S("cache_control"));
    if (mark == NULL)
        return CHAT_CACHE_NONE;
    return member_is(c, mark, S("ttl"), S("1h")) ? CHAT_CACHE_LONG : CHAT_CACHE_SHORT;
}

static int decode_block_at(struct convert *c, struct place *p, struct json_node *n, struct str path)
{
    if (json_type(n) != JSON_OBJECT)
        return convert_reject(c, path, "must be an object");
    struct str type = member_str(c, n, S("type"));
    const struct block_row *row = find_row(type);
    if (row == NULL && p->in == IN_RESULT) { /* an output is not lost, whatever it is */
        struct str raw = json_compact(c->temp, json_raw(&c->doc, n));
        add_text(c, p, text_escape(c->temp, raw));
        return 0;
    }
    if (row == NULL)
        return convert_reject(c, chat_path(c, path, -1, S("type")),
                              "unknown content block \"" STR_FMT "\"",
                              STR_ARG(str_slice(type, 0, 64)));
    if ((row->in & p->in) == 0)
        return convert_reject(c, chat_path(c, path, -1, S("type")),
                              "\"" STR_FMT "\" must not stand here", STR_ARG(type));
    p->added = NULL;
    int r = row->decode(c, p, n, path);
    if (r == 0 && p->added != NULL && p->added->kind != CHAT_REASONING)
        p->added->cache = messages_cache(c, n);
    return r;
}

static int decode_blocks(struct convert *c, struct place *p, struct json_node *list,
                         struct str path)
{
    struct json_walk w;
    struct json_node *n;
    int64_t i = 0;
    int r = 0;
    member_walk(c, list, &w);
    while (r == 0 && (n = json_walk_next(&w)) != NULL)
        r = decode_block_at(c, p, n, chat_path(c, path, i++, S("")));
    json_walk_done(&w);
    return r;
}

/* ---- messages ---- */

static bool is_result(struct convert *c, struct json_node *n)
{
    return json_type(n) == JSON_OBJECT && member_is(c, n, S("type"), S("tool_result"));
}

/* Those blocks of a user message that are results, or the others.  *ret_others: how many it left
 * out. */
static int decode_some(struct convert *c, struct place *p, struct json_node *list, struct str path,
                       bool take_results, int64_t *ret_others)
{
    struct json_walk w;
    struct json_node *n;
    int64_t i = 0, others = 0;
    int r = 0;
    member_walk(c, list, &w);
    for (; r == 0 && (n = json_walk_next(&w)) != NULL; i++) {
        if (is_result(c, n) == take_results)
            r = decode_block_at(c, p, n, chat_path(c, path, i, S("")));
        else
            others++;
    }
    json_walk_done(&w);
    *ret_others = others;
    return r;
}

/* The results of a user message come first, in a message of their own. */
static int decode_user(struct convert *c, struct json_node *list, struct str path)
{
    struct place results = { .in = IN_USER, .role = CHAT_TOOL };
    struct place rest = { .in = IN_USER, .role = CHAT_USER };
    int64_t others;
    int r = decode_some(c, &results, list, path, true, &others);
    if (r == 0 && others > 0)
        r = decode_some(c, &rest, list, path, false, &others);
    if (r < 0)
        return r;
    if (results.message == NULL && rest.message == NULL)
        chat_add_message(c, CHAT_USER); /* without blocks; turns.h knows whether it is needed */
    return 0;
}

static void add_string(struct convert *c, enum chat_role role, bool instructions,
                       struct json_node *n)
{
    struct text text = text_of(&c->doc, c->temp, n);
    if (text.n == 0 && role != CHAT_USER)
        return;
    struct chat_message *m = chat_add_message(c, role);
    m->is_string = true;
    m->instructions = instructions;
    chat_add_block(c, m, CHAT_TEXT)->text = text;
}

static int decode_message(struct convert *c, struct json_node *n, struct str path)
{
    if (json_type(n) != JSON_OBJECT)
        return convert_reject(c, path, "must be an object");
    struct json_node *content = member_node(c, n, S("content"));
    struct place p = { .in = 0 };
    if (member_is(c, n, S("role"), S("user")))
        p = (struct place){ .in = IN_USER, .role = CHAT_USER };
    else if (member_is(c, n, S("role"), S("assistant")))
        p = (struct place){ .in = IN_ASSISTANT, .role = CHAT_ASSISTANT };
    else if (member_is(c, n, S("role"), S("system")))
        p = (struct place){ .in = IN_SYSTEM, .role = CHAT_SYSTEM };
    else
        return convert_reject(c, chat_path(c, path, -1, S("role")),
                              "must be user, assistant or system");
    path = chat_path(c, path, -1, S("content"));
    if (content != NULL && json_type(content) == JSON_STRING) {
        add_string(c, p.role, false, content);
        return 0;
    }
    if (content == NULL || json_type(content) != JSON_ARRAY)
        return convert_reject(c, path, "must be a string or an array");
    return p.in == IN_USER ? decode_user(c, content, path) : decode_blocks(c, &p, content, path);
}

/* Changes with each request, and says nothing to another vendor's model. */
static bool is_billing(struct convert *c, struct json_node *n)
{
    struct text text = json_type(n) == JSON_OBJECT ? member_text(c, n, S("text")) : TEXT("");
    return text_starts(text, S("x-anthropic-billing-header:"));
}

static int decode_system(struct convert *c)
{
    struct json_node *system = params_node(c, CHAT_PARAM_SYSTEM);
    struct place p = { .in = IN_SYSTEM, .role = CHAT_SYSTEM };
    struct json_walk w;
    struct json_node *n;
    int r = 0;
    if (system == NULL)
        return 0;
    if (json_type(system) == JSON_STRING) {
        add_string(c, CHAT_SYSTEM, true, system);
        return 0;
    }
    member_walk(c, system, &w);
    for (int64_t i = 0; r == 0 && (n = json_walk_next(&w)) != NULL; i++)
        if (!is_billing(c, n))
            r = decode_block_at(c, &p, n, chat_path(c, S("system"), i, S("")));
    json_walk_done(&w);
    if (p.message != NULL)
        p.message->instructions = true;
    return r;
}

int messages_decode_conversation(struct convert *c)
{
    struct json_node *list = params_node(c, CHAT_PARAM_MESSAGES);
    int r = decode_system(c);
    struct json_walk w;
    struct json_node *n;
    if (r == 0 && list == NULL)
        r = convert_reject(c, S("messages"), "is required");
    if (r < 0)
        return r;
    member_walk(c, list, &w);
    for (int64_t i = 0; r == 0 && (n = json_walk_next(&w)) != NULL; i++)
        r = decode_message(c, n, chat_path(c, S("messages"), i, S("")));
    json_walk_done(&w);
    return r;
}

/*
 * Requests of Chat Completions: the first byte chooses the client's protocol and settings of the
 * upstream, the rest is the client's body.
 * Invariants: a refused body has a reason; the neutral form of an accepted one is sane; what is
 * written is a JSON object whose tool messages answer the calls in front of them, and the same
 * bytes the second time.
 */
#include <stddef.h>
#include <stdint.h>

#include "../tests/unit/request_read.h"
#include "completions_request.h"
#include "err.h"
#include "json.h"
#include "tools.h"
#include "turns.h"

static void must_be_json(struct str text)
{
    yyjson_doc *doc;
    must(json_parse(text, &doc, NULL) == 0);
    yyjson_doc_free(doc);
}

static void check_text(struct arena *a, struct text t)
{
    must_be_json(arena_printf(a, "\"" STR_FMT "\"", STR_ARG(t)));
}

static void check_block(struct arena *a, const struct chat_block *b, enum chat_role role)
{
    switch (b->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL:
        must(b->kind == CHAT_TEXT || role == CHAT_ASSISTANT);
        check_text(a, b->text);
        break;
    case CHAT_IMAGE:
    case CHAT_FILE:
        must(role == CHAT_USER || role == CHAT_TOOL);
        must(b->media.path.n > 0);
        check_text(a, b->media.payload);
        break;
    case CHAT_REASONING:
        must(role == CHAT_ASSISTANT);
        check_text(a, b->reasoning.text);
        if (b->reasoning.proof.raw.n > 0)
            must_be_json(b->reasoning.proof.raw);
        break;
    case CHAT_CALL:
        must(role == CHAT_ASSISTANT && b->call.name.n > 0);
        break;
    case CHAT_RESULT:
        must(role == CHAT_TOOL);
        for (const struct chat_block *x = b->result.blocks; x != NULL; x = x->next) {
            must(x->kind != CHAT_RESULT);
            check_block(a, x, role);
        }
        break;
    }
}

static void check_neutral(struct convert *c)
{
    uint32_t count = 0;
    const struct chat_message *last = NULL;
    for (const struct chat_message *m = c->request.messages; m != NULL; m = m->next) {
        count++;
        last = m;
        for (const struct chat_block *b = m->blocks; b != NULL; b = b->next)
            check_block(c->temp, b, m->role);
    }
    must(count > 0 && count == c->request.message_count && last == c->request.last);
    for (const struct chat_tool *t = c->request.tools; t != NULL; t = t->next) {
        must(t->name.n > 0);
        if (t->schema.n > 0)
            must_be_json(t->schema);
    }
    for (uint32_t i = 0; i < c->request.stop_count; i++)
        check_text(c->temp, c->request.stop[i]);
}

/* Every tool message answers a call of the assistant message in front of its run, once. */
static void check_turns(yyjson_val *messages)
{
    yyjson_val *message, *calls = NULL;
    size_t i, n, left = 0;
    yyjson_arr_foreach(messages, i, n, message)
    {
        struct str role = json_member_str(message, S("role"));
        if (!str_eq(role, S("tool"))) {
            must(left == 0);
            calls = json_member(message, S("tool_calls"));
            left = i + 1 < n ? yyjson_arr_size(calls) : 0;
            continue;
        }
        yyjson_val *call;
        size_t k, kn, found = 0;
        yyjson_arr_foreach(calls, k, kn, call) found +=
            str_eq(json_member_str(call, S("id")), json_member_str(message, S("tool_call_id")));
        must(found == 1 && left > 0);
        left--;
    }
}

static void check_output(struct str text)
{
    yyjson_doc *doc;
    must(json_parse(text, &doc, NULL) == 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    must(json_member_str(root, S("model")).n > 0);
    must(yyjson_is_arr(json_member(root, S("messages"))));
    check_turns(json_member(root, S("messages")));
    yyjson_doc_free(doc);
}

/* Chat to Chat: read as a Chat client's, written as a Messages client's. */
static int there_and_back(struct convert *c, struct arena *work, struct str body, struct buf *out)
{
    struct json_out o;
    int r = request_read(c, work, body);
    if (r < 0)
        return r;
    check_neutral(c);
    c->options.client = PROTOCOL_MESSAGES;
    c->options.upstream = PROTOCOL_CHAT;
    c->model_sent = S("m");
    c->asks_stream = c->request.stream;
    r = turns_normalize(c);
    r = r < 0 ? r : tools_prepare(c);
    json_out_init(&o, out);
    return r < 0 ? r : completions_encode_request(c, &o);
}

static int run(const struct profile *profile, enum protocol client, struct str body,
               struct buf *out)
{
    struct arena work;
    enum protocol upstream = client == PROTOCOL_CHAT ? PROTOCOL_MESSAGES : PROTOCOL_CHAT;
    struct convert_options options = { .client = client,
                                       .upstream = upstream,
                                       .profile = profile,
                                       .upstream_name = S("u1"),
                                       .reply_limit_bytes = 1 << 20 };
    struct convert *c = convert_new(&options);
    arena_init(&work, 1 << 28);
    buf_init(out, 1 << 24);
    int r = client == PROTOCOL_CHAT ? there_and_back(c, &work, body, out)
                                    : convert_request(c, &work, body, out);
    must(r == 0 || convert_error(c).n > 0);
    arena_done(&work);
    convert_free(c);
    return r;
}

static void choose_profile(struct profile *p, unsigned bits)
{
    struct buf why;
    buf_init(&why, 1024);
    must(profile_resolve(p, S("default"), S(""), S("m"), NULL, 0, &why) == 0);
    buf_done(&why);
    p->chat_system_first_only = bits & 1;
    p->chat_tool_media = bits & 2;
    p->openai_cache_fields = p->chat_custom_tools = bits & 4;
    p->chat_reasoning_replay = bits & 8 ? REPLAY_ALWAYS : REPLAY_NEVER;
    p->chat_json_schema = p->chat_null_content = bits & 16;
    p->chat_web_search_options = p->chat_developer_role = bits & 32;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct profile profile;
    struct buf first, second;
    if (n == 0)
        return 0;
    struct str body = { (const char *)bytes + 1, n - 1 };
    enum protocol client = bytes[0] % PROTOCOL_COUNT;
    choose_profile(&profile, bytes[0] / PROTOCOL_COUNT);
    int r = run(&profile, client, body, &first);
    must(run(&profile, client, body, &second) == r);
    must(str_eq(buf_str(&first), buf_str(&second)));
    if (r == 0)
        check_output(buf_str(&first));
    buf_done(&first);
    buf_done(&second);
    return 0;
}

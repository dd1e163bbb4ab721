/*
 * Goal: requests of Messages.  The first byte says which way:
 *   A  the rest is a client's body: reading it must not crash, and what it gives is a sane
 *      neutral request;
 *   C, R  the rest is a body of another protocol: what is written for a Messages upstream is
 *      valid JSON, is the same each time, and keeps the rules that Messages answers with 400;
 *   c, r  the same for an upstream whose settings are the other ones.
 */
#include <stdlib.h>
#include <string.h>

#include "../tests/unit/request_read.h"
#include "json.h"

static const struct profile *profile_of(bool other)
{
    static struct profile profiles[2];
    static bool known;
    if (!known) {
        struct buf why;
        buf_init(&why, 4096);
        int r = profile_resolve(&profiles[0], S("default"), S(""), S("m"), NULL, 0, &why);
        must(r == 0);
        buf_done(&why);
        profiles[1] = profiles[0];
        profiles[1].anthropic_mid_system = !profiles[0].anthropic_mid_system;
        profiles[1].anthropic_thinking = THINKING_ENABLED | THINKING_DISABLED;
        profiles[1].anthropic_structured = STRUCTURED_TOOL;
        profiles[1].anthropic_unsigned_thinking = true;
        profiles[1].anthropic_web_search = true;
        profiles[1].anthropic_strict_tools = true;
        known = true;
    }
    return &profiles[other];
}

static struct convert *begin(enum protocol client, enum protocol upstream, bool other)
{
    struct convert_options o = {
        .client = client,
        .upstream = upstream,
        .profile = profile_of(other),
        .upstream_name = S("u1"),
        .reply_id = S("000000000000000000000000"),
        .reply_limit_bytes = 1 << 20,
    };
    return convert_new(&o);
}

/* ---- reading ---- */

static void check_blocks(const struct chat_block *b, bool in_result)
{
    for (; b != NULL; b = b->next) {
        must(b->kind <= CHAT_REFUSAL);
        must(!in_result || b->kind == CHAT_TEXT || b->kind == CHAT_IMAGE || b->kind == CHAT_FILE);
        if (b->kind == CHAT_CALL) {
            must(b->call.arguments.n > 0);
        }
        if (b->kind == CHAT_RESULT) {
            must(!b->result.is_string ||
                 (b->result.blocks != NULL && b->result.blocks->next == NULL));
            check_blocks(b->result.blocks, true);
        }
    }
}

static void check_request(const struct chat_request *req)
{
    uint32_t n = 0;
    const struct chat_message *last = NULL;
    for (const struct chat_message *m = req->messages; m != NULL; m = m->next, n++) {
        must(m->blocks != NULL);
        must(!m->instructions || n == 0);
        check_blocks(m->blocks, false);
        for (const struct chat_block *b = m->blocks; b != NULL; b = b->next) {
            must((b->kind == CHAT_RESULT) == (m->role == CHAT_TOOL));
            must(b->kind != CHAT_CALL || m->role == CHAT_ASSISTANT);
            must(b->next != NULL || b == m->last);
        }
        last = m;
    }
    must(n == req->message_count);
    must(last == req->last);
    for (const struct chat_tool *t = req->tools; t != NULL; t = t->next)
        must(t->name.n > 0);
}

static void fuzz_decode(struct str body)
{
    struct arena work;
    struct convert *c = begin(PROTOCOL_MESSAGES, PROTOCOL_CHAT, false);
    arena_init(&work, (size_t)1 << 30);
    if (request_read(c, &work, body) == 0)
        check_request(&c->request);
    else
        must(convert_error(c).n > 0);
    convert_free(c);
    arena_done(&work);
}

/* ---- writing ---- */

static bool is(yyjson_val *object, const char *name, const char *value)
{
    return str_eq(json_member_str(object, str_of(name)), str_of(value));
}

static bool blank(struct str s)
{
    return str_trim(s).n == 0;
}

static unsigned count_marks(yyjson_val *v)
{
    unsigned n = json_member(v, S("cache_control")) != NULL;
    yyjson_val *content = json_member(v, S("content")), *e;
    size_t i, max;
    if (yyjson_is_arr(content))
        yyjson_arr_foreach(content, i, max, e) n += count_marks(e);
    return n;
}

/* The results of a user's turn stand first and answer the calls of the turn before, each once. */
static void check_results(yyjson_val *calls, yyjson_val *content)
{
    bool other = false;
    size_t i, max, j, max2, want = 0, got = 0;
    yyjson_val *b, *call;
    if (calls != NULL)
        yyjson_arr_foreach(calls, i, max, b) want += is(b, "type", "tool_use");
    yyjson_arr_foreach(content, i, max, b)
    {
        if (!is(b, "type", "tool_result")) {
            other = true;
            continue;
        }
        must(!other);
        bool found = false;
        yyjson_arr_foreach(calls, j, max2, call) found =
            found || (is(call, "type", "tool_use") &&
                      str_eq(json_member_str(call, S("id")), json_member_str(b, S("tool_use_id"))));
        must(found);
        got++;
    }
    must(want == got);
}

static void check_content(yyjson_val *content)
{
    size_t i, max;
    yyjson_val *b;
    must(yyjson_is_arr(content));
    must(yyjson_arr_size(content) > 0);
    yyjson_arr_foreach(content, i, max, b)
    {
        if (is(b, "type", "text")) {
            must(!blank(json_member_str(b, S("text"))));
        }
        if (is(b, "type", "tool_use")) {
            must(json_member_str(b, S("id")).n > 0);
            must(yyjson_is_obj(json_member(b, S("input"))));
        }
    }
}

/* A system message stands behind a user's and before an assistant's. */
static void check_role(yyjson_val *messages, size_t i, size_t count)
{
    yyjson_val *m = yyjson_arr_get(messages, i);
    if (!is(m, "role", "system"))
        return;
    must(i > 0);
    must(is(yyjson_arr_get(messages, i - 1), "role", "user"));
    must(i + 1 == count || is(yyjson_arr_get(messages, i + 1), "role", "assistant"));
}

static void check_body(yyjson_val *root)
{
    yyjson_val *messages = json_member(root, S("messages")), *m, *calls = NULL;
    yyjson_val *tools = json_member(root, S("tools")), *system = json_member(root, S("system"));
    unsigned marks = 0;
    size_t i, max;
    must(json_member_str(root, S("model")).n > 0);
    must(yyjson_is_num(json_member(root, S("max_tokens"))));
    must(yyjson_arr_size(messages) > 0);
    must(is(yyjson_arr_get_first(messages), "role", "user"));
    yyjson_arr_foreach(messages, i, max, m)
    {
        check_role(messages, i, max);
        yyjson_val *content = json_member(m, S("content"));
        check_content(content);
        marks += count_marks(m);
        if (is(m, "role", "user"))
            check_results(calls, content);
        calls = is(m, "role", "assistant") ? content : NULL;
    }
    if (system != NULL)
        yyjson_arr_foreach(system, i, max, m) marks += count_marks(m);
    if (tools != NULL)
        yyjson_arr_foreach(tools, i, max, m) marks += count_marks(m);
    must(marks <= 4);
}

static int write(enum protocol client, bool other, struct str body, struct buf *out)
{
    struct convert *c = begin(client, PROTOCOL_MESSAGES, other);
    struct arena work;
    arena_init(&work, (size_t)1 << 30);
    int r = convert_request(c, &work, body, out);
    if (r < 0)
        must(convert_error(c).n > 0);
    convert_free(c);
    arena_done(&work);
    return r;
}

static void fuzz_encode(enum protocol client, bool other, struct str body)
{
    struct buf one, two;
    yyjson_doc *doc;
    buf_init(&one, 64 << 20);
    buf_init(&two, 64 << 20);
    int r = write(client, other, body, &one), again = write(client, other, body, &two);
    must(r == again);
    must(str_eq(buf_str(&one), buf_str(&two)));
    if (r == 0) {
        r = json_parse(buf_str(&one), &doc, NULL);
        must(r == 0);
        check_body(yyjson_doc_get_root(doc));
        yyjson_doc_free(doc);
    }
    buf_done(&one);
    buf_done(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* a copy of the exact size, so that a read past its end is seen */
    char *copy = malloc(size + (size == 0));
    must(copy != NULL);
    memcpy(copy, data, size);
    struct str all = { copy, size }, body = str_slice(all, 1, size);
    if (size > 0 && copy[0] == 'A')
        fuzz_decode(body);
    else if (size > 0)
        fuzz_encode(copy[0] == 'C' || copy[0] == 'c' ? PROTOCOL_CHAT : PROTOCOL_RESPONSES,
                    copy[0] == 'c' || copy[0] == 'r', body);
    free(copy);
    return 0;
}

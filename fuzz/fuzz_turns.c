/*
 * Goal: whatever a client's conversation looks like, what turns_normalize() makes of it is what
 * every upstream takes (turns.h), and nothing that somebody said is lost.
 * Method: the input chooses messages and blocks, with few ids, so that they meet.  Every text is
 * said once; what is said is counted before and after.
 */
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "turns.h"

enum { BLOCKS_MAX = 400 };

struct choices {
    const unsigned char *p, *end;
};

static unsigned choose(struct choices *c, unsigned below)
{
    return c->p < c->end ? *c->p++ % below : 0;
}

static const struct str ids[] = { S_INIT("a"), S_INIT("b.c"),        S_INIT(""),
                                  S_INIT("d"), S_INIT("call_ccp_1"), S_INIT("a#2") };

/* What must come out again. */
struct said {
    size_t texts, images, calls, results;
};

static void add_result(struct convert *c, struct chat_message *m, struct choices *in)
{
    struct chat_block *b = chat_add_block(c, m, CHAT_RESULT);
    b->result.call_id = ids[choose(in, ARRAY_LEN(ids))];
    b->result.is_string = choose(in, 2) == 0;
    b->result.blocks = chat_new_block(c, CHAT_TEXT);
    b->result.blocks->text = choose(in, 4) == 0 ? TEXT("") : TEXT("r");
    if (!b->result.is_string)
        b->result.blocks->next = chat_new_block(c, CHAT_IMAGE);
}

static void add_block(struct convert *c, struct chat_message *m, struct choices *in)
{
    unsigned kind = choose(in, 6);
    if (kind < 2 && m->role == CHAT_ASSISTANT) {
        struct chat_block *b = chat_add_block(c, m, CHAT_CALL);
        b->call.id = ids[choose(in, ARRAY_LEN(ids))];
        b->call.kind = (enum chat_tool_kind)choose(in, 2);
    } else if (kind == 2 && m->role == CHAT_ASSISTANT) {
        chat_add_block(c, m, CHAT_REASONING)->reasoning.proof.kind =
            (enum chat_proof_kind)choose(in, 5);
    } else if (m->role == CHAT_TOOL || (kind == 3 && m->role == CHAT_USER)) {
        add_result(c, m, in);
    } else if (kind == 4) {
        chat_add_block(c, m, CHAT_IMAGE);
    } else {
        static const struct text texts[] = { { "x", 1 }, { "", 0 }, { "\\n", 2 } };
        chat_add_block(c, m, CHAT_TEXT)->text = texts[choose(in, ARRAY_LEN(texts))];
    }
}

static void build(struct convert *c, struct choices *in)
{
    static const enum chat_role roles[] = {
        CHAT_USER,   CHAT_ASSISTANT, CHAT_TOOL, CHAT_ASSISTANT,
        CHAT_SYSTEM, CHAT_TOOL,      CHAT_USER, CHAT_ASSISTANT
    };
    for (size_t blocks = 0; blocks < BLOCKS_MAX && in->p < in->end;) {
        struct chat_message *m = chat_add_message(c, roles[choose(in, ARRAY_LEN(roles))]);
        for (unsigned n = choose(in, 4); n > 0; n--, blocks++)
            add_block(c, m, in);
    }
}

static struct said count(const struct convert *c)
{
    struct said said = { 0 };
    for (const struct chat_message *m = c->request.messages; m != NULL; m = m->next)
        for (const struct chat_block *b = m->blocks; b != NULL; b = b->next) {
            said.texts += b->kind == CHAT_TEXT && b->text.n == 1 && b->text.p[0] == 'x';
            said.images += b->kind == CHAT_IMAGE;
            said.calls += b->kind == CHAT_CALL;
            said.results += b->kind == CHAT_RESULT;
        }
    return said;
}

static bool is_answered(const struct chat_message *results, const struct chat_block *call)
{
    size_t hits = 0;
    for (const struct chat_block *b = results->blocks; b != NULL; b = b->next)
        if (str_eq(b->result.call_id, call->call.id)) {
            must(b->result.kind == call->call.kind);
            hits++;
        }
    must(hits <= 1);
    return hits == 1;
}

static void check_assistant(const struct convert *c, const struct chat_message *m)
{
    const struct chat_message *next = m->next;
    size_t calls = 0, results = 0;
    must(next == NULL || next->role != CHAT_ASSISTANT);
    for (const struct chat_block *b = m->blocks; b != NULL; b = b->next) {
        if (b->kind != CHAT_CALL)
            continue;
        calls++;
        must(turns_id_legal(b->call.id, c->options.upstream));
        must(next == NULL || (next->role == CHAT_TOOL && is_answered(next, b)));
    }
    if (next != NULL && next->role == CHAT_TOOL)
        for (const struct chat_block *b = next->blocks; b != NULL; b = b->next)
            results++;
    must(next == NULL || calls == results);
}

static void check(const struct convert *c)
{
    const struct chat_message *before = NULL;
    uint32_t count_messages = 0;
    bool messages = c->options.upstream == PROTOCOL_MESSAGES, begun = false;
    for (const struct chat_message *m = c->request.messages; m != NULL; m = m->next) {
        const struct chat_block *last = m->blocks;
        must(last != NULL);
        for (const struct chat_block *b = m->blocks; b != NULL; b = b->next) {
            last = b;
            must((b->kind == CHAT_RESULT) == (m->role == CHAT_TOOL));
            must(b->kind != CHAT_CALL || m->role == CHAT_ASSISTANT);
            must(b->kind != CHAT_TEXT || (messages ? !text_blank(b->text) : b->text.n > 0));
        }
        must(m->last == last);
        must(m->role != CHAT_TOOL || (before != NULL && before->role == CHAT_ASSISTANT));
        if (m->role == CHAT_ASSISTANT)
            check_assistant(c, m);
        must(!messages || begun || m->role != CHAT_ASSISTANT);
        begun = begun || m->role == CHAT_USER;
        before = m;
        count_messages++;
    }
    must(c->request.last == before);
    must(c->request.message_count == count_messages);
    must(!messages || begun);
}

static void check_unique(const struct convert *c)
{
    struct names names;
    names_init(&names, c->temp);
    for (const struct chat_message *m = c->request.messages; m != NULL; m = m->next)
        for (const struct chat_block *b = m->blocks; b != NULL; b = b->next)
            must(b->kind != CHAT_CALL || names_add(&names, b->call.id));
}

static void run(const unsigned char *bytes, size_t n, enum protocol upstream)
{
    struct profile profile = { 0 };
    struct convert_options o = { .upstream = upstream,
                                 .profile = &profile,
                                 .upstream_name = S("u1"),
                                 .reply_limit_bytes = 1 << 20 };
    struct convert *c = convert_new(&o);
    struct choices in = { bytes, bytes + n };
    struct arena a;
    arena_init(&a, SIZE_MAX);
    c->temp = &a;
    build(c, &in);
    struct said said = count(c);
    must(turns_normalize(c) == 0);
    struct said now = count(c);
    check(c);
    check_unique(c);
    must(now.texts == said.texts);
    must(now.calls == said.calls);
    must(now.images >= said.images);
    must(now.results <= said.results + said.calls);
    uint32_t messages = c->request.message_count;
    struct str warnings = arena_str(&a, convert_warnings(c));
    must(turns_normalize(c) == 0);
    check(c);
    must(c->request.message_count == messages);
    must(str_eq(convert_warnings(c), warnings));
    convert_free(c);
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    for (int p = 0; p < PROTOCOL_COUNT; p++)
        run(bytes, n, (enum protocol)p);
    return 0;
}

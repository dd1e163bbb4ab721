/*
 * Goal: how a reply's bytes are cut into reads makes no difference (E176, E177, E178), and a stream
 * that ends too early is never a success, wherever it ends (C5).  The streams are the worked ones
 * of C8.2, and one per protocol with everything that is hard to cut: a BOM, CR, CRLF and LF mixed,
 * comments, CJK, emoji, escapes, halves of surrogate pairs, U+2028, text behind [DONE].
 */
#include <stdio.h>

#include "reply_run.h"
#include "unit.h"

struct stream {
    const char *path;
    enum protocol upstream;
    struct str finish; /* behind the event with this the reply is known to be whole (C5) */
};

static const struct stream streams[] = {
    { "tests/vectors/streams/chat.sse", PROTOCOL_CHAT, S_INIT("\"finish_reason\":\"tool_calls\"") },
    { "tests/vectors/streams/messages.sse", PROTOCOL_MESSAGES, S_INIT("\"stop_reason\":\"tool") },
    { "tests/vectors/streams/responses.sse", PROTOCOL_RESPONSES, S_INIT("\"response.completed\"") },
    { "tests/vectors/streams/chat_hostile.sse", PROTOCOL_CHAT,
      S_INIT("\"finish_reason\":\"tool_calls\"") },
    { "tests/vectors/streams/messages_hostile.sse", PROTOCOL_MESSAGES,
      S_INIT("\"stop_reason\":\"tool") },
    { "tests/vectors/streams/responses_hostile.sse", PROTOCOL_RESPONSES,
      S_INIT("\"response.completed\"") },
};

static struct str load(const char *path, struct buf *ret)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    buf_init(ret, SIZE_MAX);
    char *p = buf_reserve(ret, 65536);
    size_t n = fread(p, 1, 65536, f);
    assert_in_range(n, 1, 65535);
    buf_commit(ret, n);
    fclose(f);
    return buf_str(ret);
}

static void check_same(struct reply_run *got, const struct reply_run *want, struct str in)
{
    reply_run(got, in);
    if (!str_eq(buf_str(&got->out), buf_str((struct buf *)&want->out)))
        fail_msg("to %s, first %zu, step %zu: another output", protocol_name(got->client),
                 got->first, got->step);
    assert_int_equal(got->rc, want->rc);
    assert_int_equal(got->begun, want->begun);
    assert_int_equal(got->ended, want->ended);
    buf_done(&got->out);
}

static void check_splits(const struct stream *s, enum protocol client, struct str in)
{
    struct reply_run whole = { .upstream = s->upstream, .client = client };
    reply_run(&whole, in);
    assert_int_equal(whole.rc, 0);
    assert_true(whole.ended);
    assert_int_equal(whole.failure.status, 0);
    for (size_t cut = 1; cut < in.n; cut++) {
        struct reply_run run = { .upstream = s->upstream, .client = client, .first = cut };
        check_same(&run, &whole, in);
    }
    for (size_t step = 1; step <= 7; step++) {
        struct reply_run run = { .upstream = s->upstream, .client = client, .step = step };
        check_same(&run, &whole, in);
    }
    buf_done(&whole.out);
}

/* Goal: every cut in two, and pieces of 1 to 7 bytes, for every client. */
static void test_splits(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        struct buf file;
        struct str in = load(streams[i].path, &file);
        for (int client = 0; client < PROTOCOL_COUNT; client++)
            check_splits(&streams[i], (enum protocol)client, in);
        buf_done(&file);
    }
}

/* Offset behind the last byte whose lack makes the reply broken: the end of the finish's JSON. */
static size_t whole_from(struct str in, struct str finish)
{
    size_t at = str_find(in, finish);
    assert_true(at < in.n);
    while (in.p[at] != '\n' && in.p[at] != '\r')
        at++;
    return at;
}

static void check_broken(const struct stream *s, enum protocol client, struct str in, size_t cut)
{
    struct reply_run run = { .upstream = s->upstream, .client = client };
    reply_run(&run, str_slice(in, 0, cut));
    if (run.begun ? run.failure.status < 400 : run.rc >= 0)
        fail_msg("%s to %s, ends at %zu: passed as a success", s->path, protocol_name(client), cut);
    static const struct str ends[] = { S_INIT("event: message_stop"), S_INIT("data: [DONE]"),
                                       S_INIT("event: response.completed") };
    for (size_t i = 0; run.begun && i < ARRAY_LEN(ends); i++)
        assert_false(str_find(buf_str(&run.out), ends[i]) < buf_len(&run.out));
    buf_done(&run.out);
}

static void check_whole(const struct stream *s, enum protocol client, struct str in, size_t cut)
{
    struct reply_run run = { .upstream = s->upstream, .client = client };
    reply_run(&run, str_slice(in, 0, cut));
    if (run.rc < 0 || !run.ended || run.failure.status != 0)
        fail_msg("%s to %s, ends at %zu: no success", s->path, protocol_name(client), cut);
    buf_done(&run.out);
}

/* Goal: before the finish is known no end is a success; behind it every end is one. */
static void test_truncation(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        struct buf file;
        struct str in = load(streams[i].path, &file);
        size_t from = whole_from(in, streams[i].finish);
        for (int client = 0; client < PROTOCOL_COUNT; client++)
            for (size_t cut = 0; cut < in.n; cut++)
                (cut < from ? check_broken : check_whole)(&streams[i], (enum protocol)client, in,
                                                          cut);
        buf_done(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

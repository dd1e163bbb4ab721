/*
 * Goal: how a reply's bytes are cut into reads makes no difference (E176, E177, E178), and a stream
 * that ends too early is never a success, wherever it ends (C5).  The streams are the worked ones
 * of C8.2, and one per protocol with everything that is hard to cut: a BOM, CR, CRLF and LF mixed,
 * comments, CJK, emoji, escapes, halves of surrogate pairs, U+2028, text behind [DONE].  Nor does
 * it matter where an upstream cuts a character's bytes into two deltas (EW3.5).
 */
#include <stdio.h>

#include "json.h"
#include "reply_run.h"
#include "sse.h"
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

/* ---- a character's bytes in several deltas ---- */

/* Begin, a delta around the piece @, end; ' for ". */
struct delta_stream {
    enum protocol upstream;
    const char *begin, *delta, *end;
};

#define CHAT(delta) "data: {'id':'chatcmpl-1','choices':[{'index':0,'delta':{" delta "}}]}\n\n"
#define CHAT_END(why)                                                                 \
    "data: {'id':'chatcmpl-1','choices':[{'index':0,'delta':{},'finish_reason':'" why \
    "'}]}\n\ndata: [DONE]\n\n"
#define BLOCK(block)                                                           \
    "data: {'type':'message_start','message':{'id':'msg_1','content':[]}}\n\n" \
    "data: {'type':'content_block_start','index':0,'content_block':{" block "}}\n\n"
#define BLOCK_DELTA(delta) "data: {'type':'content_block_delta','index':0,'delta':{" delta "}}\n\n"
#define BLOCK_END(why)                                                                \
    "data: {'type':'content_block_stop','index':0}\n\n"                               \
    "data: {'type':'message_delta','delta':{'stop_reason':'" why "'},'usage':{}}\n\n" \
    "data: {'type':'message_stop'}\n\n"
#define ITEM(item)                                                                 \
    "data: {'type':'response.created','response':{'id':'resp_1','output':[]}}\n\n" \
    "data: {'type':'response.output_item.added','output_index':0,'item':{'id':'i'," item "}}\n\n"
#define ITEM_DELTA(name, more) \
    "data: {'type':'response." name "','item_id':'i','output_index':0," more "'delta':'@'}\n\n"
#define ITEM_END                                                                         \
    "data: {'type':'response.completed','response':{'id':'resp_1','status':'completed'," \
    "'output':[]}}\n\n"

static const struct delta_stream delta_streams[] = {
    { PROTOCOL_CHAT, "", CHAT("'content':'@'"), CHAT_END("stop") },
    { PROTOCOL_CHAT, "", CHAT("'reasoning_content':'@'"), CHAT_END("stop") },
    { PROTOCOL_CHAT,
      CHAT("'tool_calls':[{'index':0,'id':'c','function':{'name':'f','arguments':''}}]"),
      CHAT("'tool_calls':[{'index':0,'function':{'arguments':'@'}}]"), CHAT_END("tool_calls") },
    /* held until the call's name comes */
    { PROTOCOL_CHAT, CHAT("'tool_calls':[{'index':0,'id':'c','function':{'arguments':''}}]"),
      CHAT("'tool_calls':[{'index':0,'function':{'arguments':'@'}}]"), CHAT_END("tool_calls") },
    { PROTOCOL_MESSAGES, BLOCK("'type':'text','text':''"),
      BLOCK_DELTA("'type':'text_delta','text':'@'"), BLOCK_END("end_turn") },
    { PROTOCOL_MESSAGES, BLOCK("'type':'thinking','thinking':'','signature':''"),
      BLOCK_DELTA("'type':'thinking_delta','thinking':'@'"), BLOCK_END("end_turn") },
    { PROTOCOL_MESSAGES, BLOCK("'type':'tool_use','id':'c','name':'f','input':{}"),
      BLOCK_DELTA("'type':'input_json_delta','partial_json':'@'"), BLOCK_END("tool_use") },
    { PROTOCOL_RESPONSES, ITEM("'type':'message','role':'assistant','content':[]"),
      ITEM_DELTA("output_text.delta", "'content_index':0,"), ITEM_END },
    { PROTOCOL_RESPONSES, ITEM("'type':'message','role':'assistant','content':[]"),
      ITEM_DELTA("refusal.delta", "'content_index':0,"), ITEM_END },
    { PROTOCOL_RESPONSES, ITEM("'type':'reasoning','summary':[]"),
      ITEM_DELTA("reasoning_summary_text.delta", "'summary_index':0,"), ITEM_END },
    { PROTOCOL_RESPONSES, ITEM("'type':'function_call','call_id':'c','name':'f','arguments':''"),
      ITEM_DELTA("function_call_arguments.delta", ""), ITEM_END },
};

/* All deltas that a client is shown, whatever their kind. */
static int add_shown(void *ctx, const struct sse_event *ev)
{
    static const struct str names[] = { S_INIT("content"),   S_INIT("reasoning_content"),
                                        S_INIT("refusal"),   S_INIT("text"),
                                        S_INIT("thinking"),  S_INIT("partial_json"),
                                        S_INIT("arguments"), S_INIT("delta") };
    yyjson_doc *doc;
    if (json_parse(ev->data, &doc, NULL) < 0)
        return 0; /* [DONE] */
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *choice = yyjson_arr_get_first(json_member(root, S("choices")));
    yyjson_val *delta = json_member(choice != NULL ? choice : root, S("delta"));
    yyjson_val *call = yyjson_arr_get_first(json_member(delta, S("tool_calls")));
    bool text = delta != NULL && yyjson_is_str(delta);
    for (size_t i = 0; i < ARRAY_LEN(names) && delta != NULL && !text; i++) {
        buf_add(ctx, json_member_str(delta, names[i]));
        buf_add(ctx, json_member_str(json_member(call, S("function")), names[i]));
    }
    if (text)
        buf_add(ctx, json_str(delta));
    yyjson_doc_free(doc);
    return 0;
}

/* The lines, with " for ' and the piece for @. */
static void add_lines(struct buf *out, const char *lines, struct str piece)
{
    for (const char *p = lines; *p != '\0'; p++)
        if (*p == '@')
            buf_add(out, piece);
        else
            buf_add_byte(out, *p == '\'' ? '"' : *p);
}

static void check_shown(const struct delta_stream *s, enum protocol client, const size_t *cuts,
                        struct str text, struct str want)
{
    struct reply_run run = { .upstream = s->upstream, .client = client };
    struct sse_decoder d;
    struct buf in, shown;
    buf_init(&in, SIZE_MAX);
    buf_init(&shown, SIZE_MAX);
    add_lines(&in, s->begin, S(""));
    for (size_t i = 0; cuts[i] < text.n; i++)
        add_lines(&in, s->delta, str_slice(text, cuts[i], cuts[i + 1]));
    add_lines(&in, s->end, S(""));
    reply_run(&run, buf_str(&in));
    assert_int_equal(run.rc, 0);
    assert_true(run.ended);
    sse_decoder_init(&d, SIZE_MAX, add_shown, &shown);
    assert_int_equal(sse_decoder_feed(&d, buf_str(&run.out)), 0);
    sse_decoder_done(&d);
    assert_str(buf_str(&shown), want);
    buf_done(&in);
    buf_done(&shown);
    buf_done(&run.out);
}

/* Goal: a text in two deltas, cut at every byte, or in deltas of one byte: not one U+FFFD. */
static void test_cut_characters(void **state)
{
    static const struct str text = S_INIT("[a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\xe2\x82\xac]");
    size_t single[32];
    (void)state;
    for (size_t i = 0; i <= text.n; i++)
        single[i] = i;
    for (size_t i = 0; i < ARRAY_LEN(delta_streams); i++) {
        const struct delta_stream *s = &delta_streams[i];
        for (int client = 0; client < PROTOCOL_COUNT; client++) {
            for (size_t cut = 1; cut < text.n; cut++)
                check_shown(s, (enum protocol)client, (size_t[]){ 0, cut, text.n }, text, text);
            check_shown(s, (enum protocol)client, single, text, text);
        }
    }
}

/* Goal: bytes that no delta completes are one U+FFFD, before what comes next or the part's end. */
static void test_lost_characters(void **state)
{
    static const struct {
        struct str text, want;
        size_t cut;
    } rows[] = {
        { S_INIT("[\xe4\xb8]"), S_INIT("[\xef\xbf\xbd]"), 3 },
        { S_INIT("[]\xf0\x9f\x98"), S_INIT("[]\xef\xbf\xbd"), 3 },
        { S_INIT("[\xe4\xf0\x9f\x98\x80]"), S_INIT("[\xef\xbf\xbd\xf0\x9f\x98\x80]"), 2 },
        { S_INIT("[\x80\xb8]"), S_INIT("[\xef\xbf\xbd\xef\xbf\xbd]"), 2 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(delta_streams); i++) {
        size_t k = i % ARRAY_LEN(rows);
        size_t cuts[] = { 0, rows[k].cut, rows[k].text.n };
        for (int client = 0; client < PROTOCOL_COUNT; client++)
            check_shown(&delta_streams[i / ARRAY_LEN(rows)], (enum protocol)client, cuts,
                        rows[k].text, rows[k].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_cut_characters),
        cmocka_unit_test(test_lost_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

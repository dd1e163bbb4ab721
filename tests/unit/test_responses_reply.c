/*
 * Replies of Responses: the reader (events to parts) and the writer (parts to events), each
 * against a stand-in for the other side, and both together.
 */
#include "unit.h"

#include "codec.h"
#include "convert.h"
#include "emit.h"
#include "flow.h"
#include "responses_object.h"

enum { LIMIT = 1 << 20 };

/* ---- a log of events in place of the client's side ---- */

static const size_t no_size = 1;

static void log_init(struct convert *c, void *encoder)
{
    (void)c;
    (void)encoder;
}

static void log_done(void *encoder)
{
    (void)encoder;
}

static void log_start(struct buf *b, const struct chat_event *ev)
{
    static const char *const kinds[] = { "text", "refusal", "reasoning", "call", "search" };
    buf_addf(b, "%u %s", ev->part, kinds[ev->part_start.kind]);
    if (ev->part_start.kind == PART_CALL)
        buf_addf(b, " %d " STR_FMT " " STR_FMT "." STR_FMT, (int)ev->part_start.tool,
                 STR_ARG(ev->part_start.call_id), STR_ARG(ev->part_start.space),
                 STR_ARG(ev->part_start.name));
    buf_addf(b, " (" STR_FMT ")", STR_ARG(ev->part_start.item_id));
}

static int log_event(struct convert *c, void *encoder, const struct chat_event *ev)
{
    struct buf *b = c->out;
    (void)encoder;
    switch (ev->kind) {
    case EVENT_START:
        buf_addf(b, "start " STR_FMT " " STR_FMT " %lld", STR_ARG(ev->start.id),
                 STR_ARG(ev->start.model), (long long)ev->start.created);
        break;
    case EVENT_PART_START:
        log_start(b, ev);
        break;
    case EVENT_DELTA:
        buf_addf(b, "%u [" STR_FMT "]" STR_FMT, ev->part, STR_ARG(ev->delta.text),
                 STR_ARG(ev->delta.logprobs));
        break;
    case EVENT_CITATION:
        buf_addf(b, "%u cites " STR_FMT " %lld-%lld", ev->part, STR_ARG(ev->citation.url),
                 (long long)ev->citation.from, (long long)ev->citation.to);
        break;
    case EVENT_PART_STOP:
        buf_addf(b, "%u stop%s", ev->part, ev->part_stop.cut ? " cut" : "");
        if (ev->part_stop.proof.kind != CHAT_PROOF_NONE)
            buf_addf(b, " " STR_FMT, STR_ARG(ev->part_stop.proof.raw));
        break;
    case EVENT_USAGE:
        buf_addf(b, "usage %lld %lld %lld %lld %lld", (long long)ev->usage.prompt,
                 (long long)ev->usage.cache_read, (long long)ev->usage.cache_write,
                 (long long)ev->usage.output, (long long)ev->usage.reasoning);
        break;
    case EVENT_FINISH:
        buf_addf(b, "finish %d", (int)ev->finish.reason);
        break;
    case EVENT_END:
        buf_addf(b, "end");
        break;
    case EVENT_ERROR:
        buf_addf(b, "error %d " STR_FMT " " STR_FMT, ev->error.status, STR_ARG(ev->error.code),
                 STR_ARG(ev->error.message));
        break;
    }
    buf_add_byte(b, '\n');
    return 0;
}

static const struct codec logger = {
    .encoder_size = &no_size,
    .encoder_init = log_init,
    .encode_event = log_event,
    .encoder_done = log_done,
};

/* ---- a conversion whose request was made already ---- */

static struct convert *converter(bool stream)
{
    struct profile profile = { .name = S("default") };
    struct convert *c = convert_new(&(struct convert_options){
        .client = PROTOCOL_RESPONSES,
        .upstream = PROTOCOL_RESPONSES,
        .profile = &profile,
        .upstream_name = S("u1"),
        .reply_id = S("abc"),
        .now_s = 5,
        .reply_limit_bytes = LIMIT,
    });
    c->model = c->model_sent = S("m");
    c->client_streams = stream;
    return c;
}

/* What the reader makes of a stream, cut in two at `cut`, or in pieces of `step`. */
static struct str read_pieces(struct convert *c, struct str in, size_t cut, size_t step,
                              struct buf *out)
{
    int r = 0;
    c->client = &logger;
    buf_init(out, LIMIT);
    for (size_t at = 0, n; at < in.n && r == 0; at += n) {
        n = at < cut ? cut - at : step;
        r = convert_feed(c, str_slice(in, at, at + n), out);
    }
    if (r == 0)
        r = convert_end(c, out);
    if (r < 0)
        buf_addf(out, "fails %d\n", convert_failure(c) == NULL ? 0 : convert_failure(c)->status);
    return buf_str(out);
}

static void check_reader(const char *in, const char *want)
{
    struct buf out;
    struct convert *c = converter(true);
    assert_str(read_pieces(c, str_of(in), 0, SIZE_MAX / 2, &out), str_of(want));
    buf_done(&out);
    convert_free(c);
}

#define EV(json) "data: " json "\n\n"
#define CREATED                                                                           \
    EV("{\"type\":\"response.created\",\"response\":{\"id\":\"resp_9\",\"model\":\"um\"," \
       "\"created_at\":7,\"status\":\"in_progress\",\"output\":[]}}")
#define STARTED "start resp_9 um 7\n"
#define COMPLETED \
    EV("{\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[]}}")
#define ADDED(o, item) \
    EV("{\"type\":\"response.output_item.added\",\"output_index\":" #o ",\"item\":{" item "}}")
#define DONE(o, item) \
    EV("{\"type\":\"response.output_item.done\",\"output_index\":" #o ",\"item\":{" item "}}")
#define ARGS(o, piece)                                                                 \
    EV("{\"type\":\"response.function_call_arguments.delta\",\"output_index\":" #o "," \
       "\"delta\":\"" piece "\"}")
#define TEXT_DELTA(o, piece)                                                                   \
    EV("{\"type\":\"response.output_text.delta\",\"output_index\":" #o ",\"content_index\":0," \
       "\"delta\":\"" piece "\"}")
#define SUMMARY(o, s, piece)                                                      \
    EV("{\"type\":\"response.reasoning_summary_text.delta\",\"output_index\":" #o \
       ",\"summary_index\":" #s ",\"delta\":\"" piece "\"}")
#define CALL(id, name, args)                                                                       \
    "\"id\":\"fc_" id "\",\"type\":\"function_call\",\"call_id\":\"call_" id "\",\"name\":\"" name \
    "\",\"arguments\":\"" args "\",\"status\":\"completed\""

/* The worked example of C8.2: reasoning, text, two calls that interleave. */
static const char worked[] = CREATED ADDED(0,
                                           "\"id\":\"rs_9\",\"type\":\"reasoning\",\"summary\":[],"
                                           "\"encrypted_content\":\"gAAA1\"") SUMMARY(0, 0, "hm")
    DONE(0, "\"id\":\"rs_9\",\"type\":\"reasoning\",\"status\":null,"
            "\"summary\":[{\"type\":\"summary_text\",\"text\":\"hm\"}],"
            "\"encrypted_content\":\"gAAA2\"")
        ADDED(1, "\"id\":\"msg_9\",\"type\":\"message\",\"content\":[]") TEXT_DELTA(1, "Hi")
            DONE(1, "\"id\":\"msg_9\",\"type\":\"message\",\"content\":[{\"type\":\"output_text\","
                    "\"text\":\"Hi\",\"annotations\":[]}]") ADDED(2, CALL("a", "f", ""))
                ARGS(2, "{\\\"x\\\"") ADDED(3, CALL("b", "g", "")) ARGS(3, "{}") ARGS(2, ":1}")
                    DONE(3, CALL("b", "g", "{}")) DONE(2, CALL("a", "f", "{\\\"x\\\":1}"))
                        EV("{\"type\":\"response.completed\",\"response\":{\"id\":\"resp_9\","
                           "\"status\":\"completed\",\"output\":[],\"usage\":{"
                           "\"input_tokens\":100,\"input_tokens_details\":{\"cached_tokens\":80},"
                           "\"output_tokens\":20,\"output_tokens_details\":{"
                           "\"reasoning_tokens\":8},\"total_tokens\":120}}}");

static const char worked_log[] =
    STARTED "0 reasoning (rs_9)\n0 [hm]\n"
            "0 stop {\"id\":\"rs_9\",\"type\":\"reasoning\","
            "\"summary\":[{\"type\":\"summary_text\",\"text\":\"hm\"}],"
            "\"encrypted_content\":\"gAAA2\"}\n"
            "1 text (msg_9)\n1 [Hi]\n1 stop\n"
            "2 call 0 call_a .f (fc_a)\n2 [{\\\"x\\\"]\n"
            "3 call 0 call_b .g (fc_b)\n3 [{}]\n2 [:1}]\n3 stop\n2 stop\n"
            "usage 100 80 -1 20 8\nfinish 1\nend\n";

/* Goal: items become parts, each content once, the proof is that of output_item.done (E85), items
 * of a relay that ends with an empty output are kept (E122). */
static void test_reads_worked_example(void **state)
{
    (void)state;
    check_reader(worked, worked_log);
}

/* Goal: any split gives the same events. */
static void test_reads_any_split(void **state)
{
    struct buf out;
    (void)state;
    for (size_t cut = 0; cut < sizeof worked; cut++) {
        struct convert *c = converter(true);
        size_t step = cut == 0 ? 1 : SIZE_MAX / 2;
        assert_str(read_pieces(c, str_of(worked), cut, step, &out), str_of(worked_log));
        buf_done(&out);
        convert_free(c);
    }
}

/* Goal: several summary parts are one part, a blank line between them (E84). */
static void test_reads_summary_parts(void **state)
{
    (void)state;
    check_reader(
        CREATED ADDED(0, "\"id\":\"r\",\"type\":\"reasoning\"") SUMMARY(0, 0, "a")
            SUMMARY(0, 0, "b") SUMMARY(0, 1, "c")
                DONE(0, "\"id\":\"r\",\"type\":\"reasoning\",\"summary\":[{\"text\":\"ab\"},"
                        "{\"text\":\"cd\"},{\"text\":\"e\"}]") COMPLETED,
        STARTED "0 reasoning (r)\n0 [a]\n0 [b]\n0 [\\n\\n]\n0 [c]\n0 [d]\n0 [\\n\\n]\n0 [e]\n"
                "0 stop\nfinish 0\nend\n");
}

#define LOGPROBS_DELTA(piece, list)                                                       \
    EV("{\"type\":\"response.output_text.delta\",\"output_index\":0,\"content_index\":0," \
       "\"delta\":"                                                                       \
       "\"" piece "\",\"logprobs\":" list "}")
#define LOGPROBS_PART(text, list) \
    "{\"type\":\"output_text\",\"text\":\"" text "\",\"logprobs\":" list "}"

/* Goal: a piece's entries come once, with its deltas or with the whole; half a character shows
 * its token before it is one; what is no list, or an empty one, is none. */
static void test_reads_logprobs(void **state)
{
    (void)state;
    check_reader(
        CREATED LOGPROBS_DELTA("a", "[ {\"token\": 1} ]") LOGPROBS_DELTA("\\ud83d", "[2]")
            LOGPROBS_DELTA("\\ude00", "[]") LOGPROBS_DELTA("b", "{\"token\":3}")
                DONE(0, "\"id\":\"m\",\"type\":\"message\",\"content\":[" LOGPROBS_PART(
                            "a\\ud83d\\ude00bc", "[1,2]") "," LOGPROBS_PART("d", "[4,5]") "]")
                    COMPLETED,
        STARTED "0 text (item_0)\n0 [a][{\"token\":1}]\n0 [][2]\n0 [\\ud83d\\ude00]\n0 [b]\n"
                "0 [c]\n0 stop\n1 text (item_0)\n1 [d][4,5]\n1 stop\nfinish 0\nend\n");
}

/* Goal: .done events fill only what deltas did not bring (E123, E124). */
static void test_reads_done_once(void **state)
{
    (void)state;
    check_reader(CREATED ADDED(0, CALL("a", "f", "")) ARGS(0, "{\\\"a\\\"")
                     EV("{\"type\":\"response.function_call_arguments.done\","
                        "\"output_index\":0,\"arguments\":\"{\\\"a\\\":1}\"}")
                         DONE(0, CALL("a", "f", "{\\\"a\\\":1}")) ADDED(1, CALL("b", "g", ""))
                             DONE(1, CALL("b", "g", "{}")) COMPLETED,
                 STARTED "0 call 0 call_a .f (fc_a)\n0 [{\\\"a\\\"]\n0 [:1}]\n0 stop\n"
                         "1 call 0 call_b .g (fc_b)\n1 [{}]\n1 stop\nfinish 1\nend\n");
}

/* Goal: a call whose name comes late, or never, waits for its end. */
static void test_reads_late_names(void **state)
{
    (void)state;
    check_reader(CREATED ADDED(0, CALL("a", "", "")) ARGS(0, "{}") DONE(0, CALL("a", "f", "{}"))
                     ADDED(1, CALL("b", "", "")) ARGS(1, "{\\\"q\\\":1}") COMPLETED,
                 STARTED "0 call 0 call_a .f (fc_a)\n0 [{}]\n0 stop\n"
                         "1 call 0 call_b .unknown_tool (fc_b)\n1 [{\\\"q\\\":1}]\n1 stop\n"
                         "finish 1\nend\n");
}

/* Goal: items that only the terminal event has are read; those that were streamed are not twice,
 * whatever their ids. */
static void test_reads_terminal_output(void **state)
{
    (void)state;
    check_reader(
        CREATED ADDED(0, "\"id\":\"x1\",\"type\":\"message\"") TEXT_DELTA(0, "Hi") EV(
            "{\"type\":\"response.incomplete\",\"response\":{\"status\":\"incomplete\","
            "\"incomplete_details\":{\"reason\":\"max_output_tokens\"},\"output\":["
            "{\"id\":\"x2\",\"type\":\"message\",\"status\":\"incomplete\",\"content\":["
            "{\"type\":\"output_text\",\"text\":\"Hi you\"}]},"
            "{\"id\":\"x3\",\"type\":\"shell_call\",\"call_id\":\"s\",\"action\":{\"commands\":["
            "\"ls\"],"
            "\"timeout_ms\":null,\"max_output_length\":9}},"
            "{\"type\":\"custom_tool_call\",\"call_id\":\"k\",\"namespace\":\"n\",\"name\":\"p\","
            "\"input\":\"a\\nb\"},{\"type\":\"file_search_call\",\"id\":\"fs\"}]}}"),
        STARTED "0 text (x1)\n0 [Hi]\n0 [ you]\n0 stop cut\n"
                "1 call 3 s .shell (x3)\n1 [{\\\"commands\\\":[\\\"ls\\\"],"
                "\\\"max_output_length\\\":9}]\n1 stop\n"
                "2 call 1 k n.p (item_2)\n2 [a\\nb]\n2 stop\nfinish 2\nend\n");
}

/* Goal: a refusal is a part; citations and the texts around them are kept. */
static void test_reads_refusal_and_citations(void **state)
{
    (void)state;
    check_reader(CREATED DONE(0, "\"id\":\"m\",\"type\":\"message\",\"content\":["
                                 "{\"type\":\"output_text\",\"text\":\"see\",\"annotations\":[{"
                                 "\"type\":\"url_citation\",\"url\":\"http://x/\",\"title\":\"X\","
                                 "\"start_index\":0,\"end_index\":3}]},"
                                 "{\"type\":\"refusal\",\"refusal\":\"no\"}]") COMPLETED,
                 STARTED "0 text (m)\n0 [see]\n0 cites http://x/ 0-3\n0 stop\n"
                         "1 refusal (m)\n1 [no]\n1 stop\nfinish 0\nend\n");
}

/* Goal: errors, flat, nested and in response.failed, have one meaning (E127), the status fits
 * (C3.5), and what ends without a terminal event is broken. */
static void test_reads_errors(void **state)
{
    (void)state;
    check_reader(
        CREATED EV("{\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"slow\"}"),
        STARTED "fails 429\n");
    check_reader(CREATED EV("{\"type\":\"error\",\"error\":{\"code\":\"rate_limit_exceeded\","
                            "\"message\":\"slow\"}}"),
                 STARTED "fails 429\n");
    check_reader(CREATED ADDED(0, "\"id\":\"m\",\"type\":\"message\"") TEXT_DELTA(0, "Hi")
                     EV("{\"type\":\"response.failed\",\"response\":{\"status\":\"failed\","
                        "\"error\":{\"code\":\"invalid_image_url\",\"message\":\"bad\"}}}"),
                 STARTED "0 text (m)\n0 [Hi]\nerror 400 invalid_image_url bad\n");
    check_reader(EV("{\"type\":\"response.failed\",\"response\":{\"status\":\"failed\","
                    "\"error\":{\"code\":\"what\",\"message\":\"bad\"}}}"),
                 "fails 500\n");
    check_reader(CREATED "data: [DONE]\n\n", STARTED "fails 502\n");
    check_reader(CREATED TEXT_DELTA(0, "Hi"),
                 STARTED "0 text (item_0)\n0 [Hi]\n"
                         "error 502  upstream closed the stream before the reply was complete\n");
}

/* Goal: a plain body is read as the stream of it. */
static void test_reads_body(void **state)
{
    static const char body[] =
        "{\"id\":\"resp_9\",\"model\":\"um\",\"created_at\":7,\"status\":\"completed\",\"error\":"
        "null,"
        "\"output\":[{\"type\":\"reasoning\",\"id\":\"r\",\"summary\":[],\"content\":[{\"type\":"
        "\"reasoning_text\",\"text\":\"deep\"}]},{\"type\":\"web_search_call\",\"id\":\"ws\","
        "\"action\":"
        "{\"type\":\"search\",\"query\":\"q\"}},{" CALL("a", "f", "{}") "}]}";
    struct buf out;
    struct convert *c = converter(true);
    (void)state;
    c->client = &logger;
    buf_init(&out, LIMIT);
    assert_int_equal(convert_body(c, str_of(body), &out), 0);
    assert_str(buf_str(&out), S(STARTED "0 reasoning (r)\n0 [deep]\n0 stop\n1 search (ws)\n1 [q]\n"
                                        "1 stop\n2 call 0 call_a .f (fc_a)\n2 [{}]\n2 stop\n"
                                        "finish 1\nend\n"));
    buf_done(&out);
    convert_free(c);
}

/* ---- the writer ---- */

/* Ready for events; what they write goes to `out`. */
static struct convert *writer(bool stream, struct buf *out)
{
    struct convert *c = converter(stream);
    buf_init(out, LIMIT);
    assert_int_equal(convert_feed(c, S(""), out), 0); /* makes its state */
    c->out = out;
    c->temp = &c->scratch;
    return c;
}

static void start(struct convert *c)
{
    struct chat_event ev = { .kind = EVENT_START };
    ev.start.id = S("chatcmpl-1");
    ev.start.created = 7;
    assert_int_equal(emit(c, &ev), 0);
}

static uint32_t part(struct convert *c, enum part_kind kind)
{
    uint32_t n;
    assert_int_equal(emit_part(c, kind, &n), 0);
    return n;
}

static uint32_t call(struct convert *c, enum chat_tool_kind tool, const char *id, const char *name)
{
    struct chat_event ev = { .kind = EVENT_PART_START, .part = emit_next_part(c) };
    ev.part_start.kind = PART_CALL;
    ev.part_start.tool = tool;
    ev.part_start.call_id = str_of(id);
    ev.part_start.name = str_of(name);
    assert_int_equal(emit(c, &ev), 0);
    return ev.part;
}

static void say(struct convert *c, uint32_t part, const char *raw)
{
    assert_int_equal(emit_delta(c, part, str_of(raw)), 0);
}

static void stop(struct convert *c, uint32_t part, bool cut)
{
    assert_int_equal(emit_stop(c, part, NULL, cut), 0);
}

static void end(struct convert *c, enum stop_reason reason)
{
    struct chat_event ev = { .kind = EVENT_FINISH };
    ev.finish.reason = reason;
    assert_int_equal(emit(c, &ev), 0);
    assert_int_equal(emit_end(c), 0);
}

static void add_between(struct buf *b, struct str s, struct str from, struct str to)
{
    size_t at = str_find(s, from);
    struct str rest = str_slice(s, at, s.n);
    if (at < s.n)
        buf_add(b, str_slice(rest, 0, str_find(rest, to)));
}

/* Of each event what a test is about: no event: line, of a response only what changes. */
static void digest(struct str out, struct buf *b)
{
    struct str line;
    buf_init(b, LIMIT);
    while (str_next(&out, '\n', &line)) {
        struct str type = str_slice(line, sizeof "event: " - 1, line.n);
        assert_true(str_starts(line, S("event: ")));
        assert_true(str_next(&out, '\n', &line));
        assert_true(str_starts(line, S("data: {\"type\":\"")));
        assert_true(str_starts(str_slice(line, 15, line.n), type));
        line = str_slice(line, 6, line.n);
        if (str_contains(line, S("\"response\":{"))) {
            add_between(b, line, S("{\"type\""), S("\"response\":"));
            add_between(b, line, S("\"status\""), S("\"background\""));
            add_between(b, line, S("\"error\""), S("\"instructions\""));
            add_between(b, line, S("\"output\":["), S("\"parallel_tool_calls\""));
            add_between(b, line, S("\"usage\""), S("\"user\""));
        } else {
            buf_add(b, line);
        }
        buf_add_byte(b, '\n');
        assert_true(str_next(&out, '\n', &line));
        assert_int_equal(line.n, 0);
    }
}

static void check_writer(struct convert *c, struct buf *out, const char *want)
{
    struct buf b;
    digest(buf_str(out), &b);
    assert_str(buf_str(&b), str_of(want));
    buf_done(&b);
    buf_done(out);
    convert_free(c);
}

#define T(type, n) "{\"type\":\"response." type "\",\"sequence_number\":" #n ","
#define INCOMPLETE(n, reason, output)                                                       \
    T("incomplete", n)                                                                      \
    "\"status\":\"incomplete\",\"error\":null,\"incomplete_details\":{\"reason\":\"" reason \
    "\"},\"output\":[" output "]," ZEROS "\n"
#define QUIET "\"error\":null,\"incomplete_details\":null,"
#define IN_PROGRESS                                                                           \
    T("created", 0)                                                                           \
    "\"status\":\"in_progress\"," QUIET                                                       \
    "\"output\":[],\"usage\":null,\n" T("in_progress", 1) "\"status\":\"in_progress\"," QUIET \
                                                          "\"output\":[],\"usage\":null,\n"
#define ZEROS                                                                               \
    "\"usage\":{\"input_tokens\":0,\"input_tokens_details\":{\"cached_tokens\":0,"          \
    "\"cache_write_tokens\":0},\"output_tokens\":0,\"output_tokens_details\":{\"reasoning_" \
    "tokens\""                                                                              \
    ":0},\"total_tokens\":0},"
#define AT(id, o) "\"item_id\":\"" id "\",\"output_index\":" #o ","
#define ITEM(o) "\"output_index\":" #o ",\"item\":"
#define MESSAGE(id, status, content)                                                            \
    "{\"id\":\"" id "\",\"type\":\"message\",\"role\":\"assistant\",\"status\":\"" status "\"," \
    "\"content\":[" content "]}"
#define OUTPUT_TEXT(text, annotations)                                              \
    "{\"type\":\"output_text\",\"text\":\"" text "\",\"annotations\":[" annotations \
    "],\"logprobs\":[]}"
#define FUNCTION(id, call, name, args, status)                                                \
    "{\"id\":\"" id "\",\"type\":\"function_call\",\"call_id\":\"" call "\",\"name\":\"" name \
    "\","                                                                                     \
    "\"arguments\":\"" args "\",\"status\":\"" status "\"}"

/* Goal: texts that an upstream cut are one content part of one item (E114), with the ranges of
 * their citations in the whole; a call after it is an item of its own (E113); without usage there
 * are zeros (E119). */
static void test_writes_text_and_call(void **state)
{
    struct buf out;
    struct convert *c = writer(true, &out);
    struct chat_event cite = { .kind = EVENT_CITATION, .part = 1 };
    (void)state;
    start(c);
    uint32_t a = part(c, PART_TEXT);
    say(c, a, "H\u00e9");
    stop(c, a, false);
    a = part(c, PART_TEXT);
    cite.citation = (struct event_citation){ TEXT("http://x/"), TEXT("X"), -1, -1 };
    assert_int_equal(emit(c, &cite), 0);
    say(c, a, "you");
    stop(c, a, false);
    a = call(c, CHAT_TOOL_FUNCTION, "call_a", "f");
    stop(c, a, false);
    end(c, STOP_TOOL);
#define CITED                                                                             \
    "{\"type\":\"url_citation\",\"start_index\":2,\"end_index\":5,\"url\":\"http://x/\"," \
    "\"title\":\"X\"}"
#define CITED_MESSAGE MESSAGE("msg_1_0", "completed", OUTPUT_TEXT("H\u00e9you", CITED))
#define MADE_CALL FUNCTION("fc_1_1", "call_a", "f", "{}", "completed")
    check_writer(
        c, &out,
        IN_PROGRESS T("output_item.added", 2) ITEM(0) MESSAGE("msg_1_0", "in_progress", "") "}\n" T(
            "content_part.added",
            3) AT("msg_1_0",
                  0) "\"content_index\":0,\"part\":" OUTPUT_TEXT("",
                                                                 "") "}\n" T("output_text.delta", 4)
            AT("msg_1_0", 0) "\"content_index\":0,\"delta\":\"H\u00e9\",\"logprobs\":[]}\n" T(
                "output_text.delta", 5)
                AT("msg_1_0", 0) "\"content_index\":0,\"delta\":\"you\",\"logprobs\":[]}\n" T(
                    "output_text.annotation.added", 6)
                    AT("msg_1_0",
                       0) "\"content_index\":0,\"annotation_index\":0,\"annotation\":" CITED
                          "}\n" T("output_text.done", 7) AT(
                              "msg_1_0",
                              0) "\"content_index\":0,\"text\":\"H\u00e9you\",\"logprobs\":[]}"
                                 "\n" T("content_part.done", 8)
                                     AT("msg_1_0", 0) "\"content_index\":0,\"part\":" OUTPUT_TEXT(
                                         "H\u00e9you", CITED) "}\n" T("output_item.done", 9) ITEM(0)
                                         CITED_MESSAGE
        "}\n" T("output_item.added", 10) ITEM(1) FUNCTION(
            "fc_1_1", "call_a", "f", "", "in_progress") "}\n" T("function_call_arguments.done", 11)
            AT("fc_1_1", 1) "\"arguments\":\"{}\"}\n" T("output_item.done", 12) ITEM(1) MADE_CALL
        "}\n" T("completed", 13) "\"status\":\"completed\"," QUIET "\"output\":[" CITED_MESSAGE
                                 "," MADE_CALL "]," ZEROS "\n");
}

/* Goal: a call that was cut off keeps its partial text and is incomplete, as is the reply (E116);
 * hidden searches leave no gap (E115). */
static void test_writes_cut_call(void **state)
{
    struct buf out;
    struct convert *c = writer(true, &out);
    (void)state;
    start(c);
    stop(c, part(c, PART_SEARCH), false);
    uint32_t a = call(c, CHAT_TOOL_FUNCTION, "call_a", "f");
    say(c, a, "{\\\"a");
    stop(c, a, true);
    end(c, STOP_LENGTH);
#define CUT_CALL FUNCTION("fc_1_0", "call_a", "f", "{\\\"a", "incomplete")
    check_writer(
        c, &out,
        IN_PROGRESS T("output_item.added", 2) ITEM(0) FUNCTION(
            "fc_1_0", "call_a", "f", "", "in_progress") "}\n" T("function_call_arguments.delta", 3)
            AT("fc_1_0", 0) "\"delta\":\"{\\\"a\"}\n" T("function_call_arguments.done", 4)
                AT("fc_1_0", 0) "\"arguments\":\"{\\\"a\"}\n" T("output_item.done", 5) ITEM(0)
                    CUT_CALL "}\n" INCOMPLETE(6, "max_output_tokens", CUT_CALL));
}

/* Goal: built-in items come whole, custom ones stream their text, reasoning has one summary part
 * and its proof at the end. */
static void test_writes_other_items(void **state)
{
    struct buf out;
    struct convert *c = writer(true, &out);
    struct chat_proof proof = { .kind = CHAT_PROOF_ITEM, .opaque = TEXT("gAAA"), .raw = S("{}") };
    (void)state;
    start(c);
    uint32_t a = part(c, PART_REASONING);
    say(c, a, "hm");
    assert_int_equal(emit_stop(c, a, &proof, false), 0);
    a = call(c, CHAT_TOOL_CUSTOM, "call_c", "patch");
    say(c, a, "*** x");
    stop(c, a, false);
    a = call(c, CHAT_TOOL_SHELL, "call_s", "shell");
    say(c, a, "{\\\"commands\\\":[\\\"ls\\\"]}");
    stop(c, a, false);
    end(c, STOP_TOOL);
#define THOUGHT                                                                                   \
    "{\"id\":\"rs_1_0\",\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":" \
    "\"hm\"}],\"encrypted_content\":\"gAAA\"}"
#define PATCH(input, status)                                                                       \
    "{\"id\":\"ctc_1_1\",\"type\":\"custom_tool_call\",\"call_id\":\"call_c\",\"name\":\"patch\"," \
    "\"input\":\"" input "\",\"status\":\"" status "\"}"
#define SHELL(status)                                                                              \
    "{\"id\":\"sh_1_2\",\"type\":\"shell_call\",\"call_id\":\"call_s\",\"action\":{\"commands\":[" \
    "\"ls\"],\"timeout_ms\":null,\"max_output_length\":null},\"status\":\"" status "\"}"
    check_writer(
        c, &out,
        IN_PROGRESS T("output_item.added", 2)
            ITEM(0) "{\"id\":\"rs_1_0\",\"type\":\"reasoning\",\"summary\":[],"
                    "\"encrypted_content\":null}}\n" T("reasoning_summary_part.added", 3)
                        AT("rs_1_0",
                           0) "\"summary_index\":0,\"part\":{\"type\":\"summary_text\",\"text\":"
                              "\"\"}}\n" T("reasoning_summary_text.delta", 4)
                                  AT("rs_1_0", 0) "\"summary_index\":0,\"delta\":\"hm\"}\n" T(
                                      "reasoning_summary_text.done", 5)
                                      AT("rs_1_0", 0) "\"summary_index\":0,\"text\":\"hm\"}\n" T(
                                          "reasoning_summary_part.done", 6)
                                          AT("rs_1_0", 0) "\"summary_index\":0,\"part\":{\"type\":"
                                                          "\"summary_text\",\"text\":\"hm\"}}\n" T(
                                                              "output_item.done", 7) ITEM(0) THOUGHT
        "}\n" T("output_item.added", 8) ITEM(1)
            PATCH("", "in_progress") "}\n" T("custom_tool_call_input.delta", 9)
                AT("ctc_1_1", 1) "\"delta\":\"*** x\"}\n" T("custom_tool_call_input.done", 10)
                    AT("ctc_1_1", 1) "\"input\":\"*** x\"}\n" T("output_item.done", 11) ITEM(1)
                        PATCH("*** x", "completed") "}\n" T("output_item.added", 12) ITEM(2)
                            SHELL("in_progress") "}\n" T("output_item.done", 13) ITEM(2)
                                SHELL("completed") "}\n" T(
                                    "completed", 14) "\"status\":\"completed\"," QUIET
                                                     "\"output\":[" THOUGHT
                                                     "," PATCH("*** x", "completed") "," SHELL(
                                                         "completed") "]," ZEROS "\n");
}

/* Goal: after a failure both error events come, numbered on, with what there was (E135); before
 * the first event response.created still comes first (E207). */
static void test_writes_failure(void **state)
{
    struct buf out;
    struct convert *c = writer(true, &out);
    (void)state;
    start(c);
    uint32_t a = part(c, PART_TEXT);
    say(c, a, "Hi");
    assert_int_equal(emit_error(c, 529, S("overloaded_error"), S(""), S("busy")), 0);
#define ERROR(n)                                                                          \
    "{\"type\":\"error\",\"error\":{\"type\":\"server_error\",\"code\":\"server_error\"," \
    "\"message\":"                                                                        \
    "\"busy\",\"param\":null},\"sequence_number\":" #n "}\n"
#define FAILED(n, output)                                                               \
    T("failed", n)                                                                      \
    "\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"busy\"}," \
    "\"incomplete_details\":null,\"output\":[" output "],\"usage\":null,\n"
    check_writer(
        c, &out,
        IN_PROGRESS T("output_item.added", 2) ITEM(0) MESSAGE("msg_1_0", "in_progress",
                                                              "") "}\n" T("content_part.added", 3)
            AT("msg_1_0", 0) "\"content_index\":0,\"part\":" OUTPUT_TEXT("", "") "}\n" T(
                "output_text.delta", 4)
                AT("msg_1_0", 0) "\"content_index\":0,\"delta\":\"Hi\",\"logprobs\":[]}\n" ERROR(5)
                    FAILED(6, MESSAGE("msg_1_0", "incomplete", OUTPUT_TEXT("Hi", ""))));
    c = writer(true, &out);
    convert_open(c);
    assert_int_equal(emit_error(c, 529, S("overloaded_error"), S(""), S("busy")), 0);
    check_writer(c, &out, IN_PROGRESS ERROR(2) FAILED(3, ""));
}

/* Goal: a model that declines without a word still gives the client a refusal (E133). */
static void test_writes_refusal(void **state)
{
    struct buf out;
    struct convert *c = writer(true, &out);
    (void)state;
    start(c);
    end(c, STOP_REFUSAL);
#define DECLINED "{\"type\":\"refusal\",\"refusal\":\"The model declined to answer.\"}"
#define REFUSED MESSAGE("msg_1_0", "incomplete", DECLINED)
    check_writer(
        c, &out,
        IN_PROGRESS T("output_item.added", 2) ITEM(0) MESSAGE("msg_1_0", "in_progress",
                                                              "") "}\n" T("content_part.added", 3)
            AT("msg_1_0",
               0) "\"content_index\":0,\"part\":{\"type\":\"refusal\",\"refusal\":\"\"}}"
                  "\n" T("refusal.delta", 4)
                      AT("msg_1_0",
                         0) "\"content_index\":0,\"delta\":\"The model declined to "
                            "answer.\"}\n" T("refusal.done", 5)
                                AT("msg_1_0",
                                   0) "\"content_index\":0,\"refusal\":\"The model "
                                      "declined to answer.\"}\n" T("content_part.done", 6)
                                          AT("msg_1_0", 0) "\"content_index\":0,\"part\":" DECLINED
                                                           "}\n" T("output_item.done", 7) ITEM(0)
                                                               REFUSED
        "}\n" INCOMPLETE(8, "content_filter", REFUSED));
}

/* Goal: the whole object, with the request's values repeated and defaults for the rest. */
static void test_writes_plain(void **state)
{
    struct buf out;
    struct convert *c = writer(false, &out);
    (void)state;
    c->echo = arena_new(&c->arena, struct str, CHAT_PARAM_COUNT);
    c->echo[CHAT_PARAM_INSTRUCTIONS] = S("\"be\"");
    c->echo[CHAT_PARAM_TEMPERATURE] = S("0.50");
    start(c);
    uint32_t a = part(c, PART_TEXT);
    stop(c, a, false);
    a = part(c, PART_TEXT);
    say(c, a, "Hi");
    stop(c, a, false);
    a = part(c, PART_REFUSAL);
    say(c, a, "no");
    stop(c, a, false);
    end(c, STOP_END);
    assert_str(
        buf_str(&out),
        S("{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":7,\"status\":\"completed\","
          "\"background\":false,\"error\":null,\"incomplete_details\":null,\"instructions\":\"be\","
          "\"max_output_tokens\":null,\"max_tool_calls\":null,\"model\":\"m\",\"output\":[" MESSAGE(
              "msg_1_0", "completed",
              OUTPUT_TEXT(
                  "Hi",
                  "") ",{\"type\":\"refusal\","
                      "\"refusal\":\"no\"}") "],\"parallel_tool_calls\":true,\"previous_response_"
                                             "id\":null,\"prompt_cache_key\":null,"
                                             "\"reasoning\":{\"effort\":null,\"summary\":null},"
                                             "\"safety_identifier\":null,"
                                             "\"service_tier\":\"default\",\"store\":false,"
                                             "\"temperature\":0.50,\"text\":{\"format\":{"
                                             "\"type\":\"text\"}},\"tool_choice\":\"auto\","
                                             "\"tools\":[],\"top_logprobs\":0,"
                                             "\"top_p\":1.0,\"truncation\":\"disabled\"," ZEROS
                                             "\"user\":null,\"metadata\":{}}"));
    buf_done(&out);
    convert_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_worked_example),
        cmocka_unit_test(test_reads_any_split),
        cmocka_unit_test(test_reads_summary_parts),
        cmocka_unit_test(test_reads_logprobs),
        cmocka_unit_test(test_reads_done_once),
        cmocka_unit_test(test_reads_late_names),
        cmocka_unit_test(test_reads_terminal_output),
        cmocka_unit_test(test_reads_refusal_and_citations),
        cmocka_unit_test(test_reads_errors),
        cmocka_unit_test(test_reads_body),
        cmocka_unit_test(test_writes_text_and_call),
        cmocka_unit_test(test_writes_cut_call),
        cmocka_unit_test(test_writes_other_items),
        cmocka_unit_test(test_writes_failure),
        cmocka_unit_test(test_writes_refusal),
        cmocka_unit_test(test_writes_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

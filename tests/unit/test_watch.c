/*
 * Goal: watching a stream tells whether it is complete and what it used, for all three protocols
 * and for what compatible servers send, and is not deceived by what the text says.
 */
#include "unit.h"

#include <stdio.h>

#include "buf.h"
#include "json.h"
#include "recorded.h"
#include "watch.h"
#include "watch_pieces.h"

static struct watch watch_all(enum protocol protocol, struct str events)
{
    struct watch w;
    watch_init(&w, protocol);
    watch_events(&w, events);
    return w;
}

static void same(const struct watch *a, const struct watch *b)
{
    assert_int_equal(a->begun, b->begun);
    assert_int_equal(a->end, b->end);
    assert_int_equal(a->events, b->events);
    assert_int_equal(a->next_sequence, b->next_sequence);
    assert_memory_equal(&a->usage, &b->usage, sizeof(a->usage));
    assert_string_equal(a->model, b->model);
    assert_string_equal(a->response_id, b->response_id);
}

/* The verdict, wherever events are cut from one another. */
static void check_end(enum protocol protocol, struct str events, enum watch_end want)
{
    struct watch w = watch_all(protocol, events);
    assert_int_equal(w.end, want);
    for (size_t step = 1; step <= events.n; step++) {
        struct watch pieces = watch_pieces(protocol, events, step);
        same(&w, &pieces);
    }
}

static void check_usage(enum protocol protocol, struct str events, int64_t in, int64_t out,
                        int64_t read, int64_t written)
{
    struct watch w = watch_all(protocol, events);
    assert_int_equal(w.usage.input_tokens, in);
    assert_int_equal(w.usage.output_tokens, out);
    assert_int_equal(w.usage.cache_read_tokens, read);
    assert_int_equal(w.usage.cache_write_tokens, written);
}

#define A_START                                                                             \
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m\"," \
    "\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n"
#define A_DELTA(reason)                                                                          \
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":" reason \
    "},\"usage\":{\"input_tokens\":null,\"output_tokens\":12,\"cache_read_input_tokens\":3}}\n\n"
#define A_STOP "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
#define A_TEXT(t)                                                                                 \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{" \
    "\"type\":\"text_delta\",\"text\":\"" t "\"}}\n\n"
#define C_CHUNK(delta, reason)                                                       \
    "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":" delta \
    ",\"finish_reason\":" reason "}]}\n\n"
#define C_USAGE(usage) "data: {\"id\":\"c\",\"choices\":[],\"usage\":" usage "}\n\n"
#define R_EVENT(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define R_CREATED R_EVENT("response.created", ",\"response\":{\"id\":\"r1\",\"model\":\"m\"}")

static void messages_ends(void **state)
{
    (void)state;
    check_end(PROTOCOL_MESSAGES, S(""), WATCH_OPEN);
    check_end(PROTOCOL_MESSAGES, S(A_START A_TEXT("a")), WATCH_OPEN);
    check_end(PROTOCOL_MESSAGES, S(A_START A_DELTA("null")), WATCH_OPEN);
    check_end(PROTOCOL_MESSAGES, S(A_START A_DELTA("\"end_turn\"")), WATCH_FINISHED);
    check_end(PROTOCOL_MESSAGES, S(A_START A_DELTA("\"end_turn\"") A_STOP), WATCH_ENDED);
    check_end(PROTOCOL_MESSAGES, S(A_START A_STOP "event: error\ndata: {}\n\n"), WATCH_ENDED);
    /* a name without a colon has an empty value */
    check_end(PROTOCOL_MESSAGES, S("event: error\nevent\ndata: {}\n\n"), WATCH_OPEN);
    struct watch w = watch_all(PROTOCOL_MESSAGES, S(A_START A_DELTA("\"end_turn\"") A_STOP));
    assert_true(w.begun);
    assert_int_equal(w.events, 3);
    assert_string_equal(w.model, "m");
}

static void chat_ends(void **state)
{
    (void)state;
    check_end(PROTOCOL_CHAT, S(C_CHUNK("{}", "null")), WATCH_OPEN);
    check_end(PROTOCOL_CHAT, S(C_CHUNK("{}", "\"\"")), WATCH_OPEN);
    check_end(PROTOCOL_CHAT, S(C_CHUNK("{}", "\"stop\"")), WATCH_FINISHED);
    check_end(PROTOCOL_CHAT, S(C_CHUNK("{}", "\"stop\"") "data: [DONE]\n\n"), WATCH_ENDED);
    check_end(PROTOCOL_CHAT, S(C_CHUNK("{}", "null") "data: [DONE]\n\n"), WATCH_ENDED);
    /* the first choice is not finished, the second is; a text that is the member's name */
    check_end(PROTOCOL_CHAT,
              S("data: {\"choices\":[{\"finish_reason\":null},{\"finish_reason\": \"stop\"}]}\n\n"),
              WATCH_FINISHED);
    check_end(PROTOCOL_CHAT, S(C_CHUNK("{\"content\":\"finish_reason\"}", "\"length\"")),
              WATCH_FINISHED);
}

static void responses_ends(void **state)
{
    (void)state;
    check_end(PROTOCOL_RESPONSES, S(R_CREATED R_EVENT("response.in_progress", "")), WATCH_OPEN);
    check_end(PROTOCOL_RESPONSES, S(R_CREATED R_EVENT("response.completed", "")), WATCH_ENDED);
    check_end(PROTOCOL_RESPONSES, S(R_EVENT("response.incomplete", "")), WATCH_ENDED);
    check_end(PROTOCOL_RESPONSES, S(R_EVENT("response.failed", "")), WATCH_FAILED);
    check_end(PROTOCOL_RESPONSES, S(R_EVENT("response.output_text.done", "")), WATCH_OPEN);
    struct watch w =
        watch_all(PROTOCOL_RESPONSES,
                  S(R_CREATED R_EVENT("response.in_progress", ",\"sequence_number\":1") R_EVENT(
                      "response.x", ",\"item\":{\"sequence_number\":9},\"sequence_number\": 7")));
    assert_true(w.begun);
    assert_int_equal(w.next_sequence, 8);
    assert_string_equal(w.response_id, "r1");
    assert_string_equal(w.model, "m");
}

/* Goal: numbers go on behind the end, for the error event of ours. */
static void sequence_counts_to_the_last(void **state)
{
    (void)state;
    struct watch w =
        watch_all(PROTOCOL_RESPONSES, S(R_EVENT("error", ",\"sequence_number\":4")
                                            R_EVENT("response.failed", ",\"sequence_number\":5")));
    assert_int_equal(w.next_sequence, 6);
    w = watch_all(PROTOCOL_RESPONSES, S("data: {\"type\":\"response.x\",\"sequence_number\":12"));
    assert_int_equal(w.next_sequence, 0); /* cut off: perhaps it is 123 */
}

static void done_markers(void **state)
{
    (void)state;
    static const struct str forms[] = { S_INIT("data: [DONE]\n\n"), S_INIT("data:[DONE]\r\n\r\n"),
                                        S_INIT("data: [DONE] \r\r"), S_INIT("data: [DONE]"),
                                        S_INIT("event: done\ndata: [DONE]\n\n") };
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        check_end(PROTOCOL_CHAT, forms[i], WATCH_ENDED);
        /* no terminal event of theirs */
        check_end(PROTOCOL_MESSAGES, forms[i], WATCH_OPEN);
        check_end(PROTOCOL_RESPONSES, forms[i], WATCH_OPEN);
    }
    check_end(PROTOCOL_MESSAGES, S(A_DELTA("\"end_turn\"") "data: [DONE]\n\n"), WATCH_ENDED);
    check_end(PROTOCOL_CHAT, S(C_CHUNK("{\"content\":\"[DONE]\"}", "null")), WATCH_OPEN);
    check_end(PROTOCOL_CHAT, S("data: [DONE]\n\ndata: {\"error\":{}}\n\n"), WATCH_ENDED);
}

static void error_events(void **state)
{
    (void)state;
    struct str nested =
        S("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"x\"}}\n\n");
    struct str nameless = S("data: {\"type\":\"error\",\"error\":{\"type\":\"x\"}}\n\n");
    struct str flat = S("data: {\"type\":\"error\",\"code\":\"x\",\"message\":\"m\"}\n\n");
    struct str bare = S("data: {\"error\":{\"message\":\"m\"}}\n\n");
    struct str no_json = S("event: error\ndata: oops\n\n");
    for (int i = 0; i < PROTOCOL_COUNT; i++) {
        enum protocol p = (enum protocol)i;
        check_end(p, nested, WATCH_FAILED);
        check_end(p, nameless, WATCH_FAILED);
        check_end(p, bare, WATCH_FAILED);
        check_end(p, no_json, WATCH_FAILED);
    }
    check_end(PROTOCOL_RESPONSES, flat, WATCH_FAILED);
    check_end(PROTOCOL_CHAT,
              S("data: {\"id\":\"c\",\"choices\":[{\"finish_reason\":\"error\"}],\"error\":{}}\n\n"
                "data: [DONE]\n\n"),
              WATCH_FAILED);
    check_end(PROTOCOL_CHAT, S(C_CHUNK("{}", "\"insufficient_system_resource\"")), WATCH_FAILED);
    /* the name of an error is more than what the data says, other names are less */
    check_end(PROTOCOL_MESSAGES,
              S("event: error\ndata: {\"type\":\"content_block_delta\",\"index\":0}\n\n"),
              WATCH_FAILED);
    check_end(PROTOCOL_MESSAGES,
              S("event: message_stop\ndata: {\"type\":\"content_block_delta\",\"index\":0}\n\n"),
              WATCH_OPEN);
    check_end(PROTOCOL_CHAT, S("data: {\"error\":null,\"choices\":[]}\n\n"), WATCH_OPEN);
    check_end(PROTOCOL_CHAT, S(C_CHUNK("{\"error\":{\"a\":1}}", "null")), WATCH_OPEN);
    check_end(PROTOCOL_RESPONSES, S("data: {\"error\":null,\"response\":{}}\n\n"), WATCH_OPEN);
}

/* Goal: what the model writes about the protocol is not taken for the protocol. */
static void quoted_text_does_not_count(void **state)
{
    (void)state;
    check_end(PROTOCOL_MESSAGES,
              S(A_START A_TEXT("{\\\"type\\\":\\\"message_stop\\\"}")
                    A_TEXT("\\\"type\\\":\\\"error\\\" \\\"stop_reason\\\":\\\"end_turn\\\"")
                        A_TEXT("\\n\\ndata: [DONE]\\n\\n")),
              WATCH_OPEN);
    check_end(PROTOCOL_MESSAGES,
              S("data: {\"delta\":{\"type\":\"message_stop\",\"text\":\"{\\\"type\\\":1}\"},"
                "\"type\":\"content_block_delta\"}\n\n"),
              WATCH_OPEN);
    check_end(PROTOCOL_MESSAGES,
              S("data: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"tool_use\","
                "\"input\":{\"type\":\"message_stop\"}}}\n\n"),
              WATCH_OPEN);
    check_end(PROTOCOL_CHAT,
              S(C_CHUNK("{\"content\":\"\\\"finish_reason\\\":\\\"stop\\\" \\\\\"}", "null")),
              WATCH_OPEN);
    check_end(PROTOCOL_CHAT, S(C_CHUNK("{\"content\":\"{\\\"error\\\":{}}\"}", "null")),
              WATCH_OPEN);
    check_end(PROTOCOL_RESPONSES,
              S(R_EVENT("response.output_text.delta",
                        ",\"delta\":\"\\\"type\\\":\\\"response.completed\\\"\"")),
              WATCH_OPEN);
    check_usage(PROTOCOL_CHAT,
                S(C_CHUNK("{\"content\":\"\\\"usage\\\":{\\\"prompt_tokens\\\":1}\"}", "null")), -1,
                -1, -1, -1);
}

/* Goal: the type may stand anywhere, the event line may be missing, any line end will do. */
static void wire_forms(void **state)
{
    (void)state;
    check_end(PROTOCOL_MESSAGES, S("data:{ \"type\" : \"message_stop\" }\n\n"), WATCH_ENDED);
    check_end(PROTOCOL_MESSAGES,
              S("data: {\"message\":{\"type\":\"x\"},\"type\":\"message_stop\"}"), WATCH_ENDED);
    check_end(PROTOCOL_MESSAGES, S("event: message_stop\ndata: {}\n\n"), WATCH_ENDED);
    check_end(PROTOCOL_MESSAGES,
              S("\xEF\xBB\xBF"
                "data: {\"type\":\"message_stop\"}\n\n"),
              WATCH_ENDED);
    check_end(PROTOCOL_MESSAGES, S("data: {\r\ndata: \"type\":\r\ndata: \"message_stop\"}\r\n\r\n"),
              WATCH_ENDED);
    check_end(PROTOCOL_MESSAGES, S("data: {\ndata: \"type\":\nid: 1\ndata: \"message_stop\"}\n"),
              WATCH_ENDED);
    check_end(PROTOCOL_MESSAGES,
              S(": c\r\rdata: {\"type\":\"message_start\"}\r\revent: x\r\n\r\n"
                "data: {\"type\":\"message_stop\"}\r\n"),
              WATCH_ENDED);
    struct watch w =
        watch_all(PROTOCOL_MESSAGES, S("data: {\"type\":\"ping\"}\r\rdata: 1\r\r\r:\n\n"));
    assert_int_equal(w.events, 2);
}

/* Goal: the relay may ask about an event that is not whole yet. */
static void cut_events(void **state)
{
    (void)state;
    check_end(PROTOCOL_RESPONSES,
              S("data: {\"type\":\"response.completed\",\"response\":{\"output\":[\"abc"),
              WATCH_ENDED);
    check_end(PROTOCOL_RESPONSES, S("data: {\"type\":\"response.completed\""), WATCH_OPEN);
    check_end(PROTOCOL_CHAT, S("data: {\"choices\":[{\"finish_reason\":nul"), WATCH_OPEN);
    check_end(PROTOCOL_CHAT, S("data: {\"error\":nul"), WATCH_OPEN);
    check_end(PROTOCOL_MESSAGES, S("data: {\"type"), WATCH_OPEN);
    check_end(PROTOCOL_MESSAGES, S("data: {\"type\":\"\\"), WATCH_OPEN);
}

static void usage_spellings(void **state)
{
    (void)state;
    check_usage(PROTOCOL_MESSAGES, S(A_START), 9, 1, -1, -1);
    check_usage(PROTOCOL_MESSAGES, S(A_START A_DELTA("\"end_turn\"")), 9, 12, 3, -1);
    check_usage(
        PROTOCOL_MESSAGES,
        S("data: {\"type\":\"message_start\",\"message\":{\"usage\":"
          "{\"input_tokens\":1,\"cache_creation_input_tokens\":2,\"output_tokens\":null}}}"),
        1, -1, -1, 2);
    check_usage(PROTOCOL_RESPONSES,
                S(R_EVENT("response.completed",
                          ",\"response\":{\"usage\":{\"input_tokens\":1,\"input_tokens_details\":"
                          "{\"cached_tokens\":2,\"cache_write_tokens\":3},\"output_tokens\":4}}")),
                1, 4, 2, 3);
#define C_FIRST C_CHUNK("{}", "null")
    check_usage(PROTOCOL_CHAT, S(C_FIRST), -1, -1, -1, -1);
    check_usage(PROTOCOL_CHAT, S(C_FIRST C_USAGE("null")), -1, -1, -1, -1);
    check_usage(PROTOCOL_CHAT,
                S(C_FIRST C_USAGE("{\"prompt_tokens\":1,\"completion_tokens\":2,"
                                  "\"prompt_tokens_details\":{\"cached_tokens\":3,"
                                  "\"cache_write_tokens\":4}}")),
                1, 2, 3, 4);
    check_usage(
        PROTOCOL_CHAT,
        S(C_FIRST C_USAGE("{\"prompt_tokens\":7,\"prompt_cache_hit_tokens\":5,"
                          "\"prompt_cache_miss_tokens\":2,\"prompt_tokens_details\":null}")),
        7, -1, 5, -1);
    check_usage(PROTOCOL_CHAT, S(C_FIRST C_USAGE("{\"prompt_tokens\":7,\"cached_tokens\":5}")), 7,
                -1, 5, -1);
    check_usage(PROTOCOL_CHAT, S(C_FIRST C_USAGE("[{\"prompt_tokens\":7}]")), 7, -1, -1, -1);
    check_usage(PROTOCOL_CHAT,
                S(C_FIRST "data: {\"choices\":[{\"delta\":{},\"usage\":{\"prompt_tokens\":7,"
                          "\"completion_tokens\":8}}]}\n\n"),
                7, 8, -1, -1);
    /* cumulative in each chunk, zeros of another protocol; then after the end: E106 */
    check_usage(PROTOCOL_CHAT,
                S(C_FIRST C_USAGE("{\"prompt_tokens\":7,\"completion_tokens\":1}")
                      C_USAGE("{\"prompt_tokens\":7,\"completion_tokens\":2,\"input_tokens\":"
                              "0}") "data: [DONE]\n\n" C_USAGE("{\"prompt_tokens\":0}")),
                7, 2, -1, -1);
    /* EW3 rule 9 */
    check_usage(PROTOCOL_CHAT,
                S(C_FIRST C_USAGE("{\"prompt_tokens\":7.9,\"completion_tokens\":-2,"
                                  "\"cached_tokens\":\"5\"}")),
                7, 0, -1, -1);
    check_usage(PROTOCOL_CHAT,
                S(C_FIRST C_USAGE("{\"prompt_tokens\":1e3,\"completion_tokens\":1e99}")), 1000, -1,
                -1, -1);
}

static void plain_replies(void **state)
{
    (void)state;
    struct watch w;
    watch_init(&w, PROTOCOL_RESPONSES);
    watch_json(&w, S("{\"id\":\"r1\",\"object\":\"response\",\"model\":\"m\","
                     "\"usage\":{\"input_tokens\":1}}"));
    assert_string_equal(w.response_id, "r1");
    assert_string_equal(w.model, "m");
    assert_int_equal(w.usage.input_tokens, 1);
    watch_init(&w, PROTOCOL_CHAT);
    watch_json(&w, S("{\"id\":\"c\",\"usage\":{\"prompt_tokens\":5}"));
    assert_int_equal(w.usage.input_tokens, -1);
    watch_json(&w, S("[{\"usage\":{\"prompt_tokens\":5}}]"));
    assert_int_equal(w.usage.input_tokens, -1);
}

/* Goal: usage is found where each protocol has it, whatever stands around it, and a number is one
 * in any spelling. */
static void usage_of_plain_replies(void **state)
{
    static const struct {
        struct str body;
        int64_t input;
    } cases[] = {
        { S_INIT(" {\"message\":{\"usage\":{\"input_tokens\":3}}}\n"), 3 },
        { S_INIT("{\"response\":{\"usage\":{\"input_tokens\":3}},\"usage\":{\"input_tokens\":4}}"),
          4 },
        { S_INIT("{\"message\":1,\"response\":{\"usage\":{\"input_tokens\":3}}}"), -1 },
        { S_INIT("{\"choices\":[{\"usage\":{\"prompt_tokens\":3}},{\"usage\":{\"prompt_tokens\":9}}"
                 "]}"),
          3 },
        { S_INIT("{\"usage\":[{\"prompt_tokens\":3}]}"), 3 },
        { S_INIT("{\"usage\":{\"prompt_tokens\":2.9,\"input_tokens\":1}}"), 2 },
        { S_INIT("{\"usage\":{\"prompt_tokens\":-7}}"), 0 },
        { S_INIT("{\"usage\":{\"prompt_tokens\":-0}}"), 0 },
        { S_INIT("{\"usage\":{\"prompt_tokens\":12e1}}"), 120 },
        { S_INIT(
              "{\"usage\":{\"prompt_tokens\":7.00000000000000000000000000000000000000000000000000"
              "0000000000000000000000}}"),
          7 },
        { S_INIT("{\"usage\":{\"prompt_tokens\":4611686018427387903}}"), 4611686018427387903 },
        { S_INIT("{\"usage\":{\"prompt_tokens\":4611686018427387904}}"), -1 },
        { S_INIT("{\"usage\":{\"prompt_tokens\":99999999999999999999999}}"), -1 },
        { S_INIT("{\"usage\":{\"prompt_tokens\":1e999}}"), -1 },
        { S_INIT("{\"usage\":{\"prompt_tokens\":\"5\"}}"), -1 },
        { S_INIT("{\"usage\":{\"prompt_tokens\":null}}"), -1 },
        { S_INIT("{\"usage\":{\"prompt_tokens\":5}} x"), -1 },
        { S_INIT("{\"usage\":{\"prompt_tokens\":5},}"), -1 },
        { S_INIT(""), -1 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct watch w;
        watch_init(&w, PROTOCOL_CHAT);
        watch_json(&w, cases[i].body);
        assert_true(w.usage.input_tokens == cases[i].input);
    }
    struct watch w;
    watch_init(&w, PROTOCOL_CHAT);
    watch_json(&w, S("{\"model\":\"a\\u00e9\\\"\"}"));
    assert_string_equal(w.model, "a\xc3\xa9\"");
}

static void long_names_are_cut(void **state)
{
    (void)state;
    char text[512];
    int n = snprintf(text, sizeof(text), "{\"model\":\"%0200d\"}", 7);
    struct watch w;
    watch_init(&w, PROTOCOL_CHAT);
    watch_json(&w, (struct str){ text, (size_t)n });
    assert_int_equal(strlen(w.model), sizeof(w.model) - 1);
}

/* --- recorded streams --- */

/* Null means that the reply does not say, which we know as -1 or as 0. */
static void check_count(int64_t got, yyjson_val *want)
{
    assert_int_equal(got < 0 ? 0 : got, yyjson_get_sint(want));
}

static bool check_recorded(enum protocol protocol, struct str stream, yyjson_val *want)
{
    struct watch w = watch_all(protocol, stream);
    yyjson_val *usage = json_member(want, S("usage"));
    assert_true(w.begun);
    assert_true(w.end == WATCH_ENDED || (w.end == WATCH_FINISHED && protocol == PROTOCOL_CHAT));
    assert_true(w.model[0] != '\0');
    check_count(w.usage.input_tokens, json_member(usage, S("in")));
    check_count(w.usage.output_tokens, json_member(usage, S("out")));
    check_count(w.usage.cache_read_tokens, json_member(usage, S("cache_read")));
    check_count(protocol == PROTOCOL_MESSAGES ? w.usage.cache_write_tokens : 0,
                json_member(usage, S("cache_write")));
    for (size_t step = 1; step <= stream.n; step = step * 7) {
        struct watch pieces = watch_pieces(protocol, stream, step);
        same(&w, &pieces);
    }
    return true;
}

/* Goal: the vendors' SDKs and we read the same usage. */
static void recorded_streams(void **state)
{
    (void)state;
    recorded_each(check_recorded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_ends),
        cmocka_unit_test(chat_ends),
        cmocka_unit_test(responses_ends),
        cmocka_unit_test(sequence_counts_to_the_last),
        cmocka_unit_test(done_markers),
        cmocka_unit_test(error_events),
        cmocka_unit_test(quoted_text_does_not_count),
        cmocka_unit_test(wire_forms),
        cmocka_unit_test(cut_events),
        cmocka_unit_test(usage_spellings),
        cmocka_unit_test(plain_replies),
        cmocka_unit_test(usage_of_plain_replies),
        cmocka_unit_test(long_names_are_cut),
        cmocka_unit_test(recorded_streams),
    };
    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}

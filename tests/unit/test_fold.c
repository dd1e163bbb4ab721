/*
 * Goal: a folded stream is what a plain request would have got, wherever the network cut it;
 * what is not a whole reply is an error, never a result.
 */
#include "unit.h"

#include <openssl/sha.h>
#include <stdio.h>

#include "buf.h"
#include "err.h"
#include "fold.h"
#include "json.h"
#include "recorded.h"

#define START                                                                         \
    "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"content\":[]," \
    "\"stop_reason\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n"
#define FINISH                                                                    \
    "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}," \
    "\"usage\":{\"input_tokens\":null,\"output_tokens\":12}}\n\n"
#define STOP "data: {\"type\":\"message_stop\"}\n\n"
#define BLOCK(i, json) \
    "data: {\"type\":\"content_block_start\",\"index\":" #i ",\"content_block\":" json "}\n\n"
#define DELTA(i, json) \
    "data: {\"type\":\"content_block_delta\",\"index\":" #i ",\"delta\":" json "}\n\n"
#define RESULT_HEAD "{\"id\":\"msg_1\",\"content\":["
#define RESULT_TAIL \
    "],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":9,\"output_tokens\":12}}"

/* Feeds the first `first` bytes, then pieces of `step`. */
static int feed(struct fold *f, struct str in, size_t first, size_t step)
{
    int e = fold_feed(f, str_slice(in, 0, first));
    for (size_t at = first; e == 0 && at < in.n; at += step)
        e = fold_feed(f, str_slice(in, at, at + step));
    int last = fold_end(f);
    assert_true(e == 0 || last == e); /* sticky */
    return last;
}

static int fold_at(enum protocol protocol, struct str in, size_t first, size_t step,
                   struct buf *out)
{
    struct fold *f = fold_new(protocol, 1 << 20);
    int e = feed(f, in, first, step);
    if (e == 0)
        fold_result(f, out);
    fold_free(f);
    return e;
}

/* Cut once everywhere, and byte by byte. */
static void check(enum protocol protocol, struct str in, struct str want)
{
    for (size_t first = 0; first <= in.n; first++) {
        struct buf out;
        buf_init(&out, SIZE_MAX);
        assert_int_equal(fold_at(protocol, in, first, first == 0 ? 1 : in.n, &out), 0);
        assert_str(buf_str(&out), want);
        buf_done(&out);
    }
}

static void check_error(enum protocol protocol, struct str in, int want)
{
    for (size_t first = 0; first <= in.n; first++) {
        struct buf out;
        buf_init(&out, SIZE_MAX);
        assert_int_equal(fold_at(protocol, in, first, first == 0 ? 1 : in.n, &out), want);
        buf_done(&out);
    }
}

static void check_failed(enum protocol protocol, struct str in, int want_status,
                         struct str want_type, struct str want_message)
{
    int status;
    struct str type, message;
    struct fold *f = fold_new(protocol, 1 << 20);
    assert_false(fold_error(f, &status, &type, &message));
    assert_int_equal(feed(f, in, 0, 1), E_UPSTREAM_STREAM);
    assert_true(fold_error(f, &status, &type, &message));
    assert_int_equal(status, want_status);
    assert_str(type, want_type);
    assert_str(message, want_message);
    fold_free(f);
}

#define messages(blocks, want) \
    check(PROTOCOL_MESSAGES, S(START blocks FINISH STOP), S(RESULT_HEAD want RESULT_TAIL))
#define TEXT "{\"type\":\"text\",\"text\":\"\"}"
#define TOOL "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"n\",\"input\":{}}"
#define TOOL_WITH(input) "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"n\",\"input\":" input "}"
#define TEXT_DELTA(t) "{\"type\":\"text_delta\",\"text\":\"" t "\"}"
#define INPUT_DELTA(t) "{\"type\":\"input_json_delta\",\"partial_json\":\"" t "\"}"

/* Goal: each kind of delta builds its member; all else stays byte for byte. */
static void blocks_are_built(void **state)
{
    (void)state;
    messages("", "");
    messages(BLOCK(0, TEXT) DELTA(0, TEXT_DELTA("a\\n")) DELTA(0, TEXT_DELTA("\\u00e9 \\\"")),
             "{\"type\":\"text\",\"text\":\"a\\n\\u00e9 \\\"\"}");
    messages(BLOCK(0, "{\"type\":\"text\", \"text\":\"in\",\"x\":1.50}") DELTA(0, TEXT_DELTA("it")),
             "{\"type\":\"text\", \"text\":\"init\",\"x\":1.50}");
    messages(BLOCK(0, "{\"type\":\"text\",\"text\":null}") DELTA(0, TEXT_DELTA("a")),
             "{\"type\":\"text\",\"text\":\"a\"}");
    messages(BLOCK(0, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
                 DELTA(0, "{\"type\":\"thinking_delta\",\"thinking\":\"h\"}")
                     DELTA(0, "{\"type\":\"thinking_delta\",\"thinking\":\"m\"}")
                         DELTA(0, "{\"type\":\"signature_delta\",\"signature\":\"old\"}")
                             DELTA(0, "{\"type\":\"signature_delta\",\"signature\":\"new\"}"),
             "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"new\"}");
    messages(
        BLOCK(0, "{\"type\":\"compaction\",\"content\":null,\"encrypted_content\":null}") DELTA(
            0, "{\"type\":\"compaction_delta\",\"content\":\"c\",\"encrypted_content\":\"e\"}"),
        "{\"type\":\"compaction\",\"content\":\"c\",\"encrypted_content\":\"e\"}");
    messages(BLOCK(0, "{\"type\":\"new_kind\",\"x\":[ ]}") DELTA(0, "{\"type\":\"new_delta\"}"),
             "{\"type\":\"new_kind\",\"x\":[ ]}");
}

static void citations_are_collected(void **state)
{
    (void)state;
#define CITATION(c) DELTA(0, "{\"type\":\"citations_delta\",\"citation\":" c "}")
    messages(BLOCK(0, TEXT) CITATION("{\"a\":1}") CITATION("{\"b\": 2.0}"),
             "{\"type\":\"text\",\"text\":\"\",\"citations\":[{\"a\":1},{\"b\": 2.0}]}");
    messages(BLOCK(0, "{\"citations\":[ ],\"text\":\"\"}") CITATION("1"),
             "{\"citations\":[1],\"text\":\"\"}");
    messages(BLOCK(0, "{\"citations\":[0 ],\"text\":\"\"}") CITATION("1"),
             "{\"citations\":[0,1],\"text\":\"\"}");
    messages(BLOCK(0, "{\"citations\":null}") CITATION("1"), "{\"citations\":[1]}");
#undef CITATION
}

/* Goal: a surrogate pair may come in two deltas. */
static void text_keeps_its_escapes(void **state)
{
    (void)state;
    messages(BLOCK(0, TEXT) DELTA(0, TEXT_DELTA("\\ud83d")) DELTA(0, TEXT_DELTA("\\ude00")),
             "{\"type\":\"text\",\"text\":\"\\ud83d\\ude00\"}");
}

/* Goal: the pieces of tool input are one object, its text as it was; C1.7 for what is none. */
static void tool_input_is_joined(void **state)
{
    (void)state;
    messages(BLOCK(0, TOOL), TOOL);
    messages(BLOCK(0, TOOL) DELTA(0, INPUT_DELTA("")), TOOL);
    messages(BLOCK(0, TOOL_WITH("{\"whole\":1}")), TOOL_WITH("{\"whole\":1}"));
    messages(BLOCK(0, TOOL_WITH("\"\"")), TOOL_WITH("{}"));
    messages(BLOCK(0, "{\"type\":\"server_tool_use\"}"),
             "{\"type\":\"server_tool_use\",\"input\":{}}");
    messages(BLOCK(0, TOOL) DELTA(0, INPUT_DELTA("")) DELTA(0, INPUT_DELTA("{\\\"a\\\": 1"))
                 DELTA(0, INPUT_DELTA(".50,\\\"b\\\":\\\"\\\\n\\\"}")),
             TOOL_WITH("{\"a\": 1.50,\"b\":\"\\n\"}"));
    messages(BLOCK(0, TOOL) DELTA(0, INPUT_DELTA("null")), TOOL_WITH("{}"));
    messages(BLOCK(0, TOOL) DELTA(0, INPUT_DELTA("\\\"{\\\\\\\"a\\\\\\\":1}\\\"")),
             TOOL_WITH("{\"a\":1}"));
    messages(BLOCK(0, TOOL) DELTA(0, INPUT_DELTA("{\\\"cut")),
             TOOL_WITH("{\"__ccp_raw_arguments\":\"{\\\"cut\"}"));
}

/* Goal: blocks stand in the order of their indices, and deltas find theirs. */
static void blocks_are_in_order(void **state)
{
    (void)state;
    messages(BLOCK(1, TEXT) DELTA(1, TEXT_DELTA("b")) BLOCK(0, TEXT) DELTA(0, TEXT_DELTA("a"))
                 DELTA(1, TEXT_DELTA("b")),
             "{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"bb\"}");
    /* always 0, as a gateway sends it */
    messages(BLOCK(0, TEXT) DELTA(0, TEXT_DELTA("a")) BLOCK(0, TEXT) DELTA(0, TEXT_DELTA("b")),
             "{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}");
    /* no index at all */
    messages(BLOCK(null, TEXT) DELTA(null, TEXT_DELTA("a")) BLOCK(null, TEXT)
                 DELTA(null, TEXT_DELTA("b")),
             "{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}");
}

/* Goal: usage is cumulative, null changes nothing, new members are added. */
static void message_delta_is_merged(void **state)
{
    (void)state;
    check(PROTOCOL_MESSAGES,
          S(START
            "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\","
            "\"stop_sequence\":null,\"container\":{\"id\":\"c\"}},\"context_management\":{},"
            "\"usage\":{\"input_tokens\":10,\"output_tokens\":2,\"server_tool_use\":{\"n\":1},"
            "\"speed\":null}}\n\n"
            "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":null},"
            "\"usage\":{\"input_tokens\":null,\"output_tokens\":3}}\n\n" STOP),
          S("{\"id\":\"msg_1\",\"content\":[],\"stop_reason\":\"tool_use\","
            "\"usage\":{\"input_tokens\":10,\"output_tokens\":3,\"server_tool_use\":{\"n\":1},"
            "\"speed\":null},\"stop_sequence\":null,\"container\":{\"id\":\"c\"},"
            "\"context_management\":{}}"));
    check(PROTOCOL_MESSAGES,
          S("data: {\"type\":\"message_start\",\"message\":{\"usage\":null}}\n\n" FINISH STOP),
          S("{\"usage\":{\"input_tokens\":null,\"output_tokens\":12},"
            "\"stop_reason\":\"end_turn\",\"content\":[]}"));
}

/* Goal: all line ends, pings, unknown events, names on the event line only. */
static void streams_are_read_leniently(void **state)
{
    (void)state;
    check(PROTOCOL_MESSAGES,
          S(": hi\r\n\r\nevent: message_start\r\ndata: {\"message\":{\"content\":[]}}\r\n\r\n"
            "event: ping\rdata: oops\r\revent: x\ndata: {\"type\":\"new\"}\n\n" FINISH STOP
            "data: [DONE]\n\ndata: rubbish after the end\n\n"),
          S("{\"content\":[],\"stop_reason\":\"end_turn\","
            "\"usage\":{\"input_tokens\":null,\"output_tokens\":12}}"));
    struct str want = S(RESULT_HEAD RESULT_TAIL);
    check(PROTOCOL_MESSAGES, S(START FINISH), want); /* EOF after the stop reason: C5 */
    check(PROTOCOL_MESSAGES, S(START FINISH "data: [DONE]\n\n"), want);
    check(PROTOCOL_MESSAGES, S(START FINISH "data: {\"type\":\"message_stop\"}"), want);
    check(PROTOCOL_MESSAGES, S(START FINISH "data: {\"type\":\"mess"), want);
}

static void unfinished_streams_are_errors(void **state)
{
    (void)state;
    check_error(PROTOCOL_MESSAGES, S(""), E_UPSTREAM_STREAM);
    check_error(PROTOCOL_MESSAGES, S(START), E_UPSTREAM_STREAM);
    check_error(PROTOCOL_MESSAGES, S(START "data: [DONE]\n\n" FINISH STOP), E_UPSTREAM_STREAM);
    check_error(PROTOCOL_MESSAGES, S(START BLOCK(0, TEXT) "data: {\"type\":\"con"),
                E_UPSTREAM_STREAM);
    check_error(PROTOCOL_MESSAGES, S(START "data: {\"type\":\"con\n\n" FINISH STOP),
                E_UPSTREAM_EVENT);
    check_error(PROTOCOL_MESSAGES, S(START START), E_UPSTREAM_EVENT);
    check_error(PROTOCOL_MESSAGES, S(STOP), E_UPSTREAM_EVENT);
    check_error(PROTOCOL_MESSAGES, S(START BLOCK(0, "null")), E_UPSTREAM_EVENT);
    check_error(PROTOCOL_MESSAGES, S(START DELTA(0, TEXT_DELTA("a"))), E_UPSTREAM_EVENT);
    check_error(PROTOCOL_RESPONSES, S("data: [DONE]\n\n"), E_UPSTREAM_STREAM);
    check_error(PROTOCOL_RESPONSES, S("data: {\"type\":\"response.completed\"}\n\n"),
                E_UPSTREAM_EVENT);
}

static void error_events_give_a_status(void **state)
{
    (void)state;
    static const struct {
        struct str type;
        int status;
    } rows[] = {
        { S_INIT("overloaded_error"), 529 },
        { S_INIT("rate_limit_error"), 429 },
        { S_INIT("invalid_request_error"), 400 },
        { S_INIT("authentication_error"), 401 },
        { S_INIT("permission_error"), 403 },
        { S_INIT("not_found_error"), 404 },
        { S_INIT("request_too_large"), 413 },
        { S_INIT("api_error"), 502 },
        { S_INIT("new_error"), 502 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[256];
        int n = snprintf(text, sizeof(text),
                         "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"%s\","
                         "\"message\":\"why\"}}\n\n",
                         rows[i].type.p);
        check_failed(PROTOCOL_MESSAGES, (struct str){ text, (size_t)n }, rows[i].status,
                     rows[i].type, S("why"));
    }
    check_failed(PROTOCOL_MESSAGES,
                 S(START BLOCK(0, TEXT) "data: {\"error\":{\"type\":\"rate_limit_error\"}}\n\n"),
                 429, S("rate_limit_error"), S("the upstream reported an error"));
    check_failed(PROTOCOL_MESSAGES, S("event: error\ndata: out of order\n\n"), 502, S("api_error"),
                 S("out of order"));
    check_failed(PROTOCOL_MESSAGES, S("data: {\"type\":\"error\",\"error\":\"text\"}\n\n"), 502,
                 S("api_error"), S("text"));
}

#define COMPLETED(output)                                                                   \
    "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\", \"output\":" output \
    ",\"x\":1.0}}\n\n"
#define ITEM(i, json) \
    "data: {\"type\":\"response.output_item.done\",\"output_index\":" #i ",\"item\":" json "}\n\n"
#define CREATED \
    "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"output\":[]}}\n\n"

/* Goal: the terminal event's response verbatim; streamed items only when it has none (E122). */
static void responses_are_folded(void **state)
{
    (void)state;
    struct str whole = S("{\"id\":\"r\", \"output\":[{\"a\": 1}],\"x\":1.0}");
    check(PROTOCOL_RESPONSES, S(CREATED ITEM(0, "{\"b\":2}") COMPLETED("[{\"a\": 1}]")), whole);
    check(PROTOCOL_RESPONSES, S(COMPLETED("[{\"a\": 1}]") "data: [DONE]\n\ndata: x\n\n"), whole);
    check(PROTOCOL_RESPONSES, S(CREATED COMPLETED("[]")),
          S("{\"id\":\"r\", \"output\":[],\"x\":1.0}"));
    struct str put = S("{\"id\":\"r\", \"output\":[{\"a\": 1},{\"b\":2}],\"x\":1.0}");
    check(PROTOCOL_RESPONSES,
          S(CREATED ITEM(1, "{\"b\":2}") ITEM(0, "{\"a\": 1}") COMPLETED("[ ]")), put);
    check(PROTOCOL_RESPONSES, S(ITEM(0, "{\"a\": 1}") ITEM(1, "{\"b\":2}") COMPLETED("null")), put);
    check(PROTOCOL_RESPONSES,
          S("event: response.incomplete\ndata: {\"response\":{\"status\":\"incomplete\"}}\n\n"),
          S("{\"status\":\"incomplete\"}"));
}

static void responses_errors_give_a_status(void **state)
{
    (void)state;
    check_failed(PROTOCOL_RESPONSES,
                 S(CREATED "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":"
                           "\"rate_limit_exceeded\",\"message\":\"slow\"}}}\n\n"),
                 429, S("rate_limit_error"), S("slow"));
    check_failed(PROTOCOL_RESPONSES,
                 S("data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":"
                   "\"server_error\",\"message\":\"m\"}}}\n\n"),
                 502, S("api_error"), S("m"));
    check_failed(PROTOCOL_RESPONSES, S("data: {\"type\":\"response.failed\"}\n\n"), 502,
                 S("api_error"), S("the upstream reported an error"));
    /* E127: flat and nested */
    check_failed(
        PROTOCOL_RESPONSES,
        S("data: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"m\"}\n\n"), 429,
        S("rate_limit_error"), S("m"));
    check_failed(PROTOCOL_RESPONSES,
                 S("data: {\"type\":\"error\",\"error\":{\"type\":\"tokens\",\"code\":"
                   "\"rate_limit_exceeded\",\"message\":\"m\"}}\n\n"),
                 429, S("tokens"), S("m"));
}

/* --- limits --- */

static int fold_limited(enum protocol protocol, struct str in, size_t limit_bytes)
{
    struct fold *f = fold_new(protocol, limit_bytes);
    int e = feed(f, in, 0, in.n);
    fold_free(f);
    return e;
}

/* Goal: the limit counts what is kept, not what passes. */
static void limits_are_kept(void **state)
{
    (void)state;
    struct buf in;
    buf_init(&in, SIZE_MAX);
    buf_add(&in, S(START BLOCK(0, TEXT)));
    for (int i = 0; i < 100; i++)
        buf_add(&in, S("event: ping\ndata: {\"type\":\"ping\"}\n\n"));
    for (int i = 0; i < 1000; i++)
        buf_add(&in, S(DELTA(0, TEXT_DELTA("0123456789"))));
    buf_add(&in, S(FINISH STOP));
    assert_int_equal(fold_limited(PROTOCOL_MESSAGES, buf_str(&in), 10000), E_UPSTREAM_EVENT);
    assert_int_equal(fold_limited(PROTOCOL_MESSAGES, buf_str(&in), 14000), 0);
    buf_done(&in);

    /* items that the terminal event repeats do not count twice */
    buf_init(&in, SIZE_MAX);
    buf_addf(&in, "data: {\"type\":\"response.output_item.done\",\"item\":{\"a\":\"%0900d\"}}\n\n",
             1);
    buf_addf(&in,
             "data: {\"type\":\"response.completed\",\"response\":{\"output\":[\"%0900d\"]}}\n\n",
             1);
    assert_int_equal(fold_limited(PROTOCOL_RESPONSES, buf_str(&in), 1000), E_UPSTREAM_EVENT);
    assert_int_equal(fold_limited(PROTOCOL_RESPONSES, buf_str(&in), 1500), 0);
    buf_done(&in);
}

static void many_members_are_refused(void **state)
{
    (void)state;
    struct buf in;
    buf_init(&in, SIZE_MAX);
    buf_add(&in, S("data: {\"type\":\"message_start\",\"message\":{\"a\":0"));
    for (int i = 0; i < 300; i++)
        buf_addf(&in, ",\"m%d\":0", i);
    buf_add(&in, S("}}\n\n"));
    assert_int_equal(fold_limited(PROTOCOL_MESSAGES, buf_str(&in), 1 << 20), E_UPSTREAM_EVENT);
    buf_clear(&in);
    buf_add(&in, S(START));
    for (int i = 0; i < 300; i++)
        buf_addf(&in, "data: {\"type\":\"message_delta\",\"delta\":{\"m%d\":0}}\n\n", i);
    assert_int_equal(fold_limited(PROTOCOL_MESSAGES, buf_str(&in), 1 << 20), E_UPSTREAM_EVENT);
    buf_done(&in);
}

/* --- recorded streams --- */

static void check_hash(struct str text, struct str want)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    char hex[17];
    SHA256((const unsigned char *)text.p, text.n, hash);
    for (int i = 0; i < 8; i++)
        snprintf(hex + i * (ptrdiff_t)2, 3, "%02x", hash[i]);
    assert_str(str_of(hex), want);
}

struct seen {
    struct buf text, reasoning;
    size_t tools;
};

static void see_part(struct seen *seen, yyjson_val *part)
{
    struct str type = json_member_str(part, S("type"));
    if (str_eq(type, S("text")) || str_eq(type, S("output_text")))
        buf_add(&seen->text, json_member_str(part, S("text")));
    else if (str_eq(type, S("reasoning_text")) || str_eq(type, S("summary_text")))
        buf_add(&seen->reasoning, json_member_str(part, S("text")));
    else if (str_eq(type, S("thinking")))
        buf_add(&seen->reasoning, json_member_str(part, S("thinking")));
    seen->tools += str_eq(type, S("tool_use")) || str_eq(type, S("function_call")) ||
                   str_eq(type, S("custom_tool_call"));
}

static void check_blocks(struct seen *seen, yyjson_val *blocks, yyjson_val *want)
{
    assert_int_equal(yyjson_arr_size(blocks), yyjson_arr_size(want));
    for (size_t i = 0; i < yyjson_arr_size(blocks); i++) {
        yyjson_val *block = yyjson_arr_get(blocks, i);
        assert_str(json_member_str(block, S("type")), json_str(yyjson_arr_get(want, i)));
        see_part(seen, block);
        yyjson_val *content = json_member(block, S("content"));
        if (str_ends(json_member_str(block, S("type")), S("_result")))
            continue;
        for (size_t j = 0; j < yyjson_arr_size(content); j++)
            see_part(seen, yyjson_arr_get(content, j));
    }
}

static void check_count(yyjson_val *object, struct str name, yyjson_val *want_usage,
                        struct str want_name)
{
    uint64_t got = 0, want = 0; /* null and absent are 0 */
    json_member_u64(object, name, &got);
    json_member_u64(want_usage, want_name, &want);
    assert_int_equal(got, want);
}

static void check_usage(yyjson_val *usage, yyjson_val *want)
{
    check_count(usage, S("input_tokens"), want, S("in"));
    check_count(usage, S("output_tokens"), want, S("out"));
    yyjson_val *details = json_member(usage, S("input_tokens_details"));
    if (details != NULL)
        check_count(details, S("cached_tokens"), want, S("cache_read"));
    else
        check_count(usage, S("cache_read_input_tokens"), want, S("cache_read"));
}

static void check_reply(struct str reply, yyjson_val *want)
{
    struct seen seen = { .tools = 0 };
    yyjson_doc *doc;
    buf_init(&seen.text, SIZE_MAX);
    buf_init(&seen.reasoning, SIZE_MAX);
    assert_int_equal(json_parse(reply, &doc, NULL), 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool is_message = json_member(root, S("content")) != NULL;
    check_blocks(&seen, json_member(root, is_message ? S("content") : S("output")),
                 json_member(want, S("blocks")));
    check_hash(buf_str(&seen.text), json_member_str(want, S("text_sha")));
    check_hash(buf_str(&seen.reasoning), json_member_str(want, S("reasoning_sha")));
    assert_int_equal(seen.tools, yyjson_arr_size(json_member(want, S("tools"))));
    assert_str(json_member_str(root, is_message ? S("stop_reason") : S("status")),
               json_member_str(want, S("stop")));
    check_usage(json_member(root, S("usage")), json_member(want, S("usage")));
    buf_done(&seen.text);
    buf_done(&seen.reasoning);
    yyjson_doc_free(doc);
}

static bool check_recorded(enum protocol protocol, struct str stream, yyjson_val *want)
{
    if (protocol == PROTOCOL_CHAT)
        return false;
    for (size_t step = 1; step <= stream.n; step = step * 7) {
        struct buf out;
        buf_init(&out, SIZE_MAX);
        assert_int_equal(fold_at(protocol, stream, 0, step, &out), 0);
        check_reply(buf_str(&out), want);
        buf_done(&out);
    }
    return true;
}

/* Goal: what the vendors' SDKs read from a stream is in the folded reply. */
static void recorded_streams_are_folded(void **state)
{
    (void)state;
    recorded_each(check_recorded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_built),
        cmocka_unit_test(citations_are_collected),
        cmocka_unit_test(text_keeps_its_escapes),
        cmocka_unit_test(tool_input_is_joined),
        cmocka_unit_test(blocks_are_in_order),
        cmocka_unit_test(message_delta_is_merged),
        cmocka_unit_test(streams_are_read_leniently),
        cmocka_unit_test(unfinished_streams_are_errors),
        cmocka_unit_test(error_events_give_a_status),
        cmocka_unit_test(responses_are_folded),
        cmocka_unit_test(responses_errors_give_a_status),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(many_members_are_refused),
        cmocka_unit_test(recorded_streams_are_folded),
    };
    return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}

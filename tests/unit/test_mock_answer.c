/*
 * Goal: the simulator routes, refuses and counts as the vendors do, and remembers what it saw.
 */
#include "unit.h"

#include <zlib.h>

#include "json.h"
#include "mock_answer.h"
#include "mock_record.h"

struct ask {
    struct arena arena;
    struct http_head head;
    struct mock_answer ans;
};

static void ask_begin(struct ask *t, struct str method, struct str target)
{
    *t = (struct ask){ .head = { .method = method, .target = target, .major = 1, .minor = 1 } };
    arena_init(&t->arena, 1 << 20);
}

static void ask_header(struct ask *t, struct str name, struct str value)
{
    http_add(&t->head.headers, &t->arena, name, value);
}

static int ask_send(struct ask *t, struct str body)
{
    struct mock_question q = { &t->head, body, 5, 1790000000 };
    t->head.has_body = body.n > 0;
    mock_answer_make(&t->ans, &t->arena, &q);
    return t->ans.status;
}

static void ask_done(struct ask *t)
{
    mock_answer_done(&t->ans);
    arena_done(&t->arena);
}

static void check(struct str method, struct str target, struct str key, struct str body, int status,
                  struct str said)
{
    struct ask t;
    ask_begin(&t, method, target);
    if (key.n > 0)
        ask_header(&t, S("authorization"), key);
    int got = ask_send(&t, body);
    struct str text = buf_str(&t.ans.body);
    if (got != status || !str_contains(text, said))
        fail_msg("%.*s: %d %.*s", STR_ARG(target), got, STR_ARG(text));
    ask_done(&t);
}

static const struct str key = S_INIT("Bearer k");

static void requests_are_refused_in_the_vendors_words(void **state)
{
    (void)state;
    const struct str post = S("POST"), m = S("/v1/messages"), c = S("/openai/v1/chat/completions");
    const struct str r = S("/v1/responses");
    check(post, m, S(""), S("{}"), 401, S("\"type\":\"authentication_error\""));
    check(post, c, S("Bearer sk-invalid"), S("{}"), 401, S("\"code\":\"invalid_api_key\""));
    check(post, m, key, S("{"), 400, S("not valid JSON"));
    check(post, m, key, S("[]"), 400, S("\"type\":\"error\""));
    check(post, m, key, S("{\"model\":\"m\",\"messages\":[{}]}"), 400,
          S("max_tokens: Field required"));
    check(post, m, key,
          S("{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{}],\"enabledSearch\":true}"), 400,
          S("enabledSearch: Extra inputs are not permitted"));
    check(post, m, key,
          S("{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{}],\"thinking\":{\"enabled\":1}}"),
          400, S("thinking: Input tag"));
    check(post, m, key,
          S("{\"model\":\"m\",\"max_tokens\":2000,\"messages\":[{}],\"thinking\":{\"type\":"
            "\"enabled\",\"budget_tokens\":2000}}"),
          400, S("must be greater than"));
    check(post, c, key, S("{\"messages\":[]}"), 400, S("you must provide a model parameter"));
    check(post, r, key, S("{\"model\":\"m\"}"), 400, S("\\\"input\\\""));
    check(S("GET"), S("/x"), key, S(""), 404, S("Not found"));
}

static void endpoints_answer(void **state)
{
    (void)state;
    const struct str post = S("POST"), get = S("GET");
    const struct str messages = S("{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}]}");
    check(get, S("/"), S(""), S(""), 200, S("mock"));
    check(post, S("/api/v1/messages/count_tokens?beta=true"), key, messages, 200,
          S("{\"input_tokens\":11}"));
    check(post, S("/v1/responses/input_tokens"), key, S("{\"input\":\"x\"}"), 200,
          S("\"object\":\"response.input_tokens\""));
    check(post, S("/v1/responses/compact"), key,
          S("{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":\"q\"},{\"type\":"
            "\"reasoning\"}]}"),
          200, S("\"output\":[{\"role\":\"user\",\"content\":\"q\"},{\"type\":\"compaction\""));
    check(get, S("/v1/models"), key, S(""), 200, S("{\"object\":\"list\""));
    check(get, S("/v1/models/gpt-5.1"), key, S(""), 200, S("\"id\":\"gpt-5.1\""));
    check(get, S("/v1/models/none"), key, S(""), 404, S("model: none"));
    check(post, S("/v1/files"), key, S("abc"), 200,
          S("\"body_bytes\":3,\"sha256\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61"
            "f20015ad\""));
}

static void models_take_the_callers_shape(void **state)
{
    (void)state;
    struct ask t;
    ask_begin(&t, S("GET"), S("/v1/models"));
    ask_header(&t, S("x-api-key"), S("k"));
    ask_header(&t, S("anthropic-version"), S("2023-06-01"));
    assert_int_equal(ask_send(&t, S("")), 200);
    assert_true(str_contains(buf_str(&t.ans.body), S("\"has_more\":false,\"first_id\":\"claude-")));
    assert_non_null(http_find(&t.ans.headers, S("request-id")));
    assert_non_null(http_find(&t.ans.headers, S("anthropic-ratelimit-requests-reset")));
    ask_done(&t);
}

static void faults_and_speed_come_from_headers(void **state)
{
    (void)state;
    struct ask t;
    ask_begin(&t, S("POST"), S("/v1/messages"));
    ask_header(&t, S("x-api-key"), S("k"));
    ask_header(&t, S("x-mock-fault"), S("status-529"));
    ask_header(&t, S("x-mock-retry-after"), S("9"));
    ask_header(&t, S("x-mock-tps"), S("2.5"));
    assert_int_equal(ask_send(&t, S("{\"model\":\"m\"}")), 529);
    assert_true(str_contains(buf_str(&t.ans.body), S("\"type\":\"overloaded_error\"")));
    assert_str(*http_find(&t.ans.headers, S("retry-after")), S("9"));
    assert_true(t.ans.tokens_per_second == 2.5);
    ask_done(&t);
    check(S("POST"), S("/v1/chat/completions"), key, S("{\"model\":\"mock-status-429\"}"), 429,
          S("\"code\":\"rate_limit_exceeded\""));
}

static void coded_bodies_are_read(void **state)
{
    (void)state;
    struct str plain = S("{\"model\":\"m\",\"input\":\"hello there\"}");
    unsigned char coded[200];
    uLongf n = sizeof(coded);
    struct ask t;
    assert_int_equal(compress(coded, &n, (const Bytef *)plain.p, (uLong)plain.n), Z_OK);
    ask_begin(&t, S("POST"), S("/v1/responses"));
    ask_header(&t, S("authorization"), key);
    ask_header(&t, S("content-encoding"), S("deflate"));
    assert_int_equal(ask_send(&t, (struct str){ (const char *)coded, n }), 200);
    assert_true(str_contains(buf_str(&t.ans.body), S("hello there")));
    ask_done(&t);
    ask_begin(&t, S("POST"), S("/v1/responses"));
    ask_header(&t, S("authorization"), key);
    ask_header(&t, S("content-encoding"), S("snappy"));
    assert_int_equal(ask_send(&t, plain), 415);
    ask_done(&t);
}

static void add_record(struct mock_records *r, uint64_t number, struct str body)
{
    struct http_head head = { .method = S("POST"), .target = S("/v1/x?y"), .major = 1, .minor = 1 };
    mock_record_add(r, number, 3, S("1.2.3.4:5"), &head, mem_dup(body.p, body.n), body.n, false);
}

static void records_are_bounded_and_marked(void **state)
{
    (void)state;
    struct mock_records r;
    struct buf out;
    buf_init(&out, SIZE_MAX);
    mock_records_init(&r);
    for (uint64_t i = 1; i <= MOCK_RECORDS_MAX + 5; i++)
        add_record(&r, i, i % 2 == 0 ? S("text") : S("\xff\xfe"));
    assert_int_equal(r.n, MOCK_RECORDS_MAX);
    mock_record_cancelled(&r, MOCK_RECORDS_MAX + 4);
    mock_record_cancelled(&r, 1); /* gone: nothing happens */
    mock_records_write(&r, 2, &out);
    yyjson_doc *doc;
    struct json_error why;
    assert_int_equal(json_parse(buf_str(&out), &doc, &why), 0);
    yyjson_val *all = yyjson_doc_get_root(doc), *first = yyjson_arr_get_first(all);
    assert_int_equal(yyjson_arr_size(all), 2);
    assert_true(json_member_true(first, S("cancelled")));
    assert_str(json_member_str(first, S("body_text")), S("text"));
    assert_str(json_member_str(first, S("body_base64")), S("dGV4dA=="));
    assert_str(json_member_str(first, S("target")), S("/v1/x?y"));
    assert_true(yyjson_is_null(json_member(yyjson_arr_get(all, 1), S("body_text"))));
    yyjson_doc_free(doc);
    mock_records_clear(&r);
    assert_int_equal(r.n, 0);
    assert_int_equal(r.body_bytes, 0);
    buf_clear(&out);
    mock_records_write(&r, 0, &out);
    assert_str(buf_str(&out), S("[]"));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_refused_in_the_vendors_words),
        cmocka_unit_test(endpoints_answer),
        cmocka_unit_test(models_take_the_callers_shape),
        cmocka_unit_test(faults_and_speed_come_from_headers),
        cmocka_unit_test(coded_bodies_are_read),
        cmocka_unit_test(records_are_bounded_and_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

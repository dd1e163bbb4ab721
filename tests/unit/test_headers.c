/*
 * Goal: what is sent on of a request's headers, which credential, and in which form
 * (docs/adapters.md section 7).
 */
#include "unit.h"

#include "arena_fixture.h"
#include "headers.h"
#include "reply.h"

/* "name: value\n..." */
static struct http_headers make(const char *text)
{
    struct http_headers h = { 0 };
    struct str rest = str_of(text), line;
    while (str_next(&rest, '\n', &line)) {
        size_t colon = str_index(line, ':');
        http_add(&h, &arena, str_slice(line, 0, colon),
                 str_trim(str_slice(line, colon + 1, line.n)));
    }
    return h;
}

static struct str show(const struct http_headers *h)
{
    struct str out = S("");
    for (size_t i = 0; i < h->n; i++)
        out = arena_printf(&arena, STR_FMT STR_FMT ": " STR_FMT "\n", STR_ARG(out),
                           STR_ARG(h->v[i].name), STR_ARG(h->v[i].value));
    return out;
}

static struct str sent(const char *in, struct headers_rule rule)
{
    struct http_headers from = make(in), to = { 0 };
    rule.client = headers_credential(&from, rule.protocol);
    headers_for_upstream(&to, &arena, &from, &rule);
    return show(&to);
}

static void credentials_are_found_in_every_form(void **state)
{
    static const struct {
        const char *headers;
        enum protocol protocol;
        enum credential_form form;
        const char *value;
    } rows[] = {
        { "x-api-key: a", PROTOCOL_MESSAGES, CREDENTIAL_X_API_KEY, "a" },
        { "authorization: Bearer b", PROTOCOL_MESSAGES, CREDENTIAL_BEARER, "b" },
        { "authorization: bEARER  b ", PROTOCOL_RESPONSES, CREDENTIAL_BEARER, "b" },
        { "authorization: b", PROTOCOL_CHAT, CREDENTIAL_BARE, "b" },
        { "api-key: c", PROTOCOL_CHAT, CREDENTIAL_X_API_KEY, "c" },
        { "x-api-key: a\nauthorization: Bearer b", PROTOCOL_MESSAGES, CREDENTIAL_X_API_KEY, "a" },
        { "x-api-key: a\nauthorization: Bearer b", PROTOCOL_RESPONSES, CREDENTIAL_BEARER, "b" },
        { "x-api-key: \nauthorization: Bearer ", PROTOCOL_MESSAGES, CREDENTIAL_NONE, "" },
        { "x_api_key: a", PROTOCOL_MESSAGES, CREDENTIAL_NONE, "" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_headers h = make(rows[i].headers);
        struct credential c = headers_credential(&h, rows[i].protocol);
        assert_int_equal(c.form, rows[i].form);
        assert_str(c.value, str_of(rows[i].value));
    }
}

static void private_headers_stay_and_the_rest_goes_in_order(void **state)
{
    (void)state;
    struct headers_rule rule = { .protocol = PROTOCOL_RESPONSES, .auth_style = S("auto") };
    assert_str(sent("user-agent: u\ncookie: c\norigin: o\nreferer: r\nsec-fetch-mode: cors\n"
                    "forwarded: f\nvia: v\nx-forwarded-for: 1\nx-real-ip: 2\nx-client-type: zed\n"
                    "http-referer: h\nx-title: t\nsession_id: s\nX_Api_Key: k\nx_api_key: k\n"
                    "openai-beta: b\nx-codex-turn-state: ts\noriginator: codex_exec\n"
                    "x-stainless-lang: js\ncontent-encoding: zstd\nauthorization: Bearer k",
                    rule),
               S("user-agent: u\nsession_id: s\nopenai-beta: b\nx-codex-turn-state: ts\n"
                 "originator: codex_exec\nx-stainless-lang: js\nauthorization: Bearer k\n"));
}

static void raw_keeps_what_an_application_says_of_itself(void **state)
{
    (void)state;
    struct headers_rule rule = { .protocol = PROTOCOL_MESSAGES,
                                 .auth_style = S("auto"),
                                 .raw = true,
                                 .json = true,
                                 .keep_coding = true };
    assert_str(
        sent("http-referer: h\nx-title: t\naccept-encoding: gzip, br\ncontent-encoding: zstd\n"
             "anthropic-version: 2026-10-21\nx-api-key: k",
             rule),
        S("http-referer: h\nx-title: t\naccept-encoding: gzip, br\ncontent-encoding: zstd\n"
          "anthropic-version: 2026-10-21\nx-api-key: k\n"));
}

static void messages_get_a_version_and_readable_replies(void **state)
{
    (void)state;
    struct headers_rule rule = { .protocol = PROTOCOL_MESSAGES,
                                 .auth_style = S("auto"),
                                 .json = true };
    assert_str(sent("accept-encoding: gzip\nx-api-key: k", rule),
               S("x-api-key: k\nanthropic-version: 2023-06-01\naccept-encoding: identity\n"));
}

static void styles_and_server_keys(void **state)
{
    static const struct {
        const char *in, *style, *server_key, *out;
        enum protocol protocol;
    } rows[] = {
        { "authorization: Bearer k", "x-api-key", "", "x-api-key: k\n", PROTOCOL_MESSAGES },
        { "x-api-key: k", "bearer", "", "authorization: Bearer k\n", PROTOCOL_MESSAGES },
        { "authorization: k", "auto", "", "authorization: k\n", PROTOCOL_MESSAGES },
        { "x-api-key: k", "bearer", "", "x-api-key: k\n", PROTOCOL_RESPONSES },
        { "authorization: Bearer k", "bearer", "sk", "x-api-key: sk\n", PROTOCOL_MESSAGES },
        { "x-api-key: k", "auto", "sk", "authorization: Bearer sk\n", PROTOCOL_RESPONSES },
        { "a: b", "x-api-key", "", "a: b\n", PROTOCOL_MESSAGES },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct headers_rule rule = { .protocol = rows[i].protocol,
                                     .auth_style = str_of(rows[i].style),
                                     .server_key = str_of(rows[i].server_key) };
        struct str want =
            rows[i].protocol == PROTOCOL_MESSAGES
                ? arena_cat(&arena, str_of(rows[i].out), S("anthropic-version: 2023-06-01\n"))
                : str_of(rows[i].out);
        assert_str(sent(rows[i].in, rule), want);
    }
}

static void clients_see_only_the_listed_headers(void **state)
{
    (void)state;
    struct http_headers up = make("content-type: text/plain\nset-cookie: s\nretry-after: 7\n"
                                  "retry-after-ms: 700\nrequest-id: r\nserver: x\nlocation: /y\n"
                                  "anthropic-ratelimit-tokens-limit: 5\nopenai-version: 1\n"
                                  "content-encoding: gzip\netag: e\ncf-ray: c");
    struct http_headers out = { 0 };
    reply_copy_headers(&out, &arena, &up, false, false);
    assert_str(show(&out), S("content-type: text/plain\nretry-after: 7\nretry-after-ms: 700\n"
                             "request-id: r\nanthropic-ratelimit-tokens-limit: 5\n"
                             "openai-version: 1\ncf-ray: c\n"));
    struct http_headers pass = { 0 };
    reply_copy_headers(&pass, &arena, &up, true, true);
    assert_non_null(http_find(&pass, S("content-encoding")));
    assert_non_null(http_find(&pass, S("etag")));
    assert_null(http_find(&pass, S("set-cookie")));
}

static void origins_are_matched_whole(void **state)
{
    static const struct {
        const char *allowed, *origin, *want; /* NULL: no header */
    } rows[] = {
        { "*", "https://a.example", "*" },
        { "*", NULL, "*" },
        { "https://a.example, https://b.example", "https://b.example", "https://b.example" },
        { "https://a.example", "https://a.example.evil", NULL },
        { "https://a.example", NULL, NULL },
        { "", "https://a.example", NULL },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config c = { .cors_allow_origins = str_of(rows[i].allowed) };
        struct http_headers in = { 0 }, out = { 0 };
        if (rows[i].origin != NULL)
            http_add(&in, &arena, S("origin"), str_of(rows[i].origin));
        reply_add_cors(&out, &arena, &c, &in);
        const struct str *got = http_find(&out, S("access-control-allow-origin"));
        assert_int_equal(got != NULL, rows[i].want != NULL);
        if (got != NULL)
            assert_str(*got, str_of(rows[i].want));
    }
}

static void stream_errors_have_the_protocols_forms(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 1 << 16);
    struct reply_stream_error e = { .protocol = PROTOCOL_MESSAGES,
                                    .type = S("api_error"),
                                    .message = S("a \"b\"") };
    reply_stream_error(&out, &e, S("req_1"));
    assert_str(buf_str(&out), S("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                                "\"api_error\",\"message\":\"a \\\"b\\\"\"}}\n\n"));
    buf_clear(&out);
    e.protocol = PROTOCOL_CHAT;
    reply_stream_error(&out, &e, S("req_1"));
    assert_str(buf_str(&out), S("data: {\"error\":{\"type\":\"api_error\",\"message\":"
                                "\"a \\\"b\\\"\",\"param\":null,\"code\":null}}\n\n"));
    buf_clear(&out);
    e = (struct reply_stream_error){ .protocol = PROTOCOL_RESPONSES,
                                     .message = S("m"),
                                     .response_id = S("resp_1"),
                                     .sequence_number = 4,
                                     .created = true };
    reply_stream_error(&out, &e, S("req_1"));
    assert_str(buf_str(&out),
               S("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"server_error\","
                 "\"code\":\"server_error\",\"message\":\"m\",\"param\":null},"
                 "\"sequence_number\":4}\n\n"
                 "event: response.failed\ndata: {\"type\":\"response.failed\","
                 "\"sequence_number\":5,\"response\":{\"id\":\"resp_1\",\"object\":\"response\","
                 "\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":"
                 "\"m\"}}}\n\n"));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(credentials_are_found_in_every_form, setup, teardown),
        cmocka_unit_test_setup_teardown(private_headers_stay_and_the_rest_goes_in_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(raw_keeps_what_an_application_says_of_itself, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(messages_get_a_version_and_readable_replies, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(styles_and_server_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_see_only_the_listed_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(origins_are_matched_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(stream_errors_have_the_protocols_forms, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Goal: every accepted form of a path reaches its endpoint, no other path does, and
 * wrong methods are told what is allowed (docs/adapters.md section 8.1).
 */
#include "unit.h"

#include "arena_fixture.h"
#include "err.h"
#include "router.h"

static int find(enum service service, const char *method, const char *target, struct route *r)
{
    struct http_head head = { .method = str_of(method), .target = str_of(target) };
    return router_find(service, &head, &arena, r);
}

static void every_form_is_canonical(void **state)
{
    static const struct {
        const char *target, *path, *query;
        enum endpoint endpoint;
    } rows[] = {
        { "/v1/messages", "/v1/messages", "", ENDPOINT_MESSAGES },
        { "/messages", "/v1/messages", "", ENDPOINT_MESSAGES },
        { "/v1/v1/messages", "/v1/messages", "", ENDPOINT_MESSAGES },
        { "/v1/v1/v1/messages/", "/v1/messages", "", ENDPOINT_MESSAGES },
        { "//v1/messages?beta=true", "/v1/messages", "?beta=true", ENDPOINT_MESSAGES },
        { "/messages/count_tokens?beta=true", "/v1/messages/count_tokens", "?beta=true",
          ENDPOINT_COUNT_TOKENS },
        { "/responses", "/v1/responses", "", ENDPOINT_RESPONSES },
        { "/responses/compact", "/v1/responses/compact", "", ENDPOINT_COMPACT },
        { "/chat/completions", "/v1/chat/completions", "", ENDPOINT_CHAT },
    };
    (void)state;
    for (int s = 0; s < SERVICE_COUNT; s++)
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            struct route r;
            assert_int_equal(find((enum service)s, "POST", rows[i].target, &r), 0);
            assert_int_equal(r.endpoint, rows[i].endpoint);
            assert_int_equal(r.kind, ROUTE_JSON);
            assert_str(r.path, str_of(rows[i].path));
            assert_str(r.query, str_of(rows[i].query));
        }
}

static void local_endpoints_answer_get_and_head(void **state)
{
    static const struct {
        const char *target;
        enum endpoint endpoint;
    } rows[] = {
        { "/", ENDPOINT_ROOT },          { "/health", ENDPOINT_HEALTH },
        { "/health/", ENDPOINT_HEALTH }, { "/adapters", ENDPOINT_ADAPTERS },
        { "/v1", ENDPOINT_API },         { "/v1/", ENDPOINT_API },
        { "/v1/v1", ENDPOINT_API },      { "/api/hello", ENDPOINT_HELLO },
        { "/models", ENDPOINT_MODELS },  { "/v1/v1/models?limit=990", ENDPOINT_MODELS },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct route r;
        assert_int_equal(find(SERVICE_CODEX, "GET", rows[i].target, &r), 0);
        assert_int_equal(r.endpoint, rows[i].endpoint);
        assert_int_equal(find(SERVICE_CODEX, "HEAD", rows[i].target, &r), 0);
        assert_int_equal(find(SERVICE_CODEX, "POST", rows[i].target, &r), E_METHOD);
    }
}

static void nothing_hostile_gets_through(void **state)
{
    static const char *const rows[] = {
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/x",
        "/v1/files/../../x",
        "/v1/files/%2E%2e/x",
        "/v1/files/a%2fb",
        "/v1/files/a\\b",
        "/v1/files/a;b",
        "/v1/./messages",
        "/v1/messages/../files",
        "/V1/messages",
        "/v1/Messages",
        "/nope",
        "/v1/nope",
        "/v2/messages",
        "/v1/messagesx",
        "v1/messages",
        "",
        "/v1/messages/batchesx",
        "/admin",
        "/metrics",
        "/requests",
    };
    (void)state;
    for (int s = 0; s < SERVICE_COUNT; s++)
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            struct route r;
            assert_int_equal(find((enum service)s, "POST", rows[i], &r), E_NOT_FOUND);
        }
    struct route r;
    assert_int_equal(find(SERVICE_CLAUDE, "GET", "/%00", &r), E_BAD_REQUEST);
}

static void vendors_families_pass_on_their_own_service(void **state)
{
    struct route r;
    (void)state;
    assert_int_equal(find(SERVICE_CODEX, "POST", "/embeddings", &r), 0);
    assert_int_equal(r.kind, ROUTE_PASS);
    assert_str(r.path, S("/v1/embeddings"));
    assert_int_equal(find(SERVICE_CLAUDE, "POST", "/v1/embeddings", &r), E_NOT_FOUND);
    assert_int_equal(find(SERVICE_CLAUDE, "POST", "/v1/messages/batches", &r), 0);
    assert_int_equal(r.kind, ROUTE_PASS);
    assert_int_equal(find(SERVICE_CODEX, "DELETE", "/v1/responses/resp_1", &r), 0);
    assert_int_equal(find(SERVICE_CODEX, "GET", "/v1/responses/resp_1/input_items?limit=1", &r), 0);
    assert_str(r.query, S("?limit=1"));
    assert_int_equal(find(SERVICE_CODEX, "GET", "/v1/chat/completions", &r), 0);
    assert_int_equal(r.kind, ROUTE_PASS);
    assert_int_equal(find(SERVICE_CLAUDE, "GET", "/v1/chat/completions", &r), E_METHOD);
    assert_int_equal(find(SERVICE_CODEX, "GET", "/v1/models/gpt-5", &r), 0);
    assert_int_equal(r.kind, ROUTE_PASS);
    assert_int_equal(find(SERVICE_CODEX, "CONNECT", "/v1/files", &r), E_METHOD);
    assert_int_equal(find(SERVICE_CODEX, "CONNECT", "example.com:443", &r), E_METHOD);
}

static void wrong_methods_learn_what_is_allowed(void **state)
{
    static const char *const methods[] = { "GET", "HEAD", "PUT", "DELETE", "TRACE", "get" };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        struct route r;
        assert_int_equal(find(SERVICE_CLAUDE, methods[i], "/v1/messages", &r), E_METHOD);
        assert_str(r.allow, S("POST, OPTIONS"));
    }
    struct route r;
    assert_int_equal(find(SERVICE_CLAUDE, "OPTIONS", "/v1/messages", &r), 0);
    assert_int_equal(r.kind, ROUTE_PREFLIGHT);
    assert_str(r.allow, S("POST, OPTIONS"));
    assert_int_equal(find(SERVICE_CLAUDE, "OPTIONS", "*", &r), 0);
}

static void websockets_are_sent_to_post(void **state)
{
    (void)state;
    for (int s = 0; s < SERVICE_COUNT; s++) {
        struct route r;
        struct http_head head = { .method = S("GET"),
                                  .target = S("/v1/responses"),
                                  .upgrade = true,
                                  .upgrade_websocket = true };
        assert_int_equal(router_find((enum service)s, &head, &arena, &r), E_UPGRADE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_form_is_canonical, setup, teardown),
        cmocka_unit_test_setup_teardown(local_endpoints_answer_get_and_head, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_hostile_gets_through, setup, teardown),
        cmocka_unit_test_setup_teardown(vendors_families_pass_on_their_own_service, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(wrong_methods_learn_what_is_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(websockets_are_sent_to_post, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "mock_answer.h"

#include <time.h>

#include "coding.h"
#include "err.h"
#include "json.h"
#include "mock_record.h"

enum { FLOOD_HEADERS = 35, FLOOD_HEADER_BYTES = 2048 };

/* protocols.md A5.1 */
static const struct {
    int status;
    struct str anthropic, openai, code;
} error_types[] = {
    { 400, S_INIT("invalid_request_error"), S_INIT("invalid_request_error"), S_INIT("null") },
    { 401, S_INIT("authentication_error"), S_INIT("invalid_request_error"),
      S_INIT("\"invalid_api_key\"") },
    { 402, S_INIT("billing_error"), S_INIT("insufficient_quota"),
      S_INIT("\"insufficient_quota\"") },
    { 403, S_INIT("permission_error"), S_INIT("invalid_request_error"), S_INIT("null") },
    { 404, S_INIT("not_found_error"), S_INIT("invalid_request_error"), S_INIT("null") },
    { 408, S_INIT("timeout_error"), S_INIT("server_error"), S_INIT("\"timeout\"") },
    { 409, S_INIT("conflict_error"), S_INIT("conflict"), S_INIT("null") },
    { 413, S_INIT("request_too_large"), S_INIT("invalid_request_error"), S_INIT("null") },
    { 429, S_INIT("rate_limit_error"), S_INIT("rate_limit_error"),
      S_INIT("\"rate_limit_exceeded\"") },
    { 500, S_INIT("api_error"), S_INIT("server_error"), S_INIT("null") },
    { 503, S_INIT("api_error"), S_INIT("server_error"), S_INIT("\"server_overloaded\"") },
    { 504, S_INIT("timeout_error"), S_INIT("server_error"), S_INIT("null") },
    { 529, S_INIT("overloaded_error"), S_INIT("server_error"), S_INIT("\"server_overloaded\"") },
};

static const struct {
    struct str id, name;
    bool anthropic;
} models[] = {
    { S_INIT("claude-opus-4-8"), S_INIT("Claude Opus 4.8 (simulated)"), true },
    { S_INIT("claude-sonnet-4-6"), S_INIT("Claude Sonnet 4.6 (simulated)"), true },
    { S_INIT("claude-haiku-4-5"), S_INIT("Claude Haiku 4.5 (simulated)"), true },
    { S_INIT("gpt-5.1"), S_INIT("GPT-5.1 (simulated)"), false },
    { S_INIT("gpt-5.1-codex"), S_INIT("GPT-5.1 Codex (simulated)"), false },
    { S_INIT("gpt-4.1-mini"), S_INIT("GPT-4.1 mini (simulated)"), false },
};

static size_t error_row(int status)
{
    size_t otherwise = 0;
    for (size_t i = 0; i < ARRAY_LEN(error_types); i++) {
        if (error_types[i].status == status)
            return i;
        if (error_types[i].status == (status >= 500 ? 500 : 400))
            otherwise = i;
    }
    return otherwise;
}

struct str mock_route(struct str target)
{
    struct str path = str_slice(target, 0, str_index(target, '?'));
    size_t at = str_find(path, S("/v1/"));
    if (at == path.n)
        return S("");
    return str_slice(path, at, path.n);
}

struct str mock_query(struct str target, struct str name)
{
    size_t at = str_index(target, '?');
    struct str query = str_slice(target, at + 1, target.n), pair;
    while (str_next(&query, '&', &pair)) {
        size_t eq = str_index(pair, '=');
        if (str_eq(str_slice(pair, 0, eq), name))
            return str_slice(pair, eq + 1, pair.n);
    }
    return (struct str){ 0 };
}

static struct str header(const struct mock_question *q, struct str name)
{
    const struct str *value = http_find(&q->head->headers, name);
    return value != NULL ? *value : (struct str){ 0 };
}

static uint64_t header_u64(const struct mock_question *q, struct str name, uint64_t otherwise)
{
    uint64_t n;
    return str_to_u64(header(q, name), &n) == 0 ? n : otherwise;
}

static void add(struct mock_answer *ans, struct arena *a, struct str name, struct str value)
{
    http_add(&ans->headers, a, name, value);
}

static struct str request_id(struct arena *a, uint64_t number)
{
    return arena_printf(a, "req_mock%016llx", (unsigned long long)number);
}

static void add_anthropic_headers(struct mock_answer *ans, struct arena *a, uint64_t number,
                                  struct str reset)
{
    add(ans, a, S("request-id"), request_id(a, number));
    add(ans, a, S("anthropic-organization-id"), S("00000000-mock-0000-0000-000000000000"));
    add(ans, a, S("anthropic-ratelimit-requests-limit"), S("4000"));
    add(ans, a, S("anthropic-ratelimit-requests-remaining"), S("3999"));
    add(ans, a, S("anthropic-ratelimit-requests-reset"), reset);
    add(ans, a, S("anthropic-ratelimit-tokens-limit"), S("2000000"));
    add(ans, a, S("anthropic-ratelimit-tokens-remaining"), S("1999000"));
    add(ans, a, S("anthropic-ratelimit-tokens-reset"), reset);
}

static void add_openai_headers(struct mock_answer *ans, struct arena *a, uint64_t number)
{
    add(ans, a, S("x-request-id"), request_id(a, number));
    add(ans, a, S("openai-organization"), S("org-mock"));
    add(ans, a, S("openai-processing-ms"), S("12"));
    add(ans, a, S("openai-version"), S("2020-10-01"));
    add(ans, a, S("x-ratelimit-limit-requests"), S("10000"));
    add(ans, a, S("x-ratelimit-remaining-requests"), S("9999"));
    add(ans, a, S("x-ratelimit-reset-requests"), S("6ms"));
    add(ans, a, S("x-ratelimit-limit-tokens"), S("2000000"));
    add(ans, a, S("x-ratelimit-remaining-tokens"), S("1999000"));
    add(ans, a, S("x-ratelimit-reset-tokens"), S("30ms"));
}

static void add_vendor_headers(struct mock_answer *ans, struct arena *a, bool anthropic,
                               const struct mock_question *q)
{
    time_t t = (time_t)q->created_s + 1;
    struct tm tm;
    char text[sizeof("2026-01-01T00:00:00Z")];
    if (!anthropic) {
        add_openai_headers(ans, a, q->number);
        return;
    }
    must(gmtime_r(&t, &tm) != NULL);
    size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    add_anthropic_headers(ans, a, q->number, arena_str(a, (struct str){ text, n }));
}

static void set_json(struct mock_answer *ans, struct arena *a, int status)
{
    ans->status = status;
    ans->streams = false;
    http_set(&ans->headers, a, S("content-type"), S("application/json"));
}

void mock_answer_error(struct mock_answer *ans, struct arena *a, bool anthropic, uint64_t number,
                       int status, struct str message)
{
    size_t row = error_row(status);
    buf_clear(&ans->body);
    set_json(ans, a, status);
    if (anthropic)
        mock_json(&ans->body,
                  "{\"type\":\"error\",\"error\":{\"type\":$s,\"message\":$s},\"request_id\":$s}",
                  error_types[row].anthropic, message, request_id(a, number));
    else
        mock_json(&ans->body, "{\"error\":{\"message\":$s,\"type\":$s,\"param\":null,\"code\":$r}}",
                  message, error_types[row].openai, error_types[row].code);
}

static void refuse(struct mock_answer *ans, struct arena *a, bool anthropic,
                   const struct mock_question *q, int status, struct str message)
{
    mock_answer_error(ans, a, anthropic, q->number, status, message);
}

/* The key, whichever way it came. */
static struct str credential(const struct mock_question *q)
{
    struct str key = header(q, S("x-api-key")), auth = header(q, S("authorization"));
    if (key.n == 0)
        key = header(q, S("api-key"));
    if (key.n > 0)
        return key;
    return str_starts_nocase(auth, S("bearer ")) ? str_trim(str_slice(auth, 7, auth.n)) : auth;
}

static bool check_key(struct mock_answer *ans, struct arena *a, bool anthropic,
                      const struct mock_question *q)
{
    struct str key = credential(q);
    if (key.n > 0 && !str_eq(key, S("sk-invalid")))
        return true;
    struct str message;
    if (anthropic)
        message = key.n > 0 ? S("invalid x-api-key") : S("x-api-key header is required");
    else
        message = key.n > 0 ? S("Incorrect API key provided: sk-in***lid. You can find your API "
                                "key at https://platform.openai.com/account/api-keys.")
                            : S("You didn't provide an API key. You need to provide your API key "
                                "in an Authorization header using Bearer auth.");
    refuse(ans, a, anthropic, q, 401, message);
    return false;
}

static void add_flood(struct mock_answer *ans, struct arena *a)
{
    char *text = arena_new(a, char, FLOOD_HEADER_BYTES);
    for (size_t i = 0; i < FLOOD_HEADER_BYTES; i++)
        text[i] = 'f';
    for (int i = 0; i < FLOOD_HEADERS; i++)
        add(ans, a, arena_printf(a, "x-flood-%d", i), (struct str){ text, FLOOD_HEADER_BYTES });
}

/* Finds the fault; true when it has answered already. */
static bool apply_fault(struct mock_answer *ans, struct arena *a, bool anthropic,
                        const struct mock_question *q, struct str model)
{
    ans->fault = mock_fault_find(header(q, S("x-mock-fault")), model);
    if (ans->fault.kind == MOCK_FAULT_FLOOD_HEADERS)
        add_flood(ans, a);
    if (ans->fault.kind != MOCK_FAULT_STATUS)
        return false;
    struct str after = header(q, S("x-mock-retry-after"));
    add(ans, a, S("retry-after"), after.n > 0 ? after : S("1"));
    refuse(ans, a, anthropic, q, (int)ans->fault.number,
           ans->fault.number == 529 ? S("Overloaded") : S("This fault was asked for."));
    return true;
}

/* Decodes and parses; false when it has answered with an error. */
static bool parse_body(struct mock_answer *ans, struct arena *a, bool anthropic,
                       const struct mock_question *q, size_t *ret_bytes)
{
    struct str coding = http_join(&q->head->headers, S("content-encoding"), a), text = q->body;
    struct buf decoded;
    int e = 0;
    buf_init(&decoded, MOCK_BODY_BYTES_MAX);
    if (!coding_is_identity(coding)) {
        e = coding_decode(coding, text, MOCK_BODY_BYTES_MAX, &decoded);
        text = buf_str(&decoded);
    }
    struct json_error why;
    if (e == 0)
        e = json_parse(text, &ans->doc, &why);
    *ret_bytes = text.n;
    buf_done(&decoded);
    if (e == E_BAD_JSON)
        refuse(ans, a, anthropic, q, 400,
               anthropic ? S("The request body is not valid JSON.")
                         : S("We could not parse the JSON body of your request."));
    else if (e < 0)
        refuse(ans, a, anthropic, q, err_row(e)->http_status, str_of(err_row(e)->text));
    else if (!yyjson_is_obj(yyjson_doc_get_root(ans->doc)))
        refuse(ans, a, anthropic, q, 400, S("Input should be an object"));
    else
        return true;
    return false;
}

/* POST /v1/messages, /v1/chat/completions, /v1/responses. */
static void generate(struct mock_answer *ans, struct arena *a, const struct mock_vendor *vendor,
                     const struct mock_question *q)
{
    struct mock_wish wish = { .number = q->number, .created_s = q->created_s };
    if (!parse_body(ans, a, vendor->anthropic, q, &wish.body_bytes))
        return;
    yyjson_val *root = yyjson_doc_get_root(ans->doc);
    if (apply_fault(ans, a, vendor->anthropic, q, json_member_str(root, S("model"))))
        return;
    struct buf message;
    buf_init(&message, 4096);
    int status = vendor->check(root, &message);
    if (status != 0)
        refuse(ans, a, vendor->anthropic, q, status, buf_str(&message));
    buf_done(&message);
    if (status != 0)
        return;
    struct mock_ask ask;
    struct mock_plan plan;
    mock_ask_read(&ask, vendor, root, a);
    wish.n_deltas = header_u64(q, S("x-mock-tokens"), 0);
    wish.huge_mib = ans->fault.kind == MOCK_FAULT_HUGE_EVENT ? ans->fault.number : 0;
    mock_plan_make(&plan, a, &ask, &wish);
    mock_reply_init(&ans->reply, vendor, &plan);
    ans->streams = ask.stream;
    if (ask.stream) {
        http_set(&ans->headers, a, S("content-type"), S("text/event-stream; charset=utf-8"));
        http_set(&ans->headers, a, S("cache-control"), S("no-cache"));
    } else if (ans->fault.kind == MOCK_FAULT_ERROR_EVENT) {
        refuse(ans, a, vendor->anthropic, q, 200, S("This fault was asked for."));
    } else {
        vendor->body(&plan, &ans->body);
    }
}

/* count_tokens and input_tokens: about a token for 4 bytes. */
static void count(struct mock_answer *ans, struct arena *a, const struct mock_question *q,
                  bool anthropic)
{
    size_t bytes;
    if (!parse_body(ans, a, anthropic, q, &bytes))
        return;
    yyjson_val *root = yyjson_doc_get_root(ans->doc);
    if (apply_fault(ans, a, anthropic, q, json_member_str(root, S("model"))))
        return;
    uint64_t tokens = bytes / 4 + 1;
    if (anthropic && !mock_is_filled_array(root, S("messages")))
        refuse(ans, a, anthropic, q, 400, S("messages: Field required"));
    else if (anthropic)
        mock_json(&ans->body, "{\"input_tokens\":$u}", tokens);
    else
        mock_json(&ans->body, "{\"object\":\"response.input_tokens\",\"input_tokens\":$u}", tokens);
}

/* User messages stay, the rest becomes one opaque item (A3.7). */
static void compact(struct mock_answer *ans, struct arena *a, const struct mock_question *q)
{
    size_t bytes;
    if (!parse_body(ans, a, false, q, &bytes))
        return;
    yyjson_val *root = yyjson_doc_get_root(ans->doc), *input = json_member(root, S("input"));
    if (apply_fault(ans, a, false, q, json_member_str(root, S("model"))))
        return;
    struct buf *out = &ans->body;
    mock_json(out, "{\"id\":\"resp_$r\",\"object\":\"response.compaction\",\"created_at\":$u,",
              request_id(a, q->number), q->created_s);
    buf_add(out, S("\"output\":["));
    for (size_t i = 0; i < yyjson_arr_size(input); i++) {
        yyjson_val *item = yyjson_arr_get(input, i);
        if (str_eq(json_member_str(item, S("role")), S("user")))
            mock_json(out, "$r,", mock_raw(a, item));
    }
    mock_json(out,
              "{\"type\":\"compaction\",\"id\":\"cmp_$u\",\"encrypted_content\":\"gAAAAABmock$u\"}"
              "],\"usage\":{\"input_tokens\":$u,\"input_tokens_details\":{\"cached_tokens\":0},"
              "\"output_tokens\":16,\"output_tokens_details\":{\"reasoning_tokens\":0},"
              "\"total_tokens\":$u}}",
              q->number, q->number, (uint64_t)bytes / 4, (uint64_t)bytes / 4 + 16);
}

static void write_model(size_t i, bool anthropic, struct buf *out)
{
    if (anthropic)
        mock_json(out,
                  "{\"type\":\"model\",\"id\":$s,\"display_name\":$s,"
                  "\"created_at\":\"2026-01-01T00:00:00Z\"}",
                  models[i].id, models[i].name);
    else
        mock_json(out,
                  "{\"id\":$s,\"object\":\"model\",\"created\":1767225600,\"owned_by\":\"mock\"}",
                  models[i].id);
}

static void list_models(struct mock_answer *ans, bool anthropic)
{
    struct buf *out = &ans->body;
    size_t first = ARRAY_LEN(models), last = 0;
    buf_add(out, anthropic ? S("{\"data\":[") : S("{\"object\":\"list\",\"data\":["));
    for (size_t i = 0; i < ARRAY_LEN(models); i++) {
        if (models[i].anthropic != anthropic)
            continue;
        if (first < ARRAY_LEN(models))
            buf_add_byte(out, ',');
        else
            first = i;
        write_model(i, anthropic, out);
        last = i;
    }
    buf_add_byte(out, ']');
    if (anthropic)
        mock_json(out, ",\"has_more\":false,\"first_id\":$s,\"last_id\":$s", models[first].id,
                  models[last].id);
    buf_add_byte(out, '}');
}

static void one_model(struct mock_answer *ans, struct arena *a, bool anthropic,
                      const struct mock_question *q, struct str id)
{
    for (size_t i = 0; i < ARRAY_LEN(models); i++) {
        if (str_eq(models[i].id, id)) {
            write_model(i, anthropic, &ans->body);
            return;
        }
    }
    refuse(ans, a, anthropic, q, 404, arena_cat(a, S("model: "), id));
}

/* Everything else under /v1: says what came, so that pass-through can be seen. */
static void echo(struct mock_answer *ans, const struct mock_question *q)
{
    mock_json(&ans->body,
              "{\"id\":\"echo_$u\",\"method\":$s,\"path\":$s,\"content_type\":$s,"
              "\"body_bytes\":$u,\"sha256\":\"",
              q->number, q->head->method, q->head->target, header(q, S("content-type")),
              (uint64_t)q->body.n);
    mock_sha256(q->body, &ans->body);
    buf_add(&ans->body, S("\"}"));
}

static void dispatch(struct mock_answer *ans, struct arena *a, bool anthropic,
                     const struct mock_question *q)
{
    struct str route = mock_route(q->head->target);
    bool post = str_eq(q->head->method, S("POST")), get = !post && !q->head->has_body;
    if (post && str_eq(route, S("/v1/messages")))
        generate(ans, a, &mock_messages, q);
    else if (post && str_eq(route, S("/v1/chat/completions")))
        generate(ans, a, &mock_chat, q);
    else if (post && str_eq(route, S("/v1/responses")))
        generate(ans, a, &mock_responses, q);
    else if (post && str_eq(route, S("/v1/messages/count_tokens")))
        count(ans, a, q, true);
    else if (post && str_eq(route, S("/v1/responses/input_tokens")))
        count(ans, a, q, false);
    else if (post && str_eq(route, S("/v1/responses/compact")))
        compact(ans, a, q);
    else if (apply_fault(ans, a, anthropic, q, (struct str){ 0 }))
        return;
    else if (get && str_eq(route, S("/v1/models")))
        list_models(ans, anthropic);
    else if (get && str_starts(route, S("/v1/models/")))
        one_model(ans, a, anthropic, q, str_slice(route, 11, route.n));
    else
        echo(ans, q);
}

void mock_answer_make(struct mock_answer *ans, struct arena *a, const struct mock_question *q)
{
    struct str target = q->head->target, route = mock_route(target);
    bool anthropic = str_starts(route, S("/v1/messages")) ||
                     http_find(&q->head->headers, S("anthropic-version")) != NULL;
    *ans = (struct mock_answer){ .status = 200, .tokens_per_second = -1 };
    buf_init(&ans->body, SIZE_MAX);
    set_json(ans, a, 200);
    if (str_to_double(header(q, S("x-mock-tps")), &ans->tokens_per_second) < 0)
        ans->tokens_per_second = -1;
    if (route.n == 0 && (str_eq(target, S("/")) || str_ends(target, S("/api/hello")))) {
        buf_add(&ans->body, S("{\"mock\":\"cc-proxy\"}"));
        return;
    }
    add_vendor_headers(ans, a, anthropic, q);
    if (route.n == 0)
        refuse(ans, a, anthropic, q, 404, S("Not found"));
    else if (check_key(ans, a, anthropic, q))
        dispatch(ans, a, anthropic, q);
}

void mock_answer_done(struct mock_answer *ans)
{
    buf_done(&ans->body);
    yyjson_doc_free(ans->doc);
    ans->doc = NULL;
}

#include "reply.h"

#include <inttypes.h>

#include "json.h"

void reply_error_body(struct buf *out, struct str type, struct str message, struct str request_id)
{
    buf_add(out, S("{\"type\":\"error\",\"error\":{\"type\":"));
    json_write_str(out, type);
    buf_add(out, S(",\"message\":"));
    json_write_str(out, message);
    buf_add(out, S(",\"param\":null,\"code\":null},\"request_id\":"));
    json_write_str(out, request_id);
    buf_add_byte(out, '}');
}

const char *reply_error_type(int status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 429:
        return "rate_limit_error";
    default:
        return status < 500 ? "invalid_request_error" : "api_error";
    }
}

/* --- headers --- */

/* What clients may see of an upstream's reply.  A final '*' is a prefix. */
static const struct str returned[] = {
    S_INIT("retry-after*"),
    S_INIT("x-should-retry"),
    S_INIT("request-id"),
    S_INIT("x-request-id"),
    S_INIT("anthropic-ratelimit-*"),
    S_INIT("anthropic-organization-id"),
    S_INIT("x-ratelimit-*"),
    S_INIT("openai-*"),
    S_INIT("x-codex-*"),
    S_INIT("cf-ray"),
};

/* Further ones for endpoints that are passed through: files and the like. */
static const struct str returned_pass[] = {
    S_INIT("content-disposition"), S_INIT("content-range"), S_INIT("accept-ranges"),
    S_INIT("content-language"),    S_INIT("etag"),          S_INIT("last-modified"),
};

/* What browsers' scripts may read; wildcards are spelled out for them. */
#define EXPOSED                                                                                   \
    "content-type, retry-after, retry-after-ms, x-should-retry, request-id, x-request-id, "       \
    "anthropic-organization-id, anthropic-ratelimit-requests-limit, "                             \
    "anthropic-ratelimit-requests-remaining, anthropic-ratelimit-requests-reset, "                \
    "anthropic-ratelimit-tokens-limit, anthropic-ratelimit-tokens-remaining, "                    \
    "anthropic-ratelimit-tokens-reset, anthropic-ratelimit-input-tokens-limit, "                  \
    "anthropic-ratelimit-input-tokens-remaining, anthropic-ratelimit-input-tokens-reset, "        \
    "anthropic-ratelimit-output-tokens-limit, anthropic-ratelimit-output-tokens-remaining, "      \
    "anthropic-ratelimit-output-tokens-reset, x-ratelimit-limit-requests, "                       \
    "x-ratelimit-limit-tokens, x-ratelimit-remaining-requests, x-ratelimit-remaining-tokens, "    \
    "x-ratelimit-reset-requests, x-ratelimit-reset-tokens, openai-organization, openai-project, " \
    "openai-version, openai-processing-ms, openai-model, x-codex-turn-state, cf-ray, "            \
    "x-cc-proxy-adapter, x-cc-proxy-warning"

static bool in_list(struct str name, const struct str *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct str row = list[i];
        if (row.p[row.n - 1] == '*' ? str_starts(name, str_slice(row, 0, row.n - 1))
                                    : str_eq(name, row))
            return true;
    }
    return false;
}

void reply_copy_headers(struct http_headers *out, struct arena *a,
                        const struct http_headers *upstream, bool coded, bool pass_through)
{
    for (size_t i = 0; i < upstream->n; i++) {
        struct http_header h = upstream->v[i];
        bool copy = str_eq(h.name, S("content-type")) ||
                    in_list(h.name, returned, ARRAY_LEN(returned)) ||
                    (coded && str_eq(h.name, S("content-encoding"))) ||
                    (pass_through && in_list(h.name, returned_pass, ARRAY_LEN(returned_pass)));
        if (copy && http_value_ok(h.value))
            http_add(out, a, arena_str(a, h.name), arena_str(a, h.value));
    }
}

/* The value of access-control-allow-origin; empty: this origin may not. */
static struct str allowed_origin(const struct config *config, const struct http_headers *request,
                                 bool *ret_echoed)
{
    struct str list = config->cors_allow_origins, part;
    const struct str *origin = http_find(request, S("origin"));
    *ret_echoed = false;
    while (str_next(&list, ',', &part)) {
        part = str_trim(part);
        if (str_eq(part, S("*")))
            return S("*");
        *ret_echoed = true;
        if (origin != NULL && str_eq_nocase(part, *origin))
            return *origin;
    }
    return S("");
}

void reply_add_cors(struct http_headers *out, struct arena *a, const struct config *config,
                    const struct http_headers *request)
{
    bool echoed;
    struct str origin = allowed_origin(config, request, &echoed);
    if (echoed)
        http_add(out, a, S("vary"), S("origin"));
    if (origin.n == 0)
        return;
    http_add(out, a, S("access-control-allow-origin"), arena_str(a, origin));
    http_add(out, a, S("access-control-expose-headers"), S(EXPOSED));
}

void reply_add_preflight(struct http_headers *out, struct arena *a, const struct config *config,
                         const struct http_headers *request, struct str allow)
{
    const struct str *method = http_find(request, S("access-control-request-method"));
    bool preflight = method != NULL && http_find(request, S("origin")) != NULL;
    reply_add_cors(out, a, config, request);
    if (!preflight) {
        http_add(out, a, S("allow"), allow);
        return;
    }
    if (http_find(out, S("access-control-allow-origin")) == NULL)
        return;
    http_add(out, a, S("access-control-allow-methods"), S("GET, HEAD, POST, OPTIONS"));
    struct str asked = http_join(request, S("access-control-request-headers"), a);
    if (asked.n > 0 && http_value_ok(asked))
        http_add(out, a, S("access-control-allow-headers"), asked);
    http_add(out, a, S("access-control-max-age"), S("600"));
    const struct str *private_net = http_find(request, S("access-control-request-private-network"));
    if (private_net != NULL && str_eq_nocase(*private_net, S("true")))
        http_add(out, a, S("access-control-allow-private-network"), S("true"));
}

/* --- streams --- */

static void responses_error(struct buf *out, const struct reply_stream_error *e, struct str id)
{
    int64_t n = e->sequence_number;
    if (!e->created) {
        buf_add(out, S("event: response.created\ndata: {\"type\":\"response.created\","
                       "\"sequence_number\":0,\"response\":{\"id\":"));
        json_write_str(out, id);
        buf_add(out, S(",\"object\":\"response\",\"status\":\"in_progress\",\"error\":null,"
                       "\"output\":[]}}\n\n"));
        n = 1;
    }
    buf_add(out, S("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"server_error\","
                   "\"code\":\"server_error\",\"message\":"));
    json_write_str(out, e->message);
    buf_addf(out, ",\"param\":null},\"sequence_number\":%" PRId64 "}\n\n", n);
    buf_addf(out,
             "event: response.failed\ndata: {\"type\":\"response.failed\","
             "\"sequence_number\":%" PRId64 ",\"response\":{\"id\":",
             n + 1);
    json_write_str(out, id);
    buf_add(out, S(",\"object\":\"response\",\"status\":\"failed\",\"error\":{"
                   "\"code\":\"server_error\",\"message\":"));
    json_write_str(out, e->message);
    buf_add(out, S("}}}\n\n"));
}

void reply_stream_error(struct buf *out, const struct reply_stream_error *e, struct str request_id)
{
    switch (e->protocol) {
    case PROTOCOL_MESSAGES:
        buf_add(out, S("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"));
        json_write_str(out, e->type);
        buf_add(out, S(",\"message\":"));
        json_write_str(out, e->message);
        buf_add(out, S("}}\n\n"));
        break;
    case PROTOCOL_RESPONSES:
        responses_error(out, e, e->response_id.n > 0 ? e->response_id : request_id);
        break;
    default:
        buf_add(out, S("data: {\"error\":{\"type\":"));
        json_write_str(out, e->type);
        buf_add(out, S(",\"message\":"));
        json_write_str(out, e->message);
        buf_add(out, S(",\"param\":null,\"code\":null}}\n\n"));
        break;
    }
}

struct str reply_ping(enum protocol protocol, bool begun)
{
    if (begun && protocol == PROTOCOL_MESSAGES)
        return S("event: ping\ndata: {\"type\":\"ping\"}\n\n");
    if (begun && protocol == PROTOCOL_RESPONSES)
        return S("event: keepalive\ndata: {\"type\":\"keepalive\"}\n\n");
    return S(": ping\n\n");
}

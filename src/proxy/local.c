#include "local.h"

#include "err.h"
#include "headers.h"
#include "mem.h"
#include "reply.h"
#include "request_log.h"
#include "request_reply.h"

static const struct names {
    const char *service, *title, *api, *description;
} names[SERVICE_COUNT] = {
    [SERVICE_CLAUDE] = { "claude-service", "Claude Service", "messages",
                         "Proxy for the Anthropic Messages API" },
    [SERVICE_CODEX] = { "codex-service", "Codex Service", "responses",
                        "Proxy for the OpenAI Responses API" },
};

void local_reply(struct request *r)
{
    const struct names *n = &names[r->service];
    struct buf body;
    buf_init(&body, 1 << 20);
    switch (r->route.endpoint) {
    case ENDPOINT_HEALTH:
        buf_addf(&body, "{\"status\":\"healthy\",\"service\":\"%s\",\"version\":\"%s\"}",
                 n->service, CCP_VERSION);
        break;
    case ENDPOINT_API:
        buf_addf(&body, "{\"api\":\"%s\",\"version\":\"v1\",\"supported\":true}", n->api);
        break;
    case ENDPOINT_ADAPTERS:
        adapters_describe(r->worker->adapters, &body);
        break;
    case ENDPOINT_HELLO:
        buf_add(&body, S("{\"status\":\"ok\"}"));
        break;
    default:
        buf_addf(&body,
                 "{\"service\":\"%s\",\"version\":\"%s\",\"description\":\"%s\","
                 "\"status\":\"running\"}",
                 n->title, CCP_VERSION, n->description);
        break;
    }
    request_reply(r, 200, S("application/json"), buf_str(&body));
    buf_done(&body);
}

/* --- the admin listener --- */

static bool admin_may(const struct worker *w, const struct http_head *head)
{
    struct str token = str_trim(w->config->admin_token);
    if (token.n == 0)
        return true;
    struct credential c = headers_credential(&head->headers, PROTOCOL_CHAT);
    return c.form == CREDENTIAL_BEARER && str_eq_secret(c.value, token);
}

static int admin_answer(struct worker *w, const struct http_head *head, struct buf *body)
{
    if (!admin_may(w, head)) {
        w->counters->refused[REFUSAL_KEY]++;
        buf_add(body, S("unauthorized\n"));
        return 401;
    }
    if (str_eq(head->target, S("/metrics"))) {
        counters_write(w->slots, body);
        return 200;
    }
    bool health = str_eq(head->target, S("/health"));
    buf_add(body, health ? S("ok\n") : S("not found\n"));
    return health ? 200 : 404;
}

static void admin_request(void *ctx, struct server_stream *s, const struct http_head *head)
{
    struct worker_listener *l = ctx;
    struct arena a;
    struct buf body;
    struct http_headers headers = { 0 };
    arena_init(&a, 64 * 1024);
    buf_init(&body, 1 << 20);
    int status = admin_answer(l->worker, head, &body);
    if (status == 401)
        http_add(&headers, &a, S("www-authenticate"), S("Bearer"));
    http_add(&headers, &a, S("content-type"), S("text/plain; version=0.0.4; charset=utf-8"));
    server_head(s, status, &headers, (int64_t)buf_len(&body));
    server_write(s, buf_str(&body));
    server_end(s);
    buf_done(&body);
    arena_done(&a);
}

static void ignore_body(void *user, struct str bytes)
{
    (void)user;
    (void)bytes;
}

static void ignore(void *user)
{
    (void)user;
}

static void admin_refused(void *ctx, const struct server_refusal *why, struct arena *a,
                          struct http_headers *headers, struct buf *body)
{
    struct worker_listener *l = ctx;
    l->worker->counters->refused[why->reason]++;
    if (body == NULL)
        return;
    http_add(headers, a, S("content-type"), S("text/plain; charset=utf-8"));
    buf_add(body, str_of(err_row(refusal_row(why->reason)->err)->text));
}

const struct server_handler local_admin_handler = {
    .on_request = admin_request,
    .on_body = ignore_body,
    .on_end = ignore,
    .on_drain = ignore,
    .on_gone = ignore,
    .on_refused = admin_refused,
};

#include "request_reply.h"

#include "clock.h"
#include "convert.h"
#include "relay.h"
#include "reply.h"
#include "reply_family.h"

void request_reply_head(struct request *r, int status, const struct http_headers *upstream,
                        struct str content_type, int64_t body_bytes)
{
    struct arena *a = &r->work;
    struct http_headers out = { 0 };
    bool converted = r->convert != NULL && r->upstream_protocol != r->route.protocol;
    if (upstream != NULL && converted) {
        reply_family_headers(&out, a, upstream, r->route.protocol, clock_unix_ms());
    } else if (upstream != NULL) {
        bool coded = r->relay == NULL || r->relay->coding == NULL;
        reply_copy_headers(&out, a, upstream, coded, r->route.kind == ROUTE_PASS);
    }
    if (content_type.n > 0)
        http_set(&out, a, S("content-type"), content_type);
    const struct str *type = http_find(&out, S("content-type"));
    bool events = type != NULL && str_starts_nocase(*type, S("text/event-stream"));
    struct str id_name =
        r->route.protocol == PROTOCOL_MESSAGES ? S("request-id") : S("x-request-id");
    if (http_find(&out, S("request-id")) == NULL && http_find(&out, S("x-request-id")) == NULL)
        http_add(&out, a, id_name, r->id);
    if (events) {
        http_add(&out, a, S("cache-control"), S("no-cache"));
        http_add(&out, a, S("x-accel-buffering"), S("no"));
    }
    struct str warnings = r->convert != NULL ? convert_warnings(r->convert) : S("");
    if (warnings.n > 0)
        http_add(&out, a, S("x-cc-proxy-warning"), arena_str(a, warnings));
    if (r->adapter != NULL)
        http_add(&out, a, S("x-cc-proxy-adapter"), adapter_name(r->adapter));
    if (r->route.kind == ROUTE_PREFLIGHT)
        reply_add_preflight(&out, a, r->worker->config, &r->head.headers, r->route.allow);
    else
        reply_add_cors(&out, a, r->worker->config, &r->head.headers);
    if (status == 405)
        http_add(&out, a, S("allow"), r->route.allow);
    if (status == 426) {
        http_add(&out, a, S("upgrade"), S("websocket"));
    }
    if (r->retry_after_s > 0)
        http_add(&out, a, S("retry-after"), arena_u64(a, (uint64_t)r->retry_after_s));
    else if (status == 503 && upstream == NULL)
        http_add(&out, a, S("retry-after"), S("1"));
    r->status = status;
    server_head(r->stream, status, &out, body_bytes);
}

void request_reply_body(struct request *r, struct str bytes)
{
    if (bytes.n == 0)
        return;
    if (r->first_byte_ns == 0)
        r->first_byte_ns = clock_mono_ns();
    r->bytes_out += bytes.n;
    server_write(r->stream, bytes);
}

void request_reply_end(struct request *r)
{
    server_end(r->stream);
    r->stream = NULL;
}

void request_reply(struct request *r, int status, struct str content_type, struct str body)
{
    request_reply_head(r, status, NULL, content_type, status == 204 ? 0 : (int64_t)body.n);
    request_reply_body(r, body);
    request_reply_end(r);
}

void request_reply_error(struct request *r, int status, const char *type, struct str message)
{
    struct buf body;
    buf_init(&body, 64 * 1024);
    reply_error_body(&body, str_of(type), message, r->id);
    request_reply(r, status, S("application/json"), buf_str(&body));
    buf_done(&body);
}

void request_reply_unsupported(struct request *r, struct str code, struct str message)
{
    struct buf body;
    const struct event_error error = { .status = 404, .code = code, .message = message };
    buf_init(&body, 64 * 1024);
    int status = convert_error_write(r->route.protocol, &error, r->id, &body);
    r->ended = "unsupported";
    r->refusal = REFUSAL_UNSUPPORTED;
    request_reply(r, status, S("application/json"), buf_str(&body));
    buf_done(&body);
}

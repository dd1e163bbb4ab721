#include "request_convert.h"

#include "clock.h"
#include "convert.h"
#include "err.h"
#include "json.h"
#include "relay.h"
#include "request_body.h"
#include "request_reply.h"

enum { GROWTH = 3 }; /* a converted body is hardly ever so many times as long */

static bool is_chat(const struct request *r)
{
    return r->route.endpoint == ENDPOINT_MESSAGES || r->route.endpoint == ENDPOINT_CHAT ||
           r->route.endpoint == ENDPOINT_RESPONSES;
}

bool request_convert_counts(const struct request *r)
{
    return (r->route.endpoint == ENDPOINT_COUNT_TOKENS ||
            r->route.endpoint == ENDPOINT_INPUT_TOKENS) &&
           r->upstream_protocol != r->route.protocol;
}

bool request_convert_needed(const struct request *r)
{
    const struct upstream *u = r->upstream;
    if (request_convert_counts(r))
        return true;
    if (!is_chat(r))
        return false;
    if (r->upstream_protocol != r->route.protocol)
        return true;
    return u->stream == UPSTREAM_STREAM_NEVER
               ? r->wants_stream
               : u->stream == UPSTREAM_STREAM_ALWAYS && !r->wants_stream;
}

/* Some clients send a Responses body to the chat path: only the reply has to change. */
static bool speaks_upstream(const struct request *r)
{
    struct json_edit *e = r->adapting->edit;
    return r->upstream_protocol == PROTOCOL_RESPONSES && r->route.protocol == PROTOCOL_CHAT &&
           json_find(e, json_root(e), S("input")) != NULL &&
           json_find(e, json_root(e), S("messages")) == NULL;
}

/* The upstream streams always, or never, whatever the client wants. */
static void ask_stream(struct request *r, bool streams)
{
    struct json_edit *e = r->adapting->edit;
    struct json_node *options = json_find(e, json_root(e), S("stream_options"));
    json_set(e, json_root(e), S("stream"), streams ? S("true") : S("false"));
    if (options != NULL && !streams)
        json_remove(e, options);
    if (streams && r->upstream_protocol == PROTOCOL_CHAT)
        json_set(e, json_root(e), S("stream_options"), S("{\"include_usage\":true}"));
}

/* Chat Completions has no endpoint that counts. */
static bool counts_here(const struct request *r)
{
    return request_convert_counts(r) && r->upstream_protocol == PROTOCOL_CHAT;
}

static struct convert *convert_for(struct request *r, const struct profile *profile)
{
    bool counts = request_convert_counts(r);
    const struct upstream *u = r->upstream;
    const struct convert_options options = {
        .client = r->route.protocol,
        .upstream = r->upstream_protocol,
        .profile = profile,
        .upstream_name = u->name,
        .upstream_model = r->upstream_model,
        .reply_id = str_slice(r->id, sizeof "req_" - 1, r->id.n),
        .now_s = clock_unix_ms() / 1000,
        .upstream_streams = u->stream == UPSTREAM_STREAM_ALWAYS,
        .upstream_never_streams = u->stream == UPSTREAM_STREAM_NEVER,
        .client_plain = !r->wants_stream,
        .strict = r->strict && !counts,
        .count_only = counts,
        .drop_reasoning = r->repaired,
        .checked = true, /* by request_body_parse(), and edits keep it so */
        .reply_limit_bytes = r->worker->config->max_event_bytes,
    };
    return convert_new(&options);
}

int request_convert(struct request *r)
{
    struct profile profile;
    struct adapter_request *ar = r->adapting;
    request_convert_free(r);
    if (ar->edit == NULL) /* only a raw adapter lets it come here */
        return r->unread;
    r->raw = false;
    upstream_profile(r->upstream, r->upstream_model.n > 0 ? r->upstream_model : r->model, &profile);
    r->convert = convert_for(r, &profile);
    r->anthropic_version = arena_str(&r->arena, profile.anthropic_version);
    buf_init(&r->converted, r->worker->config->max_body_bytes * GROWTH);
    bool streams = r->wants_stream;
    struct str body = json_edit_text(ar->edit);
    if (r->upstream_protocol == r->route.protocol || speaks_upstream(r)) {
        int e = convert_adopt(r->convert, &r->work, body, streams);
        if (e == 0 && convert_asks_stream(r->convert) != streams)
            ask_stream(r, !streams);
        if (e == 0 && r->upstream_model.n > 0)
            e = request_body_rename(r); /* the conversion puts the client's name back */
        r->send_body = json_edit_text(ar->edit);
        return e;
    }
    struct arena work;
    arena_init(&work, SIZE_MAX / 2); /* bounded by the body's limit */
    int e = counts_here(r) ? convert_count(r->convert, &work, body)
                           : convert_request(r->convert, &work, body, &r->converted);
    arena_done(&work);
    if (e == E_BAD_REQUEST)
        r->err_text = arena_str(&r->arena, convert_error(r->convert));
    if (e == 0)
        r->send_body = buf_str(&r->converted);
    return e;
}

void request_convert_free(struct request *r)
{
    convert_free(r->convert);
    r->convert = NULL;
    buf_done(&r->converted);
}

/* ---- answers without the upstream ---- */

static void write_count(const struct request *r, int64_t tokens, struct buf *out)
{
    if (r->route.protocol == PROTOCOL_RESPONSES)
        buf_addf(out, "{\"object\":\"response.input_tokens\",\"input_tokens\":%lld}",
                 (long long)tokens);
    else
        buf_addf(out, "{\"input_tokens\":%lld}", (long long)tokens);
}

/* Both protocols call it input_tokens. */
static int64_t counted(struct str body)
{
    yyjson_doc *doc;
    uint64_t tokens;
    if (json_parse(body, &doc, NULL) < 0)
        return -1;
    bool known = json_member_u64(yyjson_doc_get_root(doc), S("input_tokens"), &tokens);
    yyjson_doc_free(doc);
    return known && tokens <= INT64_MAX ? (int64_t)tokens : -1;
}

void request_convert_count(struct request *r, int status, struct str body, struct buf *out)
{
    int64_t tokens = status >= 200 && status < 300 ? counted(body) : -1;
    write_count(r, tokens >= 0 ? tokens : convert_estimate(r->convert), out);
}

bool request_convert_is_local(const struct request *r)
{
    return counts_here(r) || convert_local_reply(r->convert);
}

void request_convert_reply(struct request *r)
{
    struct buf body;
    buf_init(&body, 64 * 1024);
    bool streams = convert_client_streams(r->convert) && !counts_here(r);
    if (counts_here(r))
        write_count(r, convert_estimate(r->convert), &body);
    else
        convert_empty_reply(r->convert, &body);
    request_reply(r, 200, streams ? RELAY_EVENTS_TYPE : S("application/json"), buf_str(&body));
    buf_done(&body);
}

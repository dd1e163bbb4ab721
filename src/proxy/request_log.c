#include "request_log.h"

#include "clock.h"
#include "convert.h"
#include "dump.h"
#include "err.h"
#include "log.h"
#include "relay.h"

enum { ERROR_BODY_LOG_BYTES = 500, REFUSED_PATH_LOG_BYTES = 256, KEY_SHAPE_MIN = 16 };

static const char *const loggers[SERVICE_COUNT] = { "claude-service", "codex-service" };

static const char *logger(const struct request *r)
{
    return loggers[r->service];
}

static double ms_since(int64_t begin_ns, int64_t end_ns)
{
    return (double)((end_ns - begin_ns) / 1000) / 1000.0;
}

static struct str user_agent(const struct request *r)
{
    const struct str *ua = http_find(&r->head.headers, S("user-agent"));
    return ua != NULL ? str_slice(*ua, 0, 256) : S("");
}

static void mask_one(struct buf *out, struct str text, struct str secret)
{
    while (secret.n > 0 && text.n > 0) {
        size_t at = str_find(text, secret);
        buf_add(out, str_slice(text, 0, at));
        if (at == text.n)
            return;
        buf_add(out, S("***"));
        text = str_slice(text, at + secret.n, text.n);
    }
    buf_add(out, text);
}

static bool is_key_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
           c == '_';
}

/* Upstreams' errors may quote keys that nobody here knows, as another proxy's own: what looks
 * like one is "sk-" and what follows, where a word begins. */
static struct str without_key_shapes(struct arena *a, struct str text)
{
    struct buf out CLEANUP(buf_done);
    size_t from = 0, at;
    buf_init(&out, text.n + 16);
    while ((at = from + str_find(str_slice(text, from, text.n), S("sk-"))) < text.n) {
        size_t end = at + 3;
        while (end < text.n && is_key_byte(text.p[end]))
            end++;
        bool key = end - at >= KEY_SHAPE_MIN && (at == 0 || !is_key_byte(text.p[at - 1]));
        buf_add(&out, str_slice(text, from, key ? at : end));
        buf_add(&out, key ? S("***") : S(""));
        from = end;
    }
    if (from == 0)
        return text;
    buf_add(&out, str_slice(text, from, text.n));
    return arena_str(a, buf_str(&out));
}

struct str request_log_masked(struct request *r, struct arena *a, struct str text)
{
    const struct config *c = r->worker->config;
    struct str secrets[] = { r->credential.value, c->anthropic_api_key, c->openai_api_key,
                             r->upstream != NULL ? r->upstream->key : S("") };
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
        if (secrets[i].n < 6 || !str_contains(text, secrets[i]))
            continue; /* shorter ones would mask ordinary words */
        struct buf masked;
        buf_init(&masked, text.n * 2 + 16);
        mask_one(&masked, text, secrets[i]);
        text = arena_str(a, buf_str(&masked));
        buf_done(&masked);
    }
    return without_key_shapes(a, text);
}

/* A body for the log: empty (and then not shown) in production. */
static struct log_field body_field(struct request *r, const char *name, struct str body)
{
    if (r->worker->config->production || body.n == 0)
        return log_field_str("", S(""));
    return log_field_str(name, request_log_masked(r, &r->work, body));
}

void request_log_request(struct request *r, int64_t message_count)
{
    struct str body = buf_str(r->decoded.p != NULL ? &r->decoded : &r->body);
    const char *event = r->service == SERVICE_CLAUDE ? "claude_request" : "codex_request";
    log_write_as(LOG_INFO, logger(r), event, F("request_id", r->id), F("path", r->route.path),
                 F("model", r->model), F("stream", r->wants_stream),
                 F("message_count", message_count), F("user_agent", user_agent(r)),
                 body_field(r, "request_body", body));
    if (r->worker->config->dump_requests && r->service == SERVICE_CODEX)
        dump_request(r, body);
}

/* --- adapters --- */

/* The next letter or digit of s, lower case; '\0' at its end. */
static char next_letter(struct str s, size_t *i)
{
    while (*i < s.n) {
        unsigned char c = str_lower_byte((unsigned char)s.p[(*i)++]);
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            return (char)c;
    }
    return '\0';
}

/* Only letters and digits count: "CherryStudio" and "cherry_studio" are the same. */
static bool same_letters(struct str a, struct str b)
{
    size_t i = 0, k = 0;
    char c;
    do {
        c = next_letter(a, &i);
        if (c != next_letter(b, &k))
            return false;
    } while (c != '\0');
    return true;
}

/* The version of the product that the adapter is named after, else of the first product. */
static struct str client_version(const struct request *r)
{
    struct str rest = user_agent(r), token, first = S("");
    while (str_next(&rest, ' ', &token)) {
        size_t slash = str_index(token, '/');
        if (slash == 0 || slash >= token.n)
            continue;
        struct str version = str_slice(token, slash + 1, token.n);
        if (same_letters(str_slice(token, 0, slash), adapter_name(r->adapter)))
            return version;
        if (first.n == 0 && !str_starts(token, S("Mozilla/")))
            first = version;
        else if (first.n == 0)
            first = S("-");
    }
    return str_eq(first, S("-")) ? S("") : first;
}

/* Once per value, and for the first few values only: they are the client's to choose. */
static void log_unknown_client_type(struct request *r, enum adapter_reason reason)
{
    struct worker *w = r->worker;
    const struct str *type = http_find(&r->head.headers, S("x-client-type"));
    bool custom = type != NULL && reason == ADAPTER_BY_CLIENT_TYPE &&
                  str_eq(adapter_name(r->adapter), S("custom")) &&
                  !str_eq_nocase(str_trim(*type), S("custom"));
    if (!custom || w->client_types_n == WORKER_CLIENT_TYPES_MAX)
        return;
    struct str value = str_slice(str_trim(*type), 0, 64);
    for (int i = 0; i < w->client_types_n; i++)
        if (str_eq_nocase(w->client_types[i], value))
            return;
    w->client_types[w->client_types_n++] = arena_str(&w->arena, value);
    log_write_as(LOG_DEBUG, logger(r), "client_type_unknown", F("request_id", r->id),
                 F("client_type", value));
}

void request_log_adapter(struct request *r, enum adapter_reason reason)
{
    log_unknown_client_type(r, reason);
    struct str version = client_version(r);
    const char *event =
        adapter_is_default(r->adapter) ? "using_default_adapter" : "adapter_selected";
    log_write_as(
        LOG_INFO, logger(r), event, F("request_id", r->id), F("adapter", adapter_name(r->adapter)),
        F("adapter_version", adapter_version(r->adapter)), F("reason", adapter_reason_name(reason)),
        F(version.n > 0 ? "client_version" : "", version));
}

void request_log_changes(struct request *r)
{
    struct adapter_request *ar = r->adapting;
    if (ar->changes_n == 0)
        return;
    struct buf list;
    buf_init(&list, 8192);
    for (size_t i = 0; i < ar->changes_n; i++) {
        buf_add(&list, i > 0 ? S(",\"") : S("[\""));
        buf_add(&list, ar->changes[i]);
        buf_add_byte(&list, '"');
    }
    buf_add_byte(&list, ']');
    log_write_as(LOG_INFO, logger(r), "request_transformed", F("request_id", r->id),
                 F("adapter", adapter_name(r->adapter)), log_field_json("changes", buf_str(&list)),
                 F("extra_headers_count", ar->extra_headers));
    buf_done(&list);
}

/* --- the attempt --- */

static struct str upstream_url(struct request *r)
{
    return arena_cat(&r->work, r->upstream->base_url, r->route.path);
}

void request_log_start(struct request *r)
{
    log_write_as(LOG_INFO, logger(r), "proxy_request_start", F("request_id", r->id),
                 F("url", upstream_url(r)), F("stream", r->wants_stream),
                 F("attempt", r->attempts));
}

static void log_api_error(struct request *r)
{
    struct str body = str_slice(buf_str(&r->relay->capture), 0, ERROR_BODY_LOG_BYTES);
    const char *event =
        r->upstream->service == SERVICE_CLAUDE ? "anthropic_api_error" : "openai_api_error";
    log_write_as(LOG_WARNING, logger(r), event, F("request_id", r->id),
                 F("status", r->relay->upstream_status), F("error_type", r->relay->error_type),
                 F("body", request_log_masked(r, &r->work, body)));
}

void request_log_reply(struct request *r)
{
    const struct relay *y = r->relay;
    bool stream = y->mode == RELAY_EVENTS;
    int64_t now = clock_mono_ns();
    if (y->upstream_status >= 400)
        log_api_error(r);
    log_write_as(LOG_INFO, logger(r), stream ? "stream_complete" : "proxy_request_complete",
                 F("request_id", r->id), F("url", upstream_url(r)), F("status", y->upstream_status),
                 F("stream", stream), F("duration_ms", ms_since(r->sent_ns, now)),
                 F("bytes", r->bytes_out), F("upstream_request_id", y->upstream_request_id),
                 body_field(r, "response_body", buf_str(&y->capture)));
}

/* --- the end --- */

void request_log_unread(struct request *r)
{
    const struct convert_unread *u = convert_unread(r->convert);
    if (u->bytes > 0)
        log_write_as(LOG_WARNING, logger(r), "upstream_event_unreadable", F("request_id", r->id),
                     F("bytes", (int64_t)u->bytes), F("offset", (int64_t)u->error.offset),
                     F("error", str_of(u->error.reason)),
                     body_field(r, "event_body", u->beginning));
}

void request_log_error(struct request *r)
{
    const struct err_row *row = err_row(r->err);
    struct str text = r->err_text.n > 0 ? r->err_text : str_of(row->text);
    const char *event = "unexpected_error";
    enum log_level level = LOG_WARNING;
    if (r->err == E_CLIENT_GONE) {
        log_write_as(LOG_INFO, logger(r), "client_disconnected", F("request_id", r->id),
                     F("duration_ms", ms_since(r->begin_ns, clock_mono_ns())));
        return;
    }
    if (r->err == E_UNAUTHORIZED || r->err == E_LOCKED_OUT)
        event = "authentication_error";
    else if (row->http_status < 500)
        event = "invalid_request_error";
    else
        level = LOG_ERROR;
    log_write_as(level, logger(r), event, F("request_id", r->id), F("path", r->route.path),
                 F("error", text), F("code", row->name));
}

void request_log_locked_out(const struct request *r)
{
    const struct config *c = r->worker->config;
    log_write_as(LOG_WARNING, logger(r), "address_locked_out", F("request_id", r->id),
                 F("remote", server_remote(r->stream)), F("failures", c->key_failures_max),
                 F("seconds", c->key_failures_ms / 1000));
}

static struct log_field count_field(const char *name, int64_t count)
{
    return log_field_int(count >= 0 ? name : "", count);
}

void request_log_done(struct request *r)
{
    static const struct usage unknown = { -1, -1, -1, -1 };
    int64_t now = clock_mono_ns();
    const struct relay *y = r->relay;
    const struct usage *u = y != NULL ? &y->watch.usage : &unknown;
    struct str model = r->model;
    if (model.n == 0 && y != NULL)
        model = str_of(y->watch.model);
    bool sent = r->attempts > 0;
    struct str warnings = r->convert != NULL ? convert_warnings(r->convert) : S("");
    log_write_as(
        LOG_INFO, logger(r), "request_done", F("request_id", r->id), F("method", r->head.method),
        F("path", r->route.path), F("status", r->status), F("ended", r->ended),
        F(r->adapter != NULL ? "adapter" : "",
          r->adapter != NULL ? adapter_name(r->adapter) : S("")),
        F(model.n > 0 ? "model" : "", model),
        F(sent ? "upstream" : "", sent ? r->upstream->base_url : S("")),
        F(r->convert != NULL ? "converted_to" : "", protocol_name(r->upstream_protocol)),
        F(warnings.n > 0 ? "warnings" : "", warnings), F(sent ? "attempts" : "", r->attempts),
        F(r->first_byte_ns > 0 ? "ttfb_ms" : "", ms_since(r->begin_ns, r->first_byte_ns)),
        F("duration_ms", ms_since(r->begin_ns, now)), F("bytes_in", r->bytes_in),
        F("bytes_out", r->bytes_out), count_field("input_tokens", u->input_tokens),
        count_field("output_tokens", u->output_tokens),
        count_field("cache_read_tokens", u->cache_read_tokens),
        count_field("cache_write_tokens", u->cache_write_tokens),
        F(r->err != 0 ? "error" : "", r->err != 0 ? err_row(r->err)->name : ""),
        F(r->refusal != REFUSAL_NONE ? "refusal" : "", refusal_row(r->refusal)->label));
}

void request_log_refused(const struct worker_listener *l, const struct server_refusal *why,
                         int status, struct str id)
{
    const char *label = refusal_row(why->reason)->label;
    struct str path = str_slice(why->target, 0, str_index(why->target, '?'));
    path = str_slice(path, 0, REFUSED_PATH_LOG_BYTES);
    log_write_as(LOG_INFO, loggers[l->port], status != 0 ? "request_done" : "client_refused",
                 F(id.n > 0 ? "request_id" : "", id),
                 F(why->method.n > 0 ? "method" : "", why->method),
                 F(path.n > 0 ? "path" : "", path), F(status != 0 ? "status" : "", status),
                 F(status != 0 ? "ended" : "", "refused"), F("refusal", label),
                 F(why->text.n > 0 ? "error" : "", why->text), F("remote", why->remote));
}

/*
 * The life of one proxied request.  The steps stand in order of travel; the file
 * read from top to bottom is the way of a request through the proxy.
 */
#include "request.h"

#include "client_keys.h"
#include "clock.h"
#include "convert.h"
#include "err.h"
#include "local.h"
#include "lockout.h"
#include "models.h"
#include "relay.h"
#include "relay_convert.h"
#include "reply.h"
#include "request_body.h"
#include "request_convert.h"
#include "request_log.h"
#include "request_reply.h"
#include "secret.h"
#include "session.h"
#include "slab.h"

enum {
    ATTEMPTS_MAX = 2,
    ARENA_LIMIT_BYTES = 1 << 20,
};

#define NO_MEMORY_TEXT "too many bytes of requests are held"

static struct slab requests = SLAB_OF(requests, struct request);

enum next { NEXT_GO, NEXT_WAIT, NEXT_END };

typedef enum next step_fn(struct request *r);

struct step {
    const char *name;
    step_fn *run;
};

/*
 *   STEP(name)            may go to
 */
#define STEPS                                                                         \
    STEP(route)   /* admit | done (answered here) | fail                           */ \
    STEP(admit)   /* body | adapt (pass-through) | relay (models) | done | fail    */ \
    STEP(body)    /* parse | fail                                                  */ \
    STEP(parse)   /* adapt | fail                                                  */ \
    STEP(adapt)   /* convert | done (rejected) | fail                              */ \
    STEP(convert) /* send | done (answered here) | fail                          */   \
    STEP(send)    /* relay | send, convert (once more) | fail                      */ \
    STEP(relay)   /* done | fail (as an error event, or a broken connection)       */ \
    STEP(fail)    /* done                                                          */ \
    STEP(done)    /* the end                                                       */

#define STEP(n)              \
    static step_fn step_##n; \
    static const struct step STEP_##n = { #n, step_##n };
STEPS
#undef STEP

/* The only place that moves a request.  NEXT_WAIT: some callback holds a pointer to us and
 * will run us again.  NEXT_END: we are gone. */
static void request_run(struct request *r)
{
    enum next next;
    must(!r->running);
    r->running = true;
    do {
        const struct step *at = r->step;
        next = at->run(r);
        if (next == NEXT_WAIT && r->step != at)
            next = NEXT_GO; /* the step was answered at once */
    } while (next == NEXT_GO);
    r->running = false;
}

static enum next go(struct request *r, const struct step *to)
{
    r->step = to;
    return NEXT_GO;
}

static void move(struct request *r, const struct step *to)
{
    if (r->step == &STEP_done)
        return;
    r->step = to;
    if (!r->running)
        request_run(r);
}

static enum next fail(struct request *r, int e, struct str text)
{
    must(e < 0);
    if (r->err == 0) { /* the first error wins */
        r->err = e;
        r->err_text = arena_str(&r->arena, text);
        if (r->refusal == REFUSAL_NONE && r->relay == NULL)
            r->refusal = refusal_of(e);
    }
    return go(r, &STEP_fail);
}

void request_fail(struct request *r, int err, struct str text)
{
    if (r->step == &STEP_done || r->step == &STEP_fail)
        return;
    if (r->stream == NULL && err != E_CLIENT_GONE) { /* the client has all of its reply */
        request_finish(r);
        return;
    }
    fail(r, err, text);
    if (!r->running)
        request_run(r);
}

void request_finish(struct request *r)
{
    move(r, &STEP_done);
}

/* --- route --- */

static enum next step_route(struct request *r)
{
    int e = router_find(r->service, &r->head, &r->arena, &r->route);
    if (e < 0)
        return fail(r, e, S(""));
    switch (r->route.kind) {
    case ROUTE_PREFLIGHT:
        request_reply(r, 204, S(""), S(""));
        return go(r, &STEP_done);
    case ROUTE_LOCAL:
        local_reply(r);
        return go(r, &STEP_done);
    default:
        return go(r, &STEP_admit);
    }
}

/* --- admit --- */

/* An address that guesses is refused before its key is looked at: the right one, too, or the
 * answer would tell. */
static int check_listed_key(struct request *r)
{
    struct lockout *l = r->worker->lockout;
    bool presented = r->credential.form != CREDENTIAL_NONE;
    int64_t left_ns = l != NULL ? lockout_left_ns(l, server_remote(r->stream), r->begin_ns) : 0;
    if (presented && left_ns > 0) {
        r->retry_after_s = (left_ns + NS_PER_S - 1) / NS_PER_S;
        return E_LOCKED_OUT;
    }
    if (presented && client_keys_has(r->worker->client_keys, r->credential.value))
        return 0;
    if (presented && l != NULL && lockout_fail(l, server_remote(r->stream), r->begin_ns))
        request_log_locked_out(r);
    return E_UNAUTHORIZED;
}

/* A key is needed unless the server has its own and lists no client keys. */
static int check_key(struct request *r)
{
    if (r->worker->client_keys != NULL)
        return check_listed_key(r);
    bool admitted = r->upstream->key.n > 0 || r->credential.form != CREDENTIAL_NONE;
    return admitted ? 0 : E_UNAUTHORIZED;
}

/* What only an upstream of another protocol could have: nothing is stored here (A3.7). */
static void unsupported(struct request *r)
{
    bool reply = str_starts(r->route.path, S("/v1/responses/"));
    request_reply_unsupported(r, reply ? S("response_not_found") : S(""),
                              reply ? S("no such response: this upstream stores none")
                                    : S("this service's upstream has no such endpoint"));
}

/* Of a body that will be held. */
static size_t announced_bytes(const struct request *r)
{
    bool held = r->route.kind == ROUTE_JSON && r->head.content_length > 0;
    return held ? (size_t)r->head.content_length : 0;
}

static enum next no_memory(struct request *r)
{
    r->refusal = REFUSAL_MEMORY;
    return fail(r, E_NO_CAPACITY, S(NO_MEMORY_TEXT));
}

static enum next step_admit(struct request *r)
{
    enum protocol p = r->route.protocol;
    if (p == PROTOCOL_COUNT) /* models */
        p = r->service == SERVICE_CLAUDE ? PROTOCOL_MESSAGES : PROTOCOL_RESPONSES;
    r->upstream = &r->worker->upstreams[r->service];
    r->upstream_protocol = p;
    r->credential = headers_credential(&r->head.headers, p);
    r->credential_text = secret_strndup(r->credential.value.p, r->credential.value.n);
    r->credential.value.p = r->credential_text;
    int e = check_key(r);
    if (e < 0)
        return fail(r, e, S(""));
    if (r->route.kind == ROUTE_JSON &&
        r->head.content_length > (int64_t)r->worker->config->max_body_bytes)
        return fail(r, E_TOO_LARGE, S(""));
    if (r->head.has_body && request_body_over(r, announced_bytes(r)))
        return no_memory(r);
    if (r->route.kind == ROUTE_MODELS) {
        r->step = &STEP_relay;
        models_reply(r);
        return NEXT_WAIT;
    }
    if (r->route.kind == ROUTE_PASS && (r->upstream->speaks & r->route.offered) == 0) {
        unsupported(r);
        return go(r, &STEP_done);
    }
    if (r->route.kind == ROUTE_PASS) {
        buf_init(&r->body, SIZE_MAX / 2); /* one HTTP/2 window may come before the upstream */
        server_pause(r->stream);
        server_continue(r->stream);
        return go(r, &STEP_adapt);
    }
    server_continue(r->stream);
    return go(r, &STEP_body);
}

/* --- body --- */

static enum next step_body(struct request *r)
{
    return r->body_complete ? go(r, &STEP_parse) : NEXT_WAIT;
}

/* --- parse --- */

static enum next step_parse(struct request *r)
{
    enum adapter_reason reason;
    int e = request_body_parse(r);
    request_body_count(r);
    if (e == 0)
        return request_body_over(r, 0) ? no_memory(r) : go(r, &STEP_adapt);
    /* an adapter that changes nothing can do without the text of a coded body */
    bool unread = e == E_UNKNOWN_CODING || e == E_BAD_CODING;
    if (unread && adapter_is_raw(adapter_select(r->worker->adapters, r->adapting, &reason))) {
        r->unread = e;
        return go(r, &STEP_adapt);
    }
    return fail(r, e, r->err_text);
}

/* --- adapt --- */

/* Where the model's name leads. */
static void choose_upstream(struct request *r)
{
    const struct upstream_route *to =
        upstreams_route(r->worker->routes, r->service, r->route.protocol, r->model);
    const struct str *strict = http_find(r->adapting->headers, S("x-cc-proxy-strict"));
    r->upstream = to->upstream;
    r->upstream_protocol = to->protocol;
    r->upstream_model = to->model;
    r->strict = to->strict || (strict != NULL && !str_eq(*strict, S("0")));
    r->adapting->upstream_protocol = to->protocol;
}

/* The service's own if it can, else the other's. */
static const struct upstream *upstream_that_speaks(const struct request *r, enum protocol p)
{
    const struct upstream *own = &r->worker->upstreams[r->service];
    const struct upstream *other = &r->worker->upstreams[1 - r->service];
    return (own->speaks & 1u << p) == 0 && (other->speaks & 1u << p) != 0 ? other : own;
}

/* An adapter may know better. */
static void adapters_upstream(struct request *r)
{
    struct adapter_request *ar = r->adapting;
    const struct upstream *named =
        ar->upstream_name.n > 0 ? upstreams_find(r->worker->routes, ar->upstream_name) : NULL;
    if (named != NULL)
        r->upstream = named;
    else if (ar->upstream_protocol != r->upstream_protocol)
        r->upstream = upstream_that_speaks(r, ar->upstream_protocol);
    r->upstream_protocol = ar->upstream_protocol;
}

static enum next step_adapt(struct request *r)
{
    enum adapter_reason reason;
    if (r->adapting == NULL)
        request_body_begin(r);
    if (r->route.kind == ROUTE_JSON)
        choose_upstream(r);
    r->adapter = adapter_select(r->worker->adapters, r->adapting, &reason);
    request_log_adapter(r, reason);
    adapter_apply(r->worker->adapters, r->adapter, r->adapting);
    struct adapter_request *ar = r->adapting;
    if (ar->reject_status != 0) {
        request_reply_error(r, ar->reject_status, reply_error_type(ar->reject_status),
                            ar->reject_message);
        r->ended = "rejected";
        r->refusal = REFUSAL_RULE;
        return go(r, &STEP_done);
    }
    r->raw = ar->raw;
    r->force_stream = ar->force_stream;
    if (r->route.kind == ROUTE_JSON)
        adapters_upstream(r);
    request_body_choose(r);
    request_log_changes(r);
    return go(r, &STEP_convert);
}

/* --- convert --- */

static enum next step_convert(struct request *r)
{
    if (r->route.endpoint == ENDPOINT_COMPACT && r->upstream_protocol != PROTOCOL_RESPONSES) {
        request_reply_unsupported(r, S("not_supported"),
                                  S("this model's upstream does not compact; do it yourself"));
        return go(r, &STEP_done);
    }
    bool renames = r->route.kind == ROUTE_JSON && r->upstream_model.n > 0;
    if (!request_convert_needed(r)) {
        int e = renames ? request_body_rename(r) : 0;
        return e < 0 ? fail(r, e, S("")) : go(r, &STEP_send);
    }
    int e = request_convert(r);
    if (e == E_BAD_REQUEST)
        r->refusal = REFUSAL_CONVERSION;
    if (e < 0)
        return fail(r, e, r->err_text);
    if (request_convert_is_local(r)) {
        request_convert_reply(r);
        return go(r, &STEP_done);
    }
    return go(r, &STEP_send);
}

void request_repair(struct request *r)
{
    r->repaired = true;
    if (r->exchange != NULL) /* enough of the refusal was known before its end */
        exchange_cancel(r->exchange);
    r->exchange = NULL;
    relay_free(r->relay);
    r->relay = NULL;
    move(r, &STEP_convert);
}

/* --- send --- */

static const struct exchange_handler exchange_callbacks;

static struct str upstream_path(const struct request *r)
{
    static const struct str paths[PROTOCOL_COUNT] = {
        [PROTOCOL_MESSAGES] = S_INIT("/v1/messages"),
        [PROTOCOL_CHAT] = S_INIT("/v1/chat/completions"),
        [PROTOCOL_RESPONSES] = S_INIT("/v1/responses"),
    };
    if (request_convert_counts(r))
        return r->upstream_protocol == PROTOCOL_RESPONSES ? S("/v1/responses/input_tokens")
                                                          : S("/v1/messages/count_tokens");
    if (r->route.kind == ROUTE_JSON && r->upstream_protocol != r->route.protocol)
        return paths[r->upstream_protocol];
    return r->route.path;
}

static void upstream_head(struct request *r, struct http_head *head)
{
    const struct headers_rule rule = {
        .protocol = r->upstream_protocol,
        .client = r->credential,
        .server_key = r->upstream->key,
        .auth_style = r->worker->config->anthropic_auth_style,
        .raw = r->raw,
        .keep_coding = r->route.kind == ROUTE_PASS || r->send_body.p == buf_str(&r->body).p,
        .json = r->route.kind == ROUTE_JSON,
        .version = r->anthropic_version,
        .converted = r->convert != NULL && r->upstream_protocol != r->route.protocol,
    };
    struct str query = rule.converted ? S("") : r->route.query;
    *head = (struct http_head){
        .method = r->head.method,
        .target = arena_join(&r->work, r->upstream->prefix, upstream_path(r), query),
        .scheme = r->upstream->scheme,
        .authority = r->upstream->authority,
        .content_length = -1,
    };
    headers_for_upstream(&head->headers, &r->work, r->adapting->headers, &rule);
}

static void arm_tick(struct request *r, int64_t due_ns)
{
    int64_t now = loop_now_ns(&r->worker->loop);
    if (due_ns > 0)
        timeout_set(&r->worker->loop, &r->tick, due_ns > now ? due_ns - now : NS_PER_MS);
}

static bool may_open_stream(const struct request *r)
{
    return r->wants_stream && r->relay == NULL && relay_open_ns(r) > 0 &&
           r->route.kind == ROUTE_JSON && r->route.endpoint != ENDPOINT_COUNT_TOKENS &&
           r->route.endpoint != ENDPOINT_INPUT_TOKENS && r->route.endpoint != ENDPOINT_COMPACT;
}

static void earlier(int64_t *due, int64_t t)
{
    if (t > 0 && (*due == 0 || t < *due))
        *due = t;
}

/* The head, the body, its parsed form and the edits. */
static void drop_work(struct request *r)
{
    buf_done(&r->body);
    buf_done(&r->decoded);
    buf_done(&r->converted);
    r->adapting = NULL;
    r->send_body = r->edited = S("");
    request_body_count(r);
    r->head.target = r->route.query = S("");
    r->head.headers = (struct http_headers){ 0 };
    arena_done(&r->nodes);
    arena_done(&r->work);
}

/* Once the upstream's head and ours are out, a retry is out of the question. */
static void drop_work_when_begun(struct request *r)
{
    bool begun = r->relay != NULL && r->relay->upstream_status != 0 && r->status != 0;
    if (begun && r->adapting != NULL && r->exchange != NULL && exchange_body_taken(r->exchange))
        drop_work(r);
}

/* Looks at everything of this request that depends on time, and says when to look again. */
static void on_tick(void *ctx)
{
    struct request *r = ctx;
    const struct config *c = r->worker->config;
    int64_t now = loop_now_ns(&r->worker->loop), due = 0;
    bool waiting = r->relay == NULL || r->relay->upstream_status == 0;
    if (waiting) {
        int64_t limit = r->owed_ns + c->http_timeout_ms * NS_PER_MS;
        if (now >= limit) {
            request_fail(r, E_UPSTREAM_TIMEOUT, S(""));
            return;
        }
        earlier(&due, limit);
    }
    if (may_open_stream(r)) {
        int64_t open = relay_open_ns(r);
        if (now >= open)
            relay_open(r);
        else
            earlier(&due, open);
    }
    if (r->relay != NULL)
        earlier(&due, relay_tick(r, now));
    drop_work_when_begun(r);
    if (r->step == &STEP_relay || r->step == &STEP_send)
        arm_tick(r, due);
}

static enum next step_send(struct request *r)
{
    bool again = r->attempts > 0;
    bool streamed = r->route.kind == ROUTE_PASS && r->head.has_body;
    struct http_head head;
    upstream_head(r, &head);
    struct exchange_request x = {
        .origin = r->upstream->origin,
        .head = &head,
        .body = r->send_body,
        .streamed = streamed,
        .streamed_bytes = r->head.content_length,
        .fresh = again,
    };
    request_body_count(r);
    r->attempts++;
    r->worker->counters->attempts++;
    r->worker->counters->retries += again;
    if (!again)
        r->sent_ns = r->owed_ns = clock_mono_ns();
    request_log_start(r);
    r->exchange = pool_open(r->worker->pool, &x, &exchange_callbacks, r);
    r->step = &STEP_relay;
    on_tick(r);
    return NEXT_WAIT;
}

/* --- relay --- */

static enum next step_relay(struct request *r)
{
    (void)r;
    return NEXT_WAIT; /* exchange callbacks and relay.c do the work */
}

static void on_upstream_ready(void *ctx)
{
    struct request *r = ctx;
    if (r->route.kind != ROUTE_PASS || !r->head.has_body)
        return;
    r->body_started = true;
    exchange_write(r->exchange, buf_str(&r->body));
    buf_done(&r->body);
    if (r->body_complete)
        exchange_write_end(r->exchange);
    server_resume(r->stream);
}

static void on_upstream_head(void *ctx, const struct http_head *head)
{
    struct request *r = ctx;
    relay_begin(r, head);
    if (r->step != &STEP_relay)
        return;
    on_tick(r);
}

static void on_upstream_body(void *ctx, struct str bytes)
{
    struct request *r = ctx;
    relay_bytes(r, bytes);
    drop_work_when_begun(r);
    if (r->step == &STEP_relay && r->relay != NULL && relay_is_over(r))
        on_tick(r); /* the next look may be far away */
}

static void on_upstream_end(void *ctx)
{
    struct request *r = ctx;
    r->exchange = NULL;
    relay_end(r);
}

static void on_upstream_fail(void *ctx, int err, struct str reason, bool unprocessed)
{
    struct request *r = ctx;
    r->exchange = NULL;
    bool stale = unprocessed && (err == E_UPSTREAM_CLOSED || err == E_UPSTREAM_REFUSED);
    bool head_came = r->relay != NULL && r->relay->upstream_status != 0;
    bool kept = r->route.kind == ROUTE_JSON || !r->head.has_body; /* all that was sent */
    if (stale && !head_came && r->attempts < ATTEMPTS_MAX && kept) {
        if (pool_may_retry(r->upstream->origin)) {
            move(r, &STEP_send);
            return;
        }
        r->worker->counters->retries_refused++;
    }
    if (r->stream != NULL) {
        r->worker->counters->upstream_errors++;
        r->worker->counters->upstream_protocol += err == E_UPSTREAM_PROTOCOL;
    }
    if (!head_came || !relay_broken(r))
        request_fail(r, err, reason);
}

static void on_upstream_drain(void *ctx)
{
    struct request *r = ctx;
    if (r->stream != NULL)
        server_resume(r->stream);
}

static const struct exchange_handler exchange_callbacks = {
    .on_ready = on_upstream_ready,
    .on_head = on_upstream_head,
    .on_body = on_upstream_body,
    .on_end = on_upstream_end,
    .on_fail = on_upstream_fail,
    .on_drain = on_upstream_drain,
};

/* --- fail --- */

/* What the client is told: the row's text, and the detail where it helps and is ours. */
static struct str error_message(struct request *r)
{
    const struct err_row *row = err_row(r->err);
    bool own = r->err == E_BAD_JSON || r->err == E_BAD_REQUEST || row->http_status >= 502;
    if (!own || r->err_text.n == 0)
        return str_of(row->text);
    if (row->http_status < 500)
        return r->err_text;
    return arena_printf(&r->arena, "%s (" STR_FMT ")", row->text, STR_ARG(r->err_text));
}

static enum next step_fail(struct request *r)
{
    const struct err_row *row = err_row(r->err);
    request_log_error(r);
    r->ended = row->http_status == 499 ? "client_gone" : "error";
    if (r->stream == NULL) {
        if (r->refusal != REFUSAL_NONE) /* by the server, which has answered if it could */
            r->ended = "refused";
        return go(r, &STEP_done);
    }
    if (r->status == 0)
        request_reply_error(r, row->http_status, row->type, error_message(r));
    else
        relay_fail(r);
    return go(r, &STEP_done);
}

/* --- done --- */

static void free_request(void *ctx)
{
    struct request *r = ctx;
    relay_free(r->relay);
    drop_work(r);
    request_convert_free(r);
    secret_free(r->credential_text);
    arena_done(&r->arena);
    slab_give(r);
}

static void count_done(struct request *r)
{
    struct counters *c = r->worker->counters;
    c->requests_open--;
    c->replies_2xx += r->status >= 200 && r->status < 400;
    c->replies_4xx += r->status >= 400 && r->status < 500;
    c->replies_5xx += r->status >= 500;
    c->client_gone += r->err == E_CLIENT_GONE;
    c->bytes_in += (int64_t)r->bytes_in;
    c->bytes_out += (int64_t)r->bytes_out;
    c->refused[r->refusal] += r->refusal != REFUSAL_NONE;
    if (r->relay != NULL) {
        const struct usage *u = &r->relay->watch.usage;
        c->input_tokens += u->input_tokens > 0 ? u->input_tokens : 0;
        c->output_tokens += u->output_tokens > 0 ? u->output_tokens : 0;
        c->streams_broken += (r->relay->mode == RELAY_EVENTS || r->relay->mode == RELAY_CONVERT) &&
                             r->err != 0 && r->err != E_CLIENT_GONE && r->status < 400;
    }
}

static enum next step_done(struct request *r)
{
    if (r->exchange != NULL)
        exchange_cancel(r->exchange);
    r->exchange = NULL;
    if (r->stream != NULL)
        request_reply_end(r);
    if (r->route.kind == ROUTE_MODELS)
        models_forget(r);
    timeout_clear(&r->worker->loop, &r->tick);
    list_remove(&r->link);
    if (r->convert != NULL && r->relay != NULL)
        relay_convert_usage(r); /* so far, when the client has left */
    count_done(r);
    request_log_done(r);
    loop_defer(&r->worker->loop, free_request, r);
    return NEXT_END;
}

/* --- what the client does --- */

static void on_request(void *ctx, struct server_stream *s, const struct http_head *head)
{
    struct worker_listener *l = ctx;
    struct request *r = slab_take(&requests);
    arena_init_wiped(&r->arena, ARENA_LIMIT_BYTES);
    arena_lend(&r->arena, r->first, sizeof(r->first));
    arena_init_wiped(&r->work, SIZE_MAX / 2); /* bounded by the body's limit */
    arena_init(&r->nodes, SIZE_MAX / 2);      /* likewise */
    r->worker = l->worker;
    r->service = (enum service)l->port;
    r->stream = s;
    r->begin_ns = clock_mono_ns();
    r->ended = "complete";
    r->id = worker_request_id(l->worker, &r->arena);
    http_head_copy(head, &r->work, &r->head);
    r->head.method = arena_str(&r->arena, head->method);
    buf_init(&r->body, l->worker->config->max_body_bytes);
    timeout_init(&r->tick, on_tick, r);
    list_append(&l->worker->requests, &r->link);
    server_set_user(s, r);
    r->body_complete = !head->has_body;
    l->worker->counters->requests++;
    l->worker->counters->requests_open++;
    r->step = &STEP_route;
    request_run(r);
}

static void on_client_body(void *user, struct str bytes)
{
    struct request *r = user;
    r->bytes_in += bytes.n;
    if (r->route.kind == ROUTE_PASS) {
        if (r->exchange == NULL)
            return;
        if (!r->body_started) { /* HTTP/2: it was on its way when we paused */
            buf_add(&r->body, bytes);
            return;
        }
        r->owed_ns = loop_now_ns(&r->worker->loop);
        exchange_write(r->exchange, bytes);
        if (exchange_queued(r->exchange) > CONN_HIGH_BYTES)
            server_pause(r->stream);
        return;
    }
    if (request_body_over(r, bytes.n)) {
        r->refusal = REFUSAL_MEMORY;
        request_fail(r, E_NO_CAPACITY, S(NO_MEMORY_TEXT));
        return;
    }
    request_body_add(r, bytes);
    request_body_count(r);
    if (r->body.overflow)
        request_fail(r, E_TOO_LARGE, S(""));
}

static void on_client_end(void *user)
{
    struct request *r = user;
    r->body_complete = true;
    if (r->route.kind == ROUTE_PASS) {
        if (r->exchange != NULL && r->body_started)
            exchange_write_end(r->exchange);
        return;
    }
    if (r->step == &STEP_body)
        request_run(r);
}

static void on_client_drain(void *user)
{
    relay_drain(user);
}

static void on_client_gone(void *user)
{
    struct request *r = user;
    r->stream = NULL;
    request_fail(r, E_CLIENT_GONE, S(""));
}

static void request_refused(struct request *r, const struct server_refusal *why, int status)
{
    if (r->err != 0)
        return;
    r->err = refusal_row(why->reason)->err;
    r->err_text = arena_str(&r->arena, why->text);
    r->refusal = why->reason;
    if (status != 0)
        r->status = status;
}

/* A client that the server refused.  The request, if it is one already, ends by on_client_gone().
 */
static void on_client_refused(void *ctx, const struct server_refusal *why, struct arena *a,
                              struct http_headers *headers, struct buf *body)
{
    struct worker_listener *l = ctx;
    struct request *r = why->user;
    struct http_headers none = { 0 };
    const struct err_row *row = err_row(refusal_row(why->reason)->err);
    int status = body != NULL ? row->http_status : 0;
    struct str id = r != NULL ? r->id : S("");
    if (r != NULL)
        request_refused(r, why, status);
    else
        l->worker->counters->refused[why->reason]++;
    if (body != NULL) {
        struct str message = str_of(row->text);
        if (why->text.n > 0)
            message = arena_printf(a, "%s: " STR_FMT, row->text, STR_ARG(why->text));
        if (r == NULL)
            id = worker_request_id(l->worker, a);
        http_add(headers, a, S("content-type"), S("application/json"));
        http_add(headers, a, S("x-request-id"), id);
        reply_add_cors(headers, a, l->worker->config, &none);
        reply_error_body(body, str_of(row->type), message, id);
    }
    if (r == NULL)
        request_log_refused(l, why, status, id);
}

const struct server_handler request_server_handler = {
    .on_request = on_request,
    .on_body = on_client_body,
    .on_end = on_client_end,
    .on_drain = on_client_drain,
    .on_gone = on_client_gone,
    .on_refused = on_client_refused,
};

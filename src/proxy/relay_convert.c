#include "relay_convert.h"

#include "clock.h"
#include "convert.h"
#include "err.h"
#include "reply.h"
#include "request_convert.h"
#include "request_log.h"
#include "request_reply.h"

enum {
    ERROR_BYTES = 64 * 1024, /* of an upstream's error reply */
    SETTLE_MS_MAX = 5000,    /* silence after the finish (C4.1) */
};

/* ---- to the client ---- */

static void head_out(struct request *r, int status, struct str type, int64_t body_bytes)
{
    struct http_headers none = { 0 };
    struct http_headers *upstream = r->relay->folded != NULL ? &r->relay->folded->headers : &none;
    request_reply_head(r, status, upstream, type, body_bytes);
}

void relay_convert_usage(struct request *r)
{
    if (r->relay->mode != RELAY_CONVERT)
        return;
    const struct event_usage *from = convert_usage(r->convert);
    r->relay->watch.usage = (struct usage){
        .input_tokens = from->prompt,
        .output_tokens = from->output,
        .cache_read_tokens = from->cache_read,
        .cache_write_tokens = from->cache_write,
    };
}

/* For the log: did the upstream say that it failed, or did we find out? */
static void note_failure(struct request *r, const char *told)
{
    int cause = convert_cause(r->convert);
    if (cause < 0 && r->err == 0) {
        r->err = cause;
        request_log_unread(r);
        request_log_error(r);
    }
    r->relay->watch.end = WATCH_FAILED;
    r->ended = r->err < 0 ? "error" : told;
}

/* The whole answer is with the client. */
static void end_client(struct request *r)
{
    relay_convert_usage(r);
    r->relay->watch.end = WATCH_ENDED;
    if (convert_failure(r->convert) != NULL)
        note_failure(r, "upstream_error_event");
    request_log_reply(r);
    request_reply_end(r);
    relay_drain(r); /* nobody else will: the upstream's end is to be read */
    r->relay->last_in_ns = loop_now_ns(&r->worker->loop);
}

/* What is converted, once the reply has begun. */
static void flush(struct request *r)
{
    struct relay *y = r->relay;
    struct str bytes = buf_str(&y->converted);
    if (r->stream == NULL || !convert_begun(r->convert))
        return;
    bool streams = convert_client_streams(r->convert);
    if (r->status == 0)
        head_out(r, 200, streams ? RELAY_EVENTS_TYPE : S("application/json"),
                 streams ? -1 : (int64_t)bytes.n);
    relay_put(r, bytes);
    buf_clear(&y->converted);
    if (convert_ended(r->convert))
        end_client(r);
}

/* An error as a plain reply: nothing has been sent yet. */
static void reply_error(struct request *r, const struct event_error *error)
{
    struct buf body;
    if (r->status != 0) { /* too late for that: we began the stream ourselves */
        if (convert_upstream_error(r->convert, error, &r->relay->converted) == 0)
            flush(r);
        request_finish(r);
        return;
    }
    buf_init(&body, ERROR_BYTES * 2);
    struct str id = r->relay->upstream_request_id;
    if (id.n == 0 || !http_value_ok(id))
        id = r->id;
    int status = convert_error_write(r->route.protocol, error, id, &body);
    r->relay->error_type = arena_str(&r->arena, str_slice(error->type, 0, 64));
    note_failure(r, "upstream_error");
    request_log_reply(r);
    head_out(r, status, S("application/json"), (int64_t)buf_len(&body));
    request_reply_body(r, buf_str(&body));
    request_reply_end(r);
    buf_done(&body);
    request_finish(r);
}

/* The conversion has given up before the reply began. */
static void give_up(struct request *r, int e)
{
    const struct event_error *error = convert_failure(r->convert);
    if (error != NULL)
        reply_error(r, error);
    else
        request_fail(r, e, S(""));
}

/* ---- from the upstream ---- */

void relay_convert_begin(struct request *r, const struct http_head *head)
{
    struct relay *y = r->relay;
    y->folded = arena_new(&r->work, struct http_head, 1);
    http_head_copy(head, &r->work, y->folded);
    buf_init(&y->body, y->mode == RELAY_CONVERT ? r->worker->config->max_event_bytes : ERROR_BYTES);
    r->worker->counters->streams += y->mode == RELAY_CONVERT && convert_client_streams(r->convert);
}

/* A whole JSON body, or SSE, whatever the content-type says (EW1.14). */
static void look_at(struct relay *y, struct str bytes)
{
    struct str first = str_trim(bytes);
    if (y->shape != RELAY_SHAPE_UNKNOWN || first.n == 0)
        return;
    y->shape = first.p[0] == '{' || first.p[0] == '[' ? RELAY_SHAPE_WHOLE : RELAY_SHAPE_EVENTS;
}

/* The upstream is alive.  Of a stream only whole events and comments say so: one that
 * dribbles bytes and never ends an event is as good as silent (EW1.12). */
static void note_life(struct request *r, struct str bytes)
{
    struct relay *y = r->relay;
    bool whole = y->shape != RELAY_SHAPE_EVENTS || sse_split(&y->splitter, bytes) > 0;
    if (whole && r->stream != NULL) /* else it only has settle()'s time to end */
        y->last_in_ns = loop_now_ns(&r->worker->loop);
}

int relay_convert_bytes(struct request *r, struct str bytes)
{
    struct relay *y = r->relay;
    look_at(y, bytes);
    note_life(r, bytes);
    if (relay_convert_takes_prefix(y)) {
        size_t left = y->body.limit_bytes - buf_len(&y->body);
        buf_add(&y->body, str_slice(bytes, 0, left));
        return left > bytes.n ? 0 : E_TOO_LARGE; /* relay_convert_takes_prefix() */
    }
    if (y->shape == RELAY_SHAPE_WHOLE) {
        relay_note_bulk(r, bytes.n);
        buf_add(&y->body, bytes);
        return y->body.overflow ? E_UPSTREAM_EVENT : 0;
    }
    int e = convert_feed(r->convert, bytes, &y->converted);
    if (e < 0 && !convert_begun(r->convert)) {
        give_up(r, e);
        return 0;
    }
    flush(r);
    if (r->stream == NULL && convert_failure(r->convert) != NULL)
        request_finish(r); /* nothing that may follow matters */
    return 0;
}

/* Does the upstream refuse reasoning of an earlier turn (0.7 (7))? */
static bool refuses_reasoning(const struct event_error *error)
{
    if (error->status != 400)
        return false;
    if (str_eq(error->code, S("invalid_encrypted_content")))
        return true;
    bool unverified = str_contains_nocase(error->message, S("encrypted content")) &&
                      str_contains_nocase(error->message, S("could not be verified"));
    static const struct str flaws[] = { S_INIT("signature"), S_INIT("cannot be modified"),
                                        S_INIT("binding"), S_INIT("mismatch") };
    bool flawed = false;
    for (size_t i = 0; i < ARRAY_LEN(flaws); i++)
        flawed = flawed || str_contains_nocase(error->message, flaws[i]);
    return unverified || (flawed && str_contains_nocase(error->message, S("thinking")));
}

static void end_error(struct request *r)
{
    struct event_error error;
    convert_error_read(&r->work, r->relay->upstream_status, buf_str(&r->relay->body), &error);
    bool converted = r->upstream_protocol != r->route.protocol; /* else it is the client's own */
    if (converted && refuses_reasoning(&error) && !r->repaired && r->status == 0) {
        request_repair(r);
        return;
    }
    reply_error(r, &error);
}

static void end_count(struct request *r)
{
    struct relay *y = r->relay;
    struct buf body;
    buf_init(&body, 1024);
    request_convert_count(r, y->upstream_status, buf_str(&y->body), &body);
    y->watch.end = WATCH_ENDED;
    request_log_reply(r);
    head_out(r, 200, S("application/json"), (int64_t)buf_len(&body));
    request_reply_body(r, buf_str(&body));
    request_reply_end(r);
    buf_done(&body);
    request_finish(r);
}

void relay_convert_end(struct request *r)
{
    struct relay *y = r->relay;
    if (y->mode == RELAY_COUNT) {
        end_count(r);
        return;
    }
    if (y->mode == RELAY_CONVERT_ERROR) {
        end_error(r);
        return;
    }
    int e = y->shape == RELAY_SHAPE_WHOLE
                ? convert_body(r->convert, buf_str(&y->body), &y->converted)
                : convert_end(r->convert, &y->converted);
    if (e < 0 && !convert_begun(r->convert)) {
        give_up(r, e);
        return;
    }
    flush(r);
    request_finish(r);
}

bool relay_convert_takes_prefix(const struct relay *y)
{
    return y->mode == RELAY_CONVERT_ERROR || y->mode == RELAY_COUNT;
}

bool relay_convert_is_over(const struct request *r)
{
    return r->stream == NULL || convert_waits_for_end(r->convert);
}

void relay_convert_open(struct request *r)
{
    convert_open(r->convert);
}

void relay_convert_fail(struct request *r)
{
    struct relay *y = r->relay;
    int e = convert_fail(r->convert, r->err, r->err_text, &y->converted);
    if (e == 0)
        flush(r);
}

/* ---- time ---- */

static int64_t ping(struct request *r, int64_t now_ns)
{
    struct relay *y = r->relay;
    int64_t ping_ns = r->worker->config->stream_ping_ms * NS_PER_MS;
    if (r->stream == NULL || ping_ns == 0 || !convert_client_streams(r->convert))
        return 0;
    if (r->status == 0) /* what is held may begin before anything else makes us look again */
        return now_ns + ping_ns;
    if (!y->paused && now_ns >= y->last_out_ns + ping_ns) {
        relay_put(r, reply_ping(r->route.protocol, convert_created(r->convert)));
        y->last_out_ns = now_ns;
    }
    return y->paused ? now_ns + ping_ns : y->last_out_ns + ping_ns;
}

/* The finish is known, and the end does not come. */
static int64_t settle(struct request *r, int64_t now_ns)
{
    struct relay *y = r->relay;
    int64_t due = y->last_in_ns + SETTLE_MS_MAX * NS_PER_MS;
    bool over = r->stream == NULL; /* only the upstream's end is awaited */
    if (!over && !convert_waits_for_end(r->convert))
        return 0;
    if (now_ns < due)
        return due;
    if (over)
        request_finish(r);
    else if (convert_idle(r->convert, &y->converted) == 0)
        flush(r);
    return 0;
}

/* The upstream has begun, but says nothing that counts: the head and what is held go out. */
static int64_t open_late(struct request *r, int64_t now_ns)
{
    int64_t due = relay_open_ns(r);
    bool waits = r->status == 0 && r->relay->mode == RELAY_CONVERT &&
                 convert_client_streams(r->convert) && r->relay->shape != RELAY_SHAPE_WHOLE;
    if (!waits || due == 0 || now_ns < due)
        return waits ? due : 0;
    convert_open(r->convert);
    flush(r);
    relay_put(r, reply_ping(r->route.protocol, convert_created(r->convert)));
    return 0;
}

int64_t relay_convert_tick(struct request *r, int64_t now_ns)
{
    int64_t (*const looks[])(struct request *, int64_t) = { settle, open_late, ping };
    int64_t due = 0;
    for (size_t i = 0; i < ARRAY_LEN(looks); i++) {
        int64_t next = looks[i](r, now_ns);
        if (next != 0 && (due == 0 || next < due))
            due = next;
    }
    return due;
}

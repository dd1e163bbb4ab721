#include "relay.h"

#include <stdlib.h>

#include "clock.h"
#include "coding.h"
#include "err.h"
#include "fold.h"
#include "json.h"
#include "mem.h"
#include "model_name.h"
#include "relay_convert.h"
#include "reply.h"
#include "request_convert.h"
#include "request_log.h"
#include "request_reply.h"
#include "slab.h"

enum {
    CAPTURE_ERROR_BYTES = 8 * 1024,   /* of an error reply */
    CAPTURE_JSON_BYTES = 1024 * 1024, /* of a plain reply, for its usage */
    BULK_BYTES = 4 * 1024,            /* a file, an image; well below a reply's first window */
};

static struct slab relays = SLAB_OF(relays, struct relay);

static struct str header(const struct http_head *head, struct str name)
{
    const struct str *v = http_find(&head->headers, name);
    return v != NULL ? *v : S("");
}

static bool is_streaming_endpoint(const struct request *r)
{
    return r->route.endpoint == ENDPOINT_MESSAGES || r->route.endpoint == ENDPOINT_RESPONSES ||
           r->route.endpoint == ENDPOINT_CHAT;
}

static struct relay *relay_new(struct request *r)
{
    struct relay *y = slab_take(&relays);
    watch_init(&y->watch, r->upstream_protocol);
    sse_splitter_init(&y->splitter);
    buf_init(&y->held, SIZE_MAX / 2); /* RELAY_HOLD_BYTES and one read, see events_in() */
    buf_init(&y->capture, 0);
    buf_init(&y->converted, SIZE_MAX / 2); /* what one read gives; sent at once when begun */
    y->last_in_ns = y->last_out_ns = loop_now_ns(&r->worker->loop);
    return y;
}

void relay_free(struct relay *y)
{
    if (y == NULL)
        return;
    coding_free(y->coding);
    fold_free(y->fold);
    free(y->pending);
    buf_done(&y->held);
    buf_done(&y->capture);
    buf_done(&y->body);
    buf_done(&y->converted);
    slab_give(y);
}

/* --- to the client --- */

void relay_put(struct request *r, struct str bytes)
{
    struct relay *y = r->relay;
    if (bytes.n == 0 || r->stream == NULL)
        return;
    y->last_out_ns = loop_now_ns(&r->worker->loop);
    request_reply_body(r, bytes);
    if (r->exchange != NULL && !y->paused && server_queued(r->stream) > CONN_HIGH_BYTES) {
        y->paused = true;
        exchange_pause(r->exchange);
    }
}

void relay_drain(struct request *r)
{
    struct relay *y = r->relay;
    if (y == NULL || !y->paused)
        return;
    y->paused = false;
    /* the silence was ours, and the client has read until now */
    y->last_in_ns = y->last_out_ns = loop_now_ns(&r->worker->loop);
    if (r->exchange != NULL)
        exchange_resume(r->exchange);
}

/* Most replies are short; the first that is not costs a WINDOW_UPDATE. */
void relay_note_bulk(struct request *r, size_t n)
{
    struct relay *y = r->relay;
    bool before = y->bulk_bytes >= BULK_BYTES;
    y->bulk_bytes += n;
    if (!before && y->bulk_bytes >= BULK_BYTES && r->exchange != NULL)
        exchange_widen(r->exchange);
}

/* --- events --- */

/* Whole events to the client, with its name of the model. */
static void put_events(struct request *r, struct str events)
{
    if (r->shown_model.n == 0) {
        relay_put(r, events);
        return;
    }
    struct buf out;
    buf_init(&out, SIZE_MAX / 2);
    model_name_in_events(r->upstream_protocol, events, r->shown_model, &out);
    relay_put(r, buf_str(&out));
    buf_done(&out);
}

/* An event that is to be changed must be whole. */
static size_t hold_limit(const struct request *r)
{
    return r->shown_model.n > 0 ? r->worker->config->max_event_bytes : (size_t)RELAY_HOLD_BYTES;
}

static void pass_event_piece(struct request *r, struct str bytes)
{
    struct relay *y = r->relay;
    if (!y->in_pieces && r->exchange != NULL)
        exchange_widen(r->exchange);
    y->in_pieces = true;
    y->last_in_ns = loop_now_ns(&r->worker->loop);
    relay_put(r, bytes);
}

/* events: from the last boundary to a boundary. */
static void pass_events(struct request *r, struct str events)
{
    struct relay *y = r->relay;
    y->last_in_ns = loop_now_ns(&r->worker->loop);
    if (y->in_pieces) { /* the event that was too long to hold is whole now, and more may follow */
        y->in_pieces = false;
        y->watch = *y->pending;
        free(y->pending);
        y->pending = NULL;
    }
    watch_events(&y->watch, events);
    put_events(r, events);
}

/* sse_split() gives the end of the last whole event in the chunk. */
static void events_in(struct request *r, struct str bytes)
{
    struct relay *y = r->relay;
    size_t end = sse_split(&y->splitter, bytes);
    struct str whole = str_slice(bytes, 0, end), rest = str_slice(bytes, end, bytes.n);
    if (end > 0 && buf_len(&y->held) > 0) {
        buf_add(&y->held, whole);
        pass_events(r, buf_str(&y->held));
        buf_clear(&y->held);
    } else if (end > 0) {
        pass_events(r, whole);
    }
    if (y->in_pieces) {
        pass_event_piece(r, rest);
    } else if (buf_len(&y->held) + rest.n > hold_limit(r)) {
        buf_add(&y->held, rest);
        y->pending = mem_dup(&y->watch, sizeof(y->watch));
        watch_events(y->pending, buf_str(&y->held));
        pass_event_piece(r, buf_str(&y->held));
        buf_clear(&y->held);
    } else {
        buf_add(&y->held, rest);
    }
}

/* The stream is over.  A last event without its empty line is completed when it is whole:
 * clients' SDKs would drop it. */
static void finish_held(struct request *r)
{
    struct relay *y = r->relay;
    struct str tail = buf_str(&y->held);
    if (tail.n == 0 || y->in_pieces)
        return;
    struct watch after = y->watch;
    watch_events(&after, tail);
    bool ends_reply = after.end > y->watch.end;
    if (!ends_reply)
        return;
    y->watch = after;
    put_events(r, tail);
    relay_put(r, tail.p[tail.n - 1] == '\n' ? S("\n") : S("\n\n"));
}

static void end_events(struct request *r)
{
    struct relay *y = r->relay;
    finish_held(r);
    if (y->watch.end == WATCH_OPEN) {
        request_fail(r, E_UPSTREAM_STREAM, S(""));
        return;
    }
    if (y->watch.end == WATCH_FAILED)
        r->ended = "upstream_error_event";
    request_log_reply(r);
    request_finish(r);
}

/* --- the other modes --- */

static void capture(struct request *r, struct str bytes)
{
    struct relay *y = r->relay;
    size_t left = y->capture.limit_bytes - buf_len(&y->capture);
    buf_add(&y->capture, str_slice(bytes, 0, left));
}

static void read_error(struct request *r, struct str *ret_message)
{
    struct relay *y = r->relay;
    yyjson_doc *doc;
    struct json_error ignored;
    *ret_message = S("");
    if (json_parse(buf_str(&y->capture), &doc, &ignored) < 0)
        return;
    yyjson_val *error = json_member(yyjson_doc_get_root(doc), S("error"));
    y->error_type = arena_str(&r->arena, str_slice(json_member_str(error, S("type")), 0, 64));
    *ret_message = arena_str(&r->arena, str_slice(json_member_str(error, S("message")), 0, 2000));
    yyjson_doc_free(doc);
}

static void end_verbatim(struct request *r)
{
    struct relay *y = r->relay;
    struct str message;
    if (y->upstream_status >= 400)
        read_error(r, &message);
    else if (r->route.kind == ROUTE_JSON)
        watch_json(&y->watch, buf_str(&y->capture));
    request_log_reply(r);
    request_finish(r);
}

static void end_swallowed(struct request *r)
{
    struct str message;
    read_error(r, &message);
    request_log_reply(r);
    if (message.n == 0)
        message = arena_printf(&r->arena, "upstream returned HTTP %d", r->relay->upstream_status);
    request_fail(r, E_UPSTREAM_STREAM, message);
}

static void reply_folded(struct request *r, int status, struct str body)
{
    struct str type = r->relay->mode == RELAY_FOLD ? S("application/json") : S("");
    request_reply_head(r, status, &r->relay->folded->headers, type, (int64_t)body.n);
    request_reply_body(r, body);
    request_reply_end(r);
}

/* The same with the client's name of the model. */
static void reply_renamed(struct request *r, struct str body)
{
    struct buf out;
    if (r->shown_model.n == 0) {
        reply_folded(r, r->relay->upstream_status, body);
        return;
    }
    buf_init(&out, SIZE_MAX / 2);
    model_name_in_body(body, r->shown_model, &out);
    reply_folded(r, r->relay->upstream_status, buf_str(&out));
    buf_done(&out);
}

static void fold_failed(struct request *r, int e)
{
    int status;
    struct str type, message;
    if (!fold_error(r->relay->fold, &status, &type, &message)) {
        request_fail(r, e, S(""));
        return;
    }
    struct buf body;
    buf_init(&body, 64 * 1024);
    reply_error_body(&body, type, message, r->id);
    r->relay->watch.end = WATCH_FAILED;
    r->ended = "upstream_error_event";
    request_log_reply(r);
    reply_folded(r, status, buf_str(&body));
    buf_done(&body);
    request_finish(r);
}

static void end_fold(struct request *r)
{
    struct relay *y = r->relay;
    int e = fold_end(y->fold);
    if (e < 0) {
        fold_failed(r, e);
        return;
    }
    struct buf body;
    buf_init(&body, r->worker->config->max_event_bytes * 2);
    fold_result(y->fold, &body);
    watch_json(&y->watch, buf_str(&body));
    request_log_reply(r);
    reply_renamed(r, buf_str(&body));
    buf_done(&body);
    request_finish(r);
}

static void end_rename(struct request *r)
{
    struct relay *y = r->relay;
    watch_json(&y->watch, buf_str(&y->body));
    request_log_reply(r);
    reply_renamed(r, buf_str(&y->body));
    request_finish(r);
}

/* --- bytes in, after the content-encoding --- */

static int plain_bytes(void *ctx, struct str bytes)
{
    struct request *r = ctx;
    struct relay *y = r->relay;
    if (y->capture.limit_bytes > 0)
        capture(r, bytes);
    switch (y->mode) {
    case RELAY_EVENTS:
        events_in(r, bytes);
        return 0;
    case RELAY_FOLD: {
        y->last_in_ns = loop_now_ns(&r->worker->loop);
        return fold_feed(y->fold, bytes);
    }
    case RELAY_VERBATIM:
        y->last_in_ns = loop_now_ns(&r->worker->loop);
        relay_note_bulk(r, bytes.n);
        relay_put(r, bytes);
        return 0;
    case RELAY_RENAME:
        y->last_in_ns = loop_now_ns(&r->worker->loop);
        buf_add(&y->body, bytes);
        return y->body.overflow ? E_UPSTREAM_EVENT : 0;
    case RELAY_SWALLOW:
        return 0;
    case RELAY_CONVERT:
    case RELAY_CONVERT_ERROR:
    case RELAY_COUNT:
        return relay_convert_bytes(r, bytes);
    }
    return 0;
}

static void bytes_failed(struct request *r, int e)
{
    if (r->relay->mode == RELAY_FOLD)
        fold_failed(r, e);
    else if (e == E_UPSTREAM_EVENT)
        request_fail(r, e, S(""));
    else
        request_fail(r, E_UPSTREAM_PROTOCOL, S("the reply's content-encoding does not decode"));
}

void relay_bytes(struct request *r, struct str bytes)
{
    struct relay *y = r->relay;
    int e = y->coding != NULL ? coding_feed(y->coding, bytes) : plain_bytes(r, bytes);
    if (e < 0 && !relay_broken(r))
        bytes_failed(r, e);
}

bool relay_broken(struct request *r)
{
    bool settles = relay_convert_takes_prefix(r->relay);
    if (settles)
        relay_convert_end(r);
    return settles;
}

bool relay_is_over(const struct request *r)
{
    return r->relay->mode == RELAY_CONVERT && relay_convert_is_over(r);
}

void relay_end(struct request *r)
{
    struct relay *y = r->relay;
    if (y->coding != NULL && coding_end(y->coding) < 0 && !relay_convert_takes_prefix(y)) {
        bytes_failed(r, E_UPSTREAM_STREAM);
        return;
    }
    switch (y->mode) {
    case RELAY_EVENTS:
        end_events(r);
        break;
    case RELAY_FOLD:
        end_fold(r);
        break;
    case RELAY_VERBATIM:
        end_verbatim(r);
        break;
    case RELAY_RENAME:
        end_rename(r);
        break;
    case RELAY_SWALLOW:
        end_swallowed(r);
        break;
    case RELAY_CONVERT:
    case RELAY_CONVERT_ERROR:
    case RELAY_COUNT:
        relay_convert_end(r);
        break;
    }
}

/* --- beginnings --- */

static enum relay_mode choose_mode(const struct request *r, int status, struct str type)
{
    bool events = status == 200 && is_streaming_endpoint(r) &&
                  str_starts_nocase(str_trim(type), S("text/event-stream"));
    bool ok = status >= 200 && status < 300;
    bool cannot = status == 404 || status == 405;
    if (r->convert != NULL && request_convert_counts(r))
        return ok || cannot ? RELAY_COUNT : RELAY_CONVERT_ERROR;
    if (r->convert != NULL)
        return ok ? RELAY_CONVERT : RELAY_CONVERT_ERROR;
    if (r->opened)
        return events ? RELAY_EVENTS : RELAY_SWALLOW;
    if (!events)
        return ok && r->shown_model.n > 0 ? RELAY_RENAME : RELAY_VERBATIM;
    return r->force_stream ? RELAY_FOLD : RELAY_EVENTS;
}

static size_t capture_limit(const struct request *r, enum relay_mode mode, int status)
{
    const struct config *c = r->worker->config;
    if (!c->production && r->route.kind == ROUTE_JSON)
        return c->max_event_bytes;
    if (status >= 400)
        return CAPTURE_ERROR_BYTES;
    return mode == RELAY_VERBATIM && r->route.kind == ROUTE_JSON ? CAPTURE_JSON_BYTES : 0;
}

static int begin_coding(struct request *r, struct str coding)
{
    struct relay *y = r->relay;
    bool reads = y->mode != RELAY_VERBATIM;
    if (!reads || coding_is_identity(coding))
        return 0;
    return coding_new(coding, SIZE_MAX / 2, plain_bytes, r, &y->coding);
}

void relay_begin(struct request *r, const struct http_head *head)
{
    struct str type = header(head, S("content-type"));
    if (r->relay == NULL)
        r->relay = relay_new(r);
    struct relay *y = r->relay;
    y->mode = choose_mode(r, head->status, type);
    y->upstream_status = head->status;
    y->last_in_ns = loop_now_ns(&r->worker->loop);
    buf_init(&y->capture, capture_limit(r, y->mode, head->status));
    struct str id = header(head, S("request-id"));
    if (id.n == 0)
        id = header(head, S("x-request-id"));
    y->upstream_request_id = arena_str(&r->arena, str_slice(id, 0, 128));
    bool readable = begin_coding(r, header(head, S("content-encoding"))) == 0;
    if (!readable && !relay_convert_takes_prefix(y)) {
        request_fail(r, E_UPSTREAM_PROTOCOL, S("unknown content-encoding in the reply"));
        return;
    }
    if (r->convert != NULL) {
        relay_convert_begin(r, head);
        if (!readable)
            y->body.limit_bytes = 0; /* the status alone */
        return;
    }
    if (y->mode == RELAY_FOLD || y->mode == RELAY_RENAME) {
        if (y->mode == RELAY_FOLD)
            y->fold = fold_new(r->upstream_protocol, r->worker->config->max_event_bytes);
        else
            buf_init(&y->body, r->worker->config->max_event_bytes);
        y->folded = arena_new(&r->work, struct http_head, 1);
        http_head_copy(head, &r->work, y->folded);
        return;
    }
    r->worker->counters->streams += y->mode == RELAY_EVENTS;
    if (r->opened)
        return;
    int64_t length = y->mode == RELAY_VERBATIM ? head->content_length : -1;
    if (!head->has_body && length < 0)
        length = 0;
    request_reply_head(r, head->status, &head->headers, S(""), length);
    if (y->mode == RELAY_EVENTS)
        r->first_byte_ns = clock_mono_ns();
}

int64_t relay_open_ns(const struct request *r)
{
    enum { CONVERTED_MS_MAX = 10 * 1000 }; /* C4.0: there is a first event to wait for */
    int64_t ms = r->worker->config->stream_open_ms;
    if (r->convert != NULL && ms > CONVERTED_MS_MAX)
        ms = CONVERTED_MS_MAX;
    return ms == 0 ? 0 : r->sent_ns + ms * NS_PER_MS;
}

void relay_open(struct request *r)
{
    r->relay = relay_new(r);
    r->relay->mode = r->convert != NULL ? RELAY_CONVERT : RELAY_EVENTS;
    r->opened = true;
    if (r->convert != NULL)
        relay_convert_open(r);
    request_reply_head(r, 200, NULL, RELAY_EVENTS_TYPE, -1);
    relay_put(r, reply_ping(r->route.protocol, false));
}

/* --- time --- */

static int64_t ping_tick(struct request *r, int64_t now_ns)
{
    struct relay *y = r->relay;
    int64_t ping_ns = r->worker->config->stream_ping_ms * NS_PER_MS;
    if (y->mode != RELAY_EVENTS || ping_ns == 0 || y->watch.end != WATCH_OPEN)
        return 0;
    if (y->in_pieces || y->paused) /* not between two events, or not read: look again */
        return now_ns + ping_ns;
    if (now_ns >= y->last_out_ns + ping_ns) {
        relay_put(r, reply_ping(r->upstream_protocol, y->watch.begun));
        y->last_out_ns = now_ns;
    }
    return y->last_out_ns + ping_ns;
}

int64_t relay_tick(struct request *r, int64_t now_ns)
{
    struct relay *y = r->relay;
    bool converts = y->mode == RELAY_CONVERT || y->mode == RELAY_CONVERT_ERROR;
    if (y->paused) /* the silence is ours */
        y->last_in_ns = now_ns;
    int64_t due = converts ? relay_convert_tick(r, now_ns) : ping_tick(r, now_ns);
    int64_t idle_ns = r->worker->config->stream_idle_ms * NS_PER_MS;
    if (idle_ns == 0 || y->upstream_status == 0)
        return due;
    int64_t idle_at = y->last_in_ns + idle_ns;
    if (now_ns >= idle_at) {
        request_fail(r, E_UPSTREAM_IDLE, S(""));
        return 0;
    }
    return due == 0 || idle_at < due ? idle_at : due;
}

/* --- failure after the head --- */

static void write_error_event(struct request *r)
{
    struct relay *y = r->relay;
    const struct err_row *row = err_row(r->err);
    struct buf out;
    buf_init(&out, 64 * 1024);
    const struct reply_stream_error e = {
        .protocol = r->route.protocol,
        .type = y->mode == RELAY_SWALLOW && y->error_type.n > 0 ? y->error_type : str_of(row->type),
        .message = r->err_text.n > 0 && y->mode == RELAY_SWALLOW ? r->err_text : str_of(row->text),
        .response_id = str_of(y->watch.response_id),
        .sequence_number = y->watch.next_sequence,
        .created = y->watch.begun,
    };
    reply_stream_error(&out, &e, r->id);
    relay_put(r, buf_str(&out));
    buf_done(&out);
}

void relay_fail(struct request *r)
{
    struct relay *y = r->relay;
    if (y != NULL && r->convert != NULL) {
        relay_convert_fail(r);
        return;
    }
    bool events = y != NULL && (y->mode == RELAY_EVENTS || y->mode == RELAY_SWALLOW);
    if (!events || y->in_pieces) {
        server_abort(r->stream);
        r->stream = NULL;
        return;
    }
    if (y->watch.end != WATCH_ENDED && y->watch.end != WATCH_FAILED)
        write_error_event(r);
    if (y->upstream_status != 0 && y->mode == RELAY_EVENTS)
        request_log_reply(r);
}

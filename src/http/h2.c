#include "h2.h"

#include <stdlib.h>

#include "err.h"
#include "h2_session.h"
#include "mem.h"

enum {
    STREAMS_BEFORE_SETTINGS = 100, /* rfc9113,s6.5.2 recommends no less */
    STREAMS_MAX = 1000,
    /* Frames that wait to be pulled, beyond what open streams may cause. */
    FRAMES_WAITING_MAX = 2000,
    PULLED_BYTES = 16 * 1024,
};

struct h2 *h2_new(enum h2_role role, const struct h2_limits *limits,
                  const struct h2_handler *handler, void *ctx)
{
    must(limits->header_bytes <= UINT32_MAX);
    struct h2 *c = mem_new(struct h2);
    c->role = role;
    c->limits = limits;
    c->handler = handler;
    c->ctx = ctx;
    list_init(&c->streams);
    list_init(&c->drained);
    c->last_id = -1; /* clients begin with 1 */
    h2_session_new(c);
    return c;
}

void h2_free(struct h2 *c)
{
    if (c == NULL)
        return;
    must(!c->busy);
    if (c->err == 0)
        c->err = E_CLOSED; /* no new streams from the callbacks */
    while (!list_empty(&c->streams)) {
        struct h2_stream *s = list_first(&c->streams, struct h2_stream, link);
        bool refused = c->goaway_received && s->id > c->goaway_last_id;
        h2_stream_close(s, H2_CANCEL, c->role == H2_CLIENT && (!s->sent || refused));
    }
    nghttp2_session_del(c->session);
    free(c);
}

bool h2_is_preface(struct str bytes, bool *ret_need_more)
{
    struct str preface = S(NGHTTP2_CLIENT_MAGIC);
    struct str beginning = str_slice(preface, 0, bytes.n);
    *ret_need_more = bytes.n < preface.n && str_eq(bytes, beginning);
    return str_starts(bytes, preface);
}

/* --- bytes --- */

void h2_set_now(struct h2 *c, int64_t now_ns)
{
    c->now_ns = now_ns;
}

static int fail(struct h2 *c, uint32_t error, enum refusal reason)
{
    if (c->err == 0) {
        c->err = c->role == H2_SERVER ? E_BAD_REQUEST : E_UPSTREAM_PROTOCOL;
        c->refusal = reason;
        (void)nghttp2_session_terminate_session(c->session, error);
    }
    return c->err;
}

int h2_feed(struct h2 *c, struct str bytes)
{
    must(!c->busy);
    if (c->err != 0 || bytes.n == 0)
        return c->err;
    c->busy = true;
    ssize_t used = nghttp2_session_mem_recv(c->session, (const uint8_t *)bytes.p, bytes.n);
    c->busy = false;
    must(used != NGHTTP2_ERR_NOMEM);
    if (used == NGHTTP2_ERR_FLOODED)
        return fail(c, H2_ENHANCE_YOUR_CALM, REFUSAL_H2_WAITING);
    if (used == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
        return fail(c, H2_ENHANCE_YOUR_CALM, REFUSAL_H2_CONTINUATIONS);
    if (used < 0)
        return fail(c, H2_PROTOCOL_ERROR, REFUSAL_H2_PROTOCOL); /* or a flood that we found */
    if (nghttp2_session_get_outbound_queue_size(c->session) > FRAMES_WAITING_MAX + 4 * c->streams_n)
        return fail(c, H2_ENHANCE_YOUR_CALM, REFUSAL_H2_WAITING);
    return c->err;
}

static void deliver_drained(struct h2 *c)
{
    while (!list_empty(&c->drained)) {
        struct h2_stream *s = list_first(&c->drained, struct h2_stream, drain_link);
        list_remove(&s->drain_link);
        if (!s->muted && !s->out_ended && c->handler->on_drain != NULL)
            c->handler->on_drain(c->ctx, s);
    }
}

/* A second frame is mostly followed by more: room for all of them, instead of growing step by step,
 * each with a copy and, of what is wiped, a wipe. */
static void add_frame(struct buf *out, struct str frame)
{
    if (buf_len(out) > 0 && out->cap < PULLED_BYTES && out->limit_bytes >= 2 * PULLED_BYTES)
        (void)buf_reserve(out, PULLED_BYTES);
    buf_add(out, frame);
}

void h2_pull(struct h2 *c, struct buf *out, size_t max)
{
    size_t before = buf_len(out);
    if (c->busy)
        return; /* inside a callback: what is queued goes with the next pull */
    while (buf_len(out) - before < max) {
        const uint8_t *p;
        c->busy = true;
        ssize_t n = nghttp2_session_mem_send(c->session, &p);
        must(n != NGHTTP2_ERR_NOMEM);
        if (n > 0)
            add_frame(out, (struct str){ (const char *)p, (size_t)n });
        must(!out->overflow); /* a frame lost would break the connection */
        deliver_drained(c);
        c->busy = false;
        if (n < 0 && c->err == 0)
            c->err = E_INTERNAL;
        if (n <= 0)
            return;
    }
}

bool h2_wants_write(const struct h2 *c)
{
    return nghttp2_session_want_write(c->session) != 0;
}

enum refusal h2_refusal(const struct h2 *c)
{
    return c->refusal;
}

bool h2_finished(const struct h2 *c)
{
    if (h2_wants_write(c))
        return false;
    return c->err != 0 || nghttp2_session_want_read(c->session) == 0;
}

/* --- streams --- */

void h2_stream_set_user(struct h2_stream *s, void *user)
{
    s->user = user;
}

void *h2_stream_user(const struct h2_stream *s)
{
    return s->user;
}

int32_t h2_stream_id(const struct h2_stream *s)
{
    return s->id;
}

bool h2_is_at_fault(const struct h2_stream *s)
{
    return s->at_fault;
}

size_t h2_open_streams(const struct h2 *c)
{
    return c->streams_n;
}

size_t h2_streams_allowed(const struct h2 *c)
{
    if (c->role != H2_CLIENT || c->err != 0 || c->goaway_received || c->goaway_sent ||
        nghttp2_session_check_request_allowed(c->session) == 0)
        return 0;
    size_t max = STREAMS_BEFORE_SETTINGS;
    if (c->settings_received)
        max = nghttp2_session_get_remote_settings(c->session,
                                                  NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    if (max > STREAMS_MAX)
        max = STREAMS_MAX;
    return max > c->streams_n ? max - c->streams_n : 0;
}

size_t h2_streams_max(const struct h2 *c)
{
    if (!c->settings_received)
        return SIZE_MAX;
    return nghttp2_session_get_remote_settings(c->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

struct h2_stream *h2_submit_request(struct h2 *c, const struct http_head *head, bool has_body,
                                    void *user)
{
    must(c->role == H2_CLIENT);
    if (h2_streams_allowed(c) == 0)
        return NULL;
    struct h2_stream *s = h2_stream_new(c, 0);
    nghttp2_data_provider body = { .source = { .ptr = s }, .read_callback = h2_read_out };
    struct h2_fields f;
    h2_fields_of_request(&f, head);
    s->id = nghttp2_submit_request(c->session, NULL, f.v, f.n, has_body ? &body : NULL, s);
    h2_fields_done(&f);
    must(s->id != NGHTTP2_ERR_NOMEM);
    if (s->id < 0) {
        h2_stream_close(s, H2_REFUSED_STREAM, true);
        return NULL;
    }
    s->user = user;
    s->reported = true;
    s->submitted = true;
    s->out_ended = !has_body;
    return s;
}

void h2_submit_reply(struct h2_stream *s, int status, const struct http_headers *headers,
                     int64_t content_length, bool has_body)
{
    must(s->conn->role == H2_SERVER);
    must(!s->submitted);
    must(status >= 200);
    s->submitted = true;
    s->out_ended = !has_body;
    if (s->muted)
        return;
    nghttp2_data_provider body = { .source = { .ptr = s }, .read_callback = h2_read_out };
    struct h2_fields f;
    h2_fields_of_reply(&f, status, headers, content_length);
    int e = nghttp2_submit_response(s->conn->session, s->id, f.v, f.n, has_body ? &body : NULL);
    h2_fields_done(&f);
    must(e == 0);
}

void h2_submit_continue(struct h2_stream *s)
{
    must(s->conn->role == H2_SERVER);
    if (s->muted || s->submitted)
        return;
    struct http_headers none = { .n = 0 };
    struct h2_fields f;
    h2_fields_of_reply(&f, 100, &none, -1);
    int e =
        nghttp2_submit_headers(s->conn->session, NGHTTP2_FLAG_NONE, s->id, NULL, f.v, f.n, NULL);
    h2_fields_done(&f);
    must(e == 0);
}

static void resume(struct h2_stream *s)
{
    if (!s->deferred)
        return;
    s->deferred = false;
    (void)nghttp2_session_resume_data(s->conn->session, s->id); /* fails when it is closing */
}

void h2_write(struct h2_stream *s, struct str bytes)
{
    must(s->submitted);
    must(!s->out_ended);
    if (s->muted || bytes.n == 0)
        return;
    buf_add(&s->out, bytes);
    if (s->out.overflow) {
        h2_reset(s, H2_INTERNAL_ERROR);
        return;
    }
    s->above_high = s->above_high || buf_len(&s->out) > H2_HIGH_BYTES;
    resume(s);
}

void h2_write_end(struct h2_stream *s)
{
    must(s->submitted);
    must(!s->out_ended);
    s->out_ended = true;
    if (!s->muted)
        resume(s);
}

bool h2_is_blocked(const struct h2_stream *s)
{
    nghttp2_session *session = s->conn->session;
    return buf_len(&s->out) > 0 &&
           (nghttp2_session_get_stream_remote_window_size(session, s->id) <= 0 ||
            nghttp2_session_get_remote_window_size(session) <= 0);
}

int64_t h2_head_since_ns(const struct h2 *c)
{
    return c->head_since_ns;
}

size_t h2_queued(const struct h2_stream *s)
{
    return buf_len(&s->out);
}

void h2_reset(struct h2_stream *s, enum h2_error error)
{
    if (s->muted && !s->reset_at_end)
        return;
    s->cancelled = true;
    s->reset_at_end = false;
    if (error == H2_NO_ERROR && s->submitted && s->out_ended && !s->local_ended) {
        s->muted = true;
        s->reset_at_end = true;
        return;
    }
    h2_submit_rst(s, error);
}

void h2_consume(struct h2_stream *s, size_t n)
{
    if (s->muted) /* closing gives all of it back */
        return;
    must(n <= s->unread_bytes);
    s->unread_bytes -= n;
    nghttp2_session *session = s->conn->session;
    int e = s->conn->role == H2_CLIENT ? nghttp2_session_consume_stream(session, s->id, n)
                                       : nghttp2_session_consume(session, s->id, n);
    must(e == 0);
}

void h2_widen(struct h2_stream *s)
{
    if (s->muted || s->remote_ended)
        return;
    int e = nghttp2_session_set_local_window_size(s->conn->session, NGHTTP2_FLAG_NONE, s->id,
                                                  H2_WINDOW_BYTES);
    must(e == 0);
}

/* --- the connection --- */

void h2_ping(struct h2 *c)
{
    if (c->err == 0)
        (void)nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
}

void h2_goaway_soon(struct h2 *c)
{
    must(c->role == H2_SERVER);
    if (c->goaway_sent || c->err != 0 || c->notice != H2_NOTICE_NONE)
        return;
    c->notice = H2_NOTICE_QUEUED;
    int e = nghttp2_submit_shutdown_notice(c->session);
    must(e == 0);
}

void h2_goaway(struct h2 *c)
{
    if (c->goaway_sent || c->err != 0)
        return;
    c->goaway_sent = true;
    int32_t last = c->role == H2_SERVER ? nghttp2_session_get_last_proc_stream_id(c->session) : 0;
    (void)nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, last, H2_NO_ERROR, NULL, 0);
}

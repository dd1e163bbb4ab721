#include "h2_session.h"

#include <string.h>

#include "clock.h"
#include "err.h"
#include "h2_mem.h"
#include "slab.h"

enum {
    RESETS_MAX = 199,       /* in 10 s, beyond completed streams; sent and received */
    RESETS_UNANSWERED = 2,  /* weight of one before the reply: at most 100 reach the upstream */
    IDLE_FRAMES_MAX = 1000, /* in 10 s: PRIORITY, answers to no PING */
    EMPTY_FRAMES_MAX = 1000,
    CONTINUATIONS_MAX = 8, /* of one block */
    HEADER_PIECES_MAX = (CONTINUATIONS_MAX + 1) * 9,
    BOMB_FACTOR = 2, /* a block so many times over the limit is no mistake */
    INTERIM_MAX = 8,
    REPLY_WINDOW_BYTES = 16 * 1024, /* until h2_widen() */
    CONN_WINDOW_BYTES = 4 * 1024 * 1024,
    SEND_HEADER_BYTES_MAX = 1024 * 1024,
};

static struct slab streams = SLAB_OF(streams, struct h2_stream);

/* --- streams --- */

struct h2_stream *h2_stream_new(struct h2 *c, int32_t id)
{
    struct h2_stream *s = slab_take(&streams);
    s->conn = c;
    s->id = id;
    list_init(&s->link);
    list_init(&s->drain_link);
    buf_init(&s->out, (size_t)1 << 30);
    list_append(&c->streams, &s->link);
    c->streams_n++;
    return s;
}

void h2_stream_close(struct h2_stream *s, uint32_t error, bool unprocessed)
{
    struct h2 *c = s->conn;
    list_remove(&s->link);
    list_remove(&s->drain_link);
    c->streams_n--;
    s->muted = true;
    if (s->unread_bytes > 0 &&
        c->role == H2_SERVER) /* the stream's window is gone, the connection's is not */
        (void)nghttp2_session_consume_connection(c->session, s->unread_bytes);
    s->unread_bytes = 0;
    if (s->reported)
        c->handler->on_stream_close(c->ctx, s, error, unprocessed);
    /* nghttp2 keeps closed streams for a while, to tell what may still be under way */
    (void)nghttp2_session_set_stream_user_data(c->session, s->id, NULL);
    h2_block_free(s->block);
    buf_done(&s->out);
    slab_give(s);
}

void h2_submit_rst(struct h2_stream *s, uint32_t error)
{
    s->muted = true;
    buf_clear(&s->out);
    int e = nghttp2_submit_rst_stream(s->conn->session, NGHTTP2_FLAG_NONE, s->id, error);
    must(e != NGHTTP2_ERR_NOMEM);
}

static void tell_refused(struct h2_stream *s)
{
    static const struct http_head none = { .major = 2 };
    struct h2 *c = s->conn;
    if (c->handler->on_refused != NULL && c->role == H2_SERVER)
        c->handler->on_refused(c->ctx, s->answers ? s : NULL, s->refused,
                               s->block != NULL ? &s->block->head : &none);
}

/* Drops a stream whose head or order of heads we do not accept.  What a client could do better
 * is answered, once the block is complete. */
static void refuse(struct h2_stream *s, int e)
{
    bool may_answer = s->conn->handler->on_refused != NULL && !s->head_done;
    if (s->refused != REFUSAL_NONE || s->muted)
        return;
    s->refused = s->block->refusal;
    s->answers = may_answer && e != E_BAD_REQUEST;
    if (s->answers)
        return;
    tell_refused(s);
    h2_submit_rst(s, e == E_HEADERS_TOO_LARGE ? H2_ENHANCE_YOUR_CALM : H2_PROTOCOL_ERROR);
}

static struct h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return id > 0 ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

static int end_session(struct h2 *c, enum h2_error error, enum refusal reason)
{
    if (c->err == 0) {
        c->refusal = reason;
        c->err = c->role == H2_SERVER ? E_BAD_REQUEST : E_UPSTREAM_PROTOCOL;
        int e = nghttp2_session_terminate_session(c->session, error);
        must(e == 0);
    }
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* An id that the client has skipped is closed (rfc9113,s5.1.1); nghttp2 ignores the HEADERS. */
static int check_id(struct h2 *c, int32_t id)
{
    if (c->role != H2_SERVER)
        return 0;
    if (id >= c->skipped_from && id <= c->skipped_to)
        return end_session(c, H2_PROTOCOL_ERROR, REFUSAL_H2_PROTOCOL);
    if (id - 2 > c->last_id) {
        c->skipped_from = c->last_id + 2;
        c->skipped_to = id - 2;
    }
    if (id > c->last_id)
        c->last_id = id;
    return 0;
}

/* --- floods --- */

static int flood(struct h2 *c, enum refusal reason)
{
    return end_session(c, H2_ENHANCE_YOUR_CALM, reason);
}

static int count(struct h2 *c, unsigned *n, unsigned weight, unsigned max, enum refusal reason)
{
    if (c->now_ns - c->window_from_ns >= 10 * NS_PER_S) {
        c->window_from_ns = c->now_ns;
        c->resets = 0;
        c->idle_frames = 0;
    }
    *n += weight;
    return *n > max ? flood(c, reason) : 0;
}

/* A client that finishes what it starts may also reset much. */
static void count_completed(struct h2 *c)
{
    c->resets -= c->resets > RESETS_UNANSWERED ? RESETS_UNANSWERED : c->resets;
    c->idle_frames -= c->idle_frames > 10 ? 10 : c->idle_frames;
}

/* s may be NULL: a stream that is closed, or was never taken on. */
static int count_reset(struct h2 *c, const struct h2_stream *s)
{
    bool unanswered = s != NULL && s->reported && !s->submitted;
    return count(c, &c->resets, unanswered ? RESETS_UNANSWERED : 1, RESETS_MAX, REFUSAL_H2_RESETS);
}

static int count_idle(struct h2 *c)
{
    return count(c, &c->idle_frames, 1, IDLE_FRAMES_MAX, REFUSAL_H2_IDLE_FRAMES);
}

static int count_block(struct h2 *c, const nghttp2_frame_hd *hd)
{
    if (hd->type == NGHTTP2_HEADERS) {
        c->continuations = 0;
        c->block_bytes = 0;
    } else if (++c->continuations > CONTINUATIONS_MAX) {
        return flood(c, REFUSAL_H2_CONTINUATIONS);
    }
    c->block_bytes += hd->length;
    return c->block_bytes > BOMB_FACTOR * c->limits->header_bytes ? flood(c, REFUSAL_H2_BLOCK) : 0;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
    struct h2 *c = user;
    if (c->err != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    switch (hd->type) {
    case NGHTTP2_RST_STREAM: /* as client it is we who chose to depend on this server */
        return c->role == H2_SERVER ? count_reset(c, stream_of(session, hd->stream_id)) : 0;
    case NGHTTP2_DATA:
        return stream_of(session, hd->stream_id) == NULL && hd->length == 0 ? count_idle(c) : 0;
    case NGHTTP2_HEADERS:
        return check_id(c, hd->stream_id) < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : count_block(c, hd);
    case NGHTTP2_CONTINUATION:
        return count_block(c, hd);
    case NGHTTP2_PING: /* those that ask are limited by their queued answers */
        return (hd->flags & NGHTTP2_FLAG_ACK) != 0 ? count_idle(c) : 0;
    case NGHTTP2_PUSH_PROMISE: /* nghttp2 takes one until our SETTINGS are acknowledged */
        return end_session(c, H2_PROTOCOL_ERROR, REFUSAL_H2_PROTOCOL);
    case NGHTTP2_SETTINGS:
    case NGHTTP2_GOAWAY:
    case NGHTTP2_WINDOW_UPDATE:
        return 0;
    default:
        return count_idle(c);
    }
}

/* --- reading --- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2 *c = user;
    c->decoded_bytes = 0;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    c->head_since_ns = c->now_ns;
    struct h2_stream *s;
    if (c->role == H2_SERVER && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        s = h2_stream_new(c, frame->hd.stream_id);
        int e = nghttp2_session_set_stream_user_data(session, s->id, s);
        must(e == 0);
    } else {
        s = stream_of(session, frame->hd.stream_id);
    }
    if (s == NULL)
        return 0;
    h2_block_free(s->block); /* one that was malformed */
    s->block = h2_block_new(c->role, c->limits, s->head_done);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    (void)flags;
    struct h2 *c = user;
    c->decoded_bytes += name_n + value_n + H2_FIELD_EXTRA_BYTES;
    if (c->decoded_bytes > BOMB_FACTOR * c->limits->header_bytes)
        return flood(c, REFUSAL_H2_BLOCK);
    struct h2_stream *s = stream_of(session, frame->hd.stream_id);
    if (s == NULL || s->block == NULL || s->refused != REFUSAL_NONE)
        return 0; /* refused: decoded for the sake of the table only */
    int e = h2_block_add(s->block, (struct str){ (const char *)name, name_n },
                         (struct str){ (const char *)value, value_n });
    if (e >= 0)
        return 0;
    refuse(s, e);
    /* an answer is no less work than a reset */
    return s->answers ? count_reset(c, s) : 0;
}

static void remote_end(struct h2_stream *s)
{
    s->remote_ended = true;
    if (s->reported && !s->muted)
        s->conn->handler->on_end(s->conn->ctx, s);
}

static void answer_refused(struct h2_stream *s)
{
    s->head_done = true;
    s->reported = true;
    tell_refused(s);
    must(s->muted);
}

static void on_head(struct h2_stream *s, bool ended)
{
    struct h2 *c = s->conn;
    struct h2_block *b = s->block;
    if (s->answers && !s->head_done && !s->muted)
        answer_refused(s);
    if (s->head_done || b == NULL || s->muted) {
        if (ended)
            remote_end(s);
        return;
    }
    int e = h2_block_finish(b, c->role, !ended);
    if (e < 0 || (c->role == H2_CLIENT && b->head.status < 200)) {
        if (e < 0 || ++s->interim_replies > INTERIM_MAX)
            refuse(s, e < 0 ? e : E_BAD_REQUEST);
        if (s->answers)
            answer_refused(s);
        if (s->answers && ended)
            remote_end(s);
        return;
    }
    s->head_done = true;
    s->reported = true;
    s->block = NULL;
    c->handler->on_head(c->ctx, s, &b->head);
    h2_block_free(b);
    if (ended)
        remote_end(s);
}

/* A head that nghttp2 itself refuses is complete, too. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
                            void *user)
{
    (void)session;
    (void)error;
    struct h2 *c = user;
    if (frame->hd.type == NGHTTP2_HEADERS)
        c->head_since_ns = 0;
    return 0;
}

static int on_data_frame(struct h2 *c, struct h2_stream *s, const nghttp2_frame *frame)
{
    if (frame->hd.length == frame->data.padlen && ++s->empty_frames > EMPTY_FRAMES_MAX)
        return flood(c, REFUSAL_H2_EMPTY_DATA);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        remote_end(s);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2 *c = user;
    struct h2_stream *s = stream_of(session, frame->hd.stream_id);
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
        return s != NULL ? on_data_frame(c, s, frame) : 0;
    case NGHTTP2_HEADERS:
        c->head_since_ns = 0;
        if (s != NULL) {
            on_head(s, (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
            h2_block_free(s->block); /* trailers, interim replies */
            s->block = NULL;
        }
        return 0;
    case NGHTTP2_SETTINGS:
        c->settings_received |= (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0;
        return 0;
    case NGHTTP2_PING: /* the client has read the notice, and all that it sent before is here */
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 && c->notice == H2_NOTICE_SENT)
            h2_goaway(c);
        return 0;
    case NGHTTP2_GOAWAY:
        c->goaway_last_id = frame->goaway.last_stream_id;
        if (!c->goaway_received && c->role == H2_CLIENT && c->handler->on_goaway != NULL) {
            c->goaway_received = true;
            c->handler->on_goaway(c->ctx);
        }
        c->goaway_received = true;
        return 0;
    default:
        return 0;
    }
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                   void *user)
{
    (void)flags;
    struct h2 *c = user;
    struct h2_stream *s = stream_of(session, id);
    if (s == NULL || s->muted || !s->reported) {
        int e = nghttp2_session_consume_connection(session, n);
        must(e == 0);
        return 0;
    }
    s->unread_bytes += n;
    if (c->role == H2_CLIENT)
        must(nghttp2_session_consume_connection(session, n) == 0);
    c->handler->on_body(c->ctx, s, (struct str){ (const char *)p, n });
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    struct h2 *c = user;
    struct h2_stream *s = stream_of(session, id);
    if (s == NULL)
        return 0;
    if (error == H2_NO_ERROR && !s->cancelled)
        count_completed(c);
    bool refused = error == H2_REFUSED_STREAM && !s->cancelled;
    h2_stream_close(s, error, c->role == H2_CLIENT && (!s->sent || refused));
    return 0;
}

/* --- writing --- */

ssize_t h2_read_out(nghttp2_session *session, int32_t id, uint8_t *to, size_t n,
                    uint32_t *ret_flags, nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)id;
    struct h2 *c = user;
    struct h2_stream *s = source->ptr;
    struct str queued = str_slice(buf_str(&s->out), 0, n);
    if (queued.n == 0 && !s->out_ended) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (queued.n > 0)
        memcpy(to, queued.p, queued.n);
    buf_consume(&s->out, queued.n);
    size_t left = buf_len(&s->out);
    if (left == 0 && s->out_ended)
        *ret_flags |= NGHTTP2_DATA_FLAG_EOF;
    if (s->above_high && left <= H2_LOW_BYTES) {
        s->above_high = false;
        list_remove(&s->drain_link);
        list_append(&c->drained, &s->drain_link);
    }
    return (ssize_t)queued.n;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2 *c = user;
    struct h2_stream *s = stream_of(session, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_GOAWAY && c->notice == H2_NOTICE_QUEUED) {
        c->notice = H2_NOTICE_SENT;
        h2_ping(c); /* behind it: nghttp2 would send a PING queued with it first */
        return 0;
    }
    if (frame->hd.type == NGHTTP2_RST_STREAM && s != NULL && !s->cancelled)
        s->at_fault = true;
    if (frame->hd.type == NGHTTP2_RST_STREAM && c->role == H2_SERVER &&
        (s == NULL || !s->cancelled)) {
        /* resets that the client provoked weigh as much as its own */
        (void)count_reset(c, s);
        if (s != NULL && s->refused == REFUSAL_NONE) { /* by nghttp2 */
            s->refused = REFUSAL_H2_STREAM;
            tell_refused(s);
        }
        return 0;
    }
    if (frame->hd.type == NGHTTP2_GOAWAY && c->refusal == REFUSAL_NONE &&
        frame->goaway.error_code != H2_NO_ERROR)
        c->refusal = REFUSAL_H2_PROTOCOL; /* likewise */
    if (s == NULL || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
        return 0;
    s->sent = true;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        s->local_ended = true;
        if (s->reset_at_end && !s->remote_ended)
            h2_submit_rst(s, H2_NO_ERROR);
    }
    return 0;
}

/* --- birth --- */

static nghttp2_session_callbacks *new_callbacks(void)
{
    nghttp2_session_callbacks *cb;
    int e = nghttp2_session_callbacks_new(&cb);
    must(e == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
    return cb;
}

static void submit_settings(struct h2 *c)
{
    bool server = c->role == H2_SERVER;
    nghttp2_settings_entry v[] = {
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, server ? H2_WINDOW_BYTES : REPLY_WINDOW_BYTES },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)c->limits->header_bytes },
        { server ? NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS : NGHTTP2_SETTINGS_ENABLE_PUSH,
          server ? c->limits->streams_max : 0 },
    };
    int e = nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, v, ARRAY_LEN(v));
    must(e == 0);
    e = nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW_BYTES);
    must(e == 0);
}

void h2_session_new(struct h2 *c)
{
    nghttp2_option *option;
    nghttp2_session_callbacks *cb = new_callbacks();
    int e = nghttp2_option_new(&option);
    must(e == 0);
    nghttp2_option_set_no_auto_window_update(option, 1);
    /* nghttp2 drops a longer block without a word to the stream, which then hangs; our limits on
     * what we read keep what we send well below this */
    nghttp2_option_set_max_send_header_block_length(option, SEND_HEADER_BYTES_MAX);
    /* Our own counts replace both: they know of completed streams and of sent resets; and
     * nghttp2 counts pieces of CONTINUATION headers, as the network cuts them: its own limit is
     * for blocks that it ignores, and does not tell of. */
    nghttp2_option_set_stream_reset_rate_limit(option, 1u << 30, 1u << 30);
    nghttp2_option_set_max_continuations(option, HEADER_PIECES_MAX);
    e = c->role == H2_SERVER ? nghttp2_session_server_new3(&c->session, cb, c, option, h2_mem())
                             : nghttp2_session_client_new3(&c->session, cb, c, option, h2_mem());
    must(e == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(cb);
    submit_settings(c);
}

/*
 * server_h2.c - HTTP/2 on the client side.
 *
 * The codec does the protocol; here its output is moved to the conn, once at the end of
 * a turn and never above the conn's high mark, so that what waits, waits in the stream's
 * queue where the user sees it.
 *
 * A stream outlives its reply until the codec has sent it (on_stream_close).  RST_STREAM
 * would overtake queued bytes: the codec keeps the NO_ERROR of an early reply back until
 * they are sent, and an abort waits here (`aborting`) until the queue is empty.
 *
 * A reply may be ended before its request.  The client then has a moment to end it, too, before
 * it is told to stop with RST_STREAM NO_ERROR: so it surely reads the reply first, and errors in
 * what it still sends are not lost on it.
 *
 * Time limits are looked at in a tick of a quarter of the shortest one.
 */
#include "clock.h"
#include "err.h"
#include "server_internal.h"

enum {
    PULL_BYTES = 64 * 1024,
    BLOCKED_DIVISOR = 2, /* of the write limit: for a stream whose window is shut */
    HEAD_ARENA_BYTES = 1024 * 1024,
    ERROR_BODY_BYTES = 64 * 1024,
    DRAIN_BYTES = 64 * 1024, /* of a request that has its reply */
    DRAIN_NS = NS_PER_S,
    NOTICE_NS = NS_PER_S, /* between the notice of GOAWAY and itself, at most */
};

static int64_t now_ns(const struct server_conn *c)
{
    return loop_now_ns(c->server->loop);
}

static void arm_tick(struct server_conn *c)
{
    const struct server_limits *limits = c->server->limits;
    int64_t least = limits->keepalive_ns;

    if (least > limits->header_ns)
        least = limits->header_ns;
    if (least > limits->write_ns / BLOCKED_DIVISOR)
        least = limits->write_ns / BLOCKED_DIVISOR;
    if (limits->body_bytes_per_s > 0 && least > limits->body_grace_ns)
        least = limits->body_grace_ns;
    least /= 4;
    server_conn_arm(c, now_ns(c) + (least > NS_PER_MS ? least : NS_PER_MS));
}

/* --- output --- */

static void pull(struct server_conn *c)
{
    struct buf out;

    buf_init(&out, (size_t)1 << 30);
    h2_set_now(c->h2.codec, now_ns(c));
    /* Up to and over the mark, so that drained() is sure to come. */
    while (c->state == SERVER_CONN_SERVING && conn_queued(c->conn) <= CONN_HIGH_BYTES) {
        h2_pull(c->h2.codec, &out, PULL_BYTES);
        if (buf_len(&out) == 0 || c->state != SERVER_CONN_SERVING)
            break;
        server_conn_write_buf(c, &out);
    }
    buf_done(&out);
}

static void set_aborting(struct server_stream *s, bool on)
{
    if (s->aborting == on)
        return;
    s->aborting = on;
    s->conn->h2.aborting += on ? 1 : -1;
}

/* True when there is something to send again. */
static bool send_aborts(struct server_conn *c)
{
    bool any = false;

    if (c->h2.aborting == 0 || h2_wants_write(c->h2.codec))
        return false;
    list_each (it, tmp, &c->h2.streams) {
        struct server_stream *s = list_entry(it, struct server_stream, link);
        if (!s->aborting || h2_queued(s->h2) > 0)
            continue;
        set_aborting(s, false);
        h2_reset(s->h2, H2_INTERNAL_ERROR);
        any = true;
    }
    return any;
}

/* The conn's last bytes (GOAWAY) are still sent; streams that are open end now. */
static void finish(struct server_conn *c)
{
    server_conn_refused(c, h2_refusal(c->h2.codec), NULL);
    server_conn_shut(c, false);
    c->version->gone(c);
}

static void run(struct server_conn *c)
{
    do
        pull(c);
    while (c->state == SERVER_CONN_SERVING && send_aborts(c));
    if (c->state != SERVER_CONN_SERVING || h2_wants_write(c->h2.codec))
        return;
    if (h2_finished(c->h2.codec))
        finish(c);
}

/* --- the codec's callbacks --- */

static void on_head(void *ctx, struct h2_stream *h2, const struct http_head *head)
{
    struct server_conn *c = ctx;

    if (c->state != SERVER_CONN_SERVING)
        return; /* it dies with the codec, nobody was told of it */
    struct server_stream *s = server_stream_new(c, head);
    s->h2 = h2;
    s->request_done = !head->has_body;
    h2_stream_set_user(h2, s);
    list_append(&c->h2.streams, &s->link);
    c->server->handler->on_request(c->server->ctx, s, head);
}

static void end_drain(struct server_stream *s)
{
    s->drain_due_ns = 0;
    h2_reset(s->h2, H2_NO_ERROR);
}

static void drain(struct server_stream *s, size_t n)
{
    s->drained += n;
    if (s->drain_due_ns != 0 && s->drained >= DRAIN_BYTES)
        end_drain(s);
}

static void on_body(void *ctx, struct h2_stream *h2, struct str bytes)
{
    struct server_conn *c = ctx;
    struct server_stream *s = h2_stream_user(h2);

    if (!s)
        return;
    if (s->reply == SERVER_REPLY_ENDED) {
        drain(s, bytes.n); /* unread: so the client soon stops */
        return;
    }
    s->expects = false; /* it did not wait */
    s->body_seen += (int64_t)bytes.n;
    c->server->handler->on_body(s->user, bytes);
    if (!s->h2)
        return;
    if (s->paused)
        s->unread += bytes.n;
    else
        h2_consume(s->h2, bytes.n);
}

static void on_end(void *ctx, struct h2_stream *h2)
{
    struct server_conn *c = ctx;
    struct server_stream *s = h2_stream_user(h2);

    if (!s)
        return;
    s->request_done = true;
    if (s->reply != SERVER_REPLY_ENDED)
        c->server->handler->on_end(s->user);
}

static void on_drain(void *ctx, struct h2_stream *h2)
{
    struct server_conn *c = ctx;
    struct server_stream *s = h2_stream_user(h2);

    if (s && s->reply != SERVER_REPLY_ENDED)
        c->server->handler->on_drain(s->user);
}

static void on_stream_close(void *ctx, struct h2_stream *h2, uint32_t error, bool unprocessed)
{
    struct server_conn *c = ctx;
    struct server_stream *s = h2_stream_user(h2);

    (void)error;
    (void)unprocessed;
    if (!s)
        return;
    set_aborting(s, false);
    s->h2 = NULL;
    list_remove(&s->link);
    if (list_empty(&c->h2.streams))
        c->h2.idle_since_ns = now_ns(c);
    server_stream_gone(s);
}

/* As HTTP/1 does, but that the conn goes on. */
static void on_refused(void *ctx, struct h2_stream *h2, enum refusal reason,
                       const struct http_head *head)
{
    struct server_conn *c = ctx;
    const struct server *server = c->server;
    const struct server_refusal why = { .reason = reason,
                                        .method = head->method,
                                        .target = head->target,
                                        .remote = conn_remote(c->conn) };
    struct http_headers headers = { 0 };
    struct buf body;
    struct arena a;

    if (!h2) {
        server->handler->on_refused(server->ctx, &why, NULL, NULL, NULL);
        return;
    }
    arena_init(&a, HEAD_ARENA_BYTES);
    buf_init(&body, ERROR_BODY_BYTES);
    server->handler->on_refused(server->ctx, &why, &a, &headers, &body);
    h2_submit_reply(h2, err_row(refusal_row(reason)->err)->http_status, &headers, -1, true);
    h2_write(h2, buf_str(&body));
    h2_write_end(h2);
    h2_reset(h2, H2_NO_ERROR);
    buf_done(&body);
    arena_done(&a);
}

static const struct h2_handler codec_callbacks = {
    on_head, on_body, on_end, on_drain, on_stream_close, NULL, on_refused,
};

/* --- the conn --- */

static void start(struct server_conn *c)
{
    list_init(&c->h2.streams);
    c->h2.idle_since_ns = now_ns(c);
    c->h2.codec = h2_new(H2_SERVER, &c->server->limits->h2, &codec_callbacks, c);
    server_conn_run_later(c);
    server_conn_arm(c, c->since_ns + c->server->limits->header_ns);
    arm_tick(c);
}

static void give_up(struct server_conn *c)
{
    pull(c);
    if (c->state == SERVER_CONN_SERVING)
        finish(c);
}

static void read_bytes(struct server_conn *c, struct str bytes)
{
    h2_set_now(c->h2.codec, now_ns(c));
    int e = h2_feed(c->h2.codec, bytes);

    if (c->state != SERVER_CONN_SERVING)
        return;
    if (e < 0) {
        c->hurry = true; /* it may not even read the GOAWAY */
        give_up(c);
    } else
        server_conn_run_later(c);
}

static void drained(struct server_conn *c)
{
    server_conn_run_later(c);
}

/* True when the stream's client has not taken a byte for too long.  Half of that will do when it
 * has shut the window: it costs a client nothing to let replies pile up so. */
static bool is_stalled(struct server_stream *s, int64_t now)
{
    int64_t limit_ns = s->conn->server->limits->write_ns;
    size_t queued = h2_queued(s->h2);
    uint64_t sent = s->written - queued;

    if (queued == 0 || sent != s->sent_seen || s->sent_since_ns == 0) {
        s->sent_seen = sent;
        s->sent_since_ns = queued > 0 ? now : 0;
        return false;
    }
    if (h2_is_blocked(s->h2))
        limit_ns /= BLOCKED_DIVISOR;
    return now - s->sent_since_ns >= limit_ns;
}

/* on_stream_close() tells the user. */
static void cut(struct server_stream *s, enum refusal reason)
{
    server_conn_refused(s->conn, reason, s->reply != SERVER_REPLY_ENDED ? s : NULL);
    h2_reset(s->h2, H2_CANCEL);
}

/* No head came in time: of the first request, or the rest of one that has begun. */
static bool is_head_late(const struct server_conn *c, int64_t now)
{
    int64_t since = h2_head_since_ns(c->h2.codec);

    if (since == 0 && !c->asked && list_empty(&c->h2.streams))
        since = c->since_ns;
    return since != 0 && now - since >= c->server->limits->header_ns;
}

static void check_streams(struct server_conn *c, int64_t now)
{
    list_each (it, tmp, &c->h2.streams) {
        struct server_stream *s = list_entry(it, struct server_stream, link);
        bool slow = s->reply != SERVER_REPLY_ENDED && now >= server_stream_body_due(s);
        bool stalled = is_stalled(s, now);
        if (slow || stalled)
            cut(s, slow ? REFUSAL_SLOW_BODY : REFUSAL_SLOW_READ);
        else if (s->drain_due_ns != 0 && now >= s->drain_due_ns)
            end_drain(s);
        else if (s->drain_due_ns != 0)
            server_conn_arm(c, s->drain_due_ns);
    }
}

static void tick(struct server_conn *c)
{
    int64_t now = now_ns(c);

    if (now >= server_conn_stall_due(c)) {
        server_conn_refused(c, REFUSAL_SLOW_READ, NULL);
        server_conn_drop(c, true);
        return;
    }
    bool idle =
        list_empty(&c->h2.streams) && now - c->h2.idle_since_ns >= c->server->limits->keepalive_ns;
    bool late = is_head_late(c, now);
    if (late)
        server_conn_refused(c, REFUSAL_SLOW_HEAD, NULL);
    if (idle || late) {
        h2_goaway(c->h2.codec);
        give_up(c);
        return;
    }
    if (c->h2.goaway_ns != 0 && now >= c->h2.goaway_ns)
        h2_goaway(c->h2.codec);
    check_streams(c, now);
    server_conn_run_later(c);
    arm_tick(c);
}

/* In two steps, so that no request is lost which is on its way now. */
static void retire(struct server_conn *c)
{
    if (c->h2.goaway_ns != 0)
        return;
    c->h2.goaway_ns = now_ns(c) + NOTICE_NS;
    h2_goaway_soon(c->h2.codec);
    server_conn_arm(c, c->h2.goaway_ns);
    server_conn_run_later(c);
}

static bool is_open(struct server_conn *c)
{
    return !list_empty(&c->h2.streams);
}

static void gone(struct server_conn *c)
{
    while (!list_empty(&c->h2.streams)) {
        struct server_stream *s = list_first(&c->h2.streams, struct server_stream, link);
        h2_stream_set_user(s->h2, NULL);
        set_aborting(s, false);
        s->h2 = NULL;
        server_stream_gone(s);
    }
}

static void done(struct server_conn *c)
{
    h2_free(c->h2.codec);
}

/* --- the reply --- */

static void reply_head(struct server_stream *s, int status, const struct http_headers *headers,
                       int64_t body_bytes)
{
    bool has_body = !s->no_body && body_bytes != 0;
    bool has_length = body_bytes >= 0 && status != 204 && status != 304;

    if (!s->h2)
        return;
    h2_submit_reply(s->h2, status, headers, has_length ? body_bytes : -1, has_body);
    s->no_body = !has_body;
    server_conn_run_later(s->conn);
}

static void reply_write(struct server_stream *s, struct str bytes)
{
    if (!s->h2)
        return;
    s->written += bytes.n;
    h2_write(s->h2, bytes);
    server_conn_run_later(s->conn);
}

static void reply_end(struct server_stream *s)
{
    if (!s->h2)
        return;
    if (!s->no_body)
        h2_write_end(s->h2);
    if (!s->request_done) {
        s->drain_due_ns = now_ns(s->conn) + DRAIN_NS;
        server_conn_arm(s->conn, s->drain_due_ns);
    }
    server_conn_run_later(s->conn);
}

static void reply_abort(struct server_stream *s)
{
    s->reply = SERVER_REPLY_ENDED;
    if (!s->h2)
        return;
    set_aborting(s, true);
    server_conn_run_later(s->conn);
}

static size_t reply_queued(const struct server_stream *s)
{
    return s->h2 ? h2_queued(s->h2) : 0;
}

static void body_pause(struct server_stream *s)
{
    (void)s; /* on_body() keeps count and the window closes */
}

static void body_resume(struct server_stream *s)
{
    if (!s->h2 || s->unread == 0)
        return;
    h2_consume(s->h2, s->unread);
    s->unread = 0;
    server_conn_run_later(s->conn);
}

static void reply_continue(struct server_stream *s)
{
    if (!s->h2)
        return;
    h2_submit_continue(s->h2);
    server_conn_run_later(s->conn);
}

const struct server_version server_h2_version = SERVER_VERSION(2);

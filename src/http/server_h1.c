/*
 * server_h1.c - HTTP/1 on the client side.
 *
 * One exchange at a time.  What the codec is not given yet (the next request, a paused
 * body) is the rest of at most one read: it waits in `held` while the conn is paused.
 * Otherwise the conn goes on reading while a reply is made, because only so is the end
 * of the client noticed.
 *
 * Everything goes through process(); callbacks of the user that end a reply inside it
 * only note that, and the loop there goes on with the next request.  Outside of it the
 * same is done at the end of the turn (run).
 *
 * A reply that begins before its request has been read says `connection: close`: the
 * rest of the body is thrown away by conn_finish(), which bounds it.
 */
#include "clock.h"
#include "err.h"
#include "server_internal.h"

enum {
    ERROR_BODY_BYTES = 64 * 1024,
    ERROR_ARENA_BYTES = 256 * 1024,
    HEAD_BYTES = 500, /* most heads fit; a body of up to BODY_BYTES is queued behind it */
    BODY_BYTES = 16 * 1024,
    CHUNK_BYTES = 20,        /* around its bytes */
    OUT_BYTES_MAX = 1 << 30, /* of one write; the caller's bytes, not the client's */
};

static int64_t now_ns(const struct server_conn *c)
{
    return loop_now_ns(c->server->loop);
}

/* --- timing --- */

/* When the conn should be looked at next. */
static int64_t next_due(const struct server_conn *c)
{
    const struct server_h1 *h = &c->h1;
    int64_t due = server_conn_stall_due(c), other = INT64_MAX;

    if (h->request == SERVER_H1_NONE || h->request == SERVER_H1_HEAD)
        other = h->due_ns;
    else if (h->request == SERVER_H1_BODY && h->stream)
        other = server_stream_body_due(h->stream);
    if (due == INT64_MAX && h->stream)
        due = now_ns(c) + c->server->limits->write_ns; /* bytes may be queued until then */
    return due < other ? due : other;
}

/* --- the end of an exchange --- */

static void stop_feeding(struct server_h1 *h)
{
    if (h->feeding)
        h1_stop(&h->codec);
}

static void shut(struct server_conn *c, bool reset)
{
    must(!c->h1.stream);
    stop_feeding(&c->h1);
    server_conn_shut(c, reset);
}

static void next_request(struct server_conn *c)
{
    struct server_h1 *h = &c->h1;

    must(h->request == SERVER_H1_DONE);
    if (h->close_after || c->server->draining) {
        shut(c, false);
        return;
    }
    h1_next(&h->codec, S(""));
    h->request = SERVER_H1_NONE;
    h->due_ns = now_ns(c) + c->server->limits->keepalive_ns;
}

/* The stream is over for the user. */
static void let_go(struct server_conn *c)
{
    struct server_stream *s = c->h1.stream;

    must(s);
    c->h1.stream = NULL;
    server_stream_release(s);
    conn_resume(c->conn, CONN_PAUSE_OWNER);
}

/* --- requests that are refused here --- */

static void write_error(struct server_conn *c, const struct server_refusal *why)
{
    const struct server *server = c->server;
    struct arena a;
    struct buf body, out;
    struct http_headers headers = { 0 };

    arena_init(&a, ERROR_ARENA_BYTES);
    buf_init(&body, ERROR_BODY_BYTES);
    buf_init(&out, OUT_BYTES_MAX);
    server->handler->on_refused(server->ctx, why, &a, &headers, &body);
    int status = err_row(refusal_row(why->reason)->err)->http_status;
    h1_write_reply(&out, status, &headers, (int64_t)buf_len(&body), false, 1);
    buf_add(&out, buf_str(&body));
    server_conn_write_buf(c, &out);
    buf_done(&body);
    arena_done(&a);
}

/* A request that is malformed or too slow.  What does not even say HTTP gets no answer in it; a
 * spoilt HTTP/2 preface, for one (rfc9113,s3.4).  A user who has it already is told that the
 * client is gone: no reply to it can be of use. */
static void refuse(struct server_conn *c, enum refusal reason, struct str text)
{
    struct server_h1 *h = &c->h1;
    struct server_stream *s = h->stream;
    struct server_refusal why = {
        .reason = reason, .text = text, .remote = conn_remote(c->conn), .user = s ? s->user : NULL
    };

    h->stream = NULL;
    h1_asked(&h->codec, &why.method, &why.target);
    if (reason != REFUSAL_NOT_HTTP && (!s || s->reply == SERVER_REPLY_NONE))
        write_error(c, &why);
    else
        c->server->handler->on_refused(c->server->ctx, &why, NULL, NULL, NULL);
    shut(c, s && h->framing == SERVER_H1_UNTIL_CLOSE && s->reply == SERVER_REPLY_HEAD);
    if (s)
        server_stream_gone(s);
}

/* --- reading --- */

static void on_head(void *ctx, const struct http_head *head)
{
    struct server_conn *c = ctx;
    struct server_h1 *h = &c->h1;

    must(h->request == SERVER_H1_HEAD);
    must(!h->stream);
    h->request = head->has_body ? SERVER_H1_BODY : SERVER_H1_EMPTY;
    h->minor = head->minor;
    h->close_after = !h1_keep_alive(&h->codec);
    h->stream = server_stream_new(c, head);
    h->stream->request_done = !head->has_body;
    c->server->handler->on_request(c->server->ctx, h->stream, head);
}

static void on_body(void *ctx, struct str bytes)
{
    struct server_conn *c = ctx;
    struct server_stream *s = c->h1.stream;

    if (!s)
        return;
    s->expects = false; /* it did not wait */
    s->body_seen += (int64_t)bytes.n;
    c->server->handler->on_body(s->user, bytes);
}

static void on_end(void *ctx)
{
    struct server_conn *c = ctx;
    struct server_stream *s = c->h1.stream;

    if (c->state != SERVER_CONN_SERVING)
        return;
    c->h1.request = SERVER_H1_DONE;
    if (!s)
        return;
    s->request_done = true;
    c->server->handler->on_end(s->user);
}

static const struct h1_handler codec_callbacks = { on_head, on_body, on_end };

/* The codec gets bytes now; else they must wait. */
static bool may_feed(const struct server_h1 *h)
{
    if (h->request == SERVER_H1_DONE)
        return false;
    return !(h->request == SERVER_H1_BODY && h->stream && h->stream->paused);
}

/* Returns how many bytes are done with. */
static size_t process(struct server_conn *c, struct str bytes)
{
    struct server_h1 *h = &c->h1;
    size_t used = 0;

    must(!h->feeding);
    for (;;) {
        if (h->request == SERVER_H1_DONE && !h->stream)
            next_request(c);
        if (c->state != SERVER_CONN_SERVING)
            return bytes.n;
        if (used == bytes.n || !may_feed(h))
            return used;
        if (h->request == SERVER_H1_NONE) {
            int64_t due = now_ns(c) + c->server->limits->header_ns;
            h->request = SERVER_H1_HEAD;
            h->due_ns = h->due_ns < due ? h->due_ns : due;
        }
        h->feeding = true;
        ssize_t n = h1_feed(&h->codec, str_slice(bytes, used, bytes.n));
        h->feeding = false;
        if (c->state != SERVER_CONN_SERVING)
            return bytes.n;
        if (n < 0) {
            refuse(c, h1_refusal(&h->codec), str_of(h1_error_text(&h->codec)));
            return bytes.n;
        }
        must(n > 0);
        used += (size_t)n;
    }
}

static void after_process(struct server_conn *c)
{
    if (c->state != SERVER_CONN_SERVING)
        return;
    if (buf_len(&c->h1.held) > 0)
        conn_pause(c->conn, CONN_PAUSE_PIPELINE);
    else
        conn_resume(c->conn, CONN_PAUSE_PIPELINE);
    server_conn_arm(c, next_due(c));
}

/* Takes what was held. */
static void run(struct server_conn *c)
{
    size_t used = process(c, buf_str(&c->h1.held));

    buf_consume(&c->h1.held, used);
    after_process(c);
}

static void read_bytes(struct server_conn *c, struct str bytes)
{
    struct server_h1 *h = &c->h1;

    if (buf_len(&h->held) > 0) { /* paused, but the read was under way */
        buf_add(&h->held, bytes);
        run(c);
        return;
    }
    size_t used = process(c, bytes);
    if (used < bytes.n) {
        buf_add(&h->held, str_slice(bytes, used, bytes.n));
        must(!h->held.overflow);
    }
    after_process(c);
}

/* --- the conn --- */

static void start(struct server_conn *c)
{
    struct server_h1 *h = &c->h1;

    h1_init(&h->codec, H1_SERVER, &c->server->limits->h1, &codec_callbacks, c);
    buf_init(&h->held, 2 * LOOP_SCRATCH_BYTES);
    h->due_ns = c->since_ns + c->server->limits->header_ns;
    server_conn_arm(c, h->due_ns);
}

static void drained(struct server_conn *c)
{
    if (c->h1.stream)
        c->server->handler->on_drain(c->h1.stream->user);
}

static void tick(struct server_conn *c)
{
    struct server_h1 *h = &c->h1;
    int64_t now = now_ns(c);

    if (now >= server_conn_stall_due(c)) {
        server_conn_refused(c, REFUSAL_SLOW_READ, h->stream);
        server_conn_drop(c, true);
        return;
    }
    if (h->request == SERVER_H1_NONE && now >= h->due_ns) {
        if (!c->asked)
            server_conn_refused(c, REFUSAL_SLOW_HEAD, NULL);
        shut(c, false);
        return;
    }
    if (h->request == SERVER_H1_HEAD && now >= h->due_ns)
        refuse(c, REFUSAL_SLOW_HEAD, S(""));
    else if (h->request == SERVER_H1_BODY && h->stream && now >= server_stream_body_due(h->stream))
        refuse(c, REFUSAL_SLOW_BODY, S(""));
    else
        server_conn_arm(c, next_due(c));
}

static void retire(struct server_conn *c)
{
    if (c->h1.request == SERVER_H1_NONE && buf_len(&c->h1.held) == 0)
        shut(c, false);
}

static bool is_open(struct server_conn *c)
{
    return c->h1.stream != NULL;
}

static void gone(struct server_conn *c)
{
    struct server_stream *s = c->h1.stream;

    c->h1.stream = NULL;
    stop_feeding(&c->h1);
    if (s)
        server_stream_gone(s);
}

static void done(struct server_conn *c)
{
    h1_done(&c->h1.codec);
    buf_done(&c->h1.held);
}

/* --- the reply --- */

static void reply_head(struct server_stream *s, int status, const struct http_headers *headers,
                       int64_t body_bytes)
{
    struct server_conn *c = s->conn;
    struct server_h1 *h = &c->h1;
    int64_t framing = body_bytes;
    struct buf out;

    if (h->request == SERVER_H1_BODY || c->server->draining || server_is_full(c->server))
        h->close_after = true;
    h->framing = SERVER_H1_LENGTH;
    if (body_bytes < 0 && s->no_body) {
        framing = -2;
    } else if (body_bytes < 0 && h->minor == 0) {
        h->framing = SERVER_H1_UNTIL_CLOSE;
        h->close_after = true;
        framing = -3;
    } else if (body_bytes < 0) {
        h->framing = SERVER_H1_CHUNKED;
    }
    buf_init(&out, OUT_BYTES_MAX);
    bool small = framing > 0 && framing < BODY_BYTES;
    (void)buf_reserve(&out, HEAD_BYTES + (small ? (size_t)framing : 0));
    h1_write_reply(&out, status, headers, framing, !h->close_after, h->minor);
    server_conn_write_buf(c, &out);
}

static void reply_write(struct server_stream *s, struct str bytes)
{
    struct server_conn *c = s->conn;
    struct buf out;

    if (c->h1.framing != SERVER_H1_CHUNKED) {
        server_conn_write(c, bytes);
        return;
    }
    buf_init(&out, OUT_BYTES_MAX);
    (void)buf_reserve(&out, bytes.n + CHUNK_BYTES);
    h1_write_chunk(&out, bytes);
    server_conn_write_buf(c, &out);
}

static void reply_end(struct server_stream *s)
{
    struct server_conn *c = s->conn;
    struct server_h1 *h = &c->h1;
    struct buf out;

    if (h->framing == SERVER_H1_CHUNKED) {
        buf_init(&out, OUT_BYTES_MAX);
        h1_write_last_chunk(&out);
        server_conn_write_buf(c, &out);
    }
    let_go(c);
    if (h->request == SERVER_H1_BODY)
        shut(c, false);
    else if (!h->feeding)
        server_conn_run_later(c);
}

/* A length or the chunks show that it is broken; without either only RST does. */
static void reply_abort(struct server_stream *s)
{
    struct server_conn *c = s->conn;
    bool reset = s->reply == SERVER_REPLY_HEAD && c->h1.framing == SERVER_H1_UNTIL_CLOSE;

    let_go(c);
    shut(c, reset);
}

static size_t reply_queued(const struct server_stream *s)
{
    return conn_queued(s->conn->conn);
}

static void body_pause(struct server_stream *s)
{
    struct server_conn *c = s->conn;

    conn_pause(c->conn, CONN_PAUSE_OWNER);
    stop_feeding(&c->h1);
}

static void body_resume(struct server_stream *s)
{
    struct server_conn *c = s->conn;

    conn_resume(c->conn, CONN_PAUSE_OWNER);
    if (!c->h1.feeding)
        server_conn_run_later(c);
}

static void reply_continue(struct server_stream *s)
{
    server_conn_write(s->conn, S("HTTP/1.1 100 Continue\r\n\r\n"));
}

const struct server_version server_h1_version = SERVER_VERSION(1);

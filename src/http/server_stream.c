/*
 * server_stream.c - one exchange: what is the same for both HTTP versions.
 *
 * A reply whose length was announced is held to it: what is over is dropped and an end
 * that comes too early is an abort, so that a wrong length never desynchronises a conn.
 */
#include "clock.h"
#include "server.h"
#include "server_internal.h"
#include "slab.h"

static struct slab streams = SLAB_OF(streams, struct server_stream);

struct server_stream *server_stream_new(struct server_conn *c, const struct http_head *head)
{
    struct server_stream *s = slab_take(&streams);

    list_init(&s->link);
    s->conn = c;
    c->asked = true;
    s->is_head = str_eq(head->method, S("HEAD"));
    s->expects = head->expect_continue && head->has_body && (head->major > 1 || head->minor > 0);
    s->reply_left = -1;
    s->body_since_ns = loop_now_ns(c->server->loop);
    c->server->streams_len++;
    return s;
}

void server_stream_release(struct server_stream *s)
{
    struct server *server = s->conn->server;

    s->reply = SERVER_REPLY_ENDED;
    list_remove(&s->link);
    server->streams_len--;
    loop_defer(server->loop, slab_give, s);
}

void server_stream_gone(struct server_stream *s)
{
    bool tell = s->reply != SERVER_REPLY_ENDED;

    server_stream_release(s);
    if (tell)
        s->conn->server->handler->on_gone(s->user);
}

int64_t server_stream_body_due(const struct server_stream *s)
{
    const struct server_limits *limits = s->conn->server->limits;
    int64_t seen = s->body_seen < INT64_C(1) << 40 ? s->body_seen : INT64_C(1) << 40;

    if (s->request_done || s->paused || s->expects || limits->body_bytes_per_s <= 0)
        return INT64_MAX;
    return s->body_since_ns + limits->body_grace_ns + seen / limits->body_bytes_per_s * NS_PER_S;
}

void server_set_user(struct server_stream *s, void *user)
{
    s->user = user;
}

struct str server_remote(const struct server_stream *s)
{
    return conn_remote(s->conn->conn);
}

bool server_is_tls(const struct server_stream *s)
{
    return conn_is_tls(s->conn->conn);
}

int server_major(const struct server_stream *s)
{
    return s->conn->version->major;
}

uint64_t server_conn_number(const struct server_stream *s)
{
    return s->conn->number;
}

/* --- the reply --- */

void server_continue(struct server_stream *s)
{
    if (!s->expects || s->reply != SERVER_REPLY_NONE)
        return;
    s->expects = false;
    s->body_since_ns = loop_now_ns(s->conn->server->loop);
    s->conn->version->go_on(s);
}

void server_head(struct server_stream *s, int status, const struct http_headers *headers,
                 int64_t body_bytes)
{
    must(status >= 200);
    must(body_bytes >= -1);
    if (s->reply == SERVER_REPLY_ENDED)
        return;
    must(s->reply == SERVER_REPLY_NONE);
    s->reply = SERVER_REPLY_HEAD;
    s->no_body = s->is_head || status == 204 || status == 304;
    s->reply_left = s->no_body ? -1 : body_bytes;
    s->conn->version->head(s, status, headers, body_bytes);
}

void server_write(struct server_stream *s, struct str bytes)
{
    if (s->reply == SERVER_REPLY_ENDED || s->no_body)
        return;
    must(s->reply == SERVER_REPLY_HEAD);
    if (s->reply_left >= 0) {
        bytes = str_slice(bytes, 0, (size_t)s->reply_left);
        s->reply_left -= (int64_t)bytes.n;
    }
    if (bytes.n > 0)
        s->conn->version->write(s, bytes);
}

void server_end(struct server_stream *s)
{
    if (s->reply == SERVER_REPLY_ENDED)
        return;
    must(s->reply == SERVER_REPLY_HEAD);
    if (s->reply_left > 0) {
        server_abort(s);
        return;
    }
    s->reply = SERVER_REPLY_ENDED;
    s->conn->version->end(s);
}

void server_abort(struct server_stream *s)
{
    if (s->reply == SERVER_REPLY_ENDED)
        return;
    s->conn->version->abort(s);
}

void server_reset(struct server_stream *s)
{
    if (s->reply == SERVER_REPLY_ENDED)
        return;
    s->reply = SERVER_REPLY_ENDED;
    server_conn_drop(s->conn, true);
}

size_t server_queued(const struct server_stream *s)
{
    return s->conn->version->queued(s);
}

void server_pause(struct server_stream *s)
{
    if (s->paused || s->request_done || s->reply == SERVER_REPLY_ENDED)
        return;
    s->paused = true;
    s->conn->version->pause(s);
}

void server_resume(struct server_stream *s)
{
    if (!s->paused || s->reply == SERVER_REPLY_ENDED)
        return;
    s->paused = false;
    s->body_since_ns = loop_now_ns(s->conn->server->loop);
    s->body_seen = 0;
    s->conn->version->resume(s);
}

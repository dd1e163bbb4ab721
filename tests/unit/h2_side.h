/*
 * h2_side.h - one end of an HTTP/2 connection that writes down what it is told, and a pump
 * that joins two of them.  Used by test_h2.c.
 */
#ifndef H2_SIDE_H
#define H2_SIDE_H

#include "buf.h"
#include "h2.h"
#include "mem.h"

static const struct h2_limits limits = { .header_bytes = 64 * 1024,
                                         .field_bytes = 64 * 1024,
                                         .target_bytes = 64 * 1024,
                                         .fields_max = 100,
                                         .streams_max = 100 };

enum mode { ECHO, HOLD /* neither consume nor reply */, EARLY /* reply, then reset NO_ERROR */ };

struct side {
    struct h2 *c;
    struct buf log;
    struct buf sent; /* all that h2_pull() gave */
    enum mode mode;
    size_t body_bytes;
    int closes, drains, goaways;
    struct h2_stream *newest;
};

static void on_head(void *ctx, struct h2_stream *s, const struct http_head *head)
{
    struct side *side = ctx;
    side->newest = s;
    buf_addf(&side->log, "[%d %.*s %.*s %.*s %d cl=%lld body=%d%s", h2_stream_id(s),
             STR_ARG(head->method), STR_ARG(head->target), STR_ARG(head->authority), head->status,
             (long long)head->content_length, head->has_body,
             head->expect_continue ? " expect" : "");
    if (head->status >= 200) /* all replies have a date, which tests cannot foresee */
        assert_int_equal(http_count(&head->headers, S("date")), 1);
    for (size_t i = 0; i < head->headers.n; i++)
        if (!str_eq(head->headers.v[i].name, S("date")))
            buf_addf(&side->log, " %.*s=%.*s", STR_ARG(head->headers.v[i].name),
                     STR_ARG(head->headers.v[i].value));
    buf_add(&side->log, S("]"));
    if (head->status != 0 || side->mode == HOLD)
        return;
    struct http_header h[] = { { S_INIT("x-reply"), S_INIT("1") },
                               { S_INIT("connection"), S_INIT("close") },
                               { S_INIT("x-evil"), S_INIT("a\r\nb") } };
    struct http_headers headers = { h, 3, 3 };
    if (head->expect_continue)
        h2_submit_continue(s);
    h2_submit_reply(s, 200, &headers, -1, true);
    if (side->mode == EARLY) {
        h2_write(s, S("early"));
        h2_write_end(s);
        h2_reset(s, H2_NO_ERROR);
    }
}

static void on_body(void *ctx, struct h2_stream *s, struct str bytes)
{
    struct side *side = ctx;
    side->body_bytes += bytes.n;
    if (bytes.n <= 20) {
        if (str_ends(buf_str(&side->log), S(">"))) /* goes on */
            buf_truncate(&side->log, buf_len(&side->log) - 1);
        else
            buf_add_byte(&side->log, '<');
        buf_addf(&side->log, "%.*s>", STR_ARG(bytes));
    }
    if (side->mode != HOLD)
        h2_consume(s, bytes.n);
}

static void on_end(void *ctx, struct h2_stream *s)
{
    struct side *side = ctx;
    buf_addf(&side->log, "end%d;", h2_stream_id(s));
    if (h2_stream_user(s) == NULL && side->mode == ECHO) {
        h2_write(s, S("bye"));
        h2_write_end(s);
    }
}

static void on_drain(void *ctx, struct h2_stream *s)
{
    struct side *side = ctx;
    side->drains++;
    assert_true(h2_queued(s) <= H2_LOW_BYTES);
}

static void on_stream_close(void *ctx, struct h2_stream *s, uint32_t error, bool unprocessed)
{
    struct side *side = ctx;
    side->closes++;
    side->newest = NULL;
    buf_addf(&side->log, "close%d:%u%s;", h2_stream_id(s), error, unprocessed ? "u" : "");
}

static void on_goaway(void *ctx)
{
    struct side *side = ctx;
    side->goaways++;
}

static const struct h2_handler handler = { on_head,         on_body,   on_end, on_drain,
                                           on_stream_close, on_goaway, NULL };

static void side_init(struct side *s, enum h2_role role, enum mode mode)
{
    *s = (struct side){ .mode = mode };
    buf_init(&s->log, 64 << 20);
    buf_init(&s->sent, 64 << 20);
    s->c = h2_new(role, &limits, &handler, s);
}

static void side_done(struct side *s)
{
    h2_free(s->c);
    buf_done(&s->log);
    buf_done(&s->sent);
}

/* A client and its server. */
static void sides_init(struct side *client, struct side *server, enum mode server_mode)
{
    side_init(client, H2_CLIENT, ECHO);
    side_init(server, H2_SERVER, server_mode);
}

static void sides_done(struct side *client, struct side *server)
{
    side_done(client);
    side_done(server);
}

/* Moves bytes both ways until nothing comes, `cut` bytes at a time. */
static void pump(struct side *a, struct side *b, size_t cut)
{
    bool moved = true;
    while (moved) {
        moved = false;
        for (int i = 0; i < 2; i++) {
            struct side *from = i == 0 ? a : b, *to = i == 0 ? b : a;
            struct buf bytes;
            buf_init(&bytes, 64 << 20);
            h2_pull(from->c, &bytes, 1 << 20);
            buf_add(&from->sent, buf_str(&bytes));
            moved = moved || buf_len(&bytes) > 0;
            for (size_t at = 0; at < buf_len(&bytes); at += cut) {
                struct str piece = str_slice(buf_str(&bytes), at, at + cut);
                char *copy = mem_dup(piece.p, piece.n);
                assert_int_equal(h2_feed(to->c, (struct str){ copy, piece.n }), 0);
                free(copy);
            }
            buf_done(&bytes);
        }
    }
}

#endif

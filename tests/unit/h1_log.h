/*
 * h1_log.h - runs bytes through an h1 codec and writes down what came out, so that
 * two runs can be compared.  Used by the unit tests and the fuzz harnesses.
 */
#ifndef H1_LOG_H
#define H1_LOG_H

#include "buf.h"
#include "h1.h"

struct h1_log {
    struct h1 c;
    struct buf out;
    bool in_body; /* joins the pieces of a body */
    int heads, ends;
    bool ended;  /* h1_next() is due */
    int stop_at; /* h1_stop() in: 1 on_head, 2 on_body */
    size_t body_bytes;
};

static const struct h1_limits h1_log_limits = {
    .header_bytes = 32 * 1024, .field_bytes = 8 * 1024, .target_bytes = 8 * 1024, .fields_max = 100
};

static void h1_log_head(void *ctx, const struct http_head *head)
{
    struct h1_log *l = ctx;
    l->heads++;
    buf_addf(&l->out, "[%.*s %.*s %.*s %d %d.%d cl=%lld body=%d%s%s%s", STR_ARG(head->method),
             STR_ARG(head->target), STR_ARG(head->authority), head->status, head->major,
             head->minor, (long long)head->content_length, head->has_body,
             head->expect_continue ? " expect" : "", head->upgrade ? " upgrade" : "",
             head->upgrade_websocket ? " websocket" : "");
    for (size_t i = 0; i < head->headers.n; i++)
        buf_addf(&l->out, " %.*s=%.*s", STR_ARG(head->headers.v[i].name),
                 STR_ARG(head->headers.v[i].value));
    buf_addf(&l->out, " keep=%d]", h1_keep_alive(&l->c));
    if (l->stop_at == 1)
        h1_stop(&l->c);
}

static void h1_log_body(void *ctx, struct str bytes)
{
    struct h1_log *l = ctx;
    if (!l->in_body)
        buf_add_byte(&l->out, '<');
    l->in_body = true;
    l->body_bytes += bytes.n;
    buf_add(&l->out, bytes);
    if (l->stop_at == 2)
        h1_stop(&l->c);
}

static void h1_log_end(void *ctx)
{
    struct h1_log *l = ctx;
    l->ends++;
    l->ended = true;
    buf_addf(&l->out, "%send;", l->in_body ? ">" : "");
    l->in_body = false;
}

static const struct h1_handler h1_log_handler = { h1_log_head, h1_log_body, h1_log_end };

static void h1_log_init(struct h1_log *l, enum h1_role role, struct str method)
{
    *l = (struct h1_log){ .heads = 0 };
    buf_init(&l->out, 64 << 20);
    h1_init(&l->c, role, &h1_log_limits, &h1_log_handler, l);
    h1_next(&l->c, method);
}

/* It ended at a limit.  Those are looked at once a piece, before or after what llhttp
 * finds in the same piece: another cut may end with another error. */
static inline bool h1_log_limited(const struct h1_log *l)
{
    struct str why = str_of(h1_error_text(&l->c));
    return str_contains(why, S("limit")) || str_contains(why, S("too many"));
}

static void h1_log_done(struct h1_log *l)
{
    h1_done(&l->c);
    buf_done(&l->out);
}

/* One piece of the stream.  Requests: goes on behind each; replies: one only, with
 * what is left unused in *ret_left. */
static inline int h1_log_feed(struct h1_log *l, struct str bytes, size_t *ret_left)
{
    do {
        ssize_t used = h1_feed(&l->c, bytes);
        if (used < 0)
            return (int)used;
        must((size_t)used <= bytes.n);
        bytes = str_slice(bytes, (size_t)used, bytes.n);
        bool ended = l->ended;
        if (ended && l->c.role == H1_CLIENT)
            break;
        l->ended = false;
        if (ended)
            h1_next(&l->c, S(""));
        must(bytes.n == 0 || used > 0 || ended); /* or it would never end */
    } while (bytes.n > 0);
    if (ret_left != NULL)
        *ret_left = bytes.n;
    return 0;
}

#endif

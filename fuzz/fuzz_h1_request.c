/*
 * Invariants: the result does not depend on where the bytes were cut; what is
 * accepted holds no byte that could make two messages of one when sent on: as our own
 * writer writes it, it reads as the same request again, with the same body.
 * The first input byte says how to cut.
 */
#include <stdint.h>

#include "../tests/unit/h1_log.h"
#include "err.h"

static int feed_in_steps(struct h1_log *l, struct str bytes, size_t n)
{
    for (size_t at = 0; at < bytes.n; at += n) {
        int e = h1_log_feed(l, str_slice(bytes, at, at + n), NULL);
        if (e < 0)
            return e;
    }
    return h1_eof(&l->c);
}

static void check_head(const struct http_head *head)
{
    must(http_name_ok(head->method));
    must(http_target_ok(head->target) || str_eq(head->method, S("CONNECT")));
    must(head->authority.n == 0 || http_authority_ok(head->authority));
    must(head->content_length >= -1);
    for (size_t i = 0; i < head->headers.n; i++) {
        must(http_name_ok(head->headers.v[i].name));
        must(http_value_ok(head->headers.v[i].value));
        must(!http_is_hop(head->headers.v[i].name));
        must(!str_eq(head->headers.v[i].name, S("content-length")));
        must(!str_eq(head->headers.v[i].name, S("host")));
    }
}

/* ---- as it goes to an upstream ---- */

struct digest {
    struct buf text; /* what must be the same when it is read again */
    int ends;
};

static void digest_head(void *ctx, const struct http_head *head)
{
    struct digest *d = ctx;
    buf_clear(&d->text);
    buf_addf(&d->text, "%.*s %.*s %.*s %lld %d\n", STR_ARG(head->method), STR_ARG(head->target),
             STR_ARG(head->authority), (long long)head->content_length, head->has_body);
    for (size_t i = 0; i < head->headers.n; i++)
        buf_addf(&d->text, "%.*s=%.*s\n", STR_ARG(head->headers.v[i].name),
                 STR_ARG(head->headers.v[i].value));
}

static void digest_body(void *ctx, struct str bytes)
{
    struct digest *d = ctx;
    buf_add(&d->text, bytes);
}

static void digest_end(void *ctx)
{
    struct digest *d = ctx;
    d->ends++;
}

struct sent {
    struct h1_log log; /* first: h1_log's callbacks get it */
    struct digest read;
    struct buf bytes; /* the newest request, written again */
    bool chunked, writable;
};

static void read_again(const struct sent *s)
{
    static const struct h1_handler handler = { digest_head, digest_body, digest_end };
    static const struct h1_limits limits = { 64 * 1024, 8 * 1024, 8 * 1024, 101 };
    struct digest again = { .ends = 0 };
    struct h1 c;
    buf_init(&again.text, 64 << 20);
    h1_init(&c, H1_SERVER, &limits, &handler, &again);
    h1_next(&c, S(""));
    ssize_t used = h1_feed(&c, buf_str(&s->bytes));
    must(used == (ssize_t)buf_len(&s->bytes));
    must(again.ends == 1);
    must(str_eq(buf_str(&again.text), buf_str(&s->read.text)));
    h1_done(&c);
    buf_done(&again.text);
}

static void on_head(void *ctx, const struct http_head *head)
{
    struct sent *s = ctx;
    struct http_head upstream = *head;
    check_head(head);
    h1_log_head(ctx, head);
    if (head->authority.n == 0) /* the upstream's own comes from the configuration */
        upstream.authority = S("upstream");
    digest_head(&s->read, &upstream);
    buf_clear(&s->bytes);
    s->writable = http_target_ok(head->target); /* CONNECT is not sent on */
    s->chunked = head->has_body && head->content_length < 0;
    if (s->writable)
        h1_write_request(&s->bytes, &upstream,
                         head->content_length >= 0 ? head->content_length : (s->chunked ? -1 : -2));
}

static void on_body(void *ctx, struct str bytes)
{
    struct sent *s = ctx;
    h1_log_body(ctx, bytes);
    digest_body(&s->read, bytes);
    if (s->chunked)
        h1_write_chunk(&s->bytes, bytes);
    else
        buf_add(&s->bytes, bytes);
}

static void on_end(void *ctx)
{
    struct sent *s = ctx;
    h1_log_end(ctx);
    if (s->chunked)
        h1_write_last_chunk(&s->bytes);
    if (s->writable)
        read_again(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct h1_handler handler = { on_head, on_body, on_end };
    if (size < 2)
        return 0;
    struct str bytes = { (const char *)data + 1, size - 1 };
    struct sent sent = { .writable = false };
    struct h1_log *whole = &sent.log, cut;
    buf_init(&sent.bytes, 64 << 20);
    buf_init(&sent.read.text, 64 << 20);
    h1_log_init(whole, H1_SERVER, S(""));
    h1_log_init(&cut, H1_SERVER, S(""));
    whole->c.handler = &handler;
    cut.stop_at = data[0] >> 6;
    int e = feed_in_steps(whole, bytes, bytes.n);
    int e2 = feed_in_steps(&cut, bytes, 1 + (data[0] & 63));
    must(e == 0 || h1_error_text(&whole->c)[0] != '\0');
    must(e == 0 || e == E_CLIENT_GONE || refusal_row(h1_refusal(&whole->c))->err == e);
    struct str method, target;
    h1_asked(&whole->c, &method, &target);
    must(method.n + target.n <= bytes.n);
    if (!h1_log_limited(whole) && !h1_log_limited(&cut)) {
        must(e2 == e);
        must(str_eq(buf_str(&whole->out), buf_str(&cut.out)));
    }
    h1_log_done(whole);
    buf_done(&sent.bytes);
    buf_done(&sent.read.text);
    h1_log_done(&cut);
    return 0;
}

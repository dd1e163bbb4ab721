/*
 * Invariants: the events do not depend on where the bytes were cut (body bytes may:
 * nghttp2 drops a piece that exceeds content-length whole); every reported
 * stream closes exactly once; what is reported could be sent on as HTTP/1; nothing
 * is reported after the connection has failed.  The first input byte says how to
 * cut and whether the preface is put before the rest.
 */
#include <nghttp2/nghttp2.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "h2.h"

struct log {
    struct buf out;
    size_t open;
    bool failed;
    bool finished; /* without an error: the client sent GOAWAY and no stream is open */
};

static void on_head(void *ctx, struct h2_stream *s, const struct http_head *head)
{
    struct log *l = ctx;
    must(!l->failed);
    must(http_name_ok(head->method));
    must(http_target_ok(head->target) || str_eq(head->method, S("CONNECT")));
    must(http_authority_ok(head->authority));
    for (size_t i = 0; i < head->headers.n; i++) {
        must(http_name_ok(head->headers.v[i].name));
        must(http_value_ok(head->headers.v[i].value));
        must(!http_is_hop(head->headers.v[i].name));
        buf_addf(&l->out, "%.*s=%.*s ", STR_ARG(head->headers.v[i].name),
                 STR_ARG(head->headers.v[i].value));
    }
    buf_addf(&l->out, "[%d %.*s %.*s %d]", h2_stream_id(s), STR_ARG(head->method),
             STR_ARG(head->target), head->has_body);
    l->open++;
    if (h2_stream_id(s) % 8 == 5) {
        h2_reset(s, H2_CANCEL);
        return;
    }
    struct http_headers none = { .n = 0 };
    h2_submit_reply(s, 200, &none, -1, true);
    h2_write(s, S("hello"));
    if (h2_stream_id(s) % 8 == 3) {
        h2_write_end(s);
        h2_reset(s, H2_NO_ERROR);
    }
}

static void on_body(void *ctx, struct h2_stream *s, struct str bytes)
{
    struct log *l = ctx;
    must(!l->failed);
    if (h2_stream_id(s) % 4 == 1)
        h2_consume(s, bytes.n);
}

static void on_end(void *ctx, struct h2_stream *s)
{
    struct log *l = ctx;
    must(!l->failed);
    buf_addf(&l->out, "end%d ", h2_stream_id(s));
    h2_write_end(s);
}

static void on_drain(void *ctx, struct h2_stream *s)
{
    (void)ctx;
    (void)s;
}

static void on_stream_close(void *ctx, struct h2_stream *s, uint32_t error, bool unprocessed)
{
    struct log *l = ctx;
    must(l->open > 0);
    must(!unprocessed);
    l->open--;
    h2_consume(s, 0);
    buf_addf(&l->out, "close%d:%u ", h2_stream_id(s), error);
}

static void on_refused(void *ctx, struct h2_stream *s, enum refusal reason,
                       const struct http_head *head)
{
    struct log *l = ctx;
    struct http_headers none = { .n = 0 };
    must(reason != REFUSAL_NONE);
    must(head != NULL);
    if (s == NULL)
        return;
    must(!l->failed);
    buf_addf(&l->out, "refused%d:%d ", h2_stream_id(s), (int)reason);
    l->open++;
    h2_submit_reply(s, 431, &none, -1, true);
    h2_write(s, S("no"));
    h2_write_end(s);
    h2_reset(s, H2_NO_ERROR);
}

static const struct h2_handler handler = { on_head,         on_body, on_end,    on_drain,
                                           on_stream_close, NULL,    on_refused };
static const struct h2_limits limits = { .header_bytes = 4096,
                                         .field_bytes = 2048,
                                         .target_bytes = 1024,
                                         .fields_max = 20,
                                         .streams_max = 10 };

/* Everything in, then everything out. */
static int run(struct log *l, bool preface, struct str bytes, size_t step)
{
    *l = (struct log){ .open = 0 };
    buf_init(&l->out, 64 << 20);
    struct buf sent;
    buf_init(&sent, 64 << 20);
    struct h2 *c = h2_new(H2_SERVER, &limits, &handler, l);
    int e = preface ? h2_feed(c, S(NGHTTP2_CLIENT_MAGIC "\0\0\0\4\0\0\0\0\0")) : 0;
    for (size_t at = 0; at < bytes.n && e == 0; at += step)
        e = h2_feed(c, str_slice(bytes, at, at + step));
    l->failed = e < 0;
    size_t events_n = buf_len(&l->out);
    must(e == 0 || h2_feed(c, S("x")) == e);
    h2_pull(c, &sent, 32 << 20);
    must(buf_len(&sent) > 0);
    must(e == 0 || h2_finished(c));
    l->finished = e == 0 && h2_finished(c);
    h2_free(c);
    must(l->open == 0);
    buf_truncate(&l->out, events_n);
    buf_done(&sent);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct str bytes = { (const char *)data + 1, size - 1 };
    bool preface = (data[0] & 1) != 0;
    struct log whole, cut;
    int e = run(&whole, preface, bytes, bytes.n);
    int cut_e = run(&cut, preface, bytes, 1 + (data[0] >> 1));
    if (cut.finished) { /* nghttp2 reads what came with the GOAWAY, and nothing later */
        must(str_starts(buf_str(&whole.out), buf_str(&cut.out)));
    } else {
        must(cut_e == e);
        must(str_eq(buf_str(&whole.out), buf_str(&cut.out)));
    }
    buf_done(&whole.out);
    buf_done(&cut.out);
    return 0;
}

/*
 * Invariants: the result does not depend on where the bytes were cut; a body with
 * a length is delivered whole or is an error.  The first input byte says how to
 * cut, its lowest bit whether the request was HEAD.
 */
#include <stdint.h>

#include "../tests/unit/h1_log.h"
#include "err.h"

static int64_t promised_bytes; /* of the newest head; -1: no promise */

static void on_head(void *ctx, const struct http_head *head)
{
    must(head->status >= 200);
    must(head->status <= 599);
    promised_bytes = head->has_body ? head->content_length : 0;
    h1_log_head(ctx, head);
}

/* Bytes used, or an error. */
static ssize_t feed_in_steps(struct h1_log *l, struct str bytes, size_t n)
{
    size_t at = 0;
    while (at < bytes.n && !l->ended) {
        size_t left = 0, take = n < bytes.n - at ? n : bytes.n - at;
        int e = h1_log_feed(l, str_slice(bytes, at, at + take), &left);
        if (e < 0)
            return e;
        at += take - left;
    }
    int e = h1_eof(&l->c);
    return e < 0 ? e : (ssize_t)at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct h1_handler handler = { on_head, h1_log_body, h1_log_end };
    if (size < 2)
        return 0;
    struct str bytes = { (const char *)data + 1, size - 1 };
    struct str method = (data[0] & 1) != 0 ? S("HEAD") : S("GET");
    struct h1_log whole, cut;
    h1_log_init(&whole, H1_CLIENT, method);
    h1_log_init(&cut, H1_CLIENT, method);
    whole.c.handler = &handler;
    cut.stop_at = data[0] >> 6;
    ssize_t r = feed_in_steps(&whole, bytes, bytes.n);
    if (r >= 0 && whole.heads > 0) {
        must(whole.ends == 1);
        must(promised_bytes < 0 || whole.body_bytes == (size_t)promised_bytes);
    }
    must(r >= 0 || r == E_UPSTREAM_PROTOCOL || r == E_UPSTREAM_CLOSED);
    ssize_t r2 = feed_in_steps(&cut, bytes, 1 + (data[0] >> 1 & 31));
    if (!h1_log_limited(&whole) && !h1_log_limited(&cut)) {
        must(r2 == r);
        must(str_eq(buf_str(&whole.out), buf_str(&cut.out)));
    }
    h1_log_done(&whole);
    h1_log_done(&cut);
    return 0;
}

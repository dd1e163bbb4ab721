/*
 * Invariants: the result does not depend on where the bytes were cut; what is
 * accepted holds no byte that could make two messages of one when sent on.
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

static void on_head(void *ctx, const struct http_head *head)
{
    check_head(head);
    h1_log_head(ctx, head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct h1_handler handler = { on_head, h1_log_body, h1_log_end };
    if (size < 2)
        return 0;
    struct str bytes = { (const char *)data + 1, size - 1 };
    struct h1_log whole, cut;
    h1_log_init(&whole, H1_SERVER, S(""));
    h1_log_init(&cut, H1_SERVER, S(""));
    whole.c.handler = &handler;
    cut.stop_at = data[0] >> 6;
    int e = feed_in_steps(&whole, bytes, bytes.n);
    int e2 = feed_in_steps(&cut, bytes, 1 + (data[0] & 63));
    must(e == 0 || h1_error_text(&whole.c)[0] != '\0');
    must(e == 0 || e == E_CLIENT_GONE || refusal_row(h1_refusal(&whole.c))->err == e);
    struct str method, target;
    h1_asked(&whole.c, &method, &target);
    must(method.n + target.n <= bytes.n);
    if (!h1_log_limited(&whole) && !h1_log_limited(&cut)) {
        must(e2 == e);
        must(str_eq(buf_str(&whole.out), buf_str(&cut.out)));
    }
    h1_log_done(&whole);
    h1_log_done(&cut);
    return 0;
}

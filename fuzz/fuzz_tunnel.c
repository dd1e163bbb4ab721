/*
 * Replies of a hostile proxy.  The first byte chooses the kind of proxy and how
 * the rest is cut.  Whatever comes: failure is final and has a reason, an open
 * tunnel keeps no bytes, and a CONNECT reply means the same however it is cut.
 */
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "must.h"
#include "tunnel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int run(enum connect_proxy proxy, struct str in, size_t step)
{
    struct connect_target target = { .host = S("host"), .port = 443, .proxy = proxy };
    struct sockaddr_storage address = { .ss_family = AF_INET6 };
    struct tunnel t;
    struct buf reason;
    buf_init(&reason, 1000);
    target.proxy_user = S("user");
    target.proxy_password = S("password");
    int r = tunnel_start(&t, &target, proxy == CONNECT_SOCKS5 ? &address : NULL, &reason);
    must(r == 0);
    for (size_t at = 0; at < in.n && r >= 0; at += step) {
        buf_clear(&t.out);
        r = tunnel_feed(&t, str_slice(in, at, at + step), &reason);
        must((r == 1) == (t.step == TUNNEL_OPEN));
        must(r != 1 || buf_len(&t.in) == 0);
    }
    must((r < 0) == (buf_len(&reason) > 0));
    must(r >= 0 || tunnel_feed(&t, S("x"), &reason) == r);
    tunnel_done(&t);
    buf_done(&reason);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    struct str in = { (const char *)data + 1, n - 1 };
    size_t step = (size_t)(data[0] >> 2) + 1;
    switch (data[0] & 3) {
    case 0:
        (void)run(CONNECT_SOCKS5, in, step);
        break;
    case 1:
        (void)run(CONNECT_SOCKS5H, in, step);
        break;
    default: {
        int whole = run(CONNECT_HTTP, in, in.n + 1);
        must(run(CONNECT_HTTP, in, step) == whole);
        must(run(CONNECT_HTTP, in, 1) == whole);
        break;
    }
    }
    return 0;
}

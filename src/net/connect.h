/*
 * connect.h - opens a connection to an origin: DNS, several addresses in turn
 * (RFC 8305: next address after 250 ms or at once on failure), an outbound
 * proxy if there is one (CONNECT, or SOCKS5 RFC 1928/1929), TLS.
 *
 * Contract
 *   Output     on_done() once, later: a conn whose handshake is complete, and its
 *              ALPN known; or an error (E_UPSTREAM_CONNECT, _DNS, _TLS, _PROXY,
 *              E_NO_CAPACITY when this machine lacks ports or descriptors, -ETIMEDOUT)
 *              with a reason that names host and cause, no secret.
 *   Ownership  the conn is handed over; set its handler before returning.
 *   Limits     timeout_ns covers everything from DNS to TLS.
 *   Proxy      http:// and https:// targets over a CONNECT proxy are both tunnelled.
 *              socks5: names are resolved here; socks5h: by the proxy.
 *   Cancel     connect_cancel(): on_done never comes, everything is closed.
 */
#ifndef CONNECT_H
#define CONNECT_H

#include <stdbool.h>
#include <stdint.h>

#include "conn.h"
#include "dns.h"
#include "loop.h"
#include "str.h"
#include "tls.h"

enum connect_proxy { CONNECT_DIRECT, CONNECT_HTTP, CONNECT_SOCKS5, CONNECT_SOCKS5H };

struct connect_target {
    struct str host; /* a name or an address, no brackets */
    uint16_t port;
    bool tls;
    bool offer_h2;
    enum connect_proxy proxy;
    struct str proxy_host;
    uint16_t proxy_port;
    struct str proxy_user, proxy_password; /* user.p == NULL: none */
    struct tls_sessions *sessions;         /* outlives the attempt */
};

typedef void connect_fn(void *ctx, int err, struct conn *conn, struct str reason);

struct connecting;

/* tls: client context; the target is copied. */
struct connecting *connect_start(struct loop *l, struct dns *dns, SSL_CTX *tls,
                                 const struct connect_target *target, int64_t timeout_ns,
                                 connect_fn *on_done, void *ctx);
void connect_cancel(struct connecting *c);

#endif

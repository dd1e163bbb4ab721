/*
 * pool.h - upstream connections of one worker, and the exchanges on them.
 *
 * An origin is scheme, host, port and the way there.  An exchange is one
 * request and its reply (client.h's side of a stream).
 *
 * Contract
 *   Conns      HTTP/2 where ALPN (TLS) or the origin (prior_h2) says so: many
 *              exchanges share one conn up to the server's limit; else HTTP/1.1
 *              keep-alive, one exchange at a time.  While the first TLS
 *              conn to an origin is being opened, further exchanges wait for
 *              its ALPN only if the origin has been HTTP/2 before.
 *   Limits     conns_max conns; exchanges beyond wait in order, at most
 *              waiting_max, then on_fail(E_NO_CAPACITY).  idle_max idle conns; the
 *              oldest goes.  An idle conn lives idle_ns.
 *   Addresses  while there are conns to a name it is looked up every ttl: conns to an address
 *              that is no longer its own take no new exchange, and close when they are free.
 *   Result     exactly one of on_end() (complete, clean) and on_fail() ends an exchange;
 *              it is dead when that returns.  exchange_cancel() ends it
 *              too: no callback comes afterwards; HTTP/1 closes the conn at
 *              once, HTTP/2 sends RST_STREAM CANCEL.
 *   Callbacks  never come inside pool_open(), pool_free() or an exchange function.
 *              on_fail() comes at the end of a loop turn.  The handler table must
 *              outlive the exchange; on_ready and on_drain may be NULL.
 *   Retrying   on_fail() with `unprocessed` true: the upstream cannot have acted on it
 *              (a reused conn closed before the first reply byte; GOAWAY above its id;
 *              REFUSED_STREAM; connect failure).  The caller may open it again with
 *              fresh = true, which takes a new HTTP/1 conn (or another HTTP/2 conn).
 *              pool_may_retry() keeps an upstream in trouble from getting every request
 *              twice: 100 retries at once, then one for every ten replies that were
 *              complete, and one a second.
 *   Early      a reply that is complete before the request body was sent: on_end()
 *              comes; the HTTP/1 conn is closed.
 *   Body       either whole (request.body, kept alive by the caller until the
 *              exchange ends or exchange_body_taken(), sent with content-length), or streamed
 *              (request.streamed: exchange_write(), exchange_write_end() after
 *              on_ready()).
 *   Reply      body bytes come as they are read; exchange_pause() stops them (HTTP/1: the
 *              socket; HTTP/2: the stream's window).  What has been read or is
 *              under way still comes: up to 16 KiB, or the window.
 *   Timeouts   the connect limit only; the caller watches for the rest.
 */
#ifndef POOL_H
#define POOL_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "connect.h"
#include "http.h"
#include "loop.h"
#include "must.h"
#include "str.h"

struct pool;
struct origin;
struct exchange;

struct pool_settings {
    int conns_max, idle_max, waiting_max;
    int64_t idle_ns;
    int64_t connect_ns;
    int64_t dns_ttl_ns, dns_stale_ns; /* dns.h */
    SSL_CTX *tls;                     /* client context (tls.h); not owned */
    size_t reply_header_bytes;        /* 64 KiB */
};

struct pool *pool_new(struct loop *l, const struct pool_settings *settings);
/* Cancels everything: on_fail(E_CLOSED) comes for what is open.  The loop must run (or
 * be done) once more after it. */
void pool_free(struct pool *p);

struct origin_settings { /* texts are copied */
    struct str name;     /* for logs */
    struct str host;
    uint16_t port;
    bool tls;
    SSL_CTX *tls_client; /* NULL: the pool's; not owned */
    bool prior_h2;       /* clear text HTTP/2 by prior knowledge */
    enum connect_proxy proxy;
    struct str proxy_host;
    uint16_t proxy_port;
    struct str proxy_user, proxy_password;
};
struct origin *pool_add_origin(struct pool *p, const struct origin_settings *settings);
/* The TCP ports that its origins are reached by, each once, at most max; how many. */
size_t pool_ports(const struct pool *p, uint16_t *ret_ports, size_t max); /* owned by the pool */

/* Takes one from what the origin is granted; false: fail instead. */
bool pool_may_retry(struct origin *o) MUST_CHECK;

struct exchange_handler {
    void (*on_ready)(void *ctx); /* the head has been sent; streamed bodies may be written */
    void (*on_head)(void *ctx, const struct http_head *head);
    void (*on_body)(void *ctx, struct str bytes);
    void (*on_end)(void *ctx);
    void (*on_fail)(void *ctx, int err, struct str reason, bool unprocessed);
    void (*on_drain)(void *ctx); /* streamed request bodies: the queue has fallen */
};

struct exchange_request {
    struct origin *origin;
    const struct http_head *head; /* method, target, authority, headers; copied */
    struct str body;              /* when !streamed */
    bool streamed;
    int64_t streamed_bytes; /* content-length when streamed, or -1 */
    bool fresh;
};

struct exchange *pool_open(struct pool *p, const struct exchange_request *request,
                           const struct exchange_handler *handler, void *ctx);
void exchange_write(struct exchange *x, struct str bytes);
void exchange_write_end(struct exchange *x);
/* True when the bytes of a whole body are not needed any more. */
bool exchange_body_taken(const struct exchange *x);
size_t exchange_queued(const struct exchange *x);
void exchange_cancel(struct exchange *x);
void exchange_pause(struct exchange *x);
void exchange_resume(struct exchange *x);
/* Much is to come, and fast: an HTTP/2 window of 256 KiB instead of 24. */
void exchange_widen(struct exchange *x);

struct str exchange_remote(const struct exchange *x); /* "address:port"; empty before on_ready */
int exchange_major(const struct exchange *x);         /* 1, 2; 0 before on_ready */
bool exchange_reused(const struct exchange *x);

struct pool_counts {
    int connecting, idle, busy, waiting; /* conns, conns, conns, exchanges */
};
void pool_count(const struct pool *p, struct pool_counts *ret_counts);

#endif

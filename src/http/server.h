/*
 * server.h - the client side: conns that speak HTTP/1.1 or HTTP/2, as streams.
 *
 * Contract
 *   Versions   clear text: HTTP/2 by prior knowledge (the preface) or HTTP/1.1; TLS:
 *              by ALPN.  Upgrade: h2c is ignored.
 *   Streams    on_request() announces one; `user` is whatever it stores with
 *              server_set_user().  Then on_body()/on_end() as the body arrives,
 *              on_drain() as the queue falls (marks of conn.h), and on_gone()
 *              exactly once, if and only if the client went away (reset, closed,
 *              half-closed HTTP/1, write stall, a body that is malformed or too
 *              slow) before the reply was ended: the stream is dead when it returns.
 *              A stream whose reply was ended with server_end() or server_abort()
 *              belongs to the server at once: no callback comes after it, even if
 *              the request body was not read.
 *   Body       on_body() bytes die when it returns.  server_pause() stops them:
 *              HTTP/1 at once, by the socket; HTTP/2 by the stream's window, so
 *              what is on its way still comes (at most one window).
 *   100        sent by server_continue(), which does nothing when the client does not
 *              wait for it.  Call it once the request is allowed.
 *   Length     a reply is held to the length given to server_head(): what is over is
 *              dropped, an end before it is an abort.
 *   Early      a reply may be ended before the request body has arrived: HTTP/1
 *              discards up to 64 KiB or 1 s, then closes; HTTP/2 resets with
 *              NO_ERROR.  An HTTP/1 reply that begins that early says
 *              `connection: close`.
 *   Pipelining HTTP/1 requests wait (unread) until the one before is finished.
 *   Errors     malformed requests are answered here: status by the reason's error
 *              (refusals.def), body from handler->on_refused(), then the connection
 *              closes.  So are requests that stall (408), while no reply to them has
 *              begun.  on_refused() also tells of what gets no answer: floods, clients
 *              that do not read, failed TLS handshakes.
 *   HEAD       the caller may write a body to any request; it is left out for HEAD,
 *              204 and 304.
 *   Limits     struct server_limits; a conn over the time limits is closed.
 *   Re-entry   callbacks may call any server_ function on any stream, and server_free().
 */
#ifndef SERVER_H
#define SERVER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "h1.h"
#include "h2.h"
#include "http.h"
#include "loop.h"
#include "refusal.h"

struct server_stream;

struct server_limits {
    struct h1_limits h1;
    struct h2_limits h2;
    int64_t header_ns;     /* TLS handshake and head: 10 s */
    int64_t keepalive_ns;  /* idle between requests: 75 s */
    int64_t write_ns;      /* queued bytes that the client does not read: 60 s */
    int64_t body_grace_ns; /* request body: at least body_bytes_per_s after this */
    int64_t body_bytes_per_s;
    /* Accepting pauses at so many; one that merely waits for its next request is closed then, and
     * HTTP/1 replies say `connection: close`. */
    int conns_max;
    int conns_per_address_max; /* address.h; further ones are closed; 0: no limit */
};

/* What a client did wrong, or did not do in time. */
struct server_refusal {
    enum refusal reason;
    struct str text;           /* what exactly, in our words; may be empty */
    struct str method, target; /* as far as they were read; any bytes */
    struct str remote;         /* "address:port" */
    void *user; /* the stream's whose body was at fault; on_gone() follows.  NULL: of no stream */
};

struct server_handler {
    void (*on_request)(void *ctx, struct server_stream *s, const struct http_head *head);
    void (*on_body)(void *user, struct str bytes);
    void (*on_end)(void *user);
    void (*on_drain)(void *user);
    void (*on_gone)(void *user);
    /* Once for everything that is refused here.  Appends the body of an error reply and adds
     * headers (CORS ...); body NULL: there will be no reply. */
    void (*on_refused)(void *ctx, const struct server_refusal *why, struct arena *a,
                       struct http_headers *headers, struct buf *body);
};

struct server;

/* tls NULL: clear text.  limits and handler must outlive the server.  fd: a listening
 * socket (listener.h), taken over. */
struct server *server_new(struct loop *l, int fd, SSL_CTX *tls, const struct server_limits *limits,
                          const struct server_handler *handler, void *ctx);
/* Right after server_new(): it takes conns when all descriptors but the reserve are in use. */
void server_use_reserve(struct server *s);
/* Stops accepting; idle conns close, HTTP/2 gets GOAWAY, replies say `connection: close`;
 * a conn without any request yet has 1 s for one.  on_drained() comes (later) when no conn
 * is left. */
void server_drain(struct server *s, void (*on_drained)(void *ctx), void *ctx);
void server_free(
    struct server *s); /* closes everything at once; on_gone() comes for open streams */
size_t server_conns(const struct server *s);
size_t server_streams(const struct server *s);

void server_set_user(struct server_stream *s, void *user);
struct str server_remote(const struct server_stream *s); /* "address:port" */
bool server_is_tls(const struct server_stream *s);
int server_major(const struct server_stream *s);            /* 1 or 2 */
uint64_t server_conn_number(const struct server_stream *s); /* in order of accept, from 1 */

void server_continue(struct server_stream *s);
/* body_bytes: content-length, or -1 when not known.  Headers without framing and
 * hop-by-hop fields. */
void server_head(struct server_stream *s, int status, const struct http_headers *headers,
                 int64_t body_bytes);
void server_write(struct server_stream *s, struct str bytes);
void server_end(struct server_stream *s);
/* Ends the reply so that the client sees it is broken: no last chunk and close, or
 * RST_STREAM INTERNAL_ERROR. */
void server_abort(struct server_stream *s);
/* For simulators: the whole conn at once, with RST; no on_gone() for this stream. */
void server_reset(struct server_stream *s);
size_t server_queued(const struct server_stream *s);
void server_pause(struct server_stream *s);
void server_resume(struct server_stream *s);

#endif

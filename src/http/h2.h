/*
 * h2.h - HTTP/2 codec over nghttp2, both roles.  Does no I/O.
 *
 * Contract
 *   Input      h2_feed(): any split of the byte stream.
 *   Output     callbacks per stream, as in h1.h; bytes to send from h2_pull().
 *              Callbacks come inside h2_feed(), h2_pull() and h2_free() only, and may
 *              call any other function below.
 *   Streams    struct h2_stream is owned by the codec; `user` is the caller's.
 *              It dies right after on_stream_close(), which comes exactly once
 *              for every stream for which on_head() or on_refused() came (server) or that
 *              h2_submit_request() returned (client).
 *   Flow       received bytes count as unread until h2_consume(); windows of
 *              a stream open only then: 256 KiB, but of a reply 16 KiB until
 *              h2_widen(), so that many slow readers hold little.  The connection's
 *              window, 4 MiB, opens with the streams' (server: it bounds what one
 *              client can leave with us), or as bytes arrive (client: one slow reader
 *              must not stop the others that share the connection).  Bytes queued with
 *              h2_write() are sent as windows allow; h2_queued() says how many
 *              wait; on_drain() comes when it falls to H2_LOW_BYTES or below after having
 *              been above H2_HIGH_BYTES.
 *   Heads      as in h1.h: no hop-by-hop field, host or content-length in
 *              headers; cookie crumbs are joined with "; ".  Trailers are dropped
 *              (in requests but for what h1.h refuses).
 *   Strictness RFC 9113: no connection-specific fields, valid pseudo-headers,
 *              names and values, :authority equal to host; a malformed request is
 *              reset with PROTOCOL_ERROR, one over the limits with
 *              ENHANCE_YOUR_CALM (see on_refused).  Replies likewise;
 *              on_stream_close() says it.
 *              Frames for a stream after its client ended or reset it, or for an
 *              identifier that the client has skipped, end the connection.
 *   Floods     limits of reliability.md section 3 (and twice header_bytes for a header
 *              block, as sent and decoded), answered with GOAWAY ENHANCE_YOUR_CALM; h2_feed() then
 * fails with E_BAD_REQUEST after the GOAWAY has been queued.  Limits on queued replies (PING,
 * SETTINGS) hold for what h2_pull() has not taken: do not pull while the socket is not writable.
 *   Errors     h2_feed() < 0: the connection is done; send what h2_pull() gives, close.
 *              Other connection errors queue a GOAWAY: h2_finished() is true once
 *              it has been pulled.
 */
#ifndef H2_H
#define H2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "http.h"
#include "must.h"
#include "refusal.h"
#include "str.h"

enum {
    H2_HIGH_BYTES = 8 * 1024,
    H2_LOW_BYTES = 4 * 1024,
    H2_WINDOW_BYTES = 256 * 1024, /* of a stream */
};

/* RFC 9113 section 7 */
enum h2_error {
    H2_NO_ERROR = 0,
    H2_PROTOCOL_ERROR = 1,
    H2_INTERNAL_ERROR = 2,
    H2_STREAM_CLOSED = 5,
    H2_REFUSED_STREAM = 7,
    H2_CANCEL = 8,
    H2_ENHANCE_YOUR_CALM = 11,
};

enum h2_role { H2_SERVER, H2_CLIENT };

struct h2;
struct h2_stream;

struct h2_limits {
    size_t header_bytes;  /* decoded block; 64 KiB */
    size_t field_bytes;   /* server: one field; 8 KiB */
    size_t target_bytes;  /* server: request target; 8 KiB */
    size_t fields_max;    /* 100 */
    uint32_t streams_max; /* server: SETTINGS_MAX_CONCURRENT_STREAMS */
};

struct h2_handler {
    /* server: a request; client: the final reply head (1xx are swallowed) */
    void (*on_head)(void *ctx, struct h2_stream *s, const struct http_head *head);
    void (*on_body)(void *ctx, struct h2_stream *s, struct str bytes);
    void (*on_end)(void *ctx, struct h2_stream *s); /* the other side's half is complete */
    void (*on_drain)(void *ctx, struct h2_stream *s);
    /* error: RST_STREAM's code, or H2_NO_ERROR after both halves ended.  unprocessed
     * (client): the server said it did nothing (REFUSED_STREAM, or above GOAWAY's last id). */
    void (*on_stream_close)(void *ctx, struct h2_stream *s, uint32_t error, bool unprocessed);
    /* client: the server will take no more streams on this connection */
    void (*on_goaway)(void *ctx);
    /* server, may be NULL: a request at fault.  s: it is over the limits (431, 414) or has an
     * expectation that is not known; on_head() does not come, it must be replied to, whole, and
     * h2_reset() with H2_NO_ERROR here.  s NULL: it is being reset, there is nothing to do.
     * head: method and target, as far as they were read. */
    void (*on_refused)(void *ctx, struct h2_stream *s, enum refusal reason,
                       const struct http_head *head);
};

struct h2 *h2_new(enum h2_role role, const struct h2_limits *limits,
                  const struct h2_handler *handler, void *ctx);
void h2_free(struct h2 *c); /* on_stream_close() comes for what is open, error H2_CANCEL */

/* Whether a connection begins with HTTP/2's client preface; *ret_need_more when the
 * bytes so far are only a beginning of it (then the result is false). */
bool h2_is_preface(struct str bytes, bool *ret_need_more);

/* The time for the flood windows of 10 s; call it before h2_feed().  Without it they
 * never end, and only completed streams make room. */
void h2_set_now(struct h2 *c, int64_t now_ns);
int h2_feed(struct h2 *c, struct str bytes) MUST_CHECK;
/* When the header block that is still being read began, by h2_set_now(); 0: there is none. */
int64_t h2_head_since_ns(const struct h2 *c);
/* Appends what is to be sent, at most about max bytes; call until nothing comes. */
void h2_pull(struct h2 *c, struct buf *out, size_t max);
bool h2_wants_write(const struct h2 *c);
bool h2_finished(const struct h2 *c); /* nothing more to read or write: close */
/* Why the whole connection was ended; REFUSAL_NONE: it was not, or by the other side. */
enum refusal h2_refusal(const struct h2 *c);

void h2_stream_set_user(struct h2_stream *s, void *user);
void *h2_stream_user(const struct h2_stream *s);
int32_t h2_stream_id(const struct h2_stream *s);
/* client, inside on_stream_close(): it was us who reset it, for a fault of the reply */
bool h2_is_at_fault(const struct h2_stream *s);

/* client: NULL when no more streams are allowed on this connection now. */
struct h2_stream *h2_submit_request(struct h2 *c, const struct http_head *head, bool has_body,
                                    void *user);
size_t h2_open_streams(const struct h2 *c);
size_t h2_streams_allowed(
    const struct h2 *c); /* client: at once, by the server's SETTINGS; 0 after GOAWAY */
/* client: the server's SETTINGS_MAX_CONCURRENT_STREAMS; SIZE_MAX before its SETTINGS came */
size_t h2_streams_max(const struct h2 *c);
void h2_ping(struct h2 *c);

/* server.  Headers may hold content-length, else it is given apart, or is -1. */
void h2_submit_reply(struct h2_stream *s, int status, const struct http_headers *headers,
                     int64_t content_length, bool has_body);
void h2_submit_continue(struct h2_stream *s); /* 100 */

void h2_write(struct h2_stream *s, struct str bytes); /* copied */
void h2_write_end(struct h2_stream *s);
size_t h2_queued(const struct h2_stream *s);
/* Bytes are queued and the other side's window, of the stream or the connection, is shut. */
bool h2_is_blocked(const struct h2_stream *s);
/* No callback but on_stream_close() comes for the stream afterwards.  With
 * H2_NO_ERROR a reply that was ended is still sent whole (rfc9113,s8.1). */
void h2_reset(struct h2_stream *s, enum h2_error error);
void h2_consume(struct h2_stream *s, size_t n); /* received bytes that were dealt with */
void h2_widen(struct h2_stream *s);             /* a reply that is long: 256 KiB from now on */
void h2_goaway(struct h2 *c);                   /* no new streams; open ones finish */
/* server: says that h2_goaway() will follow, and does it when the client has surely read that
 * (its answer to a PING); until then new streams are taken on (rfc9113,s6.8). */
void h2_goaway_soon(struct h2 *c);

#endif

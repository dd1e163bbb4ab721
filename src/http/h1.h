/*
 * h1.h - HTTP/1.1 codec over llhttp, both roles.  Does no I/O.
 *
 * Contract
 *   Input      any split of the byte stream.
 *   Output     on_head() once per message (interim 1xx replies are swallowed, at most
 *              8; 101 is an error), on_body() for each piece, on_end() once.
 *              Heads and slices die when the callback returns.
 *              head.headers never holds host, content-length, transfer-encoding,
 *              expect or hop-by-hop fields: they are in the head's members.
 *   Stopping   h1_feed() returns right after on_end() of each message, and right
 *              after h1_stop() was called in a callback, with the number of bytes
 *              used.  Call h1_feed() again with the rest: after h1_next() when the
 *              message has ended (until then it uses 0 bytes).  A stop in the last
 *              piece of a body still lets on_end() come.
 *   Strictness everything that reliability.md section 1 and 2 refuse is an
 *              error: obs-fold, bare CR or LF, CL with TE, duplicate or odd
 *              Content-Length, unknown transfer codings, bad Host, ...
 *   Errors     sticky.  E_BAD_REQUEST, E_HEADERS_TOO_LARGE, E_URI_TOO_LONG,
 *              E_METHOD, E_HTTP_VERSION, E_NOT_HTTP, E_EXPECTATION (server role);
 *              E_CLIENT_GONE from h1_eof() inside a request;
 *              E_UPSTREAM_PROTOCOL, E_UPSTREAM_CLOSED (client role).
 *              h1_error_text() says what was wrong, without request content.
 *   Trailers   dropped; requests that hide framing, authority or credentials there are
 *              refused.
 *   Limits     struct h1_limits; chunk extensions and trailers: 4 KiB a message.
 *   Threads    none; one codec per conn and direction.
 */
#ifndef H1_H
#define H1_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "http.h"
#include "must.h"
#include "refusal.h"
#include "str.h"

enum h1_role { H1_SERVER /* reads requests */, H1_CLIENT /* reads replies */ };

struct h1_limits {
    size_t header_bytes; /* whole head; 32 KiB */
    size_t field_bytes;  /* one field; 8 KiB */
    size_t target_bytes; /* request target; 8 KiB */
    size_t fields_max;   /* 100 */
};

struct h1_handler {
    void (*on_head)(void *ctx, const struct http_head *head);
    void (*on_body)(void *ctx, struct str bytes);
    void (*on_end)(void *ctx);
};

struct h1 {
    llhttp_t parser;
    enum h1_role role;
    int state; /* enum h1_state in h1.c */
    int err;
    enum refusal refusal; /* server role: of err */
    const char *error_text;
    const struct h1_handler *handler;
    void *ctx;
    const struct h1_limits *limits;
    struct h1_head *head; /* what is known of the head being read; NULL between heads */
    size_t extra_bytes;   /* chunk extensions and trailers of this message */
    char trailer[20];     /* lower-case name of the trailer being read, as far as it fits */
    size_t trailer_n;     /* all of it */
    size_t framing_bytes; /* read since the newest body byte */
    int interim_replies;
    bool reply_to_head; /* client role: the request was HEAD */
    bool keep_alive;    /* of the newest message, valid from on_head on */
    bool until_close;   /* client role: the body ends with the connection */
    bool stopped;
};

/* limits and handler must outlive the codec. */
void h1_init(struct h1 *c, enum h1_role role, const struct h1_limits *limits,
             const struct h1_handler *handler, void *ctx);
void h1_done(struct h1 *c);

ssize_t h1_feed(struct h1 *c, struct str bytes) MUST_CHECK; /* bytes used, or < 0 */
void h1_stop(struct h1 *c); /* inside a callback: h1_feed() returns as soon as it can */
/* Ready for the next message.  client role: method of the request the next reply answers. */
void h1_next(struct h1 *c, struct str method);
/* The other side closed.  0: between messages, or a reply that ends this way
 * (on_end() has been called); else an error. */
int h1_eof(struct h1 *c) MUST_CHECK;
bool h1_keep_alive(const struct h1 *c);
bool h1_idle(const struct h1 *c); /* no byte of a message has been read since h1_next */
const char *h1_error_text(const struct h1 *c);
enum refusal h1_refusal(const struct h1 *c); /* server role, after an error */
/* server role: what has been read of the method and target of a head that is not complete,
 * whether or not it is at fault; they live until the next call. */
void h1_asked(const struct h1 *c, struct str *ret_method, struct str *ret_target);

/* --- writing --- */

/* The request line and headers: host from head->authority, then head->headers
 * (hop-by-hop, framing and illegal ones left out), content-length for
 * body_bytes >= 0, chunked for -1, nothing for -2 (no body). */
void h1_write_request(struct buf *out, const struct http_head *head, int64_t body_bytes);
/* The status line and headers.  body_bytes: as above; -3: until close, which an
 * HTTP/1.0 client needs instead of -1.  Adds `connection: close` when !keep_alive, and
 * `date` unless it is there. */
void h1_write_reply(struct buf *out, int status, const struct http_headers *headers,
                    int64_t body_bytes, bool keep_alive, int client_minor);
void h1_write_chunk(struct buf *out, struct str bytes); /* not for empty bytes */
void h1_write_last_chunk(struct buf *out);

#endif

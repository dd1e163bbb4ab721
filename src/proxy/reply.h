/*
 * reply.h - bodies and headers of the proxy's own replies: errors, CORS, and the
 * list of upstream headers that clients get.
 *
 * Contract
 *   Shapes     docs/adapters.md sections 7, 8.3 and 8.4.  Texts are JSON-escaped here.
 *   Ownership  header texts live in the arena given.
 */
#ifndef REPLY_H
#define REPLY_H

#include "arena.h"
#include "buf.h"
#include "config.h"
#include "http.h"
#include "protocol.h"
#include "str.h"

/* {"type":"error","error":{"type":..,"message":..,"param":null,"code":null},"request_id":..} */
void reply_error_body(struct buf *out, struct str type, struct str message, struct str request_id);
/* error.type for a status an adapter chose (section 4, `reject`). */
const char *reply_error_type(int status);

/* access-control-* for a reply to a request with these headers. */
void reply_add_cors(struct http_headers *out, struct arena *a, const struct config *config,
                    const struct http_headers *request);
/* The headers of a 204 answer to OPTIONS; allow: for one that is no preflight. */
void reply_add_preflight(struct http_headers *out, struct arena *a, const struct config *config,
                         const struct http_headers *request, struct str allow);

/* Copies from upstream what clients may see.  coded: the body keeps its content-encoding. */
void reply_copy_headers(struct http_headers *out, struct arena *a,
                        const struct http_headers *upstream, bool coded, bool pass_through);

/* The events that end a broken stream (section 8.4), whole, with their empty lines. */
struct reply_stream_error {
    enum protocol protocol;
    struct str type; /* for messages and chat: api_error ... */
    struct str message;
    struct str response_id;  /* responses: of response.created; may be empty */
    int64_t sequence_number; /* responses: the next one */
    bool created;            /* responses: response.created has been sent */
};
void reply_stream_error(struct buf *out, const struct reply_stream_error *e, struct str request_id);
/* A keep-alive (section 8.5).  begun: after message_start or response.created. */
struct str reply_ping(enum protocol protocol, bool begun);

#endif

/*
 * request_reply.h - what a request sends to its client: head, body, end.
 *
 * Contract
 *   Order      head, body pieces, end; each at most once but the body.  After the end
 *              request->stream is NULL.
 *   Headers    what clients may see of the upstream's, CORS, the request id, the adapter's
 *              name (docs/adapters.md sections 7 and 8).
 */
#ifndef REQUEST_REPLY_H
#define REQUEST_REPLY_H

#include "request.h"

/* upstream: its headers, or NULL.  content_type: replaces the upstream's; empty: not.
 * body_bytes: as for server_head(). */
void request_reply_head(struct request *r, int status, const struct http_headers *upstream,
                        struct str content_type, int64_t body_bytes);
void request_reply_body(struct request *r, struct str bytes);
void request_reply_end(struct request *r);

/* A whole small reply; ends it. */
void request_reply(struct request *r, int status, struct str content_type, struct str body);
/* The same with the body of docs/adapters.md section 8.4. */
void request_reply_error(struct request *r, int status, const char *type, struct str message);

/* 404 in the client's protocol for what this upstream does not have; code may be empty. */
void request_reply_unsupported(struct request *r, struct str code, struct str message);

#endif

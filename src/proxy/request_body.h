/*
 * request_body.h - the client's JSON body: decoded, checked, opened for edits, and what of it
 * is sent on.
 *
 * Contract
 *   Memory     everything made here lives in request->work, request->nodes and request->decoded.
 *              request_body_choose() frees what the body to be sent does not need.
 *   Errors     request_body_parse(): E_UNKNOWN_CODING, E_BAD_CODING and E_TOO_LARGE for the
 *              content-encoding; E_BAD_JSON, E_NOT_OBJECT, E_BAD_REQUEST, E_TOO_LARGE for
 *              the text, with the detail in request->err_text.
 */
#ifndef REQUEST_BODY_H
#define REQUEST_BODY_H

#include "must.h"
#include "request.h"

/* Sets request->adapting, without a body. */
void request_body_begin(struct request *r);
/* Adds to request->body, and makes room for what content-length says is still to come: not more
 * than a few times what has come, as announcing costs a client nothing. */
void request_body_add(struct request *r, struct str bytes);
/* Brings worker->bodies_bytes up to date with what this request holds: the body as received,
 * decoded, edited and converted. */
void request_body_count(struct request *r);
/* True when `bytes` more would be over MAX_BUFFERED_BYTES. */
bool request_body_over(const struct request *r, size_t bytes);
/* Sets request->adapting with the body, wants_stream and model; logs the request. */
int request_body_parse(struct request *r) MUST_CHECK;
/* Sets request->send_body, after the adapter has run. */
void request_body_choose(struct request *r);

/* Asks for upstream_model by its name, in the client's own protocol: sets send_body and, when the
 * reply is to name it otherwise, shown_model (EW5 of protocols.md). */
int request_body_rename(struct request *r) MUST_CHECK;

#endif

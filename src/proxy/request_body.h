/*
 * request_body.h - the client's JSON body: decoded, checked, opened for edits, and what of it
 * is sent on.
 *
 * Contract
 *   Memory     everything made here lives in request->work and request->decoded.
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
/* Sets request->adapting with the body, wants_stream and model; logs the request. */
int request_body_parse(struct request *r) MUST_CHECK;
/* Sets request->send_body, after the adapter has run. */
void request_body_choose(struct request *r);
/* Where the upstream has another name for the model: changes just this value. */
void request_body_rename_model(struct request *r);

#endif

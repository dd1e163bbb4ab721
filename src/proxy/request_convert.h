/*
 * request_convert.h - the step between the adapter and the upstream: another protocol.
 */
#ifndef REQUEST_CONVERT_H
#define REQUEST_CONVERT_H

#include "request.h"

/* Does the body, or the reply, have to change its protocol or its streaming? */
bool request_convert_needed(const struct request *r);
/* Does this request count tokens for an upstream of another protocol (C7.2 to C7.4)? */
bool request_convert_counts(const struct request *r);
/* Makes send_body of the adapted body.  E_BAD_REQUEST (err_text says why), E_TOO_LARGE. */
int request_convert(struct request *r) MUST_CHECK;
/* Can it be answered here: a warm-up of a cache that this upstream does not have (max_tokens 0,
 * C1.9), a count for an upstream that cannot count? */
bool request_convert_is_local(const struct request *r);
void request_convert_reply(struct request *r);
/* The upstream's answer to a count, status and body: writes the client's. */
void request_convert_count(struct request *r, int status, struct str body, struct buf *out);
/* Drops what convert made. */
void request_convert_free(struct request *r);

#endif

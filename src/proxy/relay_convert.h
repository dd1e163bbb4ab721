/*
 * relay_convert.h - the way back when the client is answered in another shape than the upstream's:
 * another protocol, or a stream for a whole body and the reverse.
 *
 * Contract
 *   Held back  nothing reaches the client before the reply has really begun, so that an
 *              error, wherever the upstream hides it, is still a plain HTTP reply.
 *   Ends       the client's reply ends as soon as its last event is known; the upstream's
 *              connection is read to its end for a while, so that it can be used again.
 *   Owner      the request; everything is in struct relay.
 */
#ifndef RELAY_CONVERT_H
#define RELAY_CONVERT_H

#include "relay.h"

/* The upstream's head: the mode is RELAY_CONVERT or RELAY_CONVERT_ERROR. */
void relay_convert_begin(struct request *r, const struct http_head *head);
int relay_convert_bytes(struct request *r, struct str bytes) MUST_CHECK;
void relay_convert_end(struct request *r);
/* Does the beginning of what the upstream sends suffice?  So it is with errors: then what is
 * too much, cut off or badly coded is as good as its end. */
bool relay_convert_takes_prefix(const struct relay *y);
/* RELAY_CONVERT: the reply is finished, or the client has it. */
bool relay_convert_is_over(const struct request *r);
/* The proxy has begun the stream itself (STREAM_OPEN_SECONDS). */
void relay_convert_open(struct request *r);
/* The reply broke for request->err: gives the client its error ending when it has begun. */
void relay_convert_fail(struct request *r);
/* For counters and the log: what is known of the usage. */
void relay_convert_usage(struct request *r);
/* As relay_tick(). */
int64_t relay_convert_tick(struct request *r, int64_t now_ns);

#endif

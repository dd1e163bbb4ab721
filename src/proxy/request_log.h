/*
 * request_log.h - the log lines of a request (docs/logs.md: names and fields).
 *
 * Contract
 *   Secrets    no credential is ever written; bodies only outside production, with the
 *              request's and the server's keys masked.
 */
#ifndef REQUEST_LOG_H
#define REQUEST_LOG_H

#include "adapter.h"
#include "request.h"

void request_log_request(struct request *r, int64_t message_count);
void request_log_adapter(struct request *r, enum adapter_reason reason);
void request_log_changes(struct request *r);
void request_log_start(struct request *r);
/* The reply is complete as far as the upstream goes. */
void request_log_reply(struct request *r);
/* Part of a converted reply was no JSON, if so (E186). */
void request_log_unread(struct request *r);
void request_log_error(struct request *r);
/* The request's key was the wrong one too many. */
void request_log_locked_out(const struct request *r);
void request_log_done(struct request *r);
/* Of no request.  status 0: it got no answer, and id is empty. */
void request_log_refused(const struct worker_listener *l, const struct server_refusal *why,
                         int status, struct str id);

/* A copy of text in which the keys that this request has to do with are ***. */
struct str request_log_masked(struct request *r, struct arena *a, struct str text);

#endif

/*
 * local.h - endpoints answered here: /, /health, /v1, /adapters, /api/hello, and the admin
 * listener's /metrics.
 */
#ifndef LOCAL_H
#define LOCAL_H

#include "request.h"
#include "server.h"

/* Answers a request whose route is ROUTE_LOCAL; the reply is ended. */
void local_reply(struct request *r);

/* server_handler of the admin listener; ctx: struct worker_listener. */
extern const struct server_handler local_admin_handler;

#endif

/*
 * upstream.h - the configured API endpoints.
 *
 * Contract
 *   Base URLs  trimmed, without trailing '/' and one trailing '/v1'; requests then go
 *              to base + '/v1/...' (docs/adapters.md section 8.1).
 *   Ownership  texts live in the arena given to upstream_init(), origins in the pool.
 *   Errors     -EINVAL; ret_error names the setting and the reason, no secret.
 */
#ifndef UPSTREAM_H
#define UPSTREAM_H

#include "arena.h"
#include "buf.h"
#include "config.h"
#include "must.h"
#include "pool.h"
#include "protocol.h"
#include "str.h"

struct upstream {
    enum service service; /* whose vendor it is */
    struct str base_url;  /* normalised, without user information; for logs */
    struct str scheme;    /* "http", "https" */
    struct str authority; /* host[:port], as in Host */
    struct str prefix;    /* path before /v1; may be empty */
    struct str key;       /* server key; empty: the client's */
    struct origin *origin;
};

/* pool NULL: only checks the settings (for `cc-proxy check`). */
int upstream_init(struct upstream *u, enum service service, const struct config *config,
                  struct arena *a, struct pool *pool, struct buf *ret_error) MUST_CHECK;

/* The service whose upstream speaks this protocol; chat belongs to neither and stays with
 * the service it came to. */
enum service upstream_service(enum protocol protocol, enum service came_to);

#endif

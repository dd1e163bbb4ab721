/*
 * upstreams.h - CONFIG_FILE: further upstreams, and which requests go to them.
 *
 * Contract
 *   File       docs/configuration.md.  Without one (the setting is empty and there is no
 *              cc-proxy.yaml) there are the two upstreams of the settings and nothing is routed.
 *   Routing    the service's rows in order, the first whose glob fits the model's name; none, or
 *              "default": where a request goes without the file.
 *   Ownership  a set owns its texts and TLS contexts, and refers to the upstreams given; it is
 *              read only.  It must outlive the pool's connections.
 *   Limits     RULE_FILE_MAX bytes, UPSTREAMS_MAX upstreams.
 *   Errors     ret_error names file, line, column and the reason, never a key.
 */
#ifndef UPSTREAMS_H
#define UPSTREAMS_H

#include <stdbool.h>

#include "buf.h"
#include "config.h"
#include "must.h"
#include "pool.h"
#include "protocol.h"
#include "str.h"
#include "upstream.h"

enum { UPSTREAMS_MAX = 256 };

struct upstreams;

struct upstream_route {
    const struct upstream *upstream;
    enum protocol protocol; /* in which the request is to reach it */
    struct str model;       /* to be asked for instead of the client's; empty: as it is */
    bool strict;            /* what a conversion would lose is an error */
};

/* own: those of the settings, by service.  pool NULL: only checks the file. */
int upstreams_load(const struct config *config, const struct upstream own[SERVICE_COUNT],
                   struct pool *pool, struct upstreams **ret, struct buf *ret_error) MUST_CHECK;
/* The same from a text, for upstreams_load() and for tests. */
int upstreams_parse(const struct config *config, const struct upstream own[SERVICE_COUNT],
                    struct pool *pool, struct str path, struct str text, struct upstreams **ret,
                    struct buf *ret_error) MUST_CHECK;
void upstreams_free(struct upstreams *u); /* takes NULL */

/* Where a request goes that came to `service` in the protocol `came_in`.  Never NULL; lives as
 * long as the set. */
const struct upstream_route *upstreams_route(const struct upstreams *u, enum service service,
                                             enum protocol came_in, struct str model);
/* Whose models a service offers: its own upstream and those that its routes name, each once, in
 * that order.  Gives how many. */
size_t upstreams_of_service(const struct upstreams *u, enum service service,
                            const struct upstream *ret[UPSTREAMS_MAX + 1]);
/* "claude", "codex" or a name of the file; NULL: none is called so. */
const struct upstream *upstreams_find(const struct upstreams *u, struct str name);

/* The file that would be read; with a NUL. */
const char *upstreams_path(const struct config *config);

/* For `cc-proxy check`: the file as it was understood, keys masked; nothing without a file. */
void upstreams_print(const struct upstreams *u, struct buf *out);
/* For `cc-proxy check --route`: what a request for this model would get, by service and
 * protocol. */
void upstreams_print_route(const struct upstreams *u, const struct config *config, struct str model,
                           struct buf *out);

#endif

/*
 * router.h - (service, method, path) to an endpoint.
 *
 * Contract
 *   Input      the request target as sent, in origin form.
 *   Output     the canonical path (docs/adapters.md section 8.1: `//` collapsed, no trailing `/`,
 *              repeated `/v1` collapsed, `/v1` added where the rest is a known
 *              route), the query as sent, and the route.
 *   Errors     E_NOT_FOUND for paths that nobody offers and for every path with dot segments,
 *              backslashes, `;` or escapes of those; E_METHOD (allow is set);
 *              E_BAD_REQUEST for %00; E_UPGRADE for a WebSocket on /v1/responses.
 *   Ownership  texts in the arena or static.
 */
#ifndef ROUTER_H
#define ROUTER_H

#include <stdbool.h>

#include "arena.h"
#include "http.h"
#include "must.h"
#include "protocol.h"
#include "str.h"

enum endpoint {
#define ROUTE(path, endpoint, ...) ENDPOINT_##endpoint,
#include "routes.def"
#undef ROUTE
    ENDPOINT_PASS, /* families.def */
};

enum route_kind {
    ROUTE_LOCAL,     /* answered here, no key needed */
    ROUTE_MODELS,    /* answered here with what the upstream says */
    ROUTE_JSON,      /* read whole, adapted, sent on */
    ROUTE_PASS,      /* sent on as it comes */
    ROUTE_PREFLIGHT, /* OPTIONS */
};

struct route {
    enum endpoint endpoint;
    enum route_kind kind;
    enum protocol protocol; /* PROTOCOL_COUNT: none */
    unsigned offered;       /* ROUTE_PASS: set of 1u << protocol, one of them the upstream's */
    struct str path;        /* canonical, without query */
    struct str query;       /* with its '?', or empty */
    struct str allow;       /* value of the `allow` header for E_METHOD and OPTIONS */
};

int router_find(enum service service, const struct http_head *head, struct arena *a,
                struct route *ret_route) MUST_CHECK;

#endif

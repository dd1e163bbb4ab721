/*
 * upstream.h - the configured API endpoints: two of the settings, one per service, and those of
 * CONFIG_FILE (upstreams.h).
 *
 * Contract
 *   Base URLs  trimmed, without trailing '/' and one trailing '/v1'; requests then go
 *              to base + '/v1/...' (docs/adapters.md section 8.1).
 *   Ownership  texts live in the arena given, origins in the pool; what upstream_settings
 *              refers to must outlive the upstream.
 *   Errors     -EINVAL; the setting and the reason are named, no secret.
 */
#ifndef UPSTREAM_H
#define UPSTREAM_H

#include "arena.h"
#include "buf.h"
#include "config.h"
#include "must.h"
#include "pool.h"
#include "profile.h"
#include "protocol.h"
#include "str.h"

enum upstream_stream {
    UPSTREAM_STREAM_AUTO,   /* as the client asks */
    UPSTREAM_STREAM_ALWAYS, /* it can only stream */
    UPSTREAM_STREAM_NEVER,  /* it cannot */
};

/* What a model on an upstream takes: the arguments of profile_resolve(), but for the model. */
struct upstream_profile {
    struct str name; /* empty: by host */
    const struct profile_override *overrides;
    size_t override_count;
};

struct upstream_model;

struct upstream {
    struct str name;        /* "claude", "codex", or of CONFIG_FILE */
    enum service service;   /* whose vendor's protocol it speaks */
    enum protocol protocol; /* what other protocols are converted to */
    unsigned speaks;        /* set of 1u << protocol: these are sent on as they are */
    enum upstream_stream stream;
    struct upstream_profile profile;
    struct str host;      /* of the base URL, lower case, for profile_resolve() */
    struct str base_url;  /* normalised, without user information; for logs */
    struct str scheme;    /* "http", "https" */
    struct str authority; /* host[:port], as in Host */
    struct str prefix;    /* path before /v1; may be empty */
    struct str key;       /* server key; empty: the client's */
    struct origin *origin;
    struct upstream_model *models; /* UPSTREAM_MODELS whose profiles are known */
};

enum { UPSTREAM_MODELS = 8 };

struct upstream_settings {
    struct str name, base_url, key;
    enum protocol protocol;
    unsigned speaks;
    enum upstream_stream stream;
    struct upstream_profile profile;
    struct str proxy; /* empty: of the configuration; "none": no outbound proxy */
    SSL_CTX *tls;     /* NULL: the pool's */
};

struct upstream_fault {
    const char *member; /* "base_url", "proxy", or a setting's name */
    const char *why;
};

/* pool NULL: only checks the settings. */
int upstream_open(struct upstream *u, const struct upstream_settings *settings,
                  const struct config *config, struct arena *a, struct pool *pool,
                  struct upstream_fault *ret_fault) MUST_CHECK;

/* The upstream of a service's settings.  pool NULL: as above. */
int upstream_init(struct upstream *u, enum service service, const struct config *config,
                  struct arena *a, struct pool *pool, struct buf *ret_error) MUST_CHECK;

/* What its model takes.  The overrides have been checked, so it cannot fail. */
void upstream_profile(const struct upstream *u, struct str model, struct profile *ret);

/* "responses, chat": the first, and the set of all.  -EINVAL for anything else. */
int upstream_protocols(struct str list, enum protocol *ret_first, unsigned *ret_set) MUST_CHECK;
/* The protocol in which a request that came in another one goes to it. */
enum protocol upstream_protocol(const struct upstream *u, enum protocol came_in);

#endif

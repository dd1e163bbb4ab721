/*
 * headers.h - what is sent on of a request's headers, and the credentials in them.
 *
 * Contract (docs/adapters.md section 7)
 *   Credential  found by headers_credential() before adapters run.  Sent on in the
 *               form it came in, or as configured; a server key replaces it.
 *   Ownership   arena or the request's own texts.
 */
#ifndef HEADERS_H
#define HEADERS_H

#include <stdbool.h>

#include "arena.h"
#include "http.h"
#include "must.h"
#include "protocol.h"
#include "str.h"

enum credential_form { CREDENTIAL_NONE, CREDENTIAL_X_API_KEY, CREDENTIAL_BEARER, CREDENTIAL_BARE };

struct credential {
    enum credential_form form;
    struct str value; /* without its scheme */
};

/* x-api-key (also api-key), `Authorization: Bearer k`, bare `Authorization: k`.  With both kinds
 * x-api-key wins on Messages, Authorization elsewhere. */
struct credential headers_credential(const struct http_headers *h, enum protocol protocol);

struct headers_rule {
    enum protocol protocol; /* of the upstream request */
    struct credential client;
    struct str server_key; /* empty: the client's */
    struct str auth_style; /* ANTHROPIC_AUTH_STYLE */
    bool raw;              /* http-referer, x-title and accept-encoding stay */
    bool keep_coding;      /* the body is sent in its content-encoding */
    bool json;             /* the reply is read: identity is asked for */
    bool converted;        /* the body changes its protocol: the vendor's headers stay behind */
    struct str version;    /* anthropic-version where the client gave none; empty: the default */
};

/* The headers of the upstream request. */
void headers_for_upstream(struct http_headers *out, struct arena *a, const struct http_headers *in,
                          const struct headers_rule *rule);

#endif

/*
 * http.h - message heads: what both HTTP versions have in common.
 *
 * Contract
 *   Names      header names are stored in lower case.
 *   Ownership  a headers list and its texts live in the arena given when they were
 *              added.  A head given to a callback dies when the callback returns:
 *              http_head_copy() keeps it.
 *   Limits     the codecs bound what they read; see h1.h and h2.h.
 */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "str.h"

struct http_header {
    struct str name;
    struct str value;
};

struct http_headers {
    struct http_header *v;
    size_t n, cap;
};

/* A request head (method, target, authority) or a reply head (status). */
struct http_head {
    struct str method;
    struct str target;    /* path and query, as sent: "/v1/messages?beta=true" */
    struct str scheme;    /* requests we send: "http" or "https" */
    struct str authority; /* Host or :authority */
    int status;
    int major, minor;       /* HTTP version it came in */
    int64_t content_length; /* -1: not given */
    bool has_body;          /* a body follows (perhaps an empty one) */
    bool expect_continue;
    bool upgrade; /* an Upgrade header was there (it is not in headers) */
    bool upgrade_websocket;
    struct http_headers headers; /* without framing and hop-by-hop ones (see http_is_hop) */
};

struct str *http_find(const struct http_headers *h, struct str name); /* first value, or NULL */
/* All values of a name joined with ", "; empty when absent.  A single one is not copied. */
struct str http_join(const struct http_headers *h, struct str name, struct arena *a);
size_t http_count(const struct http_headers *h, struct str name);
/* Room for so many more fields, so that adding them makes no other list. */
void http_reserve(struct http_headers *h, struct arena *a, size_t more);
/* Texts are not copied: they must live as long as the list. */
void http_add(struct http_headers *h, struct arena *a, struct str name, struct str value);
void http_set(struct http_headers *h, struct arena *a, struct str name,
              struct str value); /* replaces all */
void http_remove(struct http_headers *h, struct str name);
void http_head_copy(const struct http_head *from, struct arena *a, struct http_head *ret_to);

/* connection, keep-alive, proxy-connection, transfer-encoding, te, trailer, upgrade,
 * proxy-authenticate, proxy-authorization (RFC 9110 section 7.6.1). */
/* Whether a name must not come as a trailer, where it would get round a check of the head:
 * framing, authority, credentials. */
bool http_is_no_trailer(struct str lower_name);
bool http_is_hop(struct str lower_name);
/* A legal field value: no CR, LF, NUL or other control byte but tab. */
bool http_value_ok(struct str value);
bool http_name_ok(struct str name);            /* a token, RFC 9110 section 5.6.2 */
bool http_lower_name_ok(struct str name);      /* the same, without capitals */
bool http_name_to_lower(char *name, size_t n); /* ASCII letters, in place; false: not a token */
/* host [":" port], no userinfo; IPv6 in brackets; not empty. */
bool http_authority_ok(struct str authority);
/* Origin form ("/path?query"), or "*": visible ASCII without '#', no %00 in the path. */
bool http_target_ok(struct str target);
/* The digits of a Content-Length: -EINVAL unless digits only, below 2^63. */
int http_content_length(struct str value, int64_t *ret_n) MUST_CHECK;
/* True when the comma list has the token, in any case. */
bool http_has_token(struct str list, struct str token);
struct str http_date(void); /* the value of a date field; the text lives until the next call */
const char *http_reason(int status); /* "OK"; "" when unknown */

#endif

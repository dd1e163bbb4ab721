/*
 * url.h - base URLs of upstreams and outbound proxies (RFC 3986, absolute form).
 *
 * Contract
 *   Input      scheme://[user[:password]@]host[:port][/path][?query]; host a
 *              name, an IPv4 address or an IPv6 address in brackets.
 *   Output     slices of the input, host without brackets; user and password
 *              still percent-encoded (url_decode()).
 *   Errors     -EINVAL; ret_why (static text) says what is wrong.
 */
#ifndef URL_H
#define URL_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "must.h"
#include "str.h"

struct url {
    struct str scheme;         /* as written */
    struct str user, password; /* p == NULL: none */
    struct str host;
    bool host_is_ipv6;
    uint16_t port;    /* 0: none given */
    struct str path;  /* "" or begins with '/' */
    struct str query; /* without '?'; p == NULL: none */
};

int url_parse(struct str text, struct url *ret_url, const char **ret_why) MUST_CHECK;
/* Percent-decoding; a broken escape is kept as it is. */
struct str url_decode(struct str text, struct arena *a);

/* True when host (and port) match a NO_PROXY list: names (also as suffix of a
 * label, with or without a leading dot or "*."), addresses, CIDR blocks, "*", optional :port. */
bool url_no_proxy(struct str list, struct str host, uint16_t port);

#endif

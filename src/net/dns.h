/*
 * dns.h - asynchronous name look-ups with a cache.
 *
 * Contract
 *   Output     the callback gets up to DNS_ADDRESSES_MAX addresses, the families
 *              interleaved, IPv6 first (RFC 8305 section 4), or an error.
 *              It always comes later, never inside dns_find().
 *   Cache      an answer is used for ttl; after that a look-up is made; when that
 *              fails or takes over 0.5 s, the last good answer is used for up to stale
 *              more, at once, while look-ups go on (1 s after the last).
 *              Equal look-ups under way share one thread (lookup.h).
 *   Limits     256 names; the least recently used goes.
 *   Literals   IPv4 and IPv6 addresses (with or without brackets) need no look-up.
 *   Cancel     dns_cancel() before the callback: the callback never comes.
 */
#ifndef DNS_H
#define DNS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "loop.h"
#include "str.h"

enum { DNS_ADDRESSES_MAX = 8 };

struct dns_answer {
    struct sockaddr_storage address[DNS_ADDRESSES_MAX];
    socklen_t len[DNS_ADDRESSES_MAX];
    int n;
    int64_t looked_up_ns; /* 0: a literal */
};

typedef void dns_fn(void *ctx, int err, const struct dns_answer *answer);

struct dns;
struct dns_query;

struct dns *dns_new(struct loop *l, int64_t ttl_ns, int64_t stale_ns);
/* Open queries are dropped; nothing waits for look-ups under way. */
void dns_free(struct dns *d);
struct dns_query *dns_find(struct dns *d, struct str host, uint16_t port, dns_fn *fn, void *ctx);
void dns_cancel(struct dns_query *q);
bool dns_is_literal(struct str host); /* an address, with or without brackets */

#endif

/*
 * lookup.h - getaddrinfo(), each call in a thread of its own.
 *
 * libuv's pool runs two look-ups at once (half of its four threads), so two names whose servers
 * do not answer would stop all others; and a worker that ends would wait for them.
 *
 * Contract
 *   Output     lookup_fn comes once, in the loop's thread, never inside lookup_start(): the
 *              addresses as getaddrinfo() gave them, or NULL when it failed.  They are freed
 *              when it returns.
 *   Limits     LOOKUPS_MAX threads with LOOKUP_STACK_BYTES each.
 *   Cancel     lookup_forget(): the callback never comes.  The thread runs out by itself.
 *   Ownership  lookups_free() may come while threads run: what they share goes with the last.
 *   Errors     -EAGAIN: LOOKUPS_MAX are under way; others as pthread_create().
 *   Threads    all functions belong to the loop's thread.
 */
#ifndef LOOKUP_H
#define LOOKUP_H

#include <netdb.h>

#include "loop.h"
#include "must.h"

enum { LOOKUPS_MAX = 64, LOOKUP_STACK_BYTES = 512 * 1024 };

typedef void lookup_fn(void *ctx, const struct addrinfo *found);

struct lookups;
struct lookup;

struct lookups *lookups_new(struct loop *l);
void lookups_free(struct lookups *s);

/* host is copied. */
int lookup_start(struct lookups *s, const char *host, lookup_fn *fn, void *ctx,
                 struct lookup **ret_lookup) MUST_CHECK;
void lookup_forget(struct lookup *k);

#endif

/*
 * lockout.h - client addresses that present too many wrong keys have to wait.
 *
 * Contract
 *   Input      addresses as "1.2.3.4:5" or "[2001:db8::1]:5" (conn.h); the time, which may not
 *              go back.  IPv4 counts by address (also when it came as ::ffff:1.2.3.4), IPv6 by
 *              its /64, as that is what one machine has.
 *   Rule       failures_max failures within window_ns close an address for window_ns.  Then it
 *              starts anew.
 *   Limits     LOCKOUT_ADDRESSES_MAX per worker.  When a bucket is full, the address goes that
 *              would have been forgotten first; those that are closed go last.
 *   Errors     what is no address is never closed.
 *   Cost       nothing while no failure is younger than window_ns.
 */
#ifndef LOCKOUT_H
#define LOCKOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "str.h"

enum { LOCKOUT_ADDRESSES_MAX = 4096 };

struct lockout;

struct lockout *lockout_new(int failures_max, int64_t window_ns); /* failures_max > 0 */
void lockout_free(struct lockout *l);                             /* takes NULL */
/* True: this was the failure that closes the address. */
bool lockout_fail(struct lockout *l, struct str remote, int64_t now_ns);
int64_t lockout_left_ns(struct lockout *l, struct str remote, int64_t now_ns); /* 0: it is open */

#endif

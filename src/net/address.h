/*
 * address.h - who a client is, as far as its address tells; and how many conns each has.
 *
 * Contract
 *   Input      addresses as "1.2.3.4:5" or "[2001:db8::1]:5" (conn.h).
 *   Address    IPv4 counts by address (also when it came as ::ffff:1.2.3.4), IPv6 by its /64, as
 *              that is what one machine has.  Addresses are compared by their bytes.
 *   Counts     one row for each address that has conns: as many as there are conns.
 *   Ownership  rows belong to the table; address_counts_free() when all were given back.
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "str.h"

enum { ADDRESS_BYTES = 16 };

struct address {
    unsigned char bytes[ADDRESS_BYTES];
};

bool address_read(struct str remote, struct address *ret); /* false: it is no IP address */
uint64_t address_hash(const struct address *a, uint64_t seed);

struct address_counts;
struct address_count;

struct address_counts *address_counts_new(void);
void address_counts_free(struct address_counts *t); /* takes NULL */
/* One conn more of this address; NULL when it has max already. */
struct address_count *address_counts_take(struct address_counts *t, const struct address *a,
                                          int max);
void address_counts_give(struct address_count *row); /* takes NULL */

#endif

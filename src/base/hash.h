/*
 * hash.h - SHA-256, HMAC with it, SipHash, random bytes, and bytes in hex.
 *
 * Contract
 *   Input      any bytes; the empty str too.
 *   Short      hash_short(): SipHash-2-4 of 128 bits with a random key of this process.  For
 *              tables whose keys strangers choose; it means nothing elsewhere.
 *   Random     the kernel's own: fit for keys, and without the millisecond that OpenSSL takes to
 *              set up a generator of its own.  At most HASH_RANDOM_MAX bytes.
 *   Digits     lower case, no NUL behind them.
 *   Threads    one thread of a process.
 */
#ifndef HASH_H
#define HASH_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "str.h"

enum { HASH_BYTES = 32, HASH_SHORT_BYTES = 16, HASH_RANDOM_MAX = 256 };

void hash_sha256(struct str s, unsigned char ret[HASH_BYTES]);
void hash_hmac(struct str key, struct str s, unsigned char ret[HASH_BYTES]); /* RFC 2104 */
void hash_short(struct str s, unsigned char ret[HASH_SHORT_BYTES]);
/* https://cr.yp.to/siphash/siphash-20120918.pdf, with the longer result of its reference code. */
void hash_siphash(const uint64_t key[2], struct str s, unsigned char ret[HASH_SHORT_BYTES]);
void hash_random(void *to, size_t n);
void hash_hex(struct str s, char *out, size_t digits); /* its first digits, at most 64 */
struct str hash_text(struct arena *a, struct str s);   /* all 64 */
struct str hex_text(struct arena *a, const unsigned char *p, size_t n);

#endif

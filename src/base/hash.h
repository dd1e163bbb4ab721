/*
 * hash.h - SHA-256, HMAC with it, and bytes in hex.
 *
 * Contract
 *   Input      any bytes; the empty str too.
 *   Digits     lower case, no NUL behind them.
 *   Threads    one thread of a process.
 */
#ifndef HASH_H
#define HASH_H

#include <stddef.h>

#include "arena.h"
#include "str.h"

enum { HASH_BYTES = 32 };

void hash_sha256(struct str s, unsigned char ret[HASH_BYTES]);
void hash_hmac(struct str key, struct str s, unsigned char ret[HASH_BYTES]); /* RFC 2104 */
void hash_hex(struct str s, char *out, size_t digits); /* its first digits, at most 64 */
struct str hash_text(struct arena *a, struct str s);   /* all 64 */
struct str hex_text(struct arena *a, const unsigned char *p, size_t n);

#endif

/*
 * reply_family.h - an upstream's reply headers for a client of the other vendor (A4.2 of
 * protocols.md).
 *
 * Contract
 *   Output     retry-after*, x-should-retry and cf-ray as they are; the request id under the
 *              client's name; the limits of requests and tokens under the client's names, their
 *              reset as a time (Messages) or a duration (the others); nothing else.
 *   Ownership  texts live in the arena given.
 */
#ifndef REPLY_FAMILY_H
#define REPLY_FAMILY_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "http.h"
#include "protocol.h"
#include "str.h"

void reply_family_headers(struct http_headers *out, struct arena *a,
                          const struct http_headers *upstream, enum protocol client,
                          int64_t now_ms);

/* "6m0s", "120ms", "1.5s", "1h2m3s", "7" (seconds); false for anything else. */
bool reply_family_duration(struct str text, int64_t *ret_ms);

#endif

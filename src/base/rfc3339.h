/*
 * rfc3339.h - times as text in UTC: 2026-10-21T07:28:00Z.
 */
#ifndef RFC3339_H
#define RFC3339_H

#include <stdbool.h>
#include <stdint.h>

#include "str.h"

enum { RFC3339_BYTES = 32 };

/* Seconds since 1970; fractions are cut.  False for anything else, a zone but Z and +00:00. */
bool rfc3339_read(struct str text, int64_t *ret_unix_s);
struct str rfc3339_write(int64_t unix_s, char room[RFC3339_BYTES]);

#endif

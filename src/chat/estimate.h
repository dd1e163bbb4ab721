/*
 * estimate.h - how many tokens a request is, when nobody can be asked (C7.3 of protocols.md).
 *
 * Contract
 *   Input      a decoded request; not changed.
 *   Output     rounded up; never 0, as a request has at least one message's worth.
 *   Exactness  within 15 % of the tokenizers in docs/conversion.md on texts of some KB, in English,
 *              Chinese and code.  C7.3's own formula (ASCII bytes / 4 + others / 1.5) is off
 *              by up to 33 % there, so texts are counted as tokenizers cut them: into words,
 *              groups of digits, runs of marks and of white space.
 *   Cost       linear, no allocation.
 */
#ifndef ESTIMATE_H
#define ESTIMATE_H

#include <stdint.h>

#include "chat.h"
#include "str.h"

int64_t estimate_request(const struct chat_request *r);

/* Thousandths of a token.  escaped: as in struct text; otherwise backslashes are themselves. */
int64_t estimate_text_milli(struct str s, bool escaped);

#endif

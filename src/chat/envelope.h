/*
 * envelope.h - opaque reasoning in another protocol's clothes (0.7 of protocols.md).
 *
 *     ccp1.<kind>.<base64url of a JSON object>
 *
 * Contract
 *   Output     deterministic; a text in the arena.
 *   Input      any text; never trusted.
 */
#ifndef ENVELOPE_H
#define ENVELOPE_H

#include "codec.h"

/* The envelope of a proof as this upstream made it; empty when there is nothing to carry. */
struct text envelope_wrap(struct convert *c, struct arena *a, const struct chat_proof *proof);
/* What a client sent back: an envelope is opened into *ret (kind NONE when it is broken); anything
 * else is a native value of the client's own protocol and leaves *ret as it is.  True: it was an
 * envelope. */
bool envelope_open(struct convert *c, struct arena *a, struct text value, struct chat_proof *ret);
/* May this proof go to the upstream: made by it, for its protocol?  Warns once per request when
 * not (dropped:reasoning); *ret_may says it. */
int envelope_may_send(struct convert *c, const struct chat_proof *proof, bool *ret_may) MUST_CHECK;

#endif

/*
 * fold.h - makes one JSON reply of an event stream, for clients that did not ask for a
 * stream while the upstream sends one (`force_stream`).
 *
 * Contract
 *   Input      whole or cut SSE bytes of a messages or responses stream.
 *   Output     fold_result(): the message or response object that a plain request would have
 *              got; text joined, tool input put together, usage merged as A and R say
 *              (protocols.md B1, B3).
 *   Errors     E_UPSTREAM_STREAM when the stream ended before its terminal event;
 *              E_UPSTREAM_EVENT over limit_bytes and for malformed events.  An error event in the
 *              stream is E_UPSTREAM_STREAM at once, and fold_error() gives its type and message,
 *              and the HTTP status that fits.  Sticky.
 *   Limits     limit_bytes for everything kept; 16,384 content blocks or output items, 256
 *              members in each object that is looked into.
 *   Cost       linear in the stream.
 *   Ownership  fold_error()'s texts live until fold_free().
 */
#ifndef FOLD_H
#define FOLD_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "buf.h"
#include "must.h"
#include "protocol.h"
#include "str.h"

struct fold;

struct fold *fold_new(enum protocol protocol, size_t limit_bytes);
int fold_feed(struct fold *f, struct str bytes) MUST_CHECK;
int fold_end(struct fold *f) MUST_CHECK; /* the stream is over: 0 when there is a result */
void fold_result(struct fold *f, struct buf *out); /* only after fold_end() gave 0 */
/* True when the stream held an error event. */
bool fold_error(const struct fold *f, int *ret_status, struct str *ret_type,
                struct str *ret_message);
void fold_free(struct fold *f); /* takes NULL */

#endif

/*
 * completions_calls.h - the tool calls of a Chat upstream's reply, put together from whatever
 * backends send (B2 of protocols.md): by index, id or name, in any order, whole or in pieces.
 *
 * Contract
 *   Output     PART_START when a call has its name and its id (or, when another call goes on,
 *              its name), then its pieces; several may be open.  All are stopped by
 *              completions_calls_finish().
 *   Memory     the pieces of a call that has not begun, within the reply's limit.
 */
#ifndef COMPLETIONS_CALLS_H
#define COMPLETIONS_CALLS_H

#include "codec.h"

struct completions_call;

struct completions_calls {
    struct completions_call *first, *last, *current;
    unsigned count;
};

/* One entry of tool_calls.  place: of a whole message, where each entry is a call of its own even
 * when two have the same id; -1 in a delta, whose entries name their call. */
int completions_calls_feed(struct convert *c, struct completions_calls *calls,
                           struct json_node *entry, int64_t place) MUST_CHECK;
/* The legacy function_call. */
int completions_calls_feed_legacy(struct convert *c, struct completions_calls *calls,
                                  struct json_node *function) MUST_CHECK;
/* Are the arguments of all calls complete JSON? */
bool completions_calls_complete(const struct completions_calls *calls);
/* cut: the reply was broken off, so incomplete arguments are too.  cut_last: within the last call.
 * May be called again, for calls that came later. */
int completions_calls_finish(struct convert *c, struct completions_calls *calls, bool cut,
                             bool cut_last) MUST_CHECK;
void completions_calls_done(struct completions_calls *calls);

#endif

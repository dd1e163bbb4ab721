/*
 * messages_reply.h - the pieces that streams and whole replies to Messages clients share.
 */
#ifndef MESSAGES_REPLY_H
#define MESSAGES_REPLY_H

#include "codec.h"

/* How a piece of reasoning is shown to a Messages client (0.7, C3.3, C3.5). */
struct messages_reasoning {
    bool shown;         /* else it is left out */
    bool redacted;      /* as redacted_thinking: there is nothing to read */
    struct text opaque; /* its data, or the signature; empty: none */
};
struct messages_reasoning messages_reasoning_of(struct convert *c, struct arena *a,
                                                const struct chat_proof *proof, bool has_text);

/* An object of the three input counters and the output. */
void messages_write_usage(struct json_out *o, const struct event_usage *u);

struct messages_stop {
    enum stop_reason reason;
    struct text sequence, explanation;
    struct str category;
};
/* Members stop_reason, stop_sequence and, of a refusal or when `whole`, stop_details. */
void messages_write_stop(struct json_out *o, const struct messages_stop *stop, bool whole);

/* Members type, id, name of a search that the vendor ran, and its id for the result. */
struct str messages_search_id(struct arena *a, struct str call_id, struct str item_id);
void messages_write_search(struct json_out *o, struct str id);
void messages_write_search_result(struct json_out *o, struct str id);

#endif

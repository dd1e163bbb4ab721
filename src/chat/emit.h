/*
 * emit.h - between a reply's decoder and its encoder.
 *
 * What all pairs share happens here, once: characters that deltas cut are joined; names
 * and kinds of calls become what the client declared, arguments are reshaped when the kind differs
 * (C1.7); ids get the client's prefix and are made when missing (C1.4, C1.12); the model is written
 * back; usage is merged; the grammar of event.h is checked.
 *
 * Contract
 *   Errors     what emit() returns below 0 must be passed up by the decoder.
 */
#ifndef EMIT_H
#define EMIT_H

#include "codec.h"

/* Gives one event to the client's side. */
int emit(struct convert *c, const struct chat_event *ev) MUST_CHECK;
/* Shorter ways to give the commonest ones. */
/* START of an object with `id`, `model` and `service_tier`; created names its time. */
int emit_start(struct convert *c, struct json_node *object, struct str created) MUST_CHECK;
int emit_part(struct convert *c, enum part_kind kind, uint32_t *ret_part) MUST_CHECK;
int emit_delta(struct convert *c, uint32_t part, struct str raw_inside) MUST_CHECK;
int emit_text(struct convert *c, uint32_t part, struct str raw_inside, struct str logprobs)
    MUST_CHECK; /* a delta with the probabilities of its tokens; logprobs may be empty */
int emit_stop(struct convert *c, uint32_t part, const struct chat_proof *proof, bool cut)
    MUST_CHECK; /* proof may be NULL */
int emit_end(struct convert *c) MUST_CHECK;
/* Something came that ends the wait of C4.0; parts and the finish do by themselves. */
void emit_begin(struct convert *c);
/* The reason of the finish has come, though FINISH waits for what may still follow; silence now
 * ends the reply (convert_idle). */
void emit_finish_known(struct convert *c);
/* The upstream says that it failed. */
int emit_error(struct convert *c, int status, struct str type, struct str code, struct str message)
    MUST_CHECK;
/* The number that the next PART_START must carry. */
uint32_t emit_next_part(const struct convert *c);

/* For encoders: adds one SSE event to c->out around the JSON in `json`, and empties that.  type
 * empty: no event: line. */
void emit_sse(struct convert *c, struct str type, struct buf *json);

/* `upstream_id` without its own prefix, behind another (C1.12); c->options.reply_id when empty. */
struct str emit_make_id(struct convert *c, struct str prefix, struct str upstream_id);

#endif

/*
 * responses_object.h - the response object and its items; shared by the stream and the plain
 * reply of responses_write.c and responses_object.c.
 *
 * An item is a run of neighbouring text and refusal parts (one message), or one other part.  Of a
 * message each run of pieces of one kind is one content part: upstreams of Messages cut a text at
 * every citation, clients of Responses must not see that.
 *
 * Contract
 *   Ownership  items live in c->arena and point into the struct reply they were made from.
 *   Indices    are given when an item is emitted, so that hidden ones leave no gap.
 */
#ifndef RESPONSES_OBJECT_H
#define RESPONSES_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "codec.h"

struct responses_piece {
    struct responses_piece *next;
    const struct reply_part *part; /* of kind TEXT or REFUSAL */
};

/* HIDDEN -> SHOWN [output_item.added] -> DONE [output_item.done] */
enum responses_state { RESPONSES_HIDDEN, RESPONSES_SHOWN, RESPONSES_DONE };

struct responses_item {
    struct responses_item *next; /* in the order of output_index */
    enum responses_state state;
    uint32_t index;
    struct str id;
    bool message, cut;
    bool closing;                          /* a message that ends with its open part */
    const struct reply_part *part;         /* not a message */
    struct responses_piece *pieces, *last; /* a message */
    struct text refusal;                   /* a message made up because there was none */
    /* of a message's content part at hand, while it is streamed */
    bool content_open;
    uint32_t content_index, annotation_index;
    size_t chars; /* in it so far */
};

struct responses_output {
    struct responses_item *items, *last; /* the emitted ones */
    uint32_t count;
};

/* in_progress: nothing of it is shown yet; else as it stands, completed or incomplete. */
enum responses_status { RESPONSES_IN_PROGRESS, RESPONSES_COMPLETED, RESPONSES_INCOMPLETE };

bool responses_hides(const struct convert *c, const struct reply_part *p);
bool responses_is_text(const struct reply_part *p);
/* May p, a text or refusal, continue the message? */
bool responses_continues(const struct responses_item *message, const struct reply_part *p);
struct responses_item *responses_item_new(struct convert *c, const struct reply_part *p);
void responses_item_add(struct convert *c, struct responses_item *message,
                        const struct reply_part *p);
/* Gives it its index and id, and puts it at the output's end. */
void responses_item_emit(struct convert *c, struct responses_output *out,
                         struct responses_item *it);

/* A message's content part that begins with the piece, or its made-up refusal when piece is NULL;
 * gives where the next one begins. */
const struct responses_piece *responses_content_write(struct convert *c, struct json_out *o,
                                                      const struct responses_item *it,
                                                      const struct responses_piece *piece);
/* The texts of a run of pieces of one kind as one JSON string. */
void responses_run_write(struct json_out *o, const struct responses_piece *piece);
/* `logprobs` of the same run, a member. */
void responses_run_logprobs(struct json_out *o, const struct responses_piece *piece);
/* One citation of a part that begins after `before` characters of its content part. */
void responses_annotation_write(struct json_out *o, const struct reply_part *p,
                                const struct reply_citation *citation, size_t before);
void responses_item_write(struct convert *c, struct json_out *o, const struct responses_item *it,
                          enum responses_status status);

/* The whole object.  status: in_progress, completed, incomplete, failed.  error: or NULL. */
void responses_object_write(struct convert *c, struct json_out *o, const struct reply *reply,
                            const struct responses_output *out, struct str status,
                            const struct event_error *error);

/* completed or incomplete (C1.13). */
struct str responses_status_of(const struct reply *reply);
/* What to say when the model declined and gave no text. */
struct text responses_declined(const struct reply *reply);
#endif

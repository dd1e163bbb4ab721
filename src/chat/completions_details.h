/*
 * completions_details.h - collects reasoning_details of a Chat upstream's stream (A2.9).
 *
 * Contract
 *   Input      entries in the order they came; pieces of one text or summary come as entries of
 *              their own.
 *   Output     one array with whole entries, as a client is to return them.
 *   Limits     those of the bufs; what is over the limit sets overflow.
 */
#ifndef COMPLETIONS_DETAILS_H
#define COMPLETIONS_DETAILS_H

#include "codec.h"

struct completions_details {
    struct buf entries; /* whole ones, with commas between */
    bool open;          /* one is being put together */
    bool is_summary;
    int64_t index;
    struct buf head; /* its other members, each with a comma before it */
    struct buf text, signature;
    struct text_held half; /* of a character, behind text */
};

void completions_details_init(struct completions_details *d, size_t limit_bytes);
void completions_details_done(struct completions_details *d);
int completions_details_add(struct convert *c, struct completions_details *d,
                            struct json_node *entry) MUST_CHECK;
/* The array so far, in c->temp, and begins anew; empty when there was none. */
struct str completions_details_take(struct convert *c, struct completions_details *d);

/* An entry's readable text. */
struct json_node *completions_details_text(struct convert *c, struct json_node *entry);

#endif

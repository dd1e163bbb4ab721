/*
 * completions_think.h - splits a leading <think>..</think> off a text (C3.3, A2.9), for local
 * models that write their reasoning into `content`.
 *
 * Contract
 *   Input      the text in pieces, any split; plain bytes.
 *   Output     pieces of reasoning and of text, in order, by the callback; never empty.
 *   Memory     what may be the beginning of a tag: a few bytes.
 *   Errors     what the callback returns below 0.
 */
#ifndef COMPLETIONS_THINK_H
#define COMPLETIONS_THINK_H

#include <stdbool.h>

#include "must.h"
#include "str.h"

/* BEFORE → INSIDE [<think> read] → BEHIND [</think> read] → AFTER [first visible byte]
 * BEFORE → AFTER [it begins with anything else] */
enum think_state { THINK_BEFORE, THINK_INSIDE, THINK_BEHIND, THINK_AFTER };

struct think {
    enum think_state state;
    unsigned matched; /* bytes of the tag at hand */
    char blanks[8];   /* white space before a tag that may yet not come */
    unsigned blank_count;
};

typedef int think_on_piece(void *ctx, bool reasoning, struct str piece);

int think_feed(struct think *t, struct str piece, think_on_piece *on_piece, void *ctx) MUST_CHECK;
/* The text is over: gives what was held. */
int think_end(struct think *t, think_on_piece *on_piece, void *ctx) MUST_CHECK;

#endif

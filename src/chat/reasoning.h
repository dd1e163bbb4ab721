/*
 * reasoning.h - how much to think, from one protocol's words to another's (C1.8).
 *
 * Contract
 *   Input      c->request.reasoning, c->profile.
 */
#ifndef REASONING_H
#define REASONING_H

#include "codec.h"

/* For Messages upstreams. */
struct reasoning_messages {
    enum chat_thinking thinking; /* ABSENT: send none */
    int64_t budget_tokens;       /* BUDGET */
    bool summarized;             /* display:"summarized" */
    enum chat_effort effort;     /* output_config.effort; ABSENT: none */
    bool active;                 /* the model will think */
};
/* max_tokens: what is sent.  *choice becomes AUTO when it forces a tool, the model cannot think and
 * be forced, and the client asked for thinking. */
int reasoning_for_messages(struct convert *c, int64_t max_tokens, struct chat_tool_choice *choice,
                           struct reasoning_messages *ret) MUST_CHECK;
/* For Chat and Responses upstreams: ABSENT when nothing is to be sent. */
int reasoning_for_openai(struct convert *c, enum chat_effort *ret) MUST_CHECK;

/* temperature and top_p as the upstream takes them (C1.14), raw; empty: not sent, or passed on by
 * params_encode(). */
struct reasoning_sampling {
    struct str temperature, top_p;
};
int reasoning_sampling(struct convert *c, bool thinking_active, struct reasoning_sampling *ret)
    MUST_CHECK;

/* The limit to send to a Messages upstream (C1.9), always one; to the others -1 when absent. */
int reasoning_max_tokens(struct convert *c, int64_t *ret) MUST_CHECK;

#endif

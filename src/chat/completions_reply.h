/*
 * completions_reply.h - the pieces that chunks and whole replies to Chat clients share.
 */
#ifndef COMPLETIONS_REPLY_H
#define COMPLETIONS_REPLY_H

#include "codec.h"

/* What a refused client reads when the upstream gave no reason (C1.13). */
extern const struct text completions_refusal;

/* The entries of reasoning_details for one finished piece of reasoning, into an open array.
 * index: the piece's number.  a: for what has to be read out of an item. */
void completions_write_details(struct json_out *o, struct arena *a, const struct chat_proof *proof,
                               uint32_t index);
bool completions_has_details(const struct chat_proof *proof);

/* One url_citation; places in characters of `content`. */
void completions_write_annotation(struct json_out *o, struct text url, struct text title,
                                  int64_t from, int64_t to);

/* What `logprobs` of a choice looks like around the entries; the caller adds these. */
void completions_logprobs_begin(struct json_out *o);
void completions_logprobs_end(struct json_out *o);

/* An object's first members, up to the inside of `choices`. */
void completions_write_head(struct json_out *o, struct str id, struct str object, int64_t created,
                            struct str model);
/* The only choice, up to the inside of what `content` names. */
void completions_write_choice(struct json_out *o, struct str content);

bool completions_has_usage(const struct event_usage *u);
void completions_write_usage(struct json_out *o, const struct event_usage *u);

struct str completions_finish_reason(const struct convert *c, enum stop_reason stop);
struct str completions_service_tier(struct str upstream_word);

/* What stands between two texts of a kind that become one string: Messages cuts one text into
 * blocks, Responses' items are texts of their own (C3.1, C3.6). */
struct text completions_gap(enum part_kind kind, bool own_item);

#endif

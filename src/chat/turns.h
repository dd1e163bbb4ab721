/*
 * turns.h - brings a conversation into the order that every upstream takes.
 *
 * Afterwards: neighbouring ASSISTANT messages are one; behind an ASSISTANT message with calls comes
 * one TOOL message with a result for each, in the order in which they came; ids are legal for the
 * upstream and unique (C1.4); results know the kind of their call; empty texts and empty
 * messages are gone (C1.2); there is a user message.
 *
 * Contract
 *   Repairs    C2.3 (6): the last of two results for one call wins, at the first's place; a result
 *              that nobody called for becomes a user text; a call without a result, when a later
 *              message exists, gets "(no result)" with is_error.  Each warned about.
 *   Order      of an ASSISTANT message's blocks: as received when it holds reasoning that goes to
 *              this upstream, else texts first and calls last (Messages upstreams only).
 *   Cost       linear in the conversation (calls are found by hash).
 */
#ifndef TURNS_H
#define TURNS_H

#include "codec.h"

int turns_normalize(struct convert *c) MUST_CHECK;

/* fix(id): legal for the upstream (C1.4), a function of the id alone. */
struct str turns_fix_id(struct arena *a, struct str id, enum protocol upstream);
bool turns_id_legal(struct str id, enum protocol upstream);
/* Made of a reply's id and the call's number: call_ + 24 hex digits. */
struct str turns_make_id(struct arena *a, struct str reply_id, uint32_t index);

#endif

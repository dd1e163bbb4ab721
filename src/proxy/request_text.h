/*
 * request_text.h - the texts of a request that conditions and session identifiers
 * look at (docs/adapters.md sections 3 and 6).
 *
 * Contract
 *   Input      r->edit may be NULL: every text is empty then.
 *   Ownership  results live in r->arena.
 */
#ifndef REQUEST_TEXT_H
#define REQUEST_TEXT_H

#include <stdbool.h>

#include "adapter.h"
#include "str.h"

struct str request_system_text(struct adapter_request *r);
/* C of section 6: what names the conversation. */
struct str request_conversation(struct adapter_request *r);

/* The list of messages or, for responses, of items; NULL when it is not a list. */
struct json_node *request_turns(struct adapter_request *r);
bool request_role_is_system(struct json_edit *e, struct json_node *message); /* or developer */

#endif

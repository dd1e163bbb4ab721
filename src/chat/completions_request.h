/*
 * completions_request.h - requests of Chat Completions: the parts of their decoder and encoder.
 *
 * Contract
 *   Input      decode: `messages` of the client's body.  encode: c->request after
 *              turns_normalize() and tools_prepare().
 *   Errors     E_BAD_REQUEST by convert_reject(); what convert_warn() returns is passed up.
 */
#ifndef COMPLETIONS_REQUEST_H
#define COMPLETIONS_REQUEST_H

#include "codec.h"

/* Adds the messages to c->request. */
int completions_decode_messages(struct convert *c, struct json_node *messages) MUST_CHECK;
/* cache_control of Anthropic, as gateways take it, or prompt_cache_breakpoint. */
enum chat_cache completions_cache(struct convert *c, struct json_node *object);

/* Writes the member `messages`.  note: goes to the end of the system text; may be empty. */
int completions_encode_messages(struct convert *c, struct json_out *o, struct text note) MUST_CHECK;

#endif

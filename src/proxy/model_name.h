/*
 * model_name.h - the client's name of a model, put back into replies of an upstream that was
 * asked for it under another one and speaks the client's protocol (EW5 of protocols.md).
 *
 * Contract
 *   Output     the bytes of the one value that names the model are replaced; every other byte is
 *              as it was: other members of that name, comments, line ends, what is no JSON.
 *   Where      a body: the top-level member.  Events: message.model (Messages), the top-level
 *              member (Chat Completions), response.model (Responses).
 *   Limits     an event whose JSON is spread over several data lines is left alone; no
 *              vendor sends such.
 *   raw_name   a JSON string with its quotes.
 */
#ifndef MODEL_NAME_H
#define MODEL_NAME_H

#include "buf.h"
#include "protocol.h"
#include "str.h"

void model_name_in_body(struct str body, struct str raw_name, struct buf *out);
/* Whole lines; the last one may lack its end. */
void model_name_in_events(enum protocol p, struct str events, struct str raw_name, struct buf *out);

#endif

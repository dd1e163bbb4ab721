/*
 * member.h - members of objects of the document at hand (c->doc), for short decoders.
 *
 * Contract
 *   Null       a member that is null counts as absent (0.4 of protocols.md).
 *   Node NULL  gives absent.
 *   Ownership  texts are slices of the document or live in c->temp.
 */
#ifndef MEMBER_H
#define MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "codec.h"

struct json_node *member_node(struct convert *c, struct json_node *object, struct str name);
/* Empty when absent or no string. */
struct str member_str(struct convert *c, struct json_node *object, struct str name);
struct text member_text(struct convert *c, struct json_node *object, struct str name);
/* The inside of the string as it stands there, for event_delta.raw. */
struct str member_inside(struct convert *c, struct json_node *object, struct str name);
/* One value as text, without white space between its tokens; empty when absent. */
struct str member_raw(struct convert *c, struct json_node *object, struct str name);
/* The same of an array that has elements; empty otherwise. */
struct str member_elements(struct convert *c, struct json_node *object, struct str name);
bool member_is(struct convert *c, struct json_node *object, struct str name, struct str value);
bool member_true(struct convert *c, struct json_node *object, struct str name);
enum chat_tri member_tri(struct convert *c, struct json_node *object, struct str name);
/* Replies: fractions cut, negative 0, -1 when absent or no number (EW3.9). */
int64_t member_i64(struct convert *c, struct json_node *object, struct str name);

/* Begins a walk over a list of the client's body (json_edit.h).  For convert_explain() its nodes
 * stay. */
void member_walk(struct convert *c, struct json_node *list, struct json_walk *w);

/* Requests: 400 that names path.name when it is there and of another type. */
int member_need(struct convert *c, struct json_node *object, struct str name, enum json_type type,
                struct str path, struct json_node **ret) MUST_CHECK; /* *ret NULL: absent */

#endif

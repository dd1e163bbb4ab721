/*
 * edit.h - small steps on a body that several ops share.
 *
 * Contract
 *   Result     functions that edit tell whether the bytes changed.
 *   Absent     a NULL node, or null.
 */
#ifndef EDIT_H
#define EDIT_H

#include <stdbool.h>

#include "arena.h"
#include "json_edit.h"
#include "str.h"

bool edit_absent(const struct json_node *n);
bool edit_is_type(const struct json_node *n, enum json_type type); /* false for NULL */
bool edit_is_text(struct json_edit *e, struct json_node *n, struct str text);
struct json_node *edit_member(struct json_edit *e, struct str name); /* of the root */
/* A member that is a string; else the empty str. */
struct str edit_text(struct json_edit *e, struct json_node *object, struct str name);

bool edit_replace(struct json_edit *e, struct json_node *n, struct str raw);
/* Every member of that name, so that no duplicate comes to light. */
bool edit_remove_named(struct json_edit *e, struct json_node *object, struct str name);

/* {"type":"text","text":...}, with a cache mark when asked. */
struct str edit_text_block(struct arena *a, struct str raw_string, bool cache);

#endif

/*
 * json_node.h - the tree behind json_edit.h; for the files of json_edit only.
 *
 * A container whose children are known is written as
 *
 *     {  sep name mid raw  sep name mid raw ...  tail  }
 *
 * and all these pieces are slices of the original text until an edit replaces one.
 * `sep` is what stands before a child: white space, and in all but the first child the
 * comma.  So a removal is an unlink, and a piece that no edit names cannot change.
 *
 * Contract
 *   Stale      a stale node has stale ancestors up to its root; its children are known.
 *              While it is stale its raw means nothing.
 *   Removed    a removed node has no parent, but keeps `next` for loops that remove.
 */
#ifndef JSON_NODE_H
#define JSON_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "json_edit.h"
#include "str.h"

struct json_node {
    struct json_node *parent, *next, *prev, *first, *last;
    struct str sep;
    struct str name; /* with its quotes; empty in an array */
    struct str mid;  /* the colon and its white space */
    struct str raw;  /* the value */
    struct str tail; /* of a container: the white space before its end */
    uint8_t type;    /* enum json_type */
    bool indexed;    /* children are known */
    bool stale;      /* children say something else than raw */
    bool noted, has_noted;
    uint16_t depth;
};

struct json_node *json_node_new(struct json_edit *e, struct json_node *parent);
void json_node_link(struct json_node *n, bool front); /* into its parent's list */
void json_node_unlink(struct json_node *n);           /* out of it; clears parent */
void json_node_set_raw(struct json_node *n, struct str raw);
void json_node_index(struct json_edit *e, struct json_node *n); /* finds the children, once */
struct str json_unescape(struct arena *a, struct str quoted);   /* a slice when it can be */

#endif

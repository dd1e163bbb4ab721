/*
 * json_edit.h - edits of JSON text that leave every other byte as it was.
 *
 * A lazy tree over the original text: a node knows the span of its value; its
 * children are found when somebody asks for them.  Edits mark nodes; the new text
 * is put together once, at the end, from original spans and new values.
 *
 * Contract
 *   Input      text that json_parse() has accepted.  It must outlive the tree.
 *   Ownership  nodes and new texts live in the arena given at init.
 *   Bytes      what no edit touched is copied byte for byte: order, white space,
 *              number text, escapes, duplicate members.  Removing a member takes its
 *              comma and the white space in front of it along; adding one writes ,"name":value
 *              without white space.  json_edit_text() is the original pointer when
 *              the bytes are the same.
 *   Names      are compared after unescaping.  Of duplicate members the last one counts.
 *   Values     "raw" is one valid JSON value as text, copied by the callee.
 *   Removed    a node that was removed, or was inside a replaced value, may still be
 *              looked at; its edits have no effect.  json_next() of a removed node is what
 *              followed it when it went, so a loop may remove the node it is at.
 *   Cost       a look at a node's children is linear in that node's text, once; walking a
 *              whole tree is linear too.  Memory: a node of 128 bytes per child of what was
 *              looked into, and below depth 16 per value; a walk keeps none.  [1,1,1... has a
 *              value every two bytes: an arena that must not abort needs a limit of 64 times the
 *              text.
 *   Depth      no recursion in proportion to the text's depth.
 */
#ifndef JSON_EDIT_H
#define JSON_EDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "must.h"
#include "str.h"

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_node;

struct json_edit {
    struct arena *arena; /* of texts */
    struct arena *nodes; /* the same, but during a walk */
    struct str text;
    struct json_node *root;
    unsigned eager; /* containers down to this depth are looked into by the first look, in one
                     * pass; for who reads the whole text.  0 after init */
    unsigned eager_objects; /* likewise, of objects only; a walk's */
    bool changed;
    struct json_node *spare; /* allocated, not used */
    unsigned spare_n;
};

void json_edit_init(struct json_edit *e, struct arena *a, struct str text);
bool json_edit_changed(const struct json_edit *e); /* also true after edits that undo one another */
struct str json_edit_text(struct json_edit *e);    /* the whole text with all edits */

struct json_node *json_root(struct json_edit *e);
enum json_type json_type(const struct json_node *n);
struct str json_raw(struct json_edit *e,
                    struct json_node *n); /* the value's text, edits included */
struct str json_string(struct json_edit *e,
                       struct json_node *n); /* unescaped; empty when not a string */
bool json_is_true(const struct json_node *n);
bool json_number(const struct json_node *n,
                 double *ret_x); /* false when not a number; infinite when too large */

/* Children; NULL when there is none (or n is NULL or has no children). */
struct json_node *json_find(struct json_edit *e, struct json_node *object, struct str name);
struct json_node *json_first(struct json_edit *e, struct json_node *container);
struct json_node *json_last(struct json_edit *e, struct json_node *container);
struct json_node *json_next(struct json_node *n);
struct json_node *json_parent(struct json_node *n);
struct str json_name(struct json_edit *e, struct json_node *n); /* of a member, unescaped */
size_t json_count(struct json_edit *e, struct json_node *container);

/* Goes over a long array for who keeps texts and no nodes: a child, and all below it, is there
 * until the next one is asked for.  Children that are known already stay.  Walks may be nested;
 * nothing may be edited meanwhile. */
struct json_walk {
    struct json_edit *edit;
    struct json_node *list;
    struct json_node *child; /* the one that was given, if it stays */
    const char *p;           /* what follows it, if it does not; NULL: they are known */
    struct arena own;        /* nodes of the child at hand */
    struct json_edit outer;  /* what is given back at the end */
};

/* list: NULL or no array has no children. */
void json_walk_begin(struct json_walk *w, struct json_edit *e, struct json_node *list);
struct json_node *json_walk_next(struct json_walk *w); /* NULL: there is no further one */
void json_walk_done(struct json_walk *w);              /* at any time, once */

/* A sign on a node, for who wants to know later what was looked at. */
void json_note(struct json_node *n);
bool json_noted(const struct json_node *n);
bool json_has_noted(const struct json_node *n); /* does a child carry it */

/* Edits.  Those that make a node return it, or NULL (and do nothing) when the container is
 * NULL or of another type. */
struct json_node *json_set(struct json_edit *e, struct json_node *object, struct str name,
                           struct str raw); /* replaces the value or appends the member */
/* A new member of an object, whose value is not copied: a text of this tree, perhaps a long one. */
struct json_node *json_add_kept(struct json_edit *e, struct json_node *object, struct str name,
                                struct str raw);
struct json_node *json_append(struct json_edit *e, struct json_node *array, struct str raw);
struct json_node *json_prepend(struct json_edit *e, struct json_node *array, struct str raw);
struct json_node *json_prepend_member(struct json_edit *e, struct json_node *object,
                                      struct str name, struct str raw);
void json_replace(struct json_edit *e, struct json_node *n, struct str raw);
void json_remove(struct json_edit *e, struct json_node *n); /* not the root */
void json_rename(struct json_edit *e, struct json_node *member, struct str name);

/* RFC 6901.  No '*' here; '-' is the last element.  NULL when missing or malformed. */
struct json_node *json_at(struct json_edit *e, struct str pointer);
/* Takes the next token off *rest ("/a/b" gives "a"), unescaped (~0 ~1). False at the end. */
bool json_pointer_next(struct str *rest, struct arena *a, struct str *ret_token);

/* Equality of two JSON texts as values: numbers by value, member order ignored when
 * !ordered, and of duplicate members the last one counts.  Linear, but for sorting. */
bool json_equal(struct str raw_a, struct str raw_b, bool ordered);

#endif

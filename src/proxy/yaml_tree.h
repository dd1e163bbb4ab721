/*
 * yaml_tree.h - a YAML text as a tree whose nodes know where they stand.
 *
 * Contract
 *   Input      one document: mappings with scalar keys, sequences, scalars.  Anchors, aliases,
 *              tags, a key twice in one mapping, control characters and a second document are
 *              errors.
 *   Output     an empty document gives a root of kind YAML_TREE_NONE, as does a plain value that
 *              is empty, ~ or null.  Other scalars are text: it is the reader who wants a number.
 *   Ownership  everything lives in the arena.
 *   Limits     YAML_TREE_DEPTH_MAX levels, YAML_TREE_NODES_MAX nodes.
 *   Errors     -EINVAL; ret_fault says where and why.
 */
#ifndef YAML_TREE_H
#define YAML_TREE_H

#include <stddef.h>

#include "arena.h"
#include "must.h"
#include "str.h"

enum { YAML_TREE_DEPTH_MAX = 16, YAML_TREE_NODES_MAX = 10000 };

enum yaml_tree_kind { YAML_TREE_NONE, YAML_TREE_TEXT, YAML_TREE_LIST, YAML_TREE_MAP };

struct yaml_place {
    size_t line, column; /* from 1 */
};

struct yaml_tree {
    enum yaml_tree_kind kind;
    struct str text;         /* TEXT */
    struct str key;          /* in a mapping */
    struct yaml_place place; /* in a mapping: of the key, as that is where a reader looks */
    struct yaml_tree *next;
    struct yaml_tree *first, *last; /* LIST, MAP */
};

struct yaml_fault {
    struct yaml_place place;
    const char *reason; /* static */
};

int yaml_tree_read(struct arena *a, struct str text, const struct yaml_tree **ret_root,
                   struct yaml_fault *ret_fault) MUST_CHECK;

/* The member called so, or NULL: also when it is NONE, or map is no mapping. */
const struct yaml_tree *yaml_tree_member(const struct yaml_tree *map, struct str key);

#endif

/*
 * pointer.h - JSON Pointers of the rules, with '*' and '-'.
 *
 * Contract
 *   Input      RFC 6901; in addition, on an array '*' means each element and
 *              '-' the last one.  On an object both are ordinary names.
 *   Ownership  tokens live in the arena given to pointer_parse().
 *   Limits     POINTER_TOKENS_MAX tokens.
 *   Errors     -EINVAL: malformed or too long.
 */
#ifndef POINTER_H
#define POINTER_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "json_edit.h"
#include "must.h"
#include "str.h"

enum { POINTER_TOKENS_MAX = 32 };

struct pointer {
    struct str *tokens;
    size_t n; /* 0: the root */
};

int pointer_parse(struct arena *a, struct str text, struct pointer *ret_p) MUST_CHECK;

/* Called for a node that a pointer names; may remove or replace that node. */
typedef bool pointer_fn(struct json_edit *e, struct json_node *n, void *arg);

/* pointer_any() stops at the first call that gives true, pointer_each() calls for
 * every node; both tell whether some call gave true. */
bool pointer_any(struct json_edit *e, const struct pointer *p, pointer_fn *fn, void *arg);
bool pointer_each(struct json_edit *e, const struct pointer *p, pointer_fn *fn, void *arg);

/* The element of an array that a token other than '*' names, or NULL. */
struct json_node *pointer_element(struct json_edit *e, struct json_node *array, struct str token);
bool pointer_is_index(struct str token);          /* "0", "12" */
struct str pointer_name(const struct pointer *p); /* the last token; not of the root */

#endif

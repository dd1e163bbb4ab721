/*
 * condition.h - the conditions of the rules: when an adapter matches, when an
 * action runs (docs/adapters.md section 3).
 *
 * Contract
 *   Reading    condition_parse() checks everything; `upstream` is refused unless
 *              in_when.  Results live in the loader's arena.
 *   Testing    condition_true() never fails and changes nothing but the memo of the
 *              body's tree.  A body that is not there makes its tests false and sets
 *              r->body_needed.
 *   Limits     CONDITION_DEPTH_MAX levels.
 */
#ifndef CONDITION_H
#define CONDITION_H

#include <stdbool.h>

#include "adapter.h"
#include "must.h"
#include "rule.h"

enum { CONDITION_DEPTH_MAX = 8 };

struct condition;

/* What a true condition rests on; bits. */
enum condition_basis { CONDITION_HEADER = 1, CONDITION_BODY = 2, CONDITION_ROUTE = 4 };

int condition_parse(struct rule_loader *l, struct json_node *n, bool in_when,
                    const struct condition **ret_c) MUST_CHECK;
/* ret_basis may be NULL; bits are added to it. */
bool condition_true(const struct condition *c, struct adapter_request *r, unsigned *ret_basis);

#endif

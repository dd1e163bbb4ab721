/*
 * action_read.h - values of actions' members that rule.h does not know.
 *
 * Contract
 *   Output     written to the out-parameter or into the action; texts live in l->arena.
 *   Errors     told by rule_fault(), at the member.
 */
#ifndef ACTION_READ_H
#define ACTION_READ_H

#include <stdbool.h>

#include "action.h"
#include "rule.h"

int action_read_number(struct rule_loader *l, struct json_node *n, struct str *ret_raw) MUST_CHECK;
int action_read_header_name(struct rule_loader *l, struct json_node *n, struct str *ret_name)
    MUST_CHECK;
int action_read_pointers(struct rule_loader *l, struct json_node *n, bool root_ok, struct action *a)
    MUST_CHECK;
int action_read_map(struct rule_loader *l, struct json_node *n, struct action *a) MUST_CHECK;
int action_read_tools(struct rule_loader *l, struct json_node *n, struct action *a) MUST_CHECK;
int action_read_tools_file(struct rule_loader *l, struct json_node *n, struct action *a) MUST_CHECK;
int action_read_text_file(struct rule_loader *l, struct json_node *n, struct str *ret_text)
    MUST_CHECK;

#endif

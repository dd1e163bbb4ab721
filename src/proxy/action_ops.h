/*
 * action_ops.h - what each op does; one function each, called through action.c's
 * table only, in files by theme.
 *
 * Contract
 *   Result     true when the request was changed.
 *   Body       ops that edit the body are only called with r->edit set.
 */
#ifndef ACTION_OPS_H
#define ACTION_OPS_H

#include <stdbool.h>

#include "action.h"
#include "config.h"

typedef bool op_fn(const struct action *a, struct adapter_request *r);

/* op_body.c: members by name */
op_fn op_set, op_remove, op_rename, op_clamp, op_coerce_bool, op_one_of, op_strip_keys,
    op_model_map, op_force_stream;

/* op_system.c: the operator's prompt */
op_fn op_system;

/* op_turns.c: messages and items */
op_fn op_hoist_system, op_drop_messages, op_map_roles, op_normalize_input, op_environment_context;
/* What op_environment_context() puts in front, made once at loading; empty when
 * CODEX_ENV_CONTEXT is not on. */
struct str op_environment_item(const struct config *c, struct arena *scratch, struct arena *keep);

/* op_thinking.c: the Messages API's own rules */
op_fn op_normalize_thinking, op_cache_control_last;
size_t op_cache_marks(struct adapter_request *r); /* breakpoints in tools, system, messages */

/* op_reasoning.c */
op_fn op_reasoning_defaults, op_lift_reasoning;

/* op_tools.c: tools and Chat Completions shapes */
op_fn op_chat_shapes, op_merge_tools;
/* What names a tool in any protocol; empty for the nameless. */
struct str op_tool_name(struct json_edit *e, struct json_node *tool);

/* op_header.c: headers, and where and how the request goes */
op_fn op_header_set, op_header_default, op_header_remove, op_header_token, op_upstream, op_raw,
    op_reject;

/* op_session.c */
op_fn op_session;

#endif

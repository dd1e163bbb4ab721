/*
 * action.h - one action of a rule: its reading and its row in the table of ops
 * (docs/adapters.md section 4).
 *
 * Contract
 *   Reading    action_parse() knows every op and member; files an action names are
 *              read here.  Results live in the loader's arena.
 *   Running    action_run() tells whether it changed the request.  It does
 *              nothing when the protocol, the body or `when` do not fit.
 */
#ifndef ACTION_H
#define ACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "adapter.h"
#include "condition.h"
#include "must.h"
#include "rule.h"

enum action_mode { ACTION_PREPEND, ACTION_APPEND, ACTION_REPLACE };
enum action_if { ACTION_ALWAYS, ACTION_ABSENT, ACTION_ABSENT_OR_NULL, ACTION_PRESENT };
enum action_place { ACTION_LAST, ACTION_FIRST };
enum action_conflict { ACTION_CLIENT, ACTION_FILE, ACTION_BOTH };
enum action_target { ACTION_USER_ID, ACTION_CACHE_KEY };

struct action_op;

struct action_tool {
    struct str raw;  /* JSON text */
    struct str name; /* empty: it has none */
};

/* The members of all ops; each op uses a few (the table in action.c says which). */
struct action {
    const struct action_op *op;
    const struct condition *when; /* NULL: always */
    struct str adapter;           /* the name of the adapter it belongs to */
    uint64_t given;               /* bits of the members that were there */

    int mode, if_, place, conflict, target, scope, window, protocol; /* indexes of choices */
    int status;
    bool cache, once, include_encrypted;
    struct str text, value, name, message, summary, ttl, role, equals;
    struct str raw;      /* JSON text: the value to set; the item to insert */
    struct str min, max; /* number texts */
    struct pointer path, to;
    struct str_list names, add, drop;
    struct pointer *paths;
    size_t paths_n;
    struct str_pair *map;
    size_t map_n;
    struct action_tool *tools;
    size_t tools_n;
};

int action_parse(struct rule_loader *l, struct json_node *n, struct str adapter,
                 struct action *ret_a) MUST_CHECK;
bool action_run(const struct action *a, struct adapter_request *r);

struct str action_name(const struct action *a); /* its op */
bool action_is_raw(const struct action *a);
bool action_is_reject(const struct action *a);
/* Will it use r->conversation in a request of this protocol? */
bool action_needs_conversation(const struct action *a, enum protocol protocol);

#endif

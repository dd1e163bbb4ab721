/*
 * adapter_set.h - the loaded rules: what adapter_load.c makes and adapter.c uses.
 *
 * Contract
 *   Ownership  everything lives in the set's arena.
 *   Order      v is sorted: by falling priority, then the file's adapters before the
 *              built-in ones, then by place; `default` is last.
 */
#ifndef ADAPTER_SET_H
#define ADAPTER_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "action.h"
#include "adapter.h"
#include "arena.h"
#include "condition.h"

enum { ADAPTERS_MAX = 256, ADAPTER_ACTIONS_MAX = 64, ADAPTER_DEFAULT_PRIORITY = -999 };

struct adapter {
    struct str name, version;
    int priority;
    unsigned services; /* bits of enum service */
    struct str_list aliases;
    const struct condition *match; /* NULL: by x-client-type only */
    struct action *actions;
    size_t actions_n;
    bool enabled;
    bool builtin;
};

struct adapter_set {
    struct arena arena;
    const struct adapter **v;
    size_t n;
};

/* As adapters_load(), with the text of the file given; path names it in messages and by
 * its ending chooses JSON or YAML.  A NULL text.p: the built-in rules alone. */
int adapters_parse(const struct config *config, struct str path, struct str text,
                   struct adapter_set **ret_set, struct buf *ret_error) MUST_CHECK;

#endif

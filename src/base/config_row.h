/*
 * config_row.h - the rows of config.def as a table, and the checks of one
 * value.  For config*.c and client_keys.c only.
 *
 * Contract
 *   Ownership  config_row_set() copies the text; the config owns the copy.
 *   Errors     -EINVAL with the reason alone added to `why`; the caller says
 *              where the value came from.  Secrets are never quoted.
 */
#ifndef CONFIG_ROW_H
#define CONFIG_ROW_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "config.h"
#include "must.h"
#include "str.h"

enum config_type {
    CONFIG_TYPE_STR,
    CONFIG_TYPE_SECRET,
    CONFIG_TYPE_INT,
    CONFIG_TYPE_BOOL,
    CONFIG_TYPE_SECONDS,
    CONFIG_TYPE_BYTES,
    CONFIG_TYPE_IGNORED
};

struct config_row {
    enum config_type type;
    size_t offset; /* of the field in struct config */
    const char *name, *alias, *initial;
    double min, max; /* numbers: the range; texts: min 1 when it cannot be empty */
};

const struct config_row *config_row(size_t i); /* i < CONFIG_COUNT */

/* The row called so, in any case, or CONFIG_COUNT.  ret_rank: how good the
 * spelling is; the main name beats the alias, exact beats another case. */
size_t config_row_find(struct str name, int *ret_rank);

/* Checks the text and stores it and its value in row i.  An empty text of a
 * type that has no empty value stores the default, and the result is 1. */
int config_row_set(struct config *c, size_t i, struct str text, struct buf *why) MUST_CHECK;

/* The rules that span several settings, and the derived members. */
int config_check(struct config *c, struct buf *ret_error) MUST_CHECK;
void config_derive(struct config *c);

/* Remembers a variable for config_text(); both are copied. */
void config_pair_add(struct config *c, struct str name, struct str value);

#endif

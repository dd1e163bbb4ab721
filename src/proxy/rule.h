/*
 * rule.h - typed, strict reading of the values in a rules file.
 *
 * Contract
 *   Errors     every function returns 0, or -EINVAL after adding one line
 *              "FILE: POINTER: what is wrong" to the loader's error buffer.
 *   Ownership  results live in loader.arena, the set's own.
 *   Limits     all texts and files of one set together: RULE_TEXT_MAX bytes.
 */
#ifndef RULE_H
#define RULE_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "buf.h"
#include "config.h"
#include "json_edit.h"
#include "must.h"
#include "pointer.h"
#include "str.h"

enum { RULE_TEXT_MAX = 32 << 20 };

struct rule_loader {
    const struct config *config;
    struct arena *arena;   /* what stays */
    struct json_edit tree; /* of the file; its arena dies after loading */
    struct str file;       /* its name, for messages */
    struct str prompt;     /* CLAUDE_SYSTEM_PROMPT_FILE's text; p NULL: not given */
    size_t text_left;      /* of RULE_TEXT_MAX */
    struct buf *error;
};

struct str_list {
    struct str *v;
    size_t n;
};

struct str_pair {
    struct str from, to;
};

int rule_fault(struct rule_loader *l, struct json_node *at, const char *fmt, ...) PRINTF_LIKE(3, 4)
    MUST_CHECK;

/* "unknown member", or "given twice" when a later member has the same name. */
int rule_once(struct rule_loader *l, struct json_node *member) MUST_CHECK;
int rule_object(struct rule_loader *l, struct json_node *n) MUST_CHECK;
int rule_array(struct rule_loader *l, struct json_node *n, size_t max) MUST_CHECK;

int rule_bool(struct rule_loader *l, struct json_node *n, bool *ret_b) MUST_CHECK;
int rule_int(struct rule_loader *l, struct json_node *n, int min, int max, int *ret_i) MUST_CHECK;
int rule_string(struct rule_loader *l, struct json_node *n, struct str *ret_s) MUST_CHECK;
int rule_strings(struct rule_loader *l, struct json_node *n, struct str_list *ret_list) MUST_CHECK;
int rule_pointer(struct rule_loader *l, struct json_node *n, bool root_ok, struct pointer *ret_p)
    MUST_CHECK;
/* The index of a string in a NULL-terminated list. */
int rule_choice(struct rule_loader *l, struct json_node *n, const char *const *choices, int *ret_i)
    MUST_CHECK;
int rule_raw(struct rule_loader *l, struct json_node *n, struct str *ret_raw) MUST_CHECK;

/* A string with every ${NAME} replaced. */
int rule_expanded(struct rule_loader *l, struct json_node *n, struct str *ret_s) MUST_CHECK;
/* The text of the file that a string (expanded) names; nothing named: the empty str,
 * and *ret_path is empty.  One line end at the end of the file is not part of it. */
int rule_file_text(struct rule_loader *l, struct json_node *n, struct str *ret_text,
                   struct str *ret_path) MUST_CHECK;
struct str rule_chomp(struct str s);

#endif

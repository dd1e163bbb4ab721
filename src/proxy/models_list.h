/*
 * models_list.h - lists of models: either vendor's into one, and several into the client's.
 *
 * Contract
 *   Output     one shape that satisfies both families (docs/adapters.md section 8.2).
 *   Ownership  a list owns its texts; models_list_done() frees them and takes an unread list.
 *   Limits     MODELS_LIST_MAX models of one list.
 */
#ifndef MODELS_LIST_H
#define MODELS_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "must.h"
#include "str.h"

enum { MODELS_LIST_MAX = 20000, MODELS_LIST_BYTES = 4 << 20 };

struct model {
    struct str id, display_name, owner;
    int64_t created;
};

struct models_list {
    struct arena arena;
    struct model *models;
    size_t n;
};

void models_list_init(struct models_list *l);
void models_list_done(struct models_list *l);
/* An upstream's reply; false when it is no list.  owner: of models that name none. */
bool models_list_read(struct models_list *l, struct str body, struct str owner) MUST_CHECK;
/* The setting MODELS: names with commas. */
void models_list_names(struct models_list *l, struct str names, struct str owner);
/* Which part of the list a client wants (A1.10): at most `limit` models behind `after`, or, when
 * that is empty, in front of `before`.  An id that is not in the list counts as not given. */
struct models_page {
    uint64_t limit; /* 0: all */
    struct str after, before;
};
/* Of a query ("?limit=20&after_id=x").  Other members, and what is no number, are ignored. */
void models_page_read(struct models_page *p, struct str query, struct arena *a);
/* One reply of several lists; of models with the same id the first. */
void models_list_write(const struct models_list *const *lists, size_t n,
                       const struct models_page *page, struct buf *out);

#endif

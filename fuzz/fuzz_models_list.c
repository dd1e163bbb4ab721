/*
 * Lists of models.  The first line is a client's query, the rest an upstream's reply.
 * Invariants: what is written is a list that reads back as the same models, each id once; pages of
 * any size give all of them in order.
 */
#include <stddef.h>
#include <stdint.h>

#include "body_check.h"
#include "models_list.h"

enum { PAGES_MAX = 50 };

static void write_list(const struct models_list *l, const struct models_page *page,
                       struct models_list *ret)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    models_list_write(&l, 1, page, &out);
    body_check(buf_str(&out));
    models_list_init(ret);
    must(buf_len(&out) > MODELS_LIST_BYTES || models_list_read(ret, buf_str(&out), S("o")));
    buf_done(&out);
}

static void check_same(const struct model *x, const struct model *y)
{
    must(str_eq(x->id, y->id));
    must(str_eq(x->owner, y->owner));
    must(x->created == y->created);
}

/* Behind one another, as a client walks. */
static void walk(const struct models_list *all, uint64_t limit)
{
    struct models_page page = { .limit = limit };
    size_t seen = 0;
    for (int i = 0; i < PAGES_MAX && seen < all->n; i++) {
        struct models_list part;
        write_list(all, &page, &part);
        must(part.n > 0);
        must(part.n <= limit);
        for (size_t m = 0; m < part.n; m++)
            check_same(&part.models[m], &all->models[seen + m]);
        seen += part.n;
        page.after = all->models[seen - 1].id;
        models_list_done(&part);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const struct models_page whole = { .limit = 0 };
    struct str body = { (const char *)bytes, n }, query = S("");
    (void)str_next(&body, '\n', &query);
    struct arena a;
    struct models_page page;
    struct models_list list, all, part;
    arena_init(&a, SIZE_MAX / 2);
    models_page_read(&page, query, &a);
    models_list_init(&list);
    if (models_list_read(&list, body, S("o"))) {
        write_list(&list, &whole, &all);
        must(all.n <= list.n);
        must((all.n == 0) == (list.n == 0));
        write_list(&list, &page, &part);
        must(part.n <= all.n);
        must(page.limit == 0 || part.n <= page.limit);
        if (page.limit > 0)
            walk(&all, page.limit);
        models_list_done(&part);
        models_list_done(&all);
    }
    models_list_done(&list);
    arena_done(&a);
    return 0;
}

#include "models_list.h"

#include <stdlib.h>

#include "json.h"
#include "rfc3339.h"
#include "url.h"

enum { CONFIGURED_CREATED = 1735689600 }; /* 2025-01-01, as good as any */

void models_list_init(struct models_list *l)
{
    *l = (struct models_list){ .n = 0 };
    arena_init(&l->arena, 64 << 20);
}

void models_list_done(struct models_list *l)
{
    arena_done(&l->arena);
    l->models = NULL;
    l->n = 0;
}

void models_list_names(struct models_list *l, struct str names, struct str owner)
{
    struct str rest = names, part;
    size_t cap = 1;
    for (size_t i = 0; i < rest.n; i++)
        cap += rest.p[i] == ',';
    l->models = arena_new(&l->arena, struct model, cap);
    while (str_next(&rest, ',', &part))
        if (str_trim(part).n > 0)
            l->models[l->n++] = (struct model){ .id = arena_str(&l->arena, str_trim(part)),
                                                .owner = owner,
                                                .created = CONFIGURED_CREATED };
}

static void read_model(struct models_list *l, yyjson_val *v, struct str owner)
{
    struct arena *a = &l->arena;
    uint64_t created;
    struct model m = { .id = arena_str(a, json_member_str(v, S("id"))),
                       .display_name = arena_str(a, json_member_str(v, S("display_name"))),
                       .owner = arena_str(a, json_member_str(v, S("owned_by"))) };
    if (json_member_u64(v, S("created"), &created) && created < (uint64_t)INT32_MAX * 4)
        m.created = (int64_t)created;
    else if (!rfc3339_read(json_member_str(v, S("created_at")), &m.created))
        m.created = 0;
    if (m.owner.n == 0)
        m.owner = owner;
    if (m.id.n > 0 && l->n < MODELS_LIST_MAX)
        l->models[l->n++] = m;
}

bool models_list_read(struct models_list *l, struct str body, struct str owner)
{
    yyjson_doc *doc;
    yyjson_val *v;
    size_t i, max;
    if (body.n > MODELS_LIST_BYTES || json_parse(body, &doc, NULL) < 0)
        return false;
    yyjson_val *data = json_member(yyjson_doc_get_root(doc), S("data"));
    bool ok = yyjson_is_arr(data);
    size_t all = yyjson_arr_size(data);
    l->models =
        arena_new(&l->arena, struct model, all < MODELS_LIST_MAX ? all + 1 : MODELS_LIST_MAX);
    yyjson_arr_foreach(data, i, max, v) read_model(l, v, owner);
    yyjson_doc_free(doc);
    return ok;
}

/* ---- writing ---- */

static void write_model(struct buf *out, const struct model *m)
{
    char room[RFC3339_BYTES];
    buf_add(out, S("{\"type\":\"model\",\"object\":\"model\",\"id\":"));
    json_write_str(out, m->id);
    buf_add(out, S(",\"display_name\":"));
    json_write_str(out, m->display_name.n > 0 ? m->display_name : m->id);
    buf_addf(out, ",\"created_at\":\"" STR_FMT "\",\"created\":%lld,\"owned_by\":",
             STR_ARG(rfc3339_write(m->created, room)), (long long)m->created);
    json_write_str(out, m->owner);
    buf_add_byte(out, '}');
}

struct place {
    const struct model *model;
    size_t at;
};

static int by_id(const void *x, const void *y)
{
    const struct place *a = x, *b = y;
    int order = str_cmp(a->model->id, b->model->id);
    return order != 0 ? order : (a->at > b->at) - (a->at < b->at);
}

static size_t gather(const struct models_list *const *lists, size_t n, struct place *places)
{
    size_t all = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t m = 0; m < lists[i]->n; m++) {
            places[all] = (struct place){ &lists[i]->models[m], all };
            all++;
        }
    }
    return all;
}

/* Without repetitions, in the order of the lists; gives how many. */
static size_t unite(struct arena *a, struct place *places, size_t all, const struct model **models)
{
    size_t n = 0;
    const struct model **at = arena_new(a, const struct model *, all + 1);
    qsort(places, all, sizeof(*places), by_id);
    for (size_t i = 0; i < all; i++)
        if (i == 0 || !str_eq(places[i].model->id, places[i - 1].model->id))
            at[places[i].at] = places[i].model;
    for (size_t i = 0; i < all; i++)
        if (at[i] != NULL)
            models[n++] = at[i];
    return n;
}

static void write_id(struct buf *out, struct str name, const struct model *m)
{
    buf_add(out, name);
    if (m != NULL)
        json_write_str(out, m->id);
    else
        buf_add(out, S("null"));
}

void models_page_read(struct models_page *p, struct str query, struct arena *a)
{
    struct str part;
    *p = (struct models_page){ .limit = 0 };
    query = str_slice(query, str_starts(query, S("?")), query.n);
    while (str_next(&query, '&', &part)) {
        size_t equals = str_index(part, '=');
        struct str name = str_slice(part, 0, equals);
        struct str value = url_decode(str_slice(part, equals + 1, part.n), a);
        if (str_eq(name, S("limit")) && str_to_u64(value, &p->limit) < 0)
            p->limit = 0;
        else if (str_eq(name, S("after_id")))
            p->after = value;
        else if (str_eq(name, S("before_id")))
            p->before = value;
    }
}

/* Index of the model, or n. */
static size_t place_of(const struct model *const *models, size_t n, struct str id)
{
    size_t i = 0;
    while (i < n && !str_eq(models[i]->id, id))
        i++;
    return i;
}

/* The part [*from, *to) that the page asks for; true when more follows in its direction. */
static bool cut_page(const struct models_page *page, const struct model *const *models, size_t n,
                     size_t *from, size_t *to)
{
    size_t after = page->after.n > 0 ? place_of(models, n, page->after) : n;
    size_t before = page->before.n > 0 ? place_of(models, n, page->before) : n;
    *from = after < n ? after + 1 : 0;
    *to = after < n ? n : before;
    if (page->limit == 0 || page->limit >= *to - *from)
        return false;
    if (after == n && before < n)
        *from = *to - page->limit;
    else
        *to = *from + page->limit;
    return true;
}

void models_list_write(const struct models_list *const *lists, size_t n,
                       const struct models_page *page, struct buf *out)
{
    struct arena a;
    size_t all = 0;
    for (size_t i = 0; i < n; i++)
        all += lists[i]->n;
    arena_init(&a, SIZE_MAX / 2);
    struct place *places = arena_new(&a, struct place, all + 1);
    const struct model **models = arena_new(&a, const struct model *, all + 1);
    size_t count = unite(&a, places, gather(lists, n, places), models);
    size_t from, to;
    bool more = cut_page(page, models, count, &from, &to);
    buf_addf(out, "{\"object\":\"list\",\"has_more\":%s", more ? "true" : "false");
    write_id(out, S(",\"first_id\":"), from < to ? models[from] : NULL);
    write_id(out, S(",\"last_id\":"), from < to ? models[to - 1] : NULL);
    buf_add(out, S(",\"data\":["));
    for (size_t i = from; i < to; i++) {
        if (i > from)
            buf_add_byte(out, ',');
        write_model(out, models[i]);
    }
    buf_add(out, S("]}"));
    arena_done(&a);
}

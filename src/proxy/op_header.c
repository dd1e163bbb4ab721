/* The ops on headers, and on where and how the request goes. */
#include "action_ops.h"

enum { TOKENS_MAX = 1024 };

static void set_header(struct adapter_request *r, struct str name, struct str value)
{
    if (http_find(r->headers, name) == NULL)
        r->extra_headers++;
    http_set(r->headers, r->arena, name, value);
}

bool op_header_set(const struct action *a, struct adapter_request *r)
{
    if (a->value.n == 0 ||
        (http_count(r->headers, a->name) == 1 && str_eq(*http_find(r->headers, a->name), a->value)))
        return false;
    set_header(r, a->name, a->value);
    return true;
}

bool op_header_default(const struct action *a, struct adapter_request *r)
{
    if (a->value.n == 0 || http_find(r->headers, a->name) != NULL)
        return false;
    set_header(r, a->name, a->value);
    return true;
}

static bool is_named(const struct action *a, struct str header)
{
    for (size_t i = 0; i < a->names.n; i++) {
        struct str name = a->names.v[i];
        if (str_ends(name, S("*")) ? str_starts_nocase(header, str_slice(name, 0, name.n - 1))
                                   : str_eq_nocase(header, name))
            return true;
    }
    return false;
}

bool op_header_remove(const struct action *a, struct adapter_request *r)
{
    size_t kept = 0, before = r->headers->n;
    for (size_t i = 0; i < before; i++)
        if (!is_named(a, r->headers->v[i].name))
            r->headers->v[kept++] = r->headers->v[i];
    r->headers->n = kept;
    return kept < before;
}

static bool list_has(const struct str *v, size_t n, struct str token)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq_nocase(v[i], token))
            return true;
    return false;
}

/* The tokens of the header after the edit; *ret_same when they are the old ones. */
static size_t edit_tokens(const struct action *a, struct str header, struct str *v, bool *ret_same)
{
    size_t n = 0;
    bool same = true;
    struct str part;
    while (str_next(&header, ',', &part)) {
        part = str_trim(part);
        bool drop = part.n > 0 && (list_has(a->drop.v, a->drop.n, part) || list_has(v, n, part));
        if (!drop && part.n > 0)
            v[n++] = part;
        same = same && !drop;
    }
    for (size_t i = 0; i < a->add.n; i++) {
        if (list_has(v, n, a->add.v[i]))
            continue;
        v[n++] = a->add.v[i];
        same = false;
    }
    *ret_same = same;
    return n;
}

bool op_header_token(const struct action *a, struct adapter_request *r)
{
    struct str header = http_join(r->headers, a->name, r->arena);
    size_t commas = 0;
    bool same;
    for (size_t i = 0; i < header.n; i++)
        commas += header.p[i] == ',';
    if (commas >= TOKENS_MAX) /* no honest list; the search for duplicates is quadratic */
        return false;
    struct str *v = arena_new(r->arena, struct str, commas + 1 + a->add.n);
    size_t n = edit_tokens(a, header, v, &same);
    if (same)
        return false;
    if (n == 0) {
        http_remove(r->headers, a->name);
        return true;
    }
    struct buf value CLEANUP(buf_done);
    buf_init(&value, SIZE_MAX);
    for (size_t i = 0; i < n; i++) {
        buf_add(&value, i > 0 ? S(",") : S(""));
        buf_add(&value, v[i]);
    }
    set_header(r, a->name, arena_str(r->arena, buf_str(&value)));
    return true;
}

bool op_upstream(const struct action *a, struct adapter_request *r)
{
    bool changed = a->name.n > 0 && !str_eq(r->upstream_name, a->name);
    if (a->name.n > 0)
        r->upstream_name = a->name;
    if (a->protocol >= 0 && (int)r->upstream_protocol != a->protocol) {
        r->upstream_protocol = (enum protocol)a->protocol;
        changed = true;
    }
    return changed;
}

bool op_raw(const struct action *a, struct adapter_request *r)
{
    (void)a;
    r->raw = true;
    return false;
}

bool op_reject(const struct action *a, struct adapter_request *r)
{
    r->reject_status = a->status;
    r->reject_message = a->message;
    return false;
}

#include "pointer.h"

#include <errno.h>
#include <stdint.h>

static bool escapes_ok(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == '~' && (i + 1 == text.n || (text.p[i + 1] != '0' && text.p[i + 1] != '1')))
            return false;
    return true;
}

int pointer_parse(struct arena *a, struct str text, struct pointer *ret_p)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '/';
    if (n > POINTER_TOKENS_MAX || (text.n > 0 && text.p[0] != '/') || !escapes_ok(text))
        return -EINVAL;

    struct pointer p = { .tokens = arena_new(a, struct str, n + 1), .n = 0 };
    struct str token;
    while (json_pointer_next(&text, a, &token)) {
        must(p.n < n);
        p.tokens[p.n++] = arena_str(a, token);
    }
    *ret_p = p;
    return 0;
}

bool pointer_is_index(struct str token)
{
    uint64_t n;
    return str_to_u64(token, &n) == 0 && (token.n == 1 || token.p[0] != '0');
}

struct json_node *pointer_element(struct json_edit *e, struct json_node *array, struct str token)
{
    uint64_t i;
    if (str_eq(token, S("-")))
        return json_last(e, array);
    if (!pointer_is_index(token) || str_to_u64(token, &i) < 0)
        return NULL;
    struct json_node *n = json_first(e, array);
    while (n != NULL && i-- > 0)
        n = json_next(n);
    return n;
}

struct str pointer_name(const struct pointer *p)
{
    must(p->n > 0);
    return p->tokens[p->n - 1];
}

struct walk {
    struct json_edit *e;
    const struct pointer *p;
    pointer_fn *fn;
    void *arg;
    bool stop; /* at the first hit */
};

/* Recursion by tokens of the pointer, of which there are few. */
static bool walk(const struct walk *w, struct json_node *n, size_t i)
{
    if (n == NULL)
        return false;
    if (i == w->p->n)
        return w->fn(w->e, n, w->arg);

    struct str token = w->p->tokens[i];
    if (json_type(n) == JSON_OBJECT)
        return walk(w, json_find(w->e, n, token), i + 1);
    if (json_type(n) != JSON_ARRAY)
        return false;
    if (!str_eq(token, S("*")))
        return walk(w, pointer_element(w->e, n, token), i + 1);

    bool hit = false;
    struct json_node *next;
    for (struct json_node *c = json_first(w->e, n); c != NULL && !(hit && w->stop); c = next) {
        next = json_next(c); /* fn may remove c */
        hit |= walk(w, c, i + 1);
    }
    return hit;
}

bool pointer_any(struct json_edit *e, const struct pointer *p, pointer_fn *fn, void *arg)
{
    return walk(&(struct walk){ e, p, fn, arg, true }, json_root(e), 0);
}

bool pointer_each(struct json_edit *e, const struct pointer *p, pointer_fn *fn, void *arg)
{
    return walk(&(struct walk){ e, p, fn, arg, false }, json_root(e), 0);
}

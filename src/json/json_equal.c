/* Equality of JSON values: two trees side by side, without recursion. */
#include "json_edit.h"

#include <stdlib.h>
#include <string.h>

#include "json_node.h"

/* A number is 0.DIGITS times ten to the power of exp, DIGITS having no zero at either
 * end; zero has none. */
struct decimal {
    struct str digits; /* may hold the point */
    int64_t exp;
    bool negative;
};

/* Exponents of 18 digits and more are all the same to us. */
static int64_t exponent(struct str s)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    uint64_t n = 0;
    if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+'))
        s = str_slice(s, 1, s.n);
    if (s.n > 0 && str_to_u64(s, &n) < 0)
        n = UINT64_MAX;
    int64_t exp = n < 1000000000000000000 ? (int64_t)n : 1000000000000000000;
    return negative ? -exp : exp;
}

static struct decimal decimal_of(struct str s)
{
    struct decimal d = { .negative = s.p[0] == '-' };
    size_t from = 0, to = 0, e = d.negative;
    int64_t whole = 0; /* digits before the point, from the first one that is not zero */
    bool point = false;
    for (; e < s.n && s.p[e] != 'e' && s.p[e] != 'E'; e++) {
        if (s.p[e] == '.') {
            point = true;
            continue;
        }
        if (s.p[e] != '0') {
            from = to == 0 ? e : from;
            to = e + 1;
        }
        if (!point && to > 0)
            whole++;
        else if (point && to == 0)
            whole--;
    }
    if (to == 0)
        return (struct decimal){ 0 };
    d.digits = str_slice(s, from, to);
    d.exp = whole + exponent(str_slice(s, e + 1, s.n));
    return d;
}

static bool digits_equal(struct str a, struct str b)
{
    size_t i = 0, j = 0;
    for (;;) {
        i += i < a.n && a.p[i] == '.';
        j += j < b.n && b.p[j] == '.';
        if (i == a.n || j == b.n)
            return i == a.n && j == b.n;
        if (a.p[i++] != b.p[j++])
            return false;
    }
}

static bool numbers_equal(struct str a, struct str b)
{
    struct decimal x = decimal_of(a), y = decimal_of(b);
    return x.negative == y.negative && x.exp == y.exp && digits_equal(x.digits, y.digits);
}

/* Two values that are still to be compared. */
struct pair {
    struct pair *below;
    struct json_node *a, *b;
};

struct comparison {
    struct arena arena;
    struct json_edit a, b;
    struct pair *stack;
    bool ordered;
};

static void push(struct comparison *c, struct json_node *a, struct json_node *b)
{
    struct pair *pair = arena_new(&c->arena, struct pair, 1);
    *pair = (struct pair){ c->stack, a, b };
    c->stack = pair;
}

struct member {
    struct str name;
    struct json_node *value;
    size_t at;
};

static int member_cmp(const void *x, const void *y)
{
    const struct member *a = x, *b = y;
    int order = str_cmp(a->name, b->name);
    return order != 0 ? order : (a->at > b->at) - (a->at < b->at);
}

/* The members by name, of each name the last one. */
static struct member *sorted(struct json_edit *e, struct json_node *object, size_t *ret_count)
{
    size_t count = json_count(e, object), at = 0, kept = 0;
    struct member *all = arena_new(e->arena, struct member, count + 1);
    for (struct json_node *n = json_first(e, object); n != NULL; n = json_next(n), at++)
        all[at] = (struct member){ json_name(e, n), n, at };
    qsort(all, count, sizeof(*all), member_cmp);
    for (size_t i = 0; i < count; i++)
        if (i + 1 == count || !str_eq(all[i].name, all[i + 1].name))
            all[kept++] = all[i];
    *ret_count = kept;
    return all;
}

static bool push_unordered(struct comparison *c, struct json_node *a, struct json_node *b)
{
    size_t count_a, count_b;
    struct member *in_a = sorted(&c->a, a, &count_a), *in_b = sorted(&c->b, b, &count_b);
    if (count_a != count_b)
        return false;
    for (size_t i = 0; i < count_a; i++) {
        if (!str_eq(in_a[i].name, in_b[i].name))
            return false;
        push(c, in_a[i].value, in_b[i].value);
    }
    return true;
}

static bool push_ordered(struct comparison *c, struct json_node *a, struct json_node *b)
{
    struct json_node *x = json_first(&c->a, a), *y = json_first(&c->b, b);
    for (; x != NULL && y != NULL; x = json_next(x), y = json_next(y)) {
        if (!str_eq(json_name(&c->a, x), json_name(&c->b, y)))
            return false;
        push(c, x, y);
    }
    return x == NULL && y == NULL;
}

/* Compares this much; what is inside goes on the stack. */
static bool same_outside(struct comparison *c, struct json_node *a, struct json_node *b)
{
    if (json_type(a) != json_type(b))
        return false;
    switch (json_type(a)) {
    case JSON_OBJECT:
        return c->ordered ? push_ordered(c, a, b) : push_unordered(c, a, b);
    case JSON_ARRAY:
        return push_ordered(c, a, b);
    case JSON_STRING:
        return str_eq(json_string(&c->a, a), json_string(&c->b, b));
    case JSON_NUMBER:
        return numbers_equal(a->raw, b->raw);
    case JSON_NULL:
    case JSON_BOOL:
        break;
    }
    return json_is_true(a) == json_is_true(b);
}

bool json_equal(struct str raw_a, struct str raw_b, bool ordered)
{
    struct comparison c = { .ordered = ordered };
    arena_init(&c.arena, SIZE_MAX);
    json_edit_init(&c.a, &c.arena, raw_a);
    json_edit_init(&c.b, &c.arena, raw_b);
    push(&c, c.a.root, c.b.root);
    bool same = true;
    while (same && c.stack != NULL) {
        struct pair *pair = c.stack;
        c.stack = pair->below;
        same = same_outside(&c, pair->a, pair->b);
    }
    arena_done(&c.arena);
    return same;
}

#include "condition.h"

#include "request_text.h"

enum test {
    TEST_PRESENT,
    TEST_EQUALS,
    TEST_PREFIX,
    TEST_CONTAINS,
    TEST_PRODUCT,
    TEST_TOKEN,
    TEST_TOKEN_PREFIX,
    TEST_TYPE,
    TEST_COUNT
};

static const char *const test_names[TEST_COUNT] = {
    "present", "equals", "prefix", "contains", "product", "token", "token_prefix", "type",
};

#define T(name) (1u << TEST_##name)

static const char *const protocol_choices[] = { "messages", "chat", "responses", NULL };
static const char *const service_choices[] = { "claude", "codex", NULL };
static const char *const type_choices[] = { "null",  "boolean", "number", "string",
                                            "array", "object",  NULL };

_Static_assert(PROTOCOL_MESSAGES == 0 && PROTOCOL_CHAT == 1 && PROTOCOL_RESPONSES == 2,
               "protocol_choices has the order of enum protocol");
_Static_assert(SERVICE_CLAUDE == 0 && SERVICE_CODEX == 1, "as service_choices");
_Static_assert(JSON_NULL == 0 && JSON_OBJECT == 5, "type_choices has the order of enum json_type");

struct condition {
    const struct condition_kind *kind;
    const struct condition **sub; /* of a combinator */
    size_t sub_n;
    struct str name; /* of a header, or its prefix; or a model glob */
    struct pointer pointer;
    enum test test;
    bool present;
    int choice;       /* enum protocol, service or json_type */
    struct str value; /* what the test compares with; JSON text for a body's `equals` */
};

typedef int parse_fn(struct rule_loader *l, struct json_node *n, struct condition *c);
typedef bool eval_fn(const struct condition *c, struct adapter_request *r, unsigned *basis);

struct condition_kind {
    const char *name;
    enum condition_basis basis;
    unsigned tests;  /* which may stand beside it; one must */
    parse_fn *parse; /* its own value; NULL: a combinator */
    eval_fn *eval;
};

/* ---- texts ---- */

static bool has_product(struct str s, struct str name)
{
    for (size_t at = str_index(s, '/'); at < s.n;
         at += 1 + str_index(str_slice(s, at + 1, s.n), '/')) {
        size_t from = at - name.n;
        if (at >= name.n && (from == 0 || s.p[from - 1] == ' ') &&
            str_eq_nocase(str_slice(s, from, at), name))
            return true;
    }
    return false;
}

static bool has_token(struct str s, struct str token, bool prefix)
{
    struct str part;
    while (str_next(&s, ',', &part)) {
        part = str_trim(part);
        if (prefix ? str_starts_nocase(part, token) : str_eq_nocase(part, token))
            return true;
    }
    return false;
}

static bool header_passes(const struct condition *c, struct str s)
{
    switch (c->test) {
    case TEST_EQUALS:
        return str_eq_nocase(s, c->value);
    case TEST_PREFIX:
        return str_starts_nocase(s, c->value);
    case TEST_CONTAINS:
        return str_contains_nocase(s, c->value);
    case TEST_PRODUCT:
        return has_product(s, c->value);
    case TEST_TOKEN:
        return has_token(s, c->value, false);
    case TEST_TOKEN_PREFIX:
        return has_token(s, c->value, true);
    default:
        return false;
    }
}

static bool text_passes(const struct condition *c, struct str s)
{
    switch (c->test) {
    case TEST_EQUALS:
        return str_eq(s, c->value);
    case TEST_PREFIX:
        return str_starts(s, c->value);
    case TEST_CONTAINS:
        return str_contains(s, c->value);
    default:
        return false;
    }
}

/* ---- tests ---- */

static bool eval_header(const struct condition *c, struct adapter_request *r, unsigned *basis)
{
    (void)basis;
    bool present = http_find(r->headers, c->name) != NULL;
    if (c->test == TEST_PRESENT)
        return present == c->present;
    return present && header_passes(c, http_join(r->headers, c->name, r->arena));
}

static bool eval_header_prefix(const struct condition *c, struct adapter_request *r,
                               unsigned *basis)
{
    (void)basis;
    for (size_t i = 0; i < r->headers->n; i++)
        if (str_starts_nocase(r->headers->v[i].name, c->name))
            return true;
    return false;
}

static bool node_passes(struct json_edit *e, struct json_node *n, void *arg)
{
    const struct condition *c = arg;
    switch (c->test) {
    case TEST_PRESENT:
        return true;
    case TEST_TYPE:
        return (int)json_type(n) == c->choice;
    case TEST_EQUALS:
        return json_equal(json_raw(e, n), c->value, false);
    default:
        return json_type(n) == JSON_STRING && text_passes(c, json_string(e, n));
    }
}

static bool body_here(struct adapter_request *r)
{
    if (r->edit == NULL)
        r->body_needed = true;
    return r->edit != NULL;
}

static bool eval_body(const struct condition *c, struct adapter_request *r, unsigned *basis)
{
    (void)basis;
    if (!body_here(r))
        return false;
    struct condition copy = *c; /* the callback's argument is not const */
    bool hit = pointer_any(r->edit, &c->pointer, node_passes, &copy);
    return c->test == TEST_PRESENT ? hit == c->present : hit;
}

static bool eval_system_text(const struct condition *c, struct adapter_request *r, unsigned *basis)
{
    (void)basis;
    return body_here(r) && text_passes(c, request_system_text(r));
}

static bool eval_model(const struct condition *c, struct adapter_request *r, unsigned *basis)
{
    (void)basis;
    struct json_node *n = body_here(r) ? json_find(r->edit, json_root(r->edit), S("model")) : NULL;
    return n != NULL && json_type(n) == JSON_STRING && str_glob(c->name, json_string(r->edit, n));
}

static bool eval_path(const struct condition *c, struct adapter_request *r, unsigned *basis)
{
    (void)basis;
    return text_passes(c, r->path);
}

static bool eval_protocol(const struct condition *c, struct adapter_request *r, unsigned *basis)
{
    (void)basis;
    return (int)r->protocol == c->choice;
}

static bool eval_upstream(const struct condition *c, struct adapter_request *r, unsigned *basis)
{
    (void)basis;
    return (int)r->upstream_protocol == c->choice;
}

static bool eval_service(const struct condition *c, struct adapter_request *r, unsigned *basis)
{
    (void)basis;
    return (int)r->service == c->choice;
}

static bool eval_any(const struct condition *c, struct adapter_request *r, unsigned *basis)
{
    for (size_t i = 0; i < c->sub_n; i++)
        if (condition_true(c->sub[i], r, basis))
            return true;
    return false;
}

static bool eval_all(const struct condition *c, struct adapter_request *r, unsigned *basis)
{
    for (size_t i = 0; i < c->sub_n; i++)
        if (!condition_true(c->sub[i], r, basis))
            return false;
    return true;
}

static bool eval_not(const struct condition *c, struct adapter_request *r, unsigned *basis)
{
    unsigned ignored = 0; /* the basis of something false says nothing */
    (void)basis;
    return !condition_true(c->sub[0], r, &ignored);
}

/* ---- reading ---- */

static int parse_name(struct rule_loader *l, struct json_node *n, struct condition *c)
{
    int e = rule_string(l, n, &c->name);
    if (e == 0 && c->name.n == 0)
        return rule_fault(l, n, "must not be empty");
    return e;
}

static int parse_header(struct rule_loader *l, struct json_node *n, struct condition *c)
{
    int e = parse_name(l, n, c);
    if (e == 0 && !http_name_ok(c->name))
        return rule_fault(l, n, "is not a header name");
    if (e == 0)
        c->name = arena_lower(l->arena, c->name);
    return e;
}

static int parse_pointer(struct rule_loader *l, struct json_node *n, struct condition *c)
{
    return rule_pointer(l, n, true, &c->pointer);
}

static int parse_protocol(struct rule_loader *l, struct json_node *n, struct condition *c)
{
    return rule_choice(l, n, protocol_choices, &c->choice);
}

static int parse_service(struct rule_loader *l, struct json_node *n, struct condition *c)
{
    return rule_choice(l, n, service_choices, &c->choice);
}

static int parse_test(struct rule_loader *l, struct json_node *n, struct condition *c);

static const struct condition_kind kinds[] = {
    { "any", 0, 0, NULL, eval_any },
    { "all", 0, 0, NULL, eval_all },
    { "not", 0, 0, NULL, eval_not },
    { "header", CONDITION_HEADER,
      T(PRESENT) | T(EQUALS) | T(PREFIX) | T(CONTAINS) | T(PRODUCT) | T(TOKEN) | T(TOKEN_PREFIX),
      parse_header, eval_header },
    { "header_prefix", CONDITION_HEADER, 0, parse_header, eval_header_prefix },
    { "body", CONDITION_BODY, T(PRESENT) | T(EQUALS) | T(PREFIX) | T(CONTAINS) | T(TYPE),
      parse_pointer, eval_body },
    { "system_text", CONDITION_BODY, T(PREFIX) | T(CONTAINS), parse_test, eval_system_text },
    { "path", CONDITION_ROUTE, T(EQUALS) | T(PREFIX), parse_test, eval_path },
    { "protocol", CONDITION_ROUTE, 0, parse_protocol, eval_protocol },
    { "service", CONDITION_ROUTE, 0, parse_service, eval_service },
    { "upstream", CONDITION_ROUTE, 0, parse_protocol, eval_upstream },
    { "model", CONDITION_BODY, 0, parse_name, eval_model },
};

static const struct condition_kind *kind_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eq(name, str_of(kinds[i].name)))
            return &kinds[i];
    return NULL;
}

/* The kind's value is itself an object of one test. */
static bool test_inside(const struct condition_kind *k)
{
    return k->parse == parse_test;
}

static int parse_test_value(struct rule_loader *l, struct json_node *n, struct condition *c)
{
    switch (c->test) {
    case TEST_PRESENT:
        return rule_bool(l, n, &c->present);
    case TEST_TYPE:
        return rule_choice(l, n, type_choices, &c->choice);
    case TEST_EQUALS:
        if (c->kind->basis == CONDITION_BODY)
            return rule_raw(l, n, &c->value);
        return rule_string(l, n, &c->value);
    default:
        return rule_string(l, n, &c->value);
    }
}

/* The members of n are the test, besides the member that names the kind. */
static int parse_test(struct rule_loader *l, struct json_node *n, struct condition *c)
{
    size_t found = 0;
    int e = rule_object(l, n);
    if (e < 0)
        return e;
    for (struct json_node *m = json_first(&l->tree, n); m != NULL; m = json_next(m)) {
        struct str name = json_name(&l->tree, m);
        unsigned t = 0;
        if (!test_inside(c->kind) && str_eq(name, str_of(c->kind->name)))
            continue;
        while (t < TEST_COUNT && !str_eq(name, str_of(test_names[t])))
            t++;
        if (t == TEST_COUNT || (c->kind->tests & (1u << t)) == 0)
            return rule_fault(l, m, "unknown member");
        c->test = (enum test)t;
        if ((e = rule_once(l, m)) < 0 || (e = parse_test_value(l, m, c)) < 0)
            return e;
        found++;
    }
    if (found != (c->kind->tests != 0))
        return rule_fault(l, n, found == 0 ? "needs a test" : "has more than one test");
    return 0;
}

static int parse_at(struct rule_loader *l, struct json_node *n, bool in_when, int depth,
                    const struct condition **ret_c);

static int parse_combinator(struct rule_loader *l, struct json_node *n, bool in_when, int depth,
                            struct condition *c)
{
    bool list = c->kind->eval != eval_not;
    int e = list ? rule_array(l, n, 1024) : 0;
    if (e < 0)
        return e;
    c->sub = arena_new(l->arena, const struct condition *, list ? json_count(&l->tree, n) + 1 : 1);
    if (!list) {
        c->sub_n = 1;
        return parse_at(l, n, in_when, depth + 1, &c->sub[0]);
    }
    for (struct json_node *i = json_first(&l->tree, n); i != NULL && e == 0; i = json_next(i))
        e = parse_at(l, i, in_when, depth + 1, &c->sub[c->sub_n++]);
    return e;
}

/* The one member of n that names a kind. */
static int find_kind(struct rule_loader *l, struct json_node *n, bool in_when,
                     const struct condition_kind **ret_kind, struct json_node **ret_member)
{
    const struct condition_kind *kind = NULL;
    int e = rule_object(l, n);
    if (e < 0)
        return e;
    for (struct json_node *m = json_first(&l->tree, n); m != NULL; m = json_next(m)) {
        const struct condition_kind *k = kind_find(json_name(&l->tree, m));
        if (k == NULL)
            continue; /* parse_test() judges it */
        if (kind != NULL)
            return rule_fault(l, m, "a second condition in one object; use all or any");
        if (k->eval == eval_upstream && !in_when)
            return rule_fault(l, m, "is for `when` only");
        kind = k;
        *ret_member = m;
    }
    if (kind == NULL)
        return rule_fault(l, n, "is not a condition");
    *ret_kind = kind;
    return 0;
}

/* Recursion is bounded by CONDITION_DEPTH_MAX. */
static int parse_at(struct rule_loader *l, struct json_node *n, bool in_when, int depth,
                    const struct condition **ret_c)
{
    struct condition *c = arena_new(l->arena, struct condition, 1);
    struct json_node *value = NULL;
    if (depth > CONDITION_DEPTH_MAX)
        return rule_fault(l, n, "conditions are nested deeper than %d", CONDITION_DEPTH_MAX);
    int e = find_kind(l, n, in_when, &c->kind, &value);
    if (e == 0 && c->kind->parse == NULL)
        e = parse_combinator(l, value, in_when, depth, c);
    else if (e == 0)
        e = c->kind->parse(l, value, c);
    if (e == 0 && test_inside(c->kind) && json_count(&l->tree, n) > 1)
        e = rule_fault(l, n, "has members beside %s", c->kind->name);
    if (e == 0 && !test_inside(c->kind))
        e = parse_test(l, n, c);
    if (e == 0)
        *ret_c = c;
    return e;
}

int condition_parse(struct rule_loader *l, struct json_node *n, bool in_when,
                    const struct condition **ret_c)
{
    return parse_at(l, n, in_when, 1, ret_c);
}

bool condition_true(const struct condition *c, struct adapter_request *r, unsigned *ret_basis)
{
    unsigned inner = 0; /* counts only when all of it is true */
    if (!c->kind->eval(c, r, &inner))
        return false;
    if (ret_basis != NULL)
        *ret_basis |= inner | (unsigned)c->kind->basis;
    return true;
}

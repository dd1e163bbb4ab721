#include "action.h"

#include <stddef.h>

#include "action_ops.h"
#include "action_read.h"
#include "err.h"
#include "json.h"
#include "session.h"

/* ---- members ---- */

enum member_type {
    MEMBER_BOOL,
    MEMBER_CHOICE,
    MEMBER_STATUS,
    MEMBER_NUMBER,
    MEMBER_STRING,
    MEMBER_EXPANDED, /* a string with ${NAME} replaced */
    MEMBER_TEXT_FILE,
    MEMBER_RAW,
    MEMBER_STRINGS,
    MEMBER_HEADER, /* a header name */
    MEMBER_POINTER,
    MEMBER_POINTERS,       /* not the root */
    MEMBER_POINTERS_UNDER, /* the root too */
    MEMBER_MAP,
    MEMBER_TOOLS,
    MEMBER_TOOLS_FILE
};

enum member_id {
    M_MODE,
    M_TEXT,
    M_TEXT_FILE,
    M_CACHE,
    M_ONCE,
    M_PATH,
    M_VALUE,
    M_IF,
    M_PATHS,
    M_FROM,
    M_TO,
    M_MIN,
    M_MAX,
    M_KEEP,
    M_DROP,
    M_KEYS,
    M_UNDER,
    M_MAP,
    M_TTL,
    M_ROLE,
    M_EQUALS,
    M_SUMMARY,
    M_INCLUDE_ENCRYPTED,
    M_FILE,
    M_TOOLS,
    M_PLACE,
    M_CONFLICT,
    M_TARGET,
    M_SCOPE,
    M_WINDOW,
    M_HEADER_NAME,
    M_HEADER_VALUE,
    M_NAMES,
    M_ADD,
    M_REMOVE,
    M_PROTOCOL,
    M_UPSTREAM_NAME,
    M_STATUS,
    M_MESSAGE,
    M_COUNT
};

#define CHOICES(name, ...) static const char *const name[] = { __VA_ARGS__, NULL }
CHOICES(mode_choices, "prepend", "append", "replace");
CHOICES(if_choices, "always", "absent", "absent_or_null", "present");
CHOICES(place_choices, "last", "first");
CHOICES(conflict_choices, "client", "file", "both");
CHOICES(target_choices, "metadata.user_id", "prompt_cache_key");
CHOICES(scope_choices, "global", "key", "conversation");
CHOICES(window_choices, "1h", "12h", "24h", "7d");
CHOICES(protocol_choices, "messages", "chat", "responses");

struct member {
    const char *name;
    enum member_type type;
    size_t at; /* in struct action */
    const char *const *choices;
};

#define AT(field) offsetof(struct action, field)
static const struct member members[M_COUNT] = {
    [M_MODE] = { "mode", MEMBER_CHOICE, AT(mode), mode_choices },
    [M_TEXT] = { "text", MEMBER_EXPANDED, AT(text), NULL },
    [M_TEXT_FILE] = { "text_file", MEMBER_TEXT_FILE, AT(text), NULL },
    [M_CACHE] = { "cache", MEMBER_BOOL, AT(cache), NULL },
    [M_ONCE] = { "once", MEMBER_BOOL, AT(once), NULL },
    [M_PATH] = { "path", MEMBER_POINTER, AT(path), NULL },
    [M_VALUE] = { "value", MEMBER_RAW, AT(raw), NULL },
    [M_IF] = { "if", MEMBER_CHOICE, AT(if_), if_choices },
    [M_PATHS] = { "paths", MEMBER_POINTERS, 0, NULL },
    [M_FROM] = { "from", MEMBER_POINTER, AT(path), NULL },
    [M_TO] = { "to", MEMBER_POINTER, AT(to), NULL },
    [M_MIN] = { "min", MEMBER_NUMBER, AT(min), NULL },
    [M_MAX] = { "max", MEMBER_NUMBER, AT(max), NULL },
    [M_KEEP] = { "keep", MEMBER_POINTER, AT(path), NULL },
    [M_DROP] = { "drop", MEMBER_POINTERS, 0, NULL },
    [M_KEYS] = { "keys", MEMBER_STRINGS, AT(drop), NULL },
    [M_UNDER] = { "under", MEMBER_POINTERS_UNDER, 0, NULL },
    [M_MAP] = { "map", MEMBER_MAP, 0, NULL },
    [M_TTL] = { "ttl", MEMBER_STRING, AT(ttl), NULL },
    [M_ROLE] = { "role", MEMBER_STRING, AT(role), NULL },
    [M_EQUALS] = { "equals", MEMBER_STRING, AT(equals), NULL },
    [M_SUMMARY] = { "summary", MEMBER_STRING, AT(summary), NULL },
    [M_INCLUDE_ENCRYPTED] = { "include_encrypted", MEMBER_BOOL, AT(include_encrypted), NULL },
    [M_FILE] = { "file", MEMBER_TOOLS_FILE, 0, NULL },
    [M_TOOLS] = { "tools", MEMBER_TOOLS, 0, NULL },
    [M_PLACE] = { "place", MEMBER_CHOICE, AT(place), place_choices },
    [M_CONFLICT] = { "conflict", MEMBER_CHOICE, AT(conflict), conflict_choices },
    [M_TARGET] = { "target", MEMBER_CHOICE, AT(target), target_choices },
    [M_SCOPE] = { "scope", MEMBER_CHOICE, AT(scope), scope_choices },
    [M_WINDOW] = { "window", MEMBER_CHOICE, AT(window), window_choices },
    [M_HEADER_NAME] = { "name", MEMBER_HEADER, AT(name), NULL },
    [M_HEADER_VALUE] = { "value", MEMBER_EXPANDED, AT(value), NULL },
    [M_NAMES] = { "names", MEMBER_STRINGS, AT(names), NULL },
    [M_ADD] = { "add", MEMBER_STRINGS, AT(add), NULL },
    [M_REMOVE] = { "remove", MEMBER_STRINGS, AT(drop), NULL },
    [M_PROTOCOL] = { "protocol", MEMBER_CHOICE, AT(protocol), protocol_choices },
    [M_UPSTREAM_NAME] = { "name", MEMBER_STRING, AT(name), NULL },
    [M_STATUS] = { "status", MEMBER_STATUS, AT(status), NULL },
    [M_MESSAGE] = { "message", MEMBER_STRING, AT(message), NULL },
};

/* ---- ops ---- */

#define BIT(id) (UINT64_C(1) << M_##id)
#define P_M (1u << PROTOCOL_MESSAGES)
#define P_C (1u << PROTOCOL_CHAT)
#define P_R (1u << PROTOCOL_RESPONSES)
#define P_ALL (P_M | P_C | P_R)

typedef int check_fn(struct rule_loader *l, struct json_node *n, struct action *a);
static check_fn check_system, check_rename, check_clamp, check_under, check_environment,
    check_tools, check_header, check_names, check_tokens, check_upstream;

struct action_op {
    const char *name;
    unsigned protocols; /* bits */
    bool body;          /* works on the body only */
    uint64_t required, optional;
    op_fn *apply;
    check_fn *check; /* what the member types cannot say; NULL: nothing */
};

static const struct action_op ops[] = {
    { "system", P_ALL, true, BIT(MODE), BIT(TEXT) | BIT(TEXT_FILE) | BIT(CACHE) | BIT(ONCE),
      op_system, check_system },
    { "environment_context", P_R, true, 0, 0, op_environment_context, check_environment },
    { "set", P_ALL, true, BIT(PATH) | BIT(VALUE), BIT(IF), op_set, NULL },
    { "remove", P_ALL, true, BIT(PATHS), 0, op_remove, NULL },
    { "rename", P_ALL, true, BIT(FROM) | BIT(TO), 0, op_rename, check_rename },
    { "clamp", P_ALL, true, BIT(PATH), BIT(MIN) | BIT(MAX), op_clamp, check_clamp },
    { "coerce_bool", P_ALL, true, BIT(PATH), 0, op_coerce_bool, NULL },
    { "one_of", P_ALL, true, BIT(KEEP) | BIT(DROP), 0, op_one_of, NULL },
    { "strip_keys", P_ALL, true, BIT(KEYS), BIT(UNDER), op_strip_keys, check_under },
    { "model_map", P_ALL, true, BIT(MAP), 0, op_model_map, NULL },
    { "normalize_thinking", P_M, true, 0, 0, op_normalize_thinking, NULL },
    { "cache_control_last", P_M, true, 0, BIT(TTL), op_cache_control_last, NULL },
    { "hoist_system", P_M, true, 0, 0, op_hoist_system, NULL },
    { "drop_messages", P_M | P_C, true, BIT(ROLE) | BIT(EQUALS), 0, op_drop_messages, NULL },
    { "normalize_input", P_R, true, 0, 0, op_normalize_input, NULL },
    { "map_roles", P_ALL, true, BIT(MAP), 0, op_map_roles, NULL },
    { "reasoning_defaults", P_R, true, 0, BIT(SUMMARY) | BIT(INCLUDE_ENCRYPTED),
      op_reasoning_defaults, NULL },
    { "lift_reasoning", P_C, true, 0, 0, op_lift_reasoning, NULL },
    { "chat_shapes", P_C, true, 0, 0, op_chat_shapes, NULL },
    { "merge_tools", P_ALL, true, 0, BIT(FILE) | BIT(TOOLS) | BIT(PLACE) | BIT(CONFLICT),
      op_merge_tools, check_tools },
    { "session", P_M | P_R, true, BIT(TARGET) | BIT(SCOPE) | BIT(WINDOW), 0, op_session, NULL },
    { "header_set", P_ALL, false, BIT(HEADER_NAME) | BIT(HEADER_VALUE), 0, op_header_set,
      check_header },
    { "header_default", P_ALL, false, BIT(HEADER_NAME) | BIT(HEADER_VALUE), 0, op_header_default,
      check_header },
    { "header_remove", P_ALL, false, BIT(NAMES), 0, op_header_remove, check_names },
    { "header_token", P_ALL, false, BIT(HEADER_NAME), BIT(ADD) | BIT(REMOVE), op_header_token,
      check_tokens },
    { "force_stream", P_M | P_R, true, 0, 0, op_force_stream, NULL },
    { "upstream", P_ALL, false, 0, BIT(PROTOCOL) | BIT(UPSTREAM_NAME), op_upstream,
      check_upstream },
    { "raw", P_ALL, false, 0, 0, op_raw, NULL },
    { "reject", P_ALL, false, BIT(STATUS) | BIT(MESSAGE), 0, op_reject, NULL },
};
_Static_assert(ARRAY_LEN(ops) <= ADAPTER_OPS_MAX, "a request has room for the names of all");

static bool given(const struct action *a, enum member_id id)
{
    return (a->given & (UINT64_C(1) << id)) != 0;
}

/* ---- reading members ---- */

static int parse_member(struct rule_loader *l, struct json_node *n, const struct member *m,
                        struct action *a)
{
    void *at = (char *)a + m->at;
    switch (m->type) {
    case MEMBER_BOOL:
        return rule_bool(l, n, at);
    case MEMBER_CHOICE:
        return rule_choice(l, n, m->choices, at);
    case MEMBER_STATUS:
        return rule_int(l, n, 400, 599, at);
    case MEMBER_NUMBER:
        return action_read_number(l, n, at);
    case MEMBER_STRING:
        return rule_string(l, n, at);
    case MEMBER_EXPANDED:
        return rule_expanded(l, n, at);
    case MEMBER_TEXT_FILE:
        return action_read_text_file(l, n, at);
    case MEMBER_RAW:
        return rule_raw(l, n, at);
    case MEMBER_STRINGS:
        return rule_strings(l, n, at);
    case MEMBER_HEADER:
        return action_read_header_name(l, n, at);
    case MEMBER_POINTER:
        return rule_pointer(l, n, false, at);
    case MEMBER_POINTERS:
        return action_read_pointers(l, n, false, a);
    case MEMBER_POINTERS_UNDER:
        return action_read_pointers(l, n, true, a);
    case MEMBER_MAP:
        return action_read_map(l, n, a);
    case MEMBER_TOOLS:
        return action_read_tools(l, n, a);
    case MEMBER_TOOLS_FILE:
        return action_read_tools_file(l, n, a);
    }
    must_fail("unknown member type", __FILE__, __LINE__);
}

static enum member_id find_member(const struct action_op *op, struct str name)
{
    unsigned id = 0;
    while (id < M_COUNT && !(((op->required | op->optional) >> id & 1) != 0 &&
                             str_eq(name, str_of(members[id].name))))
        id++;
    return (enum member_id)id;
}

static int parse_members(struct rule_loader *l, struct json_node *n, struct action *a)
{
    int e = 0;
    for (struct json_node *m = json_first(&l->tree, n); m != NULL && e == 0; m = json_next(m)) {
        struct str name = json_name(&l->tree, m);
        enum member_id id = find_member(a->op, name);
        if ((e = rule_once(l, m)) < 0 || str_eq(name, S("op")))
            continue;
        if (str_eq(name, S("when"))) {
            e = condition_parse(l, m, true, &a->when);
        } else if (id == M_COUNT) {
            e = rule_fault(l, m, "unknown member of op %s", a->op->name);
        } else {
            e = parse_member(l, m, &members[id], a);
            a->given |= UINT64_C(1) << id;
        }
    }
    for (unsigned id = 0; id < M_COUNT && e == 0; id++)
        if ((a->op->required & ~a->given) >> id & 1)
            e = rule_fault(l, n, "op %s needs the member %s", a->op->name, members[id].name);
    return e;
}

int action_parse(struct rule_loader *l, struct json_node *n, struct str adapter,
                 struct action *ret_a)
{
    struct action a = { .adapter = adapter, .once = true };
    int e = rule_object(l, n);
    if (e < 0)
        return e;
    struct json_node *op = json_find(&l->tree, n, S("op"));
    if (op == NULL)
        return rule_fault(l, n, "needs the member op");
    for (size_t i = 0; i < ARRAY_LEN(ops) && json_type(op) == JSON_STRING; i++)
        if (str_eq(json_string(&l->tree, op), str_of(ops[i].name)))
            a.op = &ops[i];
    if (a.op == NULL)
        return rule_fault(l, op, "unknown op");
    e = parse_members(l, n, &a);
    if (e == 0 && a.op->check != NULL)
        e = a.op->check(l, n, &a);
    if (e == 0)
        *ret_a = a;
    return e;
}

/* ---- checks ---- */

static int check_system(struct rule_loader *l, struct json_node *n, struct action *a)
{
    if (given(a, M_TEXT) == given(a, M_TEXT_FILE))
        return rule_fault(l, n, "needs one of text and text_file");
    return 0;
}

static int check_rename(struct rule_loader *l, struct json_node *n, struct action *a)
{
    bool same = a->path.n == a->to.n;
    for (size_t i = 0; same && i + 1 < a->path.n; i++)
        same = str_eq(a->path.tokens[i], a->to.tokens[i]);
    return same ? 0 : rule_fault(l, n, "from and to must have the same parent");
}

static int check_clamp(struct rule_loader *l, struct json_node *n, struct action *a)
{
    double min, max;
    if (!given(a, M_MIN) && !given(a, M_MAX))
        return rule_fault(l, n, "needs min or max");
    if (given(a, M_MIN) && given(a, M_MAX) &&
        (str_to_double(a->min, &min) < 0 || str_to_double(a->max, &max) < 0 || min > max))
        return rule_fault(l, n, "min is above max");
    return 0;
}

static int check_under(struct rule_loader *l, struct json_node *n, struct action *a)
{
    (void)n;
    if (!given(a, M_UNDER)) { /* the whole body */
        a->paths = arena_new(l->arena, struct pointer, 1);
        a->paths_n = 1;
    }
    return 0;
}

static int check_environment(struct rule_loader *l, struct json_node *n, struct action *a)
{
    (void)n;
    a->raw = op_environment_item(l->config, l->tree.arena, l->arena);
    return 0;
}

static int check_tools(struct rule_loader *l, struct json_node *n, struct action *a)
{
    if (given(a, M_FILE) == given(a, M_TOOLS))
        return rule_fault(l, n, "needs one of file and tools");
    return 0;
}

static int check_header(struct rule_loader *l, struct json_node *n, struct action *a)
{
    a->value = str_trim(a->value);
    if (!http_value_ok(a->value))
        return rule_fault(l, json_find(&l->tree, n, S("value")), "is not a header value");
    return 0;
}

static int check_names(struct rule_loader *l, struct json_node *n, struct action *a)
{
    for (size_t i = 0; i < a->names.n; i++) {
        struct str s = a->names.v[i] = arena_lower(l->arena, a->names.v[i]);
        if (str_ends(s, S("*")))
            s.n--;
        if (s.n == 0 || str_contains(s, S("*")) || !http_name_ok(s))
            return rule_fault(l,
                              pointer_element(&l->tree, json_find(&l->tree, n, S("names")),
                                              arena_printf(l->tree.arena, "%zu", i)),
                              "is not a header name, or one with * at its end");
    }
    return 0;
}

static int check_tokens(struct rule_loader *l, struct json_node *n, struct action *a)
{
    if (!given(a, M_ADD) && !given(a, M_REMOVE))
        return rule_fault(l, n, "needs add or remove");
    for (size_t i = 0; i < a->add.n; i++) {
        a->add.v[i] = str_trim(a->add.v[i]);
        if (a->add.v[i].n == 0 || !http_value_ok(a->add.v[i]) || str_contains(a->add.v[i], S(",")))
            return rule_fault(l, json_find(&l->tree, n, S("add")), "entry %zu is not a token", i);
    }
    return 0;
}

static int check_upstream(struct rule_loader *l, struct json_node *n, struct action *a)
{
    if (!given(a, M_PROTOCOL))
        a->protocol = -1;
    if (!given(a, M_PROTOCOL) && a->name.n == 0)
        return rule_fault(l, n, "needs protocol or name");
    bool known = a->name.n == 0;
    for (int s = 0; s < SERVICE_COUNT; s++)
        known = known || str_eq(a->name, str_of(service_name((enum service)s)));
    if (!known)
        return rule_fault(l, json_find(&l->tree, n, S("name")), "no upstream of this name");
    return 0;
}

/* ---- running ---- */

bool action_run(const struct action *a, struct adapter_request *r)
{
    if ((a->op->protocols & (1u << r->protocol)) == 0)
        return false;
    if (a->op->body && r->edit == NULL) {
        r->body_needed = true;
        return false;
    }
    if (a->when != NULL && !condition_true(a->when, r, NULL))
        return false;
    return a->op->apply(a, r);
}

struct str action_name(const struct action *a)
{
    return str_of(a->op->name);
}

bool action_is_raw(const struct action *a)
{
    return a->op->apply == op_raw;
}

bool action_is_reject(const struct action *a)
{
    return a->op->apply == op_reject;
}

bool action_needs_conversation(const struct action *a, enum protocol protocol)
{
    enum protocol has = a->target == ACTION_USER_ID ? PROTOCOL_MESSAGES : PROTOCOL_RESPONSES;
    return a->op->apply == op_session && a->scope == SESSION_CONVERSATION && protocol == has;
}

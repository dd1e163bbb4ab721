/* Reads the built-in rules and ADAPTERS_FILE into a set. */
#include "adapter_set.h"

#include <errno.h>
#include <stdlib.h>

#include "json.h"
#include "mem.h"
#include "rule.h"
#include "rule_file.h"

static const unsigned char builtin[] = {
#include "builtin_adapters.inc"
};

enum { SCRATCH_MAX = 1 << 30, SET_MAX = 1 << 28 };

/* One file's adapters, before the sets are put together. */
struct entries {
    struct adapter *v;
    size_t n;
};

static bool name_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return s.n >= 1 && s.n <= 40;
}

static int parse_name(struct rule_loader *l, struct json_node *n, struct adapter *a)
{
    int e = rule_string(l, n, &a->name);
    if (e == 0 && !name_ok(a->name))
        return rule_fault(l, n, "must be 1 to 40 of a-z, 0-9 and _");
    return e;
}

static int parse_version(struct rule_loader *l, struct json_node *n, struct adapter *a)
{
    return rule_string(l, n, &a->version);
}

static int parse_priority(struct rule_loader *l, struct json_node *n, struct adapter *a)
{
    return rule_int(l, n, a->builtin ? ADAPTER_DEFAULT_PRIORITY : -998, 1000, &a->priority);
}

static int parse_service(struct rule_loader *l, struct json_node *n, struct adapter *a)
{
    static const char *const choices[] = { "claude", "codex", NULL };
    int service = 0, e = rule_array(l, n, SERVICE_COUNT);
    a->services = 0;
    for (struct json_node *c = json_first(&l->tree, n); c != NULL && e == 0; c = json_next(c)) {
        e = rule_choice(l, c, choices, &service);
        a->services |= 1u << service;
    }
    if (e == 0 && a->services == 0)
        return rule_fault(l, n, "names no service");
    return e;
}

static int parse_aliases(struct rule_loader *l, struct json_node *n, struct adapter *a)
{
    int e = rule_strings(l, n, &a->aliases);
    for (size_t i = 0; i < a->aliases.n && e == 0; i++)
        if (!name_ok(a->aliases.v[i]))
            e = rule_fault(l, n, "alias %zu must be 1 to 40 of a-z, 0-9 and _", i);
    return e;
}

static int parse_match(struct rule_loader *l, struct json_node *n, struct adapter *a)
{
    return condition_parse(l, n, false, &a->match);
}

static int parse_actions(struct rule_loader *l, struct json_node *n, struct adapter *a)
{
    int e = rule_array(l, n, ADAPTER_ACTIONS_MAX);
    if (e < 0)
        return e;
    size_t count = json_count(&l->tree, n);
    a->actions = arena_new(l->arena, struct action, count + 1);
    for (struct json_node *c = json_first(&l->tree, n); c != NULL; c = json_next(c)) {
        struct action *action = &a->actions[a->actions_n++];
        if ((e = action_parse(l, c, a->name, action)) < 0)
            return e;
        if (action_is_raw(action) && count > 1)
            return rule_fault(l, c, "raw must be the only action");
    }
    return 0;
}

static int parse_enabled(struct rule_loader *l, struct json_node *n, struct adapter *a)
{
    return rule_bool(l, n, &a->enabled);
}

static const struct {
    const char *name;
    int (*parse)(struct rule_loader *l, struct json_node *n, struct adapter *a);
} members[] = {
    { "name", parse_name },       { "version", parse_version }, { "priority", parse_priority },
    { "service", parse_service }, { "aliases", parse_aliases }, { "match", parse_match },
    { "actions", parse_actions }, { "enabled", parse_enabled },
};

static int check_known(struct rule_loader *l, struct json_node *n)
{
    int e = rule_object(l, n);
    for (struct json_node *m = json_first(&l->tree, n); m != NULL && e == 0; m = json_next(m)) {
        size_t i = 0;
        while (i < ARRAY_LEN(members) && !str_eq(json_name(&l->tree, m), str_of(members[i].name)))
            i++;
        e = i == ARRAY_LEN(members) ? rule_fault(l, m, "unknown member") : rule_once(l, m);
    }
    return e;
}

/* In the table's order: the actions want the name. */
static int parse_adapter(struct rule_loader *l, struct json_node *n, struct adapter *a)
{
    a->enabled = true;
    a->version = S("1.0.0");
    a->priority = 50;
    a->services = (1u << SERVICE_COUNT) - 1;
    int e = check_known(l, n);
    for (size_t i = 0; i < ARRAY_LEN(members) && e == 0; i++) {
        struct json_node *m = json_find(&l->tree, n, str_of(members[i].name));
        e = m != NULL ? members[i].parse(l, m, a) : 0;
    }
    if (e == 0 && a->name.n == 0)
        return rule_fault(l, n, "needs a name");
    if (e == 0 && str_eq(a->name, S("default"))) {
        a->priority = ADAPTER_DEFAULT_PRIORITY; /* it is what is left, whatever the file says */
        if (!a->enabled || a->services != (1u << SERVICE_COUNT) - 1)
            return rule_fault(l, n, "the default adapter must be there on both services");
    }
    return e;
}

static const struct adapter *find(const struct entries *s, struct str name)
{
    for (size_t i = 0; i < s->n; i++)
        if (str_eq(s->v[i].name, name))
            return &s->v[i];
    return NULL;
}

static int parse_list(struct rule_loader *l, struct json_node *n, struct entries *out)
{
    bool own = str_eq(l->file, S("built-in adapters"));
    int e = rule_array(l, n, ADAPTERS_MAX);
    if (e < 0)
        return e;
    out->v = arena_new(l->arena, struct adapter, json_count(&l->tree, n) + 1);
    for (struct json_node *c = json_first(&l->tree, n); c != NULL; c = json_next(c)) {
        struct adapter *a = &out->v[out->n];
        a->builtin = own;
        if ((e = parse_adapter(l, c, a)) < 0)
            return e;
        if (find(out, a->name) != NULL)
            return rule_fault(l, json_find(&l->tree, c, S("name")),
                              "a second adapter of that name");
        out->n++;
    }
    return 0;
}

static int parse_root(struct rule_loader *l, struct json_node *root, struct entries *out)
{
    int version = 1, e = rule_object(l, root);
    struct json_node *list = NULL;
    for (struct json_node *m = json_first(&l->tree, root); m != NULL && e == 0; m = json_next(m)) {
        struct str name = json_name(&l->tree, m);
        if ((e = rule_once(l, m)) < 0)
            break;
        if (str_eq(name, S("version")))
            e = rule_int(l, m, 1, 1, &version);
        else if (str_eq(name, S("adapters")))
            list = m;
        else
            e = rule_fault(l, m, "unknown member");
    }
    if (e == 0 && list == NULL)
        return rule_fault(l, root, "needs the member adapters");
    return e == 0 ? parse_list(l, list, out) : e;
}

/* One text of rules, all the way. */
static int parse_text(struct rule_loader *l, struct str path, struct str text, struct entries *out)
{
    struct arena scratch;
    struct str json = S("");
    struct buf why CLEANUP(buf_done);
    buf_init(&why, 1024);
    arena_init(&scratch, SCRATCH_MAX);
    l->file = path;
    int e = text.n > RULE_FILE_MAX ? -EFBIG : 0;
    if (e < 0)
        buf_addf(&why, "larger than %d bytes", RULE_FILE_MAX);
    else
        e = rule_file_json(&scratch, path, text, &json, &why);
    if (e < 0) {
        buf_addf(l->error, STR_FMT ": " STR_FMT, STR_ARG(str_slice(path, 0, 1024)),
                 STR_ARG(buf_str(&why)));
    } else {
        json_edit_init(&l->tree, &scratch, json);
        e = parse_root(l, json_root(&l->tree), out);
    }
    arena_done(&scratch);
    return e;
}

/* CLAUDE_SYSTEM_PROMPT_FILE, which stands in for CLAUDE_SYSTEM_PROMPT. */
static int read_prompt(struct rule_loader *l)
{
    struct str path = l->config->claude_system_prompt_file;
    struct buf why CLEANUP(buf_done);
    buf_init(&why, 1024);
    if (path.n == 0)
        return 0;
    int e = rule_file_read(l->arena, path, &l->prompt, &why);
    if (e < 0)
        buf_addf(l->error, "CLAUDE_SYSTEM_PROMPT_FILE: " STR_FMT, STR_ARG(buf_str(&why)));
    else if (l->prompt.n == 0)
        l->prompt = S("");
    else
        l->prompt = rule_chomp(l->prompt);
    return e;
}

/* Stable: equals keep their order. */
static void insert_sorted(struct adapter_set *s, const struct adapter *a)
{
    size_t i = s->n++;
    for (; i > 0 && s->v[i - 1]->priority < a->priority; i--)
        s->v[i] = s->v[i - 1];
    s->v[i] = a;
}

static void put_together(struct adapter_set *s, const struct entries *file,
                         const struct entries *own)
{
    s->v = arena_new(&s->arena, const struct adapter *, file->n + own->n + 1);
    for (size_t i = 0; i < file->n; i++)
        insert_sorted(s, &file->v[i]);
    for (size_t i = 0; i < own->n; i++)
        if (find(file, own->v[i].name) == NULL)
            insert_sorted(s, &own->v[i]);
    must(s->n > 0);
    must(adapter_is_default(s->v[s->n - 1]));
}

int adapters_parse(const struct config *config, struct str path, struct str text,
                   struct adapter_set **ret_set, struct buf *ret_error)
{
    struct adapter_set *s = mem_new(struct adapter_set);
    struct entries own = { NULL, 0 }, file = { NULL, 0 };
    arena_init(&s->arena, SET_MAX);
    struct rule_loader l = {
        .config = config, .arena = &s->arena, .text_left = RULE_TEXT_MAX, .error = ret_error
    };
    int e = read_prompt(&l);
    if (e == 0)
        e = parse_text(&l, S("built-in adapters"),
                       (struct str){ (const char *)builtin, sizeof builtin }, &own);
    if (e == 0 && text.p != NULL)
        e = parse_text(&l, path, text, &file);
    if (e < 0) {
        adapters_free(s);
        return e;
    }
    put_together(s, &file, &own);
    *ret_set = s;
    return 0;
}

int adapters_load(const struct config *config, struct adapter_set **ret_set, struct buf *ret_error)
{
    struct str path = config->adapters_file, text = { NULL, 0 };
    struct arena scratch;
    struct buf why CLEANUP(buf_done);
    buf_init(&why, 1024);
    arena_init(&scratch, SCRATCH_MAX);
    int e = path.n > 0 ? rule_file_read(&scratch, path, &text, &why) : 0;
    if (e < 0)
        buf_addf(ret_error, "ADAPTERS_FILE: " STR_FMT, STR_ARG(buf_str(&why)));
    else if (path.n > 0 && text.p == NULL)
        text = S("");
    if (e == 0)
        e = adapters_parse(config, path, text, ret_set, ret_error);
    arena_done(&scratch);
    return e;
}

void adapters_free(struct adapter_set *s)
{
    if (s == NULL)
        return;
    arena_done(&s->arena);
    free(s);
}

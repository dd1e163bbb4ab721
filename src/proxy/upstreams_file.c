/* Reads the tree of CONFIG_FILE: tables say which members a mapping has. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "rule_file.h"
#include "tls.h"
#include "upstreams_set.h"

enum { NAME_LEN_MAX = 64, KEY_LEN_MAX = 4096, SHOWN_LEN_MAX = 64 };

struct reader {
    struct upstreams *set;
    const struct config *config;
    struct pool *pool;
    struct buf *error;
};

static int fault(struct reader *r, const struct yaml_tree *at, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* "file x.yaml, line 3, column 5: protocol: ...".  Values are not shown: one may be a key. */
static int fault(struct reader *r, const struct yaml_tree *at, const char *fmt, ...)
{
    char why[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    buf_addf(r->error,
             "file " STR_FMT ", line %zu, column %zu: ", STR_ARG(str_slice(r->set->path, 0, 1024)),
             at->place.line, at->place.column);
    if (at->key.n > 0)
        buf_addf(r->error, STR_FMT ": ", STR_ARG(str_slice(at->key, 0, SHOWN_LEN_MAX)));
    buf_add(r->error, str_of(why));
    return -EINVAL;
}

/* ---- mappings by table ---- */

struct member {
    struct str name;
    int (*read)(struct reader *r, const struct yaml_tree *n, void *to);
    bool required;
};

static const struct member *member_find(const struct member *members, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(members[i].name, name))
            return &members[i];
    }
    return NULL;
}

/* at: a mapping, or NONE for an empty one.  Members without a value are passed over. */
static int read_members(struct reader *r, const struct yaml_tree *at, const struct member *members,
                        size_t n, void *to)
{
    if (at->kind != YAML_TREE_MAP && at->kind != YAML_TREE_NONE)
        return fault(r, at, "must be a mapping");
    for (const struct yaml_tree *each = at->first; each != NULL; each = each->next) {
        const struct member *m = member_find(members, n, each->key);
        if (m == NULL)
            return fault(r, each, "no such key here");
        int e = each->kind == YAML_TREE_NONE ? 0 : m->read(r, each, to);
        if (e < 0)
            return e;
    }
    for (size_t i = 0; i < n; i++) {
        if (members[i].required && yaml_tree_member(at, members[i].name) == NULL)
            return fault(r, at, "needs %s", members[i].name.p);
    }
    return 0;
}

static int need_text(struct reader *r, const struct yaml_tree *n)
{
    return n->kind == YAML_TREE_TEXT && n->text.n > 0 ? 0 : fault(r, n, "must be a text");
}

/* One of the words, by its place among them. */
static int read_word(struct reader *r, const struct yaml_tree *n, struct str words, int *ret)
{
    struct str rest = words, each;
    if (need_text(r, n) < 0)
        return -EINVAL;
    for (int i = 0; str_next(&rest, ' ', &each); i++) {
        if (str_eq(n->text, each)) {
            *ret = i;
            return 0;
        }
    }
    return fault(r, n, "must be one of " STR_FMT, STR_ARG(words));
}

static int read_bool(struct reader *r, const struct yaml_tree *n, bool *ret)
{
    static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };
    for (size_t i = 0; n->kind == YAML_TREE_TEXT && i < ARRAY_LEN(words); i++) {
        if (str_eq_nocase(n->text, str_of(words[i]))) {
            *ret = i % 2 == 1;
            return 0;
        }
    }
    return fault(r, n, "must be true or false");
}

/* ---- upstreams ---- */

struct upstream_entry {
    struct upstream_settings s;
    struct str ca_file;
};

static int read_base_url(struct reader *r, const struct yaml_tree *n, void *to)
{
    struct upstream_entry *u = to;
    u->s.base_url = n->text;
    return need_text(r, n);
}

static int read_protocol(struct reader *r, const struct yaml_tree *n, void *to)
{
    struct upstream_entry *u = to;
    if (need_text(r, n) < 0)
        return -EINVAL;
    if (upstream_protocols(n->text, &u->s.protocol, &u->s.speaks) < 0)
        return fault(r, n, "must be messages, chat or responses, or a comma list of them");
    return 0;
}

static int read_stream(struct reader *r, const struct yaml_tree *n, void *to)
{
    struct upstream_entry *u = to;
    int i = 0;
    if (read_word(r, n, S("auto always never"), &i) < 0)
        return -EINVAL;
    u->s.stream = (enum upstream_stream)i;
    return 0;
}

static int read_profile(struct reader *r, const struct yaml_tree *n, void *to)
{
    struct upstream_entry *u = to;
    u->s.profile.name = n->text;
    if (need_text(r, n) < 0)
        return -EINVAL;
    return profile_exists(n->text) ? 0 : fault(r, n, "there is no such profile");
}

/* A key becomes a header field. */
static int set_key(struct reader *r, const struct yaml_tree *n, struct upstream_entry *u,
                   struct str key)
{
    if (u->s.key.n > 0)
        return fault(r, n, "key and key_file exclude each other");
    for (size_t i = 0; i < key.n; i++) {
        if (key.p[i] <= ' ' || key.p[i] > '~')
            return fault(r, n, "a key has visible ASCII characters only");
    }
    if (key.n == 0 || key.n > KEY_LEN_MAX)
        return fault(r, n, "a key has 1 to %d characters", KEY_LEN_MAX);
    u->s.key = key;
    return 0;
}

static int read_key(struct reader *r, const struct yaml_tree *n, void *to)
{
    return need_text(r, n) < 0 ? -EINVAL : set_key(r, n, to, n->text);
}

static int read_key_file(struct reader *r, const struct yaml_tree *n, void *to)
{
    struct str text;
    struct buf why CLEANUP(buf_done);
    buf_init(&why, 1024);
    if (need_text(r, n) < 0)
        return -EINVAL;
    if (rule_file_read(&r->set->arena, n->text, &text, &why) < 0)
        return fault(r, n, STR_FMT, STR_ARG(buf_str(&why)));
    return set_key(r, n, to, str_trim(text));
}

static int read_proxy(struct reader *r, const struct yaml_tree *n, void *to)
{
    struct upstream_entry *u = to;
    u->s.proxy = n->text;
    return need_text(r, n);
}

static int read_ca_file(struct reader *r, const struct yaml_tree *n, void *to)
{
    struct upstream_entry *u = to;
    struct buf why CLEANUP(buf_done);
    buf_init(&why, 1024);
    if (need_text(r, n) < 0)
        return -EINVAL;
    u->ca_file = n->text;
    must(u->s.tls == NULL);
    if (tls_client_new(arena_cstr(&r->set->arena, n->text), &u->s.tls, &why) < 0)
        return fault(r, n, STR_FMT, STR_ARG(buf_str(&why)));
    return 0;
}

/* [low, high] is written as low,high. */
static int setting_value(struct reader *r, const struct yaml_tree *n, struct str *ret)
{
    struct buf list CLEANUP(buf_done);
    buf_init(&list, 4096);
    if (n->kind == YAML_TREE_TEXT) {
        *ret = n->text;
        return 0;
    }
    if (n->kind != YAML_TREE_LIST)
        return fault(r, n, "must be a text or a list of texts");
    for (const struct yaml_tree *each = n->first; each != NULL; each = each->next) {
        if (each->kind != YAML_TREE_TEXT)
            return fault(r, each, "must be a text");
        buf_addf(&list, "%s" STR_FMT, each == n->first ? "" : ",", STR_ARG(each->text));
    }
    if (list.overflow)
        return fault(r, n, "too long");
    *ret = arena_str(&r->set->arena, buf_str(&list));
    return 0;
}

static size_t count_children(const struct yaml_tree *n)
{
    size_t count = 0;
    for (const struct yaml_tree *each = n->first; each != NULL; each = each->next)
        count++;
    return count;
}

static int read_settings(struct reader *r, const struct yaml_tree *n, void *to)
{
    struct upstream_entry *u = to;
    struct buf why CLEANUP(buf_done);
    buf_init(&why, 1024);
    if (n->kind != YAML_TREE_MAP)
        return fault(r, n, "must be a mapping of profile settings");
    struct profile_override *list =
        arena_new(&r->set->arena, struct profile_override, count_children(n));
    for (const struct yaml_tree *each = n->first; each != NULL; each = each->next) {
        struct profile_override *o = &list[u->s.profile.override_count++];
        o->setting = each->key;
        if (setting_value(r, each, &o->value) < 0)
            return -EINVAL;
        const struct yaml_tree at = { .place = each->place }; /* the reason has the key */
        if (profile_check(o, &why) < 0)
            return fault(r, &at, STR_FMT, STR_ARG(buf_str(&why)));
    }
    u->s.profile.overrides = list;
    return 0;
}

static const struct member upstream_members[] = {
    { S_INIT("base_url"), read_base_url, true },  { S_INIT("protocol"), read_protocol, true },
    { S_INIT("profile"), read_profile, false },   { S_INIT("key"), read_key, false },
    { S_INIT("key_file"), read_key_file, false }, { S_INIT("proxy"), read_proxy, false },
    { S_INIT("ca_file"), read_ca_file, false },   { S_INIT("stream"), read_stream, false },
    { S_INIT("settings"), read_settings, false },
};

static int check_name(struct reader *r, const struct yaml_tree *n)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    bool good = n->key.n > 0 && n->key.n <= NAME_LEN_MAX && strchr("._-", n->key.p[0]) == NULL;
    for (size_t i = 0; i < n->key.n && good; i++)
        good = memchr(allowed, n->key.p[i], sizeof(allowed) - 1) != NULL;
    if (!good)
        return fault(r, n,
                     "a name has 1 to %d characters of A-Z a-z 0-9 . _ - and begins with a letter "
                     "or digit",
                     NAME_LEN_MAX);
    if (str_eq(n->key, S("default")) || upstreams_find(r->set, n->key) != NULL)
        return fault(r, n, "this name stands for an upstream of the settings; choose another");
    return 0;
}

static int check_key(struct reader *r, const struct yaml_tree *n, const struct upstream_entry *u)
{
    struct buf why CLEANUP(buf_done);
    const struct yaml_tree *key = yaml_tree_member(n, S("key"));
    buf_init(&why, 1024);
    if (u->s.key.n == 0 || config_check_key(r->config, S("this key"), &why) == 0)
        return 0;
    return fault(r, key != NULL ? key : yaml_tree_member(n, S("key_file")), STR_FMT,
                 STR_ARG(buf_str(&why)));
}

static int read_upstream(struct reader *r, const struct yaml_tree *n)
{
    struct upstreams *set = r->set;
    struct upstream_entry u = { .s = { .name = n->key } };
    struct upstream_fault why;
    if (check_name(r, n) < 0)
        return -EINVAL;
    int e = read_members(r, n, upstream_members, ARRAY_LEN(upstream_members), &u);
    set->tls[set->n] = u.s.tls; /* owned from here on, also after an error */
    set->ca_files[set->n] = u.ca_file;
    set->settings[set->n] = u.s;
    size_t i = set->n++;
    if (e == 0)
        e = check_key(r, n, &u);
    if (e < 0)
        return e;
    if (upstream_open(&set->upstreams[i], &u.s, r->config, &set->arena, r->pool, &why) == 0)
        return 0;
    const struct yaml_tree *at = yaml_tree_member(n, str_of(why.member));
    return at != NULL ? fault(r, at, "%s", why.why) : fault(r, n, "%s: %s", why.member, why.why);
}

static int read_upstreams(struct reader *r, const struct yaml_tree *n, void *to)
{
    struct upstreams *set = to;
    if (n->kind != YAML_TREE_MAP)
        return fault(r, n, "must be a mapping of names to upstreams");
    size_t count = count_children(n);
    if (count > UPSTREAMS_MAX)
        return fault(r, n, "more than %d upstreams", UPSTREAMS_MAX);
    set->upstreams = arena_new(&set->arena, struct upstream, count);
    set->settings = arena_new(&set->arena, struct upstream_settings, count);
    set->tls = arena_new(&set->arena, SSL_CTX *, count);
    set->ca_files = arena_new(&set->arena, struct str, count);
    for (const struct yaml_tree *each = n->first; each != NULL; each = each->next) {
        if (read_upstream(r, each) < 0)
            return -EINVAL;
    }
    return 0;
}

/* ---- services ---- */

struct route_entry {
    struct str glob, model;
    const struct upstream *upstream; /* NULL: default */
};

static int read_glob(struct reader *r, const struct yaml_tree *n, void *to)
{
    struct route_entry *e = to;
    e->glob = n->text;
    return need_text(r, n);
}

static int read_route_upstream(struct reader *r, const struct yaml_tree *n, void *to)
{
    struct route_entry *e = to;
    if (need_text(r, n) < 0)
        return -EINVAL;
    e->upstream = upstreams_find(r->set, n->text);
    if (e->upstream == NULL && !str_eq(n->text, S("default")))
        return fault(r, n, "there is no upstream of this name");
    return 0;
}

static int read_route_model(struct reader *r, const struct yaml_tree *n, void *to)
{
    struct route_entry *e = to;
    e->model = n->text;
    return need_text(r, n);
}

static const struct member route_members[] = {
    { S_INIT("model"), read_glob, true },
    { S_INIT("upstream"), read_route_upstream, true },
    { S_INIT("upstream_model"), read_route_model, false },
};

static int read_strict(struct reader *r, const struct yaml_tree *n, void *to)
{
    struct route_table *t = to;
    return read_bool(r, n, &t->strict);
}

static int read_routes(struct reader *r, const struct yaml_tree *n, void *to)
{
    struct route_table *t = to;
    enum service service = (enum service)(t - r->set->tables);
    if (n->kind != YAML_TREE_LIST)
        return fault(r, n, "must be a list of routes");
    t->rows = arena_new(&r->set->arena, struct route_row, count_children(n));
    for (const struct yaml_tree *each = n->first; each != NULL; each = each->next) {
        struct route_entry e = { .upstream = NULL };
        if (read_members(r, each, route_members, ARRAY_LEN(route_members), &e) < 0)
            return -EINVAL;
        t->rows[t->n].glob = e.glob;
        upstreams_aim(r->set, service, &t->rows[t->n], e.upstream, e.model);
        t->n++;
    }
    return 0;
}

static const struct member service_members[] = {
    { S_INIT("routes"), read_routes, false },
    { S_INIT("strict"), read_strict, false },
};

static void set_strict(struct route_row *row, bool strict)
{
    for (int p = 0; p < PROTOCOL_COUNT; p++)
        row->to[p].strict = strict;
}

static int read_service(struct reader *r, const struct yaml_tree *n, struct route_table *t)
{
    int e = read_members(r, n, service_members, ARRAY_LEN(service_members), t);
    t->given = true;
    for (size_t i = 0; i < t->n; i++)
        set_strict(&t->rows[i], t->strict);
    set_strict(&t->otherwise, t->strict);
    return e;
}

static int read_claude(struct reader *r, const struct yaml_tree *n, void *to)
{
    struct upstreams *set = to;
    return read_service(r, n, &set->tables[SERVICE_CLAUDE]);
}

static int read_codex(struct reader *r, const struct yaml_tree *n, void *to)
{
    struct upstreams *set = to;
    return read_service(r, n, &set->tables[SERVICE_CODEX]);
}

static const struct member services_members[] = {
    { S_INIT("claude"), read_claude, false },
    { S_INIT("codex"), read_codex, false },
};

static int read_services(struct reader *r, const struct yaml_tree *n, void *to)
{
    return read_members(r, n, services_members, ARRAY_LEN(services_members), to);
}

/* ---- the file ---- */

static int skip(struct reader *r, const struct yaml_tree *n, void *to)
{
    (void)r, (void)n, (void)to;
    return 0;
}

/* Routes name upstreams, wherever these stand: so the file is gone through twice. */
static const struct member first_members[] = {
    { S_INIT("upstreams"), read_upstreams, false },
    { S_INIT("services"), skip, false },
};

static const struct member second_members[] = {
    { S_INIT("upstreams"), skip, false },
    { S_INIT("services"), read_services, false },
};

int upstreams_read(struct upstreams *u, const struct config *config, struct pool *pool,
                   const struct yaml_tree *root, struct buf *ret_error)
{
    struct reader r = { .set = u, .config = config, .pool = pool, .error = ret_error };
    int e = read_members(&r, root, first_members, ARRAY_LEN(first_members), u);
    return e < 0 ? e : read_members(&r, root, second_members, ARRAY_LEN(second_members), u);
}

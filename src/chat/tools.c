/*
 * A tool has two names: the client's, with its namespace in front, by which it is declared, chosen
 * and called; and the upstream's.  The first is the key of everything here.
 */
#include "tools.h"

#include "hash.h"
#include "names.h"
#include "schema.h"

enum { HASH_DIGITS = 8, HASH_DIGITS_MORE = 16, NAME_MAX_MESSAGES = 128, NAME_MAX_OPENAI = 64 };

/* ---- names ---- */

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static bool is_legal(struct str name, size_t limit)
{
    for (size_t i = 0; i < name.n; i++)
        if (!is_name_byte(name.p[i]))
            return false;
    return name.n > 0 && name.n <= limit;
}

static struct str shorten(struct arena *a, struct str name, size_t limit, int hash_digits)
{
    size_t tail = (size_t)hash_digits + 1, keep = limit - tail;
    must(limit > tail);
    keep = name.n < keep ? name.n : keep;
    char *p = arena_new(a, char, keep + tail);
    for (size_t i = 0; i < keep; i++)
        p[i] = '_';
    for (size_t i = 0; i < keep; i++)
        if (is_name_byte(name.p[i]))
            p[i] = name.p[i];
    p[keep] = '_';
    hash_hex(name, p + keep + 1, tail - 1);
    return (struct str){ p, keep + tail };
}

const struct chat_tool *const *tools_allowed(const struct convert *c)
{
    const struct chat_tool_choice *choice = &c->request.choice;
    const struct chat_tool **ret =
        arena_new(c->temp, const struct chat_tool *, choice->allowed_count + 1u);
    size_t count = 0;
    struct names tools;
    names_init(&tools, c->temp);
    for (struct chat_tool *t = c->request.tools; t != NULL; t = t->next)
        *names_slot(&tools, t->upstream_name) = t;
    for (uint32_t i = 0; i < choice->allowed_count; i++) {
        const struct chat_tool *t = names_find(&tools, choice->allowed[i]);
        if (t != NULL)
            ret[count++] = t;
    }
    return ret;
}

struct str tools_short(struct arena *a, struct str name, size_t limit, int hash_digits)
{
    return is_legal(name, limit) ? name : shorten(a, name, limit, hash_digits);
}

/* The name of a tool that has none in its declaration. */
static struct str kind_name(enum chat_tool_kind kind)
{
    static const struct str names[CHAT_TOOL_KIND_COUNT] = {
        [CHAT_TOOL_LOCAL_SHELL] = S_INIT("local_shell"), [CHAT_TOOL_SHELL] = S_INIT("shell"),
        [CHAT_TOOL_APPLY_PATCH] = S_INIT("apply_patch"), [CHAT_TOOL_SEARCH] = S_INIT("tool_search"),
        [CHAT_TOOL_WEB_SEARCH] = S_INIT("web_search"),
    };
    return names[kind];
}

static struct str client_name(struct arena *a, struct str space, struct str name,
                              enum chat_tool_kind kind)
{
    if (name.n == 0)
        name = kind_name(kind);
    return space.n == 0 ? name : arena_cat(a, arena_cat(a, space, S("__")), name);
}

/* ---- kinds, schemas, descriptions ---- */

enum chat_tool_kind tools_upstream_kind(const struct convert *c, enum chat_tool_kind kind)
{
    enum protocol upstream = c->options.upstream;
    if (upstream == PROTOCOL_RESPONSES || kind == CHAT_TOOL_WEB_SEARCH)
        return kind;
    if (kind == CHAT_TOOL_CUSTOM && upstream == PROTOCOL_CHAT && c->profile.chat_custom_tools)
        return kind;
    return CHAT_TOOL_FUNCTION;
}

static struct str fixed_schema(enum chat_tool_kind kind)
{
    static const struct str schemas[CHAT_TOOL_KIND_COUNT] = {
#define JSON(...) #__VA_ARGS__
#define BUILTIN(kind, schema) [CHAT_TOOL_##kind] = S_INIT(schema),
#include "tools_builtin.def"
#undef BUILTIN
#undef JSON
    };
    return schemas[kind];
}

static bool has_grammar(const struct chat_tool *t)
{
    return t->kind == CHAT_TOOL_CUSTOM && t->grammar_syntax.n > 0;
}

/* W of C1.5 */
static struct str custom_schema(struct arena *a, const struct chat_tool *t)
{
    struct json_out o;
    struct buf buf;
    buf_init(&buf, SIZE_MAX);
    json_out_init(&o, &buf);
    json_out_object(&o);
    json_out_member_str(&o, S("type"), S("object"));
    json_out_name(&o, S("properties"));
    json_out_object(&o);
    json_out_name(&o, S("input"));
    json_out_object(&o);
    json_out_member_str(&o, S("type"), S("string"));
    json_out_name(&o, S("description"));
    json_out_string_begin(&o);
    if (has_grammar(t)) {
        json_out_string_add(&o, TEXT("Text that matches the "));
        json_out_string_add(&o, text_escape(a, t->grammar_syntax));
        json_out_string_add(&o, TEXT(" grammar in the tool description."));
    } else {
        json_out_string_add(&o, TEXT("Free text input of the tool."));
    }
    json_out_string_end(&o);
    json_out_object_end(&o);
    json_out_object_end(&o);
    json_out_member_raw(&o, S("required"), S("[\"input\"]"));
    json_out_member_bool(&o, S("additionalProperties"), false);
    json_out_object_end(&o);
    struct str schema = arena_str(a, buf_str(&buf));
    buf_done(&buf);
    return schema;
}

static struct str upstream_schema(struct convert *c, const struct chat_tool *t, bool *ret_wrapped)
{
    enum chat_tool_kind kind = tools_upstream_kind(c, t->kind);
    *ret_wrapped = false;
    if (kind != CHAT_TOOL_FUNCTION && kind != CHAT_TOOL_SEARCH)
        return S("");
    if (t->kind == CHAT_TOOL_CUSTOM)
        return custom_schema(c->temp, t);
    if (fixed_schema(t->kind).n > 0)
        return fixed_schema(t->kind);
    if (c->options.upstream == PROTOCOL_MESSAGES)
        return schema_for_messages(c->temp, t->schema, ret_wrapped);
    return schema_for_openai(c->temp, t->schema);
}

struct str tools_schema(struct convert *c, const struct chat_tool *t)
{
    bool wrapped;
    return t->upstream_name.n > 0 ? t->schema : upstream_schema(c, t, &wrapped);
}

struct text tools_description(struct convert *c, const struct chat_tool *t)
{
    struct arena *a = c->temp;
    if (!has_grammar(t) || tools_upstream_kind(c, t->kind) == CHAT_TOOL_CUSTOM)
        return t->description;
    struct text d = t->description;
    if (d.n > 0)
        d = text_cat(a, d, TEXT("\\n\\n"));
    d = text_cat(a, d, TEXT("The input must match this "));
    d = text_cat(a, d, text_escape(a, t->grammar_syntax));
    d = text_cat(a, d, TEXT(" grammar:\\n"));
    return text_cat(a, d, t->grammar);
}

/* ---- the request's tools ---- */

int tools_leave_out(struct convert *c, struct str path)
{
    c->request.tools_lost = true;
    return convert_warn(c, "dropped", path);
}

struct prepare {
    struct convert *c;
    struct names declared; /* client's name -> struct chat_tool, of those that stay */
    struct names known;    /* client's name -> struct known */
    struct names taken;    /* upstream's names */
    size_t name_max;
};

/* A row of c->tools, which may move. */
struct known {
    uint32_t index;
};

static bool is_taken_by_upstream(const struct convert *c, const struct chat_tool *t)
{
    if (t->kind != CHAT_TOOL_WEB_SEARCH || c->options.upstream == PROTOCOL_RESPONSES)
        return true;
    return c->options.upstream == PROTOCOL_MESSAGES ? c->profile.anthropic_web_search
                                                    : c->profile.chat_web_search_options;
}

/* OpenAI's web search has no name, so a function may have it. */
static struct str tool_key(const struct prepare *p, const struct chat_tool *t)
{
    if (t->kind == CHAT_TOOL_WEB_SEARCH)
        return p->c->options.upstream == PROTOCOL_MESSAGES ? S("web_search") : S("\0web_search");
    return client_name(p->c->temp, t->space, t->name, t->kind);
}

static void declare(struct prepare *p, bool spaces)
{
    for (struct chat_tool *t = p->c->request.tools; t != NULL; t = t->next) {
        if ((t->space.n > 0) != spaces || !is_taken_by_upstream(p->c, t))
            continue;
        void **slot = names_slot(&p->declared, tool_key(p, t));
        if (*slot == NULL)
            *slot = t;
    }
}

static int warn_lost(struct prepare *p, const struct chat_tool *t)
{
    struct convert *c = p->c;
    c->request.tools_lost = true;
    if (t->kind == CHAT_TOOL_WEB_SEARCH && c->options.client == PROTOCOL_CHAT)
        return convert_warn(c, "dropped", S("web_search_options"));
    struct str name = client_name(c->temp, t->space, t->name, t->kind);
    return convert_warn(c, "dropped", chat_path(c, S("tools"), -1, name));
}

/* A top-level tool wins over one in a namespace, else the first over the second. */
static int keep_declared(struct prepare *p)
{
    struct chat_request *r = &p->c->request;
    declare(p, false);
    declare(p, true);
    struct chat_tool **at = &r->tools, *last = NULL;
    while (*at != NULL) {
        struct chat_tool *t = *at;
        if (names_find(&p->declared, tool_key(p, t)) == t) {
            last = t;
            at = &t->next;
            continue;
        }
        int rc = warn_lost(p, t);
        if (rc < 0)
            return rc;
        *at = t->next;
    }
    r->last_tool = last;
    return 0;
}

static struct chat_tool *find_declared(const struct prepare *p, struct str key)
{
    struct chat_tool *t = names_find(&p->declared, key);
    if (t == NULL && str_eq(key, S("web_search")))
        t = names_find(&p->declared, S("\0web_search"));
    return t;
}

/* ---- allowed_tools ---- */

static void keep_allowed(struct prepare *p)
{
    struct chat_request *r = &p->c->request;
    struct names allowed;
    names_init(&allowed, p->c->temp);
    for (uint32_t i = 0; i < r->choice.allowed_count; i++)
        names_add(&allowed, r->choice.allowed[i]);
    struct chat_tool **at = &r->tools, *last = NULL;
    while (*at != NULL) {
        struct chat_tool *t = *at;
        if (names_find(&allowed, tool_key(p, t)) != NULL) {
            last = t;
            at = &t->next;
        } else {
            *at = t->next;
        }
    }
    r->last_tool = last;
    if (r->choice.kind == CHAT_CHOICE_ANY && last != NULL && r->tools == last) {
        r->choice.kind = CHAT_CHOICE_TOOL;
        r->choice.name = last->name;
        r->choice.space = last->space;
        r->choice.tool_kind = last->kind;
    }
    r->choice.has_allowed = false;
}

/* Drops what is not declared; for Messages, which knows no such list, drops the other tools. */
static int apply_allowed(struct prepare *p)
{
    struct chat_tool_choice *ch = &p->c->request.choice;
    if (!ch->has_allowed)
        return 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < ch->allowed_count; i++)
        if (find_declared(p, ch->allowed[i]) != NULL)
            ch->allowed[n++] = ch->allowed[i];
    ch->allowed_count = n;
    if (n == 0 && ch->kind == CHAT_CHOICE_ANY)
        return convert_reject(p->c, S("tool_choice"),
                              "requires one of the allowed tools, but none of them is there");
    if (n == 0) { /* the tools stay: the history may hold calls */
        ch->kind = CHAT_CHOICE_NONE;
        ch->has_allowed = false;
    } else if (p->c->options.upstream == PROTOCOL_MESSAGES) {
        keep_allowed(p);
    }
    return 0;
}

/* ---- upstream names ---- */

static struct convert_tool *add_known(struct prepare *p, struct str key,
                                      const struct convert_tool *row)
{
    struct convert *c = p->c;
    if (c->tool_count == c->tool_cap) {
        uint32_t cap = c->tool_cap > 0 ? 2 * c->tool_cap : 16;
        struct convert_tool *tools = arena_new(&c->arena, struct convert_tool, cap);
        for (uint32_t i = 0; i < c->tool_count; i++)
            tools[i] = c->tools[i];
        c->tools = tools;
        c->tool_cap = cap;
    }
    struct known *known = arena_new(c->temp, struct known, 1);
    known->index = c->tool_count;
    *names_slot(&p->known, key) = known;
    struct convert_tool *to = &c->tools[c->tool_count++];
    *to = *row;
    to->upstream_name = arena_str(&c->arena, row->upstream_name);
    to->name = arena_str(&c->arena, row->name);
    to->space = arena_str(&c->arena, row->space);
    return to;
}

static struct str make_name(struct prepare *p, struct str key)
{
    struct str name = tools_short(p->c->temp, key, p->name_max, HASH_DIGITS);
    if (!names_add(&p->taken, name)) {
        name = shorten(p->c->temp, key, p->name_max, HASH_DIGITS_MORE);
        (void)names_add(&p->taken, name);
    }
    return name;
}

static void name_tool(struct prepare *p, struct chat_tool *t, struct str key)
{
    bool wrapped;
    struct str schema = upstream_schema(p->c, t, &wrapped);
    if (t->kind == CHAT_TOOL_WEB_SEARCH) {
        t->upstream_name = kind_name(t->kind);
        return;
    }
    struct convert_tool row = {
        .upstream_name = make_name(p, key),
        .name = t->name.n > 0 ? t->name : key,
        .space = t->space,
        .kind = t->kind,
        .upstream_kind = tools_upstream_kind(p->c, t->kind),
        .wrapped = wrapped,
    };
    add_known(p, key, &row);
    t->upstream_name = row.upstream_name;
    t->schema = schema;
}

/* Names that may stay come first, so that a shortened one never takes theirs. */
static void name_tools(struct prepare *p)
{
    struct convert *c = p->c;
    if (c->options.upstream == PROTOCOL_MESSAGES && find_declared(p, S("web_search")) != NULL)
        (void)names_add(&p->taken, S("web_search"));
    for (int legal = 1; legal >= 0; legal--)
        for (struct chat_tool *t = c->request.tools; t != NULL; t = t->next) {
            struct str key = client_name(c->temp, t->space, t->name, t->kind);
            if (is_legal(key, p->name_max) == (legal == 1))
                name_tool(p, t, key);
        }
}

static struct str name_call(struct prepare *p, struct chat_call *call)
{
    struct str key = client_name(p->c->temp, call->space, call->name, call->kind);
    struct known *known = names_find(&p->known, key);
    if (known != NULL)
        return p->c->tools[known->index].upstream_name;
    struct convert_tool row = {
        .upstream_name = make_name(p, key),
        .name = call->name.n > 0 ? call->name : key,
        .space = call->space,
        .kind = call->kind,
        .upstream_kind = tools_upstream_kind(p->c, call->kind),
    };
    return add_known(p, key, &row)->upstream_name;
}

static void name_calls(struct prepare *p)
{
    for (struct chat_message *m = p->c->request.messages; m != NULL; m = m->next)
        for (struct chat_block *b = m->blocks; b != NULL; b = b->next)
            if (b->kind == CHAT_CALL) {
                b->call.name = name_call(p, &b->call);
                b->call.space = S("");
            }
}

/* ---- the choice ---- */

static bool can_be_chosen(const struct convert *c, const struct chat_tool *t)
{
    /* in Chat it is no tool, only an option of the request */
    return t->kind != CHAT_TOOL_WEB_SEARCH || c->options.upstream != PROTOCOL_CHAT;
}

static int choose_tool(struct prepare *p)
{
    struct convert *c = p->c;
    struct chat_tool_choice *ch = &c->request.choice;
    struct chat_tool *t = NULL;
    if (ch->type.n == 0)
        t = find_declared(p, client_name(c->temp, ch->space, ch->name, ch->tool_kind));
    if (t == NULL)
        return convert_reject(c, S("tool_choice"),
                              "forces the tool \"" STR_FMT "\", which the upstream does not get",
                              STR_ARG(ch->type.n > 0 ? ch->type : ch->name));
    if (!can_be_chosen(c, t)) {
        ch->kind = CHAT_CHOICE_AUTO;
        return convert_warn(c, "degraded", S("tool_choice"));
    }
    ch->name = t->upstream_name;
    ch->space = S("");
    ch->tool_kind = tools_upstream_kind(c, t->kind);
    return 0;
}

static void name_allowed(struct prepare *p)
{
    struct chat_tool_choice *ch = &p->c->request.choice;
    uint32_t n = 0;
    for (uint32_t i = 0; i < ch->allowed_count; i++) {
        struct chat_tool *t = find_declared(p, ch->allowed[i]);
        if (can_be_chosen(p->c, t))
            ch->allowed[n++] = t->upstream_name;
    }
    ch->allowed_count = n;
    ch->has_allowed = n > 0;
    if (n == 0) /* not "any tool" */
        ch->kind = CHAT_CHOICE_NONE;
}

static int prepare_choice(struct prepare *p)
{
    struct convert *c = p->c;
    struct chat_tool_choice *ch = &c->request.choice;
    int rc = ch->kind == CHAT_CHOICE_TOOL ? choose_tool(p) : 0;
    if (rc < 0)
        return rc;
    if (ch->has_allowed)
        name_allowed(p);
    for (struct chat_tool *t = c->request.tools; t != NULL; t = t->next)
        if (can_be_chosen(c, t))
            return 0;
    if (ch->kind == CHAT_CHOICE_ANY && c->request.tools_lost)
        return convert_reject(c, S("tool_choice"),
                              "requires a call, but the upstream gets none of the tools");
    /* what is left may be a search, which no choice names: it can be forbidden only */
    bool search = c->request.tools != NULL;
    if (search && ch->kind == CHAT_CHOICE_NONE)
        return 0;
    bool forced = ch->kind == CHAT_CHOICE_ANY;
    *ch = (struct chat_tool_choice){ .kind = CHAT_CHOICE_ABSENT };
    return search && forced ? convert_warn(c, "degraded", S("tool_choice")) : 0;
}

int tools_prepare(struct convert *c)
{
    struct prepare p = {
        .c = c,
        .name_max = c->options.upstream == PROTOCOL_MESSAGES ? NAME_MAX_MESSAGES : NAME_MAX_OPENAI,
    };
    names_init(&p.declared, c->temp);
    names_init(&p.known, c->temp);
    names_init(&p.taken, c->temp);
    int rc = keep_declared(&p);
    if (rc < 0)
        return rc;
    rc = apply_allowed(&p);
    if (rc < 0)
        return rc;
    name_tools(&p);
    name_calls(&p);
    return prepare_choice(&p);
}

const struct convert_tool *tools_find(const struct convert *c, struct str upstream_name)
{
    for (uint32_t i = 0; i < c->tool_count; i++)
        if (str_eq(c->tools[i].upstream_name, upstream_name))
            return &c->tools[i];
    return NULL;
}

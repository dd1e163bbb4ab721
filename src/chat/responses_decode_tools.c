/* The list of tools and the choice among them. */
#include "responses_request.h"

#include "err.h"
#include "member.h"
#include "params.h"
#include "tools.h"

/* A tool that is about to be read: its node, where it stands, and the namespace around it. */
struct declared {
    struct json_node *node;
    struct str list; /* path of the array */
    int64_t index;
    struct str space;
    struct text space_description;
};

static struct str declared_path(struct convert *c, const struct declared *d, struct str name)
{
    return chat_path(c, d->list, d->index, name);
}

static struct chat_tool *add_tool(struct convert *c, enum chat_tool_kind kind, struct str name)
{
    struct chat_tool *t = chat_add_tool(c);
    t->kind = kind;
    t->name = name;
    t->strict = CHAT_ABSENT;
    return t;
}

/* ---- tools with a name of their own ---- */

static struct text described(struct convert *c, const struct declared *d)
{
    struct text own = member_text(c, d->node, S("description"));
    if (d->space_description.n == 0 || own.n == 0)
        return own.n == 0 ? d->space_description : own;
    return text_cat(c->temp, text_cat(c->temp, d->space_description, TEXT("\\n\\n")), own);
}

/* NULL when it has no name: refused. */
static struct chat_tool *add_named(struct convert *c, const struct declared *d,
                                   enum chat_tool_kind kind)
{
    struct str name = member_str(c, d->node, S("name"));
    if (name.n == 0) {
        (void)convert_reject(c, declared_path(c, d, S("name")), "is required");
        return NULL;
    }
    struct chat_tool *t = add_tool(c, kind, name);
    t->space = d->space;
    t->description = described(c, d);
    return t;
}

static int read_function(struct convert *c, const struct declared *d)
{
    struct json_node *parameters = NULL;
    int r = member_need(c, d->node, S("parameters"), JSON_OBJECT, declared_path(c, d, S("")),
                        &parameters);
    if (r < 0)
        return r;
    struct chat_tool *t = add_named(c, d, CHAT_TOOL_FUNCTION);
    if (t == NULL)
        return E_BAD_REQUEST;
    t->schema = member_raw(c, d->node, S("parameters"));
    t->strict = member_tri(c, d->node, S("strict"));
    return 0;
}

static int read_custom(struct convert *c, const struct declared *d)
{
    struct chat_tool *t = add_named(c, d, CHAT_TOOL_CUSTOM);
    if (t == NULL)
        return E_BAD_REQUEST;
    struct json_node *format = member_node(c, d->node, S("format"));
    if (member_is(c, format, S("type"), S("grammar"))) {
        t->grammar_syntax = member_str(c, format, S("syntax"));
        t->grammar = member_text(c, format, S("definition"));
    }
    return 0;
}

/* ---- built-in tools ---- */

static int read_local_shell(struct convert *c, const struct declared *d)
{
    (void)d;
    add_tool(c, CHAT_TOOL_LOCAL_SHELL, S("local_shell"));
    return 0;
}

/* In a container the vendor runs it. */
static int read_shell(struct convert *c, const struct declared *d)
{
    struct json_node *environment = member_node(c, d->node, S("environment"));
    if (environment != NULL && !member_is(c, environment, S("type"), S("local")))
        return tools_leave_out(c, declared_path(c, d, S("")));
    add_tool(c, CHAT_TOOL_SHELL, S("shell"));
    return 0;
}

static int read_apply_patch(struct convert *c, const struct declared *d)
{
    (void)d;
    add_tool(c, CHAT_TOOL_APPLY_PATCH, S("apply_patch"));
    return 0;
}

/* Run by the vendor it only spares tokens: the deferred tools are sent as normal tools. */
static int read_search(struct convert *c, const struct declared *d)
{
    if (!member_is(c, d->node, S("execution"), S("client")))
        return 0;
    struct chat_tool *t = add_tool(c, CHAT_TOOL_SEARCH, S("tool_search"));
    t->description = member_text(c, d->node, S("description"));
    t->schema = member_raw(c, d->node, S("parameters"));
    return 0;
}

static int read_web_search(struct convert *c, const struct declared *d)
{
    struct json_node *filters = member_node(c, d->node, S("filters"));
    struct chat_tool *t = add_tool(c, CHAT_TOOL_WEB_SEARCH, S("web_search"));
    c->wants_web_search = true;
    t->allowed_domains = member_raw(c, filters, S("allowed_domains"));
    t->blocked_domains = member_raw(c, filters, S("blocked_domains"));
    t->user_location = member_raw(c, d->node, S("user_location"));
    t->context_size = member_raw(c, d->node, S("search_context_size"));
    return 0;
}

static int read_namespace(struct convert *c, const struct declared *d);

static const struct tool_row {
    struct str type;
    bool in_namespace; /* may stand in one */
    int (*read)(struct convert *c, const struct declared *d);
    enum chat_tool_kind kind;
    struct str name; /* of a built-in tool */
} kinds[] = {
    { S_INIT("function"), true, read_function, CHAT_TOOL_FUNCTION, S_INIT("") },
    { S_INIT("custom"), true, read_custom, CHAT_TOOL_CUSTOM, S_INIT("") },
    { S_INIT("namespace"), false, read_namespace, CHAT_TOOL_FUNCTION, S_INIT("") },
    { S_INIT("local_shell"), false, read_local_shell, CHAT_TOOL_LOCAL_SHELL,
      S_INIT("local_shell") },
    { S_INIT("shell"), false, read_shell, CHAT_TOOL_SHELL, S_INIT("shell") },
    { S_INIT("apply_patch"), false, read_apply_patch, CHAT_TOOL_APPLY_PATCH,
      S_INIT("apply_patch") },
    { S_INIT("tool_search"), false, read_search, CHAT_TOOL_SEARCH, S_INIT("tool_search") },
    { S_INIT("web_search"), false, read_web_search, CHAT_TOOL_WEB_SEARCH, S_INIT("web_search") },
};

/* Web searches have dated names too: web_search_2025_08_26, web_search_preview. */
static const struct tool_row *find_kind(struct str type)
{
    if (str_starts(type, S("web_search_")))
        type = S("web_search");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eq(kinds[i].type, type))
            return &kinds[i];
    return NULL;
}

static int read_tool(struct convert *c, const struct declared *d)
{
    if (json_type(d->node) != JSON_OBJECT)
        return convert_reject(c, declared_path(c, d, S("")), "must be an object");
    const struct tool_row *row = find_kind(member_str(c, d->node, S("type")));
    if (row == NULL || (d->space.n > 0 && !row->in_namespace))
        return tools_leave_out(c, declared_path(c, d, S("")));
    return row->read(c, d);
}

static int read_list(struct convert *c, struct json_node *array, struct declared d)
{
    struct json_walk w;
    int r = 0;
    member_walk(c, array, &w);
    for (; r == 0 && (d.node = json_walk_next(&w)) != NULL; d.index++)
        r = read_tool(c, &d);
    json_walk_done(&w);
    return r;
}

/* The description is written once for each member: what comes out of a namespace must stay in
 * proportion to what the client sent. */
static bool affordable(struct convert *c, struct json_node *namespace, struct text description,
                       struct json_node *tools)
{
    enum { TIMES_MAX = 16 };
    size_t members = json_count(&c->doc, tools);
    return members == 0 || description.n <= TIMES_MAX * json_raw(&c->doc, namespace).n / members;
}

static int read_namespace(struct convert *c, const struct declared *d)
{
    struct json_node *tools;
    struct str name = member_str(c, d->node, S("name"));
    int r = member_need(c, d->node, S("tools"), JSON_ARRAY, declared_path(c, d, S("")), &tools);
    if (r == 0 && name.n == 0)
        r = convert_reject(c, declared_path(c, d, S("name")), "is required");
    if (r < 0)
        return r;
    struct declared inside = { .list = declared_path(c, d, S("tools")), .space = name };
    struct text description = member_text(c, d->node, S("description"));
    if (affordable(c, d->node, description, tools))
        inside.space_description = description;
    else
        r = convert_warn(c, "dropped", declared_path(c, d, S("description")));
    return r < 0 ? r : read_list(c, tools, inside);
}

int responses_read_tools(struct convert *c, struct json_node *array, struct str path)
{
    return read_list(c, array, (struct declared){ .list = path });
}

/* ---- the choice ---- */

static int read_mode(struct convert *c, struct str mode, struct str path)
{
    static const struct {
        struct str name;
        enum chat_choice kind;
    } modes[] = {
        { S_INIT("auto"), CHAT_CHOICE_AUTO },
        { S_INIT("required"), CHAT_CHOICE_ANY },
        { S_INIT("none"), CHAT_CHOICE_NONE },
    };
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        if (str_eq(modes[i].name, mode)) {
            c->request.choice.kind = modes[i].kind;
            return 0;
        }
    }
    return convert_reject(c, path, "must be auto, required or none");
}

/* The name of a tool that a choice points to; empty when its type is unknown to us. */
static struct str pointed_name(struct convert *c, struct json_node *pointer,
                               const struct tool_row *row)
{
    if (row == NULL)
        return S("");
    return row->name.n > 0 ? row->name : member_str(c, pointer, S("name"));
}

static int read_allowed(struct convert *c, struct json_node *choice)
{
    struct chat_tool_choice *to = &c->request.choice;
    struct json_node *tools;
    int r = member_need(c, choice, S("tools"), JSON_ARRAY, S("tool_choice"), &tools);
    if (r == 0)
        r = read_mode(c, member_str(c, choice, S("mode")), S("tool_choice.mode"));
    if (r < 0)
        return r;
    to->has_allowed = true;
    to->allowed = arena_new(c->temp, struct str, json_count(&c->doc, tools) + 1);
    for (struct json_node *n = json_first(&c->doc, tools); n != NULL; n = json_next(n)) {
        struct str name = pointed_name(c, n, find_kind(member_str(c, n, S("type"))));
        struct str space = member_str(c, n, S("namespace"));
        if (name.n > 0 && space.n > 0)
            name = arena_cat(c->temp, arena_cat(c->temp, space, S("__")), name);
        if (name.n > 0)
            to->allowed[to->allowed_count++] = name;
    }
    return 0;
}

static int read_pointer(struct convert *c, struct json_node *choice)
{
    struct chat_tool_choice *to = &c->request.choice;
    struct str type = member_str(c, choice, S("type"));
    if (str_eq(type, S("allowed_tools")))
        return read_allowed(c, choice);
    const struct tool_row *row = find_kind(type);
    to->kind = CHAT_CHOICE_TOOL;
    to->name = pointed_name(c, choice, row);
    to->space = member_str(c, choice, S("namespace"));
    if (row == NULL)
        to->type = type.n > 0 ? type : S("object");
    else if (to->name.n == 0)
        return convert_reject(c, S("tool_choice.name"), "is required");
    else
        to->tool_kind = row->kind;
    return 0;
}

int responses_read_choice(struct convert *c)
{
    struct chat_tool_choice *to = &c->request.choice;
    struct json_node *choice = params_node(c, CHAT_PARAM_TOOL_CHOICE);
    to->parallel_given = params_node(c, CHAT_PARAM_PARALLEL) != NULL;
    to->no_parallel = to->parallel_given && !params_true(c, CHAT_PARAM_PARALLEL);
    if (choice == NULL)
        return 0;
    if (json_type(choice) == JSON_STRING)
        return read_mode(c, json_string(&c->doc, choice), S("tool_choice"));
    return read_pointer(c, choice);
}

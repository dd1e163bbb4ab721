#include "messages_request.h"

#include "member.h"
#include "params.h"
#include "tools.h"

/* Tools that the client executes and whose schema both sides know (C1.5). */
static const struct builtin {
    struct str prefix; /* of the type, before its date */
    struct str name;   /* when the client gave none */
    struct str schema;
} builtins[] = {
    { S_INIT("bash_"), S_INIT("bash"),
      S_INIT("{\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"string\"},"
             "\"restart\":{\"type\":\"boolean\"}}}") },
    { S_INIT("text_editor_20250124"), S_INIT("str_replace_editor"),
      S_INIT("{\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"string\",\"enum\":["
             "\"view\",\"create\",\"str_replace\",\"insert\",\"undo_edit\"]},"
             "\"path\":{\"type\":\"string\"},\"file_text\":{\"type\":\"string\"},"
             "\"old_str\":{\"type\":\"string\"},\"new_str\":{\"type\":\"string\"},"
             "\"insert_text\":{\"type\":\"string\"},\"insert_line\":{\"type\":\"integer\"},"
             "\"view_range\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"},"
             "\"minItems\":2,\"maxItems\":2}},\"required\":[\"command\",\"path\"]}") },
    { S_INIT("text_editor_"), S_INIT("str_replace_based_edit_tool"),
      S_INIT("{\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"string\",\"enum\":["
             "\"view\",\"create\",\"str_replace\",\"insert\"]},"
             "\"path\":{\"type\":\"string\"},\"file_text\":{\"type\":\"string\"},"
             "\"old_str\":{\"type\":\"string\"},\"new_str\":{\"type\":\"string\"},"
             "\"insert_text\":{\"type\":\"string\"},\"insert_line\":{\"type\":\"integer\"},"
             "\"view_range\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"},"
             "\"minItems\":2,\"maxItems\":2}},\"required\":[\"command\",\"path\"]}") },
    { S_INIT("memory_"), S_INIT("memory"),
      S_INIT("{\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"string\",\"enum\":["
             "\"view\",\"create\",\"str_replace\",\"insert\",\"delete\",\"rename\"]},"
             "\"path\":{\"type\":\"string\"},"
             "\"view_range\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"},"
             "\"minItems\":2,\"maxItems\":2},\"file_text\":{\"type\":\"string\"},"
             "\"old_str\":{\"type\":\"string\"},\"new_str\":{\"type\":\"string\"},"
             "\"insert_line\":{\"type\":\"integer\"},\"insert_text\":{\"type\":\"string\"},"
             "\"old_path\":{\"type\":\"string\"},\"new_path\":{\"type\":\"string\"}},"
             "\"required\":[\"command\"]}") },
};

static const struct builtin *find_builtin(struct str type)
{
    for (size_t i = 0; i < ARRAY_LEN(builtins); i++)
        if (str_starts(type, builtins[i].prefix))
            return &builtins[i];
    return NULL;
}

static int add_client_tool(struct convert *c, struct json_node *n, struct str path)
{
    struct json_node *name;
    int r = member_need(c, n, S("name"), JSON_STRING, path, &name);
    if (r == 0 && (name == NULL || json_string(&c->doc, name).n == 0))
        r = convert_reject(c, chat_path(c, path, -1, S("name")), "is required");
    if (r < 0)
        return r;
    struct chat_tool *t = chat_add_tool(c);
    t->kind = CHAT_TOOL_FUNCTION;
    t->name = json_string(&c->doc, name);
    t->description = member_text(c, n, S("description"));
    t->schema = member_raw(c, n, S("input_schema"));
    t->strict = member_tri(c, n, S("strict"));
    t->cache = messages_cache(c, n);
    return 0;
}

static void add_builtin(struct convert *c, struct json_node *n, const struct builtin *builtin)
{
    struct chat_tool *t = chat_add_tool(c);
    struct str name = member_str(c, n, S("name"));
    t->kind = CHAT_TOOL_FUNCTION;
    t->name = name.n > 0 ? name : builtin->name;
    t->schema = builtin->schema;
    t->cache = messages_cache(c, n);
}

static void add_web_search(struct convert *c, struct json_node *n)
{
    struct chat_tool *t = chat_add_tool(c);
    t->kind = CHAT_TOOL_WEB_SEARCH;
    t->name = S("web_search");
    t->allowed_domains = member_raw(c, n, S("allowed_domains"));
    t->blocked_domains = member_raw(c, n, S("blocked_domains"));
    t->user_location = member_raw(c, n, S("user_location"));
    t->max_uses = member_raw(c, n, S("max_uses"));
    t->cache = messages_cache(c, n);
    c->wants_web_search = true;
}

int messages_decode_tool(struct convert *c, struct json_node *n, struct str path)
{
    if (json_type(n) != JSON_OBJECT)
        return convert_reject(c, path, "must be an object");
    struct str type = member_str(c, n, S("type"));
    const struct builtin *builtin = find_builtin(type);
    if (type.n == 0 || str_eq(type, S("custom")))
        return add_client_tool(c, n, path);
    if (builtin != NULL) {
        add_builtin(c, n, builtin);
        return 0;
    }
    if (str_starts(type, S("web_search_"))) {
        add_web_search(c, n);
        return 0;
    }
    if (str_starts(type, S("tool_search_tool_")))
        return 0; /* the tools that it would find are sent as they are */
    return tools_leave_out(c, path);
}

static int decode_choice(struct convert *c, struct json_node *n)
{
    static const struct {
        struct str type;
        enum chat_choice kind;
    } kinds[] = {
        { S_INIT("auto"), CHAT_CHOICE_AUTO },
        { S_INIT("any"), CHAT_CHOICE_ANY },
        { S_INIT("none"), CHAT_CHOICE_NONE },
        { S_INIT("tool"), CHAT_CHOICE_TOOL },
    };
    struct chat_tool_choice *choice = &c->request.choice;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (member_is(c, n, S("type"), kinds[i].type))
            choice->kind = kinds[i].kind;
    if (choice->kind == CHAT_CHOICE_ABSENT)
        return convert_reject(c, S("tool_choice.type"), "must be auto, any, tool or none");
    choice->name = member_str(c, n, S("name"));
    if (choice->kind == CHAT_CHOICE_TOOL && choice->name.n == 0)
        return convert_reject(c, S("tool_choice.name"), "is required");
    for (struct chat_tool *t = c->request.tools; t != NULL; t = t->next)
        if (str_eq(t->name, choice->name))
            choice->tool_kind = t->kind;
    choice->no_parallel = member_true(c, n, S("disable_parallel_tool_use"));
    choice->parallel_given = choice->no_parallel;
    return 0;
}

int messages_decode_tools(struct convert *c)
{
    struct json_node *list = params_node(c, CHAT_PARAM_TOOLS);
    struct json_node *choice = params_node(c, CHAT_PARAM_TOOL_CHOICE);
    struct json_walk w;
    struct json_node *n;
    int r = 0;
    member_walk(c, list, &w);
    for (int64_t i = 0; r == 0 && (n = json_walk_next(&w)) != NULL; i++)
        r = messages_decode_tool(c, n, chat_path(c, S("tools"), i, S("")));
    json_walk_done(&w);
    if (r < 0 || choice == NULL)
        return r;
    if (json_type(choice) != JSON_OBJECT)
        return convert_reject(c, S("tool_choice"), "must be an object");
    return decode_choice(c, choice);
}

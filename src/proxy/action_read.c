#include "action_read.h"

#include "action_ops.h"
#include "json.h"
#include "rule_file.h"

enum { ACTION_TOOLS_MAX = 512, SCRATCH_MAX = 1 << 30 };

int action_read_number(struct rule_loader *l, struct json_node *n, struct str *ret_raw)
{
    if (json_type(n) != JSON_NUMBER)
        return rule_fault(l, n, "must be a number");
    return rule_raw(l, n, ret_raw);
}

int action_read_header_name(struct rule_loader *l, struct json_node *n, struct str *ret_name)
{
    struct str name = S("");
    int e = rule_string(l, n, &name);
    if (e < 0)
        return e;
    name = arena_lower(l->arena, name);
    /* framing is the codecs' business */
    if (!http_name_ok(name) || http_is_hop(name) || str_eq(name, S("host")) ||
        str_eq(name, S("content-length")))
        return rule_fault(l, n, "is not a header that rules may change");
    *ret_name = name;
    return 0;
}

int action_read_pointers(struct rule_loader *l, struct json_node *n, bool root_ok, struct action *a)
{
    int e = rule_array(l, n, 1024);
    if (e < 0)
        return e;
    a->paths = arena_new(l->arena, struct pointer, json_count(&l->tree, n) + 1);
    for (struct json_node *c = json_first(&l->tree, n); c != NULL && e == 0; c = json_next(c))
        e = rule_pointer(l, c, root_ok, &a->paths[a->paths_n++]);
    return e;
}

int action_read_map(struct rule_loader *l, struct json_node *n, struct action *a)
{
    int e = rule_object(l, n);
    if (e < 0)
        return e;
    a->map = arena_new(l->arena, struct str_pair, json_count(&l->tree, n) + 1);
    for (struct json_node *c = json_first(&l->tree, n); c != NULL && e == 0; c = json_next(c)) {
        struct str_pair *p = &a->map[a->map_n++];
        p->from = arena_str(l->arena, json_name(&l->tree, c));
        e = rule_string(l, c, &p->to);
    }
    return e;
}

/* tree is l->tree, or that of a file; faults are told at `at` of l->tree. */
static int parse_tools(struct rule_loader *l, struct json_edit *tree, struct json_node *n,
                       struct json_node *at, struct action *a)
{
    if (json_type(n) != JSON_ARRAY || json_count(tree, n) > ACTION_TOOLS_MAX)
        return rule_fault(l, at, "must be a list of at most %d tools", ACTION_TOOLS_MAX);
    a->tools = arena_new(l->arena, struct action_tool, json_count(tree, n) + 1);
    for (struct json_node *c = json_first(tree, n); c != NULL; c = json_next(c)) {
        if (json_type(c) != JSON_OBJECT)
            return rule_fault(l, at, "tool %zu is not an object", a->tools_n);
        a->tools[a->tools_n++] =
            (struct action_tool){ .raw = arena_str(l->arena, json_raw(tree, c)),
                                  .name = arena_str(l->arena, op_tool_name(tree, c)) };
    }
    return 0;
}

static int parse_tools_text(struct rule_loader *l, struct json_node *n, struct str path,
                            struct str text, struct action *a)
{
    struct str json = S("");
    struct buf why CLEANUP(buf_done);
    struct arena scratch CLEANUP(arena_done);
    struct json_edit tree;
    buf_init(&why, 1024);
    arena_init(&scratch, SCRATCH_MAX);
    if (rule_file_json(&scratch, path, text, &json, &why) < 0)
        return rule_fault(l, n, STR_FMT ": " STR_FMT, STR_ARG(str_slice(path, 0, 200)),
                          STR_ARG(buf_str(&why)));
    json_edit_init(&tree, &scratch, json);
    return parse_tools(l, &tree, json_root(&tree), n, a);
}

int action_read_tools(struct rule_loader *l, struct json_node *n, struct action *a)
{
    return parse_tools(l, &l->tree, n, n, a);
}

int action_read_tools_file(struct rule_loader *l, struct json_node *n, struct action *a)
{
    struct str text = S(""), path = S("");
    int e = rule_file_text(l, n, &text, &path);
    return e < 0 || path.n == 0 ? e : parse_tools_text(l, n, path, text, a);
}

int action_read_text_file(struct rule_loader *l, struct json_node *n, struct str *ret_text)
{
    struct str path;
    return rule_file_text(l, n, ret_text, &path);
}

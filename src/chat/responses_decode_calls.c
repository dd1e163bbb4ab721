/* Calls and what they gave back, each kind of item with its own members. */
#include "responses_request.h"

#include "json_out.h"
#include "member.h"

/* ---- calls ---- */

struct renamed {
    struct str from, to;
};

/* The object of the fixed schema (C1.5) out of a built-in tool's action, in the action's values
 * and the schema's order. */
static struct str renamed_members(struct convert *c, struct json_node *action,
                                  const struct renamed *rows, size_t count)
{
    struct buf text;
    struct json_out o;
    buf_init(&text, SIZE_MAX);
    json_out_init(&o, &text);
    json_out_object(&o);
    for (size_t i = 0; i < count; i++) {
        struct str raw = member_raw(c, action, rows[i].from);
        if (raw.n > 0 && !str_eq(raw, S("{}")))
            json_out_member_raw(&o, rows[i].to, raw);
    }
    json_out_object_end(&o);
    struct str copy = arena_str(c->temp, buf_str(&text));
    buf_done(&text);
    return copy;
}

static struct str local_shell_arguments(struct convert *c, struct json_node *item)
{
    static const struct renamed rows[] = {
        { S_INIT("command"), S_INIT("command") },
        { S_INIT("working_directory"), S_INIT("workdir") },
        { S_INIT("timeout_ms"), S_INIT("timeout_ms") },
        { S_INIT("env"), S_INIT("env") },
    };
    return renamed_members(c, member_node(c, item, S("action")), rows, ARRAY_LEN(rows));
}

static struct str shell_arguments(struct convert *c, struct json_node *item)
{
    static const struct renamed rows[] = {
        { S_INIT("commands"), S_INIT("commands") },
        { S_INIT("timeout_ms"), S_INIT("timeout_ms") },
        { S_INIT("max_output_length"), S_INIT("max_output_length") },
    };
    return renamed_members(c, member_node(c, item, S("action")), rows, ARRAY_LEN(rows));
}

static struct str apply_patch_arguments(struct convert *c, struct json_node *item)
{
    static const struct renamed rows[] = {
        { S_INIT("type"), S_INIT("type") },
        { S_INIT("path"), S_INIT("path") },
        { S_INIT("diff"), S_INIT("diff") },
    };
    return renamed_members(c, member_node(c, item, S("operation")), rows, ARRAY_LEN(rows));
}

/* A string, or from loose clients the object itself. */
static struct str json_arguments(struct convert *c, struct json_node *item)
{
    struct json_node *n = member_node(c, item, S("arguments"));
    if (n == NULL || json_type(n) == JSON_STRING)
        return n == NULL ? S("") : json_string(&c->doc, n);
    return member_raw(c, item, S("arguments"));
}

static struct str custom_input(struct convert *c, struct json_node *item)
{
    return member_str(c, item, S("input"));
}

static const struct call_row {
    struct str type;
    enum chat_tool_kind kind;
    struct str name; /* empty: the item says it */
    struct str (*arguments)(struct convert *c, struct json_node *item);
} calls[] = {
    { S_INIT("function_call"), CHAT_TOOL_FUNCTION, S_INIT(""), json_arguments },
    { S_INIT("custom_tool_call"), CHAT_TOOL_CUSTOM, S_INIT(""), custom_input },
    { S_INIT("local_shell_call"), CHAT_TOOL_LOCAL_SHELL, S_INIT("local_shell"),
      local_shell_arguments },
    { S_INIT("shell_call"), CHAT_TOOL_SHELL, S_INIT("shell"), shell_arguments },
    { S_INIT("apply_patch_call"), CHAT_TOOL_APPLY_PATCH, S_INIT("apply_patch"),
      apply_patch_arguments },
    { S_INIT("tool_search_call"), CHAT_TOOL_SEARCH, S_INIT("tool_search"), json_arguments },
};

/* The vendor's own searches for tools are of no use to another. */
static bool run_by_vendor(struct convert *c, struct json_node *item, enum chat_tool_kind kind)
{
    return kind == CHAT_TOOL_SEARCH && !member_is(c, item, S("execution"), S("client"));
}

/* Older clients of local_shell know the call by its item's id only. */
static struct str call_id(struct convert *c, struct json_node *item, enum chat_tool_kind kind)
{
    struct str id = member_str(c, item, S("call_id"));
    return id.n == 0 && kind == CHAT_TOOL_LOCAL_SHELL ? member_str(c, item, S("id")) : id;
}

int responses_read_call(struct convert *c, struct json_node *item, struct str type, struct str path,
                        bool *ret_known)
{
    const struct call_row *row = calls, *end = calls + ARRAY_LEN(calls);
    while (row < end && !str_eq(row->type, type))
        row++;
    *ret_known = row < end;
    if (row == end || run_by_vendor(c, item, row->kind))
        return 0;
    struct str name = row->name.n > 0 ? row->name : member_str(c, item, S("name"));
    if (name.n == 0)
        return convert_reject(c, chat_path(c, path, -1, S("name")), "is required");
    struct chat_message *m = responses_message(c, CHAT_ASSISTANT);
    m->is_string = false;
    chat_add_block(c, m, CHAT_CALL)->call = (struct chat_call){
        .id = call_id(c, item, row->kind),
        .name = name,
        .space = member_str(c, item, S("namespace")),
        .kind = row->kind,
        .arguments = row->arguments(c, item),
    };
    return 0;
}

/* ---- results ---- */

static void set_text(struct convert *c, struct chat_result *to, struct buf *text)
{
    struct str copy = arena_str(c->temp, buf_str(text));
    buf_done(text);
    to->is_string = true;
    to->blocks = chat_new_block(c, CHAT_TEXT);
    to->blocks->text = (struct text){ copy.p, copy.n };
}

static void add_line(struct buf *to, struct text line)
{
    if (line.n == 0)
        return;
    if (buf_len(to) > 0)
        text_add(to, TEXT("\\n"));
    text_add(to, line);
}

static int read_plain(struct convert *c, struct json_node *item, struct str path,
                      struct chat_result *to)
{
    struct responses_content content;
    int r = responses_read_output(c, member_node(c, item, S("output")),
                                  chat_path(c, path, -1, S("output")), &content);
    if (r < 0)
        return r;
    to->is_string = content.is_string;
    to->blocks = content.first;
    return 0;
}

static void add_outcome(struct convert *c, struct json_node *run, struct buf *to)
{
    struct json_node *outcome = member_node(c, run, S("outcome"));
    if (member_is(c, outcome, S("type"), S("timeout"))) {
        add_line(to, TEXT("timeout"));
        return;
    }
    struct json_node *code = member_node(c, outcome, S("exit_code"));
    if (code == NULL || json_type(code) != JSON_NUMBER)
        return;
    add_line(to, TEXT("exit code: "));
    buf_add(to, json_raw(&c->doc, code));
}

static int read_shell(struct convert *c, struct json_node *item, struct str path,
                      struct chat_result *to)
{
    struct json_node *runs = member_node(c, item, S("output"));
    if (runs == NULL || json_type(runs) != JSON_ARRAY)
        return read_plain(c, item, path, to);
    struct buf text;
    buf_init(&text, SIZE_MAX);
    for (struct json_node *run = json_first(&c->doc, runs); run != NULL; run = json_next(run)) {
        add_line(&text, member_text(c, run, S("stdout")));
        add_line(&text, member_text(c, run, S("stderr")));
        add_outcome(c, run, &text);
    }
    set_text(c, to, &text);
    return 0;
}

static int read_patch(struct convert *c, struct json_node *item, struct str path,
                      struct chat_result *to)
{
    to->is_error = member_is(c, item, S("status"), S("failed"));
    return read_plain(c, item, path, to);
}

/* The tools that a search found are sent as normal tools; the model reads their names. */
static int read_search(struct convert *c, struct json_node *item, struct str path,
                       struct chat_result *to)
{
    struct json_node *tools;
    int r = member_need(c, item, S("tools"), JSON_ARRAY, path, &tools);
    if (r < 0)
        return r;
    struct buf text;
    buf_init(&text, SIZE_MAX);
    for (struct json_node *n = json_first(&c->doc, tools); n != NULL; n = json_next(n)) {
        struct text name = member_text(c, n, S("name"));
        if (name.n == 0)
            continue;
        add_line(&text, TEXT("Tool loaded: "));
        text_add(&text, name);
    }
    set_text(c, to, &text);
    return responses_read_tools(c, tools, chat_path(c, path, -1, S("tools")));
}

static const struct result_row {
    struct str type;
    enum chat_tool_kind kind;
    int (*read)(struct convert *c, struct json_node *item, struct str path, struct chat_result *to);
} results[] = {
    { S_INIT("function_call_output"), CHAT_TOOL_FUNCTION, read_plain },
    { S_INIT("custom_tool_call_output"), CHAT_TOOL_CUSTOM, read_plain },
    { S_INIT("local_shell_call_output"), CHAT_TOOL_LOCAL_SHELL, read_plain },
    { S_INIT("shell_call_output"), CHAT_TOOL_SHELL, read_shell },
    { S_INIT("apply_patch_call_output"), CHAT_TOOL_APPLY_PATCH, read_patch },
    { S_INIT("tool_search_output"), CHAT_TOOL_SEARCH, read_search },
};

int responses_read_result(struct convert *c, struct json_node *item, struct str type,
                          struct str path, bool *ret_known)
{
    const struct result_row *row = results, *end = results + ARRAY_LEN(results);
    while (row < end && !str_eq(row->type, type))
        row++;
    *ret_known = row < end;
    if (row == end || run_by_vendor(c, item, row->kind))
        return 0;
    struct chat_result result = { .call_id = call_id(c, item, row->kind), .kind = row->kind };
    int r = row->read(c, item, path, &result);
    if (r < 0)
        return r;
    chat_add_block(c, responses_message(c, CHAT_TOOL), CHAT_RESULT)->result = result;
    return 0;
}

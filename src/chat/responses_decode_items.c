/* The items of `input`: messages, reasoning, and what changes the settings on the way. */
#include "responses_request.h"

#include "envelope.h"
#include "member.h"

struct chat_message *responses_message(struct convert *c, enum chat_role role)
{
    struct chat_message *m = c->request.last;
    return m != NULL && m->role == role ? m : chat_add_message(c, role);
}

static void attach(struct chat_message *m, const struct responses_content *content)
{
    if (content->first == NULL)
        return;
    m->is_string = content->is_string && m->blocks == NULL;
    if (m->last == NULL)
        m->blocks = content->first;
    else
        m->last->next = content->first;
    m->last = content->last;
}

/* ---- messages ---- */

static const struct role_row {
    struct str name;
    enum chat_role role;
    unsigned takes;
} roles[] = {
    { S_INIT("user"), CHAT_USER, RESPONSES_TEXT | RESPONSES_MEDIA },
    { S_INIT("assistant"), CHAT_ASSISTANT, RESPONSES_TEXT | RESPONSES_REFUSAL },
    { S_INIT("developer"), CHAT_DEVELOPER, RESPONSES_TEXT },
    { S_INIT("system"), CHAT_SYSTEM, RESPONSES_TEXT },
};

static int read_message(struct convert *c, struct json_node *item, struct str path)
{
    struct str name = member_str(c, item, S("role"));
    const struct role_row *row = roles, *end = roles + ARRAY_LEN(roles);
    while (row < end && !str_eq(row->name, name))
        row++;
    if (row == end)
        return convert_reject(c, chat_path(c, path, -1, S("role")),
                              "must be user, assistant, developer or system");
    struct responses_content content;
    int r = responses_read_content(c, member_node(c, item, S("content")),
                                   chat_path(c, path, -1, S("content")), row->takes, &content);
    if (r < 0)
        return r;
    /* only an assistant's items make one turn: two messages of a user stay two */
    attach(row->role == CHAT_ASSISTANT ? responses_message(c, row->role)
                                       : chat_add_message(c, row->role),
           &content);
    return 0;
}

/* ---- reasoning ---- */

static struct text joined_texts(struct convert *c, struct json_node *array)
{
    struct buf all;
    buf_init(&all, SIZE_MAX);
    for (struct json_node *n = json_first(&c->doc, array); n != NULL; n = json_next(n)) {
        struct text t = member_text(c, n, S("text"));
        if (t.n > 0 && buf_len(&all) > 0)
            text_add(&all, TEXT("\\n\\n"));
        text_add(&all, t);
    }
    struct str copy = arena_str(c->temp, buf_str(&all));
    buf_done(&all);
    return (struct text){ copy.p, copy.n };
}

static int read_reasoning_item(struct convert *c, struct json_node *item, struct str path)
{
    (void)path;
    struct chat_reasoning reasoning = { .text =
                                            joined_texts(c, member_node(c, item, S("summary"))) };
    if (reasoning.text.n == 0)
        reasoning.text = joined_texts(c, member_node(c, item, S("content")));
    struct text opaque = member_text(c, item, S("encrypted_content"));
    if (opaque.n > 0 && !envelope_open(c, c->temp, opaque, &reasoning.proof))
        reasoning.proof = (struct chat_proof){
            .kind = CHAT_PROOF_ITEM,
            .opaque = opaque,
            .raw = json_compact(c->temp, json_raw(&c->doc, item)),
        };
    struct chat_message *m = responses_message(c, CHAT_ASSISTANT);
    m->is_string = false;
    chat_add_block(c, m, CHAT_REASONING)->reasoning = reasoning;
    return 0;
}

/* ---- the others ---- */

static int read_additional_tools(struct convert *c, struct json_node *item, struct str path)
{
    struct json_node *tools = NULL;
    int r = member_need(c, item, S("tools"), JSON_ARRAY, path, &tools);
    return r < 0 ? r : responses_read_tools(c, tools, chat_path(c, path, -1, S("tools")));
}

/* The last one wins over what stands at the top level (E174). */
static int read_configuration(struct convert *c, struct json_node *item, struct str path)
{
    struct json_node *reasoning = NULL, *text = NULL;
    int r = member_need(c, item, S("reasoning"), JSON_OBJECT, path, &reasoning);
    if (r == 0)
        r = member_need(c, item, S("text"), JSON_OBJECT, path, &text);
    if (r == 0)
        r = responses_read_effort(c, reasoning, chat_path(c, path, -1, S("reasoning")));
    return r < 0 ? r : responses_read_format(c, text, chat_path(c, path, -1, S("text")));
}

/* Run by the vendor: its effect is in the texts that follow. */
static int drop_item(struct convert *c, struct json_node *item, struct str path)
{
    (void)c;
    (void)item;
    (void)path;
    return 0;
}

/* Holds, or stands for, a part of the conversation that only its maker can read (E175). */
static int reject_state(struct convert *c, struct json_node *item, struct str path)
{
    (void)item;
    return convert_reject(c, chat_path(c, path, -1, S("type")),
                          "this item needs state that the upstream of this model does not have");
}

static const struct item_row {
    struct str type;
    int (*read)(struct convert *c, struct json_node *item, struct str path);
} items[] = {
    { S_INIT("message"), read_message },
    { S_INIT("reasoning"), read_reasoning_item },
    { S_INIT("additional_tools"), read_additional_tools },
    { S_INIT("configuration_update"), read_configuration },
    { S_INIT("web_search_call"), drop_item },
    { S_INIT("file_search_call"), drop_item },
    { S_INIT("code_interpreter_call"), drop_item },
    { S_INIT("image_generation_call"), drop_item },
    { S_INIT("mcp_call"), drop_item },
    { S_INIT("mcp_list_tools"), drop_item },
    { S_INIT("mcp_approval_request"), drop_item },
    { S_INIT("mcp_approval_response"), drop_item },
    { S_INIT("program"), drop_item },
    { S_INIT("program_output"), drop_item },
    { S_INIT("compaction"), reject_state },
    { S_INIT("compaction_trigger"), reject_state },
    { S_INIT("item_reference"), reject_state },
};

/* The SDK's short forms leave the type out (E19). */
static struct str item_type(struct convert *c, struct json_node *item)
{
    struct str type = member_str(c, item, S("type"));
    if (type.n > 0)
        return type;
    if (member_node(c, item, S("role")) != NULL)
        return S("message");
    return member_node(c, item, S("id")) != NULL ? S("item_reference") : S("");
}

static int read_item(struct convert *c, struct json_node *item, struct str path)
{
    if (json_type(item) != JSON_OBJECT)
        return convert_reject(c, path, "must be an object");
    struct str type = item_type(c, item);
    for (size_t i = 0; i < ARRAY_LEN(items); i++)
        if (str_eq(items[i].type, type))
            return items[i].read(c, item, path);
    bool known = false;
    int r = responses_read_call(c, item, type, path, &known);
    if (r == 0 && !known)
        r = responses_read_result(c, item, type, path, &known);
    if (r < 0 || known)
        return r;
    return convert_reject(c, chat_path(c, path, -1, S("type")), "unknown item type \"" STR_FMT "\"",
                          STR_ARG(str_slice(type, 0, 64)));
}

int responses_read_items(struct convert *c, struct json_node *array)
{
    struct json_walk w;
    struct json_node *n;
    int64_t index = 0;
    int r = 0;
    member_walk(c, array, &w);
    while (r == 0 && (n = json_walk_next(&w)) != NULL)
        r = read_item(c, n, chat_path(c, S("input"), index++, S("")));
    json_walk_done(&w);
    return r;
}

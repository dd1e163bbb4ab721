#include "json.h"
#include "mock_vendor.h"

/* protocols.md A1.2, the beta members included. */
static const struct str members[] = {
    S_INIT("model"),          S_INIT("max_tokens"),
    S_INIT("messages"),       S_INIT("system"),
    S_INIT("tools"),          S_INIT("tool_choice"),
    S_INIT("thinking"),       S_INIT("output_config"),
    S_INIT("stop_sequences"), S_INIT("stream"),
    S_INIT("temperature"),    S_INIT("top_p"),
    S_INIT("top_k"),          S_INIT("metadata"),
    S_INIT("service_tier"),   S_INIT("speed"),
    S_INIT("cache_control"),  S_INIT("container"),
    S_INIT("diagnostics"),    S_INIT("inference_geo"),
    S_INIT("compaction"),     S_INIT("context_management"),
    S_INIT("mcp_servers"),    S_INIT("thread"),
    S_INIT("fallbacks"),      S_INIT("fallback_credit_token"),
    S_INIT("billing_policy"), S_INIT("output_format"),
};

static const struct str thinking_types[] = {
    S_INIT("adaptive"),
    S_INIT("enabled"),
    S_INIT("disabled"),
    S_INIT("between_tools"),
};

static bool in_table(const struct str *table, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(table[i], name))
            return true;
    return false;
}

static int check_thinking(yyjson_val *root, struct buf *ret_message)
{
    yyjson_val *thinking = json_member(root, S("thinking"));
    if (thinking == NULL || yyjson_is_null(thinking))
        return 0;
    struct str type = json_member_str(thinking, S("type"));
    if (!in_table(thinking_types, ARRAY_LEN(thinking_types), type)) {
        mock_json(ret_message,
                  "thinking: Input tag '$r' found using 'type' does not match any of the expected "
                  "tags: 'adaptive', 'between_tools', 'disabled', 'enabled'",
                  type);
        return 400;
    }
    uint64_t budget, max;
    if (!str_eq(type, S("enabled")))
        return 0;
    if (!json_member_u64(thinking, S("budget_tokens"), &budget))
        return mock_refused(ret_message, S("thinking.enabled.budget_tokens: Field required"));
    if (budget < 1024)
        return mock_refused(ret_message,
                            S("thinking.enabled.budget_tokens: Input should be greater than or "
                              "equal to 1024"));
    if (json_member_u64(root, S("max_tokens"), &max) && max <= budget)
        return mock_refused(ret_message,
                            S("`max_tokens` must be greater than `thinking.budget_tokens`."));
    return 0;
}

static int check_members(yyjson_val *root, struct buf *ret_message)
{
    yyjson_obj_iter iter;
    yyjson_val *key;
    yyjson_obj_iter_init(root, &iter);
    while ((key = yyjson_obj_iter_next(&iter)) != NULL) {
        struct str name = json_str(key);
        if (!in_table(members, ARRAY_LEN(members), name)) {
            mock_json(ret_message, "$r: Extra inputs are not permitted", name);
            return 400;
        }
    }
    return 0;
}

static int check_required(yyjson_val *root, struct buf *ret_message)
{
    uint64_t max;
    if (json_member(root, S("model")) == NULL)
        return mock_refused(ret_message, S("model: Field required"));
    if (!yyjson_is_str(json_member(root, S("model"))))
        return mock_refused(ret_message, S("model: Input should be a valid string"));
    if (json_member(root, S("messages")) == NULL)
        return mock_refused(ret_message, S("messages: Field required"));
    if (!mock_is_filled_array(root, S("messages")))
        return mock_refused(ret_message, S("messages: at least one message is required"));
    if (json_member(root, S("max_tokens")) == NULL)
        return mock_refused(ret_message, S("max_tokens: Field required"));
    if (!json_member_u64(root, S("max_tokens"), &max))
        return mock_refused(ret_message, S("max_tokens: Input should be a valid integer"));
    return 0;
}

static int check_request(yyjson_val *root, struct buf *ret_message)
{
    int status = check_required(root, ret_message);
    if (status == 0)
        status = check_members(root, ret_message);
    if (status == 0)
        status = check_thinking(root, ret_message);
    return status;
}

/* The last user message: its text, and what a tool said in it. */
static void read_turn(yyjson_val *messages, struct mock_ask *ask)
{
    for (size_t i = yyjson_arr_size(messages); i > 0; i--) {
        yyjson_val *message = yyjson_arr_get(messages, i - 1), *block;
        yyjson_val *content = json_member(message, S("content"));
        if (!str_eq(json_member_str(message, S("role")), S("user")))
            continue;
        ask->user_text = mock_content_text(content);
        yyjson_arr_iter iter = yyjson_arr_iter_with(content);
        while ((block = yyjson_arr_iter_next(&iter)) != NULL)
            if (str_eq(json_member_str(block, S("type")), S("tool_result")))
                ask->tool_result = mock_result_text(json_member(block, S("content")));
        return;
    }
}

/* The first fitting tool that the client runs: one with a schema, or one whose schema is built in.
 */
static void read_tool(yyjson_val *tools, struct mock_ask *ask)
{
    yyjson_arr_iter iter = yyjson_arr_iter_with(tools); /* empty when it is no array */
    yyjson_val *tool;
    while ((tool = yyjson_arr_iter_next(&iter)) != NULL) {
        struct str type = json_member_str(tool, S("type"));
        ask->tool_schema = json_member(tool, S("input_schema"));
        if (ask->tool_schema == NULL && !str_starts(type, S("bash_")))
            continue;
        if (!mock_takes_tool(ask, json_member_str(tool, S("name"))))
            continue;
        ask->tool_name = json_member_str(tool, S("name"));
        return;
    }
}

static void read_ask(yyjson_val *root, struct arena *a, struct mock_ask *ask)
{
    yyjson_val *thinking = json_member(root, S("thinking"));
    struct str type = json_member_str(thinking, S("type"));
    (void)a;
    (void)json_member_u64(root, S("max_tokens"), &ask->max_tokens);
    ask->thinks = str_eq(type, S("enabled")) || str_eq(type, S("adaptive"));
    ask->thinking_hidden = str_eq(json_member_str(thinking, S("display")), S("omitted"));
    ask->text_schema =
        json_member(json_member(json_member(root, S("output_config")), S("format")), S("schema"));
    read_turn(json_member(root, S("messages")), ask);
    read_tool(json_member(root, S("tools")), ask);
}

static const struct str stop_reasons[] = {
    [MOCK_STOP_END] = S_INIT("end_turn"),
    [MOCK_STOP_LENGTH] = S_INIT("max_tokens"),
    [MOCK_STOP_TOOL] = S_INIT("tool_use"),
    [MOCK_STOP_REFUSAL] = S_INIT("refusal"),
};

/* A1.9: input_tokens does not contain cached ones. */
static void write_usage(const struct mock_plan *p, uint64_t output_tokens, struct buf *out)
{
    mock_json(out,
              "{\"input_tokens\":$u,\"cache_creation_input_tokens\":0,"
              "\"cache_read_input_tokens\":$u,\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,"
              "\"ephemeral_1h_input_tokens\":0},\"output_tokens\":$u,"
              "\"service_tier\":\"standard\"}",
              p->input_tokens - p->cached_tokens, p->cached_tokens, output_tokens);
}

static void write_call(const struct mock_plan *p, size_t i, struct str input, struct buf *out)
{
    mock_json(out, "{\"type\":\"tool_use\",\"id\":\"toolu_01$r\",\"name\":$s,\"input\":$r}",
              mock_call_id(p, i), p->ask.tool_name, input);
}

static void write_redacted(const struct mock_plan *p, struct buf *out)
{
    mock_json(out, "{\"type\":\"redacted_thinking\",\"data\":$s}", mock_seal(p, S("EmwKAhgBEgy3")));
}

static struct str stop_details(const struct mock_plan *p)
{
    if (p->stop != MOCK_STOP_REFUSAL)
        return S("null");
    return S(
        "{\"type\":\"refusal\",\"category\":\"cyber\",\"explanation\":\"This was asked for.\"}");
}

static void write_body(const struct mock_plan *p, struct buf *out)
{
    const char *comma = "";
    mock_json(out,
              "{\"id\":\"msg_01$r\",\"type\":\"message\",\"role\":\"assistant\",\"model\":$s,"
              "\"content\":[",
              p->id, p->ask.model);
    if (p->redacted) {
        write_redacted(p, out);
        comma = ",";
    } else if (p->ask.thinks) {
        mock_json(out, "{\"type\":\"thinking\",\"thinking\":$s,\"signature\":$s}", p->thinking.text,
                  mock_seal(p, S("EqQBCkYIARgC")));
        comma = ",";
    }
    if (p->text.n > 0) {
        mock_json(out, "$r{\"type\":\"text\",\"text\":$s,\"citations\":null}", str_of(comma),
                  p->text.text);
        comma = ",";
    }
    for (size_t i = 0; i < p->call_count; i++) {
        buf_add(out, str_of(comma));
        write_call(p, i, p->calls[i].text, out);
        comma = ",";
    }
    mock_json(out, "],\"stop_reason\":$s,\"stop_sequence\":null,\"stop_details\":$r,\"usage\":",
              stop_reasons[p->stop], stop_details(p));
    write_usage(p, p->output_tokens, out);
    buf_add_byte(out, '}');
}

static void render_head(const struct mock_plan *p, struct buf *out)
{
    mock_json(out,
              "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{"
              "\"id\":\"msg_01$r\",\"type\":\"message\",\"role\":\"assistant\",\"model\":$s,"
              "\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":",
              p->id, p->ask.model);
    write_usage(p, 1, out);
    buf_add(out, S("}}\n\n"));
}

static void render_open(const struct mock_reply *r, struct buf *out)
{
    mock_json(out,
              "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":$u,"
              "\"content_block\":",
              r->block);
    if (r->phase == MOCK_PHASE_CALL_OPEN)
        write_call(&r->plan, r->call, S("{}"), out);
    else if (r->phase == MOCK_PHASE_TEXT_OPEN)
        buf_add(out, S("{\"type\":\"text\",\"text\":\"\"}"));
    else if (r->plan.redacted)
        write_redacted(&r->plan, out);
    else
        buf_add(out, S("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"));
    buf_add(out, S("}\n\n"));
    if (r->block == 0) /* the vendor pings after the first block's start */
        buf_add(out, S("event: ping\ndata: {\"type\":\"ping\"}\n\n"));
}

static void render_delta(const struct mock_reply *r, const char *type, const char *member,
                         struct str value, struct buf *out)
{
    mock_json(out,
              "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":$u,"
              "\"delta\":{\"type\":\"$r\",\"$r\":$s}}\n\n",
              r->block, str_of(type), str_of(member), value);
}

static void render_close(const struct mock_reply *r, struct buf *out)
{
    if (r->phase == MOCK_PHASE_THINK_CLOSE && !r->plan.redacted)
        render_delta(r, "signature_delta", "signature", mock_seal(&r->plan, S("EqQBCkYIARgC")),
                     out);
    mock_json(out,
              "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
              "\"index\":$u}\n\n",
              r->block);
}

static void render_tail(const struct mock_plan *p, struct buf *out)
{
    mock_json(out,
              "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{"
              "\"stop_reason\":$s,\"stop_sequence\":null,\"stop_details\":$r},\"usage\":",
              stop_reasons[p->stop], stop_details(p));
    write_usage(p, p->output_tokens, out);
    buf_add(out, S("}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
}

static void render(struct mock_reply *r, struct buf *out)
{
    const struct mock_plan *p = &r->plan;
    switch (r->phase) {
    case MOCK_PHASE_HEAD:
        render_head(p, out);
        break;
    case MOCK_PHASE_THINK_OPEN:
    case MOCK_PHASE_TEXT_OPEN:
    case MOCK_PHASE_CALL_OPEN:
        render_open(r, out);
        break;
    case MOCK_PHASE_THINK:
        render_delta(r, "thinking_delta", "thinking", mock_piece(&p->thinking, r->i), out);
        break;
    case MOCK_PHASE_TEXT:
        render_delta(r, "text_delta", "text", mock_piece(&p->text, r->i), out);
        break;
    case MOCK_PHASE_CALL:
        render_delta(r, "input_json_delta", "partial_json", mock_piece(&p->calls[r->call], r->i),
                     out);
        break;
    case MOCK_PHASE_THINK_CLOSE:
    case MOCK_PHASE_TEXT_CLOSE:
    case MOCK_PHASE_CALL_CLOSE:
        render_close(r, out);
        break;
    case MOCK_PHASE_TAIL:
        render_tail(p, out);
        break;
    case MOCK_PHASE_END:
        break;
    }
}

static void error_event(struct mock_reply *r, struct buf *out)
{
    (void)r;
    buf_add(out, S("event: error\ndata: {\"type\":\"error\",\"error\":{"
                   "\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"));
}

const struct mock_vendor mock_messages = MOCK_VENDOR("messages", .anthropic = true);

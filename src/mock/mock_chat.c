#include "json.h"
#include "mock_vendor.h"

static int check_request(yyjson_val *root, struct buf *ret_message)
{
    yyjson_val *options = json_member(root, S("stream_options"));
    if (!yyjson_is_str(json_member(root, S("model"))))
        return mock_refused(ret_message, S("you must provide a model parameter"));
    if (json_member(root, S("messages")) == NULL)
        return mock_refused(ret_message, S("Missing required parameter: 'messages'."));
    if (!mock_is_filled_array(root, S("messages")))
        return mock_refused(ret_message,
                            S("Invalid 'messages': empty array. Expected an array with minimum "
                              "length 1, but got an empty array instead."));
    if (yyjson_is_obj(options) && !json_member_true(root, S("stream")))
        return mock_refused(ret_message,
                            S("The 'stream_options' parameter is only allowed when 'stream' is "
                              "enabled."));
    return 0;
}

static void read_turn(yyjson_val *messages, struct mock_ask *ask)
{
    for (size_t i = yyjson_arr_size(messages); i > 0; i--) {
        yyjson_val *message = yyjson_arr_get(messages, i - 1);
        struct str role = json_member_str(message, S("role"));
        yyjson_val *content = json_member(message, S("content"));
        if (str_eq(role, S("tool")) || str_eq(role, S("function")))
            ask->tool_result = mock_result_text(content);
        else if (str_eq(role, S("user")))
            ask->user_text = mock_content_text(content);
        else
            continue;
        return;
    }
}

static void read_tool(yyjson_val *tools, struct mock_ask *ask)
{
    yyjson_arr_iter iter = yyjson_arr_iter_with(tools); /* empty when it is no array */
    yyjson_val *tool;
    while (ask->tool_name.p == NULL && (tool = yyjson_arr_iter_next(&iter)) != NULL) {
        bool custom = str_eq(json_member_str(tool, S("type")), S("custom"));
        yyjson_val *inner = json_member(tool, custom ? S("custom") : S("function"));
        if (!mock_takes_tool(ask, json_member_str(inner, S("name"))))
            continue;
        ask->tool_custom = custom;
        ask->tool_name = json_member_str(inner, S("name"));
        ask->tool_schema = json_member(inner, S("parameters"));
    }
}

/* reasoning_effort, or the switches of compatible vendors (A2.9). */
static bool reads_thinking(yyjson_val *root)
{
    struct str effort = json_member_str(root, S("reasoning_effort"));
    struct str thinking = json_member_str(json_member(root, S("thinking")), S("type"));
    return (effort.n > 0 && !str_eq(effort, S("none"))) || str_eq(thinking, S("enabled")) ||
           json_member_true(root, S("enable_thinking")) ||
           yyjson_is_obj(json_member(root, S("reasoning")));
}

static void read_ask(yyjson_val *root, struct arena *a, struct mock_ask *ask)
{
    (void)a;
    if (!json_member_u64(root, S("max_completion_tokens"), &ask->max_tokens))
        (void)json_member_u64(root, S("max_tokens"), &ask->max_tokens);
    ask->include_usage =
        json_member_true(json_member(root, S("stream_options")), S("include_usage"));
    ask->thinks = reads_thinking(root);
    ask->text_schema = json_member(
        json_member(json_member(root, S("response_format")), S("json_schema")), S("schema"));
    read_turn(json_member(root, S("messages")), ask);
    read_tool(json_member(root, S("tools")), ask);
}

static const struct str finish_reasons[] = {
    [MOCK_STOP_END] = S_INIT("stop"),
    [MOCK_STOP_LENGTH] = S_INIT("length"),
    [MOCK_STOP_TOOL] = S_INIT("tool_calls"),
    [MOCK_STOP_REFUSAL] = S_INIT("stop"),
};

static void write_usage(const struct mock_plan *p, struct buf *out)
{
    mock_json(out,
              "{\"prompt_tokens\":$u,\"completion_tokens\":$u,\"total_tokens\":$u,"
              "\"prompt_tokens_details\":{\"cached_tokens\":$u,\"audio_tokens\":0},"
              "\"completion_tokens_details\":{\"reasoning_tokens\":$u,\"audio_tokens\":0,"
              "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}",
              p->input_tokens, p->output_tokens, p->input_tokens + p->output_tokens,
              p->cached_tokens, p->thinking_tokens);
}

/* "id",..,"function":{..}} without what stands in front. */
static void write_call(const struct mock_plan *p, size_t i, struct str input, struct buf *out)
{
    mock_json(out, "\"id\":\"call_$r\",", mock_call_id(p, i));
    if (p->ask.tool_custom)
        mock_json(out, "\"type\":\"custom\",\"custom\":{\"name\":$s,\"input\":$s}}",
                  p->ask.tool_name, input);
    else
        mock_json(out, "\"type\":\"function\",\"function\":{\"name\":$s,\"arguments\":$s}}",
                  p->ask.tool_name, input);
}

static void write_body(const struct mock_plan *p, struct buf *out)
{
    mock_json(out,
              "{\"id\":\"chatcmpl-$r\",\"object\":\"chat.completion\",\"created\":$u,\"model\":$s,"
              "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",",
              p->id, p->created_s, p->ask.model);
    if (p->stop == MOCK_STOP_REFUSAL)
        mock_json(out, "\"content\":null,\"refusal\":$s,\"annotations\":[]", p->text.text);
    else
        mock_json(out, "\"content\":$s,\"refusal\":null,\"annotations\":[]", p->text.text);
    if (p->ask.thinks)
        mock_json(out, ",\"reasoning_content\":$s", p->thinking.text);
    for (size_t i = 0; i < p->call_count; i++) {
        buf_add(out, i == 0 ? S(",\"tool_calls\":[{") : S(",{"));
        write_call(p, i, p->calls[i].text, out);
    }
    if (p->call_count > 0)
        buf_add_byte(out, ']');
    mock_json(out,
              "},\"logprobs\":null,\"finish_reason\":$s}],\"usage\":", finish_reasons[p->stop]);
    write_usage(p, out);
    buf_add(out, S(",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_mock\"}"));
}

static void chunk_begin(const struct mock_plan *p, struct buf *out)
{
    mock_json(out,
              "data: {\"id\":\"chatcmpl-$r\",\"object\":\"chat.completion.chunk\",\"created\":$u,"
              "\"model\":$s,\"service_tier\":\"default\",\"system_fingerprint\":\"fp_mock\",",
              p->id, p->created_s, p->ask.model);
}

/* One chunk with a delta; finish: a JSON value. */
static void render_chunk(const struct mock_plan *p, struct str delta, struct str finish,
                         struct buf *out)
{
    chunk_begin(p, out);
    mock_json(out,
              "\"choices\":[{\"index\":0,\"delta\":$r,\"logprobs\":null,"
              "\"finish_reason\":$r}]$r}\n\n",
              delta, finish, p->ask.include_usage ? S(",\"usage\":null") : S(""));
}

static void render_piece(const struct mock_reply *r, struct str before,
                         const struct mock_pieces *pieces, struct str after, struct buf *out)
{
    struct buf delta;
    buf_init(&delta, SIZE_MAX);
    mock_json(&delta, "$r$s$r", before, mock_piece(pieces, r->i), after);
    render_chunk(&r->plan, buf_str(&delta), S("null"), out);
    buf_done(&delta);
}

static void render_call(const struct mock_reply *r, struct buf *out)
{
    const struct mock_plan *p = &r->plan;
    struct str before =
        arena_printf(p->arena, "{\"tool_calls\":[{\"index\":%zu,\"%s\":", r->call,
                     p->ask.tool_custom ? "custom\":{\"input" : "function\":{\"arguments");
    render_piece(r, before, &p->calls[r->call], S("}}]}"), out);
}

static void render_call_open(const struct mock_reply *r, struct buf *out)
{
    struct buf delta;
    buf_init(&delta, SIZE_MAX);
    mock_json(&delta, "{\"tool_calls\":[{\"index\":$u,", (uint64_t)r->call);
    write_call(&r->plan, r->call, S(""), &delta);
    buf_add(&delta, S("]}"));
    render_chunk(&r->plan, buf_str(&delta), S("null"), out);
    buf_done(&delta);
}

static void render_tail(const struct mock_plan *p, struct buf *out)
{
    struct str finish = arena_printf(p->arena, "\"%.*s\"", STR_ARG(finish_reasons[p->stop]));
    render_chunk(p, S("{}"), finish, out);
    if (p->ask.include_usage) {
        chunk_begin(p, out);
        buf_add(out, S("\"choices\":[],\"usage\":"));
        write_usage(p, out);
        buf_add(out, S("}\n\n"));
    }
    buf_add(out, S("data: [DONE]\n\n"));
}

static void render(struct mock_reply *r, struct buf *out)
{
    const struct mock_plan *p = &r->plan;
    switch (r->phase) {
    case MOCK_PHASE_HEAD:
        render_chunk(p, S("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}"), S("null"),
                     out);
        break;
    case MOCK_PHASE_THINK:
        render_piece(r, S("{\"reasoning_content\":"), &p->thinking, S("}"), out);
        break;
    case MOCK_PHASE_TEXT:
        render_piece(r, p->stop == MOCK_STOP_REFUSAL ? S("{\"refusal\":") : S("{\"content\":"),
                     &p->text, S("}"), out);
        break;
    case MOCK_PHASE_CALL_OPEN:
        render_call_open(r, out);
        break;
    case MOCK_PHASE_CALL:
        render_call(r, out);
        break;
    case MOCK_PHASE_TAIL:
        render_tail(p, out);
        break;
    default: /* parts have no frame here */
        break;
    }
}

static void error_event(struct mock_reply *r, struct buf *out)
{
    (void)r;
    buf_add(out, S("data: {\"error\":{\"message\":\"The server had an error while processing your "
                   "request. Sorry about that!\",\"type\":\"server_error\",\"param\":null,"
                   "\"code\":null}}\n\n"));
}

const struct mock_vendor mock_chat = MOCK_VENDOR("chat", .interleaves = true);

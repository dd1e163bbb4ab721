#include "json.h"
#include "mock_vendor.h"

/* Members of the request that the reply repeats, with what stands there when absent. */
static const struct {
    struct str name, otherwise;
} echoed[] = {
    { S_INIT("instructions"), S_INIT("null") },
    { S_INIT("max_output_tokens"), S_INIT("null") },
    { S_INIT("max_tool_calls"), S_INIT("null") },
    { S_INIT("metadata"), S_INIT("{}") },
    { S_INIT("parallel_tool_calls"), S_INIT("true") },
    { S_INIT("previous_response_id"), S_INIT("null") },
    { S_INIT("prompt_cache_key"), S_INIT("null") },
    { S_INIT("reasoning"), S_INIT("{\"effort\":null,\"summary\":null}") },
    { S_INIT("safety_identifier"), S_INIT("null") },
    { S_INIT("service_tier"), S_INIT("\"default\"") },
    { S_INIT("store"), S_INIT("true") },
    { S_INIT("temperature"), S_INIT("1.0") },
    { S_INIT("text"), S_INIT("{\"format\":{\"type\":\"text\"}}") },
    { S_INIT("tool_choice"), S_INIT("\"auto\"") },
    { S_INIT("tools"), S_INIT("[]") },
    { S_INIT("top_logprobs"), S_INIT("0") },
    { S_INIT("top_p"), S_INIT("1.0") },
    { S_INIT("truncation"), S_INIT("\"disabled\"") },
    { S_INIT("user"), S_INIT("null") },
};

static int check_request(yyjson_val *root, struct buf *ret_message)
{
    yyjson_val *input = json_member(root, S("input"));
    if (!yyjson_is_str(json_member(root, S("model"))))
        return mock_refused(ret_message, S("Missing required parameter: 'model'."));
    if (input == NULL && json_member(root, S("prompt")) == NULL &&
        json_member(root, S("previous_response_id")) == NULL)
        return mock_refused(ret_message,
                            S("One of \"input\" or \"previous_response_id\" or 'prompt' or "
                              "'conversation' must be provided."));
    if (input != NULL && !yyjson_is_str(input) && !yyjson_is_arr(input))
        return mock_refused(ret_message,
                            S("Invalid type for 'input': expected one of a string or array of "
                              "input items."));
    return 0;
}

/* True when the item ends the search. */
static bool read_item(yyjson_val *item, struct mock_ask *ask)
{
    struct str type = json_member_str(item, S("type"));
    if (str_ends(type, S("_call_output"))) {
        ask->tool_result = mock_result_text(json_member(item, S("output")));
        return true;
    }
    if ((type.n == 0 || str_eq(type, S("message"))) &&
        str_eq(json_member_str(item, S("role")), S("user"))) {
        ask->user_text = mock_content_text(json_member(item, S("content")));
        return true;
    }
    return false;
}

static void read_input(yyjson_val *input, struct mock_ask *ask)
{
    ask->user_text = json_str(input);
    for (size_t i = yyjson_arr_size(input); i > 0; i--)
        if (read_item(yyjson_arr_get(input, i - 1), ask))
            return;
}

/* The first fitting function or custom tool, also of a namespace. */
static void read_tools(yyjson_val *tools, struct str space, struct mock_ask *ask)
{
    yyjson_arr_iter iter = yyjson_arr_iter_with(tools); /* empty when it is no array */
    yyjson_val *tool;
    while (ask->tool_name.p == NULL && (tool = yyjson_arr_iter_next(&iter)) != NULL) {
        struct str type = json_member_str(tool, S("type"));
        struct str name = json_member_str(tool, S("name"));
        if (str_eq(type, S("namespace")) && space.p == NULL) {
            read_tools(json_member(tool, S("tools")), name, ask);
        } else if ((str_eq(type, S("function")) || str_eq(type, S("custom"))) &&
                   mock_takes_tool(ask, name)) {
            ask->tool_name = name;
            ask->tool_namespace = space;
            ask->tool_custom = str_eq(type, S("custom"));
            ask->tool_schema = json_member(tool, S("parameters"));
        }
    }
}

/* Tools may also come as an item of the input (A3.2). */
static void read_additional_tools(yyjson_val *input, struct mock_ask *ask)
{
    for (size_t i = 0; i < yyjson_arr_size(input) && ask->tool_name.p == NULL; i++)
        read_tools(json_member(yyjson_arr_get(input, i), S("tools")), (struct str){ 0 }, ask);
}

static struct str read_echo(yyjson_val *root, struct arena *a)
{
    struct buf echo;
    buf_init(&echo, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(echoed); i++) {
        yyjson_val *val = json_member(root, echoed[i].name);
        mock_json(&echo, "$s:$r,", echoed[i].name,
                  val != NULL ? mock_raw(a, val) : echoed[i].otherwise);
    }
    struct str text = arena_str(a, buf_str(&echo));
    buf_done(&echo);
    return text;
}

static bool includes(yyjson_val *root, struct str what)
{
    yyjson_val *include = json_member(root, S("include"));
    for (size_t i = 0; i < yyjson_arr_size(include); i++)
        if (str_eq(json_str(yyjson_arr_get(include, i)), what))
            return true;
    return false;
}

static void read_ask(yyjson_val *root, struct arena *a, struct mock_ask *ask)
{
    yyjson_val *reasoning = json_member(root, S("reasoning"));
    yyjson_val *input = json_member(root, S("input"));
    struct str effort = json_member_str(reasoning, S("effort"));
    (void)json_member_u64(root, S("max_output_tokens"), &ask->max_tokens);
    ask->thinks = yyjson_is_obj(reasoning) && !str_eq(effort, S("none"));
    ask->thinking_hidden = json_member_str(reasoning, S("summary")).n == 0;
    ask->encrypted = includes(root, S("reasoning.encrypted_content"));
    ask->text_schema =
        json_member(json_member(json_member(root, S("text")), S("format")), S("schema"));
    ask->echo = read_echo(root, a);
    read_input(input, ask);
    read_tools(json_member(root, S("tools")), (struct str){ 0 }, ask);
    read_additional_tools(input, ask);
}

static void write_usage(const struct mock_plan *p, struct buf *out)
{
    mock_json(out,
              "{\"input_tokens\":$u,\"input_tokens_details\":{\"cached_tokens\":$u,"
              "\"cache_write_tokens\":0},\"output_tokens\":$u,\"output_tokens_details\":{"
              "\"reasoning_tokens\":$u},\"total_tokens\":$u}",
              p->input_tokens, p->cached_tokens, p->output_tokens, p->thinking_tokens,
              p->input_tokens + p->output_tokens);
}

static bool refuses(const struct mock_plan *p)
{
    return p->stop == MOCK_STOP_REFUSAL;
}

static void write_part(const struct mock_plan *p, struct str text, struct buf *out)
{
    if (refuses(p))
        mock_json(out, "{\"type\":\"refusal\",\"refusal\":$s}", text);
    else
        mock_json(out, "{\"type\":\"output_text\",\"text\":$s,\"annotations\":[],\"logprobs\":[]}",
                  text);
}

/* The three items; as they are when added, or done. */
static void write_reasoning(const struct mock_plan *p, bool done, struct buf *out)
{
    mock_json(out, "{\"id\":\"rs_$r\",\"type\":\"reasoning\",\"summary\":[", p->id);
    if (done && p->thinking.n > 0)
        mock_json(out, "{\"type\":\"summary_text\",\"text\":$s}", p->thinking.text);
    buf_add_byte(out, ']');
    if (p->ask.encrypted) /* B3: only the one in output_item.done counts */
        mock_json(out, ",\"encrypted_content\":$s",
                  mock_seal(p, done ? S("gAAAAABmock") : S("gAAAAABpart")));
    buf_add_byte(out, '}');
}

static bool text_is_cut(const struct mock_plan *p)
{
    return p->stop == MOCK_STOP_LENGTH;
}

static struct str item_status(const struct mock_plan *p, bool done)
{
    if (!done)
        return S("in_progress");
    return text_is_cut(p) ? S("incomplete") : S("completed");
}

static void write_message(const struct mock_plan *p, bool done, struct buf *out)
{
    mock_json(out,
              "{\"id\":\"msg_$r\",\"type\":\"message\",\"role\":\"assistant\",\"status\":$s,"
              "\"content\":[",
              p->id, item_status(p, done));
    if (done)
        write_part(p, p->text.text, out);
    buf_add(out, S("]}"));
}

static void write_call(const struct mock_plan *p, size_t i, bool done, struct buf *out)
{
    const struct mock_ask *ask = &p->ask;
    struct str input = done ? p->calls[i].text : S(""), id = mock_call_id(p, i);
    struct str type = ask->tool_custom ? S("custom_tool_call") : S("function_call");
    mock_json(out, "{\"id\":\"$r_$r\",\"type\":$s,\"call_id\":\"call_$r\",\"name\":$s,",
              ask->tool_custom ? S("ctc") : S("fc"), id, type, id, ask->tool_name);
    if (ask->tool_namespace.p != NULL)
        mock_json(out, "\"namespace\":$s,", ask->tool_namespace);
    mock_json(out, "\"$r\":$s,\"status\":$s}", ask->tool_custom ? S("input") : S("arguments"),
              input, done ? S("completed") : S("in_progress"));
}

static void write_output(const struct mock_plan *p, struct buf *out)
{
    size_t begin = buf_len(out);
    if (p->ask.thinks) {
        write_reasoning(p, true, out);
        buf_add_byte(out, ',');
    }
    if (p->text.n > 0) {
        write_message(p, true, out);
        buf_add_byte(out, ',');
    }
    for (size_t i = 0; i < p->call_count; i++) {
        write_call(p, i, true, out);
        buf_add_byte(out, ',');
    }
    if (buf_len(out) > begin)
        buf_truncate(out, buf_len(out) - 1); /* the comma */
}

static void write_response(const struct mock_plan *p, bool done, struct buf *out)
{
    struct str status = item_status(p, done);
    mock_json(out,
              "{\"id\":\"resp_$r\",\"object\":\"response\",\"created_at\":$u,\"status\":$s,"
              "\"background\":false,\"error\":null,\"incomplete_details\":$r,\"model\":$s,$r",
              p->id, p->created_s, status,
              done && text_is_cut(p) ? S("{\"reason\":\"max_output_tokens\"}") : S("null"),
              p->ask.model, p->ask.echo);
    buf_add(out, S("\"output\":["));
    if (done)
        write_output(p, out);
    buf_add(out, S("],\"usage\":"));
    if (done)
        write_usage(p, out);
    else
        buf_add(out, S("null"));
    buf_add_byte(out, '}');
}

static void write_body(const struct mock_plan *p, struct buf *out)
{
    write_response(p, true, out);
}

/* event: and data: up to the sequence number; "}\n\n" ends it. */
static void event_begin(struct mock_reply *r, struct str type, struct buf *out)
{
    mock_json(out, "event: $r\ndata: {\"type\":$s,\"sequence_number\":$u,", type, type,
              r->sequence++);
}

static void event_end(struct buf *out)
{
    buf_add(out, S("}\n\n"));
}

static void response_event(struct mock_reply *r, struct str type, bool done, struct buf *out)
{
    event_begin(r, type, out);
    buf_add(out, S("\"response\":"));
    write_response(&r->plan, done, out);
    event_end(out);
}

static void item_event(struct mock_reply *r, bool done, struct buf *out)
{
    event_begin(r, done ? S("response.output_item.done") : S("response.output_item.added"), out);
    mock_json(out, "\"output_index\":$u,\"item\":", r->block);
    if (r->phase <= MOCK_PHASE_THINK_CLOSE)
        write_reasoning(&r->plan, done, out);
    else if (r->phase <= MOCK_PHASE_TEXT_CLOSE)
        write_message(&r->plan, done, out);
    else
        write_call(&r->plan, r->call, done, out);
    event_end(out);
}

/* Events inside an item: item_id, output_index, then the rest of the members. */
static void inner_event(struct mock_reply *r, struct str type, struct str prefix, struct buf *out)
{
    event_begin(r, type, out);
    mock_json(out, "\"item_id\":\"$r_$r\",\"output_index\":$u,", prefix,
              mock_call_id(&r->plan, r->call), r->block);
}

static void summary_part(struct mock_reply *r, struct str type, struct str text, struct buf *out)
{
    inner_event(r, type, S("rs"), out);
    mock_json(out, "\"summary_index\":0,\"part\":{\"type\":\"summary_text\",\"text\":$s}", text);
    event_end(out);
}

static void summary_text(struct mock_reply *r, struct str type, struct str member, struct str text,
                         struct buf *out)
{
    inner_event(r, type, S("rs"), out);
    mock_json(out, "\"summary_index\":0,\"$r\":$s", member, text);
    event_end(out);
}

static void render_thinking(struct mock_reply *r, struct buf *out)
{
    const struct mock_pieces *t = &r->plan.thinking;
    if (r->phase == MOCK_PHASE_THINK_OPEN) {
        item_event(r, false, out);
        if (t->n > 0)
            summary_part(r, S("response.reasoning_summary_part.added"), S(""), out);
    } else if (r->phase == MOCK_PHASE_THINK) {
        summary_text(r, S("response.reasoning_summary_text.delta"), S("delta"), mock_piece(t, r->i),
                     out);
    } else {
        if (t->n > 0) {
            summary_text(r, S("response.reasoning_summary_text.done"), S("text"), t->text, out);
            summary_part(r, S("response.reasoning_summary_part.done"), t->text, out);
        }
        item_event(r, true, out);
    }
}

static void content_part(struct mock_reply *r, struct str type, struct str text, struct buf *out)
{
    inner_event(r, type, S("msg"), out);
    buf_add(out, S("\"content_index\":0,\"part\":"));
    write_part(&r->plan, text, out);
    event_end(out);
}

static void text_event(struct mock_reply *r, bool done, struct str text, struct buf *out)
{
    if (refuses(&r->plan)) {
        inner_event(r, done ? S("response.refusal.done") : S("response.refusal.delta"), S("msg"),
                    out);
        mock_json(out, "\"content_index\":0,\"$r\":$s", done ? S("refusal") : S("delta"), text);
    } else {
        inner_event(r, done ? S("response.output_text.done") : S("response.output_text.delta"),
                    S("msg"), out);
        mock_json(out, "\"content_index\":0,\"$r\":$s,\"logprobs\":[]",
                  done ? S("text") : S("delta"), text);
    }
    event_end(out);
}

static void render_text(struct mock_reply *r, struct buf *out)
{
    const struct mock_pieces *t = &r->plan.text;
    if (r->phase == MOCK_PHASE_TEXT_OPEN) {
        item_event(r, false, out);
        content_part(r, S("response.content_part.added"), S(""), out);
    } else if (r->phase == MOCK_PHASE_TEXT) {
        text_event(r, false, mock_piece(t, r->i), out);
    } else {
        text_event(r, true, t->text, out);
        content_part(r, S("response.content_part.done"), t->text, out);
        item_event(r, true, out);
    }
}

static void call_event(struct mock_reply *r, bool done, struct str text, struct buf *out)
{
    static const struct str types[2][2] = {
        { S_INIT("response.function_call_arguments.delta"),
          S_INIT("response.function_call_arguments.done") },
        { S_INIT("response.custom_tool_call_input.delta"),
          S_INIT("response.custom_tool_call_input.done") },
    };
    bool custom = r->plan.ask.tool_custom;
    inner_event(r, types[custom][done], custom ? S("ctc") : S("fc"), out);
    struct str member = !done ? S("delta") : custom ? S("input") : S("arguments");
    mock_json(out, "$s:$s", member, text);
    event_end(out);
}

static void render_call(struct mock_reply *r, struct buf *out)
{
    if (r->phase == MOCK_PHASE_CALL_OPEN) {
        item_event(r, false, out);
    } else if (r->phase == MOCK_PHASE_CALL) {
        call_event(r, false, mock_piece(&r->plan.calls[r->call], r->i), out);
    } else {
        call_event(r, true, r->plan.calls[r->call].text, out);
        item_event(r, true, out);
    }
}

static void render(struct mock_reply *r, struct buf *out)
{
    if (r->phase == MOCK_PHASE_HEAD) {
        response_event(r, S("response.created"), false, out);
        response_event(r, S("response.in_progress"), false, out);
    } else if (r->phase <= MOCK_PHASE_THINK_CLOSE) {
        render_thinking(r, out);
    } else if (r->phase <= MOCK_PHASE_TEXT_CLOSE) {
        render_text(r, out);
    } else if (r->phase <= MOCK_PHASE_CALL_CLOSE) {
        render_call(r, out);
    } else {
        bool cut = text_is_cut(&r->plan);
        response_event(r, cut ? S("response.incomplete") : S("response.completed"), true, out);
    }
}

static void error_event(struct mock_reply *r, struct buf *out)
{
    event_begin(r, S("error"), out);
    buf_add(out, S("\"code\":\"server_error\",\"message\":\"The server had an error while "
                   "processing your request. Sorry about that!\",\"param\":null"));
    event_end(out);
}

const struct mock_vendor mock_responses = MOCK_VENDOR("responses", .interleaves = true);

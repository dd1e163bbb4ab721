/*
 * Goal: the simulator's streams keep the vendors' grammar, and say the same as its bodies.
 */
#include "unit.h"

#include "json.h"
#include "mock_faults.h"
#include "mock_vendor.h"
#include "sse.h"

/* What a client would put together from a stream. */
struct client {
    struct buf kinds; /* the events' types, shortened, one char each */
    struct buf text, thinking, call;
    struct buf last; /* data of the last event */
    uint64_t sequence;
    int bad_json;
};

static void client_init(struct client *c)
{
    *c = (struct client){ 0 };
    buf_init(&c->kinds, SIZE_MAX);
    buf_init(&c->text, SIZE_MAX);
    buf_init(&c->thinking, SIZE_MAX);
    buf_init(&c->call, SIZE_MAX);
    buf_init(&c->last, SIZE_MAX);
}

static void client_done(struct client *c)
{
    buf_done(&c->kinds);
    buf_done(&c->text);
    buf_done(&c->thinking);
    buf_done(&c->call);
    buf_done(&c->last);
}

static const struct {
    struct str type;
    char kind;
} kinds[] = {
    { S_INIT("message_start"), 'M' },
    { S_INIT("ping"), 'p' },
    { S_INIT("content_block_start"), '<' },
    { S_INIT("content_block_delta"), '.' },
    { S_INIT("content_block_stop"), '>' },
    { S_INIT("message_delta"), 'D' },
    { S_INIT("message_stop"), 'S' },
    { S_INIT("error"), 'E' },
    { S_INIT("response.created"), 'C' },
    { S_INIT("response.in_progress"), 'P' },
    { S_INIT("response.output_item.added"), '<' },
    { S_INIT("response.output_item.done"), '>' },
    { S_INIT("response.reasoning_summary_part.added"), '(' },
    { S_INIT("response.reasoning_summary_part.done"), ')' },
    { S_INIT("response.content_part.added"), '(' },
    { S_INIT("response.content_part.done"), ')' },
    { S_INIT("response.reasoning_summary_text.delta"), '.' },
    { S_INIT("response.reasoning_summary_text.done"), ';' },
    { S_INIT("response.output_text.delta"), '.' },
    { S_INIT("response.output_text.done"), ';' },
    { S_INIT("response.function_call_arguments.delta"), '.' },
    { S_INIT("response.function_call_arguments.done"), ';' },
    { S_INIT("response.custom_tool_call_input.delta"), '.' },
    { S_INIT("response.custom_tool_call_input.done"), ';' },
    { S_INIT("response.completed"), 'S' },
    { S_INIT("response.incomplete"), 'I' },
};

static char kind_of(struct str type)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eq(kinds[i].type, type))
            return kinds[i].kind;
    return '?';
}

/* Repeated deltas are one '.'. */
static void add_kind(struct client *c, char kind)
{
    struct str seen = buf_str(&c->kinds);
    if (kind != '.' || seen.n == 0 || seen.p[seen.n - 1] != '.')
        buf_add_byte(&c->kinds, kind);
}

static void take_messages(struct client *c, yyjson_val *root)
{
    yyjson_val *delta = json_member(root, S("delta"));
    buf_add(&c->text, json_member_str(delta, S("text")));
    buf_add(&c->thinking, json_member_str(delta, S("thinking")));
    buf_add(&c->call, json_member_str(delta, S("partial_json")));
}

static void take_chat(struct client *c, yyjson_val *root)
{
    yyjson_val *choice = yyjson_arr_get_first(json_member(root, S("choices")));
    yyjson_val *delta = json_member(choice, S("delta"));
    yyjson_val *call = yyjson_arr_get_first(json_member(delta, S("tool_calls")));
    buf_add(&c->text, json_member_str(delta, S("content")));
    buf_add(&c->thinking, json_member_str(delta, S("reasoning_content")));
    buf_add(&c->call, json_member_str(json_member(call, S("function")), S("arguments")));
    buf_add(&c->call, json_member_str(json_member(call, S("custom")), S("input")));
    if (json_member_str(choice, S("finish_reason")).n > 0)
        add_kind(c, 'F');
    else if (choice == NULL)
        add_kind(c, 'U');
    else
        add_kind(c, '.');
}

static void take_responses(struct client *c, struct str type, yyjson_val *root)
{
    struct str delta = json_member_str(root, S("delta"));
    uint64_t sequence = UINT64_MAX;
    assert_true(json_member_u64(root, S("sequence_number"), &sequence));
    assert_int_equal(sequence, c->sequence++);
    if (str_eq(type, S("response.output_text.delta")))
        buf_add(&c->text, delta);
    else if (str_eq(type, S("response.reasoning_summary_text.delta")))
        buf_add(&c->thinking, delta);
    else
        buf_add(&c->call, delta);
}

static int on_event(void *ctx, const struct sse_event *ev)
{
    struct client *c = ctx;
    yyjson_doc *doc;
    struct json_error why;
    buf_clear(&c->last);
    buf_add(&c->last, ev->data);
    if (str_eq(ev->data, S("[DONE]"))) {
        add_kind(c, 'S');
        return 0;
    }
    if (json_parse(ev->data, &doc, &why) < 0) {
        c->bad_json++;
        c->sequence++; /* it has a number too */
        return 0;
    }
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct str type = json_member_str(root, S("type"));
    assert_str(ev->name, type);
    if (type.n > 0)
        add_kind(c, kind_of(type));
    if (type.n == 0)
        take_chat(c, root);
    else if (json_member(root, S("sequence_number")) != NULL)
        take_responses(c, type, root);
    else
        take_messages(c, root);
    yyjson_doc_free(doc);
    return 0;
}

struct run {
    struct arena arena;
    yyjson_doc *doc;
    struct mock_plan plan;
    struct client client;
    enum mock_then then;
    struct buf stream, body;
};

static void run_with(struct run *r, const struct mock_vendor *vendor, struct str request,
                     struct mock_fault fault, struct mock_wish wish)
{
    struct json_error why;
    struct mock_ask ask;
    struct mock_reply reply;
    struct buf message;
    uint64_t tokens = 0;
    arena_init(&r->arena, 64 << 20);
    buf_init(&r->stream, SIZE_MAX);
    buf_init(&r->body, SIZE_MAX);
    buf_init(&message, 1000);
    client_init(&r->client);
    assert_int_equal(json_parse(request, &r->doc, &why), 0);
    yyjson_val *root = yyjson_doc_get_root(r->doc);
    if (vendor->check(root, &message) != 0)
        fail_msg("refused: %.*s", STR_ARG(buf_str(&message)));
    mock_ask_read(&ask, vendor, root, &r->arena);
    wish.body_bytes = request.n;
    wish.number = 7;
    mock_plan_make(&r->plan, &r->arena, &ask, &wish);
    vendor->body(&r->plan, &r->body);
    mock_reply_init(&reply, vendor, &r->plan);
    do {
        struct buf events;
        buf_init(&events, SIZE_MAX);
        r->then = mock_fault_next(fault, &reply, &tokens, &events);
        buf_add(&r->stream, buf_str(&events));
        buf_done(&events);
    } while (r->then == MOCK_THEN_MORE);
    struct sse_decoder d;
    sse_decoder_init(&d, SIZE_MAX, on_event, &r->client);
    assert_int_equal(sse_decoder_feed(&d, buf_str(&r->stream)), 0);
    sse_decoder_done(&d);
}

static void run(struct run *r, const struct mock_vendor *vendor, struct str request)
{
    run_with(r, vendor, request, (struct mock_fault){ 0 }, (struct mock_wish){ 0 });
    assert_int_equal(r->then, MOCK_THEN_END);
    assert_int_equal(r->client.bad_json, 0);
    yyjson_doc *doc;
    struct json_error why;
    assert_int_equal(json_parse(buf_str(&r->body), &doc, &why), 0);
    yyjson_doc_free(doc);
}

static void run_done(struct run *r)
{
    client_done(&r->client);
    buf_done(&r->stream);
    buf_done(&r->body);
    yyjson_doc_free(r->doc);
    arena_done(&r->arena);
}

#define HAS(r, text) assert_true(str_contains(buf_str(&(r).body), S(text)))

static void messages_streams(void **state)
{
    (void)state;
    struct run r;
    run(&r, &mock_messages,
        S("{\"model\":\"m\",\"max_tokens\":900,\"messages\":[{\"role\":\"user\",\"content\":"
          "\"Hi \\\"you\\\" \xc3\xa4\"}]}"));
    assert_str(buf_str(&r.client.kinds), S("M<p.>DS"));
    assert_true(str_contains(buf_str(&r.client.text), S("Hi \"you\" \xc3\xa4")));
    assert_str(buf_str(&r.client.text), r.plan.text.text);
    HAS(r, "\"stop_reason\":\"end_turn\"");
    run_done(&r);
    run(&r, &mock_messages,
        S("{\"model\":\"m\",\"max_tokens\":9000,\"thinking\":{\"type\":\"adaptive\"},\"tools\":["
          "{\"type\":\"web_search_20250305\",\"name\":\"web_search\"},{\"name\":\"sh\","
          "\"input_schema\":{\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"string\"},"
          "\"n\":{\"type\":\"integer\"}},\"required\":[\"n\"]}}],\"messages\":[{\"role\":\"user\","
          "\"content\":[{\"type\":\"text\",\"text\":\"mock:tool\"}]}]}"));
    assert_str(buf_str(&r.client.kinds), S("M<p.><.><.>DS"));
    assert_str(buf_str(&r.client.call), S("{\"command\":\"echo mock-shell-$((6*7))\",\"n\":1}"));
    assert_str(buf_str(&r.client.thinking), r.plan.thinking.text);
    HAS(r, "\"name\":\"sh\",\"input\":{\"command\":\"echo mock-shell-$((6*7))\",\"n\":1}");
    HAS(r, "\"stop_reason\":\"tool_use\"");
    run_done(&r);
    run(&r, &mock_messages,
        S("{\"model\":\"m\",\"max_tokens\":3,\"messages\":[{\"role\":\"user\",\"content\":"
          "[{\"type\":\"tool_result\",\"tool_use_id\":\"x\",\"content\":\"42\"}]}]}"));
    assert_str(buf_str(&r.client.text), S("The tool answered: "));
    HAS(r, "\"stop_reason\":\"max_tokens\"");
    run_done(&r);
    run(&r, &mock_messages,
        S("{\"model\":\"m\",\"max_tokens\":0,\"messages\":[{\"role\":\"user\",\"content\":"
          "\"x\"}]}"));
    assert_str(buf_str(&r.client.kinds), S("MDS"));
    run_done(&r);
}

static void chat_streams(void **state)
{
    (void)state;
    struct run r;
    run(&r, &mock_chat,
        S("{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
          "\"reasoning_effort\":\"low\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}"));
    assert_str(buf_str(&r.client.kinds), S(".FUS"));
    assert_str(buf_str(&r.client.text), r.plan.text.text);
    assert_str(buf_str(&r.client.thinking), r.plan.thinking.text);
    HAS(r, "\"finish_reason\":\"stop\"");
    run_done(&r);
    run(&r, &mock_chat,
        S("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"mock:tool\"}],\"tools\":"
          "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":"
          "\"object\",\"properties\":{\"a\":{\"enum\":[\"x\",\"y\"]}}}}}]}"));
    assert_str(buf_str(&r.client.kinds), S(".FS"));
    assert_str(buf_str(&r.client.call), S("{\"a\":\"x\"}"));
    HAS(r, "\"finish_reason\":\"tool_calls\"");
    run_done(&r);
    run(&r, &mock_chat,
        S("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"mock:tool\"},{\"role\":"
          "\"assistant\"},{\"role\":\"tool\",\"content\":\"forty-two\"}],\"max_tokens\":100}"));
    assert_true(str_contains(buf_str(&r.client.text), S("\"forty-two\"")));
    run_done(&r);
}

/* Goal: two calls at once, the second's arguments not the first's: one after the other in Messages,
 * piece by piece in turns elsewhere. */
static void calls_come_in_parallel(void **state)
{
    (void)state;
    struct run r;
    run(&r, &mock_messages,
        S("{\"model\":\"m\",\"max_tokens\":900,\"tools\":[{\"name\":\"f\",\"input_schema\":{"
          "\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}}],\"messages\":[{"
          "\"role\":\"user\",\"content\":\"mock:tool mock:parallel\"}]}"));
    assert_str(buf_str(&r.client.kinds), S("M<p.><.><.>DS"));
    assert_str(buf_str(&r.client.call), S("{\"a\":\"text\"}{\"a\":\"another text\"}"));
    run_done(&r);
    run(&r, &mock_chat,
        S("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"mock:tool "
          "mock:parallel\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
          "\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}}}]}"));
    assert_str(buf_str(&r.client.call), S("{\"a\":\"{\"a\":\"text\"}anothe"
                                          "r text\"}"));
    HAS(r, "\"arguments\":\"{\\\"a\\\":\\\"another text\\\"}\"");
    run_done(&r);
}

/* Goal: each protocol's own way to refuse, streamed and whole. */
static void refusals(void **state)
{
    (void)state;
    struct run r;
    run(&r, &mock_messages,
        S("{\"model\":\"m\",\"max_tokens\":900,\"messages\":[{\"role\":\"user\",\"content\":"
          "\"mock:refuse\"}]}"));
    HAS(r, "\"stop_reason\":\"refusal\"");
    run_done(&r);
    run(&r, &mock_chat,
        S("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"mock:refuse\"}]}"));
    assert_str(buf_str(&r.client.text), S(""));
    HAS(r, "\"content\":null,\"refusal\":\"I cannot");
    run_done(&r);
    run(&r, &mock_responses, S("{\"model\":\"m\",\"input\":\"mock:refuse\"}"));
    assert_true(str_contains(buf_str(&r.stream), S("response.refusal.delta")));
    assert_false(str_contains(buf_str(&r.stream), S("output_text")));
    HAS(r, "\"type\":\"refusal\",\"refusal\":\"I cannot");
    run_done(&r);
}

/* Goal: the terminal event's response is the body of the reply that does not stream. */
static void check_terminal(struct run *r)
{
    struct str last = buf_str(&r->client.last), body = buf_str(&r->body);
    size_t at = str_find(last, S("\"response\":"));
    assert_str(str_slice(last, at + 11, last.n - 1), body);
}

/* Goal: "mock:tool=NAME" chooses the tool in every protocol; a name nobody has chooses none. */
static void user_names_the_tool(void **state)
{
    (void)state;
    struct run r;
    run(&r, &mock_messages,
        S("{\"model\":\"m\",\"max_tokens\":900,\"tools\":[{\"name\":\"Ba\",\"input_schema\":{}},{"
          "\"name\":\"Bash\",\"input_schema\":{}}],\"messages\":[{\"role\":\"user\","
          "\"content\":\"mock:tool=Bash now\"}]}"));
    HAS(r, "\"name\":\"Bash\"");
    run_done(&r);
    run(&r, &mock_chat,
        S("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"mock:tool=exec\"}],"
          "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}},{\"type\":"
          "\"custom\",\"custom\":{\"name\":\"exec\"}}]}"));
    assert_true(str_starts(buf_str(&r.client.call), S("text(await tools.exec_command({ cmd: ")));
    run_done(&r);
    run(&r, &mock_responses,
        S("{\"model\":\"m\",\"input\":\"mock:tool=f\\n\",\"tools\":[{\"type\":\"custom\","
          "\"name\":\"g\"},{\"type\":\"namespace\",\"name\":\"ns\",\"tools\":[{\"type\":"
          "\"function\",\"name\":\"ff\"},{\"type\":\"function\",\"name\":\"f\"}]}]}"));
    HAS(r, "\"name\":\"f\",\"namespace\":\"ns\"");
    run_done(&r);
    run(&r, &mock_responses,
        S("{\"model\":\"m\",\"input\":\"mock:tool=h\",\"tools\":[{\"type\":\"custom\",\"name\":"
          "\"g\"}]}"));
    assert_int_equal(r.plan.call_count, 0);
    run_done(&r);
}

static void responses_streams(void **state)
{
    (void)state;
    struct run r;
    run(&r, &mock_responses,
        S("{\"model\":\"m\",\"input\":\"Hi\",\"reasoning\":{\"effort\":\"low\",\"summary\":"
          "\"auto\"},\"include\":[\"reasoning.encrypted_content\"],\"metadata\":{\"a\":\"b\"}}"));
    assert_str(buf_str(&r.client.kinds), S("CP<(.;)><(.;)>S"));
    assert_str(buf_str(&r.client.text), r.plan.text.text);
    assert_str(buf_str(&r.client.thinking), r.plan.thinking.text);
    check_terminal(&r);
    HAS(r, "\"encrypted_content\":\"gAAAAABmock");
    HAS(r, "\"metadata\":{\"a\":\"b\"}");
    run_done(&r);
    run(&r, &mock_responses,
        S("{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
          "\"text\":\"mock:tool\"}]}],\"tools\":[{\"type\":\"web_search\"},{\"type\":\"namespace\","
          "\"name\":\"ns\",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{"
          "\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"array\"}}}}]}]}"));
    assert_str(buf_str(&r.client.kinds), S("CP<(.;)><.;>S"));
    assert_str(buf_str(&r.client.call),
               S("{\"command\":[\"bash\",\"-c\",\"echo mock-shell-$((6*7))\"]}"));
    check_terminal(&r);
    HAS(r, "\"name\":\"f\",\"namespace\":\"ns\",\"arguments\":");
    run_done(&r);
    run(&r, &mock_responses,
        S("{\"model\":\"m\",\"input\":[{\"type\":\"additional_tools\",\"role\":\"developer\","
          "\"tools\":[{\"type\":\"custom\",\"name\":\"patch\"}]},{\"role\":\"user\",\"content\":"
          "\"mock:tool\"}],\"max_output_tokens\":900}"));
    assert_str(buf_str(&r.client.call), S("text"));
    check_terminal(&r);
    HAS(r, "\"type\":\"custom_tool_call\"");
    run_done(&r);
    run(&r, &mock_responses, S("{\"model\":\"m\",\"input\":\"Hi\",\"max_output_tokens\":2}"));
    assert_str(buf_str(&r.client.kinds), S("CP<(.;)>I"));
    check_terminal(&r);
    HAS(r, "\"incomplete_details\":{\"reason\":\"max_output_tokens\"}");
    run_done(&r);
}

static const struct str plain =
    S_INIT("{\"model\":\"m\",\"max_tokens\":900,\"messages\":[{\"role\":\"user\","
           "\"content\":\"Hi\"}]}");

static void wishes_shape_the_text(void **state)
{
    (void)state;
    struct run r;
    struct mock_fault none = { 0 };
    run_with(&r, &mock_chat, plain, none, (struct mock_wish){ .n_deltas = 500 });
    assert_int_equal(r.plan.text.n, 500);
    assert_str(buf_str(&r.client.text), r.plan.text.text);
    run_done(&r);
    run_with(&r, &mock_chat, plain, none, (struct mock_wish){ .n_deltas = 2 });
    assert_str(buf_str(&r.client.text), S("Hello! This "));
    run_done(&r);
    run_with(&r, &mock_chat, plain, none, (struct mock_wish){ .huge_mib = 2 });
    assert_str(buf_str(&r.client.text), r.plan.text.text);
    assert_true(r.plan.text.text.n > 2 << 20);
    assert_true(str_ends(r.plan.text.text, S("would.")));
    run_done(&r);
}

static void fault_names_are_read(void **state)
{
    (void)state;
    struct mock_fault f = mock_fault_find(S("status-529"), S("x"));
    assert_int_equal(f.kind, MOCK_FAULT_STATUS);
    assert_int_equal(f.number, 529);
    assert_int_equal(mock_fault_find(S(""), S("mock-cut-clean")).kind, MOCK_FAULT_CUT_CLEAN);
    assert_int_equal(mock_fault_find(S(""), S("gpt:mock:stall")).kind, MOCK_FAULT_STALL);
    assert_int_equal(mock_fault_find(S("crlf"), S("mock-stall")).kind, MOCK_FAULT_CRLF);
    assert_int_equal(mock_fault_find(S("status-99"), S("")).kind, MOCK_FAULT_NONE);
    assert_int_equal(mock_fault_find(S("slow-first-"), S("")).kind, MOCK_FAULT_NONE);
    assert_int_equal(mock_fault_find(S("nonsense"), S("mock-nonsense")).kind, MOCK_FAULT_NONE);
}

static enum mock_then fault_run(struct run *r, const struct mock_vendor *vendor,
                                enum mock_fault_kind kind)
{
    struct str request =
        vendor == &mock_responses ? S("{\"model\":\"m\",\"input\":\"Hi\"}") : plain;
    run_with(r, vendor, request, (struct mock_fault){ .kind = kind }, (struct mock_wish){ 0 });
    return r->then;
}

/* Goal: each fault breaks off where it says, after the same 3 tokens, in each protocol. */
static void faults_spoil_the_stream(void **state)
{
    (void)state;
    const struct mock_vendor *const vendors[] = { &mock_messages, &mock_chat, &mock_responses };
    const struct str begun = S("Hello! This is ");
    for (size_t i = 0; i < ARRAY_LEN(vendors); i++) {
        struct run r;
        assert_int_equal(fault_run(&r, vendors[i], MOCK_FAULT_STALL), MOCK_THEN_STALL);
        assert_str(buf_str(&r.client.text), begun);
        run_done(&r);
        assert_int_equal(fault_run(&r, vendors[i], MOCK_FAULT_CUT_CLEAN), MOCK_THEN_END);
        assert_str(buf_str(&r.client.text), begun);
        assert_true(str_ends(buf_str(&r.stream), S("}\n\n")));
        run_done(&r);
        assert_int_equal(fault_run(&r, vendors[i], MOCK_FAULT_CUT), MOCK_THEN_ABORT);
        assert_str(buf_str(&r.client.text), begun);
        assert_false(str_ends(buf_str(&r.stream), S("\n")));
        run_done(&r);
        assert_int_equal(fault_run(&r, vendors[i], MOCK_FAULT_RESET), MOCK_THEN_RESET);
        run_done(&r);
        assert_int_equal(fault_run(&r, vendors[i], MOCK_FAULT_INVALID_JSON), MOCK_THEN_END);
        assert_int_equal(r.client.bad_json, 1);
        run_done(&r);
        assert_int_equal(fault_run(&r, vendors[i], MOCK_FAULT_ERROR_EVENT), MOCK_THEN_END);
        assert_str(buf_str(&r.client.text), begun);
        assert_true(str_contains(buf_str(&r.client.last), S("error")));
        run_done(&r);
        assert_int_equal(fault_run(&r, vendors[i], MOCK_FAULT_NO_BLANK_END), MOCK_THEN_END);
        struct str tail = buf_str(&r.stream);
        assert_false(str_ends(tail, S("\n\n")));
        assert_true(str_ends(tail, S("\n")));
        run_done(&r);
        assert_int_equal(fault_run(&r, vendors[i], MOCK_FAULT_CRLF), MOCK_THEN_END);
        assert_str(buf_str(&r.client.text), r.plan.text.text);
        assert_true(str_ends(buf_str(&r.stream), S("\r\n\r\n")));
        run_done(&r);
    }
}

static void faults_spoil_bodies(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    buf_add(&b, S("{\"a\":{}}"));
    struct mock_fault f = { .kind = MOCK_FAULT_INVALID_JSON };
    assert_int_equal(mock_fault_body(f, &b), MOCK_THEN_END);
    assert_str(buf_str(&b), S("{\"a\":{}"));
    f.kind = MOCK_FAULT_CUT;
    assert_int_equal(mock_fault_body(f, &b), MOCK_THEN_ABORT);
    assert_str(buf_str(&b), S("{\"a"));
    buf_done(&b);
}

static void pieces_keep_characters_whole(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 10000);
    struct mock_pieces p = mock_cut(&a, S("ab \xe4\xbd\xa0\xe5\xa5\xbd\xe5\xa5\xbd x"), 4);
    assert_int_equal(p.n, 4);
    assert_str(mock_piece(&p, 0), S("ab "));
    assert_str(mock_piece(&p, 1), S("\xe4\xbd\xa0\xe5\xa5\xbd"));
    assert_str(mock_piece(&p, 2), S("\xe5\xa5\xbd "));
    assert_str(mock_piece(&p, 3), S("x"));
    mock_pieces_keep(&p, 1);
    assert_str(p.text, S("ab "));
    assert_str(mock_clip(S("\xe4\xbd\xa0\xe5"), 2), S(""));
    assert_int_equal(mock_cut(&a, S(""), 4).n, 0);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_streams),
        cmocka_unit_test(chat_streams),
        cmocka_unit_test(responses_streams),
        cmocka_unit_test(user_names_the_tool),
        cmocka_unit_test(calls_come_in_parallel),
        cmocka_unit_test(refusals),
        cmocka_unit_test(wishes_shape_the_text),
        cmocka_unit_test(fault_names_are_read),
        cmocka_unit_test(faults_spoil_the_stream),
        cmocka_unit_test(faults_spoil_bodies),
        cmocka_unit_test(pieces_keep_characters_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

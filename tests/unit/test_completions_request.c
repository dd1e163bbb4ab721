/*
 * Goal: requests of Chat Completions are read into the neutral form and written from it as
 * protocols.md says (A2, C1, C2).
 * Method: a Chat body is decoded, perhaps changed in the neutral form, normalized, and encoded
 * again; or the neutral form is looked at.
 */
#include "unit.h"

#include "completions_request.h"
#include "err.h"
#include "json.h"
#include "member.h"
#include "request_fixture.h"
#include "tools.h"
#include "turns.h"

/* settings: "chat.strict=no openai.cache_fields=yes" */
static void begin(const char *settings)
{
    struct profile_override overrides[8];
    struct profile profile;
    struct buf why;
    struct str rest = str_of(settings), one;
    size_t n = 0;
    while (str_next(&rest, ' ', &one)) {
        size_t eq = str_index(one, '=');
        overrides[n].setting = str_slice(one, 0, eq);
        overrides[n++].value = str_slice(one, eq + 1, one.n);
    }
    buf_init(&why, 1024);
    assert_int_equal(profile_resolve(&profile, S("default"), S(""), S("m"), overrides, n, &why), 0);
    buf_done(&why);
    convert_free(c);
    c = convert_new(&(struct convert_options){ .client = PROTOCOL_CHAT,
                                               .upstream = PROTOCOL_MESSAGES,
                                               .profile = &profile,
                                               .upstream_name = S("u1"),
                                               .reply_limit_bytes = 1 << 20 });
}

static int decode(struct str body)
{
    return request_read(c, &work, body);
}

static void decode_ok(const char *body)
{
    begin("");
    int r = decode(str_of(body));
    if (r < 0)
        fail_msg("%s: %.*s", body, STR_ARG(convert_error(c)));
}

/* As a Messages client's request, so that every row of params.def is ours to write. */
static int encode(struct str *ret)
{
    struct buf out;
    struct json_out o;
    yyjson_doc *doc;
    c->options.client = PROTOCOL_MESSAGES;
    c->options.upstream = PROTOCOL_CHAT;
    c->model_sent = S("m");
    c->asks_stream = c->request.stream;
    int r = turns_normalize(c);
    r = r < 0 ? r : tools_prepare(c);
    if (r < 0)
        return r;
    buf_init(&out, 1 << 20);
    json_out_init(&o, &out);
    r = completions_encode_request(c, &o);
    *ret = arena_str(&work, buf_str(&out));
    buf_done(&out);
    if (r == 0) {
        assert_int_equal(json_parse(*ret, &doc, NULL), 0);
        yyjson_doc_free(doc);
    }
    return r;
}

struct there_and_back {
    const char *settings, *body, *want, *warnings;
};

static void check(const struct there_and_back *row)
{
    struct str got = S("");
    begin(row->settings);
    int r = decode(str_of(row->body));
    r = r < 0 ? r : encode(&got);
    if (r < 0)
        fail_msg("%s: %.*s", row->body, STR_ARG(convert_error(c)));
    assert_str(got, str_of(row->want));
    assert_str(convert_warnings(c), str_of(row->warnings));
}

#define M(messages) "{\"model\":\"m\",\"messages\":[" messages "]}"
#define ASK "{\"role\":\"user\",\"content\":\"q\"}"
#define CALL(id, args)                          \
    "{\"id\":\"" id "\",\"type\":\"function\"," \
    "\"function\":{\"name\":\"f\",\"arguments\":\"" args "\"}}"
#define CALLS(calls) "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[" calls "]}"
#define TOOL(id, content) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":" content "}"
#define PNG "data:image/png;base64,iVBORw0KGgo="
#define IMAGE "{\"type\":\"image_url\",\"image_url\":{\"url\":\"" PNG "\"}}"
#define TEXT_PART(text) "{\"type\":\"text\",\"text\":\"" text "\"}"
#define MARKED(text)                                                                               \
    "{\"type\":\"text\",\"text\":\"" text "\",\"prompt_cache_breakpoint\":{\"mode\":\"explicit\"}" \
    "}"

/* ---- messages ---- */

static void test_messages(void **state)
{
    static const struct there_and_back rows[] = {
        { "", M(ASK), M(ASK), "" },
        { "", M("{\"role\":\"developer\",\"content\":\"S\"}," ASK),
          M("{\"role\":\"system\",\"content\":\"S\"}," ASK), "" },
        { "chat.developer_role=yes", M("{\"role\":\"system\",\"content\":\"S\"}," ASK),
          M("{\"role\":\"developer\",\"content\":\"S\"}," ASK), "" },
        { "", M("{\"role\":\"system\",\"content\":[" TEXT_PART("a") "," TEXT_PART("b") "]}," ASK),
          M("{\"role\":\"system\",\"content\":\"a\\nb\"}," ASK), "" },
        { "", /* E24 */
          M("{\"role\":\"user\",\"content\":[\"a\"," TEXT_PART("b") "]}"),
          M("{\"role\":\"user\",\"content\":[" TEXT_PART("a") "," TEXT_PART("b") "]}"), "" },
        { "", M("{\"role\":\"user\",\"name\":\"bob\",\"content\":[" TEXT_PART("a") "]}"),
          M("{\"role\":\"user\",\"content\":\"a\"}"), "" },
        { "", M(ASK "," ASK), M(ASK "," ASK), "" },
        { "", /* E215, E139 */
          M("{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":\"" PNG "\"}]}"),
          M("{\"role\":\"user\",\"content\":[" IMAGE "]}"), "" },
        { "", /* E32 */
          M(ASK ",{\"role\":\"assistant\",\"content\":\"go\"}"),
          M(ASK ",{\"role\":\"assistant\",\"content\":\"go\"}"), "degraded:prefill" },
        { "", M("{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}," ASK),
          M("{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}," ASK), "" },
        { "chat.null_content=no", M(ASK "," CALLS(CALL("a", "{}")) "," TOOL("a", "\"1\"")),
          M(ASK ",{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[" CALL(
              "a", "{}") "]}"
                         "," TOOL("a", "\"1\"")),
          "" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(&rows[i]);
}

static void test_later_system_messages(void **state)
{
    static const struct there_and_back rows[] = {
        { "", M(ASK ",{\"role\":\"system\",\"content\":\"R\"}," ASK),
          M(ASK ",{\"role\":\"system\",\"content\":\"R\"}," ASK), "" },
        { "chat.system_first_only=yes", /* E8 */
          M(ASK ",{\"role\":\"system\",\"content\":\"R\"}"),
          M("{\"role\":\"user\",\"content\":[" TEXT_PART("q") "," TEXT_PART(
              "<system-reminder>\\nR\\n</system-reminder>") "]}"),
          "" },
        { "chat.system_first_only=yes",
          M("{\"role\":\"system\",\"content\":\"a\"},{\"role\":\"developer\",\"content\":\"b\"}"
            "," ASK "," ASK),
          M("{\"role\":\"system\",\"content\":\"a\\nb\"}," ASK "," ASK), "" },
        { "chat.system_first_only=yes", /* E9 */
          M(ASK "," CALLS(CALL("a", "{}")) ",{\"role\":\"system\",\"content\":\"R\"}," TOOL(
              "a", "\"1\"")),
          M(ASK "," CALLS(CALL("a", "{}")) "," TOOL(
              "a", "\"1\"") ",{\"role\":\"user\",\"content\":\"<system-reminder>\\nR\\n</"
                            "system-reminder>\"}"),
          "" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(&rows[i]);
}

static void test_calls(void **state)
{
    static const struct there_and_back rows[] = {
        { "", /* E217, E45, E46 */
          M(ASK "," CALLS(CALL("a", "") "," CALL(
              "b", "{\\\"z\\\":12345678901234567890,"
                   "\\\"a\\\":1.0}")) "," TOOL("a", "\"1\"") "," TOOL("b", "\"\"")),
          M(ASK "," CALLS(CALL("a", "{}") "," CALL(
              "b", "{\\\"z\\\":12345678901234567890,"
                   "\\\"a\\\":1.0}")) "," TOOL("a", "\"1\"") "," TOOL("b", "\"\"")),
          "" },
        { "", /* E26 */
          M(ASK
            "," CALLS(CALL("a", "{}")) "," TOOL("a", "[" TEXT_PART("x") "," TEXT_PART("y") "]")),
          M(ASK "," CALLS(CALL("a", "{}")) "," TOOL("a", "\"x\\ny\"")), "" },
        { "", /* E29 */
          M(ASK "," CALLS(CALL("a", "{}") "," CALL("b", "{}")) "," TOOL(
              "a", "[" TEXT_PART("x") "," IMAGE "]") "," TOOL("b", "\"2\"") "," ASK),
          M(ASK "," CALLS(CALL("a", "{}") "," CALL("b", "{}")) "," TOOL(
              "a",
              "\"x\\n[media attached "
              "below]\"") "," TOOL("b", "\"2\"") ",{\"role\":\"user\",\"content\":"
                                                 "[" TEXT_PART("Media returned by tool "
                                                               "call a:") "," IMAGE
                                                                          "," TEXT_PART("q") "]}"),
          "" },
        { "chat.tool_media=yes",
          M(ASK "," CALLS(CALL("a", "{}")) "," TOOL("a", "[" TEXT_PART("x") "," IMAGE "]")),
          M(ASK "," CALLS(CALL("a", "{}")) "," TOOL("a", "[" TEXT_PART("x") "," IMAGE "]")), "" },
        { "", M(ASK "," CALLS(CALL("a", "{}")) "," TOOL("a", "[" IMAGE "]")),
          M(ASK "," CALLS(CALL("a", "{}")) "," TOOL(
              "a", "\"[media attached below]\"") ",{\"role\":\"user\",\"content\":"
                                                 "[" TEXT_PART("Media returned by tool "
                                                               "call a:") "," IMAGE "]}"),
          "" },
        { "", /* E59 */
          M(ASK "," CALLS(
              "{\"id\":\"a\",\"type\":\"custom\","
              "\"custom\":{\"name\":\"p\",\"input\":\"*** Begin\"}}") "," TOOL("a", "\"1\"")),
          M(ASK "," CALLS(
              "{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"p\","
              "\"arguments\":\"{\\\"input\\\":\\\"*** Begin\\\"}\"}}") "," TOOL("a", "\"1\"")),
          "" },
        { "chat.custom_tools=yes",
          M(ASK "," CALLS(
              "{\"id\":\"a\",\"type\":\"custom\","
              "\"custom\":{\"name\":\"p\",\"input\":\"*** Begin\"}}") "," TOOL("a", "\"1\"")),
          M(ASK "," CALLS(
              "{\"id\":\"a\",\"type\":\"custom\","
              "\"custom\":{\"name\":\"p\",\"input\":\"*** Begin\"}}") "," TOOL("a", "\"1\"")),
          "" },
        { "", /* E69 */
          M(ASK ",{\"role\":\"assistant\",\"function_call\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
                "{\"role\":\"function\",\"name\":\"f\",\"content\":\"1\"}"),
          M(ASK "," CALLS(CALL("call_fn_1", "{}")) "," TOOL("call_fn_1", "\"1\"")), "" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(&rows[i]);
}

/* An error that a result is must show in its text, once (E28). */
static void test_error_results(void **state)
{
    static const char *const rows[][2] = {
        { "\"boom\"", "\"Error: boom\"" },
        { "\"error: x\"", "\"error: x\"" },
        { "\"\"", "\"Error: \"" },
        { "[" TEXT_PART("a") "," TEXT_PART("b") "]", "\"Error: a\\nb\"" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str got, head = S(M(ASK "," CALLS(CALL(
                            "a", "{}")) ","
                                        "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":"));
        head.n -= 2; /* without ]} */
        begin("");
        assert_int_equal(decode(arena_printf(&work, STR_FMT "%s}]}", STR_ARG(head), rows[i][0])),
                         0);
        c->request.last->blocks->result.is_error = true;
        assert_int_equal(encode(&got), 0);
        assert_str(got, arena_printf(&work, STR_FMT "%s}]}", STR_ARG(head), rows[i][1]));
    }
}

/* ---- cache marks ---- */

static void test_cache_marks(void **state)
{
    static const struct there_and_back rows[] = {
        { "", /* E162 */
          M("{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"a\","
            "\"cache_control\":{\"type\":\"ephemeral\"}}]}," ASK),
          M("{\"role\":\"system\",\"content\":\"a\"}," ASK), "" },
        { "openai.cache_fields=yes",
          M("{\"role\":\"system\",\"content\":\"a\",\"cache_control\":{\"type\":\"ephemeral\"}},"
            "{\"role\":\"user\",\"content\":[" MARKED("b") "]}"),
          M("{\"role\":\"system\",\"content\":[" MARKED(
              "a") "]},"
                   "{\"role\":\"user\",\"content\":[" MARKED("b") "]}"),
          "" },
        { "openai.cache_fields=yes", /* the last four */
          M("{\"role\":\"user\",\"content\":[" MARKED("a") "," MARKED("b") "," MARKED(
              "c") "," MARKED("d") "," MARKED("e") "]}"),
          M("{\"role\":\"user\",\"content\":[" TEXT_PART("a") "," MARKED("b") "," MARKED(
              "c") "," MARKED("d") "," MARKED("e") "]}"),
          "" },
        { "openai.cache_fields=yes",
          M(ASK "," CALLS(CALL("a", "{}")) "," TOOL("a", "[" MARKED("1") "]")),
          M(ASK "," CALLS(CALL("a", "{}")) "," TOOL("a", "[" MARKED("1") "]")), "" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(&rows[i]);
    decode_ok(M(
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\","
        "\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}},"
        "{\"type\":\"text\",\"text\":\"b\","
        "\"prompt_cache_breakpoint\":{\"mode\":\"explicit\",\"ttl\":\"12h\"}}," MARKED("c") "]}"));
    struct chat_block *b = c->request.messages->blocks;
    assert_int_equal(b->cache, CHAT_CACHE_LONG);
    assert_int_equal(b->next->cache, CHAT_CACHE_LONG);
    assert_int_equal(b->next->next->cache, CHAT_CACHE_SHORT);
}

/* ---- reasoning ---- */

#define THOUGHT(members) \
    "{\"role\":\"assistant\",\"content\":\"x\"," members ",\"tool_calls\":[" CALL("a", "{}") "]}"

static struct chat_block *reasoning(const char *members)
{
    decode_ok(arena_cstr(&work, arena_printf(&work,
                                             "{\"model\":\"m\",\"messages\":[{\"role\":"
                                             "\"assistant\",\"content\":\"x\",%s}]}",
                                             members)));
    return c->request.messages->blocks;
}

#define assert_text(got, want) assert_str(((struct str){ (got).p, (got).n }), str_of(want))

/* What came from Messages or Responses comes back as their own proof (A2.9). */
static void test_reasoning_details(void **state)
{
    (void)state;
    struct chat_block *b = reasoning(
        "\"reasoning_content\":\"hm\",\"reasoning_details\":["
        "{\"type\":\"reasoning.text\",\"text\":\"hm\",\"signature\":\"SIG\","
        "\"format\":\"anthropic-claude-v1\",\"index\":0},"
        "{\"type\":\"reasoning.encrypted\",\"data\":\"D\",\"format\":\"anthropic-claude-v1\"}]");
    assert_int_equal(b->reasoning.proof.kind, CHAT_PROOF_THINKING);
    assert_text(b->reasoning.text, "hm");
    assert_text(b->reasoning.proof.thinking, "hm");
    assert_text(b->reasoning.proof.opaque, "SIG");
    assert_int_equal(b->next->reasoning.proof.kind, CHAT_PROOF_REDACTED);
    assert_text(b->next->reasoning.proof.opaque, "D");
    assert_int_equal(b->next->next->kind, CHAT_TEXT); /* not the same text once more */

    b = reasoning("\"reasoning_details\":["
                  "{\"type\":\"reasoning.summary\",\"summary\":\"a\",\"id\":\"rs_1\","
                  "\"format\":\"openai-responses-v1\"},"
                  "{\"type\":\"reasoning.summary\",\"summary\":\"b\",\"id\":\"rs_1\","
                  "\"format\":\"openai-responses-v1\"},"
                  "{\"type\":\"reasoning.encrypted\",\"data\":\"E1\",\"id\":\"rs_1\","
                  "\"format\":\"openai-responses-v1\"},"
                  "{\"type\":\"reasoning.encrypted\",\"data\":\"E2\",\"id\":\"rs_2\","
                  "\"format\":\"openai-responses-v1\"}]");
    assert_int_equal(b->reasoning.proof.kind, CHAT_PROOF_ITEM);
    assert_text(b->reasoning.text, "a\\n\\nb");
    assert_str(b->reasoning.proof.raw,
               S("{\"id\":\"rs_1\",\"type\":\"reasoning\",\"summary\":["
                 "{\"type\":\"summary_text\",\"text\":\"a\"},"
                 "{\"type\":\"summary_text\",\"text\":\"b\"}],\"encrypted_content\":\"E1\"}"));
    assert_str(b->next->reasoning.proof.raw,
               S("{\"id\":\"rs_2\",\"type\":\"reasoning\",\"summary\":[],"
                 "\"encrypted_content\":\"E2\"}"));
}

/* Text without a proof is text, once (A2.9: reasoning_content, reasoning, details). */
static void test_reasoning_text(void **state)
{
    static const char *const rows[][2] = {
        { "\"reasoning_content\":\"a\",\"reasoning\":\"a\"", "a" },
        { "\"reasoning_content\":\"\",\"reasoning\":\"b\"", "b" },
        { "\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"c\"}]", "c" },
        { "\"reasoning_details\":[{\"type\":\"reasoning.summary\",\"summary\":\"d\","
          "\"format\":\"openai-responses-v1\"}]",
          "d" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chat_block *b = reasoning(rows[i][0]);
        assert_int_equal(b->kind, CHAT_REASONING);
        assert_int_equal(b->reasoning.proof.kind, CHAT_PROOF_NONE);
        assert_text(b->reasoning.text, rows[i][1]);
        assert_int_equal(b->next->kind, CHAT_TEXT);
    }
}

static void test_reasoning_replay(void **state)
{
    static const struct there_and_back rows[] = {
        { "", /* E81 */
          M(ASK "," THOUGHT("\"reasoning_content\":\"hm\"") "," TOOL("a", "\"1\"")),
          M(ASK ",{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":[" CALL(
              "a", "{}") "]}," TOOL("a", "\"1\"")),
          "" },
        { "chat.reasoning_replay=tool_turns",
          M(ASK "," THOUGHT("\"reasoning_content\":\"hm\"") "," TOOL("a", "\"1\"")),
          M(ASK "," THOUGHT("\"reasoning_content\":\"hm\"") "," TOOL("a", "\"1\"")), "" },
        { "chat.reasoning_replay=tool_turns", /* E80 */
          M(ASK "," CALLS(CALL("a", "{}")) "," TOOL("a", "\"1\"")),
          M(ASK ",{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"\","
                "\"tool_calls\":[" CALL("a", "{}") "]}," TOOL("a", "\"1\"")),
          "" },
        { "chat.reasoning_replay=tool_turns",
          M("{\"role\":\"assistant\",\"content\":\"x\",\"reasoning\":\"hm\"}," ASK),
          M("{\"role\":\"assistant\",\"content\":\"x\"}," ASK), "" },
        { "chat.reasoning_replay=always",
          M("{\"role\":\"assistant\",\"content\":\"x\",\"reasoning\":\"hm\"}," ASK),
          M("{\"role\":\"assistant\",\"content\":\"x\",\"reasoning_content\":\"hm\"}," ASK), "" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(&rows[i]);
}

/* The upstream's own details go back as they were, those of several blocks in one list. */
static void test_reasoning_details_replayed(void **state)
{
    struct str got;
    (void)state;
    begin("chat.reasoning_replay=always");
    assert_int_equal(
        decode(S(M("{\"role\":\"assistant\",\"content\":\"x\",\"reasoning\":\"hm\"}," ASK))), 0);
    struct chat_block *first = c->request.messages->blocks,
                      *second = chat_new_block(c, CHAT_REASONING);
    first->reasoning.proof = (struct chat_proof){ .kind = CHAT_PROOF_DETAILS,
                                                  .enveloped = true,
                                                  .upstream = S("u1"),
                                                  .raw = S("[{\"a\":1}, {\"b\":2}]") };
    second->reasoning = first->reasoning;
    second->reasoning.proof.raw = S("[3]");
    second->next = first->next;
    first->next = second;
    assert_int_equal(encode(&got), 0);
    assert_true(str_contains(got, S("\"reasoning_content\":\"hm\\nhm\","
                                    "\"reasoning_details\":[{\"a\":1},{\"b\":2},3]")));
    c->options.drop_reasoning = true; /* 0.7 (7) */
    assert_int_equal(encode(&got), 0);
    assert_false(str_contains(got, S("reasoning")));
}

/* ---- tools, choice ---- */

#define WITH(members) "{\"model\":\"m\",\"messages\":[" ASK "]," members "}"
#define F "{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"
#define STRICT                                                                              \
    "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","            \
    "\"parameters\":{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false," \
    "\"required\":[]},\"strict\":true}}"
#define GRAMMAR                                                                         \
    "{\"type\":\"custom\",\"custom\":{\"name\":\"p\",\"description\":\"d\",\"format\":" \
    "{\"type\":\"grammar\",\"grammar\":{\"definition\":\"s: /.+/\",\"syntax\":\"lark\"}}}}"

static void test_tools(void **state)
{
    static const struct there_and_back rows[] = {
        { "", WITH("\"tools\":[" STRICT "]"), WITH("\"tools\":[" STRICT "]"), "" },
        { "chat.custom_tools=yes", WITH("\"tools\":[" GRAMMAR "]"), WITH("\"tools\":[" GRAMMAR "]"),
          "" },
        { "chat.custom_tools=yes",
          WITH("\"tools\":[" GRAMMAR "],\"tool_choice\":"
               "{\"type\":\"custom\",\"custom\":{\"name\":\"p\"}}"),
          WITH("\"tools\":[" GRAMMAR "],\"tool_choice\":"
               "{\"type\":\"custom\",\"custom\":{\"name\":\"p\"}}"),
          "" },
        { "", /* 0.4 */
          WITH("\"tools\":[" STRICT ",{\"type\":\"hologram\"}]"), WITH("\"tools\":[" STRICT "]"),
          "dropped:tools.1" },
        { "", WITH("\"tools\":[" STRICT "],\"tool_choice\":\"required\""),
          WITH("\"tools\":[" STRICT "],\"tool_choice\":\"required\""), "" },
        { "", WITH("\"tools\":[" STRICT "],\"tool_choice\":" F ",\"parallel_tool_calls\":false"),
          WITH("\"tools\":[" STRICT "],\"tool_choice\":" F ",\"parallel_tool_calls\":false"), "" },
        { "chat.parallel=no", WITH("\"tools\":[" STRICT "],\"parallel_tool_calls\":false"),
          WITH("\"tools\":[" STRICT "]"), "dropped:parallel_tool_calls" },
        { "", /* E61 */
          WITH("\"tools\":[],\"tool_choice\":\"auto\",\"parallel_tool_calls\":true"), M(ASK), "" },
        { "",
          WITH("\"tools\":[" STRICT "],\"tool_choice\":{\"type\":\"allowed_tools\","
               "\"allowed_tools\":{\"mode\":\"required\",\"tools\":[" F "]}}"),
          WITH("\"tools\":[" STRICT "],\"tool_choice\":{\"type\":\"allowed_tools\","
               "\"allowed_tools\":{\"mode\":\"required\",\"tools\":[" F "]}}"),
          "" },
        { "chat.web_search_options=yes",
          WITH("\"web_search_options\":{\"search_context_size\":\"low\",\"user_location\":"
               "{\"type\":\"approximate\",\"approximate\":{\"city\":\"X\"}}}"),
          WITH("\"web_search_options\":{\"search_context_size\":\"low\",\"user_location\":"
               "{\"type\":\"approximate\",\"approximate\":{\"city\":\"X\"}}}"),
          "" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(&rows[i]);
}

/* Legacy functions are tools, and the reply is to know of it (A2.4). */
static void test_legacy(void **state)
{
    (void)state;
    decode_ok(WITH("\"functions\":[{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}],"
                   "\"function_call\":{\"name\":\"f\"}"));
    assert_true(c->request.legacy_functions);
    assert_str(c->request.tools->name, S("f"));
    assert_str(c->request.tools->schema, S("{\"type\":\"object\"}"));
    assert_int_equal(c->request.choice.kind, CHAT_CHOICE_TOOL);
    assert_str(c->request.choice.name, S("f"));
    decode_ok(WITH("\"functions\":[{\"name\":\"f\"}],\"tools\":[" F "]"));
    assert_false(c->request.legacy_functions);
    decode_ok(M("{\"role\":\"assistant\",\"function_call\":{\"name\":\"f\",\"arguments\":\"\"}},"
                "{\"role\":\"assistant\",\"function_call\":{\"name\":\"g\",\"arguments\":\"\"}},"
                "{\"role\":\"function\",\"name\":\"f\",\"content\":\"1\"},"
                "{\"role\":\"function\",\"name\":\"h\",\"content\":\"1\"}"));
    struct chat_message *m = c->request.messages->next->next;
    assert_str(m->blocks->result.call_id, S("call_fn_1"));
    assert_str(m->next->blocks->result.call_id, S("h")); /* which nobody called */
}

/* ---- settings ---- */

static void test_settings(void **state)
{
    static const struct there_and_back rows[] = {
        { "", WITH("\"max_tokens\":5,\"max_completion_tokens\":7"), WITH("\"max_tokens\":7"),
          "" }, /* E147 */
        { "chat.max_field=max_completion_tokens", WITH("\"max_tokens\":5"),
          WITH("\"max_completion_tokens\":5"), "" },
        { "", WITH("\"reasoning_effort\":\"high\""), WITH("\"reasoning_effort\":\"high\""), "" },
        { "chat.thinking_switch=none", WITH("\"reasoning_effort\":\"high\""), M(ASK), "" },
        { "chat.thinking_switch=thinking_type", WITH("\"reasoning_effort\":\"none\""),
          WITH("\"thinking\":{\"type\":\"disabled\"}"), "" },
        { "chat.thinking_switch=enable_thinking", WITH("\"reasoning_effort\":\"low\""),
          WITH("\"enable_thinking\":true"), "" },
        { "chat.thinking_switch=template_kwargs", WITH("\"reasoning\":{\"enabled\":false}"),
          WITH("\"chat_template_kwargs\":{\"enable_thinking\":false}"), "" },
        { "chat.thinking_switch=reasoning_object", WITH("\"reasoning\":{\"effort\":\"low\"}"),
          WITH("\"reasoning\":{\"effort\":\"low\"}"), "" },
        { "chat.thinking_switch=reasoning_object", WITH("\"reasoning\":{\"max_tokens\":2000}"),
          WITH("\"reasoning\":{\"max_tokens\":2000}"), "" },
        { "", WITH("\"stop\":\"END\""), WITH("\"stop\":[\"END\"]"), "" },
        { "", WITH("\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\"]"), /* E146 */
          WITH("\"stop\":[\"a\",\"b\",\"c\",\"d\"]"), "dropped:stop_sequences" },
        { "", WITH("\"response_format\":{\"type\":\"json_object\"}"),
          WITH("\"response_format\":{\"type\":\"json_object\"}"), "" },
        { "",
          WITH("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
               "\"description\":\"d\",\"schema\":{\"type\":\"object\"},\"strict\":true}}"),
          WITH("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
               "\"description\":\"d\",\"schema\":{\"type\":\"object\"},\"strict\":true}}"),
          "" },
        { "chat.json_schema=no",
          WITH("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
               "\"schema\":{\"a\":1}}}"),
          "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"Respond with a "
          "single JSON object that matches this JSON schema and nothing "
          "else:\\n{\\\"a\\\":1}\"}," ASK "],\"response_format\":{\"type\":\"json_object\"}}",
          "degraded:response_format" },
        { "", WITH("\"service_tier\":\"priority\""), WITH("\"service_tier\":\"priority\""), "" },
        { "", WITH("\"service_tier\":\"auto\""), M(ASK), "" },
        { "", WITH("\"stream\":true"),
          WITH("\"stream\":true,\"stream_options\":{\"include_usage\":true}"), "" },
        { "chat.stream_usage=no", WITH("\"stream\":true"), WITH("\"stream\":true"), "" },
        { "", WITH("\"frequency_penalty\":0,\"presence_penalty\":0.5,\"n\":1"), M(ASK),
          "dropped:presence_penalty" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(&rows[i]);
}

/* Who the request is for, as a Messages client says it (C1.14). */
static void test_user(void **state)
{
    struct str got;
    (void)state;
    begin("openai.cache_fields=yes");
    assert_int_equal(decode(S(M(ASK))), 0);
    c->request.user_id = TEXT("u-1");
    c->request.session = TEXT("s");
    assert_int_equal(encode(&got), 0);
    assert_str(got, S(WITH("\"user\":\"u-1\",\"prompt_cache_key\":\"s\"")));
    c->request.user_id = TEXT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    c->request.session = TEXT("");
    assert_int_equal(encode(&got), 0);
    assert_str(got, S(WITH("\"user\":\"635361c48bb9eab14198e76ea8ab7f1a"
                           "41685d6ad62aa9146d301d4f17eb0ae0\"")));
    begin("");
    assert_int_equal(decode(S(WITH("\"user\":\"a\",\"safety_identifier\":\"b\""))), 0);
    assert_text(c->request.user_id, "a");
    assert_text(c->request.safety_identifier, "b");
}

/* ---- files ---- */

static void test_files(void **state)
{
    struct str got;
    static const struct there_and_back row = {
        "",
        M("{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_data\":"
          "\"data:application/pdf;base64,JVBERi0=\"}}]}"),
        M("{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"filename\":"
          "\"document.pdf\",\"file_data\":\"data:application/pdf;base64,JVBERi0=\"}}]}"),
        "",
    };
    (void)state;
    check(&row);
    begin("");
    assert_int_equal(decode(S(M("{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{"
                                "\"file_id\":\"file-1\"}}]}"))),
                     0);
    assert_int_equal(encode(&got), E_BAD_REQUEST); /* E141 */
    assert_str(convert_error_param(c), S("messages.0.content.0"));
    c->options.same_vendor = true;
    assert_int_equal(encode(&got), 0);
    assert_true(str_contains(got, S("{\"type\":\"file\",\"file\":{\"file_id\":\"file-1\"}}")));
}

/* What cannot be converted is refused by its name (E25, E142, E143). */
static void test_rejected(void **state)
{
    static const char *const rows[][2] = {
        { "{\"model\":\"m\"}", "messages" },
        { M(""), "messages" },
        { M("1"), "messages.0" },
        { M("{\"role\":\"robot\",\"content\":\"x\"}"), "messages.0.role" },
        { M("{\"role\":\"user\",\"content\":1}"), "messages.0.content" },
        { M("{\"role\":\"user\",\"content\":[1]}"), "messages.0.content.0" },
        { M(ASK ",{\"role\":\"user\",\"content\":[{\"type\":\"hologram\"}]}"),
          "messages.1.content.0.type" },
        { M("{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":{}}]}"),
          "messages.0.content.0.type" },
        { M("{\"role\":\"system\",\"content\":[" IMAGE "]}"), "messages.0.content.0.type" },
        { M("{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}"), "messages.0.content.0.text" },
        { M("{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{}}]}"),
          "messages.0.content.0.file" },
        { M("{\"role\":\"assistant\",\"audio\":{\"id\":\"x\"}}"), "messages.0.audio" },
        { M("{\"role\":\"assistant\",\"tool_calls\":{}}"), "messages.0.tool_calls" },
        { M("{\"role\":\"assistant\",\"tool_calls\":[{\"type\":\"x\"}]}"),
          "messages.0.tool_calls.0.type" },
        { M("{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"function\":{}}]}"),
          "messages.0.tool_calls.0.function.name" },
        { WITH("\"n\":2"), "n" },
        { WITH("\"modalities\":[\"text\",\"audio\"]"), "modalities" },
        { WITH("\"stop\":[1]"), "stop" },
        { WITH("\"tool_choice\":\"maybe\""), "tool_choice" },
        { WITH("\"tools\":[{\"type\":\"function\"}]"), "tools.0.function.name" },
        { WITH("\"response_format\":{\"type\":\"xml\"}"), "response_format.type" },
        { WITH("\"response_format\":{\"type\":\"json_schema\"}"), "response_format.json_schema" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        begin("");
        assert_int_equal(decode(str_of(rows[i][0])), E_BAD_REQUEST);
        assert_str(convert_error_param(c), str_of(rows[i][1]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_later_system_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_error_results, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cache_marks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reasoning_details, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reasoning_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reasoning_replay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reasoning_details_replayed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tools, setup, teardown),
        cmocka_unit_test_setup_teardown(test_legacy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_settings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_user, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rejected, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

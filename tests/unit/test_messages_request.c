/* Requests of Messages: what the decoder understands, what the encoder writes. */
#include "unit.h"

#include "json.h"
#include "messages_unit.h"

/* ---- decoding ---- */

/* The conversation of {"model":"m","max_tokens":9,<rest>} as its dump, or the error. */
static void check_decode(const char *rest, const char *want)
{
    struct profile profile;
    struct buf body, got;
    messages_profile(&profile);
    buf_init(&body, 1 << 20);
    buf_init(&got, 1 << 20);
    buf_addf(&body, "{\"model\":\"m\",\"max_tokens\":9,%s}", rest);
    struct messages_run run = messages_run_new(PROTOCOL_MESSAGES, PROTOCOL_CHAT, &profile);
    messages_decode(&run, buf_str(&body));
    if (run.r < 0)
        buf_addf(&got, "400 %.*s", STR_ARG(convert_error_param(run.c)));
    else
        dump_messages(&got, &run.c->request);
    if (buf_len(&run.c->warnings) > 0)
        buf_addf(&got, " WARN %.*s", STR_ARG(convert_warnings(run.c)));
    assert_str(buf_str(&got), str_of(want));
    messages_run_done(&run);
    buf_done(&body);
    buf_done(&got);
}

#define MESSAGES(list) "\"messages\":[" list "]"
#define USER(blocks) "{\"role\":\"user\",\"content\":[" blocks "]}"
#define ASSISTANT(blocks) "{\"role\":\"assistant\",\"content\":[" blocks "]}"
#define BLOCK(text) "{\"type\":\"text\",\"text\":\"" text "\"}"

/* Goal: strings stay strings; system, mid-system and the order of blocks are kept. */
static void test_decode_texts(void **state)
{
    (void)state;
    check_decode("\"system\":\"S\"," MESSAGES("{\"role\":\"user\",\"content\":\"h\\ni\"}"),
                 "S*\"[text S]U\"[text h\\ni]");
    check_decode(
        "\"system\":[" BLOCK("x-anthropic-billing-header: cch=1;") "," BLOCK("S") "]," MESSAGES(
            USER(BLOCK("a") "," BLOCK("")) "," ASSISTANT(
                BLOCK("b")) ","
                            "{\"role\":\"system\",\"content\":\"mid\"}"),
        "S*[text S]U[text a]A[text b]S\"[text mid]");
    check_decode("\"system\":\"\",\"tools\":[],\"stop_sequences\":[],\"metadata\":null," MESSAGES(
                     USER(BLOCK("a"))),
                 "U[text a]"); /* E214 */
    check_decode("\"system\":[]," MESSAGES(ASSISTANT("") "," USER(BLOCK("a"))), "U[text a]");
}

/* Goal: what says nothing is neither sent nor warned about, whatever the upstream lacks (E214). */
static void test_empty_settings(void **state)
{
    (void)state;
    struct profile profile;
    messages_profile(&profile);
    struct messages_run run = messages_run_new(PROTOCOL_MESSAGES, PROTOCOL_RESPONSES, &profile);
    messages_decode(&run, S("{\"model\":\"m\",\"max_tokens\":1,\"messages\":[],\"system\":[],"
                            "\"tools\":[],\"stop_sequences\":[],\"metadata\":null}"));
    assert_int_equal(run.r, 0);
    assert_null(run.c->request.messages);
    assert_null(run.c->request.tools);
    assert_int_equal(run.c->request.stop_count, 0);
    assert_str(convert_warnings(run.c), S(""));
    messages_run_done(&run);
}

/* Goal: results stand in front, in a message of their own (E1, E2). */
static void test_decode_results(void **state)
{
    (void)state;
    check_decode(
        MESSAGES(USER(BLOCK("and?") ",{\"type\":\"tool_result\",\"tool_use_id\":\"t1\","
                                    "\"content\":\"42\"},{\"type\":\"tool_result\",\"tool_use_id\":"
                                    "\"t2\",\"is_error\":true,\"content\":[" BLOCK(
                                        "a") ",{\"type\":\"tool_reference\",\"tool_name\":\"g\"},"
                                             "{\"type\":\"hologram\",\"x\":1}]}")),
        "T[result\" t1 [text 42] | result! t2 [text a | text Tool loaded: g | "
        "text {\\\"type\\\":\\\"hologram\\\",\\\"x\\\":1}]]U[text and?]");
    check_decode(MESSAGES(USER("{\"type\":\"tool_result\",\"tool_use_id\":\"t1\"}")),
                 "T[result\" t1 [text ]]"); /* E27 */
}

/* Goal: calls carry their input as text, whatever it was (E42, E45, E46, E47). */
static void test_decode_calls(void **state)
{
    (void)state;
    check_decode(
        MESSAGES(ASSISTANT("{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":"
                           "{ \"z\" : 12345678901234567890, \"a\" : 1.0 }},"
                           "{\"type\":\"tool_use\",\"id\":\"b\",\"name\":\"f\",\"input\":null},"
                           "{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":"
                           "{\"__ccp_raw_arguments\":\"{\\\"a\\\":\"}}")),
        "A[call a f {\"z\":12345678901234567890,\"a\":1.0} | call b f {} | "
        "call c f {\"a\":]");
}

/* Goal: thinking keeps its native proof, or what its envelope holds; broken ones go (E78). */
static void test_decode_thinking(void **state)
{
    (void)state;
    check_decode(
        MESSAGES(ASSISTANT("{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"SIG\"},"
                           "{\"type\":\"redacted_thinking\",\"data\":\"D\"},"
                           "{\"type\":\"thinking\",\"thinking\":\"x\",\"signature\":"
                           "\"ccp1.o.@@@\"}," BLOCK("t"))),
        "A[think1 hm SIG | think2  D | text t] WARN dropped:reasoning");
    check_decode(MESSAGES(ASSISTANT(
                     "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"ccp1.o."
                     "eyJ1IjoidTEiLCJtIjoibSIsIml0ZW0iOnsiaWQiOiJyc185IiwidHlwZSI6InJlYXNvbmluZyIs"
                     "InN1bW1hcnkiOlt7InR5cGUiOiJzdW1tYXJ5X3RleHQiLCJ0ZXh0IjoiaG0ifV0sImVuY3J5cHRl"
                     "ZF9jb250ZW50IjoiZ0FBQTIifX0\"}")),
                 "A[think3 hm gAAA2]");
}

/* Goal: images and documents; those made of blocks are expanded. */
static void test_decode_media(void **state)
{
    (void)state;
    check_decode(
        MESSAGES(
            USER("{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/PNG\","
                 "\"data\":\"iVBO\"},\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}},"
                 "{\"type\":\"image\",\"source\":{\"type\":\"file\",\"file_id\":\"file_1\"}},"
                 "{\"type\":\"document\",\"title\":\"T\",\"source\":{\"type\":\"text\","
                 "\"media_type\":\"text/plain\",\"data\":\"D\"}},"
                 "{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":[" BLOCK(
                     "p") "]},\"cache_control\":{\"type\":\"ephemeral\"}},"
                          "{\"type\":\"search_result\",\"title\":\"T\",\"source\":\"U\","
                          "\"content\":[" BLOCK("q") "]}")),
        "U[image b64  image/png iVBO @messages.0.content.0 ^1h | "
        "image id    file_1 @messages.0.content.1 | "
        "file text text/plain D T@messages.0.content.2 | text p ^ | text T\\nU | text q]");
}

/* Goal: what belongs to the vendor is left out, or refused when it is content. */
static void test_decode_vendor_blocks(void **state)
{
    (void)state;
    check_decode(MESSAGES(ASSISTANT("{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":"
                                    "\"web_search\",\"input\":{}},{\"type\":"
                                    "\"web_search_tool_result\",\"tool_use_id\":\"s\","
                                    "\"content\":[]}," BLOCK("x"))),
                 "A[text x]");
    check_decode(MESSAGES(USER("{\"type\":\"container_upload\",\"file_id\":\"f\"}")),
                 "400 messages.0.content.0.type");
    check_decode(MESSAGES(USER("{\"type\":\"hologram\"}")), "400 messages.0.content.0.type");
    check_decode(MESSAGES(ASSISTANT("{\"type\":\"image\"}")), "400 messages.0.content.0.type");
    check_decode(MESSAGES(USER("\"loose\"")), "400 messages.0.content.0");
    check_decode(MESSAGES("{\"role\":\"tool\",\"content\":\"x\"}"), "400 messages.0.role");
    check_decode("\"stream\":false", "400 messages");
}

/* Goal: a compaction takes the place of what was before it (E210); tools of blocks (E211). */
static void test_decode_beta(void **state)
{
    (void)state;
    check_decode("\"system\":\"S\"," MESSAGES(USER(BLOCK("old")) "," ASSISTANT(
                     BLOCK("older") ",{\"type\":\"compaction\","
                                    "\"content\":\"sum\"}," BLOCK("new")) "," USER(BLOCK("go"))),
                 "S*\"[text S]U[text sum]A[text new]U[text go] "
                 "WARN degraded:messages.1.content.1");
    check_decode(MESSAGES(ASSISTANT("{\"type\":\"compaction\",\"content\":null}")),
                 "400 messages.0.content.0.content");
    check_decode(MESSAGES(USER(
                     BLOCK("a")) ",{\"role\":\"system\",\"content\":[{\"type\":"
                                 "\"tool_addition\",\"tool\":{\"type\":\"tool_definition\","
                                 "\"definition\":{\"name\":\"late\",\"input_schema\":{}}}},"
                                 "{\"type\":\"tool_removal\",\"tool\":{\"type\":\"tool_reference\","
                                 "\"name\":\"x\"}}]}"),
                 "U[text a] WARN moved:messages.1.content.0, dropped:messages.1.content.1");
}

/* A decoded request with its settings, for looking at. */
static struct messages_run decoded(const char *body)
{
    struct profile profile;
    messages_profile(&profile);
    struct messages_run run = messages_run_new(PROTOCOL_MESSAGES, PROTOCOL_CHAT, &profile);
    messages_decode(&run, str_of(body));
    return run;
}

/* Goal: every setting finds its place. */
static void test_decode_settings(void **state)
{
    (void)state;
    struct messages_run run = decoded(
        "{\"model\":\"m\",\"max_tokens\":5e2,\"messages\":[],\"thinking\":{\"type\":\"enabled\","
        "\"budget_tokens\":2048,\"display\":\"omitted\"},\"output_config\":{\"effort\":\"xhigh\","
        "\"format\":{\"type\":\"json_schema\",\"schema\":{ \"type\":\"object\"}}},"
        "\"stop_sequences\":[\"A\",\"\\n\"],\"metadata\":{\"user_id\":\"user_1_session_ab_session_"
        "cd\"},\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\",\"disable_parallel_tool_use\":"
        "true},\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{},\"strict\":"
        "true}]}");
    const struct chat_request *req = &run.c->request;
    assert_int_equal(run.r, 0);
    assert_int_equal(req->max_tokens, 500);
    assert_int_equal(req->reasoning.thinking, CHAT_THINKING_BUDGET);
    assert_int_equal(req->reasoning.budget_tokens, 2048);
    assert_int_equal(req->reasoning.effort, CHAT_EFFORT_XHIGH);
    assert_true(req->reasoning.display_omitted);
    assert_int_equal(req->format.kind, CHAT_FORMAT_JSON_SCHEMA);
    assert_str(req->format.schema, S("{\"type\":\"object\"}"));
    assert_int_equal(req->stop_count, 2);
    assert_str(((struct str){ req->session.p, req->session.n }), S("cd"));
    assert_int_equal(req->choice.kind, CHAT_CHOICE_TOOL);
    assert_str(req->choice.name, S("f"));
    assert_true(req->choice.no_parallel);
    assert_int_equal(req->tools->strict, CHAT_TRUE);
    assert_str(req->tools->schema, S("{}"));
    messages_run_done(&run);
}

/* Goal: the session is found in both forms, and a long one is hashed. */
static void test_decode_session(void **state)
{
    (void)state;
    struct messages_run run = decoded("{\"model\":\"m\",\"messages\":[],\"metadata\":{\"user_id\":"
                                      "\"{\\\"session_id\\\":\\\"s-1\\\"}\"}}");
    assert_str(((struct str){ run.c->request.session.p, run.c->request.session.n }), S("s-1"));
    messages_run_done(&run);
    run = decoded("{\"model\":\"m\",\"messages\":[],\"metadata\":{\"user_id\":\"u_session_"
                  "0123456789012345678901234567890123456789012345678901234567890123456789\"}}");
    assert_int_equal(run.c->request.session.n, 64);
    assert_true(run.c->request.user_id.n > 70);
    messages_run_done(&run);
    run = decoded("{\"model\":\"m\",\"messages\":[],\"metadata\":{\"user_id\":\"u\"}}");
    assert_int_equal(run.c->request.session.n, 0);
    messages_run_done(&run);
}

/* Goal: each kind of tool is what C1.5 says. */
static void test_decode_tools(void **state)
{
    (void)state;
    struct messages_run run =
        decoded("{\"model\":\"m\",\"messages\":[],\"tools\":[{\"type\":\"custom\",\"name\":\"f\","
                "\"input_schema\":{}},{\"type\":\"bash_20250124\",\"name\":\"bash\"},"
                "{\"type\":\"text_editor_20250124\",\"name\":\"str_replace_editor\"},"
                "{\"type\":\"memory_20250818\",\"name\":\"memory\"},"
                "{\"type\":\"web_search_20250305\",\"name\":\"web_search\",\"max_uses\":3},"
                "{\"type\":\"tool_search_tool_regex\",\"name\":\"tool_search_tool_regex\"},"
                "{\"type\":\"computer_toolset_20260801\"}]}");
    static const char *const names[] = { "f", "bash", "str_replace_editor", "memory",
                                         "web_search" };
    size_t i = 0;
    assert_int_equal(run.r, 0);
    for (const struct chat_tool *t = run.c->request.tools; t != NULL; t = t->next, i++) {
        assert_true(i < ARRAY_LEN(names));
        assert_str(t->name, str_of(names[i]));
        assert_int_equal(t->kind, i == 4 ? CHAT_TOOL_WEB_SEARCH : CHAT_TOOL_FUNCTION);
        struct json_error why;
        yyjson_doc *doc;
        if (t->schema.n > 0) {
            assert_int_equal(json_parse(t->schema, &doc, &why), 0);
            yyjson_doc_free(doc);
        }
    }
    assert_int_equal(i, ARRAY_LEN(names));
    assert_true(run.c->wants_web_search);
    assert_str(convert_warnings(run.c), S("dropped:tools.6"));
    messages_run_done(&run);
}

/* Goal: wrong settings are refused with their name. */
static void test_decode_refused(void **state)
{
    (void)state;
    check_decode(MESSAGES("") ",\"thinking\":{\"type\":\"x\"}", "400 thinking.type");
    check_decode(MESSAGES("") ",\"thinking\":{\"type\":\"enabled\"}", "400 thinking.budget_tokens");
    check_decode(MESSAGES("") ",\"output_config\":{\"effort\":\"x\"}", "400 output_config.effort");
    check_decode(MESSAGES("") ",\"output_config\":{\"format\":{\"type\":\"x\"}}",
                 "400 output_config.format.type");
    check_decode(MESSAGES("") ",\"stop_sequences\":\"x\"", "400 stop_sequences");
    check_decode(MESSAGES("") ",\"tool_choice\":{\"type\":\"x\"}", "400 tool_choice.type");
    check_decode(MESSAGES("") ",\"tool_choice\":{\"type\":\"tool\"}", "400 tool_choice.name");
    check_decode(MESSAGES("") ",\"tools\":[{\"input_schema\":{}}]", "400 tools.0.name");
    check_decode(MESSAGES("") ",\"thread\":{\"type\":\"continue\"}", "400 thread");
    check_decode(MESSAGES("") ",\"compaction\":{\"type\":\"summarize\"}", "400 compaction");
}

/* ---- encoding ---- */

static void check_profile(enum protocol client, const struct profile *profile, const char *body,
                          const char *want)
{
    struct messages_run run = messages_run_new(client, PROTOCOL_MESSAGES, profile);
    struct buf got;
    buf_init(&got, 1 << 20);
    run.r = convert_request(run.c, &run.work, str_of(body), &run.out);
    if (run.r < 0)
        buf_addf(&got, "400 %.*s", STR_ARG(convert_error_param(run.c)));
    else
        buf_add(&got, buf_str(&run.out));
    if (convert_warnings(run.c).n > 0)
        buf_addf(&got, " WARN %.*s", STR_ARG(convert_warnings(run.c)));
    assert_str(buf_str(&got), str_of(want));
    buf_done(&got);
    messages_run_done(&run);
}

static void check_encoded(enum protocol client, bool auto_cache, const char *body, const char *want)
{
    struct profile profile;
    messages_profile(&profile);
    profile.anthropic_auto_cache = auto_cache;
    check_profile(client, &profile, body, want);
}

static void check_chat(const char *body, const char *want)
{
    check_encoded(PROTOCOL_CHAT, false, body, want);
}

/* Goal: the worked example of C8.1, C to A. */
static void test_encode_example_chat(void **state)
{
    (void)state;
    check_encoded(
        PROTOCOL_CHAT, true,
        "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
        "\"reasoning_effort\":\"high\",\"stop\":\"END\",\"parallel_tool_calls\":false,"
        "\"messages\":[{\"role\":\"developer\",\"content\":\"S\"},{\"role\":\"user\",\"content\":["
        "{\"type\":\"text\",\"text\":\"look\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
        "\"data:image/png;base64,iVBORw0KGgo=\"}}]},{\"role\":\"assistant\",\"content\":null,"
        "\"tool_calls\":[{\"id\":\"call_a\",\"type\":\"function\",\"function\":{\"name\":\"f\","
        "\"arguments\":\"{\\\"x\\\":1}\"}},{\"id\":\"call_b\",\"type\":\"function\",\"function\":{"
        "\"name\":\"f\",\"arguments\":\"\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"call_b\","
        "\"content\":\"2\"},{\"role\":\"tool\",\"tool_call_id\":\"call_a\",\"content\":\"1\"},"
        "{\"role\":\"user\",\"content\":\"sum?\"}],\"tools\":[{\"type\":\"function\",\"function\":{"
        "\"name\":\"f\"}}]}",
        "{\"model\":\"m\",\"max_tokens\":32000,\"system\":[{\"type\":\"text\",\"text\":\"S\"}],"
        "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"look\"},"
        "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":"
        "\"iVBORw0KGgo=\"}}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":"
        "\"call_a\",\"name\":\"f\",\"input\":{\"x\":1}},{\"type\":\"tool_use\",\"id\":\"call_b\","
        "\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
        "\"tool_use_id\":\"call_b\",\"content\":\"2\"},{\"type\":\"tool_result\",\"tool_use_id\":"
        "\"call_a\",\"content\":\"1\"},{\"type\":\"text\",\"text\":\"sum?\"}]}],\"tools\":[{"
        "\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}],\"tool_choice\":"
        "{\"type\":\"auto\",\"disable_parallel_tool_use\":true},\"thinking\":{\"type\":"
        "\"adaptive\",\"display\":\"summarized\"},\"output_config\":{\"effort\":\"high\"},"
        "\"stop_sequences\":[\"END\"],\"stream\":true,\"cache_control\":{\"type\":\"ephemeral\"}}");
}

/* Goal: the worked example of C8.1, R to A: the signed thinking comes back whole. */
static void test_encode_example_responses(void **state)
{
    (void)state;
    check_encoded(
        PROTOCOL_RESPONSES, true,
        "{\"model\":\"m\",\"instructions\":\"S\",\"stream\":true,\"store\":false,\"include\":["
        "\"reasoning.encrypted_content\"],\"reasoning\":{\"effort\":\"medium\",\"summary\":"
        "\"auto\"},\"input\":[{\"type\":\"message\",\"role\":\"developer\",\"content\":[{\"type\":"
        "\"input_text\",\"text\":\"D\"}]},{\"role\":\"user\",\"content\":\"hi\"},{\"type\":"
        "\"reasoning\",\"id\":\"rs_01_0\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"hm\"}"
        "],\"encrypted_content\":\"ccp1.t.eyJ1IjoidTEiLCJtIjoibSIsInRoaW5raW5nIjoiaG0iLCJzaWduYXR1"
        "cmUiOiJTSUcifQ\"},{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":"
        "\"output_text\",\"text\":\"Hi\"}]},{\"type\":\"function_call\",\"call_id\":\"toolu_1\","
        "\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"},{\"type\":\"custom_tool_call\","
        "\"call_id\":\"toolu_2\",\"name\":\"patch\",\"input\":\"*** Begin\"},{\"type\":"
        "\"function_call_output\",\"call_id\":\"toolu_1\",\"output\":\"1\"},{\"type\":"
        "\"custom_tool_call_output\",\"call_id\":\"toolu_2\",\"output\":\"done\"}],\"tools\":[{"
        "\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"properties\":{"
        "\"x\":{\"type\":\"integer\"}}},\"strict\":false},{\"type\":\"custom\",\"name\":\"patch\","
        "\"description\":\"Edit files.\",\"format\":{\"type\":\"grammar\",\"syntax\":\"lark\","
        "\"definition\":\"start: /.+/\"}}],\"tool_choice\":\"auto\",\"parallel_tool_calls\":true}",
        "{\"model\":\"m\",\"max_tokens\":32000,\"system\":[{\"type\":\"text\",\"text\":\"S\"},{"
        "\"type\":\"text\",\"text\":\"D\"}],\"messages\":[{\"role\":\"user\",\"content\":[{"
        "\"type\":\"text\",\"text\":\"hi\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":"
        "\"thinking\",\"thinking\":\"hm\",\"signature\":\"SIG\"},{\"type\":\"text\",\"text\":"
        "\"Hi\"},{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{\"x\":1}},{"
        "\"type\":\"tool_use\",\"id\":\"toolu_2\",\"name\":\"patch\",\"input\":{\"input\":\"*** "
        "Begin\"}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
        "\"toolu_1\",\"content\":\"1\"},{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_2\","
        "\"content\":\"done\"}]}],\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\","
        "\"properties\":{\"x\":{\"type\":\"integer\"}}}},{\"name\":\"patch\",\"description\":"
        "\"Edit files.\\n\\nThe input must match this lark grammar:\\nstart: "
        "/.+/\",\"input_schema\":{\"type\":\"object\",\"properties\":{\"input\":{\"type\":"
        "\"string\",\"description\":\"Text that matches the lark grammar in the tool "
        "description.\"}},\"required\":[\"input\"],\"additionalProperties\":false}}],"
        "\"tool_choice\":{\"type\":\"auto\"},\"thinking\":{\"type\":\"adaptive\",\"display\":"
        "\"summarized\"},\"output_config\":{\"effort\":\"medium\"},\"stream\":true,"
        "\"cache_control\":{\"type\":\"ephemeral\"}}");
}

#define HEAD "{\"model\":\"m\",\"max_tokens\":100,"
#define HI "{\"role\":\"user\",\"content\":[" BLOCK("hi") "]}"
#define ASK "{\"model\":\"m\",\"max_tokens\":100,\"messages\":["
#define ASK_HI "{\"role\":\"user\",\"content\":\"hi\"}"

/* Goal: system messages lead or stay at their place (E10, E11, E12). */
static void test_encode_system(void **state)
{
    (void)state;
    struct profile profile;
    const char *body = ASK "{\"role\":\"system\",\"content\":\"A\"},{\"role\":\"developer\","
                           "\"content\":\"B\"}," ASK_HI ",{\"role\":\"system\",\"content\":"
                           "\"C\"},{\"role\":\"assistant\",\"content\":\"x\"}," ASK_HI "]}";
    check_chat(
        body,
        HEAD "\"system\":[" BLOCK("A") "," BLOCK("B") "],\"messages\":[" USER(BLOCK("hi") "," BLOCK(
            "<system-reminder>\\nC\\n</system-reminder>")) "," ASSISTANT(BLOCK("x")) "," HI "]}");
    messages_profile(&profile);
    profile.anthropic_auto_cache = false;
    profile.anthropic_mid_system = true;
    check_profile(PROTOCOL_CHAT, &profile, body,
                  HEAD "\"system\":[" BLOCK("A") "," BLOCK(
                      "B") "],\"messages\":[" HI
                           ",{\"role\":\"system\",\"content\":[" BLOCK("C") "]}," ASSISTANT(
                               BLOCK("x")) "," HI "]}");
    check_profile(PROTOCOL_CHAT, &profile, /* not behind an assistant's, not before a user's */
                  ASK ASK_HI ",{\"role\":\"assistant\",\"content\":\"x\"},{\"role\":\"system\","
                             "\"content\":\"C\"}," ASK_HI "]}",
                  HEAD "\"messages\":[" HI "," ASSISTANT(BLOCK("x")) "," USER(
                      BLOCK("<system-reminder>\\nC\\n</system-reminder>") "," BLOCK("hi")) "]}");
    check_chat(ASK "{\"role\":\"system\",\"content\":\"A\"}]}",
               HEAD "\"system\":[" BLOCK("A") "],\"messages\":[" USER(
                   BLOCK("(empty)")) "]} WARN synthesized:messages");
}

/* Goal: neighbours join, blank texts go, the end is trimmed (E13, E16, E17). */
static void test_encode_turns(void **state)
{
    (void)state;
    check_chat(ASK ASK_HI "," ASK_HI ",{\"role\":\"assistant\",\"content\":\"abc \\n\"}]}", HEAD
               "\"messages\":[" USER(BLOCK("hi") "," BLOCK("hi")) "," ASSISTANT(BLOCK("abc")) "]}");
    check_chat(ASK
               "{\"role\":\"user\",\"content\":[" BLOCK("") "," BLOCK(" ") "," BLOCK("a") "]}]}",
               HEAD "\"messages\":[" USER(BLOCK("a")) "]}");
}

#define CALL(id, args)                                                                  \
    "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"" id "\",\"type\":\"function\"," \
    "\"function\":{\"name\":\"f\",\"arguments\":\"" args "\"}}]}"
#define RESULT(id, content) \
    "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":" content "}"
#define USE(id, input) \
    "{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"f\",\"input\":" input "}"
#define GOT(id, content) \
    "{\"type\":\"tool_result\",\"tool_use_id\":\"" id "\",\"content\":" content "}"

/* Goal: arguments and results keep their form (E26, E27, E41 to E45). */
static void test_encode_calls(void **state)
{
    (void)state;
    check_chat(
        ASK ASK_HI "," CALL("a", "") "," RESULT("a", "\"\"") "," CALL(
            "b",
            "{\\\"n\\\":12345678901234567890, "
            "\\\"x\\\":1.0}") "," RESULT("b",
                                         "[" BLOCK("p") "," BLOCK(
                                             "q") "]") "," CALL("c",
                                                                "{\\\"a\\\":") "," RESULT("c",
                                                                                          "\"1\"") "]}",
        HEAD
        "\"messages\":[" HI
        "," ASSISTANT(USE("a", "{}")) "," USER(GOT("a", "\"\"")) "," ASSISTANT(USE(
            "b",
            "{\"n\":"
            "1234567890"
            "1234567890"
            ",\"x\":1."
            "0}")) "," USER(GOT("b",
                                "[" BLOCK("p") "," BLOCK(
                                    "q") "]")) "," ASSISTANT(USE("c",
                                                                 "{\"__ccp_raw_arguments\":\"{"
                                                                 "\\\"a\\\":"
                                                                 "\"}")) "," USER(GOT("c",
                                                                                      "\"1\"")) "]"
                                                                                                "} "
                                                                                                "WA"
                                                                                                "RN"
                                                                                                " d"
                                                                                                "eg"
                                                                                                "ra"
                                                                                                "de"
                                                                                                "d:"
                                                                                                "ar"
                                                                                                "gu"
                                                                                                "me"
                                                                                                "nt"
                                                                                                "s");
}

#define TOOL_IN "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":null}}"
#define TOOL_OUT "{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}"

/* Goal: choices (E62, E63, E67). */
static void test_encode_choice(void **state)
{
    (void)state;
    check_chat(ASK ASK_HI "],\"tools\":[" TOOL_IN "],\"tool_choice\":\"none\"}",
               HEAD "\"messages\":[" HI "],\"tools\":[" TOOL_OUT
                    "],\"tool_choice\":{\"type\":\"none\"}}");
    check_chat(ASK ASK_HI "],\"tools\":[" TOOL_IN "],\"tool_choice\":\"required\","
                          "\"parallel_tool_calls\":false}",
               HEAD "\"messages\":[" HI "],\"tools\":[" TOOL_OUT "],\"tool_choice\":{\"type\":"
                    "\"any\",\"disable_parallel_tool_use\":true}}");
    check_chat(ASK ASK_HI "],\"tools\":[" TOOL_IN "],\"tool_choice\":{\"type\":\"function\","
                          "\"function\":{\"name\":\"f\"}}}",
               HEAD "\"messages\":[" HI "],\"tools\":[" TOOL_OUT "],\"tool_choice\":{\"type\":"
                    "\"tool\",\"name\":\"f\"}}");
    check_chat(ASK ASK_HI "],\"tools\":[],\"tool_choice\":\"auto\",\"parallel_tool_calls\":false}",
               HEAD "\"messages\":[" HI "]}");
}

#define SCHEMA "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}"
#define FORMAT                                                                       \
    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\"," \
    "\"schema\":" SCHEMA "}}"

/* Goal: an output format natively, by a tool, by words (E150, E152). */
static void test_encode_format(void **state)
{
    (void)state;
    struct profile profile;
    messages_profile(&profile);
    profile.anthropic_auto_cache = false;
    check_profile(PROTOCOL_CHAT, &profile, ASK ASK_HI "]," FORMAT "}",
                  HEAD "\"messages\":[" HI "],\"output_config\":{\"format\":{\"type\":"
                       "\"json_schema\",\"schema\":" SCHEMA "}}}");
    profile.anthropic_structured = STRUCTURED_TOOL;
    check_profile(PROTOCOL_CHAT, &profile, ASK ASK_HI "]," FORMAT "}",
                  HEAD "\"messages\":[" HI "],\"tools\":[{\"name\":\"json_output\","
                       "\"description\":\"Gives the answer in the format asked for.\","
                       "\"input_schema\":" SCHEMA "}],\"tool_choice\":{\"type\":\"tool\","
                       "\"name\":\"json_output\"}}");
    check_profile(
        PROTOCOL_CHAT, &profile, ASK ASK_HI "],\"response_format\":{\"type\":\"json_object\"}}",
        HEAD "\"system\":[" BLOCK(
            "Respond with a single JSON object and nothing else.") "],\"messages\":[" HI "]} WARN "
                                                                   "degraded:response_format");
}

/* Goal: stops, users, tiers, sampling (E89, E90, E145, E154). */
static void test_encode_settings(void **state)
{
    (void)state;
    struct profile profile;
    check_chat(ASK ASK_HI "],\"stop\":[\"END\",\"\\n\"],\"user\":\"u\",\"safety_identifier\":"
                          "\"s\",\"metadata\":{\"a\":\"b\"},\"service_tier\":\"default\","
                          "\"temperature\":1.7}",
               HEAD "\"messages\":[" HI "],\"stop_sequences\":[\"END\"],\"temperature\":1,"
                    "\"metadata\":{\"user_id\":\"s\"},\"service_tier\":\"standard_only\"} "
                    "WARN clamped:temperature, dropped:stop");
    check_chat(ASK ASK_HI "],\"stop\":\"\\n\",\"service_tier\":\"flex\"}",
               HEAD "\"messages\":[" HI "]} WARN dropped:stop, dropped:service_tier");
    messages_profile(&profile);
    profile.anthropic_auto_cache = false;
    profile.anthropic_fast = true;
    check_profile(PROTOCOL_CHAT, &profile, ASK ASK_HI "],\"service_tier\":\"priority\"}",
                  HEAD "\"messages\":[" HI "],\"speed\":\"fast\"}");
}

#define MARK ",\"cache_control\":{\"type\":\"ephemeral\"}"
#define MARKED(text) "{\"type\":\"text\",\"text\":\"" text "\"" MARK "}"

/* Goal: the last four marks stay, whatever came first (C1.14). */
static void test_encode_marks(void **state)
{
    (void)state;
    check_encoded(
        PROTOCOL_CHAT, true,
        ASK "{\"role\":\"system\",\"content\":[" MARKED("s1") "," MARKED(
            "s2") "]},"
                  "{\"role\":\"user\",\"content\":[" MARKED("u1") "," MARKED("u2") "," MARKED(
                      "u3") "]}]}",
        HEAD "\"system\":[" BLOCK("s1") "," MARKED(
            "s2") "],\"messages\":[{\"role\":"
                  "\"user\",\"content\":[" MARKED("u1") "," MARKED("u2") "," MARKED("u3") "]}]}");
}

/* Goal: manual thinking without a thinking block before the calls is turned off (E92), unsigned
 * thinking goes where it may, and the repair drops all of it. */
static void test_encode_thinking(void **state)
{
    (void)state;
    struct profile profile;
    messages_profile(&profile);
    profile.anthropic_auto_cache = false;
    profile.anthropic_thinking = THINKING_ENABLED | THINKING_DISABLED;
    profile.anthropic_effort = 0;
    check_profile(
        PROTOCOL_CHAT, &profile,
        "{\"model\":\"m\",\"max_tokens\":4000,\"reasoning_effort\":\"low\",\"messages\":[" ASK_HI
        "," CALL("a", "") "," RESULT("a", "\"1\"") "]}",
        "{\"model\":\"m\",\"max_tokens\":4000,\"messages\":[" HI
        "," ASSISTANT(USE("a", "{}")) "," USER(GOT("a", "\"1\"")) "]} WARN degraded:thinking");
    profile.anthropic_unsigned_thinking = true;
    check_profile(PROTOCOL_CHAT, &profile,
                  ASK ASK_HI ",{\"role\":\"assistant\",\"reasoning_content\":\"hm\",\"content\":"
                             "\"x\"}," ASK_HI "]}",
                  HEAD "\"messages\":[" HI "," ASSISTANT(
                      "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"\"}," BLOCK(
                          "x")) "," HI "]}");
}

/* Goal: what Messages cannot take is refused by its place (E141). */
static void test_encode_refused(void **state)
{
    (void)state;
    check_chat(ASK "{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":"
                   "\"file-1\"}}]}]}",
               "400 messages.0.content.0");
}

/* Goal: the same request gives the same bytes (E170). */
static void test_encode_same(void **state)
{
    (void)state;
    struct profile profile;
    struct str first = S("");
    struct messages_run runs[2];
    messages_profile(&profile);
    for (int i = 0; i < 2; i++) {
        runs[i] = messages_run_new(PROTOCOL_CHAT, PROTOCOL_MESSAGES, &profile);
        assert_int_equal(
            convert_request(runs[i].c, &runs[i].work,
                            S(ASK ASK_HI "," CALL("", "") "," RESULT("", "\"1\"") "]}"),
                            &runs[i].out),
            0);
        if (i == 1)
            assert_str(buf_str(&runs[1].out), first);
        first = buf_str(&runs[0].out);
    }
    messages_run_done(&runs[0]);
    messages_run_done(&runs[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_texts),
        cmocka_unit_test(test_empty_settings),
        cmocka_unit_test(test_decode_results),
        cmocka_unit_test(test_decode_calls),
        cmocka_unit_test(test_decode_thinking),
        cmocka_unit_test(test_decode_media),
        cmocka_unit_test(test_decode_vendor_blocks),
        cmocka_unit_test(test_decode_beta),
        cmocka_unit_test(test_decode_settings),
        cmocka_unit_test(test_decode_session),
        cmocka_unit_test(test_decode_tools),
        cmocka_unit_test(test_decode_refused),
        cmocka_unit_test(test_encode_example_chat),
        cmocka_unit_test(test_encode_example_responses),
        cmocka_unit_test(test_encode_system),
        cmocka_unit_test(test_encode_turns),
        cmocka_unit_test(test_encode_calls),
        cmocka_unit_test(test_encode_choice),
        cmocka_unit_test(test_encode_format),
        cmocka_unit_test(test_encode_settings),
        cmocka_unit_test(test_encode_marks),
        cmocka_unit_test(test_encode_thinking),
        cmocka_unit_test(test_encode_refused),
        cmocka_unit_test(test_encode_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

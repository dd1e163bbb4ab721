/*
 * Goal: requests of Responses are read into the neutral form whole, and the neutral form is
 * written as Responses takes it.
 * Method: bodies against a short text of the neutral form; bodies read and written again; bodies
 * against the member that is named as wrong.
 */
#include "unit.h"

#include "codec.h"
#include "convert.h"
#include "err.h"
#include "json.h"
#include "media.h"
#include "request_fixture.h"
#include "tools.h"
#include "turns.h"

static void begin(void)
{
    struct profile profile;
    struct buf error;
    buf_init(&error, 4096);
    assert_int_equal(
        profile_resolve(&profile, S("openai"), S("api.openai.com"), S("gpt-5"), NULL, 0, &error),
        0);
    buf_done(&error);
    struct convert_options o = {
        .client = PROTOCOL_RESPONSES,
        .upstream = PROTOCOL_CHAT,
        .profile = &profile,
        .upstream_name = S("u1"),
        .reply_limit_bytes = 1 << 20,
    };
    convert_free(c);
    c = convert_new(&o);
}

static int decode(struct str body)
{
    begin();
    c->model_sent = S("m");
    return request_read(c, &work, body);
}

/* ---- the neutral form as a short text ---- */

static struct buf shown;

static void show_blocks(const struct chat_block *b);

static void show_text(struct text t)
{
    buf_addf(&shown, "'%.*s'", (int)t.n, t.p);
}

static void show_media(const struct chat_media *m)
{
    static const char *const sources[] = { "base64", "url", "id", "plain" };
    buf_addf(&shown, "%s " STR_FMT " %.*s %.*s " STR_FMT, sources[m->source], STR_ARG(m->type),
             (int)m->payload.n, m->payload.p, (int)m->name.n, m->name.p, STR_ARG(m->path));
}

static void show_block(const struct chat_block *b)
{
    static const char *const names[] = { "",     "image",  "file",   "reasoning",
                                         "call", "result", "refusal" };
    buf_addf(&shown, "%s(", names[b->kind]);
    if (b->kind == CHAT_TEXT || b->kind == CHAT_REFUSAL)
        show_text(b->text);
    else if (b->kind == CHAT_IMAGE || b->kind == CHAT_FILE)
        show_media(&b->media);
    else if (b->kind == CHAT_REASONING)
        buf_addf(&shown, "%.*s proof %d", (int)b->reasoning.text.n, b->reasoning.text.p,
                 b->reasoning.proof.kind);
    else if (b->kind == CHAT_CALL)
        buf_addf(&shown, "%d " STR_FMT " " STR_FMT "/" STR_FMT " " STR_FMT, b->call.kind,
                 STR_ARG(b->call.id), STR_ARG(b->call.space), STR_ARG(b->call.name),
                 STR_ARG(b->call.arguments));
    if (b->kind == CHAT_RESULT) {
        buf_addf(&shown, "%d " STR_FMT "%s%s:", b->result.kind, STR_ARG(b->result.call_id),
                 b->result.is_error ? " error" : "", b->result.is_string ? " string" : "");
        show_blocks(b->result.blocks);
    }
    buf_addf(&shown, ")%s", b->cache == CHAT_CACHE_NONE ? "" : "*");
}

static void show_blocks(const struct chat_block *b)
{
    for (; b != NULL; b = b->next)
        show_block(b);
}

static struct str show_messages(void)
{
    static const char *const roles[] = { "system", "developer", "user", "assistant", "tool" };
    for (const struct chat_message *m = c->request.messages; m != NULL; m = m->next) {
        buf_addf(&shown, "%s%s%s%s ", shown.to > 0 ? "; " : "", roles[m->role],
                 m->instructions ? "!" : "", m->is_string ? "$" : "");
        show_blocks(m->blocks);
    }
    return buf_str(&shown);
}

static void expect_messages(const char *input, const char *want)
{
    struct str body = arena_printf(&work, "{\"model\":\"m\",\"input\":%s}", input);
    buf_init(&shown, SIZE_MAX);
    assert_int_equal(decode(body), 0);
    assert_str(show_messages(), str_of(want));
    buf_done(&shown);
}

static void messages_are_read(void **state)
{
    (void)state;
    expect_messages("\"hi\"", "user$ ('hi')");
    expect_messages("\"\"", "user$ ('')");
    expect_messages(
        "[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"user\",\"content\":\"ho\"}]",
        "user$ ('hi'); user$ ('ho')");
    expect_messages("[{\"type\":\"message\",\"role\":\"developer\",\"content\":"
                    "[{\"type\":\"input_text\",\"text\":\"D\\n\"}]}]",
                    "developer ('D\\n')");
    expect_messages("[{\"role\":\"user\",\"content\":[\"loose\",{\"type\":\"input_text\",\"text\":"
                    "\"x\",\"prompt_cache_breakpoint\":{\"mode\":\"explicit\"}},"
                    "{\"type\":\"input_image\",\"image_url\":\"https://a/b.png\"},"
                    "{\"type\":\"input_file\",\"file_id\":\"file-1\",\"filename\":\"f\"}]}]",
                    "user ('loose')('x')*image(url image/png https://a/b.png  input.0.content.2)"
                    "file(id  file-1 f input.0.content.3)");
    expect_messages("[{\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":"
                    "\"a\"},{\"type\":\"refusal\",\"refusal\":\"no\"}]}]",
                    "assistant ('a')refusal('no')");
}

static void turns_are_built(void **state)
{
    (void)state;
    /* E21, E23: one side's items make one message, in the order in which they came */
    expect_messages(
        "[{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[{\"type\":\"summary_text\",\"text\":"
        "\"h\"},{\"type\":\"summary_text\",\"text\":\"m\"}],\"encrypted_content\":\"gAAA\"},"
        "{\"type\":\"message\",\"role\":\"assistant\",\"content\":\"x\"},"
        "{\"type\":\"function_call\",\"call_id\":\"a\",\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}"
        "\"},"
        "{\"type\":\"function_call\",\"call_id\":\"b\",\"namespace\":\"crm\",\"name\":\"g\"},"
        "{\"type\":\"function_call_output\",\"call_id\":\"a\",\"output\":\"1\"},"
        "{\"type\":\"function_call_output\",\"call_id\":\"b\",\"output\":[{\"type\":\"input_text\","
        "\"text\":\"2\"}]},{\"type\":\"function_call_output\",\"call_id\":\"b\"}]",
        "assistant reasoning(h\\n\\nm proof 3)('x')call(0 a /f {\"x\":1})call(0 b crm/g ); "
        "tool result(0 a string:('1'))result(0 b:('2'))result(0 b string:(''))");
    /* vendor-run items leave no trace */
    expect_messages("[{\"type\":\"web_search_call\",\"id\":\"ws\"},{\"type\":\"mcp_call\"},"
                    "{\"type\":\"tool_search_call\",\"execution\":\"server\"},"
                    "{\"role\":\"user\",\"content\":\"u\"}]",
                    "user$ ('u')");
}

static void calls_of_every_kind_are_read(void **state)
{
    (void)state;
    expect_messages("[{\"type\":\"custom_tool_call\",\"call_id\":\"a\",\"name\":\"p\",\"input\":"
                    "\"*** Begin\\n\"},{\"type\":\"custom_tool_call_output\",\"call_id\":\"a\","
                    "\"output\":\"done\"}]",
                    "assistant call(1 a /p *** Begin\n); tool result(1 a string:('done'))");
    expect_messages(
        "[{\"type\":\"local_shell_call\",\"call_id\":\"a\",\"action\":{\"type\":\"exec\","
        "\"command\":[\"ls\", \"-l\"],\"env\":{},\"timeout_ms\":5,"
        "\"working_directory\":\"/t\"}},"
        "{\"type\":\"local_shell_call_output\",\"id\":\"a\",\"output\":\"o\"}]",
        "assistant call(2 a /local_shell {\"command\":[\"ls\",\"-l\"],\"workdir\":\"/t\","
        "\"timeout_ms\":5}); tool result(2 a string:('o'))");
    expect_messages("[{\"type\":\"shell_call\",\"call_id\":\"a\",\"action\":{\"commands\":[\"ls\"],"
                    "\"max_output_length\":9}},{\"type\":\"shell_call_output\",\"call_id\":\"a\","
                    "\"output\":[{\"stdout\":\"o\",\"stderr\":\"e\",\"outcome\":{\"type\":\"exit\","
                    "\"exit_code\":2}},{\"stdout\":\"\",\"stderr\":\"\",\"outcome\":{\"type\":"
                    "\"timeout\"}}]}]",
                    "assistant call(3 a /shell {\"commands\":[\"ls\"],\"max_output_length\":9}); "
                    "tool result(3 a string:('o\\ne\\nexit code: 2\\ntimeout'))");
    expect_messages("[{\"type\":\"apply_patch_call\",\"call_id\":\"a\",\"operation\":{\"type\":"
                    "\"delete_file\",\"path\":\"p\"}},{\"type\":\"apply_patch_call_output\","
                    "\"call_id\":\"a\",\"status\":\"failed\",\"output\":\"no\"}]",
                    "assistant call(4 a /apply_patch {\"type\":\"delete_file\",\"path\":\"p\"}); "
                    "tool result(4 a error string:('no'))");
    expect_messages(
        "[{\"type\":\"tool_search_call\",\"execution\":\"client\",\"call_id\":\"a\","
        "\"arguments\":{\"q\": 1}},{\"type\":\"tool_search_output\",\"execution\":"
        "\"client\",\"call_id\":\"a\",\"tools\":[{\"type\":\"function\",\"name\":\"f\"}]}]",
        "assistant call(5 a /tool_search {\"q\":1}); "
        "tool result(5 a string:('Tool loaded: f'))");
    assert_non_null(c->request.tools);
    assert_str(c->request.tools->name, S("f"));
}

/* E31: some agents send the parts as JSON in a string; other JSON stays text. */
static void outputs_may_hold_parts_as_text(void **state)
{
    (void)state;
    static const struct {
        const char *output, *want;
    } rows[] = {
        { "[{\\\"type\\\":\\\"input_image\\\",\\\"image_url\\\":\\\"https://a/b\\\"}]",
          ":image(url  https://a/b  input.0.output.0)" },
        { "[{\\\"type\\\":\\\"input_text\\\",\\\"text\\\":\\\"a\\\\nb\\\"}]", ":('a\\nb')" },
        { "[{\\\"type\\\":\\\"input_text\\\"},1]",
          " string:('[{\\\"type\\\":\\\"input_text\\\"},1]')" },
        { "[]", " string:('[]')" },
        { "[\\\"input_", " string:('[\\\"input_')" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str in = arena_printf(
            &work, "[{\"type\":\"function_call_output\",\"call_id\":\"a\",\"output\":\"%s\"}]",
            rows[i].output);
        struct str want = arena_printf(&work, "tool result(0 a%s)", rows[i].want);
        expect_messages(arena_cstr(&work, in), arena_cstr(&work, want));
    }
}

/* ---- settings and tools ---- */

static void settings_are_read(void **state)
{
    (void)state;
    assert_int_equal(
        decode(S("{\"model\":\"m\",\"input\":[{\"type\":\"configuration_update\",\"reasoning\":"
                 "{\"effort\":\"low\"}}],\"instructions\":\"S\",\"max_output_tokens\":500,"
                 "\"reasoning\":{\"effort\":\"high\",\"summary\":\"auto\"},\"text\":{\"format\":"
                 "{\"type\":\"json_schema\",\"name\":\"n\",\"schema\":{\"type\": \"object\"},"
                 "\"strict\":true},\"verbosity\":\"low\"},\"user\":\"u\",\"include\":"
                 "[\"message.output_text.logprobs\"],\"parallel_tool_calls\":false}")),
        0);
    const struct chat_request *q = &c->request;
    assert_int_equal(q->max_tokens, 500);
    assert_int_equal(q->reasoning.effort, CHAT_EFFORT_LOW); /* E174 */
    assert_str(q->reasoning.summary, S("auto"));
    assert_int_equal(q->format.kind, CHAT_FORMAT_JSON_SCHEMA);
    assert_str(q->format.schema, S("{\"type\":\"object\"}"));
    assert_int_equal(q->format.strict, CHAT_TRUE);
    assert_str(params_str(c, CHAT_PARAM_VERBOSITY), S("low"));
    assert_true(q->wants_logprobs);
    assert_true(q->choice.no_parallel);
    assert_int_equal(q->user_id.n, 1);
    assert_true(q->messages->instructions);
}

static void what_the_reply_repeats_is_kept(void **state)
{
    (void)state;
    assert_int_equal(
        decode(S("{\"model\":\"m\",\"input\":\"x\",\"instructions\":\"S\",\"metadata\":"
                 "{\"a\": \"b\"},\"truncation\":\"auto\",\"top_logprobs\":3,"
                 "\"temperature\":1.50,\"max_tool_calls\":null}")),
        0);
    arena_reset(&work); /* it must not live there */
    assert_str(c->echo[CHAT_PARAM_INSTRUCTIONS], S("\"S\""));
    assert_str(c->echo[CHAT_PARAM_METADATA], S("{\"a\":\"b\"}"));
    assert_str(c->echo[CHAT_PARAM_TRUNCATION], S("\"auto\""));
    assert_str(c->echo[CHAT_PARAM_TOP_LOGPROBS], S("3"));
    assert_str(c->echo[CHAT_PARAM_TEMPERATURE], S("1.50"));
    assert_int_equal(c->echo[CHAT_PARAM_MAX_TOOL_CALLS].n, 0);
}

static void expect_tools(const char *tools, const char *want, const char *warnings)
{
    struct str body = arena_printf(&work, "{\"model\":\"m\",\"input\":\"x\",\"tools\":%s}", tools);
    assert_int_equal(decode(body), 0);
    struct buf text;
    buf_init(&text, SIZE_MAX);
    for (const struct chat_tool *t = c->request.tools; t != NULL; t = t->next)
        buf_addf(&text, "%d " STR_FMT "/" STR_FMT " '%.*s' " STR_FMT " %d " STR_FMT ";", t->kind,
                 STR_ARG(t->space), STR_ARG(t->name), (int)t->description.n, t->description.p,
                 STR_ARG(t->schema), t->strict, STR_ARG(t->grammar_syntax));
    assert_str(buf_str(&text), str_of(want));
    assert_str(convert_warnings(c), str_of(warnings));
    buf_done(&text);
}

static void tools_are_read(void **state)
{
    (void)state;
    expect_tools("[{\"type\":\"function\",\"name\":\"f\",\"description\":\"d\",\"parameters\":"
                 "{\"type\": \"object\"},\"strict\":null},{\"type\":\"function\",\"name\":\"g\","
                 "\"parameters\":null,\"strict\":true}]",
                 "0 /f 'd' {\"type\":\"object\"} -1 ;0 /g ''  1 ;", "");
    expect_tools("[{\"type\":\"custom\",\"name\":\"p\",\"format\":{\"type\":\"grammar\",\"syntax\":"
                 "\"lark\",\"definition\":\"start\"}},{\"type\":\"custom\",\"name\":\"t\","
                 "\"format\":{\"type\":\"text\"}}]",
                 "1 /p ''  -1 lark;1 /t ''  -1 ;", "");
    expect_tools("[{\"type\":\"namespace\",\"name\":\"crm\",\"description\":\"N\",\"tools\":["
                 "{\"type\":\"function\",\"name\":\"get\",\"description\":\"G\"}]}]",
                 "0 crm/get 'N\\n\\nG'  -1 ;", "");
    expect_tools("[{\"type\":\"local_shell\"},{\"type\":\"shell\"},{\"type\":\"shell\","
                 "\"environment\":{\"type\":\"container_auto\"}},{\"type\":\"apply_patch\"},"
                 "{\"type\":\"tool_search\"},{\"type\":\"tool_search\",\"execution\":\"client\"},"
                 "{\"type\":\"web_search_preview\"},{\"type\":\"file_search\"}]",
                 "2 /local_shell ''  -1 ;3 /shell ''  -1 ;4 /apply_patch ''  -1 ;"
                 "5 /tool_search ''  -1 ;6 /web_search ''  -1 ;",
                 "dropped:tools.2, dropped:tools.7");
}

/* A long description is not copied a thousand times. */
static void namespaces_do_not_swell(void **state)
{
    (void)state;
    struct buf tools;
    buf_init(&tools, SIZE_MAX);
    buf_add(&tools, S("[{\"type\":\"namespace\",\"name\":\"n\",\"description\":\""));
    for (int i = 0; i < 100000; i++)
        buf_add_byte(&tools, 'd');
    buf_add(&tools, S("\",\"tools\":["));
    for (int i = 0; i < 1000; i++)
        buf_addf(&tools, "%s{\"type\":\"function\",\"name\":\"f%d\"}", i > 0 ? "," : "", i);
    buf_add(&tools, S("]}]"));
    struct str body = arena_printf(&work, "{\"model\":\"m\",\"input\":\"x\",\"tools\":" STR_FMT "}",
                                   STR_ARG(buf_str(&tools)));
    size_t before = work.used_bytes;
    assert_int_equal(decode(body), 0);
    assert_true(work.used_bytes - before < 4 << 20);
    assert_str(convert_warnings(c), S("dropped:tools.0.description"));
    buf_done(&tools);
}

static void choices_are_read(void **state)
{
    (void)state;
    const struct chat_tool_choice *choice = NULL;
    assert_int_equal(decode(S("{\"input\":\"x\",\"tool_choice\":\"required\"}")), 0);
    choice = &c->request.choice;
    assert_int_equal(choice->kind, CHAT_CHOICE_ANY);
    assert_int_equal(decode(S("{\"input\":\"x\",\"tool_choice\":{\"type\":\"custom\",\"name\":"
                              "\"p\"}}")),
                     0);
    choice = &c->request.choice;
    assert_int_equal(choice->kind, CHAT_CHOICE_TOOL);
    assert_int_equal(choice->tool_kind, CHAT_TOOL_CUSTOM);
    assert_str(choice->name, S("p"));
    assert_int_equal(
        decode(S("{\"input\":\"x\",\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":"
                 "\"auto\",\"tools\":[{\"type\":\"function\",\"name\":\"f\"},"
                 "{\"type\":\"shell\"},{\"type\":\"mcp\"}]}}")),
        0);
    choice = &c->request.choice;
    assert_true(choice->has_allowed);
    assert_int_equal(choice->kind, CHAT_CHOICE_AUTO);
    assert_int_equal(choice->allowed_count, 2);
    assert_str(choice->allowed[1], S("shell"));
    assert_int_equal(decode(S("{\"input\":\"x\",\"tool_choice\":{\"type\":\"mcp\"}}")), 0);
    assert_str(c->request.choice.type, S("mcp"));
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param;
    } rows[] = {
        { "{}", "input" },
        { "{\"input\":1}", "input" },
        { "{\"input\":\"x\",\"background\":true}", "background" },
        { "{\"input\":\"x\",\"previous_response_id\":\"r\"}", "previous_response_id" },
        { "{\"input\":\"x\",\"conversation\":\"r\"}", "conversation" },
        { "{\"input\":\"x\",\"prompt\":{\"id\":\"p\"}}", "prompt" },
        { "{\"input\":[1]}", "input.0" },
        { "{\"input\":[{}]}", "input.0.type" },
        { "{\"input\":[{\"role\":\"king\"}]}", "input.0.role" },
        { "{\"input\":[{\"role\":\"user\",\"content\":1}]}", "input.0.content" },
        { "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"hologram\"}]}]}",
          "input.0.content.0.type" },
        { "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\"}]}]}",
          "input.0.content.0.type" },
        { "{\"input\":[{\"role\":\"system\",\"content\":[{\"type\":\"input_image\"}]}]}",
          "input.0.content.0.type" },
        { "{\"input\":[{\"role\":\"user\",\"content\":[\"a\",{\"type\":\"input_image\"}]}]}",
          "input.0.content.1" },
        { "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":1}]}]}",
          "input.0.content.0.text" },
        { "{\"input\":[{\"type\":\"compaction\",\"encrypted_content\":\"x\"}]}", "input.0.type" },
        { "{\"input\":[{\"role\":\"user\",\"content\":\"u\"},{\"type\":\"compaction_trigger\"}]}",
          "input.1.type" },
        { "{\"input\":[{\"type\":\"item_reference\",\"id\":\"x\"}]}", "input.0.type" },
        { "{\"input\":[{\"id\":\"x\"}]}", "input.0.type" },
        { "{\"input\":[{\"type\":\"computer_call\"}]}", "input.0.type" },
        { "{\"input\":[{\"type\":\"function_call\",\"call_id\":\"a\"}]}", "input.0.name" },
        { "{\"input\":\"x\",\"tools\":[{\"type\":\"function\"}]}", "tools.0.name" },
        { "{\"input\":\"x\",\"tools\":[1]}", "tools.0" },
        { "{\"input\":\"x\",\"tool_choice\":\"maybe\"}", "tool_choice" },
        { "{\"input\":\"x\",\"tool_choice\":{\"type\":\"function\"}}", "tool_choice.name" },
        { "{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"xml\"}}}", "text.format.type" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(decode(str_of(rows[i].body)), E_BAD_REQUEST);
        assert_str(convert_error_param(c), str_of(rows[i].param));
    }
}

/* ---- written again ---- */

/* As if the neutral form had come from another protocol. */
static int encode(struct buf *out)
{
    struct json_out o;
    c->options.client = PROTOCOL_MESSAGES;
    c->options.upstream = PROTOCOL_RESPONSES;
    int r = turns_normalize(c);
    if (r == 0)
        r = tools_prepare(c);
    json_out_init(&o, out);
    return r < 0 ? r : responses_encode_request(c, &o);
}

static void expect_body(const char *in, const char *want)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    assert_int_equal(decode(str_of(in)), 0);
    assert_int_equal(encode(&out), 0);
    yyjson_doc *doc;
    assert_int_equal(json_parse(buf_str(&out), &doc, NULL), 0);
    yyjson_doc_free(doc);
    struct str tail = S(",\"store\":false,\"include\":[\"reasoning.encrypted_content\"]}");
    struct str got = buf_str(&out);
    assert_true(str_ends(got, tail));
    assert_str(str_slice(got, 0, got.n - tail.n), str_of(want));
    buf_done(&out);
}

static void conversations_are_written(void **state)
{
    (void)state;
    expect_body("{\"instructions\":\"S\",\"input\":\"hi\"}",
                "{\"model\":\"m\",\"instructions\":\"S\",\"input\":[{\"type\":\"message\",\"role\":"
                "\"user\",\"content\":\"hi\"}]");
    /* more than one leading system message, none of them `instructions` */
    expect_body("{\"input\":[{\"role\":\"system\",\"content\":\"A\"},{\"role\":\"developer\","
                "\"content\":\"B\"},{\"role\":\"user\",\"content\":\"hi\"}]}",
                "{\"model\":\"m\",\"input\":[{\"type\":\"message\",\"role\":\"developer\","
                "\"content\":[{\"type\":\"input_text\",\"text\":\"A\"}]},{\"type\":\"message\","
                "\"role\":\"developer\",\"content\":[{\"type\":\"input_text\",\"text\":\"B\"}]},"
                "{\"type\":\"message\",\"role\":\"user\",\"content\":\"hi\"}]");
    expect_body(
        "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"l\"},"
        "{\"type\":\"input_image\",\"image_url\":\"data:image/png;base64,iVBORw0KGgo=\"}]},"
        "{\"role\":\"assistant\",\"content\":\"x\"},"
        "{\"type\":\"function_call\",\"call_id\":\"a\",\"name\":\"f\",\"arguments\":\"\"},"
        "{\"type\":\"custom_tool_call\",\"call_id\":\"b\",\"name\":\"p\",\"input\":\"t\"},"
        "{\"type\":\"function_call_output\",\"call_id\":\"a\",\"output\":\"1\"},"
        "{\"type\":\"custom_tool_call_output\",\"call_id\":\"b\",\"output\":["
        "{\"type\":\"input_text\",\"text\":\"2\"},{\"type\":\"input_image\",\"image_url\":"
        "\"https://a/b\",\"detail\":\"low\"}]}]}",
        "{\"model\":\"m\",\"input\":[{\"type\":\"message\",\"role\":\"user\",\"content\":["
        "{\"type\":\"input_text\",\"text\":\"l\"},{\"type\":\"input_image\",\"image_url\":"
        "\"data:image/png;base64,iVBORw0KGgo=\",\"detail\":\"auto\"}]},"
        "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\","
        "\"text\":\"x\",\"annotations\":[]}]},"
        "{\"type\":\"function_call\",\"call_id\":\"a\",\"name\":\"f\",\"arguments\":\"{}\"},"
        "{\"type\":\"custom_tool_call\",\"call_id\":\"b\",\"name\":\"p\",\"input\":\"t\"},"
        "{\"type\":\"function_call_output\",\"call_id\":\"a\",\"output\":\"1\"},"
        "{\"type\":\"custom_tool_call_output\",\"call_id\":\"b\",\"output\":["
        "{\"type\":\"input_text\",\"text\":\"2\"},{\"type\":\"input_image\",\"image_url\":"
        "\"https://a/b\",\"detail\":\"low\"}]}]");
    /* a built-in tool's result is one like any other */
    expect_body("{\"input\":[{\"role\":\"user\",\"content\":\"u\"},{\"type\":\"apply_patch_call\","
                "\"call_id\":\"a\",\"operation\":{}},{\"type\":\"apply_patch_call_output\","
                "\"call_id\":\"a\",\"status\":\"failed\",\"output\":\"boom\"}]}",
                "{\"model\":\"m\",\"input\":[{\"type\":\"message\",\"role\":\"user\",\"content\":"
                "\"u\"},{\"type\":\"function_call\",\"call_id\":\"a\",\"name\":\"apply_patch\","
                "\"arguments\":\"{}\"},{\"type\":\"function_call_output\",\"call_id\":\"a\","
                "\"output\":\"Error: boom\"}]");
}

static void settings_are_written(void **state)
{
    (void)state;
    expect_body(
        "{\"input\":\"x\",\"max_output_tokens\":3,\"tools\":[{\"type\":\"function\",\"name\":\"f\","
        "\"description\":\"d\"},{\"type\":\"custom\",\"name\":\"p\",\"format\":{\"type\":"
        "\"grammar\","
        "\"syntax\":\"lark\",\"definition\":\"s\"}},{\"type\":\"web_search\",\"filters\":"
        "{\"allowed_domains\":[\"a\"]}}],\"tool_choice\":{\"type\":\"custom\",\"name\":\"p\"},"
        "\"parallel_tool_calls\":false,\"reasoning\":{\"effort\":\"low\"},\"text\":{\"format\":"
        "{\"type\":\"json_schema\",\"name\":\"n\",\"schema\":{\"type\":\"object\"}},"
        "\"verbosity\":\"low\"}}",
        "{\"model\":\"m\",\"input\":[{\"type\":\"message\",\"role\":\"user\",\"content\":\"x\"}],"
        "\"max_output_tokens\":16,\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"description\":"
        "\"d\",\"parameters\":{\"type\":\"object\",\"properties\":{}},\"strict\":false},"
        "{\"type\":\"custom\",\"name\":\"p\",\"format\":{\"type\":\"grammar\",\"syntax\":\"lark\","
        "\"definition\":\"s\"}},{\"type\":\"web_search\",\"filters\":{\"allowed_domains\":[\"a\"]}}"
        "],"
        "\"tool_choice\":{\"type\":\"custom\",\"name\":\"p\"},\"parallel_tool_calls\":false,"
        "\"reasoning\":{\"effort\":\"low\",\"summary\":\"auto\"},\"text\":{\"format\":{\"type\":"
        "\"json_schema\",\"name\":\"n\",\"schema\":{\"type\":\"object\"},\"strict\":false},"
        "\"verbosity\":\"low\"}");
    /* E61 */
    expect_body(
        "{\"input\":\"x\",\"tools\":[],\"tool_choice\":\"auto\",\"parallel_tool_calls\":true}",
        "{\"model\":\"m\",\"input\":[{\"type\":\"message\",\"role\":\"user\",\"content\":"
        "\"x\"}]");
}

/* ---- what only other protocols' clients can say ---- */

static struct chat_block *add(struct chat_message *m, enum chat_block_kind kind, struct text text)
{
    struct chat_block *b = chat_add_block(c, m, kind);
    if (kind == CHAT_TEXT)
        b->text = text;
    return b;
}

static void add_item(struct chat_message *m, struct str raw)
{
    add(m, CHAT_REASONING, TEXT(""))->reasoning.proof = (struct chat_proof){
        .kind = CHAT_PROOF_ITEM, .enveloped = true, .upstream = S("u1"), .raw = raw
    };
}

static void expect_input(const char *want)
{
    struct buf out;
    struct json_out o;
    buf_init(&out, SIZE_MAX);
    json_out_init(&o, &out);
    c->options.client = PROTOCOL_MESSAGES;
    c->options.upstream = PROTOCOL_RESPONSES;
    assert_int_equal(responses_encode_request(c, &o), 0);
    assert_true(str_contains(buf_str(&out), str_of(want)));
    if (!str_contains(buf_str(&out), str_of(want)))
        fail_msg(STR_FMT, STR_ARG(buf_str(&out)));
    buf_done(&out);
}

/* E93, and reasoning that is left out does not cut a text in two. */
static void reasoning_stands_before_what_it_led_to(void **state)
{
    (void)state;
    assert_int_equal(decode(S("{\"input\":\"x\"}")), 0);
    struct chat_message *m = chat_add_message(c, CHAT_ASSISTANT);
    add_item(m, S("{\"id\":\"rs_1\"}"));
    add(m, CHAT_TEXT, TEXT("a"));
    add(m, CHAT_REASONING, TEXT(""));
    add(m, CHAT_TEXT, TEXT("b"));
    add_item(m, S("{\"id\":\"rs_2\"}"));
    expect_input(",{\"id\":\"rs_1\"},{\"type\":\"message\",\"role\":\"assistant\",\"content\":["
                 "{\"type\":\"output_text\",\"text\":\"a\",\"annotations\":[]},"
                 "{\"type\":\"output_text\",\"text\":\"b\",\"annotations\":[]}]}]");
}

static void add_result(struct text text, bool is_error)
{
    struct chat_message *m = chat_add_message(c, CHAT_TOOL);
    struct chat_result *result = &chat_add_block(c, m, CHAT_RESULT)->result;
    *result = (struct chat_result){ .call_id = S("a"), .is_error = is_error };
    result->blocks = chat_new_block(c, CHAT_TEXT);
    result->blocks->text = text;
    result->blocks->next = chat_new_block(c, CHAT_TEXT);
    result->blocks->next->text = TEXT("2");
}

/* E28 */
static void errors_are_marked_in_the_text(void **state)
{
    (void)state;
    assert_int_equal(decode(S("{\"input\":\"x\"}")), 0);
    add_result(TEXT("boom"), true);
    expect_input("\"output\":\"Error: boom\\n2\"}");
    assert_int_equal(decode(S("{\"input\":\"x\"}")), 0);
    add_result(TEXT("eRRor: x"), true);
    expect_input("\"output\":\"eRRor: x\\n2\"}");
    assert_int_equal(decode(S("{\"input\":\"x\"}")), 0);
    add_result(TEXT(""), true);
    struct chat_result *result = &c->request.last->blocks->result;
    struct chat_block *b = chat_new_block(c, CHAT_IMAGE);
    b->next = result->blocks->next;
    result->blocks = b;
    b->media = (struct chat_media){ .source = CHAT_MEDIA_URL, .payload = TEXT("https://a/b") };
    expect_input(
        "\"output\":[{\"type\":\"input_text\",\"text\":\"Error:\"},{\"type\":\"input_image\","
        "\"image_url\":\"https://a/b\",\"detail\":\"auto\"},{\"type\":\"input_text\",\"text\":"
        "\"2\"}]}");
}

/* The vendor's own marks: the last four. */
static void marks_and_instructions(void **state)
{
    (void)state;
    assert_int_equal(decode(S("{\"input\":[]}")), 0);
    c->profile.openai_cache_fields = true;
    struct chat_message *m = chat_add_message(c, CHAT_SYSTEM);
    m->instructions = true;
    add(m, CHAT_TEXT, TEXT("A"));
    add(m, CHAT_TEXT, TEXT("B"));
    m = chat_add_message(c, CHAT_USER);
    for (int i = 0; i < 5; i++)
        add(m, CHAT_TEXT, TEXT("t"))->cache = CHAT_CACHE_SHORT;
    expect_input("\"instructions\":\"A\\nB\",\"input\":[{\"type\":\"message\",\"role\":\"user\","
                 "\"content\":[{\"type\":\"input_text\",\"text\":\"t\"},{\"type\":\"input_text\","
                 "\"text\":\"t\",\"prompt_cache_breakpoint\":{\"mode\":\"explicit\"}},");
}

/* E153 */
static void long_ids_are_hashed(void **state)
{
    (void)state;
    static char id[200];
    memset(id, 'u', sizeof id);
    assert_int_equal(decode(S("{\"input\":\"x\"}")), 0);
    c->request.user_id = (struct text){ id, sizeof id };
    expect_input("\"safety_identifier\":\"");
    struct buf out;
    struct json_out o;
    buf_init(&out, SIZE_MAX);
    json_out_init(&o, &out);
    assert_int_equal(responses_encode_request(c, &o), 0);
    size_t at = str_find(buf_str(&out), S("\"safety_identifier\":\"")) + 21;
    assert_int_equal(str_index(str_slice(buf_str(&out), at, SIZE_MAX), '"'), 64);
    buf_done(&out);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(messages_are_read),
        T(turns_are_built),
        T(calls_of_every_kind_are_read),
        T(outputs_may_hold_parts_as_text),
        T(settings_are_read),
        T(what_the_reply_repeats_is_kept),
        T(tools_are_read),
        T(namespaces_do_not_swell),
        T(choices_are_read),
        T(what_is_wrong_is_named),
        T(conversations_are_written),
        T(settings_are_written),
        T(reasoning_stands_before_what_it_led_to),
        T(errors_are_marked_in_the_text),
        T(marks_and_instructions),
        T(long_ids_are_hashed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

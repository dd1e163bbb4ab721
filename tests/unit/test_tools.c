/*
 * Goal: each upstream gets the tools it can take, under names it can take, and the table leads
 * back to what the client declared (C1.5, C1.10 of protocols.md).
 * Method: requests put together by hand; after tools_prepare() a line of text says what is left.
 */
#include "unit.h"

#include "chat_fixture.h"
#include "err.h"
#include "json.h"
#include "tools.h"

#define LONG_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" /* 63 */

static struct chat_tool *add(enum chat_tool_kind kind, const char *space, const char *name)
{
    struct chat_tool *t = chat_add_tool(&conv);
    t->kind = kind;
    t->space = str_of(space);
    t->name = str_of(name);
    return t;
}

static struct chat_tool *add_function(const char *name)
{
    return add(CHAT_TOOL_FUNCTION, "", name);
}

static void choose(enum chat_choice kind, const char *name)
{
    conv.request.choice.kind = kind;
    conv.request.choice.name = str_of(name);
}

/* "a b" */
static struct str names_left(void)
{
    struct str s = S("");
    for (struct chat_tool *t = conv.request.tools; t != NULL; t = t->next) {
        assert_true(t->next != NULL || conv.request.last_tool == t);
        s = arena_cat(&work, s, s.n > 0 ? S(" ") : S(""));
        s = arena_cat(&work, s, t->upstream_name);
    }
    if (conv.request.tools == NULL)
        assert_null(conv.request.last_tool);
    return s;
}

static void check_prepared(const char *names, const char *warnings)
{
    assert_int_equal(tools_prepare(&conv), 0);
    assert_str(names_left(), str_of(names));
    assert_str(buf_str(&conv.warnings), str_of(warnings));
}

static void check_rejected(void)
{
    assert_int_equal(tools_prepare(&conv), E_BAD_REQUEST);
    assert_str(buf_str(&conv.error_param), S("tool_choice"));
}

/* E56, E57: names that are too long or hold other bytes, and their way back. */
static void test_short_names(void **state)
{
    (void)state;
    add_function("mcp.srv/do");
    add_function("mcp_srv_do");
    add_function(LONG_A "aa");
    add_function(LONG_A "b");
    assert_int_equal(tools_prepare(&conv), 0);
    const char *clients[] = { "mcp.srv/do", "mcp_srv_do", LONG_A "aa", LONG_A "b" };
    struct chat_tool *t = conv.request.tools;
    for (size_t i = 0; i < 4; i++, t = t->next) {
        assert_true(t->upstream_name.n <= 64);
        assert_str(tools_find(&conv, t->upstream_name)->name, str_of(clients[i]));
        assert_str(tools_short(&work, str_of(clients[i]), 64, 8), t->upstream_name);
    }
    t = conv.request.tools;
    /* SHA-256 of "mcp.srv/do" */
    assert_str(t->upstream_name, S("mcp_srv_do_cf67cded"));
    assert_str(t->next->upstream_name, S("mcp_srv_do"));
    assert_true(str_starts(t->next->next->upstream_name, str_slice(S(LONG_A), 0, 55)));
    assert_int_equal(t->next->next->upstream_name.n, 64);
    assert_str(t->next->next->next->upstream_name, S(LONG_A "b"));
    assert_null(tools_find(&conv, S("other")));
}

/* Messages takes 128 characters. */
static void test_long_for_messages(void **state)
{
    (void)state;
    conv_reset(PROTOCOL_CHAT, PROTOCOL_MESSAGES);
    add_function(LONG_A LONG_A);
    check_prepared(LONG_A LONG_A, "");
}

/* A name that may stay as it is keeps it, though another would be shortened to the same. */
static void test_collision(void **state)
{
    (void)state;
    struct str taken = tools_short(&work, S("a.b"), 64, 8);
    add_function("a.b");
    add_function(arena_cstr(&work, taken));
    assert_int_equal(tools_prepare(&conv), 0);
    struct str first = conv.request.tools->upstream_name;
    assert_str(conv.request.tools->next->upstream_name, taken);
    assert_int_equal(first.n, 3 + 1 + 16);
    assert_str(first, tools_short(&work, S("a.b"), 64, 16));
    assert_str(tools_find(&conv, first)->name, S("a.b"));
}

/* E68: the first of two tools with one name stays. */
static void test_second_of_one_name(void **state)
{
    (void)state;
    add_function("f")->schema = S("{\"title\":\"1\"}");
    add_function("g");
    add_function("f");
    add_function("f");
    add_function("g");
    check_prepared("f g", "dropped:tools.f, dropped:tools.g");
    assert_str(conv.request.tools->schema,
               S("{\"type\":\"object\",\"title\":\"1\",\"properties\":{}}"));
}

/* E60: a namespace is a part of the name; a tool at the top level wins. */
static void test_namespaces(void **state)
{
    (void)state;
    conv_reset(PROTOCOL_RESPONSES, PROTOCOL_MESSAGES);
    add(CHAT_TOOL_FUNCTION, "crm", "get");
    add(CHAT_TOOL_FUNCTION, "crm", "put");
    add_function("crm__put");
    struct chat_block *b =
        chat_add_block(&conv, chat_add_message(&conv, CHAT_ASSISTANT), CHAT_CALL);
    b->call = (struct chat_call){ .name = S("get"), .space = S("crm") };
    conv.request.choice =
        (struct chat_tool_choice){ .kind = CHAT_CHOICE_TOOL, .name = S("get"), .space = S("crm") };
    check_prepared("crm__get crm__put", "dropped:tools.crm__put");
    const struct convert_tool *t = tools_find(&conv, S("crm__get"));
    assert_str(t->space, S("crm"));
    assert_str(t->name, S("get"));
    t = tools_find(&conv, S("crm__put"));
    assert_str(t->space, S(""));
    assert_str(t->name, S("crm__put"));
    assert_str(b->call.name, S("crm__get"));
    assert_str(b->call.space, S(""));
    assert_str(conv.request.choice.name, S("crm__get"));
    assert_str(conv.request.choice.space, S(""));
}

/* Calls in the history of tools that are not declared any more have names too. */
static void test_history(void **state)
{
    (void)state;
    struct chat_message *m = chat_add_message(&conv, CHAT_ASSISTANT);
    struct chat_block *x = chat_add_block(&conv, m, CHAT_CALL);
    struct chat_block *y = chat_add_block(&conv, m, CHAT_CALL);
    x->call = (struct chat_call){ .name = S("old.tool") };
    y->call = (struct chat_call){ .kind = CHAT_TOOL_SHELL };
    assert_int_equal(tools_prepare(&conv), 0);
    assert_str(x->call.name, tools_short(&work, S("old.tool"), 64, 8));
    assert_str(tools_find(&conv, x->call.name)->name, S("old.tool"));
    assert_str(y->call.name, S("shell"));
    assert_int_equal(tools_find(&conv, S("shell"))->kind, CHAT_TOOL_SHELL);
    assert_int_equal(tools_find(&conv, S("shell"))->upstream_kind, CHAT_TOOL_FUNCTION);
}

/* E61: without tools there is no choice and nothing about parallel calls. */
static void test_no_tools(void **state)
{
    (void)state;
    static const enum chat_choice kinds[] = { CHAT_CHOICE_AUTO, CHAT_CHOICE_ANY, CHAT_CHOICE_NONE };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        conv_reset(PROTOCOL_RESPONSES, PROTOCOL_CHAT);
        conv.request.choice = (struct chat_tool_choice){ .kind = kinds[i], .parallel_given = true };
        check_prepared("", "");
        assert_int_equal(conv.request.choice.kind, CHAT_CHOICE_ABSENT);
        assert_false(conv.request.choice.parallel_given);
    }
}

/* E62: "none" keeps the tools. */
static void test_none(void **state)
{
    (void)state;
    add_function("f");
    choose(CHAT_CHOICE_NONE, "");
    check_prepared("f", "");
    assert_int_equal(conv.request.choice.kind, CHAT_CHOICE_NONE);
}

/* E66: a web search that the upstream has not is left out; 400 when it is forced. */
static void test_web_search(void **state)
{
    (void)state;
    add(CHAT_TOOL_WEB_SEARCH, "", "web_search");
    add_function("web_search");
    check_prepared("web_search", "dropped:tools.web_search");
    assert_int_equal(conv.request.tools->kind, CHAT_TOOL_FUNCTION);

    conv_reset(PROTOCOL_MESSAGES, PROTOCOL_CHAT);
    add(CHAT_TOOL_WEB_SEARCH, "", "web_search");
    choose(CHAT_CHOICE_TOOL, "web_search");
    check_rejected();

    conv_reset(PROTOCOL_MESSAGES, PROTOCOL_CHAT);
    add(CHAT_TOOL_WEB_SEARCH, "", "web_search");
    choose(CHAT_CHOICE_ANY, "");
    check_rejected();

    conv_reset(PROTOCOL_CHAT, PROTOCOL_MESSAGES);
    add(CHAT_TOOL_WEB_SEARCH, "", "web_search");
    check_prepared("", "dropped:web_search_options");

    conv_reset(PROTOCOL_RESPONSES, PROTOCOL_MESSAGES);
    conv.profile.anthropic_web_search = true;
    add(CHAT_TOOL_WEB_SEARCH, "", "");
    choose(CHAT_CHOICE_TOOL, "");
    conv.request.choice.tool_kind = CHAT_TOOL_WEB_SEARCH;
    check_prepared("web_search", "");
    assert_str(conv.request.choice.name, S("web_search"));
}

/* In Chat a web search is an option of the request: nothing can choose it. */
static void test_web_search_option(void **state)
{
    (void)state;
    conv.profile.chat_web_search_options = true;
    add(CHAT_TOOL_WEB_SEARCH, "", "web_search");
    choose(CHAT_CHOICE_TOOL, "web_search");
    check_prepared("web_search", "degraded:tool_choice");
    assert_int_equal(conv.request.choice.kind, CHAT_CHOICE_ABSENT);
}

/* A choice that forces what is not there. */
static void test_forced_and_gone(void **state)
{
    (void)state;
    add_function("f");
    choose(CHAT_CHOICE_TOOL, "g");
    check_rejected();
    conv_reset(PROTOCOL_RESPONSES, PROTOCOL_CHAT);
    add_function("f");
    choose(CHAT_CHOICE_TOOL, "f");
    conv.request.choice.type = S("file_search");
    check_rejected();
    assert_true(str_contains(buf_str(&conv.error_text), S("file_search")));
}

static void allow(enum chat_choice kind, const char *x, const char *y)
{
    struct str *list = arena_new(&work, struct str, 2);
    list[0] = str_of(x);
    list[1] = str_of(y);
    conv.request.choice = (struct chat_tool_choice){
        .kind = kind, .has_allowed = true, .allowed = list, .allowed_count = list[1].n > 0 ? 2 : 1
    };
}

/* E67: Messages has no allowed_tools, so only the allowed ones are sent. */
static void test_allowed_for_messages(void **state)
{
    (void)state;
    conv_reset(PROTOCOL_CHAT, PROTOCOL_MESSAGES);
    add_function("f");
    add_function("g.x");
    add_function("h");
    allow(CHAT_CHOICE_ANY, "g.x", "");
    struct str g = tools_short(&work, S("g.x"), 128, 8);
    check_prepared(arena_cstr(&work, g), "");
    assert_int_equal(conv.request.choice.kind, CHAT_CHOICE_TOOL);
    assert_str(conv.request.choice.name, g);
    assert_false(conv.request.choice.has_allowed);

    conv_reset(PROTOCOL_CHAT, PROTOCOL_MESSAGES);
    add_function("f");
    add_function("g");
    add_function("h");
    allow(CHAT_CHOICE_ANY, "h", "f");
    check_prepared("f h", "");
    assert_int_equal(conv.request.choice.kind, CHAT_CHOICE_ANY);

    conv_reset(PROTOCOL_CHAT, PROTOCOL_MESSAGES);
    add_function("f");
    allow(CHAT_CHOICE_AUTO, "gone", "");
    check_prepared("f", "");
    assert_int_equal(conv.request.choice.kind, CHAT_CHOICE_NONE);

    conv_reset(PROTOCOL_CHAT, PROTOCOL_MESSAGES);
    add_function("f");
    allow(CHAT_CHOICE_ANY, "gone", "");
    check_rejected();
}

/* The others have them: upstream names, and none that is gone. */
static void test_allowed_for_openai(void **state)
{
    (void)state;
    conv_reset(PROTOCOL_CHAT, PROTOCOL_RESPONSES);
    add_function("f");
    add_function("g.x");
    allow(CHAT_CHOICE_AUTO, "gone", "g.x");
    struct str g = tools_short(&work, S("g.x"), 64, 8);
    assert_int_equal(tools_prepare(&conv), 0);
    assert_true(conv.request.choice.has_allowed);
    assert_int_equal(conv.request.choice.allowed_count, 1);
    assert_str(conv.request.choice.allowed[0], g);
    assert_int_equal(conv.request.choice.kind, CHAT_CHOICE_AUTO);
}

#define W(about)                                                           \
    "{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"," \
    "\"description\":\"" about "\"}},\"required\":[\"input\"],\"additionalProperties\":false}"

/* E58: a custom tool is a function of one text where there are none. */
static void test_custom(void **state)
{
    (void)state;
    conv_reset(PROTOCOL_RESPONSES, PROTOCOL_MESSAGES);
    struct chat_tool *t = add(CHAT_TOOL_CUSTOM, "", "patch");
    t->description = TEXT("Edit files.");
    t->grammar_syntax = S("lark");
    t->grammar = TEXT("start: /.+/\\n");
    struct chat_tool *u = add(CHAT_TOOL_CUSTOM, "", "say");
    check_prepared("patch say", "");
    assert_str(tools_schema(&conv, t),
               S(W("Text that matches the lark grammar in the tool description.")));
    assert_str(tools_schema(&conv, u), S(W("Free text input of the tool.")));
    struct text d = tools_description(&conv, t);
    assert_str(((struct str){ d.p, d.n }),
               S("Edit files.\\n\\nThe input must match this lark grammar:\\nstart: /.+/\\n"));
    assert_int_equal(tools_upstream_kind(&conv, CHAT_TOOL_CUSTOM), CHAT_TOOL_FUNCTION);
    assert_int_equal(tools_find(&conv, S("patch"))->kind, CHAT_TOOL_CUSTOM);

    conv_reset(PROTOCOL_RESPONSES, PROTOCOL_CHAT);
    conv.profile.chat_custom_tools = true;
    t = add(CHAT_TOOL_CUSTOM, "", "patch");
    t->grammar_syntax = S("lark");
    choose(CHAT_CHOICE_TOOL, "patch");
    check_prepared("patch", "");
    assert_int_equal(tools_description(&conv, t).n, 0);
    assert_str(tools_schema(&conv, t), S(""));
    assert_int_equal(conv.request.choice.tool_kind, CHAT_TOOL_CUSTOM);
}

static void check_json(struct str text)
{
    yyjson_doc *doc;
    assert_int_equal(json_parse(text, &doc, NULL), 0);
    yyjson_doc_free(doc);
}

/* The vendors' own tools: their schemas are JSON, and only Responses gets them as they are. */
static void test_builtin(void **state)
{
    (void)state;
    conv_reset(PROTOCOL_RESPONSES, PROTOCOL_CHAT);
    add(CHAT_TOOL_LOCAL_SHELL, "", "");
    add(CHAT_TOOL_SHELL, "", "");
    add(CHAT_TOOL_APPLY_PATCH, "", "");
    check_prepared("local_shell shell apply_patch", "");
    for (struct chat_tool *t = conv.request.tools; t != NULL; t = t->next) {
        check_json(tools_schema(&conv, t));
        assert_int_equal(tools_upstream_kind(&conv, t->kind), CHAT_TOOL_FUNCTION);
    }
    conv.options.upstream = PROTOCOL_RESPONSES;
    assert_int_equal(tools_upstream_kind(&conv, CHAT_TOOL_SHELL), CHAT_TOOL_SHELL);
}

/* A schema that was wrapped is remembered for the reply. */
static void test_wrapped(void **state)
{
    (void)state;
    conv_reset(PROTOCOL_CHAT, PROTOCOL_MESSAGES);
    add_function("f")->schema = S("{\"type\":\"string\"}");
    add_function("g")->schema = S("{\"type\":\"object\"}");
    check_prepared("f g", "");
    assert_true(tools_find(&conv, S("f"))->wrapped);
    assert_false(tools_find(&conv, S("g"))->wrapped);
    assert_true(str_contains(tools_schema(&conv, conv.request.tools), S("\"value\"")));
}

/* What was kept lives on when the request's memory is gone. */
static void test_table_outlives_request(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        add_function(arena_cstr(&work, arena_printf(&work, "t.%d", i)));
    assert_int_equal(tools_prepare(&conv), 0);
    struct str name = arena_str(&conv.arena, conv.request.last_tool->upstream_name);
    arena_reset(&work);
    assert_str(tools_find(&conv, name)->name, S("t.99"));
    assert_int_equal(conv.tool_count, 100);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, conv_setup, conv_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_short_names),
        TEST(test_long_for_messages),
        TEST(test_collision),
        TEST(test_second_of_one_name),
        TEST(test_namespaces),
        TEST(test_history),
        TEST(test_no_tools),
        TEST(test_none),
        TEST(test_web_search),
        TEST(test_web_search_option),
        TEST(test_forced_and_gone),
        TEST(test_allowed_for_messages),
        TEST(test_allowed_for_openai),
        TEST(test_custom),
        TEST(test_builtin),
        TEST(test_wrapped),
        TEST(test_table_outlives_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Goal: CONFIG_FILE routes what it says and nothing else, every mistake in it is found and named
 * with its place, and no key is shown.
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "upstreams.h"
#include "yaml_tree.h"

struct rig {
    struct config config;
    struct arena arena;
    struct upstream own[SERVICE_COUNT];
    struct upstreams *set;
    struct buf error;
    int e;
};

static struct rig rig; /* a fresh one for each test */

static void set(const char *name, const char *value)
{
    assert_int_equal(config_set(&rig.config, str_of(name), str_of(value), &rig.error), 0);
}

static int setup(void **state)
{
    (void)state;
    rig = (struct rig){ .e = 0 };
    buf_init(&rig.error, 4096);
    arena_init(&rig.arena, 1 << 20);
    assert_int_equal(config_load(&rig.config, NULL, false, NULL, NULL, 0, &rig.error), 0);
    set("PROXY_API_KEYS", "k");
    for (int s = 0; s < SERVICE_COUNT; s++)
        assert_int_equal(
            upstream_init(&rig.own[s], (enum service)s, &rig.config, &rig.arena, NULL, &rig.error),
            0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    upstreams_free(rig.set);
    buf_done(&rig.error);
    arena_done(&rig.arena);
    config_done(&rig.config);
    return 0;
}

static void parse(struct str text)
{
    upstreams_free(rig.set);
    rig.set = NULL;
    buf_clear(&rig.error);
    rig.e = upstreams_parse(&rig.config, rig.own, NULL, S("f.yaml"), text, &rig.set, &rig.error);
    assert_int_equal(rig.e < 0, rig.set == NULL);
    assert_int_equal(rig.e<0, buf_len(&rig.error)> 0);
}

static void accepted(const char *text)
{
    parse(str_of(text));
    assert_str(buf_str(&rig.error), S(""));
}

static void refused(const char *text, const char *want)
{
    parse(str_of(text));
    assert_str(buf_str(&rig.error), str_of(want));
}

#define DEEPSEEK                               \
    "upstreams:\n"                             \
    "  deepseek:\n"                            \
    "    base_url: https://api.deepseek.com\n" \
    "    protocol: chat\n"

static const char *const example = DEEPSEEK "    key: sk-canary\n"
                                            "    stream: always\n"
                                            "    proxy: http://me:sk-proxy@127.0.0.1:3128\n"
                                            "    settings:\n"
                                            "      chat.reasoning_replay: always\n"
                                            "      openai.effort: [low, high]\n"
                                            "services:\n"
                                            "  claude:\n"
                                            "    routes:\n"
                                            "      - model: deepseek-r?\n"
                                            "        upstream: deepseek\n"
                                            "        upstream_model: deepseek-reasoner\n"
                                            "      - { model: deepseek-*, upstream: deepseek }\n"
                                            "      - { model: gpt-*, upstream: codex }\n"
                                            "      - { model: claude-*, upstream: default }\n"
                                            "      - { model: \"*\", upstream: claude }\n"
                                            "    strict: yes\n";

static const struct upstream_route *route(enum service service, enum protocol came_in,
                                          const char *model)
{
    return upstreams_route(rig.set, service, came_in, str_of(model));
}

static void assert_goes(const struct upstream_route *to, const char *name, enum protocol protocol,
                        const char *model)
{
    assert_str(to->upstream->name, str_of(name));
    assert_int_equal(to->protocol, protocol);
    assert_str(to->model, str_of(model));
}

static void without_a_file_nothing_changes(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "# nothing\n", "upstreams:\nservices: ~\n", "{}" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        accepted(texts[i]);
        for (int s = 0; s < SERVICE_COUNT; s++) {
            const char *own = service_name((enum service)s);
            enum protocol speaks = s == SERVICE_CLAUDE ? PROTOCOL_MESSAGES : PROTOCOL_RESPONSES;
            for (int p = 0; p < PROTOCOL_COUNT; p++)
                assert_goes(route((enum service)s, (enum protocol)p, "m"), own, speaks, "");
            assert_false(route((enum service)s, PROTOCOL_CHAT, "m")->strict);
        }
    }
}

static void the_first_row_that_fits_wins(void **state)
{
    (void)state;
    accepted(example);
    assert_goes(route(SERVICE_CLAUDE, PROTOCOL_MESSAGES, "deepseek-r1"), "deepseek", PROTOCOL_CHAT,
                "deepseek-reasoner");
    assert_goes(route(SERVICE_CLAUDE, PROTOCOL_CHAT, "DeepSeek-V3"), "deepseek", PROTOCOL_CHAT, "");
    assert_goes(route(SERVICE_CLAUDE, PROTOCOL_MESSAGES, "gpt-5"), "codex", PROTOCOL_RESPONSES, "");
    assert_goes(route(SERVICE_CLAUDE, PROTOCOL_RESPONSES, "claude-x"), "claude", PROTOCOL_MESSAGES,
                "");
    assert_goes(route(SERVICE_CLAUDE, PROTOCOL_CHAT, "claude-x"), "claude", PROTOCOL_MESSAGES, "");
    assert_goes(route(SERVICE_CLAUDE, PROTOCOL_RESPONSES, "m"), "claude", PROTOCOL_MESSAGES, "");
    assert_true(route(SERVICE_CLAUDE, PROTOCOL_RESPONSES, "m")->strict);
    assert_goes(route(SERVICE_CODEX, PROTOCOL_RESPONSES, "deepseek-r1"), "codex",
                PROTOCOL_RESPONSES, "");
    assert_false(route(SERVICE_CODEX, PROTOCOL_RESPONSES, "deepseek-r1")->strict);
}

static void an_upstream_has_what_the_file_gives_it(void **state)
{
    (void)state;
    struct profile p;
    accepted(example);
    const struct upstream *u = upstreams_find(rig.set, S("deepseek"));
    assert_non_null(u);
    assert_str(u->key, S("sk-canary"));
    assert_str(u->base_url, S("https://api.deepseek.com"));
    assert_int_equal(u->protocol, PROTOCOL_CHAT);
    assert_int_equal(u->stream, UPSTREAM_STREAM_ALWAYS);
    upstream_profile(u, S("deepseek-chat"), &p);
    assert_str(p.name, S("deepseek"));
    assert_int_equal(p.chat_reasoning_replay, REPLAY_ALWAYS);
    assert_int_equal(p.openai_effort, 1u << CHAT_EFFORT_LOW | 1u << CHAT_EFFORT_HIGH);
    upstream_profile(upstreams_find(rig.set, S("claude")), S("claude-opus-4-8"), &p);
    assert_str(p.name, S("anthropic"));
    assert_int_equal(p.anthropic_max_tokens, 128000);
    assert_null(upstreams_find(rig.set, S("default")));
}

/* Goal: a model's profile is its own, however many are asked for and in whatever order. */
static void profiles_of_models_are_not_mixed_up(void **state)
{
    static const char *const models[] = {
        "claude-opus-4-8",
        "claude-sonnet-4-5",
        "claude-haiku-4-5",
        "claude-3-5-sonnet-latest",
        "claude-3-opus",
        "gpt-5",
        "gpt-4o",
        "o3-mini",
        "deepseek-chat",
        "qwen3-32b",
        "x",
        "",
        "a/claude-opus-4-8",
        "a-name-of-more-than-sixty-four-bytes-which-is-never-kept-claude-opus-4-8",
    };
    (void)state;
    accepted(example);
    const struct upstream *u = upstreams_find(rig.set, S("claude"));
    for (size_t i = 0; i < 3 * ARRAY_LEN(models); i++) {
        struct str model = str_of(models[i * 5 % ARRAY_LEN(models)]);
        struct profile got, want;
        for (int twice = 0; twice < 2; twice++) {
            upstream_profile(u, model, &got);
            assert_int_equal(profile_resolve(&want, u->profile.name, u->host, model,
                                             u->profile.overrides, u->profile.override_count,
                                             &rig.error),
                             0);
            assert_str(got.name, want.name);
            assert_int_equal(got.anthropic_max_tokens, want.anthropic_max_tokens);
            assert_int_equal(got.anthropic_effort, want.anthropic_effort);
            assert_int_equal(got.anthropic_thinking, want.anthropic_thinking);
            assert_int_equal(got.openai_effort, want.openai_effort);
            assert_int_equal(got.chat_max_completion_tokens, want.chat_max_completion_tokens);
        }
    }
}

static void upstreams_may_stand_behind_their_routes(void **state)
{
    (void)state;
    accepted("services: { codex: { routes: [ { model: x, upstream: u } ] } }\n"
             "upstreams: { u: { base_url: \"http://[::1]:8000/v1/\", protocol: messages,\n"
             "  profile: vllm, key: ~, stream: never } }\n");
    const struct upstream_route *to = route(SERVICE_CODEX, PROTOCOL_CHAT, "x");
    assert_goes(to, "u", PROTOCOL_MESSAGES, "");
    assert_str(to->upstream->base_url, S("http://[::1]:8000"));
    assert_str(to->upstream->host, S("::1"));
    assert_int_equal(to->upstream->service, SERVICE_CLAUDE);
    assert_int_equal(to->upstream->stream, UPSTREAM_STREAM_NEVER);
    assert_str(to->upstream->key, S(""));
}

static const char *const mistakes[][2] = {
    { "- a", "file f.yaml, line 1, column 1: must be a mapping" },
    { "a: 1", "file f.yaml, line 1, column 1: a: no such key here" },
    { "upstreams: [a]",
      "file f.yaml, line 1, column 1: upstreams: must be a mapping of names to upstreams" },
    { "upstreams:\n  u: 1", "file f.yaml, line 2, column 3: u: must be a mapping" },
    { "upstreams:\n  u:", "file f.yaml, line 2, column 3: u: needs base_url" },
    { "upstreams:\n  u: {base_url: http://x}", "file f.yaml, line 2, column 3: u: needs protocol" },
    { "upstreams:\n  u: {base_url: http://x, protocol: }",
      "file f.yaml, line 2, column 3: u: needs protocol" },
    { "upstreams:\n  default: {}", "file f.yaml, line 2, column 3: default: this name stands "
                                   "for an upstream of the settings; choose another" },
    { "upstreams:\n  codex: {}", "file f.yaml, line 2, column 3: codex: this name stands for "
                                 "an upstream of the settings; choose another" },
    { "upstreams:\n  a b: {}",
      "file f.yaml, line 2, column 3: a b: a name has 1 to 64 characters of A-Z a-z 0-9 . _ - "
      "and begins with a letter or digit" },
    { "upstreams:\n  -a: {}",
      "file f.yaml, line 2, column 3: -a: a name has 1 to 64 characters of A-Z a-z 0-9 . _ - "
      "and begins with a letter or digit" },
    { "upstreams:\n  u: {}\n  u: {}", "file f.yaml, line 3, column 3: this key is there twice" },
    { DEEPSEEK "    protokol: chat", "file f.yaml, line 5, column 5: protokol: no such key here" },
    { "upstreams:\n  u: {base_url: http://x, protocol: grpc}",
      "file f.yaml, line 2, column 27: protocol: must be messages, chat or responses, or a comma "
      "list of them" },
    { "upstreams:\n  u: {base_url: ftp://x, protocol: chat}",
      "file f.yaml, line 2, column 7: base_url: the scheme must be http or https" },
    { "upstreams:\n  u: {base_url: [x], protocol: chat}",
      "file f.yaml, line 2, column 7: base_url: must be a text" },
    { DEEPSEEK "    stream: often",
      "file f.yaml, line 5, column 5: stream: must be one of auto always never" },
    { DEEPSEEK "    profile: deep",
      "file f.yaml, line 5, column 5: profile: there is no such profile" },
    { DEEPSEEK "    proxy: gopher://x", "file f.yaml, line 5, column 5: proxy: the scheme must "
                                        "be http, socks5 or socks5h" },
    { DEEPSEEK "    key: a b",
      "file f.yaml, line 5, column 5: key: a key has visible ASCII characters only" },
    { DEEPSEEK "    key: {a: b}", "file f.yaml, line 5, column 5: key: must be a text" },
    { DEEPSEEK "    key_file: /nonexistent", "file f.yaml, line 5, column 5: key_file: "
                                             "/nonexistent: No such file or directory" },
    { DEEPSEEK "    ca_file: [a]", "file f.yaml, line 5, column 5: ca_file: must be a text" },
    { DEEPSEEK "    settings: 3", "file f.yaml, line 5, column 5: settings: must be a mapping "
                                  "of profile settings" },
    { DEEPSEEK "    settings: { chat.x: 3 }",
      "file f.yaml, line 5, column 17: no such setting: chat.x" },
    { DEEPSEEK "    settings:\n      chat.strict: 3",
      "file f.yaml, line 6, column 7: chat.strict must be one of no,yes,auto" },
    { DEEPSEEK "    settings: { openai.effort: [low, [high]] }",
      "file f.yaml, line 5, column 38: must be a text" },
    { DEEPSEEK "    settings: { openai.effort: ~ }", "file f.yaml, line 5, column 17: "
                                                     "openai.effort: must be a text or a list "
                                                     "of texts" },
    { "services: {mars: {}}", "file f.yaml, line 1, column 12: mars: no such key here" },
    { "services:\n  codex: {strict: 2}",
      "file f.yaml, line 2, column 11: strict: must be true or false" },
    { "services:\n  codex: {routes: {}}",
      "file f.yaml, line 2, column 11: routes: must be a list of routes" },
    { "services:\n  codex:\n    routes:\n    - 1",
      "file f.yaml, line 4, column 7: must be a mapping" },
    { "services:\n  codex:\n    routes:\n    - model: a",
      "file f.yaml, line 4, column 7: needs upstream" },
    { "services:\n  codex:\n    routes:\n    - model: a\n      upstream: u",
      "file f.yaml, line 5, column 7: upstream: there is no upstream of this name" },
    { "services:\n  codex:\n    routes:\n    - model: a\n      to: codex",
      "file f.yaml, line 5, column 7: to: no such key here" },
};

static void mistakes_are_named_with_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++)
        refused(mistakes[i][0], mistakes[i][1]);
}

static void bad_yaml_is_named_with_its_place(void **state)
{
    (void)state;
    refused("a: &x 1", "file f.yaml, line 1, column 4: anchors and tags are not supported");
    refused("a: !!str 1", "file f.yaml, line 1, column 4: anchors and tags are not supported");
    refused("a: *x", "file f.yaml, line 1, column 4: aliases are not supported");
    refused("a: b\n---\nc: d", "file f.yaml, line 2, column 1: only one document is allowed");
    refused("? [a]\n: b", "file f.yaml, line 1, column 3: a key must be a plain text");
    static const char *const controls[] = {
        "\\x01", "\\x7f", "\\x85", "\\n", "\\uFEFF", "\\uFFFF"
    };
    for (size_t i = 0; i < ARRAY_LEN(controls); i++) {
        char text[32];
        snprintf(text, sizeof(text), "a: \"b%s\"", controls[i]);
        refused(text,
                "file f.yaml, line 1, column 4: a text has a control character or a line end");
    }
    parse(S("a: \"\\xa0\\uFFFD\""));
    assert_str(buf_str(&rig.error), S("file f.yaml, line 1, column 1: a: no such key here"));
    refused("[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]",
            "file f.yaml, line 1, column 17: nested too deeply");
    parse(S("a:\n\t- b"));
    assert_true(str_starts(buf_str(&rig.error), S("file f.yaml, line 2, column 1: ")));
}

static void too_many_values_are_refused(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_add_byte(&text, '[');
    for (int i = 0; i < YAML_TREE_NODES_MAX; i++)
        buf_add(&text, S("1,"));
    buf_add_byte(&text, ']');
    parse(buf_str(&text));
    assert_true(str_ends(buf_str(&rig.error), S(": too many values")));
    buf_done(&text);
}

/* A file that is being written is cut anywhere: it is good or refused, never half read. */
static void every_beginning_of_a_file_is_good_or_refused(void **state)
{
    (void)state;
    struct str whole = str_of(example);
    for (size_t n = 0; n <= whole.n; n++) {
        char *copy = malloc(n + 1); /* sanitizers see a read behind its end */
        memcpy(copy, whole.p, n);
        copy = realloc(copy, n > 0 ? n : 1);
        parse((struct str){ copy, n });
        assert_true(rig.e == 0 || str_starts(buf_str(&rig.error), S("file f.yaml, line ")));
        assert_false(str_contains(buf_str(&rig.error), S("sk-")));
        free(copy);
    }
    assert_int_equal(rig.e, 0);
}

static void keys_are_masked(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 16);
    accepted(example);
    upstreams_print(rig.set, &out);
    upstreams_print_route(rig.set, &rig.config, S("deepseek-r1"), &out);
    assert_false(str_contains(buf_str(&out), S("sk-")));
    assert_true(str_contains(buf_str(&out), S("    key: '***'\n")));
    assert_true(str_contains(buf_str(&out), S("    proxy: '***'\n")));
    assert_true(str_contains(buf_str(&out), S("model \"deepseek-reasoner\" https://api.deeps")));
    buf_done(&out);
}

/* What is printed can be read again, and says the same. */
static void the_printed_file_reads_the_same(void **state)
{
    (void)state;
    struct buf first, second;
    buf_init(&first, 1 << 16);
    buf_init(&second, 1 << 16);
    accepted("upstreams: { u: { base_url: http://x, protocol: chat, proxy: none,\n"
             "  settings: { chat.top_k: yes } } }\n"
             "services: { claude: { strict: true }, codex: { routes: [\n"
             "  { model: \"a\\\"*\", upstream: u, upstream_model: 'b' } ] } }");
    upstreams_print(rig.set, &first);
    parse(buf_str(&first));
    assert_int_equal(rig.e, 0);
    upstreams_print(rig.set, &second);
    assert_int_equal(buf_len(&first), buf_len(&second) + sizeof(" # by host") - 1);
    buf_done(&first);
    buf_done(&second);
}

static void a_key_that_anybody_could_spend_is_refused(void **state)
{
    (void)state;
    set("PROXY_API_KEYS", "");
    parse(S(DEEPSEEK "    key: sk-x"));
    assert_true(str_starts(buf_str(&rig.error),
                           S("file f.yaml, line 5, column 5: key: this key is set, PROXY_API_KEYS "
                             "is not, and the claude service listens on 0.0.0.0")));
    parse(S(DEEPSEEK));
    assert_int_equal(rig.e, 0);
    set("CLAUDE_SERVICE_HOST", "127.0.0.1");
    set("CODEX_SERVICE_HOST", "127.0.0.1");
    set("CORS_ALLOW_ORIGINS", "");
    parse(S(DEEPSEEK "    key: sk-x"));
    assert_int_equal(rig.e, 0);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void the_file_and_key_files_are_read(void **state)
{
    (void)state;
    char dir[] = "/tmp/test_upstreams_XXXXXX", path[64], key[64], text[256];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/c.yaml", dir);
    snprintf(key, sizeof(key), "%s/key", dir);
    snprintf(text, sizeof(text), DEEPSEEK "    key_file: %s\n", key);
    write_file(path, text);
    write_file(key, " sk-from-file\n");
    set("CONFIG_FILE", path);
    assert_int_equal(upstreams_load(&rig.config, rig.own, NULL, &rig.set, &rig.error), 0);
    assert_str(upstreams_find(rig.set, S("deepseek"))->key, S("sk-from-file"));

    snprintf(text, sizeof(text), DEEPSEEK "    key: a\n    key_file: %s\n", key);
    parse(str_of(text));
    assert_str(buf_str(&rig.error), S("file f.yaml, line 6, column 5: key_file: key and key_file "
                                      "exclude each other"));
    unlink(path);
    buf_clear(&rig.error);
    assert_int_equal(upstreams_load(&rig.config, rig.own, NULL, &rig.set, &rig.error), -ENOENT);
    assert_true(str_starts(buf_str(&rig.error), S("CONFIG_FILE: /tmp/test_upstreams_")));
    set("CONFIG_FILE", "");
    assert_string_equal(upstreams_path(&rig.config), "cc-proxy.yaml");
    unlink(key);
    rmdir(dir);
}

static void yaml_values_are_text_or_none(void **state)
{
    (void)state;
    struct arena a;
    const struct yaml_tree *root;
    struct yaml_fault fault;
    arena_init(&a, 1 << 20);
    assert_int_equal(yaml_tree_read(&a, S("a: 12\nb: null\nc: 'null'\nd:\n"), &root, &fault), 0);
    assert_str(yaml_tree_member(root, S("a"))->text, S("12"));
    assert_null(yaml_tree_member(root, S("b")));
    assert_str(yaml_tree_member(root, S("c"))->text, S("null"));
    assert_int_equal(yaml_tree_member(root, S("c"))->place.line, 3);
    assert_null(yaml_tree_member(root, S("d")));
    assert_null(yaml_tree_member(root, S("e")));
    arena_done(&a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_file_nothing_changes),
        TEST(the_first_row_that_fits_wins),
        TEST(an_upstream_has_what_the_file_gives_it),
        TEST(profiles_of_models_are_not_mixed_up),
        TEST(upstreams_may_stand_behind_their_routes),
        TEST(mistakes_are_named_with_their_place),
        TEST(bad_yaml_is_named_with_its_place),
        TEST(too_many_values_are_refused),
        TEST(every_beginning_of_a_file_is_good_or_refused),
        TEST(keys_are_masked),
        TEST(the_printed_file_reads_the_same),
        TEST(a_key_that_anybody_could_spend_is_refused),
        TEST(the_file_and_key_files_are_read),
        cmocka_unit_test(yaml_values_are_text_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

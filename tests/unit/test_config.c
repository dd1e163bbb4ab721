/*
 * Goal: settings come from the right source with the right value, bad ones are
 * refused with a message that leads to the place, and secrets do not leak.
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "buf.h"
#include "config.h"
#include "config_dotenv.h"

static char env_path[] = "/tmp/test_config_XXXXXX";

static const char *write_env(struct str text)
{
    FILE *f = fopen(env_path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
    assert_int_equal(fclose(f), 0);
    return env_path;
}

/* One load; error holds the message. */
struct run {
    struct config c;
    struct buf error;
    int e;
};

static void run(struct run *r, const char *env_text, char *const *environ_,
                const struct config_option *options, size_t n)
{
    buf_init(&r->error, 4096);
    const char *path = env_text != NULL ? write_env(str_of(env_text)) : NULL;
    r->e = config_load(&r->c, path, true, environ_, options, n, &r->error);
    if (r->e == 0)
        assert_int_equal(buf_len(&r->error), 0);
}

static void run_done(struct run *r)
{
    config_done(&r->c);
    buf_done(&r->error);
}

/* The message of a load that must fail, without the path of the file. */
static void assert_refused(const char *env_text, const char *want)
{
    struct run r;
    run(&r, env_text, NULL, NULL, 0);
    assert_int_equal(r.e, -EINVAL);
    struct str got = buf_str(&r.error);
    struct str prefix = S("file /tmp/test_config_XXXXXX");
    if (str_starts(got, S("file ")))
        got = str_slice(got, prefix.n, got.n);
    assert_str(got, str_of(want));
    run_done(&r);
}

static void defaults_hold_without_any_source(void **state)
{
    (void)state;
    struct run r;
    run(&r, NULL, NULL, NULL, 0);
    assert_int_equal(r.e, 0);
    assert_int_equal(r.c.claude_port, 8001);
    assert_str(r.c.claude_host, S("0.0.0.0"));
    assert_int_equal(r.c.http_timeout_ms, 120000);
    assert_int_equal(r.c.max_body_bytes, 32u << 20);
    assert_false(r.c.dump_requests);
    assert_true(r.c.production);
    assert_int_equal(r.c.worker_count, 4);
    assert_int_equal(r.c.source[CONFIG_claude_port], SOURCE_DEFAULT);
    run_done(&r);
}

static void a_missing_file_counts_only_when_required(void **state)
{
    (void)state;
    struct config c;
    struct buf error;
    buf_init(&error, 4096);
    assert_int_equal(config_load(&c, "/nonexistent/.env", false, NULL, NULL, 0, &error), 0);
    assert_null(c.env_file);
    config_done(&c);
    assert_int_equal(config_load(&c, "/nonexistent/.env", true, NULL, NULL, 0, &error), -EINVAL);
    assert_str(buf_str(&error), S("file /nonexistent/.env: No such file or directory"));
    config_done(&c);
    buf_done(&error);
}

static void option_beats_environment_beats_file(void **state)
{
    (void)state;
    char *environ_[] = { "CODEX_SERVICE_PORT=2", "HTTP_MAX_KEEPALIVE=2", NULL };
    struct config_option options[] = { { "http_max_keepalive", "1" },
                                       { "HTTP_MAX_KEEPALIVE", "3" },
                                       { "http_max_keepalive", "4" } };
    struct run r;
    run(&r, "CLAUDE_SERVICE_PORT=9\nCODEX_SERVICE_PORT=9\nHTTP_MAX_KEEPALIVE=9\n", environ_,
        options, 3);
    assert_int_equal(r.e, 0);
    assert_int_equal(r.c.claude_port, 9);
    assert_int_equal(r.c.line[CONFIG_claude_port], 1);
    assert_int_equal(r.c.source[CONFIG_claude_port], SOURCE_FILE);
    assert_int_equal(r.c.codex_port, 2);
    assert_int_equal(r.c.source[CONFIG_codex_port], SOURCE_ENVIRONMENT);
    assert_int_equal(r.c.http_max_keepalive, 4);
    assert_int_equal(r.c.source[CONFIG_http_max_keepalive], SOURCE_OPTION);
    run_done(&r);
}

static void spellings_have_an_order(void **state)
{
    (void)state;
    char *environ_[] = { "service_cc_port=1",
                         "http_proxy=http://low:1",
                         "HTTP_PROXY=http://UP:1",
                         "Https_Proxy=http://mixed:1",
                         "SERVICE_CX_PORT=5",
                         "codex_service_port=6",
                         "NO_PROXY=UP",
                         "no_proxy=low",
                         "DNS_TTL=1",
                         "DNS_TTL=2",
                         NULL };
    struct run r;
    run(&r, "SERVICE_CC_PORT=7\nservice_cc_port=8\nLOG_LEVEL=error\nLOG_LEVEL=debug", environ_,
        NULL, 0);
    assert_int_equal(r.e, 0);
    assert_int_equal(r.c.claude_port, 1);
    assert_int_equal(r.c.codex_port, 6);
    assert_str(r.c.http_proxy, S("http://UP:1"));
    assert_str(r.c.no_proxy, S("UP"));
    assert_int_equal(r.c.dns_ttl_ms, 1000);
    assert_str(r.c.https_proxy, S("http://mixed:1"));
    assert_str(r.c.log_level, S("DEBUG"));
    run_done(&r);
}

static void empty_is_a_value_for_texts_only(void **state)
{
    (void)state;
    char *environ_[] = { "CLAUDE_SYSTEM_PROMPT=", "CLAUDE_SERVICE_PORT=", "CODEX_DUMP_REQUESTS= ",
                         "ANTHROPIC_BASE_URL=",   "HTTP_TIMEOUT=",        NULL };
    struct run r;
    struct str text;
    run(&r, "CLAUDE_SERVICE_PORT=9\n", environ_, NULL, 0);
    assert_int_equal(r.e, 0);
    assert_str(r.c.claude_system_prompt, S(""));
    assert_int_equal(r.c.source[CONFIG_claude_system_prompt], SOURCE_ENVIRONMENT);
    assert_true(config_text(&r.c, S("CLAUDE_SYSTEM_PROMPT"), &text));
    assert_int_equal(r.c.claude_port, 8001);
    assert_int_equal(r.c.source[CONFIG_claude_port], SOURCE_DEFAULT);
    assert_str(r.c.anthropic_base_url, S("https://api.anthropic.com"));
    assert_int_equal(r.c.http_timeout_ms, 120000);
    run_done(&r);
}

static void typed_values_are_parsed(void **state)
{
    (void)state;
    struct run r;
    run(&r,
        "HTTP_TIMEOUT=0.25\nMAX_BODY_BYTES=2m\nMAX_HEADER_BYTES=4096\nCODEX_DUMP_REQUESTS=Yes\n"
        "HTTP_MAX_KEEPALIVE= 7 \nENVIRONMENT=Dev\nCODEX_ENV_CONTEXT=ON\nWORKERS=auto\n",
        NULL, NULL, 0);
    assert_int_equal(r.e, 0);
    assert_int_equal(r.c.http_timeout_ms, 250);
    assert_int_equal(r.c.max_body_bytes, 2u << 20);
    assert_int_equal(r.c.max_header_bytes, 4096);
    assert_true(r.c.dump_requests);
    assert_int_equal(r.c.http_max_keepalive, 7);
    assert_str(r.c.environment, S("dev"));
    assert_str(r.c.codex_env_context, S("on"));
    assert_false(r.c.production);
    assert_in_range(r.c.worker_count, 1, 64);
    run_done(&r);
}

static void errors_name_place_setting_and_reason(void **state)
{
    (void)state;
    assert_refused("\n# x\nHTTP_TIMEOUT=abc\n", ", line 3: HTTP_TIMEOUT: not a number: \"abc\"");
    assert_refused("HTTP_TIMEOUT=1e999",
                   ", line 1: HTTP_TIMEOUT: out of range 0.1 to 86400: \"1e999\"");
    assert_refused("SERVICE_CC_PORT=65536",
                   ", line 1: SERVICE_CC_PORT: out of range 0 to 65535: \"65536\"");
    assert_refused("claude_service_port=99999999999999999999",
                   ", line 1: claude_service_port: out of range 0 to 65535: "
                   "\"99999999999999999999\"");
    assert_refused("CLAUDE_SERVICE_PORT=-1",
                   ", line 1: CLAUDE_SERVICE_PORT: not a whole number: \"-1\"");
    assert_refused("MAX_BODY_BYTES=1x", ", line 1: MAX_BODY_BYTES: not a number of bytes (digits, "
                                        "then K, M, G or nothing): \"1x\"");
    assert_refused("MAX_BODY_BYTES=99999999999999999999G",
                   ", line 1: MAX_BODY_BYTES: out of range 1024 to 1073741824: "
                   "\"99999999999999999999G\"");
    assert_refused("CODEX_DUMP_REQUESTS=maybe",
                   ", line 1: CODEX_DUMP_REQUESTS: not true or false: \"maybe\"");
    assert_refused("WORKERS=65", ", line 1: WORKERS: not a number from 1 to 64, or auto: \"65\"");
    assert_refused("ENVIRONMENT=prod",
                   ", line 1: ENVIRONMENT: not one of production test dev development: \"prod\"");
    assert_refused("LOG_FORMAT=xml", ", line 1: LOG_FORMAT: not one of json console text: \"xml\"");
    static const char *const no_origins[] = { "chat.example.org", "https://a.example/",
                                              "https://a.example, b", "://a", "https://" };
    for (size_t i = 0; i < ARRAY_LEN(no_origins); i++) {
        char line[128], want[192];
        snprintf(line, sizeof(line), "CORS_ALLOW_ORIGINS=%s", no_origins[i]);
        snprintf(want, sizeof(want),
                 ", line 1: CORS_ALLOW_ORIGINS: not a list of origins such as "
                 "https://chat.example.org: \"%s\"",
                 no_origins[i]);
        assert_refused(line, want);
    }
    assert_refused("A=1\nnonsense\n", ", line 2: no = after the name; expected NAME=value");
    assert_refused("TLS_CERT_FILE=/x",
                   ", line 1: TLS_CERT_FILE and TLS_KEY_FILE go together; TLS_KEY_FILE "
                   "is not set");

    char *environ_[] = { "HTTP_MAX_CONNECTIONS=\x1b[31m", NULL };
    struct config_option option = { "NOPE", "1" };
    struct run r;
    run(&r, NULL, environ_, NULL, 0);
    assert_str(buf_str(&r.error),
               S("environment: HTTP_MAX_CONNECTIONS: not a whole number: \"?[31m\""));
    run_done(&r);
    run(&r, NULL, NULL, &option, 1);
    assert_str(buf_str(&r.error), S("option: NOPE: no such setting"));
    run_done(&r);
}

static void secrets_stay_out_of_messages(void **state)
{
    (void)state;
    assert_refused("ANTHROPIC_API_KEY=\"sk\\nsecret\"",
                   ", line 1: ANTHROPIC_API_KEY: has a control character");
    struct run r;
    run(&r, "PROXY_API_KEYS=hunter2\nOPENAI_API_KEY=\n", NULL, NULL, 0);
    assert_int_equal(r.e, 0);
    struct buf out;
    buf_init(&out, 1 << 20);
    config_print(&r.c, &out);
    assert_false(str_contains(buf_str(&out), S("hunter2")));
    assert_true(str_contains(buf_str(&out), S("\nPROXY_API_KEYS=*** # /tmp/test_config_")));
    assert_true(str_contains(buf_str(&out), S("# Access\n")));
    assert_true(str_contains(buf_str(&out), S("\nANTHROPIC_API_KEY= # default\n")));
    assert_true(str_contains(buf_str(&out), S("\nCLAUDE_SERVICE_PORT=8001 # default\n")));
    buf_done(&out);
    run_done(&r);
}

/* Goal: adapters.md section 7, a server key is never open to all. */
static void an_open_server_key_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        { "ANTHROPIC_API_KEY=k", false },
        { "ANTHROPIC_API_KEY=k\nPROXY_API_KEYS=a", true },
        { "ANTHROPIC_API_KEY=k\nPROXY_API_KEYS=\" , \"", false },
        { "ANTHROPIC_API_KEY=k\nCLAUDE_SERVICE_HOST=127.0.0.1", false },
        { "ANTHROPIC_API_KEY=k\nCORS_ALLOW_ORIGINS=http://a", false },
        { "ANTHROPIC_API_KEY=k\nCLAUDE_SERVICE_HOST=127.0.0.1\nCORS_ALLOW_ORIGINS=", false },
        { "ANTHROPIC_API_KEY=k\nSERVICES=claude\nCLAUDE_SERVICE_HOST=127.0.0.1\nCORS_ALLOW_"
          "ORIGINS=",
          true },
        { "ANTHROPIC_API_KEY=k\nCLAUDE_SERVICE_HOST=[::1]\nCODEX_SERVICE_HOST=127.0.0.1\n"
          "CORS_ALLOW_ORIGINS=http://a",
          true },
        { "ANTHROPIC_API_KEY=k\nCLAUDE_SERVICE_HOST=::\nCORS_ALLOW_ORIGINS=http://a", false },
        { "ANTHROPIC_API_KEY=k\nCLAUDE_SERVICE_HOST=127.evil.example\nCORS_ALLOW_ORIGINS=", false },
        { "ANTHROPIC_API_KEY=k\nCLAUDE_SERVICE_HOST=::1\nCORS_ALLOW_ORIGINS=http://a, *", false },
        { "OPENAI_API_KEY=k\nSERVICES=claude", false },
        { "OPENAI_API_KEY=k\nSERVICES=codex\nCLAUDE_SERVICE_HOST=::1\nCORS_ALLOW_ORIGINS=", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct run r;
        run(&r, cases[i].text, NULL, NULL, 0);
        if ((r.e == 0) != cases[i].ok)
            fail_msg("case %zu gave %d", i, r.e);
        if (!cases[i].ok)
            assert_true(str_contains(buf_str(&r.error), S("could spend the key")));
        run_done(&r);
    }
}

/* Goal: reliability.md section 8, a server key goes over TLS; else the operator is told. */
static void a_key_in_clear_text_is_warned_about(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool warned;
    } cases[] = {
        { "https://a.example", false },    { "http://a.example", true },
        { "HTTP://10.0.0.1:80/v1", true }, { "http://127.0.0.1:9/x", false },
        { "http://localhost", false },     { "http://[::1]:9/", false },
        { "http://[2001:db8::1]/", true }, { "http://127.0.0.1.evil.example/", true },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[256];
        struct run r;
        snprintf(text, sizeof(text), "OPENAI_API_KEY=k\nPROXY_API_KEYS=a\nOPENAI_BASE_URL=%s",
                 cases[i].url);
        run(&r, text, NULL, NULL, 0);
        assert_int_equal(r.e, 0);
        if (str_contains(buf_str(&r.c.warnings), S("OPENAI_API_KEY is sent in clear text")) !=
            cases[i].warned)
            fail_msg("%s", cases[i].url);
        run_done(&r);
    }
}

static void odd_names_are_warned_about(void **state)
{
    (void)state;
    char *environ_[] = { "FOO=1", "DEBUG=1", NULL };
    struct run r;
    run(&r, "CLADE_SERVICE_PORT=1\nGATEWAY_PORT=2", environ_, NULL, 0);
    assert_int_equal(r.e, 0);
    struct str rest = buf_str(&r.c.warnings), line;
    assert_true(str_next(&rest, '\n', &line));
    assert_true(str_starts(line, S("warning: file /tmp/test_config_")));
    assert_true(str_ends(line, S(", line 1: CLADE_SERVICE_PORT: no such setting")));
    assert_true(str_next(&rest, '\n', &line));
    assert_str(line, S("debug: environment: DEBUG: accepted and ignored"));
    assert_true(str_next(&rest, '\n', &line));
    assert_true(str_ends(line, S(", line 2: GATEWAY_PORT: accepted and ignored")));
    assert_false(str_next(&rest, '\n', &line));
    run_done(&r);
}

static void text_is_found_for_adapters(void **state)
{
    (void)state;
    char *environ_[] = { "MY_KEY=env", "OTHER=", NULL };
    struct run r;
    struct str text = S("untouched");
    run(&r, "MY_KEY=file\nFILE_ONLY=f\nSERVICE_CC_PORT=5\n", environ_, NULL, 0);
    assert_true(config_text(&r.c, S("MY_KEY"), &text));
    assert_str(text, S("env"));
    assert_true(config_text(&r.c, S("FILE_ONLY"), &text));
    assert_str(text, S("f"));
    assert_true(config_text(&r.c, S("OTHER"), &text));
    assert_str(text, S(""));
    assert_true(config_text(&r.c, S("CLAUDE_SERVICE_PORT"), &text));
    assert_str(text, S("5"));
    assert_true(config_text(&r.c, S("CODEX_ENV_CWD"), &text));
    assert_str(text, S("/home/user"));
    assert_false(config_text(&r.c, S("OPENAI_API_KEY"), &text));
    assert_false(config_text(&r.c, S("my_key"), &text));
    assert_str(text, S("/home/user"));
    run_done(&r);
}

static void set_checks_and_keeps_the_old_value_on_error(void **state)
{
    (void)state;
    struct run r;
    run(&r, NULL, NULL, NULL, 0);
    assert_int_equal(config_set(&r.c, S("workers"), S("3"), &r.error), 0);
    assert_int_equal(r.c.worker_count, 3);
    assert_int_equal(r.c.source[CONFIG_workers], SOURCE_OPTION);
    assert_int_equal(config_set(&r.c, S("WORKERS"), r.c.workers, &r.error), 0);
    assert_int_equal(r.c.worker_count, 3);
    assert_int_equal(config_set(&r.c, S("CLAUDE_SERVICE_PORT"), S("x"), &r.error), -EINVAL);
    assert_int_equal(r.c.claude_port, 8001);
    assert_str(buf_str(&r.error), S("option: CLAUDE_SERVICE_PORT: not a whole number: \"x\""));
    run_done(&r);
}

static void codes_are_lossless_and_guarded(void **state)
{
    (void)state;
    char *environ_[] = { "MY_KEY=a=b", "HTTP_TIMEOUT=1.5", NULL };
    struct config_option option = { "WORKERS", "2" };
    struct run r;
    run(&r, "CLAUDE_SYSTEM_PROMPT=\"a\nb\"\nUNKNOWN=1\n", environ_, &option, 1);
    struct buf code, again, want, got;
    buf_init(&code, 1 << 20);
    buf_init(&again, 1 << 20);
    buf_init(&want, 1 << 20);
    buf_init(&got, 1 << 20);
    config_encode(&r.c, &code);
    struct config c;
    assert_int_equal(config_decode(&c, buf_str(&code)), 0);
    config_encode(&c, &again);
    config_print(&r.c, &want);
    config_print(&c, &got);
    assert_str(buf_str(&again), buf_str(&code));
    assert_str(buf_str(&got), buf_str(&want));
    assert_int_equal(c.http_timeout_ms, 1500);
    assert_int_equal(c.worker_count, 2);
    struct str text;
    assert_true(config_text(&c, S("MY_KEY"), &text));
    assert_str(text, S("a=b"));
    config_done(&c);
    for (size_t n = 0; n < buf_len(&code); n++) {
        assert_int_equal(config_decode(&c, str_slice(buf_str(&code), 0, n)), -EINVAL);
        config_done(&c);
    }
    buf_done(&code);
    buf_done(&again);
    buf_done(&want);
    buf_done(&got);
    run_done(&r);
}

/* Every pair as "line:name=value;", the end as "$" or the error. */
static void dotenv_all(struct str text, struct buf *out)
{
    char *copy = mem_strndup(text.p, text.n);
    struct dotenv d;
    struct dotenv_pair pair;
    int e;
    dotenv_init(&d, copy, text.n);
    while ((e = dotenv_next(&d, &pair)) == 1)
        buf_addf(out, "%d:%.*s=%.*s;", pair.line, STR_ARG(pair.name), STR_ARG(pair.value));
    if (e == 0)
        buf_add(out, S("$"));
    else
        buf_addf(out, "!%d %s", d.line, d.why);
    free(copy);
}

static void dotenv_reads_what_people_write(void **state)
{
    (void)state;
    static const struct {
        struct str in, want;
    } cases[] = {
        { S_INIT(""), S_INIT("$") },
        { S_INIT("\xEF\xBB\xBF# c\r\n\r\n  export  A = 1 \r\nB=2"), S_INIT("3:A=1;4:B=2;$") },
        { S_INIT("A=a b#c #d\nB=#e\nC= # f\nD=\n"), S_INIT("1:A=a b#c;2:B=#e;3:C=;4:D=;$") },
        { S_INIT("A='a\\n #b' # c\r\nB=it's\n"), S_INIT("1:A=a\\n #b;2:B=it's;$") },
        { S_INIT("A=\"\\n\\t\\\\\\\"\\x\" #\nB=''"), S_INIT("1:A=\n\t\\\"\\x;2:B=;$") },
        { S_INIT("A=\"x\r\ny # no\"\r\nB=1"), S_INIT("1:A=x\ny # no;3:B=1;$") },
        { S_INIT("export=1\nexporter=2"), S_INIT("1:export=1;2:exporter=2;$") },
        { S_INIT("A=1\nB"), S_INIT("1:A=1;!2 no = after the name; expected NAME=value") },
        { S_INIT("=1"), S_INIT("!1 no name; expected NAME=value") },
        { S_INIT("1A=1"), S_INIT("!1 no name; expected NAME=value") },
        { S_INIT("A='x\ny'"), S_INIT("!1 no closing quote") },
        { S_INIT("A=1\nB=\"x\ny"), S_INIT("1:A=1;!2 no closing quote") },
        { S_INIT("A=\"x\\"), S_INIT("!1 no closing quote") },
        { S_INIT("A='x'y"), S_INIT("!1 text after the closing quote") },
        { S_INIT("A=\"x\ny\" z"), S_INIT("!2 text after the closing quote") },
        { S_INIT("A=1\0"), S_INIT("!1 NUL byte") },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        buf_init(&out, 4096);
        dotenv_all(cases[i].in, &out);
        assert_str(buf_str(&out), cases[i].want);
        buf_done(&out);
    }
}

/* Goal: what was read before a cut does not depend on what comes after it.
 * Method: the pairs of every prefix that ends at a line border outside quotes
 * are the first pairs of the whole. */
static void dotenv_every_prefix_agrees(void **state)
{
    (void)state;
    struct str text = S("\xEF\xBB\xBF"
                        "A=1 # c\r\nexport B='x y'\nC=\"p\nq\\\"\" #\r\n\nD=\n");
    struct buf whole;
    buf_init(&whole, 4096);
    dotenv_all(text, &whole);
    for (size_t n = 0; n <= text.n; n++) {
        struct buf part;
        buf_init(&part, 4096);
        dotenv_all(str_slice(text, 0, n), &part);
        struct str got = buf_str(&part);
        if (n > 0 && text.p[n - 1] == '\n' && str_ends(got, S("$")))
            assert_true(str_starts(buf_str(&whole), str_slice(got, 0, got.n - 1)));
        buf_done(&part);
    }
    buf_done(&whole);
}

static void long_lines_are_refused(void **state)
{
    (void)state;
    static const char *const heads[] = { "A=", "A='", "A=\"", "A=\"\n", "#", "A=\"\"#" };
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct buf text, out;
        buf_init(&text, 1 << 20);
        buf_init(&out, 1 << 20);
        buf_add(&text, str_of(heads[i]));
        for (int k = 0; k < DOTENV_LINE_MAX; k++)
            buf_add_byte(&text, 'x');
        buf_add_byte(&text, 'x');
        dotenv_all(buf_str(&text), &out);
        assert_true(str_ends(buf_str(&out), S("line over 64 KiB")));
        buf_done(&text);
        buf_done(&out);
    }
}

/* Goal: .env.example is config.def (tools/env-example) and our own parser
 * reads it: uncommented, every setting is there and equals its default. */
static void env_example_is_the_defaults(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 1 << 20);
    FILE *f = fopen(".env.example", "r");
    assert_non_null(f);
    char line[4096];
    size_t settings = 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        if (line[0] == '#' && line[1] >= 'A' && line[1] <= 'Z') {
            buf_add(&text, str_of(line + 1));
            settings++;
        }
    }
    fclose(f);
    buf_add_byte(&text, '\0');
    struct run r, defaults;
    run(&r, buf_str(&text).p, NULL, NULL, 0);
    run(&defaults, NULL, NULL, NULL, 0);
    assert_int_equal(r.e, 0);
    assert_false(str_contains(buf_str(&r.c.warnings), S("warning")));
    for (size_t i = 0; i < CONFIG_COUNT; i++)
        assert_string_equal(r.c.text[i], defaults.c.text[i]);
    assert_int_equal(r.c.pair_count, settings);
    assert_int_equal(settings, CONFIG_COUNT);
    run_done(&r);
    run_done(&defaults);
    buf_done(&text);
}

/* Goal: the last line counts, whatever room the file needs, up to the limit. */
static void files_of_every_size_are_read_whole(void **state)
{
    static const char last[] = "CLAUDE_SERVICE_PORT=77";
    static const size_t sizes[] = { 100,   3999,  4000,    4001,          31999,   32000,
                                    32001, 70000, 1 << 19, (1 << 20) - 1, 1 << 20, (1 << 20) + 1 };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct run r;
        char *text = mem_alloc(sizes[i] + 1);
        for (size_t k = 0; k < sizes[i]; k++)
            text[k] = k % 60 == 59 ? '\n' : '#';
        memcpy(text + sizes[i] - strlen(last), last, strlen(last) + 1);
        text[sizes[i] - strlen(last) - 1] = '\n';
        run(&r, text, NULL, NULL, 0);
        assert_int_equal(r.e, sizes[i] > 1 << 20 ? -EINVAL : 0);
        if (r.e == 0)
            assert_int_equal(r.c.claude_port, 77);
        run_done(&r);
        free(text);
    }
}

static int make_env_path(void **state)
{
    (void)state;
    int fd = mkstemp(env_path);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static int remove_env_path(void **state)
{
    (void)state;
    return unlink(env_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_hold_without_any_source),
        cmocka_unit_test(a_missing_file_counts_only_when_required),
        cmocka_unit_test(files_of_every_size_are_read_whole),
        cmocka_unit_test(option_beats_environment_beats_file),
        cmocka_unit_test(spellings_have_an_order),
        cmocka_unit_test(empty_is_a_value_for_texts_only),
        cmocka_unit_test(typed_values_are_parsed),
        cmocka_unit_test(errors_name_place_setting_and_reason),
        cmocka_unit_test(secrets_stay_out_of_messages),
        cmocka_unit_test(an_open_server_key_is_refused),
        cmocka_unit_test(a_key_in_clear_text_is_warned_about),
        cmocka_unit_test(odd_names_are_warned_about),
        cmocka_unit_test(text_is_found_for_adapters),
        cmocka_unit_test(set_checks_and_keeps_the_old_value_on_error),
        cmocka_unit_test(codes_are_lossless_and_guarded),
        cmocka_unit_test(dotenv_reads_what_people_write),
        cmocka_unit_test(dotenv_every_prefix_agrees),
        cmocka_unit_test(long_lines_are_refused),
        cmocka_unit_test(env_example_is_the_defaults),
    };
    return cmocka_run_group_tests(tests, make_env_path, remove_env_path);
}

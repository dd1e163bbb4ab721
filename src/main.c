/*
 * The program's subcommands: a table of contents.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "client_keys.h"
#include "config.h"
#include "convert_command.h"
#include "demo.h"
#include "handover.h"
#include "log.h"
#include "mem.h"
#include "mock.h"
#include "options.h"
#include "privilege.h"
#include "secret.h"
#include "sources.h"
#include "supervisor.h"

extern char **environ;

/* A copy of prefix and value; keys of clients as hashes, since nothing else is ever needed. */
static char *take_value(struct str name, struct str prefix, struct str value)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, SIZE_MAX / 2);
    text.wiped = true;
    buf_add(&text, prefix);
    if (!client_keys_is_setting(name) || !client_keys_seal_text(value, &text))
        buf_add(&text, value);
    return secret_strndup(buf_str(&text).p, buf_len(&text));
}

/* A copy of the environment; the process's own, which others can read in /proc, is wiped. */
static char **take_environment(void)
{
    size_t n = 0;
    while (environ[n] != NULL)
        n++;
    char **copy = mem_alloc((n + 1) * sizeof(*copy));
    for (size_t i = 0; i < n; i++) {
        struct str line = str_of(environ[i]);
        size_t equals = str_index(line, '='), from = equals < line.n ? equals + 1 : line.n;
        copy[i] = take_value(str_slice(line, 0, equals), str_slice(line, 0, from),
                             str_slice(line, from, line.n));
        memset(environ[i] + from, 0, line.n - from);
    }
    copy[n] = NULL;
    return copy;
}

static void own_path(char *to, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", to, size - 1);
    to[n > 0 ? n : 0] = '\0';
}

/* A secret that was given with --set moves away from the command line, which all may read. */
static struct config_option take_option(const struct config_option *option)
{
    if (!config_is_secret(str_of(option->name)))
        return *option;
    struct str value = str_of(option->value);
    struct config_option taken = { option->name, take_value(str_of(option->name), S(""), value) };
    memset((char *)(uintptr_t)option->value, '*',
           value.n); /* a part of argv, which may be written */
    return taken;
}

static void take_sources(const struct options *o, struct sources *to)
{
    to->env_path = o->env_file != NULL ? o->env_file : ".env";
    to->env_required = o->env_file != NULL;
    to->environment = take_environment();
    for (size_t i = 0; i < o->settings_n; i++)
        to->options[to->options_n++] = take_option(&o->settings[i]);
}

/* A base URL that this machine's clients can use. */
static void add_url(const struct config *c, struct str host, int port, struct buf *out)
{
    bool any = str_eq(host, S("0.0.0.0")) || str_eq(host, S("::")) || str_eq(host, S("[::]"));
    bool bare_ipv6 = str_contains(host, S(":")) && !str_starts(host, S("["));
    buf_addf(out, "%s://", c->tls_cert_file.n > 0 ? "https" : "http");
    if (any)
        host = S("127.0.0.1");
    buf_addf(out, bare_ipv6 && !any ? "[" STR_FMT "]:%d" : STR_FMT ":%d", STR_ARG(host), port);
}

static void add_samples(const struct config *c, struct buf *out)
{
    /* The certificate is hardly made out for an address. */
    const char *curl = c->tls_cert_file.n > 0 ? "curl -k" : "curl";
    bool claude = !str_eq(c->services, S("codex")), codex = !str_eq(c->services, S("claude"));
    if (claude) {
        buf_addf(out, "\n  %s -N ", curl);
        add_url(c, c->claude_host, c->claude_port, out);
        buf_add(out, S("/v1/messages -H 'x-api-key: sk-demo' "
                       "-H 'User-Agent: CherryStudio/1.0.0' -H 'content-type: application/json' "
                       "-d '{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":4096,"
                       "\"thinking\":{\"enabled\":true},\"stream\":true,"
                       "\"messages\":[{\"role\":\"user\",\"content\":\"Hello!\"}]}'\n"));
    }
    if (codex) {
        buf_addf(out, "\n  %s -N ", curl);
        add_url(c, c->codex_host, c->codex_port, out);
        buf_add(out, S("/v1/responses -H 'Authorization: Bearer sk-demo' "
                       "-H 'content-type: application/json' "
                       "-d '{\"model\":\"gpt-5\",\"input\":\"Hello!\",\"stream\":true}'\n"));
    }
    buf_addf(out, "\n  %s ", curl);
    add_url(c, claude ? c->claude_host : c->codex_host, claude ? c->claude_port : c->codex_port,
            out);
    buf_add(out, S("/health\n\n"));
}

static void print_banner(const struct config *c)
{
    struct buf samples CLEANUP(buf_done);
    buf_init(&samples, 16 * 1024);
    add_samples(c, &samples);
    fprintf(stderr,
            "\ncc-proxy %s serves with the built-in upstream simulator: replies are made up and\n"
            "cost nothing.  To use real upstreams: cp .env.example .env, edit it, start again.\n"
            "\nTry it:\n" STR_FMT,
            CCP_VERSION, STR_ARG(buf_str(&samples)));
}

static int fail(struct buf *error, int code)
{
    fprintf(stderr, "cc-proxy: " STR_FMT "\n", STR_ARG(buf_str(error)));
    buf_done(error);
    return code;
}

static int run_serve(const struct options *o)
{
    static struct supervisor_settings settings;
    static char binary[4096];
    struct config config;
    struct buf error;
    own_path(binary, sizeof(binary));
    take_sources(o, &settings.sources);
    /* Nothing that we were started with is for the workers. */
    (void)!close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    settings.binary = binary;
    settings.simulator = o->simulator;
    buf_init(&error, 16 * 1024);
    if (config_load(&config, settings.sources.env_path, settings.sources.env_required,
                    settings.sources.environment, settings.sources.options,
                    settings.sources.options_n, &error) < 0)
        return fail(&error, 2);
    if (o->simulator && !o->quiet)
        print_banner(&config);
    if (geteuid() == 0 && config.run_as_user.n > 0)
        settings.user = mem_strndup(config.run_as_user.p, config.run_as_user.n);
    config_done(&config);
    buf_done(&error);
    int e = privilege_keep_supervising();
    if (e < 0)
        fprintf(stderr, "cc-proxy: cannot give up privileges: %s\n", strerror(-e));
    return e < 0 ? 1 : supervisor_run(&settings);
}

static void print(const struct buf *text, FILE *to)
{
    struct str s = buf_str(text);
    if (s.p != NULL)
        fwrite(s.p, 1, s.n, to);
}

static int run_check(const struct options *o)
{
    static struct sources sources; /* its environment lives as long as the process */
    struct config config;
    struct buf error, text;
    bool adapters;
    take_sources(o, &sources);
    buf_init(&error, 16 * 1024);
    buf_init(&text, 1 << 20);
    if (sources_load(&sources, &config, &error, &adapters) < 0)
        return fail(&error, 2);
    if (o->route == NULL)
        config_print(&config, &text);
    if (sources_print(&config, o->route, &text, &error) < 0)
        return fail(&error, 2);
    print(&text, stdout);
    print(&config.warnings, stderr);
    if (o->route == NULL)
        puts("configuration ok");
    buf_done(&text);
    buf_done(&error);
    config_done(&config);
    return 0;
}

static int run_mock(const struct options *o)
{
    const struct mock_settings settings = {
        .host = str_of(o->host != NULL ? o->host : "127.0.0.1"),
        .port = (uint16_t)o->port,
        .tls_cert_file = o->tls_cert,
        .tls_key_file = o->tls_key,
        .tokens_per_second = o->tokens_per_second,
        .ready_fd = o->ready_fd == OPTIONS_UNSET ? -1 : (int)o->ready_fd,
        .quiet = o->quiet,
        .drop_privileges = true,
        .user = o->user,
    };
    if (o->with_parent)
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    return mock_run(&settings);
}

static int run_demo(const struct options *o)
{
    char binary[4096];
    (void)o;
    own_path(binary, sizeof(binary));
    return demo_run(binary);
}

static int run_version(const struct options *o)
{
    (void)o;
    puts("cc-proxy " CCP_VERSION);
    return 0;
}

static int run_worker(const struct options *o)
{
    return o->rest_n == 2 ? handover_worker_main(o->rest[0], o->rest[1]) : 2;
}

static const struct command {
    const char *name;
    int (*run)(const struct options *o);
} commands[] = {
    { "serve", run_serve },   { "check", run_check },         { "demo", run_demo },
    { "mock", run_mock },     { "convert", convert_command }, { "version", run_version },
    { "worker", run_worker },
};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

int main(int argc, char **argv)
{
    struct options o;
    bool version = argc == 2 && strcmp(argv[1], "--version") == 0;
    int named = version || (argc > 1 && argv[1][0] != '-');
    const char *name = version ? "version" : named ? argv[1] : "serve";
    const struct command *command = find_command(name);
    if (command == NULL) {
        fprintf(stderr, "cc-proxy: no command \"%s\"; see cc-proxy --help\n", name);
        return 2;
    }
    int e = options_parse(name, argc - 1 - named, argv + 1 + named, &o);
    if (e != 0)
        return e < 0 ? 2 : 0;
    privilege_core_files(false);
    return command->run(&o);
}

#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "children.h"
#include "client_keys.h"
#include "clock.h"
#include "confine.h"
#include "files.h"
#include "hash.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "notify.h"
#include "privilege.h"
#include "secret.h"
#include "sockets.h"
#include "spawn.h"
#include "upstreams.h"

enum {
    RESPAWN_FIRST_MS = 100,
    RESPAWN_MOST_MS = 5000,
    SETTLE_MS = 300,
    RESOLVER_EVERY_MS = 5000,
    PROGRESS_S = 5,
    DROPPED_EVERY_S = 60,
    SECRET_DIGITS = 64, /* hexadecimal */
};

struct supervisor {
    struct supervisor_settings *settings;
    struct loop loop;
    struct config config;  /* of the serving generation */
    struct config pending; /* of the one being started */
    struct spawn_program program, pending_program;
    struct sockets sockets, old_sockets;
    struct children children;
    int generation; /* newest */
    bool starting;  /* the newest generation does not serve yet */
    bool first;     /* no generation has served yet */
    bool reload_again, stopping;
    int exit_code;
    int64_t respawn_ms, stopping_ns;
    int64_t dropped_told, dropped_told_ns; /* log lines, and when stderr last told of them */
    int progress_s;                        /* since the last line about draining */
    struct timeout respawn, settle, alive, check;
    struct notify notify;
    uv_signal_t signals[4];
    int signals_n;
    struct files files;
    uv_process_t simulator;
    bool simulator_runs;
    char secret[SECRET_DIGITS + 1]; /* SESSION_SECRET when none is set; the same through reloads */
};

/* --- loading --- */

static void log_warnings(const struct config *c)
{
    struct str rest = buf_str(&c->warnings), line;
    while (str_next(&rest, '\n', &line)) {
        bool debug = str_starts(line, S("debug: "));
        size_t from = debug ? 7 : str_starts(line, S("warning: ")) ? 9 : 0;
        log_write(debug ? LOG_DEBUG : LOG_WARNING, "configuration_note",
                  F("note", str_slice(line, from, line.n)));
    }
    if (!secret_locked())
        log_write(LOG_WARNING, "configuration_note",
                  F("note", "keys could not be locked in memory and may be swapped out: "
                            "RLIMIT_MEMLOCK is too low"));
    bool root = geteuid() == 0;
    if (root != (c->run_as_user.n > 0))
        log_write(LOG_WARNING, "configuration_note",
                  F("note", root ? "started as root, and RUN_AS_USER is not set: workers are root, "
                                   "without its capabilities"
                                 : "RUN_AS_USER has no effect: only root can become another user"));
    bool keyless = c->anthropic_api_key.n == 0 || c->openai_api_key.n == 0;
    if (c->proxy_api_keys.n > 0 && keyless)
        log_write(LOG_WARNING, "configuration_note",
                  F("note", "PROXY_API_KEYS is set, but an upstream has no key of its own: the "
                            "client's key is passed on to it"));
}

static void make_secret(char ret[SECRET_DIGITS + 1])
{
    unsigned char random[SECRET_DIGITS / 2];
    hash_random(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(ret + 2 * i, 3, "%02x", random[i]);
}

/* New at each load: whoever gets hold of it can read what TLS 1.2 sessions said that were resumed
 * since. */
static int set_ticket_secret(struct config *config, struct buf *error)
{
    char secret[SECRET_DIGITS + 1];
    make_secret(secret);
    int e = config_set(config, S("TLS_TICKET_SECRET"), str_of(secret), error);
    OPENSSL_cleanse(secret, sizeof(secret));
    return e;
}

static int load(struct supervisor *s, struct config *config, struct buf *error, bool *adapters)
{
    int e = sources_load(&s->settings->sources, config, error, adapters);
    if (e == 0)
        sockets_log_settings(config);
    if (e == 0 && config->session_secret.n == 0)
        e = config_set(config, S("SESSION_SECRET"), str_of(s->secret), error);
    if (e == 0)
        client_keys_seal(config);
    if (e == 0 && config->tls_ticket_secret.n == 0)
        e = set_ticket_secret(config, error);
    if (e == 0)
        log_warnings(config);
    return e;
}

/* --- workers --- */

static void end_if_empty(struct supervisor *s)
{
    if (s->stopping && list_empty(&s->children.list)) {
        if (s->simulator_runs)
            uv_process_kill(&s->simulator, SIGTERM);
        loop_stop(&s->loop);
    }
}

static void say_progress(struct supervisor *s, const char *event)
{
    int64_t open = children_requests(&s->children);
    log_write(LOG_INFO, event, F("requests_open", open),
              F("seconds", (clock_mono_ns() - s->stopping_ns) / NS_PER_S));
    notify_stopping(&s->notify, open);
    s->progress_s = 0;
}

static void stop(struct supervisor *s, int signal, int exit_code)
{
    if (!s->stopping) {
        s->exit_code = exit_code;
        s->stopping = true;
        s->stopping_ns = clock_mono_ns();
        say_progress(s, signal == SIGTERM ? "draining" : "ending");
        sockets_close(&s->sockets); /* from now on clients are refused and go elsewhere */
        sockets_close(&s->old_sockets);
    }
    timeout_clear(&s->loop, &s->respawn);
    children_leave(&s->children, signal, 0, INT_MAX);
    end_if_empty(s);
}

/* Log lines get lost, in a worker or here: stderr may be read where stdout is not.  Nothing
 * here may block. */
static void tell_of_dropped_lines(struct supervisor *s)
{
    char text[128];
    struct stat out, err;
    int64_t now = clock_mono_ns(), dropped = (int64_t)log_dropped_lines();
    for (int i = 0; i < COUNTERS_SLOTS_MAX; i++)
        dropped += s->children.slots[i].log_dropped;
    if (dropped == s->dropped_told ||
        (s->dropped_told_ns != 0 && now < s->dropped_told_ns + DROPPED_EVERY_S * NS_PER_S))
        return;
    bool same = fstat(1, &out) == 0 && fstat(2, &err) == 0 && out.st_dev == err.st_dev &&
                out.st_ino == err.st_ino;
    int n = snprintf(text, sizeof(text), "cc-proxy: the log could not take %lld lines\n",
                     (long long)(dropped - s->dropped_told));
    if (!same && poll(&(struct pollfd){ .fd = 2, .events = POLLOUT }, 1, 0) == 1)
        (void)!write(2, text, (size_t)n);
    s->dropped_told = dropped;
    s->dropped_told_ns = now;
}

/* Once a second. */
static void on_check(void *ctx)
{
    struct supervisor *s = ctx;
    int64_t limit_s = (s->first ? &s->pending : &s->config)->drain_timeout_ms / 1000;
    timeout_set(&s->loop, &s->check, NS_PER_S);
    children_check(&s->children);
    tell_of_dropped_lines(s);
    s->progress_s++;
    if (s->stopping && s->progress_s >= (limit_s < PROGRESS_S ? 1 : PROGRESS_S))
        say_progress(s, "draining");
}

static void begin_reload(struct supervisor *s);

/* All workers of the newest generation serve: the older ones may go. */
static void generation_serves(struct supervisor *s)
{
    s->starting = false;
    s->first = false;
    children_leave(&s->children, SIGTERM, 0, s->generation - 1);
    sockets_close(&s->old_sockets);
    if (s->generation > 1) {
        config_done(&s->config);
        log_write(LOG_INFO, "reload_complete", F("generation", s->generation));
    }
    s->config = s->pending;
    spawn_close(&s->program);
    s->program = s->pending_program;
    privilege_core_files(s->config.core_dumps);
    notify_ready(&s->notify);
    if (!timeout_armed(&s->respawn)) /* one may have died while others were starting */
        timeout_set(&s->loop, &s->respawn, 0);
    if (s->reload_again) {
        s->reload_again = false;
        begin_reload(s);
    }
}

static void on_serving(void *ctx)
{
    struct supervisor *s = ctx;
    if (!s->starting)
        return; /* a respawned one */
    list_each (it, tmp, &s->children.list) {
        struct child *other = list_entry(it, struct child, link);
        if (other->generation == s->generation && other->state == CHILD_STARTING)
            return;
    }
    generation_serves(s);
}

static void reload_failed(struct supervisor *s)
{
    log_write(LOG_ERROR, "reload_failed", F("error", "a new worker did not start"));
    children_leave(&s->children, SIGINT, s->generation, s->generation);
    s->starting = false;
    sockets_restore(&s->sockets, &s->old_sockets);
    config_done(&s->pending);
    spawn_close(&s->pending_program);
    s->generation--; /* the serving one is the newest again */
    notify_ready(&s->notify);
    if (s->reload_again) {
        s->reload_again = false;
        timeout_set(&s->loop, &s->settle, 0);
    }
}

static void on_gone(void *ctx, const struct child *c)
{
    struct supervisor *s = ctx;
    bool started = c->state == CHILD_STARTING, left = c->state == CHILD_LEAVING;
    bool newest = c->generation == s->generation;
    bool young = clock_mono_ns() - c->started_ns < NS_PER_S;
    if (s->stopping || left) {
        end_if_empty(s);
        return;
    }
    if (started && newest && s->first) {
        stop(s, SIGINT, 1);
        return;
    }
    if (started && newest && s->starting) {
        reload_failed(s);
        return;
    }
    s->respawn_ms = young ? s->respawn_ms * 2 : 0;
    if (young && s->respawn_ms < RESPAWN_FIRST_MS)
        s->respawn_ms = RESPAWN_FIRST_MS;
    if (s->respawn_ms > RESPAWN_MOST_MS)
        s->respawn_ms = RESPAWN_MOST_MS;
    timeout_set(&s->loop, &s->respawn, s->respawn_ms * NS_PER_MS);
}

static int start_generation(struct supervisor *s)
{
    s->generation++;
    s->starting = true;
    s->pending_program = spawn_open(s->settings->binary);
    int e = 0;
    for (int i = 0; i < s->pending.worker_count && e == 0; i++)
        e = children_start(&s->children, &s->pending_program, &s->pending, &s->sockets, i,
                           s->generation);
    return e;
}

static void on_respawn(void *ctx)
{
    struct supervisor *s = ctx;
    for (int i = 0; i < s->config.worker_count; i++) {
        bool there = false;
        list_each (it, tmp, &s->children.list) {
            struct child *c = list_entry(it, struct child, link);
            there = there || (c->index == i && c->state != CHILD_LEAVING &&
                              (s->starting ? c->generation < s->generation : true));
        }
        if (there)
            continue;
        int serving = s->generation - s->starting;
        if (children_start(&s->children, &s->program, &s->config, &s->sockets, i, serving) < 0)
            timeout_set(&s->loop, &s->respawn, RESPAWN_MOST_MS * NS_PER_MS);
    }
}

/* --- reload --- */

static const int signals[] = { SIGHUP, SIGTERM, SIGINT, SIGQUIT };

/* how: SIG_BLOCK or SIG_UNBLOCK, for this thread and those that it starts.  SIGCHLD still has to
 * come. */
static void mask_signals(int how)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        sigaddset(&set, signals[i]);
    pthread_sigmask(how, &set, NULL);
}

/* Those that this configuration was made from, outside production; and those that a worker's
 * sandbox lets it read only as long as they are not replaced. */
static void watch_files(struct supervisor *s, const struct config *c)
{
    const char *paths[32];
    const char *const own[] = {
        s->settings->binary,          s->settings->sources.env_path,
        c->adapters_file.p,           c->claude_system_prompt_file.p,
        c->codex_instructions_file.p, c->codex_tools_file.p,
        c->tls_cert_file.p,           c->tls_key_file.p,
        c->upstream_ca_file.p,        upstreams_path(c),
    };
    size_t n = c->production ? 0 : ARRAY_LEN(own);
    memcpy(paths, own, n * sizeof(*paths));
    for (size_t i = 0; str_eq(c->sandbox, S("on")) && confine_resolver_files[i] != NULL; i++)
        paths[n++] = confine_resolver_files[i];
    must(n <= ARRAY_LEN(paths));
    s->files.every_ms = c->production ? RESOLVER_EVERY_MS : FILES_EVERY_MS;
    mask_signals(SIG_BLOCK); /* libuv's threads, which this starts, must never take one */
    files_watch(&s->files, paths, n);
    mask_signals(SIG_UNBLOCK);
}

static void begin_reload(struct supervisor *s)
{
    struct buf error;
    bool adapters;
    if (s->stopping)
        return;
    if (s->starting) {
        s->reload_again = true;
        return;
    }
    buf_init(&error, 16 * 1024);
    log_write(LOG_INFO, "reload_starting", F("generation", s->generation + 1));
    notify_reloading(&s->notify);
    int e = load(s, &s->pending, &error, &adapters);
    if (e == 0)
        watch_files(s, &s->pending);
    if (e < 0) {
        log_write(LOG_ERROR, adapters ? "adapters_reload_failed" : "reload_failed",
                  F("error", buf_str(&error)));
        notify_ready(&s->notify);
    } else if ((e = sockets_reopen(&s->sockets, &s->old_sockets, &s->pending, &error)) < 0) {
        log_write(LOG_ERROR, "reload_failed", F("error", buf_str(&error)));
        config_done(&s->pending);
        notify_ready(&s->notify);
    } else if (start_generation(s) < 0) {
        reload_failed(s);
    }
    buf_done(&error);
}

static void on_settle(void *ctx)
{
    begin_reload(ctx);
}

static void on_file_change(void *ctx)
{
    struct supervisor *s = ctx; /* wait until whoever writes has finished */
    timeout_set(&s->loop, &s->settle, SETTLE_MS * NS_PER_MS);
}

/* --- the simulator --- */

static void on_simulator_exit(uv_process_t *process, int64_t status, int signal)
{
    struct supervisor *s = process->data;
    s->simulator_runs = false;
    uv_close((uv_handle_t *)process, NULL);
    if (!s->stopping) {
        log_write(LOG_ERROR, "simulator_died", F("exit_status", status), F("signal", signal));
        stop(s, SIGINT, 1);
    }
}

/* Starts it and waits for the port it says; 0 on failure. */
static int start_simulator(struct supervisor *s)
{
    int fds[2];
    char text[16] = "", *user = (char *)(uintptr_t)s->settings->user;
    const struct spawn_program program = { s->settings->binary, -1 };
    if (pipe2(fds, O_CLOEXEC) < 0)
        return 0;
    char *args[] = { (char *)(uintptr_t)s->settings->binary,
                     "mock",
                     "--port",
                     "0",
                     "--ready-fd",
                     "3",
                     "--quiet",
                     "--with-parent",
                     user != NULL ? "--user" : NULL,
                     user,
                     NULL };
    s->simulator.data = s;
    int e = spawn(&s->loop.uv, &s->simulator, &program, args, &fds[1], 1,
                  s->settings->sources.environment, on_simulator_exit);
    close(fds[1]);
    struct pollfd p = { .fd = fds[0], .events = POLLIN };
    if (e == 0 && poll(&p, 1, 10000) == 1)
        (void)!read(fds[0], text, sizeof(text) - 1);
    close(fds[0]);
    s->simulator_runs = e == 0;
    return (int)strtol(text, NULL, 10);
}

static void set_option(struct sources *s, const char *name, const char *value)
{
    if (s->options_n < SOURCES_OPTIONS_MAX)
        s->options[s->options_n++] = (struct config_option){ name, value };
}

static int use_simulator(struct supervisor *s)
{
    static char url[64];
    int port = start_simulator(s);
    if (port == 0)
        return -ECHILD;
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", port);
    set_option(&s->settings->sources, "ANTHROPIC_BASE_URL", url);
    set_option(&s->settings->sources, "OPENAI_BASE_URL", url);
    return 0;
}

/* --- signals, beginning, end --- */

static void on_signal(uv_signal_t *handle, int signal)
{
    struct supervisor *s = handle->data;
    if (signal == SIGHUP) {
        begin_reload(s);
        return;
    }
    bool at_once = signal != SIGTERM || s->stopping;
    log_write(LOG_INFO, "stopping", F("signal", signal), F("at_once", at_once));
    stop(s, at_once ? SIGINT : SIGTERM, 0);
}

/* The service manager's watchdog: this loop turns. */
static void on_alive(void *ctx)
{
    struct supervisor *s = ctx;
    notify_alive(&s->notify);
    if (notify_watchdog_ns(&s->notify) > 0)
        timeout_set(&s->loop, &s->alive, notify_watchdog_ns(&s->notify));
}

static void watch_signals(struct supervisor *s)
{
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        uv_signal_init(&s->loop.uv, &s->signals[i]);
        s->signals[i].data = s;
        uv_signal_start(&s->signals[i], on_signal, signals[i]);
        s->signals_n++;
    }
}

static int start(struct supervisor *s, struct buf *error)
{
    bool adapters;
    int e = 0;
    make_secret(s->secret);
    if (s->settings->simulator && (e = use_simulator(s)) < 0)
        buf_add(error, S("the simulator did not start"));
    if (e == 0)
        e = load(s, &s->pending, error, &adapters);
    if (e < 0)
        return e;
    if ((e = counters_create(&s->children.counters_fd)) < 0 ||
        (e = counters_map(s->children.counters_fd, &s->children.slots)) < 0 ||
        (e = sockets_open(&s->sockets, &s->pending, s->settings->sources.environment, error)) < 0) {
        config_done(&s->pending);
        return e;
    }
    watch_signals(s);
    watch_files(s, &s->pending);
    return start_generation(s);
}

static void teardown(struct supervisor *s)
{
    mask_signals(SIG_BLOCK); /* one more SIGTERM must not change the exit code */
    timeout_clear(&s->loop, &s->respawn);
    timeout_clear(&s->loop, &s->settle);
    timeout_clear(&s->loop, &s->alive);
    timeout_clear(&s->loop, &s->check);
    notify_done(&s->notify);
    for (int i = 0; i < s->signals_n; i++)
        uv_close((uv_handle_t *)&s->signals[i], NULL);
    files_stop(&s->files);
    loop_done(&s->loop);
    sockets_close(&s->sockets);
    sockets_close(&s->old_sockets);
    if (s->starting) {
        config_done(&s->pending);
        spawn_close(&s->pending_program);
    }
    if (!s->first) {
        config_done(&s->config);
        spawn_close(&s->program);
    }
    log_stop();
    free(s);
}

int supervisor_run(struct supervisor_settings *settings)
{
    struct supervisor *s = mem_new(struct supervisor);
    struct buf error;
    s->settings = settings;
    s->first = true;
    s->program.fd = s->pending_program.fd = -1;
    loop_init(&s->loop);
    s->children = (struct children){ .loop = &s->loop.uv,
                                     .environment = settings->sources.environment,
                                     .on_serving = on_serving,
                                     .on_gone = on_gone,
                                     .ctx = s };
    list_init(&s->children.list);
    files_init(&s->files, &s->loop.uv, on_file_change, s);
    timeout_init(&s->respawn, on_respawn, s);
    timeout_init(&s->settle, on_settle, s);
    timeout_init(&s->alive, on_alive, s);
    timeout_init(&s->check, on_check, s);
    notify_init(&s->notify, settings->sources.environment);
    if (notify_watchdog_ns(&s->notify) > 0)
        on_alive(s);
    buf_init(&error, 16 * 1024);
    int e = start(s, &error);
    log_start(); /* a reader of the log that stops must not stop us */
    if (e < 0) {
        struct str why = buf_len(&error) > 0 ? buf_str(&error) : str_of(strerror(-e));
        fprintf(stderr, "cc-proxy: " STR_FMT "\n", STR_ARG(why));
        stop(s, SIGINT, 2);
    } else
        on_check(s);
    loop_run(&s->loop); /* after a failure: until everything started has ended */
    buf_done(&error);
    int code = s->exit_code;
    if (e == 0)
        say_progress(s, "stopped");
    teardown(s);
    return code;
}

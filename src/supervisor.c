#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/rand.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"
#include "list.h"
#include "listener.h"
#include "log.h"
#include "mem.h"
#include "sockets.h"
#include "spawn.h"
#include "tls.h"
#include "upstream.h"
#include "worker.h"

enum {
    RESPAWN_FIRST_MS = 100,
    RESPAWN_MOST_MS = 5000,
    WATCHED_MAX = 8,
    WATCH_EVERY_MS = 300,
    /* fds of a worker, see spawn.h */
    FD_CONFIG = 3,
    FD_READY = 4,
    FD_COUNTERS = 5,
    FD_FIRST_LISTENER = 6,
};

/* A worker process.
 *
 *   starting -> serving  [on_ready]      serving -> leaving [retire]
 *   starting, serving, leaving -> gone   [on_exit]
 */
enum child_state { CHILD_STARTING, CHILD_SERVING, CHILD_LEAVING };

struct child {
    struct list link;
    uv_process_t process;
    uv_poll_t ready_poll;
    int ready_fd;
    enum child_state state;
    int index, slot, generation;
    int64_t started_ns;
    struct supervisor *supervisor;
    int handles; /* open libuv handles in this struct */
};

struct supervisor {
    struct supervisor_settings *settings;
    struct loop loop;
    struct config config;  /* of the serving generation */
    struct config pending; /* of the one being started */
    struct sockets sockets, old_sockets;
    struct list children;
    bool slot_used[COUNTERS_SLOTS_MAX];
    int counters_fd;
    struct counters *slots;
    int generation; /* newest */
    bool starting;  /* the newest generation does not serve yet */
    bool first;     /* no generation has served yet */
    bool reload_again, stopping;
    int exit_code;
    int64_t respawn_ms;
    struct timeout respawn, settle;
    uv_signal_t signals[4];
    int signals_n;
    uv_fs_poll_t watched[WATCHED_MAX];
    int watched_n;
    uv_process_t simulator;
    bool simulator_runs;
    char secret[65]; /* SESSION_SECRET when none is set; the same through reloads */
};

/* --- loading --- */

static int check_tls(const struct config *c, struct buf *ret_error)
{
    SSL_CTX *server = NULL, *client = NULL;
    struct buf why CLEANUP(buf_done);
    const char *name = NULL;
    int e = 0;
    buf_init(&why, 4096);
    if (c->tls_cert_file.n > 0)
        e = tls_server_new(c->tls_cert_file.p, c->tls_key_file.p, &server, &why);
    if (e < 0) /* its message begins with the file's name */
        name = str_starts(buf_str(&why), c->tls_key_file) ? "TLS_KEY_FILE" : "TLS_CERT_FILE";
    else if ((e = tls_client_new(c->upstream_ca_file.p, &client, &why)) < 0)
        name = "UPSTREAM_CA_FILE";
    if (e < 0)
        buf_addf(ret_error, "%s: " STR_FMT, name, STR_ARG(buf_str(&why)));
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return e;
}

static int check_parts(const struct config *c, struct buf *ret_error, bool *ret_adapters)
{
    struct arena a;
    struct upstream u;
    struct adapter_set *set = NULL;
    int e = sockets_check(c, ret_error);
    arena_init(&a, 1 << 20);
    for (int s = 0; s < SERVICE_COUNT && e == 0; s++)
        e = upstream_init(&u, (enum service)s, c, &a, NULL, ret_error);
    arena_done(&a);
    if (e == 0)
        e = check_tls(c, ret_error);
    if (e == 0) {
        e = adapters_load(c, &set, ret_error);
        *ret_adapters = e < 0;
        adapters_free(set);
    }
    return e;
}

int supervisor_load(const struct supervisor_sources *s, struct config *config,
                    struct buf *ret_error, bool *ret_adapters)
{
    *ret_adapters = false;
    int e = config_load(config, s->env_path, s->env_required, s->environment, s->options,
                        s->options_n, ret_error);
    if (e < 0)
        return e;
    struct buf why CLEANUP(buf_done);
    buf_init(&why, 16 * 1024);
    e = check_parts(config, &why, ret_adapters);
    if (e < 0) { /* most messages begin with a setting's name */
        struct str text = buf_str(&why);
        config_add_place(config, str_slice(text, 0, str_index(text, ':')), ret_error);
        buf_add(ret_error, text);
        config_done(config);
    }
    return e;
}

static void log_warnings(const struct config *c)
{
    struct str rest = buf_str(&c->warnings), line;
    while (str_next(&rest, '\n', &line)) {
        bool debug = str_starts(line, S("debug: "));
        size_t from = debug ? 7 : str_starts(line, S("warning: ")) ? 9 : 0;
        log_write(debug ? LOG_DEBUG : LOG_WARNING, "configuration_note",
                  F("note", str_slice(line, from, line.n)));
    }
    bool keyless = c->anthropic_api_key.n == 0 || c->openai_api_key.n == 0;
    if (c->proxy_api_keys.n > 0 && keyless)
        log_write(LOG_WARNING, "configuration_note",
                  F("note", "PROXY_API_KEYS is set, but an upstream has no key of its own: the "
                            "client's key is passed on to it"));
}

static int load(struct supervisor *s, struct config *config, struct buf *error, bool *adapters)
{
    int e = supervisor_load(&s->settings->sources, config, error, adapters);
    if (e == 0)
        sockets_log_settings(config);
    if (e == 0 && config->session_secret.n == 0)
        e = config_set(config, S("SESSION_SECRET"), str_of(s->secret), error);
    if (e == 0)
        log_warnings(config);
    return e;
}

/* --- workers --- */

static int config_fd(const struct config *config)
{
    struct buf bytes;
    int fd = memfd_create("configuration", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    buf_init(&bytes, 16 << 20);
    config_encode(config, &bytes);
    struct str s = buf_str(&bytes);
    int e = write(fd, s.p, s.n) == (ssize_t)s.n ? fd : -EIO;
    if (s.n > 0)
        OPENSSL_cleanse(bytes.p, bytes.to);
    buf_done(&bytes);
    if (e < 0)
        close(fd);
    return e;
}

static int free_slot(const struct supervisor *s)
{
    for (int i = 0; i < COUNTERS_SLOTS_MAX; i++)
        if (!s->slot_used[i])
            return i;
    return -1;
}

static void child_handle_closed(uv_handle_t *handle)
{
    struct child *c = handle->data;
    if (--c->handles == 0)
        free(c);
}

static void stop_waiting(struct child *c)
{
    if (c->ready_fd < 0)
        return;
    uv_poll_stop(&c->ready_poll);
    uv_close((uv_handle_t *)&c->ready_poll, child_handle_closed);
    close(c->ready_fd);
    c->ready_fd = -1;
}

static void signal_children(struct supervisor *s, int signal, bool older_only)
{
    list_each (it, tmp, &s->children) {
        struct child *c = list_entry(it, struct child, link);
        if (older_only && c->generation == s->generation)
            continue;
        c->state = CHILD_LEAVING;
        uv_process_kill(&c->process, signal);
    }
}

static void end_if_empty(struct supervisor *s)
{
    if (s->stopping && list_empty(&s->children)) {
        if (s->simulator_runs)
            uv_process_kill(&s->simulator, SIGTERM);
        loop_stop(&s->loop);
    }
}

static void stop(struct supervisor *s, int signal, int exit_code)
{
    if (!s->stopping)
        s->exit_code = exit_code;
    s->stopping = true;
    timeout_clear(&s->loop, &s->respawn);
    signal_children(s, signal, false);
    end_if_empty(s);
}

static void begin_reload(struct supervisor *s);

/* All workers of the newest generation serve: the older ones may go. */
static void generation_serves(struct supervisor *s)
{
    s->starting = false;
    s->first = false;
    signal_children(s, SIGTERM, true);
    sockets_close(&s->old_sockets);
    if (s->generation > 1) {
        config_done(&s->config);
        log_write(LOG_INFO, "reload_complete", F("generation", s->generation));
    }
    s->config = s->pending;
    if (!timeout_armed(&s->respawn)) /* one may have died while others were starting */
        timeout_set(&s->loop, &s->respawn, 0);
    if (s->reload_again) {
        s->reload_again = false;
        begin_reload(s);
    }
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
    struct child *c = handle->data;
    struct supervisor *s = c->supervisor;
    char byte;
    (void)status;
    (void)events;
    bool served = read(c->ready_fd, &byte, 1) == 1;
    stop_waiting(c);
    if (!served || c->state != CHILD_STARTING)
        return; /* its exit follows */
    c->state = CHILD_SERVING;
    if (!s->starting)
        return; /* a respawned one */
    list_each (it, tmp, &s->children) {
        struct child *other = list_entry(it, struct child, link);
        if (other->generation == s->generation && other->state == CHILD_STARTING)
            return;
    }
    generation_serves(s);
}

static void reload_failed(struct supervisor *s)
{
    log_write(LOG_ERROR, "reload_failed", F("error", "a new worker did not start"));
    list_each (it, tmp, &s->children) {
        struct child *c = list_entry(it, struct child, link);
        if (c->generation == s->generation) {
            c->state = CHILD_LEAVING;
            uv_process_kill(&c->process, SIGINT);
        }
    }
    s->starting = false;
    sockets_restore(&s->sockets, &s->old_sockets);
    config_done(&s->pending);
    s->generation--; /* the serving one is the newest again */
    if (s->reload_again) {
        s->reload_again = false;
        timeout_set(&s->loop, &s->settle, 0);
    }
}

static void on_exit_(uv_process_t *process, int64_t status, int signal)
{
    struct child *c = process->data;
    struct supervisor *s = c->supervisor;
    bool started = c->state == CHILD_STARTING, left = c->state == CHILD_LEAVING;
    bool newest = c->generation == s->generation;
    bool young = clock_mono_ns() - c->started_ns < NS_PER_S;
    s->slot_used[c->slot] = false;
    counters_clear_gauges(&s->slots[c->slot]);
    list_remove(&c->link);
    stop_waiting(c);
    uv_close((uv_handle_t *)process, child_handle_closed);
    if (!left)
        log_write(LOG_ERROR, "worker_died", F("worker", c->index), F("exit_status", status),
                  F("signal", signal));
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

/* The fds of worker `index` after FD_COUNTERS, and what they serve as text. */
static int choose_listeners(const struct supervisor *s, const struct config *c, int index, int *fds,
                            struct buf *ports)
{
    static const char *const names[] = { "claude", "codex", "admin" };
    int n = 0;
    for (int i = 0; i < s->sockets.n; i++) {
        const struct socket_row *row = &s->sockets.rows[i];
        bool mine = row->port == PORT_ADMIN || row->index % c->worker_count == index;
        if (!mine || n == WORKER_LISTENERS_MAX)
            continue;
        buf_addf(ports, "%s%s", n > 0 ? "," : "", names[row->port]);
        fds[n++] = row->fd;
    }
    return n;
}

static int start_worker(struct supervisor *s, const struct config *config, int index)
{
    int fds[SPAWN_FDS_MAX], pipe_fds[2], slot = free_slot(s), settings_fd = config_fd(config);
    if (settings_fd < 0)
        return settings_fd;
    if (slot < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0) {
        close(settings_fd);
        return -EMFILE;
    }
    struct child *c = mem_new(struct child);
    struct buf ports;
    char slot_text[16];
    buf_init(&ports, 4096);
    fds[0] = settings_fd;
    fds[1] = pipe_fds[1];
    fds[2] = s->counters_fd;
    int n = 3 + choose_listeners(s, config, index, fds + 3, &ports);
    buf_add_byte(&ports, '\0');
    snprintf(slot_text, sizeof(slot_text), "%d", slot);
    char *args[] = { (char *)(uintptr_t)s->settings->binary, "worker", slot_text, ports.p, NULL };
    *c = (struct child){ .ready_fd = pipe_fds[0],
                         .index = index,
                         .slot = slot,
                         .generation = s->generation,
                         .started_ns = clock_mono_ns(),
                         .supervisor = s,
                         .handles = 2 };
    c->process.data = c->ready_poll.data = c;
    int e =
        spawn(&s->loop.uv, &c->process, args, fds, n, s->settings->sources.environment, on_exit_);
    uv_poll_init(&s->loop.uv, &c->ready_poll, c->ready_fd);
    uv_poll_start(&c->ready_poll, UV_READABLE | UV_DISCONNECT, on_ready);
    close(pipe_fds[1]);
    close(settings_fd);
    buf_done(&ports);
    if (e < 0) {
        log_write(LOG_ERROR, "worker_start_failed", F("error", uv_strerror(e)));
        stop_waiting(c);
        uv_close((uv_handle_t *)&c->process, child_handle_closed);
        return e;
    }
    s->slot_used[slot] = true;
    list_append(&s->children, &c->link);
    return 0;
}

static int start_generation(struct supervisor *s)
{
    s->generation++;
    s->starting = true;
    int e = 0;
    for (int i = 0; i < s->pending.worker_count && e == 0; i++)
        e = start_worker(s, &s->pending, i);
    return e;
}

static void on_respawn(void *ctx)
{
    struct supervisor *s = ctx;
    for (int i = 0; i < s->config.worker_count; i++) {
        bool there = false;
        list_each (it, tmp, &s->children) {
            struct child *c = list_entry(it, struct child, link);
            there = there || (c->index == i && c->state != CHILD_LEAVING &&
                              (s->starting ? c->generation < s->generation : true));
        }
        if (there)
            continue;
        int newest = s->generation;
        s->generation -= s->starting; /* it belongs to the serving one */
        if (start_worker(s, &s->config, i) < 0)
            timeout_set(&s->loop, &s->respawn, RESPAWN_MOST_MS * NS_PER_MS);
        s->generation = newest;
    }
}

/* --- reload --- */

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
    int e = load(s, &s->pending, &error, &adapters);
    if (e < 0) {
        log_write(LOG_ERROR, adapters ? "adapters_reload_failed" : "reload_failed",
                  F("error", buf_str(&error)));
    } else if ((e = sockets_reopen(&s->sockets, &s->old_sockets, &s->pending, &error)) < 0) {
        log_write(LOG_ERROR, "reload_failed", F("error", buf_str(&error)));
        config_done(&s->pending);
    } else if (start_generation(s) < 0) {
        reload_failed(s);
    }
    buf_done(&error);
}

static void on_settle(void *ctx)
{
    begin_reload(ctx);
}

static void on_file_change(uv_fs_poll_t *handle, int status, const uv_stat_t *before,
                           const uv_stat_t *now)
{
    struct supervisor *s = handle->data;
    (void)before;
    (void)now;
    if (status == 0) /* wait until whoever writes has finished */
        timeout_set(&s->loop, &s->settle, WATCH_EVERY_MS * NS_PER_MS);
}

static void watch_file(struct supervisor *s, const char *path)
{
    if (path == NULL || path[0] == '\0' || s->watched_n == WATCHED_MAX)
        return;
    uv_fs_poll_t *w = &s->watched[s->watched_n++];
    uv_fs_poll_init(&s->loop.uv, w);
    w->data = s;
    uv_fs_poll_start(w, on_file_change, path, WATCH_EVERY_MS);
}

static void watch_files(struct supervisor *s)
{
    if (s->config.production)
        return;
    watch_file(s, s->settings->binary);
    watch_file(s, s->settings->sources.env_path);
    watch_file(s, s->pending.adapters_file.p);
    watch_file(s, s->pending.claude_system_prompt_file.p);
    watch_file(s, s->pending.codex_instructions_file.p);
    watch_file(s, s->pending.codex_tools_file.p);
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
    char text[16] = "";
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
                     NULL };
    s->simulator.data = s;
    int e = spawn(&s->loop.uv, &s->simulator, args, &fds[1], 1, s->settings->sources.environment,
                  on_simulator_exit);
    close(fds[1]);
    struct pollfd p = { .fd = fds[0], .events = POLLIN };
    if (e == 0 && poll(&p, 1, 10000) == 1)
        (void)!read(fds[0], text, sizeof(text) - 1);
    close(fds[0]);
    s->simulator_runs = e == 0;
    return (int)strtol(text, NULL, 10);
}

static void set_option(struct supervisor_sources *s, const char *name, const char *value)
{
    if (s->options_n < SUPERVISOR_OPTIONS_MAX)
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
    log_write(LOG_INFO, "stopping", F("signal", signal));
    stop(s, signal == SIGTERM && !s->stopping ? SIGTERM : SIGINT, 0);
}

static void watch_signals(struct supervisor *s)
{
    static const int signals[] = { SIGHUP, SIGTERM, SIGINT, SIGQUIT };
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        uv_signal_init(&s->loop.uv, &s->signals[i]);
        s->signals[i].data = s;
        uv_signal_start(&s->signals[i], on_signal, signals[i]);
        s->signals_n++;
    }
}

static int make_secret(struct supervisor *s)
{
    unsigned char random[32];
    if (RAND_bytes(random, sizeof(random)) != 1)
        return -EIO;
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(s->secret + 2 * i, 3, "%02x", random[i]);
    return 0;
}

static int start(struct supervisor *s, struct buf *error)
{
    bool adapters;
    int e = make_secret(s);
    if (e == 0 && s->settings->simulator && (e = use_simulator(s)) < 0)
        buf_add(error, S("the simulator did not start"));
    if (e == 0)
        e = load(s, &s->pending, error, &adapters);
    if (e < 0)
        return e;
    s->config.production = s->pending.production;
    if ((e = counters_create(&s->counters_fd)) < 0 ||
        (e = counters_map(s->counters_fd, &s->slots)) < 0 ||
        (e = sockets_open(&s->sockets, &s->pending, error)) < 0) {
        config_done(&s->pending);
        return e;
    }
    watch_signals(s);
    watch_files(s);
    return start_generation(s);
}

static void teardown(struct supervisor *s)
{
    timeout_clear(&s->loop, &s->respawn);
    timeout_clear(&s->loop, &s->settle);
    for (int i = 0; i < s->signals_n; i++)
        uv_close((uv_handle_t *)&s->signals[i], NULL);
    for (int i = 0; i < s->watched_n; i++)
        uv_close((uv_handle_t *)&s->watched[i], NULL);
    loop_done(&s->loop);
    sockets_close(&s->sockets);
    sockets_close(&s->old_sockets);
    if (s->starting)
        config_done(&s->pending);
    if (!s->first)
        config_done(&s->config);
    free(s);
}

int supervisor_run(struct supervisor_settings *settings)
{
    struct supervisor *s = mem_new(struct supervisor);
    struct buf error;
    s->settings = settings;
    s->first = true;
    loop_init(&s->loop);
    list_init(&s->children);
    timeout_init(&s->respawn, on_respawn, s);
    timeout_init(&s->settle, on_settle, s);
    buf_init(&error, 16 * 1024);
    int e = start(s, &error);
    if (e < 0) {
        struct str why = buf_len(&error) > 0 ? buf_str(&error) : str_of(strerror(-e));
        fprintf(stderr, "cc-proxy: " STR_FMT "\n", STR_ARG(why));
        stop(s, SIGINT, 2);
    }
    loop_run(&s->loop); /* after a failure: until everything started has ended */
    buf_done(&error);
    int code = s->exit_code;
    teardown(s);
    return code;
}

/* --- a worker's main --- */

static int read_config(struct config *config)
{
    struct stat st;
    if (fstat(FD_CONFIG, &st) < 0 || st.st_size <= 0)
        return -EINVAL;
    char *text = mem_alloc((size_t)st.st_size);
    ssize_t n = pread(FD_CONFIG, text, (size_t)st.st_size, 0);
    int e = n == st.st_size ? config_decode(config, (struct str){ text, (size_t)n }) : -EIO;
    OPENSSL_cleanse(text, (size_t)st.st_size);
    free(text);
    close(FD_CONFIG);
    return e;
}

int supervisor_worker_main(const char *slot, const char *ports)
{
    struct config *config = mem_new(struct config);
    struct worker_settings *w = mem_new(struct worker_settings);
    struct str rest = str_of(ports), part;
    if (read_config(config) < 0)
        return 2;
    sockets_log_settings(config);
    *w = (struct worker_settings){ .config = config,
                                   .counters_fd = FD_COUNTERS,
                                   .slot = (int)strtol(slot, NULL, 10),
                                   .ready_fd = FD_READY };
    must(w->slot >= 0 && w->slot < COUNTERS_SLOTS_MAX);
    while (str_next(&rest, ',', &part) && w->listeners_n < WORKER_LISTENERS_MAX) {
        enum worker_port port = str_eq(part, S("claude"))  ? PORT_CLAUDE
                                : str_eq(part, S("codex")) ? PORT_CODEX
                                                           : PORT_ADMIN;
        w->listeners[w->listeners_n] =
            (struct worker_listener){ .port = port, .fd = FD_FIRST_LISTENER + w->listeners_n };
        w->listeners_n++;
    }
    int code = worker_run(w);
    config_done(config);
    free(config);
    free(w);
    return code;
}

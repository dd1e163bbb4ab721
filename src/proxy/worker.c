#include "worker.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "client_keys.h"
#include "clock.h"
#include "confine.h"
#include "descriptors.h"
#include "err.h"
#include "hash.h"
#include "kept.h"
#include "local.h"
#include "lockout.h"
#include "log.h"
#include "mem.h"
#include "models.h"
#include "request.h"
#include "slab.h"
#include "tls.h"

enum { FREE_MEMORY_MAX_BYTES = 256 << 10, TICKET_KEYS_S = 3600 };

struct str worker_request_id(struct worker *w, struct arena *a)
{
    uint32_t n = (uint32_t)w->id_next++;
    unsigned char bytes[] = { (unsigned char)(n >> 24), (unsigned char)(n >> 16),
                              (unsigned char)(n >> 8), (unsigned char)n };
    return arena_join(a, S("req_"), str_of(w->id_prefix), hex_text(a, bytes, sizeof(bytes)));
}

size_t worker_buffered_bytes(const struct worker *w)
{
    return w->bodies_bytes + w->loop.queued_bytes;
}

/* --- ending --- */

static void stop_if_drained(struct worker *w)
{
    if (w->draining && w->draining_n == 0)
        loop_stop(&w->loop);
}

static void on_drained(void *ctx)
{
    struct worker *w = ctx;
    w->draining_n--;
    stop_if_drained(w);
}

static void on_drain_limit(void *ctx)
{
    struct worker *w = ctx;
    log_write(LOG_WARNING, "drain_timeout", F("requests_open", w->counters->requests_open));
    loop_stop(&w->loop);
}

static void drain(struct worker *w)
{
    if (w->draining)
        return;
    w->draining = true;
    w->draining_n = w->listeners_n;
    for (int i = 0; i < w->listeners_n; i++)
        server_drain(w->listeners[i].server, on_drained, w);
    timeout_set(&w->loop, &w->drain_limit, w->config->drain_timeout_ms * NS_PER_MS);
    stop_if_drained(w);
}

static void on_signal(uv_signal_t *handle, int signal)
{
    struct worker *w = handle->data;
    if (signal == SIGTERM)
        drain(w);
    else
        loop_stop(&w->loop);
}

/* --- gauges --- */

/* A burst leaves free memory between what is still used.  Its pages go back to the system when much
 * has come free, and after the first second without a request.  What has been given back is still
 * free memory to malloc(), which may since have used it again. */
static void give_back_memory(struct worker *w)
{
    kept_free_all();
    slab_free_spare();
    bool quiet = w->id_next == w->id_at_tick;
    w->id_at_tick = w->id_next;
    size_t unused = mallinfo2().fordblks;
    size_t known = quiet && w->busy ? 0 : w->given_back_bytes;
    if (unused > known + FREE_MEMORY_MAX_BYTES) {
        mem_give_back();
        w->given_back_bytes = mallinfo2().fordblks;
    } else if (unused < w->given_back_bytes) {
        w->given_back_bytes = unused;
    }
    w->busy = !quiet;
}

static void on_gauge_tick(void *ctx)
{
    struct worker *w = ctx;
    give_back_memory(w);
    if (w->config->core_dumps)
        mem_hide(); /* what has grown */
    struct pool_counts counts;
    pool_count(w->pool, &counts);
    int64_t conns = 0;
    for (int i = 0; i < w->listeners_n; i++)
        conns += (int64_t)server_conns(w->listeners[i].server);
    w->counters->turns++;
    w->counters->connections = conns;
    w->counters->upstream_connections = counts.connecting + counts.idle + counts.busy;
    w->counters->upstream_waiting = counts.waiting;
    w->counters->buffered_bytes = (int64_t)worker_buffered_bytes(w);
    int64_t dropped = (int64_t)log_dropped_lines();
    w->counters->log_dropped += dropped - w->log_dropped_seen; /* the slot has had other owners */
    w->log_dropped_seen = dropped;
    timeout_set(&w->loop, &w->gauge_tick, NS_PER_S);
}

/* All workers change at the full hour: a client may meet any of them next. */
static void on_ticket_tick(void *ctx)
{
    struct worker *w = ctx;
    int64_t now_ms = clock_unix_ms(), period_ms = TICKET_KEYS_S * INT64_C(1000);
    tls_server_rotate(w->server_tls, w->config->tls_ticket_secret, now_ms / period_ms);
    timeout_set(&w->loop, &w->ticket_tick, (period_ms - now_ms % period_ms) * NS_PER_MS);
}

/* --- beginning --- */

static int setup_failed(const char *what, struct buf *error)
{
    log_write(LOG_ERROR, "worker_start_failed", F("error", buf_str(error)), F("part", what));
    return -1;
}

static int setup_tls(struct worker *w, struct buf *error)
{
    const struct config *c = w->config;
    int e = 0;
    if (c->tls_cert_file.n > 0)
        e = tls_server_new(arena_cstr(&w->arena, c->tls_cert_file),
                           arena_cstr(&w->arena, c->tls_key_file), &w->server_tls, error);
    if (e == 0)
        e = tls_client_new(arena_cstr(&w->arena, c->upstream_ca_file), &w->client_tls, error);
    return e;
}

static int setup_upstreams(struct worker *w, struct buf *error)
{
    const struct config *c = w->config;
    const struct pool_settings settings = {
        .conns_max = c->http_max_connections,
        .idle_max = c->http_max_keepalive,
        .waiting_max = c->http_max_waiting,
        .idle_ns = c->http_keepalive_expiry_ms * NS_PER_MS,
        .connect_ns = c->http_connect_timeout_ms * NS_PER_MS,
        .dns_ttl_ns = c->dns_ttl_ms * NS_PER_MS,
        .dns_stale_ns = c->dns_stale_ms * NS_PER_MS,
        .tls = w->client_tls,
        .reply_header_bytes = 64 * 1024,
    };
    w->pool = pool_new(&w->loop, &settings);
    int e = 0;
    for (int s = 0; s < SERVICE_COUNT && e == 0; s++)
        e = upstream_init(&w->upstreams[s], (enum service)s, c, &w->arena, w->pool, error);
    if (e == 0)
        e = upstreams_load(c, w->upstreams, w->pool, &w->routes, error);
    return e;
}

static void setup_limits(struct worker *w)
{
    const struct config *c = w->config;
    w->limits = (struct server_limits){
        .h1 = { .header_bytes = c->max_header_bytes,
                .field_bytes = c->max_field_bytes,
                .target_bytes = c->max_target_bytes,
                .fields_max = (size_t)c->max_header_fields },
        .h2 = { .header_bytes = c->max_header_bytes,
                .field_bytes = c->max_field_bytes,
                .target_bytes = c->max_target_bytes,
                .fields_max = (size_t)c->max_header_fields,
                .streams_max = (uint32_t)c->max_client_streams },
        .header_ns = c->client_header_ms * NS_PER_MS,
        .keepalive_ns = c->client_keepalive_ms * NS_PER_MS,
        .write_ns = c->client_write_ms * NS_PER_MS,
        .body_grace_ns = c->client_body_grace_ms * NS_PER_MS,
        .body_bytes_per_s = c->client_body_rate,
        .conns_max = c->max_clients,
        .conns_per_address_max = c->max_clients_per_address,
    };
}

static void setup_keys(struct worker *w)
{
    const struct config *c = w->config;
    w->client_keys = client_keys_new(c->proxy_api_keys);
    if (w->client_keys != NULL && c->key_failures_max > 0)
        w->lockout = lockout_new(c->key_failures_max, c->key_failures_ms * NS_PER_MS);
}

static void setup_servers(struct worker *w, const struct worker_settings *settings)
{
    w->listeners_n = settings->listeners_n;
    for (int i = 0; i < w->listeners_n; i++) {
        struct worker_listener *l = &w->listeners[i];
        bool admin = settings->listeners[i].port == PORT_ADMIN;
        *l = settings->listeners[i];
        l->worker = w;
        l->server = server_new(&w->loop, l->fd, admin ? NULL : w->server_tls, &w->limits,
                               admin ? &local_admin_handler : &request_server_handler, l);
        if (admin)
            server_use_reserve(l->server);
    }
}

static void setup_id(struct worker *w)
{
    unsigned char random[8];
    hash_random(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(w->id_prefix + 2 * i, 3, "%02x", random[i]);
}

static int setup(struct worker *w, const struct worker_settings *settings)
{
    struct buf error;
    buf_init(&error, 8192);
    setup_id(w);
    int e = counters_map(settings->counters_fd, &w->slots);
    if (e == 0)
        e = adapters_load(w->config, &w->adapters, &error);
    if (e == 0)
        e = setup_tls(w, &error);
    if (e == 0)
        e = setup_upstreams(w, &error);
    if (e < 0) {
        setup_failed("configuration", &error);
    } else {
        w->counters = &w->slots[settings->slot];
        counters_begin(w->counters);
        w->models = models_new(w);
        setup_keys(w);
        setup_limits(w);
        setup_servers(w, settings);
    }
    buf_done(&error);
    return e;
}

static void teardown(struct worker *w)
{
    for (int i = 0; i < w->listeners_n; i++)
        server_free(w->listeners[i].server);
    models_free(w->models);
    w->models = NULL;
    client_keys_free(w->client_keys);
    lockout_free(w->lockout);
    pool_free(w->pool);
    timeout_clear(&w->loop, &w->gauge_tick);
    timeout_clear(&w->loop, &w->ticket_tick);
    timeout_clear(&w->loop, &w->drain_limit);
    loop_done(&w->loop);
    upstreams_free(w->routes);
    adapters_free(w->adapters);
    SSL_CTX_free(w->server_tls);
    SSL_CTX_free(w->client_tls);
    arena_done(&w->arena);
}

enum { SIGNALS_N = 3 };

static void watch_signals(struct worker *w, uv_signal_t handles[SIGNALS_N])
{
    static const int signals[SIGNALS_N] = { SIGTERM, SIGINT, SIGQUIT };
    for (int i = 0; i < SIGNALS_N; i++) {
        uv_signal_init(&w->loop.uv, &handles[i]);
        handles[i].data = w;
        uv_signal_start(&handles[i], on_signal, signals[i]);
    }
}

static void announce(const struct worker *w, const char *suffix)
{
    for (int i = 0; i < SERVICE_COUNT; i++) {
        char event[48];
        bool here = false;
        for (int k = 0; k < w->listeners_n; k++)
            here = here || w->listeners[k].port == (enum worker_port)i;
        if (!here)
            continue;
        snprintf(event, sizeof(event), "%s_service_%s", service_name((enum service)i), suffix);
        log_write_as(LOG_INFO, i == SERVICE_CLAUDE ? "claude-service" : "codex-service", event,
                     F("base_url", w->upstreams[i].base_url), F("pid", (int64_t)getpid()));
    }
}

int worker_run(const struct worker_settings *settings)
{
    struct worker *w = mem_new(struct worker);
    uv_signal_t signals[SIGNALS_N];
    w->config = settings->config;
    list_init(&w->requests);
    arena_init_secret(&w->arena, 16 << 20);
    loop_init(&w->loop);
    timeout_init(&w->gauge_tick, on_gauge_tick, w);
    timeout_init(&w->ticket_tick, on_ticket_tick, w);
    timeout_init(&w->drain_limit, on_drain_limit, w);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* no supervisor: finish what is open, then end */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* for the supervisor; `pkill -HUP` tells everybody */
    descriptors_raise();
    if (setup(w, settings) < 0 || confine_worker(w->config, w->pool) < 0)
        return 1;
    mem_give_back(); /* reading certificates and rules left much free memory behind */
    mem_keep();      /* or the heap's end would come and go with each large request */
    watch_signals(w, signals);
    log_start();
    announce(w, "starting");
    on_gauge_tick(w);
    if (w->server_tls != NULL)
        on_ticket_tick(w);
    if (settings->ready_fd >= 0) {
        /* A supervisor that died before prctl() above sends no signal: nobody reads this. */
        if (write(settings->ready_fd, "1", 1) < 0 && errno == EPIPE)
            drain(w);
        close(settings->ready_fd);
    }
    loop_run(&w->loop);
    announce(w, "shutdown");
    for (int i = 0; i < SIGNALS_N; i++)
        uv_close((uv_handle_t *)&signals[i], NULL);
    teardown(w);
    log_stop();
    free(w);
    return 0;
}

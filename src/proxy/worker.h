/*
 * worker.h - one process: loop, listeners, upstream pool, adapters, counters.
 *
 * Contract
 *   worker_run() serves until it is told to stop and returns the exit code.  SIGTERM drains:
 *   no new connections, open requests finish within DRAIN_TIMEOUT.  SIGINT
 *   and SIGQUIT end at once.
 *   Ownership  the worker owns everything below; requests are in `requests`.
 */
#ifndef WORKER_H
#define WORKER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "adapter.h"
#include "arena.h"
#include "config.h"
#include "counters.h"
#include "list.h"
#include "loop.h"
#include "pool.h"
#include "protocol.h"
#include "server.h"
#include "upstream.h"
#include "upstreams.h"

enum { WORKER_CLIENT_TYPES_MAX = 32 };

enum { WORKER_LISTENERS_MAX = 2 * 64 + 1 }; /* one worker may be left to serve all sockets */

/* What a listening socket serves. */
enum worker_port { PORT_CLAUDE = SERVICE_CLAUDE, PORT_CODEX = SERVICE_CODEX, PORT_ADMIN };

struct worker_listener {
    enum worker_port port;
    int fd;
    struct server *server;
    struct worker *worker;
};

struct client_keys;
struct lockout;
struct models_cache;

struct worker {
    struct loop loop;
    const struct config *config;
    struct arena arena; /* texts that live as long as the worker */
    struct adapter_set *adapters;
    struct pool *pool;
    struct upstream upstreams[SERVICE_COUNT];
    struct upstreams *routes; /* of CONFIG_FILE */
    SSL_CTX *server_tls, *client_tls;
    struct server_limits limits;
    struct worker_listener listeners[WORKER_LISTENERS_MAX];
    int listeners_n;
    int draining_n; /* servers that have not drained yet */
    bool draining;
    struct counters *slots;    /* all workers' */
    struct counters *counters; /* this one's */
    struct models_cache *models;
    struct client_keys *client_keys; /* NULL: none are asked for */
    struct lockout *lockout;         /* NULL: off */
    struct list requests;
    struct str client_types[WORKER_CLIENT_TYPES_MAX]; /* unknown ones, each logged once */
    int client_types_n;
    char id_prefix[17];
    uint64_t id_next;
    size_t bodies_bytes;      /* of all requests, see request_body_count() */
    int64_t log_dropped_seen; /* of this process */
    size_t given_back_bytes;  /* free memory of the heap that was, or is too little to be */
    uint64_t id_at_tick;      /* id_next of a second ago */
    bool busy;                /* requests have come since memory was given back */
    struct timeout gauge_tick, ticket_tick, drain_limit;
};

struct worker_settings {
    const struct config *config;
    struct worker_listener listeners[WORKER_LISTENERS_MAX]; /* port and fd are set */
    int listeners_n;
    int counters_fd; /* -1: private */
    int slot;
    int ready_fd; /* one byte is written when serving; -1: none */
};

int worker_run(const struct worker_settings *settings) MUST_CHECK;

/* Bytes of request bodies and of the conns' queues. */
size_t worker_buffered_bytes(const struct worker *w);

/* A new request id: "req_" and 24 hexadecimal digits, unique per process start. */
struct str worker_request_id(struct worker *w, struct arena *a);

#endif

/*
 * supervisor.h - sockets, workers, signals, reload.  Never touches traffic.
 *
 * Contract
 *   supervisor_run() opens the listening sockets, starts the workers and serves until it is
 *   told to stop; returns the exit code.
 *   SIGHUP     checks the configuration anew; when it is right starts new workers from the
 *              binary on disk and, once they serve, drains the old ones.  When it is
 *              wrong everything stays and the log says why.
 *   SIGTERM    drains and ends; SIGINT (and a second SIGTERM) ends at once.
 *   Reloading  outside production, also by itself when a configuration file or the
 *              binary changes.
 *   Secrets    workers get the configuration through an anonymous file, not through
 *              arguments or environment; the own environment is wiped after reading.
 */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"

enum { SUPERVISOR_OPTIONS_MAX = 64 };

/* What configurations are loaded from, now and at each reload. */
struct supervisor_sources {
    const char *env_path;
    bool env_required;
    char *const *environment; /* a copy; the process's own is wiped */
    struct config_option options[SUPERVISOR_OPTIONS_MAX];
    size_t options_n;
};

struct supervisor_settings {
    struct supervisor_sources sources;
    bool simulator;     /* start one and use it as upstream */
    const char *binary; /* path of this program */
};

/* Loads and checks everything that a worker will need: settings, addresses, adapters, base
 * URLs, TLS files.  Below 0: ret_error says what is wrong; *ret_adapters whether it is the adapters. */
int supervisor_load(const struct supervisor_sources *sources, struct config *config,
                    struct buf *ret_error, bool *ret_adapters) MUST_CHECK;

int supervisor_run(struct supervisor_settings *settings);

/* The hidden subcommand `worker SLOT PORTS`: what the supervisor starts. */
int supervisor_worker_main(const char *slot, const char *ports);

#endif

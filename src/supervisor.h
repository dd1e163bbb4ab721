/*
 * supervisor.h - sockets, workers, signals, reload.  Never touches traffic.
 *
 * Contract
 *   supervisor_run() opens the listening sockets, starts the workers and serves until it is
 *   told to stop; returns the exit code.
 *   SIGHUP     checks the configuration anew; when it is right starts new workers from the
 *              binary on disk and, once they serve, drains the old ones.  When it is
 *              wrong everything stays and the log says why.  A worker that dies is started
 *              again from the file that the serving ones were started from.
 *   SIGTERM    drains and ends; SIGINT (and a second SIGTERM) ends at once.
 *   Reloading  outside production, also by itself when a configuration file or the
 *              binary changes.
 *   Secrets    workers get the configuration through an anonymous file, not through
 *              arguments or environment; the own environment is wiped after reading.
 */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include <stdbool.h>

#include "sources.h"

struct supervisor_settings {
    struct sources sources;
    bool simulator;     /* start one and use it as upstream */
    const char *binary; /* path of this program */
    const char *user;   /* of the simulator, when we are root; NULL: none is set */
};

int supervisor_run(struct supervisor_settings *settings);

#endif

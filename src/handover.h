/*
 * handover.h - what the supervisor gives a worker process, and how the worker takes it.
 *
 * Contract
 *   Fds      the configuration in an anonymous file, a pipe to say that it serves, the
 *            counters, then the listening sockets.
 *   Arguments  its slot among the counters, and what the sockets serve as text
 *            ("claude,codex,admin").
 *   Secrets  are in the configuration alone; the file is read once and wiped.
 */
#ifndef HANDOVER_H
#define HANDOVER_H

#include "buf.h"
#include "config.h"
#include "must.h"
#include "sockets.h"

enum { HANDOVER_FDS_BEFORE_LISTENERS = 3 };

/* The configuration as an fd, or -errno. */
int handover_config(const struct config *config) MUST_CHECK;
/* The fds of worker `index` behind the others, and what they serve as text; how many. */
int handover_listeners(const struct sockets *s, const struct config *c, int index, int *fds,
                       struct buf *ports);

/* The hidden subcommand `worker SLOT PORTS`: what the supervisor starts. */
int handover_worker_main(const char *slot, const char *ports);

#endif

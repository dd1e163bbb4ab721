/*
 * children.h - the supervisor's worker processes.
 *
 * Contract
 *   children_start() starts one.  on_serving() comes once it says that it serves, on_gone() when
 *   its process has ended; the child is off the list then, and still readable.
 *   A generation is a set of workers with the same configuration and binary.
 *   Limits     children_check(), once a second, kills what takes too long: to start
 *              (WORKER_START_TIMEOUT), to leave (its DRAIN_TIMEOUT and 5 s; 5 s without a
 *              drain), or for a turn of its loop (WORKER_STALL_TIMEOUT).
 *   Ownership  a child frees itself once it is gone and its handles are closed.
 */
#ifndef CHILDREN_H
#define CHILDREN_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "config.h"
#include "counters.h"
#include "list.h"
#include "must.h"
#include "sockets.h"
#include "spawn.h"

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
    bool killed;                     /* by children_check() */
    int64_t started_ns, leave_by_ns; /* 0: not told to leave */
    int64_t start_limit_ns, drain_limit_ns;
    int stall_limit_s, still_s; /* checks without a turn of its loop */
    int64_t turns_seen;
    struct children *children;
    int handles; /* open libuv handles in this struct */
};

struct children {
    uv_loop_t *loop;
    char *const *environment;
    struct list list;
    bool slot_used[COUNTERS_SLOTS_MAX];
    int counters_fd;
    struct counters *slots;
    void (*on_serving)(void *ctx);
    void (*on_gone)(void *ctx, const struct child *c);
    void *ctx;
};

/* Worker `index` of a generation; -errno when it could not be started. */
int children_start(struct children *cs, const struct spawn_program *program,
                   const struct config *config, const struct sockets *sockets, int index,
                   int generation) MUST_CHECK;
/* Signals those of the generations first to last, which from now on are to go. */
void children_leave(struct children *cs, int signal, int first, int last);
void children_check(struct children *cs);
/* Requests under way in all of them. */
int64_t children_requests(const struct children *cs);

#endif

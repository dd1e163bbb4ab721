/*
 * spawn.h - starts this program again as a worker or as the simulator.
 *
 * Contract
 *   The child gets the given fds as 3, 4, ... and an environment of a few names that
 *   libraries need (SPAWN_ENVIRONMENT), no setting.  It dies with its parent.
 */
#ifndef SPAWN_H
#define SPAWN_H

#include <uv.h>

#include "must.h"
#include "str.h"

enum { SPAWN_FDS_MAX = 136 };

/* args: NULL-terminated, args[0] is the program.  -errno when it could not be started. */
int spawn(uv_loop_t *loop, uv_process_t *process, char *const *args, const int *fds, int fds_n,
          char *const *environment, uv_exit_cb on_exit) MUST_CHECK;

/* A variable of an environment; empty when it is not there. */
struct str spawn_variable(char *const *environment, struct str name);

#endif

/*
 * spawn.h - starts this program again as a worker or as the simulator.
 *
 * Contract
 *   The child gets the given fds as 3, 4, ... and an environment of a few names that
 *   libraries need (SPAWN_ENVIRONMENT), no setting.  It dies with its parent.
 *
 *   A program is started from its path as long as the file there is the one that was opened,
 *   from what was opened once it is another or gone: a bad new version on disk does not stop
 *   the good old one from being started again.
 */
#ifndef SPAWN_H
#define SPAWN_H

#include <uv.h>

#include "must.h"
#include "str.h"

enum { SPAWN_FDS_MAX = 136 };

struct spawn_program {
    const char *path; /* stays the caller's */
    int fd;           /* of the file that was there; -1: could not be opened */
};

/* An fd, until spawn_close(), that children do not get and that is none of theirs. */
struct spawn_program spawn_open(const char *path);
void spawn_close(struct spawn_program *program);

/* args: NULL-terminated, args[0] is what it is called.  -errno when it could not be started. */
int spawn(uv_loop_t *loop, uv_process_t *process, const struct spawn_program *program,
          char *const *args, const int *fds, int fds_n, char *const *environment,
          uv_exit_cb on_exit) MUST_CHECK;

/* A variable of an environment; empty when it is not there. */
struct str spawn_variable(char *const *environment, struct str name);

#endif

/*
 * activation.h - listening sockets that a service manager has opened for us (sd_listen_fds(3)).
 *
 * Contract
 *   Input      LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES; sockets from fd 3 on.  One that is named
 *              claude, codex or admin serves that; others are told apart by their ports, then
 *              by their order.  A Unix socket without a name is admin; admin is always one.
 *   Output     rows of SOCKETS_SHARED: all workers accept from the same socket, and whoever
 *              comes first gets the connection (no SO_REUSEPORT, no EPOLLEXCLUSIVE).
 *   Errors     -EINVAL for what is no listening stream socket; ret_error names the fd.
 */
#ifndef ACTIVATION_H
#define ACTIVATION_H

#include "buf.h"
#include "config.h"
#include "must.h"
#include "sockets.h"

int activation_take(char *const *environment, const struct config *c, struct sockets *s,
                    struct buf *ret_error) MUST_CHECK;

#endif

/*
 * sockets.h - the supervisor's listening sockets: one per worker and service, and the
 * admin one.
 *
 * Contract
 *   They stay open in the supervisor, so that no connection is refused while workers
 *   come and go.  sockets_open() refuses an address that another program listens on.
 *   sockets_reopen() fits them to a new configuration: kept where addresses are the
 *   same, else opened anew, the old ones going to *old until the new workers
 *   serve (sockets_close) or have failed to (sockets_restore).
 *   Errors  -errno; ret_error names address and reason.
 */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <stdint.h>

#include "buf.h"
#include "config.h"
#include "must.h"
#include "worker.h"

enum { SOCKETS_MAX = 2 * 64 + 1, SOCKETS_PORTS = 3, SOCKETS_SHARED = -1 };

struct socket_row {
    enum worker_port port;
    int index; /* of the worker it was made for; SOCKETS_SHARED: all workers' */
    int fd;
};

struct sockets {
    struct socket_row rows[SOCKETS_MAX];
    int n;
    char address[SOCKETS_PORTS][256]; /* as configured: to see whether it changed */
    bool given[SOCKETS_PORTS];     /* by the service manager: as they are, whatever is configured */
    uint16_t bound[SOCKETS_PORTS]; /* ports, where 0 was asked for */
    int stayed[SOCKETS_PORTS];     /* of an old set: rows that the new one has kept; -1: moved */
};

/* Whether the addresses in it are addresses; opens nothing.  The error begins with the
 * setting's name. */
int sockets_check(const struct config *c, struct buf *ret_error) MUST_CHECK;
/* environment: may say that some sockets are open already (activation.h). */
int sockets_open(struct sockets *s, const struct config *c, char *const *environment,
                 struct buf *ret_error) MUST_CHECK;
int sockets_reopen(struct sockets *s, struct sockets *old, const struct config *c,
                   struct buf *ret_error) MUST_CHECK;
void sockets_restore(struct sockets *s, struct sockets *old);
void sockets_close(struct sockets *s);

/* log_init() by a configuration. */
void sockets_log_settings(const struct config *c);

#endif

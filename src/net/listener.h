/*
 * listener.h - listening sockets and accepting.
 *
 * Contract
 *   Opening    listener_open() makes a bound, listening, non-blocking, close-on-exec
 *              socket with SO_REUSEPORT.  host: an IPv4 or IPv6 address with or without
 *              brackets, or "localhost"; "::" takes IPv4 too (dual stack).
 *   Accepting  on_accept() gets each new fd (non-blocking, TCP_NODELAY).  Accepting
 *              pauses, never ends, when fds run out (EMFILE: 100 ms) or when the owner
 *              says so.
 *   Errors     -errno; ret_error names address and reason.
 */
#ifndef LISTENER_H
#define LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "loop.h"
#include "must.h"
#include "str.h"

bool listener_host_ok(struct str host); /* one that listener_open() understands */
int listener_open(struct str host, uint16_t port, int *ret_fd, struct buf *ret_error) MUST_CHECK;
int listener_open_unix(const char *path, int *ret_fd, struct buf *ret_error)
    MUST_CHECK; /* mode 0600 */
/* -EADDRINUSE when anybody listens there, with SO_REUSEPORT or without. */
int listener_probe(struct str host, uint16_t port, struct buf *ret_error) MUST_CHECK;
uint16_t listener_port(int fd); /* the bound port, for port 0 */

typedef void listener_accept_fn(void *ctx, int fd);

struct listener;
struct listener *listener_new(struct loop *l, int fd, listener_accept_fn *on_accept, void *ctx);
/* Its conns may have the descriptors of the reserve (descriptors.h) too. */
void listener_use_reserve(struct listener *s);
void listener_pause(struct listener *s);
void listener_resume(struct listener *s);
void listener_free(struct listener *s); /* closes the fd; the struct goes at the end of the turn */

#endif

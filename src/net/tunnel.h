/*
 * tunnel.h - opens a tunnel through an outbound proxy: CONNECT (rfc9110,s9.3.6)
 * or SOCKS5 (rfc1928, rfc1929).  Bytes in, bytes out; does no I/O.
 *
 * Contract
 *   Input      any split of the proxy's replies.
 *   Output     `out` holds what must be sent next; the caller sends and empties it
 *              before the next feed: a proxy that answers earlier is refused.
 *   Result     0 more replies are needed, 1 the tunnel is open, below 0
 *              E_UPSTREAM_PROXY with a reason (never with credentials).
 *              Bytes behind the last reply are an error: TLS and HTTP clients
 *              speak first, so nobody can have sent them honestly.
 *   Limits     a CONNECT reply's head: TUNNEL_HEAD_BYTES_MAX.
 */
#ifndef TUNNEL_H
#define TUNNEL_H

#include <sys/socket.h>

#include "buf.h"
#include "connect.h"
#include "must.h"
#include "str.h"

enum { TUNNEL_HEAD_BYTES_MAX = 8192 };

enum tunnel_step {
    TUNNEL_HEAD,     /* CONNECT: its reply's head */
    TUNNEL_METHOD,   /* SOCKS5: which authentication */
    TUNNEL_PASSWORD, /* SOCKS5: whether it was right */
    TUNNEL_REPLY,    /* SOCKS5: whether it has connected */
    TUNNEL_OPEN,
    TUNNEL_FAILED,
};

struct tunnel {
    enum tunnel_step step;
    const struct connect_target *target; /* the caller's; outlives the tunnel */
    struct sockaddr_storage address;     /* SOCKS5 without h: the resolved target */
    struct buf in, out;
};

/* address: for CONNECT_SOCKS5 only, else NULL. */
int tunnel_start(struct tunnel *t, const struct connect_target *target,
                 const struct sockaddr_storage *address, struct buf *ret_reason) MUST_CHECK;
int tunnel_feed(struct tunnel *t, struct str bytes, struct buf *ret_reason) MUST_CHECK;
void tunnel_done(struct tunnel *t);

#endif

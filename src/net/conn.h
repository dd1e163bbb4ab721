/*
 * conn.h - one non-blocking stream socket, plain or TLS.
 *
 * Contract
 *   Reading    on_read() gets bytes as they come; they die when it returns.
 *              Paused while any pause reason is set: nothing is read then, so
 *              the kernel's window closes: what it holds is bounded once a conn has
 *              been read a lot.  At most 4 reads of 64 KiB, or of what
 *              conn_limit_reads() says, per loop turn.
 *   Writing    conn_write() copies and never blocks.  Bytes leave at the end of
 *              the loop turn, in one system call where possible.  The queue is
 *              the caller's to bound: look at conn_queued(), stop above a high
 *              mark, go on at on_drain(), which comes once the queue has
 *              fallen to CONN_LOW_BYTES or below after having been above
 *              CONN_HIGH_BYTES.
 *   Closing    One exit.  conn_close() ends the conn now: no callback of it comes
 *              afterwards, the struct is freed at the end of the loop turn.
 *              conn_finish() first writes what is queued, then sends FIN (and
 *              TLS close_notify), then waits up to linger_ms for the other side
 *              to end while discarding up to 64 KiB of input (more stays
 *              unread), then closes; no callback comes afterwards either.
 *              Writing what is queued may take as long as it moves;
 *              CONN_DRAIN_STALL_MS without a byte ends it.
 *              When the other side ends or the socket fails, on_end() comes
 *              once, and the owner then calls conn_close().  An owner that
 *              goes on writing after on_end(0) gets a second on_end() when
 *              that fails.
 *   Pausing    a failed socket is told at once.  So is the end of the other side,
 *              unless unread bytes stand before it: they come first, on resume.
 *   Callbacks  may call any conn function on any conn, conn_close() included.
 *   Owner      whoever holds the pointer; ctx is the owner's.
 *   Limits     queue: none here (see Writing).
 */
#ifndef CONN_H
#define CONN_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "buf.h"
#include "loop.h"
#include "str.h"

enum {
    CONN_REMOTE_BYTES = 56, /* "[address]:65535" and a NUL */
    CONN_HIGH_BYTES = 8 * 1024,
    CONN_LOW_BYTES = 4 * 1024,
    CONN_DRAIN_STALL_MS = 30 * 1000,
};

enum conn_pause {                            /* reason bits */
                  CONN_PAUSE_PEER_QUEUE = 1, /* the other direction's queue is full */
                  CONN_PAUSE_PIPELINE = 2,   /* the current exchange is not finished */
                  CONN_PAUSE_OWNER = 4,
};

struct conn;

struct conn_handler {
    /* The handshake is complete (TLS), or at once at the end of the loop turn (plain). */
    void (*on_open)(void *ctx);
    void (*on_read)(void *ctx, struct str bytes);
    void (*on_drain)(void *ctx); /* may be NULL */
    /* The other side has ended (err 0: clean FIN or close_notify; TLS without
     * close_notify counts as clean) or the socket failed (-errno, E_UPSTREAM_TLS).
     * With err 0 writing may still work (half-closed). */
    void (*on_end)(void *ctx, int err);
};

/* fd: connected, non-blocking; taken over.  ssl: NULL for plain; taken over, in
 * accept or connect state; conn does the handshake. */
struct conn *conn_new(struct loop *l, int fd, SSL *ssl, const struct conn_handler *h, void *ctx);
void conn_set_handler(struct conn *c, const struct conn_handler *h, void *ctx);

/* TLS as the client over an open plain conn (a tunnel).  Nothing may be queued.
 * ssl is taken over; on_open() comes a second time when the handshake is complete. */
void conn_start_tls(struct conn *c, SSL *ssl);

/* What is written from now on holds keys: its memory is zeroed before it is freed. */
void conn_wipe_writes(struct conn *c);

/* What one read gives at most.  Who queues it elsewhere before it can say "stop" holds as much. */
void conn_limit_reads(struct conn *c, size_t bytes);

void conn_write(struct conn *c, struct str bytes);
/* The same for a buf, which is empty afterwards: its memory becomes the queue's where it can. */
void conn_write_buf(struct conn *c, struct buf *bytes);
size_t conn_queued(const struct conn *c);
void conn_flush(struct conn *c); /* try now instead of at the end of the turn */

void conn_pause(struct conn *c, unsigned reason);
void conn_resume(struct conn *c, unsigned reason);
/* From now on a pause does not hide the end of the other side: it is told even if unread
 * bytes stand before it, and they are lost. */
void conn_end_early(struct conn *c);

void conn_close(struct conn *c);
void conn_reset(
    struct conn *c); /* as conn_close(), but with RST: the other side sees a broken connection */
void conn_finish(struct conn *c, int64_t linger_ms);

bool conn_is_tls(const struct conn *c);
bool conn_is_resumed(const struct conn *c); /* TLS: the handshake resumed a session */
struct str conn_alpn(const struct conn *c); /* "h2", "http/1.1" or empty */
struct str
conn_remote(const struct conn *c); /* "127.0.0.1:1234", "[::1]:1234"; lives with the conn */
/* The same of any socket; empty when it is not connected, "unix" when it has no address. */
void conn_format_remote(int fd, char ret[CONN_REMOTE_BYTES]);
/* The other side is at this address and port. */
bool conn_is_to(const struct conn *c, const struct sockaddr_storage *address);
struct loop *conn_loop(const struct conn *c);
/* Time of the last byte written to the socket; for write stalls. */
int64_t conn_last_write_ns(const struct conn *c);
/* True when the kernel says the other side has closed or sent something: an
 * idle pooled conn with this is stale. */
bool conn_is_stale(const struct conn *c);
/* Why a TLS handshake failed; empty when it did not. */
struct str conn_error_text(const struct conn *c);

#endif

/*
 * wire.h - moves bytes over one non-blocking socket, plain or through TLS.
 * The lower half of conn: no events, no queue, no callbacks.
 *
 * Contract
 *   Ownership  owns fd and ssl after wire_init(); wire_close() ends both.
 *   Results    > 0 bytes moved, 0 (reads) the other side has ended, -EAGAIN
 *              not now, other -errno or E_UPSTREAM_TLS: broken for good.
 *   Limits     between two calls at most 64 KiB of ciphertext that OpenSSL has not taken, no more
 *              than the cap of the last read.
 *   Threads    one thread reads all wires: what they receive into is shared.
 *   Waiting    after -EAGAIN, the want_ flags say what to wait for besides the
 *              natural direction: TLS may have to write in order to read.
 */
#ifndef WIRE_H
#define WIRE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "must.h"
#include "str.h"

struct wire {
    int fd;
    SSL *ssl;         /* NULL: plain */
    char *error_text; /* why TLS failed, or NULL; owned */
    int read_error;   /* met behind bytes already returned */
    struct str in;    /* received, but not yet taken by OpenSSL */
    char *in_kept;    /* where it is between two calls, or NULL; owned */
    size_t in_max;    /* what one system call may receive in this call */
    bool in_dry;      /* in this call the socket has given all it had */
    bool in_ended;
    bool read_wants_write, write_wants_read;
    bool read_dry;   /* the last read has most likely taken all there was */
    bool tls_broken; /* no close_notify may be sent any more */
};

void wire_init(struct wire *w, int fd, SSL *ssl);
int wire_handshake(struct wire *w) MUST_CHECK; /* 0: complete */
ssize_t wire_read(struct wire *w, char *to, size_t cap) MUST_CHECK;
ssize_t wire_write(struct wire *w, struct str bytes) MUST_CHECK;

/* Whether the end is next: 0 yes, 1 bytes come first, -EAGAIN neither; reads nothing. */
int wire_peek(struct wire *w) MUST_CHECK;
bool wire_has_pending(const struct wire *w); /* bytes the kernel no longer shows */

/* close_notify and FIN.  Raw input may then be thrown away with wire_discard(). */
void wire_finish(struct wire *w);
ssize_t wire_discard(struct wire *w, char *scratch, size_t cap) MUST_CHECK;

/* The kernel keeps at most 6 MiB for a reader that pauses: what Linux allows by default, where
 * the machine's settings allow more. */
void wire_bound_window(const struct wire *w);

/* orderly: a complete stream was written, so TLS may say so. */
void wire_close(struct wire *w, bool orderly, bool reset);
int wire_socket_error(const struct wire *w); /* SO_ERROR as -errno, or 0 */

#endif

#include "wire.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"
#include "err.h"
#include "mem.h"
#include "tls.h"

enum {
    RECORD_BYTES_MAX = 16 * 1024,
    RECEIVE_BYTES_MAX = 64 * 1024,
    ERROR_TEXT_BYTES_MAX = 512,
    WINDOW_BYTES_MAX = 3 * 1024 * 1024, /* the kernel doubles it for its own needs */
};

/*
 * What OpenSSL reads from and writes to.  One system call receives many records, into bytes that
 * all wires share: OpenSSL takes them from there one by one, and what it leaves is kept apart.  Its
 * own reading ahead moves the rest of its buffer for each record, and costs a buffer per wire.
 */
static char received[RECEIVE_BYTES_MAX];

static void begin(struct wire *w, size_t in_max)
{
    w->in_max = in_max < sizeof(received) ? in_max : sizeof(received);
    w->in_dry = false;
    ERR_clear_error();
}

static void end(struct wire *w)
{
    if (w->in.n == 0 || w->in_kept != NULL)
        return;
    w->in_kept = mem_dup(w->in.p, w->in.n);
    w->in.p = w->in_kept;
}

static ssize_t receive(struct wire *w)
{
    if (w->in_dry) {
        errno = EAGAIN;
        return -1;
    }
    ssize_t n;
    do
        n = recv(w->fd, received, w->in_max, 0);
    while (n < 0 && errno == EINTR);
    w->in_dry = n >= 0 ? (size_t)n < w->in_max : errno == EAGAIN;
    w->in_ended = n == 0;
    if (n > 0)
        w->in = (struct str){ received, (size_t)n };
    return n;
}

static int bio_read(BIO *bio, char *to, int max)
{
    struct wire *w = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t got = w->in.n > 0 ? 1 : receive(w);
    if (got < 0 && errno == EAGAIN)
        BIO_set_retry_read(bio);
    if (got <= 0)
        return (int)got;
    size_t n = w->in.n < (size_t)max ? w->in.n : (size_t)max;
    memcpy(to, w->in.p, n);
    w->in = str_slice(w->in, n, w->in.n);
    if (w->in.n == 0) {
        free(w->in_kept);
        w->in_kept = NULL;
    }
    return (int)n;
}

static int bio_write(BIO *bio, const char *p, int n)
{
    struct wire *w = BIO_get_data(bio);
    ssize_t put;
    BIO_clear_retry_flags(bio);
    do
        put = send(w->fd, p, (size_t)n, MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    if (put < 0 && errno == EAGAIN)
        BIO_set_retry_write(bio);
    return (int)put;
}

static long bio_ctrl(BIO *bio, int command, long n, void *p)
{
    (void)n;
    (void)p;
    const struct wire *w = BIO_get_data(bio);
    if (command == BIO_CTRL_EOF)
        return w->in_ended;
    return command == BIO_CTRL_FLUSH;
}

static BIO *bio_new(struct wire *w)
{
    static BIO_METHOD *method;
    if (method == NULL) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
        must(method != NULL);
        must(BIO_meth_set_read(method, bio_read) == 1);
        must(BIO_meth_set_write(method, bio_write) == 1);
        must(BIO_meth_set_ctrl(method, bio_ctrl) == 1);
    }
    BIO *bio = BIO_new(method);
    must(bio != NULL);
    BIO_set_data(bio, w);
    BIO_set_init(bio, 1);
    return bio;
}

void wire_init(struct wire *w, int fd, SSL *ssl)
{
    must(fd >= 0);
    *w = (struct wire){ .fd = fd, .ssl = ssl };
    if (ssl == NULL)
        return;
    BIO *bio = bio_new(w);
    SSL_set_bio(ssl, bio, bio);
}

/* Keeps the reason of a failed TLS call; the error queue dies with the next one. */
static void keep_error_text(struct wire *w)
{
    struct buf text;
    if (w->error_text != NULL)
        return;
    buf_init(&text, ERROR_TEXT_BYTES_MAX);
    tls_error(w->ssl, &text);
    struct str s = buf_str(&text);
    w->error_text = mem_strndup(s.p, s.n);
    buf_done(&text);
}

/* What a failed SSL call means; 0 for the orderly end. */
static int tls_result(struct wire *w, int r, int saved_errno)
{
    switch (SSL_get_error(w->ssl, r)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        w->tls_broken = true;
        ERR_clear_error();
        return saved_errno > 0 ? -saved_errno : 0;
    default:
        w->tls_broken = true;
        keep_error_text(w);
        ERR_clear_error();
        return E_UPSTREAM_TLS;
    }
}

int wire_handshake(struct wire *w)
{
    must(w->ssl != NULL);
    begin(w, RECORD_BYTES_MAX);
    errno = 0;
    int r = SSL_do_handshake(w->ssl);
    int saved_errno = errno;
    end(w);
    w->read_wants_write = false;
    if (r == 1)
        return 0;
    int e = tls_result(w, r, saved_errno);
    w->read_wants_write = e == -EAGAIN && SSL_want_write(w->ssl);
    if (e != 0)
        return e;
    w->tls_broken = true;
    w->error_text = mem_strndup(S("connection closed during the handshake").p,
                                S("connection closed during the handshake").n);
    return E_UPSTREAM_TLS;
}

static bool tls_has_more(const struct wire *w)
{
    return w->in.n > 0 || SSL_pending(w->ssl) > 0;
}

static ssize_t tls_read(struct wire *w, char *to, size_t cap)
{
    size_t n = 0;
    int e = -EAGAIN;
    w->read_wants_write = false;
    begin(w, cap);
    /* Many small records fill it, too. */
    while (n == 0 || (n < cap && tls_has_more(w))) {
        size_t got = 0;
        errno = 0;
        int r = SSL_read_ex(w->ssl, to + n, cap - n, &got);
        int saved_errno = errno;
        if (r != 1) {
            e = tls_result(w, r, saved_errno);
            w->read_wants_write = e == -EAGAIN && SSL_want_write(w->ssl);
            break;
        }
        n += got;
    }
    end(w);
    if (n == 0)
        return e;
    if (e < 0 && e != -EAGAIN)
        w->read_error = e;
    w->read_dry = e == -EAGAIN && w->in_dry && !tls_has_more(w);
    return (ssize_t)n;
}

ssize_t wire_read(struct wire *w, char *to, size_t cap)
{
    must(cap >= RECORD_BYTES_MAX);
    if (w->read_error != 0)
        return w->read_error;
    if (w->ssl != NULL)
        return tls_read(w, to, cap);
    ssize_t n;
    do
        n = recv(w->fd, to, cap, 0);
    while (n < 0 && errno == EINTR);
    w->read_dry = n >= 0 && (size_t)n < cap;
    return n < 0 ? -errno : n;
}

static ssize_t tls_write(struct wire *w, struct str bytes)
{
    size_t n = 0;
    w->write_wants_read = false;
    if (w->tls_broken)
        return -EPIPE;
    while (n < bytes.n) {
        size_t put = 0;
        size_t want = bytes.n - n < RECORD_BYTES_MAX ? bytes.n - n : RECORD_BYTES_MAX;
        begin(w, RECORD_BYTES_MAX);
        errno = 0;
        int r = SSL_write_ex(w->ssl, bytes.p + n, want, &put);
        int saved_errno = errno;
        end(w);
        if (r == 1) {
            n += put;
            continue;
        }
        int e = tls_result(w, r, saved_errno);
        if (e == -EAGAIN) {
            w->write_wants_read = SSL_want_read(w->ssl);
            break;
        }
        return e == 0 ? -EPIPE : e;
    }
    return n > 0 || bytes.n == 0 ? (ssize_t)n : -EAGAIN;
}

ssize_t wire_write(struct wire *w, struct str bytes)
{
    if (w->ssl != NULL)
        return tls_write(w, bytes);
    ssize_t n;
    do
        n = send(w->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int wire_peek(struct wire *w)
{
    char byte;
    if (w->read_error != 0)
        return w->read_error;
    if (w->ssl != NULL) {
        size_t got = 0;
        begin(w, RECORD_BYTES_MAX);
        errno = 0;
        int r = SSL_peek_ex(w->ssl, &byte, 1, &got);
        int saved_errno = errno;
        end(w);
        return r == 1 ? 1 : tls_result(w, r, saved_errno);
    }
    ssize_t n = recv(w->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 ? -errno : (int)n;
}

bool wire_has_pending(const struct wire *w)
{
    return w->read_error != 0 || (w->ssl != NULL && tls_has_more(w));
}

static void close_notify(struct wire *w)
{
    if (w->ssl == NULL || w->tls_broken || !SSL_is_init_finished(w->ssl))
        return;
    ERR_clear_error();
    SSL_shutdown(w->ssl); /* one try: the FIN behind it says the same */
    ERR_clear_error();
}

void wire_finish(struct wire *w)
{
    close_notify(w);
    shutdown(w->fd, SHUT_WR);
}

ssize_t wire_discard(struct wire *w, char *scratch, size_t cap)
{
    ssize_t n = recv(w->fd, scratch, cap, MSG_DONTWAIT);
    return n < 0 ? -errno : n;
}

void wire_bound_window(const struct wire *w)
{
    int want = WINDOW_BYTES_MAX, got = 0;
    socklen_t n = sizeof(got);
    /* Comfort: without it the machine's own bound holds. */
    (void)setsockopt(w->fd, SOL_SOCKET, SO_RCVBUF, &want, sizeof(want));
    (void)getsockopt(w->fd, SOL_SOCKET, SO_RCVBUF, &got, &n);
#ifdef SO_BUF_LOCK
    int unlock = 0;
    if (got < want) /* net.core.rmem_max is small: the kernel shall choose again */
        (void)setsockopt(w->fd, SOL_SOCKET, SO_BUF_LOCK, &unlock, sizeof(unlock));
#endif
}

void wire_close(struct wire *w, bool orderly, bool reset)
{
    if (w->fd < 0)
        return;
    if (orderly && !reset)
        close_notify(w);
    if (w->ssl != NULL) {
        /* Otherwise SSL_free() takes the session for bad and forbids resuming it. */
        if (!w->tls_broken)
            SSL_set_shutdown(w->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(w->ssl);
    }
    if (reset) {
        struct linger none = { .l_onoff = 1, .l_linger = 0 };
        setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    }
    close(w->fd);
    free(w->in_kept);
    free(w->error_text);
    *w = (struct wire){ .fd = -1 };
}

int wire_socket_error(const struct wire *w)
{
    int e = 0;
    socklen_t n = sizeof(e);
    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &e, &n) < 0)
        return -errno;
    return -e;
}

/*
 * tls.h - OpenSSL contexts, for both sides.
 *
 * Contract
 *   Server     TLS 1.2 and 1.3, AEAD and forward secrecy only, no compression, no
 *              renegotiation, no early data.  ALPN: h2, then http/1.1; a client
 *              whose list has neither is refused; without ALPN it is http/1.1.
 *              Sessions are in tickets alone, see tls_server_rotate().
 *   Client     verifies chain and name always; the system's store or ca_file;
 *              minimum TLS 1.2; SNI for names (not for addresses); ALPN offers
 *              h2 and http/1.1 (or http/1.1 alone); sessions are resumed, kept in
 *              the tls_sessions the caller passes (one per origin).
 *   Errors     ret_error gets one line that names file and reason.
 */
#ifndef TLS_H
#define TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "must.h"
#include "str.h"

int tls_server_new(const char *cert_file, const char *key_file, SSL_CTX **ret_ctx,
                   struct buf *ret_error) MUST_CHECK;
/* The keys of session tickets, derived from secret and period: servers with the same resume one
 * another's sessions; tickets from before another pair lead to full handshakes. */
void tls_server_rotate(SSL_CTX *ctx, struct str secret, int64_t period);
/* ca_file NULL or "": the system's store.  Its directory is looked into, and its bundle read, when
 * a handshake needs them; what SSL_CERT_FILE and SSL_CERT_DIR name is read at the first use or
 * tls_client_warm(). */
int tls_client_new(const char *ca_file, SSL_CTX **ret_ctx, struct buf *ret_error) MUST_CHECK;
void tls_client_warm(SSL_CTX *ctx);

/* The last session of one origin, for resumption. */
struct tls_sessions {
    SSL_SESSION *last; /* owned, may be NULL */
};
void tls_sessions_done(struct tls_sessions *s);

/* A client SSL for one handshake, ready for wire_init() or BIOs.  sessions may
 * be NULL and must outlive the SSL. */
SSL *tls_client_ssl(SSL_CTX *ctx, struct str host, bool offer_h2, struct tls_sessions *sessions);

/* Appends why the newest handshake failed ("certificate has expired", ...). */
void tls_error(SSL *ssl, struct buf *out);

/* A fresh self-signed certificate for localhost, 127.0.0.1 and ::1, written as
 * two PEM files (mode 0600), valid for 30 days; for the simulator and tests. */
int tls_self_signed(const char *cert_file, const char *key_file) MUST_CHECK;

#endif

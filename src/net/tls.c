#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "hash.h"
#include "mem.h"

/* AEAD with ephemeral keys; TLS 1.3 has nothing else anyway. */
static const char cipher_list[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
static const char group_list[] = "X25519:P-256";
/* OpenSSL 3.5: with a key share each of the first two, so that neither costs a round trip. */
static const char group_list_quantum[] = "*X25519MLKEM768:*X25519:P-256";

enum { TICKET_KEYS_BYTES = 80, TICKET_HASHES = 3 };

static const unsigned char alpn_both[] = "\x02h2\x08http/1.1";
static const unsigned char alpn_http1[] = "\x08http/1.1";

/* The text of the oldest queued error: the cause, where later ones are its echo. */
static const char *queued_reason(void)
{
    unsigned long e = ERR_peek_error();
    const char *text = ERR_reason_error_string(e);
    if (e != 0 && ERR_SYSTEM_ERROR(e))
        return strerror(ERR_GET_REASON(e));
    return text != NULL ? text : "unknown error";
}

static int context_failed(SSL_CTX *ctx, struct buf *ret_error, const char *file, const char *what)
{
    buf_addf(ret_error, "%s: %s: %s", file, what, queued_reason());
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return -EINVAL;
}

static SSL_CTX *context_new(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    must(ctx != NULL);
    must(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
    must(SSL_CTX_set_cipher_list(ctx, cipher_list) == 1);
    if (SSL_CTX_set1_groups_list(ctx, group_list_quantum) != 1)
        must(SSL_CTX_set1_groups_list(ctx, group_list) == 1);
    ERR_clear_error();
    /* An end without close_notify is common; HTTP has its own framing to see a cut. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    return ctx;
}

/* rfc7301,s3.2: no overlap is a fatal alert. */
static int choose_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
                       const unsigned char *offered, unsigned offered_n, void *ctx)
{
    (void)ssl;
    (void)ctx;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, ret_n, alpn_both, sizeof(alpn_both) - 1, offered,
                              offered_n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

int tls_server_new(const char *cert_file, const char *key_file, SSL_CTX **ret_ctx,
                   struct buf *ret_error)
{
    SSL_CTX *ctx = context_new(TLS_server_method());
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
        return context_failed(ctx, ret_error, cert_file, "cannot load the certificate");
    if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1)
        return context_failed(ctx, ret_error, key_file, "cannot load the private key");
    if (SSL_CTX_check_private_key(ctx) != 1)
        return context_failed(ctx, ret_error, key_file, "the key does not fit the certificate");
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* Sessions live in the tickets the clients keep, not here. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    must(SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"cc-proxy", 8) == 1);
    must(SSL_CTX_set_max_early_data(ctx, 0) == 1);
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
    *ret_ctx = ctx;
    return 0;
}

/* OpenSSL takes 16 bytes of name, 32 for HMAC and 32 for AES. */
void tls_server_rotate(SSL_CTX *ctx, struct str secret, int64_t period)
{
    unsigned char keys[TICKET_HASHES * HASH_BYTES];
    char label[64];
    for (int i = 0; i < TICKET_HASHES; i++) {
        int n = snprintf(label, sizeof(label), "cc-proxy tickets %lld.%d", (long long)period, i);
        must(n > 0);
        hash_hmac(secret, (struct str){ label, (size_t)n }, keys + i * HASH_BYTES);
    }
    must(SSL_CTX_set_tlsext_ticket_keys(ctx, keys, TICKET_KEYS_BYTES) == 1);
    explicit_bzero(keys, sizeof(keys));
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_sessions *s = SSL_get_app_data(ssl);
    if (s == NULL)
        return 0;
    SSL_SESSION_free(s->last);
    s->last = session;
    return 1; /* the reference is ours now */
}

/* The application's pointer of a client context: where the system's store is, is still to be set.
 */
static char store_pending;

/*
 * The system's certificates are a directory, in which an issuer is found by its hashed name, and a
 * bundle of all: 20 ms to read, and 1.5 MiB.  It is read when an issuer is not in the directory, so
 * what is trusted is the same as with both read at the start.
 */
static int system_issuer(X509 **ret_issuer, X509_STORE_CTX *verify, X509 *cert)
{
    X509_STORE *store = X509_STORE_CTX_get0_store(verify);
    int found = X509_STORE_CTX_get1_issuer(ret_issuer, verify, cert);
    if (found != 0 || X509_STORE_get_get_issuer(store) != system_issuer)
        return found;
    X509_STORE_set_get_issuer(store, X509_STORE_CTX_get1_issuer);
    ERR_set_mark();
    (void)!X509_STORE_set_default_paths(store);
    ERR_pop_to_mark(); /* a missing bundle leaves errors behind */
    return X509_STORE_CTX_get1_issuer(ret_issuer, verify, cert);
}

void tls_client_warm(SSL_CTX *ctx)
{
    if (SSL_CTX_get_app_data(ctx) != &store_pending)
        return;
    SSL_CTX_set_app_data(ctx, NULL);
    /* A place that the environment names may be out of a confined worker's reach later. */
    if (getenv(X509_get_default_cert_file_env()) != NULL ||
        getenv(X509_get_default_cert_dir_env()) != NULL) {
        (void)!SSL_CTX_set_default_verify_paths(ctx); /* without a store nothing verifies */
    } else {
        (void)!SSL_CTX_set_default_verify_dir(ctx);
        X509_STORE_set_get_issuer(SSL_CTX_get_cert_store(ctx), system_issuer);
    }
    ERR_clear_error(); /* a missing system store leaves errors behind */
}

int tls_client_new(const char *ca_file, SSL_CTX **ret_ctx, struct buf *ret_error)
{
    SSL_CTX *ctx = context_new(TLS_client_method());
    bool system_store = ca_file == NULL || ca_file[0] == '\0';
    ERR_clear_error();
    if (system_store)
        SSL_CTX_set_app_data(ctx, &store_pending);
    else if (SSL_CTX_load_verify_file(ctx, ca_file) != 1)
        return context_failed(ctx, ret_error, ca_file, "cannot load certificates");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    *ret_ctx = ctx;
    return 0;
}

void tls_sessions_done(struct tls_sessions *s)
{
    SSL_SESSION_free(s->last);
    s->last = NULL;
}

static bool is_address(const char *host)
{
    struct in6_addr a;
    return inet_pton(AF_INET, host, &a) == 1 || inet_pton(AF_INET6, host, &a) == 1;
}

SSL *tls_client_ssl(SSL_CTX *ctx, struct str host, bool offer_h2, struct tls_sessions *sessions)
{
    tls_client_warm(ctx);
    SSL *ssl = SSL_new(ctx);
    must(ssl != NULL);
    if (str_ends(host, S(".")))
        host.n--; /* rfc6066,s3: no trailing dot */
    char *name = mem_strndup(host.p, host.n);
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    bool ok;
    if (is_address(name)) {
        ok = X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    } else {
        SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        ok = SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
    }
    /* A name OpenSSL does not take (too long, empty) must never verify. */
    if (!ok || host.n == 0)
        must(SSL_set1_host(ssl, "invalid.invalid") == 1);
    free(name);
    const unsigned char *alpn = offer_h2 ? alpn_both : alpn_http1;
    unsigned alpn_n = offer_h2 ? sizeof(alpn_both) - 1 : sizeof(alpn_http1) - 1;
    must(SSL_set_alpn_protos(ssl, alpn, alpn_n) == 0);
    SSL_set_app_data(ssl, sessions);
    if (sessions != NULL && sessions->last != NULL && SSL_SESSION_is_resumable(sessions->last))
        SSL_set_session(ssl, sessions->last);
    SSL_set_connect_state(ssl);
    ERR_clear_error();
    return ssl;
}

static const char *verify_text(long result)
{
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "certificate is not yet valid";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "hostname mismatch: the certificate is for another name";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return "self-signed certificate";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return "unknown certificate authority";
    default:
        return X509_verify_cert_error_string(result);
    }
}

void tls_error(SSL *ssl, struct buf *out)
{
    long result = SSL_get_verify_result(ssl);
    if (!SSL_is_server(ssl) && result != X509_V_OK)
        buf_add(out, str_of(verify_text(result)));
    else
        buf_add(out, str_of(queued_reason()));
}

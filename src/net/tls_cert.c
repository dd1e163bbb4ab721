/* A self-signed certificate for the simulator and tests; see tls.h. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hash.h"
#include "must.h"
#include "tls.h"

static int open_private(const char *path, FILE **ret_file)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    FILE *f = NULL;
    if (fchmod(fd, 0600) == 0)
        f = fdopen(fd, "w");
    if (f == NULL) {
        int e = -errno;
        close(fd);
        return e;
    }
    *ret_file = f;
    return 0;
}

/* Writes the certificate, or the key when cert is NULL. */
static int write_pem(const char *path, X509 *cert, EVP_PKEY *key)
{
    FILE *f = NULL;
    int e = open_private(path, &f);
    if (e < 0)
        return e;
    int ok = cert != NULL ? PEM_write_X509(f, cert)
                          : PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    if (fclose(f) != 0 || ok != 1)
        return -EIO;
    return 0;
}

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    must(x != NULL);
    must(X509_add_ext(cert, x, -1) == 1);
    X509_EXTENSION_free(x);
}

static X509 *make_cert(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    must(cert != NULL);
    uint64_t serial;
    hash_random(&serial, sizeof(serial));
    must(X509_set_version(cert, X509_VERSION_3) == 1);
    must(ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) == 1);
    must(X509_gmtime_adj(X509_getm_notBefore(cert), -3600) != NULL); /* clocks differ */
    must(X509_gmtime_adj(X509_getm_notAfter(cert), 30L * 24 * 3600) != NULL);
    must(X509_set_pubkey(cert, key) == 1);
    X509_NAME *name = X509_get_subject_name(cert);
    must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost",
                                    -1, -1, 0) == 1);
    must(X509_set_issuer_name(cert, name) == 1);
    add_extension(cert, NID_basic_constraints, "critical,CA:FALSE");
    add_extension(cert, NID_key_usage, "critical,digitalSignature");
    add_extension(cert, NID_ext_key_usage, "serverAuth");
    add_extension(cert, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1");
    must(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

int tls_self_signed(const char *cert_file, const char *key_file)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    must(key != NULL);
    X509 *cert = make_cert(key);
    int e = write_pem(key_file, NULL, key);
    if (e == 0)
        e = write_pem(cert_file, cert, NULL);
    X509_free(cert);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return e;
}

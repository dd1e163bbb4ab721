#include "hash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

/* Fetching an algorithm and making its state cost several times the hash: both are kept.
 * One each per process, as everything here runs on one thread. */
static EVP_MD_CTX *sha256;
static EVP_MAC_CTX *hmac;

static void sha256_begin(void)
{
    const EVP_MD *md = NULL; /* the one of before */
    if (sha256 == NULL) {
        md = EVP_MD_fetch(NULL, "SHA256", NULL);
        sha256 = EVP_MD_CTX_new();
        must(md != NULL);
        must(sha256 != NULL);
    }
    must(EVP_DigestInit_ex2(sha256, md, NULL) == 1);
}

static void hmac_begin(struct str key)
{
    const unsigned char *p = (const unsigned char *)(key.n > 0 ? key.p : "");
    char name[] = "SHA256";
    OSSL_PARAM digest[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                            OSSL_PARAM_construct_end() };
    bool first = hmac == NULL;
    if (first) {
        EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
        must(mac != NULL);
        hmac = EVP_MAC_CTX_new(mac);
        must(hmac != NULL);
        EVP_MAC_free(mac);
    }
    must(EVP_MAC_init(hmac, p, key.n, first ? digest : NULL) == 1);
}

static void write_hex(const unsigned char *p, char *out, size_t digits)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < digits; i++)
        out[i] = hex[i % 2 == 0 ? p[i / 2] >> 4 : p[i / 2] & 0xf];
}

void hash_sha256(struct str s, unsigned char ret[HASH_BYTES])
{
    unsigned n = 0;
    sha256_begin();
    must(EVP_DigestUpdate(sha256, s.n > 0 ? s.p : "", s.n) == 1);
    must(EVP_DigestFinal_ex(sha256, ret, &n) == 1);
    must(n == HASH_BYTES);
}

void hash_hmac(struct str key, struct str s, unsigned char ret[HASH_BYTES])
{
    size_t n = 0;
    hmac_begin(key);
    must(EVP_MAC_update(hmac, (const unsigned char *)(s.n > 0 ? s.p : ""), s.n) == 1);
    must(EVP_MAC_final(hmac, ret, &n, HASH_BYTES) == 1);
    must(n == HASH_BYTES);
}

void hash_hex(struct str s, char *out, size_t digits)
{
    unsigned char hash[HASH_BYTES];
    must(digits <= sizeof(hash) * 2);
    hash_sha256(s, hash);
    write_hex(hash, out, digits);
}

struct str hash_text(struct arena *a, struct str s)
{
    char *out = arena_new(a, char, 2 * HASH_BYTES);
    hash_hex(s, out, 2 * HASH_BYTES);
    return (struct str){ out, 2 * HASH_BYTES };
}

struct str hex_text(struct arena *a, const unsigned char *p, size_t n)
{
    char *out = arena_new(a, char, 2 * n);
    write_hex(p, out, 2 * n);
    return (struct str){ out, 2 * n };
}

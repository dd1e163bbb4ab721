#include "hash.h"

#include <endian.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>
#include <sys/random.h>

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

/* ---- SipHash ---- */

struct siphash {
    uint64_t a, b, c, d;
};

static inline uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void rounds(struct siphash *s, int n)
{
    while (n-- > 0) {
        s->a += s->b;
        s->c += s->d;
        s->b = rotate(s->b, 13) ^ s->a;
        s->d = rotate(s->d, 16) ^ s->c;
        s->a = rotate(s->a, 32);
        s->c += s->b;
        s->a += s->d;
        s->b = rotate(s->b, 17) ^ s->c;
        s->d = rotate(s->d, 21) ^ s->a;
        s->c = rotate(s->c, 32);
    }
}

static inline void absorb(struct siphash *s, const void *p, size_t n, uint64_t highest)
{
    uint64_t word = 0;
    memcpy(&word, p, n);
    word = le64toh(word) | highest;
    s->d ^= word;
    rounds(s, 2);
    s->a ^= word;
}

static void put_word(const struct siphash *s, unsigned char *to)
{
    uint64_t word = htole64(s->a ^ s->b ^ s->c ^ s->d);
    memcpy(to, &word, sizeof(word));
}

void hash_siphash(const uint64_t key[2], struct str s, unsigned char ret[HASH_SHORT_BYTES])
{
    struct siphash h = { key[0] ^ UINT64_C(0x736f6d6570736575),
                         key[1] ^ UINT64_C(0x646f72616e646f83),
                         key[0] ^ UINT64_C(0x6c7967656e657261),
                         key[1] ^ UINT64_C(0x7465646279746573) };
    size_t i = 0;
    for (; s.n - i >= 8; i += 8)
        absorb(&h, s.p + i, 8, 0);
    absorb(&h, s.n > i ? s.p + i : "", s.n - i, (uint64_t)s.n << 56);
    h.c ^= 0xee;
    rounds(&h, 4);
    put_word(&h, ret);
    h.b ^= 0xdd;
    rounds(&h, 4);
    put_word(&h, ret + 8);
}

void hash_random(void *to, size_t n)
{
    must(n <= HASH_RANDOM_MAX); /* so many come at once, whatever signals do */
    must(getrandom(to, n, 0) == (ssize_t)n);
}

void hash_short(struct str s, unsigned char ret[HASH_SHORT_BYTES])
{
    static uint64_t key[2];
    static bool keyed;
    if (!keyed)
        hash_random(key, sizeof(key));
    keyed = true;
    hash_siphash(key, s, ret);
}

/* ---- hex ---- */

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

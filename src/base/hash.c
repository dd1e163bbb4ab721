#include "hash.h"

#include <openssl/evp.h>

static void write_hex(const unsigned char *p, char *out, size_t digits)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < digits; i++)
        out[i] = hex[i % 2 == 0 ? p[i / 2] >> 4 : p[i / 2] & 0xf];
}

void hash_sha256(struct str s, unsigned char ret[HASH_BYTES])
{
    unsigned n = 0;
    must(EVP_Digest(s.n > 0 ? s.p : "", s.n, ret, &n, EVP_sha256(), NULL) == 1);
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

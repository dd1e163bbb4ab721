#include "session.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "hash.h"

/* K of section 6: what keeps clients, or conversations, apart. */
static struct str separator(struct arena *a, const struct session_key *k)
{
    if (k->scope == SESSION_GLOBAL)
        return S("");
    struct str key = hash_text(a, k->credential);
    if (k->scope == SESSION_KEY)
        return key;
    return arena_cat(a, arena_cat(a, key, S(":")), hash_text(a, k->conversation));
}

static int64_t window_of(const struct session_key *k)
{
    must(k->window_s > 0);
    must(k->unix_s >= 0);
    return k->unix_s / k->window_s;
}

static void derive(struct arena *a, const struct session_key *k, unsigned char digest[HASH_BYTES])
{
    static const char *const scopes[] = { "global", "key", "conversation" };
    must((size_t)k->scope < ARRAY_LEN(scopes));
    unsigned n = HASH_BYTES;
    struct str text = arena_printf(a, "cc-proxy/session/1\n" STR_FMT "\n%s\n" STR_FMT "\n%lld",
                                   STR_ARG(k->adapter), scopes[k->scope], STR_ARG(separator(a, k)),
                                   (long long)window_of(k));
    must(k->secret.n <= INT32_MAX);
    must(HMAC(EVP_sha256(), k->secret.n > 0 ? k->secret.p : "", (int)k->secret.n,
              (const unsigned char *)text.p, text.n, digest, &n) != NULL);
}

struct str session_user_id(struct arena *a, const struct session_key *k)
{
    unsigned char d[HASH_BYTES];
    uint64_t number = 0;
    derive(a, k, d);
    for (size_t i = 0; i < 6; i++)
        number = number << 8 | d[i];
    return arena_printf(a, "user_proxy_account__session_%lld-%llu", (long long)window_of(k),
                        (unsigned long long)number);
}

struct str session_uuid(struct arena *a, const struct session_key *k)
{
    unsigned char d[HASH_BYTES];
    derive(a, k, d);
    d[6] = (unsigned char)(0x80 | (d[6] & 0x0f));
    d[8] = (unsigned char)(0x80 | (d[8] & 0x3f));
    struct str h = hex_text(a, d, 16);
    return arena_printf(a, "%.8s-%.4s-%.4s-%.4s-%.12s", h.p, h.p + 8, h.p + 12, h.p + 16, h.p + 20);
}

struct str session_fingerprint(struct arena *a, struct str credential)
{
    return str_slice(hash_text(a, credential), 0, 8);
}

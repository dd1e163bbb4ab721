#include "session.h"

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
    return arena_join(a, key, S(":"), hash_text(a, k->conversation));
}

static int64_t window_of(const struct session_key *k)
{
    must(k->window_s > 0);
    must(k->unix_s >= 0);
    return k->unix_s / k->window_s;
}

static const struct str scopes[] = { S_INIT("global"), S_INIT("key"), S_INIT("conversation") };

static void derive(struct arena *a, const struct session_key *k, unsigned char digest[HASH_BYTES])
{
    struct str text =
        arena_join(a, S("cc-proxy/session/1\n"), k->adapter, S("\n"), scopes[k->scope], S("\n"),
                   separator(a, k), S("\n"), arena_u64(a, (uint64_t)window_of(k)));
    hash_hmac(k->secret, text, digest);
}

/*
 * A caller mostly asks for the identifier of before, and that costs several hashes of OpenSSL's.
 * So the newest are kept, found by a keyed hash of all that they depend on: of the key itself
 * nothing is.  One table a process; which row an entry has depends on a key that nobody knows, so
 * no caller can choose whose entry it takes the place of.
 */
enum { KEPT_MAX = 1024 };

static struct {
    unsigned char of[HASH_SHORT_BYTES]; /* all zero: none */
    unsigned char digest[HASH_BYTES];
} kept[KEPT_MAX];

static const unsigned char *digest_of(struct arena *a, const struct session_key *k)
{
    must((size_t)k->scope < ARRAY_LEN(scopes));
    bool by_key = k->scope != SESSION_GLOBAL, by_text = k->scope == SESSION_CONVERSATION;
    unsigned char of[HASH_SHORT_BYTES];
    uint16_t row;
    /* a key is a header field's value, so it has no line end; the conversation comes last */
    struct str text =
        arena_join(a, arena_u64(a, (uint64_t)window_of(k)), S("\n"), k->adapter, S("\n"),
                   scopes[k->scope], S("\n"), k->secret, S("\n"), by_key ? k->credential : S(""),
                   S("\n"), by_text ? k->conversation : S(""));
    hash_short(text, of);
    memcpy(&row, of, sizeof(row));
    row %= KEPT_MAX;
    if (memcmp(kept[row].of, of, sizeof(of)) != 0) {
        derive(a, k, kept[row].digest);
        memcpy(kept[row].of, of, sizeof(of));
    }
    return kept[row].digest;
}

struct str session_user_id(struct arena *a, const struct session_key *k)
{
    const unsigned char *d = digest_of(a, k);
    uint64_t number = 0;
    for (size_t i = 0; i < 6; i++)
        number = number << 8 | d[i];
    return arena_join(a, S("user_proxy_account__session_"), arena_u64(a, (uint64_t)window_of(k)),
                      S("-"), arena_u64(a, number));
}

struct str session_uuid(struct arena *a, const struct session_key *k)
{
    unsigned char d[HASH_BYTES];
    memcpy(d, digest_of(a, k), sizeof(d));
    d[6] = (unsigned char)(0x80 | (d[6] & 0x0f));
    d[8] = (unsigned char)(0x80 | (d[8] & 0x3f));
    struct str h = hex_text(a, d, 16);
    return arena_join(a, str_slice(h, 0, 8), S("-"), str_slice(h, 8, 12), S("-"),
                      str_slice(h, 12, 16), S("-"), str_slice(h, 16, 20), S("-"),
                      str_slice(h, 20, 32));
}

struct str session_fingerprint(struct arena *a, struct str credential)
{
    return str_slice(hash_text(a, credential), 0, 8);
}

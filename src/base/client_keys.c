/*
 * Sealed: "hmac-sha256:" key ":" hash "," hash ...  in hexadecimal.  A plain list that begins so
 * would be taken for a sealed one: nobody else knows its keys' hashes, so it lets nobody in.
 */
#include "client_keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "config_row.h"
#include "hash.h"
#include "mem.h"
#include "secret.h"

enum { HEX_BYTES = 2 * HASH_BYTES };

static const struct str mark = S_INIT("hmac-sha256:");

struct client_keys {
    EVP_MAC_CTX *mac;
    size_t n;
    unsigned char hashes[][HASH_BYTES];
};

static EVP_MAC_CTX *mac_new(const unsigned char key[HASH_BYTES])
{
    char name[] = "SHA256";
    OSSL_PARAM digest[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                            OSSL_PARAM_construct_end() };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    must(mac != NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    must(ctx != NULL);
    must(EVP_MAC_init(ctx, key, HASH_BYTES, digest) == 1);
    EVP_MAC_free(mac);
    return ctx;
}

static void hash_key(EVP_MAC_CTX *mac, struct str key, unsigned char ret[HASH_BYTES])
{
    size_t n = 0;
    must(EVP_MAC_init(mac, NULL, 0, NULL) == 1); /* with the key of before */
    must(EVP_MAC_update(mac, (const unsigned char *)(key.n > 0 ? key.p : ""), key.n) == 1);
    must(EVP_MAC_final(mac, ret, &n, HASH_BYTES) == 1);
    must(n == HASH_BYTES);
}

static size_t count(struct str list)
{
    struct str part;
    size_t n = 0;
    while (str_next(&list, ',', &part))
        n++;
    return n;
}

static struct client_keys *keys_new(const unsigned char key[HASH_BYTES], size_t most)
{
    struct client_keys *k = secret_alloc(sizeof(*k) + most * HASH_BYTES);
    k->mac = mac_new(key);
    k->n = 0;
    return k;
}

static struct client_keys *hash_list(struct str list, unsigned char ret_key[HASH_BYTES])
{
    struct str part;
    hash_random(ret_key, HASH_BYTES);
    struct client_keys *k = keys_new(ret_key, count(list));
    while (str_next(&list, ',', &part)) {
        part = str_trim(part);
        if (part.n > 0)
            hash_key(k->mac, part, k->hashes[k->n++]);
    }
    return k;
}

/* --- sealing --- */

static void add_hex(struct buf *out, const unsigned char *p)
{
    for (size_t i = 0; i < HASH_BYTES; i++)
        buf_addf(out, "%02x", p[i]);
}

bool client_keys_is_setting(struct str name)
{
    int rank;
    return config_row_find(name, &rank) == CONFIG_proxy_api_keys;
}

/* Of a list with at least one key. */
static void seal(struct str list, struct buf *out)
{
    unsigned char key[HASH_BYTES];
    struct client_keys *k = hash_list(list, key);
    buf_add(out, mark);
    add_hex(out, key);
    for (size_t i = 0; i < k->n; i++) {
        buf_add_byte(out, i == 0 ? ':' : ',');
        add_hex(out, k->hashes[i]);
    }
    client_keys_free(k);
    explicit_bzero(key, sizeof(key));
}

bool client_keys_seal_text(struct str list, struct buf *out)
{
    struct str part, rest = list;
    bool any = false;
    while (!any && str_next(&rest, ',', &part))
        any = str_trim(part).n > 0;
    if (!any || str_starts(str_trim(list), mark))
        return false;
    seal(list, out);
    return true;
}

static void forget_pairs(struct config *c)
{
    for (size_t i = 0; i < c->pair_count; i++) {
        char *value = c->pairs[i].value;
        if (client_keys_is_setting(str_of(c->pairs[i].name)))
            explicit_bzero(value, strlen(value));
    }
}

void client_keys_seal(struct config *c)
{
    struct buf text CLEANUP(buf_done), why CLEANUP(buf_done);
    buf_init(&text, SIZE_MAX / 2);
    text.wiped = true;
    buf_init(&why, 1024);
    if (client_keys_seal_text(c->proxy_api_keys, &text))
        must(config_row_set(c, CONFIG_proxy_api_keys, buf_str(&text), &why) == 0);
    forget_pairs(c); /* of other spellings and sources, too */
}

/* --- looking --- */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(struct str s, unsigned char ret[HASH_BYTES])
{
    if (s.n != HEX_BYTES)
        return false;
    must(s.p != NULL);
    for (size_t i = 0; i < HASH_BYTES; i++) {
        int high = digit(s.p[2 * i]), low = digit(s.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static struct client_keys *unseal(struct str text)
{
    unsigned char key[HASH_BYTES] = { 0 };
    struct str part;
    size_t colon = str_index(text, ':');
    struct str rest = str_slice(text, colon + 1, text.n);
    /* what is no hash is no key: its place stays out of the list */
    bool good = read_hex(str_slice(text, 0, colon), key);
    struct client_keys *k = keys_new(key, count(rest));
    while (good && str_next(&rest, ',', &part))
        k->n += read_hex(part, k->hashes[k->n]);
    explicit_bzero(key, sizeof(key));
    return k;
}

struct client_keys *client_keys_new(struct str setting)
{
    unsigned char key[HASH_BYTES];
    setting = str_trim(setting);
    if (setting.n == 0)
        return NULL;
    must(setting.p != NULL);
    if (str_starts(setting, mark))
        return unseal(str_slice(setting, mark.n, setting.n));
    struct client_keys *k = hash_list(setting, key);
    explicit_bzero(key, sizeof(key));
    return k;
}

void client_keys_free(struct client_keys *k)
{
    if (k == NULL)
        return;
    EVP_MAC_CTX_free(k->mac);
    secret_free(k);
}

bool client_keys_has(const struct client_keys *k, struct str key)
{
    unsigned char hash[HASH_BYTES];
    int found = 0;
    hash_key(k->mac, key, hash);
    for (size_t i = 0; i < k->n; i++)
        found |= CRYPTO_memcmp(hash, k->hashes[i], HASH_BYTES) == 0;
    return found != 0;
}

/*
 * client_keys.h - the keys that clients may present (PROXY_API_KEYS), known by their keyed hashes
 * only.
 *
 * Contract
 *   Sealing    client_keys_seal() replaces the setting's text by an HMAC-SHA256 of each key, under
 *              a key drawn at random each time, and wipes what the config held of them.  main.c
 *              does so with environment and command line, the supervisor with what it loads:
 *              after that no process has the keys themselves, but for those that clients present.
 *              A sealed text is as good as the list wherever the setting is read.
 *   Looking    client_keys_has() takes a time that depends on the length of the key presented and
 *              on how many keys there are, and on nothing else.
 *   Ownership  new and free; in secret.h's pages.
 *   Errors     must() when OpenSSL fails.
 *   Threads    one at a time.
 *   Cost       one HMAC per look, its key scheduled beforehand.
 */
#ifndef CLIENT_KEYS_H
#define CLIENT_KEYS_H

#include <stdbool.h>

#include "config.h"
#include "str.h"

struct client_keys;

void client_keys_seal(struct config *c);
bool client_keys_is_setting(struct str name);
/* False, and nothing is added: there is no key in the list, or it is sealed. */
bool client_keys_seal_text(struct str list, struct buf *out);

/* setting: as sealed, or the plain list.  NULL: it is empty, and no key is asked for. */
struct client_keys *client_keys_new(struct str setting);
void client_keys_free(struct client_keys *k); /* takes NULL */
bool client_keys_has(const struct client_keys *k, struct str key);

#endif

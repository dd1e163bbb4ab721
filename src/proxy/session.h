/*
 * session.h - rotating session identifiers, derived and not stored outside the process
 * (docs/adapters.md section 6).
 *
 * Contract
 *   Input      secret, adapter, scope, window, credential, conversation text, time.
 *   Output     the same input gives the same identifier in every process.
 *   Memory     the newest 1,024 are kept (48 KiB), under a keyed hash of their input.
 *   Threads    one thread of a process.
 */
#ifndef SESSION_H
#define SESSION_H

#include <stdint.h>

#include "arena.h"
#include "must.h"
#include "str.h"

enum session_scope { SESSION_GLOBAL, SESSION_KEY, SESSION_CONVERSATION };

struct session_key {
    struct str secret;
    struct str adapter;
    enum session_scope scope;
    int64_t window_s; /* 3600, 43200, 86400, 604800 */
    int64_t unix_s;
    struct str credential;   /* without scheme */
    struct str conversation; /* C of section 6; for SESSION_CONVERSATION */
};

struct str session_user_id(struct arena *a,
                           const struct session_key *k); /* user_proxy_account__session_W-N */
struct str session_uuid(struct arena *a, const struct session_key *k); /* UUID version 8 */
/* Client version, short hash of a credential for logs: first 8 hex digits of its SHA-256. */
struct str session_fingerprint(struct arena *a, struct str credential);

#endif

/*
 * adapter.h - recognises the client application and adjusts its request.  Rules
 * are data: builtin_adapters.json and ADAPTERS_FILE (docs/adapters.md).
 *
 * Contract
 *   Loading    adapters_load() reads the built-in rules, then the file (JSON or YAML), and
 *              checks everything: unknown members, ops and values are errors
 *              that name the file and the JSON Pointer of the fault.  ${NAME} is
 *              replaced through config_text().  Files that rules name are read here.
 *   Ownership  a set owns everything it refers to; it is read only and lives until
 *              adapters_free().
 *   Selection  adapter_select() never fails.  The body is looked at only when no
 *              header rule decided.  A caller may ask before it has the body (edit
 *              NULL): the answer is final when body_needed is still false; otherwise
 *              set edit and ask again.
 *   Applying   adapter_apply() edits a->edit (json_edit.h) and a->headers, both in
 *              a->arena.  It never fails: a rule that does not fit does nothing.
 *   Limits     256 adapters, 64 actions each, condition depth 8, file 1 MiB.
 */
#ifndef ADAPTER_H
#define ADAPTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "config.h"
#include "http.h"
#include "json_edit.h"
#include "protocol.h"
#include "str.h"

struct adapter_set;
struct adapter;

int adapters_load(const struct config *config, struct adapter_set **ret_set, struct buf *ret_error)
    MUST_CHECK;
void adapters_free(struct adapter_set *set);

enum { ADAPTER_OPS_MAX = 32 }; /* kinds of actions */

enum adapter_reason {
    ADAPTER_BY_CLIENT_TYPE,
    ADAPTER_BY_HEADER,
    ADAPTER_BY_BODY,
    ADAPTER_BY_PROTOCOL,
    ADAPTER_BY_DEFAULT
};
const char *adapter_reason_name(enum adapter_reason r);

/* One request, as the rules see it.  Filled by the caller but for the last part. */
struct adapter_request {
    struct arena *arena;
    enum service service;
    enum protocol protocol;          /* of the request */
    enum protocol upstream_protocol; /* what is sent on; an `upstream` action may change it */
    struct str path;                 /* canonical */
    struct http_headers *headers;    /* as received, x-client-type included; actions edit it */
    struct json_edit *edit;          /* NULL when the body is not a JSON object */
    struct str credential;           /* of the client, without its scheme; may be empty */
    int64_t unix_s;
    struct str session_secret;

    /* results of adapter_apply() */
    struct str changes[ADAPTER_OPS_MAX]; /* the ops that changed something, in order, each once */
    size_t changes_n;
    size_t extra_headers; /* headers added */
    bool raw;             /* forward body bytes and end-to-end headers unchanged */
    bool force_stream;    /* the client did not ask for a stream, the upstream will send one */
    int reject_status;    /* 0: not rejected */
    struct str reject_message;
    struct str upstream_name; /* of an `upstream` action; empty: none */
    bool body_needed;         /* a rule looked at the body while edit was NULL */
    struct str conversation;  /* C of section 6, of the request as received; not for callers */
};

const struct adapter *adapter_select(const struct adapter_set *set, struct adapter_request *r,
                                     enum adapter_reason *ret_reason);
void adapter_apply(const struct adapter_set *set, const struct adapter *a,
                   struct adapter_request *r);

struct str adapter_name(const struct adapter *a);
struct str adapter_version(const struct adapter *a);
bool adapter_is_raw(const struct adapter *a);      /* its only action is raw */
bool adapter_has_actions(const struct adapter *a); /* false: nothing can change */
bool adapter_is_default(const struct adapter *a);
bool adapter_keeps_vendor_headers(
    const struct adapter *a); /* http-referer and x-title are forwarded: raw only */

/* The body of GET /adapters. */
void adapters_describe(const struct adapter_set *set, struct buf *out);

#endif

/*
 * upstreams_set.h - what CONFIG_FILE says, for upstreams*.c only.
 *
 * Contract
 *   upstreams_read() fills a set from the tree of a file; on an error the caller frees the set.
 */
#ifndef UPSTREAMS_SET_H
#define UPSTREAMS_SET_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "upstreams.h"
#include "yaml_tree.h"

struct route_row {
    struct str glob;                          /* of the client's model */
    bool is_default;                          /* the row says "default" */
    struct upstream_route to[PROTOCOL_COUNT]; /* by the protocol that came in */
};

struct route_table {
    struct route_row *rows;
    size_t n;
    struct route_row otherwise; /* no row fits; its glob is empty */
    bool given, strict;
};

struct upstreams {
    struct arena arena;
    const struct upstream *own; /* SERVICE_COUNT of them */
    struct str path;            /* of the file; empty: none was read */
    struct upstream *upstreams;
    struct upstream_settings *settings; /* of each, for printing */
    SSL_CTX **tls;                      /* of each, or NULL */
    struct str *ca_files;               /* of each; may be empty */
    size_t n;
    struct route_table tables[SERVICE_COUNT];
};

int upstreams_read(struct upstreams *u, const struct config *config, struct pool *pool,
                   const struct yaml_tree *root, struct buf *ret_error) MUST_CHECK;
/* Fills the row: to this upstream, or, with NULL, where a request goes without the file. */
void upstreams_aim(const struct upstreams *u, enum service service, struct route_row *row,
                   const struct upstream *upstream, struct str model);

#endif

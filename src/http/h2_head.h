/*
 * h2_head.h - header blocks, both ways; used by h2.c only.
 *
 * Contract
 *   Reading    h2_block_add() for each decoded field, then h2_block_finish(), which
 *              fills head.  Texts live as long as the block.  After an error a block
 *              takes nothing more.
 *   Writing    h2_fields_of_...() make nghttp2's list; it borrows the texts.
 *   Errors     E_HEADERS_TOO_LARGE, E_EXPECTATION, E_BAD_REQUEST (malformed).
 */
#ifndef H2_HEAD_H
#define H2_HEAD_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "h2.h"
#include "http.h"
#include "must.h"
#include "refusal.h"
#include "str.h"

enum { H2_FIELD_EXTRA_BYTES = 32 /* what a field costs besides its text, rfc9113,s6.5.2 */ };

struct h2_block {
    const struct h2_limits *limits;
    struct arena arena;
    struct http_head head;
    struct http_headers crumbs; /* of cookies */
    struct str host;
    size_t fields, bytes;
    bool of_client;       /* the limits of requests hold */
    bool trailers;        /* counted, not stored */
    enum refusal refusal; /* of the error that a function here has given */
};

struct h2_block *h2_block_new(enum h2_role role, const struct h2_limits *limits, bool trailers);
void h2_block_free(struct h2_block *b); /* takes NULL */
int h2_block_add(struct h2_block *b, struct str name, struct str value) MUST_CHECK;
int h2_block_finish(struct h2_block *b, enum h2_role role, bool has_body) MUST_CHECK;

struct h2_fields {
    nghttp2_nv *v; /* few, or memory of its own */
    size_t n;
    nghttp2_nv few[32];
    char status[STR_U64_MAX], length[STR_U64_MAX];
};

void h2_fields_of_request(struct h2_fields *f, const struct http_head *head);
void h2_fields_of_reply(struct h2_fields *f, int status, const struct http_headers *headers,
                        int64_t content_length);
void h2_fields_done(struct h2_fields *f);

#endif

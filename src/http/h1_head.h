/*
 * h1_head.h - a message head while it is being read; used by h1.c only.
 *
 * Contract
 *   Input      the request line from h1_head_line(), then names and values in pieces,
 *              as llhttp finds them, each field closed by h1_head_field_end().
 *   Output     h1_head_finish() fills head and framing; their texts live as long as
 *              the h1_head.
 *   Limits     of struct h1_limits; h1.c counts raw_bytes.
 *   Errors     an E_ code (server role's); refusal and why say what; the object is then only
 *              good for h1_head_asked().
 */
#ifndef H1_HEAD_H
#define H1_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "buf.h"
#include "h1.h"
#include "http.h"
#include "must.h"
#include "refusal.h"
#include "str.h"

struct h1_field {
    size_t name_at, name_n, value_at, value_n; /* in text */
};

enum h1_line_part { H1_METHOD, H1_TARGET, H1_VERSION, H1_LINE_END };

struct h1_head {
    const struct h1_limits *limits;
    struct arena arena;
    struct buf text;
    struct h1_field *fields; /* on the heap; at most limits->fields_max */
    size_t fields_n, fields_cap;
    size_t raw_bytes;
    enum h1_line_part part;
    size_t method_n, target_n, version_n; /* one after the other in text */
    enum refusal refusal;                 /* of the error that a function here has given */
    const char *why;

    struct http_head head;
    bool chunked;
    bool has_length;
    bool close;      /* Connection: close */
    bool keep_alive; /* Connection: keep-alive */
};

struct h1_head *h1_head_new(const struct h1_limits *limits);
void h1_head_free(struct h1_head *h); /* takes NULL */

/* 1: the line is complete, *ret_used bytes were it; 0: more is needed. */
int h1_head_line(struct h1_head *h, struct str bytes, size_t *ret_used) MUST_CHECK;
int h1_head_name(struct h1_head *h, struct str piece) MUST_CHECK;
int h1_head_value(struct h1_head *h, struct str piece) MUST_CHECK;
int h1_head_field_end(struct h1_head *h) MUST_CHECK;
/* What has been read of method and target; of a line that is at fault, too. */
void h1_head_asked(const struct h1_head *h, struct str *ret_method, struct str *ret_target);
/* head.status, major and minor are the caller's to set before. */
int h1_head_finish(struct h1_head *h, enum h1_role role) MUST_CHECK;

#endif

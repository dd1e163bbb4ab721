/*
 * mock_answer.h - what the simulator says to one request.  Does no I/O.
 *
 * Contract
 *   Input      a head and its whole body, as it came (coded or not).
 *   Output     status, headers, and either a body or a reply that streams.
 *   Ownership  texts live in the arena; document and body are freed by mock_answer_done().
 */
#ifndef MOCK_ANSWER_H
#define MOCK_ANSWER_H

#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

#include "arena.h"
#include "buf.h"
#include "http.h"
#include "mock_faults.h"
#include "mock_vendor.h"

enum { MOCK_BODY_BYTES_MAX = 64 * 1024 * 1024 };

struct mock_answer {
    int status;
    struct http_headers headers;
    struct mock_fault fault;
    bool streams;            /* reply counts, else body */
    struct mock_reply reply; /* reply.vendor NULL: none */
    struct buf body;
    double tokens_per_second; /* of the request's header; < 0: none */
    yyjson_doc *doc;
};

struct mock_question {
    const struct http_head *head;
    struct str body;
    uint64_t number;    /* of the request, from 1 */
    uint64_t created_s; /* Unix time */
};

void mock_answer_make(struct mock_answer *ans, struct arena *a, const struct mock_question *q);
void mock_answer_done(struct mock_answer *ans);

/* An error in the vendor's shape, into ans->body. */
void mock_answer_error(struct mock_answer *ans, struct arena *a, bool anthropic, uint64_t number,
                       int status, struct str message);

/* "/openai/v1/messages?x" gives "/v1/messages"; "" when there is no /v1. */
struct str mock_route(struct str target);
/* A value of the query string, or p == NULL. */
struct str mock_query(struct str target, struct str name);

#endif

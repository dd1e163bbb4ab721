/*
 * mock_exchange.h - one exchange of the simulator: takes the request, then writes the
 * answer at the speed asked for, with the fault asked for.
 *
 * Contract
 *   Lifetime   mock_exchange_new() from on_request(); the exchange frees itself when its
 *              reply is ended or the client is gone.
 *   Back-pressure  nothing is made while more than CONN_HIGH_BYTES are queued.
 */
#ifndef MOCK_EXCHANGE_H
#define MOCK_EXCHANGE_H

#include "mock_record.h"
#include "server.h"

struct mock {
    struct loop *loop;
    struct mock_records records;
    uint64_t requests; /* so far; numbers them from 1 */
    double tokens_per_second;
};

struct mock_exchange;

void mock_exchange_new(struct mock *m, struct server_stream *s, const struct http_head *head);

/* For struct server_handler; user is the exchange. */
void mock_exchange_body(void *user, struct str bytes);
void mock_exchange_end(void *user);
void mock_exchange_drain(void *user);
void mock_exchange_gone(void *user);

#endif

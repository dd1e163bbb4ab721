/*
 * error.h - errors of upstreams in a client's words (A5 and C5 of protocols.md).
 *
 * Contract
 *   Output     never an upstream's URL or key: only its message, type and code are read.
 *   Ownership  texts are slices of what was given, live in the arena, or are static.
 */
#ifndef ERROR_H
#define ERROR_H

#include <stdbool.h>

#include "codec.h"
#include "event.h"

/* Reads whatever stands for an error in a body or an event: {"error":{..}}, {"error":"text"},
 * {"type":"error",..}, {"code":..,"message":..}, {"message":..}, {"detail":[..]}, [{"error":..}]
 * (E127, E213).  status: what is known from HTTP; 200 (an error
 * body with a good status): the number in it, else 502 (A5.2); 0 (an event): the number in it, else
 * by its type and code. */
void error_of(struct json_edit *e, struct arena *a, struct json_node *root, int status,
              struct event_error *ret);

/* The client's words (A5.1): error.type; error.code (empty: null). */
struct str error_type(enum protocol client, const struct event_error *error);
struct str error_code(enum protocol client, const struct event_error *error);
/* Responses' response.error.code of a failed stream (C5, K). */
struct str error_response_code(const struct event_error *error);
/* The status to send (A5.2: 529 and 503). */
int error_status(enum protocol client, const struct event_error *error);

/* {"type":..,"message":..,...}: the object inside of `error` as the client reads it. */
void error_write(enum protocol client, const struct event_error *error, struct json_out *o);

#endif

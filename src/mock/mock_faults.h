/*
 * mock_faults.h - faults on demand: what a request asks to go wrong, and what that does to
 * the bytes of the reply.  Does no I/O.
 *
 * Grammar of a fault (header x-mock-fault; model "mock-FAULT" or "...:mock:FAULT"):
 *   status-N        HTTP status N, with an error body of the vendor's shape
 *   stall-headers   takes the request, never answers
 *   reset-early     RST before the status
 *   slow-first-N    N ms before the status
 *   slow-head-N     the status at once, the first byte of the body after N ms
 *   flood-headers   70 KiB of reply header
 *   stall           stops after a few events, the connection stays open
 *   cut             breaks off inside an event: FIN, no last chunk (HTTP/2: RST_STREAM)
 *   cut-clean       ends the HTTP message at an event's end, without the terminal event
 *   reset           RST inside an event
 *   invalid-json    one event in the middle is broken JSON
 *   error-event     an error event after some text, then the end
 *   huge-event-N    one text delta of N MiB
 *   no-blank-end    the last event lacks its empty line
 *   gzip            the body is gzip-coded, each event flushed
 *   crlf            CRLF line ends
 *   one-byte        one byte per write
 * Anything else is no fault.  "In the middle" is after 3 tokens, or before the end.
 */
#ifndef MOCK_FAULTS_H
#define MOCK_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "mock_vendor.h"
#include "str.h"

enum mock_fault_kind {
    MOCK_FAULT_NONE,
    MOCK_FAULT_STATUS,
    MOCK_FAULT_STALL_HEADERS,
    MOCK_FAULT_RESET_EARLY,
    MOCK_FAULT_SLOW_FIRST,
    MOCK_FAULT_SLOW_HEAD,
    MOCK_FAULT_FLOOD_HEADERS,
    MOCK_FAULT_STALL,
    MOCK_FAULT_CUT,
    MOCK_FAULT_CUT_CLEAN,
    MOCK_FAULT_RESET,
    MOCK_FAULT_INVALID_JSON,
    MOCK_FAULT_ERROR_EVENT,
    MOCK_FAULT_HUGE_EVENT,
    MOCK_FAULT_NO_BLANK_END,
    MOCK_FAULT_GZIP,
    MOCK_FAULT_CRLF,
    MOCK_FAULT_ONE_BYTE,
};

struct mock_fault {
    enum mock_fault_kind kind;
    uint64_t number;
};

/* What happens once the bytes have been written. */
enum mock_then { MOCK_THEN_MORE, MOCK_THEN_END, MOCK_THEN_ABORT, MOCK_THEN_RESET, MOCK_THEN_STALL };

/* The header, if it names a fault, else the model. */
struct mock_fault mock_fault_find(struct str header, struct str model);

/* The next bytes of a stream, the fault done to them, into an empty out.
 * tokens: counts those given so far. */
enum mock_then mock_fault_next(struct mock_fault fault, struct mock_reply *r, uint64_t *tokens,
                               struct buf *out);
/* The same for a body that is no stream. */
enum mock_then mock_fault_body(struct mock_fault fault, struct buf *body);
/* False when the fault changes the body's length or coding. */
bool mock_fault_keeps_length(struct mock_fault fault);

#endif

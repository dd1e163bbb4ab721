/*
 * mock_faults.h - faults on demand: what a request asks to go wrong, and what that does to
 * the bytes of the reply.  Does no I/O.
 *
 * A fault is a name of mock_faults.def, in the header x-mock-fault or as the model
 * "mock-FAULT" or "...:mock:FAULT".
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
#define FAULT(name, number, kind, help) MOCK_FAULT_##kind,
#include "mock_faults.def"
#undef FAULT
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

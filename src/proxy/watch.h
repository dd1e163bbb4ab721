/*
 * watch.h - reads along while a reply passes: has it begun, is it over, what did it use.
 *
 * Contract
 *   Input      whole SSE events, verbatim (watch_events), or a whole JSON reply
 *              (watch_json).  Nothing is changed.  The last event may lack its empty line or
 *              be cut off; then what is known of it counts.
 *   Output     the members of struct watch.  What follows the end changes only `events` and
 *              `next_sequence`.  [DONE] ends chat, and messages whose stop reason is known.
 *   Cost       linear, mostly one look at each line; only the few events that carry usage or
 *              ids are parsed.
 *   Limits     ids and model names over their array's size are cut.
 */
#ifndef WATCH_H
#define WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"
#include "str.h"

enum watch_end {
    WATCH_OPEN,     /* no end in sight: the stream is broken if it ends now */
    WATCH_FINISHED, /* the stop reason is known, only the last marker is missing */
    WATCH_ENDED,    /* terminal event seen */
    WATCH_FAILED,   /* the upstream's own error event seen */
};

struct usage {
    int64_t input_tokens, output_tokens, cache_read_tokens, cache_write_tokens; /* -1: unknown */
};

struct watch {
    enum protocol protocol;
    bool begun; /* message_start or response.created has passed */
    enum watch_end end;
    int64_t next_sequence; /* responses */
    uint64_t events;
    struct usage usage;
    char response_id[72];
    char model[72];
};

void watch_init(struct watch *w, enum protocol protocol);
void watch_events(struct watch *w, struct str events);
void watch_json(struct watch *w, struct str body);

#endif

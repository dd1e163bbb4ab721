/*
 * flow.h - what emit() remembers of a reply's parts; for emit.c and convert.c only.
 */
#ifndef FLOW_H
#define FLOW_H

#include "codec.h"

enum { FLOW_PARTS_MAX = 16 * 1024 };

enum flow_shape {
    FLOW_AS_IS,
    FLOW_UNWRAP_TEXT,  /* a function's {"input":..} is a custom tool's text to the client */
    FLOW_WRAP_TEXT,    /* the reverse */
    FLOW_UNWRAP_VALUE, /* {"value":..} is the arguments, or the structured output (C1.6) */
};

struct flow_part {
    enum part_kind kind; /* as the client gets it */
    enum flow_shape shape;
    bool open;
    uint64_t call_hash; /* of the call's id */
    struct text_held half;
    struct buf held; /* not AS_IS: the whole, to be reshaped at the stop */
};

struct flow {
    bool started;
    struct flow_part *parts;
    uint32_t part_count, part_cap, open_count, call_count;
    size_t held_bytes;
};

void flow_done(struct flow *f); /* a zeroed one is ready for use */

#endif

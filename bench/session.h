/*
 * session.h - what a coding agent sends, and what a model answers, made up from a seed.
 */
#ifndef SESSION_H
#define SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "convert.h"
#include "protocol.h"

/* What a stream consists of. */
enum session_delta {
    SESSION_TEXT,
    SESSION_THINKING,
    SESSION_ARGUMENTS,
    SESSION_DELTA_COUNT,
};

/* Pieces of a stream: what begins it, one event of it, what ends it. */
enum session_piece {
    SESSION_BEGIN,
    SESSION_DELTA,
    SESSION_END,
};

/* A request of about this many bytes: 40 tools, then turns of prose (CJK too), code, calls with
 * long arguments and their results.  The same seed gives the same bytes. */
void session_request(enum protocol p, uint64_t seed, size_t bytes, struct buf *out);
/* A request of this many messages, a few bytes each. */
void session_tiny(enum protocol p, size_t messages, struct buf *out);
/* A whole stream, as an upstream sends it, with this many deltas in one part. */
void session_stream(enum protocol p, enum session_delta kind, size_t deltas, struct buf *out);
/* One piece of it; the bytes are constant. */
struct str session_piece(enum protocol p, enum session_delta kind, enum session_piece piece);

/* A conversion between two protocols, the upstream with the default profile. */
struct convert *session_convert(enum protocol client, enum protocol upstream);

#endif

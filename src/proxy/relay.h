/*
 * relay.h - the way back: an upstream's reply to the client, as it comes.
 *
 * Contract
 *   Bytes      are passed on as they came.  Event streams are passed on event by
 *              event: an event that has not arrived whole is held back, so that a
 *              keep-alive or an error event always stands between two events; one over
 *              RELAY_HOLD_BYTES is passed on in pieces.  A stream in a
 *              content-encoding is decoded.
 *   Pressure   reading from the upstream stops while the client's queue is over
 *              CONN_HIGH_BYTES, 8 KiB: with what is under way then, a client that stalls
 *              has at most 64 KiB of ours, but for an event that is held.
 *   Ends       an event stream that ends without its protocol's last event ends with the
 *              protocol's error event (docs/adapters.md section 8.4), or, when that cannot be
 *              put between two events, as a broken connection.
 *   Owner      the request.
 */
#ifndef RELAY_H
#define RELAY_H

#include <stdint.h>

#include "request.h"
#include "sse.h"

enum { RELAY_HOLD_BYTES = 128 * 1024 };

enum relay_mode {
    RELAY_VERBATIM,      /* any bytes */
    RELAY_EVENTS,        /* a stream of one of the three protocols */
    RELAY_FOLD,          /* a stream that becomes one JSON reply */
    RELAY_SWALLOW,       /* an error reply that comes after we began the stream ourselves */
    RELAY_CONVERT,       /* a reply that changes its shape (relay_convert.h) */
    RELAY_CONVERT_ERROR, /* an error status instead of such a reply */
    RELAY_RENAME,        /* a JSON reply in which the model gets the client's name */
    RELAY_COUNT,         /* the answer to a count of tokens that was converted */
};

enum relay_shape { RELAY_SHAPE_UNKNOWN, RELAY_SHAPE_EVENTS, RELAY_SHAPE_WHOLE };

#define RELAY_EVENTS_TYPE S("text/event-stream; charset=utf-8")

struct fold;
struct coding;

struct relay {
    enum relay_mode mode;
    struct watch watch;
    struct watch *pending; /* what watch becomes when the event passed in pieces is whole */
    struct sse_splitter splitter;
    bool in_pieces;        /* part of an unfinished event has been passed on */
    struct buf held;       /* an unfinished event */
    struct coding *coding; /* undoes the stream's content-encoding; NULL: none */
    struct fold *fold;
    struct http_head *folded; /* the upstream's head, in request->work */
    enum relay_shape shape;   /* RELAY_CONVERT: of what the upstream sends */
    struct buf body; /* RELAY_SHAPE_WHOLE, RELAY_CONVERT_ERROR, RELAY_COUNT, RELAY_RENAME: it */
    struct buf converted; /* what may not be sent yet */
    struct buf capture;   /* copy of the reply for usage, error and test logs */
    int upstream_status;
    struct str upstream_request_id;
    struct str error_type; /* of an error reply, for the log */
    int64_t last_in_ns, last_out_ns;
    size_t bulk_bytes; /* relay_note_bulk() */
    bool paused;
};

/* The upstream's head has come. */
void relay_begin(struct request *r, const struct http_head *head);
/* When the client's stream begins without the upstream's status or first content; 0: never. */
int64_t relay_open_ns(const struct request *r);
/* It is time: 200 and a comment now. */
void relay_open(struct request *r);
void relay_bytes(struct request *r, struct str bytes);
void relay_end(struct request *r);
/* The upstream broke off in its reply.  False: that fails the request; else it is settled. */
bool relay_broken(struct request *r);
/* Is only the upstream's end awaited, for a while? */
bool relay_is_over(const struct request *r);
/* Ends a reply that has begun, for request->err. */
void relay_fail(struct request *r);
void relay_drain(struct request *r);
/* Sends keep-alives that are due, fails the request when the upstream has been silent too
 * long.  Gives the time of the next look, or 0. */
int64_t relay_tick(struct request *r, int64_t now_ns);
void relay_free(struct relay *relay);
void relay_put(struct request *r, struct str bytes); /* to the client, with back-pressure */
/* n more bytes of a reply that is no stream: once it is long, its window is opened wide. */
void relay_note_bulk(struct request *r, size_t n);

#endif

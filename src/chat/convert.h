/*
 * convert.h - one exchange between a client that speaks one protocol and an upstream that
 * speaks another (or the same, when the reply changes between stream and whole).
 *
 * Contract
 *   Order      convert_new(); convert_request() once; then one of the replies: bytes of a
 *              stream by convert_feed() and convert_end(), or a whole body by convert_body().
 *   Input      any split of a stream.
 *   Output     is added to `out`; whole SSE events, or one whole JSON body.
 *   Held back  until convert_begun() nothing of the output may be sent: an error may still
 *              become a plain HTTP reply (C4.0).
 *   Same bytes the same client request gives the same upstream bytes (C1.1).
 *   Memory     convert_request() needs `work` only while it runs; what the reply needs of the
 *              request is copied to an arena of its own.  A stream keeps what its client's
 *              protocol demands at the end, at most reply_limit_bytes.
 *   Errors     E_BAD_REQUEST with convert_error() in the client's terms; E_UPSTREAM_EVENT,
 *              E_UPSTREAM_STREAM while no output has begun; afterwards the error is part
 *              of the output.
 *   Pure       no socket, clock or global.
 */
#ifndef CONVERT_H
#define CONVERT_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "event.h"
#include "json.h"
#include "must.h"
#include "profile.h"
#include "protocol.h"
#include "str.h"

struct convert;

struct convert_options {
    enum protocol client, upstream;
    const struct profile *profile; /* copied */
    struct str upstream_name;      /* tags envelopes; copied */
    struct str upstream_model;     /* sent instead of the client's; empty: the client's */
    struct str reply_id;         /* for replies whose upstream gave no id: 24 letters and digits */
    int64_t now_s;               /* for `created` when the upstream says nothing */
    bool upstream_streams;       /* ask the upstream for a stream whatever the client asked */
    bool upstream_never_streams; /* never ask it */
    bool client_plain;           /* the client did not ask for a stream, whatever the body says */
    bool same_vendor;            /* file ids of the client's protocol mean something upstream */
    bool strict;                 /* losses are errors */
    bool count_only;             /* a count_tokens / input_tokens body: no max_tokens, no stream */
    bool drop_reasoning;         /* the repair of 0.7 (7): leave out all replayed reasoning */
    bool explain;                /* for convert_explain() */
    bool checked;                /* the request's body is known to be valid JSON */
    size_t reply_limit_bytes;
};

struct convert *convert_new(const struct convert_options *o);
void convert_free(struct convert *c); /* takes NULL */

/* body: the client's, valid JSON or not (then E_BAD_JSON).  out gets the upstream's body;
 * on an error nothing. */
int convert_request(struct convert *c, struct arena *work, struct str body, struct buf *out)
    MUST_CHECK;
/* With `explain`, after convert_request() and while its `work` lives: a line for each kind of
 * member below the top level of the client's body ("messages[user].content[text].citations"), at
 * most 1,000, that says whether the conversion has read it. */
void convert_explain(struct convert *c, struct buf *out);
/* Instead of convert_request(), with count_only: only reads the body, for convert_estimate(). */
int convert_count(struct convert *c, struct arena *work, struct str body) MUST_CHECK;
/* With count_only, once the body was read: tokens of the request as far as they can be known
 * here, at least 1.  Then convert_warnings() says that it is an estimate. */
int64_t convert_estimate(struct convert *c);
/* Instead of convert_request(): the body is in the upstream's protocol already and goes there as
 * it is; only the reply is converted. */
int convert_adopt(struct convert *c, struct arena *work, struct str body, bool client_streams)
    MUST_CHECK;
/* After E_BAD_REQUEST or E_BAD_JSON: a sentence for the client, and the member that is wrong. */
struct str convert_error(const struct convert *c);
struct str
convert_error_param(const struct convert *c); /* "messages.0.content.1.type"; may be empty */
/* Value of x-cc-proxy-warning, at most 1,024 bytes; empty: nothing was lost. */
struct str convert_warnings(const struct convert *c);
bool convert_client_streams(const struct convert *c);
bool convert_asks_stream(const struct convert *c); /* was the upstream asked for one */
bool convert_local_reply(const struct convert *c); /* max_tokens 0: answer without the upstream */
struct str convert_model(const struct convert *c); /* what the client asked for */

/* The reply to convert_local_reply(): no content, no tokens. */
void convert_empty_reply(struct convert *c, struct buf *out);

int convert_feed(struct convert *c, struct str bytes, struct buf *out) MUST_CHECK;
int convert_end(struct convert *c, struct buf *out) MUST_CHECK;
int convert_body(struct convert *c, struct str body, struct buf *out) MUST_CHECK;
/* Nothing has come for 5 s: ends a reply whose finish is known. */
int convert_idle(struct convert *c, struct buf *out) MUST_CHECK;
/* Ends a stream that broke (connection lost, idle too long): the client's error ending.  Before
 * convert_begun(): adds nothing and returns err. */
int convert_fail(struct convert *c, int err, struct str message, struct buf *out) MUST_CHECK;

/* The same for an error that the upstream gave in its own words, after convert_open(). */
int convert_upstream_error(struct convert *c, const struct event_error *error, struct buf *out)
    MUST_CHECK;

/* The client's head is out already (a keep-alive had to be sent): an error is now an event. */
void convert_open(struct convert *c);
bool convert_begun(const struct convert *c);         /* output may be sent */
bool convert_ended(const struct convert *c);         /* the client has its terminal event or body */
bool convert_waits_for_end(const struct convert *c); /* finish known, end not; see convert_idle() */
bool convert_created(const struct convert *c);       /* the first event is out (keep-alives) */
/* The event or body that is no JSON object, for the log.  It is the upstream's: it may hold
 * anything. */
struct convert_unread {
    size_t bytes; /* its length; 0: all could be read */
    struct json_error error;
    struct str beginning; /* at most 500 bytes; not always UTF-8 */
};
const struct convert_unread *convert_unread(const struct convert *c);
/* Why it failed, when it did: status, type, code, message. */
const struct event_error *convert_failure(const struct convert *c);
/* The E_ code of a failure that was found here; 0 when there is none or the upstream told of it. */
int convert_cause(const struct convert *c);
const struct event_usage *convert_usage(const struct convert *c);

/* ---- errors before a stream (A5.2) ---- */

/* Reads an upstream's error reply, whatever its body is.  Texts live in the arena. */
void convert_error_read(struct arena *a, int status, struct str body, struct event_error *ret);
/* Writes the client's body, or its event, for it; gives the status to send.  request_id may be
 * empty. */
int convert_error_write(enum protocol client, const struct event_error *error,
                        struct str request_id, struct buf *out);

#endif

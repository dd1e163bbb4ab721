/*
 * request.h - one proxied exchange, from the client's head to the last byte back.
 *
 * Contract
 *   Owner      the worker's list.  A request frees itself at the end of the loop turn in which
 *              its step `done` ran.
 *   Steps      request.c; no other file sets request->step.
 *   Memory     `arena` lives as long as the request: path, id, model.  `work` holds what is
 *              needed until the reply begins (head, body, parsed and edited forms) and
 *              is dropped then, so that a long stream holds little.  Of a body that was decoded
 *              or edited the form before is dropped at once.
 */
#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "adapter.h"
#include "arena.h"
#include "buf.h"
#include "headers.h"
#include "http.h"
#include "list.h"
#include "loop.h"
#include "pool.h"
#include "protocol.h"
#include "refusal.h"
#include "router.h"
#include "server.h"
#include "upstream.h"
#include "watch.h"
#include "worker.h"

struct step;
struct relay;
struct convert;

enum { REQUEST_FIRST_BYTES = 256 };

struct request {
    struct list link;
    struct worker *worker;
    enum service service;
    struct server_stream *stream; /* NULL once the client is gone or the reply has ended */
    const struct step *step;
    bool running;       /* request_run() is on the stack */
    struct arena arena; /* see above */
    struct arena work;
    struct arena nodes;              /* of adapting->edit, until its edits are text */
    char first[REQUEST_FIRST_BYTES]; /* of `arena` */

    /* the client's request */
    struct http_head head;
    struct route route;
    struct str id;
    struct credential credential;
    char *credential_text; /* secret.h's */
    struct buf body;       /* as received; pass-through: what came before body_started */
    struct buf decoded;    /* without its content-encoding */
    struct str edited;     /* the body with the adapter's edits, in work; empty: none changed it */
    size_t held_bytes;     /* of the body in all its forms, in worker->bodies_bytes */
    bool body_complete;
    bool body_started; /* pass-through: on_ready has come */
    uint64_t bytes_in;
    bool wants_stream;
    struct str model;
    const struct adapter *adapter;
    struct adapter_request *adapting; /* in work */
    enum protocol upstream_protocol;
    bool raw;
    int unread; /* why the body could not be read, when it may pass unread; 0: it was */
    bool force_stream;
    struct str send_body;         /* what goes upstream */
    struct str upstream_model;    /* asked for instead of `model`; empty: as it is */
    struct str shown_model;       /* raw JSON: the name to put back into a reply; empty: none */
    struct str anthropic_version; /* for Messages upstreams of other clients */
    bool strict;                  /* losses of a conversion are errors */
    struct convert *convert;      /* NULL: bodies pass in their own protocol */
    struct buf converted;         /* the body that convert made */
    bool repaired;                /* sent again without replayed reasoning */

    /* the attempt */
    const struct upstream *upstream;
    struct exchange *exchange;
    int attempts;
    bool unprocessed; /* the last attempt cannot have been acted on */
    int64_t sent_ns;
    int64_t owed_ns; /* since then the upstream owes us its status */

    /* the reply */
    struct relay *relay; /* NULL before its head */
    int status;          /* 0: nothing sent to the client yet */
    bool opened;         /* we began the stream ourselves */
    uint64_t bytes_out;
    int64_t first_byte_ns; /* 0: none yet */
    struct timeout tick;
    int err;               /* the first error; 0 */
    int64_t retry_after_s; /* for the client, when it is refused for a time */
    enum refusal refusal;  /* why the client was refused, if it was */
    struct str err_text;   /* detail for the client and the log; may be empty */
    const char *ended;     /* how: "complete", "client_gone", ... for the log */
    int64_t begin_ns;
};

/* server_handler callbacks of the two services. */
extern const struct server_handler request_server_handler;

/* For relay.c and local.c: the reply is complete, or has failed. */
void request_finish(struct request *r);
void request_fail(struct request *r, int err, struct str text); /* text is copied */
/* For relay_convert.c: the upstream did not take replayed reasoning; once more without it. */
void request_repair(struct request *r);

#endif

/*
 * fold_internal.h - what the files of fold share.
 *
 * Contract
 *   Texts      what is kept of the stream stays as JSON text, escapes and numbers as the upstream
 *              wrote them.
 *   Limits     fold_keep() is asked before anything is kept.  An object whose members are looked at
 *              has FOLD_MEMBERS_MAX at the most, so that looking them up stays linear.
 *   Errors     E_UPSTREAM_EVENT for a malformed event.
 */
#ifndef FOLD_INTERNAL_H
#define FOLD_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "fold.h"
#include "json.h"
#include "json_edit.h"
#include "sse.h"

enum {
    FOLD_MEMBERS_MAX = 256,
    FOLD_PARTS_MAX = 16 * 1024,
    FOLD_GROWN_MAX = 8, /* members of a block that deltas build */
};

/*
 * START -> OPEN -> FINISHED -> ENDED      [fold_messages_event]
 * START -> OPEN, any -> ENDED             [fold_responses_event]
 * any but ENDED -> FAILED                 [fold_fail]
 * any but FINISHED, ENDED -> BROKEN       [on_done_marker]
 */
enum fold_state {
    FOLD_START,    /* no message yet */
    FOLD_OPEN,     /* in the middle */
    FOLD_FINISHED, /* stop reason known, message_stop not seen; good enough at the end */
    FOLD_ENDED,    /* terminal event seen; what follows is ignored */
    FOLD_FAILED,   /* error event seen */
    FOLD_BROKEN,   /* [DONE] before the reply was complete */
};

/* A content block of a message, or an output item of a response. */
struct fold_part {
    uint64_t index;
    struct buf start;                 /* as it was sent */
    struct buf grown[FOLD_GROWN_MAX]; /* pieces, still escaped; see the table of deltas */
};

struct fold {
    enum protocol protocol;
    enum fold_state state;
    bool at_end; /* the decoder is giving an event that its empty line did not complete */
    size_t limit_bytes, kept_bytes;
    struct sse_decoder decoder;
    struct buf reply;         /* message_start.message, or the terminal event's response */
    struct json_edit message; /* messages: over reply */
    struct arena arena;       /* of message */
    struct fold_part **parts; /* by index; equal ones as they came */
    size_t part_count, part_cap;
    int error_status;
    struct buf error_type, error_message;
};

struct fold_event {
    struct str kind;
    yyjson_val *root;      /* an object */
    struct json_edit edit; /* the same as text */
};

int fold_keep(struct fold *f, size_t bytes) MUST_CHECK;
int fold_small(yyjson_val *object) MUST_CHECK; /* 0 when it may be looked into */

int fold_part_add(struct fold *f, const struct fold_event *ev, struct str index_name,
                  struct str raw) MUST_CHECK;
/* The last part that has the event's index, or NULL. */
struct fold_part *fold_part_find(const struct fold *f, const struct fold_event *ev,
                                 struct str index_name);

/* Remembers an error object (or NULL) for fold_error(); the result is below 0. */
int fold_fail(struct fold *f, yyjson_val *error) MUST_CHECK;

int fold_messages_event(struct fold *f, struct fold_event *ev) MUST_CHECK;
void fold_messages_result(struct fold *f, struct buf *out);

#endif

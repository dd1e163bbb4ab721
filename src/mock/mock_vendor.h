/*
 * mock_vendor.h - the three protocols as the simulator speaks them.
 *
 * Contract
 *   check()    says whether the vendor would refuse the request: 0, or the HTTP status
 *              with the vendor's words in ret_message.
 *   read()     fills the vendor's members of an ask from a request that passed; what all have
 *              in common (model, stream) is there already.
 *   render()   appends the SSE events of the reply's present step (phase and
 *              piece); may append none.
 *   body()     appends the whole reply as one JSON object.
 *   interleaves: the pieces of calls that are made at once come in turns; else call after call.
 *   error_event() appends the error event that may stand in a stream.
 */
#ifndef MOCK_VENDOR_H
#define MOCK_VENDOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

#include "buf.h"
#include "mock_plan.h"

/*
 * HEAD → THINK_OPEN → THINK* → THINK_CLOSE → TEXT_OPEN → TEXT* → TEXT_CLOSE →
 * CALL_OPEN → CALL* → CALL_CLOSE → TAIL → END; absent parts are passed over, and a further call
 * begins with CALL_OPEN again, or takes turns with the first [mock_reply_next].
 */
enum mock_phase {
    MOCK_PHASE_HEAD,
    MOCK_PHASE_THINK_OPEN,
    MOCK_PHASE_THINK,
    MOCK_PHASE_THINK_CLOSE,
    MOCK_PHASE_TEXT_OPEN,
    MOCK_PHASE_TEXT,
    MOCK_PHASE_TEXT_CLOSE,
    MOCK_PHASE_CALL_OPEN,
    MOCK_PHASE_CALL,
    MOCK_PHASE_CALL_CLOSE,
    MOCK_PHASE_TAIL,
    MOCK_PHASE_END,
};

struct mock_reply {
    const struct mock_vendor *vendor;
    struct mock_plan plan;
    enum mock_phase phase;
    size_t i;          /* the piece, in THINK, TEXT and CALL */
    uint64_t block;    /* number of the part: content block or output item */
    size_t call;       /* which one, in the phases of calls */
    uint64_t sequence; /* Responses: events so far */
};

struct mock_vendor {
    struct str name;
    bool anthropic; /* shape of errors and headers */
    bool interleaves;
    int (*check)(yyjson_val *root, struct buf *ret_message);
    void (*read)(yyjson_val *root, struct arena *a, struct mock_ask *ask);
    void (*render)(struct mock_reply *r, struct buf *out);
    void (*body)(const struct mock_plan *p, struct buf *out);
    void (*error_event)(struct mock_reply *r, struct buf *out);
};

extern const struct mock_vendor mock_messages, mock_chat, mock_responses;

/* The three files call their functions the same; behind the name: what else is to be said. */
#define MOCK_VENDOR(text, ...)                                                            \
    {                                                                                     \
        .name = S_INIT(text), .check = check_request, .read = read_ask, .render = render, \
        .body = write_body, .error_event = error_event, __VA_ARGS__                       \
    }

/* Text of a content: a string, or the last part that has a `text`. */
struct str mock_content_text(yyjson_val *content);
/* The same of what a tool said: "" when there is none, because the result itself is there. */
struct str mock_result_text(yyjson_val *content);
/* Whether a client's tool of that name may be called: the user's text can ask for another. */
bool mock_takes_tool(const struct mock_ask *ask, struct str name);
/* What the vendor's request asks for. */
void mock_ask_read(struct mock_ask *ask, const struct mock_vendor *vendor, yyjson_val *root,
                   struct arena *a);
/* For check(): says why, and gives the status. */
int mock_refused(struct buf *ret_message, struct str why);
/* "Field required" and the like for a member that must be a non-empty array. */
bool mock_is_filled_array(yyjson_val *object, struct str name);

void mock_reply_init(struct mock_reply *r, const struct mock_vendor *vendor,
                     const struct mock_plan *plan);
/* Appends the next events; false (and nothing) at the end.  ret_paced: they are one token. */
bool mock_reply_next(struct mock_reply *r, struct buf *out, bool *ret_paced);

#endif

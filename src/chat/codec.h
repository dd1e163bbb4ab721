/*
 * codec.h - what a protocol must provide, and what it may use.  Adding a protocol: one row in
 * codecs[], its functions, a column in each .def.
 *
 * Contract
 *   Requests   decode_request() reads the client's body into c->request, encode_request() writes
 *              the upstream's body from it.  Neither looks at the other protocol's name.
 *   Replies    decode_event() and decode_body() give events by emit() (emit.h); encode_event()
 * writes one event, encode_reply() the whole collected reply. Errors     E_BAD_REQUEST by
 * convert_reject(); in replies E_UPSTREAM_EVENT (malformed) or the error of emit(), which must be
 * passed up. State      a decoder's and an encoder's state lives in c->arena (decoder_size and
 * encoder_size bytes, zeroed, begun by ..._init); their done() frees what is on the heap.
 */
#ifndef CODEC_H
#define CODEC_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "buf.h"
#include "chat.h"
#include "convert.h"
#include "event.h"
#include "json_edit.h"
#include "json_out.h"
#include "must.h"
#include "profile.h"
#include "protocol.h"
#include "sse.h"

struct codec {
    struct str name;

    int (*decode_request)(struct convert *c, struct json_node *root);
    int (*encode_request)(struct convert *c, struct json_out *o);
    /* Of a body that goes upstream as it is: what the reply needs to know of it.  Refuses
     * nothing. */
    void (*adopt_request)(struct convert *c, struct json_node *root);

    const size_t *decoder_size;
    void (*decoder_init)(struct convert *c, void *decoder);
    /* One SSE event: its kind by EW1 (9) is the decoder's to find.  root: a JSON object. */
    int (*decode_event)(struct convert *c, void *decoder, struct str name, struct json_node *root);
    /* The stream is over: [DONE] or end of input.  Gives END when the reply was complete, else
     * returns E_UPSTREAM_STREAM.  done_marker: [DONE] was seen. */
    int (*decode_end)(struct convert *c, void *decoder, bool done_marker);
    int (*decode_body)(struct convert *c, void *decoder, struct json_node *root);
    void (*decoder_done)(void *decoder);

    const size_t *encoder_size;
    void (*encoder_init)(struct convert *c, void *encoder);
    int (*encode_event)(struct convert *c, void *encoder, const struct chat_event *ev);
    void (*encode_reply)(struct convert *c, const struct reply *reply, struct json_out *o);
    void (*encoder_done)(void *encoder);
};

const struct codec *codec_of(enum protocol p); /* the rows are in codec.c */

/* What each protocol's files define. */
#define CODEC_FUNCTIONS(name)                                                                    \
    int name##_decode_request(struct convert *c, struct json_node *root) MUST_CHECK;             \
    int name##_encode_request(struct convert *c, struct json_out *o) MUST_CHECK;                 \
    void name##_adopt_request(struct convert *c, struct json_node *root);                        \
    void name##_decoder_init(struct convert *c, void *decoder);                                  \
    int name##_decode_event(struct convert *c, void *decoder, struct str event,                  \
                            struct json_node *root) MUST_CHECK;                                  \
    int name##_decode_end(struct convert *c, void *decoder, bool done_marker) MUST_CHECK;        \
    int name##_decode_body(struct convert *c, void *decoder, struct json_node *root) MUST_CHECK; \
    void name##_decoder_done(void *decoder);                                                     \
    void name##_encoder_init(struct convert *c, void *encoder);                                  \
    int name##_encode_event(struct convert *c, void *encoder, const struct chat_event *ev)       \
        MUST_CHECK;                                                                              \
    void name##_encode_reply(struct convert *c, const struct reply *reply, struct json_out *o);  \
    void name##_encoder_done(void *encoder);                                                     \
    extern const size_t name##_decoder_size, name##_encoder_size

CODEC_FUNCTIONS(messages);
CODEC_FUNCTIONS(completions);
CODEC_FUNCTIONS(responses);

/* What the reply needs to know of the request (0.6).  Texts in c->arena. */
struct convert_tool {
    struct str upstream_name, name, space;
    enum chat_tool_kind kind;          /* as the client declared it */
    enum chat_tool_kind upstream_kind; /* as it was sent */
    bool wrapped;                      /* the schema was wrapped in {"value":..} (C1.6) */
};

enum { CONVERT_FIRST_BYTES = 768 }; /* names, decoder and encoder fit */

struct convert {
    struct convert_options options;
    struct profile profile;
    const struct codec *client, *upstream;

    /* the document at hand: the client's body, then each event or body of the reply */
    struct json_edit doc;
    struct arena *temp; /* lives as long as doc; what is needed longer goes to `arena` */

    struct chat_request request; /* while convert_request() runs */

    /* until the end; in arena */
    struct arena arena;
    char first[CONVERT_FIRST_BYTES]; /* of `arena` */
    struct str model;                /* the client's */
    struct str model_sent;           /* what went upstream */
    bool client_streams, asks_stream, include_usage, legacy_functions, local_reply;
    bool wants_web_search; /* the client declared a web search of its own protocol */
    bool json_tool;        /* a structured-output tool was injected: its call is the text */
    bool unwrap_value;     /* the output schema was wrapped in {"value":..} */
    struct convert_tool *tools;
    uint32_t tool_count, tool_cap;
    int64_t estimate;  /* count_only: tokens, see estimate.h */
    struct text *stop; /* the request's stop sequences */
    uint32_t stop_count;
    struct str *echo; /* Responses clients: raw values to repeat, CHAT_PARAM_COUNT; may be empty */

    struct buf warnings;
    struct buf error_text, error_param;

    /* the reply */
    struct arena scratch; /* of the event at hand; emptied after it */
    void *decoder, *encoder;
    struct buf json;    /* the event that the encoder makes; emptied after each */
    struct reply reply; /* collected, when the client does not stream */
    struct buf *out;    /* of the call at hand */
    struct event_usage usage;
    struct str reply_id; /* of START, after C1.12: as the client gets it, with its prefix */
    struct flow *flow;   /* emit's state */
    struct sse_decoder sse;
    bool done_marker, at_end;   /* [DONE] was seen; the input is over */
    struct event_error failure; /* texts in arena */
    bool begun, created, finish_known, finished, ended, failed;
    int cause; /* why it failed, when the upstream did not say so itself: an E_ code */
    struct convert_unread unread; /* text in arena */
};

/* ---- for decoders and encoders of requests ---- */

/* 400: returns E_BAD_REQUEST.  path (messages.0.content) may be empty. */
int convert_reject(struct convert *c, struct str path, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* One entry of x-cc-proxy-warning: action "dropped", "clamped", ... and a path of the client's
 * request.  Twice the same is once.  E_BAD_REQUEST in strict mode, so pass it up. */
int convert_warn(struct convert *c, const char *action, struct str path) MUST_CHECK;

/* The same for what strict mode lets pass: nothing is lost.  In a reply too: it is logged. */
void convert_note(struct convert *c, const char *action, struct str path);

struct chat_message *chat_add_message(struct convert *c, enum chat_role role); /* at the end */
struct chat_block *chat_add_block(struct convert *c, struct chat_message *m,
                                  enum chat_block_kind kind);                    /* at its end */
struct chat_block *chat_new_block(struct convert *c, enum chat_block_kind kind); /* in no list */
struct chat_tool *chat_add_tool(struct convert *c);                              /* at the end */

/* "messages.3.content.0": a path in c->temp, from its parts; n < 0 leaves the number out. */
struct str chat_path(struct convert *c, struct str base, int64_t n, struct str name);

#endif

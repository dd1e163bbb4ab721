/*
 * event.h - the neutral form of a reply: a sequence of events.
 *
 * A reply is made of parts: a text, a piece of reasoning, a call.  Decoders give events in the
 * order below, encoders write them as they come.  A reply that is not streamed is the same
 * events, given at once; a client that does not stream gets what struct reply collected.
 *
 *     START (PART_START | DELTA | CITATION | PART_STOP | USAGE)* FINISH USAGE* END
 *     [START ...] ERROR
 *
 * Contract
 *   Grammar    as above.  START comes first, once.  A part is open between its PART_START and its
 *              PART_STOP; DELTA and CITATION name an open part.  Several parts may be open at
 *              once (parallel calls, interleaved items); when FINISH comes all are stopped.
 *              Exactly one END or ERROR ends the sequence; nothing follows it.
 *              emit (convert.h) checks all this and ends with ERROR what breaks it (C6).
 *   Numbers    parts are numbered 0, 1, 2 ... in the order of their PART_START.
 *   Ownership  an event and its texts live during the call that gives it.
 */
#ifndef EVENT_H
#define EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "chat.h"
#include "str.h"
#include "text.h"

enum event_kind {
    EVENT_START,
    EVENT_PART_START,
    EVENT_DELTA,
    EVENT_CITATION,
    EVENT_PART_STOP,
    EVENT_USAGE,
    EVENT_FINISH,
    EVENT_END,
    EVENT_ERROR,
};

enum part_kind {
    PART_TEXT,
    PART_REFUSAL,   /* the text of a refusal (Chat, Responses) */
    PART_REASONING, /* deltas are readable text; a redacted one has none */
    PART_CALL,      /* deltas are pieces of the arguments, or of a CUSTOM tool's text */
    PART_SEARCH,    /* a web search that the vendor ran: one delta at most, its query */
};

/* A delta's bytes as they come from the decoder: the inside of a JSON string, which may end in
 * half a surrogate pair.  emit joins halves; encoders get a proper text. */
struct event_delta {
    struct str raw;   /* decoder -> emit */
    struct text text; /* emit -> encoder */
    /* Of a text's tokens: a JSON array, compact, with at least one {token, logprob, bytes,
     * top_logprobs}; empty: none.  With it, and only then, the text may be empty: a token can be
     * less than a character. */
    struct str logprobs;
};

struct event_citation { /* of a text part */
    struct text url, title;
    int64_t from, to; /* characters in the part; -1: the whole part so far */
};

enum stop_reason {
#define STOP(id, messages, chat, status, reason) STOP_##id,
#include "stops.def"
#undef STOP
    STOP_COUNT
};

/* Token counters, all of them "this much", none "contained in another" but as said; -1 unknown. */
struct event_usage {
    int64_t prompt;      /* the whole input, cached tokens included */
    int64_t cache_read;  /* of prompt */
    int64_t cache_write; /* of prompt */
    int64_t output;      /* the whole output, reasoning included */
    int64_t reasoning;   /* of output */
};

struct event_error {
    int status;         /* the HTTP status that fits: 400..599 */
    struct str type;    /* the upstream's own; may be empty */
    struct str code;    /* likewise */
    struct str message; /* for the client: no URL, no key */
};

/* part_start.place of the upstream's index; below 0: it has none. */
static inline int64_t event_place(int64_t index)
{
    return index >= 0 && index < INT64_MAX ? index + 1 : 0;
}

struct chat_event {
    enum event_kind kind;
    uint32_t part; /* PART_*, DELTA, CITATION */
    union {
        struct {
            struct str id;           /* the upstream's; may be empty */
            struct str model;        /* the upstream's; emit makes it what the client is to see */
            int64_t created;         /* seconds; -1 unknown */
            struct str service_tier; /* the upstream's word; may be empty */
        } start;
        struct {
            enum part_kind kind;
            int64_t place;      /* among the upstream's items or calls, from 1; 0: not said */
            struct str item_id; /* Responses: the upstream's item id; else empty */
            struct str call_id, name, space;
            enum chat_tool_kind tool; /* of a call: as the upstream sends it; emit makes it and
                                       * name, space what the client declared */
        } part_start;
        struct event_delta delta;
        struct event_citation citation;
        struct {
            struct chat_proof proof; /* of reasoning */
            bool cut;                /* broken off: length, content filter */
        } part_stop;
        struct event_usage usage; /* cumulative: replaces what was known, -1 leaves it */
        struct {
            enum stop_reason reason;
            struct text stop_sequence; /* STOP_SEQUENCE: which one */
            struct text explanation;   /* STOP_REFUSAL; may be empty */
            struct str category;       /* STOP_REFUSAL; may be empty */
            bool filtered;             /* STOP_REFUSAL: by a filter; no words are to be made up */
        } finish;
        struct event_error error;
    };
};

/* ---- a whole reply, collected from events ---- */

struct reply_citation {
    struct reply_citation *next;
    struct text url, title;
    int64_t from, to;
};

struct reply_part {
    enum part_kind kind;
    enum chat_tool_kind tool;
    bool stopped, cut;
    struct str item_id, call_id, name, space;
    struct buf text;         /* all deltas: a struct text */
    struct buf logprobs;     /* theirs, as one array; empty: none */
    struct chat_proof proof; /* texts in the reply's arena */
    struct reply_citation *citations, *last_citation;
};

struct reply {
    struct arena *arena;
    struct str id, model, service_tier; /* as START gave them (emit's) */
    int64_t created;
    struct reply_part **parts; /* by number */
    uint32_t part_count, part_cap;
    struct event_usage usage;
    bool finished, filtered;
    enum stop_reason stop;
    struct text stop_sequence, explanation;
    struct str category;
    size_t kept_bytes, limit_bytes;
};

void reply_init(struct reply *r, struct arena *a, size_t limit_bytes);
/* Takes any event but ERROR.  E_UPSTREAM_EVENT when it would keep more than limit_bytes. */
int reply_add(struct reply *r, const struct chat_event *ev) MUST_CHECK;
struct text reply_part_text(const struct reply_part *p);
void reply_done(struct reply *r);

/* Merges: what is -1 in `from` leaves `to` as it was. */
void usage_merge(struct event_usage *to, const struct event_usage *from);
extern const struct event_usage usage_unknown; /* all -1 */

#endif

/*
 * responses_items.h - what the items of a Responses reply become: parts of the neutral reply.
 * For responses_events.c and its tests.
 *
 * Contract
 *   Input      events of one item in any order and number; an item may be told by deltas, by its
 *              .done events, whole, or by several of these: its content is emitted once.
 *   Keys       output_index, else item_id, else the last item: some relays make a new item_id for
 *              every event, some leave both out.
 *   Limits     ITEMS_MAX items, then E_UPSTREAM_EVENT.
 *   Memory     items live in c->arena; items_done() frees what is on the heap.
 */
#ifndef RESPONSES_ITEMS_H
#define RESPONSES_ITEMS_H

#include <stdbool.h>
#include <stdint.h>

#include "codec.h"

enum { ITEMS_MAX = 16 * 1024 };

/* What a piece of content belongs to. */
enum item_family {
    FAMILY_NONE,
    FAMILY_TEXT,
    FAMILY_REFUSAL,
    FAMILY_SUMMARY,   /* of reasoning: what the vendor shows */
    FAMILY_REASONING, /* of reasoning: the text itself; not when there is a summary */
    FAMILY_ARGUMENTS,
    FAMILY_INPUT, /* of a custom tool */
};

enum item_kind {
    ITEM_IGNORED,
    ITEM_MESSAGE,
    ITEM_REASONING,
    ITEM_FUNCTION,
    ITEM_CUSTOM,
    ITEM_LOCAL_SHELL,
    ITEM_SHELL,
    ITEM_APPLY_PATCH,
    ITEM_TOOL_SEARCH,
    ITEM_WEB_SEARCH,
};

/* NEW -> ADDED [item_added] -> DONE [item_whole, items_finish]; NEW -> DONE as well. */
enum item_state { ITEM_NEW, ITEM_ADDED, ITEM_DONE };

struct item {
    int64_t index; /* output_index; -1: not said */
    struct str id;
    enum item_kind kind;
    enum item_state state;
    bool open; /* `part` is */
    uint32_t part;
    enum item_family family; /* of the piece at hand */
    int64_t piece;           /* content_index or summary_index at hand; -1: none yet */
    uint64_t sent_hash;      /* of the piece's bytes so far */
    size_t sent_bytes;
    bool sent_logprobs; /* with the piece */
    bool any_text;      /* in an earlier or this piece */
    uint32_t annotations;
    bool listed;        /* in the terminal event's output */
    struct str call_id; /* of a call; its beginning, once the call is started */
    struct buf held;    /* arguments of a call whose name is not known yet */
};

struct items {
    struct item **list;
    uint32_t count, cap;
    bool client_call; /* came in this reply */
};

/* The item that an event with these is about, made when it is new; NULL at the limit. */
struct item *items_get(struct convert *c, struct items *all, int64_t index, struct str id);
/* The item of the terminal event's output at `index`, by id, else by call_id, else by place and
 * kind, else the next one of its kind; made when it never came; NULL at the limit. */
struct item *items_match(struct convert *c, struct items *all, int64_t index,
                         struct json_node *node);

/* output_item.added */
int item_added(struct convert *c, struct items *all, struct item *it, struct json_node *node)
    MUST_CHECK;
/* A delta (whole: all of the piece, of which what has not come yet counts); its `text` is not
 * looked at. */
int item_piece(struct convert *c, struct item *it, enum item_family family, int64_t piece,
               const struct event_delta *delta, bool whole) MUST_CHECK;
int item_annotation(struct convert *c, struct item *it, struct json_node *node) MUST_CHECK;
/* The item at its end: what its events did not bring. */
int item_whole(struct convert *c, struct items *all, struct item *it, struct json_node *node)
    MUST_CHECK;
/* The reply is over: stops what is still open. */
int items_finish(struct convert *c, struct items *all, bool cut) MUST_CHECK;
void items_done(struct items *all);

#endif

#include "completions_calls.h"

#include "args.h"
#include "emit.h"
#include "err.h"
#include "member.h"

enum { CALLS_MAX = 1024 }; /* each piece looks through them */

enum { INDEX_NONE = -1, INDEX_LEGACY = -2 };

struct completions_call {
    struct completions_call *next;
    int64_t index;
    struct str id, name;
    bool custom, started, stopped;
    uint32_t part;
    struct buf held; /* pieces from before the start, as they came */
    struct args_scan scan;
};

void completions_calls_done(struct completions_calls *calls)
{
    for (struct completions_call *k = calls->first; k != NULL; k = k->next)
        buf_done(&k->held);
}

/* ---- which call is it ---- */

static struct completions_call *by_index(struct completions_calls *calls, int64_t index)
{
    struct completions_call *k = calls->last;
    if (k != NULL && k->index == index) /* the newest first: an index may come twice */
        return k;
    struct completions_call *found = NULL;
    for (k = calls->first; k != NULL; k = k->next)
        found = k->index == index ? k : found;
    return found;
}

static struct completions_call *by_id(struct completions_calls *calls, struct str id)
{
    struct completions_call *k = calls->first;
    while (k != NULL && !str_eq(k->id, id))
        k = k->next;
    return k;
}

/* Backends that send whole calls give them all the index of k.  Others repeat the name with each
 * piece, or make each an id of its own: those still write the same arguments. */
static bool is_another(const struct completions_call *k, struct str id, struct str name,
                       struct str piece)
{
    if (name.n == 0 || (id.n > 0 && str_eq(k->id, id)))
        return false;
    if (id.n > 0 && k->id.n > 0)
        return k->scan.complete || (!k->scan.begun && k->name.n > 0 && !str_eq(k->name, name));
    return k->scan.complete && !k->custom && !text_blank((struct text){ piece.p, piece.n });
}

static struct completions_call *find(struct completions_calls *calls, int64_t index, struct str id,
                                     struct str name, struct str piece)
{
    if (index == INDEX_NONE) {
        if (id.n > 0)
            return by_id(calls, id);
        return name.n > 0 ? NULL : calls->last;
    }
    struct completions_call *k = by_index(calls, index);
    if (k == NULL || !is_another(k, id, name, piece))
        return k;
    return id.n > 0 ? by_id(calls, id) : NULL;
}

static struct completions_call *add(struct convert *c, struct completions_calls *calls,
                                    int64_t index)
{
    if (calls->count == CALLS_MAX)
        return NULL;
    struct completions_call *k = arena_new(&c->arena, struct completions_call, 1);
    k->index = index;
    buf_init(&k->held, c->options.reply_limit_bytes);
    if (calls->last == NULL)
        calls->first = k;
    else
        calls->last->next = k;
    calls->last = k;
    calls->count++;
    return k;
}

/* ---- its pieces ---- */

static int start(struct convert *c, struct completions_call *k)
{
    struct chat_event ev = { .kind = EVENT_PART_START, .part = emit_next_part(c) };
    ev.part_start.kind = PART_CALL;
    ev.part_start.place = event_place(k->index);
    ev.part_start.call_id = k->id; /* empty: emit() makes one */
    ev.part_start.name = k->name.n > 0 ? k->name : S("unknown_tool");
    ev.part_start.tool = k->custom ? CHAT_TOOL_CUSTOM : CHAT_TOOL_FUNCTION;
    k->started = true;
    k->part = ev.part;
    int e = emit(c, &ev);
    if (e == 0 && buf_len(&k->held) > 0)
        e = emit_delta(c, k->part, buf_str(&k->held));
    buf_clear(&k->held);
    return e;
}

/* Another call goes on: those that only lack an id begin without. */
static int start_others(struct convert *c, struct completions_calls *calls,
                        const struct completions_call *current)
{
    int e = 0;
    for (struct completions_call *k = calls->first; e == 0 && k != NULL; k = k->next)
        if (k != current && !k->started && k->name.n > 0)
            e = start(c, k);
    return e;
}

/* The arguments' inside; some backends send the object itself. */
static struct str piece_of(struct convert *c, struct json_node *function, struct str name)
{
    struct json_node *n = member_node(c, function, name);
    if (n == NULL || json_type(n) == JSON_STRING)
        return text_inside(&c->doc, n);
    struct text t = text_escape(c->temp, member_raw(c, function, name));
    return (struct str){ t.p, t.n };
}

static int add_piece(struct convert *c, struct completions_call *k, struct str piece)
{
    if (piece.n == 0 || k->stopped)
        return 0;
    args_scan_feed(&k->scan, (struct text){ piece.p, piece.n });
    if (k->started)
        return emit_delta(c, k->part, piece);
    buf_add(&k->held, piece);
    return k->held.overflow ? E_UPSTREAM_EVENT : 0;
}

static int feed(struct convert *c, struct completions_calls *calls, int64_t index, struct str id,
                struct json_node *function, bool custom)
{
    struct str name = member_str(c, function, S("name"));
    struct str piece = piece_of(c, function, custom ? S("input") : S("arguments"));
    struct completions_call *k = find(calls, index, id, name, piece);
    if (k == NULL && id.n == 0 && name.n == 0 && piece.n == 0)
        return 0;
    if (k == NULL)
        k = add(c, calls, index);
    if (k == NULL)
        return E_UPSTREAM_EVENT;
    k->custom = k->custom || custom;
    if (k->id.n == 0 && id.n > 0)
        k->id = arena_str(&c->arena, id);
    if (k->name.n == 0 && name.n > 0)
        k->name = arena_str(&c->arena, name);

    int e = k == calls->current ? 0 : start_others(c, calls, k);
    calls->current = k;
    if (e == 0)
        e = add_piece(c, k, piece);
    return e == 0 && !k->started && k->id.n > 0 && k->name.n > 0 ? start(c, k) : e;
}

int completions_calls_feed(struct convert *c, struct completions_calls *calls,
                           struct json_node *entry, int64_t place)
{
    struct json_node *custom = member_node(c, entry, S("custom"));
    struct json_node *function = member_node(c, entry, S("function"));
    int64_t index = place >= 0 ? place : member_i64(c, entry, S("index"));
    return feed(c, calls, index < 0 ? INDEX_NONE : index, member_str(c, entry, S("id")),
                custom != NULL ? custom : function, custom != NULL);
}

int completions_calls_feed_legacy(struct convert *c, struct completions_calls *calls,
                                  struct json_node *function)
{
    return feed(c, calls, INDEX_LEGACY, S(""), function, false);
}

/* ---- the end ---- */

static bool complete(const struct completions_call *k)
{
    return k->custom || k->scan.complete || !k->scan.begun;
}

bool completions_calls_complete(const struct completions_calls *calls)
{
    for (const struct completions_call *k = calls->first; k != NULL; k = k->next)
        if (!complete(k))
            return false;
    return true;
}

int completions_calls_finish(struct convert *c, struct completions_calls *calls, bool cut,
                             bool cut_last)
{
    int e = 0;
    for (struct completions_call *k = calls->first; e == 0 && k != NULL; k = k->next)
        if (!k->started)
            e = start(c, k);
    for (struct completions_call *k = calls->first; e == 0 && k != NULL; k = k->next) {
        if (k->stopped)
            continue;
        k->stopped = true;
        e = emit_stop(c, k->part, NULL, (cut && !complete(k)) || (cut_last && k == calls->last));
    }
    return e;
}

#include "event.h"

#include <stdlib.h>

#include "err.h"
#include "mem.h"

const struct event_usage usage_unknown = { -1, -1, -1, -1, -1 };

void usage_merge(struct event_usage *to, const struct event_usage *from)
{
    if (from->prompt >= 0)
        to->prompt = from->prompt;
    if (from->cache_read >= 0)
        to->cache_read = from->cache_read;
    if (from->cache_write >= 0)
        to->cache_write = from->cache_write;
    if (from->output >= 0)
        to->output = from->output;
    if (from->reasoning >= 0)
        to->reasoning = from->reasoning;
}

void reply_init(struct reply *r, struct arena *a, size_t limit_bytes)
{
    *r = (struct reply){
        .arena = a, .limit_bytes = limit_bytes, .created = -1, .usage = usage_unknown
    };
}

static struct text keep_text(struct reply *r, struct text t)
{
    struct str copy = arena_str(r->arena, (struct str){ t.p, t.n });
    return (struct text){ copy.p, copy.n };
}

/* Books n bytes; false when that is over the limit. */
static bool keep(struct reply *r, size_t n)
{
    if (n > r->limit_bytes - r->kept_bytes)
        return false;
    r->kept_bytes += n;
    return true;
}

static int part_start(struct reply *r, const struct chat_event *ev)
{
    if (!keep(r, sizeof(struct reply_part) + ev->part_start.item_id.n + ev->part_start.call_id.n +
                     ev->part_start.name.n + ev->part_start.space.n))
        return E_UPSTREAM_EVENT;
    if (r->part_count == r->part_cap) {
        r->part_cap = r->part_cap == 0 ? 8 : r->part_cap * 2;
        r->parts = mem_realloc(r->parts, r->part_cap * sizeof(struct reply_part *));
    }
    struct reply_part *p = arena_new(r->arena, struct reply_part, 1);
    p->kind = ev->part_start.kind;
    p->tool = ev->part_start.tool;
    p->item_id = arena_str(r->arena, ev->part_start.item_id);
    p->call_id = arena_str(r->arena, ev->part_start.call_id);
    p->name = arena_str(r->arena, ev->part_start.name);
    p->space = arena_str(r->arena, ev->part_start.space);
    buf_init(&p->text, r->limit_bytes);
    buf_init(&p->logprobs, r->limit_bytes);
    r->parts[r->part_count++] = p;
    return 0;
}

/* [a] and [b] become [a,b]. */
static void add_logprobs(struct buf *to, struct str array)
{
    size_t n = buf_len(to);
    if (n > 0) {
        buf_truncate(to, n - 1);
        buf_add_byte(to, ',');
        array = str_slice(array, 1, array.n);
    }
    buf_add(to, array);
}

static int delta(struct reply *r, struct reply_part *p, const struct event_delta *from)
{
    if (!keep(r, from->text.n + from->logprobs.n))
        return E_UPSTREAM_EVENT;
    text_add(&p->text, from->text);
    if (from->logprobs.n > 0)
        add_logprobs(&p->logprobs, from->logprobs);
    return 0;
}

static int citation(struct reply *r, struct reply_part *p, const struct event_citation *from)
{
    if (!keep(r, sizeof(struct reply_citation) + from->url.n + from->title.n))
        return E_UPSTREAM_EVENT;
    struct reply_citation *to = arena_new(r->arena, struct reply_citation, 1);
    to->url = keep_text(r, from->url);
    to->title = keep_text(r, from->title);
    to->from = from->from;
    to->to = from->to;
    if (p->last_citation == NULL)
        p->citations = to;
    else
        p->last_citation->next = to;
    p->last_citation = to;
    return 0;
}

static int part_stop(struct reply *r, struct reply_part *p, const struct chat_event *ev)
{
    const struct chat_proof *proof = &ev->part_stop.proof;
    if (!keep(r, proof->upstream.n + proof->thinking.n + proof->opaque.n + proof->raw.n))
        return E_UPSTREAM_EVENT;
    p->stopped = true;
    p->cut = ev->part_stop.cut;
    p->proof = *proof;
    p->proof.upstream = arena_str(r->arena, proof->upstream);
    p->proof.thinking = keep_text(r, proof->thinking);
    p->proof.opaque = keep_text(r, proof->opaque);
    p->proof.raw = arena_str(r->arena, proof->raw);
    return 0;
}

static int finish(struct reply *r, const struct chat_event *ev)
{
    if (!keep(r, ev->finish.stop_sequence.n + ev->finish.explanation.n + ev->finish.category.n))
        return E_UPSTREAM_EVENT;
    r->finished = true;
    r->stop = ev->finish.reason;
    r->filtered = ev->finish.filtered;
    r->stop_sequence = keep_text(r, ev->finish.stop_sequence);
    r->explanation = keep_text(r, ev->finish.explanation);
    r->category = arena_str(r->arena, ev->finish.category);
    return 0;
}

int reply_add(struct reply *r, const struct chat_event *ev)
{
    struct reply_part *p = ev->part < r->part_count ? r->parts[ev->part] : NULL;
    switch (ev->kind) {
    case EVENT_START:
        r->id = arena_str(r->arena, ev->start.id);
        r->model = arena_str(r->arena, ev->start.model);
        r->service_tier = arena_str(r->arena, ev->start.service_tier);
        r->created = ev->start.created;
        return 0;
    case EVENT_PART_START:
        return part_start(r, ev);
    case EVENT_DELTA:
        must(p != NULL);
        return delta(r, p, &ev->delta);
    case EVENT_CITATION:
        must(p != NULL);
        return citation(r, p, &ev->citation);
    case EVENT_PART_STOP:
        must(p != NULL);
        return part_stop(r, p, ev);
    case EVENT_USAGE:
        usage_merge(&r->usage, &ev->usage);
        return 0;
    case EVENT_FINISH:
        return finish(r, ev);
    case EVENT_END:
    case EVENT_ERROR:
        break;
    }
    return 0;
}

struct text reply_part_text(const struct reply_part *p)
{
    struct str s = buf_str(&p->text);
    return (struct text){ s.p, s.n };
}

void reply_done(struct reply *r)
{
    for (uint32_t i = 0; i < r->part_count; i++) {
        buf_done(&r->parts[i]->text);
        buf_done(&r->parts[i]->logprobs);
    }
    free(r->parts);
    r->parts = NULL;
    r->part_count = r->part_cap = 0;
}

/*
 * watch_pieces.h - watches a stream as the relay does: event by event, out of pieces of `step`
 * bytes; nothing that was seen is taken back.  Used by the unit test and the fuzz harness.
 */
#ifndef WATCH_PIECES_H
#define WATCH_PIECES_H

#include "must.h"
#include "sse.h"
#include "watch.h"

static void watch_check_order(const struct watch *before, const struct watch *after)
{
    must(after->events >= before->events);
    must(after->begun >= before->begun);
    must(after->next_sequence >= 0);
    must(after->end >= before->end);
    if (before->end == WATCH_ENDED)
        must(after->end == WATCH_ENDED);
}

static struct watch watch_pieces(enum protocol protocol, struct str in, size_t step)
{
    struct watch w;
    struct sse_splitter s;
    size_t from = 0;
    watch_init(&w, protocol);
    sse_splitter_init(&s);
    for (size_t at = 0; at < in.n; at += step) {
        struct watch before = w;
        size_t n = sse_split(&s, str_slice(in, at, at + step));
        if (n == 0)
            continue;
        watch_events(&w, str_slice(in, from, at + n));
        watch_check_order(&before, &w);
        from = at + n;
    }
    watch_events(&w, str_slice(in, from, in.n));
    return w;
}

#endif

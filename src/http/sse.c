#include "sse.h"

#include <string.h>

#include "err.h"

enum { DECODER_KEEP_BYTES = 64 * 1024 };

/* The first c in [p, end), or end. */
static const char *find_byte(const char *p, const char *end, char c)
{
    const char *at = p < end ? memchr(p, c, (size_t)(end - p)) : NULL;
    return at != NULL ? at : end;
}

/*
 * Takes lines off a chunk.  `cr` is remembered from line to line: looking for LF only
 * up to it makes two passes over the chunk, however long or short the lines are.
 */
struct line_reader {
    const char *p, *end;
    const char *cr; /* the first CR at or after p, or end */
};

static struct line_reader line_reader_of(struct str chunk, bool *after_cr)
{
    struct line_reader r = { .p = chunk.p, .end = chunk.p + chunk.n };
    if (*after_cr && *r.p == '\n')
        r.p++;
    *after_cr = false;
    r.cr = find_byte(r.p, r.end, '\r');
    return r;
}

/* The next line without its end; false when the chunk has no further line end, then p is
 * where the unfinished line begins. */
static bool line_next(struct line_reader *r, bool *after_cr, struct str *ret_line)
{
    const char *eol = find_byte(r->p, r->cr, '\n');
    if (eol == r->end)
        return false;
    *ret_line = (struct str){ r->p, (size_t)(eol - r->p) };
    r->p = eol + 1;
    if (eol == r->cr) {
        *after_cr = r->p == r->end;
        if (!*after_cr && *r->p == '\n')
            r->p++;
        r->cr = find_byte(r->p, r->end, '\r');
    }
    return true;
}

void sse_splitter_init(struct sse_splitter *s)
{
    *s = (struct sse_splitter){ .line_empty = true, .event_empty = true };
}

bool sse_at_boundary(const struct sse_splitter *s)
{
    return s->line_empty && s->event_empty;
}

size_t sse_split(struct sse_splitter *s, struct str chunk)
{
    if (chunk.n == 0)
        return 0;
    struct line_reader r = line_reader_of(chunk, &s->after_cr);
    const char *boundary = sse_at_boundary(s) ? r.p : chunk.p; /* the LF of a CR before the chunk */
    struct str line;
    while (line_next(&r, &s->after_cr, &line)) {
        s->event_empty = s->line_empty && line.n == 0;
        s->line_empty = true;
        if (s->event_empty)
            boundary = r.p;
    }
    if (r.p < r.end)
        s->line_empty = false;
    return (size_t)(boundary - chunk.p);
}

void sse_decoder_init(struct sse_decoder *d, size_t limit_bytes, sse_on_event *on_event, void *ctx)
{
    must(on_event != NULL);
    *d = (struct sse_decoder){ .limit_bytes = limit_bytes, .on_event = on_event, .ctx = ctx };
    buf_init(&d->line, limit_bytes);
    buf_init(&d->name, limit_bytes);
    buf_init(&d->data, limit_bytes);
}

void sse_decoder_done(struct sse_decoder *d)
{
    buf_done(&d->line);
    buf_done(&d->name);
    buf_done(&d->data);
}

/* Most events are small: keeping their memory saves an allocation for each of a read. */
static void empty(struct buf *b)
{
    if (b->cap > DECODER_KEEP_BYTES)
        buf_clear(b);
    else
        buf_truncate(b, 0);
}

static void free_empty(struct buf *b)
{
    if (b->cap > 0 && buf_len(b) == 0)
        buf_clear(b);
}

/* An empty line: gives the event, and forgets it in any case. */
static int dispatch(struct sse_decoder *d)
{
    int e = 0;
    if (buf_len(&d->data) > 0) {
        struct sse_event ev = { .name = buf_str(&d->name), .data = buf_str(&d->data) };
        e = d->on_event(d->ctx, &ev);
    }
    empty(&d->name);
    empty(&d->data);
    d->has_data = false;
    return e < 0 ? e : 0;
}

/* More bytes on the line at hand: is the event still within its limit? */
static bool fits(const struct sse_decoder *d, size_t line_bytes)
{
    size_t used = buf_len(&d->name) + buf_len(&d->data);
    return used <= d->limit_bytes && line_bytes <= d->limit_bytes - used;
}

static int take_line(struct sse_decoder *d, struct str line)
{
    if (!fits(d, line.n))
        return E_UPSTREAM_EVENT;
    if (str_starts(line, S("\xEF\xBB\xBF")))
        line = str_slice(line, 3, line.n);
    if (line.n == 0)
        return dispatch(d);
    size_t colon = str_index(line, ':');
    struct str name = str_slice(line, 0, colon);
    struct str value = str_slice(line, colon + 1, line.n);
    if (value.n > 0 && value.p[0] == ' ')
        value = str_slice(value, 1, value.n);
    if (str_eq(name, S("data"))) {
        if (d->has_data)
            buf_add_byte(&d->data, '\n');
        buf_add(&d->data, value);
        d->has_data = true;
    } else if (str_eq(name, S("event"))) {
        empty(&d->name);
        buf_add(&d->name, value);
    }
    return 0;
}

/* A line whose last bytes are `tail`; the ones before, if any, are in d->line. */
static int take_line_end(struct sse_decoder *d, struct str tail)
{
    if (buf_len(&d->line) == 0)
        return take_line(d, tail);
    if (!fits(d, buf_len(&d->line) + tail.n))
        return E_UPSTREAM_EVENT;
    buf_add(&d->line, tail);
    int e = take_line(d, buf_str(&d->line));
    empty(&d->line);
    return e;
}

static int feed(struct sse_decoder *d, struct str chunk)
{
    struct line_reader r = line_reader_of(chunk, &d->after_cr);
    struct str line;
    while (line_next(&r, &d->after_cr, &line)) {
        int e = take_line_end(d, line);
        if (e < 0)
            return e;
    }
    struct str rest = { r.p, (size_t)(r.end - r.p) };
    if (!fits(d, buf_len(&d->line) + rest.n))
        return E_UPSTREAM_EVENT;
    buf_add(&d->line, rest);
    return 0;
}

int sse_decoder_feed(struct sse_decoder *d, struct str chunk)
{
    if (d->err == 0 && chunk.n > 0)
        d->err = feed(d, chunk);
    free_empty(&d->line); /* a stream may be silent for long now */
    free_empty(&d->name);
    free_empty(&d->data);
    return d->err;
}

int sse_decoder_end(struct sse_decoder *d)
{
    if (d->err == 0 && buf_len(&d->line) > 0)
        d->err = take_line_end(d, (struct str){ 0 });
    if (d->err == 0)
        d->err = dispatch(d);
    return d->err;
}

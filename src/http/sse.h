/*
 * sse.h - text/event-stream (EW1 of protocols.md).  Does no I/O.
 *
 * Two readers: the splitter finds where events end, for passing bytes on verbatim;
 * the decoder gives the events themselves.
 *
 * Contract (splitter)
 *   Input      any split of the byte stream; CR, LF and CRLF line ends, mixed.
 *   Output     sse_split() says how many bytes of the chunk, from its beginning, end with
 *              the last complete event (after its empty line), and keeps state for
 *              the rest.  Comment blocks and stray empty lines end like events.
 *              sse_at_boundary() holds exactly when every byte so far was counted.
 *   Cost       linear in the chunk, whatever came before.
 *
 * Contract (decoder)
 *   Input      any split, as above; a BOM at the start of a line is skipped.
 *   Output     one on_event() per event with data, in order.  Slices die when it returns.
 *   Ownership  owns its line buffer.
 *   Limits     name, data and the line at hand over limit_bytes are E_UPSTREAM_EVENT.
 *   Cost       linear; memory above 64 KiB is given back after each event.
 *   End        sse_decoder_end() treats an unfinished last line as complete and gives the
 *              pending event; the caller decides whether to believe it.
 *   Errors     sticky.
 */
#ifndef SSE_H
#define SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "must.h"
#include "str.h"

struct sse_splitter {
    bool after_cr;    /* the last byte was CR: a LF next belongs to it */
    bool line_empty;  /* nothing on this line yet */
    bool event_empty; /* no line since the last empty line */
};

void sse_splitter_init(struct sse_splitter *s);
/* 0: no event ends in the chunk.  An empty line that ends with the chunk's last byte, a CR, ends
 * the event; a LF that begins the next chunk then belongs to it and is counted there. */
size_t sse_split(struct sse_splitter *s, struct str chunk);
bool sse_at_boundary(const struct sse_splitter *s); /* between two events */

struct sse_event {
    struct str name; /* empty when the stream named none */
    struct str data; /* data lines joined by LF */
};

typedef int sse_on_event(void *ctx, const struct sse_event *ev); /* < 0 stops, sticky */

struct sse_decoder {
    struct buf line; /* an unfinished line */
    struct buf name;
    struct buf data;
    bool has_data; /* a data line was there, perhaps an empty one */
    bool after_cr; /* the last byte was CR: a LF next belongs to it */
    int err;
    size_t limit_bytes;
    sse_on_event *on_event;
    void *ctx;
};

void sse_decoder_init(struct sse_decoder *d, size_t limit_bytes, sse_on_event *on_event, void *ctx);
int sse_decoder_feed(struct sse_decoder *d, struct str chunk) MUST_CHECK;
int sse_decoder_end(struct sse_decoder *d) MUST_CHECK; /* nothing may be fed after it */
void sse_decoder_done(struct sse_decoder *d);

#endif

/*
 * Checks: the verdict is the same for the whole stream, for its events one by one, and for the
 * events that the SSE decoder gives; a reply that is over stays over.
 * The first byte of the input chooses the protocol and the pieces' length.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../tests/unit/watch_pieces.h"
#include "sse.h"
#include "watch.h"

/* Each event as a stream of its own, its lines as they came. */
static int on_event(void *ctx, const struct sse_event *ev)
{
    struct watch *w = ctx;
    struct buf text;
    struct str rest = ev->data, line;
    buf_init(&text, SIZE_MAX);
    buf_add(&text, S("event: "));
    buf_add(&text, ev->name);
    while (str_next(&rest, '\n', &line)) {
        buf_add(&text, S("\ndata: "));
        buf_add(&text, line);
    }
    watch_events(w, buf_str(&text));
    buf_done(&text);
    return 0;
}

static struct watch watch_decoded(enum protocol protocol, struct str in)
{
    struct watch w;
    struct sse_decoder d;
    watch_init(&w, protocol);
    sse_decoder_init(&d, SIZE_MAX / 2, on_event, &w);
    must(sse_decoder_feed(&d, in) == 0);
    must(sse_decoder_end(&d) == 0);
    sse_decoder_done(&d);
    return w;
}

static void must_be_same(const struct watch *a, const struct watch *b)
{
    must(a->begun == b->begun);
    must(a->end == b->end);
    must(a->events == b->events);
    must(a->next_sequence == b->next_sequence);
    must(memcmp(&a->usage, &b->usage, sizeof(a->usage)) == 0);
    must(strcmp(a->model, b->model) == 0);
    must(strcmp(a->response_id, b->response_id) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return 0;
    enum protocol protocol = (enum protocol)(bytes[0] % PROTOCOL_COUNT);
    size_t step = bytes[0] / PROTOCOL_COUNT % 16 + 1;
    struct str in = { (const char *)bytes + 1, n - 1 };

    struct watch whole;
    watch_init(&whole, protocol);
    watch_events(&whole, in);
    struct watch pieces = watch_pieces(protocol, in, step);
    must_be_same(&whole, &pieces);
    struct watch decoded = watch_decoded(protocol, in);
    must_be_same(&whole, &decoded);
    watch_json(&whole, in);
    return 0;
}

/*
 * Checks: a Responses upstream's bytes give events in the grammar of event.h; each client gets
 * the same bytes and the same outcome whether they come at once or in pieces; what a
 * Responses client gets is itself a stream that our reader takes, to the end when the
 * upstream's came to its end, and with the same texts and log probabilities.
 * The first byte of the input chooses the pieces' length, and whether it is a stream or a body.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../tests/unit/reply_run.h"
#include "codec.h"

enum { LIMIT = 1 << 20, PARTS = 64 * 1024 };

/* ---- the grammar of events ---- */

struct checker {
    bool started, finished, ended;
    uint32_t parts, open;
    unsigned char state[PARTS]; /* 1 open, 2 stopped */
    unsigned char kind[PARTS];
    struct buf texts[PART_SEARCH + 1];
    struct buf logprobs;
};

static const size_t checker_size = sizeof(struct checker);

static void checker_init(struct convert *c, void *encoder)
{
    struct checker *k = encoder;
    (void)c;
    for (size_t i = 0; i < ARRAY_LEN(k->texts); i++)
        buf_init(&k->texts[i], 4 * LIMIT);
    buf_init(&k->logprobs, 4 * LIMIT);
}

static void checker_done(void *encoder)
{
    struct checker *k = encoder;
    for (size_t i = 0; i < ARRAY_LEN(k->texts); i++)
        buf_done(&k->texts[i]);
    buf_done(&k->logprobs);
}

static void check_part(struct checker *k, const struct chat_event *ev)
{
    if (ev->kind == EVENT_PART_START) {
        must(ev->part == k->parts && k->parts < PARTS && !k->finished);
        must(ev->part_start.kind != PART_CALL || ev->part_start.call_id.n > 0);
        must(ev->part_start.kind != PART_CALL || ev->part_start.name.n > 0);
        k->kind[k->parts] = (unsigned char)ev->part_start.kind;
        k->state[k->parts++] = 1;
        k->open++;
        return;
    }
    must(ev->part < k->parts && k->state[ev->part] == 1);
    if (ev->kind == EVENT_DELTA) {
        must(ev->delta.text.n > 0 || ev->delta.logprobs.n > 0);
        must(ev->delta.logprobs.n == 0 || k->kind[ev->part] == PART_TEXT);
        text_add(&k->texts[k->kind[ev->part]], ev->delta.text);
        buf_add(&k->logprobs, ev->delta.logprobs);
    }
    if (ev->kind == EVENT_PART_STOP) {
        k->state[ev->part] = 2;
        k->open--;
    }
}

static int checker_event(struct convert *c, void *encoder, const struct chat_event *ev)
{
    struct checker *k = encoder;
    (void)c;
    must(!k->ended);
    must(k->started == (ev->kind != EVENT_START) || ev->kind == EVENT_ERROR);
    k->started = true;
    switch (ev->kind) {
    case EVENT_START:
    case EVENT_USAGE:
        break;
    case EVENT_PART_START:
    case EVENT_DELTA:
    case EVENT_CITATION:
    case EVENT_PART_STOP:
        check_part(k, ev);
        break;
    case EVENT_FINISH:
        must(k->open == 0 && !k->finished);
        k->finished = true;
        break;
    case EVENT_END:
        must(k->finished);
        k->ended = true;
        break;
    case EVENT_ERROR:
        must(ev->error.status >= 400 && ev->error.status <= 599);
        k->ended = true;
        break;
    }
    return 0;
}

static const struct codec checker = {
    .encoder_size = &checker_size,
    .encoder_init = checker_init,
    .encode_event = checker_event,
    .encoder_done = checker_done,
};

/* ---- runs ---- */

static struct convert *converter(enum protocol client, bool streams)
{
    struct convert *c = reply_convert(&(struct reply_run){
        .upstream = PROTOCOL_RESPONSES, .client = client, .limit_bytes = LIMIT });
    c->client_streams = streams;
    c->wants_web_search = true;
    return c;
}

static int run(struct convert *c, struct str in, bool body, size_t step, struct buf *out)
{
    int r = 0;
    buf_init(out, 64 * LIMIT);
    if (body)
        return convert_body(c, in, out);
    for (size_t at = 0; at < in.n && r == 0; at += step)
        r = convert_feed(c, str_slice(in, at, at + step), out);
    return r == 0 ? convert_end(c, out) : r;
}

static void check_client(enum protocol client, bool streams, struct str in, bool body, size_t step)
{
    struct buf one, other;
    struct convert *a = converter(client, streams), *b = converter(client, streams);
    if (a->client->encode_event != NULL) {
        int r = run(a, in, body, SIZE_MAX / 2, &one);
        int s = run(b, in, body, step, &other);
        must(r == s);
        must(str_eq(buf_str(&one), buf_str(&other)));
        must(r == 0 || !convert_begun(a)); /* what it wrote may be thrown away */
        must(convert_ended(a) || r != 0);
        buf_done(&one);
        buf_done(&other);
    }
    convert_free(a);
    convert_free(b);
}

/* Our own Responses stream, read again: the same texts. */
static void check_again(struct convert *first, struct str in, bool body)
{
    struct buf out, none;
    struct checker *before = first->encoder, *after;
    struct convert *c = converter(PROTOCOL_RESPONSES, true);
    struct convert *again = converter(PROTOCOL_RESPONSES, true);
    int r = run(c, in, body, SIZE_MAX / 2, &out);
    again->client = &checker;
    if (r == 0) {
        int s = run(again, buf_str(&out), false, SIZE_MAX / 2, &none);
        bool failed = convert_failure(c) != NULL;
        must(failed == (convert_failure(again) != NULL));
        must(failed || s == 0);
        after = again->encoder;
        if (!failed) {
            must(str_eq(buf_str(&before->texts[PART_TEXT]), buf_str(&after->texts[PART_TEXT])));
            must(str_eq(buf_str(&before->texts[PART_REASONING]),
                        buf_str(&after->texts[PART_REASONING])));
            must(str_eq(buf_str(&before->logprobs), buf_str(&after->logprobs)));
        }
        buf_done(&none);
    }
    buf_done(&out);
    convert_free(c);
    convert_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct buf out;
    if (n == 0)
        return 0;
    size_t step = bytes[0] % 16 + 1;
    bool body = bytes[0] >= 128;
    struct str in = { (const char *)bytes + 1, n - 1 };
    struct convert *c = converter(PROTOCOL_RESPONSES, true);
    c->client = &checker;
    (void)!run(c, in, body, SIZE_MAX / 2, &out);
    buf_done(&out);
    check_again(c, in, body);
    convert_free(c);
    for (int client = 0; client < PROTOCOL_COUNT; client++) {
        check_client((enum protocol)client, true, in, body, step);
        check_client((enum protocol)client, false, in, body, step);
    }
    return 0;
}

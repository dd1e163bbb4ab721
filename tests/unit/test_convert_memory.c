/*
 * Goal: a request of 1 MiB is converted with at most three times its size in memory, the request
 * itself included, however its text is cut into messages.
 * Method: the heap is counted when the conversion is done and nothing of it was freed yet.  Not
 * with sanitizers, whose heap has other sizes.
 */
#include <malloc.h>
#include <stdio.h>

#include "unit.h"

#include "../../bench/session.c"
#include "convert.h"
#include "kept.h"

enum { BODY_BYTES = 1 << 20, SHORT_BYTES = 300, LONG_BYTES = 2000 };

static size_t heap_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static struct convert *converter(enum protocol client, enum protocol upstream)
{
    struct profile profile;
    struct buf why;
    buf_init(&why, 1000);
    must(profile_resolve(&profile, S("default"), S(""), S("m"), NULL, 0, &why) == 0);
    buf_done(&why);
    return convert_new(&(struct convert_options){ .client = client,
                                                  .upstream = upstream,
                                                  .profile = &profile,
                                                  .upstream_name = S("u"),
                                                  .reply_id = S("0123456789abcdefABCDEFGH"),
                                                  .reply_limit_bytes = 1 << 20 });
}

/* Messages of both sides in turn, each a list of one text of so many bytes. */
static void add_texts(enum protocol p, size_t bytes, struct buf *out)
{
    static const char *const types[][2] = { [PROTOCOL_MESSAGES] = { "text", "text" },
                                            [PROTOCOL_CHAT] = { "text", "text" },
                                            [PROTOCOL_RESPONSES] = { "input_text",
                                                                     "output_text" } };
    buf_addf(out, "{\"model\":\"m\",\"max_tokens\":9,\"%s\":[",
             p == PROTOCOL_RESPONSES ? "input" : "messages");
    for (int i = 0; buf_len(out) < BODY_BYTES; i ^= 1) {
        buf_addf(out, "{\"role\":\"%s\",\"content\":[{\"type\":\"%s\",\"text\":\"",
                 i == 0 ? "user" : "assistant", types[p][i]);
        for (size_t n = 0; n < bytes; n += 5)
            buf_add(out, S("word "));
        buf_add(out, S("\"}]},"));
    }
    buf_addf(out, "{\"role\":\"user\",\"content\":\"x\"}]}");
}

static void make_body(enum protocol p, int shape, struct buf *out)
{
    buf_init(out, SIZE_MAX);
    if (shape == 0)
        session_request(p, 1, BODY_BYTES, out);
    else
        add_texts(p, shape == 1 ? SHORT_BYTES : shape == 2 ? LONG_BYTES : BODY_BYTES, out);
}

/* In times of the body. */
static double measure(enum protocol client, enum protocol upstream, int shape)
{
    struct buf body, out;
    struct arena work;
    make_body(client, shape, &body);
    kept_free_all();
    size_t before = heap_bytes();
    struct convert *c = converter(client, upstream);
    arena_init(&work, SIZE_MAX);
    buf_init(&out, SIZE_MAX);
    assert_int_equal(convert_request(c, &work, buf_str(&body), &out), 0);
    double grown = (double)(heap_bytes() - before), bytes = (double)buf_len(&body);
    convert_free(c);
    arena_done(&work);
    buf_done(&out);
    buf_done(&body);
    return 1 + grown / bytes;
}

static void three_times(void **state)
{
    (void)state;
    static const char *const shapes[] = { "agent", "300 bytes", "2,000 bytes", "one text" };
    if (heap_bytes() == 0)
        skip();
    for (int i = 0; i < PROTOCOL_COUNT * PROTOCOL_COUNT; i++) {
        enum protocol client = (enum protocol)(i / PROTOCOL_COUNT);
        enum protocol upstream = (enum protocol)(i % PROTOCOL_COUNT);
        for (int shape = 0; client != upstream && shape < (int)ARRAY_LEN(shapes); shape++) {
            double times = measure(client, upstream, shape);
            printf("%d to %d, %-11s %.2f times the body\n", (int)client, (int)upstream,
                   shapes[shape], times);
            assert_true(times <= 3.0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(three_times) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

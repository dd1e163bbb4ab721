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
#include "kept.h"

enum { BODY_BYTES = 1 << 20 };

static size_t heap_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

/* "word word .. */
static void add_words(struct buf *out, size_t bytes)
{
    for (size_t n = 0; n < bytes; n += 5)
        buf_add(out, S("word "));
}

static void begin_messages_of(enum protocol p, struct buf *out)
{
    buf_addf(out, "{\"model\":\"m\",\"max_tokens\":9,\"%s\":[",
             p == PROTOCOL_RESPONSES ? "input" : "messages");
}

/* Messages of both sides in turn, each a list of one text of so many bytes. */
static void add_texts(enum protocol p, size_t bytes, struct buf *out)
{
    static const char *const types[] = { "input_text", "output_text" };
    begin_messages_of(p, out);
    for (int i = 0; buf_len(out) < BODY_BYTES; i ^= 1) {
        buf_addf(out, "{\"role\":\"%s\",\"content\":[{\"type\":\"%s\",\"text\":\"",
                 i == 0 ? "user" : "assistant", p == PROTOCOL_RESPONSES ? types[i] : "text");
        add_words(out, bytes);
        buf_add(out, S("\"}]},"));
    }
    buf_add(out, S("{\"role\":\"user\",\"content\":\"x\"}]}"));
}

/* One message of texts of so many bytes. */
static void add_parts(enum protocol p, size_t bytes, struct buf *out)
{
    begin_messages_of(p, out);
    buf_add(out, S("{\"role\":\"user\",\"content\":["));
    while (buf_len(out) < BODY_BYTES) {
        buf_addf(out, "{\"type\":\"%s\",\"text\":\"",
                 p == PROTOCOL_RESPONSES ? "input_text" : "text");
        add_words(out, bytes);
        buf_add(out, S("\"},"));
    }
    buf_truncate(out, buf_len(out) - 1);
    buf_add(out, S("]}]}"));
}

static void make_agent(enum protocol p, size_t bytes, struct buf *out)
{
    (void)bytes;
    session_request(p, 1, BODY_BYTES, out);
}

static const struct shape {
    const char *name;
    void (*make)(enum protocol p, size_t bytes, struct buf *out);
    size_t bytes;
} shapes[] = {
    { "agent", make_agent, 0 },           { "300 bytes", add_texts, 300 },
    { "2,000 bytes", add_texts, 2000 },   { "one text", add_texts, BODY_BYTES },
    { "300-byte parts", add_parts, 300 },
};

/* In times of the body. */
static double measure(enum protocol client, enum protocol upstream, const struct shape *shape)
{
    struct buf body, out;
    struct arena work;
    buf_init(&body, SIZE_MAX);
    shape->make(client, shape->bytes, &body);
    kept_free_all();
    size_t before = heap_bytes();
    struct convert *c = session_convert(client, upstream);
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
    if (heap_bytes() == 0)
        skip();
    for (int i = 0; i < PROTOCOL_COUNT * PROTOCOL_COUNT; i++) {
        enum protocol client = (enum protocol)(i / PROTOCOL_COUNT);
        enum protocol upstream = (enum protocol)(i % PROTOCOL_COUNT);
        for (size_t k = 0; client != upstream && k < ARRAY_LEN(shapes); k++) {
            double times = measure(client, upstream, &shapes[k]);
            printf("%d to %d, %-14s %.2f times the body\n", (int)client, (int)upstream,
                   shapes[k].name, times);
            assert_true(times <= 3.0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(three_times) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

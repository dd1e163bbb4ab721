/*
 * Goal: the splitter finds every place where an event ends, the decoder gives every event,
 * and neither depends on where the network cut the bytes.
 */
#include "unit.h"

#include "sse.c"

struct seen {
    struct buf text; /* "name|data;" for each event */
    int fail_at;     /* the event number to fail at; 0: none */
    int n;
};

static int on_event(void *ctx, const struct sse_event *ev)
{
    struct seen *seen = ctx;
    buf_add(&seen->text, ev->name);
    buf_add_byte(&seen->text, '|');
    buf_add(&seen->text, ev->data);
    buf_add_byte(&seen->text, ';');
    return ++seen->n == seen->fail_at ? -7 : 0;
}

/* Feeds `in` in pieces of `step` bytes, the first one of `first`. */
static int decode(struct seen *seen, struct str in, size_t first, size_t step, size_t limit_bytes)
{
    struct sse_decoder d;
    sse_decoder_init(&d, limit_bytes, on_event, seen);
    int e = sse_decoder_feed(&d, str_slice(in, 0, first));
    for (size_t at = first; e == 0 && at < in.n; at += step)
        e = sse_decoder_feed(&d, str_slice(in, at, at + step));
    int last = sse_decoder_end(&d);
    sse_decoder_done(&d);
    return e < 0 ? e : last;
}

static void check_decode(struct str in, struct str want)
{
    for (size_t first = 0; first <= in.n; first++) {
        for (size_t step = 1; step <= in.n + 1; step += in.n) { /* byte by byte; the rest at once */
            struct seen seen = { 0 };
            buf_init(&seen.text, SIZE_MAX);
            assert_int_equal(decode(&seen, in, first, step, 1000), 0);
            assert_str(buf_str(&seen.text), want);
            buf_done(&seen.text);
        }
    }
}

/* Goal: EW1 rules 2 to 6, at every cut. */
static void decoder_reads_the_grammar(void **state)
{
    (void)state;
    check_decode(S("event: a\ndata: 1\n\n"), S("a|1;"));
    check_decode(S("data:1\ndata: 2\r\ndata:  3\r\r"), S("|1\n2\n 3;"));
    check_decode(S(": ping\r\n\r\nevent: a\rdata: 1\ndata: 2\r\n\r\ndata:3\n\n"), S("a|1\n2;|3;"));
    check_decode(S("event: a\nevent: b\ndata: x\n\n"), S("b|x;"));
    check_decode(S("event: a\n\ndata: x\n\n"), S("|x;"));          /* the name is forgotten */
    check_decode(S("data\n\ndata:\n\ndata\ndata\n\n"), S("|\n;")); /* empty data is none */
    check_decode(S("id: 1\nretry: 2\nDATA: no\ndata : no\nfoo\ndata: y\n\n"), S("|y;"));
    check_decode(S("\xEF\xBB\xBF"
                   "data: 1\n\n\xEF\xBB\xBF"
                   "data: 2\n\n"),
                 S("|1;|2;"));
    check_decode(S("\n\n\r\r\n\n"), S(""));
}

/* Goal: the end of input completes an unfinished line and gives what is pending. */
static void decoder_end_is_lenient(void **state)
{
    (void)state;
    check_decode(S("data: 1\n\ndata: 2"), S("|1;|2;"));
    check_decode(S("data: 1\n\ndata: 2\n"), S("|1;|2;"));
    check_decode(S("data: 1\r"), S("|1;"));
    check_decode(S("event: x"), S(""));
}

/* Goal: the limit is exact, at every cut, and its error stays. */
static void decoder_stops_at_the_limit(void **state)
{
    (void)state;
    struct str in = S("event: 12\ndata: 3456789\ndata: 0\n\n"); /* 2 + 7 + 7 bytes at the most */
    for (size_t first = 0; first <= in.n; first++) {
        struct seen seen = { 0 };
        buf_init(&seen.text, SIZE_MAX);
        assert_int_equal(decode(&seen, in, first, 1, 15), E_UPSTREAM_EVENT);
        assert_int_equal(decode(&seen, in, first, in.n, 15), E_UPSTREAM_EVENT);
        assert_str(buf_str(&seen.text), S(""));
        assert_int_equal(decode(&seen, in, first, 1, 16), 0);
        assert_str(buf_str(&seen.text), S("12|3456789\n0;"));
        buf_done(&seen.text);
    }
    struct sse_decoder d;
    struct seen none = { 0 };
    sse_decoder_init(&d, 3, on_event, &none);
    assert_int_equal(sse_decoder_feed(&d, S("data")), E_UPSTREAM_EVENT);
    assert_int_equal(sse_decoder_feed(&d, S("\n\n")), E_UPSTREAM_EVENT);
    assert_int_equal(sse_decoder_end(&d), E_UPSTREAM_EVENT);
    sse_decoder_done(&d);
}

static void decoder_stops_when_the_callback_says_so(void **state)
{
    (void)state;
    struct seen seen = { .fail_at = 2 };
    buf_init(&seen.text, SIZE_MAX);
    assert_int_equal(decode(&seen, S("data: 1\n\ndata: 2\n\ndata: 3\n\n"), 3, 9, 100), -7);
    assert_str(buf_str(&seen.text), S("|1;|2;"));
    buf_done(&seen.text);
}

/* Goal: large events work, also in pieces, and their memory is given back. */
static void decoder_gives_memory_back(void **state)
{
    (void)state;
    struct seen seen = { 0 };
    struct sse_decoder d;
    buf_init(&seen.text, SIZE_MAX);
    sse_decoder_init(&d, 1024 * 1024, on_event, &seen);
    assert_int_equal(sse_decoder_feed(&d, S("data: ")), 0);
    char block[1000];
    memset(block, 'x', sizeof(block));
    for (int i = 0; i < 500; i++)
        assert_int_equal(sse_decoder_feed(&d, (struct str){ block, sizeof(block) }), 0);
    assert_int_equal(sse_decoder_feed(&d, S("\n\ndata: y\n")), 0);
    assert_int_equal(buf_len(&seen.text), 500 * 1000 + 2);
    assert_true(d.data.cap <= DECODER_KEEP_BYTES);
    assert_true(d.line.cap <= DECODER_KEEP_BYTES);
    sse_decoder_done(&d);
    buf_done(&seen.text);
}

static size_t split_one(struct str in)
{
    struct sse_splitter s;
    sse_splitter_init(&s);
    return sse_split(&s, in);
}

static void splitter_finds_the_last_end(void **state)
{
    (void)state;
    assert_int_equal(split_one(S("data: 1\n\ndata: 2\n\ndata")), 18);
    assert_int_equal(split_one(S("data: 1\r\n\r\nx")), 11);
    assert_int_equal(split_one(S("data: 1\r\rx")), 9);
    assert_int_equal(split_one(S("data: 1\n\r\nx")), 10);
    assert_int_equal(split_one(S("data: 1\r\n")), 0);
    assert_int_equal(split_one(S("data: 1\n")), 0);
    assert_int_equal(split_one(S(": ping\n\n")), 8);
    assert_int_equal(split_one(S("\n")), 1);
    assert_int_equal(split_one(S("")), 0);
}

/*
 * Goal: after any cut, the bytes counted are those the uncut run counts, as soon as it
 * can be known.  Method: the oracle looks at each prefix on its own.
 */
static void splitter_at_every_cut(void **state)
{
    (void)state;
    struct str in =
        S("event: a\ndata: 1\n\n: c\r\n\r\ndata: 2\r\rdata: 3\r\n\n\n\rdata: 4\n\r\nx\n");
    for (size_t first = 0; first <= in.n; first++) {
        struct sse_splitter s;
        sse_splitter_init(&s);
        size_t counted = sse_split(&s, str_slice(in, 0, first));
        for (size_t at = first; at < in.n; at++) {
            size_t n = sse_split(&s, str_slice(in, at, at + 1));
            if (n > 0)
                counted = at + n;
            assert_int_equal(counted, split_one(str_slice(in, 0, at + 1)));
            assert_int_equal(sse_at_boundary(&s), counted == at + 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoder_reads_the_grammar),
        cmocka_unit_test(decoder_end_is_lenient),
        cmocka_unit_test(decoder_stops_at_the_limit),
        cmocka_unit_test(decoder_stops_when_the_callback_says_so),
        cmocka_unit_test(decoder_gives_memory_back),
        cmocka_unit_test(splitter_finds_the_last_end),
        cmocka_unit_test(splitter_at_every_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

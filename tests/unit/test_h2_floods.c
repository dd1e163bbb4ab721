/*
 * Goal: h2 closes connections that flood it, at the limits of reliability.md section 3, and
 * no others.
 */
#include "unit.h"

#include "clock.h"
#include "err.h"
#include "h2.h"
#include "h2_frames.h"
#include "h2_side.h"

/* --- what is sent: piece(i) for i below n must end in GOAWAY ENHANCE_YOUR_CALM; below
 * `calm` of them must not --- */

static void rapid_reset(struct buf *out, uint32_t i)
{
    headers(out, 2 * i + 1, END_STREAM | END_HEADERS, none, S(""));
    frame(out, 3, 0, 2 * i + 1, S("\0\0\0\x08"));
}

static void made_you_reset(struct buf *out, uint32_t i)
{
    struct pair bad = { S_INIT(":path"), S_INIT("#") };
    headers(out, 2 * i + 1, END_STREAM | END_HEADERS, bad, S(""));
}

static void window_overflow(struct buf *out, uint32_t i)
{
    headers(out, 2 * i + 1, END_HEADERS, none, S(""));
    frame(out, 8, 0, 2 * i + 1, S("\x7f\xff\xff\xff"));
}

static void pings(struct buf *out, uint32_t i)
{
    (void)i;
    frame(out, 6, 0, 0, S("12345678"));
}

static void settings_frames(struct buf *out, uint32_t i)
{
    (void)i;
    frame(out, 4, 0, 0, S(""));
}

static void priorities(struct buf *out, uint32_t i)
{
    frame(out, 2, 0, 2 * i + 1, S("\0\0\0\0\x10"));
}

static void empty_data(struct buf *out, uint32_t i)
{
    if (i == 0)
        headers(out, 1, END_HEADERS, none, S(""));
    frame(out, 0, 0, 1, S(""));
}

static void ping_answers(struct buf *out, uint32_t i)
{
    (void)i;
    frame(out, 6, 1, 0, S("12345678"));
}

/* A block for a stream that we have reset is ignored, and limited all the same (EARLY mode). */
static void ignored_continuations(struct buf *out, uint32_t i)
{
    if (i == 0)
        headers(out, 1, END_HEADERS, none, S(""));
    else
        frame(out, i == 1 ? 1 : 9, 0, 1, S(""));
}

static void continuations(struct buf *out, uint32_t i)
{
    if (i == 0)
        headers(out, 1, 0, none, S(""));
    frame(out, 9, 0, 1, S(""));
}

static void small_continuations(struct buf *out, uint32_t i)
{
    if (i == 0)
        headers(out, 1, 0, none, S(""));
    frame(out, 9, 0, 1, S("\0\1a\1b"));
}

static void fill(struct buf *out, size_t n, char byte)
{
    for (size_t i = 0; i < n; i++)
        buf_add_byte(out, byte);
}

/* 16 KiB each: a block of twice the limit as it is sent, which decodes to little. */
static void large_continuations(struct buf *out, uint32_t i)
{
    struct buf payload;
    buf_init(&payload, 1 << 20);
    fill(&payload, 16 * 1024, 0x20); /* table size updates */
    frame(out, i == 0 ? 1 : 9, 0, 1, buf_str(&payload));
    buf_done(&payload);
}

/* One field in the table, then references of one byte to it: n fields in a block. */
static void bomb(struct buf *out, uint32_t id, struct str field, size_t n)
{
    struct buf more;
    buf_init(&more, 1 << 20);
    buf_add(&more, field);
    fill(&more, n, (char)0xbe);
    headers(out, id, END_STREAM | END_HEADERS, none, buf_str(&more));
    buf_done(&more);
}

enum { BOMB_VALUE_BYTES = 3900 };

/* 33 of 3.9 KB each are 128 KiB. */
static void hpack_bomb(struct buf *out, uint32_t i)
{
    struct buf field;
    buf_init(&field, 1 << 20);
    buf_add(&field, S("\x40\x01x\x7f\xbd\x1d")); /* x: indexed, 3900 bytes */
    fill(&field, BOMB_VALUE_BYTES, 'v');
    bomb(out, 2 * i + 1, buf_str(&field), i == 0 ? 31 : 4000);
    buf_done(&field);
}

/* 8,000 of a few bytes each. */
static void http2_bomb(struct buf *out, uint32_t i)
{
    bomb(out, 2 * i + 1, S("\x40\x01x\x01v"), i == 0 ? 3000 : 8000);
}

static void cookie_bomb(struct buf *out, uint32_t i)
{
    bomb(out, 2 * i + 1, S("\x60\x01v"), i == 0 ? 3000 : 8000); /* cookie: 32 of the static table */
}

struct flood_row {
    const char *name;
    void (*piece)(struct buf *out, uint32_t i);
    uint32_t calm, n;
    enum { READING, NOT_READING } client;
    enum mode mode;
};

static const struct flood_row flood_rows[] = {
    { "rapid reset", rapid_reset, 99, 100, READING, HOLD },
    { "rapid reset, replies begun", rapid_reset, 199, 200, READING, ECHO },
    { "made-you-reset", made_you_reset, 199, 201, READING, HOLD },
    { "made-you-reset by window", window_overflow, 99, 101, READING, HOLD },
    { "made-you-reset, not reading", made_you_reset, 199, 3000, NOT_READING, HOLD },
    { "CONTINUATION, small", small_continuations, 8, 9, READING, HOLD },
    { "CONTINUATION, empty", continuations, 8, 9, READING, HOLD },
    { "CONTINUATION, large", large_continuations, 8, 9, READING, HOLD },
    { "CONTINUATION, ignored", ignored_continuations, 10, 100, READING, EARLY },
    { "PING, not reading", pings, 990, 1100, NOT_READING, HOLD },
    { "PING answers", ping_answers, 1000, 1001, READING, HOLD },
    { "SETTINGS, not reading", settings_frames, 990, 1100, NOT_READING, HOLD },
    { "empty DATA", empty_data, 1000, 1001, READING, HOLD },
    { "PRIORITY", priorities, 1000, 1001, READING, HOLD },
    { "HPACK bomb", hpack_bomb, 1, 2, READING, HOLD },
    { "HTTP/2 bomb", http2_bomb, 1, 2, READING, HOLD },
    { "HTTP/2 bomb of cookies", cookie_bomb, 1, 2, READING, HOLD },
};

/* The result of n pieces, and the code of a GOAWAY. */
static int flood_with(const struct flood_row *row, uint32_t n, int *ret_goaway)
{
    struct side side;
    int e = 0;
    side_init(&side, H2_SERVER, row->mode);
    for (uint32_t i = 0; i <= n && e == 0; i++) { /* the first is the preface */
        struct buf in;
        start(&in);
        if (i > 0) {
            buf_clear(&in);
            row->piece(&in, i - 1);
        }
        e = h2_feed(side.c, buf_str(&in));
        buf_done(&in);
        if (row->client == READING)
            h2_pull(side.c, &side.sent, 1 << 20);
    }
    if (e == 0)
        e = h2_feed(side.c, S("\0")); /* what was found while sending */
    h2_pull(side.c, &side.sent, 1 << 24);
    *ret_goaway = sent_code(buf_str(&side.sent), 7);
    assert_true(e == 0 || h2_finished(side.c));
    side_done(&side);
    return e;
}

static void floods_close_the_connection(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(flood_rows); i++) {
        const struct flood_row *row = &flood_rows[i];
        int goaway = -1;
        if (flood_with(row, row->calm, &goaway) != 0 || goaway != -1)
            fail_msg("%s: closed too early", row->name);
        int e = flood_with(row, row->n, &goaway);
        if (e != E_BAD_REQUEST || goaway != H2_ENHANCE_YOUR_CALM)
            fail_msg("%s: got %s, GOAWAY %d", row->name, err_row(e)->name, goaway);
    }
}

/* Goal: 199 resets in each of many windows, or after as many completed streams,
 * are no flood. */
static void resets_are_forgiven(void **state)
{
    (void)state;
    struct side client, server;
    struct http_head post = { .method = S("POST"),
                              .target = S("/"),
                              .scheme = S("https"),
                              .authority = S("h"),
                              .content_length = -1 };
    sides_init(&client, &server, ECHO);
    for (int i = 0; i < 1000; i++) {
        h2_set_now(server.c, (int64_t)(i / 150) * 10 * NS_PER_S);
        struct h2_stream *s = h2_submit_request(client.c, &post, true, &client);
        pump(&client, &server, 1000);
        h2_reset(s, H2_CANCEL);
        pump(&client, &server, 1000);
    }
    for (int i = 0; i < 1000; i++) {
        struct h2_stream *s = h2_submit_request(client.c, &post, true, &client);
        pump(&client, &server, 1000);
        h2_reset(s, H2_CANCEL);
        h2_submit_request(client.c, &post, false, &client);
        pump(&client, &server, 1000);
    }
    assert_int_equal(server.closes, 3000);
    sides_done(&client, &server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floods_close_the_connection),
        cmocka_unit_test(resets_are_forgiven),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

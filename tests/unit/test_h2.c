/*
 * Goal: h2 carries requests and replies both ways, and obeys windows and resets.
 */
#include "unit.h"

#include <stdio.h>

#include "err.h"
#include "h2.h"
#include "h2_frames.h"
#include "h2_side.h"

static struct http_head post = { .method = S_INIT("POST"),
                                 .target = S_INIT("/v1?x"),
                                 .scheme = S_INIT("https"),
                                 .authority = S_INIT("h:1"),
                                 .content_length = -1 };

static void a_request_and_its_reply(void **state)
{
    (void)state;
    static const size_t cuts[] = { 1, 2, 3, 7, 100, SIZE_MAX / 2 };
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        struct side client, server;
        sides_init(&client, &server, ECHO);
        struct http_header h[] = { { S_INIT("x-a"), S_INIT("1") },
                                   { S_INIT("te"), S_INIT("gzip") },
                                   { S_INIT("host"), S_INIT("evil") } };
        struct http_head head = post;
        head.content_length = 5;
        head.headers = (struct http_headers){ h, 3, 3 };
        struct h2_stream *s = h2_submit_request(client.c, &head, true, &client);
        assert_non_null(s);
        h2_write(s, S("hel"));
        pump(&client, &server, cuts[i]);
        h2_write(s, S("lo"));
        h2_write_end(s);
        pump(&client, &server, cuts[i]);
        assert_str(buf_str(&server.log),
                   S("[1 POST /v1?x h:1 0 cl=5 body=1 x-a=1]<hello>end1;close1:0;"));
        assert_str(buf_str(&client.log), S("[1    200 cl=-1 body=1 x-reply=1]<bye>end1;close1:0;"));
        assert_int_equal(h2_open_streams(client.c), 0);
        assert_int_equal(h2_streams_allowed(client.c), 100);
        sides_done(&client, &server);
    }
}

static void requests_without_body_and_with_expect(void **state)
{
    (void)state;
    struct side client, server;
    sides_init(&client, &server, ECHO);
    struct http_head head = post;
    struct http_header expect = { S_INIT("expect"), S_INIT("100-continue") };
    head.headers = (struct http_headers){ &expect, 1, 1 };
    assert_non_null(h2_submit_request(client.c, &head, false, &client));
    pump(&client, &server, 50);
    assert_str(buf_str(&server.log), S("[1 POST /v1?x h:1 0 cl=-1 body=0 expect]end1;close1:0;"));
    assert_str(buf_str(&client.log), S("[1    200 cl=-1 body=1 x-reply=1]<bye>end1;close1:0;"));
    sides_done(&client, &server);
}

/* Goal: what is not consumed fills the window and no more; consuming opens it. */
static void windows_open_as_bytes_are_consumed(void **state)
{
    (void)state;
    struct side client, server;
    sides_init(&client, &server, HOLD);
    struct h2_stream *s = h2_submit_request(client.c, &post, true, &client);
    char *block = mem_zalloc(600000);
    h2_write(s, (struct str){ block, 600000 });
    pump(&client, &server, 5000);
    assert_int_equal(server.body_bytes, 256 * 1024);
    assert_int_equal(h2_queued(s), 600000 - 256 * 1024);
    assert_int_equal(client.drains, 0);
    h2_consume(server.newest, 256 * 1024);
    pump(&client, &server, 5000);
    assert_int_equal(server.body_bytes, 512 * 1024);
    assert_int_equal(client.drains, 0);
    h2_consume(server.newest, 256 * 1024);
    pump(&client, &server, 5000);
    assert_int_equal(server.body_bytes, 600000);
    assert_int_equal(client.drains, 1);
    free(block);
    sides_done(&client, &server);
    assert_int_equal(client.closes, 1);
    assert_int_equal(server.closes, 1);
}

/* Goal: a stream that dies unread gives the connection its window back: 64 of them
 * send four times the connection's window. */
static void reset_streams_give_the_window_back(void **state)
{
    (void)state;
    struct side client, server;
    sides_init(&client, &server, HOLD);
    char *block = mem_zalloc(256 * 1024);
    for (int i = 0; i < 64; i++) {
        struct h2_stream *s = h2_submit_request(client.c, &post, true, &client);
        assert_non_null(s);
        h2_write(s, (struct str){ block, 256 * 1024 });
        pump(&client, &server, 100000);
        assert_int_equal(server.body_bytes, (size_t)(i + 1) * 256 * 1024);
        h2_reset(server.newest, H2_CANCEL);
        pump(&client, &server, 100000);
        assert_int_equal(client.closes, i + 1);
        assert_int_equal(server.closes, i + 1);
    }
    free(block);
    sides_done(&client, &server);
}

static void a_client_reset_reaches_the_server(void **state)
{
    (void)state;
    struct side client, server;
    sides_init(&client, &server, HOLD);
    struct h2_stream *s = h2_submit_request(client.c, &post, true, &client);
    pump(&client, &server, 100);
    h2_reset(s, H2_CANCEL);
    h2_reset(s, H2_CANCEL);
    h2_write(s, S("lost"));
    assert_int_equal(client.closes, 0); /* not inside a call */
    pump(&client, &server, 100);
    assert_str(buf_str(&server.log), S("[1 POST /v1?x h:1 0 cl=-1 body=1]close1:8;"));
    assert_str(buf_str(&client.log), S("close1:8;"));
    /* cancelled before it left */
    s = h2_submit_request(client.c, &post, false, &client);
    h2_reset(s, H2_CANCEL);
    pump(&client, &server, 100);
    assert_int_equal(client.closes, 2);
    assert_int_equal(server.closes, 1);
    sides_done(&client, &server);
}

/* Goal: an early reply arrives whole before the reset. */
static void an_early_reply_is_sent_before_the_reset(void **state)
{
    (void)state;
    struct side client, server;
    sides_init(&client, &server, EARLY);
    struct h2_stream *s = h2_submit_request(client.c, &post, true, &client);
    h2_write(s, S("part"));
    pump(&client, &server, 100);
    assert_str(buf_str(&client.log), S("[1    200 cl=-1 body=1 x-reply=1]<early>end1;close1:0;"));
    assert_str(buf_str(&server.log), S("[1 POST /v1?x h:1 0 cl=-1 body=1]close1:0;"));
    sides_done(&client, &server);
}

static void goaway_lets_open_streams_finish(void **state)
{
    (void)state;
    struct side client, server;
    sides_init(&client, &server, ECHO);
    struct h2_stream *s = h2_submit_request(client.c, &post, true, &client);
    pump(&client, &server, 100);
    h2_goaway(server.c);
    h2_submit_request(client.c, &post, false, &client); /* crosses the GOAWAY */
    struct buf bytes;
    buf_init(&bytes, 1 << 20);
    h2_pull(server.c, &bytes, 1 << 20);
    assert_int_equal(h2_feed(client.c, buf_str(&bytes)), 0);
    buf_done(&bytes);
    assert_int_equal(client.goaways, 1);
    assert_int_equal(h2_streams_allowed(client.c), 0);
    assert_null(h2_submit_request(client.c, &post, false, &client));
    pump(&client, &server, 100);
    assert_true(str_contains(buf_str(&client.log), S("close3:7u;")));
    assert_false(h2_finished(server.c));
    h2_write_end(s);
    pump(&client, &server, 100);
    assert_true(str_ends(buf_str(&client.log), S("<bye>end1;close1:0;")));
    assert_true(h2_finished(server.c));
    assert_true(h2_finished(client.c));
    sides_done(&client, &server);
}

/* Goal: between the notice and GOAWAY itself requests are still taken (rfc9113,s6.8). */
static void goaway_comes_in_two_steps(void **state)
{
    (void)state;
    struct side client, server;
    sides_init(&client, &server, ECHO);
    struct h2_stream *open = h2_submit_request(client.c, &post, true, &client);
    pump(&client, &server, 1000);
    buf_clear(&client.log);
    h2_submit_request(client.c, &post, false, &client); /* on its way as the notice is sent */
    h2_goaway_soon(server.c);
    h2_goaway_soon(server.c);
    buf_clear(&server.sent);
    h2_pull(server.c, &server.sent, 1 << 20);
    struct str sent = buf_str(&server.sent);
    assert_int_equal(sent.n, 9 + 8 + 9 + 8); /* GOAWAY, then PING */
    assert_str(str_slice(sent, 3, 4), S("\7"));
    assert_str(str_slice(sent, 9, 13), S("\x7f\xff\xff\xff"));
    assert_str(str_slice(sent, 17 + 3, 17 + 4), S("\6"));
    struct buf notice;
    buf_init(&notice, 1024);
    buf_add(&notice, sent);
    pump(&client, &server, 1000);
    assert_int_equal(h2_feed(client.c, buf_str(&notice)), 0);
    buf_done(&notice);
    pump(&client, &server, 1000);
    assert_int_equal(client.goaways, 1);
    assert_str(buf_str(&client.log), S("[3    200 cl=-1 body=1 x-reply=1]<bye>end3;close3:0;"));
    assert_false(h2_finished(server.c));
    h2_write_end(open);
    pump(&client, &server, 1000);
    assert_true(h2_finished(server.c));
    sides_done(&client, &server);
}

static void freeing_closes_what_is_open(void **state)
{
    (void)state;
    struct side client, server;
    sides_init(&client, &server, HOLD);
    h2_submit_request(client.c, &post, true, &client);
    pump(&client, &server, 100);
    h2_submit_request(client.c, &post, true, &client); /* never sent */
    h2_free(client.c);
    client.c = NULL;
    assert_str(buf_str(&client.log), S("close1:8;close3:8u;"));
    h2_free(server.c);
    server.c = NULL;
    assert_true(str_ends(buf_str(&server.log), S("close1:8;")));
    sides_done(&client, &server);
}

static void prefaces(void **state)
{
    (void)state;
    bool more = false;
    assert_true(h2_is_preface(S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxyz"), &more));
    assert_false(more);
    assert_false(h2_is_preface(S("PRI * HT"), &more));
    assert_true(more);
    assert_false(h2_is_preface(S("PUT"), &more));
    assert_false(more);
    assert_false(h2_is_preface(S(""), &more));
    assert_true(more);
}

/* --- heads --- */

struct head_row {
    const char *name;
    struct pair changed; /* a pseudo-header; an empty value leaves it out */
    struct pair more;    /* another field */
    const char *out;     /* NULL: refused */
};

static const struct head_row head_rows[] = {
    { "plain", .more = { S_INIT("x"), S_INIT("y") },
      .out = "[1 POST / h 0 cl=-1 body=0 x=y]end1;" },
    { "host instead of authority", .changed = { S_INIT(":authority"), S_INIT("") },
      .more = { S_INIT("host"), S_INIT("g") }, .out = "[1 POST / g 0 cl=-1 body=0]end1;" },
    { "equal host", .more = { S_INIT("host"), S_INIT("H") },
      .out = "[1 POST / h 0 cl=-1 body=0]end1;" },
    { "te: trailers", .more = { S_INIT("te"), S_INIT("trailers") },
      .out = "[1 POST / h 0 cl=-1 body=0]end1;" },
    { "unknown expectation", .more = { S_INIT("expect"), S_INIT("tea") } },
    { "content-length 0", .more = { S_INIT("content-length"), S_INIT("0") },
      .out = "[1 POST / h 0 cl=0 body=0]end1;" },
    { "other host", .more = { S_INIT("host"), S_INIT("evil") } },
    { "no authority", .changed = { S_INIT(":authority"), S_INIT("") },
      .more = { S_INIT("x"), S_INIT("y") } },
    { "bad authority", .changed = { S_INIT(":authority"), S_INIT("a@b") },
      .more = { S_INIT("x"), S_INIT("y") } },
    { "no path", .changed = { S_INIT(":path"), S_INIT("") }, .more = { S_INIT("x"), S_INIT("y") } },
    { "path with space", .changed = { S_INIT(":path"), S_INIT("/a b") },
      .more = { S_INIT("x"), S_INIT("y") } },
    { "path with #", .changed = { S_INIT(":path"), S_INIT("/#a") },
      .more = { S_INIT("x"), S_INIT("y") } },
    { "absolute path", .changed = { S_INIT(":path"), S_INIT("http://h/") },
      .more = { S_INIT("x"), S_INIT("y") } },
    { "path with CRLF", .changed = { S_INIT(":path"), S_INIT("/\r\nx: y") },
      .more = { S_INIT("x"), S_INIT("y") } },
    { "method with space", .changed = { S_INIT(":method"), S_INIT("GET /x") },
      .more = { S_INIT("x"), S_INIT("y") } },
    { "duplicate :path", .more = { S_INIT(":path"), S_INIT("/") } },
    { "CR LF in a value", .more = { S_INIT("x"), S_INIT("a\r\nb: c") } },
    { "NUL in a value", .more = { S_INIT("x"), S_INIT("a\0b") } },
    { "colon in a name", .more = { S_INIT("a:b"), S_INIT("c") } },
    { "space in a name", .more = { S_INIT("a b"), S_INIT("c") } },
    { "CR LF in a name", .more = { S_INIT("a\r\nb"), S_INIT("c") } },
    { "upper-case name", .more = { S_INIT("X"), S_INIT("c") } },
    { "transfer-encoding", .more = { S_INIT("transfer-encoding"), S_INIT("chunked") } },
    { "connection", .more = { S_INIT("connection"), S_INIT("close") } },
    { "te: gzip", .more = { S_INIT("te"), S_INIT("gzip") } },
    { "content-length: +5", .more = { S_INIT("content-length"), S_INIT("+5") } },
    { "content-length and no body", .more = { S_INIT("content-length"), S_INIT("5") } },
};

static void request_heads_are_taken_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(head_rows); i++) {
        const struct head_row *row = &head_rows[i];
        for (size_t cut = 1; cut < 300; cut += cut < 20 ? 1 : 279) {
            struct side side;
            struct buf in, more;
            raw_init(&side, &in, HOLD);
            buf_init(&more, 1 << 20);
            literal(&more, row->more.name, row->more.value);
            headers(&in, 1, END_STREAM | END_HEADERS, row->changed, buf_str(&more));
            buf_done(&more);
            if (run(&side, &in, cut) != 0)
                fail_msg("%s: connection error", row->name);
            if (!str_eq(buf_str(&side.log), str_of(row->out)))
                fail_msg("%s: got " STR_FMT, row->name, STR_ARG(buf_str(&side.log)));
            assert_int_equal(sent_code(buf_str(&side.sent), 3),
                             row->out == NULL ? H2_PROTOCOL_ERROR : -1);
            side_done(&side);
        }
    }
}

static void cookies_are_joined_and_counted(void **state)
{
    (void)state;
    struct side side;
    struct buf in, more;
    raw_init(&side, &in, HOLD);
    buf_init(&more, 1 << 20);
    literal(&more, S("cookie"), S("a=1"));
    literal(&more, S("cookie"), S("b=2"));
    headers(&in, 1, END_STREAM | END_HEADERS, none, buf_str(&more));
    for (int i = 0; i < 100; i++)
        literal(&more, S("cookie"), S("c"));
    headers(&in, 3, END_STREAM | END_HEADERS, none, buf_str(&more));
    buf_done(&more);
    headers(&in, 5, END_STREAM | END_HEADERS, none, S(""));
    assert_int_equal(run(&side, &in, 1000), 0);
    assert_str(buf_str(&side.log), S("[1 POST / h 0 cl=-1 body=0 cookie=a=1; b=2]end1;"
                                     "[5 POST / h 0 cl=-1 body=0]end5;"));
    assert_int_equal(sent_code(buf_str(&side.sent), 3), H2_ENHANCE_YOUR_CALM);
    side_done(&side);
}

/* Goal: 1-byte references to a large table entry stop at the limit, and the table
 * stays in step for the next stream. */
static void a_header_bomb_is_refused(void **state)
{
    (void)state;
    struct side side;
    struct buf in, more;
    raw_init(&side, &in, HOLD);
    buf_init(&more, 1 << 20);
    buf_add(&more, S("\x40\x01x\x7f\xd1\x0e")); /* x: indexed, 2000 bytes */
    for (int i = 0; i < 2000; i++)
        buf_add_byte(&more, 'v');
    for (int i = 0; i < 50; i++) /* over the limit, but not so far that it ends the connection */
        buf_add_byte(&more, (char)0xbe);
    headers(&in, 1, END_STREAM | END_HEADERS, none, buf_str(&more));
    headers(&in, 3, END_STREAM | END_HEADERS, none, S("\xbe"));
    buf_done(&more);
    assert_int_equal(run(&side, &in, 1000), 0);
    assert_true(str_starts(buf_str(&side.log), S("[3 POST / h 0 cl=-1 body=0 x=vvvv")));
    assert_int_equal(sent_code(buf_str(&side.sent), 3), H2_ENHANCE_YOUR_CALM);
    side_done(&side);
}

/* Goal: a block in three frames is taken however they are cut.  nghttp2's own limit
 * counted the cuts. */
static void continuations_may_come_byte_by_byte(void **state)
{
    (void)state;
    for (size_t cut = 1; cut < 20; cut++) {
        struct side side;
        struct buf in;
        raw_init(&side, &in, HOLD);
        headers(&in, 1, END_STREAM, none, S(""));
        frame(&in, 9, 0, 1, S("\0\1x"));
        frame(&in, 9, END_HEADERS, 1, S("\1y"));
        assert_int_equal(run(&side, &in, cut), 0);
        assert_str(buf_str(&side.log), S("[1 POST / h 0 cl=-1 body=0 x=y]end1;"));
        side_done(&side);
    }
}

/* Goal: frames behind the client's own end are errors, those behind a reset of ours are not.
 * `held` streams have no reply yet; in EARLY mode we reply and reset at once. */
static void frames_for_closed_streams(void **state)
{
    (void)state;
    enum { DATA, HEADERS, RST_STREAM = 3 };
    static const struct {
        const char *name;
        enum mode mode;
        int first_flags, reset, then;
        int goaway;
    } rows[] = {
        { "DATA after the end", ECHO, END_HEADERS | END_STREAM, 0, DATA, H2_STREAM_CLOSED },
        { "HEADERS after the end", ECHO, END_HEADERS | END_STREAM, 0, HEADERS, H2_STREAM_CLOSED },
        { "DATA after a reset", HOLD, END_HEADERS, 1, DATA, H2_STREAM_CLOSED },
        { "HEADERS after a reset", HOLD, END_HEADERS, 1, HEADERS, H2_STREAM_CLOSED },
        { "DATA after our reset", EARLY, END_HEADERS, 0, DATA, -1 },
        { "trailers after our reset", EARLY, END_HEADERS, 0, HEADERS, -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct side side;
        struct buf in;
        raw_init(&side, &in, rows[i].mode);
        headers(&in, 1, rows[i].first_flags, none, S(""));
        if (rows[i].reset)
            frame(&in, RST_STREAM, 0, 1, S("\0\0\0\10"));
        (void)run(&side, &in, 1000); /* ends `in` */
        buf_init(&in, 1 << 20);
        if (rows[i].then == DATA)
            frame(&in, DATA, 0, 1, S("x"));
        else
            headers(&in, 1, END_HEADERS | END_STREAM, none, S(""));
        (void)run(&side, &in, 1000);
        if (sent_code(buf_str(&side.sent), 7) != rows[i].goaway)
            fail_msg("%s: GOAWAY %d", rows[i].name, sent_code(buf_str(&side.sent), 7));
        side_done(&side);
    }
}

/* Goal: an id below the highest that was never used cannot be used any more. */
static void skipped_ids_are_errors(void **state)
{
    (void)state;
    static const struct {
        uint32_t first, then;
        int goaway;
    } rows[] = { { 1, 3, -1 },
                 { 5, 7, -1 },
                 { 5, 3, H2_PROTOCOL_ERROR },
                 { 5, 1, H2_PROTOCOL_ERROR },
                 { INT32_MAX, INT32_MAX, H2_STREAM_CLOSED } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct side side;
        struct buf in;
        raw_init(&side, &in, ECHO);
        headers(&in, rows[i].first, END_HEADERS | END_STREAM, none, S(""));
        headers(&in, rows[i].then, END_HEADERS | END_STREAM, none, S(""));
        (void)run(&side, &in, 1000);
        assert_int_equal(sent_code(buf_str(&side.sent), 7), rows[i].goaway);
        side_done(&side);
    }
}

static void a_bad_preface_is_an_error(void **state)
{
    (void)state;
    struct side side;
    side_init(&side, H2_SERVER, HOLD);
    assert_int_equal(h2_feed(side.c, S("GET / HTTP/1.1\r\nHost: h\r\n\r\n")), E_BAD_REQUEST);
    assert_int_equal(h2_feed(side.c, S("x")), E_BAD_REQUEST);
    h2_pull(side.c, &side.sent, 1 << 20);
    assert_true(h2_finished(side.c));
    side_done(&side);
}

/* Goal: secrets never enter the HPACK table; what does come again stays in it, though each request
 * has an id of its own. */
static void the_table_keeps_what_comes_again(void **state)
{
    (void)state;
    char again[1000], secret[200], id[64];
    struct side client, server;
    sides_init(&client, &server, HOLD);
    memset(again, '#', sizeof(again)); /* characters with long Huffman codes */
    memset(secret, '#', sizeof(secret));
    for (int i = 0; i < 90; i++) {
        int n = snprintf(id, sizeof(id), "%050d", i);
        struct http_header v[] = { { S_INIT("x-again"), { again, sizeof(again) } },
                                   { S_INIT("x-api-key"), { secret, sizeof(secret) } },
                                   { S_INIT("x-client-request-id"), { id, (size_t)n } } };
        struct http_head head = post;
        head.headers = (struct http_headers){ v, ARRAY_LEN(v), ARRAY_LEN(v) };
        assert_non_null(h2_submit_request(client.c, &head, false, &client));
        buf_clear(&client.sent);
        pump(&client, &server, 1000);
        if (i > 0)
            assert_in_range(buf_len(&client.sent), sizeof(secret), sizeof(again));
    }
    sides_done(&client, &server);
}

/* Goal: a connection error that nghttp2 answers ends in h2_finished(). */
static void a_connection_error_finishes(void **state)
{
    (void)state;
    struct side side;
    struct buf in;
    raw_init(&side, &in, HOLD);
    headers(&in, 1, END_HEADERS, none, S(""));
    frame(&in, 8, 0, 0, S("\0\0\0\0")); /* WINDOW_UPDATE by 0 */
    (void)run(&side, &in, 1000);
    assert_int_equal(sent_code(buf_str(&side.sent), 7), H2_PROTOCOL_ERROR);
    assert_true(h2_finished(side.c));
    side_done(&side);
    assert_int_equal(side.closes, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_its_reply),
        cmocka_unit_test(requests_without_body_and_with_expect),
        cmocka_unit_test(windows_open_as_bytes_are_consumed),
        cmocka_unit_test(reset_streams_give_the_window_back),
        cmocka_unit_test(a_client_reset_reaches_the_server),
        cmocka_unit_test(an_early_reply_is_sent_before_the_reset),
        cmocka_unit_test(goaway_lets_open_streams_finish),
        cmocka_unit_test(goaway_comes_in_two_steps),
        cmocka_unit_test(freeing_closes_what_is_open),
        cmocka_unit_test(prefaces),
        cmocka_unit_test(request_heads_are_taken_or_refused),
        cmocka_unit_test(cookies_are_joined_and_counted),
        cmocka_unit_test(a_header_bomb_is_refused),
        cmocka_unit_test(continuations_may_come_byte_by_byte),
        cmocka_unit_test(a_bad_preface_is_an_error),
        cmocka_unit_test(frames_for_closed_streams),
        cmocka_unit_test(skipped_ids_are_errors),
        cmocka_unit_test(the_table_keeps_what_comes_again),
        cmocka_unit_test(a_connection_error_finishes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

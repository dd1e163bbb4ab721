/*
 * Goal: h1 accepts and refuses what reliability.md sections 1 and 2 say, however
 * the bytes are cut, and stops where it promises to.
 */
#include "unit.h"

#include <stdio.h>

#include "err.h"
#include "h1_log.h"

struct row {
    const char *name;
    int err; /* 0: accepted */
    struct str bytes;
    const char *out; /* what an accepted one gives; NULL: not compared */
};

#define H "GET / HTTP/1.1\r\nHost: h\r\n"
#define P "POST / HTTP/1.1\r\nHost: h\r\n"
#define CL P "Content-Length: "
#define TE P "Transfer-Encoding: "
#define CHUNKED TE "chunked\r\n\r\n"
#define LINE(line) line "\r\nHost: h\r\n\r\n"

#define TAKEN(name, bytes, out)     \
    {                               \
        name, 0, S_INIT(bytes), out \
    }
#define FAILS(err, name, bytes)        \
    {                                  \
        name, err, S_INIT(bytes), NULL \
    }
#define BAD(name, bytes) FAILS(E_BAD_REQUEST, name, bytes)

static const struct row requests[] = {
#include "h1_requests.def"
};

#define R "HTTP/1.1 200 OK\r\n"
#define R_CL R "Content-Length: "
#define R_CHUNKED R "Transfer-Encoding: chunked\r\n\r\n"
#define PROTO(name, bytes) FAILS(E_UPSTREAM_PROTOCOL, name, bytes)
#define I "HTTP/1.1 100 Continue\r\n\r\n"

/* Closed behind the last byte. */
static const struct row replies[] = {
#include "h1_replies.def"
};

/* Feeds bytes cut at `cut`, or byte by byte; heap copies show over-reads. */
static int feed_cut(struct h1_log *l, struct str bytes, size_t cut)
{
    size_t at = 0;
    while (at < bytes.n) {
        size_t n = cut == SIZE_MAX ? 1 : at < cut ? cut - at : bytes.n - at;
        size_t left = 0;
        char *copy = mem_dup(bytes.p + at, n);
        int e = h1_log_feed(l, (struct str){ copy, n }, &left);
        free(copy);
        if (e < 0)
            return e;
        at += n - left;
        if (left > 0)
            break; /* a reply, and bytes behind it */
    }
    if (at < bytes.n || l->c.role == H1_CLIENT) {
        int e = h1_eof(&l->c);
        if (e == 0 && at < bytes.n)
            buf_addf(&l->out, "%zu left", bytes.n - at);
        return e;
    }
    return 0;
}

static void check_row(enum h1_role role, const struct row *row)
{
    struct h1_log whole, l;
    h1_log_init(&whole, role, S("GET"));
    int e = feed_cut(&whole, row->bytes, 0);
    if (e != row->err)
        fail_msg("%s: got %d (%s, %s), want %d", row->name, e, err_row(e)->name,
                 h1_error_text(&whole.c), row->err);
    if (row->out != NULL)
        assert_str(buf_str(&whole.out), str_of(row->out));
    if (e < 0) {
        assert_true(h1_error_text(&whole.c)[0] != '\0');
        if (role == H1_SERVER && e != E_CLIENT_GONE) /* each refusal has its reason */
            assert_int_equal(refusal_row(h1_refusal(&whole.c))->err, e);
        assert_int_equal(h1_feed(&whole.c, S("x")), e); /* sticky */
    }
    for (size_t cut = 1; cut <= row->bytes.n; cut++) {
        for (int stop_at = 0; stop_at <= 2; stop_at++) {
            h1_log_init(&l, role, S("GET"));
            l.stop_at = stop_at;
            if (feed_cut(&l, row->bytes, cut == row->bytes.n ? SIZE_MAX : cut) != e)
                fail_msg("%s: cut at %zu gives another result", row->name, cut);
            assert_str(buf_str(&l.out), buf_str(&whole.out));
            h1_log_done(&l);
        }
    }
    h1_log_done(&whole);
}

static void requests_are_taken_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        check_row(H1_SERVER, &requests[i]);
}

static void replies_are_taken_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(replies); i++)
        check_row(H1_CLIENT, &replies[i]);
}

/* before, then `n` times piece, then after. */
static int feed_repeated(enum h1_role role, struct str before, struct str piece, size_t n,
                         struct str after)
{
    struct h1_log l;
    h1_log_init(&l, role, S("GET"));
    int e = h1_log_feed(&l, before, NULL);
    for (size_t i = 0; i < n && e == 0; i++)
        e = h1_log_feed(&l, piece, NULL);
    if (e == 0)
        e = h1_log_feed(&l, after, NULL);
    if (e == 0 && l.ends == 0)
        e = h1_eof(&l.c);
    h1_log_done(&l);
    return e;
}

static void limits_hold(void **state)
{
    (void)state;
    struct str chunked = S(CHUNKED);
    struct str end = S("\r\n\r\n"), k = S("0123456789abcdef");
    int large = E_HEADERS_TOO_LARGE;
    assert_int_equal(feed_repeated(H1_SERVER, S(H "X: "), k, 500, end), 0);
    assert_int_equal(feed_repeated(H1_SERVER, S(H "X: "), k, 1024, end), large);
    assert_int_equal(feed_repeated(H1_SERVER, S(H), k, 1024, end), large);
    assert_int_equal(feed_repeated(H1_SERVER, S(H "X:"), S("                "), 9000, end), large);
    assert_int_equal(feed_repeated(H1_SERVER, S(H), S("X: y\r\n"), 99, S("\r\n")), 0);
    assert_int_equal(feed_repeated(H1_SERVER, S(H), S("X: y\r\n"), 100, S("\r\n")), large);
    assert_int_equal(feed_repeated(H1_SERVER, S("GET /"), k, 2048, S(" HTTP/1.1\r\n\r\n")),
                     E_URI_TOO_LONG);
    assert_int_equal(feed_repeated(H1_CLIENT, S(R "X: "), k, 8192, end), E_UPSTREAM_PROTOCOL);
    /* chunk extensions, trailers, leading zeros, blanks */
    assert_int_equal(feed_repeated(H1_SERVER, chunked, S("1;a=b\r\nx\r\n"), 200, S("0\r\n\r\n")),
                     0);
    assert_int_equal(feed_repeated(H1_SERVER, chunked, S("1;a=b\r\nx\r\n"), 5000, S("0\r\n\r\n")),
                     E_BAD_REQUEST);
    struct str ext = S(CHUNKED "1;");
    assert_int_equal(feed_repeated(H1_SERVER, ext, k, 4096, S("\r\n")), E_BAD_REQUEST);
    struct str last = S(CHUNKED "0\r\n");
    assert_int_equal(feed_repeated(H1_SERVER, last, S("X: y\r\n"), 5000, S("\r\n")), E_BAD_REQUEST);
    struct str trailer = S(CHUNKED "0\r\nX:");
    assert_int_equal(feed_repeated(H1_SERVER, trailer, S("        "), 9000, end), E_BAD_REQUEST);
    assert_int_equal(feed_repeated(H1_SERVER, chunked, S("00000000"), 9000, S("1\r\nx")),
                     E_BAD_REQUEST);
    assert_int_equal(feed_repeated(H1_SERVER, chunked, S("1\r\nx\r\n"), 50000, S("0\r\n\r\n")), 0);
}

static void a_reply_to_head_has_no_body(void **state)
{
    (void)state;
    struct h1_log l;
    h1_log_init(&l, H1_CLIENT, S("HEAD"));
    struct str in = S(R "Content-Length: 2\r\n\r\n" R "Content-Length: 2\r\n\r\nok");
    size_t left = 0;
    assert_int_equal(h1_log_feed(&l, in, &left), 0);
    assert_str(buf_str(&l.out), S("[   200 1.1 cl=2 body=0 keep=1]end;"));
    h1_next(&l.c, S("GET"));
    l.ended = false;
    assert_true(h1_idle(&l.c));
    assert_int_equal(h1_feed(&l.c, str_slice(in, in.n - left, in.n)), (int)left);
    assert_int_equal(l.ends, 2);
    assert_int_equal(l.body_bytes, 2);
    h1_log_done(&l);
}

/* Goal: h1_feed() uses nothing behind the message, and says when it is idle. */
static void stops_behind_each_message(void **state)
{
    (void)state;
    struct h1_log l;
    h1_log_init(&l, H1_SERVER, S(""));
    struct str in = S(H "\r\n" H "\r\n");
    assert_true(h1_idle(&l.c));
    assert_int_equal(h1_feed(&l.c, in), (int)in.n / 2);
    assert_int_equal(h1_feed(&l.c, in), 0);
    assert_int_equal(h1_eof(&l.c), 0);
    h1_next(&l.c, S(""));
    assert_true(h1_idle(&l.c));
    assert_int_equal(h1_feed(&l.c, S("\r\n")), 2);
    assert_true(h1_idle(&l.c));
    assert_int_equal(h1_feed(&l.c, S("G")), 1);
    assert_false(h1_idle(&l.c));
    assert_int_equal(h1_eof(&l.c), E_CLIENT_GONE);
    h1_log_done(&l);
}

/* Goal: after h1_stop() no byte more is used than the event took. */
static void stop_counts_exactly(void **state)
{
    (void)state;
    struct str head = S(CHUNKED), body = S("2\r\nok\r\n0\r\n\r\n");
    char in[256];
    int n = snprintf(in, sizeof(in), "%s%s", head.p, body.p);
    struct h1_log l;
    h1_log_init(&l, H1_SERVER, S(""));
    l.stop_at = 1;
    assert_int_equal(h1_feed(&l.c, (struct str){ in, (size_t)n }), (int)head.n);
    l.stop_at = 2;
    assert_int_equal(h1_feed(&l.c, body), 5);
    assert_int_equal(l.body_bytes, 2);
    assert_int_equal(h1_feed(&l.c, str_slice(body, 5, body.n)), (int)body.n - 5);
    assert_int_equal(l.ends, 1);
    h1_log_done(&l);
}

/* What was written reads back the same, and what must not be sent is not. */
static void written_requests_read_back(void **state)
{
    (void)state;
    struct arena a;
    struct buf out;
    struct h1_log l;
    arena_init(&a, 1 << 20);
    buf_init(&out, 1 << 20);
    h1_log_init(&l, H1_SERVER, S(""));
    struct http_head head = { .method = S("POST"), .target = S("/v1?x"), .authority = S("u:1") };
    http_add(&head.headers, &a, S("x-a"), S("1"));
    http_add(&head.headers, &a, S("x-evil"), S("1\r\nx-b: 2"));
    http_add(&head.headers, &a, S("content-length"), S("9"));
    http_add(&head.headers, &a, S("te"), S("trailers"));
    h1_write_request(&out, &head, 3);
    buf_add(&out, S("abc"));
    h1_write_request(&out, &head, -1);
    h1_write_chunk(&out, S("0123456789abcdef!"));
    h1_write_last_chunk(&out);
    h1_write_request(&out, &head, -2);
    assert_int_equal(h1_log_feed(&l, buf_str(&out), NULL), 0);
    assert_str(buf_str(&l.out),
               S("[POST /v1?x u:1 0 1.1 cl=3 body=1 x-a=1 keep=1]<abc>end;"
                 "[POST /v1?x u:1 0 1.1 cl=-1 body=1 x-a=1 keep=1]<0123456789abcdef!>end;"
                 "[POST /v1?x u:1 0 1.1 cl=-1 body=0 x-a=1 keep=1]end;"));
    h1_log_done(&l);
    buf_done(&out);
    arena_done(&a);
}

static struct str written_reply(struct buf *out, int status, int64_t body_bytes, bool keep_alive,
                                int minor)
{
    static struct http_header date = { S_INIT("date"), S_INIT("D") };
    struct http_headers headers = { &date, 1, 1 };
    buf_clear(out);
    h1_write_reply(out, status, &headers, body_bytes, keep_alive, minor);
    return buf_str(out);
}

static void written_replies(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_str(written_reply(&out, 200, 5, true, 1),
               S("HTTP/1.1 200 OK\r\ndate: D\r\ncontent-length: 5\r\n\r\n"));
    assert_str(written_reply(&out, 200, -1, true, 1),
               S("HTTP/1.1 200 OK\r\ndate: D\r\ntransfer-encoding: chunked\r\n\r\n"));
    assert_str(written_reply(&out, 200, -3, true, 0),
               S("HTTP/1.1 200 OK\r\ndate: D\r\nconnection: close\r\n\r\n"));
    assert_str(
        written_reply(&out, 200, 0, true, 0),
        S("HTTP/1.1 200 OK\r\ndate: D\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n"));
    assert_str(written_reply(&out, 204, 0, false, 1),
               S("HTTP/1.1 204 No Content\r\ndate: D\r\nconnection: close\r\n\r\n"));
    buf_clear(&out);
    struct http_headers none = { .n = 0 };
    h1_write_reply(&out, 100, &none, -2, true, 1);
    assert_str(buf_str(&out), S("HTTP/1.1 100 Continue\r\n\r\n"));
    buf_clear(&out);
    h1_write_reply(&out, 200, &none, -2, true, 1);
    assert_true(str_contains(buf_str(&out), S(" GMT\r\n")));
    assert_int_equal(buf_len(&out),
                     sizeof("HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n") - 1);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_taken_or_refused),
        cmocka_unit_test(replies_are_taken_or_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(a_reply_to_head_has_no_body),
        cmocka_unit_test(stops_behind_each_message),
        cmocka_unit_test(stop_counts_exactly),
        cmocka_unit_test(written_requests_read_back),
        cmocka_unit_test(written_replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

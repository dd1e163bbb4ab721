/*
 * The chunked coding, against a reader written from RFC 9112 section 7.1 alone.  The first byte
 * says how to cut, the rest is what stands behind a head with `transfer-encoding: chunked`.
 * Invariants: both take the same bodies and give the same bytes of them, from a client and from
 * an upstream, at once, in pieces and byte by byte.
 */
#include <stdint.h>

#include "../tests/unit/h1_log.h"
#include "err.h"

/* Their limits and what is refused beyond the grammar are not told apart here. */
enum { TAKEN, REFUSED, UNFINISHED };

static const struct str request =
    S_INIT("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
static const struct str reply = S_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A line without its CRLF, which is off *rest then. */
static int take_line(struct str *rest, struct str *ret_line)
{
    size_t cr = str_index(*rest, '\r'), lf = str_index(*rest, '\n');
    if (lf < cr)
        return REFUSED;
    if (cr + 1 >= rest->n)
        return UNFINISHED;
    if (rest->p[cr + 1] != '\n')
        return REFUSED;
    *ret_line = str_slice(*rest, 0, cr);
    *rest = str_slice(*rest, cr + 2, rest->n);
    return TAKEN;
}

static bool read_size(struct str line, uint64_t *ret_size)
{
    size_t n = 0;
    uint64_t size = 0;
    for (; n < line.n && digit_of(line.p[n]) >= 0; n++) {
        if (size >> 60 != 0)
            return false;
        size = size << 4 | (uint64_t)digit_of(line.p[n]);
    }
    *ret_size = size;
    return n > 0 && (n == line.n || line.p[n] == ';');
}

static int read_chunks(struct str in, struct buf *out)
{
    struct str line;
    uint64_t size = 1;
    int r;
    while (size > 0) {
        if ((r = take_line(&in, &line)) != TAKEN)
            return r;
        if (!read_size(line, &size))
            return REFUSED;
        if (size == 0)
            break;
        buf_add(out, str_slice(in, 0, size < in.n ? (size_t)size : in.n));
        if (size > in.n)
            return UNFINISHED;
        in = str_slice(in, (size_t)size, in.n);
        if ((r = take_line(&in, &line)) != TAKEN)
            return r;
        if (line.n > 0)
            return REFUSED;
    }
    do
        r = take_line(&in, &line);
    while (r == TAKEN && line.n > 0); /* trailers */
    return r;
}

/* What a codec makes of it; its body in *out. */
static int run(enum h1_role role, struct str in, size_t step, struct buf *out, bool *ret_limited)
{
    struct h1_log l;
    int e = 0;
    h1_log_init(&l, role, S("GET"));
    ssize_t head = h1_feed(&l.c, role == H1_SERVER ? request : reply);
    must(head > 0);
    buf_clear(&l.out);
    for (size_t at = 0; e == 0 && at < in.n && !l.ended; at += step) {
        ssize_t used = h1_feed(&l.c, str_slice(in, at, at + step));
        e = used < 0 ? (int)used : 0;
    }
    struct str body = buf_str(&l.out);
    bool some = l.body_bytes > 0;
    buf_add(out, str_slice(body, some, some + l.body_bytes));
    *ret_limited = h1_log_limited(&l) || h1_refusal(&l.c) == REFUSAL_TRAILER;
    int r = e < 0 ? REFUSED : l.ended ? TAKEN : UNFINISHED;
    h1_log_done(&l);
    return r;
}

static void check(enum h1_role role, struct str in, size_t step, int expected, struct str body)
{
    struct buf out;
    bool limited;
    buf_init(&out, SIZE_MAX);
    int r = run(role, in, step, &out, &limited);
    if (!limited && r == TAKEN) {
        must(expected == TAKEN);
        must(str_eq(buf_str(&out), body));
    }
    if (!limited && expected == REFUSED)
        must(r == REFUSED);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return 0;
    struct str in = { (const char *)bytes + 1, n - 1 };
    struct buf body;
    buf_init(&body, SIZE_MAX);
    int expected = read_chunks(in, &body);
    size_t steps[] = { in.n + 1, (size_t)bytes[0] % 64 + 1, 1 };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        check(H1_SERVER, in, steps[i], expected, buf_str(&body));
        check(H1_CLIENT, in, steps[i], expected, buf_str(&body));
    }
    buf_done(&body);
    return 0;
}

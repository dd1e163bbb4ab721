#include "mock_exchange.h"

#include <stdlib.h>
#include <zlib.h>

#include "clock.h"
#include "conn.h"
#include "mem.h"
#include "mock_answer.h"

enum {
    ARENA_BYTES_MAX = 1 << 30,
    WRITE_BYTES = 64 * 1024,
    BREAK_DELAY_MS = 20, /* what was written must have left before it breaks */
    DELAY_MS_MAX = 24 * 3600 * 1000,
};

#define TPS_MIN 0.001 /* slower is not a speed: at once */

/*
 * BODY → DELAY [mock_exchange_end; slow-first, reset-early]
 * BODY, DELAY → HEAD [begin; slow-head] → WRITING [pump]
 * BODY → STALLED [stall-headers]; WRITING → STALLED [stall]
 * WRITING → RESETTING [finish]
 * any → OVER [release]
 */
enum exchange_state {
    EXCHANGE_BODY,
    EXCHANGE_DELAY,
    EXCHANGE_HEAD,
    EXCHANGE_WRITING,
    EXCHANGE_STALLED,
    EXCHANGE_BREAKING,
    EXCHANGE_OVER,
};

struct mock_exchange {
    struct mock *mock;
    struct server_stream *stream;
    struct arena arena;
    struct http_head head;
    struct buf body; /* of the request */
    uint64_t number;
    enum exchange_state state;
    struct mock_answer answer;
    struct buf out; /* made, not written */
    enum mock_then then;
    uint64_t tokens;
    int64_t begun_ns, interval_ns; /* token n is due at begun + n * interval */
    struct timeout timer;
    z_stream *gzip;
};

static void pump(struct mock_exchange *x);

static void free_exchange(void *ctx)
{
    struct mock_exchange *x = ctx;
    mock_answer_done(&x->answer);
    arena_done(&x->arena);
    buf_done(&x->body);
    buf_done(&x->out);
    if (x->gzip != NULL)
        deflateEnd(x->gzip);
    free(x->gzip);
    free(x);
}

static void release(struct mock_exchange *x)
{
    must(x->state != EXCHANGE_OVER);
    x->state = EXCHANGE_OVER;
    timeout_clear(x->mock->loop, &x->timer);
    loop_defer(x->mock->loop, free_exchange, x);
}

static void after(struct mock_exchange *x, enum exchange_state state, uint64_t ms)
{
    x->state = state;
    timeout_set(x->mock->loop, &x->timer,
                (int64_t)(ms < DELAY_MS_MAX ? ms : DELAY_MS_MAX) * NS_PER_MS);
}

/* --- writing --- */

static void gzip_begin(struct mock_exchange *x)
{
    x->gzip = mem_new(z_stream);
    must(deflateInit2(x->gzip, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    http_set(&x->answer.headers, &x->arena, S("content-encoding"), S("gzip"));
}

/* Replaces x->out by its coded form; the last time with the trailer. */
static void gzip_out(struct mock_exchange *x)
{
    struct buf coded;
    struct str plain = buf_str(&x->out);
    int flush = x->then == MOCK_THEN_END ? Z_FINISH : Z_SYNC_FLUSH;
    buf_init(&coded, SIZE_MAX);
    x->gzip->next_in = (z_const Bytef *)(uintptr_t)plain.p; /* zlib does not write there */
    x->gzip->avail_in = (uInt)plain.n;
    do {
        char *to = buf_reserve(&coded, WRITE_BYTES);
        x->gzip->next_out = (Bytef *)to;
        x->gzip->avail_out = WRITE_BYTES;
        must(deflate(x->gzip, flush) != Z_STREAM_ERROR);
        buf_commit(&coded, WRITE_BYTES - x->gzip->avail_out);
    } while (x->gzip->avail_out == 0);
    buf_done(&x->out);
    x->out = coded;
}

static void finish(struct mock_exchange *x)
{
    switch (x->then) {
    case MOCK_THEN_MORE:
        must(false);
        break;
    case MOCK_THEN_END:
        server_end(x->stream);
        release(x);
        break;
    case MOCK_THEN_ABORT:
    case MOCK_THEN_RESET:
        after(x, EXCHANGE_BREAKING, BREAK_DELAY_MS);
        break;
    case MOCK_THEN_STALL:
        x->state = EXCHANGE_STALLED;
        break;
    }
}

/* Makes the next bytes.  False: there are none now, or ever. */
static bool refill(struct mock_exchange *x)
{
    if (x->then != MOCK_THEN_MORE) {
        finish(x);
        return false;
    }
    int64_t due = x->begun_ns + (int64_t)x->tokens * x->interval_ns - loop_now_ns(x->mock->loop);
    if (x->interval_ns > 0 && due > 0) {
        timeout_set(x->mock->loop, &x->timer, due);
        return false;
    }
    x->then = mock_fault_next(x->answer.fault, &x->answer.reply, &x->tokens, &x->out);
    if (x->gzip != NULL)
        gzip_out(x);
    return true;
}

static void write_some(struct mock_exchange *x, size_t n)
{
    struct str bytes = str_slice(buf_str(&x->out), 0, n);
    server_write(x->stream, bytes);
    buf_consume(&x->out, bytes.n);
    if (buf_len(&x->out) == 0)
        buf_clear(&x->out);
}

static void pump(struct mock_exchange *x)
{
    bool one_byte = x->answer.fault.kind == MOCK_FAULT_ONE_BYTE;
    while (x->state == EXCHANGE_WRITING && server_queued(x->stream) <= CONN_HIGH_BYTES) {
        if (buf_len(&x->out) == 0 && !refill(x))
            return;
        if (buf_len(&x->out) > 0)
            write_some(x, one_byte ? 1 : WRITE_BYTES);
        if (one_byte) {
            timeout_set(x->mock->loop, &x->timer, 0);
            return;
        }
    }
}

/* --- the answer --- */

static void begin(struct mock_exchange *x)
{
    struct mock_answer *ans = &x->answer;
    double tps = ans->tokens_per_second >= 0 ? ans->tokens_per_second : x->mock->tokens_per_second;
    int64_t length = -1;
    if (!ans->streams) {
        x->out = ans->body;
        buf_init(&ans->body, 0);
        if (mock_fault_keeps_length(ans->fault))
            length = (int64_t)buf_len(&x->out);
        x->then = mock_fault_body(ans->fault, &x->out);
    }
    if (ans->fault.kind == MOCK_FAULT_GZIP) {
        gzip_begin(x);
        if (!ans->streams)
            gzip_out(x);
    }
    x->interval_ns = tps > TPS_MIN ? (int64_t)((double)NS_PER_S / tps) : 0;
    x->begun_ns = loop_now_ns(x->mock->loop);
    server_head(x->stream, ans->status, &ans->headers, length);
    x->state = EXCHANGE_WRITING;
    if (ans->fault.kind == MOCK_FAULT_SLOW_HEAD)
        after(x, EXCHANGE_HEAD, ans->fault.number);
    else
        pump(x);
}

static void on_timer(void *ctx)
{
    struct mock_exchange *x = ctx;
    switch (x->state) {
    case EXCHANGE_DELAY:
        begin(x);
        break;
    case EXCHANGE_HEAD:
        x->begun_ns = loop_now_ns(x->mock->loop);
        x->state = EXCHANGE_WRITING;
        pump(x);
        break;
    case EXCHANGE_WRITING:
        pump(x);
        break;
    case EXCHANGE_BREAKING:
        if (x->then == MOCK_THEN_RESET)
            server_reset(x->stream);
        else
            server_abort(x->stream);
        release(x);
        break;
    case EXCHANGE_BODY:
    case EXCHANGE_STALLED:
    case EXCHANGE_OVER:
        must(false);
    }
}

static bool is_records(const struct mock_exchange *x)
{
    struct str target = x->head.target;
    return str_eq(str_slice(target, 0, str_index(target, '?')), S("/requests"));
}

/* GET and DELETE /requests: no key, no record. */
static void answer_records(struct mock_exchange *x)
{
    struct mock_answer *ans = &x->answer;
    uint64_t last = 0;
    *ans = (struct mock_answer){ .status = 200, .tokens_per_second = 0 };
    buf_init(&ans->body, SIZE_MAX);
    http_set(&ans->headers, &x->arena, S("content-type"), S("application/json"));
    if (str_to_u64(mock_query(x->head.target, S("last")), &last) < 0)
        last = 0;
    if (str_eq(x->head.method, S("DELETE")))
        mock_records_clear(&x->mock->records);
    mock_records_write(&x->mock->records, last, &ans->body);
    begin(x);
}

/* The records take the body over. */
static void record(struct mock_exchange *x, bool cancelled)
{
    size_t n;
    char *body = buf_take(&x->body, &n);
    mock_record_add(&x->mock->records, x->number, server_conn_number(x->stream),
                    server_remote(x->stream), &x->head, body, n, cancelled);
}

void mock_exchange_end(void *user)
{
    struct mock_exchange *x = user;
    if (is_records(x)) {
        answer_records(x);
        return;
    }
    struct mock_question q = {
        .head = &x->head,
        .body = buf_str(&x->body),
        .number = x->number,
        .created_s = (uint64_t)(clock_unix_ms() / 1000),
    };
    mock_answer_make(&x->answer, &x->arena, &q);
    record(x, false);
    switch (x->answer.fault.kind) {
    case MOCK_FAULT_STALL_HEADERS:
        x->state = EXCHANGE_STALLED;
        break;
    case MOCK_FAULT_RESET_EARLY:
        server_reset(x->stream);
        release(x);
        break;
    case MOCK_FAULT_SLOW_FIRST:
        after(x, EXCHANGE_DELAY, x->answer.fault.number);
        break;
    default:
        begin(x);
        break;
    }
}

void mock_exchange_body(void *user, struct str bytes)
{
    struct mock_exchange *x = user;
    buf_add(&x->body, bytes);
    if (!x->body.overflow)
        return;
    buf_init(&x->answer.body, SIZE_MAX);
    mock_answer_error(&x->answer, &x->arena, false, x->number, 413,
                      S("Request exceeds the maximum allowed number of bytes."));
    begin(x);
}

void mock_exchange_drain(void *user)
{
    struct mock_exchange *x = user;
    if (x->state == EXCHANGE_WRITING && !timeout_armed(&x->timer))
        pump(x);
}

void mock_exchange_gone(void *user)
{
    struct mock_exchange *x = user;
    if (x->state == EXCHANGE_BODY && !is_records(x))
        record(x, true);
    else
        mock_record_cancelled(&x->mock->records, x->number);
    release(x);
}

void mock_exchange_new(struct mock *m, struct server_stream *s, const struct http_head *head)
{
    struct mock_exchange *x = mem_new(struct mock_exchange);
    x->mock = m;
    x->stream = s;
    x->number = ++m->requests;
    arena_init(&x->arena, ARENA_BYTES_MAX);
    http_head_copy(head, &x->arena, &x->head);
    buf_init(&x->body, MOCK_BODY_BYTES_MAX);
    buf_init(&x->out, SIZE_MAX);
    timeout_init(&x->timer, on_timer, x);
    server_set_user(s, x);
    if (head->expect_continue)
        server_continue(s);
}

/*
 * hot.c - one hot path of a request at a time, for tools/instructions to count its instructions.
 *
 *   bench_hot           names the paths
 *   bench_hot NAME      prepares and runs it once, then once more inside hot_measured()
 *
 * Paths use only what headers promise, with the same bytes at every run.
 */
#include <stdio.h>
#include <string.h>

#include "adapter.h"
#include "convert.h"
#include "h1.h"
#include "h2.h"
#include "json.h"
#include "log_line.h"
#include "session.h"
#include "sse.h"
#include "watch.h"

enum { EVENTS = 1000, LIMIT_BYTES = 1 << 30, MIB = 1 << 20 };

#define WORDS "Please explain it in more detail, and give an example.\\n"
#define WORDS_4 WORDS WORDS WORDS WORDS

/* 1.2 KB, and something to do for most of the adapter's actions. */
static const struct str chat_request = S_INIT(
    "{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":4096,\"temperature\":0.7,\"top_p\":1,"
    "\"system\":\"You are a helpful assistant.\",\"messages\":["
    "{\"role\":\"user\",\"content\":\"Why is the sky blue?\"},"
    "{\"role\":\"assistant\",\"content\":\"Because of Rayleigh scattering.\"},"
    "{\"role\":\"user\",\"content\":\"" WORDS_4 WORDS_4 WORDS_4 WORDS_4 "\"}],\"stream\":true}");

/* callgrind counts while this runs; a name that stays. */
void hot_measured(void (*work)(void));

__attribute__((noinline)) void hot_measured(void (*work)(void))
{
    work();
    __asm__ volatile("" ::: "memory"); /* no tail call: the count ends here */
}

/* ---- adapt: the cherry_studio rules on one request ---- */

static struct config config;
static struct adapter_set *adapters;
static struct buf body;

static void prepare_adapters(void)
{
    static char *const no_environment[] = { NULL };
    struct buf error;
    buf_init(&error, 4096);
    must(config_load(&config, NULL, false, no_environment, NULL, 0, &error) == 0);
    must(adapters_load(&config, &adapters, &error) == 0);
    buf_done(&error);
    buf_init(&body, SIZE_MAX);
}

static void prepare_adapt(void)
{
    prepare_adapters();
    buf_add(&body, chat_request);
}

static void prepare_edit(void)
{
    prepare_adapters();
    session_request(PROTOCOL_MESSAGES, 1, MIB, &body);
}

static void run_adapt(void)
{
    struct arena work;
    struct json_edit edit;
    yyjson_doc *doc;
    struct http_headers headers = { .n = 0 };
    enum adapter_reason reason;
    arena_init(&work, LIMIT_BYTES);
    must(json_parse(buf_str(&body), &doc, NULL) == 0); /* as request_body.c does */
    yyjson_doc_free(doc);
    json_edit_init(&edit, &work, buf_str(&body));
    http_add(&headers, &work, S("content-type"), S("application/json"));
    http_add(&headers, &work, S("user-agent"), S("CherryStudio/1.0.0"));
    struct adapter_request r = { .arena = &work,
                                 .headers = &headers,
                                 .edit = &edit,
                                 .path = S("/v1/messages"),
                                 .credential = S("sk-bench"),
                                 .unix_s = 1793534400,
                                 .session_secret = S("bench") };
    const struct adapter *a = adapter_select(adapters, &r, &reason);
    must(str_eq(adapter_name(a), S("cherry_studio")));
    adapter_apply(adapters, a, &r);
    must(json_edit_text(&edit).p != body.p);
    must(r.changes_n > 0);
    arena_done(&work);
}

/* ---- convert: Messages to Chat and back ---- */

static struct convert *converted(void)
{
    struct convert *c = session_convert(PROTOCOL_MESSAGES, PROTOCOL_CHAT);
    struct arena work;
    struct buf out;
    arena_init(&work, LIMIT_BYTES);
    buf_init(&out, SIZE_MAX);
    must(convert_request(c, &work, chat_request, &out) == 0);
    buf_done(&out);
    arena_done(&work);
    return c;
}

static void run_convert(void)
{
    convert_free(converted());
}

static struct convert *streaming;

static void prepare_convert_events(void)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    streaming = converted();
    must(convert_feed(streaming, session_piece(PROTOCOL_CHAT, SESSION_TEXT, SESSION_BEGIN), &out) ==
         0);
    buf_done(&out);
}

static void run_convert_events(void)
{
    struct str delta = session_piece(PROTOCOL_CHAT, SESSION_TEXT, SESSION_DELTA);
    struct buf out;
    buf_init(&out, SIZE_MAX);
    for (int i = 0; i < EVENTS; i++) {
        must(convert_feed(streaming, delta, &out) == 0);
        buf_truncate(&out, 0);
    }
    buf_done(&out);
}

/* ---- events passed through: where they end, what they say, and their chunk ---- */

static void run_events(void)
{
    struct str delta = session_piece(PROTOCOL_MESSAGES, SESSION_TEXT, SESSION_DELTA);
    struct sse_splitter splitter;
    struct watch watch;
    struct buf out;
    buf_init(&out, SIZE_MAX);
    sse_splitter_init(&splitter);
    watch_init(&watch, PROTOCOL_MESSAGES);
    for (int i = 0; i < EVENTS; i++) {
        size_t n = sse_split(&splitter, delta);
        must(n == delta.n);
        watch_events(&watch, str_slice(delta, 0, n));
        h1_write_chunk(&out, delta);
        buf_truncate(&out, 0);
    }
    must(watch.events == EVENTS);
    buf_done(&out);
}

/* ---- one request and one reply of HTTP/1 ---- */

static const struct h1_limits limits = {
    .header_bytes = 32 << 10, .field_bytes = 8 << 10, .target_bytes = 8 << 10, .fields_max = 100
};
static struct buf http_out;

static void on_head(void *ctx, const struct http_head *head)
{
    (void)ctx;
    if (head->status == 0)
        h1_write_request(&http_out, head, head->content_length);
    else
        h1_write_reply(&http_out, head->status, &head->headers, head->content_length, true, 1);
}

static void on_body(void *ctx, struct str bytes)
{
    (void)ctx;
    buf_add(&http_out, bytes);
}

static void on_end(void *ctx)
{
    (void)ctx;
}

static const struct h1_handler handler = { on_head, on_body, on_end };
static struct h1 server_codec, client_codec;

static void prepare_http(void)
{
    h1_init(&server_codec, H1_SERVER, &limits, &handler, NULL);
    h1_init(&client_codec, H1_CLIENT, &limits, &handler, NULL);
    buf_init(&http_out, SIZE_MAX);
}

static void run_http(void)
{
    struct str request = S("POST /v1/messages HTTP/1.1\r\nhost: localhost:8001\r\n"
                           "content-type: application/json\r\nx-api-key: sk-bench\r\n"
                           "user-agent: CherryStudio/1.0.0\r\nanthropic-version: 2023-06-01\r\n"
                           "accept: */*\r\ncontent-length: 2\r\n\r\n{}");
    struct str reply = S("HTTP/1.1 200 OK\r\nserver: nginx\r\n"
                         "date: Mon, 23 Nov 2026 16:00:00 GMT\r\ncontent-type: application/json\r\n"
                         "connection: keep-alive\r\ncontent-length: 2\r\n\r\n{}");
    h1_next(&server_codec, S(""));
    must(h1_feed(&server_codec, request) == (ssize_t)request.n);
    h1_next(&client_codec, S("POST"));
    must(h1_feed(&client_codec, reply) == (ssize_t)reply.n);
    must(buf_len(&http_out) > 300);
    buf_truncate(&http_out, 0);
}

/* ---- one request and one reply of HTTP/2, on conns that have seen some ---- */

static const struct h2_limits h2_limits = { .header_bytes = 32 << 10,
                                            .field_bytes = 8 << 10,
                                            .target_bytes = 8 << 10,
                                            .fields_max = 100,
                                            .streams_max = 100 };
static struct h2 *h2_server, *h2_client;
static int h2_ends;

static void h2_on_head(void *ctx, struct h2_stream *s, const struct http_head *head)
{
    static int id;
    char text[STR_U64_MAX];
    (void)ctx;
    if (head->status != 0)
        return;
    struct http_header v[] = { { S_INIT("content-type"), S_INIT("application/json") },
                               { S_INIT("request-id"), str_u64((uint64_t)++id, text) },
                               { S_INIT("access-control-expose-headers"), S_INIT(WORDS_4 WORDS) } };
    struct http_headers fields = { v, ARRAY_LEN(v), ARRAY_LEN(v) };
    h2_submit_reply(s, 200, &fields, (int64_t)chat_request.n, true);
    h2_write(s, chat_request);
    h2_write_end(s);
}

static void h2_on_body(void *ctx, struct h2_stream *s, struct str bytes)
{
    (void)ctx;
    h2_consume(s, bytes.n);
}

static void h2_on_end(void *ctx, struct h2_stream *s)
{
    (void)ctx;
    (void)s;
    h2_ends++;
}

static void h2_on_close(void *ctx, struct h2_stream *s, uint32_t error, bool unprocessed)
{
    (void)ctx;
    (void)s;
    must(error == 0);
    must(!unprocessed);
}

static bool h2_move(struct h2 *from, struct h2 *to)
{
    struct buf bytes;
    buf_init(&bytes, LIMIT_BYTES);
    h2_pull(from, &bytes, LIMIT_BYTES);
    bool any = buf_len(&bytes) > 0;
    must(h2_feed(to, buf_str(&bytes)) == 0);
    buf_done(&bytes);
    return any;
}

static void run_http2(void)
{
    struct http_header v[] = { { S_INIT("content-type"), S_INIT("application/json") },
                               { S_INIT("x-api-key"), S_INIT("sk-bench") },
                               { S_INIT("user-agent"), S_INIT("CherryStudio/1.0.0") },
                               { S_INIT("anthropic-version"), S_INIT("2023-06-01") } };
    struct http_head head = { .method = S_INIT("POST"),
                              .target = S_INIT("/v1/messages"),
                              .authority = S_INIT("localhost:8001"),
                              .content_length = (int64_t)chat_request.n,
                              .headers = { v, ARRAY_LEN(v), ARRAY_LEN(v) } };
    struct h2_stream *s = h2_submit_request(h2_client, &head, true, NULL);
    must(s != NULL);
    h2_write(s, chat_request);
    h2_write_end(s);
    h2_ends = 0;
    while (h2_move(h2_client, h2_server) || h2_move(h2_server, h2_client))
        ;
    must(h2_ends == 2);
}

static void prepare_http2(void)
{
    static const struct h2_handler both = {
        .on_head = h2_on_head,
        .on_body = h2_on_body,
        .on_end = h2_on_end,
        .on_stream_close = h2_on_close,
    };
    h2_server = h2_new(H2_SERVER, &h2_limits, &both, NULL);
    h2_client = h2_new(H2_CLIENT, &h2_limits, &both, NULL);
    while (h2_move(h2_client, h2_server) || h2_move(h2_server, h2_client))
        ;
    for (int i = 0; i < 100; i++)
        run_http2();
}

/* ---- one line of the log ---- */

static void run_log(void)
{
    const struct log_field fields[] = {
        F("request_id", S("req_011CSHoEeqs5C35K2UUqR7Fy")),
        F("method", S("POST")),
        F("path", S("/v1/messages")),
        F("status", 200),
        F("ended", S("complete")),
        F("adapter", S("cherry_studio")),
        F("model", S("claude-sonnet-4-5")),
        F("upstream", S("https://api.anthropic.com")),
        F("attempts", 1),
        F("ttfb_ms", 812.25),
        F("duration_ms", 4031.5),
        F("bytes_in", 1200),
        F("bytes_out", 90210),
        F("input_tokens", 1024),
        F("output_tokens", 512),
    };
    struct log_line line = { .level = LOG_INFO,
                             .logger = "claude-service",
                             .event = "request_done",
                             .unix_ms = INT64_C(1793534400123),
                             .fields = fields,
                             .n = ARRAY_LEN(fields) };
    struct buf out;
    buf_init(&out, 16384);
    log_line_add(LOG_JSON, &line, &out);
    must(!out.overflow);
    buf_done(&out);
}

static void nothing(void)
{
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*prepare)(void);
        void (*run)(void);
    } paths[] = {
        { "adapt_request", prepare_adapt, run_adapt },
        { "adapt_1mib", prepare_edit, run_adapt },
        { "convert_request", nothing, run_convert },
        { "pass_1000_events", nothing, run_events },
        { "convert_1000_events", prepare_convert_events, run_convert_events },
        { "http1_request_and_reply", prepare_http, run_http },
        { "http2_request_and_reply", prepare_http2, run_http2 },
        { "log_line", nothing, run_log },
    };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (argc < 2)
            printf("%s\n", paths[i].name);
        else if (strcmp(argv[1], paths[i].name) == 0) {
            paths[i].prepare();
            paths[i].run();
            hot_measured(paths[i].run);
            return 0;
        }
    }
    return argc < 2 ? 0 : 2;
}

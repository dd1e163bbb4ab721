/*
 * reply_digest.h - replies in short, for tables of cases.
 *
 * Upstream, one event a line, ' for ":
 *     Chat       d DELTA     a chunk with that delta      f WORD   one with finish_reason
 *                u USAGE     choices:[] and usage         DONE     [DONE]
 *     Messages   s           message_start                +NBLOCK, N DELTA, -N   block N
 *                m DELTA USAGE (no space in DELTA)        .        message_stop
 *     both       {..}        as it is                     E {..}   event: error
 *
 * Client:
 *     Chat       ^ role, c(content) r(reasoning_content) d(reasoning_details) x(refusal)
 *                tK:name:id tK(arguments) n(annotations) =finish_reason
 *                [prompt/completion/cached/written/reasoning] . for [DONE], !code:message
 *     Messages   <type:name:id  t(text) h(thinking) s(signature) j(partial_json) >
 *                =stop_reason{input/creation/read/output} . for message_stop, !type:message
 */
#ifndef REPLY_DIGEST_H
#define REPLY_DIGEST_H

#include "reply_read.h"
#include "unit.h"

/* ---- upstream ---- */

static inline void digest_line(struct buf *out, enum protocol upstream, struct str line)
{
    static const char chunk[] =
        "{\"id\":\"chatcmpl-1\",\"created\":5,\"model\":\"m\",\"choices\":[";
    struct str rest = str_slice(line, 2, line.n);
    char first = line.p[0];
    bool chat = upstream == PROTOCOL_CHAT;
    buf_add(out, first == 'E' ? S("event: error\ndata: ") : S("data: "));
    if (str_eq(line, S("DONE")))
        buf_add(out, S("[DONE]"));
    else if (first == '{')
        buf_add(out, line);
    else if (first == 'E')
        buf_add(out, rest);
    else if (chat && first == 'd')
        buf_addf(out, "%s{\"index\":0,\"delta\":%.*s}]}", chunk, STR_ARG(rest));
    else if (chat && first == 'f')
        buf_addf(out, "%s{\"index\":0,\"delta\":{},\"finish_reason\":\"%.*s\"}]}", chunk,
                 STR_ARG(rest));
    else if (chat && first == 'u')
        buf_addf(out, "%s],\"usage\":%.*s}", chunk, STR_ARG(rest));
    else if (first == 's')
        buf_add(out, S("{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"m\","
                       "\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":5,"
                       "\"cache_read_input_tokens\":85,\"output_tokens\":1}}}"));
    else if (first == '+')
        buf_addf(out, "{\"type\":\"content_block_start\",\"index\":%c,\"content_block\":%.*s}",
                 line.p[1], STR_ARG(rest));
    else if (first == '-')
        buf_addf(out, "{\"type\":\"content_block_stop\",\"index\":%c}", line.p[1]);
    else if (first == 'm')
        buf_addf(out, "{\"type\":\"message_delta\",\"delta\":%.*s,\"usage\":%.*s}",
                 STR_ARG(str_slice(rest, 0, str_index(rest, ' '))),
                 STR_ARG(str_slice(rest, str_index(rest, ' '), rest.n)));
    else if (first == '.')
        buf_add(out, S("{\"type\":\"message_stop\"}"));
    else
        buf_addf(out, "{\"type\":\"content_block_delta\",\"index\":%c,\"delta\":%.*s}", first,
                 STR_ARG(rest));
    buf_add(out, S("\n\n"));
}

/* The SSE that the lines stand for. */
static inline void digest_upstream(struct buf *out, enum protocol upstream, const char *lines)
{
    char *copy = mem_strndup(lines, strlen(lines));
    struct str rest = str_of(copy), line;
    for (char *p = copy; *p != '\0'; p++)
        if (*p == '\'')
            *p = '"';
    while (str_next(&rest, '\n', &line))
        digest_line(out, upstream, line);
    free(copy);
}

/* ---- client ---- */

static inline void digest_text(struct buf *out, const char *name, yyjson_val *object,
                               struct str member)
{
    yyjson_val *v = json_member(object, member);
    if (yyjson_is_str(v) && yyjson_get_len(v) > 0) {
        buf_addf(out, "%s(", name);
        buf_add(out, json_str(v));
        buf_add_byte(out, ')');
    } else if (yyjson_is_arr(v)) {
        char *raw = yyjson_val_write(v, 0, NULL);
        buf_addf(out, "%s(%s)", name, raw);
        free(raw);
    }
}

static inline uint64_t digest_count(yyjson_val *object, struct str name)
{
    uint64_t n = 999;
    return json_member_u64(object, name, &n) ? n : 999;
}

static inline void digest_chat_call(struct buf *out, yyjson_val *call)
{
    unsigned k = (unsigned)digest_count(call, S("index"));
    bool custom = json_member(call, S("custom")) != NULL;
    yyjson_val *f = json_member(call, custom ? S("custom") : S("function"));
    char name[32];
    snprintf(name, sizeof name, "t%u", k);
    if (json_member(call, S("id")) != NULL)
        buf_addf(out, "t%u:%.*s:%.*s", k, STR_ARG(json_member_str(f, S("name"))),
                 STR_ARG(json_member_str(call, S("id"))));
    digest_text(out, name, f, custom ? S("input") : S("arguments"));
}

static inline void digest_chat(struct buf *out, yyjson_val *root)
{
    yyjson_val *error = json_member(root, S("error")), *usage = json_member(root, S("usage"));
    yyjson_val *choice = yyjson_arr_get_first(json_member(root, S("choices")));
    yyjson_val *delta = json_member(choice, S("delta"));
    if (error != NULL)
        buf_addf(out, "!%.*s:%.*s", STR_ARG(json_member_str(error, S("code"))),
                 STR_ARG(json_member_str(error, S("message"))));
    if (json_member(delta, S("role")) != NULL)
        buf_add_byte(out, '^');
    digest_text(out, "c", delta, S("content"));
    digest_text(out, "r", delta, S("reasoning_content"));
    digest_text(out, "d", delta, S("reasoning_details"));
    digest_text(out, "x", delta, S("refusal"));
    digest_text(out, "n", delta, S("annotations"));
    yyjson_val *calls = json_member(delta, S("tool_calls"));
    if (calls != NULL)
        digest_chat_call(out, yyjson_arr_get_first(calls));
    yyjson_val *legacy = json_member(delta, S("function_call"));
    if (legacy != NULL) {
        digest_text(out, "f", legacy, S("name"));
        digest_text(out, "a", legacy, S("arguments"));
    }
    if (json_member_str(choice, S("finish_reason")).n > 0)
        buf_addf(out, "=%.*s", STR_ARG(json_member_str(choice, S("finish_reason"))));
    if (yyjson_is_obj(usage)) {
        yyjson_val *in = json_member(usage, S("prompt_tokens_details"));
        yyjson_val *made = json_member(usage, S("completion_tokens_details"));
        buf_addf(out, "[%u/%u/%u/%u/%u]", (unsigned)digest_count(usage, S("prompt_tokens")),
                 (unsigned)digest_count(usage, S("completion_tokens")),
                 (unsigned)digest_count(in, S("cached_tokens")),
                 (unsigned)digest_count(in, S("cache_write_tokens")),
                 (unsigned)digest_count(made, S("reasoning_tokens")));
    }
}

static inline void digest_messages_block(struct buf *out, yyjson_val *block)
{
    buf_addf(out, "<%.*s", STR_ARG(json_member_str(block, S("type"))));
    if (json_member(block, S("id")) != NULL)
        buf_addf(out, ":%.*s:%.*s", STR_ARG(json_member_str(block, S("name"))),
                 STR_ARG(json_member_str(block, S("id"))));
    digest_text(out, "", block, S("data"));
}

static inline void digest_messages(struct buf *out, yyjson_val *root)
{
    struct str type = json_member_str(root, S("type"));
    yyjson_val *delta = json_member(root, S("delta")), *usage = json_member(root, S("usage"));
    yyjson_val *error = json_member(root, S("error"));
    if (error != NULL)
        buf_addf(out, "!%.*s:%.*s", STR_ARG(json_member_str(error, S("type"))),
                 STR_ARG(json_member_str(error, S("message"))));
    if (str_eq(type, S("content_block_start")))
        digest_messages_block(out, json_member(root, S("content_block")));
    digest_text(out, "t", delta, S("text"));
    digest_text(out, "h", delta, S("thinking"));
    digest_text(out, "s", delta, S("signature"));
    digest_text(out, "j", delta, S("partial_json"));
    if (str_eq(type, S("content_block_stop")))
        buf_add_byte(out, '>');
    if (str_eq(type, S("message_delta")))
        buf_addf(out, "=%.*s", STR_ARG(json_member_str(delta, S("stop_reason"))));
    digest_text(out, "#", delta, S("stop_sequence"));
    digest_text(out, "#", json_member(delta, S("stop_details")), S("explanation"));
    if (usage != NULL)
        buf_addf(out, "{%u/%u/%u/%u}", (unsigned)digest_count(usage, S("input_tokens")),
                 (unsigned)digest_count(usage, S("cache_creation_input_tokens")),
                 (unsigned)digest_count(usage, S("cache_read_input_tokens")),
                 (unsigned)digest_count(usage, S("output_tokens")));
    if (str_eq(type, S("message_stop")))
        buf_add_byte(out, '.');
}

struct digest {
    enum protocol client;
    struct buf *out;
};

static inline int digest_on_event(void *ctx, const struct sse_event *ev)
{
    struct digest *d = ctx;
    yyjson_doc *doc;
    if (str_eq(ev->data, S("[DONE]"))) {
        buf_add_byte(d->out, '.');
        return 0;
    }
    must(json_parse(ev->data, &doc, NULL) == 0);
    if (d->client == PROTOCOL_CHAT)
        digest_chat(d->out, yyjson_doc_get_root(doc));
    else
        digest_messages(d->out, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return 0;
}

static inline void digest_client(struct buf *out, enum protocol client, struct str stream)
{
    struct digest d = { client, out };
    struct sse_decoder s;
    sse_decoder_init(&s, SIZE_MAX, digest_on_event, &d);
    must(sse_decoder_feed(&s, stream) == 0);
    sse_decoder_done(&s);
}

/* ---- cases ---- */

struct reply_case {
    const char *goal;
    enum protocol client;
    const char *lines, *want; /* want: "-status:message" when nothing was sent */
    const char *request;      /* NULL: the usual one */
    const char *setting, *value;
};

static inline void digest_run(enum protocol upstream, const struct reply_case *k, size_t step,
                              struct buf *out)
{
    struct profile_override setting = { str_of(k->setting), str_of(k->value) };
    struct reply_run run = { .upstream = upstream, .client = k->client, .request = k->request };
    run.step = step;
    run.overrides = &setting;
    run.override_count = k->setting != NULL;
    struct buf in;
    buf_init(&in, SIZE_MAX);
    buf_init(out, SIZE_MAX);
    digest_upstream(&in, upstream, k->lines);
    reply_run(&run, buf_str(&in));
    reply_read(&run);
    if (run.rc < 0)
        buf_addf(out, "-%d:%.*s", run.failure.status, STR_ARG(run.failure.message));
    else
        digest_client(out, k->client, buf_str(&run.out));
    buf_done(&run.out);
    buf_done(&in);
}

static inline void digest_cases(enum protocol upstream, const struct reply_case *cases, size_t n)
{
    static const size_t steps[] = { 0, 1, 7 };
    int wrong = 0;
    for (size_t i = 0; i < n * ARRAY_LEN(steps); i++) {
        const struct reply_case *k = &cases[i / ARRAY_LEN(steps)];
        size_t step = steps[i % ARRAY_LEN(steps)];
        struct buf got;
        digest_run(upstream, k, step, &got);
        if (!str_eq(buf_str(&got), str_of(k->want))) {
            print_error("%s (step %zu)\n got %.*s\nwant %s\n", k->goal, step,
                        STR_ARG(buf_str(&got)), k->want);
            wrong++;
        }
        buf_done(&got);
    }
    assert_int_equal(wrong, 0);
}

/* The stream of `lines` cut in two at every place gives the same bytes. */
static inline void digest_every_split(enum protocol upstream, enum protocol client,
                                      const char *lines)
{
    struct buf in;
    buf_init(&in, SIZE_MAX);
    digest_upstream(&in, upstream, lines);
    struct reply_run whole = { .upstream = upstream, .client = client };
    reply_run(&whole, buf_str(&in));
    assert_int_equal(whole.rc, 0);
    for (size_t at = 1; at < buf_len(&in); at++) {
        struct reply_run cut = { .upstream = upstream, .client = client, .first = at };
        reply_run(&cut, buf_str(&in));
        assert_int_equal(cut.rc, 0);
        assert_str(buf_str(&cut.out), buf_str(&whole.out));
        buf_done(&cut.out);
    }
    buf_done(&whole.out);
    buf_done(&in);
}

/* A whole reply to a client that does not stream; ' for ". */
static inline void digest_whole(enum protocol upstream, enum protocol client, const char *body,
                                const char *want)
{
    static const char *const requests[PROTOCOL_COUNT] = {
        "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        "{\"model\":\"m\",\"input\":\"hi\"}",
    };
    char *in = mem_strndup(body, strlen(body)), *expected = mem_strndup(want, strlen(want));
    for (char *p = in; *p != '\0'; p++)
        *p = *p == '\'' ? '"' : *p;
    for (char *p = expected; *p != '\0'; p++)
        *p = *p == '\'' ? '"' : *p;
    struct reply_run run = { .upstream = upstream, .client = client, .whole = true };
    run.request = requests[client];
    reply_run(&run, str_of(in));
    assert_int_equal(run.rc, 0);
    assert_str(buf_str(&run.out), str_of(expected));
    buf_done(&run.out);
    free(in);
    free(expected);
}

#endif

/*
 * reply_read.h - reads what a client got as its SDK would: what breaks the grammar of its
 * protocol aborts.
 */
#ifndef REPLY_READ_H
#define REPLY_READ_H

#include "json.h"
#include "reply_run.h"
#include "sse.h"

/* Reads the client's stream as its SDK would. */
struct reply_reader {
    enum protocol client;
    unsigned events;
    bool over;           /* nothing may follow */
    bool failed;         /* it ended with an error */
    uint64_t next_block; /* Messages */
    bool block_open;
    uint64_t sequence; /* Responses */
    uint64_t calls;    /* Chat: known indices are below */
    bool finished;     /* Chat: finish_reason; Messages: message_delta */
};

static inline uint64_t reply_number(yyjson_val *object, struct str name)
{
    uint64_t n;
    must(json_member_u64(object, name, &n));
    return n;
}

static inline void reply_read_messages(struct reply_reader *r, struct str name, yyjson_val *root)
{
    struct str type = json_member_str(root, S("type"));
    must(str_eq(name, type));
    r->failed = r->failed || str_eq(type, S("error"));
    must(r->failed || (r->events == 1) == str_eq(type, S("message_start")));
    if (str_eq(type, S("content_block_start"))) {
        must(!r->block_open);
        must(reply_number(root, S("index")) == r->next_block);
        r->block_open = true;
    } else if (str_eq(type, S("content_block_delta"))) {
        must(r->block_open);
        must(reply_number(root, S("index")) == r->next_block);
    } else if (str_eq(type, S("content_block_stop"))) {
        must(r->block_open);
        must(reply_number(root, S("index")) == r->next_block++);
        r->block_open = false;
    } else if (str_eq(type, S("message_delta"))) {
        must(!r->block_open);
        must(!r->finished);
        must(json_member(root, S("usage")) != NULL);
        r->finished = true;
    }
    if (r->finished)
        must(!r->block_open);
    r->over = r->failed || str_eq(type, S("message_stop"));
    must(!r->over || r->failed || r->finished);
}

static inline void reply_read_calls(struct reply_reader *r, yyjson_val *list)
{
    yyjson_val *call = list == NULL ? NULL : yyjson_arr_get_first(list);
    if (call == NULL)
        return;
    uint64_t index = reply_number(call, S("index"));
    if (json_member(call, S("id")) != NULL) {
        must(index == r->calls);
        must(json_member_str(call, S("id")).n > 0);
        r->calls++;
    }
    must(index < r->calls);
}

static inline void reply_read_chat(struct reply_reader *r, struct str name, yyjson_val *root)
{
    must(name.n == 0);
    r->failed = r->over = json_member(root, S("error")) != NULL;
    if (r->failed)
        return;
    yyjson_val *choice = yyjson_arr_get_first(json_member(root, S("choices")));
    if (choice == NULL) {
        must(r->finished);
        must(json_member(root, S("usage")) != NULL);
        return;
    }
    must(!r->finished);
    yyjson_val *delta = json_member(choice, S("delta"));
    must((r->events == 1) == (json_member(delta, S("role")) != NULL));
    reply_read_calls(r, json_member(delta, S("tool_calls")));
    r->finished = json_member_str(choice, S("finish_reason")).n > 0;
}

static inline void reply_read_responses(struct reply_reader *r, struct str name, yyjson_val *root)
{
    struct str type = json_member_str(root, S("type"));
    must(str_eq(name, type));
    must(reply_number(root, S("sequence_number")) == r->sequence++);
    must((r->events == 1) == str_eq(type, S("response.created")));
    r->failed = r->failed || str_eq(type, S("error"));
    r->over = str_eq(type, S("response.completed")) || str_eq(type, S("response.incomplete")) ||
              str_eq(type, S("response.failed"));
}

static inline int reply_on_event(void *ctx, const struct sse_event *ev)
{
    struct reply_reader *r = ctx;
    must(!r->over);
    r->events++;
    if (r->client == PROTOCOL_CHAT && str_eq(ev->data, S("[DONE]"))) {
        must(r->finished);
        r->over = true;
        return 0;
    }
    must(str_index(ev->data, '\n') == ev->data.n);
    yyjson_doc *doc;
    must(json_parse(ev->data, &doc, NULL) == 0);
    if (r->client == PROTOCOL_MESSAGES)
        reply_read_messages(r, ev->name, yyjson_doc_get_root(doc));
    else if (r->client == PROTOCOL_CHAT)
        reply_read_chat(r, ev->name, yyjson_doc_get_root(doc));
    else
        reply_read_responses(r, ev->name, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return 0;
}

static inline void reply_read(const struct reply_run *run)
{
    struct reply_reader r = { .client = run->client };
    struct sse_decoder d;
    struct str out = buf_str(&run->out);
    sse_decoder_init(&d, SIZE_MAX, reply_on_event, &r);
    must(out.n == 0 || str_ends(out, S("\n\n")));
    must(sse_decoder_feed(&d, out) == 0);
    must(sse_decoder_end(&d) == 0);
    sse_decoder_done(&d);
    must(run->rc < 0 || !run->begun || r.over);
}

#endif

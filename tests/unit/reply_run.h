/*
 * reply_run.h - one reply through a real conversion, for unit tests and fuzz harnesses.
 */
#ifndef REPLY_RUN_H
#define REPLY_RUN_H

#include <string.h>

#include "convert.h"

struct reply_run {
    enum protocol upstream, client;
    const char *request; /* the client's; NULL: a short one that streams */
    bool whole;          /* the upstream's reply is a body */
    size_t step;         /* bytes per feed; 0: all at once */
    size_t first;        /* bytes of the first feed; 0: as `step` says */
    size_t limit_bytes;  /* 0: plenty */
    const struct profile_override *overrides;
    size_t override_count;

    int rc; /* of the last call */
    bool begun, ended;
    struct event_error failure;
    char failure_text[256];
    struct buf out;
};

static inline const char *reply_request(enum protocol client)
{
    switch (client) {
    case PROTOCOL_MESSAGES:
        return "{\"model\":\"m\",\"max_tokens\":9,\"stream\":true,"
               "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    case PROTOCOL_CHAT:
        return "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
               "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    default:
        return "{\"model\":\"m\",\"stream\":true,\"input\":\"hi\"}";
    }
}

static inline struct convert *reply_convert(const struct reply_run *run)
{
    struct profile profile;
    struct buf text;
    struct arena work;
    buf_init(&text, SIZE_MAX);
    must(profile_resolve(&profile, S(""), S("example.org"), S("m"), run->overrides,
                         run->override_count, &text) == 0);
    struct convert_options options = {
        .client = run->client,
        .upstream = run->upstream,
        .profile = &profile,
        .upstream_name = S("u1"),
        .reply_id = S("0123456789abcdefABCDEFGH"),
        .now_s = 1790000000,
        .reply_limit_bytes = run->limit_bytes == 0 ? 1 << 24 : run->limit_bytes,
    };
    struct convert *c = convert_new(&options);
    arena_init(&work, SIZE_MAX);
    const char *request = run->request == NULL ? reply_request(run->client) : run->request;
    must(convert_request(c, &work, str_of(request), &text) == 0);
    arena_done(&work);
    buf_done(&text);
    return c;
}

static inline int reply_feed(const struct reply_run *run, struct convert *c, struct str in,
                             struct buf *out)
{
    size_t at = run->first;
    int rc = at == 0 ? 0 : convert_feed(c, str_slice(in, 0, at), out);
    while (rc == 0 && at < in.n) {
        size_t to = run->step == 0 ? in.n : at + run->step;
        rc = convert_feed(c, str_slice(in, at, to), out);
        at = to;
    }
    return rc == 0 ? convert_end(c, out) : rc;
}

/* out is begun here; the caller ends it with buf_done(). */
static inline void reply_run(struct reply_run *run, struct str in)
{
    struct convert *c = reply_convert(run);
    buf_init(&run->out, SIZE_MAX);
    run->rc = run->whole ? convert_body(c, in, &run->out) : reply_feed(run, c, in, &run->out);
    run->begun = convert_begun(c);
    run->ended = convert_ended(c);
    const struct event_error *failure = convert_failure(c);
    run->failure = failure == NULL ? (struct event_error){ 0 } : *failure;
    struct str message = str_slice(run->failure.message, 0, sizeof(run->failure_text));
    if (message.n > 0)
        memcpy(run->failure_text, message.p, message.n);
    run->failure.message = (struct str){ run->failure_text, message.n };
    run->failure.type = run->failure.code = S("");
    convert_free(c);
}

#endif

/*
 * messages_unit.h - runs requests of Messages through their two halves, for unit tests: a body to
 * a neutral request and its dump, a client's body to an upstream's.
 */
#ifndef MESSAGES_UNIT_H
#define MESSAGES_UNIT_H

#include "request_read.h"

/* One exchange; messages_run_done() frees it. */
struct messages_run {
    struct convert *c;
    struct arena work;
    struct buf out;
    int r;
};

static inline void messages_profile(struct profile *p)
{
    struct buf why;
    buf_init(&why, 4096);
    int r = profile_resolve(p, S("default"), S(""), S("m"), NULL, 0, &why);
    must(r == 0);
    buf_done(&why);
}

static inline struct messages_run messages_run_new(enum protocol client, enum protocol upstream,
                                                   const struct profile *profile)
{
    struct convert_options o = {
        .client = client,
        .upstream = upstream,
        .profile = profile,
        .upstream_name = S("u1"),
        .reply_id = S("000000000000000000000000"),
        .reply_limit_bytes = 1 << 20,
    };
    struct messages_run run = { .c = convert_new(&o) };
    arena_init(&run.work, (size_t)256 << 20);
    buf_init(&run.out, (size_t)64 << 20);
    return run;
}

static inline void messages_run_done(struct messages_run *run)
{
    convert_free(run->c);
    arena_done(&run->work);
    buf_done(&run->out);
}

/* Only the decoder: c->request is there afterwards. */
static inline void messages_decode(struct messages_run *run, struct str body)
{
    run->r = request_read(run->c, &run->work, body);
}

/* ---- a neutral conversation as one line ---- */

static inline void dump_text(struct buf *out, struct text t)
{
    buf_add(out, (struct str){ t.p, t.n });
}

static inline void dump_media(struct buf *out, const struct chat_media *m)
{
    buf_addf(out, "%.4s %.*s ", &"b64 url id  text"[m->source * 4], STR_ARG(m->type));
    dump_text(out, m->payload);
    buf_add_byte(out, ' ');
    dump_text(out, m->name);
    buf_addf(out, "@%.*s", STR_ARG(m->path));
}

static inline void dump_blocks(struct buf *out, const struct chat_block *b);

static inline void dump_block(struct buf *out, const struct chat_block *b)
{
    switch (b->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL:
        buf_add(out, S("text "));
        dump_text(out, b->text);
        break;
    case CHAT_IMAGE:
    case CHAT_FILE:
        buf_add(out, b->kind == CHAT_IMAGE ? S("image ") : S("file "));
        dump_media(out, &b->media);
        break;
    case CHAT_REASONING:
        buf_addf(out, "think%d ", b->reasoning.proof.kind);
        dump_text(out, b->reasoning.text);
        buf_add_byte(out, ' ');
        dump_text(out, b->reasoning.proof.opaque);
        break;
    case CHAT_CALL:
        buf_addf(out, "call %.*s %.*s ", STR_ARG(b->call.id), STR_ARG(b->call.name));
        buf_add(out, b->call.arguments);
        break;
    case CHAT_RESULT:
        buf_addf(out, "result%s%s %.*s ", b->result.is_error ? "!" : "",
                 b->result.is_string ? "\"" : "", STR_ARG(b->result.call_id));
        dump_blocks(out, b->result.blocks);
        break;
    }
    buf_add(out, b->cache == CHAT_CACHE_LONG    ? S(" ^1h")
                 : b->cache == CHAT_CACHE_SHORT ? S(" ^")
                                                : S(""));
}

static inline void dump_blocks(struct buf *out, const struct chat_block *b)
{
    buf_add_byte(out, '[');
    for (; b != NULL; b = b->next) {
        dump_block(out, b);
        if (b->next != NULL)
            buf_add(out, S(" | "));
    }
    buf_add_byte(out, ']');
}

static inline void dump_messages(struct buf *out, const struct chat_request *req)
{
    for (const struct chat_message *m = req->messages; m != NULL; m = m->next) {
        buf_addf(out, "%c%s%s", "SDUAT"[m->role], m -> instructions ? "*" : "",
                 m->is_string ? "\"" : "");
        dump_blocks(out, m->blocks);
    }
}

#endif

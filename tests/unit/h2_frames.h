/*
 * h2_frames.h - HTTP/2 frames made by hand, and a server's side that is fed with them.
 */
#ifndef H2_FRAMES_H
#define H2_FRAMES_H

#include "unit.h"

#include "h2.h"
#include "h2_side.h"

static inline void frame(struct buf *out, int type, int flags, uint32_t id, struct str payload)
{
    char h[9] = {
        (char)(payload.n >> 16), (char)(payload.n >> 8), (char)payload.n, (char)type, (char)flags,
        (char)(id >> 24),        (char)(id >> 16),       (char)(id >> 8), (char)id
    };
    buf_add(out, (struct str){ h, sizeof(h) });
    buf_add(out, payload);
}

/* A literal field without indexing; short texts only. */
static inline void literal(struct buf *out, struct str name, struct str value)
{
    must(name.n < 127);
    must(value.n < 127);
    buf_add_byte(out, 0);
    buf_add_byte(out, (char)name.n);
    buf_add(out, name);
    buf_add_byte(out, (char)value.n);
    buf_add(out, value);
}

static inline void start(struct buf *out)
{
    buf_init(out, 64 << 20);
    buf_add(out, S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    frame(out, 4, 0, 0, S(""));
}

struct pair {
    struct str name, value;
};

static const struct pair good_pairs[] = { { S_INIT(":method"), S_INIT("POST") },
                                          { S_INIT(":scheme"), S_INIT("https") },
                                          { S_INIT(":path"), S_INIT("/") },
                                          { S_INIT(":authority"), S_INIT("h") } };

/* HEADERS with the usual pseudo-headers but `changed` in the place of its
 * namesake, then more. */
static inline void headers(struct buf *out, uint32_t id, int flags, struct pair changed,
                           struct str more)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(good_pairs); i++) {
        bool other = str_eq(good_pairs[i].name, changed.name);
        if (other && changed.value.n == 0)
            continue;
        literal(&b, good_pairs[i].name, other ? changed.value : good_pairs[i].value);
    }
    buf_add(&b, more);
    frame(out, 1, flags, id, buf_str(&b));
    buf_done(&b);
}

enum { END_STREAM = 1, END_HEADERS = 4 };

static const struct pair none;

/* The error code of the last frame of this type that was sent, or -1. */
static inline int sent_code(struct str sent, int type)
{
    int code = -1;
    while (sent.n >= 9) {
        const unsigned char *h = (const unsigned char *)sent.p;
        size_t n = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
        if (h[3] == type)
            code = h[type == 7 ? 9 + 7 : 9 + 3]; /* GOAWAY, RST_STREAM */
        sent = str_slice(sent, 9 + n, sent.n);
    }
    return code;
}

/* A server that has got the client's preface and SETTINGS; more goes into `in`, for run(). */
static inline void raw_init(struct side *side, struct buf *in, enum mode mode)
{
    side_init(side, H2_SERVER, mode);
    start(in);
}

static inline int run(struct side *side, struct buf *in, size_t cut)
{
    int e = 0;
    for (size_t at = 0; at < buf_len(in) && e == 0; at += cut) {
        e = h2_feed(side->c, str_slice(buf_str(in), at, at + cut));
        h2_pull(side->c, &side->sent, 1 << 20);
    }
    buf_done(in);
    return e;
}

#endif

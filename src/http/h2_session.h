/*
 * h2_session.h - what h2.c (the functions) and h2_session.c (nghttp2's callbacks)
 * share.  For no one else.
 */
#ifndef H2_SESSION_H
#define H2_SESSION_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "h2.h"
#include "h2_head.h"
#include "list.h"
#include "must.h"

/* NONE → QUEUED [h2_goaway_soon] → SENT [on_frame_sent] */
enum h2_notice { H2_NOTICE_NONE, H2_NOTICE_QUEUED, H2_NOTICE_SENT };

struct h2 {
    nghttp2_session *session;
    enum h2_role role;
    const struct h2_limits *limits;
    const struct h2_handler *handler;
    void *ctx;
    struct list streams;
    struct list drained; /* on_drain() is due */
    size_t streams_n;
    int err;
    enum refusal refusal; /* server: why the connection ends */
    bool busy;            /* inside nghttp2 */
    bool settings_received, goaway_sent, goaway_received;
    enum h2_notice notice;
    int32_t goaway_last_id;
    int32_t last_id, skipped_from, skipped_to; /* server: the highest id, and those skipped last */
    /* reliability.md section 3 */
    int64_t now_ns, window_from_ns;
    unsigned resets, idle_frames, continuations;
    size_t block_bytes, decoded_bytes; /* of the header block being read ... */
    int64_t head_since_ns;             /* ... since when; 0: of none */
};

struct h2_stream {
    struct list link, drain_link;
    struct h2 *conn;
    int32_t id;
    void *user;
    struct h2_block *block; /* the header block being read */
    struct buf out;
    size_t unread_bytes; /* received, not consumed */
    unsigned empty_frames;
    enum refusal refused; /* why its head was not accepted */
    bool answers;         /* ... which the caller is to answer */
    int interim_replies;
    bool at_fault;    /* the other side broke the rules on it, and we reset it */
    bool reported;    /* the caller knows it */
    bool muted;       /* will be reset: no events, no writes */
    bool cancelled;   /* by the caller */
    bool head_done;   /* what comes now are trailers */
    bool sent;        /* our HEADERS left */
    bool submitted;   /* request or reply head was given to nghttp2 */
    bool out_ended;   /* by the caller */
    bool local_ended; /* END_STREAM left */
    bool remote_ended;
    bool reset_at_end; /* NO_ERROR, when the reply has left */
    bool deferred;     /* nghttp2 waits for bytes */
    bool above_high;
};

void h2_session_new(struct h2 *c); /* sets c->session and queues SETTINGS */
struct h2_stream *h2_stream_new(struct h2 *c, int32_t id);
void h2_stream_close(struct h2_stream *s, uint32_t error, bool unprocessed); /* frees it */
void h2_submit_rst(struct h2_stream *s, uint32_t error);
ssize_t h2_read_out(nghttp2_session *session, int32_t id, uint8_t *to, size_t n,
                    uint32_t *ret_flags, nghttp2_data_source *source, void *user);

#endif

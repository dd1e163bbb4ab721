/*
 * server_internal.h - what server.c, server_h1.c and server_h2.c share.
 *
 * Contract
 *   Conns      a server_conn is in server->conns until it is dropped or finished; its
 *              memory goes at the end of that loop turn, so callbacks that are still
 *              on the stack may look at its state.
 *   Streams    the same for a server_stream.  Once `reply` is SERVER_REPLY_ENDED no
 *              callback of the user comes any more.
 *   Timer      one per conn.  While SERVING it is the version's: tick().
 *   Deferred   server_conn_run_later() calls run() once, at the end of this turn, when
 *              what was written has been flushed.
 */
#ifndef SERVER_INTERNAL_H
#define SERVER_INTERNAL_H

#include "address.h"
#include "buf.h"
#include "conn.h"
#include "h1.h"
#include "h2.h"
#include "list.h"
#include "listener.h"
#include "loop.h"
#include "server.h"

/*
 * OPENING → SERVING [serve]
 * OPENING, SERVING → CLOSING [server_conn_shut]
 * any → CLOSED [retire_conn]
 */
enum server_conn_state {
    SERVER_CONN_OPENING, /* TLS handshake, or the version is not known yet */
    SERVER_CONN_SERVING,
    SERVER_CONN_CLOSING, /* nothing is read any more; the queue is being written */
    SERVER_CONN_CLOSED,
};

/* NONE → HEAD [server_head] → ENDED; NONE → ENDED [server_abort, stream_gone] */
enum server_reply_state { SERVER_REPLY_NONE, SERVER_REPLY_HEAD, SERVER_REPLY_ENDED };

struct server_stream {
    struct list link; /* HTTP/2: in server_h2.streams */
    struct server_conn *conn;
    void *user;
    struct h2_stream *h2; /* NULL: HTTP/1, or the codec has closed it */
    enum server_reply_state reply;
    int64_t reply_left; /* body bytes that content-length still promises; -1: no promise */
    bool is_head;       /* the request was HEAD */
    bool no_body;       /* the reply has no body, whatever the user writes */
    bool expects;       /* the client waits for 100 */
    bool request_done;
    bool paused;
    bool aborting;         /* HTTP/2: RST_STREAM follows once the queue is sent */
    int64_t body_since_ns; /* request body: measured from here ... */
    int64_t body_seen;     /* ... this many bytes came */
    size_t unread;         /* HTTP/2: bytes not given back to the window, while paused */
    uint64_t written;      /* HTTP/2: bytes given to the codec */
    uint64_t sent_seen;    /* HTTP/2: what tick() last saw sent ... */
    int64_t sent_since_ns; /* ... and since when; 0: nothing was waiting */
    int64_t drain_due_ns;  /* HTTP/2: the reply was early; when the rest of the request is cut */
    size_t drained;        /* HTTP/2: bytes of that rest */
};

/* Where the request being read stands.
 * NONE → HEAD [first byte] → BODY or EMPTY [on_head] → DONE [on_end] → NONE [next_request] */
enum server_h1_request {
    SERVER_H1_NONE,
    SERVER_H1_HEAD,
    SERVER_H1_BODY,
    SERVER_H1_EMPTY, /* the head is complete and no body follows */
    SERVER_H1_DONE,
};

enum server_h1_framing { SERVER_H1_LENGTH, SERVER_H1_CHUNKED, SERVER_H1_UNTIL_CLOSE };

struct server_h1 {
    struct h1 codec;
    struct buf held;              /* bytes read that are not due yet */
    struct server_stream *stream; /* whose reply is open */
    enum server_h1_request request;
    enum server_h1_framing framing; /* of the open reply */
    int64_t due_ns;                 /* NONE, HEAD: when the wait for the head ends */
    int minor;                      /* the client's version */
    bool feeding;                   /* h1_feed() is on the stack */
    bool close_after;
};

struct server_h2 {
    struct h2 *codec;
    struct list streams;
    int64_t idle_since_ns;
    int aborting;      /* streams that are */
    int64_t goaway_ns; /* draining: when new streams are no longer taken; 0: not told yet */
};

struct server_conn {
    struct list link;
    struct server *server;
    struct conn *conn;
    uint64_t number;                      /* in order of accept, from 1 */
    const struct server_version *version; /* NULL while OPENING */
    struct address_count *address;        /* NULL: not counted */
    enum server_conn_state state;
    unsigned preface_seen; /* OPENING: so many bytes of the HTTP/2 preface have come */
    bool run_pending;
    bool asked;        /* a request has come */
    bool reset_at_end; /* CLOSING: with RST */
    bool hurry;        /* CLOSING: for a second at most, then with RST */
    struct timeout timer;
    int64_t since_ns;       /* accepted; CLOSING: when that began */
    int64_t write_since_ns; /* when the queue was last begun */
    size_t discarded;       /* CLOSING: input thrown away */
    union {
        struct server_h1 h1;
        struct server_h2 h2;
    };
};

/* What differs between HTTP/1 and HTTP/2. */
struct server_version {
    int major;
    void (*open)(struct server_conn *c);
    void (*read)(struct server_conn *c, struct str bytes);
    void (*drain)(struct server_conn *c);   /* the conn's queue has fallen */
    void (*run)(struct server_conn *c);     /* server_conn_run_later() */
    void (*tick)(struct server_conn *c);    /* the timer fired */
    void (*retire)(struct server_conn *c);  /* the server drains */
    bool (*is_open)(struct server_conn *c); /* a reply is not ended yet */
    void (*gone)(struct server_conn *c);    /* the conn is closed: tells the open streams */
    void (*done)(struct server_conn *c);    /* frees */

    void (*head)(struct server_stream *s, int status, const struct http_headers *headers,
                 int64_t body_bytes);
    void (*write)(struct server_stream *s, struct str bytes);
    void (*end)(struct server_stream *s);
    void (*abort)(struct server_stream *s);
    size_t (*queued)(const struct server_stream *s);
    void (*pause)(struct server_stream *s);
    void (*resume)(struct server_stream *s);
    void (*go_on)(struct server_stream *s); /* 100 Continue */
};

extern const struct server_version server_h1_version;
extern const struct server_version server_h2_version;

/* Both files call their functions the same. */
#define SERVER_VERSION(number)                                                              \
    {                                                                                       \
        .major = (number), .open = start, .read = read_bytes, .drain = drained, .run = run, \
        .tick = tick, .retire = retire, .is_open = is_open, .gone = gone, .done = done,     \
        .head = reply_head, .write = reply_write, .end = reply_end, .abort = reply_abort,   \
        .queued = reply_queued, .pause = body_pause, .resume = body_resume,                 \
        .go_on = reply_continue,                                                            \
    }

struct server {
    struct loop *loop;
    struct listener *listener; /* NULL once draining */
    SSL_CTX *tls;
    const struct server_limits *limits;
    const struct server_handler *handler;
    void *ctx;
    struct address_counts *addresses; /* NULL: no limit */
    struct list conns;
    size_t conns_len;
    uint64_t conns_accepted;
    size_t streams_len;
    bool draining;
    bool drain_pending;         /* the deferred call that tells so is under way */
    struct timeout drain_grace; /* then conns that have not asked for anything go too */
    void (*on_drained)(void *ctx);
    void *drained_ctx;
};

void server_conn_write(struct server_conn *c, struct str bytes);
void server_conn_write_buf(struct server_conn *c, struct buf *bytes); /* as conn_write_buf() */
bool server_is_full(const struct server *s);                          /* it has conns_max conns */
void server_conn_run_later(struct server_conn *c);
/* The timer, at most at due_ns.  Never moves it to later. */
void server_conn_arm(struct server_conn *c, int64_t due_ns);
/* When the unread queue becomes a write stall; INT64_MAX when it is empty. */
int64_t server_conn_stall_due(const struct server_conn *c);
/* Writes what is queued, then ends the conn; `reset`: with RST.  Open streams are the
 * version's to tell. */
void server_conn_shut(struct server_conn *c, bool reset);
/* The client is refused and gets no answer.  s: because of this stream, which is then to be
 * ended; NULL: of none, or of all. */
void server_conn_refused(struct server_conn *c, enum refusal reason, struct server_stream *s);
/* Ends the conn at once and tells the streams. */
void server_conn_drop(struct server_conn *c, bool reset);

struct server_stream *server_stream_new(struct server_conn *c, const struct http_head *head);
/* Calls on_gone() unless the reply was ended, then releases it. */
void server_stream_gone(struct server_stream *s);
void server_stream_release(struct server_stream *s);
/* When the request body becomes too slow; INT64_MAX: it need not come now. */
int64_t server_stream_body_due(const struct server_stream *s);

#endif

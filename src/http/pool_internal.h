/*
 * pool_internal.h - what pool.c, pool_conns.c, pool_names.c, pool_exchange.c and the clients
 * (client_h1.c, client_h2.c) share.  Nobody else includes it.
 *
 * Contract
 *   Ownership  the pool owns origins and conns; a conn owns its client (codec) and socket.
 *              An exchange is in exactly one list: the pool's waiters, its conn's
 *              exchanges, or none (failing, dead).
 *   Freeing    conns and exchanges are freed by loop_defer(), so every function here may be
 *              called inside any callback.  loop_defer() runs in order: what was
 *              deferred for an object before it ended runs before it is freed.
 *   Callbacks  user callbacks come from exchange_ready(), exchange_finish(), the clients' on_head,
 * on_body and on_drain, and, always deferred, from exchange_fail().
 */
#ifndef POOL_INTERNAL_H
#define POOL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "conn.h"
#include "connect.h"
#include "dns.h"
#include "h1.h"
#include "h2.h"
#include "http.h"
#include "list.h"
#include "loop.h"
#include "pool.h"
#include "str.h"
#include "tls.h"

enum {
    POOL_READ_BYTES = 16 * 1024,   /* what a client that stalls leaves with us beyond its queue */
    POOL_PIECE_BYTES = 64 * 1024,  /* whole bodies go out in such pieces */
    POOL_HEAD_BYTES = 4096 * 1024, /* a request head; MAX_HEADER_BYTES is at most a quarter */
    POOL_REPLY_FIELDS_MAX = 500,   /* header fields of a reply */
    POOL_STREAMS_MAX = 100,        /* HTTP/2 exchanges on one conn, whatever the server allows */
    POOL_REASON_BYTES = 256,
    POOL_REMOTE_BYTES = 64,
    POOL_RETRY_TENTHS = 10,                              /* what a retry costs */
    POOL_RETRY_TENTHS_MAX = 100 * POOL_RETRY_TENTHS,     /* a conn full of streams that goes away */
    POOL_RETRY_TENTHS_PER_S = POOL_RETRY_TENTHS,         /* for upstreams that are seldom used */
    POOL_RETRY_TENTHS_PER_REPLY = POOL_RETRY_TENTHS / 10 /* so retries are a tenth of all */
};

/*
 *   CONNECTING → IDLE      [pool_give_back]
 *   IDLE       → BUSY      [start]
 *   BUSY       → IDLE      [pool_give_back]
 *   BUSY, IDLE → DRAINING  [pool_drain]          no new exchanges; open ones finish
 *   any        → CLOSING   [pool_close]          freed at the end of the loop turn
 */
enum pool_state { POOL_CONNECTING, POOL_IDLE, POOL_BUSY, POOL_DRAINING, POOL_CLOSING, POOL_STATES };

struct pool_conn;

/* One HTTP version. */
struct client_ops {
    int major;
    void (*open)(struct pool_conn *c); /* c->conn has just been connected */
    void (*free)(struct pool_conn *c);
    void (*goodbye)(struct pool_conn *c);      /* before the socket is closed; may be NULL */
    size_t (*room)(const struct pool_conn *c); /* exchanges that it could take now */
    /* False: it can take no more exchanges; it is draining then. */
    bool (*start)(struct pool_conn *c, struct exchange *x, const struct http_head *head);
    void (*write)(struct exchange *x, struct str bytes);
    void (*write_end)(struct exchange *x);
    size_t (*queued)(const struct exchange *x);
    void (*cancel)(struct exchange *x);
    void (*pause)(struct exchange *x);
    void (*resume)(struct exchange *x);
    void (*widen)(struct exchange *x);
};

extern const struct client_ops client_h1, client_h2;

/* Both files call their functions the same. */
#define CLIENT_OPS(number, last_words)                                                             \
    {                                                                                              \
        .major = (number), .open = open_client, .free = free_client, .room = room, .start = start, \
        .write = write_body, .write_end = write_end, .queued = queued, .cancel = cancel,           \
        .pause = pause_reading, .resume = resume_reading, .widen = widen, .goodbye = (last_words), \
    }

struct pool_conn {
    struct list link;   /* pool->in[state] */
    struct list shared; /* origin->shared: HTTP/2 conns in service */
    struct list exchanges;
    struct pool *pool;
    struct origin *origin;
    enum pool_state state;
    struct connecting *connecting; /* CONNECTING only */
    struct conn *conn;
    const struct client_ops *ops; /* NULL while CONNECTING */
    union {
        struct client_h1 *h1;
        struct client_h2 *h2;
    };
    int64_t idle_since_ns;
    uint64_t serial;      /* of its opening, see exchange.serial */
    uint64_t bytes_given; /* to conn_write() */
    uint64_t bytes_read;
    bool used; /* it has had an exchange, or has been idle for a while */
};

struct origin {
    struct list link;   /* pool->origins */
    struct list shared; /* conns */
    struct pool *pool;
    struct arena arena;
    struct origin_settings settings; /* texts in the arena */
    struct tls_sessions sessions;
    struct str reached; /* the host that conns go to: its own or the proxy's */
    bool named;         /* that is no address */
    struct dns_query *query;
    int64_t looked_up_ns;   /* of the answer that conns were last held against */
    bool in_use;            /* scratch of pool_on_names_timer(): it has conns */
    int retry_tenths;       /* of retries that are granted still, see pool_may_retry() */
    int64_t retry_since_ns; /* time has been counted into them up to here */
    int connecting, waiting;
    int promised;       /* scratch of pool_serve(): waiters that a conn being opened will serve */
    size_t streams_max; /* HTTP/2: what its newest SETTINGS allow at once */
    bool shares;        /* its newest conn was HTTP/2 */
};

struct pool {
    struct loop *loop;
    struct pool_settings settings;
    struct h1_limits h1_limits;
    struct h2_limits h2_limits;
    struct dns *dns;
    struct list in[POOL_STATES]; /* IDLE: oldest first */
    int count[POOL_STATES];
    struct list origins;
    struct list waiters; /* exchanges, in order */
    struct timeout idle_timer, names_timer;
    uint64_t serial;
    size_t exchanges; /* not dead */
    bool serve_queued;
    bool closed;
};

/*
 *   WAITING → STARTED   [exchange_start]       the head is on its way
 *   STARTED → READY     [exchange_ready]     on_ready() has come
 *   any     → FAILING   [exchange_fail]      on_fail() will come at the end of the turn
 *   any     → DEAD      [exchange_bury]      freed at the end of the turn
 */
enum exchange_state {
    EXCHANGE_WAITING,
    EXCHANGE_STARTED,
    EXCHANGE_READY,
    EXCHANGE_FAILING,
    EXCHANGE_DEAD
};

/* What is still to be given to the conn: WHOLE, STREAMED → SENT. */
enum exchange_send { SEND_WHOLE, SEND_STREAMED, SEND_SENT };

struct exchange_failure {
    int err;
    bool unprocessed;
    int major;
    size_t reason_n, remote_n;
    char reason[POOL_REASON_BYTES], remote[POOL_REMOTE_BYTES];
};

struct exchange_head { /* a request head that waits for a conn */
    struct arena arena;
    struct http_head head;
};

struct exchange {
    struct list link;
    struct pool *pool;
    struct origin *origin;
    struct pool_conn *conn; /* from STARTED on, until FAILING */
    const struct exchange_handler *handler;
    void *ctx;
    enum exchange_state state;
    enum exchange_send send;
    struct str body;       /* WHOLE: what is left of it */
    int64_t body_bytes;    /* as h1_write_request() wants it */
    int64_t streamed_left; /* STREAMED with a length; else -1 */
    struct h2_stream *stream;
    size_t unread_bytes;             /* HTTP/2: delivered while paused, windows not opened */
    uint64_t serial;                 /* of pool_open(): a fresh one takes no conn older than this */
    uint64_t read_mark;              /* conn->bytes_read at the start */
    const struct http_head *head;    /* WAITING only; inside pool_open() the caller's */
    struct exchange_head *head_copy; /* WAITING only: owns head after pool_open() */
    struct exchange_failure *failure;
    bool fresh, reused, paused;
};

/* --- pool_conns.c --- */

/* Takes it out of its list and closes it; its exchanges are gone already. */
void pool_close(struct pool_conn *c);
void pool_drain(struct pool_conn *c);
/* It has no exchange any more and may serve others. */
void pool_give_back(struct pool_conn *c);
/* Looks at the waiters at the end of the turn: something may have come free. */
void pool_kick(struct pool *p);
int pool_serve(struct pool *p);
void pool_on_idle_timer(void *ctx); /* the pool's idle_timer */
void pool_write(struct pool_conn *c, struct str bytes);
void pool_write_buf(struct pool_conn *c, struct buf *bytes); /* as conn_write_buf() */
/* No byte has left this machine on the conn. */
bool pool_unsent(const struct pool_conn *c);
/* Fails every exchange of the conn and closes it.  retry: those that met a stale conn are
 * reported as unprocessed. */
void pool_lose(struct pool_conn *c, int err, const char *cause, bool retry);

/* --- pool_names.c --- */

void pool_on_names_timer(void *ctx);    /* the pool's names_timer */
void pool_watch_name(struct origin *o); /* it has a new conn, whose address may change */

/* --- pool_exchange.c --- */

void exchange_start(struct exchange *x, struct pool_conn *c); /* STARTED, and on_ready() later */
void exchange_ready(struct exchange *x);                      /* on_ready(), once */
void exchange_finish(struct exchange *x);                     /* on_end(), now */
/* on_fail(), at the end of the turn.  cause is put behind the origin's host. */
void exchange_fail(struct exchange *x, int err, const char *cause, bool unprocessed);
void exchange_fail_reason(struct exchange *x, int err, struct str reason, bool unprocessed);
/* The next piece of a whole body, at most POOL_PIECE_BYTES; empty when all is taken. */
struct str exchange_next_piece(struct exchange *x);
/* STARTED or READY: the conn may still call back for it. */
bool exchange_running(const struct exchange *x);
void exchange_wait(struct exchange *x); /* keeps the head, now that pool_open() returns */

#endif

/*
 * traffic_upstream.c - an upstream that answers every request with a stream: one event per write,
 * each stream at its own pace, hundreds of them in one thread.
 *
 * Arguments: port (0: any), protocol (messages, chat, responses), events per second and stream (0:
 * as fast as they are read), events per stream (-1: no end).  Prints its port, then for each line
 * on stdin the number of events sent so far; ends when stdin does.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "list.h"
#include "mem.h"
#include "session.h"
#include "traffic.h"

enum { READ_BYTES = 65536, READY_MAX = 64 };

/* head -> begin -> deltas -> end -> head (the next request)    [step] */
enum piece {
    PIECE_HEAD,
    PIECE_BEGIN,
    PIECE_DELTA,
    PIECE_END,
    PIECE_COUNT,
};

struct upstream {
    struct buf pieces[PIECE_COUNT];
    struct list pacing; /* by the time that the next event is due */
    int epoll, listener;
    int64_t period_ns, deltas_per_stream, sent;
};

struct stream {
    struct list pacing;
    int fd;
    struct buf in;
    bool answering;
    enum piece piece;
    size_t sent_bytes; /* of the piece */
    int64_t deltas, due_ns;
};

static void watch(struct upstream *u, int fd, void *who, uint32_t events, int op)
{
    struct epoll_event e = { .events = events, .data.ptr = who };
    if (epoll_ctl(u->epoll, op, fd, &e) < 0)
        traffic_fail("epoll_ctl");
}

static void gone(struct stream *s)
{
    list_remove(&s->pacing);
    close(s->fd);
    buf_done(&s->in);
    free(s);
}

/* Behind a piece that is sent; says whether the next may go at once. */
static bool step(struct upstream *u, struct stream *s)
{
    s->sent_bytes = 0;
    if (s->piece == PIECE_DELTA) {
        s->deltas++;
        u->sent++;
    } else if (s->piece == PIECE_END) {
        s->answering = false;
        return false;
    } else {
        s->piece++;
    }
    if (s->piece == PIECE_BEGIN)
        return true;
    if (u->deltas_per_stream >= 0 && s->deltas >= u->deltas_per_stream) {
        s->piece = PIECE_END;
        return true;
    }
    if (u->period_ns == 0)
        return true;
    s->due_ns += u->period_ns;
    list_append(&u->pacing, &s->pacing);
    return false;
}

/* Sends what may be sent; false when the client is gone. */
static bool push(struct upstream *u, struct stream *s)
{
    do {
        struct str bytes = buf_str(&u->pieces[s->piece]);
        bytes = str_slice(bytes, s->sent_bytes, bytes.n);
        ssize_t n = send(s->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return false;
        s->sent_bytes += n > 0 ? (size_t)n : 0;
        if (n < (ssize_t)bytes.n) {
            watch(u, s->fd, s, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return true;
        }
    } while (step(u, s));
    return true;
}

static void accept_all(struct upstream *u)
{
    int on = 1, fd;
    while ((fd = accept4(u->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct stream *s = mem_new(struct stream);
        s->fd = fd;
        buf_init(&s->in, 64 << 20);
        list_init(&s->pacing);
        if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
            traffic_fail("setsockopt");
        watch(u, fd, s, EPOLLIN, EPOLL_CTL_ADD);
    }
}

/* False when the client is gone. */
static bool receive(struct upstream *u, struct stream *s)
{
    ssize_t n = recv(s->fd, buf_reserve(&s->in, READ_BYTES), READ_BYTES, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    buf_commit(&s->in, (size_t)n);
    size_t whole = traffic_message(buf_str(&s->in));
    if (whole == 0 || s->answering)
        return true;
    buf_consume(&s->in, whole);
    if (buf_len(&s->in) == 0)
        buf_clear(&s->in);
    s->answering = true;
    s->piece = PIECE_HEAD;
    s->deltas = 0;
    s->due_ns = clock_mono_ns();
    return push(u, s);
}

static void ready(struct upstream *u, struct stream *s, uint32_t events)
{
    bool lives = true;
    if (events & EPOLLOUT) {
        watch(u, s->fd, s, EPOLLIN, EPOLL_CTL_MOD);
        lives = push(u, s);
    }
    if (lives && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        lives = receive(u, s);
    if (!lives)
        gone(s);
}

/* Sends what is due; nanoseconds until the next, or -1. */
static int64_t pace(struct upstream *u)
{
    while (!list_empty(&u->pacing)) {
        struct stream *s = list_first(&u->pacing, struct stream, pacing);
        int64_t left = s->due_ns - clock_mono_ns();
        if (left > 0)
            return left;
        list_remove(&s->pacing);
        if (!push(u, s))
            gone(s);
    }
    return -1;
}

/* A line on stdin is a question; false at its end. */
static bool answer(struct upstream *u)
{
    char line[64];
    if (read(STDIN_FILENO, line, sizeof line) <= 0)
        return false;
    printf("%" PRId64 "\n", u->sent);
    return true;
}

static void run(struct upstream *u)
{
    struct epoll_event found[READY_MAX];
    for (;;) {
        int64_t left = pace(u);
        struct timespec wait = { left / NS_PER_S, left % NS_PER_S };
        int n = epoll_pwait2(u->epoll, found, READY_MAX, left < 0 ? NULL : &wait, NULL);
        if (n < 0 && errno != EINTR)
            traffic_fail("epoll_pwait2");
        for (int i = 0; i < n; i++) {
            if (found[i].data.ptr == &u->listener)
                accept_all(u);
            else if (found[i].data.ptr != NULL)
                ready(u, found[i].data.ptr, found[i].events);
            else if (!answer(u))
                return;
        }
    }
}

static void add_chunk(struct buf *b, struct str text)
{
    buf_addf(b, "%zx\r\n", text.n);
    buf_add(b, text);
    buf_add(b, S("\r\n"));
}

static void make_pieces(struct upstream *u, const char *name)
{
    static const char *const names[PROTOCOL_COUNT] = { "messages", "chat", "responses" };
    enum protocol p = PROTOCOL_MESSAGES;
    while (p < PROTOCOL_COUNT && strcmp(names[p], name) != 0)
        p++;
    must(p < PROTOCOL_COUNT);
    for (int i = 0; i < PIECE_COUNT; i++)
        buf_init(&u->pieces[i], SIZE_MAX);
    buf_add(&u->pieces[PIECE_HEAD], S("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                                      "transfer-encoding: chunked\r\n\r\n"));
    add_chunk(&u->pieces[PIECE_BEGIN], session_piece(p, SESSION_TEXT, SESSION_BEGIN));
    add_chunk(&u->pieces[PIECE_DELTA], session_piece(p, SESSION_TEXT, SESSION_DELTA));
    add_chunk(&u->pieces[PIECE_END], session_piece(p, SESSION_TEXT, SESSION_END));
    buf_add(&u->pieces[PIECE_END], S("0\r\n\r\n"));
}

int traffic_upstream(int argc, char **argv)
{
    struct upstream u = { .epoll = epoll_create1(EPOLL_CLOEXEC) };
    double rate = strtod(argv[2], NULL);
    (void)argc;
    setvbuf(stdout, NULL, _IOLBF, 0);
    make_pieces(&u, argv[1]);
    u.period_ns = rate > 0 ? (int64_t)(1e9 / rate) : 0;
    u.deltas_per_stream = traffic_number(argv[3]);
    list_init(&u.pacing);
    u.listener = traffic_listen(traffic_port_of(argv[0]));
    watch(&u, u.listener, &u.listener, EPOLLIN, EPOLL_CTL_ADD);
    watch(&u, STDIN_FILENO, NULL, EPOLLIN, EPOLL_CTL_ADD);
    printf("%u\n", traffic_port(u.listener));
    run(&u);
    return 0;
}

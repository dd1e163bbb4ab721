/*
 * traffic_streams.c - clients that open many streams, read them and count their events.
 *
 * Arguments: port, request, streams, and `stall`: read what comes first, then nothing more.  For
 * each line on stdin prints "BEGUN EVENTS CLOSED": streams with a first byte, events and ends so
 * far.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mem.h"
#include "traffic.h"

enum { READ_BYTES = 65536, READY_MAX = 64, STALLED_WINDOW_BYTES = 16384 };

struct stream {
    int fd;
    bool begun, newline; /* newline: the last byte was one */
};

struct clients {
    int epoll;
    bool stall;
    int64_t begun, events, closed;
};

static void watch(struct clients *c, int fd, void *who)
{
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = who };
    if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
        traffic_fail("epoll_ctl");
}

static void count_events(struct clients *c, struct stream *s, struct str bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        bool newline = bytes.p[i] == '\n';
        c->events += newline && s->newline;
        s->newline = newline && !s->newline;
    }
}

static void ready(struct clients *c, struct stream *s)
{
    char bytes[READ_BYTES];
    ssize_t n = recv(s->fd, bytes, c->stall ? 1024 : sizeof bytes, 0);
    if (n <= 0) {
        c->closed++;
        close(s->fd);
        return;
    }
    c->begun += !s->begun;
    s->begun = true;
    count_events(c, s, (struct str){ bytes, (size_t)n });
    if (c->stall && epoll_ctl(c->epoll, EPOLL_CTL_DEL, s->fd, NULL) < 0)
        traffic_fail("epoll_ctl");
}

static bool answer(struct clients *c)
{
    char line[64];
    if (read(STDIN_FILENO, line, sizeof line) <= 0)
        return false;
    printf("%" PRId64 " %" PRId64 " %" PRId64 "\n", c->begun, c->events, c->closed);
    return true;
}

static void run(struct clients *c)
{
    struct epoll_event found[READY_MAX];
    for (;;) {
        int n = epoll_wait(c->epoll, found, READY_MAX, -1);
        if (n < 0 && errno != EINTR)
            traffic_fail("epoll_wait");
        for (int i = 0; i < n; i++) {
            if (found[i].data.ptr != NULL)
                ready(c, found[i].data.ptr);
            else if (!answer(c))
                return;
        }
    }
}

int traffic_streams(int argc, char **argv)
{
    struct clients c = { .epoll = epoll_create1(EPOLL_CLOEXEC), .stall = argc > 3 };
    uint16_t port = traffic_port_of(argv[0]);
    struct buf request = traffic_file(argv[1]);
    size_t n = (size_t)traffic_number(argv[2]);
    struct stream *streams = mem_zalloc(n * sizeof *streams);
    int window = STALLED_WINDOW_BYTES;
    setvbuf(stdout, NULL, _IOLBF, 0);
    watch(&c, STDIN_FILENO, NULL);
    for (size_t i = 0; i < n; i++) {
        int fd = streams[i].fd = traffic_connect(port);
        if (c.stall && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window) < 0)
            traffic_fail("setsockopt");
        traffic_send(fd, buf_str(&request));
        watch(&c, fd, &streams[i]);
    }
    run(&c);
    free(streams);
    buf_done(&request);
    return 0;
}

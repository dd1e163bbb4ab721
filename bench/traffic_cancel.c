/*
 * traffic_cancel.c - both sides of a proxy: how long after a client's close does the upstream see
 * its connection end?
 *
 * Arguments: the port to be upstream at, the proxy's port, request, rounds, and `stream`: the
 * client goes behind the first event, else before the upstream's first byte.  Half of the clients
 * close, half reset.  Prints the nanoseconds of each round, one a line.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "traffic.h"

enum { WAIT_MS = 20000 };

static void wait_for(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    errno = ETIMEDOUT;
    if (poll(&p, 1, WAIT_MS) != 1)
        traffic_fail("poll");
}

static int accept_request(int listener)
{
    struct buf in;
    wait_for(listener);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        traffic_fail("accept");
    buf_init(&in, 64 << 20);
    while (traffic_message(buf_str(&in)) == 0) {
        ssize_t n = recv(fd, buf_reserve(&in, 65536), 65536, 0);
        if (n <= 0)
            traffic_fail("recv");
        buf_commit(&in, (size_t)n);
    }
    buf_done(&in);
    return fd;
}

static void begin_stream(int upstream, int client)
{
    char bytes[4096];
    traffic_send(upstream, S("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                             "transfer-encoding: chunked\r\n\r\n"
                             "1b\r\nevent: ping\ndata: {\"a\":1}\n\n\r\n"));
    wait_for(client);
    if (recv(client, bytes, sizeof bytes, 0) <= 0)
        traffic_fail("recv");
}

static void leave(int client, bool reset)
{
    struct linger l = { .l_onoff = 1, .l_linger = 0 };
    if (reset && setsockopt(client, SOL_SOCKET, SO_LINGER, &l, sizeof l) < 0)
        traffic_fail("setsockopt");
    close(client);
}

int traffic_cancel(int argc, char **argv)
{
    int listener = traffic_listen(traffic_port_of(argv[0]));
    struct buf request = traffic_file(argv[2]);
    char bytes[64];
    int64_t rounds = traffic_number(argv[3]);
    for (int64_t i = 0; i < rounds; i++) {
        int client = traffic_connect(traffic_port_of(argv[1]));
        traffic_send(client, buf_str(&request));
        int upstream = accept_request(listener);
        if (argc > 4)
            begin_stream(upstream, client);
        int64_t begun = clock_mono_ns();
        leave(client, i % 2 == 1);
        wait_for(upstream);
        int64_t took = clock_mono_ns() - begun;
        must(recv(upstream, bytes, sizeof bytes, 0) <= 0);
        printf("%" PRId64 "\n", took);
        close(upstream);
    }
    close(listener);
    buf_done(&request);
    return 0;
}

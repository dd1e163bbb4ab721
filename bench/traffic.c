/*
 * traffic.c - load and timing over loopback, where wrk and h2load fall short.
 *
 *   bench_traffic upstream PORT PROTOCOL RATE COUNT     answers with streams at a pace
 *   bench_traffic streams PORT FILE STREAMS [stall]     opens streams and counts their events
 *   bench_traffic latency FILE ROUNDS PORT...           times requests to these ports in turn
 *   bench_traffic cancel UPSTREAM PORT FILE ROUNDS [stream]   from a client's close to upstream's
 *
 * FILE is a whole HTTP/1.1 request.  bench.py is what runs this.
 */
#include "traffic.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void traffic_fail(const char *what)
{
    fprintf(stderr, "bench_traffic: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

int traffic_listen(uint16_t port)
{
    struct sockaddr_in a = loopback(port);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (const struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 4096) < 0)
        traffic_fail("listen");
    return fd;
}

uint16_t traffic_port(int fd)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &n) < 0)
        traffic_fail("getsockname");
    return ntohs(a.sin_port);
}

int traffic_connect(uint16_t port)
{
    struct sockaddr_in a = loopback(port);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof a) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        traffic_fail("connect");
    return fd;
}

void traffic_send(int fd, struct str bytes)
{
    if (send(fd, bytes.p, bytes.n, MSG_NOSIGNAL) != (ssize_t)bytes.n)
        traffic_fail("send");
}

struct buf traffic_file(const char *path)
{
    struct buf b;
    FILE *f = fopen(path, "rb");
    buf_init(&b, SIZE_MAX);
    if (f == NULL)
        traffic_fail(path);
    for (size_t n = 1; n > 0; buf_commit(&b, n))
        n = fread(buf_reserve(&b, 65536), 1, 65536, f);
    fclose(f);
    return b;
}

int64_t traffic_number(const char *text)
{
    char *end;
    long long n = strtoll(text, &end, 10);
    if (end == text || *end != '\0') {
        errno = EINVAL;
        traffic_fail(text);
    }
    return n;
}

uint16_t traffic_port_of(const char *text)
{
    int64_t n = traffic_number(text);
    if (n < 0 || n > UINT16_MAX) {
        errno = ERANGE;
        traffic_fail(text);
    }
    return (uint16_t)n;
}

size_t traffic_message(struct str in)
{
    size_t head = str_find(in, S("\r\n\r\n")) + 4;
    if (head > in.n)
        return 0;
    struct str lines = str_slice(in, 0, head), one;
    while (str_next(&lines, '\n', &one)) {
        uint64_t n;
        if (str_starts_nocase(one, S("content-length:"))) {
            if (str_to_u64(str_trim(str_slice(one, 15, one.n)), &n) < 0)
                traffic_fail("content-length");
            return in.n - head >= n ? head + n : 0;
        }
    }
    size_t last = str_find(in, S("\r\n0\r\n\r\n")) + 7;
    return last <= in.n ? last : 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
        int args_min;
    } commands[] = {
        { "upstream", traffic_upstream, 4 },
        { "streams", traffic_streams, 3 },
        { "latency", traffic_latency, 3 },
        { "cancel", traffic_cancel, 4 },
    };
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (argc > 1 && strcmp(argv[1], commands[i].name) == 0 && argc - 2 >= commands[i].args_min)
            return commands[i].run(argc - 2, argv + 2);
    fprintf(stderr, "usage: bench_traffic upstream|streams|latency|cancel ARGUMENT...\n");
    return 2;
}

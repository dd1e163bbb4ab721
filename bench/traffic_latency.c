/*
 * traffic_latency.c - one request at a time over a kept connection, to several ports in turn.
 *
 * Arguments: request, rounds, ports.  Prints a line per port: "TIMES..." of the whole reply and
 * "FIRST..." of its first event, as "p50 p99 max" in nanoseconds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "mem.h"
#include "traffic.h"

enum { READ_BYTES = 65536, BLOCK = 20, WARM_UP = 200, TARGETS_MAX = 8 };

struct target {
    int fd;
    struct buf in;
    int64_t *whole_ns, *first_ns; /* one per request */
};

/* Is there an event behind the head? */
static bool has_event(struct str in)
{
    size_t head = str_find(in, S("\r\n\r\n"));
    return str_contains(str_slice(in, head, in.n), S("\n\n"));
}

static void ask(struct target *t, struct str request, int64_t *ret_whole, int64_t *ret_first)
{
    int64_t first = 0, begun = clock_mono_ns();
    size_t whole;
    traffic_send(t->fd, request);
    do {
        ssize_t n = recv(t->fd, buf_reserve(&t->in, READ_BYTES), READ_BYTES, 0);
        int64_t now = clock_mono_ns() - begun;
        if (n <= 0)
            traffic_fail("recv");
        buf_commit(&t->in, (size_t)n);
        *ret_whole = now;
        if (first == 0 && has_event(buf_str(&t->in)))
            first = now;
        whole = traffic_message(buf_str(&t->in));
    } while (whole == 0);
    must(str_starts(buf_str(&t->in), S("HTTP/1.1 200 ")));
    must(whole == buf_len(&t->in));
    buf_truncate(&t->in, 0);
    *ret_first = first;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print(int64_t *ns, int64_t n)
{
    qsort(ns, (size_t)n, sizeof *ns, by_size);
    printf("%" PRId64 " %" PRId64 " %" PRId64, ns[n / 2], ns[n * 99 / 100], ns[n - 1]);
}

/* Blocks of requests in turn, so that all see the same moments of the machine. */
static void measure(struct target *targets, int count, struct str request, int64_t rounds)
{
    int64_t drop[2];
    for (int i = 0; i < count; i++)
        for (int k = 0; k < WARM_UP; k++)
            ask(&targets[i], request, &drop[0], &drop[1]);
    for (int64_t from = 0; from < rounds; from += BLOCK)
        for (int i = 0; i < count; i++)
            for (int64_t k = from; k < from + BLOCK && k < rounds; k++)
                ask(&targets[i], request, &targets[i].whole_ns[k], &targets[i].first_ns[k]);
}

int traffic_latency(int argc, char **argv)
{
    struct buf request = traffic_file(argv[0]);
    int64_t rounds = traffic_number(argv[1]);
    struct target targets[TARGETS_MAX];
    int count = argc - 2;
    must(count <= TARGETS_MAX);
    must(rounds > 0);
    for (int i = 0; i < count; i++) {
        targets[i].fd = traffic_connect(traffic_port_of(argv[2 + i]));
        buf_init(&targets[i].in, 64 << 20);
        targets[i].whole_ns = mem_zalloc((size_t)rounds * sizeof(int64_t));
        targets[i].first_ns = mem_zalloc((size_t)rounds * sizeof(int64_t));
    }
    measure(targets, count, buf_str(&request), rounds);
    for (int i = 0; i < count; i++) {
        print(targets[i].whole_ns, rounds);
        printf(" ");
        print(targets[i].first_ns, rounds);
        printf("\n");
        close(targets[i].fd);
        buf_done(&targets[i].in);
        free(targets[i].whole_ns);
        free(targets[i].first_ns);
    }
    buf_done(&request);
    return 0;
}

/*
 * convert.c - what a conversion costs: CPU and memory of requests, events per second of streams,
 * in all pairs of protocols.
 *
 * CPU is the least of some rounds; memory is the growth of the process's peak RSS, measured in a
 * process of its own (the kernel counts it in steps of up to 256 KiB).  Usage: bench_convert
 * [rounds] [A>C | A<C | ..]
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "convert.h"
#include "kept.h"
#include "session.h"

enum { DELTAS = 100000, FEED_BYTES = 16384, LIMIT_BYTES = 1 << 30 };

static const char letters[PROTOCOL_COUNT] = { 'A', 'C', 'R' };
static int rounds = 15;

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* "VmHWM:" and the like, in bytes. */
static double memory_of(const char *what)
{
    char line[256];
    double bytes = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, what, strlen(what)) == 0)
            bytes = strtod(line + strlen(what), NULL) * 1024;
    if (f != NULL)
        fclose(f);
    return bytes;
}

static void forget_peak(void)
{
    malloc_trim(0);
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (f == NULL)
        return;
    fputs("5", f);
    fclose(f);
}

/* Peak memory of work(ctx), in a child so that nothing is left of others. */
static double peak_of(void (*work)(void *ctx), void *ctx)
{
    double grown = -1;
    int ends[2];
    if (pipe(ends) < 0)
        return grown;
    pid_t pid = fork();
    if (pid == 0) {
        work(ctx); /* the program's own pages, of which a child has none at first */
        kept_free_all();
        forget_peak();
        double before = memory_of("VmRSS:");
        work(ctx);
        grown = memory_of("VmHWM:") - before;
        _exit(write(ends[1], &grown, sizeof grown) == (ssize_t)sizeof grown ? 0 : 1);
    }
    close(ends[1]);
    if (pid < 0 || read(ends[0], &grown, sizeof grown) != (ssize_t)sizeof grown)
        grown = -1;
    close(ends[0]);
    waitpid(pid, NULL, 0);
    return grown;
}

/* ---- requests ---- */

struct request {
    enum protocol client, upstream;
    struct buf body;
    size_t out_bytes;
};

static void run_request(void *ctx)
{
    struct request *r = ctx;
    struct convert *c = session_convert(r->client, r->upstream);
    struct arena work;
    struct buf out;
    arena_init(&work, SIZE_MAX);
    buf_init(&out, SIZE_MAX);
    if (convert_request(c, &work, buf_str(&r->body), &out) < 0) {
        struct str why = convert_error(c);
        fprintf(stderr, STR_FMT "\n", STR_ARG(why));
        exit(1);
    }
    r->out_bytes = buf_len(&out);
    buf_done(&out);
    arena_done(&work);
    convert_free(c);
}

static double least_ms(void (*work)(void *ctx), void *ctx)
{
    double least = 1e9;
    for (int i = 0; i < rounds; i++) {
        double begun = cpu_ms();
        work(ctx);
        double ms = cpu_ms() - begun;
        least = ms < least ? ms : least;
    }
    return least;
}

static double measure_request(struct request *r, double half_ms)
{
    double mib = (double)buf_len(&r->body) / 1048576;
    double ms = least_ms(run_request, r);
    printf("%c>%c  %7.3f MiB in, %7.3f out  %8.3f ms  %6.2f ms/MiB  peak %5.2fx", //
           letters[r->client], letters[r->upstream], mib, (double)r->out_bytes / 1048576, ms,
           ms / mib, peak_of(run_request, r) / (double)buf_len(&r->body));
    if (half_ms > 0)
        printf("  time %.2fx of half", ms / half_ms);
    printf("\n");
    return ms;
}

static void measure_requests(enum protocol client, enum protocol upstream)
{
    /* each but the first of a kind has twice the size of the one before */
    static const size_t sizes[] = { 256 << 10, 512 << 10, 1 << 20, 2 << 20 };
    static const size_t counts[] = { 8000, 16000, 32000 };
    double ms = 0;
    for (size_t i = 0; i < ARRAY_LEN(sizes) + ARRAY_LEN(counts); i++) {
        struct request r = { .client = client, .upstream = upstream };
        bool tiny = i >= ARRAY_LEN(sizes);
        bool doubled = i != 0 && i != ARRAY_LEN(sizes);
        buf_init(&r.body, SIZE_MAX);
        if (tiny)
            session_tiny(client, counts[i - ARRAY_LEN(sizes)], &r.body);
        else
            session_request(client, 1, sizes[i], &r.body);
        printf("%s", tiny ? "tiny  " : "agent ");
        ms = measure_request(&r, doubled ? ms : 0);
        buf_done(&r.body);
    }
}

/* ---- streams ---- */

struct stream {
    enum protocol client, upstream;
    struct buf bytes;
};

static struct convert *begin_stream(const struct stream *s)
{
    struct convert *c = session_convert(s->client, s->upstream);
    struct buf body, out;
    struct arena work;
    arena_init(&work, SIZE_MAX);
    buf_init(&body, SIZE_MAX);
    buf_init(&out, SIZE_MAX);
    session_tiny(s->client, 1, &body);
    must(convert_request(c, &work, buf_str(&body), &out) == 0);
    buf_done(&body);
    buf_done(&out);
    arena_done(&work);
    return c;
}

static void run_stream(void *ctx)
{
    struct stream *s = ctx;
    struct convert *c = begin_stream(s);
    struct str bytes = buf_str(&s->bytes);
    struct buf out;
    buf_init(&out, SIZE_MAX);
    for (size_t at = 0; at < bytes.n; at += FEED_BYTES) {
        must(convert_feed(c, str_slice(bytes, at, at + FEED_BYTES), &out) == 0);
        buf_truncate(&out, 0);
    }
    must(convert_end(c, &out) == 0);
    must(convert_ended(c));
    must(convert_failure(c) == NULL);
    buf_done(&out);
    convert_free(c);
}

static void measure_streams(enum protocol client, enum protocol upstream)
{
    static const char *const names[] = { "text", "thinking", "arguments" };
    for (enum session_delta kind = 0; kind < SESSION_DELTA_COUNT; kind++) {
        struct stream s = { .client = client, .upstream = upstream };
        buf_init(&s.bytes, SIZE_MAX);
        session_stream(upstream, kind, DELTAS / 2, &s.bytes);
        double half = peak_of(run_stream, &s);
        buf_truncate(&s.bytes, 0);
        session_stream(upstream, kind, DELTAS, &s.bytes);
        double whole = peak_of(run_stream, &s), ms = least_ms(run_stream, &s);
        printf("%c<%c  %-9s  %8.0f events/s  peak %6.0f KiB, %6.0f of half\n", letters[client],
               letters[upstream], names[kind], DELTAS / ms * 1e3, whole / 1024, half / 1024);
        buf_done(&s.bytes);
    }
}

/* Is the pair asked for?  arrow: '>' for requests, '<' for streams; no word: all are. */
static bool wanted(const char *word, enum protocol client, char arrow, enum protocol upstream)
{
    char pair[] = { letters[client], arrow, letters[upstream], '\0' };
    return word == NULL || strcmp(word, pair) == 0;
}

int main(int argc, char **argv)
{
    const char *word = argc > 2 ? argv[2] : NULL;
    if (argc > 1)
        rounds = (int)strtol(argv[1], NULL, 10);
    /* pages given back to the kernel and taken again are not the conversion's cost */
    must(mallopt(M_TRIM_THRESHOLD, LIMIT_BYTES) == 1 && mallopt(M_MMAP_THRESHOLD, 1 << 25) == 1);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < 2 * PROTOCOL_COUNT * PROTOCOL_COUNT; i++) {
        enum protocol client = (enum protocol)(i / PROTOCOL_COUNT % PROTOCOL_COUNT);
        enum protocol upstream = (enum protocol)(i % PROTOCOL_COUNT);
        bool streams = i >= PROTOCOL_COUNT * PROTOCOL_COUNT;
        if (client == upstream || !wanted(word, client, streams ? '<' : '>', upstream))
            continue;
        if (streams)
            measure_streams(client, upstream);
        else
            measure_requests(client, upstream);
    }
    return 0;
}

/*
 * Positions only grow; the byte at position n lies at bytes[n & mask].  The
 * producer owns head, the writer owns tail.
 *
 * Sleeping: the writer says LOG_SLEEPS, looks once more for work, then polls
 * the eventfd.  The producer stores its work, then looks at the state.  With
 * both orders sequentially consistent one of the two sees the other, and a busy
 * writer costs the producer no system call.
 *
 * Gathering: once woken, the writer waits GATHER_MS for more, so that a busy
 * producer pays for one wake-up and one write() for hundreds of lines.  An
 * eighth of a ring cuts that short.
 */
#include "log_ring.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "log_line.h"
#include "mem.h"

enum { BATCH_BYTES = 256 << 10, REPORT_BYTES = 4096, GATHER_MS = 25, FLUSH_MS = 200 };

enum log_writer { LOG_AWAKE, LOG_SLEEPS, LOG_GATHERS };

static const int64_t stop_ns = NS_PER_S;

struct log_ring {
    struct log_settings settings;
    char *bytes;
    size_t mask, batch_bytes;
    int wake_fd;
    pthread_t thread;
    atomic_int users;           /* producer and writer; the last one frees */
    atomic_int writer;          /* enum log_writer */
    _Atomic int64_t stop_at_ns; /* 0: not stopping */
    _Atomic uint64_t dropped;
    _Alignas(64) _Atomic size_t head;
    _Alignas(64) _Atomic size_t tail;
    /* the writer's own */
    uint64_t reported; /* value of `dropped` in the last report written */
    uint64_t tried;    /* ... in the last report tried, so that a dead fd is left alone */
    bool mid_line;     /* the fd has the start of a line */
};

static void drop_ring(struct log_ring *r)
{
    if (atomic_fetch_sub(&r->users, 1) > 1)
        return;
    close(r->wake_fd);
    free(r->bytes);
    free(r);
}

/* ---- writer ---- */

static void drain_wake_fd(struct log_ring *r)
{
    uint64_t n;
    ssize_t got = read(r->wake_fd, &n, sizeof(n));
    (void)got; /* -EAGAIN when there was nothing */
}

/* 0 when the fd may take bytes, -ETIMEDOUT when stopping took too long. */
static int wait_writable(struct log_ring *r)
{
    for (;;) {
        int64_t stop_at = atomic_load(&r->stop_at_ns);
        int timeout_ms = -1;
        if (stop_at != 0) {
            int64_t left_ns = stop_at - clock_mono_ns();
            if (left_ns <= 0)
                return -ETIMEDOUT;
            timeout_ms = (int)(left_ns / NS_PER_MS) + 1;
        }
        struct pollfd fds[2] = { { .fd = r->settings.fd, .events = POLLOUT },
                                 { .fd = r->wake_fd, .events = POLLIN } };
        poll(fds, 2, timeout_ms);
        if (fds[1].revents != 0)
            drain_wake_fd(r);
        if (fds[0].revents != 0)
            return 0;
    }
}

/* Takes n bytes off the front of v[0..count). */
static void advance(struct log_ring *r, struct iovec *v, int count, size_t n)
{
    for (int i = 0; i < count && n > 0; i++) {
        size_t part = n < v[i].iov_len ? n : v[i].iov_len;
        if (part == 0)
            continue;
        r->mid_line = ((char *)v[i].iov_base)[part - 1] != '\n';
        v[i].iov_base = (char *)v[i].iov_base + part;
        v[i].iov_len -= part;
        n -= part;
    }
}

/* Below 0: v holds what was not written. */
static int write_all(struct log_ring *r, struct iovec *v, int count)
{
    for (;;) {
        size_t left = 0;
        for (int i = 0; i < count; i++)
            left += v[i].iov_len;
        if (left == 0)
            return 0;
        ssize_t got = writev(r->settings.fd, v, count);
        if (got >= 0) {
            advance(r, v, count, (size_t)got);
            continue;
        }
        int e = -errno;
        if (e == -EAGAIN)
            e = wait_writable(r);
        if (e < 0 && e != -EINTR)
            return e;
    }
}

static uint64_t count_lines(const char *p, size_t n)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += p[i] == '\n';
    return lines;
}

/* How much of the n bytes at `tail` to write at once: whole lines. */
static size_t batch_length(const struct log_ring *r, size_t tail, size_t n)
{
    if (n <= r->batch_bytes)
        return n;
    size_t length = r->batch_bytes;
    while (length > 0 && r->bytes[(tail + length - 1) & r->mask] != '\n')
        length--;
    if (length > 0)
        return length;
    for (length = r->batch_bytes; r->bytes[(tail + length) & r->mask] != '\n';)
        length++;
    return length + 1;
}

static char newline[] = "\n"; /* iovec wants it writable */

static void write_batch(struct log_ring *r, size_t tail, size_t n)
{
    size_t at = tail & r->mask, length = batch_length(r, tail, n);
    size_t first = r->mask + 1 - at;
    if (first > length)
        first = length;
    struct iovec v[3] = { { newline, r->mid_line ? 1 : 0 },
                          { r->bytes + at, first },
                          { r->bytes, length - first } };
    if (write_all(r, v, 3) < 0) {
        uint64_t lost =
            count_lines(v[1].iov_base, v[1].iov_len) + count_lines(v[2].iov_base, v[2].iov_len);
        r->tried = atomic_fetch_add(&r->dropped, lost) + lost;
    } else {
        r->tried = r->reported; /* the fd takes lines again */
    }
    atomic_store_explicit(&r->tail, tail + length, memory_order_release);
}

static void write_report(struct log_ring *r)
{
    uint64_t dropped = atomic_load(&r->dropped);
    if (dropped == r->reported || dropped == r->tried)
        return;
    struct log_field field = log_field_uint("count", dropped - r->reported);
    struct log_line line = { .level = LOG_WARNING,
                             .logger = r->settings.logger,
                             .event = "log_lines_dropped",
                             .unix_ms = clock_unix_ms(),
                             .fields = &field,
                             .n = 1 };
    struct buf out;
    buf_init(&out, REPORT_BYTES);
    log_line_add(r->settings.format, &line, &out);
    size_t n;
    char *p = buf_take(&out, &n);
    struct iovec v[2] = { { newline, r->mid_line ? 1 : 0 }, { p, n } };
    r->tried = dropped;
    if (write_all(r, v, 2) == 0)
        r->reported = dropped;
    free(p);
}

static bool has_work(struct log_ring *r)
{
    return atomic_load(&r->head) != atomic_load(&r->tail) || atomic_load(&r->dropped) != r->tried;
}

static size_t used_bytes(struct log_ring *r)
{
    return atomic_load(&r->head) - atomic_load(&r->tail);
}

static bool is_enough(struct log_ring *r)
{
    return used_bytes(r) > r->mask / 8; /* the rest is for the time until it runs */
}

static void wait_wake(struct log_ring *r, int timeout_ms)
{
    poll(&(struct pollfd){ .fd = r->wake_fd, .events = POLLIN }, 1, timeout_ms);
}

/* False when there is none and the producer is gone. */
static bool wait_work(struct log_ring *r)
{
    while (!has_work(r)) {
        if (atomic_load(&r->stop_at_ns) != 0)
            return false;
        atomic_store(&r->writer, LOG_SLEEPS);
        if (!has_work(r) && atomic_load(&r->stop_at_ns) == 0)
            wait_wake(r, -1);
        drain_wake_fd(r);
        atomic_store(&r->writer, LOG_GATHERS);
        if (!is_enough(r) && atomic_load(&r->stop_at_ns) == 0)
            wait_wake(r, GATHER_MS);
        atomic_store(&r->writer, LOG_AWAKE);
        drain_wake_fd(r);
    }
    return true;
}

static void *writer(void *arg)
{
    struct log_ring *r = arg;
    while (wait_work(r)) {
        size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
        size_t n = atomic_load(&r->head) - tail;
        if (n > 0)
            write_batch(r, tail, n);
        write_report(r);
    }
    drop_ring(r);
    return NULL;
}

/* ---- producer ---- */

static void wake_now(struct log_ring *r)
{
    ssize_t n = write(r->wake_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
    (void)n; /* full: it is awake */
}

static void wake(struct log_ring *r)
{
    int writer = atomic_load(&r->writer);
    if (writer != LOG_SLEEPS && !(writer == LOG_GATHERS && is_enough(r)))
        return;
    /* once: until it has run it is as good as awake */
    if (atomic_compare_exchange_strong(&r->writer, &writer, LOG_AWAKE))
        wake_now(r);
}

static bool start_thread(struct log_ring *r)
{
    sigset_t all, old;
    sigfillset(&all); /* signals are the producer's; SIGPIPE must not kill us */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int e = pthread_create(&r->thread, NULL, writer, r);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return e == 0;
}

struct log_ring *log_ring_new(const struct log_settings *settings)
{
    size_t size = settings->ring_bytes;
    must(size > 0);
    must((size & (size - 1)) == 0);
    struct log_ring *r = aligned_alloc(_Alignof(struct log_ring), sizeof(*r));
    must(r != NULL); /* as mem_alloc(), which knows no alignment */
    memset(r, 0, sizeof(*r));
    r->settings = *settings;
    r->mask = size - 1;
    r->bytes = mem_alloc(size);
    struct stat st;
    bool is_pipe = fstat(settings->fd, &st) == 0 && S_ISFIFO(st.st_mode);
    r->batch_bytes = is_pipe ? PIPE_BUF - 1 : BATCH_BYTES; /* 1: see mid_line */
    atomic_init(&r->users, 2);
    r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->wake_fd >= 0 && start_thread(r))
        return r;
    if (r->wake_fd >= 0)
        close(r->wake_fd);
    free(r->bytes);
    free(r);
    return NULL;
}

void log_ring_drop(struct log_ring *r)
{
    atomic_fetch_add(&r->dropped, 1);
    wake(r);
}

void log_ring_put(struct log_ring *r, struct str line)
{
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    size_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
    size_t size = r->mask + 1;
    if (line.n > size - (head - tail)) {
        log_ring_drop(r);
        return;
    }
    size_t at = head & r->mask, first = size - at;
    if (first > line.n)
        first = line.n;
    memcpy(r->bytes + at, line.p, first);
    if (first < line.n)
        memcpy(r->bytes, line.p + first, line.n - first);
    atomic_store(&r->head, head + line.n);
    wake(r);
}

uint64_t log_ring_dropped(struct log_ring *r)
{
    return atomic_load(&r->dropped);
}

void log_ring_flush(struct log_ring *r)
{
    static const struct timespec pause = { .tv_nsec = NS_PER_MS };
    wake_now(r);
    for (int i = 0; i < FLUSH_MS && used_bytes(r) > 0; i++)
        nanosleep(&pause, NULL);
}

uint64_t log_ring_free(struct log_ring *r)
{
    atomic_store(&r->stop_at_ns, clock_mono_ns() + stop_ns);
    wake_now(r);

    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 1;
    until.tv_nsec += 100 * NS_PER_MS; /* the writer's own deadline comes first */
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_S;
    }
    if (pthread_clockjoin_np(r->thread, NULL, CLOCK_MONOTONIC, &until) != 0)
        pthread_detach(r->thread);
    uint64_t dropped = atomic_load(&r->dropped);
    drop_ring(r);
    return dropped;
}

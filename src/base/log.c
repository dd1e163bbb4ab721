#include "log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "log_line.h"
#include "log_ring.h"

enum {
    DIRECT_LINE_MAX = 64 << 20,
    DIRECT_WAIT_MS = 100,
    KEPT_SCRATCH_MAX = 64 << 10, /* a larger one is freed after the line */
};

/* One per process, like stdout.  Used by one thread (log.h). */
static struct {
    struct log_settings settings;
    struct log_ring *ring; /* NULL: lines are written at once */
    struct buf scratch;
    uint64_t dropped; /* outside of the ring */
} self = { .settings = { .level = LOG_INFO,
                         .format = LOG_JSON,
                         .fd = STDOUT_FILENO,
                         .ring_bytes = 1 << 20,
                         .logger = "cc-proxy" } };

void log_init(const struct log_settings *settings)
{
    must(settings->logger != NULL);
    size_t ring_bytes = self.settings.ring_bytes;
    must(self.ring == NULL || settings->fd == self.settings.fd);
    self.settings = *settings;
    if (self.ring != NULL) /* it keeps its size */
        self.settings.ring_bytes = ring_bytes;
}

/* What was logged before a must() is why it failed.  The signal is back at its default:
 * abort() raises it once more. */
static void on_abort(int sig)
{
    if (self.ring != NULL)
        log_ring_flush(self.ring);
    (void)raise(sig); /* when it came from outside, nobody else does */
}

void log_start(void)
{
    must(self.ring == NULL);
    self.ring = log_ring_new(&self.settings);
    struct sigaction action = { .sa_handler = on_abort, .sa_flags = (int)SA_RESETHAND };
    if (self.ring != NULL)
        must(sigaction(SIGABRT, &action, NULL) == 0);
    else
        log_write(LOG_WARNING, "log_thread_failed", F("effect", "lines are written at once"));
}

void log_stop(void)
{
    struct log_ring *ring = self.ring;
    self.ring = NULL;
    if (ring != NULL)
        self.dropped += log_ring_free(ring);
    buf_done(&self.scratch);
}

bool log_on(enum log_level level)
{
    return level >= self.settings.level;
}

int log_level_of(struct str name, enum log_level *ret_level)
{
    static const struct {
        struct str name;
        enum log_level level;
    } levels[] = {
        { S_INIT("DEBUG"), LOG_DEBUG },     { S_INIT("INFO"), LOG_INFO },
        { S_INIT("WARNING"), LOG_WARNING }, { S_INIT("WARN"), LOG_WARNING },
        { S_INIT("ERROR"), LOG_ERROR },
    };
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        if (str_eq_nocase(name, levels[i].name)) {
            *ret_level = levels[i].level;
            return 0;
        }
    }
    return -EINVAL;
}

uint64_t log_dropped_lines(void)
{
    return self.dropped + (self.ring != NULL ? log_ring_dropped(self.ring) : 0);
}

static void write_direct(struct str line)
{
    while (line.n > 0) {
        ssize_t n = write(self.settings.fd, line.p, line.n);
        if (n >= 0) {
            line = str_slice(line, (size_t)n, line.n);
            continue;
        }
        if (errno == EINTR)
            continue;
        struct pollfd fd = { .fd = self.settings.fd, .events = POLLOUT };
        if (errno != EAGAIN || poll(&fd, 1, DIRECT_WAIT_MS) != 1) {
            self.dropped++;
            return;
        }
    }
}

static void write_line(struct buf *line)
{
    if (line->overflow && self.ring != NULL)
        log_ring_drop(self.ring);
    else if (line->overflow)
        self.dropped++;
    else if (self.ring != NULL)
        log_ring_put(self.ring, buf_str(line));
    else
        write_direct(buf_str(line));
}

void log_fields(enum log_level level, const char *logger, const char *event,
                const struct log_field *fields, size_t n)
{
    if (!log_on(level))
        return;
    int kept_errno = errno; /* callers log before they look at it */
    struct buf *out = &self.scratch;
    out->limit_bytes = self.ring != NULL ? self.settings.ring_bytes : DIRECT_LINE_MAX;
    struct log_line line = { .level = level,
                             .logger = logger != NULL ? logger : self.settings.logger,
                             .event = event,
                             .unix_ms = clock_unix_ms(),
                             .fields = fields,
                             .n = n };
    log_line_add(self.settings.format, &line, out);
    write_line(out);
    if (out->overflow || out->cap > KEPT_SCRATCH_MAX)
        buf_clear(out);
    else
        buf_truncate(out, 0);
    errno = kept_errno;
}

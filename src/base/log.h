/*
 * log.h - structured log lines, written by a thread of their own.
 *
 * Contract
 *   Output     one JSON object per line on stdout (LOG_FORMAT=json), or one
 *              readable line (console, text).  Members: timestamp, level,
 *              event, logger, app, version, then the fields in order.
 *   Threads    one producer (the thread that called log_start) and one writer;
 *              a byte ring between them.  Before log_start(), and in small
 *              programs, lines are written at once.
 *   Delay      a line waits up to 25 ms for others, so that they are written at
 *              once.  abort() writes them first; a kill loses those of 25 ms.
 *   Limits     a full ring drops the line and counts it; the writer reports the
 *              count in a line of its own (log_lines_dropped) when it can write
 *              again.  The producer never blocks.  Lines that the fd refuses
 *              (broken pipe, full disk) are dropped and counted too.
 *   Signals    the thread has all of them blocked.  A program that writes lines
 *              at once to a pipe ignores SIGPIPE itself.
 *   Secrets    callers never pass credentials.  Values are escaped, invalid
 *              UTF-8 becomes U+FFFD.
 *
 *   log_write(LOG_INFO, "request_done", F("status", 200), F("model", model));
 */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "must.h"
#include "str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_JSON, LOG_CONSOLE };

enum log_field_type {
    LOG_FIELD_STR,
    LOG_FIELD_INT,
    LOG_FIELD_DOUBLE,
    LOG_FIELD_BOOL,
    LOG_FIELD_JSON
};

struct log_field {
    struct str name;
    enum log_field_type type;
    struct str text; /* STR; JSON: valid JSON text, written as it is */
    int64_t number;
    double real;
};

struct log_settings {
    enum log_level level;
    enum log_format format;
    int fd;             /* where lines go; 1 for stdout */
    size_t ring_bytes;  /* a power of two */
    const char *logger; /* "claude-service", "codex-service", "supervisor", "simulator" ... */
};

/* Again at a reload: level, format and name change at once, the ring keeps its size and fd. */
void log_init(const struct log_settings *settings);
void log_start(void); /* starts the writer thread; after it, fork() only to exec */
void log_stop(void);  /* writes what is queued (at most 1 s), joins the thread */

bool log_on(enum log_level level);
int log_level_of(struct str name, enum log_level *ret_level)
    MUST_CHECK; /* DEBUG INFO WARNING WARN ERROR, any case */
uint64_t log_dropped_lines(void);

void log_fields(enum log_level level, const char *logger, const char *event,
                const struct log_field *fields, size_t n);

static inline struct log_field log_field_str(const char *name, struct str v)
{
    return (struct log_field){ .name = str_of(name), .type = LOG_FIELD_STR, .text = v };
}
static inline struct log_field log_field_cstr(const char *name, const char *v)
{
    return log_field_str(name, str_of(v));
}
static inline struct log_field log_field_int(const char *name, int64_t v)
{
    return (struct log_field){ .name = str_of(name), .type = LOG_FIELD_INT, .number = v };
}
static inline struct log_field log_field_uint(const char *name, uint64_t v)
{
    return log_field_int(name, v > INT64_MAX ? INT64_MAX : (int64_t)v);
}
static inline struct log_field log_field_double(const char *name, double v)
{
    return (struct log_field){ .name = str_of(name), .type = LOG_FIELD_DOUBLE, .real = v };
}
static inline struct log_field log_field_bool(const char *name, bool v)
{
    return (struct log_field){ .name = str_of(name), .type = LOG_FIELD_BOOL, .number = v };
}
/* v: one valid JSON value */
static inline struct log_field log_field_json(const char *name, struct str v)
{
    return (struct log_field){ .name = str_of(name), .type = LOG_FIELD_JSON, .text = v };
}

/* A field of the value's own type.  The empty name drops a field. */
#define F(name, v) \
    _Generic((v),                     \
        struct str: log_field_str,    \
        char *: log_field_cstr,       \
        const char *: log_field_cstr, \
        double: log_field_double,     \
        bool: log_field_bool,         \
        unsigned: log_field_uint,     \
        unsigned long: log_field_uint, \
        unsigned long long: log_field_uint, \
        default: log_field_int)(name, v)

/* logger NULL: the one of log_init(). */
#define log_write_as(level, logger, event, ...)                                \
    do {                                                                       \
        if (log_on(level)) {                                                   \
            const struct log_field log_f_[] = { __VA_ARGS__ };                 \
            log_fields((level), (logger), (event), log_f_, ARRAY_LEN(log_f_)); \
        }                                                                      \
    } while (0)
#define log_write(level, event, ...) log_write_as(level, NULL, event, __VA_ARGS__)

#endif

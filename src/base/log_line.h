/*
 * log_line.h - one log line as text.  Does no I/O.
 *
 * Contract
 *   Output     added to `out`, ends with the only LF in it.  When it does not
 *              fit, out->overflow is set and the line is useless.
 *   Threads    any; each keeps the text of the newest second.
 *   Bytes      texts may hold anything: control characters are escaped,
 *              invalid UTF-8 becomes U+FFFD (one for each maximal part, as
 *              Unicode chapter 3 has it).  JSON fields are taken as valid;
 *              line ends in them, which are white space there, become spaces.
 */
#ifndef LOG_LINE_H
#define LOG_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "log.h"

struct log_line {
    enum log_level level;
    const char *logger, *event;
    int64_t unix_ms;
    const struct log_field *fields;
    size_t n;
};

void log_line_add(enum log_format format, const struct log_line *line, struct buf *out);

#endif

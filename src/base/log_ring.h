/*
 * log_ring.h - a byte ring between one producer and a writer thread.
 *
 * Contract
 *   Threads    one producer calls everything here; the writer thread is inside.
 *   Lines      each ends with its only LF.  They reach the fd whole and in
 *              order, many with one writev(); on a pipe at most PIPE_BUF bytes
 *              at once, so that lines of processes that share it do not mix (a
 *              longer line goes alone, and may mix).
 *   Delay      25 ms after the first line of a batch, or when an eighth of the ring is full.
 *   Limits     a line that does not fit is dropped and counted; lines that the
 *              fd refuses (broken pipe, full disk) are dropped and counted too.
 *              The count is written as log_lines_dropped when the fd takes
 *              lines again.  The producer never waits.
 */
#ifndef LOG_RING_H
#define LOG_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "log.h"
#include "must.h"
#include "str.h"

struct log_ring;

/* Starts the thread.  NULL when the system has none to give. */
struct log_ring *log_ring_new(const struct log_settings *settings) MUST_CHECK;
void log_ring_put(struct log_ring *r, struct str line);
/* Counts a line that was too large to be made. */
void log_ring_drop(struct log_ring *r);
/* Waits until all is written, at most 200 ms.  May be called in a signal handler. */
void log_ring_flush(struct log_ring *r);
uint64_t log_ring_dropped(struct log_ring *r);
/* Lets the writer finish, at most 1 s, and frees the ring; a writer stuck in a
 * blocking write() is left behind and frees it later.  The lines dropped. */
uint64_t log_ring_free(struct log_ring *r);

#endif

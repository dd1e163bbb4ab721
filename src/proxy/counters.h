/*
 * counters.h - what all workers count together, for /metrics.
 *
 * Contract
 *   Memory     one shared mapping, one slot per worker.  The supervisor makes it (a
 *              memfd), workers map it.
 *   Writing    each worker writes only its own slot.  Reading: any worker, any time; a
 *              value may be one turn old.
 *   Output     the Prometheus text format, all slots added up.
 */
#ifndef COUNTERS_H
#define COUNTERS_H

#include <stdint.h>

#include "buf.h"
#include "must.h"
#include "refusal.h"

enum { COUNTERS_SLOTS_MAX = 512 };

struct counters {
#define COUNTER(field, ...) int64_t field;
#include "counters.def"
#undef COUNTER
    int64_t refused[REFUSAL_COUNT];
    int64_t turns; /* grows every second while the worker's loop turns; not in the output */
};

int counters_create(int *ret_fd) MUST_CHECK;
/* All slots; fd < 0 maps private memory (tests, single processes). */
int counters_map(int fd, struct counters **ret_slots) MUST_CHECK;
/* A slot's gauges to 0: its worker has begun or ended.  What it counted stays. */
void counters_clear_gauges(struct counters *slot);
void counters_write(const struct counters *slots, struct buf *out);

#endif

/*
 * counters.h - what all workers count together, for /metrics.
 *
 * Contract
 *   Memory     one shared mapping, one slot per worker.  The supervisor makes it (a
 *              memfd), workers map it.
 *   Writing    each worker writes only its own slot.  Reading: any worker, any time; a
 *              value may be one turn old.
 *   Upgrade    a reload may start workers of another version, whose rows differ, under the same
 *              supervisor.  A slot says whose layout it has, and only its own kind reads
 *              it: after an upgrade the sums begin anew, as after a restart.
 *   Output     the Prometheus text format, all slots added up.
 */
#ifndef COUNTERS_H
#define COUNTERS_H

#include <stdint.h>

#include "buf.h"
#include "must.h"
#include "refusal.h"

enum { COUNTERS_SLOTS_MAX = 512, COUNTERS_SLOT_BYTES = 1024 };

struct counters {
    /* The first two stand where they do in every version. */
    _Alignas(COUNTERS_SLOT_BYTES) uint64_t layout; /* 0: never used */
    int64_t turns; /* grows every second while the worker's loop turns; not in the output */
#define COUNTER(field, ...) int64_t field;
#include "counters.def"
#undef COUNTER
    int64_t refused[REFUSAL_COUNT];
};

int counters_create(int *ret_fd) MUST_CHECK;
/* All slots; fd < 0 maps private memory (tests, single processes). */
int counters_map(int fd, struct counters **ret_slots) MUST_CHECK;
/* A worker takes a slot: what another of this version counted in it stays, but for the gauges. */
void counters_begin(struct counters *slot);
/* Its worker has ended: the gauges to 0. */
void counters_end(struct counters *slot);
/* Requests under way in that slot; 0 when it is of another version. */
int64_t counters_requests_open(const struct counters *slot);
void counters_write(const struct counters *slots, struct buf *out);

#endif

/*
 * clock.h - the two clocks.  Intervals are measured on the monotonic one only.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

int64_t clock_mono_ns(void);
int64_t clock_unix_ms(void);

#endif

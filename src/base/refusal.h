/*
 * refusal.h - the reasons for which clients are refused (refusals.def).
 *
 * Contract
 *   Output     a row for every reason: its label in metrics and logs, the E_ code that a
 *              client is answered with (if it is), one line of help.
 */
#ifndef REFUSAL_H
#define REFUSAL_H

enum refusal {
    REFUSAL_NONE,
#define REFUSAL(reason, ...) REFUSAL_##reason,
#include "refusals.def"
#undef REFUSAL
    REFUSAL_COUNT,
};

struct refusal_row {
    const char *label; /* "" for REFUSAL_NONE */
    int err;           /* E_ code; 0 for REFUSAL_NONE */
    const char *help;
};

const struct refusal_row *refusal_row(enum refusal reason); /* never NULL */
/* The reason that stands for all errors of a code; REFUSAL_NONE: no client is to blame. */
enum refusal refusal_of(int err);

#endif

/*
 * unit.h - what every unit test includes: cmocka and a few checks on slices.
 */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem.h"
#include "str.h"

#define assert_str(got, want)                                                              \
    do {                                                                                   \
        struct str got_ = (got), want_ = (want);                                           \
        if (!str_eq(got_, want_))                                                          \
            fail_msg("got \"%.*s\", want \"%.*s\"", (int)got_.n, got_.n > 0 ? got_.p : "", \
                     (int)want_.n, want_.n > 0 ? want_.p : "");                            \
    } while (0)

#endif

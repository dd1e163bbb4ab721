/*
 * request_fixture.h - one request at a time, for tests of a protocol's two halves.
 */
#ifndef REQUEST_FIXTURE_H
#define REQUEST_FIXTURE_H

#include "request_read.h"
#include "unit.h"

static struct convert *c; /* each test begins its own */
static struct arena work;

static int setup(void **state)
{
    (void)state;
    arena_init(&work, 64 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    convert_free(c);
    c = NULL;
    arena_done(&work);
    return 0;
}

#endif

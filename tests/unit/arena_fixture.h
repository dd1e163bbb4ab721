/*
 * arena_fixture.h - an arena per test: cmocka_unit_test_setup_teardown(test, setup, teardown).
 */
#ifndef ARENA_FIXTURE_H
#define ARENA_FIXTURE_H

#include "arena.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 64 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

#endif

/*
 * Goal: blocks that are given back serve the next one of their size, within the limit, and all go
 * back to malloc() at once.
 */
#include "unit.h"

#include "kept.c"

static void the_next_of_its_size_gets_it(void **state)
{
    (void)state;
    void *small = kept_take(64), *large = kept_take(16 << 10);
    kept_give(small, 64);
    kept_give(large, 16 << 10);
    void *other = kept_take(128);
    assert_ptr_not_equal(other, small);
    if (KEEPS_BLOCKS) {
        assert_ptr_equal(kept_take(16 << 10), large);
        assert_ptr_equal(kept_take(64), small);
        kept_give(small, 64);
        kept_give(large, 16 << 10);
    }
    kept_give(other, 128);
    kept_give(NULL, 64);
    kept_free_all();
    assert_int_equal(rank_of(63), RANKS);
    assert_int_equal(rank_of(96), RANKS);
    assert_int_equal(rank_of(32 << 10), RANKS);
}

static void no_more_than_the_limit_is_kept(void **state)
{
    (void)state;
    enum { BYTES = 4096, BLOCKS = KEPT_BYTES / BYTES + 1 };
    void *blocks[BLOCKS];
    unsigned rank = rank_of(BYTES);
    if (!KEEPS_BLOCKS)
        skip();
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = kept_take(BYTES);
    for (int i = 0; i < BLOCKS; i++)
        kept_give(blocks[i], BYTES);
    assert_int_equal(kept[rank].bytes, KEPT_BYTES);
    kept_free_all();
    assert_int_equal(kept[rank].bytes, 0);
    assert_null(kept[rank].first);
}

static void large_blocks_serve_what_is_not_much_smaller(void **state)
{
    (void)state;
    if (!KEEPS_BLOCKS)
        skip();
    enum { BYTES = 1 << 20 };
    void *one = kept_take(BYTES), *two = kept_take(BYTES), *three = kept_take(BYTES);
    kept_give(one, BYTES);
    kept_give(two, BYTES);
    kept_give(three, BYTES); /* no room for it */
    assert_ptr_equal(kept_take(BYTES - 4096), one);
    kept_give(one, BYTES - 4096);
    assert_ptr_equal(kept_take(BYTES), one); /* it is as large as it was */
    assert_ptr_equal(spare[1].p, two);
    void *much_larger = kept_take(4 * BYTES);
    assert_null(spare[1].p); /* what does not fit goes */
    kept_give(much_larger, 4 * BYTES);
    assert_null(spare[0].p); /* too large to be kept */
    kept_give(one, BYTES);
    assert_ptr_equal(spare[0].p, one);
    kept_free_all();
    assert_null(spare[0].p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_of_its_size_gets_it),
        cmocka_unit_test(large_blocks_serve_what_is_not_much_smaller),
        cmocka_unit_test(no_more_than_the_limit_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

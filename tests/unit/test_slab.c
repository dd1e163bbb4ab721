/*
 * Goal: objects are zeroed, their own and aligned; blocks of objects that are gone go back.
 */
#include "slab.c"

#include "unit.h"

struct thing {
    char bytes[1000];
};

enum { MANY = 1000 };

static struct slab things = SLAB_OF(things, struct thing);
static struct thing *all[MANY];

static void take_all(void)
{
    for (size_t i = 0; i < MANY; i++) {
        all[i] = slab_take(&things);
        assert_int_equal((uintptr_t)all[i] % SLAB_ALIGN_BYTES, 0);
        for (size_t k = 0; k < sizeof(all[i]->bytes); k++)
            assert_int_equal(all[i]->bytes[k], 0);
        memset(all[i]->bytes, (int)i, sizeof(all[i]->bytes));
    }
}

static void test_objects_are_zeroed_and_apart(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        take_all();
        for (size_t i = 0; i < MANY; i++) {
            for (size_t k = 0; k < sizeof(all[i]->bytes); k++)
                assert_int_equal((unsigned char)all[i]->bytes[k], i & 255);
            slab_give(all[i]);
        }
    }
    slab_give(NULL);
}

static size_t blocks_with_room(void)
{
    size_t n = 0;
    list_each (it, tmp, &things.open)
        n++;
    return n;
}

/* Every second object lives: no block goes.  Then they go, and one block stays. */
static void test_empty_blocks_go_back(void **state)
{
    (void)state;
    if (!IN_BLOCKS)
        skip();
    take_all();
    for (size_t i = 0; i < MANY; i += 2)
        slab_give(all[i]);
    size_t half = blocks_with_room();
    assert_true(half >= MANY / capacity(&things));
    for (size_t i = 1; i < MANY; i += 2)
        slab_give(all[i]);
    assert_int_equal(blocks_with_room(), 1);
    assert_int_equal(list_first(&things.open, struct block, link)->used, 0);
}

/* Some wait for the next burst, whichever slab it needs, zeroed as new ones are. */
static void test_spare_blocks_are_used_first(void **state)
{
    (void)state;
    static struct slab others = SLAB_OF(
        others, struct { char bytes[999]; });
    if (!IN_BLOCKS)
        skip();
    take_all();
    for (size_t i = 0; i < MANY; i++)
        slab_give(all[i]);
    size_t kept = spare_n;
    assert_in_range(kept, 1, SPARE_BLOCKS_MAX);
    char *p = slab_take(&others);
    assert_int_equal(spare_n, kept - 1);
    for (size_t i = 0; i < 999; i++)
        assert_int_equal(p[i], 0);
    slab_give(p);
    slab_free_spare();
    assert_int_equal(spare_n, 0);
    assert_true(list_empty(&spare));
}

/* What comes free is used before anything new. */
static void test_room_is_used_again(void **state)
{
    (void)state;
    if (!IN_BLOCKS)
        skip();
    take_all();
    slab_give(all[MANY / 2]);
    assert_ptr_equal(slab_take(&things), all[MANY / 2]);
    for (size_t i = 0; i < MANY; i++)
        slab_give(all[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_are_zeroed_and_apart),
        cmocka_unit_test(test_empty_blocks_go_back),
        cmocka_unit_test(test_spare_blocks_are_used_first),
        cmocka_unit_test(test_room_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Goal: what nghttp2 gives back is wiped before anybody else can have it, as headers hold keys.
 */
#include "unit.h"

#include "kept.h"

static void look_and_give(void *p, size_t bytes);

/* The including file sees what h2_mem.c gives back. */
#define kept_give look_and_give
#include "../../src/http/h2_mem.c"
#undef kept_give

static size_t looked;

static void look_and_give(void *p, size_t bytes)
{
    assert_true(str_find((struct str){ p, bytes }, S("KEY")) == bytes);
    looked++;
    kept_give(p, bytes);
}

static void freed_pieces_are_wiped(void **state)
{
    (void)state;
    nghttp2_mem *m = h2_mem();
    static const size_t sizes[] = { 3, 48, 49, 4096, 16 << 10, 100000 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *p = m->malloc(sizes[i], NULL);
        memcpy(p + sizes[i] - 3, "KEY", 3);
        m->free(p, NULL);
    }
    assert_int_equal(looked, sizeof(sizes) / sizeof(sizes[0]));
}

static void grown_pieces_leave_nothing_behind(void **state)
{
    (void)state;
    nghttp2_mem *m = h2_mem();
    char *p = m->calloc(1, 48, NULL);
    looked = 0;
    memcpy(p, "KEY", 3);
    p = m->realloc(p, 5000, NULL);
    assert_memory_equal(p, "KEY", 3);
    assert_int_equal(looked, 1);
    m->free(p, NULL);
    m->free(NULL, NULL);
    assert_int_equal(looked, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(freed_pieces_are_wiped),
        cmocka_unit_test(grown_pieces_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

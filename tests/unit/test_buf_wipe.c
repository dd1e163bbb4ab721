/*
 * Goal: nothing that was ever in a wiped buf is left in memory that it gives back, whatever was
 * added, consumed, cut, printed or moved before.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "kept.h"

static void look_and_free(void *p, size_t cap);

/* The including file sees what buf.c gives back. */
#define kept_give look_and_free
#include "../../src/base/buf.c"
#undef kept_give

static size_t looked;

static void look_and_free(void *p, size_t cap)
{
    if (p != NULL) {
        assert_true(str_find((struct str){ p, cap }, S("KEY")) == cap);
        looked++;
    }
    kept_give(p, cap);
}

static void add_keys(struct buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *at = buf_reserve(b, 3);
        assert_non_null(at);
        memcpy(at, "KEY", 3);
        buf_commit(b, 3);
    }
}

static void one_step(struct buf *b, unsigned what)
{
    size_t n = buf_len(b);
    switch (what) {
    case 0:
        add_keys(b, 40);
        break;
    case 1:
        buf_consume(b, n / 2);
        break;
    case 2:
        buf_consume(b, n - n / 8);
        break;
    case 3:
        buf_truncate(b, n / 2);
        break;
    case 4:
        buf_addf(b, "%s%s%s", "KEYKEYKEYKEYKEYKEYKEYKEYKEYKEYKEYKEY", "KEYKEYKEYKEY",
                 "KEYKEYKEYKEYKEYKEYKEYKEYKEYKEYKEYKEY");
        break;
    case 5: {
        struct buf from;
        buf_init(&from, 1 << 20);
        from.wiped = true;
        add_keys(&from, 60);
        buf_consume(&from, 31);
        buf_truncate(&from, 50);
        buf_add_buf(b, &from);
        break;
    }
    default:
        buf_consume(b, n);
    }
}

static void all_short_histories(void **state)
{
    enum { STEPS = 6, KINDS = 7 };
    unsigned histories = 1;
    (void)state;
    for (int i = 0; i < STEPS; i++)
        histories *= KINDS;
    for (unsigned h = 0; h < histories; h++) {
        struct buf b;
        /* memory from malloc() may have old keys of this test behind what is used */
        buf_init(&b, 1 << 20);
        b.wiped = true;
        for (unsigned i = 0, left = h; i < STEPS; i++, left /= KINDS)
            one_step(&b, left % KINDS);
        buf_done(&b);
    }
    assert_true(looked > histories);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_short_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

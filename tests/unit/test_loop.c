/* Unit tests of the event loop: timeouts, deferring, the end of the turn. */
#include "unit.h"

#include "loop.c"

struct trace {
    struct loop loop;
    char text[256];
    struct timeout a, b, c;
    int count;
};

static void note(struct trace *t, char c)
{
    size_t n = strlen(t->text);
    assert_true(n + 1 < sizeof(t->text));
    t->text[n] = c;
}

static void stop(void *ctx)
{
    struct trace *t = ctx;
    loop_stop(&t->loop);
}

static void on_a(void *ctx)
{
    note(ctx, 'a');
}

static void on_b(void *ctx)
{
    note(ctx, 'b');
}

static void on_c(void *ctx)
{
    note(ctx, 'c');
    stop(ctx);
}

/* Goal: timeouts come in the order of their due times, and a cleared one never. */
static void test_timeout_order(void **state)
{
    (void)state;
    struct trace t = { .count = 0 };
    loop_init(&t.loop);
    timeout_init(&t.a, on_a, &t);
    timeout_init(&t.b, on_b, &t);
    timeout_init(&t.c, on_c, &t);
    timeout_set(&t.loop, &t.c, 9 * NS_PER_MS);
    timeout_set(&t.loop, &t.b, 5 * NS_PER_MS);
    timeout_set(&t.loop, &t.a, 3 * NS_PER_MS);
    assert_true(timeout_armed(&t.a));
    timeout_clear(&t.loop, &t.b);
    timeout_clear(&t.loop, &t.b);
    assert_false(timeout_armed(&t.b));
    loop_run(&t.loop);
    assert_string_equal(t.text, "ac");
    assert_false(timeout_armed(&t.a));
    loop_done(&t.loop);
}

/* Goal: the heap keeps its order under many random sets, re-sets and clears.
 * Method: compare its minimum with a plain search after each step. */
static void test_heap_against_search(void **state)
{
    (void)state;
    enum { N = 100 };
    struct loop l;
    struct timeout t[N];
    unsigned seed = 7;
    loop_init(&l);
    for (int i = 0; i < N; i++)
        timeout_init(&t[i], on_a, NULL);
    for (int step = 0; step < 20000; step++) {
        seed = seed * 1103515245 + 12345;
        struct timeout *x = &t[(seed >> 8) % N];
        if ((seed >> 20) % 3 == 0)
            timeout_clear(&l, x);
        else
            timeout_set(&l, x, (seed >> 4) % 1000);
        int64_t least = INT64_MAX;
        size_t armed = 0;
        for (int i = 0; i < N; i++) {
            if (!timeout_armed(&t[i]))
                continue;
            armed++;
            least = t[i].due_ns < least ? t[i].due_ns : least;
            assert_ptr_equal(l.heap[t[i].index], &t[i]);
        }
        assert_int_equal(l.heap_len, armed);
        if (armed > 0)
            assert_int_equal(l.heap[1]->due_ns, least);
    }
    for (int i = 0; i < N; i++)
        timeout_clear(&l, &t[i]);
    loop_done(&l);
}

static void rearm(void *ctx)
{
    struct trace *t = ctx;
    assert_false(timeout_armed(&t->a));
    if (++t->count == 5)
        loop_stop(&t->loop);
    else
        timeout_set(&t->loop, &t->a, 0);
}

/* Goal: a timeout may re-arm itself, with 0 too, without holding the loop. */
static void test_timeout_rearms_itself(void **state)
{
    (void)state;
    struct trace t = { .count = 0 };
    loop_init(&t.loop);
    timeout_init(&t.a, rearm, &t);
    timeout_set(&t.loop, &t.a, 0);
    loop_run(&t.loop);
    assert_int_equal(t.count, 5);
    loop_done(&t.loop);
}

static void later(void *ctx)
{
    note(ctx, 'd');
    loop_stop(&((struct trace *)ctx)->loop);
}

static void defer_more(void *ctx)
{
    struct trace *t = ctx;
    note(t, 'x');
    loop_defer(&t->loop, later, t);
}

static void defer_two(void *ctx)
{
    struct trace *t = ctx;
    loop_defer(&t->loop, defer_more, t);
    loop_defer(&t->loop, on_b, t);
    note(t, 't');
}

/* Goal: deferred calls run after the callback that deferred them, in order;
 * what they defer runs behind them, before the loop sleeps. */
static void test_defer_order(void **state)
{
    (void)state;
    struct trace t = { .count = 0 };
    loop_init(&t.loop);
    timeout_init(&t.a, defer_two, &t);
    timeout_set(&t.loop, &t.a, 0);
    loop_run(&t.loop);
    assert_string_equal(t.text, "txbd");
    loop_done(&t.loop);
}

static void defer_forever(void *ctx)
{
    struct trace *t = ctx;
    t->count++;
    loop_defer(&t->loop, defer_forever, t);
    if (t->count > 1000000)
        fail_msg("the timeout never came");
}

static void defer_nothing(void *ctx)
{
    (void)ctx;
}

/* Goal: work that makes new work for ever cannot keep timeouts from running. */
static void test_endless_defer_does_not_starve(void **state)
{
    (void)state;
    struct trace t = { .count = 0 };
    loop_init(&t.loop);
    timeout_init(&t.a, stop, &t);
    timeout_set(&t.loop, &t.a, 2 * NS_PER_MS);
    loop_defer(&t.loop, defer_forever, &t);
    loop_run(&t.loop);
    assert_true(t.count > LOOP_ROUNDS_MAX);
    for (size_t i = 0; i < t.loop.deferred_len; i++)
        t.loop.deferred[i].fn = defer_nothing;
    loop_done(&t.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timeout_order),
        cmocka_unit_test(test_heap_against_search),
        cmocka_unit_test(test_timeout_rearms_itself),
        cmocka_unit_test(test_defer_order),
        cmocka_unit_test(test_endless_defer_does_not_starve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

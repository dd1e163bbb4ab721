/*
 * Goal: a collected reply joins the log probabilities of a part's deltas, and counts them.
 */
#include "unit.h"

#include "err.h"
#include "event.h"

enum { LIMIT = 4096 };

static struct arena arena;
static struct reply reply;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, SIZE_MAX);
    reply_init(&reply, &arena, LIMIT);
    struct chat_event ev = { .kind = EVENT_PART_START };
    ev.part_start.kind = PART_TEXT;
    return reply_add(&reply, &ev);
}

static int teardown(void **state)
{
    (void)state;
    reply_done(&reply);
    arena_done(&arena);
    return 0;
}

static int add(const char *text, const char *logprobs)
{
    struct chat_event ev = { .kind = EVENT_DELTA };
    ev.delta.text = (struct text){ text, strlen(text) };
    ev.delta.logprobs = str_of(logprobs);
    return reply_add(&reply, &ev);
}

static void entries_are_one_array(void **state)
{
    (void)state;
    assert_int_equal(add("a", ""), 0);
    assert_str(buf_str(&reply.parts[0]->logprobs), S(""));
    assert_int_equal(add("b", "[{\"token\":1}]"), 0);
    assert_str(buf_str(&reply.parts[0]->logprobs), S("[{\"token\":1}]"));
    assert_int_equal(add("", "[2,3]"), 0);
    assert_int_equal(add("c", ""), 0);
    assert_int_equal(add("d", "[[]]"), 0);
    assert_str(buf_str(&reply.parts[0]->logprobs), S("[{\"token\":1},2,3,[]]"));
    assert_int_equal(reply_part_text(reply.parts[0]).n, 4);
}

/* Goal: entries without text cannot grow without limit, and what was kept stays an array. */
static void entries_count(void **state)
{
    int r = 0;
    size_t times = 0;
    (void)state;
    for (; r == 0 && times < LIMIT; times++)
        r = add("", "[1]");
    assert_int_equal(r, E_UPSTREAM_EVENT);
    assert_true(times <= LIMIT / 3 + 1);
    struct str kept = buf_str(&reply.parts[0]->logprobs);
    assert_true(str_starts(kept, S("[1,1")) && kept.p[kept.n - 1] == ']');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(entries_are_one_array, setup, teardown),
        cmocka_unit_test_setup_teardown(entries_count, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

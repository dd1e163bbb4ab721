#include "counters.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "buf.h"
#include "unit.h"

static bool has_line(const struct counters *slots, const char *name, int64_t value)
{
    struct buf text;
    char line[128];
    buf_init(&text, 1 << 20);
    counters_write(slots, &text);
    buf_add_byte(&text, '\0');
    snprintf(line, sizeof(line), "\n%s %" PRId64 "\n", name, value);
    bool found = strstr(buf_str(&text).p, line) != NULL;
    buf_done(&text);
    return found;
}

static struct counters *map(void)
{
    struct counters *slots;
    assert_int_equal(counters_map(-1, &slots), 0);
    return slots;
}

static void unmap(struct counters *slots)
{
    munmap(slots, COUNTERS_SLOTS_MAX * sizeof(*slots));
}

/* Goal: what one worker counted stays when it has gone, its gauges do not. */
static void test_worker_after_worker(void **state)
{
    (void)state;
    struct counters *slots = map();
    for (int i = 0; i < 2; i++)
        counters_begin(&slots[i]);
    slots[0].requests = 5;
    slots[1].requests = 2;
    slots[1].refused[REFUSAL_KEY] = 3;
    slots[1].requests_open = 4;
    assert_int_equal(counters_requests_open(&slots[1]), 4);
    assert_true(has_line(slots, "ccproxy_requests_open", 4));
    counters_end(&slots[1]);
    counters_begin(&slots[1]);
    assert_true(has_line(slots, "ccproxy_requests_open", 0));
    assert_true(has_line(slots, "ccproxy_requests_total", 7));
    assert_true(has_line(slots, "ccproxy_refused_total{reason=\"key\"}", 3));
    unmap(slots);
}

/* Goal: a worker of another version, whose rows mean something else, is left alone, and its
 * slot begins anew with the next worker of this one. */
static void test_other_version(void **state)
{
    (void)state;
    struct counters *slots = map();
    counters_begin(&slots[0]);
    slots[0].requests = 5;
    memset(&slots[1], 0x11, sizeof(slots[1]));
    slots[1].turns = 9;
    assert_true(has_line(slots, "ccproxy_requests_total", 5));
    assert_true(has_line(slots, "ccproxy_refused_total{reason=\"key\"}", 0));
    assert_int_equal(counters_requests_open(&slots[1]), 0);
    counters_end(&slots[1]);
    assert_int_equal(slots[1].turns, 9);
    assert_true(slots[1].requests_open != 0);
    counters_begin(&slots[1]);
    assert_int_equal(slots[1].turns, 0);
    slots[1].requests = 1;
    assert_true(has_line(slots, "ccproxy_requests_total", 6));
    unmap(slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worker_after_worker),
        cmocka_unit_test(test_other_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Goal: durations of one vendor and times of the other are turned into each other, and what is
 * neither is left out (A4.2 of protocols.md, E166).
 */
#include "unit.h"

#include "arena_fixture.h"
#include "reply_family.h"
#include "rfc3339.h"

#define NOW INT64_C(1792567680) /* 2026-10-21T07:28:00Z */

static void durations_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: none */
    } rows[] = {
        { "1s", 1000 },        { "6m0s", 360000 }, { "120ms", 120 },    { "1.5s", 1500 },
        { "1h2m3s", 3723000 }, { "7", 7000 },      { "1d", 86400000 },  { " 2s ", 2000 },
        { "1m26.4s", 86400 },  { "", -1 },         { "soon", -1 },      { "1x", -1 },
        { "-1s", -1 },         { "1s ", 1000 },    { "s", -1 },         { "1 s", -1 },
        { "7 8", -1 },         { "1.2.3s", -1 },   { "99999999d", -1 }, { "9e9s", -1 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t ms = -1;
        if (!reply_family_duration(str_of(rows[i].text), &ms))
            ms = -1;
        if (ms != rows[i].ms)
            fail_msg("%s: %lld", rows[i].text, (long long)ms);
    }
}

static struct str convert(const char *name, const char *value, enum protocol client,
                          const char *wanted)
{
    struct http_headers in = { 0 }, out = { 0 };
    http_add(&in, &arena, str_of(name), str_of(value));
    reply_family_headers(&out, &arena, &in, client, NOW * 1000);
    const struct str *v = http_find(&out, str_of(wanted));
    assert_int_equal(out.n, v != NULL);
    return v != NULL ? *v : S("");
}

static void resets_are_converted(void **state)
{
    static const struct {
        const char *time, *duration;
    } rows[] = { { "2026-10-21T07:34:00Z", "6m0s" },
                 { "2026-10-21T07:28:01Z", "1s" },
                 { "2026-10-21T09:30:03Z", "2h2m3s" },
                 { "2026-10-21T07:28:00Z", "0ms" } };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_str(convert("x-ratelimit-reset-tokens", rows[i].duration, PROTOCOL_MESSAGES,
                           "anthropic-ratelimit-tokens-reset"),
                   str_of(rows[i].time));
        assert_str(convert("anthropic-ratelimit-requests-reset", rows[i].time, PROTOCOL_CHAT,
                           "x-ratelimit-reset-requests"),
                   str_of(rows[i].duration));
    }
    /* a fraction of a second is not over before it is */
    assert_str(convert("x-ratelimit-reset-tokens", "120ms", PROTOCOL_MESSAGES,
                       "anthropic-ratelimit-tokens-reset"),
               S("2026-10-21T07:28:01Z"));
    assert_str(convert("anthropic-ratelimit-tokens-reset", "1999-01-01T00:00:00Z",
                       PROTOCOL_RESPONSES, "x-ratelimit-reset-tokens"),
               S("0ms"));
    assert_str(convert("anthropic-ratelimit-tokens-reset", "tomorrow", PROTOCOL_RESPONSES,
                       "x-ratelimit-reset-tokens"),
               S(""));
    assert_str(
        convert("x-ratelimit-reset-tokens", "1s", PROTOCOL_RESPONSES, "x-ratelimit-reset-tokens"),
        S("1s"));
}

static void names_are_the_clients(void **state)
{
    (void)state;
    assert_str(convert("x-request-id", "r1", PROTOCOL_MESSAGES, "request-id"), S("r1"));
    assert_str(convert("request-id", "r1", PROTOCOL_CHAT, "x-request-id"), S("r1"));
    assert_str(convert("x-ratelimit-limit-requests", "5", PROTOCOL_MESSAGES,
                       "anthropic-ratelimit-requests-limit"),
               S("5"));
    assert_str(convert("openai-organization", "o", PROTOCOL_MESSAGES, "-"), S(""));
    assert_str(convert("set-cookie", "o", PROTOCOL_MESSAGES, "-"), S(""));
    assert_str(convert("retry-after", "3", PROTOCOL_CHAT, "retry-after"), S("3"));
}

static void times_are_read_and_written(void **state)
{
    static const char *const bad[] = { "",
                                       "2026-10-21",
                                       "2026-10-21T07:28:00+02:00",
                                       "2026-10-21T07:28:00Zx",
                                       "not a time but long enough",
                                       " 2026-10-21T7:28:00Z",
                                       "2026-1-21T07:28:000Z",
                                       "2026-02-29T07:28:00Z",
                                       "2026-10-21T24:00:00Z" };
    char room[RFC3339_BYTES];
    int64_t s = 0;
    (void)state;
    assert_str(rfc3339_write(NOW, room), S("2026-10-21T07:28:00Z"));
    assert_true(rfc3339_read(S("2026-10-21T07:28:00.123456Z"), &s));
    assert_int_equal(s, NOW);
    assert_true(rfc3339_read(S("2026-10-21T07:28:00+00:00"), &s));
    assert_false(rfc3339_read(S("2026-10-21T07:28:00Z\0"), &s));
    assert_true(rfc3339_read(S("0026-10-21T07:28:60Z"), &s));
    assert_str(rfc3339_write(s, room), S("0026-10-21T07:29:00Z"));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(rfc3339_read(str_of(bad[i]), &s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(durations_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(resets_are_converted, setup, teardown),
        cmocka_unit_test_setup_teardown(names_are_the_clients, setup, teardown),
        cmocka_unit_test_setup_teardown(times_are_read_and_written, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

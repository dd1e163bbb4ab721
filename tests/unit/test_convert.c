/*
 * Goal: convert_request() adds a whole body to `out`, or leaves it as it was; how an
 * upstream's error is read.
 */
#include "unit.h"

#include "convert.h"
#include "err.h"

static struct arena work;
static struct buf out;

static int setup(void **state)
{
    (void)state;
    arena_init(&work, SIZE_MAX);
    buf_init(&out, SIZE_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_done(&work);
    buf_done(&out);
    return 0;
}

static int request(enum protocol upstream, const char *body)
{
    struct profile profile;
    struct buf why;
    buf_init(&why, 1000);
    must(profile_resolve(&profile, S("default"), S(""), S("m"), NULL, 0, &why) == 0);
    buf_done(&why);
    struct convert *c =
        convert_new(&(struct convert_options){ .client = PROTOCOL_MESSAGES,
                                               .upstream = upstream,
                                               .profile = &profile,
                                               .upstream_name = S("u"),
                                               .reply_id = S("0123456789abcdefABCDEFGH"),
                                               .reply_limit_bytes = 1 << 20 });
    int r = convert_request(c, &work, str_of(body), &out);
    assert_true((r < 0) == (convert_error(c).n > 0) || r == E_TOO_LARGE);
    convert_free(c);
    return r;
}

#define GOOD                                                              \
    "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\"," \
    "\"content\":\"hello\"}]}"
#define UNKNOWN_BLOCK                                                     \
    "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\"," \
    "\"content\":[{\"type\":\"text\",\"text\":\"x\"},{\"type\":\"image\"}]}]}"

static void an_error_leaves_the_output(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "{", "[]", "{\"model\":1}", UNKNOWN_BLOCK, GOOD "x" };
    buf_add(&out, S("before"));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_true(request(PROTOCOL_CHAT, bad[i]) < 0);
        assert_true(str_eq(buf_str(&out), S("before")));
    }
}

static void what_was_there_stays_in_front(void **state)
{
    (void)state;
    buf_add(&out, S("before"));
    assert_int_equal(request(PROTOCOL_RESPONSES, GOOD), 0);
    assert_true(str_starts(buf_str(&out), S("before{")));
}

/* Goal: for each limit the whole body or nothing; the room made in advance is no need. */
static void a_limit_is_all_or_nothing(void **state)
{
    (void)state;
    assert_int_equal(request(PROTOCOL_CHAT, GOOD), 0);
    size_t whole = buf_len(&out);
    for (size_t limit = 0; limit <= whole; limit++) {
        buf_done(&out);
        buf_init(&out, limit);
        int r = request(PROTOCOL_CHAT, GOOD);
        assert_int_equal(r, limit < whole ? E_TOO_LARGE : 0);
        assert_int_equal(buf_len(&out), limit < whole ? 0 : whole);
    }
}

/* Goal: what an error says counts the same in JSON and in plain text (A5.2). */
static void an_error_in_plain_text_is_read(void **state)
{
    static const struct {
        int status;
        const char *body, *message, *code;
        int means;
    } rows[] = {
        { 503, "The engine is overloaded\n", "The engine is overloaded", "", 529 },
        { 400, "prompt is too long", "prompt is too long", "context_length_exceeded", 400 },
        { 404, "no such model", "no such model", "model_not_found", 404 },
        { 502, "say \"x\" {", "say \"x\" {", "", 502 },
        { 502, "<html>x</html>", "upstream returned HTTP 502", "", 502 },
        { 200, "fine", "upstream returned HTTP 502", "", 502 },
        { 500, "", "upstream returned HTTP 500", "", 500 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct event_error error;
        convert_error_read(&work, rows[i].status, str_of(rows[i].body), &error);
        assert_int_equal(error.status, rows[i].means);
        assert_str(error.message, str_of(rows[i].message));
        assert_str(error.code, str_of(rows[i].code));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_error_leaves_the_output, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_there_stays_in_front, setup, teardown),
        cmocka_unit_test_setup_teardown(an_error_in_plain_text_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_limit_is_all_or_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

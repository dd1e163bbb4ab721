/*
 * Goal: an estimate is what the weights say for each kind of text, whatever way the text is
 * written (plain or escaped), and every part of a request counts.  How near the weights are
 * to real tokenizers is in docs/conversion.md.
 */
#include "unit.h"

#include "estimate.h"

static int64_t plain(const char *s)
{
    return estimate_text_milli(str_of(s), false);
}

static int64_t escaped(const char *s)
{
    return estimate_text_milli(str_of(s), true);
}

static void texts_are_cut_like_tokenizers_do(void **state)
{
    static const struct {
        const char *text;
        int64_t milli;
    } rows[] = {
        { "", 0 },
        { "word", 1000 },
        { "a b c", 3000 },    /* one space belongs to the next word */
        { "a  b", 3000 },     /* two are a run of their own */
        { "a\n    b", 3000 }, /* a line break with its indent is one */
        { "lengthy", 1090 },  /* seven letters */
        { "camelCaseName", 3000 },
        { "HTTP", 1000 },
        { "123456", 2100 },
        { "1234", 2100 },
        { "();", 860 + 2 * 200 },
        { "a.b", 2860 },
        { "\xe4\xb8\xad\xe6\x96\x87\xe3\x80\x82", 3 * 865 },
        { "\xc3\xa9", 500 },
        { "\xf0\x9f\x98\x80", 2000 },
        { "word\xe4\xb8\xad"
          "word",
          2865 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(plain(rows[i].text), rows[i].milli);
}

static void escapes_are_what_they_stand_for(void **state)
{
    (void)state;
    assert_int_equal(escaped("a\\n    b"), plain("a\n    b"));
    assert_int_equal(escaped("say \\\"x\\\""), plain("say \"x\""));
    assert_int_equal(escaped("\\u4e2d\\u6587"), plain("\xe4\xb8\xad\xe6\x96\x87"));
    assert_int_equal(escaped("\\ud83d\\ude00"), plain("\xf0\x9f\x98\x80"));
    assert_int_equal(plain("\\n"), 860 + 1000);
}

/* Two texts are worth at most both, and not less by more than the run they share. */
static void a_text_is_the_sum_of_its_parts(void **state)
{
    static const char text[] =
        "int main(void) {\n\treturn x1234 + fooBar; /* \xe4\xb8\xad\xe6 */\n}";
    struct str all = str_of(text);
    (void)state;
    for (size_t cut = 0; cut <= all.n; cut++) {
        int64_t left = estimate_text_milli(str_slice(all, 0, cut), false);
        int64_t right = estimate_text_milli(str_slice(all, cut, all.n), false);
        int64_t whole = estimate_text_milli(all, false);
        assert_true(whole <= left + right + 1000);
        assert_true(whole >= left + right - 2050);
        assert_true(left <= whole);
    }
}

static struct chat_block text_block(const char *s)
{
    return (struct chat_block){ .kind = CHAT_TEXT, .text = { s, strlen(s) } };
}

static int64_t one_message(struct chat_block *blocks)
{
    struct chat_message m = { .role = CHAT_USER, .blocks = blocks };
    const struct chat_request r = { .messages = &m };
    return estimate_request(&r);
}

static void every_part_counts(void **state)
{
    struct chat_block in = text_block("a b c");
    struct chat_block block = { .kind = CHAT_RESULT, .result.blocks = &in };
    (void)state;
    assert_int_equal(one_message(&in), 4 + 3);
    assert_int_equal(one_message(&block), 4 + 3);
    in = (struct chat_block){ .kind = CHAT_IMAGE };
    assert_int_equal(one_message(&block), 4 + 1600);
    block = (struct chat_block){ .kind = CHAT_CALL,
                                 .call = { .name = S("find"), .arguments = S("a b c") } };
    assert_int_equal(one_message(&block), 4 + 4);
    block = (struct chat_block){ .kind = CHAT_REASONING, .reasoning.text = TEXT("a b") };
    assert_int_equal(one_message(&block), 4 + 2);
    struct chat_tool tool = { .name = S("find"), .description = TEXT("a b"), .schema = S("c") };
    const struct chat_request tools = { .tools = &tool };
    assert_int_equal(estimate_request(&tools), 4);
    const struct chat_request format = { .format = { .name = TEXT("a"), .schema = S("b") } };
    assert_int_equal(estimate_request(&format), 2);
}

static void documents_count_by_page_or_size(void **state)
{
    struct chat_block block = { .kind = CHAT_FILE,
                                .media = { .source = CHAT_MEDIA_BASE64, .payload = TEXT("AAAA") } };
    (void)state;
    assert_int_equal(one_message(&block), 4 + 1500);
    block.media.payload.n = 8 * 1000 * 1000; /* is not read */
    assert_int_equal(one_message(&block), 4 + 4000);
    block.media = (struct chat_media){ .source = CHAT_MEDIA_PLAIN, .payload = TEXT("a b") };
    assert_int_equal(one_message(&block), 4 + 2);
}

static void nothing_is_never_nothing(void **state)
{
    const struct chat_request r = { .max_tokens = -1 };
    (void)state;
    assert_int_equal(estimate_request(&r), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_cut_like_tokenizers_do),
        cmocka_unit_test(escapes_are_what_they_stand_for),
        cmocka_unit_test(a_text_is_the_sum_of_its_parts),
        cmocka_unit_test(every_part_counts),
        cmocka_unit_test(documents_count_by_page_or_size),
        cmocka_unit_test(nothing_is_never_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Goal: whatever order and gaps a client's conversation has, what comes out is what every upstream
 * takes: results right behind their calls, one for each, ids legal and unique (C1.2, C1.4, C2.3).
 * Method: conversations as lines (turns_notation.h), before and after.
 */
#include "unit.h"

#include "arena_fixture.h"
#include "turns.c"
#include "turns_ids.c"
#include "turns_notation.h"

static struct buf warnings;

int convert_warn(struct convert *c, const char *action, struct str path)
{
    struct str entry = arena_printf(&arena, "%s:" STR_FMT, action, STR_ARG(path));
    if (!str_contains(buf_str(&warnings), entry)) /* twice the same is once, as in convert.c */
        buf_addf(&warnings, "%s" STR_FMT, buf_len(&warnings) > 0 ? " " : "", STR_ARG(entry));
    return c->options.strict ? -7 : 0;
}

struct chat_block *chat_new_block(struct convert *c, enum chat_block_kind kind)
{
    struct chat_block *b = arena_new(c->temp, struct chat_block, 1);
    b->kind = kind;
    return b;
}

static struct convert begin(enum protocol upstream, struct str line)
{
    struct convert c = {
        .options = { .client = PROTOCOL_CHAT, .upstream = upstream, .upstream_name = S("u1") },
        .temp = &arena,
    };
    buf_done(&warnings);
    buf_init(&warnings, 1 << 16);
    notation_read(&c, line);
    return c;
}

static void check_links(const struct chat_request *r)
{
    const struct chat_message *m = r->messages, *last = NULL;
    uint32_t count = 0;
    for (; m != NULL; m = m->next, count++) {
        last = m;
        const struct chat_block *b = m->blocks;
        assert_non_null(b);
        while (b->next != NULL)
            b = b->next;
        assert_ptr_equal(m->last, b);
    }
    assert_ptr_equal(r->last, last);
    assert_int_equal(r->message_count, count);
}

struct row {
    enum protocol upstream;
    const char *from, *to, *warnings;
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct convert c = begin(rows[i].upstream, str_of(rows[i].from));
        assert_int_equal(turns_normalize(&c), 0);
        check_links(&c.request);
        assert_str(notation_write(&c), str_of(rows[i].to));
        assert_str(buf_str(&warnings), str_of(rows[i].warnings));
        /* what is in order stays in order */
        buf_clear(&warnings);
        assert_int_equal(turns_normalize(&c), 0);
        assert_str(notation_write(&c), str_of(rows[i].to));
        assert_int_equal(buf_len(&warnings), 0);
        buf_done(&warnings);
    }
}

#define A PROTOCOL_MESSAGES
#define C PROTOCOL_CHAT
#define R PROTOCOL_RESPONSES

static void results_follow_calls(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* E1, E2 */
        { C, "u hi|a +1|u and? =1:42", "u hi | a +1 | t =1:42 | u and?", "" },
        { C, "u hi|a +1 +2 +3|u =1:a =2:b =3:c", "u hi | a +1 +2 +3 | t =1:a =2:b =3:c", "" },
        /* in the order in which they came */
        { C, "u hi|a +1 +2|t =2:b|t =1:a|u x", "u hi | a +1 +2 | t =2:b =1:a | u x", "" },
        /* E9 */
        { C, "u hi|a +1|s mid|t =1:a|u x", "u hi | a +1 | t =1:a | s mid | u x", "" },
        /* E22 */
        { C, "u hi|a +1|u u|t =1:a", "u hi | a +1 | t =1:a | u u", "moved:messages" },
        { A, "u hi|a +1|u u|a y|t =1:a|u z", "u hi | a +1 | t =1:a | u u | a y | u z",
          "moved:messages" },
        /* rounds stay apart */
        { R, "u hi|a +1|t =1:a|a +2|t =2:b", "u hi | a +1 | t =1:a | a +2 | t =2:b", "" },
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void repairs(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* E36 */
        { A, "u hi|a +1 +2|t =1:old|t =2:b|t =1:new", "u hi | a +1 +2 | t =1:new =2:b",
          "merged:messages" },
        /* E37 */
        { A, "u hi|t =9:a", "u hi | u Result of unknown tool call 9:\\na", "degraded:messages" },
        { A, "u hi|a +1|t =9:z|t =1:a|u x",
          "u hi | a +1 | t =1:a | u Result of unknown tool call 9:\\nz | u x",
          "degraded:messages" },
        /* a result before its call is nobody's */
        { C, "u =1:a|a +1|u x",
          "u Result of unknown tool call 1:\\na | a +1 | t =1:(no result)! | u x",
          "degraded:messages synthesized:messages" },
        /* E38 */
        { A, "u hi|a +1 +2|t =2:b|u x", "u hi | a +1 +2 | t =2:b =1:(no result)! | u x",
          "synthesized:messages" },
        { C, "u hi|a +1|u x", "u hi | a +1 | t =1:(no result)! | u x", "synthesized:messages" },
        { C, "u hi|a +1|s x", "u hi | a +1 | t =1:(no result)! | s x", "synthesized:messages" },
        { C, "u hi|a +1 +2|t =1:a", "u hi | a +1 +2 | t =1:a =2:(no result)!",
          "synthesized:messages" },
        /* nobody has had the time to answer yet */
        { A, "u hi|a +1 +2", "u hi | a +1 +2", "" },
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void assistants_join(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* E14, E3, E206 */
        { A, "u hi|a x +1|a y +2|t =1:a|t =2:b", "u hi | a x y +1 +2 | t =1:a =2:b", "" },
        { C, "u hi|a x +1|a y +2|t =1:a|t =2:b", "u hi | a x +1 y +2 | t =1:a =2:b", "" },
        { A, "u hi|a ?|a +1|a x|t =1:a", "u hi | a ? +1 x | t =1:a", "" },
        { A, "u hi|a +1|a x .y|t =1:a", "u hi | a x .y +1 | t =1:a", "" },
        /* what stood between them was empty */
        { C, "u hi|a x|u _|a y", "u hi | a x y", "" },
        { R, "u hi|a x|s mid|a y", "u hi | a x | s mid | a y", "" },
        /* the thinking does not go there */
        { R, "u hi|a ? x|u y", "u hi | a x | u y", "dropped:reasoning" },
        { R, "u hi|a ?|u y", "u hi | u y", "dropped:reasoning" },
        { C, "u hi|a ? x|u y", "u hi | a ? x | u y", "" },
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void empty_content(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { C, "s _|u _ a|a _|u b", "u a | u b", "" },           /* E5, E16 */
        { C, "u a|a ~ b|u ~", "u a | a  \\n b | u  \\n", "" }, /* blank is something */
        { A, "u a|a ~ b|u ~", "u a | a b", "" },
        { C, "u _", "u  ", "synthesized:messages" },
        { A, "u ~", "u (empty)", "synthesized:messages" },
        { A, "u #", "u #", "" }, /* E215 */
        { C, "u _|a +1|t =1:a", "u   | a +1 | t =1:a", "synthesized:messages" },
        { C, "a +1|u _|t =1:a|a x", "a +1 | t =1:a | u   | a x", "synthesized:messages" },
        { C, "u hi|a +1|t =1:", "u hi | a +1 | t =1:", "" }, /* E27 */
        { A, "a hi|s x|a +1|u ~",
          "u (continued) | a hi | s x | a +1 | t =1:(no result)! | u (empty)",
          "synthesized:messages" }, /* a text that is put in is a later message too */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct convert c = begin(rows[i].upstream, str_of(rows[i].from));
        assert_int_equal(turns_normalize(&c), 0);
        check_links(&c.request);
        assert_str(notation_write(&c), str_of(rows[i].to));
        assert_str(buf_str(&warnings), str_of(rows[i].warnings));
    }
    buf_done(&warnings);
}

static void there_is_a_user(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { A, "s x|s y", "s x | s y | u (empty)", "synthesized:messages" }, /* E12 */
        { A, "", "u (empty)", "synthesized:messages" },                    /* E216 */
        { A, "s x|a hi|u y", "s x | u (continued) | a hi | u y", "synthesized:messages" }, /* E15 */
        { C, "s x|a hi|u y", "s x | a hi | u y", "" },
        { R, "s x", "s x", "" },
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void warnings_of_responses_clients(void **state)
{
    (void)state;
    struct convert c = begin(A, S("a hi"));
    c.options.client = PROTOCOL_RESPONSES;
    assert_int_equal(turns_normalize(&c), 0);
    assert_str(buf_str(&warnings), S("synthesized:input"));
    /* a loss that is forbidden ends the walk */
    c = begin(A, S("u hi|a +1|t =9:x|t =1:y"));
    c.options.strict = true;
    assert_int_equal(turns_normalize(&c), -7);
    buf_done(&warnings);
}

static void ids_in_a_conversation(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* E40: without an id, in the order of the calls */
        { A, "u x|a + +|t =:r|t =:s|u y",
          "u x | a +call_ccp_1 +call_ccp_2 | t =call_ccp_1:r =call_ccp_2:s | u y", "" },
        { A, "u x|a +|t =:r|t =:s",
          "u x | a +call_ccp_1 | t =call_ccp_1:r | u Result of unknown tool call :\\ns",
          "degraded:messages" },
        /* E39, on an upstream where the new id is legal as it is */
        { C, "u x|a +0|t =0:a|a +0|t =0:b|u y", "u x | a +0 | t =0:a | a +0#2 | t =0#2:b | u y",
          "" },
        /* the same id twice in one turn: first come, first served; a third result is a retry */
        { C, "u x|a +0 +0|t =0:a|t =0:b", "u x | a +0 +0#2 | t =0:a =0#2:b", "" },
        { C, "u x|a +0 +0|t =0:a|t =0:b|t =0:c", "u x | a +0 +0#2 | t =0:a =0#2:c",
          "merged:messages" },
        /* a client that calls its ids as we would */
        { C, "u x|a +0 +0#2 +0|t =0#2:a|t =0:b|t =0:c|u y",
          "u x | a +0 +0#2 +0#3 | t =0#2:a =0:b =0#3:c | u y", "" },
        { C, "u x|a +0 +0 +0#2|t =0:a|t =0:b|t =0#2:c|u y",
          "u x | a +0 +0#2 +0#2#2 | t =0:a =0#2:b =0#2#2:c | u y", "" },
        /* the later of two rounds has the result */
        { C, "u x|a +0|u y|a +0|t =0:a|u z",
          "u x | a +0 | t =0:(no result)! | u y | a +0#2 | t =0#2:a | u z",
          "synthesized:messages" },
    };
    check_rows(rows, ARRAY_LEN(rows));

    struct convert c = begin(A, str_of("u x|a +b.c|t =b.c|a +b.c|t =b.c|u y"));
    assert_int_equal(turns_normalize(&c), 0);
    const struct chat_message *first = c.request.messages->next, *second = first->next->next;
    assert_true(turns_id_legal(first->blocks->call.id, A));
    assert_str(first->next->blocks->result.call_id, first->blocks->call.id);
    assert_int_equal(first->next->blocks->result.kind, CHAT_TOOL_CUSTOM);
    assert_true(turns_id_legal(second->blocks->call.id, A));
    assert_str(second->next->blocks->result.call_id, second->blocks->call.id);
    assert_false(str_eq(first->blocks->call.id, second->blocks->call.id));
    buf_done(&warnings);
}

static void ids(void **state)
{
    (void)state;
    /* sha256("call_a.b:c") */
    assert_str(turns_fix_id(&arena, S("call_a.b:c"), A), S("call_a_b_c_cf340f4c8903d636"));
    assert_str(turns_fix_id(&arena, S("call_a.b:c"), C), S("call_a.b:c"));
    assert_str(turns_fix_id(&arena, S("toolu_01"), R), S("toolu_01"));
    char x[129], y[129];
    memset(x, 'x', sizeof(x));
    memset(y, 'x', sizeof(y));
    y[79] = 'y';
    /* E34 */
    struct str fixed = turns_fix_id(&arena, (struct str){ x, 80 }, R);
    assert_int_equal(fixed.n, 57);
    assert_true(turns_id_legal(fixed, R));
    assert_false(str_eq(fixed, turns_fix_id(&arena, (struct str){ y, 80 }, R)));
    assert_str(turns_fix_id(&arena, (struct str){ x, 80 }, A), ((struct str){ x, 80 }));
    assert_false(turns_id_legal((struct str){ x, 129 }, C));
    assert_true(turns_id_legal((struct str){ x, 128 }, A));
    assert_false(turns_id_legal((struct str){ x, 65 }, R));
    assert_false(turns_id_legal(S(""), C));
    struct str made = turns_make_id(&arena, S("resp_1"), 0);
    assert_int_equal(made.n, 29);
    assert_true(turns_id_legal(made, R));
    assert_false(str_eq(made, turns_make_id(&arena, S("resp_1"), 1)));
    assert_str(made, turns_make_id(&arena, S("resp_1"), 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(results_follow_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(repairs, setup, teardown),
        cmocka_unit_test_setup_teardown(assistants_join, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_content, setup, teardown),
        cmocka_unit_test_setup_teardown(there_is_a_user, setup, teardown),
        cmocka_unit_test_setup_teardown(warnings_of_responses_clients, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_in_a_conversation, setup, teardown),
        cmocka_unit_test_setup_teardown(ids, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

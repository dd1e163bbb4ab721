/*
 * Goal: a proof comes back from any client exactly as it was made, goes to none but its maker,
 * and nothing that a client makes up does harm (0.7 of protocols.md).
 */
#include "unit.h"

#include "arena_fixture.h"
#include "envelope.c"

static int warned;

int convert_warn(struct convert *c, const char *action, struct str path)
{
    assert_string_equal(action, "dropped");
    assert_str(path, S("reasoning"));
    warned++;
    return c->options.strict ? -1 : 0;
}

static struct convert to(enum protocol upstream)
{
    return (struct convert){
        .options = { .upstream = upstream, .upstream_name = S("u1") },
        .model_sent = S("m"),
    };
}

static struct str wrapped(enum protocol upstream, struct chat_proof proof)
{
    struct convert c = to(upstream);
    struct text t = envelope_wrap(&c, &arena, &proof);
    return (struct str){ t.p, t.n };
}

static struct chat_proof opened(struct str envelope)
{
    struct convert c = { 0 };
    struct chat_proof proof = { 0 };
    assert_true(envelope_open(&c, &arena, (struct text){ envelope.p, envelope.n }, &proof));
    assert_true(proof.enveloped);
    return proof;
}

static struct str as_str(struct text t)
{
    return (struct str){ t.p, t.n };
}

/* The worked examples of C8. */
static void known_envelopes(void **state)
{
    (void)state;
    assert_str(wrapped(PROTOCOL_CHAT, (struct chat_proof){ .kind = CHAT_PROOF_DETAILS }),
               S("ccp1.c.eyJ1IjoidTEiLCJtIjoibSJ9"));
    assert_str(wrapped(PROTOCOL_MESSAGES, (struct chat_proof){ .kind = CHAT_PROOF_THINKING,
                                                               .thinking = TEXT("hm"),
                                                               .opaque = TEXT("SIG") }),
               S("ccp1.t."
                 "eyJ1IjoidTEiLCJtIjoibSIsInRoaW5raW5nIjoiaG0iLCJzaWduYXR1cmUiOiJTSUcifQ"));
    struct chat_proof item = {
        .kind = CHAT_PROOF_ITEM,
        .opaque = TEXT("gAAA2"),
        .raw = S("{ \"id\":\"rs_9\",\"type\":\"reasoning\",\"status\":\"completed\",\"summary\":"
                 "[{\"type\":\"summary_text\",\"text\":\"hm\"}],\"content\":null,"
                 "\"encrypted_content\":\"gAAA2\" }"),
    };
    assert_str(wrapped(PROTOCOL_RESPONSES, item),
               S("ccp1.o.eyJ1IjoidTEiLCJtIjoibSIsIml0ZW0iOnsiaWQiOiJyc185IiwidHlwZSI6InJlYXNvbmlu"
                 "ZyIsInN1bW1hcnkiOlt7InR5cGUiOiJzdW1tYXJ5X3RleHQiLCJ0ZXh0IjoiaG0ifV0sImVuY3J5cHRl"
                 "ZF9jb250ZW50IjoiZ0FBQTIifX0"));
}

static void round_trips(void **state)
{
    (void)state;
    struct chat_proof got = opened(
        wrapped(PROTOCOL_MESSAGES, (struct chat_proof){ .kind = CHAT_PROOF_THINKING,
                                                        .thinking = TEXT("a\\n\xc3\xa9\\\"\\u2028"),
                                                        .opaque = TEXT("S+/=") }));
    assert_int_equal(got.kind, CHAT_PROOF_THINKING);
    assert_str(got.upstream, S("u1"));
    assert_str(as_str(got.thinking), S("a\\n\xc3\xa9\\\"\\u2028"));
    assert_str(as_str(got.opaque), S("S+/="));

    got = opened(wrapped(PROTOCOL_MESSAGES,
                         (struct chat_proof){ .kind = CHAT_PROOF_REDACTED, .opaque = TEXT("D") }));
    assert_int_equal(got.kind, CHAT_PROOF_REDACTED);
    assert_str(as_str(got.opaque), S("D"));

    got = opened(wrapped(
        PROTOCOL_CHAT, (struct chat_proof){ .kind = CHAT_PROOF_DETAILS, .raw = S("[{\"a\":1}]") }));
    assert_int_equal(got.kind, CHAT_PROOF_DETAILS);
    assert_str(got.raw, S("[{\"a\":1}]"));
    got = opened(S("ccp1.c.eyJ1IjoidTEiLCJtIjoibSJ9"));
    assert_int_equal(got.kind, CHAT_PROOF_DETAILS);
    assert_int_equal(got.raw.n, 0);

    struct str raw = S("{\"type\":\"reasoning\",\"id\":\"rs\",\"encrypted_content\":\"e\"}");
    got = opened(
        wrapped(PROTOCOL_RESPONSES,
                (struct chat_proof){ .kind = CHAT_PROOF_ITEM, .opaque = TEXT("e"), .raw = raw }));
    assert_int_equal(got.kind, CHAT_PROOF_ITEM);
    assert_str(got.raw, raw);
    assert_str(as_str(got.opaque), S("e"));
}

static void nothing_to_carry(void **state)
{
    (void)state;
    assert_int_equal(wrapped(PROTOCOL_CHAT, (struct chat_proof){ 0 }).n, 0);
    assert_int_equal(wrapped(PROTOCOL_RESPONSES, (struct chat_proof){ .kind = CHAT_PROOF_ITEM,
                                                                      .raw = S("{\"id\":\"rs\"}") })
                         .n,
                     0);
    assert_int_equal(wrapped(PROTOCOL_MESSAGES, (struct chat_proof){ .kind = CHAT_PROOF_THINKING,
                                                                     .thinking = TEXT("x") })
                         .n,
                     0);
}

/* All lengths of the last group, and every byte value. */
static void base64url_all(void **state)
{
    (void)state;
    char bytes[256];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        struct text t = base64url(&arena, (struct str){ bytes, n });
        struct str back = { NULL, 0 };
        assert_true(base64url_open(&arena, as_str(t), &back));
        assert_str(back, ((struct str){ bytes, n }));
    }
    struct str back;
    assert_false(base64url_open(&arena, S("A"), &back));
    assert_false(base64url_open(&arena, S("AA="), &back));
    assert_false(base64url_open(&arena, S("A+"), &back));
}

/* E78: cut anywhere it is no proof, but still an envelope. */
static void broken_envelopes(void **state)
{
    (void)state;
    struct str whole = S("ccp1.t.eyJ1IjoidTEiLCJtIjoibSIsInRoaW5raW5nIjoiaG0iLCJzaWduYXR1cmUiOiJTSU"
                         "cifQ");
    assert_int_equal(opened(whole).kind, CHAT_PROOF_THINKING);
    for (size_t n = 5; n < whole.n; n++)
        assert_int_equal(opened(str_slice(whole, 0, n)).kind, CHAT_PROOF_NONE);
    static const struct str payloads[] = {
        S_INIT("o{\"u\":\"u1\",\"item\":{\"type\":\"function_call\"}}"),
        S_INIT("o{\"u\":\"u1\",\"item\":[]}"),
        S_INIT("o{\"u\":\"u1\"}"),
        S_INIT("r{\"u\":7,\"data\":\"d\"}"),
        S_INIT("r{\"u\":\"u1\"}"),
        S_INIT("t{\"u\":\"u1\",\"thinking\":\"x\"}"),
        S_INIT("c{\"u\":\"u1\",\"details\":{}}"),
        S_INIT("c[]"),
        S_INIT("x{\"u\":\"u1\"}"),
    };
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
        struct text t = base64url(&arena, str_slice(payloads[i], 1, payloads[i].n));
        struct str e = arena_printf(&arena, "ccp1.%c." STR_FMT, payloads[i].p[0], STR_ARG(t));
        assert_int_equal(opened(e).kind, CHAT_PROOF_NONE);
    }
}

static void native_values_are_left(void **state)
{
    (void)state;
    struct convert c = { 0 };
    struct chat_proof proof = { .kind = CHAT_PROOF_THINKING };
    assert_false(envelope_open(&c, &arena, TEXT("EqQB"), &proof));
    assert_false(envelope_open(&c, &arena, (struct text){ NULL, 0 }, &proof));
    assert_int_equal(proof.kind, CHAT_PROOF_THINKING);
    /* some client escapes what need not be */
    assert_true(envelope_open(&c, &arena, TEXT("\\u0063cp1.c.eyJ1IjoidTEiLCJtIjoibSJ9"), &proof));
    assert_int_equal(proof.kind, CHAT_PROOF_DETAILS);
}

static void who_may_have_it(void **state)
{
    (void)state;
    const enum protocol A = PROTOCOL_MESSAGES, C = PROTOCOL_CHAT, R = PROTOCOL_RESPONSES;
    const struct {
        struct chat_proof proof;
        enum protocol upstream;
        bool unsigned_thinking, drop, may, warns;
    } rows[] = {
        { { .kind = CHAT_PROOF_ITEM, .enveloped = true, .upstream = S("u1") }, R, 0, 0, 1, 0 },
        { { .kind = CHAT_PROOF_ITEM, .enveloped = true, .upstream = S("u2") }, R, 0, 0, 0, 1 },
        { { .kind = CHAT_PROOF_ITEM, .enveloped = true, .upstream = S("u1") }, C, 0, 0, 0, 1 },
        { { .kind = CHAT_PROOF_ITEM, .enveloped = true, .upstream = S("u1") }, R, 0, 1, 0, 1 },
        { { .kind = CHAT_PROOF_NONE, .enveloped = true }, A, 1, 0, 0, 1 },
        { { .kind = CHAT_PROOF_THINKING }, A, 0, 0, 1, 0 }, /* native, of a client like it */
        { { .kind = CHAT_PROOF_THINKING }, R, 0, 0, 0, 1 },
        { { .kind = CHAT_PROOF_REDACTED }, A, 0, 0, 1, 0 },
        { { .kind = CHAT_PROOF_ITEM }, A, 0, 0, 0, 1 },
        { { .kind = CHAT_PROOF_NONE }, A, 0, 0, 0, 0 }, /* a text: nothing is lost */
        { { .kind = CHAT_PROOF_NONE }, A, 1, 0, 1, 0 },
        { { .kind = CHAT_PROOF_DETAILS }, A, 0, 0, 0, 0 },
        { { .kind = CHAT_PROOF_DETAILS, .enveloped = true, .upstream = S("u2") }, A, 1, 0, 1, 0 },
        { { .kind = CHAT_PROOF_DETAILS, .raw = S("[]") }, C, 0, 0, 1, 0 },
        { { .kind = CHAT_PROOF_DETAILS, .raw = S("[]") }, R, 0, 0, 0, 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct convert c = to(rows[i].upstream);
        c.profile.anthropic_unsigned_thinking = rows[i].unsigned_thinking;
        c.options.drop_reasoning = rows[i].drop;
        bool may = !rows[i].may;
        warned = 0;
        assert_int_equal(envelope_may_send(&c, &rows[i].proof, &may), 0);
        if (may != rows[i].may || warned != rows[i].warns)
            fail_msg("row %zu: may %d, warned %d", i, may, warned);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(known_envelopes, setup, teardown),
        cmocka_unit_test_setup_teardown(round_trips, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_to_carry, setup, teardown),
        cmocka_unit_test_setup_teardown(base64url_all, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_envelopes, setup, teardown),
        cmocka_unit_test_setup_teardown(native_values_are_left, setup, teardown),
        cmocka_unit_test_setup_teardown(who_may_have_it, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Opaque reasoning as a client sends it back: an envelope, or what stands in one.
 * Invariants: nothing that a client makes up is more than one of the known kinds; what was opened
 * can be wrapped for its maker again, and after that comes back as it is for ever; no other
 * upstream gets it.
 */
#include <stddef.h>
#include <stdint.h>

#include "envelope.h"
#include "json.h"

static const enum protocol makers[] = {
    [CHAT_PROOF_THINKING] = PROTOCOL_MESSAGES,
    [CHAT_PROOF_REDACTED] = PROTOCOL_MESSAGES,
    [CHAT_PROOF_ITEM] = PROTOCOL_RESPONSES,
    [CHAT_PROOF_DETAILS] = PROTOCOL_CHAT,
};

static bool same_text(struct arena *a, struct text x, struct text y)
{
    return str_eq(text_plain(a, x), text_plain(a, y));
}

/* In a wrapping and out of it; false when there is nothing to carry. */
static bool once_more(struct arena *a, const struct chat_proof *in, struct chat_proof *ret)
{
    struct convert c = { .options = { .upstream = makers[in->kind], .upstream_name = in->upstream },
                         .model_sent = S("m") };
    bool may;
    must(envelope_may_send(&c, in, &may) == 0);
    must(may);
    struct text t = envelope_wrap(&c, a, in);
    *ret = (struct chat_proof){ .kind = CHAT_PROOF_NONE };
    return t.n > 0 && envelope_open(&c, a, t, ret);
}

static void check_others(const struct chat_proof *proof)
{
    struct convert c = { .options = { .upstream = makers[proof->kind],
                                      .upstream_name = S("\xff no such name") } };
    bool may;
    must(envelope_may_send(&c, proof, &may) == 0);
    must(!may);
}

static void check_opened(struct arena *a, const struct chat_proof *proof)
{
    struct chat_proof one, two;
    must(proof->enveloped);
    must(proof->kind <= CHAT_PROOF_DETAILS);
    if (proof->kind == CHAT_PROOF_NONE)
        return;
    must(proof->raw.n == 0 || json_is_valid(proof->raw));
    if (!once_more(a, proof, &one))
        return;
    must(one.kind == proof->kind);
    must(same_text(a, one.thinking, proof->thinking));
    must(same_text(a, one.opaque, proof->opaque));
    must(str_eq(one.upstream, proof->upstream));
    must(once_more(a, &one, &two));
    must(str_eq(one.raw, two.raw)); /* the first time, an item's status went */
    check_others(proof);
}

static void open_it(struct arena *a, struct text value)
{
    struct convert c = { .model_sent = S("m") };
    struct chat_proof proof = { .kind = CHAT_PROOF_NONE };
    if (envelope_open(&c, a, value, &proof))
        check_opened(a, &proof);
    else
        must(!proof.enveloped);
}

/* An envelope of the given kind around any JSON: few bytes find base64 of an object. */
static struct text wrap_any(struct arena *a, char kind, struct str json)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct buf out;
    unsigned bits = 0, n = 0;
    buf_init(&out, SIZE_MAX);
    buf_add(&out, S("ccp1."));
    buf_add_byte(&out, kind);
    buf_add_byte(&out, '.');
    for (size_t i = 0; i < json.n; i++) {
        bits = (bits << 8 | (unsigned char)json.p[i]) & 0xffff;
        for (n += 8; n >= 6; n -= 6)
            buf_add_byte(&out, digits[bits >> (n - 6) & 63]);
    }
    if (n > 0)
        buf_add_byte(&out, digits[bits << (6 - n) & 63]);
    struct str text = arena_str(a, buf_str(&out));
    buf_done(&out);
    return (struct text){ text.p, text.n };
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const char kinds[] = { 't', 'r', 'o', 'c', 'x' };
    if (n == 0)
        return 0;
    struct arena a;
    struct str rest = { (const char *)bytes + 1, n - 1 };
    arena_init(&a, SIZE_MAX / 2);
    open_it(&a, text_escape(&a, rest));
    open_it(&a, wrap_any(&a, kinds[bytes[0] % sizeof(kinds)], rest));
    arena_done(&a);
    return 0;
}

#include "envelope.h"

#include <string.h>

#include "json.h"

#define MARK "ccp1."

/* ---- base64url (rfc4648,s5), without padding ---- */

static struct text base64url(struct arena *a, struct str bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *p = (const unsigned char *)bytes.p;
    char *out = arena_new(a, char, (bytes.n + 2) / 3 * 4), *to = out;
    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t left = bytes.n - i;
        unsigned x = (unsigned)p[i] << 16;
        if (left > 1)
            x |= (unsigned)p[i + 1] << 8;
        if (left > 2)
            x |= p[i + 2];
        *to++ = digits[x >> 18];
        *to++ = digits[x >> 12 & 63];
        if (left > 1)
            *to++ = digits[x >> 6 & 63];
        if (left > 2)
            *to++ = digits[x & 63];
    }
    return (struct text){ out, (size_t)(to - out) };
}

static int digit_of(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

static bool base64url_open(struct arena *a, struct str s, struct str *ret_bytes)
{
    if (s.n % 4 == 1)
        return false;
    char *out = arena_new(a, char, s.n / 4 * 3 + 3), *to = out;
    unsigned x = 0;
    for (size_t i = 0; i < s.n; i++) {
        int digit = digit_of((unsigned char)s.p[i]);
        if (digit < 0)
            return false;
        x = x << 6 | (unsigned)digit;
        if (i % 4 != 0) /* 8 bits more than the last byte had: 12, 18, 24 of 24 */
            *to++ = (char)(x >> (6 - 2 * (i % 4)) & 0xff);
    }
    *ret_bytes = (struct str){ out, (size_t)(to - out) };
    return true;
}

/* ---- out ---- */

static char kind_letter(const struct convert *c, const struct chat_proof *proof)
{
    switch (proof->kind) {
    case CHAT_PROOF_NONE:
        return '\0';
    case CHAT_PROOF_THINKING: /* an empty signature proves nothing, but some upstreams take it */
        return proof->opaque.n > 0 || c->profile.anthropic_unsigned_thinking ? 't' : '\0';
    case CHAT_PROOF_REDACTED:
        return proof->opaque.n > 0 ? 'r' : '\0';
    case CHAT_PROOF_ITEM: /* without encrypted_content it cannot come back (store:false) */
        return proof->opaque.n > 0 && proof->raw.n > 0 ? 'o' : '\0';
    case CHAT_PROOF_DETAILS:
        return 'c';
    }
    return '\0';
}

/* What an upstream says of an item but does not take back (0.7,5). */
static struct str item_stored(struct arena *a, struct str raw)
{
    struct json_edit e;
    json_edit_init(&e, a, raw);
    struct json_node *n = json_first(&e, json_root(&e));
    for (; n != NULL; n = json_next(n)) {
        if (json_type(n) == JSON_NULL || str_eq(json_name(&e, n), S("status")))
            json_remove(&e, n);
    }
    return json_edit_text(&e);
}

static void put_payload(struct json_out *o, struct arena *a, const struct chat_proof *proof)
{
    switch (proof->kind) {
    case CHAT_PROOF_NONE:
        break;
    case CHAT_PROOF_THINKING:
        json_out_member_text(o, S("thinking"), proof->thinking);
        json_out_member_text(o, S("signature"), proof->opaque);
        break;
    case CHAT_PROOF_REDACTED:
        json_out_member_text(o, S("data"), proof->opaque);
        break;
    case CHAT_PROOF_ITEM:
        json_out_member_raw(o, S("item"), item_stored(a, proof->raw));
        break;
    case CHAT_PROOF_DETAILS:
        if (proof->raw.n > 0)
            json_out_member_raw(o, S("details"), proof->raw);
        break;
    }
}

struct text envelope_wrap(struct convert *c, struct arena *a, const struct chat_proof *proof)
{
    char letter = kind_letter(c, proof);
    if (letter == '\0')
        return (struct text){ NULL, 0 };
    struct buf buf;
    struct json_out o;
    buf_init(&buf, SIZE_MAX);
    json_out_init(&o, &buf);
    json_out_object(&o);
    json_out_member_str(&o, S("u"), c->options.upstream_name);
    json_out_member_str(&o, S("m"), c->model_sent);
    put_payload(&o, a, proof);
    json_out_object_end(&o);
    struct text payload = base64url(a, buf_str(&buf));
    buf_done(&buf);
    return text_cat(a, (struct text){ (const char[]){ 'c', 'c', 'p', '1', '.', letter, '.' }, 7 },
                    payload);
}

/* ---- in ---- */

static bool is_type(const struct json_node *n, enum json_type type)
{
    return n != NULL && json_type(n) == type;
}

/* Fills in what this kind must have; false when it is not there. */
static bool read_payload(struct json_edit *e, struct arena *a, char letter, struct chat_proof *ret)
{
    struct json_node *root = json_root(e);
    struct json_node *thinking = json_find(e, root, S("thinking"));
    struct json_node *signature = json_find(e, root, S("signature"));
    struct json_node *bytes = json_find(e, root, S("data"));
    struct json_node *item = json_find(e, root, S("item"));
    struct json_node *details = json_find(e, root, S("details"));
    switch (letter) {
    case 't':
        ret->kind = CHAT_PROOF_THINKING;
        ret->thinking = text_of(e, a, thinking);
        ret->opaque = text_of(e, a, signature);
        return is_type(thinking, JSON_STRING) && is_type(signature, JSON_STRING);
    case 'r':
        ret->kind = CHAT_PROOF_REDACTED;
        ret->opaque = text_of(e, a, bytes);
        return is_type(bytes, JSON_STRING);
    case 'o':
        ret->kind = CHAT_PROOF_ITEM;
        ret->raw = json_raw(e, item);
        ret->opaque = text_of(e, a, json_find(e, item, S("encrypted_content")));
        return str_eq(json_string(e, json_find(e, item, S("type"))), S("reasoning"));
    case 'c':
        ret->kind = CHAT_PROOF_DETAILS;
        ret->raw = json_raw(e, details);
        return details == NULL || is_type(details, JSON_ARRAY);
    default:
        return false;
    }
}

static bool is_object(struct str json)
{
    return str_starts(str_trim(json), S("{")) && json_is_valid(json);
}

static bool open_envelope(struct arena *a, struct str s, struct chat_proof *ret)
{
    struct str json;
    if (s.n < 2 || s.p[1] != '.' || !base64url_open(a, str_slice(s, 2, s.n), &json) ||
        !is_object(json))
        return false;
    struct json_edit e;
    json_edit_init(&e, a, json);
    struct json_node *upstream = json_find(&e, json_root(&e), S("u"));
    ret->upstream = json_string(&e, upstream);
    return is_type(upstream, JSON_STRING) && read_payload(&e, a, s.p[0], ret);
}

bool envelope_open(struct convert *c, struct arena *a, struct text value, struct chat_proof *ret)
{
    (void)c;
    if (!text_starts(value, S(MARK)))
        return false;
    struct str plain = text_plain(a, value);
    struct chat_proof proof = { .enveloped = true };
    if (!open_envelope(a, str_slice(plain, strlen(MARK), plain.n), &proof))
        proof = (struct chat_proof){ .kind = CHAT_PROOF_NONE, .enveloped = true };
    *ret = proof;
    return true;
}

static bool is_for(const struct convert *c, enum chat_proof_kind kind)
{
    switch (kind) {
    case CHAT_PROOF_NONE:
        return false;
    case CHAT_PROOF_THINKING:
    case CHAT_PROOF_REDACTED:
        return c->options.upstream == PROTOCOL_MESSAGES;
    case CHAT_PROOF_ITEM:
        return c->options.upstream == PROTOCOL_RESPONSES;
    case CHAT_PROOF_DETAILS:
        return c->options.upstream == PROTOCOL_CHAT;
    }
    return false;
}

/* Only a readable text, of whoever: nothing is bound to it. */
static bool is_text_only(const struct chat_proof *proof)
{
    return proof->kind == CHAT_PROOF_DETAILS ||
           (proof->kind == CHAT_PROOF_NONE && !proof->enveloped);
}

int envelope_may_send(struct convert *c, const struct chat_proof *proof, bool *ret_may)
{
    bool may = is_for(c, proof->kind) &&
               (!proof->enveloped || str_eq(proof->upstream, c->options.upstream_name));
    if (is_text_only(proof) && c->options.upstream == PROTOCOL_MESSAGES)
        may = c->profile.anthropic_unsigned_thinking;
    if (c->options.drop_reasoning)
        may = false;
    *ret_may = may;
    bool nothing_lost = !proof->enveloped && is_text_only(proof) && proof->raw.n == 0;
    return may || nothing_lost ? 0 : convert_warn(c, "dropped", S("reasoning"));
}

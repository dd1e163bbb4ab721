#include "headers.h"

struct credential headers_credential(const struct http_headers *h, enum protocol protocol)
{
    const struct str *key = http_find(h, S("x-api-key"));
    if (key == NULL || str_trim(*key).n == 0)
        key = http_find(h, S("api-key"));
    const struct str *authorization = http_find(h, S("authorization"));
    struct credential none = { CREDENTIAL_NONE, S("") };
    struct credential by_key = none, by_authorization = none;

    if (key != NULL && str_trim(*key).n > 0)
        by_key = (struct credential){ CREDENTIAL_X_API_KEY, str_trim(*key) };
    if (authorization != NULL && str_trim(*authorization).n > 0) {
        struct str value = str_trim(*authorization);
        bool bearer = str_starts_nocase(value, S("Bearer ")) || str_eq_nocase(value, S("Bearer"));
        if (bearer)
            value = str_trim(str_slice(value, 6, value.n));
        if (value.n > 0)
            by_authorization =
                (struct credential){ bearer ? CREDENTIAL_BEARER : CREDENTIAL_BARE, value };
    }
    if (protocol == PROTOCOL_MESSAGES)
        return by_key.form != CREDENTIAL_NONE ? by_key : by_authorization;
    return by_authorization.form != CREDENTIAL_NONE ? by_authorization : by_key;
}

/* Never sent on (beyond the hop-by-hop ones, which the codecs take out).  A final
 * '*' is a prefix. */
static const struct str dropped[] = {
    S_INIT("host"),
    S_INIT("content-length"),
    S_INIT("expect"),
    S_INIT("cookie"),
    S_INIT("origin"),
    S_INIT("referer"),
    S_INIT("sec-*"),
    S_INIT("forwarded"),
    S_INIT("via"),
    S_INIT("x-forwarded-*"),
    S_INIT("x-real-ip"),
    S_INIT("x-client-type"),
    S_INIT("authorization"),
    S_INIT("x-api-key"),
    S_INIT("api-key"),
    S_INIT("http2-settings"),
    /* with these some servers take another path than that of the request */
    S_INIT("x-original-url"),
    S_INIT("x-rewrite-url"),
};

/* Names with an underscore are dropped, as some servers read them as their dash
 * twins (X_Api_Key); these are known to be meant. */
static const struct str underscored[] = { S_INIT("session_id"), S_INIT("conversation_id"),
                                          S_INIT("thread_id") };

/* What means something to the client's own protocol only (protocols.md A4.1). */
static const struct str own[] = {
    S_INIT("anthropic-*"), S_INIT("openai-*"),        S_INIT("x-stainless-*"),
    S_INIT("x-codex-*"),   S_INIT("idempotency-key"), S_INIT("x-client-request-id"),
};

static bool is_in(const struct str *rows, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++) {
        struct str row = rows[i];
        if (row.p[row.n - 1] == '*' ? str_starts(name, str_slice(row, 0, row.n - 1))
                                    : str_eq(name, row))
            return true;
    }
    return false;
}

static bool is_dropped(struct str name, const struct headers_rule *rule)
{
    if (is_in(dropped, ARRAY_LEN(dropped), name) ||
        (rule->converted && is_in(own, ARRAY_LEN(own), name)))
        return true;
    if (str_index(name, '_') < name.n) {
        for (size_t i = 0; i < ARRAY_LEN(underscored); i++)
            if (str_eq(name, underscored[i]))
                return false;
        return true;
    }
    if (str_eq(name, S("http-referer")) || str_eq(name, S("x-title")))
        return !rule->raw;
    if (str_eq(name, S("content-encoding")))
        return !rule->keep_coding;
    if (str_eq(name, S("accept-encoding")))
        return rule->json && !rule->raw;
    return http_is_hop(name);
}

static void add_credential(struct http_headers *out, struct arena *a,
                           const struct headers_rule *rule)
{
    bool messages = rule->protocol == PROTOCOL_MESSAGES;
    struct credential c = rule->client;
    if (rule->server_key.n > 0) {
        c.form = messages ? CREDENTIAL_X_API_KEY : CREDENTIAL_BEARER;
        c.value = rule->server_key;
    } else if (messages && str_eq_nocase(rule->auth_style, S("x-api-key"))) {
        c.form = c.form != CREDENTIAL_NONE ? CREDENTIAL_X_API_KEY : CREDENTIAL_NONE;
    } else if (messages && str_eq_nocase(rule->auth_style, S("bearer"))) {
        c.form = c.form != CREDENTIAL_NONE ? CREDENTIAL_BEARER : CREDENTIAL_NONE;
    } else if (!messages && rule->converted && c.form == CREDENTIAL_X_API_KEY) {
        c.form = CREDENTIAL_BEARER; /* of a Messages client: OpenAI's protocols know no other */
    }
    switch (c.form) {
    case CREDENTIAL_NONE:
        break;
    case CREDENTIAL_X_API_KEY:
        http_add(out, a, S("x-api-key"), c.value);
        break;
    case CREDENTIAL_BEARER:
        http_add(out, a, S("authorization"), arena_cat(a, S("Bearer "), c.value));
        break;
    case CREDENTIAL_BARE:
        http_add(out, a, S("authorization"), c.value);
        break;
    }
}

enum { ADDED_MAX = 3 };

void headers_for_upstream(struct http_headers *out, struct arena *a, const struct http_headers *in,
                          const struct headers_rule *rule)
{
    http_reserve(out, a, in->n + ADDED_MAX);
    for (size_t i = 0; i < in->n; i++)
        if (!is_dropped(in->v[i].name, rule))
            http_add(out, a, in->v[i].name, in->v[i].value);
    add_credential(out, a, rule);
    if (rule->protocol == PROTOCOL_MESSAGES && http_find(out, S("anthropic-version")) == NULL)
        http_add(out, a, S("anthropic-version"),
                 rule->version.n > 0 ? rule->version : S("2023-06-01"));
    if (rule->json && !rule->raw)
        http_add(out, a, S("accept-encoding"), S("identity"));
}

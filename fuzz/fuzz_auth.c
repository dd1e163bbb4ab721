/*
 * Credentials.  The first byte chooses the protocols and what is configured, the rest is lines of
 * "name: value".
 * Invariants: a credential is a clean value out of the headers given; upstream goes at most one,
 * the configured one where there is one, and what goes there is read as the same credential.
 */
#include <stddef.h>
#include <stdint.h>

#include "headers.h"

enum { SERVER_KEY = 8, STYLE_SHIFT = 4, RAW = 64, CONVERTED = 128 };

static const struct str server_key = S_INIT("server-key");

/* What a codec lets through. */
static void read_headers(struct http_headers *h, struct arena *a, struct str rest)
{
    struct str line;
    while (str_next(&rest, '\n', &line)) {
        size_t colon = str_index(line, ':');
        struct str name = arena_lower(a, str_slice(line, 0, colon));
        struct str value = str_trim(str_slice(line, colon + 1, line.n));
        if (name.n > 0 && http_lower_name_ok(name) && http_value_ok(value))
            http_add(h, a, name, value);
    }
}

static bool is_among(const struct http_headers *h, struct str value)
{
    for (size_t i = 0; i < h->n; i++) {
        struct str of = h->v[i].value;
        if (value.p >= of.p && value.p + value.n <= of.p + of.n)
            return true;
    }
    return false;
}

static void check_found(const struct http_headers *in, struct credential c)
{
    if (c.form == CREDENTIAL_NONE) {
        must(c.value.n == 0);
        return;
    }
    must(c.value.n > 0);
    must(str_eq(str_trim(c.value), c.value));
    must(http_value_ok(c.value));
    must(is_among(in, c.value));
}

static void check_sent(struct http_headers *out, const struct headers_rule *rule)
{
    static const char *const never[] = { "host",   "content-length",    "cookie",   "api-key",
                                         "expect", "transfer-encoding", "x_api_key" };
    struct credential c = headers_credential(out, rule->protocol);
    bool has_key = http_find(out, S("x-api-key")) != NULL;
    size_t forms = http_count(out, S("authorization")) + http_count(out, S("x-api-key"));
    bool any = rule->client.form != CREDENTIAL_NONE || rule->server_key.n > 0;
    must(forms == (any ? 1 : 0));
    must(!any || str_eq(c.value, rule->server_key.n > 0 ? server_key : rule->client.value));
    must(!has_key || rule->protocol == PROTOCOL_MESSAGES || !rule->converted);
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        must(http_find(out, str_of(never[i])) == NULL);
    for (size_t i = 0; i < out->n; i++) {
        must(http_lower_name_ok(out->v[i].name));
        must(http_value_ok(out->v[i].value));
        must(!http_is_hop(out->v[i].name));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const char *const styles[] = { "auto", "x-api-key", "bearer", "" };
    if (n == 0)
        return 0;
    struct arena a;
    struct http_headers in = { 0 }, out = { 0 };
    arena_init(&a, SIZE_MAX / 2);
    read_headers(&in, &a, (struct str){ (const char *)bytes + 1, n - 1 });
    enum protocol client = bytes[0] % PROTOCOL_COUNT;
    struct headers_rule rule = {
        .protocol = client,
        .client = headers_credential(&in, client),
        .server_key = (bytes[0] & SERVER_KEY) != 0 ? server_key : S(""),
        .auth_style = str_of(styles[bytes[0] >> STYLE_SHIFT & 3]),
        .raw = (bytes[0] & RAW) != 0,
        .converted = (bytes[0] & CONVERTED) != 0,
    };
    check_found(&in, rule.client);
    if (rule.converted)
        rule.protocol = (client + 1) % PROTOCOL_COUNT;
    headers_for_upstream(&out, &a, &in, &rule);
    check_sent(&out, &rule);
    arena_done(&a);
    return 0;
}

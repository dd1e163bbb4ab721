#include "reply_family.h"

#include <inttypes.h>

#include "rfc3339.h"

enum limit_kind { LIMIT_COUNT, LIMIT_RESET };

static const struct limit {
    struct str messages, openai;
    enum limit_kind kind;
} limits[] = {
#define LIMIT(what, which, kind)                                                                   \
    {                                                                                              \
        S_INIT("anthropic-ratelimit-" what "-" which), S_INIT("x-ratelimit-" which "-" what), kind \
    }
    LIMIT("requests", "limit", LIMIT_COUNT),   LIMIT("requests", "remaining", LIMIT_COUNT),
    LIMIT("requests", "reset", LIMIT_RESET),   LIMIT("tokens", "limit", LIMIT_COUNT),
    LIMIT("tokens", "remaining", LIMIT_COUNT), LIMIT("tokens", "reset", LIMIT_RESET),
#undef LIMIT
};

static const struct str same[] = { S_INIT("retry-after"), S_INIT("retry-after-ms"),
                                   S_INIT("x-should-retry"), S_INIT("cf-ray") };

static const int64_t DURATION_MS_MAX = INT64_C(366) * 24 * 3600 * 1000;

/* Takes "ms", "h", ... off the front; 0: no unit. */
static int64_t take_unit(struct str *rest)
{
    static const struct {
        struct str name;
        int64_t ms;
    } units[] = { { S_INIT("ms"), 1 },
                  { S_INIT("s"), 1000 },
                  { S_INIT("m"), 60 * 1000 },
                  { S_INIT("h"), 3600 * 1000 },
                  { S_INIT("d"), 24 * 3600 * 1000 } };
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (str_starts(*rest, units[i].name)) {
            *rest = str_slice(*rest, units[i].name.n, rest->n);
            return units[i].ms;
        }
    }
    return 0;
}

bool reply_family_duration(struct str text, int64_t *ret_ms)
{
    struct str rest = str_trim(text);
    double ms = 0;
    bool bare = false;
    if (rest.n == 0 || rest.n > 64)
        return false;
    while (rest.n > 0 && !bare) {
        double x;
        size_t n = 0;
        while (n < rest.n && ((rest.p[n] >= '0' && rest.p[n] <= '9') || rest.p[n] == '.'))
            n++;
        if (n == 0 || n > 18 || str_to_double(str_slice(rest, 0, n), &x) < 0)
            return false;
        rest = str_slice(rest, n, rest.n);
        int64_t unit = take_unit(&rest);
        bare = unit == 0; /* seconds, and the last */
        ms += x * (double)(bare ? 1000 : unit);
    }
    if (rest.n > 0 || ms > (double)DURATION_MS_MAX)
        return false;
    *ret_ms = (int64_t)ms;
    return true;
}

static struct str duration_text(struct arena *a, int64_t ms)
{
    int64_t s = ms / 1000, m = s / 60;
    if (ms < 1000)
        return arena_printf(a, "%" PRId64 "ms", ms);
    if (m >= 60)
        return arena_printf(a, "%" PRId64 "h%" PRId64 "m%" PRId64 "s", m / 60, m % 60, s % 60);
    return m > 0 ? arena_printf(a, "%" PRId64 "m%" PRId64 "s", m, s % 60)
                 : arena_printf(a, "%" PRId64 "s", s);
}

/* A duration as the time when it is over, never too early; empty: it is none. */
static struct str time_of(struct arena *a, struct str duration, int64_t now_ms)
{
    char room[RFC3339_BYTES];
    int64_t ms;
    if (!reply_family_duration(duration, &ms))
        return S("");
    return arena_str(a, rfc3339_write((now_ms + ms + 999) / 1000, room));
}

static struct str duration_of(struct arena *a, struct str time, int64_t now_ms)
{
    int64_t unix_s;
    if (!rfc3339_read(str_trim(time), &unix_s) || unix_s * 1000 - now_ms > DURATION_MS_MAX)
        return S("");
    int64_t ms = unix_s * 1000 - now_ms;
    return duration_text(a, ms < 0 ? 0 : (ms + 999) / 1000 * 1000);
}

static void add_limit(struct http_headers *out, struct arena *a, struct http_header h,
                      enum protocol client, int64_t now_ms)
{
    bool messages = client == PROTOCOL_MESSAGES;
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        const struct limit *l = &limits[i];
        bool ours = str_eq(h.name, l->messages), theirs = str_eq(h.name, l->openai);
        if (!ours && !theirs)
            continue;
        struct str value = h.value;
        if (l->kind == LIMIT_RESET && ours && !messages)
            value = duration_of(a, value, now_ms);
        else if (l->kind == LIMIT_RESET && theirs && messages)
            value = time_of(a, value, now_ms);
        if (value.n > 0)
            http_set(out, a, messages ? l->messages : l->openai, arena_str(a, value));
        return;
    }
}

static bool is_same(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        if (str_eq(name, same[i]))
            return true;
    return false;
}

void reply_family_headers(struct http_headers *out, struct arena *a,
                          const struct http_headers *upstream, enum protocol client, int64_t now_ms)
{
    const struct str *id = http_find(upstream, S("request-id"));
    if (id == NULL)
        id = http_find(upstream, S("x-request-id"));
    if (id != NULL && id->n > 0 && http_value_ok(*id))
        http_add(out, a, client == PROTOCOL_MESSAGES ? S("request-id") : S("x-request-id"),
                 arena_str(a, *id));
    for (size_t i = 0; i < upstream->n; i++) {
        struct http_header h = upstream->v[i];
        if (!http_value_ok(h.value))
            continue;
        if (is_same(h.name))
            http_add(out, a, arena_str(a, h.name), arena_str(a, h.value));
        else
            add_limit(out, a, h, client, now_ms);
    }
}

/*
 * Reply headers of an upstream for a client of the other vendor, durations and times in them.
 * The first byte chooses the client, the rest is lines of "name: value".
 * Invariants: clean names and values only, none of the upstream's connection or cookies; times
 * and durations lie in their ranges and read back.
 */
#include <stddef.h>
#include <stdint.h>

#include "reply.h"
#include "reply_family.h"
#include "rfc3339.h"

static const int64_t now_ms = 1790000000000;

static void check_value(struct str value)
{
    char room[RFC3339_BYTES];
    int64_t ms, unix_s, again;
    if (reply_family_duration(value, &ms)) {
        must(ms >= 0);
        must(ms <= INT64_C(366) * 24 * 3600 * 1000);
    }
    if (rfc3339_read(value, &unix_s)) {
        must(rfc3339_read(rfc3339_write(unix_s, room), &again));
        must(again == unix_s);
    }
}

static void check_out(const struct http_headers *h)
{
    static const char *const never[] = { "set-cookie",        "content-length", "connection",
                                         "transfer-encoding", "server",         "location" };
    for (size_t i = 0; i < h->n; i++) {
        must(http_lower_name_ok(h->v[i].name));
        must(http_value_ok(h->v[i].value));
    }
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        must(http_find(h, str_of(never[i])) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return 0;
    struct arena a;
    struct http_headers in = { 0 }, family = { 0 }, copied = { 0 };
    struct str rest = { (const char *)bytes + 1, n - 1 }, line;
    arena_init(&a, SIZE_MAX / 2);
    while (str_next(&rest, '\n', &line)) {
        size_t colon = str_index(line, ':');
        struct str name = arena_lower(&a, str_slice(line, 0, colon));
        struct str value = str_trim(str_slice(line, colon + 1, line.n));
        check_value(value);
        if (name.n > 0 && http_lower_name_ok(name) && http_value_ok(value))
            http_add(&in, &a, name, value);
    }
    reply_family_headers(&family, &a, &in, (enum protocol)(bytes[0] % PROTOCOL_COUNT), now_ms);
    check_out(&family);
    reply_copy_headers(&copied, &a, &in, (bytes[0] & 8) != 0, false);
    check_out(&copied);
    arena_done(&a);
    return 0;
}

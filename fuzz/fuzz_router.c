/*
 * Paths.  The first byte chooses the service and the method, the rest is a request target.
 * Invariants: what is found has a canonical path, which no server further on can take for
 * another, and which leads to the same place when it is sent; the query is the client's.
 */
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "router.h"

static const char *const methods[] = { "GET",     "HEAD",    "POST",  "PUT",
                                       "OPTIONS", "CONNECT", "TRACE", "DELETE" };

static void check_path(struct str path)
{
    static const char *const never[] = {
        "//", "/../", "/./", "\\", ";", "%2e", "%2f", "%5c", "%00"
    };
    must(path.n > 0);
    must(path.p[0] == '/');
    must(path.n == 1 || path.p[path.n - 1] != '/');
    must(!str_starts(path, S("/v1/v1")));
    must(!str_ends(path, S("/..")));
    must(!str_ends(path, S("/.")));
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        must(!str_contains_nocase(path, str_of(never[i])));
}

static void check(enum service service, const struct http_head *head, struct arena *a)
{
    struct route r, again;
    int e = router_find(service, head, a, &r);
    must(e == 0 || e == E_NOT_FOUND || e == E_METHOD || e == E_BAD_REQUEST || e == E_UPGRADE);
    must(r.allow.n > 0);
    must(str_ends(head->target, r.query));
    must(r.query.n == 0 || r.query.p[0] == '?');
    if (e < 0 || r.kind == ROUTE_PREFLIGHT)
        return;
    must(r.endpoint <= ENDPOINT_PASS);
    must(r.protocol <= PROTOCOL_COUNT);
    must((r.kind != ROUTE_PASS) || (r.offered & 1u << r.protocol) != 0);
    check_path(r.path);
    struct http_head sent = *head;
    if (r.path.n > 50) /* another /v1 in front may be a segment too many */
        return;
    sent.target = arena_cat(a, r.path, r.query);
    must(http_target_ok(sent.target));
    must(router_find(service, &sent, a, &again) == 0);
    must(again.endpoint == r.endpoint);
    must(again.kind == r.kind);
    must(str_eq(again.path, r.path));
    must(str_eq(again.query, r.query));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return 0;
    struct arena a;
    struct http_head head = {
        .method = str_of(methods[bytes[0] % ARRAY_LEN(methods)]),
        .target = { (const char *)bytes + 1, n - 1 },
        .upgrade_websocket = (bytes[0] & 16) != 0,
    };
    arena_init(&a, SIZE_MAX / 2);
    if (http_target_ok(head.target)) /* the codecs let no other pass */
        check((bytes[0] & 8) != 0 ? SERVICE_CODEX : SERVICE_CLAUDE, &head, &a);
    arena_done(&a);
    return 0;
}

#include "router.h"

#include <string.h>

#include "err.h"

enum allow { ALLOW_GET = 1, ALLOW_POST = 2, ALLOW_LIST = 4 /* GET goes to the family */ };

static const struct row {
    struct str path;
    enum endpoint endpoint;
    int allow;
    enum protocol protocol;
    enum route_kind kind;
} rows[] = {
#define ROUTE(path, endpoint, allow, protocol, kind) \
    { S_INIT(path), ENDPOINT_##endpoint, allow, protocol, kind },
#include "routes.def"
#undef ROUTE
};

enum offers {
    OFFERS_MESSAGES = 1 << PROTOCOL_MESSAGES,
    OFFERS_RESPONSES = 1 << PROTOCOL_RESPONSES,
    OFFERS_OPENAI = OFFERS_RESPONSES | 1 << PROTOCOL_CHAT,
    OFFERS_ANY = OFFERS_MESSAGES | OFFERS_OPENAI,
};

static const struct family {
    enum service service;
    struct str head;
    unsigned offered;
} families[] = {
#define FAMILY(service, head, offered) { service, S_INIT(head), offered },
#include "families.def"
#undef FAMILY
};

enum { SEGMENTS_MAX = 32 };

static bool family_holds(const struct family *f, struct str rest)
{
    return str_starts(rest, f->head) && (rest.n == f->head.n || rest.p[f->head.n] == '/');
}

/* rest: a path without its leading '/'. */
static bool is_known_rest(struct str rest)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (str_starts(rows[i].path, S("/v1/")) &&
            str_eq(str_slice(rows[i].path, 4, rows[i].path.n), rest))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        if (family_holds(&families[i], rest))
            return true;
    return false;
}

/* Segments that could mean another path to somebody further on. */
static bool is_hostile(struct str segment)
{
    static const char *const bad[] = { "\\", ";", "%2e", "%2f", "%5c", "%3b" };
    if (str_eq(segment, S(".")) || str_eq(segment, S("..")))
        return true;
    bool suspect = false; /* mostly not */
    for (size_t i = 0; i < segment.n; i++)
        suspect |= segment.p[i] == '\\' || segment.p[i] == ';' || segment.p[i] == '%';
    for (size_t i = 0; suspect && i < ARRAY_LEN(bad); i++)
        if (str_contains_nocase(segment, str_of(bad[i])))
            return true;
    return false;
}

static int canonical_path(struct str raw, struct arena *a, struct str *ret_path)
{
    struct str segments[SEGMENTS_MAX], part;
    size_t n = 0;
    if (str_contains(raw, S("%00")))
        return E_BAD_REQUEST;
    while (str_next(&raw, '/', &part)) {
        if (part.n == 0)
            continue;
        if (n == SEGMENTS_MAX || is_hostile(part))
            return E_NOT_FOUND;
        if (n == 1 && str_eq(part, S("v1")) && str_eq(segments[0], S("v1")))
            continue;
        segments[n++] = part;
    }
    struct str path = S("");
    for (size_t i = 0; i < n; i++)
        path = arena_join(a, path, S("/"), segments[i]);
    if (n > 0 && !str_eq(segments[0], S("v1")) && is_known_rest(str_slice(path, 1, path.n)))
        path = arena_cat(a, S("/v1"), path);
    *ret_path = n > 0 ? path : S("/");
    return 0;
}

static struct str allow_text(int allow)
{
    return (allow & ALLOW_GET) != 0 ? S("GET, HEAD, OPTIONS") : S("POST, OPTIONS");
}

static bool method_fits(int allow, struct str method)
{
    if (str_eq(method, S("GET")) || str_eq(method, S("HEAD")))
        return (allow & ALLOW_GET) != 0;
    return str_eq(method, S("POST")) && (allow & ALLOW_POST) != 0;
}

static int find_family(enum service service, struct str method, struct route *r)
{
    static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" };
    if (!str_starts(r->path, S("/v1/")))
        return E_NOT_FOUND;
    struct str rest = str_slice(r->path, 4, r->path.n);
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        if (families[i].service != service || !family_holds(&families[i], rest))
            continue;
        r->endpoint = ENDPOINT_PASS;
        r->kind = ROUTE_PASS;
        r->offered = families[i].offered;
        r->protocol = service == SERVICE_CLAUDE ? PROTOCOL_MESSAGES : PROTOCOL_RESPONSES;
        r->allow = S("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        for (size_t m = 0; m < ARRAY_LEN(methods); m++)
            if (str_eq(method, str_of(methods[m])))
                return 0;
        return E_METHOD;
    }
    return E_NOT_FOUND;
}

static int find_row(enum service service, const struct http_head *head, struct route *r)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!str_eq(rows[i].path, r->path))
            continue;
        r->endpoint = rows[i].endpoint;
        r->kind = rows[i].kind;
        r->protocol = rows[i].protocol;
        bool lists = (rows[i].allow & ALLOW_LIST) != 0 && service == SERVICE_CODEX;
        r->allow = lists ? S("GET, HEAD, POST, OPTIONS") : allow_text(rows[i].allow);
        if (head->upgrade_websocket && r->endpoint == ENDPOINT_RESPONSES)
            return E_UPGRADE;
        if (method_fits(rows[i].allow, head->method))
            return 0;
        if (lists)
            return find_family(service, head->method, r);
        return E_METHOD;
    }
    return find_family(service, head->method, r);
}

int router_find(enum service service, const struct http_head *head, struct arena *a,
                struct route *ret_route)
{
    struct route r = { .protocol = PROTOCOL_COUNT, .allow = S("GET, HEAD, POST, OPTIONS") };
    size_t q = str_index(head->target, '?');
    r.query = str_slice(head->target, q, head->target.n);
    int e = 0;
    if (head->target.n > 0 && head->target.p[0] == '/')
        e = canonical_path(str_slice(head->target, 0, q), a, &r.path);
    else if (str_eq(head->method, S("CONNECT")))
        e = E_METHOD; /* its target is no path */
    else if (!str_eq(head->target, S("*")))
        e = E_NOT_FOUND;
    if (e == 0 && str_eq(head->method, S("OPTIONS"))) {
        struct http_head as_get = { .method = S("GET") };
        (void)!find_row(service, &as_get, &r); /* for `allow` only */
        r.kind = ROUTE_PREFLIGHT;
    } else if (e == 0) {
        e = find_row(service, head, &r);
    }
    *ret_route = r;
    return e;
}

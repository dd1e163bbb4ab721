#include "http.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "bytes16.h"
#include "clock.h"

static const struct str hop_names[] = {
    S_INIT("connection"),
    S_INIT("keep-alive"),
    S_INIT("proxy-connection"),
    S_INIT("transfer-encoding"),
    S_INIT("te"),
    S_INIT("trailer"),
    S_INIT("upgrade"),
    S_INIT("proxy-authenticate"),
    S_INIT("proxy-authorization"),
};

struct reason {
    int status;
    const char *text;
};

static const struct reason reasons[] = {
    { 100, "Continue" },
    { 101, "Switching Protocols" },
    { 103, "Early Hints" },
    { 200, "OK" },
    { 201, "Created" },
    { 202, "Accepted" },
    { 203, "Non-Authoritative Information" },
    { 204, "No Content" },
    { 205, "Reset Content" },
    { 206, "Partial Content" },
    { 300, "Multiple Choices" },
    { 301, "Moved Permanently" },
    { 302, "Found" },
    { 303, "See Other" },
    { 304, "Not Modified" },
    { 307, "Temporary Redirect" },
    { 308, "Permanent Redirect" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 402, "Payment Required" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 406, "Not Acceptable" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 410, "Gone" },
    { 411, "Length Required" },
    { 412, "Precondition Failed" },
    { 413, "Content Too Large" },
    { 414, "URI Too Long" },
    { 415, "Unsupported Media Type" },
    { 416, "Range Not Satisfiable" },
    { 417, "Expectation Failed" },
    { 421, "Misdirected Request" },
    { 422, "Unprocessable Content" },
    { 425, "Too Early" },
    { 426, "Upgrade Required" },
    { 428, "Precondition Required" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 451, "Unavailable For Legal Reasons" },
    { 499, "Client Closed Request" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 505, "HTTP Version Not Supported" },
    { 529, "Overloaded" },
};

struct str *http_find(const struct http_headers *h, struct str name)
{
    for (size_t i = 0; i < h->n; i++)
        if (str_eq(h->v[i].name, name))
            return &h->v[i].value;
    return NULL;
}

size_t http_count(const struct http_headers *h, struct str name)
{
    size_t n = 0;
    for (size_t i = 0; i < h->n; i++)
        n += str_eq(h->v[i].name, name);
    return n;
}

struct str http_join(const struct http_headers *h, struct str name, struct arena *a)
{
    size_t bytes = 0, count = 0, at = 0;
    struct str only = S("");
    for (size_t i = 0; i < h->n; i++) {
        if (!str_eq(h->v[i].name, name))
            continue;
        only = h->v[i].value;
        bytes += only.n + 2;
        count++;
    }
    if (count <= 1)
        return only;
    char *p = arena_alloc(a, bytes, 1, 1);
    for (size_t i = 0; i < h->n; i++) {
        struct str v = h->v[i].value;
        if (!str_eq(h->v[i].name, name))
            continue;
        if (v.n > 0)
            memcpy(p + at, v.p, v.n);
        memcpy(p + at + v.n, ", ", 2);
        at += v.n + 2;
    }
    return (struct str){ p, bytes - 2 };
}

void http_reserve(struct http_headers *h, struct arena *a, size_t more)
{
    if (h->cap - h->n >= more)
        return;
    struct http_header *v = arena_new(a, struct http_header, h->n + more);
    if (h->n > 0)
        memcpy(v, h->v, h->n * sizeof(*v));
    h->v = v;
    h->cap = h->n + more;
}

void http_add(struct http_headers *h, struct arena *a, struct str name, struct str value)
{
    if (h->n == h->cap)
        http_reserve(h, a, h->cap < 8 ? 8 : h->cap);
    h->v[h->n++] = (struct http_header){ .name = name, .value = value };
}

void http_remove(struct http_headers *h, struct str name)
{
    size_t kept = 0;
    for (size_t i = 0; i < h->n; i++)
        if (!str_eq(h->v[i].name, name))
            h->v[kept++] = h->v[i];
    h->n = kept;
}

void http_set(struct http_headers *h, struct arena *a, struct str name, struct str value)
{
    http_remove(h, name);
    http_add(h, a, name, value);
}

static struct str put(char **to, struct str s)
{
    char *p = *to;
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    *to = p + s.n;
    return (struct str){ p, s.n };
}

void http_head_copy(const struct http_head *from, struct arena *a, struct http_head *ret_to)
{
    const struct http_headers *h = &from->headers;
    size_t bytes = from->method.n + from->target.n + from->scheme.n + from->authority.n;
    for (size_t i = 0; i < h->n; i++)
        bytes += h->v[i].name.n + h->v[i].value.n;
    struct http_head to = *from;
    to.headers = (struct http_headers){ .n = 0 };
    http_reserve(&to.headers, a, h->n);
    char *text = arena_bytes(a, bytes);
    to.method = put(&text, from->method);
    to.target = put(&text, from->target);
    to.scheme = put(&text, from->scheme);
    to.authority = put(&text, from->authority);
    for (size_t i = 0; i < h->n; i++) {
        struct str name = put(&text, h->v[i].name);
        http_add(&to.headers, a, name, put(&text, h->v[i].value));
    }
    *ret_to = to;
}

bool http_is_no_trailer(struct str lower_name)
{
    static const struct str names[] = {
        S_INIT("content-length"), S_INIT("transfer-encoding"), S_INIT("host"),
        S_INIT("authorization"),  S_INIT("x-api-key"),         S_INIT("api-key"),
        S_INIT("cookie"),         S_INIT("connection"),        S_INIT("content-encoding"),
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(lower_name, names[i]))
            return true;
    return false;
}

bool http_is_hop(struct str lower_name)
{
    enum { LENGTHS = 1 << 2 | 1 << 7 | 1 << 10 | 1 << 16 | 1 << 17 | 1 << 18 | 1 << 19 };
    if (lower_name.n > 19 || (LENGTHS >> lower_name.n & 1) == 0)
        return false; /* as most fields */
    char c = lower_name.p[0];
    if (c != 'c' && c != 'k' && c != 'p' && c != 't' && c != 'u')
        return false; /* as most of the others */
    for (size_t i = 0; i < ARRAY_LEN(hop_names); i++)
        if (str_eq(lower_name, hop_names[i]))
            return true;
    return false;
}

/* Bytes above 0x7f are no control bytes. */
static bytes16 controls(bytes16 v)
{
    return (((v & -0x20) == 0) & (v != '\t')) | (v == 0x7f);
}

bool http_value_ok(struct str value)
{
    if (value.n == 0)
        return true;
    if (value.n <= 16)
        return !bytes16_any(controls(bytes16_load_short(value.p, value.n)));
    bytes16 found = controls(bytes16_load(value.p + value.n - 16));
    for (size_t i = 0; i < value.n - 16; i += 16)
        found |= controls(bytes16_load(value.p + i));
    return !bytes16_any(found);
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* What a byte is in a token (RFC 9110 section 5.6.2): nothing, part of it, a capital. */
static const unsigned char token_bytes[256] = {
    [0x20] = 0, 1, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1, 0, /* !"#$%&'()*+,-./ */
    [0x30] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, /* 0 to 9 */
    [0x40] = 0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* @, A to O */
    [0x50] = 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 1, 1, /* P to Z, [\]^_ */
    [0x60] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* `, a to o */
    [0x70] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 0, /* p to z, {|}~ */
};

static bool is_token(unsigned char c)
{
    return token_bytes[c] != 0;
}

/* Mostly names are made of letters, digits and dashes: those are known sixteen at once. */
static bool is_usual(bytes16 v)
{
    bytes16 letters = ((v | 0x20) >= 'a') & ((v | 0x20) <= 'z');
    return !bytes16_any(~(letters | ((v >= '0') & (v <= '9')) | (v == '-')));
}

bool http_name_ok(struct str name)
{
    if (name.n > 0 && name.n <= 16 && is_usual(bytes16_load_short(name.p, name.n)))
        return true;
    if (name.n > 16 && name.n <= 32 && is_usual(bytes16_load(name.p)) &&
        is_usual(bytes16_load(name.p + name.n - 16)))
        return true;
    for (size_t i = 0; i < name.n; i++)
        if (!is_token((unsigned char)name.p[i]))
            return false;
    return name.n > 0;
}

/* A usual name; all of its bytes that are no capitals have the bit already that makes one small. */
static bool usual_to_lower(char *name, size_t n)
{
    if (n < 4 || n > 16)
        return false;
    bytes16 v = bytes16_load_short(name, n);
    if (!is_usual(v))
        return false;
    v |= 0x20;
    const char *lower = (const char *)&v;
    size_t half = n >= 8 ? 8 : 4;
    memcpy(name, lower, half);
    memcpy(name + n - half, lower + half, half);
    return true;
}

bool http_name_to_lower(char *name, size_t n)
{
    unsigned char all = 1;
    if (usual_to_lower(name, n))
        return true;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)name[i], kind = token_bytes[c];
        name[i] = (char)(c | (kind & 2) << 4); /* a capital is 0x20 below its letter */
        all = kind == 0 ? 0 : all;
    }
    return n > 0 && all != 0;
}

bool http_lower_name_ok(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (token_bytes[(unsigned char)name.p[i]] != 1)
            return false;
    return name.n > 0;
}

static bool port_ok(struct str port)
{
    uint64_t n = 0;
    return port.n <= 5 && str_to_u64(port, &n) == 0 && n <= 65535;
}

/* "[" IPv6 "]" [":" port] */
static bool bracketed_ok(struct str s)
{
    size_t end = str_index(s, ']');
    if (end == s.n || end < 3)
        return false;
    for (size_t i = 1; i < end; i++)
        if (!is_one_of(s.p[i], "0123456789abcdefABCDEF:."))
            return false;
    struct str rest = str_slice(s, end + 1, s.n);
    return rest.n == 0 || (rest.p[0] == ':' && port_ok(str_slice(rest, 1, rest.n)));
}

bool http_authority_ok(struct str authority)
{
    if (authority.n > 0 && authority.p[0] == '[')
        return bracketed_ok(authority);
    size_t colon = str_index(authority, ':');
    for (size_t i = 0; i < colon; i++)
        if (!is_alnum(authority.p[i]) && !is_one_of(authority.p[i], "-._~!$&'()*+,;=%"))
            return false;
    return colon > 0 &&
           (colon == authority.n || port_ok(str_slice(authority, colon + 1, authority.n)));
}

bool http_target_ok(struct str target)
{
    if (target.n == 0 || (target.p[0] != '/' && !str_eq(target, S("*"))))
        return false;
    for (size_t i = 0; i < target.n; i++)
        if (target.p[i] <= 0x20 || target.p[i] >= 0x7f || target.p[i] == '#')
            return false;
    return !str_contains(str_slice(target, 0, str_index(target, '?')), S("%00"));
}

int http_content_length(struct str value, int64_t *ret_n)
{
    uint64_t n = 0;
    int e = str_to_u64(value, &n);
    if (e < 0 || n > INT64_MAX)
        return -EINVAL;
    *ret_n = (int64_t)n;
    return 0;
}

bool http_has_token(struct str list, struct str token)
{
    struct str part;
    while (str_next(&list, ',', &part))
        if (str_eq_nocase(str_trim(part), token))
            return true;
    return false;
}

const char *http_reason(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "";
}

/* The newest date text; one a worker process, made at most once a second. */
static struct {
    int64_t unix_s;
    char text[30];
    size_t n;
} date;

struct str http_date(void)
{
    int64_t now_s = clock_unix_ms() / 1000;
    if (date.n == 0 || now_s != date.unix_s) {
        time_t t = (time_t)now_s;
        struct tm tm;
        must(gmtime_r(&t, &tm) != NULL);
        date.n = strftime(date.text, sizeof(date.text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        date.unix_s = now_s;
    }
    return (struct str){ date.text, date.n };
}

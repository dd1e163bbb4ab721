#include "h2_head.h"

#include <stdlib.h>

#include "err.h"
#include "mem.h"

/* --- reading --- */

struct h2_block *h2_block_new(enum h2_role role, const struct h2_limits *limits, bool trailers)
{
    struct h2_block *b = mem_new(struct h2_block);
    b->of_client = role == H2_SERVER;
    b->limits = limits;
    b->trailers = trailers;
    b->head.content_length = -1;
    b->head.major = 2;
    /* texts once, cookies twice; lists double as they grow */
    arena_init_wiped(&b->arena,
                     limits->header_bytes * 2 +
                         (limits->fields_max + 16) * (sizeof(struct http_header) * 8 + 64));
    return b;
}

void h2_block_free(struct h2_block *b)
{
    if (b == NULL)
        return;
    arena_done(&b->arena);
    free(b);
}

static int refuse(struct h2_block *b, enum refusal reason)
{
    b->refusal = reason;
    return refusal_row(reason)->err;
}

static int add_pseudo(struct h2_block *b, struct str name, struct str value)
{
    struct http_head *head = &b->head;
    uint64_t status;
    if (str_eq(name, S(":method")))
        head->method = value;
    else if (str_eq(name, S(":path")))
        head->target = value;
    else if (str_eq(name, S(":scheme")))
        head->scheme = value;
    else if (str_eq(name, S(":authority")))
        head->authority = value;
    else if (str_eq(name, S(":status")) && str_to_u64(value, &status) == 0 && status < 1000)
        head->status = (int)status;
    else
        return refuse(b, REFUSAL_REQUEST_LINE);
    return 0;
}

/* The limits of HTTP/1 requests; there the target is no field. */
static int check_size(struct h2_block *b, struct str name, struct str value)
{
    b->fields++;
    b->bytes += name.n + value.n + H2_FIELD_EXTRA_BYTES;
    if (b->of_client && str_eq(name, S(":path")) && value.n > b->limits->target_bytes)
        return refuse(b, REFUSAL_TARGET_SIZE);
    if (b->of_client && !str_eq(name, S(":path")) && name.n + value.n > b->limits->field_bytes)
        return refuse(b, REFUSAL_FIELD_SIZE);
    if (b->fields > b->limits->fields_max)
        return refuse(b, REFUSAL_FIELD_COUNT);
    return b->bytes > b->limits->header_bytes ? refuse(b, REFUSAL_HEAD_SIZE) : 0;
}

int h2_block_add(struct h2_block *b, struct str name, struct str value)
{
    int e = check_size(b, name, value);
    if (e < 0)
        return e;
    if (!http_value_ok(value))
        return refuse(b, REFUSAL_FIELD);
    if (b->trailers)
        return b->of_client && http_is_no_trailer(name) ? refuse(b, REFUSAL_TRAILER) : 0;
    value = arena_str(&b->arena, value);
    if (name.n > 0 && name.p[0] == ':')
        return add_pseudo(b, name, value);
    if (!http_name_ok(name))
        return refuse(b, REFUSAL_FIELD);
    if (str_eq(name, S("host"))) {
        if (b->host.n > 0 || value.n == 0)
            return refuse(b, REFUSAL_HOST);
        b->host = value;
    } else if (str_eq(name, S("cookie"))) {
        http_add(&b->crumbs, &b->arena, S("cookie"), value);
    } else if (str_eq(name, S("content-length"))) {
        if (b->head.content_length >= 0 || http_content_length(value, &b->head.content_length) < 0)
            return refuse(b, REFUSAL_CONTENT_LENGTH);
    } else if (str_eq(name, S("expect")) && str_eq_nocase(value, S("100-continue"))) {
        b->head.expect_continue = true;
    } else if (!http_is_hop(name)) {
        http_add(&b->head.headers, &b->arena, arena_str(&b->arena, name), value);
    }
    return 0;
}

/* rfc9113,s8.2.3 */
static void join_cookies(struct h2_block *b)
{
    if (b->crumbs.n == 0)
        return;
    struct str all = b->crumbs.v[0].value;
    struct buf joined;
    buf_init(&joined, b->limits->header_bytes + b->limits->fields_max * 2);
    for (size_t i = 0; i < b->crumbs.n; i++) {
        buf_add(&joined, i > 0 ? S("; ") : S(""));
        buf_add(&joined, b->crumbs.v[i].value);
    }
    if (b->crumbs.n > 1)
        all = arena_str(&b->arena, buf_str(&joined));
    buf_done(&joined);
    http_add(&b->head.headers, &b->arena, S("cookie"), all);
}

static int finish_request(struct h2_block *b)
{
    struct http_head *head = &b->head;
    if (http_find(&head->headers, S("expect")) != NULL)
        return refuse(b, REFUSAL_EXPECTATION);
    if (head->authority.n == 0)
        head->authority = b->host;
    else if (b->host.n > 0 && !str_eq_nocase(b->host, head->authority))
        return refuse(b, REFUSAL_HOST);
    if (!http_authority_ok(head->authority))
        return refuse(b, REFUSAL_HOST);
    if (!http_name_ok(head->method))
        return refuse(b, REFUSAL_REQUEST_LINE);
    if (http_count(&head->headers, S("authorization")) > 1 ||
        http_count(&head->headers, S("x-api-key")) > 1 ||
        http_count(&head->headers, S("api-key")) > 1)
        return refuse(b, REFUSAL_CREDENTIALS);
    if (str_eq(head->method, S("CONNECT"))) { /* as in HTTP/1; the router answers 405 */
        head->target = head->authority;
        return 0;
    }
    if (!http_target_ok(head->target) ||
        (str_eq(head->target, S("*")) && !str_eq(head->method, S("OPTIONS"))))
        return refuse(b, REFUSAL_TARGET);
    return 0;
}

int h2_block_finish(struct h2_block *b, enum h2_role role, bool has_body)
{
    join_cookies(b);
    b->head.has_body = has_body;
    if (role == H2_SERVER)
        return finish_request(b);
    return b->head.status >= 100 && b->head.status <= 599 ? 0 : refuse(b, REFUSAL_REQUEST);
}

/* --- writing --- */

static void put(struct h2_fields *f, struct str name, struct str value, uint8_t flags)
{
    /* nghttp2 copies both, and does not write to them */
    f->v[f->n++] = (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name.p,
                                 .value = (uint8_t *)(uintptr_t)value.p,
                                 .namelen = name.n,
                                 .valuelen = value.n,
                                 .flags = flags };
}

/* What stays out of the HPACK tables, which all requests of a connection share: secrets, and values
 * that never come again, which would push out those that do. */
static const struct str unindexed[] = {
    S_INIT("authorization"),
    S_INIT("x-api-key"),
    S_INIT("api-key"),
    S_INIT("cookie"),
    S_INIT("request-id"),
    S_INIT("x-request-id"),
    S_INIT("x-client-request-id"),
    S_INIT("idempotency-key"),
    S_INIT("traceparent"),
    S_INIT("cf-ray"),
    S_INIT("openai-processing-ms"),
};

static uint8_t flags_of(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(unindexed); i++)
        if (str_eq(name, unindexed[i]))
            return NGHTTP2_NV_FLAG_NO_INDEX;
    return NGHTTP2_NV_FLAG_NONE;
}

static void put_headers(struct h2_fields *f, const struct http_headers *headers, bool with_length)
{
    for (size_t i = 0; i < headers->n; i++) {
        const struct http_header *h = &headers->v[i];
        if (http_is_hop(h->name) || str_eq(h->name, S("host")) || !http_lower_name_ok(h->name) ||
            !http_value_ok(h->value))
            continue;
        if (!with_length && str_eq(h->name, S("content-length")))
            continue;
        put(f, h->name, str_trim(h->value), flags_of(h->name));
    }
}

static void fields_init(struct h2_fields *f, size_t headers_n)
{
    f->n = 0;
    size_t n = headers_n + 5;
    f->v = n <= ARRAY_LEN(f->few) ? f->few : mem_alloc(n * sizeof(*f->v));
}

static void put_length(struct h2_fields *f, int64_t n)
{
    if (n >= 0)
        put(f, S("content-length"), str_u64((uint64_t)n, f->length), 0);
}

void h2_fields_of_request(struct h2_fields *f, const struct http_head *head)
{
    must(http_name_ok(head->method));
    must(http_target_ok(head->target));
    fields_init(f, head->headers.n);
    put(f, S(":method"), head->method, 0);
    put(f, S(":scheme"), head->scheme.n > 0 ? head->scheme : S("https"), 0);
    put(f, S(":authority"), head->authority, 0);
    put(f, S(":path"), head->target, 0);
    put_length(f, head->content_length);
    put_headers(f, &head->headers, false);
}

void h2_fields_of_reply(struct h2_fields *f, int status, const struct http_headers *headers,
                        int64_t content_length)
{
    must(status >= 100);
    must(status <= 999);
    fields_init(f, headers->n);
    put(f, S(":status"), str_u64((uint64_t)status, f->status), 0);
    if (status >= 200 && http_find(headers, S("date")) == NULL)
        put(f, S("date"), http_date(), 0); /* rfc9110,s6.6.1 */
    put_length(f, content_length);
    put_headers(f, headers, content_length < 0);
}

void h2_fields_done(struct h2_fields *f)
{
    if (f->v != f->few)
        free(f->v);
    f->v = NULL;
}

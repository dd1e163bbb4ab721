#include "h1_head.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "mem.h"

enum {
    METHOD_BYTES_MAX = 32,
    VERSION_BYTES = 8 /* "HTTP/1.1" */,
    FIELDS_FIRST = 16,
    TEXT_FIRST = 1024
};

/* Everything else is 405 in every router. */
static const struct str methods[] = {
    S_INIT("GET"),     S_INIT("POST"),  S_INIT("HEAD"),    S_INIT("PUT"),   S_INIT("DELETE"),
    S_INIT("OPTIONS"), S_INIT("PATCH"), S_INIT("CONNECT"), S_INIT("TRACE"),
};

/* Fields that say who is asking: a Connection header must not be able to remove
 * them, and two of them are two opinions. */
static const struct str credential_names[] = {
    S_INIT("authorization"),
    S_INIT("x-api-key"),
    S_INIT("api-key"),
};

struct h1_head *h1_head_new(const struct h1_limits *limits)
{
    must(limits->fields_max > 0);
    struct h1_head *h = mem_new(struct h1_head);
    h->limits = limits;
    h->head.content_length = -1;
    /* the list doubles as it grows: at most four times its final size in all */
    arena_init_wiped(&h->arena, (limits->fields_max + 16) * sizeof(struct http_header) * 4 +
                                    limits->header_bytes);
    buf_init(&h->text, limits->header_bytes);
    h->text.wiped = true;
    (void)!buf_reserve(&h->text,
                       limits->header_bytes < TEXT_FIRST ? limits->header_bytes : TEXT_FIRST);
    return h;
}

void h1_head_free(struct h1_head *h)
{
    if (h == NULL)
        return;
    buf_done(&h->text);
    arena_done(&h->arena);
    free(h->fields);
    free(h);
}

static int refuse(struct h1_head *h, enum refusal reason, const char *why)
{
    h->refusal = reason;
    h->why = why;
    return refusal_row(reason)->err;
}

static struct str text_at(const struct h1_head *h, size_t at, size_t n)
{
    return str_slice(buf_str(&h->text), at, at + n);
}

static int check_method(struct h1_head *h)
{
    struct str method = text_at(h, 0, h->method_n);
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (str_eq(method, methods[i]))
            return 0;
    return refuse(h, REFUSAL_METHOD, "unknown method");
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int check_version(struct h1_head *h)
{
    struct str v = text_at(h, h->method_n + h->target_n, h->version_n);
    if (!str_starts_nocase(v, S("HTTP/")))
        return refuse(h, REFUSAL_NOT_HTTP, "no HTTP version in the request line");
    if (v.n != VERSION_BYTES || !str_starts(v, S("HTTP/")) || !is_digit(v.p[5]) || v.p[6] != '.' ||
        !is_digit(v.p[7]))
        return refuse(h, REFUSAL_REQUEST_LINE, "malformed request line");
    h->head.major = v.p[5] - '0';
    h->head.minor = v.p[7] - '0';
    if (h->head.major != 1 || h->head.minor > 1)
        return refuse(h, REFUSAL_VERSION, "neither HTTP/1.0 nor HTTP/1.1");
    return check_method(h);
}

static int method_byte(struct h1_head *h, char c)
{
    if (c == ' ') {
        h->part = H1_TARGET;
        return h->method_n > 0 ? 0 : refuse(h, REFUSAL_REQUEST_LINE, "empty method");
    }
    if (!http_name_ok((struct str){ &c, 1 }))
        return refuse(h, REFUSAL_REQUEST_LINE, "bad byte in the method");
    if (++h->method_n > METHOD_BYTES_MAX)
        return refuse(h, REFUSAL_METHOD, "unknown method");
    buf_add_byte(&h->text, c);
    return 0;
}

static int target_byte(struct h1_head *h, char c)
{
    if (c == ' ' && h->target_n > 0) {
        h->part = H1_VERSION;
        return 0;
    }
    if ((c == '\r' || c == '\n') && h->target_n > 0)
        return refuse(h, REFUSAL_VERSION, "no HTTP version in the request line");
    if (c <= ' ' || c >= 0x7f)
        return refuse(h, REFUSAL_TARGET, "bad byte in the request target");
    if (++h->target_n > h->limits->target_bytes)
        return refuse(h, REFUSAL_TARGET_SIZE, "request target over the limit");
    buf_add_byte(&h->text, c);
    return 0;
}

static int version_byte(struct h1_head *h, char c)
{
    if (c == '\r') {
        h->part = H1_LINE_END;
        return check_version(h);
    }
    if (c <= ' ' || ++h->version_n > VERSION_BYTES)
        return refuse(h, REFUSAL_REQUEST_LINE, "malformed request line");
    buf_add_byte(&h->text, c);
    return 0;
}

int h1_head_line(struct h1_head *h, struct str bytes, size_t *ret_used)
{
    for (size_t i = 0; i < bytes.n; i++) {
        int e = 0;
        switch (h->part) {
        case H1_METHOD:
            e = method_byte(h, bytes.p[i]);
            break;
        case H1_TARGET:
            e = target_byte(h, bytes.p[i]);
            break;
        case H1_VERSION:
            e = version_byte(h, bytes.p[i]);
            break;
        case H1_LINE_END:
            if (bytes.p[i] != '\n')
                return refuse(h, REFUSAL_REQUEST_LINE, "malformed request line");
            *ret_used = i + 1;
            return 1;
        }
        if (e < 0)
            return e;
    }
    *ret_used = bytes.n;
    return 0;
}

static int field_piece(struct h1_head *h, struct str piece, size_t *n)
{
    struct h1_field *f = &h->fields[h->fields_n];
    if (piece.n > h->limits->field_bytes - f->name_n - f->value_n)
        return refuse(h, REFUSAL_FIELD_SIZE, "header field over the limit");
    buf_add(&h->text, piece);
    *n += piece.n;
    return h->text.overflow ? refuse(h, REFUSAL_HEAD_SIZE, "header over the limit") : 0;
}

/* The field being read. */
static struct h1_field *open_field(struct h1_head *h)
{
    if (h->fields_n == h->fields_cap) {
        size_t cap = h->fields_cap > 0 ? h->fields_cap * 2 : FIELDS_FIRST;
        h->fields = mem_realloc(h->fields, cap * sizeof(*h->fields));
        memset(h->fields + h->fields_cap, 0, (cap - h->fields_cap) * sizeof(*h->fields));
        h->fields_cap = cap;
    }
    return &h->fields[h->fields_n];
}

int h1_head_name(struct h1_head *h, struct str piece)
{
    if (h->fields_n == h->limits->fields_max)
        return refuse(h, REFUSAL_FIELD_COUNT, "too many header fields");
    struct h1_field *f = open_field(h);
    if (f->name_n == 0)
        f->name_at = buf_len(&h->text);
    return field_piece(h, piece, &f->name_n);
}

int h1_head_value(struct h1_head *h, struct str piece)
{
    must(h->fields_n < h->limits->fields_max);
    struct h1_field *f = open_field(h);
    if (f->value_n == 0)
        f->value_at = buf_len(&h->text);
    return field_piece(h, piece, &f->value_n);
}

int h1_head_field_end(struct h1_head *h)
{
    must(h->fields_n < h->limits->fields_max);
    struct h1_field *f = open_field(h);
    h->fields_n++;
    char *name = h->text.p + h->text.from + f->name_at;
    if (!http_name_to_lower(name, f->name_n))
        return refuse(h, REFUSAL_FIELD, "bad header name");
    if (!http_value_ok(text_at(h, f->value_at, f->value_n)))
        return refuse(h, REFUSAL_FIELD, "control byte in a header value");
    return 0;
}

static int take_length(struct h1_head *h, struct str value)
{
    if (h->has_length)
        return refuse(h, REFUSAL_CONTENT_LENGTH, "more than one Content-Length");
    if (http_content_length(value, &h->head.content_length) < 0)
        return refuse(h, REFUSAL_CONTENT_LENGTH, "bad Content-Length");
    h->has_length = true;
    return 0;
}

static int take_coding(struct h1_head *h, struct str value)
{
    if (h->chunked || !str_eq_nocase(value, S("chunked")))
        return refuse(h, REFUSAL_TRANSFER_ENCODING, "Transfer-Encoding other than one chunked");
    if (h->head.minor == 0)
        return refuse(h, REFUSAL_TRANSFER_ENCODING, "Transfer-Encoding in HTTP/1.0");
    h->chunked = true;
    return 0;
}

static int take_host(struct h1_head *h, struct str value)
{
    if (h->head.authority.n > 0)
        return refuse(h, REFUSAL_HOST, "more than one Host");
    if (!http_authority_ok(value))
        return refuse(h, REFUSAL_HOST, "bad Host");
    h->head.authority = value;
    return 0;
}

static int take_expect(struct h1_head *h, struct str value)
{
    if (!str_eq_nocase(value, S("100-continue")))
        return refuse(h, REFUSAL_EXPECTATION, "unknown expectation");
    h->head.expect_continue = h->head.minor > 0;
    return 0;
}

static int take_upgrade(struct h1_head *h, struct str value)
{
    h->head.upgrade = true;
    if (http_has_token(value, S("websocket")))
        h->head.upgrade_websocket = true;
    return 0;
}

static int take_connection(struct h1_head *h, struct str value)
{
    h->close = h->close || http_has_token(value, S("close"));
    h->keep_alive = h->keep_alive || http_has_token(value, S("keep-alive"));
    return 0;
}

struct known_field {
    struct str name;
    int (*take)(struct h1_head *h, struct str value);
    bool requests_only; /* dropped from replies */
};

static const struct known_field known_fields[] = {
    { S_INIT("content-length"), take_length, false },
    { S_INIT("transfer-encoding"), take_coding, false },
    { S_INIT("connection"), take_connection, false },
    { S_INIT("host"), take_host, true },
    { S_INIT("expect"), take_expect, true },
    { S_INIT("upgrade"), take_upgrade, true },
};

static int take_field(struct h1_head *h, enum h1_role role, struct str name, struct str value)
{
    for (size_t i = 0; i < ARRAY_LEN(known_fields); i++) {
        const struct known_field *k = &known_fields[i];
        if (str_eq(name, k->name))
            return k->requests_only && role == H1_CLIENT ? 0 : k->take(h, value);
    }
    if (!http_is_hop(name))
        http_add(&h->head.headers, &h->arena, name, value);
    return 0;
}

/* Removes what the Connection header names. */
static int drop_named(struct h1_head *h, enum h1_role role, struct str list)
{
    struct str part;
    while (str_next(&list, ',', &part)) {
        char name[64]; /* no known field has a longer name */
        part = str_trim(part);
        if (part.n > sizeof(name))
            return refuse(h, REFUSAL_CONNECTION, "bad Connection");
        for (size_t i = 0; i < part.n; i++)
            name[i] = (char)str_lower_byte((unsigned char)part.p[i]);
        struct str lower = { name, part.n };
        for (size_t i = 0; role == H1_SERVER && i < ARRAY_LEN(credential_names); i++)
            if (str_eq(lower, credential_names[i]))
                return refuse(h, REFUSAL_CONNECTION, "Connection names a credential");
        http_remove(&h->head.headers, lower);
    }
    return 0;
}

/* "http://host/path" becomes "/path" when host is the Host. */
static int reduce_target(struct h1_head *h)
{
    struct str *target = &h->head.target;
    size_t from = str_starts_nocase(*target, S("http://"))    ? 7
                  : str_starts_nocase(*target, S("https://")) ? 8
                                                              : 0;
    if (from == 0)
        return 0;
    size_t to = from;
    while (to < target->n && target->p[to] != '/' && target->p[to] != '?')
        to++;
    if (!str_eq_nocase(str_slice(*target, from, to), h->head.authority))
        return refuse(h, REFUSAL_HOST, "request target and Host differ");
    struct str rest = str_slice(*target, to, target->n);
    if (rest.n == 0 && str_eq(h->head.method, S("OPTIONS")))
        rest = S("*");
    else if (rest.n == 0 || rest.p[0] == '?')
        rest = arena_cat(&h->arena, S("/"), rest);
    *target = rest;
    return 0;
}

static int finish_request(struct h1_head *h)
{
    struct http_head *head = &h->head;
    head->method = text_at(h, 0, h->method_n);
    head->target = text_at(h, h->method_n, h->target_n);
    if (head->authority.n == 0 && head->minor > 0)
        return refuse(h, REFUSAL_HOST, "no Host");
    for (size_t i = 0; i < ARRAY_LEN(credential_names); i++)
        if (http_count(&head->headers, credential_names[i]) > 1)
            return refuse(h, REFUSAL_CREDENTIALS, "a credential was given twice");
    if (str_eq(head->method, S("CONNECT"))) /* authority form; the router answers 405 */
        return 0;
    int e = reduce_target(h);
    if (e < 0)
        return e;
    if (!http_target_ok(head->target) ||
        (str_eq(head->target, S("*")) && !str_eq(head->method, S("OPTIONS"))))
        return refuse(h, REFUSAL_TARGET, "bad request target");
    return 0;
}

void h1_head_asked(const struct h1_head *h, struct str *ret_method, struct str *ret_target)
{
    *ret_method = text_at(h, 0, h->method_n);
    *ret_target = text_at(h, h->method_n, h->target_n);
}

int h1_head_finish(struct h1_head *h, enum h1_role role)
{
    http_reserve(&h->head.headers, &h->arena, h->fields_n);
    for (size_t i = 0; i < h->fields_n; i++) {
        const struct h1_field *f = &h->fields[i];
        int e = take_field(h, role, text_at(h, f->name_at, f->name_n),
                           str_trim(text_at(h, f->value_at, f->value_n)));
        if (e < 0)
            return e;
    }
    for (size_t i = 0; i < h->fields_n; i++) {
        const struct h1_field *f = &h->fields[i];
        if (!str_eq(text_at(h, f->name_at, f->name_n), S("connection")))
            continue;
        int e = drop_named(h, role, text_at(h, f->value_at, f->value_n));
        if (e < 0)
            return e;
    }
    if (h->chunked && h->has_length)
        return refuse(h, REFUSAL_TRANSFER_ENCODING, "Content-Length with Transfer-Encoding");
    return role == H1_SERVER ? finish_request(h) : 0;
}

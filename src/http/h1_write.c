#include "h1.h"

#include <string.h>

static char *put(char *to, struct str s)
{
    if (s.n > 0)
        memcpy(to, s.p, s.n);
    return to + s.n;
}

static void write_field(struct buf *out, struct str name, struct str value)
{
    char *begin = buf_reserve(out, name.n + value.n + 4), *to = begin;
    if (begin == NULL)
        return;
    to = put(to, name);
    to = put(to, S(": "));
    to = put(to, value);
    to = put(to, S("\r\n"));
    buf_commit(out, (size_t)(to - begin));
}

/* Framing and the connection are the codec's to say. */
static bool is_ours(struct str name)
{
    return str_eq(name, S("host")) || str_eq(name, S("content-length")) || http_is_hop(name);
}

static void write_headers(struct buf *out, const struct http_headers *headers)
{
    for (size_t i = 0; i < headers->n; i++) {
        const struct http_header *h = &headers->v[i];
        if (!is_ours(h->name) && http_name_ok(h->name) && http_value_ok(h->value))
            write_field(out, h->name, h->value);
    }
}

static void write_framing(struct buf *out, int64_t body_bytes)
{
    if (body_bytes >= 0) {
        buf_add(out, S("content-length: "));
        buf_add_u64(out, (uint64_t)body_bytes);
        buf_add(out, S("\r\n"));
    } else if (body_bytes == -1) {
        buf_add(out, S("transfer-encoding: chunked\r\n"));
    }
}

void h1_write_request(struct buf *out, const struct http_head *head, int64_t body_bytes)
{
    must(body_bytes >= -2);
    must(http_name_ok(head->method));
    must(http_target_ok(head->target));
    must(http_value_ok(head->authority));
    buf_add(out, head->method);
    buf_add_byte(out, ' ');
    buf_add(out, head->target);
    buf_add(out, S(" HTTP/1.1\r\n"));
    write_field(out, S("host"), head->authority);
    write_headers(out, &head->headers);
    write_framing(out, body_bytes);
    buf_add(out, S("\r\n"));
}

void h1_write_reply(struct buf *out, int status, const struct http_headers *headers,
                    int64_t body_bytes, bool keep_alive, int client_minor)
{
    must(status >= 100);
    must(status <= 999);
    must(body_bytes >= -3);
    must(body_bytes != -1 || client_minor > 0);
    bool no_length = status < 200 || status == 204 || status == 304;
    buf_add(out, S("HTTP/1.1 "));
    buf_add_u64(out, (uint64_t)status);
    buf_add_byte(out, ' ');
    buf_add(out, str_of(http_reason(status)));
    buf_add(out, S("\r\n"));
    write_headers(out, headers);
    if (!no_length)
        write_framing(out, body_bytes);
    if (status >= 200) {
        if (http_find(headers, S("date")) == NULL)
            write_field(out, S("date"), http_date());
        if (!keep_alive || body_bytes == -3)
            write_field(out, S("connection"), S("close"));
        else if (client_minor == 0)
            write_field(out, S("connection"), S("keep-alive"));
    }
    buf_add(out, S("\r\n"));
}

static void write_size(struct buf *out, size_t n)
{
    char digits[2 * sizeof(n)];
    size_t i = sizeof(digits);
    do {
        digits[--i] = "0123456789abcdef"[n & 0xf];
        n >>= 4;
    } while (n > 0);
    buf_add(out, (struct str){ digits + i, sizeof(digits) - i });
    buf_add(out, S("\r\n"));
}

void h1_write_chunk(struct buf *out, struct str bytes)
{
    must(bytes.n > 0); /* an empty chunk ends the body */
    write_size(out, bytes.n);
    buf_add(out, bytes);
    buf_add(out, S("\r\n"));
}

void h1_write_last_chunk(struct buf *out)
{
    buf_add(out, S("0\r\n\r\n"));
}

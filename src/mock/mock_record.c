#include "mock_record.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "hash.h"
#include "json.h"
#include "mem.h"
#include "mock_text.h"

enum { HEAD_BYTES_MAX = 16 * 1024 * 1024 };

struct record {
    struct list link;
    struct arena arena; /* head and remote */
    struct http_head head;
    struct str remote;
    uint64_t number, connection;
    char *body;
    size_t body_bytes;
    bool cancelled;
};

void mock_records_init(struct mock_records *r)
{
    *r = (struct mock_records){ 0 };
    list_init(&r->list);
}

static void drop_oldest(struct mock_records *r)
{
    struct record *rec = list_first(&r->list, struct record, link);
    list_remove(&rec->link);
    r->n--;
    r->body_bytes -= rec->body_bytes;
    arena_done(&rec->arena);
    free(rec->body);
    free(rec);
}

void mock_records_clear(struct mock_records *r)
{
    while (r->n > 0)
        drop_oldest(r);
}

void mock_record_add(struct mock_records *r, uint64_t number, uint64_t connection,
                     struct str remote, const struct http_head *head, char *body, size_t body_bytes,
                     bool cancelled)
{
    struct record *rec = mem_new(struct record);
    arena_init(&rec->arena, HEAD_BYTES_MAX);
    http_head_copy(head, &rec->arena, &rec->head);
    rec->remote = arena_str(&rec->arena, remote);
    rec->number = number;
    rec->connection = connection;
    rec->body = body;
    rec->body_bytes = body_bytes;
    rec->cancelled = cancelled;
    list_append(&r->list, &rec->link);
    r->n++;
    r->body_bytes += body_bytes;
    while (r->n > MOCK_RECORDS_MAX || (r->body_bytes > MOCK_RECORD_BODY_BYTES && r->n > 1))
        drop_oldest(r);
}

void mock_record_cancelled(struct mock_records *r, uint64_t number)
{
    for (struct list *it = r->list.prev; it != &r->list; it = it->prev) {
        struct record *rec = list_entry(it, struct record, link);
        if (rec->number == number)
            rec->cancelled = true;
        if (rec->number <= number)
            return;
    }
}

void mock_sha256(struct str bytes, struct buf *out)
{
    char digits[2 * HASH_BYTES];
    hash_hex(bytes, digits, sizeof(digits));
    buf_add(out, (struct str){ digits, sizeof(digits) });
}

static void add_base64(struct buf *out, struct str bytes)
{
    enum { STEP = 3 * 16 * 1024 }; /* a multiple of 3: no padding inside */
    for (size_t at = 0; at < bytes.n; at += STEP) {
        struct str part = str_slice(bytes, at, at + STEP);
        char *to = buf_reserve(out, (part.n + 2) / 3 * 4 + 1);
        if (to == NULL)
            return;
        int n = EVP_EncodeBlock((unsigned char *)to, (const unsigned char *)part.p, (int)part.n);
        buf_commit(out, (size_t)n);
    }
}

/* How many bytes the character at p has, n bytes being there; 0: not UTF-8 (rfc3629,s4). */
static size_t utf8_len(const unsigned char *p, size_t n)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (len == 0 || len > n || p[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

static bool is_utf8(struct str s)
{
    for (size_t at = 0; at < s.n;) {
        size_t len = utf8_len((const unsigned char *)s.p + at, s.n - at);
        if (len == 0)
            return false;
        at += len;
    }
    return true;
}

static void write_headers(const struct http_headers *h, struct buf *out)
{
    for (size_t i = 0; i < h->n; i++)
        mock_json(out, i == 0 ? "[$s,$s]" : ",[$s,$s]", h->v[i].name, h->v[i].value);
}

static void write_record(const struct record *rec, struct buf *out)
{
    struct str body = { rec->body, rec->body_bytes };
    mock_json(out,
              "{\"number\":$u,\"connection\":{\"number\":$u,\"remote\":$s},\"method\":$s,"
              "\"target\":$s,\"version\":$s,\"authority\":$s,\"headers\":[",
              rec->number, rec->connection, rec->remote, rec->head.method, rec->head.target,
              rec->head.major >= 2   ? S("2")
              : rec->head.minor == 0 ? S("1.0")
                                     : S("1.1"),
              rec->head.authority);
    write_headers(&rec->head.headers, out);
    mock_json(out, "],\"body_bytes\":$u,\"body_base64\":\"", (uint64_t)body.n);
    add_base64(out, body);
    buf_add(out, S("\",\"body_text\":"));
    if (is_utf8(body))
        json_write_str(out, body);
    else
        buf_add(out, S("null"));
    buf_add(out, S(",\"sha256\":\""));
    mock_sha256(body, out);
    mock_json(out, "\",\"cancelled\":$r}", rec->cancelled ? S("true") : S("false"));
}

void mock_records_write(const struct mock_records *r, uint64_t last, struct buf *out)
{
    uint64_t skip = last > 0 && last < r->n ? r->n - last : 0;
    bool first = true;
    buf_add_byte(out, '[');
    list_each (it, tmp, &r->list) {
        if (skip > 0) {
            skip--;
            continue;
        }
        if (!first)
            buf_add_byte(out, ',');
        write_record(list_entry(it, struct record, link), out);
        first = false;
    }
    buf_add_byte(out, ']');
}

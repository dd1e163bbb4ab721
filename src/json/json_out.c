#include "json_out.h"

#include <string.h>

#include "json.h"
#include "json_scan.h"

void json_out_init(struct json_out *o, struct buf *buf)
{
    *o = (struct json_out){ .buf = buf };
}

static void value_begin(struct json_out *o)
{
    if (o->comma)
        buf_add_byte(o->buf, ',');
    o->comma = true;
}

static void container_begin(struct json_out *o, char c)
{
    value_begin(o);
    buf_add_byte(o->buf, c);
    o->comma = false;
}

static void container_end(struct json_out *o, char c)
{
    buf_add_byte(o->buf, c);
    o->comma = true;
}

void json_out_object(struct json_out *o)
{
    container_begin(o, '{');
}

void json_out_object_end(struct json_out *o)
{
    container_end(o, '}');
}

void json_out_array(struct json_out *o)
{
    container_begin(o, '[');
}

void json_out_array_end(struct json_out *o)
{
    container_end(o, ']');
}

void json_out_name(struct json_out *o, struct str name)
{
    json_out_str(o, name);
    buf_add_byte(o->buf, ':');
    o->comma = false;
}

void json_out_str(struct json_out *o, struct str plain)
{
    value_begin(o);
    json_write_str(o->buf, plain);
}

void json_out_text(struct json_out *o, struct text text)
{
    json_out_string_begin(o);
    json_out_string_add(o, text);
    json_out_string_end(o);
}

void json_out_i64(struct json_out *o, int64_t n)
{
    value_begin(o);
    if (n < 0)
        buf_add_byte(o->buf, '-');
    buf_add_u64(o->buf, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
}

void json_out_bool(struct json_out *o, bool b)
{
    value_begin(o);
    buf_add(o->buf, b ? S("true") : S("false"));
}

void json_out_null(struct json_out *o)
{
    value_begin(o);
    buf_add(o->buf, S("null"));
}

void json_out_member_str(struct json_out *o, struct str name, struct str plain)
{
    json_out_name(o, name);
    json_out_str(o, plain);
}

void json_out_member_text(struct json_out *o, struct str name, struct text text)
{
    json_out_name(o, name);
    json_out_text(o, text);
}

void json_out_member_raw(struct json_out *o, struct str name, struct str value)
{
    json_out_name(o, name);
    json_out_raw(o, value);
}

void json_out_member_i64(struct json_out *o, struct str name, int64_t n)
{
    json_out_name(o, name);
    json_out_i64(o, n);
}

void json_out_member_bool(struct json_out *o, struct str name, bool b)
{
    json_out_name(o, name);
    json_out_bool(o, b);
}

void json_out_member_null(struct json_out *o, struct str name)
{
    json_out_name(o, name);
    json_out_null(o);
}

void json_out_string_begin(struct json_out *o)
{
    value_begin(o);
    buf_add_byte(o->buf, '"');
}

void json_out_string_add(struct json_out *o, struct text piece)
{
    text_add(o->buf, piece);
}

void json_out_string_end(struct json_out *o)
{
    buf_add_byte(o->buf, '"');
}

/* ---- raw values ---- */

/* A value cut into what may be copied as it is and what is written instead of a flaw. */
struct pieces {
    const char *p, *end;
    const char *string_end; /* p is inside a string that ends here; NULL: outside */
    struct text_flaw flaw;  /* at p, when its n is not 0 */
};

static void pieces_init(struct pieces *it, struct str value)
{
    *it = (struct pieces){ .p = value.p, .end = value.p + value.n };
}

/* Goes on to the next white space or flaw. */
static void skip_good(struct pieces *it)
{
    while (it->p < it->end) {
        if (it->string_end == NULL && *it->p != '"') {
            if (json_skip_space(it->p, it->end) != it->p)
                return;
            it->p++;
            continue;
        }
        if (it->string_end == NULL)
            it->string_end = json_skip_string(it->p, it->end);
        struct str rest = { it->p, (size_t)(it->string_end - it->p) };
        if (text_flaw_find(rest, &it->flaw)) {
            it->p += it->flaw.at;
            return;
        }
        it->p = it->string_end;
        it->string_end = NULL;
    }
}

static bool piece_next(struct pieces *it, struct str *ret_piece)
{
    if (it->flaw.n == 0) {
        if (it->string_end == NULL)
            it->p = json_skip_space(it->p, it->end);
        const char *from = it->p;
        skip_good(it);
        if (it->p > from) {
            *ret_piece = (struct str){ from, (size_t)(it->p - from) };
            return true;
        }
    }
    if (it->flaw.n == 0)
        return false;
    *ret_piece = (struct str){ it->flaw.instead, it->flaw.instead_n }; /* dies at the next call */
    it->p += it->flaw.n;
    it->flaw.n = 0;
    return true;
}

void json_out_raw(struct json_out *o, struct str value)
{
    struct pieces it;
    struct str piece;
    value_begin(o);
    pieces_init(&it, value);
    while (piece_next(&it, &piece))
        buf_add(o->buf, piece);
}

void json_out_elements(struct json_out *o, struct str array)
{
    struct str inside = str_slice(array, 1, array.n - 1);
    if (inside.n > 0)
        json_out_raw(o, inside);
}

struct str json_compact(struct arena *a, struct str value)
{
    struct pieces it;
    struct str piece = { NULL, 0 };
    size_t n = 0;
    pieces_init(&it, value);
    for (bool first = true; piece_next(&it, &piece); first = false) {
        n += piece.n;
        if (first && it.flaw.n == 0 && json_skip_space(it.p, it.end) == it.end)
            return piece;
    }
    char *out = arena_new(a, char, n), *to = out;
    pieces_init(&it, value);
    while (piece_next(&it, &piece)) {
        memcpy(to, piece.p, piece.n);
        to += piece.n;
    }
    return (struct str){ out, n };
}

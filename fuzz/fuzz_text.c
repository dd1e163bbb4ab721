/*
 * Goal: texts keep their meaning on every way through text.h and json_out.h.
 * Method: the input is taken as plain bytes, as the inside of a JSON string and as a whole JSON
 * value; what comes out is read by yyjson and compared with what yyjson read of the input.
 */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "json_edit.h"
#include "json_out.h"
#include "text.h"

static struct str as_str(struct text t)
{
    return (struct str){ t.p, t.n };
}

static struct str quoted(struct arena *a, struct str inside)
{
    return arena_cat(a, arena_cat(a, S("\""), inside), S("\""));
}

/* What a JSON string says, by the other reader; false when it is not valid. */
static bool meaning(struct arena *a, struct str json, struct str *ret_plain)
{
    yyjson_doc *doc;
    if (json_parse(json, &doc, NULL) < 0)
        return false;
    bool is_string = yyjson_is_str(yyjson_doc_get_root(doc));
    if (is_string)
        *ret_plain = arena_str(a, json_str(yyjson_doc_get_root(doc)));
    yyjson_doc_free(doc);
    return is_string;
}

static size_t characters(struct str plain)
{
    size_t n = 0;
    for (size_t i = 0; i < plain.n; i++)
        n += ((unsigned char)plain.p[i] & 0xc0) != 0x80;
    return n;
}

static void check_text(struct arena *a, struct text t, struct str plain)
{
    struct str back;
    struct text_flaw flaw;
    must(!text_flaw_find(as_str(t), &flaw));
    must(meaning(a, quoted(a, as_str(t)), &back));
    must(str_eq(back, plain));
    must(str_eq(text_plain(a, t), plain));
    must(text_chars(t) == characters(plain));
    must(text_blank(t) == (str_trim(plain).n == 0));
    struct str start = text_plain(a, text_trim_start(t));
    must(str_ends(plain, start));
    must(str_trim(str_slice(plain, 0, plain.n - start.n)).n == 0);
    must(start.n == 0 || str_trim(start).p == start.p);
    struct str trimmed = text_plain(a, text_trim_end(t));
    must(str_starts(plain, trimmed));
    must(str_trim(str_slice(plain, trimmed.n, plain.n)).n == 0);
    must(trimmed.n == 0 || str_trim(trimmed).p + str_trim(trimmed).n == trimmed.p + trimmed.n);
}

static void check_plain(struct arena *a, struct str plain)
{
    struct text t = text_escape(a, plain);
    struct str back;
    must(meaning(a, json_quote(a, plain), &back)); /* invalid UTF-8 is mended */
    check_text(a, t, back);
    for (size_t i = 0; i < back.n && i < 8 && (unsigned char)back.p[i] < 0x80; i++) {
        must(text_starts(t, str_slice(back, 0, i + 1)));
        must(text_starts_nocase(t, arena_lower(a, str_slice(back, 0, i + 1))));
    }
}

/* Marks are characters for text.h, and lone surrogates for all others. */
static bool has_mark(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (json_mark_at(s.p + i, s.p + s.n) != 0)
            return true;
    return false;
}

/* Deltas: cut behind any character or escape, and at all of them at once. */
static void check_join(struct arena *a, struct str inside, struct text want)
{
    struct text_held two = { .n = 0 }, all = { .n = 0 };
    struct text joined = { NULL, 0 };
    size_t from = 0;
    struct str plain = text_plain(a, want);
    while (from < inside.n) {
        size_t to = from + 1;
        if (inside.p[from] == '\\')
            to = from + (inside.p[from + 1] == 'u' ? 6 : 2);
        while (to < inside.n && ((unsigned char)inside.p[to] & 0xc0) == 0x80)
            to++;
        joined = text_cat(a, joined, text_join(&all, a, str_slice(inside, from, to)));
        if (to > 4096) /* all pairs of pieces would be too many */
            return;
        struct text x = text_join(&two, a, str_slice(inside, 0, to));
        x = text_cat(a, x, text_join(&two, a, str_slice(inside, to, inside.n)));
        x = text_cat(a, x, text_join_end(&two));
        must(str_eq(text_plain(a, x), plain));
        from = to;
    }
    joined = text_cat(a, joined, text_join_end(&all));
    must(str_eq(text_plain(a, joined), plain));
}

static void check_inside(struct arena *a, struct str inside)
{
    struct str plain, json = quoted(a, inside);
    if (!meaning(a, json, &plain))
        return;
    struct json_edit e;
    json_edit_init(&e, a, json);
    struct text t = text_of(&e, a, json_root(&e));
    bool marks = has_mark(inside);
    check_text(a, t, marks ? text_plain(a, t) : plain);
    must(str_eq(text_inside(&e, json_root(&e)), inside));
    check_join(a, inside, t);
    must(str_eq(json_string(&e, json_root(&e)), plain));
}

/* Compacting: the same value, nothing more to do to it, and both ways alike. */
static void check_value(struct arena *a, struct str json)
{
    yyjson_doc *doc;
    if (json_parse(json, &doc, NULL) < 0)
        return;
    yyjson_doc_free(doc);
    struct str compact = json_compact(a, json);
    must(has_mark(json) || json_equal(json, compact, true));
    must(json_compact(a, compact).p == compact.p);
    struct buf buf;
    struct json_out o;
    buf_init(&buf, SIZE_MAX);
    json_out_init(&o, &buf);
    json_out_array(&o);
    json_out_raw(&o, json);
    json_out_raw(&o, compact);
    json_out_array_end(&o);
    struct str twice = arena_cat(a, arena_cat(a, S("["), compact), S(","));
    must(str_eq(buf_str(&buf), arena_cat(a, arena_cat(a, twice, compact), S("]"))));
    buf_done(&buf);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    struct arena a;
    arena_init(&a, SIZE_MAX);
    struct str in = arena_str(&a, (struct str){ (const char *)bytes, n });
    check_plain(&a, in);
    check_inside(&a, in);
    check_value(&a, in);
    arena_done(&a);
    return 0;
}

/*
 * Goal: whatever a model or a client calls arguments, an upstream gets an object and the client
 * gets back what was there (C1.7).
 */
#include <string.h>

#include "args.h"
#include "json.h"
#include "json_out.h"

static bool is_valid(struct str json, yyjson_type type)
{
    yyjson_doc *doc;
    if (json_parse(json, &doc, NULL) < 0)
        return false;
    bool is = type == YYJSON_TYPE_NONE || yyjson_get_type(yyjson_doc_get_root(doc)) == type;
    yyjson_doc_free(doc);
    return is;
}

static bool is_utf8(struct arena *a, struct str s)
{
    struct str quoted = json_quote(a, s);
    return str_eq(text_plain(a, (struct text){ quoted.p + 1, quoted.n - 2 }), s);
}

/* There and back: an object is the same object; what is none comes back verbatim. */
static void check_object(struct arena *a, struct str in)
{
    struct str object = args_object(a, in), trimmed = str_trim(in);
    must(is_valid(object, YYJSON_TYPE_OBJ));
    must(json_compact(a, object).p == object.p);
    must(str_eq(args_object(a, object), object));
    struct str back = args_text(a, object);
    if (is_valid(trimmed, YYJSON_TYPE_OBJ))
        must(json_equal(object, in, true));
    else if (str_starts(object, S("{\"__ccp_raw_arguments\":")) && is_utf8(a, in) &&
             !is_valid(trimmed, YYJSON_TYPE_STR))
        must(str_eq(back, in));
}

static void check_custom(struct arena *a, struct str in)
{
    struct str wrapped = args_wrap(a, in);
    must(is_valid(wrapped, YYJSON_TYPE_OBJ));
    must(!is_utf8(a, in) || str_eq(args_unwrap(a, wrapped), in));
    (void)args_unwrap(a, in);
    struct str value = args_unwrap_value(a, in);
    must(!is_valid(in, YYJSON_TYPE_NONE) || is_valid(value, YYJSON_TYPE_NONE));
}

/* Pieces of any size say the same; a whole object is complete, and no true beginning of it. */
static void check_scan(struct arena *a, struct str in)
{
    struct text t = text_escape(a, in);
    struct args_scan one = { 0 }, all = { 0 };
    bool object = is_valid(in, YYJSON_TYPE_OBJ);
    args_scan_feed(&one, t);
    for (size_t from = 0; from < t.n;) {
        size_t to = from + 1;
        if (t.p[from] == '\\')
            to = from + (t.p[from + 1] == 'u' ? 6 : 2);
        else
            while (to < t.n && ((unsigned char)t.p[to] & 0xc0) == 0x80)
                to++;
        args_scan_feed(&all, (struct text){ t.p + from, to - from });
        must(!object || !all.complete ||
             str_trim(text_plain(a, (struct text){ t.p + to, t.n - to })).n == 0);
        from = to;
    }
    must(one.complete == all.complete);
    must(!object || one.complete);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    struct arena a;
    arena_init(&a, SIZE_MAX);
    struct str in = arena_str(&a, (struct str){ (const char *)bytes, n });
    check_object(&a, in);
    if (is_valid(in, YYJSON_TYPE_NONE))
        must(is_valid(json_quote(&a, args_text(&a, in)), YYJSON_TYPE_STR));
    check_custom(&a, in);
    check_scan(&a, in);
    arena_done(&a);
    return 0;
}

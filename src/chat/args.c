#include "args.h"

#include <string.h>

#include "json.h"
#include "json_edit.h"
#include "json_out.h"
#include "json_scan.h"

#define RAW_NAME "__ccp_raw_arguments"

/* {"name":text} */
static struct str wrap(struct arena *a, struct str name, struct str text)
{
    struct buf buf;
    struct json_out o;
    buf_init(&buf, SIZE_MAX);
    json_out_init(&o, &buf);
    json_out_object(&o);
    json_out_member_str(&o, name, text);
    json_out_object_end(&o);
    struct str wrapped = arena_str(a, buf_str(&buf));
    buf_done(&buf);
    return wrapped;
}

static bool is_object(struct str json)
{
    return json.n > 0 && json.p[0] == '{' && json_is_valid(json);
}

/* The content of a JSON string; false when it is none. */
static bool open_string(struct arena *a, struct str json, struct str *ret_content)
{
    yyjson_doc *doc;
    if (json.n == 0 || json.p[0] != '"' || json_parse(json, &doc, NULL) < 0)
        return false;
    *ret_content = arena_str(a, json_str(yyjson_doc_get_root(doc)));
    yyjson_doc_free(doc);
    return true;
}

struct str args_object(struct arena *a, struct str arguments)
{
    struct str json = str_trim(arguments), content;
    if (json.n == 0 || str_eq(json, S("null")))
        return S("{}");
    if (is_object(json))
        return json_compact(a, json);
    if (open_string(a, json, &content) && is_object(str_trim(content)))
        return json_compact(a, str_trim(content));
    return wrap(a, S(RAW_NAME), arguments);
}

bool args_were_raw(struct str object)
{
    return str_starts(object, S("{\"" RAW_NAME "\":"));
}

/* The value of an object's only member, if that is its name and it is a string. */
static bool sole_string(struct str object, struct str name, struct str *ret_quoted)
{
    const char *end = object.p + object.n;
    const char *p = json_skip_space(object.p + 1, end);
    if (*p != '"')
        return false;
    const char *after = json_skip_string(p, end);
    if (!json_quoted_is((struct str){ p, (size_t)(after - p) }, name))
        return false;
    p = json_skip_space(json_skip_space(after, end) + 1, end);
    if (*p != '"')
        return false;
    after = json_skip_string(p, end);
    *ret_quoted = (struct str){ p, (size_t)(after - p) };
    return *json_skip_space(after, end) == '}';
}

struct str args_text(struct arena *a, struct str raw_input)
{
    struct str json = str_trim(raw_input), quoted, content;
    if (json.n == 0 || str_eq(json, S("null")))
        return S("{}");
    if (json.p[0] == '{' && sole_string(json, S(RAW_NAME), &quoted)) {
        must(open_string(a, quoted, &content));
        return content;
    }
    if (json.p[0] == '"' && open_string(a, json, &content) && is_object(str_trim(content)))
        return content;
    return json_compact(a, json);
}

struct str args_wrap(struct arena *a, struct str text)
{
    return wrap(a, S("input"), text);
}

/* An object's member `input`, or else its only one. */
static yyjson_val *input_of(yyjson_val *root)
{
    yyjson_val *input = json_member(root, S("input"));
    if (yyjson_is_str(input) || yyjson_obj_size(root) != 1)
        return input;
    yyjson_obj_iter it = yyjson_obj_iter_with(root);
    return yyjson_obj_iter_get_val(yyjson_obj_iter_next(&it));
}

struct str args_unwrap(struct arena *a, struct str arguments)
{
    yyjson_doc *doc;
    if (json_parse(arguments, &doc, NULL) < 0)
        return arguments;
    yyjson_val *input = input_of(yyjson_doc_get_root(doc));
    struct str text = yyjson_is_str(input) ? arena_str(a, json_str(input)) : arguments;
    yyjson_doc_free(doc);
    return text;
}

struct str args_unwrap_value(struct arena *a, struct str arguments)
{
    struct str json = str_trim(arguments);
    if (!is_object(json))
        return arguments;
    struct json_edit e;
    json_edit_init(&e, a, json);
    struct json_node *value = json_find(&e, json_root(&e), S("value"));
    return value != NULL ? json_raw(&e, value) : arguments;
}

/* ---- pieces ---- */

enum { SCAN_BROKEN = -1 }; /* depth of what can never become a value */

static void scan_byte(struct args_scan *s, char c)
{
    if (s->in_string) {
        bool ends = c == '"' && !s->escaped;
        s->escaped = c == '\\' && !s->escaped;
        s->in_string = !ends;
        s->complete = ends && s->depth == 0;
        return;
    }
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
        return;
    if (s->complete || s->depth == SCAN_BROKEN || (!s->begun && (c == '}' || c == ']'))) {
        s->complete = false;
        s->depth = SCAN_BROKEN;
        return;
    }
    s->begun = true;
    if (c == '"')
        s->in_string = true;
    else if (c == '{' || c == '[')
        s->depth++;
    else if ((c == '}' || c == ']') && --s->depth == 0)
        s->complete = true;
}

/* Brackets are counted, not matched: whoever needs a valid value parses it.  Where a number ends
 * cannot be known, so one that stands alone is never complete. */
void args_scan_feed(struct args_scan *s, struct text piece)
{
    const char *p = piece.p, *end = piece.n > 0 ? piece.p + piece.n : piece.p;
    while (p < end) {
        char utf8[4] = { *p };
        size_t n = 1;
        p = *p == '\\' ? json_unescape_one(p, end, utf8, &n) : p + 1;
        scan_byte(s, n == 1 ? utf8[0] : 'x'); /* no longer character means anything in JSON */
    }
}

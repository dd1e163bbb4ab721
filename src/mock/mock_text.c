#include "mock_text.h"

#include <stdarg.h>
#include <stdlib.h>

#include "json.h"

enum { SCHEMA_DEPTH_MAX = 8 };

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

struct str mock_clip(struct str text, size_t max_bytes)
{
    if (text.n <= max_bytes)
        return text;
    size_t n = max_bytes;
    while (n > 0 && is_continuation(text.p[n]))
        n--;
    return str_slice(text, 0, n);
}

/* Where the piece that begins at `from` ends. */
static size_t piece_end(struct str text, size_t from, size_t piece_bytes)
{
    size_t at = from;
    while (at < text.n && at - from < piece_bytes) {
        char c = text.p[at++];
        if (c == ' ' || c == '\n')
            return at;
    }
    while (at < text.n && is_continuation(text.p[at]))
        at++;
    return at;
}

struct mock_pieces mock_cut(struct arena *a, struct str text, size_t piece_bytes)
{
    struct mock_pieces p = { .text = text };
    for (size_t at = 0; at < text.n; at = piece_end(text, at, piece_bytes))
        p.n++;
    p.ends = arena_new(a, size_t, p.n + 1);
    size_t i = 0;
    for (size_t at = 0; at < text.n; i++) {
        at = piece_end(text, at, piece_bytes);
        p.ends[i] = at;
    }
    must(i == p.n);
    return p;
}

struct str mock_piece(const struct mock_pieces *p, size_t i)
{
    must(i < p->n);
    return str_slice(p->text, i > 0 ? p->ends[i - 1] : 0, p->ends[i]);
}

void mock_pieces_keep(struct mock_pieces *p, size_t n)
{
    if (n >= p->n)
        return;
    p->n = n;
    p->text = str_slice(p->text, 0, n > 0 ? p->ends[n - 1] : 0);
}

void mock_json(struct buf *out, const char *fmt, ...)
{
    va_list args;
    struct str rest = str_of(fmt), part;
    bool first = true;
    va_start(args, fmt);
    while (str_next(&rest, '$', &part)) {
        if (!first) {
            must(part.n > 0);
            char spec = part.p[0];
            must(spec == 's' || spec == 'r' || spec == 'u');
            if (spec == 's')
                json_write_str(out, va_arg(args, struct str));
            else if (spec == 'r')
                buf_add(out, va_arg(args, struct str));
            else
                buf_add_u64(out, va_arg(args, uint64_t));
            part = str_slice(part, 1, part.n);
        }
        buf_add(out, part);
        first = false;
    }
    va_end(args);
}

struct str mock_raw(struct arena *a, yyjson_val *val)
{
    if (val == NULL)
        return S("null");
    size_t n;
    char *text = yyjson_val_write(val, YYJSON_WRITE_NOFLAG, &n);
    if (text == NULL) /* not UTF-8, or infinite: json_parse() lets neither in */
        return S("null");
    struct str copy = arena_str(a, (struct str){ text, n });
    free(text);
    return copy;
}

struct filling {
    struct buf *out;
    struct str word; /* what free strings are */
    int depth;
};

static void fill(const struct filling *f, struct str name, yyjson_val *schema);

static struct filling deeper(const struct filling *f)
{
    return (struct filling){ f->out, f->word, f->depth + 1 };
}

static void add_raw(struct buf *out, yyjson_val *val)
{
    size_t n;
    char *text = yyjson_val_write(val, YYJSON_WRITE_NOFLAG, &n);
    buf_add(out, text != NULL ? (struct str){ text, n } : S("null"));
    free(text);
}

/* "type": "string", or ["string","null"]. */
static struct str schema_type(yyjson_val *schema)
{
    yyjson_val *type = json_member(schema, S("type"));
    if (yyjson_is_arr(type))
        type = yyjson_arr_get_first(type);
    if (type == NULL && yyjson_is_obj(json_member(schema, S("properties"))))
        return S("object");
    return json_str(type);
}

/* Its output, mock-shell-42, is not a part of it: who sees that has run it. */
#define SHELL_COMMAND "echo mock-shell-$((6*7))"

static bool is_command(struct str name)
{
    return str_eq(name, S("command")) || str_eq(name, S("cmd"));
}

/* Required members; all of them when the schema requires none. */
static bool wanted(yyjson_val *schema, struct str name)
{
    yyjson_val *required = json_member(schema, S("required")), *val;
    yyjson_arr_iter iter;
    if (!yyjson_is_arr(required) || yyjson_arr_size(required) == 0 || is_command(name))
        return true;
    yyjson_arr_iter_init(required, &iter);
    while ((val = yyjson_arr_iter_next(&iter)) != NULL)
        if (str_eq(json_str(val), name))
            return true;
    return false;
}

static void fill_object(const struct filling *f, yyjson_val *schema)
{
    struct buf *out = f->out;
    struct filling inner = deeper(f);
    yyjson_val *properties = json_member(schema, S("properties")), *key;
    yyjson_obj_iter iter;
    bool first = true;
    buf_add_byte(out, '{');
    if (yyjson_is_obj(properties) && f->depth < SCHEMA_DEPTH_MAX) {
        yyjson_obj_iter_init(properties, &iter);
        while ((key = yyjson_obj_iter_next(&iter)) != NULL) {
            struct str name = json_str(key);
            if (!wanted(schema, name))
                continue;
            mock_json(out, first ? "$s:" : ",$s:", name);
            fill(&inner, name, yyjson_obj_iter_get_val(key));
            first = false;
        }
    }
    buf_add_byte(out, '}');
}

static void fill_array(const struct filling *f, struct str name, yyjson_val *schema)
{
    struct buf *out = f->out;
    struct filling inner = deeper(f);
    if (is_command(name)) {
        buf_add(out, S("[\"bash\",\"-c\",\"" SHELL_COMMAND "\"]"));
        return;
    }
    buf_add_byte(out, '[');
    struct str item = str_eq(name, S("commands")) ? S("command") : (struct str){ 0 };
    if (f->depth < SCHEMA_DEPTH_MAX)
        fill(&inner, item, json_member(schema, S("items")));
    buf_add_byte(out, ']');
}

static void fill_number(struct buf *out, yyjson_val *schema)
{
    yyjson_val *minimum = json_member(schema, S("minimum"));
    if (yyjson_is_num(minimum))
        add_raw(out, minimum);
    else
        buf_add_byte(out, '1');
}

/* The schema that counts: the first of a choice. */
static yyjson_val *first_choice(yyjson_val *schema)
{
    static const struct str choices[] = { S_INIT("anyOf"), S_INIT("oneOf"), S_INIT("allOf") };
    for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
        yyjson_val *choice = json_member(schema, choices[i]);
        if (yyjson_is_arr(choice) && yyjson_arr_size(choice) > 0)
            return yyjson_arr_get_first(choice);
    }
    return NULL;
}

static void fill(const struct filling *f, struct str name, yyjson_val *schema)
{
    struct buf *out = f->out;
    struct filling inner = deeper(f);
    yyjson_val *fixed = json_member(schema, S("const")), *values = json_member(schema, S("enum"));
    if (fixed == NULL && yyjson_is_arr(values))
        fixed = yyjson_arr_get_first(values);
    if (fixed != NULL) {
        add_raw(out, fixed);
        return;
    }
    struct str type = schema_type(schema);
    yyjson_val *choice = first_choice(schema);
    if (type.n == 0 && choice != NULL && f->depth < SCHEMA_DEPTH_MAX)
        fill(&inner, name, choice);
    else if (str_eq(type, S("object")))
        fill_object(f, schema);
    else if (str_eq(type, S("array")))
        fill_array(f, name, schema);
    else if (str_eq(type, S("integer")) || str_eq(type, S("number")))
        fill_number(out, schema);
    else if (str_eq(type, S("boolean")))
        buf_add(out, S("false"));
    else if (str_eq(type, S("null")))
        buf_add(out, S("null"));
    else
        json_write_str(out, is_command(name) ? S(SHELL_COMMAND) : f->word);
}

/* What tools with free text take; "text" is fine for all others. */
static const struct {
    struct str tool, input;
} inputs[] = {
    /* Codex's shell in code mode */
    { S_INIT("exec"), S_INIT("text(await tools.exec_command({ cmd: \"" SHELL_COMMAND "\" }));\n") },
    { S_INIT("apply_patch"),
      S_INIT("*** Begin Patch\n*** Add File: mock-patch.txt\n+mock-patch-42\n*** End Patch\n") },
};

bool mock_is_tool(struct str name, struct str asked)
{
    return str_eq(name, asked) ||
           (asked.n > 0 && name.n > asked.n + 2 && str_ends(name, asked) &&
            str_eq(str_slice(name, name.n - asked.n - 2, name.n - asked.n), S("__")));
}

struct str mock_tool_input(struct str tool)
{
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++)
        if (mock_is_tool(tool, inputs[i].tool))
            return inputs[i].input;
    return S("text");
}

void mock_fill_schema(struct buf *out, yyjson_val *schema, struct str word)
{
    struct filling f = { out, word, 0 };
    fill_object(&f, schema); /* arguments are an object, whatever the schema says */
}

/* A proxy makes a function of a tool that takes free text: {"input":"..."}. */
static bool takes_only_input(yyjson_val *schema)
{
    yyjson_val *properties = json_member(schema, S("properties"));
    return yyjson_obj_size(properties) == 1 && json_member(properties, S("input")) != NULL;
}

void mock_fill_arguments(struct buf *out, struct str tool, yyjson_val *schema, struct str word)
{
    if (takes_only_input(schema))
        mock_json(out, "{\"input\":$s}", mock_tool_input(tool));
    else
        mock_fill_schema(out, schema, word);
}

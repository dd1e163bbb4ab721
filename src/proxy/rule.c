#include "rule.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "err.h"
#include "rule_file.h"

/* "/adapters/0/name" of a node, from its place in the tree. */
static struct str pointer_to(struct rule_loader *l, struct json_node *n)
{
    struct arena *a = l->tree.arena;
    struct str path = S("");
    for (struct json_node *parent; (parent = json_parent(n)) != NULL; n = parent) {
        struct str token = S("");
        if (json_type(parent) == JSON_OBJECT) {
            struct str name = str_slice(json_name(&l->tree, n), 0, 64);
            for (size_t i = 0; i < name.n; i++) {
                struct str c = str_slice(name, i, i + 1);
                token = arena_cat(a, token, c.p[0] == '~' ? S("~0") : c.p[0] == '/' ? S("~1") : c);
            }
        } else {
            size_t i = 0;
            for (struct json_node *s = json_first(&l->tree, parent); s != n; s = json_next(s))
                i++;
            token = arena_printf(a, "%zu", i);
        }
        path = arena_cat(a, arena_cat(a, S("/"), token), path);
    }
    return path;
}

int rule_fault(struct rule_loader *l, struct json_node *at, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);

    struct str p = pointer_to(l, at);
    buf_addf(l->error, STR_FMT ": " STR_FMT ": %s", STR_ARG(str_slice(l->file, 0, 1024)),
             STR_ARG(p.n > 0 ? str_slice(p, 0, 1024) : S("(root)")), text);
    return -EINVAL;
}

int rule_once(struct rule_loader *l, struct json_node *member)
{
    struct json_node *object = json_parent(member);
    if (json_find(&l->tree, object, json_name(&l->tree, member)) != member)
        return rule_fault(l, member, "given twice");
    return 0;
}

int rule_object(struct rule_loader *l, struct json_node *n)
{
    return json_type(n) == JSON_OBJECT ? 0 : rule_fault(l, n, "must be an object");
}

int rule_array(struct rule_loader *l, struct json_node *n, size_t max)
{
    if (json_type(n) != JSON_ARRAY)
        return rule_fault(l, n, "must be a list");
    if (json_count(&l->tree, n) > max)
        return rule_fault(l, n, "has more than %zu entries", max);
    return 0;
}

int rule_bool(struct rule_loader *l, struct json_node *n, bool *ret_b)
{
    if (json_type(n) != JSON_BOOL)
        return rule_fault(l, n, "must be true or false");
    *ret_b = json_is_true(n);
    return 0;
}

int rule_int(struct rule_loader *l, struct json_node *n, int min, int max, int *ret_i)
{
    double x;
    if (!json_number(n, &x) || x < min || x > max || x != (double)(int)x)
        return rule_fault(l, n, "must be an integer from %d to %d", min, max);
    *ret_i = (int)x;
    return 0;
}

/* Takes n bytes of what a set may hold. */
static int spend(struct rule_loader *l, struct json_node *at, size_t n)
{
    if (n > l->text_left)
        return rule_fault(l, at, "the texts of the rules are too large together");
    l->text_left -= n;
    return 0;
}

int rule_string(struct rule_loader *l, struct json_node *n, struct str *ret_s)
{
    if (json_type(n) != JSON_STRING)
        return rule_fault(l, n, "must be a text");
    struct str s = json_string(&l->tree, n);
    int e = spend(l, n, s.n);
    if (e == 0)
        *ret_s = arena_str(l->arena, s);
    return e;
}

int rule_strings(struct rule_loader *l, struct json_node *n, struct str_list *ret_list)
{
    int e = rule_array(l, n, 4096);
    if (e < 0)
        return e;
    struct str_list list = { arena_new(l->arena, struct str, json_count(&l->tree, n) + 1), 0 };
    for (struct json_node *c = json_first(&l->tree, n); c != NULL && e == 0; c = json_next(c))
        e = rule_string(l, c, &list.v[list.n++]);
    if (e == 0)
        *ret_list = list;
    return e;
}

int rule_pointer(struct rule_loader *l, struct json_node *n, bool root_ok, struct pointer *ret_p)
{
    struct str text = S("");
    int e = rule_string(l, n, &text);
    if (e < 0)
        return e;
    if (pointer_parse(l->arena, text, ret_p) < 0 || (!root_ok && ret_p->n == 0))
        return rule_fault(l, n, "must be a JSON Pointer such as /metadata/user_id");
    return 0;
}

int rule_choice(struct rule_loader *l, struct json_node *n, const char *const *choices, int *ret_i)
{
    struct str s = json_string(&l->tree, n);
    for (int i = 0; choices[i] != NULL; i++)
        if (json_type(n) == JSON_STRING && str_eq(s, str_of(choices[i]))) {
            *ret_i = i;
            return 0;
        }

    struct str all = S("");
    for (int i = 0; choices[i] != NULL; i++)
        all = arena_printf(l->tree.arena, STR_FMT "%s%s", STR_ARG(all), i > 0 ? ", " : "",
                           choices[i]);
    return rule_fault(l, n, "must be one of: " STR_FMT, STR_ARG(all));
}

int rule_raw(struct rule_loader *l, struct json_node *n, struct str *ret_raw)
{
    struct str raw = json_raw(&l->tree, n);
    int e = spend(l, n, raw.n);
    if (e == 0)
        *ret_raw = arena_str(l->arena, raw);
    return e;
}

static bool name_byte(char c, bool first)
{
    bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
    return letter || (!first && c >= '0' && c <= '9');
}

/* The NAME of a "${NAME}" at the front of s, or empty. */
static struct str variable(struct str s)
{
    size_t end = 2;
    if (!str_starts(s, S("${")))
        return S("");
    while (end < s.n && name_byte(s.p[end], end == 2))
        end++;
    return end < s.n && s.p[end] == '}' ? str_slice(s, 2, end) : S("");
}

static struct str value_of(const struct rule_loader *l, struct str name)
{
    struct str value = S("");
    if (l->prompt.p != NULL && str_eq_nocase(name, S("CLAUDE_SYSTEM_PROMPT")))
        return l->prompt;
    return config_text(l->config, name, &value) ? value : S("");
}

static void expand(const struct rule_loader *l, struct str s, struct buf *out)
{
    while (s.n > 0 && !out->overflow) {
        size_t i = str_index(s, '$');
        struct str name = variable(str_slice(s, i, s.n));
        buf_add(out, str_slice(s, 0, i));
        s = str_slice(s, i, s.n);
        if (name.n > 0) {
            buf_add(out, value_of(l, name));
            s = str_slice(s, name.n + 3, s.n);
        } else if (s.n > 0) {
            buf_add_byte(out, '$');
            s = str_slice(s, 1, s.n);
        }
    }
}

int rule_expanded(struct rule_loader *l, struct json_node *n, struct str *ret_s)
{
    struct str s = S("");
    int e = rule_string(l, n, &s);
    if (e < 0)
        return e;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, RULE_FILE_MAX);
    expand(l, s, &out);
    if (out.overflow)
        return rule_fault(l, n, "is too large after its ${} were replaced");
    e = spend(l, n, buf_len(&out));
    if (e == 0)
        *ret_s = arena_str(l->arena, buf_str(&out));
    return e;
}

struct str rule_chomp(struct str s)
{
    if (str_ends(s, S("\n")))
        s.n--;
    if (str_ends(s, S("\r")))
        s.n--;
    return s;
}

int rule_file_text(struct rule_loader *l, struct json_node *n, struct str *ret_text,
                   struct str *ret_path)
{
    struct str text = S(""), path = S("");
    struct buf why CLEANUP(buf_done);
    buf_init(&why, 1024);
    int e = rule_expanded(l, n, &path);
    if (e < 0)
        return e;
    if (path.n > 0 && rule_file_read(l->tree.arena, path, &text, &why) < 0)
        return rule_fault(l, n, "cannot be read: " STR_FMT, STR_ARG(buf_str(&why)));
    text = rule_chomp(text);
    e = spend(l, n, text.n);
    if (e == 0) {
        *ret_text = arena_str(l->arena, text);
        *ret_path = path;
    }
    return e;
}

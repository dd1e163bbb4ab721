#include "config_dotenv.h"

#include <errno.h>
#include <string.h>

static int fail(struct dotenv *d, const char *why)
{
    d->why = why;
    return -EINVAL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
}

void dotenv_init(struct dotenv *d, char *p, size_t n)
{
    bool bom = n >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0;
    *d = (struct dotenv){ .p = p, .n = n, .at = bom ? 3 : 0, .line = 1 };
}

/* The end of the line that begins at d->at: index of its LF, or d->n. */
static size_t line_end(const struct dotenv *d)
{
    return d->at + str_index((struct str){ d->p + d->at, d->n - d->at }, '\n');
}

static void skip_blanks(struct dotenv *d, size_t end)
{
    while (d->at < end && is_blank(d->p[d->at]))
        d->at++;
}

static void next_line(struct dotenv *d, size_t end)
{
    d->at = end < d->n ? end + 1 : d->n;
    if (end < d->n)
        d->line++;
}

/* What follows a closing quote: blanks and a comment at most. */
static int finish_quoted(struct dotenv *d, size_t end)
{
    skip_blanks(d, end);
    if (d->at < end && d->p[d->at] == '\r' && d->at + 1 == end)
        d->at++;
    if (d->at < end && d->p[d->at] != '#')
        return fail(d, "text after the closing quote");
    next_line(d, end);
    return 1;
}

static int single_quoted(struct dotenv *d, size_t end, struct str *ret_value)
{
    struct str rest = { d->p + d->at + 1, end - d->at - 1 };
    size_t n = str_index(rest, '\'');
    if (n == rest.n)
        return fail(d, "no closing quote");
    d->at += n + 2;
    *ret_value = str_slice(rest, 0, n);
    return finish_quoted(d, end);
}

/* The byte that a backslash and c stand for, or 0: both stay as they are. */
static char unescape(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case '\\':
    case '"':
        return c;
    default:
        return 0;
    }
}

static int double_quoted(struct dotenv *d, struct str *ret_value)
{
    size_t from = d->at + 1, to = from, line_from = d->at;
    int line = d->line;
    for (size_t i = from; i < d->n; i++) {
        char c = d->p[i];
        if (c == '"') {
            *ret_value = (struct str){ d->p + from, to - from };
            d->at = i + 1;
            d->line = line;
            size_t end = line_end(d);
            if (end - line_from > DOTENV_LINE_MAX)
                return fail(d, "line over 64 KiB");
            return finish_quoted(d, end);
        }
        if (c == '\0')
            return fail(d, "NUL byte");
        if (c == '\\' && i + 1 < d->n && unescape(d->p[i + 1]) != 0)
            c = unescape(d->p[++i]);
        else if (c == '\r' && i + 1 < d->n && d->p[i + 1] == '\n')
            continue; /* a line end is one LF */
        else if (c == '\n') {
            line++;
            line_from = i + 1;
        }
        if (i + 1 - line_from > DOTENV_LINE_MAX) {
            d->line = line;
            return fail(d, "line over 64 KiB");
        }
        d->p[to++] = c;
    }
    return fail(d, "no closing quote");
}

static int unquoted(struct dotenv *d, size_t end, bool after_blank, struct str *ret_value)
{
    struct str v = { d->p + d->at, end - d->at };
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '#' && (i > 0 ? is_blank(v.p[i - 1]) : after_blank))
            v.n = i;
    }
    *ret_value = str_trim(v);
    next_line(d, end);
    return 1;
}

static int parse_name(struct dotenv *d, size_t end, struct str *ret_name)
{
    static const char export[] = "export";
    size_t n = sizeof(export) - 1;
    if (end - d->at > n && memcmp(d->p + d->at, export, n) == 0 && is_blank(d->p[d->at + n])) {
        d->at += n;
        skip_blanks(d, end);
    }
    size_t from = d->at;
    while (d->at < end && is_name(d->p[d->at]))
        d->at++;
    *ret_name = (struct str){ d->p + from, d->at - from };
    skip_blanks(d, end);
    if (ret_name->n == 0 || (ret_name->p[0] >= '0' && ret_name->p[0] <= '9'))
        return fail(d, "no name; expected NAME=value");
    if (d->at == end || d->p[d->at] != '=')
        return fail(d, "no = after the name; expected NAME=value");
    d->at++;
    return 0;
}

static int parse_pair(struct dotenv *d, size_t end, struct dotenv_pair *ret_pair)
{
    struct dotenv_pair pair = { .line = d->line };
    int e = parse_name(d, end, &pair.name);
    if (e < 0)
        return e;
    size_t equals = d->at;
    skip_blanks(d, end);
    char c = d->at < end ? d->p[d->at] : '\0';
    if (c == '"')
        e = double_quoted(d, &pair.value);
    else if (c == '\'')
        e = single_quoted(d, end, &pair.value);
    else
        e = unquoted(d, end, d->at > equals, &pair.value);
    if (e == 1)
        *ret_pair = pair;
    return e;
}

int dotenv_next(struct dotenv *d, struct dotenv_pair *ret_pair)
{
    while (d->why == NULL && d->at < d->n) {
        size_t end = line_end(d);
        if (end - d->at > DOTENV_LINE_MAX)
            return fail(d, "line over 64 KiB");
        if (memchr(d->p + d->at, '\0', end - d->at) != NULL)
            return fail(d, "NUL byte");
        struct str line = str_trim((struct str){ d->p + d->at, end - d->at });
        if (line.n == 0 || line.p[0] == '#') {
            next_line(d, end);
            continue;
        }
        skip_blanks(d, end);
        return parse_pair(d, end, ret_pair);
    }
    return d->why == NULL ? 0 : -EINVAL;
}

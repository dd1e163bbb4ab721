#include "log_line.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "bytes16.h"

/* The length of the sequence at p, or minus the bytes that one U+FFFD stands
 * for.  RFC 3629, section 4. */
static int utf8_length(const unsigned char *p, size_t n)
{
    unsigned char low = 0x80, high = 0xBF;
    int want;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        want = 2;
    else if (p[0] >= 0xE0 && p[0] <= 0xEF)
        want = 3;
    else if (p[0] >= 0xF0 && p[0] <= 0xF4)
        want = 4;
    else
        return -1;
    if (p[0] == 0xE0)
        low = 0xA0; /* overlong */
    else if (p[0] == 0xED)
        high = 0x9F; /* surrogates */
    else if (p[0] == 0xF0)
        low = 0x90; /* overlong */
    else if (p[0] == 0xF4)
        high = 0x8F; /* over U+10FFFF */
    for (int i = 1; i < want; i++) {
        if ((size_t)i >= n || p[i] < low || p[i] > high)
            return -i;
        low = 0x80;
        high = 0xBF;
    }
    return want;
}

static void add_escape(unsigned code, struct buf *out)
{
    static const char shorts[][2] = { { '"', '"' },  { '\\', '\\' }, { '\n', 'n' }, { '\r', 'r' },
                                      { '\t', 't' }, { '\b', 'b' },  { '\f', 'f' } };
    for (size_t i = 0; i < ARRAY_LEN(shorts); i++) {
        if (code == (unsigned char)shorts[i][0]) {
            buf_add_byte(out, '\\');
            buf_add_byte(out, shorts[i][1]);
            return;
        }
    }
    buf_addf(out, "\\u%04x", code);
}

/* What may stand in a JSON string as it is. */
static bool is_plain(unsigned char c)
{
    return c >= ' ' && c < 127 && c != '"' && c != '\\';
}

static bool is_plain16(const unsigned char *p)
{
    bytes16 v = bytes16_load(p);
    return !bytes16_any((v < ' ') | (v == 127) | (v == '"') | (v == '\\'));
}

/* How many bytes of s, from i on, may stand in a JSON string as they are.  What is left behind the
 * last sixteen is looked at together with some that have been. */
static size_t plain_end(struct str s, size_t i)
{
    const unsigned char *p = (const unsigned char *)s.p;
    while (s.n - i >= 16 && is_plain16(p + i))
        i += 16;
    if (s.n - i < 16 && s.n >= 16 && is_plain16(p + s.n - 16))
        return s.n;
    while (i < s.n && is_plain(p[i]))
        i++;
    return i;
}

/* The inside of a JSON string.  C1 controls and DEL are escaped too: a
 * terminal obeys them. */
static void add_escaped(struct str s, struct buf *out)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t from = 0, i = 0; /* [from, i) goes out as it is */
    while ((i = plain_end(s, i)) < s.n) {
        int length = utf8_length(p + i, s.n - i);
        bool is_c1 = length == 2 && p[i] == 0xC2 && p[i + 1] < 0xA0;
        if (length > 1 && !is_c1) {
            i += (size_t)length;
            continue;
        }
        buf_add(out, str_slice(s, from, i));
        if (length < 0)
            buf_add(out, S("\xEF\xBF\xBD"));
        else
            add_escape(is_c1 ? p[i + 1] : p[i], out);
        i += (size_t)(length < 0 ? -length : length);
        from = i;
    }
    buf_add(out, str_slice(s, from, i));
}

static void add_quoted(struct str s, struct buf *out)
{
    buf_add_byte(out, '"');
    add_escaped(s, out);
    buf_add_byte(out, '"');
}

static void add_json(struct str s, struct buf *out)
{
    if (s.n == 0) {
        buf_add(out, S("null"));
        return;
    }
    for (size_t from = 0, i = 0; from < s.n; from = i + 1) {
        i = from;
        while (i < s.n && s.p[i] != '\n' && s.p[i] != '\r')
            i++;
        buf_add(out, str_slice(s, from, i));
        if (i < s.n)
            buf_add_byte(out, ' ');
    }
}

static void add_int(int64_t n, struct buf *out)
{
    if (n < 0)
        buf_add_byte(out, '-');
    buf_add_u64(out, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
}

static char *put(char *to, struct str s)
{
    memcpy(to, s.p, s.n);
    return to + s.n;
}

static char *put_u64(char *to, uint64_t n)
{
    char digits[STR_U64_MAX];
    return put(to, str_u64(n, digits));
}

/* n in decimal with leading zeros. */
static void put_digits(int n, int width, char *to)
{
    for (int i = width - 1; i >= 0; i--, n /= 10)
        to[i] = (char)('0' + n % 10);
}

enum { THOUSANDTHS_CHARS = STR_U64_MAX + 5 };

/* Times in milliseconds have three decimals at most: those need no printf.  NULL: x has more. */
static char *put_thousandths(char *to, double x)
{
    double thousands = x * 1000.0;
    if (!(fabs(thousands) < 1e15) || (double)(int64_t)thousands / 1000.0 != x)
        return NULL;
    int64_t n = (int64_t)thousands;
    uint64_t u = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    if (n < 0)
        *to++ = '-';
    to = put_u64(to, u / 1000);
    if (u % 1000 == 0)
        return to;
    *to = '.';
    put_digits((int)(u % 1000), 3, to + 1);
    for (to += 4; to[-1] == '0';)
        to--;
    return to;
}

static void add_double(double x, struct buf *out)
{
    char text[THOUSANDTHS_CHARS], *end = put_thousandths(text, x);
    if (end != NULL)
        buf_add(out, (struct str){ text, (size_t)(end - text) });
    else
        buf_addf(out, "%.15g", x);
}

enum { TIME_CHARS = 23, DATE_CHARS = 11 }; /* "2026-11-23T16:00:00.123", "2026-11-23T" */

/* The date changes once a second only. */
static struct str time_text(int64_t unix_ms)
{
    static _Thread_local struct {
        int64_t unix_s;
        char text[TIME_CHARS + 1];
    } last = { 0, "1970-01-01T00:00:00.000" };
    int64_t unix_s = unix_ms / 1000;
    if (unix_s != last.unix_s) {
        struct tm t;
        time_t seconds = (time_t)unix_s;
        must(gmtime_r(&seconds, &t) != NULL);
        put_digits(t.tm_year + 1900, 4, last.text);
        put_digits(t.tm_mon + 1, 2, last.text + 5);
        put_digits(t.tm_mday, 2, last.text + 8);
        put_digits(t.tm_hour, 2, last.text + 11);
        put_digits(t.tm_min, 2, last.text + 14);
        put_digits(t.tm_sec, 2, last.text + 17);
        last.unix_s = unix_s;
    }
    put_digits((int)(unix_ms % 1000), 3, last.text + 20);
    return (struct str){ last.text, TIME_CHARS };
}

/* Everything but texts, which differ between the formats. */
static void add_plain(const struct log_field *f, struct buf *out)
{
    switch (f->type) {
    case LOG_FIELD_INT:
        add_int(f->number, out);
        break;
    case LOG_FIELD_DOUBLE:
        if (isfinite(f->real))
            add_double(f->real, out);
        else
            buf_add(out, S("null"));
        break;
    case LOG_FIELD_BOOL:
        buf_add(out, f->number != 0 ? S("true") : S("false"));
        break;
    case LOG_FIELD_JSON:
        add_json(f->text, out);
        break;
    case LOG_FIELD_STR:
        must(f->type != LOG_FIELD_STR);
    }
}

/* What every line begins with.  Event and logger are literals of ours. */
static void json_head(const struct log_line *l, struct buf *out)
{
    static const struct str levels[] = { S_INIT("Z\",\"level\":\"debug\",\"event\":\""),
                                         S_INIT("Z\",\"level\":\"info\",\"event\":\""),
                                         S_INIT("Z\",\"level\":\"warning\",\"event\":\""),
                                         S_INIT("Z\",\"level\":\"error\",\"event\":\"") };
    enum { FIXED_BYTES = 160 }; /* all that is constant */
    struct str event = str_of(l->event), logger = str_of(l->logger);
    char *begin = buf_reserve(out, FIXED_BYTES + event.n + logger.n);
    if (begin == NULL)
        return;
    char *to = put(begin, S("{\"timestamp\":\""));
    to = put(to, time_text(l->unix_ms));
    to = put(to, levels[l->level]);
    to = put(to, event);
    to = put(to, S("\",\"logger\":\""));
    to = put(to, logger);
    to = put(to, S("\",\"app\":\"CC_CX_Proxy\",\"version\":\"" CCP_VERSION "\""));
    buf_commit(out, (size_t)(to - begin));
}

enum { PAD_BYTES = 16 };

/* A text in quotes, with room for PAD_BYTES more.  NULL: it needs escapes.  It is copied first:
 * what stands behind it is then ours, and can be looked at with it. */
static char *put_text(char *to, struct str s)
{
    static const char spaces[PAD_BYTES + 1] = "                ";
    *to++ = '"';
    if (s.n > 0)
        memcpy(to, s.p, s.n);
    memcpy(to + s.n, spaces, PAD_BYTES);
    for (size_t i = 0; i < s.n; i += PAD_BYTES)
        if (!is_plain16((const unsigned char *)to + i))
            return NULL;
    to[s.n] = '"';
    return to + s.n + 1;
}

/* NULL: the value needs more than a copy. */
static char *put_value(char *to, const struct log_field *f)
{
    switch (f->type) {
    case LOG_FIELD_STR:
        return put_text(to, f->text);
    case LOG_FIELD_INT:
        return f->number >= 0 ? put_u64(to, (uint64_t)f->number) : NULL;
    case LOG_FIELD_DOUBLE:
        return put_thousandths(to, f->real);
    case LOG_FIELD_BOOL:
        return put(to, f->number != 0 ? S("true") : S("false"));
    case LOG_FIELD_JSON:
        break;
    }
    return NULL;
}

/* Most texts need no escapes, and most numbers are short. */
static void json_field(const struct log_field *f, struct buf *out)
{
    size_t text_n = f->type == LOG_FIELD_STR ? f->text.n : THOUSANDTHS_CHARS;
    char *begin = buf_reserve(out, f->name.n + sizeof(",\"\":\"\"") + text_n + PAD_BYTES);
    if (begin == NULL)
        return;
    char *to = put(begin, S(",\"")); /* the name is a literal of ours */
    to = put(to, f->name);
    to = put(to, S("\":"));
    char *end = put_value(to, f);
    buf_commit(out, (size_t)((end != NULL ? end : to) - begin));
    if (end == NULL && f->type == LOG_FIELD_STR)
        add_quoted(f->text, out);
    else if (end == NULL)
        add_plain(f, out);
}

static void json_line(const struct log_line *l, struct buf *out)
{
    json_head(l, out);
    for (size_t i = 0; i < l->n; i++)
        if (l->fields[i].name.n > 0)
            json_field(&l->fields[i], out);
    buf_add(out, S("}\n"));
}

/* Any byte over 127 counts, because escaping decides about it. */
static bool needs_quotes(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c >= 127 || c == '"' || c == '\\' || c == '=')
            return true;
    }
    return s.n == 0;
}

static void console_line(const struct log_line *l, struct buf *out)
{
    static const char *const levels[] = { "DEBUG", "INFO ", "WARN ", "ERROR" };
    buf_add(out, str_slice(time_text(l->unix_ms), DATE_CHARS, TIME_CHARS));
    buf_addf(out, " %s %s", levels[l->level], l->event);
    for (size_t i = 0; i < l->n; i++) {
        const struct log_field *f = &l->fields[i];
        if (f->name.n == 0)
            continue;
        buf_addf(out, " " STR_FMT "=", STR_ARG(f->name));
        if (f->type != LOG_FIELD_STR)
            add_plain(f, out);
        else if (needs_quotes(f->text))
            add_quoted(f->text, out);
        else
            buf_add(out, f->text);
    }
    buf_add_byte(out, '\n');
}

void log_line_add(enum log_format format, const struct log_line *line, struct buf *out)
{
    must(line->event != NULL);
    must(line->level <= LOG_ERROR);
    if (format == LOG_JSON)
        json_line(line, out);
    else
        console_line(line, out);
}

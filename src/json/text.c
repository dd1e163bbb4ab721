#include "text.h"

#include <string.h>

#include "bytes16.h"
#include "json.h"
#include "json_scan.h"

enum { FIRST_BYTE_MIN = -64 }; /* of a character, as a signed byte: those below go on with one */

/* ---- flaws ---- */

/* The number behind \u at p, or 0 when no such escape is there. */
static unsigned escape_at(const char *p, const char *end)
{
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return 0;
    unsigned n = 0;
    for (int i = 2; i < 6; i++) {
        unsigned c = (unsigned char)p[i];
        n = n << 4 | (c <= '9' ? c - '0' : ((c | 0x20) - 'a' + 10) & 0xf);
    }
    return n;
}

static bool is_high(unsigned n)
{
    return n >= 0xd800 && n <= 0xdbff;
}

static bool is_low(unsigned n)
{
    return n >= 0xdc00 && n <= 0xdfff;
}

static void flaw_set(struct text_flaw *flaw, size_t n, struct str instead)
{
    flaw->n = n;
    memcpy(flaw->instead, instead.p, instead.n);
    flaw->instead_n = instead.n;
}

static bool flaw_of_byte(const char *p, const char *end, struct text_flaw *ret_flaw);

/* Marks (json_relax()) are the character whose bytes they are, if they are one. */
static bool flaw_of_marks(const char *p, const char *end, struct text_flaw *ret_flaw)
{
    char bytes[4];
    size_t n = 0;
    for (; n < sizeof bytes; n++) {
        unsigned char c = json_mark_at(p + n * JSON_MARK_BYTES, end);
        if (c == 0)
            break;
        bytes[n] = (char)c;
    }
    if (n == 0)
        return false;
    bool valid;
    size_t length = json_utf8_length((struct str){ bytes, n }, &valid);
    if (!valid)
        flaw_set(ret_flaw, 0, S("\\ufffd"));
    else if (!flaw_of_byte(bytes, bytes + length, ret_flaw))
        flaw_set(ret_flaw, 0, (struct str){ bytes, length });
    ret_flaw->n = length * JSON_MARK_BYTES;
    return true;
}

/* Goes behind the escape, or stays at it when it is a flaw. */
static bool flaw_of_escape(const char **p, const char *end, struct text_flaw *ret_flaw)
{
    if (end - *p >= 2 && (*p)[1] != 'u') {
        *p += 2;
        return false;
    }
    if (flaw_of_marks(*p, end, ret_flaw))
        return true;
    unsigned n = escape_at(*p, end);
    if (is_low(n) || (is_high(n) && !is_low(escape_at(*p + 6, end)))) {
        flaw_set(ret_flaw, 6, S("\\ufffd"));
        return true;
    }
    ptrdiff_t length = is_high(n) ? 12 : 6;
    *p = end - *p < length ? end : *p + length;
    return false;
}

/* A control character, which replies may hold raw (EW3.3), or the end of a line for some SSE
 * readers. */
static bool flaw_of_byte(const char *p, const char *end, struct text_flaw *ret_flaw)
{
    static const char shorts[] = "\bb\ff\nn\rr\tt";
    static const char hex[] = "0123456789abcdef";
    unsigned char c = (unsigned char)*p;
    if (c < 0x20) {
        const char *hit = c != 0 ? strchr(shorts, c) : NULL;
        if (hit != NULL)
            flaw_set(ret_flaw, 1, (struct str){ (const char[2]){ '\\', hit[1] }, 2 });
        else
            flaw_set(ret_flaw, 1,
                     (struct str){
                         (const char[6]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 0xf] }, 6 });
        return true;
    }
    if (c == 0xc2 && end - p >= 2 && (unsigned char)p[1] == 0x85) {
        flaw_set(ret_flaw, 2, S("\\u0085"));
        return true;
    }
    if (c == 0xe2 && end - p >= 3 && (unsigned char)p[1] == 0x80 &&
        ((unsigned char)p[2] | 1) == 0xa9) {
        flaw_set(ret_flaw, 3, (unsigned char)p[2] == 0xa8 ? S("\\u2028") : S("\\u2029"));
        return true;
    }
    return false;
}

bool text_flaw_find(struct str inside, struct text_flaw *ret_flaw)
{
    if (inside.n == 0)
        return false; /* p may be NULL */
    const char *p = inside.p, *end = inside.p + inside.n;
    while (p < end) {
        unsigned char c = (unsigned char)*p;
        if (c == '\\') {
            if (flaw_of_escape(&p, end, ret_flaw))
                break;
        } else if (c >= 0x80 && c != 0xc2 && c != 0xe2) {
            p++;
        } else {
            if (flaw_of_byte(p, end, ret_flaw))
                break;
            p = json_skip_plain(p + 1, end);
        }
    }
    if (p == end)
        return false;
    ret_flaw->at = (size_t)(p - inside.p);
    return true;
}

static size_t mended_length(struct str inside)
{
    struct text_flaw flaw;
    size_t n = inside.n;
    while (text_flaw_find(inside, &flaw)) {
        n = n - flaw.n + flaw.instead_n;
        inside = str_slice(inside, flaw.at + flaw.n, inside.n);
    }
    return n;
}

static struct text mend(struct arena *a, struct str inside)
{
    struct text_flaw flaw = { 0 };
    if (!text_flaw_find(inside, &flaw))
        return (struct text){ inside.p, inside.n };
    size_t n = mended_length(inside);
    char *out = arena_new(a, char, n), *to = out;
    do {
        memcpy(to, inside.p, flaw.at);
        to += flaw.at;
        memcpy(to, flaw.instead, flaw.instead_n);
        to += flaw.instead_n;
        inside = str_slice(inside, flaw.at + flaw.n, inside.n);
    } while (text_flaw_find(inside, &flaw));
    if (inside.n > 0)
        memcpy(to, inside.p, inside.n);
    return (struct text){ out, n };
}

/* ---- in and out ---- */

struct str text_inside(struct json_edit *e, struct json_node *n)
{
    if (n == NULL || json_type(n) != JSON_STRING)
        return (struct str){ NULL, 0 };
    struct str raw = json_raw(e, n);
    return str_slice(raw, 1, raw.n - 1);
}

struct text text_of(struct json_edit *e, struct arena *a, struct json_node *n)
{
    return mend(a, text_inside(e, n));
}

struct text text_escape(struct arena *a, struct str plain)
{
    if (plain.n == 0 || json_plain_run(plain) == plain.n)
        return (struct text){ plain.p, plain.n };
    struct str quoted = json_quote(a, plain);
    return (struct text){ quoted.p + 1, quoted.n - 2 };
}

struct str text_plain(struct arena *a, struct text t)
{
    const char *p = t.n > 0 ? memchr(t.p, '\\', t.n) : NULL;
    if (p == NULL)
        return (struct str){ t.p, t.n };
    const char *end = t.p + t.n;
    char *out = arena_new(a, char, t.n), *to = out; /* an escape is longer than its character */
    memcpy(to, t.p, (size_t)(p - t.p));
    to += p - t.p;
    while (p < end) {
        char utf8[4];
        size_t n;
        p = json_unescape_one(p, end, utf8, &n);
        memcpy(to, utf8, n);
        to += n;
        const char *next = p < end ? memchr(p, '\\', (size_t)(end - p)) : NULL;
        size_t plain = (size_t)((next != NULL ? next : end) - p);
        memcpy(to, p, plain);
        to += plain;
        p += plain;
    }
    return (struct str){ out, (size_t)(to - out) };
}

/* ---- looks ---- */

struct text text_cat(struct arena *a, struct text x, struct text y)
{
    if (x.n == 0)
        return y;
    if (y.n == 0)
        return x;
    struct str both = arena_cat(a, (struct str){ x.p, x.n }, (struct str){ y.p, y.n });
    return (struct text){ both.p, both.n };
}

static const char *end_of(struct text t)
{
    return t.n > 0 ? t.p + t.n : t.p; /* p may be NULL */
}

/* Takes one character off the front of p. */
static const char *next_char(const char *p, const char *end, char ret_utf8[4], size_t *ret_n)
{
    if (*p == '\\')
        return json_unescape_one(p, end, ret_utf8, ret_n);
    size_t n = 1;
    ret_utf8[0] = *p++;
    for (; p < end && n < 4 && ((unsigned char)*p & 0xc0) == 0x80; n++)
        ret_utf8[n] = *p++;
    *ret_n = n;
    return p;
}

static bool is_space(const char utf8[4], size_t n)
{
    return n == 1 && (utf8[0] == ' ' || utf8[0] == '\t' || utf8[0] == '\n' || utf8[0] == '\r');
}

struct text text_trim_start(struct text t)
{
    const char *p = t.p, *end = end_of(t);
    while (p < end) {
        char utf8[4];
        size_t n;
        const char *next = next_char(p, end, utf8, &n);
        if (!is_space(utf8, n))
            break;
        p = next;
    }
    return (struct text){ p, (size_t)(end - p) };
}

bool text_blank(struct text t)
{
    return text_trim_start(t).n == 0;
}

/* Goes forward: whether a byte belongs to an escape cannot be seen from behind. */
struct text text_trim_end(struct text t)
{
    const char *p = t.p, *end = end_of(t), *keep = t.p;
    while (p < end) {
        char utf8[4];
        size_t n;
        p = next_char(p, end, utf8, &n);
        if (!is_space(utf8, n))
            keep = p;
    }
    return (struct text){ t.p, (size_t)(keep - t.p) };
}

static bool starts(struct text t, struct str plain, bool nocase)
{
    const char *p = t.p, *end = end_of(t);
    for (size_t i = 0; i < plain.n; i++) {
        char utf8[4];
        size_t n;
        if (p == end)
            return false;
        p = next_char(p, end, utf8, &n);
        unsigned char got = (unsigned char)utf8[0], want = (unsigned char)plain.p[i];
        if (n != 1 || (nocase ? str_lower_byte(got) != str_lower_byte(want) : got != want))
            return false;
    }
    return true;
}

bool text_starts(struct text t, struct str plain)
{
    return starts(t, plain, false);
}

bool text_starts_nocase(struct text t, struct str plain)
{
    return starts(t, plain, true);
}

/* Characters of valid UTF-8: their first bytes. */
static size_t first_bytes(const char *p, size_t n)
{
    size_t count = 0, i = 0;
    for (; n - i >= 16; i += 16)
        count += 16 - bytes16_count(bytes16_load(p + i) < FIRST_BYTE_MIN);
    for (; i < n; i++)
        count += (signed char)p[i] >= FIRST_BYTE_MIN;
    return count;
}

size_t text_chars(struct text t)
{
    const char *p = t.p, *end = end_of(t);
    size_t count = 0;
    while (p < end) {
        char utf8[4];
        size_t n;
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        count += first_bytes(p, (size_t)((slash != NULL ? slash : end) - p));
        if (slash == NULL)
            break;
        p = json_unescape_one(slash, end, utf8, &n);
        count++;
    }
    return count;
}

void text_add(struct buf *out, struct text t)
{
    buf_add(out, (struct str){ t.p, t.n });
}

/* ---- deltas ---- */

/* Does s end with an escape of 6 bytes, and not with data that only looks so? */
static bool ends_with_escape(struct str s)
{
    if (s.n < 6 || s.p[s.n - 6] != '\\' || s.p[s.n - 5] != 'u')
        return false;
    const char *p = s.p + s.n - 6, *from = p;
    while (p > s.p && p[-1] == '\\') /* an even number of backslashes before it are data */
        p--;
    return ((from - p) & 1) == 0;
}

/* How many bytes at the end of s the next delta may complete: those of a high half, or of the
 * marks of a character's beginning. */
static size_t open_bytes(struct str s)
{
    char bytes[4];
    size_t n = 0;
    for (struct str rest = s; n < sizeof bytes && ends_with_escape(rest); rest.n -= 6) {
        const char *p = rest.p + rest.n - 6;
        bool high = is_high(escape_at(p, p + 6));
        if (high && n == 0)
            return 6;
        char c = (char)json_mark_at(p, p + 6);
        if (high)
            n--; /* what seemed a mark is its low half */
        if (c == 0)
            break;
        bytes[sizeof bytes - ++n] = c;
    }
    return JSON_MARK_BYTES * json_cut_bytes((struct str){ bytes + sizeof bytes - n, n });
}

struct text text_join(struct text_held *held, struct arena *a, struct str raw_inside)
{
    struct str s = raw_inside;
    if (s.n == 0)
        return (struct text){ NULL, 0 };
    if (held->n > 0)
        s = arena_cat(a, (struct str){ held->escapes, held->n }, s);
    held->n = (uint8_t)open_bytes(s);
    s.n -= held->n;
    if (held->n > 0)
        memcpy(held->escapes, s.p + s.n, held->n);
    return mend(a, s);
}

struct text text_join_end(struct text_held *held)
{
    struct text t = held->n > 0 ? TEXT("\\ufffd") : (struct text){ NULL, 0 };
    held->n = 0;
    return t;
}

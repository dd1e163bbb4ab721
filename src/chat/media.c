/*
 * base64 stays what it is where it is in order: an image of ten megabytes is looked at once and
 * copied into the upstream's body once.
 */
#include "media.h"

#include <string.h>

/* ---- base64 (rfc4648,s4) ---- */

/* The value of a digit, or what else a byte is.  The last two are digits of the URL-safe kind;
 * 128 and more is a foreign byte. */
enum { BASE64_SPACE = 64, BASE64_PAD = 65, BASE64_MINUS = 66, BASE64_UNDERSCORE = 67 };
static const unsigned char kinds[128] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 64,  64,  64,  64,  64,  255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 64,  255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 62,  255, 66,  255, 63,  52,  53,  54,  55,  56,  57,  58,  59,  60,
    61,  255, 255, 255, 65,  255, 255, 255, 0,   1,   2,   3,   4,   5,   6,   7,   8,   9,   10,
    11,  12,  13,  14,  15,  16,  17,  18,  19,  20,  21,  22,  23,  24,  25,  255, 255, 255, 255,
    67,  255, 26,  27,  28,  29,  30,  31,  32,  33,  34,  35,  36,  37,  38,  39,  40,  41,  42,
    43,  44,  45,  46,  47,  48,  49,  50,  51,  255, 255, 255, 255, 255,
};

static unsigned kind_of(char c)
{
    unsigned b = (unsigned char)c;
    return kinds[b % 128] | (b & 128);
}

static bool is_standard(struct str s)
{
    size_t i = 0;
    while (i < s.n && kind_of(s.p[i]) < 64)
        i++;
    return s.n % 4 == 0 && s.n - i <= 2 &&
           str_eq(str_slice(s, i, s.n), str_slice(S("=="), 0, s.n - i));
}

/* Standard digits and padding out of whatever clients write; false when it is not base64. */
static bool base64_mend(struct arena *a, struct str s, struct str *ret)
{
    if (is_standard(s)) {
        *ret = s;
        return true;
    }
    char *p = arena_new(a, char, s.n + 3);
    size_t n = 0, i = 0;
    for (; i < s.n && kind_of(s.p[i]) != BASE64_PAD; i++) {
        unsigned kind = kind_of(s.p[i]);
        if (kind > BASE64_UNDERSCORE)
            return false;
        if (kind != BASE64_SPACE)
            p[n++] = kind == BASE64_MINUS ? '+' : kind == BASE64_UNDERSCORE ? '/' : s.p[i];
    }
    for (; i < s.n; i++)
        if (kind_of(s.p[i]) != BASE64_PAD && kind_of(s.p[i]) != BASE64_SPACE)
            return false;
    if (n % 4 == 1)
        return false;
    while (n % 4 != 0)
        p[n++] = '=';
    *ret = (struct str){ p, n };
    return true;
}

/* Of standard base64; at most limit bytes. */
static struct str base64_decode(struct arena *a, struct str s, size_t limit)
{
    size_t n = 0, max = s.n / 4 * 3 < limit ? s.n / 4 * 3 : limit;
    char *p = arena_new(a, char, max);
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < s.n && n < max && kind_of(s.p[i]) < 64; i++) {
        bits = bits << 6 | kind_of(s.p[i]);
        have += 6;
        if (have >= 8) {
            have -= 8;
            p[n++] = (char)(bits >> have & 0xff);
        }
    }
    return (struct str){ p, n };
}

static struct str base64_encode(struct arena *a, struct str s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *p = arena_new(a, char, (s.n + 2) / 3 * 4);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i += 3) {
        size_t left = s.n - i;
        uint32_t bits = (uint32_t)(unsigned char)s.p[i] << 16;
        bits |= left > 1 ? (uint32_t)(unsigned char)s.p[i + 1] << 8 : 0;
        bits |= left > 2 ? (unsigned char)s.p[i + 2] : 0;
        p[n++] = digits[bits >> 18];
        p[n++] = digits[bits >> 12 & 63];
        p[n++] = left > 1 ? digits[bits >> 6 & 63] : '=';
        p[n++] = left > 2 ? digits[bits & 63] : '=';
    }
    return (struct str){ p, n };
}

/* ---- types ---- */

static const struct sign {
    struct str head, at8, type;
} signs[] = {
    { S_INIT("\x89PNG"), S_INIT(""), S_INIT("image/png") },
    { S_INIT("\xff\xd8\xff"), S_INIT(""), S_INIT("image/jpeg") },
    { S_INIT("GIF8"), S_INIT(""), S_INIT("image/gif") },
    { S_INIT("RIFF"), S_INIT("WEBP"), S_INIT("image/webp") },
    { S_INIT("%PDF-"), S_INIT(""), S_INIT("application/pdf") },
};

/* By the first bytes; empty when unknown. */
static struct str sniff(struct arena *a, struct text base64)
{
    struct str s = str_slice((struct str){ base64.p, base64.n }, 0, 64);
    if (!base64_mend(a, str_slice(s, 0, s.n / 4 * 4), &s))
        return S("");
    s = base64_decode(a, s, 12);
    for (size_t i = 0; i < ARRAY_LEN(signs); i++)
        if (str_starts(s, signs[i].head) && str_starts(str_slice(s, 8, s.n), signs[i].at8))
            return signs[i].type;
    return S("");
}

static struct str type_of_name(struct arena *a, struct str name)
{
    static const struct {
        struct str end, type;
    } types[] = {
#define TYPE(end, type) { S_INIT(end), S_INIT(type) },
#include "media_types.def"
#undef TYPE
    };
    size_t dot = name.n;
    while (dot > 0 && name.p[dot - 1] != '.' && name.p[dot - 1] != '/')
        dot--;
    if (dot == 0 || name.p[dot - 1] == '/')
        return S("");
    struct str end = arena_lower(a, str_slice(str_slice(name, dot, name.n), 0, 16));
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_eq(end, types[i].end))
            return types[i].type;
    return S("");
}

bool media_is_image(const struct chat_media *m)
{
    return str_starts(m->type, S("image/"));
}

bool media_is_pdf(const struct chat_media *m)
{
    return str_eq(m->type, S("application/pdf")) || str_eq(m->type, S("application/x-pdf"));
}

bool media_is_textual(const struct chat_media *m)
{
    static const struct str types[] = {
        S_INIT("application/json"),         S_INIT("application/jsonl"),
        S_INIT("application/x-ndjson"),     S_INIT("application/xml"),
        S_INIT("application/yaml"),         S_INIT("application/x-yaml"),
        S_INIT("application/toml"),         S_INIT("application/csv"),
        S_INIT("application/sql"),          S_INIT("application/graphql"),
        S_INIT("application/javascript"),   S_INIT("application/x-javascript"),
        S_INIT("application/ecmascript"),   S_INIT("application/typescript"),
        S_INIT("application/x-typescript"), S_INIT("application/x-python"),
        S_INIT("application/x-sh"),         S_INIT("application/x-httpd-php"),
    };
    if (m->source == CHAT_MEDIA_PLAIN || str_starts(m->type, S("text/")))
        return true;
    if (str_ends(m->type, S("+json")) || (str_ends(m->type, S("+xml")) && !media_is_image(m)))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_eq(m->type, types[i]))
            return true;
    return false;
}

/* ---- data URLs (rfc2397) ---- */

static int hex_value(char c)
{
    unsigned char l = str_lower_byte((unsigned char)c);
    return l >= '0' && l <= '9' ? l - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

static struct str percent_decode(struct arena *a, struct str s)
{
    if (str_index(s, '%') == s.n)
        return s;
    char *p = arena_new(a, char, s.n);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        int high = s.p[i] == '%' && s.n - i > 2 ? hex_value(s.p[i + 1]) : -1;
        int low = high >= 0 ? hex_value(s.p[i + 2]) : -1;
        p[n++] = (char)(low >= 0 ? high << 4 | low : s.p[i]);
        i += low >= 0 ? 2 : 0;
    }
    return (struct str){ p, n };
}

/* token/token of rfc9110,s5.6.2; it is written into a new URL. */
static bool is_type(struct str s)
{
    size_t slash = str_index(s, '/');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = str_lower_byte((unsigned char)s.p[i]);
        bool token = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     (c != 0 && strchr("!#$&'*+-.^_`|~", c) != NULL);
        if (!token && i != slash)
            return false;
    }
    return slash > 0 && slash + 1 < s.n;
}

static int reject_data(struct convert *c, const struct chat_media *m)
{
    return convert_reject(c, m->path, "is no well-formed data URL or base64");
}

static struct str canonical_type(struct arena *a, struct str type)
{
    type = arena_lower(a, type);
    return str_eq(type, S("image/jpg")) ? S("image/jpeg") : type;
}

static int parse_base64(struct convert *c, struct chat_media *m, struct str data)
{
    if (!base64_mend(c->temp, percent_decode(c->temp, data), &data))
        return reject_data(c, m);
    m->source = CHAT_MEDIA_BASE64;
    m->payload = (struct text){ data.p, data.n };
    return 0;
}

/* data: what follows "data:" */
static int parse_data_url(struct convert *c, struct chat_media *m, struct str data)
{
    size_t comma = str_index(data, ',');
    struct str head = str_slice(data, 0, comma), type = S(""), param;
    bool base64 = false;
    if (comma == data.n)
        return reject_data(c, m);
    data = str_slice(data, comma + 1, data.n);
    if (str_next(&head, ';', &type) && type.n > 0) {
        type = str_trim(type);
        if (!is_type(type))
            return reject_data(c, m);
    }
    while (str_next(&head, ';', &param))
        base64 = base64 || str_eq_nocase(str_trim(param), S("base64"));
    if (!base64)
        data = base64_encode(c->temp, percent_decode(c->temp, data));
    m->type = canonical_type(c->temp, type);
    return parse_base64(c, m, data);
}

int media_of_url(struct convert *c, struct chat_media *m, struct text url)
{
    struct str plain = text_plain(c->temp, url);
    if (str_starts_nocase(plain, S("data:"))) {
        int r = parse_data_url(c, m, str_slice(plain, 5, plain.n));
        if (r == 0 && m->type.n == 0)
            m->type = sniff(c->temp, m->payload);
        return r;
    }
    struct str path = str_slice(plain, 0, str_index(plain, '?'));
    path = str_slice(path, 0, str_index(path, '#'));
    m->source = CHAT_MEDIA_URL;
    m->type = type_of_name(c->temp, path);
    m->payload = url;
    return 0;
}

int media_of_file_data(struct convert *c, struct chat_media *m, struct text data)
{
    struct str plain = text_plain(c->temp, data);
    bool is_url = str_starts_nocase(plain, S("data:"));
    m->type = S("");
    int r = is_url ? parse_data_url(c, m, str_slice(plain, 5, plain.n)) : parse_base64(c, m, plain);
    if (r < 0 || (m->type.n > 0 && !str_eq(m->type, S("application/octet-stream"))))
        return r;
    struct str type = type_of_name(c->temp, text_plain(c->temp, m->name));
    if (type.n == 0)
        type = sniff(c->temp, m->payload);
    if (type.n == 0)
        type = m->type.n > 0 ? m->type : S("application/pdf");
    m->type = type;
    return 0;
}

struct text media_data_url(struct arena *a, const struct chat_media *m)
{
    struct text payload = m->payload;
    struct str type = m->type;
    if (m->source == CHAT_MEDIA_PLAIN) {
        struct str coded = base64_encode(a, text_plain(a, payload));
        payload = (struct text){ coded.p, coded.n };
        type = S("text/plain");
    }
    struct text t = text_escape(a, type.n > 0 ? type : S("application/octet-stream"));
    t = text_cat(a, text_cat(a, TEXT("data:"), t), TEXT(";base64,"));
    return text_cat(a, t, payload);
}

/* ---- what an upstream takes ---- */

int media_check_image(struct convert *c, struct chat_media *m)
{
    static const struct str taken[] = { S_INIT("image/png"), S_INIT("image/jpeg"),
                                        S_INIT("image/gif"), S_INIT("image/webp") };
    if (m->source != CHAT_MEDIA_BASE64)
        return 0;
    struct str seen = sniff(c->temp, m->payload);
    struct str type = seen.n > 0 ? seen : canonical_type(c->temp, m->type);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        if (!str_eq(type, taken[i]))
            continue;
        m->type = type;
        return 0;
    }
    type = str_slice(type, 0, 64);
    return convert_reject(c, m->path,
                          "the upstream takes PNG, JPEG, GIF and WEBP images, not \"" STR_FMT "\"",
                          STR_ARG(type));
}

static bool decode_text(struct arena *a, const struct chat_media *m, struct text *ret)
{
    struct str bytes;
    if (m->source == CHAT_MEDIA_PLAIN) {
        *ret = m->payload;
        return true;
    }
    if (!base64_mend(a, text_plain(a, m->payload), &bytes))
        return false;
    bytes = base64_decode(a, bytes, bytes.n);
    *ret = text_escape(a, bytes);
    return str_eq(text_plain(a, *ret), bytes); /* else it was no UTF-8 */
}

int media_plain(struct convert *c, const struct chat_media *m, struct text *ret)
{
    struct text text;
    if (!decode_text(c->temp, m, &text))
        return convert_reject(c, m->path, "the text of the file is not UTF-8");
    *ret = text;
    return 0;
}

struct text media_document_text(struct convert *c, const struct chat_media *m)
{
    struct text t = TEXT(""), lines[] = { m->name, m->context };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (lines[i].n > 0)
            t = text_cat(c->temp, text_cat(c->temp, t, lines[i]), TEXT("\\n"));
    struct text body = TEXT("");
    (void)decode_text(c->temp, m, &body); /* what is no UTF-8 was made U+FFFD */
    return text_cat(c->temp, t, body);
}

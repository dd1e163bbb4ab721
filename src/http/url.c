#include "url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

enum { HOST_BYTES_MAX = 253 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    unsigned char l = str_lower_byte((unsigned char)c);
    return l >= 'a' && l <= 'z';
}

/* An address in network order; 4 or 16 bytes. */
struct address {
    unsigned char bytes[16];
    unsigned n_bits; /* 32 or 128 */
};

static bool address_parse(struct str text, struct address *ret_address)
{
    char cstr[INET6_ADDRSTRLEN];
    if (text.n == 0 || text.n >= sizeof(cstr) || memchr(text.p, '\0', text.n) != NULL)
        return false;
    memcpy(cstr, text.p, text.n);
    cstr[text.n] = '\0';
    struct address a = { .n_bits = 32 };
    if (inet_pton(AF_INET, cstr, a.bytes) != 1) {
        a.n_bits = 128;
        if (inet_pton(AF_INET6, cstr, a.bytes) != 1)
            return false;
    }
    *ret_address = a;
    return true;
}

/* Spaces, controls and '\' are read differently by different programs; an upstream's
 * address must not be a matter of taste. */
static const char *bad_byte(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c <= ' ' || c >= 0x7f)
            return "a URL has no spaces, control or non-ASCII characters; percent-encode them";
        if (c == '\\')
            return "a URL has no backslash";
        if (c == '#')
            return "a fragment (#...) means nothing here";
    }
    return NULL;
}

static bool scheme_ok(struct str scheme)
{
    if (scheme.n == 0 || !is_alpha(scheme.p[0]))
        return false;
    for (size_t i = 1; i < scheme.n; i++) {
        char c = scheme.p[i];
        if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.')
            return false;
    }
    return true;
}

/* A name or an IPv4 address.  What ends in a number is an address or nothing: "127.1" and
 * "0x7f.1" are addresses for some resolvers. */
static const char *host_name_why(struct str host)
{
    if (host.n == 0)
        return "the host is missing";
    if (host.n > HOST_BYTES_MAX)
        return "the host name is over 253 bytes";
    struct str rest = host, label, last = { 0 };
    if (str_ends(rest, S(".")))
        rest.n--; /* the root; a second dot would be an empty label */
    if (str_ends(rest, S(".")))
        return "the host name has an empty label";
    for (size_t i = 0; i < rest.n; i++) {
        char c = rest.p[i];
        if (!is_alpha(c) && !is_digit(c) && c != '-' && c != '_' && c != '.')
            return "the host name has a character that names do not have";
    }
    while (str_next(&rest, '.', &label)) {
        if (label.n == 0 || label.n > 63)
            return "the host name has a label that is empty or over 63 bytes";
        last = label;
    }
    if (last.n == 0)
        return "the host is missing";
    struct address a;
    if (is_digit(last.p[0]) && !address_parse(host, &a))
        return "the host is not a valid IPv4 address";
    return NULL;
}

/* host[:port], without user information. */
static const char *parse_host_port(struct str text, struct url *u)
{
    struct str port = { 0 };
    if (str_starts(text, S("["))) {
        size_t close = str_index(text, ']');
        struct address a;
        u->host = str_slice(text, 1, close);
        u->host_is_ipv6 = true;
        if (close == text.n || !address_parse(u->host, &a) || a.n_bits != 128)
            return "the brackets do not hold a valid IPv6 address";
        struct str rest = str_slice(text, close + 1, text.n);
        if (rest.n > 0 && rest.p[0] != ':')
            return "after the IPv6 address comes ':' and a port, or nothing";
        port = str_slice(rest, 1, rest.n);
    } else {
        size_t colon = str_index(text, ':');
        u->host = str_slice(text, 0, colon);
        port = str_slice(text, colon + 1, text.n);
        const char *why = host_name_why(u->host);
        if (why != NULL)
            return why;
    }
    uint64_t n = 0;
    if (port.n > 0 && (str_to_u64(port, &n) < 0 || n == 0 || n > UINT16_MAX))
        return "the port is not a number from 1 to 65535";
    u->port = (uint16_t)n;
    return NULL;
}

static const char *parse_authority(struct str text, struct url *u)
{
    size_t at = str_index(text, '@');
    if (at == text.n)
        return parse_host_port(text, u);
    struct str user = str_slice(text, 0, at), host = str_slice(text, at + 1, text.n);
    if (str_index(host, '@') < host.n)
        return "there is more than one '@'; write %40 in user and password";
    size_t colon = str_index(user, ':');
    u->user = str_slice(user, 0, colon);
    if (colon < user.n)
        u->password = str_slice(user, colon + 1, user.n);
    return parse_host_port(host, u);
}

static const char *parse(struct str text, struct url *u)
{
    const char *why = bad_byte(text);
    if (why != NULL)
        return why;
    size_t colon = str_find(text, S("://"));
    if (colon == text.n)
        return "it does not begin with scheme://";
    u->scheme = str_slice(text, 0, colon);
    if (!scheme_ok(u->scheme))
        return "the scheme is not valid";
    struct str rest = str_slice(text, colon + 3, text.n);
    size_t authority_end = 0;
    while (authority_end < rest.n && rest.p[authority_end] != '/' && rest.p[authority_end] != '?')
        authority_end++;
    size_t query = str_index(rest, '?');
    u->path = str_slice(rest, authority_end, query);
    if (query < rest.n)
        u->query = str_slice(rest, query + 1, rest.n);
    return parse_authority(str_slice(rest, 0, authority_end), u);
}

int url_parse(struct str text, struct url *ret_url, const char **ret_why)
{
    struct url u = { 0 };
    const char *why = parse(text, &u);
    if (why != NULL) {
        *ret_why = why;
        return -EINVAL;
    }
    *ret_url = u;
    return 0;
}

static int hex_digit(char c)
{
    unsigned char l = str_lower_byte((unsigned char)c);
    if (is_digit(c))
        return c - '0';
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

struct str url_decode(struct str text, struct arena *a)
{
    if (str_index(text, '%') == text.n)
        return text;
    char *out = arena_new(a, char, text.n);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '%' && text.n - i > 2) {
            int high = hex_digit(text.p[i + 1]), low = hex_digit(text.p[i + 2]);
            if (high >= 0 && low >= 0) {
                c = (char)(high * 16 + low);
                i += 2;
            }
        }
        out[n++] = c;
    }
    return (struct str){ out, n };
}

static bool same_bits(const struct address *x, const struct address *y, unsigned n_bits)
{
    if (x->n_bits != y->n_bits || memcmp(x->bytes, y->bytes, n_bits / 8) != 0)
        return false;
    unsigned rest = n_bits % 8;
    if (rest == 0)
        return true;
    return (x->bytes[n_bits / 8] ^ y->bytes[n_bits / 8]) >> (8 - rest) == 0;
}

/* "10.0.0.0/8", "::1", "192.168.1.1" against an address. */
static bool block_matches(struct str entry, const struct address *host)
{
    size_t slash = str_index(entry, '/');
    struct address block;
    if (!address_parse(str_slice(entry, 0, slash), &block))
        return false;
    uint64_t n_bits = block.n_bits;
    if (slash < entry.n &&
        (str_to_u64(str_slice(entry, slash + 1, entry.n), &n_bits) < 0 || n_bits > block.n_bits))
        return false;
    return same_bits(&block, host, (unsigned)n_bits);
}

static bool name_matches(struct str entry, struct str host)
{
    if (str_starts(entry, S("*.")))
        entry = str_slice(entry, 2, entry.n);
    else if (str_starts(entry, S(".")))
        entry = str_slice(entry, 1, entry.n);
    if (str_ends(entry, S(".")))
        entry.n--;
    if (str_ends(host, S(".")))
        host.n--;
    if (entry.n == 0 || entry.n > host.n)
        return false;
    size_t at = host.n - entry.n;
    return str_eq_nocase(str_slice(host, at, host.n), entry) && (at == 0 || host.p[at - 1] == '.');
}

/* Takes ":port" and brackets off an entry; false when the port is another one or not valid. */
static bool strip_port(struct str *entry, uint16_t port)
{
    struct str text = *entry, digits;
    if (str_starts(text, S("["))) {
        size_t close = str_index(text, ']');
        *entry = str_slice(text, 1, close);
        text = str_slice(text, close + 1, text.n);
        if (text.n == 0 || text.p[0] != ':') {
            entry->n = text.n > 0 ? 0 : entry->n; /* junk after the bracket matches nothing */
            return true;
        }
        digits = str_slice(text, 1, text.n);
    } else {
        size_t colon = str_index(text, ':');
        digits = str_slice(text, colon + 1, text.n);
        if (colon == text.n || str_index(digits, ':') < digits.n)
            return true; /* no port, or an IPv6 address without brackets */
        *entry = str_slice(text, 0, colon);
    }
    uint64_t n;
    return str_to_u64(digits, &n) == 0 && n == port;
}

static bool entry_matches(struct str entry, struct str host, uint16_t port)
{
    struct address a;
    if (!strip_port(&entry, port))
        return false;
    if (str_eq(entry, S("*")))
        return true;
    if (address_parse(host, &a))
        return block_matches(entry, &a);
    return name_matches(entry, host);
}

bool url_no_proxy(struct str list, struct str host, uint16_t port)
{
    struct str part;
    while (str_next(&list, ',', &part)) {
        struct str word;
        while (str_next(&part, ' ', &word)) {
            word = str_trim(word);
            if (word.n > 0 && entry_matches(word, host, port))
                return true;
        }
    }
    return false;
}

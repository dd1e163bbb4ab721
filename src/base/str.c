#include "str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes16.h"

static bool same_nocase(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_lower_byte((unsigned char)a[i]) != str_lower_byte((unsigned char)b[i]))
            return false;
    return true;
}

bool str_eq_nocase(struct str a, struct str b)
{
    return a.n == b.n && same_nocase(a.p, b.p, a.n);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
    return s.n >= prefix.n && same_nocase(s.p, prefix.p, prefix.n);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_eq(str_slice(s, s.n - suffix.n, s.n), suffix);
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n > 0 ? memcmp(a.p, b.p, n) : 0;
    if (c != 0)
        return c;
    return (a.n > b.n) - (a.n < b.n);
}

size_t str_find(struct str s, struct str needle)
{
    if (needle.n == 0)
        return 0;
    if (s.n < needle.n)
        return s.n;
    const char *hit = memmem(s.p, s.n, needle.p, needle.n);
    return hit != NULL ? (size_t)(hit - s.p) : s.n;
}

bool str_contains(struct str s, struct str needle)
{
    return needle.n == 0 || str_find(s, needle) < s.n;
}

/* The first c at or after i, in either case, or s.n.  c: no capital. */
static size_t index_nocase(struct str s, size_t i, char c)
{
    char bit = c >= 'a' && c <= 'z' ? 0x20 : 0;
    for (; s.n - i >= 16; i += 16) {
        unsigned at = bytes16_first((bytes16_load(s.p + i) | bit) == c);
        if (at < 16)
            return i + at;
    }
    while (i < s.n && (s.p[i] | bit) != c)
        i++;
    return i;
}

bool str_contains_nocase(struct str s, struct str needle)
{
    if (needle.n == 0)
        return true;
    char first = (char)str_lower_byte((unsigned char)needle.p[0]);
    for (size_t i = index_nocase(s, 0, first); i < s.n && s.n - i >= needle.n;
         i = index_nocase(s, i + 1, first))
        if (same_nocase(s.p + i, needle.p, needle.n))
            return true;
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool str_next(struct str *rest, char sep, struct str *ret_part)
{
    if (rest->p == NULL || rest->n == 0) {
        *rest = (struct str){ NULL, 0 };
        return false;
    }
    size_t i = str_index(*rest, sep);
    *ret_part = str_slice(*rest, 0, i);
    *rest = i < rest->n ? str_slice(*rest, i + 1, rest->n) : (struct str){ NULL, 0 };
    return true;
}

/* Iterative, with one point to go back to: linear for one '*', at worst
 * pattern × text for several. */
bool str_glob(struct str pattern, struct str s)
{
    size_t p = 0, i = 0, star = pattern.n, mark = 0;
    while (i < s.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            mark = i;
        } else if (p < pattern.n &&
                   (pattern.p[p] == '?' || same_nocase(pattern.p + p, s.p + i, 1))) {
            p++;
            i++;
        } else if (star < pattern.n) {
            p = star + 1;
            i = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

struct str str_u64(uint64_t n, char digits[STR_U64_MAX])
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    size_t i = STR_U64_MAX;
    for (; n >= 10; n /= 100) {
        i -= 2;
        memcpy(digits + i, pairs + n % 100 * 2, 2);
    }
    if (n > 0 || i == STR_U64_MAX)
        digits[--i] = (char)('0' + n);
    return (struct str){ digits + i, STR_U64_MAX - i };
}

int str_to_u64(struct str s, uint64_t *ret_n)
{
    if (s.n == 0)
        return -EINVAL;
    uint64_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -EINVAL;
        if (__builtin_mul_overflow(n, 10u, &n) ||
            __builtin_add_overflow(n, (uint64_t)(s.p[i] - '0'), &n))
            return -ERANGE;
    }
    *ret_n = n;
    return 0;
}

int str_to_double(struct str s, double *ret_x)
{
    char text[64];
    if (s.n == 0 || s.n >= sizeof(text) || memchr("-.0123456789", s.p[0], 12) == NULL)
        return -EINVAL;
    for (size_t i = 0; i < s.n; i++)
        if (memchr("+-.0123456789eE", s.p[i], 15) == NULL)
            return -EINVAL;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    char *end;
    double x = strtod(text, &end);
    if (end != text + s.n)
        return -EINVAL;
    *ret_x = x;
    return 0;
}

bool str_eq_secret(struct str a, struct str b)
{
    unsigned char diff = a.n != b.n;
    for (size_t i = 0; i < a.n; i++)
        diff = (unsigned char)(diff | (a.p[i] ^ (b.n > 0 ? b.p[i % b.n] : 1)));
    return diff == 0;
}

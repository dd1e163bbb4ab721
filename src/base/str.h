/*
 * str.h - a slice of bytes: pointer and length, no owner, no final NUL.
 *
 * Contract
 *   Ownership  none; a str dies with the memory it points into.
 *   Bytes      any, NUL included.  The empty str may have p == NULL.
 *   Case       "nocase" folds ASCII letters only.
 */
#ifndef STR_H
#define STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "must.h"

struct str {
    const char *p;
    size_t n;
};

#define S(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
#define S_INIT(literal)                 \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    } /* for static initialisers */
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).n, (s).p

/* NULL gives the empty str. */
static inline struct str str_of(const char *cstr)
{
    return (struct str){ cstr, cstr != NULL ? strlen(cstr) : 0 };
}

/* p + n; no place stays none, as C has no sum of it.  The analyser does not look inside: it
 * would take a text that has bytes for one that may have no place. */
#if defined(__clang_analyzer__) || defined(CCP_ANALYSIS) /* tools/analyze */
const char *str_place(const char *p, size_t n);
#else
static inline const char *str_place(const char *p, size_t n)
{
    return p != NULL ? p + n : NULL;
}
#endif

/* Clamped to s. */
static inline struct str str_slice(struct str s, size_t from, size_t to)
{
    if (to > s.n)
        to = s.n;
    if (from > to)
        from = to;
    return (struct str){ str_place(s.p, from), to - from };
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline unsigned char str_lower_byte(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

bool str_eq_nocase(struct str a, struct str b);
static inline bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool str_contains(struct str s, struct str needle);
bool str_contains_nocase(struct str s, struct str needle);
int str_cmp(struct str a, struct str b); /* as memcmp, shorter first */

/* Index of the first c, or s.n. */
static inline size_t str_index(struct str s, char c)
{
    const char *hit = s.n > 0 ? memchr(s.p, c, s.n) : NULL;
    return hit != NULL ? (size_t)(hit - s.p) : s.n;
}
/* Index of the first needle, or s.n; an empty needle is at 0. */
size_t str_find(struct str s, struct str needle);

struct str str_trim(struct str s); /* drops spaces, tabs, CR, LF at both ends */

/* Takes the part before the next sep off *rest; false when *rest is used up.
 * "a,,b" gives "a", "", "b"; the empty str gives nothing. */
bool str_next(struct str *rest, char sep, struct str *ret_part);

/* Shell-like match, case-insensitive: '*' any run, '?' one byte. */
bool str_glob(struct str pattern, struct str s);

/* n in decimal, written to the end of digits, where the result lives. */
enum { STR_U64_MAX = 20 };
struct str str_u64(uint64_t n, char digits[STR_U64_MAX]);

/* Whole-string decimal numbers.  -EINVAL when s is not one, -ERANGE when it
 * does not fit.  No sign, no space, no other base. */
int str_to_u64(struct str s, uint64_t *ret_n) MUST_CHECK;
/* As strtod with a leading '-', digits, '.', exponent; whole string. */
int str_to_double(struct str s, double *ret_x) MUST_CHECK;

/* Equality in a time that depends on the lengths only; for secrets. */
bool str_eq_secret(struct str a, struct str b);

#endif

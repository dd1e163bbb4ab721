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

struct str str_of(const char *cstr);                        /* NULL gives the empty str */
struct str str_slice(struct str s, size_t from, size_t to); /* clamped to s */

bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool str_contains(struct str s, struct str needle);
bool str_contains_nocase(struct str s, struct str needle);
int str_cmp(struct str a, struct str b); /* as memcmp, shorter first */

/* Index of the first c, or s.n. */
size_t str_index(struct str s, char c);
/* Index of the first needle, or s.n; an empty needle is at 0. */
size_t str_find(struct str s, struct str needle);

struct str str_trim(struct str s); /* drops spaces, tabs, CR, LF at both ends */

/* Takes the part before the next sep off *rest; false when *rest is used up.
 * "a,,b" gives "a", "", "b"; the empty str gives nothing. */
bool str_next(struct str *rest, char sep, struct str *ret_part);

/* Shell-like match, case-insensitive: '*' any run, '?' one byte. */
bool str_glob(struct str pattern, struct str s);

/* Whole-string decimal numbers.  -EINVAL when s is not one, -ERANGE when it
 * does not fit.  No sign, no space, no other base. */
int str_to_u64(struct str s, uint64_t *ret_n) MUST_CHECK;
/* As strtod with a leading '-', digits, '.', exponent; whole string. */
int str_to_double(struct str s, double *ret_x) MUST_CHECK;

unsigned char str_lower_byte(unsigned char c);

/* Equality in a time that depends on the lengths only; for secrets. */
bool str_eq_secret(struct str a, struct str b);

#endif

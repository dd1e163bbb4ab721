#include "rfc3339.h"

#include <stdio.h>
#include <time.h>

static bool take_number(struct str *rest, size_t digits, int *ret_n)
{
    uint64_t n;
    if (rest->n < digits || str_to_u64(str_slice(*rest, 0, digits), &n) < 0)
        return false;
    *rest = str_slice(*rest, digits, rest->n);
    *ret_n = (int)n;
    return true;
}

static bool take_byte(struct str *rest, char c)
{
    if (rest->n == 0 || rest->p[0] != c)
        return false;
    *rest = str_slice(*rest, 1, rest->n);
    return true;
}

/* Nothing, or in UTC; a fraction before it is allowed. */
static bool is_end(struct str rest)
{
    size_t n = 1;
    if (rest.n > 0 && rest.p[0] == '.') {
        while (n < rest.n && rest.p[n] >= '0' && rest.p[n] <= '9')
            n++;
        rest = str_slice(rest, n, rest.n);
    }
    return rest.n == 0 || str_eq(rest, S("Z")) || str_eq(rest, S("+00:00"));
}

bool rfc3339_read(struct str text, int64_t *ret_unix_s)
{
    struct tm t = { 0 };
    struct str rest = text;
    if (!take_number(&rest, 4, &t.tm_year) || !take_byte(&rest, '-') ||
        !take_number(&rest, 2, &t.tm_mon) || !take_byte(&rest, '-') ||
        !take_number(&rest, 2, &t.tm_mday) || !take_byte(&rest, 'T') ||
        !take_number(&rest, 2, &t.tm_hour) || !take_byte(&rest, ':') ||
        !take_number(&rest, 2, &t.tm_min) || !take_byte(&rest, ':') ||
        !take_number(&rest, 2, &t.tm_sec) || !is_end(rest))
        return false;
    if (t.tm_hour > 23 || t.tm_min > 59 || t.tm_sec > 60) /* a leap second is the next one */
        return false;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    int month = t.tm_mon, day = t.tm_mday, leap = t.tm_sec == 60;
    t.tm_sec -= leap;
    int64_t unix_s = timegm(&t);
    if (t.tm_mon != month || t.tm_mday != day) /* there is no such day */
        return false;
    *ret_unix_s = unix_s + leap;
    return true;
}

struct str rfc3339_write(int64_t unix_s, char room[RFC3339_BYTES])
{
    time_t t = (time_t)unix_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    int n = snprintf(room, RFC3339_BYTES, "%04lld-%02d-%02dT%02d:%02d:%02dZ",
                     (long long)tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                     tm.tm_sec);
    must(n > 0);
    must(n < RFC3339_BYTES);
    return (struct str){ room, (size_t)n };
}

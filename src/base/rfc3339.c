#include "rfc3339.h"

#include <string.h>
#include <time.h>

bool rfc3339_read(struct str text, int64_t *ret_unix_s)
{
    struct tm t = { 0 };
    char room[RFC3339_BYTES + 8];
    if (text.n < sizeof "2026-10-21T07:28:00" - 1 || text.n >= sizeof room)
        return false;
    memcpy(room, text.p, text.n);
    room[text.n] = '\0';
    const char *rest = strptime(room, "%Y-%m-%dT%H:%M:%S", &t);
    if (rest == NULL)
        return false;
    if (*rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    if (*rest != '\0' && strcmp(rest, "Z") != 0 && strcmp(rest, "+00:00") != 0)
        return false;
    *ret_unix_s = timegm(&t);
    return true;
}

struct str rfc3339_write(int64_t unix_s, char room[RFC3339_BYTES])
{
    time_t t = (time_t)unix_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    size_t n = strftime(room, RFC3339_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return (struct str){ room, n };
}

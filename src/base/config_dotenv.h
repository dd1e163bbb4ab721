/*
 * config_dotenv.h - parser of .env text.  Does no I/O.
 *
 * Contract
 *   Input      the whole file, mutable: quoted values are unescaped in place.
 *              KEY=VALUE lines, an optional "export ", # comments, 'literal'
 *              and "escaped" values (\n \t \\ \"; other backslashes stay); only
 *              a double-quoted value may span lines.  An unquoted value ends at
 *              a blank followed by #.  LF or CRLF, an optional BOM.
 *   Output     one pair per dotenv_next(); slices of the input.
 *   Limits     64 KiB a line.
 *   Errors     -EINVAL with a reason; the parser stays there.
 */
#ifndef CONFIG_DOTENV_H
#define CONFIG_DOTENV_H

#include <stddef.h>

#include "must.h"
#include "str.h"

enum { DOTENV_LINE_MAX = 64 << 10 };

struct dotenv {
    char *p;
    size_t n, at;
    int line;        /* of the next byte, from 1 */
    const char *why; /* after an error */
};

struct dotenv_pair {
    struct str name, value;
    int line; /* where the name stands */
};

void dotenv_init(struct dotenv *d, char *p, size_t n);
/* 1: a pair, 0: the end, below 0: an error in line d->line. */
int dotenv_next(struct dotenv *d, struct dotenv_pair *ret_pair) MUST_CHECK;

#endif

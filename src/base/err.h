/*
 * err.h - one number space for every failure.
 *
 * A function that can fail returns int (or ssize_t): zero or more is success,
 * below zero is either -errno or an E_ code from errors.def.  -EAGAIN always
 * means "not now".
 */
#ifndef ERR_H
#define ERR_H

enum err {
    E_BASE_ = -20000, /* far below any -errno */
#define ERR(code, ...) E_##code,
#include "errors.def"
#undef ERR
    E_END_,
};

struct err_row {
    const char *name; /* as in errors.def, for logs */
    int http_status;
    const char *type; /* error.type in bodies */
    const char *text; /* safe to show to a client */
};

const struct err_row *err_row(int e); /* never NULL; an -errno gives E_INTERNAL's row */

#endif

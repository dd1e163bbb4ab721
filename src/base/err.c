#include "err.h"

static const struct err_row rows[] = {
#define ERR(code, http, type, text) { #code, http, type, text },
#include "errors.def"
#undef ERR
};

const struct err_row *err_row(int e)
{
    if (e <= E_BASE_ || e >= E_END_)
        e = E_INTERNAL;
    return &rows[e - E_BASE_ - 1];
}

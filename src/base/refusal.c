#include "refusal.h"

#include "err.h"
#include "must.h"
#include "str.h"

static const struct refusal_row rows[REFUSAL_COUNT] = {
    [REFUSAL_NONE] = { "", 0, "" },
#define REFUSAL(reason, label, code, help) [REFUSAL_##reason] = { label, E_##code, help },
#include "refusals.def"
#undef REFUSAL
};

const struct refusal_row *refusal_row(enum refusal reason)
{
    must(reason < REFUSAL_COUNT);
    return &rows[reason];
}

enum refusal refusal_of(int err)
{
    if (err == 0 || err == E_CLIENT_GONE) /* whoever leaves was not refused */
        return REFUSAL_NONE;
    for (size_t i = 1; i < ARRAY_LEN(rows); i++)
        if (rows[i].err == err)
            return (enum refusal)i;
    return REFUSAL_NONE;
}

#include "lockout.h"

#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "hash.h"
#include "mem.h"
#include "must.h"

enum { WAYS = 4, BUCKETS = LOCKOUT_ADDRESSES_MAX / WAYS };

/*
 * failures 0: free.  closed_ns 0: counting since begin_ns; else closed until then.
 * free -> counting -> closed [lockout_fail]; either -> free [when its time is over]
 */
struct row {
    struct address address;
    int64_t begin_ns, closed_ns;
    int failures;
};

struct lockout {
    int failures_max;
    int64_t window_ns;
    int64_t quiet_ns; /* from then on all rows are over */
    uint64_t seed;    /* nobody can aim at one bucket */
    struct row rows[BUCKETS][WAYS];
};

struct lockout *lockout_new(int failures_max, int64_t window_ns)
{
    must(failures_max > 0);
    must(window_ns > 0);
    struct lockout *l = mem_new(struct lockout);
    l->failures_max = failures_max;
    l->window_ns = window_ns;
    hash_random(&l->seed, sizeof(l->seed));
    return l;
}

void lockout_free(struct lockout *l)
{
    free(l);
}

static struct row *bucket(struct lockout *l, const struct address *a)
{
    return l->rows[address_hash(a, l->seed) % BUCKETS];
}

static int64_t over_ns(const struct lockout *l, const struct row *row)
{
    return row->closed_ns != 0 ? row->closed_ns : row->begin_ns + l->window_ns;
}

static void forget_old(const struct lockout *l, struct row *row, int64_t now_ns)
{
    if (row->failures > 0 && now_ns >= over_ns(l, row))
        *row = (struct row){ .failures = 0 };
}

/* The address's own row, or NULL.  ret_spare: the one to take for it then. */
static struct row *find(struct lockout *l, const struct address *a, int64_t now_ns,
                        struct row **ret_spare)
{
    struct row *rows = bucket(l, a), *spare = NULL;
    for (int i = 0; i < WAYS; i++) {
        struct row *row = &rows[i];
        forget_old(l, row, now_ns);
        if (row->failures > 0 && memcmp(&row->address, a, sizeof(*a)) == 0)
            return row;
        bool better = spare == NULL || (spare->failures > 0 && row->failures == 0);
        if (!better && spare->failures > 0) {
            bool closed = row->closed_ns != 0, spare_closed = spare->closed_ns != 0;
            better = closed == spare_closed ? over_ns(l, row) < over_ns(l, spare) : spare_closed;
        }
        if (better)
            spare = row;
    }
    *ret_spare = spare;
    return NULL;
}

bool lockout_fail(struct lockout *l, struct str remote, int64_t now_ns)
{
    struct address a;
    struct row *spare;
    if (!address_read(remote, &a))
        return false;
    struct row *row = find(l, &a, now_ns, &spare);
    if (row == NULL) {
        row = spare;
        *row = (struct row){ .address = a, .begin_ns = now_ns };
    }
    if (row->closed_ns != 0)
        return false;
    row->failures++;
    if (row->failures >= l->failures_max)
        row->closed_ns = now_ns + l->window_ns;
    l->quiet_ns = now_ns + l->window_ns; /* no row lasts longer */
    return row->closed_ns != 0;
}

int64_t lockout_left_ns(struct lockout *l, struct str remote, int64_t now_ns)
{
    struct address a;
    struct row *spare;
    if (now_ns >= l->quiet_ns || !address_read(remote, &a))
        return 0;
    const struct row *row = find(l, &a, now_ns, &spare);
    return row != NULL && row->closed_ns != 0 ? row->closed_ns - now_ns : 0;
}

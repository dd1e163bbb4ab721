#include "counters.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct row {
    const char *name, *type, *help;
    size_t offset;
} rows[] = {
#define COUNTER(field, name, type, help) { name, type, help, offsetof(struct counters, field) },
#include "counters.def"
#undef COUNTER
};

enum { MAP_BYTES = COUNTERS_SLOTS_MAX * sizeof(struct counters) };

_Static_assert(sizeof(struct counters) == COUNTERS_SLOT_BYTES, "one size in every version");

static uint64_t hash_name(uint64_t hash, const char *name)
{
    do
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3); /* FNV-1a */
    while (*name++ != '\0');
    return hash;
}

/* Tells versions apart whose rows differ. */
static uint64_t own_layout(void)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        hash = hash_name(hash, rows[i].name);
    for (int i = REFUSAL_NONE + 1; i < REFUSAL_COUNT; i++)
        hash = hash_name(hash, refusal_row((enum refusal)i)->label);
    return hash;
}

int counters_create(int *ret_fd)
{
    int fd = memfd_create("counters", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, MAP_BYTES) < 0) {
        int e = -errno;
        close(fd);
        return e;
    }
    *ret_fd = fd;
    return 0;
}

int counters_map(int fd, struct counters **ret_slots)
{
    int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *p = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    *ret_slots = p;
    return 0;
}

static int64_t *field(const struct counters *slot, const struct row *row)
{
    return (int64_t *)(void *)((char *)(uintptr_t)slot + row->offset);
}

void counters_begin(struct counters *slot)
{
    if (slot->layout != own_layout())
        memset(slot, 0, sizeof(*slot));
    slot->layout = own_layout();
    counters_end(slot);
}

void counters_end(struct counters *slot)
{
    if (slot->layout != own_layout())
        return;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].type[0] == 'g')
            *field(slot, &rows[i]) = 0;
}

int64_t counters_requests_open(const struct counters *slot)
{
    return slot->layout == own_layout() ? slot->requests_open : 0;
}

static void write_refused(const struct counters *slots, uint64_t own, struct buf *out)
{
    static const char name[] = "ccproxy_refused_total";
    buf_addf(out, "# HELP %s requests and connections that were refused, by reason\n", name);
    buf_addf(out, "# TYPE %s counter\n", name);
    for (int i = REFUSAL_NONE + 1; i < REFUSAL_COUNT; i++) {
        int64_t sum = 0;
        for (int slot = 0; slot < COUNTERS_SLOTS_MAX; slot++)
            if (slots[slot].layout == own)
                sum += slots[slot].refused[i];
        buf_addf(out, "%s{reason=\"%s\"} %" PRId64 "\n", name, refusal_row((enum refusal)i)->label,
                 sum);
    }
}

void counters_write(const struct counters *slots, struct buf *out)
{
    uint64_t own = own_layout();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t sum = 0;
        for (int slot = 0; slot < COUNTERS_SLOTS_MAX; slot++)
            if (slots[slot].layout == own)
                sum += *field(&slots[slot], &rows[i]);
        buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRId64 "\n", rows[i].name, rows[i].help,
                 rows[i].name, rows[i].type, rows[i].name, sum);
    }
    write_refused(slots, own, out);
}

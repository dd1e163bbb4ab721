#include "counters.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
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

void counters_clear_gauges(struct counters *slot)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].type[0] == 'g')
            *field(slot, &rows[i]) = 0;
}

static void write_refused(const struct counters *slots, struct buf *out)
{
    static const char name[] = "ccproxy_refused_total";
    buf_addf(out, "# HELP %s requests and connections that were refused, by reason\n", name);
    buf_addf(out, "# TYPE %s counter\n", name);
    for (int i = REFUSAL_NONE + 1; i < REFUSAL_COUNT; i++) {
        int64_t sum = 0;
        for (int slot = 0; slot < COUNTERS_SLOTS_MAX; slot++)
            sum += slots[slot].refused[i];
        buf_addf(out, "%s{reason=\"%s\"} %" PRId64 "\n", name, refusal_row((enum refusal)i)->label,
                 sum);
    }
}

void counters_write(const struct counters *slots, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t sum = 0;
        for (int slot = 0; slot < COUNTERS_SLOTS_MAX; slot++)
            sum += *field(&slots[slot], &rows[i]);
        buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRId64 "\n", rows[i].name, rows[i].help,
                 rows[i].name, rows[i].type, rows[i].name, sum);
    }
    write_refused(slots, out);
}

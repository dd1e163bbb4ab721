/*
 * One setting.  The first byte chooses it, the rest is its value.
 * Invariants: a refusal has one line of reason and changes nothing; what is accepted is
 * accepted again, survives the way to a worker, and is printed (secrets are not).
 */
#include <stddef.h>
#include <stdint.h>

#include "config_row.h"
#include "default_config.h"

static struct config config;

static void prepare(void)
{
    static bool prepared;
    if (!prepared)
        default_config(&config);
    prepared = true;
}

static void encode(struct buf *out)
{
    buf_init(out, SIZE_MAX);
    config_encode(&config, out);
}

static void check_copy(const struct buf *bytes)
{
    struct config copy = { .production = false };
    struct buf again;
    must(config_decode(&copy, buf_str(bytes)) == 0);
    buf_init(&again, SIZE_MAX);
    config_encode(&copy, &again);
    must(str_eq(buf_str(bytes), buf_str(&again)));
    buf_done(&again);
    config_done(&copy);
}

static void check_printed(const struct config_row *row, struct str value)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    config_print(&config, &out);
    must(str_contains(buf_str(&out), str_of(row->name)));
    if (row->type == CONFIG_TYPE_SECRET && value.n > 24)
        must(!str_contains(buf_str(&out), value));
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return 0;
    prepare();
    const struct config_row *row = config_row(bytes[0] % CONFIG_COUNT);
    struct str name = str_of(row->name), value = { (const char *)bytes + 1, n - 1 };
    struct buf error, before, after;
    buf_init(&error, SIZE_MAX);
    encode(&before);
    int e = config_set(&config, name, value, &error);
    encode(&after);
    must((e < 0) == (buf_len(&error) > 0));
    if (e < 0) {
        must(str_index(buf_str(&error), '\n') == buf_len(&error));
        must(str_eq(buf_str(&before), buf_str(&after)));
    } else {
        check_copy(&after);
        check_printed(row, value);
        must(config_set(&config, name, str_of(row->initial), &error) == 0);
    }
    buf_done(&error);
    buf_done(&before);
    buf_done(&after);
    return 0;
}

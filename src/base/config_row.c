#include "config_row.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "secret.h"

static const struct config_row rows[CONFIG_COUNT] = {
#define GROUP(title)
#define SETTING(field, type, name, alias, initial, min, max, help) \
    { CONFIG_TYPE_##type, offsetof(struct config, field), name, alias, initial, min, max },
#include "config.def"
#undef SETTING
#undef GROUP
};

/* Texts with a closed set of values.  The spelling here is what is stored. */
static const struct {
    size_t row;
    const char *values;
} choices[] = {
    { CONFIG_environment, "production test dev development" },
    { CONFIG_services, "claude codex both" },
    { CONFIG_anthropic_auth_style, "auto x-api-key bearer" },
    { CONFIG_codex_env_context, "on off" },
    { CONFIG_sandbox, "on log off" },
    { CONFIG_log_level, "DEBUG INFO WARNING WARN ERROR" },
    { CONFIG_log_format, "json console text" },
};

const struct config_row *config_row(size_t i)
{
    must(i < CONFIG_COUNT);
    return &rows[i];
}

static int spelling_rank(const struct config_row *row, struct str name)
{
    if (str_eq(name, str_of(row->name)))
        return 4;
    if (str_eq_nocase(name, str_of(row->name)))
        return 3;
    if (row->alias == NULL)
        return 0;
    if (str_eq(name, str_of(row->alias)))
        return 2;
    return str_eq_nocase(name, str_of(row->alias)) ? 1 : 0;
}

size_t config_row_find(struct str name, int *ret_rank)
{
    for (size_t i = 0; i < CONFIG_COUNT; i++) {
        int rank = spelling_rank(&rows[i], name);
        if (rank > 0) {
            *ret_rank = rank;
            return i;
        }
    }
    return CONFIG_COUNT;
}

static int check_range(const struct config_row *row, double x, struct buf *why)
{
    if (x >= row->min && x <= row->max)
        return 0;
    buf_addf(why, "out of range %.10g to %.10g", row->min, row->max);
    return -EINVAL;
}

static int parse_whole(const struct config_row *row, struct str text, uint64_t *ret_n,
                       struct buf *why)
{
    uint64_t n = 0;
    int e = str_to_u64(text, &n);
    if (e == -ERANGE)
        n = UINT64_MAX; /* the range check says it better */
    else if (e < 0) {
        buf_addf(why, "not a whole number");
        return e;
    }
    *ret_n = n;
    return check_range(row, (double)n, why);
}

static int parse_bytes(const struct config_row *row, struct str text, size_t *ret_n,
                       struct buf *why)
{
    static const char suffixes[] = "kmg";
    unsigned shift = 0;
    uint64_t n;
    if (text.n > 0) {
        const char *hit = memchr(suffixes, str_lower_byte((unsigned char)text.p[text.n - 1]), 3);
        if (hit != NULL) {
            shift = 10 * ((unsigned)(hit - suffixes) + 1);
            text.n--;
        }
    }
    if (str_to_u64(text, &n) == -EINVAL) {
        buf_addf(why, "not a number of bytes (digits, then K, M, G or nothing)");
        return -EINVAL;
    }
    if (str_to_u64(text, &n) < 0 || n > UINT64_MAX >> shift)
        n = UINT64_MAX >> shift;
    if (check_range(row, (double)(n << shift), why) < 0)
        return -EINVAL;
    *ret_n = (size_t)(n << shift);
    return 0;
}

static int parse_seconds(const struct config_row *row, struct str text, int64_t *ret_ms,
                         struct buf *why)
{
    double x;
    if (str_to_double(text, &x) < 0) {
        buf_addf(why, "not a number");
        return -EINVAL;
    }
    if (check_range(row, x, why) < 0)
        return -EINVAL;
    *ret_ms = (int64_t)(x * 1000 + 0.5);
    return 0;
}

static int parse_bool(struct str text, bool *ret_b, struct buf *why)
{
    static const char *const words[][2] = {
        { "false", "true" }, { "0", "1" }, { "no", "yes" },
        { "off", "on" },     { "n", "y" }, { "f", "t" },
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        for (int b = 0; b < 2; b++) {
            if (str_eq_nocase(text, str_of(words[i][b]))) {
                *ret_b = b == 1;
                return 0;
            }
        }
    }
    buf_addf(why, "not true or false");
    return -EINVAL;
}

/* Puts the stored spelling in place of the given one. */
static int check_choice(size_t i, struct str *text, struct buf *why)
{
    for (size_t k = 0; k < ARRAY_LEN(choices); k++) {
        if (choices[k].row != i)
            continue;
        struct str rest = str_of(choices[k].values), value;
        while (str_next(&rest, ' ', &value)) {
            if (str_eq_nocase(*text, value)) {
                *text = value;
                return 0;
            }
        }
        buf_addf(why, "not one of %s", choices[k].values);
        return -EINVAL;
    }
    return 0;
}

static int check_workers(struct str text, struct buf *why)
{
    uint64_t n;
    if (text.n == 0 || str_eq_nocase(text, S("auto")))
        return 0;
    if (str_to_u64(text, &n) == 0 && n >= 1 && n <= 64)
        return 0;
    buf_addf(why, "not a number from 1 to 64, or auto");
    return -EINVAL;
}

/* Others, such as an address with a path, would match no browser's origin. */
static int check_origins(struct str list, struct buf *why)
{
    struct str item;
    while (str_next(&list, ',', &item)) {
        item = str_trim(item);
        size_t at = str_find(item, S("://"));
        struct str host = str_slice(item, at + 3, item.n);
        bool origin = at > 0 && host.n > 0 && str_index(host, '/') == host.n;
        if (item.n > 0 && !origin && !str_eq(item, S("*")) && !str_eq(item, S("null"))) {
            buf_addf(why, "not a list of origins such as https://chat.example.org");
            return -EINVAL;
        }
    }
    return 0;
}

static int check_text(size_t i, struct str *text, struct buf *why)
{
    if (i == CONFIG_workers)
        return check_workers(*text, why);
    if (i == CONFIG_cors_allow_origins)
        return check_origins(*text, why);
    /* Secrets become header fields or parts of a URL. */
    for (size_t k = 0; rows[i].type == CONFIG_TYPE_SECRET && k < text->n; k++) {
        if ((unsigned char)text->p[k] < ' ' || text->p[k] == 127) {
            buf_addf(why, "has a control character");
            return -EINVAL;
        }
    }
    return check_choice(i, text, why);
}

static bool keeps_blanks(const struct config_row *row)
{
    return row->type == CONFIG_TYPE_STR && row->min < 1;
}

static bool may_be_empty(const struct config_row *row)
{
    return row->type == CONFIG_TYPE_SECRET || row->type == CONFIG_TYPE_IGNORED || keeps_blanks(row);
}

static int parse_number(const struct config_row *row, struct str text, void *field, struct buf *why)
{
    uint64_t n;
    int e;
    switch (row->type) {
    case CONFIG_TYPE_INT:
        if ((e = parse_whole(row, text, &n, why)) == 0)
            *(int *)field = (int)n; /* every max in config.def fits */
        return e;
    case CONFIG_TYPE_BOOL:
        return parse_bool(text, field, why);
    case CONFIG_TYPE_SECONDS:
        return parse_seconds(row, text, field, why);
    case CONFIG_TYPE_BYTES:
        return parse_bytes(row, text, field, why);
    case CONFIG_TYPE_STR:
    case CONFIG_TYPE_SECRET:
    case CONFIG_TYPE_IGNORED:
        break;
    }
    return 0;
}

int config_row_set(struct config *c, size_t i, struct str text, struct buf *why)
{
    const struct config_row *row = config_row(i);
    void *field = (char *)c + row->offset;
    if (memchr(text.n > 0 ? text.p : "", '\0', text.n) != NULL) {
        buf_addf(why, "has a NUL byte");
        return -EINVAL;
    }
    if (!keeps_blanks(row))
        text = str_trim(text);
    bool use_default = text.n == 0 && !may_be_empty(row);
    if (use_default)
        text = str_of(row->initial);
    if (check_text(i, &text, why) < 0 || parse_number(row, text, field, why) < 0)
        return -EINVAL;

    char *copy = secret_strndup(text.n > 0 ? text.p : "", text.n);
    secret_free(c->text[i]); /* after the copy: text may point into it */
    c->text[i] = copy;
    if (row->type == CONFIG_TYPE_STR || row->type == CONFIG_TYPE_SECRET ||
        row->type == CONFIG_TYPE_IGNORED)
        *(struct str *)field = str_of(copy);
    return use_default ? 1 : 0;
}

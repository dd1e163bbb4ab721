#include "profile.h"

#include <errno.h>

enum row_type { ROW_SWITCH, ROW_WORD, ROW_SET, ROW_NUMBER, ROW_TEXT };

struct row {
    enum row_type type;
    size_t offset; /* of the field in struct profile */
    struct str name, initial, words;
};

static const struct row rows[] = {
#define ROW(field, type, name, initial, words) \
    { ROW_##type, offsetof(struct profile, field), S_INIT(name), S_INIT(initial), S_INIT(words) },
#include "profile.def"
#undef ROW
};

/* A row of another type than its field does not compile.  Our enums are unsigned. */
#define FITS_SWITCH(x) _Generic((x), bool : 1, default : 0)
#define FITS_WORD(x) _Generic((x), unsigned : 1, default : 0)
#define FITS_SET(x) FITS_WORD(x)
#define FITS_NUMBER(x) _Generic((x), int64_t : 1, default : 0)
#define FITS_TEXT(x) _Generic((x), struct str : 1, default : 0)
#define ROW(field, type, name, initial, words) \
    _Static_assert(FITS_##type(((struct profile *)0)->field), name);
#include "profile.def"
#undef ROW

struct builtin {
    struct str name, hosts, settings;
};

static const struct builtin builtins[] = {
#define PROFILE(name, hosts, settings) { S_INIT(name), S_INIT(hosts), S_INIT(settings) },
#include "profiles.def"
#undef PROFILE
};

struct family {
    struct str glob, settings;
};

static const struct family families[] = {
#define FAMILY(glob, settings) { S_INIT(glob), S_INIT(settings) },
#include "model_families.def"
#undef FAMILY
};

/* The first version of Messages without sampling parameters (A1.1). */
#define VERSION_WITHOUT_SAMPLING S("2026-10-21")
#define TEXT_LEN_MAX 64

static const struct row *row_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (str_eq(rows[i].name, name))
            return &rows[i];
    }
    return NULL;
}

/* ---- values ---- */

/* The place of a word in its list, or -1. */
static int word_index(struct str words, struct str word)
{
    struct str each;
    for (int i = 0; word.n > 0 && str_next(&words, ',', &each); i++) {
        if (str_eq(each, word))
            return i;
    }
    return -1;
}

/* YAML spells a plain yes and no in these ways too. */
static int switch_index(const struct row *row, struct str value)
{
    int i = word_index(row->words, value);
    if (i >= 0 || !str_eq(row->words, S("no,yes")))
        return i;
    i = word_index(S("false,true"), value);
    return i >= 0 ? i : word_index(S("off,on"), value);
}

static unsigned set_of_all(struct str words)
{
    unsigned set = 0;
    struct str each;
    for (unsigned i = 0; str_next(&words, ',', &each); i++)
        set |= each.n > 0 ? 1u << i : 0;
    return set;
}

static int read_set(const struct row *row, struct str value, unsigned *ret)
{
    unsigned set = 0;
    struct str each;
    if (str_eq(value, S("all"))) {
        *ret = set_of_all(row->words);
        return 0;
    }
    if (str_eq(value, S("none")) && word_index(row->words, value) < 0)
        value = S("");
    while (str_next(&value, ',', &each)) {
        int i = word_index(row->words, str_trim(each));
        if (i < 0)
            return -EINVAL;
        set |= 1u << i;
    }
    *ret = set;
    return 0;
}

static int read_number(const struct row *row, struct str value, int64_t *ret)
{
    uint64_t n;
    if (word_index(row->words, value) == 0) {
        *ret = -1; /* "unknown" */
        return 0;
    }
    if (str_to_u64(value, &n) < 0 || n == 0 || n > INT32_MAX)
        return -EINVAL;
    *ret = (int64_t)n;
    return 0;
}

/* Texts become header fields and JSON: nothing in them may need an escape. */
static int read_text(const struct row *row, struct str value, struct str *ret)
{
    if (row->words.n > 0) {
        int i = word_index(row->words, value);
        if (i < 0)
            return -EINVAL;
        *ret = i == 0 ? S("") : value;
        return 0;
    }
    if (value.n == 0 || value.n > TEXT_LEN_MAX)
        return -EINVAL;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] <= ' ' || value.p[i] > '~' || value.p[i] == '"' || value.p[i] == '\\')
            return -EINVAL;
    }
    *ret = value;
    return 0;
}

/* Reads one value into its field of p, which holds the defaults or more. */
static int row_set(const struct row *row, struct profile *p, struct str value)
{
    void *field = (char *)p + row->offset;
    int i;
    if (str_eq(value, S("auto")) && word_index(row->words, value) < 0)
        return 0;
    switch (row->type) {
    case ROW_SWITCH:
        if ((i = switch_index(row, value)) < 0)
            return -EINVAL;
        *(bool *)field = i == 1;
        return 0;
    case ROW_WORD:
        if ((i = word_index(row->words, value)) < 0)
            return -EINVAL;
        *(unsigned *)field = (unsigned)i;
        return 0;
    case ROW_SET:
        return read_set(row, value, field);
    case ROW_NUMBER:
        return read_number(row, value, field);
    case ROW_TEXT:
        return read_text(row, value, field);
    }
    return -EINVAL;
}

/* What a wrong value should have been. */
static void add_expected(const struct row *row, struct buf *out)
{
    switch (row->type) {
    case ROW_SWITCH:
    case ROW_WORD:
        buf_addf(out, "one of " STR_FMT ",auto", STR_ARG(row->words));
        return;
    case ROW_SET: {
        struct str words = row->words;
        while (words.n > 0 && words.p[0] == ',')
            words = str_slice(words, 1, words.n);
        buf_addf(out, "all, auto, or some of " STR_FMT, STR_ARG(words));
        return;
    }
    case ROW_NUMBER:
        buf_addf(out, "a number from 1 to %d", INT32_MAX);
        return;
    case ROW_TEXT:
        if (row->words.n > 0)
            buf_addf(out, "one of " STR_FMT, STR_ARG(row->words));
        else
            buf_addf(out, "1 to %d visible characters", TEXT_LEN_MAX);
        return;
    }
}

static int apply(struct profile *p, const struct profile_override *o, struct buf *ret_error)
{
    const struct row *row = row_find(o->setting);
    if (row == NULL) {
        buf_addf(ret_error, "no such setting: " STR_FMT, STR_ARG(o->setting));
        return -EINVAL;
    }
    if (row_set(row, p, o->value) < 0) {
        buf_addf(ret_error, STR_FMT " must be ", STR_ARG(o->setting));
        add_expected(row, ret_error);
        return -EINVAL;
    }
    return 0;
}

/* ---- layers ---- */

/* Our own "name=value name=value": a mistake in it is ours. */
static void apply_builtin(struct profile *p, struct str settings)
{
    struct str each;
    while (str_next(&settings, ' ', &each)) {
        size_t eq = str_index(each, '=');
        if (each.n == 0)
            continue;
        must(eq < each.n);
        const struct row *row = row_find(str_slice(each, 0, eq));
        must(row != NULL);
        must(row_set(row, p, str_slice(each, eq + 1, each.n)) == 0);
    }
}

static void apply_initial(struct profile *p)
{
    *p = (struct profile){ 0 };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        must(row_set(&rows[i], p, rows[i].initial) == 0);
}

/* Gateways call a model vendor/model; globs without a leading '*' mean the part behind. */
static void apply_family(struct profile *p, struct str model)
{
    struct str bare = model;
    size_t slash;
    while ((slash = str_index(bare, '/')) < bare.n)
        bare = str_slice(bare, slash + 1, bare.n);
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        if (str_glob(families[i].glob, bare)) {
            apply_builtin(p, families[i].settings);
            return;
        }
    }
}

static const struct builtin *builtin_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(builtins); i++) {
        if (str_eq(builtins[i].name, name))
            return &builtins[i];
    }
    return NULL;
}

static bool host_is_below(struct str host, struct str suffix)
{
    if (!str_ends(host, suffix))
        return false;
    return host.n == suffix.n || host.p[host.n - suffix.n - 1] == '.';
}

static const struct builtin *builtin_of_host(struct str host)
{
    for (size_t i = 0; i < ARRAY_LEN(builtins); i++) {
        struct str hosts = builtins[i].hosts, each;
        while (str_next(&hosts, ' ', &each)) {
            if (host_is_below(host, each))
                return &builtins[i];
        }
    }
    return builtin_find(S("default"));
}

static bool overrides_one(const struct profile_override *overrides, size_t count, struct str name)
{
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        if (str_eq(overrides[i].setting, name))
            found = !str_eq(overrides[i].value, S("auto"));
    }
    return found;
}

int profile_resolve(struct profile *ret, struct str name, struct str host, struct str model,
                    const struct profile_override *overrides, size_t override_count,
                    struct buf *ret_error)
{
    const struct builtin *builtin = name.n > 0 ? builtin_find(name) : builtin_of_host(host);
    if (builtin == NULL) {
        buf_addf(ret_error, "no such profile: " STR_FMT, STR_ARG(name));
        return -EINVAL;
    }
    struct profile p;
    apply_initial(&p);
    p.name = builtin->name;
    apply_family(&p, model);
    apply_builtin(&p, builtin->settings);
    for (size_t i = 0; i < override_count; i++) {
        if (apply(&p, &overrides[i], ret_error) < 0)
            return -EINVAL;
    }
    if (str_cmp(p.anthropic_version, VERSION_WITHOUT_SAMPLING) >= 0 &&
        !overrides_one(overrides, override_count, S("anthropic.sampling")))
        p.anthropic_sampling = false;
    *ret = p;
    return 0;
}

bool profile_exists(struct str name)
{
    return builtin_find(name) != NULL;
}

int profile_check(const struct profile_override *o, struct buf *ret_error)
{
    struct profile p = { 0 };
    return apply(&p, o, ret_error);
}

/* ---- effort ---- */

static const struct str effort_names[CHAT_EFFORT_COUNT] = {
    [CHAT_EFFORT_NONE] = S_INIT("none"), [CHAT_EFFORT_MINIMAL] = S_INIT("minimal"),
    [CHAT_EFFORT_LOW] = S_INIT("low"),   [CHAT_EFFORT_MEDIUM] = S_INIT("medium"),
    [CHAT_EFFORT_HIGH] = S_INIT("high"), [CHAT_EFFORT_XHIGH] = S_INIT("xhigh"),
    [CHAT_EFFORT_MAX] = S_INIT("max"),
};

static bool accepts(unsigned accepted, int e)
{
    return (accepted & 1u << e) != 0;
}

enum chat_effort effort_nearest(unsigned accepted, enum chat_effort e)
{
    must(e < CHAT_EFFORT_COUNT);
    if (e == CHAT_EFFORT_ABSENT || (e == CHAT_EFFORT_NONE && accepts(accepted, CHAT_EFFORT_NONE)))
        return e;
    for (int i = (int)e; i > CHAT_EFFORT_NONE; i--) {
        if (accepts(accepted, i))
            return (enum chat_effort)i;
    }
    for (int i = CHAT_EFFORT_MINIMAL; i < CHAT_EFFORT_COUNT; i++) {
        if (accepts(accepted, i))
            return (enum chat_effort)i;
    }
    return CHAT_EFFORT_ABSENT;
}

struct str effort_name(enum chat_effort e)
{
    must(e < CHAT_EFFORT_COUNT);
    return effort_names[e];
}

enum chat_effort effort_of(struct str name)
{
    for (int i = CHAT_EFFORT_NONE; i < CHAT_EFFORT_COUNT; i++) {
        if (str_eq(effort_names[i], name))
            return (enum chat_effort)i;
    }
    return CHAT_EFFORT_COUNT;
}

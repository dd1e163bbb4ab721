/*
 * Loading.  Each source offers its values for the settings; the best offer for
 * a setting stays.  Then every setting is parsed once, the winner or the
 * default, and the rules between settings are checked.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_dotenv.h"
#include "config_row.h"
#include "mem.h"
#include "secret.h"

enum {
    ENV_FILE_FIRST = 4000,
    ENV_FILE_MAX = 1 << 20,
    WARNINGS_MAX = 64 << 10,
    SHOWN_VALUE_MAX = 64
};

struct offer {
    struct str name, value; /* as written; they die with config_load() */
    enum config_source source;
    int line, rank;
    bool set;
};

struct load {
    struct config *c;
    struct buf *error;
    struct offer best[CONFIG_COUNT];
};

/* "file .env, line 12: " */
static void add_place(const struct config *c, enum config_source source, int line, struct buf *out)
{
    switch (source) {
    case SOURCE_FILE:
        buf_addf(out, "file %s, line %d: ", c->env_file, line);
        break;
    case SOURCE_ENVIRONMENT:
        buf_add(out, S("environment: "));
        break;
    case SOURCE_OPTION:
        buf_add(out, S("option: "));
        break;
    case SOURCE_DEFAULT:
        buf_add(out, S("default: "));
        break;
    }
}

void config_add_place(const struct config *c, struct str name, struct buf *out)
{
    int rank;
    size_t row = config_row_find(name, &rank);
    if (row < CONFIG_COUNT && c->source[row] != SOURCE_DEFAULT)
        add_place(c, c->source[row], c->line[row], out);
}

static void add_shown(struct str text, struct buf *out)
{
    buf_add_byte(out, '"');
    for (size_t i = 0; i < text.n && i < SHOWN_VALUE_MAX; i++) {
        unsigned char b = (unsigned char)text.p[i];
        buf_add_byte(out, b < ' ' || b == 127 ? '?' : (char)b);
    }
    buf_add(out, text.n > SHOWN_VALUE_MAX ? S("...\"") : S("\""));
}

static void offer(struct load *l, size_t row, const struct offer *o)
{
    struct offer *best = &l->best[row];
    bool later_wins = o->source != SOURCE_ENVIRONMENT; /* there the first does, as in getenv() */
    if (best->set && best->source == o->source &&
        (best->rank > o->rank || (best->rank == o->rank && !later_wins)))
        return;
    *best = *o; /* sources come in rising order */
    best->set = true;
}

void config_pair_add(struct config *c, struct str name, struct str value)
{
    if ((c->pair_count & (c->pair_count + 1)) == 0) /* 0, 1, 3, 7 ...: full */
        c->pairs = mem_realloc(c->pairs, (2 * c->pair_count + 1) * sizeof(*c->pairs));
    c->pairs[c->pair_count++] =
        (struct config_pair){ secret_strndup(name.n > 0 ? name.p : "", name.n),
                              secret_strndup(value.n > 0 ? value.p : "", value.n) };
}

/* Locked pages are filled when they are made: most files need few. */
static char *with_room(char *p, size_t n, size_t *room)
{
    if (n < *room)
        return p;
    *room = *room * 8 > ENV_FILE_MAX + 1 ? ENV_FILE_MAX + 1 : *room * 8;
    char *more = secret_alloc(*room);
    memcpy(more, p, n);
    secret_free(p);
    return more;
}

/* ret_p: secret_alloc'ed, up to ENV_FILE_MAX bytes.  -ENOENT when there is no file. */
static int read_file(const char *path, char **ret_p, size_t *ret_n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    size_t n = 0, room = ENV_FILE_FIRST;
    char *p = secret_alloc(room);
    int e = 0;
    while (n <= ENV_FILE_MAX) {
        p = with_room(p, n, &room);
        ssize_t got = read(fd, p + n, room - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            e = -errno;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    close(fd);
    if (e == 0 && n > ENV_FILE_MAX)
        e = -EFBIG;
    if (e < 0) {
        secret_free(p);
        return e;
    }
    *ret_p = p;
    *ret_n = n;
    return 0;
}

static int offer_file_pairs(struct load *l, struct dotenv *d)
{
    struct dotenv_pair pair;
    int e;
    while ((e = dotenv_next(d, &pair)) == 1) {
        struct offer o = {
            .name = pair.name, .value = pair.value, .source = SOURCE_FILE, .line = pair.line
        };
        size_t row = config_row_find(pair.name, &o.rank);
        config_pair_add(l->c, pair.name, pair.value);
        if (row < CONFIG_COUNT) {
            offer(l, row, &o);
            continue;
        }
        buf_add(&l->c->warnings, S("warning: "));
        add_place(l->c, SOURCE_FILE, pair.line, &l->c->warnings);
        buf_addf(&l->c->warnings, "%.*s: no such setting\n", STR_ARG(pair.name));
    }
    if (e < 0) {
        add_place(l->c, SOURCE_FILE, d->line, l->error);
        buf_add(l->error, str_of(d->why));
        return -EINVAL;
    }
    return 0;
}

/* ret_p: the bytes that the offers point into; the caller frees them. */
static int offer_file(struct load *l, const char *path, bool required, char **ret_p, size_t *ret_n)
{
    if (path == NULL)
        return 0;
    int e = read_file(path, ret_p, ret_n);
    if (e == -ENOENT && !required)
        return 0;
    if (e < 0) {
        buf_addf(l->error, "file %s: %s", path, e == -EFBIG ? "over 1 MiB" : strerror(-e));
        return -EINVAL;
    }
    l->c->env_file = mem_strndup(path, strlen(path));
    struct dotenv d;
    dotenv_init(&d, *ret_p, *ret_n);
    return offer_file_pairs(l, &d);
}

static void offer_environment(struct load *l, char *const *environ_)
{
    for (; environ_ != NULL && *environ_ != NULL; environ_++) {
        struct str line = str_of(*environ_);
        size_t equals = str_index(line, '=');
        if (equals == line.n)
            continue;
        struct offer o = { .name = str_slice(line, 0, equals),
                           .value = str_slice(line, equals + 1, line.n),
                           .source = SOURCE_ENVIRONMENT };
        size_t row = config_row_find(o.name, &o.rank);
        if (row < CONFIG_COUNT)
            offer(l, row, &o);
        config_pair_add(l->c, o.name, o.value);
    }
}

static int offer_options(struct load *l, const struct config_option *options, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct offer o = { .name = str_of(options[i].name),
                           .value = str_of(options[i].value),
                           .source = SOURCE_OPTION };
        size_t row = config_row_find(o.name, &o.rank);
        if (row == CONFIG_COUNT) {
            buf_addf(l->error, "option: %.*s: no such setting", STR_ARG(o.name));
            return -EINVAL;
        }
        o.rank = 0; /* on the command line the last one wins, however spelt */
        offer(l, row, &o);
    }
    return 0;
}

static int apply(struct config *c, size_t row, const struct offer *o, struct buf *error)
{
    struct buf why;
    buf_init(&why, 1024);
    int e = config_row_set(c, row, o->value, &why);
    if (e < 0) {
        add_place(c, o->source, o->line, error);
        buf_addf(error, "%.*s: %.*s", STR_ARG(o->name), STR_ARG(buf_str(&why)));
        if (config_row(row)->type != CONFIG_TYPE_SECRET) {
            buf_add(error, S(": "));
            add_shown(o->value, error);
        }
    } else {
        c->source[row] = e == 1 ? SOURCE_DEFAULT : o->source;
        c->line[row] = e == 1 ? 0 : o->line;
    }
    buf_done(&why);
    return e < 0 ? e : 0;
}

static int apply_all(struct load *l)
{
    for (size_t i = 0; i < CONFIG_COUNT; i++) {
        const struct config_row *row = config_row(i);
        struct offer o = l->best[i];
        if (!o.set)
            o = (struct offer){ .name = str_of(row->name), .value = str_of(row->initial) };
        int e = apply(l->c, i, &o, l->error);
        if (e < 0)
            return e;
        if (row->type == CONFIG_TYPE_IGNORED && o.set) {
            buf_add(&l->c->warnings, S("debug: "));
            add_place(l->c, o.source, o.line, &l->c->warnings);
            buf_addf(&l->c->warnings, "%s: accepted and ignored\n", row->name);
        }
    }
    return 0;
}

int config_load(struct config *c, const char *env_path, bool env_required, char *const *environ_,
                const struct config_option *options, size_t n, struct buf *ret_error)
{
    *c = (struct config){ .env_file = NULL };
    buf_init(&c->warnings, WARNINGS_MAX);
    struct load l = { .c = c, .error = ret_error };
    char *file = NULL;
    size_t file_n = 0;
    int e = offer_file(&l, env_path, env_required, &file, &file_n);
    if (e == 0) {
        offer_environment(&l, environ_);
        e = offer_options(&l, options, n);
    }
    if (e == 0)
        e = apply_all(&l);
    if (e == 0)
        e = config_check(c, ret_error);
    if (e == 0)
        config_derive(c);
    secret_free(file);
    if (e < 0)
        config_done(c);
    return e;
}

void config_done(struct config *c)
{
    for (size_t i = 0; i < CONFIG_COUNT; i++)
        secret_free(c->text[i]);
    for (size_t i = 0; i < c->pair_count; i++) {
        secret_free(c->pairs[i].name);
        secret_free(c->pairs[i].value);
    }
    free(c->pairs);
    free(c->env_file);
    buf_done(&c->warnings);
    *c = (struct config){ .env_file = NULL };
}

int config_set(struct config *c, struct str name, struct str value, struct buf *ret_error)
{
    struct offer o = { .name = name, .value = value, .source = SOURCE_OPTION };
    size_t row = config_row_find(name, &o.rank);
    if (row == CONFIG_COUNT) {
        buf_addf(ret_error, "option: %.*s: no such setting", STR_ARG(name));
        return -EINVAL;
    }
    int e = apply(c, row, &o, ret_error);
    if (e == 0)
        config_derive(c);
    return e;
}

bool config_is_secret(struct str name)
{
    int rank;
    size_t row = config_row_find(name, &rank);
    return row < CONFIG_COUNT && config_row(row)->type == CONFIG_TYPE_SECRET;
}

bool config_text(const struct config *c, struct str name, struct str *ret_value)
{
    int rank;
    size_t row = config_row_find(name, &rank);
    if (row == CONFIG_proxy_api_keys)
        return false; /* kept as hashes */
    if (row < CONFIG_COUNT) {
        struct str text = str_of(c->text[row]);
        if (text.n == 0 && c->source[row] == SOURCE_DEFAULT)
            return false;
        *ret_value = text;
        return true;
    }
    const struct config_pair *found = NULL;
    for (size_t i = 0; i < c->pair_count; i++)
        if (str_eq(name, str_of(c->pairs[i].name)))
            found = &c->pairs[i];
    if (found == NULL)
        return false;
    *ret_value = str_of(found->value);
    return true;
}

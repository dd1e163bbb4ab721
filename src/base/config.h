/*
 * config.h - the settings: from the command line, the environment, .env and
 * the defaults, in this order of precedence.  One row each in config.def.
 *
 * Contract
 *   Ownership  a config owns its texts, in secret.h's pages; config_done() frees them.
 *              After config_load() it is read only.
 *   Errors     config_load() fails with -EINVAL and a message that names the
 *              source (file and line, environment or option), the setting and
 *              the reason.
 *   Names      setting names are case-insensitive in the environment and in
 *              .env.  An exact upper-case name wins over other spellings, the
 *              main name over the alias; then the last line of .env and the
 *              last option win.  Unknown names in .env go to `warnings`.
 *   Empty      an empty value counts as set for texts; for numbers, bools and
 *              texts that cannot be empty it means the default.
 *   Limits     .env: 1 MiB, 64 KiB a line.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "must.h"
#include "str.h"

enum config_source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_OPTION };

#define CONFIG_C_STR struct str
#define CONFIG_C_SECRET struct str
#define CONFIG_C_INT int
#define CONFIG_C_BOOL bool
#define CONFIG_C_SECONDS int64_t
#define CONFIG_C_BYTES size_t
#define CONFIG_C_IGNORED struct str

struct config_pair {
    char *name, *value;
};

struct config {
#define GROUP(title)
#define SETTING(field, type, ...) CONFIG_C_##type field;
#include "config.def"
#undef SETTING
    enum {
#define SETTING(field, ...) CONFIG_##field,
#include "config.def"
#undef SETTING
#undef GROUP
        CONFIG_COUNT
    } count_;                 /* unused; declares the row numbers */
    char *text[CONFIG_COUNT]; /* each setting as text, owned */
    enum config_source source[CONFIG_COUNT];
    int line[CONFIG_COUNT];    /* in .env, from 1 */
    char *env_file;            /* its path when one was read, else NULL */
    struct config_pair *pairs; /* .env, then the environment, for config_text() */
    size_t pair_count;
    struct buf warnings; /* lines for the log, each "warning: ..." or "debug: ..." */
    bool production;     /* derived: ENVIRONMENT is not test, dev, development */
    int worker_count;    /* derived from WORKERS */
};

/* One "NAME=value" from the command line. */
struct config_option {
    const char *name, *value;
};

/*
 * env_path: the .env to read; a missing file is no error unless env_required.
 * environ_: as the third argument of main.  options: n of them.
 * ret_error: what is wrong, one line, when the result is below 0.
 */
int config_load(struct config *c, const char *env_path, bool env_required, char *const *environ_,
                const struct config_option *options, size_t n, struct buf *ret_error) MUST_CHECK;
void config_done(struct config *c);

/* Sets one setting of a loaded config from text, as if given on the command
 * line.  Checks the value like config_load(), but not the rules between
 * settings (TLS pair, open server key): those would forbid setting two
 * settings one after the other.  On error nothing changes. */
int config_set(struct config *c, struct str name, struct str value, struct buf *ret_error)
    MUST_CHECK;

/* Adds where the setting of this name was set, as "file .env, line 12: "; nothing for a default
 * or another name.  For errors that are found after loading. */
void config_add_place(const struct config *c, struct str name, struct buf *out);

/* -EINVAL when anybody who reaches a port, or any web page, could spend the server key called
 * key_name, because PROXY_API_KEYS is not set. */
int config_check_key(const struct config *c, struct str key_name, struct buf *ret_error) MUST_CHECK;

/* Whether a setting of this name is shown as ***. */
bool config_is_secret(struct str name);

/* Every setting as "NAME=value" with its source; secrets as *** . */
void config_print(const struct config *c, struct buf *out);

/* A whole configuration as bytes and back, to hand it to a worker process.
 * The bytes hold secrets. */
void config_encode(const struct config *c, struct buf *out);
int config_decode(struct config *c, struct str bytes) MUST_CHECK;

/* The value of a setting by its variable name, for ${NAME} in adapter files;
 * falls back to the environment of the process that loaded it.  False when
 * nobody set it, and for PROXY_API_KEYS. */
bool config_text(const struct config *c, struct str name, struct str *ret_value);

#endif

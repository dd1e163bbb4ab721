/*
 * sources.h - what configurations are loaded from, at the start and at each reload.
 *
 * Contract
 *   sources_load() loads and checks everything that a worker will need: settings,
 *   addresses, adapters, base URLs, the upstreams and routes of CONFIG_FILE, TLS files.
 *   sources_print() writes what CONFIG_FILE says, or, with a model's name, where a request for
 *   it goes; of a configuration that has been loaded.
 *   Errors  below 0: ret_error says what is wrong, *ret_adapters whether it is the adapters.
 */
#ifndef SOURCES_H
#define SOURCES_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "config.h"
#include "must.h"

enum { SOURCES_OPTIONS_MAX = 64 };

struct sources {
    const char *env_path;
    bool env_required;
    char *const *environment; /* a copy; the process's own is wiped */
    struct config_option options[SOURCES_OPTIONS_MAX];
    size_t options_n;
};

int sources_load(const struct sources *s, struct config *config, struct buf *ret_error,
                 bool *ret_adapters) MUST_CHECK;
int sources_print(const struct config *config, const char *model, struct buf *out,
                  struct buf *ret_error) MUST_CHECK;

#endif

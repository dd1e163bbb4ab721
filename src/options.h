/*
 * options.h - the command line (options.def), and --help.
 *
 * Contract
 *   options_parse() gives 0, 1 when it has printed help, or -EINVAL when it has said on stderr
 *   what is wrong.  Texts are slices of argv.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "must.h"

enum { OPTIONS_SETTINGS_MAX = 48, OPTIONS_REST_MAX = 4 };
#define OPTIONS_UNSET UINT64_MAX

struct options {
    const char *env_file; /* NULL: the default */
    const char *route;    /* NULL: none asked for */
    struct config_option settings[OPTIONS_SETTINGS_MAX];
    size_t settings_n;
    bool simulator, quiet, with_parent;
    const char *host, *tls_cert, *tls_key, *user;
    uint64_t port;
    double tokens_per_second;
    uint64_t ready_fd; /* OPTIONS_UNSET: none */
    /* convert */
    const char *kind, *from, *to, *profile, *upstream, *model, *request;
    uint64_t now, status, chunk; /* OPTIONS_UNSET: not given */
    bool plain, strict, explain;
    const char *rest[OPTIONS_REST_MAX];
    size_t rest_n;
};

int options_parse(const char *command, int argc, char **argv, struct options *ret) MUST_CHECK;

#endif

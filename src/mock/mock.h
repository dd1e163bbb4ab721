/*
 * mock.h - the built-in upstream simulator: speaks Messages, Chat Completions and
 * Responses in the vendors' event grammar, with faults on demand.
 *
 * Contract
 *   mock_run() serves until SIGTERM or SIGINT, then returns 0.
 *   ready_fd   >= 0: when listening, one line "PORT\n" is written to it and it is closed.
 */
#ifndef MOCK_H
#define MOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "str.h"

struct mock_settings {
    struct str host;                          /* default 127.0.0.1 */
    uint16_t port;                            /* 0: any free one */
    const char *tls_cert_file, *tls_key_file; /* NULL: clear text */
    double tokens_per_second;                 /* 0: as fast as possible */
    int ready_fd;                             /* -1: none */
    bool quiet;                               /* no start line on stdout */
};

int mock_run(const struct mock_settings *settings);

#endif

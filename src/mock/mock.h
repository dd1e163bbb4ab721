/*
 * mock.h - the built-in upstream simulator: speaks Messages, Chat Completions and
 * Responses in the vendors' event grammar, with faults on demand.
 *
 * Contract
 *   mock_run() serves until SIGTERM or SIGINT, then returns 0.
 *   ready_fd   >= 0: when listening, one line "PORT\n" is written to it and it is closed.
 *   Paths      /v1/messages (and /count_tokens), /v1/chat/completions, /v1/responses (and
 *              /compact, /input_tokens), /v1/models; anything else under /v1/ is echoed as
 *              JSON.  Any prefix may stand in front of /v1.  Any key but sk-invalid is right.
 *   Tools      a user text with "mock:tool" makes it call the first client tool offered,
 *              "mock:tool=NAME" the one of that name; "mock:parallel" beside it: twice at once.
 *   Words      "mock:refuse" in it: a refusal; "mock:redacted": Messages' thinking is redacted.
 *              A schema for the answer is filled as the tool's is.
 *   Headers    x-mock-tps: tokens per second; x-mock-tokens: number of text deltas;
 *              x-mock-fault (or the model's name): see mock_faults.def; x-mock-retry-after.
 *   Records    GET /requests (?last=N) and DELETE /requests: see mock_record.h.
 *   Limits     bodies of 64 MiB, before and after decoding.
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
    bool drop_privileges;                     /* before it serves; then for good */
    const char *user;                         /* to become then; NULL: stay the same */
};

int mock_run(const struct mock_settings *settings);

#endif

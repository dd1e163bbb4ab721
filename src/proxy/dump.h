/*
 * dump.h - CODEX_DUMP_REQUESTS: one file per request in CODEX_DUMP_DIR, mode 0600, with
 * method, path, headers (credentials as ***) and body.  For debugging: it
 * writes at once and blocks the worker while it does.
 */
#ifndef DUMP_H
#define DUMP_H

#include "request.h"

void dump_request(struct request *r, struct str body);

#endif

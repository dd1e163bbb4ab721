/*
 * files.h - watches files by name, for a reload when they change.
 *
 * Contract
 *   files_watch() says which; a name that was watched before goes on being watched without
 *   a gap.  on_change() comes when a file has changed or come back, not when it is gone:
 *   editors take files away and put new ones in their place.
 *   files_stop() leaves handles that close in the next turns of the loop.
 */
#ifndef FILES_H
#define FILES_H

#include <stddef.h>
#include <uv.h>

#include "list.h"

struct files {
    struct list list;
    uv_loop_t *loop;
    void (*on_change)(void *ctx);
    void *ctx;
    unsigned every_ms; /* how often newly watched ones are looked at */
};

enum { FILES_EVERY_MS = 300 };

void files_init(struct files *f, uv_loop_t *loop, void (*on_change)(void *ctx), void *ctx);
/* paths: copied; empty ones and NULL are passed over. */
void files_watch(struct files *f, const char *const *paths, size_t n);
void files_stop(struct files *f);

#endif

/*
 * models.h - GET /v1/models.
 *
 * Contract (docs/adapters.md section 8.2)
 *   Output     one shape for both families: the lists of the service's own upstream and of
 *              those that its routes name, one that fails does not matter; none of them: MODELS,
 *              else an empty list.  Within MODELS_WAIT_MS, always status 200.
 *   Cache      an upstream's answer is kept for five minutes per upstream and key,
 *              MODELS_CACHE_MAX of them, the oldest goes first.  Keys are kept as hashes.
 *   Cancel     a client that leaves does not stop a look-up: its result is cached.  It ends
 *              at HTTP_TIMEOUT.
 */
#ifndef MODELS_H
#define MODELS_H

#include "request.h"

enum { MODELS_WAIT_MS = 2500, MODELS_CACHE_MAX = 64 };

struct models_cache;

struct models_cache *models_new(struct worker *w);
void models_free(struct models_cache *m);

/* Answers r, now or later; calls request_finish(). */
void models_reply(struct request *r);
/* r is gone: it must not be answered any more.  Safe for any request. */
void models_forget(struct request *r);

#endif

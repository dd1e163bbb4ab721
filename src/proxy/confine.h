/*
 * confine.h - a worker gives up what it does not need, before it sees traffic.
 *
 * Contract
 *   Before  everything is open and read: sockets, certificates, keys, files.  There is one thread.
 *   After   the process is RUN_AS_USER (when it was root), without capabilities; with SANDBOX=on it
 *           can open certificate authorities and what looking up names reads, and connect to the
 *           ports of configured upstreams, outbound proxies and DNS.
 *   Errors  -errno with a log line: a worker that cannot give up its privileges must not serve.
 *           A kernel without a sandbox is no error, but a log line.
 */
#ifndef CONFINE_H
#define CONFINE_H

#include "config.h"
#include "must.h"
#include "pool.h"

/* pool: has all origins. */
int confine_worker(const struct config *config, const struct pool *pool) MUST_CHECK;

/* Files of names and addresses.  A rule is about a file, not its name: when one is replaced, it
 * takes new workers to read the new one.  Ends with NULL. */
extern const char *const confine_resolver_files[];

#endif

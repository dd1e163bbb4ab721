/*
 * confine.h - a worker gives up what it does not need, before it sees traffic.
 *
 * Contract
 *   Before  everything is open and read: sockets, certificates, keys, files.
 *   After   the process is RUN_AS_USER (when it was root), without capabilities.
 *   Errors  -errno with a log line: a worker that cannot give up its privileges must not serve.
 */
#ifndef CONFINE_H
#define CONFINE_H

#include "config.h"
#include "must.h"

int confine_worker(const struct config *config) MUST_CHECK;

#endif

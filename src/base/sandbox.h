/*
 * sandbox.h - takes from a process what it will not need any more: system calls (seccomp),
 * files and TCP ports (Landlock).  By raw system calls; no library.
 *
 * Contract
 *   Needs      PR_SET_NO_NEW_PRIVS.
 *   Scope      sandbox_files() the calling thread and the threads it starts, so call it before
 *              there are others; sandbox_calls() all threads.  There is no way back.
 *   Errors     -ENOSYS, -EOPNOTSUPP when the kernel, processor or build has no such thing (builds
 *              with sanitizers: these need many more calls); else -errno.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "must.h"

enum { SANDBOX_PORTS_MAX = 512 };

struct sandbox_files {
    const char *const *readable; /* files and folders with all below; those missing are skipped */
    size_t readable_n;
    const char *const *writable; /* folders in which files may be made */
    size_t writable_n;
    uint16_t ports[SANDBOX_PORTS_MAX]; /* TCP ports that may be connected to */
    size_t ports_n;
};

/* Nothing else can be opened, connected to over TCP, or listened on.  The result is the kernel's
 * ABI version of Landlock: ports are restricted from 4 on. */
int sandbox_files(const struct sandbox_files *rules) MUST_CHECK;

/* The rows of sandbox_calls.def.  may_write: files may be opened for writing, too.
 * only_log: what is not allowed is done, and the kernel logs it. */
int sandbox_calls(bool may_write, bool only_log) MUST_CHECK;

#endif

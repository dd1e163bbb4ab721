/*
 * privilege.h - what a process may do: it gives up what it does not need.
 *
 * Contract
 *   Core files   privilege_core_files(false): none is written, and processes of the same user can
 *                neither trace this one nor read its memory and environment in /proc.
 *                An exec() undoes it, so every process says it for itself.
 *   Users        "name", "name:group", or numbers.
 *   Dropping     user, group, supplementary groups and all capabilities, in all threads, and
 *                no way back.  PR_SET_PDEATHSIG and core files stay as they were.
 *   Errors       -errno, -EINVAL for what is no user; never half done without saying so.
 */
#ifndef PRIVILEGE_H
#define PRIVILEGE_H

#include <stdbool.h>
#include <sys/types.h>

#include "buf.h"
#include "must.h"
#include "str.h"

struct privilege_user {
    uid_t uid;
    gid_t gid;
};

void privilege_core_files(bool allowed);

/* The reason is a short text without the name. */
int privilege_find_user(struct str name, struct privilege_user *ret_user, struct buf *ret_error)
    MUST_CHECK;

/* user NULL: stays who it is, but without capabilities. */
int privilege_drop(const struct privilege_user *user) MUST_CHECK;

/* For a process that opens ports and files, starts others and gives them another user: keeps the
 * capabilities for that, of those that it has. */
int privilege_keep_supervising(void) MUST_CHECK;

#endif

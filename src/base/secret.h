/*
 * secret.h - memory for keys and configuration: locked in RAM, not in core files.
 *
 * Contract
 *   Pages      are locked (not swapped), left out of core files, and empty in a child of fork().
 *   Ownership  as malloc(): the caller frees with secret_free(), which wipes first.
 *   Limits     RLIMIT_MEMLOCK.  What cannot be locked is used all the same, and secret_locked()
 *              says so: the caller logs it once.
 *   Errors     out of memory aborts.
 *   Threads    any.
 *   Cost       that of malloc(); up to 4 KiB the pages are kept for later blocks.
 */
#ifndef SECRET_H
#define SECRET_H

#include <stdbool.h>
#include <stddef.h>

void *secret_alloc(size_t size);               /* zeroed */
char *secret_strndup(const char *p, size_t n); /* a copy with a final NUL */
void secret_free(void *p);                     /* NULL is fine */

/* Copies of what was copied last stay in vector registers, which each new thread inherits and a
 * core file has: this puts zeros over them. */
void secret_clear_registers(void);

/* False when some page could not be locked. */
bool secret_locked(void);

#endif

/*
 * mem.h - heap allocation that cannot fail.
 *
 * Contract
 *   Ownership  as malloc: the caller frees with free().
 *   Errors     out of memory aborts the process; everything that grows has an
 *              explicit limit instead (ARCHITECTURE.md, Ownership).
 *   Core files mem_hide() keeps the whole heap, libraries' included, out of them; stacks and
 *              variables stay in, so there is a backtrace.  Before other threads start.  The heap
 *              has its first MEM_HIDDEN_BYTES of addresses (not memory) at once; what it grows
 *              by beyond them is hidden when mem_hide() is called again.
 *   Giving back  mem_give_back(): unused pages to the system.  From mem_keep() on nothing else
 * gives them back, but for pieces of KEPT_LARGE_BYTES and more, which are the system's own.
 */
#ifndef MEM_H
#define MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);               /* not initialised */
void *mem_zalloc(size_t size);              /* zeroed */
void *mem_realloc(void *p, size_t size);    /* p may be NULL */
void *mem_dup(const void *p, size_t size);  /* a copy of size bytes */
char *mem_strndup(const char *p, size_t n); /* a copy with a final NUL */

_Noreturn void mem_exhausted(void); /* for other allocators */

enum { MEM_HIDDEN_BYTES = 512 << 20 };
void mem_keep(void);
void mem_hide(void);
void mem_give_back(void);

#define mem_new(T) ((T *)mem_zalloc(sizeof(T)))

#endif

/*
 * must.h - checks for programmer errors, and compiler attributes.
 *
 * Contract
 *   must()    stays on in release builds; a false condition prints where it
 *             stood and aborts the process.  Never used on input.
 *   dcheck()  the same for hot loops, in debug builds only.
 */
#ifndef MUST_H
#define MUST_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define CLEANUP(f) __attribute__((cleanup(f)))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

_Noreturn void must_fail(const char *cond, const char *file, int line);

#define must(cond)                                \
    do {                                          \
        if (__builtin_expect(!(cond), 0))         \
            must_fail(#cond, __FILE__, __LINE__); \
    } while (0)

#ifdef NDEBUG
#define dcheck(cond) ((void)0)
#else
#define dcheck(cond) must(cond)
#endif

/* The struct that holds `member` at address `ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif

/*
 * bytes16.h - sixteen bytes of a text at once.
 *
 * Contract
 *   Input      16 readable bytes at p, aligned or not.
 *   Compare    with the operators of C: v == 'x' has all bits set in the bytes where it holds.
 *              Bytes are signed, so one above 0x7f is less than any ASCII byte.
 *   Machines   vector extensions of gcc and clang, which have a form for each of them.
 */
#ifndef BYTES16_H
#define BYTES16_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Typedefs, as the attribute cannot be given to a struct. */
typedef signed char bytes16 __attribute__((vector_size(16)));
typedef uint64_t bytes16_halves __attribute__((vector_size(16)));

static inline bytes16 bytes16_load(const void *p)
{
    bytes16 v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* Is any bit set? */
static inline bool bytes16_any(bytes16 v)
{
    bytes16_halves halves = (bytes16_halves)v;
    return (halves[0] | halves[1]) != 0;
}

#endif

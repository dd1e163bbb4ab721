/*
 * bytes16.h - sixteen bytes of a text at once.
 *
 * Contract
 *   Input      16 readable bytes at p, aligned or not; of bytes16_load_short() 1 to 16.
 *   Compare    with the operators of C: v == 'x' has all bits set in the bytes where it holds.
 *              Bytes are signed, so one above 0x7f is less than any ASCII byte.
 *   Machines   vector extensions of gcc and clang, which have a form for each of them.
 */
#ifndef BYTES16_H
#define BYTES16_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
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

/* The n bytes (1 to 16), some of them twice: for questions that are about all of them. */
static inline bytes16 bytes16_load_short(const void *p, size_t n)
{
    const char *first = p, *last = first + n;
    uint64_t low, high;
    if (n >= 8) {
        memcpy(&low, first, 8);
        memcpy(&high, last - 8, 8);
        return (bytes16)(bytes16_halves){ low, high };
    }
    uint32_t a, b;
    if (n >= 4) {
        memcpy(&a, first, 4);
        memcpy(&b, last - 4, 4);
    } else {
        a = (unsigned char)first[0] * 0x01010101u;
        b = (unsigned char)first[n / 2] * 0x00010101u + ((uint32_t)(unsigned char)last[-1] << 24);
    }
    low = a | (uint64_t)b << 32;
    return (bytes16)(bytes16_halves){ low, low };
}

/* Of a comparison: the place of the first byte where it holds; 16 when there is none. */
static inline unsigned bytes16_first(bytes16 v)
{
    bytes16_halves halves = (bytes16_halves)v;
    uint64_t low = le64toh(halves[0]), high = le64toh(halves[1]);
    if (low != 0)
        return (unsigned)__builtin_ctzll(low) / 8;
    return high != 0 ? 8 + (unsigned)__builtin_ctzll(high) / 8 : 16;
}

/* Of a comparison: for how many bytes it holds. */
static inline unsigned bytes16_count(bytes16 v)
{
    const uint64_t ones = 0x0101010101010101;
    bytes16_halves halves = (bytes16_halves)v;
    return (unsigned)(((halves[0] & ones) + (halves[1] & ones)) * ones >> 56);
}

/* Is any bit set? */
static inline bool bytes16_any(bytes16 v)
{
    bytes16_halves halves = (bytes16_halves)v;
    return (halves[0] | halves[1]) != 0;
}

#endif

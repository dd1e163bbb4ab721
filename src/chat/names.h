/*
 * names.h - a map from names to anything, for inputs that may hold a great many.
 *
 * Contract
 *   Ownership  nodes live in the arena; names are slices of the caller's.
 *   Order      none: what is made of a map must not depend on how it is built.
 *   Cost       constant for a look; the seed is not known to whoever chose the names.
 */
#ifndef NAMES_H
#define NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "str.h"

struct names_node;

struct names {
    struct arena *arena;
    struct names_node *root;
    uint64_t seed;
};

void names_init(struct names *names, struct arena *a);
/* The value of name, NULL at first. */
void **names_slot(struct names *names, struct str name);
void *names_find(const struct names *names, struct str name); /* NULL: none */
/* False when it was there already. */
bool names_add(struct names *names, struct str name);

#endif

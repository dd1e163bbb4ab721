/* A trie over the bits of a hash, four children a node. */
#include "names.h"

struct names_node {
    struct names_node *child[4];
    struct str name;
    void *value;
};

/* The arena's address is no part of any output; it only makes the hash hard to guess. */
void names_init(struct names *names, struct arena *a)
{
    *names = (struct names){ .arena = a, .seed = (uint64_t)(uintptr_t)a->chunks ^ (uintptr_t)a };
}

static uint64_t hash(const struct names *names, struct str name)
{
    uint64_t h = names->seed ^ 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < name.n; i++) {
        h = (h ^ (unsigned char)name.p[i]) * 0x9fb21c651e98df25u;
        h ^= h >> 32;
    }
    return h;
}

void **names_slot(struct names *names, struct str name)
{
    struct names_node **at = &names->root;
    for (uint64_t h = hash(names, name); *at != NULL; h <<= 2) {
        if (str_eq((*at)->name, name))
            return &(*at)->value;
        at = &(*at)->child[h >> 62];
    }
    *at = arena_new(names->arena, struct names_node, 1);
    (*at)->name = name;
    return &(*at)->value;
}

void *names_find(const struct names *names, struct str name)
{
    const struct names_node *at = names->root;
    for (uint64_t h = hash(names, name); at != NULL; h <<= 2) {
        if (str_eq(at->name, name))
            return at->value;
        at = at->child[h >> 62];
    }
    return NULL;
}

bool names_add(struct names *names, struct str name)
{
    static char there;
    void **slot = names_slot(names, name);
    if (*slot != NULL)
        return false;
    *slot = &there;
    return true;
}

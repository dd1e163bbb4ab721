/* Ids of calls (C1.4 of protocols.md). */
#include <string.h>

#include "hash.h"
#include "turns.h"

enum {
    ID_MAX = 128,
    RESPONSES_ID_MAX = 64,
    FIX_KEPT = 40, /* characters of the original */
    FIX_DIGITS = 16,
    MADE_DIGITS = 24,
};

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

bool turns_id_legal(struct str id, enum protocol upstream)
{
    size_t most = upstream == PROTOCOL_RESPONSES ? RESPONSES_ID_MAX : ID_MAX;
    if (id.n == 0 || id.n > most)
        return false;
    size_t i = 0;
    while (i < id.n && is_plain(id.p[i]))
        i++;
    return i == id.n || upstream == PROTOCOL_CHAT;
}

struct str turns_fix_id(struct arena *a, struct str id, enum protocol upstream)
{
    if (turns_id_legal(id, upstream))
        return id;
    size_t kept = id.n < FIX_KEPT ? id.n : FIX_KEPT;
    char *out = arena_new(a, char, kept + 1 + FIX_DIGITS);
    for (size_t i = 0; i < kept; i++)
        out[i] = is_plain(id.p[i]) ? id.p[i] : '_';
    out[kept] = '_';
    hash_hex(id, out + kept + 1, FIX_DIGITS);
    return (struct str){ out, kept + 1 + FIX_DIGITS };
}

struct str turns_make_id(struct arena *a, struct str reply_id, uint32_t index)
{
    char digits[MADE_DIGITS];
    struct str number = arena_printf(a, "#%u", index);
    hash_hex(arena_cat(a, reply_id, number), digits, sizeof(digits));
    return arena_cat(a, S("call_"), (struct str){ digits, sizeof(digits) });
}

/* The lists of the neutral form, and the paths of what is in them. */
#include <stddef.h>
#include <string.h>

#include "codec.h"

struct chat_message *chat_add_message(struct convert *c, enum chat_role role)
{
    struct chat_request *r = &c->request;
    struct chat_message *m = arena_new(c->temp, struct chat_message, 1);
    m->role = role;
    if (r->last == NULL)
        r->messages = m;
    else
        r->last->next = m;
    r->last = m;
    r->message_count++;
    return m;
}

/* Most blocks are texts, and a long conversation has many: each gets as much as its kind needs. */
static const size_t block_bytes[] = {
#define BLOCK_BYTES(member) \
    (offsetof(struct chat_block, member) + sizeof(((struct chat_block *)0)->member))
    [CHAT_TEXT] = BLOCK_BYTES(text),           [CHAT_IMAGE] = BLOCK_BYTES(media),
    [CHAT_FILE] = BLOCK_BYTES(media),          [CHAT_CALL] = BLOCK_BYTES(call),
    [CHAT_REASONING] = BLOCK_BYTES(reasoning), [CHAT_RESULT] = BLOCK_BYTES(result),
    [CHAT_REFUSAL] = BLOCK_BYTES(text),
#undef BLOCK_BYTES
};

struct chat_block *chat_new_block(struct convert *c, enum chat_block_kind kind)
{
    struct chat_block *b = arena_alloc(c->temp, 1, block_bytes[kind], _Alignof(struct chat_block));
    b->kind = kind;
    return b;
}

struct chat_block *chat_add_block(struct convert *c, struct chat_message *m,
                                  enum chat_block_kind kind)
{
    struct chat_block *b = chat_new_block(c, kind);
    if (m->last == NULL)
        m->blocks = b;
    else
        m->last->next = b;
    m->last = b;
    return b;
}

struct chat_tool *chat_add_tool(struct convert *c)
{
    struct chat_request *r = &c->request;
    struct chat_tool *t = arena_new(c->temp, struct chat_tool, 1);
    t->strict = CHAT_ABSENT;
    if (r->last_tool == NULL)
        r->tools = t;
    else
        r->last_tool->next = t;
    r->last_tool = t;
    return t;
}

/* Every block has a path, and few are shown: this is too frequent for printf(). */
struct str chat_path(struct convert *c, struct str base, int64_t n, struct str name)
{
    char digits[20];
    size_t i = sizeof(digits);
    for (uint64_t rest = (uint64_t)n; n >= 0 && (i == sizeof(digits) || rest > 0); rest /= 10)
        digits[--i] = (char)('0' + rest % 10);
    const struct str parts[] = { base, { digits + i, sizeof(digits) - i }, name };
    char *out = arena_new(c->temp, char, base.n + sizeof(digits) - i + name.n + 2), *to = out;
    for (size_t k = 0; k < ARRAY_LEN(parts); k++) {
        if (parts[k].n == 0)
            continue;
        if (to != out)
            *to++ = '.';
        memcpy(to, parts[k].p, parts[k].n);
        to += parts[k].n;
    }
    return (struct str){ out, (size_t)(to - out) };
}

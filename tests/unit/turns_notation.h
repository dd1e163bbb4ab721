/*
 * turns_notation.h - a conversation as one line, for tests of turns.c:
 *
 *     u hi | a x +c1 +c2 | t =c1:42 =c2:boom! | u go
 *
 * Messages: s system, u user, a assistant, t tool.  Blocks: a word is a text (_ empty, ~ blank),
 * +id a call, =id:text a result (! is_error), ? thinking of the client's own protocol, . a refusal,
 * # an image.
 */
#ifndef TURNS_NOTATION_H
#define TURNS_NOTATION_H

#include "codec.h"

static struct chat_block *notation_block(struct arena *a, struct str word)
{
    struct chat_block *b = arena_new(a, struct chat_block, 1);
    struct str rest = str_slice(word, 1, word.n);
    switch (word.p[0]) {
    case '+':
        b->kind = CHAT_CALL;
        b->call.id = rest;
        b->call.kind = CHAT_TOOL_CUSTOM;
        break;
    case '=':
        b->kind = CHAT_RESULT;
        b->result.call_id = str_slice(rest, 0, str_index(rest, ':'));
        b->result.is_string = true;
        b->result.blocks = arena_new(a, struct chat_block, 1);
        b->result.blocks->text.n =
            rest.n > b->result.call_id.n ? rest.n - b->result.call_id.n - 1 : 0;
        b->result.blocks->text.p = rest.p + rest.n - b->result.blocks->text.n;
        break;
    case '?':
        b->kind = CHAT_REASONING;
        b->reasoning.proof.kind = CHAT_PROOF_THINKING;
        break;
    case '#':
        b->kind = CHAT_IMAGE;
        break;
    default:
        b->kind = word.p[0] == '.' ? CHAT_REFUSAL : CHAT_TEXT;
        b->text = word.p[0] == '_'   ? (struct text){ "", 0 }
                  : word.p[0] == '~' ? TEXT(" \\n")
                                     : (struct text){ word.p, word.n };
    }
    return b;
}

static enum chat_role notation_role(char c)
{
    return c == 's' ? CHAT_SYSTEM : c == 'u' ? CHAT_USER : c == 'a' ? CHAT_ASSISTANT : CHAT_TOOL;
}

static void notation_read(struct convert *c, struct str line)
{
    struct str part, word;
    while (str_next(&line, '|', &part)) {
        struct chat_message *m = arena_new(c->temp, struct chat_message, 1);
        bool named = false;
        while (str_next(&part, ' ', &word)) {
            if (word.n == 0)
                continue;
            if (!named) {
                m->role = notation_role(word.p[0]);
                named = true;
                continue;
            }
            struct chat_block *b = notation_block(c->temp, word);
            if (m->last != NULL)
                m->last->next = b;
            else
                m->blocks = b;
            m->last = b;
        }
        if (c->request.last != NULL)
            c->request.last->next = m;
        else
            c->request.messages = m;
        c->request.last = m;
    }
}

static void notation_put_block(struct buf *out, const struct chat_block *b)
{
    switch (b->kind) {
    case CHAT_CALL:
        buf_addf(out, " +" STR_FMT, STR_ARG(b->call.id));
        break;
    case CHAT_RESULT:
        buf_addf(out, " =" STR_FMT ":" STR_FMT "%s", STR_ARG(b->result.call_id),
                 STR_ARG(b->result.blocks->text), b->result.is_error ? "!" : "");
        break;
    case CHAT_REASONING:
        buf_add(out, S(" ?"));
        break;
    case CHAT_IMAGE:
        buf_add(out, S(" #"));
        break;
    default:
        buf_addf(out, " " STR_FMT, STR_ARG(b->text));
    }
}

static struct str notation_write(struct convert *c)
{
    static const char roles[] = "sduat";
    struct buf out;
    buf_init(&out, SIZE_MAX);
    for (const struct chat_message *m = c->request.messages; m != NULL; m = m->next) {
        buf_addf(&out, "%s%c", m != c->request.messages ? " | " : "", roles[m->role]);
        for (const struct chat_block *b = m->blocks; b != NULL; b = b->next)
            notation_put_block(&out, b);
    }
    struct str line = arena_str(c->temp, buf_str(&out));
    buf_done(&out);
    return line;
}

#endif

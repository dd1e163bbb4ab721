#include "completions_think.h"

static const struct str tag_open = S_INIT("<think>");
static const struct str tag_close = S_INIT("</think>");

static bool blank(char b)
{
    return b == ' ' || b == '\t' || b == '\n' || b == '\r';
}

static int give(bool reasoning, struct str s, think_on_piece *on_piece, void *ctx)
{
    return s.n == 0 ? 0 : on_piece(ctx, reasoning, s);
}

static int set_state(struct think *t, enum think_state state)
{
    must(state > t->state);
    t->state = state;
    t->matched = 0;
    return 0;
}

/* It is no tag: what was held is text. */
static int not_a_tag(struct think *t, think_on_piece *on_piece, void *ctx)
{
    struct str tag = str_slice(tag_open, 0, t->matched);
    int e = give(false, (struct str){ t->blanks, t->blank_count }, on_piece, ctx);
    if (e >= 0)
        e = give(false, tag, on_piece, ctx);
    if (e >= 0)
        e = set_state(t, THINK_AFTER);
    return e;
}

/* Takes from the front of *rest. */
static int before(struct think *t, struct str *rest, think_on_piece *on_piece, void *ctx)
{
    char b = rest->p[0];
    if (t->matched == 0 && blank(b) && t->blank_count < sizeof(t->blanks))
        t->blanks[t->blank_count++] = b;
    else if (b == tag_open.p[t->matched])
        t->matched++;
    else
        return not_a_tag(t, on_piece, ctx);
    *rest = str_slice(*rest, 1, rest->n);
    return t->matched == tag_open.n ? set_state(t, THINK_INSIDE) : 0;
}

/* The tag's only '<' is its first byte: a byte that does not match ends the try. */
static int inside(struct think *t, struct str *rest, think_on_piece *on_piece, void *ctx)
{
    if (t->matched == 0) {
        size_t at = str_index(*rest, tag_close.p[0]);
        struct str reasoning = str_slice(*rest, 0, at);
        *rest = str_slice(*rest, at, rest->n);
        t->matched = rest->n > 0;
        *rest = str_slice(*rest, t->matched, rest->n);
        return give(true, reasoning, on_piece, ctx);
    }
    if (rest->p[0] == tag_close.p[t->matched]) {
        t->matched++;
        *rest = str_slice(*rest, 1, rest->n);
        return t->matched == tag_close.n ? set_state(t, THINK_BEHIND) : 0;
    }
    struct str held = str_slice(tag_close, 0, t->matched);
    t->matched = 0;
    return give(true, held, on_piece, ctx);
}

int think_feed(struct think *t, struct str piece, think_on_piece *on_piece, void *ctx)
{
    int e = 0;
    while (e >= 0 && piece.n > 0) {
        switch (t->state) {
        case THINK_BEFORE:
            e = before(t, &piece, on_piece, ctx);
            break;
        case THINK_INSIDE:
            e = inside(t, &piece, on_piece, ctx);
            break;
        case THINK_BEHIND:
            if (blank(piece.p[0]))
                piece = str_slice(piece, 1, piece.n);
            else
                e = set_state(t, THINK_AFTER);
            break;
        case THINK_AFTER:
            return give(false, piece, on_piece, ctx);
        }
    }
    return e;
}

int think_end(struct think *t, think_on_piece *on_piece, void *ctx)
{
    if (t->state == THINK_BEFORE)
        return not_a_tag(t, on_piece, ctx);
    if (t->state == THINK_INSIDE && t->matched > 0) {
        struct str held = str_slice(tag_close, 0, t->matched);
        t->matched = 0;
        return give(true, held, on_piece, ctx);
    }
    return 0;
}

#include "estimate.h"

#include "json_scan.h"

/* Thousandths of a token.  The first group was fitted to o200k_base, cl100k_base and Anthropic's
 * published vocabulary at once, on eleven texts (docs/conversion.md), so that the worst of the 33
 * errors is smallest; the second is C7.3's. */
enum {
    WORD = 1000,      /* a run of ASCII letters; an inner capital begins another word */
    WORD_LETTERS = 6, /* that are in it */
    WORD_LETTER = 90, /* each one more: long words are cut in two now and then */
    DIGITS = 1050,    /* up to DIGITS_GROUP of them */
    DIGITS_GROUP = 3,
    SPACES = 1000,   /* a run of white space, but one space alone belongs to the word behind it */
    MARK = 860,      /* the first of a run of ASCII marks */
    MARK_MORE = 200, /* each further one */
    IDEOGRAPH = 865, /* Han, kana, Hangul, full-width marks */
    FOREIGN = 500,   /* a character of any other script, typographic marks */
    RARE = 2000,     /* outside the basic plane: emoji */

    MESSAGE = 4000,
    IMAGE = 1600 * 1000,
    PAGE = 1500 * 1000,
    PAYLOAD_BYTES_PER_TOKEN = 2000,
};

enum kind { KIND_NONE, KIND_LETTER, KIND_DIGIT, KIND_SPACE, KIND_MARK };

struct counter {
    int64_t milli;
    enum kind kind; /* of the run at hand */
    int64_t run;    /* how long it is */
    bool lower;     /* its last letter is a small one */
    bool one_space;
};

static bool is_upper(unsigned char b)
{
    return b >= 'A' && b <= 'Z';
}

static bool is_letter(unsigned char b)
{
    return is_upper(b) || (b >= 'a' && b <= 'z');
}

static enum kind kind_of(unsigned char b)
{
    if (is_letter(b))
        return KIND_LETTER;
    if (b >= '0' && b <= '9')
        return KIND_DIGIT;
    return b == ' ' || (b >= '\t' && b <= '\r') ? KIND_SPACE : KIND_MARK;
}

static int64_t cost_in_run(const struct counter *c, unsigned char b)
{
    switch (c->kind) {
    case KIND_LETTER:
        return c->run == 1 ? WORD : c->run > WORD_LETTERS ? WORD_LETTER : 0;
    case KIND_DIGIT:
        return c->run % DIGITS_GROUP == 1 ? DIGITS : 0;
    case KIND_SPACE:
        if (c->run == 1)
            return b == ' ' ? 0 : SPACES;
        return c->run == 2 && c->one_space ? SPACES : 0;
    case KIND_MARK:
        return c->run == 1 ? MARK : MARK_MORE;
    case KIND_NONE:
        break;
    }
    return 0;
}

static void add_ascii(struct counter *c, unsigned char b)
{
    enum kind kind = kind_of(b);
    bool hump = kind == KIND_LETTER && c->lower && is_upper(b);
    if (kind != c->kind || hump) {
        c->kind = kind;
        c->run = 0;
    }
    c->run++;
    c->milli += cost_in_run(c, b);
    c->lower = kind == KIND_LETTER && !is_upper(b);
    c->one_space = kind == KIND_SPACE && c->run == 1 && b == ' ';
}

/* By the first byte of the character: e3..ed is U+3000 to U+DFFF, ef is U+F000 to U+FFFF. */
static void add_lead_byte(struct counter *c, unsigned char b)
{
    c->kind = KIND_NONE;
    c->lower = c->one_space = false;
    if (b >= 0xf0)
        c->milli += RARE;
    else if (b >= 0xe3 && b != 0xee)
        c->milli += IDEOGRAPH;
    else
        c->milli += FOREIGN;
}

static void add_bytes(struct counter *c, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char b = (unsigned char)p[i];
        if (b < 0x80)
            add_ascii(c, b);
        else if (b >= 0xc0)
            add_lead_byte(c, b);
    }
}

int64_t estimate_text_milli(struct str s, bool escaped)
{
    struct counter c = { .kind = KIND_NONE };
    const char *p = s.p, *end = s.n > 0 ? s.p + s.n : s.p;
    while (p < end) {
        char utf8[4];
        size_t n = 1;
        if (escaped && *p == '\\') {
            p = json_unescape_one(p, end, utf8, &n);
            add_bytes(&c, utf8, n);
        } else {
            add_bytes(&c, p++, 1);
        }
    }
    return c.milli;
}

/* ---- requests ---- */

static int64_t of_text(struct text t)
{
    return estimate_text_milli((struct str){ t.p, t.n }, true);
}

static int64_t of_str(struct str s)
{
    return estimate_text_milli(s, false);
}

/* How many pages a document has cannot be seen without reading it: at least one. */
static int64_t of_file(const struct chat_media *m)
{
    if (m->source == CHAT_MEDIA_PLAIN)
        return of_text(m->payload) + of_text(m->name) + of_text(m->context);
    int64_t by_size = 0;
    if (m->source == CHAT_MEDIA_BASE64)
        by_size = (int64_t)(m->payload.n / PAYLOAD_BYTES_PER_TOKEN) * 1000;
    return by_size > PAGE ? by_size : PAGE;
}

/* Of anything but a result. */
static int64_t of_block(const struct chat_block *b)
{
    switch (b->kind) {
    case CHAT_TEXT:
    case CHAT_REFUSAL:
        return of_text(b->text);
    case CHAT_IMAGE:
        return IMAGE;
    case CHAT_FILE:
        return of_file(&b->media);
    case CHAT_REASONING:
        return of_text(b->reasoning.text);
    case CHAT_CALL:
        return of_str(b->call.name) + of_str(b->call.arguments);
    case CHAT_RESULT:
        break;
    }
    return 0;
}

static int64_t of_blocks(const struct chat_block *blocks)
{
    int64_t milli = 0;
    for (const struct chat_block *b = blocks; b != NULL; b = b->next) {
        milli += of_block(b);
        if (b->kind != CHAT_RESULT)
            continue;
        for (const struct chat_block *in = b->result.blocks; in != NULL; in = in->next)
            milli += of_block(in);
    }
    return milli;
}

static int64_t of_tool(const struct chat_tool *t)
{
    return of_str(t->space) + of_str(t->name) + of_text(t->description) + of_str(t->schema) +
           of_text(t->grammar);
}

int64_t estimate_request(const struct chat_request *r)
{
    int64_t milli = 0;
    for (const struct chat_message *m = r->messages; m != NULL; m = m->next)
        milli += MESSAGE + of_blocks(m->blocks);
    for (const struct chat_tool *t = r->tools; t != NULL; t = t->next)
        milli += of_tool(t);
    milli += of_text(r->format.name) + of_text(r->format.description) + of_str(r->format.schema);
    return milli > 0 ? (milli + 999) / 1000 : 1;
}

/*
 * Goal: a whole exchange holds together, whatever client and upstream say.  The bytes choose the
 * protocols, the profile, and alternatives of a grammar (chat_grammar.def) that makes a request
 * and a reply of the right form with odd values in an odd order.
 *
 * Checks: the upstream's body is valid JSON and the same each time, an error has a reason and
 * leaves the output; the reply does not depend on how it was cut, keeps the client's grammar,
 * and the decoder never breaks the grammar of events (emit.h: "internal conversion error").
 */
#include "body_check.h"
#include "err.h"
#include "reply_check.h"

enum {
    TEXT_BYTES_MAX = 64 * 1024,
    DEPTH_MAX = 40,
    PATCHES_MAX = 4,
};

/* ---- what the bytes say ---- */

struct source {
    const uint8_t *p, *end;
};

/* The next choice of n; the first one when the bytes are used up. */
static unsigned choose(struct source *s, unsigned n)
{
    return s->p < s->end && n > 1 ? *s->p++ % n : 0;
}

static struct str rule(char symbol)
{
    static struct str rules[128];
    if (rules['s'].n == 0) {
#define RULE(id, text) rules[id] = S(text);
#include "chat_grammar.def"
#undef RULE
    }
    return rules[(unsigned char)symbol & 127];
}

static struct str alternative(struct str all, unsigned i)
{
    size_t from = 0;
    for (; i > 0; i--)
        from += str_index(str_slice(all, from, all.n), '|') + 1;
    struct str rest = str_slice(all, from, all.n);
    return str_slice(rest, 0, str_index(rest, '|'));
}

static void grow(struct source *s, char symbol, unsigned depth, struct buf *out)
{
    struct str all = rule(symbol);
    unsigned count = 1;
    for (size_t i = 0; i < all.n; i++)
        count += all.p[i] == '|';
    struct str text = alternative(all, depth < DEPTH_MAX ? choose(s, count) : 0);
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '@')
            grow(s, text.p[++i], depth + 1, out);
        else
            buf_add_byte(out, text.p[i] == '\'' ? '"' : text.p[i]);
    }
}

/* Settings with one of their words each, as an administrator might set them. */
static void choose_profile(struct source *s, struct profile *ret)
{
    static const struct {
        struct str name, words;
    } rows[] = {
#define ROW(field, type, name, initial, words) { S_INIT(name), S_INIT(words) },
#include "profile.def"
#undef ROW
    };
    struct profile_override overrides[PATCHES_MAX];
    size_t n = 0;
    struct buf why;
    buf_init(&why, 4096);
    for (unsigned left = choose(s, PATCHES_MAX + 1); left > 0; left--) {
        unsigned row = choose(s, ARRAY_LEN(rows)), word = choose(s, 8);
        struct str words = rows[row].words, value = S("");
        for (unsigned i = 0; i <= word && str_next(&words, ',', &value); i++)
            ;
        overrides[n] = (struct profile_override){ rows[row].name, value };
        if (profile_check(&overrides[n], &why) == 0)
            n++;
    }
    must(profile_resolve(ret, S("default"), S(""), S("m"), overrides, n, &why) == 0);
    buf_done(&why);
}

/* ---- an exchange ---- */

struct exchange {
    struct convert_options options;
    struct profile profile;
    struct buf body, reply; /* the client's request; the upstream's reply */
    struct source cuts;
};

/* Begins a conversion; NULL when the request was refused. */
static struct convert *ask(const struct exchange *x, struct buf *out)
{
    struct arena work;
    struct convert *c = convert_new(&x->options);
    arena_init(&work, SIZE_MAX);
    int r = convert_request(c, &work, buf_str(&x->body), out);
    arena_done(&work);
    if (r == 0)
        return c;
    must(r == E_BAD_REQUEST || r == E_BAD_JSON);
    must(convert_error(c).n > 0);
    must(buf_len(out) == 0);
    convert_free(c);
    return NULL;
}

static int answer_pieces(struct convert *c, struct str in, struct source cuts, struct buf *out)
{
    int r = 0;
    for (size_t at = 0; r == 0 && at < in.n;) {
        size_t to = at + 1 + choose(&cuts, 40);
        r = convert_feed(c, str_slice(in, at, to), out);
        at = to;
    }
    return r < 0 ? r : convert_end(c, out);
}

/* pieces: cut as the bytes say, else at once. */
static void answer(const struct exchange *x, struct convert *c, bool pieces, struct reply_run *ret)
{
    struct str in = buf_str(&x->reply);
    *ret = (struct reply_run){ .upstream = x->options.upstream, .client = x->options.client };
    buf_init(&ret->out, SIZE_MAX);
    if (!convert_asks_stream(c)) {
        ret->rc = convert_body(c, in, &ret->out);
    } else if (pieces) {
        ret->rc = answer_pieces(c, in, x->cuts, &ret->out);
    } else {
        ret->rc = convert_feed(c, in, &ret->out);
        if (ret->rc == 0)
            ret->rc = convert_end(c, &ret->out);
    }
    ret->begun = convert_begun(c);
    ret->ended = convert_ended(c);
    must(ret->rc < 0 || ret->ended);
    must(ret->rc != E_INTERNAL);
    const struct event_error *failure = convert_failure(c);
    must(failure == NULL || !str_eq(failure->message, S("internal conversion error")));
}

static void check_reply(const struct exchange *x, struct convert *a, struct convert *b)
{
    struct reply_run one, cut;
    answer(x, a, false, &one);
    answer(x, b, true, &cut);
    must(one.rc == cut.rc && one.begun == cut.begun);
    must(str_eq(buf_str(&one.out), buf_str(&cut.out)));
    if (convert_client_streams(a))
        reply_read(&one);
    else if (one.rc == 0)
        body_check(buf_str(&one.out));
    buf_done(&one.out);
    buf_done(&cut.out);
}

static void run(struct exchange *x, struct source *s)
{
    static const char streams[] = { '0', '3', '6' }, bodies[] = { 'X', 'Y', '8' };
    struct buf first, second;
    buf_init(&first, SIZE_MAX);
    buf_init(&second, SIZE_MAX);
    struct convert *a = ask(x, &first), *b = ask(x, &second);
    must((a == NULL) == (b == NULL));
    must(str_eq(buf_str(&first), buf_str(&second)));
    if (a != NULL) {
        enum protocol upstream = x->options.upstream;
        body_check(buf_str(&first));
        grow(s, convert_asks_stream(a) ? streams[upstream] : bodies[upstream], 0, &x->reply);
        x->cuts = (struct source){ s->end - (s->end - s->p) / 2, s->end };
        if (!convert_local_reply(a) && !x->reply.overflow)
            check_reply(x, a, b);
    }
    convert_free(a);
    convert_free(b);
    buf_done(&first);
    buf_done(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const char requests[] = { 'A', 'I', 'Q' };
    struct source s = { bytes, bytes + n };
    struct exchange x = { 0 };
    unsigned pair = choose(&s, PROTOCOL_COUNT * PROTOCOL_COUNT), flags = choose(&s, 16);
    choose_profile(&s, &x.profile);
    x.options = (struct convert_options){
        .client = pair / PROTOCOL_COUNT,
        .upstream = pair % PROTOCOL_COUNT,
        .profile = &x.profile,
        .upstream_name = S("u1"),
        .reply_id = S("0123456789abcdefABCDEFGH"),
        .now_s = 1790000000,
        .upstream_streams = (flags & 1) != 0,
        .upstream_never_streams = (flags & 3) == 2,
        .strict = (flags & 12) == 12,
        .drop_reasoning = (flags & 12) == 8,
        .reply_limit_bytes = 1 << 20,
    };
    buf_init(&x.body, TEXT_BYTES_MAX);
    buf_init(&x.reply, TEXT_BYTES_MAX);
    grow(&s, requests[x.options.client], 0, &x.body);
    if (!x.body.overflow)
        run(&x, &s);
    buf_done(&x.body);
    buf_done(&x.reply);
    return 0;
}

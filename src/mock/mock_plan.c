#include "mock_plan.h"

#include <string.h>

enum {
    PIECE_BYTES = 16,
    QUOTE_BYTES_MAX = 2000,
    CACHE_TOKENS_MIN = 1024, /* both vendors cache no shorter prefix */
};

/* splitmix64: spreads small numbers over all bits. */
static uint64_t spread(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

struct str mock_seal(const struct mock_plan *p, struct str prefix)
{
    uint64_t h = spread(p->number);
    return arena_printf(p->arena, "%.*s%016llx%016llx%016llx%016llx", STR_ARG(prefix),
                        (unsigned long long)h, (unsigned long long)spread(h),
                        (unsigned long long)spread(h + 1), (unsigned long long)spread(h + 2));
}

static struct str compose(struct arena *a, const struct mock_ask *ask)
{
    struct str model = mock_clip(ask->model, 200);
    if (ask->tool_result.p != NULL) {
        struct str result = mock_clip(ask->tool_result, QUOTE_BYTES_MAX);
        return arena_printf(a, "The tool answered: \"%.*s\". That is all %.*s needed to know.",
                            STR_ARG(result), STR_ARG(model));
    }
    struct str said = mock_clip(ask->user_text, QUOTE_BYTES_MAX);
    return arena_printf(a,
                        "Hello! This is the cc-proxy simulator, answering as %.*s. "
                        "You said: \"%.*s\". These words stream just as a real answer would.",
                        STR_ARG(model), STR_ARG(said));
}

/* The text again and again until it has n pieces. */
static struct mock_pieces stretch(struct arena *a, struct mock_pieces p, uint64_t n)
{
    if (n > MOCK_TOKENS_MAX)
        n = MOCK_TOKENS_MAX;
    if (n <= p.n || p.n == 0) {
        mock_pieces_keep(&p, (size_t)n);
        return p;
    }
    size_t rounds = (size_t)n / p.n + 1;
    struct mock_pieces out = { .ends = arena_new(a, size_t, (size_t)n), .n = (size_t)n };
    char *text = arena_new(a, char, rounds *p.text.n);
    for (size_t i = 0; i < rounds; i++)
        memcpy(text + i * p.text.n, p.text.p, p.text.n);
    for (size_t i = 0; i < out.n; i++)
        out.ends[i] = i / p.n * p.text.n + p.ends[i % p.n];
    out.text = (struct str){ text, out.ends[out.n - 1] };
    return out;
}

/* One piece more, in the middle of the text. */
static struct mock_pieces with_huge_piece(struct arena *a, struct mock_pieces p, uint64_t mib)
{
    size_t huge = (size_t)(mib < MOCK_HUGE_MIB_MAX ? mib : MOCK_HUGE_MIB_MAX) << 20;
    size_t at = p.n / 2, before = at > 0 ? p.ends[at - 1] : 0;
    char *text = arena_new(a, char, p.text.n + huge);
    struct mock_pieces out = { { text, p.text.n + huge }, arena_new(a, size_t, p.n + 1), p.n + 1 };
    memcpy(text, p.text.p, before);
    memset(text + before, 'x', huge);
    memcpy(text + before + huge, p.text.p + before, p.text.n - before);
    for (size_t i = 0; i < out.n; i++)
        out.ends[i] = i < at ? p.ends[i] : (i == at ? before : p.ends[i - 1]) + huge;
    return out;
}

static void plan_call(struct mock_plan *p)
{
    const struct mock_ask *ask = &p->ask;
    if (ask->tool_name.p == NULL || ask->tool_result.p != NULL ||
        !str_contains(ask->user_text, S("mock:tool")))
        return;
    struct str input = mock_tool_input(ask->tool_name);
    if (!ask->tool_custom) {
        struct buf args;
        buf_init(&args, SIZE_MAX);
        mock_fill_schema(&args, ask->tool_name, ask->tool_schema);
        input = arena_str(p->arena, buf_str(&args));
        buf_done(&args);
    }
    p->has_call = true;
    p->call = mock_cut(p->arena, input, PIECE_BYTES);
}

/* A piece is about a token. */
static void apply_max_tokens(struct mock_plan *p)
{
    uint64_t max = p->ask.max_tokens, all = p->thinking.n + p->text.n;
    if (p->has_call && max > 0) {
        p->stop = MOCK_STOP_TOOL;
        return;
    }
    p->stop = all > max ? MOCK_STOP_LENGTH : MOCK_STOP_END;
    if (max == 0) { /* only warms the cache */
        p->ask.thinks = false;
        p->has_call = false;
    }
    mock_pieces_keep(&p->thinking, max < SIZE_MAX ? (size_t)max : SIZE_MAX);
    uint64_t rest = max - p->thinking.n;
    mock_pieces_keep(&p->text, rest < SIZE_MAX ? (size_t)rest : SIZE_MAX);
}

void mock_plan_make(struct mock_plan *p, struct arena *a, const struct mock_ask *ask,
                    const struct mock_wish *wish)
{
    *p = (struct mock_plan){ .arena = a, .ask = *ask, .number = wish->number };
    p->created_s = wish->created_s;
    p->id = mock_clip(mock_seal(p, (struct str){ 0 }), 24);
    if (ask->thinks)
        p->thinking =
            mock_cut(a, S("The user wrote something; I will answer it politely."), PIECE_BYTES);
    plan_call(p);
    p->text = mock_cut(a, p->has_call ? S("I will call a tool.") : compose(a, ask), PIECE_BYTES);
    if (wish->n_deltas > 0)
        p->text = stretch(a, p->text, wish->n_deltas);
    if (wish->huge_mib > 0)
        p->text = with_huge_piece(a, p->text, wish->huge_mib);
    apply_max_tokens(p);
    p->thinking_tokens = p->thinking.n;
    p->output_tokens = p->thinking.n + p->text.n + p->call.text.n / 4 + (p->has_call ? 8 : 0);
    if (ask->thinking_hidden)
        mock_pieces_keep(&p->thinking, 0);
    p->input_tokens = wish->body_bytes / 4 + 1;
    if (p->input_tokens >= CACHE_TOKENS_MIN)
        p->cached_tokens = p->input_tokens / 2 / 128 * 128;
}

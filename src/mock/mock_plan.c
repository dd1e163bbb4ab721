#include "mock_plan.h"

#include <string.h>

enum {
    PIECE_BYTES = 16,
    CALL_PIECE_BYTES = 6,
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

struct str mock_call_id(const struct mock_plan *p, size_t i)
{
    return i == 0 ? p->id : arena_printf(p->arena, "%.*s%zu", STR_ARG(p->id), i);
}

/* Structured output. */
static struct str fill_schema(struct arena *a, yyjson_val *schema)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    mock_fill_schema(&out, schema, S("text"));
    struct str text = arena_str(a, buf_str(&out));
    buf_done(&out);
    return text;
}

static struct str compose(struct arena *a, const struct mock_ask *ask)
{
    if (ask->text_schema != NULL)
        return fill_schema(a, ask->text_schema);
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

/* The arguments of each call are others, so that a mix-up shows. */
static void plan_calls(struct mock_plan *p)
{
    static const struct str words[MOCK_CALLS_MAX] = { S_INIT("text"), S_INIT("another text") };
    const struct mock_ask *ask = &p->ask;
    if (ask->tool_name.p == NULL || ask->tool_result.p != NULL ||
        !str_contains(ask->user_text, S("mock:tool")))
        return;
    p->call_count = str_contains(ask->user_text, S("mock:parallel")) ? MOCK_CALLS_MAX : 1;
    for (size_t i = 0; i < p->call_count; i++) {
        struct buf input;
        buf_init(&input, SIZE_MAX);
        if (ask->tool_custom)
            buf_add(&input, mock_tool_input(ask->tool_name));
        else
            mock_fill_arguments(&input, ask->tool_name, ask->tool_schema, words[i]);
        p->calls[i] = mock_cut(p->arena, arena_str(p->arena, buf_str(&input)), CALL_PIECE_BYTES);
        buf_done(&input);
    }
}

static void plan_text(struct mock_plan *p)
{
    struct str text = compose(p->arena, &p->ask);
    if (p->call_count > 0)
        text = S("I will call a tool.");
    else if (p->stop == MOCK_STOP_REFUSAL)
        text = S("I cannot help with that.");
    p->text = mock_cut(p->arena, text, PIECE_BYTES);
}

static void plan_thinking(struct mock_plan *p)
{
    if (!p->ask.thinks)
        return;
    p->redacted = str_contains(p->ask.user_text, S("mock:redacted"));
    p->thinking =
        mock_cut(p->arena, S("The user wrote something; I will answer it politely."), PIECE_BYTES);
}

/* A piece is about a token. */
static void apply_max_tokens(struct mock_plan *p)
{
    uint64_t max = p->ask.max_tokens, all = p->thinking.n + p->text.n;
    if (p->call_count > 0 && max > 0) {
        p->stop = MOCK_STOP_TOOL;
        return;
    }
    if (all > max)
        p->stop = MOCK_STOP_LENGTH;
    if (max == 0) { /* only warms the cache */
        p->ask.thinks = false;
        p->call_count = 0;
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
    if (str_contains(ask->user_text, S("mock:refuse")))
        p->stop = MOCK_STOP_REFUSAL;
    plan_thinking(p);
    plan_calls(p);
    plan_text(p);
    if (wish->n_deltas > 0)
        p->text = stretch(a, p->text, wish->n_deltas);
    if (wish->huge_mib > 0)
        p->text = with_huge_piece(a, p->text, wish->huge_mib);
    apply_max_tokens(p);
    p->thinking_tokens = p->thinking.n;
    p->output_tokens = p->thinking.n + p->text.n;
    for (size_t i = 0; i < p->call_count; i++)
        p->output_tokens += p->calls[i].text.n / 4 + 8;
    if (ask->thinking_hidden || p->redacted)
        mock_pieces_keep(&p->thinking, 0);
    p->input_tokens = wish->body_bytes / 4 + 1;
    if (p->input_tokens >= CACHE_TOKENS_MIN)
        p->cached_tokens = p->input_tokens / 2 / 128 * 128;
}

/*
 * CONFIG_FILE.
 * Invariants: a refused file comes with one message that names the file, line and column; an
 * accepted one routes every request somewhere, every upstream's profile can be resolved, and
 * what is printed of it can be read again and then says the same.
 */
#include <stddef.h>
#include <stdint.h>

#include "default_config.h"
#include "upstreams.h"

static struct config config;
static struct arena arena;
static struct upstream own[SERVICE_COUNT];

/* Once, at the first input: replay.c knows no LLVMFuzzerInitialize(). */
static void prepare(void)
{
    static bool prepared;
    struct buf error;
    if (prepared)
        return;
    prepared = true;
    buf_init(&error, 1024);
    arena_init(&arena, 1 << 20);
    default_config(&config);
    must(config_set(&config, S("PROXY_API_KEYS"), S("k"), &error) == 0);
    for (int s = 0; s < SERVICE_COUNT; s++)
        must(upstream_init(&own[s], (enum service)s, &config, &arena, NULL, &error) == 0);
    buf_done(&error);
}

static struct upstreams *parse(struct str text)
{
    struct upstreams *set = NULL;
    struct buf error;
    buf_init(&error, 1 << 16);
    int e = upstreams_parse(&config, own, NULL, S("f.yaml"), text, &set, &error);
    must((e < 0) == (buf_len(&error) > 0));
    must((e == 0) == (set != NULL));
    must(e == 0 || str_starts(buf_str(&error), S("file f.yaml, line ")));
    must(str_index(buf_str(&error), '\n') == buf_len(&error));
    buf_done(&error);
    return set;
}

static void route_all(const struct upstreams *set)
{
    static const char *const models[] = { "", "m", "claude-opus-4-8", "gpt-5", "deepseek-chat" };
    struct profile profile;
    for (size_t i = 0; i < ARRAY_LEN(models) * SERVICE_COUNT * PROTOCOL_COUNT; i++) {
        enum service service = (enum service)(i % SERVICE_COUNT);
        enum protocol protocol = (enum protocol)(i / SERVICE_COUNT % PROTOCOL_COUNT);
        struct str model = str_of(models[i / SERVICE_COUNT / PROTOCOL_COUNT]);
        const struct upstream_route *to = upstreams_route(set, service, protocol, model);
        must(to->upstream != NULL);
        must(upstreams_find(set, to->upstream->name) == to->upstream);
        must(to->protocol < PROTOCOL_COUNT);
        upstream_profile(to->upstream, model, &profile);
        must(profile_exists(profile.name));
    }
}

/* Masks are no values, and " # by host" goes when the profile's name is written out. */
static void print_again(const struct upstreams *set)
{
    struct buf text[3];
    const struct upstreams *from = set;
    struct upstreams *again[2] = { NULL, NULL };
    for (int i = 0; i < 3; i++) {
        buf_init(&text[i], 64 << 20);
        upstreams_print(from, &text[i]);
        if (i == 2 || str_contains(buf_str(&text[i]), S("proxy: '***'")))
            break;
        again[i] = parse(buf_str(&text[i]));
        must(again[i] != NULL);
        route_all(again[i]);
        from = again[i];
    }
    if (again[1] != NULL)
        must(str_eq(buf_str(&text[1]), buf_str(&text[2])));
    for (int i = 0; i < 3; i++) {
        if (i == 0 || again[i - 1] != NULL)
            buf_done(&text[i]);
    }
    upstreams_free(again[0]);
    upstreams_free(again[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    prepare();
    struct upstreams *set = parse((struct str){ (const char *)data, size });
    if (set != NULL) {
        route_all(set);
        print_again(set);
    }
    upstreams_free(set);
    return 0;
}

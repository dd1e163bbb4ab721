/*
 * chat_fixture.h - a struct convert without the pipeline around it, for tests of its parts.
 *
 * What it was told: conv.warnings, conv.error_text, conv.error_param.
 */
#ifndef CHAT_FIXTURE_H
#define CHAT_FIXTURE_H

#include "codec.h"
#include "unit.h"

static struct convert conv;
static struct arena work;

static void conv_reset(enum protocol client, enum protocol upstream)
{
    buf_done(&conv.warnings);
    buf_done(&conv.error_text);
    buf_done(&conv.error_param);
    arena_done(&conv.arena);
    arena_done(&work);
    conv = (struct convert){ .options = { .client = client, .upstream = upstream } };
    arena_init(&conv.arena, 64 << 20);
    arena_init(&work, 256 << 20);
    conv.temp = &work;
    conv.request.max_tokens = -1;
    buf_init(&conv.warnings, 4096);
    buf_init(&conv.error_text, 4096);
    buf_init(&conv.error_param, 4096);
}

static int conv_setup(void **state)
{
    (void)state;
    conv_reset(PROTOCOL_MESSAGES, PROTOCOL_CHAT);
    return 0;
}

static int conv_teardown(void **state)
{
    (void)state;
    buf_done(&conv.warnings);
    buf_done(&conv.error_text);
    buf_done(&conv.error_param);
    arena_done(&conv.arena);
    arena_done(&work);
    return 0;
}

/* Fills conv.request.params from a body, as params_decode() does. */
static inline void conv_params(struct str body)
{
    json_edit_init(&conv.doc, &work, body);
    static const struct {
        const char *name;
        enum chat_param id;
    } names[] = {
        { "temperature", CHAT_PARAM_TEMPERATURE },
        { "top_p", CHAT_PARAM_TOP_P },
        { "max_tokens", CHAT_PARAM_MAX_TOKENS },
        { "max_completion_tokens", CHAT_PARAM_MAX_COMPLETION },
        { "max_output_tokens", CHAT_PARAM_MAX_COMPLETION },
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct json_node *n = json_find(&conv.doc, json_root(&conv.doc), str_of(names[i].name));
        if (n != NULL)
            conv.request.params[names[i].id] = n;
    }
}

#endif

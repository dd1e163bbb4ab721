/*
 * chat_fixture.h - a struct convert without the pipeline around it, for tests of its parts.
 *
 * The functions of convert.c that parts use are here in a form that keeps what it is told:
 * conv.warnings, conv.error_text, conv.error_param.
 */
#ifndef CHAT_FIXTURE_H
#define CHAT_FIXTURE_H

#include <stdarg.h>
#include <stdio.h>

#include "codec.h"
#include "err.h"
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

int convert_reject(struct convert *c, struct str path, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buf_clear(&c->error_text);
    buf_clear(&c->error_param);
    buf_add(&c->error_param, path);
    buf_add(&c->error_text, str_of(text));
    return E_BAD_REQUEST;
}

int convert_warn(struct convert *c, const char *action, struct str path)
{
    if (c->options.strict)
        return convert_reject(c, path, "would be %s", action);
    buf_addf(&c->warnings, "%s%s:" STR_FMT, buf_len(&c->warnings) > 0 ? ", " : "", action,
             STR_ARG(path));
    return 0;
}

struct chat_message *chat_add_message(struct convert *c, enum chat_role role)
{
    struct chat_message *m = arena_new(c->temp, struct chat_message, 1);
    m->role = role;
    if (c->request.last == NULL)
        c->request.messages = m;
    else
        c->request.last->next = m;
    c->request.last = m;
    c->request.message_count++;
    return m;
}

struct chat_block *chat_new_block(struct convert *c, enum chat_block_kind kind)
{
    struct chat_block *b = arena_new(c->temp, struct chat_block, 1);
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
    struct chat_tool *t = arena_new(c->temp, struct chat_tool, 1);
    t->strict = CHAT_ABSENT;
    if (c->request.last_tool == NULL)
        c->request.tools = t;
    else
        c->request.last_tool->next = t;
    c->request.last_tool = t;
    return t;
}

struct str chat_path(struct convert *c, struct str base, int64_t n, struct str name)
{
    char number[32];
    snprintf(number, sizeof number, n < 0 ? "." : ".%lld.", (long long)n);
    return arena_printf(c->temp, STR_FMT "%s" STR_FMT, STR_ARG(base), number, STR_ARG(name));
}

#endif

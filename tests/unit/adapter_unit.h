/*
 * adapter_unit.h - what the tests of the rules share: a configuration, a set of rules and
 * one request.
 */
#ifndef ADAPTER_UNIT_H
#define ADAPTER_UNIT_H

#include "unit.h"

#include "adapter.h"
#include "adapter_set.h"
#include "config.h"
#include "json.h"

enum { VECTOR_TIME = 1793534400 };

struct rules_test {
    struct config config;
    struct arena arena;
    struct buf error;
    struct adapter_set *set;
    struct http_headers headers;
    struct json_edit edit;
    struct adapter_request r;
};

static inline void rules_begin(struct rules_test *t)
{
    static char *const no_environment[] = { NULL };
    *t = (struct rules_test){ .set = NULL };
    buf_init(&t->error, 4096);
    arena_init(&t->arena, 1 << 26);
    assert_int_equal(config_load(&t->config, NULL, false, no_environment, NULL, 0, &t->error), 0);
    t->r = (struct adapter_request){
        .arena = &t->arena,
        .headers = &t->headers,
        .path = S("/v1/messages"),
        .credential = S("sk-test"),
        .unix_s = VECTOR_TIME,
        .session_secret = S("test-secret"),
    };
}

static inline void rules_end(struct rules_test *t)
{
    adapters_free(t->set);
    config_done(&t->config);
    buf_done(&t->error);
    arena_done(&t->arena);
}

static inline void rules_set(struct rules_test *t, struct str name, struct str value)
{
    if (config_set(&t->config, name, value, &t->error) < 0)
        fail_msg("%.*s", STR_ARG(buf_str(&t->error)));
}

static inline void rules_protocol(struct rules_test *t, enum protocol p)
{
    t->r.protocol = t->r.upstream_protocol = p;
    t->r.service = p == PROTOCOL_MESSAGES ? SERVICE_CLAUDE : SERVICE_CODEX;
}

static inline void rules_body(struct rules_test *t, struct str text)
{
    json_edit_init(&t->edit, &t->arena, text);
    t->r.edit = &t->edit;
}

static inline void rules_load(struct rules_test *t, struct str text)
{
    if (adapters_parse(&t->config, S("test.json"), text, &t->set, &t->error) < 0)
        fail_msg("%.*s", STR_ARG(buf_str(&t->error)));
}

/* Selects by name. */
static inline const struct adapter *rules_named(struct rules_test *t, struct str name)
{
    enum adapter_reason reason;
    http_set(&t->headers, &t->arena, S("x-client-type"), name);
    const struct adapter *a = adapter_select(t->set, &t->r, &reason);
    assert_str(adapter_name(a), name);
    http_remove(&t->headers, S("x-client-type"));
    return a;
}

/* One adapter "t" with this list of actions, run on the body. */
static inline struct str rules_run(struct rules_test *t, enum protocol p, struct str actions,
                                   struct str body)
{
    rules_protocol(t, p);
    rules_body(t, body);
    rules_load(t,
               arena_printf(&t->arena, "{\"adapters\":[{\"name\":\"t\",\"actions\":" STR_FMT "}]}",
                            STR_ARG(actions)));
    adapter_apply(t->set, rules_named(t, S("t")), &t->r);
    return json_edit_text(&t->edit);
}

#endif

#include "adapter.h"

#include "adapter_set.h"
#include "json.h"
#include "request_text.h"

const char *adapter_reason_name(enum adapter_reason r)
{
    static const char *const names[] = { "client_type", "header", "body", "protocol", "default" };
    must((size_t)r < ARRAY_LEN(names));
    return names[r];
}

/* ---- selection ---- */

static bool is_here(const struct adapter *a, const struct adapter_request *r)
{
    return a->enabled && (a->services & (1u << r->service)) != 0;
}

static const struct adapter *default_of(const struct adapter_set *s)
{
    return s->v[s->n - 1];
}

static const struct adapter *by_name(const struct adapter_set *s, const struct adapter_request *r,
                                     struct str name)
{
    for (size_t i = 0; i < s->n; i++)
        if (is_here(s->v[i], r) && str_eq(s->v[i]->name, name))
            return s->v[i];
    return NULL;
}

static const struct adapter *by_alias(const struct adapter_set *s, const struct adapter_request *r,
                                      struct str name)
{
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < s->v[i]->aliases.n; k++)
            if (is_here(s->v[i], r) && str_eq(s->v[i]->aliases.v[k], name))
                return s->v[i];
    return NULL;
}

/* x-client-type as adapters are named: lower case, '_' for '-' and ' '. */
static struct str client_type(struct adapter_request *r)
{
    struct str *value = http_find(r->headers, S("x-client-type"));
    if (value == NULL)
        return S("");
    struct str in = str_trim(*value);
    char *out = arena_new(r->arena, char, in.n + 1);
    for (size_t i = 0; i < in.n; i++)
        out[i] =
            in.p[i] == '-' || in.p[i] == ' ' ? '_' : (char)str_lower_byte((unsigned char)in.p[i]);
    return (struct str){ out, in.n };
}

static const struct adapter *by_client_type(const struct adapter_set *s, struct adapter_request *r)
{
    struct str name = client_type(r);
    if (name.n == 0)
        return NULL;
    if (str_eq(name, S("none")) || str_eq(name, S("passthrough")))
        return default_of(s);
    const struct adapter *a = by_name(s, r, name);
    if (a == NULL)
        a = by_alias(s, r, name);
    if (a == NULL)
        a = by_name(s, r, S("custom"));
    return a != NULL ? a : default_of(s);
}

static enum adapter_reason reason_of(unsigned basis)
{
    if ((basis & CONDITION_BODY) != 0)
        return ADAPTER_BY_BODY;
    return (basis & CONDITION_HEADER) != 0 ? ADAPTER_BY_HEADER : ADAPTER_BY_PROTOCOL;
}

const struct adapter *adapter_select(const struct adapter_set *set, struct adapter_request *r,
                                     enum adapter_reason *ret_reason)
{
    const struct adapter *a = by_client_type(set, r);
    r->body_needed = false;
    if (a != NULL) {
        *ret_reason = ADAPTER_BY_CLIENT_TYPE;
        return a;
    }
    for (size_t i = 0; i + 1 < set->n; i++) {
        unsigned basis = 0;
        a = set->v[i];
        if (is_here(a, r) && a->match != NULL && condition_true(a->match, r, &basis)) {
            *ret_reason = reason_of(basis);
            return a;
        }
    }
    *ret_reason = ADAPTER_BY_DEFAULT;
    return default_of(set);
}

/* ---- applying ---- */

static void note_change(struct adapter_request *r, struct str op)
{
    for (size_t i = 0; i < r->changes_n; i++)
        if (str_eq(r->changes[i], op))
            return;
    must(r->changes_n < ARRAY_LEN(r->changes));
    r->changes[r->changes_n++] = op;
}

void adapter_apply(const struct adapter_set *set, const struct adapter *a,
                   struct adapter_request *r)
{
    (void)set;
    for (size_t i = 0; i < a->actions_n; i++)
        if (action_needs_conversation(&a->actions[i], r->protocol)) {
            r->conversation = request_conversation(r); /* before anything is edited */
            break;
        }
    for (size_t i = 0; i < a->actions_n && r->reject_status == 0; i++)
        if (action_run(&a->actions[i], r))
            note_change(r, action_name(&a->actions[i]));
}

/* ---- looking ---- */

struct str adapter_name(const struct adapter *a)
{
    return a->name;
}

struct str adapter_version(const struct adapter *a)
{
    return a->version;
}

bool adapter_is_raw(const struct adapter *a)
{
    return a->actions_n == 1 && action_is_raw(&a->actions[0]) && a->actions[0].when == NULL;
}

bool adapter_has_actions(const struct adapter *a)
{
    return a->actions_n > 0;
}

bool adapter_is_default(const struct adapter *a)
{
    return a->priority == ADAPTER_DEFAULT_PRIORITY;
}

bool adapter_keeps_vendor_headers(const struct adapter *a)
{
    return adapter_is_raw(a);
}

static void describe(const struct adapter *a, struct buf *out)
{
    const char *comma = "";
    buf_add(out, S("{\"name\":"));
    json_write_str(out, a->name);
    buf_add(out, S(",\"version\":"));
    json_write_str(out, a->version);
    buf_addf(out, ",\"priority\":%d,\"service\":[", a->priority);
    for (unsigned s = 0; s < SERVICE_COUNT; s++) {
        if ((a->services & (1u << s)) == 0)
            continue;
        buf_addf(out, "%s\"%s\"", comma, service_name((enum service)s));
        comma = ",";
    }
    buf_addf(out, "],\"source\":\"%s\",\"enabled\":%s}", a->builtin ? "builtin" : "file",
             a->enabled ? "true" : "false");
}

void adapters_describe(const struct adapter_set *set, struct buf *out)
{
    buf_add(out, S("{\"adapters\":["));
    for (size_t i = 0; i < set->n; i++) {
        buf_add(out, i > 0 ? S(",") : S(""));
        describe(set->v[i], out);
    }
    buf_add(out, S("]}"));
}

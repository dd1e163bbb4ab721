#include "upstream.h"

#include <errno.h>
#include <string.h>

#include "url.h"

static int fail(struct upstream_fault *ret_fault, const char *member, const char *why)
{
    *ret_fault = (struct upstream_fault){ member, why };
    return -EINVAL;
}

static struct str without_v1(struct str path)
{
    while (str_ends(path, S("/")))
        path.n--;
    if (str_ends(path, S("/v1")))
        path.n -= 3;
    while (str_ends(path, S("/")))
        path.n--;
    return path;
}

struct proxy_choice {
    const char *name; /* of the setting */
    struct str value; /* empty: none */
};

static struct proxy_choice choose_proxy(const struct upstream_settings *s, const struct config *c,
                                        const struct origin_settings *o)
{
    if (str_eq(s->proxy, S("none")))
        return (struct proxy_choice){ "proxy", S("") };
    if (s->proxy.n > 0)
        return (struct proxy_choice){ "proxy", s->proxy };
    if (url_no_proxy(c->no_proxy, o->host, o->port))
        return (struct proxy_choice){ "NO_PROXY", S("") };
    if (o->tls && c->https_proxy.n > 0)
        return (struct proxy_choice){ "HTTPS_PROXY", c->https_proxy };
    if (!o->tls && c->http_proxy.n > 0)
        return (struct proxy_choice){ "HTTP_PROXY", c->http_proxy };
    return (struct proxy_choice){ "ALL_PROXY", c->all_proxy };
}

static int proxy_kind(struct str scheme, enum connect_proxy *ret_kind)
{
    static const struct {
        struct str scheme;
        enum connect_proxy kind;
    } kinds[] = {
        { S_INIT("http"), CONNECT_HTTP },
        { S_INIT("socks5"), CONNECT_SOCKS5 },
        { S_INIT("socks5h"), CONNECT_SOCKS5H },
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eq_nocase(scheme, kinds[i].scheme)) {
            *ret_kind = kinds[i].kind;
            return 0;
        }
    return -EINVAL;
}

static int set_proxy(struct origin_settings *o, struct proxy_choice choice, struct arena *a,
                     struct upstream_fault *ret_fault)
{
    struct url u;
    const char *why;
    if (choice.value.n == 0)
        return 0;
    if (!str_contains(choice.value, S("://")))
        choice.value = arena_cat(a, S("http://"), choice.value);
    if (url_parse(choice.value, &u, &why) < 0)
        return fail(ret_fault, choice.name, why);
    if (proxy_kind(u.scheme, &o->proxy) < 0)
        return fail(ret_fault, choice.name, "the scheme must be http, socks5 or socks5h");
    o->proxy_host = u.host;
    o->proxy_port = u.port != 0 ? u.port : (o->proxy == CONNECT_HTTP ? 8080 : 1080);
    if (u.user.p != NULL) {
        o->proxy_user = url_decode(u.user, a);
        o->proxy_password = u.password.p != NULL ? url_decode(u.password, a) : S("");
    }
    return 0;
}

static int parse_base_url(struct str text, struct url *ret_url, bool *ret_https,
                          struct upstream_fault *ret_fault)
{
    const char *why;
    if (url_parse(text, ret_url, &why) < 0)
        return fail(ret_fault, "base_url", why);
    *ret_https = str_eq_nocase(ret_url->scheme, S("https"));
    if (!*ret_https && !str_eq_nocase(ret_url->scheme, S("http")))
        return fail(ret_fault, "base_url", "the scheme must be http or https");
    if (ret_url->user.p != NULL)
        return fail(ret_fault, "base_url", "a base URL has no user name; use the API key setting");
    if (ret_url->query.p != NULL)
        return fail(ret_fault, "base_url", "a base URL has no query");
    return 0;
}

/* A model that was asked for, and what it takes.  Where it stands follows from its name, so a
 * client that makes up names costs others time only. */
struct upstream_model {
    char name[64];
    size_t name_n; /* 0: a free place */
    struct profile profile;
};

int upstream_open(struct upstream *u, const struct upstream_settings *settings,
                  const struct config *config, struct arena *a, struct pool *pool,
                  struct upstream_fault *ret_fault)
{
    struct url url;
    bool https;
    if (parse_base_url(arena_str(a, str_trim(settings->base_url)), &url, &https, ret_fault) < 0)
        return -EINVAL;
    uint16_t standard = https ? 443 : 80;
    struct str host =
        url.host_is_ipv6 ? arena_printf(a, "[" STR_FMT "]", STR_ARG(url.host)) : url.host;
    bool shown = url.port != 0 && url.port != standard;
    *u = (struct upstream){
        .name = arena_str(a, settings->name),
        .service = settings->protocol == PROTOCOL_MESSAGES ? SERVICE_CLAUDE : SERVICE_CODEX,
        .protocol = settings->protocol,
        .speaks = settings->speaks,
        .stream = settings->stream,
        .profile = settings->profile,
        .host = arena_lower(a, url.host),
        .scheme = https ? S("https") : S("http"),
        .authority = shown ? arena_printf(a, STR_FMT ":%u", STR_ARG(host), url.port) : host,
        .prefix = without_v1(url.path),
        .key = arena_str(a, settings->key),
        .models = arena_new(a, struct upstream_model, UPSTREAM_MODELS),
    };
    u->base_url = arena_printf(a, STR_FMT "://" STR_FMT STR_FMT, STR_ARG(u->scheme),
                               STR_ARG(u->authority), STR_ARG(u->prefix));

    struct origin_settings o = {
        .name = u->base_url,
        .host = url.host,
        .port = url.port != 0 ? url.port : standard,
        .tls = https,
        .tls_client = settings->tls,
    };
    int e = set_proxy(&o, choose_proxy(settings, config, &o), a, ret_fault);
    if (e == 0 && pool != NULL)
        u->origin = pool_add_origin(pool, &o);
    return e;
}

int upstream_init(struct upstream *u, enum service service, const struct config *config,
                  struct arena *a, struct pool *pool, struct buf *ret_error)
{
    bool claude = service == SERVICE_CLAUDE;
    const char *base_url = claude ? "ANTHROPIC_BASE_URL" : "OPENAI_BASE_URL";
    struct upstream_settings settings = {
        .name = str_of(service_name(service)),
        .base_url = claude ? config->anthropic_base_url : config->openai_base_url,
        .key = claude ? config->anthropic_api_key : config->openai_api_key,
    };
    struct upstream_fault fault;
    if (upstream_protocols(claude ? config->anthropic_protocols : config->openai_protocols,
                           &settings.protocol, &settings.speaks) < 0) {
        buf_addf(ret_error, "%s: must be a list of messages, chat, responses",
                 claude ? "ANTHROPIC_PROTOCOLS" : "OPENAI_PROTOCOLS");
        return -EINVAL;
    }
    int e = upstream_open(u, &settings, config, a, pool, &fault);
    if (e < 0) {
        bool is_url = str_eq(str_of(fault.member), S("base_url"));
        buf_addf(ret_error, "%s: %s", is_url ? base_url : fault.member, fault.why);
    }
    return e;
}

static struct upstream_model *place_of(const struct upstream *u, struct str model)
{
    unsigned hash = 0;
    for (size_t i = 0; i < model.n; i++)
        hash = hash * 31 + (unsigned char)model.p[i];
    return &u->models[hash % UPSTREAM_MODELS];
}

static void resolve(const struct upstream *u, struct str model, struct profile *ret)
{
    struct buf why CLEANUP(buf_done);
    buf_init(&why, 1024);
    const struct upstream_profile *p = &u->profile;
    must(profile_resolve(ret, p->name, u->host, model, p->overrides, p->override_count, &why) == 0);
}

void upstream_profile(const struct upstream *u, struct str model, struct profile *ret)
{
    struct upstream_model *m = place_of(u, model);
    if (model.n == 0 || model.n > sizeof(m->name)) {
        resolve(u, model, ret);
        return;
    }
    if (!str_eq((struct str){ m->name, m->name_n }, model)) {
        resolve(u, model, &m->profile);
        memcpy(m->name, model.p, model.n);
        m->name_n = model.n;
    }
    *ret = m->profile;
}

int upstream_protocols(struct str list, enum protocol *ret_first, unsigned *ret_set)
{
    struct str name;
    unsigned set = 0;
    enum protocol first = PROTOCOL_COUNT;
    while (str_next(&list, ',', &name)) {
        int p = 0;
        while (p < PROTOCOL_COUNT &&
               !str_eq(str_trim(name), str_of(protocol_name((enum protocol)p))))
            p++;
        if (p == PROTOCOL_COUNT)
            return -EINVAL;
        first = first == PROTOCOL_COUNT ? (enum protocol)p : first;
        set |= 1u << p;
    }
    if (set == 0)
        return -EINVAL;
    *ret_first = first;
    *ret_set = set;
    return 0;
}

enum protocol upstream_protocol(const struct upstream *u, enum protocol came_in)
{
    return (u->speaks & 1u << came_in) != 0 ? came_in : u->protocol;
}

#include "upstream.h"

#include <errno.h>

#include "url.h"

static int fail(struct buf *ret_error, const char *name, const char *why)
{
    buf_addf(ret_error, "%s: %s", name, why);
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
    struct str value;
};

static struct proxy_choice choose_proxy(const struct config *c, bool https)
{
    if (https && c->https_proxy.n > 0)
        return (struct proxy_choice){ "HTTPS_PROXY", c->https_proxy };
    if (!https && c->http_proxy.n > 0)
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

static int set_proxy(struct origin_settings *o, const struct config *c, struct arena *a,
                     struct buf *ret_error)
{
    struct proxy_choice choice = choose_proxy(c, o->tls);
    struct url u;
    const char *why;
    if (choice.value.n == 0 || url_no_proxy(c->no_proxy, o->host, o->port))
        return 0;
    if (!str_contains(choice.value, S("://")))
        choice.value = arena_cat(a, S("http://"), choice.value);
    if (url_parse(choice.value, &u, &why) < 0)
        return fail(ret_error, choice.name, why);
    if (proxy_kind(u.scheme, &o->proxy) < 0)
        return fail(ret_error, choice.name, "the scheme must be http, socks5 or socks5h");
    o->proxy_host = u.host;
    o->proxy_port = u.port != 0 ? u.port : (o->proxy == CONNECT_HTTP ? 8080 : 1080);
    if (u.user.p != NULL) {
        o->proxy_user = url_decode(u.user, a);
        o->proxy_password = u.password.p != NULL ? url_decode(u.password, a) : S("");
    }
    return 0;
}

int upstream_init(struct upstream *u, enum service service, const struct config *config,
                  struct arena *a, struct pool *pool, struct buf *ret_error)
{
    bool claude = service == SERVICE_CLAUDE;
    const char *name = claude ? "ANTHROPIC_BASE_URL" : "OPENAI_BASE_URL";
    struct str text =
        arena_str(a, str_trim(claude ? config->anthropic_base_url : config->openai_base_url));
    struct url url;
    const char *why;
    if (url_parse(text, &url, &why) < 0)
        return fail(ret_error, name, why);
    bool https = str_eq_nocase(url.scheme, S("https"));
    if (!https && !str_eq_nocase(url.scheme, S("http")))
        return fail(ret_error, name, "the scheme must be http or https");
    if (url.user.p != NULL)
        return fail(ret_error, name, "a base URL has no user name; use the API key setting");
    if (url.query.p != NULL)
        return fail(ret_error, name, "a base URL has no query");

    uint16_t standard = https ? 443 : 80;
    struct str host =
        url.host_is_ipv6 ? arena_printf(a, "[" STR_FMT "]", STR_ARG(url.host)) : url.host;
    bool shown = url.port != 0 && url.port != standard;
    *u = (struct upstream){
        .service = service,
        .scheme = https ? S("https") : S("http"),
        .authority = shown ? arena_printf(a, STR_FMT ":%u", STR_ARG(host), url.port) : host,
        .prefix = without_v1(url.path),
        .key = arena_str(a, claude ? config->anthropic_api_key : config->openai_api_key),
    };
    u->base_url = arena_printf(a, STR_FMT "://" STR_FMT STR_FMT, STR_ARG(u->scheme),
                               STR_ARG(u->authority), STR_ARG(u->prefix));

    struct origin_settings o = {
        .name = u->base_url,
        .host = url.host,
        .port = url.port != 0 ? url.port : standard,
        .tls = https,
    };
    int e = set_proxy(&o, config, a, ret_error);
    if (e == 0 && pool != NULL)
        u->origin = pool_add_origin(pool, &o);
    return e;
}

enum service upstream_service(enum protocol protocol, enum service came_to)
{
    switch (protocol) {
    case PROTOCOL_MESSAGES:
        return SERVICE_CLAUDE;
    case PROTOCOL_RESPONSES:
        return SERVICE_CODEX;
    default:
        return came_to;
    }
}

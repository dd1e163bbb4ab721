#include "config_row.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS_MAX = 64, WORKERS_PRODUCTION = 4 };

/* True for an address that only this machine can reach; names other than
 * localhost are not resolved and count as reachable. */
static bool is_loopback(struct str host)
{
    char text[INET6_ADDRSTRLEN];
    if (str_starts(host, S("[")) && str_ends(host, S("]")))
        host = str_slice(host, 1, host.n - 1);
    if (str_eq_nocase(host, S("localhost")))
        return true;
    if (host.n == 0 || host.n >= sizeof(text))
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';

    struct in_addr v4;
    if (inet_pton(AF_INET, text, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    struct in6_addr v6;
    if (inet_pton(AF_INET6, text, &v6) != 1)
        return false;
    return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

/* Whether a comma list has an item; any for want.n == 0, else this one. */
static bool list_has(struct str list, struct str want)
{
    struct str item;
    while (str_next(&list, ',', &item)) {
        item = str_trim(item);
        if (item.n > 0 && (want.n == 0 || str_eq(item, want)))
            return true;
    }
    return false;
}

/* adapters.md section 7: a neighbour or a web page could spend a server key
 * that anybody may use.  Either service takes requests for both upstreams. */
static int check_open_key(const struct config *c, struct str key_name, const char *service,
                          struct str host, struct buf *ret_error)
{
    if (!str_eq_nocase(c->services, S("both")) && !str_eq_nocase(c->services, str_of(service)))
        return 0;
    if (!is_loopback(host)) {
        config_add_place(c, key_name, ret_error);
        buf_addf(ret_error,
                 STR_FMT " is set, PROXY_API_KEYS is not, and the %s service listens on " STR_FMT
                         ": anybody who reaches the port could spend the key; set "
                         "PROXY_API_KEYS, or listen on 127.0.0.1 and set CORS_ALLOW_ORIGINS to "
                         "other than *",
                 STR_ARG(key_name), service, STR_ARG(host));
        return -EINVAL;
    }
    if (list_has(c->cors_allow_origins, S("*"))) {
        config_add_place(c, key_name, ret_error);
        buf_addf(ret_error,
                 STR_FMT " is set, PROXY_API_KEYS is not, and CORS_ALLOW_ORIGINS is *: any web "
                         "page could spend the key; set PROXY_API_KEYS or CORS_ALLOW_ORIGINS",
                 STR_ARG(key_name));
        return -EINVAL;
    }
    return 0;
}

int config_check_key(const struct config *c, struct str key_name, struct buf *ret_error)
{
    if (list_has(c->proxy_api_keys, S("")))
        return 0;
    int e = check_open_key(c, key_name, "claude", c->claude_host, ret_error);
    return e < 0 ? e : check_open_key(c, key_name, "codex", c->codex_host, ret_error);
}

/* "http://host:port/path" to a host that is not this machine. */
static bool is_clear_text(struct str url)
{
    if (!str_starts_nocase(url, S("http://")))
        return false;
    struct str rest = str_slice(url, 7, url.n);
    struct str host = str_slice(rest, 0, str_index(rest, '/'));
    if (str_starts(host, S("[")))
        host = str_slice(host, 0, str_index(host, ']') + 1);
    else
        host = str_slice(host, 0, str_index(host, ':'));
    return !is_loopback(host);
}

static void warn_of_clear_text(struct config *c, struct str key, const char *key_name,
                               struct str url, const char *url_name)
{
    if (key.n > 0 && is_clear_text(str_trim(url)))
        buf_addf(&c->warnings,
                 "warning: %s is sent in clear text: %s is http:// and not this machine\n",
                 key_name, url_name);
}

int config_check(struct config *c, struct buf *ret_error)
{
    if ((c->tls_cert_file.n == 0) != (c->tls_key_file.n == 0)) {
        bool no_cert = c->tls_cert_file.n == 0;
        config_add_place(c, no_cert ? S("TLS_KEY_FILE") : S("TLS_CERT_FILE"), ret_error);
        buf_addf(ret_error, "TLS_CERT_FILE and TLS_KEY_FILE go together; %s is not set",
                 no_cert ? "TLS_CERT_FILE" : "TLS_KEY_FILE");
        return -EINVAL;
    }
    static const size_t keys[] = { CONFIG_anthropic_api_key, CONFIG_openai_api_key };
    int e = 0;
    for (size_t i = 0; i < ARRAY_LEN(keys) && e == 0; i++) {
        if (c->text[keys[i]][0] != '\0')
            e = config_check_key(c, str_of(config_row(keys[i])->name), ret_error);
    }
    warn_of_clear_text(c, c->anthropic_api_key, "ANTHROPIC_API_KEY", c->anthropic_base_url,
                       "ANTHROPIC_BASE_URL");
    warn_of_clear_text(c, c->openai_api_key, "OPENAI_API_KEY", c->openai_base_url,
                       "OPENAI_BASE_URL");
    return e;
}

static int core_count(void)
{
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
        return 1;
    int n = CPU_COUNT(&cpus);
    return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : n;
}

void config_derive(struct config *c)
{
    uint64_t n;
    c->production = str_eq(c->environment, S("production"));
    if (c->workers.n == 0)
        c->worker_count = c->production ? WORKERS_PRODUCTION : 1;
    else if (str_to_u64(c->workers, &n) == 0)
        c->worker_count = (int)n; /* 1 to 64, checked when it was set */
    else
        c->worker_count = core_count();
}

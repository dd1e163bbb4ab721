#include "tunnel.h"

#include <netinet/in.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "mem.h"

enum { SOCKS_VERSION = 5, SOCKS_TEXT_MAX = 255 };
enum { SOCKS_NO_AUTH = 0, SOCKS_BY_PASSWORD = 2 };       /* methods: rfc1928,s3 */
enum { SOCKS_IPV4 = 1, SOCKS_NAME = 3, SOCKS_IPV6 = 4 }; /* types of address: rfc1928,s4 */

static int failed(struct tunnel *t)
{
    t->step = TUNNEL_FAILED;
    return E_UPSTREAM_PROXY;
}

static int failed_with(struct tunnel *t, struct buf *ret_reason, const char *reason)
{
    buf_add(ret_reason, str_of(reason));
    return failed(t);
}

/* Nothing that could end the request line or a header. */
static bool host_is_clean(struct str host)
{
    for (size_t i = 0; i < host.n; i++) {
        unsigned char c = (unsigned char)host.p[i];
        if (c <= ' ' || c == 0x7f)
            return false;
    }
    return host.n > 0;
}

static void add_authority(struct buf *b, const struct connect_target *target)
{
    bool v6 = str_index(target->host, ':') < target->host.n;
    buf_addf(b, v6 ? "[" STR_FMT "]:%u" : STR_FMT ":%u", STR_ARG(target->host), target->port);
}

static void add_basic(struct buf *out, struct str user, struct str password)
{
    struct buf plain;
    buf_init(&plain, SIZE_MAX / 4);
    plain.wiped = true;
    buf_add(&plain, user);
    buf_add_byte(&plain, ':');
    buf_add(&plain, password);
    size_t n = buf_len(&plain);
    unsigned char *coded = mem_alloc(n / 3 * 4 + 5);
    int coded_n = EVP_EncodeBlock(coded, (const unsigned char *)buf_str(&plain).p, (int)n);
    buf_add(out, (struct str){ (const char *)coded, (size_t)coded_n });
    explicit_bzero(coded, n / 3 * 4 + 5);
    free(coded);
    buf_done(&plain);
}

static void ask_connect(struct tunnel *t)
{
    const struct connect_target *target = t->target;
    buf_add(&t->out, S("CONNECT "));
    add_authority(&t->out, target);
    buf_add(&t->out, S(" HTTP/1.1\r\nHost: "));
    add_authority(&t->out, target);
    if (target->proxy_user.p != NULL) {
        buf_add(&t->out, S("\r\nProxy-Authorization: Basic "));
        add_basic(&t->out, target->proxy_user, target->proxy_password);
    }
    buf_add(&t->out, S("\r\n\r\n"));
}

static void ask_method(struct tunnel *t)
{
    if (t->target->proxy_user.p != NULL)
        buf_add(&t->out, S("\x05\x02\x00\x02"));
    else
        buf_add(&t->out, S("\x05\x01\x00"));
}

static void add_short(struct buf *b, struct str s)
{
    must(s.n <= SOCKS_TEXT_MAX);
    buf_add_byte(b, (char)s.n);
    buf_add(b, s);
}

static void ask_password(struct tunnel *t)
{
    buf_add_byte(&t->out, 1); /* rfc1929,s2 */
    add_short(&t->out, t->target->proxy_user);
    add_short(&t->out, t->target->proxy_password);
}

static void ask_socks_connect(struct tunnel *t)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&t->address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&t->address;
    uint16_t port = htons(t->target->port);
    buf_add(&t->out, S("\x05\x01\x00")); /* version, CONNECT, reserved */
    if (t->target->proxy == CONNECT_SOCKS5H) {
        buf_add_byte(&t->out, SOCKS_NAME);
        add_short(&t->out, t->target->host);
    } else if (t->address.ss_family == AF_INET6) {
        buf_add_byte(&t->out, SOCKS_IPV6);
        buf_add(&t->out, (struct str){ (const char *)&in6->sin6_addr, 16 });
    } else {
        buf_add_byte(&t->out, SOCKS_IPV4);
        buf_add(&t->out, (struct str){ (const char *)&in->sin_addr, 4 });
    }
    buf_add(&t->out, (struct str){ (const char *)&port, 2 });
}

int tunnel_start(struct tunnel *t, const struct connect_target *target,
                 const struct sockaddr_storage *address, struct buf *ret_reason)
{
    must(target->proxy != CONNECT_DIRECT);
    must((address != NULL) == (target->proxy == CONNECT_SOCKS5));
    memset(t, 0, sizeof(*t));
    t->target = target;
    buf_init(&t->in, TUNNEL_HEAD_BYTES_MAX);
    buf_init(&t->out, SIZE_MAX / 4);
    t->out.wiped = true;
    if (address != NULL)
        t->address = *address;
    if (!host_is_clean(target->host))
        return failed_with(t, ret_reason, "the host name has impossible bytes");
    if (target->proxy == CONNECT_HTTP) {
        t->step = TUNNEL_HEAD;
        ask_connect(t);
        return 0;
    }
    if (target->host.n > SOCKS_TEXT_MAX || target->proxy_user.n > SOCKS_TEXT_MAX ||
        target->proxy_password.n > SOCKS_TEXT_MAX)
        return failed_with(t, ret_reason, "a name or password is too long for SOCKS5");
    t->step = TUNNEL_METHOD;
    ask_method(t);
    return 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The status of a complete head, or -1: "HTTP/1.x NNN", then a space or the end. */
static int head_status(struct str head)
{
    if (!str_starts(head, S("HTTP/1.1 ")) && !str_starts(head, S("HTTP/1.0 ")))
        return -1;
    const char *p = head.p + 9;
    if (head.n < 13 || !is_digit(p[0]) || !is_digit(p[1]) || !is_digit(p[2]))
        return -1;
    if (p[3] != ' ' && p[3] != '\r')
        return -1;
    return (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
}

static int take_head(struct tunnel *t, struct buf *ret_reason)
{
    struct str in = buf_str(&t->in);
    size_t end = str_find(in, S("\r\n\r\n"));
    if (end == in.n) {
        if (in.n < TUNNEL_HEAD_BYTES_MAX)
            return 0;
        return failed_with(t, ret_reason, "the proxy's reply has a header over the limit");
    }
    int status = head_status(str_slice(in, 0, end + 4));
    if (status < 0)
        return failed_with(t, ret_reason, "the proxy's reply is not HTTP/1");
    if (status == 407)
        return failed_with(t, ret_reason, "the proxy answered 407: it wants other credentials");
    if (status < 200 || status > 299) {
        buf_addf(ret_reason, "the proxy answered %d", status);
        return failed(t);
    }
    buf_consume(&t->in, end + 4);
    t->step = TUNNEL_OPEN;
    return 1;
}

static int take_method(struct tunnel *t, struct buf *ret_reason)
{
    struct str in = buf_str(&t->in);
    if (in.p[0] != SOCKS_VERSION)
        return failed_with(t, ret_reason, "the proxy does not speak SOCKS5");
    if (in.n < 2)
        return 0;
    char method = in.p[1];
    buf_consume(&t->in, 2);
    if (method == SOCKS_NO_AUTH) {
        t->step = TUNNEL_REPLY;
        ask_socks_connect(t);
        return 1;
    }
    if (method == SOCKS_BY_PASSWORD && t->target->proxy_user.p != NULL) {
        t->step = TUNNEL_PASSWORD;
        ask_password(t);
        return 1;
    }
    return failed_with(t, ret_reason, "the SOCKS5 proxy wants another kind of authentication");
}

static int take_password(struct tunnel *t, struct buf *ret_reason)
{
    struct str in = buf_str(&t->in);
    if (in.n < 2)
        return 0;
    if (in.p[0] != 1 || in.p[1] != 0)
        return failed_with(t, ret_reason, "the SOCKS5 proxy refused user and password");
    buf_consume(&t->in, 2);
    t->step = TUNNEL_REPLY;
    ask_socks_connect(t);
    return 1;
}

static const char *socks_error(unsigned char code)
{
    static const char *const text[] = {
        NULL,
        "general failure",
        "not allowed by its rules",
        "network unreachable",
        "host unreachable",
        "connection refused",
        "TTL expired",
        "command not supported",
        "address type not supported",
    };
    return code > 0 && code < ARRAY_LEN(text) ? text[code] : "unknown failure";
}

static int take_reply(struct tunnel *t, struct buf *ret_reason)
{
    struct str in = buf_str(&t->in);
    if (in.p[0] != SOCKS_VERSION)
        return failed_with(t, ret_reason, "the proxy does not speak SOCKS5");
    if (in.n < 2)
        return 0;
    if (in.p[1] != 0) {
        buf_addf(ret_reason, "the SOCKS5 proxy answered %u: %s", (unsigned char)in.p[1],
                 socks_error((unsigned char)in.p[1]));
        return failed(t);
    }
    if (in.n < 5)
        return 0;
    size_t address_n;
    switch (in.p[3]) {
    case SOCKS_IPV4:
        address_n = 4;
        break;
    case SOCKS_IPV6:
        address_n = 16;
        break;
    case SOCKS_NAME:
        address_n = 1 + (size_t)(unsigned char)in.p[4];
        break;
    default:
        return failed_with(t, ret_reason, "the SOCKS5 proxy's reply is malformed");
    }
    if (in.n < 4 + address_n + 2)
        return 0;
    buf_consume(&t->in, 4 + address_n + 2);
    t->step = TUNNEL_OPEN;
    return 1;
}

/* One reply: 1 taken, 0 not complete yet, below 0 failed. */
static int take_one(struct tunnel *t, struct buf *ret_reason)
{
    switch (t->step) {
    case TUNNEL_HEAD:
        return take_head(t, ret_reason);
    case TUNNEL_METHOD:
        return take_method(t, ret_reason);
    case TUNNEL_PASSWORD:
        return take_password(t, ret_reason);
    case TUNNEL_REPLY:
        return take_reply(t, ret_reason);
    case TUNNEL_OPEN:
        return failed_with(t, ret_reason, "the proxy sent bytes behind its reply");
    case TUNNEL_FAILED:
        break;
    }
    return E_UPSTREAM_PROXY;
}

int tunnel_feed(struct tunnel *t, struct str bytes, struct buf *ret_reason)
{
    if (t->step == TUNNEL_FAILED)
        return E_UPSTREAM_PROXY;
    /* In parts that fit the limit, so that the cut of the input cannot matter. */
    for (size_t at = 0; at < bytes.n;) {
        size_t room = TUNNEL_HEAD_BYTES_MAX - buf_len(&t->in);
        struct str part = str_slice(bytes, at, at + (room < bytes.n - at ? room : bytes.n - at));
        must(part.n > 0);
        buf_add(&t->in, part);
        at += part.n;
        while (buf_len(&t->in) > 0) {
            if (buf_len(&t->out) > 0)
                return failed_with(t, ret_reason, "the proxy answered before it was asked");
            int r = take_one(t, ret_reason);
            if (r < 0)
                return r;
            if (r == 0)
                break;
        }
    }
    return t->step == TUNNEL_OPEN ? 1 : 0;
}

void tunnel_done(struct tunnel *t)
{
    buf_done(&t->in);
    buf_done(&t->out);
}

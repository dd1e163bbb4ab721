/*
 * Checks: what url_parse() accepts can be put together again from its parts, byte for byte
 * (but for an empty port and leading zeros of it), and parses to the same parts; the
 * host holds no byte that another parser could take for a delimiter.  The text up to
 * the first LF is the URL, what follows a NO_PROXY list.
 */
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "url.h"

static void build(const struct url *u, struct buf *out)
{
    buf_add(out, u->scheme);
    buf_add(out, S("://"));
    buf_add(out, u->user);
    if (u->password.p != NULL) {
        buf_add_byte(out, ':');
        buf_add(out, u->password);
    }
    if (u->user.p != NULL)
        buf_add_byte(out, '@');
    buf_addf(out, u->host_is_ipv6 ? "[%.*s]" : "%.*s", STR_ARG(u->host));
    if (u->port != 0)
        buf_addf(out, ":%u", u->port);
    buf_add(out, u->path);
    if (u->query.p != NULL) {
        buf_add_byte(out, '?');
        buf_add(out, u->query);
    }
}

static void check(const struct url *u, struct str text)
{
    struct url again;
    const char *why;
    struct buf built;
    buf_init(&built, SIZE_MAX);
    build(u, &built);
    must(buf_len(&built) <= text.n);
    must(url_parse(buf_str(&built), &again, &why) == 0);
    must(str_eq(again.host, u->host));
    must(again.port == u->port);
    must(str_eq(again.path, u->path));
    must(str_eq(again.user, u->user));
    must(str_eq(again.password, u->password));
    must(u->path.n == 0 || u->path.p[0] == '/');
    for (size_t i = 0; i < u->host.n; i++) {
        unsigned char c = (unsigned char)u->host.p[i];
        must(c > ' ');
        must(c < 0x7f);
        must(!str_contains(S("/\\?#@[]%"), (struct str){ u->host.p + i, 1 }));
    }
    buf_done(&built);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct str in = { (const char *)bytes, n };
    size_t eol = str_index(in, '\n');
    struct str text = str_slice(in, 0, eol), list = str_slice(in, eol + 1, n);
    struct url u;
    const char *why = NULL;
    struct str host = text;
    uint16_t port = 443;
    if (url_parse(text, &u, &why) == 0) {
        check(&u, text);
        host = u.host;
        port = u.port;
    } else {
        must(why != NULL);
    }
    (void)url_no_proxy(list, host, port);
    struct arena a;
    arena_init(&a, n + 4096 * 2);
    must(url_decode(in, &a).n <= n);
    arena_done(&a);
    return 0;
}

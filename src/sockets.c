#include "sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "activation.h"
#include "listener.h"
#include "log.h"

void sockets_log_settings(const struct config *c)
{
    enum log_level level = LOG_INFO;
    (void)!log_level_of(c->log_level, &level);
    const struct log_settings settings = {
        .level = level,
        .format = str_eq_nocase(c->log_format, S("json")) ? LOG_JSON : LOG_CONSOLE,
        .fd = 1,
        .ring_bytes = c->production ? 1 << 20 : 64 << 20,
        .logger = "cc-proxy",
    };
    log_init(&settings);
}

static bool has_service(const struct config *c, enum service s)
{
    return str_eq_nocase(c->services, S("both")) ||
           str_eq_nocase(c->services, str_of(service_name(s)));
}

/* Where a port should listen, as text; empty: nowhere. */
static void wanted_address(const struct config *c, enum worker_port port, char *to, size_t size)
{
    to[0] = '\0';
    if (port == PORT_ADMIN)
        snprintf(to, size, STR_FMT, STR_ARG(c->admin_listen));
    else if (has_service(c, (enum service)port))
        snprintf(to, size, STR_FMT " %d",
                 STR_ARG(port == PORT_CLAUDE ? c->claude_host : c->codex_host),
                 port == PORT_CLAUDE ? c->claude_port : c->codex_port);
}

static int count_rows(const struct sockets *s, enum worker_port port)
{
    int n = 0;
    for (int i = 0; i < s->n; i++)
        n += s->rows[i].port == port;
    return n;
}

static int add(struct sockets *s, enum worker_port port, int index, int fd)
{
    if (s->n == SOCKETS_MAX) {
        close(fd);
        return -EMFILE;
    }
    s->rows[s->n++] = (struct socket_row){ port, index, fd };
    return 0;
}

static int open_service(struct sockets *s, const struct config *c, enum worker_port port,
                        bool fresh, struct buf *ret_error)
{
    struct str host = port == PORT_CLAUDE ? c->claude_host : c->codex_host;
    int number = port == PORT_CLAUDE ? c->claude_port : c->codex_port, e = 0;
    /* SO_REUSEPORT would let a second cc-proxy take half of the connections without a word. */
    if (fresh && number != 0 && (e = listener_probe(host, (uint16_t)number, ret_error)) < 0)
        return e;
    if (number == 0)
        number = s->bound[port];
    for (int i = count_rows(s, port); i < c->worker_count && e == 0; i++) {
        int fd;
        e = listener_open(host, (uint16_t)number, &fd, ret_error);
        if (e == 0) {
            number = s->bound[port] = listener_port(fd);
            e = add(s, port, i, fd);
        }
    }
    if (e == 0 && fresh)
        log_write(LOG_INFO, "listening", F("service", service_name((enum service)port)),
                  F("host", host), F("port", number), F("tls", (bool)(c->tls_cert_file.n > 0)));
    return e;
}

/* The parts of ADMIN_LISTEN; ret_path is NULL when it is no socket in the file system. */
static int admin_address(struct str address, const char **ret_path, struct str *ret_host,
                         uint16_t *ret_port, struct buf *ret_error)
{
    uint64_t port = 0;
    must(address.p != NULL);
    *ret_path = str_starts(address, S("unix:")) ? address.p + 5 : NULL;
    if (*ret_path != NULL)
        return 0;
    size_t colon = address.n;
    while (colon > 0 && address.p[colon - 1] != ':')
        colon--;
    struct str host = str_slice(address, 0, colon > 0 ? colon - 1 : 0);
    bool loopback =
        str_starts(host, S("127.")) || str_eq(host, S("localhost")) || str_eq(host, S("[::1]"));
    if (!loopback || !listener_host_ok(host) ||
        str_to_u64(str_slice(address, colon, address.n), &port) < 0 || port > 65535) {
        buf_add(ret_error, S("ADMIN_LISTEN: must be unix:/path or a loopback address:port"));
        return -EINVAL;
    }
    *ret_host = host;
    *ret_port = (uint16_t)port;
    return 0;
}

static int open_admin(struct sockets *s, const struct config *c, struct buf *ret_error)
{
    const char *path;
    struct str host;
    uint16_t port;
    int fd, e = admin_address(c->admin_listen, &path, &host, &port, ret_error);
    if (e < 0)
        return e;
    e = path != NULL ? listener_open_unix(path, &fd, ret_error)
                     : listener_open(host, port, &fd, ret_error);
    if (e < 0)
        return e;
    if (path == NULL) {
        s->bound[PORT_ADMIN] = listener_port(fd);
        log_write(LOG_INFO, "listening", F("service", "admin"), F("host", host),
                  F("port", s->bound[PORT_ADMIN]));
    }
    return add(s, PORT_ADMIN, 0, fd);
}

int sockets_check(const struct config *c, struct buf *ret_error)
{
    const char *path;
    struct str host;
    uint16_t port;
    for (int p = PORT_CLAUDE; p < PORT_ADMIN; p++) {
        host = p == PORT_CLAUDE ? c->claude_host : c->codex_host;
        if (has_service(c, (enum service)p) && !listener_host_ok(host)) {
            buf_addf(ret_error, "%s_SERVICE_HOST: not an IP address or \"localhost\"",
                     p == PORT_CLAUDE ? "CLAUDE" : "CODEX");
            return -EINVAL;
        }
    }
    if (str_eq_nocase(c->services, S("both")) && c->claude_port != 0 &&
        c->claude_port == c->codex_port && str_eq_nocase(c->claude_host, c->codex_host)) {
        buf_add(ret_error, S("CODEX_SERVICE_PORT: the claude service has this port already"));
        return -EINVAL;
    }
    if (c->admin_listen.n == 0)
        return 0;
    int e = admin_address(c->admin_listen, &path, &host, &port, ret_error);
    if (e == 0 && path == NULL && str_trim(c->admin_token).n == 0) {
        buf_add(ret_error, S("ADMIN_LISTEN: any user of this machine reaches a TCP port: set "
                             "ADMIN_TOKEN, or listen on unix:/path"));
        e = -EINVAL;
    }
    return e;
}

/* Opens what is missing.  kept: this port's address has not changed. */
static int open_missing(struct sockets *s, const struct config *c, const bool kept[SOCKETS_PORTS],
                        struct buf *ret_error)
{
    int e = 0;
    for (int p = PORT_CLAUDE; p <= PORT_ADMIN && e == 0; p++) {
        wanted_address(c, (enum worker_port)p, s->address[p], sizeof(s->address[p]));
        if (s->address[p][0] == '\0' || s->given[p])
            continue;
        if (p != PORT_ADMIN)
            e = open_service(s, c, (enum worker_port)p, !kept[p], ret_error);
        else if (!kept[p])
            e = open_admin(s, c, ret_error);
    }
    return e;
}

int sockets_open(struct sockets *s, const struct config *c, char *const *environment,
                 struct buf *ret_error)
{
    static const bool none[SOCKETS_PORTS];
    memset(s, 0, sizeof(*s));
    int e = activation_take(environment, c, s, ret_error);
    if (e == 0)
        e = open_missing(s, c, none, ret_error);
    if (e < 0)
        sockets_close(s);
    return e;
}

/* Moves the rows of one port from one set to the other, but for the first `stay` workers'. */
static void move_rows(struct sockets *from, struct sockets *to, enum worker_port port, int stay)
{
    int kept = 0;
    for (int i = 0; i < from->n; i++) {
        if (from->rows[i].port == port && from->rows[i].index >= stay)
            to->rows[to->n++] = from->rows[i];
        else
            from->rows[kept++] = from->rows[i];
    }
    from->n = kept;
}

int sockets_reopen(struct sockets *s, struct sockets *old, const struct config *c,
                   struct buf *ret_error)
{
    bool kept[SOCKETS_PORTS];
    char want[256];
    memset(old, 0, sizeof(*old));
    memcpy(old->address, s->address, sizeof(s->address));
    memcpy(old->bound, s->bound, sizeof(s->bound));
    for (int p = PORT_CLAUDE; p <= PORT_ADMIN; p++) {
        wanted_address(c, (enum worker_port)p, want, sizeof(want));
        kept[p] = s->given[p] || strcmp(want, s->address[p]) == 0;
        old->stayed[p] = kept[p] ? count_rows(s, (enum worker_port)p) : -1;
        if (!kept[p]) {
            move_rows(s, old, (enum worker_port)p, 0);
            s->bound[p] = 0;
        }
    }
    int e = open_missing(s, c, kept, ret_error);
    if (e < 0)
        sockets_restore(s, old);
    return e;
}

void sockets_restore(struct sockets *s, struct sockets *old)
{
    for (int p = PORT_CLAUDE; p <= PORT_ADMIN; p++) {
        int stayed = old->stayed[p];
        struct sockets doomed = { .n = 0 };
        move_rows(s, &doomed, (enum worker_port)p, stayed >= 0 ? stayed : 0);
        sockets_close(&doomed);
        move_rows(old, s, (enum worker_port)p, 0);
    }
    memcpy(s->address, old->address, sizeof(s->address));
    memcpy(s->bound, old->bound, sizeof(s->bound));
}

void sockets_close(struct sockets *s)
{
    for (int i = 0; i < s->n; i++)
        close(s->rows[i].fd);
    s->n = 0;
}

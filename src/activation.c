#include "activation.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listener.h"
#include "log.h"
#include "spawn.h"

enum { FIRST_FD = 3, GIVEN_MAX = 16 };

static const char *const names[SOCKETS_PORTS] = { "claude", "codex", "admin" };

static int option(int fd, int name)
{
    int value = 0;
    socklen_t n = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, name, &value, &n) < 0 ? -1 : value;
}

static enum worker_port port_of(int fd, struct str name, const struct config *c,
                                const struct sockets *s)
{
    for (int p = PORT_CLAUDE; p <= PORT_ADMIN; p++)
        if (str_eq(name, str_of(names[p])))
            return (enum worker_port)p;
    int number = listener_port(fd);
    if (number == 0)
        return PORT_ADMIN;
    if (number == c->claude_port || number == c->codex_port)
        return number == c->claude_port ? PORT_CLAUDE : PORT_CODEX;
    return s->given[PORT_CLAUDE] ? PORT_CODEX : PORT_CLAUDE;
}

static int take(int fd, struct str name, const struct config *c, struct sockets *s,
                struct buf *ret_error)
{
    if (option(fd, SO_TYPE) != SOCK_STREAM || option(fd, SO_ACCEPTCONN) != 1) {
        buf_addf(ret_error, "LISTEN_FDS: fd %d is no listening stream socket", fd);
        return -EINVAL;
    }
    enum worker_port port = port_of(fd, name, c, s);
    if (port == PORT_ADMIN && listener_port(fd) != 0) {
        buf_addf(ret_error, "LISTEN_FDS: fd %d: admin must be a Unix socket", fd);
        return -EINVAL;
    }
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    s->given[port] = true;
    s->rows[s->n++] = (struct socket_row){ port, SOCKETS_SHARED, fd };
    log_write(LOG_INFO, "listening", F("service", names[port]), F("port", listener_port(fd)),
              F("given", (bool)true));
    return 0;
}

int activation_take(char *const *environment, const struct config *c, struct sockets *s,
                    struct buf *ret_error)
{
    uint64_t pid, n;
    struct str rest = spawn_variable(environment, S("LISTEN_FDNAMES")), name;
    if (str_to_u64(spawn_variable(environment, S("LISTEN_PID")), &pid) < 0 ||
        pid != (uint64_t)getpid() ||
        str_to_u64(spawn_variable(environment, S("LISTEN_FDS")), &n) < 0)
        return 0; /* for somebody else, or nobody */
    if (n > GIVEN_MAX) {
        buf_addf(ret_error, "LISTEN_FDS: at most %d sockets", GIVEN_MAX);
        return -EINVAL;
    }
    int e = 0;
    for (int i = 0; i < (int)n && e == 0; i++) {
        if (!str_next(&rest, ':', &name))
            name = S("");
        e = take(FIRST_FD + i, name, c, s, ret_error);
    }
    return e;
}

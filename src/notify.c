#include "notify.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "spawn.h"

/* A path, or the name of an abstract socket behind '@'. */
static int connect_to(struct str name)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    if (name.n == 0 || name.n >= sizeof to.sun_path || (name.p[0] != '/' && name.p[0] != '@'))
        return -1;
    memcpy(to.sun_path, name.p, name.n);
    if (name.p[0] == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name.n);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, length) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

void notify_init(struct notify *n, char *const *environment)
{
    uint64_t usec, pid;
    struct str for_pid = spawn_variable(environment, S("WATCHDOG_PID"));
    bool ours = for_pid.n == 0 || (str_to_u64(for_pid, &pid) == 0 && pid == (uint64_t)getpid());
    *n = (struct notify){ .fd = connect_to(spawn_variable(environment, S("NOTIFY_SOCKET"))) };
    if (n->fd >= 0 && ours &&
        str_to_u64(spawn_variable(environment, S("WATCHDOG_USEC")), &usec) == 0 && usec > 0 &&
        usec < INT64_MAX / 1000)
        n->watchdog_ns = (int64_t)usec * 1000 / 2;
}

static void say(const struct notify *n, const char *text)
{
    if (n->fd >= 0)
        (void)!send(n->fd, text, strlen(text), MSG_NOSIGNAL);
}

void notify_ready(const struct notify *n)
{
    say(n, "READY=1\nSTATUS=serving");
}

void notify_reloading(const struct notify *n)
{
    char text[96];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reloading",
             (long long)(clock_mono_ns() / 1000));
    say(n, text);
}

void notify_stopping(const struct notify *n, int64_t requests_open)
{
    char text[96];
    snprintf(text, sizeof text, "STOPPING=1\nSTATUS=finishing %lld open requests",
             (long long)requests_open);
    say(n, text);
}

void notify_alive(const struct notify *n)
{
    say(n, "WATCHDOG=1");
}

int64_t notify_watchdog_ns(const struct notify *n)
{
    return n->watchdog_ns;
}

void notify_done(struct notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

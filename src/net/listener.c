#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "descriptors.h"
#include "mem.h"

enum {
    BACKLOG = 4096,
    ACCEPTS_PER_TURN = 64,
    NO_FD_PAUSE_MS = 100,
};

struct listener {
    uv_poll_t poll;
    struct loop *loop;
    struct timeout retry; /* armed: out of fds, waiting */
    listener_accept_fn *on_accept;
    void *ctx;
    int fd; /* -1: closed */
    bool paused, reserved;
};

static int parse_address(struct str host, uint16_t port, struct sockaddr_storage *ret,
                         socklen_t *ret_len)
{
    char text[INET6_ADDRSTRLEN];
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = str_slice(host, 1, host.n - 1);
    if (str_eq_nocase(host, S("localhost")))
        host = S("127.0.0.1");
    if (host.n == 0 || host.n >= sizeof(text))
        return -EINVAL;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    memset(ret, 0, sizeof(*ret));
    struct sockaddr_in *in = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        *ret_len = sizeof(*in);
        return 0;
    }
    memset(ret, 0, sizeof(*ret));
    if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        *ret_len = sizeof(*in6);
        return 0;
    }
    return -EINVAL;
}

bool listener_host_ok(struct str host)
{
    struct sockaddr_storage a;
    socklen_t len;
    return parse_address(host, 0, &a, &len) == 0;
}

static int set_flag(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* Not shared: binds only, so that no client ends up in the queue of a mere probe. */
static int bind_tcp(int fd, const struct sockaddr_storage *a, socklen_t len, bool shared)
{
    int e = set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (e == 0 && shared)
        e = set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (e == 0 && a->ss_family == AF_INET6)
        e = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (e == 0 && bind(fd, (const struct sockaddr *)a, len) < 0)
        e = -errno;
    if (e == 0 && shared && listen(fd, BACKLOG) < 0)
        e = -errno;
    return e;
}

static int open_tcp(struct str host, uint16_t port, bool shared, int *ret_fd, struct buf *ret_error)
{
    struct sockaddr_storage a;
    socklen_t len = 0;
    int e = parse_address(host, port, &a, &len);
    if (e < 0) {
        buf_addf(ret_error, "cannot listen on " STR_FMT ": not an IP address or \"localhost\"",
                 STR_ARG(host));
        return e;
    }
    int fd = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    e = fd < 0 ? -errno : bind_tcp(fd, &a, len, shared);
    if (e < 0) {
        buf_addf(ret_error, "cannot listen on " STR_FMT ":%u: %s", STR_ARG(host), port,
                 strerror(-e));
        if (fd >= 0)
            close(fd);
        return e;
    }
    *ret_fd = fd;
    return 0;
}

/* A socket file that nobody listens on is left from a process that died. */
static void remove_stale(const struct sockaddr_un *a)
{
    struct stat st;
    if (lstat(a->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 && errno == ECONNREFUSED)
        unlink(a->sun_path);
    close(fd);
}

int listener_open(struct str host, uint16_t port, int *ret_fd, struct buf *ret_error)
{
    return open_tcp(host, port, true, ret_fd, ret_error);
}

int listener_probe(struct str host, uint16_t port, struct buf *ret_error)
{
    int fd, e = open_tcp(host, port, false, &fd, ret_error);
    if (e == 0)
        close(fd);
    return e;
}

int listener_open_unix(const char *path, int *ret_fd, struct buf *ret_error)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof(a.sun_path)) {
        buf_addf(ret_error, "cannot listen on %s: the path must have 1 to %zu bytes", path,
                 sizeof(a.sun_path) - 1);
        return -ENAMETOOLONG;
    }
    memcpy(a.sun_path, path, n);
    remove_stale(&a);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int e = fd < 0 ? -errno : 0;
    if (e == 0 && bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
        e = -errno;
    /* Nobody can connect before listen(), so the mode is never too wide. */
    if (e == 0 && (chmod(path, 0600) < 0 || listen(fd, BACKLOG) < 0)) {
        e = -errno;
        unlink(path);
    }
    if (e < 0) {
        buf_addf(ret_error, "cannot listen on %s: %s", path, strerror(-e));
        if (fd >= 0)
            close(fd);
        return e;
    }
    *ret_fd = fd;
    return 0;
}

uint16_t listener_port(int fd)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof(a);
    if (getsockname(fd, (struct sockaddr *)&a, &n) < 0)
        return 0;
    if (a.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&a)->sin_port);
    if (a.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&a)->sin6_port);
    return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void update(struct listener *s)
{
    if (s->fd < 0)
        return;
    if (s->paused || timeout_armed(&s->retry))
        must(uv_poll_stop(&s->poll) == 0);
    else
        must(uv_poll_start(&s->poll, UV_READABLE, on_poll) == 0);
}

static void on_retry(void *ctx)
{
    update(ctx);
}

static bool out_of_something(int e)
{
    return e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct listener *s = poll->data;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN && s->fd >= 0 && !s->paused; i++) {
        int fd = s->reserved ? descriptors_accept_reserved(s->fd) : descriptors_accept(s->fd);
        if (fd >= 0) {
            (void)set_flag(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* fails on a unix socket */
            s->on_accept(s->ctx, fd);
        } else if (fd == -EAGAIN) {
            break;
        } else if (out_of_something(-fd)) {
            timeout_set(s->loop, &s->retry, NO_FD_PAUSE_MS * NS_PER_MS);
            update(s);
            return;
        } /* else: one conn that died in the queue */
    }
    if (status < 0)
        update(s); /* libuv has stopped the handle */
}

struct listener *listener_new(struct loop *l, int fd, listener_accept_fn *on_accept, void *ctx)
{
    must(fd >= 0);
    must(on_accept != NULL);
    struct listener *s = mem_new(struct listener);
    s->loop = l;
    s->fd = fd;
    s->on_accept = on_accept;
    s->ctx = ctx;
    timeout_init(&s->retry, on_retry, s);
    must(uv_poll_init(&l->uv, &s->poll, fd) == 0);
    s->poll.data = s;
    update(s);
    return s;
}

void listener_use_reserve(struct listener *s)
{
    s->reserved = true;
}

void listener_pause(struct listener *s)
{
    if (s->paused)
        return;
    s->paused = true;
    update(s);
}

void listener_resume(struct listener *s)
{
    if (!s->paused)
        return; /* said for every conn that ends: epoll need not hear of it */
    s->paused = false;
    update(s);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void listener_free(struct listener *s)
{
    if (s == NULL || s->fd < 0)
        return;
    timeout_clear(s->loop, &s->retry);
    uv_close((uv_handle_t *)&s->poll, on_closed);
    close(s->fd);
    s->fd = -1;
}

/* Unit tests of listening sockets. */
#include "net_unit.h"

#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "listener.c"

struct seen {
    int n;
    struct listener *listener;
    bool free_it, pause_it;
};

static void on_accept(void *ctx, int fd)
{
    struct seen *s = ctx;
    s->n++;
    close(fd);
    if (s->free_it)
        listener_free(s->listener);
    if (s->pause_it)
        listener_pause(s->listener);
}

static int dial(uint16_t port, int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a6.sin6_addr = in6addr_loopback;
    int r = family == AF_INET ? connect(fd, (struct sockaddr *)&a, sizeof(a))
                              : connect(fd, (struct sockaddr *)&a6, sizeof(a6));
    assert_true(r == 0 || errno == EINPROGRESS);
    return fd;
}

static int open_it(struct str host)
{
    struct buf error;
    int fd = -1;
    buf_init(&error, 1000);
    assert_int_equal(listener_open(host, 0, &fd, &error), 0);
    buf_done(&error);
    return fd;
}

/* Goal: conns are accepted; none while paused, all after it; pausing and
 * freeing inside the callback takes effect at once. */
static void test_accept_pause_free(void **state)
{
    (void)state;
    struct rig r;
    struct seen seen = { .n = 0 };
    int fds[4];
    rig_init(&r);
    int fd = open_it(S("localhost"));
    uint16_t port = listener_port(fd);
    seen.listener = listener_new(&r.loop, fd, on_accept, &seen);
    fds[0] = dial(port, AF_INET);
    rig_until(&r, seen.n == 1);
    listener_pause(seen.listener);
    for (int i = 1; i < 4; i++)
        fds[i] = dial(port, AF_INET);
    rig_idle(&r, 10);
    assert_int_equal(seen.n, 1);
    seen.pause_it = true;
    listener_resume(seen.listener);
    rig_until(&r, seen.n == 2);
    rig_idle(&r, 5);
    assert_int_equal(seen.n, 2);
    seen.pause_it = false;
    seen.free_it = true;
    listener_resume(seen.listener);
    rig_until(&r, seen.n == 3);
    rig_idle(&r, 5);
    assert_int_equal(seen.n, 3);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    rig_done(&r);
}

/* Goal: running out of fds pauses accepting, without spinning, and never ends it. */
static void test_out_of_fds(void **state)
{
    (void)state;
    struct rig r;
    struct seen seen = { .n = 0 };
    struct rlimit was, none;
    rig_init(&r);
    int fd = open_it(S("127.0.0.1"));
    seen.listener = listener_new(&r.loop, fd, on_accept, &seen);
    int client = dial(listener_port(fd), AF_INET);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    none = was;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    rig_idle(&r, 20);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_int_equal(seen.n, 0);
    assert_true(timeout_armed(&seen.listener->retry));
    rig_until(&r, seen.n == 1);
    close(client);
    listener_free(seen.listener);
    rig_done(&r);
}

/* Goal: "::" takes IPv4 too. */
static void test_dual_stack(void **state)
{
    (void)state;
    struct rig r;
    struct seen seen = { .n = 0 };
    struct buf error;
    int fd = -1;
    buf_init(&error, 1000);
    if (listener_open(S("[::]"), 0, &fd, &error) < 0) {
        buf_done(&error);
        skip(); /* a kernel without IPv6 */
    }
    buf_done(&error);
    rig_init(&r);
    seen.listener = listener_new(&r.loop, fd, on_accept, &seen);
    int four = dial(listener_port(fd), AF_INET);
    rig_until(&r, seen.n == 1);
    int six = dial(listener_port(fd), AF_INET6);
    rig_until(&r, seen.n == 2);
    close(four);
    close(six);
    listener_free(seen.listener);
    rig_done(&r);
}

/* Goal: errors name the address and the reason. */
static void test_errors(void **state)
{
    (void)state;
    struct buf error;
    int fd = -1;
    buf_init(&error, 1000);
    assert_int_equal(listener_open(S("example.com"), 80, &fd, &error), -EINVAL);
    assert_str(buf_str(&error),
               S("cannot listen on example.com: not an IP address or \"localhost\""));
    buf_clear(&error);
    assert_int_equal(listener_open(S("192.0.2.1"), 0, &fd, &error), -EADDRNOTAVAIL);
    assert_str(buf_str(&error), S("cannot listen on 192.0.2.1:0: Cannot assign requested address"));
    buf_clear(&error);
    assert_int_equal(listener_open_unix("/nonexistent/x", &fd, &error), -ENOENT);
    assert_int_equal(fd, -1);
    buf_done(&error);
}

/* Goal: the socket file has mode 0600; a left-over file is replaced, one in use
 * is not, and neither is a file that is no socket. */
static void test_unix(void **state)
{
    (void)state;
    struct buf error;
    char path[64];
    struct stat st;
    int a = -1;
    int b = -1;
    buf_init(&error, 1000);
    snprintf(path, sizeof(path), "/tmp/ccp_unit_%d.sock", (int)getpid());
    assert_int_equal(listener_open_unix(path, &a, &error), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(listener_open_unix(path, &b, &error), -EADDRINUSE);
    close(a);
    assert_int_equal(listener_open_unix(path, &b, &error), 0);
    close(b);
    unlink(path);
    int plain = open(path, O_CREAT | O_WRONLY, 0600);
    close(plain);
    assert_int_equal(listener_open_unix(path, &b, &error), -EADDRINUSE);
    unlink(path);
    buf_done(&error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept_pause_free),
        cmocka_unit_test(test_out_of_fds),
        cmocka_unit_test(test_dual_stack),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_unix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

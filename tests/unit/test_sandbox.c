/* What a process in the sandbox can do, each attempt in a child of its own.
 * A build with sanitizers has no sandbox. */
#include "unit.h"

#include "sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "must.h"

enum { NO_SANDBOX = 77 };

static uint16_t open_port, other_port; /* both have a listener */
static char folder[] = "/tmp/test_sandbox_XXXXXX";
static char kept_file[64];

static int errno_of(long result)
{
    return result < 0 ? errno : 0;
}

static int connect_to(int family, uint16_t port)
{
    struct sockaddr_in to = { .sin_family = (sa_family_t)family, .sin_port = htons(port) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? errno : errno_of(connect(fd, (struct sockaddr *)&to, sizeof(to)));
}

static int open_errno(const char *path, int flags)
{
    return errno_of(open(path, flags | O_CLOEXEC, 0600));
}

/* --- what is tried: 0 or the errno --- */

static int try_exec(void)
{
    char *args[] = { (char *)(uintptr_t) "true", NULL };
    return errno_of(execv("/bin/true", args));
}

static int try_ptrace(void)
{
    return errno_of(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int try_shadow(void)
{
    return open_errno("/etc/shadow", O_RDONLY);
}

static int try_passwd(void)
{
    return open_errno("/etc/passwd", O_RDONLY);
}

static int try_environ(void)
{
    return open_errno("/proc/self/environ", O_RDONLY);
}

static int try_kept_file(void)
{
    return open_errno(kept_file, O_RDONLY);
}

static int try_write(void)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/new", folder);
    return open_errno(path, O_WRONLY | O_CREAT);
}

static int try_truncate(void)
{
    return open_errno(kept_file, O_WRONLY | O_TRUNC);
}

static int try_unlink(void)
{
    return errno_of(unlink(kept_file));
}

static int try_open_port(void)
{
    return connect_to(AF_INET, open_port);
}

static int try_other_port(void)
{
    return connect_to(AF_INET, other_port);
}

static int try_listen(void)
{
    struct sockaddr_in here = { .sin_family = AF_INET };
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return errno_of(bind(fd, (struct sockaddr *)&here, sizeof(here)));
}

static int try_unix_socket(void)
{
    return errno_of(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int try_packet_socket(void)
{
    return errno_of(socket(AF_PACKET, SOCK_RAW, 0));
}

static int try_fork(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return errno_of(child);
}

static void *nothing(void *arg)
{
    return arg;
}

static int try_thread(void)
{
    pthread_t thread;
    int e = pthread_create(&thread, NULL, nothing, NULL);
    return e != 0 ? e : pthread_join(thread, NULL);
}

static int try_executable_memory(void)
{
    void *p =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? errno : 0;
}

static int try_making_memory_executable(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? 0 : errno_of(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int try_setuid(void)
{
    return errno_of(setuid(1));
}

static int try_kill_parent(void)
{
    return errno_of(kill(getppid(), 0));
}

static int try_limit_of(bool own, int resource)
{
    struct {
        uint64_t now, most;
    } limit = { 100, 100 };
    return errno_of(own ? syscall(SYS_setrlimit, resource, &limit)
                        : syscall(SYS_prlimit64, getppid(), resource, &limit, NULL));
}

static int try_limit(void)
{
    return try_limit_of(true, 4 /* RLIMIT_CORE */);
}

static int try_descriptors(void)
{
    return try_limit_of(true, 7 /* RLIMIT_NOFILE */);
}

static int try_descriptors_of_another(void)
{
    return try_limit_of(false, 7 /* RLIMIT_NOFILE */);
}

static int try_dumpable(void)
{
    return errno_of(prctl(PR_SET_DUMPABLE, 1));
}

static int try_resolver(void)
{
    struct addrinfo *found;
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    if (getaddrinfo("localhost", "80", &hints, &found) != 0)
        return ENOENT;
    freeaddrinfo(found);
    return 0;
}

static const struct attempt {
    const char *what;
    int (*run)(void);
    int want;      /* errno, 0: it works; below 0: the process is ended by this signal */
    bool net_only; /* by Landlock's 4th version */
} attempts[] = {
    { "execve", try_exec, -SIGSYS, false },
    { "ptrace", try_ptrace, -SIGSYS, false },
    { "open /etc/shadow", try_shadow, EACCES, false },
    { "open /etc/passwd", try_passwd, EACCES, false },
    { "open /proc/self/environ", try_environ, EACCES, false },
    { "open a file that was named", try_kept_file, 0, false },
    { "make a file", try_write, EPERM, false },
    { "empty a file", try_truncate, EPERM, false },
    { "delete a file", try_unlink, EPERM, false },
    { "connect to a port that was named", try_open_port, 0, false },
    { "connect to another port", try_other_port, EACCES, true },
    { "listen", try_listen, EACCES, true },
    { "a Unix socket", try_unix_socket, EPERM, false },
    { "a raw socket", try_packet_socket, EPERM, false },
    { "fork", try_fork, EPERM, false },
    { "a thread", try_thread, 0, false },
    { "memory to write and execute", try_executable_memory, EPERM, false },
    { "memory that becomes executable", try_making_memory_executable, EPERM, false },
    { "become another user", try_setuid, EPERM, false },
    { "signal another process", try_kill_parent, EPERM, false },
    { "set a limit", try_limit, EPERM, false },
    { "limit descriptors", try_descriptors, 0, false },
    { "limit another process", try_descriptors_of_another, EPERM, false },
    { "allow core files", try_dumpable, EPERM, false },
    { "look up a name", try_resolver, 0, false },
};

/* In the child: 0 as wanted, NO_SANDBOX, or the errno. */
static int confined(const struct attempt *a)
{
    const char *const readable[] = { kept_file, "/etc/hosts", "/etc/nsswitch.conf", "/no/such" };
    struct sandbox_files rules = { .readable = readable, .readable_n = ARRAY_LEN(readable) };
    rules.ports[rules.ports_n++] = open_port;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return NO_SANDBOX;
    int abi = sandbox_files(&rules), e = sandbox_calls(false, false);
    if (abi < 0 || e < 0 || (a->net_only && abi < 4))
        return NO_SANDBOX;
    return a->run();
}

static int run_in_child(const struct attempt *a, bool sandboxed)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(sandboxed ? confined(a) : a->run());
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void run_attempt(const struct attempt *a)
{
    int status = run_in_child(a, true);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_SANDBOX) {
        print_message("no sandbox here: %s is not tested\n", a->what);
        return;
    }
    int got = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    if (got != a->want)
        fail_msg("%s: %s %d, wanted %d", a->what, got < 0 ? "ended by signal" : "errno", abs(got),
                 a->want);
}

static void each_attempt(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(attempts); i++)
        run_attempt(&attempts[i]);
}

/* Goal: only what the sandbox does makes the attempts fail. */
static void the_same_without_it(void **state)
{
    (void)state;
    static int (*const usual[])(void) = { try_environ,     try_kept_file,   try_write,
                                          try_other_port,  try_listen,      try_fork,
                                          try_unix_socket, try_kill_parent, try_executable_memory };
    for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
        const struct attempt a = { "without a sandbox", usual[i], 0, false };
        assert_int_equal(run_in_child(&a, false), 0);
    }
}

static int listen_somewhere(uint16_t *ret_port)
{
    struct sockaddr_in here = { .sin_family = AF_INET };
    socklen_t n = sizeof(here);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&here, sizeof(here)) == 0 && listen(fd, 64) == 0);
    must(getsockname(fd, (struct sockaddr *)&here, &n) == 0);
    *ret_port = ntohs(here.sin_port);
    return fd;
}

static int sockets[2];

static int setup(void **state)
{
    (void)state;
    sockets[0] = listen_somewhere(&open_port);
    sockets[1] = listen_somewhere(&other_port);
    must(mkdtemp(folder) != NULL);
    snprintf(kept_file, sizeof(kept_file), "%s/kept", folder);
    int fd = open(kept_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    must(fd >= 0);
    close(fd);
    return 0;
}

static int teardown(void **state)
{
    char path[96];
    (void)state;
    snprintf(path, sizeof(path), "%s/new", folder);
    unlink(path);
    unlink(kept_file);
    rmdir(folder);
    close(sockets[0]);
    close(sockets[1]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_attempt),
        cmocka_unit_test(the_same_without_it),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

#include "spawn.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"

static const char *const passed[] = {
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "OPENSSL_CONF",
    "ASAN_OPTIONS",
    "LSAN_OPTIONS",
    "UBSAN_OPTIONS",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LLVM_PROFILE_FILE",
};

enum { PASSED_N = sizeof(passed) / sizeof(passed[0]) };

/* Copies: the originals are in pages that are empty in a child. */
static void choose_environment(char *const *from, char *to[PASSED_N + 1])
{
    int n = 0;
    for (; *from != NULL && n < PASSED_N; from++)
        for (int i = 0; i < PASSED_N; i++) {
            size_t len = strlen(passed[i]);
            if (strncmp(*from, passed[i], len) == 0 && (*from)[len] == '=') {
                to[n++] = mem_strndup(*from, strlen(*from));
                break;
            }
        }
    to[n] = NULL;
}

struct str spawn_variable(char *const *environment, struct str name)
{
    for (; *environment != NULL; environment++) {
        struct str entry = str_of(*environment);
        if (str_starts(entry, name) && entry.n > name.n && entry.p[name.n] == '=')
            return str_slice(entry, name.n + 1, entry.n);
    }
    return S("");
}

struct spawn_program spawn_open(const char *path)
{
    int fd = open(path, O_PATH | O_CLOEXEC), high = -1;
    if (fd >= 0) {
        high = fcntl(fd, F_DUPFD_CLOEXEC, 3 + SPAWN_FDS_MAX);
        close(fd);
    }
    return (struct spawn_program){ path, high };
}

void spawn_close(struct spawn_program *program)
{
    if (program->fd >= 0)
        close(program->fd);
    program->fd = -1;
}

/* The path is better where both are the same: for interpreters, valgrind, and the name that
 * the kernel gives the process. */
static bool is_at_path(const struct spawn_program *program)
{
    struct stat opened, there;
    return program->fd < 0 || fstat(program->fd, &opened) < 0 ||
           (stat(program->path, &there) == 0 && there.st_dev == opened.st_dev &&
            there.st_ino == opened.st_ino);
}

int spawn(uv_loop_t *loop, uv_process_t *process, const struct spawn_program *program,
          char *const *args, const int *fds, int fds_n, char *const *environment,
          uv_exit_cb on_exit)
{
    uv_stdio_container_t stdio[3 + SPAWN_FDS_MAX];
    char opened[32];
    char *env[PASSED_N + 1];
    must(fds_n <= SPAWN_FDS_MAX);
    for (int i = 0; i < 3; i++)
        stdio[i] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = i };
    for (int i = 0; i < fds_n; i++)
        stdio[3 + i] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = fds[i] };
    choose_environment(environment, env);
    snprintf(opened, sizeof(opened), "/proc/self/fd/%d", program->fd);
    uv_process_options_t options = {
        .file = is_at_path(program) ? program->path : opened,
        .args = (char **)args,
        .env = env,
        .stdio = stdio,
        .stdio_count = 3 + fds_n,
        .exit_cb = on_exit,
    };
    int e = uv_spawn(loop, process, &options);
    for (char **each = env; *each != NULL; each++)
        free(*each);
    return e;
}

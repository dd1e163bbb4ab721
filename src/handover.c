#include "handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"
#include "privilege.h"
#include "secret.h"
#include "worker.h"

/* fds of a worker, see spawn.h */
enum { FD_CONFIG = 3, FD_READY = 4, FD_COUNTERS = 5, FD_FIRST_LISTENER = 6 };

int handover_config(const struct config *config)
{
    struct buf bytes;
    int fd = memfd_create("configuration", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    buf_init(&bytes, 16 << 20);
    bytes.wiped = true;
    config_encode(config, &bytes);
    struct str s = buf_str(&bytes);
    int e = write(fd, s.p, s.n) == (ssize_t)s.n ? fd : -EIO;
    buf_done(&bytes);
    if (e < 0)
        close(fd);
    return e;
}

int handover_listeners(const struct sockets *s, const struct config *c, int index, int *fds,
                       struct buf *ports)
{
    static const char *const names[] = { "claude", "codex", "admin" };
    int n = 0;
    for (int i = 0; i < s->n; i++) {
        const struct socket_row *row = &s->rows[i];
        bool shared = row->port == PORT_ADMIN || row->index == SOCKETS_SHARED;
        bool mine = shared || row->index % c->worker_count == index;
        if (row->port != PORT_ADMIN && s->address[row->port][0] == '\0')
            continue; /* given, and no longer wanted */
        if (!mine || n == WORKER_LISTENERS_MAX)
            continue;
        buf_addf(ports, "%s%s", n > 0 ? "," : "", names[row->port]);
        fds[n++] = row->fd;
    }
    return n;
}

/* --- the worker's side --- */

static int read_config(struct config *config)
{
    struct stat st;
    if (fstat(FD_CONFIG, &st) < 0 || st.st_size <= 0)
        return -EINVAL;
    char *text = secret_alloc((size_t)st.st_size);
    ssize_t n = pread(FD_CONFIG, text, (size_t)st.st_size, 0);
    int e = n == st.st_size ? config_decode(config, (struct str){ text, (size_t)n }) : -EIO;
    memset(text, 0, (size_t)st.st_size);
    if (pwrite(FD_CONFIG, text, (size_t)st.st_size, 0) != st.st_size && e == 0)
        e = -EIO; /* its pages must not stay behind */
    secret_free(text);
    close(FD_CONFIG);
    return e;
}

int handover_worker_main(const char *slot, const char *ports)
{
    struct config *config = mem_new(struct config);
    struct worker_settings *w = mem_new(struct worker_settings);
    struct str rest = str_of(ports), part;
    if (read_config(config) < 0)
        return 2;
    privilege_core_files(config->core_dumps);
    if (config->core_dumps)
        mem_hide();
    prctl(PR_SET_NAME, "cc-proxy"); /* else an fd's number, when started from one */
    sockets_log_settings(config);
    *w = (struct worker_settings){ .config = config,
                                   .counters_fd = FD_COUNTERS,
                                   .slot = (int)strtol(slot, NULL, 10),
                                   .ready_fd = FD_READY };
    must(w->slot >= 0 && w->slot < COUNTERS_SLOTS_MAX);
    while (str_next(&rest, ',', &part) && w->listeners_n < WORKER_LISTENERS_MAX) {
        enum worker_port port = str_eq(part, S("claude"))  ? PORT_CLAUDE
                                : str_eq(part, S("codex")) ? PORT_CODEX
                                                           : PORT_ADMIN;
        w->listeners[w->listeners_n] =
            (struct worker_listener){ .port = port, .fd = FD_FIRST_LISTENER + w->listeners_n };
        w->listeners_n++;
    }
    int code = worker_run(w);
    config_done(config);
    free(config);
    free(w);
    return code;
}

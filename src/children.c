#include "children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "handover.h"
#include "log.h"
#include "mem.h"

enum { LEAVE_GRACE_S = 5 };

static int free_slot(const struct children *cs)
{
    for (int i = 0; i < COUNTERS_SLOTS_MAX; i++)
        if (!cs->slot_used[i])
            return i;
    return -1;
}

static void child_handle_closed(uv_handle_t *handle)
{
    struct child *c = handle->data;
    if (--c->handles == 0)
        free(c);
}

static void stop_waiting(struct child *c)
{
    if (c->ready_fd < 0)
        return;
    uv_poll_stop(&c->ready_poll);
    uv_close((uv_handle_t *)&c->ready_poll, child_handle_closed);
    close(c->ready_fd);
    c->ready_fd = -1;
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
    struct child *c = handle->data;
    char byte;
    (void)status;
    (void)events;
    bool served = read(c->ready_fd, &byte, 1) == 1;
    stop_waiting(c);
    if (!served || c->state != CHILD_STARTING)
        return; /* its exit follows */
    c->state = CHILD_SERVING;
    c->children->on_serving(c->children->ctx);
}

static void on_exit_(uv_process_t *process, int64_t status, int signal)
{
    struct child *c = process->data;
    struct children *cs = c->children;
    cs->slot_used[c->slot] = false;
    counters_end(&cs->slots[c->slot]);
    list_remove(&c->link);
    stop_waiting(c);
    uv_close((uv_handle_t *)process, child_handle_closed);
    if (c->state != CHILD_LEAVING)
        log_write(LOG_ERROR, "worker_died", F("worker", c->index), F("exit_status", status),
                  F("signal", signal));
    cs->on_gone(cs->ctx, c);
}

static struct child *child_new(struct children *cs, const struct config *config, int index,
                               int slot, int generation, int ready_fd)
{
    struct child *c = mem_new(struct child);
    *c = (struct child){ .start_limit_ns = config->worker_start_ms * NS_PER_MS,
                         .drain_limit_ns = config->drain_timeout_ms * NS_PER_MS,
                         .stall_limit_s = (int)((config->worker_stall_ms + 999) / 1000),
                         .ready_fd = ready_fd,
                         .index = index,
                         .slot = slot,
                         .generation = generation,
                         .started_ns = clock_mono_ns(),
                         .children = cs,
                         .handles = 2 };
    c->process.data = c->ready_poll.data = c;
    return c;
}

int children_start(struct children *cs, const struct spawn_program *program,
                   const struct config *config, const struct sockets *sockets, int index,
                   int generation)
{
    int fds[SPAWN_FDS_MAX], pipe_fds[2], slot = free_slot(cs);
    int settings_fd = handover_config(config);
    if (settings_fd < 0)
        return settings_fd;
    if (slot < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0) {
        close(settings_fd);
        return -EMFILE;
    }
    struct child *c = child_new(cs, config, index, slot, generation, pipe_fds[0]);
    struct buf ports;
    char slot_text[16];
    buf_init(&ports, 4096);
    fds[0] = settings_fd;
    fds[1] = pipe_fds[1];
    fds[2] = cs->counters_fd;
    int n = HANDOVER_FDS_BEFORE_LISTENERS;
    n += handover_listeners(sockets, config, index, fds + n, &ports);
    buf_add_byte(&ports, '\0');
    snprintf(slot_text, sizeof(slot_text), "%d", slot);
    char *args[] = { (char *)(uintptr_t)program->path, "worker", slot_text, ports.p, NULL };
    int e = spawn(cs->loop, &c->process, program, args, fds, n, cs->environment, on_exit_);
    uv_poll_init(cs->loop, &c->ready_poll, c->ready_fd);
    uv_poll_start(&c->ready_poll, UV_READABLE | UV_DISCONNECT, on_ready);
    close(pipe_fds[1]);
    close(settings_fd);
    buf_done(&ports);
    if (e < 0) {
        log_write(LOG_ERROR, "worker_start_failed", F("error", uv_strerror(e)));
        stop_waiting(c);
        uv_close((uv_handle_t *)&c->process, child_handle_closed);
        return e;
    }
    cs->slot_used[slot] = true;
    list_append(&cs->list, &c->link);
    return 0;
}

void children_leave(struct children *cs, int signal, int first, int last)
{
    list_each (it, tmp, &cs->list) {
        struct child *c = list_entry(it, struct child, link);
        if (c->generation < first || c->generation > last)
            continue;
        bool drains = signal == SIGTERM && c->state != CHILD_STARTING;
        int64_t by_ns =
            clock_mono_ns() + (drains ? c->drain_limit_ns : 0) + LEAVE_GRACE_S * NS_PER_S;
        if (c->leave_by_ns == 0 || by_ns < c->leave_by_ns)
            c->leave_by_ns = by_ns;
        c->state = CHILD_LEAVING;
        uv_process_kill(&c->process, signal);
    }
}

/* The loop of a worker that serves turns at least once a second.  Counted in checks, so that
 * a stop of all processes together is held against none. */
static bool is_stalled(struct child *c)
{
    int64_t turns = c->children->slots[c->slot].turns;
    c->still_s = turns == c->turns_seen ? c->still_s + 1 : 0;
    c->turns_seen = turns;
    return c->stall_limit_s > 0 && c->still_s > c->stall_limit_s;
}

static const char *overdue(struct child *c)
{
    int64_t now = clock_mono_ns();
    if (c->state == CHILD_STARTING)
        return now > c->started_ns + c->start_limit_ns ? "it did not start in time" : NULL;
    if (c->state == CHILD_LEAVING && now > c->leave_by_ns)
        return "it did not leave in time";
    return is_stalled(c) ? "its loop has stopped turning" : NULL;
}

void children_check(struct children *cs)
{
    list_each (it, tmp, &cs->list) {
        struct child *c = list_entry(it, struct child, link);
        const char *reason = c->killed ? NULL : overdue(c);
        if (reason == NULL)
            continue;
        c->killed = true;
        log_write(LOG_ERROR, "worker_killed", F("worker", c->index),
                  F("pid", (int64_t)c->process.pid), F("reason", reason));
        uv_process_kill(&c->process, SIGKILL);
    }
}

int64_t children_requests(const struct children *cs)
{
    int64_t open = 0;
    list_each (it, tmp, &cs->list)
        open += counters_requests_open(&cs->slots[list_entry(it, struct child, link)->slot]);
    return open;
}

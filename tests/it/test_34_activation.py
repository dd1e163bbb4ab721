"""Sockets from the service manager (sd_listen_fds(3)); what processes inherit; clocks that jump."""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
from proxy import BINARY, PATIENCE, SANITIZED, environment, until
from test_11_process import LOCAL, QUIET, STOP, post
from test_31_workers import streams
from test_33_reload import metrics
from wire import Client

START_WITH = """
n=3
for fd in $FDS; do eval "exec $n<&$fd $fd<&-"; n=$((n+1)); done
export LISTEN_PID=${PID:-$$} LISTEN_FDS=$COUNT
exec "$@"
"""


@contextlib.contextmanager
def activated(sockets, *args, names=None, pid="", **settings):
    """The program with these sockets as fd 3, 4, ..."""
    fds = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 50 + i) for i, s in enumerate(sockets)]
    env = {"FDS": " ".join(map(str, fds)), "COUNT": str(len(fds)), "PID": pid}
    if names:
        env["LISTEN_FDNAMES"] = names
    for name, value in settings.items():
        args += ("--set", f"{name}={value}")
    p = subprocess.Popen(["bash", "-c", START_WITH, "start", BINARY, "serve", "--quiet", *QUIET,
                          *LOCAL, *args], pass_fds=fds, env=environment(env),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for fd in fds:
        os.close(fd)
    threading.Thread(target=p.stdout.read, daemon=True).start()
    try:
        yield p
        if p.poll() is None:
            p.send_signal(signal.SIGTERM)
            assert p.wait(PATIENCE) == 0
    finally:
        p.kill()
        p.wait()


def service(port):
    with Client(port) as c:
        return c.request("GET", "/health").json()["service"]


def children(p):
    with open(f"/proc/{p.pid}/task/{p.pid}/children") as f:
        return f.read().split()


@pytest.mark.parametrize("by", ["name", "port", "order"])
def test_given_sockets_are_served(sim, tmp_path, by):
    """By all workers, and through a reload; they replace our own."""
    with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("127.0.0.1", 0)) as b, \
            socket.socket(socket.AF_UNIX) as admin:
        admin.bind(str(tmp_path / "admin"))
        admin.listen()
        claude, codex = a.getsockname()[1], b.getsockname()[1]
        given, names, ports = [a, b, admin], None, {}
        if by == "name":
            given, names = [admin, b, a], "admin:codex:claude"
        elif by == "port":
            given = [b, a, admin]
            ports = {"CLAUDE_SERVICE_PORT": claude, "CODEX_SERVICE_PORT": codex}
        with activated(given, names=names, ANTHROPIC_BASE_URL=sim.url, WORKERS="3", **ports) as p:
            for _ in range(3):
                assert service(claude) == "claude-service" and service(codex) == "codex-service"
                old = children(p)
                p.send_signal(signal.SIGHUP)
                until(lambda: len(children(p)) == 3 and not set(old) & set(children(p)))  # noqa: B023
            for _ in range(20):
                assert post(claude).status == 200
            assert metrics(tmp_path / "admin")["requests_total"] >= 20


def test_a_client_that_was_early_is_served(sim):
    """It had connected before the program ran: that is what such sockets are for."""
    with socket.create_server(("127.0.0.1", 0)) as a:
        with Client(a.getsockname()[1]) as early:
            early.send_request("GET", "/health")
            with activated([a], SERVICES="claude", ANTHROPIC_BASE_URL=sim.url):
                assert early.head().status == 200


@pytest.mark.parametrize("what", ["no socket", "not listening", "admin on TCP"])
def test_wrong_fds_are_refused(what):
    with open("/dev/null") as null, socket.socket() as deaf, \
            socket.create_server(("127.0.0.1", 0)) as tcp:
        given = {"no socket": null, "not listening": deaf, "admin on TCP": tcp}[what]
        with activated([given], names="admin" if "admin" in what else "x") as p:
            assert p.wait(PATIENCE) == 2
            assert b"LISTEN_FDS: fd 3" in p.stderr.read()


def test_sockets_for_another_process_are_left_alone(sim):
    with socket.create_server(("127.0.0.1", 0)) as a, \
            activated([a], pid="1", SERVICES="claude", CLAUDE_SERVICE_PORT="0",
                      ANTHROPIC_BASE_URL=sim.url) as p:
        until(lambda: children(p))
        a.settimeout(1)
        with socket.create_connection(a.getsockname()):
            assert a.accept()


# --- what processes inherit ---

def test_workers_inherit_only_what_they_need(raw):
    """Neither what the starter left open, nor other clients' sockets, nor a zombie."""
    reader, writer = os.pipe()
    leaked = fcntl.fcntl(writer, fcntl.F_DUPFD, 60)
    os.set_inheritable(leaked, True)
    name = os.readlink(f"/proc/self/fd/{leaked}")
    process = subprocess.Popen
    try:
        subprocess.Popen = lambda *a, **k: process(*a, **k | {"pass_fds": [leaked]})
        with streams(raw[1], 3, WORKERS="2") as (p, clients, go):
            assert name in fds(p.process.pid)
            p.kill(signal.SIGHUP)
            p.wait_log("reload_complete")
            young = p.workers()[-2:]
            for pid in young:
                open_ = fds(pid)
                assert name not in open_
                assert sum(x.startswith("socket:") for x in open_) == 1, open_  # its listener
                assert not any("configuration" in x for x in open_), open_
                assert len(open_) < 20, open_
            go.set()
            assert [c.body() for c in clients] == [STOP] * 3
            until(lambda: p.workers() == young)
            for pid in p.workers():
                with open(f"/proc/{pid}/stat") as f:
                    assert " Z " not in f.read()
    finally:
        subprocess.Popen = process
        for fd in (reader, writer, leaked):
            os.close(fd)


def fds(pid):
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return found


# --- clocks ---

SHIM = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile long *shift;
__attribute__((constructor)) static void begin(void)
{
    int fd = open(SHIFT_FILE, O_RDONLY | O_CLOEXEC);
    shift = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
}
int clock_gettime(clockid_t id, struct timespec *t)
{
    int e = (int)syscall(SYS_clock_gettime, id, t);
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
        t->tv_sec += *shift;
    return e;
}
int gettimeofday(struct timeval *t, void *zone)
{
    struct timespec s;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &s);
    t->tv_sec = s.tv_sec;
    t->tv_usec = s.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *to)
{
    struct timespec s;
    clock_gettime(CLOCK_REALTIME, &s);
    if (to)
        *to = s.tv_sec;
    return s.tv_sec;
}
"""


@pytest.mark.parametrize("days", [1, -1])
@pytest.mark.row("5: clock jump")
def test_clock_jumps(raw, tmp_path, days):
    """All time-outs are on the monotonic clock: none comes early, none comes late."""
    if SANITIZED or not shutil.which("gcc"):
        pytest.skip("needs gcc, and a binary without sanitizers")
    source, library, shift = (tmp_path / n for n in ("shim.c", "shim.so", "shift"))
    source.write_text(SHIM)
    shift.write_bytes(bytes(8))
    subprocess.run(["gcc", "-shared", "-fPIC", f'-DSHIFT_FILE="{shift}"', "-o", library, source],
                   check=True)
    with streams(raw[1], 5, WORKERS="2", env={"LD_PRELOAD": str(library)},
                 STREAM_PING_SECONDS="1", STREAM_IDLE_SECONDS="4") as (p, clients, go):
        with Client(p.claude_port) as idle:
            assert idle.request("GET", "/health").status == 200
            seen = len(p.lines)
            with open(shift, "r+b") as f:
                f.write((days * 86400).to_bytes(8, "little", signed=True))
            assert post(p.claude_port).status == 200
            done = p.wait_log("request_done", since=seen, path="/v1/messages")
            assert done["timestamp"][:10] == time.strftime(
                "%Y-%m-%d", time.gmtime(time.time() + days * 86400))  # it has jumped
            time.sleep(1.5)
            assert idle.request("GET", "/health").status == 200  # the same connection
            go.set()
            for c in clients:
                assert c.body().endswith(STOP)
            assert p.workers() and not p.log(event="worker_killed")

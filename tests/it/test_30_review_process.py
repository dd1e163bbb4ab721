"""Found by a second reading: signals, reload and start."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from proxy import BINARY, Proxy, environment, run, until
from wire import Client

def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class FileProxy(Proxy):
    """Its ports and worker number come from a file, so that a reload can change them."""

    def __init__(self, directory, binary=BINARY, **settings):
        self.env = directory / "env"
        claude, codex = free_ports(2)
        self.settings = {"CLAUDE_SERVICE_HOST": "127.0.0.1", "CODEX_SERVICE_HOST": "127.0.0.1",
                         "CLAUDE_SERVICE_PORT": claude, "CODEX_SERVICE_PORT": codex,
                         "WORKERS": "1", "DRAIN_TIMEOUT": "3"} | settings
        self.write({})
        self.process = subprocess.Popen([binary, "serve", "--quiet", "--env-file", self.env],
                                        env=environment(), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines, self.stderr, self.deaths_expected = [], b"", False
        self.changed = threading.Condition()
        self.threads = [threading.Thread(target=f, daemon=True)
                        for f in (self._read_log, self._read_stderr)]
        for t in self.threads:
            t.start()
        self.wait_ready()

    def write(self, changes):
        all_ = self.settings | changes
        self.env.write_text("".join(f"{n}={v}\n" for n, v in all_.items()))

    def reload(self, **changes):
        self.write(changes)
        self.kill(signal.SIGHUP)


def healthy(port):
    with Client(port, timeout=3) as c:
        return c.request("GET", "/health").status == 200


def test_a_hangup_of_the_whole_group_ends_no_worker():
    """`pkill -HUP cc-proxy` and a closed terminal reach the workers too."""
    with Proxy() as p:
        for pid in p.workers():
            os.kill(pid, signal.SIGHUP)
        assert healthy(p.claude_port)
        time.sleep(0.2)
        assert not p.log(event="worker_died")


def test_failed_reload_of_both_ports_keeps_both(tmp_path):
    """The first new port is taken: the second service's sockets must not get lost."""
    with FileProxy(tmp_path) as p, socket.create_server(("127.0.0.1", 0)) as taken:
        p.deaths_expected = True
        p.reload(CLAUDE_SERVICE_PORT=taken.getsockname()[1], CODEX_SERVICE_PORT=free_ports(1)[0])
        p.wait_log("reload_failed")
        for pid in p.workers():
            os.kill(pid, signal.SIGKILL)
        p.wait_log("worker_died")
        until(lambda: len(p.workers()) == 1)
        assert healthy(p.claude_port) and healthy(p.codex_port)


def test_failed_reload_with_more_workers_leaves_no_deaf_socket(tmp_path):
    """Workers that did not start must not leave sockets that take connections."""
    binary, broken = tmp_path / "cc-proxy", tmp_path / "broken"
    shutil.copy(BINARY, binary)
    shutil.copy("/bin/false", broken)
    with FileProxy(tmp_path, binary=binary) as p:
        p.deaths_expected = True
        broken.rename(binary)
        p.reload(WORKERS="8")
        p.wait_log("reload_failed")
        time.sleep(0.3)  # the new sockets are closed just after this line
        for _ in range(40):
            assert healthy(p.claude_port)


def test_reload_from_many_workers_to_one(tmp_path):
    """The one worker serves every socket that is left."""
    with FileProxy(tmp_path, WORKERS="40") as p:
        p.reload(WORKERS="1")
        p.wait_log("reload_complete")
        until(lambda: len(p.workers()) == 1)
        for _ in range(60):
            assert healthy(p.claude_port) and healthy(p.codex_port)


def test_a_new_worker_that_dies_while_others_start_is_replaced(tmp_path):
    with FileProxy(tmp_path) as p:
        p.deaths_expected = True
        seen = len(p.lines)
        p.reload(WORKERS="12")
        os.kill(p.wait_log("claude_service_starting", since=seen)["pid"], signal.SIGKILL)
        until(lambda: p.log(event="reload_complete") or p.log(event="reload_failed"))
        if p.log(event="reload_complete"):  # else it was killed too early for this test
            until(lambda: len(p.workers()) == 12)


def test_a_reload_asked_for_during_one_that_fails_is_done(tmp_path):
    binary, good, broken = (tmp_path / n for n in ("cc-proxy", "good", "broken"))
    shutil.copy(BINARY, binary)
    shutil.copy(BINARY, good)
    started = tmp_path / "started"
    broken.write_text(f"#!/bin/sh\ntouch {started}\nsleep 1\nexit 1\n")
    broken.chmod(0o755)
    with FileProxy(tmp_path, binary=binary) as p:
        p.deaths_expected = True
        broken.rename(binary)
        p.reload()
        until(started.exists)
        good.rename(binary)
        p.kill(signal.SIGHUP)
        p.wait_log("reload_failed")
        p.wait_log("reload_complete")


@pytest.mark.parametrize("ruin", ["garbage", "another program", "gone", "wrong rights"])
@pytest.mark.row("5: upgrade", "5: worker crash")
def test_a_worker_is_replaced_although_the_file_on_disk_is_bad(tmp_path, ruin):
    """The reload to it is refused, and what served before is what a crashed worker becomes."""
    binary, new = tmp_path / "cc-proxy", tmp_path / "new"
    shutil.copy(BINARY, binary)
    with FileProxy(tmp_path, binary=binary, WORKERS="2") as p:
        p.deaths_expected = True
        held = Path(f"/proc/{p.process.pid}/fd")
        fds = min((time.sleep(0.02), len(list(held.iterdir())))[1] for _ in range(10))
        for n in range(2):  # a reload that went well in between: what it started from counts
            inode = binary.stat().st_ino
            if ruin == "another program":
                shutil.copy("/bin/false", new)
            else:
                new.write_bytes(b"\x7fELF garbage" * 100)
                new.chmod(0o644 if ruin == "wrong rights" else 0o755)
            if ruin == "gone":
                binary.unlink()
            else:
                new.rename(binary)
            seen = len(p.lines)
            p.kill(signal.SIGHUP)
            p.wait_log("reload_failed", since=seen)
            until(lambda: len(p.workers()) == 2)
            for pid in p.workers():
                os.kill(pid, signal.SIGKILL)
                until(lambda pid=pid: len(p.workers()) == 2 and pid not in p.workers())
            assert healthy(p.claude_port)
            for pid in p.workers():
                assert os.stat(f"/proc/{pid}/exe").st_ino == inode
                until(lambda pid=pid: Path(f"/proc/{pid}/comm").read_text() == "cc-proxy\n")
            if n == 0:
                shutil.copy(BINARY, new)
                new.rename(binary)
                p.kill(signal.SIGHUP)
                p.wait_reload()
        until(lambda: len(list(held.iterdir())) == fds)


def test_a_taken_port_ends_with_2_and_leaks_nothing():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "--quiet", "--env-file", "/dev/null", "--set",
                   "CLAUDE_SERVICE_HOST=127.0.0.1", "--set", f"CLAUDE_SERVICE_PORT={port}")
    assert done.returncode == 2 and "Sanitizer" not in done.stderr, done.stderr


def test_a_server_key_is_not_open_through_the_other_service():
    """Both services serve both protocols: the codex port spends the claude key too."""
    key = ["--set", "ANTHROPIC_API_KEY=server-secret-key", "--env-file", "/dev/null", "--set",
           "CORS_ALLOW_ORIGINS="]
    for more in (["CLAUDE_SERVICE_HOST=127.0.0.1"],  # codex: everywhere
                 ["SERVICES=codex"]):
        done = run("check", *key, *(x for s in more for x in ("--set", s)))
        assert done.returncode == 2 and "CODEX" in done.stderr.upper(), done.stderr


def test_the_simulator_ends_with_who_started_it():
    """Even when that was killed."""
    with Proxy("--simulator") as p:
        children = Path(f"/proc/{p.process.pid}/task/{p.process.pid}/children").read_text().split()
        assert len(children) == 2
        p.kill(signal.SIGKILL)
        until(lambda: not any(map(alive, children)))
        p.stop(check=False)
        p.stop = lambda check: None


def alive(pid):
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False

"""The log cannot be written: requests are unaffected, drops are counted (reliability.md 5)."""

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import subprocess

import pytest
from proxy import BINARY, environment, until
from test_11_process import BODY, KEY, LOCAL, QUIET, free_port, listens
from wire import Client

LONG = BODY | {"model": "m" * 4000}  # it stands in several lines of each request


class Server:
    """As proxy.Proxy, but nobody reads its log."""

    def __init__(self, sim, stdout, directory):
        self.port, self.admin = free_port(), f"{directory}/admin"
        self.stderr_path = directory / "stderr"
        args = [x for s in (f"CLAUDE_SERVICE_PORT={self.port}", "WORKERS=1", "SERVICES=claude",
                            f"ANTHROPIC_BASE_URL={sim.url}", f"ADMIN_LISTEN=unix:{self.admin}")
                for x in ("--set", s)]
        with open(self.stderr_path, "wb") as stderr:
            self.process = subprocess.Popen([BINARY, "serve", "--quiet", *QUIET, *LOCAL, *args],
                                            env=environment(), stdout=stdout, stderr=stderr)
        until(lambda: listens(self.port))

    def metric(self, name):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(self.admin)
            s.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
        return int(re.search(rf"^ccproxy_{name} (\d+)$", text, re.M)[1])

    def requests(self, n):
        with Client(self.port) as c:
            for _ in range(n):
                assert c.request("POST", "/v1/messages", KEY, json=LONG).status == 200

    def worker(self):
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return f.read().split()

    def complaints(self):
        return self.stderr_path.read_text().splitlines()

    def drops(self):
        """Makes it drop lines; its own count of them."""
        return until(lambda: (self.requests(50), self.metric("log_lines_dropped_total"))[1])


@contextlib.contextmanager
def server(*args):
    s = Server(*args)
    try:
        yield s
        s.process.send_signal(signal.SIGTERM)
        assert s.process.wait(20) == 0
    finally:
        s.process.kill()
        s.process.wait()


@pytest.mark.row("5: disk full")
def test_reader_stops(sim, tmp_path):
    """Also the supervisor goes on: it can reload while its stdout is full."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(reader, "rb") as log, server(sim, writer, tmp_path) as s:
        os.close(writer)
        dropped = s.drops()
        for _ in range(2):
            old = s.worker()
            s.process.send_signal(signal.SIGHUP)
            until(lambda: s.worker() and not set(old) & set(s.worker()))
            s.requests(3)
        assert s.metric("log_lines_dropped_total") >= dropped, "a new worker has lost the count"
        until(s.complaints)
        assert len(s.complaints()) == 1 and re.search(r"log could not take \d+ lines",
                                                      s.complaints()[0])
        fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, 1 << 20)
        events = {}
        while "request_done" not in events or "reload_complete" not in events:
            try:
                line = json.loads(log.readline())
            except ValueError:
                continue  # a long one may be torn, or mixed with another's
            events[line["event"]] = line
        os.set_blocking(log.fileno(), False)

        def lines_again():
            s.requests(1)
            read = log.read() or b""
            return b'"request_done"' in read
        until(lines_again)


@pytest.mark.row("5: disk full")
def test_disk_full(sim, tmp_path):
    with open("/dev/full", "w") as full, server(sim, full, tmp_path) as s:
        s.requests(5)
        until(lambda: s.metric("log_lines_dropped_total") > 10)
        until(s.complaints)
        assert len(s.complaints()) == 1
        s.requests(5)


@pytest.fixture
def small_disk(tmp_path):
    directory = tmp_path / "disk"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", directory]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a file system of limited size needs root")
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


@pytest.mark.row("5: disk full")
def test_disk_full_then_not(sim, tmp_path, small_disk):
    """The log resumes when there is room again, with whole lines and the count of the lost ones."""
    path = small_disk / "log"
    with open(path, "ab") as log, server(sim, log, tmp_path) as s:
        s.drops()
        os.truncate(path, 0)
        until(lambda: (s.requests(1), b'"log_lines_dropped"' in path.read_bytes())[1])
        assert s.metric("log_lines_dropped_total") > 0
    for line in path.read_bytes().split(b"\n")[1:-1]:
        json.loads(line)

"""Starts the program under test and reads its log."""

import base64
import http.client
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from signal import SIGTERM

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("CC_PROXY") or str(ROOT / "build/release/cc-proxy")
SANITIZER = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "MemorySanitizer")
SANITIZED = b"__asan_init" in Path(BINARY).read_bytes()
FULL = os.environ.get("CC_PROXY_FULL", "")  # "1": what takes minutes, too; "hour": or an hour
# Sanitizers make everything slower: waits are for events, and this only bounds failures.
PATIENCE = 20


def environment(extra=None):
    """Nothing of the caller's settings (HTTPS_PROXY, keys ...) may reach the program."""
    env = {n: v for n, v in os.environ.items() if n in ("PATH", "HOME", "LANG", "TZ")}
    env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "detect_leaks=1")
    env["UBSAN_OPTIONS"] = os.environ.get("UBSAN_OPTIONS", "print_stacktrace=1")
    return env | (extra or {})


def run(*args, env=None, cwd=None, timeout=30):
    return subprocess.run([BINARY, *args], env=environment(env), cwd=cwd, timeout=timeout,
                          capture_output=True, text=True, check=False)


def until(condition, timeout=PATIENCE):
    """Waits for what no event tells of; gives the condition's value."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return value


def free_port():
    """For servers whose log does not say it."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Proxy:
    """`cc-proxy serve` on ephemeral ports. Settings are keyword arguments."""

    def __init__(self, *args, env=None, cwd=None, env_file="/dev/null", wait=True, **settings):
        defaults = {
            "CLAUDE_SERVICE_HOST": "127.0.0.1", "CODEX_SERVICE_HOST": "127.0.0.1",
            "CLAUDE_SERVICE_PORT": "0", "CODEX_SERVICE_PORT": "0",
            "WORKERS": "1", "DRAIN_TIMEOUT": "3",
            # upstreams of most tests speak everything; test_15 and others say otherwise
            "ANTHROPIC_PROTOCOLS": "messages, chat, responses",
            "OPENAI_PROTOCOLS": "responses, chat, messages",
        }
        self.settings = defaults | {n: str(v) for n, v in settings.items()}
        command = [BINARY, "serve", "--quiet"]
        if env_file:
            command += ["--env-file", str(env_file)]
        for name, value in self.settings.items():
            command += ["--set", f"{name}={value}"]
        self.process = subprocess.Popen(command + list(args), env=environment(env), cwd=cwd,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.lines = []
        self.stderr = b""
        self.changed = threading.Condition()
        self.deaths_expected = False
        self.threads = [threading.Thread(target=f, daemon=True)
                        for f in (self._read_log, self._read_stderr)]
        for t in self.threads:
            t.start()
        if wait:
            self.wait_ready()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.stop(check=kind is None)

    def _read_log(self):
        for raw in self.process.stdout:
            try:
                line = json.loads(raw)
            except ValueError:
                line = {"event": "not json", "raw": raw.decode("utf-8", "replace")}
            with self.changed:
                self.lines.append(line)
                self.changed.notify_all()
        with self.changed:
            self.lines.append({"event": "log closed"})
            self.changed.notify_all()

    def _read_stderr(self):
        self.stderr = self.process.stderr.read()

    def wait_log(self, event, since=0, timeout=PATIENCE, **fields):
        """The first line of this event with these fields."""
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                for line in self.lines[since:]:
                    if line["event"] == event and all(line.get(n) == v for n, v in fields.items()):
                        return line
                closed = self.lines and self.lines[-1]["event"] == "log closed"
                left = end - time.monotonic()
                if closed or left <= 0:
                    break
                self.changed.wait(left)
        tail = "\n".join(map(str, self.lines[since:][-15:]))
        raise AssertionError(f"no log line {event} {fields}; the last ones:\n{tail}\n"
                             f"{self.stderr.decode('utf-8', 'replace')}")

    def done(self, reply):
        """The line that ends this reply's request."""
        request_id = reply.h("request-id") or reply.h("x-request-id")
        return self.wait_log("request_done", request_id=request_id)

    def finished(self, count, **fields):
        """The lines of requests that are done, at least so many: a line comes after its reply."""
        end = time.monotonic() + PATIENCE
        with self.changed:
            while True:
                done = self.log(event="request_done", **fields)
                left = end - time.monotonic()
                if len(done) >= count:
                    return done
                assert left > 0, (count, fields, self.lines[-15:])
                self.changed.wait(left)

    def log(self, **fields):
        with self.changed:
            return [x for x in self.lines if all(x.get(n) == v for n, v in fields.items())]

    def wait_ready(self):
        wanted = [s for s in ("claude", "codex")
                  if self.settings.get("SERVICES", "both") in ("both", s)]
        for service in wanted:
            line = self.wait_log("listening", service=service)
            setattr(self, f"{service}_port", line["port"])
            self.tls = line["tls"]
        workers = int(self.settings["WORKERS"]) if self.settings["WORKERS"] else 4
        for service in wanted:
            for n in range(workers):
                end = time.monotonic() + PATIENCE
                while len(self.log(event=f"{service}_service_starting")) <= n:
                    if self.process.poll() is not None or time.monotonic() > end:
                        raise AssertionError(f"did not start: {self.stderr!r} {self.lines}")
                    with self.changed:
                        self.changed.wait(0.1)

    def wait_reload(self, since=0):
        """Until the new workers serve and the old ones, which have nothing to finish, are gone."""
        self.wait_log("reload_complete", since)
        until(lambda: len(self.workers()) == int(self.settings["WORKERS"]))

    def metrics(self):
        """The numbers of /metrics by name, labels included (ADMIN_LISTEN=unix:...)."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(self.settings["ADMIN_LISTEN"].removeprefix("unix:"))
            s.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            text = b"".join(iter(lambda: s.recv(1 << 16), b"")).decode().partition("\r\n\r\n")[2]
        return {n: float(v) for n, v in (line.rsplit(" ", 1) for line in text.splitlines()
                                         if line and line[0] != "#")}

    def refused(self):
        """How often for which reason, of those that were."""
        return {n.split('"')[1]: int(v) for n, v in self.metrics().items()
                if n.startswith("ccproxy_refused_total") and v}

    def workers(self):
        """The processes that serve, in order of their start."""
        pid = self.process.pid
        found = []
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            try:
                if Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[1:2] == [b"worker"]:
                    found.append(int(child))
            except OSError:
                pass  # it has just ended
        return found

    def worker_kib(self):
        """Resident memory of the workers that is not shared."""
        total = 0
        for pid in self.workers():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    total += int(line.split()[1])
        return total

    def kill(self, number):
        self.process.send_signal(number)

    def stop(self, check=True, number=SIGTERM, code=0):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            got = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            got = self.process.wait()
        for t in self.threads:
            t.join(PATIENCE)
        if check:
            errors = self.stderr.decode("utf-8", "replace")
            assert not any(word in errors for word in SANITIZER), errors
            assert got == code, (got, errors, self.lines[-10:])
            assert self.deaths_expected or not self.log(event="worker_died"), errors
            assert not self.log(event="not json")
        return got


class Simulator:
    """`cc-proxy mock`, and what it has recorded."""

    def __init__(self, *args, tls=None, ca=None):
        reader, writer = os.pipe()
        command = [BINARY, "mock", "--port", "0", "--ready-fd", str(writer), "--quiet", *args]
        if tls:
            command += ["--tls-cert", tls[0], "--tls-key", tls[1]]
        self.tls, self.ca = tls, ca
        self.process = subprocess.Popen(command, env=environment(), pass_fds=[writer],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        os.close(writer)
        with os.fdopen(reader) as f:
            self.port = int(f.readline())
        self.url = f"http{'s' if tls else ''}://localhost:{self.port}"

    def records(self, last=0):
        if self.tls:
            context = ssl.create_default_context(cafile=self.ca)
            c = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=20)
        else:
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            c.request("GET", f"/requests?last={last}")
            return [Record(r) for r in json.load(c.getresponse())]
        finally:
            c.close()

    def record(self, tag):
        """The request that carried `x-test-id: tag`."""
        found = [r for r in self.records() if r.h("x-test-id") == tag]
        assert len(found) == 1, f"{len(found)} requests with this tag"
        return found[0]

    def wait_cancelled(self, tag, timeout=5.0):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for r in self.records():
                if r.h("x-test-id") == tag and r["cancelled"]:
                    return
            time.sleep(0.02)
        raise AssertionError("the simulator did not see the request cancelled")

    def stop(self):
        self.process.send_signal(SIGTERM)
        _, errors = self.process.communicate(timeout=PATIENCE)
        errors = errors.decode("utf-8", "replace")
        assert not any(word in errors for word in SANITIZER), errors
        assert self.process.returncode == 0, errors


class Record(dict):
    def h(self, name):
        values = [v for n, v in self["headers"] if n == name.lower()]
        return ", ".join(values) if values else None

    def names(self):
        return [n for n, _ in self["headers"]]

    @property
    def body(self):
        return base64.b64decode(self["body_base64"])

    def json(self):
        return json.loads(self.body)

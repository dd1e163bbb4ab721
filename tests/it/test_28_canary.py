"""One canary key of each kind, through every path: none may come out anywhere.

reliability.md section 7, last row, and section 8. Where a search finds nothing, a control shows
that it would have found something.
"""

import concurrent.futures
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from proxy import BINARY, FULL, SANITIZED, Proxy, free_port, listens, until
from upstream import Upstream
from wire import Client

CLIENT = "sk-client-canary-5d1c9a"
SERVER = "sk-server-canary-77e0b4"
FURTHER = "sk-further-canary-01aa9f"  # an upstream's of CONFIG_FILE
TUNNEL = "tunnel-canary-c0ffee11"  # the password of an outbound proxy
SECRET = "session-canary-8a8a8a8a"
UNSET = "sk-unset-canary-4f4f4f4f"  # in the environment, but no setting
PROMPT = "prompt-canary-6e6e6e"
CANARIES = (CLIENT, SERVER, FURTHER, TUNNEL, SECRET, UNSET)
BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def found_in(text):
    """The canaries in this text; a piece of one counts."""
    if isinstance(text, str):
        text = text.encode()
    return [x for x in CANARIES if x[:14].encode() in text]


# --- memory ---

def memory(pid):
    """(name, whether a core file would have it, bytes) of each readable mapping."""
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            if m := re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+ *(.*)", line):
                start, end, rights, name = int(m[1], 16), int(m[2], 16), m[3], m[4]
            elif line.startswith("VmFlags:") and rights[0] == "r" and name[:2] != "[v":
                mem.seek(start)
                yield name, "dd" not in line.split(), mem.read(end - start)


def in_memory(pid, text):
    return [(name, dumped) for name, dumped, data in memory(pid) if text.encode() in data]


@contextlib.contextmanager
def two_keys(sim, **settings):
    """Claude with the client's key, codex with the server's."""
    with Proxy(ANTHROPIC_BASE_URL=sim.url, OPENAI_BASE_URL=sim.url, CORS_ALLOW_ORIGINS="",
               env={"OPENAI_API_KEY": SERVER, "SESSION_SECRET": SECRET, "SOME_KEY": UNSET},
               **settings) as p:
        yield p


@pytest.mark.skipif(SANITIZED, reason="sanitizers keep freed memory for a while")
@pytest.mark.skipif(os.geteuid() != 0, reason="reads the memory of other processes")
@pytest.mark.row("7: one canary key", "8: keys at rest")
def test_keys_in_memory(sim):
    """The client's only while its request runs, ours in pages that no core file has."""
    with two_keys(sim) as p:
        for stream in (True, False, True):
            with Client(p.claude_port) as c:
                for key in ({"x-api-key": CLIENT}, {"authorization": f"Bearer {CLIENT}"}):
                    assert c.request("POST", "/v1/messages", key,
                                     json=BODY | {"stream": stream}).status == 200
            with Client(p.codex_port) as c:
                assert c.request("POST", "/v1/responses", {"authorization": f"Bearer {CLIENT}"},
                                 json={"model": "m", "input": "hi"}).status == 200
        with Client(p.claude_port) as c:  # its bytes lie over those of the last request
            assert c.request("GET", "/health").status == 200
        [worker] = p.workers()
        for pid in (worker, p.process.pid):
            places = in_memory(pid, SERVER)
            assert places and not any(dumped for _, dumped in places), places
            for text in (CLIENT, SECRET, UNSET):
                assert not [x for x in in_memory(pid, text) if x[1]], text
        assert in_memory(worker, "cc-proxy")  # this search does find texts


# --- everything that comes out ---

class Tunnel:
    """An outbound proxy that says no, and says why with what it was told."""

    def __init__(self):
        self.seen = []
        self.upstream = Upstream()
        self.upstream.on_accept = self._refuse
        self.port, self.close = self.upstream.port, self.upstream.close

    def _refuse(self, conn):
        _, _, headers = conn.read_head()
        self.seen.append(dict(headers))
        conn.send(b"HTTP/1.1 407 No\r\ncontent-length: 22\r\n\r\n" + TUNNEL.encode()[:22])
        conn.close()


def quote(c, r):
    """An upstream that tells everybody what it was sent."""
    text = json.dumps({"error": {"type": "x", "message": f"bad key {r.headers}"}}).encode()
    c.reply(401, [("location", "http://127.0.0.1:1/"), ("x-key", str(r.h("authorization")))], text)


def redirect(c, r):
    c.reply(307, [("location", "http://127.0.0.1:1/v1/messages")], b"{}")


CONFIG = """
upstreams:
  quotes: {{base_url: "{quotes}", protocol: chat, key: {key}}}
  closed: {{base_url: "http://127.0.0.1:1", protocol: chat, key: {key}}}
  tunnel: {{base_url: "https://upstream.test", protocol: chat, key: {key},
            proxy: "http://user:{tunnel}@127.0.0.1:{port}"}}
  strict: {{base_url: "{quotes}", protocol: messages, key: {key}}}
services:
  codex:
    routes:
      - {{model: "quotes*", upstream: quotes}}
      - {{model: "closed*", upstream: closed}}
      - {{model: "tunnel*", upstream: tunnel}}
      - {{model: "strict*", upstream: strict}}
"""

MESSAGES, CHAT, RESPONSES = "/v1/messages", "/v1/chat/completions", "/v1/responses"
INPUT = {"model": "m", "input": "hi"}
KEY = {"x-api-key": CLIENT}
BEARER = {"authorization": f"Bearer {CLIENT}"}


def fault(name):
    return KEY | {"x-mock-fault": name}


# what, service, method, target, headers, options of the request
PATHS = [
    ("ok", "claude", "POST", MESSAGES, KEY, {"json": BODY}),
    ("stream", "claude", "POST", MESSAGES, KEY, {"json": BODY | {"stream": True}}),
    ("with the server's key", "codex", "POST", RESPONSES, BEARER, {"json": INPUT}),
    ("bare key", "claude", "POST", MESSAGES, {"authorization": CLIENT}, {"json": BODY}),
    ("converted", "claude", "POST", CHAT, BEARER, {"json": BODY}),
    ("converted stream", "codex", "POST", MESSAGES, KEY, {"json": BODY | {"stream": True}}),
    *((name, "claude", "POST", MESSAGES, fault(name), {"json": BODY | {"stream": stream}})
      for name in ("status-401", "status-404", "status-429", "status-529", "cut", "cut-clean",
                   "reset", "reset-early", "invalid-json", "error-event", "flood-headers")
      for stream in (True, False)),
    *((f"converted, {name}", "codex", "POST", MESSAGES, fault(name),
       {"json": BODY | {"stream": True}}) for name in ("cut", "invalid-json", "error-event")),
    ("upstream quotes the keys", "codex", "POST", CHAT, BEARER, {"json": BODY | {"model": "quotes"}}),
    ("the same, converted", "codex", "POST", MESSAGES, KEY, {"json": BODY | {"model": "quotes"}}),
    ("unreachable", "codex", "POST", CHAT, BEARER, {"json": BODY | {"model": "closed"}}),
    ("outbound proxy refuses", "codex", "POST", CHAT, BEARER, {"json": BODY | {"model": "tunnel"}}),
    ("strict", "codex", "POST", CHAT, BEARER | {"x-cc-proxy-strict": "1"},
     {"json": BODY | {"model": "strict", "logprobs": True, "n": 3}}),
    ("key in the body", "claude", "POST", MESSAGES, KEY, {"json": BODY | {"metadata": {"k": CLIENT}}}),
    ("key in the query", "claude", "GET", f"/v2/files?key={CLIENT}", KEY, {}),
    ("unknown path", "claude", "GET", "/nope", KEY, {}),
    ("wrong method", "claude", "GET", MESSAGES, KEY, {}),
    ("not JSON", "claude", "POST", MESSAGES, KEY, {"body": b"{"}),
    ("no object", "claude", "POST", MESSAGES, KEY, {"body": b"[]"}),
    ("the key twice", "claude", "POST", MESSAGES, {"x-api-key": [CLIENT, CLIENT]}, {"body": b"{}"}),
    ("key in a bad header", "claude", "GET", "/", {f"x {CLIENT}": "y"}, {}),
    ("an unknown coding", "claude", "POST", MESSAGES, KEY | {"content-encoding": "rot13"},
     {"body": b"{}"}),
    ("websocket", "codex", "GET", RESPONSES, BEARER | {"upgrade": "websocket", "connection": "upgrade"}, {}),
    ("models", "claude", "GET", "/v1/models", KEY, {}),
    ("preflight", "claude", "OPTIONS", MESSAGES,
     {"origin": "http://x", "access-control-request-method": "POST",
      "access-control-request-headers": "x-api-key"}, {}),
    *((target, "codex", "GET", target, BEARER, {}) for target in ("/", "/health", "/v1", "/adapters")),
    ("wrong key", "claude", "POST", MESSAGES, {"x-api-key": "sk-wrong"}, {"json": BODY}),
]
IN_BODIES = ("upstream quotes the keys", "the same, converted", "key in the body")
QUOTED = ("upstream quotes the keys", "the same, converted")  # its own words reach the client


def take_all_paths(p, but=()):
    """(what, everything the client got) for each path."""
    for what, service, method, target, headers, options in PATHS:
        if what in but:
            continue
        with Client(getattr(p, f"{service}_port"), timeout=20) as c:
            try:
                reply = c.request(method, target, headers, **options)
                got = f"{reply.status} {reply.headers}".encode() + reply.body
            except Exception as e:  # a cut reply: what came of it
                got = repr(e).encode()
        yield what, got


def metrics(path):
    done = subprocess.run(["curl", "-sS", "--unix-socket", path, "http://x/metrics"],
                          capture_output=True, timeout=20, check=True)
    assert b"ccproxy_requests_total" in done.stdout
    return done.stdout


def processes(p):
    pid = p.process.pid
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(x) for x in found)]


@contextlib.contextmanager
def everything_configured(sim, tmp_path, **settings):
    hostile, tunnel = Upstream(), Tunnel()
    hostile.script = quote
    config = tmp_path / "upstreams.yaml"
    config.write_text(CONFIG.format(quotes=hostile.url, key=FURTHER, tunnel=TUNNEL,
                                    port=tunnel.port))
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    defaults = {
        "ANTHROPIC_BASE_URL": sim.url, "OPENAI_BASE_URL": sim.url, "CORS_ALLOW_ORIGINS": "",
        "CONFIG_FILE": config, "LOG_LEVEL": "DEBUG", "ADMIN_LISTEN": f"unix:{tmp_path}/admin",
        "CODEX_DUMP_REQUESTS": "true", "CODEX_DUMP_DIR": dumps, "PROXY_API_KEYS": f"a, {CLIENT}",
        "ANTHROPIC_PROTOCOLS": "messages", "OPENAI_PROTOCOLS": "responses",
        "HTTP_TIMEOUT": "5",
    }
    env = {"OPENAI_API_KEY": SERVER, "SESSION_SECRET": SECRET, "SOME_KEY": UNSET}
    with Proxy(env=env, cwd=tmp_path, **(defaults | settings)) as p:
        yield p
    assert len(tunnel.seen) > 0
    assert found_in(str([r.headers for r in hostile.requests])) in ([FURTHER], [])
    hostile.close()
    tunnel.close()


@pytest.mark.parametrize("where", ["production", "test"])
@pytest.mark.row("7: one canary key", "8: keys at rest", "8: logs")
def test_no_key_comes_out(sim, tmp_path, where):
    """Replies, log, metrics, dumps, /proc; before and after a reload, and while it drains."""
    with everything_configured(sim, tmp_path, ENVIRONMENT=where) as p:
        for what, got in take_all_paths(p):
            assert what in QUOTED or not found_in(got), (what, got)
            assert SERVER.encode() not in got and TUNNEL.encode()[:10] not in got, what
        assert not found_in(metrics(f"{tmp_path}/admin"))
        p.kill(signal.SIGHUP)
        p.wait_reload()
        for what, got in list(take_all_paths(p))[:8]:
            assert not found_in(got), what
        for pid in processes(p):
            for name in ("environ", "cmdline", "status", "maps"):
                assert not found_in(Path(f"/proc/{pid}/{name}").read_bytes()), (pid, name)
        with Client(p.claude_port) as c:
            c.send_request("POST", MESSAGES, fault("stall"), json=BODY | {"stream": True})
            assert c.head().status == 200
            p.stop()
    log = "\n".join(map(json.dumps, p.lines))
    assert not found_in(log) and not found_in(p.stderr)
    assert "request_done" in log and "bad key" in log  # the quoting upstream's words are there
    files = list((tmp_path / "dumps").iterdir())
    assert len(files) > 5
    for path in files:
        assert not found_in(path.read_bytes()), path
    assert any(b'"***"' in path.read_bytes() for path in files)


# --- core files ---

def core_of(folder, pid):
    """The core file there, once the kernel has written it."""
    for name in ("core", f"core.{pid}"):
        if (folder / name).exists():
            return folder / name
    return None


@pytest.mark.skipif(SANITIZED, reason="sanitizers take SIGABRT, and have no such pages")
@pytest.mark.skipif(os.geteuid() != 0, reason="reads a core file that root owns")
@pytest.mark.row("7: one canary key", "8: core dumps", "8: keys at rest", "8: privacy")
def test_neither_key_nor_body_is_in_a_core_file(sim, tmp_path):
    """Core files are allowed, and a worker aborts: after all paths and in the middle of a stream.

    Nor is a body; of keys that are in bodies there is none either."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    if pattern[0] in "|/":
        pytest.skip(f"this kernel sends core files elsewhere: {pattern}")
    with everything_configured(sim, tmp_path, CORE_DUMPS="true") as p:
        p.deaths_expected = True
        assert list(take_all_paths(p))
        with Client(p.claude_port) as c, Client(p.codex_port) as d, contextlib.ExitStack() as more:
            c.send_request("POST", MESSAGES, fault("stall"), json=BODY | {"stream": True})
            d.send_request("POST", RESPONSES, BEARER | {"x-mock-fault": "stall"},
                           json=INPUT | {"stream": True})
            assert c.head().status == 200 and d.head().status == 200
            [worker] = p.workers()
            for word in (PROMPT, "words that push it out of the processor's registers"):
                long = f"{word} " * 300_000
                e, f = (more.enter_context(Client(p.codex_port)) for _ in range(2))
                e.send_request("POST", MESSAGES, fault("stall"),  # converted: several copies
                               json=BODY | {"system": long, "stream": True})
                assert e.head().status == 200
                f.send_request("POST", MESSAGES, KEY, body=long.encode(), length=len(long) + 1)
                until(lambda: in_memory(worker, long[-999:]))  # noqa: B023
            assert in_memory(worker, PROMPT)
            time.sleep(1.2)  # the heap may have grown far: that is seen once a second
            assert in_memory(worker, CLIENT)  # the streams' own
            os.kill(worker, signal.SIGABRT)
            p.wait_log("worker_died")
        core = until(lambda: core_of(tmp_path, worker))
        until(lambda: len(p.workers()) == 1)
    data = core.read_bytes()
    assert b"cc-proxy" in data and b"claude,codex" in data  # stack and variables are there
    assert not found_in(data) and PROMPT.encode() not in data
    if shutil.which("gdb"):
        done = subprocess.run(["gdb", "-batch", "-ex", "bt", BINARY, str(core)], timeout=60,
                              capture_output=True, text=True, check=False)
        assert "worker_run" in done.stdout, done
    core.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="reads a core file that root owns")
@pytest.mark.row("8: core dumps")
def test_no_core_file_by_default(sim, tmp_path):
    with Proxy(ANTHROPIC_BASE_URL=sim.url, cwd=tmp_path) as p:
        p.deaths_expected = True
        [worker] = p.workers()
        os.kill(worker, signal.SIGABRT)
        p.wait_log("worker_died")
        until(lambda: p.workers() not in ([], [worker]))
    assert not core_of(tmp_path, worker)


# --- one request's text in another's reply ---

MIXED = 20_000 if not SANITIZED else 4_000
SENDERS = 4
MARK = re.compile(rb"mark-\d+-x")


def mixed_request(n, mark):
    """(method, target, headers, options, whether the reply has the mark)"""
    text = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": mark}]}
    key = {"x-api-key": f"sk-{mark}"}
    return (
        ("GET", f"/v1/files?after={mark}", key, {}, True),
        ("POST", MESSAGES, key, {"json": text}, False),
        ("POST", MESSAGES, key, {"json": text | {"stream": True}}, False),
        ("POST", MESSAGES, key, {"body": f'{{"{mark}"'.encode()}, False),
        ("POST", CHAT, key, {"json": text}, False),
        ("GET", f"/v1/files?after={mark}", key | {"x-note": "n" * (n % 3000)}, {}, True),
        ("GET", f"/{mark}", key, {}, False),
        ("POST", MESSAGES, {}, {"json": text}, False),
        ("POST", MESSAGES, key | {"x-mock-fault": "status-429"}, {"json": text}, False),
        ("POST", MESSAGES, key, {"json": text | {"system": "s" * (n % 5000)}}, False),
    )[n % 10]


def send_mixed(port, numbers):
    """Requests of these numbers; what is wrong with their replies."""
    wrong, c = [], None
    for n in numbers:
        c = c or Client(port, timeout=60)
        mark = f"mark-{n}-x"
        method, target, headers, options, echoed = mixed_request(n, mark)
        reply = c.request(method, target, headers, **options)
        marks = set(MARK.findall(reply.body + str(reply.headers).encode()))
        if marks - {mark.encode()} or (echoed and not marks):
            wrong.append((n, marks))
        if reply.h("connection") == "close":
            c = c.close()
    return wrong


@pytest.mark.parametrize("count", [MIXED, pytest.param(10**6, marks=[
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not FULL, reason="CC_PROXY_FULL=1: two minutes")])])
@pytest.mark.row("8: memory")
def test_no_text_of_one_request_in_the_reply_to_another(sim, count):
    """Keys, prompts and paths, on connections and memory that many requests use in turn."""
    with Proxy(ANTHROPIC_BASE_URL=sim.url, ANTHROPIC_PROTOCOLS="messages", SERVICES="claude",
               LOG_LEVEL="ERROR", CLAUDE_SERVICE_PORT=free_port(), wait=False) as p:
        port = int(p.settings["CLAUDE_SERVICE_PORT"])
        until(lambda: listens(port))
        with concurrent.futures.ProcessPoolExecutor(SENDERS) as pool:
            found = pool.map(send_mixed, [port] * SENDERS,
                             [range(i, count, SENDERS) for i in range(SENDERS)])
            wrong = [w for part in found for w in part]
        assert not wrong, wrong[:5]

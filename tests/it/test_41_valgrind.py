"""The program under valgrind, in all nine pairs, with errors and cancels: no error, no leak.

Takes a minute or more, so only `tools/valgrind` runs it (CC_PROXY_VALGRIND: a folder for reports).
"""

import itertools
import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import proxy
import pytest
from wire import Client, events

REPORTS = os.environ.get("CC_PROXY_VALGRIND", "")
pytestmark = [
    pytest.mark.skipif(not REPORTS, reason="only tools/valgrind runs it"),
    pytest.mark.skipif(not shutil.which("valgrind"), reason="no valgrind"),
    pytest.mark.timeout(900),
]

TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}
TEXT = "hello \U0001f600 mock:tool mock:parallel please"
PROTOCOLS = ("messages", "chat", "responses")
ASKS = {
    "messages": ("claude", "/v1/messages", lambda model, stream: {
        "model": model, "max_tokens": 2000, "stream": stream, "thinking": {"type": "adaptive"},
        "tools": [{"name": "weather", "input_schema": TOOL}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": TEXT}]}]}),
    "chat": ("codex", "/v1/chat/completions", lambda model, stream: {
        "model": model, "stream": stream, "reasoning_effort": "high",
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": TOOL}}],
        "messages": [{"role": "user", "content": TEXT}]}),
    "responses": ("codex", "/v1/responses", lambda model, stream: {
        "model": model, "stream": stream, "reasoning": {"effort": "high", "summary": "auto"},
        "tools": [{"type": "function", "name": "weather", "parameters": TOOL}],
        "input": [{"role": "user", "content": TEXT}]}),
}
KEY = {"authorization": "Bearer sk-a"}
FAULTS = ("status-429", "status-503", "cut", "cut-clean", "reset", "reset-early", "invalid-json",
          "error-event", "one-byte", "crlf", "gzip", "no-blank-end", "flood-headers",
          "huge-event-1")
PATIENCE = 120


@pytest.fixture(scope="module")
def wrapped():
    """A program that runs the one under test, and the processes it starts, under valgrind."""
    reports = Path(REPORTS).resolve()
    reports.mkdir(parents=True, exist_ok=True)
    for old in reports.glob("*.log"):
        old.unlink()
    script = reports / "cc-proxy"
    script.write_text("#!/bin/sh\nexec valgrind --trace-children=yes --error-exitcode=99 "
                      "--leak-check=full --errors-for-leak-kinds=definite --num-callers=20 "
                      "--show-leak-kinds=definite --track-fds=no "
                      f"--log-file={reports}/%p.log {Path(proxy.BINARY).resolve()} \"$@\"\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


@pytest.fixture(scope="module")
def served(wrapped, certificates, tmp_path_factory):
    folder = tmp_path_factory.mktemp("valgrind")
    plain, http2 = proxy.Simulator(), proxy.Simulator(tls=certificates.pair, ca=certificates.ca)
    upstreams = "".join(
        f"  {name}-{p}:\n    base_url: {sim.url}{'' if p == 'messages' else '/v1'}\n"
        f"    protocol: {p}\n{ca}"
        for name, sim, ca in (("h1", plain, ""),
                              ("h2", http2, f"    ca_file: {certificates.ca}\n"))
        for p in PROTOCOLS)
    routes = "".join(f"      - {{ model: \"{name}-{p}*\", upstream: {name}-{p} }}\n"
                     for name in ("h1", "h2") for p in PROTOCOLS)
    (folder / "c.yaml").write_text(f"upstreams:\n{upstreams}services:\n"
                                   f"  claude:\n    routes:\n{routes}"
                                   f"  codex:\n    routes:\n{routes}")
    patient, binary, proxy.PATIENCE = proxy.PATIENCE, proxy.BINARY, PATIENCE
    proxy.BINARY = str(wrapped)
    try:
        with proxy.Proxy(ANTHROPIC_BASE_URL=plain.url, OPENAI_BASE_URL=plain.url + "/v1",
                         CONFIG_FILE=folder / "c.yaml", SANDBOX="off", LOG_LEVEL="DEBUG",
                         WORKER_START_TIMEOUT="90", WORKER_STALL_TIMEOUT="90", HTTP_TIMEOUT="60",
                         CODEX_DUMP_REQUESTS="true", CODEX_DUMP_DIR=folder,
                         STREAM_PING_SECONDS="0.5") as p:
            yield p
    finally:
        proxy.BINARY, proxy.PATIENCE = binary, patient
        plain.stop()
        http2.stop()


def every_ask():
    return itertools.product(ASKS, ("h1", "h2"), PROTOCOLS, (False, True))


def over_http1(p):
    for client, version, upstream, stream in every_ask():
        service, path, body = ASKS[client]
        with Client(getattr(p, f"{service}_port"), timeout=PATIENCE) as c:
            reply = c.request("POST", path, KEY, json=body(f"{version}-{upstream}", stream))
            assert reply.status == 200, (client, version, upstream, reply.body)
            assert b"weather" in reply.body
            if stream:
                assert "error" not in [name for name, _ in events(reply.body)]


def curl(p, service, path, body, *more):
    return subprocess.run(
        ["curl", "-sS", "--noproxy", "*", "--http2-prior-knowledge", "--max-time", str(PATIENCE),
         "-H", "authorization: Bearer sk-a", "-H", "content-type: application/json", "-d", "@-",
         *more, f"http://127.0.0.1:{getattr(p, f'{service}_port')}{path}"],
        input=json.dumps(body).encode(), capture_output=True, check=False)


def over_http2(p):
    for client, version, upstream, stream in every_ask():
        service, path, body = ASKS[client]
        done = curl(p, service, path, body(f"{version}-{upstream}", stream))
        assert done.returncode == 0 and b"weather" in done.stdout, (client, version, upstream, done)


def with_faults(p):
    """Whatever comes back; nothing may be read that is not there, and nothing left."""
    for fault, client, upstream in itertools.product(FAULTS, ASKS, PROTOCOLS):
        service, path, body = ASKS[client]
        model = f"{'h2' if client == 'chat' else 'h1'}-{upstream}:mock:{fault}"
        with Client(getattr(p, f"{service}_port"), timeout=PATIENCE) as c:
            c.send_request("POST", path, KEY, json=body(model, True))
            c.head()
            try:
                c.body()
            except Exception:  # noqa: BLE001  a broken body is what was asked for
                pass


def refused(p):
    port = p.claude_port
    bad = (b"GET / HTTP/1.1\n\n", b"GET / HTTP/1.1\r\nhost: h\r\nx: " + b"y" * 9000 + b"\r\n\r\n",
           b"POST /v1/messages HTTP/1.1\r\nhost: h\r\nx-api-key: k\r\ntransfer-encoding: chunked\r\n"
           b"\r\nzz\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64, b"\x16\x03\x01" * 30)
    for raw in bad:
        with Client(port, timeout=PATIENCE) as c:
            c.send(raw)
            while c.sock.recv(65536):
                pass
    service, path, body = ASKS["messages"]
    for headers, text, status in (({}, b"{}", 401), (KEY, b"{", 400), (KEY, b"[]", 400),
                                  (KEY, b'{"model":"h1-chat","messages":[{"role":1}]}', 400)):
        with Client(port, timeout=PATIENCE) as c:
            assert c.request("POST", path, headers, text).status == status
    for target in ("/", "/health", "/v1/models", "/adapters", "/../x", "/%00"):
        with Client(port, timeout=PATIENCE) as c:
            c.request("GET", target, KEY)
    with Client(port, timeout=PATIENCE) as c:  # gone in the middle
        c.send_request("POST", path, KEY, json=body("h1-chat:mock:stall", True))
        c.head()
        c.reset()


@pytest.mark.row("8: sanitizers", lacks="MSan; the analysers: make lint")
def test_no_error_and_no_leak(served):
    over_http1(served)
    over_http2(served)
    with_faults(served)
    refused(served)
    served.stop()
    logs = {path.name: path.read_text() for path in Path(REPORTS).glob("*.log")}
    totals = [re.findall(r"ERROR SUMMARY: (\d+) errors", text) for text in logs.values()]
    assert len(logs) >= 2, "the supervisor and a worker"
    for name, text in logs.items():
        assert re.findall(r"ERROR SUMMARY: (\d+) errors", text)[-1:] == ["0"], (name, text[-6000:])
        assert "definitely lost: 0 bytes" in text or "no leaks are possible" in text, name
    print(f"{len(logs)} processes, errors: {totals}")

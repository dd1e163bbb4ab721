"""reliability.md section 5: faults of connections, and who is told what.

"fault before first byte", "upstream stalls", "malformed SSE or JSON event", "invalid UTF-8, split
UTF-8", "client disconnect", "upstream TLS failure", "429/529/503 storm", "retry duplication",
"fd exhaustion", "ephemeral ports or backlog exhausted".  More of them: test_06, 07, 08, 12, 25."""

import resource
import socket
import ssl
import statistics
import subprocess
import threading
import time
from pathlib import Path

import grammar
import pytest
from proxy import SANITIZED, Proxy, until
from relay import NO_FAULT, Fault, Relay, close_all
from test_17_convert_streams import (BODIES, KEY, PATHS, PROTOCOLS, begin, delta, event, finish,
                                     only)
from upstream import Upstream, serve_each
from wire import Client

PAIRS = [(up, client) for up in PROTOCOLS for client in PROTOCOLS]


@pytest.fixture(scope="module")
def fronts():
    """fronts(protocol) -> (proxy, relay, upstream); limits are short."""
    up = Upstream()
    relay = Relay(up.port)
    made = {}

    def of(protocol):
        if protocol not in made:
            made[protocol] = only(relay, protocol, STREAM_PING_SECONDS="0.3", HTTP_TIMEOUT="1",
                                  STREAM_IDLE_SECONDS="1.5", STREAM_OPEN_SECONDS="0")
        relay.back = relay.forth = NO_FAULT
        relay.end_all("close")
        up.forget()
        return made[protocol], relay, up
    yield of
    close_all(made.values(), relay, up)


def send(c, protocol, headers=None, **more):
    c.send_request("POST", PATHS[protocol], KEY | (headers or {}), json=BODIES[protocol] | more)


def ask(proxy, protocol, headers=None, **more):
    with Client(proxy.codex_port) as c:
        send(c, protocol, headers, **more)
        reply = c.head()
        reply.body = c.body()
        return reply


def hello_and_silence(conn, upstream):
    conn.stream_head()
    conn.chunk(begin(upstream) + delta(upstream, "Hello"))
    conn.wait_closed(10)


# --- mid-stream: how soon, and once ---

@pytest.mark.parametrize("upstream,client", PAIRS)
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.row("5: upstream RST or FIN mid-stream")
def test_the_error_event_comes_at_once(fronts, upstream, client, how):
    """50 ms after the fault at the latest (the median of 20); one request each, no replay."""
    proxy, relay, up = fronts(upstream)
    up.script = lambda c, r: hello_and_silence(c, upstream)
    took = []
    for _ in range(20):
        with Client(proxy.codex_port) as c:
            send(c, client, {"idempotency-key": "i-1"}, stream=True)
            c.head()
            c.until(b"Hello")
            c.until(b"\n\n")
            cut = time.monotonic()
            relay.end_all(how)
            assert b"error" in c.body()
            took.append(time.monotonic() - cut)
    assert len(up.requests) == 20
    assert statistics.median(took) < (0.5 if SANITIZED else 0.05)


@pytest.mark.row("5: fault before first byte", "5: retry duplication")
def test_a_retry_keeps_the_idempotency_key(fronts):
    """A pooled connection dies under the request: the same bytes once more, on a new one."""
    proxy, relay, up = fronts("messages")
    up.script = lambda c, r: c.reply(body=b"{}")
    assert ask(proxy, "messages").status == 200
    up.script = lambda c, r: c.reset() if r.number > 1 else c.reply(body=b"{}")
    reply = ask(proxy, "messages", {"idempotency-key": "i-7"})
    assert reply.status == 200 and proxy.done(reply)["attempts"] == 2
    first, second = up.requests[-2:]
    assert first.h("idempotency-key") == second.h("idempotency-key") == "i-7"
    assert first.body == second.body


# --- stalls ---

@pytest.mark.parametrize("upstream,client", PAIRS)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.row("5: upstream stalls")
def test_stall_before_the_head_is_504(fronts, upstream, client, stream):
    proxy, relay, up = fronts(upstream)
    relay.back = Fault(after=0, how="stall")
    up.script = lambda c, r: c.reply(body=b"{}")
    reply = ask(proxy, client, stream=stream)
    assert reply.status == 504 and reply.json()["error"]["message"]
    assert len(up.requests) == 1


@pytest.mark.parametrize("upstream,client", PAIRS)
@pytest.mark.row("5: upstream stalls")
def test_stall_between_events_has_keep_alives_then_an_error(fronts, upstream, client):
    proxy, relay, up = fronts(upstream)
    up.script = lambda c, r: hello_and_silence(c, upstream)
    reply = ask(proxy, client, stream=True)
    alive = {"messages": b"event: ping\n", "chat": b": ping\n", "responses": b"event: keepalive\n"}
    assert reply.body.count(alive[client]) >= 2
    assert b"silent" in reply.body[reply.body.rindex(alive[client]):]
    assert proxy.done(reply)["error"] == "UPSTREAM_IDLE"


# --- events that are no good ---

@pytest.mark.parametrize("upstream,client", PAIRS)
@pytest.mark.parametrize("bad", [b'data: {"type":"x",\n\n', b"data: hello\n\n"])
@pytest.mark.row("5: malformed SSE")
def test_malformed_event(fronts, upstream, client, bad):
    """Passed through: untouched.  Converted: an error event, and the log says why."""
    proxy, _, up = fronts(upstream)
    data = begin(upstream) + delta(upstream, "Hi") + bad + finish(upstream)
    up.script = lambda c, r: c.stream(data)
    reply = ask(proxy, client, stream=True)
    if upstream == client:
        assert reply.body == data
    else:
        assert grammar.check(client, reply.body) == []
        assert grammar.outcome(client, reply.body) == "error"
        assert proxy.done(reply)["error"] == "UPSTREAM_EVENT"


@pytest.mark.parametrize("upstream,client", PAIRS)
@pytest.mark.parametrize("bad", [b"\xff\xfe", b"\x80", b"\xc0\xaf", b"\xed\xa0\x80"])
@pytest.mark.row("5: invalid UTF-8")
def test_invalid_utf8(fronts, upstream, client, bad):
    """Passed through: untouched.  Converted: U+FFFD as protocols.md EW3.5 says, valid JSON."""
    proxy, _, up = fronts(upstream)
    data = begin(upstream) + delta(upstream, "a-TEXT-z").replace(b"TEXT", bad) + finish(upstream)
    up.script = lambda c, r: c.stream(data)
    body = ask(proxy, client, stream=True).body
    if upstream == client:
        assert body == data
    else:
        assert "a-\ufffd" in body.decode()
        assert grammar.check(client, body) == [] and grammar.outcome(client, body) == "complete"


@pytest.mark.parametrize("upstream,client", PAIRS)
@pytest.mark.row("5: invalid UTF-8")
def test_split_utf8_is_whole(fronts, upstream, client):
    """Characters of 2, 3 and 4 bytes, cut at every byte of theirs."""
    proxy, _, up = fronts(upstream)
    text = "\u00e9\u6f22\U0001f600"
    raw = delta(upstream, "TEXT").replace(b"TEXT", text.encode())
    for cut in range(raw.index(text.encode()), raw.index(text.encode()) + 10):
        def script(c, r, cut=cut):
            c.stream_head()
            c.chunk(begin(upstream) + raw[:cut])
            time.sleep(0.01)
            c.chunk(raw[cut:] + finish(upstream))
            c.last_chunk()
        up.script = script
        body = ask(proxy, client, stream=True).body
        if upstream == client:
            assert body == begin(upstream) + raw + finish(upstream)
        else:
            assert text in body.decode() and grammar.outcome(client, body) == "complete"


# --- the client leaves ---

@pytest.mark.parametrize("upstream,client", PAIRS)
@pytest.mark.row("5: client disconnect")
def test_usage_so_far_is_logged_when_the_client_leaves(fronts, upstream, client):
    proxy, _, up = fronts(upstream)
    usage = {"messages": b"", "responses": b"",
             "chat": event({"id": "chatcmpl-1", "model": "m", "choices": [],
                            "usage": {"prompt_tokens": 3, "completion_tokens": 1,
                                      "total_tokens": 4}})}[upstream]
    gone = threading.Event()

    def script(c, r):
        c.stream_head()
        c.chunk(begin(upstream) + usage + delta(upstream, "Hello"))
        if c.wait_closed(5):
            gone.set()
    up.script = script
    since = len(proxy.lines)
    with Client(proxy.codex_port) as c:
        send(c, client, stream=True)
        c.head()
        c.until(b"Hello")
        c.reset()
    assert gone.wait(2)
    done = proxy.wait_log("request_done", since)
    assert (done["ended"], done["error"]) == ("client_gone", "CLIENT_GONE")
    if upstream != "responses":  # which says it in its last event only
        assert done["input_tokens"] == 3


# --- TLS ---

class Recorder:
    """A TLS server that says what came of each handshake, and what was said after it."""

    def __init__(self, pair, **options):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*pair)
        for name, value in options.items():
            setattr(self.context, name, value)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self.listener.getsockname()[1]}"
        self.conns, self.heard = 0, b""
        serve_each(self.listener, self.serve)

    def serve(self, sock):
        self.conns += 1
        try:
            sock = self.context.wrap_socket(sock, server_side=True)
            while data := sock.recv(65536):
                self.heard += data
        except OSError:
            pass
        sock.close()


def self_signed(folder):
    pair = f"{folder}/self.pem", f"{folder}/self.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-out", pair[0], "-keyout", pair[1]],
                   check=True, capture_output=True)
    return pair


@pytest.mark.parametrize("trouble,reason", [
    ("expired", "expired"), ("wrong name", "mismatch"), ("unknown CA", "unknown"),
    ("self-signed", "self"), ("TLS 1.0", "")])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.row("5: upstream TLS failure", "8: TLS client defaults")
def test_upstream_tls_failure(certificates, tmp_path, trouble, reason, stream):
    """502 with the reason's class; no byte of the request is sent, and no other way is tried."""
    pair = {"expired": certificates.expired, "wrong name": certificates.wrong_name,
            "self-signed": self_signed(tmp_path)}.get(trouble, certificates.pair)
    old = {}
    if trouble == "TLS 1.0":
        old = {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1}
    recorder = Recorder(pair, **old)
    settings = {} if trouble == "unknown CA" else {"UPSTREAM_CA_FILE": certificates.ca}
    with Proxy(ANTHROPIC_BASE_URL=recorder.url, SERVICES="claude", **settings) as p:
        with Client(p.claude_port) as c:
            reply = c.request("POST", "/v1/messages", {"x-api-key": "sk-canary-key"},
                              json=BODIES["messages"] | {"stream": stream})
        assert reply.status == 502
        assert "TLS certificate or handshake" in reply.json()["error"]["message"]
        line = p.wait_log("unexpected_error", code="UPSTREAM_TLS")
        assert reason in line["error"].lower(), line["error"]
    assert recorder.conns == 1 and recorder.heard == b""
    recorder.listener.close()


# --- storms ---

@pytest.mark.parametrize("status", [429, 503, 529])
@pytest.mark.parametrize("upstream,client", [("messages", "messages"), ("messages", "chat"),
                                             ("chat", "responses")])
@pytest.mark.row("5: 429/529/503 storm",
                 lacks="circuit breaker and back-off: with several upstreams per model")
def test_storm_is_not_amplified(fronts, upstream, client, status):
    """100 % errors: status and retry-after reach each client; the upstream sees what was offered."""
    proxy, _, up = fronts(upstream)
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    up.script = lambda c, r: c.reply(status, [("retry-after", "7")], body)
    offered, got = 100, []

    def one_client():
        with Client(proxy.codex_port) as c:
            for _ in range(offered // 10):
                send(c, client)
                reply = c.head()
                got.append((reply.status, reply.h("retry-after"), b"Overloaded" in c.body()))
    threads = [threading.Thread(target=one_client) for _ in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert len(got) == offered
    assert set(got) == {(status, "7", True)} or (status == 529 and client != "messages" and
                                                 {g[1:] for g in got} == {("7", True)})
    assert len(up.requests) == offered


# --- no more sockets ---

def limit_descriptors(pid, count):
    hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, hard))


def cpu_ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.row("5: fd exhaustion", "4: connection floods")
def test_fd_exhaustion_degrades(scripted, tmp_path):
    """Accept pauses, streams live, no spin, and all is well when descriptors are free again.

    The admin listener has a reserve, again and again; one that is used up frees itself too."""
    up = scripted[1]
    up.forget()
    go = threading.Event()

    def script(c, r):
        c.stream_head()
        c.chunk(begin("messages"))
        assert go.wait(30)
        c.chunk(finish("messages"))
        c.last_chunk()
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", STREAM_PING_SECONDS="0",
               ADMIN_LISTEN=f"unix:{tmp_path}/admin") as p:
        worker, = p.workers()
        up.script = script
        with Client(p.claude_port) as c:
            send(c, "messages", stream=True)
            c.head()
            c.until(b"message_start")
            limit_descriptors(worker, len(list(Path(f"/proc/{worker}/fd").iterdir())) + 10)
            idle = [Client(p.claude_port) for _ in range(40)]  # most stay in the backlog
            time.sleep(0.3)
            ticks, begun = cpu_ticks(worker), time.monotonic()
            time.sleep(2)
            busy = (cpu_ticks(worker) - ticks) / 100 / (time.monotonic() - begun)
            for _ in range(30):
                assert p.metrics()["ccproxy_requests_open"] == 1
            held = [socket.socket(socket.AF_UNIX) for _ in range(20)]
            for h in held:
                h.connect(f"{tmp_path}/admin")
            time.sleep(0.3)
            for h in held:
                h.close()
            assert p.metrics()["ccproxy_requests_open"] == 1
            go.set()
            assert b"message_stop" in c.body()  # it could still be said
            for i in idle:
                i.close()
            up.script = lambda c, r: c.reply(body=b"{}")
            with Client(p.claude_port) as later:
                assert later.request("POST", "/v1/messages", KEY,
                                     json=BODIES["messages"]).status == 200
    print(f"{100 * busy:.0f} % of a core")
    assert busy < 0.2


@pytest.mark.row("5: fd exhaustion")
def test_no_descriptor_for_the_upstream_is_a_clear_error(scripted):
    """The client is in, but there is no socket left to reach the upstream."""
    up = scripted[1]
    up.forget()
    with Proxy(ANTHROPIC_BASE_URL=f"http://127.0.0.1:{up.port}", SERVICES="claude") as p:
        worker, = p.workers()
        with Client(p.claude_port) as c, Client(p.claude_port) as other:
            assert c.request("GET", "/health").status == 200
            assert other.request("GET", "/health").status == 200
            limit_descriptors(worker, len(list(Path(f"/proc/{worker}/fd").iterdir())))
            reply = c.request("POST", "/v1/messages", KEY, json=BODIES["messages"])
            assert (reply.status, reply.h("retry-after")) == (503, "1"), reply.body
            assert "Too many open files" in reply.json()["error"]["message"]
            p.wait_log("unexpected_error", code="NO_CAPACITY")
            limit_descriptors(worker, 1000)
            reply = c.request("POST", "/v1/messages", KEY, json=BODIES["messages"])
            assert reply.status == 200
    assert len(up.requests) == 1


@pytest.mark.row("5: ephemeral ports")
def test_backlog_of_the_upstream_is_full():
    """Its SYNs are dropped: a clear error in time, and service as soon as it accepts again."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    stuck = []
    for _ in range(3):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", port))
        stuck.append(s)
    with Proxy(ANTHROPIC_BASE_URL=f"http://127.0.0.1:{port}", SERVICES="claude",
               HTTP_CONNECT_TIMEOUT="1") as p:
        with Client(p.claude_port) as c:
            reply = c.request("POST", "/v1/messages", KEY, json=BODIES["messages"])
            assert reply.status in (502, 503) and "cannot be reached" in reply.body.decode()
            assert c.request("GET", "/health").status == 200
    for s in [*stuck, listener]:
        s.close()

"""reliability.md sections 4 and 5: "memory limit" (a budget for bodies and queues), "connection
floods", keep-alive churn. Each refuses or waits; none of it disturbs what is already open."""

import contextlib
import gzip
import re
import resource
import socket
import struct
from pathlib import Path

import pytest
from proxy import SANITIZED, Proxy, until
from test_24_hostile_requests import Counted
from upstream import Upstream
from wire import Broken, Client

KEY = {"x-api-key": "k", "content-type": "application/json"}
BUDGET, FIRST = 100_000, 60_000


def padded(n):
    body = b'{"model":"m","messages":[]}'
    return body[:-1] + b" " * (n - len(body)) + b"}"


@pytest.fixture
def stand(tmp_path):
    """A proxy with a small budget; the upstream answers small bodies at once, others when told to, and streams events one by one."""
    up = Upstream()
    up.held = []

    def script(conn, request):
        if request.h("x-test-id") == "hold":
            up.held.append(conn)
            conn.sock.settimeout(30)
        elif request.h("x-test-id") == "stream":
            conn.stream_head()
            up.held.append(conn)
        else:
            conn.reply(body=b"{}")
    up.script = script
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", ADMIN_LISTEN=f"unix:{tmp_path}/admin",
               MAX_BUFFERED_BYTES=BUDGET, STREAM_OPEN_SECONDS=0) as p:
        yield p, up
    up.close()


def hold(p, up, n):
    """A request whose body of n bytes stays with the proxy, as its upstream says nothing."""
    before = len(up.held)
    c = Client(p.claude_port)
    c.send_request("POST", "/v1/messages", KEY | {"x-test-id": "hold"}, padded(n))
    until(lambda: len(up.held) > before)
    return c


def post(p, body, headers=None):
    with Client(p.claude_port) as c:
        return c.request("POST", "/v1/messages", KEY | (headers or {}), body)


def post_chunked(p, body):
    with Client(p.claude_port) as c:
        c.send(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\ncontent-type: application/json"
               b"\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        c.method = "POST"
        reply = c.head()
        reply.body = c.body()
        return reply


@pytest.mark.row("5: memory limit")
@pytest.mark.parametrize("how", [post, post_chunked], ids=["content-length", "chunks"])
@pytest.mark.parametrize("over", [-1, 0, 1])
def test_budget(stand, how, over):
    """MAX_BUFFERED_BYTES: limit - 1, limit, limit + 1 while another body is held; 503 with retry-after and a reason, and all is well when that body has gone."""
    p, up = stand
    first = hold(p, up, FIRST)
    assert until(lambda: p.metrics()["ccproxy_buffered_bytes"] == FIRST)
    with Counted(p) as counted:
        reply = how(p, padded(BUDGET - FIRST + over))
        if over == 1:
            assert reply.status == 503
            assert reply.h("retry-after") == "1"
            assert "held" in reply.json()["error"]["message"]
            assert p.done(reply)["refusal"] == "memory"
        else:
            assert reply.status == 200
    assert counted.new == ({"memory": 1} if over == 1 else {})
    assert len(up.requests) == (1 if over == 1 else 2)
    up.held[0].reply(body=b"{}")
    assert first.head().status == 200
    first.close()
    assert until(lambda: how(p, padded(BUDGET - 1000)).status == 200)
    assert until(lambda: p.metrics()["ccproxy_buffered_bytes"] == 0)


@pytest.mark.skipif(SANITIZED, reason="its memory is laid out otherwise")
@pytest.mark.row("5: memory limit")
def test_a_failing_malloc_ends_that_worker_only(tmp_path):
    """It aborts, saying so; the other's streams live on, and it is replaced."""
    up, streams = Upstream(), []

    def script(conn, request):
        if request.h("x-test-id") == "stream":
            conn.stream_head()
            conn.chunk(b"event: ping\ndata: {}\n\n")
            streams.append(conn)
        else:
            conn.reply(body=b"{}")
    up.script = script
    with (Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", WORKERS=2, STREAM_OPEN_SECONDS=0) as p,
          contextlib.ExitStack() as stack):
        p.deaths_expected = True
        clients = []
        for n in range(16):  # on both workers
            clients.append(stack.enter_context(Client(p.claude_port)))
            clients[-1].send_request("POST", "/v1/messages", KEY | {"x-test-id": "stream"},
                                     padded(100))
            clients[-1].head()
            clients[-1].until(b"ping")
            assert until(lambda: len(streams) > n)  # noqa: B023
        poor, other = p.workers()
        # Not the address space: of that, malloc() has some in reserve.
        [kib] = re.findall(r"VmData:\s+(\d+)", Path(f"/proc/{poor}/status").read_text())
        resource.prlimit(poor, resource.RLIMIT_DATA, ((int(kib) + 2048) << 10, -1))
        for _ in range(100):  # some come to the one, some to the other
            with contextlib.suppress(Broken, OSError, ValueError):
                assert post(p, padded(8 << 20)).status == 200
            if p.log(event="worker_died"):
                break
        until(lambda: len(p.workers()) == 2 and poor not in p.workers())
        assert other in p.workers()
        for s in streams:
            with contextlib.suppress(OSError):  # the poor one's upstream conns are gone
                s.chunk(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
                s.last_chunk()
        whole = 0
        for c in clients:
            with contextlib.suppress(Broken, OSError):
                whole += b"message_stop" in c.body()
        assert 0 < whole < 16
        assert p.log(event="worker_died")[0]["signal"] == 6
        assert all(post(p, padded(8 << 20)).status == 200 for _ in range(8))
    assert p.stderr.count(b"out of memory") == 1
    up.close()


@pytest.mark.row("5: memory limit")
def test_budget_counts_what_is_decoded(stand):
    """A body of 200 bytes that is 60,000 long decoded."""
    p, up = stand
    first = hold(p, up, FIRST)
    reply = post(p, gzip.compress(padded(60_000)), {"content-encoding": "gzip"})
    assert (reply.status, p.done(reply)["refusal"]) == (503, "memory")
    first.close()
    assert until(lambda: p.metrics()["ccproxy_buffered_bytes"] == 0)
    assert post(p, gzip.compress(padded(45_000)), {"content-encoding": "gzip"}).status == 200


@pytest.mark.row("5: memory limit")
def test_budget_leaves_streams_alone(stand):
    """Shed, not die: over the budget an open stream goes on, and what needs no body is served."""
    p, up = stand
    with Client(p.claude_port) as stream:
        stream.send_request("POST", "/v1/messages", KEY | {"x-test-id": "stream"},
                            b'{"model":"m","stream":true,"messages":[]}')
        assert stream.head().status == 200
        first = hold(p, up, BUDGET - 10)
        for n in range(20):
            assert post(p, padded(50)).status == 503
            up.held[0].chunk(b'event: ping\ndata: {"type":"ping","n":%d}\n\n' % n)
            stream.until(b'"n":%d}\n\n' % n)
        with Client(p.claude_port) as c:
            assert c.request("GET", "/health").status == 200
        first.close()
        assert until(lambda: post(p, padded(50)).status == 200)


@pytest.mark.row("5: memory limit")
def test_budget_is_given_back_however_a_request_ends(stand):
    """Refused, cut short, malformed, abandoned, answered: nothing stays counted."""
    p, up = stand
    for n in range(20):
        hold(p, up, 20_000).close()
        assert until(lambda: p.metrics()["ccproxy_requests_open"] == 0) is True
        with Client(p.claude_port) as c:  # leaves within its body
            c.send(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\ncontent-length: 30000\r\n\r\n"
                   + b"x" * 20000)
        assert post(p, b"{" + b"x" * 20000).status == 400
        assert post(p, padded(BUDGET + 1)).status == 503
        if n % 5 == 0:
            assert until(lambda: post(p, padded(BUDGET)).status == 200)
    assert until(lambda: post(p, padded(BUDGET)).status == 200)


# --- connections ---

def connect(port, source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))


def asks(sock):
    """The status line of a request on this connection; b"" when it was closed."""
    try:
        sock.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        return sock.recv(65536).split(b"\r\n")[0]
    except ConnectionError:
        return b""


OK = b"HTTP/1.1 200 OK"


@pytest.mark.row("4: connection floods")
def test_connections_of_one_address(tmp_path):
    """MAX_CLIENTS_PER_ADDRESS: limit - 1 and limit are served, limit + 1 is closed without an answer, other addresses do not notice, and a place that is left is free."""
    up = Upstream()
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", ADMIN_LISTEN=f"unix:{tmp_path}/admin",
               MAX_CLIENTS_PER_ADDRESS=5) as p:
        with Counted(p) as counted:
            first = [connect(p.claude_port, "127.0.0.2") for _ in range(5)]
            assert [asks(s) for s in first] == [OK] * 5
            over = connect(p.claude_port, "127.0.0.2")
            assert asks(over) == b""
            other = [connect(p.claude_port, "127.0.0.3") for _ in range(5)]
            assert [asks(s) for s in other] == [OK] * 5
            assert [asks(s) for s in first] == [OK] * 5
        assert counted.new == {"address": 1}
        line = p.wait_log("client_refused", refusal="address")
        assert line["remote"].startswith("127.0.0.2:")
        for s in (over, first.pop()):
            s.close()

        def free():
            s = connect(p.claude_port, "127.0.0.2")
            first.append(s)
            return asks(s) == OK
        assert until(free)
        for s in first + other:
            s.close()
    up.close()


@pytest.mark.row("4: connection floods")
def test_connections_in_all(tmp_path):
    """MAX_CLIENTS: limit + 1 is not refused but waits, and is served when one of the others has its reply, which says that the connection ends."""
    up = Upstream()
    held = []
    up.script = lambda conn, request: (held.append(conn), conn.sock.settimeout(30))
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", ADMIN_LISTEN=f"unix:{tmp_path}/admin",
               MAX_CLIENTS=20) as p:
        busy = [Client(p.claude_port) for _ in range(20)]
        for c in busy:
            c.send_request("POST", "/v1/messages", KEY, padded(50))
        until(lambda: len(held) == 20)
        late = [connect(p.claude_port) for _ in range(10)]
        for s in late:
            s.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        late[0].settimeout(0.3)
        with pytest.raises(TimeoutError):
            late[0].recv(1)
        assert until(lambda: p.metrics()["ccproxy_client_connections"]) >= 20
        for conn in held:
            conn.reply(body=b"{}")
        replies = [c.head() for c in busy]
        assert [r.status for r in replies] == [200] * 20
        assert replies[0].h("connection") == "close" or replies[1].h("connection") == "close"
        for s in late:
            s.settimeout(20)
            assert s.recv(65536).startswith(OK)
            s.close()
        for c in busy:
            c.close()
    up.close()


@pytest.mark.row("4: connection floods")
def test_idle_connections_make_room(tmp_path):
    """At MAX_CLIENTS those that merely wait for their next request leave; streams do not."""
    up = Upstream()
    up.script = lambda conn, request: (conn.stream_head(), conn.sock.settimeout(30))
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", ADMIN_LISTEN=f"unix:{tmp_path}/admin",
               MAX_CLIENTS=20) as p:
        streams = [Client(p.claude_port) for _ in range(5)]
        for c in streams:
            c.send_request("POST", "/v1/messages", KEY, b'{"model":"m","stream":true,"messages":[]}')
            assert c.head().status == 200
        idle = [connect(p.claude_port) for _ in range(14)]
        assert [asks(s) for s in idle] == [OK] * 14
        for _ in range(30):  # each takes the place of one before
            new = connect(p.claude_port)
            assert asks(new) == OK
            idle.append(new)
        for conn in up.conns:
            conn.chunk(b'event: ping\ndata: {"type":"ping"}\n\n')
        for c in streams:
            c.until(b'ping"}\n\n')
            c.close()
        for s in idle:
            s.close()
    up.close()


@pytest.mark.row("4: connection floods")
def test_half_open_tls(certificates, tmp_path):
    """300 clients that begin a TLS handshake and stop: others are served meanwhile; the 300 are closed by CLIENT_HEADER_TIMEOUT, each counted."""
    up = Upstream()
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", ADMIN_LISTEN=f"unix:{tmp_path}/admin",
               CLIENT_HEADER_TIMEOUT=6, TLS_CERT_FILE=certificates.cert,
               TLS_KEY_FILE=certificates.key) as p:
        with Counted(p) as counted:
            stalled = [connect(p.claude_port) for _ in range(300)]
            for n, s in enumerate(stalled):
                s.sendall(b"\x16\x03\x01\x02\x00\x01\x00"[: n % 8])
            for _ in range(20):
                with Client(p.claude_port, ca=certificates.ca) as c:
                    assert c.request("GET", "/health").status == 200
            for s in stalled:
                assert s.recv(1) == b""
                s.close()
            assert until(lambda: counted.now() == {"tls": 300})
        assert until(lambda: p.metrics()["ccproxy_client_connections"] <= 1)
    up.close()


def fds(p):
    (pid,) = p.workers()
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.row("4: connection floods")
def test_churn(tmp_path):
    """7,000 connections that come and go in every way, new ones to the upstream as well: neither descriptors nor memory grow."""
    up = Upstream()
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", ADMIN_LISTEN=f"unix:{tmp_path}/admin",
               HTTP_MAX_KEEPALIVE=0) as p:
        def some(n):
            for i in range(n):
                s = connect(p.claude_port)
                if i % 4 != 0:
                    assert asks(s) == OK
                if i % 4 == 2:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if i % 10 == 0:
                    assert post(p, padded(50)).status == 200
                s.close()
            until(lambda: p.metrics()["ccproxy_client_connections"] <= 1)
        some(3000)  # then the log's ring has been written once
        before_fds, before = fds(p), p.worker_kib()
        some(4000)
        assert until(lambda: fds(p) <= before_fds)
        if not SANITIZED:
            assert p.worker_kib() - before < 512
    up.close()

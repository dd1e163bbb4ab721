"""HTTP on both sides: connections, versions, TLS, pools, outbound proxies."""

import base64
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from proxy import Proxy, Simulator, environment, until
from upstream import Upstream, serve_each
from wire import Client

KEY = {"x-api-key": "sk-test"}
BODY = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
COUNT = {"model": "claude-x", "messages": [{"role": "user", "content": "foo"}]}


def post(port, target="/v1/messages", headers=None, **options):
    with Client(port) as c:
        return c.request("POST", target, KEY | (headers or {}), json=BODY, **options)


def program(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False,
                          env=environment(), **options)


# --- the client's side ---

def test_keep_alive(claude):
    for _ in range(20):
        assert claude.request("POST", "/v1/messages", KEY, json=BODY).status == 200


def test_connection_close(claude):
    reply = claude.request("GET", "/health", {"connection": "close"})
    assert reply.status == 200 and reply.h("connection") == "close"
    assert claude.closed()


def test_http_1_0(claude):
    claude.method = "GET"
    claude.send(b"GET /health HTTP/1.0\r\n\r\n")
    assert claude.head().status == 200
    assert b"healthy" in claude.body() and claude.closed()


def test_pipelining(raw):
    """Replies come in the order of the requests, one upstream request at a time."""
    proxy, up = raw
    up.script = lambda c, r: c.reply(body=r.body)
    with Client(proxy.claude_port) as c:
        bodies = [b'{"n":%d}' % n for n in range(10)]
        for b in bodies:
            c.send_request("POST", "/v1/messages", KEY, b)
        for b in bodies:
            assert c.head().status == 200
            assert c.body() == b


@pytest.mark.row("1: pipelining with a bad")
def test_pipelined_garbage_after_a_good_request(raw):
    proxy, up = raw
    with Client(proxy.claude_port) as c:
        c.send_request("POST", "/v1/messages", KEY, json=BODY)
        c.send(b"GET /health HTTP/1.1\nhost: x\r\n\r\n")
        assert c.head().status == 200
        c.body()
        assert c.head().status == 400
        c.body()
        assert c.closed()
    assert len(up.requests) == 1


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_requests_in_pieces(raw, pieces):
    proxy, up = raw
    body = json.dumps(BODY).encode()
    head = (b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\ncontent-length: %d\r\n\r\n"
            % len(body))
    with Client(proxy.claude_port) as c:
        c.method = "POST"
        data = head + body
        for i in range(0, len(data), pieces):
            c.send(data[i : i + pieces])
        assert c.head().status == 200
    assert up.requests[-1].body == body


@pytest.mark.row("1: Expect: 100-continue", "4: Expect: 100-continue")
def test_expect_100_continue(proxy):
    with Client(proxy.claude_port) as c:
        body = json.dumps(BODY).encode()
        c.method = "POST"
        c.send(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nexpect: 100-continue\r\n"
               b"content-length: %d\r\n\r\n" % len(body))
        assert c._line() == b"HTTP/1.1 100 Continue" and c._line() == b""
        c.send(body)
        assert c.head().status == 200


@pytest.mark.row("1: Expect: 100-continue", "4: Expect: 100-continue")
def test_expect_is_not_met_without_a_key(proxy):
    with Client(proxy.claude_port) as c:
        c.method = "POST"
        c.send(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n"
               b"content-length: 5\r\n\r\n")
        reply = c.head()
        assert reply.status == 401 and not reply.interim


def test_curl(proxy, tmp_path):
    """A body over curl's threshold makes it send Expect: 100-continue."""
    big = tmp_path / "body.json"
    big.write_text(json.dumps(BODY | {"messages": [
        {"role": "user", "content": "x" * 2_000_000}]}))
    done = program("curl", "-sS", "-v", "-H", "x-api-key: k", "-H", "expect: 100-continue",
                   "-d", f"@{big}", f"http://127.0.0.1:{proxy.claude_port}/v1/messages")
    assert json.loads(done.stdout)["type"] == "message", done.stderr
    assert "100 Continue" in done.stderr


def test_curl_http2_prior_knowledge(proxy):
    done = program("curl", "-sS", "-v", "--http2-prior-knowledge", "-H", "x-api-key: k",
                   "-d", json.dumps(BODY | {"stream": True}),
                   f"http://127.0.0.1:{proxy.claude_port}/v1/messages")
    assert "message_stop" in done.stdout, done.stderr
    assert "HTTP/2 200" in done.stderr


@pytest.mark.row("4: h2c upgrade")
def test_curl_upgrade_is_ignored(proxy):
    done = program("curl", "-sS", "-v", "--http2", f"http://127.0.0.1:{proxy.claude_port}/health")
    assert "healthy" in done.stdout and "101" not in done.stderr.split("< ")[1]


@pytest.mark.skipif(not shutil.which("h2load"), reason="needs h2load")
def test_many_http2_streams(proxy, tmp_path):
    (tmp_path / "body").write_text(json.dumps(BODY | {"stream": True}))
    done = program("h2load", "-n", "300", "-c", "3", "-m", "50", "-d", str(tmp_path / "body"),
                   "-H", "x-api-key: k", "-H", "content-type: application/json",
                   f"http://127.0.0.1:{proxy.claude_port}/v1/messages")
    assert "300 succeeded, 0 failed, 0 errored" in done.stdout, done.stdout
    assert "status codes: 300 2xx" in done.stdout


def test_ipv6(sim):
    with Proxy(ANTHROPIC_BASE_URL=sim.url, SERVICES="claude", CLAUDE_SERVICE_HOST="::1") as p:
        with Client(p.claude_port, "::1") as c:
            assert c.request("POST", "/v1/messages", KEY, json=BODY).status == 200
    with Proxy(ANTHROPIC_BASE_URL=sim.url, SERVICES="claude", CLAUDE_SERVICE_HOST="[::]") as p:
        for host in ("::1", "127.0.0.1"):
            with Client(p.claude_port, host) as c:
                assert c.request("GET", "/health").status == 200


def test_27_counts_at_once(proxy):
    """What /context of Claude Code does, on 12 connections."""
    def some(n):
        with Client(proxy.claude_port) as c:
            return [c.request("POST", "/v1/messages/count_tokens?beta=true", KEY,
                              json=COUNT).json()["input_tokens"] for _ in range(n)]
    with ThreadPoolExecutor(12) as pool:
        got = sum(pool.map(some, [3] * 3 + [2] * 9), [])
    assert len(got) == 27 and all(n > 0 for n in got)


# reliability.md section 1: a few of each kind; the codec's unit tests have them all
REFUSED = {
    "bare LF": (b"GET /health HTTP/1.1\nhost: x\n\n", 400),
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
    "fold": (b"GET /health HTTP/1.1\r\nhost: x\r\na: b\r\n c\r\n\r\n", 400),
    "length and chunked": (b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\n"
                           b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\n"
                    b"content-length: 2\r\ncontent-length: 2\r\n\r\n{}", 400),
    "bad chunk": (b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\n"
                  b"transfer-encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n", 400),
    "named credential": (b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\n"
                         b"connection: x-api-key\r\ncontent-length: 2\r\n\r\n{}", 400),
    "version": (b"GET /health HTTP/1.2\r\nhost: x\r\n\r\n", 505),
    "expect": (b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nexpect: garbage\r\n"
               b"content-length: 2\r\n\r\n{}", 417),
    "connect": (b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n", 405),
    "long target": (b"GET /" + b"a" * 32768 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414),
    "big header": (b"GET /health HTTP/1.1\r\nhost: x\r\na: " + b"b" * 131072 + b"\r\n\r\n", 431),
    "200 headers": (b"GET /health HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_requests(raw, name):
    proxy, up = raw
    data, status = REFUSED[name]
    with Client(proxy.claude_port) as c:
        c.method = "GET"
        c.send(data)
        reply = c.head()
        assert reply.status == status
        assert json.loads(c.body())["type"] == "error"
        if name == "connect":  # well-formed, and refused: the connection may go on
            assert c.request("GET", "/health").status == 200
        else:
            assert c.closed()
    assert not up.requests


# --- TLS ---

@pytest.fixture(scope="module")
def secure(certificates):
    """A proxy with TLS and HTTP/2 on both sides: (proxy, simulator)."""
    s = Simulator(tls=certificates.pair, ca=certificates.ca)
    with Proxy(ANTHROPIC_BASE_URL=s.url, OPENAI_BASE_URL=s.url, UPSTREAM_CA_FILE=certificates.ca,
               TLS_CERT_FILE=certificates.cert, TLS_KEY_FILE=certificates.key) as p:
        yield p, s
    s.stop()


def test_tls_on_both_sides(secure, certificates):
    """The upstream gets HTTP/2, many requests on few connections."""
    p, s = secure

    def one(_):
        with Client(p.claude_port, ca=certificates.ca) as c:
            return c.request("POST", "/v1/messages", KEY, json=BODY | {"stream": True})
    assert one(0).status == 200  # opens the connection
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(one, range(40)))
    assert all(r.status == 200 and b"message_stop" in r.body for r in replies)
    records = [r for r in s.records() if r["method"] == "POST"]
    assert {r["version"] for r in records} == {"2"}
    assert len({r["connection"]["number"] for r in records}) <= 2
    assert records[0]["authority"] == f"localhost:{s.port}"


def test_tls_alpn_http2_client(secure, certificates):
    p, _ = secure
    with httpx.Client(verify=ssl.create_default_context(cafile=certificates.ca),
                      http2=True, trust_env=False) as c:
        for _ in range(5):
            reply = c.post(f"https://localhost:{p.claude_port}/v1/messages", headers=KEY, json=BODY)
            assert (reply.http_version, reply.status_code) == ("HTTP/2", 200)


@pytest.mark.parametrize("fault", ["cut", "reset", "stall-headers", "gzip", "huge-event-2"])
def test_faults_over_http2(secure, certificates, fault):
    p, _ = secure
    with Client(p.claude_port, ca=certificates.ca) as c:
        c.send_request("POST", "/v1/messages", KEY | {"x-mock-fault": fault},
                       json=BODY | {"stream": True})
        if fault == "stall-headers":
            return  # the client leaves
        assert c.head().status == 200
        body = c.body()
    ok = fault in ("gzip", "huge-event-2")
    assert (b"message_stop" in body) == ok and (b"event: error" in body) != ok


def test_cancel_over_http2_upstream(secure, certificates, tag):
    """RST_STREAM: the other streams and the connection live on."""
    p, s = secure

    def ask(fault, name):
        c = Client(p.claude_port, ca=certificates.ca)
        c.send_request("POST", "/v1/messages", KEY | {"x-mock-fault": fault, "x-test-id": name},
                       json=BODY | {"stream": True})
        return c
    gone, stays = ask("stall", tag + ".1"), ask("slow-head-700", tag + ".2")
    assert gone.head().status == 200 and stays.head().status == 200
    gone.until(b"message_start")
    gone.close()
    s.wait_cancelled(tag + ".1")
    assert b"message_stop" in stays.body()
    stays.close()
    one, two = s.record(tag + ".1"), s.record(tag + ".2")
    assert (one["version"], one["connection"]) == ("2", two["connection"])
    assert not two["cancelled"]


def test_plain_text_on_a_tls_port(secure):
    p, _ = secure
    with Client(p.claude_port) as c:
        c.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        try:  # an alert or a reset, as the OpenSSL at hand leaves bytes unread or not
            assert not c.sock.recv(100).startswith(b"HTTP")
        except ConnectionResetError:
            pass
    with pytest.raises(Exception):
        httpx.get(f"https://localhost:{p.claude_port}/health", trust_env=False)


@pytest.mark.parametrize("what", ["wrong_name", "expired", "unknown CA", "no TLS"])
def test_upstream_tls_failures(certificates, what):
    """502 with the reason, and no byte of the request has left."""
    pair = getattr(certificates, what, None) or certificates.pair
    up = Upstream(tls=None if what == "no TLS" else pair)
    settings = {} if what == "unknown CA" else {"UPSTREAM_CA_FILE": certificates.ca}
    received = []
    if what == "no TLS":
        up.on_accept = lambda c: received.append(c.sock.recv(1000))
    with Proxy(ANTHROPIC_BASE_URL=f"https://localhost:{up.port}", SERVICES="claude",
               HTTP_CONNECT_TIMEOUT="0.5", **settings) as p:
        reply = post(p.claude_port, headers={"x-api-key": "canary-key-123"})
        assert reply.status == 502
        message = reply.json()["error"]["message"]
        assert "TLS" in message
        reason = {"wrong_name": "hostname", "expired": "expired", "unknown CA": "unknown certificate"}.get(what)
        if reason:
            line = p.wait_log("unexpected_error", code="UPSTREAM_TLS")
            assert reason in line["error"].lower() or reason in message.lower(), line
        assert not any("canary-key-123" in str(x) for x in p.log())
    assert not up.requests
    assert not any(b"canary" in r for r in received)
    up.close()


# --- the pool ---

def test_connections_are_used_again(raw):
    proxy, up = raw
    for _ in range(5):
        assert post(proxy.claude_port).status == 200
    assert len(up.conns) <= 1
    assert up.requests[-1].number >= 5


@pytest.mark.row("5: fault before first byte")
def test_stale_connection_is_retried_once(raw):
    """The upstream closes an idle connection as the next request arrives: nobody notices."""
    proxy, up = raw
    assert post(proxy.claude_port).status == 200
    reused = []

    def script(c, r):
        if r.number > 1:
            reused.append(c)
            c.close()
        else:
            c.reply(body=b'{"fresh":1}')
    up.script = script
    reply = post(proxy.claude_port)
    assert (reply.status, reply.body) == (200, b'{"fresh":1}')
    assert len(reused) == 1
    assert proxy.done(reply)["attempts"] == 2


@pytest.mark.parametrize("sent,tries", [(b"", 2), (b"HTTP/1.1 2", 1)])
@pytest.mark.row("5: fault before first byte", "5: retry duplication")
def test_stale_connection_is_retried_only_once(raw, sent, tries):
    """And not at all once a byte has come."""
    proxy, up = raw
    assert post(proxy.claude_port).status == 200
    up.script = lambda c, r: (c.send(sent), c.close())
    n = len(up.requests)
    assert post(proxy.claude_port).status == 502
    assert len(up.requests) - n == tries


def test_idle_connections_closed_by_the_upstream_are_seen(raw):
    """Closed while idle: the next request takes a new one without a failed try."""
    proxy, up = raw
    assert post(proxy.claude_port).status == 200
    for c in up.conns:
        c.close()
    time.sleep(0.05)  # FIN is on its way
    reply = post(proxy.claude_port)
    assert reply.status == 200
    assert proxy.done(reply)["attempts"] == 1


@pytest.fixture
def crowded(raw):
    """One connection, which is taken until the release, and one place to wait, which is taken too:
    the proxy, the release and the two clients."""
    up = raw[1]
    release = threading.Event()
    up.script = lambda c, r: (release.wait(10), c.reply(body=b"{}"))
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", HTTP_MAX_CONNECTIONS="1",
               HTTP_MAX_WAITING="1") as p:
        with Client(p.claude_port) as one, Client(p.claude_port) as two:
            one.send_request("POST", "/v1/messages", KEY, json=BODY)
            until(lambda: up.requests)
            two.send_request("POST", "/v1/messages", KEY, json=BODY)
            until(lambda: len(p.log(event="proxy_request_start")) == 2)
            yield p, release, one, two
    assert len(up.requests) == 2


def test_queueing_and_503(crowded):
    """The third request gets 503 with retry-after."""
    p, release, one, two = crowded
    reply = post(p.claude_port)
    assert (reply.status, reply.h("retry-after")) == (503, "1")
    assert reply.json()["error"]["type"] == "api_error"
    release.set()
    assert one.head().status == 200 and two.head().status == 200


def test_a_waiting_request_that_leaves_frees_its_place(crowded):
    """It is never sent: the upstream gets two of the three."""
    p, release, _, two = crowded
    two.close()
    p.wait_log("client_disconnected")
    with Client(p.claude_port) as three:
        three.send_request("POST", "/v1/messages", KEY, json=BODY)
        until(lambda: len(p.log(event="proxy_request_start")) == 3)
        release.set()
        assert three.head().status == 200


# --- outbound proxies ---

def relay(a, b):
    def copy(x, y):
        try:
            while data := x.recv(65536):
                y.sendall(data)
        except OSError:
            pass
        for s in (x, y):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
    t = threading.Thread(target=copy, args=(a, b), daemon=True)
    t.start()
    copy(b, a)


class Outbound:
    """An HTTP CONNECT and SOCKS5 proxy; connects everything to one port."""

    def __init__(self, port, refuse=False):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.to, self.refuse = self.listener.getsockname()[1], port, refuse
        self.seen = []
        serve_each(self.listener, self._serve)

    def close(self):
        self.listener.close()

    def _serve(self, s):
        f = s.makefile("rb", buffering=0)
        try:
            first = f.read(1)
            ok = self._socks(f, s) if first == b"\x05" else self._http(f, s, first)
            if ok:
                relay(s, socket.create_connection(("127.0.0.1", self.to)))
        except (OSError, ValueError, IndexError):
            pass  # the other side has left
        s.close()

    def _http(self, f, s, first):
        head = first
        while not head.endswith(b"\r\n\r\n"):
            byte = f.read(1)
            if not byte:
                return False
            head += byte
        lines = head.decode().split("\r\n")
        auth = [x.split(" ", 2)[2] for x in lines if x.lower().startswith("proxy-authorization")]
        self.seen.append((lines[0].split(" ")[:2], base64.b64decode(auth[0]) if auth else None))
        s.sendall(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n" if self.refuse
                  else b"HTTP/1.1 200 OK\r\n\r\n")
        return not self.refuse

    def _socks(self, f, s):
        methods = f.read(f.read(1)[0])
        user = None
        if 2 in methods:
            s.sendall(b"\x05\x02")
            f.read(1)
            user = f.read(f.read(1)[0]), f.read(f.read(1)[0])
            s.sendall(b"\x01\x01" if self.refuse else b"\x01\x00")
            if self.refuse:
                return False
        else:
            s.sendall(b"\x05\x00")
        _, _, _, kind = f.read(4)
        host = {1: lambda: f.read(4), 3: lambda: f.read(f.read(1)[0]),
                4: lambda: f.read(16)}[kind]()
        port = int.from_bytes(f.read(2), "big")
        self.seen.append((kind, host, port, user))
        s.sendall(b"\x05\x00\x00\x01\0\0\0\0\0\0")
        return True


@pytest.fixture
def outbound(sim):
    o = Outbound(sim.port)
    yield o
    o.close()


def test_http_connect_proxy_with_password(outbound):
    with Proxy(ANTHROPIC_BASE_URL="http://api.upstream.test", SERVICES="claude",
               HTTP_PROXY=f"http://user:p%40ss@127.0.0.1:{outbound.port}") as p:
        assert post(p.claude_port).status == 200
        assert not any("p@ss" in str(x) or "p%40ss" in str(x) for x in p.log())
    [(line, auth)] = outbound.seen
    assert line == ["CONNECT", "api.upstream.test:80"] and auth == b"user:p@ss"


@pytest.mark.parametrize("scheme,kind", [("socks5h", 3), ("socks5", None)])
def test_socks_proxy(outbound, scheme, kind):
    with Proxy(ANTHROPIC_BASE_URL="http://localhost:7777", SERVICES="claude",
               ALL_PROXY=f"{scheme}://me:secret@127.0.0.1:{outbound.port}") as p:
        assert post(p.claude_port).status == 200
    got, host, port, user = outbound.seen[-1]
    assert (port, user) == (7777, (b"me", b"secret"))
    if kind == 3:
        assert (got, host) == (3, b"localhost")  # the proxy resolves
    else:
        assert got in (1, 4)


def test_no_proxy(sim, outbound):
    for no_proxy in ("localhost", "*", "other.test, LOCALHOST"):
        with Proxy(ANTHROPIC_BASE_URL=sim.url, SERVICES="claude", NO_PROXY=no_proxy,
                   ALL_PROXY=f"http://127.0.0.1:{outbound.port}") as p:
            assert post(p.claude_port).status == 200
    assert not outbound.seen


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_outbound_proxy_refuses(sim, scheme):
    o = Outbound(sim.port, refuse=True)
    with Proxy(ANTHROPIC_BASE_URL="http://upstream.test", SERVICES="claude",
               ALL_PROXY=f"{scheme}://u:secretpw@127.0.0.1:{o.port}") as p:
        reply = post(p.claude_port)
        assert reply.status == 502
        assert "outbound proxy" in reply.json()["error"]["message"]
        assert b"secretpw" not in reply.body
        assert not any("secretpw" in str(x) for x in p.log())
    o.close()


def test_tls_through_a_connect_proxy(certificates):
    s = Simulator(tls=certificates.pair)
    o = Outbound(s.port)
    with Proxy(ANTHROPIC_BASE_URL="https://localhost:4443", SERVICES="claude",
               UPSTREAM_CA_FILE=certificates.ca, HTTPS_PROXY=f"127.0.0.1:{o.port}") as p:
        assert post(p.claude_port).status == 200
    assert o.seen == [(["CONNECT", "localhost:4443"], None)]
    o.close()
    s.stop()


@pytest.mark.parametrize("through", ["", "http"])
def test_an_upstream_of_its_own(tmp_path, certificates, through):
    """Its certificate authority, outbound proxy and key serve it, whatever the settings say."""
    sim = Simulator(tls=certificates.pair, ca=certificates.ca)
    o = Outbound(sim.port)
    (tmp_path / "key").write_text("sk-own\n")
    (tmp_path / "key").chmod(0o600)
    file = tmp_path / "c.yaml"
    file.write_text(f"""upstreams:
  own:
    base_url: https://localhost:{sim.port if not through else 4443}
    protocol: chat
    key_file: {tmp_path}/key
    ca_file: {certificates.ca}
    proxy: {f"http://127.0.0.1:{o.port}" if through else "none"}
services:
  claude:
    routes:
      - {{ model: "m*", upstream: own, upstream_model: other }}
""")
    try:
        with Proxy(CONFIG_FILE=file, SERVICES="claude", PROXY_API_KEYS="sk-client",
                   ANTHROPIC_BASE_URL=f"https://localhost:{sim.port}", HTTPS_PROXY="http://127.0.0.1:9",
                   ) as p, Client(p.claude_port) as c:
            ask = {"max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]}
            reply = c.request("POST", "/v1/messages", {"x-api-key": "sk-client"},
                              json={"model": "m1"} | ask)
            assert reply.status == 200, reply.body
            assert (reply.json()["model"], reply.json()["type"]) == ("m1", "message")
            record = sim.records()[-1]
            assert (record["target"], record.h("authorization")) == ("/v1/chat/completions",
                                                                "Bearer sk-own")
            assert record.json()["model"] == "other"
            # the settings' own upstream has neither: another authority, a dead proxy
            assert c.request("POST", "/v1/messages", {"x-api-key": "sk-client"},
                             json={"model": "x"} | ask).status == 502
        assert [line for line, _ in o.seen] == ([["CONNECT", "localhost:4443"]] if through else [])
    finally:
        o.close()
        sim.stop()

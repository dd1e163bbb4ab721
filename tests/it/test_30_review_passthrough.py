"""Found by a second reading: what passes through, in both directions and to every end."""

import socket
import time

import pytest
from proxy import Proxy, until
from upstream import Upstream
from wire import Broken, Client

BEARER = {"authorization": "Bearer sk-test"}
UPLOAD = (b"POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n"
          b"content-length: %d\r\n\r\n")


class Stuck(Upstream):
    """Reads a request's head and no more until it is told to."""

    def __init__(self):
        super().__init__()
        self.on_accept = self.head_only

    def head_only(self, conn):
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        conn.read_head()
        self.after(conn)
        raise EOFError

    def after(self, conn):
        time.sleep(8)


@pytest.fixture
def stuck():
    up = Stuck()
    with Proxy(ANTHROPIC_BASE_URL=up.url, OPENAI_BASE_URL=up.url, HTTP_TIMEOUT="30") as p:
        yield p, up
    up.close()


@pytest.mark.parametrize("end", ["close", "reset"])
def test_client_leaves_during_an_upload(stuck, end):
    proxy, up = stuck
    up.on_accept = None
    c = Client(proxy.codex_port)
    c.send(UPLOAD % 1000 + b"x" * 10)
    until(lambda: up.conns and b"xxx" in up.conns[-1].raw)
    seen = len(proxy.lines)
    getattr(c, end)()
    until(lambda: up.conns[-1].sock.fileno() == -1)  # its thread has seen the end
    proxy.wait_log("client_disconnected", since=seen)


def test_upload_waits_for_the_upstream(stuck):
    """What an upstream does not read stays with the client."""
    proxy, up = stuck
    with Client(proxy.codex_port, timeout=1.5) as c:
        c.send(UPLOAD % 100000000)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 100000000:
                sent += c.sock.send(b"x" * 65536)
        assert sent < 24 << 20
        c.reset()
    proxy.wait_log("client_disconnected")


def test_early_reply_to_an_upload(stuck):
    """413 before the body is there reaches the client; the upload is not read to its end."""
    proxy, up = stuck
    up.after = lambda conn: (conn.reply(413, body=b"too big"), time.sleep(1))
    with Client(proxy.codex_port) as c:
        c.send(UPLOAD % 100000000 + b"x" * 1000)
        c.method = "POST"
        reply = c.head()
        assert (reply.status, c.body()) == (413, b"too big")
        assert c.closed()


@pytest.mark.parametrize("path, allowed", [("/v1/files", True), ("/v1/files", False),
                                           ("/v1/responses", True), ("/v1/responses", False)])
def test_100_continue_only_with_a_key(raw, path, allowed):
    proxy, up = raw
    with Client(proxy.codex_port) as c:
        key = b"authorization: Bearer k\r\n" if allowed else b""
        c.send(b"POST %s HTTP/1.1\r\nhost: x\r\n%scontent-length: 2\r\n"
               b"expect: 100-continue\r\n\r\n" % (path.encode(), key))
        c.method = "POST"
        if not allowed:
            reply = c.head()
            assert reply.status == 401 and not reply.interim and not up.requests
            return
        until(lambda: c.raw.startswith(b"HTTP/1.1 100 ") or not c._recv())
        c.send(b"{}")
        reply = c.head()
        assert reply.status == 200 and [i.status for i in reply.interim] == [100]
        assert up.requests[-1].h("expect") is None


def test_head_is_passed_on(raw):
    proxy, up = raw
    up.script = lambda c, r: c.send(b"HTTP/1.1 200 OK\r\ncontent-length: 12345\r\netag: \"a\"\r\n\r\n")
    with Client(proxy.codex_port) as c:
        for _ in range(2):
            reply = c.request("HEAD", "/v1/files/f1/content", BEARER)
            assert (reply.status, reply.h("content-length")) == (200, "12345")
            assert reply.h("etag") == '"a"'
    assert len(up.conns) <= 1  # one of an earlier test may have been reused


@pytest.mark.parametrize("status", [204, 304])
def test_replies_without_a_body(raw, status):
    proxy, up = raw
    up.script = lambda c, r: c.send(b"HTTP/1.1 %d X\r\netag: \"a\"\r\n\r\n" % status)
    with Client(proxy.codex_port) as c:
        for _ in range(2):
            reply = c.request("GET", "/v1/files/f1/content", BEARER | {"if-none-match": '"a"'})
            assert (reply.status, reply.body) == (status, b"")


def test_interim_replies_are_dropped(raw):
    proxy, up = raw

    def script(c, r):
        c.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
        c.reply(body=b"ok")

    up.script = script
    with Client(proxy.codex_port) as c:
        reply = c.request("POST", "/v1/files", BEARER, b"abc")
        assert reply.status == 200 and not reply.interim


def test_chunked_uploads(raw):
    proxy, up = raw
    with Client(proxy.codex_port) as c:
        parts = [b"a" * 70000, b"b", b"c" * 300000]
        assert c.request("POST", "/v1/files", BEARER, chunks=parts).status == 200
    assert up.requests[-1].body == b"".join(parts)


def test_large_uploads_are_not_kept(stuck):
    """Over MAX_BODY_BYTES, which is for bodies that are read."""
    proxy, up = stuck
    up.on_accept = None
    up.script = lambda c, r: c.reply(body=b"%d" % len(r.body))
    with Client(proxy.codex_port) as c:
        reply = c.request("POST", "/v1/files", BEARER, b"x" * (34 << 20))
    assert reply.body == b"%d" % (34 << 20)


def test_slow_download_holds_the_upstream(stuck):
    proxy, up = stuck
    up.on_accept = None
    sent = []

    def script(c, r):
        c.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
        for _ in range(1000):
            c.send(b"x" * 100000)
            sent.append(1)

    up.script = script
    with Client(proxy.codex_port, rcvbuf=8192) as c:
        c.send_request("GET", "/v1/files/f1/content", BEARER)
        assert c.head().status == 200
        time.sleep(1)
        assert len(sent) < 240
        c.reset()
    until(lambda: up.conns[-1].sock.fileno() == -1)


def test_no_capacity(tmp_path):
    up = Upstream()
    up.script = lambda c, r: c.wait_closed(20)
    with Proxy(OPENAI_BASE_URL=up.url, SERVICES="codex", HTTP_MAX_CONNECTIONS="1",
               HTTP_MAX_WAITING="0") as p, Client(p.codex_port) as a, Client(p.codex_port) as b:
        a.send_request("POST", "/v1/responses", BEARER, b"{}")
        until(lambda: up.requests)
        for path in ("/v1/responses", "/v1/files"):
            reply = b.request("POST", path, BEARER, b"{}")
            assert reply.status == 503 and reply.h("retry-after") == "1", reply.body
            assert reply.json()["error"]["type"] == "api_error"
            assert reply.h("access-control-allow-origin") == "*"
    up.close()


def test_broken_download_stays_broken(raw):
    proxy, up = raw

    def script(c, r):
        c.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345")
        c.close()

    up.script = script
    with Client(proxy.codex_port) as c, pytest.raises(Broken) as e:
        c.request("GET", "/v1/files/f1/content", BEARER)
    assert e.value.args[0] == b"12345"


def test_client_leaves_while_models_are_looked_up(raw, tag):
    proxy, up = raw
    up.script = lambda c, r: (time.sleep(0.5), c.reply(body=b'{"data":[{"id":"late"}]}'))
    with Client(proxy.claude_port) as c:
        c.send_request("GET", "/v1/models", {"x-api-key": tag})
        until(lambda: up.requests)
    with Client(proxy.claude_port) as c:
        reply = c.request("GET", "/v1/models", {"x-api-key": tag})
    assert [m["id"] for m in reply.json()["data"]] == ["late"] and len(up.requests) == 1

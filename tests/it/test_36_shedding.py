"""reliability.md sections 4 and 5: "memory limit" (a budget for bodies and queues), "connection
floods", keep-alive churn. Each refuses or waits; none of it disturbs what is already open."""

import json
import socket

import pytest
from proxy import SANITIZED, Proxy, until
from test_24_hostile_requests import Counted
from upstream import Upstream
from wire import Client

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


def test_budget_counts_what_is_decoded(stand):
    """A body of 200 bytes that is 60,000 long decoded."""
    import gzip
    p, up = stand
    first = hold(p, up, FIRST)
    reply = post(p, gzip.compress(padded(60_000)), {"content-encoding": "gzip"})
    assert (reply.status, p.done(reply)["refusal"]) == (503, "memory")
    first.close()
    assert until(lambda: p.metrics()["ccproxy_buffered_bytes"] == 0)
    assert post(p, gzip.compress(padded(45_000)), {"content-encoding": "gzip"}).status == 200


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

"""Errors: the upstream's word for word, the proxy's own in one shape."""

import gzip
import json
import zlib

import brotli
import pytest
import zstandard
from proxy import Proxy, until
from wire import Broken, Client

KEY = {"x-api-key": "sk-test"}
BODY = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def send(proxy, target="/v1/messages", headers=None, body=b"", service="claude", **options):
    with Client(getattr(proxy, f"{service}_port")) as c:
        return c.request("POST", target, KEY | (headers or {}), body, **options)


def check_own(reply, status, kind):
    assert reply.status == status, reply.body
    body = reply.json()
    assert body["type"] == "error" and body["error"]["type"] == kind
    return body["error"]["message"]


# --- the upstream's ---

REFUSALS = [
    (400, b'{"type":"error",  "error":{"type":"invalid_request_error","message":"safeguards: '
          b'Extra inputs are not permitted"}}\n'),
    (401, b'{"error": {"message": "bad key"}}'), (403, b"plain text"), (404, b"{}"),
    (413, b'{"x":1}'), (422, b""), (429, b'{"error":{"type":"rate_limit_error"}}'),
    (500, b"<html>oops</html>"), (503, b"{}"), (529, b'{"error":{"type":"overloaded_error"}}'),
]


@pytest.mark.parametrize("target", ["/v1/messages", "/v1/responses", "/v1/chat/completions"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status,body", REFUSALS)
def test_upstream_errors_word_for_word(raw, target, stream, status, body):
    proxy, up = raw
    headers = [("retry-after", "7"), ("request-id", "req_up"), ("x-should-retry", "false")]
    up.script = lambda c, r: c.reply(status, headers, body, "application/json; x=y")
    reply = send(proxy, target, service="codex", json=BODY | {"stream": stream})
    assert (reply.status, reply.body) == (status, body)
    assert reply.h("content-type") == "application/json; x=y"
    for name, value in headers:
        assert reply.h(name) == value
    assert len(up.requests) == 1  # no retry of what the upstream has answered


@pytest.mark.parametrize("status,kind", [(429, "rate_limit_error"), (529, "overloaded_error")])
def test_simulated_errors(proxy, status, kind):
    reply = send(proxy, headers={"x-mock-fault": f"status-{status}", "x-mock-retry-after": "3"},
                 json=BODY)
    assert (reply.status, reply.h("retry-after")) == (status, "3")
    assert reply.json()["error"]["type"] == kind
    line = proxy.wait_log("anthropic_api_error", status=status)
    assert line["error_type"] == kind
    assert "This fault" in line["body"] or "Overloaded" in line["body"]


def test_redirects_are_not_followed(raw):
    proxy, up = raw
    up.script = lambda c, r: c.reply(307, [("location", "http://evil.example/")], b"moved")
    reply = send(proxy, json=BODY)
    assert reply.status == 307 and reply.body == b"moved" and reply.h("location") is None
    assert len(up.requests) == 1


# --- ours: the body ---

@pytest.mark.parametrize("body,at", [
    (b'{"a":1,}', 7), (b'{"a":01}', 6), (b'{"a":1', 6), (b'{"a":"\x01"}', 6), (b"", 0),
    (b'{"a":1}x', 7), (b'{"a":"\xff"}', 6), (b"{'a':1}", 1), (b'{"a":NaN}', 5)])
def test_bad_json_says_where(raw, body, at):
    proxy, up = raw
    message = check_own(send(proxy, body=body), 400, "invalid_request_error")
    assert "not valid JSON" in message
    position = int(message.rsplit(" ", 1)[1])
    assert abs(position - at) <= 1, message
    assert not up.requests


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null", b"true"])
def test_not_an_object(raw, body):
    message = check_own(send(raw[0], body=body), 400, "invalid_request_error")
    assert "object" in message and not raw[1].requests


@pytest.mark.parametrize("name", ["model", "messages", "stream", "metadata", "tools"])
def test_members_given_twice(raw, name):
    """The proxy and the upstream could read different ones."""
    body = b'{"%s":1,"x":2,"%s":3}' % (name.encode(), name.encode())
    message = check_own(send(raw[0], body=body), 400, "invalid_request_error")
    assert name in message and not raw[1].requests


def test_json_bombs(raw):
    proxy, up = raw
    assert send(proxy, body=b'{"a":' + b"[" * 100000 + b"]" * 100000 + b"}").status == 400
    keys = b"{" + b",".join(b'"k%d":1' % i for i in range(200000)) + b"}"
    assert send(proxy, body=keys).status == 200
    assert up.requests[-1].body == keys


@pytest.fixture(scope="module")
def small(scripted):
    """A proxy with a body limit of 10,000 bytes."""
    with Proxy(ANTHROPIC_BASE_URL=scripted[1].url, SERVICES="claude", MAX_BODY_BYTES=10000) as p:
        yield p


def padded(n):
    return b'{"model":"m","pad":"' + b"x" * (n - 22) + b'"}'


def test_body_limit(small, raw):
    assert len(padded(10000)) == 10000
    assert send(small, body=padded(10000)).status == 200
    with Client(small.claude_port) as c:
        c.send_request("POST", "/v1/messages", KEY, padded(10001))
        reply = c.head()
        reply.body = c.body()
        check_own(reply, 413, "request_too_large")
        assert c.closed()
    assert len(raw[1].requests) == 1


def test_body_limit_chunked(small, raw):
    reply = send(small, chunks=[b"x" * 5000] * 3)
    check_own(reply, 413, "request_too_large")
    assert not raw[1].requests


@pytest.mark.row("4: early response")
def test_early_401_reaches_a_client_that_still_sends(raw):
    """A 20 MB body with an early 401: the client reads the status, no reset comes before it."""
    with Client(raw[0].claude_port) as c:
        c.method = "POST"
        c.send(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 20000000\r\n\r\n")
        assert c.head().status == 401


# --- codings ---

CODERS = {
    "gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress,
    "br": brotli.compress, "zstd": zstandard.compress,
}


@pytest.mark.parametrize("coding", CODERS)
@pytest.mark.parametrize("ua,changed", [("CherryStudio/1", True), ("curl/8", False)])
def test_coded_bodies(raw, coding, ua, changed):
    """Decoded for an adapter that needs the body."""
    proxy, up = raw
    plain = json.dumps(BODY).encode()
    reply = send(proxy, headers={"content-encoding": coding, "user-agent": ua},
                 body=CODERS[coding](plain))
    assert reply.status == 200, reply.body
    got = up.requests[-1]
    if changed:
        assert got.h("content-encoding") is None
        assert "system" in got.json() and got.json()["model"] == "claude-x"
    elif got.h("content-encoding"):
        assert got.body == CODERS[coding](plain)
    else:
        assert got.body == plain


@pytest.mark.parametrize("coding", ["compress", "identity, foo", "gzip, snappy"])
def test_unknown_codings(raw, coding):
    reply = send(raw[0], headers={"content-encoding": coding}, json=BODY)
    check_own(reply, 415, "invalid_request_error")
    assert not raw[1].requests


ZIPPED = gzip.compress(b'{"a":1}', mtime=0)  # the time would be in the tests' names


@pytest.mark.parametrize("body", [b"not gzip", ZIPPED[:-6], ZIPPED[:-2] + b"zz"])
def test_broken_gzip(raw, body):
    reply = send(raw[0], headers={"content-encoding": "gzip"}, body=body)
    check_own(reply, 400, "invalid_request_error")
    assert not raw[1].requests


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_decompression_bombs(raw, coding):
    bomb = CODERS[coding](b'{"a":"' + b" " * (80 << 20) + b'"}')
    assert len(bomb) < 1 << 20
    reply = send(raw[0], headers={"content-encoding": coding}, body=bomb)
    check_own(reply, 413, "request_too_large")
    assert not raw[1].requests


def test_undecodable_bodies_of_raw_adapters_pass(raw):
    """Codex's own upstream may know a coding that we do not."""
    proxy, up = raw
    reply = send(proxy, "/v1/responses", {"originator": "codex_exec", "content-encoding": "new"},
                 b"\x00\x01", service="codex")
    assert reply.status == 200 and up.requests[-1].body == b"\x00\x01"


# --- ours: the upstream fails before its status ---

def test_unreachable():
    with Proxy(ANTHROPIC_BASE_URL="http://127.0.0.1:9", SERVICES="claude") as p:
        for stream in (False, True):
            message = check_own(send(p, json=BODY | {"stream": stream}), 502, "api_error")
            assert "cannot be reached" in message
        p.wait_log("unexpected_error", code="UPSTREAM_CONNECT")


def test_unresolvable():
    with Proxy(ANTHROPIC_BASE_URL="http://no-such-host.invalid", SERVICES="claude") as p:
        assert "resolved" in check_own(send(p, json=BODY), 502, "api_error")


@pytest.mark.parametrize("stream", [False, True])
def test_no_status_in_time(raw, stream):
    proxy, up = raw
    gone = []
    up.script = lambda c, r: gone.append(c.wait_closed(10))
    check_own(send(proxy, json=BODY | {"stream": stream}), 504, "api_error")
    with Client(proxy.claude_port) as c:  # the loop lives on
        assert c.request("GET", "/health").status == 200
    assert until(lambda: gone) == [True]


@pytest.mark.parametrize("script", [
    lambda c, r: c.close(), lambda c, r: c.reset(),
    lambda c, r: (c.send(b"HTTP/1.1 20"), c.close()),
    lambda c, r: (c.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/ev"), c.reset())])
@pytest.mark.parametrize("stream", [False, True])
def test_broken_before_the_status(raw, script, stream):
    """A new connection: the upstream may have acted on the request, so there is no retry."""
    proxy, up = raw
    up.script = lambda c, r: c.close()
    send(proxy, json=BODY)  # uses up what is pooled
    up.requests.clear()
    up.script = script
    check_own(send(proxy, json=BODY | {"stream": stream}), 502, "api_error")
    assert len(up.requests) == 1


# reliability.md section 2
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
BAD_REPLIES = {
    "length and chunked": HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
    "two lengths": HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "bare CR": HEAD + b"x: a\rb\r\ncontent-length: 2\r\n\r\n{}",
    "bare LF": HEAD + b"x: a\ny: b\r\ncontent-length: 2\r\n\r\n{}",
    "NUL": HEAD + b"x: a\0b\r\ncontent-length: 2\r\n\r\n{}",
    "fold": HEAD + b"x: a\r\n b\r\ncontent-length: 2\r\n\r\n{}",
    "status": b"HTTP/1.1 20x OK\r\ncontent-length: 2\r\n\r\n{}",
    "not HTTP": b"SSH-2.0-OpenSSH_9\r\n\r\n",
    "nothing": b"",
    "1xx flood": b"HTTP/1.1 100 Continue\r\n\r\n" * 100 + HEAD + b"content-length: 2\r\n\r\n{}",
    "unasked 101": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "128 KiB header": HEAD + b"x: " + b"y" * 131072 + b"\r\ncontent-length: 2\r\n\r\n{}",
    "negative length": HEAD + b"content-length: -1\r\n\r\n{}",
    "bad chunk size": HEAD + b"transfer-encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_REPLIES)
def test_hostile_replies(raw, name):
    proxy, up = raw

    def script(c, r):
        c.send(BAD_REPLIES[name])
        c.close()
    up.script = script
    try:
        reply = send(proxy, json=BODY)
    except Broken:
        assert name == "bad chunk size"  # the head was on its way already
        return
    assert reply.status == 502, (reply.status, reply.body)
    check_own(reply, 502, "api_error")


GOOD_REPLIES = {
    "100": (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"content-length: 2\r\n\r\n{}", b"{}"),
    "103": (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + HEAD + b"content-length: 2\r\n\r\n{}",
            b"{}"),
    "until close": (HEAD + b"\r\n{}", b"{}"),
    "extra bytes": (HEAD + b"content-length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n", b"{}"),
    "204 with body": (b"HTTP/1.1 204 No\r\ncontent-length: 2\r\n\r\n{}", b""),
    "trailers": (HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-t: 1\r\n\r\n", b"{}"),
}


@pytest.mark.parametrize("name", GOOD_REPLIES)
def test_tolerable_replies(raw, name):
    proxy, up = raw
    data, body = GOOD_REPLIES[name]

    def script(c, r):
        c.send(data)
        if name == "until close":
            c.close()
    up.script = script
    with Client(proxy.claude_port) as c:
        reply = c.request("POST", "/v1/messages", KEY, json=BODY)
        assert reply.body == body and not reply.interim and reply.h("x-t") is None
        up.script = lambda c, r: c.reply(body=b"[2]")
        assert c.request("POST", "/v1/messages", KEY, json=BODY).body == b"[2]"
    if name in ("until close", "extra bytes", "204 with body"):
        assert up.requests[-1].number == 1  # such a connection is not used again


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("reply", [
    HEAD + b"content-length: 100\r\n\r\n{", HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
    HEAD + b"transfer-encoding: chunked\r\n\r\n10\r\n{"])
def test_truncated_plain_replies_stay_broken(raw, reply, end):
    """Never a clean end: the client must see that it is not all."""
    proxy, up = raw

    def script(c, r):
        c.send(reply)
        getattr(c, end)()
    up.script = script
    try:
        got = send(proxy, json=BODY)
    except (Broken, ConnectionResetError):
        return
    assert got.status == 502, (got.status, got.body)

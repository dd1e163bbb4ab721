"""reliability.md section 2, row by row: what a hostile or broken upstream may answer over HTTP/1.

Each row is tried with and without streaming, in every protocol, and through a conversion.
"""

import json

import pytest
from proxy import Proxy
from test_07_streams import STREAMS, check_error
from upstream import Upstream
from wire import Broken, Client

PATHS = {"messages": "/v1/messages", "responses": "/v1/responses", "chat": "/v1/chat/completions"}
SAID = [{"role": "user", "content": "hi"}]
ASKS = {"messages": {"model": "m", "max_tokens": 99, "messages": SAID},
        "responses": {"model": "m", "input": "hi"}, "chat": {"model": "m", "messages": SAID}}
WHOLE = {
    "messages": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                 "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn",
                 "usage": {"input_tokens": 1, "output_tokens": 1}},
    "responses": {"id": "resp_1", "object": "response", "status": "completed", "output": []},
    "chat": {"id": "c1", "object": "chat.completion", "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}]},
}
# the client's protocol, the upstream's, whether it is a stream
WAYS = [(p, p, s) for p in PATHS for s in (False, True)]
WAYS += [("messages", "chat", False), ("messages", "chat", True)]


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    """The claude service converts to Chat, the codex service passes everything on."""
    up = Upstream()
    admin = tmp_path_factory.mktemp("replies") / "admin"
    with Proxy(ANTHROPIC_BASE_URL=up.url, OPENAI_BASE_URL=up.url, ADMIN_LISTEN=f"unix:{admin}",
               ANTHROPIC_PROTOCOLS="chat", STREAM_PING_SECONDS=0, STREAM_OPEN_SECONDS=0) as p:
        yield p, up
    up.close()


class Payload:
    def __init__(self, protocol, stream):
        self.stream = stream
        kind = "text/event-stream" if stream else "application/json"
        self.head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n".encode()
        self.body = b"".join(STREAMS[protocol]) if stream else json.dumps(WHOLE[protocol]).encode()
        # cut where nothing is whole yet, or behind some events
        self.cut = len(b"".join(STREAMS[protocol][:2])) + 9 if stream else 20

    def fixed(self, fields=b"", extra=b""):
        return self.head + fields + b"content-length: %d\r\n\r\n" % len(self.body) + self.body + extra

    def cut_fixed(self):
        return self.fixed()[: self.cut - len(self.body)]

    def chunks(self, body=None, end=b"0\r\n\r\n"):
        body = self.body if body is None else body
        return (self.head + b"transfer-encoding: chunked\r\n\r\n"
                + b"%x\r\n%s\r\n" % (len(body), body) + end)

    def cut_chunks(self):
        return self.chunks(self.body[: self.cut], b"")

    def cut_in_chunk(self):
        return self.chunks(end=b"")[: self.cut - len(self.body) - 2]

    def until_close(self, body):
        return self.head + b"\r\n" + body


# row: the bytes, how the connection ends, what the client must see
ROWS = {
    "CL + TE in reply": (lambda d: d.fixed(b"transfer-encoding: chunked\r\n"), "", "502"),
    "two different CL in reply": (lambda d: d.fixed(b"content-length: 3\r\n"), "", "502"),
    "bare CR in reply header": (lambda d: d.fixed(b"x: a\rb\r\n"), "", "502"),
    "bare LF in reply header": (lambda d: d.fixed(b"x: a\ny: b\r\n"), "", "502"),
    "NUL in reply header": (lambda d: d.fixed(b"x: a\0b\r\n"), "", "502"),
    "obs-fold in reply": (lambda d: d.fixed(b"x: a\r\n b\r\n"), "", "502"),
    "bad status line (HTTP/1.1 20x)": (lambda d: d.fixed().replace(b"200", b"20x", 1), "", "502"),
    "not HTTP at all": (lambda d: b"SSH-2.0-OpenSSH_9\r\n\r\n", "", "502"),
    "not HTTP at all, HTML": (lambda d: b"<html>busy</html>\r\n", "close", "502"),
    "empty reply then close": (lambda d: b"", "close", "502"),
    "truncated head then close": (lambda d: d.head, "close", "502"),
    "truncated CL body, FIN": (Payload.cut_fixed, "close", "error end"),
    "truncated CL body, RST": (Payload.cut_fixed, "reset", "error end"),
    "truncated chunked, FIN": (Payload.cut_chunks, "close", "error end"),
    "truncated chunked, RST": (Payload.cut_chunks, "reset", "error end"),
    "truncated inside chunk, FIN": (Payload.cut_in_chunk, "close", "error end"),
    "bad chunk size": (lambda d: d.cut_chunks() + b"xyz\r\n", "", "error end"),
    "bad chunk size, 0x": (lambda d: d.cut_chunks() + b"0x5\r\nhello\r\n", "", "error end"),
    "chunk size overflow": (lambda d: d.cut_chunks() + b"1" + b"0" * 16 + b"\r\n", "", "error end"),
    "bad chunk size at once": (lambda d: d.chunks(end=b"").replace(b"\r\n\r\n", b"\r\n\r\nzz", 1),
                               "", "error end"),
    "no length, read-until-close": (lambda d: d.until_close(d.body), "close", "fine"),
    "no length, cut": (lambda d: d.until_close(d.body[: d.cut]), "close", "cut"),
    "extra bytes after CL body": (lambda d: d.fixed(extra=b"HTTP/1.1 200 OK\r\n\r\n"), "", "alone"),
    "100x 100-continue then 200": (
        lambda d: b"HTTP/1.1 100 Continue\r\n\r\n" * 100 + d.fixed(), "", "502"),
    "103 early hints then 200": (
        lambda d: b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + d.fixed(), "", "fine"),
    "unasked 101": (lambda d: b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n"
                              b"connection: upgrade\r\n\r\n", "", "502"),
    "128 KiB reply header": (lambda d: d.fixed(b"x: " + b"y" * 131072 + b"\r\n"), "", "502"),
    "204 with body": (lambda d: d.fixed().replace(b"200 OK", b"204 No", 1), "", "204"),
    "reply trailers": (lambda d: d.chunks(end=b"0\r\nx-t: 1\r\nhost: x\r\n\r\n"), "",
                       "fine"),
    "CL: -1 in reply": (lambda d: d.head + b"content-length: -1\r\n\r\n" + d.body, "", "502"),
}


def check_plain_error(reply):
    assert reply.status == 502
    error = json.loads(reply.body)
    assert error["type"] == "error" and error["error"]["type"] == "api_error"


def check_error_end(client, reply, way, good):
    """A stream: whole events, the error event, a clean end. Else what cannot be taken for whole."""
    protocol, upstream_protocol, stream = way
    if not stream:
        with pytest.raises((Broken, ConnectionResetError)):
            client.body()
        return
    body = client.body()
    assert reply.status == 200
    assert body.startswith(good)
    if good:
        check_error(protocol, body[len(good):], 2, "resp_1")
    else:  # a conversion holds the first events back; nothing has come of a chunk that is bad
        assert b"event: error\n" in body or b'data: {"error":' in body
    for mark in (b"message_stop", b"response.completed", b"[DONE]"):
        assert mark not in body
    assert client.request("GET", "/health").status == 200  # the connection is in step


@pytest.mark.parametrize("way", WAYS, ids=lambda w: "-".join(dict.fromkeys(w[:2])) + "-stream" * w[2])
@pytest.mark.parametrize("row", ROWS)
@pytest.mark.row("2: {row}", "4: extra bytes")
def test_row(stand, row, way):
    p, up = stand
    protocol, upstream_protocol, stream = way
    data = Payload(upstream_protocol, stream)
    make, end, wanted = ROWS[row]
    converted = protocol != upstream_protocol
    if wanted == "cut":  # only a stream, or a conversion, shows that its end is missing
        wanted = "error end" if stream else "502" if converted else "unknown"
    if wanted == "204" and converted:  # nothing to convert
        wanted = "502"
    port = p.claude_port if converted else p.codex_port

    def script(c, r):
        c.send(make(data))
        if end:
            getattr(c, end)()
    up.forget()
    up.script = script
    before = p.metrics()
    with Client(port) as c:
        c.send_request("POST", PATHS[protocol], {"authorization": "Bearer k"},
                       json=ASKS[protocol] | {"stream": stream})
        reply = c.head()
        assert not reply.interim and not reply.all("x-t")
        if wanted == "502" or (wanted == "error end" and reply.status == 502):
            reply.body = c.body()
            check_plain_error(reply)
        elif wanted == "error end":
            passed = not converted and "at once" not in row
            check_error_end(c, reply, way, b"".join(STREAMS[protocol][:2]) if passed else b"")
        elif wanted == "204":
            assert reply.status == 204 and c.body() == b""
        elif wanted in ("fine", "alone"):
            body = c.body()
            assert reply.status == 200
            if converted:
                assert ("\u6f22".encode() if stream else b"ok") in body
            else:
                assert body == data.body
    assert len(up.requests) == 1 or row == "empty reply then close"  # on a conn that was used
    done = p.done(reply)
    failed = wanted in ("502", "error end")
    assert done.get("error", "").startswith("UPSTREAM_") == failed, done
    grown = {n: v - before[n] for n, v in p.metrics().items()}
    valid = "no length" in row or "204" in row  # as far as HTTP goes
    assert grown["ccproxy_upstream_errors_total"] == (failed and not valid)
    assert grown["ccproxy_streams_broken_total"] == (failed and reply.status == 200 and stream)
    assert not [n for n, v in grown.items() if n.startswith("ccproxy_refused") and v]
    if wanted != "fine":  # such a connection is never used again
        up.script = lambda c, r: c.reply(body=json.dumps(WHOLE[upstream_protocol]).encode())
        with Client(port) as c:
            assert c.request("POST", PATHS[protocol], {"authorization": "Bearer k"},
                             json=ASKS[protocol]).status == 200
        assert up.requests[-1].number == 1

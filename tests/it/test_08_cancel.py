"""A client that leaves, in any phase: the upstream request is closed, and the log says so."""

import threading

import h2.config
import h2.connection
import pytest
from proxy import until
from wire import Client

KEY = {"x-api-key": "sk-test"}
BODY = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
EVENT = b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n'


class Watched:
    """A script that says when it is at its waiting point and when the proxy has hung up."""

    def __init__(self, begin=None):
        self.begin = begin
        self.there, self.gone = threading.Event(), threading.Event()

    def __call__(self, conn, _request):
        if self.begin:
            self.begin(conn)
        self.there.set()
        if conn.wait_closed(10):
            self.gone.set()


def stream_begins(conn):
    conn.stream_head()
    conn.chunk(EVENT)


def body_begins(conn):
    conn.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{")


LEAVE = {"close": Client.close, "reset": Client.reset,
         "half-close": lambda c: c.sock.shutdown(1)}


def check_logged(proxy, since):
    line = proxy.wait_log("client_disconnected", since)
    assert line["level"].lower() == "info" and line["duration_ms"] >= 0
    done = proxy.wait_log("request_done", since, request_id=line["request_id"])
    assert done["ended"] == "client_gone" and done["error"] == "CLIENT_GONE"


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.row("5: client disconnect")
def test_before_the_body_is_complete(raw, how):
    proxy, up = raw
    since = len(proxy.lines)
    c = Client(proxy.claude_port)
    c.send(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\ncontent-length: 99\r\n\r\n{")
    LEAVE[how](c)
    check_logged(proxy, since)
    assert not up.requests


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("begin", [None, stream_begins, body_begins])
@pytest.mark.row("5: client disconnect")
def test_while_the_upstream_is_at_work(raw, how, stream, begin):
    """Waiting for the status, in a stream, in a plain reply."""
    proxy, up = raw
    up.script = script = Watched(begin)
    since = len(proxy.lines)
    c = Client(proxy.claude_port)
    c.send_request("POST", "/v1/messages", KEY, json=BODY | {"stream": stream})
    assert script.there.wait(10)
    if begin:
        assert c.head().status == 200
    LEAVE[how](c)
    assert script.gone.wait(1.0)
    check_logged(proxy, since)
    c.close()


@pytest.mark.row("5: client disconnect")
def test_during_an_upload(raw):
    proxy, up = raw
    c = Client(proxy.claude_port)
    c.send(b"POST /v1/files HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\ncontent-length: 99\r\n\r\nabc")
    until(lambda: any(b"abc" in conn.raw for conn in up.conns))
    since = len(proxy.lines)
    c.close()
    check_logged(proxy, since)
    assert not up.requests


def test_a_pipelined_request_behind_is_dropped(raw):
    proxy, up = raw
    up.script = script = Watched()
    with Client(proxy.claude_port) as c:
        c.send_request("POST", "/v1/messages", KEY, json=BODY)
        c.send_request("POST", "/v1/messages", KEY, json=BODY)
        assert script.there.wait(10)
    assert script.gone.wait(1.0)
    assert len(up.requests) == 1


def test_stall_of_the_simulator(proxy, sim, tag):
    with Client(proxy.claude_port) as c:
        c.send_request("POST", "/v1/messages", KEY | {"x-test-id": tag, "x-mock-fault": "stall"},
                       json=BODY | {"stream": True})
        c.head()
        c.until(b"message_start")
    sim.wait_cancelled(tag)


# --- HTTP/2 ---

class H2:
    def __init__(self, port):
        self.client = Client(port)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.seen = []
        self.flush()

    def flush(self):
        self.client.send(self.h2.data_to_send())

    def post(self, body):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [
            (":method", "POST"), (":scheme", "http"), (":authority", "localhost"),
            (":path", "/v1/messages"), ("x-api-key", "k"), ("content-type", "application/json")])
        self.h2.send_data(stream, body, end_stream=True)
        self.flush()
        return stream

    def wait(self, kind, stream):
        while True:
            for e in self.seen:
                if isinstance(e, kind) and e.stream_id == stream:
                    self.seen.remove(e)
                    return e
            self.seen += self.h2.receive_data(self.client.sock.recv(65536))
            self.flush()


@pytest.mark.parametrize("begin", [None, stream_begins])
@pytest.mark.row("5: client disconnect")
def test_http2_reset_of_one_stream(raw, begin):
    """The other streams of the connection live on."""
    proxy, up = raw
    doomed, other = Watched(begin), threading.Event()

    def script(c, r):
        if b"doomed" in r.body:
            doomed(c, r)
        else:
            c.stream_head()
            c.chunk(EVENT)
            assert other.wait(10)
            c.chunk(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
            c.last_chunk()
    up.script = script
    since = len(proxy.lines)
    conn = H2(proxy.claude_port)
    one = conn.post(b'{"doomed":1,"stream":true}')
    two = conn.post(b'{"stream":true}')
    assert doomed.there.wait(10)
    conn.wait(h2.events.DataReceived, two)
    conn.h2.reset_stream(one, error_code=8)
    conn.flush()
    assert doomed.gone.wait(1.0)
    check_logged(proxy, since)
    other.set()
    assert b"message_stop" in conn.wait(h2.events.DataReceived, two).data
    conn.wait(h2.events.StreamEnded, two)
    conn.client.close()


@pytest.mark.row("5: client disconnect")
def test_http2_connection_lost(raw):
    proxy, up = raw
    scripts = []

    def script(c, r):
        scripts.append(Watched(stream_begins))
        scripts[-1](c, r)
    up.script = script
    conn = H2(proxy.claude_port)
    for _ in range(3):
        stream = conn.post(b'{"stream":true}')
        conn.wait(h2.events.DataReceived, stream)
    conn.client.close()
    for s in scripts:
        assert s.gone.wait(1.0)
    assert len(scripts) == 3

"""Found by a second reading: uploads, model lists, keep-alives, folded replies."""

import socket
import time

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded
from proxy import Proxy, until
from upstream import Upstream
from wire import Client

KEY = {"x-api-key": "sk-test"}
BEARER = {"authorization": "Bearer sk-test"}


def h2_request(port, path, pieces, pause=0.0):
    """POST over HTTP/2 by prior knowledge, all of it in one write; (status, body)."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        h2.initiate_connection()
        h2.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":authority", "x"),
                            (":path", path), ("authorization", "Bearer k"),
                            ("content-length", str(sum(map(len, pieces))))])
        for n, piece in enumerate(pieces, 1):
            h2.send_data(1, piece, end_stream=n == len(pieces))
        s.sendall(h2.data_to_send())
        status, body = 0, b""
        while True:
            data = s.recv(65536)
            assert data, "the proxy closed the connection"
            for event in h2.receive_data(data):
                if isinstance(event, ResponseReceived):
                    status = int(dict(event.headers)[":status"])
                elif isinstance(event, DataReceived):
                    body += event.data
                elif isinstance(event, StreamEnded):
                    return status, body


def test_upload_over_http2_that_does_not_wait(raw):
    """The first bytes come with the head, long before the upstream is connected."""
    proxy, up = raw
    up.script = lambda c, r: c.reply(body=b"%d" % len(r.body))
    pieces = [b"a" * 16000, b"b" * 16000, b"c" * 9]
    assert h2_request(proxy.codex_port, "/v1/files", pieces) == (200, b"32009")
    assert up.requests[-1].body == b"".join(pieces)
    assert not proxy.log(event="worker_died")


def test_empty_upload_over_http2(raw):
    proxy, up = raw
    up.script = lambda c, r: c.reply(body=b"%d" % len(r.body))
    assert h2_request(proxy.codex_port, "/v1/files", [b""]) == (200, b"0")


def test_slow_uploads_are_no_silence_of_the_upstream(raw):
    """HTTP_TIMEOUT (2 s) is for an upstream that owes a status, not for a client that sends."""
    proxy, up = raw
    with Client(proxy.codex_port) as c:
        c.send_request("POST", "/v1/files", BEARER, length=8)
        for _ in range(8):
            time.sleep(0.4)
            c.send(b"x")
        assert c.head().status == 200


def test_get_on_a_stale_connection_is_sent_again(raw):
    """Pass-through requests without a body lose nothing by it."""
    proxy, up = raw

    def script(c, r):
        if r.number == 2:  # kept alive, then closed without a word
            c.close()
        else:
            c.reply(body=b"fine")

    up.script = script
    with Client(proxy.codex_port) as c:
        assert c.request("GET", "/v1/files", BEARER).status == 200
        reply = c.request("GET", "/v1/files", BEARER)
    assert (reply.status, reply.body) == (200, b"fine")


def test_models_answer_again_and_again_though_the_upstream_does_not():
    """Who asks while an old look-up still hangs does not wait for its end, at HTTP_TIMEOUT."""
    up, closed = Upstream(), []
    up.script = lambda c, r: closed.append(c.wait_closed(20))
    with Proxy(ANTHROPIC_BASE_URL=up.url, MODELS="m1", HTTP_TIMEOUT="4", SERVICES="claude") as p:
        for _ in range(2):
            with Client(p.claude_port, timeout=4) as c:
                reply = c.request("GET", "/v1/models", KEY)
            assert [m["id"] for m in reply.json()["data"]] == ["m1"]
        until(lambda: closed == [True])
        assert len(up.requests) == 1
    up.close()


def test_models_from_an_upstream_that_lists_nonsense(raw, tag):
    """Two million elements: the answer is what is configured or a list, not a dead worker."""
    proxy, up = raw
    up.script = lambda c, r: c.reply(body=b'{"data":[' + b"0," * 2000000 + b"0]}")
    with Client(proxy.claude_port) as c:
        assert c.request("GET", "/v1/models", {"x-api-key": tag}).status == 200
    assert not proxy.log(event="worker_died")


ADAPTERS = """{"version": 1, "adapters": [{"name": "folds", "priority": 900,
  "match": {"header": "x-fold", "present": true}, "actions": [{"op": "force_stream"}]}]}"""
MESSAGE = (b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":'
           b'"message","role":"assistant","content":[],"model":"x","stop_reason":null,"usage":'
           b'{"input_tokens":1,"output_tokens":1}}}\n\n'
           b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":'
           b'"end_turn"},"usage":{"output_tokens":2}}\n\n'
           b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


@pytest.fixture(scope="module")
def folding(tmp_path_factory):
    path = tmp_path_factory.mktemp("folding") / "adapters.json"
    path.write_text(ADAPTERS)
    up = Upstream()
    with Proxy(ANTHROPIC_BASE_URL=up.url, OPENAI_BASE_URL=up.url, ADAPTERS_FILE=path) as p:
        yield p, up
    up.close()


def test_folded_replies_keep_the_upstreams_headers(folding):
    proxy, up = folding
    up.script = lambda c, r: c.stream(MESSAGE, "request-id: req_up", "retry-after: 7",
                                      "anthropic-ratelimit-requests-remaining: 3",
                                      "set-cookie: a=b")
    with Client(proxy.claude_port) as c:
        reply = c.request("POST", "/v1/messages", KEY | {"x-fold": "1"},
                          json={"model": "m", "messages": []})
    assert reply.h("content-type") == "application/json" and reply.json()["stop_reason"]
    assert reply.h("request-id") == "req_up" and reply.h("retry-after") == "7"
    assert reply.h("anthropic-ratelimit-requests-remaining") == "3"
    assert reply.h("set-cookie") is None and reply.h("cache-control") is None


def test_pings_come_back_after_a_slow_reader():
    """While the client does not read no ping is due; afterwards they are."""
    up = Upstream()
    event = b'event: x\ndata: {"type":"x","t":"' + b"y" * 60000 + b'"}\n\n'

    def script(c, r):
        c.stream_head()
        c.chunk(MESSAGE.split(b"\n\n")[0] + b"\n\n")
        for _ in range(150):
            c.chunk(event)
        c.wait_closed(20)

    up.script = script
    with Proxy(ANTHROPIC_BASE_URL=up.url, STREAM_PING_SECONDS="0.3", STREAM_IDLE_SECONDS="0",
               SERVICES="claude") as p, Client(p.claude_port, rcvbuf=8192, timeout=6) as c:
        c.send_request("POST", "/v1/messages", KEY, json={"stream": True, "messages": []})
        assert c.head().status == 200
        time.sleep(1.0)
        for _ in range(150):
            c.until(b'"}\n\n')
        c.until(b"event: ping")
        c.until(b"event: ping")
    up.close()


@pytest.mark.parametrize("field", [200000])
def test_the_largest_header_that_can_be_allowed(field):
    """MAX_HEADER_BYTES at its maximum: no header within it may take a worker down."""
    up = Upstream()
    with Proxy(ANTHROPIC_BASE_URL=up.url, MAX_HEADER_BYTES="1M", MAX_FIELD_BYTES="256K",
               SERVICES="claude") as p:
        for target in ("/v1/messages", "/v1/files", "/health"):
            with Client(p.claude_port) as c:
                headers = KEY | {f"x-{n}": "v" * field for n in range(5)}
                method = "GET" if target == "/health" else "POST"
                status = c.request(method, target, headers, json={"messages": []}).status
                assert status in (200, 431)
        until(lambda: p.log(event="request_done"))
        assert not p.log(event="worker_died")
    up.close()


class H2:
    """One HTTP/2 connection by prior knowledge, driven by hand."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.replies = {}

    def head(self, stream, path, end=False):
        self.h2.send_headers(stream, [(":method", "POST"), (":scheme", "http"),
                                      (":authority", "x"), (":path", path),
                                      ("authorization", "Bearer k")], end_stream=end)
        self.flush()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def read(self):
        data = self.sock.recv(65536)
        assert data, "the proxy closed the connection"
        for event in self.h2.receive_data(data):
            if isinstance(event, DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.replies[event.stream_id] = self.replies.get(event.stream_id, b"") + event.data
            elif isinstance(event, StreamEnded):
                self.replies[-event.stream_id] = True
        self.flush()

    def send_all(self, stream, data):
        while data:
            room = min(self.h2.local_flow_control_window(stream), 16384, len(data))
            if room == 0:
                self.read()
                continue
            self.h2.send_data(stream, data[:room])
            data = data[room:]
            self.flush()
        self.h2.end_stream(stream)
        self.flush()


def test_large_upload_over_http2(raw):
    """Many windows, without a length."""
    proxy, up = raw
    up.script = lambda c, r: c.reply(body=b"%d" % len(r.body))
    c = H2(proxy.codex_port)
    c.head(1, "/v1/files")
    c.send_all(1, b"x" * 3000000)
    while -1 not in c.replies:
        c.read()
    assert c.replies[1] == b"3000000"
    assert set(up.requests[-1].body) == {ord("x")}


@pytest.mark.parametrize("path", ["/v1/files", "/v1/responses"])
@pytest.mark.parametrize("when", ["at once", "uploading", "waiting"])
def test_http2_streams_that_are_reset(raw, tag, path, when):
    """The connection lives on, the upstream's ends."""
    proxy, up = raw
    waits, left = [], []

    def script(c, r):
        if r.target.endswith("again"):
            c.reply(body=b"fine")
            return
        waits.append(1)
        left.append(c.wait_closed(10))

    up.script = script
    c = H2(proxy.codex_port)
    c.head(1, path)
    if when != "at once":
        c.h2.send_data(1, b'{"a":', end_stream=False)
        c.flush()
    if when == "waiting":
        c.h2.send_data(1, b"1}", end_stream=True)
        c.flush()
        until(lambda: waits)
    c.h2.reset_stream(1)
    c.head(3, "/v1/files/again", end=True)
    while -3 not in c.replies:
        c.read()
    assert c.replies[3] == b"fine"
    if when == "waiting":
        until(lambda: left)
        assert left == [True]


def test_compaction_is_no_stream():
    """It may take long, but what comes is JSON, even if the client says `stream`."""
    up = Upstream()
    up.script = lambda c, r: (time.sleep(1), c.reply(body=b'{"ok":1}'))
    with Proxy(OPENAI_BASE_URL=up.url, SERVICES="codex", STREAM_OPEN_SECONDS="0.2") as p:
        with Client(p.codex_port) as c:
            reply = c.request("POST", "/v1/responses/compact", BEARER, b'{"stream":true}')
    assert reply.json() == {"ok": 1}
    up.close()


def test_models_for_very_many_keys_at_once(raw, tag):
    """More look-ups than are kept: the configured list, never an error."""
    proxy, up = raw
    up.script = lambda c, r: c.wait_closed(10)
    clients = [Client(proxy.claude_port) for _ in range(70)]
    for n, c in enumerate(clients):
        c.send_request("GET", "/v1/models", {"x-api-key": f"{tag}-{n}"})
    for c in clients:
        assert c.head().status == 200
        c.close()


def test_unknown_client_types_are_logged_once(proxy, tag):
    seen = len(proxy.lines)
    with Client(proxy.claude_port) as c:
        for value in (tag, tag, tag.upper()):
            reply = c.request("POST", "/v1/messages", KEY | {"x-client-type": value},
                              json={"messages": []})
            assert reply.h("x-cc-proxy-adapter") == "custom"
        c.request("GET", "/health")  # a line behind theirs
    proxy.wait_log("request_done", path="/health", since=seen)
    assert len(proxy.log(event="client_type_unknown", client_type=tag)) == 1
    assert not proxy.log(event="client_type_unknown", client_type=tag.upper())

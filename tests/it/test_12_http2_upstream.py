"""An HTTP/2 upstream that refuses, goes away and resets: retried where nothing is lost."""

import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest
from proxy import Proxy
from upstream import serve_each
from wire import Client, events

KEY = {"x-api-key": "k"}
BODY = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
START = b'event: message_start\ndata: {"type":"message_start"}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class Http2Upstream:
    """script(conn, stream id, number of the request) runs when a request is complete."""

    def __init__(self, pair, settings=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*pair)
        self.context.set_alpn_protocols(["h2"])
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self.listener.getsockname()[1]}"
        self.settings = settings or {}
        self.lock = threading.Lock()
        self.conns, self.requests = 0, []
        self.script = lambda c, stream, n: c.reply(stream)
        serve_each(self.listener, self._serve)

    def close(self):
        self.listener.close()

    def _serve(self, sock):
        with self.lock:
            self.conns += 1
            number = self.conns
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock = self.context.wrap_socket(sock, server_side=True)
            conn = Http2Conn(sock, number, self.settings)
            while data := sock.recv(65536):
                for e in conn.h2.receive_data(data):
                    if isinstance(e, h2.events.DataReceived):
                        conn.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
                    elif isinstance(e, h2.events.StreamEnded):
                        self.requests.append((number, e.stream_id))
                        self.script(conn, e.stream_id, len(self.requests))
                conn.flush()
        except OSError:
            pass
        finally:
            sock.close()


class Http2Conn:
    def __init__(self, sock, number, settings):
        self.sock, self.number = sock, number
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.update_settings(settings)
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def head(self, stream, content_type="application/json"):
        self.h2.send_headers(stream, [(":status", "200"), ("content-type", content_type)])
        self.flush()

    def begin_events(self, stream):
        self.head(stream, "text/event-stream")
        self.h2.send_data(stream, START)
        self.flush()

    def reply(self, stream, body=b"{}"):
        self.head(stream)
        self.h2.send_data(stream, body, end_stream=True)
        self.flush()

    def reset(self, stream, code):
        self.h2.reset_stream(stream, code)
        self.flush()

    def goaway(self, last):
        self.h2.close_connection(last_stream_id=last)
        self.flush()


@pytest.fixture
def front(certificates):
    up = Http2Upstream(certificates.pair)
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", HTTP_TIMEOUT="5",
               UPSTREAM_CA_FILE=certificates.ca) as p:
        yield p, up
    up.close()


def post(proxy, **more):
    with Client(proxy.claude_port) as c:
        return c.request("POST", "/v1/messages", KEY, json=BODY | more)


def test_one_connection_serves_all(front):
    proxy, up = front
    assert [post(proxy).status for _ in range(5)] == [200] * 5
    assert up.conns == 1 and len(up.requests) == 5


@pytest.mark.parametrize("warm", [False, True])
def test_refused_stream_is_retried_once(front, warm):
    proxy, up = front
    if warm:
        assert post(proxy).status == 200
    before = len(up.requests)
    up.script = lambda c, s, n: (c.reset(s, h2.errors.ErrorCodes.REFUSED_STREAM)
                                 if n == before + 1 else c.reply(s, b'{"ok":1}'))
    reply = post(proxy)
    assert (reply.status, reply.body) == (200, b'{"ok":1}')
    assert len(up.requests) == before + 2
    assert proxy.done(reply)["attempts"] == 2


def test_always_refused_is_502(front):
    proxy, up = front
    up.script = lambda c, s, n: c.reset(s, h2.errors.ErrorCodes.REFUSED_STREAM)
    reply = post(proxy)
    assert reply.status == 502 and reply.json()["error"]["type"] == "api_error"
    assert len(up.requests) == 2


@pytest.mark.row("5: 429/529/503 storm", lacks="circuit and jitter: several upstreams for a model")
@pytest.mark.row("5: retry duplication")
def test_retries_have_a_budget(certificates, tmp_path):
    """429/529/503 storm, "at 100 % errors upstream sees <= 1.1x offered load": the upstream refuses every stream."""
    up = Http2Upstream(certificates.pair)
    up.script = lambda c, s, n: c.reset(s, h2.errors.ErrorCodes.REFUSED_STREAM)
    offered = 1500
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", ADMIN_LISTEN=f"unix:{tmp_path}/admin",
               UPSTREAM_CA_FILE=certificates.ca) as p, Client(p.claude_port) as c:
        for _ in range(offered):
            assert c.request("POST", "/v1/messages", KEY, json=BODY).status == 502
        counts = p.metrics()
        seen = len(up.requests)
        assert offered + 90 <= seen <= offered * 1.1
        assert counts["ccproxy_upstream_retries_total"] == seen - offered
        assert counts["ccproxy_upstream_retries_refused_total"] == 2 * offered - seen
        up.script = lambda c, s, n: c.reply(s)  # replies earn new ones
        for _ in range(30):
            assert c.request("POST", "/v1/messages", KEY, json=BODY).status == 200
        before = len(up.requests)
        up.script = lambda c, s, n: (c.reset(s, h2.errors.ErrorCodes.REFUSED_STREAM)
                                     if n == before + 1 else c.reply(s))
        assert c.request("POST", "/v1/messages", KEY, json=BODY).status == 200
    up.close()


def test_goaway_below_our_stream_is_retried_elsewhere(front):
    """The upstream says it has not seen it: another connection."""
    proxy, up = front
    assert post(proxy).status == 200
    up.script = lambda c, s, n: (c.goaway(s - 2) if c.number == 1 else c.reply(s, b'{"ok":2}'))
    reply = post(proxy)
    assert (reply.status, reply.body) == (200, b'{"ok":2}')
    assert up.conns == 2 and len(up.requests) == 3


def test_goaway_above_our_stream_lets_it_finish(front):
    """What the upstream has taken on is finished there; the next goes to a new connection."""
    proxy, up = front

    def script(c, s, n):
        if n > 1:
            c.reply(s)
            return
        c.begin_events(s)
        # h2 takes its connection for closed after GOAWAY, so the frame is written by hand.
        c.sock.sendall(b"\0\0\x08\x07\0\0\0\0\0" + s.to_bytes(4, "big") + b"\0\0\0\0")
        c.h2.send_data(s, STOP, end_stream=True)
        c.flush()
    up.script = script
    reply = post(proxy, stream=True)
    assert [n for n, _ in events(reply.body)] == ["message_start", "message_stop"]
    assert post(proxy).status == 200
    assert up.conns == 2 and len(up.requests) == 2


@pytest.mark.parametrize("code", [h2.errors.ErrorCodes.INTERNAL_ERROR, h2.errors.ErrorCodes.CANCEL])
def test_reset_before_the_status_is_502(front, code):
    """It may have been acted upon: no second try."""
    proxy, up = front
    up.script = lambda c, s, n: c.reset(s, code)
    assert post(proxy).status == 502
    assert len(up.requests) == 1


def test_reset_in_the_stream_is_an_error_event(front):
    proxy, up = front

    up.script = lambda c, s, n: (c.begin_events(s),
                                 c.reset(s, h2.errors.ErrorCodes.INTERNAL_ERROR))
    body = post(proxy, stream=True).body
    assert [n for n, _ in events(body)][-1] == "error" and b"message_stop" not in body
    up.script = lambda c, s, n: c.reply(s)
    assert post(proxy).status == 200
    assert up.conns == 1  # the connection lives on


def test_one_stream_at_a_time(certificates):
    """MAX_CONCURRENT_STREAMS 1: nothing is lost, nothing refused."""
    up = Http2Upstream(certificates.pair, {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude",
               UPSTREAM_CA_FILE=certificates.ca) as p:
        clients = [Client(p.claude_port) for _ in range(8)]
        for c in clients:
            c.send_request("POST", "/v1/messages", KEY, json=BODY)
        assert [c.head().status for c in clients] == [200] * 8
        for c in clients:
            c.close()
    assert len(up.requests) == 8
    up.close()


def test_connection_lost_with_many_streams(front):
    """Each stream ends with its own error event."""
    proxy, up = front

    def script(c, s, n):
        c.begin_events(s)
        if n == 4:  # the others have begun
            c.sock.close()
    up.script = script
    clients = []
    for _ in range(4):
        c = Client(proxy.claude_port)
        clients.append(c)
        c.send_request("POST", "/v1/messages", KEY, json=BODY | {"stream": True})
        assert c.head().status == 200
        c.until(START)
    for c in clients:
        assert [n for n, _ in events(c.body())] == ["error"]
        c.close()

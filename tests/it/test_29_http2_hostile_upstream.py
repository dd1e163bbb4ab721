"""reliability.md sections 2, 3 and 5 over HTTP/2: an upstream that floods us, breaks the protocol
or goes away. Raw frames; each request is counted at the upstream, so that none is lost or sent
twice.
"""

import json
import socket
import ssl
import struct
import threading
import time

import pytest
from frames import (ACK, CALM, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING,
                    PREFACE, PRIORITY, PROTOCOL_ERROR, PUSH, RST, SETTINGS, WINDOW, frame, parse)
from hpack import Encoder
from proxy import SANITIZED, Proxy
from upstream import serve_each
from wire import Client, events

KEY = {"x-api-key": "k"}
BODY = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
START = b'event: message_start\ndata: {"type":"message_start"}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
NO_ERROR, FLOW_CONTROL, FRAME_SIZE, REFUSED, COMPRESSION = 0, 3, 6, 7, 9
ANY = None


class Conn:
    def __init__(self, up, sock, number):
        self.up, self.sock, self.number = up, sock, number
        self.encoder = Encoder()
        self.raw = b""
        self.began = 0  # END_STREAM, once there has been a head: what follows are trailers
        self.goaway = None  # the code of what the proxy said last
        self.open, self.bodies = set(), {}
        self.ended = threading.Event()

    def send(self, data):
        self.sock.sendall(data)

    def block(self, *fields, status="200", content_type="text/event-stream"):
        return self.encoder.encode([(":status", status), ("content-type", content_type), *fields])

    def head(self, stream, *fields, **options):
        self.send(frame(HEADERS, END_HEADERS, stream, self.block(*fields, **options)))

    def reply(self, stream, body=b'{"ok":1}'):
        self.head(stream, content_type="application/json")
        self.send(frame(DATA, END_STREAM, stream, body))

    def reset(self, stream, code):
        self.send(frame(RST, 0, stream, struct.pack(">I", code)))

    def run(self):
        """Answers whole requests by the script until the connection ends."""
        self.send(frame(SETTINGS, 0, 0, self.up.settings))
        taken = 0
        while data := self.sock.recv(1 << 16):
            self.raw += data
            if not self.raw.startswith(PREFACE):
                continue
            found = parse(self.raw[len(PREFACE):])
            for kind, flags, stream, payload in found[taken:]:
                self.take(kind, flags, stream, payload)
            taken = len(found)

    def take(self, kind, flags, stream, payload):
        if kind == GOAWAY:
            self.goaway = struct.unpack(">I", payload[4:8])[0]
        elif kind == RST:
            self.open.discard(stream)
        elif kind == HEADERS:
            if len(self.open) >= self.up.max_streams:
                self.reset(stream, REFUSED)
                return
            self.open.add(stream)
            self.bodies[stream] = b""
        if kind == DATA and stream in self.open:
            self.bodies[stream] += payload
        if kind in (HEADERS, DATA) and flags & END_STREAM and stream in self.open:
            with self.up.lock:
                self.up.requests.append((self.number, stream))
                n = len(self.up.requests)
            self.up.script(self, stream, n)


class RawUpstream:
    """script(conn, stream, number of the request) runs when a request is complete."""

    def __init__(self, pair):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*pair)
        self.context.set_alpn_protocols(["h2"])
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self.listener.getsockname()[1]}"
        self.lock = threading.Lock()
        self.conns = []
        self.forget()
        serve_each(self.listener, self._serve)

    def forget(self, settings=b""):
        self.requests, self.settings, self.max_streams = [], settings, 1000
        self.script = lambda c, s, n: c.reply(s)
        for c in self.conns:
            try:
                c.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended
        self.conns = []

    def close(self):
        self.listener.close()
        self.forget()

    def _serve(self, sock):
        try:
            sock = self.context.wrap_socket(sock, server_side=True)
        except OSError:
            return
        with self.lock:
            conn = Conn(self, sock, len(self.conns) + 1)
            self.conns.append(conn)
        try:
            conn.run()
        except OSError:
            pass
        conn.ended.set()
        sock.close()


@pytest.fixture(scope="module")
def pair(certificates, tmp_path_factory):
    up = RawUpstream(certificates.pair)
    admin = tmp_path_factory.mktemp("hostile") / "admin"
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", HTTP_TIMEOUT="10",
               UPSTREAM_CA_FILE=certificates.ca, ADMIN_LISTEN=f"unix:{admin}") as p:
        yield p, up
    up.close()


@pytest.fixture
def front(pair):
    proxy, up = pair
    old = up.conns
    up.forget()
    assert all(c.ended.wait(10) for c in old)
    time.sleep(0.02)  # FIN is on its way
    return proxy, up


def post(proxy, timeout=20, **more):
    with Client(proxy.claude_port, timeout=timeout) as c:
        return c.request("POST", "/v1/messages", KEY, json=BODY | more)


# --- floods and faults ---

def repeat(data, n):
    def send(c, _):
        piece = data * 1000
        for _ in range(0, n, 1000):
            c.send(piece)
    return send


def once(make):
    return lambda c, s: c.send(make(c, s))


def bomb(name, value, refs):
    """One field in the table and references to it: in a head, or in trailers."""
    def make(c, s):
        first = c.encoder.encode([(name, value)])
        return frame(HEADERS, END_HEADERS | c.began, s,
                     (b"" if c.began else b"\x88") + first + b"\xbe" * refs)
    return once(make)


def blocks(payload, n):
    return once(lambda c, s: frame(HEADERS, c.began, s, b"" if c.began else b"\x88")
                + frame(CONTINUATION, 0, s, payload) * n)


def length(n):
    """As HPACK writes it (rfc7541,s5.1, prefix of 7 bits)."""
    if n < 127:
        return bytes([n])
    n -= 127
    more = b"\x7f"
    while n >= 128:
        more += bytes([n % 128 + 128])
        n //= 128
    return more + bytes([n])


def literal(name, value):
    return b"\0" + length(len(name)) + name + length(len(value)) + value


def head_with(*pairs):
    """A reply head of raw fields; the status first unless they say it."""
    own = b"" if any(n == b":status" for n, _ in pairs) else b"\x88"
    block = own + b"".join(literal(n, v) for n, v in pairs)
    return once(lambda c, s: frame(HEADERS, END_HEADERS, s, block)
                + frame(DATA, END_STREAM, s, START + STOP))


# what ends the whole connection: what is sent, the GOAWAY that we answer with
CONNECTION = {
    "PING 400k, not reading": (repeat(frame(PING, 0, 0, bytes(8)), 400_000), CALM),
    "SETTINGS 400k, not reading": (repeat(frame(SETTINGS, 0, 0), 400_000), CALM),
    "PRIORITY 100k": (repeat(frame(PRIORITY, 0, 1, b"\0\0\0\3\x10"), 100_000), CALM),
    "answers to no PING 100k": (repeat(frame(PING, ACK, 0, bytes(8)), 100_000), CALM),
    "CONTINUATION, small": (blocks(literal(b"a", b"b"), 50), CALM),
    "CONTINUATION, empty": (blocks(b"", 50), CALM),
    "128 KiB reply header": (blocks(literal(b"a", b"b" * 16_000), 9), CALM),
    "HPACK bomb": (bomb("x-bomb", "b" * 3900, 4000), CALM),
    "HTTP/2 bomb": (bomb("x-bomb", "b", 8000), CALM),
    "bomb of cookies": (bomb("set-cookie", "b", 8000), CALM),
    "PUSH_PROMISE": (once(lambda c, s: frame(PUSH, END_HEADERS, s, b"\0\0\0\2" + b"\x82\x87\x84")),
                     PROTOCOL_ERROR),
    "DATA on a stream that nobody opened": (once(lambda c, s: frame(DATA, 0, s + 100, b"x")),
                                            PROTOCOL_ERROR),
    "DATA on stream 0": (once(lambda c, s: frame(DATA, 0, 0, b"x")), PROTOCOL_ERROR),
    "HEADERS on a stream that nobody opened": (
        once(lambda c, s: frame(HEADERS, END_HEADERS, s + 100, c.block())), PROTOCOL_ERROR),
    "HEADERS on a stream of its own": (
        once(lambda c, s: frame(HEADERS, END_HEADERS, 2, c.block())), PROTOCOL_ERROR),
    "RST_STREAM of a stream that nobody opened": (
        once(lambda c, s: frame(RST, 0, s + 100, bytes(4))), PROTOCOL_ERROR),
    "window overflow of the connection": (
        once(lambda c, s: frame(WINDOW, 0, 0, struct.pack(">I", 0x7fffffff))), FLOW_CONTROL),
    "window increment 0": (once(lambda c, s: frame(WINDOW, 0, 0, bytes(4))), PROTOCOL_ERROR),
    "initial window over 2^31-1": (
        once(lambda c, s: frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31))), FLOW_CONTROL),
    "frame size out of range": (
        once(lambda c, s: frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 1))), PROTOCOL_ERROR),
    "frame of 1 MiB": (once(lambda c, s: frame(DATA, 0, s, bytes(1 << 20))[:99]), FRAME_SIZE),
    "bad HPACK index": (once(lambda c, s: frame(HEADERS, END_HEADERS, s, b"\xff\xff\x01")),
                        COMPRESSION),
    "CONTINUATION without HEADERS": (once(lambda c, s: frame(CONTINUATION, 4, s, b"\x88")),
                                     PROTOCOL_ERROR),
    "frames between HEADERS and CONTINUATION": (
        once(lambda c, s: frame(HEADERS, 0, s, c.block()) + frame(PING, 0, 0, bytes(8))),
        PROTOCOL_ERROR),
    "not HTTP/2": (once(lambda c, s: b"HTTP/1.1 200 OK\r\n\r\n"), ANY),
}

# what ends the stream only
STREAM = {
    "window overflow of the stream": once(
        lambda c, s: frame(WINDOW, 0, s, struct.pack(">I", 0x7fffffff))),
    "RST mid-body": lambda c, s: c.reset(s, 2),
    "RST with CANCEL": lambda c, s: c.reset(s, 8),
}

# and, as they are about the head, make no sense behind it
HEADS = {
    "DATA before HEADERS": once(lambda c, s: frame(DATA, END_STREAM, s, START + STOP)),
    "CR in a value": head_with((b"x-a", b"b\rc")),
    "LF in a value": head_with((b"x-a", b"b\nc")),
    "NUL in a value": head_with((b"x-a", b"b\0c")),
    "CRLF in a name": head_with((b"x-a\r\nb", b"c")),
    "upper case in a name": head_with((b"X-A", b"b")),
    "empty name": head_with((b"", b"b")),
    "connection": head_with((b"connection", b"close")),
    "transfer-encoding": head_with((b"transfer-encoding", b"chunked")),
    "no status": once(lambda c, s: frame(HEADERS, END_HEADERS | END_STREAM, s, literal(b"a", b"b"))),
    "status twice": head_with((b":status", b"200"), (b":status", b"200")),
    "status 20x": head_with((b":status", b"20x")),
    "status 099": head_with((b":status", b"099")),
    "unasked 101": head_with((b":status", b"101")),
    "two different CL in reply": head_with((b"content-length", b"5"), (b"content-length", b"6")),
    "CL: -1 in reply": head_with((b"content-length", b"-1")),
    "501 fields": head_with(*[(b"a", b"b")] * 501),
    "100x 103 then 200": once(lambda c, s: b"".join(
        frame(HEADERS, END_HEADERS, s, literal(b":status", b"103")) for _ in range(100))
        + frame(HEADERS, END_HEADERS, s, b"\x88") + frame(DATA, END_STREAM, s, START + STOP)),
}

# only behind a head
BODIES = {
    "empty DATA 100k": (lambda c, s: repeat(frame(DATA, 0, s), 100_000)(c, s), CALM),
    "a second head": (once(lambda c, s: frame(HEADERS, END_HEADERS, s, b"\x88")), ANY),
    "status in trailers": (
        once(lambda c, s: frame(HEADERS, END_HEADERS | END_STREAM, s, b"\x88")), ANY),
    "truncated CL body": (once(lambda c, s: frame(DATA, END_STREAM, s, b"")), ANY),
    "FIN": (lambda c, s: c.sock.shutdown(socket.SHUT_RDWR), ANY),
}


class Counted:
    def __init__(self, p):
        self.p = p

    def __enter__(self):
        self.before = self.p.metrics()
        return self

    def __getitem__(self, name):
        name = f"ccproxy_{name}_total"
        return self.p.metrics()[name] - self.before[name]

    def __exit__(self, *_):
        pass


def check_broken(front, script, goaway, head_came, lives=False, protocol=True):
    """One request at the upstream, one clear error for the client, one count; then all is well."""
    p, up = front
    up.script = script
    kib = p.worker_kib()
    with Counted(p) as counted:
        reply = post(p, stream=True)
        if head_came:
            assert reply.status == 200
            assert [n for n, _ in events(reply.body)][-1] == "error"
            assert b"message_stop" not in reply.body
        else:
            assert reply.status == 502
            assert reply.json()["error"]["type"] == "api_error"
        assert len(up.requests) == 1
        assert (counted["upstream_attempts"], counted["upstream_errors"]) == (1, 1)
        assert counted["upstream_protocol_errors"] == protocol
    conn = up.conns[0]
    if goaway is not ANY:
        assert conn.ended.wait(5)
        # a flooder that does not read is not told
        assert conn.goaway == goaway or conn.goaway is None and goaway == CALM
    assert p.worker_kib() - kib < 16 * 1024 or SANITIZED  # that keeps what is freed
    up.script = lambda c, s, n: c.reply(s)
    assert post(p).status == 200
    assert len(up.conns) == (1 if lives else 2)


def begin(c, s):
    c.head(s)
    c.began = END_STREAM
    c.send(frame(DATA, 0, s, START))


def behind(send):
    """After a head and an event, which the client has by then."""
    def script(c, s, n):
        begin(c, s)
        time.sleep(0.05)
        send(c, s)
    return script


@pytest.mark.parametrize("name", CONNECTION)
@pytest.mark.parametrize("when", ["before the head", "mid-body"])
def test_connection_faults(front, name, when):
    send, goaway = CONNECTION[name]
    late = when == "mid-body"
    script = behind(send) if late else lambda c, s, n: send(c, s)
    check_broken(front, script, goaway, late)


@pytest.mark.parametrize("name", STREAM)
@pytest.mark.parametrize("when", ["before the head", "mid-body"])
def test_stream_faults(front, name, when):
    """The connection lives on."""
    late = when == "mid-body"
    script = behind(STREAM[name]) if late else lambda c, s, n: STREAM[name](c, s)
    check_broken(front, script, ANY, late, lives=True, protocol="RST" not in name)


@pytest.mark.parametrize("name", HEADS)
def test_head_faults(front, name):
    check_broken(front, lambda c, s, n: HEADS[name](c, s), ANY, False,
                 lives=name != "DATA before HEADERS")


@pytest.mark.parametrize("name", BODIES)
def test_body_faults(front, name):
    send, goaway = BODIES[name]

    def script(c, s, n):
        if "CL" in name:
            c.head(s, ("content-length", "1000"))
            c.send(frame(DATA, 0, s, START))
        else:
            begin(c, s)
        time.sleep(0.05)
        send(c, s)
    check_broken(front, script, goaway, True, lives=goaway is ANY and name != "FIN",
                 protocol=name != "FIN")


def test_without_fault(front):
    """Goal: the frames around the faults are good; early hints and trailers are dropped."""
    p, up = front

    def script(c, s, n):
        c.send(frame(HEADERS, END_HEADERS, s, literal(b":status", b"103")) * 8)
        begin(c, s)
        c.send(frame(DATA, 0, s, STOP))
        c.send(frame(HEADERS, END_HEADERS | END_STREAM, s, literal(b"x-t", b"1")))
    up.script = script
    reply = post(p, stream=True)
    assert (reply.status, reply.body) == (200, START + STOP)
    assert reply.interim == [] and reply.h("x-t") is None
    assert len(up.requests) == 1


@pytest.mark.parametrize("size, opens", [(600, False), (8000, True)], ids=["short", "long"])
def test_only_a_long_reply_opens_its_window(front, size, opens):
    """Goal: a WINDOW_UPDATE, and its system call, are for replies that can need it."""
    p, up = front

    def opened(c, s):
        return any(f[0] == WINDOW and f[2] == s for f in parse(c.raw[len(PREFACE):]))

    def script(c, s, n):
        c.head(s, content_type="application/json")
        c.send(frame(DATA, 0, s, b"x" * size))
        while opens and not opened(c, s):
            c.sock.settimeout(10)
            c.raw += c.sock.recv(1 << 16)
        c.send(frame(DATA, END_STREAM, s, b"x"))
    up.script = script
    replies = [post(p) for _ in range(2)]
    assert [(r.status, len(r.body)) for r in replies] == [(200, size + 1)] * 2
    number, first = up.requests[0]  # all about it was read before the second request
    assert up.requests[1][0] == number
    assert opened(up.conns[number - 1], first) == opens


# --- section 5: GOAWAY, REFUSED_STREAM, max streams 1 ---

STREAMS = 12


class Many:
    """So many streaming requests at once, each with its own body."""

    def __init__(self, p):
        self.clients = [Client(p.claude_port) for _ in range(STREAMS)]

    def start(self):
        for n, c in enumerate(self.clients):
            c.send_request("POST", "/v1/messages", KEY, json=BODY | {"stream": True, "n": n})

    def bodies(self):
        got = []
        for c in self.clients:
            assert c.head().status == 200
            got.append(c.body())
            c.close()
        return got


def finish(c, s):
    begin(c, s)
    c.send(frame(DATA, END_STREAM, s, STOP))


@pytest.mark.parametrize("taken", [0, 5, STREAMS])
@pytest.mark.row("5: HTTP/2 upstream GOAWAY")
def test_goaway_with_a_last_stream(front, taken):
    """Those at or below the last id finish, those above go out once more, on a new connection."""
    p, up = front
    assert post(p).status == 200  # so that all share one connection
    up.requests.clear()
    done = []

    def script(c, s, n):
        if c.number > 1:
            done.append((2, s))
            finish(c, s)
        elif n == STREAMS:
            ids = sorted(s for _, s in up.requests)
            last = ids[taken - 1] if taken else ids[0] - 2
            c.send(frame(GOAWAY, 0, 0, struct.pack(">II", last, NO_ERROR)))
            for i in ids[:taken]:
                done.append((1, i))
                finish(c, i)
    up.script = script
    many = Many(p)
    many.start()
    assert many.bodies() == [START + STOP] * STREAMS
    assert len(done) == len(set(done)) == STREAMS
    assert len(up.requests) == STREAMS + (STREAMS - taken)
    assert up.conns[0].ended.wait(5)  # closed by us when the last has finished


@pytest.mark.row("5: HTTP/2 upstream GOAWAY")
def test_goaway_in_two_steps(front):
    """A notice first: what is open goes on, new requests go elsewhere, none is refused."""
    p, up = front

    def script(c, s, n):
        if n == 1:
            begin(c, s)
            c.send(frame(GOAWAY, 0, 0, struct.pack(">II", 0x7fffffff, NO_ERROR)))
        else:
            c.reply(s)
    up.script = script
    with Client(p.claude_port) as c:
        c.send_request("POST", "/v1/messages", KEY, json=BODY | {"stream": True})
        assert c.head().status == 200
        c.until(START)
        assert post(p).status == 200
        first = up.conns[0]
        first.send(frame(GOAWAY, 0, 0, struct.pack(">II", 1, NO_ERROR)))
        first.send(frame(DATA, END_STREAM, 1, STOP))
        assert c.body() == STOP
    assert up.requests == [(1, 1), (2, 1)]


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.row("5: HTTP/2 upstream GOAWAY")
def test_refused_streams(front, always):
    """Every second one is refused: once more, and no more than that."""
    p, up = front
    assert post(p).status == 200
    up.requests.clear()
    lock, refused, served = threading.Lock(), [], []

    def script(c, s, n):
        with lock:
            refuse = always or c.number == 1 and n % 2
            (refused if refuse else served).append((c.number, s))
        c.reset(s, REFUSED) if refuse else finish(c, s)
    up.script = script
    many = Many(p)
    with Counted(p) as counted:
        many.start()
        if always:
            assert [c.head().status for c in many.clients] == [502] * STREAMS
            assert len(refused) == 2 * STREAMS
        else:
            assert many.bodies() == [START + STOP] * STREAMS
            assert len(refused) >= STREAMS // 2 and len(served) == STREAMS
        assert counted["upstream_retries"] == len(refused) - (STREAMS if always else 0)


@pytest.mark.parametrize("conns", ["1", "200"])
@pytest.mark.row("5: HTTP/2 upstream GOAWAY")
def test_max_streams_1(certificates, conns):
    """One at a time on each connection, by waiting or by more connections; what was sent before
    the SETTINGS were known is refused, and served on another one. None lost, none doubled."""
    up = RawUpstream(certificates.pair)
    up.settings = struct.pack(">HI", 3, 1)
    up.max_streams = 1
    served, lock = [], threading.Lock()

    def script(c, s, n):
        time.sleep(0.03)
        with lock:
            served.append(json.loads(c.bodies[s])["n"])
        c.open.discard(s)
        finish(c, s)
    up.script = lambda *args: threading.Thread(target=script, args=args).start()
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", HTTP_MAX_CONNECTIONS=conns,
               UPSTREAM_CA_FILE=certificates.ca) as p:
        many = Many(p)
        many.start()
        assert many.bodies() == [START + STOP] * STREAMS
    assert sorted(served) == list(range(STREAMS))
    assert len(up.conns) <= 2 if conns == "1" else len(up.conns) > 2
    up.close()


@pytest.mark.row("5: HTTP/2 upstream GOAWAY")
def test_rst_mid_body_hits_one_stream_only(front):
    """An error end for that one, section 6; the others go on, on the same connection."""
    p, up = front
    assert post(p).status == 200
    up.requests.clear()

    def script(c, s, n):
        begin(c, s)
        if n == STREAMS:
            time.sleep(0.05)
            ids = [s for _, s in up.requests]
            c.reset(ids[0], 2)
            for i in ids[1:]:
                c.send(frame(DATA, END_STREAM, i, STOP))
    up.script = script
    many = Many(p)
    many.start()
    bodies = many.bodies()
    broken = [b for b in bodies if b != START + STOP]
    assert len(broken) == 1 and [n for n, _ in events(broken[0])] == ["message_start", "error"]
    assert len(up.requests) == STREAMS and len(up.conns) == 1

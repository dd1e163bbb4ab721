"""reliability.md section 3: floods and bombs on one HTTP/2 connection, from the client.

Each ends its connection with ENHANCE_YOUR_CALM and counts once with its reason; memory stays
bounded; a stream on another connection does not notice.
"""

import json
import socket
import struct
import threading
import time

import pytest
from frames import (ACK, CALM, CONTINUATION, DATA, END_HEADERS, END_STREAM, FIELDS, GOAWAY, H2,
                    HEADERS, PING, PRIORITY, PROTOCOL_ERROR, PSEUDO, RST, SETTINGS, WINDOW, frame)
from hpack import Decoder
from proxy import Proxy, until
from upstream import Upstream
from wire import Client

BODY = json.dumps({"model": "m", "max_tokens": 9,
                   "messages": [{"role": "user", "content": "hi"}]}).encode()
EVENT = b'event: message_start\ndata: {"type":"message_start"}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
NO_ERROR, CANCEL = 0, 8
ZERO_WINDOW = struct.pack(">HI", 4, 0)  # SETTINGS_INITIAL_WINDOW_SIZE
BATCH = 500


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A proxy and its upstream, which holds the reply to ?hold in its middle, to ?silent at all."""
    up = Upstream()
    up.go = threading.Event()

    def script(c, r):
        if "silent" in r.target:
            up.go.wait(30)
        if "hold" not in r.target:
            c.reply(body=b"{}")
            return
        c.stream_head()
        c.chunk(EVENT)
        up.go.wait(30)
        c.chunk(STOP)
        c.last_chunk()
    up.script = script
    admin = tmp_path_factory.mktemp("floods") / "admin"
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", ADMIN_LISTEN=f"unix:{admin}") as p:
        yield p, up
    up.go.set()
    up.close()


class Watch:
    """What an attack does besides: to the counts, to memory, to the upstream, to others."""

    def __init__(self, pair):
        self.p, self.up = pair
        self.up.go.clear()
        self.up.requests.clear()

    def __enter__(self):
        self.before, self.kib = self.p.refused(), self.p.worker_kib()
        self.other = Client(self.p.claude_port)
        self.other.send_request("POST", "/v1/messages?hold", dict(FIELDS), BODY)
        assert self.other.head().status == 200
        self.other.until(EVENT)
        return self

    def counted(self):
        return {n: v - self.before.get(n, 0) for n, v in self.p.refused().items()
                if v != self.before.get(n, 0)}

    def __exit__(self, kind, *_):
        self.up.go.set()
        if kind is None:
            self.upstream = len(self.up.requests) - 1
            assert STOP in self.other.body()
            assert self.p.worker_kib() - self.kib < 16 * 1024
        self.other.close()


def reset(stream, code=CANCEL):
    return frame(RST, 0, stream, struct.pack(">I", code))


def start(h, i, more=()):
    """HEADERS of a request whose body follows."""
    block = h.encoder.encode(PSEUDO + FIELDS + list(more))
    return frame(HEADERS, END_HEADERS, 2 * i + 1, block)


def rapid_reset(h, i):
    return h.post(2 * i + 1, BODY) + reset(2 * i + 1)


def by_overflow(h, i):
    return start(h, i) + frame(WINDOW, 0, 2 * i + 1, struct.pack(">I", 0x7fffffff))


def by_length(h, i):
    stream = 2 * i + 1
    return start(h, i, [("content-length", "1")]) + frame(DATA, END_STREAM, stream, BODY)


def by_field(h, i):
    return start(h, i, [("connection", "close")])


def by_path(h, i):
    block = h.encoder.encode([(n, "#" if n == ":path" else v) for n, v in PSEUDO] + FIELDS)
    return frame(HEADERS, END_HEADERS, 2 * i + 1, block)


def continuations(payload):
    def make(h, i):
        first = frame(HEADERS, 0, 1, h.encoder.encode(PSEUDO)) if i == 0 else b""
        return first + frame(CONTINUATION, 0, 1, payload)
    return make


def empty_data(h, i):
    first = start(h, 0) if i == 0 else b""
    return first + frame(DATA, 0, 1)


def padded_data(h, i):
    first = start(h, 0) if i == 0 else b""
    return first + frame(DATA, 8, 1, b"\x03\0\0\0")


def bomb(name, value, refs):
    """A field put in the table once, then referred to by one byte."""
    def make(h, i):
        pseudo = b"\x83\x86\x84"  # POST, http, / of the static table: they evict nothing
        field = h.encoder.encode([(name, value)]) if i == 0 else b""
        block = pseudo + field + b"\xbe" * refs  # the table's newest entry
        return frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, block)
    return make


ONCE = 1  # that one is enough
FLOODS = {  # what is sent, how often, the reason counted
    "rapid reset, 20k": (rapid_reset, 20000, "h2_resets"),
    "made-you-reset (window overflow), 20k": (by_overflow, 20000, "h2_resets"),
    "made-you-reset (content-length), 20k": (by_length, 20000, "h2_resets"),
    "made-you-reset (forbidden field), 20k": (by_field, 20000, "h2_resets"),
    "made-you-reset (path), 20k": (by_path, 20000, "h2_resets"),
    "CONTINUATION, 50k small": (continuations(b"\x00\x01a\x01b"), 50000, "h2_continuations"),
    "CONTINUATION, empty, 50k": (continuations(b""), 50000, "h2_continuations"),
    "CONTINUATION, 16 KiB": (continuations(b"\x00\x01a\x7f\x80\x7e" + b"b" * 16255), 8,
                             "h2_block"),
    "empty DATA 100k": (empty_data, 100000, "h2_empty_data"),
    "empty DATA with padding": (padded_data, 100000, "h2_empty_data"),
    "PRIORITY 100k": (lambda h, i: frame(PRIORITY, 0, 2 * i + 1, bytes(4) + b"\x10"), 100000,
                      "h2_idle_frames"),
    "answers to no PING": (lambda h, i: frame(PING, ACK, 0, bytes(8)), 100000, "h2_idle_frames"),
    "HPACK bomb (3.9 KB x 4,000 refs x 100)": (bomb("x-bomb", "b" * 3900, 4000), 100, "h2_block"),
    "HTTP/2 Bomb (1-byte refs x 8,000 x 100, zero window)": (bomb("x-bomb", "b", 8000), 100,
                                                             "h2_block"),
    "cookie variant": (bomb("cookie", "b", 8000), 100, "h2_block"),
    "cookie variant, 3.9 KB": (bomb("cookie", "b" * 3900, 4000), 100, "h2_block"),
    "many blocks over the limit": (bomb("cookie", "b", 200), 20000, "h2_resets"),
}


def batches(h, make, count):
    for i in range(0, count, BATCH):
        yield b"".join(make(h, j) for j in range(i, min(count, i + BATCH)))


@pytest.mark.parametrize("name", FLOODS)
@pytest.mark.row("3: {name}", "4: rapid reset")
def test_floods(pair, name):
    make, count, reason = FLOODS[name]
    with Watch(pair) as w, H2(w.p.claude_port, ZERO_WINDOW if "omb" in name else b"") as h:
        for data in batches(h, make, count):
            if not h.write(data):
                break
        assert h.goaway() == CALM
        assert w.counted()[reason] == 1
    assert w.upstream <= 100


@pytest.mark.row("3: rapid reset, 20k")
def test_rapid_reset_step_by_step(pair):
    """Goal: not more than 100 reach the upstream when each is given the time to."""
    with Watch(pair) as w, H2(w.p.claude_port) as h:
        for i in range(200):
            seen = len(w.up.requests)
            if any(t == GOAWAY for t, _, _, _ in h.frames()):
                break
            h.write(h.post(2 * i + 1, BODY, path="/v1/messages?silent"))
            until(lambda: len(w.up.requests) > seen)
            h.write(reset(2 * i + 1))
            h.write(frame(PING, 0, 0, bytes(8)))
            pings = sum(t == PING for t, _, _, _ in h.frames())
            h.wait(lambda f: sum(t == PING for t, _, _, _ in f) > pings or not h.open)
        assert h.goaway() == CALM
        assert w.counted()["h2_resets"] == 1
    assert w.upstream == 100


@pytest.mark.row("3: made-you-reset")
def test_made_you_reset_by_zero_increments(pair):
    """The first one ends the connection: there is nothing to count."""
    with Watch(pair) as w, H2(w.p.claude_port) as h:
        for i in range(100):
            if not h.write(start(h, i) + frame(WINDOW, 0, 2 * i + 1, bytes(4))):
                break
        assert h.goaway() == PROTOCOL_ERROR
        assert w.counted()["h2_protocol"] == 1
    assert w.upstream == 0


@pytest.mark.parametrize("kind, payload", [(PING, bytes(8)), (SETTINGS, b"")],
                         ids=["PING 400k, not reading", "SETTINGS 400k, not reading"])
@pytest.mark.row("3: PING 400k", "3: SETTINGS 400k")
def test_replies_that_are_not_read(pair, kind, payload):
    """The client reads nothing: its replies fill the sockets, then our queue, up to its limit."""
    with Watch(pair) as w, H2(w.p.claude_port) as h:
        h.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        piece = frame(kind, 0, 0, payload) * 4000
        for _ in range(100):
            if not h.write(piece, read=False):
                break
        assert not h.open, "all were taken"  # a reset: what we queued cannot be delivered
        until(lambda: w.counted().get("h2_waiting") == 1)
        until(lambda: w.p.metrics()["ccproxy_client_connections"] <= 2, 5)


@pytest.mark.row("3: HPACK bomb")
def test_blocks_at_the_limit_keep_the_table_in_step(pair):
    """Over the limit is 431 for that stream; the next request, whose fields are in the table, is
    understood."""
    with Watch(pair) as w, H2(w.p.claude_port) as h:
        big = h.encoder.encode(PSEUDO + FIELDS + [("x-bomb", "b" * 3900)]) + b"\xbe" * 9
        h.write(frame(HEADERS, END_HEADERS | END_STREAM, 1, big))
        h.write(h.post(3, BODY, [("x-bomb", "b" * 3900)]))
        frames = h.wait(lambda f: any(t == DATA and fl & END_STREAM and s == 3
                                      for t, fl, s, _ in f))
        decoder = Decoder()
        status = {s: dict(decoder.decode(p))[":status"] for t, _, s, p in frames if t == HEADERS}
        assert status == {1: "431", 3: "200"}
        assert w.counted() == {"head_size": 1}
    assert w.up.requests[-1].h("x-bomb") == "b" * 3900


# --- time ---

@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    up = Upstream()
    up.script = lambda c, r: c.reply(body=b"x" * 5000)
    admin = tmp_path_factory.mktemp("hasty") / "admin"
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", CLIENT_WRITE_TIMEOUT="2",
               CLIENT_HEADER_TIMEOUT="0.6", ADMIN_LISTEN=f"unix:{admin}") as p:
        yield p, up
    up.close()


@pytest.mark.row("3: HTTP/2 Bomb")
def test_stream_with_a_zero_window_is_reset(hasty):
    """After half of CLIENT_WRITE_TIMEOUT, so 30 s by default; the connection lives on."""
    p, _ = hasty
    before = p.refused()
    with H2(p.claude_port, ZERO_WINDOW) as h:
        began = time.monotonic()
        h.write(h.post(1, BODY))
        frames = h.wait(lambda f: any(t == RST for t, _, _, _ in f), 10)
        assert time.monotonic() - began >= 1
        assert [(t, s, p) for t, _, s, p in frames if t == RST] == [(RST, 1, b"\0\0\0\x08")]
        assert p.refused().get("slow_read", 0) - before.get("slow_read", 0) == 1
        h.write(frame(PING, 0, 0, bytes(8)))
        h.wait(lambda f: any(t == PING for t, _, _, _ in f))
        assert h.open


@pytest.mark.parametrize("sent", [
    b"", frame(HEADERS, 0, 1, b"\x83"), frame(HEADERS, END_HEADERS, 1, b"\x83\x86\x84\x41\x01h")[:-2],
    frame(HEADERS, 0, 1, b"\x83") + frame(CONTINUATION, 0, 1, b"\x86"),
], ids=["no request", "no CONTINUATION", "half a frame", "no END_HEADERS"])
@pytest.mark.parametrize("asked", [False, True], ids=["first", "second"])
def test_slow_heads(hasty, sent, asked):
    """CLIENT_HEADER_TIMEOUT holds for HTTP/2, for a head that never ends as for none."""
    p, _ = hasty
    before = p.refused()
    with H2(p.claude_port) as h:
        if asked:
            h.write(h.post(1, BODY))
            h.wait(lambda f: any(t == DATA and fl & END_STREAM for t, fl, _, _ in f))
            if not sent:
                time.sleep(1)
                assert not any(t == GOAWAY for t, _, _, _ in h.wait(lambda f: True))
                return  # idle between requests: CLIENT_KEEPALIVE
            sent = sent.replace(b"\0\0\0\x01", b"\0\0\0\x03", 2)
        h.write(sent)
        assert h.goaway() == NO_ERROR
    assert p.refused().get("slow_head", 0) - before.get("slow_head", 0) == 1


# --- draining ---

@pytest.mark.parametrize("answers", [True, False], ids=["PING answered", "PING not answered"])
def test_draining_in_two_steps(pair, answers):
    """rfc9113,s6.8: a notice, and GOAWAY itself when the client has read it; what is asked in
    between is served, and what was open ends."""
    p, up = pair
    up.go.clear()
    since = len(p.lines)
    with H2(p.claude_port) as h:
        h.write(h.post(1, BODY, path="/v1/messages?hold"))
        h.wait(lambda f: any(t == DATA and s == 1 for t, _, s, _ in f))
        p.kill(1)
        frames = h.wait(lambda f: any(t == PING for t, _, _, _ in f))
        notice = [p for t, _, _, p in frames if t == GOAWAY]
        assert notice == [struct.pack(">II", 0x7fffffff, NO_ERROR)]
        h.write(h.post(3, BODY))
        h.wait(lambda f: any(t == DATA and fl & END_STREAM and s == 3 for t, fl, s, _ in f))
        ping = next(p for t, _, _, p in frames if t == PING)
        if answers:
            h.write(frame(PING, ACK, 0, ping))
        frames = h.wait(lambda f: sum(t == GOAWAY for t, _, _, _ in f) == 2)
        assert [p for t, _, _, p in frames if t == GOAWAY][1] == struct.pack(">II", 3, NO_ERROR)
        assert h.open
        up.go.set()
        assert h.goaway() == NO_ERROR
        data = b"".join(p for t, _, s, p in h.frames() if t == DATA and s == 1)
        assert data == EVENT + STOP
        assert not any(t == RST for t, _, _, _ in h.frames())
    p.wait_log("reload_complete", since)


def ask_until(port, over, results):
    """Requests one after the other; a new connection after GOAWAY, and only then."""
    while not over.is_set():
        with H2(port) as h:
            stream = 1
            while not over.is_set() and not any(t == GOAWAY for t, _, _, _ in h.frames()):
                h.write(h.post(stream, BODY))
                frames = h.wait(lambda f, n=stream: any(
                    s == n and (t == RST or t == DATA and fl & END_STREAM)
                    for t, fl, s, _ in f), 20)
                results.append(any(s == stream and t == DATA and fl & END_STREAM
                                   for t, fl, s, _ in frames))
                stream += 2


def test_reloads_refuse_no_request(pair):
    """What a client sends before it has read GOAWAY is served."""
    p, up = pair
    up.go.set()
    over, results = threading.Event(), []
    clients = [threading.Thread(target=ask_until, args=(p.claude_port, over, results))
               for _ in range(8)]
    for t in clients:
        t.start()
    for _ in range(5):
        since = len(p.lines)
        p.kill(1)
        p.wait_log("reload_complete", since)
    over.set()
    for t in clients:
        t.join()
    assert len(results) > 100
    assert all(results), f"{results.count(False)} of {len(results)}"

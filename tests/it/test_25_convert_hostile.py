"""Converted replies with an upstream or a client that misbehaves: who waits, who holds memory, and
what is left behind."""

import gzip
import json
import threading
import time
from contextlib import contextmanager
from signal import SIGHUP

import grammar
import pytest
from proxy import SANITIZED, Proxy, until
from test_17_convert_streams import (BODIES, KEY, PAIRS, PATHS, STREAMS, WHOLE, begin, delta, event,
                                     finish, only)
from upstream import Upstream
from wire import Client

SETTLE_S = 5  # silence after the finish, C4.1


@pytest.fixture(scope="module")
def hostile():
    """hostile(protocol) -> a proxy in front of an upstream that speaks it. The settings that
    would end a request sooner or later are far away."""
    up, made = Upstream(), {}

    def of(protocol):
        if protocol not in made:
            made[protocol] = only(up, protocol, STREAM_PING_SECONDS="0", STREAM_IDLE_SECONDS="600",
                                  STREAM_OPEN_SECONDS="0", HTTP_TIMEOUT="600")
        up.forget()
        made[protocol].up = up
        return made[protocol]
    yield of
    for p in made.values():
        p.stop()
    up.close()


@contextmanager
def asked(p, client, stream=True, rcvbuf=None, headers=None, **more):
    with Client(p.codex_port, rcvbuf=rcvbuf, timeout=40) as c:
        c.send_request("POST", PATHS[client], KEY | (headers or {}),
                       json=BODIES[client] | {"stream": stream} | more)
        yield c


def whole(c):
    reply = c.head()
    reply.body = c.body()
    return reply


def check(client, body, outcome="complete"):
    assert grammar.check(client, body) == []
    assert grammar.outcome(client, body) == outcome




# --- ends ---

@pytest.mark.parametrize("upstream,client", PAIRS)
def test_upstream_stays_open_after_the_end(hostile, upstream, client):
    """The client has all of its reply at once; the upstream gets five seconds to end its own."""
    p = hostile(upstream)
    closed = []

    def script(c, r):
        c.stream_head()
        c.chunk(begin(upstream) + delta(upstream, "Hi") + finish(upstream))
        closed.append(c.wait_closed(SETTLE_S * 3))
    p.up.script = script
    since = len(p.lines)
    before = time.monotonic()
    with asked(p, client) as c:
        reply = whole(c)
        assert time.monotonic() - before < SETTLE_S - 1
        check(client, reply.body)
        assert p.wait_log("request_done", since)["ended"] == "complete"
    until(lambda: closed)
    assert closed == [True]


@pytest.mark.parametrize("client", ["messages", "responses"])
@pytest.mark.parametrize("stream", [True, False])
def test_finish_without_an_end(hostile, client, stream):
    """No end comes after the finish, and nothing else makes the proxy look at the clock."""
    p = hostile("chat")
    go = threading.Event()

    def script(c, r):
        c.stream_head()
        c.chunk(begin("chat") + delta("chat", "Hi") + finish("chat").split(b"data: [DONE]")[0])
        go.wait(30)
    p.up.script = script
    before = time.monotonic()
    with asked(p, client, stream) as c:
        c.sock.settimeout(SETTLE_S * 3)
        reply = whole(c)
        assert SETTLE_S - 1 < time.monotonic() - before < SETTLE_S * 2
    go.set()
    assert reply.status == 200
    if stream:
        check(client, reply.body)


@pytest.mark.parametrize("upstream,client", PAIRS)
def test_upstream_breaks_after_the_end(hostile, upstream, client):
    """The reply was complete: nothing failed."""
    p = hostile(upstream)

    def script(c, r):
        c.stream_head()
        c.chunk(begin(upstream) + delta(upstream, "Hi") + finish(upstream))
        got.wait(20)
        c.reset()
    p.up.script = script
    since, got = len(p.lines), threading.Event()
    with asked(p, client) as c:
        check(client, whole(c).body)
    got.set()
    done = p.wait_log("request_done", since)
    assert (done["ended"], done.get("error")) == ("complete", None)


@pytest.mark.parametrize("client", ["messages", "chat"])
def test_end_for_a_client_that_reads_slowly(hostile, client):
    """The end comes while the client's queue is full: its upstream must not wait for ever."""
    p = hostile("responses")
    closed = []
    big = delta("responses", "x" * 100000) * 120

    def script(c, r):
        c.stream_head()
        c.chunk(begin("responses") + big + finish("responses"))
        closed.append(c.wait_closed(SETTLE_S * 4))
    p.up.script = script
    since = len(p.lines)
    with asked(p, client, rcvbuf=4096) as c:
        assert c.head().status == 200
        time.sleep(1)
        check(client, c.body())
        assert p.wait_log("request_done", since)["ended"] == "complete"
    until(lambda: closed)
    assert closed == [True]


# --- the client leaves ---

@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("phase", ["before the head", "after the head", "held back", "error body",
                                   "in the middle", "after the end"])
def test_client_leaves(hostile, phase, stream):
    p = hostile("messages")
    reached, closed = threading.Event(), []
    start, rest = begin("messages").split(b"event: content_block_start")

    def script(c, r):
        if phase == "error body":
            c.send(b"HTTP/1.1 400 X\r\ncontent-length: 1000\r\n\r\n{")
        elif phase != "before the head":
            c.stream_head()
        if phase in ("held back", "in the middle", "after the end"):
            c.chunk(start)
        if phase in ("in the middle", "after the end"):
            c.chunk(b"event: content_block_start" + rest + delta("messages", "Hi"))
        if phase == "after the end":
            c.chunk(finish("messages"))
        time.sleep(0.2)
        reached.set()
        closed.append(c.wait_closed(SETTLE_S * 2))
    p.up.script = script
    since = len(p.lines)
    with asked(p, "chat", stream) as c:
        assert reached.wait(20)
        c.reset()
    done = p.wait_log("request_done", since)
    assert done["ended"] == ("complete" if phase == "after the end" else "client_gone")
    until(lambda: closed)
    assert closed == [True]


# --- memory ---

@pytest.mark.parametrize("upstream,client", PAIRS)
def test_stalled_client(hostile, upstream, client):
    """The upstream is not read while the client does not read."""
    p = hostile(upstream)
    piece, sent, stop = delta(upstream, "x" * 60000), [0], threading.Event()

    def script(c, r):
        c.stream_head()
        c.chunk(begin(upstream))
        for _ in range(2000):
            c.chunk(piece)
            sent[0] += len(piece)
            if stop.is_set():
                return
    p.up.script = script
    before = p.worker_kib()
    with asked(p, client, rcvbuf=4096) as c:
        c.head()
        last = -1
        while sent[0] != last:
            last = sent[0]
            time.sleep(0.7)
        grown = p.worker_kib() - before
        stop.set()
        assert last < 24 << 20
    assert grown < (12 << 10) * (4 if SANITIZED else 1)


@pytest.mark.parametrize("stream", [True, False])
def test_event_of_a_million_values(hostile, stream):
    """A node costs far more than the text it stands for: such an event is refused."""
    p = hostile("responses")
    bad = b"event: x\ndata: {" + b",".join([b'"a":1'] * 6000000) + b"}\n\n"

    def script(c, r):
        c.stream(begin("responses") + delta("responses", "Hi") + bad + finish("responses"))
    p.up.script = script
    before = peak(p)
    with asked(p, "chat", stream) as c:
        reply = whole(c)
    if stream:
        check("chat", reply.body, "error")
    else:
        assert reply.status == 502
    assert peak(p) - before < (600 << 10) * (2 if SANITIZED else 1)


@pytest.mark.parametrize("upstream,client", PAIRS)
def test_body_of_a_million_values(hostile, upstream, client):
    p = hostile(upstream)
    ones = b",".join([b"1"] * 6000000)
    bad = json.dumps(WHOLE[upstream]).encode()[:-1] + b',"x":[' + ones + b"]}"
    p.up.script = lambda c, r: c.reply(body=bad)
    with asked(p, client, False) as c:
        reply = whole(c)
    assert reply.status == 502, reply.body[:200]
    assert p.workers()


def peak(p):
    total = 0
    for pid in p.workers():
        for line in open(f"/proc/{pid}/status"):
            if line.startswith("VmHWM:"):
                total += int(line.split()[1])
    return total


# --- errors ---

@pytest.mark.parametrize("client", ["messages", "chat"])
@pytest.mark.parametrize("stream", [True, False])
def test_error_without_end(hostile, client, stream):
    """An error's body that never ends: what counts of it has come."""
    p = hostile("responses")
    broken = threading.Event()

    def endless(c, r):
        c.send(b"HTTP/1.1 429 X\r\ncontent-type: text/plain\r\nretry-after: 7\r\n"
               b"transfer-encoding: chunked\r\n\r\n")
        try:
            while True:
                c.chunk(b"slow down " * 1000)
                time.sleep(0.001)
        except OSError:
            broken.set()
    p.up.script = endless
    with asked(p, client, stream) as c:
        c.sock.settimeout(15)
        reply = whole(c)
    assert (reply.status, reply.h("retry-after")) == (429, "7")
    assert reply.json()["error"]["message"].startswith("slow down slow")
    assert len(reply.body) < 4096
    assert broken.wait(20)


@pytest.mark.parametrize("how", ["gzip", "gzip cut", "unknown", "chunked", "cut", "reset", "bomb"])
def test_error_in_a_coding(hostile, how):
    """The status stays the upstream's, whatever became of its body."""
    p = hostile("messages")
    body = json.dumps({"type": "error", "error": {"type": "overloaded_error",
                                                  "message": "Overloaded"}}).encode()

    def script(c, r):
        if how == "chunked":
            c.send(b"HTTP/1.1 529 X\r\ntransfer-encoding: chunked\r\n\r\n")
            for b in body:
                c.chunk(bytes([b]))
            c.last_chunk()
        elif how == "unknown":
            c.reply(529, [("content-encoding", "rot13")], body)
        elif how == "gzip":
            c.reply(529, [("content-encoding", "gzip")], gzip.compress(body))
        elif how == "gzip cut":
            c.reply(529, [("content-encoding", "gzip")], gzip.compress(body)[:-12])
        elif how == "bomb":
            c.reply(529, [("content-encoding", "gzip")], gzip.compress(b" " * (200 << 20) + body))
        else:
            c.send(b"HTTP/1.1 529 X\r\ncontent-length: 1000\r\n\r\n" + body)
            time.sleep(0.2)
            c.reset() if how == "reset" else c.close()
    p.up.script = script
    with asked(p, "chat") as c:
        reply = whole(c)
    assert reply.status == 503, reply.body
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    if how in ("gzip", "chunked"):
        assert error["message"] == "Overloaded"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("upstream,client", PAIRS)
def test_good_status_then_nothing(hostile, upstream, client, stream):
    p = hostile(upstream)

    def script(c, r):
        c.stream_head()
        c.last_chunk()
    p.up.script = script
    with asked(p, client, stream) as c:
        reply = whole(c)
    assert reply.status == 502
    assert "error" in reply.json()


def test_good_status_then_silence():
    up = Upstream()
    stop = threading.Event()

    def script(c, r):
        c.stream_head()
        stop.wait(20)
    up.script = script
    with only(up, "chat", STREAM_IDLE_SECONDS="2", STREAM_OPEN_SECONDS="1") as p:
        with asked(p, "messages") as c:
            assert c.head().status == 200
            check("messages", c.body(), "error")
        with asked(p, "messages", False) as c:
            assert whole(c).status in (502, 504)
    stop.set()
    up.close()


# --- once more ---

@pytest.mark.parametrize("upstream,client", PAIRS)
def test_stale_connection(hostile, upstream, client):
    """The converted body is still there when a kept connection turns out to be dead."""
    p = hostile(upstream)
    bodies = []

    def script(c, r):
        bodies.append(r.body)
        if len(bodies) == 2:
            c.reset()
            return
        c.reply(body=json.dumps(WHOLE[upstream]).encode())
    p.up.script = script
    for _ in range(2):
        with asked(p, client, False) as c:
            assert whole(c).status == 200
    assert len(bodies) == 3 and bodies[1] == bodies[2]


def test_repair_of_a_long_body(hostile):
    """E79: what the second attempt is made of is still there."""
    p = hostile("responses")
    bodies = []
    refusal = json.dumps({"error": {"type": "invalid_request_error", "param": "input",
                                    "code": "invalid_encrypted_content",
                                    "message": "could not be verified"}}).encode()

    def script(c, r):
        bodies.append(r.json())
        if len(bodies) == 1:
            c.reply(400, body=refusal)
        else:
            c.stream(STREAMS["responses"])
    p.up.script = script
    text = "x" * (6 << 20)
    with asked(p, "messages", messages=[{"role": "user", "content": text}]) as c:
        reply = whole(c)
    check("messages", reply.body)
    assert len(bodies) == 2
    assert text in json.dumps(bodies[1])


# --- the process ---

def test_reload_and_drain():
    """A converted stream outlives a reload of the configuration."""
    up = Upstream()
    go = threading.Event()

    def script(c, r):
        c.stream_head()
        c.chunk(begin("chat") + delta("chat", "Hi"))
        go.wait(20)
        c.chunk(delta("chat", " there") + finish("chat"))
        c.last_chunk()
    up.script = script
    with only(up, "chat", DRAIN_TIMEOUT="10") as p:
        with asked(p, "responses") as c:
            c.head()
            c.until(b"Hi")
            since = len(p.lines)
            p.kill(SIGHUP)
            p.wait_log("reload_complete", since)
            go.set()
            body = c.body()
            assert b" there" in body and grammar.outcome("responses", body) == "complete"
    up.close()


# --- secrets ---

def test_nothing_secret_is_told(hostile):
    """Keys, the upstream's address and texts of the request are in no message and no header."""
    p = hostile("responses")
    p.up.script = lambda c, r: c.reset()
    with asked(p, "messages", headers={"x-api-key": "sk-very-secret"},
               messages=[{"role": "user", "content": "very private"}]) as c:
        reply = whole(c)
    told = reply.body.decode() + json.dumps(reply.headers)
    assert reply.status >= 500
    for secret in ("sk-very-secret", str(p.up.port), "very private"):
        assert secret not in told
    logged = json.dumps(p.lines)
    assert "sk-very-secret" not in logged


def test_names_do_not_become_headers(hostile):
    p = hostile("chat")
    p.up.script = lambda c, r: c.reply(body=json.dumps(WHOLE["chat"]).encode())
    bad = "a\r\nx-injected: 1\r\n\u00e9"
    with asked(p, "responses", False, **{bad: {"x": 1}}, metadata={bad: "1"},
               input=[{"type": bad, "role": "user", "content": [{"type": bad, bad: 1}]},
                      {"role": "user", "content": "hi"}],
               tools=[{"type": bad, "name": bad}]) as c:
        reply = whole(c)
    assert reply.h("x-injected") is None
    assert reply.status in (200, 400)


def test_thousands_of_calls_with_one_id(hostile):
    """Each gets an id of its own, and the search for it does not take for ever."""
    p = hostile("messages")
    count = 6000
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    reply = WHOLE["messages"] | {"content": [call] * count, "stop_reason": "tool_use"}
    p.up.script = lambda c, r: c.reply(body=json.dumps(reply).encode())
    with asked(p, "chat", False) as c:
        calls = whole(c).json()["choices"][0]["message"]["tool_calls"]
    assert len({x["id"] for x in calls}) == count

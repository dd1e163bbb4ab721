"""Event streams: verbatim, at once, kept alive, and visibly broken when they break."""

import contextlib
import gzip
import hashlib
import json
import socket
import threading
import time
import zlib
from pathlib import Path

import pytest
from proxy import SANITIZED, Proxy, until
from wire import Broken, Client, events

KEY = {"x-api-key": "sk-test"}
PATHS = {"messages": "/v1/messages", "responses": "/v1/responses", "chat": "/v1/chat/completions"}
PROTOCOLS = list(PATHS)
SAID = [{"role": "user", "content": "hi"}]
BODIES = {
    "messages": {"model": "gpt-5", "max_tokens": 99, "stream": True, "messages": SAID},
    "responses": {"model": "gpt-5", "stream": True, "input": "hi"},
    "chat": {"model": "gpt-5", "stream": True, "messages": SAID},
}
BODY = BODIES["messages"]


def block(name, **members):
    head = f"event: {name}\n" if name else ""
    data = json.dumps(({"type": name} if name else {}) | members, ensure_ascii=False)
    return f"{head}data: {data}\n\n".encode()


MESSAGES = [
    block("message_start", message={"id": "msg_1", "model": "m", "content": [],
                                    "usage": {"input_tokens": 3, "output_tokens": 1}}),
    block("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    b": a comment\n\n",
    block("content_block_delta", index=0, delta={"type": "text_delta", "text": "h\u00e9 \u6f22 \U0001f600"}),
    block("content_block_stop", index=0),
    block("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5}),
    block("message_stop"),
]
RESPONSES = [
    block("response.created", sequence_number=0, response={"id": "resp_1", "status": "in_progress"}),
    block("response.output_text.delta", sequence_number=1, delta="h\u00e9 \u6f22 \U0001f600"),
    b"id: 7\nretry: 10\nfoo: bar\n\n",
    block("response.output_item.done", sequence_number=2, item={"type": "message"}),
    block("response.completed", sequence_number=3, response={"id": "resp_1", "status": "completed"}),
]
CHAT = [
    block("", id="c1", choices=[{"index": 0, "delta": {"role": "assistant"}}]),
    block("", id="c1", choices=[{"index": 0, "delta": {"content": "h\u00e9 \u6f22 \U0001f600"}}]),
    block("", id="c1", choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]),
    b"data: [DONE]\n\n",
]
STREAMS = {"messages": MESSAGES, "responses": RESPONSES, "chat": CHAT}
KEEPALIVE = {"messages": b'event: ping\ndata: {"type":"ping"}\n\n',
             "responses": b'event: keepalive\ndata: {"type":"keepalive"}\n\n',
             "chat": b": ping\n\n"}
COMMENT = b": ping\n\n"


def ask(client, protocol, headers=None, **more):
    client.send_request("POST", PATHS[protocol], KEY | (headers or {}), json=BODIES[protocol] | more)


@contextlib.contextmanager
def asked(proxy, protocol, headers=None, **more):
    """The connection and the reply, of which the head has come."""
    with Client(proxy.codex_port) as c:
        ask(c, protocol, headers, **more)
        yield c, c.head()


def stream(proxy, protocol, headers=None, **more):
    with asked(proxy, protocol, headers, **more) as (c, reply):
        reply.body = c.body()
        return reply


def check_error(protocol, tail, sequence=None, response_id=None, kind="api_error"):
    """The bytes after the last good event are the protocol's error, exactly; gives its text."""
    got = events(tail)
    if protocol == "messages":
        [(name, data)] = got
        error = json.loads(data)["error"]
        assert name == "error"
        assert data == json.dumps({"type": "error", "error": {
            "type": kind, "message": error["message"]}}, separators=(",", ":"))
    elif protocol == "chat":
        [(name, data)] = got
        error = json.loads(data)["error"]
        assert name == "" and b"[DONE]" not in tail
        assert data == json.dumps({"error": {
            "type": kind, "message": error["message"], "param": None, "code": None}},
            separators=(",", ":"))
    else:
        (first, one), (second, two) = got
        error = json.loads(one)["error"]
        text = error["message"]
        assert (first, second) == ("error", "response.failed")
        assert json.loads(one) == {"type": "error", "error": {
            "type": "server_error", "code": "server_error", "message": text, "param": None},
            "sequence_number": sequence}
        assert json.loads(two) == {
            "type": "response.failed", "sequence_number": sequence + 1, "response": {
                "id": response_id, "object": "response", "status": "failed",
                "error": {"code": "server_error", "message": text}}}
    assert tail.endswith(b"\n\n") and b"data: {" in tail and b"\r" not in tail
    assert error["message"]
    return error["message"]


# --- verbatim ---

@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
def test_one_byte_at_a_time(raw, protocol, ends):
    proxy, up = raw
    data = b"".join(STREAMS[protocol]).replace(b"\n", ends)

    def script(c, r):
        c.stream_head()
        c.send_bytewise(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))
    up.script = script
    reply = stream(proxy, protocol)
    assert reply.body == data
    assert reply.h("cache-control") == "no-cache" and reply.h("x-accel-buffering") == "no"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_cut_and_every_event_at_once(raw, protocol):
    """Cut at each byte: an event is passed on as soon as it is whole, and nothing is changed."""
    proxy, up = raw
    data = b"".join(STREAMS[protocol])
    cut, seen = [0], threading.Semaphore(0)

    def script(c, r):
        c.stream_head()
        if cut[0] > 0:
            c.chunk(data[: cut[0]])
        assert seen.acquire(timeout=10)
        c.chunk(data[cut[0]:])
        c.last_chunk()
    up.script = script
    with Client(proxy.codex_port) as c:
        for cut[0] in range(len(data)):
            ask(c, protocol)
            assert c.head().status == 200
            whole = data[: data.rfind(b"\n\n", 0, cut[0]) + 2] if b"\n\n" in data[: cut[0]] else b""
            first = c.until(whole)
            seen.release()
            assert first + c.body() == data


@pytest.mark.parametrize("data", [
    b"\xef\xbb\xbf" + MESSAGES[0] + MESSAGES[-1],
    b'data:{"type":"message_start"}\n\ndata:  {"type":"message_stop"}\n\n',
    b'data: {"type":\ndata: "message_start"}\n\n' + MESSAGES[-1],
    b":\n\ndata\n\nevent: x\n\n" + MESSAGES[-1], b"\n\n\n" + MESSAGES[-1],
    MESSAGES[0] + b"event: ping\ndata: {broken\n\n" + MESSAGES[-1],
    MESSAGES[0] + b'event: new_event\ndata: {"type":"new_event"}\n\n' + MESSAGES[-1],
    MESSAGES[0] + b"data: \xff\xfe\n\n" + MESSAGES[-1]])
def test_odd_streams_pass_untouched(raw, data):
    proxy, up = raw
    up.script = lambda c, r: c.stream(data)
    assert stream(proxy, "messages").body == data


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("fault", ["none", "crlf", "gzip"])
def test_simulated_streams(proxy, sim, protocol, fault):
    """What the simulator says to us is what the client gets."""
    reply = stream(proxy, protocol, {"x-mock-fault": fault, "x-mock-tokens": "2"})
    got = events(reply.body)
    assert reply.status == 200 and reply.h("content-encoding") is None
    assert (b"\r\n" in reply.body) == (fault == "crlf")
    last = {"messages": "message_stop", "responses": "response.completed", "chat": ""}[protocol]
    assert got[-1][0] == last
    if protocol == "responses":
        assert [json.loads(d)["sequence_number"] for _, d in got] == list(range(len(got)))


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_coded_stream_is_decoded_as_it_arrives(raw, coding):
    proxy, up = raw
    seen = threading.Semaphore(0)

    def script(c, r):
        coder = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
        c.stream_head(f"content-encoding: {coding}")
        for e in MESSAGES:
            c.chunk(coder.compress(e) + coder.flush(zlib.Z_SYNC_FLUSH))
            assert seen.acquire(timeout=10)
        c.chunk(coder.flush())
        c.last_chunk()
    up.script = script
    with Client(proxy.claude_port) as c:
        ask(c, "messages")
        assert c.head().h("content-encoding") is None
        for e in MESSAGES:
            assert c.until(e) == e
            seen.release()
        assert c.body() == b""
    assert up.requests[-1].h("accept-encoding") == "identity"


def test_coded_plain_reply_keeps_its_coding(raw):
    proxy, up = raw
    coded = gzip.compress(b'{"ok":1}')
    up.script = lambda c, r: c.reply(200, [("content-encoding", "gzip")], coded)
    with Client(proxy.claude_port) as c:
        reply = c.request("POST", "/v1/messages", KEY, json=BODY | {"stream": False})
    assert reply.body == coded and reply.h("content-encoding") == "gzip"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("cut", [1, 2])
def test_last_event_without_its_end(raw, protocol, cut):
    """SDKs would drop the terminal event: it is completed."""
    proxy, up = raw
    data = b"".join(STREAMS[protocol])
    up.script = lambda c, r: c.stream(data[:-cut])
    assert stream(proxy, protocol).body == data


def test_huge_event(proxy):
    """16 MiB in one event."""
    reply = stream(proxy, "messages", {"x-mock-fault": "huge-event-16"})
    assert len(reply.body) > 16 << 20
    texts = [json.loads(d)["delta"].get("text", "") for n, d in events(reply.body)
             if n == "content_block_delta"]
    assert max(map(len, texts)) == 16 << 20
    assert reply.body.endswith(block("message_stop").replace(b'": "', b'":"'))


def test_back_pressure(raw):
    """A client that does not read stops the upstream; later it gets everything."""
    proxy, up = raw
    part = block("content_block_delta", index=0, delta={"text": "x" * 65000})
    kernel = sum(int(Path(f"/proc/sys/net/ipv4/tcp_{n}").read_text().split()[2])
                 for n in ("rmem", "wmem"))  # what it may keep of both sockets
    count = (kernel + (12 << 20)) // len(part)
    sent = [0]

    def script(c, r):
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        c.stream_head()
        c.chunk(MESSAGES[0])
        for _ in range(count):
            c.chunk(part)
            sent[0] += 1
        c.chunk(MESSAGES[-1])
        c.last_chunk()
    up.script = script
    idle_kib = proxy.worker_kib()
    with Client(proxy.claude_port, rcvbuf=65536) as c:
        ask(c, "messages")
        c.head()
        before = -1
        while before != sent[0]:  # until it stands still
            before = sent[0]
            time.sleep(0.2)
        assert before * len(part) < kernel + (2 << 20)
        if not SANITIZED:
            # the queue and what its growing left behind; up to 1 MiB is the log's ring in first use
            assert proxy.worker_kib() - idle_kib < 2048
        with Client(proxy.claude_port) as other:
            assert other.request("GET", "/health").status == 200
        digest = hashlib.sha256(c.body()).digest()
    whole = hashlib.sha256(MESSAGES[0] + part * count + MESSAGES[-1]).digest()
    assert digest == whole


def test_paused_stream_is_not_idle(raw):
    """The silence of a slow client is not the upstream's: no error event, and no ping."""
    proxy, up = raw
    part = block("content_block_delta", index=0, delta={"text": "x" * 65000})
    data = MESSAGES[0] + part * 300 + MESSAGES[-1]
    up.script = lambda c, r: c.stream(data)
    with Client(proxy.claude_port, rcvbuf=65536) as c:
        ask(c, "messages")
        c.head()
        time.sleep(1.6)  # over STREAM_IDLE_SECONDS
        assert c.body() == data


def test_a_client_that_never_reads_is_dropped(raw):
    """CLIENT_WRITE_TIMEOUT: the upstream is let go too."""
    up = raw[1]
    part = block("content_block_delta", index=0, delta={"text": "x" * 65000})
    ended = threading.Event()
    up.script = lambda c, r: c.flood(part, ended)
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", CLIENT_WRITE_TIMEOUT="0.4") as p:
        with Client(p.claude_port, rcvbuf=65536) as c:
            ask(c, "messages")
            c.head()
            assert ended.wait(15)
            p.wait_log("client_disconnected")


# --- keep-alive ---

@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pings(raw, protocol):
    """A comment before the first event, the protocol's own event after it, never inside one."""
    proxy, up = raw
    parts = STREAMS[protocol]
    go = threading.Semaphore(0)

    def script(c, r):
        c.stream_head()
        assert go.acquire(timeout=10)
        c.chunk(parts[0])
        assert go.acquire(timeout=10)
        c.chunk(parts[1][:20])  # half an event
        assert go.acquire(timeout=10)
        c.chunk(parts[1][20:])
        c.chunk(b"".join(parts[2:]))
        c.last_chunk()
    up.script = script
    with asked(proxy, protocol) as (c, _):
        assert c.until(COMMENT) == COMMENT
        go.release()
        got = c.until(parts[0])
        assert got.replace(COMMENT, b"") == parts[0]
        assert c.until(KEEPALIVE[protocol]) == KEEPALIVE[protocol]
        go.release()
        assert c.until(KEEPALIVE[protocol]) == KEEPALIVE[protocol]
        go.release()
        rest = c.body()
    assert rest.replace(KEEPALIVE[protocol], b"") == b"".join(parts[1:])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_idle_limit(raw, protocol):
    """Pings do not hide a dead upstream."""
    proxy, up = raw
    parts = STREAMS[protocol]
    closed = []

    def script(c, r):
        c.stream_head()
        c.chunk(parts[0])
        closed.append(c.wait_closed(10))
    up.script = script
    body = stream(proxy, protocol).body
    assert body.startswith(parts[0])
    tail = body[len(parts[0]):]
    assert KEEPALIVE[protocol] in tail
    text = check_error(protocol, tail.replace(KEEPALIVE[protocol], b""), 1, "resp_1")
    assert "silent" in text
    until(lambda: closed == [True])


def test_no_pings_when_off(scripted, raw):
    """STREAM_PING_SECONDS=0: nothing but the upstream's bytes, up to the error."""
    with Proxy(ANTHROPIC_BASE_URL=raw[1].url, SERVICES="claude", STREAM_PING_SECONDS="0",
               STREAM_IDLE_SECONDS="0.7") as p:
        raw[1].script = lambda c, r: (c.stream_head(), c.chunk(MESSAGES[0]), c.wait_closed(10))
        with Client(p.claude_port) as c:
            ask(c, "messages")
            c.head()
            body = c.body()
    assert body.startswith(MESSAGES[0])
    check_error("messages", body[len(MESSAGES[0]):])


# --- broken streams ---

def finish(c, how):
    if how == "close":
        c.close()  # chunked, without the last chunk
    elif how == "reset":
        c.reset()
    elif how == "clean":
        c.last_chunk()
    elif how == "bad chunk":
        c.send(b"zz\r\n")
    elif how == "inside a chunk":
        c.send(b"ff\r\n:")
        c.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("how", ["close", "reset", "clean", "bad chunk", "inside a chunk"])
@pytest.mark.parametrize("half", [b"", b"event: x\nda"])
@pytest.mark.row("6: clean end at an event boundary", "6: TCP reset")
def test_cut(raw, protocol, how, half):
    """An error event follows the last whole event, then the message ends cleanly."""
    proxy, up = raw
    parts = STREAMS[protocol]
    good = b"".join(parts[:2])
    seen = threading.Semaphore(0)

    def script(c, r):
        c.stream_head()
        c.chunk(good + half)
        assert seen.acquire(timeout=10)
        finish(c, how)
    up.script = script
    with asked(proxy, protocol) as (c, reply):
        assert reply.status == 200
        assert c.until(good) == good
        seen.release()
        tail = c.body()
        assert c.request("GET", "/health").status == 200  # the connection is in step
    check_error(protocol, tail, 2, "resp_1")
    done = proxy.done(reply)
    assert done["ended"] == "error" and done["error"].startswith("UPSTREAM_")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.row("6: clean end inside an event")
def test_every_cut_point_is_visible(raw, protocol):
    """Wherever the stream is cut before its end, the client gets the error."""
    proxy, up = raw
    data = b"".join(STREAMS[protocol])
    # What stands behind it ends the reply: the terminal events.
    marks = {"messages": b"end_turn", "responses": b"response.completed", "chat": b'_reason": "st'}
    end = data.index(marks[protocol])
    cut = [0]

    def script(c, r):
        c.stream_head()
        if cut[0] > 0:
            c.chunk(data[: cut[0]])
        c.last_chunk()
    up.script = script
    with Client(proxy.codex_port) as c:
        for cut[0] in range(0, end, 3):
            ask(c, protocol)
            c.head()
            body = c.body()
            whole = data[: cut[0]].rfind(b"\n\n") + 2 if b"\n\n" in data[: cut[0]] else 0
            assert body[:whole] == data[:whole]
            tail = body[whole:]
            if protocol == "responses" and whole == 0:
                assert [n for n, _ in events(tail)] == ["response.created", "error",
                                                        "response.failed"]
            else:
                check_error(protocol, tail, data[:whole].count(b"sequence_number"), "resp_1")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("how", ["close", "reset"])
def test_cut_after_the_end_is_no_error(raw, protocol, how):
    proxy, up = raw
    data = b"".join(STREAMS[protocol])
    seen = threading.Semaphore(0)

    def script(c, r):
        c.stream_head()
        c.chunk(data)
        assert seen.acquire(timeout=10)
        finish(c, how)
    up.script = script
    with asked(proxy, protocol) as (c, _):
        assert c.until(data) == data
        seen.release()
        assert c.body() == b""


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_errors_of_the_upstream_in_the_stream(proxy, protocol):
    """The upstream's own error event passes, and no second one follows."""
    reply = stream(proxy, protocol, {"x-mock-fault": "error-event"})
    assert sum('"error"' in d or n == "error" for n, d in events(reply.body)
               if "response.failed" != n and '"error":null' not in d) == 1
    assert b"[DONE]" not in reply.body and b"message_stop" not in reply.body
    assert b"response.completed" not in reply.body


@pytest.mark.row("6: chunked body without the last chunk")
def test_cut_inside_a_huge_event_breaks_the_connection(raw):
    """Nothing can be said inside an event that is half sent: no clean end then."""
    proxy, up = raw
    seen = threading.Semaphore(0)

    def script(c, r):
        c.stream_head()
        c.chunk(MESSAGES[0] + b"event: content_block_delta\ndata: " + b"x" * (3 << 20))
        assert seen.acquire(timeout=10)
        c.reset()
    up.script = script
    with Client(proxy.claude_port) as c:
        ask(c, "messages")
        c.head()
        c.until(b"x" * 100000)
        seen.release()
        with pytest.raises((Broken, ConnectionResetError)):
            c.body()


# --- STREAM_OPEN_SECONDS ---

@pytest.fixture(scope="module")
def opening(scripted):
    with Proxy(ANTHROPIC_BASE_URL=scripted[1].url, OPENAI_BASE_URL=scripted[1].url,
               STREAM_OPEN_SECONDS="0.2", HTTP_TIMEOUT="1", STREAM_PING_SECONDS="0.3") as p:
        yield p


def slow(up, answer):
    opened = threading.Event()

    def script(c, r):
        assert opened.wait(10)
        answer(c)
    up.script = script
    return opened


def open_then(opening, up, protocol, answer):
    """The stream's body, after the comment that opened it."""
    opened = slow(up, answer)
    with Client(opening.codex_port) as c:
        ask(c, protocol)
        reply = c.head()
        assert reply.status == 200
        assert reply.h("content-type").startswith("text/event-stream")
        assert c.until(b"\n\n").startswith(b":")
        opened.set()
        return c.body().replace(COMMENT, b"")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_opened_stream_goes_on(opening, raw, protocol):
    data = b"".join(STREAMS[protocol])
    assert open_then(opening, raw[1], protocol, lambda c: c.stream(data)) == data


@pytest.mark.parametrize("protocol", ["messages", "chat"])
def test_opened_stream_then_a_status(opening, raw, protocol):
    """The upstream's late error becomes the event, with its type and message."""
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Come \\"later\\""}}'
    tail = open_then(opening, raw[1], protocol, lambda c: c.reply(529, [], body))
    assert check_error(protocol, tail, kind="overloaded_error") == 'Come "later"'


def test_opened_responses_stream_then_a_status(opening, raw):
    """The SDK needs response.created first."""
    body = b'{"error":{"type":"server_error","message":"Later."}}'
    tail = open_then(opening, raw[1], "responses", lambda c: c.reply(503, [], body))
    got = events(tail)
    assert [n for n, _ in got] == ["response.created", "error", "response.failed"]
    created, error, failed = (json.loads(d) for _, d in got)
    assert created["response"]["id"] == failed["response"]["id"]
    assert [e["sequence_number"] for e in (created, error, failed)] == [0, 1, 2]
    assert error["error"]["message"] == failed["response"]["error"]["message"] == "Later."


@pytest.mark.parametrize("answer", [lambda c: c.reset(), lambda c: c.wait_closed(10)])
def test_opened_stream_then_nothing(opening, raw, answer):
    tail = open_then(opening, raw[1], "messages", answer)
    check_error("messages", tail)


def test_plain_requests_are_not_opened(opening, raw):
    up = raw[1]
    up.script = lambda c, r: (time.sleep(0.5), c.reply(429, [("retry-after", "2")], b"{}"))
    with Client(opening.claude_port) as c:
        reply = c.request("POST", "/v1/messages", KEY, json=BODY | {"stream": False})
    assert (reply.status, reply.h("retry-after")) == (429, "2")


# --- force_stream ---

@pytest.fixture(scope="module")
def folding(sim, scripted, tmp_path_factory):
    """Proxies (before the simulator, before the scripted upstream) that always stream upstream."""
    rules = tmp_path_factory.mktemp("rules") / "rules.json"
    rules.write_text(json.dumps({"version": 1, "adapters": [
        {"name": "folder", "priority": 200, "match": {"header": "user-agent", "product": "folder"},
         "actions": [{"op": "force_stream"}]}]}))
    with (Proxy(ANTHROPIC_BASE_URL=sim.url, OPENAI_BASE_URL=sim.url, ADAPTERS_FILE=rules) as a,
          Proxy(ANTHROPIC_BASE_URL=scripted[1].url, OPENAI_BASE_URL=scripted[1].url,
                STREAM_IDLE_SECONDS="0.5", ADAPTERS_FILE=rules) as b):
        yield a, b


def fold(proxy, protocol, headers=None, **more):
    body = {n: v for n, v in BODIES[protocol].items() if n != "stream"} | more
    with Client(proxy.codex_port) as c:
        return c.request("POST", PATHS[protocol],
                         KEY | {"user-agent": "folder/1"} | (headers or {}), json=body)


@pytest.mark.parametrize("protocol", ["messages", "responses"])
def test_force_stream(folding, proxy, sim, tag, protocol):
    """One JSON reply, like the one that the upstream gives to a plain request."""
    options = {}
    if protocol == "messages":
        options = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}
    reply = fold(folding[0], protocol, {"x-test-id": tag}, **options)
    assert reply.status == 200
    assert reply.h("content-type").startswith("application/json")
    assert reply.h("content-length") == str(len(reply.body))
    assert sim.record(tag).json()["stream"] is True
    got = reply.json()
    plain = fold(proxy, protocol, {"user-agent": "curl"}, **options).json()
    assert set(plain) <= set(got) | {"stop_sequence", "stop_details", "container"}
    for member in ("type", "object", "role", "model", "status", "stop_reason"):
        assert got.get(member) == plain.get(member), member
    parts = "content" if protocol == "messages" else "output"
    assert [p["type"] for p in got[parts]] == [p["type"] for p in plain[parts]]
    assert got["usage"]["output_tokens"] > 0


def test_force_stream_that_the_client_wants_too(folding):
    with Client(folding[0].claude_port) as c:
        reply = c.request("POST", "/v1/messages", KEY | {"user-agent": "folder/1"}, json=BODY)
    assert reply.h("content-type").startswith("text/event-stream")
    assert events(reply.body)[-1][0] == "message_stop"


def test_force_stream_passes_errors(folding):
    reply = fold(folding[0], "messages", {"x-mock-fault": "status-429"})
    assert reply.status == 429 and reply.h("retry-after") == "1"


@pytest.mark.parametrize("end", [
    lambda c: c.reset(), lambda c: c.last_chunk(), lambda c: c.wait_closed(10)])
def test_force_stream_cut(folding, raw, end):
    """The status is still free: 502 or 504."""
    def script(c, r):
        c.stream_head()
        c.chunk(b"".join(MESSAGES[:4]))
        end(c)
    raw[1].script = script
    reply = fold(folding[1], "messages")
    assert reply.status in (502, 504) and reply.json()["error"]["type"] == "api_error"


def test_force_stream_error_event(folding, raw):
    event = block("error", error={"type": "overloaded_error", "message": "Overloaded"})
    raw[1].script = lambda c, r: c.stream(MESSAGES[0] + event)
    reply = fold(folding[1], "messages")
    assert reply.status == 529
    assert reply.json()["error"]["type"] == "overloaded_error"
    assert reply.json()["error"]["message"] == "Overloaded"

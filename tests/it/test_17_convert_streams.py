"""Converted replies through the running proxy: cases E129 to E136 and E187 to E204 that a filter
cannot show (mislabelled bodies, who closes what, what is sent when, sizes), and streams that end
too early."""

import json
import subprocess
import threading
import time
import zlib
from pathlib import Path

import grammar
import pytest
from proxy import BINARY, ROOT, Proxy
from upstream import Upstream
from wire import Client

KEY = {"x-api-key": "sk-test"}
PATHS = {"messages": "/v1/messages", "responses": "/v1/responses", "chat": "/v1/chat/completions"}
PROTOCOLS = list(PATHS)
PAIRS = [(up, client) for up in PROTOCOLS for client in PROTOCOLS if up != client]
SAID = [{"role": "user", "content": "hi"}]
BODIES = {
    "messages": {"model": "m", "max_tokens": 99, "messages": SAID},
    "responses": {"model": "m", "input": "hi"},
    "chat": {"model": "m", "messages": SAID},
}
STREAMS = {p: (Path(ROOT) / f"tests/vectors/streams/{p}.sse").read_bytes() for p in PROTOCOLS}
WHOLE = {
    "messages": {
        "id": "msg_01", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn",
        "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 4},
    },
    "chat": {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1790000000, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"},
                     "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    },
    "responses": {
        "id": "resp_9", "object": "response", "created_at": 1790000000, "status": "completed",
        "model": "m", "error": None, "incomplete_details": None,
        "output": [{"id": "msg_9", "type": "message", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}],
        "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
    },
}


def only(up, protocol, **settings):
    """A proxy whose upstreams speak one protocol."""
    return Proxy(ANTHROPIC_BASE_URL=up.url, OPENAI_BASE_URL=up.url, ANTHROPIC_PROTOCOLS=protocol,
                 OPENAI_PROTOCOLS=protocol, **settings)


@pytest.fixture(scope="module")
def proxies():
    up = Upstream()
    made = {p: only(up, p, STREAM_IDLE_SECONDS="1.2", STREAM_PING_SECONDS="20") for p in PROTOCOLS}
    yield made, up
    for p in made.values():
        p.stop()
    up.close()


@pytest.fixture
def ask(proxies):
    """ask(upstream protocol, client protocol, script, ...) -> a client that waits for the head."""
    made, up = proxies
    up.forget()
    clients = []

    def send(upstream, client, script, stream=True, **more):
        up.script = script
        c = Client(made[upstream].codex_port)
        clients.append(c)
        c.send_request("POST", PATHS[client], KEY, json=BODIES[client] | {"stream": stream} | more)
        return c
    yield send
    for c in clients:
        c.close()


def reply(c):
    r = c.head()
    r.body = c.body()
    return r


def delta(protocol, text):
    """One event of the upstream that holds this text."""
    data = {
        "messages": {"type": "content_block_delta", "index": 0,
                     "delta": {"type": "text_delta", "text": text}},
        "responses": {"type": "response.output_text.delta", "item_id": "m1", "output_index": 0,
                      "content_index": 0, "delta": text},
        "chat": {"id": "chatcmpl-1", "model": "m",
                 "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]},
    }[protocol]
    return event(data)


def event(data):
    name = f"event: {data['type']}\n" if "type" in data else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


def begin(protocol):
    if protocol == "messages":
        return event({"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": {
            "input_tokens": 3, "output_tokens": 1}}}) + event(
            {"type": "content_block_start", "index": 0,
             "content_block": {"type": "text", "text": ""}})
    if protocol == "chat":
        return event({"id": "chatcmpl-1", "model": "m", "choices": [
            {"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}]})
    return event({"type": "response.created", "response": {
        "id": "resp_1", "object": "response", "model": "m", "status": "in_progress",
        "output": []}}) + event({"type": "response.output_item.added", "output_index": 0, "item": {
            "id": "m1", "type": "message", "role": "assistant", "status": "in_progress",
            "content": []}}) + event({
                "type": "response.content_part.added", "item_id": "m1", "output_index": 0,
                "content_index": 0, "part": {"type": "output_text", "text": ""}})


def finish(protocol):
    if protocol == "messages":
        return event({"type": "content_block_stop", "index": 0}) + event(
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"},
             "usage": {"output_tokens": 4}}) + event({"type": "message_stop"})
    if protocol == "chat":
        return event({"id": "chatcmpl-1", "model": "m", "choices": [
            {"index": 0, "delta": {}, "finish_reason": "stop"}]}) + b"data: [DONE]\n\n"
    return event({"type": "response.completed", "response": {
        "id": "resp_1", "object": "response", "model": "m", "status": "completed", "output": [],
        "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}}})


def check_error_body(client, body):
    error = json.loads(body)["error"]
    assert error["message"] and error["type"]
    if client == "messages":
        assert json.loads(body)["type"] == "error"
    else:
        assert {"param", "code"} <= error.keys()


# --- E129, E130: what it says it is, and what it is ---

@pytest.mark.parametrize("upstream, client", PAIRS)
def test_whole_body_for_a_stream_request(ask, upstream, client):
    body = json.dumps(WHOLE[upstream], indent=1).encode()
    r = reply(ask(upstream, client, lambda c, _: c.reply(body=body)))
    assert r.status == 200 and r.h("content-type").startswith("text/event-stream")
    assert grammar.check(client, r.body) == [] and grammar.outcome(client, r.body) == "complete"
    assert b'"Hi"' in r.body


@pytest.mark.parametrize("upstream, client", PAIRS)
@pytest.mark.parametrize("label", ["text/event-stream", "application/json", "text/plain"])
def test_stream_for_a_plain_request(ask, upstream, client, label):
    def script(c, _):
        c.stream_head(content_type=label)
        c.chunk(STREAMS[upstream])
        c.last_chunk()
    r = reply(ask(upstream, client, script, stream=False))
    assert r.status == 200 and r.h("content-type").startswith("application/json")
    got = json.loads(r.body)
    assert got["object" if client != "messages" else "type"] == {
        "messages": "message", "chat": "chat.completion", "responses": "response"}[client]
    assert b'"Hi"' in r.body and r.body.count(b"call_" if upstream != "messages" else b"toolu_") > 0


@pytest.mark.parametrize("upstream, client", PAIRS)
def test_stream_with_another_label(ask, upstream, client):
    def script(c, _):
        c.stream_head(content_type="application/json")
        c.chunk(STREAMS[upstream])
        c.last_chunk()
    r = reply(ask(upstream, client, script))
    assert r.status == 200 and r.h("content-type").startswith("text/event-stream")
    assert grammar.check(client, r.body) == [] and grammar.outcome(client, r.body) == "complete"


@pytest.mark.parametrize("upstream, client", PAIRS)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("code, status", [(None, 502), (429, 429)])
def test_error_in_a_good_reply(ask, upstream, client, stream, code, status):
    body = json.dumps({"error": {"message": "no such luck", "code": code}}).encode()
    r = reply(ask(upstream, client, lambda c, _: c.reply(body=body), stream=stream))
    assert r.status == status and b"no such luck" in r.body
    check_error_body(client, r.body)


# --- E131 ---

@pytest.mark.parametrize("upstream, client", PAIRS)
def test_client_leaves(ask, upstream, client):
    gone = threading.Event()

    def script(c, _):
        c.stream_head()
        c.chunk(begin(upstream) + delta(upstream, "one"))
        if c.wait_closed(5):
            gone.set()
    c = ask(upstream, client, script)
    assert c.head().status == 200
    c.until(b'"one"')
    c.close()
    assert gone.wait(1.0)


# --- E136 ---

@pytest.mark.parametrize("upstream, client", PAIRS)
def test_comments_keep_it_alive(ask, upstream, client):
    """2.4 s without an event, 1.2 s allowed: comments count, and the client sees none of them."""
    def script(c, _):
        c.stream_head()
        c.chunk(begin(upstream) + delta(upstream, "one"))
        for sign in (b": x\n\n", b"event: keepalive\ndata: {}\n\n", b":\n\n", b": y\n\n"):
            time.sleep(0.6)
            c.chunk(sign)
        c.chunk(finish(upstream))
        c.last_chunk()
    r = reply(ask(upstream, client, script))
    assert grammar.check(client, r.body) == [] and grammar.outcome(client, r.body) == "complete"
    assert b"keepalive" not in r.body and b"\n:" not in r.body


@pytest.mark.parametrize("upstream, client", PAIRS)
def test_silence_ends_it(ask, upstream, client):
    def script(c, _):
        c.stream_head()
        c.chunk(begin(upstream) + delta(upstream, "one"))
        c.wait_closed(5)
    r = reply(ask(upstream, client, script))
    assert grammar.outcome(client, r.body) == "error"
    assert grammar.check(client, r.body) == []


@pytest.mark.parametrize("upstream, client", PAIRS[:2])
def test_an_event_that_never_ends_is_silence(ask, upstream, client):
    """EW1.12: bytes alone do not count."""
    def script(c, _):
        c.stream_head()
        c.chunk(begin(upstream) + delta(upstream, "one") + b"data: ")
        for _ in range(20):
            if c.wait_closed(0.25):
                return
            c.chunk(b" ")
    begun = time.monotonic()
    r = reply(ask(upstream, client, script))
    assert grammar.outcome(client, r.body) == "error" and grammar.check(client, r.body) == []
    assert time.monotonic() - begun < 4


# --- E187: sizes ---

@pytest.mark.parametrize("upstream, client", PAIRS)
def test_huge_event(ask, upstream, client):
    text = "x" * (20 << 20)

    def script(c, _):
        c.stream(begin(upstream) + delta(upstream, text) + finish(upstream))
    r = reply(ask(upstream, client, script))
    assert grammar.outcome(client, r.body) == "complete"
    assert text.encode() in r.body


@pytest.mark.parametrize("upstream, client", PAIRS)
def test_event_above_the_limit(proxies, upstream, client):
    up = proxies[1]
    up.forget()
    closed = threading.Event()

    def script(c, _):
        c.stream_head()
        c.chunk(begin(upstream) + delta(upstream, "one") + b"data: {")
        try:
            while True:  # the proxy hangs up
                c.chunk(b" " * 65536)
        except OSError:
            closed.set()
            raise
    up.script = script
    with only(up, upstream, MAX_EVENT_BYTES="1M") as p, Client(p.codex_port) as c:
        c.send_request("POST", PATHS[client], KEY, json=BODIES[client] | {"stream": True})
        r = reply(c)
        assert grammar.outcome(client, r.body) == "error"
        assert grammar.check(client, r.body) == []
        assert closed.wait(10)
        assert p.worker_kib() < 32 * 1024 or b"__asan_init" in Path(BINARY).read_bytes()


# --- E188, E189: at once ---

@pytest.mark.parametrize("upstream, client", PAIRS)
@pytest.mark.parametrize("coding", ["identity", "gzip"])
@pytest.mark.parametrize("pieces", [1, 10])
def test_each_event_at_once(ask, upstream, client, coding, pieces):
    """The client has an event before the upstream says another word."""
    seen = threading.Semaphore(0)
    coder = zlib.compressobj(wbits=31)

    def send(c, data):
        c.chunk(coder.compress(data) + coder.flush(zlib.Z_SYNC_FLUSH) if coding == "gzip" else data)

    def script(c, _):
        c.stream_head(f"content-encoding: {coding}")
        send(c, begin(upstream))
        for n in range(5):
            data = delta(upstream, f"word{n}")
            step = -(-len(data) // pieces)
            for at in range(0, len(data), step):
                send(c, data[at : at + step])
            assert seen.acquire(timeout=10)
        send(c, delta(upstream, "twin1") + delta(upstream, "twin2"))
        assert seen.acquire(timeout=10)
        send(c, finish(upstream))
        c.chunk(coder.flush()) if coding == "gzip" else None
        c.last_chunk()
    c = ask(upstream, client, script)
    assert c.head().status == 200
    got = b""
    for n in range(5):
        got += c.until(f'"word{n}"'.encode()) + c.until(b"\n\n")
        seen.release()
    got += c.until(b'"twin1"') + c.until(b'"twin2"') + c.until(b"\n\n")
    seen.release()
    got += c.body()
    assert grammar.check(client, got) == [] and grammar.outcome(client, got) == "complete"


# --- E197, E201, E202, E204: requests ---

BAD = [b"", b"null", b"[]", b"{} x", b'{"a":1,}', b"{'a':1}", b"NaN", b"[" * 100_000,
       b'{"a":' * 100_000, b'{"model":"m","x":NaN}', b"\xef\xbb\xbf"]


@pytest.mark.parametrize("upstream, client", PAIRS)
def test_bad_bodies(proxies, upstream, client):
    made, up = proxies
    up.forget()
    for body in BAD:
        with Client(made[upstream].codex_port) as c:
            r = c.request("POST", PATHS[client], KEY | {"content-type": "application/json"}, body)
        assert r.status == 400, body[:40]
        check_error_body(client, r.body)
    assert not up.requests


@pytest.mark.parametrize("upstream, client", PAIRS)
def test_byte_order_mark(proxies, upstream, client):
    made, up = proxies
    up.forget()
    up.script = lambda c, _: c.reply(body=json.dumps(WHOLE[upstream]).encode())
    with Client(made[upstream].codex_port) as c:
        r = c.request("POST", PATHS[client], KEY | {"content-type": "application/json"},
                      b"\xef\xbb\xbf" + json.dumps(BODIES[client]).encode())
    assert r.status == 200 and up.requests[0].body[:1] == b"{"


def tool(client, schema):
    return {"messages": {"name": "f", "input_schema": schema},
            "chat": {"type": "function", "function": {"name": "f", "parameters": schema}},
            "responses": {"type": "function", "name": "f", "parameters": schema,
                          "strict": False}}[client]


@pytest.mark.parametrize("upstream, client", PAIRS)
def test_deep_schema(proxies, upstream, client):
    made, up = proxies
    up.forget()
    schema = '{"type":"object","properties":{"a":' * 500 + '{"type":"string"}' + "}}" * 500
    text = json.dumps(BODIES[client] | {"tools": [tool(client, "SCHEMA")]})
    body = json.dumps(WHOLE[upstream]).encode()
    up.script = lambda c, _: c.reply(body=body)
    with Client(made[upstream].codex_port) as c:
        r = c.request("POST", PATHS[client], KEY | {"content-type": "application/json"},
                      text.replace('"SCHEMA"', schema).encode())
    assert r.status == 200, r.body
    sent = up.requests[0].body
    assert sent.count(b'"properties"') == 500


@pytest.mark.parametrize("client", ["messages", "responses"])
def test_infinity_in_a_reply(ask, client):
    body = json.dumps(WHOLE["chat"]).replace(
        '"finish_reason"', '"logprobs":{"content":[{"token":"Hi","logprob":-Infinity}]},'
        '"finish_reason"').encode()
    r = reply(ask("chat", client, lambda c, _: c.reply(body=body), stream=False))
    assert r.status == 200 and b'"Hi"' in r.body and b"Infinity" not in r.body


@pytest.mark.parametrize("upstream, client", PAIRS)
def test_many_unknown_members(ask, proxies, upstream, client):
    more = {f"x{n}": n for n in range(10_000)} | {"y" * (1 << 20): 1, "z\r\nset-cookie: a" * 9: 2}
    body = json.dumps(WHOLE[upstream]).encode()
    r = reply(ask(upstream, client, lambda c, _: c.reply(body=body), stream=False, **more))
    assert r.status == 200 and r.h("set-cookie") is None
    warning = r.h("x-cc-proxy-warning")
    assert len(warning) <= 1024 and warning.endswith("more")
    assert b'"x1"' not in proxies[1].requests[0].body


# --- E203: the same protocol, another model ---

@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_only_the_model_changes(proxies, tmp_path, protocol):
    up = proxies[1]
    up.forget()
    up.script = lambda c, _: c.reply(body=json.dumps(WHOLE[protocol]).encode())
    (tmp_path / "c.yaml").write_text(
        f"upstreams:\n  there:\n    base_url: {up.url}\n    protocol: {protocol}\n    profile: default\n"
        "services:\n  codex:\n    routes:\n"
        "      - {model: mine, upstream: there, upstream_model: theirs/big}\n")
    said = json.dumps({k: v for k, v in BODIES[protocol].items() if k != "model"})[1:]
    text = '{ "x" : {"model":"mine"},  "note":"a \\"model\\":\\"mine\\" \\u0041", "mo' + \
        'del" :\t"mi\\u006ee" , ' + said
    with only(up, protocol, CONFIG_FILE=tmp_path / "c.yaml") as p, Client(p.codex_port) as c:
        r = c.request("POST", PATHS[protocol], KEY | {"content-type": "application/json"},
                      text.encode())
    assert r.status == 200, r.body
    assert up.requests[0].body.decode() == text.replace('"mi\\u006ee"', '"theirs/big"')


# --- C5: what ends too early is no success ---

def cuts(data):
    """Behind every event, and in the middle of every event."""
    at = 0
    for block in data.split(b"\n\n")[:-1]:
        yield at
        yield at + len(block) // 2
        yield at + len(block) - 1
        at += len(block) + 2


FINISH = {"messages": b'"stop_reason":"tool_use"', "chat": b'"finish_reason":"tool_calls"',
          "responses": b"event: response.completed\n"}


@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize("upstream", PROTOCOLS)
def test_truncated(upstream, client):
    data = STREAMS[upstream]
    known = data.index(FINISH[upstream])
    for cut in cuts(data):
        done = subprocess.run(
            [BINARY, "convert", "--kind", "stream", "--from", upstream, "--to", client],
            input=data[:cut], capture_output=True, timeout=20, check=False)
        where = f"{upstream} to {client}, {cut} bytes"
        if b"HTTP " in done.stderr:
            assert cut <= known and done.returncode == 1, where
            check_error_body(client, done.stdout)
            continue
        outcome = grammar.outcome(client, done.stdout)
        assert grammar.check(client, done.stdout) == [], where
        if cut <= known:
            assert outcome == "error" and done.returncode == 1, where


@pytest.mark.parametrize("how", ["last chunk", "close", "reset"])
@pytest.mark.parametrize("upstream, client", PAIRS)
def test_truncated_on_the_wire(ask, upstream, client, how):
    """However the connection ends: before content an HTTP error, behind it the error of a stream."""
    for data in (begin(upstream), begin(upstream) + delta(upstream, "one")):
        def script(c, _, data=data):
            c.stream_head()
            c.chunk(data)
            time.sleep(0.05)
            {"last chunk": c.last_chunk, "close": c.close, "reset": c.reset}[how]()
        r = reply(ask(upstream, client, script))
        if r.status == 200:
            assert grammar.outcome(client, r.body) == "error"
            assert grammar.check(client, r.body) == []
        else:
            assert r.status == 502 and b"one" not in data
            check_error_body(client, r.body)

"""Converted requests and replies through the running proxy, as on the wire (protocols.md D)."""

import gzip
import json
import threading

import grammar
import pytest
import zstandard
from proxy import Proxy
from upstream import Upstream
from wire import Client, events

KEY = {"x-api-key": "sk-client"}
BEARER = {"authorization": "Bearer sk-client"}
ASKED = {
    "messages": ("/v1/messages", KEY, {"model": "m", "max_tokens": 99, "stream": True,
                                       "messages": [{"role": "user", "content": "hi"}]}),
    "chat": ("/v1/chat/completions", BEARER, {"model": "m", "stream": True,
                                              "messages": [{"role": "user", "content": "hi"}]}),
    "responses": ("/v1/responses", BEARER, {"model": "m", "stream": True, "input": "hi"}),
}
PATHS = {name: path for name, (path, _, _) in ASKED.items()}
PAIRS = [(a, b) for a in ASKED for b in ASKED if a != b]


def sse(*data):
    return "".join((f"event: {d['type']}\n" if "type" in d else "") +
                   f"data: {json.dumps(d)}\n\n" for d in data).encode()


def chat_chunk(delta, finish=None):
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1790000000,
            "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


MESSAGE_START = {"type": "message_start", "message": {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
    "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}}
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1790000000, "model": "m",
            "status": "in_progress", "error": None, "output": []}
ITEM = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress",
        "content": []}

# The first events of a reply of each protocol, up to some text; and the rest of it.
BEGIN = {
    "messages": sse(MESSAGE_START,
                    {"type": "content_block_start", "index": 0,
                     "content_block": {"type": "text", "text": ""}},
                    {"type": "content_block_delta", "index": 0,
                     "delta": {"type": "text_delta", "text": "ok"}}),
    "chat": sse(chat_chunk({"role": "assistant", "content": "ok"})),
    "responses": sse({"type": "response.created", "sequence_number": 0, "response": RESPONSE},
                     {"type": "response.output_item.added", "sequence_number": 1,
                      "output_index": 0, "item": ITEM},
                     {"type": "response.output_text.delta", "sequence_number": 2,
                      "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "ok"}),
}
DONE_ITEM = ITEM | {"status": "completed", "content": [
    {"type": "output_text", "text": "ok", "annotations": []}]}
REST = {
    "messages": sse({"type": "content_block_stop", "index": 0},
                    {"type": "message_delta", "usage": {"output_tokens": 2},
                     "delta": {"stop_reason": "end_turn", "stop_sequence": None}},
                    {"type": "message_stop"}),
    "chat": sse(chat_chunk({}, "stop")) + b"data: [DONE]\n\n",
    "responses": sse({"type": "response.output_item.done", "sequence_number": 3,
                      "output_index": 0, "item": DONE_ITEM},
                     {"type": "response.completed", "sequence_number": 4,
                      "response": RESPONSE | {"status": "completed", "output": [DONE_ITEM]}}),
}


class Pair:
    """A proxy whose upstream speaks one protocol."""

    def __init__(self, upstream, **settings):
        self.speaks = upstream
        self.up = Upstream()
        self.proxy = Proxy(ANTHROPIC_BASE_URL=self.up.url, OPENAI_BASE_URL=self.up.url,
                           ANTHROPIC_PROTOCOLS=upstream, OPENAI_PROTOCOLS=upstream, **settings)

    def fresh(self):
        self.up.forget()
        self.up.script = lambda c, r: c.stream(BEGIN[self.speaks] + REST[self.speaks])
        return self

    def connect(self, client):
        return Client(self.proxy.claude_port if client == "messages" else self.proxy.codex_port)

    def ask(self, client, change=None, headers=None, target="", **options):
        path, key, body = ASKED[client]
        if not options:
            options = {"json": body | (change or {})}
        with self.connect(client) as c:
            return c.request("POST", path + target, key | (headers or {}), **options)

    def stop(self):
        self.proxy.stop()
        self.up.close()


@pytest.fixture(scope="module")
def started():
    """speaks -> Pair, started when first asked for."""
    pairs = {}
    yield pairs
    for p in pairs.values():
        p.stop()


@pytest.fixture
def pair(started):
    def get(upstream, **settings):
        name = (upstream, *sorted(settings.items()))
        if name not in started:
            started[name] = Pair(upstream, STREAM_PING_SECONDS="0.3", STREAM_OPEN_SECONDS="0.5",
                                 **settings)
        return started[name].fresh()
    return get


@pytest.mark.parametrize("client,upstream", PAIRS)
def test_a_stream_of_every_pair(pair, client, upstream):
    p = pair(upstream)
    reply = p.ask(client)
    assert reply.status == 200 and reply.h("content-type").startswith("text/event-stream")
    assert grammar.check(client, reply.body) == [] and b"ok" in reply.body
    assert p.up.requests[0].target == PATHS[upstream]


# ---- E186: an event that is no JSON ----

BROKEN = b'data: {"choices":[{"delta":{"content":"secret sk-client words"}}]]}\n\n'


def unreadable(p, reply):
    number = p.proxy.done(reply)["request_id"]
    return p.proxy.wait_log("upstream_event_unreadable", request_id=number)


@pytest.mark.parametrize("where", ["production", "test"])
@pytest.mark.parametrize("client,upstream", PAIRS)
def test_an_unreadable_event_is_logged_and_not_sent(pair, client, upstream, where):
    """Its size and what is wrong with it; its text outside production only, without keys."""
    p = pair(upstream, ENVIRONMENT=where)
    p.up.script = lambda c, r: c.stream(BEGIN[upstream] + BROKEN + REST[upstream])
    reply = p.ask(client)
    assert reply.status == 200 and b"secret" not in reply.body
    assert grammar.outcome(client, reply.body) == "error"
    line = unreadable(p, reply)
    text = BROKEN[6:-2].decode()
    assert line["level"] == "warning" and line["bytes"] == len(text)
    assert line["offset"] == text.index("]]") + 1
    assert line.get("event_body") == (None if where == "production"
                                      else text.replace("sk-client", "***"))


@pytest.mark.parametrize("client,upstream", PAIRS)
@pytest.mark.parametrize("body", [b"[1]", b"{", b'{"a":"' + b"\xff" * 3000], ids=len)
def test_an_unreadable_body_is_logged(pair, client, upstream, body):
    p = pair(upstream, ENVIRONMENT="test")
    p.up.script = lambda c, r: c.reply(body=body)
    reply = p.ask(client, {"stream": False})
    assert reply.status == 502
    line = unreadable(p, reply)
    assert line["bytes"] == len(body) and len(line["event_body"]) == min(len(body), 500)


# ---- E79: the upstream refuses the reasoning of an earlier turn ----

REASONED = {"id": "resp_1", "object": "response", "created_at": 1790000000, "status": "completed",
            "model": "m", "output": [
                {"id": "rs_1", "type": "reasoning", "encrypted_content": "gAAA",
                 "summary": [{"type": "summary_text", "text": "hm"}]},
                DONE_ITEM], "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}}
REFUSAL = json.dumps({"error": {"message": "The encrypted content could not be verified.",
                                "type": "invalid_request_error", "param": None,
                                "code": "invalid_encrypted_content"}}).encode()


def second_turn(p):
    """Has a first turn, and the request that goes on from it."""
    p.up.script = lambda c, r: c.reply(body=json.dumps(REASONED).encode())
    content = p.ask("messages", {"stream": False}).json()["content"]
    assert content[0]["type"] == "thinking" and content[0]["signature"].startswith("ccp1.o.")
    p.up.forget()
    return {"stream": False, "messages": [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": content},
        {"role": "user", "content": "more"}]}


def kinds(request):
    return [item["type"] for item in request.json()["input"]]


def test_e79_one_repeat_without_reasoning(pair):
    p = pair("responses")
    turn = second_turn(p)

    def script(c, r):
        if len(p.up.requests) == 1:
            c.reply(400, body=REFUSAL)
        else:
            c.reply(body=json.dumps(REASONED).encode())
    p.up.script = script
    reply = p.ask("messages", turn)
    assert reply.status == 200 and reply.json()["content"][-1]["text"] == "ok"
    assert "dropped:reasoning" in reply.h("x-cc-proxy-warning").split(", ")
    assert [kinds(r) for r in p.up.requests] == [
        ["message", "reasoning", "message", "message"], ["message", "message", "message"]]


def test_e79_never_more_than_one(pair):
    p = pair("responses")
    turn = second_turn(p)
    p.up.script = lambda c, r: c.reply(400, body=REFUSAL)
    reply = p.ask("messages", turn)
    assert reply.status == 400 and reply.json()["error"]["type"] == "invalid_request_error"
    assert "could not be verified" in reply.json()["error"]["message"]
    assert len(p.up.requests) == 2


def test_e79_other_refusals_are_passed_on(pair):
    p = pair("responses")
    turn = second_turn(p)
    p.up.script = lambda c, r: c.reply(400, body=b'{"error":{"message":"no","type":"x"}}')
    assert p.ask("messages", turn).status == 400
    assert len(p.up.requests) == 1


REFUSED_THINKING = [
    "messages.1.content.0: Invalid `signature` in `thinking` block",
    "messages.1.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant "
    "message cannot be modified. These blocks must remain as they were in the original response.",
    "messages.1.content.0: this thinking block is bound to another conversation: binding mismatch",
]


@pytest.mark.parametrize("message", REFUSED_THINKING, ids=["signature", "modified", "binding"])
def test_e79_thinking_at_messages(pair, message):
    p = pair("messages")
    p.up.script = lambda c, r: c.reply(body=json.dumps({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "thinking", "thinking": "hm", "signature": "Eq"},
                    {"type": "text", "text": "ok"}], "stop_reason": "end_turn",
        "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}).encode())
    output = p.ask("responses", {"stream": False}).json()["output"]
    answer = p.up.script
    p.up.forget()

    def script(c, r):
        if len(p.up.requests) == 1:
            c.reply(400, body=json.dumps({"type": "error", "error": {
                "type": "invalid_request_error", "message": message}}).encode())
        else:
            answer(c, r)
    p.up.script = script
    reply = p.ask("responses", {"stream": False, "input": [
        {"role": "user", "content": "hi"}, *output, {"role": "user", "content": "more"}]})
    assert reply.status == 200
    assert reply.h("x-cc-proxy-warning") == "dropped:reasoning"
    turns = [[b["type"] for b in r.json()["messages"][1]["content"]] for r in p.up.requests]
    assert turns == [["thinking", "text"], ["text"]]


def test_e79_manual_thinking_is_switched_off(pair):
    """A turn of calls that has lost its thinking cannot be sent with thinking on (A1.7)."""
    p = pair("messages")
    model = "claude-sonnet-4-5"
    called = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [
        {"type": "thinking", "thinking": "hm", "signature": "Eq"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}],
        "stop_reason": "tool_use", "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1}}

    def script(c, r):
        if len(p.up.requests) == 2:
            c.reply(400, body=json.dumps({"type": "error", "error": {
                "type": "invalid_request_error", "message": REFUSED_THINKING[0]}}).encode())
        else:
            c.reply(body=json.dumps(called).encode())
    p.up.script = script
    change = {"stream": False, "model": model, "reasoning": {"effort": "high"},
              "tools": [{"type": "function", "name": "f", "parameters": {}}]}
    output = p.ask("responses", change).json()["output"]
    reply = p.ask("responses", change | {"input": [
        {"role": "user", "content": "hi"}, *output,
        {"type": "function_call_output", "call_id": "toolu_1", "output": "r"}]})
    assert reply.status == 200
    assert [r.json()["thinking"]["type"] for r in p.up.requests] == ["enabled", "enabled",
                                                                     "disabled"]
    turns = [[b["type"] for b in r.json()["messages"][1]["content"]] for r in p.up.requests[1:]]
    assert turns == [["thinking", "tool_use"], ["tool_use"]]


# ---- E149: a request that only warms a cache ----

@pytest.mark.parametrize("upstream", ["chat", "responses"])
def test_e149_no_tokens_asked_for(pair, upstream):
    p = pair(upstream)
    reply = p.ask("messages", {"max_tokens": 0, "stream": False})
    assert reply.status == 200
    message = reply.json()
    assert (message["type"], message["role"], message["content"]) == ("message", "assistant", [])
    assert message["stop_reason"] == "end_turn" and message["model"] == "m"
    assert message["usage"]["input_tokens"] == message["usage"]["output_tokens"] == 0
    reply = p.ask("messages", {"max_tokens": 0})
    assert grammar.check("messages", reply.body) == []
    assert [name for name, _ in events(reply.body)] == [
        "message_start", "message_delta", "message_stop"]
    assert p.up.requests == []


# ---- E167, E168: errors ----

@pytest.mark.parametrize("client", ["chat", "responses"])
def test_e167_overload_at_messages(pair, client):
    p = pair("messages")
    p.up.script = lambda c, r: c.reply(529, body=json.dumps({"type": "error", "error": {
        "type": "overloaded_error", "message": "Overloaded"}}).encode())
    reply = p.ask(client)
    assert reply.status == 503
    assert reply.json()["error"]["type"] == "server_error"
    assert reply.json()["error"]["code"] == "server_overloaded"


@pytest.mark.parametrize("upstream", ["chat", "responses"])
def test_e167_overload_at_openai(pair, upstream):
    p = pair(upstream)
    p.up.script = lambda c, r: c.reply(503, body=json.dumps({"error": {
        "type": "server_error", "message": "Slow down", "code": "server_overloaded"}}).encode())
    reply = p.ask("messages")
    assert reply.status == 529 and reply.json()["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize("client,upstream", PAIRS)
def test_e168_html_is_not_passed_on(pair, client, upstream):
    p = pair(upstream)
    p.up.script = lambda c, r: c.reply(
        502, body=b"<html><body>internal-host</body></html>", content_type="text/html")
    reply = p.ask(client)
    assert reply.status == 502 and reply.h("content-type").startswith("application/json")
    assert b"html" not in reply.body and b"internal-host" not in reply.body
    assert reply.json()["error"]["message"] == "upstream returned HTTP 502"


@pytest.mark.parametrize("client", ["messages", "chat"])
@pytest.mark.parametrize("stream", [False, True])
def test_e169_a_failed_response_before_any_content(pair, client, stream):
    p = pair("responses")
    failed = RESPONSE | {"status": "failed", "error": {"code": "rate_limit_exceeded",
                                                       "message": "slow down"}}
    if stream:
        p.up.script = lambda c, r: c.stream(sse(
            {"type": "response.created", "sequence_number": 0, "response": RESPONSE},
            {"type": "response.failed", "sequence_number": 1, "response": failed}))
    else:
        p.up.script = lambda c, r: c.reply(body=json.dumps(failed).encode())
    reply = p.ask(client, {"stream": stream})
    assert reply.status == 429 and reply.json()["error"]["message"] == "slow down"
    assert reply.json()["error"]["type"] == "rate_limit_error"


# ---- headers ----

@pytest.mark.parametrize("upstream", ["chat", "responses"])
def test_e163_what_only_messages_knows_is_not_sent(pair, upstream):
    p = pair(upstream)
    reply = p.ask("messages", target="?beta=true", headers={
        "anthropic-beta": "context-1m-2025-08-07, x-y-2026-01-01",
        "anthropic-version": "2023-06-01", "anthropic-dangerous-direct-browser-access": "true"})
    assert reply.status == 200
    got = p.up.requests[0]
    assert got.target == PATHS[upstream]
    assert [n for n, _ in got.headers if n.startswith("anthropic-")] == []


def test_e163_a_messages_upstream_gets_its_version(pair):
    p = pair("messages")
    headers = {"openai-organization": "org-1", "openai-beta": "x=v1"}
    assert p.ask("chat", headers=headers).status == 200
    got = p.up.requests[0]
    assert got.h("anthropic-version") == "2023-06-01"
    assert [n for n, _ in got.headers if n.startswith("openai-")] == []


@pytest.mark.parametrize("client,upstream", PAIRS)
def test_e164_one_credential_the_configured_one(pair, client, upstream):
    p = pair(upstream, ANTHROPIC_API_KEY="sk-server", OPENAI_API_KEY="sk-server",
             PROXY_API_KEYS="sk-client")
    assert p.ask(client, headers=KEY | BEARER).status == 200
    got = p.up.requests[0]
    sent = {n: v for n, v in got.headers if "sk-" in v}
    assert sent == ({"x-api-key": "sk-server"} if upstream == "messages"
                    else {"authorization": "Bearer sk-server"})


@pytest.mark.parametrize("client,upstream", PAIRS)
def test_e164_the_clients_key_as_the_upstream_takes_it(pair, client, upstream):
    p = pair(upstream)
    assert p.ask(client).status == 200
    sent = {n: v for n, v in p.up.requests[0].headers if "sk-" in v}
    assert sent in ([{"x-api-key": "sk-client"}, {"authorization": "Bearer sk-client"}]
                    if upstream == "messages" else [{"authorization": "Bearer sk-client"}])


# ---- E170: the same request twice ----

@pytest.mark.parametrize("client,upstream", PAIRS)
def test_e170_the_same_request_twice(pair, client, upstream):
    p = pair(upstream)
    tool = {"name": "f", "description": "Does it.", "parameters": {
        "type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "integer"}}}}
    tools = {"messages": [{"name": "f", "input_schema": tool["parameters"]}],
             "chat": [{"type": "function", "function": tool}],
             "responses": [{"type": "function"} | tool]}
    for _ in range(2):
        assert p.ask(client, {"tools": tools[client], "metadata": {"user_id": "u"}}).status == 200
    one, two = p.up.requests
    assert one.body == two.body
    assert b'"b"' in one.body
    assert sorted(one.headers) == sorted(two.headers)


# ---- E165: coded bodies ----

@pytest.mark.parametrize("coding,code", [
    ("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress)])
@pytest.mark.parametrize("client,upstream", [("responses", "messages"), ("messages", "chat")])
def test_e165_a_coded_body_is_converted(pair, client, upstream, coding, code):
    p = pair(upstream)
    body = json.dumps(ASKED[client][2]).encode()
    headers = {"content-type": "application/json", "content-encoding": coding}
    assert p.ask(client, headers=headers, body=code(body)).status == 200
    assert p.up.requests[0].h("content-encoding") is None
    assert p.up.requests[0].json()["model"] == "m"


@pytest.mark.parametrize("client,upstream", [("responses", "messages"), ("messages", "chat")])
@pytest.mark.parametrize("coding,body,status", [
    ("gzip", b"\x1f\x8b\x08 no", 400), ("zstd", b"(\xb5/\xfd no", 400),
    ("zstd", zstandard.ZstdCompressor().compress(b"{" * 999)[:-4], 400), ("snappy", b"x", 415)])
def test_e165_what_cannot_be_decoded(pair, client, upstream, coding, body, status):
    p = pair(upstream)
    headers = {"content-type": "application/json", "content-encoding": coding}
    reply = p.ask(client, headers=headers, body=body)
    assert reply.status == status
    assert reply.json()["error"]["type"] == "invalid_request_error"
    assert p.up.requests == []


# ---- streams and time ----

def test_e207_a_failure_after_keep_alives(pair):
    p = pair("messages")

    def script(c, r):
        c.stream_head()
        c.chunk(sse(MESSAGE_START))
        go.wait(20)
        c.chunk(sse({"type": "error", "error": {"type": "overloaded_error", "message": "Over"}}))
        c.last_chunk()
    go = threading.Event()
    p.up.script = script
    path, key, body = ASKED["responses"]
    with Client(p.proxy.codex_port, timeout=30) as c:
        c.send_request("POST", path, key, json=body)
        assert c.head().status == 200  # after some waiting
        go.set()
        names = [name for name, _ in events(c.body()) if name not in ("", "keepalive")]
    assert names[0] == "response.created" and names[-1] == "response.failed"


KEEP_ALIVE = {
    "messages": b'\n\nevent: ping\ndata: {"type":"ping"}\n\n', "chat": b"\n\n: ping\n\n",
    "responses": b'\n\nevent: keepalive\ndata: {"type":"keepalive"}\n\n'}


@pytest.mark.parametrize("client,upstream", PAIRS)
def test_e208_keep_alives_in_silence(pair, client, upstream):
    p = pair(upstream)

    def script(c, r):
        c.stream_head()
        c.chunk(BEGIN[upstream])
        go.wait(20)
        c.chunk(REST[upstream])
        c.last_chunk()
    go = threading.Event()
    p.up.script = script
    path, key, body = ASKED[client]
    with p.connect(client) as c:
        c.send_request("POST", path, key, json=body)
        assert c.head().status == 200
        got = c.until(b"ok") + c.until(KEEP_ALIVE[client])
        go.set()
        got += c.body()
    assert grammar.check(client, got) == []


@pytest.mark.parametrize("client", ["messages", "responses"])
def test_e212_a_finish_is_the_end(pair, client):
    """The upstream keeps its connection open after the finish, and says nothing more."""
    p = pair("chat")

    def script(c, r):
        c.stream_head()
        c.chunk(BEGIN["chat"] + sse(chat_chunk({}, "stop")))
        go.wait(15)
    go = threading.Event()
    p.up.script = script
    path, key, body = ASKED[client]
    with p.connect(client) as c:
        c.sock.settimeout(8)
        c.send_request("POST", path, key, json=body)
        assert c.head().status == 200
        got = c.body()
    go.set()
    assert grammar.check(client, got) == [] and grammar.outcome(client, got) == "complete"


# ---- E219, E220 ----

@pytest.mark.parametrize("client,upstream", PAIRS)
def test_e219_any_name_of_a_model(pair, client, upstream):
    p = pair(upstream)
    name = "vendor/m:free é x\r\nx-bad: 1"
    reply = p.ask(client, {"model": name})
    assert reply.status == 200 and reply.h("x-bad") is None
    got = p.up.requests[0]
    assert got.json()["model"] == name
    assert got.target == PATHS[upstream] and not any("vendor" in v for _, v in got.headers)


@pytest.mark.parametrize("service,client", [
    ("claude", "messages"), ("claude", "chat"), ("claude", "responses"),
    ("codex", "messages"), ("codex", "responses")])  # the OpenAI service lists stored completions
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_e220_other_methods(pair, service, client, method):
    p = pair("chat" if client == "messages" else "messages")
    path, key, _ = ASKED[client]
    with Client(getattr(p.proxy, f"{service}_port")) as c:
        reply = c.request(method, path, key)
    assert p.up.requests == []
    if method == "OPTIONS":
        assert reply.status == 204 and "POST" in reply.h("allow", "POST").split(", ")
    else:
        assert reply.status == 405 and "POST" in reply.h("allow").split(", ")
        assert "GET" not in reply.h("allow").split(", ")

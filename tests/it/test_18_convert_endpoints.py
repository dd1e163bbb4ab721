"""Endpoints around a conversion: counting tokens, stored replies, limits, model names."""

import calendar
import json
import time
from contextlib import contextmanager

import pytest
from proxy import Proxy
from upstream import Upstream
from wire import Client

KEY = {"x-api-key": "sk-test"}
ASK = {"model": "m", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
INPUT = {"model": "m", "input": "What is the capital of France?"}


@contextmanager
def front(**settings):
    up = Upstream()
    with Proxy(ANTHROPIC_BASE_URL=up.url, OPENAI_BASE_URL=up.url, **settings) as p:
        yield p, up
    up.close()


@pytest.fixture(scope="module", params=["messages", "chat", "responses"])
def each(request):
    with front(ANTHROPIC_PROTOCOLS=request.param, OPENAI_PROTOCOLS=request.param) as (p, up):
        yield p, up, request.param


def speaking(protocol):
    @pytest.fixture(scope="module", name=f"to_{protocol}")
    def fixture():
        with front(ANTHROPIC_PROTOCOLS=protocol, OPENAI_PROTOCOLS=protocol) as (p, up):
            yield p, up
    return fixture


to_messages, to_chat, to_responses = map(speaking, ("messages", "chat", "responses"))


def ask(port, target, body=None, headers=None, method=None):
    headers = KEY | {"content-type": "application/json"} | (headers or {})
    method = method or ("GET" if body is None else "POST")
    data = b"" if body is None else json.dumps(body).encode()
    with Client(port) as c:
        return c.request(method, target, headers, data)


def answering(up, value=None, status=200, headers=(), body=None):
    up.forget()
    raw = json.dumps(value).encode() if body is None else body
    up.script = lambda c, r: c.reply(status, headers, raw)


# --- counting ---

def test_count_for_chat_is_estimated_here(to_chat):
    """E171: never 404, never 0, the upstream is not asked, and the header says so."""
    p, up = to_chat
    up.forget()
    reply = ask(p.claude_port, "/v1/messages/count_tokens", ASK)
    assert reply.status == 200, reply.body
    assert list(reply.json()) == ["input_tokens"]
    assert 8 <= reply.json()["input_tokens"] <= 14
    assert reply.h("x-cc-proxy-warning") == "degraded:count_tokens"
    assert not up.requests


def test_input_tokens_for_chat_is_estimated_here(to_chat):
    p, up = to_chat
    up.forget()
    reply = ask(p.codex_port, "/v1/responses/input_tokens", INPUT)
    assert reply.status == 200, reply.body
    body = reply.json()
    assert body == {"object": "response.input_tokens", "input_tokens": body["input_tokens"]}
    assert 8 <= body["input_tokens"] <= 14
    assert reply.h("x-cc-proxy-warning") == "degraded:count_tokens"
    assert not up.requests


def test_estimate_grows_with_everything_that_is_sent(to_chat):
    """System, tools, schemas, images and results count; white space of a schema does not."""
    p, _ = to_chat

    def count(**more):
        reply = ask(p.claude_port, "/v1/messages/count_tokens", ASK | more)
        assert reply.status == 200, reply.body
        return reply.json()["input_tokens"]

    plain = count()
    assert count(system="word " * 100) == plain + 4 + 100
    schema = {"type": "object", "properties": {"q": {"type": "string", "description": "x " * 50}}}
    tool = {"name": "find", "description": "word " * 10, "input_schema": schema}
    assert plain + 60 < count(tools=[tool]) < plain + 110
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                         "data": "iVBORw0KGgo="}}
    assert 1600 <= count(messages=[{"role": "user", "content": [image]}]) <= 1610
    call = [{"role": "user", "content": "go"},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {"q": "a"}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "word " * 200}]}]
    assert 200 < count(messages=call) < 240


def test_count_asks_a_responses_upstream(to_responses):
    p, up = to_responses
    answering(up, {"object": "response.input_tokens", "input_tokens": 123})
    reply = ask(p.claude_port, "/v1/messages/count_tokens", ASK | {"system": "Be brief."},
                {"x-cc-proxy-strict": "1"})
    assert reply.status == 200, reply.body
    assert reply.json() == {"input_tokens": 123}
    assert reply.h("x-cc-proxy-warning") != "degraded:count_tokens"
    sent = up.requests[0]
    assert (sent.method, sent.target) == ("POST", "/v1/responses/input_tokens")
    body = sent.json()
    assert body["model"] == "m" and "input" in body
    assert not {"max_output_tokens", "stream", "store", "include"} & set(body)


def test_input_tokens_asks_a_messages_upstream(to_messages):
    p, up = to_messages
    answering(up, {"input_tokens": 77})
    reply = ask(p.codex_port, "/v1/responses/input_tokens", INPUT)
    assert reply.status == 200, reply.body
    assert reply.json() == {"object": "response.input_tokens", "input_tokens": 77}
    sent = up.requests[0]
    assert sent.target == "/v1/messages/count_tokens"
    assert sent.h("anthropic-version") == "2023-06-01"
    assert not {"max_tokens", "stream", "metadata"} & set(sent.json())


@pytest.mark.parametrize("status,body", [
    (404, b"<html>no</html>"), (405, b""), (200, b"{}"), (200, b'{"input_tokens":null}')])
@pytest.mark.parametrize("way", ["messages", "responses"])
def test_upstream_that_cannot_count_gets_an_estimate(request, way, status, body):
    p, up = request.getfixturevalue("to_" + ("responses" if way == "messages" else "messages"))
    answering(up, status=status, body=body)
    target, sent = (("/v1/messages/count_tokens", ASK) if way == "messages"
                    else ("/v1/responses/input_tokens", INPUT))
    reply = ask(p.claude_port if way == "messages" else p.codex_port, target, sent)
    assert reply.status == 200, reply.body
    assert 8 <= reply.json()["input_tokens"] <= 14
    assert reply.h("x-cc-proxy-warning") == "degraded:count_tokens"


def test_other_errors_of_a_count_are_the_clients(to_responses):
    p, up = to_responses
    answering(up, {"error": {"message": "slow down", "type": "tokens",
                             "code": "rate_limit_exceeded"}}, 429, [("retry-after", "3")])
    reply = ask(p.claude_port, "/v1/messages/count_tokens", ASK)
    assert (reply.status, reply.h("retry-after")) == (429, "3")
    assert reply.json()["error"] == {"type": "rate_limit_error", "message": "slow down"}


def test_count_of_nonsense_is_400(to_chat):
    p, _ = to_chat
    reply = ask(p.claude_port, "/v1/messages/count_tokens", {"model": "m", "messages": 1})
    assert reply.status == 400
    assert reply.json()["error"]["type"] == "invalid_request_error"


def test_counts_in_the_same_protocol_pass_as_they_are(to_messages, to_responses):
    for (p, up), port, target, body in (
            (to_messages, "claude_port", "/v1/messages/count_tokens", ASK),
            (to_responses, "codex_port", "/v1/responses/input_tokens", INPUT)):
        answering(up, status=404, body=b'{"own":"words"}')
        reply = ask(getattr(p, port), target, body)
        assert (reply.status, reply.body) == (404, b'{"own":"words"}')
        assert up.requests[0].target == target
        assert up.requests[0].body == json.dumps(body).encode()
        assert reply.h("x-cc-proxy-warning") is None


# --- what only an upstream of the same protocol has ---

STATEFUL = [("GET", "/v1/responses/resp_1"), ("DELETE", "/v1/responses/resp_1"),
            ("POST", "/v1/responses/resp_1/cancel"),
            ("GET", "/v1/responses/resp_1/input_items?limit=2")]


@pytest.mark.parametrize("method,target", STATEFUL)
def test_stored_replies(each, method, target):
    p, up, protocol = each
    answering(up, {"id": "resp_1"})
    reply = ask(p.codex_port, target, method=method)
    if protocol == "responses":
        assert (reply.status, reply.json()) == (200, {"id": "resp_1"})
        assert (up.requests[0].method, up.requests[0].target) == (method, target)
        return
    assert reply.status == 404
    error = reply.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "response_not_found")
    assert set(error) == {"message", "type", "param", "code"}
    assert not up.requests


def test_compact(each):
    p, up, protocol = each
    answering(up, {"id": "resp_1", "object": "response.compaction"})
    reply = ask(p.codex_port, "/v1/responses/compact", INPUT)
    if protocol == "responses":
        assert reply.json() == {"id": "resp_1", "object": "response.compaction"}
        return
    assert (reply.status, reply.json()["error"]["code"]) == (404, "not_supported")
    assert not up.requests


@pytest.mark.parametrize("port,target,speak", [
    ("claude_port", "/v1/files", {"messages"}),
    ("claude_port", "/v1/messages/batches/b1", {"messages"}),
    ("codex_port", "/v1/conversations/c1", {"responses"}),
    ("codex_port", "/v1/files/f1", {"chat", "responses"}),
    ("codex_port", "/v1/batches", {"chat", "responses"}),
    ("codex_port", "/v1/embeddings", {"chat", "responses"}),
    ("claude_port", "/v1/models/m1", {"messages", "chat", "responses"}),
    ("codex_port", "/v1/models/m1", {"messages", "chat", "responses"}),
])
def test_families_belong_to_their_protocol(each, port, target, speak):
    p, up, protocol = each
    answering(up, {"ok": True})
    reply = ask(getattr(p, port), target, method="GET")
    assert reply.status == (200 if protocol in speak else 404)
    assert len(up.requests) == (protocol in speak)
    if protocol not in speak:
        body = reply.json()
        want = "not_found_error" if port == "claude_port" else "invalid_request_error"
        assert body["error"]["type"] == want and body["error"]["message"]
        assert ("type" in body) == (port == "claude_port")


# --- reply headers ---

def test_limits_of_chat_for_a_messages_client(to_chat):
    """E166."""
    p, up = to_chat
    answering(up, {"error": {"message": "slow", "type": "tokens", "code": "rate_limit_exceeded"}},
              429, [("retry-after", "7"), ("retry-after-ms", "6500"), ("x-request-id", "req_up"),
                    ("x-should-retry", "true"), ("x-ratelimit-reset-tokens", "6m0s"),
                    ("x-ratelimit-limit-requests", "60"), ("x-ratelimit-remaining-tokens", "5"),
                    ("x-ratelimit-reset-requests", "soon"), ("openai-organization", "org"),
                    ("openai-processing-ms", "12"), ("x-codex-thing", "1")])
    before = int(time.time())
    reply = ask(p.claude_port, "/v1/messages", ASK | {"max_tokens": 5})
    assert reply.status == 429
    body = reply.json()
    assert body["error"]["type"] == "rate_limit_error"
    assert body["request_id"] == reply.h("request-id") == "req_up"
    assert reply.h("x-request-id") is None
    assert (reply.h("retry-after"), reply.h("retry-after-ms")) == ("7", "6500")
    assert reply.h("x-should-retry") == "true"
    assert reply.h("anthropic-ratelimit-requests-limit") == "60"
    assert reply.h("anthropic-ratelimit-tokens-remaining") == "5"
    reset = calendar.timegm(time.strptime(reply.h("anthropic-ratelimit-tokens-reset"),
                                          "%Y-%m-%dT%H:%M:%SZ"))
    assert before + 360 <= reset <= time.time() + 361
    for gone in ("anthropic-ratelimit-requests-reset", "x-ratelimit-reset-tokens",
                 "x-ratelimit-limit-requests", "openai-organization", "openai-processing-ms",
                 "x-codex-thing"):
        assert reply.h(gone) is None, gone


def test_limits_of_messages_for_an_openai_client(to_messages):
    p, up = to_messages
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 100))
    past = "2020-01-01T00:00:00Z"
    answering(up, {"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                   "content": [{"type": "text", "text": "Paris"}], "stop_reason": "end_turn",
                   "usage": {"input_tokens": 1, "output_tokens": 1}},
              200, [("request-id", "req_up"), ("anthropic-ratelimit-tokens-reset", soon),
                    ("anthropic-ratelimit-requests-reset", past),
                    ("anthropic-ratelimit-requests-limit", "50"),
                    ("anthropic-ratelimit-input-tokens-limit", "9"),
                    ("anthropic-organization-id", "org")])
    reply = ask(p.codex_port, "/v1/chat/completions", ASK)
    assert reply.status == 200, reply.body
    assert reply.h("x-request-id") == "req_up" and reply.h("request-id") is None
    assert reply.h("x-ratelimit-reset-tokens") in ("1m38s", "1m39s", "1m40s")
    assert reply.h("x-ratelimit-reset-requests") == "0ms"
    assert reply.h("x-ratelimit-limit-requests") == "50"
    for gone in ("anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-input-tokens-limit",
                 "anthropic-organization-id"):
        assert reply.h(gone) is None, gone


def test_warnings_reach_the_client(to_chat):
    """0.3: what a conversion lost is named in a header of the reply."""
    p, up = to_chat
    answering(up, {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Paris"},
         "finish_reason": "stop"}]})
    reply = ask(p.claude_port, "/v1/messages", ASK | {"max_tokens": 5, "top_k": 3})
    assert reply.status == 200, reply.body
    assert "dropped:top_k" in reply.h("x-cc-proxy-warning")


# --- clients whose requests pass as they came ---

def test_raw_adapters_do_not_stop_a_conversion(to_chat):
    """Claude Code's own adapter passes bytes; in another protocol there is nothing to pass."""
    p, up = to_chat
    answering(up, {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Paris"},
         "finish_reason": "stop"}]})
    reply = ask(p.claude_port, "/v1/messages?beta=true", ASK | {"max_tokens": 5},
                {"user-agent": "claude-cli/2.0.1 (external, cli)", "x-app": "cli",
                 "anthropic-version": "2023-06-01", "anthropic-beta": "claude-code-20250219"})
    assert reply.status == 200, reply.body
    assert reply.json()["content"] == [{"type": "text", "text": "Paris"}]
    sent = up.requests[0]
    assert sent.target == "/v1/chat/completions"
    assert sent.h("anthropic-beta") is None
    unknown = ask(p.claude_port, "/v1/messages", ASK,
                  {"user-agent": "claude-cli/2.0.1 (external, cli)", "content-encoding": "rot13"})
    assert unknown.status == 415


# --- another name of the model, the same protocol ---

ALIAS = {
    "/v1/messages": ("claude_port", "message",
                     'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1",'
                     '"type":"message","role":"assistant","model":"real","content":[],'
                     '"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
                     ': a comment about "model":"real"\n\n'
                     'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
                     '"content_block":{"type":"text","text":""}}\n\n'
                     'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
                     '"delta":{"type":"text_delta","text":"\\"model\\":\\"real\\""}}\n\n'
                     'event: message_stop\ndata: {"type":"message_stop"}\n\n'),
    "/v1/chat/completions": ("codex_port", "",
                             'data: {"id":"c","model":"real","choices":[{"index":0,'
                             '"delta":{"content":"\\"model\\":\\"real\\""}}]}\n\n'
                             'data: {"id":"c", "model" : "real","choices":[{"index":0,'
                             '"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'),
    "/v1/responses": ("codex_port", "response",
                      'event: response.created\ndata: {"type":"response.created",'
                      '"sequence_number":0,"response":{"id":"resp_1","model":"real"}}\n\n'
                      'event: response.completed\ndata: {"type":"response.completed",'
                      '"sequence_number":1,"response":{"id":"resp_1","status":"completed",'
                      '"output":[{"model":"real","text":"PAD"}],"model":"real"}}\n\n'),
}


@pytest.fixture(scope="module")
def aliased(tmp_path_factory):
    up = Upstream()
    file = tmp_path_factory.mktemp("alias") / "c.yaml"
    file.write_text("services:\n" + "".join(
        f"  {service}:\n    routes:\n"
        f"      - {{ model: 'a*', upstream: {service}, upstream_model: real }}\n"
        for service in ("claude", "codex")))
    with Proxy(ANTHROPIC_BASE_URL=up.url, OPENAI_BASE_URL=up.url, CONFIG_FILE=file) as p:
        yield p, up
    up.close()


def aliased_body(target):
    """A body with white space and with the name in other places."""
    member = "input" if target == "/v1/responses" else "messages"
    return ('{ "max_tokens":5,"metadata" :{"model":"a\\u002d1"},\n\t"model":  "a\\u002d1" ,'
            f'"{member}":[{{"role":"user","content":"\\"model\\":\\"a-1\\""}}]')


@pytest.mark.parametrize("target", ALIAS)
@pytest.mark.parametrize("agent", ["x", "claude-cli/2.0.1 (external, cli)"])
def test_alias_changes_only_the_models_bytes(aliased, target, agent):
    """E203, in the request and in the reply; also for adapters that pass bytes."""
    p, up = aliased
    port, _, _ = ALIAS[target]
    body = aliased_body(target) + "}"
    raw = b'{"id":"x",  "model" : "real","deep":{"model":"real"},"usage":{"input_tokens":3}}'
    answering(up, body=raw)
    with Client(getattr(p, port)) as c:
        reply = c.request("POST", target, KEY | {"user-agent": agent}, body.encode())
    assert reply.status == 200, reply.body
    assert up.requests[0].body.decode() == body.replace(
        '"model":  "a\\u002d1"', '"model":  "real"')
    assert reply.body == raw.replace(b'"model" : "real"', b'"model" : "a\\u002d1"')


@pytest.mark.parametrize("target", ALIAS)
@pytest.mark.parametrize("pad", [1, 300_000])
def test_alias_in_streams(aliased, target, pad):
    """The name is back in the events that carry it, long ones too; all else byte for byte."""
    p, up = aliased
    port, holder, text = ALIAS[target]
    text = text.replace("PAD", "x" * pad)
    up.forget()

    def script(c, _):
        c.stream_head()
        data = text.encode()
        for i in range(0, len(data), 7 if pad == 1 else 50_000):
            c.chunk(data[i : i + (7 if pad == 1 else 50_000)])
        c.last_chunk()
    up.script = script
    with Client(getattr(p, port)) as c:
        reply = c.request("POST", target, KEY,
                          (aliased_body(target) + ',"stream":true}').encode())
    assert reply.status == 200, reply.body
    want = []
    for line in text.split("\n"):
        data = json.loads(line[6:]) if line.startswith("data: {") else {}
        named = data.get(holder) if holder else data
        if named and "model" in named:
            i = line.rindex('"real"') if holder == "response" else line.index('"real"')
            line = line[:i] + '"a\\u002d1"' + line[i + 6:]
        want.append(line)
    assert reply.body.decode() == "\n".join(want)


def test_alias_with_errors_and_equal_names(aliased):
    p, up = aliased
    answering(up, status=400, body=b'{"error":{"message":"no"},"model":"real"}')
    with Client(p.codex_port) as c:
        reply = c.request("POST", "/v1/chat/completions", KEY, b'{"model":"a-1","messages":[]}')
        assert (reply.status, reply.body) == (400, b'{"error":{"message":"no"},"model":"real"}')
        answering(up, body=b'{"model":"m2"}')
        body = b'{"model":"m2","messages":[]}'
        assert c.request("POST", "/v1/chat/completions", KEY, body).body == b'{"model":"m2"}'
        assert up.requests[0].body == body


# --- models ---

A_LIST = {"data": [{"type": "model", "id": "claude-x", "display_name": "Claude X",
                    "created_at": "2026-01-02T03:04:05Z"},
                   {"type": "model", "id": "both", "display_name": "Both",
                    "created_at": "2026-01-02T03:04:05Z"}],
          "has_more": False, "first_id": "claude-x", "last_id": "both"}
C_LIST = {"object": "list", "data": [{"id": "both", "object": "model", "created": 1, "owned_by": "o"},
                                     {"id": "ds", "object": "model", "created": 7,
                                      "owned_by": "deepseek"}]}


@pytest.fixture
def merged(tmp_path):
    own, chat, broken = Upstream(), Upstream(), Upstream()
    answering(own, A_LIST)
    answering(chat, C_LIST)
    answering(broken, status=500, body=b"<html>")
    file = tmp_path / "c.yaml"
    file.write_text(f"""upstreams:
  ds: {{ base_url: "{chat.url}", protocol: chat, key: sk-ds }}
  bad: {{ base_url: "{broken.url}", protocol: chat }}
  unused: {{ base_url: "{own.url}/unused", protocol: chat }}
services:
  claude:
    routes:
      - {{ model: "bad*", upstream: bad }}
      - {{ model: "ds*", upstream: ds }}
      - {{ model: "ds2*", upstream: ds }}
""")
    file.chmod(0o600)
    with Proxy(ANTHROPIC_BASE_URL=own.url, OPENAI_BASE_URL=own.url, CONFIG_FILE=file,
               MODELS="configured", PROXY_API_KEYS="sk-test") as p:
        yield p, own, chat, broken
    for up in (own, chat, broken):
        up.close()


@pytest.mark.parametrize("version", [{}, {"anthropic-version": "2023-06-01"}])
def test_models_of_all_upstreams_of_the_service(merged, version):
    """C7.1, E172: one list, in a shape that either family's SDK reads; each id once."""
    p, own, chat, broken = merged
    reply = ask(p.claude_port, "/v1/models", headers=version)
    assert reply.status == 200, reply.body
    body = reply.json()
    assert [m["id"] for m in body["data"]] == ["claude-x", "both", "ds"]
    assert (body["object"], body["has_more"]) == ("list", False)
    assert (body["first_id"], body["last_id"]) == ("claude-x", "ds")
    assert body["data"][0] == {
        "type": "model", "object": "model", "id": "claude-x", "display_name": "Claude X",
        "created_at": "2026-01-02T03:04:05Z", "created": 1767323045, "owned_by": "anthropic"}
    assert body["data"][2] == {
        "type": "model", "object": "model", "id": "ds", "display_name": "ds",
        "created_at": "1970-01-01T00:00:07Z", "created": 7, "owned_by": "deepseek"}
    assert [r.target for r in own.requests] == ["/v1/models?limit=1000"]
    assert [r.target for r in chat.requests] == ["/v1/models"]
    assert chat.requests[0].h("authorization") == "Bearer sk-ds"
    assert chat.requests[0].h("anthropic-version") is None
    ask(p.claude_port, "/v1/models", headers=version)
    assert (len(own.requests), len(chat.requests), len(broken.requests)) == (1, 1, 2)


def test_models_do_not_wait_for_a_silent_upstream(merged):
    p, own, _, _ = merged
    own.script = lambda c, r: time.sleep(30)
    begin = time.monotonic()
    reply = ask(p.claude_port, "/v1/models")
    assert time.monotonic() - begin < 3.5
    assert [m["id"] for m in reply.json()["data"]] == ["both", "ds"]


@pytest.mark.parametrize("query, ids, more", [
    ("?limit=2", ["claude-x", "both"], True),
    ("?limit=2&after_id=both", ["ds"], False),
    ("?after_id=claude%2Dx", ["both", "ds"], False),
    ("?limit=1&before_id=ds", ["both"], True),
    ("?before_id=both", ["claude-x"], False),
    ("?limit=x&after_id=nobody", ["claude-x", "both", "ds"], False),
    ("?after_id=ds", [], False),
])
def test_models_in_pages(merged, query, ids, more):
    """A1.10: limit, after_id, before_id."""
    body = ask(merged[0].claude_port, "/v1/models" + query).json()
    assert ([m["id"] for m in body["data"]], body["has_more"]) == (ids, more)
    assert (body["first_id"], body["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))


def test_models_page_by_page(merged):
    anthropic = pytest.importorskip("anthropic")
    client = anthropic.Anthropic(api_key="sk-test",
                                 base_url=f"http://127.0.0.1:{merged[0].claude_port}")
    assert [m.id for m in client.models.list(limit=1)] == ["claude-x", "both", "ds"]


def test_models_are_read_by_both_sdks(merged):
    anthropic = pytest.importorskip("anthropic")
    openai = pytest.importorskip("openai")
    p = merged[0]
    url = f"http://127.0.0.1:{p.claude_port}"
    listed = list(anthropic.Anthropic(api_key="sk-test", base_url=url).models.list())
    assert [(m.id, m.display_name) for m in listed][:2] == [("claude-x", "Claude X"),
                                                            ("both", "Both")]
    assert listed[0].created_at.year == 2026
    models = list(openai.OpenAI(api_key="sk-test", base_url=url + "/v1").models.list())
    assert [m.id for m in models] == ["claude-x", "both", "ds"]
    assert models[2].created == 7

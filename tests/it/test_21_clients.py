"""Desktop and web clients, as they introduce themselves and as they ask, in front of upstreams of
every protocol: a call in the first turn, its result in the second."""

import json

import grammar
import pytest
from agents.conversation import exchanged
from agents.stand import TARGETS
from proxy import Proxy
from upstream import Upstream
from wire import Client, events

PROTOCOLS = ("messages", "chat", "responses")
SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}},
          "required": ["command"], "additionalProperties": False,
          "$schema": "http://json-schema.org/draft-07/schema#"}
PROMPT = "mock:tool=run please"
PNG = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJ"
       "RU5ErkJggg==")

X_API_KEY = {"x-api-key": "dummy", "anthropic-version": "2023-06-01"}
BEARER = {"authorization": "Bearer dummy"}
CHERRY = {"user-agent": "Mozilla/5.0 (Macintosh) AppleWebKit/537.36 (KHTML, like Gecko) "
                        "CherryStudio/1.9.7 Chrome/140 Electron/38 Safari/537.36",
          "http-referer": "https://cherry-ai.com", "x-title": "Cherry Studio"}
LOBE = {"user-agent": "lobehub/1.143.0", "x-stainless-lang": "js", "x-title": "LobeHub"}
OPENCAT = {"user-agent": "OpenCat/2.1"}


@pytest.fixture(scope="module", params=PROTOCOLS)
def upstream(request, sim):
    with Proxy(ANTHROPIC_BASE_URL=sim.url, OPENAI_BASE_URL=sim.url,
               ANTHROPIC_PROTOCOLS=request.param, OPENAI_PROTOCOLS=request.param) as p:
        p.protocol = request.param
        yield p


def messages_body(**more):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    return {"model": "claude-sonnet-4-5", "max_tokens": 4096, "stream": True,
            "tools": [{"name": "run", "description": "Runs it.", "input_schema": SCHEMA}],
            "messages": [{"role": "user", "content": [image, {"type": "text", "text": PROMPT}]}],
            "system": [{"type": "text", "text": "Be brief.",
                        "cache_control": {"type": "ephemeral"}}]} | more


def chat_body(**more):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PNG}}
    return {"model": "gpt-5.1", "stream": True, "stream_options": {"include_usage": True},
            "tools": [{"type": "function", "function": {
                "name": "run", "description": "Runs it.", "parameters": SCHEMA}}],
            "messages": [{"role": "system", "content": "Be brief."},
                         {"role": "user", "content": [image, {"type": "text", "text": PROMPT}]}],
            } | more


def responses_body(**more):
    image = {"type": "input_image", "image_url": "data:image/png;base64," + PNG}
    return {"model": "gpt-5.1", "stream": True, "store": False,
            "tools": [{"type": "function", "name": "run", "description": "Runs it.",
                       "parameters": SCHEMA, "strict": False}],
            "input": [{"role": "developer", "content": "Be brief."},
                      {"role": "user", "content": [image, {"type": "input_text", "text": PROMPT}]}],
            } | more


# name, headers, protocol, first body
CLIENTS = {
    "cherry_studio-messages": (CHERRY | X_API_KEY, messages_body(
        temperature=0.7, top_p=0.9, thinking={"type": "enabled", "budget_tokens": 2048})),
    "cherry_studio-chat": (CHERRY | BEARER, chat_body(
        temperature=0.7, reasoning_effort="medium")),
    "cherry_studio-responses": (CHERRY | BEARER, responses_body(
        reasoning={"effort": "medium", "summary": "auto"}, text={"verbosity": "medium"})),
    "lobe_chat-messages": (LOBE | X_API_KEY, messages_body(
        temperature=0.7, top_p=0.9, enabledContextCaching=True)),
    "lobe_chat-chat": (LOBE | BEARER, chat_body(
        temperature=0.7, top_p=1, presence_penalty=0, frequency_penalty=0,
        enabledSearch=False, apiMode="chatCompletion")),
    "lobe_chat-responses": (LOBE | BEARER, responses_body(
        reasoning={"summary": "auto"}, apiMode="responses")),
    "opencat-messages": (OPENCAT | X_API_KEY, messages_body()),
    "opencat-chat": (OPENCAT | BEARER, chat_body(temperature=0.5)),
}


def ask(upstream, protocol, headers, body, tag):
    port = upstream.claude_port if protocol == "messages" else upstream.codex_port
    with Client(port) as c:
        reply = c.request("POST", TARGETS[protocol], headers | {"x-test-id": tag}, json=body)
    assert reply.status == 200, reply.body
    if upstream.protocol != protocol:  # else it is the upstream's own stream
        assert grammar.check(protocol, reply.body) == []
    assert grammar.outcome(protocol, reply.body) == "complete"
    return reply, [json.loads(data) for name, data in events(reply.body) if data != "[DONE]"]


def next_messages(body, got):
    """The client's second request: it puts together what was streamed."""
    content = []
    for e in got:
        if e["type"] == "content_block_start":
            content.append(dict(e["content_block"]))
        elif e["type"] == "content_block_delta":
            kind = e["delta"]["type"]
            name = {"input_json_delta": "partial_json"}.get(kind, kind.removesuffix("_delta"))
            block = content[e["index"]]
            block[name] = (block.get(name) or "") + e["delta"][name]
    for block in content:
        if "partial_json" in block:
            block["input"] = json.loads(block.pop("partial_json"))
    results = [{"type": "tool_result", "tool_use_id": b["id"], "content": "42-things"}
               for b in content if b["type"] == "tool_use"]
    assert len(results) == 1
    return body | {"messages": body["messages"] + [{"role": "assistant", "content": content},
                                                   {"role": "user", "content": results}]}


def next_chat(body, got):
    message, calls = {"role": "assistant", "content": ""}, []
    for delta in [c["delta"] for e in got for c in e["choices"]]:
        message["content"] += delta.get("content") or ""
        if delta.get("reasoning_content"):
            message.setdefault("reasoning_content", "")
            message["reasoning_content"] += delta["reasoning_content"]
        for part in delta.get("tool_calls", []):
            if part.get("id"):
                calls.append({"id": part["id"], "type": "function", "function": {
                    "name": part["function"]["name"], "arguments": ""}})
            calls[part["index"]]["function"]["arguments"] += part["function"].get("arguments", "")
    assert len(calls) == 1
    assert got[-1]["usage"]["completion_tokens"] > 0
    result = {"role": "tool", "tool_call_id": calls[0]["id"], "content": "42-things"}
    return body | {"messages": body["messages"] + [message | {"tool_calls": calls}, result]}


def next_responses(body, got):
    items = [e["item"] for e in got if e["type"] == "response.output_item.done"]
    call, = [i for i in items if i["type"] == "function_call"]
    assert got[-1]["response"]["output"] == items
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "42-things"}
    return body | {"input": body["input"] + items + [result]}


NEXT = {"messages": next_messages, "chat": next_chat, "responses": next_responses}


def images(body, protocol):
    """The data of the images, as the upstream got them."""
    if protocol == "messages":
        return [b["source"]["data"] for m in body["messages"] if isinstance(m["content"], list)
                for b in m["content"] if b["type"] == "image"]
    if protocol == "chat":
        urls = [p["image_url"]["url"] for m in body["messages"]
                if isinstance(m["content"], list) for p in m["content"] if p["type"] == "image_url"]
    else:
        urls = [p["image_url"] for i in body["input"] if isinstance(i.get("content"), list)
                for p in i["content"] if p["type"] == "input_image"]
    return [url.removeprefix("data:image/png;base64,") for url in urls]


@pytest.mark.parametrize("name", CLIENTS)
def test_a_tool_in_two_turns(upstream, sim, tag, name):
    adapter, protocol = name.split("-")
    headers, body = CLIENTS[name]
    reply, got = ask(upstream, protocol, headers, body, tag + ".1")
    second = NEXT[protocol](body, got)
    reply, got = ask(upstream, protocol, headers, second, tag + ".2")
    assert reply.h("x-cc-proxy-adapter") == adapter
    assert b"42-things" in reply.body
    records = [sim.record(f"{tag}.{n}") for n in (1, 2)]
    for record in records:
        assert record["target"] == TARGETS[upstream.protocol]
        sent = record.json()
        assert images(sent, upstream.protocol) == [PNG]
        assert not {"enabledSearch", "apiMode", "enabledContextCaching"} & set(sent)
        assert b"Be brief." in record.body
        if upstream.protocol == "messages":
            assert sent["max_tokens"] > 0
    calls, results = exchanged(records[1].json(), upstream.protocol)
    assert calls == [("run", {"command": "echo mock-shell-$((6*7))"})]
    assert "42-things" in results[0]


def too_long(code):
    error = {"message": "This model's maximum context length is 8192 tokens.", "param": "messages",
             "type": "invalid_request_error", "code": code}
    return lambda conn, request: conn.reply(400, body=json.dumps({"error": error}).encode())


@pytest.mark.parametrize("protocol", ["chat", "responses"])
@pytest.mark.parametrize("code", ["context_length_exceeded", None])
def test_a_context_that_is_too_long_is_said_in_anthropics_words(protocol, code):
    """Claude Code makes the conversation shorter when it reads "prompt is too long"."""
    up = Upstream()
    up.script = too_long(code)
    try:
        with Proxy(ANTHROPIC_BASE_URL=up.url, ANTHROPIC_PROTOCOLS=protocol) as p, \
                Client(p.claude_port) as c:
            reply = c.request("POST", "/v1/messages", X_API_KEY, json=messages_body())
    finally:
        up.close()
    assert reply.status == 400
    error = reply.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"] == \
        "prompt is too long: This model's maximum context length is 8192 tokens."

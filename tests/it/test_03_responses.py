"""The codex service: Responses, Chat Completions, and its adapters."""

import json
import re

import pytest
from proxy import Proxy, until
from wire import Client, events

BEARER = {"authorization": "Bearer sk-test"}
CHERRY = BEARER | {"user-agent": "CherryStudio/1.0.0"}
UUID8 = r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def post(port, target, headers, body):
    with Client(port) as c:
        return c.request("POST", target, headers, json=body)


def test_readme_example(proxy, sim, tag):
    """A string as input becomes a message item; the stream comes through."""
    reply = post(proxy.codex_port, "/v1/responses", CHERRY | {"x-test-id": tag},
                 {"model": "gpt-5", "input": "Hello!", "stream": True})
    assert reply.status == 200
    assert reply.h("x-request-id").startswith("req_mock")
    record = sim.record(tag)
    assert record["target"] == "/v1/responses"
    assert record.h("authorization") == "Bearer sk-test" and record.h("x-api-key") is None
    assert record.h("anthropic-version") is None
    sent = record.json()
    assert sent["input"] == [{"type": "message", "role": "user",
                              "content": [{"type": "input_text", "text": "Hello!"}]}]
    assert re.fullmatch(UUID8, sent["prompt_cache_key"])
    assert sent["stream"] is True

    got = events(reply.body)
    assert [got[0][0], got[-1][0]] == ["response.created", "response.completed"]
    numbers = [json.loads(d)["sequence_number"] for _, d in got]
    assert numbers == list(range(len(got)))
    for name, data in got:
        assert json.loads(data)["type"] == name
    assert json.loads(got[-1][1])["response"]["status"] == "completed"


def test_string_input_without_an_adapter_is_untouched(proxy, sim, tag):
    reply = post(proxy.codex_port, "/v1/responses", BEARER | {"x-test-id": tag},
                 {"model": "gpt-5", "input": "Hello!"})
    assert reply.json()["object"] == "response"
    assert sim.record(tag).body == b'{"model": "gpt-5", "input": "Hello!"}'


def test_conversations_have_their_own_cache_key(proxy, sim, tag):
    for n, text in enumerate(("a", "a", "b")):
        post(proxy.codex_port, "/v1/responses", CHERRY | {"x-test-id": f"{tag}.{n}"},
             {"model": "gpt-5", "input": text})
    keys = [sim.record(f"{tag}.{n}").json()["prompt_cache_key"] for n in range(3)]
    assert keys[0] == keys[1] != keys[2]


def test_cherry_studio_with_operator_files(sim, tag, tmp_path):
    """Instructions, tools and the environment context come from the operator's settings."""
    (tmp_path / "instructions.md").write_text("House rules.")
    tools = [{"type": "function", "name": "a", "parameters": {}},
             {"type": "function", "name": "b", "parameters": {}}]
    (tmp_path / "tools.json").write_text(json.dumps(tools))
    with Proxy(OPENAI_BASE_URL=sim.url, SERVICES="codex", CODEX_ENV_CONTEXT="on",
               CODEX_ENV_CWD="/a&b", CODEX_INSTRUCTIONS_FILE=tmp_path / "instructions.md",
               CODEX_TOOLS_FILE=tmp_path / "tools.json") as p:
        mine = {"type": "function", "name": "b", "description": "mine", "parameters": {}}
        post(p.codex_port, "/v1/responses", CHERRY | {"x-test-id": tag},
             {"model": "gpt-5", "instructions": "Be brief.", "input": "hi", "tools": [mine],
              "reasoning": {"effort": "low"}, "store": False})
    sent = sim.record(tag).json()
    assert sent["instructions"] == "House rules.\n\nBe brief."
    assert sent["tools"] == [tools[0], mine]
    assert sent["reasoning"] == {"effort": "low", "summary": "auto"}
    assert sent["include"] == ["reasoning.encrypted_content"]
    assert sent["input"][0]["content"][0]["text"].startswith(
        "<environment_context>\n  <cwd>/a&amp;b</cwd>\n")
    assert sent["input"][1]["content"] == [{"type": "input_text", "text": "hi"}]


@pytest.mark.parametrize("headers,adapter", [
    ({"originator": "codex_exec", "user-agent": "codex_exec/0.169.0 (Debian 12.0.0; x86_64)"},
     "codex_cli"),
    ({"originator": "codex-tui"}, "codex_cli"), ({"x-codex-window-id": "w"}, "codex_cli"),
    ({"user-agent": "OpenAI/Python 3.0"}, "openai_sdk"),
    ({"user-agent": "opencode/1.18.33 runtime/bun/1.3.14", "originator": "opencode"}, "opencode"),
    ({"user-agent": "curl/8"}, "default")])
def test_detection(proxy, sim, tag, headers, adapter):
    reply = post(proxy.codex_port, "/v1/responses", BEARER | {"x-test-id": tag} | headers,
                 {"model": "gpt-5", "input": "hi"})
    assert reply.h("x-cc-proxy-adapter") == adapter
    record = sim.record(tag)
    assert record.h("user-agent") == headers.get("user-agent")
    assert record.h("originator") == headers.get("originator")


def test_compact(proxy, sim, tag):
    reply = post(proxy.codex_port, "/v1/responses/compact", BEARER | {"x-test-id": tag},
                 {"model": "gpt-5", "input": [{"role": "user", "content": "hi"}]})
    assert reply.json()["object"] == "response.compaction"
    assert sim.record(tag)["target"] == "/v1/responses/compact"


# --- chat completions ---

CHAT = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "hi"}]}


def test_chat(proxy, sim, tag):
    reply = post(proxy.codex_port, "/v1/chat/completions", BEARER | {"x-test-id": tag}, CHAT)
    assert reply.json()["choices"][0]["message"]["role"] == "assistant"
    assert reply.h("x-cc-proxy-adapter") == "openai_chat"
    assert sim.record(tag).body == json.dumps(CHAT).encode()


def test_chat_stream(proxy):
    body = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
    got = events(post(proxy.codex_port, "/v1/chat/completions", BEARER, body).body)
    assert got[-1] == ("", "[DONE]")
    assert "usage" in json.loads(got[-2][1])
    assert {n for n, _ in got} == {""}


def test_chat_shapes_are_repaired(proxy, sim, tag):
    body = CHAT | {"messages": [
        {"role": "user", "content": [{"type": "text", "text": "hi",
                                      "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": [], "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "x"}],
        "tools": [{"type": "function", "name": "f", "description": "d", "parameters": {}}]}
    reply = post(proxy.codex_port, "/v1/chat/completions", BEARER | {"x-test-id": tag}, body)
    assert reply.h("x-cc-proxy-adapter") == "cursor"  # flat tools are Cursor's sign
    sent = sim.record(tag).json()
    assert sent["messages"][0]["content"] == [{"type": "text", "text": "hi"}]
    assert sent["messages"][1]["content"] is None
    assert sent["tools"] == [{"type": "function", "function": {
        "name": "f", "description": "d", "parameters": {}}}]


def test_chat_path_list_goes_to_the_upstream(proxy, sim, tag):
    """GET /v1/chat/completions lists stored completions."""
    with Client(proxy.codex_port) as c:
        reply = c.request("GET", "/v1/chat/completions?limit=2", BEARER | {"x-test-id": tag})
    assert reply.status == 200
    assert sim.record(tag)["target"] == "/v1/chat/completions?limit=2"


def test_messages_on_the_codex_service_go_to_the_messages_upstream(proxy, sim, tag):
    reply = post(proxy.codex_port, "/v1/messages", {"x-api-key": "k", "x-test-id": tag},
                 {"model": "claude-x", "max_tokens": 9,
                  "messages": [{"role": "user", "content": "hi"}]})
    assert reply.json()["type"] == "message"
    assert sim.record(tag).h("anthropic-version") == "2023-06-01"


@pytest.mark.parametrize("method,target", [
    ("POST", "/v1/embeddings"), ("GET", "/v1/files?limit=3"), ("DELETE", "/v1/responses/resp_1"),
    ("GET", "/v1/responses/resp_1"), ("POST", "/v1/audio/speech")])
def test_further_endpoints_pass_through(proxy, sim, tag, method, target):
    body = b'{ "input" : "x" }' if method == "POST" else b""
    with Client(proxy.codex_port) as c:
        reply = c.request(method, target, BEARER | {"x-test-id": tag}, body)
    assert reply.json()["path"] == target and reply.json()["method"] == method
    assert sim.record(tag).body == body


def test_upload_is_streamed_through(raw):
    """The upstream gets the first part before the client has sent the second."""
    proxy, up = raw
    with Client(proxy.codex_port) as c:
        c.send_request("POST", "/v1/files", BEARER | {
            "content-type": "multipart/form-data; boundary=B"}, b"12345", length=10)
        until(lambda: up.conns and b"12345" in up.conns[-1].raw)
        assert b"6789" not in up.conns[-1].raw
        c.send(b"67890")
        assert c.head().status == 200
        c.body()
    assert up.requests[-1].body == b"1234567890"
    assert up.requests[-1].h("content-type") == "multipart/form-data; boundary=B"

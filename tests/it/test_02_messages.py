"""The claude service: what adapters do to a request on its way, and replies verbatim."""

import json
import re
import time

import pytest
from wire import Client, events

UA = "CherryStudio/1.0.0"
PROMPT = "You are Claude Code, Anthropic's official CLI for Claude."
README = {"model": "claude-sonnet-4-5", "max_tokens": 4096, "thinking": {"enabled": True},
          "stream": True, "messages": [{"role": "user", "content": "Hello!"}]}
HEADERS = {"x-api-key": "sk-demo", "user-agent": UA, "content-type": "application/json"}


def post(proxy, body, headers=None, target="/v1/messages"):
    with Client(proxy.claude_port) as c:
        return c.request("POST", target, HEADERS | (headers or {}), json=body)


def test_readme_example(proxy, sim, tag):
    reply = post(proxy, README, {"x-test-id": tag})
    assert reply.status == 200
    assert reply.h("content-type").startswith("text/event-stream")
    assert reply.h("cache-control") == "no-cache"
    assert reply.h("x-accel-buffering") == "no"
    assert reply.h("x-cc-proxy-adapter") == "cherry_studio"
    assert reply.h("request-id").startswith("req_mock")

    record = sim.record(tag)
    sent = record.json()
    cache = {"type": "ephemeral"}
    assert sent["system"] == [{"type": "text", "text": PROMPT, "cache_control": cache}]
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert re.fullmatch(r"user_proxy_account__session_\d+-\d+", sent["metadata"]["user_id"])
    assert sent["messages"] == [{"role": "user", "content": [
        {"type": "text", "text": "Hello!", "cache_control": cache}]}]
    assert (sent["model"], sent["max_tokens"], sent["stream"]) == ("claude-sonnet-4-5", 4096, True)
    assert record.h("x-api-key") == "sk-demo" and record.h("authorization") is None
    assert record.h("anthropic-version") == "2023-06-01"
    assert record.h("user-agent") == UA

    got = events(reply.body)
    names = [n for n, _ in got]
    assert names[0] == "message_start" and names[-1] == "message_stop"
    assert {"content_block_start", "content_block_delta", "content_block_stop",
            "message_delta"} <= set(names)
    for name, data in got:
        assert json.loads(data)["type"] == name
    kinds = [json.loads(d)["content_block"]["type"] for n, d in got if n == "content_block_start"]
    assert kinds == ["thinking", "text"]


def test_changes_are_logged(proxy, tag):
    since = len(proxy.lines)
    reply = post(proxy, README)
    request_id = proxy.wait_log("claude_request", since)["request_id"]
    assert reply.status == 200
    selected = proxy.wait_log("adapter_selected", since, request_id=request_id)
    assert selected["adapter"] == "cherry_studio" and selected["reason"] == "header"
    assert selected["client_version"] == "1.0.0" and selected["adapter_version"] == "1.0.0"
    changed = proxy.wait_log("request_transformed", since, request_id=request_id)
    assert changed["changes"] == ["system", "normalize_thinking", "session", "cache_control_last"]
    assert changed["extra_headers_count"] == 0


def test_session_lasts_12_hours(proxy, sim, tag):
    """The same key, the same identifier; another key, another one."""
    for n, key in enumerate(("sk-a", "sk-a", "sk-b")):
        post(proxy, README, {"x-test-id": f"{tag}.{n}", "x-api-key": key})
    one, two, other = (sim.record(f"{tag}.{n}").json()["metadata"]["user_id"] for n in range(3))
    assert one == two != other
    window = int(one.split("session_")[1].split("-")[0])
    assert window in (int(time.time() // 43200), int(time.time() // 43200) - 1)


def test_values_of_the_client_win(proxy, sim, tag):
    body = README | {"system": "Mine.", "metadata": {"user_id": "me", "k": 1},
                     "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
                     "messages": [{"role": "user", "content": [
                         {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}]}
    post(proxy, body, {"x-test-id": tag})
    sent = sim.record(tag).json()
    assert [b["text"] for b in sent["system"]] == [PROMPT, "Mine."]
    assert sent["metadata"] == body["metadata"]
    assert sent["thinking"] == body["thinking"]
    assert sent["messages"] == body["messages"]


@pytest.mark.parametrize("given,expected", [
    ({"enabled": False}, {"type": "disabled"}),
    ({"type": "enabled", "budget_tokens": 5}, {"type": "enabled", "budget_tokens": 1024}),
    ({"type": "enabled", "budget_tokens": 99999}, {"type": "enabled", "budget_tokens": 4095}),
    ({"type": "adaptive"}, {"type": "adaptive"})])
def test_thinking_is_repaired(proxy, sim, tag, given, expected):
    post(proxy, README | {"thinking": given}, {"x-test-id": tag})
    assert sim.record(tag).json()["thinking"] == expected


def test_plain_reply_is_verbatim(proxy, tag):
    body = {n: v for n, v in README.items() if n != "stream"}
    reply = post(proxy, body)
    message = reply.json()
    assert message["type"] == "message" and message["role"] == "assistant"
    assert message["usage"]["output_tokens"] > 0
    assert reply.h("anthropic-ratelimit-requests-limit") == "4000"
    assert reply.h("content-length") == str(len(reply.body))


def test_only_changed_bytes_differ(raw):
    """Members that no action touches keep their bytes: order, numbers, escapes, spaces."""
    proxy, up = raw
    body = (b'{ "temperature" : 1.0,\n "model":"claude-x", "zz": 12345678901234567890,'
            b' "s":"\\u00e9\\/", "max_tokens": 5000, "messages" : [ {"content":"hi",'
            b' "role":"user"} ] }')
    with Client(proxy.claude_port) as c:
        c.request("POST", "/v1/messages", HEADERS, body)
    sent = up.requests[0].body
    for part in (b'"temperature" : 1.0', b'"zz": 12345678901234567890', b'"s":"\\u00e9\\/"',
                 b'"max_tokens": 5000', b'"role":"user"'):
        assert part in sent
    assert json.loads(sent)["system"][0]["text"] == PROMPT
    assert list(json.loads(sent))[:5] == ["temperature", "model", "zz", "s", "max_tokens"]


def test_count_tokens(proxy, sim, tag):
    body = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "foo"}]}
    reply = post(proxy, body, {"x-test-id": tag}, "/v1/messages/count_tokens?beta=true")
    assert reply.json()["input_tokens"] > 0
    record = sim.record(tag)
    assert record["target"] == "/v1/messages/count_tokens?beta=true"
    assert not {"max_tokens", "metadata", "stream"} & set(record.json())


@pytest.mark.parametrize("ua,extra,adapter", [
    ("OpenCat/2.1", {}, "opencat"), ("lobehub/1.143.0", {}, "lobe_chat"),
    ("Zed/0.199.4 (macos; aarch64)", {}, "zed"), ("RooCode/3.25.0", {}, "roo_code"),
    ("curl/8", {"x-client-type": "Open-WebUI"}, "open_webui"),
    ("curl/8", {"x-client-type": "no-such-thing"}, "custom"),
    ("claude-cli/2.1.0 (external, cli)", {"x-client-type": "passthrough"}, "default"),
    ("claude-cli/2.1.330 (external, cli)", {}, "claude_code"),
    ("Anthropic/JS 1.12.0", {}, "anthropic_sdk"), ("curl/8", {}, "default")])
def test_detection_by_header(proxy, sim, tag, ua, extra, adapter):
    body = {n: v for n, v in README.items() if n not in ("thinking", "stream")}
    reply = post(proxy, body, {"user-agent": ua, "x-test-id": tag} | extra)
    assert reply.h("x-cc-proxy-adapter") == adapter
    record = sim.record(tag)
    assert record.h("user-agent") == ua and record.h("x-client-type") is None
    assert record.h("originator") is None


def test_detection_by_body(proxy, sim, tag):
    reply = post(proxy, README, {"user-agent": "axios/1", "x-test-id": tag})
    assert reply.h("x-cc-proxy-adapter") == "cherry_studio_thinking"
    assert sim.record(tag).json()["thinking"]["budget_tokens"] == 1024


def test_open_webui_headers_stay_here(proxy, sim, tag):
    body = {n: v for n, v in README.items() if n != "thinking"} | {"chat_id": "c", "features": {}}
    post(proxy, body, {"user-agent": "python", "x-test-id": tag, "x-openwebui-user-email": "a@b",
                       "x-openwebui-chat-id": "c1"})
    record = sim.record(tag)
    assert not [n for n in record.names() if n.startswith("x-openwebui")]
    assert not {"chat_id", "features"} & set(record.json())
    assert record.json()["metadata"]["user_id"].startswith("user_proxy_account__session_")

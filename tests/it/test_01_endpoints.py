"""What is answered here: small endpoints, paths, methods, CORS, the model list."""

import http.client
import json

import pytest
from proxy import Proxy, run
from wire import Client

KEY = {"x-api-key": "sk-test"}
PING = {"model": "claude-sonnet-4-5", "max_tokens": 16,
        "messages": [{"role": "user", "content": "hi"}]}


def get(port, target, headers=None, method="GET", **options):
    with Client(port) as c:
        return c.request(method, target, headers, **options)


def check_error(reply, status, kind):
    assert reply.status == status, reply.body
    assert reply.h("content-type").startswith("application/json")
    assert reply.h("access-control-allow-origin") == "*"
    body = reply.json()
    assert body["type"] == "error"
    assert body["error"]["type"] == kind
    assert set(body["error"]) == {"type", "message", "param", "code"}
    assert body["error"]["message"]
    assert body["request_id"] in (reply.h("request-id"), reply.h("x-request-id"))
    return body


@pytest.mark.parametrize("service,title,api", [
    ("claude", "Claude Service", "messages"), ("codex", "Codex Service", "responses")])
def test_local_endpoints(proxy, service, title, api):
    port = getattr(proxy, f"{service}_port")
    version = run("version").stdout.split()[-1]
    assert get(port, "/health").json() == {
        "status": "healthy", "service": f"{service}-service", "version": version}
    root = get(port, "/").json()
    assert (root["service"], root["version"], root["status"]) == (title, version, "running")
    assert root["description"]
    assert get(port, "/v1").json() == {"api": api, "version": "v1", "supported": True}
    assert get(port, "/v1/").status == 200


def test_adapters_are_listed_by_priority(proxy):
    listed = get(proxy.claude_port, "/adapters").json()["adapters"]
    for a in listed:
        assert {"name", "version", "priority", "service", "source", "enabled"} <= set(a)
    priorities = [a["priority"] for a in listed]
    assert priorities == sorted(priorities, reverse=True)
    names = [a["name"] for a in listed]
    assert names[-1] == "default" and names[0] == "opencode"
    assert {"cherry_studio", "claude_code", "codex_cli", "zed", "cursor"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("target", ["/", "/health", "/v1", "/adapters", "/api/hello"])
def test_head_is_get_without_a_body(claude, target):
    full = claude.request("GET", target)
    head = claude.request("HEAD", target)
    assert (head.status, head.body) == (200, b"")
    assert head.h("content-length") == full.h("content-length")
    assert claude.request("GET", "/health").status == 200  # the connection is still in step


def test_hello_of_claude_code_needs_no_key(proxy):
    assert get(proxy.claude_port, "/api/hello", {"user-agent": "Bun/1.4.4"}, "HEAD").status == 200


@pytest.mark.parametrize("target", ["/nope", "/v1/nope", "/v2/messages", "/v1/messages/nope",
                                    "/v1/embeddingsx", "/metrics", "/requests"])
def test_unknown_paths(proxy, target):
    check_error(get(proxy.claude_port, target, KEY), 404, "not_found_error")


@pytest.mark.parametrize("method,target,allow", [
    ("GET", "/v1/messages", "POST"), ("DELETE", "/v1/messages", "POST"),
    ("PUT", "/v1/responses", "POST"), ("POST", "/health", "GET"), ("POST", "/v1/models", "GET"),
    ("TRACE", "/v1/messages", "POST")])
def test_wrong_methods_say_what_is_allowed(proxy, method, target, allow):
    reply = get(proxy.claude_port, target, KEY, method)
    check_error(reply, 405, "invalid_request_error")
    assert allow in reply.h("allow").split(", ")
    assert method not in reply.h("allow").split(", ")


def test_websocket_is_refused_with_426(proxy):
    reply = get(proxy.codex_port, "/v1/responses", {
        "connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "authorization": "Bearer k",
        "openai-beta": "responses_websockets=2026-02-06"})
    check_error(reply, 426, "invalid_request_error")


@pytest.mark.parametrize("target", [
    "/v1/messages", "/messages", "/v1/v1/messages", "/v1/messages/", "//v1/messages?beta=true",
    "//v1/v1/messages/?beta=true", "/v1//messages", "/messages?a=b&c"])
def test_path_forms_of_messages(proxy, sim, tag, target):
    reply = get(proxy.claude_port, target, KEY | {"x-test-id": tag}, "POST", json=PING)
    assert reply.status == 200, reply.body
    query = target[target.index("?"):] if "?" in target else ""
    assert sim.record(tag)["target"] == "/v1/messages" + query


@pytest.mark.parametrize("service,target,canonical", [
    ("claude", "/messages/count_tokens", "/v1/messages/count_tokens"),
    ("claude", "//v1/v1/messages/count_tokens/?beta=true", "/v1/messages/count_tokens?beta=true"),
    ("codex", "/responses", "/v1/responses"),
    ("codex", "/v1/v1/responses", "/v1/responses"),
    ("codex", "/responses/compact", "/v1/responses/compact"),
    ("codex", "/chat/completions", "/v1/chat/completions"),
    ("codex", "/v1/v1/chat/completions/", "/v1/chat/completions")])
def test_path_forms_of_the_others(proxy, sim, tag, service, target, canonical):
    body = PING | {"input": "hi"}
    headers = {"authorization": "Bearer sk-test", "x-test-id": tag}
    reply = get(getattr(proxy, f"{service}_port"), target, headers, "POST", json=body)
    assert reply.status == 200, reply.body
    assert sim.record(tag)["target"] == canonical


@pytest.mark.parametrize("target,status", [
    ("/../../etc/passwd", 404), ("/%2e%2e/%2e%2e/x", 404), ("/v1/../v1/messages", 404),
    ("/v1/%2e%2e/messages", 404), ("/v1/messages%2f..%2fadmin", 404), ("/v1/files/..", 404),
    ("/v1/files/a%2Fb", 404), ("/v1\\messages", 404), ("/v1/messages;x", 404), ("/%00", 400),
    ("/V1/MESSAGES", 404)])
def test_hostile_paths_reach_nobody(proxy, sim, tag, target, status):
    reply = get(proxy.claude_port, target, KEY | {"x-test-id": tag}, "POST", json=PING)
    assert reply.status == status
    assert not [r for r in sim.records() if r.h("x-test-id") == tag]


def test_base_url_forms_are_one(sim):
    """https://h, https://h/ and https://h/v1 are the same base; a prefix is kept."""
    for base, target in (("", "/v1/messages"), ("/", "/v1/messages"), ("/v1", "/v1/messages"),
                         ("/v1/", "/v1/messages"), ("/a/b/v1/", "/a/b/v1/messages")):
        with Proxy(ANTHROPIC_BASE_URL=f" {sim.url}{base} ", SERVICES="claude") as p:
            assert get(p.claude_port, "/v1/messages", KEY, "POST", json=PING).status == 200
            assert sim.records(1)[0]["target"] == target


# --- CORS ---

ASKED = ("authorization, content-type, x-api-key, anthropic-version, anthropic-beta, "
         "anthropic-dangerous-direct-browser-access, x-stainless-os, x-stainless-lang, "
         "x-stainless-retry-count, x-my-own, http-referer, x-title, openai-beta, x-client-type")


@pytest.mark.parametrize("target", ["/v1/messages", "/v1/models", "/health", "/nope"])
def test_preflight(proxy, target):
    reply = get(proxy.claude_port, target, {
        "origin": "https://app.example", "access-control-request-method": "POST",
        "access-control-request-headers": ASKED,
        "access-control-request-private-network": "true"}, "OPTIONS")
    assert (reply.status, reply.body) == (204, b"")
    assert reply.h("access-control-allow-origin") == "*"
    assert reply.h("access-control-allow-methods") == "GET, HEAD, POST, OPTIONS"
    assert reply.h("access-control-allow-headers") == ASKED
    assert reply.h("access-control-max-age") == "600"
    assert reply.h("access-control-allow-private-network") == "true"
    assert reply.h("access-control-allow-credentials") is None


def test_private_network_only_when_asked(claude):
    reply = claude.request("OPTIONS", "/v1/messages", {
        "origin": "https://a", "access-control-request-method": "POST"})
    assert reply.h("access-control-allow-private-network") is None


def test_options_without_preflight(claude):
    reply = claude.request("OPTIONS", "/v1/messages")
    assert (reply.status, reply.h("allow")) == (204, "POST, OPTIONS")
    assert claude.request("OPTIONS", "/health").h("allow") == "GET, HEAD, OPTIONS"


def test_cors_on_every_kind_of_reply(proxy):
    origin = {"origin": "https://app.example"}
    for method, target, headers, body in (
            ("POST", "/v1/messages", KEY, json.dumps(PING)),
            ("POST", "/v1/messages", KEY, json.dumps(PING | {"stream": True})),
            ("POST", "/v1/messages", {}, json.dumps(PING)),
            ("POST", "/v1/messages", KEY, "{"),
            ("GET", "/nope", {}, "")):
        reply = get(proxy.claude_port, target, headers | origin, method, body=body.encode())
        assert reply.h("access-control-allow-origin") == "*"
        exposed = reply.h("access-control-expose-headers").split(", ")
        assert {"retry-after", "request-id", "x-request-id", "x-cc-proxy-adapter"} <= set(exposed)
        assert reply.h("access-control-allow-credentials") is None


def test_cors_list_of_origins(sim):
    with Proxy(ANTHROPIC_BASE_URL=sim.url, SERVICES="claude",
               CORS_ALLOW_ORIGINS="https://a.example, https://b.example") as p:
        with Client(p.claude_port) as c:
            reply = c.request("GET", "/health", {"origin": "https://b.example"})
            assert reply.h("access-control-allow-origin") == "https://b.example"
            assert reply.h("vary") == "origin"
            reply = c.request("GET", "/health", {"origin": "https://evil.example"})
            assert reply.h("access-control-allow-origin") is None
            assert reply.h("vary") == "origin"
            reply = c.request("OPTIONS", "/v1/messages", {
                "origin": "https://evil.example", "access-control-request-method": "POST"})
            assert reply.h("access-control-allow-methods") is None


# --- models ---

def check_list(body):
    assert (body["object"], body["has_more"]) == ("list", False)
    assert body["first_id"] == body["data"][0]["id"]
    assert body["last_id"] == body["data"][-1]["id"]
    for m in body["data"]:
        assert (m["type"], m["object"]) == ("model", "model")
        assert m["display_name"] and m["owned_by"]
        assert m["created_at"].endswith("Z") and isinstance(m["created"], int)
    return [m["id"] for m in body["data"]]


@pytest.mark.parametrize("service,expected", [
    ("claude", "claude-sonnet-4-6"), ("codex", "gpt-5.1-codex")])
@pytest.mark.parametrize("target", ["/v1/models", "/models", "/v1/v1/models?limit=990"])
def test_models_from_the_upstream(proxy, service, expected, target):
    reply = get(getattr(proxy, f"{service}_port"), target, KEY)
    assert expected in check_list(reply.json())


def test_models_are_looked_up_once(proxy, sim, tag):
    headers = {"x-api-key": f"sk-{tag}", "x-test-id": tag}
    first = get(proxy.claude_port, "/v1/models", headers)
    again = get(proxy.claude_port, "/v1/models", headers)
    assert first.json() == again.json()
    assert len([r for r in sim.records() if r.h("x-test-id") == tag]) == 1


def test_models_need_a_key(proxy):
    check_error(get(proxy.claude_port, "/v1/models"), 401, "authentication_error")


@pytest.mark.parametrize("script", [
    lambda c, r: c.reply(500, body=b"{}"), lambda c, r: c.reply(body=b"no json"),
    lambda c, r: c.reply(401, body=b"{}"), lambda c, r: c.reset()])
def test_models_fall_back_to_the_configured_ones(raw, tag, script):
    proxy, up = raw
    up.script = script
    reply = get(proxy.claude_port, "/v1/models", {"x-api-key": tag})
    assert check_list(reply.json()) == ["m1", "m2"]


def test_models_answer_though_the_upstream_does_not(raw, tag):
    """Within 3 s, with what is configured."""
    proxy, up = raw
    up.script = lambda c, r: c.wait_closed(10)
    reply = get(proxy.claude_port, "/v1/models", {"x-api-key": tag})
    assert check_list(reply.json()) == ["m1", "m2"]


def test_no_models_at_all_is_an_empty_list(sim):
    with Proxy(ANTHROPIC_BASE_URL="http://127.0.0.1:9", SERVICES="claude") as p:
        body = get(p.claude_port, "/v1/models", KEY).json()
        assert (body["data"], body["first_id"], body["last_id"]) == ([], None, None)


def test_one_model_is_asked_of_the_upstream(proxy):
    reply = get(proxy.claude_port, "/v1/models/claude-haiku-4-5", KEY)
    assert reply.json()["id"] == "claude-haiku-4-5"


def test_ordinary_http_library_understands_us(proxy):
    c = http.client.HTTPConnection("127.0.0.1", proxy.claude_port, timeout=10)
    c.request("GET", "/health")
    assert json.load(c.getresponse())["status"] == "healthy"
    c.close()

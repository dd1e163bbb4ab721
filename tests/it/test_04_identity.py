"""Nothing changes that need not: bytes, headers, credentials."""

import hashlib
import json

import pytest
import zstandard
from proxy import Proxy, run
from wire import Client

CLAUDE_CODE = {
    "accept": "application/json", "content-type": "application/json",
    "user-agent": "claude-cli/2.1.330 (external, sdk-cli)",
    "x-claude-code-session-id": "4fc623cd-c40f-49d5-81b5-08ef9aa516c1",
    "x-stainless-arch": "x64", "x-stainless-lang": "js", "x-stainless-retry-count": "0",
    "x-stainless-timeout": "600",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,"
                      "context-management-2025-06-27,per-turn-control-2026-07-01,"
                      "mid-conversation-tool-changes-2026-07-01,"
                      "thinking-token-count-2026-05-13,advanced-tool-use-2025-11-20,"
                      "effort-2025-11-24,thinking-display-updates-2026-08-18,"
                      "afk-mode-2026-01-31,dangerous-tool-use-2026-09-03",
    "anthropic-dangerous-direct-browser-access": "true", "anthropic-version": "2023-06-01",
    "x-app": "cli", "accept-encoding": "gzip, deflate, br, zstd",
}
CODEX = {
    "x-codex-beta-features": "remote_compaction_v2", "x-codex-window-id": "01a206f9:0",
    "x-codex-turn-metadata": '{"installation_id":"46c956c2","sandbox":"none"}',
    "x-client-request-id": "01a206f9-910b", "session-id": "01a206f9", "thread-id": "01a206f9",
    "session_id": "old-style", "chatgpt-account-id": "acc", "x-codex-turn-state": "ts1",
    "openai-beta": "responses=experimental", "accept": "text/event-stream",
    "content-type": "application/json", "originator": "codex_exec",
    "user-agent": "codex_exec/0.169.0 (Debian 12.0.0; x86_64) dumb (codex_exec; 0.169.0)",
}
OPENCODE = {"user-agent": "opencode/1.18.33 ai-sdk/provider-utils/5.0 runtime/bun/1.3.14",
            "originator": "opencode", "x-session-affinity": "a", "content-type": "application/json"}
ZED = {"user-agent": "Zed/0.199.4 (linux; x86_64)", "content-type": "application/json"}

ODD = ('{ "model" : "claude-x" ,\r\n\t"n": 1.0, "e":1E5, "z":-0.0, "big":123456789012345678901234567890,'
       ' "s":"\\u00e9\\ud83d\\ude00\\/ \u00fc \U0001f600", "stream":false,"max_tokens": 1 ,'
       '"messages":[ {"content":"x","role":"user"} ],"unknown":{"b":1,"a":[]}, "input" : "hi" }  ').encode()


def exchange(proxy, up, target, headers, body=b"", **options):
    port = proxy.codex_port if "responses" in target else proxy.claude_port
    with Client(port) as c:
        reply = c.request("POST", target, headers, body, **options)
    assert reply.status == 200, reply.body
    return up.requests[-1]


CLIENTS = [
    ("/v1/messages?beta=true", CLAUDE_CODE | {"authorization": "Bearer t"}, "claude_code"),
    ("/v1/responses", CODEX | {"authorization": "Bearer t"}, "codex_cli"),
    ("/v1/messages", OPENCODE | {"x-api-key": "t"}, "opencode"),
    ("/v1/messages", ZED | {"x-api-key": "t"}, "zed"),
]


@pytest.mark.parametrize("target,headers,adapter", CLIENTS)
def test_bytes_are_identical(raw, target, headers, adapter):
    proxy, up = raw
    got = exchange(proxy, up, target, headers, ODD)
    assert got.body == ODD
    assert got.target == target
    assert proxy.wait_log("request_done", adapter=adapter)


@pytest.mark.parametrize("target,headers,adapter", CLIENTS)
def test_big_bodies_are_identical(raw, target, headers, adapter):
    proxy, up = raw
    body = ODD[:-4] + b',"fill":"' + b"0123456789abcde " * (10 * 65536) + b'"}'
    got = exchange(proxy, up, target, headers, body)
    assert hashlib.sha256(got.body).digest() == hashlib.sha256(body).digest()


@pytest.mark.parametrize("target,headers,adapter", CLIENTS)
def test_chunked_bodies_are_identical(raw, target, headers, adapter):
    proxy, up = raw
    chunks = [ODD[:1], ODD[1:20], ODD[20:]]
    assert exchange(proxy, up, target, headers, chunks=chunks).body == ODD


def test_zstd_of_codex_is_passed_as_it_is(raw):
    proxy, up = raw
    coded = zstandard.compress(ODD)
    got = exchange(proxy, up, "/v1/responses",
                   CODEX | {"authorization": "Bearer t", "content-encoding": "zstd"}, coded)
    assert got.body == coded
    assert got.h("content-encoding") == "zstd"


@pytest.mark.parametrize("target,headers,credential", [
    ("/v1/messages?beta=true", CLAUDE_CODE, {"authorization": "Bearer t"}),
    ("/v1/responses", CODEX, {"authorization": "Bearer t"})])
def test_headers_of_the_tools_are_identical(raw, target, headers, credential):
    proxy, up = raw
    got = exchange(proxy, up, target, headers | credential, ODD)
    for name, value in (headers | credential).items():
        assert got.h(name) == value, name
    ours = {"host", "content-length", "connection"}
    assert {n for n, _ in got.headers} - ours == {n.lower() for n in headers | credential}


@pytest.mark.parametrize("ua", ["claude-cli/2.1.330 (external, cli)", "curl/8"])
def test_never_forwarded(raw, ua):
    proxy, up = raw
    drop = {
        "cookie": "a=b", "origin": "https://a", "referer": "https://a/", "sec-fetch-mode": "cors",
        "sec-ch-ua": "x", "forwarded": "for=1", "via": "1.1 x", "x-forwarded-for": "1.2.3.4",
        "x-forwarded-proto": "https", "x-real-ip": "1.2.3.4", "x-client-type": "",
        "te": "trailers", "keep-alive": "timeout=5", "proxy-connection": "keep-alive",
        "connection": "keep-alive, x-hop", "x-hop": "1", "proxy-authorization": "Basic eA==",
        "upgrade": "foo", "X_Api_Key": "evil", "api-key": "k2",
    }
    got = exchange(proxy, up, "/v1/messages", drop | {"user-agent": ua, "x-api-key": "k"}, ODD)
    names = {n for n, _ in got.headers}
    assert not names & {n.lower() for n in drop} - {"connection"}
    assert got.h("x-api-key") == "k" and got.h("host") == f"localhost:{up.port}"
    assert "keep-alive, x-hop" != got.h("connection")


def test_title_headers_only_for_raw(raw):
    proxy, up = raw
    extra = {"http-referer": "https://x.example", "x-title": "Something", "x-api-key": "k"}
    got = exchange(proxy, up, "/v1/messages", extra | {"user-agent": "curl/8"}, ODD)
    assert got.h("http-referer") is None and got.h("x-title") is None
    got = exchange(proxy, up, "/v1/messages", CLAUDE_CODE | extra, ODD)
    assert (got.h("http-referer"), got.h("x-title")) == ("https://x.example", "Something")


def test_unknown_headers_and_version_pass(raw):
    proxy, up = raw
    keep = {"anthropic-version": "2026-10-21", "traceparent": "00-a-b-01", "x-my-own": "1",
            "x-claude-code-x": "2", "x-stainless-helper": "BetaToolRunner", "openai-project": "p"}
    got = exchange(proxy, up, "/v1/messages?a=%20&b", keep | {"authorization": "Bearer k"}, ODD)
    for name, value in keep.items():
        assert got.h(name) == value
    assert got.target == "/v1/messages?a=%20&b"


def test_reply_headers(raw):
    """The list of section 7 comes back; cookies and framing do not."""
    proxy, up = raw
    back = {"retry-after": "7", "retry-after-ms": "7000", "x-should-retry": "true",
            "request-id": "r1", "anthropic-ratelimit-tokens-remaining": "5",
            "anthropic-organization-id": "o", "x-ratelimit-limit-requests": "1",
            "openai-processing-ms": "3", "x-codex-turn-state": "abc", "cf-ray": "ray"}
    lost = {"set-cookie": "a=b", "server": "cloudflare", "x-internal": "1", "alt-svc": "h3",
            "strict-transport-security": "max-age=1"}
    up.script = lambda c, r: c.reply(200, (back | lost).items(), b'{"ok":1}', "application/json")
    with Client(proxy.claude_port) as c:
        reply = c.request("POST", "/v1/messages", {"x-api-key": "k"}, ODD)
    for name, value in back.items():
        assert reply.h(name) == value, name
    assert not set(lost) & {n for n, _ in reply.headers}
    assert reply.body == b'{"ok":1}' and reply.h("x-request-id") is None


# --- credentials ---

FORMS = [("x-api-key", "k1"), ("authorization", "Bearer k1"), ("authorization", "bearer k1"),
         ("authorization", "BEARER   k1"), ("authorization", "k1")]


def as_sent(request):
    return request.h("x-api-key"), request.h("authorization")


@pytest.fixture(scope="module")
def styled(scripted):
    """Proxies with each ANTHROPIC_AUTH_STYLE before the same upstream."""
    up = scripted[1]
    proxies = {"auto": scripted[0]}
    for style in ("x-api-key", "bearer"):
        proxies[style] = Proxy(ANTHROPIC_BASE_URL=up.url, OPENAI_BASE_URL=up.url,
                               ANTHROPIC_AUTH_STYLE=style)
    yield proxies
    for style in ("x-api-key", "bearer"):
        proxies[style].stop()


@pytest.mark.parametrize("name,value", FORMS)
@pytest.mark.parametrize("style", ["auto", "x-api-key", "bearer"])
@pytest.mark.parametrize("target", ["/v1/messages", "/v1/responses"])
@pytest.mark.row("8: provider key", "8: auth code")
def test_credential_forms(raw, styled, style, name, value, target):
    got = exchange(styled[style], raw[1], target, {name: value}, ODD)
    bare = value == "k1" and name == "authorization"
    same = (None, "k1" if bare else "Bearer k1") if name == "authorization" else ("k1", None)
    if style == "auto" or target == "/v1/responses":
        assert as_sent(got) == same
    else:
        assert as_sent(got) == (("k1", None) if style == "x-api-key" else (None, "Bearer k1"))


@pytest.mark.row("8: auth code")
def test_with_both_kinds_one_is_sent(raw):
    proxy, up = raw
    both = {"x-api-key": "kx", "authorization": "Bearer ka"}
    assert as_sent(exchange(proxy, up, "/v1/messages", both, ODD)) == ("kx", None)
    assert as_sent(exchange(proxy, up, "/v1/responses", both, ODD)) == (None, "Bearer ka")


@pytest.mark.parametrize("headers", [{}, {"x-api-key": ""}, {"authorization": ""},
                                     {"authorization": "Bearer"}, {"authorization": "Bearer  "}])
def test_without_a_credential_401(raw, headers):
    proxy, up = raw
    with Client(proxy.claude_port) as c:
        reply = c.request("POST", "/v1/messages", headers, ODD)
    assert reply.status == 401
    assert reply.json()["error"]["type"] == "authentication_error"
    assert not up.requests


@pytest.mark.parametrize("name,value", [("authorization", "Bearer a"), ("x-api-key", "a")])
@pytest.mark.row("8: auth code")
def test_two_of_the_same_credential_are_refused(raw, name, value):
    proxy, up = raw
    with Client(proxy.claude_port) as c:
        reply = c.request("POST", "/v1/messages", {name: [value, "Bearer b"]}, ODD)
    assert reply.status == 400
    assert not up.requests


@pytest.mark.row("8: provider key")
def test_server_key_and_client_tokens(raw, tag):
    """The server's key goes upstream, the client's token never; wrong ones are 401, all alike."""
    up = raw[1]
    with Proxy(ANTHROPIC_BASE_URL=up.url, OPENAI_BASE_URL=up.url, ANTHROPIC_API_KEY="server-a",
               OPENAI_API_KEY="server-o", PROXY_API_KEYS="tok1, tok2") as p:
        for headers in ({"x-api-key": "tok1"}, {"authorization": "Bearer tok2"}):
            assert as_sent(exchange(p, up, "/v1/messages", headers, ODD)) == ("server-a", None)
            got = exchange(p, up, "/v1/responses", headers, ODD)
            assert as_sent(got) == (None, "Bearer server-o")
            assert b"tok" not in repr(got.headers).encode()
        seen, n = set(), len(up.requests)
        for headers in ({}, {"x-api-key": "tok"}, {"x-api-key": "tok11"},
                        {"authorization": "Bearer server-a"}, {"authorization": "Basic tok1"}):
            for target in ("/v1/messages", "/v1/models", "/v1/files"):
                with Client(p.claude_port) as c:
                    method = "POST" if target == "/v1/messages" else "GET"
                    reply = c.request(method, target, headers, ODD if method == "POST" else b"")
                assert reply.status == 401
                body = reply.json()
                assert body.pop("request_id")
                seen.add(json.dumps(body))
        assert len(seen) == 1 and len(up.requests) == n
        for target in ("/", "/health", "/v1", "/adapters"):
            with Client(p.claude_port) as c:
                assert c.request("GET", target).status == 200


def test_a_server_key_for_all_the_world_is_refused_at_start():
    open_key = ["--set", "ANTHROPIC_API_KEY=server-secret-key", "--env-file", "/dev/null"]
    for more in (["--set", "CLAUDE_SERVICE_HOST=0.0.0.0"],
                 ["--set", "CLAUDE_SERVICE_HOST=127.0.0.1", "--set",
                  "CODEX_SERVICE_HOST=127.0.0.1"]):
        done = run("check", *open_key, *more)
        assert done.returncode == 2
        assert "PROXY_API_KEYS" in done.stderr and "server-secret-key" not in done.stderr
    closed = ["--set", "CLAUDE_SERVICE_HOST=127.0.0.1", "--set", "CODEX_SERVICE_HOST=::1",
              "--set", "CORS_ALLOW_ORIGINS="]
    assert run("check", *open_key, *closed).returncode == 0

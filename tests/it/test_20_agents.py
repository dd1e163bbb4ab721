"""Claude Code and Codex CLI run a turn with a tool; see agents/README.md."""

import base64
import json
import time

import pytest
from agents.stand import BUILT_IN, RAN, Stand, missing

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(missing("claude", "codex") != "", reason=missing("claude", "codex")),
]

# Headers that belong to one connection, and the ones that the proxy says it changes.
OWN_HEADERS = {"host", "connection", "content-length", "accept-encoding"}


@pytest.fixture
def stand(tmp_path, request):
    s = Stand(tmp_path)
    yield s
    s.close(check=True)


def succeeded(result):
    assert result.returncode == 0, (result.stdout, result.stderr)
    assert RAN in result.stdout, (result.stdout, result.stderr)


def check_passed_on(tap, records, adapter, proxy):
    """What the agent sent is what the upstream got, and each stream was complete."""
    sent = [r for r in tap.requests() if r[0] == "POST"]
    assert len(sent) == len(records) >= 2
    for (method, target, fields, body), record in zip(sent, records):
        assert (record["method"], record["target"]) == (method, target)
        assert record.body == body
        wanted = [(n, v) for n, v in fields if n not in OWN_HEADERS]
        got = [(n, v) for n, v in record["headers"] if n not in OWN_HEADERS]
        assert sorted(got) == sorted(wanted)
    done = proxy.finished(len(sent), method="POST")
    assert [(d["adapter"], d["status"], d["ended"]) for d in done] == \
        [(adapter, 200, "complete")] * len(sent)


def claude_results(record):
    return [b["content"] for m in record.json()["messages"] if isinstance(m["content"], list)
            for b in m["content"] if b["type"] == "tool_result"]


@pytest.mark.parametrize("model", [None, "claude-haiku-4-5-20251001", "gpt-5.5"])
def test_claude_code_runs_a_tool(stand, model):
    chosen = ["--model", model] if model else []
    result = stand.claude(*chosen, "--allowedTools", "Bash", "--", "mock:tool=Bash please")
    succeeded(result)
    records = stand.sim.records()
    result, = claude_results(records[-1])
    assert result.startswith(RAN)
    assert records[0]["target"] == "/v1/messages?beta=true"
    check_passed_on(stand.claude_tap, records, "claude_code", stand.proxy)


def test_claude_code_prints_the_stream(stand):
    """Goal: every event arrives; the words of the deltas are the words of the result."""
    result = stand.claude("--output-format", "stream-json", "--verbose",
                          "--include-partial-messages", "--", "hello there")
    assert result.returncode == 0, (result.stdout, result.stderr)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    events = [x["event"] for x in lines if x["type"] == "stream_event"]
    words = [e["delta"]["text"] for e in events
             if e["type"] == "content_block_delta" and e["delta"]["type"] == "text_delta"]
    final = [x for x in lines if x["type"] == "result"][0]
    assert "".join(words) == final["result"]
    assert len(words) > 10
    assert events[0]["type"] == "message_start"
    assert events[-1]["type"] == "message_stop"


def test_claude_code_shows_the_upstreams_refusal(stand):
    result = stand.claude("--model", "mock-status-403", "--", "hello")
    refusal = stand.proxy.wait_log("request_done", status=403)
    assert result.returncode == 1
    assert "403" in result.stdout, result.stdout
    assert refusal["adapter"] == "claude_code"


def test_claude_code_says_hello(stand):
    """HEAD /api/hello, which it sends unless told to be quiet, is answered by the proxy itself."""
    result = stand.claude("--", "hello", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="")
    assert result.returncode == 0, (result.stdout, result.stderr)
    assert [r["target"] for r in stand.sim.records() if r["method"] == "HEAD"] == []


def codex_outputs(record):
    return [json.dumps(i["output"]) for i in record.json()["input"]
            if i["type"].endswith("_call_output")]


@pytest.mark.parametrize("model, tool", [
    ("gpt-5.5", "exec_command"),     # a function among the tools
    ("gpt-6.1-sol", "exec"),         # a custom tool in a namespace, in an item of the input
    ("claude-sonnet-5", "exec_command"),
])
def test_codex_runs_a_tool(stand, model, tool):
    succeeded(stand.codex("-m", model, "--", f"mock:tool={tool} please"))
    records = stand.sim.records()
    outputs = codex_outputs(records[-1])
    assert len(outputs) == 1
    assert RAN in outputs[0]
    check_passed_on(stand.codex_tap, records, "codex_cli", stand.proxy)


def test_codex_gives_up_its_websocket_at_once(stand):
    """Its built-in provider tries a WebSocket first: 426 sends it to POST without a delay."""
    result = stand.codex("-m", "gpt-6.1-sol", "--", "mock:tool=exec please",
                         provider=BUILT_IN, CODEX_API_KEY="dummy")
    succeeded(result)
    upgrades = [r for r in stand.codex_tap.requests() if ("upgrade", "websocket") in r[2]]
    assert 1 <= len(upgrades) <= 2
    assert len(stand.proxy.finished(len(upgrades), status=426)) == len(upgrades)
    records = stand.sim.records()
    assert {r["method"] for r in records} == {"POST"}
    assert RAN in codex_outputs(records[-1])[0]


def unsigned_token():
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"email": "a@example.com", "exp": int(time.time()) + 86400,
              "https://api.openai.com/auth": {"chatgpt_account_id": "account-1",
                                              "chatgpt_plan_type": "pro"}}
    return f"{part({'alg': 'none'})}.{part(claims)}.sig"


def test_codex_signed_in_sends_zstd(stand):
    """A ChatGPT-style sign-in: bodies come zstd-coded, and leave as they came."""
    token = unsigned_token()
    (stand.home / ".codex/auth.json").write_text(json.dumps({
        "auth_mode": "chatgpt", "OPENAI_API_KEY": None, "last_refresh": "2099-01-01T00:00:00Z",
        "tokens": {"id_token": token, "access_token": token, "refresh_token": "r",
                   "account_id": "account-1"}}))
    succeeded(stand.codex("-m", "gpt-5.5", "--", "mock:tool=exec_command please",
                          provider=BUILT_IN + '\nchatgpt_base_url = "{url}"'))
    records = [r for r in stand.sim.records() if r["method"] == "POST"]
    assert {r.h("content-encoding") for r in records} == {"zstd"}
    assert {r.h("chatgpt-account-id") for r in records} == {"account-1"}
    posted = [r for r in stand.codex_tap.requests() if r[0] == "POST" and "/responses" in r[1]]
    assert [r.body for r in records] == [body for _, _, _, body in posted]


@pytest.fixture
def tls_stand(tmp_path, certificates):
    s = Stand(tmp_path, TLS_CERT_FILE=certificates.cert, TLS_KEY_FILE=certificates.key)
    yield s
    s.close(check=True)


def test_both_over_tls(tls_stand, certificates):
    """ALPN offers HTTP/2, which Codex takes and Claude Code does not know."""
    succeeded(tls_stand.codex("-m", "gpt-5.5", "--", "mock:tool=exec_command please",
                              scheme="https", SSL_CERT_FILE=certificates.ca))
    assert tls_stand.codex_tap.sent[0][:1] == b"\x16"  # a TLS record
    succeeded(tls_stand.claude(
        "--allowedTools", "Bash", "--", "mock:tool=Bash please",
        ANTHROPIC_BASE_URL=f"https://localhost:{tls_stand.claude_tap.port}",
        NODE_EXTRA_CA_CERTS=certificates.ca))
    posts = [r for r in tls_stand.sim.records() if r["method"] == "POST"]
    done = tls_stand.proxy.finished(len(posts), method="POST")
    assert {(d["adapter"], d["ended"]) for d in done} == \
        {("codex_cli", "complete"), ("claude_code", "complete")}

"""Claude Code and Codex CLI in front of upstreams that speak another protocol than they do."""

import json

import pytest
from agents.conversation import exchanged
from agents.stand import RAN, TARGETS, Stand, missing

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(missing("claude", "codex") != "", reason=missing("claude", "codex")),
]


@pytest.fixture
def stand(tmp_path, request):
    s = Stand(tmp_path, request.param)
    yield s
    s.close(check=True)


def upstreams(*protocols):
    return pytest.mark.parametrize("stand", protocols, indirect=True)


def succeeded(result):
    assert result.returncode == 0, (result.stdout, result.stderr)
    assert RAN in result.stdout, (result.stdout, result.stderr)


def check_converted(stand, adapter):
    """Every request went to the upstream's own endpoint and its stream was complete."""
    records = [r for r in stand.sim.records() if r["method"] == "POST"]
    assert {r["target"].partition("?")[0] for r in records} == {TARGETS[stand.protocol]}
    done = stand.proxy.finished(len(records), method="POST")
    assert {(d["adapter"], d["status"], d["ended"]) for d in done} == {(adapter, 200, "complete")}
    return records


@upstreams("chat", "responses")
@pytest.mark.parametrize("model", [None, "claude-haiku-4-5-20251001", "gpt-5.5"])
def test_claude_code_runs_tools(stand, model):
    """Two turns of a conversation, a tool in each: the history comes back whole."""
    chosen = ["--model", model] if model else []
    for more in ([], ["--continue"]):
        succeeded(stand.claude(*more, *chosen, "--allowedTools", "Bash", "--",
                               "mock:tool=Bash please"))
    records = check_converted(stand, "claude_code")
    calls, results = exchanged(records[-1].json(), stand.protocol)
    assert [name for name, _ in calls] == ["Bash", "Bash"]
    assert all("echo mock-shell" in arguments["command"] for _, arguments in calls)
    assert all(RAN in output for output in results)


@upstreams("chat", "responses")
def test_claude_code_prints_the_stream(stand):
    """Goal: its own account of the stream has usage, every delta, the model and the end."""
    result = stand.claude("--output-format", "stream-json", "--verbose",
                          "--include-partial-messages", "--", "hello there")
    assert result.returncode == 0, (result.stdout, result.stderr)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    got = [x["event"] for x in lines if x["type"] == "stream_event"]
    words = [e["delta"]["text"] for e in got
             if e["type"] == "content_block_delta" and e["delta"]["type"] == "text_delta"]
    final = [x for x in lines if x["type"] == "result"][0]
    assert "".join(words) == final["result"]
    assert len(words) > 10
    assert got[0]["type"] == "message_start"
    assert got[-1]["type"] == "message_stop"
    assert final["usage"]["output_tokens"] > 10
    assert final["usage"]["input_tokens"] + final["usage"]["cache_read_input_tokens"] > 1000


@upstreams("chat", "responses")
@pytest.mark.parametrize("status, said", [(400, "This fault was asked for."), (403, "403")])
def test_claude_code_shows_the_upstreams_refusal(stand, status, said):
    result = stand.claude("--model", f"mock-status-{status}", "--", "hello")
    stand.proxy.wait_log("request_done", status=status)
    assert result.returncode == 1
    assert said in result.stdout, result.stdout


@upstreams("chat", "responses")
def test_claude_code_counts_tokens(stand):
    """/context asks for the counts of tools and texts all at once."""
    result = stand.claude("--", "/context")
    assert result.returncode == 0, (result.stdout, result.stderr)
    done = [d for d in stand.proxy.finished(10, method="POST")
            if d["path"].startswith("/v1/messages/count_tokens")]
    assert {d["status"] for d in done} <= {200}
    assert len(done) >= 10


@upstreams("chat", "messages")
@pytest.mark.parametrize("model, tool, name, argument", [
    ("gpt-5.5", "exec_command", "exec_command", "cmd"),
    ("gpt-6.1-sol", "exec", "functions__exec", "input"),
    ("claude-sonnet-5", "exec_command", "exec_command", "cmd"),
])
def test_codex_runs_tools(stand, model, tool, name, argument):
    """A function, a custom tool in a namespace: named as Codex knows them, run, answered."""
    prompt = f"mock:tool={tool} please"
    for more in ([], ["resume", "--last"]):
        succeeded(stand.codex(*more, "-m", model, "--", prompt))
    records = check_converted(stand, "codex_cli")
    calls, results = exchanged(records[-1].json(), stand.protocol)
    assert [n for n, _ in calls] == [name, name]
    assert all("echo mock-shell" in arguments[argument] for _, arguments in calls)
    assert all(RAN in output for output in results)


@upstreams("chat", "messages", "responses")
def test_codex_applies_a_patch(stand):
    """apply_patch, a custom tool with a grammar: its text arrives as the model wrote it."""
    result = stand.codex("-m", "gpt-5.5", "--", "mock:tool=apply_patch please")
    assert result.returncode == 0, (result.stdout, result.stderr)
    patched = stand.folder / "work/mock-patch.txt"
    assert patched.read_text() == "mock-patch-42\n"


@upstreams("chat", "messages")
def test_codex_reads_the_stream(stand):
    """--json prints what Codex understood: the message, its usage, no retry."""
    result = stand.codex("-m", "gpt-5.5", "--json", "--", "hello there")
    assert result.returncode == 0, (result.stdout, result.stderr)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    texts = [x["item"]["text"] for x in lines if x["type"] == "item.completed"
             and x["item"]["type"] == "agent_message"]
    assert len(texts) == 1
    assert "hello there" in texts[0]
    usage, = [x["usage"] for x in lines if x["type"] == "turn.completed"]
    assert usage["input_tokens"] > 1000
    assert usage["output_tokens"] > 10
    assert len(check_converted(stand, "codex_cli")) == 1


@upstreams("chat", "messages")
def test_codex_shows_the_upstreams_refusal(stand):
    result = stand.codex("-m", "mock-status-400", "--", "hello")
    assert result.returncode == 1
    assert "This fault was asked for." in result.stdout + result.stderr
    assert len(stand.sim.records()) == 1  # 400 is not tried again

"""OpenCode, Qwen Code and Cline run a tool, in each protocol they speak, in front of upstreams of
each protocol; see agents/README.md."""

import pytest
from agents.conversation import exchanged
from agents.stand import RAN, TARGETS, Stand, missing

pytestmark = pytest.mark.timeout(180)
PROTOCOLS = ("messages", "chat", "responses")


def pairs(*clients):
    return pytest.mark.parametrize("client, stand", [(c, u) for c in clients for u in PROTOCOLS],
                                   indirect=["stand"])


def needs(name):
    return pytest.mark.skipif(missing(name) != "", reason=missing(name))


@pytest.fixture
def stand(tmp_path, request):
    s = Stand(tmp_path, request.param)
    yield s
    s.close(check=True)


def check(stand, client, tool, result):
    """The tool ran once, its output was with the upstream and the answer with the user."""
    assert result.returncode == 0, (result.stdout, result.stderr)
    assert RAN in result.stdout, (result.stdout, result.stderr)
    records = [r for r in stand.sim.records() if r["method"] == "POST"]
    assert {r["target"].partition("?")[0] for r in records} == {TARGETS[stand.protocol]}
    conversation = [r.json() for r in records if r.json().get("tools")]
    calls, results = exchanged(conversation[-1], stand.protocol)
    assert [name for name, _ in calls] == [tool]
    assert RAN in results[0]
    done = stand.proxy.finished(len(records), method="POST")
    assert {d["path"] for d in done} == {TARGETS[client]}
    assert {(d["status"], d["ended"]) for d in done} == {(200, "complete")}


@needs("opencode")
@pairs("messages", "chat", "responses")
def test_opencode(stand, client):
    check(stand, client, "bash", stand.opencode(client, "mock:tool=bash please"))


@needs("qwen")
@pairs("messages", "chat")
def test_qwen_code(stand, client):
    prompt = "mock:tool=run_shell_command please"
    check(stand, client, "run_shell_command", stand.qwen(client, "-p", prompt))


@needs("cline")
@pairs("messages", "chat", "responses")
def test_cline(stand, client):
    prompt = "mock:tool=run_commands please"
    check(stand, client, "run_commands", stand.cline(client, prompt))

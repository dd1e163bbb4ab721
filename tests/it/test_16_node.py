"""The vendors' SDKs for Node in front of an upstream of each protocol: see node/pairs.mjs."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from pairs import EXPLANATION, PDF, PNG, REFUSAL, SCHEMA, THOUGHT, UPSTREAMS
from proxy import Proxy, Simulator

FOLDER = Path(__file__).parent / "node"

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not shutil.which("node"), reason="no node"),
    pytest.mark.skipif(not (FOLDER / "node_modules/openai").exists(),
                       reason="no SDKs for Node: run tools/setup test where there is npm"),
]

STOPS = {  # end, tool, limit
    "messages": ("end_turn", "tool_use", "max_tokens"),
    "chat": ("stop", "tool_calls", "length"),
    "responses": ("completed", "completed", "max_output_tokens"),
}


@pytest.fixture(scope="module", params=UPSTREAMS)
def told(request):
    """(upstream protocol, its simulator, what each client says it has seen)"""
    name, sim = request.param, Simulator()
    try:
        with Proxy(ANTHROPIC_BASE_URL=sim.url, OPENAI_BASE_URL=sim.url + "/v1",
                   ANTHROPIC_PROTOCOLS=name, OPENAI_PROTOCOLS=name) as p:
            done = subprocess.run(
                ["node", FOLDER / "pairs.mjs", f"http://127.0.0.1:{p.claude_port}",
                 f"http://127.0.0.1:{p.codex_port}", PNG, PDF],
                capture_output=True, text=True, timeout=100, check=False)
            assert done.returncode == 0, done.stderr
            assert {r["target"] for r in sim.records()} == {UPSTREAMS[name].path}
            yield name, sim, json.loads(done.stdout)
    finally:
        sim.stop()


class Told:
    def __init__(self, told, client, way):
        self.name, self.sim, seen = told
        self.upstream, self.client = UPSTREAMS[self.name], client
        self.end, self.tool, self.limit = STOPS[client]
        self.label, self.same = f"{client}-{way}", client == self.name
        self.got = seen[self.label]
        assert "thrown" not in self.got, self.got

    def body(self, what):
        """What arrived upstream for it."""
        return self.sim.record(f"{self.label}-{what}").json()


@pytest.fixture(params=["whole", "stream"])
def way(request):
    return request.param


@pytest.fixture(params=STOPS)
def pair(request, told, way):
    return Told(told, request.param, way)


def test_tool_loop(pair):
    """Two calls at once, with reasoning in front; their results go back, then comes the answer."""
    first, second = pair.got["first"], pair.got["second"]
    assert first["thinking"] == second["thinking"] == THOUGHT
    assert first["text"] == "I will call a tool."
    assert [c[1:] for c in first["calls"]] == [["weather", {"city": "text"}],
                                               ["weather", {"city": "another text"}]]
    assert (first["stop"], second["stop"]) == (pair.tool, pair.end)
    assert 'The tool answered: "rain"' in second["text"] and second["usage"] > 0
    body = pair.body("second")
    calls = pair.upstream.calls(body)
    assert pair.upstream.results(body) == [(calls[0][0], "sunny"), (calls[1][0], "rain")]
    if pair.name != "chat":
        number = pair.sim.record(f"{pair.label}-first")["number"]
        assert pair.upstream.reasoning(body) == pair.upstream.reasoning_made(number)


def test_image_and_pdf(pair):
    assert 'You said: "hello"' in pair.got["media"]["text"]
    assert pair.upstream.media(pair.body("media")) == (PNG, PDF)


def test_structured_output(pair):
    got = pair.got["schema"]
    assert json.loads(got["text"]) == {"city": "text"}
    assert got["stop"] == pair.end and not got["calls"]
    assert pair.upstream.schema(pair.body("schema")) == SCHEMA


def test_limit(pair):
    got = pair.got["limit"]
    assert got["stop"] == pair.limit and got["usage"] > 0
    assert got["text"] and not got["text"].endswith("would.")


def test_refusal(pair):
    """As the SDK for Python reads it: test_15_pairs.py."""
    got, of_messages = pair.got["refuse"], pair.name == "messages"
    said = (got["refusal"], got["stop"])
    if pair.client == "messages":
        assert said == (EXPLANATION if of_messages else REFUSAL, "refusal")
        assert got["text"] == REFUSAL
    elif pair.client == "chat":
        assert said == ((EXPLANATION, "content_filter") if of_messages else (REFUSAL, "stop"))
    elif of_messages:
        assert said == ("", "content_filter") and got["text"] == REFUSAL
    else:
        assert said == (REFUSAL, "completed") and got["text"] == ""


def test_errors(pair):
    """Before the reply, in the middle of a stream, and where it is cut: never a success."""
    assert pair.got["limited"] == "429 1"
    for what in ("broken", "failed"):
        got = pair.got[what]
        assert not got.startswith("nothing"), (what, got)
        if got and not pair.same:  # its own protocol breaks off as the upstream did
            assert got.split()[0] in ("undefined", "502"), (what, got)

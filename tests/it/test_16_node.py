"""The vendors' SDKs for Node in front of an upstream of each protocol: see node/pairs.mjs."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from pairs import THOUGHT, UPSTREAMS
from proxy import Proxy, Simulator

FOLDER = Path(__file__).parent / "node"

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not shutil.which("node"), reason="no node"),
    pytest.mark.skipif(not (FOLDER / "node_modules/openai").exists(),
                       reason="no SDKs for Node: run tools/setup test where there is npm"),
]

TOOL_STOPS = {"messages": "tool_use", "chat": "tool_calls", "responses": "completed"}
END_STOPS = {"messages": "end_turn", "chat": "stop", "responses": "completed"}


@pytest.mark.parametrize("name", UPSTREAMS)
def test_node(name):
    upstream, sim = UPSTREAMS[name], Simulator()
    try:
        with Proxy(ANTHROPIC_BASE_URL=sim.url, OPENAI_BASE_URL=sim.url + "/v1",
                   ANTHROPIC_PROTOCOLS=name, OPENAI_PROTOCOLS=name) as p:
            done = subprocess.run(
                ["node", FOLDER / "pairs.mjs", f"http://127.0.0.1:{p.claude_port}",
                 f"http://127.0.0.1:{p.codex_port}"], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            records = sim.records()
    finally:
        sim.stop()
    seen = json.loads(done.stdout)
    assert len(seen) == 6
    assert {r["target"] for r in records} == {upstream.path}
    for number, (client, got) in enumerate(seen.items()):
        protocol, way = client.split("-")
        assert "failed" not in got, (client, got)
        first, second = got["first"], got["second"]
        assert first["thinking"] == second["thinking"] == THOUGHT, client
        assert first["text"] == "I will call a tool.", client
        assert [c[1:] for c in first["calls"]] == [["weather", {"city": "text"}],
                                                   ["weather", {"city": "another text"}]], client
        assert (first["stop"], second["stop"]) == (TOOL_STOPS[protocol], END_STOPS[protocol])
        assert 'The tool answered: "rain"' in second["text"] and second["usage"] > 0, client
        assert got["limited"] == "429 1", client
        assert not got["broken"].startswith("nothing"), (client, got["broken"])
        if protocol != name:  # its own protocol breaks off as the upstream did
            assert got["broken"].split()[0] in ("undefined", "502"), (client, got["broken"])
        # four requests of each client, in order
        asked, answered = records[4 * number : 4 * number + 2]
        body = answered.json()
        calls = upstream.calls(body)
        assert upstream.results(body) == [(calls[0][0], "sunny"), (calls[1][0], "rain")], client
        if name != "chat":
            assert upstream.reasoning(body) == upstream.reasoning_made(asked["number"]), client

"""`convert --explain`: what becomes of each member of a request, also below the top level."""

import json
import subprocess

import pytest
from proxy import BINARY

REQUESTS = {
    "messages": {
        "model": "m", "max_tokens": 9, "metadata": {"user_id": "u", "x": 1},
        "tools": [{"name": "f", "input_schema": {"type": "object", "title": "t"}, "eager": True}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a", "citations": []}]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1},
                 "caller": {"type": "direct"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1",
                                          "content": "r", "odd\n\x1b[1mname": 1}]}]},
    "chat": {
        "model": "m", "messages": [{"role": "user", "name": "n", "content": [
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "more": 1}}]}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": {}},
                                                    "more": 1}}]},
    "responses": {
        "model": "m", "reasoning": {"effort": "low", "more": 1},
        "input": [{"type": "message", "id": "msg_1", "role": "user",
                   "content": [{"type": "input_text", "text": "a", "more": 1}]}]},
}
READ = {
    "messages": {"tools[].name", "tools[].input_schema", "metadata.user_id",
                 "messages[user].content[text].text", "messages[assistant].content[tool_use].input",
                 "messages[user].content[tool_result].tool_use_id"},
    "chat": {"messages[user].content[image_url].image_url.url", "tools[function].function.name",
             "tools[function].function.parameters", "tools[function].function"},
    "responses": {"reasoning.effort", "input[message].content[input_text].text"},
}
LEFT_OUT = {
    "messages": {"metadata.x", "tools[].eager", "messages[user].content[text].citations",
                 "messages[assistant].content[tool_use].caller",
                 "messages[user].content[tool_result].odd__[1mname"},
    "chat": {"messages[user].name", "messages[user].content[image_url].image_url.more",
             "tools[function].function.more"},
    "responses": {"reasoning.more", "input[message].id", "input[message].content[input_text].more"},
}


def explained(source, to):
    done = subprocess.run([BINARY, "convert", "--explain", "--from", source, "--to", to],
                          input=json.dumps(REQUESTS[source]), capture_output=True, text=True,
                          timeout=20, check=True)
    table, members = done.stderr.split("\n\n", 1)
    return table, [tuple(line.split(None, 1)) for line in members.splitlines()], done.stdout


@pytest.mark.parametrize("source,to", [(a, b) for a in REQUESTS for b in REQUESTS if a != b])
def test_members_of_a_request(source, to):
    table, members, body = explained(source, to)
    assert ("model", "mapped") in [tuple(line.split(None, 1)) for line in table.splitlines()]
    assert len(set(members)) == len(members)
    assert {path for path, fate in members if fate == "read"} >= READ[source]
    assert {path for path, fate in members if fate == "left out"} == LEFT_OUT[source]
    assert json.loads(body)["model"] == "m"

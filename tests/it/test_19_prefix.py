"""An upstream's prompt cache holds the beginning of a request: what a conversation was converted
to must begin what it is converted to when it is longer (C1.1), and nothing of it may be lost.

Conversations are made by sessions.py; those that were recorded are in test_19_recorded.py's folder.
"""

import json
import subprocess

import pytest

import sessions
from proxy import BINARY, SANITIZED
from test_19_recorded import FOLDER, MAKERS, PROTOCOLS

SEEDS = range(4 if SANITIZED else 24)  # each takes some ten processes
LISTS = {"messages": "messages", "chat": "messages", "responses": "input"}
PAIRS = [(a, b) for a in PROTOCOLS for b in PROTOCOLS if a != b]
# settings of an upstream that change how messages are written
SETTINGS = {
    "messages": [
        (),
        ("anthropic.mid_system=yes", "anthropic.unsigned_thinking=yes"),
    ],
    "chat": [
        ("chat.reasoning_replay=always",),
        ("chat.reasoning_replay=tool_turns", "chat.tool_media=yes"),
        ("chat.system_first_only=yes", "chat.null_content=no"),
    ],
    "responses": [()],
}
PROFILES = [(a, b, settings) for a, b in PAIRS for settings in SETTINGS[b]]


def convert(source, to, request, settings=None):
    command = [BINARY, "convert", "--from", source, "--to", to]
    for setting in SETTINGS[to][0] if settings is None else settings:
        command += ["--set", setting]
    data = json.dumps(request, ensure_ascii=False).encode()
    return subprocess.run(command, input=data, capture_output=True, timeout=60, check=False)


def converted(source, to, request, settings=None):
    run = convert(source, to, request, settings)
    assert run.returncode == 0, run.stderr
    return run.stdout.decode("utf-8")


def shared(text, to):
    """The body up to the end of its last message."""
    mark = f'"{LISTS[to]}":['
    at = text.index(mark) + len(mark)
    assert text.count(mark) == 1
    decoder = json.JSONDecoder()
    while True:
        _, at = decoder.raw_decode(text, at)
        if text[at] != ",":
            assert text[at] == "]"
            return text[:at]
        at += 1


def check_prefix(source, to, requests, settings=None):
    """requests: the same conversation, longer and longer."""
    bodies = [converted(source, to, request, settings) for request in requests]
    assert bodies[-1] == converted(source, to, requests[-1], settings)
    for shorter, longer in zip(bodies, bodies[1:]):
        begin = shared(shorter, to)
        assert longer[: len(begin)] == begin
        assert longer[len(begin)] == ","
        assert shorter[len(begin) :].startswith("]")


@pytest.mark.parametrize("source,to,settings", PROFILES)
@pytest.mark.parametrize("carried", [False, True], ids=["plain", "carried"])
def test_a_longer_session_begins_the_same(source, to, settings, carried):
    for seed in SEEDS:
        steps = sessions.session(seed)
        maker = to if carried else None
        requests = [sessions.request(source, steps[:n], maker) for n in sessions.cuts(steps)]
        check_prefix(source, to, requests, settings)


@pytest.mark.parametrize("source,to", PAIRS)
def test_nothing_of_a_session_is_lost(source, to):
    for seed in SEEDS:
        steps = sessions.session(seed)
        body = json.loads(converted(source, to, sessions.request(source, steps, to)))
        check_words(body, steps)
        check_calls(to, body, steps)


def strings(value):
    """All strings of a JSON value, the JSON texts among them opened."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [s for element in value for s in strings(element)]
    if not isinstance(value, str):
        return []
    if value.startswith("{") and value.endswith("}"):
        try:
            return [value] + strings(json.loads(value))
        except ValueError:
            pass
    return [value]


def check_words(body, steps):
    there = "\0".join(strings(body))
    for step in steps:
        for text in [step.get("text", ""), step.get("reminder", ""), step.get("thinking") or ""]:
            assert text in there
        for _, text, *_ in step.get("results", []):
            assert text in there
        for *_, arguments in step.get("calls", []):
            assert arguments["p"] in there
    images = [step for step in steps if step.get("image")]
    assert there.count(sessions.PIXEL) >= len(images)


def answered(to, body):
    """(ids of calls, ids of results) in the order of the body."""
    if to == "responses":
        calls = [i["call_id"] for i in body["input"] if i["type"] == "function_call"]
        outputs = [i["call_id"] for i in body["input"] if i["type"] == "function_call_output"]
        return calls, outputs
    if to == "chat":
        calls = [c["id"] for m in body["messages"] for c in m.get("tool_calls") or []]
        return calls, [m["tool_call_id"] for m in body["messages"] if m["role"] == "tool"]
    blocks = [b for m in body["messages"] for b in m["content"]]
    calls = [b["id"] for b in blocks if b["type"] == "tool_use"]
    return calls, [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]


def check_calls(to, body, steps):
    calls, results = answered(to, body)
    assert len(calls) == sum(len(step.get("calls", [])) for step in steps)
    assert sorted(calls) == sorted(results)
    if to == "messages":
        assert len(set(calls)) == len(calls)


# ---- recorded requests ----


def recorded():
    paths = sorted(FOLDER.glob("*-request-*.json"))
    return [
        pytest.param(path, to, id=f"{path.stem}-{to}")
        for path in paths
        for to in PROTOCOLS
        if MAKERS[path.name[:2]] != to
    ]


def user_texts(request):
    for message in request.get("messages") or request.get("input"):
        content = message.get("content")
        if message.get("role") not in ("user", "tool", "system"):
            continue
        parts = [{"text": content}] if isinstance(content, str) else content
        for part in parts:
            if isinstance(part.get("text"), str) and part["text"].strip():
                yield part["text"]


def tool_names(request):
    for tool in request.get("tools") or []:
        if tool.get("type", "function") in ("function", "custom") and "mcp" not in str(tool):
            yield (tool.get("function") or tool)["name"]


@pytest.mark.parametrize("path,to", recorded())
def test_a_recorded_request_is_carried_over(path, to):
    request, source = json.loads(path.read_text("utf-8")), MAKERS[path.name[:2]]
    text = converted(source, to, request)
    assert text == converted(source, to, request)
    there = strings(json.loads(text))
    for said in user_texts(request):
        assert any(said in string for string in there), said
    for name in tool_names(request):
        assert name in there


@pytest.mark.parametrize("path,to", recorded())
def test_a_recorded_session_begins_the_same(path, to):
    request, source = json.loads(path.read_text("utf-8")), MAKERS[path.name[:2]]
    name = LISTS[source]
    items = request[name]
    ends = [n for n in range(1, len(items)) if is_asked(items[n - 1]) and not is_asked(items[n])]
    requests = [{**request, name: items[:n]} for n in [*ends, len(items)]]
    check_prefix(source, to, requests)


def is_asked(item):
    """The client's own: a request may end behind it."""
    return item.get("role") in ("user", "tool") or item.get("type", "").endswith("_output")

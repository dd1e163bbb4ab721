"""Recorded traffic of real upstreams, converted: what the client's SDK reads of it is what the
upstream's own SDK read of the original (expect.jsonl), and a stream that is cut never ends well.

The recordings are not part of the project: CC_PROXY_RECORDED names their folder, else it is
../shared/recorded, seen from the repository (from the main checkout, in another worktree).
"""

import json
import os
import pathlib
import re
import subprocess

import anthropic
import openai
import pytest

import grammar
import sdk_read
from proxy import BINARY, SANITIZED

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROTOCOLS = ("messages", "chat", "responses")
MAKERS = {"an": "messages", "oc": "chat", "or": "responses"}

# ---- what the specification says is lost or changed ----

# C1.12, C2, C4.5: blocks that only their maker runs or reads are left out; their text is not the
# model's.  None of them is counted by expect.jsonl, so nothing has to be said here but for:
SPEC = {
    # C1.5: tool_search, execution client, is a client tool of that name in every protocol (the
    # SDK's helper counts functions only).
    "or-sse-08-client-tool-search-streaming.sse": {"tools": "tool_search_call"},
    # C1.7: free text is the member `input` of an object; expect.jsonl has the bare text.
    "or-sse-20-custom-tool-1.sse": {"tools": "custom_tool_call"},
    # C1.13: Messages has no refusal part (a text then), the others have no explanation of the stop.
    "an-sse-09-refusal-response.sse": {
        "refusal": "This request was refused due to policy."
    },
    "oc-sse-21-173417d553406f034f643e5db3f8d591fb691ebac56f.sse": {
        "refusal": "I'm sorry, I can't assist with that request."
    },
}

# C1.13, by way of what both sides call the same
STOPS = {
    "end": {"messages": "end_turn", "chat": "stop", "responses": "completed"},
    "call": {"messages": "tool_use", "chat": "tool_calls", "responses": "completed"},
    "refusal": {
        "messages": "refusal",
        "chat": "content_filter",
        "responses": "incomplete content_filter",
    },
}
MEANINGS = {
    "end_turn": "end",
    "stop": "end",
    "completed": "end",
    "tool_calls": "call",
    "refusal": "refusal",
}

# A5.1: the types of the error statuses that were recorded
ERRORS = {
    401: ("authentication_error", "invalid_request_error", "invalid_api_key"),
    404: ("not_found_error", "invalid_request_error", "model_not_found"),
    400: ("invalid_request_error", "invalid_request_error", None),
}

# ---- the recordings ----


def find_folder():
    named = os.environ.get("CC_PROXY_RECORDED")
    if named:
        return pathlib.Path(named)
    command = ["git", "-C", str(ROOT), "rev-parse", "--path-format=absolute", "--git-common-dir"]
    git = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    checkouts = [ROOT] + ([pathlib.Path(git).parent] if git else [])
    folders = [checkout.parent / "shared/recorded" for checkout in checkouts]
    return next((f for f in folders if f.is_dir()), folders[0])


FOLDER = find_folder()
pytestmark = pytest.mark.skipif(
    not (FOLDER / "expect.jsonl").is_file(), reason=f"no recorded traffic at {FOLDER}"
)


def expectations(kind):
    path = FOLDER / "expect.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    rows = [json.loads(line) for line in lines]
    return [r for r in rows if r["file"][2:].startswith(f"-{kind}-")]


def maker_of(row):
    return MAKERS[row["file"][:2]]


def pairs(*kinds):
    return [
        pytest.param(row, to, id=f"{row['file'].rsplit('.', 1)[0]}-{to}")
        for kind in kinds
        for row in expectations(kind)
        for to in PROTOCOLS
    ]


def items_of(row):
    """The items of a recorded Responses reply."""
    text = (FOLDER / row["file"]).read_text("utf-8")
    last = [line for line in text.splitlines() if '"response.completed"' in line][-1]
    return json.loads(last[last.index("{") :])["response"]["output"]


# ---- conversion ----


def request_of(to, stream):
    """The request that is answered, with the tool that one of the recordings calls."""
    body = {"model": "m", "stream": stream}
    said = [{"role": "user", "content": "?"}]
    if to == "messages":
        return {**body, "max_tokens": 9, "messages": said}
    if to == "chat":
        tool = {"type": "custom", "custom": {"name": "write_sql"}}
        extra = {"stream_options": {"include_usage": True}} if stream else {}
        return {**body, "messages": said, "tools": [tool], **extra}
    tools = [{"type": "custom", "name": "write_sql"}]
    tools += [{"type": "tool_search", "execution": "client"}]
    return {**body, "input": said, "tools": tools}


class Convert:
    def __init__(self, folder):
        self.folder = folder

    def __call__(self, kind, source, to, data, stream=True, options=()):
        path = self.folder / f"{to}-{stream}.json"
        if not path.exists():
            path.write_text(json.dumps(request_of(to, stream)))
        command = [BINARY, "convert", "--kind", kind, "--from", source, "--to", to]
        command += ["--now", "1790000000", *options]
        if kind in ("reply", "stream"):
            command += ["--request", str(path)] + ([] if stream else ["--plain"])
        return subprocess.run(command, input=data, capture_output=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def convert(tmp_path_factory):
    return Convert(tmp_path_factory.mktemp("recorded"))


def data_of(row):
    data = (FOLDER / row["file"]).read_bytes()
    if "lacks its blank line" in row.get("note", ""):
        data += b"\n\n"  # what is read of it was read so
    return data


def wanted(row, to):
    """The row as the client's protocol says it."""
    given, usage = SPEC.get(row["file"], {}), row["usage"]
    tools = [(t["name"], t["args_sha"]) for t in row["tools"]]
    if "tools" in given:
        calls = [item for item in items_of(row) if item["type"] == given["tools"]]
        tools = [called(item) for item in calls]
    meaning = "call" if tools and row["stop"] == "completed" else MEANINGS[row["stop"]]
    refusal = given.get("refusal", "")
    if to == "messages" and refusal:
        meaning = "refusal"
    read, write = usage["cache_read"] or 0, usage.get("cache_write") or 0
    prompt = usage["in"] + (read + write if maker_of(row) == "messages" else 0)
    return {
        "text": row["text_sha"] if to == "messages" or not refusal else sdk_read.digest(""),
        "refusal": refusal if to != "messages" else "",
        "reasoning": row["reasoning_sha"],
        "tools": tools,
        "stop": STOPS[meaning][to],
        "usage": {"prompt": prompt, "output": usage["out"], "read": read},
        "reasoning_tokens": usage.get("reasoning"),
    }


def called(item):
    if item["type"] == "custom_tool_call":
        return item["name"], sdk_read.digest(sdk_read.canonical({"input": item["input"]}))
    return "tool_search", sdk_read.digest(sdk_read.canonical(item["arguments"]))


def seen(result, like):
    usage = result["usage"]
    return {
        "text": sdk_read.digest(result["text"]),
        "refusal": result["refusal"],
        "reasoning": sdk_read.digest(result["reasoning"]),
        "tools": [(name, sdk_read.digest(arguments)) for name, arguments in result["tools"]],
        "stop": result["stop"],
        "usage": {name: usage[name] for name in ("prompt", "output", "read")},
        "reasoning_tokens": None if like["reasoning_tokens"] is None else usage["reasoning"],
    }


# ---- replies ----


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("row,to", pairs("sse", "json"))
def test_a_reply_says_the_same(convert, row, to, stream):
    kind = "stream" if row["file"].endswith(".sse") else "reply"
    run = convert(kind, maker_of(row), to, data_of(row), stream)
    assert run.returncode == 0, run.stdout + run.stderr
    if stream:
        assert grammar.check(to, run.stdout) == []
    want = wanted(row, to)
    assert seen(sdk_read.read(to, run.stdout, stream), want) == want


@pytest.mark.parametrize("row,to", pairs("error"))
def test_an_error_says_the_same(convert, row, to):
    status, error = row["error"]["status"], row["error"]
    run = convert("error", maker_of(row), to, data_of(row), options=["--status", str(status)])
    assert re.search(rb"HTTP (\d+)", run.stderr)[1] == str(status).encode()
    messages_type, type_, code = ERRORS[status]
    if to == "messages":
        type_, code = messages_type, None
    got = sdk_read.error_of(to, run.stdout, status)
    assert (*got[:3], sdk_read.digest(got[3])) == (status, type_, code, error["message_sha"])


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("row,to", pairs("sse"))
def test_any_split_gives_the_same_bytes(convert, row, to, stream):
    whole = convert("stream", maker_of(row), to, data_of(row), stream)
    for size in ("1", "7"):
        again = convert("stream", maker_of(row), to, data_of(row), stream, ["--chunk", size])
        assert (again.stdout, again.returncode) == (whole.stdout, whole.returncode), size


WIRES = {
    "crlf": lambda data: data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
    "no names": lambda data: re.sub(rb"(?m)^event:.*\r?\n", b"", data),
    "comments": lambda data: re.sub(rb"(?m)^data:", b": still here\nid: 7\ndata:", data),
    "no spaces": lambda data: re.sub(rb"(?m)^(data|event): ", rb"\1:", data),
    "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
}


@pytest.mark.parametrize("row,to", pairs("sse"))
def test_the_way_it_was_written_does_not_matter(convert, row, to):
    data = data_of(row)
    plain = convert("stream", maker_of(row), to, data)
    for name, rewrite in WIRES.items():
        again = convert("stream", maker_of(row), to, rewrite(data))
        assert (again.stdout, again.returncode) == (plain.stdout, plain.returncode), name


def has_end(protocol, events):
    """EOF tolerance of C5: the reply's end was known when these events had come."""
    for block in events:
        text = block.decode("utf-8")
        data = "".join(line[5:] for line in text.splitlines() if line.startswith("data:")).strip()
        if not data.startswith("{"):
            continue
        event = json.loads(data)
        if protocol == "messages" and (event.get("delta") or {}).get("stop_reason"):
            return True
        if protocol == "chat" and any(c.get("finish_reason") for c in event.get("choices") or []):
            return True
        if protocol == "responses" and event["type"] == "response.completed":
            return True
    return False


def cuts(row):
    """The stream cut behind each event, and within each, up to where its end is known."""
    blocks = [b + b"\n\n" for b in re.split(rb"\r?\n\r?\n", data_of(row)) if b.strip()]
    for at, block in enumerate(blocks):
        if has_end(maker_of(row), blocks[:at]):
            return
        yield b"".join(blocks[:at])
        yield b"".join(blocks[:at]) + block[: len(block) // 2]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("row,to", pairs("sse"))
def test_a_cut_stream_never_ends_well(convert, row, to, stream):
    found = list(cuts(row))
    if SANITIZED:  # a process for each cut
        found = found[:8] + found[8:-8:20] + found[8:][-8:]
    for data in found:
        run = convert("stream", maker_of(row), to, data, stream)
        assert run.returncode == 1, f"cut at {len(data)}: {run.stdout}"
        if b"HTTP" in run.stderr:
            body = json.loads(run.stdout)
            assert body["error"]["message"]
            continue
        assert stream
        assert grammar.check(to, run.stdout) == [], f"cut at {len(data)}"
        assert grammar.outcome(to, run.stdout) == "error", f"cut at {len(data)}"


@pytest.mark.parametrize("row,to", pairs("sse"))
def test_the_sdk_raises_for_a_cut_stream(convert, row, to):
    for data in list(cuts(row))[-6:]:
        run = convert("stream", maker_of(row), to, data)
        if b"HTTP" in run.stderr:
            status = int(re.search(rb"HTTP (\d+)", run.stderr)[1])
            assert sdk_read.error_of(to, run.stdout, status)[0] == status
            continue
        with pytest.raises((anthropic.APIError, openai.APIError), match="closed the stream"):
            sdk_read.read(to, run.stdout, stream=True)

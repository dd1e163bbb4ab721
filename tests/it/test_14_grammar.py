"""grammar.py finds what breaks a stream: good streams have no violation, and of each kind of
damage every instance is seen, but for those that leave a good stream."""

import json
import subprocess

import grammar
import pytest
from proxy import BINARY

PROTOCOLS = ("messages", "chat", "responses")


def sse(events):
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()


def item(index, kind, what, **members):
    event = {"type": f"response.output_item.{what}", "output_index": index}
    return {**event, "item": {"id": f"i{index}", "type": kind, **members}}


def upstream():
    """Reasoning, a text, two calls that interleave."""
    text = {"type": "output_text", "text": "Hi you", "annotations": []}
    thought = {"summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gA"}

    def delta(kind, index, piece):
        return {"type": f"response.{kind}.delta", "output_index": index, "delta": piece}

    def call(index, what, arguments):
        members = {"call_id": f"call_{index}", "name": "f", "arguments": arguments}
        return item(index, "function_call", what, **members)

    arguments = "function_call_arguments"
    usage = {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}
    return sse(
        [
            {"type": "response.created", "response": {"id": "resp_1", "model": "m"}},
            item(0, "reasoning", "added", summary=[]),
            delta("reasoning_summary_text", 0, "hm"),
            item(0, "reasoning", "done", **thought),
            item(1, "message", "added", content=[]),
            delta("output_text", 1, "Hi"),
            delta("output_text", 1, " you"),
            item(1, "message", "done", content=[text]),
            call(2, "added", ""),
            delta(arguments, 2, '{"a"'),
            call(3, "added", ""),
            delta(arguments, 3, '{"b":2}'),
            delta(arguments, 2, ":1}"),
            call(3, "done", '{"b":2}'),
            call(2, "done", '{"a":1}'),
            {
                "type": "response.completed",
                "response": {"status": "completed", "output": [], "usage": usage},
            },
        ]
    )


@pytest.fixture(scope="module")
def streams(tmp_path_factory):
    """Of each protocol's client, the reply to one that wants everything."""
    folder = tmp_path_factory.mktemp("grammar")
    chat = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 99}
    requests = {
        "messages": chat,
        "chat": {**chat, "stream_options": {"include_usage": True}},
        "responses": {"input": "x"},
    }
    result = {}
    for protocol, request in requests.items():
        path = folder / f"{protocol}.json"
        path.write_text(json.dumps({"model": "m", "stream": True, **request}))
        command = [BINARY, "convert", "--kind", "stream", "--from", "responses"]
        command += ["--to", protocol, "--request", str(path)]
        run = subprocess.run(command, input=upstream(), capture_output=True, check=True)
        result[protocol] = run.stdout
    return result


def blocks(stream):
    return [block + b"\n\n" for block in stream.split(b"\n\n")[:-1]]


def harmless(protocol, block):
    """A grammar cannot miss one piece of a text; Responses says each text twice."""
    if protocol == "messages":
        return b"content_block_delta" in block and b":1}" not in block
    return protocol == "chat" and any(
        name in block for name in (b'"content":"', b"reasoning", b'"usage":{')
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_good_streams(streams, protocol):
    assert grammar.check(protocol, streams[protocol]) == []
    assert grammar.outcome(protocol, streams[protocol]) == "complete"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_cut_is_seen(streams, protocol):
    stream = streams[protocol]
    for at in range(len(stream)):
        assert grammar.check(protocol, stream[:at]), f"cut at {at}"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_lost_event_is_seen(streams, protocol):
    events = blocks(streams[protocol])
    for at, lost in enumerate(events):
        rest = b"".join(events[:at] + events[at + 1 :])
        if not harmless(protocol, lost):
            assert grammar.check(protocol, rest), lost


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_doubled_event_is_seen(streams, protocol):
    events = blocks(streams[protocol])
    for at, twice in enumerate(events):
        more = b"".join(events[: at + 1] + events[at:])
        if not harmless(protocol, twice) or b"role" in twice:
            assert grammar.check(protocol, more), twice


@pytest.mark.parametrize(
    "old,new,protocol",
    [
        (b"data: ", b"data:  \r", "messages"),
        (b"event: message_stop", b"event: message_end", "messages"),
        (b'"index":2,', b'"index":1,', "messages"),
        (b'"output_tokens":5', b'"output_tokens":null', "messages"),
        (b"input_json_delta", b"text_delta", "messages"),
        (b'"id":"call_3"', b'"id":"call_2"', "messages"),
        (b'"index":1,"id"', b'"index":2,"id"', "chat"),
        (b'"finish_reason":"tool_calls"', b'"finish_reason":"done"', "chat"),
        (b'"usage":null', b'"usage":{}', "chat"),
        (b'"total_tokens":14', b'"total_tokens":13', "chat"),
        (b'"sequence_number":5,', b'"sequence_number":6,', "responses"),
        (b'"id":"msg_1_1"', b'"id":"rs_1_0"', "responses"),
        (b'"call_id":"call_3"', b'"call_id":"call_2"', "responses"),
        (b'"text":"Hi you"', b'"text":"Hi"', "responses"),
        (b'"arguments":"{', b'"arguments":"', "responses"),
        (b'"reasoning_tokens"', b'"thinking_tokens"', "responses"),
        (b'"status":"completed","background"', b'"status":"done","background"', "responses"),
        (b'"parallel_tool_calls":true,', b"", "responses"),
    ],
)
def test_damage_is_seen(streams, old, new, protocol):
    stream = streams[protocol]
    assert stream.count(old) > 0
    # one place only: each of them must be seen
    at = -1
    while (at := stream.find(old, at + 1)) >= 0:
        assert grammar.check(protocol, stream[:at] + new + stream[at + len(old) :])


def test_errors_end_a_stream():
    error = {"type": "api_error", "message": "x"}
    bad = {"type": "error", "error": error}
    stream = b"event: error\ndata: " + json.dumps(bad).encode() + b"\n\n"
    assert grammar.check("messages", stream) == []
    assert grammar.outcome("messages", stream) == "error"
    assert grammar.check("messages", stream + stream) != []
    error = {"message": "x", "type": "server_error", "param": None, "code": None}
    stream = sse([{"error": error}])
    assert grammar.check("chat", stream) == []
    assert grammar.check("chat", stream + b"data: [DONE]\n\n") != []
    # response.created comes first, response.failed last
    failing = {"type": "error", "sequence_number": 0, "error": {**error, "code": "server_error"}}
    stream = b"event: error\ndata: " + json.dumps(failing).encode() + b"\n\n"
    assert len(grammar.check("responses", stream)) >= 2

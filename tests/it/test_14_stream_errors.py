"""C5 of protocols.md: what ends a stream before its time, and what each client gets for it, before
the first event and after it."""

import json

import grammar
import pytest
from test_14_wire_rules import BREAKS, PROTOCOLS, STREAMS, convert, in_the_middle
from wire import events

PAIRS = [(a, b) for a in PROTOCOLS for b in PROTOCOLS if a != b]
EACH_PAIR = pytest.mark.parametrize("upstream,client", PAIRS, ids=["-".join(p) for p in PAIRS])
CUT = "upstream closed the stream before the reply was complete"

# what the upstream says (type, code) by protocol; HTTP status and type for Messages; status and
# code for the others, code in a Responses stream (K)
CAUSES = {
    "429": ({"messages": ("rate_limit_error", None), "chat": ("tokens", "rate_limit_exceeded"),
             "responses": (None, "rate_limit_exceeded")},
            (429, "rate_limit_error"), (429, "rate_limit_exceeded"), "rate_limit_exceeded"),
    "overloaded": ({"messages": ("overloaded_error", None)},
                   None, (503, "server_overloaded"), "server_error"),
    "5xx": ({"messages": ("api_error", None), "chat": ("server_error", None),
             "responses": (None, "server_error")},
            (500, "api_error"), (500, ...), "server_error"),
    "400": ({"messages": ("invalid_request_error", None), "chat": ("invalid_request_error", None),
             "responses": (None, "invalid_prompt")},
            (400, "invalid_request_error"), (400, ...), "invalid_prompt"),
    "too long": ({"chat": ("invalid_request_error", "context_length_exceeded"),
                  "responses": (None, "context_length_exceeded")},
                 (400, "invalid_request_error"), (400, "context_length_exceeded"),
                 "context_length_exceeded"),
}
SAID = [(u, c, cause) for u, c in PAIRS for cause, row in CAUSES.items() if u in row[0]]


def error_of(upstream, cause):
    kind, code = CAUSES[cause][0][upstream]
    if upstream == "messages":
        data = {"type": "error", "error": {"type": kind, "message": "Why."}}
    elif upstream == "chat":
        data = {"error": {"message": "Why.", "type": kind, "param": None, "code": code}}
    else:
        data = {"type": "response.failed", "response": {
            "id": "resp_1", "status": "failed", "output": [],
            "error": {"code": code, "message": "Why."}}}
    return b"data: " + json.dumps(data).encode()


def ending(client, stream):
    """The events that make the error ending, by their data."""
    assert grammar.check(client, stream) == [], stream
    assert grammar.outcome(client, stream) == "error"
    for mark in (b"data: [DONE]", b"event: message_stop", b"event: message_delta",
                 b'"finish_reason":"', b"event: response.completed"):
        assert mark not in stream
    data = [json.loads(d) for _, d in events(stream)]
    return data[-2:] if client == "responses" else data[-1:]


@pytest.mark.parametrize("upstream,client,cause", SAID)
def test_an_error_before_the_first_event(upstream, client, cause):
    _, of_messages, of_others, _ = CAUSES[cause]
    got = convert(upstream, client, error_of(upstream, cause) + b"\n\n")
    status = int(got.stderr.split()[-1])
    error = json.loads(got.stdout)["error"]
    assert error["message"].endswith("Why.")
    if client == "messages":
        assert (status, error["type"]) == of_messages
    else:
        assert status == of_others[0]
        assert of_others[1] is ... or error["code"] == of_others[1]


@pytest.mark.parametrize("upstream,client,cause", SAID)
@pytest.mark.row("6: error event, then clean end", "6: response.failed only")
def test_an_error_inside_the_stream(upstream, client, cause):
    _, of_messages, of_others, code = CAUSES[cause]
    stream = in_the_middle(error_of(upstream, cause))(STREAMS[upstream])
    last = ending(client, convert(upstream, client, stream).stdout)
    error = last[0]["error"]
    assert error["message"].endswith("Why.")
    if client == "messages":
        assert set(last[0]) == {"type", "error"} and error["type"] == of_messages[1]
    elif client == "chat":
        assert set(last[0]) == {"error"} and set(error) == {"message", "type", "param", "code"}
        assert of_others[1] is ... or error["code"] == of_others[1]
    else:
        check_responses(last, code)


def check_responses(last, code):
    error, failed = last
    assert set(error["error"]) == {"type", "code", "message", "param"}
    assert error["error"]["code"] == code
    assert failed["type"] == "response.failed"
    assert failed["sequence_number"] == error["sequence_number"] + 1
    response = failed["response"]
    assert response["status"] == "failed"
    assert response["error"] == {"code": code, "message": error["error"]["message"]}
    assert response["output"]  # what was there so far; what was open is incomplete
    states = [item.get("status", "completed") for item in response["output"]]
    assert set(states[:-1]) <= {"completed", "incomplete"}


@EACH_PAIR
@pytest.mark.row("6: fake finish_reason")
def test_the_end_comes_too_early(upstream, client):
    whole = STREAMS[upstream]
    half = b"\n\n".join(whole.split(b"\n\n")[:whole.count(b"\n\n") // 2]) + b"\n\n"
    last = ending(client, convert(upstream, client, half).stdout)
    assert last[0]["error"]["message"] == CUT
    if client == "responses":
        check_responses(last, "server_error")
    nothing = convert(upstream, client, b"")
    assert b"HTTP 502" in nothing.stderr and json.loads(nothing.stdout)["error"]["message"] == CUT


@EACH_PAIR
@pytest.mark.parametrize("extra", [BREAKS["EW1.10 no JSON"], BREAKS["EW1.10 an array"]],
                         ids=["no JSON", "no object"])
def test_unreadable_json(upstream, client, extra):
    assert b"HTTP 502" in convert(upstream, client, extra + b"\n\n").stderr
    last = ending(client, convert(upstream, client,
                                  in_the_middle(extra)(STREAMS[upstream])).stdout)
    if client == "responses":
        check_responses(last, "server_error")


@EACH_PAIR
def test_a_missing_last_marker_is_tolerated(upstream, client):
    """Behind the finish: Messages' message_delta, Chat's finish_reason; never for Responses."""
    mark = {"messages": b"event: message_stop", "chat": b"data: [DONE]",
            "responses": b"event: response.completed"}[upstream]
    stream = STREAMS[upstream][:STREAMS[upstream].index(mark)]
    got = convert(upstream, client, stream)
    assert grammar.check(client, got.stdout) == []
    assert grammar.outcome(client, got.stdout) == ("error" if upstream == "responses"
                                                   else "complete")


# ---- C4.0: what is held back until there is content ----


def sse(*events):
    return b"".join(b"data: " + json.dumps(e).encode() + b"\n\n" for e in events)


def chunk(finish=None, **delta):
    return {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


RESPONSE = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": ""}
START = {
    "messages": sse({"type": "message_start", "message": {"id": "msg_1", "content": []}},
                    {"type": "ping"}),
    "chat": sse(chunk(role="assistant", content=""), chunk(role="assistant"), chunk(content=None)),
    "responses": sse(*({"type": f"response.{kind}", "response": RESPONSE}
                       for kind in ("created", "queued", "in_progress"))),
}
CONTENT = {
    "messages": {
        "block": sse({"type": "content_block_start", "index": 0,
                      "content_block": {"type": "text", "text": ""}}),
        "finish": sse({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                       "usage": {}})},
    "chat": {"text": sse(chunk(content="a")), "reasoning": sse(chunk(reasoning_content="a")),
             "call": sse(chunk(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f"}}])),
             "finish": sse(chunk("stop"))},
    "responses": {"item": sse({"type": "response.output_item.added", "output_index": 0,
                               "item": CALL})},
}
BEGUN = [(u, c, what) for u, c in PAIRS for what in CONTENT[u]]


@EACH_PAIR
def test_a_start_is_held_back(upstream, client):
    """Comments, pings and the start of a reply are no content: the error is a plain reply."""
    held = b": comment\n\n" + START[upstream] + b"event: keepalive\ndata: {}\n\n: x\n\n"
    got = convert(upstream, client, held + error_of(upstream, "429") + b"\n\n")
    assert b"HTTP 429" in got.stderr and json.loads(got.stdout)["error"]["message"] == "Why."


@pytest.mark.parametrize("upstream,client,what", BEGUN)
def test_content_lets_it_go(upstream, client, what):
    stream = START[upstream] + CONTENT[upstream][what]
    got = convert(upstream, client, stream + error_of(upstream, "429") + b"\n\n")
    assert b"HTTP" not in got.stderr
    assert grammar.check(client, got.stdout) == []
    assert grammar.outcome(client, got.stdout) == "error"


@EACH_PAIR
def test_nothing_follows_the_terminal_event(upstream, client):
    """C4.0: what comes behind it, late usage too, is read and ignored."""
    late = STREAMS[upstream] + STREAMS[upstream] + error_of(upstream, "5xx") + b"\n\n{"
    plain = convert(upstream, client, STREAMS[upstream]).stdout
    assert convert(upstream, client, late).stdout == plain

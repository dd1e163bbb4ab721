"""EW1 and EW2 of protocols.md row by row: how a stream may be spelled, for every pair. What changes
only its spelling changes no byte of the client's stream; what breaks it ends in an error (C5)."""

import json
import re
import subprocess
from pathlib import Path

import grammar
import pytest
from proxy import BINARY, ROOT

PROTOCOLS = ["messages", "chat", "responses"]
PAIRS = [(a, b) for a in PROTOCOLS for b in PROTOCOLS]
EACH_PAIR = pytest.mark.parametrize("upstream,client", PAIRS, ids=["-".join(p) for p in PAIRS])
STREAMS = {p: (Path(ROOT) / f"tests/vectors/streams/{p}.sse").read_bytes() for p in PROTOCOLS}
BOM = b"\xef\xbb\xbf"


def convert(source, to, stream, *extra):
    return subprocess.run(
        [BINARY, "convert", "--kind", "stream", "--from", source, "--to", to, "--now",
         "1790000000", *extra], input=stream, capture_output=True, timeout=20, check=False)


@pytest.fixture(scope="module")
def plain():
    """(upstream, client) -> the client's stream."""
    return {pair: convert(*pair, STREAMS[pair[0]]).stdout for pair in PAIRS}


def lines(change):
    """change(line) of each line that is not empty."""
    return lambda s: b"\n".join(change(line) if line else b"" for line in s.split(b"\n"))


def named(name, change):
    return lines(lambda line: change(line) if line.startswith(name) else line)


def between(extra):
    """extra as a block of its own between all events."""
    return lambda s: extra + s.replace(b"\n\n", b"\n\n" + extra)


def several_lines(s):
    """Each event's JSON over as many data lines as it has members at the top."""
    def spread(line):
        try:
            text = json.dumps(json.loads(line[6:]), indent=1, ensure_ascii=False)
        except ValueError:
            return line
        return b"\n".join(b"data: " + part.encode() for part in text.split("\n"))
    return named(b"data: {", spread)(s)


def mixed(s):
    ends, n = [b"\n", b"\r\n", b"\r"], iter(range(10**6))
    return re.sub(b"\n+", lambda m: ends[next(n) % 3] * len(m[0]), s)


SPELLINGS = {
    "EW1.2 CRLF": lambda s: s.replace(b"\n", b"\r\n"),
    "EW1.2 CR": lambda s: s.replace(b"\n", b"\r"),
    "EW1.2 mixed": mixed,
    "EW1.3 a BOM at the start": lambda s: BOM + s,
    "EW1.3 a BOM at each line": lines(lambda line: BOM + line),
    "EW1.4 no space": lines(lambda line: line.replace(b": ", b":", 1)),
    "EW1.4 two spaces": named(b"data", lambda line: line.replace(b": ", b":  ", 1)),
    "EW1.4 comments": between(b": {\"error\":1}\n:\n\n"),
    "EW1.4 a line without a colon": between(b"data\n\n"),
    "EW1.5 id, retry, unknown names": between(b"id: 7\nretry: 1\nfoo: bar\nDATA: x\ndata : x\n\n"),
    "EW1.5 data lines are joined": several_lines,
    "EW1.5 of event lines the last wins":
        named(b"data: {", lambda line: b"event: error\nevent: other\n" + line),
    "EW1.6 an event without data is none": between(b"event: error\n\n"),
    "EW1.6 empty data": between(b"event: error\ndata:\n\n"),
    "EW1.7 no empty line at the end": lambda s: s.rstrip(b"\n"),
    "EW1.7 one line end at the end": lambda s: s.rstrip(b"\n") + b"\n",
    "EW1.7 half an event at the end": lambda s: s + b"data: {\"type\":\"err",
    "EW1.8 [DONE] for all, and what follows it": lambda s:
        s.replace(b"data: [DONE]\n\n", b"") +
        b"data:  [DONE] \n\ndata: {\"error\":{}}\n\ndata: {\n\n",
    "EW1.8 event: done": lambda s: s.replace(b"data: [DONE]", b"event: done\ndata: [DONE]"),
    "EW1.9 no event names": lambda s: re.sub(rb"event: .*\n", b"", s),
    "EW1.9 the type beats the event's name":
        lambda s: re.sub(rb"event: .*\n", b"event: message_stop\n", s),
    "EW1.10 events that may hold anything":
        between(b"".join(b"event: %s\ndata: %s\n\n" % x for x in
                         zip((b"ping", b"keepalive", b"heartbeat", b"done"),
                             (b"x", b"[1]", b"{\"a\":", b"7")))),
    "EW3.3 NaN and raw control characters":
        between(b"data: {\"type\":\"x\",\"a\":NaN,\"b\":\"\x01\"}\n\n"),
    "0.4 unknown events": between(b"event: new.thing\ndata: {\"type\":\"new.thing\",\"a\":{}}\n\n"),
}


@EACH_PAIR
@pytest.mark.parametrize("change", SPELLINGS.values(), ids=SPELLINGS)
def test_spelling_makes_no_difference(plain, upstream, client, change):
    got = convert(upstream, client, change(STREAMS[upstream]))
    assert got.returncode == 0 and got.stdout == plain[upstream, client]


def in_the_middle(extra):
    """Behind the first half of the events."""
    def put(s):
        events = s.split(b"\n\n")
        half = len(events) // 2
        return b"\n\n".join(events[:half]) + b"\n\n" + extra + b"\n\n" + b"\n\n".join(events[half:])
    return put


BREAKS = {
    "EW1.9 event: error with any JSON": b"event: error\ndata: {}",
    "EW1.9 type error": b"data: {\"type\":\"error\",\"error\":{\"message\":\"m\"}}",
    "EW1.10 no JSON": b"data: {\"type\":\"ping\"",
    "EW1.10 an array": b"data: [1]",
    "EW1.10 a text": b"data: \"ping\"",
    "EW1.10 [DONE with a neighbour": b"data: [DONE] x",
    "EW3.1 a trailing comma": b"data: {\"type\":\"ping\",}",
    "EW3.8 too deep": b"data: {\"a\":" + b"[" * 2000 + b"]" * 2000 + b"}",
}


@EACH_PAIR
@pytest.mark.parametrize("extra", BREAKS.values(), ids=BREAKS)
def test_what_breaks_a_stream(upstream, client, extra):
    if b'"type":"error"' in extra and upstream == "chat":
        extra = b"data: {\"error\":{\"message\":\"m\"}}"  # its own way to say so
    got = convert(upstream, client, in_the_middle(extra)(STREAMS[upstream]))
    assert grammar.check(client, got.stdout) == [], got.stdout
    assert grammar.outcome(client, got.stdout) == "error"


@EACH_PAIR
def test_how_streams_are_written(plain, upstream, client):
    """EW2.1 to EW2.3, in a stream whose texts hold everything that may not stand there raw."""
    place = {"chat": b'"content":"', "messages": b'"text":"', "responses": b'"delta":"'}[upstream]
    odd = "\\r\\n\u2028\u2029\u0085\\u2028\x7f\ufeff".encode()
    for stream in (plain[upstream, client], convert(
            upstream, client, STREAMS[upstream].replace(place, place + odd)).stdout):
        assert stream.endswith(b"\n\n") and b"\r" not in stream
        stream.decode("utf-8")
        for mark in "\u2028\u2029\u0085":
            assert mark.encode() not in stream
        for block in stream.split(b"\n\n")[:-1]:
            got = block.split(b"\n")
            assert got[-1].startswith(b"data: ")
            if client == "chat":
                assert len(got) == 1
                continue
            assert len(got) == 2
            assert got[0] == b"event: " + json.loads(got[1][6:])["type"].encode()
    assert (plain[upstream, client].endswith(b"data: [DONE]\n\n")) == (client == "chat")

"""reliability.md section 5, "upstream RST or FIN mid-stream", "truncated chunk", and section 6.

The reply of an upstream is cut off at every event's end and inside events, by a relay between the
proxy and the upstream, for all protocols, passed through and converted.  The client gets the whole
events so far, then its protocol's error, then a clean end of the HTTP message; SDKs throw; the log
line and the counters say what happened; the upstream is asked once."""

import re

import anthropic
import grammar
import httpx2
import openai
import pytest
from relay import NO_FAULT, Fault, Relay, close_all
from test_07_streams import check_error
from test_17_convert_streams import BODIES, FINISH, KEY, PATHS, PROTOCOLS, STREAMS, only
from upstream import Upstream
from wire import Client, events

# No connection is used twice: that a pooled one was closed would be a reason to try again.
HEAD = (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n"
        b"transfer-encoding: chunked\r\n\r\n")


def raw_reply(protocol):
    """The bytes of the reply, and the positions where to cut it, each with what has come of the
    stream by then."""
    raw, payload, cuts = HEAD, b"", [(0, b""), (9, b""), (len(HEAD) - 1, b""), (len(HEAD), b"")]
    for part in STREAMS[protocol].split(b"\n\n")[:-1]:
        event = part + b"\n\n"
        size = b"%x\r\n" % len(event)
        begin = len(raw) + len(size)
        for at in (1, len(event) // 2, len(event) - 1, len(event)):
            cuts.append((begin + at, payload + event[:at]))
        cuts.append((len(raw) + 1, payload))  # inside the chunk's size
        raw += size + event + b"\r\n"
        payload += event
    return raw + b"0\r\n\r\n", cuts


class Sdk:
    """Reads a body as the vendors' SDKs do, by hand and with their helpers."""

    def __init__(self):
        self.body = b""
        transport = httpx2.MockTransport(lambda _: httpx2.Response(
            200, headers={"content-type": "text/event-stream"}, content=self.body))
        options = {"api_key": "k", "base_url": "http://x", "max_retries": 0,
                   "http_client": httpx2.Client(transport=transport)}
        self.anthropic, self.openai = anthropic.Anthropic(**options), openai.OpenAI(**options)

    def ways(self, protocol):
        said = [{"role": "user", "content": "hi"}]
        ask = {"model": "m", "messages": said, "max_tokens": 9}

        def messages_helper():
            with self.anthropic.messages.stream(**ask) as s:
                s.get_final_message()

        def chat_helper():
            with self.openai.chat.completions.stream(model="m", messages=said) as s:
                s.get_final_completion()

        def responses_helper():
            with self.openai.responses.stream(model="m", input="hi") as s:
                s.get_final_response()
        return {
            "messages": [lambda: list(self.anthropic.messages.create(**ask, stream=True)),
                         messages_helper],
            "chat": [lambda: list(self.openai.chat.completions.create(
                model="m", messages=said, stream=True)), chat_helper],
            "responses": [lambda: list(self.openai.responses.create(
                model="m", input="hi", stream=True)), responses_helper],
        }[protocol]

    def check_throws(self, protocol, body):
        self.body = body
        for read in self.ways(protocol):
            with pytest.raises((anthropic.APIError, openai.APIError)):
                read()


@pytest.fixture(scope="module")
def sdk():
    return Sdk()


@pytest.fixture(scope="module")
def fronts():
    """Proxies by their upstream's protocol; all go through one relay to one upstream."""
    up = Upstream()
    relay = Relay(up.port)
    made = {p: only(relay, p, ADMIN_LISTEN="127.0.0.1:0", ADMIN_TOKEN="t", STREAM_PING_SECONDS="0")
            for p in PROTOCOLS}
    yield made, relay, up
    close_all(made.values(), relay, up)


def counters(proxy):
    with Client(proxy.wait_log("listening", service="admin")["port"]) as c:
        text = c.request("GET", "/metrics", {"authorization": "Bearer t"}).body.decode()
    return {n: int(v) for n, v in re.findall(r"^ccproxy_(\w+) (\d+)$", text, re.M)}


def whole_events(payload):
    return payload[: payload.rfind(b"\n\n") + 2] if b"\n\n" in payload else b""


def check_cut(client, upstream, reply, payload):
    """What the client got when `payload` was all that had come of the stream; True: an error."""
    if reply.status != 200:  # nothing had been sent
        assert reply.status == 502 and reply.json()["error"]["message"]
        assert client != upstream or payload == b""
        return True
    if client != upstream:
        assert grammar.check(client, reply.body) == []
        return grammar.outcome(client, reply.body) == "error"
    good = whole_events(payload)
    assert reply.body[: len(good)] == good
    if reply.body == good:
        return False
    tail = reply.body[len(good):]
    if client == "responses" and not good:  # SDKs want response.created first
        assert [n for n, _ in events(tail)] == ["response.created", "error", "response.failed"]
    elif tail.rstrip(b"\n") == payload[len(good):].rstrip(b"\n"):
        return False  # the last event lacked its empty line only
    else:
        check_error(client, tail, good.count(b'"sequence_number"'), "resp_9")
    return True


def check_told(proxy, reply, since):
    """The log says why, how much, whose fault."""
    request_id = reply.h("request-id") or reply.h("x-request-id")
    done = proxy.wait_log("request_done", since, request_id=request_id)
    assert done["ended"] == "error" and done["error"].startswith("UPSTREAM_"), done
    assert done["upstream"] and done["bytes_out"] == len(reply.body) and done["attempts"] == 1
    why = proxy.wait_log("unexpected_error", since, request_id=done["request_id"])
    assert why["error"] and why["code"] == done["error"]


@pytest.mark.parametrize("how", ["close", "reset", "half", "clean"])
@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.row("5: upstream RST or FIN mid-stream", "5: truncated chunk",
                 "6: clean end at an event boundary", "6: clean end inside an event",
                 "6: chunked body without the last chunk", "6: TCP reset")
def test_cut_at_and_inside_every_event(fronts, sdk, upstream, client, how):
    """close, half: FIN; reset: RST; clean: the HTTP message ends as if all were said."""
    made, relay, up = fronts
    proxy = made[upstream]
    raw, cuts = raw_reply(upstream)
    known = STREAMS[upstream].index(FINISH[upstream])  # up to here the end is not known
    broken, before = 0, counters(proxy)
    up.forget()
    streams_broken = 0
    with Client(proxy.codex_port) as c:
        for position, payload in cuts:
            if how == "clean":
                up.script = lambda c, r, p=payload: c.send(
                    HEAD + (b"%x\r\n%s\r\n" % (len(p), p) if p else b"") + b"0\r\n\r\n")
                relay.back = NO_FAULT
            else:
                up.script = lambda c, r: c.send(raw)
                relay.back = Fault(after=position, how=how)
            since, asked = len(proxy.lines), len(up.requests)
            c.send_request("POST", PATHS[client], KEY, json=BODIES[client] | {"stream": True})
            reply = c.head()
            reply.body = c.body()
            is_error = check_cut(client, upstream, reply, payload)
            where = f"{position} bytes, {payload[-40:]!r}"
            if len(payload) <= known:
                assert is_error, where
            elif len(payload) == len(STREAMS[upstream]):
                assert not is_error, where
            assert len(up.requests) == asked + 1, where
            if not is_error:
                continue
            broken += 1
            streams_broken += reply.status == 200
            check_told(proxy, reply, since)
            if reply.status == 200:
                sdk.check_throws(client, reply.body)
    after = counters(proxy)
    assert broken > len(cuts) // 2
    assert after["streams_broken_total"] - before["streams_broken_total"] >= streams_broken
    assert after["upstream_retries_total"] == before["upstream_retries_total"]
    relay.back = NO_FAULT

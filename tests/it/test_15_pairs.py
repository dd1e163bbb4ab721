"""Each vendor's SDK, as it is, in front of an upstream of each protocol: nine pairs."""

import json

import grammar
import pytest
from pairs import CLIENTS, EXPLANATION, MODEL, PDF, PNG, REFUSAL, SCHEMA, THOUGHT, UPSTREAMS
from proxy import Proxy
from wire import Client, events

USE_TOOLS = "mock:tool mock:parallel please"


@pytest.fixture(scope="module", params=UPSTREAMS)
def behind(request, sim):
    """(upstream protocol, a proxy whose upstreams speak only that)"""
    with Proxy(ANTHROPIC_BASE_URL=sim.url, OPENAI_BASE_URL=sim.url + "/v1",
               ANTHROPIC_PROTOCOLS=request.param, OPENAI_PROTOCOLS=request.param) as p:
        yield request.param, p


class Pair:
    def __init__(self, client, upstream, sim):
        self.client, self.name, self.upstream, self.sim = client, upstream, UPSTREAMS[upstream], sim
        self.same = client.protocol == upstream

    def record(self, answer):
        """What arrived upstream for it, in the form that it must have there."""
        record = self.sim.record(answer.tag)
        assert record["target"] == self.upstream.path
        return record


@pytest.fixture(params=["stream", "whole"])
def stream(request):
    return request.param == "stream"


@pytest.fixture(params=CLIENTS)
def pair(request, stream, behind, sim):
    with CLIENTS[request.param](behind[1], stream) as client:
        yield Pair(client, behind[0], sim)


def test_text_and_usage(pair):
    """The words arrive, and the counters are the upstream's own, cached tokens among them."""
    client = pair.client
    for padding, has_cached in ("", False), (" much more" * 1000, True):
        answer = client.ask(client.user("hello" + padding))
        record = pair.record(answer)
        assert 'You said: "hello' in answer.text and answer.text.endswith("would.")
        assert answer.stop == client.stops["end"] and not answer.refusal and not answer.calls
        assert bool(record.json().get("stream")) == client.stream
        wanted = len(record.body) // 4 + 1
        cached = wanted // 2 // 128 * 128 if wanted >= 1024 else 0
        assert (cached > 0) == has_cached
        assert answer.usage["input"] == wanted and answer.usage["cached"] == cached
        assert answer.usage["output"] > 10


def test_thinking(pair):
    answer = pair.client.ask(pair.client.user("hello"), think=True)
    assert answer.thinking == THOUGHT
    assert 'You said: "hello"' in answer.text and answer.stop == pair.client.stops["end"]


def test_tool_loop(pair):
    """Two calls at once, with reasoning in front; their results go back, then comes the answer.
    What the upstream itself has made returns to it byte for byte."""
    client, upstream = pair.client, pair.upstream
    turns = client.user(USE_TOOLS)
    first = client.ask(turns, tools=True, think=True)
    assert first.stop == client.stops["tool"] and first.text == "I will call a tool."
    assert [c[1:] for c in first.calls] == [("weather", {"city": "text"}),
                                            ("weather", {"city": "another text"})]
    ids = [c[0] for c in first.calls]
    assert len(set(ids)) == 2
    turns += first.again + client.results([(ids[0], "sunny"), (ids[1], "rain")])
    second = client.ask(turns, tools=True, think=True)
    assert second.stop == client.stops["end"] and 'The tool answered: "rain"' in second.text
    body = pair.record(second).json()
    calls = upstream.calls(body)
    assert [c[1:] for c in calls] == [c[1:] for c in first.calls]
    assert upstream.results(body) == [(calls[0][0], "sunny"), (calls[1][0], "rain")]
    if pair.name != "chat":  # its reasoning goes back where the upstream's settings say so
        assert upstream.reasoning(body) == \
            upstream.reasoning_made(pair.record(first)["number"])


def test_redacted_thinking_comes_back(pair):
    client, upstream = pair.client, pair.upstream
    if pair.name != "messages":
        pytest.skip("a thing of Messages")
    turns = client.user(USE_TOOLS + " mock:redacted")
    first = client.ask(turns, tools=True, think=True)
    assert first.thinking == "" and len(first.calls) == 2
    turns += first.again + client.results([(c[0], "sunny") for c in first.calls])
    body = pair.record(client.ask(turns, tools=True, think=True)).json()
    number = pair.record(first)["number"]
    assert upstream.reasoning(body) == upstream.reasoning_made(number, redacted=True)


def test_image_and_pdf(pair):
    answer = pair.client.ask(pair.client.media("hello"))
    assert 'You said: "hello"' in answer.text
    assert pair.upstream.media(pair.record(answer).json()) == (PNG, PDF)


def test_structured_output(pair):
    answer = pair.client.ask(pair.client.user("hello"), schema=True)
    assert json.loads(answer.text) == {"city": "text"}
    assert answer.stop == pair.client.stops["end"] and not answer.calls
    assert pair.upstream.schema(pair.record(answer).json()) == SCHEMA


def test_limit(pair):
    answer = pair.client.ask(pair.client.user("hello"), limit=16, by_hand=True)
    assert answer.stop == pair.client.stops["length"]
    assert answer.text and not answer.text.endswith("would.")


def test_refusal(pair):
    """Said in the client's protocol; the reason too, where the upstream gives one."""
    client = pair.client
    answer = client.ask(client.user("mock:refuse"), by_hand=True)
    said = answer.refusal + answer.text
    assert REFUSAL in said
    if client.protocol == "messages":
        assert answer.stop == "refusal" and answer.text == REFUSAL
        assert answer.refusal == (EXPLANATION if pair.name == "messages" else REFUSAL)
    elif client.protocol == "chat":
        assert answer.refusal == (EXPLANATION if pair.name == "messages" else REFUSAL)
        assert answer.stop == ("content_filter" if pair.name == "messages" else "stop")
    elif pair.name == "messages":  # there was text: no refusal part beside it
        assert answer.stop == "content_filter" and answer.text == REFUSAL
    else:
        assert answer.stop == "completed" and answer.refusal == REFUSAL and answer.text == ""


@pytest.mark.parametrize("status,kind", [
    (400, "BadRequestError"), (401, "AuthenticationError"), (429, "RateLimitError"),
    (500, "InternalServerError"), (529, "InternalServerError")])
def test_error_before_the_reply(pair, status, kind):
    """The SDK's own class of exception, with the upstream's words and its retry-after."""
    client = pair.client
    with pytest.raises(getattr(client.errors, kind)) as e:
        client.ask(client.user("hello"), model=f"mock-status-{status}")
    assert ("Overloaded" if status == 529 else "This fault was asked for.") in str(e.value)
    if status == 429:
        assert e.value.response.headers["retry-after"] == "1"


@pytest.mark.parametrize("fault", ["error-event", "cut", "cut-clean", "reset", "invalid-json"])
def test_broken_reply(pair, fault):
    """No SDK takes it for a success, and what came was a stream of its protocol that ends so."""
    client = pair.client
    if not client.stream and fault in ("cut-clean", "invalid-json"):
        pytest.skip("a thing of streams")
    if pair.same and (fault == "invalid-json" or (not client.stream and fault == "error-event")):
        pytest.skip("passed on as it is")
    with pytest.raises(client.errors.APIError):
        client.ask(client.user("hello"), model=f"mock-{fault}")
    if not pair.same:
        for raw in client.streams():
            assert grammar.check(client.protocol, raw) == [], raw.decode()
            assert grammar.outcome(client.protocol, raw) == "error"


# ---- upstreams of Chat that want their reasoning back ----


def configured(folder, sim, protocol, *lines):
    """CONFIG_FILE with one upstream that everything goes to."""
    routes = "".join(f'  {s}:\n    routes:\n      - {{ model: "*", upstream: only }}\n'
                     for s in ("claude", "codex"))
    (folder / "c.yaml").write_text(
        f"upstreams:\n  only:\n    base_url: {sim.url}\n    protocol: {protocol}\n" +
        "".join(f"    {line}\n" for line in lines) + "services:\n" + routes)
    return folder / "c.yaml"


@pytest.fixture(scope="module")
def replaying(sim, tmp_path_factory):
    file = configured(tmp_path_factory.mktemp("replaying"), sim, "chat",
                      "settings: { chat.reasoning_replay: always }")
    with Proxy(CONFIG_FILE=file, ANTHROPIC_BASE_URL=sim.url, OPENAI_BASE_URL=sim.url) as p:
        yield p


@pytest.mark.parametrize("protocol", CLIENTS)
def test_reasoning_of_chat_comes_back(replaying, sim, stream, protocol):
    with CLIENTS[protocol](replaying, stream) as client:
        pair = Pair(client, "chat", sim)
        turns = client.user("hello")
        first = client.ask(turns, think=True)
        second = client.ask(turns + first.again + client.user("go on"), think=True)
        assert 'You said: "go on"' in second.text
        assert pair.upstream.reasoning(pair.record(second).json()) == [THOUGHT]


# ---- upstreams that only stream, or never do ----


@pytest.fixture(scope="module", params=[(p, m) for p in UPSTREAMS for m in ("always", "never")],
                ids="-".join)
def one_way(request, sim, tmp_path_factory):
    """(protocol, mode, proxy)"""
    protocol, mode = request.param
    file = configured(tmp_path_factory.mktemp("one_way"), sim, protocol, f"stream: {mode}")
    with Proxy(CONFIG_FILE=file, ANTHROPIC_BASE_URL=sim.url, OPENAI_BASE_URL=sim.url) as p:
        yield protocol, mode, p


@pytest.mark.parametrize("protocol", CLIENTS)
def test_upstream_of_one_way(one_way, sim, stream, protocol):
    """Whatever the client asks for, the upstream is asked in its one way."""
    upstream, mode, proxy = one_way
    with CLIENTS[protocol](proxy, stream) as client:
        pair = Pair(client, upstream, sim)
        first = client.ask(client.user(USE_TOOLS), tools=True, think=True)
        assert first.thinking == THOUGHT and first.text == "I will call a tool."
        assert [c[2] for c in first.calls] == [{"city": "text"}, {"city": "another text"}]
        assert first.stop == client.stops["tool"]
        record = pair.record(first)
        assert bool(record.json().get("stream")) == (mode == "always")
        assert first.usage["input"] == len(record.body) // 4 + 1
        cut = client.ask(client.user("hello"), limit=16, by_hand=True)
        assert cut.stop == client.stops["length"]
        with pytest.raises(client.errors.RateLimitError):
            client.ask(client.user("hello"), model="mock-status-429")


# ---- Cursor: a body of Responses on the path of Chat ----


def test_cursor_in_front_of_one_way(one_way, sim, stream, tag):
    """The body that is passed on as it is asks in the upstream's one way too."""
    upstream, mode, proxy = one_way
    if upstream != "responses":
        pytest.skip("the adapter sends it to the service's own upstream")
    body = {"model": MODEL, "stream": stream, "stream_options": {"include_usage": True},
            "input": [{"role": "user", "content": "hello"}]}
    with Client(proxy.codex_port) as c:
        reply = c.request("POST", "/v1/chat/completions",
                          {"authorization": "Bearer sk-o", "x-test-id": tag}, json=body)
    assert reply.status == 200, reply.body
    record = sim.record(tag)
    assert record["target"] == UPSTREAMS[upstream].path
    assert bool(record.json().get("stream")) == (mode == "always")
    if not stream:
        assert 'You said: "hello"' in reply.json()["choices"][0]["message"]["content"]
        return
    assert grammar.check("chat", reply.body) == [], reply.body.decode()
    assert grammar.outcome("chat", reply.body) == "complete"


@pytest.mark.parametrize("model", [MODEL, "mock-error-event"])
def test_cursor(behind, stream, model):
    """Its reply is one of Chat."""
    body = {"model": model, "stream": stream, "tools": [
        {"type": "function", "name": "weather", "parameters": SCHEMA}], "input": [
            {"role": "user", "content": [{"type": "input_text", "text": USE_TOOLS}]}]}
    with Client(behind[1].codex_port) as c:
        reply = c.request("POST", "/v1/chat/completions", {"authorization": "Bearer sk-o"},
                          json=body)
    if model == "mock-error-event":
        if stream:
            assert grammar.outcome("chat", reply.body) == "error"
            assert grammar.check("chat", reply.body) == [], reply.body.decode()
        else:
            assert reply.status >= 400 and "message" in reply.json()["error"]
        return
    assert reply.status == 200, reply.body
    if stream:
        assert grammar.check("chat", reply.body) == [], reply.body.decode()
        assert grammar.outcome("chat", reply.body) == "complete"
        chunks = [json.loads(data) for _, data in events(reply.body) if data != "[DONE]"]
        texts = [t["function"].get("arguments", "") for x in chunks for ch in x["choices"]
                 for t in ch["delta"].get("tool_calls") or []]
        assert "".join(texts).count("another text") <= 1 and "".join(texts)
        assert [ch["finish_reason"] for x in chunks for ch in x["choices"]][-1] == "tool_calls"
    else:
        choice, = reply.json()["choices"]
        assert reply.json()["object"] == "chat.completion"
        assert choice["finish_reason"] == "tool_calls"
        assert [json.loads(t["function"]["arguments"])["city"]
                for t in choice["message"]["tool_calls"]] == ["text", "another text"]

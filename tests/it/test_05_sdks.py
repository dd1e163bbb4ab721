"""The official SDKs, as they are, in front of the simulator and of scripted faults."""

import asyncio
import io
import json
import ssl

import anthropic
import httpx
import openai
import pytest
from proxy import Proxy

NOTE = "hello there"
USE_TOOL = "mock:tool please"  # the simulator calls the first tool then
SAID = [{"role": "user", "content": NOTE}]
MESSAGE = {"model": "claude-sonnet-4-6", "max_tokens": 2048, "messages": SAID}
TOOLS = [{"name": "weather", "description": "w", "input_schema": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}]
CHAT_TOOLS = [{"type": "function", "function": {
    "name": "weather", "parameters": TOOLS[0]["input_schema"]}}]
RESPONSES_TOOLS = [{"type": "function", "name": "weather", "strict": False,
                    "parameters": TOOLS[0]["input_schema"]}]


@pytest.fixture(scope="module", params=["http1", "tls-http2"])
def front(request, sim, certificates):
    """(claude base URL, codex base URL, ways to make HTTP clients)."""
    if request.param == "http1":
        with Proxy(ANTHROPIC_BASE_URL=sim.url, OPENAI_BASE_URL=sim.url) as p:
            yield Front(p, "http", True, {})
        return
    with Proxy(ANTHROPIC_BASE_URL=sim.url, OPENAI_BASE_URL=sim.url,
               TLS_CERT_FILE=certificates.cert, TLS_KEY_FILE=certificates.key) as p:
        context = ssl.create_default_context(cafile=certificates.ca)
        yield Front(p, "https", context, {"http2": True})


class Front:
    def __init__(self, proxy, scheme, verify, options):
        self.proxy, self.scheme = proxy, scheme
        self.options = {"verify": verify, "trust_env": False, "timeout": 20} | options

    def anthropic(self, **options):
        return anthropic.Anthropic(
            api_key="sk-a", base_url=f"{self.scheme}://localhost:{self.proxy.claude_port}",
            http_client=self._client(anthropic.DefaultHttpxClient), **{"max_retries": 0} | options)

    def openai(self, **options):
        return openai.OpenAI(
            api_key="sk-o", base_url=f"{self.scheme}://localhost:{self.proxy.codex_port}/v1",
            http_client=self._client(openai.DefaultHttpxClient), **{"max_retries": 0} | options)

    def async_anthropic(self):
        return anthropic.AsyncAnthropic(
            api_key="sk-a", base_url=f"{self.scheme}://localhost:{self.proxy.claude_port}",
            max_retries=0, http_client=self._client(anthropic.DefaultAsyncHttpxClient))

    def async_openai(self):
        return openai.AsyncOpenAI(
            api_key="sk-o", base_url=f"{self.scheme}://localhost:{self.proxy.codex_port}/v1",
            max_retries=0, http_client=self._client(openai.DefaultAsyncHttpxClient))

    def _client(self, kind):
        return kind(**self.options)


# --- anthropic ---

def test_http_version(front):
    with httpx.Client(**front.options) as c:
        reply = c.get(f"{front.scheme}://localhost:{front.proxy.claude_port}/health")
    assert reply.http_version == ("HTTP/2" if front.scheme == "https" else "HTTP/1.1")


def test_messages_create(front):
    m = front.anthropic().messages.create(**MESSAGE)
    assert m.role == "assistant" and m.content[0].text and m.usage.output_tokens > 0
    assert m._request_id.startswith("req_mock")


def test_messages_stream(front):
    with front.anthropic().messages.stream(**MESSAGE) as s:
        text = "".join(s.text_stream)
        final = s.get_final_message()
    assert text == final.content[0].text
    assert final.stop_reason == "end_turn"


def test_messages_raw_iteration(front):
    kinds = [e.type for e in front.anthropic().messages.create(**MESSAGE, stream=True)]
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"


def test_thinking(front):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    with front.anthropic().messages.stream(**MESSAGE, thinking=thinking) as s:
        final = s.get_final_message()
    assert [b.type for b in final.content] == ["thinking", "text"]
    assert final.content[0].signature


def test_tool_round_trip(front):
    client = front.anthropic()
    asked = [{"role": "user", "content": USE_TOOL}]
    with client.messages.stream(**MESSAGE | {"messages": asked}, tools=TOOLS) as s:
        first = s.get_final_message()
    call = [b for b in first.content if b.type == "tool_use"][0]
    assert first.stop_reason == "tool_use" and call.name == "weather" and "city" in call.input
    messages = asked + [{"role": "assistant", "content": first.content}, {
        "role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id,
                                     "content": "sunny"}]}]
    second = client.messages.create(**MESSAGE | {"messages": messages}, tools=TOOLS)
    assert second.stop_reason == "end_turn"


def test_count_tokens_models_and_beta(front):
    client = front.anthropic()
    n = client.messages.count_tokens(model="claude-sonnet-4-6", messages=SAID).input_tokens
    assert n > 0
    ids = [m.id for m in client.models.list()]
    assert "claude-sonnet-4-6" in ids
    assert client.models.retrieve("claude-haiku-4-5").id == "claude-haiku-4-5"
    m = client.beta.messages.create(**MESSAGE, betas=["context-management-2025-06-27"])
    assert m.content[0].text


def test_anthropic_async(front):
    async def main():
        async with front.async_anthropic() as client:
            async def one():
                async with client.messages.stream(**MESSAGE) as s:
                    return await s.get_final_message()
            many = await asyncio.gather(*(one() for _ in range(10)))
            plain = await client.messages.create(**MESSAGE)
            return many, plain
    many, plain = asyncio.run(main())
    assert all(m.stop_reason == "end_turn" for m in many)
    assert plain.content[0].text


# --- openai ---

def test_responses_create(front):
    r = front.openai().responses.create(model="gpt-5.1", input=NOTE)
    assert r.status == "completed" and r.output_text
    assert r._request_id.startswith("req_mock")


def test_responses_stream(front):
    with front.openai().responses.stream(model="gpt-5.1", input=NOTE) as s:
        kinds = [e.type for e in s]
        final = s.get_final_response()
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    assert final.output_text


def test_responses_raw_iteration(front):
    kinds = [e.type for e in
             front.openai().responses.create(model="gpt-5.1", input=NOTE, stream=True)]
    assert kinds[-1] == "response.completed"


def test_responses_tool_call(front):
    with front.openai().responses.stream(model="gpt-5.1", input=USE_TOOL,
                                          tools=RESPONSES_TOOLS) as s:
        final = s.get_final_response()
    call = [i for i in final.output if i.type == "function_call"][0]
    assert call.name == "weather" and "city" in json.loads(call.arguments)


def test_chat(front):
    client = front.openai()
    c = client.chat.completions.create(model="gpt-4.1-mini", messages=SAID)
    assert c.choices[0].message.content
    pieces = client.chat.completions.create(model="gpt-4.1-mini", messages=SAID, stream=True,
                                            stream_options={"include_usage": True})
    pieces = list(pieces)
    assert pieces[-1].usage.completion_tokens > 0
    assert any(p.choices and p.choices[0].finish_reason == "stop" for p in pieces)
    c = client.chat.completions.create(model="gpt-4.1-mini", tools=CHAT_TOOLS,
                                       messages=[{"role": "user", "content": USE_TOOL}])
    assert c.choices[0].message.tool_calls[0].function.name == "weather"


def test_pass_through(front):
    client = front.openai()
    assert "gpt-5.1" in [m.id for m in client.models.list()]
    raw = client.embeddings.with_raw_response.create(model="e", input="x")
    assert json.loads(raw.text)["path"] == "/v1/embeddings"
    raw = client.files.with_raw_response.create(file=("a.txt", io.BytesIO(b"y" * 300000)),
                                                purpose="assistants")
    echo = json.loads(raw.text)
    assert echo["body_bytes"] > 300000
    assert echo["content_type"].startswith("multipart/form-data; boundary=")


def test_openai_async(front):
    async def main():
        async with front.async_openai() as client:
            async def one():
                async with client.responses.stream(model="gpt-5.1", input=NOTE) as s:
                    return await s.get_final_response()
            many = await asyncio.gather(*(one() for _ in range(10)))
            chat = await client.chat.completions.create(model="m", messages=SAID)
            return many, chat
    many, chat = asyncio.run(main())
    assert all(r.status == "completed" for r in many)
    assert chat.choices[0].message.content


# --- errors ---

ANTHROPIC_ERRORS = [
    (400, anthropic.BadRequestError), (401, anthropic.AuthenticationError),
    (403, anthropic.PermissionDeniedError), (404, anthropic.NotFoundError),
    (413, anthropic.APIStatusError), (429, anthropic.RateLimitError),
    (500, anthropic.InternalServerError), (529, anthropic.InternalServerError)]
OPENAI_ERRORS = [
    (400, openai.BadRequestError), (401, openai.AuthenticationError),
    (403, openai.PermissionDeniedError), (404, openai.NotFoundError),
    (429, openai.RateLimitError), (500, openai.InternalServerError)]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status,kind", ANTHROPIC_ERRORS)
def test_anthropic_errors(front, status, kind, stream):
    with pytest.raises(kind) as e:
        front.anthropic().messages.create(
            **MESSAGE, stream=stream, extra_headers={"x-mock-fault": f"status-{status}"})
    assert e.value.status_code == status
    assert e.value.body["error"]["message"] in ("This fault was asked for.", "Overloaded")


@pytest.mark.parametrize("status,kind", OPENAI_ERRORS)
def test_openai_errors(front, status, kind):
    fault = {"x-mock-fault": f"status-{status}"}
    client = front.openai()
    for call in (lambda: client.responses.create(model="m", input="x", extra_headers=fault),
                 lambda: client.chat.completions.create(model="m", messages=SAID, stream=True,
                                                        extra_headers=fault)):
        with pytest.raises(kind) as e:
            call()
        assert e.value.status_code == status and "This fault" in e.value.message


def test_own_errors_have_their_message(front):
    """The proxy's one shape is read by both families."""
    with pytest.raises(anthropic.NotFoundError) as e:
        front.anthropic().post("/v1/nope", cast_to=object, body={})
    assert e.value.body["error"]["message"] == "no such path"
    with pytest.raises(openai.NotFoundError) as e:
        front.openai().post("/nope", cast_to=object, body={})
    assert e.value.body["message"] == "no such path" and e.value.type == "not_found_error"
    with pytest.raises(openai.APIStatusError) as e:
        front.openai().responses.create(model="m", input="x",
                                        extra_headers={"content-encoding": "snappy"})
    assert e.value.status_code == 415


@pytest.mark.parametrize("fault", ["cut", "cut-clean", "reset", "error-event"])
@pytest.mark.row("6: error event, then clean end")
def test_broken_streams_throw(front, fault):
    """Iteration and helpers of every API: no SDK takes a broken stream for a whole one."""
    headers = {"x-mock-fault": fault}
    a, o = front.anthropic(), front.openai()

    def responses_helper():
        with o.responses.stream(model="m", input="x", extra_headers=headers) as s:
            return s.get_final_response()

    def messages_helper():
        with a.messages.stream(**MESSAGE, extra_headers=headers) as s:
            return s.get_final_message()
    calls = [
        (anthropic.APIError, lambda: list(a.messages.create(**MESSAGE, stream=True,
                                                            extra_headers=headers))),
        (anthropic.APIError, messages_helper),
        (openai.APIError, lambda: list(o.chat.completions.create(
            model="m", messages=SAID, stream=True, extra_headers=headers))),
        (openai.APIError, lambda: list(o.responses.create(
            model="m", input="x", stream=True, extra_headers=headers))),
        (openai.APIError, responses_helper)]
    for kind, call in calls:
        if fault == "error-event" and kind is openai.APIError and call is not calls[2][1]:
            continue  # the simulator's own event has OpenAI's flat form: passed on as it is
        with pytest.raises(kind):
            call()


def test_retries_honour_retry_after(raw):
    """The SDK's own retries work through the proxy: it passes retry-after and adds none."""
    proxy, up = raw
    answers = iter([(429, [("retry-after", "0.1")], b"{}"), (529, [("retry-after", "0.1")], b"{}")])

    def script(c, r):
        answer = next(answers, None)
        if answer:
            c.reply(*answer)
        else:
            c.reply(200, [], json.dumps({
                "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn",
                "usage": {"input_tokens": 1, "output_tokens": 1}}).encode())
    up.script = script
    client = Front(proxy, "http", True, {}).anthropic(max_retries=2)
    assert client.messages.create(**MESSAGE).content[0].text == "ok"
    assert [r.h("x-stainless-retry-count") for r in up.requests] == ["0", "1", "2"]

"""The three protocols seen from both ends: the vendors' SDKs as clients, and what the simulator got.

A client of CLIENTS asks in its SDK's own words and gives an Answer; a reader of UPSTREAMS finds the
same things in the body that arrived upstream.  Neither knows the other.
"""

import dataclasses
import itertools
import json
import os

import anthropic
import grammar
import httpx2
import openai
from openai.lib.streaming._deltas import accumulate_delta
from openai.types.chat import ChatCompletion

PNG = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJg"
       "gg==")
PDF = "JVBERi0xLjQKMSAwIG9iago8PD4+CmVuZG9iagp0cmFpbGVyCjw8Pj4KJSVFT0YK"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
          "additionalProperties": False}
THOUGHT = "The user wrote something; I will answer it politely."
REFUSAL = "I cannot help with that."
EXPLANATION = "This was asked for."  # of the simulator's Messages refusals
MODEL = "m-any"  # of no family that has rules of its own

_numbers = itertools.count(1)


@dataclasses.dataclass
class Answer:
    text: str
    thinking: str
    calls: list  # (id, name, arguments as they were parsed)
    stop: str  # as the protocol says it
    refusal: str
    usage: dict  # input, cached, output
    again: list  # what a client sends back in the next turn
    tag: str  # finds the request in the simulator's record


class Tap(httpx2.SyncByteStream):
    """A stream that remembers what went through it."""

    def __init__(self, stream, kept):
        self.stream, self.kept = stream, kept

    def __iter__(self):
        for piece in self.stream:
            self.kept.append(piece)
            yield piece

    def close(self):
        self.stream.close()


class Client:
    """wants of ask(): think, tools, schema, limit, model; by_hand: no helper of the SDK."""

    def __init__(self, proxy, stream, kind):
        self.proxy, self.stream = proxy, stream
        self.raw = []  # pieces of each streamed reply
        self.http = kind(trust_env=False, timeout=20, event_hooks={"response": [self._seen]})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def _seen(self, response):
        if response.headers["content-type"].startswith("text/event-stream"):
            self.raw.append([])
            response.stream = Tap(response.stream, self.raw[-1])

    def streams(self):
        return [b"".join(pieces) for pieces in self.raw]

    def user(self, text):
        return [{"role": "user", "content": text}]

    def ask(self, turns, **wants):
        tag = f"p-{os.getpid()}-{next(_numbers)}"
        answer = self._ask(turns, wants, extra_headers={"x-test-id": tag})
        answer.tag = tag
        self.check_streams()
        return answer

    def check_streams(self):
        assert len(self.raw) > 0 or not self.stream
        for stream in self.streams():
            assert grammar.check(self.protocol, stream) == [], stream.decode()
        self.raw = []


class MessagesClient(Client):
    protocol = "messages"
    errors = anthropic
    stops = {"end": "end_turn", "tool": "tool_use", "length": "max_tokens"}

    def __init__(self, proxy, stream):
        super().__init__(proxy, stream, anthropic.DefaultHttpxClient)
        self.sdk = anthropic.Anthropic(api_key="sk-a", max_retries=0, http_client=self.http,
                                       base_url=f"http://127.0.0.1:{proxy.claude_port}")

    def media(self, text):
        return [{"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                         "data": PNG}},
            {"type": "document", "title": "a.pdf", "source": {
                "type": "base64", "media_type": "application/pdf", "data": PDF}},
            {"type": "text", "text": text}]}]

    def results(self, results):
        return [{"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": i, "content": text} for i, text in results]}]

    def _ask(self, turns, wants, **options):
        options |= {"model": wants.get("model", MODEL), "messages": turns,
                    "max_tokens": wants.get("limit", 2000)}
        if wants.get("think"):
            options["thinking"] = {"type": "adaptive"}
        if wants.get("tools"):
            options["tools"] = [{"name": "weather", "description": "w", "input_schema": SCHEMA}]
        if wants.get("schema"):
            options["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        if self.stream:
            with self.sdk.messages.stream(**options) as s:
                m = s.get_final_message()
        else:
            m = self.sdk.messages.create(**options)
        return self._answer(m)

    def _answer(self, m):
        blocks = {kind: [b for b in m.content if b.type == kind]
                  for kind in ("text", "thinking", "tool_use", "redacted_thinking")}
        u = m.usage
        cached = u.cache_read_input_tokens or 0
        return Answer(
            text="".join(b.text for b in blocks["text"]),
            thinking="".join(b.thinking for b in blocks["thinking"]),
            calls=[(b.id, b.name, b.input) for b in blocks["tool_use"]], stop=m.stop_reason,
            refusal=m.stop_details.explanation if m.stop_details else "",
            usage={"input": u.input_tokens + cached, "cached": cached, "output": u.output_tokens},
            again=[{"role": "assistant", "content": [b.model_dump(exclude_none=True)
                                                     for b in m.content]}], tag="")


class OpenAIClient(Client):
    errors = openai

    def __init__(self, proxy, stream):
        super().__init__(proxy, stream, openai.DefaultHttpxClient)
        self.sdk = openai.OpenAI(api_key="sk-o", max_retries=0, http_client=self.http,
                                 base_url=f"http://127.0.0.1:{proxy.codex_port}/v1")


class ChatClient(OpenAIClient):
    protocol = "chat"
    stops = {"end": "stop", "tool": "tool_calls", "length": "length"}

    def media(self, text):
        return [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            {"type": "file", "file": {"filename": "a.pdf",
                                      "file_data": f"data:application/pdf;base64,{PDF}"}},
            {"type": "text", "text": text}]}]

    def results(self, results):
        return [{"role": "tool", "tool_call_id": i, "content": text} for i, text in results]

    def _ask(self, turns, wants, **options):
        options |= {"model": wants.get("model", MODEL), "messages": turns}
        if "limit" in wants:
            options["max_completion_tokens"] = wants["limit"]
        if wants.get("think"):
            options["reasoning_effort"] = "medium"
        if wants.get("tools"):
            options["tools"] = [{"type": "function", "function": {
                "name": "weather", "description": "w", "parameters": SCHEMA}}]
        if wants.get("schema"):
            options["response_format"] = {"type": "json_schema", "json_schema": {
                "name": "place", "strict": True, "schema": SCHEMA}}
        if self.stream and wants.get("by_hand"):
            c = self._add_up(self.sdk.chat.completions.create(
                **options, stream=True, stream_options={"include_usage": True}))
        elif self.stream:
            with self.sdk.chat.completions.stream(
                    **options, stream_options={"include_usage": True}) as s:
                c = s.get_final_completion()
        else:
            c = self.sdk.chat.completions.create(**options)
        return self._answer(c)

    def _answer(self, c):
        m, u = c.choices[0].message, c.usage
        return Answer(
            text=m.content or "", thinking=getattr(m, "reasoning_content", None) or "",
            calls=[(t.id, t.function.name, json.loads(t.function.arguments))
                   for t in m.tool_calls or []],
            stop=c.choices[0].finish_reason, refusal=m.refusal or "",
            usage={"input": u.prompt_tokens, "output": u.completion_tokens,
                   "cached": u.prompt_tokens_details.cached_tokens or 0},
            again=[self._sent_back(m)], tag="")

    def _add_up(self, chunks):
        """What the helper does, which raises when the reply was cut off or filtered."""
        message, finish, usage = {}, None, None
        for chunk in chunks:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                message = accumulate_delta(message, choice.delta.to_dict())
                finish = choice.finish_reason or finish
        return ChatCompletion.construct(usage=usage, choices=[
            {"index": 0, "finish_reason": finish, "message": message}])

    def _sent_back(self, m):
        """The message without what the helper has added to it."""
        message = {n: v for n, v in m.model_dump(exclude_none=True).items() if n != "parsed"}
        for call in message.get("tool_calls", []):
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
        return message


class ResponsesClient(OpenAIClient):
    protocol = "responses"
    stops = {"end": "completed", "tool": "completed", "length": "max_output_tokens"}

    def media(self, text):
        return [{"role": "user", "content": [
            {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG}"},
            {"type": "input_file", "filename": "a.pdf",
             "file_data": f"data:application/pdf;base64,{PDF}"},
            {"type": "input_text", "text": text}]}]

    def results(self, results):
        return [{"type": "function_call_output", "call_id": i, "output": text}
                for i, text in results]

    def _ask(self, turns, wants, **options):
        options |= {"model": wants.get("model", MODEL), "input": turns, "store": False}
        if "limit" in wants:
            options["max_output_tokens"] = wants["limit"]
        if wants.get("think"):
            options["reasoning"] = {"effort": "medium", "summary": "auto"}
            options["include"] = ["reasoning.encrypted_content"]
        if wants.get("tools"):
            options["tools"] = [{"type": "function", "name": "weather", "description": "w",
                                 "strict": True, "parameters": SCHEMA}]
        if wants.get("schema"):
            options["text"] = {"format": {"type": "json_schema", "name": "place", "strict": True,
                                          "schema": SCHEMA}}
        if self.stream:
            with self.sdk.responses.stream(**options) as s:
                final = None
                for event in s:
                    if event.type in ("response.completed", "response.incomplete"):
                        final = event.response
            if final is None:
                raise openai.APIError("no end", request=None, body=None)
        else:
            final = self.sdk.responses.create(**options)
        return self._answer(final)

    def _answer(self, r):
        if r.status == "failed" or r.error:
            raise openai.APIError(str(r.error), request=None, body=None)
        parts = [p for i in r.output if i.type == "message" for p in i.content]
        u = r.usage
        return Answer(
            text="".join(p.text for p in parts if p.type == "output_text"),
            refusal="".join(p.refusal for p in parts if p.type == "refusal"),
            thinking="".join(s.text for i in r.output if i.type == "reasoning" for s in i.summary),
            calls=[(i.call_id, i.name, json.loads(i.arguments)) for i in r.output
                   if i.type == "function_call"],
            stop=r.incomplete_details.reason if r.status == "incomplete" else r.status,
            usage={"input": u.input_tokens, "output": u.output_tokens,
                   "cached": u.input_tokens_details.cached_tokens},
            again=[self._sent_back(i) for i in r.output], tag="")

    def _sent_back(self, item):
        item = item.model_dump(exclude_none=True)
        item.pop("parsed_arguments", None)
        for part in item.get("content") or []:
            part.pop("parsed", None)
        return item


CLIENTS = {c.protocol: c for c in (MessagesClient, ChatClient, ResponsesClient)}


# ---- what came to the upstream ----


def spread(x):
    """As src/mock/mock_plan.c does it: what the simulator seals is known from a record's number."""
    mask = (1 << 64) - 1
    x = (x + 0x9E3779B97F4A7C15) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


def seal(prefix, number):
    h = spread(number)
    return prefix + "".join(f"{n:016x}" for n in (h, spread(h), spread(h + 1), spread(h + 2)))


class MessagesUpstream:
    path = "/v1/messages"

    @staticmethod
    def blocks(body, kind):
        return [b for m in body["messages"] if isinstance(m["content"], list)
                for b in m["content"] if b["type"] == kind]

    def media(self, body):
        """(image's base64, PDF's base64)"""
        image, = self.blocks(body, "image")
        document, = self.blocks(body, "document")
        assert image["source"]["media_type"] == "image/png"
        assert document["source"]["media_type"] == "application/pdf"
        assert image["source"]["type"] == document["source"]["type"] == "base64"
        return image["source"]["data"], document["source"]["data"]

    def calls(self, body):
        return [(b["id"], b["name"], b["input"]) for b in self.blocks(body, "tool_use")]

    def results(self, body):
        def text(content):
            return content if isinstance(content, str) else "".join(p["text"] for p in content)
        return [(b["tool_use_id"], text(b["content"])) for b in self.blocks(body, "tool_result")]

    def schema(self, body):
        return body["output_config"]["format"]["schema"]

    def reasoning(self, body):
        return self.blocks(body, "thinking") + self.blocks(body, "redacted_thinking")

    def reasoning_made(self, number, redacted=False):
        if redacted:
            return [{"type": "redacted_thinking", "data": seal("EmwKAhgBEgy3", number)}]
        return [{"type": "thinking", "thinking": THOUGHT,
                 "signature": seal("EqQBCkYIARgC", number)}]


class ChatUpstream:
    path = "/v1/chat/completions"

    @staticmethod
    def parts(body, kind):
        return [p for m in body["messages"] if isinstance(m.get("content"), list)
                for p in m["content"] if p["type"] == kind]

    def media(self, body):
        image, = self.parts(body, "image_url")
        file, = self.parts(body, "file")
        assert file["file"]["filename"] == "a.pdf"
        return (image["image_url"]["url"].removeprefix("data:image/png;base64,"),
                file["file"]["file_data"].removeprefix("data:application/pdf;base64,"))

    def calls(self, body):
        return [(t["id"], t["function"]["name"], json.loads(t["function"]["arguments"]))
                for m in body["messages"] for t in m.get("tool_calls") or []]

    def results(self, body):
        return [(m["tool_call_id"], m["content"]) for m in body["messages"] if m["role"] == "tool"]

    def schema(self, body):
        return body["response_format"]["json_schema"]["schema"]

    def reasoning(self, body):
        return [m["reasoning_content"] for m in body["messages"] if "reasoning_content" in m]

    def reasoning_made(self, number, redacted=False):
        return [THOUGHT]


class ResponsesUpstream:
    path = "/v1/responses"

    @staticmethod
    def items(body, kind):
        return [i for i in body["input"] if i.get("type", "message") == kind]

    def parts(self, body, kind):
        return [p for i in self.items(body, "message") if isinstance(i["content"], list)
                for p in i["content"] if p["type"] == kind]

    def media(self, body):
        image, = self.parts(body, "input_image")
        file, = self.parts(body, "input_file")
        assert file["filename"] == "a.pdf"
        return (image["image_url"].removeprefix("data:image/png;base64,"),
                file["file_data"].removeprefix("data:application/pdf;base64,"))

    def calls(self, body):
        return [(i["call_id"], i["name"], json.loads(i["arguments"]))
                for i in self.items(body, "function_call")]

    def results(self, body):
        return [(i["call_id"], i["output"]) for i in self.items(body, "function_call_output")]

    def schema(self, body):
        return body["text"]["format"]["schema"]

    def reasoning(self, body):
        return self.items(body, "reasoning")

    def reasoning_made(self, number, redacted=False):
        return [{"id": "rs_" + seal("", number)[:24], "type": "reasoning",
                 "summary": [{"type": "summary_text", "text": THOUGHT}],
                 "encrypted_content": seal("gAAAAABmock", number)}]


UPSTREAMS = {"messages": MessagesUpstream(), "chat": ChatUpstream(),
             "responses": ResponsesUpstream()}

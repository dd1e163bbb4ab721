"""What the vendors' SDKs read from the bytes of one reply, in one form for the three protocols.

    read(protocol, body, stream=..., status=200) -> dict or the SDK's exception

The bytes come from a transport in this process.  Beyond what the SDK itself refuses, every event
and the whole reply must be what the SDK's types demand.
"""

import hashlib
import json
import typing

import anthropic
import anthropic.types as at
import httpx2
import openai
import openai.types.chat as ct
import openai.types.responses as rt
import pydantic
from anthropic.types import RawMessageStreamEvent
from openai.lib.streaming.chat import ChatCompletionStreamState


def digest(text):
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def canonical(arguments):
    """The arguments of a call: JSON, keys sorted, no spaces; an empty text is no arguments."""
    value = json.loads(arguments or "{}") if isinstance(arguments, str) else arguments
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def usage_of(prompt, output, read, write, reasoning):
    numbers = {"prompt": prompt, "output": output}
    return numbers | {"read": read or 0, "write": write or 0, "reasoning": reasoning or 0}


def valid(kind, value):
    """The value as it came (not as the SDK's lenient reading made it) is what the type says."""
    pydantic.TypeAdapter(kind).validate_python(value)


def client_of(vendor, body, stream, status):
    kind = "text/event-stream" if stream else "application/json"
    headers = {"content-type": kind}
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(status, headers=headers, content=body)
    )
    return vendor(
        api_key="k", base_url="http://x", max_retries=0,
        http_client=httpx2.Client(transport=transport),
    )


def events_of(body):
    for block in body.decode("utf-8").split("\n\n"):
        for line in block.split("\n"):
            if line.startswith("data: ") and line != "data: [DONE]":
                yield json.loads(line[6:])


# ---- Messages ----

MESSAGES = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}


def read_messages(body, stream, status):
    client = client_of(anthropic.Anthropic, body, stream, status)
    if stream:
        with client.messages.stream(**MESSAGES) as s:
            message = s.get_final_message()
        for event in events_of(body):
            if event["type"] != "ping":
                valid(RawMessageStreamEvent, event)
    else:
        message = client.messages.create(**MESSAGES)
        valid(at.Message, json.loads(body))
    usage = message.usage
    details = (usage.model_extra or {}).get("output_tokens_details") or getattr(
        usage, "output_tokens_details", None
    )
    if details is not None and not isinstance(details, dict):
        details = details.model_dump()
    read, write = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    calls = [b for b in message.content if b.type == "tool_use"]
    return {
        "text": "".join(b.text for b in message.content if b.type == "text"),
        "refusal": "",
        "reasoning": "".join(b.thinking for b in message.content if b.type == "thinking"),
        "tools": [(c.name, canonical(c.input)) for c in calls],
        "stop": message.stop_reason,
        "usage": usage_of(
            usage.input_tokens + read + write, usage.output_tokens, read, write,
            (details or {}).get("thinking_tokens"),
        ),
    }


# ---- Chat Completions ----

CHAT = {"model": "m", "messages": [{"role": "user", "content": "?"}]}


def chat_call(call):
    if call.type == "custom":
        return call.custom.name, canonical({"input": call.custom.input})
    return call.function.name, canonical(call.function.arguments)


def custom_calls(chunks):
    """The SDK's types of a stream know functions only: custom calls are taken out by hand."""
    calls = {}
    for delta in [c["delta"] for chunk in chunks for c in chunk.get("choices", [])]:
        for piece in [p for p in delta.get("tool_calls") or [] if "custom" in p]:
            call = calls.setdefault(piece["index"], ["", ""])
            call[0] += piece["custom"].get("name", "")
            call[1] += piece["custom"].get("input", "")
            delta["tool_calls"].remove(piece)
    return [(name, canonical({"input": text})) for name, text in calls.values()]


def read_chat_stream(client, body):
    state, reasoning, chunks = ChatCompletionStreamState(), "", list(events_of(body))
    custom = custom_calls(chunks)
    for chunk in client.chat.completions.create(**CHAT, stream=True):
        for choice in chunk.choices:
            reasoning += (choice.delta.model_extra or {}).get("reasoning_content") or ""
            if custom:
                choice.delta.tool_calls = None
        state.handle_chunk(chunk)
    for chunk in chunks:
        valid(ct.ChatCompletionChunk, chunk)
    try:
        completion = state.get_final_completion()
    except openai.ContentFilterFinishReasonError:  # it is read well, and an exception for all
        completion = state.current_completion_snapshot
    result = chat_message(completion.choices[0], reasoning)
    result["tools"] += custom
    return result, completion.usage


def chat_message(choice, reasoning):
    message = choice.message
    return {
        "text": message.content or "",
        "refusal": message.refusal or "",
        "reasoning": reasoning,
        "tools": [chat_call(call) for call in message.tool_calls or []],
        "stop": choice.finish_reason,
    }


def read_chat(body, stream, status):
    client = client_of(openai.OpenAI, body, stream, status)
    if stream:
        result, usage = read_chat_stream(client, body)
    else:
        completion = client.chat.completions.create(**CHAT)
        valid(ct.ChatCompletion, json.loads(body))
        choice = completion.choices[0]
        extra = choice.message.model_extra or {}
        result = chat_message(choice, extra.get("reasoning_content") or "")
        usage = completion.usage
    if usage is None:
        return result | {"usage": None}
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    before, after = usage.prompt_tokens_details, usage.completion_tokens_details
    numbers = usage_of(
        usage.prompt_tokens, usage.completion_tokens,
        before.cached_tokens if before else 0,
        before.model_dump().get("cache_write_tokens") if before else 0,
        after.reasoning_tokens if after else 0,
    )
    return result | {"usage": numbers}


# ---- Responses ----


def response_call(item):
    if item.type == "function_call":
        return item.name, canonical(item.arguments)
    if item.type == "custom_tool_call":
        return item.name, canonical({"input": item.input})
    return "tool_search", canonical(item.arguments)


def read_responses(body, stream, status):
    client = client_of(openai.OpenAI, body, stream, status)
    if stream:
        with client.responses.stream(model="m", input="?") as s:
            response = None
            for event in s:
                if event.type in ("response.completed", "response.incomplete", "response.failed"):
                    response = event.response
        for event in events_of(body):
            valid(rt.ResponseStreamEvent, event)
    else:
        response = client.responses.create(model="m", input="?")
        valid(rt.Response, json.loads(body))
    reasoning = [i for i in response.output if i.type == "reasoning"]
    parts = [p for item in reasoning for p in list(item.summary) + list(item.content or [])]
    said = [p for item in response.output if item.type == "message" for p in item.content]
    calls = ("function_call", "custom_tool_call", "tool_search_call")
    usage, stop = response.usage, response.status
    if response.incomplete_details is not None:
        stop = f"{stop} {response.incomplete_details.reason}"
    write = usage.input_tokens_details.model_dump().get("cache_write_tokens")
    return {
        "text": response.output_text,
        "refusal": "".join(p.refusal for p in said if p.type == "refusal"),
        "reasoning": "".join(part.text for part in parts),
        "tools": [response_call(i) for i in response.output if i.type in calls],
        "stop": stop,
        "usage": usage_of(
            usage.input_tokens, usage.output_tokens, usage.input_tokens_details.cached_tokens,
            write, usage.output_tokens_details.reasoning_tokens,
        ),
    }


READERS: dict[str, typing.Callable] = {
    "messages": read_messages,
    "chat": read_chat,
    "responses": read_responses,
}


def read(protocol, body, stream=False, status=200):
    return READERS[protocol](body, stream, status)


def error_of(protocol, body, status):
    """(status, type, code, message) of the exception that the SDK raises."""
    try:
        read(protocol, body, status=status)
    except (anthropic.APIStatusError, openai.APIStatusError) as e:
        inner = e.body["error"] if protocol == "messages" else e.body
        return e.status_code, inner["type"], inner.get("code"), inner["message"]
    raise AssertionError("the SDK took an error for a reply")

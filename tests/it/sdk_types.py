"""Produced replies and events against the types that the vendors' SDKs declare.

    check("messages" | "chat" | "responses", output, streamed) -> list of violations, [] when none

The SDKs build their objects without looking; typed clients in other languages do look.  So what the
declarations require must be there, with the type they say, and null only where they allow it.
"""

import json

import anthropic.types
import openai.types.chat
import openai.types.responses
from pydantic import TypeAdapter, ValidationError

WHOLE = {"messages": TypeAdapter(anthropic.types.Message),
         "chat": TypeAdapter(openai.types.chat.ChatCompletion),
         "responses": TypeAdapter(openai.types.responses.Response)}
EVENT = {"messages": TypeAdapter(anthropic.types.RawMessageStreamEvent),
         "chat": TypeAdapter(openai.types.chat.ChatCompletionChunk),
         "responses": TypeAdapter(openai.types.responses.ResponseStreamEvent)}


def is_error(value):
    return value.get("type") == "error" or ("error" in value and value.get("object") != "response")


def objects(protocol, output, streamed):
    """(adapter, object) of everything in the output that has a declared type."""
    if not streamed:
        yield WHOLE[protocol], json.loads(output, object_hook=fill_token)
        return
    for line in output.split("\n"):
        if line.startswith("data: {"):
            yield EVENT[protocol], json.loads(line[6:], object_hook=fill_token)


def fill_token(value):
    """Log probabilities are copied: what the upstream leaves out of a token, or makes up beside it,
    is the same after it."""
    if "logprob" not in value:
        return value
    top = [t for t in value.get("top_logprobs") or [] if isinstance(t, dict) and "token" in t]
    return value | {"bytes": value.get("bytes") or [], "logprob": value["logprob"] or 0.0,
                    "top_logprobs": top}


def declare_custom(value):
    """Chunks with pieces of custom calls are documented (B2), but not declared."""
    for choice in value.get("choices", []):
        for call in choice.get("delta", {}).get("tool_calls", []):
            if call.get("type") == "custom":
                call["type"] = "function"
    return value


def check(protocol, output, streamed):
    bad = []
    for adapter, value in objects(protocol, output, streamed):
        if is_error(value):
            continue
        try:
            adapter.validate_python(declare_custom(value), strict=True)
        except ValidationError as error:
            bad += [f"{value.get('type')}: {e['loc']}: {e['msg']}" for e in error.errors()[:8]]
    return bad

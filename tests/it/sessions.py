"""Conversations of an agent, made up by a seed, as requests of the three protocols.

    session(seed) -> steps
    request(protocol, steps, maker=None) -> the request with these steps as its history

A step is the user's words, the assistant's reply or the results of its calls.  A real client asks
behind each step that is not the assistant's: cuts(steps) are those places.  maker names the
protocol of the upstream that made the reasoning, which the client carries in its envelope (0.7).
"""

import base64
import json
import random

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 16).decode()
WORDS = ["ein", "Wort", "\U0001f600", "a\"b", "back\\slash", "new\nline", "tab\t", "mañana"]
WORDS += ["</x>", "{}"]
NAMES = ["read_file", "mcp.srv/do", "run", "x" * 70]


def words(rng, low, high):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(low, high)))


class Session:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.calls = 0
        self.repeats = self.rng.random() < 0.2  # a model that counts its calls from 0 every turn

    def call_id(self, number):
        self.calls += 1
        if self.repeats:
            return f"call_{number}"
        return self.rng.choice(["toolu_{}", "call_{}", "functions.f:{}", "y" * 70 + "{}"]).format(
            self.calls
        )

    def user(self):
        image = self.rng.random() < 0.3
        return {"kind": "user", "text": words(self.rng, 1, 6), "image": image}

    def assistant(self, count):
        rng = self.rng
        calls = [
            (self.call_id(n), rng.choice(NAMES), {"p": words(rng, 0, 3), "n": rng.random()})
            for n in range(count)
        ]
        thinking = words(rng, 1, 5) if rng.random() < 0.6 else None
        text = words(rng, 1, 5) if not calls or rng.random() < 0.5 else ""
        return {"kind": "assistant", "thinking": thinking, "text": text, "calls": calls}

    def results(self, calls):
        rng = self.rng
        out = [(c[0], words(rng, 0, 4), rng.random() < 0.2, rng.random() < 0.2) for c in calls]
        if out[1:] and rng.random() < 0.1:
            out.pop()  # never answered
        if rng.random() < 0.3:
            out.reverse()
        said = words(rng, 1, 3) if rng.random() < 0.2 else ""
        return {"kind": "results", "results": out, "text": said}

    def steps(self):
        steps = []
        for _ in range(self.rng.randint(2, 5)):
            steps.append(self.user())
            if steps[1:] and self.rng.random() < 0.2:
                steps[-1]["reminder"] = words(self.rng, 1, 3)
            for _ in range(self.rng.randint(0, 3)):
                steps.append(self.assistant(self.rng.randint(1, 3)))
                steps.append(self.results(steps[-1]["calls"]))
            # done, or interrupted by the user
            steps.append(self.assistant(0 if self.rng.random() < 0.9 else 2))
        return steps[:-1]


def session(seed):
    return Session(seed).steps()


def cuts(steps):
    return [n + 1 for n, step in enumerate(steps) if step["kind"] != "assistant"]


# ---- reasoning, as its maker's envelope ----


def envelope(kind, payload):
    text = json.dumps({"u": "default", "m": "m", **payload}, separators=(",", ":"))
    return f"ccp1.{kind}." + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def opaque(maker, text):
    if maker == "messages":
        return envelope("t", {"thinking": text, "signature": "c2ln"})
    if maker == "responses":
        summary = [{"type": "summary_text", "text": text}]
        item = {"type": "reasoning", "id": f"rs_{len(text)}", "summary": summary}
        return envelope("o", {"item": {**item, "encrypted_content": "ZW5j"}})
    return envelope("c", {})


def details(maker, text):
    """What a Chat client was given (C3.1, C3.6)."""
    if maker == "messages":
        detail = {"type": "reasoning.text", "text": text, "signature": "c2ln"}
        return [{**detail, "format": "anthropic-claude-v1", "index": 0}]
    if maker == "responses":
        common = {"id": "rs_1", "format": "openai-responses-v1", "index": 0}
        return [
            {"type": "reasoning.summary", "summary": text, **common},
            {"type": "reasoning.encrypted", "data": "ZW5j", **common},
        ]
    return None


# ---- Messages ----

SCHEMA = {"type": "object", "properties": {"p": {"type": "string"}, "n": {"type": "number"}}}


def messages_user(step):
    content = [{"type": "text", "text": step["text"]}]
    if step["image"]:
        source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
        content.append({"type": "image", "source": source})
    if "reminder" in step:
        content.append({"type": "text", "text": step["reminder"]})
    return {"role": "user", "content": content if content[1:] else step["text"]}


def messages_assistant(step, maker):
    content = []
    if step["thinking"]:
        signature = opaque(maker, step["thinking"]) if maker else "bmF0aXZl"
        block = {"type": "thinking", "thinking": step["thinking"], "signature": signature}
        content.append(block)
    if step["text"]:
        content.append({"type": "text", "text": step["text"]})
    for call, name, arguments in step["calls"]:
        content.append({"type": "tool_use", "id": call, "name": name, "input": arguments})
    return {"role": "assistant", "content": content}


def messages_results(step):
    content = []
    for call, text, failed, image in step["results"]:
        result = {"type": "tool_result", "tool_use_id": call, "content": text}
        if image:
            source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
            block = {"type": "image", "source": source}
            result["content"] = [{"type": "text", "text": text or "x"}, block]
        content.append({**result, "is_error": True} if failed else result)
    if step["text"]:
        content.append({"type": "text", "text": step["text"]})
    return {"role": "user", "content": content}


def messages_request(steps, maker):
    write = {"user": messages_user, "results": messages_results}
    messages = [
        messages_assistant(s, maker) if s["kind"] == "assistant" else write[s["kind"]](s)
        for s in steps
    ]
    tools = [{"name": n, "description": "d", "input_schema": SCHEMA} for n in NAMES]
    head = {"model": "m", "max_tokens": 4096, "system": "be good", "stream": True}
    return {**head, "messages": messages, "tools": tools}


# ---- Chat Completions ----


def chat_user(step):
    url = f"data:image/png;base64,{PIXEL}"
    parts = [{"type": "text", "text": step["text"]}]
    image = {"type": "image_url", "image_url": {"url": url}}
    content = parts + [image] if step["image"] else step["text"]
    reminder = [{"role": "system", "content": step["reminder"]}] if "reminder" in step else []
    return reminder + [{"role": "user", "content": content}]


def chat_assistant(step, maker):
    message = {"role": "assistant", "content": step["text"] or None}
    if step["thinking"]:
        message["reasoning_content"] = step["thinking"]
        if maker and details(maker, step["thinking"]):
            message["reasoning_details"] = details(maker, step["thinking"])
    if step["calls"]:
        message["tool_calls"] = [
            {"id": i, "type": "function", "function": {"name": n, "arguments": json.dumps(a)}}
            for i, n, a in step["calls"]
        ]
    return [message]


def chat_results(step):
    results = [
        {"role": "tool", "tool_call_id": call, "content": text}
        for call, text, _, _ in step["results"]
    ]
    return results + ([{"role": "user", "content": step["text"]}] if step["text"] else [])


def chat_request(steps, maker):
    messages = [{"role": "system", "content": "be good"}]
    write = {"user": chat_user, "results": chat_results}
    for s in steps:
        messages += chat_assistant(s, maker) if s["kind"] == "assistant" else write[s["kind"]](s)
    tools = [{"type": "function", "function": {"name": n, "parameters": SCHEMA}} for n in NAMES]
    return {"model": "m", "messages": messages, "tools": tools, "stream": True}


# ---- Responses ----


def message_item(role, *parts):
    return {"type": "message", "role": role, "content": list(parts)}


def responses_user(step):
    parts = [{"type": "input_text", "text": step["text"]}]
    if step["image"]:
        url = f"data:image/png;base64,{PIXEL}"
        parts.append({"type": "input_image", "image_url": url, "detail": "auto"})
    note = {"type": "input_text", "text": step.get("reminder", "")}
    items = [message_item("developer", note)] if "reminder" in step else []
    return items + [message_item("user", *parts)]


def responses_assistant(step, maker):
    items = []
    if step["thinking"]:
        summary = [{"type": "summary_text", "text": step["thinking"]}]
        item = {"type": "reasoning", "id": f"rs_{len(step['thinking'])}", "summary": summary}
        content = opaque(maker, step["thinking"]) if maker else "bmF0aXZl"
        items.append({**item, "encrypted_content": content})
    if step["text"]:
        items.append(message_item("assistant", {"type": "output_text", "text": step["text"]}))
    for call, name, arguments in step["calls"]:
        text = json.dumps(arguments)
        items.append({"type": "function_call", "call_id": call, "name": name, "arguments": text})
    return items


def responses_results(step):
    items = [
        {"type": "function_call_output", "call_id": call, "output": text}
        for call, text, _, _ in step["results"]
    ]
    said = {"type": "input_text", "text": step["text"]}
    return items + ([message_item("user", said)] if step["text"] else [])


def responses_request(steps, maker):
    items = []
    write = {"user": responses_user, "results": responses_results}
    for s in steps:
        items += responses_assistant(s, maker) if s["kind"] == "assistant" else write[s["kind"]](s)
    tools = [{"type": "function", "name": n, "parameters": SCHEMA} for n in NAMES]
    return {"model": "m", "instructions": "be good", "input": items, "tools": tools, "stream": True}


REQUESTS = {
    "messages": messages_request,
    "chat": chat_request,
    "responses": responses_request,
}


def request(protocol, steps, maker=None):
    return REQUESTS[protocol](steps, maker)

"""The grammars of the three protocols' streams, as machines that check produced bytes.

    check("messages" | "chat" | "responses", bytes) -> list of violations, [] when there is none
    outcome(protocol, bytes) -> "complete", "incomplete", "error", or "cut" (no terminal event)

What is checked is in parts B1 to B3 and EW2 of the protocol specification: what the vendors' SDKs
need, and what the proxy promises beyond that (one item's text is the same in its deltas, its done
events and the last event; nothing follows the end).  A stream that was cut is a violation; one
that ends in an error of its protocol is not.
"""

import json


def check(protocol, stream):
    machine = MACHINES[protocol]()
    machine.run(stream)
    return machine.violations


def outcome(protocol, stream):
    machine = MACHINES[protocol]()
    machine.run(stream)
    return machine.outcome or "cut"


def duplicate(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a member stands twice")
    return dict(pairs)


def is_json(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class Machine:
    named = True  # events have an event: line equal to their type
    has_done = False  # [DONE] ends the stream

    def __init__(self):
        self.violations = []
        self.outcome = None  # set by the terminal event
        self.closed = False  # nothing may follow
        self.place = "start"

    def bad(self, text):
        if len(self.violations) < 50:
            self.violations.append(f"{self.place}: {text}")

    def need(self, condition, text):
        if not condition:
            self.bad(text)
        return bool(condition)

    def need_members(self, value, what, *names):
        if not self.need(isinstance(value, dict), f"{what} is no object"):
            return False
        missing = [name for name in names if name not in value]
        return self.need(not missing, f"{what} lacks {', '.join(missing)}")

    # ---- bytes to events ----

    def run(self, stream):
        if self.wire(stream):
            for number, block in enumerate(stream.decode("utf-8").split("\n\n")[:-1]):
                self.place = f"event {number}"
                self.block(block.split("\n"))
        self.place = "end"
        self.end()

    def wire(self, stream):
        self.need(not stream.startswith(b"\xef\xbb\xbf"), "a byte order mark")
        self.need(b"\r" not in stream, "a CR")
        self.need(not any(b < 32 and b != 10 for b in stream), "a raw control character")
        self.need(stream == b"" or stream.endswith(b"\n\n"), "the last event has no empty line")
        try:
            text = stream.decode("utf-8")
        except UnicodeDecodeError as e:
            self.bad(f"not UTF-8: {e}")
            return False
        for c in "\x85\u2028\u2029":
            self.need(c not in text, f"raw U+{ord(c):04X}")
        return True

    def block(self, lines):
        if all(line.startswith(":") for line in lines):
            return
        name = None
        if self.named:
            if not self.need(lines[0].startswith("event: "), f"no event: line: {lines[0][:60]!r}"):
                return
            name = lines.pop(0)[len("event: ") :]
        if not self.need(
            len(lines) == 1 and lines[0].startswith("data: "), f"not one data: line: {lines!r:.80}"
        ):
            return
        self.need(not self.closed, "something follows the end")
        data = lines[0][len("data: ") :]
        if data == "[DONE]" and self.has_done:
            self.done()
            return
        try:
            event = json.loads(data, object_pairs_hook=duplicate)
        except ValueError as e:
            self.bad(f"bad JSON: {e}: {data:.80}")
            return
        if not self.need(isinstance(event, dict), "no object"):
            return
        if json.dumps(event).find("\\ud8") >= 0:
            try:
                json.dumps(event, ensure_ascii=False).encode("utf-8")
            except UnicodeEncodeError:
                self.bad("half a surrogate pair")
        kind = event.get("type")
        if self.named:
            self.place += f" {kind}"
            self.need(kind == name, f"event: line says {name}")
        self.event(kind, event)

    def event(self, kind, event):
        raise NotImplementedError

    def done(self):
        pass

    def end(self):
        self.need(self.outcome is not None, "no terminal event")


# ---- B1 ----


class Messages(Machine):
    DELTAS = {
        "text": {"text_delta", "citations_delta"},
        "thinking": {"thinking_delta", "signature_delta"},
        "tool_use": {"input_json_delta"},
        "server_tool_use": {"input_json_delta"},
    }
    MEMBERS = {
        "text_delta": "text",
        "citations_delta": "citation",
        "thinking_delta": "thinking",
        "signature_delta": "signature",
        "input_json_delta": "partial_json",
    }

    def __init__(self):
        super().__init__()
        self.started = False
        self.blocks = 0
        self.open = None  # the content_block of the open block
        self.input = ""
        self.signed = False
        self.stop_reason = None
        self.last_input = None  # of the last block, when it was a call
        self.tools = 0
        self.ids = set()

    def event(self, kind, event):
        if kind == "ping":
            self.need(event == {"type": "ping"}, "ping holds something")
            return
        if kind == "error":
            self.error(event)
            return
        if kind != "message_start":
            self.need(self.started, "before message_start")
        handler = getattr(self, "on_" + str(kind), None)
        if self.need(handler is not None, "unknown event"):
            handler(event)

    def error(self, event):
        if self.need_members(event.get("error"), "error", "type", "message"):
            self.need(isinstance(event["error"]["message"], str), "error.message is no string")
        self.outcome = "error"
        self.closed = True

    def on_message_start(self, event):
        self.need(not self.started, "a second message_start")
        self.started = True
        message = event.get("message")
        if not self.need_members(
            message,
            "message",
            *("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"),
        ):
            return
        self.need(str(message["id"]).startswith("msg_"), f"id {message['id']!r}")
        self.need(message["type"] == "message" and message["role"] == "assistant", "type or role")
        self.need(message["content"] == [], "content is not empty")
        self.need(message["stop_reason"] is None, "stop_reason is not null")
        self.usage(message["usage"], "input_tokens", "output_tokens")

    def usage(self, usage, *names):
        if self.need_members(usage, "usage", *names):
            for name, value in usage.items():
                if name.endswith("_tokens"):
                    self.need(is_count(value), f"usage.{name} is {value!r}")

    def on_content_block_start(self, event):
        self.need(self.open is None, "a block is open")
        self.need(self.stop_reason is None, "after message_delta")
        self.need(event.get("index") == self.blocks, f"index {event.get('index')}")
        block = event.get("content_block")
        if not self.need_members(block, "content_block", "type"):
            block = {"type": "?"}
        self.open = block
        self.input = ""
        self.signed = False
        wanted = {
            "text": {"text": ""},
            "thinking": {"thinking": "", "signature": ""},
            "tool_use": {"input": {}},
            "server_tool_use": {"input": {}},
        }.get(block["type"], {})
        for name, value in wanted.items():
            self.need(block.get(name) == value, f"{name} is {block.get(name)!r}")
        if block["type"] == "redacted_thinking":
            self.need(isinstance(block.get("data"), str) and block["data"], "no data")
        if block["type"] in ("tool_use", "server_tool_use"):
            self.need(block.get("id"), "no id")
            self.need(block.get("name"), "no name")
            self.need(block.get("id") not in self.ids, "an id stands twice")
            self.ids.add(block.get("id"))
        self.tools += block["type"] == "tool_use"

    def on_content_block_delta(self, event):
        if not self.need(self.open is not None, "no block is open"):
            return
        self.need(event.get("index") == self.blocks, f"index {event.get('index')}")
        delta = event.get("delta")
        if not self.need_members(delta, "delta", "type"):
            return
        kind = delta["type"]
        if not self.need(
            kind in self.DELTAS.get(self.open["type"], ()), f"{kind} in a {self.open['type']} block"
        ):
            return
        member = self.MEMBERS[kind]
        if not self.need_members(delta, kind, member):
            return
        if kind != "citations_delta":
            self.need(isinstance(delta[member], str), f"{member} is no string")
        self.need(not self.signed, "a delta behind the signature")
        self.signed = kind == "signature_delta"
        if kind == "input_json_delta":
            self.input += delta["partial_json"]

    def on_content_block_stop(self, event):
        if not self.need(self.open is not None, "no block is open"):
            return
        self.need(event.get("index") == self.blocks, f"index {event.get('index')}")
        self.settle_input()
        if self.open["type"] in ("tool_use", "server_tool_use"):
            self.last_input = self.input
        self.open = None
        self.blocks += 1

    def settle_input(self):
        """Only the last call may be cut, and that is known at the end."""
        if self.last_input:
            good = is_json(self.last_input) and isinstance(json.loads(self.last_input), dict)
            cut = self.stop_reason in ("max_tokens", "refusal", "model_context_window_exceeded")
            self.need(good or cut, f"input is no object: {self.last_input:.80}")
        self.last_input = None

    def on_message_delta(self, event):
        self.need(self.open is None, "a block is open")
        self.need(self.stop_reason is None, "a second message_delta")  # legal, but not ours
        if self.need_members(event.get("delta"), "delta", "stop_reason", "stop_sequence"):
            self.stop_reason = event["delta"]["stop_reason"]
            self.need(isinstance(self.stop_reason, str), "no stop_reason")
            if self.stop_reason == "tool_use":
                self.need(self.tools > 0, "tool_use without a call")
        self.usage(event.get("usage"), "output_tokens")

    def on_message_stop(self, event):
        self.need(self.open is None, "a block is open")
        self.need(self.stop_reason is not None, "no message_delta")
        self.need(event == {"type": "message_stop"}, "message_stop holds something")
        self.settle_input()
        cut = self.stop_reason in ("max_tokens", "refusal", "model_context_window_exceeded")
        self.outcome = "incomplete" if cut else "complete"
        self.closed = True


# ---- B2 ----


class Chat(Machine):
    named = False
    has_done = True

    def __init__(self):
        super().__init__()
        self.same = None  # id, object, created, model
        self.chunks = 0
        self.usages = []  # of each chunk: absent, null, or there
        self.calls = []
        self.legacy = None
        self.finish = None
        self.counted = False

    def event(self, kind, event):
        if event.get("error") is not None:
            self.need("choices" not in event, "error next to choices")
            self.need_members(event["error"], "error", "message", "type", "param", "code")
            self.outcome = "error"
            self.closed = True
            return
        if not self.need_members(event, "chunk", "id", "object", "created", "model", "choices"):
            return
        same = tuple(event[name] for name in ("id", "object", "created", "model"))
        self.need(self.same in (None, same), f"id, created or model changed: {same}")
        self.same = same
        self.need(same[1] == "chat.completion.chunk", f"object {same[1]!r}")
        self.need(str(same[0]).startswith("chatcmpl-"), f"id {same[0]!r}")
        self.need("error" not in event, "an error member")
        self.need(not self.counted, "a chunk behind the usage")
        self.usages.append(event.get("usage", "absent"))
        self.chunks += 1
        choices = event["choices"]
        if choices == []:
            self.need(self.finish is not None, "usage before the finish")
            self.count(event.get("usage"))
            return
        if not self.need(isinstance(choices, list) and len(choices) == 1, "not one choice"):
            return
        self.need(event.get("usage") is None, "usage next to a choice")
        if self.need_members(choices[0], "choice", "index", "delta", "finish_reason"):
            self.choice(choices[0])

    def count(self, usage):
        self.counted = True
        names = ("prompt_tokens", "completion_tokens", "total_tokens")
        if self.need_members(usage, "usage", *names):
            counts = [usage[name] for name in names]
            if self.need(all(is_count(n) for n in counts), f"usage {counts}"):
                self.need(counts[0] + counts[1] == counts[2], f"total of {counts}")

    def choice(self, choice):
        self.need(choice["index"] == 0, f"index {choice['index']}")
        self.need(self.finish is None, "a choice behind the finish")
        delta = choice["delta"]
        if not self.need(isinstance(delta, dict), "delta is no object"):
            return
        if self.chunks == 1:
            self.need(delta.get("role") == "assistant", "the first delta has no role")
        else:
            self.need("role" not in delta, "a second role")
        for name in ("content", "refusal", "reasoning_content"):
            self.need(isinstance(delta.get(name, ""), (str, type(None))), f"{name} is no string")
        for call in delta.get("tool_calls") or []:
            self.call(call)
        if "function_call" in delta:
            self.function_call(delta["function_call"])
        self.finish = choice["finish_reason"]
        if self.finish is not None:
            self.finished()

    def call(self, call):
        index = call.get("index")
        if not self.need(is_count(index) and index <= len(self.calls), f"call index {index}"):
            return
        if index == len(self.calls):
            kind = call.get("type")
            body = call.get(kind) if kind in ("function", "custom") else None
            member = "input" if kind == "custom" else "arguments"
            self.calls.append([kind, ""])
            self.need(call.get("id"), "a call without id")
            self.need(isinstance(body, dict) and body.get("name"), "a call without name")
            self.need(isinstance(body, dict) and isinstance(body.get(member), str), f"no {member}")
        else:
            kind = self.calls[index][0]
            member = "input" if kind == "custom" else "arguments"
            self.need(set(call) == {"index", kind}, f"a later delta has {sorted(call)}")
            self.need(set(call.get(kind) or {}) == {member}, f"a later delta has no {member}")
        piece = (call.get(kind) or {}).get(member)
        if isinstance(piece, str):
            self.calls[index][1] += piece

    def function_call(self, call):
        if self.legacy is None:
            self.legacy = ""
            self.need(call.get("name"), "function_call without name")
        self.legacy += call.get("arguments") or ""

    def finished(self):
        reasons = ("stop", "length", "tool_calls", "content_filter", "function_call")
        self.need(self.finish in reasons, f"finish_reason {self.finish!r}")
        if self.finish == "tool_calls":
            self.need(self.calls, "tool_calls without a call")
        if self.finish == "function_call":
            self.need(self.legacy is not None, "function_call without one")
        if self.finish not in ("length", "content_filter"):
            for kind, text in self.calls:
                self.need(kind == "custom" or is_json(text), f"arguments: {text:.80}")

    def done(self):
        self.need(self.finish is not None, "[DONE] without a finish")
        self.closed = True
        self.outcome = "incomplete" if self.finish in ("length", "content_filter") else "complete"
        asked = self.usages and self.usages[-1] not in ("absent", None)
        wanted = None if asked else "absent"
        rest = self.usages[:-1] if asked else self.usages
        self.need(all(usage == wanted for usage in rest), "usage in some chunks")


# ---- B3 ----


class Item:
    def __init__(self, item):
        self.first = item
        self.type = item.get("type")
        self.id = item.get("id")
        self.done = None
        # of content or summary: [kind, text, text done, part done, annotations, logprobs]
        self.parts = []
        self.text = ""  # arguments or input
        self.text_done = None


class Responses(Machine):
    MEMBERS = (
        "id object created_at status error incomplete_details instructions metadata model output "
        "parallel_tool_calls temperature tool_choice tools top_p"
    ).split()
    # family of an event: the item it belongs to, the name of the index, the whole text's member
    FAMILIES = {
        "output_text": ("message", "content_index", "text"),
        "refusal": ("message", "content_index", "refusal"),
        "reasoning_summary_text": ("reasoning", "summary_index", "text"),
        "reasoning_text": ("reasoning", "content_index", "text"),
        "function_call_arguments": ("function_call", None, "arguments"),
        "custom_tool_call_input": ("custom_tool_call", None, "input"),
    }
    PARTS = {
        "output_text": ("output_text", "text"),
        "refusal": ("refusal", "refusal"),
        "reasoning_summary_text": ("summary_text", "text"),
        "reasoning_text": ("reasoning_text", "text"),
    }

    def __init__(self):
        super().__init__()
        self.sequence = 0
        self.id = None
        self.items = []
        self.failing = None  # the message of the error event

    def event(self, kind, event):
        if kind == "keepalive":
            self.need(self.id is not None, "before response.created")
            return
        self.need(event.get("sequence_number") == self.sequence, "sequence_number")
        self.sequence += 1
        if self.sequence == 1:
            self.need(kind == "response.created", "not response.created first")
        self.need(self.failing is None or kind == "response.failed", "an event behind error")
        if kind == "error":
            self.error(event)
            return
        if not self.need(str(kind).startswith("response."), "unknown event"):
            return
        name = kind[len("response.") :]
        family, _, what = name.rpartition(".")
        if name in ("created", "queued", "in_progress", "completed", "incomplete", "failed"):
            self.lifecycle(name, event)
        elif family == "output_item":
            self.item(what, event)
        elif family in ("content_part", "reasoning_summary_part"):
            self.part(family, what, event)
        elif name == "output_text.annotation.added":
            self.annotation(event)
        elif family in self.FAMILIES:
            self.piece(family, what, event)
        else:
            self.need(family.endswith("_call"), "unknown event")

    def error(self, event):
        error = event.get("error")
        if self.need_members(error, "error", "type", "code", "message", "param"):
            self.failing = error["message"]
        self.failing = self.failing or ""

    # ---- the response ----

    def lifecycle(self, name, event):
        response = event.get("response")
        if not self.need_members(response, "response", *self.MEMBERS):
            return
        self.need(response["object"] == "response", f"object {response['object']!r}")
        self.need("output_text" not in response, "output_text is the SDK's")
        self.need(str(response["id"]).startswith("resp_"), f"id {response['id']!r}")
        if name == "created":
            self.need(self.id is None, "a second response.created")
            self.id = response["id"]
        self.need(response["id"] == self.id, "another id")
        status = "in_progress" if name == "created" else name
        self.need(response["status"] == status, f"status {response['status']!r}")
        if name in ("created", "queued", "in_progress"):
            self.need(response["output"] == [], "output is not empty")
            self.need(not self.items, "behind an item")
            return
        self.terminal(name, response)

    def terminal(self, name, response):
        self.closed = True
        self.outcome = {"completed": "complete", "failed": "error"}.get(name, name)
        self.need((response["error"] is None) == (name != "failed"), f"error {response['error']!r}")
        details = response["incomplete_details"]
        self.need((details is None) == (name != "incomplete"), f"incomplete_details {details!r}")
        if name == "incomplete":
            self.need_members(details, "incomplete_details", "reason")
        if name == "failed":
            if self.need_members(response["error"], "error", "code", "message"):
                self.need(
                    self.failing in (None, response["error"]["message"]), "another error message"
                )
        else:
            self.usage(response.get("usage"))
        self.output(name, response["output"])

    def usage(self, usage):
        if not self.need_members(
            usage,
            "usage",
            *("input_tokens", "input_tokens_details", "output_tokens", "output_tokens_details"),
            "total_tokens",
        ):
            return
        self.need_members(usage["input_tokens_details"], "input_tokens_details", "cached_tokens")
        self.need_members(
            usage["output_tokens_details"], "output_tokens_details", "reasoning_tokens"
        )
        counts = [usage[n] for n in ("input_tokens", "output_tokens", "total_tokens")]
        if self.need(all(is_count(n) for n in counts), f"usage {counts}"):
            self.need(counts[0] + counts[1] == counts[2], f"total of {counts}")

    def output(self, name, output):
        self.need(len(output) == len(self.items), f"{len(output)} items, {len(self.items)} added")
        for number, (final, item) in enumerate(zip(output, self.items)):
            where = f"output {number}"
            self.need(final.get("id") == item.id, f"{where}: another id")
            self.need(final.get("type") == item.type, f"{where}: another type")
            if item.done is not None:
                self.need(final == item.done, f"{where} is not what was done")
            else:
                self.need(name == "failed", f"{where} was not done")
                self.need(final.get("status") == "incomplete", f"{where}: status of a partial item")
            if name == "completed":
                self.need(
                    final.get("status", "completed") == "completed", f"{where} was cut off"
                )

    # ---- items ----

    def at(self, event):
        index = event.get("output_index")
        if not self.need(is_count(index) and index < len(self.items), f"output_index {index}"):
            return None
        return self.items[index]

    def item(self, what, event):
        item = event.get("item")
        if not self.need_members(item, "item", "type", "id"):
            return
        if what == "added":
            self.need(event.get("output_index") == len(self.items), "output_index has a gap")
            self.need(item["id"], "an empty id")
            self.need(item["id"] not in [i.id for i in self.items], "an id stands twice")
            if "call_id" in item:
                calls = [i.first.get("call_id") for i in self.items]
                self.need(item["call_id"], "an empty call_id")
                self.need(item["call_id"] not in calls, "a call_id stands twice")
            if item["type"] in ("function_call", "custom_tool_call"):
                self.need(item.get("name"), "no name")
                text = item.get("input" if item["type"] == "custom_tool_call" else "arguments")
                self.need(text == "", "the call has its text already")
                self.need("call_id" in item, "no call_id")
            if item["type"] == "message":
                self.need(item.get("content") == [], "content is not empty")
                self.need(item.get("role") == "assistant", "no role")
            self.items.append(Item(item))
            return
        known = self.at(event)
        if known is None or not self.need(what == "done", "unknown event"):
            return
        self.need(known.done is None, "done twice")
        for name in ("type", "id", "call_id", "name", "namespace"):
            self.need(item.get(name) == known.first.get(name), f"another {name}")
        known.done = item
        self.item_text(known, item)

    def item_text(self, known, item):
        if known.type == "message":
            self.need(item.get("status") in ("completed", "incomplete"), "status")
            self.need([p[3] for p in known.parts] == item.get("content"), "another content")
            self.need(item.get("content"), "a message without content")
        elif known.type == "reasoning":
            parts = [p[3] for p in known.parts]
            self.need(parts == item.get("summary", []) + item.get("content", []), "another text")
            self.need("encrypted_content" in item, "no encrypted_content")
        elif known.type in ("function_call", "custom_tool_call"):
            text = item.get("input" if known.type == "custom_tool_call" else "arguments")
            self.need(known.text_done is not None, "its text was not done")
            self.need(text == known.text_done, "another text")
            self.need(item.get("status") in ("completed", "incomplete"), "status")
            if known.type == "function_call" and item.get("status") == "completed":
                self.need(is_json(text), f"arguments: {text!r:.80}")

    def part(self, family, what, event):
        item = self.at(event)
        number = "summary_index" if family == "reasoning_summary_part" else "content_index"
        if item is None or not self.need_members(event, "event", "item_id", number, "part"):
            return
        part = event["part"]
        self.need(event["item_id"] == item.id, "another item_id")
        self.need(item.done is None, "behind the item's end")
        kinds = {
            "message": ("output_text", "refusal"),
            "reasoning": ("summary_text",) if number == "summary_index" else ("reasoning_text",),
        }.get(item.type, ())
        self.need(part.get("type") in kinds, f"a {part.get('type')} in a {item.type}")
        member = "refusal" if part.get("type") == "refusal" else "text"
        if what == "added":
            self.need(event[number] == len(item.parts), f"{number} {event[number]}")
            self.need(part.get(member) == "", "the part has its text already")
            self.need(all(p[3] is not None for p in item.parts), "another part is open")
            item.parts.append([part.get("type"), "", None, None, [], []])
            return
        self.need(event[number] == len(item.parts) - 1, f"{number} {event[number]}")
        if item.parts:
            last = item.parts[-1]
            self.need(last[3] is None, "the part is done")
            self.need(last[2] is not None, "its text is not done")
            self.need(part.get("type") == last[0], "another type")
            self.need(part.get(member) == last[2], "another text")
            if part.get("type") == "output_text":
                self.need(part.get("annotations") == last[4], "other annotations")
                self.need(part.get("logprobs") == last[5], "other logprobs")
            last[3] = part

    def piece(self, family, what, event):
        owner, number, member = self.FAMILIES[family]
        item = self.at(event)
        if item is None or not self.need(what in ("delta", "done"), "unknown event"):
            return
        self.need(event.get("item_id") == item.id, "another item_id")
        self.need(item.type == owner, f"in a {item.type}")
        self.need(item.done is None, "behind the item's end")
        text = event.get("delta" if what == "delta" else member)
        if not self.need(isinstance(text, str), "no text"):
            return
        if family == "output_text":
            self.need(isinstance(event.get("logprobs"), list), "no logprobs")
        if number is None:
            self.need(item.text_done is None, "its text is done")
            if what == "delta":
                item.text += text
            else:
                self.need(text == item.text or (item.text == "" and text == "{}"), "another text")
                item.text_done = text
            return
        if not self.need(event.get(number) == len(item.parts) - 1, f"{number} {event.get(number)}"):
            return
        part = item.parts[-1]
        self.need(part[0] == self.PARTS[family][0], f"in a {part[0]}")
        self.need(part[2] is None, "its text is done")
        if what == "delta":
            part[1] += text
            part[5] += event.get("logprobs") or []
        else:
            self.need(text == part[1], "another text")
            self.need((event.get("logprobs") or []) == part[5], "other logprobs")
            part[2] = text

    def annotation(self, event):
        item = self.at(event)
        if item is None or not self.need(item.parts, "no part"):
            return
        part = item.parts[-1]
        self.need(event.get("item_id") == item.id, "another item_id")
        self.need(event.get("content_index") == len(item.parts) - 1, "content_index")
        self.need(event.get("annotation_index") == len(part[4]), "annotation_index")
        self.need(part[2] is None, "its text is done")
        annotation = event.get("annotation")
        if self.need_members(annotation, "annotation", "type"):
            part[4].append(annotation)
            if annotation["type"] == "url_citation":
                span = (annotation.get("start_index"), annotation.get("end_index"))
                good = is_count(span[0]) and is_count(span[1]) and span[0] <= span[1]
                self.need(good and span[1] <= len(part[1]), f"citation of {span}")

    def end(self):
        super().end()
        self.need(self.failing is None or self.closed, "no response.failed behind error")


MACHINES = {"messages": Messages, "chat": Chat, "responses": Responses}

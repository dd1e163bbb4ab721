"""What an upstream was told of a conversation, whichever protocol it speaks."""

import json


def blocks(message, kind):
    content = message.get("content")
    return [b for b in content if b["type"] == kind] if isinstance(content, list) else []


def exchanged(body, protocol):
    """([(name, arguments) of each call], [output of each result, as JSON]).

    Fails when the results are not those of the calls, in their order."""
    if protocol == "messages":
        calls = {b["id"]: (b["name"], b["input"]) for m in body["messages"]
                 for b in blocks(m, "tool_use")}
        results = [(b["tool_use_id"], b["content"]) for m in body["messages"]
                   for b in blocks(m, "tool_result")]
    elif protocol == "chat":
        calls = {c["id"]: (c["function"]["name"], json.loads(c["function"]["arguments"]))
                 for m in body["messages"] for c in m.get("tool_calls", [])}
        results = [(m["tool_call_id"], m["content"]) for m in body["messages"]
                   if m["role"] == "tool"]
    else:
        calls = {i["call_id"]: (i["name"], json.loads(i["arguments"])) for i in body["input"]
                 if i.get("type") == "function_call"}
        results = [(i["call_id"], i["output"]) for i in body["input"]
                   if i.get("type") == "function_call_output"]
    assert [call_id for call_id, _ in results] == list(calls)
    return list(calls.values()), [json.dumps(output) for _, output in results]

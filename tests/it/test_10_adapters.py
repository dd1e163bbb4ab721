"""The operator's adapters file: what it can do, how it is loaded and reloaded."""

import json
import signal

import pytest
import yaml
from proxy import Proxy, run
from wire import Client, events

KEY = {"x-api-key": "sk-test"}
BODY = {"model": "gpt-4o", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def mybot(*actions, **more):
    return {"version": 1, "adapters": [
        {"name": "mybot", "version": "2.5.0", "priority": 60, "service": ["claude"],
         "aliases": ["my_other_bot"], "match": {"header": "user-agent", "product": "mybot"},
         "actions": list(actions)} | more]}


MAP = {"op": "model_map", "map": {"gpt-4*": "claude-sonnet-4-5"}}


def write(path, rules):
    text = rules if isinstance(rules, str) else (
        yaml.safe_dump(rules) if path.suffix in (".yaml", ".yml") else json.dumps(rules))
    path.write_text(text)
    return path


def ask(port, headers=None, target="/v1/messages", **more):
    with Client(port) as c:
        return c.request("POST", target, KEY | {"user-agent": "mybot/1"} | (headers or {}),
                         json=BODY | more)


def serve(sim, rules, **settings):
    return Proxy(ANTHROPIC_BASE_URL=sim.url, OPENAI_BASE_URL=sim.url, ADAPTERS_FILE=rules,
                 **settings)


@pytest.mark.parametrize("name", ["rules.json", "rules.yaml"])
def test_json_and_yaml(sim, tag, tmp_path, name):
    with serve(sim, write(tmp_path / name, mybot(MAP))) as p:
        reply = ask(p.claude_port, {"x-test-id": tag})
        assert reply.h("x-cc-proxy-adapter") == "mybot"
        assert sim.record(tag).json()["model"] == "claude-sonnet-4-5"
        with Client(p.claude_port) as c:
            [mine] = [a for a in c.request("GET", "/adapters").json()["adapters"]
                      if a["name"] == "mybot"]
        assert (mine["version"], mine["priority"], mine["source"]) == ("2.5.0", 60, "file")
        assert mine["service"] == ["claude"]
        # The other service does not know it.
        assert ask(p.codex_port).h("x-cc-proxy-adapter") != "mybot"


def test_client_type_names_aliases_and_forms(sim, tmp_path):
    with serve(sim, write(tmp_path / "r.json", mybot(MAP))) as p:
        for value in ("mybot", "MyBot", "my-other-bot", "my other bot"):
            reply = ask(p.claude_port, {"user-agent": "x", "x-client-type": value})
            assert reply.h("x-cc-proxy-adapter") == "mybot", value
        for value in ("default", "none", "passthrough"):
            assert ask(p.claude_port, {"x-client-type": value}).h("x-cc-proxy-adapter") == "default"


def test_client_type_for_custom_is_the_operators(sim, tag, tmp_path):
    rules = {"version": 1, "adapters": [{"name": "custom", "actions": [
        {"op": "header_set", "name": "x-team", "value": "${TEAM}"},
        {"op": "system", "mode": "append", "text": "For ${TEAM}."}]}]}
    path = write(tmp_path / "r.json", rules)
    with Proxy(ANTHROPIC_BASE_URL=sim.url, SERVICES="claude", ADAPTERS_FILE=path,
               env={"TEAM": "blue"}) as p:
        reply = ask(p.claude_port, {"user-agent": "x", "x-client-type": "whoever",
                                    "x-test-id": tag, "x-team": "red"})
        assert reply.h("x-cc-proxy-adapter") == "custom"
    record = sim.record(tag)
    assert record.h("x-team") == "blue"
    assert record.json()["system"] == [{"type": "text", "text": "For blue."}]


def test_reject(sim, tag, tmp_path):
    rules = mybot({"op": "reject", "status": 403, "message": "Not \"offered\"."})
    with serve(sim, write(tmp_path / "r.json", rules)) as p:
        reply = ask(p.claude_port, {"x-test-id": tag})
        assert (reply.status, reply.h("x-cc-proxy-adapter")) == (403, "mybot")
        assert reply.json() == {"type": "error", "error": {
            "type": "permission_error", "message": "Not \"offered\".", "param": None,
            "code": None}, "request_id": reply.h("request-id")}
    assert not [r for r in sim.records() if r.h("x-test-id") == tag]


def test_merge_tools(sim, tag, tmp_path):
    tools = [{"name": "a", "input_schema": {"type": "object"}},
             {"name": "b", "input_schema": {"type": "object"}}]
    write(tmp_path / "tools.json", json.dumps(tools))
    rules = mybot({"op": "merge_tools", "file": str(tmp_path / "tools.json"), "place": "first"})
    mine = {"name": "b", "description": "mine", "input_schema": {"type": "object"}}
    with serve(sim, write(tmp_path / "r.json", rules)) as p:
        ask(p.claude_port, {"x-test-id": tag}, tools=[mine])
    assert sim.record(tag).json()["tools"] == [tools[0], mine]


def test_raw(raw, tmp_path):
    up = raw[1]
    body = b'{ "model" : "gpt-4o", "n": 1.0,  "s":"\\u00e9"}'
    path = write(tmp_path / "r.json", mybot({"op": "raw"}))
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", ADAPTERS_FILE=path) as p:
        with Client(p.claude_port) as c:
            c.request("POST", "/v1/messages", KEY | {"user-agent": "mybot/1", "x-title": "T",
                                                     "accept-encoding": "br"}, body)
    got = up.requests[-1]
    assert (got.body, got.h("x-title"), got.h("accept-encoding")) == (body, "T", "br")


def test_a_file_entry_replaces_the_built_in(sim, tag, tmp_path):
    rules = {"version": 1, "adapters": [
        {"name": "cherry_studio", "match": {"header": "user-agent", "contains": "cherrystudio"},
         "actions": [{"op": "set", "path": "/max_tokens", "value": 7}]}]}
    with serve(sim, write(tmp_path / "r.json", rules)) as p:
        ask(p.claude_port, {"user-agent": "CherryStudio/1", "x-test-id": tag})
    assert sim.record(tag).json() == BODY | {"max_tokens": 7}


def test_upstream_action_keeps_the_reply_of_the_path(sim, tag, tmp_path):
    """Only same-protocol upstreams here: another protocol is refused or converted, never mixed."""
    rules = mybot({"op": "upstream", "name": "claude"})
    with serve(sim, write(tmp_path / "r.json", rules)) as p:
        assert ask(p.claude_port, {"x-test-id": tag}).json()["type"] == "message"
    assert sim.record(tag)["target"] == "/v1/messages"


# --- faults in the file ---

BAD = {
    "unknown member": (mybot(bogus=1), "/adapters/0/bogus"),
    "unknown op": (mybot({"op": "fly"}), "/adapters/0/actions/0"),
    "unknown value": (mybot({"op": "system", "mode": "sideways", "text": "x"}),
                      "/adapters/0/actions/0/mode"),
    "bad name": (mybot(name="My Bot"), "/adapters/0/name"),
    "priority": (mybot(priority=5000), "/adapters/0/priority"),
    "raw and more": (mybot({"op": "raw"}, MAP), "/adapters/0/actions"),
    "condition": (mybot(match={"header": "x", "sounds_like": "y"}), "/adapters/0/match"),
    "file": (mybot({"op": "system", "mode": "append", "text_file": "/nonexistent"}),
             "/adapters/0/actions/0"),
    "syntax": ("{\"version\": 1,", ""),
    "duplicate": ({"version": 1, "adapters": [{"name": "x"}, {"name": "x"}]}, "/adapters/1"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_stops_the_start(tmp_path, name):
    rules, pointer = BAD[name]
    path = write(tmp_path / "r.json", rules)
    for command in ("serve", "check"):
        done = run(command, "--env-file", "/dev/null", "--set", f"ADAPTERS_FILE={path}",
                   "--set", "CLAUDE_SERVICE_PORT=0", "--set", "CODEX_SERVICE_PORT=0",
                   "--set", "WORKERS=1")
        assert done.returncode == 2, (done.stdout, done.stderr)
        assert pointer in done.stderr and str(path) in done.stderr, done.stderr


def test_a_missing_file_stops_the_start(tmp_path):
    done = run("check", "--env-file", "/dev/null", "--set", f"ADAPTERS_FILE={tmp_path}/none.json")
    assert done.returncode == 2 and "none.json" in done.stderr


# --- reload ---

def test_reload(sim, tag, tmp_path):
    """A valid file replaces the set, an invalid one is logged and changes nothing."""
    path = write(tmp_path / "r.json", mybot(MAP))
    with serve(sim, path) as p:
        ask(p.claude_port, {"x-test-id": tag + ".1"})
        write(path, mybot(MAP | {"map": {"gpt-4*": "claude-haiku-4-5"}}))
        p.kill(signal.SIGHUP)
        p.wait_reload()
        ask(p.claude_port, {"x-test-id": tag + ".2"})
        since = len(p.lines)
        write(path, mybot({"op": "fly"}))
        p.kill(signal.SIGHUP)
        line = p.wait_log("adapters_reload_failed", since)
        assert "/adapters/0/actions/0" in line["error"]
        ask(p.claude_port, {"x-test-id": tag + ".3"})
        write(path, mybot())
        p.kill(signal.SIGHUP)
        p.wait_reload(since)
        ask(p.claude_port, {"x-test-id": tag + ".4"})
    assert [sim.record(f"{tag}.{n}").json()["model"] for n in (1, 2, 3, 4)] == [
        "claude-sonnet-4-5", "claude-haiku-4-5", "claude-haiku-4-5", "gpt-4o"]


def test_requests_in_flight_keep_their_set(raw, tmp_path):
    """A stream that began before a reload goes on to its end."""
    up = raw[1]
    first, last = (b'event: message_start\ndata: {"type":"message_start"}\n\n',
                   b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    path = write(tmp_path / "r.json", mybot(MAP))
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", ADAPTERS_FILE=path) as p:
        def script(c, r):
            c.stream_head()
            c.chunk(first)
            p.kill(signal.SIGHUP)
            p.wait_log("reload_complete")
            c.chunk(last)
            c.last_chunk()
        up.script = script
        with Client(p.claude_port) as c:
            write(path, mybot({"op": "reject", "status": 400, "message": "no"}))
            c.send_request("POST", "/v1/messages", KEY | {"user-agent": "mybot/1"},
                           json=BODY | {"stream": True})
            assert c.head().status == 200
            assert [n for n, _ in events(c.body())] == ["message_start", "message_stop"]
        p.wait_reload()
        assert ask(p.claude_port).status == 400  # by the new set


# --- identifiers ---

def session_of(proxy, sim, tag, key="sk-1", **more):
    headers = {"user-agent": "CherryStudio/1", "x-api-key": key, "x-test-id": tag}
    ask(proxy.claude_port, headers, **more)
    return sim.record(tag).json()["metadata"]["user_id"]


def test_sessions_agree_between_processes(sim, tag):
    """The same secret: the same identifiers; another secret or key: others. Workers agree too."""
    settings = {"ANTHROPIC_BASE_URL": sim.url, "SERVICES": "claude"}
    with (Proxy(SESSION_SECRET="s1", WORKERS="2", **settings) as a,
          Proxy(SESSION_SECRET="s1", **settings) as b, Proxy(SESSION_SECRET="s2", **settings) as c,
          Proxy(WORKERS="2", **settings) as d):
        same = {session_of(p, sim, f"{tag}.{i}{n}") for i, p in enumerate((a, b)) for n in range(4)}
        assert len(same) == 1
        assert session_of(c, sim, tag + ".c") not in same
        assert session_of(a, sim, tag + ".k", key="sk-2") not in same
        random = {session_of(d, sim, f"{tag}.d{n}") for n in range(6)}
        assert len(random) == 1 and not random & same
        d.kill(signal.SIGHUP)  # the made-up secret lives through a reload
        d.wait_reload()
        assert session_of(d, sim, tag + ".e") in random

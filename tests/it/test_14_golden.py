"""Golden cases of the conversions (tests/golden): each is a body or a stream, and what becomes of it."""

import base64
import json
import os
import pathlib
import re
import subprocess

import pytest
import yaml

import grammar
import sdk_types

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("CC_PROXY", str(ROOT / "build/release/cc-proxy"))
CHUNKS = (1, 2, 3, 5, 64)


class Number(str):
    """A JSON number by its text: 1.0 is not 1."""

    def __eq__(self, other):
        return isinstance(other, Number) and str(self) == str(other)

    __hash__ = str.__hash__


def exact(text):
    return json.loads(text, parse_int=Number, parse_float=Number)


def read(value):
    """The YAML value as JSON: what it is when written and read again."""
    return exact(json.dumps(value))


def envelope(match):
    data = base64.urlsafe_b64encode(match[2].encode()).decode().rstrip("=")
    return f"ccp1.{match[1]}.{data}"


def load(path):
    text = re.sub(r"<<([otrc]) (\{.*?\})>>", envelope, path.read_text("utf-8"))
    return yaml.safe_load(text) or []


def same(got, want):
    """got is want, but an object with the member ".." in want may hold more than it lists."""
    if isinstance(want, dict) and isinstance(got, dict):
        names = want.keys() - {".."}
        if not (names <= got.keys() if ".." in want else names == got.keys()):
            return False
        return all(same(got[name], want[name]) for name in names)
    if isinstance(want, list) and isinstance(got, list):
        return len(got) == len(want) and all(map(same, got, want))
    return got == want


def cases():
    for path in sorted((ROOT / "tests/golden").glob("*.yaml")):
        seen = {}
        for case in load(path):
            name = f"{case['id']}-{case['from']}-{case['to']}-{case.get('kind', 'request')}"
            seen[name] = seen.get(name, 0) + 1
            if seen[name] > 1:
                name += f"-{seen[name]}"
            yield pytest.param(case, id=name)


def sse(protocol, events):
    lines = []
    for data in events:
        if isinstance(data, str):
            lines.append(f"data: {data}\n\n")
            continue
        name = "" if protocol == "chat" else f"event: {data['type']}\n"
        lines.append(f"{name}data: {json.dumps(data, ensure_ascii=False)}\n\n")
    return "".join(lines)


def source(case):
    if "in_bytes" in case:
        return case["in_bytes"].encode("latin-1")
    if "in_text" in case:
        return case["in_text"].encode()
    if case.get("kind") == "stream":
        return sse(case["from"], case["in"]).encode()
    return json.dumps(case["in"], ensure_ascii=False).encode()


def run(case, tmp_path, *extra):
    command = [BINARY, "convert", "--kind", case.get("kind", "request"), "--from", case["from"],
               "--to", case["to"], "--upstream", "u1", "--now", "1790000000"]
    for name, value in case.get("set", {}).items():
        text = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
        command += ["--set", f"{name}={text}"]
    if "request" in case:
        (tmp_path / "request.json").write_text(json.dumps(case["request"], ensure_ascii=False))
        command += ["--request", str(tmp_path / "request.json")]
    elif case.get("kind") == "reply" and "--plain" not in case.get("args", []):
        command += ["--plain"]
    command += [str(a) for a in case.get("args", [])] + list(extra)
    return subprocess.run(command, input=source(case), capture_output=True, timeout=60,
                          check=False)


def events_of(output):
    """The data of each event of a produced stream."""
    data = []
    for block in output.split("\n\n"):
        lines = [line[6:] for line in block.split("\n") if line.startswith("data: ")]
        if lines:
            assert len(lines) == 1, block
            data.append(lines[0] if lines[0] == "[DONE]" else exact(lines[0]))
    return data


def pointer(value, path):
    """(found, what stands there); "-" is the last element."""
    for token in path.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            if token != "-" and (not token.isdigit() or int(token) >= len(value)):
                return False, None
            value = value[-1 if token == "-" else int(token)]
        elif isinstance(value, dict) and token in value:
            value = value[token]
        else:
            return False, None
    return True, value


WARNING = re.compile("(dropped|clamped|renamed|merged|moved|synthesized|degraded):[A-Za-z0-9_.-]+"
                     "|more")


def warnings_of(stderr):
    """Of the form of 0.3, whatever the case is about."""
    for line in stderr.splitlines():
        if line.startswith("x-cc-proxy-warning: "):
            value = line.split(": ", 1)[1]
            assert len(value) <= 1024 and all(map(WARNING.fullmatch, value.split(", "))), value
            return value.split(", ")
    return []


def shown(protocol, events):
    """The text that a client shows while the stream comes."""
    text = ""
    for event in events:
        if protocol == "messages":
            text += event.get("delta", {}).get("text", "")
        elif protocol == "responses":
            text += event["delta"] if event["type"] == "response.output_text.delta" else ""
        elif event != "[DONE]":
            text += "".join(c["delta"].get("content") or "" for c in event.get("choices", []))
    return text


def check_output(case, output):
    for text in case.get("out_text", []):
        assert text in output
    for text in case.get("lacks_text", []):
        assert text not in output
    if not {"out", "has", "lacks", "shows"} & case.keys():
        return
    streamed = case.get("kind") == "stream" and "--plain" not in case.get("args", [])
    value = events_of(output) if streamed else exact(output)
    if "out" in case:
        assert value == read(case["out"]) or same(value, read(case["out"]))
    if "shows" in case:
        assert shown(case["to"], value) == case["shows"]
    for path, want in case.get("has", {}).items():
        found, got = pointer(value, path)
        assert found, f"{path} is not there: {output}"
        assert got == read(want) or same(got, read(want)), path
    for path in case.get("lacks", []):
        assert not pointer(value, path)[0], f"{path} is there: {output}"


@pytest.mark.parametrize("case", list(cases()))
def test_golden(case, tmp_path):
    result = run(case, tmp_path)
    output, stderr = result.stdout.decode("utf-8"), result.stderr.decode("utf-8")
    if "error" in case:
        assert result.returncode == 1, output
        assert case["error"] in output + stderr
        if "status" in case:
            assert f"HTTP {case['status']}" in stderr
    else:
        assert result.returncode == 0, stderr + output
    check_output(case, output)
    warnings = warnings_of(stderr)
    if "warn" in case:
        assert sorted(warnings) == sorted(case["warn"])
    if case.get("kind", "request") == "request":
        again = run(case, tmp_path)
        assert (again.stdout, again.stderr) == (result.stdout, result.stderr), "not the same twice"
    if case.get("kind") in ("reply", "stream") and result.returncode == 0:
        streamed = output.startswith(("data: ", "event: "))
        assert sdk_types.check(case["to"], output, streamed) == []
    if case.get("kind") != "stream":
        return
    if "--plain" not in case.get("args", []) and "HTTP" not in stderr:
        assert grammar.check(case["to"], result.stdout) == []
    for chunk in CHUNKS:
        again = run(case, tmp_path, "--chunk", str(chunk))
        assert again.stdout == result.stdout, f"in pieces of {chunk}"


def test_every_edge_case_is_named():
    """By a golden case's id, or by a test: in its name, its docstring or a mark beside it."""
    here = pathlib.Path(__file__).parent
    spec = (here.parents[1] / "docs/protocols.md").read_text()
    tests = "".join(p.read_text() for p in (*here.glob("../golden/*.yaml"), *here.glob("test_*.py")))
    named = {n.upper() for n in re.findall(r"(?:\b|_)([Ee]\d+)(?=\b|_)", tests)}
    assert set(re.findall(r"^- \*\*(E\d+)\*\*", spec, re.M)) - named == set()

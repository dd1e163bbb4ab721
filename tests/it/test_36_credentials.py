"""Credentials: 240 ways to write them, on both services; what is forwarded, and that only one is.

The rules stand in credential() once more, written from docs/adapters.md section 7.
"""

import itertools
import json
import re
import signal
import subprocess
from pathlib import Path

import pytest
from proxy import BINARY, SANITIZED, Proxy, until
from test_24_hostile_requests import Counted
from upstream import Upstream
from wire import Client

KEY = "sk-matrix-1234"
OTHER = "sk-other-5678"
SERVER = "sk-server-9999"
BODY = {"claude": {"model": "m", "max_tokens": 9, "messages": []},
        "codex": {"model": "m", "input": "hi"}}
TARGET = {"claude": "/v1/messages", "codex": "/v1/responses"}
A, X, P = "authorization", "x-api-key", "api-key"


def forms():
    """name: fields, as (name, value) in order"""
    made = {}

    def add(name, *fields):
        assert name not in made, name
        made[name] = fields
    schemes = ["Bearer", "bearer", "BEARER", "bEaReR", "Basic", "Digest", "Token", "Bear",
               "Bearerr", "Negotiate", "ApiKey", "Key"]
    gaps = {"space": " ", "two spaces": "  ", "tab": "\t", "space tab": " \t", "none": "",
            "nbsp": "\xa0", "colon": ": ", "equals": "="}
    for scheme, gap in itertools.product(schemes, gaps):
        add(f"{scheme}, {gap}", (A, scheme + gaps[gap] + KEY))
    values = {
        "empty": "", "space": " ", "spaces and tabs": " \t \t", "scheme only": "Bearer",
        "scheme, space": "Bearer ", "scheme twice": f"Bearer Bearer {KEY}", "other": OTHER,
        "double quotes": f'"{KEY}"', "single quotes": f"'{KEY}'", "open quote": f'"{KEY}',
        "comma behind": f"{KEY},", "comma before": f",{KEY}", "list": f"{KEY}, {OTHER}",
        "list of itself": f"{KEY},{KEY}", "semicolon": f"{KEY};q=1", "padded": f"  {KEY}\t ",
        "space inside": KEY.replace("-", " "), "upper": KEY.upper(), "short": KEY[:-1],
        "long": KEY + "x", "half": KEY[:4], "twice": KEY + KEY, "equals": f"token={KEY}",
        "braces": "{" + KEY + "}", "angles": f"<{KEY}>", "percent": KEY.replace("-", "%2d"),
        "base64": "c2stbWF0cml4LTEyMzQ=", "latin-1": KEY + "\xe9", "utf-8": KEY + "\xc3\xa9",
        "high": "\x80\xff", "7 KiB": "k" * 7168, "sql": "' or '1'='1", "shell": "$(id)",
        "template": "${ANTHROPIC_API_KEY}", "format": "%s%s%n", "null": "null",
        "undefined": "undefined", "star": "*", "dash": "-", "one": "x",
        "line": KEY.replace("-", "\\n"), "json": json.dumps({"key": KEY}),
        "server key": SERVER, "mark": "hmac-sha256:" + "0" * 64,
    }
    for name, value in values.items():
        add(f"bare: {name}", (A, value))
        add(f"x-api-key: {name}", (X, value))
        if name in ("empty", "spaces and tabs", "other", "list", "scheme only", "padded"):
            add(f"api-key: {name}", (P, value))
        if name not in ("scheme only", "scheme, space"):
            add(f"Bearer: {name}", (A, "Bearer " + value))
    bad = {"NUL": "\0", "bell": "\a", "escape": "\x1b", "DEL": "\x7f", "CR": "\r", "VT": "\v"}
    for (name, byte), field in itertools.product(bad.items(), (A, X, P)):
        add(f"{field}: {name} inside", (field, KEY[:4] + byte + KEY[4:]))
    add("none")
    for one, two in itertools.permutations(((A, f"Bearer {KEY}"), (X, OTHER), (P, SERVER)), 2):
        add(f"{one[0]}, then {two[0]}", one, two)
    for field in (A, X, P):
        add(f"{field} twice", (field, KEY), (field, OTHER))
        add(f"{field} twice alike", (field, KEY), (field, KEY))
        add(f"{field} twice, first empty", (field, ""), (field, KEY))
        add(f"{field} twice, in two cases", (field, KEY), (field.title(), KEY))
    add("all three", (A, f"Bearer {KEY}"), (X, OTHER), (P, SERVER))
    add("empty x-api-key, Bearer", (X, ""), (A, f"Bearer {KEY}"))
    add("empty x-api-key, api-key", (X, " "), (P, KEY))
    add("Bearer without key, x-api-key", (A, "Bearer "), (X, KEY))
    add("AUTHORIZATION", (A.upper(), f"Bearer {KEY}"))
    add("X-Api-Key", ("X-Api-Key", KEY))
    add("underscores", ("x_api_key", KEY))
    add("proxy-authorization", ("proxy-authorization", f"Bearer {KEY}"))
    add("cookie", ("cookie", f"{A}={KEY}"))
    add("9 KiB", (A, "Bearer " + "k" * 9216))
    return made


FORMS = forms()


def credential(fields, service):
    """(how, value): what the request presents; or the status that refuses it."""
    fields = [(n.lower(), v) for n, v in fields]
    if any(re.search(r"[\x00-\x08\x0a-\x1f\x7f]", v) for _, v in fields):
        return 400
    if any(len(n) + len(v) > 8192 for n, v in fields):
        return 431
    names = [n for n, _ in fields if n in (A, X, P)]
    if len(set(names)) < len(names):
        return 400
    have = {n: v.strip(" \t") for n, v in fields}
    by_key = have.get(X) or have.get(P)
    by_key = (X, by_key) if by_key else None
    value, by_authorization = have.get(A, ""), None
    if value.lower() != "bearer" and value:
        bearer = value.lower().startswith("bearer ")
        key = value[7:].strip(" \t") if bearer else value
        by_authorization = (A, ("Bearer " if bearer else "") + key) if key else None
    first, second = (by_key, by_authorization)
    if service == "codex":
        first, second = second, first
    return first or second or 401


def presented(found):
    how, value = found
    return value.removeprefix("Bearer ") if how == A else value


def send(port, service, fields):
    body = json.dumps(BODY[service]).encode()
    head = f"POST {TARGET[service]} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n"
    head += "".join(f"{n}: {v}\r\n" for n, v in fields)
    with Client(port) as c:
        c.method = "POST"
        c.send(head.encode("latin-1") + b"\r\n" + body)
        reply = c.head()
        reply.body = c.body()
        return reply


@pytest.fixture(scope="module")
def stands():
    """passes: the client's key goes on; holds: clients need KEY, the server has its own."""
    up = Upstream()
    common = {"ANTHROPIC_BASE_URL": up.url, "OPENAI_BASE_URL": up.url}
    with Proxy(**common) as passes, \
            Proxy(ANTHROPIC_API_KEY=SERVER, OPENAI_API_KEY=SERVER, PROXY_API_KEYS=f"a,{KEY}, b",
                  KEY_FAILURES_MAX="0", **common) as holds:
        yield passes, holds, up
    up.close()


def upstream_saw(up):
    [request] = up.requests
    return [(n, v) for n, v in request.headers if n in (A, X, P)]


@pytest.mark.parametrize("service", ["claude", "codex"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.row("8: auth code")
def test_form(stands, service, form):
    passes, holds, up = stands
    found = credential(FORMS[form], service)
    up.forget()
    reply = send(getattr(passes, f"{service}_port"), service, FORMS[form])
    if isinstance(found, int):
        assert reply.status == found and not up.requests
    else:
        assert reply.status == 200
        assert upstream_saw(up) == [found]

    up.forget()
    reply = send(getattr(holds, f"{service}_port"), service, FORMS[form])
    if isinstance(found, int) and found != 401:
        assert reply.status == found and not up.requests
    elif found != 401 and presented(found) == KEY:
        assert reply.status == 200
        own = (X, SERVER) if service == "claude" else (A, f"Bearer {SERVER}")
        assert upstream_saw(up) == [own]
    else:
        assert reply.status == 401 and not up.requests
        body = reply.json()
        del body["request_id"]
        assert body == REFUSED


REFUSED = {"type": "error", "error": {"type": "authentication_error", "param": None, "code": None,
                                      "message": "no valid API key in the request"}}


def test_how_many():
    """Goal: the matrix has some that pass, that are refused by each status, and by key."""
    assert len(FORMS) >= 200
    got = [credential(f, s) for f in FORMS.values() for s in TARGET]
    assert {400, 401, 431} == {x for x in got if isinstance(x, int)}
    assert sum(not isinstance(x, int) and presented(x) == KEY for x in got) > 30


TIMING = Path(BINARY).parent / "bench/bench_timing"


@pytest.mark.row("8: auth code")
@pytest.mark.skipif(SANITIZED or not TIMING.exists(), reason="no bench_timing in this build")
def test_time_tells_nothing():
    """Welch's t over 10^6 looks, with a leaky comparison as control. A signal comes every time."""
    for _ in range(3):
        done = subprocess.run([TIMING, "1000000"], capture_output=True, text=True, timeout=120,
                              check=False)
        if done.returncode == 0:
            return
    pytest.fail(done.stdout)


# --- addresses that guess ---

@pytest.fixture
def guarded(tmp_path):
    up = Upstream()
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", PROXY_API_KEYS=KEY,
               KEY_FAILURES_MAX="5", KEY_FAILURES_SECONDS="600", CLAUDE_SERVICE_HOST="::",
               ADMIN_LISTEN=f"unix:{tmp_path}/admin") as p:
        yield p, up
    up.close()


def ask(p, key, source="127.0.0.1"):
    host = "::1" if ":" in source else "127.0.0.1"
    with Client(p.claude_port, host=host, source=source) as c:
        return c.request("GET", "/v1/models", {"x-api-key": key} if key else {})


@pytest.mark.row("8: auth code")
def test_an_address_that_guesses_has_to_wait(guarded):
    """At the limit and one above; the right key, too; other addresses not; then open again."""
    p, up = guarded
    for i in range(4):
        assert ask(p, f"guess-{i}").status == 401
    assert ask(p, KEY).status == 200  # below the limit
    with Counted(p) as counted:
        assert ask(p, "guess-4").status == 401
        for key in ("guess-5", KEY):
            reply = ask(p, key)
            assert reply.status == 429
            assert 1 <= int(reply.h("retry-after")) <= 600
            assert reply.json()["error"] == {
                "type": "rate_limit_error", "param": None, "code": None,
                "message": "too many wrong API keys from this address; try again later"}
    assert counted.new == {"key": 1, "locked_out": 2}
    assert ask(p, None).status == 401  # presents none: guesses nothing
    assert ask(p, KEY, source="127.0.0.2").status == 200
    assert ask(p, KEY, source="::1").status == 200
    line = p.wait_log("address_locked_out")
    assert line["remote"].startswith("[::ffff:127.0.0.1]:") or line["remote"].startswith("127.")
    assert line["failures"] == 5 and line["seconds"] == 600 and "guess" not in str(line)
    assert len(p.log(event="address_locked_out")) == 1
    assert {r.h(X) for r in up.requests} <= {KEY}


@pytest.mark.row("8: auth code")
def test_it_is_open_again(tmp_path):
    up = Upstream()
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", PROXY_API_KEYS=KEY,
               KEY_FAILURES_MAX="1", KEY_FAILURES_SECONDS="1") as p:
        assert ask(p, "guess").status == 401
        until(lambda: ask(p, KEY).status == 200)
    up.close()


def test_no_key_is_no_guess(guarded):
    p, _ = guarded
    assert {ask(p, None).status for _ in range(20)} == {401}
    assert ask(p, KEY).status == 200


def test_the_limit_can_be_off():
    up = Upstream()
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", PROXY_API_KEYS=KEY,
               KEY_FAILURES_MAX="0") as p:
        assert {ask(p, f"guess-{i}").status for i in range(50)} == {401}
    up.close()


# --- where the keys are ---

def memory_of(pid):
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            low, high = (int(x, 16) for x in span.split("-"))
            if rights.startswith("rw") and "[vvar" not in line:
                try:
                    mem.seek(low)
                    found.append(mem.read(high - low))
                except OSError:
                    pass
    return b"".join(found)


@pytest.mark.row("8: keys at rest")
@pytest.mark.skipif(SANITIZED, reason="sanitizers keep freed memory, and map very much of it")
@pytest.mark.parametrize("source", ["file", "environment", "option", "all, spelt differently"])
def test_no_process_has_the_listed_keys(tmp_path, source):
    """Goal: hashes only, from the start on and after a reload. Nobody presents the key."""
    up = Upstream()
    keys = f"{KEY}-never-presented,{OTHER}"
    file, env, option = (source in (s, "all, spelt differently")
                         for s in ("file", "environment", "option"))
    name = "proxy_api_keys" if source.startswith("all") else "PROXY_API_KEYS"
    (tmp_path / "env").write_text(f"{name}={keys}\n" if file else "")
    with Proxy(ANTHROPIC_BASE_URL=up.url, OPENAI_BASE_URL=up.url, CORE_DUMPS="true",
               env_file=tmp_path / "env", env={name: keys} if env else {},
               **({"PROXY_API_KEYS": keys} if option else {})) as p:
        for _ in range(2):
            assert ask(p, OTHER).status == 200
            assert ask(p, "guess").status == 401
            try:
                seen = [memory_of(pid) for pid in [*p.workers(), p.process.pid]]
            except PermissionError:
                pytest.skip("other processes' memory cannot be read here")
            assert all(up.url.encode() in m for m in seen), "memory was not read"
            assert [f"{KEY}-never".encode() in m for m in seen] == [False, False]
            p.kill(signal.SIGHUP)
            p.wait_reload()
    up.close()

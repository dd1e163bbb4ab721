"""reliability.md section 4, the rows that are neither framing nor HTTP/2 floods."""

import gzip
import json
import zlib
from pathlib import Path

import brotli
import pytest
import zstandard
from proxy import SANITIZED, Proxy, until
from test_24_hostile_requests import BODY, Counted, replies, statuses
from upstream import Upstream
from wire import Client

KEY = {"x-api-key": "sk-test"}
SAID = [{"role": "user", "content": "hi"}]
OK = json.dumps({"id": "c1", "object": "chat.completion", "choices": [
    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}]}).encode()


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    """claude converts to Chat, codex passes on; one upstream for both."""
    up = Upstream()
    admin = tmp_path_factory.mktemp("attacks") / "admin"
    with Proxy(ANTHROPIC_BASE_URL=up.url, OPENAI_BASE_URL=up.url, ADMIN_LISTEN=f"unix:{admin}",
               ANTHROPIC_PROTOCOLS="chat") as p:
        yield p, up
    up.close()


@pytest.fixture
def both(stand):
    stand[1].forget()
    return stand


@pytest.fixture
def trap():
    """Where no request must ever come."""
    up = Upstream()
    yield up
    up.close()


# --- the upstream is nobody's to choose ---

def post(host, target="/v1/messages", extra=b"", body=BODY):
    return (f"POST {target} HTTP/1.1\r\nHost: {host}\r\n".encode() + extra
            + b"x-api-key: sk-test\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
            + body)


def ssrf_requests(evil):
    url = f"http://{evil}"
    yield "Host", post(evil)
    yield "absolute URI", post(evil, f"{url}/v1/messages")
    yield "absolute URI, https", post(evil, f"https://{evil}/v1/messages")
    yield "absolute URI, other Host", post("x", f"{url}/v1/messages")
    yield "CONNECT", f"CONNECT {evil} HTTP/1.1\r\nHost: {evil}\r\nconnection: close\r\n\r\n".encode()
    yield "URL in the path", post("x", f"/{url}/v1/messages")
    yield "two slashes", post("x", f"//{evil}/v1/messages")
    yield "userinfo", post("x", f"/@{evil}/v1/messages")
    yield "query", post("x", f"/v1/messages?base_url={url}&host={evil}")
    for name in ("x-forwarded-host", "x-host", "forwarded", "x-original-url", "x-rewrite-url",
                 "x-api-base", "x-upstream", "x-openai-base-url", "referer", "origin"):
        yield name, post("x", extra=f"{name}: {url}\r\n".encode())
    for name in ("api_base", "base_url", "api_url", "endpoint", "host", "proxy", "url"):
        yield f"body's {name}", post("x", body=json.dumps(
            {"model": "m", "max_tokens": 9, "messages": SAID, name: url,
             "metadata": {name: url}}).encode())
    image = [{"type": "image", "source": {"type": "url", "url": f"{url}/a.png"}}]
    yield "image URL", post("x", body=json.dumps(
        {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": image}]}).encode())


SSRF = [name for name, _ in ssrf_requests("x")]


@pytest.mark.parametrize("service", ["converted", "as it is"])
@pytest.mark.parametrize("name", SSRF)
@pytest.mark.row("4: SSRF")
def test_ssrf(both, trap, name, service):
    """No request field names a host; the Host that goes upstream is the configured one."""
    p, up = both
    up.script = lambda c, r: c.reply(body=OK)
    request = dict(ssrf_requests(f"127.0.0.1:{trap.port}"))[name]
    got = statuses(replies(p.claude_port if service == "converted" else p.codex_port, request))
    assert len(got) == 1
    assert trap.conns == []
    for r in up.requests:
        assert r.h("host") == f"localhost:{up.port}"
        assert not {n for n, v in r.headers if str(trap.port) in v} & {
            "host", "forwarded", "x-forwarded-host", "x-original-url", "x-rewrite-url"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.row("4: SSRF")
def test_redirects_are_not_followed(both, trap, status):
    """Nor do credentials or the place reach the client."""
    p, up = both
    up.script = lambda c, r: c.reply(status, [("location", f"{trap.url}/steal")], b"{}")
    for port in (p.claude_port, p.codex_port):
        with Client(port) as c:
            reply = c.request("POST", "/v1/messages", KEY, BODY)
            assert reply.h("location") is None
    assert trap.conns == []


# --- paths ---

PATHS = ["/..", "/../v1/messages", "/v1/../v1/messages", "/v1/./messages", "/v1/%2e%2e/v1/messages",
         "/v1/%2E%2E/v1/messages", "/%2e/v1/messages", "/v1/..%2fmessages", "/v1%2fmessages",
         "/v1%2Fmessages", "/v1/messages%2f..", "/v1\\messages", "/v1/..\\messages", "/v1%5cmessages",
         "/v1/messages;x", "/v1;a=b/messages", "/v1/messages%3bx", "/v1/messages%00", "/v1/messages%00.js",
         "/V1/messages", "/v1/Messages", "/v1/messagesx", "/v1/messages/../../admin", "/etc/passwd",
         "/.env", "/.git/config", "/v1/messages/count_tokens/..", "/%2e%2e%2f%2e%2e%2fetc/passwd",
         "/v1/%252e%252e/messages", "/v1/messages/" + "a/" * 40, "/admin", "/metrics", "/server-status"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.row("4: path traversal")
def test_paths(both, path):
    """Only exact known routes; the rest is 404 in the client's form, and not forwarded."""
    p, up = both
    for port in (p.claude_port, p.codex_port):
        with Counted(p) as counted:
            got = replies(port, post("x", path))
        [status] = statuses(got)
        assert status in (404, 400 if "%00" in path else 404), got
        assert json.loads(got.partition(b"\r\n\r\n")[2])["type"] == "error"
        assert counted.new == {"target" if status == 400 else "path": 1}
    assert up.requests == []


@pytest.mark.parametrize("path", ["/v1/messages", "//v1//messages", "/v1/messages/", "/messages",
                                  "/v1/v1/messages"])
@pytest.mark.row("4: path traversal")
def test_paths_that_are_the_same(both, path):
    """Goal: the others are refused for what they are; and the upstream sees the one form."""
    p, up = both
    up.script = lambda c, r: c.reply(body=b"{}")
    assert statuses(replies(p.codex_port, post("x", path))) == [200]
    assert [r.target for r in up.requests] == ["/v1/messages"]


# --- values of bodies in headers and logs ---

NASTY = "m\r\nx-evil: 1\r\n\r\nGET / HTTP/1.1\n\0\u0085\u2028\x1b[31m\"}\\"


@pytest.mark.parametrize("path, port", [("/v1/messages", "claude_port"), ("/v1/messages", "codex_port"),
                                        ("/v1/responses", "codex_port"),
                                        ("/v1/chat/completions", "codex_port")])
@pytest.mark.row("4: header injection")
def test_injection_by_body(both, path, port):
    """What a body names goes into no header unchecked and into the log escaped."""
    p, up = both
    up.script = lambda c, r: c.reply(body=OK)
    since = len(p.lines)
    body = {"model": NASTY, "max_tokens": 9, "messages": SAID, "input": "hi", "user": NASTY,
            "metadata": {"user_id": NASTY, NASTY: NASTY}, "prompt_cache_key": NASTY}
    with Client(getattr(p, port)) as c:
        reply = c.request("POST", path, KEY | {"user-agent": "CherryStudio/1.0"}, json=body)
        assert "x-evil" not in [n for n, _ in reply.headers]
        assert reply.status in (200, 400, 502)
    for r in up.requests:
        assert r.h("x-evil") is None
    assert len(up.requests) <= 1
    p.wait_log("request_done", since)
    assert not [x for x in p.lines[since:] if x["event"] == "not json"]


@pytest.mark.parametrize("value", [b"a\r\nx-evil: 1", b"a\nx-evil: 1", b"a\rx-evil: 1", b"a\0b"])
@pytest.mark.parametrize("name", [b"request-id", b"content-type", b"retry-after", b"location"])
@pytest.mark.row("4: response splitting")
def test_response_splitting(both, name, value):
    """CR, LF or NUL of an upstream's header never reach a client's."""
    p, up = both
    up.script = lambda c, r: c.send(b"HTTP/1.1 200 OK\r\n" + name + b": " + value
                                    + b"\r\ncontent-length: 2\r\n\r\n{}")
    with Client(p.codex_port) as c:
        reply = c.request("POST", "/v1/messages", KEY, BODY)
    if value != b"a\r\nx-evil: 1":  # that one is two whole fields
        assert reply.status == 502
    assert reply.h("x-evil") is None


@pytest.mark.row("4: response splitting")
def test_only_listed_headers_come_back(both):
    p, up = both
    up.script = lambda c, r: c.reply(200, [
        ("set-cookie", "a=b"), ("server", "x"), ("x-secret", "1"), ("location", "/"),
        ("alt-svc", "h3=\":1\""), ("strict-transport-security", "max-age=1"), ("keep-alive", "1"),
        ("connection", "x-y"), ("x-y", "1"), ("www-authenticate", "Basic"), ("refresh", "0"),
        ("access-control-allow-origin", "https://evil"), ("x-ratelimit-limit-requests", "5")], b"{}")
    with Client(p.codex_port) as c:
        reply = c.request("POST", "/v1/messages", KEY, BODY)
    names = {n for n, _ in reply.headers}
    assert not names & {"set-cookie", "server", "x-secret", "location", "alt-svc", "x-y", "refresh",
                        "strict-transport-security", "www-authenticate", "keep-alive"}
    assert reply.all("access-control-allow-origin") in ([], ["*"])
    assert reply.h("x-ratelimit-limit-requests") == "5"


# --- bombs ---

def deflate_raw(data):
    c = zlib.compressobj(wbits=-15)
    return c.compress(data) + c.flush()


CODERS = {"gzip": gzip.compress, "deflate": zlib.compress, "deflate, raw": deflate_raw,
          "br": brotli.compress, "zstd": zstandard.ZstdCompressor().compress,
          "gzip, gzip": lambda d: gzip.compress(gzip.compress(d))}


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.row("4: body decompression")
def test_decompression_bombs(both, coder):
    """30 MiB, within the body's limit: over 100 times their size. The worker does not grow by them."""
    p, up = both
    bomb = CODERS[coder](b'{"a":"' + b" " * (30 << 20) + b'"}')
    before = p.worker_kib()
    headers = KEY | {"content-encoding": coder.removesuffix(", raw")}
    with Counted(p) as counted, Client(p.codex_port) as c:
        reply = c.request("POST", "/v1/messages", headers, bomb)
        assert reply.status == 413
    assert counted.new == {"decoded_size": 1}
    assert up.requests == []
    until(lambda: p.worker_kib() - before < 16 * 1024)


@pytest.mark.parametrize("coding", ["compress", "snappy", "gzip, snappy", "gzip;q=1", "lz4",
                                    "gzip, gzip, gzip", "\"gzip\""])
@pytest.mark.row("4: body decompression")
def test_unknown_codings(both, coding):
    p, up = both
    with Counted(p) as counted, Client(p.codex_port) as c:
        assert c.request("POST", "/v1/messages", KEY | {"content-encoding": coding}, BODY).status == 415
    assert counted.new == {"coding": 1}
    assert up.requests == []


def members(n):
    return b'{"model":"m","messages":[],' + b",".join(b'"k%d":1' % i for i in range(n)) + b"}"


JSON_BOMBS = {  # body, allowed statuses, reasons
    "10^6 keys": (members(999_000), (200,), ()),
    "10^6 keys below a member": (b'{"messages":[],"a":' + members(990_000) + b"}", (200,), ()),
    "2 x 10^6 keys": (members(1_999_999), (413,), ("json_values",)),
    "10^5 levels": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", (400,), ("json_depth",)),
    "10^6 open brackets": (b'{"a":' + b"[" * 1_000_000, (400,), ("json",)),
    "a number of 10^6 digits": (b'{"messages":[],"a":' + b"9" * 1_000_000 + b"}", (200, 400), ("json",)),
    "1e400000": (b'{"messages":[],"a":1e400000}', (200, 400), ("json",)),
    "-1e-400000": (b'{"messages":[],"a":-1e-400000}', (200, 400), ("json",)),
    "duplicate keys": (b'{"model":"a","model":"b"}', (400,), ("json_twice",)),
    "duplicate keys by escape": (b'{"model":"a","m\\u006fdel":"b"}', (400,), ("json_twice",)),
    "10^5 duplicates of another": (b'{"messages":[]' + b',"x":1' * 100_000 + b"}", (200,), ()),
    "string of 8 MiB": (b'{"messages":[],"a":"' + b"x" * (8 << 20) + b'"}', (200,), ()),
    "string of escapes": (b'{"messages":[],"a":"' + b"\\u0041" * (1 << 20) + b'"}', (200,), ()),
    "lone surrogates": (b'{"messages":[],"a":"\\ud800","\\udfff":"\\udc00\\ud800"}', (200,), ()),
    "lone surrogates, 10^6": (b'{"messages":[],"a":"' + b"\\ud800" * 1_000_000 + b'"}', (200,), ()),
    "invalid UTF-8": (b'{"messages":[],"a":"\xc0\xaf\xed\xa0\x80"}', (400,), ("json",)),
    "64 MiB string": (b'{"a":"' + b"x" * (64 << 20) + b'"}', (413,), ("body_size",)),
}


@pytest.mark.parametrize("name", JSON_BOMBS)
@pytest.mark.row("4: JSON bombs")
def test_json_bombs(both, name):
    """A clear answer; what is passed on is the very text; 10 MiB/s floor."""
    p, up = both
    body, allowed, reasons = JSON_BOMBS[name]
    up.script = lambda c, r: c.reply(body=b"{}")
    with Counted(p) as counted, Client(p.codex_port, timeout=60) as c:
        before = cpu_ns(p)
        reply = request_big(c, body)
        assert reply.status in allowed, reply.body[:200]
        spent = cpu_ns(p) - before
    assert set(counted.new) <= set(reasons) and bool(counted.new) == (reply.status != 200)
    assert [r.body for r in up.requests] == [body] * (reply.status == 200)
    if not SANITIZED:
        assert spent < 2e7 + len(body) * 1e9 / (10 << 20)


def request_big(c, body):
    """The reply may come while the body still goes."""
    head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\ncontent-length: {len(body)}\r\n\r\n"
    c.method = "POST"
    try:
        c.send(head.encode() + body)
    except OSError:
        pass
    reply = c.head()
    reply.body = c.body()
    return reply


# --- linear time ---

def cpu_ns(p):
    """Of all the worker's threads."""
    [worker] = p.workers()
    total = 0
    for task in Path(f"/proc/{worker}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total


def tool(i):
    return {"name": f"t{i}", "description": "d", "input_schema": {"type": "object", "properties": {}}}


def turns(n):
    """Calls of tools with their results: ids must be found again."""
    out = [SAID[0]]
    for i in range(n):
        out.append({"role": "assistant", "content": [
            {"type": "tool_use", "id": f"toolu_{i}", "name": f"t{i % 7}", "input": {}}]})
        out.append({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": f"toolu_{i}", "content": "r"}]})
    return out


# Seeds of multiplicative hashes cannot be known from outside; names that share everything but
# their ends, and those that are anagrams, find additive and prefix hashes out.
def collide(n):
    return {("AaBB" * 8)[: i % 29] + f"{i:08d}" + ("BBAa" * 8)[: 28 - i % 29]: 1 for i in range(n)}


SHAPES = {
    "members": lambda n: {"messages": SAID, "max_tokens": 9} | {f"k{i}": 1 for i in range(n)},
    "members that collide": lambda n: {"messages": SAID, "max_tokens": 9, "metadata": collide(n)},
    "messages": lambda n: {"max_tokens": 9, "messages": SAID * n},
    "blocks": lambda n: {"max_tokens": 9, "messages": [
        {"role": "user", "content": [{"type": "text", "text": "a"}] * n}]},
    "tools": lambda n: {"max_tokens": 9, "messages": SAID, "tools": [tool(i) for i in range(n // 4)]},
    "tool calls": lambda n: {"max_tokens": 9, "messages": turns(n // 8)},
    "schema": lambda n: {"max_tokens": 9, "messages": SAID, "tools": [
        tool(0) | {"input_schema": {"type": "object", "properties": {
            f"p{i}": {"type": "string"} for i in range(n // 2)}}}]},
    "depth": lambda n: {"max_tokens": 9, "messages": SAID, "metadata": [
        json.loads("[" * 900 + "]" * 900)] * (n // 900)},
    "system": lambda n: {"max_tokens": 9, "messages": SAID,
                         "system": [{"type": "text", "text": "a"}] * n},
    "one text": lambda n: {"max_tokens": 9, "messages": [{"role": "user", "content": "a\n\"" * n * 8}]},
}
WAYS = {"as it is": ("codex_port", "x/1"), "edited": ("codex_port", "CherryStudio/1.2"),
        "converted": ("claude_port", "x/1")}


def least_cpu(p, up, way, body, times):
    port, agent = WAYS[way]
    spent = []
    for _ in range(times):
        with Client(getattr(p, port), timeout=60) as c:
            before = cpu_ns(p)
            reply = c.request("POST", "/v1/messages", KEY | {"user-agent": agent}, body)
            spent.append(cpu_ns(p) - before)
    up.forget()
    up.script = lambda c, r: c.reply(body=OK)
    return min(spent), reply.status


@pytest.mark.skipif(SANITIZED, reason="CPU time")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.row("4: JSON bombs")
def test_linear_time(both, shape, way):
    """Hash flooding and its kind: four times the size costs at most about four times the CPU."""
    p, up = both
    up.script = lambda c, r: c.reply(body=OK)
    n = 8000
    small, big = (json.dumps({"model": "m"} | SHAPES[shape](k)).encode() for k in (n, 4 * n))
    (few, status), (many, again) = (least_cpu(p, up, way, b, 3) for b in (small, big))
    print(f"{shape}, {way}: {few / 1e6:.2f} -> {many / 1e6:.2f} ms, {many / few:.2f}, {status}")
    assert status == again
    assert many < 6 * few + 10e6
    assert many < 20e6 + len(big) * 1e9 / (10 << 20)  # the floor of 10 MiB/s


# --- half-close ---

@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.row("4: half-close")
def test_half_close_is_leaving(both, stream):
    """Documented: a client that half-closes counts as gone, and the upstream is let go."""
    p, up = both
    gone = []
    up.script = lambda c, r: gone.append(c.wait_closed(10))
    since = len(p.lines)
    with Client(p.codex_port) as c:
        c.send_request("POST", "/v1/messages", KEY,
                       json={"model": "m", "messages": SAID, "stream": stream})
        until(lambda: up.requests)
        c.sock.shutdown(1)
        assert until(lambda: gone) == [True]
        assert c.sock.recv(1) == b""
    p.wait_log("request_done", since, ended="client_gone")

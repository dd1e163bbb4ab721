"""reliability.md section 5, "DNS change, failure, slow DNS": the resolver is slow_names.c."""

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from proxy import SANITIZED, Proxy, until
from upstream import Upstream
from wire import Client

pytestmark = [
    pytest.mark.row("5: DNS change, failure, slow DNS"),
    pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler for the resolver"),
    pytest.mark.skipif(SANITIZED, reason="sanitizers must be loaded first"),
]
KEY = {"x-api-key": "k", "content-type": "application/json"}
CONTROL_BYTES, TTL = 4096, 1
STALLED = [f"stalled{n}.test" for n in range(12)]


class Names:
    """What the preloaded getaddrinfo() answers."""

    def __init__(self, folder):
        self.path, self.library = folder / "control", folder / "names.so"
        self.path.write_bytes(b"\0" * 2 * CONTROL_BYTES)
        source = Path(__file__).with_name("slow_names.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", f'-DCONTROL="{self.path}"', source, "-o",
                        self.library], check=True)
        self.file = os.open(self.path, os.O_RDWR)
        self.answers = {}

    def set(self, **answers):
        """By the name's first label."""
        self.answers |= {f"{n}.test": a for n, a in answers.items()}
        text = "".join(f"{n} {a}\n" for n, a in self.answers.items()).encode()
        os.pwrite(self.file, text.ljust(CONTROL_BYTES, b"\0"), 0)

    def calls(self):
        return int.from_bytes(os.pread(self.file, 4, CONTROL_BYTES), "little")


@pytest.fixture
def names(tmp_path):
    n = Names(tmp_path)
    yield n
    os.close(n.file)


def serve(names, up, **settings):
    """claude: moving.test; models stalledN and other: names of their own."""
    file = names.path.with_name("c.yaml")
    hosts = ["other.test", *STALLED]
    file.write_text(
        "upstreams:\n" + "".join(
            f"  {h.split('.')[0]}: {{base_url: 'http://{h}:{up.port}', protocol: messages}}\n"
            for h in hosts) +
        "services:\n  claude:\n    routes:\n" + "".join(
            f"      - {{model: {h.split('.')[0]}, upstream: {h.split('.')[0]}}}\n" for h in hosts))
    defaults = {"ANTHROPIC_BASE_URL": f"http://moving.test:{up.port}", "DNS_TTL": TTL,
                "OPENAI_BASE_URL": f"http://moving.test:{up.port}", "CONFIG_FILE": file,
                "HTTP_CONNECT_TIMEOUT": 3, "STREAM_OPEN_SECONDS": 0}
    return Proxy(env={"LD_PRELOAD": str(names.library)}, **defaults | settings)


def ask(p, model="m", timeout=20):
    with Client(p.claude_port, timeout=timeout) as c:
        return c.request("POST", "/v1/messages", KEY, b'{"model":"%s","messages":[]}' % model.encode())


def test_changed_address(names, record_property):
    """DNS change: used at most TTL + 1 s later for new requests though old conns are always busy; what is open on the old address goes on to its end, then its conn closes."""
    old = Upstream()
    new = Upstream(host="127.0.0.2", port=old.port)
    open_streams = []

    def script(conn, request):
        if b'"stream"' in request.body:
            conn.stream_head()
            conn.chunk(b"event: ping\ndata: {\"type\":\"ping\"}\n\n")
            open_streams.append(conn)
            threading.Event().wait(30)  # the test goes on with it
        conn.reply(body=b"{}")
    old.script = script
    names.set(moving="127.0.0.1")
    with serve(names, old) as p, Client(p.claude_port) as stream:
        stream.send_request("POST", "/v1/messages", KEY, b'{"model":"m","stream":true,"messages":[]}')
        assert stream.head().status == 200
        stream.until(b"ping\"}\n\n")
        assert ask(p).status == 200
        names.set(moving="127.0.0.2")
        began = time.monotonic()
        while not new.requests:
            assert ask(p).status == 200
            assert time.monotonic() - began < TTL + 1 + 4  # and four for a busy machine
            time.sleep(0.02)
        record_property("seconds", round(time.monotonic() - began, 2))
        before = len(old.requests)
        for _ in range(20):
            assert ask(p).status == 200
        assert len(old.requests) == before
        (conn,) = open_streams
        conn.chunk(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
        conn.last_chunk()
        stream.until(b"message_stop\"}\n\n")
        stream.body()
        assert conn.wait_closed(5)
    old.close()
    new.close()


def test_failure_keeps_the_last_good_answer(names):
    """NXDOMAIN or SERVFAIL: the last good address serves for DNS_STALE_SECONDS, then 502; once the name is back all is well."""
    up = Upstream()
    names.set(moving="127.0.0.1")
    with serve(names, up, DNS_TTL="0.2", DNS_STALE_SECONDS=4, HTTP_MAX_KEEPALIVE=0) as p:
        assert ask(p).status == 200
        names.set(moving="fail")
        began = time.monotonic()
        time.sleep(0.5)  # the ttl is over
        while time.monotonic() - began < 3:
            assert ask(p).status == 200
            time.sleep(0.2)
        failed = until(lambda: (r := ask(p)).status != 200 and r)
        assert failed.status == 502 and "resolve" in failed.json()["error"]["message"]
        assert time.monotonic() - began > 3
        names.set(moving="127.0.0.1")
        assert until(lambda: ask(p).status == 200)
    up.close()


def test_no_answer_ever_is_502(names):
    up = Upstream()
    names.set(moving="fail")
    with serve(names, up) as p:
        reply = ask(p)
        assert reply.status == 502 and "resolve" in reply.json()["error"]["message"]
    up.close()


def test_a_stalled_resolver_stops_nobody_else(names):
    """Twelve names stall, each with three requests: one look-up for each name; others are served, names that are new included; the stalled ones are 502 after HTTP_CONNECT_TIMEOUT; the end does not wait."""
    up = Upstream()
    names.set(moving="127.0.0.1", other="127.0.0.1", **{h.split(".")[0]: "stall" for h in STALLED})
    with serve(names, up, HTTP_CONNECT_TIMEOUT=6) as p:
        assert ask(p).status == 200
        before = names.calls()
        waiting = [Client(p.claude_port, timeout=30) for _ in range(3 * len(STALLED))]
        for n, c in enumerate(waiting):
            model = STALLED[n % len(STALLED)].split(".")[0].encode()
            c.send_request("POST", "/v1/messages", KEY, b'{"model":"%s","messages":[]}' % model)
        until(lambda: names.calls() >= before + len(STALLED))
        began = time.monotonic()
        assert ask(p, "other").status == 200  # looked up now
        for _ in range(50):
            assert ask(p).status == 200
        assert time.monotonic() - began < 5
        for c in waiting:
            reply = c.head()
            assert reply.status == 502 and b"timed out while resolving" in c.body()
            c.close()
        assert names.calls() < before + len(STALLED) + 20  # moving's and other's are among them
        began = time.monotonic()
    assert time.monotonic() - began < 4
    assert not p.log(event="worker_killed")
    up.close()


def test_a_stalled_refresh_serves_the_last_good_answer(names):
    """Slow DNS of a name that is known: the old address serves after half a second at most, then at once."""
    up = Upstream()
    names.set(moving="127.0.0.1")
    with serve(names, up, DNS_TTL="0.2", HTTP_MAX_KEEPALIVE=0, HTTP_CONNECT_TIMEOUT=30) as p:
        assert ask(p).status == 200
        names.set(moving="stall")
        time.sleep(0.5)
        before = names.calls()
        began = time.monotonic()
        for _ in range(20):
            assert ask(p).status == 200
        assert time.monotonic() - began < 10  # 20 times half a second, if each waited
        assert names.calls() <= before + 1
        names.set(moving="127.0.0.2")  # nobody there: the new answer is used once it comes
        assert until(lambda: ask(p).status == 502)
    up.close()

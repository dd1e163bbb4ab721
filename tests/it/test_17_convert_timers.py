"""How long converted streams are held back and kept alive (C4.0, E207, E208), with the settings
that users have: 10 s and 15 s of real time, all pairs at once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grammar
import pytest
from test_17_convert_streams import (BODIES, KEY, PAIRS, PATHS, PROTOCOLS, begin, delta, finish,
                                     only)
from upstream import Upstream
from wire import Client, events

pytestmark = pytest.mark.timeout(120)
COMMENT = ("", ": ping")  # before a stream's first event, and always for Chat
PINGS = {"messages": ("ping", '{"type":"ping"}'), "chat": COMMENT,
         "responses": ("keepalive", '{"type":"keepalive"}')}
ERROR = {"messages": ["error"], "chat": [""], "responses": ["error", "response.failed"]}


class Case:
    """One client of one pair: what it got, and when."""

    def __init__(self, pair, way):
        self.upstream, self.client = pair
        self.way = way
        self.go_on = threading.Event()

    def script(self, c):
        """mute: no status; start: nothing that is content; quiet: silent behind some text."""
        if self.way != "mute":
            c.stream_head()
            whole = begin(self.upstream)
            first = whole.index(b"\n\n") + 2
            c.chunk(whole[:first] if self.way == "start" else
                    whole + delta(self.upstream, "one"))
        self.go_on.wait(60)
        if self.way == "quiet":
            c.chunk(finish(self.upstream))
            c.last_chunk()
        else:
            c.close()

    def ask(self, proxy):
        with Client(proxy.codex_port, timeout=60) as c:
            begun = time.monotonic()
            c.send_request("POST", PATHS[self.client], KEY, json=BODIES[self.client] |
                           {"stream": True, "model": f"{self.client}-{self.way}"})
            self.status = c.head().status
            self.body = b""
            if self.way == "quiet":
                self.body = c.until(b"one")
                begun = time.monotonic()
            ping = COMMENT if self.way == "mute" else PINGS[self.client]
            self.body += c.until(ping[1].encode() + b"\n\n")
            self.waited = time.monotonic() - begun
            self.go_on.set()
            self.body += c.body()


@pytest.fixture(scope="module")
def cases():
    made = {(p, f"{p[1]}-{way}"): Case(p, way)
            for p in PAIRS for way in ("mute", "start", "quiet")}
    by_path = {path: p for p, path in PATHS.items()}
    up = Upstream()

    def script(c, request):
        upstream, model = by_path[request.target], request.json()["model"]
        client = model.split("-")[0]
        made[(upstream, client), model].script(c)

    up.script = script
    proxies = {p: only(up, p) for p in PROTOCOLS}
    try:
        with ThreadPoolExecutor(len(made)) as pool:
            list(pool.map(lambda case: case.ask(proxies[case.upstream]), made.values()))
        yield made
    finally:
        for p in proxies.values():
            p.stop()
        up.close()


@pytest.fixture
def case(cases, request):
    pair, way = request.param
    return cases[pair, f"{pair[1]}-{way}"]


def of(*ways):
    return pytest.mark.parametrize("case", [(p, way) for p in PAIRS for way in ways], indirect=True,
                                   ids=lambda v: f"{v[0][0]}-{v[0][1]}-{v[1]}")


@of("mute", "start")
def test_the_head_goes_out_after_10_s(case):
    """Silence, or a start that is not content: then the head, and an error is an event of the
    stream; a Responses client gets response.created before it."""
    assert case.status == 200 and 9 < case.waited < 40
    assert grammar.outcome(case.client, case.body) == "error", case.body
    seen = [e for e in events(case.body) if e != COMMENT]
    names = [e[0] for e in seen if e != PINGS[case.client]]
    assert names[-len(ERROR[case.client]):] == ERROR[case.client]
    if case.client == "responses":
        assert names[0] == "response.created"
    elif case.way == "mute":
        assert len(seen) == 1


@of("quiet")
def test_a_keep_alive_after_15_s(case):
    assert case.status == 200 and 14 < case.waited < 45
    assert events(case.body).count(PINGS[case.client]) == 1
    assert grammar.check(case.client, case.body) == []
    assert grammar.outcome(case.client, case.body) == "complete"

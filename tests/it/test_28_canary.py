"""One canary key of each kind, through every path: none may come out anywhere.

reliability.md section 7, last row, and section 8. Where a search finds nothing, a control shows
that it would have found something.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from proxy import SANITIZED, Proxy, until
from wire import Client

CLIENT = "sk-client-canary-5d1c9a"
SERVER = "sk-server-canary-77e0b4"
FURTHER = "sk-further-canary-01aa9f"  # an upstream's of CONFIG_FILE
TUNNEL = "tunnel-canary-c0ffee11"  # the password of an outbound proxy
SECRET = "session-canary-8a8a8a8a"
UNSET = "sk-unset-canary-4f4f4f4f"  # in the environment, but no setting
CANARIES = (CLIENT, SERVER, FURTHER, TUNNEL, SECRET, UNSET)
BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def found_in(text):
    """The canaries in this text; a piece of one counts."""
    if isinstance(text, str):
        text = text.encode()
    return [x for x in CANARIES if x[:14].encode() in text]


# --- memory ---

def memory(pid):
    """(name, whether a core file would have it, bytes) of each readable mapping."""
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            if m := re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+ *(.*)", line):
                start, end, rights, name = int(m[1], 16), int(m[2], 16), m[3], m[4]
            elif line.startswith("VmFlags:") and rights[0] == "r" and name[:2] != "[v":
                mem.seek(start)
                yield name, "dd" not in line.split(), mem.read(end - start)


def in_memory(pid, text):
    return [(name, dumped) for name, dumped, data in memory(pid) if text.encode() in data]


@contextlib.contextmanager
def two_keys(sim, **settings):
    """Claude with the client's key, codex with the server's."""
    with Proxy(ANTHROPIC_BASE_URL=sim.url, OPENAI_BASE_URL=sim.url, CORS_ALLOW_ORIGINS="",
               env={"OPENAI_API_KEY": SERVER, "SESSION_SECRET": SECRET, "SOME_KEY": UNSET},
               **settings) as p:
        yield p


@pytest.mark.skipif(SANITIZED, reason="sanitizers keep freed memory for a while")
@pytest.mark.skipif(os.geteuid() != 0, reason="reads the memory of other processes")
def test_keys_in_memory(sim):
    """The client's only while its request runs, ours in pages that no core file has."""
    with two_keys(sim) as p:
        for stream in (True, False, True):
            with Client(p.claude_port) as c:
                for key in ({"x-api-key": CLIENT}, {"authorization": f"Bearer {CLIENT}"}):
                    assert c.request("POST", "/v1/messages", key,
                                     json=BODY | {"stream": stream}).status == 200
            with Client(p.codex_port) as c:
                assert c.request("POST", "/v1/responses", {"authorization": f"Bearer {CLIENT}"},
                                 json={"model": "m", "input": "hi"}).status == 200
        with Client(p.claude_port) as c:  # its bytes lie over those of the last request
            assert c.request("GET", "/health").status == 200
        [worker] = p.workers()
        for pid in (worker, p.process.pid):
            places = in_memory(pid, SERVER)
            assert places and not any(dumped for _, dumped in places), places
            for text in (CLIENT, SECRET, UNSET):
                assert not [x for x in in_memory(pid, text) if x[1]], text
        assert in_memory(worker, "cc-proxy")  # this search does find texts

"""Bodies go to the client and to the upstream, and nowhere else (reliability.md section 8).

strace sees every byte that supervisor and workers give to the kernel. What it must not find is
looked for where it is: with request dumps on, the same search finds it in their files.
"""

import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import subprocess

import pytest
from proxy import SANITIZED, Proxy
from upstream import Upstream
from wire import Client

ASKED, SAID, KEY = "prompt-canary-3b7e1f", "answer-canary-90c4d2", "sk-trace-canary-f00d55"
TEXT = {"model": "m", "max_tokens": 9, "system": f"be {ASKED}",
        "messages": [{"role": "user", "content": ASKED}]}
INPUT = {"model": "m", "input": ASKED}
CALLS = ("write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg,sendfile,splice,vmsplice,"
         "tee,copy_file_range,open,openat,creat,memfd_create,mkdir,mkdirat,symlink,symlinkat,rename,"
         "renameat2,link,linkat,execve,setxattr,fsetxattr,mmap,io_uring_setup,process_vm_writev")
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
           "content": [{"type": "text", "text": SAID}], "stop_reason": "end_turn",
           "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}


class Trace:
    """The system calls of a process and all that it starts, one a line."""

    def __init__(self, pids, path):
        self.path = path
        command = ["strace", "-f", "-yy", "-s", "2097152", "-e", f"trace={CALLS}", "-o", path]
        for pid in pids:
            command += ["-p", str(pid)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.pids = pids
        for _ in pids:
            line = self.process.stderr.readline()
            if "attached" not in line:
                self.process.kill()
                pytest.skip(f"strace may not trace here: {line}")

    def lines(self):
        """They end when the traced have."""
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        return self.path.read_text("utf-8", "surrogateescape").splitlines()


def stream_of(c, pieces, end):
    c.stream_head()
    for piece in pieces:
        c.chunk(f"event: content_block_delta\ndata: {piece}\n\n".encode())
    if end:
        c.last_chunk()
    else:
        c.close()


def answer(c, r):
    how = r.h("x-how") or ""
    if how == "error":
        c.reply(529, body=b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}')
    elif how in ("cut", "stream"):
        delta = '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"}}'
        stream_of(c, [delta % SAID] * 3, how == "stream")
    elif how == "broken":
        c.reply(body=b'{"content": "' + SAID.encode())
    else:
        c.reply(body=json.dumps(MESSAGE).encode())


def ask(port, target, headers=None, **options):
    with Client(port) as c, contextlib.suppress(Exception):  # some are cut
        return c.request("POST", target, {"x-api-key": KEY} | (headers or {}), **options).body
    return b""


def ask_everything(p):
    """All ways of a body: as it is, edited, converted, refused, broken, kept waiting, too long."""
    claude, codex = p.claude_port, p.codex_port
    edited = {"user-agent": "CherryStudio/1.0.0"}
    assert SAID.encode() in ask(claude, "/v1/messages", json=TEXT)
    assert SAID.encode() in ask(claude, "/v1/chat/completions", json=TEXT)
    assert SAID.encode() in ask(claude, "/v1/messages", edited, json=TEXT)
    for how in ("error", "cut", "stream", "broken"):
        for target, body in (("/v1/messages", TEXT), ("/v1/chat/completions", TEXT),
                             ("/v1/responses", INPUT)):
            ask(claude, target, {"x-how": how}, json=body | {"stream": how != "broken"})
    ask(codex, "/v1/responses", json=INPUT)
    ask(codex, "/v1/responses", edited, json=INPUT)
    ask(claude, "/v1/messages", {"content-encoding": "gzip"},
        body=gzip.compress(json.dumps(TEXT).encode()))
    ask(claude, "/v1/messages", json=TEXT | {"x": ASKED * 40_000})  # 800 KB
    ask(claude, "/v1/messages", json=TEXT | {"x": ASKED * 60_000})  # over the limit
    for bad in (f'{{"{ASKED}"', f'{{"model": "{ASKED}", "model": "{ASKED}"}}', f'["{ASKED}"]',
                f'{{"model": 1, "messages": "{ASKED}", "stream": "{ASKED}"}}'):
        for target in ("/v1/messages", "/v1/chat/completions"):
            ask(claude, target, body=bad.encode())
    with Client(claude) as c:  # half of one, then gone
        c.send_request("POST", "/v1/messages", {"x-api-key": KEY}, body=b"{" + ASKED.encode(),
                       length=5000)


OPENED = re.compile(r'open(?:at)?\((?:[^"]*)"(?P<path>[^"]*)", (?P<flags>[A-Z_|]+)')
WRITES = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TMPFILE")


@pytest.mark.skipif(SANITIZED, reason="the leak sanitizer does not work in a traced process")
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may trace what is not dumpable")
@pytest.mark.row("8: logs", "8: privacy")
@pytest.mark.parametrize("dumps", [False, True])
def test_bodies_and_keys_go_to_tcp_conns_only(tmp_path, dumps):
    up = Upstream()
    up.script = answer
    folder = tmp_path / "dumps"
    folder.mkdir()
    with Proxy(ANTHROPIC_BASE_URL=up.url, OPENAI_BASE_URL=up.url, CODEX_DUMP_DIR=folder,
               CODEX_DUMP_REQUESTS=str(dumps).lower(), ADMIN_LISTEN=f"unix:{tmp_path}/admin",
               MAX_BODY_BYTES=1_000_000, LOG_LEVEL="DEBUG", ENVIRONMENT="production",
               ANTHROPIC_PROTOCOLS="messages") as p:
        trace = Trace([p.process.pid, *p.workers()], tmp_path / "trace")
        ask_everything(p)
        p.kill(signal.SIGHUP)  # new workers are traced from their first call on
        p.wait_reload()
        ask_everything(p)
        p.metrics()
    lines = trace.lines()
    ours = f"127.0.0.1:({p.claude_port}|{p.codex_port})"
    tcp = re.compile(r"\d+ +(write|writev|sendto|sendmsg)\(\d+<TCP:\["
                     rf"({ours}->|\S+->127.0.0.1:{up.port}\])")
    with_text = [x for x in lines if any(text in x for text in (ASKED, SAID, KEY))]
    elsewhere = [x for x in with_text if not tcp.match(x)]
    opened = [m for x in lines if (m := OPENED.search(x)) and any(w in m["flags"] for w in WRITES)]
    files = {m["path"] for m in opened if m["path"] != "/dev/null"}
    assert len(with_text) > 60 and any(KEY in x for x in with_text), len(with_text)
    assert any("memfd_create" in x for x in lines)  # the reload: the supervisor is seen too
    if dumps:
        assert elsewhere and all(f"<{folder}/" in x for x in elsewhere), elsewhere[:3]
        assert files and all(x.startswith(f"{folder}/") for x in files), files
        assert not [x[:300] for x in elsewhere if KEY in x]
    else:
        assert not elsewhere, [x[:600] for x in elsewhere[:5]]
        assert not files and list(folder.iterdir()) == []
    up.close()

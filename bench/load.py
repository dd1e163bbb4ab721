#!/usr/bin/env python3
"""Many streams at once through one worker: are they exact, and what do they cost?

    bench/load.py streams [--streams 1000] [--tokens 100] [--tps 20] [--tls]
    bench/load.py idle    [--streams 1000]        what an open, silent stream takes (up to 9500)
    bench/load.py cancel  [--rounds 200]          from a client's close to the upstream's

Clients speak HTTP/1.1 over raw sockets; the upstream is `cc-proxy mock` in a process of its own,
with --tls over TLS and HTTP/2; `cancel` has an upstream of its own, to see when it is closed.
The exit code is 1 when a stream differs from what the simulator sends without a proxy.
CC_PROXY names the binary; without it build/release/cc-proxy is measured.
"""

import argparse
import asyncio
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/it"))
from proxy import Proxy, Simulator  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
IDLE_S = 30  # two keep-alives
NAME = "stream-{:05d}"  # in the question, hence in the answer: of one length, cut alike
ID = re.compile(rb"msg_[0-9a-f]+")


class Usage:
    """CPU and memory of the one worker of a proxy; the supervisor does nothing meanwhile."""

    def __init__(self, proxy):
        self.pid = proxy.wait_log("claude_service_starting")["pid"]
        self.cpu_before = self.cpu()
        self.rss_before, self.heap_before = self.rss(), self.heap()

    def cpu(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def _field(self, file, name):
        text = Path(f"/proc/{self.pid}/{file}").read_text()
        return int(re.search(rf"^{name}:\s+(\d+)", text, re.M).group(1))

    def rss(self):
        return self._field("status", "VmRSS")

    def peak(self):
        return self._field("status", "VmHWM")

    def heap(self):
        return self._field("smaps_rollup", "Anonymous")


class Client(asyncio.Protocol):
    """Sends one request, keeps what comes until the connection ends."""

    def __init__(self, request):
        self.request = request
        self.parts = []
        self.first = asyncio.get_running_loop().create_future()
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.began = time.monotonic()
        transport.write(self.request)

    def data_received(self, data):
        if not self.first.done():
            self.first.set_result(time.monotonic() - self.began)
        self.parts.append(data)

    def connection_lost(self, exc):
        if not self.over.done():
            self.over.set_result(exc)


def request(i, **headers):
    body = json.dumps({"model": "claude-sonnet-4-5", "max_tokens": 1000000, "stream": True,
                       "messages": [{"role": "user", "content": NAME.format(i)}]})
    lines = ["POST /v1/messages HTTP/1.1", "host: localhost", "x-api-key: sk-load",
             "content-type: application/json", "connection: close", f"content-length: {len(body)}"]
    lines += [f"{n.replace('_', '-')}: {v}" for n, v in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def dechunk(raw):
    """The body, or None when the last chunk is missing or something follows it."""
    body, at = [], 0
    while True:
        end = raw.find(b"\r\n", at)
        size = int(raw[at:end], 16) if end > at else -1
        if size < 0 or raw[end + 2 + size : end + 4 + size] != b"\r\n":
            return None
        if size == 0:
            return b"".join(body) if end + 4 == len(raw) else None
        body.append(raw[end + 2 : end + 2 + size])
        at = end + 4 + size


def events(parts):
    """The events of a whole reply, its identifiers taken out; None when it is not whole."""
    head, _, rest = b"".join(parts).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        return None
    body = dechunk(rest)
    if body is None or not body.endswith(b"\n\n"):
        return None
    return ID.sub(b"msg_", body).split(b"\n\n")[:-1]


async def connect(port, n, **headers):
    loop = asyncio.get_running_loop()
    pairs = await asyncio.gather(*(
        loop.create_connection(lambda i=i: Client(request(i, **headers)), "127.0.0.1", port)
        for i in range(1, n + 1)))
    return [client for _, client in pairs]


async def reference(tokens):
    """What one stream is without a proxy."""
    sim = Simulator()
    client, = await connect(sim.port, 1, x_mock_tokens=tokens)
    await client.over
    sim.stop()
    found = events(client.parts)
    assert found and sum(b"text_delta" in e for e in found) == tokens
    return found


async def measure_streams(proxy, n, tokens, tps):
    one = await reference(tokens)
    usage = Usage(proxy)
    began = time.monotonic()
    clients = await connect(proxy.claude_port, n, x_mock_tokens=tokens, x_mock_tps=tps)
    await asyncio.gather(*(c.over for c in clients))
    seconds, cpu = time.monotonic() - began, usage.cpu() - usage.cpu_before
    wrong = 0
    for i, client in enumerate(clients, 1):
        name = NAME.format(i).encode()
        expected = [e.replace(NAME.format(1).encode(), name) for e in one]
        wrong += events(client.parts) != expected
    firsts = sorted(c.first.result() for c in clients if c.first.done())
    return {
        "streams": n, "events_per_stream": len(one), "wrong_streams": wrong,
        "seconds": round(seconds, 2),
        "first_byte_ms_p50": round(1e3 * statistics.median(firsts), 1),
        "first_byte_ms_max": round(1e3 * firsts[-1], 1),
        "cpu_seconds": round(cpu, 2), "cpu_us_per_event": round(1e6 * cpu / n / len(one), 2),
        "rss_idle_kib": usage.rss_before, "rss_peak_kib": usage.peak(),
    }


async def new_requests(port, n=200):
    """Milliseconds of short streams, one after the other, sorted."""
    took = []
    for _ in range(n):
        client, = await connect(port, 1, x_mock_tokens=2)
        await client.over
        took.append(1e3 * (time.monotonic() - client.began))
        assert events(client.parts)
    return sorted(took)


async def measure_idle(proxy, n):
    before = await new_requests(proxy.claude_port)
    usage = Usage(proxy)
    clients = []
    while len(clients) < n:
        some = await connect(proxy.claude_port, min(500, n - len(clients)), x_mock_fault="stall")
        await asyncio.gather(*(c.first for c in some))
        clients += some
    await asyncio.sleep(2.5)  # the few events before the silence; what is free goes back
    heap, rss = usage.heap(), usage.rss()
    cpu = usage.cpu()
    await asyncio.sleep(IDLE_S)
    cpu = usage.cpu() - cpu
    among = await new_requests(proxy.claude_port)
    open_ = sum(not c.over.done() for c in clients)
    for c in clients:
        c.transport.abort()
    return {"streams": n, "wrong_streams": n - open_,
            "heap_kib_per_stream": round((heap - usage.heap_before) / n, 1),
            "rss_idle_kib": usage.rss_before, "rss_kib": rss,
            "cpu_percent_idle": round(100 * cpu / IDLE_S, 2),
            "request_ms_p50_before": round(before[100], 2), "request_ms_p50": round(among[100], 2),
            "request_ms_p99_before": round(before[197], 2), "request_ms_p99": round(among[197], 2)}


class Silent:
    """An upstream that opens a stream, then waits for its end."""

    HEAD = (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n16\r\nevent: ping\ndata: {}\n\n\r\n")

    async def serve(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", head).group(1))
            await reader.readexactly(length)
            writer.write(self.HEAD)
            await reader.read(1)
        except (OSError, asyncio.IncompleteReadError):
            pass
        self.closed.set_result(time.monotonic())
        writer.close()

    async def start(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return server, server.sockets[0].getsockname()[1]


async def measure_cancel(rounds):
    up = Silent()
    server, port = await up.start()
    took = []
    with Proxy(ANTHROPIC_BASE_URL=f"http://127.0.0.1:{port}") as proxy:
        for i in range(rounds):
            up.closed = asyncio.get_running_loop().create_future()
            client, = await connect(proxy.claude_port, 1)
            await client.first
            gone = time.monotonic()
            client.transport.abort() if i % 2 else client.transport.close()
            took.append(1e3 * (await asyncio.wait_for(up.closed, 5) - gone))
        server.close()
    took.sort()
    return {"rounds": rounds, "cancel_ms_p50": round(statistics.median(took), 2),
            "cancel_ms_p99": round(took[len(took) * 99 // 100 - 1], 2),
            "cancel_ms_max": round(took[-1], 2)}


def certificate(folder):
    pair = f"{folder}/cert.pem", f"{folder}/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-out", pair[0], "-keyout", pair[1]],
                   check=True, capture_output=True)
    return pair


def with_proxy(measure, *args, tls=False):
    """Runs measure(proxy, *args) on a proxy in front of a simulator."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sim = None
    try:
        with tempfile.TemporaryDirectory() as folder:
            pair = certificate(folder) if tls else None
            sim = Simulator(tls=pair)
            more = {"UPSTREAM_CA_FILE": pair[0]} if tls else {}
            with Proxy(ANTHROPIC_BASE_URL=sim.url, HTTP_MAX_CONNECTIONS=10000, wait=False,
                       **more) as proxy:
                proxy.wait_ready()
                return asyncio.run(measure(proxy, *args))
    finally:
        if sim:
            sim.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def main():
    args = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("what", choices=["streams", "idle", "cancel"])
    args.add_argument("--streams", type=int, default=1000)
    args.add_argument("--tokens", type=int, default=100)
    args.add_argument("--tps", type=float, default=20)
    args.add_argument("--tls", action="store_true")
    args.add_argument("--rounds", type=int, default=200)
    a = args.parse_args()
    if a.what == "streams":
        result = with_proxy(measure_streams, a.streams, a.tokens, a.tps, tls=a.tls)
    elif a.what == "idle":
        result = with_proxy(measure_idle, a.streams, tls=a.tls)
    else:
        result = asyncio.run(measure_cancel(a.rounds))
    for name, value in result.items():
        print(f"{name:22} {value}")
    return 1 if result.get("wrong_streams") else 0


if __name__ == "__main__":
    sys.exit(main())

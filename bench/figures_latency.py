"""Time: added to a request, to the first event, from a client's close to the upstream's, to serve."""

import contextlib
import os
import shutil
import statistics
import struct
import subprocess
import time

import yardsticks
from figures_request import MESSAGES_REPLY, check, post, request_body
from figures_stream import request_file
from measure import Figure, cpu_us, percentile

REQUESTS = 2000  # per program and round


@contextlib.contextmanager
def awake():
    """Keeps cores from halting between requests: waking them takes tens of microseconds, in a
    virtual machine most of all, and is no program's doing.  Nothing is changed without root."""
    try:
        fd = os.open("/dev/cpu_dma_latency", os.O_WRONLY)  # in force while it is open
    except OSError:
        yield
        return
    try:
        os.write(fd, struct.pack("i", 0))
        yield
    finally:
        os.close(fd)


def timed(bench, file, ports):
    """Of each port: p50, p99, max of whole replies, then of first events; microseconds."""
    with awake():
        out = bench.traffic("latency", file, REQUESTS, *ports)
    return [[int(v) / 1e3 for v in line.split()] for line in out.splitlines()]


def latency(bench):
    up = bench.upstream(MESSAGES_REPLY)
    nginx, own = bench.nginx_proxy(up.port), bench.cc_proxy(up.port)
    check(own.port, request_body(1200))
    file = request_file(bench, request_body(1200))
    rounds = [timed(bench, file, [up.port, nginx.port, own.port])
              for _ in range(bench.options.rounds)]
    yield from differences(rounds, 0, "Added latency, p50", 60)
    yield from differences(rounds, 1, "Added latency, p99", 150)


def first_event(bench):
    up = bench.talk("upstream", 0, "messages", 1, 0)
    nginx, own = bench.nginx_proxy(up.port, stream=True), bench.cc_proxy(up.port)
    file = request_file(bench, request_body(1200, stream=True))
    rounds = [timed(bench, file, [up.port, nginx.port, own.port])
              for _ in range(bench.options.rounds)]
    yield from differences(rounds, 3, "Added time to the first event, p50", 80)


def differences(rounds, column, name, limit):
    direct = statistics.median(r[0][column] for r in rounds)
    for title, program, most in ((name, 2, limit), ("  the same: nginx", 1, None)):
        values = [r[program][column] - r[0][column] for r in rounds]
        yield Figure(title, statistics.median(values), "µs", most, rounds=values,
                     note=f"a direct request takes {direct:.0f} µs")


def cancel(bench):
    """Before the first byte (streaming or not), and behind an event."""
    phases = (("waiting, not streaming", False, ()), ("waiting for a stream", True, ()),
              ("in a stream", True, ("stream",)))
    count = 200
    for name, stream, more in phases:
        up = yardsticks.free_port()
        nginx, own = bench.nginx_proxy(up, stream=True), bench.cc_proxy(up)
        file = request_file(bench, request_body(1200, stream=stream))
        took = {}
        for program in (nginx, own):
            out = bench.traffic("cancel", up, program.port, file, count, *more)
            took[program.port] = [int(v) / 1e6 for v in out.split()]
        values, reference = took[own.port], took[nginx.port]
        yield Figure(f"Cancel {name}, p50", statistics.median(values), "ms", rounds=values,
                     note=f"nginx {statistics.median(reference):.2f} ms")
        yield Figure("  p99", percentile(values, 0.99), "ms", 10)
        yield Figure("  max", max(values), "ms", 100)
        yield Figure("  nginx: p50", statistics.median(reference), "ms")


def start(bench):
    up = bench.upstream(MESSAGES_REPLY)
    body, took, cpu = request_body(1200), [], []
    for _ in range(3 * bench.options.rounds):
        begun = time.monotonic()
        proxy = bench.cc_proxy(up.port, wait=False)
        while True:
            try:
                post(proxy.port, body)
                break
            except ConnectionRefusedError:
                time.sleep(0.0002)
        took.append(1e3 * (time.monotonic() - begun))
        cpu.append(cpu_us(proxy.pid) / 1e3)
        bench.stop(proxy)
    yield Figure("Start to the first 200", statistics.median(took), "ms", 30, rounds=took)
    yield Figure("  CPU time of it", statistics.median(cpu), "ms", rounds=cpu)
    stripped = bench.path("stripped")
    shutil.copy(yardsticks.BINARY, stripped)
    subprocess.run(["strip", stripped], check=True)
    yield Figure("Stripped binary", stripped.stat().st_size / (1 << 20), "MiB", 1.5)

#!/usr/bin/env python3
"""Half load for a long time: do memory, descriptors, threads and latency stay flat?

    bench/soak.py [--minutes 30] [--rate N] [--json build/soak.json]

Passed through and converted, streams, errors, clients that leave, HTTP/1 and HTTP/2, clear text
and TLS, at once, from h2load; upstream is the simulator.  The rate is half of what all of it
together reaches at the start without a limit; --rate sets it.  Every ten seconds
memory, descriptors and threads of all processes are read, every minute the percentiles.  Judged
are the last two thirds: the growth that a line of least squares has from their begin to their end.
Fails when one grows by more than its bound, or a request is not answered as it must be.
CC_PROXY names another binary than build/release/cc-proxy.
"""

import argparse
import json
import math
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/it"))
from load import certificate  # noqa: E402
from measure import machine, memory_kib, processes, versions  # noqa: E402
from proxy import BINARY, ROOT, Simulator, environment  # noqa: E402
from yardsticks import free_port, wait_port  # noqa: E402

SAID = [{"role": "user", "content": "What is a proxy? " * 60}]
BODIES = {
    "messages": {"model": "claude-sonnet-4-5", "max_tokens": 999, "messages": SAID},
    "responses": {"model": "gpt-5", "input": SAID},
    "chat": {"model": "gpt-5", "messages": SAID},
}
PATHS = {"messages": "/v1/messages", "responses": "/v1/responses", "chat": "/v1/chat/completions"}
# name: share of the rate, front, protocol, whether a stream, HTTP/1, headers, status
LANES = {
    "passed through": (0.25, "clear", "messages", False, True, [], "2xx"),
    "passed through, HTTP/2": (0.2, "clear", "messages", False, False, [], "2xx"),
    "stream": (0.1, "clear", "messages", True, True, ["x-mock-tokens: 20"], "2xx"),
    "converted": (0.15, "converting", "responses", False, True, [], "2xx"),
    "converted stream, HTTP/2": (0.1, "converting", "messages", True, False,
                                 ["x-mock-tokens: 20"], "2xx"),
    "TLS, HTTP/2": (0.1, "tls", "messages", False, False, [], "2xx"),
    "TLS, converted": (0.04, "tls", "chat", False, True, [], "2xx"),
    "error of the upstream": (0.03, "clear", "messages", False, True, ["x-mock-fault: status-529"],
                              "5xx"),
    "refused": (0.03, "clear", None, False, False, [], "4xx"),
}
SLOW = 50  # streams of 40 s besides, one round of them each minute
CLIENTS = 8  # connections of each lane
LEAVE_PER_SECOND = 20  # clients that leave in the middle of a stream
SAMPLE_S = 10
# name: unit, the growth allowed as a part of the mean, and at least
BOUNDS = {"RSS": ("KiB", 0.03, 512), "RssAnon": ("KiB", 0.03, 512), "descriptors": ("", 0.03, 4),
          "threads": ("", 0, 0.5), "p50": ("µs", 0.2, 50), "p99": ("µs", 0.3, 500)}


def serve(**settings):
    """As in production: its log is written, and nobody reads it."""
    command = [BINARY, "serve", "--quiet", "--env-file", "/dev/null"]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            env=environment())


class Fronts:
    """Proxies before simulators: {name: URL}."""

    def __init__(self):
        self.proxies, self.sims = [], []

    def start(self, folder):
        pair = certificate(folder)
        self.sims = [Simulator(), Simulator(tls=pair, ca=pair[0])]
        clear, tls = self.sims
        ports = [free_port() for _ in range(3)]
        limits = {"HTTP_MAX_CONNECTIONS": 1000, "WORKERS": 2, "ANTHROPIC_PROTOCOLS": "messages"}
        self.proxies = [
            serve(CLAUDE_SERVICE_PORT=ports[0], CODEX_SERVICE_PORT=ports[1], **limits,
                  ANTHROPIC_BASE_URL=clear.url, OPENAI_BASE_URL=clear.url + "/v1",
                  OPENAI_PROTOCOLS="chat"),
            serve(CLAUDE_SERVICE_PORT=ports[2], SERVICES="claude", ANTHROPIC_BASE_URL=tls.url,
                  TLS_CERT_FILE=pair[0], TLS_KEY_FILE=pair[1], UPSTREAM_CA_FILE=pair[0], **limits)]
        for port in ports:
            wait_port(port)
        time.sleep(1)  # of several workers, all serve
        self.port = ports[0]
        self.urls = {"clear": f"http://127.0.0.1:{ports[0]}",
                     "converting": f"http://127.0.0.1:{ports[1]}",
                     "tls": f"https://127.0.0.1:{ports[2]}"}

    def sample(self):
        """Of all processes together."""
        pids = [p for front in self.proxies for p in processes(front.pid)]
        return {"RSS": sum(memory_kib(p, "status", "VmRSS") for p in pids),
                "RssAnon": sum(memory_kib(p, "status", "RssAnon") for p in pids),
                "descriptors": sum(len(os.listdir(f"/proc/{p}/fd")) for p in pids),
                "threads": sum(memory_kib(p, "status", "Threads") for p in pids)}

    def stop(self):
        for p in self.proxies:
            p.terminate()
        for p in self.proxies:
            p.wait(20)
        for sim in self.sims:
            sim.stop()


class Lane:
    """One h2load: so many requests, at this rate or as fast as it can."""

    def __init__(self, folder, name, urls, count, rate=0, slow=False):
        share, front, protocol, stream, http1, headers, self.wanted = LANES[name]
        file = re.sub(r"\W+", "-", name) + "-slow" * slow
        self.name, self.log, body = name, folder / f"{file}.log", folder / f"{file}.json"
        body.write_text(json.dumps(BODIES[protocol] | {"stream": stream}) if protocol else "{")
        headers = ["x-mock-tokens: 80", "x-mock-tps: 2"] if slow else headers
        clients = SLOW if slow else min(CLIENTS, max(1, int(rate) // 4)) if rate else CLIENTS
        command = ["h2load", f"-c{clients}", "-m1" if http1 or slow else "-m4", f"-d{body}",
                   "-Hcontent-type: application/json", "-Hx-api-key: sk-soak",
                   *(f"-H{h}" for h in headers)]
        command += ["--h1"] * http1
        command += [f"-n{max(count, clients)}"]
        command += [f"--rps={rate / clients:.2f}"] * bool(rate)
        command += [f"--log-file={self.log}"] * (not slow)
        self.slow = slow
        self.process = subprocess.Popen([*command, urls[front] + PATHS[protocol or "messages"]],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self, timeout):
        """(requests, those not answered as they must be, microseconds of each)"""
        try:
            text, _ = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            text, _ = self.process.communicate()
        found = re.search(r"requests: (\d+) total", text)
        good = re.search(rf"(\d+) {self.wanted}", text)
        total = int(found.group(1)) if found else 1
        right = int(good.group(1)) if good else 0
        took = []
        if not self.slow and self.log.exists():
            took = [int(x.split("\t")[2]) for x in self.log.read_text().splitlines()]
            self.log.unlink()
        if right != total:
            print(f"{self.name}: {right} of {total} as they must be\n{text[-600:]}", flush=True)
        return total, total - right, took


class Leaving(threading.Thread):
    """Clients that leave in the middle of a stream."""

    def __init__(self, fronts):
        super().__init__(daemon=True)
        self.fronts, self.over, self.left, self.wrong = fronts, threading.Event(), 0, 0
        body = json.dumps(BODIES["messages"] | {"stream": True}).encode()
        self.request = (b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\n"
                        b"x-mock-tps: 20\r\nx-mock-tokens: 200\r\n"
                        b"content-type: application/json\r\n"
                        b"content-length: %d\r\n\r\n%s" % (len(body), body))

    def run(self):
        while not self.over.wait(1 / LEAVE_PER_SECOND):
            try:
                with socket.create_connection(("127.0.0.1", self.fronts.port), timeout=20) as c:
                    c.sendall(self.request)
                    self.wrong += not c.recv(4096).startswith(b"HTTP/1.1 200")
            except OSError:
                self.wrong += 1
            self.left += 1


class Sampler(threading.Thread):
    def __init__(self, fronts):
        super().__init__(daemon=True)
        self.fronts, self.over, self.samples = fronts, threading.Event(), []

    def run(self):
        began = time.monotonic()
        while not self.over.wait(began + (len(self.samples) + 1) * SAMPLE_S - time.monotonic()):
            self.samples.append({"s": time.monotonic() - began} | self.fronts.sample())


def saturation(folder, fronts):
    """Requests per second when each lane does its share as fast as it can."""
    for count in (4000, 40000):  # the first for what is allocated once
        began = time.monotonic()
        lanes = [Lane(folder, name, fronts.urls, round(count * of[0]))
                 for name, of in LANES.items()]
        done = sum(lane.finish(120)[0] for lane in lanes)
        rate = done / (time.monotonic() - began)
    return rate


def minute(folder, fronts, rate, seconds):
    """Runs all lanes; what they tell, added up."""
    began = time.monotonic()
    lanes = [Lane(folder, name, fronts.urls, round(rate * of[0] * seconds), rate * of[0])
             for name, of in LANES.items()]
    lanes.append(Lane(folder, "stream", fronts.urls, SLOW, slow=True))
    told = [lane.finish(4 * seconds) for lane in lanes]
    took = sorted(t for _, _, times in told for t in times) or [math.inf]
    return {"s": began, "seconds": time.monotonic() - began, "requests": sum(t[0] for t in told),
            "wrong": sum(t[1] for t in told), "p50": statistics.median(took),
            "p99": took[len(took) * 99 // 100]}


def judge(name, points):
    """points: (seconds, value), of which the last two thirds count."""
    unit, part, least = BOUNDS[name]
    points = points[len(points) // 3:]
    values = [v for _, v in points]
    bound = max(least, part * statistics.mean(values))
    slope = 0
    if len(points) > 1:
        slope = statistics.linear_regression([s for s, _ in points], values).slope
    growth = slope * (points[-1][0] - points[0][0])
    return {"unit": unit, "mean": statistics.mean(values), "slope_per_hour": slope * 3600,
            "growth": growth, "range": max(values) - min(values), "samples": len(points),
            "bound": f"growth ≤ {bound:.4g} {unit}".rstrip(), "flat": growth <= bound}


def soak(a, folder):
    fronts = Fronts()
    sampler, leaving = Sampler(fronts), Leaving(fronts)
    try:
        fronts.start(folder)
        full = 0 if a.rate else saturation(folder, fronts)
        rate = a.rate or full / 2
        print(f"at most {full:.0f} requests/s; now {rate:.0f}/s for {a.minutes:g} min", flush=True)
        sampler.start()
        leaving.start()
        minutes = []
        while sum(m["seconds"] for m in minutes) < 60 * a.minutes - 1:
            minutes.append(minute(folder, fronts, rate, min(60, 60 * a.minutes)))
            last = minutes[-1] | (sampler.samples[-1] if sampler.samples else {})
            print("  ".join(f"{n} {last[n]:.0f}" for n in (
                "seconds", "requests", "wrong", *BOUNDS) if n in last), flush=True)
    finally:
        for thread in (sampler, leaving):
            thread.over.set()
            thread.is_alive() and thread.join()
        fronts.stop()
    of_samples = {n: [(x["s"], x[n]) for x in sampler.samples] for n in list(BOUNDS)[:4]}
    of_minutes = {n: [(m["s"], m[n]) for m in minutes] for n in ("p50", "p99")}
    return {"machine": machine(), "versions": versions(BINARY),
            "minutes": round(sum(m["seconds"] for m in minutes) / 60, 1),
            "most": full, "rate": rate,
            "requests": sum(m["requests"] for m in minutes) + leaving.left,
            "wrong": sum(m["wrong"] for m in minutes) + leaving.wrong, "left": leaving.left,
            "judged": {n: judge(n, p) for n, p in (of_samples | of_minutes).items()},
            "by_minute": minutes, "samples": sampler.samples}


def main():
    args = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--minutes", type=float, default=30)
    args.add_argument("--rate", type=float, help="requests per second (default: half of the most)")
    args.add_argument("--json", type=Path, default=ROOT / "build/soak.json")
    a = args.parse_args()
    if not shutil.which("h2load"):
        sys.exit("soak: h2load is missing (package nghttp2-client)")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        found = soak(a, Path(folder))
    a.json.parent.mkdir(parents=True, exist_ok=True)
    a.json.write_text(json.dumps(found, indent=1))
    for name, f in found["judged"].items():
        print(f"{name:12} mean {f['mean']:9.1f} {f['unit']:3} slope {f['slope_per_hour']:9.1f}/h "
              f"max - min {f['range']:8.1f} growth {f['growth']:8.1f}  {f['bound']:22} "
              f"{'flat' if f['flat'] else 'GROWS'}")
    print(f"{found['wrong']} of {found['requests']} requests not as they must be; {a.json}")
    return 1 if found["wrong"] or not all(f["flat"] for f in found["judged"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())

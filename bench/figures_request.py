"""CPU time per request: passed through, converted, over HTTP/2, and with 1 MiB of body."""

import http.client
import json
import re
import statistics
import subprocess
import sys

import measure
from measure import Figure, against

HEADERS = {"content-type": "application/json", "x-api-key": "sk-bench",
           "user-agent": "CherryStudio/1.0.0", "anthropic-version": "2023-06-01"}
PATH = "/v1/messages"
USAGE = {"input_tokens": 10, "output_tokens": 20}
MESSAGES_REPLY = json.dumps({
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "x" * 600}], "usage": USAGE})
CHAT_REPLY = json.dumps({
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "x" * 600},
         "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}})


def request_body(size, **more):
    """What Cherry Studio sends, this long: its adapter edits system, sampling and metadata."""
    body = {"model": "claude-sonnet-4-5", "max_tokens": 4096, "temperature": 0.7, "top_p": 1,
            "system": "You are a helpful assistant.",
            "messages": [{"role": "user", "content": "Why is the sky blue?"},
                         {"role": "assistant", "content": "Because of Rayleigh scattering."},
                         {"role": "user", "content": ""}]} | more
    words = "Please explain it in more detail, and give an example.\n"
    missing = size - len(json.dumps(body))
    text = words * (missing // (len(words) + 1))
    body["messages"][-1]["content"] = text + "x" * (missing - len(json.dumps(text)) + 2)
    return json.dumps(body)


def post(port, body):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    c.request("POST", PATH, body, HEADERS)
    r = c.getresponse()
    text = r.read()
    c.close()
    if r.status != 200:
        sys.exit(f"status {r.status}: {text[:500]!r}")
    return r


def check(port, body, adapter="cherry_studio"):
    """The work that is to be measured is done at all."""
    got = post(port, body).getheader("x-cc-proxy-adapter")
    if got != adapter:
        sys.exit(f"the adapter was {got}, not {adapter}")


def wrk_script(bench, body):
    script = bench.path("post.lua")
    lines = ["wrk.method = 'POST'", f"wrk.body = [==[{body}]==]"]
    lines += [f"wrk.headers['{n}'] = '{v}'" for n, v in HEADERS.items()]
    script.write_text("\n".join(lines))
    return script


def wrk(port, script, seconds, conns=32):
    """Requests that were answered."""
    out = subprocess.run(["wrk", "-t1", f"-c{conns}", f"-d{seconds}s", "-s", script,
                          f"http://127.0.0.1:{port}{PATH}"],
                         capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        sys.exit(f"errors under load:\n{out}")
    return int(re.search(r"(\d+) requests in", out).group(1))


def h2load(port, body_file, seconds):
    out = subprocess.run(["h2load", "-c8", "-m16", "-t1", f"-D{seconds}", f"-d{body_file}",
                          *(f"-H{n}: {v}" for n, v in HEADERS.items()),
                          f"http://127.0.0.1:{port}{PATH}"],
                         capture_output=True, text=True, check=True).stdout
    counts = {n: int(v) for v, n in re.findall(r"(\d+) (succeeded|failed|errored|2xx)", out)}
    if counts["failed"] or counts["errored"] or counts["2xx"] < counts["succeeded"]:
        sys.exit(f"errors under load:\n{out}")
    return counts["2xx"]


def rounds_of(bench, programs, load):
    """CPU microseconds per request of each program, in turn: {name: [one per round]}."""
    cost = {name: [] for name in programs}
    for i in range(bench.options.rounds + 1):
        for name, program in programs.items():
            before = measure.cpu_us(program.pid)
            done = load(program.port, bench.options.seconds if i else 1)
            if i:  # the first one warms up
                cost[name].append((measure.cpu_us(program.pid) - before) / done)
    return cost


def request(bench):
    up = bench.upstream(MESSAGES_REPLY)
    body = request_body(1200)
    programs = {"nginx": bench.nginx_proxy(up.port),
                "nginx+log": bench.nginx_proxy(up.port, log=True),
                "haproxy": bench.haproxy(up.port), "cc-proxy": bench.cc_proxy(up.port)}
    check(programs["cc-proxy"].port, body)
    script = wrk_script(bench, body)
    cost = rounds_of(bench, programs, lambda port, s: wrk(port, script, s))
    yield against("CPU per request, cherry_studio, 1.2 KB", "µs", 1.0, cost, "cc-proxy", "nginx")
    yield against("  the same against nginx's access log", "µs", None, cost, "cc-proxy", "nginx+log")
    yield against("  the same against HAProxy", "µs", None, cost, "cc-proxy", "haproxy")


def convert(bench):
    up = bench.upstream(CHAT_REPLY)
    body = request_body(1200)
    programs = {"nginx": bench.nginx_proxy(up.port),
                "cc-proxy": bench.cc_proxy(up.port, ANTHROPIC_PROTOCOLS="chat")}
    check(programs["cc-proxy"].port, body)
    script = wrk_script(bench, body)
    cost = rounds_of(bench, programs, lambda port, s: wrk(port, script, s))
    yield against("CPU per request, Messages → Chat", "µs", 1.2, cost, "cc-proxy", "nginx")


def h2(bench):
    up = bench.upstream(MESSAGES_REPLY, tls=True)
    body = request_body(1200)
    programs = {"nghttpx": bench.nghttpx(up.port), "cc-proxy": bench.cc_proxy(up.port, tls=True)}
    check(programs["cc-proxy"].port, body)
    file = bench.path("body")
    file.write_text(body)
    cost = rounds_of(bench, programs, lambda port, s: h2load(port, file, s))
    yield against("CPU per request, HTTP/2 to HTTP/2 + TLS", "µs", 1.0, cost, "cc-proxy", "nghttpx")


def body(bench):
    """1 MiB: what the edit adds to passing it on, and what it takes of memory."""
    up = bench.upstream(MESSAGES_REPLY)
    text = request_body(1 << 20)
    programs = {"nginx": bench.nginx_proxy(up.port), "haproxy": bench.haproxy(up.port),
                "cc-proxy": bench.cc_proxy(up.port)}
    check(programs["cc-proxy"].port, text)
    script = wrk_script(bench, text)
    cost = rounds_of(bench, programs, lambda port, s: wrk(port, script, s, conns=1))
    added = [(c - n) / 1e3 for c, n in zip(cost["cc-proxy"], cost["nginx"])]
    yield Figure("1 MiB body: CPU added to nginx's", statistics.median(added), "ms", 1.5,
                 rounds=added)
    yield against("  CPU per request", "µs", None, cost, "cc-proxy", "nginx")
    bench.stop(programs["cc-proxy"])
    peaks = []
    for _ in range(bench.options.rounds):
        proxy = bench.cc_proxy(up.port)
        check(proxy.port, request_body(1200))
        measure.forget_peak(proxy.worker)
        before = measure.memory_kib(proxy.worker, "status", "VmHWM")
        check(proxy.port, text)
        peak = measure.memory_kib(proxy.worker, "status", "VmHWM") - before
        peaks.append(peak * 1024 / len(text))
        bench.stop(proxy)
    yield Figure("1 MiB body: peak memory over the body's size", statistics.median(peaks), "×", 2.2,
                 rounds=peaks)

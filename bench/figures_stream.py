"""CPU time per event of streams: 100 of them, 50 events a second each, one event per write."""

import time

import measure
from figures_request import HEADERS, PATH, request_body
from measure import against

STREAMS, RATE = 100, 50


def request_file(bench, body):
    """The bytes of a whole HTTP/1.1 request."""
    file = bench.path("request")
    lines = [f"POST {PATH} HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
    lines += [f"{n}: {v}" for n, v in HEADERS.items()]
    file.write_text("\r\n".join(lines) + "\r\n\r\n" + body)
    return file


def open_streams(bench, port, file, count, *more):
    """Clients that read `count` streams, all of them begun."""
    clients = bench.talk("streams", port, file, count, *more)
    end = time.monotonic() + 60
    while clients.ask()[0] < count:
        if time.monotonic() > end:
            raise SystemExit(f"streams that begun: {clients.ask()[0]} of {count}")
        time.sleep(0.05)
    return clients


def one_round(bench, program, upstream, file):
    """CPU microseconds per event."""
    clients = open_streams(bench, program.port, file, STREAMS)
    time.sleep(0.5)
    before, events, seen = measure.cpu_us(program.pid), upstream.ask()[0], clients.ask()[1]
    time.sleep(2 * bench.options.seconds)
    cost, sent = measure.cpu_us(program.pid) - before, upstream.ask()[0] - events
    seen = clients.ask()[1] - seen
    if abs(seen - sent) > 0.02 * sent or clients.ask()[2]:
        raise SystemExit(f"the clients got {seen} of {sent} events")
    bench.stop(clients)
    time.sleep(0.3)
    return cost / sent


def per_event(bench, protocol, **settings):
    up = bench.talk("upstream", 0, protocol, RATE, -1)
    programs = {"nginx": bench.nginx_proxy(up.port, stream=True), "haproxy": bench.haproxy(up.port),
                "cc-proxy": bench.cc_proxy(up.port, **settings)}
    file = request_file(bench, request_body(1200, stream=True))
    cost = {name: [] for name in programs}
    for _ in range(bench.options.rounds):
        for name, program in programs.items():
            cost[name].append(one_round(bench, program, up, file))
    return cost


def sse(bench):
    cost = per_event(bench, "messages")
    yield against("CPU per SSE event, passed through", "µs", 1.0, cost, "cc-proxy", "nginx")
    yield against("  the same against HAProxy", "µs", None, cost, "cc-proxy", "haproxy")


def sse_convert(bench):
    cost = per_event(bench, "chat", ANTHROPIC_PROTOCOLS="chat")
    yield against("CPU per SSE event, Chat → Messages", "µs", 1.3, cost, "cc-proxy", "nginx")

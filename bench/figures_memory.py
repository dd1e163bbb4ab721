"""Memory of a worker: idle, per open stream that is silent, per stream that is not read."""

import http.client
import socket
import ssl
import time

import measure
from figures_request import MESSAGES_REPLY, post, request_body
from figures_stream import open_streams, request_file
from measure import Figure

STREAMS, STALLED = 1000, 100
LOG_LINES = 4000  # more than the ring holds
SILENT, FLOOD = 0.0001, 0  # events per second
MANY = {"HTTP_MAX_CONNECTIONS": 2000}


def heap_kib(pid):
    return measure.memory_kib(pid, "status", "RssAnon")


def idle_worker(bench):
    """Of its own, after one request; pages of files that only it has mapped count too."""
    up = bench.upstream(MESSAGES_REPLY)
    values, heaps = [], []
    for _ in range(bench.options.rounds):
        own = bench.cc_proxy(up.port)
        post(own.port, request_body(1200))
        values.append(measure.memory_kib(own.worker, "smaps_rollup", "Private_Clean",
                                         "Private_Dirty") / 1024)
        heaps.append(heap_kib(own.worker) / 1024)
        bench.stop(own)
    yield Figure("Idle worker: private memory", sorted(values)[len(values) // 2], "MiB", 4,
                 rounds=values)
    yield Figure("  of which heap and stacks", sorted(heaps)[len(heaps) // 2], "MiB", rounds=heaps)


def settled(pid):
    """The heap, when it has stopped to change."""
    before = -1
    while (now := heap_kib(pid)) != before:
        before = now
        time.sleep(1)
    return now


def write_log(program, trust=None):
    """Each page of the log's ring, 1 MiB a worker, has been used: it is no stream's."""
    client = (http.client.HTTPSConnection("localhost", program.port, context=trust) if trust else
              http.client.HTTPConnection("127.0.0.1", program.port))
    for _ in range(LOG_LINES):
        client.request("GET", "/no/such/path", headers={"user-agent": "x" * 200})
        client.getresponse().read()
    client.close()


def grown(bench, pid, port, count, *more):
    """KiB of heap per stream that is open."""
    file = request_file(bench, request_body(2048, stream=True))
    one = open_streams(bench, port, file, 1)  # what is made once is there
    before = settled(pid)
    clients = open_streams(bench, port, file, count, *more)
    value = (settled(pid) - before) / count
    if clients.ask()[2]:
        raise SystemExit("streams have ended")
    bench.stop(clients, one)
    return value


def grown_tls(bench, program, count):
    request = request_file(bench, request_body(2048, stream=True)).read_bytes()
    trust = ssl.create_default_context(cafile=bench.certificate()[0])
    write_log(program, trust)
    before, clients = settled(program.worker), []
    for _ in range(count):
        s = trust.wrap_socket(socket.create_connection(("127.0.0.1", program.port)),
                              server_hostname="localhost")
        s.sendall(request)
        clients.append(s)
    for s in clients:
        s.recv(1)
    value = (settled(program.worker) - before) / count
    for s in clients:
        s.close()
    return value


def per_stream(bench):
    up = bench.talk("upstream", 0, "messages", SILENT, -1)
    own = bench.cc_proxy(up.port, **MANY)
    write_log(own)
    value = grown(bench, own.worker, own.port, STREAMS)
    yield Figure("Idle stream, passed through", value, "KiB", 4)
    cert, key = bench.certificate()
    tls = bench.cc_proxy(up.port, TLS_CERT_FILE=cert, TLS_KEY_FILE=key, **MANY)
    yield Figure("Idle stream, TLS to the client", grown_tls(bench, tls, STREAMS), "KiB", 24)
    others = {"HAProxy": bench.haproxy(up.port), "nginx": bench.nginx_proxy(up.port, stream=True)}
    for name, program in others.items():
        pid = measure.processes(program.pid)[-1]
        value = grown(bench, pid, program.port, STREAMS)
        yield Figure(f"  the same, clear: {name}", value, "KiB")
    chat = bench.talk("upstream", 0, "chat", SILENT, -1)
    own = bench.cc_proxy(chat.port, ANTHROPIC_PROTOCOLS="chat", **MANY)
    write_log(own)
    value = grown(bench, own.worker, own.port, STREAMS)
    yield Figure("Idle stream, Chat → Messages", value, "KiB", 8)


def wait_until_it_stops(upstream):
    """Back-pressure has reached it."""
    sent = -1
    for _ in range(60):
        before, sent = sent, upstream.ask()[0]
        if sent == before:
            return
        time.sleep(1)
    raise SystemExit("the upstream still sends")


def stalled(bench):
    for name, protocol in (("passed through", "messages"), ("Chat → Messages", "chat")):
        up = bench.talk("upstream", 0, protocol, FLOOD, -1)
        own = bench.cc_proxy(up.port, ANTHROPIC_PROTOCOLS=protocol, **MANY)
        file = request_file(bench, request_body(2048, stream=True))
        before = settled(own.worker)
        clients = open_streams(bench, own.port, file, STALLED, "stall")
        wait_until_it_stops(up)
        value = (settled(own.worker) - before) / STALLED
        bench.stop(clients, own, up)
        yield Figure(f"Stalled reader, {name}", value, "KiB", 64)


def memory(bench):
    yield from idle_worker(bench)
    yield from per_stream(bench)
    yield from stalled(bench)

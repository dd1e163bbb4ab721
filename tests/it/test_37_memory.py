"""reliability.md section 7: what an idle stream costs a worker, when all are opened at once."""

import http.client
import json
import socket
import ssl
import time

import pytest
from proxy import SANITIZED, Proxy, until
from test_17_convert_streams import BODIES, KEY, PATHS, begin
from upstream import Upstream

STREAMS = 400
LOG_LINES = 4000  # more than the log's ring holds: then it is no stream's
ONCE_KIB = 256  # whatever the number of streams
LIMITS_KIB = {"passed through": 4, "converted": 8, "TLS to the client": 24}


def upstream():
    """Streams that begin and then say nothing."""
    up = Upstream()

    def script(c, r):
        c.stream_head()
        c.chunk(begin("messages" if r.target.endswith("messages") else "chat"))
        c.wait_closed(120)
    up.script = script
    return up


def request_of_2_kib():
    body = BODIES["messages"] | {"stream": True, "system": "x" * 1800}
    text = json.dumps(body).encode()
    lines = [f"POST {PATHS['messages']} HTTP/1.1", "host: localhost",
             "content-type: application/json", f"content-length: {len(text)}"]
    lines += [f"{n}: {v}" for n, v in KEY.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + text


def settled_kib(proxy):
    """The worker looks at its heap once a second."""
    last = [-1]

    def same():
        before, last[0] = last[0], proxy.worker_kib()
        if before != last[0]:
            time.sleep(1.5)
        return before == last[0]
    until(same, 60)
    return last[0]


def write_log(proxy, trust):
    client = (http.client.HTTPSConnection("localhost", proxy.claude_port, context=trust) if trust
              else http.client.HTTPConnection("127.0.0.1", proxy.claude_port))
    for _ in range(LOG_LINES):
        client.request("GET", "/no/such/path", headers={"user-agent": "x" * 200})
        client.getresponse().read()
    client.close()


def open_at_once(proxy, count, trust):
    """Clients that have sent their requests; then all that have read the head."""
    request, clients = request_of_2_kib(), []
    for _ in range(count):
        s = socket.create_connection(("127.0.0.1", proxy.claude_port), timeout=60)
        clients.append(trust.wrap_socket(s, server_hostname="localhost") if trust else s)
    for s in clients:
        s.sendall(request)
    for s in clients:
        assert s.recv(15).startswith(b"HTTP/1.1 200")
    return clients


@pytest.mark.skipif(SANITIZED, reason="memory of its own")
@pytest.mark.parametrize("what", LIMITS_KIB)
@pytest.mark.row("7: memory of an idle stream")
def test_memory_of_an_idle_stream(what, certificates):
    up, more, trust = upstream(), {}, None
    if what == "TLS to the client":
        more = {"TLS_CERT_FILE": certificates.pair[0], "TLS_KEY_FILE": certificates.pair[1]}
        trust = ssl.create_default_context(cafile=certificates.ca)
    if what == "converted":
        more = {"ANTHROPIC_PROTOCOLS": "chat", "STREAM_OPEN_SECONDS": "1"}
    proxy = Proxy(ANTHROPIC_BASE_URL=up.url, HTTP_MAX_CONNECTIONS=str(2 * STREAMS), **more)
    write_log(proxy, trust)
    one = open_at_once(proxy, 1, trust)
    before = settled_kib(proxy)
    clients = open_at_once(proxy, STREAMS, trust)
    per_stream = (settled_kib(proxy) - before) / STREAMS
    print(f"{what}: {per_stream:.2f} KiB per stream")
    for s in one + clients:
        s.close()
    proxy.stop()
    up.close()
    assert per_stream <= LIMITS_KIB[what] + ONCE_KIB / STREAMS

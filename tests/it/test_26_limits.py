"""Every limit on what clients and upstreams send: at the limit minus one, at it, one over it.

reliability.md section 4 names them; the settings and constants are those of ARCHITECTURE.md.
"""

import gzip
import json

import pytest
from frames import DATA, END_HEADERS, END_STREAM, H2, HEADERS, frame
from hpack import Decoder
from proxy import Proxy
from test_24_hostile_requests import Counted, replies, statuses
from upstream import Upstream

BODY_MAX, VALUES_MAX = 10000, 2000
LINE = b"POST /v1/messages HTTP/1.1\r\n"
FIELDS = (b"host: localhost\r\nx-api-key: sk-test\r\ncontent-type: application/json\r\n"
          b"connection: close\r\n")
SMALL = b'{"model":"m","messages":[]}'


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    """A proxy with small limits where those are settings and the defaults would cost time."""
    up = Upstream()
    admin = tmp_path_factory.mktemp("limits") / "admin"
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", ADMIN_LISTEN=f"unix:{admin}",
               MAX_BODY_BYTES=BODY_MAX, MAX_JSON_VALUES=VALUES_MAX) as p:
        yield p, up
    up.close()


def post(fields=b"", body=SMALL, line=LINE):
    return line + FIELDS + fields + b"content-length: %d\r\n\r\n" % len(body) + body


def header(n):
    """A header of n bytes, in fields that are themselves within their limit."""
    pad = n - len(post()) + len(SMALL)
    fields = b""
    while pad > 0:
        size = pad if pad < 8000 else 4000
        fields += b"x: %s\r\n" % (b"a" * (size - 5))
        pad -= size
    return post(fields)


def fields(n):
    return post(b"x: a\r\n" * (n - 5))


def field(n):
    return post(b"x-a: " + b"b" * (n - 3) + b"\r\n")


def target(n):
    return post(line=b"POST /v1/messages?%s HTTP/1.1\r\n" % (b"a" * (n - 13)))


def padded(n):
    return SMALL[:-1] + b" " * (n - len(SMALL)) + b"}"


def body(n):
    return post(body=padded(n))


def chunked(framing, payload=SMALL):
    return LINE + FIELDS + b"transfer-encoding: chunked\r\n\r\n" + framing % (len(payload), payload)


def body_in_chunks(n):
    return chunked(b"%x\r\n%s\r\n0\r\n\r\n", padded(n))


def extension(n):
    return chunked(b"%x;" + b"a" * n + b"\r\n%s\r\n0\r\n\r\n")


def trailer(n):
    return chunked(b"%x\r\n%s\r\n0\r\nx-t: " + b"a" * (n - 3) + b"\r\n\r\n")


def decoded(n):
    return post(b"content-encoding: gzip\r\n", gzip.compress(padded(n)))


def depth(n):
    return post(body=b'{"a":' + b"[" * (n - 1) + b"]" * (n - 1) + b"}")


def values(n):
    """The object, one name, the list, its elements."""
    return post(body=b'{"a":[' + b",".join([b"1"] * (n - 3)) + b"]}")


REQUESTS = [  # name, limit, request of that size, status and reason above it
    ("header bytes", 32 * 1024, header, 431, "head_size"),
    ("header fields", 100, fields, 431, "field_count"),
    ("bytes of a field", 8 * 1024, field, 431, "field_size"),
    ("bytes of the target", 8 * 1024, target, 414, "target_size"),
    ("body", BODY_MAX, body, 413, "body_size"),
    ("body in chunks", BODY_MAX, body_in_chunks, 413, "body_size"),
    ("decoded body", BODY_MAX, decoded, 413, "decoded_size"),
    ("chunk extension", 4096, extension, 400, "chunk_extra"),
    ("trailers", 4096, trailer, 400, "chunk_extra"),
    ("JSON depth", 1024, depth, 400, "json_depth"),
    ("JSON values", VALUES_MAX, values, 413, "json_values"),
]

AROUND = pytest.mark.parametrize("delta", [-1, 0, 1])


def check(p, up, delta, status, reason, send):
    """send() gives the status of what is delta over the limit."""
    up.forget()
    with Counted(p) as counted:
        got = send()
    assert got == (status if delta > 0 else 200)
    assert counted.new == ({reason: 1} if delta > 0 else {})
    assert len(up.requests) == (delta <= 0)


@AROUND
@pytest.mark.parametrize("name, limit, make, status, reason", REQUESTS,
                         ids=[row[0] for row in REQUESTS])
@pytest.mark.row("4: header bombs", "8: limits by default")
def test_http1(stand, name, limit, make, status, reason, delta):
    p, up = stand

    def send():
        got, = statuses(replies(p.claude_port, make(limit + delta)))
        return got

    check(p, up, delta, status, reason, send)


@AROUND
@pytest.mark.row("4: body decompression", "8: limits by default")
def test_ratio_of_decoding(raw, delta):
    """Beyond the first MiB, 100 decoded bytes for each coded one; the coded size is set by a file name in gzip's head, which decodes to nothing."""
    p, up = raw
    coded_n = 40000
    text = padded((1 << 20) + 100 * coded_n + delta)
    coded = gzip.compress(text)
    coded = coded[:3] + b"\x08" + coded[4:10] + b"n" * (coded_n - len(coded) - 1) + b"\0" + coded[10:]
    assert len(coded) == coded_n and gzip.decompress(coded) == text
    check(p, up, delta, 413, "decoded_size", lambda: statuses(
        replies(p.claude_port, post(b"content-encoding: gzip\r\n", coded)))[0])


# --- HTTP/2 ---

PSEUDO = [(":method", "POST"), (":scheme", "http"), (":path", "/v1/messages"),
          (":authority", "localhost")]
KEY = [("x-api-key", "sk-test"), ("content-type", "application/json")]


def size(block):
    """rfc9113,s6.5.2"""
    return sum(len(n) + len(v) + 32 for n, v in block)


def h2_header(n):
    block = PSEUDO + KEY
    while size(block) + 4000 < n:
        block = block + [("x", "a" * 3000)]
    return block + [("x", "a" * (n - size(block) - 33))], SMALL


def h2_fields(n):
    return PSEUDO + KEY + [("x", "a")] * (n - 6), SMALL


def h2_field(n):
    return PSEUDO + KEY + [("x-a", "b" * (n - 3))], SMALL


def h2_target(n):
    path = "/v1/messages?" + "a" * (n - 13)
    return [(k, path if k == ":path" else v) for k, v in PSEUDO] + KEY, SMALL


def h2_body(n):
    return PSEUDO + KEY + [("content-length", str(n))], padded(n)


H2_REQUESTS = [
    ("header bytes", 32 * 1024, h2_header, 431, "head_size"),
    ("header fields", 100, h2_fields, 431, "field_count"),
    ("bytes of a field", 8 * 1024, h2_field, 431, "field_size"),
    ("bytes of the target", 8 * 1024, h2_target, 414, "target_size"),
    ("body", BODY_MAX, h2_body, 413, "body_size"),
]


def h2_status(port, block, payload):
    with H2(port) as h:
        coded = h.encoder.encode(block)
        pieces = [coded[i : i + 16000] for i in range(0, len(coded), 16000)]
        kinds = [HEADERS] + [9] * (len(pieces) - 1)
        for i, (kind, piece) in enumerate(zip(kinds, pieces)):
            h.write(frame(kind, END_HEADERS if i == len(pieces) - 1 else 0, 1, piece))
        h.write(frame(DATA, END_STREAM, 1, payload))
        frames = h.wait(lambda f: any(t == HEADERS and s == 1 for t, _, s, _ in f))
        heads = [p for t, _, s, p in frames if t == HEADERS and s == 1]
        assert heads, frames
        return int(dict(Decoder().decode(heads[0]))[":status"])


@AROUND
@pytest.mark.parametrize("name, limit, make, status, reason", H2_REQUESTS,
                         ids=[row[0] for row in H2_REQUESTS])
@pytest.mark.row("4: header bombs", "8: limits by default")
def test_http2(stand, name, limit, make, status, reason, delta):
    p, up = stand
    check(p, up, delta, status, reason, lambda: h2_status(p.claude_port, *make(limit + delta)))


# --- replies ---

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def interim(n):
    return b"HTTP/1.1 103 Early Hints\r\n\r\n" * n + OK + b"content-length: 2\r\n\r\n{}"


def reply_header(n):
    head = OK + b"content-length: 2\r\n\r\n"
    return head[:-2] + b"x: " + b"a" * (n - len(head) - 5) + b"\r\n\r\n{}"


@AROUND
@pytest.mark.parametrize("limit, make", [(8, interim), (64 * 1024, reply_header)],
                         ids=["interim replies", "reply header bytes"])
@pytest.mark.row("4: extra bytes", "8: limits by default")
def test_replies(raw, limit, make, delta):
    p, up = raw
    up.script = lambda c, r: c.send(make(limit + delta))
    before = p.metrics()["ccproxy_upstream_errors_total"]
    got = replies(p.claude_port, post())
    assert statuses(got) == [502 if delta > 0 else 200]
    assert p.metrics()["ccproxy_upstream_errors_total"] - before == (delta > 0)
    if delta > 0:
        assert json.loads(got.partition(b"\r\n\r\n")[2])["type"] == "error"

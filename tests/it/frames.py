"""An HTTP/2 client of raw frames: whatever a client should not send."""

import select
import socket
import struct
import time

from hpack import Encoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
ACK, END_STREAM, END_HEADERS = 1, 1, 4
PROTOCOL_ERROR, CALM = 1, 11
PSEUDO = [(":method", "POST"), (":scheme", "http"), (":path", "/v1/messages"),
          (":authority", "localhost")]
FIELDS = [("x-api-key", "sk-test"), ("content-type", "application/json")]


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + \
        struct.pack(">I", stream) + payload


def parse(raw):
    """(type, flags, stream, payload) of each whole frame"""
    found, at = [], 0
    while at + 9 <= len(raw):
        n = int.from_bytes(raw[at : at + 3], "big")
        if at + 9 + n > len(raw):
            break
        stream, = struct.unpack(">I", raw[at + 5 : at + 9])
        found.append((raw[at + 3], raw[at + 4], stream, raw[at + 9 : at + 9 + n]))
        at += 9 + n
    return found


class H2:
    """A connection that takes any frames, and keeps the ones that come."""

    def __init__(self, port, settings=b""):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.encoder = Encoder()
        self.raw = b""
        self.open = True
        self.write(PREFACE + frame(SETTINGS, 0, 0, settings))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def write(self, data, read=True):
        """Sends all, reading on the side; False once the other side has ended the connection."""
        self.sock.setblocking(False)
        end = time.monotonic() + 20
        while data and self.open and time.monotonic() < end:
            readable, writable, _ = select.select([self.sock] if read else [], [self.sock], [], 1)
            try:
                if readable:
                    self._take(self.sock.recv(1 << 20))
                if writable:
                    data = data[self.sock.send(data) :]
            except OSError:
                self.open = False
        return self.open

    def _take(self, data):
        self.raw += data
        if not data:
            self.open = False

    def wait(self, found, patience=5.0):
        end = time.monotonic() + patience
        self.sock.setblocking(True)
        self.sock.settimeout(0.1)
        while self.open and not found(self.frames()) and time.monotonic() < end:
            try:
                self._take(self.sock.recv(1 << 20))
            except TimeoutError:
                pass
            except OSError:
                self.open = False
        return self.frames()

    def frames(self):
        return parse(self.raw)

    def goaway(self):
        """The error code of the last GOAWAY; the connection must end."""
        self.wait(lambda _: False)
        assert not self.open
        codes = [int.from_bytes(p[4:8], "big") for t, _, _, p in self.frames() if t == GOAWAY]
        return codes[-1] if codes else None

    def post(self, stream, body, fields=(), path="/v1/messages"):
        pseudo = [(n, path if n == ":path" else v) for n, v in PSEUDO]
        block = self.encoder.encode(pseudo + FIELDS + list(fields))
        return frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, END_STREAM, stream, body)

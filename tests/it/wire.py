"""A small HTTP/1.1 client over a plain socket: sees and controls every byte."""

import json
import socket
import ssl
import struct


class Broken(Exception):
    """The reply ended before it was complete; args[0]: the body so far."""


class Reply:
    def __init__(self, status, headers):
        self.status = status
        self.headers = headers
        self.interim = []
        self.body = b""

    def h(self, name, default=None):
        values = self.all(name)
        return ", ".join(values) if values else default

    def all(self, name):
        return [v for n, v in self.headers if n == name.lower()]

    def json(self):
        return json.loads(self.body)


def events(body):
    """The events of a text/event-stream as (event, data) pairs; comments as ("", ":...")."""
    found = []
    for block in body.decode().replace("\r\n", "\n").split("\n\n"):
        name, data = "", []
        for line in block.split("\n"):
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                data.append(line[5:].removeprefix(" "))
            elif line.startswith(":"):
                found.append(("", line))
        if data:
            found.append((name, "\n".join(data)))
    return found


class Client:
    """One connection. request() may be called again when the body has been read."""

    def __init__(self, port, host="127.0.0.1", timeout=20, rcvbuf=None, ca=None,
                 source=None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if source:
            self.sock.bind((source, 0))
        self.sock.connect((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if ca:
            context = ssl.create_default_context(cafile=ca)
            self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
        self.raw = b""  # received, not yet used
        self.decoded = b""  # of the body, not yet given out
        self.left = None  # of the body or chunk; None: until close
        self.chunked = self.over = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def send_request(self, method, target, headers=None, body=b"", **options):
        """options: json (value for the body), chunks (list: chunked), length (false one)."""
        headers = dict(headers or {})
        if "json" in options:
            body = json.dumps(options["json"]).encode()
            headers.setdefault("content-type", "application/json")
        lines = [f"{method} {target} HTTP/1.1"]
        if not any(n.lower() == "host" for n in headers):
            lines.append("host: localhost")
        for name, value in headers.items():
            for v in value if isinstance(value, list) else [value]:
                lines.append(f"{name}: {v}")
        if "chunks" in options:
            lines.append("transfer-encoding: chunked")
            body = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in options["chunks"]) + b"0\r\n\r\n"
        elif body or method in ("POST", "PUT", "PATCH"):
            lines.append(f"content-length: {options.get('length', len(body))}")
        self.method = method
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def _recv(self):
        data = self.sock.recv(65536)
        self.raw += data
        return len(data) > 0

    def _line(self):
        while b"\r\n" not in self.raw:
            if not self._recv():
                raise Broken(self.raw)
        line, self.raw = self.raw.split(b"\r\n", 1)
        return line

    def head(self):
        interim = []
        while True:
            version, status, *_ = self._line().decode("latin-1").split(" ", 2)
            assert version in ("HTTP/1.1", "HTTP/1.0"), version
            headers = []
            while line := self._line().decode("latin-1"):
                name, value = line.split(":", 1)
                headers.append((name.lower(), value.strip()))
            reply = Reply(int(status), headers)
            if reply.status >= 200 or reply.status == 101:
                break
            interim.append(reply)
        reply.interim = interim
        self.decoded = b""
        self.chunked = reply.h("transfer-encoding") == "chunked"
        bodiless = self.method == "HEAD" or reply.status in (204, 304)
        length = reply.h("content-length")
        self.left = 0 if self.chunked or bodiless else int(length) if length else None
        self.over = bodiless or length == "0"
        if bodiless:
            self.chunked = False
        return reply

    def _more(self):
        """Decodes some of the body; False: it is complete."""
        if self.over:
            return False
        if self.chunked and self.left == 0:
            self.left = int(self._line().split(b";")[0], 16)
            if self.left == 0:
                while self._line():
                    pass
                self.over = True
                return False
        if not self.raw and not self._recv():
            if self.left is None:
                self.over = True
                return False
            raise Broken(self.decoded)
        part = self.raw if self.left is None else self.raw[: self.left]
        self.raw = self.raw[len(part) :]
        self.decoded += part
        if self.left is not None:
            self.left -= len(part)
            if self.left == 0 and self.chunked:
                if self._line():
                    raise AssertionError("chunk without its end")
            elif self.left == 0:
                self.over = True
        return True

    def until(self, mark):
        """The body up to and with mark."""
        while mark not in self.decoded:
            if not self._more():
                raise AssertionError(f"{mark!r} did not come: {self.decoded[-2000:]!r}")
        end = self.decoded.index(mark) + len(mark)
        part, self.decoded = self.decoded[:end], self.decoded[end:]
        return part

    def body(self):
        parts = [self.decoded]
        self.decoded = b""
        try:
            while self._more():
                parts.append(self.decoded)
                self.decoded = b""
        except Broken:
            raise Broken(b"".join(parts)) from None
        return b"".join(parts)

    def request(self, method, target, headers=None, body=b"", **options):
        self.send_request(method, target, headers, body, **options)
        reply = self.head()
        reply.body = self.body()
        return reply

    def closed(self):
        """Waits for the other side's close (or reset)."""
        try:
            return self.raw == b"" and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

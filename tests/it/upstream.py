"""A scripted upstream: a script says byte by byte what it answers."""

import json
import socket
import ssl
import struct
import threading


def serve_each(listener, serve):
    """serve(socket) in a thread for each connection, until the listener is closed."""
    def accept():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(sock,), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()


class Request:
    def __init__(self, method, target, headers, body, number):
        self.method, self.target, self.headers, self.body = method, target, headers, body
        self.number = number  # on its connection, from 1

    def h(self, name):
        values = [v for n, v in self.headers if n == name.lower()]
        return ", ".join(values) if values else None

    def json(self):
        return json.loads(self.body)


class Conn:
    def __init__(self, sock, number):
        self.sock, self.number, self.raw = sock, number, bytearray()

    def send(self, data):
        self.sock.sendall(data)

    def send_bytewise(self, data):
        for i in range(len(data)):
            self.sock.sendall(data[i : i + 1])

    def reply(self, status=200, headers=(), body=b"", content_type="application/json"):
        lines = [f"HTTP/1.1 {status} X", f"content-type: {content_type}"]
        lines += [f"{n}: {v}" for n, v in headers]
        lines.append(f"content-length: {len(body)}")
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def stream_head(self, *headers, content_type="text/event-stream"):
        lines = ["HTTP/1.1 200 OK", f"content-type: {content_type}", "transfer-encoding: chunked"]
        self.send("\r\n".join(lines + list(headers)).encode() + b"\r\n\r\n")

    def chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def last_chunk(self):
        self.send(b"0\r\n\r\n")

    def stream(self, data, *headers):
        self.stream_head(*headers)
        self.chunk(data)
        self.last_chunk()

    def flood(self, part, closed):
        """A stream without an end; sets `closed` when the proxy closes the connection."""
        self.sock.settimeout(20)
        try:
            self.stream_head()
            while True:
                self.chunk(part)
        except TimeoutError:
            return
        except OSError:
            closed.set()

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_closed(self, timeout=1.0):
        """True when the proxy closes the connection in time."""
        self.sock.settimeout(timeout)
        try:
            while self.sock.recv(65536):
                pass
            return True
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def _fill(self):
        data = self.sock.recv(65536)
        self.raw += data
        return len(data) > 0

    def _take(self, n):
        while len(self.raw) < n:
            if not self._fill():
                raise EOFError
        part = bytes(self.raw[:n])
        del self.raw[:n]
        return part

    def _line(self):
        while b"\r\n" not in self.raw:
            if not self._fill():
                raise EOFError
        line, self.raw = self.raw.split(b"\r\n", 1)
        return line

    def read_head(self):
        method, target, _ = self._line().decode("latin-1").split(" ")
        headers = []
        while line := self._line().decode("latin-1"):
            name, value = line.split(":", 1)
            headers.append((name.lower(), value.strip()))
        return method, target, headers

    def read_request(self, number):
        method, target, headers = self.read_head()
        fields = dict(headers)
        body = b""
        if fields.get("transfer-encoding") == "chunked":
            while size := int(self._line(), 16):
                body += self._take(size)
                self._line()
            self._line()
        elif "content-length" in fields:
            body = self._take(int(fields["content-length"]))
        return Request(method, target, headers, body, number)


class Upstream:
    """script(conn, request) runs for each request; the connection lives on unless it closes it."""

    def __init__(self, tls=None, host="127.0.0.1", port=0):
        self.listener = socket.create_server((host, port))
        self.port = self.listener.getsockname()[1]
        self.tls = tls  # (cert, key)
        self.lock = threading.Lock()
        self.forget()
        serve_each(self.listener, self._serve)

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://localhost:{self.port}"

    def forget(self):
        self.requests, self.conns, self.errors = [], [], []
        self.script = lambda c, r: c.reply(body=b"{}")
        self.on_accept = None

    def close(self):
        self.listener.close()
        for c in self.conns:
            c.close()

    def _serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            try:
                sock = context.wrap_socket(sock, server_side=True)
            except OSError as e:
                self.errors.append(e)
                return
        with self.lock:
            conn = Conn(sock, len(self.conns) + 1)
            self.conns.append(conn)
        try:
            if self.on_accept:
                self.on_accept(conn)
            number = 0
            while True:
                number += 1
                request = conn.read_request(number)
                with self.lock:
                    self.requests.append(request)
                self.script(conn, request)
        except (OSError, EOFError, ValueError):
            pass
        finally:
            conn.close()

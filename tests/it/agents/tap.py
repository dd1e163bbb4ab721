"""A TCP relay that keeps what the client sent."""

import socket
import threading


class Tap:
    """Listens on a port of its own and passes everything on to `port`."""

    def __init__(self, port):
        self.target = port
        self.lock = threading.Lock()
        self.sent = []  # by clients: one bytearray for each connection
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            kept = bytearray()
            with self.lock:
                self.sent.append(kept)
            for pair in ((client, server, kept), (server, client, None)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    @staticmethod
    def _pump(source, target, kept):
        try:
            while data := source.recv(65536):
                if kept is not None:
                    kept += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()
            target.close()

    def requests(self):
        """(method, target, [(name, value)], body) of all requests; all have a content-length."""
        found = []
        with self.lock:
            streams = [bytes(s) for s in self.sent]
        for rest in streams:
            while rest:
                head, _, rest = rest.partition(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").split("\r\n")
                method, target, _ = first.split(" ")
                fields = [tuple(line.split(": ", 1)) for line in lines]
                fields = [(n.lower(), v) for n, v in fields]
                length = int(dict(fields).get("content-length", 0))
                found.append((method, target, fields, rest[:length]))
                rest = rest[length:]
        return found

"""A TCP relay that can go wrong: between the proxy and its upstream, or a client and the proxy.

    relay = Relay(upstream.port)            # the proxy is given relay.url
    relay.back = Fault(after=100, how="reset")

A Fault holds for one direction of every connection and may be changed while connections live:
`back` is towards whoever connected (replies), `forth` towards the target (requests).  Bytes are
counted on each connection and direction from its beginning.
"""

import socket
import struct
import threading
import time
from dataclasses import dataclass

from upstream import serve_each

PIECE = 65536
TICK_S = 0.01


@dataclass
class Fault:
    after: int | None = None  # bytes that pass; None: the fault below never comes
    how: str = "close"  # close: FIN both ways; reset: RST; half: FIN this way only; stall
    delay_s: float = 0.0  # before every piece
    dribble: bool = False  # one byte for each write


NO_FAULT = Fault()


class Link:
    """One connection through the relay."""

    def __init__(self, relay, near, far):
        self.relay, self.near, self.far = relay, near, far
        self.back = self.forth = 0  # bytes passed
        self.lock = threading.Lock()
        self.over = False

    def end(self, how):
        """Both sockets go; near first, whose end is what is tested."""
        with self.lock:
            if self.over:
                return
            self.over = True
        for sock in (self.near, self.far):
            if how == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            try:
                sock.shutdown(socket.SHUT_RDWR if how != "reset" else socket.SHUT_RD)
            except OSError:
                pass
            sock.close()

    def run(self, name, source, target):
        try:
            while data := source.recv(PIECE):
                if not self.pass_on(name, data, target):
                    return
            target.shutdown(socket.SHUT_WR)
        except OSError:
            self.end("reset" if self.over is False else "close")

    def pass_on(self, name, data, target):
        """False: this direction has ended."""
        while data:
            fault = getattr(self.relay, name)
            if fault.delay_s:
                time.sleep(fault.delay_s)
            left = len(data) if fault.after is None else fault.after - getattr(self, name)
            if left <= 0:
                if fault.how != "stall":
                    return self.break_off(fault.how, target)
                time.sleep(TICK_S)
                if self.over:
                    return False
                continue
            size = min(left, 1 if fault.dribble else len(data))
            target.sendall(data[:size])
            data = data[size:]
            setattr(self, name, getattr(self, name) + size)
        fault = getattr(self.relay, name)
        if fault.after is not None and getattr(self, name) >= fault.after and fault.how != "stall":
            return self.break_off(fault.how, target)  # now, not with the next byte
        return True

    def break_off(self, how, target):
        if how == "half":
            target.shutdown(socket.SHUT_WR)
        else:
            self.end(how)
        return False


class Relay:
    def __init__(self, port):
        self.target = port
        self.back = self.forth = NO_FAULT
        self.links = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        serve_each(self.listener, self._serve)

    def _serve(self, near):
        far = socket.create_connection(("127.0.0.1", self.target))
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(self, near, far)
        self.links.append(link)
        threading.Thread(target=link.run, args=("forth", near, far), daemon=True).start()
        link.run("back", far, near)

    def end_all(self, how):
        """All connections now."""
        links, self.links = self.links, []
        for link in links:
            link.end(how)

    def close(self):
        self.listener.close()
        self.end_all("close")


def close_all(proxies, relay, upstream):
    """Proxies first: what they are connected to goes after them."""
    for proxy in proxies:
        proxy.stop()
    relay.close()
    upstream.close()

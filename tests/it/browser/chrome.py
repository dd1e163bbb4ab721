"""Headless Chromium, driven through chromedriver's own protocol (W3C WebDriver)."""

import http.client
import json
import shutil
import socket
import subprocess
import time

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--no-proxy-server", "--ignore-certificate-errors"]


class Chrome:
    def __init__(self, folder):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.driver = subprocess.Popen([DRIVER, f"--port={self.port}"], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._wait()
            options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={folder}"]}
            session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome", "goog:chromeOptions": options,
                "timeouts": {"script": 30000}}}})
            self.session = f"/session/{session['sessionId']}"
            self.version = session["capabilities"]["browserVersion"]
        except BaseException:
            self.driver.terminate()
            raise

    def _wait(self):
        end = time.monotonic() + 20
        while True:
            try:
                return self._ask("GET", "/status")
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def _ask(self, method, path, value=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            body = None if value is None else json.dumps(value)
            c.request(method, path, body, {"content-type": "application/json"})
            reply = json.load(c.getresponse())["value"]
        finally:
            c.close()
        if isinstance(reply, dict) and "error" in reply:
            raise AssertionError(f"{reply['error']}: {reply['message']}")
        return reply

    def open(self, url):
        self._ask("POST", self.session + "/url", {"url": url})

    def run(self, expression, *args):
        """The value of a JavaScript promise, or what it was rejected with, as {"failed": text}."""
        script = ("const done = arguments[arguments.length - 1];"
                  f"({expression}).then(done, (e) => done({{ failed: String(e) }}));")
        return self._ask("POST", self.session + "/execute/async",
                         {"script": script, "args": list(args)})

    def close(self):
        try:
            self._ask("DELETE", self.session)
        finally:
            self.driver.terminate()
            self.driver.wait(20)

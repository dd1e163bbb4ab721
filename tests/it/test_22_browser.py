"""A page of another origin calls the proxy from Chromium, and may read all it needs.

    apt-get install chromium chromium-driver
"""

import functools
import http.server
import json
import threading
from pathlib import Path

import pytest
from browser.chrome import CHROMIUM, DRIVER, Chrome
from proxy import Proxy
from wire import events

pytestmark = [pytest.mark.timeout(120),
              pytest.mark.skipif(not (CHROMIUM and DRIVER),
                                 reason="chromium or chromedriver is not installed")]

ASK = {"model": "claude-sonnet-4-5", "max_tokens": 1000, "stream": True,
       "messages": [{"role": "user", "content": "from a browser: grüße"}]}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    folder = Path(__file__).with_name("browser")
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser = Chrome(tmp_path_factory.mktemp("chrome"))
    browser.page = f"http://127.0.0.1:{server.server_port}/page.html"
    browser.open(browser.page)
    yield browser
    browser.close()
    server.shutdown()


def call(chrome, url, body, **extra):
    result = chrome.run("call(...arguments)", url, body, extra)
    assert "failed" not in result, result
    return result


def test_stream(chrome, proxy, sim, tag):
    since = len(proxy.lines)
    got = call(chrome, f"http://127.0.0.1:{proxy.claude_port}/v1/messages", ASK,
               **{"x-test-id": tag, "x-mock-tps": "50"})
    assert got["status"] == 200
    found = [json.loads(d) for n, d in events(got["text"].encode()) if n]
    assert found[0]["type"] == "message_start"
    assert found[-1]["type"] == "message_stop"
    assert "grüße" in "".join(e["delta"].get("text", "") for e in found
                              if e["type"] == "content_block_delta")
    assert got["reads"] > 3  # it came in pieces
    assert got["adapter"]
    assert got["request"]
    assert sim.record(tag).h("origin") is None  # a service would refuse a browser
    agent = chrome.run("Promise.resolve(navigator.userAgent)")
    asked = proxy.wait_log("claude_request", since, user_agent=agent)
    [done] = proxy.finished(1, request_id=asked["request_id"])
    assert done["ended"] == "complete"


def test_codex_service(chrome, proxy):
    got = call(chrome, f"http://127.0.0.1:{proxy.codex_port}/v1/responses",
               {"model": "gpt-5.5", "input": "hi", "stream": True},
               authorization="Bearer sk-browser")
    assert got["status"] == 200
    assert "event: response.completed" in got["text"]


@pytest.mark.parametrize("body, extra, status", [
    (ASK | {"model": "mock-status-401"}, {}, 401),
    (ASK | {"model": "mock-status-529"}, {"x-mock-retry-after": "7"}, 529),
    ([], {}, 400),
])
def test_errors_can_be_read(chrome, proxy, body, extra, status):
    got = call(chrome, f"http://127.0.0.1:{proxy.claude_port}/v1/messages", body, **extra)
    assert got["status"] == status
    error = json.loads(got["text"])
    assert error["type"] == "error"
    assert error["error"]["message"]
    assert got["retry"] == extra.get("x-mock-retry-after", got["retry"])


def test_own_401_can_be_read(chrome, sim):
    with Proxy(ANTHROPIC_BASE_URL=sim.url, ANTHROPIC_API_KEY="sk-server",
               PROXY_API_KEYS="token-1") as p:
        got = call(chrome, f"http://127.0.0.1:{p.claude_port}/v1/messages", ASK)
        assert got["status"] == 401
        assert json.loads(got["text"])["error"]["type"] == "authentication_error"
        got = call(chrome, f"http://127.0.0.1:{p.claude_port}/v1/messages", ASK,
                   **{"x-api-key": "token-1"})
        assert got["status"] == 200


def test_unlisted_origins_are_kept_out(chrome, sim):
    with Proxy(ANTHROPIC_BASE_URL=sim.url, CORS_ALLOW_ORIGINS="https://app.example") as p:
        got = chrome.run("call(...arguments)", f"http://127.0.0.1:{p.claude_port}/v1/messages",
                         ASK, {})
        assert "Failed to fetch" in got["failed"]


def test_abort_reaches_the_upstream(chrome, proxy, sim, tag):
    """Chromium may go on reading for 5 s, to use the connection again; then it closes it."""
    url = f"http://127.0.0.1:{proxy.claude_port}/v1/messages"
    assert chrome.run("leave(...arguments)", url, ASK, tag) == 200
    sim.wait_cancelled(tag, timeout=15)


def test_http2_over_tls(chrome, sim, certificates):
    """Eight streams at once: more than a browser opens connections to one HTTP/1.1 server."""
    with Proxy(ANTHROPIC_BASE_URL=sim.url, TLS_CERT_FILE=certificates.cert,
               TLS_KEY_FILE=certificates.key) as p:
        url = f"https://localhost:{p.claude_port}/v1/messages"
        many = chrome.run("Promise.all([...Array(8)].map(() => call(...arguments)))",
                          url, ASK, {"x-mock-tps": "50"})
        assert [m["status"] for m in many] == [200] * 8
        assert all(m["text"].endswith('data: {"type":"message_stop"}\n\n') for m in many)
        chrome.open(f"https://localhost:{p.claude_port}/health")
        spoken = chrome.run("Promise.resolve(performance.getEntriesByType('navigation')[0]"
                            ".nextHopProtocol)")
        chrome.open(chrome.page)
        assert spoken == "h2"

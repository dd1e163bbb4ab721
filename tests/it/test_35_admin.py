"""The admin listener: without its token it says nothing, and services have none of its routes."""

import subprocess

import pytest
from proxy import Proxy, until
from upstream import Upstream
from wire import Client

TOKEN = "admin-token-1b1b1b1b"
GOOD = f"Bearer {TOKEN}"
ROUTES = ["/", "/health", "/metrics", "/metrics/", "//metrics", "/metrics?x=1", "/adapters", "/v1",
          "/v1/models", "/v1/messages", "/requests", "/requests?last=1", "/reset", "/config",
          "/status", "/stats", "/debug", "/debug/pprof/", "/admin", "/reload", "/quit", "/logs",
          "/env", "/server-status", "/.env", "/%2e%2e/metrics", "*"]
WRONG = {
    "none": {}, "another": {"authorization": "Bearer x"}, "empty": {"authorization": ""},
    "scheme only": {"authorization": "Bearer"}, "bare": {"authorization": TOKEN},
    "basic": {"authorization": f"Basic {TOKEN}"}, "half": {"authorization": GOOD[:-1]},
    "longer": {"authorization": GOOD + "x"}, "twice in one": {"authorization": f"{GOOD}, {GOOD}"},
    "other case": {"authorization": GOOD.upper()}, "as x-api-key": {"x-api-key": TOKEN},
    "query": {"x-token": TOKEN}, "cookie": {"cookie": f"token={TOKEN}"},
}


@pytest.fixture(scope="module")
def stand():
    up = Upstream()
    with Proxy(ANTHROPIC_BASE_URL=up.url, OPENAI_BASE_URL=up.url, ADMIN_LISTEN="127.0.0.1:0",
               ADMIN_TOKEN=f" {TOKEN} ") as p:
        yield p, p.wait_log("listening", service="admin")["port"], up
    assert up.requests == []
    up.close()


def ask(port, method, target, headers):
    with Client(port) as c:
        return c.request(method, target, headers)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
@pytest.mark.row("8: admin")
def test_no_route_without_the_token(stand, method):
    """Goal: nobody learns which routes there are."""
    bodies = set()
    for target in ROUTES:
        if target == "*" and method != "OPTIONS":
            continue
        reply = ask(stand[1], method, target, {})
        assert reply.status == 401, target
        assert reply.h("www-authenticate") == "Bearer"
        bodies.add(reply.body)
    assert len(bodies) == 1


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.row("8: admin")
def test_wrong_token(stand, wrong):
    reply = ask(stand[1], "GET", "/metrics?token=" + TOKEN, WRONG[wrong])
    assert (reply.status, reply.body) == (401, b"unauthorized\n")


@pytest.mark.row("8: admin")
def test_token_twice(stand):
    assert ask(stand[1], "GET", "/metrics", {"authorization": [GOOD, GOOD]}).status == 400


@pytest.mark.parametrize("good", [GOOD, f"bearer {TOKEN}", f"Bearer   {TOKEN}"])
def test_right_token(stand, good):
    headers = {"authorization": good}
    before = ask(stand[1], "GET", "/metrics", headers)
    assert before.status == 200 and TOKEN.encode() not in before.body
    assert ask(stand[1], "GET", "/health", headers).body == b"ok\n"
    assert ask(stand[1], "GET", "/nope", headers).status == 404


def test_refusals_are_counted(stand):
    def refused():
        text = ask(stand[1], "GET", "/metrics", {"authorization": GOOD}).body.decode()
        [line] = [x for x in text.splitlines() if 'reason="key"' in x]
        return int(line.split()[1])
    before = refused()
    assert ask(stand[1], "GET", "/metrics", {}).status == 401
    until(lambda: refused() == before + 1)


@pytest.mark.parametrize("service", ["claude", "codex"])
@pytest.mark.row("8: admin")
def test_services_have_none_of_its_routes(stand, service):
    """Goal: a scan of a service's port finds what needs no key by contract, else 401 or 404."""
    port = getattr(stand[0], f"{service}_port")
    open_to_all = {"/", "/health", "/adapters", "/v1", "/api/hello"}
    for target in ROUTES:
        for headers in ({}, {"authorization": GOOD} if "v1" not in target else {}):
            if target in open_to_all or target == "*":
                continue
            assert ask(port, "GET", target, headers).status in (401, 404, 405), target


@pytest.mark.row("8: admin")
def test_a_unix_socket_asks_when_there_is_a_token(tmp_path):
    up = Upstream()
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", ADMIN_TOKEN=TOKEN,
               ADMIN_LISTEN=f"unix:{tmp_path}/admin") as p:
        done = subprocess.run(["curl", "-sS", "--unix-socket", f"{tmp_path}/admin",
                               "http://x/metrics"], capture_output=True, timeout=20, check=True)
        assert done.stdout == b"unauthorized\n"
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude",
               ADMIN_LISTEN=f"unix:{tmp_path}/admin") as p:
        assert "ccproxy_requests_total" in p.metrics()
    up.close()

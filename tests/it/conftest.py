"""Servers that many tests share, one set for each pytest process.

CC_PROXY names the binary; without it build/release/cc-proxy is tested.
"""

import itertools
import os

import pytest
from certificates import Certificates
from proxy import BINARY, Proxy, Simulator
from upstream import Upstream
from wire import Client

pytest_plugins = ["rows"]
_numbers = itertools.count(1)


def pytest_report_header():
    return f"cc-proxy: {BINARY}"


@pytest.fixture
def tag():
    """A value for the header x-test-id, which finds a request in the simulator's records."""
    return f"t-{os.getpid()}-{next(_numbers)}"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def sim():
    s = Simulator()
    yield s
    s.stop()


@pytest.fixture(scope="session")
def proxy(sim):
    """In front of the simulator, in production."""
    with Proxy(ANTHROPIC_BASE_URL=sim.url, OPENAI_BASE_URL=sim.url + "/v1",
               SESSION_SECRET="test-secret", LOG_LEVEL="DEBUG") as p:
        yield p


@pytest.fixture(scope="session")
def scripted(tmp_path_factory):
    """A proxy in front of a scripted upstream: (proxy, upstream)."""
    up = Upstream()
    admin = tmp_path_factory.mktemp("scripted") / "admin"
    with Proxy(ANTHROPIC_BASE_URL=up.url, OPENAI_BASE_URL=up.url, MODELS="m1, m2",
               ADMIN_LISTEN=f"unix:{admin}", STREAM_PING_SECONDS="0.3", STREAM_IDLE_SECONDS="1.2",
               HTTP_TIMEOUT="2", STREAM_OPEN_SECONDS="0") as p:
        yield p, up
    up.close()


@pytest.fixture
def raw(scripted):
    """The same, with a fresh script."""
    scripted[1].forget()
    return scripted


@pytest.fixture
def claude(proxy):
    with Client(proxy.claude_port) as c:
        yield c


@pytest.fixture
def codex(proxy):
    with Client(proxy.codex_port) as c:
        yield c

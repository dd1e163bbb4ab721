"""src/base/refusals.def: the reasons that no other file tries, and that each reason is tried."""

import json
import re
from pathlib import Path

import pytest
from proxy import ROOT, Proxy, until
from test_24_hostile_requests import Counted
from upstream import Upstream
from wire import Client

KEY = {"x-api-key": "k"}
GOOD = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
RULES = {"version": 1, "adapters": [
    {"name": "no", "version": "1", "priority": 60, "service": ["claude"], "aliases": [],
     "match": {"header": "user-agent", "product": "nobot"},
     "actions": [{"op": "reject", "status": 403, "message": "no"}]}]}


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    """claude converts to Chat; there is one upstream connection and no queue for it."""
    up = Upstream()
    where = tmp_path_factory.mktemp("refusals")
    (where / "rules.json").write_text(json.dumps(RULES))
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", ANTHROPIC_PROTOCOLS="chat",
               ADMIN_LISTEN=f"unix:{where}/admin", ADAPTERS_FILE=where / "rules.json",
               HTTP_MAX_CONNECTIONS=1, HTTP_MAX_WAITING=0) as p:
        yield p, up
    up.close()


ROWS = {  # reason: headers, body, target, status
    "coded_body": ({"content-encoding": "gzip"}, b"no gzip", "/v1/messages", 400),
    "json_object": ({}, b"[]", "/v1/messages", 400),
    "unsupported": ({}, b"x", "/v1/files", 404),
    "rule": ({"user-agent": "nobot/1"}, json.dumps(GOOD).encode(), "/v1/messages", 403),
    "conversion": ({}, json.dumps(GOOD | {"messages": 1}).encode(), "/v1/messages", 400),
}


@pytest.mark.parametrize("reason", ROWS)
def test_reason(stand, reason):
    p, up = stand
    headers, body, target, status = ROWS[reason]
    with Counted(p) as counted, Client(p.claude_port) as c:
        reply = c.request("POST", target, KEY | headers, body)
        assert reply.status == status
        assert p.done(reply)["refusal"] == reason
    assert counted.new == {reason: 1}
    assert up.requests == []


def test_capacity(stand):
    p, up = stand
    with Counted(p) as counted, Client(p.claude_port) as one, Client(p.claude_port) as two:
        up.script = lambda c, r: c.wait_closed(20)
        one.send_request("POST", "/v1/messages", KEY, json=GOOD)
        until(lambda: up.requests)
        reply = two.request("POST", "/v1/messages", KEY, json=GOOD)
        assert (reply.status, p.done(reply)["refusal"]) == (503, "capacity")
    assert counted.new == {"capacity": 1}
    up.forget()


def test_every_reason_is_tried():
    """Goal: a row is added together with the test that provokes it."""
    rows = (ROOT / "src/base/refusals.def").read_text()
    labels = re.findall(r'^REFUSAL\(\s*\w+,\s*"(\w+)"', rows, re.M)
    assert len(labels) > 40
    texts = "".join(f.read_text() for f in Path(__file__).parent.glob("test_*.py"))
    assert [n for n in labels if f'"{n}"' not in texts] == []


def test_metrics_name_every_reason(stand):
    """A monitor sees the ones that have not happened yet, too."""
    p, _ = stand
    rows = (ROOT / "src/base/refusals.def").read_text()
    labels = re.findall(r'^REFUSAL\(\s*\w+,\s*"(\w+)"', rows, re.M)
    names = {f'ccproxy_refused_total{{reason="{n}"}}' for n in labels}
    assert names <= set(p.metrics())

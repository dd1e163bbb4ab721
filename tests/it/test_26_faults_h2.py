"""reliability.md section 5, "upstream RST or FIN mid-stream", for an HTTP/2 upstream over TLS.

The stream is reset or ended at and inside every event; the connection is lost, through a relay,
at many positions of its ciphertext."""

import grammar
import h2.errors
import pytest
from proxy import Proxy
from relay import NO_FAULT, Fault, Relay, close_all
from test_12_http2_upstream import Http2Upstream
from test_17_convert_streams import BODIES, FINISH, KEY, PATHS, PROTOCOLS, STREAMS, cuts
from wire import Client


@pytest.fixture(scope="module")
def fronts(certificates):
    """Proxies by their upstream's protocol, one relay, one upstream."""
    up = Http2Upstream(certificates.pair)
    relay = Relay(int(up.url.rsplit(":", 1)[1]))
    url = f"https://localhost:{relay.port}"
    made = {p: Proxy(ANTHROPIC_BASE_URL=url, OPENAI_BASE_URL=url, ANTHROPIC_PROTOCOLS=p,
                     OPENAI_PROTOCOLS=p, UPSTREAM_CA_FILE=certificates.ca, STREAM_PING_SECONDS="0")
            for p in PROTOCOLS}
    yield made, relay, up
    close_all(made.values(), relay, up)


def ask(c, client):
    c.send_request("POST", PATHS[client], KEY, json=BODIES[client] | {"stream": True})
    reply = c.head()
    reply.body = c.body()
    return reply


def check_error(proxy, client, reply):
    if reply.status != 200:
        assert reply.status == 502 and reply.json()["error"]["message"]
    else:
        assert b"[DONE]" not in reply.body and b"message_stop" not in reply.body
        assert b"response.completed" not in reply.body
        assert b'"error":{' in reply.body and reply.body.endswith(b"\n\n")
    request_id = reply.h("request-id") or reply.h("x-request-id")
    done = proxy.wait_log("request_done", request_id=request_id)
    assert done["ended"] == "error" and done["error"].startswith("UPSTREAM_"), done


@pytest.mark.parametrize("how", ["INTERNAL_ERROR", "NO_ERROR", "end"])
@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.row("5: upstream RST or FIN mid-stream")
def test_stream_reset_at_and_inside_every_event(fronts, upstream, client, how):
    """RST_STREAM, or END_STREAM before the end: the error; the connection lives on."""
    made, relay, up = fronts
    relay.back = NO_FAULT
    proxy, data = made[upstream], STREAMS[upstream]
    known = data.index(FINISH[upstream])
    conns = up.conns
    asked = 0
    with Client(proxy.codex_port) as c:
        for cut in [at for at in cuts(data) if at <= known]:
            def script(conn, stream, _, cut=cut):
                conn.head(stream, "text/event-stream")
                conn.h2.send_data(stream, data[:cut], end_stream=how == "end")
                if how != "end":
                    conn.reset(stream, h2.errors.ErrorCodes[how])
                conn.flush()
            up.script, before = script, len(up.requests)
            check_error(proxy, client, ask(c, client))
            assert len(up.requests) == before + 1
            asked += 1
    assert asked > 10 and up.conns <= conns + 1


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("upstream,client", [("messages", "messages"), ("chat", "chat"),
                                             ("responses", "responses"), ("messages", "chat"),
                                             ("chat", "responses"), ("responses", "messages")])
@pytest.mark.row("5: upstream RST or FIN mid-stream")
def test_connection_lost_anywhere(fronts, upstream, client, how):
    """In the handshake, between and inside TLS records and frames: an error or the whole reply."""
    made, relay, up = fronts
    proxy, data = made[upstream], STREAMS[upstream]

    def script(conn, stream, _):
        conn.head(stream, "text/event-stream")
        for part in data.split(b"\n\n")[:-1]:
            conn.h2.send_data(stream, part + b"\n\n")
            conn.flush()
        conn.h2.end_stream(stream)
    up.script = script
    errors = complete = 0
    relay.end_all("close")
    with Client(proxy.codex_port) as c:
        for position in range(0, 12000, 331):
            relay.back = Fault(after=position, how=how)
            before = len(up.requests)
            reply = ask(c, client)
            assert len(up.requests) <= before + 1
            whole = reply.body == data if client == upstream else (
                grammar.outcome(client, reply.body) == "complete")
            if whole:
                complete += 1
            else:
                check_error(proxy, client, reply)
                errors += 1
            relay.end_all("close")
    relay.back = NO_FAULT
    assert errors > 8 and complete > 0

"""Workers and a supervisor that misbehave or die; how the program stops (reliability.md 5)."""

import contextlib
import os
import shutil
import signal
import socket
import threading
import time

import pytest
from proxy import BINARY, Proxy, until
from test_11_process import START, STOP, Manager, begin_stream, post
from test_30_review_process import FileProxy
from wire import Broken, Client


@contextlib.contextmanager
def streams(up, n, **settings):
    """A proxy with n open streams; go ends them well."""
    go = threading.Event()

    def script(c, r):
        if not r.body or not r.json().get("stream"):
            return c.reply(body=b"{}")
        c.stream_head()
        c.chunk(START)
        go.wait(30)
        c.chunk(STOP)
        c.last_chunk()
    up.script = script
    with contextlib.ExitStack() as stack:
        p = stack.enter_context(Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", **settings))
        stack.callback(go.set)
        clients = [stack.enter_context(Client(p.claude_port)) for _ in range(n)]
        for c in clients:
            begin_stream(c)
        yield p, clients, go


# --- a new version that is none ---

def script_file(text):
    def make(path):
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
    return make


BROKEN = {
    "exits at once": script_file("exit 3\n"),
    "crashes": script_file("kill -SEGV $$\n"),
    "hangs": script_file("exec sleep 60\n"),
    "hangs and heeds no signal": script_file("trap '' INT TERM\nwhile :; do sleep 1; done\n"),
    "not executable": lambda path: path.write_text("#!/bin/sh\n"),
    "no program": lambda path: (path.write_bytes(b"\x7fELF garbage"), path.chmod(0o755)),
}


@pytest.mark.parametrize("how", BROKEN)
def test_broken_new_binary(how, tmp_path, sim):
    """The old ones serve on, the log says why, a good binary is taken later."""
    binary, other = tmp_path / "cc-proxy", tmp_path / "other"
    shutil.copy(BINARY, binary)
    with FileProxy(tmp_path, binary=binary, ANTHROPIC_BASE_URL=sim.url, WORKERS="2",
                   WORKER_START_TIMEOUT="1") as p:
        p.deaths_expected = True
        old = p.workers()
        BROKEN[how](other)
        other.rename(binary)
        p.kill(signal.SIGHUP)
        p.wait_log("reload_failed")
        if "hangs" in how:
            assert p.log(event="worker_killed", reason="it did not start in time")
        else:
            assert p.log(event="worker_died") or p.log(event="worker_start_failed")[0]["error"]
        until(lambda: p.workers() == old)
        assert post(p.claude_port).status == 200
        shutil.copy(BINARY, other)
        other.rename(binary)
        p.kill(signal.SIGHUP)
        p.wait_log("reload_complete")
        until(lambda: len(p.workers()) == 2 and not set(old) & set(p.workers()))
        assert post(p.claude_port).status == 200


# --- a worker that is stuck or dies ---

def test_stuck_worker_is_replaced(sim, tmp_path):
    """Its loop no longer turns: the service manager need not restart all of us for it."""
    manager = Manager(str(tmp_path / "notify"))
    with Proxy(env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "2000000"},
               ANTHROPIC_BASE_URL=sim.url, SERVICES="claude", WORKER_STALL_TIMEOUT="2") as p:
        p.deaths_expected = True
        [stuck] = p.workers()
        os.kill(stuck, signal.SIGSTOP)
        assert p.wait_log("worker_killed")["pid"] == stuck
        p.wait_log("worker_died", signal=9)
        until(lambda: p.workers() and p.workers() != [stuck])
        assert post(p.claude_port).status == 200
        assert manager.next("WATCHDOG")


def test_stuck_worker_does_not_hold_up_the_end():
    with Proxy() as p:
        [stuck] = p.workers()
        os.kill(stuck, signal.SIGSTOP)
        assert p.stop(number=signal.SIGINT) == 0
        assert p.log(event="worker_killed", reason="it did not leave in time")


# --- the end ---

def test_stop_says_how_far_it_is(raw):
    with streams(raw[1], 3, DRAIN_TIMEOUT="4") as (p, clients, go):
        p.kill(signal.SIGTERM)
        assert p.wait_log("draining")["requests_open"] == 3
        p.wait_log("draining", requests_open=3, seconds=2)
        go.set()
        assert [c.body() for c in clients] == [STOP] * 3
        assert p.wait_log("stopped")["requests_open"] == 0


def test_stop_refuses_new_connections_at_once(raw):
    """So that clients and balancers go elsewhere instead of waiting."""
    with streams(raw[1], 1, DRAIN_TIMEOUT="20") as (p, clients, go):
        p.kill(signal.SIGTERM)

        def refused():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", p.claude_port)) != 0
        until(refused)
        go.set()
        assert clients[0].body() == STOP


def test_second_sigterm_ends_at_once(raw):
    with streams(raw[1], 2, DRAIN_TIMEOUT="60") as (p, clients, _):
        p.kill(signal.SIGTERM)
        p.wait_log("draining")
        p.kill(signal.SIGTERM)
        assert p.process.wait(15) == 0
        for c in clients:
            with pytest.raises((Broken, OSError)):
                c.body()


STORMS = {
    "reload and stop together": [signal.SIGHUP, signal.SIGTERM],
    "stop and reload together": [signal.SIGTERM, signal.SIGHUP],
    "many": [signal.SIGHUP, signal.SIGPIPE, signal.SIGWINCH, signal.SIGCONT] * 50
            + [signal.SIGTERM] + [signal.SIGHUP, signal.SIGPIPE] * 50,
}


@pytest.mark.parametrize("name", STORMS)
@pytest.mark.row("5: signal storm")
def test_signal_storm(raw, name):
    """Orderly: no crash, drain begins once, the stream finishes."""
    with streams(raw[1], 4, WORKERS="2", DRAIN_TIMEOUT="20") as (p, clients, go):
        for number in STORMS[name]:
            p.kill(number)
        p.wait_log("draining")
        time.sleep(0.3)
        go.set()
        assert [c.body() for c in clients] == [STOP] * 4
        assert p.process.wait(20) == 0
        p.stop()
        assert len(p.log(event="stopping")) == 1
        assert not p.log(event="worker_killed")


@pytest.mark.parametrize("signals", [[signal.SIGPIPE, signal.SIGHUP]], ids=["PIPE HUP"])
@pytest.mark.row("5: signal storm")
def test_signals_to_workers_harm_nothing(raw, signals):
    with streams(raw[1], 2) as (p, clients, go):
        for _ in range(20):
            for number in signals:
                os.kill(p.workers()[0], number)
        go.set()
        assert [c.body() for c in clients] == [STOP] * 2

"""The program: commands, signals, workers, log, secrets."""

import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest
from proxy import BINARY, ROOT, Proxy, environment, free_port, listens, run, until
from wire import Client

CANARY = "sk-canary-0123456789abcdef"
KEY = {"x-api-key": CANARY}
BODY = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
QUIET = ["--env-file", "/dev/null"]
LOCAL = ["--set", "CLAUDE_SERVICE_HOST=127.0.0.1", "--set", "CODEX_SERVICE_HOST=127.0.0.1",
         "--set", "CORS_ALLOW_ORIGINS="]
EVENT = b'event: %s\ndata: {"type":"%s"}\n\n'
START, STOP = EVENT % ((b"message_start",) * 2), EVENT % ((b"message_stop",) * 2)


def post(port, headers=None, target="/v1/messages", body=None):
    with Client(port) as c:
        return c.request("POST", target, KEY | (headers or {}), json=body or BODY)


def begin_stream(c):
    c.send_request("POST", "/v1/messages", KEY, json=BODY | {"stream": True})
    assert c.head().status == 200
    assert c.until(START) == START


# --- commands ---

@pytest.mark.parametrize("spelling", ["version", "--version"])
def test_version(spelling):
    done = run(spelling)
    assert done.returncode == 0 and re.fullmatch(r"cc-proxy \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("command", ["serve", "check", "demo", "mock", "version"])
def test_help(command):
    done = run(command, "--help")
    assert done.returncode == 0 and f"cc-proxy {command}" in done.stdout and not done.stderr


def test_help_of_the_simulator_lists_its_faults():
    text = run("mock", "--help").stdout
    names = re.findall(r'^FAULT\("([a-z-]+)"', (ROOT / "src/mock/mock_faults.def").read_text(), re.M)
    assert len(names) > 10 and all(f"\n  {name}" in text for name in names)


@pytest.mark.parametrize("args", [["--bogus"], ["serve", "--port"], ["nonsense"],
                                  ["nonsense", "--help"],
                                  ["check", "--set", "NOEQUALS"],
                                  ["check", "--env-file", "/nonexistent"]])
def test_wrong_command_lines(args):
    done = run(*args)
    assert done.returncode == 2 and done.stderr


def test_check_shows_settings_and_their_sources(tmp_path):
    env_file = tmp_path / "env"
    env_file.write_text(f"http_timeout=33\nANTHROPIC_API_KEY={CANARY}\nLOG_LEVEL=DEBUG\n"
                        "WORKERS=9\n")
    done = run("check", "--env-file", str(env_file), *LOCAL, "--set", "WORKERS=2",
               env={"LOG_LEVEL": "ERROR"})
    assert done.returncode == 0 and "configuration ok" in done.stdout
    assert CANARY not in done.stdout + done.stderr
    for line in ("HTTP_TIMEOUT=33", "ANTHROPIC_API_KEY=***", "LOG_LEVEL=ERROR", "WORKERS=2",
                 "CODEX_SERVICE_PORT=8002"):
        assert line in done.stdout


@pytest.mark.parametrize("setting", [
    "HTTP_TIMEOUT=soon", "WORKERS=0", "CLAUDE_SERVICE_PORT=99999", "LOG_LEVEL=LOUD",
    "ANTHROPIC_BASE_URL=ftp://x", "ANTHROPIC_BASE_URL=nonsense", "TLS_CERT_FILE=/nonexistent",
    "UPSTREAM_CA_FILE=/nonexistent", "HTTPS_PROXY=gopher://x", "ANTHROPIC_AUTH_STYLE=magic",
    "NO_SUCH_SETTING=1", "SERVICES=three", "ADMIN_LISTEN=0.0.0.0:99", "ADMIN_LISTEN=nonsense",
    "ADMIN_LISTEN=127.0.0.1:99", "CLAUDE_SERVICE_HOST=example.org", "CODEX_SERVICE_PORT=8001"])
def test_bad_settings(setting):
    done = run("check", *QUIET, "--set", setting)
    assert done.returncode == 2, done.stdout
    assert setting.split("=")[0] in done.stderr
    assert done.stderr.startswith("cc-proxy: option: ")


@pytest.mark.parametrize("setting", [
    "ANTHROPIC_BASE_URL=ftp://x", "UPSTREAM_CA_FILE=/nonexistent", "HTTPS_PROXY=gopher://x",
    "OPENAI_API_KEY=sk-server", "ADMIN_LISTEN=[::]:99", "ADAPTERS_FILE=/nonexistent"])
def test_bad_settings_are_named_with_their_line(setting, tmp_path):
    """Also those that are found wrong only after the file has been read."""
    env_file = tmp_path / "env"
    env_file.write_text(f"# a comment\n\n{setting}\n")
    done = run("check", "--env-file", str(env_file))
    assert done.returncode == 2, done.stdout
    assert done.stderr.startswith(f"cc-proxy: file {env_file}, line 3: {setting.split('=')[0]}")


def test_demo():
    done = run("demo", timeout=40)
    assert done.returncode == 0, done.stderr
    assert "message_stop" in done.stdout and "response.completed" in done.stdout


def test_simulator_built_in():
    with Proxy("--simulator") as p:
        assert post(p.claude_port).json()["type"] == "message"
        assert post(p.codex_port, target="/v1/responses",
                    body={"model": "gpt-5", "input": "x"}).status == 200


@pytest.mark.parametrize("service,host,tls", [
    ("both", "0.0.0.0", False), ("claude", "::", True), ("codex", "::1", False)])
def test_printed_commands_work(service, host, tls, certificates):
    """Goal: what `make run` prints can be pasted, whatever is configured."""
    settings = {"CLAUDE_SERVICE_PORT": free_port(), "CODEX_SERVICE_PORT": free_port(),
                "CLAUDE_SERVICE_HOST": host, "CODEX_SERVICE_HOST": host, "SERVICES": service,
                "WORKERS": 1}
    if tls:
        settings["TLS_CERT_FILE"], settings["TLS_KEY_FILE"] = certificates.pair
    args = [x for n, v in settings.items() for x in ("--set", f"{n}={v}")]
    with subprocess.Popen([BINARY, "serve", "--simulator", *QUIET, *args], env=environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
        printed = []
        while not printed or not printed[-1].endswith("/health\n"):
            printed.append(p.stderr.readline())
        while "service_starting" not in p.stdout.readline():
            pass
        commands = [x for x in printed if x.startswith("  curl")]
        replies = [subprocess.run(x, shell=True, capture_output=True, text=True, timeout=30,
                                  env=environment(), check=True).stdout for x in commands]
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=20)
    assert len(replies) == (3 if service == "both" else 2)
    assert ("message_stop" in "".join(replies)) == (service != "codex")
    assert ("response.completed" in "".join(replies)) == (service != "claude")
    assert '"healthy"' in replies[-1]


def test_taken_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        done = run("serve", *QUIET, *LOCAL, "--set", f"CLAUDE_SERVICE_PORT={port}",
                   "--set", "CODEX_SERVICE_PORT=0", "--set", "WORKERS=1")
    assert done.returncode == 2
    assert str(port) in done.stderr and "in use" in done.stderr


def test_port_of_another_cc_proxy(sim):
    with Proxy(ANTHROPIC_BASE_URL=sim.url) as p:
        done = run("serve", *QUIET, *LOCAL, "--set", f"CLAUDE_SERVICE_PORT={p.claude_port}",
                   "--set", "CODEX_SERVICE_PORT=0", "--set", "WORKERS=1")
        assert done.returncode == 2 and str(p.claude_port) in done.stderr


@pytest.mark.parametrize("service", ["claude", "codex"])
def test_one_service(sim, service):
    with Proxy("--service", service, ANTHROPIC_BASE_URL=sim.url, SERVICES=service) as p:
        assert len(p.log(event="listening")) == 1
        with Client(getattr(p, f"{service}_port")) as c:
            assert c.request("GET", "/health").json()["service"] == f"{service}-service"


def test_old_names_of_settings(sim):
    """Any case, port aliases, ignored ones."""
    env = {"anthropic_base_url": sim.url, "service_cc_port": "0", "Service_CX_Port": "0",
           "DEBUG": "true", "CONTAINER_MODE": "1", "GATEWAY_PORT": "80", "LOG_REQUESTS": "x",
           "CLAUDE_SERVICE_HOST": "127.0.0.1", "CODEX_SERVICE_HOST": "127.0.0.1", "WORKERS": "1"}
    process = subprocess.Popen([BINARY, "serve", "--quiet", *QUIET], env=environment(env),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = []
    for text in process.stdout:
        lines.append(json.loads(text))
        if lines[-1]["event"] == "codex_service_starting":
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0
    [start] = [x for x in lines if x["event"] == "claude_service_starting"]
    assert start["base_url"] == sim.url


# --- signals ---

@pytest.mark.parametrize("workers", [1, 3])
def test_sigterm_finishes_open_streams(raw, workers):
    up = raw[1]
    go = threading.Event()

    def script(c, r):
        c.stream_head()
        c.chunk(START)
        assert go.wait(10)
        c.chunk(STOP)
        c.last_chunk()
    up.script = script
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", WORKERS=workers,
               DRAIN_TIMEOUT="15") as p:
        with Client(p.claude_port) as c, Client(p.claude_port) as idle:
            assert idle.request("GET", "/health").status == 200
            begin_stream(c)
            p.kill(signal.SIGTERM)
            p.wait_log("stopping")
            assert idle.closed()
            with pytest.raises(OSError):  # nothing new
                until(lambda: Client(p.claude_port, timeout=1).request("GET", "/health") is None)
            go.set()
            assert c.body() == STOP
        assert p.stop() == 0


@contextlib.contextmanager
def endless_stream(up, drain_timeout):
    """A proxy in the middle of a stream."""
    up.script = lambda c, r: (c.stream_head(), c.chunk(START), c.wait_closed(15))
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", DRAIN_TIMEOUT=drain_timeout) as p:
        with Client(p.claude_port) as c:
            begin_stream(c)
            yield p


def test_drain_timeout(raw):
    """A stream that does not end is cut at DRAIN_TIMEOUT."""
    with endless_stream(raw[1], "0.5") as p:
        p.kill(signal.SIGTERM)
        p.wait_log("drain_timeout")
        assert p.stop() == 0


def test_sigint_ends_at_once(raw):
    with endless_stream(raw[1], "60") as p:
        assert p.stop(number=signal.SIGINT) == 0


def hammer(port, end, failures, count):
    """Requests, each on a new connection, until told to stop."""
    while not end.is_set():
        try:
            with Client(port, timeout=10) as c:
                reply = c.request("POST", "/v1/messages", KEY, json=BODY | {"stream": True})
                if reply.status != 200 or b"message_stop" not in reply.body:
                    failures.append(reply.status)
        except Exception as e:  # whatever it is, it is a failed request
            failures.append(e)
        count.append(1)


def test_sighup_under_load(sim):
    with Proxy(ANTHROPIC_BASE_URL=sim.url, SERVICES="claude", WORKERS="2") as p:
        end, failures, count = threading.Event(), [], []
        threads = [threading.Thread(target=hammer, args=(p.claude_port, end, failures, count))
                   for _ in range(4)]
        for t in threads:
            t.start()
        for _ in range(5):
            since, n = len(p.lines), len(count)
            p.kill(signal.SIGHUP)
            p.wait_log("reload_complete", since)
            until(lambda: len(count) > n + 20)
        end.set()
        for t in threads:
            t.join()
        assert not failures, failures[:5]
        until(lambda: len(p.workers()) == 2)  # the old ones have gone


def test_signal_storm(sim):
    with Proxy(ANTHROPIC_BASE_URL=sim.url, SERVICES="claude") as p:
        for _ in range(20):
            p.kill(signal.SIGHUP)
        p.wait_log("reload_complete")
        assert post(p.claude_port).status == 200
        p.kill(signal.SIGHUP)
        assert p.stop() == 0


def test_killed_worker_is_replaced(raw):
    """Only its streams break, and visibly; no connection is refused."""
    up = raw[1]
    go = threading.Event()

    def script(c, r):
        if not r.json().get("stream"):
            return c.reply(body=b"{}")
        c.stream_head()
        c.chunk(START)
        go.wait(10)
        c.chunk(STOP)
        c.last_chunk()
    up.script = script
    with Proxy(ANTHROPIC_BASE_URL=up.url, SERVICES="claude", WORKERS="2") as p:
        p.deaths_expected = True
        clients = [Client(p.claude_port) for _ in range(12)]
        for c in clients:
            begin_stream(c)
        victim = p.workers()[0]
        os.kill(victim, signal.SIGKILL)
        p.wait_log("worker_died")
        until(lambda: victim not in p.workers() and len(p.workers()) == 2)
        for _ in range(20):
            assert post(p.claude_port).status == 200
        go.set()
        whole = broken = 0
        for c in clients:
            try:
                assert c.body() == STOP
                whole += 1
            except Exception:
                broken += 1
            c.close()
        assert whole > 0 and broken > 0 and whole + broken == 12


def test_workers_follow_a_killed_supervisor(sim):
    p = Proxy(ANTHROPIC_BASE_URL=sim.url, SERVICES="claude")
    [worker] = p.workers()
    p.kill(signal.SIGKILL)
    assert p.stop(check=False) == -9
    until(lambda: not os.path.exists(f"/proc/{worker}"))


# --- development ---

def test_env_file_is_watched_in_test_environment(sim, tmp_path):
    env_file = tmp_path / ".env"
    text = f"ANTHROPIC_BASE_URL={sim.url}\nENVIRONMENT=test\n"
    env_file.write_text(text + "MODELS=before\n")
    with Proxy(cwd=tmp_path, env_file=None, SERVICES="claude") as p:
        assert post(p.claude_port).status == 200
        env_file.write_text(text + "PROXY_API_KEYS=only-this\n")
        p.wait_reload()
        assert post(p.claude_port).status == 401
        assert post(p.claude_port, {"x-api-key": "only-this"}).status == 200


def test_watched_files_follow_the_configuration(sim, tmp_path):
    """A file that only a later .env names; and in production, none."""
    env_file, prompt = tmp_path / ".env", tmp_path / "prompt"
    text = f"ANTHROPIC_BASE_URL={sim.url}\n"
    env_file.write_text(text + "ENVIRONMENT=test\n")
    with Proxy(cwd=tmp_path, env_file=None, SERVICES="claude") as p:
        prompt.write_text("one")
        env_file.write_text(text + f"ENVIRONMENT=test\nCLAUDE_SYSTEM_PROMPT_FILE={prompt}\n")
        p.wait_reload()
        since = len(p.lines)
        prompt.write_text("two, longer")
        p.wait_log("reload_complete", since, generation=3)
        since = len(p.lines)
        env_file.write_text(text + "ENVIRONMENT=production\n")
        p.wait_log("reload_complete", since, generation=4)
        env_file.write_text(text + "ENVIRONMENT=production\nMODELS=a\n")
        time.sleep(1.2)
        assert not p.log(event="reload_starting", generation=5)


def test_bodies_are_logged_in_test_with_masked_credentials(sim):
    with Proxy(ANTHROPIC_BASE_URL=sim.url, OPENAI_BASE_URL=sim.url, ENVIRONMENT="test") as p:
        post(p.claude_port, body=BODY | {"metadata": {"leak": CANARY}})
        line = p.wait_log("claude_request")
        assert '"messages"' in line["request_body"] and "***" in line["request_body"]
        done = p.wait_log("proxy_request_complete")
        assert '"type":"message"' in done["response_body"]
        post(p.codex_port, target="/v1/responses", body={"model": "m", "input": CANARY})
        p.wait_log("codex_request")
        p.stop()
        assert CANARY not in json.dumps(p.lines)


def everything(p):
    """Requests of every kind, each with the canary key."""
    bearer = {"authorization": f"Bearer {CANARY}"}
    for fault in ("none", "status-401", "status-529", "cut", "reset", "error-event"):
        post(p.claude_port, {"x-mock-fault": fault}, body=BODY | {"stream": True})
        post(p.codex_port, bearer | {"x-mock-fault": fault}, "/v1/responses",
             {"model": "m", "input": "x", "stream": True})
    post(p.claude_port, body={"messages": 1})
    for method, target in (("GET", "/v1/models"), ("GET", "/nope"), ("GET", "/v1/messages"),
                           ("POST", "/v1/files"), ("GET", f"/v1/files?key={CANARY}")):
        with Client(p.claude_port) as c:
            c.request(method, target, KEY)
    for data in (b"{", b"[]", b"\xff"):
        with Client(p.claude_port) as c:
            c.request("POST", "/v1/messages", KEY, data)
    with Client(p.claude_port) as c:
        c.request("POST", "/v1/messages", {"x-api-key": [CANARY, CANARY]}, b"{}")


@pytest.mark.parametrize("where", ["production", "test"])
@pytest.mark.parametrize("style", ["json", "text"])
@pytest.mark.row("8: logs")
def test_no_key_in_any_log(sim, where, style):
    settings = {"ANTHROPIC_BASE_URL": sim.url, "OPENAI_BASE_URL": sim.url, "LOG_LEVEL": "DEBUG",
                "ENVIRONMENT": where}
    if style == "json":
        with Proxy(**settings) as p:
            everything(p)
            p.stop()
            text = json.dumps(p.lines) + p.stderr.decode()
            bodies = [x for x in p.lines if "request_body" in x or "response_body" in x]
            assert (len(bodies) > 0) == (where == "test")
    else:
        text = readable_log(settings)
    assert CANARY not in text and CANARY[:16] not in text
    assert "request_done" in text


def readable_log(settings):
    """The log as text has no ports that could be parsed: take fixed ones that are free."""
    ports = free_port(), free_port()
    args = [BINARY, "serve", "--quiet", *QUIET]
    settings = settings | {"LOG_FORMAT": "console", "WORKERS": "1",
                           "CLAUDE_SERVICE_PORT": ports[0], "CODEX_SERVICE_PORT": ports[1],
                           "CLAUDE_SERVICE_HOST": "127.0.0.1", "CODEX_SERVICE_HOST": "127.0.0.1"}
    for name, value in settings.items():
        args += ["--set", f"{name}={value}"]
    process = subprocess.Popen(args, env=environment(), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    until(lambda: listens(ports[1]))

    class Ports:
        claude_port, codex_port = ports
    everything(Ports)
    process.send_signal(signal.SIGTERM)
    text = process.communicate(timeout=20)[0]
    assert process.returncode == 0
    with pytest.raises(ValueError):
        json.loads(text.splitlines()[0])
    return text


# --- the log's contract (adapters.md section 9) ---

def test_log_lines(sim):
    with Proxy(ANTHROPIC_BASE_URL=sim.url, OPENAI_BASE_URL=sim.url) as p:
        reply = post(p.claude_port, {"user-agent": "CherryStudio/1.2"}, body=BODY | {"stream": True})
        post(p.codex_port, target="/v1/responses", body={"model": "m", "input": "x"})
        post(p.claude_port, {"x-mock-fault": "status-429"})
        post(p.codex_port, {"x-mock-fault": "status-500"}, "/v1/responses",
             {"model": "m", "input": "x"})
        with Client(p.claude_port) as c:
            c.request("POST", "/v1/messages", {}, b"{}")
        with Client(p.claude_port) as c:
            c.request("POST", "/v1/messages", KEY, b"{")
        p.stop()
        wanted = {
            "claude_service_starting": {"base_url": sim.url},
            "codex_service_starting": {"base_url": sim.url},
            "claude_service_shutdown": {}, "codex_service_shutdown": {},
            "claude_request": {"model": "claude-x", "stream": True, "message_count": 1,
                               "user_agent": "CherryStudio/1.2"},
            "codex_request": {"model": "m", "stream": False},
            "adapter_selected": {"adapter": "cherry_studio", "reason": "header",
                                 "client_version": "1.2", "adapter_version": "1.0.0"},
            "using_default_adapter": {"adapter": "default", "reason": "default"},
            "request_transformed": {"adapter": "cherry_studio", "extra_headers_count": 0},
            "proxy_request_start": {"url": sim.url + "/v1/messages", "stream": True},
            "stream_complete": {"url": sim.url + "/v1/messages", "status": 200, "stream": True},
            "proxy_request_complete": {"url": sim.url + "/v1/responses", "status": 200,
                                       "stream": False},
            "anthropic_api_error": {"status": 429, "error_type": "rate_limit_error"},
            "openai_api_error": {"status": 500, "error_type": "server_error"},
            "authentication_error": {}, "invalid_request_error": {},
        }
        for event, fields in wanted.items():
            assert p.log(event=event, **fields), (event, p.log(event=event))
        for line in p.lines:
            if line["event"] == "log closed":
                continue
            assert line["app"] == "CC_CX_Proxy" and line["version"]
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
            assert line["logger"] and line["level"]
            assert "request_body" not in line and "response_body" not in line
        [done] = [x for x in p.log(event="stream_complete")]
        assert done["upstream_request_id"] == reply.h("request-id")
        assert done["duration_ms"] >= 0 and done["bytes"] == len(reply.body)
        for x in p.log(event="authentication_error") + p.log(event="invalid_request_error"):
            assert x["error"] and x["request_id"].startswith("req_")
        finished = p.log(event="request_done")
        assert len(finished) == 6 and len({x["request_id"] for x in finished}) == 6


def test_log_level(sim):
    with Proxy(ANTHROPIC_BASE_URL=sim.url, SERVICES="claude", LOG_LEVEL="WARNING",
               CLAUDE_SERVICE_PORT=free_port(), wait=False) as p:
        port = int(p.settings["CLAUDE_SERVICE_PORT"])
        until(lambda: listens(port))
        assert post(port).status == 200
        assert post(port, {"x-mock-fault": "status-500"}).status == 500
        p.stop()
        told = {"configuration_note", "sandbox_missing"}  # as root; with sanitizers
        events = [x["event"] for x in p.lines if x["event"] not in told]
        assert events == ["anthropic_api_error", "log closed"]


def test_a_log_that_cannot_be_written_harms_nobody(sim):
    port = free_port()
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(
            [BINARY, "serve", "--quiet", "--service", "claude", *QUIET, *LOCAL, "--set",
             f"CLAUDE_SERVICE_PORT={port}", "--set", "WORKERS=1", "--set",
             f"ANTHROPIC_BASE_URL={sim.url}"], env=environment(), stdout=full,
            stderr=subprocess.PIPE)
        until(lambda: listens(port))
        for _ in range(10):
            assert post(port).status == 200
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert process.returncode == 0


# --- files and the admin listener ---

def test_dumped_requests(sim, tmp_path):
    with Proxy(ANTHROPIC_BASE_URL=sim.url, OPENAI_BASE_URL=sim.url, CODEX_DUMP_REQUESTS="true",
               CODEX_DUMP_DIR=tmp_path) as p:
        post(p.codex_port, {"x-api-key": "", "authorization": f"Bearer {CANARY}"},
             "/v1/responses", {"model": "m", "input": f"my key is {CANARY}"})
        post(p.claude_port)
    [path] = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    dumped = json.loads(text)
    assert CANARY not in text
    assert ["authorization", "***"] in dumped["headers"]
    assert dumped["body"]["input"] == "my key is ***"


@pytest.mark.parametrize("kind", ["unix", "tcp"])
@pytest.mark.row("8: admin")
def test_metrics(sim, tmp_path, kind):
    where = f"unix:{tmp_path}/admin" if kind == "unix" else "127.0.0.1:0"
    token = {"authorization": "Bearer admin-token"}
    settings = {"ADMIN_TOKEN": "admin-token"} if kind == "tcp" else {}
    with Proxy(ANTHROPIC_BASE_URL=sim.url, SERVICES="claude", ADMIN_LISTEN=where, **settings) as p:
        assert post(p.claude_port, body=BODY | {"stream": True}).status == 200
        if kind == "unix":
            assert stat.S_IMODE(os.stat(tmp_path / "admin").st_mode) == 0o600
            done = subprocess.run(["curl", "-sS", "--unix-socket", str(tmp_path / "admin"),
                                   "http://x/metrics"], capture_output=True, text=True,
                                  timeout=20, check=True)
            text = done.stdout
        else:
            with Client(p.wait_log("listening", service="admin")["port"]) as c:
                text = c.request("GET", "/metrics", token).body.decode()
                assert c.request("GET", "/nope", token).status == 404
        assert re.search(r"^ccproxy_requests_total 1$", text, re.M), text
        assert re.search(r"^ccproxy_streams_total 1$", text, re.M)
        assert re.search(r"^ccproxy_replies_2xx_total 1$", text, re.M)
        with Client(p.claude_port) as c:  # not on the public port
            assert c.request("GET", "/metrics").status == 404


def test_secrets_are_not_in_proc(sim):
    """Neither command line nor environment of any process shows the key."""
    with Proxy(ANTHROPIC_BASE_URL=sim.url, SERVICES="claude", CORS_ALLOW_ORIGINS="",
               env={"ANTHROPIC_API_KEY": CANARY}) as p:
        assert post(p.claude_port).status == 200
        for pid in [p.process.pid, *p.workers()]:
            for name in ("environ", "cmdline"):
                with open(f"/proc/{pid}/{name}", "rb") as f:
                    assert CANARY.encode() not in f.read(), (pid, name)


class Manager:
    """A service manager's end of sd_notify(3)."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(10)
        self.path = path.replace("\0", "@")

    def next(self, wanted):
        """The next message that says something else than that the process is alive."""
        while True:
            said = dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))
            if wanted in said:
                return said
            assert "WATCHDOG" in said, said


@pytest.mark.parametrize("abstract", [False, True])
def test_service_manager_is_told(tmp_path, abstract):
    path = f"\0cc-proxy-{os.getpid()}" if abstract else str(tmp_path / "notify")
    manager = Manager(path)
    adapters = tmp_path / "adapters.json"
    adapters.write_text('{"adapters": []}')
    with Proxy(env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "200000"},
               ADAPTERS_FILE=adapters) as p:
        assert manager.next("READY")["READY"] == "1"
        assert manager.next("WATCHDOG")["WATCHDOG"] == "1"
        p.kill(signal.SIGHUP)
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        assert abs(int(manager.next("RELOADING")["MONOTONIC_USEC"]) - before) < 10_000_000
        assert manager.next("READY")["READY"] == "1"
        adapters.write_text("{")
        p.kill(signal.SIGHUP)  # refused: the old configuration goes on serving
        assert manager.next("RELOADING") and manager.next("READY")["READY"] == "1"
        p.kill(signal.SIGTERM)
        assert manager.next("STOPPING")["STOPPING"] == "1"


def test_watchdog_of_another_process_is_left_alone(tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    with Proxy(env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}):
        assert manager.next("READY")
        manager.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            manager.socket.recv(100)

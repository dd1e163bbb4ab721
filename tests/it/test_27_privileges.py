"""What the processes give up: users, capabilities, core files (reliability.md section 8)."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from proxy import BINARY, SANITIZED, Proxy, Simulator, environment, run, until
from wire import Client

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
KEY = {"x-api-key": "sk-0123456789"}
BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
NOBODY = 65534
# capability.h: DAC_OVERRIDE, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE
SUPERVISING = sum(1 << n for n in (1, 5, 6, 7, 8, 10))


def status(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def ids(pid):
    """All of real, effective, saved and file-system ids, and the supplementary groups."""
    s = status(pid)
    return set(s["Uid"].split()), set(s["Gid"].split()), set(s["Groups"].split())


def children(pid):
    """Those that have not ended."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(x) for x in found if Path(f"/proc/{x}/cmdline").read_bytes()]


def serves(p):
    with Client(p.claude_port) as c:
        return c.request("POST", "/v1/messages", KEY, json=BODY).status == 200


@root
@pytest.mark.parametrize("user", ["nobody", "nobody:nogroup", "65534:65534"])
@pytest.mark.row("8: privileges")
def test_workers_and_simulator_become_another_user(user, certificates):
    """Also with files that only root may read, at the start and at a reload."""
    certificate, key = certificates.pair
    os.chmod(key, 0o600)
    with Proxy("--simulator", RUN_AS_USER=user, TLS_CERT_FILE=certificate, TLS_KEY_FILE=key,
               WORKERS=2) as p:
        for round_ in range(2):
            found = children(p.process.pid)
            assert len(found) == 3 and len(p.workers()) == 2
            for pid in found:
                assert ids(pid) == ({str(NOBODY)}, {str(NOBODY)}, {str(NOBODY)})
                assert status(pid)["NoNewPrivs"] == "1"
                assert {int(status(pid)[name], 16) for name in CAPABILITIES} == {0}
            if round_ == 0:
                p.kill(signal.SIGHUP)  # which also shows that signals still reach the old ones
                p.wait_reload()


@root
def test_a_dropped_worker_ends_with_its_supervisor(sim):
    """The change of user must not undo what ends a worker then."""
    p = Proxy(ANTHROPIC_BASE_URL=sim.url, RUN_AS_USER="nobody")
    [worker] = p.workers()
    p.kill(signal.SIGKILL)
    assert p.stop(check=False) == -9
    until(lambda: not os.path.exists(f"/proc/{worker}"))


@root
@pytest.mark.row("8: privileges")
def test_root_without_a_user_says_so_and_keeps_no_capability(sim):
    with Proxy(ANTHROPIC_BASE_URL=sim.url) as p:
        [note] = [x for x in p.log(event="configuration_note") if "RUN_AS_USER" in x["note"]]
        assert note["level"] == "warning"
        [worker] = p.workers()
        assert ids(worker)[0] == {"0"}
        assert {int(status(worker)[name], 16) for name in CAPABILITIES} == {0}
        assert serves(p)


@root
@pytest.mark.row("8: privileges")
def test_the_supervisor_keeps_what_it_needs(sim):
    with Proxy(ANTHROPIC_BASE_URL=sim.url) as p:
        s = status(p.process.pid)
        for name in ("CapPrm", "CapEff", "CapBnd"):
            assert int(s[name], 16) & ~SUPERVISING == 0, name
        assert s["NoNewPrivs"] == "1"


@root
def test_nobody_can_start_it_all(sim, tmp_path):
    """Without root nothing is to be given up, and the setting is named as useless."""
    binary = tmp_path / "cc-proxy"
    binary.write_bytes(Path(BINARY).read_bytes())
    for path in (tmp_path, *tmp_path.parents[:3], binary):
        path.chmod(0o755)
    command = [binary, "serve", "--quiet", "--env-file", "/dev/null", "--set", "RUN_AS_USER=nobody"]
    for name in ("CLAUDE", "CODEX"):
        command += ["--set", f"{name}_SERVICE_PORT=0", "--set", f"{name}_SERVICE_HOST=127.0.0.1"]
    with subprocess.Popen(command, env=environment(), cwd=tmp_path, user=NOBODY, group=NOBODY,
                          extra_groups=[], stdout=subprocess.PIPE, text=True) as process:
        lines = []
        while "claude_service_starting" not in (lines or [""])[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        for pid in children(process.pid):
            assert {int(status(pid)[name], 16) for name in CAPABILITIES[:3]} == {0}
            assert status(pid)["NoNewPrivs"] == "1"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0
    assert any("RUN_AS_USER has no effect" in line for line in lines)


@pytest.mark.parametrize("user", ["no-such-user", "root:no-such-group", ":", "x" * 300])
def test_a_wrong_user_is_refused(user):
    done = run("check", "--env-file", "/dev/null", "--set", f"RUN_AS_USER={user}")
    assert done.returncode == 2
    assert done.stderr.startswith("cc-proxy: option: RUN_AS_USER: "), done.stderr


# --- core files ---

def core_limits(pid):
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith("Max core file size"):
            return line.split()[4]
    raise AssertionError("no such limit")


def dumpable(pid):
    """Files of a process that is not dumpable belong to root, whoever runs it."""
    return os.stat(f"/proc/{pid}/environ").st_uid == int(status(pid)["Uid"].split()[0])


@root
@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.row("8: core dumps")
def test_core_files(sim, allowed):
    with Proxy("--simulator", RUN_AS_USER="nobody", CORE_DUMPS=str(allowed).lower()) as p:
        [worker] = p.workers()
        simulator = next(x for x in children(p.process.pid) if x != worker)
        assert dumpable(worker) == allowed and not dumpable(simulator)
        assert core_limits(simulator) == "0"
        for pid in (worker, p.process.pid):  # the supervisor's follows when its workers serve
            until(lambda pid=pid: (core_limits(pid) != "0") == allowed)


# --- the sandbox ---

@pytest.mark.skipif(SANITIZED, reason="sanitizers need what the sandbox forbids")
@pytest.mark.parametrize("mode", ["on", "log", "off"])
@pytest.mark.row("8: sandbox")
def test_workers_are_in_the_sandbox(sim, mode):
    """That it holds is seen in test_sandbox.c, that it lets everything else work in all tests."""
    with Proxy(ANTHROPIC_BASE_URL=sim.url, SANDBOX=mode, LOG_LEVEL="DEBUG") as p:
        missing = p.log(event="sandbox_missing")
        [worker] = p.workers()
        if not missing:
            assert status(worker)["Seccomp"] == ("0" if mode == "off" else "2")
            assert len(p.log(event="sandbox", mode=mode)) == (mode != "off")
        assert status(p.process.pid)["Seccomp"] == "0"  # it starts processes
        assert serves(p)


@pytest.mark.skipif(SANITIZED, reason="sanitizers need what the sandbox forbids")
@pytest.mark.row("8: sandbox")
def test_the_simulator_is_in_the_sandbox(sim, tmp_path):
    """Alone and as the supervisor's; it serves, TLS too, with nothing to read or to connect to."""
    with Proxy("--simulator", cwd=tmp_path) as p:
        if not p.log(event="sandbox_missing"):
            found = children(p.process.pid)
            assert [status(pid)["Seccomp"] for pid in found] == ["2", "2"]
            assert status(sim.process.pid)["Seccomp"] == "2"
        assert serves(p)


@pytest.mark.skipif(not SANITIZED, reason="the sandbox is there")
def test_a_build_without_a_sandbox_says_so(sim):
    with Proxy(ANTHROPIC_BASE_URL=sim.url) as p:
        assert {x["part"] for x in p.log(event="sandbox_missing")} == {"seccomp", "landlock"}
        assert serves(p)


@pytest.mark.skipif(SANITIZED, reason="sanitizers need what the sandbox forbids")
def test_a_port_of_a_new_configuration_can_be_reached(sim, tmp_path):
    """The sandbox is made from the configuration: a reload makes another one."""
    env_file = tmp_path / "env"
    env_file.write_text("ANTHROPIC_BASE_URL=http://127.0.0.1:1\n")
    with Proxy(env_file=env_file) as p:
        assert not serves(p)
        env_file.write_text(f"ANTHROPIC_BASE_URL={sim.url}\n")
        p.kill(signal.SIGHUP)
        p.wait_reload()
        assert serves(p)


def test_the_system_s_authorities_are_found_from_within(certificates, tmp_path):
    """OpenSSL looks them up one by one, when a connection needs them: in the sandbox."""
    name = subprocess.run(["openssl", "x509", "-hash", "-noout", "-in", certificates.ca],
                          capture_output=True, text=True, check=True).stdout.strip()
    for folder, there in (("with", True), ("without", False)):
        (tmp_path / folder).mkdir()
        if there:
            (tmp_path / folder / f"{name}.0").write_bytes(Path(certificates.ca).read_bytes())
        upstream = Simulator(tls=certificates.pair, ca=certificates.ca)
        with Proxy(ANTHROPIC_BASE_URL=upstream.url,
                   env={"SSL_CERT_DIR": str(tmp_path / folder), "SSL_CERT_FILE": "/no/file"}) as p:
            assert serves(p) == there
        upstream.stop()

"""CONFIG_FILE: what `check` says of it, and that serving loads and reloads it."""

import signal

import pytest
from proxy import Proxy, run
from wire import Client

CANARY = "sk-canary-0123456789abcdef"
FILE = f"""\
upstreams:
  deepseek:
    base_url: https://api.deepseek.com
    protocol: chat
    key: {CANARY}
    proxy: http://me:{CANARY}@127.0.0.1:3128
    settings: {{ chat.reasoning_replay: always, openai.effort: [low, high] }}
  local:
    base_url: http://127.0.0.1:8000/v1
    protocol: messages
    profile: vllm
services:
  claude:
    strict: true
    routes:
      - model: "deepseek-*"
        upstream: deepseek
        upstream_model: deepseek-chat
      - model: "*-local"
        upstream: local
"""


def check(tmp_path, text=FILE, *args, name="c.yaml", **settings):
    (tmp_path / name).write_text(text)
    settings = {"PROXY_API_KEYS": "k", "CONFIG_FILE": name} | settings
    return run("check", "--env-file", "/dev/null", *args, cwd=tmp_path,
               *(x for n, v in settings.items() for x in ("--set", f"{n}={v}")))


def test_check_prints_the_file_with_masked_keys(tmp_path):
    done = check(tmp_path)
    assert done.returncode == 0, done.stderr
    assert CANARY not in done.stdout + done.stderr
    text = done.stdout[done.stdout.index("# c.yaml\n"):]
    for line in ("  deepseek:", '    base_url: "https://api.deepseek.com"', "    key: '***'",
                 "    proxy: '***'", "    profile: deepseek # by host", "    profile: vllm",
                 "    key: null # the client's", '      openai.effort: "low,high"',
                 "    strict: true", '      - { model: "*-local", upstream: "local" }'):
        assert line + "\n" in text
    assert text.endswith("configuration ok\n")


def test_without_a_file_check_is_as_before(tmp_path):
    done = run("check", "--env-file", "/dev/null", cwd=tmp_path)
    assert done.returncode == 0 and "upstreams:" not in done.stdout


def test_the_default_file_counts_when_it_is_there(tmp_path):
    done = check(tmp_path, name="cc-proxy.yaml", CONFIG_FILE="")
    assert done.returncode == 0 and "# cc-proxy.yaml\nupstreams:\n" in done.stdout
    done = check(tmp_path, "upstream: 1\n", name="cc-proxy.yaml", CONFIG_FILE="")
    assert done.returncode == 2
    assert done.stderr == ("cc-proxy: file cc-proxy.yaml, line 1, column 1: upstream: "
                           "no such key here\n")


@pytest.mark.parametrize("old, new, place, reason", [
    ("protocol: chat", "protocol: grpc", "line 4, column 5", "protocol: must be messages, chat or responses"),
    ("protocol: chat", "prtcl: chat", "line 4, column 5", "prtcl: no such key here"),
    ("    protocol: chat\n", "", "line 2, column 3", "deepseek: needs protocol"),
    ("profile: vllm", "profile: vlm", "line 11, column 5", "profile: there is no such profile"),
    ("[low, high]", "[low, lots]", "line 7, column 48", "openai.effort must be"),
    ("upstream: local", "upstream: locl", "line 20, column 9", "upstream: there is no upstream"),
    ("strict: true", "strict: 1", "line 14, column 5", "strict: must be true or false"),
    ("https://api", "gopher://api", "line 3, column 5", "base_url: the scheme must be http"),
    ("  claude:\n", "  clode:\n", "line 13, column 3", "clode: no such key here"),
    ("services:", "services: [", "line 14, column 11", ""),
])
def test_mistakes_are_named_with_line_and_column(tmp_path, old, new, place, reason):
    assert old in FILE
    done = check(tmp_path, FILE.replace(old, new))
    assert done.returncode == 2
    assert done.stderr.startswith(f"cc-proxy: file c.yaml, {place}: {reason}"), done.stderr
    assert CANARY not in done.stderr and done.stderr.count("\n") == 1


def test_a_missing_file_is_named(tmp_path):
    done = check(tmp_path, CONFIG_FILE="other.yaml")
    assert done.returncode == 2
    assert done.stderr == "cc-proxy: option: CONFIG_FILE: other.yaml: No such file or directory\n"


def test_an_open_key_is_refused(tmp_path):
    done = check(tmp_path, PROXY_API_KEYS="")
    assert done.returncode == 2
    assert done.stderr.startswith("cc-proxy: file c.yaml, line 5, column 5: key: this key is set, "
                                  "PROXY_API_KEYS is not")


def test_check_route(tmp_path):
    done = check(tmp_path, FILE, "--route", "deepseek-r1")
    assert done.returncode == 0 and not done.stderr
    rows = [x.split() for x in done.stdout.splitlines()]
    assert [r[:3] + r[3:5] + [r[6], r[8], r[9]] for r in rows] == [
        ["claude", p, "->", "deepseek", "chat", "deepseek", '"deepseek-chat"',
         "https://api.deepseek.com"] for p in ("messages", "chat", "responses")] + [
        ["codex", p, "->", "codex", "responses", "openai", '"deepseek-r1"',
         "https://api.openai.com"] for p in ("messages", "chat", "responses")]
    one = check(tmp_path, FILE, "--route", "X-LOCAL", "--service", "claude").stdout.splitlines()
    assert len(one) == 3
    assert all(" local " in x and " messages " in x and " profile vllm " in x for x in one)


def healthy(p):
    with Client(p.claude_port) as c:
        return c.request("GET", "/health").status == 200


def test_serving_loads_the_file_and_reloads_it(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(FILE)
    with Proxy(CONFIG_FILE=path, PROXY_API_KEYS="k", SERVICES="claude") as p:
        assert healthy(p)
        path.write_text(FILE + "more: 1\n")
        p.kill(signal.SIGHUP)
        line = p.wait_log("reload_failed")
        assert line["error"] == f"file {path}, line 21, column 1: more: no such key here"
        assert healthy(p)
        path.write_text(FILE)
        p.kill(signal.SIGHUP)
        p.wait_reload()
        assert healthy(p)


def test_a_faulty_file_stops_the_start(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("upstreams: 1\n")
    p = Proxy(CONFIG_FILE=path, wait=False)
    assert p.process.wait(20) == 2
    p.stop(code=2)
    assert f"file {path}, line 1, column 1: upstreams: must be a mapping" in p.stderr.decode()


def test_the_file_is_watched_in_test_environment(tmp_path):
    """Also when it comes into being later."""
    with Proxy(cwd=tmp_path, ENVIRONMENT="test", SERVICES="claude", PROXY_API_KEYS="k") as p:
        (tmp_path / "cc-proxy.yaml").write_text("upstreams: 1\n")
        p.wait_log("reload_failed")
        since = len(p.lines)
        (tmp_path / "cc-proxy.yaml").write_text(FILE)
        p.wait_log("reload_complete", since)
        assert healthy(p)

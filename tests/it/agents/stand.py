"""A simulator, a proxy in front of it, and agents that talk to the proxy."""

import os
import subprocess
from pathlib import Path

from agents.tap import Tap
from proxy import Proxy, Simulator

FOLDER = Path(os.environ.get("CC_PROXY_AGENTS_DIR") or Path.home() / ".cache/cc-proxy-agents")
BIN = FOLDER / "node_modules/.bin"
RAN = "mock-shell-42"  # only an agent that ran the command knows it


def missing(*names):
    """Why tests of these agents cannot run; empty: they can."""
    if all((BIN / name).exists() for name in names):
        return ""
    return f"no {', '.join(names)} in {FOLDER}: run tools/setup-agents"


CODEX_CONFIG = """
{provider}
approval_policy = "never"
sandbox_mode = "danger-full-access"
[features]
plugins = false
[analytics]
enabled = false
[model_providers.proxy]
name = "proxy"
base_url = "{url}/v1"
env_key = "PROXY_KEY"
wire_api = "responses"
"""


BUILT_IN = 'openai_base_url = "{url}/v1"'


class Stand:
    """A simulator, a proxy in front of it, and a tap on each of its ports."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.home = folder / "home"
        (self.home / ".codex").mkdir(parents=True)
        (folder / "work").mkdir()
        self.sim = Simulator()
        self.proxy = Proxy(ANTHROPIC_BASE_URL=self.sim.url, OPENAI_BASE_URL=self.sim.url,
                           **settings)
        self.claude_tap = Tap(self.proxy.claude_port)
        self.codex_tap = Tap(self.proxy.codex_port)

    def close(self, check):
        for tap in (self.claude_tap, self.codex_tap):
            tap.listener.close()
        self.proxy.stop(check=check)
        self.sim.stop()

    def run(self, command, **env):
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "TERM": "dumb"} | env
        return subprocess.run([str(c) for c in command], env=env, cwd=self.folder / "work",
                              stdin=subprocess.DEVNULL, timeout=100, capture_output=True,
                              text=True, check=False)

    def claude(self, *arguments, **env):
        return self.run([BIN / "claude", "-p", *arguments], **{
            "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{self.claude_tap.port}",
            "ANTHROPIC_AUTH_TOKEN": "dummy-token-1", "DISABLE_TELEMETRY": "1",
            "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"} | env)

    def codex(self, *arguments, provider='model_provider = "proxy"', scheme="http", **env):
        url = f"{scheme}://localhost:{self.codex_tap.port}"
        config = CODEX_CONFIG.format(provider=provider.format(url=url), url=url)
        (self.home / ".codex/config.toml").write_text(config)
        return self.run([BIN / "codex", "exec", "--skip-git-repo-check", *arguments],
                        PROXY_KEY="dummy", **env)

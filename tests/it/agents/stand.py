"""A simulator, a proxy in front of it, and agents that talk to the proxy."""

import json
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


TARGETS = {"messages": "/v1/messages", "chat": "/v1/chat/completions",
           "responses": "/v1/responses"}

# What each agent calls the three protocols.
OPENCODE_PACKAGES = {"messages": "@ai-sdk/anthropic", "chat": "@ai-sdk/openai-compatible",
                     "responses": "@ai-sdk/openai"}
QWEN_TYPES = {"messages": "anthropic", "chat": "openai"}
CLINE_PROVIDERS = {"messages": "anthropic", "chat": "openai-compatible",
                   "responses": "openai-native"}


class Stand:
    """A simulator, a proxy in front of it, and a tap on each of its ports; protocol: the only one
    that the upstreams speak."""

    def __init__(self, folder, protocol=None, **settings):
        if protocol:
            settings |= {"ANTHROPIC_PROTOCOLS": protocol, "OPENAI_PROTOCOLS": protocol}
        self.folder, self.protocol = folder, protocol
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

    def url(self, protocol):
        tap = self.claude_tap if protocol == "messages" else self.codex_tap
        return f"http://127.0.0.1:{tap.port}"

    def quiet(self, command, **env):
        """Run with every way out of this machine closed."""
        return self.run(command, **{"HTTPS_PROXY": "http://127.0.0.1:9", "DO_NOT_TRACK": "1",
                                    "NO_PROXY": "127.0.0.1,localhost"} | env)

    def opencode(self, protocol, *arguments):
        options = {"baseURL": self.url(protocol) + "/v1", "apiKey": "dummy"}
        model = {"name": "model-1", "tool_call": True, "reasoning": True,
                 "limit": {"context": 200000, "output": 32000}}
        (self.folder / "work/opencode.json").write_text(json.dumps({
            "autoupdate": False, "share": "disabled", "permission": {"bash": "allow"},
            "model": "proxy/model-1", "small_model": "proxy/model-1",
            "provider": {"proxy": {"npm": OPENCODE_PACKAGES[protocol], "name": "proxy",
                                   "options": options, "models": {"model-1": model}}}}))
        return self.quiet([BIN / "opencode", "run", *arguments], **{
            f"OPENCODE_DISABLE_{what}": "1" for what in
            ("MODELS_FETCH", "AUTOUPDATE", "LSP_DOWNLOAD", "DEFAULT_PLUGINS")})

    def qwen(self, protocol, *arguments):
        (self.home / ".qwen").mkdir(exist_ok=True)
        (self.home / ".qwen/settings.json").write_text(json.dumps({
            "telemetry": {"enabled": False}, "privacy": {"usageStatisticsEnabled": False},
            "general": {"disableAutoUpdate": True, "disableUpdateNag": True}}))
        kind = QWEN_TYPES[protocol]
        url = self.url(protocol) + ("/v1" if kind == "openai" else "")
        # no HTTPS_PROXY: it would ask that proxy for 127.0.0.1 too
        return self.run([BIN / "qwen", "--auth-type", kind, "-m", "model-1", "-y",
                         *arguments], **{f"{kind.upper()}_API_KEY": "dummy",
                                         f"{kind.upper()}_BASE_URL": url,
                                         f"{kind.upper()}_MODEL": "model-1"})

    def cline(self, protocol, *arguments):
        name = CLINE_PROVIDERS[protocol]
        settings = {"provider": name, "apiKey": "dummy", "model": "model-1",
                    "baseUrl": self.url(protocol) + "/v1"}
        folder = self.home / ".cline/data/settings"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "providers.json").write_text(json.dumps({
            "version": 1, "lastUsedProvider": name, "modes": {},
            "providers": {name: {"settings": settings, "tokenSource": "manual",
                                 "updatedAt": "2026-01-01T00:00:00.000Z"}}}))
        return self.quiet([BIN / "cline", "-P", name, "-m", "model-1", "-t", "60", *arguments])

#!/usr/bin/env python3
"""CPU time per proxied request: cc-proxy against nginx, interleaved in one run.

Both proxy to the same nginx upstream over HTTP/1.1 keep-alive on loopback.  nginx passes
bytes on; cc-proxy validates the JSON, runs the adapter named by the User-Agent and logs.
Wall-clock speed on a shared machine says little, so what is reported is CPU time of the proxy
process per request and the ratio to nginx in the same rounds.

Needs nginx and wrk.  Usage: bench/bench.py [--rounds 5] [--seconds 3] [--body 1024]
"""
import argparse
import json
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port):
    for _ in range(200):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def children(pid):
    """pid and all processes below it."""
    found, todo = [], [pid]
    while todo:
        p = todo.pop()
        found.append(p)
        for task in pathlib.Path(f"/proc/{p}/task").glob("*/children"):
            todo += [int(c) for c in task.read_text().split()]
    return found


def cpu_seconds(pid):
    total = 0
    for p in children(pid):
        fields = pathlib.Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def rss_kib(pid):
    total = 0
    for p in children(pid):
        for line in pathlib.Path(f"/proc/{p}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                total = max(total, int(line.split()[1]))
    return total


def start_nginx(folder, name, body):
    conf = folder / f"{name}.conf"
    conf.write_text(f"""
daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log {folder}/{name}.err;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  client_max_body_size 64m; client_body_buffer_size 1m; keepalive_requests 1000000000;
  {body}
}}""")
    return subprocess.Popen(["nginx", "-c", str(conf), "-p", str(folder)])


def wrk(port, script, seconds):
    out = subprocess.run(
        ["wrk", "-t1", "-c32", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}/v1/messages"],
        capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out:
        sys.exit(f"errors under load:\n{out}")
    return int(re.search(r"(\d+) requests in", out).group(1))


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--seconds", type=int, default=3)
    args.add_argument("--body", type=int, default=1024, help="bytes of the request's text")
    args.add_argument("--agent", default="bench/1.0", help="User-Agent, which chooses the adapter")
    args.add_argument("--binary", default=os.environ.get("CC_PROXY", ROOT / "build/release/cc-proxy"))
    a = args.parse_args()
    reply = json.dumps({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                        "content": [{"type": "text", "text": "x" * 600}], "stop_reason": "end_turn",
                        "usage": {"input_tokens": 10, "output_tokens": 20}})
    request = json.dumps({"model": "claude-sonnet-4-5", "max_tokens": 64,
                          "messages": [{"role": "user", "content": "x" * a.body}]})
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp)
        up, via, own = free_port(), free_port(), free_port()
        script = folder / "post.lua"
        script.write_text(f"""
wrk.method = "POST"
wrk.body = [==[{request}]==]
wrk.headers["content-type"] = "application/json"
wrk.headers["x-api-key"] = "sk-bench"
wrk.headers["user-agent"] = "{a.agent}"
""")
        procs = [
            start_nginx(folder, "upstream", f"server {{ listen 127.0.0.1:{up}; location / {{ "
                        f"default_type application/json; return 200 '{reply}'; }} }}"),
            start_nginx(folder, "proxy", f"upstream u {{ server 127.0.0.1:{up}; keepalive 100; keepalive_requests 1000000000; }} "
                        f"server {{ listen 127.0.0.1:{via}; location / {{ proxy_pass http://u; "
                        "proxy_http_version 1.1; proxy_set_header connection ''; } }"),
            subprocess.Popen([str(a.binary), "serve", "--env-file", "/dev/null", "--set", "WORKERS=1",
                              "--set", f"CLAUDE_SERVICE_PORT={own}", "--set", "CODEX_SERVICE_PORT=0",
                              "--set", f"ANTHROPIC_BASE_URL=http://127.0.0.1:{up}",
                              "--set", "CLAUDE_SERVICE_HOST=127.0.0.1", "--set", "CODEX_SERVICE_HOST=127.0.0.1"],
                             stdout=open(folder / "log", "wb")),
        ]
        try:
            for port in (up, via, own):
                wait_port(port)
            idle = rss_kib(procs[2].pid)
            cost = {"nginx": [], "cc-proxy": []}
            for _ in range(a.rounds):
                for name, port, proc in (("nginx", via, procs[1]), ("cc-proxy", own, procs[2])):
                    before = cpu_seconds(proc.pid)
                    n = wrk(port, script, a.seconds)
                    cost[name].append((cpu_seconds(proc.pid) - before) / n * 1e6)
            for name, values in cost.items():
                print(f"{name:9} {statistics.median(values):7.1f} µs CPU per request "
                      f"(rounds: {' '.join(f'{v:.1f}' for v in values)})")
            ratio = statistics.median(c / n for c, n in zip(cost["cc-proxy"], cost["nginx"]))
            print(f"ratio cc-proxy/nginx {ratio:.2f}; cc-proxy RSS of the largest process: "
                  f"idle {idle} KiB, after load {rss_kib(procs[2].pid)} KiB")
        finally:
            for p in procs:
                p.send_signal(signal.SIGTERM)
            for p in procs:
                p.wait(timeout=20)


if __name__ == "__main__":
    main()

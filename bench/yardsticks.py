"""The programs that stand side by side: nginx, HAProxy, nghttpx, cc-proxy, and the upstreams.

Each is one worker or thread, keeps connections on both sides, and passes the same bytes.
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from measure import processes

ROOT = Path(__file__).resolve().parent.parent
BINARY = Path(os.environ.get("CC_PROXY") or ROOT / "build/release/cc-proxy")
TRAFFIC = BINARY.parent / "bench/bench_traffic"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port):
    end = time.monotonic() + 20
    while True:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > end:
            sys.exit(f"nothing listens on port {port}")
        time.sleep(0.02)


class Talker(subprocess.Popen):
    """A subcommand of bench_traffic that answers each line with a line of numbers."""

    def __init__(self, *args):
        super().__init__([TRAFFIC, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         text=True, bufsize=1)
        self.port = int(self.stdout.readline()) if args[0] == "upstream" else None

    def ask(self):
        self.stdin.write("\n")
        return [int(n) for n in self.stdout.readline().split()]


class Bench:
    """A run: its options, a folder, and the programs that it has started."""

    def __init__(self, folder, options):
        self.folder, self.options = Path(folder), options
        self.programs = []
        self.number = 0

    def path(self, name):
        self.number += 1
        return self.folder / f"{self.number}-{name}"

    def start(self, name, port, command, stdout=None, wait=True):
        errors = self.path(f"{name}.err")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]},
                                   stdout=stdout or subprocess.DEVNULL, stderr=open(errors, "wb"))
        self.programs.append(process)
        process.port = port
        if wait:
            wait_port(port)
        if process.poll() is not None:
            sys.exit(f"{name} did not start: {errors.read_text()}")
        return process

    def stop(self, *programs):
        """All of them, or these."""
        for p in programs or self.programs:
            p.terminate()
        for p in programs or list(self.programs):
            try:
                p.wait(timeout=10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
            self.programs.remove(p)

    def talk(self, *args):
        self.programs.append(Talker(*args))
        return self.programs[-1]

    def traffic(self, *args):
        """Runs bench_traffic to its end; what it prints."""
        return subprocess.run([TRAFFIC, *map(str, args)], stdout=subprocess.PIPE, text=True,
                              check=True).stdout

    def certificate(self):
        """A certificate for localhost and its key: (file, file)."""
        pair = self.folder / "cert.pem", self.folder / "key.pem"
        if not pair[0].exists():
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                 "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                 "subjectAltName=DNS:localhost", "-out", pair[0], "-keyout", pair[1]],
                check=True, capture_output=True)
        return pair

    def nginx(self, name, server, more="", log="off"):
        conf, pid = self.path(f"{name}.conf"), self.path(f"{name}.pid")
        conf.write_text(f"""
daemon off; worker_processes 1; pid {pid}; error_log stderr; worker_rlimit_nofile 20000;
events {{ worker_connections 9000; }}
http {{
  access_log {log}; client_body_temp_path {self.folder}/b; proxy_temp_path {self.folder}/p;
  fastcgi_temp_path {self.folder}/f; uwsgi_temp_path {self.folder}/u; scgi_temp_path {self.folder}/s;
  client_max_body_size 64m; client_body_buffer_size 2m; keepalive_requests 1000000000;
  http2_max_requests 1000000000; underscores_in_headers on;
  {more}
  server {{ {server} }}
}}""")
        port = int(server.split("127.0.0.1:")[1].split(";")[0].split(" ")[0])
        return self.start(name, port, ["nginx", "-c", conf, "-p", self.folder])

    def upstream(self, reply, tls=False):
        """An nginx that answers every request with this JSON text."""
        port, more = free_port(), ""
        if tls:
            cert, key = self.certificate()
            more = f"ssl_certificate {cert}; ssl_certificate_key {key}; http2_max_concurrent_streams 1000;"
        listen = f"listen 127.0.0.1:{port}{' ssl http2' if tls else ''};"
        return self.nginx("upstream", f"{listen} {more} location / {{ default_type application/json; "
                          f"return 200 '{reply}'; }}")

    def nginx_proxy(self, upstream, log=False, stream=False):
        """stream: passes on what it gets at once; its default, to buffer replies, costs less."""
        port = free_port()
        pool = (f"upstream u {{ server 127.0.0.1:{upstream}; keepalive 1000; "
                "keepalive_requests 1000000000; }")
        return self.nginx("nginx", f"listen 127.0.0.1:{port}; location / {{ proxy_pass http://u; "
                          "proxy_http_version 1.1; proxy_set_header connection ''; "
                          f"proxy_buffering {'off' if stream else 'on'}; proxy_read_timeout 1h; }}",
                          pool, self.path("access.log") if log else "off")

    def haproxy(self, upstream):
        port, conf = free_port(), self.path("haproxy.conf")
        conf.write_text(f"""
global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 10s
  timeout client 1h
  timeout server 1h
  http-reuse always
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  server s 127.0.0.1:{upstream} pool-max-conn 1000
""")
        return self.start("haproxy", port, ["haproxy", "-db", "-f", conf])

    def nghttpx(self, upstream):
        """HTTP/2 in clear text to clients, HTTP/2 over TLS to the upstream."""
        port, conf = free_port(), self.path("nghttpx.conf")
        conf.write_text("")
        return self.start("nghttpx", port, [
            "nghttpx", f"--conf={conf}", "--workers=1", f"--frontend=127.0.0.1,{port};no-tls",
            f"--backend=127.0.0.1,{upstream};;proto=h2;tls;sni=localhost",
            f"--cacert={self.certificate()[0]}", "--accesslog-file=/dev/null",
            "--frontend-http2-max-concurrent-streams=1000", "--errorlog-file=/dev/null"])

    def cc_proxy(self, upstream, tls=False, wait=True, **settings):
        """With production defaults and one worker, its log in a file."""
        port = free_port()
        scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
        values = {"WORKERS": 1, "CLAUDE_SERVICE_PORT": port, "SERVICES": "claude",
                  "CLAUDE_SERVICE_HOST": "127.0.0.1",
                  "ANTHROPIC_BASE_URL": f"{scheme}://{host}:{upstream}"} | settings
        if tls:
            values["UPSTREAM_CA_FILE"] = self.certificate()[0]
        command = [BINARY, "serve", "--env-file", "/dev/null"]
        for name, value in values.items():
            command += ["--set", f"{name}={value}"]
        started = self.start("cc-proxy", port, command, open(self.path("log"), "wb"), wait)
        while wait and len(processes(started.pid)) < 2:
            time.sleep(0.01)
        started.worker = processes(started.pid)[1] if wait else None
        return started

"""h2spec, strict, on the claude port: every assertion passes.

    go install github.com/summerwind/h2spec/cmd/h2spec@latest
"""

import os
import re
import shutil
import subprocess

import pytest
from proxy import Proxy

H2SPEC = shutil.which("h2spec", path=os.environ["PATH"] + ":" + os.path.expanduser("~/go/bin"))

pytestmark = [pytest.mark.timeout(300),
              pytest.mark.skipif(not H2SPEC, reason="h2spec is not installed")]


def h2spec(port, *options):
    result = subprocess.run([H2SPEC, "--strict", "-h", "127.0.0.1", "-p", str(port), *options],
                            capture_output=True, text=True, timeout=280, check=False)
    failures = result.stdout[result.stdout.find("Failures:"):]
    counts = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", result.stdout)
    assert counts, result.stdout + result.stderr
    total, passed, _, failed = map(int, counts.groups())
    assert failed == 0, failures
    assert passed == total >= 146


@pytest.mark.parametrize("path", ["/", "/v1/messages"])
def test_clear_text(sim, path):
    with Proxy(ANTHROPIC_BASE_URL=sim.url) as p:
        h2spec(p.claude_port, "-P", path)


def test_tls(sim, certificates):
    with Proxy(ANTHROPIC_BASE_URL=sim.url, TLS_CERT_FILE=certificates.cert,
               TLS_KEY_FILE=certificates.key) as p:
        h2spec(p.claude_port, "-t", "-k")

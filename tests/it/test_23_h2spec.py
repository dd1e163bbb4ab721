"""h2spec 2.6.0, strict, on the claude port: all of its 147 assertions pass.

`go install ...@latest` would give 2.2.1, whose strict run has only 146:

    git clone -b v2.6.0 https://github.com/summerwind/h2spec && cd h2spec && go install ./cmd/h2spec
"""

import os
import re
import shutil
import subprocess

import pytest
from proxy import Proxy

ASSERTIONS = 147
H2SPEC = shutil.which("h2spec", path=os.environ["PATH"] + ":" + os.path.expanduser("~/go/bin"))

pytestmark = [pytest.mark.timeout(300),
              pytest.mark.skipif(not H2SPEC, reason="h2spec is not installed")]


def h2spec(record, port, *options):
    result = subprocess.run([H2SPEC, "--strict", "-h", "127.0.0.1", "-p", str(port), *options],
                            capture_output=True, text=True, timeout=280, check=False)
    failures = result.stdout[result.stdout.find("Failures:"):]
    counts = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", result.stdout)
    assert counts, result.stdout + result.stderr
    total, passed, skipped, failed = map(int, counts.groups())
    record("h2spec", f"{passed} of {total}")
    assert failed == 0, failures
    assert skipped == 0
    assert passed == total
    assert total == ASSERTIONS, "another h2spec than 2.6.0"


@pytest.mark.parametrize("path", ["/", "/v1/messages"])
@pytest.mark.row("3: every assertion of h2spec")
def test_clear_text(sim, path, record_property):
    with Proxy(ANTHROPIC_BASE_URL=sim.url) as p:
        h2spec(record_property, p.claude_port, "-P", path)


@pytest.mark.row("3: every assertion of h2spec")
def test_tls(sim, certificates, record_property):
    with Proxy(ANTHROPIC_BASE_URL=sim.url, TLS_CERT_FILE=certificates.cert,
               TLS_KEY_FILE=certificates.key) as p:
        h2spec(record_property, p.claude_port, "-t", "-k")

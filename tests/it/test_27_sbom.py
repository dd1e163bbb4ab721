"""The bill of materials against what the loader says."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from proxy import BINARY, ROOT, SANITIZED, run


@pytest.fixture(scope="module")
def sbom():
    done = subprocess.run([sys.executable, ROOT / "tools/sbom", BINARY], capture_output=True,
                          text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def loaded():
    """Names of the libraries, as ldd prints them; not the kernel's."""
    text = subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=True).stdout
    return {Path(line.split()[0]).name for line in text.splitlines() if "/" in line}


@pytest.mark.row("8: supply chain", lacks="the two builds: make reproducible; signed tags")
def test_lists_what_is_loaded_and_nothing_else(sbom):
    names = {p["name"] for p in sbom["packages"]} - {"cc-proxy", "llhttp"}
    assert names == loaded()
    assert len(names) > 5


def test_hash_and_version_are_the_binary_s(sbom):
    data = Path(BINARY).read_bytes()
    sums = {c["algorithm"]: c["checksumValue"] for c in sbom["files"][0]["checksums"]}
    assert sums == {"SHA1": hashlib.sha1(data).hexdigest(), "SHA256": hashlib.sha256(data).hexdigest()}
    [own] = [p for p in sbom["packages"] if p["name"] == "cc-proxy"]
    assert own["versionInfo"] == run("version").stdout.split()[1]
    code = hashlib.sha1(sums["SHA1"].encode()).hexdigest()
    assert own["packageVerificationCode"]["packageVerificationCodeValue"] == code


def test_is_a_document_of_spdx_2_3(sbom):
    """What clauses 6 to 11 ask for."""
    assert sbom["spdxVersion"] == "SPDX-2.3" and sbom["dataLicense"] == "CC0-1.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", sbom["creationInfo"]["created"])
    assert sbom["documentNamespace"].startswith("https://") and sbom["creationInfo"]["creators"]
    elements = [sbom, *sbom["packages"], *sbom["files"]]
    ids = [x["SPDXID"] for x in elements]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", x) for x in ids)
    for p in sbom["packages"]:
        assert p["name"] and p["downloadLocation"] and p["versionInfo"]
        assert p["licenseConcluded"] and p["licenseDeclared"] and p["copyrightText"]
    for r in sbom["relationships"]:
        assert r["spdxElementId"] in ids and r["relatedSpdxElement"] in ids
    related = {r["relatedSpdxElement"] for r in sbom["relationships"]}
    assert {x["SPDXID"] for x in elements[1:]} == related


@pytest.mark.skipif(SANITIZED, reason="the sanitizers' libraries are no part of a release")
@pytest.mark.skipif(not Path("/usr/bin/dpkg").exists(), reason="versions are those of packages")
def test_all_libraries_have_version_and_licence(sbom):
    for p in sbom["packages"]:
        assert p["versionInfo"] != "unknown" and p["licenseDeclared"] != "NOASSERTION", p

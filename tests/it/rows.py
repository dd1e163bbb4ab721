"""Which rows of docs/reliability.md a test shows, and how the tests went: for tools/scorecard.

    @pytest.mark.row("3: PING 400k, not reading")       section and row, or how the row begins
    @pytest.mark.row("1: {name}")                       with the test's parameters in it
    @pytest.mark.row("4: TLS", lacks="testssl.sh")      what of the row no test shows yet

A text with parameters that is no row is a test beside the rows; any other must name one row.
build/tests.json keeps how each test went last, by build; build/rows.json, written by
--collect-only, says which test shows which rows.
"""

import fcntl
import json
import re
import subprocess
from pathlib import Path

import pytest
from proxy import BINARY, ROOT

CONTRACT = ROOT / "docs/reliability.md"
TESTS = ROOT / "build/tests.json"
ROWS = ROOT / "build/rows.json"


def plain(text):
    return text.replace("`", "").replace("×", "x")


def contract():
    """{section: [row]}: the first cells of the section's table."""
    sections = {}
    for section in re.split(r"^## (?=\d)", CONTRACT.read_text(), flags=re.M)[1:]:
        cells = re.findall(r"^\| (.+?) \|", section, re.M)[1:]  # without the table's head
        sections[section[0]] = [plain(c) for c in cells]
    return sections


def find(sections, text):
    """(section, row) that is the text, or the only one that begins with it; row "" if none."""
    section, row = plain(text).split(": ", 1)
    known = sections[section]
    found = [row] if row in known else [r for r in known if r.startswith(row)]
    return section, found[0] if len(found) == 1 else ""


def rows_of(item, sections):
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    for mark in item.iter_markers("row"):
        for text in mark.args:
            section, row = find(sections, text.format(**parameters) if "{" in text else text)
            if not row and "{" not in text:
                raise pytest.UsageError(f"{item.nodeid}: {text!r} is not one row of {CONTRACT}")
            yield [section, row, mark.kwargs.get("lacks", "")]


def pytest_configure(config):
    config.addinivalue_line("markers", "row(text, ..., lacks=''): rows of docs/reliability.md")
    config.pluginmanager.register(Results())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    sections = contract()
    rows = {i.nodeid: found for i in items if (found := list(rows_of(i, sections)))}
    if config.option.collectonly:
        ROWS.parent.mkdir(exist_ok=True)
        ROWS.write_text(json.dumps(rows, indent=0))


class Results:
    def __init__(self):
        self.new = {}
        self.commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], text=True,
                                     capture_output=True, check=False).stdout.strip()

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            self.new[report.nodeid] = {"outcome": report.outcome, **dict(report.user_properties)}

    def pytest_sessionfinish(self, session):
        if hasattr(session.config, "workerinput") or not self.new:
            return
        TESTS.parent.mkdir(exist_ok=True)
        with TESTS.open("a+") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            f.seek(0)
            every = json.loads(f.read() or "{}")
            build = every.setdefault(Path(BINARY).parent.name, {})
            build.update({n: r | {"commit": self.commit} for n, r in self.new.items()})
            f.truncate(0)
            f.write(json.dumps(every, indent=0))

"""The yardstick itself: what it judges, what it counts, and that its documents are complete."""

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import bench  # noqa: E402
import measure  # noqa: E402
import report  # noqa: E402
import soak  # noqa: E402

CALLGRIND = """# callgrind format
positions: line
events: Ir
summary: 175

ob=/somewhere/bench_hot
fl=a.c
fn=hot
10 30
+1 5
cob=/lib/libc.so.6
cfn=memcpy
calls=2 0
12 100
* 40

ob=/lib/libc.so.6
fn=memcpy
0 100
"""


@pytest.mark.parametrize("value, rounds, limit, verdict", [
    (4, [], 4, "ok"), (4.1, [], 4, "MISSED"), (9, [], None, ""),
], ids=["at the limit", "over it", "for information"])
def test_a_value_is_judged(value, rounds, limit, verdict):
    assert measure.Figure("x", value, "µs", limit, rounds=rounds).verdict == verdict


def test_a_ratio_is_the_median_of_the_rounds_own_ratios():
    """Goal: a round in which the machine was slow for both does not count against either."""
    rounds = {"cc-proxy": [10, 11, 100], "nginx": [10, 10, 90]}
    f = measure.against("x", "µs", 1.0, rounds, "cc-proxy", "nginx")
    assert f.ratio == 1.1
    assert f.verdict == "MISSED"
    assert measure.against("x", "µs", 1.1, rounds, "cc-proxy", "nginx").verdict == "ok"
    assert f.as_json()["noise"]["max"] == 100 / 90


def test_instructions_are_divided_into_own_and_libraries():
    """Goal: a callee's cost counts once, and for its own object."""
    tool = runpy.run_path(str(ROOT / "tools/instructions"))
    assert tool["split"](CALLGRIND) == (75, 100)


def test_every_group_is_documented():
    text = report.DOCUMENT.read_text()
    described = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", text, re.M)
    names = [name for cell in described for name in re.findall(r"\w+", cell)]
    assert sorted(names) == sorted(bench.GROUPS)


def test_every_hot_path_has_its_count():
    paths = re.findall(r'^ +\{ "(\w+)", \w+, \w+ \},', (ROOT / "bench/hot.c").read_text(), re.M)
    counts = re.findall(r'^ +"(\w+)": \[', (ROOT / "bench/instructions.json").read_text(), re.M)
    assert len(paths) > 5
    assert paths == counts


@pytest.mark.parametrize("name, values, flat", [
    ("RssAnon", [0] * 60 + [9000, 9300, 9000, 9300] * 30, True),
    ("RssAnon", [9000 + 6 * i for i in range(180)], False),
    ("RssAnon", [9000 - 6 * i for i in range(180)], True),
    ("descriptors", [100 + i // 18 for i in range(180)], False),
    ("p99", [900, 4000, 1000] * 10, True),
], ids=["noise behind a warm-up", "a leak", "less", "descriptors", "noise"])
def test_a_soak_is_judged_by_its_growth(name, values, flat):
    assert soak.judge(name, [(10 * i, v) for i, v in enumerate(values)])["flat"] is flat


def test_lanes_are_all_of_the_rate():
    assert round(sum(lane[0] for lane in soak.LANES.values()), 6) == 1

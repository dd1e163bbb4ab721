"""The scorecard: what has not been run or has failed is never counted as shown."""

import runpy

import pytest
import rows
from proxy import ROOT

CARD = runpy.run_path(str(ROOT / "tools/scorecard"))


def test_the_contract_is_read_whole():
    sections = rows.contract()
    assert sorted(sections) == list("12345678")
    assert len(sections["1"]) == 78 and sections["1"][0] == "plain GET"
    assert sections["8"][-1] == "privacy"
    assert all(len(set(s)) == len(s) for s in sections.values())


@pytest.mark.parametrize("text, row", [
    ("1: plain GET", "plain GET"), ("1: no Host", "no Host (1.1)"), ("1: HTTP/", ""),
    ("3: HPACK bomb (3.9 KB × 4,000", "HPACK bomb (3.9 KB x 4,000 refs x 100)"),
    ("1: nothing of the kind", "")], ids=["whole", "beginning", "several", "sign", "none"])
def test_a_row_is_found_by_its_words(text, row):
    assert rows.find(rows.contract(), text) == (text[0], row)


@pytest.mark.parametrize("outcomes, lacks, verdict", [
    (["passed", "passed"], "", "ok"), (["passed", "failed"], "", "**MISSED**"),
    (["passed", None], "", "partly"), (["passed", "skipped"], "", "partly"),
    ([None, None], "", "not run"), (["skipped"], "", "not run"), (["passed"], "more", "partly"),
    ([], "", "no test")],
    ids=["all", "one failed", "one not run", "one skipped", "none run", "only skipped",
         "something lacks", "no test"])
def test_verdict_of_a_row(outcomes, lacks, verdict):
    results = {f"t{i}": {"outcome": o} for i, o in enumerate(outcomes) if o}
    shown = {f"t{i}": [["1", "x", lacks]] for i in range(len(outcomes))}
    assert CARD["Tests"](results, shown).row("1", "x")[0] == verdict


@pytest.mark.parametrize("verdicts, verdict", [
    (["ok", "ok"], "ok"), (["ok", "not run"], "partly"), (["not run"], "not run"), ([], "not run"),
    (["ok", "**MISSED**", "not run"], "**MISSED**")], ids=str)
def test_verdict_of_several(verdicts, verdict):
    assert CARD["worst"](verdicts) == verdict

"""`refglow mutants`, and the table of the documentation that it writes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from refglow.cli import mutants as command
from refglow.cli.main import app
from refglow.validation.diagnosis import planted
from refglow.validation.mutants import ALL_MUTANTS

DOCUMENT = Path(__file__).parents[2] / "docs" / "planted_mistakes.md"


def run(*arguments):
    return CliRunner().invoke(app, ["mutants", *map(str, arguments)])


def test_the_table_and_the_report(tmp_path):
    report, table = tmp_path / "report.json", tmp_path / "table.md"
    result = run("--only", "squeeze-c", "--right", 1, "--gain", 0.9, "--json", report,
                 "--markdown", table)
    assert result.exit_code == 0, result.output
    assert "squeeze=c b a" not in result.output and "squeeze=b a c" in result.output
    found = json.loads(report.read_text())
    assert found["planted"] == found["detected"] == found["named"] == 3
    assert (found["without_mistakes"], found["falsely_accused"], found["gain"]) == (2, 0, 0.9)
    assert {one["name"] for one in found["mistakes"]} == {
        "squeeze-columns-first", "squeeze-column-channel-row", "squeeze-checkerboard"}
    assert table.read_text().count("| yes |") == 3


def test_a_mistake_that_is_not_named_fails(tmp_path):
    result = run("--only", "coupling-sees", "--json", tmp_path / "report.json")
    assert result.exit_code == 1
    assert "unexplained" in result.output and "1 of 1 mistakes detected, 0 named" in result.output


def test_pairs_that_are_not_both_named_are_shown(monkeypatch):
    outcome = next(planted.singles(planted.mistakes("bias-twice"), 0))
    missed = planted.Outcome("bias-twice+kernel-rotated", "", "", (
        *outcome.accepted, ("kernel=rotated by 180 degrees",)), outcome.diagnosis)
    monkeypatch.setattr(planted, "pairs", lambda count, seed, layers: iter([missed]))
    result = run("--only", "bias-twice", "--pairs", 1)
    assert result.exit_code == 1
    assert "of 1 pairs both named in 0" in result.output


def test_no_such_mistake():
    result = run("--only", "banana")
    assert isinstance(result.exception, ValueError)
    assert "Names begin with actnorm, " in str(result.exception)


def test_the_documented_table_is_that_of_todays_mistakes():
    text = DOCUMENT.read_text()
    for mutant in ALL_MUTANTS:
        assert mutant.bug.replace("|", "\\|") in text, mutant.name
    first = text.partition("\n## two-blocks\n")[2].partition("\n## ")[0]
    assert first.count("\n| ") == len(ALL_MUTANTS) + 1
    assert f"| two-blocks | {len(ALL_MUTANTS)} | {len(ALL_MUTANTS)} |" in text


def test_a_mistake_that_a_model_cannot_have_is_not_counted(tmp_path):
    report = tmp_path / "report.json"
    result = run("--only", "actnorm-mean", "--model", "all", "--json", report)
    assert result.exit_code == 0, result.output
    counts = json.loads(report.read_text())["models"]
    assert list(counts) == list(planted.FAMILIES)
    assert [count["planted"] for count in counts.values()] == [2, 2, 0, 2]
    result = run("--model", "large")
    assert result.exit_code == 2 and "two-blocks" in result.output


@pytest.mark.parametrize("detected", [True, False])
def test_what_is_not_detected_fails(detected):
    (outcome,) = planted.singles(planted.mistakes("bias-twice"), 0)
    agreeing = planted.Outcome(outcome.name, "", "", outcome.accepted,
                               outcome.diagnosis.__class__((), outcome.diagnosis.dialect, ()))
    report = command._report({"two-blocks": [outcome if detected else agreeing]}, [], [], 0)
    assert report["passed"] is detected

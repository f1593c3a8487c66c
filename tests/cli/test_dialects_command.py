"""`refglow dialects`: what is shown is what the records say."""

import json

import pytest
from typer.testing import CliRunner

from refglow.cli.main import app
from refglow.validation.dialects.dialect import FIELDS
from refglow.validation.dialects.known import KNOWN


def run(*arguments):
    return CliRunner().invoke(app, ["dialects", *arguments])


def test_all_are_listed():
    done = run()
    assert done.exit_code == 0
    assert all(name in done.stdout for name in KNOWN)
    assert "[t, r]" not in done.stdout and "exp(1.272 atan(r))" in done.stdout.replace("\n", "")


def test_json_has_every_answer(tmp_path):
    path = tmp_path / "dialects.json"
    assert run("--json", str(path)).exit_code == 0
    listed = {entry["name"]: entry for entry in json.loads(path.read_text())["dialects"]}
    assert list(listed) == list(KNOWN)
    assert all(list(entry["answers"]) == list(FIELDS) for entry in listed.values())
    assert listed["nflows"]["answers"]["layout"] == "[t, r]"


def test_json_on_standard_output_is_nothing_else():
    report = json.loads(run("nflows", "--json", "-").stdout)
    assert report["answers"]["scale"] == "sigmoid(r + 2) + 0.001"


def test_one_is_shown_with_all_its_answers_and_what_lies_beyond():
    shown = run("nflows").stdout
    assert all(field in shown for field in FIELDS)
    assert "[t, r]" in shown  # not taken for markup
    assert "the caller's mask" in " ".join(shown.split())


def test_two_are_compared():
    shown = run("--compare", "openai", "chaiyujin").stdout
    assert "4 answers differ" in shown
    assert "border indicator" in shown and "squeeze" not in shown


@pytest.mark.parametrize("arguments", [["nosuch"], ["--compare", "tfp", "nosuch"]])
def test_an_unknown_name_is_an_error_that_names_the_known(arguments):
    done = run(*arguments)
    assert isinstance(done.exception, ValueError)
    assert "'nosuch'" in str(done.exception) and "rosinality" in str(done.exception)


def test_a_name_and_a_comparison_exclude_each_other():
    assert run("tfp", "--compare", "tfp", "openai").exit_code == 2

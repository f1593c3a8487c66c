"""`refglow validate --json, --html, --junit`: written whole, checked before the work."""

import json
import re
from types import SimpleNamespace

import pytest
from jsonschema import Draft202012Validator
from junitparser import JUnitXml
from typer.testing import CliRunner

from refglow.cli.main import app
from refglow.cli.report_files import ReportFiles
from refglow.validation.report import report_schema

WRONG = """
    from refglow.validation.mutants import MUTANTS
    build = MUTANTS["padding-edge"].build
    """


def run(*arguments):
    return CliRunner().invoke(app, ["validate", *map(str, arguments)])


def test_golden_files_as_a_page_and_as_junit(tmp_path):
    done = run("--only", "Exp", "--html", tmp_path / "r.html", "--junit", tmp_path / "r.xml",
               "--json", tmp_path / "r.json")
    assert done.exit_code == 0
    content = json.loads((tmp_path / "r.json").read_text())
    Draft202012Validator(report_schema()).validate(content)
    rows = [row for section in content["sections"].values() for row in section]
    assert JUnitXml.fromfile(str(tmp_path / "r.xml")).tests == len(rows) > 0
    assert f"The full report is {tmp_path / 'r.html'}" in re.sub(r"\n", "", done.stdout)
    page = (tmp_path / "r.html").read_text()
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")


def test_with_json_on_standard_output_it_says_so_elsewhere(tmp_path):
    done = run("--only", "Exp", "--html", tmp_path / "r.html", "--json", "-")
    assert json.loads(done.stdout)["format"] == "refglow report"
    assert "The full report is" in done.stderr


def test_an_implementation_that_differs(tmp_path):
    (tmp_path / "mine.py").write_text("\n".join(line.strip() for line in WRONG.splitlines()))
    done = run("--implementation", f"{tmp_path / 'mine.py'}:build", "--dtype", "float32",
               "--images", 1, "--html", tmp_path / "r.html", "--junit", tmp_path / "r.xml",
               "--json", tmp_path / "r.json")
    assert done.exit_code == 1 and "The full report is" in done.stdout
    content = json.loads((tmp_path / "r.json").read_text())
    Draft202012Validator(report_schema()).validate(content)
    assert content["diagnosis"]["answers"] == {"padding": "edge"}
    page = (tmp_path / "r.html").read_text()
    assert "yours is &#34;edge&#34;" in page and "block2.step7.coupling" in page
    assert len(page) < 1_000_000
    found = JUnitXml.fromfile(str(tmp_path / "r.xml"))
    wrong = sum(not row["passed"] for row in content["conformance"]["float32"]["rows"])
    assert found.failures == wrong > 0 and found.errors == 0


@pytest.mark.parametrize(("option", "where", "says"), [
    ("--html", "missing/r.html", "Cannot write"), ("--junit", ".", "Cannot write"),
    ("--html", "-", "must be a file"), ("--junit", "-", "must be a file")])
def test_what_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch, option, where,
                                                           says):
    monkeypatch.setattr("refglow.cli.validate._run_golden", lambda only: pytest.fail("it ran"))
    done = run(option, where if where == "-" else tmp_path / where)
    told = done.output if done.exit_code == 2 else str(done.exception)
    assert says in told and done.exit_code != 0 and list(tmp_path.iterdir()) == []


def test_one_file_for_two_reports_is_refused(tmp_path):
    done = run("--html", tmp_path / "r", "--json", tmp_path / "x" / ".." / "r")
    assert done.exit_code == 2 and "same file as --json" in " ".join(done.output.split())


@pytest.mark.parametrize(("passed", "told"), [(False, "--html FILE writes"), (True, "")])
def test_who_asked_for_no_file_learns_where_the_full_report_is(passed, told, capsys):
    ReportFiles().write(SimpleNamespace(passed=passed, as_dict=dict))
    printed = capsys.readouterr().out
    assert printed.startswith(told) and bool(printed) == (not passed)

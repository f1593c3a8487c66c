"""`refglow validate`: what it reports, and that it fails when results differ."""

import json

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from refglow import bijectors as tfb
from refglow.cli.main import app
from refglow.validation.golden import DTYPES, Golden
from refglow.validation.report import report_schema
from refglow.validation.table import PROPERTY_NAMES

CLASSES = {name for name in tfb.__all__ if isinstance(getattr(tfb, name), type)
           and issubclass(getattr(tfb, name), tfb.Bijector)} - {"Bijector", "Composition"}


@pytest.fixture
def report(tmp_path):
    def run(*arguments: str) -> tuple[int, dict, str]:
        path = tmp_path / "report.json"
        done = CliRunner().invoke(app, ["validate", *arguments, "--json", str(path)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        found = json.loads(path.read_text())
        Draft202012Validator(report_schema()).validate(found)
        return done.exit_code, found, done.output
    return run


def rows_of(found: dict) -> list[dict]:
    return [row for section in found["sections"].values() for row in section]


def test_every_bijector_and_property_agrees(report):
    code, found, output = report()
    rows = rows_of(found)
    assert code == 0
    assert found["passed"]
    assert all(row["passed"] for row in rows)
    assert {row["bijector"] for row in rows} >= CLASSES
    kinds = {(row["bijector"], row["prop"], row["dtype"]) for row in rows}
    for name in CLASSES - {"AbsoluteValue"}:
        for prop in PROPERTY_NAMES:
            for dtype in DTYPES:
                assert (name, prop, dtype) in kinds
    assert "All agree" in output
    photographs = found["sections"]["Whole Glows on photographs"]
    assert len({row["bijector"] for row in photographs}) == 3


def test_float64_is_within_1e_minus_12_times_the_condition(report):
    _, found, _ = report()
    for row in rows_of(found):
        if row["dtype"] == "float64":
            assert row["relative"] <= 1e-12 * row["condition"]


def test_only_one_bijector(report):
    code, found, _ = report("--only", "real")
    assert code == 0
    assert all(row["bijector"].startswith("RealNVP") for row in rows_of(found))


@pytest.mark.parametrize("spoilt", [1 + 1e-3, float("nan"), float("inf")])
def test_a_result_that_differs_fails(report, monkeypatch, spoilt):
    result = Golden.result
    monkeypatch.setattr(Golden, "result", lambda self, case, prop: (
        None if result(self, case, prop) is None else result(self, case, prop) * spoilt))
    with np.errstate(invalid="ignore"):
        code, found, output = report("--only", "Exp")
    assert code == 1
    assert not found["passed"]
    assert "FAIL" in output
    assert not any(row["passed"] for row in rows_of(found) if row["prop"] == "forward")


def test_json_on_standard_output_is_only_json():
    done = CliRunner().invoke(app, ["validate", "--only", "Exp", "--json", "-"])
    assert json.loads(done.stdout)["passed"]
    assert "All agree" in done.stderr


def test_golden_files_hold_finite_numbers_and_their_origin():
    for dtype in DTYPES:
        golden = Golden(dtype)
        assert {"tensorflow_probability", "tensorflow", "numpy", "seed"} <= golden.metadata.keys()
        for name in golden.names():
            for prop in PROPERTY_NAMES:
                values = golden.result(name, prop)
                assert values is None or np.isfinite(values).all()


@pytest.mark.tfp
def test_live_tfp_agrees_on_random_glows(report):
    pytest.importorskip("tensorflow_probability")
    code, found, output = report("--live", "tfp", "--configs", "3", "--seed", "5")
    assert code == 0, output
    kinds = {row["bijector"] for row in rows_of(found)}
    assert kinds >= {"Glow (whole)", "Expand", "OneByOneConv", "RealNVP", "Reshape"}
    assert set(found["float32_error_ratio"]) == set(PROPERTY_NAMES)


@pytest.mark.tfp
def test_live_tfp_has_nothing_of_that_name():
    pytest.importorskip("tensorflow_probability")
    done = CliRunner().invoke(app, ["validate", "--live", "tfp", "--configs", "1",
                                    "--only", "Nope"])
    assert isinstance(done.exception, ValueError)
    assert "RealNVP" in str(done.exception)


@pytest.mark.parametrize("arguments", [("--configs", "5"), ("--seed", "3")])
def test_options_of_the_live_comparison_need_it(arguments):
    done = CliRunner().invoke(app, ["validate", *arguments])
    assert done.exit_code == 2
    assert "--live tfp" in done.output


def test_a_path_that_is_no_file_is_refused_before_the_work(monkeypatch):
    monkeypatch.setattr("refglow.cli.validate._run_golden", lambda only: pytest.fail("it ran"))
    done = CliRunner().invoke(app, ["validate", "--json", "/dev/null"])
    assert isinstance(done.exception, OSError)

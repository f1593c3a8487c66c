"""Errors in float32, side by side: each library's own results, of the same numbers."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from refglow.cli.main import app
from refglow.validation.compare import difference
from refglow.validation.vectors import float32_errors
from refglow.validation.vectors.catalogue import BY_NAME
from refglow.validation.vectors.float32_errors import Errors, errors_of, libraries, rows_of
from refglow.validation.vectors.libraries import LackingError, by_tfp, by_torch
from refglow.validation.vectors.report import ulps_of
from refglow.validation.vectors.results import evaluated_in
from refglow.validation.vectors.sampling import samples_of

OF_BOTH = ["shift-row", "scale-row", "exp-ordinary", "log-ordinary", "reciprocal-ordinary",
           "sigmoid-ordinary", "sigmoidbetween-row", "softplus-ordinary", "softplussoft-row",
           "tanh-ordinary", "identity-ordinary", "normal-each", "independent-2x3", "sample-5",
           "conv2d-3x3-of-4x6x2-to-3", "dense-3-to-5", "relu", "couplingnetwork-2x3x2-5",
           "exitnetwork-2x3x4-4", "scalematveclu-5", "onebyoneconv-2x2x3-of-2x3",
           "actnorm-2x2x3-of-2x3", "glowblock-2x3x4-2", "glowblock-2x3x4-1-additive",
           "exitbijector-2x3-3-3-2", "glow-4x8x2-2-1", "glow-8x16x3-3-1",
           "glowdensity-4x8x2-2-1"]
OF_TFP = ["absolutevalue-ordinary", "absolutevalue-inverse", "split-sizes", "jointmap-two",
          "expand-2x3x4-by-2", "chain-four", "invert-softplus", "blockwise-three",
          "realnvp-5-first-2-affine", "sigmoidaffine-row", "pad-both", "squeeze-4x6x3"]


def largest_error(vector, found, kept):
    """Relative, of all results; those that the vector has."""
    truth, samples = kept.results(vector).values, samples_of(vector, found)
    assert found.keys() <= truth.keys()
    return max(difference(samples[name].of(array) if name in samples else array,
                          truth[name]["float64"], np.float32).relative
               for name, array in found.items())


def names_of(vector, kept):
    """The results that a library with all derivatives in reverse mode has."""
    return {name for name in kept.results(vector).values if "jvp" not in name}


@pytest.mark.tfp
@pytest.mark.parametrize("name", OF_BOTH + OF_TFP)
def test_tfp_computes_it(tf, name, kept):
    vector = BY_NAME[name]
    found = by_tfp.results_of(vector, kept.all_inputs(vector))
    assert largest_error(vector, found, kept) < 1e-4
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    missing = names_of(vector, kept) - found.keys()
    assert all("/vjp/params/" in result for result in missing)
    assert not missing or vector.operation in ("Shift", "Chain", "GlowBlock", "Glow", "GlowDensity")


@pytest.mark.parametrize("name", [*OF_BOTH, "initialactnorm-of-3"])
def test_pytorch_computes_it(name, kept):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    vector = BY_NAME[name]
    found = by_torch.results_of(vector, kept.all_inputs(vector))
    assert largest_error(vector, found, kept) < 1e-4
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    assert names_of(vector, kept) - found.keys() <= {
        name for name in names_of(vector, kept) if "distribution." in name or "loc" in name}


@pytest.mark.tfp
@pytest.mark.parametrize(("name", "reason"), [
    ("exitbijector-2x3-3-1-2", "exit-slice"), ("glow-exits-all", "exit-all"),
    ("glow-exits-floor", "exit-slice"), ("initialactnorm-of-3", "a constant of its own")])
def test_where_tfp_computes_something_else(tf, name, reason, kept):
    with pytest.raises(LackingError, match=reason):
        by_tfp.results_of(BY_NAME[name], kept.all_inputs(BY_NAME[name]))


def test_what_pytorch_has_not(kept):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    vector = BY_NAME["realnvp-5-first-2-affine"]
    with pytest.raises(LackingError, match="nor in the oracle"):
        by_torch.results_of(vector, kept.all_inputs(vector))


# ---- the rows --------------------------------------------------------------------------------


OURS = {name: library for name, library in libraries().items() if name in ("spec", "cpu")}


def test_refglow_s_errors(kept):
    vector = BY_NAME["glow-8x16x3-3-1"]
    [(_, found)] = errors_of([vector], kept, OURS)
    truth = kept.results(vector).values
    for backend in OURS:
        expected = ulps_of(evaluated_in(vector, kept.inputs(vector), "float32", backend).results,
                           truth, "float32")
        assert found[backend].ulps == {name: ulps for name, ulps in expected.items()
                                       if "jvp" not in name}


def test_a_library_that_is_wrong_is_seen(kept):
    """By an ulp in one gradient, or everywhere."""
    def slightly_wrong(vector, inputs):
        found = OURS["spec"](vector, inputs)
        return found | {"forward/vjp/input_bar": found["forward/vjp/input_bar"]
                        * np.float32(1 + 2.0**-13)}
    [row] = [row for row in rows_of(list(errors_of(
        [BY_NAME["tanh-ordinary"]], kept, OURS | {"wrong": slightly_wrong})))
        if row["kind"] == "gradient"]
    assert row["worst"]["spec"] < 2 < 500 < row["worst"]["wrong"] < 2000


def test_columns_are_of_the_same_results():
    """Of what not all have, nothing is counted; a library with nothing says why."""
    found = [(BY_NAME["exp-ordinary"], {
        "a": Errors({"forward/value": 1.0, "inverse/value": 9.0, "forward/log_det": 2.0}),
        "b": Errors({"forward/value": 3.0}), "c": Errors({}, "not made")}),
        (BY_NAME["exp-tails"], {
            "a": Errors({"forward/value": 5.0}), "b": Errors({"forward/value": 0.5}),
            "c": Errors({}, "not made")})]
    value, log_det = rows_of(found)
    assert value == {
        "operation": "Exp", "kind": "value", "results": 2,
        "median": {"a": 3.0, "b": 1.75, "c": None}, "worst": {"a": 5.0, "b": 3.0, "c": None},
        "lacking": {"c": "not made"}}
    assert log_det["kind"] == "log-det" and log_det["worst"] == {"a": 2.0, "b": None, "c": None}
    assert log_det["lacking"] == {"b": "no log-det", "c": "not made"}


def test_a_library_that_is_not_installed_is_asked_once(kept):
    asked = []

    def absent(vector, inputs):
        asked.append(vector.name)
        raise ImportError("No module named 'absent'. Install it with: pip install absent")
    vectors = [BY_NAME["exp-ordinary"], BY_NAME["exp-tails"]]
    rows = rows_of(list(errors_of(vectors, kept, OURS | {"absent": absent})))
    assert asked == ["exp-ordinary"] and rows
    assert all("pip install absent" in row["lacking"]["absent"] for row in rows)


def test_the_command(kept, tmp_path, monkeypatch):
    def absent(vector, inputs):
        raise LackingError("it has none")
    monkeypatch.setattr(float32_errors, "libraries", lambda: OURS | {"other": absent})
    done = CliRunner().invoke(app, ["vectors", "errors", "--only", "tanh-o", "--json",
                                    str(tmp_path / "r.json")])
    assert done.exit_code == 0 and "other -: it has none (Tanh)." in done.stdout
    report = json.loads((tmp_path / "r.json").read_text())
    assert [row["kind"] for row in report["rows"]] == ["value", "log-det", "gradient"]
    assert report["vectors"]["tanh-ordinary"]["other"]["lacking"] == "it has none"
    assert report["rows"][0]["worst"]["spec"] == max(
        ulps for name, ulps in report["vectors"]["tanh-ordinary"]["spec"]["ulps"].items()
        if name.endswith("/value"))

"""Programs in other languages, judged by golden vectors: two that are right, many that are not."""

import json
import shutil
import struct
import subprocess
from dataclasses import replace
from importlib import resources
from types import SimpleNamespace

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from numpy_glow import NumpyGlow
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from refglow.cli.main import app
from refglow.validation.implementations.model import architecture_of
from refglow.validation.report import report_schema
from refglow.validation.vectors import results
from refglow.validation.vectors.catalogue import BY_NAME
from refglow.validation.vectors.folder import write_vector
from refglow.validation.vectors.judging import (
    Judged,
    judge_of,
    judged,
    only_failed_catch,
    result_files,
)
from refglow.validation.vectors.results import evaluated_in, params_of
from refglow.validation.vectors.sampling import samples_of

EXAMPLES = resources.files("refglow.validation.vectors") / "examples"
CHOSEN = [BY_NAME[name] for name in (
    "actnorm-2x2x3-of-2", "onebyoneconv-2x2x3-of-2x3", "scalematveclu-12", "squeeze-4x6x3",
    "conv2d-3x3-of-4x6x2-to-3", "couplingnetwork-2x3x2-5", "exitnetwork-2x3x4-4",
    "glowblock-2x3x4-2", "glowblock-2x3x4-2-additive", "exitbijector-2x3-3-3-2",
    "exitbijector-2x3-4-0-2", "glow-4x8x2-2-1", "glow-exits-some", "glow-8x16x3-3-1",
    "glow-96x64x3-2-1", "onebyoneconv-substitution", "tanh-ordinary")]
BY_JAVASCRIPT = [vector.name for vector in CHOSEN if vector.name != "tanh-ordinary"]


@pytest.fixture(scope="module")
def exported(kept, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    for vector in CHOSEN:
        write_vector(folder, vector, kept)
    return folder


@pytest.fixture
def folder(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "copy")


@pytest.fixture
def answered(folder, kept):
    """A folder with right float64 results for one vector."""
    (folder / "results").mkdir()
    write(folder, truth_of(kept, "tanh-ordinary"))
    return folder


def truth_of(kept, name, dtype="float64"):
    return {result: by_type[dtype]
            for result, by_type in kept.results(BY_NAME[name]).values.items()}


def write(folder, results, name="tanh-ordinary"):
    save_file({key: np.ascontiguousarray(array) for key, array in results.items()},
              folder / "results" / f"{name}.safetensors")


def found_in(folder, kept):
    return {one.name: one for one in judged(result_files(folder), kept)}


def problem_in(folder, kept, name="tanh-ordinary"):
    one = found_in(folder, kept)[name]
    assert not one.passed
    [problem] = one.problems
    return problem


# ---- two programs ----------------------------------------------------------------------------


def by_node(folder, source=None):
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    path = folder / "glow.mjs"
    path.write_text(source or (EXAMPLES / "glow.mjs").read_text("utf-8"))
    done = subprocess.run(["node", path, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_glow_in_javascript(folder, kept):
    assert f"{len(BY_JAVASCRIPT)} vectors evaluated" in by_node(folder)
    found = found_in(folder, kept)
    assert sorted(found) == sorted(BY_JAVASCRIPT)
    for one in found.values():
        assert one.passed and one.rows and {row.dtype for row in one.rows} == {"float64"}
        assert all("vjp" in name or "jvp" in name for name in one.absent)
    assert not only_failed_catch(list(found.values()))


@pytest.mark.parametrize(("right", "wrong", "flag"), [
    ("affine(b, channels(output, 0, mapped), t,", "affine(b, t, channels(output, 0, mapped),",
     "SwappedParams"),
    ("const total = x.h * x.w * sum(logScale.data)", "const total = sum(logScale.data)",
     None),
    ("Math.exp(logS), shift", "Math.exp(logS) + 1e-3, shift", None),
    ("(k * b + p) * b + q;", "(k * b + q) * b + p;", "SqueezeAxes"),
    ("logSigmoid(r.data[index] + 2)", "logSigmoid(r.data[index])", None),
    ("Math.max(value, 0)", "Math.max(value, 0.1 * value)", "Activation"),
    ("for (let j = steps - 1; j >= 0; j--)", "for (let j = 0; j < steps; j++)", None),
    ("row < 0 ||", "row < 1 ||", "PaddingValue")])
def test_a_bug_in_it_is_seen(right, wrong, flag, folder, kept):
    """And among the mistakes to look for first, where other vectors that catch it do not pass."""
    source = (EXAMPLES / "glow.mjs").read_text("utf-8")
    assert source.count(right) == 1
    by_node(folder, source.replace(right, wrong))
    found = list(found_in(folder, kept).values())
    failed = [one for one in found if not one.passed]
    assert failed and len(failed) < len(found)
    suspects = only_failed_catch(found)
    assert flag is None or flag in suspects
    for one in found:
        assert not one.passed or not set(one.flags) & suspects.keys()
    for suspect, count in suspects.items():
        assert count == sum(suspect in one.flags for one in failed)
    assert list(suspects.values()) == sorted(suspects.values(), reverse=True)


@pytest.mark.parametrize(("wrong", "possible", "not_made"), [
    ("inverse/log_det", {"LogDetSign", "MissingHW"}, {"ActNormOrder", "TransposedW", "Gradient"}),
    ("inverse/value", {"ActNormOrder", "TransposedW"}, {"LogDetSign", "MissingHW", "Gradient"}),
    ("inverse/vjp/input_bar", {"Gradient"}, {"LogDetSign", "ActNormOrder"})])
def test_where_values_are_right_no_mistake_of_values_is_suspected(wrong, possible, not_made):
    rows = tuple(SimpleNamespace(prop=name, passed=name != wrong)
                 for name in ("inverse/value", "inverse/log_det", "inverse/vjp/input_bar"))
    given = [Judged("one", rows[:2] + rows[2:] * ("vjp" in wrong),
                    flags=(*possible, *not_made, "Accumulation"))]
    assert only_failed_catch(given).keys() == possible | {"Accumulation"}
    alone = [replace(given[0], rows=tuple(row for row in rows if not row.passed))]
    if wrong == "inverse/log_det":  # values were not given, and may be wrong
        assert only_failed_catch(alone).keys() == possible | not_made - {"Gradient"} | {
            "Accumulation"}


def test_the_step_in_c(folder, kept, tmp_path):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    with resources.as_file(EXAMPLES / "step.c") as source:
        subprocess.run([compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-o",
                        tmp_path / "step", source, "-lm"], check=True)
    (folder / "results").mkdir()
    names = ["actnorm-2x2x3-of-2", "onebyoneconv-2x2x3-of-2x3", "scalematveclu-12"]
    for name in names:
        subprocess.run([tmp_path / "step", folder / "vectors" / f"{name}.safetensors",
                        folder / "results" / f"{name}.safetensors"], check=True)
    found = found_in(folder, kept)
    assert sorted(found) == names and all(one.passed for one in found.values())
    assert {row.dtype for one in found.values() for row in one.rows} == {"float32"}
    for bad in (folder / "vectors" / "tanh-ordinary.safetensors",
                folder / "vectors" / "tanh-ordinary.json", folder / "missing"):
        done = subprocess.run([tmp_path / "step", bad, tmp_path / "out"], capture_output=True,
                              text=True, check=False)
        assert done.returncode == 1 and str(bad) in done.stderr
        assert not (tmp_path / "out").exists()


# ---- results that are right, and wrong -------------------------------------------------------


def test_the_truth_passes_in_both_types(answered, kept):
    for dtype in ("float64", "float32"):
        write(answered, truth_of(kept, "tanh-ordinary", dtype))
        one = found_in(answered, kept)["tanh-ordinary"]
        assert one.passed and not one.absent
        assert {row.dtype for row in one.rows} == {dtype}


def test_float32_results_in_float64_are_not_right(answered, kept):
    write(answered, {name: array.astype(np.float64) for name, array in truth_of(
        kept, "tanh-ordinary", "float32").items()})
    assert not found_in(answered, kept)["tanh-ordinary"].passed


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, 0.0])
def test_one_wrong_number(answered, kept, value):
    results = {name: array.copy() for name, array in truth_of(kept, "tanh-ordinary").items()}
    results["forward/vjp/input_bar"].flat[3] = value
    write(answered, results)
    one = found_in(answered, kept)["tanh-ordinary"]
    assert [row.prop for row in one.rows if not row.passed] == ["forward/vjp/input_bar"]


def test_some_results_are_enough(answered, kept):
    write(answered, {"forward/value": truth_of(kept, "tanh-ordinary")["forward/value"]})
    one = found_in(answered, kept)["tanh-ordinary"]
    assert one.passed and len(one.rows) == 1 and "inverse/value" in one.absent


def test_what_no_rounding_leaves_right_is_not_called_right(answered, kept):
    """In float32 every digit of a nearly singular solution is lost to a rounding of the input."""
    (answered / "results" / "tanh-ordinary.safetensors").unlink()
    name = "scalematveclu-singular-32"
    truth = truth_of(kept, name, "float32")
    write(answered, truth, name)
    one = found_in(answered, kept)[name]
    assert "inverse/value" in one.undecidable and one.passed
    assert all(row.tolerance < 0.1 for row in one.rows) and len(one.rows) + len(
        one.undecidable) == len(truth)
    write(answered, truth | {"inverse/value": truth["inverse/value"] * np.float32(np.nan)}, name)
    assert not found_in(answered, kept)[name].passed


@pytest.mark.parametrize(("name", "place", "value", "passed"), [
    ("shift-cancels", 0, 1, True), ("shift-cancels", 0, np.nan, False),
    ("shift-cancels", 3, 1, False), ("expaffine-tails", 0, 1, True),
    ("expaffine-tails", 4, 1, False)])
def test_numbers_that_no_rounding_leaves_right_only_have_to_be_finite(
        name, place, value, passed, answered, kept):
    """Of numbers mapped one by one: in float32 (x + 2^20) - 2^20 is lost, and x - 1 is judged."""
    truth = truth_of(kept, name, "float32")
    write(answered, truth, name)
    assert found_in(answered, kept)[name].passed
    truth["inverse/value"][0, place] += value
    write(answered, truth, name)
    assert found_in(answered, kept)[name].passed == passed


@pytest.mark.parametrize("name", ["exp-tiny", "tanh-tiny", "identity-tiny", "actnorm-subnormal"])
def test_tiny_numbers_that_became_zero_beside_larger_ones(name, answered, kept):
    truth = truth_of(kept, name, "float32")
    write(answered, truth, name)
    assert found_in(answered, kept)[name].passed
    write(answered, {result: np.where(np.abs(array) < np.finfo(np.float32).tiny, 0, array).astype(
        np.float32) for result, array in truth.items()}, name)
    assert not found_in(answered, kept)[name].passed


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e-3, 0.0])
def test_one_wrong_number_beside_much_larger_ones(answered, kept, value):
    truth = truth_of(kept, "exp-tails")
    least = np.unravel_index(np.abs(truth["forward/value"]).argmin(), (2, 4, 2))
    assert truth["forward/value"].max() > 1e40 * truth["forward/value"][least]
    truth["forward/value"][least] = value
    write(answered, truth, "exp-tails")
    one = found_in(answered, kept)["exp-tails"]
    assert [row.prop for row in one.rows if not row.passed] == ["forward/value"]


# ---- results of which only some numbers are kept ----------------------------------------------


SAMPLED = "glow-8x16x3-3-1"
KERNEL = "inverse/vjp/params/block0.step0.coupling.conv1.kernel"


@pytest.fixture(scope="module")
def whole_gradients(kept):
    """All results of a Glow, gradients of large parameters too, as a program would have them."""
    vector = replace(BY_NAME[SAMPLED], generated=False)
    return evaluated_in(vector, kept.inputs(BY_NAME[SAMPLED]), np.float64).results


@pytest.fixture
def graded(folder, whole_gradients):
    (folder / "results").mkdir()
    write(folder, whole_gradients, SAMPLED)
    return folder


def failed_in(folder, kept):
    one = found_in(folder, kept)[SAMPLED]
    assert not one.problems
    return [row.prop for row in one.rows if not row.passed]


def test_whole_gradients_are_compared_at_the_places_that_are_kept(graded, kept, whole_gradients):
    one = found_in(graded, kept)[SAMPLED]
    assert one.passed and not one.absent and len(one.rows) == len(whole_gradients)
    samples = samples_of(BY_NAME[SAMPLED], whole_gradients)
    assert KERNEL in samples and len(samples) > 20
    write(graded, {name: samples[name].of(array) if name in samples else array
                   for name, array in whole_gradients.items()}, SAMPLED)
    assert found_in(graded, kept)[SAMPLED].passed


def test_wrong_gradients_of_large_parameters_are_seen(graded, kept, whole_gradients):
    right = whole_gradients[KERNEL]
    shifted = np.roll(right.reshape(-1), 1).reshape(right.shape)
    for wrong in (shifted, right.swapaxes(-1, -2), 2 * right, np.zeros_like(right)):
        write(graded, whole_gradients | {KERNEL: wrong.reshape(right.shape)}, SAMPLED)
        assert failed_in(graded, kept) == [KERNEL]


def test_numbers_at_other_places_are_seen(graded, kept, whole_gradients):
    sample = samples_of(BY_NAME[SAMPLED], [KERNEL])[KERNEL]
    others = (sample.places + 1) % whole_gradients[KERNEL].size
    write(graded, whole_gradients | {KERNEL: whole_gradients[KERNEL].reshape(-1)[others]}, SAMPLED)
    assert failed_in(graded, kept) == [KERNEL]


def test_neither_the_whole_nor_the_numbers(graded, kept, whole_gradients):
    write(graded, {KERNEL: whole_gradients[KERNEL][..., :-1]}, SAMPLED)
    problem = problem_in(graded, kept, SAMPLED)
    assert "for the numbers that are compared" in problem and KERNEL in problem


def test_judging_measures_nothing(graded, kept, monkeypatch):
    def refused(*given):
        raise AssertionError("something was evaluated")
    monkeypatch.setattr(results._Walk, "evaluate", refused)
    assert found_in(graded, kept)[SAMPLED].passed


# ---- strangers' files ------------------------------------------------------------------------


def test_another_shape(answered, kept):
    write(answered, {"forward/value": np.zeros((8, 2))})
    assert "has shape [8, 2]; it must have [2, 4, 2]" in problem_in(answered, kept)


@pytest.mark.parametrize("dtype", [np.int32, np.float16, np.bool_, np.uint8])
def test_another_type(answered, kept, dtype):
    write(answered, {"forward/value": np.zeros((2, 4, 2), dtype)})
    assert "it can be float64 or float32" in problem_in(answered, kept)


def test_another_name(answered, kept):
    write(answered, {"forward/\x1b[2J": np.zeros(3)})
    problem = problem_in(answered, kept)
    assert "is no result of this vector" in problem and "\x1b" not in problem


@pytest.mark.parametrize("content", [
    b"", b"12345678", struct.pack("<Q", 2**45) + bytes(64),
    struct.pack("<Q", 2) + b"{}" + b"trailing", b"\x80\x04]\x94.",
    struct.pack("<Q", 80) + b'{"forward/value":{"dtype":"F64","shape":[9007199254740993],'
    b'"data_offsets":[0,8]}}' + bytes(8)])
def test_what_is_no_safetensors_file(answered, kept, content):
    (answered / "results" / "tanh-ordinary.safetensors").write_bytes(content)
    assert "tanh-ordinary.safetensors" in problem_in(answered, kept)


def test_the_rest_is_still_judged(answered, kept):
    write(answered, truth_of(kept, "scalematveclu-12"), "scalematveclu-12")
    (answered / "results" / "tanh-ordinary.safetensors").write_bytes(b"broken")
    write(answered, {"forward/value": np.zeros(3)}, "no-such-vector")
    found = found_in(answered, kept)
    assert found["scalematveclu-12"].passed and len(found) == 3
    assert "there is no vector of this name" in found["no-such-vector"].problems[0]


def test_a_folder_in_place_of_a_file(answered, kept):
    (answered / "results" / "scalematveclu-12.safetensors").mkdir()
    assert "directory" in problem_in(answered, kept, "scalematveclu-12")


# ---- the command -----------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(app, ["validate", *map(str, arguments)])


def test_the_command(answered, tmp_path):
    done = run("--results", answered, "--json", tmp_path / "r.json")
    assert done.exit_code == 0 and "All right: 1 vectors" in done.stdout
    report = json.loads((tmp_path / "r.json").read_text())
    Draft202012Validator(report_schema()).validate(report)
    assert report["passed"] and report["vectors"]["tanh-ordinary"]["passed"]
    results = load_file(answered / "results" / "tanh-ordinary.safetensors")
    write(answered, results | {"inverse/log_det": -results["inverse/log_det"]})
    done = run("--results", answered, "--json", "-")
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    Draft202012Validator(report_schema()).validate(report)
    assert "LogDetSign" in report["only_failed_vectors_catch"]
    assert not report["vectors"]["tanh-ordinary"]["results"]["inverse/log_det"]["passed"]
    assert "look for these first" in done.stderr and "1 of 1 vectors are not right" in done.stderr


def test_brackets_in_a_mistake_s_description_are_printed(folder):
    from rich.text import Text

    from refglow.cli.validate_results import _suspicion
    plain = Text.from_markup(_suspicion({"SwappedParams": 2}, 3)).plain
    assert "read as [t, r] where they are [r, t]" in plain and "(2 of 3 failed vectors)" in plain


def test_wrong_usage(folder, answered):
    assert run("--results", answered, "--live", "tfp").exit_code == 2
    for arguments in (["--results", folder / "vectors"], ["--results", answered, "--only", "xyz"]):
        done = run(*arguments)
        assert isinstance(done.exception, ValueError)


# ---- long sums -------------------------------------------------------------------------------


class AddedUp(NumpyGlow):
    """Its log-det is one sum over all numbers of all layers, in a loop."""

    def inverse_and_log_det(self, x):
        self.terms = []
        z, _ = super().inverse_and_log_det(x)
        total = x.dtype.type(0)
        for term in np.concatenate(self.terms):
            total += term
        return z, np.array([total])

    def actnorm(self, name, x):
        self.add(np.broadcast_to(self.p[name + ".log_scale"], x.shape))
        return super().actnorm(name, x)

    def conv(self, name, x):
        packed = self.p[name + ".lower_upper"]
        self.add(np.broadcast_to(np.log(np.abs(np.diag(packed))), x.shape))
        return super().conv(name, x)

    def coupling(self, name, x):
        self.add(self.scale_and_shift(name, x[..., :x.shape[-1] // 2])[1])
        return super().coupling(name, x)

    def exit(self, name, x, leave):
        self.add(np.split(self.network(name, x[..., :leave]), 2, -1)[0] + 2)
        return super().exit(name, x, leave)

    def add(self, terms):
        self.terms.append(terms.reshape(-1))


@pytest.mark.parametrize("name", ["glow-96x64x3-2-1", "glow-32x32x3-3-4", "glow-16x16x3-2-4"])
def test_a_plain_loop_is_right_in_float64_and_told_in_float32(name, kept):
    """As in JavaScript or C: float64 has the digits to lose; float32 could be added in float64."""
    vector = BY_NAME[name]
    assert "Accumulation" in vector.flags
    inputs, truth = kept.inputs(vector), kept.results(vector).values["inverse/log_det"]["float64"]
    for dtype in (np.float64, np.float32):
        glow = vector.build(dtype)
        glow.load_state_dict({name: array.astype(dtype) if array.dtype.kind == "f" else array
                              for name, array in params_of(glow, inputs).items()})
        x = inputs["inverse/input"].astype(dtype)
        kinds = {kind: kind(architecture_of(glow), glow.state_dict()).inverse_and_log_det(x)[1]
                 for kind in (AddedUp, NumpyGlow)}
        rows = {kind: judge_of(vector, kept)("inverse/log_det", found, truth)
                for kind, found in kinds.items()}
        assert rows[NumpyGlow].passed
        assert rows[AddedUp].passed == (dtype == np.float64)
